"""Environments: Gymnasium's numbers, its interface, vectors of them, and pictures."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from chainrule import rl

NAMES = ["CartPole-v1", "MountainCar-v0", "Acrobot-v1", "Pendulum-v1"]
STEPS = 10_000 if os.environ.get("CHAINRULE_NIGHTLY") else 1_000


def test_one_step_from_each_visited_state_equals_gymnasiums() -> None:
    """From each of 1,000 states that Gymnasium visits (at night 10,000), its step and ours: all the same to 1e-6."""
    gymnasium = pytest.importorskip("gymnasium")
    for name in NAMES:
        theirs, ours = gymnasium.make(name), rl.make(name)
        theirs.action_space.seed(1)
        theirs.reset(seed=0)
        ours.reset(seed=0)
        states, actions, answers, mine = [], [], [], []
        for _ in range(STEPS):
            ours.state, ours.steps, ours._open = np.array(theirs.unwrapped.state, float), theirs._elapsed_steps, True
            action = theirs.action_space.sample()
            states.append(ours.state)
            actions.append(action)
            answer = theirs.step(action)
            answers.append(answer)
            mine.append(ours.step(action))
            if answer[2] or answer[3]:
                theirs.reset()
        wanted = [(float(a[1]), bool(a[2]), bool(a[3]) and not a[2]) for a in answers]
        np.testing.assert_allclose([m[0] for m in mine], [a[0] for a in answers], atol=1e-6, rtol=1e-6, err_msg=name)
        np.testing.assert_allclose([m[1] for m in mine], [w[0] for w in wanted], atol=1e-6, rtol=0, err_msg=name)
        assert [m[2:4] for m in mine] == [w[1:] for w in wanted], name
        # all at once: the same code on arrays
        following, rewards, ended = ours.physics.advance(np.stack(states), np.stack(actions))
        np.testing.assert_allclose(ours.physics.observe(following), [a[0] for a in answers], atol=1e-6, rtol=1e-6)
        np.testing.assert_allclose(rewards, [float(a[1]) for a in answers], atol=1e-6)
        np.testing.assert_array_equal(ended, [a[2] for a in answers])


@pytest.mark.parametrize("name", ["CartPole-v1", "MountainCar-v0"])
def test_whole_episodes_equal_gymnasiums(name: str) -> None:
    gymnasium = pytest.importorskip("gymnasium")
    theirs, ours = gymnasium.make(name), rl.make(name)
    theirs.action_space.seed(2)
    for seed in range(20):
        theirs.reset(seed=seed)
        ours.reset()
        ours.state = np.array(theirs.unwrapped.state, float)
        over = False
        while not over:
            action = theirs.action_space.sample()
            answer, mine = theirs.step(action), ours.step(action)
            np.testing.assert_allclose(mine[0], answer[0], atol=1e-6)
            assert mine[1:4] == (answer[1], *answer[2:4])
            over = answer[2] or answer[3]


@pytest.mark.parametrize("name", NAMES)
def test_spaces_limits_and_first_states_are_gymnasiums(name: str) -> None:
    gymnasium = pytest.importorskip("gymnasium")
    theirs, ours = gymnasium.make(name), rl.make(name)
    assert ours.max_steps == theirs.spec.max_episode_steps
    for space, other in ((ours.observation_space, theirs.observation_space), (ours.action_space, theirs.action_space)):
        assert space.shape == other.shape and space.dtype == other.dtype
        if isinstance(space, rl.Box):
            np.testing.assert_allclose(space.low, other.low, rtol=1e-6)
            np.testing.assert_allclose(space.high, other.high, rtol=1e-6)
        else:
            assert space.n == other.n
    # the same seed and generator: the very same first states, whose range therefore is the same
    for seed in range(50):
        np.testing.assert_allclose(ours.reset(seed=seed)[0], theirs.reset(seed=seed)[0], rtol=1e-6, atol=1e-7)


def test_a_constant_of_each_world() -> None:
    """By hand, without Gymnasium: a pole at rest pushed once; a car at the valley's floor; a pendulum at its top."""
    pole, car, pendulum, acrobot = (rl.make(name) for name in (*NAMES[:2], "pendulum", "acrobot"))
    for world, state in ((pole, [0, 0, 0, 0]), (car, [-math.pi / 6, 0]), (pendulum, [0, 0]), (acrobot, [0, 0, 0, 0])):
        world.reset()
        world.state = np.array(state, float)
    # u = 10/1.1; θ̈ = −u/(0.5·(4/3 − 0.1/1.1)); ẍ = u − 0.05·θ̈/1.1
    u = 10 / 1.1
    bend = -u / (0.5 * (4 / 3 - 0.1 / 1.1))
    np.testing.assert_allclose(pole.step(1)[0], [0, 0.02 * (u - 0.05 * bend / 1.1), 0, 0.02 * bend], rtol=1e-6)
    np.testing.assert_allclose(car.step(2)[0], [-math.pi / 6 + 0.001, 0.001], rtol=1e-5)  # cos 3x = 0 there
    assert pendulum.step([1.0])[1] == pytest.approx(-0.001)
    assert pendulum.state.tolist() == pytest.approx([0.0075, 0.15])
    np.testing.assert_allclose(acrobot.step(1)[0], [1, 0, 1, 0, 0, 0], atol=1e-12)  # hanging at rest it stays


