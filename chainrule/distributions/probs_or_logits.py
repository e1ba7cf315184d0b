"""Distributions that are given by probabilities or by logits, one of the two; the other is computed when asked for."""

from __future__ import annotations

from typing import Any

from chainrule.cell import Size
from chainrule.distributions.distribution import Distribution
from chainrule.distributions.utils import broadcast_all, lazy_property, logits_to_probs, probs_to_logits
from chainrule.tensor import Tensor


def need_one(who: str, probs: Any, logits: Any) -> None:
    """Raise ValueError unless exactly one is given."""
    if (probs is None) == (logits is None):
        given = "neither" if probs is None else "both"
        raise ValueError(f"{who}: give probs or logits, one of the two; got {given}.")


class ProbsOrLogits(Distribution):
    """The common part of distributions of yes–no questions, where logits = ln(p/(1 − p))."""

    def _take(self, probs: Any, logits: Any, *others: Any) -> tuple[Tensor, ...]:
        """Keep the one that is given, broadcast with other parameters; these are returned."""
        need_one(type(self).__name__, probs, logits)
        given, *rest = broadcast_all(logits if probs is None else probs, *others)
        setattr(self, "logits" if probs is None else "probs", given)
        return tuple(rest)

    @lazy_property
    def logits(self) -> Tensor:
        """The logarithms of the odds, ln(p/(1 − p))."""
        return probs_to_logits(self.probs, is_binary=True)

    @lazy_property
    def probs(self) -> Tensor:
        """Probabilities, 1/(1 + e^(−logits))."""
        return logits_to_probs(self.logits, is_binary=True)

    @property
    def _param(self) -> Tensor:
        """The one that was given, or computed first."""
        return self.__dict__["probs"] if "probs" in self.__dict__ else self.__dict__["logits"]

    @property
    def param_shape(self) -> Size:
        """The shape of the parameter."""
        return self._param.shape
