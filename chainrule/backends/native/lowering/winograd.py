"""Convolutions by Winograd's algorithm, forward and both gradients. What it is: `passes/winograd.py`.

The result is a contraction's, whose rows are the pixels and whose columns are the channels out, so what follows it
joins its group. The image needs a border of zeros: the padding, and one more at the end where a tile reaches over it.

>>> import chainrule
>>> convolve = chainrule.compile(lambda x, w: chainrule.nn.functional.conv2d(x, w, padding=1).relu())
>>> _ = convolve(chainrule.ones(4, 32, 16, 16), chainrule.ones(64, 32, 3, 3))
>>> print(convolve.explain().splitlines()[-2])
   2  winograd 256 tiles×64×32 → [4×64×16×16] Maximum
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from chainrule.backends.native.lowering.contract import contract
from chainrule.backends.native.lowering.convolve import phase_weight
from chainrule.backends.native.lowering.fuse import Lowering
from chainrule.backends.native.lowering.images import bordered, halo_of, phase_of, weight_in_order
from chainrule.backends.native.lowering.place import Buffer, Place, View
from chainrule.backends.native.lowering.rules import rule
from chainrule.backends.passes.winograd import PIECE, sums_of_weight, tiles_of
from chainrule.primitives.value import DataType, Shape
from chainrule.program.graph import Equation


class ByWinograd:
    """What both kinds have in common: the two factors, and how a nest asks for them.

    Attributes:
        factors: the image, and the weight or the result's gradient.
    """

    factors: tuple[View, View]
    scales = None

    @property
    def a(self) -> tuple[Buffer, int]:
        """Where the image begins."""
        return self.factors[0].buffer, self.factors[0].offset

    @property
    def b(self) -> tuple[Buffer, int]:
        """Where the other factor begins."""
        return self.factors[1].buffer, self.factors[1].offset

    @property
    def dtype(self) -> DataType:
        """Of what is added up, and of the result."""
        return self.factors[0].dtype


@dataclass
class Winograd(ByWinograd):
    """A convolution by Winograd's algorithm: a contraction of its own kind, in front of a nest like the others.

    Attributes:
        image: (N, H, W, channels in), beginning at the corner of the first tile; the channels lie side by side.
        weight: (3, 3, channels in, channels out), of which the last lie side by side.
        size: of the result: height and width.
    """

    image: View
    weight: View
    size: tuple[int, int]
    row_axes = (0, 2, 3)
    column_axis = 1
    splits = 1

    def __post_init__(self) -> None:
        self.factors = self.image, self.weight

    @property
    def tiles(self) -> int:
        """How many tiles the result has."""
        return self.image.shape[0] * math.prod(tiles_of(self.size))

    @property
    def operations(self) -> int:
        """Multiplications and additions of the products."""
        return 2 * PIECE * PIECE * self.tiles * math.prod(self.weight.shape[2:])

    @property
    def title(self) -> str:
        """What it is, in a word and three numbers."""
        channels, columns = self.weight.shape[2:]
        return f"winograd {self.tiles} tiles×{columns}×{channels}"


@dataclass
class WinogradWeight(ByWinograd):
    """A convolution's gradient in its weight by Winograd's algorithm, in front of a nest like the others.

    Attributes:
        image: (N, H, W, channels in), beginning at the corner of the first tile; the channels lie side by side.
        upstream: the result's gradient, (N, height, width, channels out), of which the last lie side by side.
        splits: into how many sums the tiles are parted; more than one makes the first axis of the result.
    """

    image: View
    upstream: View
    splits: int
    row_axes = (2, 3, 1)
    column_axis = 0

    def __post_init__(self) -> None:
        self.factors = self.image, self.upstream

    @property
    def channels(self) -> int:
        """How many channels the image has."""
        return self.image.shape[3]

    @property
    def columns(self) -> int:
        """How many channels the result has."""
        return self.upstream.shape[3]

    @property
    def tiles(self) -> int:
        """How many tiles the result has."""
        return self.image.shape[0] * math.prod(tiles_of(self.upstream.shape[1:3]))

    @property
    def operations(self) -> int:
        """Multiplications and additions of the products."""
        return 2 * PIECE * PIECE * self.tiles * self.channels * self.columns

    @property
    def title(self) -> str:
        """What it is, in two words and three numbers."""
        pieces = f" in {self.splits} sums" if self.splits > 1 else ""
        return f"winograd weight {self.channels}×{self.columns}×{self.tiles} tiles{pieces}"


@rule
def lower_WinogradConvolution(at: Lowering, e: Equation) -> Place | None:
    """The image with its padding."""
    _, w = e.inputs
    return _winograd(at, e, weight_in_order(at, w, (2, 3, 1, 0)), tuple(e.parameters["padding"]))


@rule
def lower_WinogradTranspose(at: Lowering, e: Equation) -> Place | None:
    """The result's gradient, with zeros as far as the kernel reaches over the padding, and the kernel turned."""
    _, w = e.inputs
    phase = phase_of(e, (0, 0))
    assert phase is not None
    return _winograd(at, e, phase_weight(at, w, phase), tuple(2 - p for p in e.parameters["padding"]))


@rule
def lower_WinogradWeight(at: Lowering, e: Equation) -> Place | None:
    """The image with its padding, and the result's gradient as it lies."""
    (x, g), (w,), padding = e.inputs, e.outputs, tuple(e.parameters["padding"])
    size = g.shape[2:]
    image = bordered(at, x, padding, padding, channels_last=True)
    upstream = bordered(at, g, (0, 0), (0, 0), channels_last=True)
    offset = image.offset - sum(p * s for p, s in zip(padding, image.strides[2:], strict=True))
    pieces = tuple(2 * n + 2 for n in tiles_of(size))
    whole = image.walked((x.shape[0], *pieces, x.shape[1]), (image.strides[0], *image.strides[2:], 1), offset)
    product = WinogradWeight(whole, upstream.permute((0, 2, 3, 1)), 1)
    product.splits = sums_of_weight(product.channels, product.columns, product.tiles)
    return contract(at, product, w.shape, [2, 3, 1, 0])


def _winograd(at: Lowering, e: Equation, weight: View, padding: Shape) -> Place:
    (y,), (_, wide) = e.outputs, halo_of(e)[0]
    size = y.shape[2:]
    image = bordered(at, e.inputs[0], padding, wide)
    assert image.strides[1] == 1 and weight.strides[-1] == 1 and image.dtype == np.float32
    offset = image.offset - sum(p * s for p, s in zip(padding, image.strides[2:], strict=True))
    pieces = tuple(2 * n + 2 for n in tiles_of(size))
    strides = (image.strides[0], *image.strides[2:], 1)
    whole = image.walked((image.shape[0], *pieces, image.shape[1]), strides, offset)
    return contract(at, Winograd(whole, weight, (size[0], size[1])), y.shape, [0, 2, 3, 1])
