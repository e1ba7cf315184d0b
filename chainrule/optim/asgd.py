"""ASGD: stochastic gradient descent whose iterates are averaged."""

from __future__ import annotations

from typing import Any, NamedTuple

from chainrule.functions.creation import zeros_like
from chainrule.functions.logic import where
from chainrule.optim.clock import clock_number, next_step, of_step
from chainrule.optim.optimizer import Optimizer, check_not_negative, is_on, write
from chainrule.tensor import Tensor


class ASGDStep(NamedTuple):
    """The new parameter, the mean of parameters, the next rate and the next weight in the mean."""

    parameter: Tensor
    mean: Tensor
    eta: Tensor
    mu: Tensor


def asgd(
    parameter: Tensor,
    gradient: Tensor,
    mean: Tensor,
    eta: Tensor,
    mu: Tensor,
    step: Tensor,
    *,
    lr: float | Tensor,
    lambd: float = 1e-4,
    alpha: float = 0.75,
    t0: float = 1e6,
    weight_decay: float = 0.0,
) -> ASGDStep:
    """Step t = 1, 2, … as a pure function.

        g ← g + λ·θ
        θ ← θ·(1 − κ·ηₜ) − ηₜ·g
        θ̄ ← θ̄ + μₜ·(θ − θ̄)                          the mean of all θ since step t₀; θ itself before
        ηₜ₊₁ = η/(1 + κ·η·t)^α,  μₜ₊₁ = 1/max(1, t − t₀)

    Source: Polyak and Juditsky, "Acceleration of stochastic approximation by averaging", 1992. κ is `lambd`.
    """
    if is_on(weight_decay):
        gradient = gradient + parameter * weight_decay
    parameter = parameter * (1 - lambd * eta.double()) - gradient * eta
    mean = where(mu == 1, parameter, mean + (parameter - mean) * mu)
    return ASGDStep(parameter, mean, *_following(step, eta, lr, lambd, alpha, t0))


@of_step
def _following(
    step: Tensor, eta: Tensor, lr: float | Tensor, lambd: float, alpha: float, t0: float
) -> tuple[Tensor, ...]:
    """ηₜ₊₁ and μₜ₊₁."""
    t = step.double()
    later_rate = lr / (1 + lambd * lr * t) ** alpha
    later_weight = 1 / (t - t0).clamp(min=1)
    return later_rate.to(eta.dtype), later_weight.to(eta.dtype)


class ASGD(Optimizer):
    """Averaged stochastic gradient descent: `state[p]["ax"]` is the mean of the iterates. The rule is :func:`asgd`.

    Args:
        params: parameters, or groups of them with settings of their own.
        lr: the learning rate η.
        lambd: κ, how fast the rate falls; it decays the parameter too.
        alpha: the power in the rate.
        t0: the step at which averaging starts.
        weight_decay: λ, the strength of the L2 penalty ½λ‖θ‖².
        maximize: climb instead of descending.
        differentiable: record the step, so that what it gives can be differentiated.
        foreach, capturable: taken and ignored; they choose between PyTorch's implementations of one rule.

    Raises ValueError for settings out of their range.

    >>> import chainrule
    >>> w = chainrule.tensor([1.0], requires_grad=True)
    >>> optimizer = ASGD([w], lr=0.1)
    >>> (w ** 2).sum().backward(); optimizer.step(); w
    tensor([0.8000], requires_grad=True)
    """

    elementwise = True

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_not_negative(lr=lr, weight_decay=weight_decay)
        settings = {
            "lr": lr, "lambd": lambd, "alpha": alpha, "t0": t0, "weight_decay": weight_decay, "foreach": foreach,
            "maximize": maximize, "differentiable": differentiable, "capturable": capturable,
        }  # fmt: skip
        super().__init__(params, settings)

    def initial_state(self, parameter: Tensor, group: dict[str, Any]) -> dict[str, Tensor]:
        """The first rate is η; the mean starts at the first iterate."""
        return {
            "step": clock_number(0.0), "eta": clock_number(float(group["lr"])), "mu": clock_number(1.0),
            "ax": zeros_like(parameter),
        }  # fmt: skip

    def update(self, parameter: Tensor, gradient: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        """Apply the rule to one parameter."""
        settings = {name: group[name] for name in ("lr", "lambd", "alpha", "t0", "weight_decay")}
        times = state["eta"], state["mu"], next_step(state)
        result = asgd(parameter, gradient, state["ax"], *times, **settings)
        write(parameter, result.parameter, state, {"eta": result.eta, "mu": result.mu, "ax": result.mean})
