"""Windows of images: laid out, laid back, added up, their largest entries."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule.onnx.errors import OnnxError
from chainrule.onnx.rules.registry import primitive
from chainrule.onnx.rules.shapes import reshaped
from chainrule.onnx.sizes import product


def places(g: Any, count: Any, kernel: int, stride: int, dilation: int) -> str:
    """For each window of one dimension the places of its entries: (count, kernel)."""
    starts = g.emit("Mul", [g.counting(count), g.constant(np.array(stride, np.int64))])
    within = g.constant(np.arange(kernel) * dilation)
    return str(g.emit("Add", [g.emit("Unsqueeze", [starts, g.numbers([1])]), within]))


@primitive("Windows")
def windows(g: Any, e: Any) -> str:
    """(N, C, …) as (N, C, windows…, kernel…): one look-up for each dimension."""
    x, p = g.of(e.inputs[0]), e.parameters
    out = g.shape(e.outputs[0])[2:]
    dims = len(p["kernel"])
    for i in range(dims):  # dimension 2 + 2i becomes (windows, kernel)
        at = places(g, out[i], p["kernel"][i], p["stride"][i], p["dilation"][i])
        x = g.emit("Gather", [x, at], axis=2 + 2 * i)
    order = [0, 1, *[2 + 2 * i for i in range(dims)], *[3 + 2 * i for i in range(dims)]]
    return str(g.emit("Transpose", [x], perm=order))


@primitive("Fold")
def fold(g: Any, e: Any) -> str:
    """Every entry of every window added where it came from."""
    if g.opset < 16:
        raise OnnxError("adding windows where they overlap needs opset 16")
    x, p = e.inputs[0], e.parameters
    shape, size, dims = g.shape(x), tuple(p["size"]), len(p["kernel"])
    at = None
    for i in range(dims):
        one = places(g, shape[2 + i], p["kernel"][i], p["stride"][i], p["dilation"][i])
        spread: list[Any] = [1] * (2 * dims)
        spread[i], spread[dims + i] = shape[2 + i], p["kernel"][i]
        one = g.emit("Reshape", [one, g.numbers(spread)])
        at = one if at is None else g.emit("Add", [g.emit("Mul", [at, g.scalar(size[i])]), one])
    rows, entries = product(shape[:2]), product(shape[2:])
    flat = g.emit("Reshape", [g.of(x), g.numbers([rows, entries])])
    at = g.emit("Expand", [g.emit("Reshape", [at, g.numbers([1, entries])]), g.numbers([rows, entries])])
    nothing = g.emit("Expand", [g.constant(np.array(0, g.dtype(x))), g.numbers([rows, product(size)])])
    added = g.emit("ScatterElements", [nothing, at, flat], axis=1, reduction="add")
    return reshaped(g, added, g.shape(e.outputs[0]))


@primitive("WindowSum")
def window_sum(g: Any, e: Any) -> str:
    """Means of windows times their size."""
    p, dtype = e.parameters, g.dtype(e.inputs[0])
    dilation = list(p["dilation"])
    if dilation != [1] * len(dilation) and g.opset < 19:
        raise OnnxError("sums of windows with gaps need opset 19")
    settings: dict[str, Any] = {"kernel_shape": list(p["kernel"]), "strides": list(p["stride"])}
    settings["dilations"] = dilation if g.opset >= 19 else None
    mean = g.emit("AveragePool", [g.of(e.inputs[0])], **settings)
    return str(g.emit("Mul", [mean, g.constant(np.array(math.prod(p["kernel"]), dtype))]))


@primitive("MaxPool")
def max_pool(g: Any, e: Any) -> list[str]:
    """The largest entries, and where they stand; ONNX counts places through the whole batch."""
    p, shape = e.parameters, g.shape(e.inputs[0])
    settings = {
        k: list(p[v]) for k, v in {"kernel_shape": "kernel", "strides": "stride", "dilations": "dilation"}.items()
    }
    if not g.use(e.outputs[1]):
        return [g.emit("MaxPool", [g.of(e.inputs[0])], **settings)]
    if any(p.get("padding", ())):
        raise OnnxError("the places of the largest entries in a padded image")
    values, at = g.emit("MaxPool", [g.of(e.inputs[0])], 2, **settings)
    return [values, g.emit("Mod", [at, g.scalar(product(shape[2:]))])]
