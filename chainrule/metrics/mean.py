"""Means weighted by samples: of numbers that a loop has, and of any function of output and target."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.errors import ShapeError
from chainrule.metrics.metric import Metric, Sums, share
from chainrule.metrics.reading import Array, array_of


@dataclass(eq=False)
class Mean(Metric[float]):
    """The mean of numbers, each with a weight: of a batch's mean loss, with the number of samples in the batch.

    `update(value, weight)`: a number, or an array of them; and its weight, not negative: one number for all, or one for
    each.

    Args:
        label: the name.

    >>> loss = Mean("loss")
    >>> loss.update(0.5, 32)
    >>> loss.update(0.8, 16)  # a smaller last batch counts half as much
    >>> loss.compute()
    0.6
    """

    label: str = "mean"

    def default_name(self) -> str:
        """As it was labelled."""
        return self.label

    def empty(self) -> Sums:
        """The weighted sum, and the sum of the weights."""
        return {"total": 0.0, "weight": 0.0}

    def update(self, value: Any, weight: Any = 1) -> None:  # the base class calls them output and target
        """Add a number with its weight."""
        super().update(value, weight)

    def summarise(self, value: Any, weight: Any) -> Sums:
        """The sums of one batch."""
        value, weight = array_of(value, "value"), array_of(weight, "weight")
        if weight.shape not in ((), value.shape):
            raise ShapeError(f"one weight for all, or one for each value; got {value.shape} and {weight.shape}.")
        if (weight < 0).any():
            raise ValueError(f"a weight is not negative, got {weight.min()}.")
        weights = np.broadcast_to(weight, value.shape).astype(np.float64)
        value = np.where(weights == 0, 0, value)  # the mean loss of no samples is NaN
        return {"total": float((value * weights).sum(dtype=np.float64)), "weight": float(weights.sum())}

    def compute(self) -> float:
        """The mean; NaN of nothing."""
        return share(self.sums["total"], self.sums["weight"])


@dataclass(eq=False)
class MeanOf(Metric[float]):
    """The mean over samples of any function of output and target: a loss, or a measure of your own.

    Args:
        function: (output, target) to the mean over the batch, as losses give it, or to one number for each sample.
        label: the name; the function's own unless given.

    `target`: (N, …); a batch weighs as many samples as it has. (A loss that averages over something else than samples,
    such as cross-entropy with weights or an ignored class, is the mean over batches weighted so.)

    >>> from chainrule import nn, ones, zeros
    >>> loss = MeanOf(nn.MSELoss())
    >>> loss.update(zeros(3, 2), ones(3, 2))
    >>> loss.update(zeros(1, 2), ones(1, 2) * 3)
    >>> loss.compute(), loss.name
    (3.0, 'MSELoss')
    """

    function: Callable[[Any, Any], Any]
    label: str | None = None

    def default_name(self) -> str:
        """As it was labelled, or as the function is called."""
        return self.label or str(getattr(self.function, "__name__", type(self.function).__name__))

    def empty(self) -> Sums:
        """The sum over samples, and how many."""
        return {"total": 0.0, "count": 0}

    def summarise(self, output: Any, target: Any) -> Sums:
        """Those of one batch."""
        value = array_of(self.function(output, target), "result")
        shape = _shape_of(target)
        samples = shape[0] if shape else 1
        if not samples:
            return self.empty()
        if value.shape not in ((), (samples,)):
            raise ShapeError(
                f"{self.name} gave the shape {value.shape} for {samples} samples: it should give their mean, or one "
                "number for each."
            )
        return {"total": float(value.mean(dtype=np.float64)) * samples, "count": samples}

    def compute(self) -> float:
        """The mean; NaN of nothing."""
        return share(self.sums["total"], self.sums["count"])


def _shape_of(target: Any) -> tuple[int, ...]:
    array: Array = array_of(target, "target")
    return array.shape
