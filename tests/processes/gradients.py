"""Exchanges with gradients, in chainrule or (with "torch") PyTorch; prints what came out and what came back.

    gradients.py LIBRARY

Each process has its own numbers, made from its rank; the first one prints all answers as JSON.
"""

from __future__ import annotations

import json
import sys
import warnings
from typing import Any

if sys.argv[1] == "torch":
    import torch as lib
    from torch.distributed import nn

    lib.set_num_threads(1)
else:
    import chainrule as lib  # type: ignore[no-redef]
    from chainrule.distributed import nn  # type: ignore[no-redef]

warnings.simplefilter("ignore")
d: Any = lib.distributed
d.init_process_group("gloo")
rank, size = d.get_rank(), d.get_world_size()
found: dict[str, Any] = {}


def note(name: str, function: Any) -> None:
    x = (lib.arange(4.0, dtype=lib.float64) + rank + 1).requires_grad_()
    y = function(x)
    outputs = y if isinstance(y, tuple) else (y,)
    loss = sum((part * part * (rank + 2 + i)).sum() for i, part in enumerate(outputs))
    (first,) = lib.autograd.grad(loss, x, create_graph=True)
    (second,) = lib.autograd.grad((first * x).sum(), x)
    found[name] = [[part.tolist() for part in outputs], first.tolist(), second.tolist()]


note("sum", lambda x: nn.all_reduce(x * x))
note("all", lambda x: nn.all_gather(x.sin()))
note("one", lambda x: nn.broadcast(x.exp(), 1))
if sys.argv[1] == "chainrule":
    step = lib.compile(lambda x: nn.all_reduce(nn.all_gather(x)[1] * x, op=d.ReduceOp.AVG).sum().backward())
    x = (lib.arange(2.0) + rank).requires_grad_()
    step(x)
    found["compiled"] = x.grad.tolist()
everybody: list[Any] = [None] * size
d.all_gather_object(everybody, found)
if rank == 0:
    print(json.dumps(everybody))
d.destroy_process_group()
