"""The Wishart distribution of random covariances."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from chainrule.distributions import constraints
from chainrule.distributions.distribution import Distribution, require
from chainrule.distributions.gamma import standard_gamma
from chainrule.distributions.multivariate_normal import MultivariateNormal, half_log_determinant
from chainrule.distributions.utils import broadcast_all, lazy_property
from chainrule.errors import ShapeError
from chainrule.functions.creation import arange
from chainrule.functions.shape import broadcast_shapes
from chainrule.linalg import cholesky, solve_triangular
from chainrule.random import randn
from chainrule.special import multigammaln
from chainrule.tensor import Tensor

__all__ = ["Wishart"]


class Wishart(Distribution):
    """The sum of ν outer products of vectors from N(0, V), n × n; `df` is ν > n − 1, and need not be whole.

    Give one of `covariance_matrix` V, `precision_matrix` V⁻¹ and `scale_tril`, the lower triangle of V.

    >>> import chainrule
    >>> Wishart(3.0, chainrule.eye(2)).mean
    tensor([[3., 0.],
            [0., 3.]])
    """

    arg_constraints = {
        "df": constraints.greater_than(0),
        "covariance_matrix": constraints.positive_definite,
        "precision_matrix": constraints.positive_definite,
        "scale_tril": constraints.lower_cholesky,
    }
    support = constraints.positive_definite
    has_rsample = True

    def __init__(
        self,
        df: Any,
        covariance_matrix: Tensor | None = None,
        precision_matrix: Tensor | None = None,
        scale_tril: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        given = [matrix for matrix in (covariance_matrix, precision_matrix, scale_tril) if matrix is not None]
        if len(given) != 1 or given[0].ndim < 2:
            raise ShapeError(
                "Wishart: give one of covariance_matrix, precision_matrix and scale_tril, a tensor of shape (…, n, n)."
            )
        n = int(given[0].shape[-1])
        (self.df,) = broadcast_all(df)
        batch = broadcast_shapes(tuple(self.df.shape), tuple(given[0].shape[:-2]))
        self.df = self.df.expand(*batch).to(given[0].dtype)
        # A normal distribution keeps the three forms of the matrix, and checks them.
        self._normal = MultivariateNormal(
            given[0].new_zeros((*batch, n)), covariance_matrix, precision_matrix, scale_tril, validate_args
        )
        super().__init__(batch, (n, n), validate_args=False)
        self._validate_args = self._normal._validate_args
        if self._validate_args:
            require(constraints.greater_than(n - 1), self.df, who="Wishart", what="df")

    def _expand_into(self, new: Any, batch_shape: Any) -> None:
        new.df, new._normal = self.df.expand(*batch_shape), self._normal.expand(batch_shape)

    @property
    def scale_tril(self) -> Tensor:
        """The lower triangle L with L·Lᵀ = V."""
        return self._normal.scale_tril

    @property
    def covariance_matrix(self) -> Tensor:
        """V."""
        return self._normal.covariance_matrix

    @property
    def precision_matrix(self) -> Tensor:
        """V⁻¹."""
        return self._normal.precision_matrix

    @property
    def _n(self) -> int:
        return int(self._event_shape[-1])

    @property
    def _df(self) -> Tensor:
        """ν with two more dimensions, beside matrices."""
        return self.df.reshape(*self._batch_shape, 1, 1)

    @property
    def mean(self) -> Tensor:
        return self._df * self.covariance_matrix

    @property
    def mode(self) -> Tensor:
        factor = self._df - self._n - 1
        return factor.masked_fill(factor <= 0, math.nan) * self.covariance_matrix

    @property
    def variance(self) -> Tensor:
        v = self.covariance_matrix
        diagonal = v.diagonal(dim1=-2, dim2=-1)
        return self._df * (v * v + diagonal.unsqueeze(-1) * diagonal.unsqueeze(-2))

    @lazy_property
    def _halves(self) -> Tensor:
        """(ν − i)/2 for i = 0 … n − 1."""
        return (self.df.unsqueeze(-1) - arange(self._n, dtype=self.df.dtype, device=self.df.device)) / 2

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Bartlett's decomposition: L·A with A lower triangular, normal numbers below a diagonal of χ numbers."""
        shape = self._extended_shape(sample_shape)
        squares = 2 * standard_gamma(self._halves.expand(*shape[:-1]))
        a = randn(shape, dtype=self.df.dtype, device=self.df.device).tril(-1) + squares.sqrt().diag_embed()
        factor = self.scale_tril @ a
        return factor @ factor.mT

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        n, df, lower = self._n, self.df, self.scale_tril
        batch = broadcast_shapes(tuple(value.shape[:-2]), tuple(lower.shape[:-2]))
        lower = lower.expand(*batch, n, n)
        factor = cholesky(value).expand(*batch, n, n)
        whitened = solve_triangular(lower, factor, upper=False)
        return (
            (df - n - 1) * half_log_determinant(factor)
            - df * half_log_determinant(lower)
            - (whitened * whitened).sum((-2, -1)) / 2
            - df * n / 2 * math.log(2)
            - multigammaln(df / 2, n)
        )

    def entropy(self) -> Tensor:
        n, df = self._n, self.df
        return (
            (n + 1) * half_log_determinant(self.scale_tril)
            + n * (n + 1) / 2 * math.log(2)
            + multigammaln(df / 2, n)
            - (df - n - 1) / 2 * self._halves.digamma().sum(-1)
            + df * n / 2
        )

    def __repr__(self) -> str:
        return f"Wishart(df: {tuple(self.df.shape)}, matrix: {tuple(self.event_shape)})"
