"""Linear algebra of vectors along a dimension, and of tensors that are maps from some dimensions to others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from chainrule.errors import ShapeError
from chainrule.functions.linalg import inv, solve
from chainrule.functions.pieces import cat

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


def vecdot(x: Tensor, y: Tensor, *, dim: int = -1) -> Tensor:
    """Σ x·y along `dim`; the other dimensions are broadcast.

    >>> import chainrule
    >>> vecdot(chainrule.tensor([[1.0, 2.0], [3.0, 4.0]]), chainrule.tensor([1.0, -1.0]))
    tensor([-1., -1.])
    """
    return (x * y).sum(dim)


def vander(x: Tensor, *, N: int | None = None) -> Tensor:
    """Vandermonde's matrix: each entry of x (…, n) to the powers 0 … N − 1, of n by default, along a new dimension.

    >>> import chainrule
    >>> vander(chainrule.tensor([2, 3]), N=3)
    tensor([[1, 2, 4],
            [1, 3, 9]])
    """
    if not x.ndim or (N is not None and N < 1):
        raise ShapeError(f"vander takes a vector or more and N of 1 or more, got shape {tuple(x.shape)} and N={N}.")
    count = x.shape[-1] if N is None else N
    if not count:
        return x.new_ones(*x.shape, 0)
    powers = x.unsqueeze(-1).expand(*x.shape, count - 1).cumprod(-1)
    return cat([x.new_ones(*x.shape, 1), powers], -1)


def tensorinv(A: Tensor, ind: int = 2) -> Tensor:
    """The inverse as a linear map from the dimensions after the first `ind` to these; their sizes' products are equal.

    >>> import chainrule
    >>> tensorinv(2 * chainrule.eye(4).reshape(2, 2, 4)).shape
    Size([4, 2, 2])
    """
    there, here = tuple(A.shape[:ind]), tuple(A.shape[ind:])
    if ind < 1 or math.prod(there) != math.prod(here):
        raise ShapeError(f"tensorinv: {there} and {here} have different numbers of entries (ind={ind}).")
    return inv(A.reshape(math.prod(there), math.prod(here))).reshape(*here, *there)


def tensorsolve(A: Tensor, other: Tensor, dims: Sequence[int] | None = None) -> Tensor:
    """X with Σ A[…, x]·X[x] = other[…]. `dims` of A are moved to its end first.

    >>> import chainrule
    >>> tensorsolve(2 * chainrule.eye(4).reshape(2, 2, 4), chainrule.ones(2, 2))
    tensor([0.5000, 0.5000, 0.5000, 0.5000])
    """
    if dims is not None:
        A = A.movedim(tuple(dims), tuple(range(A.ndim - len(dims), A.ndim)))
    here = tuple(A.shape[other.ndim :])
    if tuple(A.shape[: other.ndim]) != tuple(other.shape) or other.numel() != math.prod(here):
        raise ShapeError(f"tensorsolve: A {tuple(A.shape)} is no square map to other's {tuple(other.shape)}.")
    return solve(A.reshape(other.numel(), other.numel()), other.reshape(-1)).reshape(here)
