"""Primitives that move entries."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.onnx.rules.registry import primitive
from chainrule.onnx.sizes import Size


@primitive("Broadcast")
def broadcast(g: Any, e: Any) -> None:
    """Not written until somebody needs it: elementwise operators broadcast by themselves."""
    g.spread[e.outputs[0]] = e.inputs[0]


@primitive("Reshape")
def reshape(g: Any, e: Any) -> str:
    """Another shape; the one size that varies, if it is the only one, is left to be found (−1)."""
    x, to = e.inputs[0], e.parameters["to"]
    if (product := _product_of_rows(g, x, to)) is not None:
        return product
    return reshaped(g, g.of(x), to)


def reshaped(g: Any, x: str, to: tuple[Any, ...]) -> str:
    """A tensor in another shape."""
    varying = [i for i, size in enumerate(to) if isinstance(size, Size)]
    if len(varying) == 1 and 0 not in to:
        to = tuple(-1 if i == varying[0] else size for i, size in enumerate(to))
    # 0 is a size of 0, not "as before"; the operator copies sizes from the input otherwise.
    return str(g.emit("Reshape", [x, g.numbers(to)], allowzero=1 if 0 in to and g.opset >= 14 else None))


def _product_of_rows(g: Any, x: Any, to: tuple[Any, ...]) -> str | None:
    """A product of rows that are laid together before it and taken apart behind it is one of more dimensions."""
    made = g.maker(x, "MatMul")
    if made is None or g.use(x) != 1 or g.shape(made.inputs[1])[:-2]:
        return None
    rows = g.maker(made.inputs[0], "Reshape")
    if rows is None:
        return None
    before = g.shape(rows.inputs[0])
    if before[:-1] != to[:-1] or before[-1] != g.shape(made.inputs[0])[-1]:
        return None
    return str(g.emit("MatMul", [g.of(rows.inputs[0]), g.of(made.inputs[1])]))


@primitive("Permute")
def permute(g: Any, e: Any) -> str:
    """Dimensions in another order; back in the first one after two."""
    x, order = e.inputs[0], list(e.parameters["order"])
    made = g.maker(x, "Permute")
    if made is not None:
        x, order = made.inputs[0], [made.parameters["order"][i] for i in order]
    if order == sorted(order):
        return str(g.of(x))
    return str(g.emit("Transpose", [g.of(x)], perm=order))


@primitive("Flip")
def flip(g: Any, e: Any) -> str:
    """Backwards along some axes: a slice with the step −1."""
    axes = list(e.parameters["axes"])
    back = g.numbers([-1] * len(axes))
    ends = g.numbers([-(2**62)] * len(axes))
    return str(g.emit("Slice", [g.of(e.inputs[0]), back, ends, g.numbers(axes), back]))


@primitive("Pad")
def pad(g: Any, e: Any) -> str:
    """Constants around, or entries cut off."""
    x, p = e.inputs[0], e.parameters
    if not any(isinstance(n, Size) or n for n in (*p["before"], *p["after"])):
        return str(g.of(x))
    fill = g.constant(np.array(p["constant"], g.dtype(x)))
    return str(g.emit("Pad", [g.of(x), g.numbers([*p["before"], *p["after"]]), fill], mode="constant"))


@primitive("Concatenate")
def concatenate(g: Any, e: Any) -> str:
    """One after the other."""
    if len(e.inputs) == 1:
        return str(g.of(e.inputs[0]))
    return str(g.emit("Concat", [g.of(x) for x in e.inputs], axis=e.parameters["axis"]))
