"""Convolutions by Winograd's algorithm, forward and the gradient in the image. What it is: `passes/winograd.py`.

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
from chainrule.backends.passes.winograd import PIECE, tiles_of
from chainrule.primitives.value import DataType, Shape
from chainrule.program.graph import Equation


@dataclass
class Winograd:
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
    scales = None

    @property
    def a(self) -> tuple[Buffer, int]:
        """Where the image begins."""
        return self.image.buffer, self.image.offset

    @property
    def b(self) -> tuple[Buffer, int]:
        """Where the weight begins."""
        return self.weight.buffer, self.weight.offset

    @property
    def dtype(self) -> DataType:
        """Of what is added up, and of the result."""
        return self.image.dtype

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
