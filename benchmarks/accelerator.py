"""The benchmark's steps on the accelerator that is here: whether they are right, and how fast.

    python -m benchmarks.accelerator                    all six, on JAX's default device
    python -m benchmarks.accelerator --only mlp,lenet --steps 5

Each step is trained with its tensors on the device and, as a reference, natively on the CPU, from the same weights on
the same batch; the losses of all steps must agree. Then it is timed in turn with the same step written by hand in JAX,
then PyTorch by itself where that is installed, on a GPU if there is one. Before first steps are timed both have
compiled a small function, so that neither loads anything then. It ends with 1 if a loss is wrong.
"""

from __future__ import annotations

import argparse
import functools
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from rich.console import Console
from rich.table import Table

import chainrule
from benchmarks.measure import compare
from benchmarks.steps.jax_side import MODELS, jax_step
from benchmarks.steps.workloads import chainrule_step, start_of

Step = Callable[[Any, Any], float]
#: How far losses may be apart, relative to the first: sums of float32 in another order, then twenty updates by Adam,
#: whose first steps are ±rate by the sign of a gradient, however small.
NEAR = 2e-3


def torch_on_device(name: str, weights: dict[str, Any]) -> Step | None:
    """PyTorch's step, where PyTorch is; on its GPU, if it has one."""
    try:
        from benchmarks.steps.torch_side import torch_step
    except ImportError:
        return None
    import torch

    torch.set_default_device("cuda" if torch.cuda.is_available() else "cpu")
    return torch_step(name, weights, "eager")


def device_here() -> str:
    """Our name for JAX's default device."""
    return {"cpu": "xla", "gpu": "cuda", "tpu": "tpu"}[jax.devices()[0].platform]


def warm_up(device: str) -> None:
    """Load what JAX and we need to compile anything."""
    jax.jit(lambda x: x + 1)(np.zeros(2, np.float32)).block_until_ready()
    layer = chainrule.nn.Linear(2, 2).to(device)
    optimizer = chainrule.optim.Adam(layer.parameters())

    @chainrule.compile
    def step(x: Any) -> Any:
        loss = layer(x).sum()
        loss.backward()
        optimizer.step()
        return loss

    step(chainrule.ones(2, 2, device=device))


def losses_of(step: Step, x: Any, y: Any, steps: int) -> tuple[list[float], float]:
    """The losses, and the seconds of the first step."""
    started = time.perf_counter()
    losses = [step(x, y)]
    first = time.perf_counter() - started
    return losses + [step(x, y) for _ in range(steps - 1)], first


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=",".join(MODELS), help="workloads, separated by commas")
    parser.add_argument("--steps", type=int, default=20, help="how many losses are compared")
    parser.add_argument("--seconds", type=float, default=10, help="how long steps are timed in turn; 0: not at all")
    options = parser.parse_args()
    console = Console(width=110)
    table = Table(
        "step", "largest difference", "first, s", "first of JAX, s", "ms", "ms, JAX", "JAX / ours", "ms, PyTorch"
    )
    right, device = True, device_here()
    warm_up(device)
    for name in options.only.split(","):
        weights, x, y = start_of(name)
        ours = chainrule_step(name, weights, compiled=True, device=device)
        losses, first = losses_of(ours, x, y, options.steps)
        expected, _ = losses_of(chainrule_step(name, weights, compiled=True), x, y, options.steps)
        error = float(np.max(np.abs(np.array(losses) - expected)) / abs(expected[0]))
        right &= error <= NEAR
        row = [name, f"{error:.1e}", f"{first:.2f}"]
        if options.seconds:
            theirs = jax_step(name, weights)
            _, first_of_jax = losses_of(theirs, x, y, 1)
            both = {"ours": functools.partial(ours, x, y), "JAX": functools.partial(theirs, x, y)}
            found = compare(both, options.seconds)
            times = found.milliseconds
            row += [
                f"{first_of_jax:.2f}",
                f"{times['ours']:.2f}",
                f"{times['JAX']:.2f}",
                f"{1 / found.ratio['JAX']:.2f}",
            ]
            other = torch_on_device(name, weights)
            if other is not None:  # by itself: its threads spin for a while, and would slow down who comes next
                alone = compare({"PyTorch": functools.partial(other, x, y)}, options.seconds / 2)
                row.append(f"{alone.milliseconds['PyTorch']:.2f}")
        table.add_row(*row)
        console.print(", ".join(row))
    place = jax.devices()[0]
    console.print(f"On {place.device_kind} ({place.platform}), JAX {jax.__version__}, {len(jax.devices())} device(s)")
    console.print(table)
    if not right:
        console.print("A loss is wrong.")
        sys.exit(1)


if __name__ == "__main__":
    main()
