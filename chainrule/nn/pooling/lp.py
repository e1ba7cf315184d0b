"""Power-average pooling: the p-norm of each window, between the sum (p = 1) and the largest entry (p = ∞)."""

from __future__ import annotations

import math
from typing import Any

from chainrule.functions.logic import where
from chainrule.functions.promotion import in_float32, need_tensor
from chainrule.nn.convolution.layers import per_dimension
from chainrule.nn.module import Module
from chainrule.nn.pooling.windows import avg_pool1d, avg_pool2d, avg_pool3d, max_pool1d, max_pool2d, max_pool3d
from chainrule.tensor import Tensor

_MEANS = {1: avg_pool1d, 2: avg_pool2d, 3: avg_pool3d}
_MAXIMA = {1: max_pool1d, 2: max_pool2d, 3: max_pool3d}


def _lp_pool(
    dimensions: int, input: Tensor, norm_type: float, kernel_size: Any, stride: Any, ceil_mode: bool
) -> Tensor:
    x = need_tensor(input, f"lp_pool{dimensions}d")
    if norm_type == 0:
        raise ValueError(f"lp_pool{dimensions}d: norm_type is the p of the p-norm and not 0, got {norm_type}.")
    if norm_type == math.inf:
        return _MAXIMA[dimensions](x.abs(), kernel_size, stride, ceil_mode=ceil_mode)
    if norm_type == -math.inf:
        return -_MAXIMA[dimensions](-x.abs(), kernel_size, stride, ceil_mode=ceil_mode)
    entries = math.prod(per_dimension(kernel_size, dimensions, "kernel_size"))
    dtype, x = x.dtype, in_float32(x)
    total = _MEANS[dimensions](x.pow(norm_type), kernel_size, stride, ceil_mode=ceil_mode) * entries
    empty = total == 0  # the root's slope at 0 is infinite; the gradient is 0 there
    return where(empty, 0.0, where(empty, 1.0, total).pow(1 / norm_type)).to(dtype)


def lp_pool1d(input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Tensor:
    """The p-norm of every window of (N, C, L); see `lp_pool2d`.

    >>> import chainrule
    >>> lp_pool1d(chainrule.tensor([[[3.0, 4.0, 0.0, 5.0]]]), 2, 2)
    tensor([[[5., 5.]]])
    """
    return _lp_pool(1, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool2d(input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Tensor:
    """(Σ xᵖ)^(1/p) over every window of (N, C, H, W) or (C, H, W), p = `norm_type`.

    As in PyTorch xᵖ is not |x|ᵖ: the root of a negative sum, which an odd p allows, is NaN, except for p = 1, where the
    result is the sum. ±∞ gives the largest and the smallest size. With `ceil_mode` a partial window counts as the mean
    of its entries times the full number. The gradient is 0 where the sum is 0. Raises ValueError for p = 0, ShapeError
    as `avg_pool2d`.

    >>> import chainrule
    >>> lp_pool2d(chainrule.ones(1, 1, 4, 4), 2, 2)
    tensor([[[[2., 2.],
              [2., 2.]]]])
    """
    return _lp_pool(2, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool3d(input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Tensor:
    """The p-norm of every window of (N, C, D, H, W); see `lp_pool2d`.

    >>> import chainrule
    >>> lp_pool3d(chainrule.ones(1, 1, 2, 2, 4), 1, 2)
    tensor([[[[[8., 8.]]]]])
    """
    return _lp_pool(3, input, norm_type, kernel_size, stride, ceil_mode)


class _LPPool(Module):
    """What the power-average pooling layers share."""

    dimensions = 0

    def __init__(self, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> None:
        super().__init__()
        self.norm_type, self.kernel_size = norm_type, kernel_size
        self.stride, self.ceil_mode = stride, ceil_mode

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return _lp_pool(self.dimensions, input, self.norm_type, self.kernel_size, self.stride, self.ceil_mode)

    def extra_repr(self) -> str:
        """The norm and the window."""
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"ceil_mode={self.ceil_mode}"
        )


class LPPool1d(_LPPool):
    """The p-norm of every window of (N, C, L); arguments as `functional.lp_pool2d`.

    >>> import chainrule
    >>> LPPool1d(2, 3, stride=2)(chainrule.ones(20, 16, 50)).shape
    Size([20, 16, 24])
    """

    dimensions = 1


class LPPool2d(_LPPool):
    """The p-norm of every window of (N, C, H, W); arguments as `functional.lp_pool2d`.

    >>> import chainrule
    >>> LPPool2d(2, 3, stride=2)(chainrule.ones(20, 16, 50, 32)).shape
    Size([20, 16, 24, 15])
    """

    dimensions = 2


class LPPool3d(_LPPool):
    """The p-norm of every window of (N, C, D, H, W); arguments as `functional.lp_pool2d`.

    >>> import chainrule
    >>> LPPool3d(2, 3, stride=2)(chainrule.ones(2, 1, 5, 7, 9)).shape
    Size([2, 1, 2, 3, 4])
    """

    dimensions = 3
