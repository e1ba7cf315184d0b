"""Where each value is, how it gets into memory, and how a group reads it; who waits for whom follows (`waiting.py`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule.backends.memory import ordered_strides
from chainrule.backends.native.lowering.groups import (
    Constant,
    Group,
    Inside,
    Memory,
    axes_by_stride,
    image_order,
    live_dims,
)
from chainrule.backends.native.lowering.nest import Guard, Nest, Node, Operand, Term
from chainrule.backends.native.lowering.views import Buffer, View, row_major
from chainrule.backends.native.lowering.waiting import Waiting
from chainrule.primitives.value import Array, DataType, Shape, Symbol
from chainrule.program.graph import Graph


class Placing(Waiting):
    """What is known while a graph is lowered.

    Attributes:
        places: where every value is.
    """

    def __init__(self, elementwise: frozenset[str], halos: dict[Any, Shape]) -> None:
        super().__init__()
        self.elementwise = elementwise
        self.halos = halos
        self.places: dict[Any, Constant | Memory | Inside] = {}
        self.buffers: list[Buffer] = []
        self.borders: dict[Buffer, tuple[View, Shape]] = {}
        self.copies: dict[Any, View] = {}
        self.wishes: dict[Any, Shape] = {}
        self.homes: dict[Any, View] = {}
        self.checked: set[tuple[Any, int]] = set()
        self.literals: list[Array] = []
        self.singles: dict[Symbol, Symbol] = {}
        self.path = ""
        #: Lowers the body of a loop, given where its inputs are and where its results have to be.
        self.lower_body: Callable[[Graph, dict[Symbol, Any], Sequence[tuple[Any, View]]], Any]

    # ------------------------------------------------------------------------------------- where values are

    def place(self, x: Any) -> Constant | Memory | Inside:
        """Where a value is. An array that stands in an equation is a constant or memory of its own."""
        if isinstance(x, Symbol):
            return self.places[x]
        if x.size == 1:
            return Constant(x.reshape(-1)[0], x.shape, x.dtype)
        known = self.places.get(id(x))
        if known is None:
            array = np.ascontiguousarray(x)
            known = Memory(View(Buffer(x.dtype, x.size, array, name="literal"), x.shape, row_major(x.shape)))
            self.places[id(x)] = known
            self.literals.append(x)  # as long as it lives nothing else has its identity
        return known

    def key(self, x: Any) -> Any:
        """What a value is known by: arrays in equations by their identity."""
        if isinstance(x, Symbol):
            return x
        self.literals.append(x)
        return id(x)

    def new_buffer(self, dtype: DataType, size: int, name: str = "") -> Buffer:
        """Memory in the arena."""
        buffer = Buffer(dtype, size, name=name)
        self.buffers.append(buffer)
        return buffer

    def group(self, nest: Nest, **settings: Any) -> Group:
        """A new group."""
        group = Group(len(self.groups), nest, **settings)
        nest.path = nest.path or self.path
        self.groups.append(group)
        return group

    # ------------------------------------------------------------------------------------- into memory

    def memory(self, x: Any) -> Memory:
        """A value in memory, wherever it was."""
        place = self.place(x)
        if isinstance(place, Memory):
            return place
        if isinstance(place, Constant):
            array = np.full((), place.value, place.dtype)
            view = View(Buffer(place.dtype, 1, array, name="constant"), (), ())
            return Memory(view.broadcast(place.shape))
        home = self.homes.get(x)
        if home is not None and x not in self.halos and self._suits(place, home):
            self.into(x, home)
            memory = Memory(home)
        else:
            memory = self.store_inside(place, self.halos.get(x, ()))
        self.places[x] = memory
        # The group itself still has it at hand.
        place.group.loaded.setdefault(x, (place.node, place.axes))
        return memory

    def lies_at(self, x: Any, view: View) -> bool:
        """Whether a value is in memory just there."""
        place = self.place(x)
        return isinstance(place, Memory) and place.plain and place.view == view

    def _suits(self, place: Inside, home: View) -> bool:
        """Whether a group may write a value where it must be in the end, and walks in the order it lies there."""
        axes = [place.axes[d] for d in sorted(range(len(home.shape)), key=lambda d: -home.strides[d])]
        rank = [place.group.order.index(axis) for axis in axes if axis in place.group.order]
        return self._may_store(place, home) and rank == sorted(rank)

    def store_inside(self, place: Inside, halo: Shape = ()) -> Memory:
        """Let the group write a value it computes: its varying dimensions, in the order the group likes."""
        group, axes = place.group, place.axes
        varying = {d: axis for d, axis in enumerate(axes) if axis is not None and place.shape[d] != 1}
        rank = {axis: i for i, axis in enumerate(group.order)}
        order = sorted(varying, key=lambda d: rank.get(varying[d], d))
        if any(axis is None and extent != 1 for axis, extent in zip(axes, place.shape, strict=True)):
            halo = ()  # what is the same everywhere is stored once, and that has no border
        if any(halo):
            order = image_order(place.shape)
        view = self.allocate(place.shape, place.node.dtype, list(varying), order, halo)
        strides = {axis: view.strides[d] for d, axis in varying.items()}
        group.nest.stores.append((place.node, Operand(view.buffer, view.offset, strides)))
        self.writes_apart(group, view.buffer)
        return Memory(view)

    def allocate(self, shape: Shape, dtype: DataType, dims: Sequence[int], order: Sequence[int], halo: Shape) -> View:
        """A view of new memory: stride 0 along dimensions not named, a border of zeros around the last ones."""
        border = (0,) * (len(shape) - len(halo)) + tuple(halo)
        if any(border):
            order = list(order) if len(order) == len(shape) and order[-1] in (1, len(shape) - 1) else image_order(shape)
            dims = list(range(len(shape)))
        full = [extent + 2 * b if d in dims else 1 for d, (extent, b) in enumerate(zip(shape, border, strict=True))]
        strides, size = ordered_strides(tuple(full), order, dtype.itemsize)
        offset = sum(b * s for b, s in zip(border, strides, strict=True))
        view = View(self.new_buffer(dtype, size), tuple(shape), strides, offset)
        if any(border):
            self.borders[view.buffer] = view, tuple(halo)
            self.clear_border(view, border)
        return view

    def clear_border(self, view: View, border: Shape) -> None:
        """Zeros all around: along each bordered dimension a slab before and one behind."""
        inner = {d for d, b in enumerate(border) if not b}
        for dim, width in enumerate(border):
            if not width:
                continue
            for start in (-width, view.shape[dim]):
                shape, offset = list(view.shape), view.offset + start * view.strides[dim]
                shape[dim] = width
                for d, b in enumerate(border):
                    if d not in inner and d != dim:
                        shape[d] += 2 * b
                        offset -= b * view.strides[d]
                nest = Nest(shape)
                zero = nest.constant(0, view.dtype)
                nest.stores.append((zero, Operand(view.buffer, offset, dict(enumerate(view.strides)))))
                self.writes_apart(self.group(nest, open=False), view.buffer)
            inner.add(dim)  # its corners are done

    def into(self, x: Any, view: View, add: bool = False, apart: bool = False) -> None:
        """Write a value to a given place (or add it to what is there). `apart`: no other group writes there."""
        place = self.place(x)
        written = self.writes_apart if apart else self.written
        if isinstance(place, Inside) and not add and self._may_store(place, view, apart):
            strides = {axis: view.strides[d] for d, axis in enumerate(place.axes) if axis is not None}
            place.group.nest.stores.append((place.node, Operand(view.buffer, view.offset, strides)))
            written(place.group, view.buffer)
            return
        nest = Nest(list(view.shape))
        group = self.group(nest, open=False, order=axes_by_stride(view))
        node = self.node(group, x, tuple(range(len(view.shape))))
        target = Operand(view.buffer, view.offset, dict(enumerate(view.strides)))
        if add:
            there = Operand(view.buffer, view.offset, dict(enumerate(view.strides)))
            node = nest.add("Add", [nest.load(there), node], view.dtype)
        nest.stores.append((node, target))
        written(group, view.buffer)

    def _may_store(self, place: Inside, view: View, apart: bool = False) -> bool:
        """Whether the group that computes a value can write it there: every entry gets one, and no circle arises."""
        covered = all(axis is not None or extent == 1 for axis, extent in zip(place.axes, view.shape, strict=True))
        others = [] if apart else self.writers.get(view.buffer, [])
        return covered and all(self.could_wait(place.group, other) or other is place.group for other in others)

    # ------------------------------------------------------------------------------------- reading within a group

    def node(self, group: Group, x: Any, dims: Sequence[int | None]) -> Node:
        """A value within a group whose axes are known for each dimension; read from memory if it is elsewhere."""
        place = self.place(x)
        if isinstance(place, Constant):
            return group.nest.constant(place.value, place.dtype)
        if isinstance(place, Inside) and place.group is group:
            return place.node
        key = self.key(x)
        if key in group.loaded and tuple(group.loaded[key][1]) == self._varying(self.memory(x), dims):
            return group.loaded[key][0]
        memory = self.memory(x)
        node = self.load(group, memory, dims)
        group.loaded[key] = (node, self._varying(memory, dims))
        return node

    def _varying(self, memory: Memory, dims: Sequence[int | None]) -> tuple[int | None, ...]:
        live = live_dims(memory)
        return tuple(axis if d in live else None for d, axis in enumerate(dims))

    def load(self, group: Group, memory: Memory, dims: Sequence[int | None]) -> Node:
        """Read from memory within a group."""
        strides: dict[int, int] = {}
        for d, axis in enumerate(dims):
            if axis is not None and memory.view.strides[d] and memory.shape[d] != 1:
                strides[axis] = strides.get(axis, 0) + memory.view.strides[d]
        guards = tuple(Guard(axis, low, high) for d, low, high in memory.guards if (axis := dims[d]) is not None)
        terms = []
        for gather in memory.gathers:
            index = self.node(group, gather.symbol, [dims[d] for d in gather.dims])
            terms.append(Term(index, gather.extent, gather.stride))
            self.look_up(group, gather.symbol, gather.extent)
        self.read(group, memory.view.buffer)
        operand = Operand(memory.view.buffer, memory.view.offset, strides, guards, memory.constant, tuple(terms))
        return group.nest.load(operand)

    def look_up(self, group: Group, index: Any, extent: int) -> None:
        """The group uses an index. The first that does must have run before anything outside is written."""
        known = (self.key(index), extent)
        if known not in self.checked:
            self.may_fail(group)
            self.checked.add(known)
