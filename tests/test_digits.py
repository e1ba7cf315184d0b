"""The shipped digits, how they are split, and how images are resized."""

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainrule.data import optdigits as digits
from chainrule.data.images import resize_images
from chainrule.data.optdigits import load_digits_arrays, split_digits
from chainrule.data.split import stratified_split
from chainrule.errors import DataError

DOCUMENT = Path(__file__).parent.parent / "docs" / "data.md"


def test_file_has_the_checksum_that_the_documentation_states() -> None:
    checksum = hashlib.sha256(digits.DIGITS_FILE.read_bytes()).hexdigest()
    assert re.findall(r"`([0-9a-f]{64})`", DOCUMENT.read_text(encoding="utf-8")) == [checksum]


def test_shapes_types_and_ranges() -> None:
    images, labels = load_digits_arrays()
    assert images.shape == (1797, 8, 8) and images.dtype == np.uint8
    assert labels.shape == (1797,) and labels.dtype == np.int64
    assert images.min() == 0 and images.max() == 16
    assert set(labels.tolist()) == set(range(10))


def test_counts_of_each_digit() -> None:
    # The numbers of optdigits.names, the description that comes with the data set.
    _, labels = load_digits_arrays()
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_first_image_is_the_source_s_first_line() -> None:
    images, labels = load_digits_arrays()
    first = [
        [0, 0, 5, 13, 9, 1, 0, 0],
        [0, 0, 13, 15, 10, 15, 5, 0],
        [0, 3, 15, 2, 0, 11, 8, 0],
        [0, 4, 12, 0, 0, 8, 8, 0],
        [0, 5, 8, 0, 0, 9, 8, 0],
        [0, 4, 11, 0, 1, 12, 7, 0],
        [0, 2, 14, 5, 10, 12, 0, 0],
        [0, 0, 6, 13, 10, 0, 0, 0],
    ]
    assert images[0].tolist() == first and labels[0] == 0


def test_arrays_are_the_caller_s_own() -> None:
    images, _ = load_digits_arrays()
    images[:] = 0
    assert load_digits_arrays()[0].any()


@pytest.mark.parametrize("damage", ["cut short", "one bit", "empty"])
def test_damaged_file_is_refused(damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = bytearray(digits.DIGITS_FILE.read_bytes())
    if damage == "cut short":
        del content[-100:]
    elif damage == "one bit":
        content[30_000] ^= 1
    else:
        content.clear()
    damaged = tmp_path / "optdigits.csv.gz"
    damaged.write_bytes(content)
    monkeypatch.setattr(digits, "DIGITS_FILE", damaged)
    with pytest.raises(DataError, match=r"optdigits\.csv\.gz is damaged: its SHA-256 is .* again mends it"):
        load_digits_arrays()


def test_missing_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digits, "DIGITS_FILE", tmp_path / "nowhere.csv.gz")
    with pytest.raises(DataError, match=r"cannot be read: .*nowhere\.csv\.gz"):
        load_digits_arrays()


def test_split_of_the_digits() -> None:
    _, labels = load_digits_arrays()
    parts = split_digits(seed=3, validation=0.15, test=0.25)
    assert np.sort(np.concatenate(parts)).tolist() == list(range(1797))
    for part, fraction in zip(parts, (0.6, 0.15, 0.25), strict=True):
        shares = np.bincount(labels[part]) - fraction * np.bincount(labels)
        assert np.abs(shares).max() < 1


