"""Small networks for agents: a perceptron, a Q-function, and policies for choices and for continuous actions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from chainrule import nn
from chainrule.distributions import Categorical, Normal
from chainrule.functions.creation import full
from chainrule.functions.elementwise import exp
from chainrule.rl.deep.glance import glance
from chainrule.rl.episode import Array
from chainrule.tensor import Parameter, Tensor


def perceptron(
    inputs: int, hidden: Sequence[int], outputs: int, activation: type[nn.Module] = nn.ReLU,
    last_gain: float | None = None,
) -> nn.Sequential:  # fmt: skip
    """Linear layers with an activation between them.

    With `last_gain` the weights are orthogonal, √2 in hidden layers and that in the last, and biases 0: a policy that
    begins with a small last layer begins by choosing at random, which on-policy agents need. Without, the layers' own
    initialisation.

    >>> perceptron(4, (64, 64), 2)[-1].out_features
    2
    """
    layers: list[nn.Module] = []
    for size in hidden:
        layers += [nn.Linear(inputs, size), activation()]
        inputs = size
    layers.append(nn.Linear(inputs, outputs))
    if last_gain is not None:
        for layer in layers:
            if isinstance(layer, nn.Linear):
                nn.init.orthogonal_(layer.weight, last_gain if layer is layers[-1] else math.sqrt(2))
                nn.init.zeros_(layer.bias)
    return nn.Sequential(*layers)


class QNetwork(nn.Module):
    """Observations (N, D) to a value for each action, (N, A).

    `duelling`: q(s, a) = v(s) + b(s, a) − meanₐ b(s, a): one stream says how good the state is, the other what the
    choice changes. Where actions hardly matter, each step then teaches about all of them (Wang et al. 2016).
    """

    def __init__(self, inputs: int, hidden: Sequence[int], actions: int, duelling: bool = False) -> None:
        super().__init__()
        self.duelling = duelling
        if duelling:
            self.torso = nn.Sequential(*perceptron(inputs, hidden[:-1], hidden[-1]), nn.ReLU())
            self.value, self.advantage = nn.Linear(hidden[-1], 1), nn.Linear(hidden[-1], actions)
        else:
            self.values = perceptron(inputs, hidden, actions)

    def forward(self, observations: Tensor) -> Tensor:
        """(N, D) to (N, A)."""
        if not self.duelling:
            return self.values(observations)
        seen = self.torso(observations)
        advantage = self.advantage(seen)
        return self.value(seen) + advantage - advantage.mean(1, keepdim=True)

    def glance(self) -> Callable[[Array], Array]:
        """`forward` for a few rows of arrays, see `glance`."""
        if not self.duelling:
            return glance(self.values)
        torso, value, advantage = glance(self.torso), glance([self.value]), glance([self.advantage])

        def look(rows: Array) -> Array:
            seen = torso(rows)
            b = advantage(seen)
            return np.asarray(value(seen) + b - b.mean(1, keepdims=True))

        return look


class Choices(nn.Module):
    """A policy over A choices: π(a|s) = softmax of A scores."""

    def __init__(self, inputs: int, hidden: Sequence[int], actions: int) -> None:
        super().__init__()
        self.scores = perceptron(inputs, hidden, actions, nn.Tanh, last_gain=0.01)

    def forward(self, observations: Tensor) -> Tensor:
        """Observations (N, D) to log-probabilities (N, A)."""
        return self.distribution(observations).logits

    def distribution(self, observations: Tensor) -> Categorical:
        """π(·|s) of observations (N, D)."""
        return Categorical(logits=self.scores(observations), validate_args=False)

    def judge(self, observations: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """log π(a|s) of actions (N,) and the entropy −Σ π·log π, both (N,)."""
        policy = self.distribution(observations)
        return policy.log_prob(actions), policy.entropy()

    def glance(self) -> Callable[[Array], Array]:
        """The scores of a few rows of arrays, log π(a|s) but for a number added to all of a row; see `glance`."""
        return glance(self.scores)


class Gaussian(nn.Module):
    """A policy over vectors (K): normal, its means from the network, its deviations learned and the same everywhere.

    It works in [−1, 1]; `agent.act` clips and stretches to the environment's bounds.
    """

    def __init__(self, inputs: int, hidden: Sequence[int], actions: int) -> None:
        super().__init__()
        self.means = perceptron(inputs, hidden, actions, nn.Tanh, last_gain=0.01)
        self.log_std = Parameter(full((actions,), -0.5))

    def forward(self, observations: Tensor) -> tuple[Tensor, Tensor]:
        """Observations (N, D) to means (N, K) and log-deviations (K,)."""
        return self.means(observations), self.log_std * 1.0

    def judge(self, observations: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """log π(a|s) of actions (N, K) and the entropy, both (N,)."""
        means, log_std = self(observations)
        policy = Normal(means, exp(log_std), validate_args=False)
        return policy.log_prob(actions).sum(1), policy.entropy().sum(1)

    def glance(self) -> Callable[[Array], tuple[Array, Array]]:
        """`forward` for a few rows of arrays, see `glance`."""
        means, log_std = glance(self.means), self.log_std
        return lambda rows: (means(rows), log_std.value.array)


def gumbel_choice(logs: Array, noise: Array) -> Array:
    """Draw from log-probabilities (N, A): argmax of them plus Gumbel noise −ln(−ln u), u uniform (N, A).

    A number added to all of a row changes nothing, so scores will do.

    >>> gumbel_choice(np.log([[0.5, 0.5]]), np.array([[0.2, 0.9]]))
    array([1])
    """
    return np.asarray((logs - np.log(-np.log(noise))).argmax(1))
