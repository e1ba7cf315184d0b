"""Python's collector of garbage, kept from looking where it finds nothing: through what stays.

While a program is made some hundred thousand objects are, nearly all of which stay; every time their number has grown
by some, the collector would look through all there are, a third of the time. In a long training it would walk over
model, data and libraries again and again.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: After so many steps what is there stays. Counting what is frozen walks over it, which would take a short run longer.
SETTLED = 20

_lock = threading.Lock()
_waiting = 0
_was_enabled = False


@contextmanager
def collector_waits() -> Iterator[None]:
    """Within this nothing is collected by itself, in any thread; afterwards it is as it was.

    >>> with collector_waits():
    ...     gc.isenabled()
    False
    >>> gc.isenabled()
    True
    """
    global _waiting, _was_enabled
    with _lock:
        if not _waiting:
            _was_enabled = gc.isenabled()
            gc.disable()
        _waiting += 1
    try:
        yield
    finally:
        with _lock:
            _waiting -= 1
            if not _waiting and _was_enabled:
                gc.enable()


@contextmanager
def collector_passes_by() -> Iterator[Callable[[], None]]:
    """Within this, to be called after each step: from some step on the collector passes by what is there then.

    Where something is frozen already, the program sees to it itself, and nothing is done.

    >>> with collector_passes_by() as after_step:
    ...     for _ in range(SETTLED):
    ...         after_step()
    ...     gc.get_freeze_count() > 0
    True
    """
    steps, frozen = 0, False

    def after_step() -> None:
        nonlocal steps, frozen
        steps += 1
        if steps == SETTLED and not gc.get_freeze_count():
            gc.freeze()
            frozen = True

    try:
        yield after_step
    finally:
        if frozen:
            gc.unfreeze()
