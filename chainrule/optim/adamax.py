"""Adamax: Adam with the largest gradient of late in place of the root mean square."""

from __future__ import annotations

from typing import Any, NamedTuple

from chainrule.dtypes import DType
from chainrule.functions.arithmetic import maximum
from chainrule.functions.creation import zeros_like
from chainrule.optim.clock import clock_number, next_step, of_step
from chainrule.optim.optimizer import Optimizer, check_betas, check_not_negative, is_on, write
from chainrule.tensor import Tensor


class AdamaxStep(NamedTuple):
    """The new parameter, mean gradient and largest gradient."""

    parameter: Tensor
    first: Tensor
    largest: Tensor


def adamax(
    parameter: Tensor,
    gradient: Tensor,
    first: Tensor,
    largest: Tensor,
    step: Tensor,
    *,
    lr: float | Tensor,
    betas: tuple[float, float],
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> AdamaxStep:
    """Step t = 1, 2, … as a pure function.

        g ← g + λ·θ
        m ← β₁·m + (1 − β₁)·g
        u ← max(β₂·u, |g| + ε)
        θ ← θ − η/(1 − β₁ᵗ)·m/u

    The maximum needs no bias correction. Source: Kingma and Ba, "Adam", 2015, section 7.1; the ε is PyTorch's, so that
    a gradient of 0 does not divide by 0.
    """
    beta1, beta2 = betas
    if is_on(weight_decay):
        gradient = gradient + parameter * weight_decay
    first = first * beta1 + gradient * (1 - beta1)
    largest = maximum(largest * beta2, gradient.abs() + eps)
    (lr,) = _corrected(step, lr, beta1, parameter.dtype)
    return AdamaxStep(parameter - first / largest * lr, first, largest)


@of_step
def _corrected(step: Tensor, lr: float | Tensor, beta1: float, dtype: DType) -> tuple[Tensor, ...]:
    """η/(1 − β₁ᵗ)."""
    return ((lr / (1 - beta1 ** step.double())).to(dtype),)


class Adamax(Optimizer):
    """Adamax: the mean gradient over a maximum that fades. The rule is :func:`adamax`.

    Args:
        params: parameters, or groups of them with settings of their own.
        lr: the learning rate η: no coordinate's step is larger, about.
        betas: β₁ and β₂ in [0, 1): how long the mean and the maximum remember.
        eps: ε, above 0, keeps the division finite.
        weight_decay: λ, the strength of the L2 penalty ½λ‖θ‖².
        maximize: climb instead of descending.
        differentiable: record the step, so that what it gives can be differentiated.
        foreach, capturable: taken and ignored; they choose between PyTorch's implementations of one rule.

    Raises ValueError for settings out of their range.

    >>> import chainrule
    >>> w = chainrule.tensor([1.0], requires_grad=True)
    >>> optimizer = Adamax([w], lr=0.1)
    >>> (w ** 2).sum().backward(); optimizer.step(); w
    tensor([0.9000], requires_grad=True)
    """

    elementwise = True

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_not_negative(lr=lr, eps=eps, weight_decay=weight_decay)
        check_betas(betas)
        settings = {
            "lr": lr, "betas": tuple(betas), "eps": eps, "weight_decay": weight_decay, "foreach": foreach,
            "maximize": maximize, "differentiable": differentiable, "capturable": capturable,
        }  # fmt: skip
        super().__init__(params, settings)

    def initial_state(self, parameter: Tensor, group: dict[str, Any]) -> dict[str, Tensor]:
        """Mean and maximum 0."""
        return {"step": clock_number(0.0), "exp_avg": zeros_like(parameter), "exp_inf": zeros_like(parameter)}

    def update(self, parameter: Tensor, gradient: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        """Apply the rule to one parameter."""
        settings = {name: group[name] for name in ("lr", "betas", "eps", "weight_decay")}
        result = adamax(parameter, gradient, state["exp_avg"], state["exp_inf"], next_step(state), **settings)
        write(parameter, result.parameter, state, {"exp_avg": result.first, "exp_inf": result.largest})
