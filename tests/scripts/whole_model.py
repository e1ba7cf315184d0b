"""A whole model in one file, with its settings and its activation, used again without being built again."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

numbers = np.random.default_rng(12)


@dataclass
class Config:
    n_in: int = 6
    n_hidden: int = 10
    n_out: int = 3
    norm: bool = True


class Highway(nn.Module):
    def __init__(self, size, activation):
        super().__init__()
        self.plain, self.gate = nn.Linear(size, size), nn.Linear(size, size)
        self.activation = activation

    def forward(self, x):
        gate = torch.sigmoid(self.gate(x))
        return gate * self.activation(self.plain(x)) + (1 - gate) * x


class Net(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.inp = nn.Linear(config.n_in, config.n_hidden)
        self.norm = nn.BatchNorm1d(config.n_hidden) if config.norm else nn.Identity()
        layer = Highway(config.n_hidden, F.elu)
        self.layers = nn.ModuleList([layer, Highway(config.n_hidden, torch.tanh), layer])  # the first one twice
        self.out = nn.Linear(config.n_hidden, config.n_out)
        self.register_buffer("scale", torch.full((config.n_out,), 2.0), persistent=False)
        self.history = []

    def forward(self, x):
        x = self.norm(self.inp(x))
        for layer in self.layers:
            x = layer(x)
        return self.out(x) * self.scale


model = Net(Config())
for p in model.parameters():
    p.data.copy_(torch.from_numpy(numbers.normal(0, 0.3, tuple(p.shape))))
x = torch.from_numpy(numbers.normal(0, 1, (12, 6)).astype("float32"))
y = torch.from_numpy(numbers.integers(0, 3, 12))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)


def train(model, optimizer, steps):
    model.train()
    for step in range(steps):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        model.history.append(loss.item())
        print(f"step {len(model.history)} loss {loss.item():.6f}")


train(model, optimizer, 3)
torch.save(model, "model.pt")
torch.save({"model": model, "optimizer": optimizer.state_dict(), "step": 3}, "checkpoint.pt")
again = torch.load("model.pt", weights_only=False)
again.eval(), model.eval()
print(again)
print(again.config, len(again.history), again.layers[0] is again.layers[2])
print("difference", (again(x) - model(x)).abs().max().item(), "outputs", again(x)[0].detach())
checkpoint = torch.load("checkpoint.pt", weights_only=False)
restored = checkpoint["model"]
optimizer2 = torch.optim.SGD(restored.parameters(), lr=0.1, momentum=0.9)
optimizer2.load_state_dict(checkpoint["optimizer"])
print("goes on from step", checkpoint["step"])
train(restored, optimizer2, 2)
train(model, optimizer, 2)
print("parameters", sum(p.numel() for p in restored.parameters()), "names", len(restored.state_dict()))
