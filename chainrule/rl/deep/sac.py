"""SAC: continuous actions from a memory, by a policy that is rewarded for staying open."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule import nn, optim
from chainrule.autodiff.mode import no_grad
from chainrule.distributions import Normal
from chainrule.distributions.transforms import TanhTransform
from chainrule.functions.arithmetic import clamp, minimum
from chainrule.functions.creation import as_tensor, zeros
from chainrule.functions.elementwise import exp
from chainrule.functions.joining import cat
from chainrule.random import Generator, randn
from chainrule.rl.deep.agent import Agent
from chainrule.rl.deep.glance import glance
from chainrule.rl.deep.networks import perceptron
from chainrule.rl.deep.replay import Replay
from chainrule.rl.episode import Array
from chainrule.tensor import Parameter, Tensor


@dataclass(frozen=True)
class SACSettings:
    """What can be chosen.

    Attributes:
        steps: in the environments, in all.
        gamma: the discount.
        hidden: sizes of hidden layers, of the policy and of each of the two Q-functions.
        learning_rate, batch_size: of all three updates, by Adam.
        memory, warmup: steps remembered; steps at random before the first update.
        train_every, updates: after so many steps, so many updates.
        tau: the share of the new weights in the target's, at each update.
    """

    steps: int = 20_000
    gamma: float = 0.99
    hidden: tuple[int, ...] = (64, 64)
    learning_rate: float = 1e-3
    batch_size: int = 256
    memory: int = 100_000
    warmup: int = 500
    train_every: int = 1
    updates: int = 1
    tau: float = 0.005


class SquashedGaussian(nn.Module):
    """A policy over vectors in (−1, 1)ᴷ: a = tanh(u), u normal with mean and deviation from the network.

    log π(a|s) = Σ [log N(u) − log(1 − tanh² u)]. The second term takes u, not a: near ±1 it could not be
    had back.
    """

    def __init__(self, inputs: int, hidden: tuple[int, ...], actions: int) -> None:
        super().__init__()
        self.actions = actions
        self.torso = perceptron(inputs, hidden, 2 * actions)

    def forward(self, observations: Tensor) -> tuple[Tensor, Tensor]:
        """Observations (N, D) to means and log-deviations in [−5, 2], (N, K) each."""
        found = self.torso(observations)
        return found[:, : self.actions], clamp(found[:, self.actions :], -5.0, 2.0)

    def glance(self) -> Callable[[Array], tuple[Array, Array]]:
        """`forward` for a few rows of arrays, see `glance`."""
        torso, actions = glance(self.torso), self.actions

        def look(rows: Array) -> tuple[Array, Array]:
            found = torso(rows)
            return found[:, :actions], np.clip(found[:, actions:], -5.0, 2.0)

        return look

    def draw(self, observations: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Actions (N, K) made of standard normal noise (N, K), and their log-probabilities (N,)."""
        means, log_std = self(observations)
        normal, squash = Normal(means, exp(log_std), validate_args=False), TanhTransform()
        u = means + normal.scale * noise
        drawn = squash(u)
        return drawn, (normal.log_prob(u) - squash.log_abs_det_jacobian(u, drawn)).sum(1)


