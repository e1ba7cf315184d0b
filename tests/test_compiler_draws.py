"""Compiled draws are the eager ones bit for bit, wherever in the stream they start, and fuse with what uses them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import nn
from chainrule.compiler.single import in_numpy
from chainrule.nn import functional as F
from chainrule.primitives.random import write_state
from chainrule.primitives.value import Value

DRAWS: dict[str, Callable[[], Any]] = {
    "uniform": lambda: chainrule.rand(5, 7, 13),
    "uniform, more than one part": lambda: chainrule.rand(100_003),
    "uniform, float64": lambda: chainrule.rand(333, dtype=chainrule.float64),
    "normal": lambda: chainrule.randn(300, 101),
    "normal, float64": lambda: chainrule.randn(30_001, dtype=chainrule.float64),
    "integers": lambda: chainrule.randint(-5, 1000, (50, 77)),
    "integers, the widest range": lambda: chainrule.randint(-(2**63), 2**63 - 1, (500,)),
    "one after the other": lambda: [chainrule.rand(3, 1), chainrule.randn(1), chainrule.rand(2), chainrule.rand(())],
}


@pytest.mark.parametrize("counter", [0, 2**64 - 3, 2**128 - 2])
@pytest.mark.parametrize("name", DRAWS)
def test_bit_for_bit(name: str, counter: int) -> None:
    """Twice in a row, so that the state has moved on as far; also where the counter wraps around."""
    draw, generator = DRAWS[name], chainrule.random.default_generator
    both = []
    for function in (draw, chainrule.compile(draw)):
        generator.state.set_value(Value(write_state(counter, 0x0123456789ABCDEF)))
        both.append([function(), function(), generator.get_state()])
    for eager, ours in zip(*both, strict=True):
        for a, b in zip(*[x if isinstance(x, list) else [x] for x in (eager, ours)], strict=True):
            assert a.dtype is b.dtype
            np.testing.assert_array_equal(a.numpy(), b.numpy())


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_large_eager_draws_are_those_of_numpy(dtype: str) -> None:
    """They are programs of their own (`compiler/single.py`), from so many entries on."""
    for draw, shape in ((chainrule.rand, (40_001,)), (chainrule.randn, (3, 20_001)), (chainrule.randn, (32_768,))):
        chainrule.manual_seed(7)
        found = [draw(*shape, dtype=dtype), chainrule.rand(3)]
        chainrule.manual_seed(7)
        with in_numpy():
            meant = [draw(*shape, dtype=dtype), chainrule.rand(3)]
        assert all(chainrule.equal(a, b) for a, b in zip(found, meant, strict=True))


def test_dropout_within_a_training_step() -> None:
    """The mask is drawn in the kernel that uses it, and the same one is used backwards."""
    results = []
    for compiled in (False, True):
        chainrule.manual_seed(3)
        model = nn.Sequential(nn.Linear(20, 40), nn.ReLU(), nn.Dropout(0.3), nn.Linear(40, 3)).double()
        optimizer = chainrule.optim.SGD(model.parameters(), lr=0.1)
        x = chainrule.randn(16, 20, dtype=chainrule.float64)

        def step(x: Any, model: Any = model, optimizer: Any = optimizer) -> Any:
            optimizer.zero_grad()
            loss = F.mse_loss(model(x), x[:, :3])
            loss.backward()
            optimizer.step()
            return loss

        run = chainrule.compile(step) if compiled else step
        results.append([run(x).item() for _ in range(4)])
        if compiled:
            assert "NumPy" not in run.explain()
    np.testing.assert_allclose(*results, rtol=1e-12)


@pytest.mark.parametrize("shape", [(1,), (5,), (16,), (33,), (7, 13), (3, 5, 7), (2, 3, 1, 9), (130, 3)], ids=str)
def test_neighbouring_entries_share_blocks_of_words(shape: tuple[int, ...]) -> None:
    """Wherever a row begins in a block of four words, and read in any order: the bits of eager code."""
    for draw in (chainrule.rand, chainrule.randn):
        for function in (lambda d=draw: d(*shape), lambda d=draw: d(*shape).transpose(0, -1) * 2):
            chainrule.manual_seed(3)
            want = [function() for _ in range(2)]
            chainrule.manual_seed(3)
            compiled = chainrule.compile(function)
            for expected in want:
                assert compiled().numpy().tobytes() == np.ascontiguousarray(expected.numpy()).tobytes()
