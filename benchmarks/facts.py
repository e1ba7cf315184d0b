"""What it costs to look whether all that a compiled step depends on is as it was: `python -m benchmarks.facts`.

For a step of two layers and one of ResNet-18: where nothing has changed since the last call, where something else was
made, trained and changed meanwhile, and where each layer of the very model was in evaluation and is back. The shortest
of many, since other programs run on the machine too; and what the interpreter takes to tell the time is taken off.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import chainrule
from chainrule import nn
from chainrule.compiler.function import Call
from chainrule.models import resnet18
from chainrule.nn import functional as F

ROUNDS = 1000


def shortest(run: Callable[[], Any], before: Callable[[], Any] = lambda: None) -> float:
    """Microseconds of a call."""
    found, nothing = [], []
    for _ in range(ROUNDS):
        before()
        started = time.perf_counter()
        run()
        ended = time.perf_counter()
        found.append(ended - started)
        nothing.append(time.perf_counter() - ended)
    return (min(found) - min(nothing)) * 1e6


def something_else() -> None:
    """What goes on in a program beside a step: another model is made, changed and trained."""
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5)).eval()
    optimizer = chainrule.optim.SGD(model.train().parameters(), lr=0.1, momentum=0.9)
    model(chainrule.ones(1, 2)).sum().backward()
    optimizer.step()
    optimizer.param_groups[0]["momentum"] = 0.8


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
    quiet = shortest(lambda: facts.hold(given))
    other = shortest(lambda: facts.hold(given), something_else)
    switched = shortest(lambda: facts.hold(given), lambda: model.eval().train())
    print(f"{name}: {quiet:.2f} µs where nothing has changed, {other:.2f} where something else has,")
    print(f"    {switched:.1f} where every layer was in evaluation and is back")


def main() -> None:
    """Both networks."""
    two_layers = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))
    measure("two layers", two_layers, chainrule.randn(4, 8), chainrule.randint(0, 3, (4,)))
    measure("ResNet-18", resnet18(num_classes=10), chainrule.randn(2, 3, 64, 64), chainrule.randint(0, 10, (2,)))


if __name__ == "__main__":
    main()
