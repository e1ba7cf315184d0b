"""Optimisers as others publish them: classes of their own text, which count their steps in Python.

Each is made by a function of the library, ours or PyTorch, whose names it uses. The rules are written from their
formulas; what is typical of such code is how they keep their counters: per parameter, per group, on themselves, made
at the first call, read by `get`, handed on in dictionaries.
"""

from __future__ import annotations

import math
from typing import Any


def belief(library: Any) -> type:
    """AdaBelief: `len(state) == 0` at the first call, a counter per parameter, `value=` and `alpha=`."""

    class Belief(library.optim.Optimizer):
        def __init__(self, params, lr=1e-2, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
            super().__init__(params, dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay))

        def step(self, closure=None):
            loss = None
            if closure is not None:
                loss = closure()
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is None:
                        continue
                    grad = p.grad.data
                    beta1, beta2 = group["betas"]
                    state = self.state[p]
                    if len(state) == 0:
                        state["step"] = 0
                        state["exp_avg"] = library.zeros_like(p.data)
                        state["exp_avg_var"] = library.zeros_like(p.data)
                    if group["weight_decay"] != 0:
                        grad = grad.add(p.data, alpha=group["weight_decay"])
                    state["step"] += 1
                    mean, var = state["exp_avg"], state["exp_avg_var"]
                    mean.mul_(beta1).add_(grad, alpha=1 - beta1)
                    surprise = grad - mean
                    var.mul_(beta2).addcmul_(surprise, surprise, value=1 - beta2)
                    bias1 = 1 - beta1 ** state["step"]
                    bias2 = 1 - beta2 ** state["step"]
                    denom = (var.add(group["eps"]).sqrt() / math.sqrt(bias2)).add_(group["eps"])
                    p.data.addcdiv_(mean, denom, value=-group["lr"] / bias1)
            return loss

    return Belief


def rectified(library: Any) -> type:
    """RAdam: an `if` on a number that follows from the counter, so another way from some step on."""

    class Rectified(library.optim.Optimizer):
        def __init__(self, params, lr=1e-2, betas=(0.9, 0.98), eps=1e-8):
            super().__init__(params, dict(lr=lr, betas=betas, eps=eps))

        @library.no_grad()
        def step(self, closure=None):
            loss = None
            if closure is not None:
                with library.enable_grad():
                    loss = closure()
            for group in self.param_groups:
                beta1, beta2 = group["betas"]
                longest = 2 / (1 - beta2) - 1
                for p in group["params"]:
                    if p.grad is None:
                        continue
                    state = self.state[p]
                    if not state:
                        state["step"] = 0
                        state["exp_avg"] = library.zeros_like(p)
                        state["exp_avg_sq"] = library.zeros_like(p)
                    state["step"] = state["step"] + 1
                    step = state["step"]
                    state["exp_avg"].mul_(beta1).add_(p.grad, alpha=1 - beta1)
                    state["exp_avg_sq"].mul_(beta2).addcmul_(p.grad, p.grad, value=1 - beta2)
                    power = beta2**step
                    length = longest - 2 * step * power / (1 - power)
                    if length >= 5:
                        rate = math.sqrt(
                            (1 - power) * (length - 4) / (longest - 4) * (length - 2) / length
                            * longest / (longest - 2)
                        ) / (1 - beta1**step)  # fmt: skip
                        denom = state["exp_avg_sq"].sqrt().add_(group["eps"])
                        p.addcdiv_(state["exp_avg"], denom, value=-rate * group["lr"])
                    else:
                        p.add_(state["exp_avg"], alpha=-group["lr"] / (1 - beta1**step))
            return loss

    return Rectified


