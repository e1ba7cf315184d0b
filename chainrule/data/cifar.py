"""CIFAR-10 and CIFAR-100: 60,000 colour images of 32 × 32 pixels in ten or a hundred classes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from chainrule.data.archive import members, unpack
from chainrule.data.download import download as fetch
from chainrule.data.places import cache_folder, decoded_once, not_found, search_folders, search_roots
from chainrule.data.readers.cifar import read_cifar10, read_cifar100
from chainrule.data.readers.folder import ImageFolder, channels_first, decode_image
from chainrule.data.readers.source import FilePath
from chainrule.data.readers.text import read_text
from chainrule.errors import DataError

CIFAR10_CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]

_BASE = "https://www.cs.toronto.edu/~kriz/"
_SHA256 = {
    "cifar-10-binary.tar.gz": "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    "cifar-100-binary.tar.gz": "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
}
# The folder in each archive, and the files in it.
_FOLDERS = {10: "cifar-10-batches-bin", 100: "cifar-100-binary"}
_ARCHIVES = {10: "cifar-10-binary.tar.gz", 100: "cifar-100-binary.tar.gz"}
_FILES = {
    (10, True): [f"data_batch_{number}.bin" for number in range(1, 6)],
    (10, False): ["test_batch.bin"],
    (100, True): ["train.bin"],
    (100, False): ["test.bin"],
}
_NAMES = {10: "batches.meta.txt", 100: "fine_label_names.txt"}
_JPEG_ARCHIVE = "cifar10-jpeg.tar.xz"


def load_cifar_arrays(
    classes: int = 10, train: bool = True, root: FilePath | None = None, download: bool = True
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """The images and labels of CIFAR-10 or CIFAR-100.

    They are found as the original binary files (`cifar-10-batches-bin`, `cifar-100-binary`) or the archives that these
    come in; CIFAR-10 also as an image folder `cifar10/train/<class>`, `cifar10/test/<class>` or the archive
    `cifar10-jpeg.tar.xz` of one. An archive is decoded once and then kept in the cache folder.

    Args:
        classes: 10 or 100.
        train: the 50,000 for training, or the 10,000 for testing.
        root: where the files are, or are to be downloaded to; else `CHAINRULE_DATA` and the cache folder.
        download: get the binary version if nothing is there.

    Returns:
        images: (N, 3, 32, 32), uint8; red, green, blue.
        labels: (N,), int64.
        names: of the classes.

    Raises:
        DataError: the files are not there, cannot be downloaded, are damaged, or are not what they should be.

    Source: A. Krizhevsky, *Learning Multiple Layers of Features from Tiny Images* (2009).
    """
    name = f"cifar{classes}"
    binary = _FOLDERS[classes]
    for folder in search_folders(root, (binary, f"{name}/{binary}", name)):
        if all((folder / file).is_file() for file in _FILES[classes, train]):
            return _read_binary(folder, classes, train)
        if classes == 10 and (folder / "train").is_dir() and (folder / "test").is_dir():
            return _read_folder(folder / ("train" if train else "test"))
    for place in search_roots(root):
        for archive in (place / _ARCHIVES[classes], *([place / _JPEG_ARCHIVE] if classes == 10 else [])):
            if archive.is_file():
                return _read_archive(archive, classes, train)
    if not download:
        wanted = f"{binary}, {_ARCHIVES[classes]}" + (f" or {_JPEG_ARCHIVE}" if classes == 10 else "")
        raise not_found(name, wanted, root, _BASE + _ARCHIVES[classes])
    base = cache_folder() if root is None else Path(root)
    archive = fetch(_BASE + _ARCHIVES[classes], base / _ARCHIVES[classes], _SHA256[_ARCHIVES[classes]])
    unpack(archive, base / name)
    return _read_binary(base / name / binary, classes, train)


def _read_binary(folder: Path, classes: int, train: bool) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """The original files. Those of CIFAR-100 have superclasses too, which are left out."""
    if classes == 10:
        parts = [read_cifar10(folder / file) for file in _FILES[10, train]]
    else:
        parts = [read_cifar100(folder / file)[:2] for file in _FILES[100, train]]
    names = _class_names(folder / _NAMES[classes], classes)
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts]), names


def _class_names(path: Path, classes: int) -> list[str]:
    if not path.is_file():
        return CIFAR10_CLASSES if classes == 10 else [str(number) for number in range(classes)]
    names = [line.strip() for line in read_text(path, 2**16).splitlines() if line.strip()]
    if len(names) != classes:
        raise DataError(f"{path} has {len(names)} names of classes; expected {classes}.")
    return names


def _read_folder(folder: Path) -> tuple[np.ndarray, np.ndarray, list[str]]:
    source = ImageFolder(folder)
    images, labels = source.arrays()
    return images, labels, source.classes


def _read_archive(archive: Path, classes: int, train: bool) -> tuple[np.ndarray, np.ndarray, list[str]]:
    decode = _decode_images if archive.name == _JPEG_ARCHIVE else _decode_binary
    part = "train" if train else "test"
    arrays = decoded_once(archive, (f"{part}_images", f"{part}_labels", "names"), lambda: decode(archive, classes))
    return arrays[f"{part}_images"], arrays[f"{part}_labels"], [str(name) for name in arrays["names"]]


def _decode_binary(archive: Path, classes: int) -> dict[str, np.ndarray]:
    """Both parts of the archive with the original files, which is unpacked for the moment."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = unpack(archive, Path(temporary) / "unpacked", max_bytes=2**30) / _FOLDERS[classes]
        arrays: dict[str, np.ndarray] = {}
        for part, train in (("train", True), ("test", False)):
            images, labels, names = _read_binary(folder, classes, train)
            arrays |= {f"{part}_images": images, f"{part}_labels": labels, "names": np.array(names)}
        return arrays


def _decode_images(archive: Path, classes: int) -> dict[str, np.ndarray]:
    """Both parts of the archive of JPEG files `train/<class>/<number>.jpg`, read without unpacking it."""
    arrays: dict[str, np.ndarray] = {"names": np.array(CIFAR10_CLASSES)}
    images: dict[str, list[np.ndarray]] = {"train": [], "test": []}
    labels: dict[str, list[int]] = {"train": [], "test": []}
    for part, name, image in _images_in(archive):
        images[part].append(image)
        labels[part].append(CIFAR10_CLASSES.index(name))
    for part in images:
        if not images[part]:
            raise DataError(f"{archive} has no images in {part}/.")
        # Classes in order, as in a folder; within a class the archive's order.
        order = np.argsort(labels[part], kind="stable")
        arrays[f"{part}_images"] = np.stack(images[part])[order]
        arrays[f"{part}_labels"] = np.array(labels[part], np.int64)[order]
    return arrays


def _images_in(archive: Path) -> Iterator[tuple[str, str, np.ndarray]]:
    for member in members(archive, max_bytes=2**30):
        place = f"{archive}, {member.name}"
        part, _, rest = member.name.partition("/")
        name = rest.partition("/")[0]
        if part not in ("train", "test") or name not in CIFAR10_CLASSES:
            raise DataError(f"{place}: expected train/<class>/<image> or test/<class>/<image>.")
        image = channels_first(decode_image(member.file.read(2**20), place))
        if image.shape != (3, 32, 32):
            raise DataError(f"{place}: an image of {image.shape[2]} × {image.shape[1]} pixels; expected 32 × 32.")
        yield part, name, image
