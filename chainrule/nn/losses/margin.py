"""Losses with a margin: what is right must be better by so much, then it costs nothing any more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.errors import DTypeError, IndexRangeError, ShapeError
from chainrule.functions.activation import relu
from chainrule.functions.autocasting import in_single
from chainrule.functions.checking import check_range
from chainrule.functions.counting import one_hot
from chainrule.functions.creation import zeros
from chainrule.functions.gathering import gather
from chainrule.functions.logic import where
from chainrule.functions.promotion import need_tensor
from chainrule.nn.activations.smooth import logsigmoid
from chainrule.nn.distance import PairwiseDistance, pairwise_distance
from chainrule.nn.losses.binary import fits_losses
from chainrule.nn.losses.classes import Loss, WeightedLoss, reduce, same_shape
from chainrule.nn.losses.old_words import with_old_words
from chainrule.tensor import Tensor


@in_single
@with_old_words
def hinge_embedding_loss(input: Tensor, target: Tensor, margin: float = 1.0, reduction: str = "mean") -> Tensor:
    """x where t = 1, max(0, margin − x) where t = −1: for distances x of pairs that are alike or not.

    >>> import chainrule
    >>> hinge_embedding_loss(chainrule.tensor([0.3, 0.3]), chainrule.tensor([1.0, -1.0]), reduction="none")
    tensor([0.3000, 0.7000])
    """
    same_shape(input, target)
    zero = input.new_zeros(())
    near = where(target == -1, zero, input)
    return reduce(near + where(target == 1, zero, (margin - input).clamp(min=0)), reduction)


@in_single
@with_old_words
def margin_ranking_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0, reduction: str = "mean"
) -> Tensor:
    """max(0, −t·(x₁ − x₂) + margin): t = 1 says that x₁ should rank higher, −1 that x₂ should.

    >>> import chainrule
    >>> one, two = chainrule.tensor([1.0]), chainrule.tensor([3.0])
    >>> margin_ranking_loss(one, two, chainrule.tensor([1.0]))
    tensor(2.)
    """
    same_shape(input1, input2)
    same_shape(input1, target)
    return reduce((target * (input2 - input1) + margin).clamp(min=0), reduction)


@in_single
@with_old_words
def cosine_embedding_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0, reduction: str = "mean"
) -> Tensor:
    """1 − cos(x₁, x₂) where t = 1, max(0, cos(x₁, x₂) − margin) where t = −1.

    Inputs (N, D) with a target (N,), or (D,) with a single target. Raises ShapeError for other shapes.

    >>> import chainrule
    >>> x, y = chainrule.tensor([[1.0, 0.0]]), chainrule.tensor([[0.0, 2.0]])
    >>> cosine_embedding_loss(x, y, chainrule.tensor([1]))
    tensor(1.)
    """
    same_shape(input1, input2)
    if input1.ndim not in (1, 2) or tuple(target.shape) != tuple(input1.shape[:-1]):
        raise ShapeError(
            f"cosine_embedding_loss takes (N, D) with targets (N,), or (D,) with one; got {tuple(input1.shape)} and "
            f"{tuple(target.shape)}."
        )
    tiny = 1e-12  # as PyTorch's loss has it: inside of the root, squared lengths
    squares = [(x * x).sum(-1) + tiny for x in (input1, input2)]
    cosine = (input1 * input2).sum(-1) / (squares[0] * squares[1]).sqrt()
    zero = cosine.new_zeros(())
    alike = where(target == 1, 1 - cosine, zero)
    return reduce(alike + where(target == -1, (cosine - margin).clamp(min=0), zero), reduction)


@in_single
@with_old_words
def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Σ over the other classes j of max(0, margin − x_y + x_j)ᵖ, divided by their number C: a margin for classes.

    input: (N, C) or (C,), target: labels (N,) or (). `weight` (C,) weighs by the label. Raises ValueError unless p is 1
    or 2, IndexRangeError for a label that is no class.

    >>> import chainrule
    >>> multi_margin_loss(chainrule.tensor([[0.1, 0.2, 0.4, 0.8]]), chainrule.tensor([3]))
    tensor(0.3250)
    """
    x, y = need_tensor(input, "multi_margin_loss"), need_tensor(target, "multi_margin_loss")
    if p not in (1, 2):
        raise ValueError(f"multi_margin_loss: p is 1 or 2, got {p}.")
    _check_whole(y, "multi_margin_loss")
    x = x.reshape(1) if not x.ndim else x  # one number is the score of one class
    alone = x.ndim == 1
    rows, labels = (x.unsqueeze(0), y.reshape(1)) if alone else (x, y)
    if x.ndim not in (1, 2) or tuple(labels.shape) != (rows.shape[0],):
        raise ShapeError(f"multi_margin_loss takes (N, C) and labels (N,), got {tuple(x.shape)} and {tuple(y.shape)}.")
    check_range(_are_classes, labels, 0, rows.shape[1] - 1)
    if weight is not None and tuple(weight.shape) != (rows.shape[1],):
        raise ShapeError(f"weight has one entry for each of {rows.shape[1]} classes, got {tuple(weight.shape)}.")
    places = labels.long().unsqueeze(1)
    short = relu(margin - gather(rows, 1, places) + rows)
    short = short if p == 1 else short * short
    if weight is not None:
        short = short * weight[labels.long()].unsqueeze(1)
    others = where(one_hot(labels.long(), rows.shape[1]) == 1, short.new_zeros(()), short)
    losses = others.sum(1) / rows.shape[1]
    return reduce(losses.squeeze(0) if alone else losses, reduction)


