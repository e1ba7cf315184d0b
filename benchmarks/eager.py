"""How fast eager chainrule is, beside NumPy and PyTorch in the same run: `python -m benchmarks.eager`.

Writes the figures as JSON with `--json FILE`. Needs PyTorch (the extra `peer`) for the rows that name it.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

import chainrule
from benchmarks.measure import Apart, compare, compare_apart, serve

Row = tuple[str, dict[str, Callable[[], object]]]


def import_seconds(rounds: int = 9) -> dict[str, float]:
    """The median time of a fresh Python, of `import numpy` and of `import chainrule`, in turn."""
    programs = {"python": "pass", "import numpy": "import numpy", "import chainrule": "import chainrule"}
    times: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(rounds):
        for name, program in programs.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", program], check=True)
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(runs) for name, runs in times.items()}


def elementwise_rows() -> Iterator[Row]:
    """Recorded operations on large tensors against NumPy's own."""
    for size in (10**5, 10**6):
        a = np.random.default_rng(0).standard_normal(size).astype(np.float32)
        b = a[::-1].copy()
        x, y = chainrule.tensor(a, requires_grad=True), chainrule.tensor(b)
        two, zero = np.float32(2), np.float32(0)
        yield f"add, {size:,} entries", {"chainrule": lambda x=x, y=y: x + y, "NumPy": lambda a=a, b=b: a + b}
        yield f"times 2, {size:,}", {"chainrule": lambda x=x: x * 2.0, "NumPy": lambda a=a, t=two: a * t}
        yield f"exp, {size:,}", {"chainrule": lambda x=x: x.exp(), "NumPy": lambda a=a: np.exp(a)}
        yield f"tanh, {size:,}", {"chainrule": lambda x=x: x.tanh(), "NumPy": lambda a=a: np.tanh(a)}
        yield (
            f"relu, {size:,}",
            {"chainrule": lambda x=x: x.relu(), "NumPy": lambda a=a, z=zero: np.maximum(a, z)},
        )
        yield f"sum, {size:,}", {"chainrule": lambda x=x: x.sum(), "NumPy": lambda a=a: a.sum()}


def product_rows() -> Iterator[Row]:
    """Matrix products against NumPy's own."""
    for n in (128, 512, 1024):
        a = np.random.default_rng(0).standard_normal((n, n)).astype(np.float32)
        x = chainrule.tensor(a, requires_grad=True)
        yield f"matrix product {n}×{n}", {"chainrule": lambda x=x: x @ x, "NumPy": lambda a=a: a @ a}


def overhead_rows() -> Iterator[Row]:
    """One recorded operation on a small tensor: what bookkeeping costs."""
    x, y = chainrule.ones(8, requires_grad=True), chainrule.ones(8)
    s, t = torch.ones(8, requires_grad=True), torch.ones(8)
    yield "x + y, 8 entries, recorded", {"chainrule": lambda: x + y, "PyTorch": lambda: s + t}
    yield "x.exp(), recorded", {"chainrule": lambda: x.exp(), "PyTorch": lambda: s.exp()}
    yield "x * 2, recorded", {"chainrule": lambda: x * 2.0, "PyTorch": lambda: s * 2.0}
    yield (
        "(x * y).sum().backward()",
        {"chainrule": lambda: (x * y).sum().backward(), "PyTorch": lambda: (s * t).sum().backward()},
    )


def lenet(nn: Any) -> Any:
    """LeNet-5 for 28×28 images in either framework: they share PyTorch's names."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2),
        nn.Conv2d(16, 120, 5), nn.Tanh(), nn.Flatten(),
        nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10),
    )  # fmt: skip


def mlp(nn: Any) -> Any:
    """784-512-512-10."""
    return nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10))


def training_step(framework: Any, build: Callable[[Any], Any], images: Any, labels: Any) -> Callable[[], float]:
    """The usual step with Adam: zero_grad, forward, loss, backward, step."""
    model = build(framework.nn)
    loss_function = framework.nn.CrossEntropyLoss()
    optimizer = framework.optim.Adam(model.parameters(), lr=1e-3)
    x, y = framework.tensor(images), framework.tensor(labels)

    def step() -> float:
        optimizer.zero_grad()
        loss = loss_function(model(x), y)
        loss.backward()
        optimizer.step()
        return float(loss.item())

    return step


STEPS: dict[str, tuple[str, Callable[[Any], Any], tuple[int, ...]]] = {
    "lenet": ("LeNet-5 step, 28×28, batch 64", lenet, (64, 1, 28, 28)),
    "mlp": ("MLP 784-512-512-10 step, batch 128", mlp, (128, 784)),
}


def serve_step(framework: str, step: str) -> None:
    """In a process of its own: run training steps of one framework when asked to."""
    _, build, shape = STEPS[step]
    random = np.random.default_rng(0)
    images, labels = random.standard_normal(shape).astype(np.float32), random.integers(0, 10, shape[0])
    serve(training_step(importlib.import_module(framework), build, images, labels))


def training_rows() -> Iterator[tuple[str, dict[str, Apart]]]:
    """Whole training steps, each framework in a process of its own."""
    for step, (title, _, _) in STEPS.items():
        worker = ("benchmarks.eager", "--serve")
        yield title, {"chainrule": Apart(*worker, f"chainrule:{step}"), "PyTorch": Apart(*worker, f"torch:{step}")}


def main() -> None:
    """Measure everything, print tables, and write JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", help="write the figures to this file")
    parser.add_argument("--seconds", type=float, default=1.0, help="time spent on each row")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve_step(*options.serve.split(":"))
        return
    console = Console()
    sections: dict[str, Callable[[], Any]] = {
        "Elementwise and reductions, recorded, against NumPy": elementwise_rows,
        "Matrix product, recorded, against NumPy": product_rows,
        "Small operations against PyTorch": overhead_rows,
        "Training steps (Adam, float32) against PyTorch eager": training_rows,
    }
    figures: dict[str, Any] = {"cores": os.cpu_count(), "torch threads": torch.get_num_threads()}
    figures["import seconds"] = import_seconds()
    console.print({name: f"{seconds:.3f} s" for name, seconds in figures["import seconds"].items()})
    for title, rows in sections.items():
        table = Table(title=title)
        for column in ("what", "chainrule", "peer", "ratio"):
            table.add_column(column, justify="left" if column == "what" else "right")
        for name, competitors in rows():
            apart = rows is training_rows
            found = compare_apart(competitors) if apart else compare(competitors, options.seconds)
            if apart:
                for competitor in competitors.values():
                    competitor.close()
            peer = list(competitors)[1]
            ours, theirs = found.milliseconds["chainrule"], found.milliseconds[peer]
            table.add_row(name, _readable(ours), f"{peer} {_readable(theirs)}", f"{found.ratio[peer]:.2f}")
            figures[name] = {"milliseconds": found.milliseconds, "ratio": found.ratio[peer], "peer": peer}
        console.print(table)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(figures, file, indent=2)


def _readable(milliseconds: float) -> str:
    return f"{milliseconds * 1e3:.1f} µs" if milliseconds < 0.1 else f"{milliseconds:.2f} ms"


if __name__ == "__main__":
    main()
