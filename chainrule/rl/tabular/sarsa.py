"""SARSA and expected SARSA: learning about the policy that one follows."""

from __future__ import annotations

from typing import Any

from chainrule.rl.tabular.acting import Learned, Schedule, Table


def sarsa(
    environment: Any, *, episodes: int, gamma: float = 1.0, step_size: Schedule = 0.1, epsilon: Schedule = 0.1,
    seed: int = 0, q: Any = None,
) -> Learned:  # fmt: skip
    """S, A, R, S′, A′: the value of what is really done next (on-policy), exploring steps included.

        q(S_t, A_t) ← q(S_t, A_t) + α·[R_{t+1} + γ·q(S_{t+1}, A_{t+1}) − q(S_t, A_t)]

    So along a cliff it keeps away from the edge, from which an exploring step falls. It comes to q* if ε goes to 0.
    After a terminated step the target is R_{t+1}; after a truncated one the next action is chosen and not taken.

    Arguments are those of `Table`. Source: Rummery and Niranjan 1994.
    """
    table = Table(environment, gamma=gamma, step_size=step_size, epsilon=epsilon, seed=seed, q=q)
    for _ in range(episodes):
        state, over = table.begin(), False
        action = table.act(state)
        while not over:
            following, reward, terminated, over = table.step(action)
            following_action = table.act(following)
            target = reward if terminated else reward + gamma * table.q[following, following_action]
            table.q[state, action] += table.rate(state, action) * (target - table.q[state, action])
            state, action = following, following_action
    return table.learned()


def expected_sarsa(
    environment: Any, *, episodes: int, gamma: float = 1.0, step_size: Schedule = 0.1, epsilon: Schedule = 0.1,
    seed: int = 0, q: Any = None,
) -> Learned:  # fmt: skip
    """SARSA with the mean over the next action instead of one drawn: less noise for the same steps.

        q(S_t, A_t) ← q(S_t, A_t) + α·[R_{t+1} + γ·Σₐ π(a|S_{t+1})·q(S_{t+1}, a) − q(S_t, A_t)]

    With ε = 0 it is Q-learning, with ε = 1 it finds the values of the uniform policy.

    Arguments are those of `Table`. Source: van Seijen, van Hasselt, Whiteson and Wiering 2009.
    """
    table = Table(environment, gamma=gamma, step_size=step_size, epsilon=epsilon, seed=seed, q=q)
    for _ in range(episodes):
        state, over = table.begin(), False
        while not over:
            action = table.act(state)
            following, reward, terminated, over = table.step(action)
            mean = table.probabilities(following) @ table.q[following]
            target = reward if terminated else reward + gamma * mean
            table.q[state, action] += table.rate(state, action) * (target - table.q[state, action])
            state = following
    return table.learned()
