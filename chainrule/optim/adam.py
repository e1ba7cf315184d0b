"""Adam, with AMSGrad and decoupled weight decay (AdamW)."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from chainrule.functions.arithmetic import maximum
from chainrule.functions.creation import zeros_like
from chainrule.optim.optimizer import Optimizer, check_not_negative, keep
from chainrule.tensor import Tensor


class AdamStep(NamedTuple):
    """The new parameter, first and second moment, and with AMSGrad the largest second moment so far."""

    parameter: Tensor
    first: Tensor
    second: Tensor
    largest: Tensor | None


def adam(
    parameter: Tensor,
    gradient: Tensor,
    first: Tensor,
    second: Tensor,
    largest: Tensor | None,
    step: float,
    *,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float = 0.0,
    decoupled: bool = False,
) -> AdamStep:
    """Step t = 1, 2, … as a pure function.

        g ← g + λ·θ                       coupled weight decay, or θ ← θ − η·λ·θ if decoupled (AdamW)
        m ← β₁·m + (1 − β₁)·g             first moment: the mean of the gradient
        v ← β₂·v + (1 − β₂)·g²            second moment, not centred
        m̂ = m/(1 − β₁ᵗ), v̂ = v/(1 − β₂ᵗ)   because both start at 0
        θ ← θ − η·m̂/(√v̂ + ε)

    AMSGrad takes the largest v so far instead of v. Sources: Kingma and Ba 2015; Loshchilov and Hutter 2019
    (AdamW); Reddi, Kale and Kumar 2018 (AMSGrad). ε stands outside of the root, as in the paper and in PyTorch.
    """
    beta1, beta2 = betas
    if weight_decay and decoupled:
        parameter = parameter * (1 - lr * weight_decay)
    elif weight_decay:
        gradient = gradient + parameter * weight_decay
    first = first * beta1 + gradient * (1 - beta1)
    second = second * beta2 + gradient * gradient * (1 - beta2)
    if largest is not None:
        largest = maximum(largest, second)
    spread = (second if largest is None else largest).sqrt() / math.sqrt(1 - beta2**step) + eps
    return AdamStep(parameter - first / spread * (lr / (1 - beta1**step)), first, second, largest)


class Adam(Optimizer):
    """Adam: every coordinate gets a step of its own, the mean gradient over the root of its mean square.

    The rule is :func:`adam`.

    Args:
        params: parameters, or groups of them with settings of their own.
        lr: the learning rate η, about the size of each coordinate's first steps; typically 1e-3.
        betas: β₁ and β₂ in [0, 1): how long the means remember.
        eps: ε, above 0, keeps the division finite.
        weight_decay: λ, coupled (added to the gradient); see AdamW for the decoupled form.
        amsgrad: use the largest second moment so far.
        maximize: climb instead of descending.
        foreach, capturable, fused: taken and ignored; they choose between PyTorch's implementations of one rule.

    Raises ValueError for settings out of their range.

    >>> import chainrule
    >>> w = chainrule.tensor([1.0], requires_grad=True)
    >>> optimizer = Adam([w], lr=0.1)
    >>> (w ** 2).sum().backward(); optimizer.step(); w
    tensor([0.9000], requires_grad=True)
    """

    decoupled = False

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_not_negative(lr=lr, eps=eps, weight_decay=weight_decay)
        if len(betas) != 2 or not all(0.0 <= beta < 1.0 for beta in betas):
            raise ValueError(f"betas are two numbers in [0, 1), got {betas}.")
        settings = {
            "lr": lr, "betas": tuple(betas), "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad,
            "maximize": maximize,
        }  # fmt: skip
        super().__init__(params, settings)

    def update(self, parameter: Tensor, gradient: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        """Apply the rule to one parameter."""
        if not state:
            state["step"] = 0.0
            state["exp_avg"] = zeros_like(parameter)
            state["exp_avg_sq"] = zeros_like(parameter)
            if group["amsgrad"]:
                state["max_exp_avg_sq"] = zeros_like(parameter)
        state["step"] = float(state["step"]) + 1
        largest = state["max_exp_avg_sq"] if group["amsgrad"] else None
        settings = {name: group[name] for name in ("lr", "betas", "eps", "weight_decay")}
        moments = state["exp_avg"], state["exp_avg_sq"], largest
        result = adam(parameter, gradient, *moments, state["step"], decoupled=self.decoupled, **settings)
        parameter.assign(result.parameter)
        keep(state, "exp_avg", result.first)
        keep(state, "exp_avg_sq", result.second)
        if result.largest is not None:
            keep(state, "max_exp_avg_sq", result.largest)


class AdamW(Adam):
    """Adam with decoupled weight decay: θ ← θ − η·λ·θ beside Adam's step, so the decay is not rescaled by it.

    Arguments as Adam's, with a weight decay of 0.01. Source: Loshchilov and Hutter, 2019.

    >>> import chainrule
    >>> w = chainrule.tensor([1.0], requires_grad=True)
    >>> optimizer = AdamW([w], lr=0.1, weight_decay=0.5)
    >>> (w ** 2).sum().backward(); optimizer.step(); w
    tensor([0.8500], requires_grad=True)
    """

    decoupled = True

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize)
