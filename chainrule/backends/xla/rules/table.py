"""The table that the other files here fill: for each primitive what it is in JAX."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

from chainrule.primitives.primitive import Primitive

#: A function of JAX's arrays and of the primitive's settings, as the primitive's own `evaluate` is of NumPy's.
Rule = Callable[..., Any]

RULES: dict[type[Primitive], Rule] = {}


def enter(rules: Mapping[type[Primitive], Rule]) -> None:
    """Enter rules into the table."""
    RULES.update(rules)


def rule(primitive: type[Primitive]) -> Callable[[Rule], Rule]:
    """Enter a function into the table (a decorator)."""

    def entered(function: Rule) -> Rule:
        RULES[primitive] = function
        return function

    return entered


class Run(NamedTuple):
    """What rules share while a program is written down for XLA.

    Attributes:
        zero: a whole number that is 0 in each run, which XLA does not know: see `exact`.
        wrong: truth values that say whether a rule has met numbers that it cannot use.
    """

    zero: Any
    wrong: list[Any]


_current: ContextVar[Run] = ContextVar("the program being written down for XLA")


@contextmanager
def running(run: Run) -> Iterator[Run]:
    """Rules used within the block belong to this run."""
    token = _current.set(run)
    try:
        yield run
    finally:
        _current.reset(token)


def report(wrong: Any) -> None:
    """Say that numbers are wrong where this (one truth value, not known yet) turns out to be true."""
    _current.get().wrong.append(wrong)


def zero() -> Any:
    """The 0 that XLA does not know to be one."""
    return _current.get().zero
