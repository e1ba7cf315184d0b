"""Losses: one number that says how wrong a prediction is.

All refuse to broadcast: predictions of shape (N, 1) against targets of shape (N,) would silently compare every
prediction with every target.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from chainrule.autodiff.block import block
from chainrule.dtypes import bool_
from chainrule.errors import DTypeError, IndexRangeError, ShapeError
from chainrule.functions import activation, elementwise
from chainrule.functions.autocasting import in_single
from chainrule.functions.checking import check_numbers
from chainrule.functions.creation import ones, zeros
from chainrule.functions.gathering import gather
from chainrule.functions.promotion import in_float32, need_tensor
from chainrule.functions.reduction import ratio_of_sums
from chainrule.nn.losses.old_words import with_old_words
from chainrule.nn.module import Module
from chainrule.primitives.placed import on_host
from chainrule.primitives.reduction import blocked_sum
from chainrule.primitives.value import Array
from chainrule.tensor import Tensor


def reduce(losses: Tensor, reduction: str) -> Tensor:
    """The losses of all residuals as they are ("none"), their mean, or their sum."""
    if reduction == "mean":
        return losses.mean()
    if reduction == "sum":
        return losses.sum()
    if reduction == "none":
        return losses
    raise ValueError(f"reduction is 'none', 'mean' or 'sum', got {reduction!r}.")


def same_shape(input: Tensor, target: Tensor, first: str = "prediction", second: str = "target") -> None:
    """Raise a ShapeError unless both have one shape: nothing broadcasts in a loss. The names are for the message."""
    need_tensor(input, "a loss")
    need_tensor(target, "a loss")
    if input.shape == target.shape:
        return
    got, wanted = tuple(input.shape), tuple(target.shape)
    mend = ""
    if [n for n in got if n != 1] == [n for n in wanted if n != 1]:
        longer = first if len(got) > len(wanted) else second
        mend = f" Use squeeze(-1) on the {longer} (or unsqueeze(-1) on the other)."
    raise ShapeError(
        f"the {first} has shape {got}, the {second} {wanted}; they would broadcast to something else than a "
        f"comparison one by one.{mend}"
    )


def weighted(losses: Tensor, weight: Tensor | None, reduction: str) -> Tensor:
    """The losses of all residuals times their weights, reduced; the mean is over the weights' sum."""
    if weight is None:
        return reduce(losses, reduction)
    same_shape(losses, weight, "loss", "weight")
    total = losses * weight
    return ratio_of_sums(total, weight) if reduction == "mean" else reduce(total, reduction)


@in_single
@with_old_words
def mse_loss(input: Tensor, target: Tensor, reduction: str = "mean", weight: Tensor | None = None) -> Tensor:
    """(input − target)², averaged over all entries (not over samples alone) or summed.

    Under Gaussian noise of fixed variance it is the negative log-likelihood but for constants.

    >>> import chainrule
    >>> mse_loss(chainrule.tensor([1.0, 2.0]), chainrule.tensor([1.0, 4.0]))
    tensor(2.)
    """
    same_shape(input, target)
    if reduction == "mean" and weight is None and input.dtype == target.dtype:
        return _mean_square(input, target)
    difference = input - target
    return weighted(difference * difference, weight, reduction)


@block
def _mean_square(input: Tensor, target: Tensor) -> Tensor:
    difference = input - target
    return (difference * difference).mean()


@_mean_square.gradient
def _(g: Tensor, input: Tensor, target: Tensor) -> tuple[Tensor, Tensor | None]:
    to_input = (input - target) * (g * (2 / max(input.numel(), 1)))
    return to_input, -to_input if target.requires_grad else None


@in_single
@with_old_words
def l1_loss(input: Tensor, target: Tensor, reduction: str = "mean", weight: Tensor | None = None) -> Tensor:
    """|input − target|, averaged over all entries or summed.

    >>> import chainrule
    >>> l1_loss(chainrule.tensor([1.0, 2.0]), chainrule.tensor([1.0, 4.0]))
    tensor(1.)
    """
    same_shape(input, target)
    return weighted(elementwise.abs(input - target), weight, reduction)


# ----------------------------------------------------------------------------------------- classification


