"""The values of a nest as LLVM's language: computed, read from memory, stored, in vectors of any width."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

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
from chainrule.backends.native.emitting.turned import turned_axes
from chainrule.backends.native.emitting.walk import (
    FEWER_SUMS,
    MOST_SUMS,
    WIDE,
    Shape,
    bundle,
    cut,
    guarded_alike,
    turn_inside_out,
    vectors_abreast,
    walk,
)
from chainrule.backends.native.language import elementary
from chainrule.backends.native.language.code import Code, Lanes
from chainrule.backends.native.language.draws import DRAWS, draw
from chainrule.backends.native.language.halves import EXACT, is_half, rounded
from chainrule.backends.native.language.small_numbers import FOURS, four
from chainrule.backends.native.lowering.nest import (
    REDUCTIONS,
    RUNNING,
    Axis,
    Block,
    Load,
    Nest,
    Node,
    Number,
    Operand,
    Position,
)

#: Constants that only go into these may be arguments of the function.
_ARITHMETIC = frozenset({"Add", "Subtract", "Multiply", "Divide"})
#: Numbers that are better known when the code is made: 0, and small powers of two, by which is divided exactly.
_PLAIN = frozenset([0.0, *(sign * 2.0**power for sign in (1, -1) for power in range(-6, 7))])
#: Distances from lane to lane that a function knows: neighbours, either way, and every other entry.
_KNOWN = (1, -1, 2)


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


class Values:
    """Writes the values of a nest: how each is computed, read and stored.

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
            if o.strides.get(axis, 0) and not (axis == self.vector and o.strides[axis] in _KNOWN)
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

    # ------------------------------------------------------------------------------------- values

    def _evaluate(self, chosen: Callable[[Node], bool], lanes: int) -> None:
        """Compute here, once, what the loops further inside will use."""
        for node in self.nest.nodes:
            if node.op in REDUCTIONS or node.op in RUNNING or isinstance(node, Number | Block):
                continue
            if chosen(node) and self._known(node) is None and not self._waits_for_block(node):
                self._value(node, lanes)

    def _waits_for_block(self, node: Node) -> bool:
        return self.has_block and (isinstance(node, Block) or any(self._waits_for_block(x) for x in node.inputs))

    def _known(self, node: Node) -> str | None:
        for scope in reversed(self.scopes):
            if id(node) in scope:
                return scope[id(node)]
        return None

    def _width(self, node: Node, lanes: int) -> int:
        return lanes if self.vector in node.axes else 1

    def _value(self, node: Node, lanes: int) -> str:
        known = self._known(node)
        if known is None:
            known = self.scopes[-1][id(node)] = self._compute(node, lanes)
            if is_half(node.dtype) and self._is_rounded(node):
                self.rounded.add(id(node))
        return known

    def _fit(self, node: Node, lanes: int, width: int) -> str:
        """The value with so many lanes: what does not vary along the vector is the same in all."""
        if isinstance(node, Number):
            return self._constant(node, width)
        value = self._value(node, lanes)
        if self._width(node, lanes) == width:
            return value
        kind = elementary.register(node.dtype, width)
        one = self.code.op(f"extractelement <1 x {kind.element}> {value}, i64 0")
        return self.code.spread(kind, one)

    def _is_rounded(self, node: Node) -> bool:
        """Whether what was just computed is a half, and not a float32 that is still to be rounded to one."""
        if isinstance(node, Load):
            return True
        if isinstance(node, Number | Position | Block) or node.op in DRAWS or node.op in FOURS:
            return False
        if node.op == "Cast" and node.inputs[0].dtype != node.dtype:
            return True
        return node.op not in EXACT or all(id(x) in self.rounded for x in node.inputs if is_half(x.dtype))

    def _compute(self, node: Node, lanes: int) -> str:
        width = self._width(node, lanes)
        match node:
            case Number():
                return self._constant(node, width)
            case Load():
                return self._load(node, lanes, width)
            case Position():
                return self._position(node, width)
            case Block():
                return self._block(node, width)
        inputs = [self._fit(x, lanes, width) for x in node.inputs]
        if node.op in DRAWS:
            number = node.inputs[-1]
            in_a_row = width > 1 and isinstance(number, Position) and self._counts_lanes(number)
            first = self._first_position(number) if in_a_row else ""  # type: ignore[arg-type]
            return draw(self.code, node.op, node.dtype, node.settings, width, inputs, first)
        if node.op in FOURS:
            return four(self.code, node.op, width, inputs[0])
        if node.op == "Cast":
            return elementary.cast(self.code, node.inputs[0].dtype, node.dtype, width, inputs[0])
        value = elementary.apply(self.code, node.op, node.inputs[-1].dtype, width, inputs)
        return rounded(self.code, node.dtype, width, value) if is_half(node.dtype) and node.op not in EXACT else value

    def _constant(self, node: Number, width: int) -> str:
        return self.constants.get((id(node), width)) or elementary.splat(node.dtype, width, node.number)

    def _block(self, node: Block, width: int) -> str:
        """What a contraction made, from its block."""
        code, size = self.code, node.dtype.itemsize
        row = code.op(f"sub i64 {self.row}, %first")
        column = code.op(f"sub i64 {self.index.get(self.vector, '%low')}, %low")  # type: ignore[arg-type]
        place = self.add(self.mul(row, "%ld"), self.mul(column, str(size)))
        address = code.op(f"getelementptr i8, ptr %block, i64 {place}")
        return code.load(elementary.register(node.dtype, width).text, address, size)

    def _position(self, node: Position, width: int) -> str:
        code, kind = self.code, elementary.register(node.dtype, width)

        def whole(number: str) -> str:
            """A number of 64 bits in every lane, or as many of its last bits as there is room for."""
            return code.spread(kind, number if kind.bits == 64 else code.op(f"trunc i64 {number} to {kind.element}"))

        value = whole(self._first_position(node))
        if width > 1 and self.vector is not None:
            lanes = elementary.count(kind)
            if not self._counts_lanes(node):
                lanes = code.op(f"mul {kind.text} {lanes}, {whole(self.counts[id(node), self.vector])}")
            value = code.op(f"add {kind.text} {value}, {lanes}")
        return value

    def _first_position(self, node: Position) -> str:
        """The position of the first lane."""
        total = "0"
        for axis in node.strides:
            step = self.counts.get((id(node), axis))
            if step is not None:
                total = self.add(total, self.mul(self._absolute(axis), step))
        return total

    def _counts_lanes(self, node: Position) -> bool:
        """Whether lane after lane has position after position."""
        return self.vector is not None and node.strides.get(self.vector) == 1

    # ------------------------------------------------------------------------------------- memory

    def _load(self, node: Load, lanes: int, width: int) -> str:
        operand = node.operand
        place = self._place(operand, lanes, width)
        together = self._together(operand, width)
        mask, few = self._guard(operand, width // together, together), width // together
        if self.mask and width > 1:
            rest = (
                self.mask
                if together == 1
                else elementary.picked(self.code, self.mask, width, range(0, width, together))
            )
            mask = self.code.op(f"and <{few} x i1> {mask}, {rest}") if mask else rest
        if together == 1:
            return elementary.load(self.code, operand.dtype, width, place, mask, operand.constant)
        return elementary.load_repeated(self.code, operand.dtype, width, together, place, mask, operand.constant)

    def _together(self, operand: Operand, width: int) -> int:
        """How many lanes are one entry, where a vector begins with an entry and these are neighbours; else 1."""
        times, along = operand.times(self.vector), operand.strides.get(self.vector or 0, 0)
        whole = width > 1 and self.lanes == self.advance and self.lanes % times == 0 and self.block is None
        looked_up = any(self.vector in term.place.axes for term in operand.terms)
        return times if whole and along == 1 and not looked_up else 1

    def _store(self, store: tuple[Node, Operand], lanes: int) -> None:
        node, operand = store
        if operand.reports:
            self._report(node, lanes)
            return
        moving = bool(operand.strides.get(self.vector, 0)) if self.vector is not None else False
        moving = moving or any(self.vector in term.place.axes for term in operand.terms)
        width = lanes if moving else 1
        if width == 1 and self._width(node, lanes) > 1:
            raise AssertionError("a value varies along the vector and its place does not")
        value = self._fit(node, lanes, width)
        mask = self.mask if width > 1 else ""
        place, is_rounded = self._place(operand, lanes, width), id(node) in self.rounded
        elementary.store(self.code, operand.dtype, width, place, value, mask, is_rounded)

    def _report(self, node: Node, lanes: int) -> None:
        """Set the error word where the value is true."""
        width = self._width(node, lanes)
        wrong = self._value(node, lanes)
        if self.mask and width > 1:
            wrong = self.code.op(f"and <{width} x i1> {wrong}, {self.mask}")
        elementary.report(self.code, wrong, width, self.status, self.check)

    def _place(self, operand: Operand, lanes: int, width: int) -> elementary.Place:
        """The address of an operand's entries: one, and the distance from lane to lane."""
        code, size = self.code, operand.dtype.itemsize
        address = self.at[-1][id(operand)]
        step, vector_terms = "0", []
        for i, term in enumerate(operand.terms):
            extent, stride = self.term_numbers[id(operand), i]
            index = self._checked(term.place, extent, lanes)
            if self._width(term.place, lanes) == 1:
                one = code.op(f"extractelement <1 x i64> {index}, i64 0")
                address = code.op(f"getelementptr i8, ptr {address}, i64 {self.mul(one, stride)}")
            else:
                vector_terms.append((index, stride))
        along = operand.strides.get(self.vector, 0) if self.vector is not None else 0
        if along:
            assert self.vector is not None
            step = str(along * size) if along in _KNOWN else self.stride[id(operand), self.vector]
            index, times = self.index[self.vector], operand.times(self.vector)
            move = self.mul(self._entry(index, times), step)
            if times > 1 and width > 1 and self._together(operand, width) == 1:
                vector_terms.append((self._entries_of_lanes(index, times, width), step))
                step = "0"
            address = code.op(f"getelementptr i8, ptr {address}, i64 {move}")
        if width == 1 and vector_terms:
            for index, stride in vector_terms:
                one = code.op(f"extractelement <1 x i64> {index}, i64 0")
                address = code.op(f"getelementptr i8, ptr {address}, i64 {self.mul(one, stride)}")
            vector_terms = []
        return elementary.Place(address, step if width > 1 else "0", tuple(vector_terms))

    def _entries_of_lanes(self, index: str, times: int, width: int) -> str:
        """How many entries further than the first lane's each lane has its own, where so many neighbours are one."""
        code, kind = self.code, Lanes("i32", width)
        first = code.spread(kind, code.op(f"trunc i64 {code.op(f'urem i64 {index}, {times}')} to i32"))
        place = code.op(f"add {kind.text} {first}, {elementary.count(kind)}")
        entry = code.op(f"udiv {kind.text} {place}, {kind.splat(times)}")
        return code.op(f"zext {kind.text} {entry} to {Lanes('i64', width).text}")

    def _checked(self, index: Node, extent: str, lanes: int) -> str:
        """An index from memory: counted from the end if negative; outside of the range it sets the error word."""
        key = (id(index), extent)
        for scope in reversed(self.scopes):
            if key in scope:
                return scope[key]
        code, width = self.code, self._width(index, lanes)
        value = elementary.cast(code, index.dtype, np.dtype(np.int64), width, self._value(index, lanes))
        mask = self.mask if width > 1 else ""
        checked = elementary.checked_index(code, value, extent, width, self.status, self.check, mask)
        self.scopes[-1][key] = checked
        return checked

    def _absolute(self, axis: int) -> str:
        """The index along an axis, counted from the start of the whole grid."""
        if self.nest.split is not None and axis == self.nest.split[0]:
            return self.add(self.piece, self.index[axis])
        return self.index.get(axis, "0")

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
