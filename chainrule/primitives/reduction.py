"""Reductions: many entries become one. `axes` is always a sorted tuple of dimensions; they are dropped."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from chainrule.errors import ShapeError
from chainrule.primitives.indexing import add_along
from chainrule.primitives.ordering import sorted_places
from chainrule.primitives.primitive import Primitive
from chainrule.primitives.shape import Broadcast, Pad, Reshape
from chainrule.primitives.value import Array, DataType, Form, Shape

if TYPE_CHECKING:
    from chainrule.tensor import Tensor

_index = np.dtype(np.int64)
#: Rows that are added one after the other before the partial sums are added: bounds the rounding error.
BLOCK = 64


def reduced_shape(shape: Shape, axes: Shape) -> Shape:
    """The shape without the given axes."""
    return tuple([extent for axis, extent in enumerate(shape) if axis not in axes])


def spread(reduced: Tensor, shape: Shape, axes: Shape) -> Tensor:
    """Repeat a reduced tensor along the axes that were reduced: the opposite of a reduction."""
    if len(axes) < len(shape):
        reduced = Reshape.apply(reduced, to=tuple([1 if i in axes else extent for i, extent in enumerate(shape)]))
    return Broadcast.apply(reduced, to=shape)


def _refuse_empty(name: str, x: Array, axes: Shape) -> None:
    if any(x.shape[axis] == 0 for axis in axes):
        raise ShapeError(f"{name}: nothing to choose from along dimension(s) {axes} of shape {tuple(x.shape)}.")


class Sum(Primitive):
    """z = the sum over the axes. Integers and booleans are summed as int64."""

    latex = r"\sum x"
    accumulates = True

    @staticmethod
    def shape(x: Array, *, axes: Shape) -> Form:
        return reduced_shape(x.shape, axes), _index if x.dtype.kind in "iub" else x.dtype

    @staticmethod
    def evaluate(x: Array, *, axes: Shape) -> Array:
        if x.dtype.kind in "iub":
            return np.asarray(np.add.reduce(x, axis=axes, dtype=_index))
        if all(x.shape[axis] == 1 for axis in axes):  # itself, also a zero below 0, to which NumPy adds one above
            return x.reshape(reduced_shape(x.shape, axes)).copy()
        return blocked_sum(x, axes)

    @staticmethod
    def grad_x(g: Tensor, x_shape: Shape, *, axes: Shape) -> Tensor:
        return spread(g, x_shape, axes)


def blocked_sum(x: Array, axes: Shape) -> Array:
    """Sum in blocks where NumPy would add more than BLOCK numbers one after the other.

    NumPy adds pairwise only along the axes that lie closest together in memory. Along others its rounding error
    grows with the length: a million rows of float32 lose two digits. Partial sums over blocks keep it below 1e-6.
    """
    while _longest_chain(x, axes) > BLOCK:
        axis = max(axes, key=lambda axis: x.shape[axis])
        rows = x.shape[axis]
        whole = rows // BLOCK * BLOCK
        before, after = x.shape[:axis], x.shape[axis + 1 :]
        every = (slice(None),) * axis
        parts = [np.add.reduce(x[(*every, slice(whole, None))], axis=axis, keepdims=True)] if whole < rows else []
        if whole:  # splitting an axis copies nothing, however x lies in memory
            blocks = x[(*every, slice(whole))].reshape(*before, rows // BLOCK, BLOCK, *after)
            parts.insert(0, np.add.reduce(blocks, axis=axis + 1))
        x = np.concatenate(parts, axis) if len(parts) > 1 else parts[0]
    return np.asarray(np.add.reduce(x, axis=axes))


def _longest_chain(x: Array, axes: Shape) -> int:
    """How many partial sums NumPy adds one after the other for each result.

    It walks memory in order. The reduced axes that come first and join without a gap are one pairwise sum.
    """
    chain = math.prod([x.shape[axis] for axis in axes])
    if chain <= BLOCK:
        return chain
    joined, reach, steps = 1, 0, [abs(step) for step in x.strides]
    for axis in sorted(range(x.ndim), key=steps.__getitem__):
        if x.shape[axis] == 1:
            continue
        if axis not in axes or steps[axis] == 0 or (joined > 1 and steps[axis] != reach):
            break
        joined *= x.shape[axis]
        reach = steps[axis] * x.shape[axis]
    return chain // joined


class Product(Primitive):
    """z = the product over the axes. The gradient, the product of the others, is right for zeros too."""

    latex = r"\prod x"
    accumulates = True

    @staticmethod
    def shape(x: Array, *, axes: Shape) -> Form:
        return reduced_shape(x.shape, axes), _index if x.dtype.kind in "iub" else x.dtype

    @staticmethod
    def operations(arrays: Sequence[Array], parameters: dict[str, Any], forms: Any) -> int:
        return 4 * arrays[0].size  # NumPy multiplies one number after the other

    @staticmethod
    def evaluate(x: Array, *, axes: Shape) -> Array:
        return np.asarray(np.multiply.reduce(x, axis=axes, dtype=_index if x.dtype.kind in "iub" else x.dtype))

    @staticmethod
    def grad_x(g: Tensor, x: Tensor, *, axes: Shape) -> Tensor:
        others = [axis for axis in range(x.ndim) if axis not in axes]
        n = math.prod(x.shape[axis] for axis in axes)
        rows = x.permute(*others, *axes).reshape(*[x.shape[axis] for axis in others], n)
        products = _of_those_before(rows) * _of_those_before(rows.flip(-1)).flip(-1)
        arranged = products.reshape([x.shape[axis] for axis in (*others, *axes)])
        back = np.argsort([*others, *axes]).tolist()
        return spread(g, x.shape, axes) * arranged.permute(back)


def _of_those_before(rows: Tensor) -> Tensor:
    """For each entry of the last dimension the product of all before it, 1 for the first."""
    n = rows.shape[-1]
    if not n:
        return rows
    front = (*[0] * (rows.ndim - 1), 1)
    products = rows.narrow(-1, 0, n - 1).cumprod(-1)
    return Pad.apply(products, before=front, after=(0,) * rows.ndim, constant=1)


class Amax(Primitive):
    """z = the largest entry over the axes; NaN wins. Equal largest entries share the gradient evenly."""

    latex = r"\max x"

    @staticmethod
    def shape(x: Array, *, axes: Shape) -> Form:
        _refuse_empty("amax", x, axes)
        return reduced_shape(x.shape, axes), x.dtype

    @staticmethod
    def evaluate(x: Array, *, axes: Shape) -> Array:
        return np.asarray(np.maximum.reduce(x, axis=axes))

    @staticmethod
    def grad_x(g: Tensor, x: Tensor, output: Tensor, *, axes: Shape) -> Tensor:
        largest = (x == spread(output, x.shape, axes)).to(g.dtype)
        return largest * spread(g / largest.sum(axes) if axes else g, x.shape, axes)


class Argmax(Primitive):
    """z = where the largest entry stands along one axis: the first of equals; a NaN counts as the largest."""

    latex = r"\operatorname{argmax} x"

    @staticmethod
    def shape(x: Array, *, axis: int) -> Form:
        _refuse_empty("argmax", x, (axis,))
        return reduced_shape(x.shape, (axis,)), _index

    @staticmethod
    def evaluate(x: Array, *, axis: int) -> Array:
        return np.asarray(np.argmax(x, axis=axis))


class SearchSorted(Primitive):
    """z = before which entry of a sequence in order, its last dimension, each value belongs; `right`: after equals.

    Row i of the values (…, k) is looked up in row i of the sequences (…, n). NaN comes after all numbers.
    """

    latex = r"|\{j : s_j < x\}|"

    @staticmethod
    def shape(sequence: Array, x: Array, *, right: bool) -> Form:
        if not sequence.shape or sequence.shape[:-1] != x.shape[:-1]:
            raise ShapeError(
                f"searchsorted: sequences {tuple(sequence.shape)} and values {tuple(x.shape)} must agree in all "
                "dimensions but the last; or give one vector for all values."
            )
        return x.shape, _index

    @staticmethod
    def evaluate(sequence: Array, x: Array, *, right: bool) -> Array:
        side: Literal["left", "right"] = "right" if right else "left"
        rows = [a.astype(np.float32) if a.dtype.kind == "V" else a for a in (sequence, x)]
        z = np.empty(x.shape, _index)
        for place in np.ndindex(x.shape[:-1]):
            z[place] = np.searchsorted(rows[0][place], rows[1][place], side)
        return z


class CumulativeSum(Primitive):
    """z_i = x_0 + … + x_i along one axis."""

    latex = r"\sum_{j \le i} x_j"
    accumulates = True

    @staticmethod
    def shape(x: Array, *, axis: int) -> Form:
        return x.shape, _index if x.dtype.kind in "iub" else x.dtype

    @staticmethod
    def operations(arrays: Sequence[Array], parameters: dict[str, Any], forms: Any) -> int:
        return 8 * arrays[0].size  # in float64, and converted there and back

    @staticmethod
    def evaluate(x: Array, *, axis: int) -> Array:
        # A running sum cannot be added in blocks, so its rounding errors are kept small by float64.
        dtype: DataType = _index if x.dtype.kind in "iub" else np.dtype(np.float64)
        return np.add.accumulate(x, axis=axis, dtype=dtype).astype(_index if dtype == _index else x.dtype, copy=False)

    @staticmethod
    def grad_x(g: Tensor, *, axis: int) -> Tensor:
        return g.flip(axis).cumsum(axis).flip(axis)


class CumulativeArgmax(Primitive):
    """z_i = where the largest (or smallest) of x_0 … x_i stands along one axis: the last of equals; a NaN beats all."""

    latex = r"\arg\max_{j \le i} x_j"

    @staticmethod
    def shape(x: Array, *, axis: int, largest: bool) -> Form:
        return x.shape, _index

    @staticmethod
    def operations(arrays: Sequence[Array], parameters: dict[str, Any], forms: Any) -> int:
        return 32 * arrays[0].size  # four passes, and two of them one number after the other

    @staticmethod
    def evaluate(x: Array, *, axis: int, largest: bool) -> Array:
        best = (np.maximum if largest else np.minimum).accumulate(x, axis=axis)
        places = np.arange(x.shape[axis]).reshape([-1 if d == axis else 1 for d in range(x.ndim)])
        new = (x == best) | (x != x)
        return np.maximum.accumulate(np.where(new, places, 0), axis=axis)


class Sort(Primitive):
    """values = x in order along one axis, indices = where each came from; equal ones keep their order, NaN is last."""

    latex = r"\operatorname{sort} x"
    outputs = ("values", "indices")

    @staticmethod
    def shape(x: Array, *, axis: int, descending: bool) -> list[Form]:
        return [(x.shape, x.dtype), (x.shape, _index)]

    @staticmethod
    def evaluate(x: Array, *, axis: int, descending: bool) -> tuple[Array, Array]:
        # Only NumPy's own types sort NaN to the end; bfloat16 (kind V) is sorted as float32, which holds it exactly.
        keys = x.astype(np.float32) if x.dtype.kind == "V" else x
        indices = sorted_places(keys, axis, descending)
        return np.take_along_axis(x, indices, axis), indices

    @staticmethod
    def grad_x(g_values: Tensor, indices: Tensor, *, axis: int) -> Tensor:
        return add_along(g_values * 0, axis, indices, g_values)
