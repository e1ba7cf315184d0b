"""Markov decision processes and dynamic programming: the notes' numbers, theorems on random processes, what is refused."""

from __future__ import annotations

import os
import warnings
from itertools import product
from typing import Any

import numpy as np
import pytest

from chainrule import rl

#: Random processes for the theorems.
COUNT = 1000


def random_mdp(seed: int, states: int = 6, actions: int = 3, gamma: float = 0.9) -> rl.MDP:
    """Sparse and dense rows, rewards of both signs."""
    random = np.random.default_rng(seed)
    P = random.dirichlet(np.full(states, random.choice([0.1, 1.0])), (states, actions))
    return rl.MDP(P, random.normal(size=(states, actions)), gamma)


def all_policies(mdp: rl.MDP) -> Any:
    return product(range(len(mdp.actions)), repeat=len(mdp.states))


# ------------------------------------------------------------------------------------- the notes' grid


def test_e_8_2_a_random_walk_on_the_grid() -> None:
    """E 8.2: uniform policy, terminals (0,0) and (4,4), γ = 1, walls keep: −23, −37.333, −41.667."""
    grid = rl.Gridworld()
    v = grid.on_grid(rl.policy_values(grid))
    np.testing.assert_allclose([v[0, 1], v[2, 2], v[0, 4]], [-23, -112 / 3, -125 / 3], rtol=1e-12)
    np.testing.assert_allclose(v, v[::-1, ::-1], rtol=1e-12)  # turned by 180° the grid is the same
    np.testing.assert_allclose(v, v.T, rtol=1e-12)
    # Bellman's equation by hand at every cell: the mean of four neighbours, the edge counting as the cell itself
    padded = np.pad(v, 1, mode="edge")
    around = (padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]) / 4 - 1
    around[0, 0] = around[4, 4] = 0
    np.testing.assert_allclose(v, around, rtol=1e-12)


