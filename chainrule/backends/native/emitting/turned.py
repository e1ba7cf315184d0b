"""What is read along one axis and written along another, as images whose channels come first or last.

Entry by entry each would want a cache line of its own, of what is read or of what is written. So as many rows as a
vector has lanes are read as vectors, turned over in registers (`transposing.py`), and written as vectors.
"""

from __future__ import annotations

import math
from contextlib import nullcontext
from typing import TYPE_CHECKING, NamedTuple

from chainrule.backends.native.emitting.transposing import transposed
from chainrule.backends.native.emitting.walk import Shape
from chainrule.backends.native.language import elementary
from chainrule.backends.native.lowering.nest import REDUCTIONS, RUNNING, Axis, Block, Load, Nest

if TYPE_CHECKING:
    from chainrule.backends.native.emitting.nest import Emitter

#: Of shorter rows a vector would be mostly empty; so much of one can be left out where reading and writing a part of it
#: costs nothing (512 bits), and nothing of it elsewhere.
SHORTEST, SHORTEST_WHOLE = 4, 8
#: So many entries are worth a square.
FEWEST = 64


class Turned(NamedTuple):
    """The axis along which is read, and the one along which is written."""

    read: int
    written: int


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


def write_turned(at: Emitter, low: str, high: str) -> None:
    """Squares from `low` to `high` along the longer one of both axes, and all along the other one."""
    assert at.turned is not None
    code, lanes = at.code, str(at.lanes)
    first, second = sorted(at.turned, key=lambda axis: axis != at.divided)
    with code.loop(low, high, lanes) as outer, code.loop("0", at.extent[second], lanes) as inner:
        begin = {first: outer.index, second: inner.index}
        left = {first: code.op(f"sub i64 {high}, {outer.index}")}
        left[second] = code.op(f"sub i64 {at.extent[second]}, {inner.index}")
        least = code.least(*left.values())
        with code.when(code.op(f"icmp sge i64 {least}, {lanes}")) as otherwise:
            _square(at, begin, None)
            otherwise()
            _square(at, begin, left)


def _square(at: Emitter, begin: dict[int, str], left: dict[int, str] | None) -> None:
    """As many rows as a vector has lanes; `left` is how many of both there are, if that may be fewer."""
    assert at.turned is not None
    code, count, (read, written) = at.code, at.lanes, at.turned
    node, target = at.nest.stores[0]
    if left is not None:
        last = code.op(f"sub i64 {left[written]}, 1")
        at.mask = at._first_lanes(left[read])
    rows = []
    for i in range(count):
        step = str(i) if left is None else code.least(str(i), last)  # the last row again, which is not written
        at._enter([written], {read: begin[read], written: at.add(begin[written], step)})
        rows.append(at._fit(node, count, count))
        at._leave()
    at.mask = ""
    kind = elementary.register(node.dtype, count)
    at._enter([written], {read: begin[read], written: begin[written]})
    corner = at._place(target, count, count)
    mask = "" if left is None else at._first_lanes(left[written])
    address, size = corner.address, str(target.dtype.itemsize)
    for i, row in enumerate(transposed(code, kind, rows)):
        with nullcontext() if left is None else code.when(code.op(f"icmp slt i64 {i}, {left[read]}")):
            place = elementary.Place(address, size, ())
            elementary.store(code, target.dtype, count, place, row, mask, id(node) in at.rounded)
        address = code.op(f"getelementptr i8, ptr {address}, i64 {corner.step}")
    at._leave()
