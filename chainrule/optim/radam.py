"""RAdam: Adam that waits until the second moment can be trusted."""

from __future__ import annotations

from typing import Any, NamedTuple

from chainrule.dtypes import DType
from chainrule.functions.creation import zeros_like
from chainrule.functions.logic import where
from chainrule.optim.clock import bias_corrections, clock_number, next_step, of_step
from chainrule.optim.optimizer import Optimizer, check_betas, check_not_negative, is_on, write
from chainrule.tensor import Tensor


class RAdamStep(NamedTuple):
    """The new parameter, first and second moment."""

    parameter: Tensor
    first: Tensor
    second: Tensor


def radam(
    parameter: Tensor,
    gradient: Tensor,
    first: Tensor,
    second: Tensor,
    step: Tensor,
    *,
    lr: float | Tensor,
    betas: tuple[float, float],
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    decoupled: bool = False,
) -> RAdamStep:
    """Step t = 1, 2, … as a pure function.

        g ← g + λ·θ                               or θ ← θ − η·λ·θ if decoupled
        m ← β₁·m + (1 − β₁)·g,  m̂ = m/(1 − β₁ᵗ)
        v ← β₂·v + (1 − β₂)·g²
        ρ∞ = 2/(1 − β₂) − 1,  ρₜ = ρ∞ − 2t·β₂ᵗ/(1 − β₂ᵗ)     how many gradients v is the mean of, about
        r = √((ρₜ−4)(ρₜ−2)ρ∞ / ((ρ∞−4)(ρ∞−2)ρₜ))            the spread of 1/√v, made up for
        θ ← θ − η·m̂·r·√(1 − β₂ᵗ)/(√v + ε) if ρₜ > 5, else θ ← θ − η·m̂

    Source: Liu et al., "On the variance of the adaptive learning rate and beyond", 2020 (who have ρₜ > 4; PyTorch, and
    so we, 5).
    """
    beta1, beta2 = betas
    if is_on(weight_decay) and decoupled:
        parameter = parameter * (1 - lr * weight_decay)
    elif is_on(weight_decay):
        gradient = gradient + parameter * weight_decay
    first = first * beta1 + gradient * (1 - beta1)
    second = second * beta2 + gradient * gradient * (1 - beta2)
    trusted, plain, adaptive = _rates(step, lr, beta1, beta2, parameter.dtype)
    # Both rates are computed, and one is chosen: the program is the same in every step.
    rate = where(trusted, adaptive / (second.sqrt() + eps), plain)
    return RAdamStep(parameter - first * rate, first, second)


@of_step
def _rates(step: Tensor, lr: float | Tensor, beta1: float, beta2: float, dtype: DType) -> tuple[Tensor, ...]:
    """Whether ρₜ > 5, η/(1 − β₁ᵗ), and that times r·√(1 − β₂ᵗ), which is not used for small ρₜ."""
    t = step.double()
    correction1, correction2 = bias_corrections(step, beta1, beta2)
    limit = 2 / (1 - beta2) - 1
    length = limit - 2 * t * beta2**t / correction2
    squared = (length - 4) * (length - 2) * limit / ((limit - 4) * (limit - 2) * length)
    rectified = squared.clamp(min=0).sqrt()  # a NaN would come back through derivatives, though not used
    plain = lr / correction1
    return length > 5, plain.to(dtype), (plain * rectified * correction2.sqrt()).to(dtype)


class RAdam(Optimizer):
    """RAdam: plain momentum at first, Adam once its second moment rests on enough steps. :func:`radam`.

    Args:
        params: parameters, or groups of them with settings of their own.
        lr: the learning rate η.
        betas: β₁ and β₂ in [0, 1): how long the means remember.
        eps: ε, above 0, keeps the division finite.
        weight_decay: λ, added to the gradient.
        decoupled_weight_decay: decay the parameter instead of the gradient, as AdamW does.
        maximize: climb instead of descending.
        differentiable: record the step, so that what it gives can be differentiated.
        foreach, capturable: taken and ignored; they choose between PyTorch's implementations of one rule.

    Raises ValueError for settings out of their range.

    >>> import chainrule
    >>> w = chainrule.tensor([1.0], requires_grad=True)
    >>> optimizer = RAdam([w], lr=0.1)
    >>> (w ** 2).sum().backward(); optimizer.step(); w
    tensor([0.8000], requires_grad=True)
    """

    elementwise = True

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_not_negative(lr=lr, eps=eps, weight_decay=weight_decay)
        check_betas(betas)
        settings = {
            "lr": lr, "betas": tuple(betas), "eps": eps, "weight_decay": weight_decay, "maximize": maximize,
            "foreach": foreach, "capturable": capturable, "decoupled_weight_decay": decoupled_weight_decay,
            "differentiable": differentiable,
        }  # fmt: skip
        super().__init__(params, settings)

    def initial_state(self, parameter: Tensor, group: dict[str, Any]) -> dict[str, Tensor]:
        """Both moments 0."""
        return {"step": clock_number(0.0), "exp_avg": zeros_like(parameter), "exp_avg_sq": zeros_like(parameter)}

    def update(self, parameter: Tensor, gradient: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        """Apply the rule to one parameter."""
        settings = {name: group[name] for name in ("lr", "betas", "eps", "weight_decay")}
        result = radam(
            parameter, gradient, state["exp_avg"], state["exp_avg_sq"], next_step(state),
            decoupled=group["decoupled_weight_decay"], **settings,
        )  # fmt: skip
        write(parameter, result.parameter, state, {"exp_avg": result.first, "exp_avg_sq": result.second})
