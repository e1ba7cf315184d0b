"""Image folders: one folder for each class, images in it."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from chainrule.data.readers.pixels import eight_bits, upright
from chainrule.data.readers.source import MAX_BYTES, FilePath, read_bytes, too_large
from chainrule.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".ppm", ".pgm", ".bmp", ".gif", ".tif", ".tiff", ".webp")
# Only these: other formats that Pillow knows would start programs (EPS) or are no photographs.
_FORMATS = ("JPEG", "PNG", "PPM", "BMP", "GIF", "TIFF", "WEBP")

_LITTER = {"__macosx", "thumbs.db", "desktop.ini", "$recycle.bin", "@eadir"}

MAX_IMAGE_BYTES = 2**28
"""What one decoded image may take unless told otherwise: 256 MiB, some 9,000 × 9,000 pixels in colour."""


class Sample(NamedTuple):
    """An image file and the number of its class."""

    path: str
    label: int


def is_litter(name: str) -> bool:
    """Whether a file or folder is none of the data, by its name: hidden (".…"), or left there by a system.

    macOS writes `._photo.jpg` beside each photo and `__MACOSX` into archives, Windows writes `Thumbs.db`.

    >>> [is_litter(name) for name in ("._photo.jpg", "__MACOSX", "Thumbs.db", "photo.jpg")]
    [True, True, True, False]
    """
    return name.startswith(".") or name.lower() in _LITTER


def find_classes(root: FilePath) -> list[str]:
    """The names of the folders in `root`, sorted: a class's number is its place in this list.

    Raises DataError if `root` cannot be read or has no folders.
    """
    try:
        with os.scandir(root) as entries:
            classes = sorted(entry.name for entry in entries if entry.is_dir() and not is_litter(entry.name))
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"{root!s} cannot be read: {getattr(error, 'strerror', None) or error}.") from error
    if not classes:
        raise DataError(f"{root!s} has no folders in it; an image folder has one for each class.")
    return classes


def find_images(root: FilePath, classes: Sequence[str], endings: Sequence[str] = IMAGE_ENDINGS) -> list[Sample]:
    """Every file below `root/<class>` that ends like an image, class after class, sorted by path."""
    return [
        Sample(path, label)
        for label, name in enumerate(classes)
        for path in image_paths(os.path.join(root, name), endings)
    ]


def image_paths(root: FilePath, endings: Sequence[str] = IMAGE_ENDINGS) -> list[str]:
    """Every file in a folder and the folders in it that ends like an image and is no litter, sorted by path."""
    paths = []
    for folder, subfolders, files in os.walk(root, followlinks=False):
        subfolders[:] = [name for name in subfolders if not is_litter(name)]
        wanted = [file for file in files if file.lower().endswith(tuple(endings)) and not is_litter(file)]
        paths += [(folder, file) for file in wanted]
    return [os.path.join(folder, file) for folder, file in sorted(paths)]


def read_image(path: FilePath, mode: str | None = "RGB", max_bytes: int = MAX_IMAGE_BYTES) -> Image:
    """A decoded image as Pillow has it. For `mode` and errors see `decode_image`."""
    return decode_image(read_bytes(path, max_bytes), str(path), mode, max_bytes)


def decode_image(
    content: bytes | bytearray,
    place: str,
    mode: str | None = "RGB",
    max_bytes: int = MAX_IMAGE_BYTES,
    turn: bool = True,
) -> Image:
    """The image in these bytes: JPEG, PNG, PPM, BMP, GIF, TIFF or WebP.

    Args:
        content: the bytes of an image file.
        place: what an error calls it.
        mode: "RGB" for three channels, "L" for one, or another of Pillow's modes; values of more than eight bits are
            scaled for it, see `pixels.eight_bits`. None leaves the values as they are stored.
        max_bytes: how large it may be when decoded; looked at before it is decoded.
        turn: as its EXIF data say; False leaves it as it was stored (but for TIFF, which Pillow turns).

    Raises:
        DataError: no image in a known format, cut short, damaged, or too large.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
            width, height = image.size
            # RGBA at the most, and both the stored and the converted form are held.
            if 4 * width * height > max_bytes:
                raise too_large(place, max_bytes, f": {width:,} × {height:,} pixels")
            image.load()
            turned = upright(image) if turn else image
            if mode is None or image.mode == mode:
                return turned.copy() if turned is image else turned
            return eight_bits(turned, place).convert(mode)
    except DataError:
        raise
    except UnidentifiedImageError as error:
        beginning = bytes(content[:8]).hex(" ") or "nothing"
        raise DataError(
            f"{place} is not an image in a known format ({', '.join(_FORMATS)}); it begins with {beginning}."
        ) from error
    except Exception as error:  # Pillow's decoders fail in as many ways as files can be damaged
        raise DataError(f"{place}: the image cannot be decoded ({error or type(error).__name__}).") from error


