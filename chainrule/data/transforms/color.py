"""Colours changed: brightness, contrast, saturation, hue, and what else a photographer turns.

Factors may differ from image to image: then they are tensors (N,). Colours are in [0, 1], or whole numbers up to the
largest of their type; what leaves the range is cut off. So these come before Normalize.
"""

from __future__ import annotations

from typing import Any

from chainrule.data.transforms.eight_bits import grey_bytes
from chainrule.data.transforms.images import is_picture, need_image, on_pixels, on_unit_range, per_image
from chainrule.dtypes import as_dtype
from chainrule.errors import ShapeError
from chainrule.functions import shape
from chainrule.functions.creation import arange, ones, ones_like, tensor, zeros
from chainrule.functions.logic import where
from chainrule.functions.pieces import stack
from chainrule.nn.convolution.layers import conv2d
from chainrule.tensor import Tensor


def luma(x: Tensor) -> Tensor:
    """How bright each pixel looks (ITU-R 601): (N, 3, H, W) to (N, 1, H, W). One channel is its own brightness."""
    if x.shape[1] == 1:
        return x
    if x.shape[1] != 3:
        raise ShapeError(f"colours are changed in images of 1 or 3 channels, got {tuple(x.shape)}.")
    return 0.2989 * x[:, 0:1] + 0.587 * x[:, 1:2] + 0.114 * x[:, 2:3]


def blend(x: Tensor, other: Any, ratio: Any) -> Tensor:
    """`ratio` parts of x and 1 − `ratio` of the other, also beyond both, cut off to [0, 1]."""
    ratio = per_image(ratio)
    ratio = ratio.to(x.dtype) if isinstance(ratio, Tensor) else ratio
    return (ratio * x + (1 - ratio) * other).clamp(0, 1)


def _need_factor(factor: Any, name: str) -> None:
    if not isinstance(factor, Tensor) and factor < 0:
        raise ValueError(f"{name} is at least 0, got {factor}.")


def adjust_brightness(img: Any, brightness_factor: Any) -> Any:
    """The image times a factor: 0 is black, 1 the image itself.

    >>> import chainrule
    >>> adjust_brightness(chainrule.tensor([[[0.2, 0.8]]]), 2.0)
    tensor([[[0.4000, 1.0000]]])
    """
    _need_factor(brightness_factor, "brightness_factor")
    return on_unit_range(img, lambda x: blend(x, 0.0, brightness_factor))


def adjust_contrast(img: Any, contrast_factor: Any) -> Any:
    """Further from (above 1) or nearer to (below 1) the image's mean brightness; 0 is that grey everywhere.

    >>> import chainrule
    >>> adjust_contrast(chainrule.tensor([[[0.2, 0.6]]]), 0.5)
    tensor([[[0.3000, 0.5000]]])
    """
    _need_factor(contrast_factor, "contrast_factor")
    return on_unit_range(img, lambda x: blend(x, luma(x).mean((-3, -2, -1), keepdim=True), contrast_factor))


def adjust_saturation(img: Any, saturation_factor: Any) -> Any:
    """Further from (above 1) or nearer to (below 1) grey; 0 is the grey image. Grey images stay as they are.

    >>> import chainrule
    >>> adjust_saturation(chainrule.tensor([1.0, 0.0, 0.0]).reshape(3, 1, 1), 0.0).flatten()
    tensor([0.2989, 0.2989, 0.2989])
    """
    _need_factor(saturation_factor, "saturation_factor")
    return on_unit_range(img, lambda x: x if x.shape[1] == 1 else blend(x, luma(x), saturation_factor))


def adjust_hue(img: Any, hue_factor: Any) -> Any:
    """Colours moved around the colour circle by `hue_factor` turns, −½ to ½. Grey images stay as they are.

    >>> import chainrule
    >>> red = chainrule.tensor([1.0, 0.0, 0.0]).reshape(3, 1, 1)
    >>> adjust_hue(red, 1 / 3).flatten()
    tensor([0., 1., 0.])
    """
    if not isinstance(hue_factor, Tensor) and not -0.5 <= hue_factor <= 0.5:
        raise ValueError(f"hue_factor is between −½ and ½, got {hue_factor}.")
    return on_unit_range(img, lambda x: turn_hue(x, hue_factor))


