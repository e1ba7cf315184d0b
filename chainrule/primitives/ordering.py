"""Where the entries of an array stand in order, equal ones as they came: several times as fast as NumPy's way."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.primitives.value import Array

_UPPER, _LOWER = 32, 2**32 - 1


def stable_order(x: Array, axis: int = -1) -> Array:
    """What `np.argsort(x, axis, kind="stable")` gives, NaN last.

    Numbers of up to 32 bits and their places are sorted as one whole number of 64: the upper half is the number, as a
    whole one in the same order, the lower half where it stands. Wider ones are sorted as they are, and where two of a
    row are equal that row once more, stably.

    >>> stable_order(np.array([2.0, 1.0, 2.0, -0.0, 0.0])).tolist()
    [3, 4, 1, 0, 2]
    """
    extent, numbers = x.shape[axis], _whole(x)
    if numbers is None or extent > _LOWER:
        rows = np.moveaxis(x, axis, -1)
        order = np.argsort(rows)
        found = np.take_along_axis(rows, order, -1)
        tied = ~(found[..., 1:] > found[..., :-1]).all(-1)
        if tied.any():
            order[tied] = np.argsort(rows[tied], kind="stable")
        return np.moveaxis(order, -1, axis)
    places = np.arange(extent).reshape([-1 if d == axis % x.ndim else 1 for d in range(x.ndim)])
    both = (numbers.astype(np.int64) << _UPPER) | places
    both.sort(axis=axis)
    return both & _LOWER


def first_places(x: Array, k: int, axis: int, descending: bool) -> Array | None:
    """Where the first k entries in order stand, without putting all in order; None where that is not quicker.

    They are those of a stable sort: of equal entries the first, NaN as the largest number there is.

    >>> first_places(np.array([1.0, 9.0, 4.0, 9.0, 0.0, 2.0, 3.0, 1.0]), 2, 0, True).tolist()
    [1, 3]
    """
    keys = x.astype(np.float32) if x.dtype.kind in "fV" and x.dtype.itemsize < 4 else x
    rows = np.moveaxis(keys, axis, -1)
    shape = rows.shape
    if keys.dtype.kind not in "iuf" or not keys.size or not 0 < k <= shape[-1] // 4:
        return None
    rows = rows.reshape(-1, shape[-1])
    found = _one_by_one(rows, k, descending) if k <= _FEW else _beyond_threshold(rows, k, descending)
    return None if found is None else np.moveaxis(found.reshape(*shape[:-1], k), -1, axis)


#: So many are looked for one after the other.
_FEW = 8


def _one_by_one(rows: Array, k: int, descending: bool) -> Array | None:
    """The first entry of each row, then the first of those left, and so on. None where what is left cannot be told."""
    if not descending and rows.dtype.kind == "f" and np.isnan(np.minimum.reduce(rows, None)):
        return None  # for NumPy, NaN is the smallest number too
    limits: Any = np.finfo(rows.dtype) if rows.dtype.kind == "f" else np.iinfo(rows.dtype)
    last = limits.min if descending else limits.max
    if rows.dtype.kind == "f":
        last = -np.inf if descending else np.inf
    left, every = rows.copy(), np.arange(len(rows))
    found = np.empty((len(rows), k), np.int64)
    for i in range(k):
        places = left.argmax(1) if descending else left.argmin(1)
        if (left[every, places] == last).any():
            return None
        found[:, i] = places
        left[every, places] = last
    return found


def _beyond_threshold(rows: Array, k: int, descending: bool) -> Array | None:
    """All entries up to the k-th of each row, put in order. None for NaN, and where many are equal to the k-th."""
    if rows.dtype.kind == "f" and np.isnan(np.minimum.reduce(rows, None)):
        return None
    n = rows.shape[1]
    kth = n - k if descending else k - 1
    limit = np.partition(rows, kth, 1)[:, kth, None]
    flat = np.flatnonzero(rows >= limit if descending else rows <= limit)
    if len(flat) > 2 * k * len(rows):
        return None
    row, place = np.divmod(flat, n)
    entries = rows.reshape(-1)[flat]
    equal = entries == limit[row, 0]
    room = k - np.bincount(row[~equal], minlength=len(rows))  # for so many of those equal to the limit, the first ones
    rank = np.cumsum(equal)
    earlier = np.concatenate([[0], np.cumsum(np.bincount(row[equal], minlength=len(rows)))])[:-1]
    kept = ~equal | (rank - earlier[row] <= room[row])
    place, entries = place[kept].reshape(-1, k), entries[kept].reshape(-1, k)
    return np.take_along_axis(place, sorted_places(entries, 1, descending), 1)


def sorted_places(x: Array, axis: int, descending: bool) -> Array:
    """Where the entries stand in order; descending, equal ones keep their order too and NaN comes first."""
    if not descending:
        return stable_order(x, axis)
    return x.shape[axis] - 1 - np.flip(stable_order(np.flip(x, axis), axis), axis)


def _whole(x: Array) -> Array | None:
    """Whole numbers of 32 bits in the order of the entries; None for wider ones."""
    kind, wide = x.dtype.kind, x.dtype.itemsize
    if kind == "f" and wide < 8:
        single = x.astype(np.float32) + np.float32(0)  # −0 and 0 are equal
        bits = single.view(np.int32)
        numbers = bits ^ ((bits >> 31) & np.int32(2**31 - 1))  # of two negative numbers the larger bits are the smaller
        numbers[np.isnan(single)] = 2**31 - 1
        return numbers
    if kind in "iub" and wide < 4:
        return x
    if kind in "iu" and x.size and int(x.max()) - int(x.min()) < 2**31:
        return x - x.min()
    return None
