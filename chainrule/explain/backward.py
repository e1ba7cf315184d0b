"""The backward pass once more, everything kept: upstream × local = downstream at each equation, sums at each value.

The walk is that of `tape.py`, record by record, the latest first; only here each step is kept. A block with a gradient
of its own is one step of it; within the block, its parts are walked by the primitives' own rules.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.explain.numbers import blocks_of
from chainrule.explain.recording import Recording, Taped
from chainrule.primitives.constants import constant
from chainrule.primitives.value import Array, Symbol, Value
from chainrule.program.graph import BlockUse, Equation
from chainrule.state import current_state
from chainrule.tape import Leaf, Record, Source, show_to_hooks

#: Upstream of each result and downstream of each input, as arrays; None where nothing comes or goes.
Step = tuple[list[Array | None], list[Array | None]]


class Walk:
    """A backward pass that was kept.

    Attributes:
        steps: for the number of an equation what came and what went on.
        composites: the same for a block's use.
        different: blocks whose own gradient is not that of their parts (at a tie, or on purpose); these are not walked.
        gradients: for each symbol the sum of what reached it.
        meetings: how many contributions were added up at a symbol.
    """

    def __init__(self) -> None:
        self.steps: dict[int, Step] = {}
        self.composites: dict[BlockUse, Step] = {}
        self.different: set[BlockUse] = set()
        self.gradients: dict[Symbol, Array] = {}
        self.meetings: dict[Symbol, int] = {}

    def deliver(self, symbol: Symbol | None, gradient: Array | None) -> None:
        """One more path has reached a value."""
        if symbol is None or gradient is None:
            return
        known = self.gradients.get(symbol)
        self.gradients[symbol] = gradient if known is None else known + gradient
        self.meetings[symbol] = self.meetings.get(symbol, 0) + 1


def walk_back(recording: Recording, root: Symbol, source: Source, upstream: Any) -> Walk:
    """Carry `upstream`, the gradient of a result that was recorded, back to everything it was computed from."""
    walk = Walk()
    state = current_state()
    before = state.gradients, state.keeping, state.path
    state.gradients, state.keeping = False, True
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows is shown as it is
            walk.deliver(root, upstream.value.array)
            _along_the_tape(recording, walk, source, upstream)
    finally:
        state.gradients, state.keeping, state.path = before
    return walk


def _along_the_tape(recording: Recording, walk: Walk, source: Source, upstream: Any) -> None:
    parts = recording.parts()
    waiting: dict[Any, dict[int, Any]] = {source[0]: {source[1]: upstream}}
    latest_first: list[tuple[int, Any]] = [(-source[0].order, source[0])]
    while latest_first:
        record: Any = heapq.heappop(latest_first)[1]
        coming = waiting.pop(record)
        taped = recording.taped.get(record) if isinstance(record, Record) else None
        if taped is None:
            continue  # the end of the tape, or what was computed before the recording began
        if record.hooks:
            show_to_hooks(record, coming)
            for position, gradient in coming.items():
                walk.gradients[taped.outputs[position]] = gradient.value.array
        gradients = [coming.get(position) for position in range(len(record.forms))]
        current_state().path = record.path
        downstream = record.operation.pull_back(record, gradients, [s is not None for s in record.sources])
        for symbol, to, gradient in zip(taped.inputs, record.sources, downstream, strict=True):
            if to is None or gradient is None:
                continue
            walk.deliver(symbol, gradient.value.array)
            node, position = to
            if node not in waiting:
                waiting[node] = {position: gradient}
                heapq.heappush(latest_first, (-node.order, node))
            else:
                known = waiting[node].get(position)
                waiting[node][position] = gradient if known is None else known + gradient
        step = _arrays(gradients), _arrays(downstream)
        _keep(walk, taped, step)
        if taped.use is not None:
            _within(recording, walk, taped, step, parts.get(taped.use, []))


def _keep(walk: Walk, taped: Taped, step: Step) -> None:
    """Remember a step; contributions to what is no tensor are none."""
    upstream, downstream = step
    tensors = [g for x, g in zip(taped.inputs, downstream, strict=True) if x is not None]
    if taped.number is not None:
        walk.steps[taped.number] = upstream, tensors
    elif taped.use is not None:
        walk.composites[taped.use] = upstream, downstream


def _arrays(gradients: Sequence[Any]) -> list[Array | None]:
    return [None if g is None else g.value.array for g in gradients]


# ----------------------------------------------------------------------------------------- within a block


def _within(recording: Recording, walk: Walk, taped: Taped, step: Step, numbers: Sequence[int]) -> None:
    """The parts of a block by the primitives' own rules: the same derivative, opened."""
    upstream, downstream = step
    given = Walk()  # by the block's own rule
    for symbol, gradient in zip(taped.inputs, downstream, strict=True):
        given.deliver(symbol, gradient)
    wanted, inside = set(given.gradients), []
    for number in numbers:
        equation = recording.equations[number]
        if any(x in wanted for x in equation.inputs):
            wanted.update(x for x in equation.outputs if x.dtype.kind not in "iub")
            inside.append(number)
    opened = Walk()
    for symbol, gradient in zip(taped.outputs, upstream, strict=True):
        opened.deliver(symbol, gradient)
    for number in reversed(inside):
        _pull_equation(recording, opened, number, wanted)
    if len(inside) == 1 and inside[0] in opened.steps:  # the block is this operation, its rule the operation's
        equation = recording.equations[inside[0]]
        walk.steps[inside[0]] = upstream, [given.gradients.get(x) for x in equation.inputs]
        return
    if not all(_agree(opened.gradients.get(symbol), gradient) for symbol, gradient in given.gradients.items()):
        if taped.use is not None:
            walk.different.add(taped.use)
        return
    walk.steps.update(opened.steps)
    for symbol in opened.gradients:
        if symbol not in given.gradients and symbol not in walk.gradients:
            walk.gradients[symbol] = opened.gradients[symbol]
            walk.meetings[symbol] = opened.meetings[symbol]


