"""The normal distribution of vectors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from chainrule.distributions import constraints
from chainrule.distributions.distribution import Distribution
from chainrule.distributions.utils import lazy_property
from chainrule.errors import ShapeError
from chainrule.functions.creation import eye
from chainrule.functions.shape import broadcast_shapes
from chainrule.linalg import cholesky, solve_triangular
from chainrule.random import randn
from chainrule.tensor import Tensor

__all__ = ["MultivariateNormal"]


def matrix_times_vector(matrix: Tensor, vector: Tensor) -> Tensor:
    """(…, n, m) times (…, m), batches broadcast."""
    return (matrix @ vector.unsqueeze(-1)).squeeze(-1)


def squared_distance(lower: Tensor, difference: Tensor) -> Tensor:
    """Mahalanobis' distance squared, ‖L⁻¹·d‖², for lower triangles (…, n, n) and vectors (…, n), batches broadcast."""
    batch = broadcast_shapes(tuple(lower.shape[:-2]), tuple(difference.shape[:-1]))
    n = lower.shape[-1]
    solved = solve_triangular(
        lower.expand(*batch, n, n), difference.expand(*batch, n).unsqueeze(-1), upper=False
    ).squeeze(-1)
    return (solved * solved).sum(-1)


def half_log_determinant(lower: Tensor) -> Tensor:
    """½·ln det(L·Lᵀ): the sum of the logarithms of the diagonal."""
    return lower.diagonal(dim1=-2, dim2=-1).log().sum(-1)


def _inverse_factor(precision: Tensor) -> Tensor:
    """L with L·Lᵀ = precision⁻¹, from the factor of the precision read from its other end."""
    # precision = U·Uᵀ with an upper triangle U, so its inverse is L·Lᵀ with L = (Uᵀ)⁻¹.
    upper = cholesky(precision.flip(-2, -1)).flip(-2, -1)
    identity = eye(precision.shape[-1], dtype=precision.dtype, device=precision.device).expand(*upper.shape)
    return solve_triangular(upper.mT, identity, upper=False)


class MultivariateNormal(Distribution):
    """N(μ, Σ) over vectors; `loc` is μ, (…, n).

    Give one of `covariance_matrix` Σ, `precision_matrix` Σ⁻¹ and `scale_tril`, the lower triangle L with Σ = L·Lᵀ,
    which is what everything is computed with; (…, n, n).

    >>> import chainrule
    >>> MultivariateNormal(chainrule.zeros(2), chainrule.eye(2)).log_prob(chainrule.zeros(2))   # −ln 2π
    tensor(-1.8379)
    """

    arg_constraints = {
        "loc": constraints.real_vector,
        "covariance_matrix": constraints.positive_definite,
        "precision_matrix": constraints.positive_definite,
        "scale_tril": constraints.lower_cholesky,
    }
    support = constraints.real_vector
    has_rsample = True

    def __init__(
        self,
        loc: Tensor,
        covariance_matrix: Tensor | None = None,
        precision_matrix: Tensor | None = None,
        scale_tril: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        given = {
            "covariance_matrix": covariance_matrix,
            "precision_matrix": precision_matrix,
            "scale_tril": scale_tril,
        }
        matrices = {name: matrix for name, matrix in given.items() if matrix is not None}
        if len(matrices) != 1:
            raise ValueError(
                f"MultivariateNormal: give one of {', '.join(given)}; got {', '.join(matrices) or 'none'}."
            )
        ((name, matrix),) = matrices.items()
        if loc.ndim < 1 or matrix.ndim < 2:
            raise ShapeError(
                f"MultivariateNormal: loc is (…, n) and {name} (…, n, n), got {tuple(loc.shape)} and "
                f"{tuple(matrix.shape)}."
            )
        batch = broadcast_shapes(tuple(matrix.shape[:-2]), tuple(loc.shape[:-1]))
        setattr(self, name, matrix.expand(*batch, *matrix.shape[-2:]))
        self.loc = loc.expand(*batch, loc.shape[-1])
        super().__init__(batch, tuple(self.loc.shape[-1:]), validate_args=validate_args)
        self._lower = self._factor()

    def _factor(self) -> Tensor:
        kept = self.__dict__
        if "scale_tril" in kept:
            return self.scale_tril
        return (
            cholesky(self.covariance_matrix) if "covariance_matrix" in kept else _inverse_factor(self.precision_matrix)
        )

    def _expand_into(self, new: Any, batch_shape: Any) -> None:
        super()._expand_into(new, batch_shape)
        new._lower = self._lower.expand(*batch_shape, *self._lower.shape[-2:])

    @lazy_property
    def scale_tril(self) -> Tensor:
        """The lower triangle L with L·Lᵀ = Σ."""
        return self._lower

    @lazy_property
    def covariance_matrix(self) -> Tensor:
        """Σ = L·Lᵀ."""
        return self._lower @ self._lower.mT

    @lazy_property
    def precision_matrix(self) -> Tensor:
        """Σ⁻¹."""
        n = self._lower.shape[-1]
        identity = eye(n, dtype=self._lower.dtype, device=self._lower.device).expand(*self._lower.shape)
        inverse = solve_triangular(self._lower, identity, upper=False)
        return inverse.mT @ inverse

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return (self._lower * self._lower).sum(-1)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        noise = randn(self._extended_shape(sample_shape), dtype=self.loc.dtype, device=self.loc.device)
        return self.loc + matrix_times_vector(self._lower, noise)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        distance = squared_distance(self._lower, value - self.loc)
        n = self._event_shape[0]
        return -0.5 * (n * math.log(2 * math.pi) + distance) - half_log_determinant(self._lower)

    def entropy(self) -> Tensor:
        n = self._event_shape[0]
        return 0.5 * n * (1 + math.log(2 * math.pi)) + half_log_determinant(self._lower)
