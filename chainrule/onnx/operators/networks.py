"""Operators that are layers: products, convolutions, pooling, normalisation, attention, resizing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

import chainrule as cr
from chainrule.nn import functional as F
from chainrule.nn.attention.dot_product import causal_mask, forbid
from chainrule.onnx.operators.registry import Running, check_size, operator
from chainrule.tensor import Tensor


@operator("Gemm")
def gemm(node: Running) -> Tensor:
    """α·A·B + β·C, each of A and B transposed or not."""
    a, b = node.tensor(0), node.tensor(1)
    a = a.mT if node.attribute("transA", 0) else a
    b = b.mT if node.attribute("transB", 0) else b
    alpha, beta = node.attribute("alpha", 1.0), node.attribute("beta", 1.0)
    product = a @ b if alpha == 1 else (a @ b) * alpha
    if not node.has(2):
        return product
    return product + (node.tensor(2) if beta == 1 else node.tensor(2) * beta)


def _pads(node: Running, sizes: Sequence[int], kernel: Sequence[int]) -> tuple[list[int], list[int]]:
    """What is added before and behind each spatial dimension."""
    n, auto = len(kernel), node.attribute("auto_pad", "NOTSET")
    if auto in ("NOTSET", ""):
        pads = list(node.attribute("pads", [0] * (2 * n)))
        return pads[:n], pads[n:]
    if auto == "VALID":
        return [0] * n, [0] * n
    strides, dilations = node.attribute("strides", [1] * n), node.attribute("dilations", [1] * n)
    totals = []
    for size, k, s, d in zip(sizes, kernel, strides, dilations, strict=True):
        totals.append(max(0, (-(-size // s) - 1) * s + (k - 1) * d + 1 - size))
    small, large = [t // 2 for t in totals], [t - t // 2 for t in totals]
    return (small, large) if auto == "SAME_UPPER" else (large, small)


def _padded(x: Tensor, before: Sequence[int], after: Sequence[int], value: float) -> Tensor:
    pairs = [n for pair in list(zip(before, after, strict=True))[::-1] for n in pair]
    return F.pad(x, pairs, value=value)


_CONVOLUTIONS = {3: F.conv1d, 4: F.conv2d, 5: F.conv3d}
_TRANSPOSED = {3: F.conv_transpose1d, 4: F.conv_transpose2d, 5: F.conv_transpose3d}
_LARGEST = {3: F.max_pool1d, 4: F.max_pool2d, 5: F.max_pool3d}
_MEANS = {3: F.avg_pool1d, 4: F.avg_pool2d, 5: F.avg_pool3d}


def _by_rank(node: Running, table: dict[int, Any], x: Tensor) -> Any:
    if x.ndim not in table:
        raise node.refuse(f"inputs (N, C, …) with one to three dimensions behind, got {tuple(x.shape)}.")
    return table[x.ndim]


@operator("Conv")
def convolution(node: Running) -> Tensor:
    """With its padding, which may differ before and behind."""
    x, w = node.tensor(0), node.tensor(1)
    n = x.ndim - 2
    function = _by_rank(node, _CONVOLUTIONS, x)
    before, after = _pads(node, x.shape[2:], w.shape[2:])
    if before != after:
        x, before = _padded(x, before, after, 0.0), [0] * n
    strides, dilations = node.attribute("strides", [1] * n), node.attribute("dilations", [1] * n)
    bias = node.tensor(2) if node.has(2) else None
    result: Tensor = function(x, w, bias, tuple(strides), tuple(before), tuple(dilations), node.attribute("group", 1))
    return result


@operator("ConvTranspose")
def transposed(node: Running) -> Tensor:
    """The whole transpose, of which the padding is cut off."""
    x, w = node.tensor(0), node.tensor(1)
    n = x.ndim - 2
    if node.attribute("output_shape") or node.attribute("auto_pad", "NOTSET") != "NOTSET":
        raise node.refuse("output_shape and auto_pad are not read; pads and output_padding are.")
    function = _by_rank(node, _TRANSPOSED, x)
    pads = list(node.attribute("pads", [0] * (2 * n)))
    strides, dilations = node.attribute("strides", [1] * n), node.attribute("dilations", [1] * n)
    extra, bias = node.attribute("output_padding", [0] * n), node.tensor(2) if node.has(2) else None
    same = pads[:n] == pads[n:]
    given = tuple(pads[:n]) if same else (0,) * n
    y: Tensor = function(x, w, bias, tuple(strides), given, tuple(extra), node.attribute("group", 1), tuple(dilations))
    return y if same else _padded(y, [-p for p in pads[:n]], [-p for p in pads[n:]], 0.0)


@operator("MaxPool")
def max_pool(node: Running) -> Any:
    """The largest of each window, and its place in the whole tensor if that is wanted."""
    x, n, kernel, strides = _window(node)
    dilations = node.attribute("dilations", [1] * n)
    before, after = _pads(node, x.shape[2:], kernel)
    ceil, several = bool(node.attribute("ceil_mode", 0)), len(node.step.outputs) > 1
    function = _by_rank(node, _LARGEST, x)
    uneven = before != after or any(2 * p > k for p, k in zip(before, kernel, strict=True))
    if several and (uneven or node.attribute("storage_order", 0)):
        raise node.refuse("places in images padded unevenly, or counted by columns, are not read.")
    if uneven:
        x, before = _padded(x, before, after, -math.inf), [0] * n
    found = function(x, tuple(kernel), tuple(strides), tuple(before), tuple(dilations), ceil, several)
    if not several:
        return found
    values, places = found
    rows = cr.arange(x.shape[0] * x.shape[1]).reshape(x.shape[0], x.shape[1], *[1] * n)
    return values, places + rows * math.prod(x.shape[2:])


def _window(node: Running) -> tuple[Tensor, int, list[int], list[int]]:
    x = node.tensor(0)
    n, kernel = x.ndim - 2, node.attribute("kernel_shape")
    return x, n, list(kernel), list(node.attribute("strides", [1] * n))


@operator("AveragePool")
def average_pool(node: Running) -> Tensor:
    """The mean of each window, of all of it or of what is no padding."""
    x, _, kernel, strides = _window(node)
    if set(node.attribute("dilations", [1])) != {1}:
        raise node.refuse("windows with gaps are not read.")
    before, after = _pads(node, x.shape[2:], kernel)
    function, all_count = _by_rank(node, _MEANS, x), bool(node.attribute("count_include_pad", 0))
    ceil = bool(node.attribute("ceil_mode", 0))
    if before == after and all(2 * p <= k for p, k in zip(before, kernel, strict=True)):
        result: Tensor = function(x, tuple(kernel), tuple(strides), tuple(before), ceil, all_count)
        return result
    if ceil:
        raise node.refuse("ceil_mode with uneven padding is not read.")
    mean = function(_padded(x, before, after, 0.0), tuple(kernel), tuple(strides))
    if not all_count:
        inside = _padded(cr.ones(1, 1, *x.shape[2:], dtype=x.dtype), before, after, 0.0)
        mean = mean / function(inside, tuple(kernel), tuple(strides))
    return mean


@operator("GlobalAveragePool", "GlobalMaxPool")
def global_pool(node: Running) -> Tensor:
    """Over all of an image."""
    x = node.tensor(0)
    dims = tuple(range(2, x.ndim))
    return x.mean(dims, keepdim=True) if node.kind == "GlobalAveragePool" else x.amax(dims, keepdim=True)


# ------------------------------------------------------------------------------------- normalisation


@operator("BatchNormalization")
def batch_norm(node: Running) -> Tensor:
    """By the statistics in the file."""
    if node.attribute("training_mode", 0) or node.attribute("spatial", 1) != 1:
        raise node.refuse("only normalisation by the file's statistics, a mean for each channel, is read.")
    x, weight, bias, mean, variance = (node.tensor(i) for i in range(5))
    return F.batch_norm(x, mean, variance, weight, bias, False, 0.0, node.attribute("epsilon", 1e-5))


@operator("InstanceNormalization")
def instance_norm(node: Running) -> Tensor:
    """Each channel of each sample by itself."""
    return F.instance_norm(
        node.tensor(0), weight=node.tensor(1), bias=node.tensor(2), eps=node.attribute("epsilon", 1e-5)
    )


@operator("LayerNormalization")
def layer_norm(node: Running) -> Tensor:
    """Over the dimensions from an axis on."""
    x = node.tensor(0)
    sizes = x.shape[node.attribute("axis", -1) % x.ndim :]
    bias = node.tensor(2).reshape(sizes) if node.has(2) else None
    return F.layer_norm(x, sizes, node.tensor(1).reshape(sizes), bias, node.attribute("epsilon", 1e-5))


@operator("RMSNormalization")
def rms_norm(node: Running) -> Tensor:
    """By the root of the mean square over the dimensions from an axis on."""
    x = node.tensor(0)
    sizes = x.shape[node.attribute("axis", -1) % x.ndim :]
    return F.rms_norm(x, sizes, node.tensor(1).reshape(sizes), node.attribute("epsilon", 1e-5))


@operator("GroupNormalization")
def group_norm(node: Running) -> Tensor:
    """Groups of channels; before version 21 γ and β are one for each group."""
    x, weight, bias, groups = node.tensor(0), node.tensor(1), node.tensor(2), node.attribute("num_groups")
    if node.opset < 21:
        weight, bias = (p.repeat_interleave(x.shape[1] // groups) for p in (weight, bias))
    return F.group_norm(x, groups, weight, bias, node.attribute("epsilon", 1e-5))


@operator("LRN")
def local_response(node: Running) -> Tensor:
    """Across channels, in windows of odd size."""
    size = node.attribute("size")
    if size % 2 == 0:
        raise node.refuse("windows of even size are not read.")
    alpha, beta = node.attribute("alpha", 1e-4), node.attribute("beta", 0.75)
    return F.local_response_norm(node.tensor(0), size, alpha, beta, node.attribute("bias", 1.0))


@operator("LpNormalization")
def lp_norm(node: Running) -> Tensor:
    """Each vector along an axis by its length."""
    return F.normalize(node.tensor(0), float(node.attribute("p", 2)), node.attribute("axis", -1))


# ------------------------------------------------------------------------------------- attention


@operator("Attention")
def attention(node: Running) -> Tensor:
    """softmax(scale·Q·Kᵀ + mask)·V, heads as a dimension or side by side."""
    if any(node.has(i) for i in range(4, len(node.values))) or any(node.step.outputs[1:]):
        raise node.refuse("keys and values of earlier steps are not read.")
    if node.attribute("softcap", 0.0):
        raise node.refuse("softcap is not read.")
    q, k, v = (node.tensor(i) for i in range(3))
    side_by_side = q.ndim == 3
    if side_by_side:
        heads, key_heads = node.attribute("q_num_heads"), node.attribute("kv_num_heads")
        q, k, v = _heads(q, heads), _heads(k, key_heads), _heads(v, key_heads)
    mask, causal = node.tensor(3) if node.has(3) else None, bool(node.attribute("is_causal", 0))
    if mask is not None and causal:
        triangle = causal_mask(q.shape[-2], k.shape[-2])
        mask = mask & triangle if mask.dtype is cr.bool else mask + forbid(~triangle, mask.dtype)
        causal = False
    scale = node.attribute("scale")
    y = F.scaled_dot_product_attention(q, k, v, mask, 0.0, causal, scale=scale, enable_gqa=q.shape[1] != k.shape[1])
    return y.transpose(1, 2).flatten(2) if side_by_side else y


def _heads(x: Tensor, count: int) -> Tensor:
    return x.reshape(x.shape[0], x.shape[1], count, -1).transpose(1, 2)


# ------------------------------------------------------------------------------------- resizing


@operator("Resize", "Upsample")
def resize(node: Running) -> Tensor:
    """To other sizes: the nearest entry, or weights of two or four, along each dimension."""
    x, mode = node.tensor(0), node.attribute("mode", "nearest")
    old = node.kind == "Upsample" or node.opset < 11
    where = "asymmetric" if old else node.attribute("coordinate_transformation_mode", "half_pixel")
    scales: Any = node.attribute("scales")
    if scales is None and node.has(1 if old else 2) and np.size(node.numbers(1 if old else 2)):
        scales = [float(s) for s in node.numbers(1 if old else 2)]
    sizes = node.whole(3) if not old and node.has(3) and scales is None else None
    if node.attribute("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise node.refuse("keep_aspect_ratio_policy is not read.")
    if node.attribute("antialias", 0) or node.attribute("axes") or node.attribute("exclude_outside", 0):
        raise node.refuse("antialias, axes and exclude_outside are not read.")
    if sizes is None and scales is None:
        raise node.refuse("neither scales nor sizes are given.")
    mode = "linear" if mode == "bilinear" else mode
    out = sizes or [math.floor(n * s) for n, s in zip(x.shape, scales, strict=True)]
    check_size(out)
    for axis, (n, to) in enumerate(zip(tuple(x.shape), out, strict=True)):
        scale = to / n if scales is None else scales[axis]
        if to != n or scale != 1:
            x = _resized(node, x, axis, to, _places(node, n, to, scale, where), mode, old)
    return x


def _places(node: Running, n: int, to: int, scale: float, where: str) -> Any:
    o = np.arange(to)
    if where == "asymmetric":
        return o / scale
    if where == "align_corners":
        return o * ((n - 1) / (to - 1)) if to > 1 else o * 0.0
    if where == "pytorch_half_pixel" and to == 1:
        return o * 0.0
    if where in ("half_pixel", "pytorch_half_pixel"):
        return (o + 0.5) / scale - 0.5
    raise node.refuse(f"the coordinates {where!r} are not read.")


def _resized(node: Running, x: Tensor, axis: int, to: int, places: Any, mode: str, old: bool) -> Tensor:
    last = x.shape[axis] - 1

    def at(index: Any) -> Tensor:
        return x.index_select(axis, cr.tensor(np.clip(index, 0, last).astype(np.int64)))

    def weighed(part: Tensor, weight: Any) -> Tensor:
        return part * cr.tensor(weight.astype(np.float64)).to(x.dtype).reshape(-1, *[1] * (x.ndim - axis - 1))

    if mode == "nearest":
        how = "floor" if old else node.attribute("nearest_mode", "round_prefer_floor")
        rounding: dict[str, Any] = {
            "floor": np.floor, "ceil": np.ceil, "round_prefer_floor": lambda p: np.ceil(p - 0.5),
            "round_prefer_ceil": lambda p: np.floor(p + 0.5),
        }  # fmt: skip
        return at(rounding[how](places))
    first = np.floor(places)
    t = places - first
    if mode == "linear":
        clipped = np.clip(places, 0, last)
        first = np.floor(clipped)
        return weighed(at(first), 1 - (clipped - first)) + weighed(at(first + 1), clipped - first)
    if mode != "cubic":
        raise node.refuse(f"the mode {mode!r} is not read.")
    a = node.attribute("cubic_coeff_a", -0.75)
    near = [((a + 2) * s - (a + 3)) * s * s + 1 for s in (t, 1 - t)]
    far = [((a * s - 5 * a) * s + 8 * a) * s - 4 * a for s in (1 + t, 2 - t)]
    taps = ((first - 1, far[0]), (first, near[0]), (first + 1, near[1]), (first + 2, far[1]))
    parts = [weighed(at(index), weight) for index, weight in taps]
    return parts[0] + parts[1] + parts[2] + parts[3]
