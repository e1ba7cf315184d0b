"""Locks that a fork finds free, so that the child can use what they protect.

A fork copies the memory and only the thread that forks. A lock that another thread holds would be held in the child
for ever, and what it protects would be half done: a step half traced, a machine-code compiler in the middle of
something. So the forking thread first waits for all of these locks; meanwhile no other thread takes one anew.

>>> lock = LockAcrossForks()
>>> with lock, lock:
...     pass
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import Any

#: How long a fork waits for one lock, in seconds; afterwards the child gets it free, whatever it protects.
PATIENCE = 10.0


class _Held(threading.local):
    """How many of these locks the thread holds."""

    count = 0


class LockAcrossForks:
    """A reentrant lock that forks wait for. While holding one, a thread takes only locks of a higher rank."""

    def __init__(self, rank: int = 0) -> None:
        self.lock = threading.RLock()
        _locks.setdefault(rank, weakref.WeakSet()).add(self)

    def __enter__(self) -> None:
        if not _no_fork.is_set() and not _held.count:
            _no_fork.wait(PATIENCE)
        self.lock.acquire()
        _held.count += 1

    def __exit__(self, *_: Any) -> None:
        _held.count -= 1
        self.lock.release()


def wait_for(lock: Any) -> None:
    """Let forks wait for a reentrant lock of another library too, after all of ours."""
    _others.append(lock)


_locks: dict[int, weakref.WeakSet[LockAcrossForks]] = {}
_others: list[Any] = []
_held = _Held()
_no_fork = threading.Event()
_no_fork.set()
_for_the_fork: list[Any] = []


def _all() -> list[Any]:
    return [entry.lock for rank in sorted(_locks) for entry in list(_locks[rank])] + _others


def _before() -> None:
    _no_fork.clear()
    _for_the_fork[:] = [lock for lock in _all() if lock.acquire(timeout=PATIENCE)]


def _in_parent() -> None:
    while _for_the_fork:
        _for_the_fork.pop().release()
    _no_fork.set()


def _in_child() -> None:
    global _no_fork
    free = {id(lock) for lock in _for_the_fork}
    while _for_the_fork:
        _for_the_fork.pop().release()
    for lock in _all():
        if id(lock) not in free:
            lock._at_fork_reinit()
    _no_fork = threading.Event()  # another thread may have been about to look at the old one
    _no_fork.set()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
