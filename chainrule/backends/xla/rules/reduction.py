"""Many entries become one, or stand in another order because of what they are."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from chainrule.backends.xla.rules.table import enter, rule
from chainrule.primitives import reduction as r

_index = np.dtype(np.int64)


def _summed(x: Any) -> Any:
    """Whole numbers and truths are added up as int64."""
    return x.astype(_index) if x.dtype.kind in "iub" else x


enter({
    r.Sum: lambda x, *, axes: jnp.sum(_summed(x), axes),
    r.Product: lambda x, *, axes: jnp.prod(_summed(x), axes),
    r.Amax: lambda x, *, axes: jnp.max(x, axes),
    r.Argmax: lambda x, *, axis: lax.argmax(x, axis, _index),
})  # fmt: skip


@rule(r.CumulativeSum)
def cumulative_sum(x: Any, *, axis: int) -> Any:
    """Running sums, in float64 as in NumPy, rounded once."""
    return jnp.cumsum(x.astype(_index if x.dtype.kind in "iub" else np.float64), axis)


@rule(r.CumulativeArgmax)
def cumulative_argmax(x: Any, *, axis: int, largest: bool) -> Any:
    """Where the largest entry so far stands: the last of equals; a NaN beats all."""
    x = x.astype(np.int8) if x.dtype == bool else x
    best = (lax.cummax if largest else lax.cummin)(x, axis)
    places = lax.broadcasted_iota(_index, x.shape, axis)
    return lax.cummax(jnp.where((x == best) | (x != x), places, 0), axis)


@rule(r.Sort)
def sort(x: Any, *, axis: int, descending: bool) -> Any:
    """In order, equal ones as they came; reversed twice if falling, so that NaN comes first."""
    order = jnp.argsort(jnp.flip(x, axis) if descending else x, axis, stable=True).astype(_index)
    indices = x.shape[axis] - 1 - jnp.flip(order, axis) if descending else order
    return jnp.take_along_axis(x, indices, axis), indices


@rule(r.SearchSorted)
def search_sorted(sequence: Any, x: Any, *, right: bool) -> Any:
    """How many entries of a row come before x; NaN comes after all numbers."""
    s, x = sequence[..., None, :], x[..., None]
    before = ~_less(x, s) if right else _less(s, x)
    return before.sum(-1, dtype=_index)


def _less(a: Any, b: Any) -> Any:
    return (a < b) | ((b != b) & (a == a))
