"""Sums, largest entries, orders."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.onnx.errors import OnnxError
from chainrule.onnx.rules.registry import primitive


@primitive("Sum", "Product", "Amax")
def reduce(g: Any, e: Any) -> str:
    """Over some axes, which go."""
    operator = {"Sum": "ReduceSum", "Product": "ReduceProd", "Amax": "ReduceMax"}[e.primitive.name]
    x, axes, dtype = e.inputs[0], list(e.parameters["axes"]), g.dtype(e.outputs[0])
    if not axes:
        return str(g.cast(g.of(x), dtype)) if g.dtype(x) != dtype else str(g.of(x))
    given = g.of(x)
    if dtype == np.bool_:
        return str(g.cast(g.reduce(operator, g.cast(given, np.int32), axes, False), np.bool_))
    if g.dtype(x) != dtype:
        given = g.cast(given, dtype)
    return str(g.reduce(operator, given, axes, False))


@primitive("Argmax")
def argmax(g: Any, e: Any) -> str:
    """Where the largest stands, the first of equals."""
    x = g.of(e.inputs[0])
    if g.dtype(e.inputs[0]) == np.bool_:
        x = g.cast(x, np.int32)
    return str(g.emit("ArgMax", [x], axis=e.parameters["axis"], keepdims=0))


@primitive("CumulativeSum")
def cumulative(g: Any, e: Any) -> str:
    """Running sums."""
    dtype = g.dtype(e.outputs[0])
    x = g.of(e.inputs[0]) if g.dtype(e.inputs[0]) == dtype else g.cast(g.of(e.inputs[0]), dtype)
    return str(g.emit("CumSum", [x, g.constant(np.array(e.parameters["axis"], np.int64))]))


@primitive("Sort")
def sort(g: Any, e: Any) -> list[str]:
    """All of them, in order: the k largest or smallest with k the size of the axis; equal ones keep their order."""
    x, axis = e.inputs[0], e.parameters["axis"]
    largest = int(e.parameters["descending"])
    size = g.numbers([g.shape(x)[axis]])
    return list(g.emit("TopK", [g.of(x), size], 2, axis=axis, largest=largest, sorted=1))


@primitive("SearchSorted")
def search(g: Any, e: Any) -> str:
    """How many entries of the sequence come before each value."""
    sequence, x = e.inputs
    if g.dtype(x).kind not in "fiu":
        raise OnnxError(f"looking up numbers of {g.dtype(x)}")
    places = g.emit("Unsqueeze", [g.of(x), g.numbers([-1])])
    entries = g.emit("Unsqueeze", [g.of(sequence), g.numbers([-2])])
    before = g.emit("LessOrEqual" if e.parameters["right"] else "Less", [entries, places])
    return str(g.reduce("ReduceSum", g.cast(before, np.int64), [-1], False))


@primitive("Det")
def det(g: Any, e: Any) -> str:
    """A determinant."""
    return str(g.emit("Det", [g.of(e.inputs[0])]))
