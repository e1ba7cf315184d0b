"""The numbers of docs/reinforcement.md come out, its code runs, and its figures are drawn."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from chainrule import rl
from docs.make import reinforcement as page

TEXT = (Path(page.__file__).parents[1] / "reinforcement.md").read_text(encoding="utf-8")


def test_every_figure_is_there_and_no_other() -> None:
    used = set(re.findall(r"figures/(reinforcement-[a-z-]+\.png)", TEXT))
    assert used == {path.name for path in page.FIGURES.glob("reinforcement-*.png")}
    assert all((page.FIGURES / name).stat().st_size < 250_000 for name in used)


def test_figures_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "FIGURES", tmp_path)
    page.grid_figure()
    page.sweeps_figure()
    assert {path.name for path in tmp_path.iterdir()} == {
        "reinforcement-grid.png", "reinforcement-sweeps.png", "reinforcement-sweeps.gif",
    }  # fmt: skip


def test_the_walk_and_the_cliff() -> None:
    v = -rl.policy_values(rl.Gridworld())
    assert f"{v[1]:.0f} steps on average; from the middle {v[12]:.3f}, from (0, 4) {v[4]:.3f}" in TEXT
    shown = {name: float(value) for name, value in re.findall(r"\| (SARSA|Q-learning) \| −(\d+) \|", TEXT)}
    for name, method in (("SARSA", rl.sarsa), ("Q-learning", rl.q_learning)):
        runs = [
            method(rl.cliff_walking().environment(max_steps=1000), episodes=400, step_size=0.5, seed=seed).returns[-100:].mean()
            for seed in range(100, 104)
        ]  # fmt: skip
        error = 5 * np.std(runs, ddof=1) / 2 + 2
        assert abs(np.mean(runs) + shown[name]) < error
