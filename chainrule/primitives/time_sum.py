"""Σₜ dₜ for a loop's constants: the sum over all steps of a gradient, as few large operations after the loop.

A weight that every step uses gets a gradient from every step. Adding these up step by step costs one small matrix
product and one addition the size of the weight in each. But Σₜ xₜᵀ·gₜ is a single product over the joined dimension
(t, batch), and Σₜ of a sum over the batch is a sum over both. So the loop only stacks xₜ and gₜ (most are stacked
already, as residuals), and what is linear is done once:

    Σₜ (a + b)ₜ = Σₜ aₜ + Σₜ bₜ      Σₜ Permute(a)ₜ = Permute(Σₜ aₜ)      Σₜ Aₜ·Bₜ = [A₀ A₁ …]·[B₀; B₁; …]

What is none of these is added up in the loop, as a carry.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from chainrule.primitives.contraction import MatMul
from chainrule.primitives.elementwise import Add
from chainrule.primitives.primitive import Primitive
from chainrule.primitives.reduction import Sum
from chainrule.primitives.shape import Permute, Reshape
from chainrule.primitives.value import Symbol, Value
from chainrule.program.graph import Equation

if TYPE_CHECKING:
    from chainrule.tensor import Tensor

#: From every symbol that the loop stacked to its tensor (T, …), and from every one it added up to its sum.
Stacks = dict[Symbol, "Tensor"]
Total = Callable[[Stacks, Stacks], "Tensor"]


class TimeSums:
    """How the gradients of a loop's constants are computed after the loop.

    Attributes:
        stacked: symbols of the step that the loop has to stack for it.
        added: symbols of the step that the loop has to add up.
        totals: for each constant how its gradient comes from these; None where it has none.
    """

    def __init__(
        self, equations: Sequence[Equation], gradients: Sequence[Any], constant: set[Symbol], length: int
    ) -> None:
        self._length = length
        self._makers = {symbol: e for e in equations for symbol in e.outputs}
        self._constant = self._that_never_change(equations, constant)
        self.stacked: dict[Symbol, None] = {}
        self.added: dict[Symbol, None] = {}
        self.totals = [d if d is None else self._total(d) for d in gradients]

    @staticmethod
    def _that_never_change(equations: Sequence[Equation], constant: set[Symbol]) -> set[Symbol]:
        known = set(constant)
        for e in equations:
            if all(not isinstance(x, Symbol) or x in known for x in e.inputs):
                known.update(e.outputs)
        return known

    def _total(self, d: Any) -> Total:
        if not isinstance(d, Symbol):
            length = self._length
            return lambda stacks, sums: Primitive.make_tensor(Value(d)) * length
        e = self._makers.get(d)
        if e is None:
            return self._in_the_loop(d)
        if e.primitive is Add:
            first, second = (self._total(x) for x in e.inputs)
            return lambda stacks, sums: first(stacks, sums) + second(stacks, sums)
        if e.primitive in (Permute, Reshape):
            inner, settings, move = self._total(e.inputs[0]), e.parameters, e.primitive
            return lambda stacks, sums: move.apply(inner(stacks, sums), **settings)
        if e.primitive is Sum and self._varies(e.inputs[0]):
            rows, axes = self._rows(e.inputs[0]), (0, *[axis + 1 for axis in e.parameters["axes"]])
            return lambda stacks, sums: Sum.apply(rows(stacks), axes=axes)
        if e.primitive is MatMul and all(self._varies(x) for x in e.inputs):
            left, right = (self._rows(x) for x in e.inputs)
            return lambda stacks, sums: _joined_product(left(stacks), right(stacks))
        return self._in_the_loop(d)

    def _varies(self, x: Any) -> bool:
        return isinstance(x, Symbol) and x not in self._constant

    def _in_the_loop(self, d: Symbol) -> Total:
        self.added[d] = None
        return lambda stacks, sums: sums[d]

    def _rows(self, x: Symbol) -> Callable[[Stacks], Tensor]:
        """The values of all steps, (T, …). A permutation is done afterwards, so that its input is stacked only once."""
        e = self._makers.get(x)
        if e is not None and e.primitive is Permute:
            inner, order = self._rows(e.inputs[0]), (0, *[axis + 1 for axis in e.parameters["order"]])
            return lambda stacks: Permute.apply(inner(stacks), order=order)
        self.stacked[x] = None
        return lambda stacks: stacks[x]


def _joined_product(a: Tensor, b: Tensor) -> Tensor:
    """Σₜ aₜ·bₜ for a (T, …, m, k) and b (T, …, k, n), as one product over the joined dimension (t, k)."""
    length, m, k = a.shape[0], a.shape[-2], a.shape[-1]
    left = a.movedim(0, -2).reshape(*a.shape[1:-2], m, length * k)
    right = b.movedim(0, -3).reshape(*b.shape[1:-2], length * k, b.shape[-1])
    return left @ right
