"""PPO: several passes over each rollout, without going far from the policy that made it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from chainrule import nn
from chainrule.functions.arithmetic import clamp, minimum
from chainrule.functions.creation import as_tensor
from chainrule.functions.elementwise import exp
from chainrule.rl.deep.agent import look
from chainrule.rl.deep.rollout import OnPolicy
from chainrule.tensor import Tensor


@dataclass(frozen=True)
class PPOSettings:
    """What can be chosen.

    Attributes:
        steps: in the environments, in all; the learning rate falls in a line to 0 over them.
        gamma, lambda_: the discount; how far advantages trust rewards seen, see `advantages`.
        hidden: sizes of hidden layers, of policy and value function each.
        learning_rate, clip_norm: by Adam with ε = 1e-5; gradients are clipped to this norm.
        length: steps of a rollout in each environment.
        epochs, batch_size: passes over a rollout, in batches.
        clip: how far the ratio of probabilities may go from 1 and still be rewarded.
        entropy, value: what the entropy and the error of the values weigh in the loss.
    """

    steps: int = 100_000
    gamma: float = 0.99
    lambda_: float = 0.95
    hidden: tuple[int, ...] = (64, 64)
    learning_rate: float = 1e-3
    clip_norm: float = 0.5
    length: int = 32
    epochs: int = 10
    batch_size: int = 128
    clip: float = 0.2
    entropy: float = 0.0
    value: float = 0.5


class PPO(OnPolicy):
    """Proximal policy optimisation, with the clipped objective.

        r(θ) = π_θ(a|s) / π_old(a|s);   L = −mean min(r·A, clip(r, 1 − ε, 1 + ε)·A) + ½·c·mean (v − G)² − β·mean H

    The details that matter:

    - **Clipping** takes away the reward for going further: the minimum keeps it pessimistic on both sides.
    - **Advantages** by GAE, standardised within each batch; returns G = A + v, with v of before the update.
    - **Truncated** steps bootstrap, terminated ones do not (`advantages`).
    - **Orthogonal weights**, the policy's last layer small (0.01): it begins by choosing at random.
    - **Adam with ε = 1e-5**, a rate that falls to 0, gradients clipped together to a norm of ½.
    - Batches are drawn anew in each pass; the last one may not be smaller: T·N is a multiple of `batch_size`.

    Source: Schulman, Wolski, Dhariwal, Radford and Klimov, "Proximal policy optimization algorithms", 2017; the
    details: Huang et al., "The 37 implementation details of proximal policy optimization", 2022.

    >>> from chainrule import rl
    >>> agent = rl.PPO(rl.make_vector("cartpole", 4), rl.PPO.Settings(length=32, epochs=1), seed=1, compile=False)
    >>> agent.advance()
    >>> agent.steps, sorted(agent.figures)
    (128, ['clipped', 'entropy', 'policy_loss', 'value_loss'])
    """

    name = "ppo"
    paper = "Schulman et al. 2017"
    Settings = PPOSettings

    def build(self) -> None:
        """Networks, and what is asked once for each rollout."""
        super().build()
        count = self.settings.length * self.worlds.num_envs
        if count % self.settings.batch_size:
            raise ValueError(
                f"a rollout of {self.settings.length}×{self.worlds.num_envs} steps is not whole batches of "
                f"{self.settings.batch_size}."
            )
        self._judge = look(self.ready(self.policy.judge))

    def advance(self) -> None:
        """A rollout, and some passes over it."""
        s = self.settings
        self.set_rate(self.optimizer, s.learning_rate * (1 - self.progress))
        rollout = self.roll_out(s.length)
        gains, goals = self.judged(rollout, s.lambda_)
        rows = rollout.seen.reshape(-1, self.sight.size)
        actions = rollout.actions.reshape(len(rows), *rollout.actions.shape[2:])
        columns = rows, actions, self._judge(rows, actions)[0], gains.reshape(-1), goals.reshape(-1)
        for _ in range(s.epochs):
            for places in self.random.permutation(len(rows)).reshape(-1, s.batch_size):
                found = self._learn(*(as_tensor(column[places]) for column in columns))
                self.updates += 1
        names = ("policy_loss", "value_loss", "entropy", "clipped")
        self.figures = {name: value.item() for name, value in zip(names, found, strict=True)}

    def learning_step(self) -> Any:
        """A batch to its losses, entropy, and the share of ratios that were clipped."""
        s, policy, value, optimizer = self.settings, self.policy, self.value, self.optimizer
        clip, entropy_weight, value_weight, clip_norm = s.clip, s.entropy, s.value, s.clip_norm
        parameters = [*policy.parameters(), *value.parameters()]

        def learn(seen: Tensor, actions: Tensor, old: Tensor, gains: Tensor, goals: Tensor) -> tuple[Tensor, ...]:
            logs, entropy = policy.judge(seen, actions)
            gains = (gains - gains.mean()) / (gains.std() + 1e-8)
            ratio = exp(logs - old)
            policy_loss = -minimum(ratio * gains, clamp(ratio, 1 - clip, 1 + clip) * gains).mean()
            value_loss = 0.5 * ((value(seen)[:, 0] - goals) ** 2).mean()
            loss = policy_loss + value_weight * value_loss - entropy_weight * entropy.mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, clip_norm)
            optimizer.step()
            clipped = ((ratio.detach() - 1).abs() > clip).to(ratio.dtype).mean()
            return policy_loss.detach(), value_loss.detach(), entropy.detach().mean(), clipped

        return learn
