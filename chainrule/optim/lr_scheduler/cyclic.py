"""Schedules that go up and down, and move the momentum the other way: cycles, and one single cycle."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from chainrule.optim.lr_scheduler.base import LRScheduler, check_optimizer, for_each_group, remembered, set_number
from chainrule.optim.lr_scheduler.robbins_monro import Tail
from chainrule.optim.optimizer import Optimizer


class _CyclingMomentum(LRScheduler):
    """Schedules that move the momentum (or β₁) too: low where the rate is high."""

    absolute = True
    cycle_momentum: bool
    use_beta1: bool

    def _prepare_momentum(self, base: Any, largest: Any, start: bool) -> tuple[list[float], list[float]]:
        """The bounds for each group; at the start of training the momentum is put to the upper one."""
        optimizer = self.optimizer
        if not {"momentum", "betas"} & set(optimizer.defaults):
            raise ValueError(
                f"cycle_momentum needs an optimiser with a momentum or betas, {type(optimizer).__name__} has neither; "
                "use cycle_momentum=False."
            )
        self.use_beta1 = "betas" in optimizer.defaults
        lower = for_each_group("base_momentum", optimizer, base)
        upper = for_each_group("max_momentum", optimizer, largest)
        if start:
            for group, low, high in zip(optimizer.param_groups, lower, upper, strict=True):
                self._set_momentum(group, high)
                group["max_momentum"], group["base_momentum"] = high, low
        return lower, upper

    def _set_momentum(self, group: dict[str, Any], momentum: float) -> None:
        if self.use_beta1:
            group["betas"] = (momentum, *group["betas"][1:])
        else:
            group["momentum"] = momentum


class CyclicLR(_CyclingMomentum):
    """The rate goes up and down along lines between two bounds; the momentum the other way.

    With c the number of the cycle (from 1) and x in [0, 1] the height within it,

        ηₙ = base_lr + (max_lr − base_lr)·x·scale

    where scale is 1 ("triangular"), 1/2^(c−1) ("triangular2") or γⁿ ("exp_range").

    Args:
        optimizer: whose rates are set.
        base_lr: the lower bound; or a list, one for each group.
        max_lr: the upper bound of the first cycle; or a list.
        step_size_up: how many steps the way up takes.
        step_size_down: the same for the way down; as the way up if left out.
        mode: how the height of cycles goes, see above.
        gamma: γ.
        scale_fn: a function in place of `mode`,
        scale_mode: of the number of the "cycle", or of the "iterations" n.
        cycle_momentum: whether the momentum (or β₁) moves.
        base_momentum: the lower bound of the momentum; or a list.
        max_momentum: the upper one, where it starts; or a list.
        last_epoch: the step to go on from.

    Source: Smith, "Cyclical learning rates for training neural networks", 2017.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | list[float],
        max_lr: float | list[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float = 0.8,
        max_momentum: float = 0.9,
        last_epoch: int = -1,
    ) -> None:
        if mode not in ("triangular", "triangular2", "exp_range") and scale_fn is None:
            raise ValueError(f'mode is "triangular", "triangular2" or "exp_range", or give scale_fn; got {mode!r}.')
        self.optimizer = check_optimizer(optimizer)
        base_lrs = for_each_group("base_lr", optimizer, base_lr)
        if last_epoch == -1:
            for group, rate in zip(optimizer.param_groups, base_lrs, strict=True):
                set_number(group, "lr", rate)
        self.max_lrs = for_each_group("max_lr", optimizer, max_lr)
        down = step_size_up if step_size_down is None else step_size_down
        self.total_size = float(step_size_up + down)
        self.step_ratio = step_size_up / self.total_size
        self.mode = mode
        self.gamma = gamma
        self._scale_fn_custom = scale_fn
        built_in = "iterations" if mode == "exp_range" else "cycle"
        self.scale_mode = built_in if scale_fn is None else scale_mode
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            bounds = self._prepare_momentum(base_momentum, max_momentum, start=last_epoch == -1)
            self.base_momentums, self.max_momentums = bounds
        super().__init__(optimizer, last_epoch)
        self.base_lrs = base_lrs

    def scale_fn(self, x: float) -> float:
        """The height of a cycle: of the number of the cycle, or of the step, as `scale_mode` says."""
        if self._scale_fn_custom is not None:
            return self._scale_fn_custom(x)
        return {"triangular": 1.0, "triangular2": 0.5 ** (x - 1), "exp_range": self.gamma**x}[self.mode]

    def rates(self) -> list[float]:
        """The formula; sets the momenta too."""
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        x = 1.0 + self.last_epoch / self.total_size - cycle
        height = x / self.step_ratio if x <= self.step_ratio else (x - 1) / (self.step_ratio - 1)
        height *= self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            bounds = zip(self.optimizer.param_groups, self.base_momentums, self.max_momentums, strict=True)
            for group, low, high in bounds:
                self._set_momentum(group, high - (high - low) * height)
        return [low + (high - low) * height for low, high in zip(self.base_lrs, self.max_lrs, strict=True)]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimiser and a plain function."""
        return {**super().state_dict(), "_scale_fn_custom": remembered(self._scale_fn_custom)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a saved state; a function is that given to the constructor."""
        super().load_state_dict({name: value for name, value in state_dict.items() if name != "_scale_fn_custom"})
        attributes = state_dict["_scale_fn_custom"]
        if attributes is not None and self._scale_fn_custom is not None:
            self._scale_fn_custom.__dict__.update(attributes)

    def tail(self) -> Tail:
        """Never below the lower bound; with 0 as that, as the heights of cycles."""
        if min(self.base_lrs) > 0:
            return Tail("level", "the rate never falls below base_lr")
        if self._scale_fn_custom is not None:
            return Tail("unknown", "the height of cycles is a function of yours")
        shrinking = self.mode == "triangular2" or (self.mode == "exp_range" and self.gamma < 1)
        if shrinking:
            return Tail("geometric", "base_lr is 0 and every cycle is lower by a factor")
        return Tail("level", "every cycle returns to max_lr")


