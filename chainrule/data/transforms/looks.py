"""Transforms that change what pixels look like, and nothing in masks and keypoints: colours, blur, noise, holes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chainrule.data.transforms import color, conversion, filters
from chainrule.data.transforms.color import blend, luma, turn_hue
from chainrule.data.transforms.images import on_unit_range
from chainrule.data.transforms.moves import draw_sizes
from chainrule.data.transforms.transform import PictureTransform, RandomTransform, Transform
from chainrule.errors import DTypeError, ShapeError
from chainrule.functions.creation import full, tensor
from chainrule.functions.logic import where
from chainrule.random import Generator, rand, randn
from chainrule.tensor import Tensor


class ColorJitter(Transform):
    """Brightness, contrast, saturation and hue changed by random factors, in random order.

    brightness, contrast, saturation: factors between 1 − value (at least 0) and 1 + value, or (low, high). hue: turns
    of the colour circle, up to ± value (at most ½), or (low, high). Each image has its own factors and its own order.

    >>> import chainrule
    >>> ColorJitter(0.4, 0.4, 0.4, 0.1)(chainrule.rand(4, 3, 8, 8)).shape
    Size([4, 3, 8, 8])
    """

    def __init__(
        self, brightness: Any = 0, contrast: Any = 0, saturation: Any = 0, hue: Any = 0, *,
        generator: Generator | None = None,
    ) -> None:  # fmt: skip
        super().__init__(generator)
        self.brightness = _factors(brightness, "brightness", 1.0, 0.0, float("inf"))
        self.contrast = _factors(contrast, "contrast", 1.0, 0.0, float("inf"))
        self.saturation = _factors(saturation, "saturation", 1.0, 0.0, float("inf"))
        self.hue = _factors(hue, "hue", 0.0, -0.5, 0.5)

    def draw(self, images: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """The factors (N,) of what is changed, and at which turn each is changed (N, how many)."""
        n = images.shape[0]
        ranges = {name: getattr(self, name) for name in ("brightness", "contrast", "saturation", "hue")}
        factors = {name: self.uniform(n, *range_) for name, range_ in ranges.items() if range_ is not None}
        turns = rand(n, len(factors), generator=self.generator).argsort(-1).argsort(-1)
        return factors, turns

    def change_images(self, images: Tensor, settings: tuple[dict[str, Tensor], Tensor]) -> Tensor:
        """One thing after the other."""
        factors, turns = settings
        if images.shape[1] == 1:
            kept = [i for i, name in enumerate(factors) if name in ("brightness", "contrast")]
            factors = {name: x for name, x in factors.items() if name in ("brightness", "contrast")}
            turns = turns[:, kept] if kept else turns
        if not factors:
            return images
        return on_unit_range(images, lambda x: _jittered(x, factors, turns))

    def extra_repr(self) -> str:
        """The ranges."""
        return f"brightness={self.brightness}, contrast={self.contrast}, saturation={self.saturation}, hue={self.hue}"


def _factors(value: Any, name: str, middle: float, low: float, high: float) -> tuple[float, float] | None:
    """The range of a factor; None if it changes nothing."""
    if isinstance(value, (int, float)):
        if value < 0:
            raise ValueError(f"{name} is at least 0, got {value}.")
        range_ = (max(middle - value, low), middle + value) if middle else (-float(value), float(value))
    else:
        range_ = (float(value[0]), float(value[1])) if len(value) == 2 else (1.0, 0.0)
    if not low <= range_[0] <= range_[1] <= high:
        raise ValueError(f"{name} must lie in [{low}, {high}], as one number or (low, high); got {value!r}.")
    return None if range_ == (middle, middle) else (float(range_[0]), float(range_[1]))


def _jittered(x: Tensor, factors: dict[str, Tensor], turns: Tensor) -> Tensor:
    """What comes before the hue, the hue, what comes after.

    The other three are mixtures of the image with black, its mean grey or its own grey. So one mixture serves for
    whichever has its turn in an image; and the hue, which costs most, is computed once.
    """
    names = list(factors)
    if "hue" not in factors:
        for turn in range(len(names)):
            x = _mixed(x, factors, turns == turn)
        return x
    hue = turns[:, names.index("hue")].unsqueeze(1)
    for turn in range(len(names) - 1):
        x = _mixed(x, factors, (turns == turn) & (turns < hue))
    x = turn_hue(x, factors["hue"])
    for turn in range(1, len(names)):
        x = _mixed(x, factors, (turns == turn) & (turns > hue))
    return x


def _mixed(x: Tensor, factors: dict[str, Tensor], whose: Tensor) -> Tensor:
    """Each image changed by the one of the factors whose turn it is (N, how many), if it is that of any."""
    grey = luma(x) if "saturation" in factors or "contrast" in factors else None
    other: Any = 0.0
    ratio: Any = 1.0
    for i, (name, factor) in enumerate(factors.items()):
        if name == "hue":
            continue
        now = whose[:, i].reshape(-1, 1, 1, 1)
        ratio = where(now, factor.to(x.dtype).reshape(-1, 1, 1, 1), ratio)
        if name != "brightness":
            assert grey is not None
            other = where(now, grey if name == "saturation" else grey.mean((-3, -2, -1), keepdim=True), other)
    return blend(x, other, ratio)  # with ratio 1 where none has its turn


class Grayscale(PictureTransform):
    """Grey, in 1 or in 3 equal channels; see `functional.rgb_to_grayscale`.

    >>> import chainrule
    >>> Grayscale()(chainrule.zeros(3, 4, 4)).shape
    Size([1, 4, 4])
    """

    def __init__(self, num_output_channels: int = 1) -> None:
        super().__init__()
        if num_output_channels not in (1, 3):
            raise ValueError(f"num_output_channels is 1 or 3, got {num_output_channels}.")
        self.num_output_channels = num_output_channels

    def change_images(self, images: Tensor, settings: Any) -> Tensor:
        """Grey."""
        return color.rgb_to_grayscale(images, self.num_output_channels)

    def extra_repr(self) -> str:
        """The channels."""
        return f"num_output_channels={self.num_output_channels}"


class RandomGrayscale(RandomTransform):
    """Grey with probability p, with as many channels as before.

    >>> import chainrule
    >>> RandomGrayscale(p=1.0)(chainrule.tensor([1.0, 0.0, 0.0]).reshape(3, 1, 1)).flatten()
    tensor([0.2989, 0.2989, 0.2989])
    """

    def __init__(self, p: float = 0.1, *, generator: Generator | None = None) -> None:
        super().__init__(p, generator)

    def change_images(self, images: Tensor, settings: Any) -> Tensor:
        """Grey."""
        return color.rgb_to_grayscale(images, images.shape[1])


class RandomInvert(RandomTransform):
    """The negative, with probability p.

    >>> import chainrule
    >>> RandomInvert(p=1.0)(chainrule.tensor([[[0.25]]]))
    tensor([[[0.7500]]])
    """

    def change_images(self, images: Tensor, settings: Any) -> Tensor:
        """The negative."""
        return color.invert(images)


class RandomAutocontrast(RandomTransform):
    """Each channel stretched over the whole range, with probability p.

    >>> import chainrule
    >>> RandomAutocontrast(p=1.0)(chainrule.tensor([[[0.25, 0.5]]]))
    tensor([[[0., 1.]]])
    """

    def change_images(self, images: Tensor, settings: Any) -> Tensor:
        """Stretched."""
        return color.autocontrast(images)


class RandomEqualize(RandomTransform):
    """All levels made about equally frequent, with probability p; see `functional.equalize`.

    >>> import chainrule
    >>> RandomEqualize(p=1.0)(chainrule.zeros(3, 8, 8)).shape
    Size([3, 8, 8])
    """

    def change_images(self, images: Tensor, settings: Any) -> Tensor:
        """Spread."""
        return color.equalize(images)


class RandomSolarize(RandomTransform):
    """The negative of what is bright, with probability p; see `functional.solarize`.

    >>> import chainrule
    >>> RandomSolarize(0.5, p=1.0)(chainrule.tensor([[[0.25, 0.75]]]))
    tensor([[[0.2500, 0.2500]]])
    """

    def __init__(self, threshold: float, p: float = 0.5, *, generator: Generator | None = None) -> None:
        super().__init__(p, generator)
        self.threshold = threshold

    def change_images(self, images: Tensor, settings: Any) -> Tensor:
        """Partly the negative."""
        return color.solarize(images, self.threshold)

    def extra_repr(self) -> str:
        """The settings."""
        return f"threshold={self.threshold}, p={self.p}"


class RandomPosterize(RandomTransform):
    """Fewer levels, with probability p; see `functional.posterize`.

    >>> import chainrule
    >>> RandomPosterize(1, p=1.0)(chainrule.tensor([[[100, 200]]], dtype=chainrule.uint8))
    tensor([[[  0, 128]]], dtype=chainrule.uint8)
    """

    def __init__(self, bits: int, p: float = 0.5, *, generator: Generator | None = None) -> None:
        super().__init__(p, generator)
        if bits not in range(9):
            raise ValueError(f"bits is a whole number from 0 to 8, got {bits!r}.")
        self.bits = bits

    def change_images(self, images: Tensor, settings: Any) -> Tensor:
        """In steps."""
        return color.posterize(images, self.bits)

    def extra_repr(self) -> str:
        """The settings."""
        return f"bits={self.bits}, p={self.p}"


class RandomAdjustSharpness(RandomTransform):
    """Sharper or softer by a fixed factor, with probability p; see `functional.adjust_sharpness`.

    >>> import chainrule
    >>> RandomAdjustSharpness(2, p=1.0)(chainrule.ones(1, 4, 4)).mean()
    tensor(1.)
    """

    def __init__(self, sharpness_factor: float, p: float = 0.5, *, generator: Generator | None = None) -> None:
        super().__init__(p, generator)
        if sharpness_factor < 0:
            raise ValueError(f"sharpness_factor is at least 0, got {sharpness_factor}.")
        self.sharpness_factor = sharpness_factor

    def change_images(self, images: Tensor, settings: Any) -> Tensor:
        """Sharper."""
        return color.adjust_sharpness(images, self.sharpness_factor)

    def extra_repr(self) -> str:
        """The settings."""
        return f"sharpness_factor={self.sharpness_factor}, p={self.p}"


class GaussianBlur(Transform):
    """Smoothed by a Gaussian of random width; see `functional.gaussian_blur`.

    kernel_size: an odd number, or two. sigma: a number, or (low, high) of which one is drawn for each image.

    >>> import chainrule
    >>> GaussianBlur(5)(chainrule.zeros(4, 3, 8, 8)).shape
    Size([4, 3, 8, 8])
    """

    def __init__(self, kernel_size: Any, sigma: Any = (0.1, 2.0), *, generator: Generator | None = None) -> None:
        super().__init__(generator)
        sizes = (kernel_size, kernel_size) if isinstance(kernel_size, int) else tuple(kernel_size)
        if len(sizes) != 2 or any(k < 1 or k % 2 == 0 for k in sizes):
            raise ValueError(f"kernel_size is an odd number of pixels or two of them, got {kernel_size!r}.")
        low, high = (sigma, sigma) if isinstance(sigma, (int, float)) else sigma
        if not 0 < low <= high:
            raise ValueError(f"sigma is a number above 0 or (low, high); got {sigma!r}.")
        self.kernel_size, self.sigma = sizes, (float(low), float(high))

    def draw(self, images: Tensor) -> Tensor:
        """Sigma of each image."""
        return self.uniform(images.shape[0], *self.sigma)

    def change_images(self, images: Tensor, settings: Tensor) -> Tensor:
        """Smoothed."""
        return filters.gaussian_blur(images, self.kernel_size, settings)

    def extra_repr(self) -> str:
        """The settings."""
        return f"kernel_size={self.kernel_size}, sigma={self.sigma}"


class GaussianNoise(Transform):
    """Independent normal noise on every entry; see `functional.gaussian_noise`.

    >>> import chainrule
    >>> GaussianNoise(sigma=0.05)(chainrule.zeros(4, 3, 8, 8)).shape
    Size([4, 3, 8, 8])
    """

    def __init__(
        self, mean: float = 0.0, sigma: float = 0.1, clip: bool = True, *, generator: Generator | None = None
    ) -> None:
        super().__init__(generator)
        if sigma < 0:
            raise ValueError(f"sigma is at least 0, got {sigma}.")
        self.mean, self.sigma, self.clip = mean, sigma, clip

    def change_images(self, images: Tensor, settings: Any) -> Tensor:
        """Noisy."""
        return conversion.gaussian_noise(images, self.mean, self.sigma, self.clip, self.generator)

    def extra_repr(self) -> str:
        """The settings."""
        return f"mean={self.mean}, sigma={self.sigma}, clip={self.clip}"


class RandomErasing(RandomTransform):
    """With probability p a random rectangle of the image replaced.

    scale: its area as a part of the image's, uniform in between. ratio: height by width, log-uniform. value: a number,
    one for each channel, or "random" (normal numbers). Of ten draws the first that fits is taken, if any.
    Source: Zhong et al., "Random erasing data augmentation", 2020.

    >>> import chainrule
    >>> x = RandomErasing(p=1.0, scale=(0.25, 0.25), ratio=(1.0, 1.0))(chainrule.ones(1, 8, 8))
    >>> x.sum()
    tensor(48.)
    """

    def __init__(
        self, p: float = 0.5, scale: Sequence[float] = (0.02, 0.33), ratio: Sequence[float] = (0.3, 3.3),
        value: Any = 0, inplace: bool = False, *, generator: Generator | None = None,
    ) -> None:  # fmt: skip
        super().__init__(p, generator)
        if len(scale) != 2 or not 0 <= scale[0] <= scale[1] <= 1:
            raise ValueError(f"scale is (smallest, largest) part of the area, from 0 to 1; got {scale!r}.")
        if len(ratio) != 2 or not 0 < ratio[0] <= ratio[1]:
            raise ValueError(f"ratio is (smallest, largest), both above 0; got {ratio!r}.")
        if isinstance(value, str) and value != "random":
            raise ValueError(f"value is a number, one for each channel, or 'random'; got {value!r}.")
        self.scale, self.ratio, self.value, self.inplace = tuple(scale), tuple(ratio), value, inplace

    def draw(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Row, column, height and width of each hole; a height of 0 where nothing fits."""
        n, _, h, w = images.shape
        low, high = self.ratio
        fits, height, width = draw_sizes(n, h, w, self.scale, (low, high), self.generator, True, False)  # type: ignore[arg-type]
        places = rand(2, n, dtype="float64", generator=self.generator)
        height = where(fits, height, 0)
        row = (places[0] * (h - height + 1).double()).floor().long()
        column = (places[1] * (w - width + 1).double()).floor().long()
        return row, column, height, width

    def change_images(self, images: Tensor, settings: tuple[Tensor, Tensor, Tensor, Tensor]) -> Tensor:
        """With holes."""
        return color.erase(images, *settings, self._new(images))

    def _new(self, images: Tensor) -> Tensor:
        if self.value == "random":
            if not images.dtype.is_floating_point:
                raise DTypeError(f"RandomErasing(value='random') takes floating-point images, got {images.dtype}.")
            return randn(tuple(images.shape), dtype=images.dtype, generator=self.generator)
        if isinstance(self.value, (int, float)):
            return full((), self.value, dtype=images.dtype)
        if len(self.value) not in (1, images.shape[1]):
            raise ShapeError(f"RandomErasing: {len(self.value)} values for {images.shape[1]} channels.")
        return tensor(list(self.value), dtype=images.dtype).reshape(-1, 1, 1)

    def forward(self, *inputs: Any) -> Any:
        """With holes; in place if so set, for a single tensor."""
        result = super().forward(*inputs)
        if self.inplace and isinstance(inputs[0], Tensor) and isinstance(result, Tensor):
            return inputs[0].copy_(result)
        return result

    def extra_repr(self) -> str:
        """The settings."""
        return f"p={self.p}, scale={self.scale}, ratio={self.ratio}, value={self.value}, inplace={self.inplace}"


