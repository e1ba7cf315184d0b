"""From what an image file stores to what is looked at: eight bits for each value, the right way up."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np

from chainrule.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

_ORIENTATION = 0x0112  # EXIF's tag for how the camera was held


def upright(image: Image) -> Image:
    """The image turned and mirrored as its EXIF data say, so that up is up.

    Cameras store what the sensor saw and write beside it how they were held (orientation 1 to 8 of the EXIF standard,
    CIPA DC-008, 4.6.4). EXIF data that cannot be read say nothing: the image stays as it is stored.

    >>> from PIL import Image
    >>> image = Image.new("RGB", (4, 2))
    >>> image.getexif()[0x0112] = 6  # the camera was turned to the left
    >>> upright(image).size
    (2, 4)
    """
    from PIL.Image import Transpose

    how = {
        2: Transpose.FLIP_LEFT_RIGHT, 3: Transpose.ROTATE_180, 4: Transpose.FLIP_TOP_BOTTOM, 5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270, 7: Transpose.TRANSVERSE, 8: Transpose.ROTATE_90,
    }  # fmt: skip
    try:
        orientation = image.getexif().get(_ORIENTATION)
    except (SyntaxError, ValueError, TypeError, LookupError, OSError, EOFError, struct.error):
        return image
    return image.transpose(how[orientation]) if orientation in how else image


def eight_bits(image: Image, place: str) -> Image:
    """An image of 16-bit, 32-bit or floating-point grey values as one of bytes; any other as it is.

    Pillow cuts such values off at 255, so that all but the darkest parts turn white. Here they are scaled:

    - 16-bit values by their range, 0 … 65,535;
    - 32-bit integers stay as they are if all lie in 0 … 255, and count as 16-bit values if all lie in their range;
    - floating-point values in [0, 1] by 255;
    - what lies outside of that by the image's own range, its least value to 0 and its largest to 255.

    Raises DataError, naming `place`, for a NaN or an infinite value.

    >>> from PIL import Image
    >>> wide = Image.fromarray(np.array([[0, 32768, 65535]], np.uint16))
    >>> np.asarray(eight_bits(wide, "x-ray.png"))
    array([[  0, 128, 255]], dtype=uint8)
    """
    from PIL.Image import fromarray

    if not (image.mode.startswith("I") or image.mode == "F"):
        return image
    pixels = np.asarray(image)
    low, high = _range(pixels, "I;16" if image.format == "PPM" and image.mode == "I" else image.mode, place)
    scaled = pixels.astype(np.float64)
    scaled -= low
    scaled *= 255 / ((high - low) or 1.0)
    return fromarray(np.rint(scaled, out=scaled).astype(np.uint8))


def _range(pixels: np.ndarray, mode: str, place: str) -> tuple[float, float]:
    """Which values become 0 and 255."""
    if mode.startswith("I;16"):
        return 0.0, 65535.0
    least, largest = float(pixels.min(initial=0)), float(pixels.max(initial=0))
    if not np.isfinite(pixels).all():
        row, column = np.argwhere(~np.isfinite(pixels))[0]
        raise DataError(f"{place}: the pixel in row {row:,}, column {column:,} is {pixels[row, column]}.")
    for high in (1.0,) if mode == "F" else (255.0, 65535.0):
        if least >= 0 and largest <= high:
            return 0.0, high
    return float(pixels.min()), float(pixels.max())
