"""How good is a policy? Its values, exactly by a linear solve and by sweeps, and how often it is where."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.rl.episode import Array
from chainrule.rl.mdp import MDP, _some


def policy_values(mdp: MDP, policy: Any = None) -> Array:
    """v_π (S,), the mean return from each state: the solution of v = R_π + γ·P_π·v.

    policy: an action for each state, or probabilities (S, A); uniform unless given. Raises ValueError for γ = 1 and a
    policy that may never end, whose returns are sums that never stop.

    Source: class notes E 8.2.3; Bellman 1957.

    >>> walk = MDP([[[0.5, 0.5]], [[0, 1]]], [[-1.0], [0.0]])
    >>> policy_values(walk)
    array([-2.,  0.])
    """
    _need_an_end(mdp, policy)
    P, R = mdp.under(policy)
    open_states = ~mdp.terminal
    v = np.zeros(len(R))
    inner = P[np.ix_(open_states, open_states)]
    v[open_states] = np.linalg.solve(np.eye(len(inner)) - mdp.gamma * inner, R[open_states])
    return v


def action_values(mdp: MDP, v: Any) -> Array:
    """q(s, a) = R(s, a) + γ·Σ_{s′} P(s′|s, a)·v(s′), (S, A): of v_π the Q-function of π, of v* that of the optimum.

    It takes action a first and only then does as v says ("one episode after", E 8.2.3).

    >>> walk = MDP([[[0.5, 0.5]], [[0, 1]]], [[-1.0], [0.0]])
    >>> action_values(walk, [-2.0, 0.0])
    array([[-2.],
           [ 0.]])
    """
    return mdp.R + mdp.gamma * mdp.P @ np.asarray(v, float)


def policy_sweeps(mdp: MDP, policy: Any = None, *, sweeps: int, v: Any = None) -> list[Array]:
    """Iterative policy evaluation: v_{i+1} = R_π + γ·P_π·v_i, from v₀ (zeros unless given); all of v₀ to v_sweeps.

    v_i is the mean return of the first i steps (plus γⁱ·v₀ where they end), so it comes to v_π wherever that exists.

    >>> walk = MDP([[[0.5, 0.5]], [[0, 1]]], [[-1.0], [0.0]])
    >>> [float(v[0]) for v in policy_sweeps(walk, sweeps=3)]
    [0.0, -1.0, -1.5, -1.75]
    """
    P, R = mdp.under(policy)
    found = [np.zeros(len(R)) if v is None else np.where(mdp.terminal, 0.0, np.asarray(v, float))]
    for _ in range(sweeps):
        found.append(R + mdp.gamma * P @ found[-1])
    return found


def occupancy(mdp: MDP, policy: Any = None) -> Array:
    """How often the policy does what where: d(s, a) = E[Σₜ γᵗ·1(S_t = s, A_t = a)], (S, A); terminal states have 0.

    Then Σ d·R is the mean return from the start. Raises ValueError as `policy_values` does.

    Source: Puterman 1994, section 6.9.

    >>> walk = MDP([[[0.5, 0.5]], [[0, 1]]], [[-1.0], [0.0]], start=0)
    >>> float(occupancy(walk)[0, 0])
    2.0
    """
    _need_an_end(mdp, policy)
    P, _ = mdp.under(policy)
    open_states = ~mdp.terminal
    inner = P[np.ix_(open_states, open_states)]
    visits = np.zeros(len(P))
    visits[open_states] = np.linalg.solve(np.eye(len(inner)) - mdp.gamma * inner.T, mdp.start[open_states])
    return visits[:, None] * mdp.policy(policy)


def _need_an_end(mdp: MDP, policy: Any) -> None:
    never = mdp.endless(policy) if mdp.gamma == 1 else []
    if never:
        raise ValueError(
            f"with gamma=1 this policy has no values: from {_some(mdp.states, never)} it never comes to a terminal "
            "state, so its return is a sum that never stops. Take gamma below 1 or another policy."
        )
