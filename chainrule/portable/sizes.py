"""Which numbers in a program are sizes: the same program at several sizes, compared number by number.

A number that is not the same at all sizes must be a polynomial of the sizes, at most linear in each (`2·batch + 1`,
`batch·length`); it is found from the corners of a box of sizes and looked at again at one more point. Everything else
must be the same everywhere.

>>> same = {(n,): ["Reshape", (n, 4 * n + 1)] for n in (2, 3, 6)}
>>> data = in_sizes(same, ["batch"])
>>> data
['Reshape', ({'in sizes': [[1, ['batch']]]}, {'in sizes': [[1, []], [4, ['batch']]]})]
>>> at_sizes(data, {"batch": 10})
['Reshape', (10, 41)]
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from chainrule.dtypes import as_dtype
from chainrule.errors import TraceError

#: Sizes are compared at the example's (at least 2, as 1 is broadcast), one more, and here, so much further on.
FURTHER = 4

Point = tuple[int, ...]


def points(example: Sequence[int]) -> list[Point]:
    """The corners at which a program is traced, and one more point to look whether the rule that they give holds."""
    low = [max(size, 2) for size in example]
    corners = list(itertools.product(*[(size, size + 1) for size in low]))
    return [*corners, tuple(size + FURTHER + i for i, size in enumerate(low))]


def in_sizes(found: Mapping[Point, Any], names: Sequence[str], place: str = "the program") -> Any:
    """The data that all points have in common, with `{"in sizes": …}` where a number follows the sizes.

    Raises TraceError, naming the place, where something else differs.
    """
    first = next(iter(found.values()))
    kind = type(first)
    if any(type(data) is not kind for data in found.values()):
        raise differs(place, names)
    if kind is dict:
        if any(data.keys() != first.keys() for data in found.values()):
            raise differs(place, names)
        return {key: in_sizes({p: d[key] for p, d in found.items()}, names, f"{place}, {key}") for key in first}
    if isinstance(first, list | tuple):
        if any(len(data) != len(first) for data in found.values()):
            raise differs(place, names)
        parts = [
            in_sizes({p: d[i] for p, d in found.items()}, names, _place(place, first, i)) for i in range(len(first))
        ]
        return kind(parts)
    if kind is np.ndarray:
        return _array_in_sizes(found, names, place)
    if all(data == first for data in found.values()):
        return first
    if kind is not int:
        raise differs(place, names)
    return {"in sizes": _fitted(found, names, place)}


def _place(place: str, entries: Any, number: int) -> str:
    """Where an entry of a list is, in words: equations are named by their operation."""
    entry = entries[number]
    if isinstance(entry, dict) and "primitive" in entry:
        return f"operation {number}, {entry['primitive']} {entry['path']}".rstrip()
    return place


def differs(place: str, names: Sequence[str]) -> TraceError:
    """The error for what depends on the sizes otherwise than a program can."""
    return TraceError(
        f"{place}, depends on {' or '.join(names)} otherwise than by whole numbers that grow with it, so the program "
        "cannot be exported for all sizes. Export it for one size (without dynamic), once for each that is needed."
    )


def _array_in_sizes(found: Mapping[Point, Any], names: Sequence[str], place: str) -> Any:
    """An array that is the same everywhere; or one that rises evenly (or not at all) and follows the sizes.

    Such are the count in a mean, zeros that a loop begins with, the numbers of the places in a sequence.
    """
    first = next(iter(found.values()))
    if any(array.dtype != first.dtype or array.ndim != first.ndim for array in found.values()):
        raise differs(place, names)
    if all(array.shape == first.shape and array.tobytes() == first.tobytes() for array in found.values()):
        return first
    shape = in_sizes({point: array.shape for point, array in found.items()}, names, place)
    rising = {point: _evenly(array) for point, array in found.items()}
    if any(pair is None for pair in rising.values()):
        raise differs(place, names)
    start = {point: pair[0] for point, pair in rising.items() if pair is not None}
    step = {point: pair[1] for point, pair in rising.items() if pair is not None}
    parts = [_number_in_sizes(numbers, names, place) for numbers in (start, step)]
    return {"array in sizes": [*parts, first.dtype.name, shape]}


def _evenly(array: Any) -> tuple[Any, Any] | None:
    """The first entry and the step from each to the next, as arrays; None where they do not rise evenly."""
    flat = array.reshape(-1)
    if not flat.size:
        return None
    first, none = flat[:1].copy(), flat[:1] - flat[:1] if array.dtype.kind != "b" else flat[:1] & False
    if (flat == first).all():
        return first, none
    if array.dtype.kind not in "iu":
        return None
    step = flat[1:2] - first
    return (first, step) if (flat == first + step * np.arange(flat.size, dtype=flat.dtype)).all() else None


def _number_in_sizes(found: Mapping[Point, Any], names: Sequence[str], place: str) -> Any:
    """A number, as an array with one entry, or a polynomial."""
    first = next(iter(found.values()))
    if all(number.tobytes() == first.tobytes() for number in found.values()):
        return first
    if any(number[0] != round(float(number[0])) for number in found.values()):
        raise differs(place, names)
    return {"in sizes": _fitted({point: int(number[0]) for point, number in found.items()}, names, place)}


def _fitted(found: Mapping[Point, int], names: Sequence[str], place: str) -> list[list[Any]]:
    """The polynomial through the corners, as [factor, names] terms; raises TraceError if it misses the last point."""
    *corners, last = found
    low = corners[0]
    terms: dict[frozenset[str], int] = {}
    for chosen in itertools.product((0, 1), repeat=len(names)):
        # The mixed difference: what this product of (size − low) contributes.
        slope = sum(
            (-1) ** (sum(chosen) - sum(part)) * found[tuple(a + b for a, b in zip(low, part, strict=True))]
            for part in itertools.product(*[range(c + 1) for c in chosen])
        )
        used = [(name, a) for name, a, c in zip(names, low, chosen, strict=True) if c]
        for kept in itertools.product((0, 1), repeat=len(used)):
            key = frozenset(name for (name, _), k in zip(used, kept, strict=True) if k)
            factor = math.prod(-a for (_, a), k in zip(used, kept, strict=True) if not k)
            terms[key] = terms.get(key, 0) + slope * factor
    answer: list[list[Any]] = [[factor, sorted(key)] for key, factor in terms.items() if factor]
    answer.sort(key=lambda term: (len(term[1]), term[1]))
    if size_at(answer, dict(zip(names, last, strict=True))) != found[last]:
        raise differs(place, names)
    return answer


def size_at(terms: Sequence[Sequence[Any]], sizes: Mapping[str, int]) -> int:
    """The value of a polynomial at these sizes."""
    return sum(int(factor) * math.prod(sizes[name] for name in names) for factor, names in terms)


def at_sizes(data: Any, sizes: Mapping[str, int]) -> Any:
    """The data with every size as a number."""
    if isinstance(data, dict):
        if "in sizes" in data:
            return size_at(data["in sizes"], sizes)
        if "array in sizes" in data:
            start, step, dtype, shape = at_sizes(data["array in sizes"], sizes)
            count = np.arange(math.prod(shape)) if np.any(step) else 0
            return np.broadcast_to(np.asarray(start + step * count, as_dtype(dtype).numpy), math.prod(shape)).reshape(
                shape
            )
        return {key: at_sizes(entry, sizes) for key, entry in data.items()}
    if isinstance(data, list | tuple):
        return type(data)(at_sizes(entry, sizes) for entry in data)
    return data
