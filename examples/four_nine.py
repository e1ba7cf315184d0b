"""Homework H 5 on MNIST itself: fours against nines by logistic regression, with two losses and two optimisers.

`python examples/four_nine.py FOLDER`, where FOLDER holds the four files of MNIST (`train-images-idx3-ubyte.gz`, …);
without it `$CHAINRULE_DATA/mnist`.
The Kullback–Leibler loss (cross-entropy) and the sum of squares, near their optima by L-BFGS, and after 20 epochs of
stochastic gradient descent. `tests/worked_examples/test_homework.py` holds these numbers where the data is found.
"""

from __future__ import annotations

import argparse
import gzip
import os
from pathlib import Path
from typing import Any

import numpy as np

import chainrule
from chainrule import nn, optim
from chainrule.data import DataLoader, TensorDataset

F = nn.functional


def read(path: Path) -> Any:
    """The numbers of an IDX file: after a header of 4 bytes and 4 for each dimension."""
    data = gzip.decompress(path.read_bytes())
    sizes = [int.from_bytes(data[4 + 4 * i : 8 + 4 * i], "big") for i in range(data[3])]
    return np.frombuffer(data, np.uint8, offset=4 + 4 * len(sizes)).reshape(sizes)


def fours_and_nines(folder: Path, part: str) -> tuple[Any, Any]:
    """Images as rows of 784 numbers in [0, 1], and 1 for a four, 0 for a nine."""
    images, labels = (read(folder / f"{part}-{kind}-ubyte.gz") for kind in ("images-idx3", "labels-idx1"))
    kept = (labels == 4) | (labels == 9)
    x, y = images[kept].reshape(-1, 784) / 255, labels[kept] == 4
    return chainrule.tensor(x.astype(np.float64)), chainrule.tensor(y.astype(np.float64))


def loss(kind: str, scores: Any, target: Any) -> Any:
    """Both divided by the number of samples, so that they can share a learning rate."""
    if kind == "KL":
        return F.binary_cross_entropy_with_logits(scores, target)
    return F.mse_loss(scores.sigmoid(), target)


def near_the_optimum(kind: str, x: Any, t: Any) -> Any:
    """Fitted by L-BFGS."""
    model = nn.Linear(784, 1, dtype=chainrule.float64)
    nn.init.zeros_(model.weight)
    optimizer = optim.LBFGS(model.parameters(), max_iter=150, line_search_fn="strong_wolfe")

    def closure() -> Any:
        optimizer.zero_grad()
        value = loss(kind, model(x).squeeze(1), t)
        value.backward()
        return value

    optimizer.step(closure)
    return model


def after_epochs(kind: str, x: Any, t: Any, epochs: int = 20) -> Any:
    """Fitted by stochastic gradient descent, batches of 64."""
    model = nn.Linear(784, 1, dtype=chainrule.float64)
    optimizer = optim.SGD(model.parameters(), lr=0.1 if kind == "KL" else 0.5)

    @chainrule.compile
    def step(images: Any, targets: Any) -> None:
        optimizer.zero_grad()
        loss(kind, model(images).squeeze(1), targets).backward()
        optimizer.step()

    for _ in range(epochs):
        for images, targets in DataLoader(TensorDataset(x, t), batch_size=64, shuffle=True):
            step(images, targets)
    return model


def main() -> None:
    """Print how many of the test images are read, for each loss and optimiser."""
    parser = argparse.ArgumentParser(description=__doc__)
    data = Path(os.environ.get("CHAINRULE_DATA", "data"))
    parser.add_argument("folder", type=Path, nargs="?", default=data / "mnist", help="where the files of MNIST are")
    folder = parser.parse_args().folder
    (x, t), (u, s) = fours_and_nines(folder, "train"), fours_and_nines(folder, "t10k")
    print(f"{len(x):,} images to learn from, {len(u):,} to be read")
    for kind in ("KL", "squares"):
        for name, fit in (("L-BFGS", near_the_optimum), ("SGD, 20 epochs", after_epochs)):
            chainrule.manual_seed(0)
            model = fit(kind, x, t)
            right = ((model(u).squeeze(1) > 0) == (s == 1)).double().mean().item()
            print(f"{kind:8} {name:15} {right:.1%}")


if __name__ == "__main__":
    main()
