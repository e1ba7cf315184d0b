"""How the grid of a nest is walked: in which order, which axes are one, and what is done side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence, Set
from typing import NamedTuple

from chainrule.backends.native.lowering.nest import (
    REDUCTIONS,
    RUNNING,
    Axis,
    Block,
    Load,
    Nest,
    Node,
    Operand,
    Position,
)
from chainrule.backends.native.lowering.place import Guard

#: From so many entries on a position along a dimension, and the lanes behind it, need 64 bits.
WIDE = 2**31 - 2**16

#: A part of a nest takes about so many entries, each of little work: enough to make starting it cheap, few enough to
#: share out.
PART = 2**14
#: What counts as little work at an entry; and what takes longer than an addition or reading an entry, about how much.
LITTLE = 8
LONGER = {
    "Divide": 4, "Sqrt": 4, "Rsqrt": 8, "FloorDivide": 8, "Remainder": 8, "Exp": 12, "Log": 16, "Tanh": 16, "Erf": 20,
    "Expm1": 16, "Log1p": 20, "Power": 40, "Sin": 64, "Cos": 64, "Arcsin": 64, "Arctan": 64, "Arctan2": 64,
    "constant": 0, "term": 8,
}  # fmt: skip
#: What is done with a number in few bits at once, so it holds no register for long.
WIDENING = frozenset({"Cast", "LowerFour", "UpperFour"})
#: A copy of so many entries does not stay in the nearest cache.
MANY = 2**16
#: A part of a nest has at least so many entries along the vector, but for the last one.
NARROWEST = 64
#: So many sums go side by side where a loop does little else.
WAYS = 4
#: So many sums of a bundle find registers beside what they are made of: of 32 registers (512 bits), and of 16.
MOST_SUMS, FEWER_SUMS = 30, 12

#: Of shorter rows a vector would be mostly empty; so much of one can be left out where reading and writing a part of it
#: costs nothing (512 bits), and nothing of it elsewhere.
SHORTEST, SHORTEST_WHOLE = 4, 8
#: So many entries are worth a square.
FEWEST = 64


class Shape(NamedTuple):
    """How the grid is walked: axes joined where memory allows it, and in which order.

    Attributes:
        outer: kept axes, from outside to inside, each a tuple of joined grid axes (their extents multiplied).
        reduced: reduced axes likewise.
        vector: the axis along which vectors lie, the last of `outer` or of `reduced`; None for a single place.
    """

    extents: dict[int, int]
    outer: tuple[int, ...]
    reduced: tuple[int, ...]
    vector: int | None


class Turned(NamedTuple):
    """The axis along which is read, and the one along which is written."""

    read: int
    written: int


def entries_of_a_part(nest: Nest) -> int:
    """About how many entries are work for one part: fewer where much is done with each."""
    work = sum(LONGER.get(node.op, 1) for node in nest.nodes) + len(nest.stores)
    work += sum(LONGER["term"] * len(operand.terms) for operand in nest.operands())
    return PART // max(1, work // LITTLE)


def walk(nest: Nest) -> Shape:
    """Choose the order of the loops by how the operands lie in memory, and join axes that follow without a gap."""
    operands = nest.operands()
    extents, split = dict(enumerate(nest.extents)), nest.split
    if split is not None:
        extents[Axis.PIECES] = -(-extents[split[0]] // split[1])
        extents[split[0]] = split[1]
    weight = {axis: _closeness(operands, axis) for axis in extents}
    live = [axis for axis, extent in extents.items() if extent != 1 or axis == Axis.PIECES]
    outer = sorted((a for a in live if a not in nest.reduced), key=lambda a: weight[a], reverse=True)
    reduced = sorted((a for a in live if a in nest.reduced), key=lambda a: weight[a], reverse=True)
    fixed = {Axis.PIECES, split[0]} if split else set()
    fixed |= {guard.axis for operand in operands for guard in operand.guards}
    fixed |= {x.axis for operand in operands for x in operand.repeats}
    fixed |= nest.sliding.axes if nest.sliding is not None else set()
    if any(node.op == "Argmax" for node in nest.nodes):
        fixed |= set(reduced)
        reduced = sorted(reduced)  # the position counts in the order of the dimensions
    if split is not None:
        outer.remove(Axis.PIECES)
        outer.insert(0, Axis.PIECES)
    walkers: list[Operand | Position] = [*operands, *[node for node in nest.nodes if isinstance(node, Position)]]
    outer, reduced = _join(outer, walkers, extents, fixed), _join(reduced, walkers, extents, fixed)
    if nest.sequential:
        reduced = sorted(reduced)
    last = [
        axes[-1]
        for axes in (outer, reduced)
        if axes and axes[-1] != Axis.PIECES and not (nest.sequential and axes is reduced)
    ]
    vector = min(last, key=lambda a: (extents[a] < 8, _misfit(operands, a), a in nest.reduced), default=None)
    return Shape(extents, tuple(outer), tuple(reduced), vector)


def _closeness(operands: Sequence[Operand], axis: int) -> tuple[float, int]:
    steps = [abs(o.strides.get(axis, 0)) for o in operands if o.strides.get(axis, 0)]
    return (sum(map(math.log2, steps)) / len(steps) if steps else 64.0, -axis)


def _misfit(operands: Sequence[Operand], axis: int) -> int:
    """How many operands are neither constant nor contiguous along an axis."""
    return sum(o.strides.get(axis, 0) not in (0, 1) for o in operands)


def _join(
    axes: list[int], walkers: Sequence[Operand | Position], extents: dict[int, int], fixed: set[int]
) -> list[int]:
    joined: list[int] = []
    for axis in axes:
        if joined and axis not in fixed and joined[-1] not in fixed:
            before = joined[-1]
            if (
                extents[axis]
                and extents[before]
                and all(o.strides.get(before, 0) == o.strides.get(axis, 0) * extents[axis] for o in walkers)
            ):
                extents[axis] *= extents[before]
                joined[-1] = axis
                continue
        joined.append(axis)
    return joined


def cut(nest: Nest, axis: int, chunk: int) -> None:
    """Walk a split axis by pieces: what moves along it moves from piece to piece too."""
    for operand in nest.operands():
        if operand.strides.get(axis):
            operand.strides[Axis.PIECES] = operand.strides[axis] * (chunk // operand.times(axis))
    for node in nest.nodes:
        if axis in node.axes:
            node.axes |= {Axis.PIECES}


def bundle(nest: Nest, shape: Shape, room: int) -> tuple[int, int]:
    """Bundle neighbouring places of one or two kept axes, if their sums read the same entries; how many of each.

    In y[c, w] = Σ_k a[c, k] · x[k, w] six c at a time read every x once instead of six times. Where x has rows too, as
    in a convolution, two rows of six c read every a once for both: eight entries for twelve products, and so many sums
    that none waits for the one before it.

    room: so many sums find registers.
    """
    inner = [node for node in nest.nodes if isinstance(node, Load) and node.axes & nest.reduced]
    depth = math.prod(shape.extents[a] for a in shape.reduced)
    reductions = [node for node in nest.nodes if node.op in REDUCTIONS]
    operands, work = nest.operands(), sum(node.op not in WIDENING for node in nest.nodes)
    if (
        len(reductions) != 1 or reductions[0].op != "Sum" or len(inner) < 2 or work > 12 or depth < 16
        or nest.sequential or nest.sliding is not None or any(o.terms or o.guards or o.repeats for o in operands)
        or any(isinstance(node, Position | Block) for node in nest.nodes)
        or any(a in nest.reduced and s for _, o in nest.stores for a, s in o.strides.items())
    ):  # fmt: skip
        return 0, 1
    first, axis = _best_bundle(nest, shape, inner, (8, 7, 6, 5, 4))
    if not first:
        return 0, 1
    _take_together(nest, shape, axis, first, Axis.BUNDLED)
    counts = [n for n in (6, 5, 4, 3, 2) if n * first <= room]
    second, other = _best_bundle(nest, shape, [x for x in inner if axis in x.axes], counts, {axis})
    if second:
        _take_together(nest, shape, other, second, Axis.CROSSED)
    return first, second or 1


def _best_bundle(
    nest: Nest, shape: Shape, loads: Sequence[Node], counts: Sequence[int], taken: Set[int] = frozenset()
) -> tuple[int, int]:
    """How many places of which axis share most of what they read; 0 if none share anything."""
    others = [axis for axis in shape.outer if axis not in (shape.vector, Axis.PIECES) and axis not in taken]
    best = max(
        ((_shared(loads, axis, shape.vector), count, axis) for axis in others
         if (count := next((n for n in counts if shape.extents[axis] % n == 0), 0))),
        default=(0, 0, 0),
    )  # fmt: skip
    return best[1:] if best[0] else (0, 0)


def _take_together(nest: Nest, shape: Shape, axis: int, count: int, within: Axis) -> None:
    """So many neighbours along an axis become one place of it, and places of an axis within the bundle."""
    for operand in nest.operands():
        if stride := operand.strides.get(axis, 0):
            operand.strides[axis], operand.strides[within] = stride * count, stride
    for node in nest.nodes:
        if axis in node.axes:
            node.axes |= {within}
    shape.extents[axis] //= count


def _shared(loads: Sequence[Node], axis: int, vector: int | None) -> int:
    """How much reading neighbours along an axis share: vectors count more than single entries."""
    return sum(2 if vector in node.axes else 1 for node in loads if axis not in node.axes)


def is_light(nest: Nest) -> bool:
    """Whether a walk along the reduced axes does so little that the sums would wait for each other."""
    return len(nest.nodes) <= 8 and not nest.sequential


def vectors_abreast(nest: Nest, shape: Shape, lanes: int, vector_bits: int) -> int:
    """How many vectors along the kept axis go side by side where rows are added up: as their sums find registers.

    A single one would read a cache line of each row, and all rows again for the next.
    """
    extent = shape.extents[shape.vector] if shape.vector is not None else 1
    if not shape.reduced or shape.vector in nest.reduced or nest.sequential or nest.sliding is not None:
        return 1
    sums = sum(2 if "Arg" in node.op else 1 for node in nest.nodes if node.op in REDUCTIONS)
    held = max(1, sums) * (WAYS if is_light(nest) else 1)
    room = 16 if vector_bits == 512 else 8
    fitting = [n for n in (4, 2) if extent >= n * lanes and n * held <= room and n * len(nest.nodes) <= 96]
    return fitting[0] if fitting else 1


def guarded_alike(operands: Sequence[Operand]) -> list[int]:
    """For each operand the first one that has entries at the same places."""
    first: dict[tuple[Guard, ...], int] = {}
    return [first.setdefault(operand.guards, place) for place, operand in enumerate(operands)]


def turned_axes(nest: Nest, shape: Shape, vector_bits: int) -> Turned | None:
    """Along which axes a nest reads and writes neighbours, if these are two and nothing else is in the way."""
    if nest.reduced or nest.split is not None or nest.sliding is not None or len(nest.stores) != 1:
        return None
    if any(node.op in REDUCTIONS or node.op in RUNNING or isinstance(node, Block) for node in nest.nodes):
        return None
    (value, target), sources = nest.stores[0], [node.operand for node in nest.nodes if isinstance(node, Load)]
    if target.reports or value.dtype.kind == "b":
        return None
    if any(o.terms or o.guards or o.repeats or o.spread != 1 for o in nest.operands()):
        return None
    axes = [axis for axis in shape.outer if shape.extents[axis] > 1 and axis != Axis.PIECES]
    written = [axis for axis in axes if target.strides.get(axis) == 1]
    read = [axis for axis in axes if any(o.strides.get(axis) == 1 for o in sources)]
    if len(written) != 1 or len(read) != 1 or read == written or not target.strides.get(read[0]):
        return None
    if any(o.strides.get(read[0], 0) not in (0, 1) for o in sources):
        return None
    extents = [shape.extents[axis] for axis in (read[0], written[0])]
    shortest = SHORTEST if vector_bits == 512 else SHORTEST_WHOLE
    return Turned(read[0], written[0]) if min(extents) >= shortest and math.prod(extents) >= FEWEST else None


def turn_inside_out(nest: Nest) -> bool:
    """A transposing copy that is not made in squares (`squares.py`): of truths, or of rows too short for one.

    One vector of what lies close together on one side goes all along what does on the other.

    Otherwise every cache line that is read would have left the cache before its next entry is asked for; or written,
    where a weight's gradient (kernel…, channels in, channels out) becomes (out, in, kernel…).
    """
    loads = [node.operand for node in nest.nodes if isinstance(node, Load)]
    if len(loads) != 1 or len(nest.stores) != 1 or nest.reduced or any(isinstance(node, Block) for node in nest.nodes):
        return False
    (source,), (_, target) = loads, nest.stores[0]
    if source.terms or source.guards or source.repeats or target.terms:
        return False
    read = [a for a, s in source.strides.items() if s == 1 and nest.extents[a] >= 16]
    written = [a for a, s in target.strides.items() if s == 1 and nest.extents[a] >= 16]
    inner: list[int] = []
    if len(read) == 1 == len(written) and read != written and target.strides.get(read[0]):
        few = nest.extents[written[0]] < 2 * NARROWEST <= nest.extents[read[0]]
        inner = written if few and source.strides.get(written[0]) else read
    elif len(read) + len(written) == 1 and math.prod(nest.extents) >= MANY:
        inner = _run(target, nest.extents, read[0]) if read else _run(source, nest.extents, written[0])
    if inner:
        nest.reduced, nest.sequential = frozenset(inner), True
    return bool(inner)


def _run(operand: Operand, extents: Sequence[int], vector: int) -> list[int]:
    """The axes along which entries follow each other without a gap: all but that of the vector, or none."""
    run, step = [], 1
    for stride, axis in sorted((s, a) for a, s in operand.strides.items() if extents[a] > 1):
        if stride != step or axis == vector:
            break
        run.append(axis)
        step *= extents[axis]
    rest = {axis for axis, extent in enumerate(extents) if extent > 1} - {*run, vector}
    return run if step >= 16 and not rest else []
