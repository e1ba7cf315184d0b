"""Runs for the doctor's tests: models, data, training, and healthy runs; the faults are in doctor_faults.py."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from typing import Any

import numpy as np

import chainrule
from chainrule import nn, optim, rl
from chainrule.data import DataLoader, TensorDataset, digits
from chainrule.data.transforms import RandomCrop
from chainrule.rl.deep.watching import acting_of
from chainrule.tensor import Tensor
from chainrule.train import DivergedError, Doctor, Finding, Trainer

SPLITS = digits(size=8)
INPUTS, LABELS = (part.numpy() for part in SPLITS.train[:])


# ------------------------------------------------------------------------------------- models, data, training


def perceptron(*sizes: int, activation: Callable[[], nn.Module] = nn.ReLU, end: tuple[nn.Module, ...] = ()) -> Any:
    """Flatten, then Linear layers with activations between."""
    layers: list[nn.Module] = [nn.Flatten()]
    for before, after in itertools.pairwise(sizes):
        layers += [nn.Linear(before, after), activation()]
    return nn.Sequential(*layers[:-1], *end)


def network(norm: bool = False, dropout: float = 0.0) -> Any:
    """A small convolutional network for the digits."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1, bias=not norm),
        *([nn.BatchNorm2d(8)] if norm else []),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1, bias=not norm),
        *([nn.BatchNorm2d(16)] if norm else []),
        nn.ReLU(),
        nn.Flatten(),
        *([nn.Dropout(dropout)] if dropout else []),
        nn.Linear(256, 10),
    )


class Rows(nn.Module):
    """An LSTM that reads a digit row by row."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.out = nn.LSTM(8, 32, batch_first=True), nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        """The classes' scores after the last row."""
        return self.out(self.lstm(x.squeeze(1))[0][:, -1])


class Patches(nn.Module):
    """A small vision transformer."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True, norm_first=True, activation="gelu")
        self.embed, self.position = nn.Conv2d(1, 32, 2, 2), nn.Parameter(0.02 * chainrule.randn(1, 16, 32))
        self.encoder, self.out = nn.TransformerEncoder(layer, 1), nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        """The classes' scores from the mean over patches."""
        tokens = self.embed(x).flatten(2).permute(0, 2, 1) + self.position
        return self.out(self.encoder(tokens).mean(1))


def filled(model: Any, value: float) -> Any:
    """All parameters of a model set to one value."""
    for parameter in model.parameters():
        nn.init.constant_(parameter, value)
    return model


def scaled(model: Any, factor: float, *layers: int) -> Any:
    """The weights of some layers (by default all) of a Sequential multiplied."""
    with chainrule.no_grad():
        for i, layer in enumerate(model):
            if hasattr(layer, "weight") and (not layers or i in layers):
                layer.weight.mul_(factor)
    return model


def silenced(model: Any, layer: int, units: int) -> Any:
    """The first units of a layer with biases so low that no sample gets them above zero."""
    with chainrule.no_grad():
        model[layer].bias[:units] = -100.0
    return model


def regression(size: int, noise: float = 0.1) -> TensorDataset:
    """Five features and a function of three of them."""
    x = chainrule.randn(size, 5)
    y = (x[:, :1] - 2 * x[:, 1:2] + x[:, 2:3].abs()) / 2
    return TensorDataset(x, y + noise * chainrule.randn(size, 1))


def pairs(inputs: Any, targets: Any) -> TensorDataset:
    """A dataset of two arrays."""
    return TensorDataset(chainrule.tensor(inputs), chainrule.tensor(targets))


def answers(condition: Any) -> Any:
    """True or false as a target of a loss with logits: (N, 1) of 0 and 1."""
    return np.asarray(condition, np.float32)[:, None]


