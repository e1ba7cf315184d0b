"""Training that knows it will be rounded: fake quantisers with straight-through gradients, observers, and pruning."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.autograd import Function
from torch.nn.utils import parametrize, prune

numbers = np.random.default_rng(8)


class RoundSTE(Function):
    @staticmethod
    def forward(ctx, x, scale, low, high):
        q = torch.round(x / scale)
        ctx.save_for_backward(x, scale)
        ctx.low, ctx.high = low, high
        return q.clamp(low, high) * scale

    @staticmethod
    def backward(ctx, grad_output):
        x, scale = ctx.saved_tensors
        q = x / scale
        inside = (q >= ctx.low) & (q <= ctx.high)
        grad_input = grad_output * inside.to(grad_output.dtype)
        outside = torch.where(inside, q.round() - q, q.clamp(ctx.low, ctx.high))
        grad_scale = (grad_output * outside).sum() if ctx.needs_input_grad[1] else None
        return grad_input, grad_scale, None, None


class Observer(nn.Module):
    """The range of what has been seen, and whether the numbers are rounded to it."""

    def __init__(self, bits=8, momentum=0.1):
        super().__init__()
        self.bits, self.momentum = bits, momentum
        self.register_buffer("maximum", torch.zeros(()))
        self.register_buffer("seen", torch.tensor(0, dtype=torch.long))
        self.enabled = True

    def forward(self, x):
        if self.training:
            largest = x.detach().abs().max()
            if self.seen == 0:
                self.maximum.copy_(largest)
            else:
                self.maximum.mul_(1 - self.momentum).add_(largest, alpha=self.momentum)
            self.seen += 1
        if not self.enabled:
            return x
        limit = 2 ** (self.bits - 1) - 1
        return RoundSTE.apply(x, self.maximum.clamp(min=1e-8) / limit, -limit - 1, limit)

    def extra_repr(self):
        return f"bits={self.bits}"


class LearnedStep(nn.Module):
    def __init__(self, bits):
        super().__init__()
        self.limit = 2 ** (bits - 1) - 1
        self.scale = nn.Parameter(torch.tensor(0.05))

    def forward(self, weight):
        return RoundSTE.apply(weight, self.scale, -self.limit - 1, self.limit)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.quant = Observer()
        self.conv = nn.Conv1d(2, 6, 5, padding="same", padding_mode="circular")
        self.act = nn.Hardswish()
        self.between = Observer(4)
        self.head = nn.Linear(6, 3)
        for p in self.parameters():
            p.data = torch.as_tensor(numbers.normal(0, 0.3, tuple(p.shape)), dtype=torch.float32)
        parametrize.register_parametrization(self.conv, "weight", LearnedStep(4))

    def forward(self, x):
        x = self.between(self.act(self.conv(self.quant(x))))
        return self.head(x.mean(dim=-1))


x = torch.as_tensor(numbers.normal(0, 1, (24, 2, 16)), dtype=torch.float32)
y = (x[:, 0].mean(1) > 0).long() + (x[:, 1, :8].mean(1) > x[:, 1, 8:].mean(1)).long()
model = Net()
print(model)
print([name for name, _ in model.named_parameters()])
optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
for step in range(12):
    model.train()
    loss = F.cross_entropy(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 3 == 2:
        print(
            step,
            "loss",
            loss.item(),
            "scale",
            model.conv.parametrizations.weight[0].scale.item(),
            "range",
            model.between.maximum.item(),
        )
levels = torch.unique((model.conv.weight / model.conv.parametrizations.weight[0].scale).round())
print("levels", levels.int().tolist(), "seen", int(model.quant.seen))
model.eval()
for enabled in (True, False):
    for m in model.modules():
        if isinstance(m, Observer):
            m.enabled = enabled
    print("rounded" if enabled else "exact", F.cross_entropy(model(x), y).item())
parametrize.remove_parametrizations(model.conv, "weight")
prune.l1_unstructured(model.head, name="weight", amount=0.4)
print(
    "pruned",
    int((model.head.weight == 0).sum()),
    sorted(dict(model.named_buffers())),
    F.cross_entropy(model(x), y).item(),
)
prune.remove(model.head, "weight")
torch.save(model.state_dict(), "net.pt")
again = Net()
parametrize.remove_parametrizations(again.conv, "weight")
print(again.load_state_dict(torch.load("net.pt")), F.cross_entropy(again.eval()(x), y).item() > 0)
