"""Memory as compiled programs want it."""

from __future__ import annotations

import ctypes
import functools
import os
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.primitives.value import Room, Shape

#: Every buffer begins at a multiple of so many bytes, and has as many to spare behind it: vectors may read beyond.
ALIGNMENT, SLACK = 64, 256
#: Rows at a multiple of this distance, in bytes, fall into the same few sets of a cache and drive each other out.
CROWDED = 2048

#: So much memory that was freed stays with the process, or an eighth of the machine's if that is less.
KEPT = 2**30
#: glibc's names of its settings, and the largest block that it takes from memory which was freed before.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _LARGEST_BLOCK = -1, -3, 2**25


@functools.cache
def keep_freed_memory() -> None:
    """Ask the C library not to give freed memory back to the system at once.

    Each training step of eager code takes and frees the same arrays. glibc gives back what is free beyond 64 MB, and
    the system fills every page with zeros when it is asked for again: a fifth of a Transformer's step. Nothing happens
    where the user has set it (`MALLOC_TRIM_THRESHOLD_` and the like in the environment), or where it is not glibc.
    """
    if sys.platform != "linux" or any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    mallopt(_MMAP_THRESHOLD, _LARGEST_BLOCK)
    mallopt(_TRIM_THRESHOLD, min(KEPT, machine // 8))


def aligned(size: int, alignment: int = ALIGNMENT, *, zero: bool = True) -> np.ndarray[Any, Any]:
    """So many bytes, 0 unless somebody will write all of them, beginning at a multiple of the alignment."""
    memory = (np.zeros if zero else np.empty)(size + alignment, np.uint8)
    start = -address_of(memory) % alignment
    return memory[start : start + size]


#: Four vectors that begin at the last entry of an array may reach so far: that must be memory of the process.
_BEYOND, _PAGE = SLACK, 4096


def has_room(array: np.ndarray[Any, Any], address: int | None = None) -> bool:
    """Whether vectors may be read that reach beyond the end: what lies there is on the same page, so it is there.

    address: where it begins, if that is known.
    """
    base = array.base
    while type(base) is np.ndarray:
        base = base.base
    if type(base) is Room:
        return True
    begin = address_of(array) if address is None else address
    size = array.nbytes if array.flags.c_contiguous else span_of(array.shape, array.strides) - 1 + array.itemsize
    return -(begin + size) % _PAGE >= _BEYOND


def span_of(shape: Shape, strides: Shape) -> int:
    """How far an array with entries reaches from its first one, which counts: all strides are 0 or more.

    >>> span_of((2, 3), (3, 1)), span_of((3, 2), (1, 3)), span_of((2, 3), (10, 1))
    (6, 6, 13)
    """
    return 1 + sum([(n - 1) * stride for n, stride in zip(shape, strides, strict=True)])


def copy_with_room(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The entries row by row in an array of its own, which :func:`has_room`."""
    copy = array.copy(order="C")
    if has_room(copy):
        return copy
    # One in thirty. The C library begins all large blocks alike within a page: another copy could end there too.
    copy = np.ndarray(array.shape, array.dtype, Room(array.nbytes + _BEYOND, np.uint8))
    copy[...] = array
    return copy


def address_of(array: np.ndarray[Any, Any]) -> int:
    """Where the entries begin. `array.ctypes.data` says the same and takes four times as long."""
    try:
        return ctypes.addressof(_one_byte(array))
    except (BufferError, TypeError, ValueError):
        # It cannot be written to, has no entries, or lies in no order that ctypes knows.
        return int(array.ctypes.data)


_one_byte: Any = ctypes.c_char.from_buffer


def ordered_strides(shape: Shape, order: Sequence[int], itemsize: int = 0) -> tuple[Shape, int]:
    """Strides for dimensions that lie in memory as `order` says, from far apart to close, and the size of it all.

    With the size of an entry given, rows that would fall into the same sets of a cache lie one cache line further
    apart.

    >>> ordered_strides((2, 3, 4, 5), (0, 2, 3, 1))  # channels last
    ((60, 1, 15, 3), 120)
    >>> ordered_strides((3, 1024), (0, 1), itemsize=4)
    ((1040, 1), 3120)
    """
    strides, step = [0] * len(shape), 1
    for axis in reversed(order):
        strides[axis] = step
        first, step = step == 1, step * shape[axis]
        if first and itemsize and step and step * itemsize % CROWDED == 0:
            step += 64 // itemsize
    return tuple(strides), step
