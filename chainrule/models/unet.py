"""U-Net: down to few pixels and up again, with shortcuts across, for a decision about every pixel.

What was new: the shortcuts. What is seen far down is coarse in place and rich in meaning; what was seen at the same
height on the way down is fine. Both together draw exact borders.

    image ── two convolutions ───────────────────── join ── two convolutions ── 1×1 ── scores for every pixel
                   │ halved                           ▲ doubled
                   └── two convolutions ───── join ── two convolutions
                             │ halved          ▲ doubled
                             └── two convolutions

Joining is putting the channels together (the paper's), or addition, which is cheaper. For making the image itself again
the shortcuts make it too easy: the network copies it, and what is far down learns nothing. An autoencoder has none.

Source: Ronneberger, Fischer and Brox, "U-Net: convolutional networks for biomedical image segmentation", 2015.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chainrule import nn
from chainrule.functions.pieces import cat
from chainrule.models.images import check_images
from chainrule.models.registry import register
from chainrule.tensor import Tensor

JOINS = ("concatenate", "add")


class DoubleConv(nn.Sequential):
    """Twice (3×3 convolution, batch normalisation, ReLU). Input (N, in_channels, H, W), output (N, channels, H, W).

    Without the normalisation the convolutions have biases.

    >>> import chainrule
    >>> DoubleConv(3, 8)(chainrule.zeros(1, 3, 4, 4)).shape
    Size([1, 8, 4, 4])
    """

    def __init__(self, in_channels: int, channels: int, norm: bool = True) -> None:
        parts: list[nn.Module] = []
        for before in (in_channels, channels):
            parts.append(nn.Conv2d(before, channels, 3, padding=1, bias=not norm))
            parts += [nn.BatchNorm2d(channels), nn.ReLU()] if norm else [nn.ReLU()]
        super().__init__(*parts)


class UNet(nn.Module):
    """`depth` times down by half with twice the channels, and up again, each level seeing its like on the way down.

    Input (N, in_channels, H, W), output (N, num_classes, H, W) scores (logits) for every pixel. H and W are at least
    2^depth; where a size is odd, what comes up is made as large as what it joins.

    Args:
        in_channels: 3 for colour.
        num_classes: scores for each pixel.
        base: channels at the top; level l has base·2ˡ.
        depth: how often the size is halved.
        norm: whether convolutions are followed by batch normalisation.
        join: "concatenate" or "add".

    As in the paper, but with padding, so that the output is as large as the input. With one input channel, two classes,
    base 64, depth 4 and no normalisation it has 31,030,658 parameters.

    Source: Ronneberger, Fischer and Brox 2015.

    Raises ValueError for a depth below 1 and an unknown join, ShapeError for images that are too small.

    >>> import chainrule
    >>> UNet(3, 2, base=4, depth=2)(chainrule.zeros(1, 3, 9, 14)).shape
    Size([1, 2, 9, 14])
    """

    def __init__(
        self,
        in_channels: int = 3,
        num_classes: int = 2,
        base: int = 16,
        depth: int = 3,
        norm: bool = True,
        join: str = "concatenate",
    ) -> None:
        super().__init__()
        if depth < 1:
            raise ValueError(f"the depth of a U-Net is at least 1, got {depth}.")
        if join not in JOINS:
            raise ValueError(f"levels are joined by {' or '.join(map(repr, JOINS))}, got {join!r}.")
        self.in_channels, self.depth, self.join = in_channels, depth, join
        channels = [base * 2**level for level in range(depth + 1)]
        joined = 2 if join == "concatenate" else 1
        self.down = nn.ModuleList(
            [DoubleConv(a, b, norm) for a, b in zip([in_channels, *channels[:-2]], channels[:-1], strict=True)]
        )
        self.pool = nn.MaxPool2d(2)
        self.bottom = DoubleConv(channels[-2], channels[-1], norm)
        self.grow = nn.ModuleList([nn.ConvTranspose2d(2 * c, c, 2, stride=2) for c in reversed(channels[:-1])])
        self.up = nn.ModuleList([DoubleConv(joined * c, c, norm) for c in reversed(channels[:-1])])
        self.head = nn.Conv2d(base, num_classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Scores for every pixel."""
        check_images(x, self.in_channels, 2**self.depth)
        seen = []
        for block in self.down:
            x = block(x)
            seen.append(x)
            x = self.pool(x)
        x = self.bottom(x)
        for grow, block in zip(self.grow, self.up, strict=True):
            fine = seen.pop()
            coarse = grow(x, output_size=fine.shape[2:])
            x = block(cat([fine, coarse], 1) if self.join == "concatenate" else fine + coarse)
        return self.head(x)


def _fit(shape: Sequence[int], outputs: int) -> dict[str, Any]:
    return {"in_channels": shape[0], "num_classes": outputs}


@register("unet", task="segmentation", data="masks", input=(3, 64, 64), paper="Ronneberger, Fischer and Brox 2015")
def unet(**options: Any) -> UNet:
    """A `UNet` with these options."""
    return UNet(**options)


@register(
    "unet_regression",
    task="regression of pixels",
    data="targets",
    input=(3, 64, 64),
    paper="Ronneberger, Fischer and Brox 2015",
    fit=_fit,
)
def unet_regression(in_channels: int = 3, num_classes: int = 1, **options: Any) -> UNet:
    """A `UNet` whose outputs are numbers for every pixel, such as depths: `num_classes` of them."""
    return UNet(in_channels, num_classes, **options)
