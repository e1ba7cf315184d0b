"""Losses of regression that forgive outliers: quadratic near zero, linear far out."""

from __future__ import annotations

from chainrule.autodiff.block import block
from chainrule.functions.autocasting import in_single
from chainrule.functions.promotion import promote
from chainrule.nn.losses.classes import Loss, reduce, same_shape
from chainrule.nn.losses.old_words import with_old_words
from chainrule.tensor import Tensor


@in_single
@with_old_words
def smooth_l1_loss(input: Tensor, target: Tensor, reduction: str = "mean", beta: float = 1.0) -> Tensor:
    """d²/2β where |d| < β, else |d| − β/2, with d = input − target: `huber_loss`/β. β = 0 is `l1_loss`.

    Raises ValueError for β < 0. Source: Girshick, "Fast R-CNN", 2015.

    >>> import chainrule
    >>> smooth_l1_loss(chainrule.tensor([0.5, 3.0]), chainrule.tensor([0.0, 0.0]), reduction="none")
    tensor([0.1250, 2.5000])
    """
    same_shape(input, target)
    if beta < 0:
        raise ValueError(f"smooth_l1_loss: beta is not negative, got {beta}.")
    if beta == 0:
        return reduce((input - target).abs(), reduction)
    x, t = promote(input, target)
    return reduce(_held_square(x, t, beta, beta), reduction)


@in_single
def huber_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0, weight: Tensor | None = None
) -> Tensor:
    """d²/2 where |d| ≤ δ, else δ·(|d| − δ/2), with d = input − target.

    `weight`, of the shape of the input, multiplies the losses; the mean is over their number. Raises ValueError unless
    δ > 0. Source: Huber, "Robust estimation of a location parameter", 1964.

    >>> import chainrule
    >>> huber_loss(chainrule.tensor([0.5, 3.0]), chainrule.tensor([0.0, 0.0]), reduction="none", delta=2.0)
    tensor([0.1250, 4.0000])
    """
    same_shape(input, target)
    if not delta > 0:
        raise ValueError(f"huber_loss: delta is above 0, got {delta}.")
    x, t = promote(input, target)
    losses = _held_square(x, t, delta, 1.0)
    if weight is not None:
        same_shape(losses, weight, "loss", "weight")
        losses = losses * weight
    return reduce(losses, reduction)


@block
def _held_square(input: Tensor, target: Tensor, bound: float, divisor: float) -> Tensor:
    """c·(d − c/2) / divisor, where c is d held to ±bound: both pieces in one formula, without a choice by entry."""
    difference = input - target
    held = difference.clamp(-bound, bound)
    return (held if divisor == 1 else held / divisor) * (difference - 0.5 * held)


@_held_square.gradient
def _(g: Tensor, input: Tensor, target: Tensor, bound: float, divisor: float) -> tuple[Tensor, Tensor | None]:
    held = (input - target).clamp(-bound, bound)
    to_input = g * (held if divisor == 1 else held / divisor)
    return to_input, -to_input if target.requires_grad else None


@with_old_words
class SmoothL1Loss(Loss):
    """Quadratic up to β, linear beyond; see `functional.smooth_l1_loss`.

    >>> import chainrule
    >>> SmoothL1Loss()(chainrule.tensor([3.0]), chainrule.tensor([0.0]))
    tensor(2.5000)
    """

    def __init__(self, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        self.beta = beta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Prediction and target, of one shape."""
        return smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)


class HuberLoss(Loss):
    """Quadratic up to δ, linear beyond; see `functional.huber_loss`.

    >>> import chainrule
    >>> HuberLoss(delta=2.0)(chainrule.tensor([3.0]), chainrule.tensor([0.0]))
    tensor(4.)
    """

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        self.delta = delta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Prediction and target, of one shape."""
        return huber_loss(input, target, reduction=self.reduction, delta=self.delta)
