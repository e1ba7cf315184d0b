"""What all learning in tables shares: a table, an ε-greedy choice, step sizes, and what comes out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from chainrule.rl.episode import Array
from chainrule.rl.planning import greedy

#: A number, or a function: of how often (s, a) was tried for step sizes, of the episode's number (from 0) for ε.
Schedule = float | Callable[[int], float]


class Learned(NamedTuple):
    """What was learned.

    Attributes:
        q: action values (S, A).
        returns: the undiscounted return of each episode, as the exploring agent got it.
        lengths: the steps of each episode.
        visits: how often each action was tried in each state, (S, A).
    """

    q: Array
    returns: Array
    lengths: Array
    visits: Array

    @property
    def policy(self) -> Array:
        """The greedy action of each state, (S,)."""
        return greedy(self.q)

    @property
    def v(self) -> Array:
        """maxₐ q(s, a), (S,)."""
        return np.asarray(self.q.max(1))


class Table:
    """A table of action values that is being learned.

    Args:
        environment: of Gymnasium's interface, with whole numbers as observations and actions.
        gamma: the discount.
        step_size: α in (0, 1], a number or a function of n, how often (s, a) has been tried (from 1): 1/n makes means.
        epsilon: the probability to act at random instead of greedily, a number or a function of the episode (from 0).
        seed: of the agent and of the environment.
        q: first values (S, A); zeros unless given. Large ones make the agent try everything.

    Raises ValueError for other spaces and for numbers out of range.
    """

    def __init__(
        self, environment: Any, *, gamma: float, step_size: Schedule, epsilon: Schedule, seed: int, q: Any = None
    ) -> None:
        spaces = environment.observation_space, environment.action_space
        if not all(hasattr(space, "n") for space in spaces):
            raise ValueError(
                "tables need whole numbers as observations and actions; this environment has "
                f"{environment.observation_space} and {environment.action_space}: see the deep agents."
            )
        counts = int(spaces[0].n), int(spaces[1].n)
        if not 0 <= gamma <= 1:
            raise ValueError(f"gamma is a discount in [0, 1], got {gamma}.")
        self.environment, self.gamma = environment, gamma
        self.q = np.zeros(counts) if q is None else np.array(q, float)
        if self.q.shape != counts:
            raise ValueError(f"q is (states, actions) = {counts}, got an array of shape {self.q.shape}.")
        self.visits = np.zeros(counts, int)
        self.random = np.random.default_rng(seed)
        self.episode = -1
        self._step_size, self._epsilon = step_size, epsilon
        self._seed: int | None = seed
        self._returns: list[float] = []
        self._lengths: list[int] = []

    @property
    def epsilon(self) -> float:
        """ε of this episode."""
        return float(self._epsilon(self.episode) if callable(self._epsilon) else self._epsilon)

    def begin(self) -> int:
        """Reset the environment; the first state."""
        self.episode += 1
        self._returns.append(0.0)
        self._lengths.append(0)
        if not 0 <= self.epsilon <= 1:
            raise ValueError(f"epsilon is a probability, got {self.epsilon} in episode {self.episode}.")
        state, _ = self.environment.reset(seed=self._seed)
        self._seed = None
        return int(state)

    def act(self, state: int, q: Array | None = None) -> int:
        """An ε-greedy action; of equally good ones any."""
        if self.random.random() < self.epsilon:
            return int(self.random.integers(self.q.shape[1]))
        row = (self.q if q is None else q)[state]
        return int(self.random.choice(np.flatnonzero(row == row.max())))

    def probabilities(self, state: int) -> Array:
        """π(·|s) of the ε-greedy policy, (A,)."""
        row = self.q[state]
        best = row == row.max()
        return self.epsilon / len(row) + (1 - self.epsilon) * best / best.sum()

    def step(self, action: int) -> tuple[int, float, bool, bool]:
        """Next state, reward, terminated, and whether the episode is over for whatever reason."""
        state, reward, terminated, truncated, _ = self.environment.step(action)
        self._returns[-1] += float(reward)
        self._lengths[-1] += 1
        return int(state), float(reward), bool(terminated), bool(terminated or truncated)

    def rate(self, state: int, action: int) -> float:
        """Count a try of (s, a); α."""
        self.visits[state, action] += 1
        n = int(self.visits[state, action])
        alpha = float(self._step_size(n) if callable(self._step_size) else self._step_size)
        if not 0 < alpha <= 1:
            raise ValueError(f"a step size is in (0, 1], got {alpha} at try {n} of action {action} in state {state}.")
        return alpha

    def learned(self, q: Array | None = None) -> Learned:
        """What came out."""
        found = self.q if q is None else q
        return Learned(found, np.array(self._returns), np.array(self._lengths), self.visits)
