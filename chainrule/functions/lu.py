"""P·L·U: a matrix as rows in another order, times two triangles; and what is solved with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from chainrule.autodiff.block import block
from chainrule.dtypes import int32
from chainrule.errors import NumberRangeError, ShapeError
from chainrule.functions.autocasting import in_single
from chainrule.functions.checking import check_numbers
from chainrule.functions.creation import eye
from chainrule.functions.gathering import take_along_dim
from chainrule.functions.linalg import solve_triangular
from chainrule.functions.pieces import cat
from chainrule.primitives import linear_algebra as primitives
from chainrule.primitives.numpy_function import by_numpy

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


class LUResult(NamedTuple):
    """A = P·L·U."""

    P: Tensor
    L: Tensor
    U: Tensor


class FactorResult(NamedTuple):
    """L below the diagonal and U on it and above, in one matrix, and which rows were exchanged."""

    LU: Tensor
    pivots: Tensor


class CheckedFactorResult(NamedTuple):
    """As `FactorResult`, and the number of the first place on U's diagonal that is 0; 0 if there is none."""

    LU: Tensor
    pivots: Tensor
    info: Tensor


@in_single
def lu(A: Tensor, *, pivot: bool = True) -> LUResult:
    """A = P·L·U: P a permutation, L lower triangular with ones on its diagonal, U upper triangular. A: (…, m, n).

    pivot: whether rows are exchanged, so that L's entries are at most 1; without, P is the identity.

    >>> import chainrule
    >>> P, L, U = lu(chainrule.tensor([[1.0, 3.0], [2.0, 4.0]]))
    >>> L, U
    (tensor([[1.0000, 0.0000],
            [0.5000, 1.0000]]), tensor([[2., 4.],
            [0., 1.]]))
    >>> chainrule.equal(P @ L @ U, chainrule.tensor([[1.0, 3.0], [2.0, 4.0]]))
    True
    """
    return lu_unpack(*_factored(A, pivot))


@in_single
def lu_factor(A: Tensor, *, pivot: bool = True) -> FactorResult:
    """`lu` in one matrix, and the exchanges: one after another, row i with row pivots[i], counted from 1.

    Raises LinearAlgebraError where U has a 0 on its diagonal; `lu_factor_ex` does not.

    >>> import chainrule
    >>> lu_factor(chainrule.tensor([[1.0, 3.0], [2.0, 4.0]])).pivots
    tensor([2, 2], dtype=chainrule.int32)
    """
    return FactorResult(*lu_factor_ex(A, pivot=pivot, check_errors=True)[:2])


@in_single
def lu_factor_ex(A: Tensor, *, pivot: bool = True, check_errors: bool = False) -> CheckedFactorResult:
    """As `lu_factor`, and `info`: which place on U's diagonal is the first 0, counted from 1; 0 if there is none.

    >>> import chainrule
    >>> lu_factor_ex(chainrule.tensor([[1.0, 2.0], [2.0, 4.0]])).info
    tensor(2, dtype=chainrule.int32)
    """
    factors, pivots = _factored(A, pivot)
    zero = factors.detach().diagonal(0, -2, -1) == 0
    info = (zero.int().argmax(-1) + 1) * zero.any(-1) if zero.shape[-1] else zero.sum(-1)
    if check_errors:
        check_numbers(_need_no_zeros, info)
    return CheckedFactorResult(factors, pivots, info.to(int32))


def lu_unpack(LU_data: Tensor, LU_pivots: Tensor, unpack_data: bool = True, unpack_pivots: bool = True) -> LUResult:
    """P, L and U from what `lu_factor` gives; what is not asked for has no entries.

    >>> import chainrule
    >>> P, L, U = lu_unpack(*lu_factor(chainrule.tensor([[1.0, 3.0], [2.0, 4.0]])))
    >>> P
    tensor([[0., 1.],
            [1., 0.]])
    """
    LU, pivots = LU_data, LU_pivots
    m, n = LU.shape[-2:]
    size = min(m, n)
    if pivots.shape != (*LU.shape[:-2], size):
        raise ShapeError(f"lu_unpack: LU {tuple(LU.shape)} and pivots {tuple(pivots.shape)} do not belong together.")
    P = L = U = LU.new_zeros(0)
    if unpack_pivots:
        rows = _rows(pivots, m)
        P = (rows.unsqueeze(-2) == rows.new_tensor(range(m)).unsqueeze(-1)).to(LU.dtype)
    if unpack_data:
        L = LU[..., :, :size].tril(-1) + eye(m, size, dtype=LU.dtype, device=LU.device)
        U = LU[..., :size, :].triu()
    return LUResult(P, L, U)


@in_single
def lu_solve(LU: Tensor, pivots: Tensor, B: Tensor, *, left: bool = True, adjoint: bool = False) -> Tensor:
    """X with A·X = B (X·A = B if not `left`; Aᵀ for A if `adjoint`), from what `lu_factor` gives of A.

    >>> import chainrule
    >>> A = chainrule.tensor([[1.0, 3.0], [2.0, 4.0]])
    >>> lu_solve(*lu_factor(A), A)
    tensor([[1., 0.],
            [0., 1.]])
    """
    if not left:
        return lu_solve(LU, pivots, B.mT, adjoint=not adjoint).mT
    P, _, _ = lu_unpack(LU, pivots, unpack_data=False)
    if adjoint:
        middle = solve_triangular(LU.mT, B, upper=False)
        return P @ solve_triangular(LU.mT, middle, upper=True, unitriangular=True)
    return solve_triangular(LU, solve_triangular(LU, P.mT @ B, upper=False, unitriangular=True), upper=True)


