"""What all learning-rate schedules share: when they act, what they remember, and the order of calls."""

from __future__ import annotations

import functools
import types
import warnings
from collections.abc import Callable
from typing import Any

from chainrule.autodiff.mode import no_grad
from chainrule.errors import TraceError
from chainrule.optim.lr_scheduler.robbins_monro import Tail, Verdict
from chainrule.optim.optimizer import Optimizer
from chainrule.state import current_state
from chainrule.tensor import Tensor

_ORDER = (
    "the schedule moved on before the optimiser took a step, so the first learning rate is skipped. "
    "Call optimizer.step() first, then scheduler.step()."
)
_EPOCH = "scheduler.step(epoch) is on its way out, in PyTorch too; call scheduler.step() once for each epoch."
_GET_LR = "get_lr() computes the next rates; the ones in use are given by get_last_lr()."


def outside_of_steps(step: Callable[..., None]) -> Callable[..., None]:
    """A schedule's `step` that raises a TraceError within a compiled function: it would act in the first call only."""

    @functools.wraps(step)
    def checked(self: Any, *args: Any, **kwargs: Any) -> None:
        if current_state().trace is not None:
            raise TraceError(
                f"{type(self).__name__}.step() within a compiled function: a schedule counts in Python, which runs "
                "while the function is traced, and not again. Call it after the compiled step, which reads the rates."
            )
        step(self, *args, **kwargs)

    return checked


