"""Places of a sparse tensor as numbers, and numbers as places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def linear(places: Any, extents: Sequence[int]) -> Any:
    """The number of each place among all, in the order of rows; places are columns, in a tensor or an array."""
    numbers = places[:1].sum(0)  # of no rows at all: every place is the first
    for row, extent in enumerate(extents[1:], 1):
        numbers = numbers * extent + places[row]
    return numbers


def places_of(numbers: np.ndarray[Any, Any], extents: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """The places with these numbers, one column each."""
    rows = []
    for extent in reversed(extents):
        rows.append(numbers % max(extent, 1))
        numbers = numbers // max(extent, 1)
    return np.array(rows[::-1], np.int64).reshape(len(rows), len(numbers))