def check_labels(input: Tensor, target: Tensor, ignore_index: int = -100) -> None:
    """Labels are integers of the shape of the scores without the classes, each a class or `ignore_index`."""
    classes = input.shape[0] if input.ndim == 1 else input.shape[1]
    if not input.dtype.is_floating_point:
        raise DTypeError(f"scores are floating-point numbers, got {input.dtype}; convert them with .float().")
    if target.dtype.is_floating_point or target.dtype is bool_:
        raise DTypeError(
            f"got {target.dtype} targets of shape {tuple(target.shape)} for scores {tuple(input.shape)}. Class labels "
            "are integers: convert them with .long(). (Probabilities for each class have the shape of the scores.)"
        )
    expected = tuple(input.shape[:1] + input.shape[2:]) if input.ndim > 1 else ()
    if tuple(target.shape) != expected:
        hint = " Is it one-hot? argmax(1) gives labels." if target.shape == input.shape else ""
        if target.shape == (*expected, 1):
            hint = " squeeze(-1) takes the last dimension off."
        raise ShapeError(f"scores {tuple(input.shape)} take labels {expected}, got {tuple(target.shape)}.{hint}")
    check_numbers(_are_classes, target, wrong=_no_classes, classes=classes, ignore_index=ignore_index)


def _are_classes(labels: Any, classes: int, ignore_index: int) -> None:
    if labels.size and labels.min() >= 0 and labels.max() < classes:
        return
    wrong = ((labels < 0) | (labels >= classes)) & (labels != ignore_index)
    if wrong.any():
        place = tuple(np.argwhere(wrong)[0].tolist())
        hint = " Do the labels begin at 1?" if labels.min() >= 1 and labels.max() == classes else ""
        raise IndexRangeError(
            f"label {labels[place]} at {list(place)} is none of the {classes} classes 0 … {classes - 1}.{hint}"
        )


def _no_classes(labels: Tensor, classes: int, ignore_index: int) -> Tensor:
    wide = labels.long()
    return ((wide < 0) | (wide >= classes)) & (wide != ignore_index)


def _check_weight(input: Tensor, weight: Tensor | None) -> None:
    """One weight for each class."""
    classes = input.shape[0] if input.ndim == 1 else input.shape[1]
    if weight is not None and tuple(weight.shape) != (classes,):
        raise ShapeError(f"weight has one entry for each of the {classes} classes, got shape {tuple(weight.shape)}.")


@in_single
@partial(with_old_words, first="ignore_index")
def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """−input[label]: the negative log-likelihood, from log-probabilities (N, C, …) and labels (N, …).

    The mean divides by the sum of the labels' weights; labels equal to `ignore_index` do not count.

    Raises IndexRangeError for a label that is no class, DTypeError for labels that are no integers, ShapeError for
    labels or weights of another shape.

    >>> import chainrule
    >>> nll_loss(chainrule.tensor([[-0.5, -1.0]]), chainrule.tensor([1]))
    tensor(1.)
    """
    need_tensor(input, "nll_loss")
    need_tensor(target, "nll_loss")
    check_labels(input, target, ignore_index)
    _check_weight(input, weight)
    if input.ndim > 1 and weight is None and reduction == "mean" and not _is_ignored(target, ignore_index):
        return _mean_nll(input, target)
    counts = target != ignore_index
    labels = target.long().masked_fill(~counts, 0)
    if input.ndim == 1:
        losses, weights = -gather(input, 0, labels.reshape(1)).reshape(()), counts.to(input.dtype)
    else:
        losses, weights = -gather(input, 1, labels.unsqueeze(1)).squeeze(1), counts.to(input.dtype)
    if weight is not None:
        weights = weights * weight[labels]
    losses = (losses * weights).masked_fill(~counts, 0)
    if reduction == "mean":
        return ratio_of_sums(losses, weights)
    return reduce(losses, reduction)


