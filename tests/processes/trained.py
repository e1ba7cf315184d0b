"""Two epochs of a `Trainer`: alone with whole batches, or in processes that share them; the last batch is ragged.

    trained.py FILE

The first process writes the parameters, and prints the history's losses and accuracies.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import chainrule
from chainrule import distributed, nn
from chainrule.data import DataLoader, TensorDataset
from chainrule.train import Trainer
from chainrule.train.processes import batches_of_process

chainrule.set_num_threads(1)
distributed.init_process_group()
size, rank = distributed.get_world_size(), distributed.get_rank()
chainrule.manual_seed(3)
x = chainrule.randn(21, 5).double()
data = TensorDataset(x, (x.sum(1) > 0).long())
model: Any = nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 2)).double()
loader = DataLoader(data, batch_sampler=batches_of_process(data, 8)) if size > 1 else DataLoader(data, 8, shuffle=True)
optimizer = chainrule.optim.Adam(model.parameters(), lr=0.02)
trainer = Trainer(
    model, nn.CrossEntropyLoss(), optimizer, metrics=["accuracy"], clip_norm=1.0, accumulate=2, processes=size > 1
)
history = trainer.fit(loader, DataLoader(data, 7), epochs=2)
if rank == 0:
    chainrule.save({name: p.detach() for name, p in model.named_parameters()}, sys.argv[1])
    print(json.dumps([{k: v for k, v in row.items() if "loss" in k or "accuracy" in k} for row in history]))
