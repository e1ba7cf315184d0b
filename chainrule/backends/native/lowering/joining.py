"""Which group an operation joins, and which two groups may become one: questions, whose answers change nothing.

>>> import numpy as np
>>> from chainrule.backends.native.lowering.nest import Nest, Node
>>> from chainrule.primitives.value import Symbol
>>> at = Placing(frozenset(), {})
>>> group = at.group(Nest([4, 3]))
>>> one = group.nest.append(Node("block", (), np.dtype(np.float32), frozenset([0, 1])))
>>> x, y = Symbol((4, 3), one.dtype), Symbol((3, 4), one.dtype)
>>> at.put(x, Inside(group, one, (0, 1), x.shape))
>>> at.put(y, Inside(group, one, (1, 0), y.shape))
>>> axes_in(at, group, [x, x], x.shape), axes_in(at, group, [y], y.shape)
([0, 1], [1, 0])
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from chainrule.backends.native.lowering.groups import Group
from chainrule.backends.native.lowering.nest import Load, Nest
from chainrule.backends.native.lowering.place import Inside, Place, View
from chainrule.backends.native.lowering.placing import Placing
from chainrule.primitives.value import Shape

#: A sum joins one of so many groups before it that reads the same: itself, and what adds up its pieces.
RECENT = 4
#: A group with more values than this is full: its loop would run out of registers.
FULL = 80


def group_for(at: Placing, inputs: Sequence[Any], shape: Shape) -> tuple[Group, list[int | None]] | None:
    """The latest open group that an elementwise operation can join, and its axis for each dimension of the result."""
    places = [place for x in inputs if isinstance(place := at.place(x), Inside)]
    groups = {p.group.number: p.group for p in places if p.group.open and len(p.group.nest.nodes) < FULL}
    for number in sorted(groups, reverse=True):
        axes = axes_in(at, groups[number], inputs, shape)
        if axes is not None:
            return groups[number], axes
    return None


def axes_in(at: Placing, group: Group, inputs: Sequence[Any], shape: Shape) -> list[int | None] | None:
    """The group's axis for each dimension of an elementwise result; None if it cannot be computed there."""
    dims: list[int | None] = [None] * len(shape)
    outside = []
    for x in inputs:
        place = at.place(x)
        key = at.key(x)
        if isinstance(place, Inside) and place.group is group:
            known = place.axes
        elif key in group.loaded:
            known = group.loaded[key][1]
        else:
            outside.append(place)
            continue
        for d, axis in enumerate(known):
            if axis is not None and dims[d] not in (None, axis):
                return None
            dims[d] = axis if axis is not None else dims[d]
    used = [axis for axis in dims if axis is not None]
    if len(used) != len(set(used)):
        return None  # a row against a column of the same loop
    for place in outside:
        if not reachable(at, group, place) or any(dims[d] is None for d in place.varying):
            return None
    return dims


def reachable(at: Placing, group: Group, place: Place) -> bool:
    """Whether a group may read a value without waiting for itself."""
    if isinstance(place, Inside):
        return at.could_wait(group, place.group)
    assert isinstance(place, View)
    if not all(at.could_wait(group, writer) for writer in at.writers.get(place.buffer, [])):
        return False
    indices = [at.place(x.symbol) for x in place.look_ups]
    return all((isinstance(x, Inside) and x.group is group) or reachable(at, group, x) for x in indices)


def common_axes(one: Inside, into: Inside) -> dict[int, int] | None:
    """If the loops of two groups are the same and neither waits for the other: the axes of one as those of the other.

    Both values are arguments of one operation, so their dimensions say which axes are the same.
    """
    a, b = one.group, into.group
    if a.needs & b.bit or b.needs & a.bit or a.product is not None or a.nest.split or b.nest.split:
        return None
    if a.nest.sliding or b.nest.sliding or len(a.nest.nodes) + len(b.nest.nodes) > FULL:
        return None
    axes = {x: y for x, y in zip(one.axes, into.axes, strict=True) if x is not None and y is not None}
    live = [axis for axis, extent in enumerate(a.nest.extents) if extent != 1]
    if any(axis not in axes for axis in live) or len(set(axes.values())) != len(axes):
        return None
    if {axes[axis] for axis in live} != {axis for axis, extent in enumerate(b.nest.extents) if extent != 1}:
        return None  # what is computed once would be computed at every place
    if any(a.nest.extents[x] != b.nest.extents[y] for x, y in axes.items()):
        return None
    if b.product is None and read_across(a, axes, b) > 1:
        return None  # to write what it makes, and to read that across, is less
    if a.nest.reduced and (b.product is not None or {axes.get(x) for x in a.nest.reduced} != set(b.nest.reduced)):
        return None
    return axes


