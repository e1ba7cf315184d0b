"""DQN: Q-learning with a network in place of the table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule import nn, optim
from chainrule.autodiff.mode import no_grad
from chainrule.functions.creation import as_tensor
from chainrule.rl.deep.agent import Agent
from chainrule.rl.deep.networks import QNetwork
from chainrule.rl.deep.replay import PrioritisedReplay, Replay
from chainrule.rl.episode import Array
from chainrule.tensor import Tensor


@dataclass(frozen=True)
class DQNSettings:
    """What can be chosen.

    Attributes:
        steps: in the environments, in all; ε and β follow them.
        gamma: the discount.
        hidden: sizes of hidden layers.
        learning_rate, batch_size, clip_norm: of each update, by Adam; the rate falls in a line to 0 over the steps, and
            gradients are clipped to this norm.
        memory: how many steps are remembered.
        warmup: steps before the first update.
        train_every, updates: after so many steps, so many updates.
        target_every: after so many steps the target network becomes a copy of the learning one.
        epsilon_end, exploration: ε falls in a line from 1 to `epsilon_end` within this share of the steps.
        double, duelling, prioritised: the three extensions.
    """

    steps: int = 50_000
    gamma: float = 0.99
    hidden: tuple[int, ...] = (128, 128)
    learning_rate: float = 1e-3
    batch_size: int = 64
    clip_norm: float = 10.0
    memory: int = 50_000
    warmup: int = 1_000
    train_every: int = 2
    updates: int = 1
    target_every: int = 100
    epsilon_end: float = 0.05
    exploration: float = 0.2
    double: bool = True
    duelling: bool = False
    prioritised: bool = False


class DQN(Agent):
    """Learn q(s, a) from remembered steps; act ε-greedily.

        y = r + γ·(1 − terminated)·maxₐ q⁻(s′, a);   loss = mean Huber(q(s, a) − y)

    The details that matter:

    - **Replay**: steps drawn at random from a memory, since neighbours in time are alike.
    - **Target network**: q⁻ is an older copy of q, so that the target does not run away with the guess. Each copy is a
      sweep of q-iteration, and i sweeps look i steps ahead: with 100 copies in all, a cart that drifts off the track
      after 150 steps looks as good as one that stays.
    - **Terminated, not truncated**: what a time limit cuts off goes on in value; y of the last step has its γ·max.
    - **Huber's loss** with δ = 1 and a clipped norm: a single wild error moves the weights by a bounded step.
    - **Double** (van Hasselt, Guez and Silver 2016): q chooses the action, q⁻ judges it: q⁻(s′, argmaxₐ q(s′, a)).
    - **Duelling** (Wang et al. 2016): see `QNetwork`. **Prioritised** (Schaul et al. 2016): see `PrioritisedReplay`;
      β goes from 0.4 to 1.

    Source: Mnih et al., "Human-level control through deep reinforcement learning", 2015; class notes E 8.2.5:
    q-iteration where the state space is too large for a table.

    >>> from chainrule import rl
    >>> agent = rl.DQN(rl.make_vector("cartpole", 1), rl.DQN.Settings(steps=200, warmup=100), seed=1, compile=False)
    >>> while agent.steps < 120:
    ...     agent.advance()
    >>> sorted(agent.figures)
    ['epsilon', 'loss', 'q']
    """

    name = "dqn"
    paper = "Mnih et al. 2015"
    Settings = DQNSettings

    def build(self) -> None:
        """The network, its older copy, the memory."""
        s = self.settings
        self.online, self.target = (QNetwork(self.sight.size, s.hidden, self.action_size, s.duelling) for _ in range(2))
        self.target.load_state_dict(self.online.state_dict())
        self.optimizer = optim.Adam(self.online.parameters(), lr=s.learning_rate)
        kind = PrioritisedReplay if s.prioritised else Replay
        self.memory: Any = kind(s.memory, self.sight.size, (), np.int64)
        self.values = self.online.glance()
        self._learn = self.ready(learning_step(self.online, self.target, self.optimizer, s))

    def parts(self) -> dict[str, Any]:
        """What is learned."""
        return {"online": self.online, "target": self.target, "optimizer": self.optimizer, "memory": self.memory}

    @property
    def epsilon(self) -> float:
        """ε of the next step."""
        s = self.settings
        if self.steps < s.warmup:
            return 1.0
        return float(max(s.epsilon_end, 1 - (1 - s.epsilon_end) * self.progress / s.exploration))

    @property
    def masked(self) -> int:
        """What the memory was given as ended."""
        return int(self.memory.ended)

    @property
    def exploration(self) -> float:
        """ε."""
        return self.epsilon

    def act(self, observations: Any, greedy: bool = True) -> Array:
        """The action with the largest value; while learning, one at random with probability ε."""
        return self._choose(self.sight(observations), 0.0 if greedy else self.epsilon)

    def _choose(self, rows: Array, epsilon: float) -> Array:
        best = self.values(rows).argmax(1) if epsilon < 1 else np.zeros(len(rows), int)
        if not epsilon:
            return np.asarray(best)
        explores = self.random.random(len(rows)) < epsilon
        return np.where(explores, self.random.integers(self.action_size, size=len(rows)), best)

    def advance(self) -> None:
        """One step in each environment, and the updates that are due."""
        s, before, seen = self.settings, self.steps, self.seen
        actions = self._choose(seen, self.epsilon)
        rewards, terminated, _, last = self.step_worlds(actions)
        self.memory.add(seen, actions, rewards, terminated, last)
        if self.steps >= s.warmup and self.steps // s.train_every > before // s.train_every:
            for _ in range(s.updates):
                self.update()
        if self.steps // s.target_every > before // s.target_every:
            with no_grad():
                for old, new in zip(self.target.parameters(), self.online.parameters(), strict=True):
                    old.copy_(new)

    def update(self) -> None:
        """One step of the optimiser on a batch from memory."""
        self.set_rate(self.optimizer, self.settings.learning_rate * (1 - self.progress))
        if self.settings.prioritised:
            self.memory.beta = 0.4 + 0.6 * self.progress
        batch = self.memory.draw(self.settings.batch_size, self.random)
        loss, value, errors = self._learn(*(as_tensor(getattr(batch, name)) for name in _LEARNED_FROM))
        if self.settings.prioritised:
            self.memory.update(batch.places, errors.numpy())
        self.updates += 1
        if self.updates % 50 == 1:  # reading numbers waits for them
            self.figures = {"loss": loss.item(), "q": value.item(), "epsilon": self.epsilon}


def learning_step(online: QNetwork, target: QNetwork, optimizer: optim.Optimizer, s: DQNSettings) -> Any:
    """The step that is compiled: a batch of memory to loss, mean value and errors (B,)."""
    gamma, double, clip_norm = s.gamma, s.double, s.clip_norm

    def learn(
        seen: Tensor, actions: Tensor, rewards: Tensor, terminated: Tensor, following: Tensor, weights: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        with no_grad():
            judged = target(following)
            if double:
                chosen = online(following).argmax(1)
                value = judged.gather(1, chosen[:, None])[:, 0]
            else:
                value = judged.max(1).values
            y = rewards + gamma * (1 - terminated) * value
        q = online(seen).gather(1, actions[:, None])[:, 0]
        loss = (weights * nn.functional.smooth_l1_loss(q, y, reduction="none")).mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(online.parameters(), clip_norm)
        optimizer.step()
        return loss.detach(), q.detach().mean(), (q - y).detach()

    return learn


_LEARNED_FROM = ("seen", "actions", "rewards", "terminated", "following", "weights")
