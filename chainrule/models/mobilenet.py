"""MobileNet: networks for telephones, from convolutions that are taken apart.

What was new in V1: a 3×3 convolution of all channels is replaced by one of each channel by itself (depthwise) and a 1×1
convolution that mixes them (pointwise). For C channels that is 9·C + C² weights instead of 9·C².

    V1    x ─ depthwise 3×3, bn, ReLU ─ pointwise 1×1, bn, ReLU ─ y

What was new in V2: the block is wide inside and narrow outside, and the shortcut joins the narrow ends, which have no
ReLU behind them, so that nothing is lost there.

    V2    x ─┬─ 1×1 to t·C, bn, ReLU6 ─ depthwise 3×3, bn, ReLU6 ─ 1×1 to C, bn ─(+)─ y
             └───────────────────────────────────────────────────────────────────┘

Sources: Howard et al., "MobileNets: efficient convolutional neural networks for mobile vision applications", 2017;
Sandler et al., "MobileNetV2: inverted residuals and linear bottlenecks", 2018.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chainrule import nn
from chainrule.models.images import check_images
from chainrule.models.registry import register
from chainrule.tensor import Tensor


def conv_bn(
    in_channels: int,
    channels: int,
    kernel: int,
    stride: int = 1,
    groups: int = 1,
    activation: type[nn.Module] = nn.ReLU,
) -> nn.Sequential:
    """A convolution without bias that keeps the size (but for the stride), batch normalisation, an activation."""
    convolution = nn.Conv2d(in_channels, channels, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(channels), activation())


def make_divisible(channels: float, divisor: int = 8) -> int:
    """The nearest multiple of the divisor, and not less than nine tenths of what was asked for.

    >>> make_divisible(32 * 0.75), make_divisible(11)
    (24, 16)
    """
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


class DepthwiseSeparable(nn.Sequential):
    """Depthwise 3×3 and pointwise 1×1, each with batch normalisation and ReLU."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__(conv_bn(in_channels, in_channels, 3, stride, in_channels), conv_bn(in_channels, channels, 1))


class MobileNetV1(nn.Module):
    """4,231,976 parameters for 1000 classes.

    Input (N, in_channels, H, W), output (N, num_classes) scores (logits).

    Args:
        num_classes: how many scores come out.
        width_mult: all channels times so much.
        in_channels: 3 for colour.

    Source: Howard et al. 2017.

    >>> import chainrule
    >>> MobileNetV1(num_classes=5, width_mult=0.25)(chainrule.zeros(1, 3, 64, 64)).shape
    Size([1, 5])
    """

    #: Channels and stride of the blocks.
    BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))

    def __init__(self, num_classes: int = 1000, width_mult: float = 1.0, *, in_channels: int = 3) -> None:
        super().__init__()
        self.in_channels = in_channels
        before = make_divisible(32 * width_mult)
        parts: list[nn.Module] = [conv_bn(in_channels, before, 3, stride=2)]
        for wanted, stride in self.BLOCKS:
            channels = make_divisible(wanted * width_mult)
            parts.append(DepthwiseSeparable(before, channels, stride))
            before = channels
        self.features = nn.Sequential(*parts)
        self.classifier = nn.Linear(before, num_classes)
        _start(self)

    def forward(self, x: Tensor) -> Tensor:
        """Scores for a batch of images."""
        check_images(x, self.in_channels)
        return self.classifier(self.features(x).mean((2, 3)))


class InvertedResidual(nn.Module):
    """V2's block: wider by `expand_ratio` inside; with a shortcut where the shape stays."""

    def __init__(self, inp: int, oup: int, stride: int, expand_ratio: int) -> None:
        super().__init__()
        hidden = inp * expand_ratio
        self.residual = stride == 1 and inp == oup
        parts: list[nn.Module] = [] if expand_ratio == 1 else [conv_bn(inp, hidden, 1, activation=nn.ReLU6)]
        parts.append(conv_bn(hidden, hidden, 3, stride, hidden, activation=nn.ReLU6))
        parts += [nn.Conv2d(hidden, oup, 1, bias=False), nn.BatchNorm2d(oup)]
        self.conv = nn.Sequential(*parts)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return x + self.conv(x) if self.residual else self.conv(x)


class MobileNetV2(nn.Module):
    """3,504,872 parameters for 1000 classes. Names and arguments are torchvision's, and `in_channels`.

    Input (N, in_channels, H, W), output (N, num_classes) scores (logits).

    Args:
        num_classes: how many scores come out.
        width_mult: all channels times so much.
        inverted_residual_setting: for each stage the expansion, the channels, the number of blocks and the first
            block's stride.
        round_nearest: channels are multiples of this.
        dropout: before the linear layer.
        in_channels: 3 for colour.

    Source: Sandler et al. 2018.

    >>> import chainrule
    >>> MobileNetV2(num_classes=5, width_mult=0.25)(chainrule.zeros(1, 3, 64, 64)).shape
    Size([1, 5])
    """

    #: Expansion, channels, blocks and stride of the stages.
    STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))

    def __init__(
        self,
        num_classes: int = 1000,
        width_mult: float = 1.0,
        inverted_residual_setting: Sequence[Sequence[int]] | None = None,
        round_nearest: int = 8,
        dropout: float = 0.2,
        *,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        before = make_divisible(32 * width_mult, round_nearest)
        last = make_divisible(1280 * max(1.0, width_mult), round_nearest)
        parts: list[nn.Module] = [conv_bn(in_channels, before, 3, stride=2, activation=nn.ReLU6)]
        for expansion, wanted, blocks, stride in inverted_residual_setting or self.STAGES:
            channels = make_divisible(wanted * width_mult, round_nearest)
            for i in range(blocks):
                parts.append(InvertedResidual(before, channels, 1 if i else stride, expansion))
                before = channels
        parts.append(conv_bn(before, last, 1, activation=nn.ReLU6))
        self.features = nn.Sequential(*parts)
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(last, num_classes))
        _start(self)

    def forward(self, x: Tensor) -> Tensor:
        """Scores for a batch of images."""
        check_images(x, self.in_channels)
        return self.classifier(self.features(x).mean((2, 3)))


def _start(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out")
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.01)
            nn.init.zeros_(module.bias)


@register("mobilenet_v1", task="classification", data="images", input=(3, 224, 224), paper="Howard et al. 2017")
def mobilenet_v1(**options: Any) -> MobileNetV1:
    """A `MobileNetV1` with these options."""
    return MobileNetV1(**options)


@register("mobilenet_v2", task="classification", data="images", input=(3, 224, 224), paper="Sandler et al. 2018")
def mobilenet_v2(**options: Any) -> MobileNetV2:
    """A `MobileNetV2` with these options."""
    return MobileNetV2(**options)
