"""The processes that read batches: what they know, what they give back, how they end."""

from __future__ import annotations

import copy
import gc
import multiprocessing
import subprocess
import sys
import textwrap
import time
from typing import Any

import pytest

import chainrule
from chainrule import data
from chainrule.data import DataLoader
from chainrule.data.starting import WorkerError
from tests import loader_parts as parts
from tests.test_loader import plain, tensors

# ------------------------------------------------------------------------------------------- workers


WAYS = [method for method in ("fork", "spawn", "forkserver") if method in multiprocessing.get_all_start_methods()]


@pytest.mark.parametrize("way", WAYS)
def test_workers_know_themselves(way: str) -> None:
    loader = DataLoader(
        parts.WhoAmI(6), 1, num_workers=2, worker_init_fn=parts.mark, persistent_workers=True,
        multiprocessing_context=way,
    )  # fmt: skip
    rows = [[part.item() for part in batch] for batch in loader]
    assert [row[0] for row in rows] == [0, 1] * 3 and {row[1] for row in rows} == {2}
    assert len({row[2] for row in rows}) == 2 and {row[3] for row in rows} == {6}
    assert [row[4] for row in rows] == [10, 11] * 3
    again = [[part.item() for part in batch] for batch in loader]
    assert [row[5] for row in again] == [row[5] for row in rows], "the workers were kept"
    assert not {row[2] for row in again} & {row[2] for row in rows}, "another seed in every pass"
    assert data.get_worker_info() is None
    context = multiprocessing.get_context(way)
    other = DataLoader(parts.Numbers(3), 2, num_workers=1, multiprocessing_context=context, prefetch_factor=1)
    assert plain(list(other)) == [[[0, 1], ["n0", "n1"]], [[2], ["n2"]]]


def test_large_batches_arrive_whole() -> None:
    loader = DataLoader(parts.Large(8), 4, num_workers=2)
    for number, batch in enumerate(loader):
        labels = batch["label"].tolist()
        assert labels == list(range(4 * number, 4 * number + 4))
        assert batch["image"].shape == (4, 3, 64, 64) and batch["image"][:, 1, 2, 3].tolist() == labels


@pytest.mark.parametrize("kind", [KeyError, ValueError, chainrule.DataError, StopIteration, parts.picky])
def test_an_exception_in_a_worker_reaches_the_caller(kind: Any) -> None:
    loader = DataLoader(parts.Trouble(8, kind), 2, num_workers=2)
    batches = iter(loader)
    assert plain([next(batches), next(batches)]) == [[0, 1], [2, 3]]
    known = RuntimeError if kind in (StopIteration, parts.picky) else kind
    with pytest.raises(known) as caught:
        next(batches)
    text = str(caught.value)
    assert "in worker 0 of the DataLoader" in text and "sample 5 is broken" in text
    assert "loader_parts.py" in text and "raise self.trouble" in text, "the worker's traceback"
    assert plain(list(batches)) == [[6, 7]], "behind the broken batch it goes on"


def test_exceptions_without_workers_are_as_they_are() -> None:
    batches = iter(DataLoader(parts.Trouble(8, KeyError), 2))
    assert plain([next(batches), next(batches)]) == [[0, 1], [2, 3]]
    with pytest.raises(KeyError, match="sample 5 is broken"):
        next(batches)
    assert plain(list(batches)) == [[6, 7]]
    with pytest.raises(RuntimeError, match="raised StopIteration"):
        list(DataLoader(parts.Trouble(8, StopIteration), 2))


@pytest.mark.parametrize("trouble, text", [(parts.KILL, "killed by SIGKILL"), ("exit", "exit code 3")])
def test_a_worker_that_dies_is_an_error_and_no_hang(trouble: Any, text: str) -> None:
    loader = DataLoader(parts.Trouble(40, trouble), 2, num_workers=2, persistent_workers=True)
    for _ in range(2):  # afterwards the loader starts new workers
        batches = iter(loader)
        with pytest.raises(WorkerError, match=text) as caught:
            list(batches)
        assert "worker 0 of the DataLoader" in str(caught.value) and isinstance(caught.value, RuntimeError)
        with pytest.raises(WorkerError, match="gone"):
            next(batches)
    assert not multiprocessing.active_children()


def test_a_worker_killed_from_outside_while_it_waits() -> None:
    loader = DataLoader(parts.Numbers(100), 1, num_workers=1, prefetch_factor=1, persistent_workers=True)
    batches = iter(loader)
    next(batches)
    (child,) = multiprocessing.active_children()
    child.kill()
    with pytest.raises(WorkerError, match="killed by SIGKILL"):
        list(batches)


def test_a_worker_that_takes_too_long() -> None:
    begun = time.monotonic()
    loader = DataLoader(parts.Trouble(8, "hang"), 2, num_workers=1, timeout=5)
    with pytest.raises(WorkerError, match=r"within 5 seconds \(timeout=\)"):
        list(loader)
    assert time.monotonic() - begun < 40 and not multiprocessing.active_children()


