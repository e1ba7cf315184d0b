"""Flows on images: from pixels to real numbers, masks, and codes of several scales.

Source: Dinh, Sohl-Dickstein and Bengio 2017, sections 3.4 to 3.6 and 4.1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from chainrule import nn
from chainrule.errors import ShapeError
from chainrule.functions.creation import arange, zeros
from chainrule.functions.pieces import cat
from chainrule.generative.flows.bijection import Bijection
from chainrule.nn import functional as F
from chainrule.random import rand
from chainrule.tensor import Tensor


def dequantise(pixels: Tensor, levels: int = 256) -> Tensor:
    """(pixels + U(0, 1))/levels, in [0, 1): a density for what was counted, from pixels 0, 1, …, levels − 1.

    A density p of the D results gives the pixels the probability P = ∫ p over their cell, and E[ln p(x)] − D·ln levels
    is at most ln P (Jensen). `metrics.samples.bits_per_dimension` states that bound in bits.

    >>> import chainrule
    >>> x = dequantise(chainrule.tensor([[0, 255]]))
    >>> bool((x[:, 0] < 1 / 256).all()), bool((x[:, 1] >= 255 / 256).all())
    (True, True)
    """
    if levels < 2:
        raise ValueError(f"dequantise: 2 levels or more, got {levels}.")
    pixels = pixels.float()
    return (pixels + rand(*pixels.shape, device=pixels.device)) / levels


class LogitScale(Bijection):
    """z = logit(α + (1 − 2·α)·x) for x in [0, 1]: pixels to real numbers; α keeps the ends at finite places.

    The first part of a flow on images; its stretch ln(1 − 2·α) − ln(p·(1 − p)), with p = α + (1 − 2·α)·x, is counted:
    likelihoods are of x. The inverse of a code may lie beyond [0, 1], by at most α/(1 − 2·α).

    >>> import chainrule
    >>> z, stretch = LogitScale()(chainrule.tensor([[0.0, 0.5, 1.0]]))
    >>> z
    tensor([[-2.9444,  0.0000,  2.9444]])
    """

    def __init__(self, alpha: float = 0.05) -> None:
        super().__init__()
        if not 0 < alpha < 0.5:
            raise ValueError(f"LogitScale: alpha lies between 0 and 0.5, got {alpha}.")
        self.alpha = alpha

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        p = self.alpha + (1 - 2 * self.alpha) * x
        z = p.log() - (-p).log1p()
        return z, self._stretch(z)

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return (z.sigmoid() - self.alpha) / (1 - 2 * self.alpha), -self._stretch(z)

    def _stretch(self, z: Tensor) -> Tensor:
        return (math.log(1 - 2 * self.alpha) + F.softplus(z) + F.softplus(-z)).flatten(1).sum(1)


def checkerboard_mask(height: int, width: int, first: int = 1) -> Tensor:
    """(1, height, width): `first` (0 or 1) in the corner, then the other in turn.

    >>> checkerboard_mask(2, 3).tolist()
    [[[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]]
    """
    return ((arange(height)[:, None] + arange(width) + first) % 2).float().unsqueeze(0)


def channel_mask(channels: int, first: int = 1) -> Tensor:
    """(channels, 1, 1): `first` (0 or 1) in the first half of the channels, the other in the rest.

    >>> channel_mask(4).flatten().tolist()
    [1.0, 1.0, 0.0, 0.0]
    """
    if channels % 2:
        raise ShapeError(f"channel_mask: an even number of channels, got {channels}.")
    half = zeros(channels // 2, 1, 1)
    return cat([half + first, half + 1 - first], 0)


class Squeeze(Bijection):
    """Every square of 2×2 pixels becomes four channels: (N, C, H, W) to (N, 4·C, H/2, W/2)."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if x.ndim != 4 or x.shape[2] % 2 or x.shape[3] % 2:
            raise ShapeError(f"Squeeze: images (N, C, H, W) of even height and width, got {tuple(x.shape)}.")
        return F.pixel_unshuffle(x, 2), x.new_zeros(len(x))

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return F.pixel_shuffle(z, 2), z.new_zeros(len(z))


class MultiScale(Bijection):
    """Levels of bijections; after each but the last, half of the channels are code already and the rest go on.

    Args:
        levels: bijections of images.
        shapes: the shape (C, H, W) that comes out of each level.

    Codes are flat, (N, D): the parts of the levels, the first level's first. The coarse structure is left for the last.
    """

    def __init__(self, levels: Sequence[Bijection], shapes: Sequence[Sequence[int]]) -> None:
        super().__init__()
        if len(levels) != len(shapes) or not levels:
            raise ValueError(f"MultiScale: one shape for each level, got {len(levels)} levels, {len(shapes)} shapes.")
        for channels, *_ in shapes[:-1]:
            if channels % 2:
                raise ShapeError(f"MultiScale: half of the channels go on, so their number is even, got {channels}.")
        self.levels, self.shapes = nn.ModuleList(levels), [tuple(shape) for shape in shapes]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        total, codes = x.new_zeros(len(x)), []
        for number, level in enumerate(self.levels):
            x, stretch = level(x)
            total = total + stretch
            if number < len(self.levels) - 1:
                code, x = x.chunk(2, 1)
                codes.append(code.flatten(1))
        return cat([*codes, x.flatten(1)], 1), total

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        last = len(self.levels) - 1
        sizes = [math.prod(shape) // (2 if number < last else 1) for number, shape in enumerate(self.shapes)]
        codes = z.split(sizes, 1)
        total, x = z.new_zeros(len(z)), codes[-1].reshape(-1, *self.shapes[-1])
        for number in range(last, -1, -1):
            if number < last:
                channels, *rest = self.shapes[number]
                x = cat([codes[number].reshape(-1, channels // 2, *rest), x], 1)
            x, stretch = self.levels[number].inverse(x)
            total = total + stretch
        return x, total
