"""Loops within loops: what they compute is what eager code and the NumPy backend compute, and the table stays short."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import autograd, nn
from chainrule.backends.native.lowering import unroll
from tests.loops import depths, same, total

Function = Callable[..., Any]
pytestmark = pytest.mark.usefixtures("loops_only")


def drawn(*shape: int) -> Any:
    return chainrule.randn(*shape, dtype=chainrule.float64) * 0.5


def agree(function: Function, arguments: tuple[Any, ...]) -> Any:
    """The native program, after it has given what eager code and the NumPy backend give, twice each."""
    want = function(*arguments)
    native, numpy = chainrule.compile(function), chainrule.compile(function, backend="numpy")
    for _ in range(2):
        same(native(*arguments), want)
        same(numpy(*arguments), want)
    return native


def product(h: Any, x: Any) -> Any:
    return (h * x).tanh(), h + x


def in_pairs(h: Any, x: Any) -> Any:
    """Two loops one behind the other, the second backwards and of what the first has stacked."""
    h, ys = chainrule.scan(product, h, x)
    return chainrule.scan(product, h, ys * 0.5, reverse=True)


def with_work_around(h: Any, x: Any) -> Any:
    """A loop between other operations, and one that has a carry of its own."""
    start = (h + x.mean(0)).sin()
    inner, ys = chainrule.scan(lambda g, y: (g * y + h, (g, y.sum())), start, x)
    return (inner - start).tanh(), (ys, inner.sum())


def changing_places(h: Any, x: Any) -> Any:
    """The carries of both loops change places each time."""
    a, b = h
    (a, b), ys = chainrule.scan(lambda c, y: ((c[1], c[0] * y), c[0]), (a, b), x)
    return (b, a), ys


def triangular(h: Any, x: Any) -> Any:
    """Three loops within each other."""
    return chainrule.scan(in_pairs, h, x)


def of_matrices(h: Any, x: Any) -> Any:
    """Products in the inner loop, with a weight from outside of both."""
    return chainrule.scan(lambda g, y: ((g @ WEIGHT + y).tanh(), g.sum(0)), h, x)


WEIGHT = chainrule.tensor(np.linspace(-0.5, 0.5, 36).reshape(6, 6))

#: The outer body, the shape of the carry, and that of a row of the sequence.
BODIES: dict[str, tuple[Function, tuple[int, ...], Callable[[int], tuple[int, ...]]]] = {
    "one in one": (lambda h, x: chainrule.scan(product, h, x), (3,), lambda m: (m, 3)),
    "two behind each other": (in_pairs, (3,), lambda m: (m, 3)),
    "work around": (with_work_around, (4,), lambda m: (m, 4)),
    "three deep": (triangular, (2,), lambda m: (m, 3, 2)),
    "products": (of_matrices, (5, 6), lambda m: (m, 5, 6)),
}


@pytest.mark.parametrize(("outer", "inner"), [(1, 4), (3, 2), (4, 3), (5, 17)])
@pytest.mark.parametrize("name", BODIES)
def test_forward_and_backward(name: str, outer: int, inner: int) -> None:
    body, carry, row = BODIES[name]

    def step(h: Any, xs: Any) -> Any:
        h, xs = h.detach().requires_grad_(), xs.detach().requires_grad_()
        last, ys = chainrule.scan(body, h, xs)
        return [last, ys, *autograd.grad(total([last, ys]), [h, xs])]

    native = agree(step, (drawn(*carry), drawn(outer, *row(inner))))
    if outer > 1:
        assert max(depths(native)) == (2 if name == "three deep" else 1)
        assert depths(native).count(1) >= 2  # forwards and backwards


def test_carries_that_change_places_in_both() -> None:
    def function(a: Any, b: Any, xs: Any) -> Any:
        return chainrule.scan(changing_places, (a, b), xs)

    for outer in (2, 3):
        for inner in (2, 3, 4):
            native = agree(function, (drawn(3), drawn(3), drawn(outer, inner, 3)))
            assert depths(native) == [1, 0]


def test_second_derivatives() -> None:
    def step(h: Any, xs: Any) -> Any:
        h, xs = h.detach().requires_grad_(), xs.detach().requires_grad_()
        last, ys = chainrule.scan(in_pairs, h, xs)
        (first,) = autograd.grad((ys * ys).sum() + last.sin().sum(), [xs], create_graph=True)
        return [first, *autograd.grad((first * first).sum(), [h, xs])]

    native = agree(step, (drawn(3), drawn(3, 4, 3)))
    assert depths(native).count(1) >= 3


def test_gradients_are_those_of_finite_differences() -> None:
    def loss(h: Any, xs: Any) -> Any:
        return chainrule.scan(with_work_around, h, xs)[0].square().sum()

    def gradients(h: Any, xs: Any) -> Any:
        h, xs = h.detach().requires_grad_(), xs.detach().requires_grad_()
        return autograd.grad(loss(h, xs), [h, xs])

    run, (h, xs) = chainrule.compile(loss), (drawn(3), drawn(3, 4, 3))
    for argument, gradient in enumerate(chainrule.compile(gradients)(h, xs)):
        way = chainrule.randn(*gradient.shape, dtype=chainrule.float64)
        up, down = ([x + e * way if i == argument else x for i, x in enumerate((h, xs))] for e in (1e-6, -1e-6))
        slope = (run(*up).item() - run(*down).item()) / 2e-6
        np.testing.assert_allclose((gradient * way).sum().item(), slope, rtol=1e-6)


@pytest.mark.parametrize("layer", [nn.LSTM, nn.GRU])
def test_a_recurrent_layer_in_an_outer_loop(layer: Any) -> None:
    """Each time round the layer reads a whole sequence, and its last hidden state starts the next one."""
    model = layer(4, 9, dtype=chainrule.float64)
    parameters = list(model.parameters())

    def around(h: Any, xs: Any) -> Any:
        ys, _ = model(xs + h[:, :4])
        return ys[-1], ys.sum(2)

    def step(xs: Any) -> Any:
        last, ys = chainrule.scan(around, chainrule.zeros(5, 9, dtype=chainrule.float64), xs)
        return [last, *autograd.grad((last * last).sum() + ys.sin().sum(), parameters)]

    native = agree(step, (drawn(3, 11, 5, 4),))
    assert depths(native) == [1, 0, 1, 0]


def test_the_table_does_not_grow_with_either_length() -> None:
    step = chainrule.compile(lambda h, xs: chainrule.scan(in_pairs, h, xs))
    rows = []
    for outer, inner in (2, 3), (40, 50), (7, 900):
        arguments = drawn(2), drawn(outer, inner, 2)
        step(*arguments)
        rows.append(len(step.program.executable.kernels))
    assert len(set(rows)) == 1


def test_loops_are_written_out_only_where_they_are_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """What counts is the work of all times round of the inner loop too, not that it is one operation."""
    monkeypatch.setattr(unroll, "LONGEST", 60)
    step = chainrule.compile(lambda h, xs: chainrule.scan(lambda h, x: chainrule.scan(product, h, x), h, xs))
    for outer, inner, loops in (2, 3, []), (30, 2, [0]), (30, 40, [1, 0]), (1, 60, [0]):
        arguments = drawn(2), drawn(outer, inner, 2)
        same(step(*arguments), chainrule.scan(lambda h, x: chainrule.scan(product, h, x), *arguments))
        assert depths(step) == loops


@pytest.mark.parametrize("threads", [1, 2, 3, 5])
def test_the_number_of_threads_changes_no_bit(threads: int) -> None:
    chainrule.manual_seed(3)
    weight, h, xs = chainrule.randn(96, 96) * 0.1, chainrule.randn(33, 96), chainrule.randn(4, 5, 33, 96)

    def inner(h: Any, x: Any) -> Any:
        return (h @ weight + x).tanh(), h.sum(1)

    step = chainrule.compile(lambda h, xs: chainrule.scan(lambda h, x: chainrule.scan(inner, h, x), h, xs))
    chainrule.set_num_threads(1)
    want = [y.numpy() for y in step(h, xs)]
    chainrule.set_num_threads(threads)
    for _ in range(5):
        assert all(np.array_equal(a.numpy(), b) for a, b in zip(step(h, xs), want, strict=True))
    assert depths(step) == [1, 0] and not step.program.executable.small


def test_an_index_that_is_wrong_late_in_an_inner_loop_changes_nothing() -> None:
    table, seen = drawn(4, 3), chainrule.zeros(())

    def step(places: Any) -> Any:
        seen.add_(1)
        start = chainrule.zeros(3, dtype=chainrule.float64)
        return chainrule.scan(lambda h, row: chainrule.scan(lambda g, i: (g + table[i], g), h, row), start, places)

    compiled = chainrule.compile(step)
    good, bad = chainrule.tensor([[0, 3, 1]] * 20), chainrule.tensor([[0, 3, 1]] * 19 + [[0, 4, 1]])
    same(compiled(good), chainrule.scan(lambda h, row: chainrule.scan(lambda g, i: (g + table[i], g), h, row),
                                        chainrule.zeros(3, dtype=chainrule.float64), good))  # fmt: skip
    with pytest.raises(IndexError) as ours:
        compiled(bad)
    assert seen.item() == 1
    with pytest.raises(IndexError) as eager:
        step(bad)
    assert str(ours.value) == str(eager.value)


def test_an_operation_without_machine_code_leaves_both_loops_to_numpy() -> None:
    matrix = drawn(3, 3) + 5 * chainrule.eye(3, dtype=chainrule.float64)

    def inner(h: Any, x: Any) -> Any:
        return chainrule.linalg.solve(matrix, h) + x, h

    native = agree(
        lambda h, xs: chainrule.scan(lambda h, x: chainrule.scan(inner, h, x), h, xs), (drawn(3, 1), drawn(6, 4, 3, 1))
    )
    assert depths(native) == []


def test_what_is_said_of_nested_loops() -> None:
    step = chainrule.compile(lambda h, xs: chainrule.scan(lambda h, x: chainrule.scan(product, h, x), h, xs))
    step(drawn(2), drawn(6, 7, 2))
    lines = [line[6:] for line in step.explain().splitlines()]
    assert "6 times" in lines and "  7 times" in lines and lines.index("  7 times") > lines.index("6 times")
    assert any(line.startswith("    [2] Multiply Tanh") for line in lines)


def test_a_profile_counts_all_rounds() -> None:
    def inner(h: Any, x: Any) -> Any:
        return (h @ h).tanh(), x

    step = chainrule.compile(lambda h, xs: chainrule.scan(lambda h, x: chainrule.scan(inner, h, x), h, xs))
    profile = step.profile(chainrule.randn(32, 32), chainrule.randn(5, 4, 2), runs=2)
    assert next(row for row in profile.rows if "product" in row.title).operations == 5 * 4 * 2 * 32**3


def test_debug_looks_into_inner_loops() -> None:
    step = chainrule.compile(lambda h, xs: chainrule.scan(in_pairs, h, xs), debug=True)
    same(step(h := drawn(2), xs := drawn(3, 4, 2)), chainrule.scan(in_pairs, h, xs))
