"""Augmentation by shifts alone; all else that changes images is in `chainrule.data.transforms`."""

from __future__ import annotations

from chainrule.data.transforms.geometry import crop
from chainrule.errors import ShapeError
from chainrule.functions.shape import cat
from chainrule.random import Generator, randint
from chainrule.tensor import Tensor


def random_shift(images: Tensor, pixels: int, generator: Generator | None = None) -> Tensor:
    """Each image moved by up to `pixels` in both directions; what comes in is the smallest value of the batch.

    images: (N, C, H, W); so is the result. For training data only. Raises ShapeError for anything else.

    >>> import chainrule
    >>> random_shift(chainrule.ones(4, 1, 8, 8), 2).shape
    Size([4, 1, 8, 8])
    """
    if images.ndim != 4:
        raise ShapeError(f"random_shift takes a batch of images (N, C, H, W), got {tuple(images.shape)}.")
    count, channels, height, width = images.shape
    lowest = images.min()
    beside = lowest.expand(count, channels, height, pixels)
    above = lowest.expand(count, channels, pixels, width + 2 * pixels)
    wider = cat([above, cat([beside, images, beside], 3), above], 2)
    down, right = (randint(0, 2 * pixels + 1, (count,), generator=generator) for _ in range(2))
    return crop(wider, down, right, height, width)
