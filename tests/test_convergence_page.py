"""The numbers of docs/convergence.md come out, and its figures are drawn."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule.optim import landscapes
from docs.make import convergence as page

TEXT = (Path(page.__file__).parents[1] / "convergence.md").read_text(encoding="utf-8")


def cells(first: str) -> list[str]:
    """The row of the table of steps that starts with a word."""
    table = TEXT[TEXT.index("| steps |") :]
    return next(line for line in table.splitlines() if line.startswith(f"| {first} |")).strip("| ").split(" | ")


def test_every_figure_is_there_and_no_other() -> None:
    used = set(re.findall(r"figures/(convergence-[a-z-]+\.png)", TEXT))
    assert used == {path.name for path in page.FIGURES.glob("convergence-*.png")}
    assert all((page.FIGURES / name).stat().st_size < 250_000 for name in used)


@pytest.mark.parametrize("name", sorted(page.WITHOUT_RATE))
def test_steps_of_second_order_methods(name: str) -> None:
    found = [page.best_run(name, landscape, 60).steps_to_solve for landscape, _ in page.MAPS]
    assert cells("steps")[1:] == [landscape.name for landscape, _ in page.MAPS]
    # ten steps more or less on the long ways, since rounding decides there
    np.testing.assert_allclose(found, [float(cell) for cell in cells(name)[1:]], rtol=0.2, atol=1)


def test_steps_of_first_order_methods_on_the_bowl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "RATES", [0.01778, 0.17783, 0.56234, 1.77828])
    for name in page.OPTIMISERS:
        assert page.best_run(name, landscapes.BOWL, 300).steps_to_solve == pytest.approx(float(cells(name)[1]), abs=1)


def test_dividing_coordinates_helps_only_along_the_axes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ravine turned by 45°: "it takes them 273 and 259 steps, more than plain descent"."""
    monkeypatch.setattr(page, "RATES", [0.03162, 0.05623, 1.0])
    ravine, c = landscapes.RAVINE, 0.5**0.5

    def turned(x: Any) -> Any:
        a, b = x[..., 0], x[..., 1]
        return ravine(chainrule.stack([(a + b) * c, (b - a) * c], -1))

    x, y = ravine.start
    other = ravine._replace(function=turned, start=((x - y) * c, (x + y) * c), box=(-2.5, 1.5, -2.5, 1.5))
    found = {
        name: page.best_run(name, other, 300).steps_to_solve for name in ("gradient descent", "AdaGrad", "RMSProp")
    }
    assert found == pytest.approx({"gradient descent": 229, "AdaGrad": 273, "RMSProp": 259}, abs=2)


def test_figures_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(page, "FIGURES", tmp_path)
    monkeypatch.setattr(page, "RATES", [0.01, 0.1])
    page.draw_paths(landscapes.RAVINE, 20)
    page.draw_saddle()
    for name in ("ravine", "saddles"):
        assert (tmp_path / f"convergence-{name}.png").read_bytes().startswith(b"\x89PNG")
    printed = [line.replace("-0.000", "0.000").replace("-", "−") for line in capsys.readouterr().out.splitlines()]
    assert len(printed) == 3 and all(line in TEXT for line in printed)
