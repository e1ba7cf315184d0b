"""Which operations become one loop: the walk over the equations that builds the kernels.

Each value is in one of three places. A *constant* is one number everywhere. A value *in memory* has a view: moving it
(permuting, slicing, broadcasting) is only another view. A value *inside* a group is computed by that group's nest and
need not be in memory at all; it is written there when something outside of the group asks for it.

An elementwise operation joins the group that computes one of its arguments, if the loops agree and no circle arises:
nothing that the group would then read may itself wait for the group. Reductions join the group that makes what they
reduce; what follows a row's reduction can join as well and walks along the row again.

Four operations and two reductions are one kernel here, and what follows a product is done on its block:

>>> import chainrule
>>> softmax = chainrule.compile(lambda x: x.softmax(1))
>>> _ = softmax(chainrule.ones(6, 8)); print(softmax.explain())
1 kernels in 1 stages, 1 functions, 0.0 MB of working memory, on one thread
   0  [6×8] over [1] Amax Subtract Exp Sum Divide  /softmax
>>> layer = chainrule.compile(lambda x, w: (x @ w).relu())
>>> _ = layer(chainrule.ones(6, 8), chainrule.ones(8, 5)); print(layer.explain())
1 kernels in 1 stages, 3 functions, 0.0 MB of working memory, on one thread
   0  product 6×5×8 → [6×5] Maximum
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from chainrule.backends.memory import ordered_strides
from chainrule.backends.native.language.elementary import is_computed
from chainrule.backends.native.language.halves import is_half
from chainrule.backends.native.lowering.nest import Guard, Nest, Node, Operand, Term
from chainrule.backends.native.lowering.views import Buffer, View, row_major
from chainrule.primitives.check import Check
from chainrule.primitives.value import Array, DataType, Shape, Symbol
from chainrule.program.graph import Equation, Graph

_index, _single = np.dtype(np.int64), np.dtype(np.float32)
#: A group with more values than this is full: its loop would run out of registers.
FULL = 80
#: Fewer channels than this leave most of a vector empty, so vectors lie along the pixels.
FEW_CHANNELS = 12


#: Where native code needs whole numbers of more than one bit.
NO_BOOLEANS = frozenset({"FloorDivide", "Remainder", "Power"})


class Constant(NamedTuple):
    """The same number everywhere."""

    value: Any
    shape: Shape
    dtype: DataType


class Gather(NamedTuple):
    """An index in another value: which value, which dimensions of the result its dimensions are, extent and stride."""

    symbol: Any
    dims: Shape
    extent: int
    stride: int


@dataclass(frozen=True)
class Memory:
    """A value in memory.

    Attributes:
        view: where its entries are.
        guards: (dimension, low, high): outside of this range along the dimension every entry is `constant`.
        gathers: indices from other values that move the place.
    """

    view: View
    guards: tuple[tuple[int, int, int], ...] = ()
    constant: float = 0
    gathers: tuple[Gather, ...] = ()

    @property
    def plain(self) -> bool:
        """Whether the view says everything."""
        return not self.guards and not self.gathers

    @property
    def shape(self) -> Shape:
        """Its extents."""
        return self.view.shape


@dataclass(frozen=True)
class Inside:
    """A value that a group computes; for each dimension the group's axis, None where it is the same all along."""

    group: Group
    node: Node
    axes: tuple[int | None, ...]
    shape: Shape


@dataclass(eq=False)
class Group:
    """What becomes one kernel.

    Attributes:
        number: rises with creation.
        nest: the loops (for a contraction, what is done with its result).
        product: the contraction in front of the nest, if any.
        call: for operations without native code: the equation, its inputs and outputs in memory.
        needs: bits of the groups that must have run before, their needs included.
        loaded: what the nest has read: for each symbol the value and its axes.
        values: the symbols it computes.
        loop: for a loop (`loops.py`) its body; two rows of the table stand for it, of which the second `ends` it.
        order: the axes from far apart to close together in memory, for what will be written.
        open: whether other operations may join.
        checks: whether it may fail: it checks numbers, or NumPy computes it.
        reads, writes: the buffers it touches.
        apart: those of `writes` of which others may write other entries at the same time.
    """

    number: int
    nest: Nest
    product: Any = None
    call: Any = None
    loop: Any = None
    ends: bool = False
    needs: int = 0
    loaded: dict[Any, tuple[Node, tuple[int | None, ...]]] = field(default_factory=dict)
    order: list[int] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    open: bool = True
    checks: bool = False
    reads: set[Buffer] = field(default_factory=set)
    writes: set[Buffer] = field(default_factory=set)
    apart: set[Buffer] = field(default_factory=set)

    @property
    def bit(self) -> int:
        """Its place in sets of groups."""
        return 1 << self.number


