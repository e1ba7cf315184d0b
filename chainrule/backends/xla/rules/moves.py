"""What moves entries: shapes, windows, reading and writing at places."""

from __future__ import annotations

import functools
import math
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from chainrule.backends.xla.rules.table import enter, report, rule
from chainrule.primitives import indexing, shape, window
from chainrule.primitives.indexing import ARRAY, Key, fill_key

_index = np.dtype(np.int64)

enter({
    shape.Broadcast: lambda x, *, to: jnp.broadcast_to(x, to),
    shape.Reshape: lambda x, *, to: jnp.reshape(x, to),
    shape.Permute: lambda x, *, order: jnp.transpose(x, order),
    shape.Flip: lambda x, *, axes: jnp.flip(x, axes),
    shape.Concatenate: lambda *parts, axis: jnp.concatenate(parts, axis),
})  # fmt: skip


@rule(shape.Pad)
def pad(x: Any, *, before: Any, after: Any, constant: Any) -> Any:
    """A constant around it; negative widths cut off, and what is cut off on one side is not there for the other."""
    z = jnp.full(tuple(b + n + a for b, n, a in zip(before, x.shape, after, strict=True)), constant, x.dtype)
    start = [max(b, 0) for b in before]
    stop = [max(min(b + n, e), s) for b, n, e, s in zip(before, x.shape, z.shape, start, strict=True)]
    here = tuple(slice(i - b, j - b) for i, j, b in zip(start, stop, before, strict=True))
    widths = [(i, e - j, 0) for i, j, e in zip(start, stop, z.shape, strict=True)]
    return lax.pad(x[here], jnp.asarray(constant).astype(x.dtype), widths)


# ------------------------------------------------------------------------------------------------ windows


def _along(x: Any, axis: int, kernel: int, stride: int, dilation: int) -> list[Any]:
    """What each offset of a window meets along one dimension."""
    last = x.shape[axis] - dilation * (kernel - 1)
    return [lax.slice_in_dim(x, k * dilation, k * dilation + last, stride, axis) for k in range(kernel)]


@rule(window.Windows)
def windows(x: Any, *, kernel: Any, stride: Any, dilation: Any) -> Any:
    """Every window, one dimension after the other."""
    for axis, settings in enumerate(zip(kernel, stride, dilation, strict=True), 2):
        x = jnp.stack(_along(x, axis, *settings), -1)
    return x


@rule(window.WindowSum)
def window_sum(x: Any, *, kernel: Any, stride: Any, dilation: Any) -> Any:
    """The sum of every window, one dimension after the other."""
    for axis, settings in enumerate(zip(kernel, stride, dilation, strict=True), 2):
        x = functools.reduce(jnp.add, _along(x, axis, *settings))
    return x


@rule(window.Fold)
def fold(x: Any, *, size: Any, kernel: Any, stride: Any, dilation: Any) -> Any:
    """Windows laid back and added: each offset's entries, spread by the stride and moved to where they came from."""
    out = x.shape[2 : 2 + len(kernel)]
    total = jnp.zeros((*x.shape[:2], *size), x.dtype)
    for k in np.ndindex(*kernel):
        total = total + spread(x[(..., *k)], size, out, [i * d for i, d in zip(k, dilation, strict=True)], stride)
    return total


def spread(x: Any, size: Any, out: Any, first: Any, stride: Any) -> Any:
    """Entries at first, first + stride, … of zeros of that size."""
    reach = [i + (o - 1) * s + 1 for i, o, s in zip(first, out, stride, strict=True)]
    widths = [(i, n - r, s - 1) for i, n, r, s in zip(first, size, reach, stride, strict=True)]
    return lax.pad(x, np.zeros((), x.dtype), [(0, 0, 0), (0, 0, 0), *widths])


