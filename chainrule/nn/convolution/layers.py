"""Convolution layers in one, two and three dimensions: one definition for all.

The libraries' "convolution" does not flip the kernel; mathematically it is a cross-correlation.
"""

from __future__ import annotations

from typing import Any

from chainrule.autodiff.composite import composite
from chainrule.errors import ShapeError
from chainrule.functions.autocasting import in_half
from chainrule.functions.creation import empty
from chainrule.functions.promotion import need_tensor
from chainrule.nn.init import default_weight_and_bias, fan_in_and_out
from chainrule.nn.linear import check_bias, check_dtype
from chainrule.nn.module import Module
from chainrule.nn.padding.functions import pad as pad_tensor
from chainrule.primitives.contraction import Convolution
from chainrule.tensor import Parameter, Tensor

Extent = int | tuple[int, ...]


def per_dimension(setting: Any, count: int, name: str, least: int = 1) -> tuple[int, ...]:
    """A setting given once or once for each spatial dimension, as a tuple; a ShapeError if one is below `least`."""
    values = tuple(setting) if isinstance(setting, (tuple, list)) else (setting,) * count
    if len(values) == 1:
        values *= count
    if len(values) != count or not all(isinstance(v, int) for v in values):
        raise ShapeError(f"{name} is an integer or {count} of them, got {setting!r}.")
    if any(v < least for v in values):
        raise ShapeError(f"{name} is at least {least}, got {setting!r}.")
    return values


def batched(x: Tensor, dimensions: int, operation: str) -> tuple[Tensor, bool]:
    """The input with a batch dimension, and whether it had none: (C, …) is taken as a batch of one."""
    need_tensor(x, operation)
    if x.ndim == dimensions + 1:
        return x.unsqueeze(0), True
    if x.ndim != dimensions + 2:
        axes = ", ".join("DHW"[3 - dimensions :]) if dimensions > 1 else "L"
        raise ShapeError(f"{operation} takes (N, C, {axes}) or (C, {axes}), got {tuple(x.shape)}.")
    return x, False


