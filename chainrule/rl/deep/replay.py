"""Replay memories: what has been lived through, drawn again in a random order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from chainrule.errors import CheckpointError
from chainrule.keys import brief
from chainrule.rl.episode import Array


class Batch(NamedTuple):
    """Steps drawn from a memory.

    Attributes:
        seen, following: rows (B, D) before and after the step.
        actions: (B,) choices or (B, K) vectors.
        rewards: (B,).
        terminated: (B,) 1 where the world ended; truncated steps have 0, since their value goes on.
        places: where they lie in the memory.
        weights: (B,) what each counts for; 1 unless priorities bent the draw.
    """

    seen: Array
    following: Array
    actions: Array
    rewards: Array
    terminated: Array
    places: Array
    weights: Array


class Replay:
    """The last `capacity` steps; all are equally likely to be drawn.

    Steps that follow on each other are alike, and a network that learns from them in their order forgets the rest. (Lin
    1992; Mnih et al. 2015.)

    >>> memory = Replay(100, 2, (), np.int64)
    >>> _ = memory.add(np.zeros((1, 2)), np.array([1]), np.array([0.5]), np.array([False]), np.ones((1, 2)))
    >>> memory.draw(3, np.random.default_rng(0)).rewards
    array([0.5, 0.5, 0.5], dtype=float32)
    """

    def __init__(self, capacity: int, size: int, action_shape: tuple[int, ...], action_dtype: Any) -> None:
        if capacity < 1:
            raise ValueError(f"a memory holds at least one step, got capacity={capacity}.")
        self.capacity, self.count, self._next = capacity, 0, 0
        self.ended = 0  # of all that were ever added
        self._arrays = {
            "seen": np.zeros((capacity, size), np.float32), "following": np.zeros((capacity, size), np.float32),
            "actions": np.zeros((capacity, *action_shape), action_dtype), "rewards": np.zeros(capacity, np.float32),
            "terminated": np.zeros(capacity, np.float32),
        }  # fmt: skip

    def add(self, seen: Array, actions: Array, rewards: Array, terminated: Array, following: Array) -> Array:
        """Remember N steps, in place of the oldest; where they lie."""
        places = (self._next + np.arange(len(seen))) % self.capacity
        values = {
            "seen": seen,
            "following": following,
            "actions": actions,
            "rewards": rewards,
            "terminated": terminated,
        }
        for name, value in values.items():
            self._arrays[name][places] = value
        self._next = int((self._next + len(seen)) % self.capacity)
        self.count = min(self.count + len(seen), self.capacity)
        self.ended += int(np.sum(terminated))
        return places

    def draw(self, size: int, random: np.random.Generator) -> Batch:
        """Draw steps, with repetition. Raises ValueError if there are none."""
        if not self.count:
            raise ValueError("the memory is empty: nothing can be drawn from it.")
        return self._at(random.integers(self.count, size=size), np.ones(size, np.float32))

    def _at(self, places: Array, weights: Array) -> Batch:
        return Batch(**{name: array[places] for name, array in self._arrays.items()}, places=places, weights=weights)

    def state_dict(self) -> dict[str, Any]:
        """All steps that are held."""
        held = {name: array[: self.count].copy() for name, array in self._arrays.items()}
        return {"steps": held, "count": self.count, "next": self._next}

    def check(self, state: Any) -> None:
        """Raise CheckpointError unless a state is one of such a memory: same rows, and no more than have room."""
        if not isinstance(state, Mapping) or not {"steps", "count", "next"} <= set(state):
            raise CheckpointError(f"a memory's state has steps, count and next, got {brief(state)}.")
        steps, count, next_ = state["steps"], state["count"], state["next"]
        if not (isinstance(count, int) and isinstance(next_, int) and 0 <= count <= self.capacity > next_ >= 0):
            raise CheckpointError(
                f"the memory has room for {self.capacity} steps; in the checkpoint it holds {brief(count)}, the next "
                f"one comes to {brief(next_)}."
            )
        if not isinstance(steps, Mapping) or set(steps) != set(self._arrays):
            raise CheckpointError(f"a memory has {', '.join(self._arrays)} of each step, got {brief(steps)}.")
        for name, array in self._arrays.items():
            self._check_column(name, steps[name], (count, *array.shape[1:]), array.dtype)

    def _check_column(self, name: str, column: Any, shape: tuple[int, ...], dtype: Any) -> None:
        found = np.asarray(column)
        if found.shape != shape or found.dtype != dtype:
            raise CheckpointError(
                f"the memory's {name} of {shape[0]} steps is {dtype} of shape {shape}, in the checkpoint {found.dtype} "
                f"of shape {found.shape}."
            )

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Remember what `state_dict` gave. Raises CheckpointError, and changes nothing, if it does not fit."""
        self.check(state)
        self.count, self._next = int(state["count"]), int(state["next"])
        for name, array in self._arrays.items():
            array[: self.count] = state["steps"][name]


