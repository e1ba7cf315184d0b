"""Model-agnostic meta-learning of sine curves: gradients through inner steps, by hand and by functional calls."""

from collections import OrderedDict

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.func import functional_call, grad, vmap

numbers = np.random.default_rng(33)


class Sine(nn.Module):
    def __init__(self, hidden=12):
        super().__init__()
        self.net = nn.Sequential(
            OrderedDict(
                [
                    ("l1", nn.Linear(1, hidden)),
                    ("tanh1", nn.Tanh()),
                    ("l2", nn.Linear(hidden, hidden)),
                    ("tanh2", nn.Tanh()),
                    ("l3", nn.Linear(hidden, 1)),
                ]
            )
        )
        for p in self.parameters():
            p.data.copy_(torch.from_numpy(numbers.normal(0, 0.4, tuple(p.shape))))

    def forward(self, x):
        return self.net(x)

    def argforward(self, x, weights):
        x = F.linear(x, weights[0], weights[1]).tanh()
        x = F.linear(x, weights[2], weights[3]).tanh()
        return F.linear(x, weights[4], weights[5])


def task(k=8):
    amplitude, phase = numbers.uniform(0.1, 5.0), numbers.uniform(0, np.pi)
    x = numbers.uniform(-5, 5, (2 * k, 1))
    y = amplitude * np.sin(x + phase)
    x, y = torch.tensor(x, dtype=torch.float), torch.tensor(y, dtype=torch.float)
    return x[:k], y[:k], x[k:], y[k:]


model = Sine()
meta_optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
criterion = nn.MSELoss()
inner_lr = 0.02
for iteration in range(6):
    metaloss = 0
    for _ in range(3):
        xs, ys, xq, yq = task()
        fast = [w.clone() for w in model.parameters()]
        for step in range(2):
            loss = criterion(model.argforward(xs, fast), ys) / len(xs)
            grads = torch.autograd.grad(loss, fast, create_graph=True)
            fast = [w - inner_lr * g for w, g in zip(fast, grads)]
        metaloss = metaloss + criterion(model.argforward(xq, fast), yq)
    grads = torch.autograd.grad(metaloss / 3, list(model.parameters()))
    for w, g in zip(model.parameters(), grads):
        w.grad = g
    meta_optimizer.step()
    print(f"iteration {iteration} loss {(metaloss / 3).item():.5f} norm {sum(g.norm() ** 2 for g in grads).sqrt():.5f}")

# first order: the second derivatives left out
first = torch.autograd.grad(criterion(model(xs), ys), list(model.parameters()))
print("first order", sum(g.abs().sum() for g in first).item())

# the same by functional calls, over several tasks at once
params = {name: p.detach() for name, p in model.named_parameters()}


def inner_loss(params, x, y):
    return F.mse_loss(functional_call(model, params, (x,)), y)


def adapted_loss(params, xs, ys, xq, yq):
    grads = grad(inner_loss)(params, xs, ys)
    moved = {k: params[k] - inner_lr * grads[k] for k in params}
    return inner_loss(moved, xq, yq)


batch = [torch.stack(part) for part in zip(*[task() for _ in range(4)])]
losses = vmap(adapted_loss, in_dims=(None, 0, 0, 0, 0))(params, *batch)
print("adapted", losses)
through = grad(lambda p: vmap(adapted_loss, in_dims=(None, 0, 0, 0, 0))(p, *batch).mean())(params)
print("through", {k: round(v.abs().mean().item(), 5) for k, v in through.items()})

# Reptile: towards the weights after some steps
before = {name: p.clone() for name, p in model.state_dict().items()}
optimizer = torch.optim.SGD(model.parameters(), lr=inner_lr)
for step in range(3):
    optimizer.zero_grad()
    criterion(model(xs), ys).backward()
    optimizer.step()
after = model.state_dict()
model.load_state_dict({name: before[name] + (after[name] - before[name]) * 0.5 for name in before})
print("reptile", criterion(model(xq), yq).item())
