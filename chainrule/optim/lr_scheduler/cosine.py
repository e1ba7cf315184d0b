"""Schedules along a cosine, once or with restarts."""

from __future__ import annotations

import math
from typing import Any

from chainrule.optim.lr_scheduler.base import LRScheduler
from chainrule.optim.lr_scheduler.robbins_monro import Tail
from chainrule.optim.optimizer import Optimizer


class CosineAnnealingLR(LRScheduler):
    """Half a cosine from η₀ down to η_min: ηₙ = η_min + (η₀ − η_min)·(1 + cos(π·n/T))/2.

    After T epochs it would rise again; training usually ends there.

    Args:
        optimizer: whose rates are set.
        T_max: T, how many epochs the way down takes.
        eta_min: η_min.
        last_epoch: the epoch to go on from.

    Source: Loshchilov and Hutter, "SGDR", 2017 (without its restarts).

    >>> from chainrule import nn, optim
    >>> optimizer = optim.SGD(nn.Linear(1, 1).parameters(), lr=0.5)
    >>> schedule = CosineAnnealingLR(optimizer, T_max=2)
    >>> optimizer.step(); schedule.step(); schedule.get_last_lr()
    [0.25]
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        self.T_max = T_max
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def rates(self) -> list[float]:
        """From the rates in use, so that other schedules may act too."""
        if self._is_initial:
            return self.current_rates()
        pairs = list(zip(self.current_rates(), self.base_lrs, strict=True))
        if (self.last_epoch - 1 - self.T_max) % (2 * self.T_max) == 0:  # at the bottom, where the ratio is 0/0
            first = (1 - math.cos(math.pi / self.T_max)) / 2
            return [rate + (base - self.eta_min) * first for rate, base in pairs]
        ratio = self._height(self.last_epoch) / self._height(self.last_epoch - 1)
        return [ratio * (rate - self.eta_min) + self.eta_min for rate, _ in pairs]

    def _height(self, epoch: int) -> float:
        return 1 + math.cos(math.pi * epoch / self.T_max)

    def closed_form(self) -> list[float]:
        """The formula."""
        height = self._height(self.last_epoch) / 2
        return [self.eta_min + (base - self.eta_min) * height for base in self.base_lrs]

    def tail(self) -> Tail:
        """Up and down for ever."""
        return Tail("level", f"the cosine rises again after {self.T_max} epochs (ended there, Σα would be finite)")


class CosineAnnealingWarmRestarts(LRScheduler):
    """A cosine from η₀ down to η_min, again and again, each time longer: T₀, T₀·m, T₀·m², … epochs.

    Args:
        optimizer: whose rates are set.
        T_0: T₀, how many epochs the first way down takes.
        T_mult: m, a whole number.
        eta_min: η_min.
        last_epoch: the epoch to go on from.

    Source: Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017.
    """

    absolute = True

    def __init__(
        self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        for name, value in (("T_0", T_0), ("T_mult", T_mult)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} is a whole number, at least 1, got {value}.")
        if not isinstance(eta_min, (int, float)):
            raise ValueError(f"eta_min is a number, got {type(eta_min).__name__}.")
        self.T_0 = T_0
        self.T_i = T_0
        self.T_mult = T_mult
        self.eta_min = eta_min
        self.T_cur: float = last_epoch
        if last_epoch > 0:
            self._find_round(last_epoch)
        super().__init__(optimizer, last_epoch)

    def rates(self) -> list[float]:
        """The cosine at `T_cur` of `T_i`, the place in the present round."""
        height = (1 + math.cos(math.pi * self.T_cur / self.T_i)) / 2
        return [self.eta_min + (base - self.eta_min) * height for base in self.base_lrs]

    def step(self, epoch: Any = None) -> None:
        """Go on to the next rates; with `epoch`, which may be a fraction, jump there."""
        if epoch is None and self.last_epoch >= 0:
            self.T_cur += 1
            if self.T_cur >= self.T_i:
                self.T_cur -= self.T_i
                self.T_i *= self.T_mult
            epoch = self.last_epoch + 1
        else:
            epoch = 0 if epoch is None else epoch
            if epoch < 0:
                raise ValueError(f"the epoch is not negative, got {epoch}.")
            self._find_round(epoch)
        self.last_epoch = math.floor(epoch)
        self._set_rates(self.rates())

    def _update_lr(self, epoch: Any = None) -> None:
        self.step(epoch)

    def _find_round(self, epoch: float) -> None:
        """Which round an epoch is in, and where in it."""
        start, length = 0, self.T_0
        if self.T_mult == 1:
            start = int(epoch // self.T_0) * self.T_0
        else:
            while epoch >= start + length:
                start += length
                length *= self.T_mult
        self.T_cur, self.T_i = epoch - start, length

    def tail(self) -> Tail:
        """Up and down for ever."""
        return Tail("level", "the rate returns to η₀ at every restart")
