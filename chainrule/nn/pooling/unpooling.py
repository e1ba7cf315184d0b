"""Max unpooling: the maxima go back to where they stood, zeros go elsewhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from chainrule.dtypes import int64
from chainrule.errors import DTypeError, IndexRangeError, ShapeError
from chainrule.functions.autocasting import in_single
from chainrule.functions.checking import check_range
from chainrule.functions.promotion import need_tensor
from chainrule.nn.convolution.layers import batched, per_dimension
from chainrule.nn.module import Module
from chainrule.tensor import Tensor


def _max_unpool(
    dimensions: int,
    input: Tensor,
    indices: Tensor,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    output_size: Sequence[int] | None,
) -> Tensor:
    name = f"max_unpool{dimensions}d"
    x, alone = batched(input, dimensions, name)
    need_tensor(indices, name)
    if indices.dtype is not int64:
        raise DTypeError(f"{name}: the indices are those of max_pool{dimensions}d, int64; got {indices.dtype}.")
    if tuple(indices.shape) != tuple(input.shape):
        raise ShapeError(f"{name}: one place for each entry, got {tuple(indices.shape)} for {tuple(input.shape)}.")
    kernel = per_dimension(kernel_size, dimensions, "kernel_size")
    steps = kernel if stride is None else per_dimension(stride, dimensions, "stride")
    around = per_dimension(padding, dimensions, "padding", 0)
    sizes = _unpooled_size(tuple(x.shape[2:]), kernel, steps, around, output_size, name)
    _check_places(indices, math.prod(sizes), sizes, name)
    places = indices.reshape(*x.shape[:2], math.prod(x.shape[2:]))
    flat = x.new_zeros(*x.shape[:2], math.prod(sizes)).scatter(2, places, x.reshape(places.shape))
    y = flat.reshape(*x.shape[:2], *sizes)
    return y.squeeze(0) if alone else y


def _unpooled_size(
    inside: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    output_size: Sequence[int] | None,
    name: str,
) -> tuple[int, ...]:
    """The least size from which pooling makes this input, or the one that is wanted."""
    settings = zip(inside, kernel, stride, padding, strict=True)
    usual = tuple((n - 1) * s + k - 2 * p for n, k, s, p in settings)
    wanted = usual if output_size is None else tuple(output_size)
    wanted = wanted[2:] if len(wanted) == len(usual) + 2 else wanted
    if len(wanted) != len(usual) or any(abs(w - u) >= s for w, u, s in zip(wanted, usual, stride, strict=True)):
        low = tuple(u - s + 1 for u, s in zip(usual, stride, strict=True))
        high = tuple(u + s - 1 for u, s in zip(usual, stride, strict=True))
        raise ShapeError(f"{name}: output_size lies between {low} and {high}, got {output_size}.")
    if any(extent < 1 for extent in wanted):
        raise ShapeError(f"{name}: the output would have the size {wanted}; is the padding {padding} right?")
    return wanted


def _check_places(indices: Tensor, count: int, sizes: tuple[int, ...], name: str) -> None:
    check_range(_places_exist, indices, 0, count - 1, sizes=sizes, name=name)


def _places_exist(places: Any, low: int, high: int, sizes: tuple[int, ...], name: str) -> None:
    first, last = (int(places.min()), int(places.max())) if places.size else (low, high)
    if first < low or last > high:
        raise IndexRangeError(
            f"{name}: the places go from {first} to {last}, an output of {sizes} has {low} … {high}; "
            "give the size before pooling as output_size."
        )


@in_single
def max_unpool1d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """`max_pool1d` undone as far as possible; see `max_unpool2d`.

    >>> import chainrule
    >>> max_unpool1d(chainrule.tensor([[[5.0, 3.0]]]), chainrule.tensor([[[1, 3]]]), 2)
    tensor([[[0., 5., 0., 3.]]])
    """
    return _max_unpool(1, input, indices, kernel_size, stride, padding, output_size)


@in_single
def max_unpool2d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """`max_pool2d` undone as far as possible: every maximum goes back to its place, all other entries are 0.

    input: (N, C, H, W) or (C, H, W); indices: the places that `max_pool2d(…, return_indices=True)` gave, of the same
    shape. The settings are those of the pooling. Several sizes are pooled to the same; `output_size` says which one
    it was, else the least is taken. Where two entries have one place the last one stays.

    Raises ShapeError for a size that pooling would not have made this, IndexRangeError for places outside.
    Source: Zeiler and Fergus, "Visualizing and understanding convolutional networks", 2014.

    >>> import chainrule
    >>> x = chainrule.tensor([[[[1.0, 2.0], [4.0, 3.0]]]])
    >>> y, places = chainrule.nn.functional.max_pool2d(x, 2, return_indices=True)
    >>> max_unpool2d(y, places, 2)
    tensor([[[[0., 0.],
              [4., 0.]]]])
    """
    return _max_unpool(2, input, indices, kernel_size, stride, padding, output_size)


@in_single
def max_unpool3d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """`max_pool3d` undone as far as possible; see `max_unpool2d`.

    >>> import chainrule
    >>> max_unpool3d(chainrule.ones(1, 1, 1, 1, 1), chainrule.zeros(1, 1, 1, 1, 1).long(), 2).sum()
    tensor(1.)
    """
    return _max_unpool(3, input, indices, kernel_size, stride, padding, output_size)


class MaxUnpool(Module):
    """What the unpooling layers of every dimension share."""

    dimensions = 0

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0) -> None:
        super().__init__()
        self.kernel_size = per_dimension(kernel_size, self.dimensions, "kernel_size")
        self.stride = self.kernel_size if stride is None else per_dimension(stride, self.dimensions, "stride")
        self.padding = per_dimension(padding, self.dimensions, "padding", 0)

    def forward(self, input: Tensor, indices: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """See the class."""
        return _max_unpool(self.dimensions, input, indices, self.kernel_size, self.stride, self.padding, output_size)

    def extra_repr(self) -> str:
        """The window."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(MaxUnpool):
    """`MaxPool1d` undone as far as possible; see `functional.max_unpool2d`.

    >>> import chainrule
    >>> pool = chainrule.nn.MaxPool1d(2, return_indices=True)
    >>> MaxUnpool1d(2)(*pool(chainrule.tensor([[[1.0, 5.0, 2.0, 3.0]]])))
    tensor([[[0., 5., 0., 3.]]])
    """

    dimensions = 1


class MaxUnpool2d(MaxUnpool):
    """`MaxPool2d` undone as far as possible; arguments as `functional.max_unpool2d`.

    >>> import chainrule
    >>> pool = chainrule.nn.MaxPool2d(2, return_indices=True)
    >>> MaxUnpool2d(2)(*pool(chainrule.ones(1, 3, 5, 4)), output_size=(5, 4)).shape
    Size([1, 3, 5, 4])
    """

    dimensions = 2


class MaxUnpool3d(MaxUnpool):
    """`MaxPool3d` undone as far as possible; see `functional.max_unpool2d`.

    >>> import chainrule
    >>> pool = chainrule.nn.MaxPool3d(2, return_indices=True)
    >>> MaxUnpool3d(2)(*pool(chainrule.ones(1, 3, 4, 4, 4))).shape
    Size([1, 3, 4, 4, 4])
    """

    dimensions = 3
