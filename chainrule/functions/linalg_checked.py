"""Linear algebra that answers instead of raising: `info` says for which matrices it went wrong.

Where it did, the results are NaN; PyTorch leaves there what the algorithm had reached.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from chainrule.functions import linalg
from chainrule.functions.autocasting import in_single
from chainrule.functions.creation import eye
from chainrule.functions.logic import masked_fill, where
from chainrule.primitives import linear_algebra as primitives
from chainrule.primitives.numpy_function import by_numpy

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


class CholeskyExResult(NamedTuple):
    """The factor, and for each matrix 0 or the size of its first leading part that is not positive definite."""

    L: Tensor
    info: Tensor


class InvExResult(NamedTuple):
    """The inverses, and for each matrix 0, or the place of the pivot that is 0."""

    inverse: Tensor
    info: Tensor


class SolveExResult(NamedTuple):
    """The solutions, and for each matrix 0, or the place of the pivot that is 0."""

    result: Tensor
    info: Tensor


@in_single
def cholesky_ex(A: Tensor, *, upper: bool = False, check_errors: bool = False) -> CholeskyExResult:
    """`cholesky` that does not raise for what is not positive definite, unless `check_errors`.

    >>> import chainrule
    >>> cholesky_ex(chainrule.tensor([[[4.0]], [[-4.0]]]))
    CholeskyExResult(L=tensor([[[2.]],
            [[nan]]]), info=tensor([0, 1], dtype=chainrule.int32))
    """
    primitives.check_matrices("cholesky_ex", A.value.array, square=True)
    (info,) = by_numpy(_not_positive, A.detach(), forms=[(tuple(A.shape[:-2]), np.dtype(np.int32))])
    good, safe = _set_apart(A, info, check_errors)
    return CholeskyExResult(masked_fill(linalg.cholesky(safe, upper=upper), ~good, math.nan), info)


@in_single
def inv_ex(A: Tensor, *, check_errors: bool = False) -> InvExResult:
    """`inv` that does not raise for singular matrices, unless `check_errors`.

    >>> import chainrule
    >>> inv_ex(chainrule.tensor([[2.0]])).inverse
    tensor([[0.5000]])
    """
    primitives.check_matrices("inv_ex", A.value.array, square=True)
    (info,) = by_numpy(_singular, A.detach(), forms=[(tuple(A.shape[:-2]), np.dtype(np.int32))])
    good, safe = _set_apart(A, info, check_errors)
    return InvExResult(masked_fill(linalg.inv(safe), ~good, math.nan), info)


@in_single
def solve_ex(A: Tensor, B: Tensor, *, left: bool = True, check_errors: bool = False) -> SolveExResult:
    """`solve` that does not raise for singular matrices, unless `check_errors`.

    >>> import chainrule
    >>> solve_ex(chainrule.tensor([[0.0]]), chainrule.ones(1, 1)).info
    tensor(1, dtype=chainrule.int32)
    """
    primitives.check_matrices("solve_ex", A.value.array, square=True)
    (info,) = by_numpy(_singular, A.detach(), forms=[(tuple(A.shape[:-2]), np.dtype(np.int32))])
    good, safe = _set_apart(A, info, check_errors)
    solution = linalg.solve(safe, B, left=left)
    vector = solution.ndim < A.ndim
    return SolveExResult(masked_fill(solution, ~(good.squeeze(-1) if vector else good), math.nan), info)


def _set_apart(A: Tensor, info: Tensor, check_errors: bool) -> tuple[Tensor, Tensor]:
    """Where `info` is 0, as (…, 1, 1), and the matrices, the identity for the bad ones if nothing is to raise."""
    good = (info == 0).unsqueeze(-1).unsqueeze(-1)
    return good, A if check_errors else where(good, A, eye(A.shape[-1], dtype=A.dtype, device=A.device))


def _not_positive(a: Any) -> Any:
    return _each(a, np.linalg.cholesky, lambda matrix, k: primitives.fails(np.linalg.cholesky, matrix[:k, :k]))


def _singular(a: Any) -> Any:
    return _each(a, np.linalg.inv, lambda matrix, k: bool(np.linalg.matrix_rank(matrix[:, :k]) < k))


def _each(a: Any, compute: Callable[[Any], Any], is_bad: Callable[[Any, int], bool]) -> Any:
    """For each matrix 0, or if it cannot be done how much of it is enough to see that."""
    info = np.zeros(a.shape[:-2], np.int32)
    n = a.shape[-1]
    for place in np.ndindex(info.shape):
        if primitives.fails(compute, a[place]):
            info[place] = next((k for k in range(1, n + 1) if is_bad(a[place], k)), n)
    return info
