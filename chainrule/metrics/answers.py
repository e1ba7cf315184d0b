"""How many answers are right: accuracy, and the right class among the first k."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.metrics.metric import Metric, Result, Sums, share
from chainrule.metrics.reading import Labels, need_no_nan, read_labels, read_scores


@dataclass(eq=False, kw_only=True)
class LabelMetric(Metric[Result]):
    """A metric of predicted classes.

    Args:
        threshold: for an output with one float for each entry of the target: the class is 1 from here on, otherwise 0.
            0.0 for logits, 0.5 for probabilities. The target may be floats then, as binary cross-entropy takes them.
        dim: where the classes are in an output of scores; -1 for (batch, tokens, classes).
        ignore_index: what a target is where nothing is to be counted, as in `nn.CrossEntropyLoss`.

    `output`: scores (N, C, …), where the largest wins and of equals the first; or floats (N, …), see `threshold`; or
    classes (N, …) as whole numbers. `target`: classes (N, …). Raises ShapeError, DTypeError and IndexRangeError for
    what does not fit, and ValueError for NaN.
    """

    threshold: float | None = None
    dim: int = 1
    ignore_index: int = -100

    def labels(self, output: Any, target: Any) -> Labels:
        """The predicted and true classes of a batch."""
        return read_labels(output, target, self.dim, self.threshold, self.ignore_index)


@dataclass(eq=False, kw_only=True)
class Accuracy(LabelMetric[float]):
    """The share of right answers: of samples, or of pixels or tokens if the target has one class for each.

    Arguments as `LabelMetric`.

    >>> import chainrule
    >>> accuracy = Accuracy()
    >>> accuracy.update(chainrule.tensor([[0.1, 0.9], [0.8, 0.2]]), chainrule.tensor([1, 1]))
    >>> accuracy.update(chainrule.tensor([[2.0, 1.0]]), chainrule.tensor([0]))
    >>> accuracy.compute()
    0.6667
    """

    def default_name(self) -> str:
        """As the class."""
        return "accuracy"

    def empty(self) -> Sums:
        """How many were right, and how many there were."""
        return {"right": 0, "count": 0}

    def summarise(self, output: Any, target: Any) -> Sums:
        """Those of one batch."""
        labels = self.labels(output, target)
        right = np.count_nonzero(labels.predicted == labels.target)
        return {"right": int(right), "count": labels.target.size}

    def compute(self) -> float:
        """In [0, 1]; NaN of nothing."""
        return share(self.sums["right"], self.sums["count"])


@dataclass(eq=False)
class TopKScore(Metric[float]):
    """The share of samples whose class is among the k with the largest scores: top-1 is the accuracy.

    Of equal scores the class with the smaller number comes first, so a model that gives all classes the same score
    gets no more than chance.

    Args:
        k: how many places count.
        dim, ignore_index: as `LabelMetric`.

    `output`: scores (N, C, …) with C at least k; `target`: classes (N, …). Source: chapter V; Russakovsky et al.,
    "ImageNet large scale visual recognition challenge", 2015.

    >>> import chainrule
    >>> scores = chainrule.tensor([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]])
    >>> top2 = TopKScore(2)
    >>> top2.update(scores, chainrule.tensor([1, 0]))
    >>> top2.compute()
    0.5
    """

    k: int = 5
    dim: int = 1
    ignore_index: int = -100

    def check_settings(self) -> None:
        """Raise a ValueError for k below 1."""
        if self.k < 1:
            raise ValueError(f"k counts places from 1 on, got {self.k}.")

    def default_name(self) -> str:
        """With its k."""
        return f"top{self.k}"

    def empty(self) -> Sums:
        """How many were among the first k, and how many there were."""
        return {"right": 0, "count": 0}

    def summarise(self, output: Any, target: Any) -> Sums:
        """Those of one batch."""
        scores, classes = read_scores(output, target, self.dim, self.ignore_index)
        if self.k > scores.shape[1]:
            raise ValueError(f"among the first {self.k} of {scores.shape[1]} classes is every one; use a smaller k.")
        need_no_nan(scores)
        own = np.take_along_axis(scores, classes[:, None], 1)
        earlier = np.arange(scores.shape[1]) < classes[:, None]
        places = np.count_nonzero((scores > own) | ((scores == own) & earlier), axis=1)
        return {"right": int(np.count_nonzero(places < self.k)), "count": classes.size}

    def compute(self) -> float:
        """In [0, 1]; NaN of nothing."""
        return share(self.sums["right"], self.sums["count"])


@dataclass(eq=False)
class TopKError(TopKScore):
    """The share of samples whose class is not among the k with the largest scores: 1 − top-k score.

    Arguments as `TopKScore`.

    >>> import chainrule
    >>> error = TopKError(1)
    >>> error.update(chainrule.eye(3), chainrule.tensor([0, 1, 1]))
    >>> error.compute()
    0.3333
    """

    def default_name(self) -> str:
        """With its k."""
        return f"top{self.k}_error"

    def compute(self) -> float:
        """In [0, 1]; NaN of nothing."""
        return share(self.sums["count"] - self.sums["right"], self.sums["count"])
