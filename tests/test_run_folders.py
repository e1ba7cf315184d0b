"""What happens around a run's folder: asked to stop twice and three times, a second run, what a killed run left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import chainrule
from chainrule import nn
from chainrule.cli import main
from chainrule.errors import CheckpointError
from chainrule.tasks.run import train_run
from chainrule.tasks.settings import Settings
from chainrule.train import Callback, Checkpoints, LeftAtOnce, Trainer, hold_interrupts
from chainrule.train.run_lock import RunLock


class Asking(Callback):
    """Asks to stop in the middle of a step: within the loss, once or several times."""

    def __init__(self, at: int, times: int) -> None:
        self.at, self.times, self.calls = at, times, 0

    def loss(self, output: Any, target: Any) -> Any:
        self.calls += 1
        if self.calls == self.at:
            for _ in range(self.times):
                signal.raise_signal(signal.SIGINT)
        return nn.functional.mse_loss(output, target)


def trainer(asking: Asking, folder: Path) -> tuple[Trainer, Checkpoints]:
    chainrule.manual_seed(0)
    model = nn.Linear(2, 1)
    checkpoints = Checkpoints(folder)
    optimizer = chainrule.optim.Adam(model.parameters(), lr=0.1)
    return Trainer(model, asking.loss, optimizer, callbacks=[checkpoints], compile=False), checkpoints


DATA = [(chainrule.ones(4, 2) * i, chainrule.ones(4, 1)) for i in range(1, 6)]


@pytest.mark.parametrize("times", [1, 2])
def test_asked_once_or_twice_a_run_waits_for_its_step(tmp_path, times, capfd):
    whole, _ = trainer(Asking(0, 0), tmp_path / "whole")
    whole.fit(DATA, epochs=2)
    stopped, checkpoints = trainer(Asking(7, times), tmp_path / "stopped")
    with pytest.raises(KeyboardInterrupt) as caught:
        stopped.fit(DATA, epochs=2)
    assert not isinstance(caught.value, LeftAtOnce) and stopped.steps == 7
    assert ("once more leaves at once" in capfd.readouterr().err) == (times == 2)
    checkpoints.save(stopped)
    again, checkpoints = trainer(Asking(0, 0), tmp_path / "stopped")
    assert checkpoints.resume(again) and again.steps == 7
    again.fit(DATA, epochs=2)
    assert (again.model.weight == whole.model.weight).all() and (again.model.bias == whole.model.bias).all()


def test_asked_three_times_it_leaves_at_once(tmp_path):
    handler = signal.getsignal(signal.SIGINT)
    stopped, _ = trainer(Asking(7, 3), tmp_path)
    with pytest.raises(LeftAtOnce):
        stopped.fit(DATA, epochs=2)
    assert stopped.steps == 6 and signal.getsignal(signal.SIGINT) is handler


class Asks(Callback):
    """Asks after a batch; what comes after that is not training."""

    def __init__(self, moment: str, times: int) -> None:
        self.moment, self.times = moment, times

    def on_batch_end(self, trainer: Any, batch: Any) -> None:
        if trainer.steps == 60:
            for _ in range(self.times):
                signal.raise_signal(signal.SIGINT)


def test_a_run_that_was_asked_twice_goes_on_to_the_same_bits(tmp_path):
    settings = Settings(model="mlp", epochs=2)
    wanted = train_run(settings, tmp_path / "whole")
    assert train_run(settings, tmp_path / "run", [Asks("", 2)]).status == "interrupted"
    assert train_run(None, tmp_path / "run").test == wanted.test


def test_a_run_that_was_asked_three_times_saves_nothing_and_goes_on_from_before(tmp_path):
    settings = Settings(model="mlp", epochs=2)
    with pytest.raises(LeftAtOnce):
        train_run(settings, tmp_path / "run", [Asks("", 3)])
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert not names & {"summary.json", "report.html", ".lock"}
    (left,) = [name for name in names if name.startswith("checkpoint")]  # the one of the first epoch's end
    assert int(left[11:20]) < 60
    assert train_run(None, tmp_path / "run").test == train_run(settings, tmp_path / "whole").test


def test_holding_within_holding_counts_on():
    with hold_interrupts() as outer:
        signal.raise_signal(signal.SIGINT)
        with hold_interrupts() as inner, pytest.raises(KeyboardInterrupt):
            inner()
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(LeftAtOnce):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            outer()


def test_in_another_thread_nothing_is_held():
    seen: list[Any] = []

    def work() -> None:
        with hold_interrupts() as stop_if_asked:
            stop_if_asked()
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGINT)]


# --------------------------------------------------------------------------------------- a second run

HOLDER = """
import sys, time
from pathlib import Path
from chainrule.train.run_lock import RunLock
lock = RunLock(Path(sys.argv[1]))
lock.take()
print("taken", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that has the folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "taken\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_run_in_a_folder_is_refused(tmp_path, holder, capsys):
    second, _ = trainer(Asking(0, 0), tmp_path)
    with pytest.raises(CheckpointError, match=f"another run is writing here \\(process {holder.pid}\\)"):
        second.fit(DATA)
    assert second.steps == 0
    with pytest.raises(SystemExit) as stop:
        main(["train", "mlp", "--epochs", "1", "--output", str(tmp_path), "-q"])
    assert stop.value.code == 2 and "another run is writing here" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {".lock"}


def test_a_killed_run_leaves_no_lock(tmp_path, holder):
    holder.kill()
    holder.communicate()
    first, _ = trainer(Asking(0, 0), tmp_path)
    first.fit(DATA)
    assert not (tmp_path / ".lock").exists()


WITH_WORKER = """
import multiprocessing, os, signal, sys
from pathlib import Path
import chainrule
from chainrule.data import DataLoader, TensorDataset
from chainrule.train.run_lock import RunLock
lock = RunLock(Path(sys.argv[1]))
lock.take()
batches = iter(DataLoader(TensorDataset(chainrule.arange(40)), 1, num_workers=1, multiprocessing_context="fork"))
next(batches)
(worker,) = multiprocessing.active_children()
os.kill(worker.pid, signal.SIGSTOP)  # it cannot see that its program has ended
print(worker.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="where workers are forked")
def test_a_worker_that_outlives_its_run_has_no_lock(tmp_path):
    done = subprocess.Popen([sys.executable, "-c", WITH_WORKER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert done.stdout is not None
    worker = int(done.stdout.readline())
    try:
        assert done.wait() == -signal.SIGKILL
        lock = RunLock(tmp_path)
        lock.take()
        lock.release()
    finally:
        os.kill(worker, signal.SIGKILL)
        done.stdout.close()


def test_two_trainers_of_one_program_one_after_the_other(tmp_path):
    first, _ = trainer(Asking(0, 0), tmp_path)
    first.fit(DATA)
    first.fit(DATA, epochs=2)
    second, checkpoints = trainer(Asking(0, 0), tmp_path)
    checkpoints.lock.take()
    with pytest.raises(CheckpointError, match=f"process {os.getpid()}"):
        first.fit(DATA, epochs=3)
    second.fit(DATA)
    checkpoints.lock.release()


def test_what_a_killed_run_was_writing_is_removed(tmp_path):
    left = [".checkpoint-000000005.4711.writing.safetensors", ".report.12.writing.html", ".metrics.1.writing"]
    kept = ["notes.txt", ".hidden", ".my.writing.txt", "writing.5.writing.txt"]
    for name in (*left, *kept):
        (tmp_path / name).write_text("x")
    run, _ = trainer(Asking(0, 0), tmp_path)
    run.fit(DATA)
    names = {path.name for path in tmp_path.iterdir()}
    assert not names & set(left) and names >= set(kept)


KILLED = """
import os, signal, sys
from pathlib import Path
from chainrule.files import write_atomically
write_atomically(Path(sys.argv[1]) / "w.safetensors", lambda p: (p.write_text("x"), os.kill(os.getpid(), signal.SIGKILL)))
"""


def test_it_is_what_a_killed_writer_leaves(tmp_path):
    assert subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)]).returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 1
    run, _ = trainer(Asking(0, 0), tmp_path)
    run.fit(DATA)
    assert all(path.suffix == ".safetensors" and not path.name.startswith(".") for path in tmp_path.iterdir())
