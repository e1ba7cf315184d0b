"""A training step of each family of networks for images against PyTorch: `python -m benchmarks.families`.

Small sizes, float32, the loss the mean of squared outputs, plain gradient descent. Ours is compiled; PyTorch's networks
are those of `tests/torch_networks.py`, eager and by `torch.compile`, from the same weights. Each competitor is in a
process of its own; they take turns. `--only WORD` measures the rows that contain it, `--eager` leaves out
`torch.compile`, which takes longest, `--json FILE` keeps the figures. `--threads 1` is for a machine that does other
work: a step on several threads waits for the one that has no core just then.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.measure import Apart, print_rows, serve_many
from tests import torch_networks
from tests.test_models_images import FAMILIES, gathered, randomised

RATE = 1e-3
BATCH = 16


def prepared(name: str) -> tuple[Any, Any, np.ndarray]:
    """Our network, PyTorch's function, and images."""
    import chainrule

    chainrule.manual_seed(0)
    build, twin, shape = FAMILIES[name]
    images = np.random.default_rng(0).standard_normal((BATCH, *shape[1:])).astype(np.float32)
    return randomised(build().float()), twin, images


def ours(name: str) -> Callable[[], object]:
    """Our step, compiled."""
    import chainrule

    model, _, images = prepared(name)
    x = chainrule.tensor(images)
    optimizer = chainrule.optim.SGD(model.parameters(), lr=RATE)

    @chainrule.compile
    def step(x: Any) -> Any:
        optimizer.zero_grad()
        loss = sum(y.square().mean() for y in gathered(model(x)))
        loss.backward()
        optimizer.step()
        return loss

    return lambda: step(x).item()


def theirs(name: str, compiled: bool) -> Callable[[], object]:
    """PyTorch's step."""
    import torch

    model, twin, images = prepared(name)
    weights = {key: torch.tensor(value.numpy()) for key, value in model.state_dict().items()}
    learned = [weights[key].requires_grad_() for key, _ in model.named_parameters()]
    x = torch.tensor(images)
    optimizer = torch.optim.SGD(learned, lr=RATE)

    def forward(x: Any) -> Any:
        found = twin(torch_networks.Layers(torch, weights, True), x)
        return sum(y.square().mean() for y in gathered(found))

    run = torch.compile(forward) if compiled else forward

    def step() -> float:
        optimizer.zero_grad()
        loss = run(x)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def set_threads(side: str, count: int) -> None:
    """How many threads the side's steps have."""
    if side == "chainrule":
        import chainrule

        chainrule.set_num_threads(count)
    else:
        import torch

        torch.set_num_threads(count)


SIDES: dict[str, Callable[[str], Callable[[], object]]] = {
    "chainrule": ours,
    "pytorch": lambda name: theirs(name, False),
    "pytorch-compiled": lambda name: theirs(name, True),
}


def main() -> None:
    """Measure, and print a row for each family."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--only", default="", help="families whose name contains this")
    parser.add_argument("--eager", action="store_true", help="without torch.compile")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", help="where to keep the figures")
    options = parser.parse_args()
    if options.side:
        set_threads(options.side, options.threads)
        serve_many(SIDES[options.side])
        return
    sides = [side for side in SIDES if not (options.eager and side == "pytorch-compiled")]
    threads = ["--threads", str(options.threads)]
    competitors = {side: Apart("benchmarks.families", "--side", side, *threads) for side in sides}
    rows = {name: sides for name in FAMILIES if options.only in name}
    print_rows(competitors, rows, options.rounds, options.json)


if __name__ == "__main__":
    main()
