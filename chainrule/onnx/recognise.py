"""What an array that depends on a size is: all one number, rising numbers, a triangle. Else nothing is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np


def filling(arrays: Sequence[Any]) -> list[Any] | None:
    """The number that fills each of them; None if one holds several.

    >>> filling([np.ones(2), np.full(3, 2.0)])
    [array(1.), array(2.)]
    """
    if any(not array.size or (array != array.flat[0]).any() for array in arrays):
        return None
    return [np.array(array.flat[0]) for array in arrays]


def rising(arrays: Sequence[Any]) -> tuple[Any, Any] | None:
    """(start, step) of start, start + step, …, if all are that; None otherwise.

    >>> start, step = rising([np.arange(3), np.arange(5)])
    >>> int(start), int(step)
    (0, 1)
    """
    longest = max(arrays, key=len)
    if longest.ndim != 1 or len(longest) < 2:
        return None
    start, step = longest[0], longest[1] - longest[0]
    fits = all((array == start + step * np.arange(len(array)).astype(array.dtype)).all() for array in arrays)
    return (np.array(start), np.array(step)) if fits else None


class Triangle(NamedTuple):
    """A matrix with one number where column ≤ row + diagonal, and another elsewhere."""

    diagonal: int
    below: Any
    above: Any


def triangle(arrays: Sequence[Any]) -> Triangle | None:
    """The triangle that all are; None otherwise.

    >>> triangle([np.tri(3), np.tri(5)])
    Triangle(diagonal=0, below=array(1.), above=array(0.))
    """
    largest = max(arrays, key=np.size)
    if largest.ndim != 2 or min(largest.shape) < 2:
        return None
    below, above = largest[-1, 0], largest[0, -1]
    same = largest[0] == below
    diagonal = int(same.argmin()) - 1 if not same.all() else len(same)
    for array in arrays:
        if (array != np.where(np.tri(array.shape[0], array.shape[1], diagonal) > 0, below, above)).any():
            return None
    return Triangle(diagonal, np.array(below), np.array(above))
