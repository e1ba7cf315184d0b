"""Exponential families: densities of the form h(x)·exp(⟨η, t(x)⟩ − A(η))."""

from __future__ import annotations

from typing import Any

from chainrule.autograd.gradient import grad
from chainrule.distributions.distribution import Distribution
from chainrule.tensor import Tensor

__all__ = ["ExponentialFamily"]


class ExponentialFamily(Distribution):
    """A distribution with natural parameters η, sufficient statistics t and log-normaliser A.

    What is known of A gives its entropy, −E[ln h] + A(η) − ⟨η, ∇A(η)⟩, and the divergence of two members of one family
    (a Bregman divergence of A). A subclass defines `_natural_params`, `_log_normalizer` and `_mean_carrier_measure`.
    """

    @property
    def _natural_params(self) -> tuple[Tensor, ...]:
        """η, one tensor of the batch's shape for each statistic."""
        raise NotImplementedError(f"{type(self).__name__} does not say its natural parameters.")

    def _log_normalizer(self, *natural_params: Tensor) -> Tensor:
        """A(η)."""
        raise NotImplementedError(f"{type(self).__name__} does not say its log-normaliser.")

    @property
    def _mean_carrier_measure(self) -> Any:
        """E[ln h(x)]."""
        raise NotImplementedError(f"{type(self).__name__} does not say its carrier measure.")

    def entropy(self) -> Tensor:
        """By Bregman's formula, from the gradient of the log-normaliser."""
        natural = [p if p.requires_grad else p.detach().requires_grad_() for p in self._natural_params]
        normalizer = self._log_normalizer(*natural)
        slopes = grad(normalizer.sum(), natural, create_graph=True)
        result = -self._mean_carrier_measure + normalizer
        for parameter, slope in zip(natural, slopes, strict=True):
            result = result - (parameter * slope).reshape(*self._batch_shape, -1).sum(-1)
        return result
