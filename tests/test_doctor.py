"""The doctor finds each fault that is built in, with its place and numbers, is silent otherwise, and changes nothing."""

from __future__ import annotations

import io
import json
import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import chainrule
from chainrule import nn, optim
from chainrule.data import DataLoader, TensorDataset, digits
from chainrule.errors import DataError
from chainrule.train import (
    CSVLog,
    DivergedError,
    Doctor,
    Finding,
    Trainer,
    diagnose,
    format_findings,
    mode_collapse,
    overfit_one_batch,
)

SPLITS = digits(size=8)
ENTROPY = nn.CrossEntropyLoss


class Accuracy:
    """The share of right answers."""

    name = "accuracy"

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.right = self.count = 0

    def update(self, output: Any, target: Any) -> None:
        self.right += int((output.detach().argmax(1) == target).sum().item())
        self.count += len(target)

    def compute(self) -> float:
        return self.right / self.count

    def state(self) -> list[int]:
        return [self.right, self.count]

    def load_state(self, state: list[int]) -> None:
        self.right, self.count = state


def perceptron(*sizes: int, activation: Callable[[], nn.Module] = nn.ReLU) -> Any:
    layers: list[nn.Module] = [nn.Flatten()]
    for i, (before, after) in enumerate(zip(sizes, sizes[1:], strict=False)):
        layers += [nn.Linear(before, after), activation()] if i < len(sizes) - 2 else [nn.Linear(before, after)]
    return nn.Sequential(*layers)


def network(norm: bool = False, dropout: float = 0.0) -> Any:
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
    **settings: Any,
) -> Doctor:
    """Train on the digits unless other data are given; the doctor's findings are the answer."""
    doctor = Doctor(every, quiet=True)
    data = SPLITS.train if data is None else data
    validation = SPLITS.validation if validation is None else validation
    trainer = Trainer(
        model, loss or ENTROPY(), rule(model.parameters(), lr=rate), callbacks=[doctor],
        **{"compile": False, **settings},
    )  # fmt: skip
    held = None if validation is False else DataLoader(validation, batch_size=64)
    try:
        trainer.fit(DataLoader(data, batch_size=64, shuffle=True), held, epochs=epochs)
    except DivergedError:
        assert "learning rate too large" in names(doctor) or "NaN in the data" in names(doctor)
    json.dumps(doctor.state_dict())
    return doctor


def names(doctor: Doctor) -> list[str]:
    return [finding.condition for finding in doctor.findings]


def only(doctor: Doctor, condition: str) -> Finding:
    """The finding of this condition; there is exactly one."""
    (found,) = [finding for finding in doctor.findings if finding.condition == condition]
    return found


# ------------------------------------------------------------------------------------- all is well


HEALTHY: dict[str, Callable[[], Doctor]] = {
    "MLP": lambda: train(perceptron(64, 32, 10), epochs=25),
    "MLP, tanh": lambda: train(perceptron(64, 32, 10, activation=nn.Tanh), epochs=15),
    "MLP by SGD": lambda: train(perceptron(64, 64, 32, 10), rule=optim.SGD, rate=0.1, epochs=15),
    "deep MLP": lambda: train(perceptron(64, 64, 64, 64, 64, 10), epochs=12),
    "CNN": lambda: train(network(), epochs=8),
    "CNN with BatchNorm": lambda: train(network(True), epochs=8, metrics=[Accuracy()]),
    "CNN with dropout": lambda: train(network(True, 0.5), epochs=8, transform=lambda x: None),
    "logistic regression from zero": lambda: train(zero(perceptron(64, 10)), epochs=15, rate=1e-2),
    "regression": lambda: train(perceptron(5, 32, 1), nn.MSELoss(), regression(400), regression(200), epochs=30, rate=1e-2),
    "linear regression": lambda: train(
        nn.Linear(5, 1), nn.MSELoss(), regression(400), regression(200), epochs=20, rate=0.05, rule=optim.SGD
    ),
}  # fmt: skip


def zero(model: Any) -> Any:
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    return model


def regression(size: int, noise: float = 0.1) -> TensorDataset:
    x = chainrule.randn(size, 5)
    y = (x[:, :1] - 2 * x[:, 1:2] + x[:, 2:3].abs()) / 2
    return TensorDataset(x, y + noise * chainrule.randn(size, 1))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", HEALTHY)
def test_silent_when_all_is_well(kind: str, seed: int) -> None:
    chainrule.manual_seed(seed)
    doctor = HEALTHY[kind]()
    assert [(f.condition, f.evidence, f.paths) for f in doctor.findings] == []
