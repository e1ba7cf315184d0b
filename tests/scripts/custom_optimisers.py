"""Two optimisers and a schedule of one's own: settings of groups, state, saving, hooks."""

import math

import numpy as np
import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler
from torch.optim.optimizer import Optimizer


class Momenta(Optimizer):
    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0):
        if not 0.0 <= lr:
            raise ValueError("Invalid learning rate: {}".format(lr))
        defaults = dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)
        super(Momenta, self).__init__(params, defaults)

    def __setstate__(self, state):
        super().__setstate__(state)

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                grad = p.grad.data.float()
                if grad.is_sparse:
                    raise RuntimeError("no sparse gradients")
                state = self.state[p]
                if len(state) == 0:
                    state["step"] = 0
                    state["exp_avg"] = torch.zeros_like(p.data, memory_format=torch.preserve_format)
                    state["exp_avg_sq"] = torch.zeros_like(p.data)
                m, v = state["exp_avg"], state["exp_avg_sq"]
                b1, b2 = group["betas"]
                state["step"] += 1
                m.mul_(b1).add_(grad, alpha=1 - b1)
                v.mul_(b2).addcmul_(grad, grad, value=1 - b2)
                if group["weight_decay"] != 0:
                    p.data.add_(p.data, alpha=-group["weight_decay"] * group["lr"])
                denom = v.sqrt().add_(group["eps"])
                step_size = group["lr"] * math.sqrt(1 - b2 ** state["step"]) / (1 - b1 ** state["step"])
                p.data.addcdiv_(m, denom, value=-step_size)
        return loss


class LARS(Optimizer):
    def __init__(self, params, lr, momentum=0.9, eta=0.1):
        super().__init__(params, {"lr": lr, "momentum": momentum, "eta": eta})

    @torch.no_grad()
    def step(self):
        for g in self.param_groups:
            for p in g["params"]:
                dp = p.grad
                if p.ndim != 1:
                    pn, un = torch.norm(p), torch.norm(dp)
                    one = torch.ones_like(pn)
                    q = torch.where(pn > 0.0, torch.where(un > 0, (g["eta"] * pn / un), one), one)
                    dp = dp.mul(q)
                ps = self.state[p]
                if "mu" not in ps:
                    ps["mu"] = torch.zeros_like(p)
                mu = ps["mu"]
                mu.mul_(g["momentum"]).add_(dp)
                p.add_(mu, alpha=-g["lr"])


class Warm(LRScheduler):
    def __init__(self, optimizer, warmup, last_epoch=-1):
        self.warmup = warmup
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        return [base * min(1.0, (self.last_epoch + 1) / self.warmup) for base in self.base_lrs]


rng = np.random.RandomState(0)
X = torch.from_numpy(rng.randn(32, 5)).float()
Y = X @ torch.arange(5.0).unsqueeze(1)
for make in (
    lambda m: Momenta([{"params": [m.weight], "weight_decay": 0.1}, {"params": m.bias, "lr": 0.5}], lr=0.05),
    lambda m: LARS(m.parameters(), 0.02),
):
    model = nn.Linear(5, 1)
    model.weight.data.fill_(0.3)
    model.bias.data.zero_()
    opt = make(model)
    sched = Warm(opt, 4)
    for i in range(8):
        loss = nn.functional.mse_loss(model(X), Y)
        opt.zero_grad()
        loss.backward()
        opt.step()
        sched.step()
        print(i, "%.5f" % loss.item(), sched.get_last_lr())
    print(
        len(opt.state_dict()["state"]),
        sorted(opt.state_dict()["state"][0]),
        [len(g["params"]) for g in opt.state_dict()["param_groups"]],
    )
    clone = make(model)
    clone.load_state_dict(opt.state_dict())
    print(clone.state[model.weight].keys() == opt.state[model.weight].keys())
    opt.add_param_group({"params": nn.Parameter(torch.zeros(2))})
    print(len(opt.param_groups), opt.param_groups[-1]["lr"], opt.defaults["lr"])
try:
    Momenta(model.parameters(), lr=-1)
except ValueError as e:
    print(e)
try:
    opt.add_param_group({"params": [model.weight]})
except ValueError:
    print("ValueError")
handle = opt.register_step_post_hook(lambda o, a, k: print("stepped", type(o).__name__))
loss = nn.functional.mse_loss(model(X), Y)
loss.backward()
opt.param_groups[-1]["params"][0].grad = torch.zeros(2)
opt.step()
handle.remove()
