"""The network of diffusion on images: a U-Net of residual blocks, each of which is told the time.

Sources: Ho, Jain and Abbeel 2020, appendix B; Vaswani et al., "Attention is all you need", 2017 (the embedding).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from chainrule import nn
from chainrule.errors import ShapeError
from chainrule.functions.creation import arange
from chainrule.functions.pieces import cat
from chainrule.nn import functional as F
from chainrule.tensor import Tensor


def time_embedding(times: Tensor, size: int, longest: float = 10_000.0) -> Tensor:
    """Cosines and sines of the times at `size`/2 frequencies from 1 down to 1/longest: (N,) to (N, size).

    Near times have near embeddings, and every time its own. Raises ValueError for an odd size.

    >>> import chainrule
    >>> time_embedding(chainrule.tensor([0, 5]), 6).shape
    Size([2, 6])
    """
    if size < 2 or size % 2:
        raise ValueError(f"time_embedding: an even size, got {size}.")
    frequencies = (arange(size // 2, device=times.device) * (-math.log(longest) / (size // 2))).exp()
    angles = times.float().unsqueeze(1) * frequencies
    return cat([angles.cos(), angles.sin()], 1)


class _Block(nn.Module):
    """Two convolutions with a shortcut; between them a number for each channel is added that follows from the time."""

    def __init__(self, before: int, channels: int, told: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(_groups(before), before)
        self.conv1 = nn.Conv2d(before, channels, 3, padding=1)
        self.time = nn.Linear(told, channels)
        self.norm2 = nn.GroupNorm(_groups(channels), channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.shortcut = nn.Identity() if before == channels else nn.Conv2d(before, channels, 1)

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        """Images (N, before, H, W) and what is told (N, told) to (N, channels, H, W)."""
        y = self.conv1(F.silu(self.norm1(x))) + self.time(told)[:, :, None, None]
        return self.shortcut(x) + self.conv2(F.silu(self.norm2(y)))


class _Attention(nn.Module):
    """Every place looks at every other one: self-attention of one head, with a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(_groups(channels), channels)
        self.project = nn.Conv2d(channels, 3 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same."""
        queries, keys, values = self.project(self.norm(x)).flatten(2).transpose(1, 2).chunk(3, 2)
        mixed = F.scaled_dot_product_attention(queries, keys, values)
        return x + self.out(mixed.transpose(1, 2).reshape(*x.shape))


class TimeUNet(nn.Module):
    """From noisy images (N, C, H, W), times (N,) and classes (N,) to the noise in them, (N, C, H, W).

    Args:
        channels: of the images.
        base: channels at the top.
        widths: for each level, how many times as many channels as the top has; between levels the size is halved, so H
            and W are multiples of 2^(levels − 1).
        classes: how many there are; class number `classes` stands for "not told". 0: the network is told none.

    At the lowest level there is attention. The last convolution begins with zeros. With weights of 16 bits the network
    computes in their type and answers in that of x, so that what is around it (schedule, noise, loss) can be float32.
    Raises ShapeError for other sizes, ValueError for numbers outside of their ranges.

    >>> import chainrule
    >>> network = TimeUNet(1, base=8, widths=(1, 2), classes=3)
    >>> network(chainrule.zeros(2, 1, 8, 8), chainrule.tensor([1, 7]), chainrule.tensor([0, 3])).shape
    Size([2, 1, 8, 8])
    """

    def __init__(self, channels: int = 1, base: int = 32, widths: Sequence[int] = (1, 2, 2), classes: int = 0) -> None:
        super().__init__()
        if min(channels, base, *widths) < 1 or not widths or classes < 0:
            raise ValueError(
                f"TimeUNet: channels, base and widths are 1 or more and classes not negative, got {channels}, {base}, "
                f"{tuple(widths)} and {classes}."
            )
        self.channels, self.base, self.classes = channels, base + base % 2, classes
        told, sizes = 4 * base, [base * width for width in widths]
        self.time = nn.Sequential(nn.Linear(self.base, told), nn.SiLU(), nn.Linear(told, told))
        self.label = nn.Embedding(classes + 1, told) if classes else None
        self.first = nn.Conv2d(channels, base, 3, padding=1)
        self.down = nn.ModuleList([_Block(a, b, told) for a, b in zip([base, *sizes[:-1]], sizes, strict=True)])
        self.narrow = nn.ModuleList([nn.Conv2d(c, c, 3, stride=2, padding=1) for c in sizes[:-1]])
        self.bottom = nn.ModuleList([_Block(sizes[-1], sizes[-1], told) for _ in range(2)])
        self.attention = _Attention(sizes[-1])
        below = [sizes[-1], *reversed(sizes[1:])]
        self.up = nn.ModuleList(
            [_Block(a + b, b, told) for a, b in zip(below, reversed(sizes), strict=True)]  # from below, and beside
        )
        self.widen = nn.ModuleList([nn.Conv2d(c, c, 3, padding=1) for c in reversed(sizes[1:])])
        self.norm = nn.GroupNorm(_groups(base * widths[0]), base * widths[0])
        self.last = nn.Conv2d(base * widths[0], channels, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, x: Tensor, times: Tensor, labels: Tensor | None = None) -> Tensor:
        """See the class."""
        self._check(x, labels)
        given, weights = x.dtype, self.first.weight.dtype
        x = x.to(weights) if weights.itemsize == 2 else x
        told = self.time(time_embedding(times, self.base).to(x.dtype))
        if self.label is not None and labels is not None:
            told = told + self.label(labels)
        told = F.silu(told)
        x = self.first(x)
        beside = []
        for level, block in enumerate(self.down):
            x = block(x, told)
            beside.append(x)
            if level < len(self.narrow):
                x = self.narrow[level](x)
        x = self.bottom[1](self.attention(self.bottom[0](x, told)), told)
        for level, block in enumerate(self.up):
            x = block(cat([x, beside.pop()], 1), told)
            if level < len(self.widen):
                x = self.widen[level](F.interpolate(x, scale_factor=2, mode="nearest"))
        return self.last(F.silu(self.norm(x))).to(given)

    def _check(self, x: Tensor, labels: Tensor | None) -> None:
        multiple = 2 ** len(self.narrow)
        if x.ndim != 4 or x.shape[1] != self.channels or x.shape[2] % multiple or x.shape[3] % multiple:
            raise ShapeError(
                f"TimeUNet: images (N, {self.channels}, H, W) with H and W multiples of {multiple}, "
                f"got {tuple(x.shape)}."
            )
        if bool(self.classes) != (labels is not None):
            wanted = f"a class for each image, {self.classes} for 'not told'" if self.classes else "no classes"
            raise ValueError(f"TimeUNet: this network is told {wanted}.")


def _groups(channels: int) -> int:
    """The largest number of groups up to 8 that divides the channels."""
    return next(count for count in range(min(8, channels), 0, -1) if channels % count == 0)
