"""Keys of look-ups, and of writing at places: what their slices leave, and arrays that only count."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.backends.native.lowering.place import View
from chainrule.primitives.indexing import ARRAY, Range
from chainrule.primitives.value import Symbol


def sliced(view: View, key: tuple[Any, ...]) -> tuple[View, int, int]:
    """What the slices of a key leave, which dimension the first array stands for, and how many arrays there are.

    Arrays with something between them are NumPy's special case: what they make comes first.
    """
    key = key if Ellipsis in key else (*key, Ellipsis)
    marks = [i for i, part in enumerate(key) if part is ARRAY]
    every = Range(None, None, None)
    view = view.index(tuple(every if part is ARRAY else part for part in key))
    rest = len(view.shape) - sum(part is not Ellipsis for part in key)
    at_dims = [sum(rest if part is Ellipsis else 1 for part in key[:mark]) for mark in marks]
    first = at_dims[0]
    if marks != list(range(marks[0], marks[-1] + 1)):
        view, first = view.permute((*at_dims, *(d for d in range(len(view.shape)) if d not in at_dims))), 0
    return view, first, len(marks)


def is_count(x: Any) -> int | None:
    """The one dimension along which a literal counts 0, 1, 2, …; None if it does not."""
    if isinstance(x, Symbol) or x.size < 2 or max(x.shape) != x.size:  # a single 0 is a place, not a count
        return None
    if not np.array_equal(x.reshape(-1), np.arange(x.size)):
        return None
    return max(range(len(x.shape)), key=lambda d: x.shape[d], default=0)
