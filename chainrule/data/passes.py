"""One pass over a data set: its batches one after the other, made here or by workers."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.data.collate import map_tensors
from chainrule.data.reading import END, ORDER, STREAM, PlacesReader, Reader
from chainrule.data.sampler import BatchSampler, draws_at_once, each
from chainrule.data.seeding import mixed_seed, seeded
from chainrule.devices import default_of_environment

if TYPE_CHECKING:
    from chainrule.data.crew import Crew


class Position:
    """How far a pass has come; the loader reads it when its state is asked for.

    Attributes:
        start: the states of the generators when the pass began.
        batches: how many batches were made.
        ahead: how many of them the loop has not got yet (`ahead.py`).
        finished: whether the pass is over.
    """

    def __init__(self, start: list[list[int]], batches: int = 0) -> None:
        self.start, self.batches, self.finished = start, batches, False
        self.ahead = 0


class LocalPass:
    """A pass whose batches are made in this process when they are asked for."""

    def __init__(self, reader: Reader, places: Iterator[Any], position: Position, seed: int | None) -> None:
        self._reader, self._places, self.position = reader, places, position
        reader.begin(seed, 0)
        if not isinstance(reader, PlacesReader):  # a stream goes to its place by going through what lies before
            for number in range(position.batches):
                reader.read(number, next(places))
        else:
            _skip(places, position.batches)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        position = self.position
        places = next(self._places, END)
        number = position.batches
        position.batches += 1  # also if what follows raises: the next call goes on behind it
        try:
            batch = END if places is END else self._reader.read(number, places[0])
        except StopIteration as error:
            raise RuntimeError("the data set raised StopIteration, which would have ended the pass.") from error
        if batch is END:
            position.batches = number
            position.finished = True
            raise StopIteration
        return batch[0]


class WorkerPass:
    """A pass whose batches are made by workers, ahead of time. Their order is that of one process.

    The workers take turns. A stream has a copy in each worker; one whose copy is at its end is passed over.
    """

    def __init__(
        self,
        crew: Crew,
        reader: Reader,
        places: Iterator[Any],
        position: Position,
        seed: int | None,
        ahead: int,
        keep: bool,
    ) -> None:
        self._crew, self._places, self.position, self._ahead, self._keep = crew, places, position, ahead, keep
        self._is_stream = not isinstance(reader, PlacesReader)
        self._turns = itertools.cycle(range(len(crew.waiting)))
        self._ended: set[int] = set()
        self._asked: deque[int] = deque()
        self._asked_of = [0] * len(crew.waiting)
        skipped = position.batches
        self._number = 0 if self._is_stream else skipped
        crew.begin(seed)
        if self._is_stream:
            position.batches = 0
            self._ask_ahead(skipped)
            for _ in range(skipped):
                self._next_answer(skipped)
            position.batches = skipped
        else:
            _skip(places, skipped)
        self._ask_ahead()

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        position = self.position
        if position.finished:
            raise StopIteration
        self._crew.check_alive()
        position.batches += 1
        answer = self._next_answer()
        if answer is END:
            position.batches -= 1
            position.finished = True
            if not self._keep:
                self._crew.close()
            raise StopIteration
        return _where_the_script_is(answer[0])

    def _next_answer(self, skipped: int = 0) -> Any:
        """The next batch as a tuple, or END when no worker has one."""
        while self._asked:
            worker = self._asked.popleft()
            try:
                answer = self._crew.answer(worker)
            finally:
                if not self._crew.closed:
                    self._ask_ahead(skipped)
            if answer is not END:
                return answer
            self._ended.add(worker)
        return END

    def _ask_ahead(self, skipped: int = 0) -> None:
        """Ask for batches until as many are under way as shall be; the first `skipped` are read but not sent."""
        count = len(self._asked_of)
        while len(self._asked) < self._ahead * count and len(self._ended) < count:
            worker = next(self._turns)
            if worker in self._ended:
                continue
            places = next(self._places, END)
            if places is END:
                return
            # In a stream the k-th batch of a worker has the same number, whatever the others do.
            number = self._asked_of[worker] * count + worker if self._is_stream else self._number
            self._crew.ask(worker, number, places[0], keep=self._number >= skipped)
            self._asked.append(worker)
            self._asked_of[worker] += 1
            self._number += 1


def places_of_pass(sampler: Any, batched: bool, seed: int | None) -> Iterator[tuple[Any]]:
    """The places of each batch (of each sample, if not batched), each as a tuple with one entry.

    A sampler that draws its order at once does so now, from its own generator. Any other is asked step by step, with
    a stream of random numbers of its own: so it may be asked ahead of time, and again from the beginning.
    """
    if not draws_at_once(sampler):
        return _steps(sampler, seed)
    if batched:
        return zip(sampler.slices())
    if isinstance(sampler, BatchSampler):
        return ((np.asarray(piece).tolist(),) for piece in sampler.slices())
    return zip(each(sampler.order()))


def _steps(sampler: Any, seed: int | None) -> Iterator[tuple[Any]]:
    with seeded(None if seed is None else mixed_seed(seed, STREAM, 0)):
        places = iter(sampler)
    for step in itertools.count():
        with seeded(None if seed is None else mixed_seed(seed, ORDER, step)):
            found = list(itertools.islice(places, 1))
        if not found:
            return
        yield (found[0],)


def _where_the_script_is(batch: Any) -> Any:
    """What a worker made on the CPU; for a script that the environment has put on a device, there."""
    device = default_of_environment()
    return batch if device is None else map_tensors(lambda x: x.to(device), batch)


def _skip(places: Iterator[Any], count: int) -> None:
    next(itertools.islice(places, count, count), None)
