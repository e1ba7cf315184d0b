"""A program for many processes and devices, started as one: a group, a sampler, wrappers, scripted functions."""

import os
import tempfile
from typing import Optional

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import torch.nn as nn
from torch.nn.parallel import DistributedDataParallel as DDP
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data.distributed import DistributedSampler

numbers = np.random.default_rng(2)


@torch.jit.script
def gated(x: torch.Tensor, limit: Optional[float] = None) -> torch.Tensor:
    y = torch.tanh(x) * torch.sigmoid(x)
    if limit is not None:
        y = y.clamp(-limit, limit)
    return y


class ToyModel(nn.Module):
    def __init__(self):
        super(ToyModel, self).__init__()
        self.net1 = nn.Linear(10, 10)
        self.net2 = nn.Linear(10, 5)
        for p in self.parameters():
            p.data.copy_(torch.from_numpy(numbers.normal(0, 0.3, tuple(p.shape))))

    def forward(self, x):
        return self.net2(gated(self.net1(x), 0.8))


def setup(rank, world_size):
    store = os.path.join(tempfile.mkdtemp(), "store")
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=world_size)


def average_gradients(model):
    size = float(dist.get_world_size())
    for param in model.parameters():
        dist.all_reduce(param.grad.data, op=dist.ReduceOp.SUM)
        param.grad.data /= size


def demo_basic(rank, world_size):
    print(f"Running basic DDP example on rank {rank}.", dist.is_available())
    setup(rank, world_size)
    data = torch.from_numpy(numbers.normal(0, 1, (20, 10))).float()
    dataset = TensorDataset(data, data[:, :5].cumsum(1))
    sampler = DistributedSampler(dataset, shuffle=False)
    loader = DataLoader(dataset, batch_size=8, sampler=sampler)
    model = ToyModel()
    ddp_model = DDP(model)
    loss_fn = nn.MSELoss()
    optimizer = torch.optim.SGD(ddp_model.parameters(), lr=0.1)
    for epoch in range(2):
        sampler.set_epoch(epoch)
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = loss_fn(ddp_model(inputs), labels)
            loss.backward()
            average_gradients(ddp_model)
            optimizer.step()
            total = loss.detach().clone()
            dist.reduce(total, dst=0)
            if dist.get_rank() == 0:
                print("epoch", epoch, "batch", len(inputs), "loss", total.item())
    gathered = [torch.zeros(5) for _ in range(dist.get_world_size())]
    dist.all_gather(gathered, ddp_model(data)[0].detach())
    print("gathered", gathered[0], "names", sorted(ddp_model.state_dict())[:2])
    dist.barrier()
    dist.destroy_process_group()
    return model


if __name__ == "__main__":
    model = demo_basic(0, 1)
    parallel = nn.DataParallel(model)
    x = torch.ones(2, 10)
    scripted = torch.jit.script(model)
    print(
        "same",
        torch.equal(parallel(x), model(x)),
        torch.allclose(scripted(x), model(x), atol=1e-6),
        parallel.module is model,
    )
    queue = mp.get_context("fork").SimpleQueue()
    queue.put(model(x).detach().numpy())
    print("through a queue", *queue.get()[0].tolist(), mp.cpu_count() > 0)
