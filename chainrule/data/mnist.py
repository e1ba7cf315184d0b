"""MNIST, Fashion-MNIST and Kuzushiji-MNIST: 70,000 grey images of 28 × 28 pixels in ten classes, in four IDX files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from chainrule.data.download import download as fetch
from chainrule.data.places import cache_folder, not_found, search_folders
from chainrule.data.readers.idx import read_idx
from chainrule.data.readers.source import FilePath
from chainrule.errors import DataError

FOLDERS = {
    "mnist": ("MNIST/raw", "MNIST", "mnist"),
    "fashion-mnist": ("FashionMNIST/raw", "FashionMNIST", "fashion-mnist"),
    "kmnist": ("KMNIST/raw", "KMNIST", "kmnist"),
}
CLASSES = {
    "mnist": [
        "0 - zero", "1 - one", "2 - two", "3 - three", "4 - four",
        "5 - five", "6 - six", "7 - seven", "8 - eight", "9 - nine",
    ],
    "fashion-mnist": [
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    ],
    "kmnist": ["o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"],
}  # fmt: skip
_ADDRESSES = {
    "mnist": ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"),
    "fashion-mnist": ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
    "kmnist": ("http://codh.rois.ac.jp/kmnist/dataset/kmnist/",),
}
# Of the compressed files as they are published. What is not here is not downloaded: nobody could tell that it is whole.
_SHA256 = {
    "mnist": {
        "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    },
    "fashion-mnist": {
        "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    },
}


def load_mnist_arrays(
    name: str = "mnist", train: bool = True, root: FilePath | None = None, download: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """The images and labels of MNIST, Fashion-MNIST or Kuzushiji-MNIST.

    Args:
        name: "mnist", "fashion-mnist" or "kmnist", whose files are read and not downloaded.
        train: the 60,000 for training, or the 10,000 for testing.
        root: where the files are, or are to be downloaded to; else `CHAINRULE_DATA` and the cache folder.
        download: get them if they are not there.

    Returns:
        images: (N, 28, 28), uint8, 0 (background) to 255.
        labels: (N,), int64, 0 to 9.

    Raises:
        DataError: the files are not there, cannot be downloaded, are damaged, or are not what they should be.

    Source: LeCun, Bottou, Bengio and Haffner, "Gradient-Based Learning Applied to Document Recognition" (1998); Xiao,
    Rasul and Vollgraf, "Fashion-MNIST" (2017); Clanuwat and others, "Deep Learning for Classical Japanese Literature"
    (2018).
    """
    prefix = "train" if train else "t10k"
    stems = (f"{prefix}-images-idx3-ubyte", f"{prefix}-labels-idx1-ubyte")
    files = _find(name, stems, root)
    if files is None:
        if name not in _SHA256:
            place = (cache_folder() if root is None else Path(root)) / FOLDERS[name][0]
            raise DataError(f"{name} is not downloaded: put its four files from {_ADDRESSES[name][0]} into {place}.")
        if not download:
            raise not_found(name, f"{stems[0]}[.gz] in {' or '.join(FOLDERS[name])}", root, _ADDRESSES[name][0])
        folder = (cache_folder() if root is None else Path(root)) / FOLDERS[name][0]
        sums = _SHA256[name]
        files = [
            fetch([f"{base}{stem}.gz" for base in _ADDRESSES[name]], folder / f"{stem}.gz", sums[f"{stem}.gz"])
            for stem in stems
        ]
    images, labels = (read_idx(file) for file in files)
    if images.dtype != np.uint8 or images.ndim != 3:
        raise DataError(f"{files[0]} holds {images.dtype} of shape {images.shape}; expected images, uint8 (N, H, W).")
    if labels.dtype != np.uint8 or labels.shape != images.shape[:1]:
        raise DataError(
            f"{files[1]} holds {labels.dtype} of shape {labels.shape}; expected {len(images):,} labels, uint8."
        )
    if len(labels) and labels.max() > 9:
        raise DataError(f"{files[1]}: label {int((labels > 9).argmax()):,} is {labels.max()}; expected 0 to 9.")
    return images, labels.astype(np.int64)


def _find(name: str, stems: tuple[str, str], root: FilePath | None) -> list[Path] | None:
    """The files of images and labels, in the first folder that has both."""
    for folder in search_folders(root, FOLDERS[name]):
        found = []
        for stem in stems:
            spellings = (stem, f"{stem}.gz", stem.replace("-idx", ".idx"), stem.replace("-idx", ".idx") + ".gz")
            found += [folder / spelling for spelling in spellings if (folder / spelling).is_file()][:1]
        if len(found) == 2:
            return found
    return None
