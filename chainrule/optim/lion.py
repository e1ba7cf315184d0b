"""Lion: the sign of a mean gradient, and half of Adam's memory."""

from __future__ import annotations

from typing import Any, NamedTuple

from chainrule.functions.creation import zeros_like
from chainrule.optim.optimizer import Optimizer, check_betas, check_not_negative, is_on, write
from chainrule.tensor import Tensor


class LionStep(NamedTuple):
    """The new parameter and the mean gradient."""

    parameter: Tensor
    mean: Tensor


def lion(
    parameter: Tensor,
    gradient: Tensor,
    mean: Tensor,
    *,
    lr: float | Tensor,
    betas: tuple[float, float] = (0.9, 0.99),
    weight_decay: float = 0.0,
) -> LionStep:
    """One step as a pure function.

        u = sign(β₁·m + (1 − β₁)·g)
        θ ← θ − η·(u + λ·θ)
        m ← β₂·m + (1 − β₂)·g

    Source: Chen et al., "Symbolic discovery of optimization algorithms", 2023.
    """
    beta1, beta2 = betas
    direction = (mean * beta1 + gradient * (1 - beta1)).sign()
    if is_on(weight_decay):
        direction = direction + parameter * weight_decay
    return LionStep(parameter - direction * lr, mean * beta2 + gradient * (1 - beta2))


class Lion(Optimizer):
    """Lion: every coordinate moves by exactly η, in the direction of a mean gradient. The rule is :func:`lion`.

    PyTorch has none; the names of the state are Adam's. All steps are of size η, so it wants a rate three to ten times
    smaller than Adam's, and a weight decay as many times larger.

    Args:
        params: parameters, or groups of them with settings of their own.
        lr: the learning rate η.
        betas: β₁ and β₂ in [0, 1): how much of the mean is in the direction, and how long the mean remembers.
        weight_decay: λ, decoupled.
        maximize: climb instead of descending.
        differentiable: record the step, so that what it gives can be differentiated.

    Raises ValueError for settings out of their range.

    >>> import chainrule
    >>> w = chainrule.tensor([1.0, 100.0], requires_grad=True)
    >>> optimizer = Lion([w], lr=0.1)
    >>> (w ** 2).sum().backward(); optimizer.step(); w
    tensor([ 0.9000, 99.9000], requires_grad=True)
    """

    elementwise = True

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_not_negative(lr=lr, weight_decay=weight_decay)
        check_betas(betas)
        settings = {
            "lr": lr, "betas": tuple(betas), "weight_decay": weight_decay, "maximize": maximize,
            "differentiable": differentiable,
        }  # fmt: skip
        super().__init__(params, settings)

    def initial_state(self, parameter: Tensor, group: dict[str, Any]) -> dict[str, Tensor]:
        """The mean gradient 0."""
        return {"exp_avg": zeros_like(parameter)}

    def update(self, parameter: Tensor, gradient: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        """Apply the rule to one parameter."""
        settings = {name: group[name] for name in ("lr", "betas", "weight_decay")}
        result = lion(parameter, gradient, state["exp_avg"], **settings)
        write(parameter, result.parameter, state, {"exp_avg": result.mean})
