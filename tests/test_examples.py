"""Some of the lessons in `examples/`, shortened; .ci/nightly runs all of them whole."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.mark.parametrize(
    ("name", "arguments", "lines"),
    [
        ("digits", ["--epochs", "1"], r"(\w+ +(max|avg) +validation [\d.]+%; test [\d.]+%\n){3}"),
        ("keypoints", ["--epochs", "2", "--figure"], r"mean distance.*\n(\w+ +[\d.]+ +[\d.]+\n){5}"),
        ("autoencoder", ["--epochs", "2", "--codes", "2", "--figure"], r".*PCA\n +2 +[\d.]+% +[\d.]+%\nnoise"),
    ],
)
def test_a_lesson_runs(
    name: str, arguments: list[str], lines: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:  # fmt: skip
    figure = tmp_path / "figure.png"
    monkeypatch.setattr("sys.argv", [name, *arguments, *([str(figure)] if arguments[-1] == "--figure" else [])])
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    assert re.match(lines, capsys.readouterr().out)
    assert figure.exists() == (arguments[-1] == "--figure")


def test_lessons_are_short_and_say_how_to_run_them() -> None:
    for file in EXAMPLES.glob("*.py"):
        text = file.read_text(encoding="utf-8")
        assert len(text.splitlines()) < 120 and f"python examples/{file.name}" in text, file
