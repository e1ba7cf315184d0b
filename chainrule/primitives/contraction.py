"""Contractions: products summed over shared dimensions. Here the time of a training step goes.

The matrix product, and the general convolution with its two gradients. The three convolution primitives are each
other's gradients, because the convolution is linear in both of its arguments:

    y = Convolution(x, w)                 y[n,o,p] = Σ_c Σ_k  x[n, c, p·stride + k·dilation − padding] · w[o,c,k]
    x̄ = ConvolutionTranspose(ȳ, w)        the same sum read backwards: every ȳ is spread over the window it came from
    w̄ = ConvolutionWeight(x, ȳ)           the correlation of the input with the result's gradient

All three are matrix products over "columns", the matrix of all windows; only the few kernel offsets are looped over.
As everywhere in the field the kernel is not flipped: strictly this is a cross-correlation.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.errors import ShapeError
from chainrule.primitives.primitive import Primitive
from chainrule.primitives.value import Array, Form, Shape

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


class MatMul(Primitive):
    """Z = X·Y for the last two dimensions; the dimensions before them are equal and count the products."""

    latex = r"X Y"
    accumulates = True

    @staticmethod
    def shape(x: Array, y: Array) -> Form:
        if (
            len(x.shape) < 2
            or len(x.shape) != len(y.shape)
            or x.shape[:-2] != y.shape[:-2]
            or x.shape[-1] != y.shape[-2]
        ):
            raise ShapeError(
                f"matmul: {tuple(x.shape)} @ {tuple(y.shape)}: the last dimension of the first must equal the one "
                "before the last of the second. If one of them is transposed, use .mT."
            )
        return (*x.shape[:-1], y.shape[-1]), x.dtype

    @staticmethod
    def operations(arrays: Sequence[Array], parameters: dict[str, Any], forms: Any) -> int:
        return math.prod(forms[0]) * arrays[0].shape[-1]

    @staticmethod
    def evaluate(x: Array, y: Array) -> Array:
        return np.matmul(x, y)

    @staticmethod
    def grad_x(g: Tensor, y: Tensor) -> Tensor:
        return g @ y.mT

    @staticmethod
    def grad_y(g: Tensor, x: Tensor) -> Tensor:
        # The same as xᵀ·g; computed so, the gradient of a layer's weight (y = x·Wᵀ) lies in memory as the weight does.
        return (g.mT @ x).mT


# ---------------------------------------------------------------------------------------------- convolution


def window_count(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    """How many windows fit: ⌊(size + 2·padding − dilation·(kernel − 1) − 1) / stride⌋ + 1."""
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def _check_convolution(x: Any, w: Any, stride: Shape, padding: Shape, dilation: Shape, groups: int) -> Shape:
    """The spatial shape of the result, or a ShapeError that says what does not fit."""
    n = len(stride)
    if len(x.shape) != n + 2 or len(w.shape) != n + 2:
        raise ShapeError(
            f"convolution over {n} dimensions takes an input (N, C, …) and a weight (C_out, C/groups, …) of {n + 2} "
            f"dimensions each, got {tuple(x.shape)} and {tuple(w.shape)}."
        )
    if x.shape[1] != w.shape[1] * groups or w.shape[0] % groups:
        raise ShapeError(
            f"convolution: the input {tuple(x.shape)} has {x.shape[1]} channels, the weight {tuple(w.shape)} with "
            f"groups={groups} expects {w.shape[1] * groups}."
        )
    sizes = zip(x.shape[2:], w.shape[2:], stride, padding, dilation, strict=True)
    out = tuple(window_count(*size) for size in sizes)
    if any(extent < 1 for extent in out):
        reach = tuple(d * (k - 1) + 1 for k, d in zip(w.shape[2:], dilation, strict=True))
        raise ShapeError(
            f"convolution: a kernel of {reach} does not fit into the input's {tuple(x.shape[2:])} with padding "
            f"{padding}."
        )
    return out


def pad_spatial(x: Array, padding: Shape) -> Array:
    """Zeros around the spatial dimensions of (N, C, …)."""
    if not any(padding):
        return x
    padded = np.zeros((*x.shape[:2], *(s + 2 * p for s, p in zip(x.shape[2:], padding, strict=True))), x.dtype)
    padded[inside(x.shape[2:], padding)] = x
    return padded


def inside(size: Shape, padding: Shape) -> Any:
    """The index of what is not padding."""
    return (..., *(slice(p, p + s) for s, p in zip(size, padding, strict=True)))


def offsets(kernel: Shape, stride: Shape, dilation: Shape, out: Shape) -> list[Any]:
    """For each kernel offset, in row-major order, the index of what it meets in the padded input."""
    return [
        (
            ...,
            *(
                slice(k * d, k * d + (o - 1) * s + 1, s)
                for k, d, s, o in zip(place, dilation, stride, out, strict=True)
            ),
        )
        for place in itertools.product(*(range(k) for k in kernel))
    ]


#: Columns are written for some images at a time, so that they stay in the cache: about this many bytes.
_CHUNK = 2**21
#: With a weight of fewer entries than this, a product of so few columns costs more to start than the cache saves.
_SMALL_WEIGHT, _LARGE_CHUNK = 2**14, 2**24


def _chunks(count: int, bytes_each: int, weight: Array, least: int = 0) -> list[slice]:
    """The images in groups whose columns take about `_CHUNK` bytes (or `least`, if that is more)."""
    chunk = _LARGE_CHUNK if weight.size < _SMALL_WEIGHT else _CHUNK
    size = max(1, max(chunk, least) // max(bytes_each, 1))
    return [slice(i, min(i + size, count)) for i in range(0, count, size)]


class _Columns:
    """All windows of some images as a matrix for each group: (groups, C/groups · kernel, images · out)."""

    def __init__(self, kernel: Shape, stride: Shape, padding: Shape, dilation: Shape, out: Shape, groups: int) -> None:
        self.padding, self.groups, self.kernel = padding, groups, math.prod(kernel)
        self.out = out
        self.places = offsets(kernel, stride, dilation, out)
        self.as_it_is = self.kernel == 1 and all(s == 1 for s in stride)
        self.buffer: Array | None = None

    def bytes_each(self, x: Array) -> int:
        """How much the columns of one image take."""
        return int(x.shape[1] * self.kernel * math.prod(self.out) * x.itemsize)

    def of(self, x: Array) -> Array:
        """The columns of some images; the memory is used again by the next call."""
        n, channels = x.shape[:2]
        shape = self.groups, channels // self.groups * self.kernel, n * math.prod(self.out)
        padded = pad_spatial(x, self.padding).swapaxes(0, 1)
        if self.as_it_is:
            return padded.reshape(shape)
        if self.buffer is None or self.buffer.shape[2] != n:
            self.buffer = np.empty((channels, self.kernel, n, *self.out), x.dtype)
        for k, place in enumerate(self.places):
            self.buffer[:, k] = padded[place]
        return self.buffer.reshape(shape)


def _channels_first(y: Array, groups: int) -> Array:
    """(N, C, …) as (groups, C/groups, N · …), the form in which results of the products come and go."""
    n, channels, *size = y.shape
    return y.swapaxes(0, 1).reshape(groups, channels // groups, n * math.prod(size))


class Convolution(Primitive):
    """y = x ⋆ w over any number of spatial dimensions. x: (N, C, …), w: (C_out, C/groups, …), y: (N, C_out, …)."""

    latex = r"x \star w"
    accumulates = True

    @staticmethod
    def shape(x: Array, w: Array, *, stride: Shape, padding: Shape, dilation: Shape, groups: int) -> Form:
        out = _check_convolution(x, w, stride, padding, dilation, groups)
        return (x.shape[0], w.shape[0], *out), x.dtype

    @staticmethod
    def operations(arrays: Sequence[Array], parameters: dict[str, Any], forms: Any) -> int:
        return math.prod(forms[0]) * math.prod(arrays[1].shape[1:])

    @staticmethod
    def evaluate(x: Array, w: Array, *, stride: Shape, padding: Shape, dilation: Shape, groups: int) -> Array:
        out = _check_convolution(x, w, stride, padding, dilation, groups)
        columns = _Columns(w.shape[2:], stride, padding, dilation, out, groups)
        weight = w.reshape(groups, w.shape[0] // groups, math.prod(w.shape[1:]))
        y = np.empty((x.shape[0], w.shape[0], *out), x.dtype)
        for images in _chunks(x.shape[0], columns.bytes_each(x), w):
            product = np.matmul(weight, columns.of(x[images]))
            y[images] = product.reshape(w.shape[0], len(x[images]), *out).swapaxes(0, 1)
        return y

    @staticmethod
    def grad_x(
        g: Tensor, x_shape: Shape, w: Tensor, *, stride: Shape, padding: Shape, dilation: Shape, groups: int
    ) -> Tensor:
        settings = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        return ConvolutionTranspose.apply(g, w, size=tuple(x_shape[2:]), **settings)

    @staticmethod
    def grad_w(
        g: Tensor, x: Tensor, w_shape: Shape, *, stride: Shape, padding: Shape, dilation: Shape, groups: int
    ) -> Tensor:
        settings = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        return ConvolutionWeight.apply(x, g, kernel=tuple(w_shape[2:]), **settings)


class ConvolutionTranspose(Primitive):
    """x = the transpose of the convolution with w, applied to y: the gradient of Convolution in its input.

    `size` is the spatial size of the result, which the stride alone leaves open.
    """

    latex = r"y \star^{\top} w"
    accumulates = True

    @staticmethod
    def shape(y: Array, w: Array, *, size: Shape, stride: Shape, padding: Shape, dilation: Shape, groups: int) -> Form:
        x_shape = (y.shape[0], w.shape[1] * groups, *size)
        if len(y.shape) != len(w.shape) or len(size) != len(w.shape) - 2:
            raise ShapeError(
                f"transposed convolution over {len(size)} dimensions takes an input (N, C, …) and a weight of "
                f"{len(size) + 2} dimensions each, got {tuple(y.shape)} and {tuple(w.shape)}."
            )
        if y.shape[1] != w.shape[0] or w.shape[0] % groups:
            raise ShapeError(
                f"transposed convolution: the input {tuple(y.shape)} has {y.shape[1]} channels, the weight "
                f"{tuple(w.shape)} with groups={groups} expects {w.shape[0]}."
            )
        counts = zip(size, w.shape[2:], stride, padding, dilation, strict=True)
        out = tuple(window_count(*count) for count in counts)
        if out != tuple(y.shape[2:]):
            raise ShapeError(
                f"transposed convolution: an output of {size} would be read by {out} windows, the input has "
                f"{tuple(y.shape[2:])}."
            )
        return x_shape, y.dtype

    @staticmethod
    def operations(arrays: Sequence[Array], parameters: dict[str, Any], forms: Any) -> int:
        return arrays[0].size * math.prod(arrays[1].shape[1:])

    @staticmethod
    def evaluate(
        y: Array, w: Array, *, size: Shape, stride: Shape, padding: Shape, dilation: Shape, groups: int
    ) -> Array:
        kernel, out, channels = w.shape[2:], y.shape[2:], w.shape[1] * groups
        weight = w.reshape(groups, w.shape[0] // groups, math.prod(w.shape[1:])).swapaxes(1, 2)
        places = offsets(kernel, stride, dilation, out)
        padded_size = [s + 2 * p for s, p in zip(size, padding, strict=True)]
        x = np.empty((y.shape[0], channels, *size), y.dtype)
        for images in _chunks(y.shape[0], channels * math.prod((*kernel, *out)) * y.itemsize, w):
            columns = np.matmul(weight, _channels_first(y[images], groups))
            columns = columns.reshape(channels, len(places), len(y[images]), *out)
            padded = np.zeros((channels, columns.shape[2], *padded_size), y.dtype)
            for k, place in enumerate(places):
                padded[place] += columns[:, k]
            x[images] = padded[inside(size, padding)].swapaxes(0, 1)
        return x

    @staticmethod
    def grad_y(g: Tensor, w: Tensor, *, stride: Shape, padding: Shape, dilation: Shape, groups: int) -> Tensor:
        return Convolution.apply(g, w, stride=stride, padding=padding, dilation=dilation, groups=groups)

    @staticmethod
    def grad_w(
        g: Tensor, y: Tensor, w_shape: Shape, *, stride: Shape, padding: Shape, dilation: Shape, groups: int
    ) -> Tensor:
        settings = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        return ConvolutionWeight.apply(g, y, kernel=tuple(w_shape[2:]), **settings)


class ConvolutionWeight(Primitive):
    """w = Σ over samples and windows of x times y: the gradient of Convolution in its weight."""

    latex = r"x \star_w y"
    accumulates = True

    @staticmethod
    def shape(
        x: Array, y: Array, *, kernel: Shape, stride: Shape, padding: Shape, dilation: Shape, groups: int
    ) -> Form:
        if len(x.shape) != len(y.shape) or x.shape[0] != y.shape[0] or x.shape[1] % groups or y.shape[1] % groups:
            raise ShapeError(
                f"weight gradient of a convolution: {tuple(x.shape)} and {tuple(y.shape)} do not belong together "
                f"(groups={groups})."
            )
        if len(kernel) != len(x.shape) - 2:
            raise ShapeError(f"weight gradient of a convolution: kernel {kernel} does not fit {tuple(x.shape)}.")
        counts = zip(x.shape[2:], kernel, stride, padding, dilation, strict=True)
        out = tuple(window_count(*count) for count in counts)
        if out != tuple(y.shape[2:]):
            raise ShapeError(
                f"weight gradient of a convolution: a kernel of {kernel} reads {tuple(x.shape)} by {out} windows, the "
                f"result's gradient {tuple(y.shape)} has {tuple(y.shape[2:])}."
            )
        return (y.shape[1], x.shape[1] // groups, *kernel), x.dtype

    @staticmethod
    def operations(arrays: Sequence[Array], parameters: dict[str, Any], forms: Any) -> int:
        return arrays[1].size * math.prod(forms[0][1:])

    @staticmethod
    def evaluate(
        x: Array, y: Array, *, kernel: Shape, stride: Shape, padding: Shape, dilation: Shape, groups: int
    ) -> Array:
        columns = _Columns(kernel, stride, padding, dilation, y.shape[2:], groups)
        w = np.zeros((groups, y.shape[1] // groups, x.shape[1] // groups * math.prod(kernel)), x.dtype)
        # Each chunk's product is added to w, so it should be no smaller than w.
        for images in _chunks(x.shape[0], columns.bytes_each(x), w, w.nbytes):
            w += np.matmul(_channels_first(y[images], groups), columns.of(x[images]).swapaxes(1, 2))
        return w.reshape(y.shape[1], x.shape[1] // groups, *kernel)

    @staticmethod
    def grad_x(
        g: Tensor, x_shape: Shape, y: Tensor, *, stride: Shape, padding: Shape, dilation: Shape, groups: int
    ) -> Tensor:
        settings = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        return ConvolutionTranspose.apply(y, g, size=tuple(x_shape[2:]), **settings)

    @staticmethod
    def grad_y(g: Tensor, x: Tensor, *, stride: Shape, padding: Shape, dilation: Shape, groups: int) -> Tensor:
        return Convolution.apply(x, g, stride=stride, padding=padding, dilation=dilation, groups=groups)
