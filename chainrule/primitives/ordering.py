"""Where the entries of an array stand in order, equal ones as they came: several times as fast as NumPy's way."""

from __future__ import annotations

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
