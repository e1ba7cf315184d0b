"""The best policy, where P and R are known: value, Q- and policy iteration, and what lies between them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from chainrule.rl.episode import Array
from chainrule.rl.evaluation import action_values, policy_values
from chainrule.rl.mdp import MDP

#: Two actions whose values differ by less, relative to the largest value, count as equally good.
TIE = 1e-9


class Solution(NamedTuple):
    """What dynamic programming found.

    Attributes:
        v: values (S,).
        q: action values (S, A), `action_values(mdp, v)`.
        policy: a greedy action for each state (S,), of equally good ones the first.
        sweeps: v₀, v₁, …: the values after each sweep; `sweeps[-1]` is v. Of policy iteration, each policy's values.
        residuals: ‖T v − v‖∞ of the values before each sweep; of policy iteration, of each policy's values.
        bounds: what ‖v_i − v*‖∞ cannot exceed, for i = 1, 2, …; infinity where γ = 1. Of policy iteration, for each
            policy's values.
        converged: whether it ended by itself.
    """

    v: Array
    q: Array
    policy: Array
    sweeps: list[Array]
    residuals: list[float]
    bounds: list[float]
    converged: bool


def best_actions(q: Any) -> Array:
    """Which actions are as good as the best (S, A), as a mask: pictures show all of them.

    >>> best_actions([[1.0, 3.0, 3.0], [0.0, -1.0, -1.0]])
    array([[False,  True,  True],
           [ True, False, False]])
    """
    values = np.asarray(q, float)
    return values >= values.max(1, keepdims=True) - TIE * max(1.0, float(abs(values).max(initial=0)))


def greedy(q: Any) -> Array:
    """The greedy policy (S,): in each state the action with the largest value, of equally good ones the first.

    It is max over a in Bellman's equation; of q* it is an optimal policy (class notes E 8.2.4).

    >>> greedy([[1.0, 3.0, 3.0], [0.0, -1.0, -1.0]])
    array([1, 0])
    """
    return best_actions(q).argmax(1)


def bellman_residual(mdp: MDP, v: Any) -> float:
    """‖T v − v‖∞, how far v is from Bellman's equation v(s) = maxₐ [R(s, a) + γ·Σ P·v]; 0 for v* alone if γ < 1."""
    return float(abs(action_values(mdp, v).max(1) - np.asarray(v, float)).max())


def value_iteration(mdp: MDP, *, tolerance: float = 1e-10, max_sweeps: int = 100_000, v: Any = None) -> Solution:
    """v_{i+1}(s) = maxₐ [R(s, a) + γ·Σ_{s′} P(s′|s, a)·v_i(s′)], all states at once, from v₀ (zeros unless given).

    Ends when v_i is within `tolerance` of v* for certain: ‖v_i − v*‖∞ ≤ γ/(1 − γ)·‖v_i − v_{i−1}‖∞. Where γ = 1 there
    is no such bound, and it ends when a sweep changes nothing by more than `tolerance`.

    Source: class notes E 8.2.5; the bound: Puterman 1994, theorem 6.3.1.

    >>> walk = MDP([[[0.0, 1.0], [1.0, 0.0]], [[0, 1], [0, 1]]], [[-1.0, -1.0], [0.0, 0.0]])
    >>> value_iteration(walk).v
    array([-1.,  0.])
    """
    values = _first_values(mdp, v)
    sweeps, residuals, bounds = [values], list[float](), list[float]()
    converged = False
    while not converged and len(residuals) < max_sweeps:
        sweeps.append(action_values(mdp, sweeps[-1]).max(1))
        residuals.append(float(abs(sweeps[-1] - sweeps[-2]).max()))
        bounds.append(_bound(mdp.gamma, residuals[-1]))
        converged = min(bounds[-1], residuals[-1] if mdp.gamma == 1 else np.inf) <= tolerance
    return _solution(mdp, sweeps, residuals, bounds, converged)


def q_iteration(
    mdp: MDP, *, tolerance: float = 1e-10, max_sweeps: int = 100_000, q: Any = None
) -> tuple[Array, list[Array]]:
    """q_{i+1}(s, a) = E[r + γ·max_{a′} q_i(s′, a′) | s, a], the form of the class notes: q (S, A), and all sweeps.

    Beside `value_iteration`: maxₐ q_i(s, a) = v_i(s), if q₀ = v₀. It keeps A times as many numbers, and in return the
    max stands inside of the mean: a mean can be guessed from samples, which is what Q-learning does. Ends as
    `value_iteration` does.

    Source: class notes E 8.2.5, equation 8.2.2 with (s′, a′).

    >>> walk = MDP([[[0.0, 1.0], [1.0, 0.0]], [[0, 1], [0, 1]]], [[-1.0, -1.0], [0.0, 0.0]])
    >>> q_iteration(walk)[0]
    array([[-1., -2.],
           [ 0.,  0.]])
    """
    first = np.zeros_like(mdp.R) if q is None else np.where(mdp.terminal[:, None], 0.0, np.asarray(q, float))
    sweeps = [first]
    for _ in range(max_sweeps):
        sweeps.append(action_values(mdp, sweeps[-1].max(1)))
        change = float(abs(sweeps[-1] - sweeps[-2]).max())
        if (change if mdp.gamma == 1 else _bound(mdp.gamma, change)) <= tolerance:
            break
    return sweeps[-1], sweeps


