"""Working memory of compiled functions: what programs and threads share, an interrupt, what is forgotten once code is made."""

from __future__ import annotations

import gc
import threading
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import nn
from chainrule.backends.native.executable import describe, rows_of
from chainrule.backends.native.lowering.nest import Nest
from chainrule.backends.native.run.arenas import Arena


def _wide(x: Any) -> Any:
    """Something that needs room on its way: products of products."""
    return ((x @ x).sin() @ x).tanh() @ (x @ x)


def test_programs_of_one_function_share_working_memory() -> None:
    """Two sizes work in one piece of memory, and what was returned is not in it."""
    compiled = chainrule.compile(_wide)
    random = np.random.default_rng(0)
    inputs = [chainrule.tensor(random.standard_normal((n, n)).astype("f4") / n) for n in (300, 200, 260)]
    kept, copies, executables = [], [], []
    for x in [*inputs, *inputs]:
        kept.append(compiled(x).numpy)
        copies.append(kept[-1]().copy())
        executables.append(compiled.program.executable)
    assert len({id(executable.arena) for executable in executables}) == 1
    for array, before in zip(kept, copies, strict=True):
        np.testing.assert_array_equal(array(), before)
    for x, before in zip(inputs, copies, strict=False):
        np.testing.assert_allclose(before, _wide(x).numpy(), rtol=1e-3, atol=1e-6)


def test_threads_have_working_memory_of_their_own() -> None:
    """Functions that run at the same time do not meet."""
    random = np.random.default_rng(0)
    inputs = [chainrule.tensor(random.standard_normal((n, n)).astype("f4") / n) for n in (200, 210, 220)]
    steps = [chainrule.compile(lambda x, by=by: _wide(x) * by) for by in (1.0, 2.0, 3.0)]
    expected = [step(x).numpy() for step, x in zip(steps, inputs, strict=True)]
    wrong: list[int] = []

    def work(number: int) -> None:
        for _ in range(30):
            if not np.array_equal(steps[number](inputs[number]).numpy(), expected[number]):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_loops_are_forgotten_when_their_code_is_made() -> None:
    """A program keeps its table, and what its kernels are called; the loops can be made again."""

    def nests() -> int:
        gc.collect()
        return sum(isinstance(thing, Nest) for thing in gc.get_objects())

    step = chainrule.compile(lambda x, w: chainrule.scan(lambda h, y: ((h @ w + y).tanh(), h.sum()), x[0], x))
    arguments = chainrule.randn(200, 4, 9), chainrule.randn(9, 9)
    before = nests()
    step(*arguments)
    assert nests() == before
    lowering = step.program.runnable.lowered()
    assert nests() > before
    titles = [describe(row.group) for row in rows_of(lowering)]
    assert len(titles) == len(step.program.executable.kernels) and "200 times" in titles
    assert [kernel.title for kernel in step.program.executable.kernels] == titles


def test_longer_and_longer_sequences_work_in_one_memory() -> None:
    """Not in one for each length; and what is a little longer works in the same place."""

    def kept() -> int:
        gc.collect()
        return sum(thing.memory.nbytes for thing in gc.get_objects() if isinstance(thing, Arena))

    step = chainrule.compile(lambda h, xs: chainrule.scan(lambda h, x: ((h * x).sin(), h), h, xs)[1].sum())
    h = chainrule.ones(64)
    before, runs = kept(), []
    for length in (2000, 2100, 8000, 2000, 4000, 8100):
        xs = chainrule.ones(length, 64)
        want = step.function(h, xs).item()
        assert step(h, xs).item() == pytest.approx(want, rel=1e-5)
        runs.append(step.program.executable)
    assert runs[0].arena.size == 0 or runs[0].arena is runs[-1].arena
    assert runs[5].arena is runs[2].arena
    assert kept() - before <= 2 * runs[-1].arena_bytes


def test_an_interrupt_while_memory_is_bound_leaves_no_other_models() -> None:
    """Two models share their code; Ctrl-C comes when the first cell of one is bound, and not yet the second."""

    class Interrupting:
        def __init__(self, array: Any, cells: set[int]) -> None:
            self.array, self.cells = array, cells

        def __setitem__(self, slot: int, address: int) -> None:
            self.array[slot] = address
            if slot in self.cells:
                raise KeyboardInterrupt

    models = [nn.Linear(64, 64), nn.Linear(64, 64)]
    run, x = chainrule.compile(lambda model, x: model(x)), chainrule.ones(1, 64)
    first, second = (run(model, x) for model in models)
    native = run._last.runnable
    executable, bases = native.executable, native.executable.bases
    executable.bases = Interrupting(bases, {slot for _, slot in native.bound})
    with pytest.raises(KeyboardInterrupt):
        run(models[0], x)
    executable.bases = bases
    assert chainrule.equal(run(models[1], x), second)
    assert chainrule.equal(run(models[0], x), first)
