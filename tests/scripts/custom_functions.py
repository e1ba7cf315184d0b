"""Operations with gradients written by hand: by NumPy, in place, of several outputs, differentiated again."""

import math

import numpy as np
import torch
from torch.autograd import Function, Variable, gradcheck
from torch.autograd.function import once_differentiable


class Chebyshev3(torch.autograd.Function):
    @staticmethod
    def forward(ctx, input):
        ctx.save_for_backward(input)
        return 4 * input**3 - 3 * input

    @staticmethod
    def backward(ctx, grad_output):
        (input,) = ctx.saved_tensors
        return grad_output * (12 * input**2 - 3)


dtype, device = torch.float, torch.device("cpu")
x = torch.linspace(-math.pi, math.pi, 200, device=device, dtype=dtype)
y = torch.sin(x)
a, b, c, d = (torch.full((), v, device=device, dtype=dtype, requires_grad=True) for v in (0.0, -1.0, 0.0, 0.3))
for t in range(60):
    cubic = Chebyshev3.apply
    loss = (a + b * cubic(c + d * x) - y).pow(2).sum()
    if t % 20 == 19:
        print(t, loss.item())
    loss.backward()
    with torch.no_grad():
        for p in (a, b, c, d):
            p -= 1e-6 * p.grad
            p.grad = None
print(f"Result: y = {a.item()} + {b.item()} * cubic({c.item()} + {d.item()} x)")


class Affine(Function):
    @staticmethod
    def forward(input, weight, bias):
        output = input.mm(weight.t())
        if bias is not None:
            output += bias.unsqueeze(0).expand_as(output)
        return output

    @staticmethod
    def setup_context(ctx, inputs, output):
        input, weight, bias = inputs
        ctx.save_for_backward(input, weight, bias)

    @staticmethod
    def backward(ctx, grad_output):
        input, weight, bias = ctx.saved_tensors
        gi = gw = gb = None
        if ctx.needs_input_grad[0]:
            gi = grad_output.mm(weight)
        if ctx.needs_input_grad[1]:
            gw = grad_output.t().mm(input)
        if bias is not None and ctx.needs_input_grad[2]:
            gb = grad_output.sum(0)
        return gi, gw, gb


rng = np.random.RandomState(0)
inp = (torch.from_numpy(rng.randn(4, 5)).requires_grad_(), torch.from_numpy(rng.randn(3, 5)).requires_grad_(), None)
print(gradcheck(Affine.apply, inp, eps=1e-6, atol=1e-4))
Affine.apply(*inp).sum().backward()
print(inp[0].grad.sum(), inp[1].grad[0])


class Clamp(Function):
    @staticmethod
    def forward(ctx, x, lo, hi):
        mask = (x >= lo) & (x <= hi)
        ctx.mask = mask
        ctx.mark_non_differentiable(mask)
        return x.clamp(lo, hi), mask

    @staticmethod
    @once_differentiable
    def backward(ctx, g, _):
        return g * ctx.mask, None, None


v = Variable(torch.tensor([-2.0, 0.5, 3.0]), requires_grad=True)
out, mask = Clamp.apply(v, -1, 1)
(out * torch.tensor([1.0, 2.0, 3.0])).sum().backward()
print(out.tolist(), mask, v.grad, mask.requires_grad)


class NumpySort(Function):
    @staticmethod
    def forward(ctx, x, dim):
        ctx.dim = dim
        order = np.argsort(x.detach().numpy(), axis=dim)
        inverse = np.argsort(order, axis=dim)
        ctx.save_for_backward(torch.tensor(order), torch.tensor(inverse))
        return torch.tensor(np.take_along_axis(x.detach().numpy(), order, axis=dim))

    @staticmethod
    def backward(ctx, g):
        order, inverse = ctx.saved_tensors
        return torch.take_along_dim(g, inverse, ctx.dim), None


s = torch.tensor([[3.0, 1.0, 2.0]], requires_grad=True)
(NumpySort.apply(s, 1) * torch.tensor([1.0, 10.0, 100.0])).sum().backward()
print(s.grad)


class Cube(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return 3 * x**2 * g

    @staticmethod
    def jvp(ctx, t):
        return t


q = torch.tensor(2.0, requires_grad=True)
(g1,) = torch.autograd.grad(Cube.apply(q), q, create_graph=True)
(g2,) = torch.autograd.grad(g1, q, create_graph=True)
print(g1.item(), g2.item(), torch.autograd.grad(g2, q))
try:

    class Bad(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g, g

    Bad.apply(q).backward()
except RuntimeError:
    print("refused")


class InPlace(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.mark_dirty(x)
        return x.mul_(2)

    @staticmethod
    def backward(ctx, g):
        return g * 2


w = torch.tensor([1.0, 2.0], requires_grad=True)
u = w * 1
r = InPlace.apply(u)
(r**2).sum().backward()
print(w.grad, u.tolist(), r is u)
