"""Pixels one after the other: p(x) = Π p(x_i|x_1, …, x_{i−1}), each a choice among the levels of a pixel.

The order is that of reading: rows from the top, from left to right, the colours of a pixel in turn. One network gives
all conditional probabilities at once, because its convolutions are masked: what belongs to a pixel sees only what comes
before it. So training takes one pass, and the likelihood is exact; a sample takes as many passes as there are numbers.

With masks of one piece there is a blind spot: places to the right above, beyond what the kernels reach, are not seen.

Source: van den Oord, Kalchbrenner and Kavukcuoglu, "Pixel recurrent neural networks", 2016.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from chainrule import nn
from chainrule.autodiff.mode import no_grad
from chainrule.compiler.function import compile
from chainrule.errors import ShapeError
from chainrule.functions.creation import arange, from_numpy, tensor, zeros
from chainrule.functions.gathering import gather
from chainrule.functions.logic import where
from chainrule.nn import functional as F
from chainrule.nn.device_of import device_of
from chainrule.random import rand
from chainrule.tensor import Tensor


class MaskedConv2d(nn.Conv2d):
    """A convolution that sees only places before its own in reading order. Its padding keeps the size.

    Args:
        in_channels, out_channels: multiples of `colours`: as many channels for the first colour, then for the next.
        kernel_size: odd.
        kind: "A" sees earlier colours of its own place, and not its own; "B" sees its own too. The first convolution,
            on the pixels, is "A", all others, on features, "B".
        colours: numbers in a pixel.

    Raises ValueError for other arguments.

    >>> MaskedConv2d(1, 1, 3, "A").mask[0, 0]
    tensor([[1., 1., 1.],
            [1., 0., 0.],
            [0., 0., 0.]])
    """

    mask: Tensor

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, kind: str, colours: int = 1) -> None:
        if kind not in ("A", "B") or kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f"MaskedConv2d: kind is 'A' or 'B' and kernel_size odd, got {kind!r} and {kernel_size}.")
        if colours < 1 or in_channels % colours or out_channels % colours:
            raise ValueError(
                f"MaskedConv2d: channels are multiples of {colours} colours, got {in_channels} and {out_channels}."
            )
        super().__init__(in_channels, out_channels, kernel_size, padding=kernel_size // 2)
        self.kind, self.colours = kind, colours
        middle = kernel_size // 2
        mask = np.zeros((out_channels, in_channels, kernel_size, kernel_size), np.float32)
        mask[:, :, :middle] = 1
        mask[:, :, middle, :middle] = 1
        of, by = (np.arange(count) * colours // count for count in (in_channels, out_channels))
        seen = of[None] < by[:, None] if kind == "A" else of[None] <= by[:, None]
        mask[:, :, middle, middle] = seen
        self.register_buffer("mask", from_numpy(mask), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) to (N, out_channels, H, W)."""
        return F.conv2d(x, self.weight * self.mask, self.bias, padding=self.padding)

    def extra_repr(self) -> str:
        """That of the convolution, and the kind of mask."""
        return f"{super().extra_repr()}, kind={self.kind!r}"


