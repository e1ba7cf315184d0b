"""Working memory, lent to a program for one run.

Nothing that a program computes on its way is looked at after the run: results have memory of their own, cells their
homes. So programs that never run at the same time work in the same memory: those of one function, or of one thread.
What is free is kept only as long as some program has last worked in it, and the largest is taken first, so that the
smaller ones are forgotten.

>>> one = borrow(100_000)
>>> give_back(one)
>>> borrow(90_000) is one
True
"""

from __future__ import annotations

import weakref

from chainrule.backends.memory import SLACK, aligned
from chainrule.forking import LockAcrossForks

#: A program that needs no more bytes than this has them for itself.
FEW = 2**16


class Arena:
    """A piece of memory.

    Attributes:
        size: in bytes.
        memory: the bytes, and some more.
        address: where they begin.
    """

    __slots__ = ("__weakref__", "address", "memory", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self.memory = aligned(size + SLACK, 4096 if size > FEW else 64)
        self.address = int(self.memory.ctypes.data)


_free: list[weakref.ref[Arena]] = []
_lock = LockAcrossForks(rank=3)


def borrow(size: int) -> Arena:
    """Memory of at least so many bytes that nobody else has now; what is in it is anything."""
    with _lock:
        free = [arena for known in _free if (arena := known()) is not None]
        arena = max(free, key=lambda arena: arena.size, default=None)
        if arena is None or arena.size < size:
            arena = Arena(size)
        _free[:] = [weakref.ref(other) for other in free if other is not arena]
    return arena


def give_back(arena: Arena) -> None:
    """Others may have it."""
    with _lock:
        _free.append(weakref.ref(arena))
