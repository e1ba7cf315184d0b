"""Adagrad: the learning rate of each coordinate falls with the gradients that it has seen."""

from __future__ import annotations

from typing import Any, NamedTuple

from chainrule.dtypes import DType
from chainrule.functions.creation import full_like
from chainrule.optim.clock import clock_number, next_step, of_step
from chainrule.optim.optimizer import Optimizer, check_not_negative, is_on, write
from chainrule.tensor import Tensor


class AdagradStep(NamedTuple):
    """The new parameter and the sum of squared gradients."""

    parameter: Tensor
    total: Tensor


def adagrad(
    parameter: Tensor,
    gradient: Tensor,
    total: Tensor,
    step: Tensor,
    *,
    lr: float | Tensor,
    lr_decay: float = 0.0,
    weight_decay: float = 0.0,
    eps: float = 1e-10,
) -> AdagradStep:
    """Step t = 1, 2, … as a pure function.

        g ← g + λ·θ
        s ← s + g²
        θ ← θ − ηₜ·g/(√s + ε),  ηₜ = η/(1 + (t − 1)·κ)

    Source: Duchi, Hazan and Singer, "Adaptive subgradient methods", 2011. ε stands outside of the root, as in PyTorch;
    with it inside, √(s + ε), an ε of 1e-8 acts like one of 1e-4 here.
    """
    if is_on(weight_decay):
        gradient = gradient + parameter * weight_decay
    total = total + gradient * gradient
    if lr_decay:
        (lr,) = _decayed(step, lr, lr_decay, parameter.dtype)
    return AdagradStep(parameter - gradient / (total.sqrt() + eps) * lr, total)


@of_step
def _decayed(step: Tensor, lr: float | Tensor, lr_decay: float, dtype: DType) -> tuple[Tensor, ...]:
    """η/(1 + (t − 1)·κ)."""
    return ((lr / (1 + (step.double() - 1) * lr_decay)).to(dtype),)


class Adagrad(Optimizer):
    """Adagrad: each coordinate's gradient over the root of the sum of its squares. The rule is :func:`adagrad`.

    Args:
        params: parameters, or groups of them with settings of their own.
        lr: the learning rate η.
        lr_decay: κ, by which η falls in addition.
        weight_decay: λ, the strength of the L2 penalty ½λ‖θ‖².
        initial_accumulator_value: what s is before the first step; a larger one softens the first steps.
        eps: ε, above 0, keeps the division finite.
        maximize: climb instead of descending.
        differentiable: record the step, so that what it gives can be differentiated.
        foreach, fused: taken and ignored; they choose between PyTorch's implementations of one rule.

    Raises ValueError for settings out of their range.

    >>> import chainrule
    >>> w = chainrule.tensor([1.0, 10.0], requires_grad=True)
    >>> optimizer = Adagrad([w], lr=0.1)
    >>> (w ** 2).sum().backward(); optimizer.step(); w
    tensor([0.9000, 9.9000], requires_grad=True)
    """

    elementwise = True

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_not_negative(
            lr=lr, lr_decay=lr_decay, weight_decay=weight_decay, eps=eps,
            initial_accumulator_value=initial_accumulator_value,
        )  # fmt: skip
        settings = {
            "lr": lr, "lr_decay": lr_decay, "eps": eps, "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value, "foreach": foreach, "maximize": maximize,
            "differentiable": differentiable, "fused": fused,
        }  # fmt: skip
        super().__init__(params, settings)
        for group in self.param_groups:  # from the start, as in PyTorch: the sums can be looked at, or shared
            for p in group["params"]:
                self.state[p] = self.initial_state(p, group)

    def initial_state(self, parameter: Tensor, group: dict[str, Any]) -> dict[str, Tensor]:
        """The sum of squares before the first step."""
        return {"step": clock_number(0.0), "sum": full_like(parameter, group["initial_accumulator_value"])}

    def update(self, parameter: Tensor, gradient: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        """Apply the rule to one parameter."""
        settings = {name: group[name] for name in ("lr", "lr_decay", "weight_decay", "eps")}
        result = adagrad(parameter, gradient, state["sum"], next_step(state), **settings)
        write(parameter, result.parameter, state, {"sum": result.total})
