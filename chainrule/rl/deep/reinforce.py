"""REINFORCE: whole episodes, and more of what went well in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.functions.creation import as_tensor
from chainrule.rl.deep.a2c import policy_gradient_step
from chainrule.rl.deep.rollout import OnPolicy
from chainrule.rl.episode import Array, returns


@dataclass(frozen=True)
class REINFORCESettings:
    """What can be chosen.

    Attributes:
        steps: in the environments, in all.
        gamma: the discount.
        hidden: sizes of hidden layers, of policy and value function each.
        learning_rate, clip_norm: by Adam with ε = 1e-5; gradients are clipped to this norm.
        baseline: whether v(S_t), learned beside, is taken off the returns.
        entropy, value: what the entropy and the error of the values weigh in the loss.
        pad: updates see a multiple of so many steps, the rest of weight 0: compiled steps are made for sizes.
    """

    steps: int = 150_000
    gamma: float = 0.99
    hidden: tuple[int, ...] = (64, 64)
    learning_rate: float = 3e-3
    clip_norm: float = 0.5
    baseline: bool = True
    entropy: float = 0.0
    value: float = 0.5
    pad: int = 512


class REINFORCE(OnPolicy):
    """The policy gradient in its first form: one episode in each environment, then one update.

        ∇J = E[Σₜ ∇ log π(A_t|S_t)·(G_t − b(S_t))];   G_t by the rewards alone

    A baseline b leaves the mean as it is, since E[∇ log π] = 0, and takes away most of the noise: here the learned
    value, or the mean return without `baseline`. The details that matter: an episode that a time limit cuts off goes on
    with v(S_T), a terminated one does not; returns are standardised over all steps of the update; what an environment
    does after its episode is not learned from.

    Source: Williams, "Simple statistical gradient-following algorithms for connectionist reinforcement learning", 1992.

    >>> from chainrule import rl
    >>> agent = rl.REINFORCE(rl.make_vector("cartpole", 2), seed=1, compile=False)
    >>> agent.advance()
    >>> sorted(agent.figures)
    ['entropy', 'policy_loss', 'value_loss']
    """

    name = "reinforce"
    paper = "Williams 1992"
    Settings = REINFORCESettings

    def advance(self) -> None:
        """An episode in each environment and one update."""
        s = self.settings
        episodes = self._episodes()
        seen, actions, goals = (np.concatenate([episode[i] for episode in episodes]) for i in range(3))
        values = self._values_of(seen)[:, 0] if s.baseline else goals.mean()
        gains = goals - values
        gains = (gains - gains.mean()) / (gains.std() + 1e-8)
        short = -len(seen) % s.pad
        weights = np.ones(len(seen), np.float32) * (len(seen) + short) / len(seen)
        columns = [
            np.concatenate([column, np.zeros((short, *column.shape[1:]), column.dtype)])
            for column in (seen, actions, gains.astype(np.float32), goals.astype(np.float32), weights)
        ]
        found = self._learn(*map(as_tensor, columns))
        self.updates += 1
        self.figures = {n: v.item() for n, v in zip(("policy_loss", "value_loss", "entropy"), found, strict=True)}

    def learning_step(self) -> Any:
        """The same step as A2C's, with whole returns."""
        return policy_gradient_step(self)

    def _episodes(self) -> list[tuple[Array, Array, Array]]:
        """(seen, actions, returns) of one whole episode in each environment."""
        count = self.worlds.num_envs
        rows: list[list[tuple[Array, Array, float]]] = [[] for _ in range(count)]
        after, goes_on = np.zeros(count), np.zeros(count, bool)
        open_ = np.ones(count, bool)
        self.seen = self.sight(self.worlds.reset()[0])
        self._returns[:], self._lengths[:] = 0.0, 0
        while open_.any():
            seen, actions = self.seen, self._draw(self.seen)
            rewards, terminated, truncated, last = self.step_worlds(actions if self.chooses else self.to_world(actions))
            for i in np.flatnonzero(open_).tolist():
                rows[i].append((seen[i], actions[i], float(rewards[i])))
                if truncated[i]:
                    after[i], goes_on[i] = self._values_of(last)[i, 0], True
            open_ &= ~(terminated | truncated)
        self._masked += int((~goes_on).sum())
        found = []
        for i, episode in enumerate(rows):
            seen, actions, rewards = (np.stack(column) for column in zip(*episode, strict=True))
            found.append((seen, actions, returns(rewards, self.settings.gamma, after[i]).astype(np.float32)))
        return found
