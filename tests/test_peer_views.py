"""Views, in-place methods and the tape against PyTorch: as if memory were shared, gradients too."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
from peer_comparison import Given, check, difference, entries

import chainrule

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.peer

# Each program is run in both libraries; x and y are leaves of shape (3, 4), `results` is what is compared.
PROGRAMS = {
    "a view sees its base": """
        b = x.detach().clone()
        v = b[1:, ::2]
        b[1, 0] = 5; b.mul_(2)
        results = b, v
    """,
    "a base sees its view": """
        b = x.detach().clone()
        v = b.view(-1); v[3] = 7; b.T[0, 0] = 9; b.reshape(2, 6)[1] += 1
        results = b, v
    """,
    "views of views of views": """
        b = x.detach().clone()
        v = b[1:]; w = v.T; u = w[::2]; r = u.unsqueeze(0); s = r.squeeze(0)[1]
        s.fill_(3); r.mul_(2); w[0] = -1; v[:, 3] += 10; b[2, 2] = 99
        results = b, v, w, u, r, s
    """,
    "siblings see each other": """
        b = x.detach().clone()
        p, q = b[0], b[:, 0]
        p[0] = 11; q[2] = 12
        results = b, p, q
    """,
    "data and detach share": """
        b = x.clone()
        d, e = b.detach(), b.data
        d[0] = 1; e.add_(1)
        results = b, d, e
    """,
    "writing through data is not recorded": """
        t = x * 2
        t.data[0] = 100
        (t * t).sum().backward()
        results = t, x.grad
    """,
    "data of a leaf": """
        with lib.no_grad():
            pass
        x.data[1:3].fill_(1); x.data.mul_(2); x.data[0, 0] -= 1
        (x * x).sum().backward()
        results = x, x.grad
    """,
    "data assigned": """
        v = x.detach()
        x.data = y.detach() * 2
        (x * x).sum().backward()
        results = x, x.grad
    """,
    "expand sees its base": """
        b = x.detach().clone()[:, :1]
        v = b.expand(3, 4)
        b.fill_(2)
        results = b, v
    """,
    "clone and arithmetic do not share": """
        b = x.detach().clone()
        c, d, e = b.clone(), b + 0, b.flatten().repeat(1)
        b.fill_(0)
        results = b, c, d, e
    """,
    "indexing with arrays copies": """
        b = x.detach().clone()
        c = b[lib.tensor([0, 1])]; d = b[b > 0]
        b.fill_(0)
        c.add_(1)
        results = b, c, d
    """,
    "an integer tensor of no dimensions gives a view": """
        b = x.detach().clone()
        v = b[lib.tensor(1)]
        v.fill_(5)
        results = b, v
    """,
    "split, chunk, unbind and select": """
        b = x.detach().clone()
        b.split(2)[1].zero_(); b.chunk(2, 1)[0].add_(1); b.unbind(1)[3].mul_(2); b.select(0, 0).neg_()
        results = b
    """,
    "narrow, diagonal, unflatten, movedim": """
        b = x.detach().clone()
        b.narrow(1, 1, 2).fill_(1); b.diagonal().fill_(2); b.unflatten(1, (2, 2))[:, 0, 1] = 3
        b.movedim(0, 1)[3].add_(4); b.diagonal(1)[0] = 8; b.T.diagonal(1).mul_(3)
        results = b
    """,
    "a view made before the base requires a gradient": """
        b = x.detach().clone()
        v = b[0]
        b.requires_grad_()
        (b * 3).sum().backward()
        results = b.grad, v
    """,
    "zero part of a result": """
        t = x * 2
        t[0] = 0
        t.sum().backward()
        results = t, x.grad
    """,
    "multiply through a view of a result": """
        t = x * 2
        t.view(-1).mul_(3)
        t.sum().backward()
        results = t, x.grad
    """,
    "write a computed thing into part of a result": """
        t = x * 2
        t[1:, 1] = y[1:, 0] * 3
        (t * t).sum().backward()
        results = t, x.grad, y.grad
    """,
    "write into zeros": """
        t = lib.zeros(3, 4, dtype=x.dtype)
        t[0] = x[0] * 2
        t[1].copy_(y[1])
        t[2] += x[2] * y[2]
        t.pow(2).sum().backward()
        results = t, x.grad, y.grad
    """,
    "a view of a result sees a later write": """
        t = x * 2
        v = t[0]
        t.mul_(y)
        v.sum().backward()
        results = t, v, x.grad, y.grad
    """,
    "a result sees a write through its view": """
        t = x * 2
        v = t[:, 1:3]
        v.mul_(y[:, 1:3])
        w = t.T
        w[0] += 1
        (t * t).sum().backward()
        results = t, v, w, x.grad, y.grad
    """,
    "write through views of views of a result": """
        t = x * 2
        t.T[1:][0].mul_(y[:, 0])
        t.reshape(2, 6)[1][2:].add_(y.reshape(-1)[:4])
        (t ** 2).sum().backward()
        results = t, x.grad, y.grad
    """,
    "fill and zero a result": """
        t = x * 2; u = x * 3
        t.zero_(); u[0].fill_(5)
        (t + u).sum().backward()
        results = t, u, x.grad
    """,
    "residual connection in place": """
        t = x * 2 + 1
        t += y
        lib.relu(t).sum().backward()
        results = t, x.grad, y.grad
    """,
    "relu in place": """
        t = x * y
        u = t.relu_()
        results = t, u, u is t
        t.sum().backward()
        results = *results, x.grad, y.grad
    """,
    "masked in place": """
        t = x * 2
        t[t > 0] = 0
        t[t < -1] *= 2
        t.masked_fill_(y > 0, 7)
        (t * y).sum().backward()
        results = t, x.grad, y.grad
    """,
    "an optimiser's step": """
        for i in range(3):
            x.grad = None
            (x * x * y).sum().backward()
            with lib.no_grad():
                x -= 0.1 * x.grad
        results = x, x.grad, x.requires_grad, x.is_leaf
    """,
    "momentum in place": """
        m = lib.zeros_like(x)
        for i in range(3):
            x.grad = None
            (x ** 3).sum().backward()
            m.mul_(0.9).add_(x.grad, alpha=0.1)
            x.data.add_(m, alpha=-0.1)
        results = x, m, m.requires_grad
    """,
    "gradients accumulate, and are zeroed in place": """
        (x * 2).sum().backward()
        g = x.grad
        (x * x).sum().backward()
        first = g.clone()
        x.grad.zero_()
        results = first, g, x.grad, x.grad is g
    """,
    "zeroing a leaf under no_grad": """
        with lib.no_grad():
            x[0] = 0
            x[:, 1].mul_(2)
            x.clamp_(min=-0.5)
        (x * x).sum().backward()
        results = x, x.grad, x.requires_grad, x.is_leaf
    """,
    "a view made under no_grad": """
        with lib.no_grad():
            v = x[0]
            w = x * 2
        results = v.detach(), w, w.requires_grad
    """,
    "requires_grad_ switched off and on": """
        x.requires_grad_(False)
        a = x * 2
        x.requires_grad_()
        b = x * 3
        b.sum().backward()
        results = a.requires_grad, b.requires_grad, x.grad
    """,
    "requires_grad_ of a computed tensor": """
        t = x * 2
        t.requires_grad_()
        results = t.requires_grad, t.is_leaf
    """,
    "what is written into a detached tensor is recorded there": """
        t = x * 2
        d = t.detach()
        before = d[0], d.detach()
        d += y
        after = d[0]
        (d[1:] * x[1:] + after * before[0]).sum().backward()
        results = t.detach(), d.detach(), d.requires_grad, d.is_leaf, before[0].requires_grad, before[1].requires_grad
        results += before[1], x.grad, y.grad
    """,
    "what is written into a part of a detached tensor is recorded there": """
        d = x.data
        row = d[0]
        row.mul_(y[1])
        d[:, 1].copy_(y[:, 0] * y[:, 2])
        with lib.no_grad():
            d[2, 2] = 7.0
        (d * d).sum().backward()
        results = x.detach(), d.detach(), x.grad is None, y.grad, row.requires_grad, x.is_leaf, x.requires_grad
    """,
    "x.data += y leaves the leaf what it is": """
        x.data += y
        x.data.copy_(y * 2)
        results = x.is_leaf, x.requires_grad, x.detach(), x.data.requires_grad
    """,
    "the numbers of a detached tensor change, not its history": """
        t = x.detach().clone()
        d = t.detach()
        d += y
        t.mul_(3)
        d.sum().backward()
        results = t, d.detach(), y.grad, t.requires_grad
    """,
    "a detached tensor that was written to, in another shape": """
        t = x.detach().clone()
        d = t.detach()
        d *= y
        part = d[1]
        d.unsqueeze_(0).transpose_(1, 2)
        part.mul_(y[0])
        (d * d).sum().backward()
        results = t, d.detach(), y.grad, d.shape == (1, 4, 3), part.detach()
    """,
    "a leaf in another's memory, in another shape": """
        t = x.detach().clone()
        p = lib.nn.Parameter(t[1:])
        part = p[1]
        with lib.no_grad():
            p.unsqueeze_(0)
            p[0, 0, 0] = 9.0
        (p * p).sum().backward()
        results = t, p.detach(), p.grad, part.detach(), p.is_leaf
    """,
    "detach_ ends the history": """
        t = (x * 2).detach_()
        results = t, t.requires_grad, t.is_leaf
    """,
    "retain_grad": """
        t = x * 2
        t.retain_grad()
        (t * y).sum().backward()
        results = t.grad, x.grad, y.grad
    """,
    "hooks": """
        h = x.register_hook(lambda g: g * 2)
        t = x * 3
        t.register_hook(lambda g: g + 1)
        t.sum().backward()
        a = x.grad.clone()
        h.remove()
        (x * 3).sum().backward()
        results = a, x.grad
    """,
    "two uses, one after a write": """
        t = x * 2
        a = t + 1
        t.add_(y)
        (a * 3 + t * 5).sum().backward()
        results = a, t, x.grad, y.grad
    """,
    "unsqueeze, write, sum": """
        t = (x * y).unsqueeze(1)
        t[:, 0, 2] = 0
        t.squeeze(1)[:, 1].mul_(x[:, 0])
        (t * t).sum().backward()
        results = t, x.grad, y.grad
    """,
    "flatten and reshape as views": """
        t = x * 2
        f = t.flatten()
        f[5] = 0
        t.reshape(4, 3)[0] = y.reshape(4, 3)[1]
        t.sum().backward()
        results = t, f, x.grad, y.grad
    """,
    "gradient of a view only": """
        v = (x * 2)[1:, :2]
        v.sum().backward()
        results = v, x.grad
    """,
    "in place on a copy of a leaf": """
        t = x.clone()
        t[0, 0] = 0; t.mul_(t.detach() + 1)
        t.sum().backward()
        results = t, x.grad
    """,
    "integers and booleans": """
        t = lib.arange(12).view(3, 4)
        v = t[1]
        v += 5; t[:, 0] = 2.9; t[0] = True
        m = t > 5
        m[0] = True
        m[:, 1] ^= True
        results = t, v, m
    """,
    "half precision views": """
        t = x.detach().to(lib.bfloat16)
        t[0] = 1 / 3; t.T[1] *= 3
        results = t
    """,
    "chained in place calls return the tensor": """
        t = x.detach().clone()
        u = t.add_(1).mul_(2).sub_(3)
        results = t, u is t
    """,
    "swap of rows": """
        t = x.detach().clone()
        t[[0, 1]] = t[[1, 0]]
        t[:, [0, 3]] = t[:, [3, 0]]
        results = t
    """,
    "overlapping copy through views": """
        t = x.detach().clone()
        t[1:] = t[:-1].clone()
        results = t
    """,
    "copy between types": """
        t = lib.zeros(3, 4)
        t.copy_(x.detach().double())
        u = lib.zeros(3, 4, dtype=lib.int64)
        u.copy_(x.detach() * 3)
        results = t, u
    """,
    "backward through a view of a leaf": """
        (x.view(2, 6).T[1:4, 0] ** 2).sum().backward()
        results = x.grad
    """,
    "lists and sets": """
        s = {x, y, x}
        d = {x: 1}
        results = len(s), x in s, d[x], any(t is y for t in [x, y])
    """,
    "iteration gives views": """
        t = x.detach().clone()
        for i, row in enumerate(t):
            row.mul_(i)
        results = t, [len(row) for row in t]
    """,
    "enumerate rows of a leaf": """
        total = 0
        for i, row in enumerate(x):
            total = total + (i + 1) * row.sum()
        total.backward()
        results = x.grad
    """,
    "backward with an upstream and accumulation over graphs": """
        t = x * y
        t.backward(lib.ones_like(t), retain_graph=True)
        t.backward(2 * lib.ones_like(t))
        results = x.grad, y.grad
    """,
    "autograd.grad of views": """
        t = x * x
        g, = lib.autograd.grad(t[0].sum(), [x])
        results = g, x.grad
    """,
    "second derivatives after a write": """
        t = x * x
        t[1] = x[2] * y[0]
        g, = lib.autograd.grad(t.sum(), [x], create_graph=True)
        (g * g).sum().backward()
        results = g.detach(), x.grad, y.grad
    """,
    "error: in place on a leaf": "x.add_(1)",
    "error: in place on a view of a leaf": "x[0].mul_(2)",
    "error: assignment into a leaf": "x[0] = 1",
    "error: in place result too large": "x.detach().add_(lib.zeros(2, 3, 4))",
    "error: in place type": "lib.arange(3).add_(1.5)",
    "error: in place type of truth": "lib.tensor([True]).add_(1)",
    "error: assignment of a wrong shape": "x.detach()[0] = lib.zeros(3)",
    "error: write into an expanded tensor": "lib.zeros(1, 4).expand(3, 4).add_(1)",
    "error: integers require no gradient": "lib.arange(3).requires_grad_()",
    "error: stop a computed tensor": "(x * 2).requires_grad_(False)",
    "error: retain_grad without": "x.detach().retain_grad()",
    "error: backward of nothing": "x.detach().sum().backward()",
    "error: backward of many": "(x * 2).backward()",
    "error: backward twice": "t = (x * x).sum(); t.backward(); t.backward()",
    "error: numpy of a leaf": "x.numpy()",
    "error: asarray of a leaf": "np.asarray(x)",
    "error: another shape of a leaf in another's memory": "lib.nn.Parameter(x.detach()[1:]).unsqueeze_(0)",
    "error: deepcopy of a computed tensor": "copy.deepcopy(x * 2)",
    "error: item of many": "x.item()",
    "error: truth of many": "bool(x)",
    "error: len of a point": "len(x.sum())",
    "error: iteration over a point": "list(x.sum())",
    "error: gradient of a wrong shape": "x.grad = lib.zeros(5)",
    "error: upstream of a wrong shape": "(x * 2).backward(lib.zeros(2))",
}


def _indented(text: str) -> list[str]:
    lines = [line for line in text.splitlines() if line.strip()]
    margin = min(len(line) - len(line.lstrip()) for line in lines)
    return ["        " + line[margin:] for line in lines]


@pytest.mark.parametrize("name", PROGRAMS)
def test_program(name: str) -> None:
    text = PROGRAMS[name]
    body = "\n".join("    " + line[8:] for line in _indented(text))
    names: dict[str, Any] = {"np": np, "copy": copy, "pickle": pickle}
    exec(f"def call(lib, x, y):\n    results = ()\n{body}\n    return results", names)
    outcomes = []
    for lib in (chainrule, torch):
        x, y = ((lib.tensor(entries((3, 4), "float64", key)) * 1.0).requires_grad_() for key in ("x", "y"))
        try:
            results = names["call"](lib, x, y)
        except Exception as error:
            outcomes.append(error)
        else:
            outcomes.append(list(results) if isinstance(results, (tuple, list)) else [results])
    ours, theirs = outcomes
    assert name.startswith("error") == isinstance(theirs, Exception), theirs
    if isinstance(theirs, Exception):
        assert isinstance(ours, (chainrule.ChainruleError, TypeError)), ours
        assert isinstance(ours, (type(theirs), RuntimeError)), (type(ours), type(theirs))
        assert len(str(ours)) > 20
        return
    if isinstance(ours, Exception):
        raise ours
    for a, b in zip(ours, theirs):
        if isinstance(b, list):
            assert a == b
        else:
            assert not difference(a, b), difference(a, b)


def test_layouts_follow_a_leaf() -> None:
    check(
        "x.T[1:].reshape(-1)[::2] * 2",
        [[Given(entries((3, 4), "float64", "x"), layout)] for layout in ("plain", "transposed", "strided", "expanded")],
    )
