"""Products of sparse tensors, from look-ups and sums at places."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.errors import DTypeError, ShapeError, SparseError
from chainrule.functions.creation import make
from chainrule.functions.promotion import is_sparse, is_tensor

if TYPE_CHECKING:
    from chainrule.sparse.tensor import SparseTensor
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
    if not is_sparse(sparse) and not is_sparse(dense):  # as programs do that take either
        both_dense: Tensor = sparse @ dense
        return both_dense
    if is_sparse(sparse) and is_sparse(dense):
        product = _sparse_product(sparse, dense)
        return product.to_sparse_csr() if sparse.is_sparse_csr else product
    if is_sparse(sparse) and dense.ndim > 2:
        flat = dense.movedim(-2, 0)
        return mm(sparse, flat.reshape(dense.shape[-2], -1)).reshape(-1, *flat.shape[1:]).movedim(0, -2)
    if is_sparse(sparse):
        rows, columns = sparse._places[0], sparse._places[1]
        chosen = dense[columns]
        terms = chosen * (sparse._entries if dense.ndim == 1 else sparse._entries.unsqueeze(1))
        return terms.new_zeros((sparse.shape[0], *dense.shape[1:])).index_add(0, rows, terms)
    other = dense.t()
    return mm(other, sparse) if sparse.ndim == 1 else mm(other, sparse.t()).t()


def _check(one: Any, two: Any) -> None:
    for matrix in (one, two):
        if is_sparse(matrix):
            matrix._need_matrix("a product")
        elif not is_tensor(matrix) or not matrix.ndim or (matrix is one and matrix.ndim > 2):
            what = f"shape {tuple(matrix.shape)}" if is_tensor(matrix) else type(matrix).__name__
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
    return type(A)(make(places), entries, (A.shape[0], B.shape[1])).coalesce()


def addmm(input: Tensor, mat1: SparseTensor, mat2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta · input + alpha · (mat1 @ mat2).

    >>> import chainrule
    >>> addmm(chainrule.ones(1, 1), chainrule.eye(1).to_sparse(), chainrule.ones(1, 1), alpha=2)
    tensor([[3.]])
    """
    return input * beta + mm(mat1, mat2) * alpha


#: PyTorch's older names.
spmm = dsmm = mm
