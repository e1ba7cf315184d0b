"""Primitives that move entries and compute nothing.

Those that PyTorch calls views also say how a write goes through them: `write(base, new)` is the base with the
viewed entries replaced.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.errors import ShapeError
from chainrule.primitives.primitive import Primitive
from chainrule.primitives.value import Array, Form, Shape

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


class Broadcast(Primitive):
    """z = x repeated to a larger shape: new dimensions in front, and dimensions of size 1 stretched.

    Its gradient is the sum over what was repeated, which is why no binary rule has to think of broadcasting.
    """

    latex = r"x"
    moves = True

    @staticmethod
    def shape(x: Array, *, to: Shape) -> Form:
        padded = (1,) * (len(to) - len(x.shape)) + x.shape
        fits = len(padded) == len(to)
        for a, b in zip(padded, to, strict=False):
            fits = fits and (a == b or a == 1)
        if not fits:
            raise ShapeError(
                f"cannot expand shape {tuple(x.shape)} to {to}: from the right, each dimension must be equal or 1."
            )
        return to, x.dtype

    @staticmethod
    def evaluate(x: Array, *, to: Shape) -> Array:
        if not x.flags.c_contiguous or x.dtype.kind == "V" or not x.size:
            return np.broadcast_to(x, to)
        # The same without NumPy's Python code around it, which takes longer than a small operation.
        new = len(to) - x.ndim
        strides = [0 if n == 1 else step for n, step in zip(x.shape, x.strides, strict=True)]
        return np.ndarray(to, x.dtype, x, 0, (0,) * new + tuple(strides))

    @staticmethod
    def grad_x(g: Tensor, x_shape: Shape, *, to: Shape) -> Tensor:
        new = len(to) - len(x_shape)
        stretched = [new + axis for axis, extent in enumerate(x_shape) if extent == 1 and to[new + axis] != 1]
        axes = (*range(new), *stretched)
        return (g.sum(axes) if axes else g).reshape(x_shape)

    @staticmethod
    def write(base: Tensor, new: Tensor, *, to: Shape) -> Tensor:
        if base.shape == to:
            return new
        raise ShapeError(
            "an in-place change of an expanded tensor would write several numbers to one place; "
            "clone() it first, or change the tensor that was expanded."
        )


class Reshape(Primitive):
    """z = the same entries in the same (row-major) order under another shape."""

    latex = r"x"
    moves = True

    @staticmethod
    def shape(x: Array, *, to: Shape) -> Form:
        if math.prod(to) != x.size:
            raise ShapeError(f"cannot reshape {tuple(x.shape)} ({x.size} entries) to {to} ({math.prod(to)} entries).")
        return to, x.dtype

    @staticmethod
    def evaluate(x: Array, *, to: Shape) -> Array:
        return x.reshape(to)

    @staticmethod
    def grad_x(g: Tensor, x_shape: Shape) -> Tensor:
        return g.reshape(x_shape)

    @staticmethod
    def write(base: Tensor, new: Tensor, *, to: Shape) -> Tensor:
        return new.reshape(base.shape)


class Permute(Primitive):
    """z = x with its dimensions in another order: dimension i of z is dimension order[i] of x."""

    latex = r"x^{\top}"
    moves = True

    @staticmethod
    def shape(x: Array, *, order: Shape) -> Form:
        if sorted(order) != list(range(len(x.shape))):
            raise ShapeError(f"permute: {order} does not name each dimension of shape {tuple(x.shape)} once.")
        return tuple([x.shape[axis] for axis in order]), x.dtype

    @staticmethod
    def evaluate(x: Array, *, order: Shape) -> Array:
        return x.transpose(order)

    @staticmethod
    def grad_x(g: Tensor, *, order: Shape) -> Tensor:
        return g.permute(_inverse(order))

    @staticmethod
    def write(base: Tensor, new: Tensor, *, order: Shape) -> Tensor:
        return new.permute(_inverse(order))


def _inverse(order: Shape) -> Shape:
    return tuple(sorted(range(len(order)), key=order.__getitem__))


class Flip(Primitive):
    """z = x read backwards along the axes."""

    latex = r"x_{n-1-i}"
    moves = True

    @staticmethod
    def shape(x: Array, *, axes: Shape) -> Form:
        return x.shape, x.dtype

    @staticmethod
    def evaluate(x: Array, *, axes: Shape) -> Array:
        return np.flip(x, axes)

    @staticmethod
    def grad_x(g: Tensor, *, axes: Shape) -> Tensor:
        return g.flip(axes)


class Pad(Primitive):
    """z = x with `before[i]` and `after[i]` entries of a constant added on dimension i; negative numbers cut off."""

    latex = r"\operatorname{pad}(x)"
    moves = True

    @staticmethod
    def shape(x: Array, *, before: Shape, after: Shape, constant: float) -> Form:
        if not len(before) == len(after) == len(x.shape):
            raise ShapeError(f"pad: {before} and {after} do not name each dimension of shape {tuple(x.shape)} once.")
        to = tuple(b + extent + a for b, extent, a in zip(before, x.shape, after, strict=True))
        if any(extent < 0 for extent in to):
            raise ShapeError(f"pad: cutting {before} and {after} off shape {tuple(x.shape)} leaves less than nothing.")
        return to, x.dtype

    @staticmethod
    def evaluate(x: Array, *, before: Shape, after: Shape, constant: float) -> Array:
        to = [b + extent + a for b, extent, a in zip(before, x.shape, after, strict=True)]
        z = np.full(to, constant, x.dtype) if constant else np.zeros(to, x.dtype)
        if min(before, default=0) >= 0 and min(after, default=0) >= 0:
            z[tuple([slice(b, b + extent) for b, extent in zip(before, x.shape, strict=True)])] = x
            return z
        # x lies in z from `before` on; what sticks out on either side is cut off, and that may be all of it.
        start = [max(b, 0) for b in before]
        stop = [max(min(b + extent, e), s) for b, extent, e, s in zip(before, x.shape, to, start, strict=True)]
        here = tuple(slice(i, j) for i, j in zip(start, stop, strict=True))
        there = tuple(slice(i - b, j - b) for i, j, b in zip(start, stop, before, strict=True))
        z[here] = x[there]
        return z

    @staticmethod
    def grad_x(g: Tensor, *, before: Shape, after: Shape) -> Tensor:
        return Pad.apply(g, before=tuple(-b for b in before), after=tuple(-a for a in after), constant=0)


class Concatenate(Primitive):
    """z = the parts one after the other along an axis."""

    latex = r"[x_1, x_2, \dots]"
    moves = True

    @staticmethod
    def shape(*parts: Array, axis: int) -> Form:
        first = parts[0].shape
        before, after = first[:axis], first[axis + 1 :]
        for part in parts[1:]:
            if part.shape[:axis] != before or part.shape[axis + 1 :] != after or len(part.shape) != len(first):
                shapes = ", ".join(str(tuple(p.shape)) for p in parts)
                raise ShapeError(f"cat: shapes {shapes} must agree in every dimension but {axis}.")
        total = sum(part.shape[axis] for part in parts)
        return (*first[:axis], total, *first[axis + 1 :]), parts[0].dtype

    @staticmethod
    def operations(arrays: Sequence[Array], parameters: dict[str, Any], forms: Any) -> int:
        return sum([array.size for array in arrays])

    @staticmethod
    def evaluate(*parts: Array, axis: int) -> Array:
        return np.concatenate(parts, axis)

    @staticmethod
    def grad_parts(g: Tensor, parts: tuple[Any, ...], position: int, *, axis: int) -> Tensor:
        extents = [part.value.array.shape[axis] for part in parts[: position + 1]]
        return g.narrow(axis, sum(extents[:-1]), extents[-1])
