"""The net below the facts: a step is traced again now and then, and what differs is an error. And the usual loops."""

from __future__ import annotations

import ctypes
import linecache
import os
import re
import struct
import subprocess
import sys
import textwrap
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import chainrule
from chainrule import errors, nn, optim
from chainrule.nn import functional as F
from tests.changes import programs_of
from tests.training_steps import training_step

ROOT = Path(__file__).parent.parent
X = chainrule.tensor([1.0, 2.0, 3.0])


class Hidden:
    """A number in memory that code written in C reads behind everybody's back."""

    def __init__(self) -> None:
        self.memory = ctypes.create_string_buffer(struct.pack("d", 2.0))
        self.address = ctypes.addressof(self.memory)

    def put(self, number: float) -> None:
        """Change it."""
        self.memory[:8] = struct.pack("d", number)


class Task:
    """A step that adds to a tensor, by a number that cannot be followed."""

    def __init__(self) -> None:
        self.hidden, self.total = Hidden(), chainrule.zeros(3)

    def step(self, x: Any) -> Any:
        """Add and answer."""
        number = struct.unpack("d", ctypes.string_at(self.hidden.address, 8))[0]
        self.total.add_(x * number)
        return x * number


def test_a_stale_error_is_a_trace_error() -> None:
    assert issubclass(errors.StaleError, errors.TraceError)


def test_the_eighth_call_finds_what_changed_after_the_fourth_and_writes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CHAINRULE_STRICT", "")
    task = Task()
    run = chainrule.compile(task.step)
    for _ in range(4):
        assert run(X).tolist() == [2, 4, 6]
    task.hidden.put(3.0)
    for _ in range(3):
        run(X)
    before = task.total.tolist()
    with pytest.raises(errors.StaleError, match="step") as caught:
        run(X)
    assert re.search(r"\b4\b", str(caught.value)), "the last call that agreed is named"
    assert task.total.tolist() == before
    assert run(X).tolist() == [3, 6, 9], "the right program goes on"
    assert task.total.tolist() == [before[i] + 3 * (i + 1) for i in range(3)]


def test_a_warning_instead() -> None:
    task = Task()
    run = chainrule.compile(task.step, on_stale="warn")
    run(X)
    task.hidden.put(3.0)
    with pytest.warns(UserWarning, match="step"):
        assert run(X).tolist() == [3, 6, 9]
    assert task.total.tolist() == [5, 10, 15]


@pytest.mark.parametrize("decorated", [True, False])
def test_strict_compares_at_every_call(decorated: bool) -> None:
    task = Task()
    run = chainrule.compile(strict=True)(task.step) if decorated else chainrule.compile(task.step, strict=True)
    for _ in range(10):
        assert run(X).tolist() == [2, 4, 6]
    before = task.total.tolist()
    task.hidden.put(3.0)
    with pytest.raises(errors.StaleError, match="step"):
        run(X)
    assert task.total.tolist() == before
    assert run(X).tolist() == [3, 6, 9]


def test_the_environment_makes_every_step_strict() -> None:
    source = """
        import chainrule
        from tests.test_compiler_net import Task, X
        task = Task()
        run = chainrule.compile(task.step)
        for _ in range(10):
            run(X)
        task.hidden.put(3.0)
        try:
            run(X)
        except chainrule.errors.StaleError as error:
            print("stale")
    """
    for strict, expected in (("1", "stale\n"), ("", "")):
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(source)], cwd=ROOT, env={**os.environ, "CHAINRULE_STRICT": strict}, capture_output=True, text=True, check=True
        )  # fmt: skip
        assert done.stdout == expected


def test_nothing_is_stale_where_nothing_changes() -> None:
    """Training with dropout, random numbers, schedules and growing counts, each call compared."""
    chainrule.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 2))
    optimizer = optim.Adam(model.parameters(), lr=0.1)
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x + chainrule.rand_like(x)), y)
        loss.backward()
        optimizer.step()
        return loss

    run = chainrule.compile(step, strict=True)
    for i in range(12):
        run(chainrule.ones(4, 3) * i, chainrule.tensor([0, 1, 1, 0]))
        schedule.step()
    assert programs_of(run) <= 2


def test_a_step_that_is_traced_again_gives_the_same_numbers() -> None:
    """The trace replaces the call: what is drawn and written is what eager draws and writes."""

    def outcome(prepare: Callable[[Any], Any]) -> list[Any]:
        chainrule.manual_seed(0)
        weight = nn.Parameter(chainrule.ones(3))
        optimizer = optim.SGD([weight], lr=0.1, momentum=0.9)

        def step(x: Any) -> Any:
            optimizer.zero_grad()
            loss = (F.dropout(weight * x, 0.5) + chainrule.rand(3)).sum()
            loss.backward()
            optimizer.step()
            return loss

        run = prepare(step)
        return [run(X).item() for _ in range(18)] + weight.tolist() + chainrule.rand(2).tolist()

    expected = pytest.approx(outcome(lambda function: function), rel=1e-5)
    assert outcome(chainrule.compile) == expected
    assert outcome(lambda function: chainrule.compile(function, strict=True)) == expected


