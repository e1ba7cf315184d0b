"""Linear algebra on the last two dimensions; the dimensions before them count the matrices.

The gradients stand in M. B. Giles, "An extended collection of matrix derivative results for forward and reverse mode
algorithmic differentiation", 2008, unless another source is named.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.errors import ChainruleError, DTypeError, ShapeError
from chainrule.primitives.constants import identity
from chainrule.primitives.primitive import Primitive
from chainrule.primitives.value import Array, Form

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


class LinearAlgebraError(ChainruleError, RuntimeError, np.linalg.LinAlgError):
    """A matrix that cannot be solved, inverted or decomposed: singular, or not positive definite."""


def check_matrices(name: str, x: Any, square: bool = False) -> None:
    """Raise unless x consists of (square) matrices of float32 or float64."""
    if x.dtype.kind != "f" or x.dtype.itemsize < 4:
        raise DTypeError(f"{name} works in float32 and float64, got {x.dtype.name}; convert with .float() first.")
    if len(x.shape) < 2:
        raise ShapeError(f"{name} takes matrices, got shape {tuple(x.shape)}.")
    if square and x.shape[-1] != x.shape[-2]:
        raise ShapeError(f"{name} takes square matrices, got shape {tuple(x.shape)}.")


def _explained(name: str, problem: str, x: Array, compute: Callable[[Array], Any]) -> Any:
    """Compute, or raise a LinearAlgebraError that says which of several matrices is at fault."""
    try:
        return compute(x)
    except np.linalg.LinAlgError:
        place = next((p for p in np.ndindex(x.shape[:-2]) if fails(compute, x[p])), ())
        which = f" (matrix {list(place)} of the batch)" if place else ""
        raise LinearAlgebraError(f"{name}: the matrix is {problem}{which}.") from None


def fails(compute: Callable[[Array], Any], matrix: Array) -> bool:
    """Whether NumPy refuses to compute this of a matrix."""
    try:
        compute(matrix)
    except (np.linalg.LinAlgError, ValueError):
        return True
    return False


def need_finite(name: str, x: Array) -> None:
    """Raise a LinearAlgebraError for NaN and infinities, with which LAPACK's iterations may go on for ever."""
    if not np.isfinite(x).all():
        place = np.argwhere(~np.isfinite(x))[0].tolist()
        raise LinearAlgebraError(f"{name}: the matrix is not finite, it holds {x[tuple(place)]} at {place}.")


class Solve(Primitive):
    """X with A·X = B. A: (…, n, n), B and X: (…, n, k)."""

    latex = r"A^{-1} B"
    checks = True

    @staticmethod
    def shape(a: Array, b: Array) -> Form:
        check_matrices("solve", a, square=True)
        if len(b.shape) != len(a.shape) or b.shape[:-1] != a.shape[:-1]:
            raise ShapeError(f"solve: A {tuple(a.shape)} and B {tuple(b.shape)} do not belong together.")
        return b.shape, b.dtype

    @staticmethod
    def evaluate(a: Array, b: Array) -> Array:
        try:
            return np.linalg.solve(a, b)
        except np.linalg.LinAlgError:
            return np.asarray(_explained("solve", "singular", a, np.linalg.inv) @ b)

    @staticmethod
    def grad_a(g: Tensor, a: Tensor, output: Tensor) -> Tensor:
        return -Solve.apply(a.mT, g) @ output.mT

    @staticmethod
    def grad_b(g: Tensor, a: Tensor) -> Tensor:
        return Solve.apply(a.mT, g)


