"""Exact arithmetic: a compiled function does nothing that is faster and rounds in another order than elsewhere."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule.backends import build
from chainrule.backends.native import builder
from chainrule.backends.native.emitting.tile import multiplies_pairs
from chainrule.backends.native.run.machine import vector_bits

#: A bfloat16 number that the processor's own products of pairs take as 0.
TINY = 2.0**-130
PAIRS = multiplies_pairs() and vector_bits() == 512


@pytest.fixture(autouse=True)
def put_back() -> Iterator[None]:
    yield
    chainrule.use_exact_arithmetic(False)


def factors(rows: int = 20, depth: int = 301, columns: int = 70) -> tuple[Any, Any]:
    random = np.random.default_rng(1)
    x, y = (chainrule.tensor(random.standard_normal(shape)) for shape in ((rows, depth), (depth, columns)))
    return x.bfloat16(), y.bfloat16()


def multiply(x: Any, y: Any) -> Any:
    return x @ y


def uses_pairs(step: Any) -> bool:
    return any("pairs" in name for name in step.program.executable.builder.functions)


def bits(x: Any) -> Any:
    return x.float().numpy().view(np.int32)


def test_exact_is_what_processors_without_the_instructions_compute(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = factors()
    exact, fast = chainrule.compile(multiply, exact=True), chainrule.compile(multiply)
    have, other = exact(x, y), fast(x, y)
    assert not uses_pairs(exact) and uses_pairs(fast) == PAIRS
    np.testing.assert_allclose(bits(other).view(np.float32), bits(have).view(np.float32), rtol=2e-2, atol=1e-4)
    monkeypatch.setattr(builder, "multiplies_pairs", lambda: False)
    assert np.array_equal(bits(chainrule.compile(multiply)(x, y)), bits(have))


def test_the_smallest_numbers_count() -> None:
    x, y = chainrule.full((20, 40), TINY).bfloat16(), chainrule.ones(40, 70).bfloat16()
    have = chainrule.compile(multiply, exact=True)(x, y)
    assert have.float().tolist() == multiply(x, y).float().tolist() == [[40 * TINY] * 70] * 20


def test_the_switch_holds_for_large_operations_outside_of_compiled_functions() -> None:
    """They run as programs of their own, made again when it is turned."""
    x, y = chainrule.full((60, 128), TINY).bfloat16(), chainrule.ones(128, 70).bfloat16()
    for _ in range(2):
        chainrule.use_exact_arithmetic(False)
        assert multiply(x, y).float().unique().tolist() == [0.0 if PAIRS else 128 * TINY]
        chainrule.use_exact_arithmetic(True)
        assert multiply(x, y).float().unique().tolist() == [128 * TINY]


def test_gradients_and_convolutions_too() -> None:
    def step(x: Any, w: Any) -> Any:
        x, w = x.detach().requires_grad_(), w.detach().requires_grad_()
        return chainrule.autograd.grad(chainrule.nn.functional.conv2d(x, w, padding=1).sum(), [x, w])

    compiled = chainrule.compile(step, exact=True)
    compiled(chainrule.randn(2, 16, 9, 9).bfloat16(), chainrule.randn(24, 16, 3, 3).bfloat16())
    assert not uses_pairs(compiled)


def test_the_switch_holds_for_functions_that_are_compiled_already() -> None:
    x, y = factors()
    step, always, never = (chainrule.compile(multiply, exact=exact) for exact in (None, True, False))
    seen = []
    for mode in (False, True, False, True):
        chainrule.use_exact_arithmetic(mode)
        assert chainrule.is_exact_arithmetic_enabled() is mode
        results = [f(x, y) for f in (step, always, never)]
        seen.append((step.program, bits(results[0])))
        assert [f.program.program.exact for f in (step, always, never)] == [mode, True, False]
        assert np.array_equal(bits(results[0]), bits(results[1 if mode else 2]))
    assert seen[0][0] is seen[2][0] and seen[1][0] is seen[3][0] and seen[0][0] is not seen[1][0]


def test_copies_modules_and_stored_programs_stay_exact() -> None:
    x, y = factors()
    step = chainrule.compile(multiply, exact=True)
    want = step(x, y)
    again = copy.deepcopy(step)
    assert np.array_equal(bits(again(x, y)), bits(want)) and again.program.program.exact
    stored = pickle.loads(pickle.dumps(step.program.program))
    runnable: Any = build("native")(stored, [], False)
    (have,) = runnable.run([x.array, y.array])
    assert stored.exact and np.array_equal(have, want.array)
    layer = chainrule.nn.Linear(301, 70).to(chainrule.bfloat16)
    compiled = chainrule.compile(layer, exact=True)
    with chainrule.no_grad():
        compiled(x)
    assert not uses_pairs(compiled._compiled)
    decorated = chainrule.compile(exact=True)(multiply)
    decorated(x, y)
    assert not uses_pairs(decorated)