def summing_beside(at: Placing, op: str, x: Any, dims: Sequence[int]) -> tuple[Group, Group, dict[int, int]] | None:
    """The group that computes a value, one that sums what that reads along the same dimensions, and its axes there.

    So the sums for the gradients of a scale and of a shift are one walk over the gradient.
    """
    place = at.place(x)
    if not isinstance(place, Inside) or place.group.nest.reduced:
        return None
    for group in at.groups[: -RECENT - 1 : -1]:
        fits = group.open and group.product is None and group.nest.reduced and not _cuts_positions(group, op)
        if group is not place.group and fits:
            for key in place.group.loaded.keys() & group.loaded.keys():
                axes = _same_walk(place.group, place.group.loaded[key][1], group, group.loaded[key][1])
                if axes is not None and {axes.get(place.axes[d]) for d in dims} == group.nest.reduced:  # type: ignore[arg-type]
                    return place.group, group, axes
    return None


def _same_walk(a: Group, mine: Sequence[int | None], b: Group, theirs: Sequence[int | None]) -> dict[int, int] | None:
    """The axes of one group as those of another, if both walk over the same places and neither waits for the other."""
    if not a.open or a.product is not None or a.nest.split or a.needs & b.bit or b.needs & a.bit:
        return None
    if a.nest.sliding or b.nest.sliding or len(a.nest.nodes) + len(b.nest.nodes) > FULL:
        return None
    axes = {x: y for x, y in zip(mine, theirs, strict=True) if x is not None and y is not None}
    live = {axis for axis, extent in enumerate(a.nest.extents) if extent != 1}
    others = {axis for axis, extent in enumerate(b.nest.extents) if extent != 1}
    same = live <= set(axes) and {axes[axis] for axis in live} == others and len(set(axes.values())) == len(axes)
    return axes if same and all(a.nest.extents[x] == b.nest.extents[y] for x, y in axes.items()) else None


def read_across(a: Group, axes: dict[int, int], b: Group) -> int:
    """How many values a group would no longer read as they lie, but from far apart, if it walked as another."""
    if not a.order or not b.order or axes.get(a.order[-1]) == b.order[-1]:
        return 0
    last = next((mine for mine, axis in axes.items() if axis == b.order[-1]), None)
    loads = [node.operand.strides for node in a.nest.nodes if isinstance(node, Load)]
    return sum(last is not None and abs(s.get(last, 0)) > 1 and s.get(a.order[-1], 0) == 1 for s in loads)


def reducing_group(at: Placing, op: str, x: Any, real: Sequence[int]) -> tuple[Group, list[int | None]] | None:
    """The group that computes a value or has read it not long ago, if it can reduce these dimensions; and its axes."""
    found = _reducing(at, x, real)
    return None if found is not None and _cuts_positions(found[0], op) else found


def _cuts_positions(group: Group, op: str) -> bool:
    """Whether with one more reduction a group would look for positions in the pieces of axes that are cut."""
    if op == "Argmax":
        return group.nest.split is not None
    return any(node.op == "Argmax" for node in group.nest.nodes) and choose_split(group.nest, group.order) is not None


def _reducing(at: Placing, x: Any, real: Sequence[int]) -> tuple[Group, list[int | None]] | None:
    place, key = at.place(x), at.key(x)
    if isinstance(place, View):
        for group in at.groups[: -RECENT - 1 : -1]:
            axes = group.loaded[key][1] if key in group.loaded else ()
            if axes and group.open and group.product is None and group.nest.reduced == {axes[d] for d in real}:
                return group, list(axes)
    if isinstance(place, Inside) and place.group.open and place.group.product is None:
        wanted = frozenset(place.axes[d] for d in real)
        have = place.group.nest.reduced
        everywhere = have <= frozenset(a for a in place.axes if a is not None)
        if everywhere and (not real or have in (wanted, frozenset())):
            return place.group, list(place.axes)
    return None


def choose_split(nest: Nest, order: Sequence[int]) -> tuple[int, int] | None:
    """Which reduced axis to cut, and into pieces of how many; None if the reduction is better left whole."""
    order = [a for a in order if nest.extents[a] != 1]
    kept = math.prod(e for a, e in enumerate(nest.extents) if a not in nest.reduced)
    depth = math.prod(nest.extents[a] for a in nest.reduced)
    if depth <= 512 or kept * depth <= 2**15 or (kept >= 256 and depth <= 2048 and order and order[-1] in nest.reduced):
        return None
    axis = next((a for a in order if a in nest.reduced and nest.extents[a] > 1), None)
    if axis is None:
        axis = max(nest.reduced, key=lambda a: nest.extents[a])
    rest = depth // nest.extents[axis]
    goal = max(128, 2**14 // max(kept, 1)) if order and order[-1] not in nest.reduced else 2**13
    whole = math.lcm(*(operand.times(axis) for operand in nest.operands()))  # a piece begins with an entry
    return axis, max(1, min(-(-nest.extents[axis] // whole), goal // max(rest, 1) // whole)) * whole
