"""Running compiled programs: threads, errors that change nothing, new shapes, changed surroundings, processes."""

from __future__ import annotations

import gc
import logging
import os
import subprocess
import sys
import threading
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import nn
from tests.training_steps import summing_step, training_step


def network(seed: int = 0) -> Any:
    chainrule.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.2), nn.Flatten(),
        nn.Linear(16 * 8 * 8, 10),
    )  # fmt: skip


def batch(size: int, seed: int = 0) -> tuple[Any, Any]:
    random = np.random.default_rng(seed)
    x = chainrule.tensor(random.standard_normal((size, 3, 16, 16)).astype(np.float32))
    return x, chainrule.tensor(random.integers(0, 10, size))


def trained(threads: int, steps: int = 4) -> list[Any]:
    before = chainrule.get_num_threads()
    chainrule.set_num_threads(threads)
    try:
        model = network()
        step = chainrule.compile(training_step(model, chainrule.optim.Adam(model.parameters(), lr=1e-3)))
        losses = [step(*batch(40, i)).numpy() for i in range(steps)]
        return [*losses, *[t.numpy() for t in model.state_dict().values()]]
    finally:
        chainrule.set_num_threads(before)


def test_results_are_the_same_bits_for_every_number_of_threads() -> None:
    one = trained(1)
    for threads in (2, 3, 5):
        for a, b in zip(one, trained(threads), strict=True):
            assert a.tobytes() == b.tobytes()


def test_the_number_of_threads_is_checked() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        chainrule.set_num_threads(0)
    with pytest.raises(ValueError, match="whole number"):
        chainrule.set_num_threads(1.5)  # type: ignore[arg-type]


def test_wrong_labels_change_nothing() -> None:
    model = network()
    optimizer = chainrule.optim.Adam(model.parameters(), lr=1e-3)
    step = chainrule.compile(training_step(model, optimizer))
    x, y = batch(8)
    step(x, y)
    before = [t.numpy() for t in model.state_dict().values()]
    moments = [t.numpy() for p in model.parameters() for t in optimizer.state[p].values()]
    wrong = y.clone()
    wrong[3] = 10
    with pytest.raises(IndexError, match=r"label 10 at \[3\] is none of the 10 classes 0 … 9"):
        step(x, wrong)
    after = [t.numpy() for t in model.state_dict().values()]
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    later = [t.numpy() for p in model.parameters() for t in optimizer.state[p].values()]
    assert all(np.array_equal(a, b) for a, b in zip(moments, later, strict=True))
    assert np.isfinite(step(x, y).item())


class Learner:
    """A step as a method, as many write it: what shapes it are attributes of the object."""

    def __init__(self) -> None:
        self.model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5))
        self.scale = 1.0
        self.calls = 0

    def step(self, x: Any) -> Any:
        """Twice or not."""
        return self.scaled(self.model(x))

    def scaled(self, x: Any) -> Any:
        """Part of the step."""
        return x * self.scale


def test_attributes_of_the_object_whose_method_is_compiled_are_facts() -> None:
    learner = Learner()
    step = chainrule.compile(learner.step)
    x = chainrule.ones(50, 2)
    assert (step(x) == 0).any()
    learner.model.eval()
    plain = learner.model(x)
    assert chainrule.allclose(step(x), plain)
    learner.scale = 3.0
    assert chainrule.allclose(step(x), 3 * plain)
    made = sum(len(found) for found in step.programs.values())
    learner.calls = 5  # nothing that the step looks at
    step(x)
    assert made == sum(len(found) for found in step.programs.values()) == 3


