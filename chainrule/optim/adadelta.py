"""Adadelta: steps in the units of the parameter, with no learning rate to choose."""

from __future__ import annotations

from typing import Any, NamedTuple

from chainrule.functions.creation import zeros_like
from chainrule.optim.clock import clock_number, next_step
from chainrule.optim.optimizer import Optimizer, check_not_negative, is_on, write
from chainrule.tensor import Tensor


class AdadeltaStep(NamedTuple):
    """The new parameter, and the mean squares of gradients and of changes."""

    parameter: Tensor
    square: Tensor
    change: Tensor


def adadelta(
    parameter: Tensor,
    gradient: Tensor,
    square: Tensor,
    change: Tensor,
    *,
    lr: float | Tensor,
    rho: float = 0.9,
    eps: float = 1e-6,
    weight_decay: float = 0.0,
) -> AdadeltaStep:
    """One step as a pure function.

        g ← g + λ·θ
        s ← ρ·s + (1 − ρ)·g²
        Δ = g·√(u + ε)/√(s + ε)
        u ← ρ·u + (1 − ρ)·Δ²
        θ ← θ − η·Δ

    Source: Zeiler, "ADADELTA: an adaptive learning rate method", 2012, where η = 1. Here ε belongs inside of the roots:
    it is what the first change starts from.
    """
    if is_on(weight_decay):
        gradient = gradient + parameter * weight_decay
    square = square * rho + gradient * gradient * (1 - rho)
    delta = (change + eps).sqrt() / (square + eps).sqrt() * gradient
    change = change * rho + delta * delta * (1 - rho)
    return AdadeltaStep(parameter - delta * lr, square, change)


class Adadelta(Optimizer):
    """Adadelta: the gradient, scaled by the recent size of changes over that of gradients. :func:`adadelta`.

    Args:
        params: parameters, or groups of them with settings of their own.
        lr: η, a factor on the change; 1 in the paper.
        rho: ρ in [0, 1], how long both means remember.
        eps: ε, above 0: the square of the first change's size.
        weight_decay: λ, the strength of the L2 penalty ½λ‖θ‖².
        maximize: climb instead of descending.
        differentiable: record the step, so that what it gives can be differentiated.
        foreach, capturable: taken and ignored; they choose between PyTorch's implementations of one rule.

    Raises ValueError for settings out of their range.

    >>> import chainrule
    >>> w = chainrule.tensor([1.0], requires_grad=True)
    >>> optimizer = Adadelta([w])
    >>> (w ** 2).sum().backward(); optimizer.step(); w
    tensor([0.9968], requires_grad=True)
    """

    elementwise = True

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_not_negative(lr=lr, eps=eps, weight_decay=weight_decay)
        if not 0.0 <= rho <= 1.0:
            raise ValueError(f"rho is in [0, 1], got {rho}.")
        settings = {
            "lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay, "maximize": maximize,
            "capturable": capturable, "foreach": foreach, "differentiable": differentiable,
        }  # fmt: skip
        super().__init__(params, settings)

    def initial_state(self, parameter: Tensor, group: dict[str, Any]) -> dict[str, Tensor]:
        """Both means 0."""
        return {
            "step": clock_number(0.0), "square_avg": zeros_like(parameter), "acc_delta": zeros_like(parameter),
        }  # fmt: skip

    def update(self, parameter: Tensor, gradient: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        """Apply the rule to one parameter."""
        next_step(state)
        settings = {name: group[name] for name in ("lr", "rho", "eps", "weight_decay")}
        result = adadelta(parameter, gradient, state["square_avg"], state["acc_delta"], **settings)
        write(parameter, result.parameter, state, {"square_avg": result.square, "acc_delta": result.change})
