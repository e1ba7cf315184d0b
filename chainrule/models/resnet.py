"""Residual networks: each block adds to its input what it has learned to change about it.

What was new: the shortcut. Layers that are put on a good network should not make it worse, as they need only learn to
do nothing; but plain layers do not learn that. A block that adds does: it gives zeros. The gradient has a way of its
own past every block, 1 + F′ instead of F′, and networks of a hundred layers learn.

    image 3×224×224
      │ convolution 7×7, stride 2; max-pooling 3/2      64 × 56 × 56
      │ stage 1: blocks                                 64 (256) × 56 × 56
      │ stage 2: blocks, the first halves              128 (512) × 28 × 28
      │ stage 3                                        256 (1024) × 14 × 14
      │ stage 4                                        512 (2048) × 7 × 7
      ▼ mean over all pixels, linear                  1000

    basic block     x ─┬─ 3×3 ─ bn ─ ReLU ─ 3×3 ─ bn ─(+)─ ReLU ─
                       └───────────────────────────────┘
    bottleneck      x ─┬─ 1×1 ─ 3×3 ─ 1×1 to four times as many ─(+)─ ReLU ─
                       └──────────────────────────────────────────┘

Where the shape changes, the shortcut is a 1×1 convolution, so not every way is free from end to end.

Source: He, Zhang, Ren and Sun, "Deep residual learning for image recognition", 2016. Bottlenecks halve in their 3×3
convolution, not in the first 1×1, as torchvision's do (and everybody's since).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from chainrule import nn
from chainrule.errors import ShapeError
from chainrule.models.registry import register
from chainrule.tensor import Tensor

Norm = Callable[[int], nn.Module]


class BasicBlock(nn.Module):
    """y = relu(x′ + bn(conv(relu(bn(conv(x)))))), two 3×3 convolutions and a shortcut.

    Input (N, in_channels, H, W), output (N, channels, ⌈H/stride⌉, ⌈W/stride⌉). Where the shape changes, the shortcut
    x′ is a 1×1 convolution with batch normalisation, otherwise x itself. The activation comes after the addition only.

    >>> import chainrule
    >>> BasicBlock(4, 8, stride=2)(chainrule.zeros(1, 4, 6, 6)).shape
    Size([1, 8, 3, 3])
    """

    expansion = 1

    def __init__(
        self,
        in_channels: int,
        channels: int,
        stride: int = 1,
        groups: int = 1,
        base_width: int = 64,
        dilation: int = 1,
        norm_layer: Norm = nn.BatchNorm2d,
    ) -> None:
        super().__init__()
        if groups != 1 or base_width != 64 or dilation != 1:
            raise ValueError("groups, width_per_group and dilation are for Bottleneck blocks; a BasicBlock has none.")
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = norm_layer(channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = norm_layer(channels)
        self.downsample = shortcut(in_channels, channels, stride, norm_layer)

    def forward(self, x: Tensor) -> Tensor:
        """One block."""
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return self.relu(out + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    """y = relu(x′ + …) with 1×1, 3×3 and 1×1 convolutions; the 3×3 one works on a quarter of the channels.

    Input (N, in_channels, H, W), output (N, 4·channels, ⌈H/stride⌉, ⌈W/stride⌉). The stride is the 3×3 convolution's.
    With `groups` the 3×3 one has as many groups of channels·base_width/64 channels each: ResNeXt's block.

    >>> import chainrule
    >>> Bottleneck(8, 4)(chainrule.zeros(1, 8, 6, 6)).shape
    Size([1, 16, 6, 6])
    """

    expansion = 4

    def __init__(
        self,
        in_channels: int,
        channels: int,
        stride: int = 1,
        groups: int = 1,
        base_width: int = 64,
        dilation: int = 1,
        norm_layer: Norm = nn.BatchNorm2d,
    ) -> None:
        super().__init__()
        width = channels * base_width // 64 * groups
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = norm_layer(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, dilation, dilation, groups, bias=False)
        self.bn2 = norm_layer(width)
        self.conv3 = nn.Conv2d(width, 4 * channels, 1, bias=False)
        self.bn3 = norm_layer(4 * channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = shortcut(in_channels, 4 * channels, stride, norm_layer)

    def forward(self, x: Tensor) -> Tensor:
        """One block."""
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        return self.relu(out + (x if self.downsample is None else self.downsample(x)))


def shortcut(in_channels: int, channels: int, stride: int, norm_layer: Norm) -> nn.Sequential | None:
    """What brings the input to the output's shape; None if it has it already."""
    if stride == 1 and in_channels == channels:
        return None
    return nn.Sequential(nn.Conv2d(in_channels, channels, 1, stride=stride, bias=False), norm_layer(channels))


