"""Schedules that multiply: by a function of yours, in steps, along a line, a power or an exponential."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from chainrule.optim.lr_scheduler.base import (
    LRScheduler,
    Multiplying,
    check_optimizer,
    for_each_group,
    geometric,
    level,
    remembered,
)
from chainrule.optim.lr_scheduler.robbins_monro import Tail
from chainrule.optim.optimizer import Optimizer

Lambda = Callable[[int], float]


class _OfFunctions(LRScheduler):
    """Schedules of a function of the epoch, one for all groups or one for each."""

    def __init__(self, optimizer: Optimizer, lr_lambda: Lambda | list[Lambda], last_epoch: int = -1) -> None:
        self.lr_lambdas: list[Lambda] = for_each_group("lr_lambda", check_optimizer(optimizer), lr_lambda)
        for function in self.lr_lambdas:
            if not callable(function):
                raise TypeError(f"lr_lambda is a function of the epoch, got {type(function).__name__}.")
        super().__init__(optimizer, last_epoch)

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimiser and plain functions."""
        return {**super().state_dict(), "lr_lambdas": [remembered(function) for function in self.lr_lambdas]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a saved state; the functions are those given to the constructor."""
        super().load_state_dict({name: value for name, value in state_dict.items() if name != "lr_lambdas"})
        for function, attributes in zip(self.lr_lambdas, state_dict["lr_lambdas"], strict=True):
            if attributes is not None:
                function.__dict__.update(attributes)

    def tail(self) -> Tail:
        """Nobody knows."""
        return Tail("unknown", "the rate is a function of yours")


class LambdaLR(_OfFunctions):
    """ηₙ = η₀·f(n).

    Args:
        optimizer: whose rates are set.
        lr_lambda: f, a function of the epoch; or a list, one for each group.
        last_epoch: the epoch to go on from.

    >>> from chainrule import nn, optim
    >>> optimizer = optim.SGD(nn.Linear(1, 1).parameters(), lr=0.5)
    >>> LambdaLR(optimizer, lambda n: 1 / (n + 2)).get_last_lr()
    [0.25]
    """

    absolute = True

    def rates(self) -> list[float]:
        """The base rates times the function."""
        return [base * function(self.last_epoch) for function, base in zip(self.lr_lambdas, self.base_lrs)]


class MultiplicativeLR(_OfFunctions):
    """ηₙ = ηₙ₋₁·f(n); the first rate is η₀.

    Args:
        optimizer: whose rates are set.
        lr_lambda: f, a function of the epoch; or a list, one for each group.
        last_epoch: the epoch to go on from.
    """

    def rates(self) -> list[float]:
        """The rates in use times the function."""
        if self._is_initial:
            return self.current_rates()
        return [rate * function(self.last_epoch) for function, rate in zip(self.lr_lambdas, self.current_rates())]


class StepLR(Multiplying):
    """The rate falls by the factor γ every `step_size` epochs: ηₙ = η₀·γ^⌊n/s⌋.

    Args:
        optimizer: whose rates are set.
        step_size: s, how many epochs a rate lasts.
        gamma: γ.
        last_epoch: the epoch to go on from.

    >>> from chainrule import nn, optim
    >>> optimizer = optim.SGD(nn.Linear(1, 1).parameters(), lr=0.5)
    >>> schedule = StepLR(optimizer, step_size=1, gamma=0.5)
    >>> optimizer.step(); schedule.step(); schedule.get_last_lr()
    [0.25]
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def multiplier(self) -> float:
        """γ every `step_size` epochs."""
        return 1.0 if self.last_epoch == 0 or self.last_epoch % self.step_size else self.gamma

    def share(self) -> float:
        """γ^⌊n/s⌋."""
        return self.gamma ** (self.last_epoch // self.step_size)

    def tail(self) -> Tail:
        """As an exponential."""
        return geometric(self.gamma, f"a fall every {self.step_size} epochs")


class MultiStepLR(Multiplying):
    """The rate falls by the factor γ at each milestone: ηₙ = η₀·γ^(milestones up to n).

    Args:
        optimizer: whose rates are set.
        milestones: epochs; one that is named twice counts twice.
        gamma: γ.
        last_epoch: the epoch to go on from.
    """

    def __init__(
        self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.milestones = Counter(milestones)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def multiplier(self) -> float:
        """γ at a milestone."""
        return self.gamma ** self.milestones[self.last_epoch]

    def share(self) -> float:
        """γ^(milestones up to n)."""
        return self.gamma ** bisect_right(sorted(self.milestones.elements()), self.last_epoch)

    def tail(self) -> Tail:
        """Constant after the last milestone."""
        return level(self.gamma, "the rate reaches the value after the last milestone")


class ConstantLR(Multiplying):
    """A part of the rate for some epochs, then all of it: ηₙ = η₀·f for n < k, then η₀.

    Args:
        optimizer: whose rates are set.
        factor: f in [0, 1].
        total_iters: k.
        last_epoch: the epoch to go on from.
    """

    def __init__(
        self, optimizer: Optimizer, factor: float = 1.0 / 3, total_iters: int = 5, last_epoch: int = -1
    ) -> None:
        if not 0 <= factor <= 1:
            raise ValueError(f"factor is in [0, 1], got {factor}.")
        self.factor = factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def multiplier(self) -> float:
        """f at the start, 1/f at the end."""
        if self.last_epoch == 0:
            return self.factor
        return 1.0 if self.last_epoch != self.total_iters else 1.0 / self.factor

    def share(self) -> float:
        """f, then 1."""
        return 1.0 if self.last_epoch >= self.total_iters else self.factor

    def tail(self) -> Tail:
        """Constant."""
        return level(1.0, "the rate reaches η₀")


class LinearLR(Multiplying):
    """A line from one part of the rate to another: ηₙ = η₀·(f + (e − f)·min(n, k)/k).

    Args:
        optimizer: whose rates are set.
        start_factor: f in (0, 1].
        end_factor: e in [0, 1].
        total_iters: k, how many epochs the line is long.
        last_epoch: the epoch to go on from.

    >>> from chainrule import nn, optim
    >>> optimizer = optim.SGD(nn.Linear(1, 1).parameters(), lr=0.5)
    >>> LinearLR(optimizer, start_factor=0.1, total_iters=10).get_last_lr()
    [0.05]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        if not 0 < start_factor <= 1:
            raise ValueError(f"start_factor is in (0, 1], got {start_factor}.")
        if not 0 <= end_factor <= 1:
            raise ValueError(f"end_factor is in [0, 1], got {end_factor}.")
        self.start_factor = start_factor
        self.end_factor = end_factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def multiplier(self) -> float:
        """The ratio of two neighbouring points of the line."""
        if self.last_epoch == 0:
            return self.start_factor
        if self._is_initial or self.last_epoch > self.total_iters:
            return 1.0
        rise = self.end_factor - self.start_factor
        return 1.0 + rise / (self.total_iters * self.start_factor + (self.last_epoch - 1) * rise)

    def share(self) -> float:
        """The point on the line."""
        rise = self.end_factor - self.start_factor
        return self.start_factor + rise * min(self.total_iters, self.last_epoch) / self.total_iters

    def tail(self) -> Tail:
        """Constant after the line."""
        return level(self.end_factor, "the rate reaches the end of the line")


class ExponentialLR(Multiplying):
    """ηₙ = η₀·γⁿ.

    Args:
        optimizer: whose rates are set.
        gamma: γ.
        last_epoch: the epoch to go on from.
    """

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def multiplier(self) -> float:
        """γ."""
        return 1.0 if self._is_initial else self.gamma

    def share(self) -> float:
        """γⁿ."""
        return self.gamma**self.last_epoch

    def tail(self) -> Tail:
        """Geometric."""
        return geometric(self.gamma, "a fall in every epoch")


class PolynomialLR(Multiplying):
    """ηₙ = η₀·(1 − min(n, k)/k)^p: it reaches 0 after k epochs.

    Args:
        optimizer: whose rates are set.
        total_iters: k.
        power: p; 1 is a line.
        last_epoch: the epoch to go on from.
    """

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1) -> None:
        self.total_iters = total_iters
        self.power = power
        super().__init__(optimizer, last_epoch)

    def multiplier(self) -> float:
        """The ratio of two neighbouring values."""
        if self._is_initial or self.last_epoch > self.total_iters:
            return 1.0
        left = self.total_iters - self.last_epoch
        return (left / (left + 1)) ** self.power

    def share(self) -> float:
        """What is left of the way, to the power p."""
        return (1.0 - min(self.total_iters, self.last_epoch) / self.total_iters) ** self.power

    def tail(self) -> Tail:
        """0 at the end."""
        return level(0.0 if self.power else 1.0, f"the rate reaches its end after {self.total_iters} epochs")


class RobbinsMonro(Multiplying):
    """αₙ = a/(n + b)^p with a = η₀·b^p, so that it starts at η₀. For ½ < p ≤ 1 it meets Robbins and Monro's conditions.

    With p = 1 it is the classical αₙ ∝ 1/n. PyTorch has no such schedule.

    Args:
        optimizer: whose rates are set.
        b: above 0: about how many epochs the rate stays near its start.
        power: p, at least 0.
        last_epoch: the epoch to go on from.

    Source: Robbins and Monro, "A stochastic approximation method", 1951.

    >>> from chainrule import nn, optim
    >>> optimizer = optim.SGD(nn.Linear(1, 1).parameters(), lr=0.5)
    >>> schedule = RobbinsMonro(optimizer)
    >>> optimizer.step(); schedule.step(); schedule.get_last_lr()
    [0.25]
    >>> schedule.satisfies_robbins_monro()
    True: the rate falls like 1/n^1: Σα = ∞ and Σα² < ∞
    """

    def __init__(self, optimizer: Optimizer, b: float = 1.0, power: float = 1.0, last_epoch: int = -1) -> None:
        if not b > 0:
            raise ValueError(f"b is above 0, got {b}.")
        if not power >= 0:
            raise ValueError(f"power is not negative, got {power}.")
        self.b = b
        self.power = power
        super().__init__(optimizer, last_epoch)

    def multiplier(self) -> float:
        """The ratio of two neighbouring values."""
        n = self.last_epoch
        return 1.0 if self._is_initial else ((n - 1 + self.b) / (n + self.b)) ** self.power

    def share(self) -> float:
        """(b/(n + b))^p."""
        return (self.b / (self.last_epoch + self.b)) ** self.power

    def tail(self) -> Tail:
        """A power of n."""
        if not self.power:
            return level(1.0, "the rate is η₀")
        return Tail("power", f"the rate falls like 1/n^{self.power:g}", self.power)