def policy_iteration(mdp: MDP, *, policy: Any = None) -> Solution:
    """Evaluate the policy exactly, make it greedy, again, until it stays.

    Every policy is at least as good as the one before in every state, and there are finitely many, so it ends, with an
    optimal one. An action is only changed for a better one: of equally good ones, policies could take turns for ever.

    policy: the first one, an action for each state (S,); unless given, one that ends from everywhere (γ = 1), or takes
    action 0. Raises ValueError where γ = 1 and the first policy never ends.

    Source: Howard, "Dynamic programming and Markov processes", 1960.
    """
    actions = np.asarray(_first_policy(mdp) if policy is None else mdp.policy(policy).argmax(1))
    sweeps: list[Array] = []
    residuals: list[float] = []
    while True:
        v = policy_values(mdp, actions)
        q = action_values(mdp, v)
        sweeps.append(v)
        residuals.append(float((q.max(1) - v).max()))
        keeps = best_actions(q)[np.arange(len(q)), actions]
        better = np.where(keeps, actions, q.argmax(1))
        if (better == actions).all():
            break
        actions = better
    return Solution(v, q, actions, sweeps, residuals, [_over(mdp.gamma, r) for r in residuals], True)


def modified_policy_iteration(
    mdp: MDP, *, sweeps_each: int = 5, tolerance: float = 1e-10, max_sweeps: int = 100_000, v: Any = None
) -> Solution:
    """Between the two: make the policy greedy, evaluate it by some sweeps only, again.

    `sweeps_each` = 1 is value iteration; infinitely many would be policy iteration. `Solution.sweeps` has the values
    after each improvement.

    Source: Puterman and Shin 1978.

    >>> walk = MDP([[[0.0, 1.0], [1.0, 0.0]], [[0, 1], [0, 1]]], [[-1.0, -1.0], [0.0, 0.0]], gamma=0.5)
    >>> modified_policy_iteration(walk).v
    array([-1.,  0.])
    """
    if sweeps_each < 1:
        raise ValueError(f"sweeps_each counts sweeps between improvements, at least 1, got {sweeps_each}.")
    values = _first_values(mdp, v)
    sweeps, residuals, bounds = [values], list[float](), list[float]()
    converged = False
    while not converged and len(residuals) < max_sweeps:
        q = action_values(mdp, sweeps[-1])
        better = q.max(1)
        residuals.append(float(abs(better - sweeps[-1]).max()))
        bounds.append(_bound(mdp.gamma, residuals[-1]))
        converged = min(bounds[-1], residuals[-1] if mdp.gamma == 1 else np.inf) <= tolerance
        P, R = mdp.under(q.argmax(1))
        if not converged:
            for _ in range(sweeps_each - 1):
                better = R + mdp.gamma * P @ better
            bounds[-1] *= 2 - mdp.gamma ** (sweeps_each - 1)  # as far as the sweeps may have led away from T v
        sweeps.append(better)
    return _solution(mdp, sweeps, residuals, bounds, converged)


def _bound(gamma: float, residual: float) -> float:
    """How far T v may be from v*, if v is so far from T v."""
    return np.inf if gamma == 1 else gamma / (1 - gamma) * residual


def _over(gamma: float, residual: float) -> float:
    """How far v itself may be from v*, if it is so far from T v."""
    return np.inf if gamma == 1 else residual / (1 - gamma)


def _first_values(mdp: MDP, v: Any) -> Array:
    if v is None:
        return np.zeros(len(mdp.R))
    given = np.asarray(v, float)
    if given.shape != (len(mdp.R),):
        raise ValueError(f"v has a value for each of {len(mdp.R)} states, got an array of shape {given.shape}.")
    return np.where(mdp.terminal, 0.0, given)


def _first_policy(mdp: MDP) -> Array:
    """Action 0; where γ = 1, in each state an action that may come nearer to the end, so that the policy has values."""
    actions = np.zeros(len(mdp.R), int)
    if mdp.gamma < 1:
        return actions
    ends = mdp.terminal.copy()
    while not ends.all():
        leads = np.any(mdp.P[:, :, ends] > 0, axis=2)
        new = ~ends & leads.any(1)
        actions[new] = leads[new].argmax(1)
        ends |= new
    return actions


def _solution(
    mdp: MDP, sweeps: list[Array], residuals: list[float], bounds: list[float], converged: bool
) -> Solution:  # fmt: skip
    q = action_values(mdp, sweeps[-1])
    return Solution(sweeps[-1], q, greedy(q), sweeps, residuals, bounds, converged)