# ------------------------------------------------------------------------------------- the interface


def test_terminated_and_truncated_are_told_apart() -> None:
    world = rl.Gridworld(start=(0, 1)).environment(max_steps=2)
    world.reset(seed=0)
    assert world.step(0)[2:4] == (True, False)
    world.reset()
    assert world.step(2)[2:4] == (False, False)
    assert world.step(2)[2:4] == (False, True)
    world.reset()
    world.step(2)
    assert world.step(0)[2:4] == (True, False)  # ended by itself in the last step: nothing is cut off


def test_steps_before_reset_and_after_the_end_are_refused() -> None:
    world = rl.Gridworld(start=(0, 1)).environment()
    with pytest.raises(RuntimeError, match=r"was called first: call reset\(\)"):
        world.step(0)
    world.reset()
    world.step(0)
    with pytest.raises(RuntimeError, match="after the end of the episode"):
        world.step(0)


@pytest.mark.parametrize(
    ("name", "action", "says"),
    [
        ("gridworld", 4, r"actions are Discrete\(4\).*got 4"),
        ("cartpole", 2, "CartPole-v1: actions are the whole numbers 0 to 1, got"),
        ("cartpole", 0.5, "whole numbers"),
        ("pendulum", 0.5, r"Pendulum-v1: actions are arrays of shape \(1,\)"),
        ("pendulum", [math.nan], "actions are arrays"),
    ],
)
def test_actions_that_there_are_not(name: str, action: Any, says: str) -> None:
    world = rl.make(name)
    world.reset(seed=0)
    with pytest.raises(ValueError, match=says):
        world.step(action)


@pytest.mark.parametrize("name", rl.environments())
def test_the_same_seed_gives_the_same_episodes_and_a_saved_state_goes_on(name: str) -> None:
    first, second, third = rl.make(name), rl.make(name), rl.make(name)
    first.action_space.seed(0)

    def step(world: Any, action: Any) -> Any:
        answer = world.step(action)
        return answer if not (answer[2] or answer[3]) else (*answer, world.reset())

    def equal(a: Any, b: Any) -> bool:
        return repr(a) == repr(b)

    assert equal(first.reset(seed=5), second.reset(seed=5))
    assert first.observation_space.contains(first.reset(seed=5)[0])
    actions = [first.action_space.sample() for _ in range(60)]
    assert all(equal(step(first, a), step(second, a)) for a in actions[:30])
    third.load_state_dict(first.state_dict())
    assert all(equal(step(first, a), step(third, a)) for a in actions[30:])


