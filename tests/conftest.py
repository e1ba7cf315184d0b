"""What holds for every test: one BLAS thread, the same examples each time, nothing left behind, no silent skips in CI."""

import gc
import os
import re
import shutil
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

# Before anything imports NumPy, which reads these once. pytest-xdist already keeps every core busy, and sums
# come out the same with one worker or many.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Most of what JAX does in these tests is compiling programs that run once. At night they are what users run.
if not os.environ.get("CHAINRULE_NIGHTLY"):
    os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

import pytest
from _pytest.doctest import DoctestModule
from hypothesis import settings

# `ci` tries the same examples on every run; HYPOTHESIS_PROFILE=explore goes looking for new ones.
settings.register_profile("ci", max_examples=20, derandomize=True, deadline=None, database=None, print_blob=True)
settings.register_profile("explore", max_examples=1000, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


# Programs that tests run as they are, and what these import.
collect_ignore = ["scripts", "stand_in"]


ROOT = Path(__file__).parents[1]
BEFORE = pytest.StashKey[set[str]]()


def entries() -> set[str]:
    """What lies in the project's folder, caches left out."""
    return {path.name for path in ROOT.iterdir() if not path.name.startswith((".", "__pycache__"))}


def pytest_sessionstart(session: pytest.Session) -> None:
    """Remember what there was before."""
    session.config.stash[BEFORE] = entries()


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail a run that leaves files behind; and one in CI (the variable CI is set) in which a test was skipped.

    It would have shown nothing. Where peer tests are left out, in the environment with nothing but what the README
    installs, files that need PyTorch or Playwright may be.
    """
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:  # pytest-xdist's workers have none
        return
    left = sorted(entries() - session.config.stash[BEFORE])
    if left and exitstatus == pytest.ExitCode.OK:
        reporter.write_line(f"\nthe tests left {', '.join(left)} behind: they write into tmp_path.", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    if not os.environ.get("CI"):
        return
    without_peers = session.config.option.markexpr == "not peer"
    reasons = [str(report.longrepr) for report in reporter.stats.get("skipped", [])]
    absent = ("could not import 'torch'", "could not import 'playwright")
    skipped = sum(not (without_peers and any(words in reason for words in absent)) for reason in reasons)
    if skipped and exitstatus == pytest.ExitCode.OK:
        reporter.write_line(f"\nCI is set, so the {skipped} skipped below fail this run.", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, Any, Any]:
    """What is there after all tests are found stays to the end: the garbage collector looks at none of it.

    With PyTorch, JAX and thousands of tests in memory each of its full rounds would take 0.3 s and more. Of what comes
    later it looks at ten thousand objects at a time: at 700, as it would, it took a tenth of the time of a small run.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(10_000, 10, 5)
        gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_collect_file() -> Generator[None, Any, Any]:
    """Tests have no examples in their docstrings; every process that looked for some would take seconds."""
    found = yield
    return [collector for collector in found if not isinstance(collector, DoctestModule)]


SHORT_FLOAT = re.compile(r"(?<![\w.])(\d+\.)(\d{0,2})(?![\w.])")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Compare what a doctest shows with less than three decimals to four: NUMBER would take 2.9 for "2." too."""
    for item in items:
        if isinstance(item, pytest.DoctestItem):
            for example in item.dtest.examples:
                example.want = SHORT_FLOAT.sub(lambda found: found[1] + found[2].ljust(4, "0"), example.want)


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Every test begins with the same random numbers, whatever ran before it; CHAINRULE_TEST_SEED gives it others."""
    from tests.together import start

    start()


@pytest.fixture(autouse=True)
def programs(request: pytest.FixtureRequest) -> None:
    """How programs are compiled (`quickly.py`), and on how many threads they run: one for tests that run beside others.

    Several processes with a thread for each core wait for each other at every barrier. The compiler's own tests keep
    all cores, so that programs on several threads are tried too; CHAINRULE_TEST_THREADS gives every test so many.
    """
    from chainrule.backends.native.run import pool
    from tests.quickly import compile_quickly

    name = request.path.stem
    given = os.environ.get("CHAINRULE_TEST_THREADS")
    beside_others = "PYTEST_XDIST_WORKER" in os.environ and not name.startswith("test_compiler_")
    pool._wanted = int(given) if given else 1 if beside_others else None
    compile_quickly(name)


@pytest.fixture
def loops_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loops of any length become loops of the compiled program; short ones would be written out."""
    from chainrule.backends.native.lowering import unroll

    monkeypatch.setattr(unroll, "LONGEST", 0)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """The browser that pages are opened in: the Chromium of the machine, driven by Playwright."""
    playwright = pytest.importorskip("playwright.sync_api")
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("there is no Chromium on this machine (Debian, Ubuntu: apt-get install chromium)")
    with playwright.sync_playwright() as started:
        # Its sandbox needs rights that a container's root has not; only our own pages are opened.
        browser = started.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()
