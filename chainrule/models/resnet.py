"""Residual networks: each block adds to its input what it has learned to change about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chainrule import nn
from chainrule.errors import ShapeError
from chainrule.models.registry import register
from chainrule.nn import functional as F
from chainrule.tensor import Tensor


class BasicBlock(nn.Module):
    """y = relu(x′ + bn(conv(relu(bn(conv(x)))))), two 3×3 convolutions and a shortcut.

    Input (N, in_channels, H, W), output (N, channels, ⌈H/stride⌉, ⌈W/stride⌉). Where the shape changes, the shortcut
    x′ is a 1×1 convolution with batch normalisation, otherwise x itself.

    >>> import chainrule
    >>> BasicBlock(4, 8, stride=2)(chainrule.zeros(1, 4, 6, 6)).shape
    Size([1, 8, 3, 3])
    """

    expansion = 1

    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = shortcut(in_channels, channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        """One block."""
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return F.relu(out + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    """y = relu(x′ + …) with 1×1, 3×3 and 1×1 convolutions; the 3×3 one works on a quarter of the channels.

    Input (N, in_channels, H, W), output (N, 4·channels, ⌈H/stride⌉, ⌈W/stride⌉). The stride is the 3×3 convolution's.

    >>> import chainrule
    >>> Bottleneck(8, 4)(chainrule.zeros(1, 8, 6, 6)).shape
    Size([1, 16, 6, 6])
    """

    expansion = 4

    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, 4 * channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * channels)
        self.downsample = shortcut(in_channels, 4 * channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        """One block."""
        out = F.relu(self.bn1(self.conv1(x)))
        out = F.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        return F.relu(out + (x if self.downsample is None else self.downsample(x)))


def shortcut(in_channels: int, channels: int, stride: int) -> nn.Sequential | None:
    """What brings the input to the output's shape; None if it has it already."""
    if stride == 1 and in_channels == channels:
        return None
    return nn.Sequential(nn.Conv2d(in_channels, channels, 1, stride=stride, bias=False), nn.BatchNorm2d(channels))


class ResNet(nn.Module):
    """A stem, four stages of residual blocks, the mean over all pixels, and a linear layer.

    Input (N, in_channels, H, W), output (N, num_classes) scores (logits). Stage s has width·2ˢ channels (times the
    block's expansion); all but the first halve the size. Layer names are torchvision's.

    Args:
        block: `BasicBlock` or `Bottleneck`.
        layers: blocks in each of the four stages.
        num_classes: how many scores come out.
        in_channels: 3 for colour.
        stem: "imagenet", a 7×7 convolution of stride 2 and 3×3 max pooling of stride 2; or "cifar", a 3×3
            convolution that keeps the size, for images of about 32×32.
        width: channels of the stem and the first stage.
        zero_init_residual: start the last normalisation of each block at 0, so that blocks begin as identities.

    Convolutions start with He's normal numbers for the fan-out. Source: He et al., "Deep residual learning for image
    recognition", 2016.

    Raises ValueError for an unknown stem or other than four stages, ShapeError for what is not a batch of images.

    >>> import chainrule
    >>> model = ResNet(BasicBlock, [1, 1, 1, 1], num_classes=7, stem="cifar")
    >>> model(chainrule.zeros(1, 3, 16, 16)).shape
    Size([1, 7])
    """

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        layers: Sequence[int],
        num_classes: int = 1000,
        in_channels: int = 3,
        stem: str = "imagenet",
        zero_init_residual: bool = False,
        width: int = 64,
    ) -> None:
        super().__init__()
        if stem not in ("imagenet", "cifar"):
            raise ValueError(f'the stem is "imagenet" or "cifar", got {stem!r}.')
        if len(layers) != 4 or min(layers) < 1:
            raise ValueError(f"a residual network has four stages of at least one block each, got {list(layers)}.")
        large = stem == "imagenet"
        self.conv1 = nn.Conv2d(in_channels, width, *((7, 2, 3) if large else (3, 1, 1)), bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.MaxPool2d(3, 2, 1) if large else nn.Identity()
        before = width
        for stage, count in enumerate(layers, 1):
            channels, blocks = width * 2 ** (stage - 1), []
            for i in range(count):
                blocks.append(block(before, channels, 2 if stage > 1 and i == 0 else 1))
                before = channels * block.expansion
            setattr(self, f"layer{stage}", nn.Sequential(*blocks))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(before, num_classes)
        self._start(zero_init_residual)

    def _start(self, zero_init_residual: bool) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if zero_init_residual and isinstance(module, BasicBlock):
                nn.init.zeros_(module.bn2.weight)
            if zero_init_residual and isinstance(module, Bottleneck):
                nn.init.zeros_(module.bn3.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Scores for a batch of images."""
        if x.ndim != 4 or x.shape[1] != self.conv1.in_channels:
            raise ShapeError(f"takes images (N, {self.conv1.in_channels}, H, W), got {tuple(x.shape)}.")
        x = self.maxpool(F.relu(self.bn1(self.conv1(x))))
        for stage in range(1, 5):
            x = getattr(self, f"layer{stage}")(x)
        return self.fc(self.avgpool(x).flatten(1))


def _fit(shape: Sequence[int], outputs: int) -> dict[str, Any]:
    """Small images get the stem that keeps their size."""
    stem = {"stem": "cifar"} if max(shape[1:]) <= 64 else {}
    return {"num_classes": outputs, "in_channels": shape[0], **stem}


@register("resnet18", task="classification", data="images", input=(3, 224, 224), paper="He et al. 2016", fit=_fit)
def resnet18(num_classes: int = 1000, **options: Any) -> ResNet:
    """ResNet-18: two basic blocks in each stage. 11,689,512 parameters for 1000 classes of ImageNet's images.

    Options are :class:`ResNet`'s.

    >>> model = resnet18(num_classes=10, stem="cifar")
    >>> sum(p.numel() for p in model.parameters())
    11173962
    """
    return ResNet(BasicBlock, [2, 2, 2, 2], num_classes, **options)


@register("resnet10", task="classification", data="images", input=(3, 32, 32), paper="after He et al. 2016", fit=_fit)
def resnet10(num_classes: int = 10, **options: Any) -> ResNet:
    """A small residual network for images of about 32×32: one basic block in each stage, of 32 to 256 channels.

    Options are :class:`ResNet`'s; the stem is "cifar" and the width 32 unless given.

    >>> sum(p.numel() for p in resnet10().parameters())
    1228970
    """
    return ResNet(BasicBlock, [1, 1, 1, 1], num_classes, **{"stem": "cifar", "width": 32, **options})
