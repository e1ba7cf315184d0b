"""Several environments side by side: one call, arrays of observations, rewards and flags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from chainrule.rl.episode import Array


class VectorEnvironment:
    """N environments. An episode that ends is followed by the first observation of the next one, in the same step.

    `info["final_obs"]` (N, …) has what was seen *before* that: where nothing ended, the same as the observation. The
    value of what follows a truncated episode is asked of it. (Gymnasium calls this autoreset mode SAME_STEP, and has an
    array of objects there.)

    Attributes:
        num_envs: N.
        single_observation_space, single_action_space: of one environment.
    """

    def __init__(self, count: int, observation_space: Any, action_space: Any) -> None:
        if count < 1:
            raise ValueError(f"there is at least one environment, got {count}.")
        self.num_envs = count
        self.single_observation_space, self.single_action_space = observation_space, action_space

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        """Begin all episodes: observations (N, …), and an empty dictionary."""
        raise NotImplementedError

    def step(self, actions: Any) -> tuple[Array, Array, Array, Array, dict[str, Any]]:
        """Actions (N, …) to observations (N, …), rewards, terminated, truncated (N,) and {"final_obs": (N, …)}."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """All that decides how they go on."""
        raise NotImplementedError

    def load_state_dict(self, state: Mapping[str, Any]) -> Array:
        """Go on from what `state_dict` gave; what is seen now."""
        raise NotImplementedError

    def close(self) -> None:
        """Close what is open."""


class SideBySide(VectorEnvironment):
    """Any environments of Gymnasium's interface, stepped one after the other.

    Those of other makers cannot say in what state they are: `state_dict` has none of them then, and going on from it
    begins new episodes.

    >>> from chainrule.rl import Gridworld
    >>> worlds = SideBySide([Gridworld(start=(0, 2)).environment() for _ in range(2)])
    >>> worlds.reset(seed=0)[0]
    array([2, 2])
    """

    def __init__(self, environments: Sequence[Any]) -> None:
        if not environments:
            raise ValueError("there is at least one environment, got none.")
        super().__init__(len(environments), environments[0].observation_space, environments[0].action_space)
        self.environments = list(environments)
        self._seen: list[Any] = []

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        """Begin all episodes; environment i gets the seed `seed + i`."""
        self._seen = [
            environment.reset(
                seed=None if seed is None else seed + i, options=None if options is None else dict(options)
            )[0]
            for i, environment in enumerate(self.environments)
        ]
        return np.stack(self._seen), {}

    def step(self, actions: Any) -> tuple[Array, Array, Array, Array, dict[str, Any]]:
        """Step each; those that end are reset."""
        steps = [environment.step(action) for environment, action in zip(self.environments, actions, strict=True)]
        last = np.stack([step[0] for step in steps])
        rewards, terminated, truncated = (
            np.array([step[i] for step in steps], kind) for i, kind in ((1, float), (2, bool), (3, bool))
        )
        truncated &= ~terminated
        over = terminated | truncated
        self._seen = [
            environment.reset()[0] if ended else step[0]
            for environment, step, ended in zip(self.environments, steps, over, strict=True)
        ]
        return np.stack(self._seen), rewards, terminated, truncated, {"final_obs": last}

    def state_dict(self) -> dict[str, Any]:
        """The environments' states where all can give them, and what was seen last."""
        if not all(hasattr(environment, "state_dict") for environment in self.environments):
            return {}
        return {
            "environments": [environment.state_dict() for environment in self.environments],
            "seen": np.stack(self._seen),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> Array:
        """Go on, or begin new episodes where nothing was saved."""
        if not state:
            return self.reset()[0]
        for environment, saved in zip(self.environments, state["environments"], strict=True):
            environment.load_state_dict(saved)
        self._seen = list(np.asarray(state["seen"]))
        return np.stack(self._seen)

    def close(self) -> None:
        """Close each."""
        for environment in self.environments:
            environment.close()
