"""Transforms that move pixels, and with them masks and keypoints: flips, crops, resizing, padding."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from chainrule.data.transforms import geometry
from chainrule.data.transforms.geometry import RESIZING, centre, margins, need_padding_mode, pair, resized_size
from chainrule.data.transforms.images import InterpolationMode, mode_name
from chainrule.data.transforms.sample import Sample
from chainrule.data.transforms.transform import PictureTransform, RandomTransform, Transform
from chainrule.errors import ShapeError
from chainrule.functions.logic import where
from chainrule.functions.pieces import stack
from chainrule.random import Generator, rand, randint
from chainrule.tensor import Tensor

BILINEAR = InterpolationMode.BILINEAR


class RandomHorizontalFlip(RandomTransform):
    """Left and right exchanged with probability p.

    >>> import chainrule
    >>> RandomHorizontalFlip(p=1.0)(chainrule.tensor([[[1, 2, 3]]]), chainrule.tensor([[0.0, 0.0]]))
    (tensor([[[3, 2, 1]]]), tensor([[2., 0.]]))
    """

    def change_images(self, images: Tensor, settings: Any) -> Tensor:
        """Mirrored."""
        return images.flip(-1)

    def change_mask(self, mask: Tensor, settings: Any) -> Tensor:
        """Mirrored."""
        return mask.flip(-1)

    def move_points(self, points: Tensor, settings: Any, size: tuple[int, int]) -> Tensor:
        """x becomes W − 1 − x."""
        return stack([size[1] - 1 - points[..., 0], points[..., 1]], -1)


class RandomVerticalFlip(RandomTransform):
    """Top and bottom exchanged with probability p.

    >>> import chainrule
    >>> RandomVerticalFlip(p=1.0)(chainrule.tensor([[[1], [2]]]))
    tensor([[[2],
             [1]]])
    """

    def change_images(self, images: Tensor, settings: Any) -> Tensor:
        """Upside down."""
        return images.flip(-2)

    def change_mask(self, mask: Tensor, settings: Any) -> Tensor:
        """Upside down."""
        return mask.flip(-2)

    def move_points(self, points: Tensor, settings: Any, size: tuple[int, int]) -> Tensor:
        """y becomes H − 1 − y."""
        return stack([points[..., 0], size[0] - 1 - points[..., 1]], -1)


def moved(points: Tensor, right: Any, down: Any) -> Tensor:
    """Points (N, K, 2) moved by numbers or tensors (N,)."""
    right, down = (v.reshape(-1, 1) if isinstance(v, Tensor) else v for v in (right, down))
    return stack([points[..., 0] + right, points[..., 1] + down], -1)


def stretched(points: Tensor, x: Any, y: Any) -> Tensor:
    """Points (N, K, 2) of an image that is resized by these factors: pixels are squares with the places as middles."""
    x, y = (v.reshape(-1, 1) if isinstance(v, Tensor) else v for v in (x, y))
    columns, rows = (points[..., 0] + 0.5) * x - 0.5, (points[..., 1] + 0.5) * y - 0.5
    return stack([columns, rows], -1).to(points.dtype)


class Pad(Transform):
    """Pixels added around; arguments as `functional.pad`. In masks 0 is added unless they are mirrored.

    >>> import chainrule
    >>> Pad((1, 0), fill=9)(chainrule.tensor([[[1, 2]]]))
    tensor([[[9, 1, 2, 9]]])
    """

    def __init__(self, padding: Any, fill: Any = 0, padding_mode: str = "constant") -> None:
        super().__init__()
        margins(padding)
        need_padding_mode(padding_mode)
        self.padding, self.fill, self.padding_mode = padding, fill, padding_mode

    def change_images(self, images: Tensor, settings: Any) -> Tensor:
        """Wider and higher."""
        return geometry.pad(images, self.padding, self.fill, self.padding_mode)

    def change_mask(self, mask: Tensor, settings: Any) -> Tensor:
        """Wider and higher."""
        return geometry.pad(mask, self.padding, 0, self.padding_mode)

    def move_points(self, points: Tensor, settings: Any, size: tuple[int, int]) -> Tensor:
        """To the right and down by what was added there."""
        left, top, _, _ = margins(self.padding)
        return moved(points, left, top)

    def extra_repr(self) -> str:
        """The settings."""
        return f"padding={self.padding}, fill={self.fill}, padding_mode={self.padding_mode}"


class CenterCrop(Transform):
    """The middle of the image, with zeros around where it is too small.

    >>> import chainrule
    >>> CenterCrop((1, 3))(chainrule.arange(5).reshape(1, 1, 5))
    tensor([[[1, 2, 3]]])
    """

    def __init__(self, size: Any) -> None:
        super().__init__()
        self.size = pair(size)

    def change_images(self, images: Tensor, settings: Any) -> Tensor:
        """The middle."""
        return geometry.center_crop(images, self.size)

    def change_mask(self, mask: Tensor, settings: Any) -> Tensor:
        """The middle."""
        return geometry.center_crop(mask, self.size)

    def move_points(self, points: Tensor, settings: Any, size: tuple[int, int]) -> Tensor:
        """Counted from the new corner."""
        top, left = centre(*size, *self.size)
        return moved(points, -left, -top)

    def extra_repr(self) -> str:
        """The size."""
        return f"size={self.size}"


class RandomCrop(Transform):
    """A part of `size` at a random place, every place as likely as the others.

    padding: what is added around before (as `Pad`, with `fill` and `padding_mode`). pad_if_needed: an image that is
    too small is padded on both sides by what it lacks. Raises ShapeError for an image that is too small.

    >>> import chainrule
    >>> RandomCrop(32, padding=4)(chainrule.zeros(128, 3, 32, 32)).shape
    Size([128, 3, 32, 32])
    """

    def __init__(
        self, size: Any, padding: Any = None, pad_if_needed: bool = False, fill: Any = 0,
        padding_mode: str = "constant", *, generator: Generator | None = None,
    ) -> None:  # fmt: skip
        super().__init__(generator)
        self.size = pair(size)
        if padding is not None:
            margins(padding)
        need_padding_mode(padding_mode)
        self.padding, self.pad_if_needed, self.fill, self.padding_mode = padding, pad_if_needed, fill, padding_mode

    def change(self, sample: Sample) -> Sample:
        """Padded first."""
        for padding in self._paddings(*tuple(sample.images.shape)[-2:]):
            sample = Pad(padding, self.fill, self.padding_mode).change(sample)
        return super().change(sample)

    def _paddings(self, h: int, w: int) -> list[Any]:
        """What is added, before and then for what is lacking."""
        paddings: list[Any] = [] if self.padding is None else [self.padding]
        if self.padding is not None:
            left, top, right, bottom = margins(self.padding)
            h, w = h + top + bottom, w + left + right
        if self.pad_if_needed:
            paddings += [(0, self.size[0] - h)] if h < self.size[0] else []
            paddings += [(self.size[1] - w, 0)] if w < self.size[1] else []
        return paddings

    def draw(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Where each part begins."""
        n, _, h, w = images.shape
        down, right = h - self.size[0], w - self.size[1]
        if down < 0 or right < 0:
            raise ShapeError(
                f"RandomCrop: {self.size[0]} × {self.size[1]} does not fit into {h} × {w}; give padding, or "
                "pad_if_needed=True."
            )
        return tuple(randint(0, most + 1, (n,), generator=self.generator) for most in (down, right))  # type: ignore[return-value]

    def change_images(self, images: Tensor, settings: tuple[Tensor, Tensor]) -> Tensor:
        """The parts."""
        return geometry.crop(images, *settings, *self.size)

    def change_mask(self, mask: Tensor, settings: tuple[Tensor, Tensor]) -> Tensor:
        """The parts."""
        return geometry.crop(mask, *settings, *self.size)

    def move_points(self, points: Tensor, settings: tuple[Tensor, Tensor], size: tuple[int, int]) -> Tensor:
        """Counted from the new corner."""
        return moved(points, -settings[1], -settings[0])

    def extra_repr(self) -> str:
        """The settings."""
        needed = f", pad_if_needed={self.pad_if_needed}" if self.pad_if_needed else ""
        return f"size={self.size}, padding={self.padding}{needed}"