def test_user_code_runs_once_in_a_call_that_traces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAINRULE_STRICT", "")
    runs: list[int] = []

    def step(x: Any) -> Any:
        runs.append(1)
        return x * 2

    run = chainrule.compile(step)
    for call in range(1, 9):
        run(X)
        assert len(runs) == call.bit_length(), "in calls 1, 2, 4 and 8"


# ------------------------------------------------------------------------------------- the usual loops

LOOP = """\
import chainrule
from chainrule import nn, optim
from chainrule.nn import functional as F

chainrule.manual_seed(0)
model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
optimizer = optim.Adam(model.parameters(), lr=0.01)
schedule = optim.lr_scheduler.StepLR(optimizer, 2)
loader = [(chainrule.randn(5, 3), chainrule.randint(0, 2, (5,))) for _ in range(4)]


{decorator}
def step(x, y):
    optimizer.zero_grad()
    output = model(x)
    loss = F.cross_entropy(output, y)
    loss.backward()
    optimizer.step()
    return loss


"""
TRAINING = """\
total, best, losses = 0.0, None, []
for epoch in range(3):
    for i, (x, y) in enumerate(loader):
        loss = step(x, y)
        output = loss * 2
        total += loss.item()
        losses.append(loss.item())
        best = min(losses)
    schedule.step()
"""


def losses_of(decorator: str) -> list[float]:
    """What the loop gives, run within this process as one text."""
    space: dict[str, Any] = {"__name__": "__main__"}
    exec(LOOP.replace("{decorator}", decorator) + TRAINING, space)
    return space["losses"]


def test_a_script_with_the_loop_at_module_level_has_one_program(tmp_path: Path) -> None:
    last = "\nfrom tests.changes import programs_of\nprint(programs_of(step), losses)\n"
    script = tmp_path / "train.py"
    script.write_text(LOOP.replace("{decorator}", "@chainrule.compile") + TRAINING + last)
    done = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    programs, listed = done.stdout.split(" ", 1)
    assert int(programs) <= 2  # the learning rate changes
    assert [float(text) for text in re.findall(r"[\d.e-]+", listed)] == pytest.approx(losses_of(""), rel=1e-4)


@pytest.mark.parametrize("schedule", [True, False])
def test_cells_of_a_notebook_have_one_program(schedule: bool) -> None:
    loop = TRAINING if schedule else TRAINING.replace("    schedule.step()\n", "")
    cells = [LOOP.replace("{decorator}", "@chainrule.compile"), loop, loop.replace("range(3)", "range(1)")]
    space: dict[str, Any] = {"__name__": "__main__"}
    for number, cell in enumerate(cells):
        name = f"<ipython-input-{number}-5ca1ab1e>"
        linecache.cache[name] = len(cell), None, cell.splitlines(keepends=True), name
        exec(compile(cell, name, "exec", dont_inherit=True), space)
        space[f"_i{number}"] = space["_ih"] = cell  # as a notebook does
    assert programs_of(space["step"]) <= 1 + schedule


def test_a_cell_that_is_run_again_defines_the_step_anew() -> None:
    space: dict[str, Any] = {"__name__": "__main__"}
    for number, factor in enumerate((2.0, 3.0)):
        cell = f"import chainrule\nfactor = {factor}\n@chainrule.compile\ndef step(x):\n    return x * factor\nfound = step(chainrule.ones(1))\n"
        name = f"<ipython-input-{number}-0ddba11>"
        linecache.cache[name] = len(cell), None, cell.splitlines(keepends=True), name
        exec(compile(cell, name, "exec", dont_inherit=True), space)
        assert space["found"].tolist() == [factor]


def test_code_without_any_source_is_followed_or_refused() -> None:
    space: dict[str, Any] = {"chainrule": chainrule, "factor": 2.0}
    exec("def helper(x):\n    return x * factor\n\nstep = chainrule.compile(lambda x: helper(x))", space)
    found = []
    for factor in (2.0, 3.0, 2.0):
        space["factor"] = factor
        try:
            found.append(space["step"](X).tolist() == [factor, 2 * factor, 3 * factor])
        except errors.TraceError as error:
            assert len(str(error)) > 40
    assert all(found)


def test_a_loop_in_a_function_has_one_program() -> None:
    def train() -> tuple[Any, list[float]]:
        chainrule.manual_seed(0)
        model = nn.Linear(3, 2)
        optimizer = optim.SGD(model.parameters(), lr=0.1)
        step = chainrule.compile(training_step(model, optimizer))
        loader = [(chainrule.randn(5, 3), chainrule.randint(0, 2, (5,))) for _ in range(4)]

        losses = []
        for _epoch in range(3):
            for x, y in loader:
                loss = step(x, y)
                losses.append(loss.item())
        return step, losses

    step, losses = train()
    assert programs_of(step) == 1 and losses[-4] < losses[0]


def test_the_loop_warns_of_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        losses = losses_of("@chainrule.compile")
    assert losses == pytest.approx(losses_of(""), rel=1e-5)
