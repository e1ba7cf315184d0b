"""What a search may choose from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class Float(NamedTuple):
    """A number between low and high; `log` draws its logarithm evenly, `step` keeps to a grid.

    >>> Float(1e-5, 1e-1, log=True)
    Float(low=1e-05, high=0.1, log=True, step=None)
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None


class Int(NamedTuple):
    """A whole number from low to high, both included."""

    low: int
    high: int
    log: bool = False
    step: int = 1


class Choice(NamedTuple):
    """One of several numbers, strings or booleans."""

    options: Sequence[Any]


Space = Mapping[str, Float | Int | Choice | Any]


def check_space(space: Space) -> None:
    """Raise ValueError for a space that nothing can be drawn from; anything else in it is taken as a fixed value."""
    for name, domain in space.items():
        if isinstance(domain, Float | Int):
            if not domain.low <= domain.high:
                raise ValueError(f"{name}: low is at most high, got {domain.low} and {domain.high}.")
            if domain.log and domain.low <= 0:
                raise ValueError(f"{name}: logarithms need low above 0, got {domain.low}.")
            if isinstance(domain, Float) and domain.log and domain.step is not None:
                raise ValueError(f"{name}: a logarithmic number has no step.")
        elif isinstance(domain, Choice) and not domain.options:
            raise ValueError(f"{name}: a choice has at least one option.")


def suggest(trial: Any, space: Space) -> dict[str, Any]:
    """The settings of a trial of Optuna's."""
    settings: dict[str, Any] = {}
    for name, domain in space.items():
        if isinstance(domain, Float):
            settings[name] = trial.suggest_float(name, domain.low, domain.high, log=domain.log, step=domain.step)
        elif isinstance(domain, Int):
            settings[name] = trial.suggest_int(name, domain.low, domain.high, log=domain.log, step=domain.step)
        elif isinstance(domain, Choice):
            settings[name] = trial.suggest_categorical(name, list(domain.options))
        else:
            settings[name] = domain
    return settings


def grid_of(space: Space, points: int) -> dict[str, list[Any]]:
    """The values that a grid search tries: all options, and for a range at most so many, evenly spaced.

    >>> grid_of({"rate": Float(0.01, 1.0, log=True), "size": Int(1, 3), "kind": Choice(["a", "b"])}, 3)
    {'rate': [0.01, 0.1, 1.0], 'size': [1, 2, 3], 'kind': ['a', 'b']}
    """
    import numpy as np

    grid: dict[str, list[Any]] = {}
    for name, domain in space.items():
        if isinstance(domain, Choice):
            grid[name] = list(domain.options)
        elif isinstance(domain, Float):
            if domain.step is not None:
                values = np.arange(domain.low, domain.high + domain.step / 2, domain.step)
            else:
                values = (np.geomspace if domain.log else np.linspace)(domain.low, domain.high, points)
            grid[name] = [float(f"{value:.12g}") for value in values]
        elif isinstance(domain, Int):
            allowed = np.arange(domain.low, domain.high + 1, domain.step)
            chosen = np.unique(np.linspace(0, len(allowed) - 1, points).round().astype(int))
            grid[name] = [int(value) for value in allowed[chosen]]
    return grid
