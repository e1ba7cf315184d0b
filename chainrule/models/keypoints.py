"""Keypoint regression: an image to the places of points in it, the corners of a mouth or the ends of a stroke.

    image ── (convolution 3×3, batch normalisation, ReLU, halved)ⁿ ── linear ── ReLU ── linear ── (points, 2)

The last layers are linear on the whole map, and not on its mean: where something is, is what is asked. The places are
(x, y) from −1 at the left and upper border to 1 at the right and lower one, so that the numbers do not depend on the
size of the image; `to_pixels` and `from_pixels` convert.

Source: the usual pattern; Sun, Wang and Tang, "Deep convolutional network cascade for facial point detection", 2013.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chainrule import nn
from chainrule.errors import ShapeError
from chainrule.models.images import check_images
from chainrule.models.registry import register
from chainrule.tensor import Tensor


def to_pixels(points: Tensor, height: int, width: int) -> Tensor:
    """From −1 … 1 to pixels: the middle of the first pixel is 0. points: (…, 2), x before y.

    >>> import chainrule
    >>> to_pixels(chainrule.tensor([-1.0, 1.0]), 10, 20)
    tensor([-0.5000,  9.5000])
    """
    sizes = points.new_tensor([width, height])
    return (points + 1) / 2 * sizes - 0.5


def from_pixels(points: Tensor, height: int, width: int) -> Tensor:
    """The inverse of `to_pixels`.

    >>> import chainrule
    >>> from_pixels(chainrule.tensor([9.5, 4.5]), 10, 20)
    tensor([0., 0.])
    """
    sizes = points.new_tensor([width, height])
    return (points + 0.5) / sizes * 2 - 1


class KeypointNet(nn.Module):
    """Input (N, in_channels, image_size, image_size), output (N, points, 2): places from −1 to 1, x before y.

    Args:
        points: how many.
        in_channels: 1 for grey images, 3 for colour.
        image_size: the extent of the square images.
        channels: of the convolutions, each of which halves the size.
        hidden: units of the linear layer before the last.

    Raises ShapeError for images that cannot be halved so often.

    >>> import chainrule
    >>> KeypointNet(points=4, image_size=32)(chainrule.zeros(2, 1, 32, 32)).shape
    Size([2, 4, 2])
    """

    def __init__(
        self,
        points: int = 4,
        in_channels: int = 1,
        image_size: int = 32,
        channels: Sequence[int] = (16, 32, 64),
        hidden: int = 128,
    ) -> None:
        super().__init__()
        side = image_size // 2 ** len(channels)
        if side < 1:
            raise ShapeError(f"images of {image_size}×{image_size} cannot be halved {len(channels)} times.")
        self.in_channels, self.image_size = in_channels, image_size
        parts: list[nn.Module] = []
        for before, after in zip([in_channels, *channels], channels):
            parts += [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
            parts.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*parts)
        self.regressor = nn.Sequential(
            nn.Flatten(), nn.Linear(channels[-1] * side**2, hidden), nn.ReLU(), nn.Linear(hidden, 2 * points),
            nn.Unflatten(1, (points, 2)),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Places in a batch of images."""
        check_images(x, self.in_channels, exactly=self.image_size)
        return self.regressor(self.features(x))


def _fit(shape: Sequence[int], outputs: int) -> dict[str, Any]:
    return {"points": outputs, "in_channels": shape[0], "image_size": shape[-1]}


@register("keypoints", task="keypoints", data="points", input=(1, 32, 32), paper="Sun, Wang and Tang 2013", fit=_fit)
def keypoints(**options: Any) -> KeypointNet:
    """A `KeypointNet` with these options."""
    return KeypointNet(**options)
