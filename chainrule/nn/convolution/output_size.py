"""How large the outputs of layers with windows are."""

from __future__ import annotations

from typing import Any

from chainrule.errors import ShapeError
from chainrule.primitives.contraction import window_count


def output_size(
    size: Any, kernel_size: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False
) -> Any:
    """The size of what a convolution or pooling makes of `size`: ⌊(W + 2P − D(K − 1) − 1)/S⌋ + 1 for each dimension.

    size: an integer, or one for each dimension, and so is the result. padding: also "same" (the size stays) and "valid"
    (0). With `ceil_mode`, as in pooling, a partial window at the end counts if it begins inside.
    Raises ShapeError where not one window fits. Source: E 4.2.7, I III.1.

    >>> output_size(32, 5), output_size(32, 5, padding=2), output_size((224, 224), 7, stride=2, padding=3)
    (28, 32, (112, 112))
    """
    sizes = one_for_each(size)
    if padding == "same":
        return size
    around = 0 if padding == "valid" else padding
    settings = [one_for_each(setting, len(sizes)) for setting in (kernel_size, stride, around, dilation)]
    found = tuple(_windows(n, k, s, p, d, ceil_mode) for n, k, s, p, d in zip(sizes, *settings, strict=True))
    if any(extent < 1 for extent in found):
        raise ShapeError(f"output_size: a window of {kernel_size} (dilation {dilation}) does not fit into {size}.")
    return found if isinstance(size, (tuple, list)) else found[0]


def _windows(size: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool) -> int:
    count = window_count(size, kernel, stride, padding, dilation)
    left_over = (size + 2 * padding - dilation * (kernel - 1) - 1) % stride
    return count + 1 if ceil_mode and left_over and count * stride < size + padding else count


def one_for_each(setting: Any, count: int = 1) -> tuple[int, ...]:
    """A setting as one number for each dimension. Raises ShapeError for another count of numbers."""
    values = tuple(setting) if isinstance(setting, (tuple, list)) else (setting,) * count
    if len(values) != count and count > 1:
        raise ShapeError(f"one number or {count}, one for each dimension, got {setting!r}.")
    return values
