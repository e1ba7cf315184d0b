"""The handwritten digits that come with chainrule: 1,797 real images of 8 × 8 pixels.

They are the test part of *Optical Recognition of Handwritten Digits* by E. Alpaydin and C. Kaynak (1998),
UCI Machine Learning Repository, https://doi.org/10.24432/C50P49, licensed CC BY 4.0. `docs/data.md` tells how
they came about, what was done to them and what they are good for.
"""

import gzip
import hashlib
from pathlib import Path

import numpy as np

from chainrule.data.split import stratified_split
from chainrule.errors import DataError

DIGITS_FILE = Path(__file__).parent / "files" / "optdigits.csv.gz"
DIGITS_SHA256 = "02633070f0eba52475fb2cfaedcf256826aa2b6c462429e2e6d0826619fc55c9"


def load_digits_arrays() -> tuple[np.ndarray, np.ndarray]:
    """The shipped digits as NumPy arrays, in the order of the source.

    Returns:
        images: (1797, 8, 8), uint8. Each pixel counts the inked points in a 4 × 4 block of the scanned digit:
            0 (paper) to 16 (all ink).
        labels: (1797,), int64. The digit that was written, 0 to 9.

    Raises:
        DataError: the file is missing or is not, byte for byte, the one that was shipped.

    Source: Alpaydin and Kaynak (1998), https://doi.org/10.24432/C50P49, CC BY 4.0.

    >>> images, labels = load_digits_arrays()
    >>> images.shape, labels[:5]
    ((1797, 8, 8), array([0, 1, 2, 3, 4]))
    >>> for row in images[0]:
    ...     print("".join(" .:#"[pixel // 5] for pixel in row).rstrip())
      .:.
      :#:#.
      #  :.
      :  ..
     ..  ..
      :  :.
      :.::
      .::
    """
    try:
        compressed = DIGITS_FILE.read_bytes()
    except OSError as error:
        raise DataError(
            f"the digits that come with chainrule cannot be read: {error}. Installing chainrule again brings them back."
        ) from error
    checksum = hashlib.sha256(compressed).hexdigest()
    if checksum != DIGITS_SHA256:
        raise DataError(
            f"{DIGITS_FILE} is damaged: its SHA-256 is {checksum}, expected {DIGITS_SHA256}. Installing "
            "chainrule again mends it."
        )
    lines = gzip.decompress(compressed).decode("ascii").splitlines()
    table = np.loadtxt(lines, delimiter=",", dtype=np.uint8)  # 64 pixels, then the label
    return table[:, :64].reshape(-1, 8, 8), table[:, 64].astype(np.int64)


def split_digits(
    seed: int = 0, validation: float = 0.1, test: float = 0.2
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Divide the digits for training, validation and test, each with its share of every digit.

    Args:
        seed: which of the possible splits; any integer ≥ 0.
        validation: the fraction held out for choices during training, 0 to 1.
        test: the fraction held out for the final accuracy, 0 to 1. What is left, 1 − validation − test, is
            for training.

    Returns:
        training, validation, test: indices into the arrays of `load_digits_arrays`, int64, ascending,
            disjoint, together every index once.

    Raises:
        DataError: a fraction is outside 0 to 1, the two leave nothing for training, or the seed is negative.

    >>> training, validation, test = split_digits(seed=0)
    >>> len(training), len(validation), len(test)
    (1258, 180, 359)
    """
    if not validation + test < 1:
        raise DataError(
            f"validation={validation} and test={test} leave nothing to train on; their sum must stay below 1"
        )
    _, labels = load_digits_arrays()
    parts = stratified_split(labels, (1 - validation - test, validation, test), seed)
    return parts[0], parts[1], parts[2]