def _factored(A: Tensor, pivot: bool) -> FactorResult:
    """The factors in one matrix, and the pivots."""
    primitives.check_matrices("lu", A.value.array)
    batch, (m, n) = tuple(A.shape[:-2]), A.shape[-2:]
    form = ((*batch, min(m, n)), np.dtype(np.int32))
    (pivots,) = by_numpy(_pivots, A.detach(), forms=[form], pivot=pivot)
    return FactorResult(_eliminated(take_along_dim(A, _rows(pivots, m).unsqueeze(-1), -2)), pivots)


def _rows(pivots: Tensor, m: int) -> Tensor:
    """Which row of A stands where, after the exchanges."""
    (rows,) = by_numpy(_order, pivots, forms=[((*pivots.shape[:-1], m), np.dtype(np.int64))], m=m)
    return rows


@block
def _eliminated(A: Tensor) -> Tensor:
    """L and U in one matrix, of an A whose rows are in the right order."""
    (factors,) = by_numpy(_factors, A, forms=[(tuple(A.shape), A.dtype.numpy)])
    return factors


@_eliminated.gradient
def _(g: Tensor, output: Tensor) -> Tensor:
    # With A = L·U square: Ā = L⁻ᵀ (below(Lᵀ·L̄) + upper(Ū·Uᵀ)) U⁻ᵀ. Columns of A beyond are L times U's, and so have
    # Ā₂ = L⁻ᵀ·Ū₂, and take Ā₂·U₂ᵀ from L̄; rows beyond are L's times U, Ā₂ = L̄₂·U⁻ᵀ, and take L₂ᵀ·Ā₂ from Ū.
    m, n = output.shape[-2:]
    size = min(m, n)
    factors, inside = output[..., :size, :size], g[..., :size, :size]
    lower = factors.tril(-1) + eye(size, dtype=g.dtype, device=g.device)
    upper, g_lower, g_upper = factors.triu(), inside.tril(-1), inside.triu()
    beyond = None
    if n > m:
        beyond = solve_triangular(lower.mT, g[..., :, size:], upper=True, unitriangular=True)
        g_lower = g_lower - beyond @ output[..., :, size:].mT
    elif m > n:
        beyond = solve_triangular(upper.mT, g[..., size:, :], upper=False, left=False)
        g_upper = g_upper - output[..., size:, :].mT @ beyond
    middle = (lower.mT @ g_lower).tril(-1) + (g_upper @ upper.mT).triu()
    half = solve_triangular(lower.mT, middle, upper=True, unitriangular=True)
    square = solve_triangular(upper.mT, half, upper=False, left=False)
    return square if beyond is None else cat([square, beyond], -1 if n > m else -2)


def _eliminate(matrix: Any, pivot: bool) -> list[int]:
    """Gauss' elimination of one matrix, in place, column by column; the answer is the pivots."""
    pivots = []
    for k in range(min(matrix.shape)):
        largest = k + int(np.argmax(np.abs(matrix[k:, k]))) if pivot else k
        pivots.append(largest + 1)
        if largest != k:
            matrix[[k, largest]] = matrix[[largest, k]]
        if matrix[k, k]:
            matrix[k + 1 :, k] /= matrix[k, k]
            matrix[k + 1 :, k + 1 :] -= np.outer(matrix[k + 1 :, k], matrix[k, k + 1 :])
    return pivots


def _pivots(a: Any, pivot: bool) -> Any:
    answer = np.empty((*a.shape[:-2], min(a.shape[-2:])), np.int32)
    for place in np.ndindex(a.shape[:-2]):
        answer[place] = _eliminate(a[place].copy(), pivot)
    return answer


def _factors(a: Any) -> Any:
    answer = a.copy()
    for place in np.ndindex(a.shape[:-2]):
        _eliminate(answer[place], False)
    return answer


def _order(pivots: Any, m: int) -> Any:
    if pivots.size and not (pivots.min() >= 1 and pivots.max() <= m):
        raise NumberRangeError(f"lu: pivots are rows counted from 1 to {m}, got {pivots.min()} to {pivots.max()}.")
    answer = np.broadcast_to(np.arange(m), (*pivots.shape[:-1], m)).copy()
    for place in np.ndindex(pivots.shape[:-1]):
        rows = answer[place]
        for k, other in enumerate(pivots[place] - 1):
            rows[k], rows[other] = rows[other], rows[k]
    return answer


def _need_no_zeros(info: Any) -> None:
    if info.any():
        place = tuple(int(i) for i in np.argwhere(info)[0])
        which = f" (matrix {list(place)} of the batch)" if place else ""
        raise primitives.LinearAlgebraError(
            f"lu_factor: the matrix is singular{which}, place {int(info[place])} on U's diagonal is 0. lu_factor_ex "
            "gives the factors all the same."
        )
