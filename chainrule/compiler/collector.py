"""Python's collector of garbage waits while a program is made.

Tracing and lowering make some hundred thousand objects, nearly all of which stay. Every time their number has grown by
some, the collector would look through all there are, and find nothing: that took a third of the time.

>>> import gc
>>> with collector_waits():
...     gc.isenabled()
False
>>> gc.isenabled()
True
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_waiting = 0
_was_enabled = False


@contextmanager
def collector_waits() -> Iterator[None]:
    """Within this nothing is collected by itself, in any thread; afterwards it is as it was."""
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
