"""A2C: an actor and a critic, one step after each short rollout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from chainrule import nn
from chainrule.functions.creation import as_tensor
from chainrule.rl.deep.rollout import OnPolicy
from chainrule.tensor import Tensor


@dataclass(frozen=True)
class A2CSettings:
    """What can be chosen; as in PPO, with one update for each rollout.

    Attributes:
        steps: in the environments, in all; the learning rate falls in a line to 0 over them.
        gamma, lambda_: the discount; how far advantages trust rewards seen, see `advantages`.
        hidden: sizes of hidden layers, of policy and value function each.
        learning_rate, clip_norm: by Adam with ε = 1e-5; gradients are clipped to this norm.
        length: steps of a rollout in each environment.
        entropy, value: what the entropy and the error of the values weigh in the loss.
        standardise: whether the advantages of a rollout are brought to mean 0 and deviation 1.
    """

    steps: int = 400_000
    gamma: float = 0.99
    lambda_: float = 0.95
    hidden: tuple[int, ...] = (64, 64)
    learning_rate: float = 3e-3
    clip_norm: float = 0.5
    length: int = 8
    entropy: float = 0.0
    value: float = 0.5
    standardise: bool = True


class A2C(OnPolicy):
    """Advantage actor–critic: the critic says how much better an action went than expected, the actor does more of it.

        L = −mean log π(a|s)·A + ½·c·mean (v − G)² − β·mean H;   A by GAE, G = A + v

    The details that matter: several environments side by side, so that a batch is not one stretch of one life;
    advantages are numbers here, no gradient goes through them into the critic; truncated steps bootstrap, terminated
    ones do not; orthogonal weights with a small last layer of the policy.

    Source: Mnih et al., "Asynchronous methods for deep reinforcement learning", 2016, in the synchronous form.

    >>> from chainrule import rl
    >>> agent = rl.A2C(rl.make_vector("cartpole", 4), seed=1, compile=False)
    >>> agent.advance()
    >>> agent.steps, sorted(agent.figures)
    (32, ['entropy', 'policy_loss', 'value_loss'])
    """

    name = "a2c"
    paper = "Mnih et al. 2016"
    Settings = A2CSettings

    def advance(self) -> None:
        """A rollout and one update."""
        s = self.settings
        self.set_rate(self.optimizer, s.learning_rate * (1 - self.progress))
        rollout = self.roll_out(s.length)
        gains, goals = self.judged(rollout, s.lambda_)
        if s.standardise:
            gains = (gains - gains.mean()) / (gains.std() + 1e-8)
        rows = rollout.seen.reshape(-1, self.sight.size)
        actions = rollout.actions.reshape(len(rows), *rollout.actions.shape[2:])
        found = self._learn(*(as_tensor(column) for column in (rows, actions, gains.reshape(-1), goals.reshape(-1))))
        self.updates += 1
        if self.updates % 10 == 1:
            names = ("policy_loss", "value_loss", "entropy")
            self.figures = {name: value.item() for name, value in zip(names, found, strict=True)}

    def learning_step(self) -> Any:
        """A rollout to its losses and entropy."""
        return policy_gradient_step(self)


def policy_gradient_step(agent: OnPolicy) -> Any:
    """One step of −mean w·log π·A + c·½·mean w·(v − G)² − β·mean w·H; figures. Entries may weigh differently."""
    s, policy, value, optimizer = agent.settings, agent.policy, agent.value, agent.optimizer
    entropy_weight, value_weight, clip_norm = s.entropy, s.value, s.clip_norm
    parameters = [*policy.parameters(), *value.parameters()]

    def learn(
        seen: Tensor, actions: Tensor, gains: Tensor, goals: Tensor, weights: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        logs, entropy = policy.judge(seen, actions)
        squares = (value(seen)[:, 0] - goals) ** 2
        if weights is not None:
            logs, entropy, squares = logs * weights, entropy * weights, squares * weights
        policy_loss, value_loss = -(logs * gains).mean(), 0.5 * squares.mean()
        loss = policy_loss + value_weight * value_loss - entropy_weight * entropy.mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, clip_norm)
        optimizer.step()
        return policy_loss.detach(), value_loss.detach(), entropy.detach().mean()

    return learn
