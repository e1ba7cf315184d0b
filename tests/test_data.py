"""Batches of a data set, the digits as tensors, and shifted images."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import chainrule
from chainrule import data


def test_batches_show_every_sample_once_in_a_new_order_each_time() -> None:
    loader = data.DataLoader(data.TensorDataset(chainrule.arange(23)), batch_size=5, shuffle=True)
    passes = [[batch.tolist() for (batch,) in loader] for _ in range(2)]
    assert [len(b) for b in passes[0]] == [5, 5, 5, 5, 3] and len(loader) == 5
    assert sorted(n for batch in passes[0] for n in batch) == list(range(23)) and passes[0] != passes[1]
    short = data.DataLoader(loader.dataset, 5, drop_last=True)
    assert len(short) == len(list(short)) == 4
    orders = [
        [b.tolist() for (b,) in data.DataLoader(loader.dataset, 5, True, generator=chainrule.Generator(3))]
        for _ in range(2)
    ]
    assert orders[0] == orders[1]
    with pytest.raises(ValueError, match="batch_size=0"):
        data.DataLoader(loader.dataset, 0)
    with pytest.raises(chainrule.ShapeError, match="equal length"):
        data.TensorDataset(chainrule.ones(2), chainrule.ones(3))


def test_digits_are_standardised_by_the_training_split() -> None:
    splits = data.digits(size=32)
    images, labels = splits.train.tensors
    assert images.shape == (1258, 1, 32, 32) and labels.dtype is chainrule.int64
    assert abs(images.mean().item()) < 1e-4 and abs(images.std().item() - 1) < 1e-3
    with pytest.raises(chainrule.DataError, match="digits"):
        data.load("digit", size=8)


@given(
    count=st.integers(0, 40), batch_size=st.integers(1, 45), shuffle=st.booleans(), drop_last=st.booleans(),
    seed=st.integers(0, 2**64 - 1),
)  # fmt: skip
def test_a_pass_shows_every_sample_once(count: int, batch_size: int, shuffle: bool, drop_last: bool, seed: int) -> None:
    set_ = data.TensorDataset(chainrule.arange(count), chainrule.arange(count).float() * 2)

    def one_pass() -> list[list[int]]:
        generator = chainrule.Generator(seed)
        loader = data.DataLoader(set_, batch_size, shuffle, drop_last=drop_last, generator=generator)
        batches = list(loader)
        assert len(batches) == len(loader)
        assert all((x * 2).tolist() == y.tolist() for x, y in batches), "what belongs together stays together"
        return [x.tolist() for x, _ in batches]

    batches = one_pass()
    sizes = [len(batch) for batch in batches]
    whole, rest = divmod(count, batch_size)
    assert sizes == [batch_size] * whole + ([rest] if rest and not drop_last else [])
    shown = [number for batch in batches for number in batch]
    assert len(set(shown)) == len(shown) and set(shown) <= set(range(count))
    assert shuffle or shown == list(range(len(shown)))
    assert one_pass() == batches, "the same seed, the same order"


def test_shuffling_leaves_no_place_to_any_sample() -> None:
    loader = data.DataLoader(data.TensorDataset(chainrule.arange(6)), 6, True, generator=chainrule.Generator(0))
    first_places = [int(next(iter(loader))[0][0]) for _ in range(600)]
    # Each count is binomial with 600 draws of 1/6: mean 100, standard deviation 9.1. Five of those either way.
    assert all(abs(first_places.count(number) - 100) < 46 for number in range(6))


def test_all_splits_of_the_digits_are_scaled_alike() -> None:
    splits = data.digits(size=8)
    assert [len(part) for part in splits[:3]] == [1258, 180, 359]
    for images, labels in (part.tensors for part in splits[:3]):
        assert images.dtype is chainrule.float32 and labels.shape == (len(images),)
        pixels = (images * splits.std + splits.mean) * 16
        assert (pixels - pixels.round()).abs().max().item() < 1e-4, "the shipped counts come back"
        assert pixels.min().item() > -1e-4 and pixels.max().item() < 16.0001