class OneCycleLR(_CyclingMomentum):
    """One cycle for the whole of training: up from max_lr/div_factor, down to far below it; the momentum inversely.

    The way up takes `pct_start` of all steps. Very large rates in the middle regularise and save time
    ("super-convergence").

    Args:
        optimizer: whose rates are set.
        max_lr: the highest rate; or a list, one for each group.
        total_steps: how many steps training has; or give
        epochs, steps_per_epoch: both.
        pct_start: the share of steps on the way up, in [0, 1].
        anneal_strategy: along a cosine, "cos", or a line, "linear".
        cycle_momentum: whether the momentum (or β₁) moves.
        base_momentum: the momentum at the highest rate; or a list.
        max_momentum: the momentum at the start and the end; or a list.
        div_factor: the first rate is max_lr/div_factor,
        final_div_factor: the last one that divided by this.
        three_phase: go down to the first rate as fast as up, and to the last one in a phase of its own.
        last_epoch: the step to go on from.

    Raises ValueError for settings out of their range, and when stepped beyond `total_steps`.

    Source: Smith and Topin, "Super-convergence", 2018.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        self.optimizer = check_optimizer(optimizer)
        self.total_steps = _count_steps(total_steps, epochs, steps_per_epoch)
        if not isinstance(pct_start, float) or not 0 <= pct_start <= 1:
            raise ValueError(f"pct_start is a fraction (float) in [0, 1], got {pct_start!r}.")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f'anneal_strategy is "cos" or "linear", got {anneal_strategy!r}.')
        self._anneal_func_type = anneal_strategy
        self._schedule_phases = _phases(pct_start * self.total_steps, self.total_steps, three_phase)
        if last_epoch == -1:
            for group, rate in zip(optimizer.param_groups, for_each_group("max_lr", optimizer, max_lr), strict=True):
                group["initial_lr"] = rate / div_factor
                group["max_lr"] = rate
                group["min_lr"] = group["initial_lr"] / final_div_factor
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self._prepare_momentum(base_momentum, max_momentum, start=last_epoch == -1)
        super().__init__(optimizer, last_epoch)

    def rates(self) -> list[float]:
        """The point between the two ends of the present phase; sets the momenta too."""
        if self.last_epoch > self.total_steps:
            raise ValueError(
                f"step {self.last_epoch} of a cycle of {self.total_steps}: is total_steps (or epochs · "
                "steps_per_epoch) the number of all calls of scheduler.step()?"
            )
        start = 0.0
        for phase in self._schedule_phases:
            if self.last_epoch <= phase["end_step"]:
                break
            if phase is not self._schedule_phases[-1]:
                start = phase["end_step"]
        share = (self.last_epoch - start) / (phase["end_step"] - start)
        rates = []
        for group in self.optimizer.param_groups:
            rates.append(self._between(group[phase["start_lr"]], group[phase["end_lr"]], share))
            if self.cycle_momentum:
                momentum = self._between(group[phase["start_momentum"]], group[phase["end_momentum"]], share)
                self._set_momentum(group, momentum)
        return rates

    def _between(self, start: float, end: float, share: float) -> float:
        if self._anneal_func_type == "cos":
            return end + (start - end) / 2.0 * (1 + math.cos(math.pi * share))
        return (end - start) * share + start

    def tail(self) -> Tail:
        """It ends."""
        return Tail("zero", f"there are {self.total_steps} steps and no more")


def _count_steps(total_steps: int | None, epochs: int | None, steps_per_epoch: int | None) -> int:
    if total_steps is None and (epochs is None or steps_per_epoch is None):
        raise ValueError("OneCycleLR needs total_steps, or epochs and steps_per_epoch.")
    given = {"total_steps": total_steps}
    if total_steps is None:
        given = {"epochs": epochs, "steps_per_epoch": steps_per_epoch}
    count = 1
    for name, value in given.items():
        if not isinstance(value, int) or value <= 0:
            raise ValueError(f"{name} is a whole number above 0, got {value!r}.")
        count *= value
    return count


def _phases(rise: float, total: int, three_phase: bool) -> list[dict[str, Any]]:
    """Where each phase ends, and between which rates and momenta of a group it leads."""

    def phase(end: float, *names: str) -> dict[str, Any]:
        return {"end_step": end, **dict(zip(("start_lr", "end_lr", "start_momentum", "end_momentum"), names))}

    up = phase(rise - 1, "initial_lr", "max_lr", "max_momentum", "base_momentum")
    if not three_phase:
        return [up, phase(total - 1, "max_lr", "min_lr", "base_momentum", "max_momentum")]
    down = phase(2 * rise - 2, "max_lr", "initial_lr", "base_momentum", "max_momentum")
    return [up, down, phase(total - 1, "initial_lr", "min_lr", "max_momentum", "max_momentum")]
