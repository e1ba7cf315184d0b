"""Which function computes the divergence of a pair of distributions."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from chainrule.distributions.distribution import Distribution
from chainrule.tensor import Tensor

__all__ = ["kl_divergence", "register_kl"]

Formula = Callable[[Any, Any], Tensor]
_FORMULAS: dict[tuple[type, type], Formula] = {}


def register_kl(type_p: type[Distribution], type_q: type[Distribution]) -> Callable[[Formula], Formula]:
    """Make a function of (p, q) the divergence of two classes (a decorator).

    Subclasses use it too, unless one that is nearer to them is registered. Raises TypeError for
    what is no distribution.
    """
    for kind in (type_p, type_q):
        if not (isinstance(kind, type) and issubclass(kind, Distribution)):
            raise TypeError(f"register_kl: a class of distributions, got {kind!r}.")

    def register(function: Formula) -> Formula:
        _FORMULAS[type_p, type_q] = function
        _formula.cache_clear()
        return function

    return register


@cache
def _formula(type_p: Any, type_q: Any) -> Formula | None:
    """The function of the nearest pair of base classes: of p first, then of q. None if there is no pair."""
    pairs = [(p, q) for p in type_p.__mro__ for q in type_q.__mro__ if (p, q) in _FORMULAS]
    return _FORMULAS[pairs[0]] if pairs else None


def kl_divergence(p: Distribution, q: Distribution) -> Tensor:
    """KL(p ‖ q), one number for each distribution of the batch.

    It is 0 only where both are the same, and ∞ where q excludes what p allows. Raises NotImplementedError for a pair
    without a closed form: the mean of ln p − ln q over samples of p estimates it.

    >>> import chainrule
    >>> from chainrule.distributions import Bernoulli
    >>> kl_divergence(Bernoulli(0.5), Bernoulli(0.5))
    tensor(0.)
    """
    first: Any = type(p)
    second: Any = type(q)
    function = _formula(first, second)
    if function is None:
        raise NotImplementedError(
            f"kl_divergence: nothing is registered for {type(p).__name__} and {type(q).__name__}; register_kl adds a "
            "function, or take the mean of p.log_prob(x) − q.log_prob(x) over samples of p."
        )
    return function(p, q)
