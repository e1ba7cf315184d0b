"""Convolution layers in one, two and three dimensions, and their transposes: one definition for all.

The libraries' "convolution" does not flip the kernel; mathematically it is a cross-correlation.
"""

from __future__ import annotations

from typing import Any

from chainrule.errors import DTypeError, ShapeError
from chainrule.functions.creation import empty
from chainrule.functions.promotion import need_tensor
from chainrule.functions.shape import pad as pad_tensor
from chainrule.nn.init import default_weight_and_bias, fan_in_and_out
from chainrule.nn.linear import check_dtype
from chainrule.nn.module import Module
from chainrule.primitives.contraction import Convolution, ConvolutionTranspose
from chainrule.tensor import Parameter, Tensor

Extent = int | tuple[int, ...]


def per_dimension(setting: Any, count: int, name: str) -> tuple[int, ...]:
    """A setting given once or once for each spatial dimension, as a tuple."""
    values = tuple(setting) if isinstance(setting, (tuple, list)) else (setting,) * count
    if len(values) == 1:
        values *= count
    if len(values) != count or not all(isinstance(v, int) for v in values):
        raise ShapeError(f"{name} is an integer or {count} of them, got {setting!r}.")
    return values


def batched(x: Tensor, dimensions: int, operation: str, channels: bool = True) -> tuple[Tensor, bool]:
    """The input with a batch dimension, and whether it had none: (C, …) is taken as a batch of one."""
    need_tensor(x, operation)
    if x.ndim == dimensions + 1:
        return x.unsqueeze(0), True
    if x.ndim != dimensions + 2:
        axes = ", ".join("DHW"[3 - dimensions :]) if dimensions > 1 else "L"
        raise ShapeError(f"{operation} takes (N, C, {axes}) or (C, {axes}), got {tuple(x.shape)}.")
    return x, False


