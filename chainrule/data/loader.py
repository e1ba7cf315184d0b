"""DataLoader: batches of a data set, in order or shuffled, made here or by workers, from any point of a pass on."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from types import GenericAlias
from typing import Any

from chainrule.data.collate import default_collate, default_convert
from chainrule.data.dataset import IterableDataset, only_moves
from chainrule.data.passes import LocalPass, Position, WorkerPass, places_of_pass
from chainrule.data.reading import PlacesReader, Reader, StreamReader
from chainrule.data.sampler import BatchSampler, RandomSampler, Sampler, SequentialSampler, draws_at_once
from chainrule.data.worker_info import WorkerInfo, get_worker_info
from chainrule.devices import CPU
from chainrule.functions.creation import tensor
from chainrule.random import Generator, default_generator, randint

__all__ = ["DataLoader", "WorkerInfo", "default_collate", "default_convert", "get_worker_info"]

#: What the batches depend on: it cannot be changed once the loader is made.
_FIXED = frozenset({"dataset", "batch_size", "sampler", "batch_sampler", "drop_last", "num_workers"})


class DataLoader:
    """Goes through a data set batch by batch; every pass is a new order if it shuffles.

    The order is drawn when a pass begins, so the same seed gives the same orders. What a data set draws while it makes
    a batch (augmentation, say) comes from a stream of random numbers made for that batch. So the batches are the same
    with any number of workers, and the same when a run is continued (`state_dict`).

    Data sets with `read_batch` (tensors and what is made of them) are read by one indexed read per batch.

    Args:
        dataset: something with `__getitem__` and `__len__`, or a stream (`IterableDataset`).
        batch_size: samples in a batch, at least 1. None gives the samples themselves, with NumPy arrays as tensors.
        shuffle: a new random order in every pass.
        sampler: places in the order wanted, instead of `shuffle`.
        batch_sampler: lists of places, one for each batch, instead of `batch_size`, `shuffle`, `sampler`, `drop_last`.
        num_workers: processes that make batches ahead of time; 0 makes them here. On Linux they are forked. Elsewhere,
            or while threads of your own run, they are new processes: a script then needs
            `if __name__ == "__main__":`, and what it hands over must be picklable. For tensors in memory 0 is the
            fastest; workers are for decoding and augmenting.
        collate_fn: makes a batch of a list of samples; `default_collate` unless given.
        pin_memory: nothing: JAX copies to a device from any memory, while the program goes on. Batches are on the CPU;
            move them in the loop, `x.to(device, non_blocking=True)`. A `Trainer` sends each one step ahead.
        drop_last: leave out a last batch that is smaller.
        timeout: seconds to wait for a batch from a worker; 0 waits as long as the worker lives.
        worker_init_fn: called in each worker with its number before it begins.
        multiprocessing_context: "fork", "spawn", "forkserver" or such a context, instead of what is said above.
        generator: where the order and the seeds come from; the default generator unless given.
        prefetch_factor: how many batches each worker is ahead; 2 unless given.
        persistent_workers: keep the workers from one pass to the next.
        pin_memory_device: nothing.
        in_order: nothing: batches always come in their order.

    Raises ValueError for settings out of range or that contradict each other; WorkerError, when a pass begins, if
    workers are new processes and the script would run again in each of them.

    >>> import chainrule
    >>> data = chainrule.data.TensorDataset(chainrule.arange(5))
    >>> [batch for (batch,) in DataLoader(data, batch_size=2)]
    [tensor([0, 1]), tensor([2, 3]), tensor([4])]
    """

    __class_getitem__: Any = classmethod(GenericAlias)  # DataLoader[Tensor], in annotations and as a base

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Sampler | Iterable[Any] | None = None,
        batch_sampler: Sampler | Iterable[Any] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[Any], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], Any] | None = None,
        multiprocessing_context: Any = None,
        generator: Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        self._is_stream = isinstance(dataset, IterableDataset)
        _check_workers(num_workers, timeout, prefetch_factor, persistent_workers)
        _check_order(self._is_stream, batch_size, shuffle, sampler, batch_sampler, drop_last)
        if batch_sampler is not None:
            batch_size = None
        elif not self._is_stream and sampler is None:
            sampler = RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset)
        if batch_size is not None:
            batch_sampler = BatchSampler(() if sampler is None else sampler, batch_size, drop_last)
        self._batched = batch_sampler is not None
        self.dataset = dataset
        self.batch_size = batch_size
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self.num_workers = num_workers
        self.collate_fn = collate_fn or (default_collate if self._batched else default_convert)
        self.pin_memory = pin_memory
        self.drop_last = drop_last
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.multiprocessing_context = multiprocessing_context
        self.generator = generator
        self.prefetch_factor = 2 if num_workers and prefetch_factor is None else prefetch_factor
        self.persistent_workers = persistent_workers
        self.pin_memory_device = pin_memory_device
        self.in_order = in_order
        self._crew: Any = None
        self._position: Position | None = None
        self._resume = False
        self._made = True

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _FIXED and "_made" in self.__dict__:
            raise ValueError(f"{name} cannot be changed once the DataLoader is made; make another one.")
        super().__setattr__(name, value)

    def __len__(self) -> int:
        """How many batches a pass has; TypeError if the data set or the sampler does not tell its length."""
        if self._is_stream:
            count = len(self.dataset)
            return count if self.batch_size is None else self.batch_sampler._count(count)  # type: ignore[union-attr]
        return len(self._index_sampler)

    @property
    def _index_sampler(self) -> Any:
        return self.batch_sampler if self._batched else self.sampler

    def __iter__(self) -> Iterator[Any]:
        """Begin a pass, or go on with the one that was loaded."""
        if self._resume and self._position is not None:
            position = Position(self._position.start, self._position.batches)
            seed, places = self._draw_again(position)
        else:
            position = Position(self._generator_states())
            seed, places = self._draw()
        self._position, self._resume = position, False
        reader = self._reader()
        if not self.num_workers:
            return LocalPass(reader, places, position, seed)
        crew, ahead = self._workers(reader), self.prefetch_factor or 2
        return WorkerPass(crew, reader, places, position, seed, ahead, self.persistent_workers)

    def _draw(self) -> tuple[int | None, Iterator[Any]]:
        """The seed of a pass, if code that may draw runs in it, and its places."""
        seed = None
        if self._runs_other_code():
            seed = int(randint(0, 2**62, (), device=CPU, generator=self.generator).item())
        if self._is_stream:
            return seed, itertools.repeat((None,))
        return seed, places_of_pass(self._index_sampler, self._batched, seed)

    def _runs_other_code(self) -> bool:
        own = self.collate_fn in (default_collate, default_convert) and self.worker_init_fn is None
        return self._is_stream or not (own and only_moves(self.dataset) and draws_at_once(self._index_sampler))

    def _reader(self) -> Reader:
        if self._is_stream:
            return StreamReader(self.dataset, self.collate_fn, self.batch_size, self.drop_last)
        return PlacesReader(self.dataset, self.collate_fn, self._batched)

    def _workers(self, reader: Reader) -> Any:
        from chainrule.data.crew import Crew  # starting processes is not needed by most
        from chainrule.data.starting import read_context

        if self._crew is not None and not self._crew.closed:
            return self._crew
        context = read_context(self.multiprocessing_context)
        crew = Crew(reader, self.num_workers, context, self.timeout, self.worker_init_fn)
        if self.persistent_workers:
            self._crew = crew
        return crew

    # ------------------------------------------------------------------------------------- going on later

    def state_dict(self) -> dict[str, Any]:
        """Where the loader stands: the pass begun last, how many of its batches were given, and the generators.

        Numbers and lists only, so JSON can hold it. Batches that workers have made ahead are not counted.
        """
        position = self._position
        open_ = position is not None and not position.finished
        return {
            "batches": position.batches - position.ahead if open_ and position else None,
            "start": position.start if open_ and position else None,
            "generators": self._generator_states(),
            "made_for": self._made_for(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a state: the next pass gives the batches that were left, exactly as they would have come.

        The generators, the default one too if the order comes from it, are put back to where they were, so that the
        passes after it are the same as well. The number of workers may be another one, except for streams, which are
        read again from their beginning. A sampler of your own must give the same places again when its random numbers
        are the same.

        Raises ValueError if the state belongs to another data set or to other settings.

        >>> import chainrule
        >>> def new_loader():
        ...     return DataLoader(chainrule.data.TensorDataset(chainrule.arange(6)), 2, shuffle=True)
        >>> first = new_loader()
        >>> batches = iter(first); _ = next(batches)
        >>> state = first.state_dict()
        >>> second = new_loader(); second.load_state_dict(state)
        >>> [bool((x == y).all()) for (x,), (y,) in zip(batches, second)]
        [True, True]
        """
        missing = {"batches", "start", "generators", "made_for"} - set(state_dict)
        if missing:
            raise ValueError(f"this is not the state of a DataLoader: it lacks {', '.join(sorted(missing))}.")
        here, there = self._made_for(), state_dict["made_for"]
        if here != there:
            other = [
                f"{key} was {there.get(key)!r}, here it is {here[key]!r}" for key in here if here[key] != there.get(key)
            ]
            raise ValueError(f"this state belongs to another DataLoader: {'; '.join(other)}.")
        self._set_generators(state_dict["generators"])
        self._resume = state_dict["batches"] is not None
        self._position = Position(state_dict["start"], state_dict["batches"]) if self._resume else None

    def _made_for(self) -> dict[str, Any]:
        """What must be the same for a state to make sense."""
        facts = {
            "sampler": type(self.sampler).__name__,
            "batch_size": self.batch_size,
            "drop_last": self.drop_last,
            "samples": len(self.dataset) if not self._is_stream and hasattr(self.dataset, "__len__") else None,
        }
        # Each worker has its own copy of a stream, so their number decides which batches there are.
        return facts | ({"num_workers": self.num_workers} if self._is_stream else {})

    def _generators(self) -> list[Generator]:
        """The generators that a pass draws from: the loader's own or the default one, and the samplers'."""
        batches = self.batch_sampler
        samplers = [self.sampler, batches, getattr(batches, "sampler", None)]
        drawn_from = [getattr(sampler, "generator", self.generator) for sampler in (self, *samplers)]
        found = [default_generator if generator is None else generator for generator in drawn_from]
        return list({id(generator): generator for generator in found if isinstance(generator, Generator)}.values())

    def _generator_states(self) -> list[list[int]]:
        return [generator.get_state().tolist() for generator in self._generators()]

    def _set_generators(self, states: list[list[int]]) -> None:
        for generator, state in zip(self._generators(), states, strict=True):
            generator.set_state(tensor(state, device=CPU))

    def _draw_again(self, position: Position) -> tuple[int | None, Iterator[Any]]:
        """What `_draw` gave when the pass began; afterwards the generators are where they are now.

        All but the own generator of a sampler that draws step by step: it gets there by these steps.
        """
        now = [generator.get_state() for generator in self._generators()]
        self._set_generators(position.start)
        drawn = self._draw()
        at_once = self._is_stream or draws_at_once(self._index_sampler)
        for generator, state in zip(self._generators(), now):
            if at_once or generator in (self.generator, default_generator):
                generator.set_state(state)
        return drawn

    def __getstate__(self) -> dict[str, Any]:
        """A copy has no workers and no pass under way."""
        return {**self.__dict__, "_crew": None, "_position": None, "_resume": False}


