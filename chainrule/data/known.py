"""Data sets by name, divided and scaled, ready for training."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import NamedTuple

from chainrule.data.dataset import TensorDataset
from chainrule.data.images import resize_images
from chainrule.data.optdigits import load_digits_arrays, split_digits
from chainrule.errors import DataError
from chainrule.functions.creation import from_numpy


class Splits(NamedTuple):
    """A data set divided: learn from `train`, choose by `validation`, and look at `test` once, at the end.

    `mean` and `std` are those of the training pixels in [0, 1], by which all three were standardised.
    """

    train: TensorDataset
    validation: TensorDataset
    test: TensorDataset
    mean: float
    std: float
    classes: int


def digits(size: int = 32, seed: int = 0) -> Splits:
    """The shipped handwritten digits: images float32 (N, 1, size, size), labels int64 (N,).

    The pixels are scaled to [0, 1], resized from 8×8, and standardised by mean and standard deviation of the training
    split. `seed` chooses the split: 1,258 for training, 180 for validation, 359 for testing. Raises DataError for a
    size below 1, a negative seed, or a damaged file. Source: Alpaydin and Kaynak (1998), `chainrule.data.optdigits`.

    >>> data = digits(size=8)
    >>> data.train[0][0].shape, len(data.test)
    (Size([1, 8, 8]), 359)
    """
    images, labels = load_digits_arrays()
    pixels = resize_images(images, size)[:, None] / 16
    parts = split_digits(seed)
    mean, std = float(pixels[parts[0]].mean()), float(pixels[parts[0]].std())
    sets = [
        TensorDataset(from_numpy(((pixels[part] - mean) / std).astype("float32")), from_numpy(labels[part]))
        for part in parts
    ]
    return Splits(sets[0], sets[1], sets[2], mean, std, classes=10)


_LOADERS: dict[str, Callable[..., Splits]] = {"digits": digits}


def names() -> list[str]:
    """The names of all data sets that `load` knows.

    >>> names()
    ['digits']
    """
    return sorted(_LOADERS)


def load(name: str, *, size: int, seed: int = 0) -> Splits:
    """A data set of images by its name. Raises DataError for a name that is unknown."""
    if name not in _LOADERS:
        close = difflib.get_close_matches(name.lower(), _LOADERS, n=1)
        hint = f" Did you mean {close[0]}?" if close else ""
        raise DataError(f"there is no data set {name!r}; there is {', '.join(names())}.{hint}")
    return _LOADERS[name](size=size, seed=seed)