def turn_hue(x: Tensor, turns: Any) -> Tensor:
    """Through hue, chroma and value.

    value v is the largest of red, green and blue, chroma c the largest less the smallest, hue h in sixths of a circle
    the place between them. Back again, channel n = 5, 3, 1 is v − c·max(0, min(k, 4 − k, 1)) with k = (n + h) mod 6.
    """
    luma(x)  # for its error
    if x.shape[1] == 1:
        return x
    red, green, blue = x[:, 0], x[:, 1], x[:, 2]
    value = x.amax(1)
    chroma = value - x.amin(1)
    safe = where(chroma == 0, 1.0, chroma)
    of_green, of_blue = (blue - red) / safe + 2, (red - green) / safe + 4
    hue = where(value == red, (green - blue) / safe, where(value == green, of_green, of_blue))
    turns = per_image(turns, 3)
    hue = hue + 6 * (turns.to(x.dtype) if isinstance(turns, Tensor) else turns)
    places = (stack([hue + 5, hue + 3, hue + 1], 1)) % 6.0
    return value.unsqueeze(1) - chroma.unsqueeze(1) * places.minimum(4 - places).clamp(0, 1)


def adjust_gamma(img: Any, gamma: float, gain: float = 1) -> Any:
    """gain·x^gamma: above 1 makes shadows darker, below 1 lighter.

    >>> import chainrule
    >>> adjust_gamma(chainrule.tensor([[[0.5, 1.0]]]), 2.0)
    tensor([[[0.2500, 1.0000]]])
    """
    _need_factor(gamma, "gamma")
    return on_unit_range(img, lambda x: (gain * x**gamma).clamp(0, 1))


