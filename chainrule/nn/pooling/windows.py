"""Pooling: each window of a feature map becomes one number, its largest entry or its mean."""

from __future__ import annotations

import math
from typing import Any

from chainrule.autodiff.composite import composite
from chainrule.dtypes import IntegerLimits
from chainrule.errors import ShapeError
from chainrule.functions.autocasting import in_single
from chainrule.functions.creation import ones
from chainrule.functions.promotion import in_float32
from chainrule.functions.shape import pad as pad_tensor
from chainrule.nn.convolution.layers import batched, per_dimension
from chainrule.nn.module import Module
from chainrule.primitives.window import MaxPool, WindowSum
from chainrule.tensor import Tensor


def _extra(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    """How many entries `ceil_mode` adds at the end, so that the last, partial window counts too.

    A window that would start in the padding at the end is left out.
    """
    reach = dilation * (kernel - 1) + 1
    span = size + 2 * padding - reach
    windows = -(-span // stride) + 1
    if (windows - 1) * stride >= size + padding:
        windows -= 1
    return max(0, (windows - 1) * stride + reach - size - 2 * padding)


def _surroundings(
    x: Tensor,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    ceil_mode: bool,
) -> tuple[list[int], list[int]]:
    """The padding at both ends of each spatial dimension, and the part at the end that only `ceil_mode` needs."""
    if any(2 * p > k for k, p in zip(kernel, padding, strict=True)):
        raise ShapeError(f"the padding {padding} must be at most half of the kernel {kernel}.")
    sizes = zip(x.shape[2:], kernel, stride, padding, dilation, strict=True)
    return list(padding), [_extra(*size) if ceil_mode else 0 for size in sizes]


def _pairs(before: list[int], after: list[int]) -> list[int]:
    return [n for pair in zip(reversed(before), reversed(after), strict=True) for n in pair]


def _max_pool(
    dimensions: int,
    input: Tensor,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
    return_indices: bool,
) -> Any:
    x, alone = batched(input, dimensions, f"max_pool{dimensions}d")
    kernel = per_dimension(kernel_size, dimensions, "kernel_size")
    steps = kernel if stride is None or stride in ((), []) else per_dimension(stride, dimensions, "stride")
    spread = per_dimension(dilation, dimensions, "dilation")
    before, extra = _surroundings(x, kernel, steps, per_dimension(padding, dimensions, "padding", 0), spread, ceil_mode)
    after = [p + e for p, e in zip(before, extra, strict=True)]
    lowest = -math.inf if x.dtype.is_floating_point else IntegerLimits(x.dtype).min
    padded = pad_tensor(x, _pairs(before, after), value=lowest) if any(after) else x
    edges = {"padding": tuple(before)} if any(before) and x.dtype.is_floating_point else {}
    values, indices = MaxPool.apply(padded, kernel=kernel, stride=steps, dilation=spread, **edges)
    if not return_indices:
        return values.squeeze(0) if alone else values
    places = _without_padding(indices, tuple(padded.shape[2:]), tuple(x.shape[2:]), before)
    return (values.squeeze(0), places.squeeze(0)) if alone else (values, places)


def _without_padding(indices: Tensor, padded: tuple[int, ...], size: tuple[int, ...], before: list[int]) -> Tensor:
    """Places in the flattened padded input as places in the flattened input."""
    result = indices * 0
    scale = 1
    for extent, own, p in zip(reversed(padded), reversed(size), reversed(before), strict=True):
        result = result + (indices % extent - p) * scale
        indices = indices // extent
        scale *= own
    return result


def max_pool1d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest entry of every window of (N, C, L); see `max_pool2d`.

    >>> import chainrule
    >>> max_pool1d(chainrule.tensor([[[1.0, 5.0, 2.0, 3.0]]]), 2)
    tensor([[[5., 3.]]])
    """
    return _max_pool(1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool2d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest entry of every window of (N, C, H, W) or (C, H, W).

    The stride is the kernel size unless given; padding counts as −∞; with `ceil_mode` partial windows at the end
    count too; with `return_indices` also where each stood in the flattened image. The gradient goes to that entry
    alone, the first of equals.

    >>> import chainrule
    >>> max_pool2d(chainrule.arange(16.0).reshape(1, 1, 4, 4), 2)
    tensor([[[[ 5.,  7.],
              [13., 15.]]]])
    """
    return _max_pool(2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool3d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest entry of every window of (N, C, D, H, W); see `max_pool2d`.

    >>> import chainrule
    >>> max_pool3d(chainrule.ones(1, 1, 4, 4, 4), 2).shape
    Size([1, 1, 2, 2, 2])
    """
    return _max_pool(3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool1d_with_indices(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> tuple[Tensor, Tensor]:
    """As `max_pool1d`, always with the places."""
    return _max_pool(1, input, kernel_size, stride, padding, dilation, ceil_mode, True)


def max_pool2d_with_indices(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> tuple[Tensor, Tensor]:
    """As `max_pool2d`, always with the places."""
    return _max_pool(2, input, kernel_size, stride, padding, dilation, ceil_mode, True)


def max_pool3d_with_indices(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> tuple[Tensor, Tensor]:
    """As `max_pool3d`, always with the places."""
    return _max_pool(3, input, kernel_size, stride, padding, dilation, ceil_mode, True)


def _avg_pool(
    dimensions: int,
    input: Tensor,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Tensor:
    x, alone = batched(input, dimensions, f"avg_pool{dimensions}d")
    kernel = per_dimension(kernel_size, dimensions, "kernel_size")
    steps = kernel if stride is None or stride in ((), []) else per_dimension(stride, dimensions, "stride")
    once = (1,) * dimensions
    before, extra = _surroundings(x, kernel, steps, per_dimension(padding, dimensions, "padding", 0), once, ceil_mode)
    if divisor_override == 0:
        raise ShapeError("divisor_override divides, so it is not 0.")
    y = _means(x, kernel, steps, before, extra, count_include_pad, divisor_override)
    return y.squeeze(0) if alone else y


@composite
def _means(
    x: Tensor,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    before: list[int],
    extra: list[int],
    count_include_pad: bool,
    divisor_override: int | None,
) -> Tensor:
    """The means of windows; before, extra: what is added in front of each dimension, and for `ceil_mode` behind."""
    settings = {"kernel": kernel, "stride": stride, "dilation": (1,) * len(kernel)}
    after = [p + e for p, e in zip(before, extra, strict=True)]
    wide = in_float32(x)
    padded = pad_tensor(wide, _pairs(before, after)) if any(after) else wide
    total = WindowSum.apply(padded, **settings)
    divisor: Any = math.prod(kernel) if divisor_override is None else divisor_override
    if divisor_override is None and (any(extra) or (any(before) and not count_include_pad)):
        # Windows differ in how many entries count: what ceil_mode adds never does.
        counted = ones(1, 1, *x.shape[2:], dtype=wide.dtype, device=wide.device)
        nothing = [0] * len(kernel)
        inner, outer = (before, extra) if count_include_pad else (nothing, after)
        counted = pad_tensor(counted, _pairs(inner, inner), value=1.0)
        counted = pad_tensor(counted, _pairs(nothing if count_include_pad else before, outer))
        divisor = WindowSum.apply(counted, **settings)
    y: Tensor = (total / divisor).to(x.dtype)
    return y


def avg_pool1d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """The mean of every window of (N, C, L); see `avg_pool2d`.

    >>> import chainrule
    >>> avg_pool1d(chainrule.tensor([[[1.0, 5.0, 2.0, 4.0]]]), 2)
    tensor([[[3., 3.]]])
    """
    return _avg_pool(1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


def avg_pool2d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of every window of (N, C, H, W) or (C, H, W).

    The stride is the kernel size unless given. Padding counts as zeros, or with `count_include_pad=False` not at
    all; `divisor_override` divides by another number than that of the entries.

    >>> import chainrule
    >>> avg_pool2d(chainrule.arange(16.0).reshape(1, 1, 4, 4), 2)
    tensor([[[[ 2.5000,  4.5000],
              [10.5000, 12.5000]]]])
    """
    return _avg_pool(2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


@in_single
def avg_pool3d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of every window of (N, C, D, H, W); see `avg_pool2d`.

    >>> import chainrule
    >>> avg_pool3d(chainrule.ones(1, 1, 4, 4, 4), 2).shape
    Size([1, 1, 2, 2, 2])
    """
    return _avg_pool(3, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


class _MaxPool(Module):
    """What the max-pooling layers share."""

    dimensions = 0

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding, self.dilation = padding, dilation
        self.return_indices, self.ceil_mode = return_indices, ceil_mode

    def forward(self, input: Tensor) -> Any:
        """See the class."""
        return _max_pool(
            self.dimensions, input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode,
            self.return_indices,
        )  # fmt: skip

    def extra_repr(self) -> str:
        """The window."""
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class _AvgPool(Module):
    """What the average-pooling layers share."""

    dimensions = 0

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding, self.ceil_mode = padding, ceil_mode
        self.count_include_pad, self.divisor_override = count_include_pad, divisor_override

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return _avg_pool(
            self.dimensions, input, self.kernel_size, self.stride, self.padding, self.ceil_mode,
            self.count_include_pad, self.divisor_override,
        )  # fmt: skip

    def extra_repr(self) -> str:
        """The window."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxPool1d(_MaxPool):
    """The largest entry of every window of (N, C, L); arguments as `functional.max_pool2d`.

    >>> import chainrule
    >>> MaxPool1d(2)(chainrule.ones(1, 3, 8)).shape
    Size([1, 3, 4])
    """

    dimensions = 1


class MaxPool2d(_MaxPool):
    """The largest entry of every window of (N, C, H, W); arguments as `functional.max_pool2d`.

    >>> import chainrule
    >>> MaxPool2d(2)(chainrule.ones(1, 3, 8, 8)).shape
    Size([1, 3, 4, 4])
    """

    dimensions = 2


class MaxPool3d(_MaxPool):
    """The largest entry of every window of (N, C, D, H, W); arguments as `functional.max_pool2d`.

    >>> import chainrule
    >>> MaxPool3d(2)(chainrule.ones(1, 3, 4, 4, 4)).shape
    Size([1, 3, 2, 2, 2])
    """

    dimensions = 3


class AvgPool1d(_AvgPool):
    """The mean of every window of (N, C, L); arguments as `functional.avg_pool2d`.

    >>> import chainrule
    >>> AvgPool1d(2)(chainrule.ones(1, 3, 8)).shape
    Size([1, 3, 4])
    """

    dimensions = 1

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        stride = kernel_size if stride is None else stride
        window = [per_dimension(n, 1, "a setting of AvgPool1d", 0) for n in (kernel_size, stride, padding)]
        super().__init__(window[0], window[1], window[2], ceil_mode, count_include_pad)


class AvgPool2d(_AvgPool):
    """The mean of every window of (N, C, H, W); arguments as `functional.avg_pool2d`.

    >>> import chainrule
    >>> AvgPool2d(2)(chainrule.ones(1, 3, 8, 8)).shape
    Size([1, 3, 4, 4])
    """

    dimensions = 2


class AvgPool3d(_AvgPool):
    """The mean of every window of (N, C, D, H, W); arguments as `functional.avg_pool2d`.

    >>> import chainrule
    >>> AvgPool3d(2)(chainrule.ones(1, 3, 4, 4, 4)).shape
    Size([1, 3, 2, 2, 2])
    """

    dimensions = 3