class Det(Primitive):
    """z = det A. Its gradient, the matrix of cofactors, comes from the SVD, so that it is right for singular A too."""

    latex = r"\det A"

    @staticmethod
    def shape(a: Array) -> Form:
        check_matrices("det", a, square=True)
        return a.shape[:-2], a.dtype

    @staticmethod
    def evaluate(a: Array) -> Array:
        return np.asarray(np.linalg.det(a))

    @staticmethod
    def grad_a(g: Tensor, a: Tensor) -> Tensor:
        # det A = ±s₁⋯sₙ; the cofactors are ±U·diag(product of the other s)·Vᵀ.
        u, s, vh = SVD.apply(a)
        n = s.shape[-1]
        others = s.unsqueeze(-2).expand(*s.shape[:-1], n, n).masked_fill(identity(n, s), 1).prod(-1)
        sign = (Det.apply(u.detach()) * Det.apply(vh.detach())).round()
        return (g * sign).unsqueeze(-1).unsqueeze(-1) * ((u * others.unsqueeze(-2)) @ vh)


class SlogDet(Primitive):
    """sign and logarithm of |det A|; the logarithm's gradient is A⁻ᵀ."""

    latex = r"\ln |\det A|"
    outputs = ("sign", "logabsdet")

    @staticmethod
    def shape(a: Array) -> list[Form]:
        check_matrices("slogdet", a, square=True)
        return [(a.shape[:-2], a.dtype), (a.shape[:-2], a.dtype)]

    @staticmethod
    def evaluate(a: Array) -> tuple[Array, Array]:
        sign, logarithm = np.linalg.slogdet(a)
        return np.asarray(sign), np.asarray(logarithm)

    @staticmethod
    def grad_a(g_logabsdet: Tensor, a: Tensor) -> Tensor:
        units = identity(a.shape[-1], a, a.dtype).expand(a.shape)
        return g_logabsdet.unsqueeze(-1).unsqueeze(-1) * Solve.apply(a.mT, units)


class Cholesky(Primitive):
    """L, lower triangular, with A = L·Lᵀ. Only the lower triangle of A is read; its gradient is symmetric."""

    latex = r"A = L L^{\top}"
    checks = True

    @staticmethod
    def shape(a: Array) -> Form:
        check_matrices("cholesky", a, square=True)
        return a.shape, a.dtype

    @staticmethod
    def evaluate(a: Array) -> Array:
        return np.asarray(_explained("cholesky", "not positive definite", a, np.linalg.cholesky))

    @staticmethod
    def grad_a(g: Tensor, output: Tensor) -> Tensor:
        # Ā = ½ L⁻ᵀ (P + Pᵀ) L⁻¹ with P the lower triangle of Lᵀ·L̄, its diagonal halved.
        product = output.mT @ g
        lower = (product.tril() + product.tril(-1)) / 2
        half = Solve.apply(output.mT, lower + lower.mT)
        return Solve.apply(output.mT, half.mT).mT / 2


class QR(Primitive):
    """Q with orthonormal columns and R upper triangular, A = Q·R. A: (…, m, n) with m ≥ n, Q: (…, m, n)."""

    latex = r"A = Q R"
    outputs = ("q", "r")

    @staticmethod
    def shape(a: Array) -> list[Form]:
        check_matrices("qr", a)
        m, n = a.shape[-2:]
        if m < n:
            raise ShapeError(f"QR of a wide matrix {tuple(a.shape)} is composed of that of its square part.")
        return [(a.shape, a.dtype), ((*a.shape[:-2], n, n), a.dtype)]

    @staticmethod
    def evaluate(a: Array) -> tuple[Array, Array]:
        q, r = np.linalg.qr(a)
        return q, r

    @staticmethod
    def grad_a(g_q: Tensor, g_r: Tensor, q: Tensor, r: Tensor) -> Tensor:
        # Ā = (Q̄ + Q·sym(M)) R⁻ᵀ, M = R·R̄ᵀ − Q̄ᵀ·Q, sym copies the lower triangle to the upper.
        # Source: Walter, Lehmann and Lamour, "On evaluating higher-order derivatives of the QR decomposition", 2012.
        m = r @ g_r.mT - g_q.mT @ q
        inner = g_q + q @ (m.tril() + m.tril(-1).mT)
        return Solve.apply(r, inner.mT).mT


