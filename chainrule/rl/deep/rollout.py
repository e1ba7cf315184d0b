"""Rollouts of on-policy agents: some steps in all environments, and how much better they went than expected."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from chainrule import nn, optim
from chainrule.rl.deep.agent import Agent, look
from chainrule.rl.deep.networks import Choices, Gaussian, gumbel_choice, perceptron
from chainrule.rl.episode import Array


class Rollout(NamedTuple):
    """T steps in N environments.

    Attributes:
        seen, last: what was seen before and after each step, (T, N, D); `last` is before any reset.
        actions: (T, N) choices or (T, N, K) vectors, as drawn.
        rewards: (T, N).
        terminated, over: whether the world ended, and whether the episode did, for whatever reason; (T, N).
    """

    seen: Array
    last: Array
    actions: Array
    rewards: Array
    terminated: Array
    over: Array


def advantages(rollout: Rollout, values: Array, following: Array, gamma: float, lambda_: float) -> Array:
    """Generalised advantage estimates (T, N): how much better than v(S_t) it went.

        δ_t = R_{t+1} + γ·(1 − terminated)·v(S_{t+1}) − v(S_t);   A_t = δ_t + γ·λ·(1 − over)·A_{t+1}

    values, following: v of `rollout.seen` and `rollout.last`. λ = 0 trusts the next value, λ = 1 the rewards seen. A
    truncated step has its v(S_{t+1}), a terminated one none; over neither does news of the next episode come back.

    Source: Schulman, Moritz, Levine, Jordan and Abbeel, "High-dimensional continuous control using generalized
    advantage estimation", 2016.

    >>> steps = np.ones((2, 1)); ends = np.array([[False], [True]])
    >>> rollout = Rollout(steps, steps, steps, steps, ends, ends)
    >>> advantages(rollout, np.zeros((2, 1)), np.full((2, 1), 9.0), gamma=0.5, lambda_=1.0)[:, 0]
    array([6., 1.])
    """
    errors = rollout.rewards + gamma * np.where(rollout.terminated, 0, following) - values
    result, after = np.zeros_like(errors), np.zeros_like(errors[0])
    for t in range(len(errors) - 1, -1, -1):
        after = result[t] = errors[t] + gamma * lambda_ * np.where(rollout.over[t], 0, after)
    return result


class OnPolicy(Agent):
    """What A2C, PPO and REINFORCE share: a policy, a value function, one optimiser for both, and rollouts.

    `Settings` has `hidden`, `learning_rate` and `steps`.
    """

    actions = ("choices", "vectors")
    policy: Choices | Gaussian

    def build(self) -> None:
        """Policy and value function are networks of their own."""
        self._masked = 0
        s = self.settings
        self.chooses = hasattr(self.worlds.single_action_space, "n")
        kind = Choices if self.chooses else Gaussian
        self.policy = kind(self.sight.size, s.hidden, self.action_size)
        self.value = perceptron(self.sight.size, s.hidden, 1, nn.Tanh, last_gain=1.0)
        self.optimizer = optim.Adam([*self.policy.parameters(), *self.value.parameters()], lr=s.learning_rate, eps=1e-5)
        self._policy_of: Any = self.policy.glance()
        self._values_of = look(self.ready(self.value))
        self._learn = self.ready(self.learning_step())

    def learning_step(self) -> Any:
        """The function that is compiled: from a batch of arrays to figures."""
        raise NotImplementedError

    def parts(self) -> dict[str, Any]:
        """What is learned."""
        return {"policy": self.policy, "value": self.value, "optimizer": self.optimizer}

    def act(self, observations: Any, greedy: bool = True) -> Array:
        """The likeliest action, or one drawn from the policy."""
        actions = self._draw(self.sight(observations), greedy)
        return actions if self.chooses else self.to_world(actions)

    def _draw(self, rows: Array, greedy: bool = False) -> Array:
        if self.chooses:
            scores = self._policy_of(rows)
            return np.asarray(scores.argmax(1)) if greedy else gumbel_choice(scores, self.random.random(scores.shape))
        means, log_std = self._policy_of(rows)
        noise = 0.0 if greedy else self.random.standard_normal(means.shape)
        return np.asarray(means + np.exp(log_std) * noise, np.float32)

    def roll_out(self, length: int) -> Rollout:
        """Take so many steps in each environment."""
        rows: list[tuple[Array, ...]] = []
        for _ in range(length):
            seen = self.seen
            actions = self._draw(seen)
            rewards, terminated, truncated, last = self.step_worlds(actions if self.chooses else self.to_world(actions))
            rows.append((seen, last, actions, rewards, terminated, terminated | truncated))
        return Rollout(*(np.stack(column) for column in zip(*rows, strict=True)))

    @property
    def masked(self) -> int:
        """Steps whose advantages knew nothing of what followed."""
        return self._masked

    def judged(self, rollout: Rollout, lambda_: float) -> tuple[Array, Array]:
        """Advantages of a rollout and the goals of the values, A + v, both (T, N)."""
        values = self.values(rollout.seen)
        self._masked += int(rollout.terminated.sum())
        gains = advantages(rollout, values, self.values(rollout.last), self.settings.gamma, lambda_).astype(np.float32)
        return gains, gains + values

    def values(self, rows: Array) -> Array:
        """v of rows (T, N, D), (T, N)."""
        flat = self._values_of(rows.reshape(-1, rows.shape[-1]))
        return np.asarray(flat.reshape(rows.shape[:-1]))
