"""Two small worlds: a chain on which patience pays, and a bandit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from chainrule.rl.mdp import MDP


def chain(length: int = 5, *, slip: float = 0.2, small: float = 2.0, large: float = 10.0, gamma: float = 0.9) -> MDP:
    """A chain of states on which patience pays.

    "forward" goes one on and, in the last state, stays and earns much; "back" earns little and leads to the first.
    Each action is exchanged for the other with probability `slip`. There is no end.

    Who looks one step ahead takes the small reward for ever.

    Source: Strens, "A Bayesian framework for reinforcement learning", ICML 2000.

    >>> from chainrule.rl import value_iteration
    >>> value_iteration(chain(slip=0.0, gamma=0.5)).policy            # impatient
    array([1, 1, 0, 0, 0])
    >>> value_iteration(chain(slip=0.0, gamma=0.9)).policy
    array([0, 0, 0, 0, 0])
    """
    if length < 2 or not 0 <= slip <= 1:
        raise ValueError(f"a chain has at least 2 states and a probability to slip, got {length} and {slip}.")
    P, R = np.zeros((length, 2, length)), np.zeros((length, 2, length))
    for s in range(length):
        forward, last = min(s + 1, length - 1), s == length - 1
        for a, keeps in ((0, 1 - slip), (1, slip)):
            P[s, a, forward] += keeps
            P[s, a, 0] += 1 - keeps
        R[s, :, 0], R[s, :, forward] = small, large if last else 0.0
    return MDP(P, R, gamma, start=0, actions=["forward", "back"])


def bandit(means: Sequence[float] | None = None, *, std: float = 1.0, arms: int = 10, seed: int = 0) -> MDP:
    """A bandit with several arms: one state, one pull, and a reward that is normal around the arm's mean.

    means: one for each arm; unless given, drawn from the standard normal distribution. The episode ends with the pull.

    Source: Sutton and Barto, section 2.3.

    >>> bandit([0.0, 1.0]).R[0]
    array([0., 1.])
    """
    chosen = np.random.default_rng(seed).standard_normal(arms) if means is None else np.asarray(means, float)
    P = np.zeros((2, len(chosen), 2))
    P[:, :, 1] = 1
    R = np.stack([chosen, np.zeros_like(chosen)])
    return MDP(P, R, 1.0, terminal=[1], start=0, reward_std=std, states=["pull", "end"])
