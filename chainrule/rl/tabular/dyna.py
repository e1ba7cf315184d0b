"""Dyna-Q: what was lived through once is gone over many times."""

from __future__ import annotations

from typing import Any

from chainrule.rl.tabular.acting import Learned, Schedule, Table


def dyna_q(
    environment: Any, *, episodes: int, planning_steps: int = 20, gamma: float = 1.0, step_size: Schedule = 0.1,
    epsilon: Schedule = 0.1, seed: int = 0, q: Any = None,
) -> Learned:  # fmt: skip
    """Q-learning, and after each real step `planning_steps` more on remembered ones, drawn at random.

    The model is what came of each (s, a) the last time: (r, s′, terminated). Steps in the world are dear and steps in
    the head are cheap, so it needs far fewer of the first.

    Details: imagined steps use the rate of the last real one and do not count as visits. A model of the last outcome is
    exact where the world is deterministic; elsewhere it is a sample that is used too often.

    Other arguments are those of `Table`. Source: Sutton 1990; Sutton and Barto, section 8.2.
    """
    if planning_steps < 0:
        raise ValueError(f"planning_steps is not below 0, got {planning_steps}.")
    table = Table(environment, gamma=gamma, step_size=step_size, epsilon=epsilon, seed=seed, q=q)
    model: dict[tuple[int, int], tuple[float, int, bool]] = {}
    tried: list[tuple[int, int]] = []

    def learn(state: int, action: int, rate: float) -> None:
        reward, following, terminated = model[state, action]
        target = reward if terminated else reward + gamma * table.q[following].max()
        table.q[state, action] += rate * (target - table.q[state, action])

    for _ in range(episodes):
        state, over = table.begin(), False
        while not over:
            action = table.act(state)
            following, reward, terminated, over = table.step(action)
            if (state, action) not in model:
                tried.append((state, action))
            model[state, action] = reward, following, terminated
            rate = table.rate(state, action)
            learn(state, action, rate)
            for number in table.random.integers(len(tried), size=planning_steps):
                learn(tried[number][0], tried[number][1], rate)
            state = following
    return table.learned()
