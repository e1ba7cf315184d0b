"""A nest: one loop over a grid of places that computes several values at once.

Fused elementwise work becomes a nest without reduced axes; a row's softmax is a nest whose columns are reduced and
then walked again; the gradient of a bias is one whose rows are reduced. Every value knows along which axes of the
grid it varies; what varies along fewer axes is computed further outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any, NamedTuple

from chainrule.backends.native.lowering.place import Buffer, Guard, Repeat, View
from chainrule.primitives.value import DataType

#: Reductions: the operations whose result no longer varies along the reduced axes.
REDUCTIONS = frozenset({"Sum", "Product", "Amax", "Argmax"})
#: What is known at each place of a walk along the reduced axis: the sum so far, where the largest so far stands.
RUNNING = frozenset({"RunningSum", "RunningArgmax", "RunningArgmin"})


class Axis(IntEnum):
    """Axes that a nest has beside those of its grid, which are numbered from 0.

    `PIECES` counts the pieces of a reduction that is cut. `BUNDLED` runs within a bundle: neighbouring places of a kept
    axis whose sums go side by side, written out, and share what they read; `CROSSED` along a second axis of the same
    bundle.
    """

    PIECES = -1
    BUNDLED = -2
    CROSSED = -3


class Term(NamedTuple):
    """An index found in another value: the address moves by index · stride. It counts from the end if negative."""

    place: Node
    extent: int
    stride: int


@dataclass(eq=False)
class Operand:
    """Where a nest reads or writes: a buffer, and a stride for each axis along which the place moves.

    One that `reports` writes nothing: where the value that is stored there is true, a check has failed. With a `spread`
    lane i of a vector reads what lane i − i mod `spread` would: neighbours that are a group read the same.
    """

    buffer: Buffer
    offset: int
    strides: dict[int, int]
    guards: tuple[Guard, ...] = ()
    constant: float = 0
    terms: tuple[Term, ...] = ()
    reports: bool = False
    spread: int = 1
    repeats: tuple[Repeat, ...] = ()

    @property
    def dtype(self) -> DataType:
        """The data type of the entries."""
        return self.buffer.dtype

    def times(self, axis: int | None) -> int:
        """How many neighbours along an axis are one entry."""
        return next((x.times for x in self.repeats if x.axis == axis), 1)


def operand_of(view: View, axes: Sequence[int | None], terms: tuple[Term, ...] = ()) -> Operand:
    """A place with a nest's axes put in for its dimensions; the terms are its look-ups, found within the nest.

    >>> import numpy as np
    >>> operand_of(View(Buffer(np.dtype(np.float32), 12), (3, 1, 4), (4, 4, 1)), (5, 2, None)).strides
    {5: 4}
    """
    walked = zip(axes, view.strides, view.shape, strict=True)
    strides = {axis: stride for axis, stride, extent in walked if stride and axis is not None and extent != 1}
    guards = view.guards and tuple([g._replace(axis=axis) for g in view.guards if (axis := axes[g.axis]) is not None])
    repeats = view.repeats and tuple([x.along(dict(enumerate(axes))) for x in view.repeats])  # type: ignore[arg-type]
    return Operand(view.buffer, view.offset, strides, guards, view.filler, terms, repeats=repeats)


@dataclass(eq=False)
class Node:
    """One value within a nest.

    Attributes:
        op: a primitive's name; of those below "load", "constant", "position", "block".
        inputs: the values it is made of.
        axes: along which axes of the nest it varies.
        settings: of the operation.
    """

    op: str
    inputs: tuple[Node, ...]
    dtype: DataType
    axes: frozenset[int]
    settings: Any = None


@dataclass(eq=False)
class Load(Node):
    """What is in memory; made of the indices by which it is looked up."""

    operand: Operand = field(kw_only=True)


@dataclass(eq=False)
class Number(Node):
    """The same number everywhere."""

    number: Any = field(kw_only=True)


@dataclass(eq=False)
class Position(Node):
    """Which entry it is, counted: the sum of the indices along the axes times these strides."""

    strides: dict[int, int] = field(kw_only=True)


@dataclass(eq=False)
class Block(Node):
    """What a contraction has made, before it is written to memory."""


class Sliding(NamedTuple):
    """How the one sum of a nest is walked whose terms are an image's entries in a window times something else.

    Neighbouring windows share what they read, so some of them are summed side by side and the window is written out.

    Attributes:
        along: the axis along which the window slides.
        tap: the window's axis of the same dimension of the image.
        others: the window's other axes, the closest together in memory first.
        vector: the axis along which vectors lie.
        collects: whether the window's entries are what is summed up (a kernel's gradient), and not what is summed over.
    """

    along: int
    tap: int
    others: tuple[int, ...]
    vector: int
    collects: bool

    @property
    def axes(self) -> set[int]:
        """All of them."""
        return {self.along, self.tap, *self.others, self.vector}


class Sorting(NamedTuple):
    """Rows that are sorted: (rows, length) of each view; what is written lies densely."""

    source: View
    values: View
    indices: View
    descending: bool


@dataclass(eq=False)
class Nest:
    """The grid, the values computed on it, and which of them are written where.

    Attributes:
        extents: of the axes.
        reduced: the axes that reductions walk along.
        nodes: the values, each after those it is made of.
        stores: what is written to memory.
        split: a reduced axis that is cut, and the length of the pieces. Each is reduced for itself; where the results
            are written, the operand has a stride along `Axis.PIECES` too.
        sequential: the reduced axes are walked in order and vectors never lie along them, because what is written at
            one place may be read at the next.
        sliding: how its sum is walked, if that is the sum over a sliding window.
        sorting: what it sorts, if that is all it does.
        path: the module path of what it computes, for messages and profiles.
    """

    extents: list[int] = field(default_factory=list)
    reduced: frozenset[int] = frozenset()
    nodes: list[Node] = field(default_factory=list)
    stores: list[tuple[Node, Operand]] = field(default_factory=list)
    split: tuple[int, int] | None = None
    sequential: bool = False
    sliding: Sliding | None = None
    sorting: Sorting | None = None
    path: str = ""
    title: str = ""

    def add(self, op: str, inputs: Sequence[Node], dtype: DataType, settings: Any = None) -> Node:
        """A value that varies along the axes of what it is made of."""
        axes = frozenset[int]().union(*(node.axes for node in inputs))
        if op in REDUCTIONS:
            axes -= self.reduced
        return self.append(Node(op, tuple(inputs), dtype, axes, settings))

    def append(self, node: Node) -> Node:
        """Put a value behind the others."""
        self.nodes.append(node)
        return node

    def load(self, operand: Operand) -> Node:
        """A value read from memory."""
        axes = {axis for axis, stride in operand.strides.items() if stride and self.extents[axis] != 1}
        axes |= {guard.axis for guard in operand.guards}
        for term in operand.terms:
            axes |= term.place.axes
        inputs = tuple(term.place for term in operand.terms)
        return self.append(Load("load", inputs, operand.dtype, frozenset(axes), operand=operand))

    def store(self, node: Node, view: View, axes: Sequence[int | None]) -> None:
        """Write a value to memory, whose dimensions are these axes."""
        self.stores.append((node, operand_of(view, axes)))

    def constant(self, value: Any, dtype: DataType) -> Node:
        """A number."""
        return self.append(Number("constant", (), dtype, frozenset(), number=value))

    def position(self, axes: Sequence[int | None], strides: Sequence[int], dtype: DataType) -> Node:
        """Which entry it is: Σ index · stride, where these axes are the dimensions."""
        walked = {a: s for a, s in zip(axes, strides, strict=True) if a is not None and s and self.extents[a] != 1}
        if not walked:
            return self.constant(0, dtype)
        return self.append(Position("position", (), dtype, frozenset(walked), strides=walked))

    def take_in(self, other: Nest, axes: dict[int, int]) -> None:
        """All of another nest, whose axes are these of ours; its values come first, for ours may be made of them."""
        for node in other.nodes:
            node.axes = frozenset(axes[axis] for axis in node.axes)
            if isinstance(node, Position):
                node.strides = {axes[axis]: stride for axis, stride in node.strides.items()}
        for operand in other.operands():
            operand.strides = {axes.get(axis, axis): stride for axis, stride in operand.strides.items() if stride}
            operand.guards = tuple(guard.along(axes) for guard in operand.guards)
            operand.repeats = tuple(x.along(axes) for x in operand.repeats)
        self.nodes = [*other.nodes, *self.nodes]
        self.stores += other.stores

    def operands(self) -> list[Operand]:
        """All places it reads and writes, in a fixed order."""
        loads = [node.operand for node in self.nodes if isinstance(node, Load)]
        return [*loads, *(operand for _, operand in self.stores)]

    def operands_along(self, axis: int) -> list[Operand]:
        """Those operands that move along an axis."""
        return [operand for operand in self.operands() if operand.strides.get(axis)]

    def copy(self) -> Nest:
        """The same nest, whose walk may be changed without changing this one."""
        made: dict[int, Node] = {}

        def moved(operand: Operand) -> Operand:
            terms = tuple([term._replace(place=made[id(term.place)]) for term in operand.terms])
            return replace(operand, strides=dict(operand.strides), terms=terms)

        for node in self.nodes:
            twin = made[id(node)] = replace(node, inputs=tuple([made[id(x)] for x in node.inputs]))
            if isinstance(twin, Load):
                twin.operand = moved(twin.operand)
        stores = [(made[id(node)], moved(operand)) for node, operand in self.stores]
        return replace(self, extents=list(self.extents), nodes=list(made.values()), stores=stores)

    def drop_unused(self) -> None:
        """Forget values that no store needs."""
        needed = {id(node) for node, _ in self.stores}
        for _, operand in self.stores:
            needed |= {id(term.place) for term in operand.terms}
        kept = []
        for node in reversed(self.nodes):
            if id(node) in needed:
                kept.append(node)
                needed |= {id(x) for x in node.inputs}
        self.nodes = kept[::-1]
