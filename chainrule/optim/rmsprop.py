"""RMSprop: the gradient over the root of the running mean of its square."""

from __future__ import annotations

from typing import Any, NamedTuple

from chainrule.functions.creation import zeros_like
from chainrule.optim.clock import clock_number, next_step
from chainrule.optim.optimizer import Optimizer, check_not_negative, is_on, write
from chainrule.tensor import Tensor


class RMSpropStep(NamedTuple):
    """The new parameter, mean square, mean (if centred) and velocity (with momentum)."""

    parameter: Tensor
    square: Tensor
    mean: Tensor | None
    velocity: Tensor | None


def rmsprop(
    parameter: Tensor,
    gradient: Tensor,
    square: Tensor,
    mean: Tensor | None,
    velocity: Tensor | None,
    *,
    lr: float | Tensor,
    alpha: float = 0.99,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    momentum: float = 0.0,
) -> RMSpropStep:
    """One step as a pure function; centred if there is a `mean`, with momentum if there is a `velocity`.

        g ← g + λ·θ
        s ← α·s + (1 − α)·g²
        d = √s + ε, or if centred: ḡ ← α·ḡ + (1 − α)·g, d = √(s − ḡ²) + ε
        θ ← θ − η·g/d, or with momentum: v ← μ·v + g/d, θ ← θ − η·v

    Sources: Tieleman and Hinton, lecture 6.5 of "Neural networks for machine learning", 2012; centred: Graves 2013. ε
    stands outside of the root, as in PyTorch. The mean has no bias correction, so the first steps are about
    η/√(1 − α), ten times η. A decay of 0.9 and η = 0.001 are often given as usual; PyTorch's are 0.99 and 0.01.
    """
    if is_on(weight_decay):
        gradient = gradient + parameter * weight_decay
    square = square * alpha + gradient * gradient * (1 - alpha)
    if mean is None:
        spread = square.sqrt() + eps
    else:
        mean = mean * alpha + gradient * (1 - alpha)
        spread = (square - mean * mean).sqrt() + eps
    direction = gradient / spread
    if velocity is not None:
        direction = velocity = velocity * momentum + direction
    return RMSpropStep(parameter - direction * lr, square, mean, velocity)


class RMSprop(Optimizer):
    """RMSprop: each coordinate's gradient over the root of its recent mean square. The rule is :func:`rmsprop`.

    Args:
        params: parameters, or groups of them with settings of their own.
        lr: the learning rate η.
        alpha: α in [0, 1], how long the mean square remembers.
        eps: ε, above 0, keeps the division finite.
        weight_decay: λ, the strength of the L2 penalty ½λ‖θ‖².
        momentum: μ.
        centered: divide by the standard deviation instead of the root mean square.
        maximize: climb instead of descending.
        differentiable: record the step, so that what it gives can be differentiated.
        capturable, foreach: taken and ignored; they choose between PyTorch's implementations of one rule.

    Raises ValueError for settings out of their range.

    >>> import chainrule
    >>> w = chainrule.tensor([1.0], requires_grad=True)
    >>> optimizer = RMSprop([w], lr=0.01)
    >>> (w ** 2).sum().backward(); optimizer.step(); w
    tensor([0.9000], requires_grad=True)
    """

    elementwise = True

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_not_negative(lr=lr, eps=eps, momentum=momentum, weight_decay=weight_decay, alpha=alpha)
        settings = {
            "lr": lr, "momentum": momentum, "alpha": alpha, "eps": eps, "centered": centered,
            "weight_decay": weight_decay, "capturable": capturable, "foreach": foreach, "maximize": maximize,
            "differentiable": differentiable,
        }  # fmt: skip
        super().__init__(params, settings)

    def initial_state(self, parameter: Tensor, group: dict[str, Any]) -> dict[str, Tensor]:
        """All means and the velocity 0."""
        names = ["square_avg"]
        if is_on(group["momentum"]):
            names.append("momentum_buffer")
        if group["centered"]:
            names.append("grad_avg")
        return {"step": clock_number(0.0), **{name: zeros_like(parameter) for name in names}}

    def update(self, parameter: Tensor, gradient: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        """Apply the rule to one parameter."""
        next_step(state)
        mean = state["grad_avg"] if group["centered"] else None
        velocity = state["momentum_buffer"] if is_on(group["momentum"]) else None
        settings = {name: group[name] for name in ("lr", "alpha", "eps", "weight_decay", "momentum")}
        result = rmsprop(parameter, gradient, state["square_avg"], mean, velocity, **settings)
        entries = {"square_avg": result.square, "momentum_buffer": result.velocity, "grad_avg": result.mean}
        write(parameter, result.parameter, state, entries)
