"""A trained language model in 8 and in 4 bits against its float32: `python -m benchmarks.low_bits RUN [--data-root D]`.

RUN is a folder of `chainrule train decoder --data shakespeare --epochs 7 --output RUN` (or of another language model).
Perplexity: exp of the mean loss over all pieces of the part of the text that chose the epoch, and of the one that
nobody has looked at. Memory: of all parameters and buffers, beside what the formats say: a number has 1 or ½ byte, and
each output (8 bits) or group of 32 inputs (4 bits) a float32 scale; biases, normalisation and what is no linear layer
or embedding stay float32. Time: one sequence, token by token, compiled and with a cache; the three take turns within
one process, so the ratios hold on a machine that does other work too. The exit code is 1 where the perplexity is more
than 0.5 % (8 bits) or 3 % (4 bits) above that of float32, or the memory is another.
"""

from __future__ import annotations

import argparse
import copy
import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

import chainrule
from benchmarks.measure import compare
from chainrule import nn
from chainrule.data import DataLoader
from chainrule.tasks.kinds import load_task
from chainrule.tasks.run import open_run

#: How many per cent the perplexity may rise.
ALLOWED = {32: 0.0, 8: 0.5, 4: 3.0}
TOKENS = 64


def perplexity(model: nn.Module, loss: nn.Module, pieces: Any) -> float:
    """exp of the mean loss for each token."""

    @chainrule.compile
    def measured(x: chainrule.Tensor, y: chainrule.Tensor) -> chainrule.Tensor:
        return loss(model(x), y)

    total, count = 0.0, 0
    with chainrule.no_grad():
        for x, y in DataLoader(pieces, 64):
            total += measured(x, y).item() * len(x)
            count += len(x)
    return math.exp(total / count)


def computed_bytes(model: nn.Module, paths: list[str], bits: int) -> int:
    """What a float32 model must take when the weights at these paths are in so many bits, by their shapes alone."""
    total = kept_bytes(model)
    for path in paths:
        layer: Any = model.get_submodule(path)
        rows, inputs = layer.weight.shape
        if type(layer) is nn.TransposedLinear:
            rows, inputs = inputs, rows
        total -= 4 * rows * inputs
        total += rows * (inputs + 4) if bits == 8 else rows * -(-inputs // 32) * (16 + 4)
    return total


def kept_bytes(model: nn.Module) -> int:
    """What the model's parameters and buffers take, those that stand in several places once."""
    tensors = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    return sum(np.asarray(tensor.detach()).nbytes for tensor in tensors.values())


def main() -> int:
    """Measure, print a table, and say whether it is as promised."""
    parser = argparse.ArgumentParser(description="Perplexity, memory and time in 8 and 4 bits.")
    parser.add_argument("run", help="the folder of a run")
    parser.add_argument("--data-root", help="the folder with its data")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long times are measured")
    options = parser.parse_args()
    opened = open_run(options.run)
    settings = opened.task.settings
    task, parts = load_task(settings if options.data_root is None else settings.changed(data_root=options.data_root))
    networks = {32: opened.model.eval()}
    expected = {32: kept_bytes(networks[32])}
    for bits in (8, 4):
        networks[bits] = copy.deepcopy(networks[32])
        report = nn.quantize(networks[bits], bits)
        expected[bits] = computed_bytes(networks[32], [row.path for row in report], bits)
        print(f"{bits} bits: {str(report).splitlines()[-1]}")
    start = chainrule.zeros(1, 1, dtype="int64")

    def writing(network: Any) -> Callable[[], object]:
        return lambda: network.generate(start, TOKENS, temperature=0, compile=True)

    times = compare({str(bits): writing(network) for bits, network in networks.items()}, options.seconds).ratio
    loss, failed = task.build_loss(), False
    rows = {
        bits: [perplexity(n, loss, part) for part in (parts.validation, parts.test)] for bits, n in networks.items()
    }
    print("bits   validation            test                  bytes (computed)          time of float32's")
    for bits, found in rows.items():
        rises = [100 * (value / first - 1) for value, first in zip(found, rows[32], strict=True)]
        kept = kept_bytes(networks[bits])
        failed |= max(rises) > ALLOWED[bits] or kept != expected[bits]
        figures = "   ".join(f"{value:8.4f} ({rise:+.2f} %)" for value, rise in zip(found, rises, strict=True))
        print(f"{bits:4}   {figures}   {kept:11,} ({expected[bits]:,})   {1 / times[str(bits)]:.2f}")
    print("NOT AS PROMISED" if failed else "as promised")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
