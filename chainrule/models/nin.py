"""Network in Network: 1×1 convolutions, and no linear layers at all.

What was new: two things that all later networks have. Behind each convolution two of 1×1, which are a small perceptron
that runs over the pixels and mixes their channels. And in place of the large linear layers the mean over each channel:
the last convolution has a channel for each class.

    image 3×32×32
      │ 5×5, 1×1, 1×1; max-pooling 3/2, dropout      96 × 16 × 16
      │ 5×5, 1×1, 1×1; average pooling 3/2, dropout 192 × 8 × 8
      │ 3×3, 1×1, 1×1                                10 × 8 × 8
      ▼ mean over all pixels                         10              966,986 parameters

Source: Lin, Chen and Yan, "Network in network", 2014.
"""

from __future__ import annotations

from typing import Any

from chainrule import nn
from chainrule.models.images import check_images
from chainrule.models.registry import register
from chainrule.tensor import Tensor


def mlp_conv(before: int, kernel: int, *channels: int) -> list[nn.Module]:
    """A convolution that keeps the size and two of 1×1 behind it, each with ReLU."""
    parts: list[nn.Module] = []
    for i, after in enumerate(channels):
        size = 1 if i else kernel
        parts += [nn.Conv2d(before, after, size, padding=size // 2), nn.ReLU()]
        before = after
    return parts


class NetworkInNetwork(nn.Module):
    """Input (N, in_channels, H, W), output (N, num_classes) scores (logits).

    Args:
        num_classes: how many scores come out.
        in_channels: 3 for colour.
        dropout: after the first two poolings.

    Source: Lin, Chen and Yan 2014. The scores are the means of the last maps as they are, without the paper's last
    ReLU: a score that can only be positive learns badly.

    >>> sum(p.numel() for p in NetworkInNetwork().parameters())
    966986
    """

    def __init__(self, num_classes: int = 10, in_channels: int = 3, dropout: float = 0.5) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.features = nn.Sequential(
            *mlp_conv(in_channels, 5, 192, 160, 96), nn.MaxPool2d(3, 2, 1), nn.Dropout(dropout),
            *mlp_conv(96, 5, 192, 192, 192), nn.AvgPool2d(3, 2, 1), nn.Dropout(dropout),
            *mlp_conv(192, 3, 192, 192, num_classes)[:-1],
        )  # fmt: skip
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Scores for a batch of images."""
        check_images(x, self.in_channels)
        return self.features(x).mean((2, 3))


@register("nin", task="classification", data="images", input=(3, 32, 32), paper="Lin, Chen and Yan 2014")
def nin(**options: Any) -> NetworkInNetwork:
    """A `NetworkInNetwork` with these options."""
    return NetworkInNetwork(**options)