@in_single
@with_old_words
def multilabel_margin_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """Σ over right classes y and wrong ones j of max(0, 1 − (x_y − x_j)), divided by C: several labels for a sample.

    input: (N, C) or (C,); target, of the same shape, lists the labels of each sample, ended by −1.
    Raises IndexRangeError for a label that is no class.

    >>> import chainrule
    >>> multilabel_margin_loss(chainrule.tensor([0.1, 0.2, 0.4, 0.8]), chainrule.tensor([3, 0, -1, 1]))
    tensor(0.8500)
    """
    same_shape(input, target)
    _check_whole(target, "multilabel_margin_loss")
    if not input.ndim:  # one number is the score of one class
        input, target = input.reshape(1), target.reshape(1)
    if input.ndim not in (1, 2):
        raise ShapeError(f"multilabel_margin_loss takes (N, C) or (C,), got {tuple(input.shape)}.")
    rows, labels = (input.unsqueeze(0), target.unsqueeze(0)) if input.ndim == 1 else (input, target)
    classes = rows.shape[1]
    check_range(_are_classes, labels, -1, classes - 1)
    counts = (labels < 0).long().cumsum(1) == 0  # up to the first −1
    safe = labels.long().clamp(min=0)
    right = zeros(*rows.shape, dtype="int64", device=rows.device).scatter_add(1, safe, counts.long())
    # Every listed label against every class that is not listed; as far as any list goes, if that is known.
    listed = counts.value.array
    longest = int(listed.sum(1).max(initial=0)) if isinstance(listed, np.ndarray) else classes
    safe, counts = safe[:, :longest], counts[:, :longest]
    scores = gather(rows, 1, safe)
    short = relu(1 - (scores.unsqueeze(2) - rows.unsqueeze(1)))
    matters = counts.unsqueeze(2) & (right == 0).unsqueeze(1)
    losses = where(matters, short, short.new_zeros(())).sum((1, 2)) / classes
    return reduce(losses.squeeze(0) if input.ndim == 1 else losses, reduction)


@with_old_words
def multilabel_soft_margin_loss(
    input: Tensor, target: Tensor, weight: Tensor | None = None, reduction: str = "mean"
) -> Tensor:
    """The binary cross-entropy of each class from scores, averaged over the classes: (N, C) to (N,).

    `weight` (C,) weighs the classes.

    >>> import chainrule
    >>> multilabel_soft_margin_loss(chainrule.zeros(2, 3), chainrule.ones(2, 3))
    tensor(0.6931)
    """
    same_shape(input, target)
    losses = -(target * logsigmoid(input) + (1 - target) * logsigmoid(-input))
    if weight is not None:
        fits_losses(weight, losses, "weight")
        losses = losses * weight
    return reduce(losses.mean(-1), reduction)


