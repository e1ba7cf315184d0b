"""How far off: mean errors, the share of the variance explained, correlation, the cosine."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.errors import ShapeError
from chainrule.functions.creation import from_numpy
from chainrule.metrics.metric import Metric, Result, Sums, share
from chainrule.metrics.reading import Array, array_of
from chainrule.tensor import Tensor

AVERAGES = ("uniform", "variance", None)


@dataclass(eq=False)
class MeanError(Metric[float]):
    """A mean over all entries of something that is computed from output − target, in float64."""

    def empty(self) -> Sums:
        """The sum, and over how many entries."""
        return {"total": 0.0, "count": 0}

    def of_difference(self, difference: Array) -> Array:
        """What is averaged."""
        raise NotImplementedError

    def summarise(self, output: Any, target: Any) -> Sums:
        """Those of one batch."""
        output, target = _pair(output, target)
        return {"total": float(self.of_difference(output - target).sum()), "count": target.size}

    def compute(self) -> float:
        """The mean; NaN of nothing."""
        return share(self.sums["total"], self.sums["count"])


@dataclass(eq=False)
class MeanAbsoluteError(MeanError):
    """The mean of |output − target| over all entries. Both have the same shape.

    >>> error = MeanAbsoluteError()
    >>> error.update([1.0, 2.0], [1.0, 4.0])
    >>> error.compute()
    1.0
    """

    def default_name(self) -> str:
        """Short."""
        return "mae"

    def of_difference(self, difference: Array) -> Array:
        """|d|."""
        return np.abs(difference)


@dataclass(eq=False)
class MeanSquaredError(MeanError):
    """The mean of (output − target)² over all entries, or its root. Both have the same shape.

    >>> error = MeanSquaredError(root=True)
    >>> error.update([1.0, 2.0], [1.0, 4.0])
    >>> error.compute()
    1.4142
    """

    root: bool = False

    def default_name(self) -> str:
        """Short."""
        return "rmse" if self.root else "mse"

    def of_difference(self, difference: Array) -> Array:
        """d²."""
        return difference * difference

    def compute(self) -> float:
        """The mean, or its root; NaN of nothing."""
        mean = super().compute()
        return math.sqrt(mean) if self.root else mean


@dataclass(eq=False)
class Moments(Metric[Result]):
    """A metric of means, variances and covariance, for each column of targets (N, …) on its own.

    Sums of squares about the mean are kept, not Σy², from which the mean's square would have to be taken: numbers far
    from zero lose their digits there. Two parts with means m₁, m₂ and n₁, n₂ samples go together by
    S = S₁ + S₂ + (m₁ − m₂)²·n₁n₂/(n₁ + n₂). Source: Chan, Golub and LeVeque, "Algorithms for computing the sample
    variance", 1983.
    """

    def empty(self) -> Sums:
        """Count, both means, the three sums about them, and the sum of squared differences; one column until known."""
        names = ("mean_output", "mean_target", "outputs", "targets", "products", "residuals")
        return {"count": 0, **{name: np.zeros(1) for name in names}}

    def summarise(self, output: Any, target: Any) -> Sums:
        """Those of one batch."""
        output, target = _pair(output, target)
        if not target.ndim:
            raise ShapeError("output and target have the shape (N, …), got single numbers.")
        if not target.size:
            return self.empty()
        output, target = (x.reshape(len(target), -1) for x in (output, target))
        mean_output, mean_target = output.mean(0), target.mean(0)
        from_output, from_target = output - mean_output, target - mean_target
        return {
            "count": len(target),
            "mean_output": mean_output,
            "mean_target": mean_target,
            "outputs": (from_output**2).sum(0),
            "targets": (from_target**2).sum(0),
            "products": (from_output * from_target).sum(0),
            "residuals": ((output - target) ** 2).sum(0),
        }

    def combine(self, a: Sums, b: Sums) -> Sums:
        """Both together, by the formula of Chan, Golub and LeVeque."""
        if not (a["count"] and b["count"]):
            return a if a["count"] else b
        if a["targets"].shape != b["targets"].shape:
            raise ShapeError(f"batches have {len(a['targets'])} and {len(b['targets'])} numbers for each sample.")
        count = a["count"] + b["count"]
        part = b["count"] / count
        output, target = (b[name] - a[name] for name in ("mean_output", "mean_target"))
        weight = a["count"] * part
        return {
            "count": count,
            "mean_output": a["mean_output"] + output * part,
            "mean_target": a["mean_target"] + target * part,
            "outputs": a["outputs"] + b["outputs"] + output**2 * weight,
            "targets": a["targets"] + b["targets"] + target**2 * weight,
            "products": a["products"] + b["products"] + output * target * weight,
            "residuals": a["residuals"] + b["residuals"],
        }


@dataclass(eq=False)
class R2(Moments[float | Tensor]):
    """The share of the targets' variance that the output explains: R² = 1 − Σ(y − ŷ)² / Σ(y − ȳ)².

    1 is perfect, 0 is what the mean ȳ alone would get, and worse than that is below 0. For targets that are all alike
    it is 1 if the output is exactly right, else 0.

    Args:
        average: what is made of several columns: their mean ("uniform"), the mean with each column's variance as its
            weight ("variance"), or a float64 Tensor with one for each (None).

    `output`, `target`: (N,) or (N, …), the same shape. NaN for fewer than two samples.

    >>> r2 = R2()
    >>> r2.update([2.5, 0.0, 2.0, 8.0], [3.0, -0.5, 2.0, 7.0])
    >>> r2.compute()
    0.9486
    """

    average: str | None = "uniform"

    def check_settings(self) -> None:
        """Raise a ValueError for an average that is unknown."""
        if self.average not in AVERAGES:
            raise ValueError(f"average is one of {AVERAGES}, got {self.average!r}.")

    def default_name(self) -> str:
        """Short."""
        return "r2"

    def compute(self) -> float | Tensor:
        """At most 1."""
        total, residual = self.sums["targets"], self.sums["residuals"]
        if self.sums["count"] < 2:
            return math.nan if self.average else from_numpy(np.full_like(total, math.nan))
        varies = total > 0
        scores = np.where(varies, 1 - residual / np.where(varies, total, 1), np.where(residual > 0, 0.0, 1.0))
        if self.average is None:
            return from_numpy(scores)
        weights = total if self.average == "variance" and varies.any() else np.ones_like(total)
        return float((scores * weights).sum() / weights.sum())


@dataclass(eq=False)
class Correlation(Moments[float]):
    """Pearson's r between output and target, the mean over columns: Σ(ŷ−m)(y−ȳ) / √(Σ(ŷ−m)²·Σ(y−ȳ)²).

    In [−1, 1]; it does not see a wrong scale or offset, R² does. NaN where a column does not vary.
    `output`, `target`: (N,) or (N, …), the same shape.

    >>> r = Correlation()
    >>> r.update([1.0, 2.0, 3.0], [10.0, 20.0, 30.0])
    >>> r.compute()
    1.0
    """

    def default_name(self) -> str:
        """The letter it goes by."""
        return "r"

    def compute(self) -> float:
        """In [−1, 1]."""
        spread = np.sqrt(self.sums["outputs"]) * np.sqrt(self.sums["targets"])
        if not spread.all():
            return math.nan
        return float(np.clip(self.sums["products"] / spread, -1, 1).mean())


@dataclass(eq=False)
class CosineSimilarity(Metric[float]):
    """The mean cosine of the angle between output and target vectors: x·y / (‖x‖·‖y‖), 0 where one is zero.

    Args:
        dim: the dimension of the vectors; all others are samples.

    `output`, `target`: the same shape, (N, D) or more dimensions.

    >>> cosine = CosineSimilarity()
    >>> cosine.update([[1.0, 0.0], [1.0, 1.0]], [[2.0, 0.0], [1.0, -1.0]])
    >>> cosine.compute()
    0.5
    """

    dim: int = 1

    def default_name(self) -> str:
        """As the class."""
        return "cosine_similarity"

    def empty(self) -> Sums:
        """The sum of cosines, and how many."""
        return {"total": 0.0, "count": 0}

    def summarise(self, output: Any, target: Any) -> Sums:
        """Those of one batch."""
        output, target = _pair(output, target)
        if not -output.ndim <= self.dim < output.ndim:
            raise ShapeError(f"there is no dim={self.dim} in shape {output.shape}; vectors are rows of (N, D).")
        lengths = np.linalg.norm(output, axis=self.dim) * np.linalg.norm(target, axis=self.dim)
        products = (output * target).sum(self.dim)
        cosines = np.where(lengths == 0, 0.0, products / np.where(lengths == 0, 1, lengths))
        return {"total": float(cosines.sum()), "count": cosines.size}

    def compute(self) -> float:
        """In [−1, 1]; NaN of nothing."""
        return share(self.sums["total"], self.sums["count"])


def _pair(output: Any, target: Any) -> tuple[Array, Array]:
    """Both in float64, of one shape: nothing broadcasts."""
    output, target = array_of(output, "output"), array_of(target, "target")
    if output.shape != target.shape:
        mend = ""
        if [n for n in output.shape if n != 1] == [n for n in target.shape if n != 1]:
            mend = " Use squeeze(-1) on the longer one."
        raise ShapeError(f"output and target are compared one by one; got {output.shape} and {target.shape}.{mend}")
    return output.astype(np.float64), target.astype(np.float64)
