"""Products summed over shared dimensions. XLA is told to multiply in the full precision of the type.

Images are (N, …, C) here: `layout.py` brings them so. Weights are (O, I, …) as everywhere.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import lax

from chainrule.backends.xla.rules.table import rule
from chainrule.primitives import contraction as c
from chainrule.primitives.low_bits import LowBitsMatMul

FULL = lax.Precision.HIGHEST


@rule(c.MatMul)
def matmul(x: Any, y: Any) -> Any:
    """X·Y."""
    return jnp.matmul(x, y, precision=FULL)


@rule(LowBitsMatMul)
def low_bits_matmul(x: Any, numbers: Any, scales: Any) -> Any:
    """X·(scales ⊙ numbers)ᵀ; in 4 bits, a byte is 16·upper + lower + 8."""
    if numbers.ndim == 3:
        numbers = jnp.concatenate([(numbers & 15) - 8, numbers >> 4], axis=2)
    weight = (numbers.astype(scales.dtype) * scales).reshape(numbers.shape[0], -1)
    return jnp.matmul(x, weight.T, precision=FULL)


def _numbers(n: int, swapped: bool = False) -> lax.ConvDimensionNumbers:
    """How dimensions are arranged. Swapped: what is summed over are samples, for the gradient of the weight."""
    image, weight = (0, n + 1, *range(1, n + 1)), tuple(range(n + 2))
    if not swapped:
        return lax.ConvDimensionNumbers(image, weight, image)
    turned = (image[1], image[0], *image[2:])
    return lax.ConvDimensionNumbers(turned, turned, (1, 0, *range(2, n + 2)))


def convolution(x: Any, w: Any, *, stride: Any, padding: Any, dilation: Any, groups: int) -> Any:
    """y = x ⋆ w."""
    return lax.conv_general_dilated(
        x, w, stride, [(p, p) for p in padding], rhs_dilation=dilation, feature_group_count=groups, precision=FULL,
        dimension_numbers=_numbers(len(stride)),
    )  # fmt: skip


def convolution_transpose(y: Any, w: Any, *, size: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> Any:
    """x = the transpose of the convolution: y spread by the stride meets the kernel read backwards."""
    n = len(size)
    w = jnp.flip(w, tuple(range(2, n + 2)))
    outputs, inputs, kernel = w.shape[0] // groups, w.shape[1], w.shape[2:]
    w = w.reshape(groups, outputs, inputs, *kernel).swapaxes(1, 2).reshape(groups * inputs, outputs, *kernel)
    edges = []
    for extent, o, k, s, p, d in zip(size, y.shape[1:-1], kernel, stride, padding, dilation, strict=True):
        before = d * (k - 1) - p
        edges.append((before, extent - before - (o - 1) * s - 1 + d * (k - 1)))
    return lax.conv_general_dilated(
        y, w, (1,) * n, edges, lhs_dilation=stride, rhs_dilation=dilation, feature_group_count=groups, precision=FULL,
        dimension_numbers=_numbers(n),
    )  # fmt: skip


def convolution_weight(x: Any, y: Any, *, kernel: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> Any:
    """w̄ = the correlation of x with ȳ: samples are what is summed over, the result's gradient is the kernel."""
    edges = []
    for n, o, k, s, p, d in zip(x.shape[1:-1], y.shape[1:-1], kernel, stride, padding, dilation, strict=True):
        edges.append((p, d * (k - 1) + (o - 1) * s + 1 - n - p))
    return lax.conv_general_dilated(
        x, y, dilation, edges, rhs_dilation=stride, batch_group_count=groups, precision=FULL,
        dimension_numbers=_numbers(len(kernel), swapped=True),
    )  # fmt: skip