def test_split_is_the_same_everywhere_and_differs_by_seed() -> None:
    parts = split_digits()
    # Written down once. A change here would quietly move test images into everybody's training data.
    assert [len(part) for part in parts] == [1258, 180, 359]
    together = np.concatenate(parts).astype("<i8").tobytes()
    assert hashlib.sha256(together).hexdigest()[:16] == "a920cfcc1562d23a"
    assert not np.array_equal(split_digits(seed=1)[2], parts[2])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"validation": 0.5, "test": 0.5}, "leave nothing to train on"),
        ({"validation": float("nan")}, "leave nothing to train on"),
        ({"validation": -0.1}, "each be 0 to 1"),
        ({"seed": -1}, "seed must be 0 or more"),
    ],
)
def test_split_refuses(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(DataError, match=message):
        split_digits(**arguments)  # type: ignore[arg-type]


@given(
    labels=st.lists(st.integers(-3, 6), max_size=60),
    weights=st.lists(st.integers(0, 5), min_size=1, max_size=5).filter(any),
    seed=st.integers(0, 2**70),
)
def test_stratified_split_holds_for_any_labels(labels: list[int], weights: list[int], seed: int) -> None:
    array = np.array(labels, dtype=np.int64)
    fractions = [weight / sum(weights) for weight in weights]
    parts = stratified_split(array, fractions, seed)
    assert np.sort(np.concatenate(parts)).tolist() == list(range(len(labels)))
    for part, fraction in zip(parts, fractions, strict=True):
        assert part.dtype == np.int64 and (np.diff(part) > 0).all()
        for label in set(labels):
            assert abs((array[part] == label).sum() - fraction * labels.count(label)) < 1 + 1e-9


def test_stratified_split_takes_names_as_classes() -> None:
    labels = np.array(["cat", "dog"] * 10)
    training, test = stratified_split(labels, (0.7, 0.3))
    assert sorted(labels[training]) == ["cat"] * 7 + ["dog"] * 7 and len(test) == 6


def test_stratified_split_gives_every_example_an_equal_chance() -> None:
    labels = np.repeat([0, 1], [10, 30])
    drawn = np.zeros(40)
    for seed in range(400):
        drawn[stratified_split(labels, (0.7, 0.3), seed)[1]] += 1
    # A count is binomial with 400 draws of 0.3: mean 120, standard deviation 9.2. Five of those either way.
    assert np.abs(drawn - 120).max() < 46


@pytest.mark.parametrize(
    ("labels", "fractions"),
    [
        (np.zeros((3, 1), int), (0.5, 0.5)),
        (np.zeros(3), (0.5, 0.5)),
        (np.zeros(3, int), (0.5, 0.6)),
        (np.zeros(3, int), (1.5, -0.5)),
        (np.zeros(3, int), (float("nan"), 1.0)),
        (np.zeros(3, int), ()),
    ],
)
def test_stratified_split_refuses(labels: np.ndarray, fractions: tuple[float, ...]) -> None:
    with pytest.raises(DataError):
        stratified_split(labels, fractions)


def triangle_weights(old: int, new: int) -> np.ndarray:
    """(new, old): how much each old pixel counts for each new one, straight from the definition."""
    widening = max(old / new, 1.0)
    centres = (np.arange(new) + 0.5) * old / new - 0.5
    weights = np.maximum(0, 1 - np.abs(centres[:, None] - np.arange(old)) / widening)
    return weights / weights.sum(axis=1, keepdims=True)


@given(
    old=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    new=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    count=st.integers(0, 3),
)
def test_resize_is_two_weighted_sums(old: tuple[int, int], new: tuple[int, int], count: int) -> None:
    images = np.random.default_rng(0).normal(size=(count, 2, *old))
    expected = triangle_weights(old[0], new[0]) @ images @ triangle_weights(old[1], new[1]).T
    resized = resize_images(images, new)
    assert resized.dtype == np.float32
    np.testing.assert_allclose(resized, expected, rtol=0, atol=2e-6)


@pytest.mark.peer
@pytest.mark.parametrize("size", [(32, 32), (5, 20), (3, 3)])
def test_resize_equals_pytorch(size: tuple[int, int]) -> None:
    torch = pytest.importorskip("torch")
    images = load_digits_arrays()[0][:50].astype(np.float32)
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(images)[:, None], size=size, mode="bilinear", align_corners=False, antialias=True
    )
    np.testing.assert_allclose(resize_images(images, size), expected[:, 0].numpy(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float16, np.float64])
def test_resize_takes_any_real_type_and_layout(dtype: type) -> None:
    images = np.arange(24).reshape(2, 3, 4).astype(dtype)[:, ::-1, ::2]  # neither contiguous nor ascending
    assert np.array_equal(resize_images(images, (3, 2)), images.astype(np.float32))


def test_resize_keeps_a_constant_and_the_range() -> None:
    assert (resize_images(np.full((8, 8), 7), 32) == 7).all()
    resized = resize_images(load_digits_arrays()[0], 32)
    assert resized.shape == (1797, 32, 32) and resized.min() == 0 and resized.max() <= 16


@pytest.mark.parametrize(
    ("images", "size"),
    [
        (np.zeros(4), 2),
        (np.zeros((2, 0, 4)), 2),
        (np.zeros((4, 4), complex), 2),
        (np.zeros((4, 4), object), 2),
        (np.zeros((4, 4)), 0),
        (np.zeros((4, 4)), (3, -1)),
    ],
)
def test_resize_refuses(images: np.ndarray, size: int | tuple[int, int]) -> None:
    with pytest.raises(DataError):
        resize_images(images, size)
