"""Where each value is, how it gets into memory, and how a group reads it; who waits for whom follows (`waiting.py`)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from chainrule.backends.memory import ordered_strides
from chainrule.backends.native.lowering.groups import LITTLE, Group, axes_by_stride, image_order
from chainrule.backends.native.lowering.nest import Nest, Node, Term, operand_of
from chainrule.backends.native.lowering.place import Buffer, Inside, Place, View, constant, literal
from chainrule.backends.native.lowering.waiting import Waiting
from chainrule.primitives.value import Array, DataType, Shape, Symbol
from chainrule.program.graph import Equation

#: Operations that take no longer than reading an entry, and how many of them take less time than writing one.
SIMPLE, FEW = frozenset({"Add", "Subtract", "Multiply", "Negate", "Cast"}), 4
#: Values of fewer entries stay in a cache between two groups: there is nothing to be saved.
LARGE = 2**15
#: What has so many times fewer entries is read beside another value at no cost.
SMALLER = 16
#: As many entries of float32 as a vector has on the widest processors, and how many vectors are no longer few.
VECTOR, LINES = 16, 4
#: Copies a value into an order of dimensions.
Copier = Callable[[Sequence[int]], View]
#: How many bytes a product's B, wanted so many times, takes laid out for registers of another form; 0 where it is read
#: as it lies, or where each part had better lay it out.
Layout = Callable[[Any, int], int]


class Placing(Waiting):
    """What is known while a graph is lowered: all of its state, with that of `Waiting`.

    Attributes:
        elementwise: the names of operations that are done entry by entry.
        halos: how wide a border of zeros convolutions want around a value.
        places: where every value is; arrays that stand in equations by their identity, and `literals` keeps them alive.
        buffers: memory of the arena.
        borders: of buffers with a border: the view within it, and its width.
        copies: what has been copied into another order, or with a border, by value and form.
        laid: what has been laid out before (`laying.py`).
        again: whether this is done again and again: the body of a loop.
        wishes: in which order of dimensions a value should lie.
        homes: where a value has to be in the end, if it is written anywhere.
        results: the program's results and their memory, which is new: what loops stack for them is made there.
        updates: what a cell or an argument becomes by writing at some of its places: its memory; see `scatter.py`.
        updating: the groups that do that.
        checked: indices whose range has been looked at, with the extent.
        singles: values of halves as float32.
        fixed: within a loop, what is the same each time: how to copy it before the loop; None, if that is not wanted.
        narrow: numbers of places, int64, as a smaller type in which they lie more closely.
        formulas: the equations that make values by simple operations.
        uses: how often each value is needed, by equations and in the end.
        path: the module path of the equation that is being lowered.
    """

    def __init__(self, elementwise: frozenset[str], halos: dict[Any, Shape]) -> None:
        super().__init__()
        self.elementwise = elementwise
        self.halos = halos
        self.places: dict[Any, Place] = {}
        self.buffers: list[Buffer] = []
        self.borders: dict[Buffer, tuple[View, Shape]] = {}
        self.copies: dict[Any, View] = {}
        self.laid: dict[Any, Buffer] = {}
        self.wishes: dict[Any, Shape] = {}
        self.homes: dict[Any, View] = {}
        self.results: dict[Any, View] = {}
        self.updates: dict[Any, View] = {}
        self.updating: list[Group] = []
        self.checked: set[tuple[Any, int]] = set()
        self.literals: list[Array] = []
        self.singles: dict[Symbol, Symbol] = {}
        self.fixed: Mapping[Any, Copier | None] = {}
        self.narrow: dict[Symbol, Symbol] = {}
        self.formulas: dict[Symbol, Equation] = {}
        self.uses: Counter[Any] = Counter()
        self.path = ""
        self.again = False
        #: Lowers the body of a loop, given where its inputs are and where its results have to be.
        self.lower_body: Callable[..., Any]
        #: None where the processor has no registers of another form than vectors.
        self.layout: Layout | None = None

    # ------------------------------------------------------------------------------------- where values are

    def place(self, x: Any) -> Place:
        """Where a value is. An array that stands in an equation is a number or memory of its own."""
        if isinstance(x, Symbol):
            return self.places[x]
        known = self.places.get(id(x))
        if known is None:
            known = self.places[self.key(x)] = literal(x)
        return known

    def key(self, x: Any) -> Any:
        """What a value is known by: arrays in equations by their identity."""
        if isinstance(x, Symbol):
            return x
        self.literals.append(x)  # as long as it lives nothing else has its identity
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

    def put(self, x: Any, place: Place) -> None:
        """Say where a value is."""
        self.places[x] = place
        if isinstance(place, Inside):
            place.group.values.append(x)

    def value(self, place: Place) -> Symbol:
        """What is at a place as a value that operations can take."""
        symbol = Symbol(place.shape, place.dtype)
        self.put(symbol, place)
        return symbol

    def full(self, number: Any, like: Symbol) -> Symbol:
        """A number everywhere, of the shape and data type of a value."""
        return self.value(constant(number, tuple(like.shape), like.dtype))

    # ------------------------------------------------------------------------------------- into memory

    def memory(self, x: Any) -> View:
        """A value in memory, wherever it was."""
        place = self.place(x)
        if isinstance(place, View):
            return place
        assert isinstance(place, Inside)
        home = self.homes.get(x)
        if home is not None and x not in self.halos and self._suits(place, home):
            view = home
            self.into(x, view)
        else:
            view = self.store_inside(place, self.halos.get(x, ()))
        self.places[x] = view
        # The group itself still has it at hand.
        place.group.loaded.setdefault(x, (place.node, place.axes))
        return view

    def plain(self, x: Any) -> View:
        """A value in memory of which strides say everything: what is guarded or looked up is copied."""
        view = self.memory(x)
        if not view.plain:
            whole = set(view.varying) >= {d for d, extent in enumerate(view.shape) if extent != 1}
            view = self.copy(x, axes_by_stride(view) if whole else None)
            if isinstance(x, Symbol):
                self.places[x] = view
        return view

    def copy(self, x: Any, order: Sequence[int] | None = None) -> View:
        """A value in fresh memory of its own, row-major unless another order of dimensions is given."""
        shape = self.place(x).shape
        dims = range(len(shape))
        view = self.allocate(shape, x.dtype, dims, list(dims) if order is None else order, ())
        self.into(x, view)
        return view

    def packed(self, x: Any, order: Sequence[int]) -> View:
        """A value in memory of its own in an order of dimensions. What a loop does not change is copied before it."""
        before = self.fixed.get(x) if isinstance(x, Symbol) else None
        return before(order) if before else self.copy(x, order)

    def lies_at(self, x: Any, view: View) -> bool:
        """Whether a value is in memory just there."""
        return self.place(x) == view

    def _suits(self, place: Inside, home: View) -> bool:
        """Whether a group may write a value where it must be in the end, and walks in the order it lies there."""
        axes = [place.axes[d] for d in sorted(range(len(home.shape)), key=lambda d: -home.strides[d])]
        rank = [place.group.order.index(axis) for axis in axes if axis in place.group.order]
        return self._may_store(place, home) and rank == sorted(rank)

    def store_inside(self, place: Inside, halo: Shape = ()) -> View:
        """Let the group write a value it computes: its varying dimensions, in the order the group likes."""
        rank, varying = {axis: i for i, axis in enumerate(place.group.order)}, place.varying
        order = sorted(varying, key=lambda d: rank.get(place.axes[d], d))  # type: ignore[arg-type]
        if any(axis is None and extent != 1 for axis, extent in zip(place.axes, place.shape, strict=True)):
            halo = ()  # what is the same everywhere is stored once, and that has no border
        if any(halo):
            order = image_order(place.shape)
        view = self.allocate(place.shape, place.dtype, varying, order, halo)
        self.store(place, view, apart=True)
        return view

    def store(self, place: Inside, view: View, apart: bool = False) -> None:
        """The group that computes a value writes it to memory. `apart`: no other group writes there."""
        place.group.nest.store(place.node, view, place.axes)
        (self.writes_apart if apart else self.written)(place.group, view.buffer)

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
        """Zeros all around: before the first entry and behind the last, and in the gaps between rows, between planes.

        What is behind a row and before the next lies together, and so does what is behind a plane and before the next.
        """
        bordered = [d for d, b in enumerate(border) if b]
        inside = range(bordered[0], bordered[-1] + 1)  # a row in a plane in a volume
        full, strides = [extent + 2 * b for extent, b in zip(view.shape, border, strict=True)], view.strides
        assert all(strides[d] == strides[d + 1] * full[d + 1] for d in inside[:-1]), "rows follow each other"
        size, step = list(view.shape), strides[inside[-1]]
        before = sum(border[d] * strides[d] for d in inside)
        content = step + sum((size[d] - 1) * strides[d] for d in inside)  # from the first entry to behind the last
        for d in inside:
            size[d] = 1

        def clear(gap: int, start: int, times: int, apart: int) -> None:
            """Gaps of such a length, the first behind `start` entries, in every image."""
            runs = (times, *size[: inside[-1]], gap // step, *size[inside[-1] + 1 :])
            self.clear(view.walked(runs, (apart, *strides), view.offset + start))

        clear(before, -before, 2, before + content)
        for d in inside[:-1]:
            content -= (view.shape[d] - 1) * strides[d]  # now that of one row, or plane
            if view.shape[d] > 1:
                clear(strides[d] - content, content, view.shape[d] - 1, strides[d])
            size[d] = view.shape[d]

    def clear(self, view: View) -> None:
        """Zeros at a part of what is in memory that nobody else writes."""
        nest = Nest(list(view.shape))
        nest.store(nest.constant(0, view.dtype), view, range(len(view.shape)))
        self.writes_apart(self.group(nest, open=False), view.buffer)

    def into(self, x: Any, view: View, add: bool = False, apart: bool = False) -> None:
        """Write a value to a given place (or add it to what is there). `apart`: no other group writes there."""
        place = self.place(x)
        if isinstance(place, Inside) and not add and self._may_store(place, view, apart):
            self.store(place, view, apart)
            return
        nest, dims = Nest(list(view.shape)), range(len(view.shape))
        group = self.group(nest, open=False, order=axes_by_stride(view))
        node = self.node(group, x, dims)
        if add:
            node = nest.add("Add", [nest.load(operand_of(view, dims)), node], view.dtype)
        self.store(Inside(group, node, tuple(dims), view.shape), view, apart)

    def _may_store(self, place: Inside, view: View, apart: bool = False) -> bool:
        """Whether the group that computes a value can write it there: every entry gets one, and no circle arises."""
        covered = all(axis is not None or extent == 1 for axis, extent in zip(place.axes, view.shape, strict=True))
        others = [] if apart else self.writers.get(view.buffer, [])
        return covered and all(self.could_wait(place.group, other) or other is place.group for other in others)

    def origin(self, x: Any) -> Any:
        """The one large value in memory that x is made of by a few simple operations; None if there is no such value.

        To read that one and to make x of it again, wherever x is needed, takes less time than to write x and to read
        it: what is left of an image when its mean is taken away is such a value.
        """
        if not isinstance(x, Symbol) or x not in self.formulas or x.size < LARGE or x in self.homes:
            return None
        large: list[Any] = []
        count, left = 0, [x]
        while left:
            y = left.pop()
            place = self.place(y)
            if math.prod([place.shape[d] for d in place.varying]) * SMALLER <= x.size or y in large:
                continue
            if isinstance(place, View):
                large.append(y)
                continue
            if count == FEW or y not in self.formulas:
                return None
            count, left = count + 1, [*left, *self.formulas[y].inputs]
        fits = len(large) == 1 and large[0].dtype.itemsize <= x.dtype.itemsize
        return large[0] if fits and self.place(large[0]).plain else None  # type: ignore[attr-defined]

    # ------------------------------------------------------------------------------------- reading within a group

    def node(self, group: Group, x: Any, dims: Sequence[int | None]) -> Node:
        """A value within a group whose axes are known for each dimension; read from memory if it is elsewhere."""
        place = self.place(x)
        if isinstance(place, Inside):
            if place.group is group:
                return place.node
            if self.origin(x) is not None:
                return self._made_again(group, x, dims)
        elif (number := place.number) is not None:
            return group.nest.constant(number, place.dtype)
        view, key = self.memory(x), self.key(x)
        varying = set(view.varying)
        axes = tuple([axis if d in varying else None for d, axis in enumerate(dims)])
        known = group.loaded.get(key)
        if known is not None and known[1] == axes:
            return known[0]
        if group.draws and self._lies_across(view, group, dims):
            view = self.copy(x, [d for axis in group.order for d, a in enumerate(dims) if a == axis])
        elif self._cuts_lines(view, group, dims):
            view = self._spread(x, view, dims.index(group.order[-1]))
        node = self.load(group, view, dims)
        group.loaded[key] = (node, axes)
        return node

    def _made_again(self, group: Group, x: Symbol, dims: Sequence[int | None]) -> Node:
        """What another group computes and does not write."""
        varying = set(self.place(x).varying)
        axes = tuple([axis if d in varying else None for d, axis in enumerate(dims)])
        known = group.loaded.get(x)
        if known is None or known[1] != axes:
            equation = self.formulas[x]
            nodes = [self.node(group, y, dims) for y in equation.inputs]
            known = group.nest.add(equation.primitive.name, nodes, x.dtype, equation.parameters), axes
            group.loaded[x] = known
        return known[0]

    def _lies_across(self, view: View, group: Group, dims: Sequence[int | None]) -> bool:
        """Whether a group that walks as its draws are counted would read a large value from far apart."""
        last = [d for d, axis in enumerate(dims) if axis == group.order[-1] and view.strides[d] > 1]
        whole = view.plain and len(set(view.varying)) == len(dims) == len(group.order) and 1 in view.strides
        return bool(last) and whole and math.prod(view.shape) >= LITTLE

    def _cuts_lines(self, view: View, group: Group, dims: Sequence[int | None]) -> bool:
        """Whether a small value that is the same along a short last axis keeps it from being one with the axis before.

        Such are the means of a few channels each, where channels lie last: a vector would end with each few.
        """
        if len(group.order) < 2 or not view.plain:
            return False
        before, last = group.order[-2:]
        extents = group.nest.extents
        size = math.prod([view.shape[d] for d in view.varying]) * extents[last]
        if not 1 < extents[last] < LINES * VECTOR or not extents[last] % VECTOR or extents[before] == 1:
            return False
        cut = (
            last in dims and before in dims and not view.strides[dims.index(last)] and view.strides[dims.index(before)]
        )
        return bool(cut) and size * SMALLER <= math.prod(extents)

    def _spread(self, x: Any, view: View, dim: int) -> View:
        """A value written out along one more dimension, along which it is the same."""
        key = ("spread", self.key(x), dim)
        if key not in self.copies:
            dims = {*view.varying, dim}
            order = [d for d in axes_by_stride(view) if d in dims and d != dim] + [dim]
            wide = self.allocate(view.shape, view.dtype, sorted(dims), order, ())
            nest = Nest([n if d in dims else 1 for d, n in enumerate(view.shape)])
            group = self.group(nest, open=False, order=order)
            node = self.load(group, view, range(len(view.shape)))
            nest.store(node, wide, range(len(view.shape)))
            self.writes_apart(group, wide.buffer)
            self.copies[key] = wide
        return self.copies[key]

    def load(self, group: Group, view: View, dims: Sequence[int | None]) -> Node:
        """Read from memory within a group."""
        terms = []
        for x in view.look_ups:
            index = self.node(group, x.symbol, [None if d is None else dims[d] for d in x.dims])
            terms.append(Term(index, x.extent, x.stride))
            self.look_up(group, x.symbol, x.extent)
        self.read(group, view.buffer)
        return group.nest.load(operand_of(view, dims, tuple(terms)))

    def look_up(self, group: Group, index: Any, extent: int) -> None:
        """The group uses an index. The first that does must have run before anything outside is written."""
        known = (self.key(index), extent)
        if known not in self.checked:
            self.may_fail(group)
            self.checked.add(known)
