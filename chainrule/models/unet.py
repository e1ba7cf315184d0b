"""U-Net: down to few pixels and up again, with shortcuts across, for a decision about every pixel."""

from __future__ import annotations

from typing import Any

from chainrule import nn
from chainrule.errors import ShapeError
from chainrule.functions.pieces import cat
from chainrule.models.registry import register
from chainrule.tensor import Tensor


class DoubleConv(nn.Sequential):
    """Twice (3×3 convolution, batch normalisation, ReLU). Input (N, in_channels, H, W), output (N, channels, H, W).

    >>> import chainrule
    >>> DoubleConv(3, 8)(chainrule.zeros(1, 3, 4, 4)).shape
    Size([1, 8, 4, 4])
    """

    def __init__(self, in_channels: int, channels: int) -> None:
        parts: list[nn.Module] = []
        for before in (in_channels, channels):
            parts += [nn.Conv2d(before, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()]
        super().__init__(*parts)


class UNet(nn.Module):
    """`depth` times down by half with twice the channels, and up again, each level seeing its like on the way down.

    Input (N, in_channels, H, W), output (N, num_classes, H, W) scores (logits) for every pixel. H and W are multiples
    of 2^depth.

    Args:
        in_channels: 3 for colour.
        num_classes: scores for each pixel.
        base: channels at the top; level l has base·2ˡ.
        depth: how often the size is halved.

    As in the paper, but with padding, so that the output is as large as the input, and batch normalisation. Source:
    Ronneberger, Fischer and Brox, "U-Net: convolutional networks for biomedical image segmentation", 2015.

    Raises ValueError for a depth below 1, ShapeError for sizes that cannot be halved `depth` times.

    >>> import chainrule
    >>> UNet(3, 2, base=4, depth=2)(chainrule.zeros(1, 3, 8, 12)).shape
    Size([1, 2, 8, 12])
    """

    def __init__(self, in_channels: int = 3, num_classes: int = 2, base: int = 16, depth: int = 3) -> None:
        super().__init__()
        if depth < 1:
            raise ValueError(f"the depth of a U-Net is at least 1, got {depth}.")
        self.in_channels, self.depth = in_channels, depth
        channels = [base * 2**level for level in range(depth + 1)]
        self.down = nn.ModuleList(
            [DoubleConv(a, b) for a, b in zip([in_channels, *channels[:-2]], channels[:-1], strict=True)]
        )
        self.pool = nn.MaxPool2d(2)
        self.bottom = DoubleConv(channels[-2], channels[-1])
        self.grow = nn.ModuleList([nn.ConvTranspose2d(2 * c, c, 2, stride=2) for c in reversed(channels[:-1])])
        self.up = nn.ModuleList([DoubleConv(2 * c, c) for c in reversed(channels[:-1])])
        self.head = nn.Conv2d(base, num_classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Scores for every pixel."""
        step = 2**self.depth
        if x.ndim != 4 or x.shape[1] != self.in_channels or x.shape[2] % step or x.shape[3] % step:
            raise ShapeError(
                f"with depth {self.depth} takes images (N, {self.in_channels}, H, W) with H and W multiples of "
                f"{step}, got {tuple(x.shape)}; pad or crop them."
            )
        seen = []
        for block in self.down:
            x = block(x)
            seen.append(x)
            x = self.pool(x)
        x = self.bottom(x)
        for grow, block in zip(self.grow, self.up, strict=True):
            x = block(cat([seen.pop(), grow(x)], 1))
        return self.head(x)


@register("unet", task="segmentation", data="masks", input=(3, 64, 64), paper="Ronneberger, Fischer and Brox 2015")
def unet(**options: Any) -> UNet:
    """A `UNet` with these options."""
    return UNet(**options)
