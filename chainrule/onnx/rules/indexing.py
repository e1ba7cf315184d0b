"""Reading and writing at places.

A key is taken apart: slices and single places first, then the integer arrays (one by `Gather`, several by `GatherND`),
then new dimensions. What is written goes to places in the flattened tensor, found by reading the key from an array
that counts.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.onnx.errors import OnnxError
from chainrule.onnx.rules.operands import broadcast_shape
from chainrule.onnx.rules.registry import primitive
from chainrule.onnx.rules.shapes import reshaped
from chainrule.onnx.sizes import Size, product
from chainrule.primitives.indexing import ARRAY, Range


@primitive("Index")
def index(g: Any, e: Any) -> str:
    """x[key]."""
    x, *arrays = e.inputs
    return read(g, g.of(x), g.shape(x), e.parameters["key"], arrays)


def read(g: Any, x: str, shape: tuple[Any, ...], key: tuple[Any, ...], arrays: list[Any]) -> str:
    """x[key] for a tensor of this shape; the arrays stand where the key has its marks."""
    key = _without_ellipsis(key, len(shape))
    remaining = iter(arrays)
    together = any(part is ARRAY for part in key)
    # (axis, array or number) of all that take one place of an axis; NumPy lays numbers and arrays together.
    taken: list[tuple[int, Any]] = []
    slices: list[tuple[int, Range]] = []
    axis = 0
    for part in key:
        if part is None:
            continue
        if isinstance(part, Range):
            if part != (None, None, None):
                slices.append((axis, part))
        else:
            taken.append((axis, next(remaining) if part is ARRAY else part))
        axis += 1
    if slices:
        x = _sliced(g, x, slices)
    if not together:
        for at, place in reversed(taken):
            x = g.emit("Gather", [x, g.scalar(place)], axis=at)
        dims = [i for i, part in enumerate(part for part in key if not _is_number(part)) if part is None]
        return str(g.emit("Unsqueeze", [x, g.numbers(dims)])) if dims else x
    return _gathered(g, x, len(shape), key, taken)


def _is_number(part: Any) -> bool:
    return part is not None and part is not ARRAY and not isinstance(part, Range)


def _without_ellipsis(key: tuple[Any, ...], rank: int) -> tuple[Any, ...]:
    everything = Range(None, None, None)
    named = sum(part is not None and part is not Ellipsis for part in key)
    if Ellipsis in key:
        at = key.index(Ellipsis)
        return (*key[:at], *[everything] * (rank - named), *key[at + 1 :])
    return (*key, *[everything] * (rank - named))


def _sliced(g: Any, x: str, slices: list[tuple[int, Range]]) -> str:
    far = 2**62
    starts = g.numbers([0 if r.start is None else r.start for _, r in slices])
    stops = g.numbers([far if r.stop is None else r.stop for _, r in slices])
    steps = g.numbers([1 if r.step is None else r.step for _, r in slices])
    return str(g.emit("Slice", [x, starts, stops, g.numbers([axis for axis, _ in slices]), steps]))


def _gathered(g: Any, x: str, rank: int, key: tuple[Any, ...], taken: list[tuple[int, Any]]) -> str:
    """Integer arrays (and numbers beside them), then the new dimensions."""
    axes = [axis for axis, _ in taken]
    arrays = [place if not isinstance(place, int | Size) else g.scalar(place) for _, place in taken]
    shapes = [() if isinstance(a, str) else g.shape(a) for a in arrays]
    common = broadcast_shape(shapes)
    if common is None:
        raise OnnxError("arrays of places whose sizes vary in different ways")
    names = [a if isinstance(a, str) else _places(g, a) for a in arrays]
    if len(axes) == 1:
        x = g.emit("Gather", [x, names[0]], axis=axes[0])
        front = axes[0]
    else:
        rest = [i for i in range(rank) if i not in axes]
        if axes != list(range(len(axes))):
            x = g.emit("Transpose", [x], perm=[*axes, *rest])
        to = g.numbers(common)
        spread = [g.emit("Expand", [name, to]) for name in names]
        last = [g.emit("Unsqueeze", [name, g.numbers([-1])]) for name in spread]
        x = g.emit("GatherND", [x, g.emit("Concat", last, axis=-1)])
        front = 0
    return _in_order(g, x, key, len(common), rank - len(axes), front)


def _places(g: Any, array: Any) -> str:
    return str(g.of(array)) if g.dtype(array) in (np.int64, np.int32) else str(g.cast(g.of(array), np.int64))


def _in_order(g: Any, x: str, key: tuple[Any, ...], joined: int, others: int, front: int) -> str:
    """Put the arrays' dimensions where NumPy has them: in place if they stand side by side, else in front."""
    takes = [i for i, part in enumerate(key) if part is ARRAY or _is_number(part)]
    beside = takes == list(range(takes[0], takes[0] + len(takes)))
    # What the result's dimensions are now: `front` of the others, the arrays' own, the rest of the others.
    group = ["array"] * joined
    rows = [f"own {i}" for i in range(others)]
    now = rows[:front] + group + rows[front:]
    wanted, own = list[str](), iter(rows)
    for i, part in enumerate(key):
        if i in takes:
            wanted += group if beside and i == takes[0] else []
        else:
            wanted.append("new" if part is None else next(own))
    if not beside:
        wanted = group + wanted
    order, arrays = list[int](), iter([i for i, name in enumerate(now) if name == "array"])
    for name in wanted:
        if name != "new":
            order.append(next(arrays) if name == "array" else now.index(name))
    if order != sorted(order):
        x = g.emit("Transpose", [x], perm=order)
    new = [i for i, name in enumerate(wanted) if name == "new"]
    return str(g.emit("Unsqueeze", [x, g.numbers(new)])) if new else x


@primitive("IndexUpdate", "IndexAdd", "IndexReduce")
def write(g: Any, e: Any) -> str:
    """y put, added or taken in at the places of a key; the last of several at one place stays, as they come."""
    x, y, *arrays = e.inputs
    shape, total = g.shape(x), product(g.shape(x))
    reduction = _reduction(g, e)
    counting = reshaped(g, g.counting(total), shape) if shape else g.emit("Reshape", [g.counting(1), g.numbers([])])
    at = read(g, counting, shape, e.parameters["key"], arrays)
    everything = g.numbers([-1])
    flat, new = (g.emit("Reshape", [g.of(t), everything]) for t in (x, y))
    at = g.emit("Reshape", [at, everything])
    dtype = g.dtype(x)
    if dtype == np.bool_:
        flat, new = g.cast(flat, np.int32), g.cast(new, np.int32)
    written = g.emit("ScatterElements", [flat, at, new], axis=0, reduction=reduction)
    if dtype == np.bool_:
        written = g.cast(written, np.bool_)
    return reshaped(g, written, shape)


def _reduction(g: Any, e: Any) -> str | None:
    kind = {"IndexAdd": "add", "IndexUpdate": None}.get(e.primitive.name, "")
    if kind == "":
        kind = {"prod": "mul", "amax": "max", "amin": "min"}[e.parameters["reduce"]]
    least = {None: 11, "add": 16, "mul": 16}.get(kind, 18)
    if g.opset < least:
        raise OnnxError(f"writing at places with {kind} needs opset {least}")
    return kind