def same_padding(kernel: tuple[int, ...], dilation: tuple[int, ...]) -> list[int]:
    """What keeps the size, as pairs (before, after) from the last dimension on; the odd one goes behind."""
    pairs: list[int] = []
    for k, d in zip(reversed(kernel), reversed(dilation), strict=True):
        total = d * (k - 1)
        pairs += [total // 2, total - total // 2]
    return pairs


@in_half
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
    x, alone = batched(input, dimensions, f"conv{dimensions}d")
    check_dtype(x, weight)
    check_kernel(weight, dimensions)
    steps = per_dimension(stride, dimensions, "stride")
    spread = per_dimension(dilation, dimensions, "dilation")
    check_channels(input, x, weight.shape[1] * groups)
    around = (0,) * dimensions
    if padding == "same":
        if any(step != 1 for step in steps):
            raise ShapeError(f"padding='same' needs stride 1, got {steps}.")
        x = pad_tensor(x, same_padding(tuple(weight.shape[2:]), spread))
    elif isinstance(padding, str) and padding != "valid":
        raise ShapeError(f"padding is a number, 'same' or 'valid', got {padding!r}.")
    elif padding != "valid":
        around = per_dimension(padding, dimensions, "padding", 0)
    if bias is None:
        y = Convolution.apply(x, weight, stride=steps, padding=around, dilation=spread, groups=groups)
    else:
        check_bias(bias, weight, weight.value.array.shape[:1])
        y = _convolution(x, weight, bias, steps, around, spread, groups)
    return y.squeeze(0) if alone else y


@composite
def _convolution(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int,
) -> Tensor:
    y = Convolution.apply(x, weight, stride=stride, padding=padding, dilation=dilation, groups=groups)
    return y + bias.reshape(-1, *[1] * len(stride))


def check_kernel(weight: Tensor, dimensions: int) -> None:
    """Raise a ShapeError unless the weight has two dimensions for channels and one for each spatial dimension."""
    if weight.ndim != dimensions + 2:
        raise ShapeError(f"the weight has {dimensions + 2} dimensions here, got shape {tuple(weight.shape)}.")


def check_channels(input: Tensor, x: Tensor, expected: int) -> None:
    """Raise a ShapeError unless the input, with its batch dimension x, has the channels that the weight expects."""
    if x.shape[1] == expected:
        return
    text = f"got {tuple(input.shape)}, expects {expected} channels in dimension {input.ndim - x.ndim + 1}."
    if x.shape[-1] == expected and x.ndim == 4:
        order = "0, 3, 1, 2" if input.ndim == 4 else "2, 0, 1"
        text += f" The channels seem to be last: permute({order}) puts them in front."
    raise ShapeError(text)


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


class ConvolutionBase(Module):
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
        device: Any,
        dtype: Any,
    ) -> None:
        super().__init__()
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise ShapeError(f"{in_channels} and {out_channels} channels cannot be divided into {groups} groups.")
        n = self.dimensions
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size = per_dimension(kernel_size, n, "kernel_size")
        self.stride = per_dimension(stride, n, "stride")
        self.padding = padding if isinstance(padding, str) else per_dimension(padding, n, "padding", 0)
        if isinstance(padding, str) and padding not in ("same", "valid"):
            raise ShapeError(f"{type(self).__name__}: padding is a number, 'same' or 'valid', got {padding!r}.")
        if padding == "same" and set(self.stride) != {1}:
            raise ShapeError(
                f"{type(self).__name__}: padding='same' keeps the size, which stride {self.stride} does not. Give the "
                "padding as a number, such as kernel_size // 2."
            )
        self.dilation = per_dimension(dilation, n, "dilation")
        self.output_padding = per_dimension(output_padding, n, "output_padding", 0)
        self.groups, self.padding_mode = groups, padding_mode
        first, second = (in_channels, out_channels) if self.transposed else (out_channels, in_channels)
        self.weight = Parameter(empty(first, second // groups, *self.kernel_size, device=device, dtype=dtype))
        self.register_parameter("bias", Parameter(empty(out_channels, device=device, dtype=dtype)) if bias else None)
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
        text += ", bias=False" if self.bias is None else ""
        return text + ("" if self.padding_mode == "zeros" else f", padding_mode={self.padding_mode}")


class _Conv(ConvolutionBase):
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
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if padding_mode not in ("zeros", "reflect", "replicate", "circular"):
            raise ValueError(f"padding_mode is 'zeros', 'reflect', 'replicate' or 'circular', got {padding_mode!r}.")
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, 0, device,
            dtype,
        )  # fmt: skip

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        padding: Any = self.padding
        if self.padding_mode != "zeros":
            input, padding = pad_tensor(input, self._pairs(), self.padding_mode), 0
        return _convolve(
            self.dimensions, input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups
        )

    def _pairs(self) -> list[int]:
        """The padding as (before, after) from the last dimension on."""
        padding: Any = self.padding
        if padding == "same":
            return same_padding(self.kernel_size, self.dilation)
        return [] if padding == "valid" else [p for p in reversed(padding) for _ in range(2)]


class Conv1d(_Conv):
    """Convolution of sequences: (N, C_in, L) to (N, C_out, L'). Weight (C_out, C_in/groups, k). See `conv2d`.

    >>> import chainrule
    >>> Conv1d(16, 33, 3, stride=2)(chainrule.ones(20, 16, 50)).shape
    Size([20, 33, 24])
    """

    dimensions = 1


class Conv2d(_Conv):
    """Convolution of images: (N, C_in, H, W) to (N, C_out, H', W'). Weight (C_out, C_in/groups, kH, kW).

    `groups=in_channels` convolves each channel by itself (depthwise). `padding_mode` says what is around the image:
    "zeros", or the image itself as in `functional.pad`: "reflect", "replicate", "circular". `functional.conv2d` has
    the formula, the shapes and what is raised. Initial values are uniform in ±1/√(C_in/groups·kH·kW).
    Source: LeCun et al., "Backpropagation applied to handwritten zip code recognition", 1989.

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
