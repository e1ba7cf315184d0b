"""Stopping a run from outside, at a moment when nothing is half done."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class LeftAtOnce(KeyboardInterrupt):
    """Who asked for the third time: whatever is half done stays so, and is not saved."""


class _Held:
    """How often it was asked to stop, and what then happens."""

    current: _Held | None = None

    def __init__(self) -> None:
        self.asked = 0

    def note(self, *_: object) -> None:
        self.asked += 1
        if self.asked == 2:  # written past Python's streams, which may be in the middle of a line
            os.write(2, b"\nstopping after this step; once more leaves at once, without saving\n")
        if self.asked >= 3:
            raise LeftAtOnce

    def stop_if_asked(self) -> None:
        if self.asked:
            raise KeyboardInterrupt


@contextmanager
def hold_interrupts() -> Iterator[Callable[[], None]]:
    """Hold back Ctrl-C (SIGINT) and SIGTERM until the function that this gives is called.

    Called after one of them came, it raises KeyboardInterrupt; otherwise it does nothing. So neither a step nor a file
    is left half done. Who asks a second time waits too; who asks a third time is not held back: `LeftAtOnce`, a
    KeyboardInterrupt, is raised wherever the program is, and what is then half done should not be saved.

    Within itself it counts on. Signals reach the main thread only; in another one nothing is held back.

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
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    if _Held.current is not None:
        yield _Held.current.stop_if_asked
        return
    held = _Held.current = _Held()
    before = {number: signal.signal(number, held.note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield held.stop_if_asked
    finally:
        _Held.current = None
        for number, handler in before.items():
            signal.signal(number, handler)
