"""Divergences of normal distributions of vectors, with full covariances and with those of few directions."""

from __future__ import annotations

from chainrule.distributions.kl.registry import register_kl
from chainrule.distributions.lowrank_multivariate_normal import LowRankMultivariateNormal
from chainrule.distributions.multivariate_normal import MultivariateNormal, half_log_determinant, squared_distance
from chainrule.errors import ShapeError
from chainrule.functions.pieces import cat
from chainrule.functions.shape import broadcast_shapes
from chainrule.linalg import solve_triangular
from chainrule.tensor import Tensor

Gaussian = MultivariateNormal | LowRankMultivariateNormal


def _factor(p: Gaussian) -> Tensor:
    """F with F·Fᵀ = Σ."""
    if isinstance(p, MultivariateNormal):
        return p.scale_tril
    return cat([p.cov_factor, p.cov_diag.sqrt().diag_embed()], -1)


def _log_determinant(p: Gaussian) -> Tensor:
    return 2 * half_log_determinant(p.scale_tril) if isinstance(p, MultivariateNormal) else p.log_determinant()


def _distance(q: Gaussian, difference: Tensor) -> Tensor:
    if isinstance(q, MultivariateNormal):
        return squared_distance(q.scale_tril, difference)
    return q.squared_distance(difference)


def _solved(lower: Tensor, matrix: Tensor) -> Tensor:
    """‖L⁻¹·A‖², batches broadcast."""
    batch = broadcast_shapes(tuple(lower.shape[:-2]), tuple(matrix.shape[:-2]))
    whitened = solve_triangular(
        lower.expand(*batch, *lower.shape[-2:]), matrix.expand(*batch, *matrix.shape[-2:]), upper=False
    )
    return (whitened * whitened).sum((-2, -1))


def _trace(p: Gaussian, q: Gaussian) -> Tensor:
    """The trace of Σq⁻¹·Σp, from factors alone."""
    factor = _factor(p)
    if isinstance(q, MultivariateNormal):
        return _solved(q.scale_tril, factor)
    scaled = factor * factor / q.cov_diag.unsqueeze(-1)
    return scaled.sum((-2, -1)) - _solved(q._capacitance_tril, q._scaled @ factor)


@register_kl(MultivariateNormal, MultivariateNormal)
@register_kl(MultivariateNormal, LowRankMultivariateNormal)
@register_kl(LowRankMultivariateNormal, MultivariateNormal)
@register_kl(LowRankMultivariateNormal, LowRankMultivariateNormal)
def _kl(p: Gaussian, q: Gaussian) -> Tensor:
    """½·(ln det Σq − ln det Σp + tr Σq⁻¹·Σp + (μp − μq)ᵀ·Σq⁻¹·(μp − μq) − n)."""
    if p.event_shape != q.event_shape:
        raise ShapeError(f"kl_divergence: vectors of {p.event_shape[0]} and {q.event_shape[0]} entries.")
    logarithms = _log_determinant(q) - _log_determinant(p)
    return 0.5 * (logarithms + _trace(p, q) + _distance(q, p.loc - q.loc) - p.event_shape[0])
