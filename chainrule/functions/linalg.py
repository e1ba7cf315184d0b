"""Linear algebra: solving, decomposing and measuring matrices (…, m, n). All of it differentiable where it can be."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from chainrule.autodiff.block import block
from chainrule.autodiff.composite import composite
from chainrule.errors import GradientError, ShapeError
from chainrule.functions import norms
from chainrule.functions.arithmetic import maximum
from chainrule.functions.autocasting import in_single
from chainrule.functions.constant_in import constant_in
from chainrule.functions.creation import as_tensor, eye
from chainrule.functions.diagonals import diagonal as _diagonal_of
from chainrule.functions.logic import where
from chainrule.functions.pieces import cat
from chainrule.functions.promotion import common_shape, expand_to, is_tensor, need_tensor
from chainrule.primitives import linear_algebra as primitives
from chainrule.primitives.numpy_function import by_numpy
from chainrule.primitives.value import Symbol

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


class QRResult(NamedTuple):
    """Q and R of a QR decomposition."""

    Q: Tensor
    R: Tensor


class SVDResult(NamedTuple):
    """U, the singular values S, and Vᵀ of a singular value decomposition."""

    U: Tensor
    S: Tensor
    Vh: Tensor


class EighResult(NamedTuple):
    """Eigenvalues and eigenvectors of symmetric matrices."""

    eigenvalues: Tensor
    eigenvectors: Tensor


class SlogdetResult(NamedTuple):
    """Sign of the determinant and logarithm of its size."""

    sign: Tensor
    logabsdet: Tensor


class LstsqResult(NamedTuple):
    """The solution of a least-squares problem."""

    solution: Tensor


@in_single
def solve(A: Tensor, B: Tensor, *, left: bool = True) -> Tensor:
    """X with A·X = B (or X·A = B if not `left`). A: (…, n, n), B: (…, n, k), or a vector (…, n).

    B counts as vectors if it has one dimension, or the shape of A without its last. With `left` False there is no
    meaning for these.

    Raises LinearAlgebraError for a singular matrix, ShapeError where A and B do not belong together.

    >>> import chainrule
    >>> solve(chainrule.tensor([[2.0, 0.0], [0.0, 4.0]]), chainrule.tensor([2.0, 2.0]))
    tensor([1.0000, 0.5000])
    """
    need_tensor(A, "solve")
    vector = B.ndim == 1 or (B.ndim == A.ndim - 1 and tuple(B.shape) == tuple(A.shape[:-1]))
    if vector and not left:
        raise ShapeError(
            f"solve: with left=False B holds rows, (…, k, n); {tuple(B.shape)} beside A {tuple(A.shape)} counts as "
            "vectors. Use B.unsqueeze(-2) for one row each."
        )
    return _solved(A, B.unsqueeze(-1)).squeeze(-1) if vector else _solved(A, B) if left else _solved(A.mT, B.mT).mT


def _solved(A: Tensor, b: Tensor) -> Tensor:
    """The solution for matrices of columns; batches broadcast."""
    batch = common_shape([tuple(A.shape[:-2]), tuple(b.shape[:-2])])
    return primitives.Solve.apply(expand_to(A, (*batch, *A.shape[-2:])), expand_to(b, (*batch, *b.shape[-2:])))


@in_single
def inv(A: Tensor) -> Tensor:
    """A⁻¹. Raises LinearAlgebraError for a singular matrix. To solve A·x = b, `solve` is better.

    >>> import chainrule
    >>> inv(chainrule.tensor([[2.0, 0.0], [0.0, 4.0]]))
    tensor([[0.5000, 0.0000],
            [0.0000, 0.2500]])
    """
    primitives.check_matrices("inv", A.value.array, square=True)
    return primitives.Solve.apply(A, expand_to(eye(A.shape[-1], dtype=A.dtype, device=A.device), tuple(A.shape)))


inverse = inv


def det(A: Tensor) -> Tensor:
    """The determinant; its gradient is right for singular matrices too.

    >>> import chainrule
    >>> det(chainrule.tensor([[2.0, 1.0], [1.0, 3.0]]))
    tensor(5.)
    """
    return primitives.Det.apply(A)


def slogdet(A: Tensor) -> SlogdetResult:
    """Sign and logarithm of |det A|, for determinants that would overflow.

    >>> import chainrule
    >>> slogdet(chainrule.eye(3)).sign
    tensor(1.)
    """
    return SlogdetResult(*primitives.SlogDet.apply(A))


def logdet(A: Tensor) -> Tensor:
    """ln det A; NaN where the determinant is negative.

    >>> import chainrule
    >>> logdet(chainrule.eye(3))
    tensor(0.)
    """
    sign, logarithm = slogdet(A)
    return logarithm.masked_fill(sign < 0, math.nan)


@in_single
def cholesky(A: Tensor, *, upper: bool = False) -> Tensor:
    """L, lower triangular, with A = L·Lᵀ, for symmetric positive definite A (or U = Lᵀ if `upper`).

    Raises LinearAlgebraError if A is not positive definite.

    >>> import chainrule
    >>> cholesky(chainrule.tensor([[4.0, 2.0], [2.0, 5.0]]))
    tensor([[2., 0.],
            [1., 2.]])
    """
    lower = primitives.Cholesky.apply(A)
    return lower.mT if upper else lower


@in_single
def qr(A: Tensor, mode: str = "reduced") -> QRResult:
    """A = Q·R, Q with orthonormal columns, R upper triangular.

    The mode "complete" gives a square Q, "r" R alone. The further columns of a square Q are any that complete it: a
    backward pass through it raises GradientError for tall A.

    >>> import chainrule
    >>> Q, R = qr(chainrule.randn(5, 3))
    >>> chainrule.allclose(Q.T @ Q, chainrule.eye(3), atol=1e-5)
    True
    """
    m, n = A.shape[-2:]
    if mode == "complete" and m > n:
        q, square = primitives.QR.apply(A)
        whole = _refusing(cat([q, _completing(q.detach())], -1))
        return QRResult(whole, cat([square, square.new_zeros(*A.shape[:-2], m - n, n)], -2))
    if mode == "r":
        return QRResult(A.new_zeros(0), qr(A).R)
    if mode not in ("reduced", "complete"):
        raise ValueError(f"mode is 'reduced', 'complete' or 'r', got {mode!r}.")
    if m >= n:
        return QRResult(*primitives.QR.apply(A))
    q, square = primitives.QR.apply(A[..., :, :m])
    return QRResult(q, cat([square, q.mT @ A[..., :, m:]], -1))


def _completing(q: Tensor) -> Tensor:
    """Orthonormal columns that make orthonormal columns a square matrix."""
    *batch, m, n = q.shape
    return by_numpy(_further_columns, q, forms=[((*batch, m, m - n), q.dtype.numpy)])[0]


def _further_columns(q: Any) -> Any:
    return (np.linalg.qr(q, mode="complete").Q[..., q.shape[-1] :],)


@block
def _refusing(q: Tensor) -> Tensor:
    return q.clone()


@_refusing.gradient
def _(g: Tensor) -> Tensor:
    raise GradientError(
        'qr(mode="complete") of a matrix with more rows than columns: the further columns of Q are not determined by '
        'the matrix, so Q has no gradient (R has). Use mode="reduced".'
    )


@in_single
def svd(A: Tensor, full_matrices: bool = True, *, driver: str | None = None) -> SVDResult:
    """A = U·diag(S)·Vh, S falling. With `full_matrices` U and Vh are square.

    The further columns of U (rows of Vh) are any that complete it, and have no gradient.

    >>> import chainrule
    >>> svd(chainrule.tensor([[3.0, 0.0], [0.0, 4.0]])).S
    tensor([4., 3.])
    """
    primitives.check_matrices("svd", A.value.array)
    if full_matrices and A.shape[-1] != A.shape[-2]:
        u, s, vh = primitives.SVD.apply(A)
        if A.shape[-2] > A.shape[-1]:
            return SVDResult(cat([u, _completing(u.detach())], -1), s, vh)
        return SVDResult(u, s, cat([vh, _completing(vh.detach().mT).mT], -2))
    return SVDResult(*primitives.SVD.apply(A))


@in_single
def svdvals(A: Tensor, *, driver: str | None = None) -> Tensor:
    """The singular values, falling.

    >>> import chainrule
    >>> svdvals(chainrule.tensor([[3.0, 0.0], [0.0, 4.0]]))
    tensor([4., 3.])
    """
    return primitives.SVD.apply(A)[1]


@in_single
def eigh(A: Tensor, UPLO: str = "L") -> EighResult:
    """Eigenvalues, rising, and eigenvectors (columns) of symmetric matrices, of which one triangle is read.

    >>> import chainrule
    >>> eigh(chainrule.tensor([[2.0, 1.0], [1.0, 2.0]])).eigenvalues
    tensor([1., 3.])
    """
    if UPLO not in ("L", "U"):
        raise ValueError(f"UPLO is 'L' or 'U', got {UPLO!r}.")
    return EighResult(*primitives.Eigh.apply(A if UPLO == "L" else A.mT))


@in_single
def eigvalsh(A: Tensor, UPLO: str = "L") -> Tensor:
    """The eigenvalues of symmetric matrices, rising.

    >>> import chainrule
    >>> eigvalsh(chainrule.tensor([[2.0, 1.0], [1.0, 2.0]]))
    tensor([1., 3.])
    """
    return eigh(A, UPLO).eigenvalues


def vector_norm(x: Tensor, ord: float = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """(Σ|x|^p)^(1/p) over `dim`, p = `ord`; see `chainrule.norm`.

    >>> import chainrule
    >>> vector_norm(chainrule.tensor([3.0, 4.0]))
    tensor(5.)
    """
    return norms.norm(x, ord, dim, keepdim, dtype)


def matrix_norm(
    A: Tensor, ord: Any = "fro", dim: tuple[int, int] = (-2, -1), keepdim: bool = False, *, dtype: Any = None
) -> Tensor:
    """A norm of matrices.

    "fro" (root of the sum of squares), "nuc" (sum of singular values), ±2 (largest, smallest singular value), ±1
    (largest, smallest column sum of |a|), ±inf (row sums). The largest of none is 0, the smallest a ShapeError.

    >>> import chainrule
    >>> matrix_norm(chainrule.tensor([[3.0, 0.0], [0.0, 4.0]]), "nuc")
    tensor(7.)
    """
    A = A if dtype is None else A.to(dtype)
    rows, columns = (d % A.ndim for d in dim)
    if ord == "fro":
        return norms.norm(A, 2, (rows, columns), keepdim)
    if ord == "nuc":
        return norms.nuclear_norm(A, (rows, columns), keepdim)
    if ord in (2, -2):
        s = svdvals(A.movedim((rows, columns), (-2, -1)))
        result = _largest(s, -1) if ord == 2 else s.amin(-1)
    elif ord in (1, -1, math.inf, -math.inf):
        summed, other = (rows, columns) if abs(ord) == 1 else (columns, rows)
        sums = A.abs().sum(summed, keepdim=True)
        result = (_largest(sums, other, True) if ord > 0 else sums.amin(other, True)).squeeze((rows, columns))
    else:
        raise ValueError(f"ord is 'fro', 'nuc', 1, −1, 2, −2, inf or −inf, got {ord!r}.")
    if keepdim:
        for d in sorted((rows, columns)):
            result = result.unsqueeze(d)
    return result


def _largest(sizes: Tensor, dim: int, keepdim: bool = False) -> Tensor:
    """The largest of numbers that are not negative: 0 if there are none."""
    return sizes.amax(dim, keepdim) if sizes.shape[dim] else sizes.sum(dim, keepdim)


def norm(A: Tensor, ord: Any = None, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """`vector_norm`, or `matrix_norm` where `ord` is given for two dimensions (or is a string).

    >>> import chainrule
    >>> norm(chainrule.tensor([[3.0, 0.0], [0.0, 4.0]]))
    tensor(5.)
    """
    if isinstance(ord, str) or (
        ord is not None and (len(dim) == 2 if isinstance(dim, tuple) else dim is None and A.ndim == 2)
    ):
        return matrix_norm(A, ord, (-2, -1) if dim is None else dim, keepdim, dtype=dtype)
    return vector_norm(A, 2 if ord is None else ord, dim, keepdim, dtype=dtype)


@in_single
def cond(A: Tensor, p: Any = None) -> Tensor:
    """The condition number: largest over smallest singular value (p = −2: the other way), or ‖A‖·‖A⁻¹‖ in norm p.

    That of a matrix without entries is 0.

    >>> import chainrule
    >>> cond(chainrule.tensor([[2.0, 0.0], [0.0, 4.0]]))
    tensor(2.)
    """
    if A.ndim > 1 and not A.shape[-1] * A.shape[-2]:
        return A.sum((-2, -1))
    if p not in (None, 2, -2):
        return matrix_norm(A, p) * matrix_norm(inv(A), p)
    s = svdvals(A)
    return s[..., -1] / s[..., 0] if p == -2 else s[..., 0] / s[..., -1]


def _smallest_kept(s: Tensor, A: Tensor, rtol: Any, atol: Any = None) -> Tensor:
    """The larger of `atol` and `rtol` times the largest singular value; with neither max(m, n)·ε times the largest."""
    if rtol is None:
        rtol = max(A.shape[-2:]) * float(np.finfo(A.value.array.dtype).eps) if atol is None else 0.0
    rtol, atol = (t.unsqueeze(-1) if is_tensor(t) and t.ndim else t for t in (rtol, atol))
    bound = s.detach()[..., :1] * rtol
    return bound if atol is None else maximum(bound, as_tensor(atol, dtype=s.dtype, device=s.device))


def _singular_values(A: Tensor, hermitian: bool) -> Tensor:
    return eigvalsh(A).abs().sort(-1, descending=True).values if hermitian else svdvals(A)


@in_single
def matrix_rank(A: Tensor, tol: Any = None, *, atol: Any = None, rtol: Any = None, hermitian: bool = False) -> Tensor:
    """How many singular values are above `atol` and `rtol` times the largest (default: max(m, n)·ε).

    tol: an older word for `atol`. hermitian: A is symmetric, which is quicker.

    >>> import chainrule
    >>> matrix_rank(chainrule.ones(3, 3))
    tensor(1)
    """
    s = _singular_values(A.detach(), hermitian)
    return (s > _smallest_kept(s, A, rtol, tol if atol is None else atol)).sum(-1)


def pinv(A: Tensor, rcond: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None) -> Tensor:
    """The pseudo-inverse A⁺ (Moore and Penrose): V·diag(1/s)·Uᵀ, singular values of nearly 0 left out.

    >>> import chainrule
    >>> pinv(chainrule.tensor([[2.0], [0.0]]))
    tensor([[0.5000, 0.0000]])
    """
    primitives.check_matrices("pinv", A.value.array)
    return _pseudo_inverse(A, rcond if rtol is None else rtol, atol)


@block
def _pseudo_inverse(A: Tensor, rtol: Any, atol: Any) -> Tensor:
    u, s, vh = svd(A, full_matrices=False)
    dropped = s <= _smallest_kept(s, A, rtol, atol)
    inverse = s.masked_fill(dropped, 1).reciprocal().masked_fill(dropped, 0)
    return vh.mT @ (inverse.unsqueeze(-1) * u.mT)


@_pseudo_inverse.gradient
def _(g: Tensor, A: Tensor, output: Tensor) -> Tensor:
    # Not through the SVD, whose vectors have no derivative where singular values coincide; P has one where the rank
    # stays. Source: Golub and Pereyra, "The differentiation of pseudo-inverses", 1973.
    p, to_p = output, g.mT
    beside_columns, beside_rows = to_p - A @ (p @ to_p), to_p - (to_p @ p) @ A
    return beside_columns @ (p @ p.mT) + (p.mT @ p) @ beside_rows - p.mT @ g @ p.mT


@in_single
def lstsq(A: Tensor, B: Tensor, rcond: float | None = None, *, driver: str | None = None) -> LstsqResult:
    """X that makes ‖A·X − B‖ smallest, for A of full column rank; B: (…, m, k).

    >>> import chainrule
    >>> lstsq(chainrule.tensor([[1.0], [1.0]]), chainrule.tensor([[1.0], [3.0]])).solution
    tensor([[2.]])
    """
    if A.shape[-2] < A.shape[-1]:
        return LstsqResult(pinv(A) @ B)
    q, r = qr(A)
    return LstsqResult(solve(r, q.mT @ B))


def matrix_power(A: Tensor, n: int) -> Tensor:
    """A·A·…·A, n times; negative powers of the inverse.

    >>> import chainrule
    >>> matrix_power(chainrule.tensor([[1.0, 1.0], [0.0, 1.0]]), 5)
    tensor([[1., 5.],
            [0., 1.]])
    """
    if n < 0:
        return matrix_power(inv(A), -n)
    result, square = expand_to(eye(A.shape[-1], dtype=A.dtype, device=A.device), tuple(A.shape)), A
    while n:
        result = result @ square if n & 1 else result
        square, n = square @ square if n > 1 else square, n >> 1
    return constant_in(result, A) if A.requires_grad and not result.requires_grad else result


def matrix_exp(A: Tensor) -> Tensor:
    """eᴬ = I + A + A²/2! + … of square matrices (…, n, n); a rotation if A is skew-symmetric.

    Scaled to a norm of at most 1, where the series ends soon, then squared as often as it was halved:
    eᴬ = (e^(A/2ˢ))^(2ˢ). Source: Moler and Van Loan, "Nineteen dubious ways to compute the exponential of a matrix",
    2003, method 3.

    >>> import chainrule
    >>> matrix_exp(chainrule.tensor([[0.0, 1.0], [0.0, 0.0]]))
    tensor([[1., 1.],
            [0., 1.]])
    """
    need_tensor(A, "matrix_exp")
    if A.ndim < 2 or A.shape[-1] != A.shape[-2]:
        raise ShapeError(f"matrix_exp takes square matrices (…, n, n), got {tuple(A.shape)}.")
    if not A.numel():
        return A * 1
    most, terms = 24, 18 if A.dtype.itemsize == 8 else 11
    norm = A.detach().abs().sum(-2).amax(-1).unsqueeze(-1).unsqueeze(-1)
    squarings = norm.log2().ceil().clamp(0, most)
    if not isinstance(squarings.value.array, Symbol):  # where the numbers are known, no step is done in vain
        most = int(np.nan_to_num(np.asarray(squarings, np.float64)).max())
    scaled = A / squarings.exp2()
    identity = expand_to(eye(A.shape[-1], dtype=A.dtype, device=A.device), tuple(A.shape))
    result = identity
    for k in range(terms, 0, -1):
        result = identity + scaled @ result / k
    for i in range(most):
        result = where(squarings > i, result @ result, result)
    return result


def solve_triangular(A: Tensor, B: Tensor, *, upper: bool, left: bool = True, unitriangular: bool = False) -> Tensor:
    """X with A·X = B for triangular A, of which only that triangle is read.

    >>> import chainrule
    >>> solve_triangular(chainrule.tensor([[2.0, 9.0], [1.0, 1.0]]), chainrule.ones(2, 1), upper=False)
    tensor([[0.5000],
            [0.5000]])
    """
    triangle = A.triu() if upper else A.tril()
    if unitriangular:
        identity = eye(A.shape[-1], dtype=A.dtype, device=A.device)
        triangle = triangle * (1 - identity) + identity
    if B.ndim < 2:
        raise ShapeError(f"solve_triangular: B holds matrices, got shape {tuple(B.shape)}; use B.unsqueeze(-1).")
    return _solved(triangle, B) if left else _solved(triangle.mT, B.mT).mT


@composite
def cross(input: Tensor, other: Tensor, *, dim: int = -1) -> Tensor:
    """The cross product of vectors of three entries along `dim`.

    >>> import chainrule
    >>> cross(chainrule.tensor([1.0, 0.0, 0.0]), chainrule.tensor([0.0, 1.0, 0.0]))
    tensor([0., 0., 1.])
    """
    if input.shape[dim] != 3 or other.shape[dim] != 3:
        raise ShapeError(f"cross: dimension {dim} has 3 entries, got {tuple(input.shape)} and {tuple(other.shape)}.")
    return input.roll(2, dim) * other.roll(1, dim) - input.roll(1, dim) * other.roll(2, dim)


def diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """The diagonals of matrices, by default of the last two dimensions.

    >>> import chainrule
    >>> diagonal(chainrule.eye(2))
    tensor([1., 1.])
    """
    return _diagonal_of(A, offset, dim1, dim2)
