"""Products: matrices, convolutions, attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.onnx.errors import OnnxError
from chainrule.onnx.rules.registry import primitive
from chainrule.onnx.rules.shapes import reshaped
from chainrule.primitives.low_bits import GROUP


@primitive("MatMul")
def matmul(g: Any, e: Any) -> str:
    """x·y, dimensions in front as they are."""
    return str(g.emit("MatMul", [g.of(x) for x in e.inputs]))


@primitive("Convolution")
def convolution(g: Any, e: Any) -> str:
    """A convolution without a bias; convolutional layers are taken whole."""
    p = e.parameters
    pads = [*p["padding"], *p["padding"]]
    settings = {"strides": list(p["stride"]), "pads": pads, "dilations": list(p["dilation"]), "group": p["groups"]}
    return str(g.emit("Conv", [g.of(x) for x in e.inputs], **settings))


@primitive("ConvolutionTranspose")
def transposed(g: Any, e: Any) -> str:
    """The transpose of a convolution; what the size of the result adds is output padding."""
    y, w = e.inputs
    p = e.parameters
    sizes, kernel = g.shape(y)[2:], g.shape(w)[2:]
    extra = []
    for size, n, k, s, d, pad in zip(p["size"], sizes, kernel, p["stride"], p["dilation"], p["padding"], strict=True):
        extra.append(g.fixed(size - ((n - 1) * s + (k - 1) * d + 1 - 2 * pad), "what a transposed convolution adds"))
    settings = {"strides": list(p["stride"]), "dilations": list(p["dilation"]), "group": p["groups"]}
    return str(
        g.emit("ConvTranspose", [g.of(y), g.of(w)], **transposed_pads(p["padding"], extra, p["stride"]), **settings)
    )


def transposed_pads(padding: Sequence[int], extra: Sequence[int], stride: Sequence[int]) -> dict[str, list[int]]:
    """What is cut off and what is added; entries added at an end that is cut are not cut instead."""
    kept = [min(p, e) for p, e in zip(padding, extra, strict=True)]
    ends = [p - k for p, k in zip(padding, kept, strict=True)]
    added = [e - k for e, k in zip(extra, kept, strict=True)]
    if any(a >= s for a, s in zip(added, stride, strict=True)):
        raise OnnxError(f"ONNX adds less than a stride ({tuple(stride)}) at the end, here it is {tuple(added)}")
    return {"pads": [*padding, *ends], "output_padding": added}


@primitive("Attention")
def attention(g: Any, e: Any) -> str | None:
    """softmax(scale·q·kᵀ + bias)·v: one operator since version 23, else its parts.

    A query that may read nothing gives zeros here; 0/0 in ONNX, so its row is put right where there is a bias.
    """
    if any(g.use(s) for s in e.outputs[1:]):
        raise OnnxError("the logarithm of the sum that softmax divides by was asked for")
    if e.parameters["keep"] != 1:
        raise OnnxError("it drops weights at random: export the model in evaluation")
    q, k, v, *bias = [g.of(x) for x in e.inputs]
    dtype, rank = g.dtype(e.inputs[0]), len(g.shape(e.inputs[0]))
    scale, causal = e.parameters["scale"], e.parameters["causal"]
    scale = g.fixed(scale, "the scale") if not isinstance(scale, float) else scale
    if g.opset >= 23 and rank == 4:
        result = g.emit("Attention", [q, k, v, *bias], scale=float(scale), is_causal=int(causal))
    else:
        scores = g.emit("MatMul", [g.emit("Mul", [q, g.constant(np.array(scale, dtype))]), _transposed(g, k, rank)])
        if causal:
            scores = g.emit("Add", [scores, _triangle(g, g.shape(e.inputs[0])[-2], g.shape(e.inputs[1])[-2], dtype)])
        if bias:
            scores = g.emit("Add", [scores, bias[0]])
        result = g.emit("MatMul", [g.emit("Softmax", [scores], axis=-1), v])
    if not bias:
        return str(result)
    least = bias[0]
    if causal:
        least = g.emit("Add", [least, _triangle(g, g.shape(e.inputs[0])[-2], g.shape(e.inputs[1])[-2], dtype)])
    top = g.reduce("ReduceMax", least, [-1], True)
    nothing = g.emit("Equal", [top, g.constant(np.array(-np.inf, dtype))])
    return str(g.emit("Where", [nothing, g.constant(np.array(0, dtype)), result]))


def _transposed(g: Any, x: str, rank: int) -> str:
    return str(g.emit("Transpose", [x], perm=[*range(rank - 2), rank - 1, rank - 2]))


def _triangle(g: Any, rows: Any, columns: Any, dtype: Any) -> str:
    """0 where column ≤ row, −∞ elsewhere."""
    row = g.emit("Unsqueeze", [g.counting(rows), g.numbers([1])])
    behind = g.emit("Greater", [g.counting(columns), row])
    return str(g.emit("Where", [behind, g.constant(np.array(-np.inf, dtype)), g.constant(np.array(0, dtype))]))


@primitive("LowBitsMatMul")
def low_bits(g: Any, e: Any) -> str:
    """X·Wᵀ with W = scales·numbers: the numbers stay in their bits in the file."""
    x, numbers, scales = e.inputs
    dtype, shape = g.dtype(x), g.shape(numbers)
    whole = g.cast(g.of(numbers), dtype)
    if len(shape) == 3:
        sixteen, eight = g.constant(np.array(16, dtype)), g.constant(np.array(8, dtype))
        upper = g.emit("Floor", [g.emit("Div", [whole, sixteen])])
        lower = g.emit("Sub", [g.emit("Sub", [whole, g.emit("Mul", [upper, sixteen])]), eight])
        whole = g.emit("Concat", [lower, upper], axis=2)
    weight = g.emit("Mul", [whole, g.of(scales)])
    if len(shape) == 3:
        weight = reshaped(g, weight, (shape[0], shape[1] * GROUP))
    return str(g.emit("MatMul", [g.of(x), g.emit("Transpose", [weight], perm=[1, 0])]))
