"""Data sets: things with a length whose entries are samples, and streams of samples.

A data set that can read many samples at once has a method `read_batch(places)`, which gives the batch that collating
the samples at these places would give. `DataLoader` uses it, so an array data set costs one indexed read per batch.
"""

from __future__ import annotations

import bisect
import itertools
import math
import operator
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import GenericAlias
from typing import Any

import numpy as np

from chainrule.cell import TensorCell
from chainrule.data.collate import default_collate, map_tensors, tensors_of
from chainrule.devices import CPU
from chainrule.errors import DataError, DTypeError, IndexRangeError, ShapeError
from chainrule.functions.creation import make
from chainrule.functions.pieces import cat
from chainrule.random import Generator, randperm
from chainrule.tensor import Tensor

#: Places in a data set, as samplers and loaders name them: a range of neighbours, or int64 in any order.
Places = range | np.ndarray


class Dataset:
    """The base of data sets that are read by place: a subclass has `__getitem__`, and `__len__` for most uses.

    Optional, for speed: `__getitems__(places)`, the list of samples at these places, or `read_batch(places)`, the
    whole batch. Both may be left out.

    >>> class Squares(Dataset):
    ...     def __len__(self):
    ...         return 4
    ...     def __getitem__(self, place):
    ...         return place**2
    >>> both = Squares() + Squares()
    >>> len(both), both[5]
    (8, 1)
    """

    __class_getitem__: Any = classmethod(GenericAlias)  # Dataset[tuple[Tensor, int]], in annotations and as a base

    def __getitem__(self, index: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} must define __getitem__: the sample at a place.")

    def __add__(self, other: Dataset) -> ConcatDataset:
        return ConcatDataset([self, other])


class IterableDataset(Dataset):
    """The base of streams: a subclass has `__iter__`, which gives one sample after the other.

    Every worker of a loader iterates its own copy, so a stream divides the work itself, by `get_worker_info()`.

    >>> class Countdown(IterableDataset):
    ...     def __iter__(self):
    ...         return iter([3, 2, 1])
    >>> list(Countdown() + Countdown())
    [3, 2, 1, 3, 2, 1]
    """

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(f"{type(self).__name__} must define __iter__: the samples one after the other.")

    def __add__(self, other: Dataset) -> ChainDataset:  # type: ignore[override]
        return ChainDataset([self, other])


def defined_together(thing: Any, special: str, *usual: str) -> bool:
    """Whether a class has the method `special` and no subclass between has replaced one of the `usual` ones alone.

    So that a subclass which changes `__getitem__` is not read past it by the `read_batch` of its base.
    """
    for kind in type(thing).__mro__:
        if special in kind.__dict__:
            return True
        if any(name in kind.__dict__ for name in usual):
            return False
    return False


def read_samples(dataset: Any, places: Any) -> list[Any]:
    """The samples at these places, by `__getitems__` if there is one."""
    listed = places.tolist() if isinstance(places, np.ndarray) else list(places)
    if defined_together(dataset, "__getitems__", "__getitem__"):
        return dataset.__getitems__(listed)
    return [dataset[place] for place in listed]


def read_batch(dataset: Any, places: Any) -> Any:
    """The samples at these places as one batch: by the data set's own `read_batch`, or collated one by one.

    >>> read_batch([10, 20, 30], [2, 0])
    tensor([30, 10])
    """
    if len(places) and defined_together(dataset, "read_batch", "__getitem__", "__getitems__"):
        if isinstance(places, (range, np.ndarray)):
            return dataset.read_batch(places)
        listed = np.asarray(places)  # from a user's sampler, whose places may be anything
        if listed.dtype.kind in "iu" and listed.ndim == 1:
            return dataset.read_batch(listed)
    return default_collate(read_samples(dataset, places))


