"""Diagonals of matrices, and the triangles above and below."""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.devices import CPU
from chainrule.dtypes import as_dtype
from chainrule.errors import ShapeError
from chainrule.functions.autocasting import in_single
from chainrule.functions.creation import arange, make, zeros
from chainrule.functions.dimensions import axis_of
from chainrule.functions.pieces import narrow
from chainrule.functions.shape import expand, movedim, pad, reshape, unsqueeze, view_through
from chainrule.primitives.indexing import Index, Range

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """The entries with equal index in two dimensions, as a new last dimension.

    >>> import chainrule
    >>> chainrule.diagonal(chainrule.tensor([[1, 2], [3, 4]]))
    tensor([1, 4])
    """
    x = movedim(input, (dim1, dim2), (-2, -1))
    *batch, rows, columns = x.shape
    count = builtins.max(0, min(rows + min(offset, 0), columns - builtins.max(offset, 0)))
    if not count:
        return narrow(reshape(x, *batch, rows * columns), -1, 0, 0)
    # In the flattened matrix the next entry of a diagonal is one row and one column further.
    start, step = (offset if offset >= 0 else -offset * columns), columns + 1
    key = (Ellipsis, Range(start, start + (count - 1) * step + 1, step))
    return view_through(Index, reshape(x, *batch, rows * columns), key=key)


@in_single
def trace(input: Tensor) -> Tensor:
    """The sum of a matrix's diagonal.

    >>> import chainrule
    >>> chainrule.trace(chainrule.tensor([[1, 2], [3, 4]]))
    tensor(5)
    """
    if input.ndim != 2:
        raise ShapeError(f"trace takes a matrix, got shape {tuple(input.shape)}.")
    return diagonal(input).sum()


def diag_embed(input: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """Each vector along the last dimension as a diagonal of a matrix, `offset` above the main one.

    dim1, dim2: which dimensions of the result are the matrix's rows and columns.

    >>> import chainrule
    >>> chainrule.diag_embed(chainrule.tensor([1, 2]))
    tensor([[1, 0],
            [0, 2]])
    """
    if not input.ndim:
        raise ShapeError("diag_embed needs at least 1 dimension, got a 0-d tensor.")
    rank, n = input.ndim + 1, input.shape[-1] + builtins.abs(offset)
    rows, columns = axis_of(dim1, rank, "diag_embed"), axis_of(dim2, rank, "diag_embed")
    if rows == columns:
        raise ShapeError(f"diag_embed: rows and columns are two different dimensions, got {dim1} and {dim2}.")
    # The vector stands in every column of its rows; all but the diagonal is then covered with zeros.
    padded = pad(input, (builtins.max(-offset, 0), builtins.max(offset, 0)))
    stretched = expand(unsqueeze(padded, -1), *padded.shape, n)
    matrix = stretched.masked_fill(make(~np.eye(n, k=offset, dtype=np.bool_), device=input.device), 0)
    return movedim(matrix, (-2, -1), (rows, columns))


def diag(input: Tensor, diagonal: int = 0) -> Tensor:
    """A vector as the diagonal of a matrix, or a matrix's diagonal.

    >>> import chainrule
    >>> chainrule.diag(chainrule.tensor([1, 2]))
    tensor([[1, 0],
            [0, 2]])
    """
    if input.ndim == 2:
        return globals()["diagonal"](input, diagonal)
    if input.ndim != 1:
        raise ShapeError(f"diag takes a vector or a matrix, got {input.ndim} dimensions; see diagonal.")
    n = input.shape[0] + abs(diagonal)
    i = arange(input.shape[0], device=CPU)
    places = (i - min(diagonal, 0), i + builtins.max(diagonal, 0))
    return zeros(n, n, dtype=input.dtype, device=input.device).index_put(places, input)


def tril(input: Tensor, diagonal: int = 0) -> Tensor:
    """The entries on and below a diagonal, zeros above.

    >>> import chainrule
    >>> chainrule.tril(chainrule.ones(2, 2))
    tensor([[1., 0.],
            [1., 1.]])
    """
    return _triangle(input, lambda i, j: j - i > diagonal)


def triu(input: Tensor, diagonal: int = 0) -> Tensor:
    """The entries on and above a diagonal, zeros below.

    >>> import chainrule
    >>> chainrule.triu(chainrule.ones(2, 2))
    tensor([[1., 1.],
            [0., 1.]])
    """
    return _triangle(input, lambda i, j: j - i < diagonal)


def tril_indices(
    row: int, col: int, offset: int = 0, *, dtype: Any = np.int64, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """The places on and below a diagonal of a row×col matrix: their rows, and their columns.

    >>> import chainrule
    >>> chainrule.tril_indices(2, 2)
    tensor([[0, 1, 1],
            [0, 0, 1]])
    """
    return make(np.stack(np.tril_indices(row, offset, col)).astype(as_dtype(dtype).numpy), requires_grad, device)


def triu_indices(
    row: int, col: int, offset: int = 0, *, dtype: Any = np.int64, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """The places on and above a diagonal of a row×col matrix: their rows, and their columns.

    >>> import chainrule
    >>> chainrule.triu_indices(2, 2)
    tensor([[0, 0, 1],
            [0, 1, 1]])
    """
    return make(np.stack(np.triu_indices(row, offset, col)).astype(as_dtype(dtype).numpy), requires_grad, device)


def _triangle(input: Tensor, outside: Any) -> Tensor:
    if input.ndim < 2:
        raise ShapeError(f"a triangle is taken of a matrix, got {input.ndim} dimension(s).")
    rows, columns = input.shape[-2:]
    return input.masked_fill(make(np.fromfunction(outside, (rows, columns), dtype=np.int64), device=input.device), 0)
