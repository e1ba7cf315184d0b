"""The numbers of docs/normalisation.md: `python -m docs.make.normalisation` prints its tables, in about ten seconds."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

import chainrule
from chainrule import data, nn, optim

F = nn.functional

#: What may come between a linear layer of 64 and its ReLU.
NORMS: dict[str, Callable[[], list[nn.Module]]] = {
    "without": lambda: [],
    "`BatchNorm1d`": lambda: [nn.BatchNorm1d(64)],
    "`GroupNorm(8, 64)`": lambda: [nn.GroupNorm(8, 64)],
}
WITHOUT, BATCH, GROUP = NORMS
RATES = (0.03, 0.1, 0.3, 1.0, 3.0)


@cache
def digits() -> tuple[Any, Any, Any, Any]:
    """Images as rows of 64 numbers and their labels, for learning and for testing."""
    splits = data.digits(size=8)
    (x, y), (u, s) = splits.train[:], splits.test[:]
    return x.flatten(1), y, u.flatten(1), s


def measured(model: nn.Module, x: Any, y: Any) -> tuple[float, float]:
    """Loss and accuracy in evaluation."""
    model.eval()
    with chainrule.no_grad():
        scores = model(x)
        return F.cross_entropy(scores, y).item(), (scores.argmax(1) == y).double().mean().item()


def perceptron(norm: str) -> nn.Module:
    """Three hidden layers of 64: linear, norm, ReLU."""
    layers: list[nn.Module] = []
    for _ in range(3):
        layers += [nn.Linear(64, 64), *NORMS[norm](), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(64, 10))


def trained(norm: str, rate: float, batches: list[Any], x: Any, y: Any, seed: int = 0) -> nn.Module:
    """By plain stochastic gradient descent on these batches of indices."""
    chainrule.manual_seed(seed)
    model = perceptron(norm)
    optimizer = optim.SGD(model.parameters(), lr=rate)

    @chainrule.compile
    def step(x: Any, y: Any) -> None:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()

    for batch in batches:
        step(x[batch], y[batch])
    return model


def shuffled(samples: int, epochs: int, size: int, seed: int) -> list[Any]:
    """Batches of indices in a new order each epoch, without the smaller one at its end."""
    generator = chainrule.Generator(seed)
    whole = samples // size * size
    return [b for _ in range(epochs) for b in chainrule.randperm(samples, generator=generator)[:whole].split(size)]


def of_one_class(y: Any, epochs: int, seed: int) -> list[Any]:
    """Batches of 16 indices, each within a class, in a new order each epoch."""
    random = np.random.default_rng(seed)
    batches = np.concatenate([np.flatnonzero(y.numpy() == digit)[:112].reshape(-1, 16) for digit in range(10)])
    return [chainrule.tensor(batch) for _ in range(epochs) for batch in random.permutation(batches)]


def final_loss(norm: str, rate: float, seed: int) -> float:
    """Of training, after three epochs of batches of 64."""
    x, y, _, _ = digits()
    return measured(trained(norm, rate, shuffled(len(x), 3, 64, seed), x, y, seed), x, y)[0]


def read_from_batches_of(size: int, norm: str, seed: int) -> float:
    """The share of the test digits read after two epochs at the rate 0.02."""
    x, y, u, s = digits()
    return measured(trained(norm, 0.02, shuffled(len(x), 2, size, seed), x, y, seed), u, s)[1]


def read_from_batches_of_one_class(norm: str, seed: int) -> float:
    """The share of the test digits read after five epochs at the rate 0.02."""
    x, y, u, s = digits()
    return measured(trained(norm, 0.02, of_one_class(y, 5, seed), x, y, seed), u, s)[1]


def mean(figure: Callable[..., float], *arguments: Any) -> float:
    """Of three seeds."""
    return sum(figure(*arguments, seed) for seed in range(3)) / 3


def main() -> None:
    """Print the tables, and the shares that are read from batches of one class."""
    print(f"| learning rate | {' | '.join(f'{rate:g}' for rate in RATES)} |\n| --- | --- | --- | --- | --- | --- |")
    for norm in (WITHOUT, BATCH):
        losses = [mean(final_loss, norm, rate) for rate in RATES]
        print(f"| {norm} | {' | '.join(f'{loss:.2f}' if loss < 10 else 'diverges' for loss in losses)} |")
    print("\n| batches of | 2 | 4 | 16 of one class |\n| --- | --- | --- | --- |")
    for norm in (BATCH, GROUP):
        shares = [mean(read_from_batches_of, size, norm) for size in (2, 4)]
        shares.append(mean(read_from_batches_of_one_class, norm))
        print(f"| {norm} | {' | '.join(f'{share:.0%}' for share in shares)} |")


if __name__ == "__main__":
    main()
