"""Learning in tables: it comes to what dynamic programming computes, and what sets the methods apart shows."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest

from chainrule import rl

CONTROL = {
    "q_learning": rl.q_learning, "double_q_learning": rl.double_q_learning, "sarsa": rl.sarsa,
    "expected_sarsa": rl.expected_sarsa, "dyna_q": partial(rl.dyna_q, planning_steps=5),
    "monte_carlo_control": rl.monte_carlo_control,
}  # fmt: skip
SLIPPERY = rl.Gridworld((3, 3), terminals=[(2, 2)], slip=0.2, gamma=0.9)


def for_ever(max_steps: int) -> Any:
    """One state, one action, 1 for each step, no end; cut off."""
    return rl.MDP(np.ones((1, 1, 1)), [[1.0]], 0.5).environment(max_steps=max_steps)


def settings(name: str) -> dict[str, Any]:
    return {} if name == "monte_carlo_control" else {"step_size": lambda n: n**-0.6}


# ------------------------------------------------------------------------------------- what they come to


def test_q_learning_comes_to_the_solved_values() -> None:
    """On slippery ground, from random behaviour: within Monte-Carlo error, which shrinks with the episodes."""
    exact = rl.value_iteration(SLIPPERY).q
    errors = []
    for episodes in (200, 3000):
        found = [
            rl.q_learning(SLIPPERY.environment(max_steps=50), episodes=episodes, gamma=0.9, epsilon=1.0, seed=seed, **settings("")).q
            for seed in range(4)
        ]  # fmt: skip
        errors.append(np.abs(np.stack(found) - exact).max())
    assert errors[1] < 0.2 < errors[0]  # values are from −4 to −1
    standard_error = np.std(found, axis=0, ddof=1) / 2
    assert (abs(np.mean(found, axis=0) - exact) < 5 * standard_error + 0.05).all()
    policies = [rl.policy_values(SLIPPERY, rl.greedy(q)) for q in found]
    np.testing.assert_allclose(policies, np.broadcast_to(exact.max(1), (4, 9)), atol=0.05)


@pytest.mark.parametrize("name", ["q_learning", "double_q_learning", "sarsa", "expected_sarsa", "monte_carlo_control"])
def test_a_good_policy_is_found(name: str) -> None:
    world = SLIPPERY.environment(max_steps=200)
    learned = CONTROL[name](world, episodes=1500, gamma=0.9, epsilon=lambda k: 1 / (1 + k / 100), **settings(name))
    exact = rl.value_iteration(SLIPPERY).v
    assert (exact - rl.policy_values(SLIPPERY, learned.policy)).mean() < 0.4  # the uniform policy lacks 3.9
    assert learned.returns.shape == learned.lengths.shape == (1500,) and learned.visits.sum() == learned.lengths.sum()


def test_expected_sarsa_values_the_policy_that_it_follows() -> None:
    """ε = 1: the values of the uniform policy, not of the best one."""
    uniform = rl.action_values(SLIPPERY, rl.policy_values(SLIPPERY))
    q = rl.expected_sarsa(SLIPPERY.environment(), episodes=1500, gamma=0.9, epsilon=1.0, **settings("")).q
    np.testing.assert_allclose(q, uniform, atol=1.0)
    assert abs(uniform - rl.value_iteration(SLIPPERY).q).max() > 3


def test_monte_carlo_is_the_mean_of_independent_returns() -> None:
    grid = rl.Gridworld((3, 3), terminals=[(2, 2)], gamma=0.9, start=(0, 0))
    policy = grid.policy()
    exact = rl.policy_values(grid, policy)
    found = [rl.monte_carlo_values(grid.environment(), policy, episodes=200, gamma=0.9, seed=s)[0] for s in range(10)]
    assert abs(np.mean(found) - exact[0]) < 5 * np.std(found, ddof=1) / np.sqrt(10)
    every = rl.monte_carlo_values(grid.environment(), policy, episodes=1500, gamma=0.9, first_visit=False)
    np.testing.assert_allclose(every[:8], exact[:8], atol=0.5)
    assert np.isnan(every[8])  # nothing follows on a terminal state


@pytest.mark.parametrize("lambda_", [0.0, 0.5, 0.9])
def test_td_on_the_random_walk(lambda_: float) -> None:
    """Sutton and Barto, example 6.2: five states, 1 at the right end; the values are 1/6 to 5/6."""
    grid = rl.Gridworld((1, 7), terminals=[(0, 0), (0, 6)], step_reward=0.0, rewards={(0, 6): 1.0}, start=(0, 3))
    policy = np.tile([0.5, 0.5, 0, 0], (7, 1))
    v = rl.td_values(grid.environment(), policy, episodes=1500, lambda_=lambda_, step_size=lambda n: min(0.1, 5 / n))
    np.testing.assert_allclose(v[1:6], np.arange(1, 6) / 6, atol=0.1)


def test_td_1_corrects_by_whole_returns() -> None:
    """Where no state is seen twice: v(s) ← v(s) + α·(G − v(s)); TD(0) corrects by the next guess."""
    grid = rl.Gridworld((1, 5), terminals=[(0, 4)], start=(0, 0), gamma=0.9)
    right, first = grid.policy([1] * 5), np.arange(5.0)
    v = rl.td_values(grid.environment(), right, episodes=1, gamma=0.9, lambda_=1.0, step_size=0.5, v=first)
    G = np.append(rl.returns([-1.0] * 4, 0.9), first[4])
    np.testing.assert_allclose(v, first + 0.5 * (G - first), rtol=1e-12)
    v = rl.td_values(grid.environment(), right, episodes=1, gamma=0.9, step_size=0.5, v=first)
    np.testing.assert_allclose(v, [0 + 0.5 * (-0.1), 1 + 0.5 * (-0.2), 2 + 0.5 * (-0.3), 3 + 0.5 * (-4), 4], rtol=1e-12)


# ------------------------------------------------------------------------------------- what sets them apart


@pytest.mark.parametrize("name", CONTROL)
def test_what_is_cut_off_goes_on_in_value(name: str) -> None:
    """1 for each step for ever is worth 2 at γ = ½, also if episodes are truncated after 3; terminated ones end.

    Counting nothing after a truncated episode would give 1.5 or less.
    """
    learned = CONTROL[name](for_ever(3), episodes=400, gamma=0.5, **settings(name))
    assert learned.q[0, 0] == pytest.approx(2, abs=0.05)
    ends = rl.bandit([1.0], std=0.0).environment()
    assert CONTROL[name](ends, episodes=300, gamma=0.9, **settings(name)).q[0, 0] == pytest.approx(1, abs=1e-3)


def test_what_is_cut_off_goes_on_in_prediction() -> None:
    v = rl.td_values(for_ever(3), [[1.0]], episodes=400, gamma=0.5, step_size=lambda n: n**-0.6)
    assert v[0] == pytest.approx(2, abs=0.05)
    assert rl.monte_carlo_values(for_ever(3), [[1.0]], episodes=400, gamma=0.5)[0] == pytest.approx(2, abs=0.05)


def test_along_the_cliff_and_away_from_it() -> None:
    """Sutton and Barto, example 6.6: Q-learning finds the shortest way, 13 steps; SARSA earns more while exploring."""
    world = rl.cliff_walking()
    common: dict[str, Any] = {"episodes": 400, "step_size": 0.5, "epsilon": 0.1}
    off, on = (
        [method(world.environment(max_steps=1000), seed=seed, **common) for seed in range(4)]
        for method in (rl.q_learning, rl.sarsa)
    )
    for learned in off:
        assert rl.policy_values(world.with_gamma(0.999), learned.policy)[36] == pytest.approx(-13, abs=0.2)
    assert np.mean([l.returns[-200:].mean() for l in on]) > np.mean([l.returns[-200:].mean() for l in off]) + 5


def test_one_table_takes_luck_for_value() -> None:
    """Sutton and Barto, example 6.7: from A, right ends with 0; left leads to B, whose ten actions earn −0.1 ± 1."""
    P, R, std = np.zeros((3, 10, 3)), np.zeros((3, 10)), np.zeros((3, 10))
    P[0, 0, 1] = P[2, :, 2] = P[1, :, 2] = 1
    P[0, 1:, 2] = 1
    R[1], std[1] = -0.1, 1.0
    mdp = rl.MDP(P, R, 1.0, terminal=[2], start=0, reward_std=std)
    lefts = []
    for method in (rl.q_learning, rl.double_q_learning):
        counts = [method(mdp.environment(), episodes=100, seed=seed).visits[0, 0] for seed in range(40)]
        lefts.append(np.mean(counts))
    assert lefts[0] > 1.3 * lefts[1]


def test_planning_saves_steps_in_the_world() -> None:
    """Sutton and Barto, figure 8.2: a maze of 6×9, 14 steps from the start to the goal."""
    walls = [(1, 2), (2, 2), (3, 2), (4, 5), (0, 7), (1, 7), (2, 7)]
    maze = rl.Gridworld(
        (6, 9), terminals=[(0, 8)], walls=walls, step_reward=0.0, rewards={(0, 8): 1.0}, start=(2, 0), gamma=0.95
    )
    counts = []
    for planning_steps in (0, 20):
        learned = [
            rl.dyna_q(maze.environment(), episodes=12, planning_steps=planning_steps, gamma=0.95, seed=seed)
            for seed in range(3)
        ]
        counts.append(np.mean([l.lengths[1:].sum() for l in learned]))
    assert counts[1] < counts[0] / 3
    assert maze.distances()[maze.state(2, 0)] == 14
    assert all(len(maze.simulate(l.policy).actions) <= 22 for l in learned)


# ------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"environment": rl.make("cartpole")}, "whole numbers as observations.*see the deep agents"),
        ({"gamma": 1.5}, r"gamma is a discount in \[0, 1\], got 1.5"),
        ({"epsilon": 2.0}, "epsilon is a probability, got 2.0 in episode 0"),
        ({"step_size": lambda n: n}, r"a step size is in \(0, 1\], got 2.0 at try 2"),
        ({"q": np.zeros((9, 3))}, r"q is \(states, actions\) = \(9, 4\), got an array of shape \(9, 3\)"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(changed: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        rl.q_learning(**{"environment": SLIPPERY.environment(), "episodes": 5, **changed})


def test_policies_that_are_no_tables_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(states, actions\) = \(9, 4\), got shape \(9,\); `mdp.policy"):
        rl.td_values(SLIPPERY.environment(), [0] * 9, episodes=1)
    with pytest.raises(ValueError, match="lambda_ is in"):
        rl.td_values(SLIPPERY.environment(), SLIPPERY.policy(), episodes=1, lambda_=2.0)


@pytest.mark.parametrize("name", CONTROL)
def test_the_same_seed_learns_the_same(name: str) -> None:
    first, second, other = (CONTROL[name](SLIPPERY.environment(), episodes=20, seed=s).q for s in (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()
