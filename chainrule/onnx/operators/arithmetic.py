"""Operators entry by entry, and those that sum."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

import chainrule as cr
from chainrule.dtypes import as_dtype
from chainrule.nn import functional as F
from chainrule.onnx.operators.registry import Running, operator
from chainrule.tensor import Tensor

#: Operators that are one function of all inputs.
_PLAIN: dict[str, Callable[..., Any]] = {
    "Abs": cr.abs, "Acos": cr.acos, "Acosh": cr.acosh, "Add": cr.add, "And": cr.logical_and, "Asin": cr.asin,
    "Asinh": cr.asinh, "Atan": cr.atan, "Atanh": cr.atanh, "BitwiseAnd": cr.bitwise_and,
    "BitwiseNot": cr.bitwise_not, "BitwiseOr": cr.bitwise_or, "BitwiseXor": cr.bitwise_xor, "Ceil": cr.ceil,
    "Cos": cr.cos, "Cosh": cr.cosh, "Det": cr.linalg.det, "Equal": cr.eq, "Erf": cr.erf, "Exp": cr.exp,
    "Floor": cr.floor, "Greater": cr.gt, "GreaterOrEqual": cr.ge, "HardSwish": F.hardswish, "IsNaN": cr.isnan,
    "Less": cr.lt, "LessOrEqual": cr.le, "Log": cr.log, "MatMul": cr.matmul, "Mish": F.mish, "Mul": cr.mul,
    "Neg": cr.neg, "Not": cr.logical_not, "Or": cr.logical_or, "Reciprocal": cr.reciprocal, "Relu": F.relu,
    "Round": cr.round, "Sigmoid": cr.sigmoid, "Sign": cr.sign, "Sin": cr.sin, "Sinh": cr.sinh, "Softsign": F.softsign,
    "Sqrt": cr.sqrt, "Sub": cr.sub, "Tan": cr.tan, "Tanh": cr.tanh, "Where": cr.where, "Xor": cr.logical_xor,
}  # fmt: skip


@operator(*_PLAIN)
def plain(node: Running) -> Tensor:
    """The function of the same meaning."""
    result: Tensor = _PLAIN[node.kind](*[node.tensor(i) for i in range(len(node.values))])
    return result


@operator("Identity", "Dropout")
def identity(node: Running) -> Tensor:
    """The input. A dropout that is told to drop is refused."""
    if node.kind == "Dropout" and node.has(2) and node.numbers(2).any():
        raise node.refuse("dropout in training mode is not read.")
    return node.tensor(0)


@operator("Div")
def div(node: Running) -> Tensor:
    """Towards zero, for whole numbers."""
    x, y = node.tensor(0), node.tensor(1)
    return x / y if x.dtype.is_floating_point else cr.div(x, y, rounding_mode="trunc")


@operator("Mod")
def mod(node: Running) -> Tensor:
    """With the divisor's sign, or with `fmod` the other's."""
    return (cr.fmod if node.attribute("fmod", 0) else cr.remainder)(node.tensor(0), node.tensor(1))


@operator("Pow")
def power(node: Running) -> Tensor:
    """In the type of the base."""
    x, y = node.tensor(0), node.tensor(1)
    return cr.pow(x, y).to(x.dtype)


@operator("Max", "Min", "Sum", "Mean")
def several(node: Running) -> Tensor:
    """Of any number of tensors."""
    parts = [node.tensor(i) for i in range(len(node.values))]
    function = {"Max": cr.maximum, "Min": cr.minimum}.get(node.kind, cr.add)
    result: Tensor = functools.reduce(function, parts)
    return result / len(parts) if node.kind == "Mean" else result


@operator("Clip")
def clip(node: Running) -> Tensor:
    """Between two numbers, each of which may be left out; settings before version 11."""
    x = node.tensor(0)
    low = node.tensor(1) if node.has(1) else node.attribute("min")
    high = node.tensor(2) if node.has(2) else node.attribute("max")
    return x if low is None and high is None else cr.clamp(x, low, high)


@operator("Cast", "CastLike")
def cast(node: Running) -> Tensor:
    """Another data type."""
    x = node.tensor(0)
    return x.to(node.tensor(1).dtype if node.kind == "CastLike" else as_dtype(np.dtype(node.attribute("to"))))


@operator("LeakyRelu", "Elu", "Celu", "ThresholdedRelu")
def with_alpha(node: Running) -> Tensor:
    """Activations with one number."""
    x, alpha = node.tensor(0), node.attribute("alpha", 0.01 if node.kind == "LeakyRelu" else 1.0)
    if node.kind == "ThresholdedRelu":
        return cr.where(x > alpha, x, x.new_zeros(()))
    return {"LeakyRelu": F.leaky_relu, "Elu": F.elu, "Celu": F.celu}[node.kind](x, alpha)


@operator("Selu")
def selu(node: Running) -> Tensor:
    """γ·x above 0, γ·α·(eˣ − 1) below."""
    gamma = node.attribute("gamma", 1.0507009873554805)
    return gamma * F.elu(node.tensor(0), node.attribute("alpha", 1.6732632423543772))


@operator("HardSigmoid")
def hard_sigmoid(node: Running) -> Tensor:
    """αx + β between 0 and 1."""
    return (node.tensor(0) * node.attribute("alpha", 0.2) + node.attribute("beta", 0.5)).clamp(0, 1)


@operator("PRelu")
def prelu(node: Running) -> Tensor:
    """A slope that broadcasts."""
    x, slope = node.tensor(0), node.tensor(1)
    return cr.where(x < 0, x * slope, x)


@operator("Softplus")
def softplus(node: Running) -> Tensor:
    """log(1 + eˣ)."""
    return F.softplus(node.tensor(0), threshold=60)


@operator("Gelu")
def gelu(node: Running) -> Tensor:
    """x·Φ(x)."""
    return F.gelu(node.tensor(0), node.attribute("approximate", "none"))


@operator("Softmax", "LogSoftmax")
def softmax(node: Running) -> Tensor:
    """Along one axis; before version 13 over all from that axis on."""
    x = node.tensor(0)
    function = F.softmax if node.kind == "Softmax" else F.log_softmax
    if node.opset >= 13:
        return function(x, node.attribute("axis", -1))
    axis = node.attribute("axis", 1) % max(x.ndim, 1)
    return function(x.reshape(*x.shape[:axis], -1), -1).reshape(x.shape)


@operator(
    "ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceSumSquare",
    "ReduceLogSum", "ReduceLogSumExp",
)  # fmt: skip
def reduce(node: Running) -> Tensor:
    """Over some axes, or all."""
    x, axes, keep = node.tensor(0), node.listed("axes", 1), bool(node.attribute("keepdims", 1))
    if not axes and node.attribute("noop_with_empty_axes", 0):
        return x
    dims = tuple(axes) if axes else tuple(range(x.ndim))
    kind = node.kind.removeprefix("Reduce")
    if kind in ("Max", "Min"):
        return (x.amax if kind == "Max" else x.amin)(dims, keep)
    if kind == "Prod":
        for dim in sorted((d % x.ndim for d in dims), reverse=True):
            x = x.prod(dim, keep)
        return x
    if kind == "LogSumExp":
        return x.logsumexp(dims, keep)
    if kind == "Mean":
        return x.mean(dims, keep)
    inner = {"L1": cr.abs, "L2": cr.square, "SumSquare": cr.square}.get(kind)
    total = (x if inner is None else inner(x)).sum(dims, keep, dtype=x.dtype)
    return total.sqrt() if kind == "L2" else total.log() if kind == "LogSum" else total


@operator("ArgMax", "ArgMin")
def argmax(node: Running) -> Tensor:
    """Where the largest or smallest stands, the first of equals."""
    if node.attribute("select_last_index", 0):
        raise node.refuse("the last of equals is not read.")
    function = cr.argmax if node.kind == "ArgMax" else cr.argmin
    return function(node.tensor(0), node.attribute("axis", 0), bool(node.attribute("keepdims", 1)))


@operator("CumSum")
def cumulative(node: Running) -> Tensor:
    """Running sums, from either end, with or without the entry itself."""
    x, axis = node.tensor(0), node.whole(1)[0]
    backwards = bool(node.attribute("reverse", 0))
    total = (x.flip(axis).cumsum(axis).flip(axis) if backwards else x.cumsum(axis)).to(x.dtype)
    return total - x if node.attribute("exclusive", 0) else total


@operator("TopK")
def top(node: Running) -> tuple[Tensor, Tensor]:
    """The k largest or smallest with their places, in order."""
    k = node.attribute("k") or node.whole(1)[0]
    x, axis = node.tensor(0), node.attribute("axis", -1)
    values, places = x.sort(axis, bool(node.attribute("largest", 1)), stable=True)
    return values.narrow(axis, 0, k), places.narrow(axis, 0, k)


@operator("Einsum")
def einsum(node: Running) -> Tensor:
    """Sums of products by a formula."""
    return cr.einsum(node.attribute("equation"), *[node.tensor(i) for i in range(len(node.values))])