@pytest.mark.parametrize("terminals", [[(0, 0)], [(2, 3)], [(0, 0), (4, 4)], [(0, 4), (2, 2), (4, 0)]], ids=str)
@pytest.mark.parametrize("gamma", [1.0, 0.9, 0.5, 0.0])
def test_e_8_2_5_value_iteration_from_zero(terminals: Any, gamma: float) -> None:
    """v_i(s) = −min(i, d), or −(1 − γ^min(i, d))/(1 − γ), d the distance to the nearest terminal cell."""
    grid = rl.Gridworld(terminals=terminals, gamma=gamma)
    d = np.array([min(abs(i - k) + abs(j - m) for k, m in terminals) for i, j in grid.states])
    solution = rl.value_iteration(grid, tolerance=0.0)
    assert solution.converged
    for i, v in enumerate(solution.sweeps):
        n = np.minimum(i, d)
        expected = -n if gamma == 1 else -(1 - gamma**n) / (1 - gamma)
        np.testing.assert_allclose(v, expected, rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(grid.distances(), d)


@pytest.mark.parametrize("terminals", [[(0, 0), (4, 4)], [(2, 3)]], ids=str)
def test_the_greedy_policy_takes_a_shortest_path(terminals: Any) -> None:
    grid = rl.Gridworld(terminals=terminals)
    for solution in (rl.value_iteration(grid), rl.policy_iteration(grid), rl.modified_policy_iteration(grid)):
        np.testing.assert_allclose(rl.policy_values(grid, solution.policy), -grid.distances(), rtol=1e-12)
        for start in np.flatnonzero(~grid.terminal):
            episode = grid.simulate(solution.policy, start=int(start))
            assert episode.terminated and len(episode.actions) == grid.distances()[start]


def test_a_policy_that_ends_solved_exactly() -> None:
    """Left to the edge, then up: from (i, j) it takes i + j steps to (0, 0)."""
    grid = rl.Gridworld(terminals=[(0, 0)])
    policy = [0 if j else 2 for _, j in grid.states]
    np.testing.assert_allclose(rl.policy_values(grid, policy), [-(i + j) for i, j in grid.states], rtol=1e-12)


def test_q_iteration_beside_value_iteration() -> None:
    """E 8.2.5 has q_i, the course v_i: maxₐ q_i(s, a) = v_i(s) at every sweep, and both come to q* and v*."""
    for mdp in (rl.Gridworld(), *map(random_mdp, range(20))):
        q, sweeps = rl.q_iteration(mdp, tolerance=1e-12)
        solution = rl.value_iteration(mdp, tolerance=1e-12)
        for q_i, v_i in zip(sweeps, solution.sweeps, strict=False):
            np.testing.assert_allclose(q_i.max(1), v_i, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(q, solution.q, atol=1e-11)


def test_gamma_zero_sees_the_next_reward_only() -> None:
    mdp = random_mdp(0, gamma=0.0)
    np.testing.assert_array_equal(rl.value_iteration(mdp).v, mdp.R.max(1))
    np.testing.assert_allclose(rl.policy_values(mdp), mdp.R.mean(1), rtol=1e-12)


def test_episodes_may_go_on_for_ever() -> None:
    """T = ∞: a reward of 1 at each step is worth 1/(1 − γ); what is cut off lacks γᵀ/(1 − γ)."""
    mdp = rl.MDP(np.ones((1, 1, 1)), [[1.0]], 0.9)
    np.testing.assert_allclose(rl.policy_values(mdp), [10.0], rtol=1e-12)
    episode = mdp.simulate(max_steps=50)
    assert not episode.terminated and episode.discounted_return(0.9) == pytest.approx(10 - 0.9**50 * 10)


# ------------------------------------------------------------------------------------- theorems


def test_value_iteration_stays_below_its_bound() -> None:
    """On 1,000 random processes ‖v_i − v*‖∞ ≤ γ/(1 − γ)·‖v_i − v_{i−1}‖∞ at each sweep, and shrinks by γ each."""
    for seed in range(COUNT):
        mdp = random_mdp(seed, gamma=(0.3, 0.8, 0.95)[seed % 3])
        exact = rl.policy_iteration(mdp).v
        solution = rl.value_iteration(mdp, tolerance=1e-6)
        errors = np.array([abs(v - exact).max() for v in solution.sweeps])
        assert (errors[1:] <= np.array(solution.bounds) + 1e-12).all()
        assert (errors[1:] <= mdp.gamma * errors[:-1] + 1e-12).all()
        assert solution.converged and errors[-1] <= 1e-6


def test_policy_iteration_never_gets_worse_and_ends_at_the_optimum() -> None:
    for seed in range(COUNT):
        mdp = random_mdp(seed, states=5, actions=2)
        solution = rl.policy_iteration(mdp)
        for before, after in zip(solution.sweeps, solution.sweeps[1:]):
            assert (after >= before - 1e-12).all()
        assert rl.bellman_residual(mdp, solution.v) < 1e-11
        if seed < 30:  # every one of the 32 policies
            best = np.max([rl.policy_values(mdp, policy) for policy in all_policies(mdp)], axis=0)
            np.testing.assert_allclose(solution.v, best, rtol=1e-10)


def test_policy_iteration_ends_where_actions_are_equally_good() -> None:
    mdp = rl.MDP(np.full((4, 3, 4), 0.25), np.full((4, 3), 0.1), 0.9)
    assert len(rl.policy_iteration(mdp).sweeps) == 1
    grid = rl.Gridworld()  # most cells have two shortest paths
    assert len(rl.policy_iteration(grid).sweeps) <= 9


@pytest.mark.parametrize("sweeps_each", [1, 2, 10])
def test_modified_policy_iteration_and_its_bounds(sweeps_each: int) -> None:
    for seed in range(50):
        mdp = random_mdp(seed)
        exact = rl.policy_iteration(mdp).v
        solution = rl.modified_policy_iteration(mdp, sweeps_each=sweeps_each, tolerance=1e-8)
        errors = [abs(v - exact).max() for v in solution.sweeps]
        assert (np.array(errors[1:]) <= np.array(solution.bounds) + 1e-12).all()
        if sweeps_each == 1:
            np.testing.assert_array_equal(solution.sweeps, rl.value_iteration(mdp, tolerance=1e-8).sweeps)


def test_values_are_means_of_returns() -> None:
    """Stochastic steps, random rewards and a stochastic policy, simulated; within five standard errors."""
    mdp = rl.Gridworld((3, 3), terminals=[(2, 2)], slip=0.3, gamma=0.9, start=(0, 0))
    mdp.reward_std[~mdp.terminal] = 2.0
    random = np.random.default_rng(0)
    policy = random.dirichlet(np.ones(4), 9)
    found = [mdp.simulate(policy, seed=random).discounted_return(0.9) for _ in range(1500)]
    error = np.std(found) / np.sqrt(len(found))
    assert abs(np.mean(found) - rl.policy_values(mdp, policy)[0]) < 5 * error


def test_random_rewards_are_drawn_as_they_are_listed() -> None:
    listed = {0: {0: [(0.25, 1, 4.0), (0.5, 1, -1.0), (0.25, 0, 0.0)]}, 1: {0: [(1.0, 1, 7.0, True)]}}
    mdp = rl.MDP.from_outcomes(listed)
    assert mdp.terminal.tolist() == [False, True]
    assert mdp.R.tolist() == [[0.5], [0.0]]
    random = np.random.default_rng(0)
    drawn = [mdp.draw(0, 0, random) for _ in range(4000)]
    shares = {pair: drawn.count(pair) / 4000 for pair in set(drawn)}
    assert shares == {(1, 4.0): pytest.approx(0.25, abs=0.05), (1, -1.0): pytest.approx(0.5, abs=0.05), (0, 0.0): pytest.approx(0.25, abs=0.05)}  # fmt: skip
    assert rl.policy_values(mdp)[0] == pytest.approx(0.5 / 0.75)


def test_occupancy_counts_visits() -> None:
    """Σ d·R is the value of the start; flow: what comes into a state goes out of it; E[steps] at γ = 1."""
    for seed in range(30):
        mdp = random_mdp(seed)
        policy = np.random.default_rng(seed).dirichlet(np.ones(3), 6)
        d = rl.occupancy(mdp, policy)
        assert (d * mdp.R).sum() == pytest.approx(mdp.start @ rl.policy_values(mdp, policy))
        np.testing.assert_allclose(d.sum(1), mdp.start + 0.9 * np.einsum("sa,sat->t", d, mdp.P), atol=1e-12)
        assert d.sum() == pytest.approx(1 / (1 - 0.9))
    grid = rl.Gridworld(start=(0, 1))
    assert rl.occupancy(grid).sum() == pytest.approx(23)


# ------------------------------------------------------------------------------------- worlds


def test_a_windy_grid() -> None:
    """Sutton and Barto, example 6.5: the shortest way takes 15 steps."""
    grid = rl.Gridworld((7, 10), terminals=[(3, 7)], wind=[0, 0, 0, 1, 1, 1, 2, 2, 1, 0])
    assert rl.value_iteration(grid).v[grid.state(3, 0)] == -15


def test_walls_are_gone_around_and_slips_go_to_the_sides() -> None:
    grid = rl.Gridworld((2, 3), terminals=[(0, 2)], walls=[(0, 1)])
    np.testing.assert_array_equal(grid.on_grid(rl.value_iteration(grid).v), [[-4, 0, 0], [-3, -2, -1]])
    slippery = rl.Gridworld((3, 3), terminals=[(0, 0)], slip=0.2)
    assert {(o.state, round(o.probability, 12)) for o in slippery.outcomes(4, 1)} == {(5, 0.8), (1, 0.1), (7, 0.1)}


def test_rewards_belong_to_the_cell_that_is_entered() -> None:
    grid = rl.Gridworld(
        (1, 3), terminals=[(0, 0), (0, 2)], step_reward=0.0, rewards={(0, 0): 1.0, (0, 2): 5.0}, gamma=0.5
    )
    assert rl.value_iteration(grid).q[1].tolist() == [1.0, 5.0, 2.5, 2.5]


@pytest.mark.parametrize("name", ["CliffWalking-v1", "FrozenLake-v1", "FrozenLake8x8-v1", "dry"])
def test_the_cliff_and_the_lake_are_gymnasiums(name: str) -> None:
    gymnasium = pytest.importorskip("gymnasium")
    if name == "dry":
        theirs, ours = gymnasium.make("FrozenLake-v1", is_slippery=False).unwrapped, rl.frozen_lake(slippery=False)
    else:
        theirs = gymnasium.make(name).unwrapped
        ours = {"C": rl.cliff_walking, "F": lambda: rl.frozen_lake("8x8" if "8x8" in name else "4x4")}[name[0]]()
    for s, a in np.ndindex(ours.R.shape):
        if ours.terminal[s]:
            continue
        P, R = np.zeros(len(ours.states)), 0.0
        for probability, state, reward, ends in theirs.P[s][a]:
            P[state] += probability
            R += probability * reward
            assert bool(ends) == bool(ours.terminal[state])
        np.testing.assert_allclose(ours.P[s, a], P, atol=1e-12)
        assert ours.R[s, a] == pytest.approx(R)


def test_a_chain_and_a_bandit() -> None:
    mdp = rl.chain()
    np.testing.assert_allclose(mdp.R[0], [0.4, 1.6])
    np.testing.assert_allclose(mdp.R[-1], [8.4, 3.6])
    pulls = rl.bandit([0.0, 3.0], std=0.5)
    drawn = [pulls.draw(0, 1, np.random.default_rng(i))[1] for i in range(500)]
    assert (np.mean(drawn), np.std(drawn)) == (pytest.approx(3, abs=0.12), pytest.approx(0.5, abs=0.1))
    assert rl.value_iteration(pulls).policy[0] == 1


# ------------------------------------------------------------------------------------- what is refused

LOOP = np.ones((1, 1, 1))
HALVES = np.full((2, 1, 2), 0.5)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: rl.MDP(np.zeros((2, 3)), np.zeros((2, 3))), r"P is \(states, actions, states\), got .* \(2, 3\)"),
        (lambda: rl.MDP(HALVES, np.zeros((2, 2)), 0.5), r"R is \(states, actions\) = \(2, 1\).*\(2, 2\)"),
        (lambda: rl.MDP(HALVES * 0.9, np.ones((2, 1)), 0.5), r"P\[0, 0\] sums to 0.9.*action 0 in state 0"),
        (lambda: rl.MDP([[[1.5, -0.5]], [[0, 1]]], np.ones((2, 1)), 0.5), r"P\[0, 0, 1\] is -0.5"),
        (lambda: rl.MDP(HALVES * np.nan, np.ones((2, 1)), 0.5), "P.*nan"),
        (lambda: rl.MDP(HALVES, [[np.inf], [0]], 0.5), r"R\[0, 0\] is inf"),
        (lambda: rl.MDP(HALVES, np.ones((2, 1)), 1.1), r"gamma is a discount in \[0, 1\], got 1.1"),
        (lambda: rl.MDP(HALVES, np.ones((2, 1)), np.nan), r"gamma is a discount"),
        (lambda: rl.MDP(LOOP, [[1.0]]), "gamma=1 needs terminal states"),
        (lambda: rl.MDP(np.eye(3)[:, None], np.ones((3, 1)), terminal=[0]), "ever leads from states 1, 2 to a terminal"),
        (lambda: rl.MDP(HALVES, np.ones((2, 1)), terminal=[2]), "a list of states from 0 to 1"),
        (lambda: rl.MDP(HALVES, np.ones((2, 1)), 0.5, start=[0.5, 0.6]), "start is one state"),
        (lambda: rl.MDP(HALVES, np.ones((2, 1)), 0.5, states=["a"]), "there are 2 states, but 1 names"),
        (lambda: rl.MDP(HALVES, np.ones((2, 1)), 0.5).policy([1, 0]), "a policy's actions are 0 to 0, got 0 to 1"),
        (lambda: rl.Gridworld().policy(np.ones((25, 4))), r"π\(·\|\(0, 0\)\) is \[1.0, 1.0, 1.0, 1.0\]"),
        (lambda: rl.policy_values(rl.Gridworld(), [0] * 25), r"from states \(1, 0\).* it never comes to a terminal"),
        (lambda: rl.Gridworld(terminals=[(5, 5)]), r"terminals: the cell \(5, 5\) is not on the grid of 5×5"),
        (lambda: rl.Gridworld(walls=[(0, 0)]), r"the cell \(0, 0\) is a wall"),
        (lambda: rl.Gridworld(slip=1.5), "slip is a probability"),
        (lambda: rl.frozen_lake("9x9"), "a lake is one of 4x4, 8x8, or rows"),
        (lambda: rl.chain(1), "at least 2 states"),
        (lambda: rl.MDP([[[1.0, 1.0]], [[0.5, 0.5]]], np.zeros((2, 1)), 0.9), r"P\[0, 0\] sums to 2"),
        (lambda: rl.Gridworld().state(5, 5), r"state: the cell \(5, 5\) is not on the grid of 5×5"),
        (lambda: rl.Gridworld().state(-1, 0), r"state: the cell \(-1, 0\) is not on the grid"),
        (lambda: rl.Gridworld().cell(25), "the states of this grid are 0 to 24, got 25"),
        (lambda: rl.Gridworld().simulate(start=-5), "start is a state from 0 to 24, got -5"),
        (lambda: rl.Gridworld().simulate(start=30), "start is a state from 0 to 24, got 30"),
        (lambda: rl.Gridworld().simulate(start=(0, 1)), r"start is a state from 0 to 24, got \(0, 1\)"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(make: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        make()


def test_states_out_of_reach_are_named() -> None:
    with pytest.warns(UserWarning, match="state 2 cannot be reached from the start"):
        mdp = rl.MDP([[[0, 1, 0]], [[0, 1, 0]], [[0, 1, 0]]], [[-1.0], [0.0], [-1.0]], start=0)
    assert mdp.unreachable() == [2]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rl.cliff_walking(), rl.frozen_lake("8x8"), rl.Gridworld(walls=[(2, 2)], start=(0, 1))


def test_the_same_process_under_another_discount() -> None:
    grid = rl.Gridworld()
    assert grid.gamma == 1 and rl.value_iteration(grid.with_gamma(0.5)).v.min() > -2
    with pytest.raises(ValueError, match="gamma=1 needs"):
        rl.chain().with_gamma(1.0)


if os.environ.get("CHAINRULE_NIGHTLY"):
    COUNT = 10_000
