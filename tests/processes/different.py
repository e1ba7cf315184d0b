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
elif sys.argv[1] in ("unused", "refused"):
    branches = nn.ModuleList([nn.Linear(2, 1), nn.Linear(2, 1)])

    class Branches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.branches = nn.BatchNorm1d(2), branches

        def forward(self, x: Any, which: int) -> Any:
            return self.branches[which](self.norm(x))

    both = nn.parallel.DistributedDataParallel(Branches(), find_unused_parameters=sys.argv[1] == "unused")
    both(chainrule.randn(4, 2) + rank, rank).sum().backward()  # each process uses another branch
    first = both.module.norm.running_mean.clone()
    distributed.broadcast(first, src=0)
    x = chainrule.randn(4, 2)
    both(x, 0)  # goes on from the first process's running mean
    right = chainrule.allclose(both.module.norm.running_mean, 0.9 * first + 0.1 * x.mean(0), atol=1e-6)
    print("gradients", [branch.bias.grad.tolist() for branch in branches], right)
elif sys.argv[1] == "form":
    distributed.all_reduce(chainrule.ones(2 + rank))
elif sys.argv[1] == "error":
    if rank == 1:
        raise ValueError("a mistake in one process")
    distributed.barrier()
