"""Normalisation: batch, layer, group, instance, by the root of the mean square; across channels."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule import nn
from chainrule.nn.normalisation import functions
from chainrule.onnx.rules.registry import block, layer
from chainrule.primitives.value import Value


@layer(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
def batch_norm(g: Any, call: Any) -> list[str] | None:
    """By the running statistics; without them by those of the batch, which is left to its parts."""
    module, x = call.first.thing, call.arguments["input"]
    if module.running_mean is None or g.dtype(x).itemsize < 4:
        return None
    return [g.emit("BatchNormalization", _normaliser(g, module, x), epsilon=module.eps)]


def _normaliser(g: Any, module: Any, x: Any) -> list[str]:
    count, dtype = module.num_features, g.dtype(x)
    weight = g.constant(np.ones(count, dtype)) if module.weight is None else g.of(module.weight.value)
    bias = g.constant(np.zeros(count, dtype)) if module.bias is None else g.of(module.bias.value)
    return [g.of(x), weight, bias, g.of(module.running_mean.value), g.of(module.running_var.value)]


@layer(nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)
def instance_norm(g: Any, call: Any) -> list[str] | None:
    """Each channel of each sample by itself; one that uses running statistics is batch normalisation."""
    module, x = call.first.thing, call.arguments["input"]
    if len(g.shape(x)) != _rank(module) or g.dtype(x).itemsize < 4:
        return None
    if module.running_mean is not None:
        return [g.emit("BatchNormalization", _normaliser(g, module, x), epsilon=module.eps)]
    channels, dtype = g.fixed(g.shape(x)[1], "the number of channels"), g.dtype(x)
    weight = g.constant(np.ones(channels, dtype)) if module.weight is None else g.of(module.weight.value)
    bias = g.constant(np.zeros(channels, dtype)) if module.bias is None else g.of(module.bias.value)
    return [g.emit("InstanceNormalization", [g.of(x), weight, bias], epsilon=module.eps)]


def _rank(module: Any) -> int:
    return 2 + int(type(module).__name__[-2])


@layer(nn.GroupNorm)
def group_norm(g: Any, call: Any) -> list[str] | None:
    """One operator since version 21; before, its parts."""
    module, x = call.first.thing, call.arguments["input"]
    if g.opset < 21 or module.weight is None or g.dtype(x).itemsize < 4 or len(g.shape(x)) < 3:
        return None
    count, dtype = module.num_channels, g.dtype(x)
    bias = g.constant(np.zeros(count, dtype)) if module.bias is None else g.of(module.bias.value)
    given = [g.of(x), g.of(module.weight.value), bias]
    return [g.emit("GroupNormalization", given, num_groups=module.num_groups, epsilon=module.eps)]


@block(functions.standardise)
def standardise(g: Any, call: Any) -> list[str | None] | None:
    """Over the last dimensions: layer normalisation, an operator since version 17."""
    a = call.arguments
    x, axes = a["x"], a["axes"]
    rank = len(g.shape(x))
    if g.opset < 17 or list(axes) != list(range(rank - len(axes), rank)) or g.dtype(x).itemsize < 4:
        return None
    sizes = g.shape(x)[-len(axes) :]
    dtype = g.dtype(x)
    for name in ("weight", "bias"):
        if a[name] is not None and not _fits(g.shape(a[name]), sizes):
            return None
    if a["weight"] is None:
        weight = g.constant(np.ones([g.fixed(size, "what is normalised") for size in sizes], dtype))
    else:
        weight = parameter(g, a["weight"], sizes)
    given = [g.of(x), weight]
    if a["bias"] is not None:
        given.append(parameter(g, a["bias"], sizes))
    name = g.emit("LayerNormalization", given, axis=-len(axes), epsilon=a["eps"])
    return [name, None, None, None]


def _fits(shape: Any, sizes: Any) -> bool:
    """Whether γ or β has an entry for each place that is normalised over, and no more."""
    shape = tuple(shape)
    return shape[len(shape) - len(sizes) :] == tuple(sizes) and all(n == 1 for n in shape[: len(shape) - len(sizes)])


def parameter(g: Any, value: Value, sizes: Any) -> str:
    """γ or β before it was given leading dimensions of size 1, where it was; what the operator wants."""
    symbol = value.array
    made = g.maker(symbol, "Reshape")
    if made is not None and g.shape(made.inputs[0]) == tuple(sizes):
        return str(g.of(made.inputs[0]))
    if len(g.shape(symbol)) == len(sizes):
        return str(g.of(value))
    return str(g.emit("Reshape", [g.of(value), g.numbers(sizes)]))


@block(functions._divide_by_rms)
def rms_norm(g: Any, call: Any) -> list[str | None] | None:
    """An operator since version 23."""
    a = call.arguments
    x, axes = a["x"], a["axes"]
    rank = len(g.shape(x))
    if g.opset < 23 or list(axes) != list(range(rank - len(axes), rank)) or g.dtype(x).itemsize < 4:
        return None
    sizes = g.shape(x)[-len(axes) :]
    if a["weight"] is None:
        weight = g.constant(np.ones([g.fixed(size, "what is normalised") for size in sizes], g.dtype(x)))
    elif _fits(g.shape(a["weight"]), sizes):
        weight = parameter(g, a["weight"], sizes)
    else:
        return None
    return [g.emit("RMSNormalization", [g.of(x), weight], axis=-len(axes), epsilon=a["eps"]), None]


@layer(nn.LocalResponseNorm)
def local_response(g: Any, call: Any) -> list[str] | None:
    """Across channels, in windows of odd size (the operator lays even ones in another way)."""
    module, x = call.first.thing, call.arguments["input"]
    if module.size % 2 == 0 or len(g.shape(x)) != 4 or g.dtype(x) != np.float32:
        return None
    settings = {"alpha": module.alpha, "beta": module.beta, "bias": module.k, "size": module.size}
    return [g.emit("LRN", [g.of(x)], **{k: v if k == "size" else float(v) for k, v in settings.items()})]