class _Block(nn.Module):
    """Narrow, look around, wide again; with a shortcut."""

    def __init__(self, channels: int, colours: int) -> None:
        super().__init__()
        narrow = channels // 2
        self.parts = nn.Sequential(
            nn.ReLU(), MaskedConv2d(channels, narrow, 1, "B", colours),
            nn.ReLU(), MaskedConv2d(narrow, narrow, 3, "B", colours),
            nn.ReLU(), MaskedConv2d(narrow, channels, 1, "B", colours),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to the same."""
        return x + self.parts(x)


class PixelCNN(nn.Module):
    """A distribution over images (N, C, H, W) of whole numbers 0, 1, …, levels − 1.

    Args:
        shape: (C, H, W) of an image.
        levels: 2 for black and white, 256 for bytes.
        width: features for each colour, an even number.
        depth: blocks; each lets a pixel see one place further.

    Train by minimising `-model.log_prob(x).mean()`; `metrics.samples.bits_per_dimension(log_prob, C·H·W)` is the usual
    figure. Raises ValueError for numbers outside of their ranges, ShapeError for images of another shape.

    >>> import chainrule
    >>> model = PixelCNN((1, 8, 8), levels=4, width=8, depth=1)
    >>> model.log_prob(chainrule.randint(0, 4, (5, 1, 8, 8))).shape, model.sample(2).shape
    (Size([5]), Size([2, 1, 8, 8]))
    """

    def __init__(self, shape: Sequence[int], levels: int = 2, width: int = 32, depth: int = 5) -> None:
        super().__init__()
        if len(shape) != 3 or min(shape) < 1:
            raise ValueError(f"PixelCNN: the shape of an image is (C, H, W), got {tuple(shape)}.")
        if levels < 2 or width < 2 or width % 2 or depth < 0:
            raise ValueError(
                f"PixelCNN: 2 levels or more, an even width and a depth from 0 on, got {levels}, {width} and {depth}."
            )
        self.shape, self.levels = tuple(shape), levels
        colours = self.shape[0]
        channels = width * colours
        self.layers = nn.Sequential(
            MaskedConv2d(colours, channels, 7, "A", colours),
            *[_Block(channels, colours) for _ in range(depth)],
            nn.ReLU(), MaskedConv2d(channels, channels, 1, "B", colours),
            nn.ReLU(), MaskedConv2d(channels, levels * colours, 1, "B", colours),
        )  # fmt: skip
        self._compiled = compile(self._next)

    def forward(self, x: Tensor) -> Tensor:
        """Scores of the levels, (N, levels, C, H, W): softmax over the levels gives each number's probabilities."""
        if tuple(x.shape[1:]) != self.shape:
            raise ShapeError(f"PixelCNN: images (N, {', '.join(map(str, self.shape))}), got {tuple(x.shape)}.")
        scaled = 2 * x.to(self.layers[0].weight.dtype) / (self.levels - 1) - 1
        scores = self.layers(scaled)
        return scores.reshape(len(x), self.shape[0], self.levels, *self.shape[1:]).transpose(1, 2)

    def log_prob(self, x: Tensor) -> Tensor:
        """ln p of each image, (N,), in nats. Raises for levels that there are not, as `cross_entropy` does."""
        return -F.cross_entropy(self(x), x.long(), reduction="none").flatten(1).sum(1)

    def sample(self, count: int, given: Tensor | None = None, rows: int = 0) -> Tensor:
        """New images of whole numbers, (count, C, H, W), int64.

        given: images (count, C, H, W) whose first `rows` rows are kept; the rest is drawn after them. Raises ShapeError
        for other shapes, ValueError for more rows than there are.
        """
        channels, height, width = self.shape
        if not 0 <= rows <= height or (rows and given is None):
            raise ValueError(f"PixelCNN.sample: rows of given images, from 0 to {height}, got {rows}.")
        if given is not None and tuple(given.shape) != (count, *self.shape):
            raise ShapeError(f"PixelCNN.sample: given are {(count, *self.shape)}, got {tuple(given.shape)}.")
        x = zeros(count, *self.shape, dtype="int64", device=device_of(self)) if given is None else given.long()
        for place in range(rows * width, height * width):
            for colour in range(channels):
                x = self._compiled(x, tensor([colour * height * width + place], device=x.device))
        return x

    @no_grad()
    def _next(self, x: Tensor, place: Tensor) -> Tensor:
        """x with the number at a place (of C·H·W, flat) drawn anew: the largest score after noise of −ln(−ln u)."""
        scores = self(x).flatten(2)
        here = gather(scores, 2, place.expand(*scores.shape[:2], 1)).squeeze(2)
        drawn = (here - (-rand(*here.shape, device=x.device).clamp(min=1e-20).log()).log()).argmax(1)
        numbers = x.flatten(1)
        at = arange(numbers.shape[1], device=x.device) == place
        return where(at, drawn.unsqueeze(1), numbers).reshape(*x.shape)
