"""Early stopping: when it stops, what it keeps, and what it is good for."""

from __future__ import annotations

import math
from typing import Any

import pytest

import chainrule
from chainrule import nn, optim
from chainrule.train import EarlyStopping


def stops_after(scores: list[float], **settings: Any) -> tuple[int | None, int]:
    """After which score it says stop (None if never), and which was the best."""
    stopping, model = EarlyStopping(**settings), nn.Linear(1, 1)
    for epoch, score in enumerate(scores, 1):
        if stopping(score, model):
            return epoch, stopping.best_epoch
    return None, stopping.best_epoch


@pytest.mark.parametrize(
    ("scores", "settings", "expected"),
    [
        ([3, 2, 1, 0], {"patience": 0}, (None, 4)),
        ([3, 2, 2, 0], {"patience": 0}, (3, 2)),
        ([3, 2, 2, 2, 0, 5], {"patience": 2}, (None, 5)),
        ([3, 2, 4, 3, 2.5, 2.1, 0], {"patience": 3}, (6, 2)),
        ([3, 2.95, 2.91, 2.85], {"patience": 1, "min_delta": 0.1}, (3, 1)),
        ([3, 2.95, 2.85, 2.85], {"patience": 1, "min_delta": 0.1}, (None, 3)),
        ([0.1, 0.5, 0.4, 0.45], {"patience": 1, "mode": "max"}, (4, 2)),
        ([math.nan, math.nan, 1.0], {"patience": 1}, (2, 0)),
        ([1.0, math.nan, math.nan], {"patience": 1}, (3, 1)),
        ([math.inf, 1.0], {"patience": 1}, (None, 2)),
        ([-1, -2, -3], {"patience": 0}, (None, 3)),
    ],
)
def test_when_it_stops(scores: list[float], settings: dict[str, Any], expected: tuple[int | None, int]) -> None:
    assert stops_after(scores, **settings) == expected


def test_it_keeps_the_weights_of_then() -> None:
    model, stopping = nn.Linear(2, 1), EarlyStopping()
    model.register_buffer("count", chainrule.tensor(0))
    optimizer = optim.Adam(model.parameters(), lr=0.1)
    kept = {}
    for epoch, score in enumerate([3.0, 1.0, 2.0, 2.0], 1):
        model.count.fill_(epoch)
        optimizer.zero_grad()
        model(chainrule.ones(1, 2)).sum().backward()
        optimizer.step()
        assert not stopping(score, model)
        kept[epoch] = {name: t.clone() for name, t in model.state_dict().items()}
    assert (stopping.best, stopping.best_epoch, stopping.waited) == (1.0, 2, 2)
    cells = list(model.parameters())
    stopping.restore(model)
    assert all(chainrule.equal(t, kept[2][name]) for name, t in model.state_dict().items())
    assert all(p is cell for p, cell in zip(model.parameters(), cells, strict=True)), "the optimiser's parameters"


def test_nothing_to_restore_yet() -> None:
    model = nn.Linear(2, 1)
    before = model.weight.detach().clone()
    EarlyStopping().restore(model)
    assert chainrule.equal(model.weight, before)


def test_settings_out_of_range() -> None:
    for settings in ({"patience": -1}, {"min_delta": -0.1}, {"min_delta": math.nan}):
        with pytest.raises(ValueError, match="not negative"):
            EarlyStopping(**settings)
    with pytest.raises(ValueError, match="'min' \\(losses\\) or 'max' \\(accuracies\\), got 'best'"):
        EarlyStopping(mode="best")
