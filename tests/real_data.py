"""Where the real data for tests lies, and what a test says where it does not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

#: What each is, and where it comes from.
ORIGINS = {
    "mnist": "MNIST, 70,000 handwritten digits in the four IDX files of LeCun, Cortes and Burges "
    "(https://storage.googleapis.com/cvdf-datasets/mnist/)",
    "cifar10-jpeg.tar.xz": "CIFAR-10, 60,000 photographs of Krizhevsky (https://www.cs.toronto.edu/~kriz/cifar.html), "
    "as train/CLASS/NNNN.jpg and test/CLASS/NNNN.jpg",
    "tinyshakespeare.txt": "1.1 million characters of Shakespeare "
    "(https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt)",
}


def real_data(*names: str) -> Path:
    """The folder with these files: `CHAINRULE_DATA`, else `../shared/data` beside the project. Skips without them."""
    folder = Path(os.environ.get("CHAINRULE_DATA") or Path(__file__).parents[2] / "shared" / "data")
    for name in names:
        if not (folder / name).exists():
            pytest.skip(f"{folder / name} is not here ({ORIGINS[name]}); CHAINRULE_DATA may name another folder")
    return folder
