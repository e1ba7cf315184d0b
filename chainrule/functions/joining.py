"""Joining tensors side by side, taking them apart again, and turning them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.cell import TensorCell
from chainrule.devices import CPU
from chainrule.errors import ShapeError
from chainrule.functions.creation import make
from chainrule.functions.diagonals import diag
from chainrule.functions.dimensions import axis_of
from chainrule.functions.indexing import getitem
from chainrule.functions.pieces import cat, narrow, split, stack
from chainrule.functions.shape import flip, meshgrid, pad, reshape, transpose, view_through
from chainrule.primitives.window import Windows

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


def _each(tensors: tuple[Any, ...], change: Any) -> Any:
    """One tensor changed, or a tuple of them if several came, or a sequence of them."""
    if len(tensors) == 1:
        return change(tensors[0]) if isinstance(tensors[0], TensorCell) else tuple(map(change, tensors[0]))
    return tuple(map(change, tensors))


def atleast_1d(*tensors: Any) -> Any:
    """With one dimension if it has none; for one tensor, or for each of several.

    >>> import chainrule
    >>> chainrule.atleast_1d(chainrule.tensor(2.0))
    tensor([2.])
    """
    return _each(tensors, lambda x: x if x.ndim else x.reshape(1))


def atleast_2d(*tensors: Any) -> Any:
    """With two dimensions if it has fewer: a vector is a row.

    >>> import chainrule
    >>> chainrule.atleast_2d(chainrule.zeros(3)).shape
    Size([1, 3])
    """
    return _each(tensors, lambda x: x if x.ndim > 1 else x.reshape(1, -1))


def atleast_3d(*tensors: Any) -> Any:
    """With three dimensions if it has fewer: a vector n becomes (1, n, 1), a matrix gets a last dimension 1.

    >>> import chainrule
    >>> chainrule.atleast_3d(chainrule.zeros(3)).shape
    Size([1, 3, 1])
    """
    return _each(tensors, lambda x: x if x.ndim > 2 else x.unsqueeze(-1) if x.ndim == 2 else x.reshape(1, -1, 1))


def column_stack(tensors: Sequence[Tensor]) -> Tensor:
    """Joined as columns: a vector is one column, a matrix brings its own.

    >>> import chainrule
    >>> chainrule.column_stack([chainrule.tensor([1, 2]), chainrule.tensor([3, 4])])
    tensor([[1, 3],
            [2, 4]])
    """
    return cat([x if x.ndim > 1 else x.reshape(-1, 1) for x in tensors], 1)


def dstack(tensors: Sequence[Tensor]) -> Tensor:
    """Joined along the third dimension, after `atleast_3d`.

    >>> import chainrule
    >>> chainrule.dstack([chainrule.zeros(2, 3), chainrule.zeros(2, 3)]).shape
    Size([2, 3, 2])
    """
    return cat([atleast_3d(x) for x in tensors], 2)


def tensor_split(input: Tensor, indices_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Cut along `dim` into so many parts, the first ones larger by one where it does not divide; or at these places.

    >>> import chainrule
    >>> [len(part) for part in chainrule.tensor_split(chainrule.arange(7), 3)]
    [3, 2, 2]
    >>> [len(part) for part in chainrule.tensor_split(chainrule.arange(7), (2, 3))]
    [2, 1, 4]
    """
    axis = axis_of(dim, input.ndim, "tensor_split")
    extent = input.shape[axis]
    if isinstance(indices_or_sections, TensorCell):
        indices_or_sections = indices_or_sections.tolist()  # type: ignore[attr-defined]
    if isinstance(indices_or_sections, int):
        if indices_or_sections < 1:
            raise ShapeError(f"tensor_split: the number of parts must be positive, got {indices_or_sections}.")
        size, larger = divmod(extent, indices_or_sections)
        sizes = [size + (i < larger) for i in range(indices_or_sections)]
        return split(input, sizes, axis)
    starts = [0, *(range(extent)[:place].stop for place in indices_or_sections)]
    return tuple(
        input.narrow(axis, start, max(stop - start, 0)) for start, stop in itertools.pairwise([*starts, extent])
    )


def _evenly(input: Tensor, indices_or_sections: Any, dim: int, least: int, name: str) -> tuple[Tensor, ...]:
    if input.ndim < least:
        raise ShapeError(f"{name} takes a tensor of at least {least} dimension(s), got shape {tuple(input.shape)}.")
    if isinstance(indices_or_sections, int) and (indices_or_sections < 1 or input.shape[dim] % indices_or_sections):
        raise ShapeError(
            f"{name}: {input.shape[dim]} do not divide into {indices_or_sections} equal parts; try tensor_split."
        )
    return tensor_split(input, indices_or_sections, dim)


