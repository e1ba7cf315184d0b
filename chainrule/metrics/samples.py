"""How like real data samples are: functions of features (N, d), of class probabilities, or of the samples themselves.

Features are what some network makes of the samples: a classifier's last hidden layer, say. Every number here depends on
that network, so numbers of different networks cannot be compared. The Fréchet distance is called FID only for the
features of one Inception network; that name is not used here.

>>> import numpy as np
>>> real = np.random.default_rng(0).normal(size=(2000, 3))
>>> frechet_distance(real, real) < 1e-12
True
>>> round(frechet_distance(real, real + [2.0, 0.0, 0.0]), 6)
4.0
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from chainrule.errors import ShapeError
from chainrule.metrics.reading import Array, array_of

__all__ = [
    "Coverage",
    "PrecisionRecall",
    "bits_per_dimension",
    "classifier_score",
    "frechet_distance",
    "kernel_distance",
    "mode_coverage",
    "precision_recall",
]


def _two(real: Any, generated: Any, least: int) -> tuple[Array, Array]:
    """Both as float64 matrices with the same columns, or a ShapeError."""
    first, second = (array_of(x, what) for x, what in ((real, "real"), (generated, "generated")))
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1]:
        raise ShapeError(f"real and generated are (N, d) and (M, d), got {first.shape} and {second.shape}.")
    if min(len(first), len(second)) < least:
        raise ShapeError(f"{least} samples of each kind or more are needed, got {len(first)} and {len(second)}.")
    return first.astype(np.float64), second.astype(np.float64)


def frechet_distance(real: Any, generated: Any) -> float:
    """‖μ₁ − μ₂‖² + tr(C₁ + C₂ − 2·(C₁^½·C₂·C₁^½)^½): the squared Fréchet distance of two normal distributions.

    They have the means and covariances of the features, (N, d) and (M, d). It is biased upwards for few samples:
    compare equal counts only. Raises ShapeError for fewer than two samples or other shapes.
    Sources: Dowson and Landau, "The Fréchet distance between multivariate normal distributions", 1982; Heusel et al.,
    "GANs trained by a two time-scale update rule", 2017 (its use).
    """
    first, second = _two(real, generated, 2)
    shift = first.mean(0) - second.mean(0)
    c1, c2 = (np.atleast_2d(np.cov(x, rowvar=False)) for x in (first, second))
    values, vectors = np.linalg.eigh(c1)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    common = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ c2 @ root), 0)).sum()
    return float(max(shift @ shift + np.trace(c1) + np.trace(c2) - 2 * common, 0.0))


def kernel_distance(real: Any, generated: Any, degree: int = 3) -> float:
    """The squared maximum mean discrepancy with the kernel (x·y/d + 1)^degree, estimated without bias.

    Its mean is 0 where both come from one distribution, so single values may be below 0.
    Source: Bińkowski et al., "Demystifying MMD GANs", 2018.
    """
    first, second = _two(real, generated, 2)

    def kernel(x: Array, y: Array) -> Array:
        return np.asarray((x @ y.T / x.shape[1] + 1) ** degree)

    def among(x: Array) -> float:  # pairs of different samples
        k = kernel(x, x)
        return float((k.sum() - np.trace(k)) / (len(x) * (len(x) - 1)))

    return among(first) + among(second) - 2 * float(kernel(first, second).mean())


def classifier_score(probabilities: Any) -> float:
    """exp(E[KL(p(y|x) ‖ p(y))]) of a classifier's answers (N, K): from 1 to K.

    High where each sample is surely of one class and all classes come equally often. It sees no lack of variety within
    a class. Raises ValueError where rows are no probabilities.
    Source: Salimans et al., "Improved techniques for training GANs", 2016.

    >>> import numpy as np
    >>> classifier_score(np.eye(10)), classifier_score(np.full((5, 10), 0.1))
    (10.0, 1.0)
    """
    p = array_of(probabilities, "probabilities").astype(np.float64)
    if p.ndim != 2 or len(p) == 0:
        raise ShapeError(f"probabilities are (N, K), got {p.shape}.")
    if (p < 0).any() or (abs(p.sum(1) - 1) > 1e-3).any():
        raise ValueError("each row of probabilities is not negative and sums to 1; softmax makes them of scores.")
    log = np.log(np.where(p > 0, p, 1)) - np.log(np.where(p.mean(0) > 0, p.mean(0), 1))
    return float(np.exp((p * log).sum(1).mean()))


class Coverage(NamedTuple):
    """What `mode_coverage` found: how many modes, the share of good samples, and good samples for each mode."""

    modes: int
    good: float
    counts: Array


def mode_coverage(samples: Any, centers: Any, deviation: float, distance: float = 3.0, least: int = 20) -> Coverage:
    """Which of the known modes samples reach.

    A sample is good within `distance` standard deviations of the nearest centre; a mode with `least` good samples or
    more is covered. samples: (N, d); centers: (K, d); deviation: of each mode, the same for all.
    Source: Lin et al., "PacGAN", 2018.

    >>> import numpy as np
    >>> mode_coverage(np.array([[0.0], [0.1], [5.0]]), np.array([[0.0], [9.0]]), 0.1, least=2)
    Coverage(modes=1, good=0.66..., counts=array([2, 0]))
    """
    x, c = _two(samples, centers, 1)
    away = np.sqrt(((x[:, None] - c) ** 2).sum(-1))
    nearest = away.argmin(1)
    good = away[np.arange(len(x)), nearest] <= distance * deviation
    counts = np.bincount(nearest[good], minlength=len(c))
    return Coverage(int((counts >= least).sum()), float(good.mean()), counts)


class PrecisionRecall(NamedTuple):
    """How many generated samples look real, and how many real ones could have been generated."""

    precision: float
    recall: float


def precision_recall(real: Any, generated: Any, k: int = 3) -> PrecisionRecall:
    """Shares of samples that lie among those of the other kind: in a ball around one that reaches its k-th neighbour.

    Memory grows as N·M. Source: Kynkäänniemi et al., "Improved precision and recall metric for assessing generative
    models", 2019.

    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=(100, 2))
    >>> precision_recall(x, x[:50] + 100)
    PrecisionRecall(precision=0.0, recall=0.0)
    """
    first, second = _two(real, generated, k + 1)
    return PrecisionRecall(_share_inside(second, first, k), _share_inside(first, second, k))


def _share_inside(points: Array, others: Array, k: int) -> float:
    reach = np.sort(_squared_distances(others, others), 1)[:, k]  # place 0 is the point itself
    return float((_squared_distances(points, others) <= reach).any(1).mean())


def _squared_distances(x: Array, y: Array) -> Array:
    squares = (x * x).sum(1)[:, None] + (y * y).sum(1) - 2 * x @ y.T
    return np.asarray(np.maximum(squares, 0))


def bits_per_dimension(log_likelihood: Any, dimensions: int, levels: int = 1) -> float:
    """−log₂ p(x)/d from ln p(x) in nats, the mean over samples; d is the number of entries of one sample.

    A density over data scaled to [0, 1] from `levels` integer values (256 for bytes, with noise between them) is turned
    into that over integers: log₂(levels) bits more. Likelihoods of discrete data have levels=1.

    >>> import math
    >>> bits_per_dimension(0.0, 784, levels=256), bits_per_dimension(-784 * math.log(2), 784)
    (8.0, 1.0)
    """
    if dimensions < 1 or levels < 1:
        raise ValueError(f"bits_per_dimension: dimensions and levels are 1 or more, got {dimensions} and {levels}.")
    mean = float(array_of(log_likelihood, "log_likelihood").astype(np.float64).mean())
    return -mean / (dimensions * math.log(2)) + math.log2(levels)
