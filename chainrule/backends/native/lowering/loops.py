"""Long loops with a carry: the body is lowered once, and the driver goes round.

What moves has an address of its own that is a step further each time round: a row of a sequence, a row of what is
stacked. The carry turns about between two places: what one time writes is what the next one reads. The number of times
is a number in the table, so another length needs no other code. A loop's body may have loops again.

>>> import chainrule
>>> total = chainrule.compile(lambda h, xs: chainrule.scan(lambda h, x: ((h * x).sin(), h), h, xs))
>>> _ = total(chainrule.ones(8), chainrule.ones(50_000, 8)); print(total.explain())
4 kernels in 3 stages, 2 functions, 0.0 MB of working memory
   0  [8] copy
   1  50000 times
   1    [8] Multiply Sin
   1    [8] copy
   1  … and again
   2  [8] copy
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from chainrule.backends.native.lowering.contract import Product
from chainrule.backends.native.lowering.fuse import Lowering
from chainrule.backends.native.lowering.groups import Group
from chainrule.backends.native.lowering.laying import lay_out
from chainrule.backends.native.lowering.nest import Nest
from chainrule.backends.native.lowering.place import Buffer, Inside, Place, View
from chainrule.backends.native.lowering.placing import Copier
from chainrule.backends.native.lowering.rules import RULES
from chainrule.backends.native.plan import scheduled
from chainrule.primitives.value import Symbol
from chainrule.program.graph import Equation, Graph


class Moving(NamedTuple):
    """What lies elsewhere each time round.

    Attributes:
        buffer: as the body's kernels see it.
        within: the buffer that it is a part of.
        offset: where it begins there the first time, in bytes.
        step: how much further it is each time, in bytes.
        other: for a carry the buffer with which it exchanges places each time.
    """

    buffer: Buffer
    within: Buffer
    offset: int = 0
    step: int = 0
    other: Buffer | None = None


@dataclass(eq=False)
class Loop:
    """A body and how often it is run.

    Attributes:
        groups, when: the body's kernels in order, with the number of barriers before each.
        count: how many times.
        moving: what moves.
    """

    groups: list[Group]
    when: list[int]
    count: int
    moving: list[Moving]


class _Carry(NamedTuple):
    """The two places of a carry: where it lies at first, and as the body sees what it reads and writes."""

    first: View
    second: View
    now: View
    new: View


def lower_loop(at: Lowering, e: Equation, body: Graph) -> tuple[Place, ...] | None:
    """A scan as a loop; None if an operation of its body has no native code."""
    p = e.parameters
    carries, sequences, length = p["carries"], p["sequences"], p["length"]
    changing = carries + sequences
    alone, rest = _divided(body, changing)
    if not all(at.native(equation, RULES) for equation in rest):
        return None
    body, constants = _computed_before(at, alone, rest, body, changing, e.inputs[changing:])
    first, way = (length - 1, -1) if p["reverse"] else (0, 1)
    given: dict[Symbol, Place] = {}
    moving: list[Moving] = []
    outside = [*e.inputs[carries:changing], *constants]
    for symbol, x in zip(body.inputs[carries:], outside, strict=True):
        view = at.plain(x)
        if symbol in body.inputs[changing:]:
            given[symbol] = view
        elif view.number is not None:
            given[symbol] = view.index((0,))
        else:
            given[symbol], moved = _moving(view, first, way)
            moving.append(moved)
    turning = [
        _two_places(at, x, order)
        for x, order in zip(body.inputs, _orders(at, body, given, carries, changing), strict=False)
    ]
    given.update((symbol, carry.now) for symbol, carry in zip(body.inputs, turning, strict=False))
    writes = [(x, carry.new) for x, carry in zip(body.outputs, turning, strict=False)]
    stacks: dict[Any, View] = {}
    keys = [x if isinstance(x, Symbol) else z for z, x in zip(e.outputs[carries:], body.outputs[carries:], strict=True)]
    for symbol, x, key in zip(e.outputs[carries:], body.outputs[carries:], keys, strict=True):
        if key not in stacks:  # what two results share is stacked once
            dims = list(range(len(symbol.shape)))
            if symbol in at.results:
                stacks[key] = at.results[symbol]
            else:
                stacks[key] = at.allocate(tuple(symbol.shape), symbol.dtype, dims, dims, ())
            part, moved = _moving(stacks[key], first, way)
            moving.append(moved)
            writes.append((x, part))
    inner = at.lower_body(body, given, writes, _copiers(at, body.inputs[changing:], constants))
    if any(group.call is not None for group in inner.groups):
        return None
    for x, carry in zip(e.inputs, turning, strict=False):
        at.into(x, carry.first)
        moving.append(Moving(carry.now.buffer, carry.first.buffer, other=carry.new.buffer))
        moving.append(Moving(carry.new.buffer, carry.second.buffer))
    _lay_out_constants(at, inner, _changing(inner, moving), length)
    groups, when = scheduled(inner.groups)
    _enter(at, inner, Loop(groups, when, length, moving), [x.buffer for carry in turning for x in carry[:2]], stacks)
    ends = [carry.second if length % 2 else carry.first for carry in turning]
    return (*ends, *[stacks[key] for key in keys])


def _lay_out_constants(at: Lowering, inner: Lowering, changing: set[Buffer], times: int) -> None:
    """Lay out before the loop what its products multiply by each time round."""
    for group in inner.groups:
        product = group.product
        if isinstance(product, Product) and product.b[0] not in changing:
            laid = lay_out(at, product, group.nest.path, times)
            if laid is not None:
                group.reads.add(laid)


def _changing(inner: Lowering, moving: Sequence[Moving]) -> set[Buffer]:
    """All memory that does not hold the same each time round."""
    written = {buffer for group in inner.groups for buffer in group.writes}
    return written | {moved.buffer for moved in moving} | set(inner.buffers)


def _divided(body: Graph, changing: int) -> tuple[list[Equation], list[Equation]]:
    """What follows from a loop's constants alone, and the rest. The first `changing` inputs are others each time."""
    known = set(body.inputs[changing:])
    alone, rest = [], []
    for equation in body.equations:
        if equation.primitive.checks or any(isinstance(x, Symbol) and x not in known for x in equation.inputs):
            rest.append(equation)
        else:
            alone.append(equation)
            known.update(equation.outputs)
    return alone, rest


