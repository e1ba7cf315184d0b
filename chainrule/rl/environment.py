"""Gymnasium's interface: `reset → observation, info` and `step → observation, reward, terminated, truncated, info`.

*Terminated*: the world has ended, nothing follows, so the value of what follows is 0. *Truncated*: somebody stopped
looking, here a time limit; the world goes on, and so does the value. Every learning rule needs the difference.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from chainrule.rl.episode import Array
from chainrule.rl.spaces import Box, Discrete

if TYPE_CHECKING:
    from chainrule.rl.mdp import MDP

Space = Discrete | Box


class Environment:
    """The base of our environments: time limit, seeds, and the order of calls. A subclass has `begin` and `move`.

    Args:
        max_steps: episodes are truncated after so many steps; None: never.
        render_mode: "rgb_array" where `render()` is to give a picture, as in Gymnasium.

    Attributes:
        observation_space, action_space: a `Discrete` or a `Box`.
        random: where all its random numbers come from.
        steps: how many the episode has taken.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 30}
    observation_space: Space
    action_space: Space

    def __init__(self, max_steps: int | None = None, render_mode: str | None = None) -> None:
        if max_steps is not None and max_steps < 1:
            raise ValueError(f"max_steps is at least 1, or None for no limit; got {max_steps}.")
        if render_mode not in (None, "rgb_array"):
            raise ValueError(f"render_mode is None or 'rgb_array', got {render_mode!r}; see `chainrule play`.")
        self.max_steps, self.render_mode = max_steps, render_mode
        self.random = np.random.default_rng()
        self.steps = 0
        self._open = False

    @property
    def unwrapped(self) -> Self:
        """The environment itself: nothing is wrapped around it."""
        return self

    def begin(self, options: Mapping[str, Any]) -> Any:
        """Put the world into a first state; the observation."""
        raise NotImplementedError

    def move(self, action: Any) -> tuple[Any, float, bool]:
        """Take one step: observation, reward, and whether the world has ended."""
        raise NotImplementedError

    def reset(self, *, seed: int | None = None, options: Mapping[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode: the first observation, and an empty dictionary. After the same seed, the same follows."""
        if seed is not None:
            self.random = np.random.default_rng(seed)
        self.steps, self._open = 0, True
        return self.begin(options or {}), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Take an action: (observation, reward, terminated, truncated, info).

        Raises ValueError for an action that there is not, RuntimeError before `reset` and after the end.
        """
        if not self._open:
            raise RuntimeError(
                f"{type(self).__name__}.step() was called {'after the end of the episode' if self.steps else 'first'}: "
                "call reset()."
            )
        observation, reward, terminated = self.move(action)
        self.steps += 1
        truncated = not terminated and self.max_steps is not None and self.steps >= self.max_steps
        self._open = not (terminated or truncated)
        return observation, reward, terminated, truncated, {}

    def render(self) -> Array:
        """A picture of now, (H, W, 3) uint8."""
        raise NotImplementedError(f"{type(self).__name__} draws no pictures.")

    def close(self) -> None:
        """Nothing is held open."""

    def state_dict(self) -> dict[str, Any]:
        """All that decides how it goes on, random numbers included."""
        return {
            "random": self.random.bit_generator.state,
            "steps": self.steps,
            "open": self._open,
            **self.world_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        self.random.bit_generator.state = state["random"]
        self.steps, self._open = int(state["steps"]), bool(state["open"])
        self.load_world_state(state)

    def world_state(self) -> dict[str, Any]:
        """What a subclass adds to `state_dict`."""
        raise NotImplementedError

    def load_world_state(self, state: Mapping[str, Any]) -> None:
        """The way back."""
        raise NotImplementedError


class TabularEnvironment(Environment):
    """A Markov decision process that one acts in without seeing P and R. Observations are the states' numbers.

    >>> from chainrule.rl import Gridworld
    >>> world = Gridworld(start=(0, 2)).environment(max_steps=50)
    >>> world.reset(seed=0)
    (2, {})
    >>> world.step(0)                                     # ←
    (1, -1.0, False, False, {})
    >>> world.step(0)
    (0, -1.0, True, False, {})
    """

    def __init__(self, mdp: MDP, max_steps: int | None = None, render_mode: str | None = None) -> None:
        super().__init__(max_steps, render_mode)
        self.mdp = mdp
        self.observation_space, self.action_space = Discrete(len(mdp.states)), Discrete(len(mdp.actions))
        self.state = 0

    def begin(self, options: Mapping[str, Any]) -> int:
        """The option "state" chooses the first state."""
        self.state = int(options["state"]) if "state" in options else self.mdp.draw_start(self.random)
        return self.state

    def move(self, action: Any) -> tuple[int, float, bool]:
        """Draw what follows."""
        if action not in self.action_space:
            raise ValueError(f"actions are {self.action_space}: {self.mdp.actions}; got {action!r}.")
        self.state, reward = self.mdp.draw(self.state, int(action), self.random)
        return self.state, reward, bool(self.mdp.terminal[self.state])

    def render(self) -> Array:
        """The grid, and where one is."""
        from chainrule.rl.drawing import grid_picture

        return grid_picture(self.mdp, self.state)

    def world_state(self) -> dict[str, Any]:
        """Where one is."""
        return {"state": self.state}

    def load_world_state(self, state: Mapping[str, Any]) -> None:
        """Be there again."""
        self.state = int(state["state"])
