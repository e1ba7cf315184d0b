"""Loops with a carry as loops: what they compute is what eager code computes, however they are compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import nn
from chainrule.backends.native.executable import rows_of
from chainrule.backends.native.lowering import unroll
from chainrule.backends.native.run import pool
from chainrule.backends.native.run.waiting import FIELDS
from tests.loops import depths, same, total

pytestmark = pytest.mark.usefixtures("loops_only")


def drawn(*shape: int) -> Any:
    return chainrule.randn(*shape, dtype=chainrule.float64)


def two_carries(h: Any, x: Any) -> Any:
    a, b = h
    return (b, a * x + b), (a, b.sum())


CASES: dict[str, tuple[Any, Any]] = {
    "a sum": (lambda h, xs: chainrule.scan(lambda h, x: (h + x, h * 2), h, xs), lambda n: (drawn(3), drawn(n, 3))),
    "carries change places": (
        lambda a, b, xs: chainrule.scan(two_carries, (a, b), xs),
        lambda n: (drawn(4), drawn(4), drawn(n, 4)),
    ),
    "a carry that nobody reads": (
        lambda h, xs: chainrule.scan(lambda h, x: (x.sin(), x), h, xs),
        lambda n: (drawn(3), drawn(n, 3)),
    ),
    "a carry that never changes": (
        lambda h, xs: chainrule.scan(lambda h, x: (h, h + x), h, xs),
        lambda n: (drawn(3), drawn(n, 3)),
    ),
    "a matrix that is turned each time": (
        lambda h, xs: chainrule.scan(lambda h, x: ((h.mT @ x * 0.1).tanh(), h.sum(0)), h, xs),
        lambda n: (drawn(5, 5), drawn(n, 5, 5)),
    ),
    "one number": (lambda h, xs: chainrule.scan(lambda h, x: (h * x, h), h, xs), lambda n: (drawn(), drawn(n))),
    "columns of a sequence": (
        lambda h, xs: chainrule.scan(lambda h, x: (h + x, h), h, xs.permute(1, 2, 0).flip(0)),
        lambda n: (drawn(3, 2), drawn(2, n, 3)),
    ),
    "one result twice": (
        lambda h, xs: chainrule.scan(lambda h, x: (h + x, (h * x,) * 2), h, xs),
        lambda n: (drawn(3), drawn(n, 3)),
    ),
    "weights and a long sum": (
        lambda h, w, xs: chainrule.scan(lambda h, x: ((h @ w + x).sigmoid(), (h * x).sum()), h, xs),
        lambda n: (drawn(20, 17), drawn(17, 17), drawn(n, 20, 17)),
    ),
    "a loop in a loop": (
        lambda h, xs: chainrule.scan(lambda h, x: chainrule.scan(lambda g, y: (g * y, g + y), h, x), h, xs),
        lambda n: (drawn(3), drawn(n, 2, 3)),
    ),
}


@pytest.mark.parametrize("length", [1, 2, 5, 300])
@pytest.mark.parametrize("name", CASES)
def test_a_loop_computes_what_eager_code_does(name: str, length: int) -> None:
    function, make = CASES[name]
    arguments = make(length)
    step = chainrule.compile(function)
    want = function(*arguments)
    for _ in range(2):
        same(step(*arguments), want)
    if length > 1:
        assert len(depths(step)) >= 1


@pytest.mark.parametrize("length", [2, 5, 64])
@pytest.mark.parametrize("name", CASES)
def test_gradients_of_loops_are_loops(name: str, length: int) -> None:
    function, make = CASES[name]

    def step(*arguments: Any) -> Any:
        leaves = [x.detach().requires_grad_() for x in arguments]
        loss = total(function(*leaves))
        loss.backward()
        return [x.grad if x.grad is not None else x * 0 for x in leaves]

    arguments = make(length)
    same(chainrule.compile(step)(*arguments), step(*arguments))


@pytest.mark.parametrize("layer", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize("both", [False, True])
def test_recurrent_layers_train_in_loops(layer: Any, both: bool) -> None:
    outcomes = []
    for compiled in (False, True):
        chainrule.manual_seed(0)
        model = layer(5, 33, num_layers=2, bidirectional=both, batch_first=True, dtype=chainrule.float64)
        optimizer = chainrule.optim.SGD(model.parameters(), lr=0.1)

        def step(x: Any, model: Any = model, optimizer: Any = optimizer) -> Any:
            optimizer.zero_grad()
            loss = model(x)[0].square().mean()
            loss.backward()
            optimizer.step()
            return loss

        run = chainrule.compile(step) if compiled else step
        x = drawn(17, 12, 5)
        losses = [run(x) for _ in range(3)]
        outcomes.append((losses, [p.detach() for p in model.parameters()]))
    same(outcomes[0], outcomes[1])
    assert len(depths(run)) >= 2


@pytest.mark.parametrize("threads", [1, 2, 3, 5])
def test_the_number_of_threads_changes_no_bit(threads: int) -> None:
    chainrule.manual_seed(1)
    model = nn.GRU(8, 128)
    x = chainrule.randn(40, 64, 8)
    step = chainrule.compile(lambda x: model(x)[0])
    chainrule.set_num_threads(1)
    want = step(x).numpy()
    chainrule.set_num_threads(threads)
    for _ in range(5):
        assert np.array_equal(step(x).numpy(), want)
    assert not step.program.executable.small


def test_an_index_that_is_wrong_late_in_a_loop_changes_nothing() -> None:
    table, seen = drawn(4, 3), chainrule.zeros(())

    def step(places: Any) -> Any:
        seen.add_(1)
        return chainrule.scan(lambda h, i: (h + table[i], h), chainrule.zeros(3, dtype=chainrule.float64), places)[0]

    compiled = chainrule.compile(step)
    good, bad = chainrule.tensor([0, 3, 1] * 20), chainrule.tensor([0, 3, 1] * 19 + [0, 4, 1])
    compiled(good)
    with pytest.raises(IndexError) as ours:
        compiled(bad)
    assert seen.item() == 1
    with pytest.raises(IndexError) as eager:
        step(bad)
    assert str(ours.value) == str(eager.value)


def test_another_length_compiles_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from chainrule.backends.native.run import functions

    model = nn.LSTM(4, 16)
    step = chainrule.compile(lambda x: model(x)[0])
    step(chainrule.randn(50, 3, 4))
    x = chainrule.randn(70, 3, 4)
    expected = model(x)[0].detach().numpy()
    monkeypatch.setenv("CHAINRULE_CACHE", "0")
    monkeypatch.setattr(functions, "compile_text", lambda text: pytest.fail("a function was compiled"))
    np.testing.assert_allclose(step(x).detach().numpy(), expected, rtol=1e-5, atol=1e-6)


def test_the_table_does_not_grow_with_the_length() -> None:
    step = chainrule.compile(lambda h, xs: chainrule.scan(lambda h, x: (h + x, h), h, xs))
    rows = [(step(drawn(2), drawn(n, 2)), len(step.program.executable.kernels))[1] for n in (3, 3000)]
    assert rows[0] == rows[1]


def test_what_a_loop_gives_for_each_step_is_written_where_it_is_returned() -> None:
    """So the program needs no memory of its own for it; and what one call has returned stays what it was."""
    step = chainrule.compile(lambda h, xs: chainrule.scan(lambda h, x: (h * x, h + x), h, xs))
    kept = []
    for _ in range(3):
        start, xs = drawn(1000), drawn(50, 1000)
        rows = step(start, xs)[1]
        h, want = start.numpy(), []
        for x in xs.numpy():
            want.append(h + x)
            h = h * x
        kept.append((rows.numpy(), want))
    for rows, want in kept:
        np.testing.assert_allclose(rows, want, rtol=1e-12)
    assert step.program.executable.arena_bytes < rows.nbytes / 4


@pytest.mark.parametrize("again", ["returned twice", "read afterwards", "a row that comes through"])
def test_what_a_loop_gives_may_be_wanted_again(again: str) -> None:
    def function(h: Any, xs: Any) -> Any:
        last, rows = chainrule.scan(lambda h, x: (h * x, x if again.startswith("a row") else h + x), h, xs)
        return last, rows, {"returned twice": rows}.get(again, (rows * 2).sum(0)), rows

    arguments = drawn(3), drawn(70, 3)
    same(chainrule.compile(function)(*arguments), function(*arguments))


def test_debug_looks_into_loops() -> None:
    step = chainrule.compile(lambda h, xs: chainrule.scan(lambda h, x: (h * x, h), h, xs), debug=True)
    same(step(drawn(2), chainrule.zeros(4, 2, dtype=chainrule.float64))[0], chainrule.zeros(2, dtype=chainrule.float64))
    with pytest.raises(chainrule.autograd.AnomalyError):
        step(drawn(2), chainrule.full((400, 2), 1e9, dtype=chainrule.float64))


def test_a_profile_counts_all_rounds() -> None:
    step = chainrule.compile(lambda h, xs: chainrule.scan(lambda h, x: ((h @ h).tanh(), x), h, xs))
    profile = step.profile(chainrule.randn(32, 32), chainrule.randn(50, 2), runs=2)
    product = next(row for row in profile.rows if "product" in row.title)
    assert product.operations == 50 * 2 * 32**3


def test_an_operation_without_machine_code_leaves_the_loop_to_numpy() -> None:
    matrix = drawn(3, 3) + 5 * chainrule.eye(3, dtype=chainrule.float64)

    def function(h: Any, xs: Any) -> Any:
        return chainrule.scan(lambda h, x: (chainrule.linalg.solve(matrix, h) + x, h), h, xs)

    step = chainrule.compile(function)
    arguments = drawn(3, 1), drawn(6, 3, 1)
    same(step(*arguments), function(*arguments))


def drawing(h: Any, x: Any) -> Any:
    return nn.functional.dropout(h + x * chainrule.rand(3, dtype=chainrule.float64), 0.5), chainrule.randint(9, (2,))


def drawing_twice(h: Any, xs: Any) -> Any:
    return chainrule.scan(lambda h, x: chainrule.scan(drawing, h, x), h, xs)


@pytest.mark.parametrize("longest", [0, 3000])
@pytest.mark.parametrize("backend", ["native", "numpy"])
@pytest.mark.parametrize("nested", [False, True])
def test_random_numbers_in_the_body(longest: int, backend: str, nested: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each time round has its own, the same as in eager code, and so has whatever is drawn afterwards."""
    monkeypatch.setattr(unroll, "LONGEST", longest)

    def step(h: Any, xs: Any) -> Any:
        h, xs = h.detach().requires_grad_(), xs.detach().requires_grad_()
        last, drawn_numbers = drawing_twice(h, xs) if nested else chainrule.scan(drawing, h, xs)
        total(last).backward()
        return last.detach(), drawn_numbers, h.grad, xs.grad, chainrule.rand(2)

    arguments = drawn(3), drawn(4, 2, 3) if nested else drawn(9, 3)
    outcomes = []
    for run in (step, chainrule.compile(step, backend=backend)):
        chainrule.manual_seed(2)
        outcomes.append([run(*arguments) for _ in range(3)])
    same(*outcomes)