class ImageFolder:
    """The images below a folder, one subfolder for each class; each is decoded when it is asked for.

    Sample i is (image, label): the image uint8 (C, H, W), the label the place of its folder in `classes`.

    Args:
        root: the folder.
        mode: "RGB" for C = 3, "L" for C = 1.
        max_bytes: how large one decoded image may be.

    Raises:
        DataError: `root` cannot be read, or a class has no images; later, an image that cannot be decoded.

    >>> import tempfile
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("cat", "dog"):
    ...         (Path(folder) / name).mkdir()
    ...         Image.new("RGB", (4, 3), "red").save(Path(folder) / name / "1.png")
    ...     images = ImageFolder(folder)
    ...     images.classes, len(images), images[1][0].shape, images[1][1]
    (['cat', 'dog'], 2, (3, 3, 4), 1)
    """

    def __init__(self, root: FilePath, mode: str = "RGB", max_bytes: int = MAX_IMAGE_BYTES) -> None:
        self.root = Path(root)
        self.mode, self.max_bytes = mode, max_bytes
        self.classes = find_classes(root)
        self.samples = find_images(root, self.classes)
        found = {sample.label for sample in self.samples}
        for label, name in enumerate(self.classes):
            if label not in found:
                raise DataError(f"{self.root / name} has no images in it ({', '.join(IMAGE_ENDINGS)}).")

    @property
    def labels(self) -> np.ndarray:
        """The classes of all samples, int64 (N,), without decoding anything."""
        return np.array([sample.label for sample in self.samples], np.int64)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        path, label = self.samples[index]
        return channels_first(read_image(path, self.mode, self.max_bytes)), label

    def arrays(self, max_bytes: int = MAX_BYTES) -> tuple[np.ndarray, np.ndarray]:
        """All images as one array uint8 (N, C, H, W), and their labels.

        Raises DataError naming the first image whose size differs from the first one's, or if the array would take more
        than `max_bytes`.
        """
        first = self[0][0]
        if len(self) * first.nbytes > max_bytes:
            raise too_large(self.root, max_bytes, f": {len(self):,} images of {_size(first)} pixels")
        images = np.empty((len(self), *first.shape), np.uint8)
        for place, (image, _) in zip(images, (self[i] for i in range(len(self)))):
            if image.shape != first.shape:
                number = next(i for i in range(len(self)) if self[i][0].shape != first.shape)
                raise DataError(
                    f"{self.samples[number].path} has {_size(image)} pixels, but the first image, "
                    f"{self.samples[0].path}, has {_size(first)}. One array needs one size; take the images one by one "
                    "and resize them."
                )
            place[:] = image
        return images, self.labels


def channels_first(image: Image) -> np.ndarray:
    """An image of Pillow as uint8 (C, H, W).

    Raises DataError for a mode whose values are not bytes.
    """
    pixels = np.asarray(image)
    if pixels.dtype != np.uint8:
        raise DataError(f"an image of mode {image.mode} has values of {pixels.dtype}; expected bytes. Take mode 'RGB'.")
    return pixels[None] if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _size(image: np.ndarray) -> str:
    return f"{image.shape[2]} × {image.shape[1]}"
