"""The numbers of docs/regularisation.md come out, and the figures are drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from docs.make import regularisation as page


def test_figures_and_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(page, "FIGURES", tmp_path)
    page.main()
    for name in ("penalties", "decay", "early_stopping"):
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    printed = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    weights = {
        row[0]: [float(x.rstrip("%")) for x in row[1:]] for row in printed if "λ =" in row[0] or row[0] == "no penalty"
    }
    plain, small, sparse = weights["no penalty"], weights["L2, λ = 0.01"], weights["L1, λ = 0.001"]
    assert sparse[0] > 35 and plain[0] < 5 and small[0] < 5, "L1 makes zeros, L2 does not"
    assert small[1] < 0.6 * plain[1] and small[2] < plain[2], "L2 makes weights smaller"
    decay = {tuple(row[:2]): tuple(map(float, row[2:])) for row in printed if row[0] in ("SGD", "Adam")}
    shown = {
        ("SGD", "in the loss"): (0.77, 0.03), ("SGD", "decoupled"): (0.77, 0.03),
        ("Adam", "in the loss"): (0.77, 0.03), ("Adam", "decoupled"): (0.77, 0.77),
    }  # fmt: skip
    for key, numbers in shown.items():
        assert decay[key] == pytest.approx(numbers, abs=0.02), key
    text = (Path(page.__file__).parents[1] / "regularisation.md").read_text(encoding="utf-8")
    for (rule, how), (large, tiny) in shown.items():
        assert f"| {rule} | {how} | {large:.2f} | {tiny:.2f} |" in text


def test_paths_of_lasso_and_ridge() -> None:
    """Along growing strengths the lasso's zeros stay, mostly, and all weights end at zero; ridge makes none."""
    rows = page.paths([0.01, 0.1, 0.5, 5.0])
    zeros = (rows["L1 (lasso)"] == 0).sum(1)
    assert (np.diff(zeros) >= 0).all() and zeros[0] < 3 and zeros[2] >= 7 and zeros[-1] == 10
    assert (rows["L2 (ridge)"] != 0).all()
    sizes = np.linalg.norm(rows["L2 (ridge)"], axis=1)
    assert (np.diff(sizes) < 0).all()


def test_early_stopping_restores_what_was_best() -> None:
    train, validation, best, stopped, restored = page.overfitted()
    assert (
        restored == pytest.approx(min(validation[:stopped]), rel=1e-5) and validation.index(min(validation)) + 1 == best
    )
    assert stopped == best + 101 and validation[-1] > 2 * restored and train[-1] < train[best]
