"""What has been seen of one split of the data: statistics for each feature, labels, fingerprints of the samples."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from chainrule.tensor import Tensor

Array = np.ndarray[Any, np.dtype[Any]]

#: More samples than this are not remembered: enough to recognise what is wrong.
ENOUGH = 200_000


class Bad(NamedTuple):
    """The first entry that was no finite number: in inputs or targets, which value, in which batch and where."""

    what: str
    value: float
    batch: int
    place: tuple[int, ...]


def arrays_in(thing: Any) -> Iterator[Array]:
    """The arrays of all tensors in a tensor, a list, a dictionary, or what is made of these."""
    if isinstance(thing, Tensor):
        array = thing.detach().read()
        if isinstance(array, np.ndarray):
            yield array
    elif isinstance(thing, np.ndarray):
        yield thing
    elif isinstance(thing, Mapping):
        for part in thing.values():
            yield from arrays_in(part)
    elif isinstance(thing, list | tuple):
        for part in thing:
            yield from arrays_in(part)


def fingerprints(samples: Array) -> Array:
    """A number of 64 bits for each sample, (N, …) to (N,): equal samples have equal ones, others hardly ever.

    >>> first, second, third = fingerprints(np.array([[1.0, 2.0], [2.0, 1.0], [1.0, 2.0]]))
    >>> bool(first == third), bool(first == second)
    (True, False)
    """
    rows = np.ascontiguousarray(samples).reshape(len(samples), -1)
    octets = rows.view(np.uint8).reshape(len(samples), -1)
    if octets.shape[1] % 4:
        octets = np.pad(octets, ((0, 0), (0, -octets.shape[1] % 4)))
    mixed = octets.view(np.uint32).astype(np.uint64)
    factors = _factors(mixed.shape[1])
    mixed += np.uint64(0x9E3779B97F4A7C15)
    mixed *= factors
    mixed ^= mixed >> np.uint64(29)
    mixed *= factors
    return mixed.sum(axis=1, dtype=np.uint64)


@functools.lru_cache(maxsize=8)
def _factors(count: int) -> Array:
    """Odd random numbers, from a stream of their own: the same for every batch."""
    return np.random.default_rng(17).integers(0, 2**63, count, dtype=np.uint64) * np.uint64(2) + np.uint64(1)


class Moments:
    """Mean and mean square of each channel, sample by sample, so that one can tell how sure they are.

    A sample's entry is the mean over its pixels; a channel is dimension 1. Differences are taken from the first batch's
    mean, so that nothing cancels.
    """

    def __init__(self, centre: Array | None = None) -> None:
        self.centre = centre
        self.count = 0
        self.sums: list[Any] = [0.0, 0.0, 0.0, 0.0]

    def add(self, samples: Array) -> None:
        """Take in a batch (N, channels, …)."""
        values = samples.reshape(len(samples), samples.shape[1] if samples.ndim > 1 else 1, -1).astype(float)
        if self.centre is None:
            self.centre = values.mean(axis=(0, 2))
        if self.centre.shape != values.shape[1:2]:
            return
        difference = values - self.centre[:, None]
        first, second = difference.mean(axis=2), np.square(difference).mean(axis=2)
        self.count += len(values)
        for i, part in enumerate((first, np.square(first), second, np.square(second))):
            self.sums[i] = self.sums[i] + part.sum(axis=0)

    def means(self) -> tuple[Array, Array, Array, Array]:
        """Mean of (x − centre) and of its square for each channel, and the variances of both over samples."""
        first, first_square, second, second_square = (np.asarray(s) / self.count for s in self.sums)
        return (
            first, second, np.maximum(first_square - first * first, 0), np.maximum(second_square - second * second, 0)
        )  # fmt: skip


class Seen:
    """Statistics of a split, filled batch by batch.

    Attributes:
        count: how many samples.
        moments: of the inputs, where they are floating-point numbers.
        labels: how often each class came, where targets are whole numbers, one for each sample.
        bad: the first entry that was not finite, if any.

    >>> import chainrule
    >>> seen = Seen(); seen.add(chainrule.zeros(3, 2), chainrule.tensor([0, 1, 1]))
    >>> seen.count, seen.labels
    (3, {0: 1, 1: 2})
    """

    def __init__(self, like: Seen | None = None) -> None:
        self.count = self.batches = 0
        self.moments: Moments = Moments(None if like is None else like.moments.centre)
        self.targets: Moments = Moments(None if like is None else like.targets.centre)
        self.labels: dict[int, int] = {}
        self.bad: Bad | None = None
        self._prints: list[Array] = []

    def add(self, inputs: Any, targets: Any) -> None:
        """Take in a batch."""
        self.batches += 1
        self._look_for_bad("input", inputs)
        self._look_for_bad("target", targets)
        if self.count >= ENOUGH or self.bad is not None:
            return
        first = next(arrays_in(inputs), None)
        if first is not None and first.ndim and len(first):
            self.count += len(first)
            self._prints.append(fingerprints(first))
            if first.dtype.kind == "f" or first.dtype.kind == "u":
                self.moments.add(first)
        self._add_targets(next(arrays_in(targets), None))

    def _add_targets(self, targets: Array | None) -> None:
        if targets is None or not targets.size or not targets.ndim:
            return
        if targets.dtype.kind in "iub" and targets.ndim == 1:
            for label, count in zip(*np.unique(targets, return_counts=True), strict=True):
                self.labels[int(label)] = self.labels.get(int(label), 0) + int(count)
        elif targets.dtype.kind == "f":
            self.targets.add(targets.reshape(len(targets), -1))

    def _look_for_bad(self, what: str, things: Any) -> None:
        for array in arrays_in(things):
            if self.bad is None and array.dtype.kind == "f" and not np.isfinite(array).all():
                place = tuple(np.argwhere(~np.isfinite(array))[0].tolist())
                self.bad = Bad(what, float(array[place]), self.batches, place)

    def target_moments(self) -> tuple[Array | None, Array | None]:
        """Mean and variance of each target; None where there are none that are floating-point numbers."""
        if not self.targets.count or self.targets.centre is None:
            return None, None
        first, second, _, _ = self.targets.means()
        return self.targets.centre + first, np.maximum(second - first * first, 0)

    def prints(self) -> Array:
        """The fingerprints of all samples."""
        return np.concatenate(self._prints) if self._prints else np.zeros(0, np.uint64)