def test_trouble_at_the_start() -> None:
    with pytest.raises(OSError, match=r"(?s)in worker 0 of.*no disk for 0"):
        list(DataLoader(tensors(), 2, num_workers=1, worker_init_fn=parts.fail_to_begin))
    with pytest.raises(TypeError, match="cannot send its data set to a worker.*lambda"):
        list(DataLoader(tensors(), 2, num_workers=1, collate_fn=lambda batch: batch, multiprocessing_context="spawn"))
    with pytest.raises(TypeError, match="in worker 0"):  # a batch that cannot be pickled
        list(DataLoader(tensors(), 2, num_workers=1, collate_fn=parts.unsendable))
    assert not multiprocessing.active_children()


def run_script(tmp_path: Any, text: str) -> subprocess.CompletedProcess[str]:
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(text))
    return subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=100)


@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux only")
def test_a_script_without_a_guard_works(tmp_path: Any) -> None:
    done = run_script(
        tmp_path,
        """
        import threading
        import chainrule
        from chainrule.utils.data import DataLoader, Dataset
        print("once")
        model = chainrule.compile(chainrule.nn.Linear(64, 64))  # with threads of ours
        model(chainrule.ones(64, 64))
        bar = threading.Thread(target=threading.Event().wait, daemon=True)  # as a progress bar has one
        bar.start()
        square = lambda x: x * x
        def local():
            class Squares(Dataset):
                def __len__(self):
                    return 6
                def __getitem__(self, i):
                    return square(i), model(chainrule.ones(2, 64)).shape[0]
            return Squares()
        for epoch in range(2):
            for batch, rows in DataLoader(local(), 2, num_workers=2, collate_fn=lambda b: tuple(zip(*b))):
                print(epoch, batch, rows)
        """,
    )
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert done.stdout.splitlines() == [
        "once", *(f"{epoch} {pair} (2, 2)" for epoch in (0, 1) for pair in ("(0, 1)", "(4, 9)", "(16, 25)")),
    ]  # fmt: skip


@pytest.mark.parametrize("why", ["told to spawn", "a thread", "set_start_method"])
def test_a_script_that_would_run_again_is_told_so_once(tmp_path: Any, why: str) -> None:
    given = ", multiprocessing_context='spawn'" if why == "told to spawn" else ""
    done = run_script(
        tmp_path,
        f"""
        import multiprocessing, threading
        import chainrule
        from chainrule.data import *
        print("once", flush=True)
        go_on = threading.Event()
        if {why == "a thread"}:
            threading.Thread(target=go_on.wait).start()
        if {why == "set_start_method"}:
            multiprocessing.set_start_method("spawn")
        data = TensorDataset(chainrule.arange(4))
        try:
            print(list(DataLoader(data, 2, num_workers=2{given})))
        finally:
            go_on.set()
        """,
    )
    assert done.returncode == 1 and done.stdout == "once\n"
    assert done.stderr.count("Traceback") == 1 and 'if __name__ == "__main__":' in done.stderr.splitlines()[-1]


def test_a_loader_outside_of_the_guard_is_told_so_once(tmp_path: Any) -> None:
    done = run_script(
        tmp_path,
        """
        import chainrule
        from chainrule.data import *
        print(list(DataLoader(TensorDataset(chainrule.arange(4)), 2, num_workers=1, multiprocessing_context="spawn")))
        if __name__ == "__main__":
            print("here")
        """,
    )
    assert done.returncode == 1 and done.stderr.count("Traceback") == 1
    assert 'if __name__ == "__main__":' in done.stderr.splitlines()[-1]


def test_forked_workers_end_when_the_program_is_killed(tmp_path: Any) -> None:
    """No worker keeps another's pipe open: one that is killed leaves nothing behind."""
    text = """
        import multiprocessing, os, signal
        import chainrule
        from chainrule.data import *
        loaders = [DataLoader(TensorDataset(chainrule.arange(40)), 1, num_workers=3, persistent_workers=True) for _ in "ab"]
        passes = [iter(loader) for loader in loaders]
        [next(each) for each in passes]
        print(*(child.pid for child in multiprocessing.active_children()), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
        """
    done = run_script(tmp_path, text)
    left = [int(pid) for pid in done.stdout.split()]
    assert len(left) == 6
    deadline = time.monotonic() + 60
    while any(alive(pid) for pid in left) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(alive(pid) for pid in left)


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended but was not asked for its exit code does not."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_workers_end_with_their_pass() -> None:
    loader = DataLoader(parts.Numbers(50), 1, num_workers=2)
    for _ in loader:
        break
    gc.collect()
    assert not multiprocessing.active_children()
    list(loader)
    assert not multiprocessing.active_children()
    kept = DataLoader(parts.Numbers(4), 1, num_workers=1, persistent_workers=True)
    list(kept)
    assert len(multiprocessing.active_children()) == 1
    assert len(copy.deepcopy(kept)) == 4, "a copy has no workers"
    del kept
    gc.collect()
    assert not multiprocessing.active_children()
