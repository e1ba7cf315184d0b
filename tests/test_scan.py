"""`scan` is the loop it stands for: values, gradients and second derivatives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import autograd
from chainrule.primitives.contraction import MatMul
from chainrule.primitives.shape import Permute

float64 = chainrule.float64


def draw(*shape: int, seed: int = 0) -> Any:
    return chainrule.randn(*shape, dtype=float64, generator=chainrule.Generator(seed)).requires_grad_()


def unrolled(function: Any, carry: Any, xs: Any, reverse: bool = False) -> tuple[Any, Any]:
    """What scan must be equal to."""
    steps = range(len(xs))
    ys: list[Any] = [None] * len(xs)
    for t in reversed(steps) if reverse else steps:
        carry, ys[t] = function(carry, xs[t])
    return carry, chainrule.stack(ys)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("length", [1, 5])
def test_recurrent_layer(length: int, reverse: bool) -> None:
    W, U, b = draw(4, 4), draw(3, 4, seed=1), draw(4, seed=2)
    xs, h0 = draw(length, 2, 3, seed=3), draw(2, 4, seed=4)

    def step(h: Any, x: Any) -> Any:
        h = (x @ U + h @ W + b).tanh()
        return h, h * 2

    results = []
    for loop in (chainrule.scan, unrolled):
        h, ys = loop(step, h0, xs, reverse=reverse)
        total = (h * h).sum() + (ys**3).sum()
        results.append([h, ys, *autograd.grad(total, [W, U, b, xs, h0])])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(np.asarray(ours.detach()), np.asarray(theirs.detach()), rtol=1e-10, atol=1e-12)


def test_nested_carry_of_an_lstm_cell_and_second_derivatives() -> None:
    W, xs = draw(5, 8), draw(3, 2, 3, seed=1)
    W = (W * 0.3).detach().requires_grad_()

    def f(W: Any, xs: Any) -> Any:
        def step(carry: Any, x: Any) -> Any:
            gates = chainrule.cat([x, carry["h"]], 1) @ W
            i, f, o, g = gates.chunk(4, 1)
            c = f.sigmoid() * carry["c"] + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
            return {"h": h, "c": c}, (h, c.sum())

        zero = chainrule.zeros(2, 2, dtype=float64)
        carry, (hs, cs) = chainrule.scan(step, {"h": zero, "c": zero}, xs)
        return carry["c"], hs, cs

    assert autograd.gradcheck(f, (W, xs))
    assert autograd.gradgradcheck(f, (W, xs), rtol=1e-4)


def test_gradient_rules_that_make_constants() -> None:
    def f(w: Any, xs: Any) -> Any:
        return chainrule.scan(lambda h, x: ((h * w + x).prod() + w[[0, 0]].sum(), None), w.sum(), xs)[0]

    assert autograd.gradcheck(f, (draw(3), draw(2, 3, seed=1)))


def test_integer_carry_no_sequence_and_no_result() -> None:
    def step(carry: Any, _: Any) -> Any:
        count, total = carry
        return (count + 1, total + count), None

    (count, total), ys = chainrule.scan(step, (chainrule.tensor(0), chainrule.tensor(0)), length=5)
    assert (count.item(), total.item(), ys) == (5, 10, None)


def test_no_steps() -> None:
    h0 = draw(2)
    h, ys = chainrule.scan(lambda h, x: (h * x, h), h0, chainrule.zeros(0, 2, dtype=float64))
    assert h.tolist() == h0.tolist() and ys.shape == (0, 2)
    assert autograd.grad(h.sum(), h0)[0].tolist() == [1, 1]


def test_scan_in_scan_and_in_a_checkpoint() -> None:
    W, xs = draw(3), draw(4, 2, 3, seed=1)

    def outer(h: Any, rows: Any) -> Any:
        h, _ = chainrule.scan(lambda k, x: ((k * W + x).tanh(), None), h, rows)
        return h, h

    def f(W_: Any, xs: Any) -> Any:
        return chainrule.scan(outer, chainrule.zeros(3, dtype=float64), xs)[1].sum()

    first = autograd.grad(f(W, xs), [W, xs])
    expected = autograd.grad(
        unrolled(lambda h, rows: (unrolled(lambda k, x: ((k * W + x).tanh(), k), h, rows)[0],) * 2,
                 chainrule.zeros(3, dtype=float64), xs)[1].sum(), [W, xs])  # fmt: skip
    again = autograd.grad(chainrule.utils.checkpoint.checkpoint(f, W, xs), [W, xs])
    for ours, theirs, third in zip(first, expected, again, strict=True):
        np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), rtol=1e-10, atol=1e-13)
        np.testing.assert_allclose(np.asarray(third), np.asarray(theirs), rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (lambda h, x: (h if x > 0 else -h, None), "where"),
        (lambda h, x: (h * x.item(), None), "item"),
        (lambda h, x: (h * float(np.asarray(x)), None), r"numpy\(\) needs"),
    ],
)
def test_asking_for_numbers_is_refused_with_the_way_out(body: Any, says: str) -> None:
    with pytest.raises(chainrule.TraceError, match=says):
        chainrule.scan(body, chainrule.tensor(0.0), chainrule.ones(3))
    assert (chainrule.ones(1) + 1).tolist() == [2], "the trace is over"


def test_a_carry_that_changes_is_refused() -> None:
    with pytest.raises(chainrule.ShapeError, match="carry 0"):
        chainrule.scan(lambda h, x: (chainrule.cat([h, h]), None), chainrule.ones(2), chainrule.ones(3))
    with pytest.raises(chainrule.ShapeError, match="first extent"):
        chainrule.scan(lambda h, x: (h, None), chainrule.ones(2), (chainrule.ones(3), chainrule.ones(4)))


def test_random_numbers_in_the_body_differ_by_step_and_repeat_by_seed() -> None:
    def step(h: Any, _: Any) -> Any:
        return h, chainrule.rand(2)

    runs = []
    for _ in range(2):
        chainrule.manual_seed(5)
        runs.append([*chainrule.scan(step, chainrule.zeros(1), length=4)[1].tolist(), chainrule.rand(1).tolist()])
    assert runs[0] == runs[1]
    chainrule.manual_seed(5)
    expected = [chainrule.rand(2).tolist() for _ in range(4)] + [chainrule.rand(1).tolist()]
    assert runs[0] == expected


def test_writing_to_a_tensor_from_outside_is_refused_and_undone() -> None:
    outside = chainrule.zeros(3)

    def step(h: Any, x: Any) -> Any:
        outside.add_(x)
        return h, None

    with pytest.raises(chainrule.TraceError, match="carry"):
        chainrule.scan(step, chainrule.zeros(1), chainrule.ones(2, 3))
    assert outside.tolist() == [0, 0, 0]


CONSTANTS = {
    "used twice": lambda h, x, W, b: (h @ W + x @ W + b).tanh(),
    "transposed and as it is": lambda h, x, W, b: (h @ W.T + x @ W + b).tanh(),
    "two times transposed": lambda h, x, W, b: (h @ W.T).tanh() @ W.T + b.reshape(1, 3),
    "a part of it": lambda h, x, W, b: (h @ W[:, :3] + x * W[0, 0] + b[None]).tanh(),
    "elementwise": lambda h, x, W, b: (h * W.sum(0) + x * b * b).tanh(),
    "linear in nothing else": lambda h, x, W, b: h + W.sum() + b,
    "with batches of products": lambda h, x, W, b: (h[:, None, :] @ W.expand(2, 3, 3) @ W).squeeze(1).tanh() + x * b,
    "weights times weights": lambda h, x, W, b: (h @ (W @ W)).tanh() + b,
    "a convolution": lambda h, x, W, b: (
        chainrule.nn.functional.conv1d(h[:, None] + x[:, None], W.unsqueeze(1), padding=1)[:, 0] * b
    ),
    "through log_softmax": lambda h, x, W, b: (h @ W.log_softmax(0) + b).tanh() * x,
}


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", CONSTANTS)
def test_gradients_of_constants_are_those_of_the_python_loop(name: str, reverse: bool) -> None:
    body = CONSTANTS[name]
    W, b, xs, h0 = draw(3, 3), draw(3, seed=1), draw(4, 2, 3, seed=2), draw(2, 3, seed=3)
    results = []
    for loop in (chainrule.scan, unrolled):
        h, ys = loop(lambda h, x: (body(h, x, W, b),) * 2, h0, xs, reverse=reverse)
        first = autograd.grad((h**2).sum() + (ys**3).sum(), [W, b, xs, h0], create_graph=True, allow_unused=True)
        first = [g for g in first if g is not None]
        second = autograd.grad(sum((g * g).sum() for g in first), [W, b, h0])
        results.append([ys, *first, *second])
    assert len(results[0]) == len(results[1])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(np.asarray(ours.detach()), np.asarray(theirs.detach()), rtol=1e-9, atol=1e-10)


def test_the_gradient_of_a_weight_is_one_product_over_all_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, ...]] = []
    evaluate = MatMul.evaluate

    def watched(x: Any, y: Any) -> Any:
        seen.append((*x.shape, y.shape[-1]))
        return evaluate(x, y)

    monkeypatch.setattr(MatMul, "evaluate", staticmethod(watched))
    W, b, xs = draw(5, 5), draw(5, seed=1), draw(7, 2, 5, seed=2)
    h, _ = chainrule.scan(lambda h, x: ((h @ W.T + x + b).tanh(), None), chainrule.zeros(2, 5, dtype=float64), xs)
    h.sum().backward()
    steps = [(2, 5, 5)] * 14  # seven forwards, seven backwards to h
    assert sorted(seen) == sorted([*steps, (5, 14, 5)]), "and one for the weight over 7 · 2 rows"


def test_what_only_rearranges_constants_is_done_once(monkeypatch: pytest.MonkeyPatch) -> None:
    W, xs = draw(5, 5), draw(7, 2, 5, seed=2)
    turned = []
    evaluate = Permute.evaluate
    monkeypatch.setattr(
        Permute, "evaluate", staticmethod(lambda x, *, order: turned.append(x.shape) or evaluate(x, order=order))
    )
    chainrule.scan(lambda h, x: ((h @ W.T + x).tanh(), None), chainrule.zeros(2, 5, dtype=float64), xs)
    assert turned == [(5, 5)]
