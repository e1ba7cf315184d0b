"""One framework in a process of its own: `python -m benchmarks.steps.worker WORKLOAD FRAMEWORK FILE`.

It answers one JSON line for each line it reads: "first" (seconds of the first step and its loss), "losses N", "run N"
(seconds of each of N steps), "memory" (growth of the resident memory since before the first step, in MB).
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

FRAMEWORKS = (
    "chainrule", "chainrule eager", "torch", "torch channels last", "torch compile", "jax",
)  # fmt: skip
#: The same under autocast: measured only where they are named, since they compute other numbers.
HALVES = ("chainrule bfloat16", "torch bfloat16", "torch channels last bfloat16", "torch compile bfloat16")


def step_of(framework: str, workload: str, weights: dict[str, Any]) -> Callable[[Any, Any], float]:
    """The training step of a framework."""
    framework, half = framework.removesuffix(" bfloat16"), framework in HALVES
    if framework.startswith("chainrule"):
        from benchmarks.steps.workloads import chainrule_step
        from chainrule.backends.native.run.machine import llvm

        llvm()  # importing is not part of the first step, nor of its memory: PyTorch and JAX load their compilers too
        return chainrule_step(workload, weights, framework == "chainrule", half=half)
    if framework.startswith("torch"):
        from benchmarks.steps.torch_side import torch_step

        return torch_step(workload, weights, framework.removeprefix("torch").strip() or "eager", half)
    from benchmarks.steps.jax_side import jax_step

    return jax_step(workload, weights)


def megabytes() -> float:
    """The largest resident memory so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Serve until the input ends."""
    workload, framework, path = sys.argv[1:]
    with np.load(path) as file:
        given = dict(file)
    x, y = given.pop("batch.x"), given.pop("batch.y")
    step = step_of(framework, workload, given)
    before = megabytes()
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        command, *numbers = line.split()
        answer: Any
        if command == "first":
            start = time.perf_counter()
            loss = step(x, y)
            answer = [time.perf_counter() - start, loss]
        elif command == "losses":
            answer = [step(x, y) for _ in range(int(numbers[0]))]
        elif command == "run":
            answer = []
            for _ in range(int(numbers[0])):
                start = time.perf_counter()
                step(x, y)
                answer.append(time.perf_counter() - start)
        else:
            answer = megabytes() - before
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
