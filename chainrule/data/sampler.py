"""Samplers: in which order a loader goes through a data set.

The samplers here also have `order()`, which draws the places of a whole pass at once; a loader cuts its batches from
it. A sampler of your own needs `__iter__` only, and `__len__` if its loader shall have one.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence, Sized
from types import GenericAlias
from typing import Any

import numpy as np

from chainrule.data.dataset import Places, defined_together
from chainrule.devices import CPU
from chainrule.functions.creation import make
from chainrule.primitives import philox
from chainrule.primitives.random import RandomAdvance
from chainrule.random import Generator, default_generator, multinomial, rand, randint, randperm
from chainrule.tensor import Tensor


class Sampler:
    """The base of samplers: a subclass has `__iter__`, which gives places in a data set (or lists of them).

    >>> class Backwards(Sampler):
    ...     def __init__(self, data): self.data = data
    ...     def __iter__(self): return iter(range(len(self.data))[::-1])
    >>> list(Backwards("abc"))
    [2, 1, 0]
    """

    __class_getitem__: Any = classmethod(GenericAlias)  # Sampler[int], in annotations and as a base

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(f"{type(self).__name__} must define __iter__: the places in their order.")


class _OrderedSampler(Sampler):
    """A sampler that knows the order of a whole pass when it begins."""

    def order(self) -> Places:
        """The places of one pass: a range, or int64; drawn anew by each call."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[int]:
        return each(self.order())


#: More draws than this are made piece by piece, when they are asked for.
PIECE = 2**20


