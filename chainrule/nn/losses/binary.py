"""Losses of yes and no: from probabilities, from scores, and with margins."""

from __future__ import annotations

from typing import Any

from chainrule.autodiff.block import block
from chainrule.errors import NumberRangeError, ShapeError
from chainrule.functions import activation
from chainrule.functions.autocasting import in_single
from chainrule.functions.checking import check_numbers
from chainrule.functions.elementwise import exp, log1p
from chainrule.functions.logic import isinf, where
from chainrule.functions.promotion import common_shape, promote
from chainrule.nn.activations.smooth import logsigmoid
from chainrule.nn.losses.classes import Loss, WeightedLoss, reduce, same_shape
from chainrule.nn.losses.old_words import with_old_words
from chainrule.tensor import Tensor


def _rescaled(losses: Tensor, weight: Tensor | None, reduction: str) -> Tensor:
    """The losses times a weight that broadcasts to them; the mean is over their number."""
    if weight is not None:
        fits_losses(weight, losses, "weight")
        losses = losses * weight
    return reduce(losses, reduction)


def fits_losses(weight: Tensor, losses: Tensor, name: str) -> None:
    """Raise a ShapeError unless the weight broadcasts to the losses: it may repeat itself, never them."""
    if common_shape([tuple(losses.shape), tuple(weight.shape)]) != tuple(losses.shape):
        raise ShapeError(f"a {name} {tuple(weight.shape)} does not broadcast to losses {tuple(losses.shape)}.")


@in_single
@with_old_words
def binary_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, reduction: str = "mean"
) -> Tensor:
    """−(t·ln p + (1 − t)·ln(1 − p)) from probabilities p in [0, 1]; logarithms are cut off at −100.

    So p = 0 for t = 1 costs 100, not infinity, and has a gradient. From scores use
    `binary_cross_entropy_with_logits`, which loses no digits. Raises ShapeError unless both have one shape, ValueError
    for probabilities outside of [0, 1] (scores, most likely).

    >>> import chainrule
    >>> binary_cross_entropy(chainrule.tensor([0.5, 1.0]), chainrule.tensor([1.0, 1.0]), reduction="none")
    tensor([0.6931, 0.0000])
    """
    same_shape(input, target)
    check_numbers(_are_probabilities, input, wrong=_no_probabilities)
    _need_targets(target)
    return _rescaled(_cross_entropy_of_probabilities(*promote(input, target)), weight, reduction)


def _are_probabilities(p: Any) -> None:
    if p.size and not (p.min() >= 0 and p.max() <= 1):
        raise ValueError(
            f"binary_cross_entropy takes probabilities in [0, 1], got numbers from {p.min():.4g} to "
            f"{p.max():.4g}. For scores use binary_cross_entropy_with_logits."
        )


def _no_probabilities(p: Tensor) -> Tensor:
    return ~((p >= 0) & (p <= 1))


def _need_targets(target: Tensor) -> None:
    check_numbers(_are_targets, target, wrong=_no_probabilities)


def _are_targets(t: Any) -> None:
    if t.size and not (t.min() >= 0 and t.max() <= 1):
        raise NumberRangeError(
            f"binary_cross_entropy takes targets in [0, 1], got numbers from {t.min():.4g} to {t.max():.4g}."
        )


@block
def _cross_entropy_of_probabilities(p: Tensor, t: Tensor) -> Tensor:
    yes, no = p.log().clamp(min=-100), log1p(-p).clamp(min=-100)
    return (t - 1) * no - t * yes


@_cross_entropy_of_probabilities.gradient
def _(g: Tensor, p: Tensor, t: Tensor) -> tuple[Tensor, Tensor | None]:
    # (p − t)/(p(1 − p)), with the denominator kept from 0 as the logarithms are.
    to_p = g * (p - t) / (p * (1 - p)).clamp(min=1e-12 if p.dtype.itemsize > 2 else 1e-4)
    to_t = g * (log1p(-p).clamp(min=-100) - p.log().clamp(min=-100)) if t.requires_grad else None
    return to_p, to_t


