"""What counts as an image, and how the functions of this package take one: pictures, integers, and leading axes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from enum import Enum
from typing import Any

import numpy as np

from chainrule.dtypes import as_dtype
from chainrule.errors import DTypeError, ShapeError
from chainrule.functions.creation import from_numpy
from chainrule.tensor import Tensor


class InterpolationMode(Enum):
    """How values between pixels are made. The functions take the names too: `"bilinear"`.

    >>> InterpolationMode.BILINEAR.value
    'bilinear'
    """

    NEAREST = "nearest"
    NEAREST_EXACT = "nearest-exact"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    LANCZOS = "lanczos"
    BOX = "box"
    HAMMING = "hamming"


def mode_name(interpolation: Any, *allowed: str) -> str:
    """The name of an interpolation, given itself or as a member of `InterpolationMode`; ValueError for another."""
    name = interpolation.value if isinstance(interpolation, InterpolationMode) else interpolation
    if name not in allowed:
        raise ValueError(f"interpolation is one of {', '.join(allowed)} here, got {interpolation!r}.")
    return str(name)


def is_picture(x: Any) -> bool:
    """Whether this is an image of Pillow's. Does not import Pillow: if nobody has, it is none."""
    pillow = sys.modules.get("PIL.Image")
    return pillow is not None and isinstance(x, pillow.Image)


def need_image(img: Any) -> Tensor:
    """The image itself, or an error that says what an image is."""
    if isinstance(img, np.ndarray):
        raise DTypeError(f"an image is a Tensor (C, H, W), got a NumPy array {img.shape}: use ToTensor() first.")
    if not isinstance(img, Tensor):
        raise DTypeError(f"an image is a Tensor (C, H, W) or one of Pillow's, got {type(img).__name__}.")
    if img.ndim < 3 or 0 in tuple(img.shape)[-3:]:
        raise ShapeError(
            f"an image is (C, H, W) and a batch (N, C, H, W), with at least one pixel; got {tuple(img.shape)}."
        )
    return img


def on_pixels(img: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """What `change` makes of an image, as a batch (N, C, H, W) of any type; a picture comes back as a picture."""
    if is_picture(img):
        from chainrule.data.transforms.conversion import from_picture, to_picture

        return to_picture(on_pixels(from_picture(img), change), like=None if img.mode == "P" else img)
    x = need_image(img)
    if x.ndim == 4:
        return change(x)
    shape = tuple(x.shape)
    result = change(x.reshape(-1, *shape[-3:]))
    return result.reshape(*shape[:-3], *tuple(result.shape)[-3:])


def on_floats(img: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """As `on_pixels`; integers are computed with as float32 and then rounded, within the range of their type."""
    return on_pixels(img, lambda x: change(x) if x.dtype.is_floating_point else _as_before(change(_floats(x)), x, 1))


def on_unit_range(img: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """As `on_floats`, with integers scaled to [0, 1]: 255 is 1 in uint8. Floats are taken to be in [0, 1] already."""

    def scaled(x: Tensor) -> Tensor:
        if x.dtype.is_floating_point:
            return change(x)
        top = largest_level(x)
        return _as_before(change(_floats(x) / top), x, top)

    return on_pixels(img, scaled)


def largest_level(x: Tensor) -> float:
    """What white is: 1 for floats, the largest number of the type for integers."""
    if x.dtype.is_floating_point or x.dtype is as_dtype(bool):
        return 1.0
    return float(np.iinfo(x.dtype.numpy).max)


def _floats(x: Tensor) -> Tensor:
    """float32 holds all integers of two bytes, float64 most of the others."""
    return x.to(as_dtype("float32" if x.dtype.itemsize <= 2 else "float64"))


def _as_before(result: Tensor, x: Tensor, scale: float) -> Tensor:
    if x.dtype is as_dtype(bool):
        return result >= 0.5
    limits = np.iinfo(x.dtype.numpy)
    return (result * scale).round().clamp(float(limits.min), float(limits.max)).to(x.dtype)


def per_image(value: Any, ndim: int = 4) -> Any:
    """A setting that goes with a batch: a number as it is, a tensor (N,) with axes of length 1 behind it."""
    return value.reshape(-1, *[1] * (ndim - 1)) if isinstance(value, Tensor) else value


def get_dimensions(img: Any) -> list[int]:
    """Channels, height and width.

    >>> import chainrule
    >>> get_dimensions(chainrule.zeros(5, 3, 8, 9))
    [3, 8, 9]
    """
    if is_picture(img):
        return [len(img.getbands()), img.height, img.width]
    return list(need_image(img).shape[-3:])


def get_image_num_channels(img: Any) -> int:
    """The number of channels."""
    return get_dimensions(img)[0]


def get_image_size(img: Any) -> list[int]:
    """Width and height, in this order (that of Pillow); see `get_dimensions`."""
    _, height, width = get_dimensions(img)
    return [width, height]


def array_tensor(array: Any) -> Tensor:
    """A tensor of a copy of an array, whatever its memory looks like."""
    return from_numpy(np.ascontiguousarray(array))
