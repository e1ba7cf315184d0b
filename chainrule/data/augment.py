"""Augmentation: new training images from old ones, by changes that leave the label true."""

from __future__ import annotations

from chainrule.errors import ShapeError
from chainrule.functions.creation import arange
from chainrule.functions.logic import where
from chainrule.functions.shape import pad
from chainrule.random import Generator, rand, randint
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
    count, _, height, width = images.shape
    wider = pad(images, (pixels,) * 4, value=float(images.min().item()))
    down, right = (randint(0, 2 * pixels + 1, (count, 1), generator=generator) for _ in range(2))
    rows, columns = (arange(height) + down).unsqueeze(2), (arange(width) + right).unsqueeze(1)
    return wider[arange(count).reshape(-1, 1, 1), :, rows, columns].permute(0, 3, 1, 2)


def random_flip(images: Tensor, generator: Generator | None = None) -> Tensor:
    """Each image turned left to right or not, with equal chances. images: (N, C, H, W); so is the result.

    >>> import chainrule
    >>> random_flip(chainrule.ones(4, 1, 8, 8)).shape
    Size([4, 1, 8, 8])
    """
    if images.ndim != 4:
        raise ShapeError(f"random_flip takes a batch of images (N, C, H, W), got {tuple(images.shape)}.")
    return where(rand(len(images), 1, 1, 1, generator=generator) < 0.5, images.flip(3), images)
