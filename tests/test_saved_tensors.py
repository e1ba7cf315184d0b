"""Hooks on what the tape keeps, and how its records hang together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import nn
from chainrule.autograd import graph


def gradients(hooked: Any) -> list[Any]:
    """Of a network with attention, a loop, a custom function and a view written in place."""
    chainrule.manual_seed(0)

    class Cube(chainrule.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            (x,) = ctx.saved_tensors
            return 3 * x * x * g

    layers = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.LayerNorm(6), nn.GELU())
    attention, loop = nn.MultiheadAttention(6, 2, batch_first=True), nn.GRU(6, 3, batch_first=True)
    x = chainrule.randn(2, 5, 4, requires_grad=True)
    with hooked:
        h = layers(x)
        h = h + attention(h, h, h, need_weights=False)[0]
        h = loop(h)[0] * 1
        h[:, 0] *= 2
        loss = nn.functional.cross_entropy(Cube.apply(h).flatten(0, 1).softmax(1), chainrule.arange(10) % 3)
    loss.backward(retain_graph=True)
    loss.backward()
    parameters = [*layers.parameters(), *attention.parameters(), *loop.parameters()]
    return [np.asarray(t.grad) for t in (x, *parameters)]


def test_what_goes_through_the_hooks_comes_back() -> None:
    import contextlib

    kept: list[Any] = []

    def pack(tensor: Any) -> int:
        kept.append(np.array(tensor.detach()))
        return len(kept) - 1

    hooked = gradients(graph.saved_tensors_hooks(pack, lambda place: chainrule.tensor(kept[place])))
    assert len(kept) > 20
    # Without hooks attention is one record, which adds up what its three arguments get in another order.
    for ours, plain in zip(hooked, gradients(contextlib.nullcontext()), strict=True):
        np.testing.assert_allclose(ours, plain, rtol=1e-4, atol=1e-7)
    for ours, plain in zip(gradients(graph.save_on_cpu()), hooked, strict=True):
        np.testing.assert_array_equal(ours, plain)


def test_what_the_hooks_make_of_it_is_what_counts() -> None:
    x = chainrule.tensor([1.0, 2.0], requires_grad=True)
    with graph.saved_tensors_hooks(lambda t: t * 10, lambda t: t):
        y = (x * x).sum()
    y.backward()
    assert x.grad.tolist() == [20, 40]


def test_second_derivatives() -> None:
    x = chainrule.tensor([1.0, 2.0], requires_grad=True)
    with graph.saved_tensors_hooks(lambda t: t.numpy(force=True), chainrule.tensor):
        (g,) = chainrule.autograd.grad((x**3).sum(), x, create_graph=True)
        (h,) = chainrule.autograd.grad(g.sum(), x)
    assert h.tolist() == [6, 12]


def test_only_within_the_block_and_the_innermost_counts() -> None:
    calls: list[str] = []

    def named(name: str) -> Any:
        return graph.saved_tensors_hooks(lambda t: (calls.append(name), t)[1], lambda t: t)

    x = chainrule.ones(2, requires_grad=True)
    with named("outer"):
        with named("inner"):
            x.exp()
        x.exp()
    x.exp()
    assert calls == ["inner", "outer"]


def test_errors() -> None:
    x = chainrule.ones(2, requires_grad=True)
    with graph.saved_tensors_hooks(lambda t: t, lambda t: t[:1]):
        y = x.exp().sum()
    with pytest.raises(chainrule.GradientError, match=r"unpacking gave float32 \(1,\), packed was float32 \(2,\)"):
        y.backward()
    with graph.disable_saved_tensors_hooks("not here"), pytest.raises(chainrule.GradientError, match="not here"):
        graph.save_on_cpu().__enter__()
    with graph.save_on_cpu():
        pass


def test_next_functions_lead_to_the_leaves() -> None:
    x, w = chainrule.ones(2, requires_grad=True), chainrule.ones(2)
    y = (x * w).sum()
    assert y.grad_fn.name() == "Sum"
    ((product, place),) = y.grad_fn.next_functions
    assert product.name() == "Multiply" and place == 0
    (leaf, _), nothing = product.next_functions
    assert nothing == (None, 0)
    assert leaf.next_functions == () and leaf.name() == "AccumulateGrad"  # PyTorch's name for it
    edge = graph.get_gradient_edge(x)
    assert edge.node is leaf and isinstance(leaf, graph.Node)
    with pytest.raises(chainrule.GradientError):
        graph.get_gradient_edge(w)