class ResNet(nn.Module):
    """A stem, four stages of residual blocks, the mean over all pixels, and a linear layer.

    Input (N, in_channels, H, W), output (N, num_classes) scores (logits). Stage s has width·2ˢ channels (times the
    block's expansion); all but the first halve the size. Layers have torchvision's names and order, so that programs
    may take the network apart: `nn.Sequential(*list(model.children())[:-1])` is all but the classifier.

    Args:
        block: `BasicBlock` or `Bottleneck`.
        layers: blocks in each of the four stages.
        num_classes: how many scores come out.
        in_channels: 3 for colour.
        stem: "imagenet", a 7×7 convolution of stride 2 and 3×3 max pooling of stride 2; or "cifar", a 3×3
            convolution that keeps the size, for images of about 32×32.
        width: channels of the stem and the first stage.
        zero_init_residual: start the last normalisation of each block at 0, so that blocks begin as identities.
        groups, width_per_group: of the 3×3 convolutions in `Bottleneck`s; 32 and 4 make a ResNeXt.
        replace_stride_with_dilation: for the stages 2, 3 and 4, whether they keep the size and spread their kernels
            instead: for segmentation.
        norm_layer: makes the normalisation of so many channels; batch normalisation unless given.

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
        zero_init_residual: bool = False,
        groups: int = 1,
        width_per_group: int = 64,
        replace_stride_with_dilation: Sequence[bool] | None = None,
        norm_layer: Norm | None = None,
        *,
        in_channels: int = 3,
        stem: str = "imagenet",
        width: int = 64,
    ) -> None:
        super().__init__()
        dilated = [False, False, False] if replace_stride_with_dilation is None else replace_stride_with_dilation
        if stem not in ("imagenet", "cifar"):
            raise ValueError(f'the stem is "imagenet" or "cifar", got {stem!r}.')
        if len(layers) != 4 or min(layers) < 1 or len(dilated) != 3:
            raise ValueError(
                f"a residual network has four stages of at least one block each, the last three with stride or "
                f"dilation, got {list(layers)} and {replace_stride_with_dilation}."
            )
        norm = nn.BatchNorm2d if norm_layer is None else norm_layer
        large = stem == "imagenet"
        self.conv1 = nn.Conv2d(in_channels, width, *((7, 2, 3) if large else (3, 1, 1)), bias=False)
        self.bn1 = norm(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1) if large else nn.Identity()
        before, dilation = width, 1
        for stage, (count, spread) in enumerate(zip(layers, [True, *dilated], strict=True)):
            channels, stride = width * 2**stage, 1 if spread else 2
            blocks = [block(before, channels, stride, groups, width_per_group, dilation, norm)]
            dilation *= 2 if stage and spread else 1  # the first block of a stage still has the old one
            before = channels * block.expansion
            for _ in range(1, count):
                blocks.append(block(before, channels, 1, groups, width_per_group, dilation, norm))
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
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
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for stage in range(1, 5):
            x = getattr(self, f"layer{stage}")(x)
        return self.fc(self.avgpool(x).flatten(1))


def _fit(shape: Sequence[int], outputs: int) -> dict[str, Any]:
    """Small images get the stem that keeps their size."""
    stem = {"stem": "cifar"} if max(shape[1:]) <= 64 else {}
    return {"num_classes": outputs, "in_channels": shape[0], **stem}


_ABOUT: dict[str, Any] = {
    "task": "classification", "data": "images", "input": (3, 224, 224), "paper": "He et al. 2016", "fit": _fit,
}  # fmt: skip


@register("resnet18", **_ABOUT)
def resnet18(num_classes: int = 1000, **options: Any) -> ResNet:
    """ResNet-18: two basic blocks in each stage. 11,689,512 parameters for 1000 classes of ImageNet's images.

    Options are :class:`ResNet`'s.

    >>> model = resnet18(num_classes=10, stem="cifar")
    >>> sum(p.numel() for p in model.parameters())
    11173962
    """
    return ResNet(BasicBlock, [2, 2, 2, 2], num_classes, **options)


@register("resnet34", **_ABOUT)
def resnet34(num_classes: int = 1000, **options: Any) -> ResNet:
    """ResNet-34: 3, 4, 6 and 3 basic blocks. 21,797,672 parameters. Options are :class:`ResNet`'s."""
    return ResNet(BasicBlock, [3, 4, 6, 3], num_classes, **options)


@register("resnet50", **_ABOUT)
def resnet50(num_classes: int = 1000, **options: Any) -> ResNet:
    """ResNet-50: 3, 4, 6 and 3 bottleneck blocks. 25,557,032 parameters. Options are :class:`ResNet`'s."""
    return ResNet(Bottleneck, [3, 4, 6, 3], num_classes, **options)


@register("resnet101", **_ABOUT)
def resnet101(num_classes: int = 1000, **options: Any) -> ResNet:
    """ResNet-101: 3, 4, 23 and 3 bottleneck blocks. 44,549,160 parameters. Options are :class:`ResNet`'s."""
    return ResNet(Bottleneck, [3, 4, 23, 3], num_classes, **options)


@register("resnet152", **_ABOUT)
def resnet152(num_classes: int = 1000, **options: Any) -> ResNet:
    """ResNet-152: 3, 8, 36 and 3 bottleneck blocks. 60,192,808 parameters. Options are :class:`ResNet`'s."""
    return ResNet(Bottleneck, [3, 8, 36, 3], num_classes, **options)


@register("resnext50_32x4d", **{**_ABOUT, "paper": "Xie et al. 2017"})
def resnext50_32x4d(num_classes: int = 1000, **options: Any) -> ResNet:
    """ResNeXt-50: as ResNet-50, with 32 groups of 4 channels in the 3×3 convolutions. 25,028,904 parameters.

    Many narrow paths instead of one wide one, for the same cost. Options are :class:`ResNet`'s. Source: Xie et al.,
    "Aggregated residual transformations for deep neural networks", 2017.
    """
    return ResNet(Bottleneck, [3, 4, 6, 3], num_classes, **{"groups": 32, "width_per_group": 4, **options})


@register("resnet10", **{**_ABOUT, "input": (3, 32, 32), "paper": "after He et al. 2016"})
def resnet10(num_classes: int = 10, **options: Any) -> ResNet:
    """A small residual network for images of about 32×32: one basic block in each stage, of 32 to 256 channels.

    Options are :class:`ResNet`'s; the stem is "cifar" and the width 32 unless given.

    >>> sum(p.numel() for p in resnet10().parameters())
    1228970
    """
    return ResNet(BasicBlock, [1, 1, 1, 1], num_classes, **{"stem": "cifar", "width": 32, **options})
