"""Products, sums and softmax of sparse tensors, from look-ups and sums at places."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule.errors import DTypeError, ShapeError, SparseError
from chainrule.functions.creation import make
from chainrule.functions.scattering import scatter_reduce
from chainrule.sparse.tensor import SparseTensor, linear
from chainrule.state import current_state
from chainrule.tensor import Tensor


def mm(sparse: Any, dense: Any, reduce: str = "sum") -> Any:
    """The product of a sparse matrix with a dense matrix or vector, from either side, or of two sparse matrices.

    Row i of A X is the sum over the entries of row i: Σ A[i, j] X[j]. Two sparse matrices give a sparse one.
    Gradients go to the values of A and to X.

    Raises ShapeError where inner extents differ, DTypeError where data types do, SparseError for a `reduce` other than
    "sum".

    >>> import chainrule
    >>> A = chainrule.sparse_coo_tensor([[0, 1], [1, 0]], [2.0, 3.0], (2, 2), requires_grad=True)
    >>> y = chainrule.sparse.mm(A, chainrule.tensor([[1.0], [10.0]])); y
    tensor([[20.],
            [ 3.]], grad_fn=<IndexAdd>)
    >>> y.sum().backward(); A.grad.to_dense()
    tensor([[ 0., 10.],
            [ 1.,  0.]])
    """
    if reduce != "sum":
        raise SparseError(f"sparse.mm adds what comes together (reduce='sum'), got {reduce!r}.")
    _check(sparse, dense)
    if isinstance(sparse, SparseTensor) and isinstance(dense, SparseTensor):
        product = _sparse_product(sparse, dense)
        return product.to_sparse_csr() if sparse.is_sparse_csr else product
    if isinstance(sparse, SparseTensor) and dense.ndim > 2:
        flat = dense.movedim(-2, 0)
        return mm(sparse, flat.reshape(dense.shape[-2], -1)).reshape(-1, *flat.shape[1:]).movedim(0, -2)
    if isinstance(sparse, SparseTensor):
        rows, columns = sparse._places[0], sparse._places[1]
        chosen = dense[columns]
        terms = chosen * (sparse._entries if dense.ndim == 1 else sparse._entries.unsqueeze(1))
        return terms.new_zeros((sparse.shape[0], *dense.shape[1:])).index_add(0, rows, terms)
    other = dense.t()
    return mm(other, sparse) if sparse.ndim == 1 else mm(other, sparse.t()).t()


def _check(one: Any, two: Any) -> None:
    for matrix in (one, two):
        if isinstance(matrix, SparseTensor):
            matrix._need_matrix("a product")
        elif not isinstance(matrix, Tensor) or not matrix.ndim or (matrix is one and matrix.ndim > 2):
            what = f"shape {tuple(matrix.shape)}" if isinstance(matrix, Tensor) else type(matrix).__name__
            raise ShapeError(f"a sparse matrix is multiplied by a matrix or a vector, got {what}.")
    inner = two.shape[0] if two.ndim == 1 else two.shape[-2]
    if one.shape[-1] != inner:
        raise ShapeError(
            f"sparse product: {tuple(one.shape)} @ {tuple(two.shape)}: the inner extents, {one.shape[-1]} and "
            f"{inner}, must be equal."
        )
    if one.dtype != two.dtype:
        raise DTypeError(f"sparse product: both must have one data type, got {one.dtype} and {two.dtype}.")


def _sparse_product(A: SparseTensor, B: SparseTensor) -> SparseTensor:
    """Every entry (i, j) of A meets every entry (j, k) of B."""
    B = B.coalesce()  # sorted by row
    starts = np.searchsorted(B._places.array[0], np.arange(B.shape[0] + 1))
    columns = A._places.array[1]
    meets = (starts[1:] - starts[:-1])[columns]
    mine = np.repeat(np.arange(len(columns)), meets)
    theirs = np.arange(len(mine)) - np.repeat(np.cumsum(meets) - meets, meets) + starts[columns][mine]
    places = np.stack([A._places.array[0][mine], B._places.array[1][theirs]]).astype(np.int64)
    entries = A._entries[make(mine)] * B._entries[make(theirs)]
    return SparseTensor(make(places), entries, (A.shape[0], B.shape[1])).coalesce()


#: The operators of sparse tensors by the primitive that they are of dense ones: with the sparse one first, and second.
_OPERATORS = {
    "Add": ("__add__", "__radd__"),
    "Subtract": ("__sub__", "__rsub__"),
    "Multiply": ("__mul__", "__rmul__"),
    "Divide": ("__truediv__", None),
}


def elementwise(primitive: str, x: Any, y: Any) -> Any:
    """What an elementwise operation of two arguments is where one of them is sparse.

    Raises SparseError unless it adds, subtracts, multiplies or divides a sparse tensor.
    """
    first, second = _OPERATORS.get(primitive, (None, None))
    if isinstance(x, SparseTensor) and first:
        return getattr(x, first)(y)
    if isinstance(y, SparseTensor) and second:
        return getattr(y, second)(x)
    raise SparseError(f"{primitive} is not there for sparse tensors; use to_dense(), or their _values().")


def addmm(mat: Tensor, mat1: SparseTensor, mat2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta · mat + alpha · (mat1 @ mat2).

    >>> import chainrule
    >>> addmm(chainrule.ones(1, 1), chainrule.eye(1).to_sparse(), chainrule.ones(1, 1), alpha=2)
    tensor([[3.]])
    """
    return mat * beta + mm(mat1, mat2) * alpha


