"""Dividing a data set into parts that look alike."""

from collections.abc import Sequence

import numpy as np

from chainrule.errors import DataError


def stratified_split(labels: np.ndarray, fractions: Sequence[float], seed: int = 0) -> list[np.ndarray]:
    r"""Divide examples at random into parts that all have the same mix of classes.

    The n examples of each class are shuffled and cut at the whole numbers nearest to n · (f₁ + … + fₚ), so
    every part p holds its share n · fₚ of the class to within one example. A class with very few examples may
    therefore be missing from a small part.

    Args:
        labels: (N,), one class for each example: integers, booleans or strings.
        fractions: how much each part gets: each 0 to 1, together 1.
        seed: which of the possible splits; any integer ≥ 0. The same labels, fractions and seed give the
            same split on every machine and with every version of NumPy.

    Returns:
        One array of indices per fraction, int64, ascending. They are disjoint and hold 0 … N − 1 once.

    Raises:
        DataError: the labels are not one-dimensional or not classes (fractional numbers), the fractions are
            not such parts of a whole, or the seed is negative.

    Source: W. G. Cochran, *Sampling Techniques*, 3rd edition (1977), chapter 5.

    >>> labels = np.array([0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1])
    >>> training, test = stratified_split(labels, (0.75, 0.25), seed=0)
    >>> np.bincount(labels[training]), np.bincount(labels[test])
    (array([3, 6]), array([1, 2]))
    """
    labels = _check_classes("labels", "class", labels)
    shares = _check_shares(fractions, seed)
    keys = _random_keys(len(labels), seed)
    _, classes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    order = np.lexsort((keys, classes))  # class after class, each in random order

    bounds = np.concatenate([[0.0], np.cumsum(shares)])
    bounds[-1] = 1.0  # the sum may miss it by a rounding error
    parts: list[list[np.ndarray]] = [[] for _ in shares]
    first = 0
    for count in counts:
        cuts = first + np.floor(bounds * count + 0.5).astype(np.int64)
        for part, start, stop in zip(parts, cuts[:-1], cuts[1:], strict=True):
            part.append(order[start:stop])
        first += count
    nothing = np.empty(0, np.int64)
    return [np.sort(np.concatenate([nothing, *part])) for part in parts]


def grouped_split(groups: np.ndarray, fractions: Sequence[float], seed: int = 0) -> list[np.ndarray]:
    """Divide examples at random into parts such that no group is in two of them.

    For examples that belong together (images of one patient, pages of one writer): were some of them in the training
    part and others in the test part, the test would be too easy. The groups are shuffled; one after the other goes to
    the part that lacks most examples, so no part exceeds its share by a whole largest group.

    Args:
        groups: (N,), the group of each example: integers, booleans or strings.
        fractions: how much each part shall get: each 0 to 1, together 1.
        seed: which of the possible splits; any integer ≥ 0. The same on every machine, as in `stratified_split`.

    Returns:
        One array of indices per fraction, int64, ascending. They are disjoint and hold 0 … N − 1 once.

    Raises:
        DataError: as `stratified_split`, said of groups.

    >>> writers = np.array(["ada", "ada", "bob", "cy", "cy", "cy", "dan", "eve"])
    >>> training, test = grouped_split(writers, (0.75, 0.25), seed=0)
    >>> set(writers[training]) & set(writers[test])
    set()
    """
    groups = _check_classes("groups", "group", groups)
    shares = _check_shares(fractions, seed)
    _, group_of, counts = np.unique(groups, return_inverse=True, return_counts=True)
    lacking = shares * len(groups)
    part_of = np.empty(len(counts), np.int64)
    for group in np.argsort(_random_keys(len(counts), seed)):
        part_of[group] = lacking.argmax()
        lacking[part_of[group]] -= counts[group]
    return [np.flatnonzero(part_of[group_of] == part) for part in range(len(shares))]


def _check_classes(what: str, each: str, given: np.ndarray) -> np.ndarray:
    classes = np.asarray(given)
    if classes.ndim != 1 or classes.dtype.kind not in "biuSU":
        raise DataError(
            f"{what} must be one-dimensional, one {each} for each example (integers, booleans or strings); "
            f"got shape {classes.shape} of {classes.dtype}"
        )
    return classes


def _check_shares(fractions: Sequence[float], seed: int) -> np.ndarray:
    try:
        shares = np.asarray(fractions, dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError(f"fractions must be numbers that add up to 1; got {fractions!r}") from None
    if shares.ndim != 1 or not (shares >= 0).all() or not abs(shares.sum() - 1) < 1e-9:
        raise DataError(f"fractions must each be 0 to 1 and add up to 1; got {list(fractions)}")
    if not isinstance(seed, (int, np.integer)):
        raise DataError(
            f"seed must be a whole number; got {seed!r:.60}. What is divided comes first, then the fractions, then the "
            "seed: stratified_split(labels, (0.8, 0.2), seed=0)"
        )
    if seed < 0:
        raise DataError(f"seed must be 0 or more; got {seed}")
    return shares


def _random_keys(count: int, seed: int) -> np.ndarray:
    """Random numbers by which sorting shuffles.

    The raw bits of a bit generator are the one thing NumPy promises never to change; `permutation` and its like may
    differ from version to version.
    """
    return np.random.PCG64(seed).random_raw(count)
