"""Image files as tensors and back, under PyTorch-vision's names.

>>> import chainrule
>>> image = chainrule.randint(0, 256, (3, 4, 6)).to(chainrule.uint8)
>>> chainrule.equal(decode_image(encode_png(image)), image)
True
"""

from __future__ import annotations

import io
import os
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.data.readers import folder
from chainrule.data.readers.source import read_bytes
from chainrule.errors import DTypeError, ShapeError
from chainrule.functions.creation import from_numpy
from chainrule.tensor import Tensor

__all__ = [
    "ImageReadMode",
    "decode_image",
    "decode_jpeg",
    "decode_png",
    "encode_jpeg",
    "encode_png",
    "read_file",
    "read_image",
    "write_file",
    "write_jpeg",
    "write_png",
]


class ImageReadMode(Enum):
    """Which channels an image is read with: as stored, or converted."""

    UNCHANGED = None
    GRAY = "L"
    GRAY_ALPHA = "LA"
    RGB = "RGB"
    RGB_ALPHA = "RGBA"


def read_file(path: str | os.PathLike[str]) -> Tensor:
    """The bytes of a file: uint8 (N,). Raises DataError if it cannot be read."""
    return from_numpy(np.frombuffer(read_bytes(path, folder.MAX_IMAGE_BYTES), np.uint8))


def write_file(filename: str | os.PathLike[str], data: Tensor) -> None:
    """Write bytes, uint8 (N,), to a file."""
    Path(filename).write_bytes(_bytes(data))


def _bytes(data: Tensor) -> bytes:
    if data.dtype.name != "uint8" or data.ndim != 1:
        raise DTypeError(f"the bytes of a file are uint8 (N,), got {data.dtype} {tuple(data.shape)}.")
    return bytes(np.asarray(data))


def decode_image(
    input: Tensor | str | os.PathLike[str],
    mode: ImageReadMode | str = ImageReadMode.UNCHANGED,
    apply_exif_orientation: bool = False,
) -> Tensor:
    """The image in bytes (uint8 (N,), of `read_file` or `encode_png`) or in a file: uint8 (C, H, W).

    apply_exif_orientation: turn it as the camera was held; else it is as it was stored.

    Raises DataError for what is no image.
    """
    if isinstance(input, Tensor):
        content: bytes | bytearray = _bytes(input)
        place = "the image"
    else:
        content, place = read_bytes(input, folder.MAX_IMAGE_BYTES), str(input)
    wanted = ImageReadMode[mode.upper()] if isinstance(mode, str) else mode
    image = folder.decode_image(content, place, None, turn=apply_exif_orientation)
    if image.mode in ("1", "P"):  # bits, and places in a table of colours, are no channels
        image = image.convert("L" if image.mode == "1" else "RGB")
    if wanted.value is not None and image.mode != wanted.value:
        image = image.convert(wanted.value)
    return from_numpy(folder.channels_first(image))


def read_image(
    path: str | os.PathLike[str],
    mode: ImageReadMode | str = ImageReadMode.UNCHANGED,
    apply_exif_orientation: bool = False,
) -> Tensor:
    """The image in a file: uint8 (C, H, W); see `decode_image`."""
    return decode_image(path, mode, apply_exif_orientation)


def decode_png(
    input: Tensor, mode: ImageReadMode | str = ImageReadMode.UNCHANGED, apply_exif_orientation: bool = False
) -> Tensor:
    """As `decode_image`, for the bytes of a PNG file."""
    return decode_image(input, mode, apply_exif_orientation)


def decode_jpeg(
    input: Tensor,
    mode: ImageReadMode | str = ImageReadMode.UNCHANGED,
    device: Any = "cpu",
    apply_exif_orientation: bool = False,
) -> Tensor:
    """As `decode_image`, for the bytes of a JPEG file."""
    return decode_image(input, mode, apply_exif_orientation)


def _encoded(input: Tensor, kind: str, **settings: Any) -> Tensor:
    from PIL import Image

    if input.dtype.name != "uint8" or input.ndim != 3 or input.shape[0] not in (1, 3):
        raise ShapeError(
            f"an image file takes uint8 (1, H, W) or (3, H, W), got {input.dtype} {tuple(input.shape)}; numbers in "
            "[0, 1] become bytes by (255 * x).round().to(chainrule.uint8)."
        )
    array = np.asarray(input)
    file = io.BytesIO()
    Image.fromarray(array[0] if len(array) == 1 else array.transpose(1, 2, 0)).save(file, format=kind, **settings)
    return from_numpy(np.frombuffer(file.getvalue(), np.uint8))


def encode_png(input: Tensor, compression_level: int = 6) -> Tensor:
    """The bytes of a PNG file of an image, uint8 (1, H, W) or (3, H, W); compression from 0 (none) to 9.

    >>> import chainrule
    >>> image = chainrule.tensor([[[0, 128], [255, 7]]], dtype=chainrule.uint8)
    >>> chainrule.equal(decode_image(encode_png(image)), image)
    True
    """
    if not 0 <= compression_level <= 9:
        raise ValueError(f"compression_level lies in 0 … 9, got {compression_level}.")
    return _encoded(input, "PNG", compress_level=compression_level)


def encode_jpeg(input: Tensor, quality: int = 75) -> Tensor:
    """The bytes of a JPEG file of an image, uint8 (1, H, W) or (3, H, W); quality from 1 to 100."""
    if not 1 <= quality <= 100:
        raise ValueError(f"quality lies in 1 … 100, got {quality}.")
    return _encoded(input, "JPEG", quality=quality)


def write_png(input: Tensor, filename: str | os.PathLike[str], compression_level: int = 6) -> None:
    """An image, uint8 (1, H, W) or (3, H, W), as a PNG file.

    >>> import tempfile
    >>> import chainrule
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_png(chainrule.zeros(3, 2, 4, dtype=chainrule.uint8), f"{folder}/black.png")
    ...     read_image(f"{folder}/black.png").shape
    Size([3, 2, 4])
    """
    write_file(filename, encode_png(input, compression_level))


def write_jpeg(input: Tensor, filename: str | os.PathLike[str], quality: int = 75) -> None:
    """An image, uint8 (1, H, W) or (3, H, W), as a JPEG file."""
    write_file(filename, encode_jpeg(input, quality))