@in_single
@with_old_words
def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """max(0, d(a, positive) − d(a, negative) + margin), with d the p-norm of the difference, along the last dimension.

    With `swap` the negative's distance to the positive counts if it is smaller. Raises ShapeError unless all have one
    shape. Source: Balntas et al., "Learning shallow convolutional feature descriptors with triplet losses", 2016.

    >>> import chainrule
    >>> a, b, c = (chainrule.tensor([[x, 0.0]]) for x in (0.0, 1.0, 1.5))
    >>> triplet_margin_loss(a, b, c)
    tensor(0.5000)
    """

    def distance(x: Tensor, y: Tensor) -> Tensor:
        return pairwise_distance(x, y, p, eps)

    return triplet_margin_with_distance_loss(
        anchor, positive, negative, distance_function=distance, margin=margin, swap=swap, reduction=reduction
    )


def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """`triplet_margin_loss` with any distance, which takes two tensors; `pairwise_distance` unless given.

    >>> import chainrule
    >>> a, b, c = (chainrule.tensor([[x]]) for x in (0.0, 1.0, 1.5))
    >>> triplet_margin_with_distance_loss(a, b, c, distance_function=lambda x, y: (x - y).abs().sum(1))
    tensor(0.5000)
    """
    _check_margin(margin, "triplet_margin_loss")
    same_shape(anchor, positive, "anchor", "positive")
    same_shape(anchor, negative, "anchor", "negative")
    distance = pairwise_distance if distance_function is None else distance_function
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = far.minimum(distance(positive, negative))
    return reduce((near - far + margin).clamp(min=0), reduction)


def _check_margin(margin: float, name: str) -> None:
    if not margin > 0:
        raise ValueError(f"{name}: the margin is above 0, got {margin}.")


def _check_whole(target: Tensor, name: str) -> None:
    """Raise a DTypeError for labels that are no integers."""
    if target.value.array.dtype.kind not in "iu":
        raise DTypeError(f"{name}: labels are integers, got {target.dtype}; convert them with .long().")


def _are_classes(labels: Any, low: int, high: int) -> None:
    if labels.size and (labels.min() < low or labels.max() > high):
        wrong = labels.min() if labels.min() < low else labels.max()
        raise IndexRangeError(f"label {wrong} is none of the {high + 1} classes 0 … {high}.")


