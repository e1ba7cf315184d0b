"""Normalisation: batch, layer, group, instance, by the root of the mean square; across channels."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule import nn
from chainrule.nn.normalisation import functions
from chainrule.onnx.rules.registry import block, layer
from chainrule.primitives.value import Value


@layer(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
def batch_norm(g: Any, call: Any) -> list[str] | None:
    """By the running statistics; without them by those of the batch, which is left to its parts."""
    module, x = call.first.thing, call.arguments["input"]
    if module.running_mean is None or g.dtype(x).itemsize < 4:
        return None
    return [g.emit("BatchNormalization", _normaliser(g, module, x), epsilon=module.eps)]


def _normaliser(g: Any, module: Any, x: Any) -> list[str]:
    given = [g.of(x), *_affine(g, module, module.num_features, g.dtype(x))]
    return [*given, g.of(module.running_mean.value), g.of(module.running_var.value)]


def _affine(g: Any, module: Any, count: int, dtype: Any) -> list[str]:
    """γ and β of the channels (count,); ones and zeros where the module has none."""
    weight = g.constant(np.ones(count, dtype)) if module.weight is None else g.of(module.weight.value)
    bias = g.constant(np.zeros(count, dtype)) if module.bias is None else g.of(module.bias.value)
    return [weight, bias]


@layer(nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)
def instance_norm(g: Any, call: Any) -> list[str] | None:
    """Each channel of each sample by itself; one that uses running statistics is batch normalisation."""
    module, x = call.first.thing, call.arguments["input"]
    if len(g.shape(x)) != _rank(module) or g.dtype(x).itemsize < 4:
        return None
    if module.running_mean is not None:
        return [g.emit("BatchNormalization", _normaliser(g, module, x), epsilon=module.eps)]
    channels, dtype = g.fixed(g.shape(x)[1], "the number of channels"), g.dtype(x)
    given = [g.of(x), *_affine(g, module, channels, dtype)]
    return [g.emit("InstanceNormalization", given, epsilon=module.eps)]


def _rank(module: Any) -> int:
    return 2 + int(type(module).__name__[-2])


@layer(nn.GroupNorm)
def group_norm(g: Any, call: Any) -> list[str] | None:
    """One operator since version 21; before, its parts."""
    module, x = call.first.thing, call.arguments["input"]
    if g.opset < 21 or module.weight is None or g.dtype(x).itemsize < 4 or len(g.shape(x)) < 3:
        return None
    given = [g.of(x), *_affine(g, module, module.num_channels, g.dtype(x))]
    return [g.emit("GroupNormalization", given, num_groups=module.num_groups, epsilon=module.eps)]


@block(functions.standardise)
def standardise(g: Any, call: Any) -> list[str | None] | None:
    """Over the last dimensions: layer normalisation, an operator since version 17."""
    given = _over_the_last(g, call.arguments, since=17)
    return None if given is None else [_normalised(g, "LayerNormalization", given, call.arguments), None, None, None]


@block(functions._divide_by_rms)
def rms_norm(g: Any, call: Any) -> list[str | None] | None:
    """By the root of the mean square over the last dimensions, an operator since version 23."""
    given = _over_the_last(g, call.arguments, since=23)
    return None if given is None else [_normalised(g, "RMSNormalization", given, call.arguments), None]


def _normalised(g: Any, operator: str, given: list[str], arguments: Any) -> str:
    return str(g.emit(operator, given, axis=-len(arguments["axes"]), epsilon=arguments["eps"]))


def _over_the_last(g: Any, arguments: Any, since: int) -> list[str] | None:
    """x, γ and, where there is one, β, for an operator that normalises over the last dimensions.

    None where the version has no such operator, the axes are others, or γ or β has another shape.
    """
    x, axes = arguments["x"], arguments["axes"]
    rank, dtype = len(g.shape(x)), g.dtype(x)
    if g.opset < since or list(axes) != list(range(rank - len(axes), rank)) or dtype.itemsize < 4:
        return None
    sizes = g.shape(x)[-len(axes) :]
    weight, bias = arguments["weight"], arguments.get("bias")
    if any(given is not None and not _fits(g.shape(given), sizes) for given in (weight, bias)):
        return None
    if weight is None:
        scale = g.constant(np.ones([g.fixed(size, "what is normalised") for size in sizes], dtype))
    else:
        scale = parameter(g, weight, sizes)
    return [g.of(x), scale, *([] if bias is None else [parameter(g, bias, sizes)])]


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


@layer(nn.LocalResponseNorm)
def local_response(g: Any, call: Any) -> list[str] | None:
    """Across channels, in windows of odd size (the operator lays even ones in another way)."""
    module, x = call.first.thing, call.arguments["input"]
    if module.size % 2 == 0 or len(g.shape(x)) != 4 or g.dtype(x) != np.float32:
        return None
    settings = {"alpha": module.alpha, "beta": module.beta, "bias": module.k, "size": module.size}
    return [g.emit("LRN", [g.of(x)], **{k: v if k == "size" else float(v) for k, v in settings.items()})]