class Eigh(Primitive):
    """Eigenvalues w, rising, and eigenvectors V of symmetric matrices, A = V·diag(w)·Vᵀ.

    Only the lower triangle is read; the gradient is symmetric. That of V exists where the eigenvalues differ.
    """

    latex = r"A = V \operatorname{diag}(w) V^{\top}"
    checks = True
    outputs = ("w", "v")

    @staticmethod
    def shape(a: Array) -> list[Form]:
        check_matrices("eigh", a, square=True)
        return [(a.shape[:-1], a.dtype), (a.shape, a.dtype)]

    @staticmethod
    def evaluate(a: Array) -> tuple[Array, Array]:
        need_finite("eigh", a)
        w, v = _explained("eigh", "not finite", a, np.linalg.eigh)
        return w, v

    @staticmethod
    def grad_a(g_w: Tensor, g_v: Tensor, w: Tensor, v: Tensor) -> Tensor:
        inner = _over_differences(v.mT @ g_v, w) + _diagonal(g_w)
        gradient = v @ inner @ v.mT
        return (gradient + gradient.mT) / 2


class SVD(Primitive):
    """U, s, Vᵀ with A = U·diag(s)·Vᵀ, s falling and not negative; thin: k = min(m, n) columns.

    The gradients of U and V exist where the singular values differ and are not 0.
    """

    latex = r"A = U \operatorname{diag}(s) V^{\top}"
    checks = True
    outputs = ("u", "s", "vh")

    @staticmethod
    def shape(a: Array) -> list[Form]:
        check_matrices("svd", a)
        *batch, m, n = a.shape
        k = min(m, n)
        return [((*batch, m, k), a.dtype), ((*batch, k), a.dtype), ((*batch, k, n), a.dtype)]

    @staticmethod
    def evaluate(a: Array) -> tuple[Array, Array, Array]:
        need_finite("svd", a)
        u, s, vh = _explained("svd", "not finite", a, lambda x: np.linalg.svd(x, full_matrices=False))
        return u, s, vh

    @staticmethod
    def grad_a(g_u: Tensor, g_s: Tensor, g_vh: Tensor, u: Tensor, s: Tensor, vh: Tensor) -> Tensor:
        # Source: J. Townsend, "Differentiating the singular value decomposition", 2016.
        row, column, squares = s.unsqueeze(-2), s.unsqueeze(-1), s * s
        in_u, in_v = u.mT @ g_u, vh @ g_vh.mT
        turned_u, turned_v = _over_differences(in_u - in_u.mT, squares), _over_differences(in_v - in_v.mT, squares)
        inner = turned_u * row + column * turned_v + _diagonal(g_s)
        gradient = u @ inner @ vh
        m, k, n = u.shape[-2], s.shape[-1], vh.shape[-1]
        if m > k:
            gradient = gradient + _quotient(g_u - u @ in_u, row) @ vh
        if n > k:
            gradient = gradient + u @ _quotient(g_vh - in_v.mT @ vh, column)
        return gradient


def _diagonal(vector: Tensor) -> Tensor:
    """Each vector as the diagonal of a matrix."""
    return vector.unsqueeze(-1) * identity(vector.shape[-1], vector, vector.dtype)


def _over_differences(matrix: Tensor, x: Tensor) -> Tensor:
    """F with F[i, j] = matrix[i, j]/(x[j] − x[i]) and 0 on the diagonal."""
    return _quotient(matrix * (1 - identity(x.shape[-1], x, x.dtype)), x.unsqueeze(-2) - x.unsqueeze(-1))


def _quotient(x: Tensor, y: Tensor) -> Tensor:
    """x/y, and 0 where both are 0: vectors in whose gradient nobody is interested may belong to equal or no values."""
    return x / y.masked_fill((x == 0) & (y == 0), 1)
