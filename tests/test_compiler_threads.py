"""Threads of compiled programs: a barrier waits for work, never for a thread that does none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import nn
from chainrule.backends.native.run import pool as pools
from chainrule.backends.native.run.pool import Pool


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pool]:
    """A pool of this test's own, and three threads."""
    pool = Pool()
    monkeypatch.setattr(pools, "_pool", pool)
    before = chainrule.get_num_threads()
    chainrule.set_num_threads(3)
    yield pool
    chainrule.set_num_threads(before)
    pool.close()


def sums(length: int) -> tuple[Any, Any]:
    """A recurrent network's step, a loop of many stages, and its argument; more work than one thread is given."""
    chainrule.manual_seed(0)
    cell, head = nn.GRU(48, 48, batch_first=True), nn.Linear(48, 5)
    parameters = [*cell.parameters(), *head.parameters()]
    rule = chainrule.optim.SGD(parameters, lr=0.0)

    @chainrule.compile
    def step(x: Any) -> Any:
        rule.zero_grad()
        loss = head(cell(x)[0]).square().mean()
        loss.backward()
        rule.step()
        return chainrule.cat([loss.reshape(1), *[p.grad.flatten() for p in parameters]])

    x = np.random.default_rng(0).standard_normal((16, length, 48)).astype(np.float32)
    return step, chainrule.tensor(x)


def test_a_program_does_not_wait_for_threads_that_never_come(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    chainrule.set_num_threads(1)
    step, x = sums(40)
    alone = step(x).numpy()
    monkeypatch.setattr(pool, "_hire", lambda: pool.workers.append(None))  # nobody is hired, though counted
    chainrule.set_num_threads(3)
    assert step(x).numpy().tobytes() == alone.tobytes()
    pool.workers.clear()


def test_threads_that_come_and_go_change_nothing(pool: Pool) -> None:
    """Many short jobs of different lengths one after the other: workers are late for some, and still in none."""
    chainrule.set_num_threads(1)
    programs = [sums(length) for length in (2, 40, 7)]
    alone = [step(x).numpy() for step, x in programs]
    for round in range(60):
        chainrule.set_num_threads(2 + round % 4)
        for (step, x), expected in zip(programs, alone, strict=True):
            assert step(x).numpy().tobytes() == expected.tobytes()


def test_a_failed_check_ends_a_program_on_all_threads(pool: Pool) -> None:
    table = chainrule.randn(5000, 64)

    @chainrule.compile
    def look_up(places: Any) -> Any:
        return (table[places].exp().sum(1) * table[places].sum(1)).sum()

    good = chainrule.arange(20_000) % 5000
    expected = look_up(good).item()
    for _ in range(20):
        with pytest.raises(IndexError):
            look_up(chainrule.full((20_000,), 5000))
        assert look_up(good).item() == expected