class TensorDataset(Dataset):
    """Tensors of equal length side by side: sample i is the tuple of their entries i.

    Indexing takes what tensors take, so a whole batch is one read: `dataset[indices]`.

    >>> import chainrule
    >>> data = TensorDataset(chainrule.arange(3), chainrule.tensor([5, 6, 7]))
    >>> len(data), data[chainrule.tensor([0, 2])]
    (3, (tensor([0, 2]), tensor([5, 7])))
    """

    def __init__(self, *tensors: Tensor) -> None:
        lengths = {x.shape[0] if x.ndim else 0 for x in tensors}
        if len(lengths) != 1:
            shapes = ", ".join(str(tuple(x.shape)) for x in tensors) or "no tensors"
            raise ShapeError(f"a TensorDataset takes tensors of equal length, got {shapes}.")
        self.tensors = tensors

    def __len__(self) -> int:
        return len(self.tensors[0])

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(x[index] for x in self.tensors)

    def read_batch(self, places: Places) -> list[Tensor]:
        """The batch at these places: neighbours as a slice, which copies nothing, others by one indexed read."""
        return [_read_rows(x, places) for x in self.tensors]


def _read_rows(x: Tensor, places: Places) -> Tensor:
    if isinstance(places, range) and 0 <= places.start <= places.stop <= len(x) and places.step == 1:
        if x.requires_grad or not x.is_cpu:
            return x[places.start : places.stop]
        return make(x.array[places.start : places.stop], device=CPU)
    if x.requires_grad or not x.is_cpu:
        return x[make(np.asarray(places), device=CPU)]
    try:
        return make(x.array.take(places, axis=0), device=CPU)
    except IndexError:
        raise IndexRangeError(f"a data set of {len(x)} samples has no sample {_outside(places, len(x))}.") from None


def _outside(places: Places, count: int) -> int:
    return next(int(place) for place in places if not -count <= place < count)


class Subset(Dataset):
    """Some samples of a data set, by their places in it, in the order given and as often as given.

    >>> part = Subset(["a", "b", "c"], [2, 0])
    >>> len(part), part[0]
    (2, 'c')
    """

    def __init__(self, dataset: Any, indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.indices = indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, (list, np.ndarray)) or (isinstance(index, TensorCell) and index.ndim):
            return self.dataset[self._places(np.asarray(index))]
        place = self.indices[index]
        return self.dataset[place.item() if isinstance(place, Tensor) else place]

    def __getitems__(self, places: list[int]) -> list[Any]:
        """The list of samples at these places."""
        return read_samples(self.dataset, self._places(np.asarray(places, np.int64)))

    def read_batch(self, places: Places) -> Any:
        """The batch at these places, read by the data set underneath at once if it can."""
        return read_batch(self.dataset, self._places(places))

    def _places(self, places: Any) -> Any:
        """Where the samples are in the data set underneath. The list of indices may be long, so it is not copied."""
        if isinstance(self.indices, (np.ndarray, TensorCell)):
            return np.asarray(self.indices)[np.asarray(places)]
        if isinstance(self.indices, range) and isinstance(places, range):
            return self.indices[places.start : places.stop : places.step]
        listed = np.asarray(places)
        if listed.dtype.kind == "b":
            listed = np.flatnonzero(listed)
        return np.array([self.indices[place] for place in listed.tolist()], np.int64)


class ConcatDataset(Dataset):
    """Data sets one behind the other, as one.

    Raises DataError for none at all, or for a stream among them (see `ChainDataset`).

    >>> both = ConcatDataset([["a", "b"], ["c"]])
    >>> len(both), both[2], both[-1]
    (3, 'c', 'c')
    """

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise DataError("ConcatDataset takes at least one data set, got none.")
        if any(isinstance(dataset, IterableDataset) for dataset in self.datasets):
            raise DataError("ConcatDataset takes data sets that are read by place; chain streams by ChainDataset.")
        self.cumulative_sizes = list(itertools.accumulate(len(dataset) for dataset in self.datasets))

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: int) -> Any:
        place = operator.index(index)
        if not -len(self) <= place < len(self):
            raise IndexRangeError(f"a data set of {len(self)} samples has no sample {place}.")
        place %= len(self)
        part = bisect.bisect_right(self.cumulative_sizes, place)
        return self.datasets[part][place - (self.cumulative_sizes[part - 1] if part else 0)]

    def read_batch(self, places: Places) -> Any:
        """The batch at these places: one read from each data set that has some of them, if all can read batches."""
        listed = np.asarray(places)
        if not all(defined_together(part, "read_batch", "__getitem__", "__getitems__") for part in self.datasets):
            return default_collate([self[place] for place in listed.tolist()])
        if not (-len(self) <= listed.min() and listed.max() < len(self)):
            raise IndexRangeError(f"a data set of {len(self)} samples has no sample {_outside(listed, len(self))}.")
        listed = np.where(listed < 0, listed + len(self), listed)
        parts = np.searchsorted(self.cumulative_sizes, listed, side="right")
        where = {part: np.flatnonzero(parts == part) for part in np.unique(parts).tolist()}
        starts = [0, *self.cumulative_sizes]
        pieces = [read_batch(self.datasets[part], listed[there] - starts[part]) for part, there in where.items()]
        if len(pieces) == 1:
            return pieces[0]
        leaves = [tensors_of(piece) for piece in pieces]
        if not all(leaves) or len({len(found) for found in leaves}) > 1:
            return default_collate([self[place] for place in listed.tolist()])  # there is more in it than tensors
        joined = iter([_interleaved(same, list(where.values())) for same in zip(*leaves)])
        return map_tensors(lambda _: next(joined), pieces[0])


