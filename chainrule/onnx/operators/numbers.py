"""Operators on numbers that are known: shapes, and what is computed of them, by NumPy."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.onnx.operators.registry import Running, check_size


def _quotient(a: Any, b: Any) -> Any:
    """Towards zero, for whole numbers, and without a detour that would round large ones."""
    if np.asarray(a).dtype.kind not in "iu":
        return a / b
    if not np.all(b):
        raise ZeroDivisionError("division of integers by zero.")
    return (a - np.fmod(a, b)) // b


def _range(start: Any, stop: Any, step: Any) -> Any:
    check_size([max(0, int((stop - start) / step))])
    return np.arange(start, stop, step, dtype=np.asarray(start).dtype)


def _slice(node: Running) -> Any:
    x, starts, stops = node.values[0], node.listed("starts", 1), node.listed("ends", 2)
    assert starts is not None and stops is not None
    axes = node.listed("axes", 3) or list(range(len(starts)))
    steps = node.whole(4) if node.has(4) else [1] * len(starts)
    places: list[Any] = [slice(None)] * x.ndim
    for axis, start, stop, step in zip(axes, starts, stops, steps, strict=True):
        end = None if step < 0 and stop < -x.shape[axis] else stop
        places[axis] = slice(start, end, step)
    return x[tuple(places)]


def _squeeze(node: Running) -> Any:
    axes = node.listed("axes", 1)
    return np.squeeze(node.values[0], None if axes is None else tuple(axes))


def _unsqueeze(node: Running) -> Any:
    return np.expand_dims(node.values[0], tuple(node.listed("axes", 1) or []))


def _reshape(node: Running) -> Any:
    x, to = node.values[0], node.whole(1)
    return x.reshape([x.shape[i] if n == 0 and not node.attribute("allowzero") else n for i, n in enumerate(to)])


def _expand(node: Running) -> Any:
    shape = np.broadcast_shapes(node.values[0].shape, tuple(check_size(node.whole(1))))
    return np.broadcast_to(node.values[0], shape)


def _mod(node: Running) -> Any:
    """With the divisor's sign, or with `fmod` the other's."""
    return (np.fmod if node.attribute("fmod", 0) else np.mod)(*node.values)


def _cast(node: Running) -> Any:
    return node.values[0].astype(node.attribute("to"))


def _reduce(function: Any) -> Any:
    def run(node: Running) -> Any:
        x, axes = node.values[0], node.listed("axes", 1)
        if not axes and node.attribute("noop_with_empty_axes", 0):
            return x
        total = function(x, axis=tuple(axes) if axes else None, keepdims=bool(node.attribute("keepdims", 1)))
        return np.asarray(total).astype(x.dtype)  # NumPy adds small integers as int64

    return run


def _plain(function: Callable[..., Any]) -> Callable[[Running], Any]:
    return lambda node: function(*node.values)


def _each(function: Callable[[Any, Any], Any]) -> Callable[[Running], Any]:
    return lambda node: functools.reduce(function, node.values)


#: What is computed with numbers alone.
NUMBERS: dict[str, Callable[[Running], Any]] = {
    "Abs": _plain(np.abs), "Add": _plain(np.add), "And": _plain(np.logical_and), "Cast": _cast,
    "Ceil": _plain(np.ceil), "Concat": lambda node: np.concatenate(node.values, node.attribute("axis")),
    "Div": _plain(_quotient), "Equal": _plain(np.equal), "Expand": _expand, "Floor": _plain(np.floor),
    "Gather": lambda node: np.take(node.values[0], node.values[1], axis=node.attribute("axis", 0)),
    "Greater": _plain(np.greater), "GreaterOrEqual": _plain(np.greater_equal), "Identity": _plain(np.asarray),
    "Less": _plain(np.less), "LessOrEqual": _plain(np.less_equal), "Max": _each(np.maximum),
    "Min": _each(np.minimum), "Mod": _mod, "Mul": _plain(np.multiply),
    "Neg": _plain(np.negative), "Not": _plain(np.logical_not), "Or": _plain(np.logical_or), "Range": _plain(_range),
    "ReduceMax": _reduce(np.max), "ReduceMin": _reduce(np.min), "ReduceProd": _reduce(np.prod),
    "ReduceSum": _reduce(np.sum), "Reshape": _reshape, "Slice": _slice, "Sqrt": _plain(np.sqrt),
    "Squeeze": _squeeze, "Sub": _plain(np.subtract),
    "Transpose": lambda node: np.transpose(node.values[0], node.attribute("perm")), "Unsqueeze": _unsqueeze,
    "Where": _plain(np.where),
}  # fmt: skip
