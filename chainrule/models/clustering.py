"""K-means, and how many clusters: scikit-learn's, on tensors (the extra `cluster`).

x: (N, …), float; a sample is flattened to D numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from chainrule.errors import ChainruleError, ShapeError
from chainrule.functions.creation import from_numpy
from chainrule.tensor import Tensor


class Clusters(NamedTuple):
    """What K-means found.

    Attributes:
        centres: (k, D), in the type of x.
        labels: the nearest centre of each sample, (N,) int64.
        inertia: Σ‖x − its centre‖², what K-means makes small.
    """

    centres: Tensor
    labels: Tensor
    inertia: float

    def assign(self, x: Tensor) -> Tensor:
        """The nearest centre of each of other samples, (N,) int64."""
        samples, centres = rows(x), self.centres.array.astype(np.float64)
        if samples.shape[1] != centres.shape[1]:
            raise ShapeError(f"the centres have {centres.shape[1]} numbers, the samples {samples.shape[1]}.")
        distances = (centres**2).sum(1) - 2 * samples.astype(np.float64) @ centres.T  # ‖x‖² is the same for all
        return from_numpy(distances.argmin(1))


def kmeans(x: Tensor, k: int, seed: int = 0, restarts: int = 10) -> Clusters:
    """Divide samples into k clusters, each around its mean: the nearest centre, the mean of those, and so on.

    It finds a local minimum of Σ‖x − its centre‖² that depends on where it begins: the best of `restarts` beginnings
    (k-means++) is taken. Numbers with larger units count more, so standardise first. Raises ValueError for k not in
    [1, N]. Sources: chapter I; Lloyd 1982; Arthur and Vassilvitskii, "k-means++", 2007.

    >>> import chainrule
    >>> clusters = kmeans(chainrule.tensor([[0.0], [0.2], [5.0], [5.2]]), k=2)
    >>> sorted(clusters.centres.flatten().tolist()), clusters.inertia
    ([0.1, 5.1], 0.04)
    >>> (clusters.labels[0] == clusters.labels[1]).item(), (clusters.labels[1] == clusters.labels[2]).item()
    (True, False)
    """
    samples = rows(x)
    if not 1 <= k <= len(samples):
        raise ValueError(f"k is between 1 and the number of samples, {len(samples)}; got {k}.")
    if restarts < 1:
        raise ValueError(f"it begins at least once, got restarts={restarts}.")
    found = learner("cluster").KMeans(k, n_init=restarts, random_state=seed).fit(samples)
    labels = found.labels_.astype(np.int64)
    return Clusters(from_numpy(found.cluster_centers_), from_numpy(labels), float(found.inertia_))


class Choice(NamedTuple):
    """One k that was tried: its inertia, and the mean silhouette (NaN for one cluster, and for as many as samples)."""

    k: int
    inertia: float
    silhouette: float


@dataclass
class Choices:
    """What several k give, and which to take.

    Attributes:
        rows: one for each k, from small to large.
        elbow: the k after which the inertia falls no longer as fast: the point of the curve farthest below the straight
            line between its ends. With fewer than three k the smallest.
        silhouette: the k with the largest mean silhouette: own cluster near, next one far. None if none has one.
    """

    rows: list[Choice]
    elbow: int
    silhouette: int | None

    def __iter__(self) -> Iterator[Choice]:
        return iter(self.rows)


def choose_k(x: Tensor, ks: Iterable[int] = range(2, 11), seed: int = 0, restarts: int = 10) -> Choices:
    """K-means for each k, and two ways to choose: the elbow of the inertia, and the silhouette.

    Too small a k joins clusters that are not alike; too large a k divides those that are. The inertia itself always
    falls with k, so its minimum says nothing. The silhouette compares all pairs of samples: N² distances.
    Sources: chapter I; Rousseeuw, "Silhouettes", 1987.

    >>> import chainrule
    >>> centres = chainrule.tensor([[0.0, 0.0], [8.0, 0.0], [0.0, 8.0]])
    >>> x = centres.repeat_interleave(20, 0) + chainrule.randn(60, 2)
    >>> choices = choose_k(x, range(1, 7))
    >>> choices.elbow, choices.silhouette
    (3, 3)
    """
    samples, wanted = rows(x), sorted(set(ks))
    if not wanted:
        raise ValueError("there is no k to try.")
    tried = []
    for k in wanted:
        clusters = kmeans(x, k, seed, restarts)
        labels = clusters.labels.array
        distinct = len(np.unique(labels))
        if 1 < distinct < len(samples):
            silhouette = float(learner("metrics").silhouette_score(samples, labels))
        else:
            silhouette = math.nan
        tried.append(Choice(k, clusters.inertia, silhouette))
    defined = [row for row in tried if not math.isnan(row.silhouette)]
    best = max(defined, key=lambda row: row.silhouette).k if defined else None
    return Choices(tried, _elbow(tried), best)


def _elbow(tried: list[Choice]) -> int:
    first, last = tried[0], tried[-1]
    if len(tried) < 3 or first.inertia <= last.inertia:
        return first.k

    def below_line(row: Choice) -> float:
        along = (row.k - first.k) / (last.k - first.k)
        return (first.inertia - row.inertia) / (first.inertia - last.inertia) - along

    return max(tried, key=below_line).k


def rows(x: Tensor) -> Any:
    """The samples as an array (N, D)."""
    if x.ndim < 2 or not len(x):
        raise ShapeError(f"x is (N, D) with at least one sample, got {tuple(x.shape)}.")
    array = x.array.reshape(len(x), -1)
    return array if array.dtype == np.float64 else array.astype(np.float32)


def learner(part: str) -> Any:
    """A module of scikit-learn, or an error that says how to get it."""
    import importlib

    try:
        return importlib.import_module(f"sklearn.{part}")
    except ImportError:
        raise ChainruleError("clusters and PCA need scikit-learn: pip install 'chainrule[cluster]'.") from None
