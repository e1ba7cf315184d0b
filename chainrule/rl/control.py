"""Physics behind Gymnasium's interface: one world, or N worlds side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from chainrule.rl.environment import Environment
from chainrule.rl.episode import Array
from chainrule.rl.spaces import Discrete
from chainrule.rl.vector import VectorEnvironment
from chainrule.rl.worlds.control import Physics


class ControlEnvironment(Environment):
    """One world.

    >>> from chainrule import rl
    >>> world = rl.make("CartPole-v1")
    >>> observation, _ = world.reset(seed=0)
    >>> observation.shape, world.step(1)[1:]
    ((4,), (1.0, False, False, {}))
    """

    def __init__(self, physics: Physics, max_steps: int | None = None, render_mode: str | None = None) -> None:
        super().__init__(physics.max_steps if max_steps is None else max_steps, render_mode)
        self.physics = physics
        self.observation_space, self.action_space = physics.observation_space, physics.action_space
        self.state: Array = np.zeros(0)
        self._action: Any = None

    def begin(self, options: Mapping[str, Any]) -> Array:
        """Draw a first state."""
        states = self.physics.draw(1, self.random, options)
        self.state, self._action = states[0], None
        return self.physics.observe(states)[0]

    def move(self, action: Any) -> tuple[Array, float, bool]:
        """One step of physics."""
        _check_actions(self.physics, np.asarray(action)[None])
        states, rewards, ended = self.physics.advance(self.state[None], np.asarray(action)[None])
        self.state, self._action = states[0], action
        return self.physics.observe(states)[0], float(rewards[0]), bool(ended[0])

    def render(self) -> Array:
        """A picture of now, (H, W, 3) uint8."""
        from chainrule.rl.drawing import control_picture

        return control_picture(self.physics, self.state, self._action)

    def world_state(self) -> dict[str, Any]:
        """The state."""
        return {"state": self.state}

    def load_world_state(self, state: Mapping[str, Any]) -> None:
        """Be there again."""
        self.state = np.array(state["state"], float)


class ControlEnvironments(VectorEnvironment):
    """N worlds of the same physics, computed at once.

    >>> from chainrule import rl
    >>> worlds = rl.make_vector("CartPole-v1", 3)
    >>> observations, _ = worlds.reset(seed=0)
    >>> observations.shape, worlds.step(np.array([0, 1, 1]))[1]
    ((3, 4), array([1., 1., 1.]))
    """

    def __init__(self, physics: Physics, count: int, max_steps: int | None = None) -> None:
        super().__init__(count, physics.observation_space, physics.action_space)
        self.physics = physics
        self.max_steps = physics.max_steps if max_steps is None else max_steps
        self.random = np.random.default_rng()
        self.state: Array = np.zeros((count, 0))
        self.steps = np.zeros(count, int)

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        """Begin all episodes."""
        if seed is not None:
            self.random = np.random.default_rng(seed)
        self.state = self.physics.draw(self.num_envs, self.random, options or {})
        self.steps = np.zeros(self.num_envs, int)
        return self.physics.observe(self.state), {}

    def step(self, actions: Any) -> tuple[Array, Array, Array, Array, dict[str, Any]]:
        """One step of all worlds; those that end begin anew."""
        given = np.asarray(actions)
        if given.shape[:1] != (self.num_envs,):
            raise ValueError(f"there are {self.num_envs} worlds, got actions of shape {given.shape}.")
        _check_actions(self.physics, given)
        self.state, rewards, terminated = self.physics.advance(self.state, given)
        self.steps += 1
        truncated = ~terminated & (self.steps >= self.max_steps)
        over, seen = np.flatnonzero(terminated | truncated), self.physics.observe(self.state)
        info = {"final_obs": seen}
        if len(over):
            self.state[over] = self.physics.draw(len(over), self.random, {})
            self.steps[over] = 0
            seen = self.physics.observe(self.state)
        return seen, rewards, terminated, truncated, info

    def state_dict(self) -> dict[str, Any]:
        """All that decides how the worlds go on."""
        return {"random": self.random.bit_generator.state, "state": self.state.copy(), "steps": self.steps.copy()}

    def load_state_dict(self, state: Mapping[str, Any]) -> Array:
        """Go on from what `state_dict` gave; what is seen now."""
        self.random.bit_generator.state = state["random"]
        self.state, self.steps = np.array(state["state"], float), np.array(state["steps"], int)
        return self.physics.observe(self.state)


def _check_actions(physics: Physics, actions: Array) -> None:
    """Raise ValueError for actions that there are not."""
    space = physics.action_space
    if isinstance(space, Discrete):
        if actions.ndim != 1 or actions.dtype.kind not in "iu" or actions.min() < 0 or actions.max() >= space.n:
            raise ValueError(
                f"{physics.name}: actions are the whole numbers 0 to {space.n - 1}, got {actions.tolist()}."
            )
    elif actions.shape[1:] != space.shape or not np.isfinite(actions).all():
        raise ValueError(f"{physics.name}: actions are arrays of shape {space.shape}, got {actions.tolist()}.")
