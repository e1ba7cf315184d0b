"""Sliding windows over the spatial dimensions: what pooling and unfolding are made of.

Spatial dimensions are all after the first two: x is (N, C, …). Padding is done before, so that its value (0, −∞) is
somebody else's choice. Only the few kernel offsets are looped over, never samples or pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.errors import ShapeError
from chainrule.primitives.contraction import offsets, window_count
from chainrule.primitives.indexing import add_along, take_along
from chainrule.primitives.primitive import Primitive
from chainrule.primitives.value import Array, Form, Shape, Symbol, Value

if TYPE_CHECKING:
    from chainrule.tensor import Tensor

_index = np.dtype(np.int64)


def window_shape(name: str, x: Any, kernel: Shape, stride: Shape, dilation: Shape) -> Shape:
    """How many windows fit in each spatial dimension; a ShapeError if none does."""
    if len(x.shape) != len(kernel) + 2:
        raise ShapeError(
            f"{name} over {len(kernel)} dimensions takes an input (N, C, …) of {len(kernel) + 2} dimensions, "
            f"got {tuple(x.shape)}."
        )
    sizes = zip(x.shape[2:], kernel, stride, dilation, strict=True)
    out = tuple(window_count(size, k, s, 0, d) for size, k, s, d in sizes)
    if any(extent < 1 for extent in out):
        raise ShapeError(f"{name}: a window of {kernel} does not fit into {tuple(x.shape[2:])}.")
    return out


class Windows(Primitive):
    """z[n,c,p,k] = x[n, c, p·stride + k·dilation]: every window, its offsets as the last dimensions. No copy."""

    latex = r"x_{p s + k d}"
    moves = True

    @staticmethod
    def shape(x: Array, *, kernel: Shape, stride: Shape, dilation: Shape) -> Form:
        out = window_shape("windows", x, kernel, stride, dilation)
        return (*x.shape[:2], *out, *kernel), x.dtype

    @staticmethod
    def evaluate(x: Array, *, kernel: Shape, stride: Shape, dilation: Shape) -> Array:
        out = window_shape("windows", x, kernel, stride, dilation)
        steps = [step * s for step, s in zip(x.strides[2:], stride, strict=True)]
        inner = [step * d for step, d in zip(x.strides[2:], dilation, strict=True)]
        shape, strides = (*x.shape[:2], *out, *kernel), (*x.strides[:2], *steps, *inner)
        return np.lib.stride_tricks.as_strided(x, shape, strides, writeable=False)

    @staticmethod
    def grad_x(g: Tensor, x_shape: Shape, *, kernel: Shape, stride: Shape, dilation: Shape) -> Tensor:
        return Fold.apply(g, size=tuple(x_shape[2:]), kernel=kernel, stride=stride, dilation=dilation)

    @staticmethod
    def write(base: Tensor, new: Tensor, *, kernel: Shape, stride: Shape, dilation: Shape) -> Tensor:
        sizes = zip(new.shape[2:], kernel, stride, dilation, strict=False)
        if any(count > 1 and k > 1 and step <= (k - 1) * d for count, k, step, d in sizes):
            raise ShapeError(
                "an in-place change of windows that overlap would write several numbers to one place; clone() them "
                "first, or change the tensor that they are of."
            )
        extents = tuple(base.shape)
        entries = np.arange(base.numel()).reshape(extents)
        places = Primitive.make_tensor(
            Value(Windows.evaluate(entries, kernel=kernel, stride=stride, dilation=dilation).reshape(-1))
        )
        return base.reshape(-1).index_put((places,), new.reshape(-1)).reshape(extents)


def are_apart(kernel: Shape, stride: Shape, dilation: Shape) -> bool:
    """Whether no place is in two windows.

    >>> are_apart((2, 3), (2, 3), (1, 1)), are_apart((2, 3), (2, 2), (1, 1))
    (True, False)
    """
    return max(windows_of_a_place(kernel, stride, dilation)) == 1


class Fold(Primitive):
    """z = the windows laid back where they came from and added where they overlap: the transpose of Windows."""

    latex = r"\sum_{p s + k d = i} x_{p,k}"
    accumulates = True

    @staticmethod
    def shape(x: Array, *, size: Shape, kernel: Shape, stride: Shape, dilation: Shape) -> Form:
        laid = Symbol((*x.shape[:2], *size), x.dtype)
        windows = (*x.shape[:2], *window_shape("fold", laid, kernel, stride, dilation), *kernel)
        if tuple(x.shape) != windows:
            raise ShapeError(f"fold: a size of {size} is read by windows {windows}, got {tuple(x.shape)}.")
        return laid.shape, x.dtype

    @staticmethod
    def evaluate(x: Array, *, size: Shape, kernel: Shape, stride: Shape, dilation: Shape) -> Array:
        out = x.shape[2 : 2 + len(kernel)]
        apart = are_apart(kernel, stride, dilation)
        z = np.zeros((*x.shape[:2], *size), x.dtype)
        for place, k in zip(offsets(kernel, stride, dilation, out), np.ndindex(*kernel), strict=True):
            within: Any = (..., *k)
            if apart:
                z[place] = x[within]
            else:
                z[place] += x[within]
        return z

    @staticmethod
    def grad_x(g: Tensor, *, kernel: Shape, stride: Shape, dilation: Shape) -> Tensor:
        return Windows.apply(g, kernel=kernel, stride=stride, dilation=dilation)


class WindowSum(Primitive):
    """z = the sum of every window: `Windows` and a sum in one, without the strided detour through memory."""

    latex = r"\sum_k x_{p s + k d}"
    accumulates = True

    @staticmethod
    def shape(x: Array, *, kernel: Shape, stride: Shape, dilation: Shape) -> Form:
        return (*x.shape[:2], *window_shape("window sum", x, kernel, stride, dilation)), x.dtype

    @staticmethod
    def operations(arrays: Sequence[Array], parameters: dict[str, Any], forms: Any) -> int:
        return 2 * math.prod(forms[0]) * math.prod(parameters["kernel"])

    @staticmethod
    def evaluate(x: Array, *, kernel: Shape, stride: Shape, dilation: Shape) -> Array:
        out = window_shape("window sum", x, kernel, stride, dilation)
        first, *others = offsets(kernel, stride, dilation, out)
        z = x[first].copy()
        for place in others:
            z += x[place]
        return z

    @staticmethod
    def grad_x(g: Tensor, x_shape: Shape, *, kernel: Shape, stride: Shape, dilation: Shape) -> Tensor:
        windows = g.reshape(*g.shape, *(1,) * len(kernel)).expand(*g.shape, *kernel)
        return Fold.apply(windows, size=tuple(x_shape[2:]), kernel=kernel, stride=stride, dilation=dilation)


def first_inside(out: Shape, kernel: Shape, stride: Shape, dilation: Shape, padding: Shape) -> Array:
    """For each window, the place within it of its first entry that is no padding, counted through the window.

    padding: how many entries were added in front of each spatial dimension.

    >>> first_inside((3,), (3,), (1,), (1,), (1,))
    array([1, 0, 0])
    """
    settings = zip(out, stride, dilation, padding, strict=True)
    firsts = [np.maximum(0, -((np.arange(o) * s - p) // d)) for o, s, d, p in settings]
    return np.asarray(np.ravel_multi_index(np.ix_(*firsts), kernel))


#: The gradient of max pooling looks into at most so many windows from every place.
FEW_WINDOWS = 9


class MaxPool(Primitive):
    """values = the largest entry of every window, indices = where it stands in the flattened spatial dimensions.

    The first of equals is taken, and it gets the whole gradient; a NaN beats all, the last one of several. `padding`
    says how many entries −∞ were added in front: where all are −∞, the first one that was not added is taken.
    """

    latex = r"\max_k x_{p s + k d}"
    outputs = ("values", "indices")

    @staticmethod
    def shape(x: Array, *, kernel: Shape, stride: Shape, dilation: Shape, padding: Shape = ()) -> list[Form]:
        to = (*x.shape[:2], *window_shape("max pool", x, kernel, stride, dilation))
        return [(to, x.dtype), (to, _index)]

    @staticmethod
    def operations(arrays: Sequence[Array], parameters: dict[str, Any], forms: Any) -> int:
        # NumPy compares, chooses and notes the place, each in a pass of its own.
        return 8 * math.prod(forms[0][0]) * math.prod(parameters["kernel"])

    @staticmethod
    def evaluate(
        x: Array, *, kernel: Shape, stride: Shape, dilation: Shape, padding: Shape = ()
    ) -> tuple[Array, Array]:
        out = window_shape("max pool", x, kernel, stride, dilation)
        first, *others = offsets(kernel, stride, dilation, out)
        values = x[first].copy()
        chosen = np.zeros(values.shape, np.int8 if len(others) < 128 else np.int32)
        for k, place in enumerate(others, 1):
            better = (x[place] > values).view(np.int8)
            np.maximum(values, x[place], out=values)
            np.maximum(chosen, better * chosen.dtype.type(k), out=chosen)  # k rises: the last improvement stays
        if any(padding):
            nothing = values == -np.inf
            if nothing.any():
                np.copyto(chosen, first_inside(out, kernel, stride, dilation, padding), "unsafe", where=nothing)
        if x.dtype.kind not in "iub" and np.isnan(values).any():
            for k, place in enumerate([first, *others]):  # no comparison finds a NaN; the last one wins, as in PyTorch
                np.copyto(chosen, chosen.dtype.type(k), where=np.isnan(x[place]))
        steps = [[i * d for i, d in zip(k, dilation, strict=True)] for k in np.ndindex(*kernel)]
        within = [np.ravel_multi_index(step, x.shape[2:]) for step in steps]
        corners = np.ix_(*(np.arange(o) * s for o, s in zip(out, stride, strict=True)))
        return values, np.array(within, np.int64).take(chosen) + np.ravel_multi_index(corners, x.shape[2:])

    @staticmethod
    def grad_x(
        g_values: Tensor, x_shape: Shape, indices: Tensor, *, kernel: Shape, stride: Shape, dilation: Shape
    ) -> Tensor:
        if math.prod(windows_of_a_place(kernel, stride, dilation)) <= FEW_WINDOWS:
            settings = {"size": tuple(x_shape[2:]), "kernel": kernel, "stride": stride, "dilation": dilation}
            return MaxPoolGradient.apply(g_values, indices, **settings)
        flat = g_values.new_zeros((*x_shape[:2], math.prod(x_shape[2:])))
        places = indices.reshape(*x_shape[:2], math.prod(indices.shape[2:]))
        return add_along(flat, 2, places, g_values.reshape(places.shape)).reshape(x_shape)


def windows_of_a_place(kernel: Shape, stride: Shape, dilation: Shape) -> Shape:
    """In how many windows a place of the image can be, along each dimension: 1 where windows do not overlap.

    >>> windows_of_a_place((2, 3), (2, 2), (1, 1))
    (1, 2)
    """
    return tuple(-(-(d * (k - 1) + 1) // s) for k, s, d in zip(kernel, stride, dilation, strict=True))


class MaxPoolGradient(Primitive):
    """z[i] = the sum of y over those windows whose largest entry stands at place i, in the order of the windows.

    y: a number for each window; indices: what `MaxPool` says with the same settings; size: the image's. Every place
    looks into the few windows that it can be in, so nothing is scattered over the image.
    """

    latex = r"\sum_{p:\, i_p = i} y_p"
    accumulates = True

    @staticmethod
    def shape(y: Array, indices: Array, *, size: Shape, kernel: Shape, stride: Shape, dilation: Shape) -> Form:
        image = Symbol((*y.shape[:2], *size), y.dtype)
        windows = (*y.shape[:2], *window_shape("gradient of max pool", image, kernel, stride, dilation))
        if not tuple(y.shape) == windows == tuple(indices.shape):
            raise ShapeError(
                f"gradient of max pool: a size of {size} has windows {windows}, got {tuple(y.shape)} numbers at "
                f"{tuple(indices.shape)} places."
            )
        return image.shape, y.dtype

    @staticmethod
    def operations(arrays: Sequence[Array], parameters: dict[str, Any], forms: Any) -> int:
        return 64 * math.prod(arrays[0].shape)  # NumPy takes as long for each entry that it adds at a place

    @staticmethod
    def evaluate(y: Array, indices: Array, *, size: Shape, kernel: Shape, stride: Shape, dilation: Shape) -> Array:
        rows, windows = math.prod(y.shape[:2]), math.prod(y.shape[2:])
        z = np.zeros((rows, math.prod(size)), y.dtype)
        np.add.at(z, (np.arange(rows)[:, None], indices.reshape(rows, windows)), y.reshape(rows, windows))
        return z.reshape(*y.shape[:2], *size)

    @staticmethod
    def grad_y(g: Tensor, indices: Tensor) -> Tensor:
        rows, windows = tuple(indices.shape[:2]), math.prod(indices.shape[2:])
        flat = g.reshape(*rows, math.prod(g.shape[2:]))
        return take_along(flat, 2, indices.reshape(*rows, windows)).reshape(indices.shape)
