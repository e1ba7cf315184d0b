"""A spiral learned as the flow of a network: Runge-Kutta steps, checkpointed and with an adjoint of its own."""

import argparse
import time

import numpy as np
import torch
import torch.nn as nn
from torch.autograd import Function
from torch.nn.utils import parameters_to_vector, vector_to_parameters
from torch.utils.checkpoint import checkpoint

parser = argparse.ArgumentParser("ODE demo")
parser.add_argument("--method", type=str, choices=["rk4", "euler"], default="rk4")
parser.add_argument("--data_size", type=int, default=40)
parser.add_argument("--batch_time", type=int, default=5)
parser.add_argument("--batch_size", type=int, default=8)
parser.add_argument("--niters", type=int, default=12)
args = parser.parse_args()
device = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
numbers = np.random.default_rng(4)


class Lambda(nn.Module):
    true_A = torch.tensor([[-0.1, 2.0], [-2.0, -0.1]]).to(device)

    def forward(self, t, y):
        return torch.mm(y**3, self.true_A)


def rk4_step(func, t, dt, y):
    k1 = func(t, y)
    k2 = func(t + dt / 3, y + dt * k1 / 3)
    k3 = func(t + dt * 2 / 3, y + dt * (k2 - k1 / 3))
    k4 = func(t + dt, y + dt * (k1 - k2 + k3))
    return (k1 + 3 * (k2 + k3) + k4) * dt * 0.125


def odeint(func, y0, t, recompute=False):
    solution = [y0]
    for t0, t1 in zip(t[:-1], t[1:]):
        y = solution[-1]
        step = (
            (lambda y: rk4_step(func, t0, t1 - t0, y)) if args.method == "rk4" else (lambda y: (t1 - t0) * func(t0, y))
        )
        solution.append(y + (checkpoint(step, y, use_reentrant=False) if recompute else step(y)))
    return torch.stack(solution)


class Adjoint(Function):
    @staticmethod
    def forward(ctx, func, y0, t, flat):
        ctx.func = func
        with torch.no_grad():
            ans = odeint(func, y0, t)
        ctx.save_for_backward(t, ans, flat)
        return ans

    @staticmethod
    def backward(ctx, grad_output):
        t, ans, flat = ctx.saved_tensors
        func = ctx.func
        params = tuple(func.parameters())
        adj_y, adj_p = grad_output[-1], torch.zeros_like(flat)
        for i in range(len(t) - 1, 0, -1):
            with torch.enable_grad():
                y = ans[i - 1].detach().requires_grad_(True)
                step = y + rk4_step(func, t[i - 1], t[i] - t[i - 1], y)
                vjp_y, *vjp_params = torch.autograd.grad(step, (y, *params), adj_y, allow_unused=True)
            adj_p = adj_p + torch.cat([g.contiguous().view(-1) for g in vjp_params])
            adj_y = vjp_y + grad_output[i - 1]
        return None, adj_y, None, adj_p


class ODEFunc(nn.Module):
    def __init__(self):
        super(ODEFunc, self).__init__()
        self.net = nn.Sequential(nn.Linear(2, 20), nn.Tanh(), nn.Linear(20, 2))
        for m in self.net.modules():
            if isinstance(m, nn.Linear):
                m.weight.data.copy_(torch.from_numpy(numbers.normal(0, 0.1, tuple(m.weight.shape))))
                nn.init.constant_(m.bias, val=0)

    def forward(self, t, y):
        return self.net(y**3)


true_y0 = torch.tensor([[2.0, 0.0]]).to(device)
t = torch.linspace(0.0, 5.0, args.data_size).to(device)
with torch.no_grad():
    true_y = odeint(Lambda(), true_y0, t)
print("end", true_y[-1], "length", true_y.diff(dim=0).norm(dim=-1).sum().item())


def get_batch():
    s = torch.from_numpy(
        numbers.choice(np.arange(args.data_size - args.batch_time, dtype=np.int64), args.batch_size, replace=False)
    )
    batch_y0 = true_y[s]
    batch_t = t[: args.batch_time]
    batch_y = torch.stack([true_y[s + i] for i in range(args.batch_time)], dim=0)
    return batch_y0.to(device), batch_t.to(device), batch_y.to(device)


func = ODEFunc().to(device)
optimizer = torch.optim.RMSprop(func.parameters(), lr=1e-2)
end = time.time()
for itr in range(1, args.niters + 1):
    optimizer.zero_grad()
    batch_y0, batch_t, batch_y = get_batch()
    pred_y = odeint(func, batch_y0, batch_t, recompute=itr % 2 == 0)
    loss = torch.mean(torch.abs(pred_y - batch_y))
    loss.backward()
    optimizer.step()
    if itr % 4 == 0:
        with torch.no_grad():
            total = torch.mean(torch.abs(odeint(func, true_y0, t) - true_y))
            print("Iter {:04d} | Loss {:.6f} | Total Loss {:.6f}".format(itr, loss.item(), total.item()))
assert time.time() >= end
gradients = []
for adjoint in (False, True):
    func.zero_grad()
    y0 = batch_y0.clone().requires_grad_()
    flat = parameters_to_vector(func.parameters())
    pred = Adjoint.apply(func, y0, batch_t, flat) if adjoint else odeint(func, y0, batch_t)
    ((pred - batch_y) ** 2).mean().backward()
    gradients.append([y0.grad.clone(), *(p.grad.clone() for p in func.parameters())])
print(
    "adjoint",
    max((a - b).abs().max().item() for a, b in zip(*gradients)) < 1e-6,
    [g.norm().item() for g in gradients[1]],
)
vector_to_parameters(flat.detach() * 0.5, func.parameters())
print("halved", sum(p.norm().item() for p in func.parameters()))
