"""The long tests leave nothing out: every fuzz, property, example and bar is a part of `.ci/nightly`; the bars are the page's."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from benchmarks import agent_bars, bars
from chainrule import rl
from chainrule.rl.deep import recipes

ROOT = Path(__file__).parents[1]


def holding(word: str) -> set[str]:
    """The test files in which some line begins with it."""
    files = [*(ROOT / "tests").glob("test_*.py"), *(ROOT / "tests").glob("*/test_*.py")]
    return {path.stem for path in files if re.search(word, path.read_text(encoding="utf-8"), re.MULTILINE)}


def test_everything_that_is_long_is_a_part_of_the_nightly_run() -> None:
    listed = subprocess.run(
        ["bash", str(ROOT / ".ci" / "nightly"), "--list"], capture_output=True, text=True, check=True
    ).stdout.split()
    assert len(listed) == len(set(listed))
    long = holding(r"^NIGHTLY = .*CHAINRULE_NIGHTLY")
    assert long and {f"fuzz-{name}" for name in long} <= set(listed)
    assert {f"properties-{name}" for name in holding(r"^@given")} <= set(listed)
    assert {f"example-{path.stem}" for path in (ROOT / "examples").glob("*.py")} <= set(listed)
    assert {f"bars-{name}" for name in bars.BARS} <= set(listed)
    needs_more = {"ppo-lunarlander"}  # than the nightly run installs: Box2D and pygame
    assert {f"bars-{name}" for name in agent_bars.BARS.keys() - needs_more} <= set(listed)
    assert {"strict-suite", "strict-test_compiler_fuzz"} <= set(listed)


@pytest.mark.parametrize("name", bars.BARS)
def test_bars_are_those_of_the_page(name: str) -> None:
    bar = bars.BARS[name]
    page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    (row,) = [
        line.split("|")
        for line in page.splitlines()
        if f"`chainrule train {bar.arguments}`" in line and "bar" not in line and line.count("|") == 5
    ]
    _, _, figure, measured, bound, _ = (cell.strip() for cell in row)
    assert figure == f"{bar.part} {bar.figure}" and float(bound) == bar.bound
    assert bar.reached(float(measured)) and bar.reached(bar.bound)


@pytest.mark.parametrize("name", agent_bars.BARS)
def test_bars_of_agents_are_those_of_the_page(name: str) -> None:
    """The row has the command, the steps that its defaults take, and what was measured."""
    bar = agent_bars.BARS[name]
    page = (ROOT / "docs" / "reinforcement.md").read_text(encoding="utf-8")
    (row,) = [
        line.split("|") for line in page.splitlines() if f"`chainrule train {bar.agent} --data {bar.world}`" in line
    ]
    _, _, steps, returns, mean, bound, _, _ = (cell.strip().replace("−", "-") for cell in row)
    assert int(steps.replace(",", "")) == rl.agent_settings(bar.agent, bar.world).steps
    each = [float(value) for value in returns.split(", ")]
    assert len(each) == bar.seeds and float(mean) == pytest.approx(sum(each) / bar.seeds, abs=0.051)
    assert float(mean) >= float(bound) == bar.least


@pytest.mark.parametrize(("least", "code", "verdict"), [(-1000, 0, "reached"), (501, 1, "MISSED")])
def test_a_bar_of_an_agent_is_a_run_with_its_defaults(
    least: float, code: int, verdict: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(recipes.RECIPES, ("ppo", "cartpole"), {"steps": 512})
    monkeypatch.setattr(agent_bars, "BARS", {"it": agent_bars.AgentBar("ppo", "cartpole", least, seeds=2)})
    monkeypatch.setattr("sys.argv", ["agent_bars"])
    assert agent_bars.main() == code
    assert re.match(rf"it: (\d+\.\d) \(\d+\.\d, \d+\.\d\), bar {least:g} {verdict}, ", capsys.readouterr().out)


def test_a_bar_is_a_run_of_the_command() -> None:
    bar = bars.Bar("mlp --data digits --epochs 2", "test", "accuracy", 0.5)
    accuracy = bars.measure(bar, ROOT)
    assert 0.6 < accuracy <= 1 and bar.reached(accuracy)


@pytest.mark.parametrize(("figure", "value", "code", "verdict"), [
    ("accuracy", 0.91, 0, "reached"), ("accuracy", 0.89, 1, "MISSED"), ("loss", 0.89, 0, "reached"), ("loss", 0.91, 1, "MISSED"),
])  # fmt: skip
def test_a_bar_can_be_missed(
    figure: str,
    value: float,
    code: int,
    verdict: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(bars, "BARS", {"it": bars.Bar("mlp", "test", figure, 0.9)})
    monkeypatch.setattr(bars, "measure", lambda bar, data: value)
    monkeypatch.setattr("sys.argv", ["bars", "it"])
    assert bars.main() == code
    assert capsys.readouterr().out.startswith(f"it: test {figure} {value:.4f}, bar 0.9 {verdict}")