def kernels(step: Any) -> tuple[list[str], list[list[str]]]:
    """What a program computes before its first loop, and in the body of each of its loops."""
    before: list[str] = []
    bodies: list[list[str]] = []
    for kernel in step.program.executable.kernels:
        if kernel.loop == "begin":
            bodies.append([])
        elif kernel.depth:
            bodies[-1].append(kernel.title)
        elif not bodies:
            before.append(kernel.title)
    return before, bodies


def test_what_never_changes_is_computed_before_the_loop() -> None:
    step = chainrule.compile(
        lambda h, w, xs: chainrule.scan(lambda h, x: (h * (w * 2).exp() + x, h), h, xs)[0],
    )
    h, w, xs = drawn(5), drawn(5), drawn(7, 5)
    expected = h.numpy()
    for x in xs.numpy():
        expected = expected * np.exp(w.numpy() * 2) + x
    np.testing.assert_allclose(step(h, w, xs).numpy(), expected, rtol=1e-12)
    before, (body,) = kernels(step)
    assert any("Exp" in title for title in before)
    assert not any("Exp" in title for title in body)


def test_an_lstms_loops_do_nothing_beside_products_and_cells() -> None:
    """Forward the product and the cell, and copies of what the gradient needs; backward a cell and a product."""
    lstm = nn.LSTM(8, 32, batch_first=True)
    optimiser = chainrule.optim.SGD(lstm.parameters(), lr=0.1)

    @chainrule.compile
    def step(x: Any) -> Any:
        optimiser.zero_grad()
        loss = lstm(x)[0].square().mean()
        loss.backward()
        optimiser.step()
        return loss

    step(chainrule.randn(16, 6, 8))
    _, (forward, backward) = kernels(step)
    computing = [title for title in forward if " copy" not in title]
    assert len(computing) == 2 and sum("product" in title for title in computing) == 1
    assert len(backward) == 2


