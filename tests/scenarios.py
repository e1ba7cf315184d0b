"""Scenarios: small stories of a step and what changes between its calls, told twice with fresh objects.

A scenario is a function of `prepare`, which gives the step as it is or compiled, and of `log`, which calls something and
notes what came of it, errors too. Both times the same must have been noted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import chainrule
from tests.changes import plain, same

Log = Callable[..., Any]
Scenario = Callable[[Any, Log], None]


class Scenarios(list[Scenario]):
    """Those of a file; as a decorator it takes in one more."""

    def __call__(self, scenario: Scenario) -> Scenario:
        self.append(scenario)
        return scenario


def x() -> Any:
    """Three numbers, for a step to compute with."""
    return chainrule.tensor([1.0, 2.0, 3.0])


def outcome(scenario: Scenario, prepare: Any) -> list[Any]:
    """What was noted."""
    found: list[Any] = []

    def log(run: Any, *given: Any) -> None:
        try:
            found.append(plain(run(*given) if callable(run) else run))
        except (ArithmeticError, LookupError, AttributeError, TypeError) as error:
            found.append((type(error).__name__, str(error)))

    chainrule.manual_seed(0)
    scenario(prepare, log)
    return found


def agree(scenario: Scenario) -> None:
    """Compiled, the step does what it does as it is."""
    eager, compiled = (outcome(scenario, prepare) for prepare in (lambda step: step, chainrule.compile))
    assert len(eager) == len(compiled)
    for call, (expected, have) in enumerate(zip(eager, compiled, strict=True)):
        assert same(expected, have), f"call {call}: eager {expected}, compiled {have}"
