"""Receptive fields of networks with branches, against published values and against what gradients reach."""

from __future__ import annotations

import math

import numpy as np
import pytest

import chainrule
from chainrule import models, nn
from chainrule.nn import functional as F


def finite(model: nn.Module) -> list[float]:
    return [field.size for field in nn.receptive_field(model) if field.size < math.inf]


def test_residual_networks_have_the_published_fields():
    """Araujo, Norris and Sim, "Computing receptive fields of convolutional neural networks", 2019, table 2."""
    assert max(finite(models.resnet18())) == 435
    assert max(finite(models.resnet18(stem="cifar"))) == 109


class Branches(nn.Module):
    """Two branches and a shortcut, joined in two ways."""

    def __init__(self, join: str) -> None:
        super().__init__()
        self.join = join
        self.first = nn.Conv2d(1, 2, 3, padding=1)
        self.short = nn.Conv2d(2, 2, 1)
        self.long = nn.Sequential(nn.Conv2d(2, 2, 5, padding=4, dilation=2), nn.ReLU(), nn.Conv2d(2, 2, 3, padding=1))
        self.last = nn.Conv2d(2 if join == "sum" else 6, 1, 3, padding=1)

    def forward(self, x):
        x = self.first(x)
        parts = [x, self.long(x), self.short(x)]
        return self.last(sum(parts) if self.join == "sum" else chainrule.cat(parts, 1))


@pytest.mark.parametrize("join", ["sum", "cat"])
def test_the_longest_path_counts(join):
    model = Branches(join)
    assert finite(model) == [3, 11, 11, 13, 3, 15]
    for parameter in model.parameters():
        nn.init.ones_(parameter)  # so that no path is lost
    x = chainrule.ones(1, 1, 31, 31, requires_grad=True)
    model(x)[0, 0, 15, 15].backward()
    rows = np.flatnonzero(np.abs(x.grad.numpy()[0, 0]).sum(1))
    assert rows[-1] - rows[0] + 1 == 15


class Pooled(nn.Module):
    """Everything after the mean over all pixels sees all of them."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.scale = nn.Conv2d(4, 4, 1)
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        x = self.conv(x)
        x = x * self.scale(x.mean((2, 3), keepdim=True)).sigmoid()
        return self.head(x.mean((2, 3)))


def test_a_mean_over_all_pixels_sees_all():
    assert [field.size for field in nn.receptive_field(Pooled())] == [3, math.inf, math.inf]
    assert all(not layer._forward_hooks and layer.training for layer in Pooled().modules())


class Functional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(1, 1, 3), nn.Conv2d(1, 1, 3)

    def forward(self, x):
        return self.b(F.max_pool2d(self.a(x), 2))


def test_what_cannot_be_followed_is_said():
    with pytest.raises(chainrule.ShapeError, match="outside of a module"):
        nn.receptive_field(Functional())
    with pytest.raises(chainrule.ShapeError, match="ConvTranspose2d is not followed"):
        nn.receptive_field(models.UNet())
    with pytest.raises(chainrule.ShapeError, match="may have branches"):
        nn.receptive_field([nn.Conv2d(1, 1, 3), Functional()])


@pytest.mark.parametrize("kind", [nn.Conv1d, nn.Conv2d, nn.Conv3d])
def test_same_padding_with_a_stride_is_refused_when_the_layer_is_made(kind):
    with pytest.raises(chainrule.ShapeError, match=f"{kind.__name__}: padding='same' keeps the size"):
        kind(1, 1, 3, stride=2, padding="same")
    with pytest.raises(chainrule.ShapeError, match="'same' or 'valid', got 'full'"):
        kind(1, 1, 3, padding="full")
    kind(1, 1, 3, padding="same")
    kind(1, 1, 3, stride=2, padding="valid")
