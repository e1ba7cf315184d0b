"""VGG: nothing but 3×3 convolutions, and many of them.

What was new: small kernels only. Two 3×3 convolutions see as much as one of 5×5, three as much as 7×7, with fewer
weights and more nonlinearities between. The letter is the paper's column; 16 and 19 are the ones in use.

    image 3×224×224
      │ 3×3 convolutions with ReLU, 64 channels     ×1 (11), ×2 (13, 16, 19);     halved by max-pooling
      │ …                          128 channels     ×1 (11), ×2;                  halved
      │ …                          256 channels     ×2 (11, 13), ×3 (16), ×4 (19); halved
      │ …                          512 channels     ×2, ×2, ×3, ×4;               halved
      │ …                          512 channels     ×2, ×2, ×3, ×4;               halved: 512 × 7 × 7
      ▼ flattened: 25088; linear 4096, linear 4096, linear 1000

Three quarters of the parameters are in the first linear layer. Batch normalisation came later; with it the networks are
called vgg16_bn and so on.

Source: Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition", 2015.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chainrule import nn
from chainrule.models.images import check_images
from chainrule.models.registry import register
from chainrule.tensor import Tensor

#: Channels of the convolutions of each stage, by the number of layers with weights.
STAGES = {
    11: [[64], [128], [256, 256], [512, 512], [512, 512]],
    13: [[64, 64], [128, 128], [256, 256], [512, 512], [512, 512]],
    16: [[64, 64], [128, 128], [256] * 3, [512] * 3, [512] * 3],
    19: [[64, 64], [128, 128], [256] * 4, [512] * 4, [512] * 4],
}


def make_features(stages: Sequence[Sequence[int]], batch_norm: bool = False, in_channels: int = 3) -> nn.Sequential:
    """The convolutions: each stage's, then a pooling that halves the size.

    >>> make_features([[4], [8]])
    Sequential(
      (0): Conv2d(3, 4, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))
      (1): ReLU()
      (2): MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)
      (3): Conv2d(4, 8, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))
      (4): ReLU()
      (5): MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)
    )
    """
    layers: list[nn.Module] = []
    before = in_channels
    for stage in stages:
        for channels in stage:
            layers.append(nn.Conv2d(before, channels, 3, padding=1))
            layers += [nn.BatchNorm2d(channels)] if batch_norm else []
            layers.append(nn.ReLU())
            before = channels
        layers.append(nn.MaxPool2d(2, 2))
    return nn.Sequential(*layers)


class VGG(nn.Module):
    """Convolutions, an average to 7×7 pixels, and three linear layers. Names and arguments are torchvision's.

    Input (N, C, H, W) of at least 32×32 pixels, output (N, num_classes) scores (logits).

    Args:
        features: the convolutions, with 512 channels at the end; see `make_features`.
        num_classes: how many scores come out.
        init_weights: start as the paper's later versions: He's normal numbers for convolutions, 0.01 for linear layers.
        dropout: after the first two linear layers.

    Source: Simonyan and Zisserman 2015.

    >>> import chainrule
    >>> model = vgg11(num_classes=5, init_weights=False)
    >>> model.features(chainrule.zeros(1, 3, 64, 32)).shape
    Size([1, 512, 2, 1])
    """

    def __init__(
        self, features: nn.Module, num_classes: int = 1000, init_weights: bool = True, dropout: float = 0.5
    ) -> None:
        super().__init__()
        self.features = features
        self.avgpool = nn.AdaptiveAvgPool2d(7)
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 4096), nn.ReLU(), nn.Dropout(dropout),
            nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout(dropout),
            nn.Linear(4096, num_classes),
        )  # fmt: skip
        if init_weights:
            self._start()

    def _start(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.01)
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Scores for a batch of images."""
        check_images(x, next(self.features.parameters()).shape[1], 32)
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


def _vgg(layers: int, batch_norm: bool, in_channels: int, options: dict[str, Any]) -> VGG:
    return VGG(make_features(STAGES[layers], batch_norm, in_channels), **options)


_ABOUT: dict[str, Any] = {
    "task": "classification", "data": "images", "input": (3, 224, 224), "paper": "Simonyan and Zisserman 2015",
    "smallest": 32,
}  # fmt: skip


@register("vgg11", **_ABOUT)
def vgg11(*, in_channels: int = 3, **options: Any) -> VGG:
    """VGG with 11 layers, the paper's A: 132,863,336 parameters for 1000 classes. Options are :class:`VGG`'s."""
    return _vgg(11, False, in_channels, options)


@register("vgg11_bn", **_ABOUT)
def vgg11_bn(*, in_channels: int = 3, **options: Any) -> VGG:
    """As `vgg11`, with batch normalisation: 132,868,840 parameters."""
    return _vgg(11, True, in_channels, options)


@register("vgg13", **_ABOUT)
def vgg13(*, in_channels: int = 3, **options: Any) -> VGG:
    """VGG with 13 layers, the paper's B: 133,047,848 parameters."""
    return _vgg(13, False, in_channels, options)


@register("vgg13_bn", **_ABOUT)
def vgg13_bn(*, in_channels: int = 3, **options: Any) -> VGG:
    """As `vgg13`, with batch normalisation: 133,053,736 parameters."""
    return _vgg(13, True, in_channels, options)


@register("vgg16", **_ABOUT)
def vgg16(*, in_channels: int = 3, **options: Any) -> VGG:
    """VGG with 16 layers, the paper's D: 138,357,544 parameters."""
    return _vgg(16, False, in_channels, options)


@register("vgg16_bn", **_ABOUT)
def vgg16_bn(*, in_channels: int = 3, **options: Any) -> VGG:
    """As `vgg16`, with batch normalisation: 138,365,992 parameters."""
    return _vgg(16, True, in_channels, options)


@register("vgg19", **_ABOUT)
def vgg19(*, in_channels: int = 3, **options: Any) -> VGG:
    """VGG with 19 layers, the paper's E: 143,667,240 parameters."""
    return _vgg(19, False, in_channels, options)


@register("vgg19_bn", **_ABOUT)
def vgg19_bn(*, in_channels: int = 3, **options: Any) -> VGG:
    """As `vgg19`, with batch normalisation: 143,678,248 parameters."""
    return _vgg(19, True, in_channels, options)
