"""Scenes of digits: pictures composed of known ones, so that it is known which pixel belongs to what.

A small data set for segmentation and for keypoints, from any data set of grey images with labels.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from chainrule.data.known import load
from chainrule.data.readers.source import FilePath

#: What counts as ink.
INK = 0.5
#: The points of a digit that `extremes` finds, in this order.
POINTS = ("top", "bottom", "left", "right")


class Scenes(NamedTuple):
    """Composed pictures.

    Attributes:
        images: uint8 (N, 1, size, size).
        masks: int64 (N, size, size): 0 where there is nothing, 1 + label where there is ink.
        points: float32 (N, 4, 2): where the last digit is uppermost, lowest, farthest left and right; (x, y) in pixels.
    """

    images: np.ndarray
    masks: np.ndarray
    points: np.ndarray


def digit_scenes(
    name: str = "digits",
    *,
    size: int = 32,
    digits: int = 2,
    digit_size: int = 16,
    seed: int = 0,
    root: FilePath | None = None,
) -> tuple[Scenes, Scenes, Scenes]:
    """Scenes for training, validation and testing, one for each sample of the data set's parts.

    Args:
        name: "digits", "mnist" or "fashion-mnist".
        size: the side of a scene.
        digits: how many are in it, at random places; they may touch.
        digit_size: the side that each gets.
        seed: where they come from.
        root: the folder with known data's files.

    Raises ValueError for digits that do not fit into the scene, and for data that are not grey images.

    >>> train, validation, test = digit_scenes(size=24, digits=1)
    >>> train.images.shape, int(train.masks.max()), test.points.shape
    ((1258, 1, 24, 24), 10, (359, 4, 2))
    """
    if digit_size > size or digits < 1:
        raise ValueError(f"{digits} digits of {digit_size} pixels do not fit into a scene of {size}.")
    splits = load(name, size=digit_size, seed=seed, root=root)
    random = np.random.default_rng(seed)
    parts = []
    for samples in (splits.train, splits.validation, splits.test):
        images, labels = (part.numpy() for part in samples[:])
        if images.ndim != 4 or images.shape[1] != 1:
            raise ValueError(f"scenes are composed of grey images; those of {name} are {images.shape[1:]}.")
        pixels = np.clip(images[:, 0] * np.asarray(splits.std) + np.asarray(splits.mean), 0, 1)
        parts.append(_compose(pixels, labels, size, digits, random))
    return parts[0], parts[1], parts[2]


def _compose(pixels: np.ndarray, labels: np.ndarray, size: int, digits: int, random: np.random.Generator) -> Scenes:
    count, side, _ = pixels.shape
    images, masks = np.zeros((count, size, size)), np.zeros((count, size, size), np.int64)
    points = np.zeros((count, 4, 2), np.float32)
    for digit in range(digits):
        which = random.permutation(count)
        corners = random.integers(0, size - side + 1, (count, 2))
        for scene, (sample, (top, left)) in enumerate(zip(which, corners, strict=True)):
            place = (scene, slice(top, top + side), slice(left, left + side))
            masks[place] = np.where(pixels[sample] > INK, labels[sample] + 1, masks[place])
            images[place] = np.maximum(images[place], pixels[sample])
            if digit == digits - 1:
                points[scene] = extremes(pixels[sample]) + np.asarray((left, top))
    return Scenes(np.round(images * 255).astype(np.uint8)[:, None], masks, points)


def extremes(pixels: np.ndarray) -> np.ndarray:
    """Where the ink of an image (H, W) is uppermost, lowest, farthest left and right: (4, 2), (x, y).

    Of several such pixels it is their middle. An image without ink has all four in its middle.

    >>> extremes(np.asarray([[0, 1, 0], [1, 1, 0], [0, 0, 0]])).tolist()
    [[1.0, 0.0], [0.5, 1.0], [0.0, 1.0], [1.0, 0.5]]
    """
    rows, columns = np.nonzero(pixels > INK)
    if not len(rows):
        return np.full((4, 2), (np.asarray(pixels.shape[::-1]) - 1) / 2)
    first, last, left, right = rows.min(), rows.max(), columns.min(), columns.max()
    return np.asarray(
        [
            (columns[rows == first].mean(), first),
            (columns[rows == last].mean(), last),
            (left, rows[columns == left].mean()),
            (right, rows[columns == right].mean()),
        ],
        float,
    )