class LRScheduler:
    """The base of all schedules. A subclass says in `rates` what the learning rates become.

    It acts on the optimiser's groups: `group["lr"]` is set, `group["initial_lr"]` keeps where it started. Constructing
    a schedule sets the rates of epoch 0; each `step()` goes on by one (an epoch or a batch, as you like).

    Attributes:
        optimizer: the optimiser whose rates are set.
        base_lrs: the rate of each group at the start, η₀.
        last_epoch: how many steps have been made; −1 before the first.

    Raises:
        TypeError: if the first argument is no optimiser.
        KeyError: if `last_epoch` is given but a group has no "initial_lr".
    """

    #: Whether `rates` sets them without looking at those in use, so that what other schedules did is lost.
    absolute = False
    _is_initial = False
    _get_lr_called_within_step = False

    def __init_subclass__(cls, **settings: Any) -> None:
        super().__init_subclass__(**settings)
        if "step" in cls.__dict__:
            cls.step = outside_of_steps(cls.step)  # type: ignore[method-assign]

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.optimizer = check_optimizer(optimizer)
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", float(group["lr"]))
            elif "initial_lr" not in group:
                raise KeyError(
                    f"last_epoch={last_epoch} means going on, but group {i} of the optimiser has no 'initial_lr'. Load "
                    "the optimiser's state first, or leave last_epoch out to start anew."
                )
        self.base_lrs = [float(group["initial_lr"]) for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._initial_step()

    def _initial_step(self) -> None:
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            self._is_initial = False

    # ---------------------------------------------------------------------------------------- moving on

    @outside_of_steps
    def step(self, epoch: int | None = None) -> None:
        """Go on to the next rates. Warns if the optimiser has not taken a step yet.

        `epoch` jumps to an epoch instead; it is on its way out.
        """
        known_step = type(self.optimizer).step is Optimizer.step
        if self._step_count == 1 and known_step and not self.optimizer.stepped:
            warnings.warn(_ORDER, UserWarning, stacklevel=2)
        if epoch is not None:
            warnings.warn(_EPOCH, UserWarning, stacklevel=2)
        self._step_count += 1
        self._update_lr(epoch)

    def _update_lr(self, epoch: int | None = None) -> None:
        self._get_lr_called_within_step = True
        try:
            if epoch is None:
                self.last_epoch += 1
                rates = self.get_lr()
            else:
                self.last_epoch = epoch
                rates = self.closed_form() or self.get_lr()
        finally:
            self._get_lr_called_within_step = False
        self._set_rates(rates)

    def _set_rates(self, rates: list[float]) -> None:
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            set_number(group, "lr", rate)
        self._last_lr = self.current_rates()

    # -------------------------------------------------------------------------------------------- rates

    def current_rates(self) -> list[float]:
        """The rates that the optimiser's groups have now."""
        return [float(group["lr"]) for group in self.optimizer.param_groups]

    def get_last_lr(self) -> list[float]:
        """The rates that the last step has set, one for each group."""
        return self._last_lr

    def get_lr(self) -> list[float]:
        """Compute the rates for `last_epoch`, mostly from those in use; `step` calls this."""
        if not self._get_lr_called_within_step:
            warnings.warn(_GET_LR, UserWarning, stacklevel=2)
        return self.rates()

    def rates(self) -> list[float]:
        """The rates for `last_epoch`; every schedule says them."""
        raise NotImplementedError(f"{type(self).__name__} does not say its rates().")

    def closed_form(self) -> list[float] | None:
        """The rates for `last_epoch` computed from the base rates alone; None where there is no such formula."""
        return None

    # ----------------------------------------------------------------------------------------- questions

    def satisfies_robbins_monro(self) -> Verdict:
        """Whether the rates, if the schedule went on for ever, had Σ αₙ = ∞ and Σ αₙ² < ∞.

        Answered by rule from the kind of schedule and its settings: true or false in a condition, with a `reason`.
        """
        return Verdict(self.tail())

    def tail(self) -> Tail:
        """How the rates behave in the long run."""
        return Tail("unknown", f"{type(self).__name__} does not say how its rates behave in the long run")

    # ------------------------------------------------------------------------------------ saving, loading

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimiser; functions that were given are left out, objects give their attributes."""
        return {name: value for name, value in self.__dict__.items() if name != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a saved state. Load the optimiser's too: it holds the rates."""
        self.__dict__.update(state_dict)


class Multiplying(LRScheduler):
    """Schedules that multiply the rates in use, so that several can act on one optimiser together."""

    def multiplier(self) -> float:
        """What the rates are multiplied by on entering `last_epoch`."""
        raise NotImplementedError(f"{type(self).__name__} does not say its multiplier().")

    def share(self) -> float:
        """What part of the base rate the rate is at `last_epoch`."""
        raise NotImplementedError(f"{type(self).__name__} does not say its share().")

    def rates(self) -> list[float]:
        """The rates in use times the multiplier."""
        multiplier = self.multiplier()
        return [rate * multiplier for rate in self.current_rates()]

    def closed_form(self) -> list[float]:
        """The base rates times the share."""
        share = self.share()
        return [base * share for base in self.base_lrs]


def check_optimizer(optimizer: Any) -> Optimizer:
    """The optimiser, or a TypeError."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"a schedule acts on an optimiser, got {type(optimizer).__name__}.")
    return optimizer


def set_number(group: dict[str, Any], name: str, number: float) -> None:
    """Set a setting; a tensor stays the same cell and is filled."""
    if isinstance(group[name], Tensor):
        with no_grad():
            group[name].fill_(number)
    else:
        group[name] = number


def for_each_group(name: str, optimizer: Optimizer, given: Any) -> list[Any]:
    """One value for each group: a list is taken as it is, anything else is repeated."""
    count = len(optimizer.param_groups)
    if not isinstance(given, (list, tuple)):
        return [given] * count
    if len(given) != count:
        raise ValueError(f"{name} has {len(given)} values, but the optimiser has {count} groups.")
    return list(given)


def remembered(function: Callable[..., Any] | None) -> dict[str, Any] | None:
    """What of a given function is saved: a callable object's attributes, of a plain function nothing."""
    if function is None or isinstance(function, types.FunctionType):
        return None
    return dict(function.__dict__)


def geometric(gamma: float, what: str) -> Tail:
    """The long run of rates that are multiplied by γ again and again."""
    if gamma == 1:
        return Tail("level", f"{what} by γ = 1 is none")
    return Tail("geometric" if abs(gamma) < 1 else "growing", f"{what} by γ = {gamma}")


def level(share: float, what: str) -> Tail:
    """The long run of rates that end at a share of the base rate and stay there."""
    return Tail("level", f"{what} and stays") if share > 0 else Tail("zero", f"{what}, which is 0, and stays")
