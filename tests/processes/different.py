"""Processes that do different things: what belongs together nevertheless ("uneven"), and what is an error in all."""

from __future__ import annotations

import sys
from typing import Any

import chainrule
from chainrule import distributed, nn

chainrule.set_num_threads(1)
distributed.init_process_group()
rank = distributed.get_rank()
model = nn.Linear(2, 1)
parallel = nn.parallel.DistributedDataParallel(model)
optimizer = chainrule.optim.SGD(model.parameters(), lr=0.1)


def step(x: Any) -> Any:
    optimizer.zero_grad()
    loss = parallel(x).square().mean()
    loss.backward()
    optimizer.step()
    return loss


compiled = chainrule.compile(step)
if sys.argv[1] == "uneven":
    compiled(chainrule.ones(4 - rank, 2))  # the same operations on a smaller last batch: right
    print("weight", model.weight.tolist())
elif sys.argv[1] == "form":
    distributed.all_reduce(chainrule.ones(2 + rank))
elif sys.argv[1] == "error":
    if rank == 1:
        raise ValueError("a mistake in one process")
    distributed.barrier()
