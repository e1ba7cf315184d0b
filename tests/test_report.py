"""The report of a run: whole, self-contained, and nothing in it can break out of its place."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np

from chainrule.train import Finding
from chainrule.train.report import Example, Report, render, write_report

HISTORY = [
    {"epoch": i, "train_loss": 1 / i, "validation_loss": 1.2 / i, "train_accuracy": 1 - 0.5 / i, "seconds": 0.5}
    for i in range(1, 6)
]
FULL = Report(
    "lenet5 <digits>", HISTORY, {"test accuracy": 0.98}, {"path": "</pre><script>alert(1)</script>"},
    (np.arange(9).reshape(3, 3), ["zero", "one", "two"]), ([1.0, 2.0], [1.5, 2.5]),
    {"Classes": [{"class": "zero", "precision": 0.9}]}, [Example(np.zeros((8, 8)), "3, said 8")],
    [Example("to be", "likely")], {"A sample": "to be <b>"}, {"learning rate": (range(50), [0.1] * 50)},
    [Finding("dying ReLU", "warning", "83 % of units", "rate too large", ("a smaller one",))],
)  # fmt: skip


class Checker(HTMLParser):
    """Every tag is closed, and nothing is fetched from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert all(name not in ("src", "href") or (value or "").startswith("data:") for name, value in attrs)
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_a_full_report() -> None:
    text = render(FULL)
    checker = Checker()
    checker.feed(text)
    assert not checker.open and "script" not in checker.tags
    assert "http" not in re.sub(r"data:[^\"]*", "", text)
    for title in ("Findings", "Curves", "Confusion", "Classes", "Worst examples", "Epochs", "Configuration"):
        assert title in text
    assert checker.tags.count("svg") == 5  # loss, accuracy, learning rate, confusion, predictions
    assert checker.tags.count("img") == 1  # an example
    assert "lenet5 &lt;digits&gt;" in text


def test_what_is_empty_is_left_out(tmp_path: Path) -> None:
    write_report(Report("nothing"), tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Curves" not in text and "Confusion" not in text and "Environment" in text
