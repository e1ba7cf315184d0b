"""Random correlation matrices, as their Cholesky factors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from chainrule.autodiff.mode import no_grad
from chainrule.distributions import constraints
from chainrule.distributions.beta import Beta
from chainrule.distributions.distribution import Distribution
from chainrule.distributions.utils import broadcast_all
from chainrule.dtypes import FloatLimits
from chainrule.functions.creation import arange
from chainrule.random import randn
from chainrule.special import multigammaln
from chainrule.tensor import Tensor

__all__ = ["LKJCholesky"]


class LKJCholesky(Distribution):
    """Lower triangles L such that the correlation matrix L·Lᵀ has a density in proportion to det(L·Lᵀ)^(η − 1).

    `dim` is the matrices' size, at least 2, and `concentration` η > 0: 1 is uniform over correlation matrices, more
    draws towards the identity. Sampled by the onion method.
    Source: Lewandowski, Kurowicka and Joe, "Generating random correlation matrices based on vines and extended onion
    method", J. Multivariate Analysis 100 (2009).

    >>> import chainrule
    >>> L = LKJCholesky(3, 0.5).sample()
    >>> (L @ L.T).diagonal()
    tensor([1., 1., 1.])
    """

    arg_constraints = {"concentration": constraints.positive}
    support = constraints.corr_cholesky

    def __init__(self, dim: int, concentration: Any = 1.0, validate_args: bool | None = None) -> None:
        if dim < 2:
            raise ValueError(f"LKJCholesky: a correlation matrix has 2 rows or more, got dim={dim}.")
        self.dim = dim
        (self.concentration,) = broadcast_all(concentration)
        super().__init__(tuple(self.concentration.shape), (dim, dim), validate_args=validate_args)

    def _expand_into(self, new: Any, batch_shape: Any) -> None:
        super()._expand_into(new, batch_shape)
        new.dim = self.dim

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        with no_grad():
            shape = self._extended_shape(sample_shape)
            # Row i points in a random direction of its i dimensions, and its squared length is beta-distributed.
            row = arange(1, self.dim, dtype=self.concentration.dtype, device=self.concentration.device)
            towards = self.concentration.unsqueeze(-1) + 0.5 * (self.dim - 1 - row)
            squared = Beta(0.5 * row, towards, validate_args=False).sample(tuple(sample_shape))
            directions = randn(shape, dtype=squared.dtype, device=squared.device).tril(-1)[..., 1:, :]
            directions = directions / directions.norm(dim=-1, keepdim=True)
            lengths = squared.unsqueeze(-1).sqrt()
            factor = squared.new_zeros(tuple(shape))
            factor[..., 1:, :] = directions * lengths
            left = (1 - (factor * factor).sum(-1)).clamp(min=FloatLimits(factor.dtype).tiny).sqrt()
            return factor + left.diag_embed()

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        diagonal = value.diagonal(dim1=-1, dim2=-2)[..., 1:]
        order = arange(2, self.dim + 1, dtype=value.dtype, device=value.device)
        order = 2 * (self.concentration - 1).unsqueeze(-1) + self.dim - order
        density = (order * diagonal.log()).sum(-1)
        rest = self.dim - 1
        alpha = self.concentration + 0.5 * rest
        normalizer = multigammaln(alpha - 0.5, rest) - rest * alpha.lgamma()
        return density - (0.5 * rest * math.log(math.pi) + normalizer)

    def __repr__(self) -> str:
        return f"LKJCholesky({self.dim}, concentration: {tuple(self.concentration.shape)})"
