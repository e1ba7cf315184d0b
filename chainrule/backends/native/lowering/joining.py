"""Which group an elementwise operation joins, and when two groups become one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from chainrule.backends.native.lowering.groups import (
    Constant,
    Group,
    Inside,
    Memory,
    axes_by_stride,
    live_dims,
    varying_dims,
)
from chainrule.backends.native.lowering.nest import Nest, Operand
from chainrule.backends.native.lowering.placing import Placing
from chainrule.primitives.value import DataType, Shape, Symbol

#: A group with more values than this is full: its loop would run out of registers.
FULL = 80


class Joining(Placing):
    """Operations join groups."""

    def check(self, wrong: Any) -> None:
        """Where a value is true in a run, the run fails."""
        place = self.place(wrong)
        dims = range(len(place.shape))
        if isinstance(place, Inside):
            group, node = place.group, place.node
        else:
            group, axes = self.new_group([wrong], place.shape)
            node = self.node(group, wrong, axes)
        nothing = Operand(self.new_buffer(wrong.dtype, 1), 0, dict.fromkeys(dims, 0), reports=True)
        group.nest.stores.append((node, nothing))
        self.writes_apart(group, nothing.buffer)
        self.may_fail(group)

    def axes_in(self, group: Group, inputs: Sequence[Any], shape: Shape) -> list[int | None] | None:
        """The group's axis for each dimension of an elementwise result; None if it cannot be computed there."""
        dims: list[int | None] = [None] * len(shape)
        outside = []
        for x in inputs:
            place = self.place(x)
            key = self.key(x)
            if isinstance(place, Constant):
                continue
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
            if not self._reachable(group, place):
                return None
            if any(dims[d] is None for d in varying_dims(place)):
                return None
        return dims

    def _reachable(self, group: Group, place: Any) -> bool:
        """Whether a group may read a value without waiting for itself."""
        if isinstance(place, Inside):
            return self.could_wait(group, place.group)
        writers = self.writers.get(place.view.buffer, [])
        if not all(self.could_wait(group, writer) for writer in writers):
            return False
        return all(
            isinstance(where := self.place(g.symbol), Constant)
            or (isinstance(where, Inside) and where.group is group)
            or self._reachable(group, where)
            for g in place.gathers
        )

    def candidates(self, inputs: Sequence[Any]) -> list[Group]:
        """Open groups that compute one of the values, the latest first."""
        groups: dict[int, Group] = {}
        for x in inputs:
            place = self.place(x)
            if isinstance(place, Inside) and place.group.open and len(place.group.nest.nodes) < FULL:
                groups[place.group.number] = place.group
        return [groups[number] for number in sorted(groups, reverse=True)]

    def new_group(self, inputs: Sequence[Any], shape: Shape) -> tuple[Group, list[int | None]]:
        """A group whose axes are the dimensions of a result, in the order in which the largest input lies."""
        group = self.group(Nest(list(shape)))
        best: tuple[int, list[int]] = (-1, list(range(len(shape))))
        for x in inputs:
            place = self.place(x)
            if isinstance(place, Inside):
                self.memory(x)
                place = self.place(x)
            if isinstance(place, Memory):
                size = math.prod(place.shape[d] for d in live_dims(place))
                if size > best[0]:
                    best = size, axes_by_stride(place.view)
        group.order = best[1]
        return group, list(range(len(shape)))

    def map(
        self, op: str, inputs: Sequence[Any], output: Any, shape: Shape, dtype: DataType, settings: Any = None
    ) -> None:
        """An elementwise operation."""
        self.merge(inputs)
        for group in self.candidates(inputs):
            dims = self.axes_in(group, inputs, shape)
            if dims is not None:
                break
        else:
            group, dims = self.new_group(inputs, shape)
        nodes = [self.node(group, x, dims) for x in inputs]
        node = group.nest.add(op, nodes, dtype, settings)
        axes = tuple(a if a in node.axes else None for a in dims)
        self.put(output, Inside(group, node, axes, tuple(shape)))

    def put(self, x: Any, place: Inside) -> None:
        """Say that a group computes a value."""
        self.places[x] = place
        place.group.values.append(x)

    def broadcast(self, x: Any, output: Symbol) -> None:
        """A value repeated to the shape of another: it does not vary along new dimensions."""
        place, to = self.place(x), tuple(output.shape)
        new = len(to) - len(place.shape)
        if isinstance(place, Constant):
            self.places[output] = place._replace(shape=to)
        elif isinstance(place, Inside):
            stretched = zip(place.axes, place.shape, strict=True)
            axes = tuple(None if extent == 1 else axis for axis, extent in stretched)
            self.put(output, replace(place, axes=(None,) * new + axes, shape=to))
        else:
            guards = tuple((d + new, low, high) for d, low, high in place.guards)
            gathers = tuple(g._replace(dims=tuple(d + new for d in g.dims)) for g in place.gathers)
            self.places[output] = replace(place, view=place.view.broadcast(to), guards=guards, gathers=gathers)

    def full(self, number: Any, like: Symbol) -> Symbol:
        """A constant of the shape and data type of a value."""
        symbol = Symbol(like.shape, like.dtype)
        self.places[symbol] = Constant(like.dtype.type(number), like.shape, like.dtype)
        return symbol

    # ------------------------------------------------------------------------------------- merging

    def merge(self, inputs: Sequence[Any]) -> None:
        """If two groups compute the arguments of an operation and neither waits for the other, make them one."""
        inside = [(x, p) for x in inputs if isinstance(p := self.place(x), Inside) and p.group.open]
        while len({p.group.number for _, p in inside}) > 1:
            last = max(inside, key=lambda pair: (pair[1].group.product is not None, pair[1].group.number))[1]
            other = next(p for _, p in inside if p.group is not last.group)
            if not self._merge_two(other, last):
                return
            inside = [(x, p) for x, _ in inside if isinstance(p := self.place(x), Inside)]

    def _merge_two(self, one: Inside, into: Inside) -> bool:
        """Move all of one group into the other, if their loops are the same."""
        a, b = one.group, into.group
        if a.needs & b.bit or b.needs & a.bit or a.product is not None or a.nest.split or b.nest.split:
            return False
        if a.nest.sliding or b.nest.sliding:
            return False
        if len(a.nest.nodes) + len(b.nest.nodes) > FULL:
            return False
        axes = {x: y for x, y in zip(one.axes, into.axes, strict=True) if x is not None and y is not None}
        live = [axis for axis, extent in enumerate(a.nest.extents) if extent != 1]
        if any(axis not in axes for axis in live) or len(set(axes.values())) != len(axes):
            return False
        if {axes[axis] for axis in live} != {axis for axis, extent in enumerate(b.nest.extents) if extent != 1}:
            return False  # what is computed once would be computed at every place
        if any(a.nest.extents[x] != b.nest.extents[y] for x, y in axes.items()):
            return False
        if a.nest.reduced and (b.product is not None or {axes.get(x) for x in a.nest.reduced} != set(b.nest.reduced)):
            return False
        self._move(a, b, axes)
        return True

    def _move(self, a: Group, b: Group, axes: dict[int, int]) -> None:
        b.nest.take_in(a.nest, axes)
        for x in a.values:
            place = self.places[x]
            if isinstance(place, Inside) and place.group is a:
                moved = tuple(None if axis is None else axes.get(axis) for axis in place.axes)
                self.put(x, replace(place, group=b, axes=moved))
        for key, (node, known) in a.loaded.items():
            b.loaded.setdefault(key, (node, tuple(None if axis is None else axes.get(axis) for axis in known)))
        self.become_one(a, b)
        a.open, a.nest, a.values = False, Nest(), []