def _computed_before(
    at: Lowering,
    alone: Sequence[Equation],
    rest: Sequence[Equation],
    body: Graph,
    changing: int,
    constants: Sequence[Any],
) -> tuple[Graph, list[Any]]:
    """What follows from the constants alone is computed once: the body without it, and its constants then."""
    known = dict(zip(body.inputs[changing:], constants, strict=True))
    path = at.path
    for equation in alone:
        at.run([copied(equation, known)], RULES)
    at.path = path
    taken = [*[x for equation in rest for x in equation.inputs], *body.outputs]
    used = {x for x in taken if isinstance(x, Symbol)}
    kept = [x for x in known if x in used]
    return Graph([*body.inputs[:changing], *kept], rest, body.outputs), [known[x] for x in kept]


def copied(equation: Equation, known: dict[Any, Any]) -> Equation:
    """The equation with what is known put in: new symbols for its results, which are known then."""
    inputs = tuple(known.get(x, x) if isinstance(x, Symbol) else x for x in equation.inputs)
    outputs = tuple(Symbol(x.shape, x.dtype) for x in equation.outputs)
    known.update(zip(equation.outputs, outputs, strict=True))
    return equation._replace(inputs=inputs, outputs=outputs)


def _moving(view: View, first: int, way: int) -> tuple[View, Moving]:
    """One step of a stack as the body sees it, and how it moves."""
    size = view.dtype.itemsize
    part = view.index((first,))
    behind = sum(min(0, (n - 1) * s) for n, s in zip(part.shape, part.strides, strict=True))
    span = 1 + sum(abs((n - 1) * s) for n, s in zip(part.shape, part.strides, strict=True) if n)
    buffer = Buffer(view.dtype, span, "moving")
    moved = Moving(buffer, view.buffer, (part.offset + behind) * size, way * view.strides[0] * size)
    return View(buffer, part.shape, part.strides, -behind), moved


