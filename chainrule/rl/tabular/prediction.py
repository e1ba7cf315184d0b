"""What a policy is worth, from episodes: Monte-Carlo, TD(0), and all that lies between them, TD(λ)."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.rl.episode import Array, Episode, returns
from chainrule.rl.tabular.acting import Learned, Schedule, Table


def monte_carlo_values(
    environment: Any, policy: Any, *, episodes: int, gamma: float = 1.0, first_visit: bool = True, seed: int = 0
) -> Array:
    """v_π (S,) as the mean of the returns that followed on a state; NaN for states never seen.

    policy: probabilities (S, A), as `mdp.policy(…)` gives them. `first_visit` counts a state once in each episode,
    which gives independent samples of G; otherwise every visit counts, which gives more samples and a bias that goes
    with their number. No step is bootstrapped but one: what follows a *truncated* episode is worth the mean so far.

    Source: class notes E 8.2.3, v_π = E[G_t | S_t = s]; Sutton and Barto, section 5.1.
    """
    table = _following(environment, policy, gamma, seed)
    sums, counts = np.zeros(len(table.q)), np.zeros(len(table.q), int)
    for _ in range(episodes):
        episode = _episode(table, policy)
        last = episode.states[-1]
        after = 0.0 if episode.terminated or not counts[last] else sums[last] / counts[last]
        G = returns(episode.rewards, gamma, after)
        seen = set()
        for state, value in zip(episode.states, G):
            if state not in seen or not first_visit:
                seen.add(state)
                sums[state] += value
                counts[state] += 1
    return np.divide(sums, counts, out=np.full(len(sums), np.nan), where=counts > 0)


def td_values(
    environment: Any, policy: Any, *, episodes: int, gamma: float = 1.0, lambda_: float = 0.0,
    step_size: Schedule = 0.1, seed: int = 0, v: Any = None,
) -> Array:  # fmt: skip
    """v_π (S,) by temporal differences: a guess is corrected by the next guess, during the episode.

        δ_t = R_{t+1} + γ·v(S_{t+1}) − v(S_t);   e(s) ← γ·λ·e(s) + 1(s = S_t);   v(s) ← v(s) + α·δ_t·e(s)

    λ = 0 is TD(0), where only S_t is corrected. The traces e pass the news on to states seen before; with λ = 1 these
    are corrected by the whole return, as in Monte-Carlo. After a terminated step v(S_{t+1}) counts as 0.

    policy: probabilities (S, A). step_size: a function of how often S_t was seen, or a number. v: first values.

    Source: Sutton, "Learning to predict by the methods of temporal differences", 1988.
    """
    if not 0 <= lambda_ <= 1:
        raise ValueError(f"lambda_ is in [0, 1], got {lambda_}.")
    table = _following(environment, policy, gamma, seed, step_size)
    values = np.zeros(len(table.q)) if v is None else np.array(v, float)
    for _ in range(episodes):
        state, over = table.begin(), False
        traces = np.zeros(len(values))
        while not over:
            following, reward, terminated, over = table.step(_draw(table, policy, state))
            error = reward + (0.0 if terminated else gamma * values[following]) - values[state]
            traces *= gamma * lambda_
            traces[state] += 1
            values += table.rate(state, 0) * error * traces
            state = following
    return values


def monte_carlo_control(
    environment: Any, *, episodes: int, gamma: float = 1.0, epsilon: Schedule = 0.1, seed: int = 0, q: Any = None
) -> Learned:
    """The best policy from whole episodes: q(s, a) is the mean return after (s, a), the agent is ε-greedy.

    Every visit counts. It comes to the best of all ε-greedy policies, to q* if ε goes to 0. A truncated episode goes on
    with maxₐ q(S_T, a). Arguments are those of `Table`. Source: Sutton and Barto, section 5.4.
    """
    table = Table(environment, gamma=gamma, step_size=lambda n: 1 / n, epsilon=epsilon, seed=seed, q=q)
    for _ in range(episodes):
        episode = _episode(table)
        after = 0.0 if episode.terminated else float(table.q[episode.states[-1]].max())
        for state, action, value in zip(episode.states, episode.actions, returns(episode.rewards, gamma, after)):
            table.q[state, action] += table.rate(state, action) * (value - table.q[state, action])
    return table.learned()


def _following(environment: Any, policy: Any, gamma: float, seed: int, step_size: Schedule = 1.0) -> Table:
    table = Table(environment, gamma=gamma, step_size=step_size, epsilon=0.0, seed=seed)
    if np.shape(policy) != table.q.shape:
        raise ValueError(
            f"the policy is probabilities (states, actions) = {table.q.shape}, got shape {np.shape(policy)}; "
            "`mdp.policy(actions)` makes them of actions."
        )
    return table


def _draw(table: Table, policy: Any, state: int) -> int:
    return int(table.random.choice(table.q.shape[1], p=policy[state]))


def _episode(table: Table, policy: Any = None) -> Episode:
    """An episode under a policy; under the ε-greedy one of the table unless given."""
    state, over, terminated = table.begin(), False, False
    episode = Episode([state], [], [], False)
    while not over:
        action = table.act(state) if policy is None else _draw(table, policy, state)
        state, reward, terminated, over = table.step(action)
        episode.states.append(state)
        episode.actions.append(action)
        episode.rewards.append(reward)
    return episode._replace(terminated=terminated)
