"""Linear algebra: LAPACK on a CPU, the maker's library on a GPU. What NumPy refuses is reported."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import lax
from jax.scipy import linalg as scipy

from chainrule.backends.xla.rules.table import enter, report, rule
from chainrule.primitives import linear_algebra as l

enter({
    l.Det: jnp.linalg.det,
    l.SlogDet: lambda a: tuple(jnp.linalg.slogdet(a)),
    l.QR: lambda a: tuple(jnp.linalg.qr(a)),
})  # fmt: skip


@rule(l.Solve)
def solve(a: Any, b: Any) -> Any:
    """X with A·X = B; singular if a pivot is 0."""
    if not b.size:
        return b
    factors, order = scipy.lu_factor(a)
    report(jnp.diagonal(factors, axis1=-2, axis2=-1) == 0)
    return scipy.lu_solve((factors, order), b)


@rule(l.Cholesky)
def cholesky(a: Any) -> Any:
    """L with L·Lᵀ = A; NaN where there is none."""
    factor = lax.linalg.cholesky(a, symmetrize_input=False)
    report(jnp.isnan(factor))
    return factor


@rule(l.Eigh)
def eigh(a: Any) -> Any:
    """Eigenvalues, rising, and eigenvectors."""
    report(~jnp.isfinite(a))
    v, w = lax.linalg.eigh(a, lower=True, symmetrize_input=False)
    return w, v


@rule(l.SVD)
def svd(a: Any) -> Any:
    """U, s, Vᵀ."""
    report(~jnp.isfinite(a))
    return tuple(jnp.linalg.svd(a, full_matrices=False))
