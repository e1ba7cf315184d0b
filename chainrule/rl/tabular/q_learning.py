"""Q-learning, and double Q-learning, which does not mistake luck for value."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.rl.tabular.acting import Learned, Schedule, Table


def q_learning(
    environment: Any, *, episodes: int, gamma: float = 1.0, step_size: Schedule = 0.1, epsilon: Schedule = 0.1,
    seed: int = 0, q: Any = None,
) -> Learned:  # fmt: skip
    """Q-iteration with samples instead of means; it learns the best policy while following another one (off-policy).

        q(S_t, A_t) ← q(S_t, A_t) + α·[R_{t+1} + γ·maxₐ q(S_{t+1}, a) − q(S_t, A_t)]

    Details: after a *terminated* step nothing follows and the target is R_{t+1}; a *truncated* one counts like any
    other. It converges to q* if every action is tried again and again and Σα = ∞, Σα² < ∞, as with α = n^(−0.7); a
    constant α follows changes and never quite settles.

    Arguments are those of `Table`. Source: Watkins and Dayan 1992; class notes E 8.2.5 (which call the approximated
    form Q-learning; that is deep Q-learning).

    >>> from chainrule.rl import Gridworld, value_iteration
    >>> grid = Gridworld((3, 3), terminals=[(0, 0)])
    >>> learned = q_learning(grid.environment(max_steps=100), episodes=300, step_size=0.5, seed=1)
    >>> grid.on_grid(learned.v).round().astype(int)
    array([[ 0, -1, -2],
           [-1, -2, -3],
           [-2, -3, -4]])
    """
    table = Table(environment, gamma=gamma, step_size=step_size, epsilon=epsilon, seed=seed, q=q)
    for _ in range(episodes):
        state, over = table.begin(), False
        while not over:
            action = table.act(state)
            following, reward, terminated, over = table.step(action)
            target = reward if terminated else reward + gamma * table.q[following].max()
            table.q[state, action] += table.rate(state, action) * (target - table.q[state, action])
            state = following
    return table.learned()


def double_q_learning(
    environment: Any, *, episodes: int, gamma: float = 1.0, step_size: Schedule = 0.1, epsilon: Schedule = 0.1,
    seed: int = 0, q: Any = None,
) -> Learned:  # fmt: skip
    """Two tables: one says which action is best, the other what it is worth; a coin says which one learns.

        q₁(S_t, A_t) ← q₁(S_t, A_t) + α·[R_{t+1} + γ·q₂(S_{t+1}, argmaxₐ q₁(S_{t+1}, a)) − q₁(S_t, A_t)]

    The largest of several noisy guesses is larger than the largest mean; one table uses the same noise to choose and to
    judge, two do not. The agent acts by their mean, which is also what is returned.

    Arguments are those of `Table`. Source: van Hasselt, "Double Q-learning", 2010.
    """
    table = Table(environment, gamma=gamma, step_size=step_size, epsilon=epsilon, seed=seed, q=q)
    tables = np.stack([table.q, table.q])
    for _ in range(episodes):
        state, over = table.begin(), False
        while not over:
            action = table.act(state, tables.mean(0))
            following, reward, terminated, over = table.step(action)
            learner, judge = tables if table.random.random() < 0.5 else tables[::-1]
            target = reward if terminated else reward + gamma * judge[following, learner[following].argmax()]
            learner[state, action] += table.rate(state, action) * (target - learner[state, action])
            state = following
    return table.learned(tables.mean(0))