@pytest.mark.parametrize("name", ["cartpole", "pendulum", "gridworld"])
def test_vectors_of_environments(name: str) -> None:
    """Each is what it would be alone; an end is followed by a beginning, and what was seen last is in `info`."""
    worlds = rl.make_vector(name, 3, max_steps=7)
    space = worlds.single_action_space
    space.seed(0)
    seen, _ = worlds.reset(seed=0)
    steps = np.zeros(3, int)
    for _ in range(40):
        saved = worlds.state_dict()
        actions = np.stack([np.asarray(space.sample()) for _ in range(3)])
        alone = worlds.physics.advance(worlds.state.copy(), actions) if hasattr(worlds, "physics") else None
        seen, rewards, terminated, truncated, info = worlds.step(actions)
        steps += 1
        if alone is not None:
            np.testing.assert_array_equal(info["final_obs"], worlds.physics.observe(alone[0]))
            np.testing.assert_array_equal(rewards, alone[1])
            np.testing.assert_array_equal(terminated, alone[2])
        np.testing.assert_array_equal(truncated, (steps == 7) & ~terminated)
        over = terminated | truncated
        np.testing.assert_array_equal(seen[~over], info["final_obs"][~over])
        steps[over] = 0
        other = rl.make_vector(name, 3, max_steps=7)
        other.load_state_dict(saved)
        np.testing.assert_array_equal(other.step(actions)[0], seen)


def test_names_that_nobody_knows() -> None:
    with pytest.raises(ValueError, match="no environment 'acrobat'.*Did you mean acrobot"):
        rl.make("acrobat")


def test_gymnasiums_environments_are_made_too() -> None:
    pytest.importorskip("gymnasium")
    world = rl.make("MountainCarContinuous-v0", max_steps=5)
    assert world.reset(seed=0)[0].shape == (2,)
    worlds = rl.make_vector("Taxi-v4", 2)
    assert worlds.reset(seed=0)[0].shape == (2,)
    with pytest.raises(ValueError, match="Gymnasium says"):
        rl.make("NoSuchWorld-v3")


# ------------------------------------------------------------------------------------- pictures


@pytest.mark.parametrize("name", rl.environments())
def test_pictures_show_the_state(name: str) -> None:
    world = rl.make(name, render_mode="rgb_array")
    world.reset(seed=0)
    first = world.render()
    assert first.dtype == np.uint8 and first.ndim == 3 and len(np.unique(first.reshape(-1, 3), axis=0)) > 1
    for _ in range(200):
        if (world.render() != first).any():
            break
        if any(world.step(world.action_space.sample())[2:4]):
            world.reset()
    assert (world.render() != first).any() or name == "bandit"


def test_values_and_policies_are_drawn_on_the_grid(tmp_path: Path) -> None:
    grid = rl.Gridworld(walls=[(2, 2)])
    solution = rl.value_iteration(grid)
    axes = rl.draw_grid(grid, solution.v, solution.q, digits=1)
    texts = [text.get_text() for text in axes.texts]
    assert texts.count("-4.0") == 4 and texts.count("-1.0") == 4 and len(axes.patches) == 3
    arrows = [text for text in axes.texts if hasattr(text, "arrow_patch") and text.arrow_patch]
    assert len(arrows) == rl.best_actions(solution.q)[~grid.terminal].sum()
    frames = rl.sweep_frames(grid, solution.sweeps)
    assert len(frames) == len(solution.sweeps) and len({frame.shape for frame in frames}) == 1
    rl.save_gif(frames, tmp_path / "sweeps.gif", frames_per_second=2)
    with Image.open(tmp_path / "sweeps.gif") as film:
        assert film.n_frames >= len(solution.sweeps) - 1  # the last two are equal and may be joined
        assert film.info["duration"] == 500


def test_a_grid_as_text() -> None:
    grid = rl.Gridworld((2, 2), terminals=[(0, 0)])
    lines = rl.grid_text(grid, [0, -1, -1, -2], [0, 0, 2, 0], digits=0).splitlines()
    assert [line.split() for line in lines] == [["T", "0", "-1", "←"], ["-1", "↑", "-2", "←"]]
