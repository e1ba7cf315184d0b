"""The base of all transforms: random settings for each image, and one change of images, masks and keypoints by them."""

from __future__ import annotations

from typing import Any

from chainrule.data.transforms.images import is_picture, per_image
from chainrule.data.transforms.sample import Sample, opened
from chainrule.errors import ShapeError
from chainrule.functions.logic import where
from chainrule.nn.module import Module
from chainrule.random import Generator, rand
from chainrule.tensor import Tensor


class Transform(Module):
    """A change of images, and of labels with them. A subclass says what is random and what is done with it.

    A transform takes an image (C, H, W), a batch (N, C, H, W) of which every image gets random settings of its own, or
    a picture of Pillow's; or that with labels, as several arguments, a tuple or a dictionary: masks with the height
    and width of the image ((H, W) or (M, H, W), with N in front for a batch), keypoints (K, 2) or (N, K, 2), pairs
    (x, y) in pixels, where the middle of the first pixel is (0, 0). In a dictionary they are found by their names
    `image`, `mask`, `keypoints`, and `boxes` (edges: left, top, right, bottom); elsewhere by their shapes. All else
    is handed through. Keypoints may leave the image; boxes end at its border.

    generator: where the random numbers come from; chainrule's own unless given.

    >>> import chainrule
    >>> class Negative(Transform):
    ...     def change_images(self, images, settings):
    ...         return -images
    >>> Negative()(chainrule.ones(1, 1, 2), 7)
    (tensor([[[-1., -1.]]]), 7)
    """

    def __init__(self, generator: Generator | None = None) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, *inputs: Any) -> Any:
        """The changed sample, in the form in which it came."""
        sample, put_back = opened(inputs[0] if len(inputs) == 1 else inputs)
        return put_back(self.change(sample))

    def change(self, sample: Sample) -> Sample:
        """All parts of a sample changed by the same settings."""
        settings = self.draw(sample.images)
        height, width = tuple(sample.images.shape)[-2:]
        return Sample(
            self.change_images(sample.images, settings),
            tuple(self.change_mask(mask, settings) for mask in sample.masks),
            tuple(self.move_points(points, settings, (height, width)) for points in sample.points),
            sample.single,
        )

    def draw(self, images: Tensor) -> Any:
        """The random settings of a batch (N, C, H, W)."""
        return None

    def change_images(self, images: Tensor, settings: Any) -> Tensor:
        """The images (N, C, H, W) changed."""
        raise NotImplementedError(f"{type(self).__name__} has no change_images.")

    def change_mask(self, mask: Tensor, settings: Any) -> Tensor:
        """A mask (N, M, H, W) changed; colours do nothing to it."""
        return mask

    def move_points(self, points: Tensor, settings: Any, size: tuple[int, int]) -> Tensor:
        """Where points (N, K, 2) of images of this size come to be; colours do not move them."""
        return points

    def uniform(self, count: int, low: float, high: float) -> Tensor:
        """(count,), float64: numbers between low and high."""
        return rand(count, dtype="float64", generator=self.generator) * (high - low) + low


class PictureTransform(Transform):
    """A transform that has a way of its own with pictures: one that comes alone is changed by Pillow itself.

    `change_images` takes such a picture too.
    """

    def forward(self, *inputs: Any) -> Any:
        """The changed sample, in the form in which it came."""
        if len(inputs) == 1 and is_picture(inputs[0]):
            return self.change_images(inputs[0], None)
        return super().forward(*inputs)


class RandomTransform(Transform):
    """A transform that is done to each image with probability p."""

    def __init__(self, p: float = 0.5, generator: Generator | None = None) -> None:
        super().__init__(generator)
        self.p = probability(p)

    def change(self, sample: Sample) -> Sample:
        """Those images changed, and their labels, that chance decides for."""
        if self.p == 0:
            return sample
        flags = rand(sample.images.shape[0], generator=self.generator) < self.p
        changed = super().change(sample)
        return changed if self.p == 1 else chosen(flags, changed, sample, self)

    def extra_repr(self) -> str:
        """The probability."""
        return f"p={self.p}"


def probability(p: float) -> float:
    """p itself, if it is one; ValueError else."""
    if isinstance(p, Tensor) or not 0 <= p <= 1:
        raise ValueError(f"p is a probability, a number from 0 to 1, got {p}.")
    return p


def chosen(flags: Tensor, yes: Sample, no: Sample, who: Any) -> Sample:
    """For each image, with its labels, one of two samples."""
    if tuple(yes.images.shape) != tuple(no.images.shape):
        raise ShapeError(
            f"{type(who).__name__}: the images of a batch have one size, but some would have "
            f"{tuple(yes.images.shape)[1:]} and some {tuple(no.images.shape)[1:]}; use what keeps the size."
        )

    def choose(a: Tensor, b: Tensor) -> Tensor:
        return a if a is b else where(per_image(flags, a.ndim), a, b)

    return Sample(
        choose(yes.images, no.images),
        tuple(map(choose, yes.masks, no.masks)),
        tuple(map(choose, yes.points, no.points)),
        no.single,
    )
