"""From the counts of each class: precision, recall, F-score, intersection over union, Dice."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.functions.creation import from_numpy
from chainrule.metrics.answers import LabelMetric
from chainrule.metrics.confusion import count_classes, enlarge
from chainrule.metrics.metric import Sums
from chainrule.metrics.reading import Array
from chainrule.tensor import Tensor

AVERAGES = ("binary", "micro", "macro", "weighted", None)


@dataclass(eq=False)
class PerClass(LabelMetric[float | Tensor]):
    """A ratio of counts for each class: true positives, false positives and false negatives of 'this class or not'.

    Args:
        average: what is made of the classes' numbers:
            "binary" the number of one class, `positive`, where there are two;
            "micro" the ratio of the sums over all classes;
            "macro" the mean over the classes that occur, in the target or the predictions;
            "weighted" the same, each class weighing as many samples as it has;
            None a float64 Tensor (C,) with the number of each class.
        num_classes: how many classes. Unless given, as many as the output has scores, or as the largest class seen.
        positive: the class that "binary" is about.
        zero_division: what 0/0 is, as the precision of a class that was never predicted: 0.0, 1.0, or NaN, which
            averages leave out.
        threshold, dim, ignore_index: as `LabelMetric`, with what output and target may be.
    """

    average: str | None = "binary"
    num_classes: int | None = None
    positive: int = 1
    zero_division: float = 0.0

    def check_settings(self) -> None:
        """Raise a ValueError for an average that is unknown or a class below 0."""
        if self.average not in AVERAGES:
            raise ValueError(f"average is one of {AVERAGES}, got {self.average!r}.")
        if self.num_classes is not None and self.num_classes < 1:
            raise ValueError(f"there is at least one class, got num_classes={self.num_classes}.")
        if self.positive < 0:
            raise ValueError(f"positive is the number of a class, got {self.positive}.")
        if not (self.zero_division in (0, 1) or math.isnan(self.zero_division)):
            raise ValueError(f"zero_division is 0, 1 or NaN, got {self.zero_division}.")

    def default_name(self) -> str:
        """With its average, unless that is the usual one."""
        usual = self.average == type(self).average
        return self.stem() if usual else f"{self.stem()}_{self.average or 'per_class'}"

    def stem(self) -> str:
        """What the name begins with."""
        return type(self).__name__.lower()

    def empty(self) -> Sums:
        """For each class: how often it was predicted rightly, predicted, and true."""
        classes = self.num_classes or 0
        return {name: np.zeros(classes, np.int64) for name in ("right", "predicted", "true")}

    def summarise(self, output: Any, target: Any) -> Sums:
        """Those of one batch."""
        labels = self.labels(output, target)
        classes = count_classes(labels.predicted, labels.target, labels.classes, self.num_classes)
        if self.average == "binary" and classes > 2:
            raise ValueError(
                f"average='binary' is for two classes, here are {classes}. Choose average='macro' (all classes count "
                "alike), 'micro', 'weighted', or None for the number of each class."
            )
        right = labels.target[labels.predicted == labels.target]
        counted = {"right": right, "predicted": labels.predicted, "true": labels.target}
        return {name: np.bincount(found, minlength=classes) for name, found in counted.items()}

    def combine(self, a: Sums, b: Sums) -> Sums:
        """Their sums; the shorter ones are filled up with zeros."""
        size = max(len(a["true"]), len(b["true"]))
        return {name: enlarge(a[name], size) + enlarge(b[name], size) for name in a}

    def parts(self, right: Array, wrongly: Array, missed: Array) -> tuple[Array, Array]:
        """Numerator and denominator from true positives, false positives and false negatives."""
        raise NotImplementedError

    def compute(self) -> float | Tensor:
        """In [0, 1]: a float, or with average=None a Tensor (C,); NaN of nothing."""
        right, predicted, true = (self.sums[name] for name in ("right", "predicted", "true"))
        if self.average == "micro":
            right, predicted, true = right.sum(), predicted.sum(), true.sum()
            return float(self._ratios(right, predicted - right, true - right)) if true else math.nan
        ratios = self._ratios(right, predicted - right, true - right)
        if self.average is None:
            return from_numpy(ratios)
        if self.average == "binary":
            if not true.sum():
                return math.nan
            return float(ratios[self.positive]) if self.positive < len(ratios) else self.zero_division
        weights = true if self.average == "weighted" else (predicted + true > 0)
        return _mean_of_numbers(ratios, weights)

    def _ratios(self, right: Array, wrongly: Array, missed: Array) -> Array:
        numerator, denominator = self.parts(right, wrongly, missed)
        nothing = denominator == 0
        return np.where(nothing, self.zero_division, numerator / np.where(nothing, 1, denominator))


@dataclass(eq=False)
class Precision(PerClass):
    """Of what was called this class, the share that is: TP / (TP + FP).

    Arguments as `PerClass`.

    >>> precision = Precision()
    >>> precision.update([1, 1, 1, 0], [1, 1, 0, 1])
    >>> precision.compute()
    0.6667
    """

    def parts(self, right: Array, wrongly: Array, missed: Array) -> tuple[Array, Array]:
        """TP and TP + FP."""
        return right, right + wrongly


@dataclass(eq=False)
class Recall(PerClass):
    """Of what is this class, the share that was called so: TP / (TP + FN).

    Arguments as `PerClass`.

    >>> recall = Recall(average=None)
    >>> recall.update([0, 0, 1, 2], [0, 1, 1, 2])
    >>> recall.compute()
    tensor([1.0000, 0.5000, 1.0000], dtype=chainrule.float64)
    """

    def parts(self, right: Array, wrongly: Array, missed: Array) -> tuple[Array, Array]:
        """TP and TP + FN."""
        return right, right + missed


@dataclass(eq=False)
class FBeta(PerClass):
    """Precision and recall in one, the recall counting β times as much: (1+β²)·TP / ((1+β²)·TP + FP + β²·FN).

    Their weighted harmonic mean. β = 1 is the F1-score. Arguments as `PerClass`, and `beta`, above 0.
    Source: van Rijsbergen, "Information retrieval", 1979.

    >>> f2 = FBeta(beta=2.0)
    >>> f2.update([1, 1, 1, 0], [1, 1, 0, 0])
    >>> f2.compute()
    0.9091
    """

    beta: float = 1.0

    def check_settings(self) -> None:
        """Raise a ValueError for β not above 0, and as for all."""
        super().check_settings()
        if not 0 < self.beta < math.inf:
            raise ValueError(f"beta is above 0, got {self.beta}; 0 would be Precision, infinity Recall.")

    def stem(self) -> str:
        """f1, f2, f0.5."""
        return f"f{self.beta:g}"

    def parts(self, right: Array, wrongly: Array, missed: Array) -> tuple[Array, Array]:
        """(1+β²)·TP and (1+β²)·TP + FP + β²·FN."""
        square = self.beta**2
        return (1 + square) * right, (1 + square) * right + wrongly + square * missed


@dataclass(eq=False)
class IoU(PerClass):
    """Intersection over union of the pixels predicted as a class and those that are: TP / (TP + FP + FN).

    Also called the Jaccard index. Counted over all images together, so it is not the mean of the images' numbers. The
    average is "macro" unless given, which is the mean IoU; a class that occurs nowhere has none, NaN. Arguments as
    `PerClass`.

    >>> iou = IoU(average=None)
    >>> iou.update([[0, 0], [1, 1]], [[0, 1], [1, 1]])
    >>> iou.compute()
    tensor([0.5000, 0.6667], dtype=chainrule.float64)
    """

    average: str | None = "macro"
    zero_division: float = math.nan

    def parts(self, right: Array, wrongly: Array, missed: Array) -> tuple[Array, Array]:
        """TP and TP + FP + FN."""
        return right, right + wrongly + missed


@dataclass(eq=False)
class Dice(PerClass):
    """Twice the intersection over the sum of both areas: 2·TP / (2·TP + FP + FN), the F1-score of pixels.

    Counted over all images together. The average is "macro" unless given; a class that occurs nowhere has none, NaN.
    Arguments as `PerClass`.

    >>> dice = Dice(average=None)
    >>> dice.update([[0, 0], [1, 1]], [[0, 1], [1, 1]])
    >>> dice.compute()
    tensor([0.6667, 0.8000], dtype=chainrule.float64)
    """

    average: str | None = "macro"
    zero_division: float = math.nan

    def parts(self, right: Array, wrongly: Array, missed: Array) -> tuple[Array, Array]:
        """2·TP and 2·TP + FP + FN."""
        return 2 * right, 2 * right + wrongly + missed


def _mean_of_numbers(ratios: Array, weights: Array) -> float:
    """The weighted mean of those that are not NaN; NaN if there are none."""
    weights = np.where(np.isnan(ratios), 0, weights)
    return float(np.nansum(ratios * weights) / weights.sum()) if weights.any() else math.nan
