"""Where a cell lives: memory of its own, in one layout, shared by all programs that use the cell.

A program does not copy a parameter: it binds the address of the parameter's home. The first program that cares chooses
how the entries lie (`order`), later ones take that; only one that must have another order gets a home of its own. All
homes that a cell ever has are guarded by one lock, so that no thread copies from one while another writes there.
"""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.backends.memory import SLACK, address_of, aligned, has_room, ordered_strides
from chainrule.forking import LockAcrossForks
from chainrule.primitives.value import Array, DataType, Shape, Value


class Home:
    """The memory of a cell, and the value that shows it.

    Args:
        shape, dtype: of the cell.
        order: the dimensions from far apart to close together in memory.
        apart: whether rows that would meet in the same sets of a cache lie a little further apart.

    Attributes:
        strides, size: how the entries lie, counted in entries; gaps are part of the size.
        array: the entries.
        address: where they begin.
        value: the Value that shows the array, or None.
        holders: how many hold the memory if nobody looks at the array.
    """

    __slots__ = (
        "__weakref__", "address", "apart", "array", "dtype", "holders", "order", "owner", "shape", "size", "strides",
        "value",
    )  # fmt: skip

    def __init__(self, shape: Shape, dtype: DataType, order: Shape, apart: bool = True) -> None:
        self.shape, self.dtype, self.order, self.apart = shape, dtype, order, apart
        self.strides, self.size = ordered_strides(shape, order, dtype.itemsize if apart else 0)
        self.array: Array = np.zeros(0)
        self.address = 0
        self.owner: Any = None
        self.holders = 0
        self.value: Value | None = None

    def fits(self, shape: Shape, dtype: DataType) -> bool:
        """Whether the home is for cells of this form."""
        return self.shape == tuple(shape) and self.dtype == dtype

    def renew(self) -> None:
        """Take fresh memory: somebody else still looks at the old."""
        size = self.size * self.dtype.itemsize
        memory = aligned(size + 2 * SLACK)
        if not has_room(memory[:size]):  # eager code reads it too
            memory = memory[SLACK:]
        entries = memory[:size].view(self.dtype)
        self.array = np.ndarray(self.shape, self.dtype, entries, 0, [s * self.dtype.itemsize for s in self.strides])
        self.address = address_of(self.array)
        self.value = None
        # Every view of the array refers to the memory at the bottom, so its count tells who looks.
        self.owner = memory.base
        del entries, memory
        self.holders = sys.getrefcount(self.owner)

    def fill(self, array: Any) -> None:
        """Take in entries."""
        self.array[...] = array

    def show(self, source: Any = None) -> Value:
        """A new value that shows the home."""
        self.value = Value(self.array, source)
        return self.value

    def is_unseen(self, holders: int) -> bool:
        """Whether nobody looks whom the caller does not know.

        `holders` are those of the value that the caller knows, this count among them. The array is held by the home,
        the value and the count.
        """
        count = sys.getrefcount
        return count(self.value) <= holders and count(self.array) <= 3 and count(self.owner) <= self.holders


_settling = threading.Lock()


def home_of(cell: Any) -> Home | None:
    """The home that a tensor, or the leaf that collects a gradient, has already."""
    if cell._home is None:
        return None
    home: Home | None = cell._home[0]()
    return home


def of_kind(homes: Sequence[Any], kind: type) -> list[Any]:
    """The homes of this kind, None in the place of others: cells that another backend has may live twice."""
    return [home if type(home) is kind else None for home in homes]


def settle(cell: Any, home: Home, guard: LockAcrossForks) -> LockAcrossForks:
    """This is a home of the cell; answers the lock to hold while it is used: `guard`, unless the cell has one already.

    Later programs get it, unless they have one in which the entries lie as somebody has asked for.
    """
    with _settling:
        known = home_of(cell)
        if cell._home is not None:
            guard = cell._home[1]
        if known is None or not known.fits(home.shape, home.dtype) or known.order == tuple(range(len(known.shape))):
            known = home
        cell._home = weakref.ref(known), guard
    return guard