def bound(library: Any) -> type:
    """AdaBound: `full_like`, bounds of `clamp_` that move, first learning rates kept on the optimiser."""

    class Bound(library.optim.Optimizer):
        def __init__(self, params, lr=1e-2, final_lr=0.1, gamma=0.1):
            super().__init__(params, dict(lr=lr, final_lr=final_lr, gamma=gamma, eps=1e-8))
            self.base_lrs = [group["lr"] for group in self.param_groups]

        def step(self, closure=None):
            loss = None if closure is None else closure()
            for group, base_lr in zip(self.param_groups, self.base_lrs):
                for p in group["params"]:
                    if p.grad is None:
                        continue
                    state = self.state[p]
                    if len(state) == 0:
                        state["step"] = 0
                        state["exp_avg"] = library.zeros_like(p.data)
                        state["exp_avg_sq"] = library.zeros_like(p.data)
                    state["step"] += 1
                    state["exp_avg"].lerp_(p.grad.data, 0.1)
                    state["exp_avg_sq"].lerp_(p.grad.data.square(), 0.001)
                    size = group["lr"] * math.sqrt(1 - 0.999 ** state["step"]) / (1 - 0.9 ** state["step"])
                    final = group["final_lr"] * group["lr"] / base_lr
                    low = final * (1 - 1 / (group["gamma"] * state["step"] + 1))
                    high = final * (1 + 1 / (group["gamma"] * state["step"]))
                    denom = state["exp_avg_sq"].sqrt().add_(group["eps"])
                    rates = library.full_like(denom, size)
                    rates.div_(denom).clamp_(low, high).mul_(state["exp_avg"])
                    p.data.add_(-rates)
            return loss

    return Bound


def layered(library: Any) -> type:
    """Lamb: a counter per group, made where there is none, and a ratio of norms."""

    class Layered(library.optim.Optimizer):
        def __init__(self, params, lr=1e-2, betas=(0.9, 0.999), eps=1e-6, weight_decay=0.01):
            super().__init__(params, dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay))

        @library.no_grad()
        def step(self, closure=None):
            loss = None
            if closure is not None:
                with library.enable_grad():
                    loss = closure()
            for group in self.param_groups:
                if "step" in group:
                    group["step"] += 1
                else:
                    group["step"] = 1
                beta1, beta2 = group["betas"]
                bias1, bias2 = 1 - beta1 ** group["step"], 1 - beta2 ** group["step"]
                for p in group["params"]:
                    if p.grad is None:
                        continue
                    state = self.state[p]
                    if len(state) == 0:
                        state["exp_avg"] = library.zeros_like(p)
                        state["exp_avg_sq"] = library.zeros_like(p)
                    state["exp_avg"].mul_(beta1).add_(p.grad, alpha=1 - beta1)
                    state["exp_avg_sq"].mul_(beta2).addcmul_(p.grad, p.grad, value=1 - beta2)
                    denom = (state["exp_avg_sq"].sqrt() / math.sqrt(bias2)).add_(group["eps"])
                    update = (state["exp_avg"] / bias1).div_(denom)
                    update.add_(p, alpha=group["weight_decay"])
                    size, length = p.norm(2.0), update.norm(2.0)
                    one = library.ones_like(size)
                    ratio = library.where(size > 0, library.where(length > 0, size / length, one), one)
                    p.add_(update.mul_(ratio), alpha=-group["lr"])
            return loss

    return Layered


def projected(library: Any) -> type:
    """AdamP: the counter is among the defaults, settings are read by `get`, a Nesterov step by a setting."""

    class Projected(library.optim.Optimizer):
        def __init__(self, params, lr=1e-2, betas=(0.9, 0.999), nesterov=True):
            super().__init__(params, dict(lr=lr, betas=betas, nesterov=nesterov, step=0))

        @library.no_grad()
        def step(self, closure=None):
            for group in self.param_groups:
                group["step"] = group.get("step", 0) + 1
                beta1, beta2 = group["betas"]
                bias1 = 1 - beta1 ** group.get("step")
                bias2 = 1 - beta2 ** group.get("step")
                for p in group["params"]:
                    if p.grad is None:
                        continue
                    state = self.state[p]
                    mean = state.setdefault("exp_avg", library.zeros_like(p))
                    var = state.setdefault("exp_avg_sq", library.zeros_like(p))
                    mean.mul_(beta1).add_(p.grad, alpha=1 - beta1)
                    var.mul_(beta2).addcmul_(p.grad, p.grad, value=1 - beta2)
                    denom = (var.sqrt() / math.sqrt(bias2)).add_(1e-8)
                    if group["nesterov"]:
                        change = (mean * beta1 + p.grad * (1 - beta1)) / denom
                    else:
                        change = mean / denom
                    if p.ndim > 1:
                        flat, of = change.view(len(p), -1), p.view(len(p), -1)
                        along = (flat * of).sum(1, keepdim=True) / of.square().sum(1, keepdim=True)
                        change = (flat - 0.5 * along * of).view(p.shape)
                    p.sub_(change, alpha=group["lr"] / bias1)
            return None

    return Projected


