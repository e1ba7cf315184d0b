"""Between pictures (Pillow), arrays and tensors; between types; and the scaling by mean and standard deviation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.data.transforms.images import (
    array_tensor,
    is_picture,
    largest_level,
    need_image,
    on_unit_range,
)
from chainrule.dtypes import as_dtype, get_default_dtype
from chainrule.errors import DTypeError, ShapeError
from chainrule.functions.creation import as_tensor
from chainrule.tensor import Tensor


def from_picture(pic: Any, colours: bool = True) -> Tensor:
    """(C, H, W) of a picture; with `colours` palettes are looked up, without they stay indices (as in masks)."""
    if colours and pic.mode in ("P", "PA", "1"):
        pic = pic.convert({"P": "RGB", "PA": "RGBA", "1": "L"}[pic.mode])
    array = np.asarray(pic)
    if array.dtype.kind == "u" and array.dtype.itemsize == 2:
        array = array.astype(np.int32)  # I;16
    return array_tensor(array[None] if array.ndim == 2 else array.transpose(2, 0, 1))


def to_picture(x: Tensor, like: Any = None) -> Any:
    """A picture of (C, H, W); with `like` in the mode of that picture, palette included."""
    from PIL import Image

    array = x.detach().numpy()
    array = array[0] if array.shape[0] == 1 else array.transpose(1, 2, 0)
    picture = Image.fromarray(np.ascontiguousarray(array))
    if like is not None and like.mode == "P" and picture.mode == "L":
        picture.putpalette(like.getpalette())
    if (
        like is not None
        and like.mode in ("CMYK", "YCbCr", "HSV", "LAB")
        and len(picture.getbands()) == len(like.getbands())
    ):
        return Image.frombytes(like.mode, picture.size, picture.tobytes())
    return picture


def to_tensor(pic: Any) -> Tensor:
    """A picture or an array (H, W, C) or (H, W) as a tensor (C, H, W): bytes and booleans become floats in [0, 1].

    Other types keep their numbers. The floats are of the default type. Raises DTypeError for anything else, a tensor
    among it, and ShapeError for arrays with other axes.

    >>> to_tensor(np.array([[[0, 51, 255]]], dtype=np.uint8)).flatten()
    tensor([0.0000, 0.2000, 1.0000])
    """
    if is_picture(pic):
        x = pil_to_tensor(pic)
    elif isinstance(pic, np.ndarray):
        if pic.ndim not in (2, 3):
            raise ShapeError(f"to_tensor takes arrays (H, W, C) or (H, W), got shape {pic.shape}.")
        x = array_tensor(pic[None] if pic.ndim == 2 else pic.transpose(2, 0, 1))
    else:
        raise DTypeError(f"to_tensor takes a picture of Pillow's or a NumPy array, got {type(pic).__name__}.")
    if x.dtype is as_dtype(bool):
        return x.to(get_default_dtype())
    return x.to(get_default_dtype()) / 255 if x.dtype is as_dtype("uint8") else x


def pil_to_tensor(pic: Any) -> Tensor:
    """A picture as a tensor (C, H, W) of its own numbers: uint8 for most.

    >>> from PIL import Image
    >>> pil_to_tensor(Image.new("RGB", (4, 2), (10, 20, 30))).shape
    Size([3, 2, 4])
    """
    if not is_picture(pic):
        raise DTypeError(f"pil_to_tensor takes a picture of Pillow's, got {type(pic).__name__}.")
    return from_picture(pic, colours=False)


def to_image(inpt: Any) -> Tensor:
    """A picture or an array (H, W, C) as a tensor (C, H, W) of the same numbers; a tensor stays itself."""
    if isinstance(inpt, np.ndarray):
        return array_tensor(inpt[None] if inpt.ndim == 2 else inpt.transpose(2, 0, 1))
    return inpt if isinstance(inpt, Tensor) else pil_to_tensor(inpt)


def to_pil_image(pic: Any, mode: str | None = None) -> Any:
    """A picture of a tensor (C, H, W) or (H, W), or of an array (H, W, C) or (H, W).

    Floats are taken to be in [0, 1] and become bytes; a single channel of float32 or int32 in `mode` "F" or "I" keeps
    its numbers. 1 channel gives mode "L", 2 "LA", 3 "RGB", 4 "RGBA"; another mode with as many channels may be asked
    for. Raises ShapeError for other shapes.

    >>> import chainrule
    >>> to_pil_image(chainrule.ones(3, 2, 4))
    <PIL.Image.Image image mode=RGB size=4x2 at ...>
    """
    from PIL import Image

    if not isinstance(pic, (Tensor, np.ndarray)):
        raise DTypeError(f"to_pil_image takes a tensor or an array, got {type(pic).__name__}.")
    array = pic.detach().numpy() if isinstance(pic, Tensor) else pic
    if array.ndim not in (2, 3):
        raise ShapeError(f"to_pil_image takes one image of 2 or 3 axes, got shape {array.shape}.")
    if array.ndim == 3 and isinstance(pic, Tensor):
        array = array.transpose(1, 2, 0)
    array = array[:, :, 0] if array.ndim == 3 and array.shape[2] == 1 else array
    if array.ndim == 3 and array.shape[2] > 4:
        raise ShapeError(f"a picture has 1 to 4 channels, got {array.shape[2]}.")
    if array.dtype.kind == "f" and mode != "F":
        array = np.round(np.clip(array, 0, 1) * 255).astype(np.uint8)
    if array.dtype == np.int64:
        array = array.astype(np.int32 if array.ndim == 2 and mode != "L" else np.uint8)
    picture = Image.fromarray(np.ascontiguousarray(array))
    if mode is None or mode == picture.mode:
        return picture
    if len(Image.new(mode, (1, 1)).getbands()) != len(picture.getbands()):
        raise ValueError(f"mode {mode!r} does not go with {len(picture.getbands())} channels.")
    return Image.frombytes(mode, picture.size, picture.tobytes())


def convert_image_dtype(image: Any, dtype: Any = "float32") -> Tensor:
    """Another type with the range that goes with it: white is 1 in floats and 255 in uint8.

    Between integers levels are joined or spread by powers of two.

    >>> import chainrule
    >>> convert_image_dtype(chainrule.tensor([[[0.0, 0.2, 1.0]]]), chainrule.uint8)
    tensor([[[  0,  51, 255]]], dtype=chainrule.uint8)
    """
    x, wanted = need_image(image), as_dtype(dtype)
    if wanted is x.dtype:
        return x
    if x.dtype.is_floating_point and wanted.is_floating_point:
        return x.to(wanted)
    if wanted.is_floating_point:
        return x.to(wanted) / largest_level(x)
    top = int(np.iinfo(wanted.numpy).max)
    if x.dtype.is_floating_point:
        limit = float(top) if wanted.itemsize < 8 else 2.0**63 - 1024  # the largest that float64 can tell from 2⁶³
        return (x.double().clamp(0, 1) * top).round().clamp(0, limit).to(wanted)
    levels = int(largest_level(x)) + 1 if x.dtype.itemsize < 8 else 2**63
    if levels <= top + 1:
        return x.to(wanted) * ((top + 1) // levels)
    return (x // (levels // (top + 1))).to(wanted)


def to_dtype(inpt: Any, dtype: Any = "float32", scale: bool = False) -> Tensor:
    """Another type: with `scale` as `convert_image_dtype`, else by the numbers alone."""
    return convert_image_dtype(inpt, dtype) if scale else need_image(inpt).to(as_dtype(dtype))


def normalize(tensor: Tensor, mean: Sequence[float], std: Sequence[float], inplace: bool = False) -> Tensor:
    """(x − mean)/std, channel by channel. The statistics are those of the training split.

    mean, std: as many numbers as there are channels, or one. Raises ShapeError for another count, ValueError for a
    standard deviation of 0, DTypeError for integers.

    >>> import chainrule
    >>> normalize(chainrule.ones(2, 1, 1), [0.5, 0.0], [0.5, 2.0]).flatten()
    tensor([1.0000, 0.5000])
    """
    x = need_image(tensor)
    if not x.dtype.is_floating_point:
        raise DTypeError(f"normalize takes floating-point images, got {x.dtype}; use ToTensor() first.")
    shift, scale = (as_tensor(v, dtype=x.dtype, device=x.device).reshape(-1, 1, 1) for v in (mean, std))
    channels = x.shape[-3]
    if {shift.shape[0], scale.shape[0]} - {1, channels}:
        raise ShapeError(
            f"normalize: {channels} channels take {channels} means and deviations (or one), got {shift.shape[0]} and "
            f"{scale.shape[0]}."
        )
    if not isinstance(std, Tensor) and 0 in np.ravel(std):
        raise ValueError(f"normalize: a standard deviation is not 0, got {std}.")
    result = (x - shift) / scale
    return x.copy_(result) if inplace else result


def gaussian_noise(inpt: Any, mean: float = 0.0, sigma: float = 0.1, clip: bool = True, generator: Any = None) -> Any:
    """Independent normal noise on every entry; with `clip` what leaves [0, 1] is cut off.

    >>> import chainrule
    >>> gaussian_noise(chainrule.zeros(1, 2, 2), mean=0.5, sigma=0.0)
    tensor([[[0.5000, 0.5000],
             [0.5000, 0.5000]]])
    """
    from chainrule.random import randn

    if sigma < 0:
        raise ValueError(f"gaussian_noise: sigma is at least 0, got {sigma}.")

    def noisy(x: Tensor) -> Tensor:
        result = x + randn(tuple(x.shape), dtype=x.dtype, generator=generator) * sigma + mean
        return result.clamp(0, 1) if clip else result

    return on_unit_range(inpt, noisy)


__all__ = [
    "convert_image_dtype",
    "gaussian_noise",
    "normalize",
    "pil_to_tensor",
    "to_dtype",
    "to_image",
    "to_pil_image",
    "to_tensor",
]