class Unlucky(nn.Module):
    """Takes a logarithm of what may be negative."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(chainrule.ones(3))

    def forward(self, x: Any) -> Any:
        """log(w·x), which is no number for negative x."""
        return (self.weight * x).log()


def test_debug_names_what_made_the_first_nan() -> None:
    model = nn.Sequential(nn.Linear(3, 3), Unlucky(), nn.ReLU())
    with chainrule.no_grad():
        model[0].weight.copy_(chainrule.eye(3))
        model[0].bias.zero_()
    optimizer = chainrule.optim.Adam(model.parameters(), lr=0.1)

    @chainrule.compile(debug=True)
    def step(x: Any) -> Any:
        optimizer.zero_grad()
        loss = model(x).sum()
        loss.backward()
        optimizer.step()
        return loss

    step(chainrule.ones(2, 3))
    before = [p.detach().clone() for p in model.parameters()]
    with pytest.raises(chainrule.autograd.AnomalyError, match=r"^1 \(Unlucky\): Log made nan in 2 of 6 entries"):
        step(chainrule.tensor([[1.0, -1.0, 1.0], [1.0, 1.0, -2.0]]))
    assert all(chainrule.equal(p, q) for p, q in zip(model.parameters(), before, strict=True))
    assert np.isfinite(step(chainrule.ones(2, 3)).item())


def test_debug_lets_infinities_pass_that_were_there() -> None:
    double = chainrule.compile(lambda x: x * 2, debug=True)
    assert double(chainrule.tensor([1.0, float("inf")])).tolist() == [2.0, float("inf")]


def test_debug_finds_kernels_that_leave_their_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    from chainrule.backends import native as module
    from chainrule.backends.native.bounds import BoundsError

    def misplaced(*arguments: Any) -> Any:
        lowering = lower(*arguments)
        lowering.groups[0].nest.operands()[0].offset += 1
        return lowering

    lower = module.lower
    monkeypatch.setattr(module, "lower", misplaced)
    with pytest.raises(BoundsError, match="touches entries 1 to 3 of a buffer of 3"):
        chainrule.compile(lambda x: x * 2, debug=True)(chainrule.ones(3))


def test_results_are_freed_when_nobody_holds_them():
    double = chainrule.compile(lambda x: {"twice": [x * 2, (x + 1, x)]})
    x = chainrule.ones(3)
    double(x)
    gc.collect()
    gc.disable()
    try:
        result = weakref.ref(double(x)["twice"][0])
        assert result() is None
    finally:
        gc.enable()


def test_a_thread_waits_for_another_that_traces_with_its_tensor():
    shared = chainrule.ones(3)
    done: list[Any] = []
    gate = threading.Event()

    def read_and_write() -> None:
        gate.wait()
        done.append((shared * 2).tolist())
        done.append(shared.tolist())
        shared.add_(1)
        done.append(shared.tolist())

    other = threading.Thread(target=read_and_write)
    other.start()

    @chainrule.compile
    def step() -> Any:
        answer = shared + 1  # from here on the tensor holds a symbol
        gate.set()
        other.join(0.1)
        return answer

    assert step().tolist() in ([2, 2, 2], [3, 3, 3])  # the other may come before the first run or after it
    other.join()
    assert done == [[2, 2, 2], [1, 1, 1], [2, 2, 2]]
    assert step().tolist() == [3, 3, 3]


def test_two_programs_from_two_threads() -> None:
    def work(results: list[Any], seed: int) -> None:
        model = network(seed)
        step = chainrule.compile(training_step(model, chainrule.optim.SGD(model.parameters(), lr=0.01)))
        results.extend(step(*batch(16, i)).item() for i in range(30))

    alone: list[list[float]] = [[], []]
    for seed in (0, 1):
        work(alone[seed], seed)
    together: list[list[float]] = [[], []]
    threads = [threading.Thread(target=work, args=(together[seed], seed)) for seed in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Dropout draws from the one default generator, so the order of draws differs; the losses stay close and finite.
    assert all(np.isfinite(together[seed]).all() and len(together[seed]) == 30 for seed in (0, 1))


def test_one_program_from_two_threads() -> None:
    double = chainrule.compile(lambda x: (x * 2).sum())
    wrong: list[Any] = []

    def work(number: int) -> None:
        x = chainrule.full((1000,), float(number))
        wrong.extend(i for i in range(200) if double(x).item() != 2000.0 * number)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(1, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_dropout_draws_the_same_masks_as_eager() -> None:
    layer = nn.Dropout(0.3)
    x = chainrule.ones(1000)
    chainrule.manual_seed(3)
    eager = [layer(x).numpy() for _ in range(3)]
    chainrule.manual_seed(3)
    run = chainrule.compile(lambda x: layer(x))
    for want in eager:
        assert run(x).numpy().tobytes() == want.tobytes()


def test_a_short_batch_and_back() -> None:
    model = network()
    twin = network()
    step = chainrule.compile(training_step(model, chainrule.optim.SGD(model.parameters(), lr=0.01)))
    plain = training_step(twin, chainrule.optim.SGD(twin.parameters(), lr=0.01))
    sizes = [16, 16, 5, 16, 1, 5]
    chainrule.manual_seed(1)
    compiled = [step(*batch(size)).item() for size in sizes]
    chainrule.manual_seed(1)
    np.testing.assert_allclose(compiled, [plain(*batch(size)).item() for size in sizes], rtol=1e-4)


def test_training_mode_is_a_fact(caplog: Any) -> None:
    model = network()
    run = chainrule.compile(lambda x: model(x))
    x, _ = batch(4)
    run(x)
    model.eval()
    with caplog.at_level(logging.INFO, "chainrule.compile"):
        np.testing.assert_allclose(run(x).numpy(), model(x).detach().numpy(), atol=1e-5)
    assert "training was True and is False" in caplog.text


def test_a_plain_number_is_a_fact() -> None:
    factor = 2.0
    run = chainrule.compile(lambda x: x * factor)
    x = chainrule.tensor([1.0])
    assert run(x).item() == 2.0
    factor = 3.0
    assert run(x).item() == 3.0


def test_gradients_accumulate_over_calls() -> None:
    layer, twin = nn.Linear(4, 3), nn.Linear(4, 3)
    twin.load_state_dict(layer.state_dict())

    def collect(layer: Any, x: Any) -> Any:
        loss = (layer(x) ** 2).sum()
        loss.backward()
        return loss

    run = chainrule.compile(lambda x: collect(layer, x))
    for i in range(3):
        x = chainrule.randn(5, 4)
        run(x)
        collect(twin, x)
        np.testing.assert_allclose(layer.weight.grad.numpy(), twin.weight.grad.numpy(), rtol=1e-5)
        if i == 1:
            layer.zero_grad()
            twin.zero_grad()


def test_cells_may_be_changed_between_calls() -> None:
    layer = nn.Linear(2, 2)
    run = chainrule.compile(lambda x: layer(x))
    x = chainrule.ones(1, 2)
    run(x)
    held = layer.weight.detach().clone()
    with chainrule.no_grad():
        layer.weight.fill_(1.0)
        layer.bias.fill_(0.5)
    assert run(x).tolist() == [[2.5, 2.5]]
    layer.load_state_dict({"weight": held, "bias": chainrule.zeros(2)})
    np.testing.assert_allclose(run(x).numpy(), held.sum(1).numpy()[None], rtol=1e-6)


def test_old_values_stay_what_they_were() -> None:
    layer = nn.Linear(3, 3)
    step = chainrule.compile(summing_step(layer, chainrule.optim.SGD(layer.parameters(), lr=0.5)))
    x = chainrule.ones(2, 3)
    step(x)
    snapshot, look = layer.weight.detach().clone(), np.asarray(layer.weight.detach())
    copies = snapshot.numpy(), look.copy()
    step(x)
    assert np.array_equal(snapshot.numpy(), copies[0]) and np.array_equal(look, copies[1])
    assert not np.array_equal(layer.weight.detach().numpy(), copies[0])


def test_a_branch_on_a_value_is_refused() -> None:
    def bad(x: Any) -> Any:
        return x * 2 if x.sum() > 0 else x

    with pytest.raises(chainrule.TraceError, match="where"):
        chainrule.compile(bad)(chainrule.ones(3))
    with pytest.raises(chainrule.TraceError, match="item"):
        chainrule.compile(lambda x: x * x.sum().item())(chainrule.ones(3))


def test_leaving_tensors_behind_is_refused() -> None:
    kept: list[Any] = []
    x = chainrule.ones(3)

    def bad(x: Any) -> Any:
        kept.append(x * 2)
        return x.sum()

    run = chainrule.compile(bad)
    run(x)
    run(x)
    with pytest.raises(chainrule.TraceError, match="leaves tensors behind"):
        run(x)
    assert kept[0].tolist() == [2.0, 2.0, 2.0]


SCRIPT = """
import os, sys, signal, threading
import chainrule
from tests.test_compiler_run import *
chainrule.set_num_threads(2)
model = network()
step = chainrule.compile(training_step(model, chainrule.optim.SGD(model.parameters(), lr=0.01)))
data = batch(64)
step(*data)
"""


def run_script(rest: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).parent.parent
    environment = {**os.environ, "PYTHONPATH": str(root)}
    return subprocess.run(
        [sys.executable, "-c", SCRIPT + rest],
        capture_output=True,
        text=True,
        timeout=timeout,
        env=environment,
        cwd=root,
    )


def test_exit_right_after_a_run() -> None:
    done = run_script("print('done')")
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_fork() -> None:
    done = run_script("""
