"""Maxout networks: units that learn their own activation.

What was new: a unit takes the largest of several affine functions of its input. Two of them can be a ReLU or an
absolute value, more of them any convex function; it never dies, and it suits dropout, for which it was invented. It
costs twice (or k times) the parameters.

    unit: max(w₁·x + b₁, w₂·x + b₂)

Source: Goodfellow, Warde-Farley, Mirza, Courville and Bengio, "Maxout networks", 2013.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chainrule import nn
from chainrule.errors import ShapeError
from chainrule.models.images import check_images
from chainrule.models.registry import register
from chainrule.tensor import Tensor


class MaxoutConv2d(nn.Module):
    """A convolution whose outputs are the largest of `pieces` ones. Output (N, out_channels, H′, W′).

    >>> import chainrule
    >>> MaxoutConv2d(3, 4, 3, pieces=2, padding=1)(chainrule.zeros(1, 3, 5, 5)).shape
    Size([1, 4, 5, 5])
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, pieces: int = 2, **options: Any) -> None:
        super().__init__()
        if pieces < 1:
            raise ValueError(f"maxout has at least one piece, got {pieces}.")
        self.out_channels, self.pieces = out_channels, pieces
        self.conv = nn.Conv2d(in_channels, out_channels * pieces, kernel_size, **options)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return self.conv(x).unflatten(1, (self.out_channels, self.pieces)).amax(2)


class MaxoutNet(nn.Module):
    """Three maxout convolutions with pooling, a maxout layer, a linear one; dropout before each.

    Input (N, in_channels, image_size, image_size), output (N, num_classes) scores (logits).

    Args:
        num_classes: how many scores come out.
        in_channels: 1 for grey images, 3 for colour.
        image_size: the extent of the square images, at least 8 (with three convolutions).
        channels: of the three convolutions.
        hidden: units of the maxout layer.
        pieces: affine functions in each unit.
        dropout: of the inputs of layers but the first, whose is a quarter of it.

    Source: Goodfellow et al. 2013, in a size for small images.

    >>> import chainrule
    >>> MaxoutNet(channels=[4, 4, 4], hidden=8)(chainrule.zeros(2, 3, 32, 32)).shape
    Size([2, 10])
    """

    def __init__(
        self,
        num_classes: int = 10,
        in_channels: int = 3,
        image_size: int = 32,
        channels: Sequence[int] = (32, 64, 64),
        hidden: int = 128,
        pieces: int = 2,
        dropout: float = 0.4,
    ) -> None:
        super().__init__()
        self.in_channels, self.image_size = in_channels, image_size
        parts: list[nn.Module] = []
        for i, (before, after) in enumerate(zip([in_channels, *channels], channels)):
            parts += [nn.Dropout(dropout if i else dropout / 4)]
            parts += [MaxoutConv2d(before, after, 3, pieces, padding=1), nn.MaxPool2d(2)]
        side = image_size // 2 ** len(channels)
        if side < 1:
            raise ShapeError(f"images of {image_size}×{image_size} cannot be halved {len(channels)} times.")
        self.features = nn.Sequential(*parts)
        self.classifier = nn.Sequential(
            nn.Flatten(), nn.Dropout(dropout), nn.Maxout(channels[-1] * side**2, hidden, pieces),
            nn.Dropout(dropout), nn.Linear(hidden, num_classes),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Scores for a batch of images."""
        check_images(x, self.in_channels, exactly=self.image_size)
        return self.classifier(self.features(x))


@register("maxout", task="classification", data="images", input=(3, 32, 32), paper="Goodfellow et al. 2013", smallest=8)
def maxout(**options: Any) -> MaxoutNet:
    """A `MaxoutNet` with these options."""
    return MaxoutNet(**options)
