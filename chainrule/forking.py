"""Locks that a fork finds free, so that the child can use what they protect.

A fork copies the memory and only the thread that forks. A lock that another thread holds would be held in the child
for ever, and what it protects would be half done: a step half traced, a machine-code compiler in the middle of
something. So the forking thread first waits for all of these locks.

>>> lock = lock_across_forks()
>>> with lock:
...     pass
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import Any

#: How long a fork waits for one lock, in seconds; afterwards the child gets it free, whatever it protects.
PATIENCE = 10.0

#: The locks by rank: a thread that holds one only waits for others of a higher rank.
_locks: dict[int, weakref.WeakSet[Any]] = {}
_held: list[Any] = []


def lock_across_forks(rank: int = 0) -> Any:
    """A reentrant lock that forks wait for. While holding it, a thread takes only locks of a higher rank."""
    lock = threading.RLock()
    _locks.setdefault(rank, weakref.WeakSet()).add(lock)
    return lock


def _all() -> list[Any]:
    return [lock for rank in sorted(_locks) for lock in list(_locks[rank])]


def _before() -> None:
    _held[:] = [lock for lock in _all() if lock.acquire(timeout=PATIENCE)]


def _in_parent() -> None:
    while _held:
        _held.pop().release()


def _in_child() -> None:
    free = {id(lock) for lock in _held}
    _in_parent()
    for lock in _all():
        if id(lock) not in free:
            lock._at_fork_reinit()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
