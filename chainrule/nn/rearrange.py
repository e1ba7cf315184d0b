"""Layers that compute nothing and only put entries elsewhere: channels into pixels and back, windows into columns."""

from __future__ import annotations

from typing import Any

from chainrule.errors import ShapeError
from chainrule.functions.promotion import need_tensor
from chainrule.functions.shape import pad
from chainrule.nn.convolution.layers import per_dimension
from chainrule.nn.module import Module
from chainrule.primitives.window import Fold as FoldPrimitive
from chainrule.primitives.window import Windows
from chainrule.tensor import Tensor


def _images(input: Any, operation: str) -> Tensor:
    x = need_tensor(input, operation)
    if x.ndim < 3:
        raise ShapeError(f"{operation} takes (…, C, H, W), got {tuple(x.shape)}.")
    return x


def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """(…, C·r², H, W) to (…, C, r·H, r·W): the channels of a pixel become an r×r square of pixels.

    A learned upsampling without holes, behind a convolution. Raises ShapeError if r² does not divide the channels,
    ValueError for r below 1. Source: Shi et al., "Real-time single image and video super-resolution", 2016.

    >>> import chainrule
    >>> pixel_shuffle(chainrule.arange(4.0).reshape(1, 4, 1, 1), 2)
    tensor([[[[0., 1.],
              [2., 3.]]]])
    """
    x, r = _images(input, "pixel_shuffle"), upscale_factor
    if r < 1:
        raise ValueError(f"pixel_shuffle: upscale_factor is at least 1, got {r}.")
    *batch, channels, height, width = x.shape
    if channels % (r * r):
        raise ShapeError(f"pixel_shuffle: {channels} channels cannot be divided into {r}×{r} squares.")
    parts = x.reshape(*batch, channels // (r * r), r, r, height, width)
    n = len(batch)
    order = [*range(n), n, n + 3, n + 1, n + 4, n + 2]
    return parts.permute(*order).reshape(*batch, channels // (r * r), height * r, width * r)


def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """(…, C, r·H, r·W) to (…, C·r², H, W): what undoes `pixel_shuffle`.

    Raises ShapeError if r does not divide height and width, ValueError for r below 1.

    >>> import chainrule
    >>> pixel_unshuffle(chainrule.arange(4.0).reshape(1, 1, 2, 2), 2).flatten()
    tensor([0., 1., 2., 3.])
    """
    x, r = _images(input, "pixel_unshuffle"), downscale_factor
    if r < 1:
        raise ValueError(f"pixel_unshuffle: downscale_factor is at least 1, got {r}.")
    *batch, channels, height, width = x.shape
    if height % r or width % r:
        raise ShapeError(f"pixel_unshuffle: {height}×{width} cannot be divided into {r}×{r} squares.")
    parts = x.reshape(*batch, channels, height // r, r, width // r, r)
    n = len(batch)
    order = [*range(n), n, n + 2, n + 4, n + 1, n + 3]
    return parts.permute(*order).reshape(*batch, channels * r * r, height // r, width // r)


def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """(N, C, …) with the channels dealt out anew: the first of every group, then all the second ones.

    Between grouped convolutions it lets the groups see each other. Raises ShapeError if the groups do not divide the
    channels. Source: Zhang et al., "ShuffleNet", 2018.

    >>> import chainrule
    >>> channel_shuffle(chainrule.arange(4.0).reshape(1, 4, 1), 2).flatten()
    tensor([0., 2., 1., 3.])
    """
    x = need_tensor(input, "channel_shuffle")
    if x.ndim < 3:
        raise ShapeError(f"channel_shuffle takes (N, C, …), got {tuple(x.shape)}.")
    if groups < 1 or x.shape[1] % groups:
        raise ShapeError(f"channel_shuffle: {x.shape[1]} channels cannot be divided into {groups} groups.")
    return x.unflatten(1, (groups, x.shape[1] // groups)).transpose(1, 2).flatten(1, 2)


def unfold(input: Tensor, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Tensor:
    """The windows of images as columns: (N, C, H, W) to (N, C·kH·kW, L), or (C, H, W) to (C·kH·kW, L).

    L is the number of windows. A convolution is W @ unfold(x): "im2col". Raises ShapeError where no window fits.

    >>> import chainrule
    >>> unfold(chainrule.arange(9.0).reshape(1, 1, 3, 3), 2)[0, :, 0]
    tensor([0., 1., 3., 4.])
    """
    x = need_tensor(input, "unfold")
    if x.ndim not in (3, 4):
        raise ShapeError(f"unfold takes (N, C, H, W) or (C, H, W), got {tuple(x.shape)}.")
    kernel, spread, around, steps = _window(kernel_size, dilation, padding, stride)
    batch = x if x.ndim == 4 else x.unsqueeze(0)
    padded = pad(batch, [around[1], around[1], around[0], around[0]]) if any(around) else batch
    windows = Windows.apply(padded, kernel=kernel, stride=steps, dilation=spread)
    columns = windows.permute(0, 1, 4, 5, 2, 3).flatten(4, 5).flatten(1, 3)
    return columns if x.ndim == 4 else columns.squeeze(0)


def fold(
    input: Tensor, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Tensor:
    """Columns laid back as windows of an image of `output_size`, added where they overlap: the transpose of `unfold`.

    (N, C·kH·kW, L) to (N, C, H, W), also without N. Raises ShapeError where the sizes do not belong together.

    >>> import chainrule
    >>> fold(chainrule.ones(1, 4, 4), (3, 3), 2)
    tensor([[[[1., 2., 1.],
              [2., 4., 2.],
              [1., 2., 1.]]]])
    """
    x = need_tensor(input, "fold")
    if x.ndim not in (2, 3):
        raise ShapeError(f"fold takes (N, C·kH·kW, L) or (C·kH·kW, L), got {tuple(x.shape)}.")
    kernel, spread, around, steps = _window(kernel_size, dilation, padding, stride)
    size = per_dimension(output_size, 2, "output_size")
    padded = tuple(s + 2 * p for s, p in zip(size, around, strict=True))
    counts = [(s - d * (k - 1) - 1) // t + 1 for s, k, d, t in zip(padded, kernel, spread, steps, strict=True)]
    batch = x if x.ndim == 3 else x.unsqueeze(0)
    each = kernel[0] * kernel[1]
    if batch.shape[1] % each or batch.shape[2] != max(counts[0], 0) * max(counts[1], 0):
        raise ShapeError(
            f"fold: an image of {size} is read by {counts[0]}·{counts[1]} windows of {kernel[0]}·{kernel[1]} entries, "
            f"got {tuple(x.shape)}."
        )
    windows = batch.reshape(batch.shape[0], batch.shape[1] // each, *kernel, *counts).permute(0, 1, 4, 5, 2, 3)
    image = FoldPrimitive.apply(windows, size=padded, kernel=kernel, stride=steps, dilation=spread)
    image = image[:, :, around[0] : around[0] + size[0], around[1] : around[1] + size[1]]
    return image if x.ndim == 3 else image.squeeze(0)


def _window(kernel_size: Any, dilation: Any, padding: Any, stride: Any) -> tuple[tuple[int, ...], ...]:
    return (
        per_dimension(kernel_size, 2, "kernel_size"),
        per_dimension(dilation, 2, "dilation"),
        per_dimension(padding, 2, "padding", 0),
        per_dimension(stride, 2, "stride"),
    )


class PixelShuffle(Module):
    """(…, C·r², H, W) to (…, C, r·H, r·W); see `functional.pixel_shuffle`.

    >>> import chainrule
    >>> PixelShuffle(3)(chainrule.ones(1, 9, 4, 4)).shape
    Size([1, 1, 12, 12])
    """

    def __init__(self, upscale_factor: int) -> None:
        super().__init__()
        self.upscale_factor = upscale_factor

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return pixel_shuffle(input, self.upscale_factor)

    def extra_repr(self) -> str:
        """r."""
        return f"upscale_factor={self.upscale_factor}"


class PixelUnshuffle(Module):
    """(…, C, r·H, r·W) to (…, C·r², H, W); see `functional.pixel_unshuffle`.

    >>> import chainrule
    >>> PixelUnshuffle(3)(chainrule.ones(1, 1, 12, 12)).shape
    Size([1, 9, 4, 4])
    """

    def __init__(self, downscale_factor: int) -> None:
        super().__init__()
        self.downscale_factor = downscale_factor

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return pixel_unshuffle(input, self.downscale_factor)

    def extra_repr(self) -> str:
        """r."""
        return f"downscale_factor={self.downscale_factor}"


class ChannelShuffle(Module):
    """The channels of the groups dealt out anew; see `functional.channel_shuffle`.

    >>> import chainrule
    >>> ChannelShuffle(2)(chainrule.arange(4.0).reshape(1, 4, 1)).flatten()
    tensor([0., 2., 1., 3.])
    """

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return channel_shuffle(input, self.groups)

    def extra_repr(self) -> str:
        """The groups."""
        return f"groups={self.groups}"


class Unfold(Module):
    """The windows of images as columns; arguments as `functional.unfold`.

    >>> import chainrule
    >>> Unfold(2)(chainrule.ones(1, 3, 4, 4)).shape
    Size([1, 12, 9])
    """

    def __init__(self, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> None:
        super().__init__()
        self.kernel_size, self.dilation, self.padding, self.stride = kernel_size, dilation, padding, stride

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        """The window."""
        return f"kernel_size={self.kernel_size}, dilation={self.dilation}, padding={self.padding}, stride={self.stride}"


class Fold(Module):
    """Columns laid back as windows of an image; arguments as `functional.fold`.

    >>> import chainrule
    >>> Fold((4, 4), 2)(chainrule.ones(1, 12, 9)).shape
    Size([1, 3, 4, 4])
    """

    def __init__(
        self, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
    ) -> None:
        super().__init__()
        self.output_size = output_size
        self.kernel_size, self.dilation, self.padding, self.stride = kernel_size, dilation, padding, stride

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return fold(input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        """The size and the window."""
        return (
            f"output_size={self.output_size}, kernel_size={self.kernel_size}, dilation={self.dilation}, "
            f"padding={self.padding}, stride={self.stride}"
        )
