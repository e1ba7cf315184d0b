"""The values of a nest as LLVM's language: computed, read from memory, stored, in vectors of any width."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from chainrule.backends.native.emitting.addresses import KNOWN, Addresses
from chainrule.backends.native.language import elementary
from chainrule.backends.native.language.code import Lanes
from chainrule.backends.native.language.draws import DRAWS, draw
from chainrule.backends.native.language.halves import EXACT, is_half, rounded
from chainrule.backends.native.language.small_numbers import FOURS, four
from chainrule.backends.native.lowering.nest import REDUCTIONS, RUNNING, Block, Load, Node, Number, Operand, Position


class Values(Addresses):
    """Writes the values of a nest: how each is computed, read and stored."""

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
            step = str(along * size) if along in KNOWN else self.stride[id(operand), self.vector]
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