@with_old_words
class HingeEmbeddingLoss(Loss):
    """For distances of pairs that are alike (1) or not (−1); see `functional.hinge_embedding_loss`.

    >>> import chainrule
    >>> HingeEmbeddingLoss()(chainrule.tensor([0.3]), chainrule.tensor([-1.0]))
    tensor(0.7000)
    """

    def __init__(self, margin: float = 1.0, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.margin = margin

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Distances and signs, of one shape."""
        return hinge_embedding_loss(input, target, self.margin, reduction=self.reduction)


@with_old_words
class MarginRankingLoss(Loss):
    """Which of two scores should be higher; see `functional.margin_ranking_loss`.

    >>> import chainrule
    >>> MarginRankingLoss()(chainrule.tensor([1.0]), chainrule.tensor([3.0]), chainrule.tensor([1.0]))
    tensor(2.)
    """

    def __init__(self, margin: float = 0.0, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.margin = margin

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> Tensor:
        """Two scores and a sign, of one shape."""
        return margin_ranking_loss(input1, input2, target, self.margin, reduction=self.reduction)


@with_old_words
class CosineEmbeddingLoss(Loss):
    """By the angle of pairs that are alike (1) or not (−1); see `functional.cosine_embedding_loss`.

    >>> import chainrule
    >>> x, y = chainrule.tensor([[1.0, 0.0]]), chainrule.tensor([[0.0, 2.0]])
    >>> CosineEmbeddingLoss()(x, y, chainrule.tensor([1]))
    tensor(1.)
    """

    def __init__(self, margin: float = 0.0, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.margin = margin

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> Tensor:
        """Vectors (N, D), and signs (N,)."""
        return cosine_embedding_loss(input1, input2, target, self.margin, reduction=self.reduction)


@with_old_words
class MultiMarginLoss(WeightedLoss):
    """A margin between the right class and the others; arguments as `functional.multi_margin_loss`.

    >>> import chainrule
    >>> MultiMarginLoss()(chainrule.tensor([[0.1, 0.2, 0.4, 0.8]]), chainrule.tensor([3]))
    tensor(0.3250)
    """

    def __init__(self, p: int = 1, margin: float = 1.0, weight: Any = None, reduction: str = "mean") -> None:
        super().__init__(weight, reduction=reduction)
        if p not in (1, 2):
            raise ValueError(f"MultiMarginLoss: p is 1 or 2, got {p}.")
        self.p, self.margin = p, margin

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Scores (N, C) and labels (N,)."""
        return multi_margin_loss(input, target, self.p, self.margin, self.weight, reduction=self.reduction)


@with_old_words
class MultiLabelMarginLoss(Loss):
    """A margin between all right classes and all others; see `functional.multilabel_margin_loss`.

    >>> import chainrule
    >>> MultiLabelMarginLoss()(chainrule.tensor([0.1, 0.2, 0.4, 0.8]), chainrule.tensor([3, 0, -1, 1]))
    tensor(0.8500)
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Scores (N, C), and lists of labels (N, C) ended by −1."""
        return multilabel_margin_loss(input, target, reduction=self.reduction)


@with_old_words
class MultiLabelSoftMarginLoss(WeightedLoss):
    """The binary cross-entropy averaged over classes; see `functional.multilabel_soft_margin_loss`.

    >>> import chainrule
    >>> MultiLabelSoftMarginLoss()(chainrule.zeros(2, 3), chainrule.ones(2, 3))
    tensor(0.6931)
    """

    def __init__(self, weight: Any = None, reduction: str = "mean") -> None:
        super().__init__(weight, reduction=reduction)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Scores and targets (N, C)."""
        return multilabel_soft_margin_loss(input, target, self.weight, reduction=self.reduction)


@with_old_words
class TripletMarginLoss(Loss):
    """An anchor nearer to the positive than to the negative, by a margin; see `functional.triplet_margin_loss`.

    >>> import chainrule
    >>> a, b, c = (chainrule.tensor([[x, 0.0]]) for x in (0.0, 1.0, 1.5))
    >>> TripletMarginLoss()(a, b, c)
    tensor(0.5000)
    """

    def __init__(
        self,
        margin: float = 1.0,
        p: float = 2.0,
        eps: float = 1e-6,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction=reduction)
        _check_margin(margin, "TripletMarginLoss")
        self.margin, self.p, self.eps, self.swap = margin, p, eps, swap

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """Vectors (N, D) or (D,), of one shape."""
        settings = (self.margin, self.p, self.eps, self.swap)
        return triplet_margin_loss(anchor, positive, negative, *settings, reduction=self.reduction)


class TripletMarginWithDistanceLoss(Loss):
    """`TripletMarginLoss` with any distance; see `functional.triplet_margin_with_distance_loss`.

    >>> import chainrule
    >>> a, b, c = (chainrule.tensor([[x]]) for x in (0.0, 1.0, 1.5))
    >>> TripletMarginWithDistanceLoss(distance_function=lambda x, y: (x - y).abs().sum(1))(a, b, c)
    tensor(0.5000)
    """

    def __init__(
        self,
        *,
        distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
        margin: float = 1.0,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction=reduction)
        _check_margin(margin, "TripletMarginWithDistanceLoss")
        self.distance_function = PairwiseDistance() if distance_function is None else distance_function
        self.margin, self.swap = margin, swap

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """Three tensors that the distance takes, of one shape."""
        return triplet_margin_with_distance_loss(
            anchor, positive, negative, distance_function=self.distance_function, margin=self.margin, swap=self.swap,
            reduction=self.reduction,
        )  # fmt: skip
