"""Transposed convolution layers: a convolution's matrix transposed, which makes feature maps larger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chainrule.errors import ShapeError
from chainrule.functions.autocasting import in_half
from chainrule.nn.convolution.layers import (
    ConvolutionBase,
    Extent,
    batched,
    check_channels,
    check_kernel,
    per_dimension,
)
from chainrule.nn.linear import check_bias, check_dtype
from chainrule.nn.padding.functions import pad as pad_tensor
from chainrule.primitives.contraction import ConvolutionTranspose
from chainrule.tensor import Tensor


@in_half
def _convolve_transposed(
    dimensions: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: int,
    dilation: Any,
) -> Tensor:
    y, alone = batched(input, dimensions, f"conv_transpose{dimensions}d")
    check_dtype(y, weight)
    check_kernel(weight, dimensions)
    check_channels(input, y, weight.shape[0])
    steps = per_dimension(stride, dimensions, "stride")
    around = per_dimension(padding, dimensions, "padding", 0)
    spread = per_dimension(dilation, dimensions, "dilation")
    extra = per_dimension(output_padding, dimensions, "output_padding", 0)
    if any(e >= max(s, d) for e, s, d in zip(extra, steps, spread, strict=True)):
        raise ShapeError(f"output_padding {extra} must be smaller than stride {steps} or dilation {spread}.")
    reach = _sizes(y.shape[2:], weight.shape[2:], steps, spread)
    size = tuple(r - 2 * p + e for r, p, e in zip(reach, around, extra, strict=True))
    if any(extent < 1 for extent in size):
        raise ShapeError(f"nothing is left of the result: the padding {around} makes its size {size}.")
    if all(e < s for e, s in zip(extra, steps, strict=True)):
        x = ConvolutionTranspose.apply(
            y, weight, size=size, stride=steps, padding=around, dilation=spread, groups=groups
        )
    else:  # further than any window reaches: the whole result, then cut and filled up
        none = (0,) * dimensions
        whole = ConvolutionTranspose.apply(
            y, weight, size=reach, stride=steps, padding=none, dilation=spread, groups=groups
        )
        ends = zip(reversed(around), reversed(extra), strict=True)
        x = pad_tensor(whole, [n for p, e in ends for n in (-p, e - p)])
    if bias is not None:
        check_bias(bias, weight, (weight.value.array.shape[1] * groups,))
        x = x + bias.reshape(-1, *[1] * dimensions)
    return x.squeeze(0) if alone else x


def _sizes(
    size: Sequence[int], kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> tuple[int, ...]:
    """How far the kernels reach that are laid at every input: (n − 1)·stride + dilation·(k − 1) + 1."""
    return tuple((n - 1) * s + d * (k - 1) + 1 for n, k, s, d in zip(size, kernel, stride, dilation, strict=True))


def conv_transpose1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    """The transposed convolution of (N, C, L); see `conv_transpose2d`.

    >>> import chainrule
    >>> conv_transpose1d(chainrule.tensor([[[1.0, 2.0]]]), chainrule.tensor([[[1.0, 10.0]]]))
    tensor([[[ 1., 12., 20.]]])
    """
    return _convolve_transposed(1, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    """The convolution's matrix transposed: every input pixel lays its multiple of the kernel into the output.

    input: (N, C_in, H, W), weight: (C_in, C_out/groups, kH, kW), result (N, C_out, H', W') with
    H' = (H − 1)·stride − 2·padding + dilation·(kH − 1) + output_padding + 1.

    >>> import chainrule
    >>> x = chainrule.tensor([[[[0.0, 1.0], [2.0, 3.0]]]])
    >>> conv_transpose2d(x, x)
    tensor([[[[ 0.,  0.,  1.],
              [ 0.,  4.,  6.],
              [ 4., 12.,  9.]]]])
    """
    return _convolve_transposed(2, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    """The transposed convolution of (N, C, D, H, W); see `conv_transpose2d`.

    >>> import chainrule
    >>> conv_transpose3d(chainrule.ones(1, 1, 2, 2, 2), chainrule.ones(1, 3, 2, 2, 2)).shape
    Size([1, 3, 3, 3, 3])
    """
    return _convolve_transposed(3, input, weight, bias, stride, padding, output_padding, groups, dilation)


class _ConvTranspose(ConvolutionBase):
    """A transposed convolution layer."""

    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Extent,
        stride: Extent = 1,
        padding: Extent = 0,
        output_padding: Extent = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Extent = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if padding_mode != "zeros":
            raise ValueError(f"transposed convolutions know padding_mode='zeros' only, got {padding_mode!r}.")
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode,
            output_padding, device, dtype,
        )  # fmt: skip

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """`output_size`, the spatial size that is wanted, decides what the stride leaves open (output_padding)."""
        extra = self.output_padding if output_size is None else self._extra_for(input, output_size)
        return _convolve_transposed(
            self.dimensions, input, self.weight, self.bias, self.stride, self.padding, extra, self.groups,
            self.dilation,
        )  # fmt: skip

    def _extra_for(self, input: Tensor, output_size: Sequence[int]) -> tuple[int, ...]:
        n = self.dimensions
        wanted = tuple(output_size)[-n:]
        reach = _sizes(input.shape[-n:], self.kernel_size, self.stride, self.dilation)
        padding: Any = self.padding
        least = tuple(r - 2 * p for r, p in zip(reach, padding, strict=True))
        extra = tuple(w - m for w, m in zip(wanted, least, strict=False))
        if len(wanted) != n or any(not 0 <= e < s for e, s in zip(extra, self.stride, strict=True)):
            most = tuple(m + s - 1 for m, s in zip(least, self.stride, strict=True))
            raise ShapeError(f"output_size lies between {least} and {most}, got {tuple(output_size)}.")
        return extra


class ConvTranspose1d(_ConvTranspose):
    """Transposed convolution of sequences. Weight (C_in, C_out/groups, k). See `conv_transpose2d`.

    >>> import chainrule
    >>> ConvTranspose1d(4, 2, 3, stride=2)(chainrule.ones(1, 4, 5)).shape
    Size([1, 2, 11])
    """

    dimensions = 1


class ConvTranspose2d(_ConvTranspose):
    """Transposed convolution of images. Weight (C_in, C_out/groups, kH, kW). See `conv_transpose2d`.

    >>> import chainrule
    >>> ConvTranspose2d(4, 2, 2, stride=2)(chainrule.ones(1, 4, 5, 5)).shape
    Size([1, 2, 10, 10])
    """

    dimensions = 2


class ConvTranspose3d(_ConvTranspose):
    """Transposed convolution of volumes. See `conv_transpose2d`.

    >>> import chainrule
    >>> ConvTranspose3d(1, 2, 2)(chainrule.ones(1, 1, 3, 3, 3)).shape
    Size([1, 2, 4, 4, 4])
    """

    dimensions = 3