def _interleaved(pieces: Sequence[Tensor], where: list[np.ndarray]) -> Tensor:
    """The rows of all pieces, each at its place in the batch."""
    first = pieces[0]
    if any(
        x.requires_grad or x.dtype is not first.dtype or x.shape[1:] != first.shape[1:] or not x.is_cpu for x in pieces
    ):
        return cat(list(pieces))[make(np.argsort(np.concatenate(where)), device=CPU)]
    batch = np.empty((sum(map(len, where)), *first.shape[1:]), first.dtype.numpy)
    for x, there in zip(pieces, where):
        batch[there] = x.array
    return make(batch, device=CPU)


class StackDataset(Dataset):
    """Data sets of equal length side by side: sample i is the tuple of their samples i, or a dictionary of them.

    Raises ValueError for no data set, different lengths, or positional and named ones together.

    >>> pairs = StackDataset(image=[10, 20], text=["a", "b"])
    >>> len(pairs), pairs[1]
    (2, {'image': 20, 'text': 'b'})
    """

    datasets: tuple[Any, ...] | dict[str, Any]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if bool(args) == bool(kwargs):
            raise ValueError("StackDataset takes data sets either by position or by name, and at least one.")
        self.datasets = args or kwargs
        lengths = [len(dataset) for dataset in self._parts()]
        if len(set(lengths)) > 1:
            raise ValueError(f"StackDataset takes data sets of equal length, got {lengths}.")

    def _parts(self) -> Sequence[Any]:
        return list(self.datasets.values()) if isinstance(self.datasets, dict) else self.datasets

    def _sample(self, parts: Iterable[Any]) -> Any:
        return dict(zip(self.datasets, parts)) if isinstance(self.datasets, dict) else tuple(parts)

    def __len__(self) -> int:
        return len(self._parts()[0])

    def __getitem__(self, index: Any) -> Any:
        return self._sample(dataset[index] for dataset in self._parts())

    def __getitems__(self, places: list[int]) -> list[Any]:
        """The list of samples at these places."""
        return [self._sample(parts) for parts in zip(*[read_samples(dataset, places) for dataset in self._parts()])]

    def read_batch(self, places: Places) -> Any:
        """The batch at these places: that of each data set."""
        parts = [read_batch(dataset, places) for dataset in self._parts()]
        return self._sample(parts) if isinstance(self.datasets, dict) else parts


class ChainDataset(IterableDataset):
    """Streams one behind the other, as one.

    >>> class Letters(IterableDataset):
    ...     def __iter__(self):
    ...         return iter("ab")
    >>> list(ChainDataset([Letters(), Letters()]))
    ['a', 'b', 'a', 'b']
    """

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = datasets

    def __iter__(self) -> Iterator[Any]:
        for dataset in self.datasets:
            if not isinstance(dataset, IterableDataset):
                raise DTypeError(f"ChainDataset chains streams (IterableDataset), got {type(dataset).__name__}.")
            yield from dataset

    def __len__(self) -> int:
        return sum(len(dataset) for dataset in self.datasets)