@in_single
@partial(with_old_words, first="ignore_index")
def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """−Σ p·ln softmax(input): from scores (logits), never from probabilities.

    input: (N, C), (N, C, …) for a label per pixel, or (C,). target: labels (N, …), integers in [0, C), or
    probabilities of the shape of the input. For a label y the loss is ln Σⱼ eˣʲ − x_y. The mean divides by the
    labels' weights, or by N for probabilities. `label_smoothing` ε mixes the target with ε/C everywhere.

    Raises IndexRangeError for a label that is no class, DTypeError for labels that are no integers, ShapeError for
    targets or weights of another shape. Source: Goodfellow, Bengio and Courville, *Deep Learning* (2016), 6.2.2.

    >>> import chainrule
    >>> cross_entropy(chainrule.tensor([[0.0, 0.0, 0.0, 0.0]]), chainrule.tensor([2]))
    tensor(1.3863)
    """
    need_tensor(input, "cross_entropy")
    need_tensor(target, "cross_entropy")
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing lies in [0, 1], got {label_smoothing}.")
    classes_at = 0 if input.ndim == 1 else 1
    if target.dtype.is_floating_point and target.shape == input.shape:
        if ignore_index >= 0:
            raise DTypeError(f"ignore_index={ignore_index} names a label, but these targets are probabilities.")
        return _with_probabilities(input, target, weight, reduction, label_smoothing, classes_at)
    if input.ndim > 1 and weight is None and not label_smoothing and reduction == "mean":
        check_labels(input, target, ignore_index)
        if not _is_ignored(target, ignore_index):
            return _mean_cross_entropy(input, target)
    log_probabilities = activation.log_softmax(input, classes_at)
    loss = nll_loss(log_probabilities, target, weight, ignore_index=ignore_index, reduction=reduction)
    if not label_smoothing:
        return loss
    counts = target != ignore_index
    weighted = log_probabilities if weight is None else log_probabilities * _along_classes(weight, input)
    smooth = (-weighted.sum(classes_at)).masked_fill(~counts, 0)
    if reduction == "mean":
        labels = target.long().masked_fill(~counts, 0)
        total = counts.to(input.dtype) if weight is None else counts.to(input.dtype) * weight[labels]
        smooth = ratio_of_sums(smooth, total)
    else:
        smooth = reduce(smooth, reduction)
    return (1 - label_smoothing) * loss + label_smoothing / input.shape[classes_at] * smooth


def _is_ignored(target: Tensor, ignore_index: int) -> bool:
    """Whether any label is to be ignored; while tracing nobody can know, so it is assumed."""
    array = on_host(target.value.array)
    return not isinstance(array, np.ndarray) or bool((array == ignore_index).any())


def _along_classes(weight: Tensor, input: Tensor) -> Tensor:
    return weight.reshape(-1, *[1] * (input.ndim - 2)) if input.ndim > 1 else weight


def _with_probabilities(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    reduction: str,
    label_smoothing: float,
    classes_at: int,
) -> Tensor:
    _check_weight(input, weight)
    if label_smoothing:
        target = target * (1 - label_smoothing) + label_smoothing / input.shape[classes_at]
    products = target * activation.log_softmax(input, classes_at)
    if weight is not None:
        products = products * _along_classes(weight, input)
    return reduce(-products.sum(classes_at), reduction)


@block
def _mean_nll(input: Tensor, target: Tensor) -> Tensor:
    """The usual case, every label counted once, as one node: −(1/N) Σ x_y."""
    return -in_float32(gather(input, 1, target.long().unsqueeze(1))).mean().to(input.dtype)


@_mean_nll.gradient
def _(g: Tensor, input: Tensor, target: Tensor) -> tuple[Tensor, None]:
    places = target.long().unsqueeze(1)
    each = (g / -max(target.numel(), 1)).expand(tuple(places.shape))
    nothing = input.new_zeros(()).expand(tuple(input.shape))
    return nothing.scatter_add(1, places, each.to(input.dtype)), None


@block
def _mean_cross_entropy(input: Tensor, target: Tensor) -> Tensor:
    """The usual case, labels and the mean, as one node: (1/N) Σ (ln Σⱼ eˣʲ − x_y)."""
    return -gather(activation.log_softmax(input, 1), 1, target.long().unsqueeze(1)).mean()


