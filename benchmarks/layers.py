"""Each layer, forward and backward, against PyTorch eager: `python -m benchmarks.layers`.

The shapes are those of LeNet-5 (batch 64), ResNet-18 for 32×32 images (batch 32), a Transformer of width 128 (batch
16, 128 tokens) and a recurrent language model (batch 32, 64 steps). Each framework is in a process of its own; the
two take turns. Writes the figures as JSON with `--json FILE`; `--only WORD` measures the rows that contain it.
"""

from __future__ import annotations

import argparse
import importlib
import json
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.measure import Apart, compare_apart, serve_many


class Layer(NamedTuple):
    """A row: an expression in `nn`, the shape of its input, and how it is called (`layer(x)` if empty)."""

    source: str
    shape: tuple[int, ...]
    call: str = ""

    @property
    def title(self) -> str:
        """How the table names it."""
        return f"{self.source} on {'×'.join(map(str, self.shape))}"


MODELS: dict[str, list[Layer]] = {
    "LeNet-5": [
        Layer("Conv2d(1, 6, 5, padding=2)", (64, 1, 28, 28)),
        Layer("Conv2d(6, 16, 5)", (64, 6, 14, 14)),
        Layer("Conv2d(16, 120, 5)", (64, 16, 5, 5)),
        Layer("Tanh()", (64, 6, 28, 28)),
        Layer("Sigmoid()", (64, 6, 28, 28)),
        Layer("AvgPool2d(2)", (64, 6, 28, 28)),
        Layer("MaxPool2d(2)", (64, 6, 28, 28)),
        Layer("Linear(120, 84)", (64, 120)),
        Layer("CrossEntropyLoss()", (64, 10), "layer(x, labels)"),
    ],
    "ResNet-18, 32×32": [
        Layer("Conv2d(3, 64, 3, padding=1, bias=False)", (32, 3, 32, 32)),
        Layer("Conv2d(64, 64, 3, padding=1, bias=False)", (32, 64, 32, 32)),
        Layer("Conv2d(64, 128, 3, stride=2, padding=1, bias=False)", (32, 64, 32, 32)),
        Layer("Conv2d(64, 128, 1, stride=2, bias=False)", (32, 64, 32, 32)),
        Layer("Conv2d(128, 128, 3, padding=1, bias=False)", (32, 128, 16, 16)),
        Layer("Conv2d(256, 256, 3, padding=1, bias=False)", (32, 256, 8, 8)),
        Layer("Conv2d(512, 512, 3, padding=1, bias=False)", (32, 512, 4, 4)),
        Layer("BatchNorm2d(64)", (32, 64, 32, 32)),
        Layer("BatchNorm2d(512)", (32, 512, 4, 4)),
        Layer("ReLU()", (32, 64, 32, 32)),
        Layer("AdaptiveAvgPool2d(1)", (32, 512, 4, 4)),
        Layer("Linear(512, 10)", (32, 512)),
    ],
    "Transformer, d 128": [
        Layer("Embedding(65, 128)", (16, 128), "layer(tokens)"),
        Layer("LayerNorm(128)", (16, 128, 128)),
        Layer("RMSNorm(128)", (16, 128, 128)),
        Layer("MultiheadAttention(128, 4, batch_first=True)", (16, 128, 128), "layer(x, x, x, need_weights=False)[0]"),
        Layer("Linear(128, 512)", (16, 128, 128)),
        Layer("GELU()", (16, 128, 512)),
        Layer("SiLU()", (16, 128, 512)),
        Layer("Dropout(0.1)", (16, 128, 512)),
        Layer("Softmax(-1)", (64, 128, 128)),
        Layer("TransformerEncoderLayer(128, 4, 512, batch_first=True)", (16, 128, 128)),
        Layer("CrossEntropyLoss()", (2048, 65), "layer(x, labels)"),
    ],
    "Recurrent": [
        Layer("RNN(64, 256)", (64, 32, 64), "layer(x)[0]"),
        Layer("GRU(64, 256)", (64, 32, 64), "layer(x)[0]"),
        Layer("LSTM(64, 256)", (64, 32, 64), "layer(x)[0]"),
    ],
}


def pass_through(framework: Any, row: Layer) -> Callable[[], None]:
    """One forward and backward pass of a layer, with gradients of its input and its parameters."""
    random = np.random.default_rng(0)
    layer = eval(f"nn.{row.source}", {"nn": framework.nn})
    x = framework.tensor(random.standard_normal(row.shape).astype(np.float32), requires_grad=True)
    names = {
        "layer": layer,
        "x": x,
        "labels": framework.tensor(random.integers(0, row.shape[-1], row.shape[0])),
        "tokens": framework.tensor(random.integers(0, 65, row.shape)),
    }
    called = compile(row.call or "layer(x)", "<row>", "eval")
    y = eval(called, names)
    upstream = framework.tensor(random.standard_normal(tuple(y.shape)).astype(np.float32))

    def both() -> None:
        layer.zero_grad()
        x.grad = None
        eval(called, names).backward(upstream)

    return both


def rows() -> dict[str, Layer]:
    """All rows by title."""
    return {row.title: row for model in MODELS.values() for row in model}


def main() -> None:
    """Measure all rows, print a table for each model, and write JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", help="write the figures to this file")
    parser.add_argument("--only", default="", help="rows whose title contains this")
    parser.add_argument("--rounds", type=int, default=9, help="turns of each framework in each row")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        framework = importlib.import_module(options.serve)
        serve_many(lambda title: pass_through(framework, rows()[title]))
        return
    console, figures = Console(), {}
    workers = {name: Apart("benchmarks.layers", "--serve", name) for name in ("chainrule", "torch")}
    for model, layers in MODELS.items():
        table = Table(title=f"{model}: forward and backward, float32")
        for column in ("layer", "chainrule", "PyTorch", "ratio"):
            table.add_column(column, justify="left" if column == "layer" else "right")
        for row in layers:
            if options.only not in row.title:
                continue
            found = compare_apart(workers, options.rounds, row.title)
            ours, theirs = found.milliseconds["chainrule"], found.milliseconds["torch"]
            table.add_row(row.title, f"{ours:.3f} ms", f"{theirs:.3f} ms", f"{found.ratio['torch']:.2f}")
            figures[row.title] = {"milliseconds": found.milliseconds, "ratio": found.ratio["torch"]}
        console.print(table)
    for worker in workers.values():
        worker.close()
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(figures, file, indent=2)


if __name__ == "__main__":
    main()