class Lowering:
    """The walk over the equations. `groups` is what came out, `places` where every value is."""

    def __init__(self, elementwise: frozenset[str], halos: dict[Any, Shape]) -> None:
        self.elementwise = elementwise
        self.halos = halos
        self.groups: list[Group] = []
        self.places: dict[Any, Constant | Memory | Inside] = {}
        self.writers: dict[Buffer, list[Group]] = {}
        self.buffers: list[Buffer] = []
        self.borders: dict[Buffer, tuple[View, Shape]] = {}
        self.copies: dict[Any, View] = {}
        self.wishes: dict[Any, Shape] = {}
        self.homes: dict[Any, View] = {}
        self.checked: set[tuple[Any, int]] = set()
        self.literals: list[Array] = []
        self.singles: dict[Symbol, Symbol] = {}
        self.path = ""
        #: Whether this is the body of a loop.
        self.in_loop = False
        #: Lowers the body of a loop, given where its inputs are and where its results have to be.
        self.lower_body: Callable[[Graph, dict[Symbol, Any], Sequence[tuple[Any, View]]], Lowering]

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

    def wait(self, group: Group, others: Sequence[Group]) -> None:
        """The group runs after these others; so does all that already waits for it."""
        more = 0
        for other in others:
            if other is not group:
                more |= other.bit | other.needs
        if more & ~group.needs:
            group.needs |= more
            for follower in self.groups:
                if follower.needs & group.bit:
                    follower.needs |= group.needs

    def could_wait(self, group: Group, other: Group) -> bool:
        """Whether the group may come after the other without a circle."""
        return other is not group and not other.needs & group.bit

    def read(self, group: Group, buffer: Buffer) -> None:
        """The group reads a buffer, so it comes after those that write it."""
        group.reads.add(buffer)
        self.wait(group, self.writers.get(buffer, []))

    def written(self, group: Group, buffer: Buffer) -> None:
        """The group writes a buffer, after those that wrote it before."""
        group.writes.add(buffer)
        group.apart.discard(buffer)
        writers = self.writers.setdefault(buffer, [])
        if group not in writers:
            self.wait(group, writers)
            writers.append(group)

    def writes_apart(self, group: Group, buffer: Buffer) -> None:
        """The group writes entries of a buffer that no other group writes, so their order does not matter."""
        if buffer not in group.writes:
            group.apart.add(buffer)
        group.writes.add(buffer)
        self.writers.setdefault(buffer, []).append(group)

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
        dims = [d for d, axis in enumerate(axes) if axis is not None and place.shape[d] != 1]
        rank = {axis: i for i, axis in enumerate(group.order)}
        order = sorted(dims, key=lambda d: rank.get(axes[d], d))  # type: ignore[arg-type]
        if any(axis is None and extent != 1 for axis, extent in zip(axes, place.shape, strict=True)):
            halo = ()  # what is the same everywhere is stored once, and that has no border
        if any(halo):
            order = image_order(place.shape)
        view = self.allocate(place.shape, place.node.dtype, dims, order, halo)
        strides = {axes[d]: view.strides[d] for d in dims}
        group.nest.stores.append((place.node, Operand(view.buffer, view.offset, strides)))  # type: ignore[arg-type]
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
        group = self.group(nest, open=False, order=_axes_by_stride(view))
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

    # ------------------------------------------------------------------------------------- joining

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
        live = _live_dims(memory)
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
            group.checks = True
            self.checked.add(known)

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
        group.checks = True

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
            if any(dims[d] is None for d in _varying_dims(place)):
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
                size = math.prod(place.shape[d] for d in _live_dims(place))
                if size > best[0]:
                    best = size, _axes_by_stride(place.view)
        group.order = best[1]
        return group, list(range(len(shape)))

    def map(
        self, op: str, inputs: Sequence[Any], output: Any, shape: Shape, dtype: DataType, detail: Any = None
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
        node = group.nest.add(op, nodes, dtype, detail)
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
        for buffer in a.writes:
            self.writers[buffer] = [b if g is a else g for g in self.writers[buffer]]
        b.apart = (a.apart | b.apart) - (a.writes - a.apart) - (b.writes - b.apart)
        b.reads |= a.reads
        b.writes |= a.writes
        b.checks |= a.checks
        more = a.needs | b.needs
        for group in self.groups:
            if group is b or group.needs & (a.bit | b.bit):
                group.needs |= more | (0 if group is b else b.bit)
        a.open, a.nest, a.values = False, Nest(), []

    # ------------------------------------------------------------------------------------- reductions

    def reduce(self, op: str, x: Any, axes: Shape, output: Any, dtype: DataType) -> None:
        """Sum, product, largest entry or its position over some dimensions."""
        place = self.place(x)
        kept = [d for d in range(len(place.shape)) if d not in axes]
        shape = tuple(place.shape[d] for d in kept)
        if isinstance(place, Constant):
            place = self.memory(x)
        if isinstance(place, Memory):
            live: set[int] = set(_live_dims(place))
        else:
            live = {d for d, axis in enumerate(place.axes) if axis is not None}
        repeated = math.prod(place.shape[d] for d in axes if d not in live)
        real = [d for d in axes if d in live]
        group, dims = self._reducing_group(x, real)
        nest = group.nest
        node = self.node(group, x, dims)
        if real:
            nest.reduced = frozenset(dims[d] for d in real)  # type: ignore[misc]
            if op in ("Sum", "Product") and node.dtype != dtype:
                node = nest.add("Cast", [node], dtype)
            elif op == "Argmax" and node.dtype == np.bool_:
                node = nest.add("Cast", [node], np.dtype(np.int8))  # in a register, true is the number −1
            node = nest.add(op, [node], dtype)
        elif op == "Argmax":
            node = nest.constant(0, dtype)
        elif node.dtype != dtype:
            node = nest.add("Cast", [node], dtype)
        if repeated != 1:
            node = self._repeat(nest, op, node, repeated, dtype)
        answer = tuple(dims[d] if d in live else None for d in kept)
        self.put(output, Inside(group, node, answer, shape))
        if real:
            self._maybe_split(group, node, answer, shape, output, op)

    def _repeat(self, nest: Nest, op: str, node: Node, count: int, dtype: DataType) -> Node:
        if op == "Sum":
            return nest.add("Multiply", [node, nest.constant(count, dtype)], dtype)
        if op == "Product":
            return nest.add("Power", [node, nest.constant(count, dtype)], dtype)
        return node

    def _reducing_group(self, x: Any, real: Sequence[int]) -> tuple[Group, list[int | None]]:
        """The group that computes x, if it can reduce these dimensions; otherwise a new one."""
        place = self.place(x)
        key = self.key(x)
        if isinstance(place, Memory) and self.groups and key in self.groups[-1].loaded:
            group, axes = self.groups[-1], self.groups[-1].loaded[key][1]
            if group.open and group.product is None and group.nest.reduced == {axes[d] for d in real}:
                return group, list(axes)
        if isinstance(place, Inside) and place.group.open and place.group.product is None:
            wanted = frozenset(place.axes[d] for d in real)
            have = place.group.nest.reduced
            everywhere = have <= frozenset(a for a in place.axes if a is not None)
            if everywhere and (not real or have in (wanted, frozenset())):
                return place.group, list(place.axes)
        return self.new_group([x], place.shape)

    def _maybe_split(
        self, group: Group, node: Node, axes: tuple[int | None, ...], shape: Shape, output: Any, op: str
    ) -> None:
        """Long reductions are cut into pieces that can run at the same time; a second group adds these up."""
        nest = group.nest
        if op == "Argmax":
            return
        split = nest.split or choose_split(nest, group.order)
        if split is None:
            return
        nest.split = split
        axis, chunk = split
        pieces = -(-nest.extents[axis] // chunk)
        varying = [d for d, a in enumerate(axes) if a is not None and shape[d] != 1]
        rank = {a: i for i, a in enumerate(group.order)}
        order = sorted(range(len(shape)), key=lambda d: rank.get(axes[d], -1) if d in varying else -1)  # type: ignore[arg-type]
        dims = [0, *(d + 1 for d in varying)]
        view = self.allocate((pieces, *shape), node.dtype, dims, [0, *(d + 1 for d in order)], ())
        strides = {axes[d]: view.strides[d + 1] for d in varying}
        nest.stores.append((node, Operand(view.buffer, view.offset, {**strides, -1: view.strides[0]})))  # type: ignore[dict-item]
        self.written(group, view.buffer)
        second = self.group(Nest([*shape, pieces], frozenset([len(shape)])), order=order)
        second.nest.path = nest.path
        moved = Memory(view.permute((*range(1, len(shape) + 1), 0)))
        part = self.load(second, moved, list(range(len(shape) + 1)))
        total = second.nest.add(op, [part], node.dtype)
        answer = tuple(d if d in varying else None for d in range(len(shape)))
        self.put(output, Inside(second, total, answer, shape))

    # ------------------------------------------------------------------------------------- other

    def copy(self, x: Any, order: Sequence[int] | None = None) -> Memory:
        """A value in fresh memory of its own, row-major unless another order of dimensions is given."""
        place = self.place(x)
        shape, dtype = place.shape, x.dtype
        dims = range(len(shape))
        view = self.allocate(shape, dtype, dims, list(dims) if order is None else order, ())
        self.into(x, view)
        return Memory(view)

    def plain(self, x: Any) -> View:
        """A view that says everything about a value in memory: gathered and guarded ones are copied."""
        memory = self.memory(x)
        if memory.plain:
            return memory.view
        copied = self.copy(x)
        if isinstance(x, Symbol):
            self.places[x] = copied
        return copied.view

    def fallback(self, equation: Equation) -> None:
        """An operation without native code: its NumPy meaning between two native pieces."""
        inputs = [self.plain(x) for x in equation.inputs]
        group = self.group(Nest([]), open=False)
        for view in inputs:
            self.read(group, view.buffer)
        outputs = []
        for symbol in equation.outputs:
            view = View(self.new_buffer(symbol.dtype, symbol.size), symbol.shape, row_major(symbol.shape))
            self.places[symbol] = Memory(view)
            self.written(group, view.buffer)
            outputs.append(view)
        group.call = (equation, inputs, outputs)
        group.checks = True  # it may raise an error

    def native(self, equation: Equation) -> bool:
        """Whether all data types can be in registers, and there is anything to compute."""
        values = [*equation.inputs, *equation.outputs]
        if equation.primitive is Check:
            values = values[:1]  # the rest is only looked at when something is wrong
        if equation.primitive.name in NO_BOOLEANS and values[0].dtype == np.bool_:
            return False
        return all(is_computed(x.dtype) and x.size for x in values)

    def run(self, equations: Sequence[Equation], rules: dict[str, Callable[[Lowering, Equation], bool]]) -> None:
        """Lower all equations in order. A rule answers whether it could; if not, NumPy does it."""
        for equation in equations:
            self.path = equation.path
            name = equation.primitive.name
            if self._fold(equation):
                continue
            if self.native(equation):
                if equation.primitive.accumulates and any(is_half(x.dtype) for x in equation.inputs):
                    self._in_single(equation, rules)
                    continue
                if name in self.elementwise:
                    (output,) = equation.outputs
                    self.map(name, equation.inputs, output, output.shape, output.dtype, equation.parameters)
                    continue
                rule = rules.get(name)
                if rule is not None and rule(self, equation):
                    continue
            self.fallback(equation)

    def _in_single(self, equation: Equation, rules: dict[str, Callable[[Lowering, Equation], bool]]) -> None:
        """What adds up many halves computes in float32, and its result is rounded."""
        inputs = [self._single(x) if is_half(x.dtype) else x for x in equation.inputs]
        outputs = [Symbol(z.shape, _single) if is_half(z.dtype) else z for z in equation.outputs]
        forms = [(z.shape, z.dtype) for z in outputs]
        form = forms if type(equation.forms) is list else forms[0]
        for wide, z in zip(outputs, equation.outputs, strict=True):
            if z in self.wishes:
                self.wishes[wide] = self.wishes[z]
        self.run([equation._replace(inputs=tuple(inputs), outputs=tuple(outputs), forms=form)], rules)
        for wide, z in zip(outputs, equation.outputs, strict=True):
            if wide is not z:
                self.map("Cast", [wide], z, z.shape, z.dtype, {"dtype": z.dtype})

    def _single(self, x: Any) -> Any:
        """A value of halves as float32, with the border that it shall have."""
        if not isinstance(x, Symbol):
            return x.astype(_single)
        if x not in self.singles:
            wide = self.singles[x] = Symbol(x.shape, _single)
            if x in self.halos:
                self.halos[wide] = self.halos[x]
            place = self.place(x)
            if isinstance(place, Constant):
                self.places[wide] = Constant(_single.type(place.value), place.shape, _single)
            else:
                self.map("Cast", [x], wide, x.shape, _single, {"dtype": _single})
        return self.singles[x]

    def _fold(self, equation: Equation) -> bool:
        """An elementwise operation on constants is a constant."""
        places = [self.place(x) for x in equation.inputs]
        if equation.primitive.name not in self.elementwise or not all(isinstance(p, Constant) for p in places):
            return False
        (output,) = equation.outputs
        arrays: list[Array] = [np.full((), p.value, p.dtype) for p in places]  # type: ignore[union-attr]
        value = equation.primitive.compute(arrays, equation.parameters, ((), output.dtype))
        self.places[output] = Constant(value[()], output.shape, output.dtype)
        return True


def image_order(shape: Shape) -> list[int]:
    """How what is convolved lies in memory: channels last, or pixels last if the channels would not fill a vector."""
    pixels = list(range(2, len(shape)))
    return [0, *pixels, 1] if shape[1] >= FEW_CHANNELS else [0, 1, *pixels]


def _live_dims(memory: Memory) -> list[int]:
    """The dimensions along which a value in memory varies; one that was looked up at one place may be repeated."""
    guarded = {d for d, _, _ in memory.guards}
    gathered = {d for g in memory.gathers for d, n in zip(g.dims, g.symbol.shape, strict=True) if n != 1}
    return [
        d
        for d, (extent, stride) in enumerate(zip(memory.view.shape, memory.view.strides, strict=True))
        if extent != 1 and (stride or d in guarded or d in gathered)
    ]


def _varying_dims(place: Any) -> list[int]:
    if isinstance(place, Inside):
        return [d for d, axis in enumerate(place.axes) if axis is not None and place.shape[d] != 1]
    return _live_dims(place)


def _axes_by_stride(view: View) -> list[int]:
    """The dimensions from far apart to close together in memory."""
    return sorted(range(len(view.shape)), key=lambda d: (-abs(view.strides[d]) if view.strides[d] else 0, d))


def choose_split(nest: Nest, order: Sequence[int]) -> tuple[int, int] | None:
    """Which reduced axis to cut, and into pieces of how many; None if the reduction is better left whole."""
    kept = math.prod(e for a, e in enumerate(nest.extents) if a not in nest.reduced)
    depth = math.prod(nest.extents[a] for a in nest.reduced)
    if depth < 512 or kept * depth < 2**15 or (kept >= 256 and depth <= 2048 and order and order[-1] in nest.reduced):
        return None
    axis = next((a for a in order if a in nest.reduced and nest.extents[a] > 1), None)
    if axis is None:
        axis = max(nest.reduced, key=lambda a: nest.extents[a])
    rest = depth // nest.extents[axis]
    goal = max(128, 2**14 // max(kept, 1)) if order and order[-1] not in nest.reduced else 2**13
    return axis, max(1, min(nest.extents[axis], goal // max(rest, 1)))
