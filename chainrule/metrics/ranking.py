"""How well scores put one class before the others, whatever the threshold: ROC AUC and average precision."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.errors import DTypeError, IndexRangeError, ShapeError
from chainrule.functions.creation import from_numpy
from chainrule.metrics.metric import Metric, Sums, read_state
from chainrule.metrics.probability import need_probabilities
from chainrule.metrics.reading import Array, array_of, need_no_nan, read_scores
from chainrule.tensor import Tensor

AVERAGES = ("macro", "weighted", None)


@dataclass(eq=False)
class RankingMetric(Metric[float | Tensor]):
    """A metric of the order of scores. It keeps all scores, as the exact order needs them: 4 bytes for each and more.

    Args:
        average: what is made of three and more classes, each against all others: the mean ("macro"), the mean with the
            classes' samples as weights ("weighted"), or a float64 Tensor (C,) (None). A class of which there are no
            samples, or no others, has NaN, and means leave it out.
        logits: whether an output with three or more columns has logits or probabilities. It matters there, because the
            softmax changes the order between samples. Logits are compared as ln p/(1 − p), computed so that no two
            become equal because both p round to 1.
        dim, ignore_index: as `LabelMetric`.

    `output`: floats (N, …), larger for class 1, of the target's shape, logits or probabilities alike; or (N, C, …),
    where of two columns the second is class 1. `target`: classes (N, …). Raises ValueError for NaN.
    """

    average: str | None = "macro"
    logits: bool = True
    dim: int = 1
    ignore_index: int = -100

    def check_settings(self) -> None:
        """Raise a ValueError for an average that is unknown."""
        if self.average not in AVERAGES:
            raise ValueError(f"average is one of {AVERAGES}, got {self.average!r}.")

    def empty(self) -> Sums:
        """Lists of what the batches had: scores (M, columns) and classes (M,)."""
        return {"scores": [], "target": []}

    def summarise(self, output: Any, target: Any) -> Sums:
        """The scores and classes of one batch."""
        output, target = array_of(output, "output"), array_of(target, "target")
        if output.shape == target.shape:
            scores, classes = _one_score(output, target, self.ignore_index)
        else:
            scores, classes = read_scores(output, target, self.dim, self.ignore_index)
            need_no_nan(scores)
            if not self.logits:
                need_probabilities(scores)
            scores = _columns(scores, self.logits)
        return {"scores": [np.array(scores)], "target": [np.array(classes)]}

    def combine(self, a: Sums, b: Sums) -> Sums:
        """One list after the other."""
        if a["scores"] and b["scores"] and a["scores"][0].shape[1] != b["scores"][0].shape[1]:
            raise ShapeError("some batches have another number of classes than others.")
        return super().combine(a, b)

    def state(self) -> dict[str, Any]:
        """All scores and classes, as two arrays."""
        scores, target = self._joined()
        return {"scores": scores, "target": target}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state()` gave."""
        arrays = read_state(dict(zip(("scores", "target"), _nothing(), strict=True)), state, type(self).__name__)
        self.sums = {name: [array] if len(array) else [] for name, array in arrays.items()}

    def of_binary(self, positive: Array, scores: Array) -> float:
        """The number for one class against the rest; both kinds occur."""
        raise NotImplementedError

    def compute(self) -> float | Tensor:
        """In [0, 1]; NaN without samples of both kinds."""
        scores, target = self._joined()
        if scores.shape[1] == 1:
            return self._of_class(target == 1, scores[:, 0])
        each = np.array([self._of_class(target == i, scores[:, i]) for i in range(scores.shape[1])])
        if self.average is None:
            return from_numpy(each)
        weights = np.bincount(target, minlength=len(each)) if self.average == "weighted" else np.ones(len(each))
        defined = ~np.isnan(each)
        return float(np.average(each[defined], weights=weights[defined])) if defined.any() else math.nan

    def _of_class(self, positive: Array, scores: Array) -> float:
        return self.of_binary(positive, scores) if positive.any() and not positive.all() else math.nan

    def _joined(self) -> tuple[Array, Array]:
        if not self.sums["scores"]:
            return _nothing()
        return np.concatenate(self.sums["scores"]), np.concatenate(self.sums["target"])