class Resize(PictureTransform):
    """Another number of pixels; arguments as `functional.resize`. Masks keep their values (nearest pixel).

    >>> import chainrule
    >>> Resize(20)(chainrule.zeros(3, 40, 60)).shape
    Size([3, 20, 30])
    """

    def __init__(
        self, size: Any, interpolation: Any = BILINEAR, max_size: int | None = None, antialias: bool | None = True
    ) -> None:
        super().__init__()
        resized_size(8, 8, size, max_size)
        mode_name(interpolation, *RESIZING)
        self.size, self.interpolation, self.max_size, self.antialias = size, interpolation, max_size, antialias

    def change_images(self, images: Tensor, settings: Any) -> Tensor:
        """Resized."""
        return geometry.resize(images, self.size, self.interpolation, self.max_size, self.antialias)

    def change_mask(self, mask: Tensor, settings: Any) -> Tensor:
        """Resized by taking the nearest."""
        return geometry.resize(mask, self.size, "nearest-exact", self.max_size)

    def move_points(self, points: Tensor, settings: Any, size: tuple[int, int]) -> Tensor:
        """Stretched as the image is."""
        height, width = resized_size(*size, self.size, self.max_size)
        return stretched(points, width / size[1], height / size[0])

    def extra_repr(self) -> str:
        """The settings."""
        mode = mode_name(self.interpolation, *RESIZING)
        return f"size={self.size}, interpolation={mode}, max_size={self.max_size}, antialias={self.antialias}"


