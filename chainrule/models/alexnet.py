"""AlexNet: the network that won ImageNet's contest of 2012 and began the present time.

What was new: ReLU instead of tanh, so that eight layers learn at all; dropout in the large linear layers; training on
two graphics cards, which is why there were two towers.

    image 3×224×224
      │ convolution 11×11, stride 4, ReLU, max-pooling 3/2      64 × 27 × 27
      │ convolution 5×5, ReLU, max-pooling 3/2                 192 × 13 × 13
      │ three convolutions 3×3, ReLU; max-pooling 3/2          256 × 6 × 6
      │ flattened: 9216; dropout, linear, ReLU                4096
      │ dropout, linear, ReLU                                 4096
      ▼ linear                                                1000

Two networks have the name. That of the paper has two towers, which see each other in the third convolution and in the
linear layers only: groups of channels, in today's words. One tower, with fewer channels, is what torchvision has.

Source: Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural networks", 2012; the
one tower: Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014.
"""

from __future__ import annotations

from typing import Any

from chainrule import nn
from chainrule.models.images import check_images
from chainrule.models.registry import register
from chainrule.tensor import Tensor

#: Of smaller images nothing is left after the third pooling.
SMALLEST = 63


class AlexNet(nn.Module):
    """One tower: 61,100,840 parameters. Names and arguments are torchvision's, and `in_channels`.

    Input (N, in_channels, H, W) of at least 63×63 pixels, output (N, num_classes) scores (logits). Other sizes than
    224×224 are brought to 6×6 by averaging.

    >>> import chainrule
    >>> AlexNet(num_classes=5).features(chainrule.zeros(1, 3, 240, 240)).shape
    Size([1, 256, 6, 6])
    """

    def __init__(self, num_classes: int = 1000, dropout: float = 0.5, *, in_channels: int = 3) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, 64, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
            nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
            nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(),
            nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2),
        )  # fmt: skip
        self.avgpool = nn.AdaptiveAvgPool2d(6)
        self.classifier = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(256 * 6 * 6, 4096), nn.ReLU(),
            nn.Dropout(dropout), nn.Linear(4096, 4096), nn.ReLU(),
            nn.Linear(4096, num_classes),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Scores for a batch of images."""
        check_images(x, self.in_channels, SMALLEST)
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


class TwoTowerAlexNet(nn.Module):
    """The paper's own: 60,965,224 parameters; channels are normalised by their neighbours after the first two layers.

    Input (N, in_channels, H, W), made for 227×227 (the paper says 224, which does not come out), output
    (N, num_classes) scores (logits). Weights start normal with 0.01, biases at 0, or at 1 where that keeps a ReLU open
    at first: in the convolutions 2, 4 and 5 and the hidden linear layers.

    Local response normalisation is written here with α = 5·10⁻⁴, because ours divides the sum by its 5 terms and the
    paper's, with 10⁻⁴, does not.

    >>> import chainrule
    >>> TwoTowerAlexNet(num_classes=5).features(chainrule.zeros(1, 3, 227, 227)).shape
    Size([1, 256, 6, 6])
    """

    def __init__(self, num_classes: int = 1000, dropout: float = 0.5, *, in_channels: int = 3) -> None:
        super().__init__()
        self.in_channels = in_channels

        def normalise() -> nn.Module:
            return nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)

        self.features = nn.Sequential(
            nn.Conv2d(in_channels, 96, 11, stride=4), nn.ReLU(), normalise(), nn.MaxPool2d(3, 2),
            nn.Conv2d(96, 256, 5, padding=2, groups=2), nn.ReLU(), normalise(), nn.MaxPool2d(3, 2),
            nn.Conv2d(256, 384, 3, padding=1), nn.ReLU(),
            nn.Conv2d(384, 384, 3, padding=1, groups=2), nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1, groups=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        )  # fmt: skip
        self.avgpool = nn.AdaptiveAvgPool2d(6)
        self.classifier = nn.Sequential(
            nn.Linear(256 * 6 * 6, 4096), nn.ReLU(), nn.Dropout(dropout),
            nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout(dropout),
            nn.Linear(4096, num_classes),
        )  # fmt: skip
        self._start()

    def _start(self) -> None:
        open_at_first = (self.features[4], self.features[10], self.features[12], self.classifier[0], self.classifier[3])
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.normal_(module.weight, std=0.01)
                nn.init.constant_(module.bias, 1.0 if module in open_at_first else 0.0)

    def forward(self, x: Tensor) -> Tensor:
        """Scores for a batch of images."""
        check_images(x, self.in_channels, SMALLEST + 4)  # without the padding of the other
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


@register(
    "alexnet",
    task="classification",
    data="images",
    input=(3, 224, 224),
    paper="Krizhevsky 2014",
    smallest=SMALLEST,
)
def alexnet(**options: Any) -> AlexNet:
    """An `AlexNet` of one tower, torchvision's, with these options."""
    return AlexNet(**options)


@register(
    "alexnet_two_towers",
    task="classification",
    data="images",
    input=(3, 227, 227),
    paper="Krizhevsky et al. 2012",
    smallest=SMALLEST + 4,
)
def alexnet_two_towers(**options: Any) -> TwoTowerAlexNet:
    """A `TwoTowerAlexNet`, the paper's own, with these options."""
    return TwoTowerAlexNet(**options)