def sum(input: SparseTensor, dim: Any = None, dtype: Any = None) -> Any:
    """The sum of all entries, a number; or along some dimensions, sparse unless no listed dimension is left.

    >>> import chainrule
    >>> A = chainrule.sparse_coo_tensor([[0, 1, 1], [2, 0, 2]], [3.0, 4.0, 5.0], (2, 3))
    >>> sum(A), sum(A, dim=1).to_dense()
    (tensor(12.), tensor([3., 9.]))
    """
    entries = input._entries if dtype is None else input._entries.to(dtype)
    if dim is None:
        return entries.sum()
    rank = input.sparse_dim()
    axes = sorted({input._axis(d) for d in (dim if isinstance(dim, tuple | list) else (dim,))})
    inner = tuple(axis - rank + 1 for axis in axes if axis >= rank)
    entries = entries.sum(inner) if inner else entries
    kept = [axis for axis in range(rank) if axis not in axes]
    if not kept:
        return entries.sum(0)
    shape = [extent for axis, extent in enumerate(input.shape) if axis not in axes]
    summed = SparseTensor(input._places[kept], entries, shape)
    return summed if current_state().trace else summed.coalesce()  # how many places there are is not known in a trace


def _groups(input: SparseTensor, dim: int) -> tuple[SparseTensor, Tensor, int]:
    """The tensor coalesced, the line along `dim` in which each entry lies, and how many lines there are."""
    whole = input.coalesce()
    axis, rank = whole._axis(dim), whole.sparse_dim()
    if axis >= rank:
        raise SparseError(f"softmax along dimension {dim}, which is dense; take it of _values().")
    others = [k for k in range(rank) if k != axis]
    extents = [whole.shape[k] for k in others]
    return whole, linear(whole._places[others], extents), math.prod(extents)


def log_softmax(input: SparseTensor, dim: int, *, dtype: Any = None) -> SparseTensor:
    """The logarithm of `softmax`."""
    whole, line, lines = _groups(input if dtype is None else input.to(dtype), dim)
    x = whole._entries
    shape = (lines, *x.shape[1:])
    index = line.reshape(-1, *[1] * (x.ndim - 1)).expand(*x.shape) if x.ndim > 1 else line
    lowest = x.detach().new_full(shape, -math.inf)
    largest = scatter_reduce(lowest, 0, index, x.detach(), "amax")
    shifted = x - largest[line]
    total = x.new_zeros(shape).index_add(0, line, shifted.exp())
    return whole._with(shifted - total[line].log())


def softmax(input: SparseTensor, dim: int, *, dtype: Any = None) -> SparseTensor:
    """The softmax of the entries that are there: all others count as −∞ and stay zero.

    >>> import chainrule
    >>> A = chainrule.sparse_coo_tensor([[0, 1, 1], [2, 0, 2]], [3.0, 4.0, 4.0], (2, 3))
    >>> softmax(A, 1).values()
    tensor([1.0000, 0.5000, 0.5000])
    """
    logarithm = log_softmax(input, dim, dtype=dtype)
    return logarithm._with(logarithm._entries.exp())


#: PyTorch's older names.
spmm = dsmm = mm
