"""Compiled is eager whatever changes between two calls: two thousand small programs, a tenth of them in the usual run.

`python -m tests.test_compiler_changes 17` prints the program of case 17, which can be run as it is, and what is said of it;
without a number all cases are run, and those that are not as they should be are listed.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import pytest

import chainrule
from chainrule.errors import TraceError
from tests.change_cases import case
from tests.change_networks import SCENARIOS
from tests.change_places import PLACES, READERS
from tests.change_values import KINDS
from tests.changes import Case, Verdict, count, judge, report, same

NIGHTLY = bool(os.environ.get("CHAINRULE_NIGHTLY"))
CASES = range(0, 2000, 1 if NIGHTLY else 10)
#: So many faults are printed in full.
PRINTED = 5

pytestmark = [
    pytest.mark.timeout(3600 if NIGHTLY else 600),
    pytest.mark.filterwarnings("ignore::chainrule.errors.EvaluationWarning"),
]


def test_compiled_is_eager_whatever_changes_between_calls(tmp_path: Path) -> None:
    judged = [(made, judge(made, tmp_path)) for made in map(case, CASES)]
    faults = [(made, verdict) for made, verdict in judged if verdict.kind in ("wrong", "unlisted", "programs")]
    if faults:
        lines = [f"{made.number}: {verdict.kind}: {made.title}: {verdict.text}" for made, verdict in faults]
        reports = [report(made, verdict) for made, verdict in faults[:PRINTED]]
        raise AssertionError("\n".join([*count([verdict for _, verdict in judged]), *lines, *reports]))
    refused = [made.number for made, verdict in judged if verdict.kind == "trace"]
    assert len(refused) <= 0.05 * len(judged), f"TraceErrors in {len(refused)} of {len(judged)}: {refused}"


# ------------------------------------------------------------------------------------- the cases themselves


def test_a_number_is_a_case_and_every_kind_and_place_is_met() -> None:
    cases = [case(number) for number in range(2000)]
    assert cases[:20] == [case(number) for number in range(20)]
    met: Counter[str] = Counter()
    for made in cases:
        met.update(part.split(":")[0] for part in made.title.split(" / ")[:3])
    assert {*KINDS, *PLACES, *READERS, *SCENARIOS} <= set(met)
    assert {(made.style, made.within) for made in cases} == {
        (style, within) for style in ("file", "notebook", "bare") for within in (True, False)
    }


SIMPLE = Case(
    5,
    "a number",
    "",
    ("v = 2.0", "def step(x):\n    return x * v", "run = prepare(step)", "call(run, X)", "v = 3.0", "call(run, X)"),
    programs=2,
)


def kept(number: int) -> Any:
    """What a compiled function shows of its programs, which are so many."""
    executables = [SimpleNamespace() for _ in range(number)]
    return {"": [SimpleNamespace(compiled=SimpleNamespace(executable=executable)) for executable in executables]}


@pytest.mark.parametrize("style", ["file", "notebook", "bare"])
@pytest.mark.parametrize("within", [True, False])
def test_a_case_runs_in_every_style(style: str, within: bool, tmp_path: Path) -> None:
    assert judge(SIMPLE._replace(style=style, within=within), tmp_path) == Verdict("same")


def test_what_does_not_see_changes_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Blind:
        programs = kept(1)

        def __init__(self, function: Any) -> None:
            self.function, self.first = function, None

        def __call__(self, *given: Any) -> Any:
            if self.first is None:
                self.first = self.function(*given)
            return self.first

    monkeypatch.setattr(chainrule, "compile", Blind)
    assert judge(SIMPLE, tmp_path).kind == "wrong"


def test_needless_programs_and_unlisted_errors_are_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Wasteful:
        programs = kept(3)

        def __init__(self, function: Any) -> None:
            self.function = function

        def __call__(self, *given: Any) -> Any:
            return self.function(*given)

    class Refusing(Wasteful):
        def __call__(self, *given: Any) -> Any:
            raise TraceError("no")

    monkeypatch.setattr(chainrule, "compile", Wasteful)
    assert judge(SIMPLE, tmp_path) == Verdict("programs", "3 programs, 2 are enough")
    monkeypatch.setattr(chainrule, "compile", Refusing)
    assert judge(SIMPLE, tmp_path) == Verdict("unlisted", "TraceError: no")


def test_types_shapes_and_the_sign_of_zero_count(tmp_path: Path) -> None:
    from tests.changes import plain

    zero = chainrule.tensor([0.0])
    assert same(plain([zero, {"a": 1}]), plain([zero.clone(), {"a": 1}]))
    for a, b in (
        (zero, -zero),
        (zero, zero.double()),
        (zero, zero.sum()),
        (1, True),
        (1, 1.0),
        ([zero], (zero,)),
        ({"a": 1}, {"b": 1}),
    ):
        assert not same(plain(a), plain(b))
    assert same(plain(zero / 0), plain(zero / 0))


def test_a_report_can_be_run(capsys: pytest.CaptureFixture[str]) -> None:
    exec(report(SIMPLE, Verdict("wrong", "it is")), {})
    eager, compiled = capsys.readouterr().out.splitlines()
    assert eager == compiled == "[tensor([2., 4., 6.]), tensor([3., 6., 9.])]"


def main(numbers: list[str]) -> None:
    """Show some cases, or list all that are wrong."""
    with TemporaryDirectory() as folder:
        for number in numbers:
            chosen = case(int(number))
            print(report(chosen, judge(chosen, Path(folder))))
        if numbers:
            return
        judged = [(made, judge(made, Path(folder))) for made in map(case, range(2000))]
    for made, verdict in judged:
        if verdict.kind != "same":
            print(f"{made.number}: {verdict.kind}: {made.title}: {verdict.text}")
    print("\n".join(count([verdict for _, verdict in judged])))


if __name__ == "__main__":
    main(sys.argv[1:])
