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


class Wrong:
    """What rules have found wrong so far, while a program is written down.

    Truth values of any shape are taken, which XLA brings down to a single one where that is asked for: those of one
    size at once, since each sum or the like of few entries costs XLA as much as one of many.
    """

    def __init__(self) -> None:
        self._waiting: dict[int, Any] = {}
        self._found: Any = None

    def add(self, truths: Any) -> None:
        """Something is wrong where one of these is true."""
        row = truths.reshape(-1)
        known = self._waiting.get(row.size)
        self._waiting[row.size] = row if known is None else known | row

    def so_far(self) -> Any:
        """Whether something is wrong: a single truth value, the same one as long as nothing is added; None: never."""
        for row in self._waiting.values():
            found = row[0] if row.size == 1 else row.any()
            self._found = found if self._found is None else self._found | found
        self._waiting.clear()
        return self._found


class Run(NamedTuple):
    """What rules share while a program is written down for XLA.

    Attributes:
        zero: a whole number that is 0 in each run, which XLA does not know: see `exact`.
        wrong: whether a rule has met numbers that it cannot use.
    """

    zero: Any
    wrong: Wrong


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
    """Say that numbers are wrong if one of these truth values, not known yet, turns out to be true."""
    _current.get().wrong.add(wrong)


def zero() -> Any:
    """The 0 that XLA does not know to be one."""
    return _current.get().zero
