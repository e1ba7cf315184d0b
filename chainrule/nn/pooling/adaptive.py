"""Pooling to a given size: the windows are chosen so that the output comes out as wanted, whatever the input."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

from chainrule.devices import CPU
from chainrule.errors import ShapeError
from chainrule.functions.autocasting import in_single
from chainrule.functions.creation import tensor
from chainrule.functions.promotion import in_float32
from chainrule.nn.convolution.layers import batched
from chainrule.nn.module import Module
from chainrule.nn.resizing.axis_map import AxisMap, map_axes, map_axis
from chainrule.primitives.window import MaxPool, WindowSum
from chainrule.tensor import Tensor


def window_bounds(size: int, out: int) -> list[tuple[int, int]]:
    """Where the windows begin and end: from ⌊i·size/out⌋ to ⌈(i + 1)·size/out⌉. They may share an entry.

    >>> window_bounds(7, 3)
    [(0, 3), (2, 5), (4, 7)]
    """
    return [(i * size // out, -(-(i + 1) * size // out)) for i in range(out)]


#: Up to so many entries a window's sum is faster by slices than by a reshape.
_FEW = 64


def _prepared(input: Tensor, output_size: Any, dimensions: int, operation: str) -> tuple[Tensor, bool, tuple[int, ...]]:
    """The input with a batch dimension, whether it had none, and the extents wanted (None: as they are)."""
    x, alone = batched(input, dimensions, operation)
    inside = tuple(x.shape[2:])
    wanted = tuple(output_size) if isinstance(output_size, (tuple, list)) else (output_size,) * dimensions
    if len(wanted) == 1:
        wanted *= dimensions
    if len(wanted) != dimensions or not all(n is None or isinstance(n, int) for n in wanted):
        raise ShapeError(f"{operation}: output_size is an integer or None, or {dimensions} of them, got {output_size}.")
    sizes = tuple(own if n is None else n for own, n in zip(inside, wanted, strict=True))
    if any(n < 1 for n in (*sizes, *inside)):
        raise ShapeError(f"{operation}: {inside} cannot be pooled to {sizes}; all extents are at least 1.")
    return x, alone, sizes


# ------------------------------------------------------------------------------------------------- means


def adaptive_mean(x: Tensor, sizes: tuple[int, ...]) -> Tensor:
    """The means of the windows of (N, C, …).

    Windows of one size that do not overlap are sums of strided slices, or if they are large a reshape and a mean along
    one dimension after the other. Others are a sparse matrix for each dimension.
    """
    dtype, x = x.dtype, in_float32(x)
    whole = [axis for axis, out in enumerate(sizes, 2) if out == 1]
    x = x.mean(whole, keepdim=True) if whole else x
    inside = tuple(x.shape[2:])
    kernel = tuple(n // out for n, out in zip(inside, sizes, strict=True))
    if all(n % out == 0 for n, out in zip(inside, sizes, strict=True)) and 1 < math.prod(kernel) <= _FEW:
        total = WindowSum.apply(x, kernel=kernel, stride=kernel, dilation=(1,) * len(sizes))
        return (total / math.prod(kernel)).to(dtype)
    uneven = {}
    for axis, (n, out) in enumerate(zip(inside, sizes, strict=True), 2):
        if n % out:
            uneven[axis] = _means(n, out)
        elif n != out:
            x = x.unflatten(axis, (out, n // out)).mean(axis + 1)
    return map_axes(x, uneven).to(dtype)


@lru_cache(maxsize=256)
def _means(size: int, out: int) -> AxisMap:
    bounds = window_bounds(size, out)
    return AxisMap([{i: 1 / (end - start) for i in range(start, end)} for start, end in bounds], size)


def _adaptive_avg_pool(dimensions: int, input: Tensor, output_size: Any) -> Tensor:
    x, alone, sizes = _prepared(input, output_size, dimensions, f"adaptive_avg_pool{dimensions}d")
    y = adaptive_mean(x, sizes)
    return y.squeeze(0) if alone else y


def adaptive_avg_pool1d(input: Tensor, output_size: Any) -> Tensor:
    """Means of windows of (N, C, L), `output_size` of them; see `adaptive_avg_pool2d`.

    >>> import chainrule
    >>> adaptive_avg_pool1d(chainrule.tensor([[[1.0, 2.0, 3.0, 4.0, 5.0]]]), 2)
    tensor([[[2., 4.]]])
    """
    return _adaptive_avg_pool(1, input, output_size)


def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """Means of windows of (N, C, H, W) or (C, H, W), so many that the result is (N, C, *output_size).

    output_size: an integer, or one for each dimension; None keeps the extent. Window i of a dimension of n goes from
    ⌊i·n/out⌋ to ⌈(i + 1)·n/out⌉: all of one size if out divides n, else neighbours may share an entry. With
    `output_size=1` it is the mean of each feature map, which frees a classifier from the image size.
    Raises ShapeError for extents below 1.

    Source of pooling to 1×1: Lin, Chen and Yan, "Network in network", 2014.

    >>> import chainrule
    >>> adaptive_avg_pool2d(chainrule.arange(16.0).reshape(1, 1, 4, 4), (2, 1))
    tensor([[[[ 3.5000],
              [11.5000]]]])
    """
    return _adaptive_avg_pool(2, input, output_size)


@in_single
def adaptive_avg_pool3d(input: Tensor, output_size: Any) -> Tensor:
    """Means of windows of (N, C, D, H, W); see `adaptive_avg_pool2d`.

    >>> import chainrule
    >>> adaptive_avg_pool3d(chainrule.ones(1, 1, 4, 5, 6), (2, None, 3)).shape
    Size([1, 1, 2, 5, 3])
    """
    return _adaptive_avg_pool(3, input, output_size)


# ----------------------------------------------------------------------------------------------- maxima


@lru_cache(maxsize=256)
def _equal_windows(size: int, out: int) -> tuple[int, AxisMap | None, Tensor]:
    """The windows made equally long by repeating the last entry, which changes no maximum.

    Their length, the map that makes them (None: they are so already) and the places that it reads.
    """
    bounds = window_bounds(size, out)
    longest = max(end - start for start, end in bounds)
    places = [min(start + k, end - 1) for start, end in bounds for k in range(longest)]
    return (
        longest,
        AxisMap([{place: 1.0} for place in places], size) if size % out else None,
        tensor(places, device=CPU),
    )


def _adaptive_max_pool(dimensions: int, input: Tensor, output_size: Any) -> tuple[Tensor, Tensor]:
    x, alone, sizes = _prepared(input, output_size, dimensions, f"adaptive_max_pool{dimensions}d")
    inside = tuple(x.shape[2:])
    if all(out == 1 for out in sizes):
        values, indices = x.flatten(2).max(2)
        values, indices = (t.reshape(*x.shape[:2], *sizes) for t in (values, indices))
    else:
        windows = [_equal_windows(n, out) for n, out in zip(inside, sizes, strict=True)]
        for axis, (_, repeating, _) in enumerate(windows, 2):
            x = x if repeating is None else map_axis(x, axis, repeating)
        kernel = tuple(length for length, _, _ in windows)
        values, indices = MaxPool.apply(x, kernel=kernel, stride=kernel, dilation=(1,) * dimensions)
        if tuple(x.shape[2:]) != inside:
            indices = _places_before(indices, tuple(x.shape[2:]), inside, [places for _, _, places in windows])
    return (values.squeeze(0), indices.squeeze(0)) if alone else (values, indices)


def _places_before(indices: Tensor, repeated: tuple[int, ...], inside: tuple[int, ...], places: list[Tensor]) -> Tensor:
    """Places in the flattened input with repeated entries as places in the flattened input itself."""
    result, scale = indices * 0, 1
    for extent, own, table in reversed(list(zip(repeated, inside, places, strict=True))):
        result = result + table.to(indices.device)[indices % extent] * scale
        indices, scale = indices // extent, scale * own
    return result


def adaptive_max_pool1d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """The largest entries of windows of (N, C, L), `output_size` of them; see `adaptive_max_pool2d`.

    >>> import chainrule
    >>> adaptive_max_pool1d(chainrule.tensor([[[1.0, 5.0, 3.0, 2.0, 4.0]]]), 2)
    tensor([[[5., 4.]]])
    """
    found = _adaptive_max_pool(1, input, output_size)
    return found if return_indices else found[0]


def adaptive_max_pool2d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """The largest entries of windows of (N, C, H, W) or (C, H, W), so many that the result is (N, C, *output_size).

    The windows are those of `adaptive_avg_pool2d`. With `return_indices` also where each entry stood in the flattened
    image. The gradient goes to that entry alone, the first of equals.

    >>> import chainrule
    >>> adaptive_max_pool2d(chainrule.arange(16.0).reshape(1, 1, 4, 4), (2, 1))
    tensor([[[[ 7.],
              [15.]]]])
    """
    found = _adaptive_max_pool(2, input, output_size)
    return found if return_indices else found[0]


def adaptive_max_pool3d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """The largest entries of windows of (N, C, D, H, W); see `adaptive_max_pool2d`.

    >>> import chainrule
    >>> adaptive_max_pool3d(chainrule.ones(1, 1, 4, 5, 6), 2).shape
    Size([1, 1, 2, 2, 2])
    """
    found = _adaptive_max_pool(3, input, output_size)
    return found if return_indices else found[0]


def adaptive_max_pool1d_with_indices(
    input: Tensor, output_size: Any, return_indices: bool = False
) -> tuple[Tensor, Tensor]:
    """As `adaptive_max_pool1d`, always with the places."""
    return _adaptive_max_pool(1, input, output_size)


def adaptive_max_pool2d_with_indices(
    input: Tensor, output_size: Any, return_indices: bool = False
) -> tuple[Tensor, Tensor]:
    """As `adaptive_max_pool2d`, always with the places."""
    return _adaptive_max_pool(2, input, output_size)


def adaptive_max_pool3d_with_indices(
    input: Tensor, output_size: Any, return_indices: bool = False
) -> tuple[Tensor, Tensor]:
    """As `adaptive_max_pool3d`, always with the places."""
    return _adaptive_max_pool(3, input, output_size)


# ---------------------------------------------------------------------------------------------- modules


class _AdaptiveAvgPool(Module):
    """What the adaptive average-pooling layers share."""

    dimensions = 0

    def __init__(self, output_size: Any) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return _adaptive_avg_pool(self.dimensions, input, self.output_size)

    def extra_repr(self) -> str:
        """The size that comes out."""
        return f"output_size={self.output_size}"


class _AdaptiveMaxPool(Module):
    """What the adaptive max-pooling layers share."""

    dimensions = 0

    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        super().__init__()
        self.output_size, self.return_indices = output_size, return_indices

    def forward(self, input: Tensor) -> Any:
        """See the class."""
        found = _adaptive_max_pool(self.dimensions, input, self.output_size)
        return found if self.return_indices else found[0]

    def extra_repr(self) -> str:
        """The size that comes out."""
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """Means of `output_size` windows of (N, C, L); see `functional.adaptive_avg_pool2d`.

    >>> import chainrule
    >>> AdaptiveAvgPool1d(5)(chainrule.ones(1, 64, 8)).shape
    Size([1, 64, 5])
    """

    dimensions = 1


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """Means of windows of (N, C, H, W), to (N, C, *output_size); arguments as `functional.adaptive_avg_pool2d`.

    >>> import chainrule
    >>> AdaptiveAvgPool2d((5, None))(chainrule.ones(1, 64, 8, 9)).shape
    Size([1, 64, 5, 9])
    """

    dimensions = 2


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    """Means of windows of (N, C, D, H, W), to (N, C, *output_size); see `functional.adaptive_avg_pool2d`.

    >>> import chainrule
    >>> AdaptiveAvgPool3d(2)(chainrule.ones(1, 3, 4, 5, 6)).shape
    Size([1, 3, 2, 2, 2])
    """

    dimensions = 3


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """The largest entries of `output_size` windows of (N, C, L); see `functional.adaptive_max_pool2d`.

    >>> import chainrule
    >>> AdaptiveMaxPool1d(5)(chainrule.ones(1, 64, 8)).shape
    Size([1, 64, 5])
    """

    dimensions = 1


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """The largest entries of windows of (N, C, H, W); arguments as `functional.adaptive_max_pool2d`.

    >>> import chainrule
    >>> AdaptiveMaxPool2d((5, 7))(chainrule.ones(1, 64, 8, 9)).shape
    Size([1, 64, 5, 7])
    """

    dimensions = 2


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """The largest entries of windows of (N, C, D, H, W); see `functional.adaptive_max_pool2d`.

    >>> import chainrule
    >>> AdaptiveMaxPool3d(2)(chainrule.ones(1, 3, 4, 5, 6)).shape
    Size([1, 3, 2, 2, 2])
    """

    dimensions = 3


class GlobalAvgPool1d(AdaptiveAvgPool1d):
    """The mean of each sequence: (N, C, L) to (N, C, 1).

    >>> import chainrule
    >>> GlobalAvgPool1d()(chainrule.tensor([[[1.0, 2.0, 6.0]]]))
    tensor([[[3.]]])
    """

    def __init__(self) -> None:
        super().__init__(1)


class GlobalAvgPool2d(AdaptiveAvgPool2d):
    """The mean of each feature map: (N, C, H, W) to (N, C, 1, 1). `AdaptiveAvgPool2d(1)` by its usual name.

    A classifier behind it needs C inputs, whatever the size of the image. PyTorch has no class of this name.

    Source: Lin, Chen and Yan, "Network in network", 2014.

    >>> import chainrule
    >>> GlobalAvgPool2d()(chainrule.ones(2, 512, 7, 7)).shape
    Size([2, 512, 1, 1])
    """

    def __init__(self) -> None:
        super().__init__(1)


class GlobalAvgPool3d(AdaptiveAvgPool3d):
    """The mean of each volume: (N, C, D, H, W) to (N, C, 1, 1, 1).

    >>> import chainrule
    >>> GlobalAvgPool3d()(chainrule.ones(2, 4, 3, 3, 3)).shape
    Size([2, 4, 1, 1, 1])
    """

    def __init__(self) -> None:
        super().__init__(1)


class GlobalMaxPool1d(AdaptiveMaxPool1d):
    """The largest entry of each sequence: (N, C, L) to (N, C, 1).

    >>> import chainrule
    >>> GlobalMaxPool1d()(chainrule.tensor([[[1.0, 2.0, 6.0]]]))
    tensor([[[6.]]])
    """

    def __init__(self) -> None:
        super().__init__(1)


class GlobalMaxPool2d(AdaptiveMaxPool2d):
    """The largest entry of each feature map: (N, C, H, W) to (N, C, 1, 1). `AdaptiveMaxPool2d(1)` by its usual name.

    >>> import chainrule
    >>> GlobalMaxPool2d()(chainrule.ones(2, 512, 7, 7)).shape
    Size([2, 512, 1, 1])
    """

    def __init__(self) -> None:
        super().__init__(1)


class GlobalMaxPool3d(AdaptiveMaxPool3d):
    """The largest entry of each volume: (N, C, D, H, W) to (N, C, 1, 1, 1).

    >>> import chainrule
    >>> GlobalMaxPool3d()(chainrule.ones(2, 4, 3, 3, 3)).shape
    Size([2, 4, 1, 1, 1])
    """

    def __init__(self) -> None:
        super().__init__(1)
