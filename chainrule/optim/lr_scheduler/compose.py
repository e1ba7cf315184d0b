"""Schedules made of schedules: one after the other, or all at once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from chainrule.optim.lr_scheduler.base import LRScheduler, check_optimizer, set_number
from chainrule.optim.lr_scheduler.cosine import CosineAnnealingLR
from chainrule.optim.lr_scheduler.decay import LinearLR
from chainrule.optim.lr_scheduler.plateau import ReduceLROnPlateau
from chainrule.optim.lr_scheduler.robbins_monro import Tail
from chainrule.optim.optimizer import Optimizer


class _Composed(LRScheduler):
    """Schedules that keep others in `_schedulers`."""

    _schedulers: list[LRScheduler]

    def _check_parts(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None) -> None:
        name = type(self).__name__
        if not schedulers:
            raise ValueError(f"{name} is made of schedules, got none.")
        for i, part in enumerate(schedulers):
            if not hasattr(part, "optimizer"):
                raise TypeError(f"{name} is made of schedules, got {type(part).__name__} at place {i}.")
            if isinstance(part, ReduceLROnPlateau):
                raise ValueError(
                    f"{name} cannot step ReduceLROnPlateau (place {i}), which wants to see a number; step it yourself."
                )
            if part.optimizer is not (optimizer or schedulers[0].optimizer):
                raise ValueError(f"{name}: the schedule at place {i} acts on another optimiser.")

    def _update_lr(self, epoch: int | None = None) -> None:
        """Begin as a part of another schedule, at its milestone."""
        for group in self.optimizer.param_groups:
            set_number(group, "lr", float(group["initial_lr"]))
        self._initial_step()

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimiser, and the states of all parts."""
        return {**super().state_dict(), "_schedulers": [part.state_dict() for part in self._schedulers]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a saved state, all parts too."""
        super().load_state_dict({name: value for name, value in state_dict.items() if name != "_schedulers"})
        for part, saved in zip(self._schedulers, state_dict["_schedulers"], strict=True):
            part.load_state_dict(saved)


class SequentialLR(_Composed):
    """One schedule after the other: at each milestone the next one starts from its epoch 0.

    Args:
        optimizer: whose rates are set.
        schedulers: the schedules, all of this optimiser.
        milestones: the epochs at which the second, third, … begins: one fewer than schedules.
        last_epoch: the epoch to go on from.

    Raises ValueError and TypeError for parts that do not go together.

    >>> from chainrule import nn, optim
    >>> from chainrule.optim.lr_scheduler import ConstantLR, ExponentialLR
    >>> optimizer = optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    >>> parts = [ConstantLR(optimizer, 0.5, total_iters=9), ExponentialLR(optimizer, 0.1)]
    >>> schedule, rates = SequentialLR(optimizer, parts, milestones=[2]), []
    >>> for _ in range(4):
    ...     optimizer.step(); rates += schedule.get_last_lr(); schedule.step()
    >>> rates
    [0.5, 0.5, 1.0, 0.1]
    """

    def __init__(
        self, optimizer: Optimizer, schedulers: list[LRScheduler], milestones: list[int], last_epoch: int = -1
    ) -> None:
        self._check_parts(schedulers, check_optimizer(optimizer))
        if len(milestones) != len(schedulers) - 1:
            raise ValueError(
                f"{len(schedulers)} schedules have {len(schedulers) - 1} milestones between them, got {milestones}."
            )
        self.optimizer = optimizer
        self._schedulers = schedulers
        self._milestones = milestones
        # Each part has set its first rate when it was made: that is undone, and the first part starts again.
        for group in optimizer.param_groups:
            set_number(group, "lr", float(group["initial_lr"]))
        _step_back(self)
        self._initial_step()
        self.last_epoch = last_epoch + 1

    def _initial_step(self) -> None:
        self.last_epoch = 0
        first = self._schedulers[bisect_right(self._milestones, 0)]
        first._initial_step()
        self._last_lr = first.get_last_lr()

    def step(self) -> None:
        """Go on to the next rates."""
        self.last_epoch += 1
        place = bisect_right(self._milestones, self.last_epoch)
        part = self._schedulers[place]
        if place > 0 and self._milestones[place - 1] == self.last_epoch:
            part._update_lr(0)
        else:
            part.step()
        self._last_lr = part.get_last_lr()

    def tail(self) -> Tail:
        """As the last part's."""
        return self._schedulers[-1].tail()


def _step_back(schedule: LRScheduler) -> None:
    if isinstance(schedule, _Composed):
        for part in schedule._schedulers:
            _step_back(part)
    else:
        schedule.last_epoch -= 1


class ChainedScheduler(_Composed):
    """All schedules at once: each acts on the rates that the one before has left, so their factors multiply.

    Args:
        schedulers: the schedules, all of one optimiser.
        optimizer: that optimiser; may be left out.

    Raises ValueError and TypeError for parts that do not go together.
    """

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None) -> None:
        self._check_parts(schedulers, optimizer)
        self.optimizer = schedulers[0].optimizer
        self._schedulers = list(schedulers)
        self._last_lr = self.current_rates()

    def _initial_step(self) -> None:
        for part in self._schedulers:
            part._initial_step()
        self._last_lr = self.current_rates()

    def step(self) -> None:
        """Go on to the next rates."""
        for part in self._schedulers:
            part.step()
        self._last_lr = self.current_rates()

    def tail(self) -> Tail:
        """The product of all parts, from the last one on that sets rates without looking at those in use."""
        result = Tail("level", "together")
        for part in self._schedulers:
            tail = part.tail()
            result = tail if part.absolute else result.times(tail)
        return result


def warmup_cosine(
    optimizer: Optimizer, warmup_steps: int, total_steps: int, *, start_factor: float = 0.01, eta_min: float = 0.0
) -> LRScheduler:
    """The rate rises along a line to η₀ in `warmup_steps`, then falls along half a cosine to `eta_min`.

    Without steps to warm up in it is the cosine alone. Raises ValueError unless 0 ≤ warmup_steps < total_steps.

    >>> from chainrule import nn, optim
    >>> optimizer = optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    >>> schedule, rates = warmup_cosine(optimizer, 2, 4, start_factor=0.5), []
    >>> for _ in range(4):
    ...     optimizer.step(); rates += schedule.get_last_lr(); schedule.step()
    >>> rates
    [0.5, 0.75, 1.0, 0.5]
    """
    if not 0 <= warmup_steps < total_steps:
        raise ValueError(f"0 ≤ warmup_steps < total_steps, got {warmup_steps} and {total_steps}.")
    if not warmup_steps:
        return CosineAnnealingLR(optimizer, total_steps, eta_min)
    rise = LinearLR(optimizer, start_factor, total_iters=warmup_steps)
    fall = CosineAnnealingLR(optimizer, total_steps - warmup_steps, eta_min)
    return SequentialLR(optimizer, [rise, fall], [warmup_steps])
