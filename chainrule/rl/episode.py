"""An episode, and the returns of rewards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]


def returns(rewards: Sequence[float] | Array, gamma: float, last: float = 0.0) -> Array:
    """The discounted returns G_t = R_{t+1} + γ·G_{t+1}, from the last reward backwards.

    rewards: R₁, …, R_T (T, …); `last` is what follows after them, such as V(S_T) of an episode that was cut off.

    Source: class notes E 8.2.1.

    >>> returns([1.0, 1.0, 1.0], gamma=0.5)
    array([1.75, 1.5 , 1.  ])
    """
    given = np.asarray(rewards, float)
    result = np.empty_like(given)
    following: Any = last
    for t in range(len(given) - 1, -1, -1):
        following = result[t] = given[t] + gamma * following
    return result


class Episode(NamedTuple):
    """What happened: S₀, A₀, R₁, S₁, A₁, R₂, …, S_T.

    Attributes:
        states: S₀ to S_T, one more than actions.
        actions: A₀ to A_{T−1}.
        rewards: R₁ to R_T; `rewards[t]` is R_{t+1}, which comes with the state S_{t+1}.
        terminated: whether S_T is terminal; otherwise the episode was cut off.
    """

    states: list[Any]
    actions: list[Any]
    rewards: list[float]
    terminated: bool

    def discounted_return(self, gamma: float) -> float:
        """G₀ = Σₜ γᵗ·R_{t+1}."""
        return float(returns(self.rewards, gamma)[0]) if self.rewards else 0.0
