"""The binary version of CIFAR-10 and CIFAR-100: label bytes and 3,072 pixel bytes for each image."""

from __future__ import annotations

import numpy as np

from chainrule.data.readers.source import MAX_BYTES, FilePath, read_bytes
from chainrule.errors import DataError

_PIXELS = 3 * 32 * 32


def read_cifar10(path: FilePath, max_bytes: int = MAX_BYTES) -> tuple[np.ndarray, np.ndarray]:
    """One file of CIFAR-10, such as `data_batch_1.bin`: the images and their classes.

    Returns:
        images: (N, 3, 32, 32), uint8; red, green, blue.
        labels: (N,), int64, 0 to 9.

    Raises:
        DataError: the file cannot be read, is not a whole number of records, or has a label that is none.

    Source: A. Krizhevsky, *Learning Multiple Layers of Features from Tiny Images* (2009).

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder) / "one.bin"
    ...     _ = file.write_bytes(bytes([7]) + bytes(3072))
    ...     images, labels = read_cifar10(file)
    >>> images.shape, labels
    ((1, 3, 32, 32), array([7]))
    """
    images, labels = _records(path, [("class", 10)], max_bytes)
    return images, labels[0]


def read_cifar100(path: FilePath, max_bytes: int = MAX_BYTES) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One file of CIFAR-100, `train.bin` or `test.bin`: images, classes (0 to 99), superclasses (0 to 19).

    Shapes, types and errors as `read_cifar10`.
    """
    images, (coarse, fine) = _records(path, [("superclass", 20), ("class", 100)], max_bytes)
    return images, fine, coarse


def _records(path: FilePath, kinds: list[tuple[str, int]], max_bytes: int) -> tuple[np.ndarray, list[np.ndarray]]:
    content = read_bytes(path, max_bytes)
    size = len(kinds) + _PIXELS
    if not content or len(content) % size:
        whole, rest = divmod(len(content), size)
        raise DataError(
            f"{path} has {len(content):,} bytes: {whole:,} records of {size:,} and {rest:,} bytes more. The file is "
            f"cut short, or is not the binary version of CIFAR-{kinds[-1][1]}."
        )
    table = np.frombuffer(content, np.uint8).reshape(-1, size)
    labels = []
    for position, (kind, count) in enumerate(kinds):
        column = table[:, position].astype(np.int64)
        if column.max() >= count:
            record = int((column >= count).argmax())
            raise DataError(
                f"{path}, byte {record * size + position:,} (record {record:,}): the {kind} is {column[record]}; "
                f"expected 0 to {count - 1}."
            )
        labels.append(column)
    return np.ascontiguousarray(table[:, len(kinds) :]).reshape(-1, 3, 32, 32), labels
