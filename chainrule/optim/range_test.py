"""The learning-rate range test: one short run with a growing rate shows which rates are worth trying."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chainrule.autodiff.mode import no_grad
from chainrule.figures import new_figure, write_figure
from chainrule.nn.module import Module
from chainrule.optim.lr_scheduler.base import set_number
from chainrule.optim.optimizer import Optimizer
from chainrule.random import get_rng_state, set_rng_state
from chainrule.tensor import Tensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass
class RangeTest:
    """What a range test found.

    Attributes:
        rates: the rates tried, growing.
        losses: the loss of the batch before each step.
        smoothed: a running mean of the losses, corrected for its start.
        suggestion: the rate at which the smoothed loss falls fastest with the logarithm of the rate, the first steps
            left out; None if it never falls. A maximum for a cyclic or one-cycle schedule lies somewhat above, where
            the curve is lowest.
    """

    rates: list[float]
    losses: list[float]
    smoothed: list[float]
    suggestion: float | None

    def draw_on(self, axes: Axes) -> None:
        """Draw losses over rates, the smoothed curve, and the suggestion."""
        axes.plot(self.rates, self.losses, color="0.8", linewidth=1)
        axes.plot(self.rates, self.smoothed, color="C0")
        if self.suggestion is not None:
            axes.axvline(self.suggestion, color="C3", linestyle="--", label=f"suggestion: {self.suggestion:.2g}")
            axes.legend()
        axes.set(xscale="log", xlabel="learning rate", ylabel="loss of the batch")

    def draw(self, path: str | Path) -> None:
        """Write the picture to a file."""
        figure = new_figure(6, 4, 120)
        self.draw_on(figure.add_subplot())
        write_figure(path, figure)


def learning_rate_range_test(
    model: Module,
    loss_function: Callable[[Tensor, Tensor], Tensor],
    batches: Iterable[tuple[Any, Tensor]],
    optimizer: Optimizer,
    *,
    low: float = 1e-6,
    high: float = 10.0,
    steps: int = 100,
    smoothing: float = 0.8,
    stop_factor: float = 4.0,
) -> RangeTest:
    """Train for some steps while the rate grows from `low` to `high` geometrically, and note the losses.

    It stops early when the smoothed loss is `stop_factor` times the least so far, or not finite. Afterwards weights,
    buffers, gradients, the optimiser and the random generator are what they were before.

    Args:
        model: the model, called with each batch's input.
        loss_function: (output, target) → loss.
        batches: pairs (input, target); gone through again and again if there are fewer than `steps`.
        optimizer: whose rule is used, with all its other settings.
        low: the first rate, above 0.
        high: the last one, above `low`.
        steps: how many, at least 2.
        smoothing: in [0, 1), how long the running mean remembers.
        stop_factor: see above.

    Raises ValueError for settings out of their range, and if there are no batches.

    Source: Smith, "Cyclical learning rates for training neural networks", 2017, section 3.3.
    """
    if not 0 < low < high:
        raise ValueError(f"0 < low < high, got {low} and {high}.")
    if steps < 2 or not 0 <= smoothing < 1:
        raise ValueError(f"steps is at least 2 and smoothing in [0, 1), got {steps} and {smoothing}.")
    put_back = _remember(model, optimizer)
    rates: list[float] = []
    losses: list[float] = []
    smoothed: list[float] = []
    mean = 0.0
    try:
        model.train()
        for i, (x, target) in zip(range(steps), _endless(batches)):
            rates.append(low * (high / low) ** (i / (steps - 1)))
            for group in optimizer.param_groups:
                set_number(group, "lr", rates[-1])
            optimizer.zero_grad()
            loss = loss_function(model(x), target)
            losses.append(loss.item())
            mean = smoothing * mean + (1 - smoothing) * losses[-1]
            smoothed.append(mean / (1 - smoothing ** (i + 1)))
            if not math.isfinite(mean) or smoothed[-1] > stop_factor * min(smoothed):
                break
            loss.backward()
            optimizer.step()
    finally:
        put_back()
    return RangeTest(rates, losses, smoothed, _steepest(rates, smoothed, smoothing))


def _endless(batches: Iterable[Any]) -> Iterable[Any]:
    for turn in itertools.count():
        empty = True
        for batch in batches:
            empty = False
            yield batch
        if empty:
            raise ValueError("the range test got no batches" if turn == 0 else "the batches can be read only once.")


def _remember(model: Module, optimizer: Optimizer) -> Callable[[], None]:
    """A function that puts everything back as it is now."""
    tensors = [(t, t.detach_copy()) for t in (*model.parameters(), *model.buffers())]
    gradients = [(p, p.kept_grad) for p in model.parameters()]
    modes = [(module, module.training) for module in model.modules()]
    rates = [float(group["lr"]) for group in optimizer.param_groups]
    state = {p: copy.deepcopy(entries) for p, entries in optimizer.state.items()}
    stepped, generator = optimizer.stepped, get_rng_state()
    for p, _ in gradients:
        p.grad = None  # a cell of its own during the test: what was collected before is not written to

    def put_back() -> None:
        with no_grad():
            for t, value in tensors:
                t.copy_(value)
        for p, gradient in gradients:
            p.grad = gradient
        for module, training in modes:
            module.training = training
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            set_number(group, "lr", rate)
        optimizer.state.clear()
        optimizer.state.update(state)
        optimizer.stepped = stepped
        set_rng_state(generator)

    return put_back


def _steepest(rates: list[float], smoothed: list[float], smoothing: float) -> float | None:
    """Where the smoothed loss falls fastest; all rates are the same factor apart, so differences will do.

    Batches differ, and so does their loss, whatever the rate is. That noise is largest at the start, where the running
    mean has seen few batches and the rates are too small to do anything: twice the mean's memory of steps is skipped.
    And a fall is counted over the memory, not from one step to the next, so that one lucky batch does not decide.
    """
    memory = max(1, min(round(1 / (1 - smoothing)), len(smoothed) // 4))
    skipped = min(2 * memory, len(smoothed) // 4)
    falls = [
        (smoothed[i + memory] - smoothed[i], rates[i + memory // 2]) for i in range(skipped, len(smoothed) - memory)
    ]
    falling = [pair for pair in falls if pair[0] < 0]
    return min(falling)[1] if falling else None
