"""What it costs to look whether all that a compiled step depends on is as it was: `python -m benchmarks.facts`.

For a step of two layers and one of ResNet-18: where nothing has changed since the last call, and where some module or
optimiser has said that it changed.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import chainrule
from chainrule import nn
from chainrule.changes import note_change
from chainrule.compiler.function import Call
from chainrule.models import resnet18
from chainrule.nn import functional as F

ROUNDS = 2000


def median_of(run: Callable[[], Any], before: Callable[[], Any] = lambda: None) -> float:
    """Microseconds of a call."""
    found = []
    for _ in range(ROUNDS):
        before()
        started = time.perf_counter()
        run()
        found.append(time.perf_counter() - started)
    return statistics.median(found) * 1e6


def measure(name: str, model: nn.Module, x: Any, y: Any) -> None:
    """Compile a training step of the model, and print what looking at its facts takes."""
    optimizer = chainrule.optim.SGD(model.parameters(), lr=0.01)

    @chainrule.compile
    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    for _ in range(3):
        step(x, y)
    facts = next(iter(step.programs.values()))[0].traces[0].facts
    given = Call((x, y), {}).given
    quiet = median_of(lambda: facts.hold(given))
    moved = median_of(lambda: facts.hold(given), note_change)
    print(f"{name}: {quiet:.2f} µs where nothing has changed, {moved:.1f} µs where something else has")


def main() -> None:
    """Both networks."""
    two_layers = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))
    measure("two layers", two_layers, chainrule.randn(4, 8), chainrule.randint(0, 3, (4,)))
    measure("ResNet-18", resnet18(num_classes=10), chainrule.randn(2, 3, 64, 64), chainrule.randint(0, 10, (2,)))


if __name__ == "__main__":
    main()
