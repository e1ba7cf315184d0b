"""What all agents are: something that acts, learns in small pieces, and can be saved between any two of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np

from chainrule.autodiff.mode import no_grad
from chainrule.compiler.function import compile
from chainrule.errors import CheckpointError
from chainrule.functions.creation import as_tensor
from chainrule.nn.module import Module
from chainrule.random import Generator, manual_seed
from chainrule.rl.deep.replay import Replay
from chainrule.rl.deep.saved_state import check_state, remember
from chainrule.rl.deep.sight import Sight
from chainrule.rl.episode import Array
from chainrule.rl.vector import VectorEnvironment
from chainrule.tensor import Tensor


class Agent:
    """The base of all agents. A subclass has `Settings`, `build`, `act` and `advance`.

    Args:
        worlds: the environments that it acts in, from `make_vector`.
        settings: a `Settings` of the subclass; None takes the defaults.
        seed: of weights, actions and environments: the same seed, the same agent, on the same machine.
        compile: whether learning steps and looks are compiled.

    Attributes:
        steps: how many steps it has taken, in all environments together.
        finished: (steps, return, length) of each episode that has ended since somebody last emptied the list.
        figures: the latest figures of learning, such as the loss, by name.
        terminated, cut_off: how many episodes the world has ended and how many a time limit, since the agent was made.
        largest_reward: the largest |r| of all steps.

    Raises ValueError for an environment whose actions are not of its kind.
    """

    name: ClassVar[str] = ""
    paper: ClassVar[str] = ""
    #: Whether actions are choices (Discrete), vectors (Box) or either.
    actions: ClassVar[tuple[str, ...]] = ("choices",)
    Settings: ClassVar[type]

    def __init__(self, worlds: VectorEnvironment, settings: Any = None, *, seed: int = 0, compile: bool = True) -> None:
        self.worlds, self.settings, self.seed = worlds, settings or self.Settings(), seed
        self.sight = Sight(worlds.single_observation_space)
        self._look_at_actions(worlds.single_action_space)
        manual_seed(seed)
        self.random = np.random.default_rng(seed)
        self.generator = Generator(seed)
        self.compiled = compile
        self.steps, self.updates = 0, 0
        self.finished: list[tuple[int, float, int]] = []
        self.figures: dict[str, float] = {}
        self.terminated, self.cut_off, self.largest_reward = 0, 0, 0.0
        self.build()
        self.seen = self.sight(worlds.reset(seed=seed)[0])
        self._returns, self._lengths = np.zeros(worlds.num_envs), np.zeros(worlds.num_envs, int)

    def build(self) -> None:
        """Make networks and optimisers."""
        raise NotImplementedError

    def parts(self) -> dict[str, Any]:
        """What is learned, by name: modules, optimisers and whatever else has a state_dict."""
        raise NotImplementedError

    def act(self, observations: Any, greedy: bool = True) -> Array:
        """Actions (N, …) for observations (N, …) of the environment; greedy ones, or as while learning."""
        raise NotImplementedError

    def advance(self) -> None:
        """Act for some steps and learn from them: the piece between two of which an agent can be saved."""
        raise NotImplementedError

    # ------------------------------------------------------------------------------------- for subclasses

    def ready(self, function: Any) -> Any:
        """The function as it is to be called: compiled, unless the agent is not to be.

        It is to know networks and numbers, not the agent: whatever a compiled function can reach is watched for
        changes, and of an agent everything changes.
        """
        return compile(function) if self.compiled else function

    def step_worlds(self, actions: Array) -> tuple[Array, Array, Array, Array]:
        """Take a step in all environments; (rewards, terminated, truncated, what was seen before any reset).

        `seen` is what is seen now.
        """
        observations, rewards, terminated, truncated, info = self.worlds.step(actions)
        self.seen = self.sight(observations)
        self.steps += len(rewards)
        self._returns += rewards
        self._lengths += 1
        self.largest_reward = max(self.largest_reward, float(abs(rewards).max()))
        over = np.flatnonzero(terminated | truncated)
        last = self.seen
        if len(over):
            last = self.sight(info["final_obs"])
            self._close_episodes(over, terminated)
        return rewards.astype(np.float32), terminated, truncated, last

    def _close_episodes(self, over: Array, terminated: Array) -> None:
        ended = int(np.count_nonzero(terminated))
        self.terminated += ended
        self.cut_off += len(over) - ended
        for i in over.tolist():
            self.finished.append((self.steps, float(self._returns[i]), int(self._lengths[i])))
        self._returns[over], self._lengths[over] = 0.0, 0

    def to_world(self, actions: Array) -> Array:
        """Vectors in [−1, 1] (others are clipped) to the environment's bounds."""
        return np.asarray(self._centre + self._half * np.clip(actions, -1, 1))

    @property
    def progress(self) -> float:
        """The share of the steps that is over, in [0, 1]: what schedules depend on."""
        return min(1.0, self.steps / self.settings.steps)

    @property
    def masked(self) -> int:
        """How many steps were learned from as if nothing followed, since the agent was made."""
        raise NotImplementedError

    @property
    def exploration(self) -> float:
        """How much it tries: 1 at random, 0 always the same; NaN while not known.

        For choices the entropy over ln A, for vectors exp(entropy / K) / 2, the width beside all of [−1, 1].
        """
        entropy = self.figures.get("entropy")
        if entropy is None:
            return math.nan
        if hasattr(self, "_half"):
            return min(1.0, math.exp(min(0.0, entropy / self.action_size - math.log(2))))
        return entropy / math.log(self.action_size) if self.action_size > 1 else 1.0

    @property
    def most_a_step(self) -> float:
        """The largest |r|, and whatever else a step is worth to the agent."""
        return self.largest_reward

    def set_rate(self, optimizer: Any, rate: float) -> None:
        """Give an optimiser another learning rate."""
        for group in optimizer.param_groups:
            group["lr"] = rate

    def _look_at_actions(self, space: Any) -> None:
        kind = "choices" if hasattr(space, "n") else "vectors"
        if kind not in self.actions or (kind == "vectors" and len(space.shape) != 1):
            raise ValueError(
                f"{self.name} acts by {' or '.join(self.actions)}, this environment wants {space}. "
                "For choices (Discrete) take dqn, a2c or ppo; for vectors (Box) sac, ppo or a2c."
            )
        if kind == "choices":
            self.action_size = int(space.n)
            return
        low, high = np.asarray(space.low, np.float32), np.asarray(space.high, np.float32)
        if not (np.isfinite(low).all() and np.isfinite(high).all()):
            raise ValueError(f"{self.name} needs bounds of all actions, this environment has {space}.")
        self.action_size, self._centre, self._half = len(low), (low + high) / 2, (high - low) / 2

    # ------------------------------------------------------------------------------------- saved and restored

    def state_dict(self) -> dict[str, Any]:
        """All that decides how learning goes on, replay memory, environments and random numbers included."""
        return {
            "parts": {name: part.state_dict() for name, part in self.parts().items()},
            "random": self.random.bit_generator.state, "generator": self.generator.get_state(),
            "worlds": self.worlds.state_dict(), "seen": self.seen.copy(), "returns": self._returns.copy(),
            "lengths": self._lengths.copy(), "steps": self.steps, "updates": self.updates,
            "figures": dict(self.figures), "finished": list(self.finished), "largest_reward": self.largest_reward,
        }  # fmt: skip

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave; bit for bit, if the environments could be saved.

        Everything is looked at first, and if something fails after all, the agent is as it was before. Raises
        CheckpointError for the state of another agent, or of one with other networks, worlds or a smaller memory.
        """
        check_state(self, state)
        self._all_or_nothing(lambda: self._take_over(state))

    def _all_or_nothing(self, take_over: Callable[[], None]) -> None:
        put_back = remember(self)
        try:
            take_over()
        except Exception as error:
            put_back()
            if isinstance(error, CheckpointError):
                raise
            raise CheckpointError(f"the checkpoint does not fit: {type(error).__name__}: {error}") from error

    def _take_over(self, state: Mapping[str, Any]) -> None:
        parts = self.parts()
        seen = self.worlds.load_state_dict(state["worlds"])
        self.random.bit_generator.state = state["random"]
        self.generator.set_state(state["generator"])
        for name in sorted(parts, key=lambda name: isinstance(parts[name], Replay)):  # memories were checked: the last
            parts[name].load_state_dict(state["parts"][name])
        self._returns, self._lengths = np.array(state["returns"], float), np.array(state["lengths"], int)
        self.steps, self.updates = int(state["steps"]), int(state["updates"])
        self.largest_reward = float(state["largest_reward"])
        self.figures, self.finished = dict(state["figures"]), [tuple(row) for row in state["finished"]]
        self.seen = self.sight(seen)
        if not state["worlds"]:  # new episodes
            self._returns[:], self._lengths[:] = 0.0, 0

    def weights(self) -> dict[str, Any]:
        """A copy of the networks alone: what acting needs."""
        modules = {name: part for name, part in self.parts().items() if isinstance(part, Module)}
        return {
            name: {path: tensor.detach().clone() for path, tensor in module.state_dict().items()}
            for name, module in modules.items()
        }

    def load_weights(self, weights: Mapping[str, Any]) -> None:
        """The way back. Raises CheckpointError for weights of other networks, of which none are taken."""
        modules = {name: part for name, part in self.parts().items() if isinstance(part, Module)}
        if not isinstance(weights, Mapping) or set(weights) != set(modules):
            raise CheckpointError(f"these are no weights of the agent {self.name}: it has {', '.join(modules)}.")

        def take_over() -> None:
            for name, module in modules.items():
                module.load_state_dict(weights[name])

        self._all_or_nothing(take_over)


def look(function: Any) -> Any:
    """A function of arrays that runs without gradients and gives arrays."""

    def looking(*arrays: Array) -> Any:
        with no_grad():
            found = function(*(as_tensor(array) for array in arrays))
        if isinstance(found, Tensor):
            return found.numpy()
        return tuple(part.numpy() for part in found)

    return looking
