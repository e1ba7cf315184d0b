"""The Dirichlet distribution: random probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chainrule.autograd.function import Function
from chainrule.distributions import constraints
from chainrule.distributions.beta_slope import dirichlet_slope
from chainrule.distributions.exp_family import ExponentialFamily
from chainrule.distributions.gamma import log_gamma_draws
from chainrule.dtypes import FloatLimits
from chainrule.errors import ShapeError
from chainrule.functions.activation import softmax
from chainrule.functions.arithmetic import xlogy
from chainrule.functions.logic import where
from chainrule.tensor import Tensor

__all__ = ["Dirichlet", "dirichlet_draws"]


class _DirichletDraws(Function):
    """A sample whose marginals, beta-distributed numbers, keep their probabilities while the concentration moves."""

    @staticmethod
    def forward(ctx: Any, concentration: Tensor) -> Tensor:
        limits = FloatLimits(concentration.dtype)
        drawn = softmax(log_gamma_draws(concentration), -1)
        if drawn.shape[-1] > 1:
            drawn = drawn.clamp(limits.tiny, 1 - limits.eps / 2)
        ctx.save_for_backward(concentration, drawn)
        return drawn

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        concentration, x = ctx.saved_tensors
        total = concentration.sum(-1, keepdim=True).expand(*concentration.shape)
        slope = dirichlet_slope(x, concentration, total)
        return slope * (g - (x * g).sum(-1, keepdim=True))


def dirichlet_draws(concentration: Tensor) -> Tensor:
    """Probabilities along the last dimension, drawn and differentiable as Dirichlet's samples are."""
    return _DirichletDraws.apply(concentration)


class Dirichlet(ExponentialFamily):
    """The density Γ(Σa)/ΠΓ(aᵢ)·Πxᵢ^(aᵢ−1) on probabilities x; `concentration`, (…, K), is a > 0.

    >>> import chainrule
    >>> Dirichlet(chainrule.tensor([1.0, 3.0])).mean
    tensor([0.2500, 0.7500])
    """

    arg_constraints = {"concentration": constraints.independent(constraints.positive, 1)}
    support = constraints.simplex
    has_rsample = True

    def __init__(self, concentration: Tensor, validate_args: bool | None = None) -> None:
        if concentration.ndim < 1:
            raise ShapeError("Dirichlet: the concentration has one dimension or more, got a single number.")
        self.concentration = concentration
        super().__init__(tuple(concentration.shape[:-1]), tuple(concentration.shape[-1:]), validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return self.concentration / self.concentration.sum(-1, keepdim=True)

    @property
    def mode(self) -> Tensor:
        above = (self.concentration - 1).clamp(min=0.0)
        mode = above / above.sum(-1, keepdim=True)
        # Where all concentrations are below 1 the density is highest in a corner: that of the largest.
        corner = (self.concentration < 1).all(-1, keepdim=True)
        largest = self.concentration.argmax(-1)
        classes = self.concentration.new_tensor(list(range(self.concentration.shape[-1])))
        return where(corner, (classes == largest.unsqueeze(-1)).to(mode.dtype), mode)

    @property
    def variance(self) -> Tensor:
        total = self.concentration.sum(-1, keepdim=True)
        return self.concentration * (total - self.concentration) / (total**2 * (total + 1))

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return dirichlet_draws(self.concentration.expand(*self._extended_shape(sample_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        a = self.concentration
        return xlogy(a - 1, value).sum(-1) + a.sum(-1).lgamma() - a.lgamma().sum(-1)

    def entropy(self) -> Tensor:
        a = self.concentration
        k, total = a.shape[-1], a.sum(-1)
        return a.lgamma().sum(-1) - total.lgamma() - (k - total) * total.digamma() - ((a - 1) * a.digamma()).sum(-1)

    @property
    def _natural_params(self) -> tuple[Tensor, ...]:
        return (self.concentration,)

    def _log_normalizer(self, *natural_params: Tensor) -> Tensor:
        (x,) = natural_params
        return x.lgamma().sum(-1) - x.sum(-1).lgamma()
