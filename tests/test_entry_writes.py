"""Entries written in place: nobody who holds the old value sees the new one, and nothing large is copied."""

from __future__ import annotations

import copy
import threading
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import chainrule
from chainrule.cell import cell
from chainrule.state import current_state


def write(x: Any) -> None:
    x[0] = 7.0
    x[1] += 5
    x[1:].mul_(2)
    x[..., -1].fill_(9)


#: Ways to hold the value of x: what is held, as numbers.
HOLDERS: list[Callable[[Any], Callable[[], Any]]] = [
    lambda x: (a := np.asarray(x)) is not None and a.tolist,
    lambda x: (a := np.asarray(x)[1:]) is not None and a.tolist,
    lambda x: (m := memoryview(np.asarray(x))) is not None and m.tolist,
    lambda x: x.clone().tolist,
    lambda x: chainrule.nn.Parameter(x.clone()).tolist,
    lambda x: chainrule.nn.Buffer(x.clone()).tolist,
    lambda x: (p := chainrule.nn.Parameter(x)) is not None and (a := np.asarray(p.detach())) is not None and a.tolist,
    lambda x: (p := chainrule.nn.Parameter(x)) is not None and (p * 1).tolist,
    lambda x: (b := chainrule.nn.Buffer(x)) is not None and (a := b.value.array) is not None and a.tolist,
    lambda x: x.detach_copy().tolist,
    lambda x: copy.deepcopy(x).tolist,
    lambda x: x.contiguous().clone().reshape(-1).tolist,
    lambda x: (v := x.value) is not None and (lambda: v.array.tolist()),
    lambda x: (a := x.value.array) is not None and a.tolist,
    lambda x: (y := x + 0) is not None and y.tolist,
    lambda x: (y := chainrule.stack([x, x])) is not None and y.tolist,
    lambda x: (s := {"x": x.clone()}) is not None and s["x"].tolist,
]


@pytest.mark.parametrize("hold", HOLDERS)
@pytest.mark.parametrize("fresh", [True, False])
def test_what_holds_the_value_keeps_it(hold: Any, fresh: bool) -> None:
    x = chainrule.zeros(3) + 1 if fresh else chainrule.arange(12.0).reshape(4, 3)
    x[0] = 3.0  # from here on the cell's array is its own
    held = hold(x)
    before = copy.deepcopy(held())
    write(x)
    assert held() == before


@pytest.mark.parametrize("kind", [chainrule.nn.Parameter, chainrule.nn.Buffer])
def test_parameters_and_buffers_of_a_tensor_follow(kind: Any) -> None:
    x = chainrule.arange(12.0).reshape(4, 3).clone()
    alone = x.clone()
    held = kind(x)  # one memory, as in PyTorch
    for _ in range(2):
        write(x)
        write(alone)
        assert held.tolist() == x.tolist() == alone.tolist()


def test_views_follow_and_views_of_views() -> None:
    x = chainrule.zeros(4, 3)
    row, column, rest, plain = x[1], x[:, 2], x[2:][1], x.detach()
    seen = np.asarray(row)
    x[1, 2] = 5.0
    x[3, 2] += 2
    row[0] = 1.0
    column[0] += 4
    assert x.tolist() == [[0, 0, 4], [1, 0, 5], [0, 0, 0], [0, 0, 2]]
    assert row.tolist() == [1, 0, 5] and column.tolist() == [4, 5, 0, 2] and rest.tolist() == [0, 0, 2]
    assert chainrule.equal(plain, x) and seen.tolist() == [0, 0, 0]


def test_what_the_tape_has_kept_stays() -> None:
    w = chainrule.tensor([1.0, 2.0, 3.0], requires_grad=True)
    x = chainrule.zeros(3)
    losses: Any = 0.0
    for i in range(3):
        x[i] = float(i + 1)
        x[i] += 1
        losses = losses + (w * x).sum() + (w[1:] * x[1:]).sum() + (w[0] * x[0])
    losses.backward()
    # in the three rounds x was (2, 0, 0), (2, 3, 0), (2, 3, 4), and every entry counts twice
    assert w.grad.tolist() == [2 * 6, 2 * 6, 2 * 4]


def test_results_that_the_tape_keeps_stay() -> None:
    x = chainrule.zeros(2, requires_grad=True)
    y = x.exp()  # its gradient rule keeps the result
    with chainrule.no_grad():
        y[0] = 100.0
        y[1] += 100
    y.sum().backward()
    assert x.grad.tolist() == [1, 1]


def test_parameters_under_no_grad_keep_their_gradients() -> None:
    p = chainrule.nn.Parameter(chainrule.zeros(3))
    for _ in range(2):
        (p * 2).sum().backward()
        with chainrule.no_grad():
            p[1] = 5.0
            p[2] -= 1
    assert p.grad.tolist() == [4, 4, 4] and p.tolist() == [0, 5, -2] and p.requires_grad and p.is_leaf


