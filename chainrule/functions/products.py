"""Products of matrices and vectors added to a tensor, and products of special structure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from chainrule.errors import ShapeError
from chainrule.functions.autocasting import in_half, in_own_type
from chainrule.functions.contraction import bmm, joined, mv, need_pairs, outer
from chainrule.functions.creation import arange
from chainrule.functions.promotion import cast

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


@in_own_type
def addmv(input: Tensor, mat: Tensor, vec: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta · input + alpha · mat @ vec.

    >>> import chainrule
    >>> chainrule.addmv(chainrule.ones(2), chainrule.eye(2), chainrule.tensor([1.0, 2.0]))
    tensor([2., 3.])
    """
    return joined(input, mv(mat, vec), beta, alpha, "addmv")


def addr(input: Tensor, vec1: Tensor, vec2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta · input + alpha · vec1 vec2ᵀ.

    >>> import chainrule
    >>> chainrule.addr(chainrule.zeros(1, 2), chainrule.tensor([2.0]), chainrule.tensor([1.0, 3.0]))
    tensor([[2., 6.]])
    """
    return joined(input, outer(vec1, vec2), beta, alpha, "addr")


@in_half
def baddbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta · input + alpha · batch1 @ batch2, a product of matrices for each of the batch.

    >>> import chainrule
    >>> chainrule.baddbmm(chainrule.zeros(1, 1, 1), chainrule.ones(1, 1, 2), chainrule.ones(1, 2, 1)).item()
    2.0
    """
    need_pairs(batch1, batch2, "baddbmm")
    return joined(input, bmm(batch1, batch2), beta, alpha, "baddbmm")


@in_half
def addbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta · input + alpha · Σ batch1 @ batch2, the products of the batch added up.

    >>> import chainrule
    >>> chainrule.addbmm(chainrule.zeros(1, 1), chainrule.ones(3, 1, 2), chainrule.ones(3, 2, 1)).item()
    6.0
    """
    need_pairs(batch1, batch2, "addbmm")
    total = cast(bmm(batch1, batch2).sum(0), batch1.value.array.dtype)
    return joined(input, total, beta, alpha, "addbmm")


def multi_dot(tensors: Sequence[Tensor]) -> Tensor:
    """The product of several matrices, from the left; the first and the last may be vectors.

    >>> import chainrule
    >>> multi_dot([chainrule.eye(2), chainrule.ones(2, 3), chainrule.ones(3, 1)]).shape
    Size([2, 1])
    """
    if len(tensors) < 2:
        raise ShapeError("multi_dot takes at least two matrices.")
    for i, factor in enumerate(tensors):
        if factor.ndim != 2 and not (factor.ndim == 1 and i in (0, len(tensors) - 1)):
            raise ShapeError(
                f"multi_dot takes matrices, and vectors as the first and the last; number {i} has shape "
                f"{tuple(factor.shape)}. For batches write a @ b."
            )
    result = tensors[0]
    for matrix in tensors[1:]:
        result = result @ matrix
    return result


def chain_matmul(*matrices: Tensor) -> Tensor:
    """The product of matrices in the cheapest order: `multi_dot` under an older name."""
    if any(A.ndim != 2 for A in matrices):
        raise ShapeError(f"chain_matmul takes matrices, got shapes {[tuple(A.shape) for A in matrices]}.")
    return multi_dot(matrices) if len(matrices) > 1 else matrices[0]


def kron(input: Tensor, other: Tensor) -> Tensor:
    """The Kronecker product: each entry of the first times all of the second, as blocks.

    >>> import chainrule
    >>> chainrule.kron(chainrule.tensor([[1, 2]]), chainrule.tensor([[1], [1]]))
    tensor([[1, 2],
            [1, 2]])
    """
    ndim = max(input.ndim, other.ndim)
    first = (1,) * (ndim - input.ndim) + tuple(input.shape)
    second = (1,) * (ndim - other.ndim) + tuple(other.shape)
    x = input.reshape([extent for a in first for extent in (a, 1)])
    y = other.reshape([extent for b in second for extent in (1, b)])
    return (x * y).reshape([a * b for a, b in zip(first, second)])


def vander(x: Tensor, N: int | None = None, increasing: bool = False) -> Tensor:
    """The Vandermonde matrix: the powers of each entry of a vector in a row, from the highest (or from 0).

    >>> import chainrule
    >>> chainrule.vander(chainrule.tensor([2, 3]), 3)
    tensor([[4, 2, 1],
            [9, 3, 1]])
    """
    if x.ndim != 1:
        raise ShapeError(f"vander takes a vector, got shape {tuple(x.shape)}.")
    powers = arange(len(x) if N is None else N, device=x.device)
    return x.unsqueeze(1) ** (powers if increasing else powers.flip(0))