class PrioritisedReplay(Replay):
    """Steps that surprised are drawn more often: P(i) = pᵢ^α / Σ p^α, with pᵢ = |δᵢ| + 0.000001, δ the last error.

    What is drawn more often must count less, or the mean would be another: weights (n·P(i))^(−β), divided by the
    largest, with β going to 1 during learning. New steps have the highest priority seen. Sums are kept in a binary
    tree, so a draw and an update take log n steps.

    Source: Schaul, Quan, Antonoglou and Silver, "Prioritized experience replay", 2016.
    """

    def __init__(self, *args: Any, alpha: float = 0.6, beta: float = 0.4) -> None:
        super().__init__(*args)
        if not (0 <= alpha <= 1 and 0 <= beta <= 1):
            raise ValueError(f"alpha and beta are in [0, 1], got {alpha} and {beta}.")
        self.alpha, self.beta, self._largest = alpha, beta, 1.0
        self._leaves = 1 << (self.capacity - 1).bit_length()
        self._tree = np.zeros(2 * self._leaves)  # node i is the sum of 2i and 2i + 1; the leaves come last

    def add(self, *arrays: Array) -> Array:
        """Remember N steps with the highest priority."""
        places = super().add(*arrays)
        self._set(places, np.full(len(places), self._largest**self.alpha))
        return places

    def draw(self, size: int, random: np.random.Generator) -> Batch:
        """Draw steps by priority: one from each of `size` equal parts of the sum."""
        if not self.count:
            raise ValueError("the memory is empty: nothing can be drawn from it.")
        rest = (np.arange(size) + random.random(size)) / size * self._tree[1]
        nodes = np.ones(size, int)
        while nodes[0] < self._leaves:
            left = self._tree[2 * nodes]
            right = rest >= left
            rest = np.where(right, rest - left, rest)
            nodes = 2 * nodes + right
        places = np.minimum(nodes - self._leaves, self.count - 1)  # a rounded sum may lead one too far
        shares = self._tree[self._leaves + places] / self._tree[1]
        weights = (self.count * shares) ** -self.beta
        return self._at(places, (weights / weights.max()).astype(np.float32))

    def update(self, places: Array, errors: Array) -> None:
        """Set the priorities of steps to their new errors."""
        priorities = abs(np.asarray(errors, float)) + 1e-6
        self._largest = max(self._largest, float(priorities.max()))
        self._set(places, priorities**self.alpha)

    def _set(self, places: Array, values: Array) -> None:
        self._tree[self._leaves + places] = values
        nodes = np.unique((self._leaves + places) // 2)
        while nodes[0] >= 1:
            self._tree[nodes] = self._tree[2 * nodes] + self._tree[2 * nodes + 1]
            nodes = np.unique(nodes // 2)

    def state_dict(self) -> dict[str, Any]:
        """All steps with their priorities."""
        priorities = self._tree[self._leaves : self._leaves + self.count].copy()
        return {**super().state_dict(), "priorities": priorities, "largest": self._largest, "beta": self.beta}

    def check(self, state: Any) -> None:
        """As of a plain memory, and a priority for each step."""
        super().check(state)
        if not {"priorities", "largest", "beta"} <= set(state):
            raise CheckpointError("the memory goes by priorities, and the checkpoint has none.")
        self._check_column("priorities", state["priorities"], (state["count"],), self._tree.dtype)
        if not all(isinstance(state[name], int | float) for name in ("largest", "beta")):
            raise CheckpointError("the memory's largest priority and beta are numbers.")

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Remember what `state_dict` gave. Raises CheckpointError, and changes nothing, if it does not fit."""
        super().load_state_dict(state)
        self._largest, self.beta = float(state["largest"]), float(state["beta"])
        self._tree[:] = 0
        if self.count:
            self._set(np.arange(self.count), np.asarray(state["priorities"]))