def hsplit(input: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """Cut into columns: along the second dimension, a vector along its only one; into equal parts or at these places.

    >>> import chainrule
    >>> [tuple(part.shape) for part in chainrule.hsplit(chainrule.zeros(2, 4), 2)]
    [(2, 2), (2, 2)]
    """
    return _evenly(input, indices_or_sections, min(input.ndim - 1, 1), 1, "hsplit")


def vsplit(input: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """Cut into rows: along the first dimension, into equal parts or at these places.

    >>> import chainrule
    >>> [tuple(part.shape) for part in chainrule.vsplit(chainrule.zeros(4, 2), [1])]
    [(1, 2), (3, 2)]
    """
    return _evenly(input, indices_or_sections, 0, 2, "vsplit")


def dsplit(input: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """Cut along the third dimension, into equal parts or at these places.

    >>> import chainrule
    >>> len(chainrule.dsplit(chainrule.zeros(1, 2, 6), 3))
    3
    """
    return _evenly(input, indices_or_sections, 2, 3, "dsplit")


def block_diag(*tensors: Tensor) -> Tensor:
    """Matrices along the diagonal of one, zeros elsewhere; vectors and numbers are rows.

    >>> import chainrule
    >>> chainrule.block_diag(chainrule.tensor([[1, 2]]), chainrule.tensor(3))
    tensor([[1, 2, 0],
            [0, 0, 3]])
    """
    blocks = [atleast_2d(x) for x in tensors]
    if any(x.ndim > 2 for x in blocks):
        raise ShapeError(f"block_diag takes matrices, got shapes {[tuple(x.shape) for x in tensors]}.")
    width = sum(x.shape[1] for x in blocks)
    before = itertools.accumulate((x.shape[1] for x in blocks), initial=0)
    return cat([pad(x, (left, width - left - x.shape[1])) for x, left in zip(blocks, before)])


def cartesian_prod(*tensors: Tensor) -> Tensor:
    """Every combination of an entry of each vector, one in a row; a single vector is given back.

    >>> import chainrule
    >>> chainrule.cartesian_prod(chainrule.tensor([1, 2]), chainrule.tensor([5, 6])).tolist()
    [[1, 5], [1, 6], [2, 5], [2, 6]]
    """
    if any(x.ndim != 1 for x in tensors):
        raise ShapeError(f"cartesian_prod takes vectors, got shapes {[tuple(x.shape) for x in tensors]}.")
    if len(tensors) == 1:
        return tensors[0]
    return stack([grid.reshape(-1) for grid in meshgrid(*tensors, indexing="ij")], 1)


def combinations(input: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """The choices of r entries of a vector, in its order, one in a row.

    >>> import chainrule
    >>> chainrule.combinations(chainrule.tensor([1, 2, 3])).tolist()
    [[1, 2], [1, 3], [2, 3]]
    """
    if input.ndim != 1 or r < 0:
        raise ShapeError(f"combinations takes a vector and r ≥ 0, got shape {tuple(input.shape)} and r={r}.")
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    if r == 0:
        return input[:0]
    return getitem(input, make(np.array(list(choose(range(len(input)), r)), np.int64).reshape(-1, r), device=CPU))


def rot90(input: Tensor, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:
    """Turned k times by 90° in the plane of two dimensions, from the first towards the second.

    >>> import chainrule
    >>> chainrule.rot90(chainrule.tensor([[1, 2], [3, 4]]))
    tensor([[2, 4],
            [1, 3]])
    """
    if len(tuple(dims)) != 2:
        raise ShapeError(f"rot90 turns in the plane of two dimensions, got dims={tuple(dims)}.")
    first, second = (axis_of(dim, input.ndim, "rot90") for dim in dims)
    if first == second:
        raise ShapeError(f"rot90 turns in the plane of two different dimensions, got dims={tuple(dims)}.")
    turned = {
        0: lambda x: x.clone(),
        1: lambda x: transpose(flip(x, (second,)), first, second),
        2: lambda x: flip(x, (first, second)),
        3: lambda x: transpose(flip(x, (first,)), first, second),
    }
    return turned[k % 4](input)


def diagflat(input: Tensor, offset: int = 0) -> Tensor:
    """A matrix with all entries of a tensor on a diagonal.

    >>> import chainrule
    >>> chainrule.diagflat(chainrule.tensor([1, 2]))
    tensor([[1, 0],
            [0, 2]])
    """
    return diag(input.reshape(-1), offset)


def unfold(input: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """Windows of `size` neighbours along a dimension, one every `step`; they lie along a new last dimension. A view.

    Windows that overlap cannot be written to (ShapeError): an entry would be in several of them.

    >>> import chainrule
    >>> chainrule.arange(5).unfold(0, 3, 2)
    tensor([[0, 1, 2],
            [2, 3, 4]])
    """
    x = input if input.ndim else input.reshape(1)
    axis = axis_of(dimension, x.ndim, "unfold")
    if step < 1 or not 0 <= size <= x.shape[axis]:
        raise ShapeError(f"unfold: windows of {size} every {step} do not fit {x.shape[axis]} entries.")
    before, after = tuple(x.shape[:axis]), tuple(x.shape[axis + 1 :])
    count = (x.shape[axis] - size) // step + 1
    wanted = (*before, count, *after, size) if input.ndim else (size,)
    if not size or not x.numel():
        return reshape(narrow(x, axis, 0, 0), wanted)  # no entries, and yet a view that has a gradient
    rows = reshape(x, (1, math.prod(before), x.shape[axis], math.prod(after)))
    windows = view_through(Windows, rows, kernel=(size, 1), stride=(step, 1), dilation=(1, 1))
    return reshape(windows, wanted)