class ManyDraws:
    """Places drawn with replacement, as a sequence whose pieces are drawn when they are looked at.

    A random number is a function of the generator's state and of its own place, so every piece has a state of its own
    to begin with, and the generator is past all of them at once.
    """

    def __init__(self, count: int, wanted: int, generator: Generator) -> None:
        self.count, self.wanted = count, wanted
        self._states = [generator.get_state()]
        blocks = philox.blocks_used("integers", PIECE)
        for _ in range(0, wanted, PIECE):
            self._states.append(RandomAdvance.apply(self._states[-1], blocks=blocks))
        generator.set_state(self._states[-1])
        self._latest: tuple[int, Any] = (-1, None)

    def __len__(self) -> int:
        return self.wanted

    def __getitem__(self, places: slice) -> np.ndarray[Any, Any]:
        start, stop, _ = places.indices(self.wanted)
        pieces = [
            self._piece(i)[max(start - i * PIECE, 0) : max(stop - i * PIECE, 0)]
            for i in range(start // PIECE, -(-stop // PIECE))
        ]
        return np.concatenate(pieces) if pieces else np.zeros(0, np.int64)

    def _piece(self, i: int) -> np.ndarray[Any, Any]:
        if self._latest[0] != i:
            generator = Generator()
            generator.set_state(self._states[i])
            size = min(PIECE, self.wanted - i * PIECE)
            self._latest = i, randint(0, self.count, (size,), device=CPU, generator=generator).array
        return self._latest[1]


def each(order: Any) -> Iterator[int]:
    """The places of an order one by one, without a list of all of them."""
    for start in range(0, len(order), PIECE):
        yield from np.asarray(order[start : start + PIECE]).tolist()


class SequentialSampler(_OrderedSampler):
    """The places 0, 1, 2, … in order.

    >>> list(SequentialSampler("abc"))
    [0, 1, 2]
    """

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def order(self) -> Places:
        """All places as a range."""
        return range(len(self.data_source))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(_OrderedSampler):
    """Places in random order: each once, or drawn independently of each other.

    Args:
        data_source: what the places are in.
        replacement: draw each place anew from all, so that some come several times.
        num_samples: how many; the length of the data set unless given. Without replacement, more than that means
            one whole random order after the other.
        generator: where the order comes from; the default generator unless given.

    Raises TypeError if `replacement` is no bool, ValueError if `num_samples` is no positive integer.

    >>> import chainrule
    >>> sorted(RandomSampler("abc", generator=chainrule.Generator(0)))
    [0, 1, 2]
    """

    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Generator | None = None,
    ) -> None:
        if not isinstance(replacement, bool):
            raise TypeError(f"RandomSampler: replacement is True or False, got {replacement!r}.")
        if num_samples is not None:
            _check_count("RandomSampler", num_samples)
        self.data_source = data_source
        self.replacement = replacement
        self._num_samples = num_samples
        self.generator = generator

    @property
    def num_samples(self) -> int:
        """How many places a pass has."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def order(self) -> Any:
        """The places of one pass, drawn at once; very many with replacement piece by piece."""
        count, wanted = len(self.data_source), self.num_samples
        if wanted and not count:
            raise ValueError(f"RandomSampler: {wanted} samples cannot be drawn from an empty data set.")
        if self.replacement and wanted > PIECE:
            return ManyDraws(count, wanted, self.generator or default_generator)
        if self.replacement and wanted:
            return randint(0, count, (wanted,), device=CPU, generator=self.generator).array
        if wanted == count:
            return randperm(count, device=CPU, generator=self.generator).array
        rounds = [randperm(count, device=CPU, generator=self.generator).array for _ in range(-(-wanted // count))]
        return np.concatenate(rounds)[:wanted]

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(_OrderedSampler):
    """The given places in random order, each once.

    >>> sorted(SubsetRandomSampler([7, 3]))
    [3, 7]
    """

    def __init__(self, indices: Sequence[int], generator: Generator | None = None) -> None:
        self.indices = indices
        self.generator = generator

    def order(self) -> Places:
        """The places of one pass, drawn at once."""
        return np.asarray(self.indices, np.int64)[
            randperm(len(self.indices), device=CPU, generator=self.generator).array
        ]

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(_OrderedSampler):
    """Places drawn with probability proportional to their weights; a place with weight 0 never comes.

    To see every class equally often, give each sample the weight 1 / (number of samples of its class).

    Args:
        weights: (N,), one for each sample, not negative; they need not add up to 1.
        num_samples: how many places a pass has.
        replacement: draw each from all; otherwise none comes twice, and `num_samples` weights must be positive.
        generator: where the draws come from; the default generator unless given.

    Raises ValueError if `num_samples` is no positive integer, `replacement` no bool, or the weights are none.

    >>> import chainrule
    >>> list(WeightedRandomSampler([0.0, 2.0, 0.0], 3))
    [1, 1, 1]
    """

    def __init__(
        self,
        weights: Sequence[float],
        num_samples: int,
        replacement: bool = True,
        generator: Generator | None = None,
    ) -> None:
        _check_count("WeightedRandomSampler", num_samples)
        if not isinstance(replacement, bool):
            raise ValueError(f"WeightedRandomSampler: replacement is True or False, got {replacement!r}.")
        array = np.array(weights, np.float64)
        if array.ndim != 1 or not (np.isfinite(array).all() and (array >= 0).all() and array.sum() > 0):
            raise ValueError(
                "WeightedRandomSampler takes one weight for each sample: (N,), finite, not negative, not all 0; got "
                f"shape {array.shape}" + (f" with values {array.min()} to {array.max()}." if array.size else ".")
            )
        if not replacement and np.count_nonzero(array) < num_samples:
            raise ValueError(
                f"WeightedRandomSampler: {num_samples} draws without replacement need as many positive weights, "
                f"there are {np.count_nonzero(array)}."
            )
        self.weights: Tensor = make(array, device=CPU)
        self.num_samples = num_samples
        self.replacement = replacement
        self.generator = generator

    def order(self) -> Places:
        """The places of one pass, drawn at once."""
        if not self.replacement:
            return multinomial(self.weights, self.num_samples, generator=self.generator).array
        # Where a uniform number falls among the running sums; `side` passes by places without weight.
        edges = np.cumsum(self.weights.array)
        draws = rand(self.num_samples, dtype="float64", device=CPU, generator=self.generator).array * edges[-1]
        last = int(np.flatnonzero(self.weights.array)[-1])  # rounding may reach the end
        return np.minimum(np.searchsorted(edges, draws, side="right"), last)

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler):
    """Lists of `batch_size` places from another sampler; the last one may be shorter, or is left out.

    Raises ValueError if `batch_size` is no positive integer or `drop_last` no bool.

    >>> list(BatchSampler(SequentialSampler(range(5)), batch_size=2, drop_last=False))
    [[0, 1], [2, 3], [4]]
    """

    def __init__(self, sampler: Sampler | Iterable[int], batch_size: int, drop_last: bool) -> None:
        if not isinstance(batch_size, int) or isinstance(batch_size, bool) or batch_size < 1:
            raise ValueError(f"a batch has at least one sample, got batch_size={batch_size!r}.")
        if not isinstance(drop_last, bool):
            raise ValueError(f"drop_last is True or False, got {drop_last!r}.")
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last

    def __iter__(self) -> Iterator[list[int]]:
        places = iter(self.sampler)
        while batch := list(itertools.islice(places, self.batch_size)):
            if len(batch) == self.batch_size or not self.drop_last:
                yield batch

    def slices(self) -> Iterator[Places]:
        """The batches of one pass as pieces of the order that the sampler draws, which happens now."""
        order = self.sampler.order()  # type: ignore[union-attr]
        return (order[i * self.batch_size : (i + 1) * self.batch_size] for i in range(self._count(len(order))))

    def _count(self, places: int) -> int:
        whole, rest = divmod(places, self.batch_size)
        return whole + (1 if rest and not self.drop_last else 0)

    def __len__(self) -> int:
        return self._count(len(self.sampler))  # type: ignore[arg-type]


def draws_at_once(sampler: Any) -> bool:
    """Whether a sampler knows its whole order at once (and no subclass has changed how it iterates)."""
    if defined_together(sampler, "slices", "__iter__"):
        return draws_at_once(sampler.sampler)
    return defined_together(sampler, "order", "__iter__")


def _check_count(name: str, count: Any) -> None:
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise ValueError(f"{name}: num_samples is a positive integer, got num_samples={count!r}.")
