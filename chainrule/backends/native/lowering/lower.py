"""From equations to groups: which layouts are wished for, the walk, and what must be written in the end.

A convolution's weight, (out, in, height, width) to the user, lies as (height, width, in, out) in a program's memory:

>>> import chainrule
>>> from chainrule.compiler.trace import trace_step
>>> w = chainrule.ones(16, 12, 3, 3)
>>> convolve = chainrule.nn.functional.conv2d
>>> graph = trace_step(lambda tensors: [convolve(tensors[0], w)], [chainrule.ones(1, 12, 8, 8)]).graph()
>>> cells = [symbol for symbol in graph.inputs if symbol.shape == w.shape]
>>> wished_orders(graph.equations, cells)[cells[0]]
(2, 3, 1, 0)
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from chainrule.backends.native.language.vector_math import FUNCTIONS
from chainrule.backends.native.lowering import (  # noqa: F401  (they register their rules)
    attention,
    contract,
    convolve,
    draws,
    low_bits,
    moves,
    pooling,
    running,
    sorting,
    unroll,
    winograd,
)
from chainrule.backends.native.lowering.fuse import Lowering
from chainrule.backends.native.lowering.groups import LITTLE, Group
from chainrule.backends.native.lowering.images import halo_of
from chainrule.backends.native.lowering.nest import Load, operand_of
from chainrule.backends.native.lowering.place import Buffer, Inside, Place, View
from chainrule.backends.native.lowering.placing import Copier, Layout
from chainrule.backends.native.lowering.rules import RULES
from chainrule.primitives.value import Shape, Symbol
from chainrule.program.graph import Equation, Graph

ELEMENTWISE = frozenset({*FUNCTIONS, "Cast"})
#: So many entries do not stay in the nearest cache.
MANY = 2**16
#: Of convolutions these give a weight, the others read one.
_OF_WEIGHTS = frozenset({"ConvolutionWeight", "WinogradWeight"})
_CONVOLUTIONS = _OF_WEIGHTS | {"Convolution", "ConvolutionTranspose", "WinogradConvolution", "WinogradTranspose"}


class Write:
    """A place outside of the arena that must hold a value in the end."""

    def __init__(self, value: Any, view: View) -> None:
        self.value, self.view = value, view


def wished_orders(
    equations: Sequence[Equation], cells: Sequence[Symbol], chosen: Mapping[Symbol, Shape] | None = None
) -> dict[Any, Shape]:
    """In which order of dimensions cells, and what is combined with them entry by entry, should lie in memory.

    Weights of convolutions lie as (kernel…, channels in, channels out), so that neither they nor their gradients have
    to be rearranged. A matrix by which a single row is multiplied lies turned, so that it is read in one go from
    beginning to end. Other cells lie as was `chosen` for them before, or row-major.
    """
    leader: dict[Any, Any] = {}

    def find(x: Any) -> Any:
        while leader.get(x, x) is not x:
            x = leader[x]
        return x

    orders: dict[Any, Shape] = {}
    chosen = chosen or {}
    fresh = {cell for cell in cells if cell not in chosen}
    for e in equations:
        symbols = [x for x in (*e.inputs, *e.outputs) if isinstance(x, Symbol)]
        if e.primitive.name in ELEMENTWISE:
            for other in symbols[1:]:
                if other.shape == symbols[0].shape:
                    leader[find(other)] = find(symbols[0])
    for cell, order in chosen.items():
        if order != tuple(range(len(order))):
            orders[find(cell)] = order
    for e in equations:
        if e.primitive.name in _CONVOLUTIONS:
            w = e.outputs[0] if e.primitive.name in _OF_WEIGHTS else e.inputs[1]
            if isinstance(w, Symbol):
                orders[find(w)] = (*range(2, len(w.shape)), 1, 0)
        elif e.primitive.name == "MatMul" and len(e.outputs[0].shape) == 2 and e.outputs[0].shape[0] == 1:
            matrix = e.inputs[1]
            if isinstance(matrix, Symbol) and matrix in fresh:
                orders[find(matrix)] = (1, 0)
    wishes: dict[Any, Shape] = {}
    touched = {find(cell) for cell in cells}
    members = {x for e in equations for x in (*e.inputs, *e.outputs) if isinstance(x, Symbol)} | set(cells)
    for x in members:
        root = find(x)
        if root in orders:
            wishes[x] = orders[root]
        elif root in touched:
            wishes[x] = tuple(range(len(x.shape)))
    images = {find(e.inputs[0]) for e in equations if e.primitive.name == "Reshape" and len(e.outputs[0].shape) > 3}
    for e in equations:  # many rows that become images: the entries of a sample lie together, as they do in an image
        z = e.outputs[0] if e.primitive.name == "MatMul" else None
        if z is not None and len(z.shape) == 2 and z.size >= MANY and find(z) in images:
            wishes.setdefault(z, (0, 1))
    return wishes


def lower(
    equations: Sequence[Equation],
    inputs: Sequence[tuple[Symbol, View]],
    writes: Sequence[Write],
    wishes: dict[Any, Shape],
    layout: Layout | None,
) -> Lowering:
    """Build the groups. Inputs are in memory already; writes come last. `layout`: see `Placing`."""
    updates = _updates(equations, dict(inputs), writes)
    at = _lowered(equations, inputs, writes, wishes, updates, layout)
    if not _come_last(at):
        at = _lowered(equations, inputs, writes, wishes, {}, layout)
    return at


def _lowered(
    equations: Sequence[Equation], inputs: Any, writes: Sequence[Write], wishes: Any, updates: dict[Any, View],
    layout: Layout | None,
) -> Lowering:  # fmt: skip
    at = _empty(equations, [write.value for write in writes], layout)
    at.wishes, at.updates = wishes, updates
    at.places.update(inputs)
    at.results.update((w.value, w.view) for w in writes if isinstance(w.value, Symbol) and not w.view.buffer.lasting)
    at.run(equations, RULES)
    _write_all(at, writes)
    return at


def _updates(equations: Sequence[Equation], places: dict[Any, View], writes: Sequence[Write]) -> dict[Any, View]:
    """Where some entries of a cell or an argument are written over and nobody else reads it: what it becomes, and it.

    Such a value need not be copied, changed, and copied back: the new entries are stored where the others lie already.
    """
    makers = {e.outputs[0]: e for e in equations if e.primitive.name == "IndexUpdate"}
    uses = Counter(x for e in equations for x in e.inputs if isinstance(x, Symbol))
    uses.update(w.value for w in writes if isinstance(w.value, Symbol))
    found = {}
    for write in writes:
        e = makers.get(write.value) if isinstance(write.value, Symbol) else None
        if e is not None and write.view.buffer.lasting:
            base, _, *indices = e.inputs
            if (
                all(isinstance(x, Symbol) for x in (base, *indices))
                and uses[base] == 1
                and places.get(base) == write.view
            ):
                found[write.value] = write.view
    return found


def _come_last(at: Lowering) -> bool:
    """Let groups that write over a cell wait for all that may fail; False if some of that needs what they write."""
    for group in at.updating:
        if any(other is group or other.needs & group.bit for other in at.checking):
            return False
        at.wait(group, at.checking)
    return True


def lower_body(
    body: Graph, given: dict[Symbol, Place], writes: Sequence[tuple[Any, View]], fixed: Mapping[Any, Copier | None],
    layout: Layout | None,
) -> Lowering:  # fmt: skip
    """Build the groups of a loop's body: its inputs are at given places, its results have to be in views.

    fixed: of the inputs that are the same each time: how to copy them.
    """
    at = _empty(body.equations, [x for x, _ in writes], layout)
    at.fixed, at.again = fixed, True
    at.wishes = _like_rows(body, given)
    at.places.update(given)
    at.homes.update((x, view) for x, view in writes if isinstance(x, Symbol) and x not in given)
    at.run(body.equations, RULES)
    _write_all(at, [Write(x, view) for x, view in writes])
    return at


def _like_rows(body: Graph, given: dict[Symbol, Place]) -> dict[Any, Shape]:
    """What is combined entry by entry with a row of a sequence should lie as that row does.

    A sequence that was there before the program, as in eager code, cannot lie as the products of the steps are made
    best. Then these are made as it lies, or each step would read it across.
    """
    rows = {
        x: tuple(sorted(range(len(x.shape)), key=lambda d: -view.strides[d]))
        for x, view in given.items()
        if isinstance(view, View) and view.buffer.moves and all(view.strides)
    }
    return wished_orders(body.equations, list(rows), rows)


def _empty(equations: Sequence[Equation], results: Sequence[Any], layout: Layout | None) -> Lowering:
    """A walk that knows how often values are needed, and which of them convolutions need a border around."""
    halos: dict[Any, Shape] = {}
    for e in equations:
        if e.primitive.name in _CONVOLUTIONS:
            for value, halo in halo_of(e):
                if isinstance(value, Symbol) and any(halo):
                    old = halos.get(value, (0,) * len(halo))
                    halos[value] = tuple(max(a, b) for a, b in zip(old, halo, strict=True))
    at = Lowering(ELEMENTWISE, halos)
    at.lower_body, at.layout = functools.partial(lower_body, layout=layout), layout
    needed = (*(x for e in equations for x in e.inputs), *results)
    at.uses.update(x for x in needed if isinstance(x, Symbol))
    return at


def _write_all(at: Lowering, writes: Sequence[Write]) -> None:
    """Write results and changed cells: where it is computed, if everybody has read the old value by then.

    Nothing is written to a cell before all that may fail is over, so an error leaves every cell as it was.
    """
    written = {write.view.buffer for write in writes}
    rest = []
    for write in writes:
        place = at.place(write.value)
        if isinstance(place, View) and place.look_ups and not write.view.buffer.lasting:
            at.into(write.value, write.view)  # a look-up may fail, so it is over before anything that lasts is written
            continue
        if isinstance(place, View) and place != write.view and (place.look_ups or place.buffer in written):
            at.places[at.key(write.value)] = at.copy(write.value)  # what another cell holds, before that one changes
        rest.append(write)
    writes = rest
    for write in writes:
        place = at.place(write.value)
        if isinstance(place, Inside) and _direct(at, place, write.view):
            at.wait(place.group, _before(at, place.group, write.view.buffer))
            at.store(place, write.view)
        elif place != write.view:
            at.memory(write.value)
            write.view.buffer.name = "late"
    for write in writes:
        if write.view.buffer.name != "late":
            continue
        before = list(at.groups)
        at.into(write.value, write.view)
        at.wait(at.groups[-1], before)


def _before(at: Lowering, group: Group, buffer: Buffer) -> list[Group]:
    """Who must have run before a group may write to a buffer outside: its readers, and everybody who may fail."""
    others = [*at.readers.get(buffer, ()), *(at.checking if buffer.lasting else ())]
    return [g for g in others if g is not group]


def _direct(at: Lowering, place: Inside, view: View) -> bool:
    group = place.group
    if group.nest.split is not None:
        return False
    covered = all(axis is not None or extent == 1 for axis, extent in zip(place.axes, view.shape, strict=True))
    if not covered or (group.checks and view.buffer.lasting) or at.writers.get(view.buffer):
        return False
    if _scatters(place, view):
        return False
    if not all(at.could_wait(group, other) for other in _before(at, group, view.buffer)):
        return False
    strides = operand_of(view, place.axes).strides
    kept = {a for a, n in enumerate(group.nest.extents) if n != 1} - group.nest.reduced
    once = kept <= set(strides)
    for node in group.nest.nodes:  # what the group itself reads there, it must read entry for entry
        if isinstance(node, Load) and node.operand.buffer is view.buffer:
            if {a: s for a, s in node.operand.strides.items() if s} != strides or node.operand.offset != view.offset:
                return False
            if not once:
                return False  # written again and again, it would be read when it is new already
            bent = node.operand.terms or node.operand.guards or node.operand.repeats
            if bent or node.axes & group.nest.reduced:
                return False  # a walk along reduced axes may come again and would read what was written
    return group.product is None or view.buffer not in (group.product.a[0], group.product.b[0])


def _scatters(place: Inside, view: View) -> bool:
    """Whether a tile of a product would write its columns, which it has side by side, far apart.

    A vector is then written entry by entry, to as many lines of the cache: a convolution of 64 channels takes three
    times as long. To write it as it comes and turn it in a pass of its own is cheaper, unless there is little of it.
    """
    product = place.group.product
    if product is None or math.prod(view.shape) < LITTLE:
        return False
    return any(
        axis == product.column_axis and view.shape[d] > 1 and view.strides[d] != 1 for d, axis in enumerate(place.axes)
    )