@in_single
@with_old_words
def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """The binary cross-entropy of p = σ(x) from scores x: max(x, 0) − x·t + ln(1 + e^−|x|), for infinite x its limit.

    `pos_weight` w weighs the positive targets: −(w·t·ln p + (1 − t)·ln(1 − p)); it broadcasts (one for each class), as
    `weight` does, which weighs all. Exact for any score. Raises ShapeError unless scores and targets have one shape.

    >>> import chainrule
    >>> scores, targets = chainrule.tensor([1000.0, 0.0]), chainrule.tensor([0.0, 1.0])
    >>> binary_cross_entropy_with_logits(scores, targets, reduction="none")
    tensor([1000.0000,    0.6931])
    """
    same_shape(input, target)
    losses = _cross_entropy_of_scores(*promote(input, target))
    if pos_weight is None:
        return _rescaled(losses, weight, reduction)
    fits_losses(pos_weight, input, "pos_weight")
    # Not (1 − t)·x − (1 + (w − 1)·t)·ln σ(x): there a small loss would be the difference of two large numbers.
    logarithm = logsigmoid(input)
    positive = where((target == 0) & isinf(logarithm), 0.0, target * logarithm)  # 0·∞ is 0 here
    more = (1 - pos_weight) * positive
    return _rescaled(losses + more, weight, reduction)


@block
def _cross_entropy_of_scores(x: Tensor, t: Tensor) -> Tensor:
    size, missing = x.abs(), where(x > 0, 1 - t, t)
    return where(missing == 0, 0.0, size * missing) + log1p(exp(-size))


@_cross_entropy_of_scores.gradient
def _(g: Tensor, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor | None]:
    return g * (activation.sigmoid(x) - t), -(g * x) if t.requires_grad else None


@in_single
@with_old_words
def soft_margin_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """ln(1 + e^(−t·x)) for targets t of −1 and 1: logistic regression on signs.

    >>> import chainrule
    >>> soft_margin_loss(chainrule.tensor([0.0]), chainrule.tensor([-1.0]))
    tensor(0.6931)
    """
    same_shape(input, target)
    return reduce(-logsigmoid(target * input), reduction)


def hinge_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """max(0, 1 − t·x) for targets t of −1 and 1: what a support vector machine minimises. PyTorch has no such function.

    >>> import chainrule
    >>> hinge_loss(chainrule.tensor([0.5, 3.0]), chainrule.tensor([1.0, 1.0]), reduction="none")
    tensor([0.5000, 0.0000])
    """
    same_shape(input, target)
    return reduce((1 - target * input).clamp(min=0), reduction)


@with_old_words
class BCELoss(WeightedLoss):
    """The binary cross-entropy from probabilities; arguments as `functional.binary_cross_entropy`.

    >>> import chainrule
    >>> BCELoss()(chainrule.tensor([0.5]), chainrule.tensor([1.0]))
    tensor(0.6931)
    """

    def __init__(self, weight: Any = None, reduction: str = "mean") -> None:
        super().__init__(weight, reduction=reduction)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Probabilities and targets in [0, 1], of one shape."""
        return binary_cross_entropy(input, target, self.weight, reduction=self.reduction)


@with_old_words
class BCEWithLogitsLoss(WeightedLoss):
    """The binary cross-entropy from scores; arguments as `functional.binary_cross_entropy_with_logits`.

    >>> import chainrule
    >>> BCEWithLogitsLoss()(chainrule.tensor([0.0]), chainrule.tensor([1.0]))
    tensor(0.6931)
    """

    def __init__(self, weight: Any = None, reduction: str = "mean", pos_weight: Any = None) -> None:
        super().__init__(weight, reduction=reduction)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Scores and targets in [0, 1], of one shape."""
        return binary_cross_entropy_with_logits(
            input, target, self.weight, reduction=self.reduction, pos_weight=self.pos_weight
        )


@with_old_words
class SoftMarginLoss(Loss):
    """ln(1 + e^(−t·x)) for targets of −1 and 1.

    >>> import chainrule
    >>> SoftMarginLoss()(chainrule.tensor([0.0]), chainrule.tensor([-1.0]))
    tensor(0.6931)
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Scores and signs, of one shape."""
        return soft_margin_loss(input, target, reduction=self.reduction)


class HingeLoss(Loss):
    """max(0, 1 − t·x) for targets of −1 and 1; see `functional.hinge_loss`.

    >>> import chainrule
    >>> HingeLoss()(chainrule.tensor([0.5]), chainrule.tensor([1.0]))
    tensor(0.5000)
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Scores and signs, of one shape."""
        return hinge_loss(input, target, reduction=self.reduction)