def adjust_sharpness(img: Any, sharpness_factor: Any) -> Any:
    """Further from (above 1) or nearer to (below 1) the image smoothed by 3×3 with weight 5 in the middle, 1 around.

    The border's pixels stay as they are.

    >>> import chainrule
    >>> adjust_sharpness(chainrule.ones(1, 4, 4), 2.0).mean()
    tensor(1.)
    """
    _need_factor(sharpness_factor, "sharpness_factor")

    def sharpened(x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        if min(h, w) < 3:
            return x
        kernel = (ones(1, 1, 3, 3, dtype=x.dtype) + shape.pad(ones(1, 1, 1, 1, dtype=x.dtype) * 4, (1, 1, 1, 1))) / 13
        smooth = shape.pad(conv2d(x.reshape(n * c, 1, h, w), kernel).reshape(n, c, h - 2, w - 2), (1, 1, 1, 1))
        inside = shape.pad(ones(h - 2, w - 2, dtype=as_dtype(bool)), (1, 1, 1, 1), value=0)
        return blend(x, where(inside, smooth, x), sharpness_factor)

    return on_unit_range(img, sharpened)


def rgb_to_grayscale(img: Any, num_output_channels: int = 1) -> Any:
    """0.2989·red + 0.587·green + 0.114·blue, in 1 or in 3 equal channels; of bytes the grey that Pillow gives.

    >>> import chainrule
    >>> rgb_to_grayscale(chainrule.tensor([1.0, 0.5, 0.0]).reshape(3, 1, 1)).flatten()
    tensor([0.5924])
    """
    if num_output_channels not in (1, 3):
        raise ValueError(f"num_output_channels is 1 or 3, got {num_output_channels}.")

    if is_picture(img):
        one = img.convert("L")
        return one if num_output_channels == 1 else one.convert("RGB")

    def grey(x: Tensor) -> Tensor:
        bytes_of_colour = x.dtype is as_dtype("uint8") and x.shape[1] == 3
        y = grey_bytes(x) if bytes_of_colour else on_unit_range(x, luma)
        return y if num_output_channels == 1 else y.expand(x.shape[0], 3, *x.shape[2:])

    return on_pixels(img, grey)


#: PyTorch's name for it where the image is a picture.
to_grayscale = rgb_to_grayscale


def invert(img: Any) -> Any:
    """The negative.

    >>> import chainrule
    >>> invert(chainrule.tensor([[[0.25, 1.0]]])), invert(chainrule.tensor([[[5]]], dtype=chainrule.uint8))
    (tensor([[[0.7500, 0.0000]]]), tensor([[[250]]], dtype=chainrule.uint8))
    """
    return on_unit_range(img, lambda x: 1 - x)


def posterize(img: Any, bits: Any) -> Any:
    """Only the `bits` highest of each byte's eight; floats count in 255ths. For a batch perhaps a tensor (N,).

    >>> import chainrule
    >>> posterize(chainrule.tensor([[[100, 200]]], dtype=chainrule.uint8), 2)
    tensor([[[ 64, 192]]], dtype=chainrule.uint8)
    """
    if not isinstance(bits, Tensor) and bits not in range(9):
        raise ValueError(f"bits is a whole number from 0 to 8, got {bits!r}.")
    step = per_image(2.0 ** (8 - bits))
    return on_unit_range(img, lambda x: ((x * 255).round() / step).floor() * step / 255)


def solarize(img: Any, threshold: Any) -> Any:
    """The negative of all that is at least `threshold`, which counts as the image does: to 1, or to 255 in bytes.

    >>> import chainrule
    >>> solarize(chainrule.tensor([[[0.25, 0.75]]]), 0.5)
    tensor([[[0.2500, 0.2500]]])
    """

    def solarized(x: Tensor) -> Tensor:
        return where(x >= per_image(threshold), invert(x), x)

    return on_pixels(img, solarized)


def autocontrast(img: Any) -> Any:
    """Each channel stretched from its darkest to its brightest pixel over the whole range.

    >>> import chainrule
    >>> autocontrast(chainrule.tensor([[[0.25, 0.5, 0.75]]]))
    tensor([[[0.0000, 0.5000, 1.0000]]])
    """

    def stretched(x: Tensor) -> Tensor:
        low, high = x.amin((-2, -1), keepdim=True), x.amax((-2, -1), keepdim=True)
        span = high - low
        return where(span == 0, x, (x - low) / where(span == 0, 1.0, span)).clamp(0, 1)

    return on_unit_range(img, stretched)


def equalize(img: Any) -> Any:
    """Levels spread such that all occur about equally often, in each channel. For bytes; floats count in 255ths.

    Level v becomes ⌊(pixels darker than v + s/2)/s⌋, where 255·s pixels are all but those of the brightest level.

    >>> import chainrule
    >>> equalize(chainrule.tensor([[[10, 10, 10, 20]]], dtype=chainrule.uint8))
    tensor([[[10, 10, 10, 20]]], dtype=chainrule.uint8)
    """
    return on_unit_range(img, lambda x: _equalized((x * 255).round().long()).to(x.dtype) / 255)


def _equalized(levels: Tensor) -> Tensor:
    n, c, h, w = levels.shape
    planes = levels.reshape(n * c, h * w)
    counts = zeros(n * c, 256, dtype=as_dtype(int)).scatter_add(1, planes, ones_like(planes))
    brightest = counts.gather(1, planes.amax(1, keepdim=True))
    step = (h * w - brightest) // 255
    darker = counts.cumsum(1) - counts
    safe = where(step == 0, 1, step)
    table = where(step == 0, arange(256), ((darker + step // 2) // safe).clamp(0, 255))
    return table.gather(1, planes).reshape(n, c, h, w)


def erase(img: Tensor, i: Any, j: Any, h: Any, w: Any, v: Any, inplace: bool = False) -> Tensor:
    """The rectangle of h × w pixels from row i and column j on replaced by `v`, a number or a tensor.

    For a batch i, j, h and w may be tensors (N,).

    >>> import chainrule
    >>> erase(chainrule.ones(1, 2, 2), 0, 1, 2, 1, 0.0)
    tensor([[[1., 0.],
             [1., 0.]]])
    """
    x = need_image(img)
    rows, columns = arange(x.shape[-2]).reshape(-1, 1), arange(x.shape[-1])
    i, j, h, w = (per_image(value) for value in (i, j, h, w))
    hole = (rows >= i) & (rows < i + h) & (columns >= j) & (columns < j + w)
    new = v.to(x.dtype) if isinstance(v, Tensor) else tensor(v, dtype=x.dtype, device=x.device)
    if isinstance(v, Tensor) and v.ndim and isinstance(h, int) and tuple(v.shape)[-2:] not in ((1, 1), x.shape[-2:]):
        new = shape.pad(new, (j, x.shape[-1] - j - w, i, x.shape[-2] - i - h))
    result = where(hole, new, x)
    return x.copy_(result) if inplace else result


__all__ = [
    "adjust_brightness",
    "adjust_contrast",
    "adjust_gamma",
    "adjust_hue",
    "adjust_saturation",
    "adjust_sharpness",
    "autocontrast",
    "equalize",
    "erase",
    "invert",
    "posterize",
    "rgb_to_grayscale",
    "solarize",
    "to_grayscale",
]
