"""How good the probabilities are: perplexity, and the error of calibration."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.metrics.metric import Metric, Result, Sums, share
from chainrule.metrics.reading import Array, ClassScores, need_no_nan, read_scores


@dataclass(eq=False, kw_only=True)
class ProbabilityMetric(Metric[Result]):
    """A metric of the probabilities of classes.

    Args:
        logits: whether the output are logits, which the softmax makes probabilities, or probabilities already. Losses
            here take logits, so models give them.
        dim: where the classes are; -1 for (batch, tokens, classes).
        ignore_index: what a target is where nothing is to be counted, as in `nn.CrossEntropyLoss`.

    `output`: (N, C, …); `target`: classes (N, …). Raises ShapeError, DTypeError and IndexRangeError for what does not
    fit, and ValueError for what should be probabilities and is not.
    """

    logits: bool = True
    dim: int = 1
    ignore_index: int = -100

    def scores(self, output: Any, target: Any) -> ClassScores:
        """Logits or probabilities (M, C), checked, and classes (M,)."""
        scores = read_scores(output, target, self.dim, self.ignore_index)
        if not self.logits:
            need_probabilities(scores.scores)
        return scores


@dataclass(eq=False, kw_only=True)
class Perplexity(ProbabilityMetric[float]):
    """Among how many equally likely classes the model hesitates: exp of the mean −ln p(target), over all targets.

    A model that gives all C classes 1/C has perplexity C; the best has 1. Over tokens, not over sentences.
    Arguments as `ProbabilityMetric`.

    >>> import chainrule
    >>> perplexity = Perplexity()
    >>> perplexity.update(chainrule.zeros(2, 7), chainrule.tensor([3, 6]))
    >>> perplexity.compute()
    7.0
    """

    def default_name(self) -> str:
        """As the class."""
        return "perplexity"

    def empty(self) -> Sums:
        """The sum of −ln p, and over how many."""
        return {"total": 0.0, "count": 0}

    def summarise(self, output: Any, target: Any) -> Sums:
        """Those of one batch."""
        scores, classes = self.scores(output, target)
        own = np.take_along_axis(scores, classes[:, None], 1)[:, 0].astype(np.float64)
        if self.logits:
            surprises = _log_sum_exp(scores) - own
        else:
            with np.errstate(divide="ignore"):  # impossible by the model, and yet it came
                surprises = -np.log(own)
        return {"total": float(surprises.sum()), "count": classes.size}

    def compute(self) -> float:
        """At least 1; infinite if a target had probability 0; NaN of nothing."""
        mean = share(self.sums["total"], self.sums["count"])
        return math.exp(mean) if mean < 709 or math.isnan(mean) else math.inf


@dataclass(eq=False)
class CalibrationError(ProbabilityMetric[float]):
    """How far confidence is from being right: the expected calibration error, Σ_b (n_b/n)·|accuracy_b − confidence_b|.

    The confidence of a prediction is its largest probability. Predictions are put into `bins` of equal width, bin b
    taking those in (b/B, (b + 1)/B], and within each the mean confidence is compared with the share that was right.
    Of 100 predictions made with 80% confidence, 80 should be right. `bins` comes first, other arguments as
    `ProbabilityMetric`. Source: Guo et al., "On calibration of modern neural networks", 2017.

    >>> import chainrule
    >>> error = CalibrationError(logits=False)
    >>> error.update(chainrule.tensor([[0.8, 0.2], [0.2, 0.8]]), chainrule.tensor([0, 0]))
    >>> error.compute()
    0.3
    """

    bins: int = 15

    def check_settings(self) -> None:
        """Raise a ValueError for fewer than one bin."""
        if self.bins < 1:
            raise ValueError(f"there is at least one bin, got {self.bins}.")

    def default_name(self) -> str:
        """Short."""
        return "ece"

    def empty(self) -> Sums:
        """For each bin: how many, how many right, and the sum of their confidences."""
        counts = {name: np.zeros(self.bins, np.int64) for name in ("count", "right")}
        return {**counts, "confidence": np.zeros(self.bins)}

    def summarise(self, output: Any, target: Any) -> Sums:
        """Those of one batch."""
        scores, classes = self.scores(output, target)
        need_no_nan(scores)
        largest = scores.max(1, initial=-math.inf).astype(np.float64)
        confidence = np.exp(largest - _log_sum_exp(scores)) if self.logits else largest
        right = scores.argmax(1) == classes
        bins = np.searchsorted(np.linspace(0, 1, self.bins + 1)[1:-1], confidence)
        return {
            "count": np.bincount(bins, minlength=self.bins),
            "right": np.bincount(bins[right], minlength=self.bins),
            "confidence": np.bincount(bins, confidence, self.bins),
        }

    def compute(self) -> float:
        """In [0, 1]; NaN of nothing."""
        gaps = np.abs(self.sums["right"] - self.sums["confidence"])
        return share(float(gaps.sum()), int(self.sums["count"].sum()))


def need_probabilities(rows: Array) -> None:
    """Raise a ValueError unless every row (…, C) is between 0 and 1 and sums to 1."""
    if not rows.size:
        return
    need_no_nan(rows)
    if rows.min() < 0 or rows.max() > 1 + 1e-3:
        raise ValueError(
            f"probabilities lie between 0 and 1, the output between {rows.min():.4g} and {rows.max():.4g}. If they are "
            "logits, say logits=True."
        )
    sums = rows.sum(1, dtype=np.float64)
    worst = sums[np.abs(sums - 1).argmax()]
    if abs(worst - 1) > 1e-2:  # halves are that coarse
        raise ValueError(f"the probabilities of a sample sum to 1, here to {worst:.4g}.")


def _log_sum_exp(logits: Array) -> Array:
    """ln Σ exp(z) of each row in float64, shifted by the maximum so that nothing overflows."""
    largest = logits.max(1, keepdims=True, initial=-math.inf)
    total: Array = np.exp(logits - largest).sum(1, dtype=np.float64)
    return np.log(total) + largest[:, 0]
