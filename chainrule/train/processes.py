"""Training in several processes: each takes its part of every batch, and all take the same step."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from chainrule import distributed
from chainrule.data.sampler import BatchSampler, RandomSampler, Sampler
from chainrule.distributed.group import find_group
from chainrule.functions.creation import tensor
from chainrule.nn.parallel.exchange import average_gradients, broadcast_state, check_same_model
from chainrule.random import default_generator
from chainrule.train.loss_sums import LossSum

if TYPE_CHECKING:
    from chainrule.train.trainer import Trainer


class ProcessBatches(Sampler):
    """Of each batch the places of one process: every `size`-th, beginning with the `rank`-th.

    All processes draw the same order. A batch that does not divide into equal parts is computed whole by all of them,
    so that the step is that of one process in any case.

    >>> batches = BatchSampler(range(6), 4, drop_last=False)
    >>> list(ProcessBatches(batches, rank=1, size=4))
    [[1], [4, 5]]
    """

    def __init__(self, batches: BatchSampler, rank: int, size: int) -> None:
        self.sampler, self.rank, self.size = batches, rank, size

    def __iter__(self) -> Iterator[list[int]]:
        return map(self._part, self.sampler)

    def slices(self) -> Iterator[Any]:
        """The parts of one pass, of the order that is drawn now: as in one process."""
        return map(self._part, self.sampler.slices())

    def _part(self, batch: Any) -> Any:
        return batch if len(batch) % self.size else batch[self.rank :: self.size]

    def __len__(self) -> int:
        return len(self.sampler)

    def is_whole(self, number: int) -> bool:
        """Whether all processes compute the whole of the batch with this number, from 0."""
        places, size = len(self.sampler.sampler), self.sampler.batch_size  # type: ignore[arg-type]
        return bool(min(size, places - number * size) % self.size)


def batches_of_process(dataset: Any, batch_size: int) -> ProcessBatches:
    """Shuffled batches of so many samples for all processes together, of which each takes its part."""
    group = find_group(None)
    return ProcessBatches(BatchSampler(RandomSampler(dataset), batch_size, False), group.rank(), group.size())


def processes_for(trainer: Trainer, devices: int) -> Processes:
    """What a trainer exchanges with those of the other processes. Raises ValueError for one that takes other steps."""
    kind, optimizer = type(trainer).__name__, trainer.optimizer
    if devices != 1 or optimizer.closure or kind != "Trainer":
        who = type(optimizer).__name__ if optimizer.closure else kind
        raise ValueError(f"processes=True is for plain steps on one device in each, got {devices} with {who}.")
    return Processes()


class Processes:
    """What the trainers of all processes exchange: gradients, figures, and when to stop.

    Raises ProcessGroupError if there is no process group.
    """

    def __init__(self) -> None:
        self.group = find_group(None)
        self.is_first = self.group.rank() == 0

    def begin(self, trainer: Trainer) -> None:
        """All begin with the weights of the first."""
        check_same_model(trainer.model, self.group)
        self._share([*trainer.model.parameters(), *trainer.model.buffers()])

    def begin_epoch(self) -> None:
        """All draw the same from now on, whatever a callback of the first has drawn meanwhile."""
        default_generator.set_state(self.first(default_generator.get_state()))

    def average(self, parameters: list[Any]) -> None:
        """Gradients become means over the processes."""
        if self.group.size() > 1:
            average_gradients({str(i): p for i, p in enumerate(parameters)}, self.group)

    def first(self, thing: Any) -> Any:
        """What the first process has."""
        box = [thing]
        distributed.broadcast_object_list(box, src=0)
        return box[0]

    def counts(self, trainer: Trainer) -> bool:
        """Whether the batch that was just seen is counted here: one that all have computed is counted by the first."""
        batches = getattr(trainer.loader, "batch_sampler", None)
        whole = isinstance(batches, ProcessBatches) and batches.is_whole(trainer.step)
        return self.is_first or not whole

    def sum_up(self, trainer: Trainer) -> None:
        """At the end of an epoch: its figures over all processes, and the running means of the first."""
        own = (trainer._sums.total, trainer._sums.count, trainer._parts.sums, [m.state() for m in trainer.metrics])
        every: list[Any] = [None] * self.group.size()
        distributed.all_gather_object(every, own)
        trainer._sums = LossSum(sum(total for total, *_ in every), sum(count for _, count, *_ in every))
        for name in trainer._parts.sums:
            trainer._parts.sums[name] = [sum(parts[name][i] for _, _, parts, _ in every) for i in (0, 1)]
        for i, metric in enumerate(trainer.metrics):
            metric.reset()
            for *_, states in every:
                other = copy.deepcopy(metric)
                other.load_state(states[i])
                metric.merge(other)
        self._share(list(trainer.model.buffers()))

    def stopping(self, trainer: Trainer, stop_if_asked: Callable[[], None]) -> Callable[[], None]:
        """As `stop_if_asked`, for all processes after the same batch; and a stop that a callback asked for is all's."""

        def stop() -> None:
            asked = False
            try:
                stop_if_asked()
            except KeyboardInterrupt as error:
                if type(error) is not KeyboardInterrupt:
                    raise
                asked = True
            either = tensor([int(asked), int(bool(trainer.stopped))])
            distributed.all_reduce(either, distributed.ReduceOp.MAX)
            interrupted, stopped = either.tolist()
            if interrupted:
                raise KeyboardInterrupt
            if stopped and not trainer.stopped:
                trainer.stopped = "another process has stopped"

        return stop

    def resume(self, trainer: Trainer, state: Any) -> None:
        """All go on from the state that the first has read (None: there is none).

        Within an epoch its sums are those of the first process's samples; the others begin to count anew.
        """
        state = self.first(state)
        if state is None:
            return
        trainer.load_state_dict(state)
        if not self.is_first:
            trainer._sums = LossSum()
            trainer._parts.reset()
            for metric in trainer.metrics:
                metric.reset()

    def _share(self, tensors: list[Any]) -> None:
        if tensors and self.group.size() > 1:
            broadcast_state(tensors, self.group)