def train(
    model: Any,
    loss: Any = None,
    data: Any = None,
    validation: Any = None,
    *,
    epochs: int = 3,
    rate: float = 1e-3,
    rule: Any = optim.Adam,
    every: int = 5,
    shuffle: bool = True,
    doctor: Doctor | None = None,
    **settings: Any,
) -> list[Finding]:
    """Train on the digits unless other data are given (validation=False: none); what the doctor found.

    A run that diverges ends there: the doctor is to say why.
    """
    doctor = doctor or Doctor(every, quiet=True)
    data = SPLITS.train if data is None else data
    validation = SPLITS.validation if validation is None else validation
    optimizer = rule(model.parameters(), lr=rate)
    trainer = Trainer(model, loss or nn.CrossEntropyLoss(), optimizer, callbacks=[doctor], **settings)
    held = None if validation is False else DataLoader(validation, batch_size=64)
    try:
        trainer.fit(DataLoader(data, batch_size=64, shuffle=shuffle), held, epochs=epochs)
    except DivergedError:
        assert doctor.findings, "a run that diverges is never without a finding"
    return doctor.findings


def by_day(whole: int) -> int:
    """Epochs or steps of a run in which all is well: whole at night."""
    return whole if os.environ.get("CHAINRULE_NIGHTLY") else -(-whole * 2 // 5)


def by_squares(model: Any, data: Any, validation: Any, **settings: Any) -> list[Finding]:
    """`train` with the mean squared error."""
    return train(model, nn.MSELoss(), data, validation, **settings)


HEALTHY: dict[str, Callable[[], list[Finding]]] = {
    "MLP": lambda: train(perceptron(64, 32, 10), epochs=by_day(25), metrics=["accuracy"]),
    "MLP, tanh": lambda: train(perceptron(64, 32, 10, activation=nn.Tanh), epochs=by_day(15)),
    "MLP by SGD": lambda: train(perceptron(64, 64, 32, 10), rule=optim.SGD, rate=0.1, epochs=by_day(15)),
    "deep MLP": lambda: train(perceptron(64, 64, 64, 64, 64, 10), epochs=by_day(12)),
    "CNN": lambda: train(network(), epochs=by_day(8)),
    "CNN with BatchNorm": lambda: train(network(True), epochs=by_day(8), metrics=["accuracy"]),
    "CNN with dropout": lambda: train(network(True, 0.5), epochs=by_day(8), transform=RandomCrop(8, padding=1)),
    "MLP with dropout": lambda: train(perceptron(64, 64, 10, activation=lambda: nn.Sequential(nn.ReLU(), nn.Dropout(0.3))), epochs=by_day(15)),
    "logistic regression from zero": lambda: train(filled(perceptron(64, 10), 0.0), epochs=by_day(15), rate=1e-2),
    "DQN": lambda: agent_watched(small_agent(rl.DQN, "cartpole", 200), by_day(4000)),
    "PPO": lambda: agent_watched(small_agent(rl.PPO, "cartpole", 100), by_day(4000)),
    "A2C with vectors": lambda: agent_watched(small_agent(rl.A2C, "pendulum", 50), by_day(3000)),
    "REINFORCE": lambda: agent_watched(small_agent(rl.REINFORCE, "cartpole", 60), by_day(4000)),
    "SAC": lambda: agent_watched(small_agent(rl.SAC, "pendulum", 50, train_every=8), by_day(2000)),
    "regression": lambda: by_squares(perceptron(5, 32, 1), regression(400), regression(200), epochs=by_day(30), rate=1e-2),
    "linear regression": lambda: by_squares(nn.Linear(5, 1), regression(400), regression(200), epochs=by_day(20), rate=0.05, rule=optim.SGD),
    "two classes": lambda: train(
        perceptron(64, 16, 1), nn.BCEWithLogitsLoss(), pairs(INPUTS, answers(LABELS < 5)), False, epochs=by_day(15), rate=3e-3
    ),
    "LSTM": lambda: train(Rows(), epochs=by_day(8), rate=3e-3),
    "transformer": lambda: train(Patches(), epochs=5, rate=3e-3, metrics=["accuracy"]),
    "autoencoder": lambda: by_squares(
        perceptron(64, 64, 16, 64, 64, end=(nn.Unflatten(1, (1, 8, 8)),)), pairs(INPUTS, INPUTS), False, epochs=by_day(20), rate=3e-3
    ),
    "clipped, accumulated": lambda: train(perceptron(64, 32, 10), epochs=by_day(20), clip_norm=1.0, accumulate=2, rate=3e-3),
}  # fmt: skip


# ------------------------------------------------------------------------------------- loops of one's own


def loop(
    model: Any, *, epochs: int = 4, clear: bool = True, train_mode: bool = True, eval_mode: bool = True
) -> list[Finding]:
    """A loop of one's own, in which something can be forgotten."""
    optimizer, loss_function = optim.SGD(model.parameters(), lr=0.01), nn.CrossEntropyLoss()
    doctor = Doctor.watch(model, optimizer, loss_function, every=5, quiet=True)
    for _ in range(epochs):
        if train_mode:
            model.train()
        for x, y in DataLoader(SPLITS.train, batch_size=128, shuffle=True):
            if clear:
                optimizer.zero_grad()
            loss = loss_function(model(x), y)
            loss.backward()
            doctor.observe(loss, x, y)
            optimizer.step()
        if eval_mode:
            model.eval()
        with chainrule.no_grad():
            for x, y in DataLoader(SPLITS.validation, batch_size=256):
                doctor.observe_validation(loss_function(model(x), y), x, y)
        doctor.end_epoch()
    return doctor.finish()


def generator_watched(samples: Any, real: Any) -> list[Finding]:
    """A doctor shown what a generator makes."""
    doctor = Doctor.watch(nn.Linear(2, 2), quiet=True)
    doctor.observe_generator(samples, real)
    return doctor.findings


def agent_watched(agent: Any, steps: int, looks: int = 10) -> list[Finding]:
    """An agent that learns for so many steps, looked at now and then."""
    doctor = Doctor(quiet=True)
    for look in range(1, looks + 1):
        while agent.steps < steps * look / looks:
            agent.advance()
        doctor.observe_agent(acting_of(agent))
    return doctor.findings


def masked(kind: type[Any]) -> type[Any]:
    """An agent that learns from what a time limit cut off as if it had ended."""

    class Masked(kind):  # type: ignore[misc]
        def step_worlds(self, actions: Any) -> Any:
            rewards, terminated, truncated, last = super().step_worlds(actions)
            return rewards, terminated | truncated, truncated & False, last

    return Masked


def small_agent(kind: type[Any], world: str, max_steps: int = 30, **settings: Any) -> Any:
    """A quick one, not compiled."""
    if issubclass(kind, rl.DQN | rl.SAC):
        settings = {"warmup": 40, "batch_size": 16, **settings}
    elif issubclass(kind, rl.PPO):
        settings = {"length": 32, "batch_size": 64, "epochs": 2, **settings}
    worlds = rl.make_vector(world, 4, max_steps=max_steps)
    return kind(worlds, kind.Settings(**{"hidden": (16,), "steps": 4000, **settings}), seed=1, compile=False)


def bumps(*centers: float) -> Tensor:
    """512 numbers around some centres, as many around each."""
    return chainrule.tensor(centers).repeat_interleave(512 // len(centers)).unsqueeze(1) + chainrule.randn(512, 1)


def adversaries_watched(loss: str, *rounds: tuple[float, float]) -> list[Finding]:
    """A doctor that saw 200 rounds for each pair of a discriminator's loss and the length of a generator's gradient."""
    doctor = Doctor.watch(nn.Linear(2, 2), quiet=True)
    for judged, push in rounds:
        for _ in range(200):
            doctor.observe_adversaries(loss, judged, push)
    return doctor.findings


class SquareRoot(nn.Module):
    """√x, of which the derivative at 0 is infinite."""

    def forward(self, x: Tensor) -> Tensor:
        """Of what is not negative."""
        return x.abs().sqrt()


class Amplifier(nn.Module):
    """tanh, whose gradient comes back fifty times as large."""

    def forward(self, x: Tensor) -> Tensor:
        """What is detached takes the surplus away again."""
        y = x.tanh()
        return 50 * y - (49 * y).detach()
