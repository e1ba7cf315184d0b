"""Data sets by name, divided and scaled, ready for training."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from chainrule.data.dataset import TensorDataset
from chainrule.data.images import resize_images
from chainrule.data.optdigits import load_digits_arrays, split_digits
from chainrule.data.split import stratified_split
from chainrule.devices import CPU
from chainrule.errors import DataError
from chainrule.functions.creation import from_numpy, make
from chainrule.tensor import Tensor

if TYPE_CHECKING:
    from chainrule.data.readers.source import FilePath
    from chainrule.data.readers.text import Vocabulary

_BLOCK = 256  # images at a time: what is computed from them stays in the processor's cache


class Splits(NamedTuple):
    """A data set divided: learn from `train`, choose by `validation`, and look at `test` once, at the end.

    `mean` and `std` are those of the training pixels in [0, 1], by which all three were standardised: numbers for grey
    images, tensors (3, 1, 1) for colour. `classes` counts them and `names` names them. A text has a `vocabulary`, which
    turns its numbers back into characters; its `classes` are the characters.
    """

    train: TensorDataset
    validation: TensorDataset
    test: TensorDataset
    mean: float | Tensor
    std: float | Tensor
    classes: int
    names: Sequence[str] = ()
    vocabulary: Vocabulary | None = None


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
    return Splits(sets[0], sets[1], sets[2], mean, std, classes=10, names=[str(digit) for digit in range(10)])


# The modules below are imported when they are used: archives and downloads bring a good part of Python's library along.


def _digits(size: int | None, seed: int, root: FilePath | None, download: bool) -> Splits:
    return digits(8 if size is None else size, seed)


def _mnist(name: str) -> Callable[..., Splits]:
    def load_it(size: int | None, seed: int, root: FilePath | None, download: bool) -> Splits:
        from chainrule.data.mnist import CLASSES, load_mnist_arrays

        images, labels = load_mnist_arrays(name, True, root, download)
        test_images, test_labels = load_mnist_arrays(name, False, root, download)
        return divide_images(images[:, None], labels, test_images[:, None], test_labels, size, seed, CLASSES[name])

    return load_it


def _cifar(classes: int) -> Callable[..., Splits]:
    def load_it(size: int | None, seed: int, root: FilePath | None, download: bool) -> Splits:
        from chainrule.data.cifar import load_cifar_arrays

        images, labels, names = load_cifar_arrays(classes, True, root, download)
        test_images, test_labels, _ = load_cifar_arrays(classes, False, root, download)
        return divide_images(images, labels, test_images, test_labels, size, seed, names)

    return load_it


def _shakespeare(size: int | None, seed: int, root: FilePath | None, download: bool) -> Splits:
    """Pieces of `size` characters (64 unless told otherwise) and the same one character later, int64 (N, size).

    The first 80 % of the text are for training, 10 % for validation, the last 10 % for testing. `seed` plays no part.
    """
    from chainrule.data.readers.text import Characters
    from chainrule.data.shakespeare import load_shakespeare_text

    length = 64 if size is None else size
    text = load_shakespeare_text(root, download)
    vocabulary = Characters.from_text(text)
    numbers = vocabulary.encode(text)
    if not 1 <= length < len(numbers) // 10:
        raise DataError(f"pieces of {length:,} characters: expected 1 to {len(numbers) // 10 - 1:,}.")
    sets = []
    for part in np.split(numbers, [len(numbers) * 8 // 10, len(numbers) * 9 // 10]):
        count = (len(part) - 1) // length
        pieces = [part[start : start + count * length].reshape(count, length) for start in (0, 1)]
        sets.append(TensorDataset(*(from_numpy(piece) for piece in pieces)))
    return Splits(sets[0], sets[1], sets[2], 0.0, 1.0, len(vocabulary), vocabulary.tokens, vocabulary)


_LOADERS: dict[str, Callable[..., Splits]] = {
    "digits": _digits,
    "mnist": _mnist("mnist"),
    "fashion-mnist": _mnist("fashion-mnist"),
    "cifar10": _cifar(10),
    "cifar100": _cifar(100),
    "shakespeare": _shakespeare,
}


def names() -> list[str]:
    """The names of all data sets that `load` knows.

    >>> names()
    ['cifar10', 'cifar100', 'digits', 'fashion-mnist', 'mnist', 'shakespeare']
    """
    return sorted(_LOADERS)


def load(
    name: str, *, size: int | None = None, seed: int = 0, root: FilePath | None = None, download: bool = True
) -> Splits:
    """A data set by its name, divided for training, validation and testing.

    Images are float32 (N, C, size, size), standardised channel by channel with the mean and standard deviation of the
    training pixels, and labels int64 (N,). Where a test set comes with the data it is the test set; a tenth of each
    class of the rest is for validation.

    Args:
        name: one of `names()`.
        size: the side that images are resized to, by default their own; for text the length of a piece, by default 64.
        seed: which split; any integer ≥ 0.
        root: the folder that has the files, or is to have them. Without it they are looked for in the folder that the
            environment variable `CHAINRULE_DATA` names and in the cache folder (`chainrule.data.places.cache_folder`).
        download: get what is nowhere from its published address, with its checksum checked.

    Raises:
        DataError: a name that is unknown; files that are not there and cannot be downloaded, or are damaged; a size or
            a seed out of range.

    >>> data = load("digits")
    >>> data.train[0][0].shape, data.classes
    (Size([1, 8, 8]), 10)
    """
    if name not in _LOADERS:
        close = difflib.get_close_matches(name.lower(), _LOADERS, n=1)
        hint = f" Did you mean {close[0]}?" if close else ""
        raise DataError(f"there is no data set {name!r}; there is {', '.join(names())}.{hint}")
    return _LOADERS[name](size=size, seed=seed, root=root, download=download)


def divide_images(
    images: np.ndarray, labels: np.ndarray, test_images: np.ndarray, test_labels: np.ndarray,
    size: int | None, seed: int, names: Sequence[str],
) -> Splits:  # fmt: skip
    """Splits from uint8 images (N, C, H, W), 0 to 255, of which the second ones are the test set."""
    if size is not None and (size, size) != images.shape[2:]:
        images, test_images = resize_images(images, size), resize_images(test_images, size)
    chosen, held_out = stratified_split(labels, (0.9, 0.1), seed)
    mean, std = pixel_statistics(images, chosen)
    everything = np.arange(len(test_labels))
    parts = ((images, labels, chosen), (images, labels, held_out), (test_images, test_labels, everything))
    sets = [
        TensorDataset(make(standardise_images(source, rows, mean, std), device=CPU), from_numpy(targets[rows]))
        for source, targets, rows in parts
    ]
    grey = len(mean) == 1
    scales: list[Any] = [float(x[0]) if grey else from_numpy(x.astype(np.float32)[:, None, None]) for x in (mean, std)]
    return Splits(sets[0], sets[1], sets[2], scales[0], scales[1], len(names), names)


def pixel_statistics(images: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of these images' pixels, scaled from 0–255 to 0–1, for each channel."""
    total, squares = np.zeros(images.shape[1]), np.zeros(images.shape[1])
    for start in range(0, len(rows), _BLOCK):
        block = images[rows[start : start + _BLOCK]].astype(np.float32)
        planes = block.reshape(*block.shape[:2], -1)
        total += planes.sum(-1).sum(0, dtype=np.float64)
        squares += np.einsum("nci,nci->nc", planes, planes).sum(0, dtype=np.float64)
    count = len(rows) * images[0, 0].size
    mean = total / count
    return mean / 255, np.sqrt(np.maximum(squares / count - mean**2, 1e-12)) / 255


def standardise_images(images: np.ndarray, rows: np.ndarray, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    """These images as float32 with mean 0 and standard deviation 1: (pixel / 255 − mean) / std."""
    factor = (1 / (255 * std)).astype(np.float32)[:, None, None]
    shift = (mean / std).astype(np.float32)[:, None, None]
    result = np.empty((len(rows), *images.shape[1:]), np.float32)
    for start in range(0, len(rows), _BLOCK):
        block = result[start : start + _BLOCK]
        np.multiply(images[rows[start : start + _BLOCK]], factor, out=block)
        block -= shift
    return result