def _two_places(at: Lowering, symbol: Symbol, order: Sequence[int]) -> _Carry:
    """Memory for a carry and for the next one."""
    shape = tuple(symbol.shape)
    first, second = (at.allocate(shape, symbol.dtype, range(len(shape)), order, ()) for _ in range(2))
    now, new = (View(Buffer(symbol.dtype, first.buffer.size, "carry"), shape, first.strides) for _ in range(2))
    return _Carry(first, second, now, new)


def _copiers(at: Lowering, inside: Sequence[Symbol], outside: Sequence[Any]) -> dict[Any, Copier]:
    """How to copy what is the same each time: before the loop, and once for all that want it in that order."""

    def copier(x: Any) -> Copier:
        def copy(order: Sequence[int]) -> View:
            key = (at.key(x), tuple(order))
            if key not in at.copies:
                at.copies[key] = at.packed(x, order)
            return at.copies[key]

        return copy

    return {symbol: copier(x) for symbol, x in zip(inside, outside, strict=True)}


def _orders(at: Lowering, body: Graph, given: dict[Symbol, Any], carries: int, changing: int) -> list[list[int]]:
    """In which order of dimensions each carry lies: as the body makes the next one, if it reads rows of the last."""
    plain = [list(range(len(x.shape))) for x in body.inputs[:carries]]
    if all(len(order) < 2 for order in plain):
        return plain
    trial = dict(given)
    trial.update((x, _two_places(at, x, order).now) for x, order in zip(body.inputs, plain, strict=False))
    inner = at.lower_body(body, trial, [], dict.fromkeys(body.inputs[changing:]))  # it copies for itself
    return [_order(inner.place(x), order) for x, order in zip(body.outputs, plain, strict=False)]


def _order(place: Any, plain: list[int]) -> list[int]:
    """The dimensions of a value from far apart to close together, as it is made."""
    if isinstance(place, Inside):
        rank: dict[int | None, int] = {axis: i for i, axis in enumerate(place.group.order)}
        return sorted(plain, key=lambda d: (rank.get(place.axes[d], -1), d))
    if isinstance(place, View) and all(place.strides):
        return sorted(plain, key=lambda d: -abs(place.strides[d]))
    return plain


def _enter(at: Lowering, inner: Lowering, loop: Loop, carried: Sequence[Buffer], stacks: dict[Any, View]) -> None:
    """The loop as one group of the whole: it reads what its body reads and what moves lies in, and writes its own."""
    group = at.group(Nest([]), open=False)
    group.loop = loop
    if any(part.checks for part in loop.groups):
        at.may_fail(group)
    touched = {buffer for part in loop.groups for buffer in part.reads | part.writes}
    own = {buffer for buffer in inner.buffers if buffer in touched}
    seen = {moved.buffer for moved in loop.moving}
    made = {*own, *carried, *[view.buffer for view in stacks.values()]}
    for buffer in sorted((touched | {moved.within for moved in loop.moving}) - seen - own, key=id):
        at.read(group, buffer)
    at.buffers += [buffer for buffer in inner.buffers if buffer in own]
    for buffer in made:
        at.written(group, buffer)


class Row(NamedTuple):
    """A row of the table.

    Attributes:
        group: what is done.
        stage: the number of barriers before it, each loop's counted once.
        times: how often it is done.
        depth: within how many loops.
        body: for the end of a loop, how many rows the loop's body has.
    """

    group: Group
    stage: int
    times: int
    depth: int
    body: int = 0


def flattened(
    groups: Sequence[Group], when: Sequence[int], first: int = 0, times: int = 1, depth: int = 0
) -> list[Row]:
    """The rows of the table: a loop is a row, its body, in which there may be loops again, and a row that ends it."""
    rows: list[Row] = []
    stage, last = first, 0
    for group, epoch in zip(groups, when, strict=True):
        stage, last = stage + epoch - last, epoch
        rows.append(Row(group, stage, times, depth))
        loop = group.loop
        if loop is not None:
            inside = flattened(loop.groups, loop.when, stage, times * loop.count, depth + 1)
            stage = max((row.stage for row in inside), default=stage)
            end = Group(group.number, Nest([]), loop=loop, open=False, ends=True)
            rows += [*inside, Row(end, stage, times, depth, len(inside))]
    return rows