child = os.fork()
if child == 0:
    ok = all(step(*data).item() > 0 for _ in range(20))
    os._exit(0 if ok else 1)
assert all(step(*data).item() > 0 for _ in range(20))
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
""")
    assert (done.returncode, done.stdout) == (0, "0\n"), done.stderr


@pytest.mark.skipif(not hasattr(__import__("signal"), "setitimer"), reason="needs timers")
def test_keyboard_interrupt() -> None:
    done = run_script("""
signal.signal(signal.SIGALRM, signal.default_int_handler)
signal.setitimer(signal.ITIMER_REAL, 0.3)
try:
    while True:
        step(*data)
except KeyboardInterrupt:
    pass
assert step(*data).item() > 0
print("fine")
""")
    assert (done.returncode, done.stdout) == (0, "fine\n"), done.stderr


def test_damaged_cache_entries_are_replaced(tmp_path: Path, monkeypatch: Any) -> None:
    from chainrule.backends.native.run import cache

    monkeypatch.setenv("CHAINRULE_CACHE_DIR", str(tmp_path / "kept"))
    made: list[str] = []

    def make(text: str) -> bytes:
        made.append(text)
        return b"code of " + text.encode()

    assert cache.cached_code("a", make) == cache.cached_code("a", make) == b"code of a"
    assert made == ["a"]
    (entry,) = (tmp_path / "kept").iterdir()
    content = entry.read_bytes()
    for damaged in (content[:-1], content[:40], b"", content[:32] + b"evil" + content[36:]):
        entry.write_bytes(damaged)
        assert cache.cached_code("a", make) == b"code of a"
    assert made == ["a"] * 5
    entry.chmod(0o666)
    assert cache.cached_code("a", make) == b"code of a" and made == ["a"] * 6
    monkeypatch.setenv("CHAINRULE_CACHE", "0")
    cache.cached_code("a", make)
    assert made == ["a"] * 7


def test_a_cache_that_others_can_write_to_is_not_used(tmp_path: Path, monkeypatch: Any, caplog: Any) -> None:
    from chainrule.backends.native.run import cache

    place = tmp_path / "open"
    place.mkdir()
    place.chmod(0o777)
    monkeypatch.setenv("CHAINRULE_CACHE_DIR", str(place))
    for _ in range(2):
        assert cache.cached_code("a", lambda text: b"code") == b"code"
    assert not list(place.iterdir())
    assert len(caplog.records) == 1 and "chmod 700" in caplog.text
