"""The net below the facts: now and then a call is traced again although all facts hold, and compared with its program.

What a step depends on can lie where Python code cannot be watched: behind a function written in C, in a file. So the
calls 2, 4, 8, … of every program are traced again, and after that as many as take a hundredth of the running time. That
trace takes the place of the call, so the user's code runs once. If it gives another program, that is an error.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

from chainrule.errors import StaleError

#: Up to this call all powers of two are compared.
EARLY = 64
SHARE = 0.01


class Net:
    """When a program is to be compared again.

    Attributes:
        calls: how often the program has been asked for, its first trace included.
        last_agreed: the last call in which a trace gave this program.
    """

    def __init__(self, seconds: float) -> None:
        self.calls, self.last_agreed = 1, 1
        self._cost, self._ran = seconds, 0.0

    def is_due(self, strict: bool) -> bool:
        """Count a call; whether it is to be compared."""
        self.calls += 1
        if strict:
            return True
        if self.calls <= EARLY:
            return self.calls & (self.calls - 1) == 0
        return self._ran * SHARE > self._cost

    def timed(self, run: Callable[..., Any], *arguments: Any) -> Any:
        """Run the program and count its time."""
        started = time.perf_counter()
        try:
            return run(*arguments)
        finally:
            self._ran += time.perf_counter() - started

    def agreed(self) -> None:
        """The trace of this call gave the same program."""
        self.last_agreed, self._ran = self.calls, 0.0


def stale(name: str, found: str, last_agreed: int, *, warn: bool) -> None:
    """Raise a StaleError, or warn of one."""
    text = (
        f"{name} no longer computes what its program does: {found}. It agreed last in call {last_agreed} of this "
        "program, and nothing that was watched has changed since, so what has changed cannot be watched. Pass it as an "
        "argument, or keep it in a tensor or an attribute."
    )
    if not warn:
        raise StaleError(text)
    warnings.warn(text, StaleWarning, stacklevel=4)


class StaleWarning(UserWarning):
    """With `on_stale="warn"`: a compiled function went on with a new program."""
