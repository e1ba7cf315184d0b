"""Stopping a run from outside, at a moment when nothing is half done."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def hold_interrupts() -> Iterator[Callable[[], None]]:
    """Hold back Ctrl-C (SIGINT) and SIGTERM until the function that this gives is called.

    Called after one of them came, it raises KeyboardInterrupt; otherwise it does nothing. So neither a step nor a file
    is left half done. Who asks a second time is not held back. Only the main thread may use it.

    >>> with hold_interrupts() as stop_if_asked:
    ...     stop_if_asked()
    ...     signal.raise_signal(signal.SIGTERM)
    ...     print("still here")
    ...     try:
    ...         stop_if_asked()
    ...     except KeyboardInterrupt:
    ...         print("stopped")
    still here
    stopped
    """
    asked = False

    def note(*_: object) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    def stop_if_asked() -> None:
        if asked:
            raise KeyboardInterrupt

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop_if_asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
