r"""Convolutions with a kernel of 3×3 that slides pixel by pixel, by Winograd's algorithm: fewer multiplications.

Two neighbouring results of a kernel of three numbers, y₀ = d₀g₀ + d₁g₁ + d₂g₂ and y₁ = d₁g₀ + d₂g₁ + d₃g₂, take six
multiplications. Four are enough:

    m₁ = (d₀ − d₂)·g₀              m₂ = (d₁ + d₂)·½(g₀ + g₁ + g₂)
    m₄ = (d₁ − d₃)·g₂              m₃ = (d₂ − d₁)·½(g₀ − g₁ + g₂)
    y₀ = m₁ + m₂ + m₃,             y₁ = m₂ − m₃ − m₄

or Y = Aᵀ[(G g) ⊙ (Bᵀ d)] with the matrices below. Done along both dimensions it gives 2×2 results, a *tile*, from a
piece of 4×4 pixels: Y = Aᵀ[(G g Gᵀ) ⊙ (Bᵀ d B)]A with 16 multiplications instead of 36. The sum over the channels
in can be taken before the last step, since that is linear. So it is 16 products of matrices, one for each place of
the 4×4: (tiles × channels in) · (channels in × channels out).

The gradient in the image is again such a convolution: of the result's gradient, with the kernel turned around. That in
the weight is the same read backwards: g enters only by G g, so its gradient is Gᵀ[(A y Aᵀ) ⊙ (Bᵀ d B)]G, where y is the
result's gradient and the products are added up over all tiles before the last step: 16 products of matrices again,
(channels in × tiles) · (tiles × channels out).

Only additions, and halves of weights, come on top, so the error is that of the plain sum: 0.7 times as large over real
layers, for there are 9 times fewer numbers in a row to add up (`tests/test_winograd.py`). Tiles of 4×4 results would
take 36 multiplications instead of 144, but their matrices have entries up to 8 and 1/24: the error is 4.5 to 5.6 times
the plain sum's, which is too much.

S. Winograd, Arithmetic Complexity of Computations (1980); A. Lavin and S. Gray, Fast Algorithms for Convolutional
Neural Networks (2015), arXiv:1509.09308.

>>> import numpy as np
>>> d, g = np.array([1.0, 2, 3, 5]), np.array([1.0, 10, 100])
>>> RESULT @ ((KERNEL @ g) * (IMAGE @ d)), np.correlate(d, g)
(array([321., 532.]), array([321., 532.]))
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule.primitives.contraction import Convolution, ConvolutionTranspose, ConvolutionWeight
from chainrule.primitives.primitive import Primitive
from chainrule.program.graph import Equation, Graph

#: Bᵀ, G and Aᵀ of the paper: for four pixels, a kernel of three, two results.
IMAGE = np.array([[1.0, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]])
KERNEL = np.array([[1.0, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
RESULT = np.array([[1.0, 1, 1, 0], [0, 1, -1, -1]])

#: Results of a tile along a dimension, and the pixels that they are made from.
STEP, PIECE = len(RESULT), len(IMAGE)
#: What a weight's change of form costs, and a pixel's, in multiplications and additions of the products; as measured.
#: Where all together is not so many times less than the plain sum takes, that is done.
KERNEL_COST, IMAGE_COST, GAIN = 110, 75, 1.25
#: With fewer channels in vectors are not full.
LEAST_CHANNELS = 16
#: What changing the form of a pixel costs there: all of what is written goes to the second cache.
WEIGHT_COST = 150
#: For the gradient in the weight so many channels on either side are one part of the work, and tiles change form
#: together. Where there are fewer than so many parts, the tiles are shared out and the sums added up in the end.
WEIGHT_CHANNELS, WEIGHT_TILES, WEIGHT_PARTS = 64, 64, 8


class WinogradConvolution(Convolution, abstract=True):
    """A convolution that is to be computed by Winograd's algorithm. Its meaning is the same."""


class WinogradTranspose(ConvolutionTranspose, abstract=True):
    """The gradient of a convolution in its image, to be computed by Winograd's algorithm."""