def test_a_kernel_of_much_work_is_shared_out() -> None:
    """A part is made of work, not of entries: tanh takes longer than an addition."""

    def parts(f: Any) -> int:
        step = chainrule.compile(f)
        step(chainrule.ones(32, 256))
        (kernel,) = step.program.executable.kernels
        return int(kernel.parts)

    assert parts(lambda x: x + 1) == 1
    assert parts(lambda x: ((x.tanh() * x).tanh() + x).tanh()) > 1


@pytest.mark.parametrize("doubt", [0, 1, 2**40])
def test_threads_that_doubt_compute_the_same(doubt: int) -> None:
    """Whether threads look for long or soon sleep while they wait for each other changes no bit."""
    lstm = nn.LSTM(4, 24, batch_first=True)
    step = chainrule.compile(lambda x: lstm(x)[0])
    x = chainrule.randn(8, 30, 4)
    chainrule.set_num_threads(1)
    expected = step(x).numpy().tobytes()
    chainrule.set_num_threads(3)
    step.program.executable.small = False
    for _ in range(5):
        pool._pool.words[FIELDS["doubt"]] = doubt
        assert step(x).numpy().tobytes() == expected
    pool._pool.words[FIELDS["doubt"]] = 0


def test_a_loop_that_numpy_must_take_part_in_is_found_out_before_anything_is_lowered_for_it() -> None:
    """Every kernel writes what something reads, or a result: none prepares constants for a loop that is not there."""

    def function(h: Any, xs: Any, w: Any) -> Any:
        def body(h: Any, x: Any) -> Any:
            return chainrule.special.erfinv((h * chainrule.cat([w.exp(), w])).tanh() * 0.5) + x, h

        return chainrule.scan(body, h, xs)

    step = chainrule.compile(function)
    given = drawn(6), drawn(200, 6), drawn(3)
    same(step(*given), function(*given))
    rows = rows_of(step.program.runnable.lowered())
    assert not any(row.group.loop for row in rows) and any(row.group.call for row in rows)
    read = {buffer for row in rows for buffer in row.group.reads}
    assert all(buffer in read or buffer.origin == "output" for row in rows for buffer in row.group.writes)