@_mean_cross_entropy.gradient
def _(g: Tensor, input: Tensor, target: Tensor) -> tuple[Tensor, None]:
    # What the whole derivation comes to: (softmax(x) − y) / N, where y is 1 at the label and 0 elsewhere.
    places = target.long().unsqueeze(1)
    y = ones(tuple(places.shape), dtype=input.dtype, device=input.device)
    return activation.softmax(input, 1).scatter_add(1, places, -y) * (g / max(target.numel(), 1)), None


@_mean_cross_entropy.on_arrays
def _(input: Array, target: Array) -> Array | None:
    if not _is_simple(input):
        return None
    shifted = input - np.maximum.reduce(input, axis=1, keepdims=True)
    total = np.log(blocked_sum(np.exp(shifted), (1,)))
    rows = np.arange(len(input))
    likelihoods = shifted[rows, target] - total
    return np.asarray(-(blocked_sum(likelihoods, (0,)) / input.dtype.type(len(input))))


@_mean_cross_entropy.gradient_on_arrays
def _(g: Array, input: Array, target: Array) -> Array | None:
    if not _is_simple(input):
        return None
    shares = np.exp(input - np.maximum.reduce(input, axis=1, keepdims=True))
    shares /= blocked_sum(shares, (1,))[:, None]
    shares[np.arange(len(input)), target] -= 1
    shares *= g / input.dtype.type(len(input))
    return shares


def _is_simple(input: Array) -> bool:
    """Scores (N, C) in single or double precision."""
    return input.ndim == 2 and input.size > 0 and input.dtype.char in "fd"


@with_old_words
class Loss(Module):
    """What all losses share: how the losses of the residuals are reduced. PyTorch's `_Loss`."""

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        reduce(zeros(1), reduction)
        self.reduction = reduction


class WeightedLoss(Loss):
    """A loss with a weight for each class, or None, as a buffer. PyTorch's `_WeightedLoss`."""

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)  # type: ignore[call-arg,arg-type]
        self.register_buffer("weight", weight)


class MSELoss(Loss):
    """The mean squared error (1/n) Σ (ŷ − y)² over all n entries; "sum" and "none" as `reduction`.

    >>> import chainrule
    >>> MSELoss()(chainrule.tensor([1.0, 2.0]), chainrule.tensor([1.0, 4.0]))
    tensor(2.)
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Prediction and target, of one shape."""
        return mse_loss(input, target, reduction=self.reduction)


class L1Loss(Loss):
    """The mean absolute error (1/n) Σ |ŷ − y| over all n entries.

    >>> import chainrule
    >>> L1Loss()(chainrule.tensor([1.0, 2.0]), chainrule.tensor([1.0, 4.0]))
    tensor(1.)
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Prediction and target, of one shape."""
        return l1_loss(input, target, reduction=self.reduction)


@partial(with_old_words, first="ignore_index")
class NLLLoss(WeightedLoss):
    """The negative log-likelihood, for models that end in LogSoftmax; arguments as `functional.nll_loss`.

    >>> import chainrule
    >>> NLLLoss()(chainrule.tensor([[-0.5, -1.0]]), chainrule.tensor([1]))
    tensor(1.)
    """

    def __init__(self, weight: Any = None, ignore_index: int = -100, reduction: str = "mean") -> None:
        super().__init__(weight, reduction=reduction)
        self.ignore_index = ignore_index

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Log-probabilities (N, C, …) and labels (N, …)."""
        return nll_loss(input, target, self.weight, ignore_index=self.ignore_index, reduction=self.reduction)


@partial(with_old_words, first="ignore_index")
class CrossEntropyLoss(WeightedLoss):
    """The cross-entropy −Σ p·ln softmax(x), from scores (logits); arguments as `functional.cross_entropy`.

    >>> import chainrule
    >>> CrossEntropyLoss()(chainrule.zeros(1, 100), chainrule.tensor([7]))
    tensor(4.6052)
    """

    def __init__(
        self,
        weight: Any = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight, reduction=reduction)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Scores (N, C, …) and labels (N, …), or probabilities of the shape of the scores."""
        return cross_entropy(
            input,
            target,
            self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


__all__ = [
    "CrossEntropyLoss",
    "L1Loss",
    "MSELoss",
    "NLLLoss",
    "cross_entropy",
    "l1_loss",
    "mse_loss",
    "nll_loss",
]
