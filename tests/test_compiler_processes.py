"""Compiled programs beside other processes: strange things in the cache's folder, and forks at a bad moment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from chainrule.backends.native.run import cache

ROOT = Path(__file__).parents[1]


def run_script(script: str, seconds: float = 120) -> subprocess.CompletedProcess[str]:
    """Run lines of Python in a process of their own; a hang is a failure."""
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=seconds, cwd=ROOT, check=False,
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for compiled code."""
    monkeypatch.setenv("CHAINRULE_CACHE_DIR", str(tmp_path / "kept"))
    monkeypatch.delenv("CHAINRULE_CACHE", raising=False)
    return tmp_path / "kept"


def make(text: str) -> bytes:
    return b"code of " + text.encode()


def name_of(folder: Path, text: str) -> Path:
    """The entry that a text has made."""
    before = set(folder.iterdir()) if folder.exists() else set()
    cache.cached_code(text, make)
    (entry,) = set(folder.iterdir()) - before
    return entry


def test_entries_under_each_others_names(folder: Path, caplog: Any) -> None:
    first, second = name_of(folder, "first"), name_of(folder, "second")
    one, two = first.read_bytes(), second.read_bytes()
    first.write_bytes(two)
    second.write_bytes(one)
    for _ in range(2):
        assert cache.cached_code("first", make) == b"code of first"
        assert cache.cached_code("second", make) == b"code of second"
    assert first.read_bytes() == one and second.read_bytes() == two
    assert len([r for r in caplog.records if first.name in r.getMessage()]) == 1


def test_what_was_used_longest_ago_goes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder of ten entries at most, of which each process looks at the first, and at every fifth that it writes."""
    monkeypatch.setattr(cache, "LIMIT", 10 * 1032)
    monkeypatch.setattr(cache, "BETWEEN_LOOKS", 5 * 1000)
    monkeypatch.setattr(cache, "_since_look", {})
    for i in range(40):
        cache.cached_code(f"text {i}", lambda text: bytes(1000))
        for entry in folder.iterdir():  # as if a second went by
            about = entry.stat()
            os.utime(entry, (about.st_atime - 1, about.st_mtime - 1))
        assert len(list(folder.iterdir())) <= 10 + 5
    made: list[str] = []
    for i in reversed(range(40)):
        cache.cached_code(f"text {i}", lambda text: made.append(text) or bytes(1000))
    assert len(made) < 40 and not set(made) & {f"text {i}" for i in range(35, 40)}, "the latest are still there"
    monkeypatch.setattr(cache, "_since_look", {})  # as in another process
    cache.cached_code("another", lambda text: bytes(1000))
    assert len(list(folder.iterdir())) == 10


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_does_not_hang(folder: Path, caplog: Any) -> None:
    entry = name_of(folder, "text")
    entry.unlink()
    os.mkfifo(entry)
    assert cache.cached_code("text", make) == b"code of text"
    assert entry.is_file() and "no file of ours" in caplog.text


def test_a_folder_in_the_place_of_an_entry(folder: Path, caplog: Any) -> None:
    entry = name_of(folder, "text")
    entry.unlink()
    (entry / "inside").mkdir(parents=True)
    for _ in range(3):
        assert cache.cached_code("text", make) == b"code of text"
    assert entry.is_dir() and 1 <= len(caplog.records) <= 2


def test_a_folder_that_cannot_be_written_to(folder: Path, caplog: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: Any, **named: Any) -> Any:  # as a folder of mode 0o500 does to anybody but root
        raise PermissionError(13, "Permission denied")

    folder.mkdir(mode=0o700)
    monkeypatch.setattr("chainrule.backends.native.run.cache.tempfile.mkstemp", refuse)
    for _ in range(3):
        assert cache.cached_code("text", make) == b"code of text"
    assert len(caplog.records) == 1
    assert not list(folder.iterdir())


def test_a_file_in_the_place_of_the_folder(folder: Path, caplog: Any) -> None:
    folder.write_text("not a folder")
    for _ in range(3):
        assert cache.cached_code("text", make) == b"code of text"
    assert len(caplog.records) == 1


def test_a_program_runs_whatever_lies_in_the_folder(folder: Path) -> None:
    script = "import chainrule; print(chainrule.compile(lambda x: x.sin().sum(0))(chainrule.zeros(2, 3)).tolist())"
    for _ in range(2):
        done = run_script(script)
        assert (done.returncode, done.stdout) == (0, "[0.0, 0.0, 0.0]\n"), done.stderr
        entries = sorted(folder.iterdir())
        contents = [entry.read_bytes() for entry in entries]
        for entry, other in zip(entries, contents[1:] + contents[:1], strict=True):
            entry.write_bytes(other)


BUSY = """
import os, signal, threading, time
import chainrule
from chainrule.nn import functional as F

model = chainrule.nn.Sequential(*[chainrule.nn.Linear(4, 4) for _ in range(6)])
known = chainrule.compile(lambda x: model(x).sum())
known(chainrule.ones(2, 4))
stop = threading.Event()

def trace():
    n = 0
    while not stop.is_set():
        n += 1
        size = n % 50 + 1
        chainrule.compile(lambda x: (model(x) * n).tanh().sum())(chainrule.ones(size, 4))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("threads", [1, 2])
def test_forks_beside_threads_that_trace(threads: int) -> None:
    done = run_script(
        BUSY
        + f"""
workers = [threading.Thread(target=trace, daemon=True) for _ in range({threads})]
for worker in workers:
    worker.start()
answers = []
for turn in range(12):
    child = os.fork()
    if child == 0:
        signal.alarm(30)  # a child that hangs dies, and its exit says so
        x = chainrule.ones(2, 4)
        plain = model(x).sum().item()
        ok = abs(known(x).item() - plain) < 1e-4
        ok = ok and abs(chainrule.compile(lambda x: model(x).sum() * turn)(x).item() - turn * plain) < 1e-3
        os._exit(0 if ok else 1)
    answers.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    time.sleep(0.01)
stop.set()
for worker in workers:
    worker.join()
print(answers == [0] * 12, answers if any(answers) else "")
""",
        seconds=400,
    )
    assert (done.returncode, done.stdout) == (0, "True \n"), done.stderr[-2000:] + done.stdout


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_within_a_trace() -> None:
    done = run_script("""
import os, signal, chainrule

parent = os.getpid()

@chainrule.compile
def step(x):
    if os.fork() == 0:
        signal.alarm(30)
    return x * 2

answer = step(chainrule.ones(2)).tolist()
if os.getpid() != parent:
    os._exit(0 if answer == [2, 2] and step(chainrule.ones(2)).tolist() == [2, 2] else 1)
print(answer, os.waitstatus_to_exitcode(os.wait()[1]))
""")
    assert (done.returncode, done.stdout) == (0, "[2.0, 2.0] 0\n"), done.stderr
