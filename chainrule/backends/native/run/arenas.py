"""Working memory, lent to a program for one run.

Nothing that a program computes on its way is looked at after the run: results have memory of their own, cells their
homes. So programs that never run at the same time work in the same memory: those of one function, or of one thread.
What is free is kept only as long as some program has last worked in it. The largest is taken; if that is too small, all
of them are let go for one that is large enough, and a quarter larger: memory that is never touched costs nothing, and
another size of a step then works in the same place, whose pages the system has filled with zeros already.

>>> one = borrow(100_000)
>>> give_back(one)
>>> borrow(90_000) is one
True
"""

from __future__ import annotations

import weakref

from chainrule.backends.memory import SLACK, address_of, aligned
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
        self.address = address_of(self.memory)

    def let_go(self) -> None:
        """Keep no memory any more; nobody may work in it."""
        self.memory, self.size, self.address = self.memory[:0].copy(), 0, 0


_free: list[weakref.ref[Arena]] = []
_lock = LockAcrossForks(rank=4)


def borrow(size: int) -> Arena:
    """Memory of at least so many bytes that nobody else has now; what is in it is anything."""
    with _lock:
        free = [arena for known in _free if (arena := known()) is not None]
        arena = max(free, key=lambda arena: arena.size, default=None)
        if arena is None or arena.size < size:
            for small in free:
                small.let_go()
            free, arena = [], Arena(size + size // 4)
        _free[:] = [weakref.ref(other) for other in free if other is not arena]
    return arena


def give_back(arena: Arena) -> None:
    """Others may have it."""
    with _lock:
        _free.append(weakref.ref(arena))