def _same_padding(kernel: tuple[int, ...], dilation: tuple[int, ...]) -> list[int]:
    """What keeps the size, as pairs (before, after) from the last dimension on; the odd one goes behind."""
    pairs: list[int] = []
    for k, d in zip(reversed(kernel), reversed(dilation), strict=True):
        total = d * (k - 1)
        pairs += [total // 2, total - total // 2]
    return pairs


def _convolve(
    dimensions: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> Tensor:
    operation = f"conv{dimensions}d"
    x, alone = batched(input, dimensions, operation)
    check_dtype(x, weight)
    steps, spread = (
        per_dimension(stride, dimensions, "stride"),
        per_dimension(dilation, dimensions, "dilation"),
    )
    channels = weight.shape[1] * groups
    if x.shape[1] != channels:
        text = f"got {tuple(input.shape)}, expects {channels} channels in dimension {0 if alone else 1}."
        if x.shape[-1] == channels:
            text += " The channels seem to be last: permute(0, 3, 1, 2) puts them in front." if dimensions == 2 else ""
        raise ShapeError(text)
    if padding == "same":
        if any(step != 1 for step in steps):
            raise ShapeError("padding='same' needs stride 1.")
        x, padding = pad_tensor(x, _same_padding(tuple(weight.shape[2:]), spread)), 0
    elif padding == "valid":
        padding = 0
    elif isinstance(padding, str):
        raise ShapeError(f"padding is a number, 'same' or 'valid', got {padding!r}.")
    around = per_dimension(padding, dimensions, "padding")
    y = Convolution.apply(x, weight, stride=steps, padding=around, dilation=spread, groups=groups)
    if bias is not None:
        y = y + bias.reshape(-1, *[1] * dimensions)
    return y.squeeze(0) if alone else y


def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """y[n,o,p] = b[o] + Σ_c Σ_k x[n, c, p·stride + k·dilation − padding] · w[o,c,k]; see `conv2d`.

    >>> import chainrule
    >>> conv1d(chainrule.tensor([[[1.0, 2.0, 4.0]]]), chainrule.tensor([[[-1.0, 1.0]]]))
    tensor([[[1., 2.]]])
    """
    return _convolve(1, input, weight, bias, stride, padding, dilation, groups)


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """The convolution of images: every kernel slides over its input and gives one output channel.

    input: (N, C_in, H, W) or (C_in, H, W), weight: (C_out, C_in/groups, kH, kW), bias: (C_out,), result
    (N, C_out, H', W') with H' = ⌊(H + 2·padding − dilation·(kH − 1) − 1)/stride⌋ + 1. `padding` is a number, a
    pair, "valid" (none) or "same" (keeps the size, at stride 1).

    >>> import chainrule
    >>> conv2d(chainrule.ones(1, 3, 32, 32), chainrule.ones(10, 3, 5, 5), padding=2).shape
    Size([1, 10, 32, 32])
    """
    return _convolve(2, input, weight, bias, stride, padding, dilation, groups)


def conv3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """The convolution of volumes (N, C, D, H, W); see `conv2d`.

    >>> import chainrule
    >>> conv3d(chainrule.ones(1, 1, 4, 4, 4), chainrule.ones(2, 1, 3, 3, 3)).shape
    Size([1, 2, 2, 2, 2])
    """
    return _convolve(3, input, weight, bias, stride, padding, dilation, groups)


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
    operation = f"conv_transpose{dimensions}d"
    y, alone = batched(input, dimensions, operation)
    check_dtype(y, weight)
    steps, around = per_dimension(stride, dimensions, "stride"), per_dimension(padding, dimensions, "padding")
    spread, extra = (
        per_dimension(dilation, dimensions, "dilation"),
        per_dimension(output_padding, dimensions, "output_padding"),
    )
    if y.shape[1] != weight.shape[0]:
        raise ShapeError(
            f"got {tuple(input.shape)}, expects {weight.shape[0]} channels in dimension {0 if alone else 1}."
        )
    if any(e >= max(s, d) for e, s, d in zip(extra, steps, spread, strict=True)):
        raise ShapeError(f"output_padding {extra} must be smaller than stride {steps} or dilation {spread}.")
    size = tuple(
        (n - 1) * s - 2 * p + d * (k - 1) + e + 1
        for n, s, p, d, k, e in zip(y.shape[2:], steps, around, spread, weight.shape[2:], extra, strict=True)
    )
    x = ConvolutionTranspose.apply(y, weight, size=size, stride=steps, padding=around, dilation=spread, groups=groups)
    if bias is not None:
        x = x + bias.reshape(-1, *[1] * dimensions)
    return x.squeeze(0) if alone else x


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


class _Convolution(Module):
    """What the convolution layers of every dimension share: settings, parameters, printing."""

    dimensions = 0
    transposed = False

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any,
        padding: Any,
        dilation: Any,
        groups: int,
        bias: bool,
        padding_mode: str,
        output_padding: Any,
        dtype: Any,
    ) -> None:
        super().__init__()
        if in_channels % groups or out_channels % groups:
            raise ShapeError(f"{in_channels} and {out_channels} channels cannot be divided into {groups} groups.")
        if padding_mode != "zeros":
            raise DTypeError(f"padding_mode is 'zeros', got {padding_mode!r}.")
        n = self.dimensions
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size = per_dimension(kernel_size, n, "kernel_size")
        self.stride = per_dimension(stride, n, "stride")
        self.padding = padding if isinstance(padding, str) else per_dimension(padding, n, "padding")
        self.dilation = per_dimension(dilation, n, "dilation")
        self.output_padding = per_dimension(output_padding, n, "output_padding")
        self.groups, self.padding_mode = groups, padding_mode
        first, second = (in_channels, out_channels) if self.transposed else (out_channels, in_channels)
        self.weight = Parameter(empty(first, second // groups, *self.kernel_size, dtype=dtype))
        self.register_parameter("bias", Parameter(empty(out_channels, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values, uniform in ±1/√fan_in."""
        default_weight_and_bias(self.weight, self.bias, fan_in_and_out(self.weight)[0])

    def extra_repr(self) -> str:
        """Channels, kernel and stride, and what differs from the default."""
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        n = self.dimensions
        for name, default in (("padding", (0,) * n), ("dilation", (1,) * n), ("output_padding", (0,) * n)):
            value = getattr(self, name)
            if value != default:
                text += f", {name}={value}"
        text += f", groups={self.groups}" if self.groups != 1 else ""
        return text + (", bias=False" if self.bias is None else "")


class _Conv(_Convolution):
    """A convolution layer."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Extent,
        stride: Extent = 1,
        padding: Any = 0,
        dilation: Extent = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            bias,
            padding_mode,
            0,
            dtype,
        )

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return _convolve(
            self.dimensions,
            input,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            self.dilation,
            self.groups,
        )


class _ConvTranspose(_Convolution):
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
        dtype: Any = None,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode,
            output_padding, dtype,
        )  # fmt: skip

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return _convolve_transposed(
            self.dimensions, input, self.weight, self.bias, self.stride, self.padding, self.output_padding,
            self.groups, self.dilation,
        )  # fmt: skip


class Conv1d(_Conv):
    """Convolution of sequences: (N, C_in, L) to (N, C_out, L'). Weight (C_out, C_in/groups, k). See `conv2d`.

    >>> import chainrule
    >>> Conv1d(16, 33, 3, stride=2)(chainrule.ones(20, 16, 50)).shape
    Size([20, 33, 24])
    """

    dimensions = 1


class Conv2d(_Conv):
    """Convolution of images: (N, C_in, H, W) to (N, C_out, H', W'). Weight (C_out, C_in/groups, kH, kW).

    See `functional.conv2d` for the formula; `groups=in_channels` convolves each channel by itself (depthwise).

    >>> import chainrule
    >>> Conv2d(1, 6, 5, padding=2)(chainrule.ones(8, 1, 28, 28)).shape
    Size([8, 6, 28, 28])
    """

    dimensions = 2


class Conv3d(_Conv):
    """Convolution of volumes: (N, C_in, D, H, W) to (N, C_out, D', H', W'). See `conv2d`.

    >>> import chainrule
    >>> Conv3d(1, 2, 3)(chainrule.ones(1, 1, 5, 5, 5)).shape
    Size([1, 2, 3, 3, 3])
    """

    dimensions = 3


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