def _pull_equation(recording: Recording, walk: Walk, number: int, wanted: set[Symbol]) -> None:
    equation = recording.equations[number]
    gradients = [walk.gradients.get(x) for x in equation.outputs]
    record = record_of(equation, recording.arrays, [x in wanted for x in equation.inputs])
    if record is None or all(g is None for g in gradients):
        return
    downstream = pulled(record, gradients)
    walk.steps[number] = gradients, downstream
    for symbol, gradient in zip(equation.inputs, downstream, strict=True):
        walk.deliver(symbol, gradient)


def _agree(opened: Array | None, given: Array) -> bool:
    """Whether two ways to one gradient differ by rounding only: by a thousandth of the largest entry at most.

    Large ones are compared in blocks: that of a table of words is as large as all other weights together.
    """
    if opened is None:
        return False
    pairs = list(zip(blocks_of(opened), blocks_of(given), strict=True))
    largest = max((float(np.abs(block[np.isfinite(block)]).max(initial=0.0)) for _, block in pairs), default=0.0)
    apart = 1e-3 * largest + 1e-30
    return all(np.allclose(_exact(x), _exact(y), rtol=1e-3, atol=apart, equal_nan=True) for x, y in pairs)


def _exact(block: Array) -> Array:
    return block.astype(np.float64)


def record_of(equation: Equation, arrays: dict[Symbol, Array], wanted: Sequence[bool]) -> Record | None:
    """What the tape would keep of an equation if the wanted inputs required gradients; None if there is no rule."""
    primitive = equation.primitive
    if not primitive.rules or not any(wanted):
        return None
    values = [
        Value(arrays[x] if isinstance(x, Symbol) else x, (Leaf(), 0) if is_wanted else None)
        for x, is_wanted in zip(equation.inputs, wanted, strict=True)
    ]
    results = [arrays[x] for x in equation.outputs]
    several = type(equation.forms) is list
    return primitive._record(values, equation.parameters, results if several else results[0], equation.forms)


def pulled(record: Record, upstream: Sequence[Array | None]) -> list[Array | None]:
    """What goes on to each input of a record for the gradients that come."""
    gradients = [None if g is None else constant(g) for g in upstream]
    wanted = [source is not None for source in record.sources]
    return _arrays(record.operation.pull_back(record, gradients, wanted))


def factors(record: Record, position: int, entries: int) -> Array | None:
    """∂output/∂input of an elementwise operation, a factor for each entry, or None if there are many.

    All entries are asked at once: asked one by one, an infinite factor times the zeros of the others would be NaN.
    """
    shape, dtype = record.forms[0]
    if not 0 < int(np.prod(shape)) <= entries:
        return None
    return pulled(record, [np.ones(shape, dtype)])[position]


def jacobian(record: Record, position: int, entries: int) -> Array | None:
    """∂output/∂input of an operation with one result: a row for each entry of the output, or None if it is large.

    What an operation multiplies by is read off its own rule: each row is what comes back for a 1 at that entry.
    """
    if len(record.forms) != 1:
        return None
    shape, dtype = record.forms[0]
    size = int(np.prod(shape))
    if not 0 < size <= entries:
        return None
    rows: list[Array] = []
    for i in range(size):
        unit = np.zeros(size, dtype)
        unit[i] = 1
        row = pulled(record, [unit.reshape(shape)])[position]
        if row is None or row.size * size > entries:
            return None
        rows.append(row.reshape(-1))
    return np.stack(rows)