class Normalize(Transform):
    """(x − mean)/std, channel by channel; see `functional.normalize`. The statistics are those of the training split.

    >>> import chainrule
    >>> Normalize([0.5], [0.5])(chainrule.tensor([[[0.0, 1.0]]]))
    tensor([[[-1.,  1.]]])
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], inplace: bool = False) -> None:
        super().__init__()
        self.mean, self.std, self.inplace = mean, std, inplace

    def change_images(self, images: Tensor, settings: Any) -> Tensor:
        """Normalised."""
        return conversion.normalize(images, self.mean, self.std, self.inplace)

    def extra_repr(self) -> str:
        """The settings."""
        return f"mean={self.mean}, std={self.std}"


class LinearTransformation(Transform):
    """Each image as a vector, less a mean, times a matrix: whitening, for instance.

    transformation_matrix: (D, D), mean_vector: (D,), with D = C·H·W. The result is (x − mean)·matrix.

    >>> import chainrule
    >>> LinearTransformation(2 * chainrule.eye(2), chainrule.ones(2))(chainrule.tensor([[[1.0, 2.0]]]))
    tensor([[[0., 2.]]])
    """

    def __init__(self, transformation_matrix: Tensor, mean_vector: Tensor) -> None:
        super().__init__()
        d = mean_vector.shape[0]
        if tuple(transformation_matrix.shape) != (d, d):
            raise ShapeError(f"a mean of {d} numbers goes with a matrix {d} × {d}, got {transformation_matrix.shape}.")
        self.transformation_matrix, self.mean_vector = transformation_matrix, mean_vector

    def change_images(self, images: Tensor, settings: Any) -> Tensor:
        """Multiplied."""
        flat = images.reshape(images.shape[0], -1)
        if flat.shape[1] != self.mean_vector.shape[0]:
            raise ShapeError(f"images of {flat.shape[1]} numbers for a matrix of {self.mean_vector.shape[0]}.")
        return ((flat - self.mean_vector) @ self.transformation_matrix).reshape(*images.shape)


__all__ = [
    "ColorJitter",
    "GaussianBlur",
    "GaussianNoise",
    "Grayscale",
    "LinearTransformation",
    "Normalize",
    "RandomAdjustSharpness",
    "RandomAutocontrast",
    "RandomEqualize",
    "RandomErasing",
    "RandomGrayscale",
    "RandomInvert",
    "RandomPosterize",
    "RandomSolarize",
]
