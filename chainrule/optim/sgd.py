"""Stochastic gradient descent, with momentum and Nesterov's look-ahead."""

from __future__ import annotations

from typing import Any, NamedTuple

from chainrule.functions.creation import zeros_like
from chainrule.optim.optimizer import Optimizer, check_not_negative, is_on, write
from chainrule.tensor import Tensor


class SGDStep(NamedTuple):
    """The new parameter and the new velocity."""

    parameter: Tensor
    velocity: Tensor | None


def sgd(
    parameter: Tensor,
    gradient: Tensor,
    velocity: Tensor | None,
    *,
    lr: float | Tensor,
    momentum: float = 0.0,
    dampening: float = 0.0,
    weight_decay: float | Tensor = 0.0,
    nesterov: bool = False,
) -> SGDStep:
    """One step as a pure function.

        g ← g + λ·θ                         weight decay λ
        v ← μ·v + (1 − τ)·g                 momentum μ, dampening τ; v = g at first
        θ ← θ − η·v, or θ − η·(g + μ·v)     plain, or Nesterov's

    Source: Sutskever et al., "On the importance of initialization and momentum", 2013. As in PyTorch the learning
    rate η stands outside of the velocity; forms with it inside (v ← μ·v + η·g, θ ← θ − v) differ once η changes.
    Nesterov's method is often written with the gradient at the look-ahead point θ − μ·v; these θ here *are* the
    look-ahead points, which is why an ordinary gradient will do.

    >>> import chainrule
    >>> sgd(chainrule.tensor([1.0]), chainrule.tensor([2.0]), None, lr=0.1).parameter
    tensor([0.8000])
    """
    if is_on(weight_decay):
        gradient = gradient + parameter * weight_decay
    if not is_on(momentum):
        return SGDStep(parameter - gradient * lr, None)
    velocity = gradient if velocity is None else velocity * momentum + gradient * (1 - dampening)
    direction = gradient + velocity * momentum if nesterov else velocity
    return SGDStep(parameter - direction * lr, velocity)


class SGD(Optimizer):
    """θ ← θ − η·∇L, with momentum, Nesterov momentum and weight decay; the rule is :func:`sgd`.

    Args:
        params: parameters, or groups of them with settings of their own.
        lr: the learning rate η, above 0; typically 0.01 to 0.1.
        momentum: μ in [0, 1), typically 0.9.
        dampening: τ, how much of the gradient does not enter the velocity.
        weight_decay: λ, the strength of the L2 penalty ½λ‖θ‖².
        nesterov: look ahead; needs momentum and no dampening.
        maximize: climb instead of descending.
        differentiable: record the step, so that what it gives can be differentiated.
        foreach, fused: taken and ignored; they choose between PyTorch's implementations of one and the same rule.

    Raises ValueError for settings out of their range.

    >>> import chainrule
    >>> w = chainrule.tensor([1.0], requires_grad=True)
    >>> optimizer = SGD([w], lr=0.1)
    >>> (w ** 2).sum().backward(); optimizer.step(); w
    tensor([0.8000], requires_grad=True)
    """

    elementwise = True

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float | Tensor = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_not_negative(lr=lr, momentum=momentum, weight_decay=weight_decay)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("nesterov needs a momentum above 0 and no dampening.")
        settings = {
            "lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay,
            "nesterov": nesterov, "maximize": maximize, "foreach": foreach, "differentiable": differentiable,
            "fused": fused,
        }  # fmt: skip
        super().__init__(params, settings)

    def initial_state(self, parameter: Tensor, group: dict[str, Any]) -> dict[str, Tensor]:
        """No velocity. With dampening there is nothing yet: the first gradient counts in full, whatever τ is."""
        if not group["momentum"] or group["dampening"]:
            return {}
        return {"momentum_buffer": zeros_like(parameter)}

    def update(self, parameter: Tensor, gradient: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        """Apply the rule to one parameter."""
        result = sgd(
            parameter, gradient, state.get("momentum_buffer"), lr=group["lr"], momentum=group["momentum"],
            dampening=group["dampening"], weight_decay=group["weight_decay"], nesterov=group["nesterov"],
        )  # fmt: skip
        write(parameter, result.parameter, state, {"momentum_buffer": result.velocity})
