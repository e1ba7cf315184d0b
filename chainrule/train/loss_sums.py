"""The loss over an epoch, for the history: its mean over samples, and those of its parts if it is a `WeightedSum`."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator
from typing import Any

from chainrule.nn.losses.generative import WeightedSum
from chainrule.nn.module import Module


def weighted_sums(loss: Callable[..., Any]) -> list[WeightedSum]:
    """The weighted sums that a loss is made of: those within a module, or those that a function uses by name.

    >>> from chainrule import nn
    >>> total = nn.WeightedSum(size=0.1)
    >>> weighted_sums(lambda output, target: total(fit=(output - target).square().mean(), size=output.abs().mean()))
    [WeightedSum(size=0.1)]
    """
    found: dict[int, WeightedSum] = {}
    for module in _modules(loss):
        found |= {id(part): part for part in module.modules() if isinstance(part, WeightedSum)}
    return list(found.values())


def _modules(loss: Any) -> Iterator[Module]:
    owner = getattr(loss, "__self__", None)
    function = getattr(loss, "func", loss)  # of a functools.partial
    for thing in (loss, owner, *getattr(loss, "args", ()), *getattr(loss, "keywords", {}).values()):
        if isinstance(thing, Module):
            yield thing
    if inspect.isfunction(function) or inspect.ismethod(function):
        names = inspect.getclosurevars(function)
        yield from (
            thing for thing in (*names.nonlocals.values(), *names.globals.values()) if isinstance(thing, Module)
        )


class LossSum:
    """The sum of losses over samples: a smaller batch counts for as many as it has."""

    def __init__(self, total: float = 0.0, count: int = 0) -> None:
        self.total, self.count = total, count

    def add(self, mean: float, size: int) -> None:
        """Take in the loss of a batch of so many samples."""
        self.total += mean * size
        self.count += size

    def mean(self) -> float:
        """The mean over samples; NaN if there were none."""
        return self.total / self.count if self.count else math.nan


class LossParts:
    """Sums of the parts over samples, by name: as the loss itself is summed."""

    def __init__(self, loss: Callable[..., Any], sums: dict[str, list[float]] | None = None) -> None:
        self.modules = weighted_sums(loss)
        self.sums = {name: list(pair) for name, pair in (sums or {}).items()}

    def reset(self) -> None:
        """Begin an epoch."""
        self.sums = {}

    def add(self, size: int) -> None:
        """Take in the parts of a batch, whose loss was just computed."""
        for module in self.modules:
            for name, part in module.parts.items():
                total, count = self.sums.get(name, (0.0, 0))
                self.sums[name] = [total + part.item() * size, count + size]

    def means(self) -> dict[str, float]:
        """The mean of each part, as `loss_<name>`, before it is weighted."""
        return {f"loss_{name}": total / count if count else math.nan for name, (total, count) in self.sums.items()}
