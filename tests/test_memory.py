"""What is dead is freed at once, and long chains are no problem."""

from __future__ import annotations

import gc
import subprocess
import sys
import tracemalloc
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

import chainrule
from chainrule import autograd, nn, optim


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Reference counts alone must do."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def run_apart(program: str) -> str:
    """The output of a program in a process of its own."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_dead_results_add_nothing_to_the_peak() -> None:
    program = """
import resource, chainrule
x = chainrule.ones(25_000_000, requires_grad=True)  # 100 MB
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
y = x * 2.0; del y
before = peak()
for _ in range(40):
    x * 2.0
    (x + x).detach()
print(peak() - before)
"""
    assert float(run_apart(program)) < 150


def test_chains_of_any_length() -> None:
    program = """
import chainrule
x = chainrule.ones(2, requires_grad=True)
for length in (10_000, 200_000):
    y = x
    for _ in range(length):
        y = y + 1.0
    y.sum().backward()
    del y
print(x.grad.tolist())
y = x
for _ in range(200_000):
    y = y * 1.0
del y  # a graph that is never walked goes as quietly
"""
    assert run_apart(program).strip() == "[2.0, 2.0]"


def test_the_backward_pass_frees_as_it_goes() -> None:
    size, length = 250_000, 60  # 1 MB each
    x = chainrule.ones(size, requires_grad=True)
    tracemalloc.start()
    y = x
    for _ in range(length):
        y = (y * 0.5).exp()  # keeps its output
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    y.sum().backward()
    peak = tracemalloc.get_traced_memory()[1]
    left = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert held > length * size * 4 * 0.9
    assert peak < held + 12 * size * 4, "gradients replace what was kept; they do not come on top of it"
    assert left < 10 * size * 4


def test_saved_arrays_die_with_the_backward_pass(no_collector: None) -> None:
    x = chainrule.ones(3, requires_grad=True)
    y = (x * 2).exp()
    array = weakref.ref(y.value.array)
    z = y.sum()
    del y
    assert array() is not None
    z.backward()
    assert array() is None, "freed although the loss is still there"


def everything(model: nn.Module, optimizer: Any) -> None:
    """A training step, a block, a Function, a checkpoint, a loop, second derivatives."""

    class Double(autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            y = x * 2
            ctx.save_for_backward(x, y)
            return y

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * 2

    x = chainrule.randn(4, 1, 8, 8)
    optimizer.zero_grad()
    scores = Double.apply(model(x))
    scores = chainrule.utils.checkpoint.checkpoint(lambda s: s.tanh(), scores)
    state, _ = chainrule.scan(lambda h, row: ((h + row).tanh(), None), chainrule.zeros(3), scores)
    loss = nn.functional.cross_entropy(scores, chainrule.tensor([0, 1, 2, 0])) + state.sum()
    loss.backward()
    optimizer.step()
    w = chainrule.randn(3, requires_grad=True)
    (first,) = autograd.grad((w**3).sum(), w, create_graph=True)
    autograd.grad(first.sum(), w)


def test_nothing_is_left_for_the_collector(no_collector: None) -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(18, 3))
    optimizer = optim.Adam(model.parameters())
    everything(model, optimizer)
    gc.collect()
    before = len(gc.get_objects())
    for _ in range(5):
        everything(model, optimizer)
    gc.set_debug(gc.DEBUG_SAVEALL)
    gc.collect()
    ours = [x for x in gc.garbage if type(x).__module__.startswith("chainrule")]
    gc.set_debug(0)
    gc.garbage.clear()
    assert not ours, [repr(x)[:80] for x in ours[:5]]
    assert len(gc.get_objects()) < before + 2000


def test_checkpoint_needs_less() -> None:
    def deep(x: Any) -> Any:
        for _ in range(20):
            x = (x * 0.5).exp()
        return x

    def held(run: Any) -> int:
        x = chainrule.ones(100_000, requires_grad=True)
        tracemalloc.start()
        y = run(x)
        held = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        y.sum().backward()
        return held

    plain = held(deep)
    assert held(lambda x: chainrule.utils.checkpoint.checkpoint(deep, x)) < plain / 8