def test_gradients_through_writes() -> None:
    x = chainrule.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = chainrule.zeros(3)
    for i in range(3):
        y[i] = x[i] * 2
        y[i] += x[0]
    y[1] *= 3
    y.sum().backward()
    assert y.tolist() == [3, 15, 7] and x.grad.tolist() == [2 + 1 + 3 + 1, 6, 2]


STEP = st.tuples(st.integers(0, 9), st.integers(0, 20), st.integers(0, 20))


def run(steps: list[tuple[int, int, int]]) -> list[Any]:
    """A programme of writes, views and holders; everything that it holds at the end."""
    w = chainrule.tensor([2.0, 3.0], requires_grad=True)
    tensors: list[Any] = [chainrule.zeros(3, 2)]
    held: list[Any] = []
    total: Any = w.sum()
    for kind, which, n in steps:
        x = tensors[which % len(tensors)]
        i = n % x.shape[0] if x.dim() else ...
        if kind == 0:
            x[i] = float(n)
        elif kind == 1:
            x[i] += n
        elif kind == 2:
            x.add_(n)
        elif kind == 3:
            tensors.append(x[i:] if x.dim() else x[...])
        elif kind == 4:
            tensors.append(x[i])
        elif kind == 5:
            held.append(np.asarray(x))
        elif kind == 6:
            tensors.append(x.detach() if n % 2 else x.clone())
        elif kind == 7 and x.dim() and x.shape[-1] == 2:
            total = total + (x * w).sum()
        elif kind == 8 and x.dim() > 1:
            tensors.append(x.t())
        elif kind == 9:
            x[i] = x[-1] if x.dim() else n
    total.backward()
    return [w.grad.tolist(), [t.tolist() for t in tensors], [a.tolist() for a in held]]


@given(st.lists(STEP, min_size=4, max_size=16))
def test_any_programme_is_the_same_as_with_copies(steps: list[tuple[int, int, int]]) -> None:
    quick = run(steps)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cell, "ALONE", None)
        patch.setattr(cell, "ALONE_WITH_VIEW", None)
        assert quick == run(steps)


def test_a_large_tensor_is_not_copied_for_an_entry() -> None:
    x = chainrule.zeros(1000, 1000)
    x[0, 0] = 1.0
    tracemalloc.start()
    for i in range(50):
        x[i, i] = 2.0
        x[i, 3] += 1
        x[i] *= 2
        x[:, i].add_(1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000, "the tensor has 4,000,000 bytes"
    assert x[3, 3] == 2 * (2 + 1) + 1 and x[49, 49] == 5


def test_other_threads_keep_what_they_hold() -> None:
    x = chainrule.zeros(50)
    wrong: list[Any] = []
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            value = x.value
            before = value.array.copy()
            if not (value.array == before).all():
                wrong.append(value)

    thread = threading.Thread(target=look)
    thread.start()
    for k in range(3000):
        x[k % 50] = float(k)
        x[k % 7] += 1
    stop.set()
    thread.join()
    assert not wrong


@pytest.mark.parametrize("size", [50, 20_000])
def test_other_threads_keep_what_they_see_of_views(size: int) -> None:
    x = chainrule.zeros(2, size)
    view, wrong, stop = x[0], [], threading.Event()

    def look() -> None:
        while not stop.is_set():
            for tensor in (x, view):
                value = tensor.value
                before = value.array.copy()
                if not (value.array == before).all():
                    wrong.append(value)

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    for k in range(400):
        view.fill_(float(k))
        x[:, k % 50] += 1
        x[0] = float(k)
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong and view.tolist() == x[0].tolist() == [399.0] * size


def test_a_base_that_changes_while_a_view_looks_at_it_is_looked_at_again() -> None:
    """As another thread may do: here what watches each operation, in the middle of the view's reading."""
    x = chainrule.zeros(2, 3)
    view, state, changes = x[0], current_state(), [2.0]
    x.fill_(1)

    def change(*_: Any) -> None:
        if changes:
            x.fill_(changes.pop())

    state.observer = change
    try:
        view.tolist()
    finally:
        state.observer = None
    assert not changes and view.tolist() == x[0].tolist() == [2, 2, 2]


def test_a_claimed_value_is_waited_for() -> None:
    x = chainrule.zeros(3)
    x[0] = 1.0
    claim, seen = cell.Claim(x), []
    assert x.tolist() == [1, 0, 0], "the thread itself does not wait"
    thread = threading.Thread(target=lambda: seen.append(x.tolist()))
    thread.start()
    thread.join(0.05)
    assert not seen
    claim._value.array[1] = 5.0
    claim.release(x, changed=True)
    thread.join()
    assert seen == [[1, 5, 0]] == [x.tolist()] and type(x.value) is type(chainrule.zeros(1).value)


def test_anomalies_are_still_seen() -> None:
    x = chainrule.ones(3)
    x[0] = 2.0
    with pytest.raises(chainrule.autograd.AnomalyError), chainrule.autograd.detect_anomaly():
        x[1] /= 0
