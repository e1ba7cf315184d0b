"""Dimensions as they are given: one, several, none for all; negative ones count from the back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from chainrule.errors import IndexRangeError, ShapeError
from chainrule.primitives.shape import Reshape
from chainrule.primitives.value import Shape

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


Dimensions = int | tuple[int, ...] | list[int] | None


def axis_of(dim: int, rank: int, operation: str = "") -> int:
    """A dimension counted from the front; negative ones count from the back. Raises IndexRangeError outside."""
    limit = rank or 1
    if not -limit <= dim < limit:
        head = f"{operation}: " if operation else ""
        raise IndexRangeError(f"{head}dimension {dim} of a {rank}-d tensor; possible are {-limit} … {limit - 1}.")
    return dim % limit


def axes_of(dim: Dimensions, rank: int, operation: str = "") -> Shape:
    """Sorted dimensions counted from the front; all of them for None or ()."""
    if dim is None or dim == () or dim == []:
        return tuple(range(rank))
    dims = (dim,) if isinstance(dim, int) else tuple(dim)
    axes = sorted({axis_of(d, rank, operation) for d in dims})
    if len(axes) != len(dims):
        raise ShapeError(f"{operation}: a dimension is named twice in {dims}.")
    return tuple(axes) if rank else ()


def kept(reduced: Tensor, shape: Sequence[int], axes: Sequence[int], keepdim: bool) -> Tensor:
    """A reduced tensor with its axes as dimensions of size 1, if they are to be kept; `shape` is that of before."""
    if not keepdim:
        return reduced
    # Nobody else has the reduced tensor, so this is no view of it.
    return Reshape.apply(reduced, to=tuple([1 if axis in axes else extent for axis, extent in enumerate(shape)]))
