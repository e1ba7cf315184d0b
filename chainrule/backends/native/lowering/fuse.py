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
from typing import Any

import numpy as np

from chainrule.backends.native.language.elementary import is_computed
from chainrule.backends.native.language.halves import is_half
from chainrule.backends.native.lowering.groups import Constant, Group, Inside, Memory, live_dims
from chainrule.backends.native.lowering.joining import Joining
from chainrule.backends.native.lowering.nest import Axis, Nest, Node, Operand
from chainrule.backends.native.lowering.views import View, row_major
from chainrule.primitives.check import Check
from chainrule.primitives.value import Array, DataType, Shape, Symbol
from chainrule.program.graph import Equation

_index, _single = np.dtype(np.int64), np.dtype(np.float32)
#: Products, whose rules take halves as they lie in memory.
READ_HALVES = frozenset({"MatMul", "Convolution", "ConvolutionTranspose", "ConvolutionWeight"})
#: Where native code needs whole numbers of more than one bit.
NO_BOOLEANS = frozenset({"FloorDivide", "Remainder", "Power"})


class Lowering(Joining):
    """The walk over the equations: reductions, copies, and what is left to NumPy."""

    # ------------------------------------------------------------------------------------- reductions

    def reduce(self, op: str, x: Any, axes: Shape, output: Any, dtype: DataType) -> None:
        """Sum, product, largest entry or its position over some dimensions."""
        place = self.place(x)
        kept = [d for d in range(len(place.shape)) if d not in axes]
        shape = tuple(place.shape[d] for d in kept)
        if isinstance(place, Constant):
            place = self.memory(x)
        if isinstance(place, Memory):
            live: set[int] = set(live_dims(place))
        else:
            live = {d for d, axis in enumerate(place.axes) if axis in place.node.axes}  # a constant has no axes
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
        varying = {d: a for d, a in enumerate(axes) if a is not None and shape[d] != 1}
        rank = {a: i for i, a in enumerate(group.order)}
        order = sorted(range(len(shape)), key=lambda d: rank.get(varying[d], -1) if d in varying else -1)
        dims = [0, *(d + 1 for d in varying)]
        view = self.allocate((pieces, *shape), node.dtype, dims, [0, *(d + 1 for d in order)], ())
        strides = {a: view.strides[d + 1] for d, a in varying.items()}
        nest.stores.append((node, Operand(view.buffer, view.offset, {**strides, Axis.PIECES: view.strides[0]})))
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
        self.may_fail(group)

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
        """What adds up many halves computes in float32, and its result is rounded. Products read halves themselves."""
        outputs = [Symbol(z.shape, _single) if is_half(z.dtype) else z for z in equation.outputs]
        forms = [(z.shape, z.dtype) for z in outputs]
        form = forms if type(equation.forms) is list else forms[0]
        for wide, z in zip(outputs, equation.outputs, strict=True):
            if z in self.wishes:
                self.wishes[wide] = self.wishes[z]
        equation_of_singles = equation._replace(outputs=tuple(outputs), forms=form)
        name = equation.primitive.name
        if name not in READ_HALVES or not rules[name](self, equation_of_singles):
            self.run([self.in_single(equation_of_singles)], rules)
        for wide, z in zip(outputs, equation.outputs, strict=True):
            if wide is not z:
                self.map("Cast", [wide], z, z.shape, z.dtype, {"dtype": z.dtype})

    def in_single(self, equation: Equation) -> Equation:
        """The equation on float32 instead of halves."""
        inputs = [self._single(x) if is_half(x.dtype) else x for x in equation.inputs]
        return equation._replace(inputs=tuple(inputs))

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


def choose_split(nest: Nest, order: Sequence[int]) -> tuple[int, int] | None:
    """Which reduced axis to cut, and into pieces of how many; None if the reduction is better left whole."""
    kept = math.prod(e for a, e in enumerate(nest.extents) if a not in nest.reduced)
    depth = math.prod(nest.extents[a] for a in nest.reduced)
    if depth <= 512 or kept * depth <= 2**15 or (kept >= 256 and depth <= 2048 and order and order[-1] in nest.reduced):
        return None
    axis = next((a for a in order if a in nest.reduced and nest.extents[a] > 1), None)
    if axis is None:
        axis = max(nest.reduced, key=lambda a: nest.extents[a])
    rest = depth // nest.extents[axis]
    goal = max(128, 2**14 // max(kept, 1)) if order and order[-1] not in nest.reduced else 2**13
    return axis, max(1, min(nest.extents[axis], goal // max(rest, 1)))
