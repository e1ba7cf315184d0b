"""A network with `SyncBatchNorm` on uneven shares of one batch; prints outputs, gradients and statistics.

    synchronised.py FORM

With one process the batch is whole and the layer is the ordinary one. FORM is "eager" or "compiled".
"""

from __future__ import annotations

import json
import sys
from typing import Any

import chainrule
from chainrule import distributed, nn

chainrule.set_num_threads(1)
distributed.init_process_group("gloo")
rank, size = distributed.get_rank(), distributed.get_world_size()
chainrule.manual_seed(0)
model: Any = nn.Sequential(nn.Conv1d(2, 3, 1), nn.BatchNorm1d(3), nn.Tanh(), nn.Conv1d(3, 1, 2)).double()
model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
x, weights = chainrule.randn(5, 2, 4).double() + 3, chainrule.randn(5, 1, 3).double()
share = slice(0, 5) if size == 1 else (slice(0, 3), slice(3, 5))[rank]
mine = x[share].clone().requires_grad_()


def step(x: Any) -> Any:
    y = model(x)
    loss = (y * weights[share]).sum() + (y * y).sum()
    loss.backward()
    return y


outputs = (chainrule.compile(step) if sys.argv[1] == "compiled" else step)(mine).detach()
for p in model.parameters():
    distributed.all_reduce(p.grad)
found = [[t.tolist() for t in (outputs, mine.grad)]]
if size > 1:
    parts: list[Any] = [None] * size
    distributed.all_gather_object(parts, found[0])
    found = parts
joined = [[row for part in found for row in part[i]] for i in range(2)]
model.eval()
state = [t.tolist() for t in (*[p.grad for p in model.parameters()], *model.buffers(), model(x[:1]).detach())]
if rank == 0:
    print(json.dumps([joined, state]))
distributed.destroy_process_group()
