"""VGG's class, and what its convolutions are made from, where PyTorch-vision has it."""

from __future__ import annotations

from collections.abc import Sequence

from chainrule import nn
from chainrule.models.vgg import STAGES, VGG

__all__ = ["VGG"]


def _listed(layers: int) -> list[str | int]:
    listed: list[str | int] = []
    for stage in STAGES[layers]:
        listed += [*stage, "M"]
    return listed


#: Channels of the convolutions one after another, "M" for a pooling, by the paper's letter of each network.
cfgs: dict[str, list[str | int]] = {"A": _listed(11), "B": _listed(13), "D": _listed(16), "E": _listed(19)}


def make_layers(cfg: Sequence[str | int], batch_norm: bool = False) -> nn.Sequential:
    """The convolutions of such a list.

    >>> make_layers([4, "M"])
    Sequential(
      (0): Conv2d(3, 4, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))
      (1): ReLU()
      (2): MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)
    )
    """
    layers: list[nn.Module] = []
    before = 3
    for part in cfg:
        if isinstance(part, str):
            layers.append(nn.MaxPool2d(2, 2))
            continue
        layers.append(nn.Conv2d(before, part, 3, padding=1))
        layers += [nn.BatchNorm2d(part)] if batch_norm else []
        layers.append(nn.ReLU())
        before = part
    return nn.Sequential(*layers)
