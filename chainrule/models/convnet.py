"""The textbook's convolutional network, of any depth."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

from chainrule import nn
from chainrule.errors import ShapeError
from chainrule.models.images import check_images
from chainrule.models.registry import register
from chainrule.tensor import Tensor


class ConvNet(nn.Module):
    """(convolution, activation, pooling)ᴺ¹, flattened, (linear, activation)ᴺ², and a linear layer at the end.

    Input (N, in_channels, image_size, image_size), output (N, num_classes) scores (logits).

    Args:
        num_classes: how many scores come out.
        in_channels: 1 for grey images, 3 for colour.
        image_size: the extent of the square images.
        channels: the channels of each convolution; N¹ is their number, which may be 0.
        hidden: the units of each linear layer but the last; N² is their number, which may be 0.
        kernel_size: of the convolutions.
        padding: of the convolutions: a number, or "same", which keeps the size.
        activation: "relu", "tanh" or "sigmoid".
        pooling: "max", "avg" or "none", 2×2 with stride 2.

    LeNet-5 is `ConvNet(10, 1, 32, channels=[6, 16], hidden=[120, 84], kernel_size=5, padding=0)`.
    Source: the usual pattern, E 4.4.

    >>> import chainrule
    >>> ConvNet(10, 3, 32, channels=[16, 32, 64], hidden=[128])(chainrule.zeros(2, 3, 32, 32)).shape
    Size([2, 10])
    """

    def __init__(
        self,
        num_classes: int = 10,
        in_channels: int = 1,
        image_size: int = 32,
        channels: Sequence[int] = (16, 32),
        hidden: Sequence[int] = (128,),
        kernel_size: int = 3,
        padding: Any = "same",
        activation: str = "relu",
        pooling: str = "max",
    ) -> None:
        super().__init__()
        self.in_channels, self.image_size = in_channels, image_size
        activations = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}
        poolings = {"max": nn.MaxPool2d, "avg": nn.AvgPool2d, "none": None}
        if activation not in activations or pooling not in poolings:
            raise ValueError(
                f"activation is one of {', '.join(activations)} and pooling one of {', '.join(poolings)}, "
                f"got {activation!r} and {pooling!r}."
            )
        act, pool = activations[activation], poolings[pooling]
        features: list[nn.Module] = []
        size = image_size
        for number, (before, after) in enumerate(itertools.pairwise((in_channels, *channels)), 1):
            try:
                size = nn.output_size(size, kernel_size, padding=padding)
                size = size if pool is None else nn.output_size(size, 2, stride=2)
            except ShapeError:
                raise ShapeError(
                    f"images of {image_size}×{image_size} are too small for {len(channels)} convolutions: {size}×"
                    f"{size} is left before number {number}. Use fewer, or larger images."
                ) from None
            features += [nn.Conv2d(before, after, kernel_size, padding=padding), act()]
            features += [] if pool is None else [pool(2)]
        flat = (channels[-1] if channels else in_channels) * math.prod((size, size))
        classifier: list[nn.Module] = [nn.Flatten()]
        for before, after in itertools.pairwise((flat, *hidden)):
            classifier += [nn.Linear(before, after), act()]
        classifier.append(nn.Linear(hidden[-1] if hidden else flat, num_classes))
        self.features, self.classifier = nn.Sequential(*features), nn.Sequential(*classifier)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) to scores (N, num_classes)."""
        check_images(x, self.in_channels, exactly=self.image_size)
        return self.classifier(self.features(x))


@register("convnet", task="classification", data="images", input=(1, 32, 32), paper="after LeCun et al. 1998")
def convnet(**options: Any) -> ConvNet:
    """A `ConvNet` with these options.

    >>> sum(p.numel() for p in convnet(channels=[6, 16], hidden=[120, 84], kernel_size=5, padding=0).parameters())
    61706
    """
    return ConvNet(**options)
