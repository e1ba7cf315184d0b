"""A schedule that watches a number, such as the validation loss, and acts when it no longer improves."""

from __future__ import annotations

import math
import warnings
from typing import Any

from chainrule.optim.lr_scheduler.base import _EPOCH, LRScheduler, check_optimizer, for_each_group, set_number
from chainrule.optim.lr_scheduler.robbins_monro import Tail
from chainrule.optim.optimizer import Optimizer


class ReduceLROnPlateau(LRScheduler):
    """Multiply the rate by a factor when a number has not improved for more than `patience` steps.

    Args:
        optimizer: whose rates are set.
        mode: "min" if smaller is better (a loss), "max" if larger is (an accuracy).
        factor: what the rate is multiplied by, below 1.
        patience: how many steps in a row may bring no improvement.
        threshold: how much better counts as better,
        threshold_mode: "rel": best·(1 ∓ threshold); "abs": best ∓ threshold.
        cooldown: how many steps to wait after a fall before counting again.
        min_lr: the least rate; or a list, one for each group.
        eps: a fall by no more than this is left out.

    Raises ValueError for settings out of their range.

    >>> from chainrule import nn, optim
    >>> optimizer = optim.SGD(nn.Linear(1, 1).parameters(), lr=0.5)
    >>> schedule = ReduceLROnPlateau(optimizer, patience=0)
    >>> for loss in [1.0, 1.0]: schedule.step(loss)
    >>> schedule.get_last_lr()
    [0.05]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | list[float] = 0,
        eps: float = 1e-8,
    ) -> None:
        if not factor < 1.0:
            raise ValueError(f"factor is below 1, got {factor}.")
        if mode not in ("min", "max"):
            raise ValueError(f'mode is "min" or "max", got {mode!r}.')
        if threshold_mode not in ("rel", "abs"):
            raise ValueError(f'threshold_mode is "rel" or "abs", got {threshold_mode!r}.')
        self.optimizer = check_optimizer(optimizer)
        self.mode = mode
        self.factor = factor
        self.patience = patience
        self.threshold = threshold
        self.threshold_mode = threshold_mode
        self.cooldown = cooldown
        self.min_lrs = for_each_group("min_lr", optimizer, min_lr)
        self.default_min_lr = None if isinstance(min_lr, (list, tuple)) else min_lr
        self.eps = eps
        self.last_epoch = 0
        self.best = math.inf if mode == "min" else -math.inf
        self.cooldown_counter = 0
        self.num_bad_epochs = 0
        self._last_lr = self.current_rates()

    def step(self, metrics: Any, epoch: int | None = None) -> None:
        """Look at a number (a 0-d tensor will do), and lower the rates if it is time."""
        number = float(metrics)
        if epoch is not None:
            warnings.warn(_EPOCH, UserWarning, stacklevel=2)
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        if self._is_better(number):
            self.best = number
            self.num_bad_epochs = 0
        else:
            self.num_bad_epochs += 1
        if self.in_cooldown:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._lower()
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0
        self._last_lr = self.current_rates()

    @property
    def in_cooldown(self) -> bool:
        """Whether a fall is so recent that nothing is counted."""
        return self.cooldown_counter > 0

    def _is_better(self, number: float) -> bool:
        sign = 1 if self.mode == "min" else -1
        if self.threshold_mode == "rel":
            bound = self.best * (1.0 - sign * self.threshold)
        else:
            bound = self.best - sign * self.threshold
        return sign * number < sign * bound

    def _lower(self) -> None:
        groups = self.optimizer.param_groups
        if len(groups) != len(self.min_lrs):
            if self.default_min_lr is None:
                raise RuntimeError(
                    f"min_lr was given for {len(self.min_lrs)} groups, the optimiser now has {len(groups)}; "
                    "add a rate for the new ones to `min_lrs`."
                )
            self.min_lrs = [self.default_min_lr] * len(groups)
        for group, least in zip(groups, self.min_lrs, strict=True):
            old = float(group["lr"])
            new = max(old * self.factor, least)
            if old - new > self.eps:
                set_number(group, "lr", new)

    def tail(self) -> Tail:
        """Level, as falls end at `min_lr` or when they get smaller than `eps`."""
        if min(self.min_lrs) > 0:
            return Tail("level", "the rate never falls below min_lr")
        if self.eps > 0:
            return Tail("level", f"falls smaller than eps = {self.eps} are left out, so the rate stays above 0")
        return Tail("unknown", "when the rate falls depends on the numbers that it is shown")
