"""The confusion matrix: how often each class was taken for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.functions.creation import from_numpy
from chainrule.metrics.answers import LabelMetric
from chainrule.metrics.metric import Sums
from chainrule.metrics.reading import Array, need_classes
from chainrule.tensor import Tensor

NORMALISATIONS = (None, "true", "pred", "all")


@dataclass(eq=False)
class ConfusionMatrix(LabelMetric[Tensor]):
    """How often each class was taken for each: row i, column j counts samples of class i that were called j.

    Args:
        num_classes: how many classes. Unless given, as many as the output has scores, or as the largest class seen.
        normalize: None for counts, int64; or float64 shares: "true" of each row (the diagonal is the recall), "pred" of
            each column (the diagonal is the precision), "all" of everything. Shares of nothing are 0.
        threshold, dim, ignore_index: as `LabelMetric`, with what output and target may be.

    >>> import chainrule
    >>> matrix = ConfusionMatrix()
    >>> matrix.update([0, 1, 1, 2], [0, 1, 2, 2])
    >>> matrix.compute()
    tensor([[1, 0, 0],
            [0, 1, 0],
            [0, 1, 1]])
    """

    num_classes: int | None = None
    normalize: str | None = None

    def check_settings(self) -> None:
        """Raise a ValueError for fewer than one class, or a normalisation that is unknown."""
        if self.num_classes is not None and self.num_classes < 1:
            raise ValueError(f"there is at least one class, got num_classes={self.num_classes}.")
        if self.normalize not in NORMALISATIONS:
            raise ValueError(f"normalize is one of {NORMALISATIONS}, got {self.normalize!r}.")

    def default_name(self) -> str:
        """As the class."""
        return "confusion_matrix"

    def empty(self) -> Sums:
        """A matrix of zeros, without rows if the number of classes is not known."""
        classes = self.num_classes or 0
        return {"matrix": np.zeros((classes, classes), np.int64)}

    def summarise(self, output: Any, target: Any) -> Sums:
        """The matrix of one batch."""
        labels = self.labels(output, target)
        classes = count_classes(labels.predicted, labels.target, labels.classes, self.num_classes)
        pairs = labels.target * classes + labels.predicted
        return {"matrix": np.bincount(pairs, minlength=classes**2).reshape(classes, classes)}

    def combine(self, a: Sums, b: Sums) -> Sums:
        """Their sum; the smaller one is filled up with zeros."""
        size = max(len(a["matrix"]), len(b["matrix"]))
        return {"matrix": enlarge(a["matrix"], size) + enlarge(b["matrix"], size)}

    def compute(self) -> Tensor:
        """(C, C): counts, or shares if it normalises."""
        return from_numpy(normalise(self.sums["matrix"], self.normalize).copy())


def count_classes(predicted: Array, target: Array, of_output: int | None, given: int | None) -> int:
    """How many classes there are: as many as were said, else as the output has, else as were seen in this batch."""
    if given is not None:
        need_classes(predicted, given, "output")
        need_classes(target, given, "target")
        return given
    if of_output is not None:
        return of_output
    return 1 + max(int(predicted.max(initial=-1)), int(target.max(initial=-1)))


def normalise(matrix: Array, how: str | None) -> Array:
    """The matrix as it is, or as shares of its rows ("true"), columns ("pred") or sum ("all"); of nothing 0."""
    if how is None:
        return matrix
    axis = {"true": 1, "pred": 0, "all": None}[how]
    whole = matrix.sum(axis, keepdims=True)
    return matrix / np.maximum(whole, 1)


def enlarge(counts: Array, size: int) -> Array:
    """Counts (C,) or (C, C) filled up with zeros for more classes."""
    missing = size - len(counts)
    return np.pad(counts, (0, missing)) if missing else counts