@dataclass(eq=False)
class ROCAUC(RankingMetric):
    """The chance that a sample of the class has a higher score than one of the others, a tie counting ½.

    It is the area under the curve of true against false positive rates over all thresholds; ½ is guessing. Counted
    exactly, in whole pairs. Arguments as `RankingMetric`. Source: Hanley and McNeil, 1982.

    >>> auc = ROCAUC()
    >>> auc.update([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
    >>> auc.compute()
    0.75
    """

    def default_name(self) -> str:
        """As the class."""
        return "roc_auc"

    def of_binary(self, positive: Array, scores: Array) -> float:
        """Pairs in the right order, ties half, over all pairs."""
        with_class, without = _count_by_score(positive, scores)
        below = without.cumsum() - without
        half_pairs = int((with_class * (2 * below + without)).sum())
        return half_pairs / (2 * int(with_class.sum()) * int(without.sum()))


@dataclass(eq=False)
class AveragePrecision(RankingMetric):
    """The precision at each threshold, weighted by how much recall it adds: Σ (Rₙ − Rₙ₋₁)·Pₙ.

    The area under the precision–recall curve as steps (straight lines between its points would be too optimistic).
    Guessing gives the class's share of the samples. Arguments as `RankingMetric`. Source: Davis and Goadrich, "The
    relationship between precision-recall and ROC curves", 2006.

    >>> precision = AveragePrecision()
    >>> precision.update([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
    >>> precision.compute()
    0.8333
    """

    def default_name(self) -> str:
        """As the class."""
        return "average_precision"

    def of_binary(self, positive: Array, scores: Array) -> float:
        """From the highest score down."""
        with_class, without = (counts[::-1] for counts in _count_by_score(positive, scores))
        found = with_class.cumsum()
        precision = found / (found + without.cumsum())
        return float((with_class * precision).sum() / found[-1])


def _nothing() -> tuple[Array, Array]:
    return np.zeros((0, 1)), np.zeros(0, np.int64)


def _count_by_score(positive: Array, scores: Array) -> tuple[Array, Array]:
    """For each score that occurs, from low to high: how many samples of the class have it, and how many others."""
    values, place = np.unique(scores, return_inverse=True)
    with_class = np.bincount(place[positive], minlength=len(values))
    return with_class, np.bincount(place, minlength=len(values)) - with_class


def _one_score(scores: Array, target: Array, ignore_index: int) -> tuple[Array, Array]:
    """One column of scores and classes 0 and 1."""
    keep = target != ignore_index
    scores, target = scores[keep], target[keep]
    need_no_nan(scores)
    if scores.dtype.kind != "f":
        raise DTypeError(f"scores are floats, got {scores.dtype}: an order of classes is no order of samples.")
    if not ((target == 0) | (target == 1)).all():
        raise IndexRangeError("with one score for each sample the target is 0 or 1; several classes need (N, C).")
    return scores[:, None], target.astype(np.int64)


def _columns(scores: Array, logits: bool) -> Array:
    """Of two columns of scores one, for class 1; of more all, as values with the order of their probabilities."""
    if not logits:
        return scores[:, 1:] if scores.shape[1] == 2 else scores
    if scores.shape[1] == 2:
        return (scores[:, 1:].astype(np.float64)) - scores[:, :1]
    return _log_odds(scores.astype(np.float64))


def _log_odds(logits: Array) -> Array:
    """ln p/(1 − p) of each class's softmax p: z − ln Σ exp(z of the others).

    The others of the largest are summed without it: in a sum with it they would be rounded away.
    """
    if not len(logits):
        return logits
    winners = logits.argmax(1)[:, None]
    shifted = logits - np.take_along_axis(logits, winners, 1)
    powers = np.exp(shifted)
    np.put_along_axis(powers, winners, 0, 1)
    rest = powers.sum(1, keepdims=True)
    others = 1 + rest - powers
    np.put_along_axis(others, winners, rest, 1)
    with np.errstate(divide="ignore"):  # the others may be nothing at all
        return shifted - np.log(others)
