"""Layers, whole: linear, convolutional, pooling, padding, resizing, embeddings."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule import nn
from chainrule.nn import embedding
from chainrule.nn.convolution.layers import per_dimension
from chainrule.onnx.rules.products import transposed_pads
from chainrule.onnx.rules.registry import block, layer


@layer(nn.Linear)
def linear(g: Any, call: Any) -> list[str]:
    """Gemm for rows; a product and a sum for more dimensions. The weight keeps its name and its shape."""
    module, x = call.first.thing, call.arguments["input"]
    weight = g.of(module.weight.value)
    if len(g.shape(x)) == 2 and module.bias is not None:
        return [g.emit("Gemm", [g.of(x), weight, g.of(module.bias.value)], transB=1)]
    product = g.emit("MatMul", [g.of(x), transposed(g, weight)])
    return [product if module.bias is None else g.emit("Add", [product, g.of(module.bias.value)])]


def transposed(g: Any, weight: str) -> str:
    """The transpose of a matrix of the file, written once."""
    return str(g.once(("transposed", weight), lambda: g.aside("Transpose", [weight], perm=[1, 0])))


@layer(nn.Conv1d, nn.Conv2d, nn.Conv3d)
def convolution(g: Any, call: Any) -> list[str] | None:
    """With its bias and its padding; another padding than zeros is put in front."""
    module, x = call.first.thing, call.arguments["input"]
    if len(g.shape(x)) != module.dimensions + 2:
        return None
    name, pads = g.of(x), _pads(module)
    if module.padding_mode != "zeros":
        name = padded(g, name, pads, module.padding_mode)
        if name is None:
            return None
        pads = [0] * len(pads)
    given = [name, g.of(module.weight.value), *([] if module.bias is None else [g.of(module.bias.value)])]
    settings = {"strides": list(module.stride), "dilations": list(module.dilation), "group": module.groups}
    return [g.emit("Conv", given, pads=pads, kernel_shape=list(module.kernel_size), **settings)]


def _pads(module: Any) -> list[int]:
    """What is added before each dimension, then what is added behind."""
    if module.padding == "valid":
        return [0] * (2 * module.dimensions)
    if module.padding == "same":
        total = [d * (k - 1) for d, k in zip(module.dilation, module.kernel_size, strict=True)]
        return [*[n // 2 for n in total], *[n - n // 2 for n in total]]
    return [*module.padding, *module.padding]


_MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def padded(g: Any, x: str, pads: list[int], mode: str) -> Any:
    """The spatial dimensions padded; None if this version cannot."""
    if mode not in _MODES or (mode == "circular" and g.opset < 19):
        return None
    half = len(pads) // 2
    return g.emit("Pad", [x, g.numbers([0, 0, *pads[:half], 0, 0, *pads[half:]])], mode=_MODES[mode])


@layer(
    nn.ReflectionPad1d, nn.ReflectionPad2d, nn.ReflectionPad3d, nn.ReplicationPad1d, nn.ReplicationPad2d,
    nn.ReplicationPad3d, nn.CircularPad1d, nn.CircularPad2d, nn.CircularPad3d,
)  # fmt: skip
def padding(g: Any, call: Any) -> list[str] | None:
    """Mirrored, repeated or wrapped edges."""
    module = call.first.thing
    x = next(iter(call.arguments.values()))
    pairs = list(zip(module.padding[::2], module.padding[1::2], strict=True))[::-1]
    if len(g.shape(x)) != len(pairs) + 2 or any(n < 0 for pair in pairs for n in pair):
        return None
    name = padded(g, g.of(x), [p[0] for p in pairs] + [p[1] for p in pairs], module.mode)
    return None if name is None else [name]


@layer(nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
def transposed_convolution(g: Any, call: Any) -> list[str] | None:
    """With its bias."""
    module, a = call.first.thing, call.arguments
    if a["output_size"] is not None or len(g.shape(a["input"])) != module.dimensions + 2:
        return None
    given = [g.of(a["input"]), g.of(module.weight.value)]
    given += [] if module.bias is None else [g.of(module.bias.value)]
    settings = {"strides": list(module.stride), "dilations": list(module.dilation), "group": module.groups}
    return [
        g.emit(
            "ConvTranspose", given, **transposed_pads(module.padding, module.output_padding, module.stride), **settings
        )
    ]


@layer(nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)
def max_pool(g: Any, call: Any) -> list[str] | None:
    """The largest of each window; its places, or windows cut off at the end, are left to the parts."""
    module, x = call.first.thing, call.arguments["input"]
    n = module.dimensions
    if module.return_indices or module.ceil_mode or len(g.shape(x)) != n + 2 or g.dtype(x).kind not in "f":
        return None
    pads = list(per_dimension(module.padding, n, "padding", 0))
    settings = _window(module, n) | {"dilations": list(per_dimension(module.dilation, n, "dilation"))}
    return [g.emit("MaxPool", [g.of(x)], pads=[*pads, *pads], **settings)]


@layer(nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)
def average_pool(g: Any, call: Any) -> list[str] | None:
    """The mean of each window."""
    module, x = call.first.thing, call.arguments["input"]
    n = module.dimensions
    if module.ceil_mode or module.divisor_override is not None or len(g.shape(x)) != n + 2:
        return None
    pads = list(per_dimension(module.padding, n, "padding", 0))
    settings = {**_window(module, n), "count_include_pad": int(bool(module.count_include_pad))}
    return [g.emit("AveragePool", [g.of(x)], pads=[*pads, *pads], **settings)]


def _window(module: Any, n: int) -> dict[str, Any]:
    kernel = list(per_dimension(module.kernel_size, n, "kernel_size"))
    stride = kernel if module.stride in ((), [], None) else list(per_dimension(module.stride, n, "stride"))
    return {"kernel_shape": kernel, "strides": stride}


@layer(
    nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d, nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d,
    nn.AdaptiveMaxPool3d,
)  # fmt: skip
def adaptive_pool(g: Any, call: Any) -> list[str] | None:
    """To one entry: the operators for all of an image. Other sizes are left to the parts."""
    module, x = call.first.thing, call.arguments["input"]
    sizes = module.output_size if isinstance(module.output_size, tuple | list) else [module.output_size]
    if set(sizes) != {1} or len(g.shape(x)) != module.dimensions + 2 or getattr(module, "return_indices", False):
        return None
    kind = "GlobalMaxPool" if "Max" in type(module).__name__ else "GlobalAveragePool"
    return [g.emit(kind, [g.of(x)])]


@layer(nn.Upsample, nn.UpsamplingNearest2d, nn.UpsamplingBilinear2d)
def resize(g: Any, call: Any) -> list[str] | None:
    """By the operator where its coordinates are ours to the bit; other factors are left to the parts."""
    module, x = call.first.thing, call.arguments["input"]
    rank = len(g.shape(x))
    kinds = {"nearest": "nearest", "linear": "linear", "bilinear": "linear", "trilinear": "linear", "bicubic": "cubic"}
    factor = module.scale_factor
    factors = list(factor) if isinstance(factor, tuple | list) else [factor] * (rank - 2)
    plain = factor is not None and all(float(f * 64).is_integer() for f in factors)
    if module.mode not in kinds or not plain or module.recompute_scale_factor or g.dtype(x).kind != "f":
        return None
    where = "asymmetric" if module.mode == "nearest" else "align_corners" if module.align_corners else "half_pixel"
    if module.mode == "nearest" and any(f < 1 for f in factors):
        return None
    if not module.align_corners and any(f > 1 and f % 1 for f in factors):
        return None  # where a factor with a fraction leaves the size, everybody reads other entries than it says
    scales = g.constant(np.array([1, 1, *factors], np.float32), "scales")
    settings = {"mode": kinds[module.mode], "coordinate_transformation_mode": where, "cubic_coeff_a": -0.75}
    if module.mode == "nearest":
        settings["nearest_mode"] = "floor"
    return [g.emit("Resize", [g.of(x), "", scales], **settings)]


@layer(nn.Flatten)
def flatten(g: Any, call: Any) -> list[str] | None:
    """Everything but the first dimension as one."""
    module, x = call.first.thing, call.arguments["input"]
    rank = len(g.shape(x))
    if module.start_dim != 1 or module.end_dim not in (-1, rank - 1) or rank < 2:
        return None
    return [g.emit("Flatten", [g.of(x)], axis=1)]


@block(embedding._look_up)
def look_up(g: Any, call: Any) -> list[str]:
    """Rows of a table."""
    words = g.of(call.arguments["words"])
    return [g.emit("Gather", [g.of(call.arguments["weight"]), words], axis=0)]