class SAC(Agent):
    """Soft actor–critic: the value of a state counts its future entropy too.

        y = r + γ·(1 − terminated)·[min(q₁⁻, q₂⁻)(s′, a′) − α·log π(a′|s′)],  a′ ~ π(·|s′)
        L_q = Σᵢ mean (qᵢ(s, a) − y)²
        L_π = mean α·log π(a|s) − min(q₁, q₂)(s, a),  a ~ π(·|s)
        L_α = −log α·(log π + H̄)

    The details that matter:

    - **Two Q-functions**, of which the smaller counts, since the policy seeks out errors upwards.
    - **Targets** that follow slowly: θ⁻ ← θ⁻ + τ·(θ − θ⁻) at each update.
    - **The temperature** α is learned, so that the entropy stays near H̄ = −K.
    - **The gradient goes through the drawn action**, a = tanh(μ + σ·noise).
    - **Truncated** steps have a value behind them, terminated ones do not.
    - Actions are vectors with bounds; the first `warmup` of them are uniform.

    Source: Haarnoja, Zhou, Abbeel and Levine, "Soft actor-critic", 2018, and "Soft actor-critic algorithms and
    applications", 2018.

    >>> from chainrule import rl
    >>> agent = rl.SAC(rl.make_vector("pendulum", 1), rl.SAC.Settings(warmup=20, batch_size=8), seed=1, compile=False)
    >>> while agent.steps < 25:
    ...     agent.advance()
    >>> sorted(agent.figures)
    ['alpha', 'entropy', 'loss', 'q']
    """

    name = "sac"
    paper = "Haarnoja et al. 2018"
    actions = ("vectors",)
    Settings = SACSettings

    def build(self) -> None:
        """Policy, two Q-functions with their targets, the temperature, the memory."""
        s, inputs = self.settings, self.sight.size + self.action_size
        self.policy = SquashedGaussian(self.sight.size, s.hidden, self.action_size)
        self.critics, self.targets = (
            nn.ModuleList([perceptron(inputs, s.hidden, 1) for _ in range(2)]) for _ in range(2)
        )
        self.targets.load_state_dict(self.critics.state_dict())
        self.temperature = Temperature()
        self.optimizers = [
            optim.Adam(module.parameters(), lr=s.learning_rate)
            for module in (self.critics, self.policy, self.temperature)
        ]
        self.memory = Replay(s.memory, self.sight.size, (self.action_size,), np.float32)
        self._policy_of = self.policy.glance()
        self._learn = self.ready(
            learning_step(self.policy, self.critics, self.targets, self.temperature, self.optimizers, self.generator, s)
        )

    def parts(self) -> dict[str, Any]:
        """What is learned."""
        modules = {
            "policy": self.policy, "critics": self.critics, "targets": self.targets, "temperature": self.temperature,
            "memory": self.memory,
        }  # fmt: skip
        return {**modules, **{f"optimizer {i}": optimizer for i, optimizer in enumerate(self.optimizers)}}

    @property
    def masked(self) -> int:
        """What the memory was given as ended."""
        return int(self.memory.ended)

    @property
    def most_a_step(self) -> float:
        """The largest |r| and the entropy's reward, α·H."""
        return self.largest_reward + self.figures.get("alpha", 0.0) * abs(self.figures.get("entropy", 0.0))

    def act(self, observations: Any, greedy: bool = True) -> Array:
        """tanh of the mean, or a drawn action, stretched to the environment's bounds."""
        return self.to_world(self._draw(self.sight(observations), greedy))

    def _draw(self, rows: Array, greedy: bool = False) -> Array:
        if not greedy and self.steps < self.settings.warmup:
            return self.random.uniform(-1, 1, (len(rows), self.action_size)).astype(np.float32)
        means, log_std = self._policy_of(rows)
        noise = 0.0 if greedy else self.random.standard_normal(means.shape)
        return np.tanh(means + np.exp(log_std) * noise).astype(np.float32)

    def advance(self) -> None:
        """One step in each environment, and the updates that are due."""
        s, before, seen = self.settings, self.steps, self.seen
        actions = self._draw(seen)
        rewards, terminated, _, last = self.step_worlds(self.to_world(actions))
        self.memory.add(seen, actions, rewards, terminated, last)
        if self.steps < s.warmup or self.steps // s.train_every == before // s.train_every:
            return
        for _ in range(s.updates):
            batch = self.memory.draw(s.batch_size, self.random)
            found = self._learn(*(as_tensor(getattr(batch, name)) for name in _LEARNED_FROM))
            self.updates += 1
            if self.updates % 50 == 1:
                names = ("loss", "q", "entropy", "alpha")
                self.figures = {name: value.item() for name, value in zip(names, found, strict=True)}


_LEARNED_FROM = ("seen", "actions", "rewards", "terminated", "following")


class Temperature(nn.Module):
    """log α, learned; 0 at first."""

    def __init__(self) -> None:
        super().__init__()
        self.log = Parameter(zeros(()))


def learning_step(
    policy: SquashedGaussian, critics: nn.ModuleList, targets: nn.ModuleList, temperature: Temperature,
    optimizers: list[optim.Adam], generator: Generator, s: SACSettings,
) -> Any:  # fmt: skip
    """The step that is compiled: a batch of memory to the critics' loss, mean value, entropy and α."""
    gamma, tau, wanted = s.gamma, s.tau, -float(policy.actions)
    of_critics, of_policy, of_temperature = optimizers

    def smaller(pair: nn.ModuleList, seen: Tensor, actions: Tensor) -> Tensor:
        together = cat([seen, actions], 1)
        return minimum(pair[0](together), pair[1](together))[:, 0]

    def learn(
        seen: Tensor, actions: Tensor, rewards: Tensor, terminated: Tensor, following: Tensor
    ) -> tuple[Tensor, ...]:
        alpha = exp(temperature.log).detach()
        with no_grad():
            next_actions, next_logs = policy.draw(following, randn(*actions.shape, generator=generator))
            y = rewards + gamma * (1 - terminated) * (smaller(targets, following, next_actions) - alpha * next_logs)
        together = cat([seen, actions], 1)
        q = [critic(together)[:, 0] for critic in critics]
        loss = ((q[0] - y) ** 2).mean() + ((q[1] - y) ** 2).mean()
        of_critics.zero_grad()
        loss.backward()
        of_critics.step()

        drawn, logs = policy.draw(seen, randn(*actions.shape, generator=generator))
        policy_loss = (alpha * logs - smaller(critics, seen, drawn)).mean()
        of_policy.zero_grad()
        policy_loss.backward()  # the critics collect gradients too, which their next zero_grad() clears
        of_policy.step()

        entropy = -logs.detach().mean()
        temperature_loss = temperature.log * (entropy - wanted)
        of_temperature.zero_grad()
        temperature_loss.backward()
        of_temperature.step()

        with no_grad():
            for old, new in zip(targets.parameters(), critics.parameters(), strict=True):
                old.lerp_(new, tau)
        return loss.detach(), q[0].detach().mean(), entropy, alpha

    return learn
