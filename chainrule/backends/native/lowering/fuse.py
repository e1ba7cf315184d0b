"""Which operations become one loop: the walk over the equations that builds the kernels.

A value is in memory, where moving it (permuting, slicing, broadcasting) is only another view, or it is *inside* a
group: computed by that group's nest, and not in memory at all until something outside of the group asks for it. See
`place.py`.

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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from chainrule.backends.native.language.elementary import is_computed
from chainrule.backends.native.language.halves import is_half
from chainrule.backends.native.lowering.groups import Group, axes_by_stride
from chainrule.backends.native.lowering.joining import (
    choose_split,
    common_axes,
    group_for,
    reducing_group,
    summing_beside,
)
from chainrule.backends.native.lowering.nest import Axis, Nest, Operand
from chainrule.backends.native.lowering.place import Inside, Place, View, constant, row_major
from chainrule.backends.native.lowering.placing import SIMPLE, Placing
from chainrule.primitives.check import Check
from chainrule.primitives.value import Array, DataType, Shape, Symbol
from chainrule.program.graph import Equation

_single = np.dtype(np.float32)
#: Operations whose rules take halves as they lie in memory.
READ_HALVES = frozenset(
    {"MatMul", "Convolution", "ConvolutionTranspose", "ConvolutionWeight", "MaxPoolGradient", "Attention"}
)
#: Where native code needs whole numbers of more than one bit.
NO_BOOLEANS = frozenset({"FloorDivide", "Remainder", "Power"})
#: What an entry that is met many times counts for: n·x, and xⁿ.
REPEATED = {"Sum": "Multiply", "Product": "Power"}
#: Where the result of an equation is, or its results are.
Answer = Place | tuple[Place, ...]
#: Says one primitive natively; None if it cannot.
Rule = Callable[["Lowering", Equation], Answer | None]


class Lowering(Placing):
    """The walk over the equations. What joins what is asked of `joining.py`; what is decided is done here."""

    def run(self, equations: Sequence[Equation], rules: Mapping[str, Rule]) -> None:
        """Lower all equations in order."""
        for equation in equations:
            self.path = equation.path
            answer = self._natively(equation, rules) or self._in_numpy(equation)
            self._put_all(equation, answer)

    def _put_all(self, equation: Equation, answer: Answer) -> None:
        if isinstance(answer, tuple):
            for symbol, place in zip(equation.outputs, answer, strict=True):
                self.put(symbol, place)
        else:
            self.put(equation.outputs[0], answer)

    def _natively(self, equation: Equation, rules: Mapping[str, Rule]) -> Answer | None:
        """Where the results of native code are; None if it cannot be said natively."""
        name = equation.primitive.name
        folded = self._folded(equation) if name in self.elementwise else None
        if folded is not None or not self.native(equation, rules):
            return folded
        if equation.primitive.accumulates and any(is_half(x.dtype) for x in equation.inputs):
            return self._with_singles(equation, rules)
        if name in self.elementwise:
            if name in SIMPLE and not is_half(equation.outputs[0].dtype):
                self.formulas[equation.outputs[0]] = equation
            return self.map(name, equation.inputs, equation.outputs[0].dtype, equation.parameters)
        return rules[name](self, equation)

    def native(self, equation: Equation, rules: Mapping[str, Rule]) -> bool:
        """Whether there may be native code: a rule, data types that can be in registers, and anything to compute."""
        name, values = equation.primitive.name, [*equation.inputs, *equation.outputs]
        if name not in self.elementwise and name not in rules:
            return False
        if equation.primitive is Check:
            values = values[:1]  # the rest is only looked at when something is wrong
        if name in NO_BOOLEANS and values[0].dtype == np.bool_:
            return False
        return all(is_computed(x.dtype) and x.size for x in values)

    def _folded(self, equation: Equation) -> Place | None:
        """An elementwise operation on numbers is a number."""
        arrays: list[Array] = []
        for x in equation.inputs:
            number = self.place(x).number
            if number is None:
                return None
            arrays.append(np.full((), number, x.dtype))
        (output,) = equation.outputs
        value = equation.primitive.compute(arrays, equation.parameters, ((), output.dtype))
        return constant(value[()], output.shape, output.dtype)

    def _in_numpy(self, equation: Equation) -> Answer:
        """An operation without native code: its NumPy meaning between two native pieces."""
        inputs = [self.plain(x) for x in equation.inputs]
        group = self.group(Nest([]), open=False)
        for view in inputs:
            self.read(group, view.buffer)
        outputs = []
        for symbol in equation.outputs:
            view = View(self.new_buffer(symbol.dtype, symbol.size), symbol.shape, row_major(symbol.shape))
            self.written(group, view.buffer)
            outputs.append(view)
        group.call = (equation, inputs, outputs)
        self.may_fail(group)
        return tuple(outputs)

    # ------------------------------------------------------------------------------------- halves

    def _with_singles(self, equation: Equation, rules: Mapping[str, Rule]) -> Answer:
        """What adds up many halves computes in float32, and its result is rounded. Products read halves themselves."""
        outputs = [Symbol(z.shape, _single) if is_half(z.dtype) else z for z in equation.outputs]
        forms = [(z.shape, z.dtype) for z in outputs]
        form = forms if type(equation.forms) is list else forms[0]
        for wide, z in zip(outputs, equation.outputs, strict=True):
            if z in self.wishes:
                self.wishes[wide] = self.wishes[z]
        wanted = equation._replace(outputs=tuple(outputs), forms=form)
        answer = rules[equation.primitive.name](self, wanted) if equation.primitive.name in READ_HALVES else None
        if answer is None:
            self.run([self.in_single(wanted)], rules)
        else:
            self._put_all(wanted, answer)
        rounded = [
            self.place(z) if wide is z else self.map("Cast", [wide], z.dtype, {"dtype": z.dtype})
            for wide, z in zip(outputs, equation.outputs, strict=True)
        ]
        return tuple(rounded)

    def in_single(self, equation: Equation) -> Equation:
        """The equation on float32 instead of halves."""
        inputs = [self.single(x) if is_half(x.dtype) else x for x in equation.inputs]
        return equation._replace(inputs=tuple(inputs))

    def single(self, x: Any) -> Any:
        """A value of halves as float32, with the border that it shall have."""
        if not isinstance(x, Symbol):
            return x.astype(_single)
        if x not in self.singles:
            wide = self.singles[x] = Symbol(x.shape, _single)
            if x in self.halos:
                self.halos[wide] = self.halos[x]
            place = self.place(x)
            if place.number is not None:
                self.places[wide] = constant(_single.type(place.number), place.shape, _single)
            else:
                self.put(wide, self.map("Cast", [x], _single, {"dtype": _single}))
        return self.singles[x]

    # ------------------------------------------------------------------------------------- elementwise

    def map(self, op: str, inputs: Sequence[Any], dtype: DataType, settings: Any = None) -> Inside:
        """An elementwise operation: where its result is."""
        shape = tuple(inputs[0].shape)
        self._merge(inputs)
        group, dims = group_for(self, inputs, shape) or self.new_group(inputs, shape)
        nodes = [self.node(group, x, dims) for x in inputs]
        node = group.nest.add(op, nodes, dtype, settings)
        return Inside(group, node, tuple([a if a in node.axes else None for a in dims]), shape)

    def new_group(self, inputs: Sequence[Any], shape: Shape) -> tuple[Group, list[int | None]]:
        """A group whose axes are the dimensions of a result, in the order in which the largest input lies."""
        group = self.group(Nest(list(shape)))
        best: tuple[int, list[int]] = (-1, list(range(len(shape))))
        for x in inputs:
            if self.place(x).number is None:
                source = self.origin(x)
                view = self.memory(x if source is None else source)
                size = math.prod(view.shape[d] for d in view.varying)
                if size > best[0]:
                    best = size, axes_by_stride(view)
        group.order = best[1]
        return group, list(range(len(shape)))

    def _merge(self, inputs: Sequence[Any]) -> None:
        """If two groups compute the arguments of an operation and neither waits for the other, make them one."""
        inside = [(x, p) for x in inputs if isinstance(p := self.place(x), Inside) and p.group.open]
        while len({p.group.number for _, p in inside}) > 1:
            last = max(inside, key=lambda pair: (pair[1].group.product is not None, pair[1].group.number))[1]
            other = next(p for _, p in inside if p.group is not last.group)
            axes = common_axes(other, last)
            if axes is None:
                return
            self._move(other.group, last.group, axes)
            inside = [(x, p) for x, _ in inside if isinstance(p := self.place(x), Inside)]

    def _move(self, a: Group, b: Group, axes: dict[int, int]) -> None:
        """Move all of one group into another, whose axes its own are."""

        def moved(known: Sequence[int | None]) -> tuple[int | None, ...]:
            return tuple([None if axis is None else axes.get(axis) for axis in known])

        b.nest.take_in(a.nest, axes)
        for x in a.values:
            place = self.places[x]
            if isinstance(place, Inside) and place.group is a:
                self.put(x, replace(place, group=b, axes=moved(place.axes)))
        for key, (node, known) in a.loaded.items():
            b.loaded.setdefault(key, (node, moved(known)))
        self.become_one(a, b)
        a.open, a.nest, a.values = False, Nest(), []

    def check(self, wrong: Any) -> None:
        """Where a value is true in a run, the run fails."""
        place = self.place(wrong)
        if isinstance(place, Inside):
            group, node = place.group, place.node
        else:
            group, axes = self.new_group([wrong], place.shape)
            node = self.node(group, wrong, axes)
        nothing = Operand(self.new_buffer(wrong.dtype, 1), 0, dict.fromkeys(range(len(place.shape)), 0), reports=True)
        group.nest.stores.append((node, nothing))
        self.writes_apart(group, nothing.buffer)
        self.may_fail(group)

    # ------------------------------------------------------------------------------------- reductions

    def reduce(self, op: str, x: Any, axes: Shape, dtype: DataType) -> Inside:
        """Sum, product, largest entry or its position over some dimensions: where the result is."""
        beside = summing_beside(self, op, x, [d for d in axes if d in self.place(x).varying])
        if beside is not None:
            self._move(*beside)
        place = self.place(x)
        kept = [d for d in range(len(place.shape)) if d not in axes]
        shape = tuple(place.shape[d] for d in kept)
        live = set(place.varying)
        repeated = math.prod(place.shape[d] for d in axes if d not in live)
        real = [d for d in axes if d in live]
        group, dims = reducing_group(self, op, x, real) or self.new_group([x], place.shape)
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
        if repeated != 1 and op in REPEATED:
            node = nest.add(REPEATED[op], [node, nest.constant(repeated, dtype)], dtype)
        answer = Inside(group, node, tuple(dims[d] if d in live else None for d in kept), shape)
        return self._split(answer, op) if real and op != "Argmax" else answer

    def _split(self, whole: Inside, op: str) -> Inside:
        """Long reductions are cut into pieces that can run at the same time; a second group adds these up."""
        group, nest, shape = whole.group, whole.group.nest, whole.shape
        nest.split = nest.split or choose_split(nest, group.order)
        if nest.split is None:
            return whole
        axis, chunk = nest.split
        pieces = -(-nest.extents[axis] // chunk)
        varying = [d for d, a in enumerate(whole.axes) if a is not None and shape[d] != 1]
        rank = {a: i for i, a in enumerate(group.order)}
        order = sorted(range(len(shape)), key=lambda d: rank.get(whole.axes[d], -1) if d in varying else -1)  # type: ignore[arg-type]
        view = self.allocate(
            (pieces, *shape), whole.dtype, [0, *(d + 1 for d in varying)], [0, *(d + 1 for d in order)], ()
        )
        parts = view.permute((*range(1, len(shape) + 1), 0))
        nest.store(whole.node, parts, (*whole.axes, Axis.PIECES))
        self.written(group, view.buffer)
        total = self.reduce_last(parts, op, order)
        total.group.nest.path = nest.path
        return total

    def reduce_last(self, parts: View, op: str, order: Sequence[int]) -> Inside:
        """A group that reduces the last dimension."""
        last = len(parts.shape) - 1
        group = self.group(Nest(list(parts.shape), frozenset([last])), order=list(order))
        part = self.load(group, parts, range(last + 1))
        axes = tuple([d if d in part.axes else None for d in range(last)])
        return Inside(group, group.nest.add(op, [part], parts.dtype), axes, parts.shape[:last])
