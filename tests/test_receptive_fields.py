"""Receptive fields twice: by adding up kernels and strides, and by where gradients arrive. They must agree."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import chainrule
from chainrule import models, nn
from chainrule.explain import receptive_fields

conv, pool = nn.Conv2d, nn.MaxPool2d


class Branches(nn.Module):
    """A block of two paths, as Inception's: the longest counts."""

    def __init__(self) -> None:
        super().__init__()
        self.short, self.long = (
            conv(2, 2, 3, padding=1),
            nn.Sequential(conv(2, 2, 5, padding=2), conv(2, 2, 3, padding=1)),
        )
        self.last = conv(4, 1, 3, padding=1)

    def forward(self, x):
        return self.last(chainrule.cat([self.short(x), self.long(x)], 1))


CASES: dict[str, tuple[Any, list[int]]] = {
    "I III.3": (nn.Sequential(conv(2, 3, 3), pool(2), conv(3, 3, 1), pool(4, 2)), [3, 4, 4, 10]),
    "three 3×3 are a 7×7": (nn.Sequential(conv(2, 2, 3), conv(2, 2, 3), conv(2, 2, 3)), [3, 5, 7]),
    "dilation": (nn.Sequential(conv(2, 2, 3), conv(2, 2, 3, dilation=2), conv(2, 1, 3, stride=2)), [3, 7, 9]),
    "average pooling": (nn.Sequential(nn.AvgPool2d(2), nn.Sigmoid(), conv(2, 2, 3)), [2, 2, 6]),
    "branches": (Branches(), [3, 5, 7, 9]),
    "normalisation": (nn.Sequential(conv(2, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), pool(3, 2)), [3, 3, 3, 5]),
}


@pytest.mark.parametrize("case", CASES)
def test_both_ways_agree(case: str) -> None:
    model, wanted = CASES[case]
    found = receptive_fields(model, (2, 41, 43))
    assert [row.by_recursion for row in found] == wanted
    assert [row.by_gradient for row in found] == wanted
    for row in found:
        (top, bottom), (left, right) = row.box
        assert bottom - top == right - left == row.by_gradient
        assert row.strength.max() == 1 and (row.strength[:top] == 0).all() and (row.strength[:, right:] == 0).all()


def test_lenet() -> None:
    found = [row for row in receptive_fields(models.LeNet5(), (1, 32, 32)) if row.layer in ("Conv2d", "MaxPool2d")]
    assert [row.by_recursion for row in found] == [row.by_gradient for row in found] == [5, 6, 14, 16]
    assert [row.jump for row in found] == [1, 2, 2, 4]


def test_what_sees_everything_and_what_is_not_followed() -> None:
    rows = receptive_fields(nn.Sequential(conv(1, 2, 3), nn.Flatten(), nn.Linear(50, 3)), (1, 7, 7)).rows
    assert [(row.by_recursion, row.by_gradient) for row in rows] == [(3, 3), (math.inf, 7), (math.inf, 7)]
    rows = receptive_fields(nn.Sequential(conv(1, 2, 3), nn.ConvTranspose2d(2, 1, 2, stride=2)), (1, 9, 9)).rows
    assert [(row.by_recursion, row.by_gradient) for row in rows] == [(3, 3), (None, 3)]
    signal = receptive_fields(nn.Sequential(nn.Conv1d(1, 2, 5), nn.MaxPool1d(2)), (1, 30)).rows
    assert [row.by_gradient for row in signal] == [5, 6]


def test_the_model_keeps_its_weights_and_own_weights_are_used() -> None:
    model = nn.Sequential(conv(1, 1, 3, bias=False), conv(1, 1, 3, bias=False))
    with chainrule.no_grad():
        model[0].weight.zero_()
        model[0].weight[0, 0, 1, 1] = 2.0  # a kernel of 3 that looks at its middle only
    before = {name: value.numpy() for name, value in model.state_dict().items()}
    assert [row.by_gradient for row in receptive_fields(model, (1, 11, 11))] == [3, 5]
    assert [row.by_gradient for row in receptive_fields(model, (1, 11, 11), own_weights=True)] == [1, 3]
    assert all(np.array_equal(model.state_dict()[name].numpy(), value) for name, value in before.items())


def test_it_is_drawn_and_printed(tmp_path: Path) -> None:
    report = receptive_fields(models.LeNet5(), (1, 32, 32))
    report.draw(tmp_path / "fields.png", np.zeros((32, 32)))
    assert Image.open(tmp_path / "fields.png").size[0] > 800
    assert "features.5" in str(report) and "16" in report._repr_html_()
    assert report.of("features.0").box == ((14, 19), (14, 19))
    with pytest.raises(KeyError, match="no layer 'nose' ran"):
        report.of("nose")
    with pytest.raises(chainrule.ShapeError, match="the image has"):
        report.draw(tmp_path / "no.png", np.zeros((3, 3)))
