"""Resizing and greying of images of bytes to the very numbers that Pillow gives, and so of data sets made with it.

Pillow computes with whole numbers. Each weight is a multiple of 2⁻²², and the result is rounded to bytes after the
columns and again after the rows; grey is a sum of multiples of 2⁻¹⁶. All these numbers are exact in float64 (and
the greys in float32), so it does not matter in which order they are added, nor where they are compiled to.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

from chainrule.nn.resizing.axis_map import AxisMap, map_axis
from chainrule.nn.resizing.resampling import cubic
from chainrule.tensor import Tensor

_ONE = 2**22


def _lanczos(x: float) -> float:
    def sinc(x: float) -> float:
        return math.sin(x * math.pi) / (x * math.pi) if x else 1.0

    return sinc(x) * sinc(x / 3) if -3 <= x < 3 else 0.0


#: Half the width and the shape of each window.
_KERNELS: dict[str, tuple[float, Callable[[float], float]]] = {
    "box": (0.5, lambda x: 1.0 if -0.5 < x <= 0.5 else 0.0),
    "bilinear": (1.0, lambda x: max(0.0, 1 - abs(x))),
    "bicubic": (2.0, lambda x: cubic(x, -0.5)),
    "lanczos": (3.0, _lanczos),
}


@lru_cache(maxsize=256)
def _weights(size: int, out: int, mode: str) -> AxisMap:
    """The matrix that resizes one dimension, times 2²², in whole numbers."""
    support, kernel = _KERNELS[mode]
    step = size / out
    width = max(step, 1.0)
    rows = []
    for o in range(out):
        center = (o + 0.5) * step
        first = max(int(center - support * width + 0.5), 0)
        last = min(int(center + support * width + 0.5), size)
        row = {i: kernel((i - center + 0.5) * (1.0 / width)) for i in range(first, last)}
        total = sum(row.values())
        rows.append({i: float(math.trunc(math.copysign(0.5, w) + w / total * _ONE)) for i, w in row.items()})
    return AxisMap(rows, size)


def resize_bytes(x: Tensor, size: tuple[int, int], mode: str) -> Tensor:
    """uint8 (N, C, H, W) at another size, as `Image.resize` of Pillow: "box", "bilinear", "bicubic" or "lanczos".

    Each row comes first, and then each column, unless the height loses more than twice as many pixels as the width.
    So does Pillow since version 13; older ones always begin with the rows. The bytes between are rounded, so the order
    shows: mostly in one level, with the windows that have negative parts in more.

    >>> import chainrule
    >>> resize_bytes(chainrule.tensor([[[[0, 1, 255]]]], dtype=chainrule.uint8), (1, 2), "bilinear")
    tensor([[[[  0, 160]]]], dtype=chainrule.uint8)
    """
    axes = [(3, size[1]), (2, size[0])]
    shorter, narrower = x.shape[2] - size[0], x.shape[3] - size[1]
    for axis, out in axes[::-1] if shorter > max(0, 2 * narrower) else axes:
        if x.shape[axis] != out:
            total = map_axis(x.double(), axis, _weights(x.shape[axis], out, mode))
            x = ((total + _ONE / 2) / _ONE).floor().clamp(0, 255).to(x.dtype)
    return x


def grey_bytes(x: Tensor) -> Tensor:
    """uint8 (N, 3, H, W) to (N, 1, H, W), as `convert("L")` of Pillow: (19595·R + 38470·G + 7471·B + 2¹⁵)/2¹⁶, cut off.

    >>> import chainrule
    >>> grey_bytes(chainrule.tensor([255, 0, 128], dtype=chainrule.uint8).reshape(1, 3, 1, 1)).item()
    91
    """
    red, green, blue = (x[:, i : i + 1].float() for i in range(3))
    return ((19595 * red + 38470 * green + 7471 * blue + 32768) / 65536).floor().to(x.dtype)