class MapDataset(Dataset):
    """A data set with a function applied to every sample when it is read, or to every batch.

    Args:
        dataset: where the samples come from.
        function: takes a sample and gives another one; with `batched` takes a whole batch and gives one.
        batched: read, collate, and apply the function once for all. Far quicker where the function can do it.
        part: apply it to this part of the sample only (a position or a key), and leave the others as they are.

    Workers of a loader need a function that can be pickled: one with a name, not a lambda.

    >>> import chainrule
    >>> data = TensorDataset(chainrule.arange(4.0), chainrule.arange(4))
    >>> MapDataset(data, lambda x: x / 2, batched=True, part=0).read_batch(range(1, 3))
    [tensor([0.5000, 1.0000]), tensor([1, 2])]
    """

    def __init__(
        self, dataset: Any, function: Callable[[Any], Any], *, batched: bool = False, part: int | str | None = None
    ) -> None:
        if isinstance(dataset, IterableDataset):
            raise DataError("MapDataset takes a data set that is read by place; map a stream in its own __iter__.")
        self.dataset = dataset
        self.function = function
        self.batched = batched
        self.part = part

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: Any) -> Any:
        return self._apply(self.dataset[index], self._alone if self.batched else self.function)

    def read_batch(self, places: Places) -> Any:
        """The batch at these places, with the function applied."""
        if self.batched:
            return self._apply(read_batch(self.dataset, places), self.function)
        return default_collate([self._apply(sample, self.function) for sample in read_samples(self.dataset, places)])

    def _alone(self, sample: Any) -> Any:
        """The function of a batch, applied to one sample."""
        return map_tensors(lambda x: x[0], self.function(default_collate([sample])))

    def _apply(self, sample: Any, function: Callable[[Any], Any]) -> Any:
        if self.part is None:
            return function(sample)
        if isinstance(sample, dict):
            return {**sample, self.part: function(sample[self.part])}
        parts = list(sample)
        parts[self.part] = function(parts[self.part])  # type: ignore[index]
        return type(sample)(*parts) if hasattr(sample, "_fields") else type(sample)(parts)


def only_moves(dataset: Any) -> bool:
    """Whether reading this data set runs nothing but code of this file that copies entries, so no random draw.

    >>> only_moves(Subset(TensorDataset(Tensor([1.0])), [0]))
    True
    """
    if type(dataset) is TensorDataset:
        return True
    if type(dataset) is Subset:
        return only_moves(dataset.dataset)
    if type(dataset) is StackDataset:
        return all(map(only_moves, dataset._parts()))
    return type(dataset) is ConcatDataset and all(map(only_moves, dataset.datasets))


def random_split(dataset: Any, lengths: Sequence[Any], generator: Generator | None = None) -> list[Subset]:
    """A data set divided at random into parts of these lengths, without overlap.

    Lengths that add up to at most 1 are fractions: each part gets ⌊fraction · N⌋ samples, and the samples left over
    go one each to the first parts. The order comes from `generator`, else from the default one; see
    `stratified_split` and `grouped_split` for parts that keep the mix of classes, or groups together.

    Raises ValueError if lengths do not add up to the data set's, or fractions are not such parts of a whole.

    >>> import chainrule
    >>> parts = random_split(range(10), [0.7, 0.3], chainrule.Generator(0))
    >>> [len(part) for part in parts], sorted(place for part in parts for place in part.indices)
    ([7, 3], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    """
    count = len(dataset)
    sizes = _sizes_of_fractions(lengths, count) if math.isclose(sum(lengths), 1) else lengths
    if any(size != int(size) or size < 0 for size in sizes) or sum(sizes) != count:
        raise ValueError(
            f"random_split takes lengths that add up to the {count} samples, or fractions that add up to 1; "
            f"got {list(lengths)}, which add up to {sum(lengths)}."
        )
    order = randperm(count, device=CPU, generator=generator).tolist()
    ends = itertools.accumulate(sizes)
    return [Subset(dataset, order[end - size : end]) for size, end in zip(sizes, ends)]


def _sizes_of_fractions(fractions: Sequence[float], count: int) -> list[int]:
    if any(not 0 <= fraction <= 1 for fraction in fractions):
        raise ValueError(f"random_split: fractions lie in 0 to 1, got {list(fractions)}.")
    sizes = [math.floor(count * fraction) for fraction in fractions]
    for place in range(count - sum(sizes)):
        sizes[place % len(sizes)] += 1
    if 0 in sizes:
        warnings.warn(f"random_split: part {sizes.index(0)} of {sizes} has no samples.", stacklevel=3)
    return sizes
