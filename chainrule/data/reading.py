"""From places to batches: what both a loader and its workers do. Everything here can be sent to another process."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

from chainrule.data.collate import default_collate
from chainrule.data.dataset import read_batch, read_samples
from chainrule.data.seeding import mixed_seed, seeded

#: Parts of a pass that draw from streams of their own (see `seeding`).
BATCH, ORDER, STREAM = range(3)

#: What a reader answers when a stream is at its end.
END = None


class PlacesReader:
    """Reads the batches of a data set that is read by place.

    Attributes:
        dataset: where the samples are.
        collate: makes a batch of a list of samples; without batches, converts a sample.
        batched: whether places come as batches.
    """

    def __init__(self, dataset: Any, collate: Callable[[Any], Any], batched: bool) -> None:
        self.dataset, self.collate, self.batched = dataset, collate, batched

    def begin(self, seed: int | None, worker: int) -> None:
        """Begin a pass."""
        self.seed = seed

    def read(self, number: int, places: Any) -> Any:
        """Batch `number` of the pass, which is at these places, as a tuple with one entry."""
        with seeded(None if self.seed is None else mixed_seed(self.seed, BATCH, number)):
            if not self.batched:
                return (self.collate(self.dataset[places]),)
            if self.collate is default_collate:
                return (read_batch(self.dataset, places),)
            return (self.collate(read_samples(self.dataset, places)),)


class StreamReader:
    """Reads the batches of a stream.

    Attributes:
        dataset: the stream.
        collate: as in `PlacesReader`.
        batch_size: samples in a batch; None gives every sample as it comes.
        drop_last: leave out a last batch that is smaller.
    """

    def __init__(self, dataset: Any, collate: Callable[[Any], Any], batch_size: int | None, drop_last: bool) -> None:
        self.dataset, self.collate, self.batch_size, self.drop_last = dataset, collate, batch_size, drop_last

    def begin(self, seed: int | None, worker: int) -> None:
        """Begin a pass: take hold of the stream."""
        self.seed = seed
        with seeded(None if seed is None else mixed_seed(seed, STREAM, worker)):
            self.samples: Iterator[Any] = iter(self.dataset)
        self.ended = False

    def read(self, number: int, places: Any) -> Any:
        """The next batch, as a tuple with one entry, or END."""
        wanted = self.batch_size or 1
        with seeded(None if self.seed is None else mixed_seed(self.seed, BATCH, number)):
            batch = [] if self.ended else list(itertools.islice(self.samples, wanted))
            self.ended = len(batch) < wanted
            if not batch or (self.drop_last and self.ended):
                return END
            return (self.collate(batch[0] if self.batch_size is None else batch),)


Reader = PlacesReader | StreamReader