class RandomResizedCrop(Transform):
    """A part of random area and shape, resized to `size`: the augmentation of ImageNet.

    The area is uniform in `scale` (of the image's), width by height is log-uniform in `ratio`. Of ten such draws the
    first that fits is taken, at a random place; if none does, the middle with the ratio that comes nearest.
    Source: Szegedy et al., "Going deeper with convolutions", 2015.

    >>> import chainrule
    >>> RandomResizedCrop(8)(chainrule.zeros(5, 3, 20, 30)).shape
    Size([5, 3, 8, 8])
    """

    def __init__(
        self, size: Any, scale: Sequence[float] = (0.08, 1.0), ratio: Sequence[float] = (3 / 4, 4 / 3),
        interpolation: Any = BILINEAR, antialias: bool | None = True, *, generator: Generator | None = None,
    ) -> None:  # fmt: skip
        super().__init__(generator)
        self.size, self.scale, self.ratio = pair(size), _range(scale, "scale"), _range(ratio, "ratio")
        mode_name(interpolation, "nearest", "nearest-exact", "bilinear", "bicubic")
        self.interpolation, self.antialias = interpolation, antialias

    def draw(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Top, left, height and width of each part."""
        n, _, h, w = images.shape
        fits, height, width = draw_sizes(n, h, w, self.scale, self.ratio, self.generator)
        fallback_h, fallback_w = _middle_part(h, w, self.ratio)
        places = rand(2, n, dtype="float64", generator=self.generator)
        height, width = where(fits, height, fallback_h), where(fits, width, fallback_w)
        top = where(fits, (places[0] * (h - height + 1).double()).floor().long(), (h - fallback_h) // 2)
        left = where(fits, (places[1] * (w - width + 1).double()).floor().long(), (w - fallback_w) // 2)
        return top, left, height, width

    def change_images(self, images: Tensor, settings: Any) -> Tensor:
        """The parts, resized."""
        top, left, height, width = settings
        return geometry.resized_crop(images, top, left, height, width, self.size, self.interpolation, self.antialias)

    def change_mask(self, mask: Tensor, settings: Any) -> Tensor:
        """The parts, resized by taking the nearest."""
        top, left, height, width = settings
        return geometry.resized_crop(mask, top, left, height, width, self.size, "nearest-exact")

    def move_points(self, points: Tensor, settings: Any, size: tuple[int, int]) -> Tensor:
        """Counted from the new corner, then stretched."""
        top, left, height, width = settings
        inside = moved(points, -left, -top)
        return stretched(inside, self.size[1] / width.double(), self.size[0] / height.double())

    def extra_repr(self) -> str:
        """The settings."""
        mode = mode_name(self.interpolation, *RESIZING)
        scale, ratio = (tuple(round(v, 4) for v in pair) for pair in (self.scale, self.ratio))
        return f"size={self.size}, scale={scale}, ratio={ratio}, interpolation={mode}, antialias={self.antialias}"


def _range(values: Sequence[float], name: str) -> tuple[float, float]:
    if len(values) != 2 or not 0 < values[0] <= values[1]:
        raise ValueError(f"{name} is (smallest, largest), both above 0; got {values!r}.")
    return values[0], values[1]


def draw_sizes(
    n: int, h: int, w: int, scale: tuple[float, float], ratio: tuple[float, float], generator: Generator | None,
    strictly: bool = False, of_width: bool = True,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """For each of n images whether one of ten rectangles fits, and the height and width of the first that does.

    The area is uniform in `scale` times h·w; the ratio, width by height (or its inverse), log-uniform.
    """
    first, second = rand(2, n, 10, dtype="float64", generator=generator).unbind(0)
    area = (first * (scale[1] - scale[0]) + scale[0]) * (h * w)
    low, high = math.log(ratio[0]), math.log(ratio[1])
    shape = (second * (high - low) + low).exp()
    shape = shape if of_width else 1 / shape
    widths, heights = (area * shape).sqrt().round(), (area / shape).sqrt().round()
    fit = (widths < w) & (heights < h) if strictly else (widths <= w) & (heights <= h)
    fit = fit & (widths >= 1) & (heights >= 1)
    which = fit.long().argmax(1, keepdim=True)
    taken = [x.gather(1, which).squeeze(1).long() for x in (heights, widths)]
    return fit.any(1), taken[0], taken[1]


def _middle_part(h: int, w: int, ratio: tuple[float, float]) -> tuple[int, int]:
    if w / h < ratio[0]:
        return min(round(w / ratio[0]), h), w
    if w / h > ratio[1]:
        return h, min(round(h * ratio[1]), w)
    return h, w


class FiveCrop(Transform):
    """Four corners and the middle, as a tuple of five; see `functional.five_crop`. For testing; takes no labels.

    >>> import chainrule
    >>> len(FiveCrop(4)(chainrule.zeros(1, 8, 8)))
    5
    """

    def __init__(self, size: Any) -> None:
        super().__init__()
        self.size = pair(size)

    def forward(self, *inputs: Any) -> Any:
        """The five parts, each in the form of the input."""
        (image,) = inputs
        return geometry.five_crop(image, self.size)

    def extra_repr(self) -> str:
        """The size."""
        return f"size={self.size}"


class TenCrop(FiveCrop):
    """`FiveCrop` of the image and of its mirror image.

    >>> import chainrule
    >>> len(TenCrop(4)(chainrule.zeros(1, 8, 8)))
    10
    """

    def __init__(self, size: Any, vertical_flip: bool = False) -> None:
        super().__init__(size)
        self.vertical_flip = vertical_flip

    def forward(self, *inputs: Any) -> Any:
        """The ten parts."""
        (image,) = inputs
        return geometry.ten_crop(image, self.size, self.vertical_flip)

    def extra_repr(self) -> str:
        """The settings."""
        return f"size={self.size}, vertical_flip={self.vertical_flip}"


__all__ = [
    "CenterCrop",
    "FiveCrop",
    "Pad",
    "RandomCrop",
    "RandomHorizontalFlip",
    "RandomResizedCrop",
    "RandomVerticalFlip",
    "Resize",
    "TenCrop",
]
