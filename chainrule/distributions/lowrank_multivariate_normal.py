"""The normal distribution of vectors with a covariance of few directions and a diagonal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from chainrule.distributions import constraints
from chainrule.distributions.distribution import Distribution
from chainrule.distributions.multivariate_normal import half_log_determinant, matrix_times_vector, squared_distance
from chainrule.distributions.utils import lazy_property
from chainrule.errors import ShapeError
from chainrule.functions.creation import eye
from chainrule.functions.shape import broadcast_shapes
from chainrule.linalg import cholesky, solve_triangular
from chainrule.random import randn
from chainrule.tensor import Tensor

__all__ = ["LowRankMultivariateNormal"]


class LowRankMultivariateNormal(Distribution):
    """N(μ, W·Wᵀ + diag(d)); `loc` is μ, (…, n), `cov_factor` W, (…, n, r), and `cov_diag` d > 0, (…, n).

    Nothing larger than r × r is inverted: with the *capacitance* C = 1 + Wᵀ·D⁻¹·W, Woodbury's identity gives Σ⁻¹ and
    the matrix determinant lemma det Σ = det C·Πd.

    >>> import chainrule
    >>> LowRankMultivariateNormal(chainrule.zeros(2), chainrule.ones(2, 1), chainrule.ones(2)).covariance_matrix
    tensor([[2., 1.],
            [1., 2.]])
    """

    arg_constraints = {
        "loc": constraints.real_vector,
        "cov_factor": constraints.independent(constraints.real, 2),
        "cov_diag": constraints.independent(constraints.positive, 1),
    }
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, loc: Tensor, cov_factor: Tensor, cov_diag: Tensor, validate_args: bool | None = None) -> None:
        n = loc.shape[-1] if loc.ndim else 0
        if not n or cov_factor.ndim < 2 or cov_factor.shape[-2] != n or tuple(cov_diag.shape[-1:]) != (n,):
            raise ShapeError(
                f"LowRankMultivariateNormal: loc is (…, n), cov_factor (…, n, r), cov_diag (…, n), got "
                f"{tuple(loc.shape)}, {tuple(cov_factor.shape)} and {tuple(cov_diag.shape)}."
            )
        batch = broadcast_shapes(tuple(loc.shape[:-1]), tuple(cov_factor.shape[:-2]), tuple(cov_diag.shape[:-1]))
        self.loc, self.cov_diag = loc.expand(*batch, n), cov_diag.expand(*batch, n)
        self.cov_factor = cov_factor.expand(*batch, *cov_factor.shape[-2:])
        super().__init__(batch, (n,), validate_args=validate_args)

    @property
    def _scaled(self) -> Tensor:
        """Wᵀ·D⁻¹."""
        return self.cov_factor.mT / self.cov_diag.unsqueeze(-2)

    @lazy_property
    def _capacitance_tril(self) -> Tensor:
        """The lower triangle of 1 + Wᵀ·D⁻¹·W."""
        product = self._scaled @ self.cov_factor
        return cholesky(product + eye(product.shape[-1], dtype=product.dtype, device=product.device))

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @lazy_property
    def variance(self) -> Tensor:
        """The diagonal of the covariance."""
        return (self.cov_factor * self.cov_factor).sum(-1) + self.cov_diag

    @lazy_property
    def covariance_matrix(self) -> Tensor:
        """W·Wᵀ + diag(d)."""
        return self.cov_factor @ self.cov_factor.mT + self.cov_diag.diag_embed()

    @lazy_property
    def scale_tril(self) -> Tensor:
        """The lower triangle L with L·Lᵀ = Σ."""
        return cholesky(self.covariance_matrix)

    @lazy_property
    def precision_matrix(self) -> Tensor:
        """Σ⁻¹ = D⁻¹ − D⁻¹·W·C⁻¹·Wᵀ·D⁻¹."""
        a = solve_triangular(self._capacitance_tril, self._scaled, upper=False)
        return self.cov_diag.reciprocal().diag_embed() - a.mT @ a

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        directions = randn((*shape[:-1], self.cov_factor.shape[-1]), dtype=self.loc.dtype, device=self.loc.device)
        own = randn(shape, dtype=self.loc.dtype, device=self.loc.device)
        return self.loc + matrix_times_vector(self.cov_factor, directions) + self.cov_diag.sqrt() * own

    def squared_distance(self, difference: Tensor) -> Tensor:
        """dᵀ·Σ⁻¹·d for vectors (…, n)."""
        along = matrix_times_vector(self._scaled, difference)
        return (difference * difference / self.cov_diag).sum(-1) - squared_distance(self._capacitance_tril, along)

    def log_determinant(self) -> Tensor:
        """ln det Σ."""
        return 2 * half_log_determinant(self._capacitance_tril) + self.cov_diag.log().sum(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        n = self._event_shape[0]
        return -0.5 * (n * math.log(2 * math.pi) + self.log_determinant() + self.squared_distance(value - self.loc))

    def entropy(self) -> Tensor:
        return 0.5 * (self._event_shape[0] * (1 + math.log(2 * math.pi)) + self.log_determinant())

    def _expand_into(self, new: Any, batch_shape: Any) -> None:
        for name, dims in (("loc", 1), ("cov_factor", 2), ("cov_diag", 1)):
            value = getattr(self, name)
            setattr(new, name, value.expand(*batch_shape, *value.shape[value.ndim - dims :]))