class WinogradWeight(ConvolutionWeight, abstract=True):
    """The gradient of a convolution in its weight, to be computed by Winograd's algorithm."""


_BY_WINOGRAD: dict[str, type[Primitive]] = {
    "Convolution": WinogradConvolution,
    "ConvolutionTranspose": WinogradTranspose,
    "ConvolutionWeight": WinogradWeight,
}


def tiles_of(size: Any) -> tuple[int, ...]:
    """How many tiles a result of this size has along each dimension; those at the end may reach over the edge.

    >>> tiles_of((8, 5))
    (4, 3)
    """
    return tuple(-(-n // STEP) for n in size)


def pays(e: Equation) -> bool:
    """Whether an equation is a convolution that is faster so. Only shapes and the data type decide."""
    if e.primitive.name not in _BY_WINOGRAD:
        return False
    backwards = e.primitive.name == "ConvolutionWeight"
    (image, other), (result,), settings = e.inputs, e.outputs, e.parameters
    weight, result = (result, other) if backwards else (other, result)
    plain = (
        tuple(weight.shape[2:]) == (3, 3)
        and image.dtype == weight.dtype == np.float32
        and all(s == 1 for s in (*settings["stride"], *settings["dilation"], settings["groups"]))
        and all(0 <= p <= 2 for p in settings["padding"])
    )
    if not plain or 0 in result.shape:
        return False
    channels, columns = image.shape[1], result.shape[1]
    if min(channels, columns) < LEAST_CHANNELS:
        return False
    tiles, pixels = (result.shape[0] * math.prod(size) for size in (tiles_of(result.shape[2:]), result.shape[2:]))
    if backwards:
        return _pays_backwards(channels, columns, tiles, pixels)
    forms = KERNEL_COST + IMAGE_COST * tiles * (1 / columns + 1.5 / channels)
    return bool(9 * pixels > GAIN * (PIECE * PIECE * tiles + forms))


def _pays_backwards(channels: int, columns: int, tiles: int, pixels: int) -> bool:
    """Whether the gradient in the weight is faster so. Tiles that reach over the edge are left to the plain sum."""
    if pixels != STEP * STEP * tiles:
        return False
    shares = [-(-n // WEIGHT_CHANNELS) / n for n in (channels, columns)]
    forms = KERNEL_COST * sums_of_weight(channels, columns, tiles) + WEIGHT_COST * tiles * sum(shares)
    return bool(9 * pixels > GAIN * (PIECE * PIECE * tiles + forms))


def sums_of_weight(channels: int, columns: int, tiles: int) -> int:
    """Into how many sums the tiles are parted for the gradient in the weight, so that there is work for all threads.

    >>> sums_of_weight(512, 512, 128), sums_of_weight(64, 64, 8192), sums_of_weight(64, 64, 128)
    (1, 8, 2)
    """
    parts = -(-channels // WEIGHT_CHANNELS) * -(-columns // WEIGHT_CHANNELS)
    wanted = max(1, min(-(-WEIGHT_PARTS // parts), tiles // WEIGHT_TILES))
    each = -(-tiles // wanted)
    return -(-tiles // each)


def winograd(graph: Graph) -> Graph:
    """The graph in which those convolutions are marked that are to be computed so.

    >>> from chainrule.primitives.value import Symbol
    >>> single = np.dtype("f4")
    >>> x, w, y = (Symbol(shape, single) for shape in [(8, 32, 16, 16), (32, 32, 3, 3), (8, 32, 16, 16)])
    >>> settings = {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 1}
    >>> convolution = Equation(Convolution, (x, w), settings, (y,), (y.shape, single), "")
    >>> [e.primitive.name for e in winograd(Graph([x, w], [convolution], [y])).equations]
    ['WinogradConvolution']
    """
    marked = [e._replace(primitive=_BY_WINOGRAD[e.primitive.name]) if pays(e) else e for e in graph.equations]
    return Graph(graph.inputs, marked, graph.outputs)
