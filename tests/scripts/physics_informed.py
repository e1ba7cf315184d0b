"""A network that obeys a differential equation: second derivatives in the loss, and L-BFGS with a closure."""

import numpy as np
import torch
import torch.nn as nn
from torch.autograd import grad
from torch.autograd.functional import hessian, jacobian

torch.set_default_dtype(torch.float64)
numbers = np.random.default_rng(1)


class Sine(nn.Module):
    def forward(self, x):
        return torch.sin(x)


class PINN(nn.Module):
    def __init__(self, layers=(2, 8, 8, 1)):
        super().__init__()
        self.depth = len(layers) - 1
        modules = []
        for i in range(self.depth - 1):
            modules += [nn.Linear(layers[i], layers[i + 1]), Sine() if i == 0 else nn.Tanh()]
        self.layers = nn.Sequential(*modules, nn.Linear(layers[-2], layers[-1]))
        for p in self.parameters():
            p.data = torch.from_numpy(numbers.normal(0, 0.5, tuple(p.shape)))
        self.lambda_1 = nn.Parameter(torch.tensor([0.1]))

    def forward(self, x, t):
        return self.layers(torch.cat([x, t], dim=1))


def residual(model, x, t):
    u = model(x, t)
    ones = torch.ones_like(u)
    u_t = grad(u, t, grad_outputs=ones, retain_graph=True, create_graph=True)[0]
    u_x = grad(u, x, grad_outputs=ones, retain_graph=True, create_graph=True)[0]
    u_xx = grad(u_x, x, grad_outputs=torch.ones_like(u_x), retain_graph=True, create_graph=True)[0]
    return u_t - model.lambda_1 * u_xx


x = torch.tensor(numbers.uniform(-1, 1, (16, 1)), requires_grad=True)
t = torch.tensor(numbers.uniform(0, 1, (16, 1)), requires_grad=True)
x0 = torch.linspace(-1, 1, 20).unsqueeze(1)
u0, edge = torch.sin(np.pi * x0), torch.linspace(0, 1, 10).view(-1, 1)
seen_x, seen_t = x.detach()[:15], t.detach()[:15]
seen = torch.exp(-0.2 * np.pi**2 * seen_t) * torch.sin(np.pi * seen_x)
model = PINN()
mse = nn.MSELoss()


def total():
    inside = (residual(model, x, t) ** 2).mean()
    start = mse(model(x0, torch.zeros_like(x0)), u0)
    sides = sum((model(torch.full_like(edge, side), edge) ** 2).mean() for side in (-1.0, 1.0))
    return inside + start + sides + mse(model(seen_x, seen_t), seen)


adam = torch.optim.Adam(model.parameters(), lr=1e-2)
for it in range(10):
    adam.zero_grad()
    loss = total()
    loss.backward()
    adam.step()
    if it % 5 == 4:
        print("It: %d, Loss: %.5e, Lambda: %.5f" % (it, loss.item(), model.lambda_1.item()))
lbfgs = torch.optim.LBFGS(
    model.parameters(), lr=1.0, max_iter=5, history_size=10, tolerance_grad=1e-9, line_search_fn="strong_wolfe"
)
calls = 0


def closure():
    global calls
    calls += 1
    lbfgs.zero_grad()
    loss = total()
    loss.backward()
    return loss


print("first", lbfgs.step(closure).item(), "calls", calls, "then", total().item(), "lambda", model.lambda_1.item())
point = torch.tensor([0.3, -0.2])
print("hessian", hessian(lambda p: (p**2).prod() + p.sin().sum(), point))
print("jacobian", jacobian(lambda p: torch.stack([p.prod(), (p**3).sum()]), point))
with torch.no_grad():
    grid = torch.stack(torch.meshgrid(torch.linspace(-1, 1, 5), torch.linspace(0, 1, 3), indexing="ij"), -1).reshape(
        -1, 2
    )
    print(
        "error",
        (model(grid[:, :1], grid[:, 1:]) - torch.exp(-0.2 * np.pi**2 * grid[:, 1:]) * torch.sin(np.pi * grid[:, :1]))
        .abs()
        .max()
        .item(),
    )