def signed(library: Any) -> type:
    """Lion: no counter in the rule; the optimiser counts on itself and warms its rate up by that."""

    class Signed(library.optim.Optimizer):
        def __init__(self, params, lr=1e-2, betas=(0.9, 0.99)):
            super().__init__(params, dict(lr=lr, betas=betas))
            self.steps_taken = 0

        @library.no_grad()
        def step(self, closure=None):
            self.steps_taken += 1
            warm = min(1.0, self.steps_taken / 6)
            for group in self.param_groups:
                for p in filter(lambda p: p.grad is not None, group["params"]):
                    grad, state = p.grad, self.state[p]
                    if len(state) == 0:
                        state["exp_avg"] = library.zeros_like(p)
                    beta1, beta2 = group["betas"]
                    update = state["exp_avg"].clone().mul_(beta1).add(grad, alpha=1 - beta1).sign_()
                    p.add_(update, alpha=-group["lr"] * warm)
                    state["exp_avg"].mul_(beta2).add_(grad, alpha=1 - beta2)

    return Signed


def looking(library: Any) -> type:
    """Lookahead in one class: every fifth step pulls the weights back to slow ones."""

    class Looking(library.optim.Optimizer):
        def __init__(self, params, lr=1e-1):
            super().__init__(params, dict(lr=lr, counter=0))

        @library.no_grad()
        def step(self, closure=None):
            for group in self.param_groups:
                group["counter"] += 1
                for p in group["params"]:
                    if p.grad is None:
                        continue
                    state = self.state[p]
                    if "slow" not in state:
                        state["slow"] = p.clone()
                    p.add_(p.grad, alpha=-group["lr"])
                    if group["counter"] % 5 == 0:
                        state["slow"].add_(p - state["slow"], alpha=0.5)
                        p.copy_(state["slow"])

    return Looking


def aggregated(library: Any) -> type:
    """AggMo: a list of momenta per parameter, a list of betas per group."""

    class Aggregated(library.optim.Optimizer):
        def __init__(self, params, lr=1e-1, betas=(0.0, 0.9, 0.99)):
            super().__init__(params, dict(lr=lr, betas=list(betas)))

        def step(self, closure=None):
            for group in self.param_groups:
                count = len(group["betas"])
                for p in group["params"]:
                    if p.grad is None:
                        continue
                    state = self.state[p]
                    if "momenta" not in state:
                        state["momenta"] = [library.zeros_like(p.data) for _ in group["betas"]]
                    for momentum, beta in zip(state["momenta"], group["betas"]):
                        momentum.mul_(beta).add_(p.grad.data)
                        p.data.sub_(momentum, alpha=group["lr"] / count)

    return Aggregated


def functional(library: Any) -> type:
    """The rule is a function beside the class that is handed the settings; state in dictionaries, a copy of a group."""

    def rule(p: Any, grad: Any, state: Any, *, lr: float, beta: float, step: int) -> None:
        state["square_avg"].mul_(beta).addcmul_(grad, grad, value=1 - beta)
        p.addcdiv_(grad, state["square_avg"].div(1 - beta**step).sqrt_().add_(1e-8), value=-lr)

    class Functional(library.optim.Optimizer):
        def __init__(self, params, lr=1e-2, beta=0.99):
            super().__init__(params, dict(lr=lr, beta=beta))

        @library.no_grad()
        def step(self, closure=None):
            for group in self.param_groups:
                settings = {name: value for name, value in group.items() if name in ("lr", "beta")}
                for p in group["params"]:
                    if p.grad is None:
                        continue
                    state = self.state[p]
                    if len(state) == 0:
                        state.update(step=0, square_avg=library.zeros_like(p))
                    state["step"] += 1
                    rule(p, p.grad, state, step=state["step"], **settings)

    return Functional


ALL = (belief, rectified, bound, layered, projected, signed, looking, aggregated, functional)