@rule(window.MaxPool)
def max_pool(x: Any, *, kernel: Any, stride: Any, dilation: Any, padding: Any = (), axes: Any = None) -> Any:
    """The largest entry of every window and where it stands: the first of equals; a NaN beats all, the last of them.

    axes: where the spatial dimensions are, if not behind the first two.
    """
    axes = range(2, x.ndim) if axes is None else axes
    size = [x.shape[axis] for axis in axes]
    out = [(n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip(size, kernel, stride, dilation, strict=True)]

    def spatial(array: Any) -> Any:
        """An array over the windows' places, to be broadcast over samples and channels."""
        return array.reshape([array.shape[axes.index(i)] if i in axes else 1 for i in range(x.ndim)])

    parts = []
    for k in np.ndindex(*kernel):
        start, stop, step = [0] * x.ndim, list(x.shape), [1] * x.ndim
        for axis, i, o, s, d in zip(axes, k, out, stride, dilation, strict=True):
            start[axis], stop[axis], step[axis] = i * d, i * d + (o - 1) * s + 1, s
        parts.append(lax.slice(x, start, stop, step))
    values, *others = parts
    chosen = jnp.zeros(values.shape, np.int32)
    for i, part in enumerate(others, 1):
        chosen = jnp.where(part > values, i, chosen)
        values = jnp.maximum(values, part)
    if any(padding):
        first = window.first_inside(tuple(out), kernel, stride, dilation, padding).astype(np.int32)
        chosen = jnp.where(values == -jnp.inf, spatial(first), chosen)
    if x.dtype.kind not in "iub":
        for i, part in enumerate(parts):
            chosen = jnp.where(part != part, i, chosen)
    steps = [[i * d for i, d in zip(k, dilation, strict=True)] for k in np.ndindex(*kernel)]
    within = np.array([np.ravel_multi_index(step, size) for step in steps], _index)
    corners = np.ravel_multi_index(np.ix_(*(np.arange(o) * s for o, s in zip(out, stride, strict=True))), size)
    return values, jnp.asarray(within)[chosen] + spatial(corners)


@rule(window.MaxPoolGradient)
def max_pool_gradient(y: Any, indices: Any, *, size: Any, kernel: Any, stride: Any, dilation: Any) -> Any:
    """What came to every window, added where its largest entry stands."""
    rows, windows = math.prod(y.shape[:2]), math.prod(y.shape[2:])
    there = np.arange(rows)[:, None], indices.reshape(rows, windows)
    z = jnp.zeros((rows, math.prod(size)), y.dtype).at[there].add(y.reshape(rows, windows), mode="drop")
    return z.reshape(*y.shape[:2], *size)


# ------------------------------------------------------------------------------------------------- places


def _checked(x: Any, key: Key, places: tuple[Any, ...]) -> Key:
    """The key as JAX takes it; a place outside of the tensor is reported.

    Small types of whole numbers could not be compared with the extents that they do not reach.
    """
    places = tuple(array.astype(_index) for array in places)
    axis, remaining = 0, iter(places)
    named = sum(part is not None and part is not Ellipsis for part in key)
    for part in key:
        if part is Ellipsis:
            axis += x.ndim - named
        elif part is not None:
            if part is ARRAY:
                array, extent = next(remaining), x.shape[axis]
                outside = (array < -extent) | (array >= extent)
                if type(array) is not np.ndarray or outside.any():
                    report(outside)
            axis += 1
    return fill_key(key, places)


@rule(indexing.Index)
def index(x: Any, *places: Any, key: Key) -> Any:
    """x[key]."""
    return x.at[_checked(x, key, places)].get(mode="clip")


@rule(indexing.IndexAdd)
def index_add(x: Any, y: Any, *places: Any, key: Key) -> Any:
    """x with y added. Where each row gets one number all entries are computed: XLA fuses that with more."""
    where, axis = _checked(x, key, places), _one_in_each_row(x, y, key, places)
    if axis is None:
        return x.at[where].add(y, mode="drop")
    place = places[axis].astype(_index)
    place = jnp.where(place < 0, place + x.shape[axis], place)
    return jnp.where(lax.broadcasted_iota(_index, x.shape, axis) == place, x + y, x)


def _one_in_each_row(x: Any, y: Any, key: Key, places: tuple[Any, ...]) -> int | None:
    """The axis along which places say where one number goes, while along all others every row has its own; or None."""
    if not x.ndim or y.ndim != x.ndim or key != (ARRAY,) * x.ndim:
        return None
    unknown = [d for d, p in enumerate(places) if type(p) is not np.ndarray]
    if len(unknown) != 1 or places[unknown[0]].shape != y.shape:
        return None
    axis = unknown[0]
    walks = [np.arange(n).reshape((-1,) + (1,) * (x.ndim - d - 1)) for d, n in enumerate(x.shape)]
    one = all(y.shape[d] == (1 if d == axis else n) for d, n in enumerate(x.shape))
    return axis if one and all(np.array_equal(places[d], walks[d]) for d in range(x.ndim) if d != axis) else None


@rule(indexing.IndexReduce)
def index_reduce(x: Any, y: Any, *places: Any, key: Key, reduce: str) -> Any:
    """x with y multiplied in, or the largest or smallest kept."""
    there = x.at[_checked(x, key, places)]
    if x.dtype == bool and reduce == "prod":
        reduce = "amin"  # the product of truths
    return {"prod": there.multiply, "amax": there.max, "amin": there.min}[reduce](y, mode="drop")


@rule(indexing.IndexUpdate)
def index_update(x: Any, y: Any, *places: Any, key: Key) -> Any:
    """x with y put there. Where places are named several times, XLA leaves open which stays: the last one is found."""
    where = _checked(x, key, places)
    if not places or not y.size:
        return x.at[where].set(y, mode="drop")
    order = np.arange(y.size, dtype=_index).reshape(y.shape)
    last = jnp.full(x.shape, -1, _index).at[where].max(order, mode="drop")
    return jnp.where(last < 0, x, y.reshape(-1)[jnp.maximum(last, 0)])