def _check_workers(num_workers: int, timeout: float, prefetch_factor: int | None, persistent_workers: bool) -> None:
    if num_workers < 0:
        raise ValueError(f"num_workers is 0 (make the batches here) or more, got {num_workers}.")
    if timeout < 0:
        raise ValueError(f"timeout is 0 (wait as long as it takes) or more seconds, got {timeout}.")
    if prefetch_factor is not None and (num_workers == 0 or prefetch_factor < 1):
        raise ValueError(f"prefetch_factor is at least 1 and needs workers, got {prefetch_factor} for {num_workers}.")
    if persistent_workers and num_workers == 0:
        raise ValueError("persistent_workers needs num_workers of at least 1.")


def _check_order(
    is_stream: bool, batch_size: int | None, shuffle: bool | None, sampler: Any, batch_sampler: Any, drop_last: bool
) -> None:
    if is_stream and (shuffle or sampler is not None or batch_sampler is not None):
        raise ValueError("a stream (IterableDataset) has its own order: no shuffle, sampler or batch_sampler with it.")
    if sampler is not None and shuffle:
        raise ValueError("give either a sampler or shuffle=True, not both.")
    if batch_sampler is not None and (batch_size != 1 or shuffle or sampler is not None or drop_last):
        raise ValueError("batch_sampler stands for batch_size, shuffle, sampler and drop_last: give none of these.")
    if batch_size is None and drop_last:
        raise ValueError("drop_last leaves out a smaller batch, but batch_size=None makes none.")
