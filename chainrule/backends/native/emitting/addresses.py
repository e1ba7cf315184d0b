"""Where each operand of a nest is, at every place of the walk: loops are entered, and addresses move along.

What is written knows no sizes; the questions that the function asks are collected here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chainrule.backends.native.emitting.questions import (
    Begin,
    Constant,
    Count,
    Distance,
    Extent,
    Limit,
    Question,
    TermOf,
)
from chainrule.backends.native.emitting.walk import (
    FEWER_SUMS,
    MOST_SUMS,
    WIDE,
    Shape,
    bundle,
    cut,
    guarded_alike,
    turn_inside_out,
    turned_axes,
    vectors_abreast,
    walk,
)
from chainrule.backends.native.language import elementary
from chainrule.backends.native.language.code import Code, Lanes
from chainrule.backends.native.lowering.nest import REDUCTIONS, Axis, Block, Nest, Number, Operand, Position

#: Constants that only go into these may be arguments of the function.
_ARITHMETIC = frozenset({"Add", "Subtract", "Multiply", "Divide"})
#: Numbers that are better known when the code is made: 0, and small powers of two, by which is divided exactly.
_PLAIN = frozenset([0.0, *(sign * 2.0**power for sign in (1, -1) for power in range(-6, 7))])
#: Distances from lane to lane that a function knows: neighbours, either way, and every other entry.
KNOWN = (1, -1, 2)


def lifted(nest: Nest) -> list[int]:
    """Which nodes are constants that a function reads instead of knowing them: how many samples there are, mostly."""
    others = {id(x) for node in nest.nodes if node.op not in _ARITHMETIC for x in node.inputs}
    others |= {id(node) for node, _ in nest.stores}
    return [
        place
        for place, node in enumerate(nest.nodes)
        if isinstance(node, Number) and node.dtype.kind == "f" and node.dtype.itemsize > 2
        and id(node) not in others and float(node.number) not in _PLAIN
    ]  # fmt: skip


class Addresses:
    """Knows how a nest is walked, and writes where each of its operands is at every place of the walk.

    Args:
        nest: the loops.
        name: of the function.
        vector_bits: the size of a vector.
        block: for what is done with a contraction's result, the axes that are its rows, and the one of its columns.
    """

    def __init__(
        self, nest: Nest, name: str, vector_bits: int = 512, block: tuple[Sequence[int], int] | None = None
    ) -> None:
        self.nest = nest = nest.copy()  # how it is walked is changed below
        self.block = block
        if nest.split is not None:
            cut(nest, *nest.split)
        self.shape = walk(nest)
        self.turned = turned_axes(nest, self.shape, vector_bits) if block is None else None
        if self.turned is not None:
            self.shape = self.shape._replace(vector=self.turned.read)
        elif turn_inside_out(nest):
            self.shape = walk(nest)
        self.bundle, self.crossed = bundle(nest, self.shape, MOST_SUMS if vector_bits == 512 else FEWER_SUMS)
        self.operands = nest.operands()
        self.lifted = lifted(nest)
        self.questions: list[Question] = []
        self.vector = self.shape.vector
        self.lanes = vector_bits // max([n.dtype.itemsize * 8 for n in nest.nodes if n.dtype.kind == "f"] + [32])
        #: How far it is from one vector to the next.
        self.advance = self.lanes
        self.strip = self.vector is not None and self.vector not in nest.reduced
        alone = self.bundle or self.turned is not None or block is not None
        self.abreast = 1 if alone else vectors_abreast(nest, self.shape, self.lanes, vector_bits)
        self.columns: list[Any] = []
        self.inner = nest.reduced | {Axis.BUNDLED, Axis.CROSSED}
        if self.turned is not None:
            self.inner |= {self.turned.written}
        self.has_block = False
        self.rows = [axis for axis in self.shape.outer if axis != self.vector and axis not in self.inner]
        arguments = [("ptr", "%n"), ("ptr", "%bases"), ("i64", "%part"), ("ptr", "%scratch")]
        if block is not None:
            self._walk_block(*block)
            numbers = ["%first", "%count", "%low", "%columns", "%ld"]
            arguments = [*arguments[:2], ("ptr", "%block"), *[("i64", x) for x in numbers]]
        self.extents = self.shape.extents
        self.code = Code("void", name, arguments)
        self.status = self.check = self.mask = ""
        self.side_by_side: int | None = None
        #: Where the walk is: what is known in each block, the address of each operand, the index along each axis.
        self.scopes: list[dict[Any, str]] = [{}]
        self.at: list[dict[int, str]] = []
        #: Values that are halves already, by the identity of their nodes.
        self.rounded: set[int] = set()
        self.index: dict[int, str] = {}
        self.row = self.piece = ""
        self._stage()

    def _walk_block(self, rows: Sequence[int], column: int) -> None:
        """The nest finishes a block of a contraction's result: rows are numbered through, columns are the vector."""
        self.vector, self.strip = column, True
        self.has_block = not any(isinstance(n, Block) and n.axes for n in self.nest.nodes)
        self.rows = [axis for axis in rows if self.nest.extents[axis] != 1]
        extents = dict(enumerate(self.nest.extents))
        if self.nest.operands_along(Axis.PIECES):
            self.rows = [Axis.PIECES, *self.rows]
            extents[Axis.PIECES] = 0
        self.shape = Shape(extents, (*self.rows, column), (), column)

    # ------------------------------------------------------------------------------------- planning

    @property
    def divided(self) -> int | None:
        """The axis along which work is divided where rows are few."""
        if self.turned is None:
            return self.vector
        return max(self.turned, key=lambda axis: self.shape.extents[axis])

    def _stage(self) -> None:
        """For each node the number of walks along the reduced axes that must be over before it is known."""
        self.stage: dict[int, int] = {}
        for node in self.nest.nodes:
            stage = max((self.stage[id(x)] for x in node.inputs), default=0)
            self.stage[id(node)] = stage + (node.op in REDUCTIONS)
        self.stages = max(self.stage.values(), default=0)

    def number(self, question: Question) -> str:
        """A number the code reads from its arguments: the answer to a question."""
        return self.code.load("i64", self._next(question))

    def _next(self, question: Question) -> str:
        """Where the next of the arguments is."""
        self.questions.append(question)
        return self.code.at("%n", "i64", str(len(self.questions) - 1))

    def mul(self, x: str, y: str) -> str:
        """x · y."""
        return y if x == "1" else x if y == "1" else self.code.op(f"mul i64 {x}, {y}")

    def add(self, x: str, y: str) -> str:
        """x + y."""
        return y if x == "0" else x if y == "0" else self.code.op(f"add i64 {x}, {y}")

    # ------------------------------------------------------------------------------------- places

    def _prepare(self) -> dict[int, str]:
        """Read all numbers the loops need; the answer is where each operand begins."""
        code, shape, numbered = self.code, self.shape, list(enumerate(self.operands))
        self.extent = {axis: self.number(Extent(axis)) for axis in (*shape.outer, *shape.reduced)}
        self.stride = {
            (id(o), axis): self.number(Distance(n, axis))
            for n, o in numbered
            for axis in (*shape.outer, *shape.reduced, Axis.BUNDLED, Axis.CROSSED)
            if o.strides.get(axis, 0) and not (axis == self.vector and o.strides[axis] in KNOWN)
        }
        base = {}
        for n, o in numbered:
            slot, offset = self.number(Begin(n, "slot")), self.number(Begin(n, "offset"))
            memory = code.load("ptr", code.at("%bases", "ptr", slot))
            base[id(o)] = code.op(f"getelementptr i8, ptr {memory}, i64 {offset}")
        if any(o.terms or o.reports for o in self.operands):
            self.status, self.check = code.load("ptr", "%bases"), self.number("check")
        self.term_numbers = {
            (id(o), i): (self.number(TermOf(n, i, "extent")), self.number(TermOf(n, i, "stride")))
            for n, o in numbered
            for i in range(len(o.terms))
        }
        first = guarded_alike(self.operands)
        self.guarded_alike = {id(o): id(self.operands[first[n]]) for n, o in numbered}
        self.guard_numbers = {
            (id(o), i): (self.number(Limit(n, i, "low")), self.number(Limit(n, i, "high")))
            for n, o in numbered
            for i in range(len(o.guards))
            if first[n] == n
        }
        self.counts = {
            (id(node), axis): self.number(Count(n, axis))
            for n, node in enumerate(self.nest.nodes)
            if isinstance(node, Position)
            for axis in (*shape.outer, *shape.reduced)
            if node.strides.get(axis)
        }
        self.constants = {}
        for place in self.lifted:
            node = self.nest.nodes[place]
            kind = elementary.register(node.dtype, 1)
            one = code.load(kind.element, self._next(Constant(place)))
            for lanes in {1, self.lanes}:
                self.constants[id(node), lanes] = code.spread(kind._replace(lanes=lanes), one)
        return base

    def _enter(self, axes: Sequence[int], index: dict[int, str]) -> None:
        """Go into a loop: all addresses move along with its indices."""
        pointers = dict(self.at[-1])
        for o in self.operands:
            moves = [
                self.mul(self._entry(index[a], o.times(a)), self.stride[id(o), a])
                for a in axes
                if (id(o), a) in self.stride
            ]
            if moves:
                move = moves[0]
                for other in moves[1:]:
                    move = self.add(move, other)
                pointers[id(o)] = self.code.op(f"getelementptr i8, ptr {pointers[id(o)]}, i64 {move}")
        self.at.append(pointers)
        self.index = {**self.index, **index}
        self.scopes.append({})

    def _entry(self, index: str, times: int) -> str:
        """Which entry a place has, where so many neighbours are one."""
        return index if times == 1 else self.code.op(f"udiv i64 {index}, {times}")

    def _leave(self) -> None:
        self.at.pop()
        self.scopes.pop()

    def _absolute(self, axis: int) -> str:
        """The index along an axis, counted from the start of the whole grid."""
        if self.nest.split is not None and axis == self.nest.split[0]:
            return self.add(self.piece, self.index[axis])
        return self.index.get(axis, "0")

    # ------------------------------------------------------------------------------------- masks

    def _first_lanes(self, number: str) -> str:
        """A mask of so many lanes, or of all; the number is below 2³¹."""
        kind = Lanes("i32", self.lanes)
        limit = self.code.spread(kind, self.code.op(f"trunc i64 {number} to i32"))
        return self.code.op(f"icmp slt {kind.text} {elementary.count(kind)}, {limit}")

    def _guard(self, operand: Operand, width: int, step: int = 1) -> str:
        """A mask of the lanes for which memory holds an entry; "" if it is all of them.

        step: how far the index moves from lane to lane. Operands that have entries at the same places share a mask.
        """
        if not operand.guards:
            return ""
        owner = self.guarded_alike[id(operand)]
        key = "guard", owner, width, step
        known = next((scope[key] for scope in reversed(self.scopes) if key in scope), None)
        if known is None:
            known = self.scopes[-1][key] = self._guard_of(operand, owner, width, step)
        return known

    def _guard_of(self, operand: Operand, owner: int, width: int, step: int) -> str:
        code, mask, same = self.code, "", ""
        for i, guard in enumerate(operand.guards):
            index, along = self._absolute(guard.axis), guard.axis == self.vector and width * step > 1
            wide = self.nest.extents[guard.axis] >= WIDE
            kind = Lanes("i64" if wide else "i32", width)
            if along:
                first = code.spread(kind, index if wide else code.op(f"trunc i64 {index} to i32"))
                lanes = "<" + ", ".join(f"{kind.element} {lane * step}" for lane in range(width)) + ">"
                index = code.op(f"add {kind.text} {first}, {lanes}")
            for limit, test in zip(self.guard_numbers[owner, i], ("sge", "slt"), strict=True):
                if along:
                    limits = code.spread(kind, limit if wide else code.op(f"trunc i64 {limit} to i32"))
                    holds = code.op(f"icmp {test} {kind.text} {index}, {limits}")
                    mask = code.op(f"and <{width} x i1> {mask}, {holds}") if mask else holds
                else:  # the same for all lanes
                    holds = code.op(f"icmp {test} i64 {index}, {limit}")
                    same = code.op(f"and i1 {same}, {holds}") if same else holds
        if same:
            everywhere = code.spread(Lanes("i1", width), same)
            mask = code.op(f"and <{width} x i1> {mask}, {everywhere}") if mask else everywhere
        return mask
