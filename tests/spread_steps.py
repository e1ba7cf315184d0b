"""Training on eight devices of one process, and on one: `python -m tests.spread_steps float64-split …`.

The processor is taken for eight devices, which JAX has to be told before it starts; so this is a process of its own, which prints JSON.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

# Eight threads on few cores wait for each other: however long that takes, it is no fault.
os.environ["XLA_FLAGS"] = (
    "--xla_force_host_platform_device_count=8 --xla_cpu_collective_call_terminate_timeout_seconds=3600 "
    "--xla_cpu_collective_call_warn_stuck_timeout_seconds=3600"
)

import numpy as np

import chainrule
from chainrule import nn
from tests.training_steps import training_step


def network(dtype: Any) -> tuple[Any, list[Any]]:
    """A network with batch statistics and dropout, and two batches of which the second does not divide by eight."""
    chainrule.manual_seed(0)
    model = nn.Sequential(nn.Linear(24, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.3), nn.Linear(32, 16)).to(
        dtype
    )
    batches = [(chainrule.randn(n, 24, dtype=dtype), chainrule.randint(0, 16, (n,))) for n in (16, 11)]
    return model, batches


def trained(dtype: Any, backend: str, options: dict[str, Any] | None = None) -> tuple[dict[str, Any], Any]:
    """The state after 20 steps, and the compiled step."""
    model, batches = network(dtype)
    optimizer = chainrule.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    step = chainrule.compile(training_step(model, optimizer), backend=backend, options=options)
    for i in range(20):
        step(*batches[i % 4 == 3])
    return {name: t.numpy() for name, t in model.state_dict().items()}, step


def summed_draws(rates: Any) -> Any:
    """A loop in whose body NumPy draws."""
    return chainrule.scan(lambda total, rate: (total + chainrule.poisson(rate), total), chainrule.zeros(3), rates)[0]


def main() -> None:
    """All comparisons."""
    found: dict[str, Any] = {}
    asked = [name.split("-") for name in sys.argv[1:]]
    for dtype, parameters in [(getattr(chainrule, name), parameters) for name, parameters in asked]:
        alone, _ = trained(dtype, "native")
        spread, step = trained(dtype, "xla", {"devices": 8, "parameters": parameters})
        apart = max(float(np.abs(spread[name] - alone[name]).max()) for name in alone)
        homes = [home for home in step.program.runnable.homes if home is not None]
        held = sum(home.entries.addressable_shards[0].data.nbytes for home in homes)
        whole = sum(home.entries.nbytes for home in homes)
        found[f"{dtype}-{parameters}"] = [apart, held / whole]
    try:
        chainrule.compile(lambda x: x, backend="xla", options={"devices": 9})
    except chainrule.ChainruleError as error:
        found["error"] = str(error)
    try:
        chainrule.compile(summed_draws, backend="xla", options={"devices": 2})(chainrule.ones(4, 3))
    except chainrule.ChainruleError as error:
        found["refused"] = str(error)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
