"""Samplers: each place as often as promised, in orders that follow the generator, with PyTorch's settings."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import chainrule
from chainrule import data
from chainrule.data import BatchSampler, RandomSampler, SequentialSampler, SubsetRandomSampler, WeightedRandomSampler


@given(count=st.integers(1, 30), wanted=st.integers(1, 80), seed=st.integers(0, 2**63))
def test_random_places_come_as_often_as_each_other(count: int, wanted: int, seed: int) -> None:
    sampler = RandomSampler(range(count), num_samples=wanted, generator=chainrule.Generator(seed))
    places = list(sampler)
    assert len(places) == len(sampler) == wanted and all(type(place) is int for place in places)
    counts = Counter(places)
    often = [counts[place] for place in range(count)]
    assert max(often) - min(often) <= 1 and set(counts) <= set(range(count))
    assert places == list(RandomSampler(range(count), num_samples=wanted, generator=chainrule.Generator(seed)))


def test_places_with_replacement_are_independent() -> None:
    sampler = RandomSampler(range(5), replacement=True, num_samples=5000, generator=chainrule.Generator(0))
    counts = np.bincount(list(sampler), minlength=5)
    # Binomial with 5000 draws of 1/5: mean 1000, standard deviation 28.3. Five of those either way.
    assert (abs(counts - 1000) < 142).all()
    assert list(sampler) != list(sampler)


def test_sequential_and_subset() -> None:
    assert list(SequentialSampler(range(4))) == [0, 1, 2, 3] and len(SequentialSampler("abc")) == 3
    sampler = SubsetRandomSampler([9, 4, 4, 2], chainrule.Generator(1))
    assert len(sampler) == 4 and sorted(sampler) == [2, 4, 4, 9]
    assert len({tuple(sampler) for _ in range(60)}) == 12, "all orders come"
    assert list(SubsetRandomSampler([])) == [] and list(RandomSampler([])) == []


@pytest.mark.parametrize("replacement", [True, False])
def test_weights_are_followed(replacement: bool) -> None:
    weights = [1.0, 0.0, 3.0, 6.0, 0.0]
    sampler = WeightedRandomSampler(weights, 1, replacement, chainrule.Generator(0))
    counts = np.bincount([next(iter(sampler)) for _ in range(2000)], minlength=5)
    share = np.array(weights) / sum(weights)
    # Binomial: five standard deviations of each.
    assert (abs(counts - 2000 * share) <= 5 * np.sqrt(2000 * share * (1 - share))).all()


def test_weights_without_replacement_and_many_draws() -> None:
    for seed in range(30):
        sampler = WeightedRandomSampler([1, 5, 0, 2], 3, replacement=False, generator=chainrule.Generator(seed))
        assert sorted(sampler) == [0, 1, 3]
    many = WeightedRandomSampler(np.ones(50_000), 50_000)  # a matrix of draws by weights would take 20 GB
    assert len(set(many)) > 30_000


def test_weights_make_rare_classes_common() -> None:
    labels = chainrule.tensor([0] * 90 + [1] * 10)
    weights = (1.0 / chainrule.bincount(labels))[labels]
    loader = data.DataLoader(data.TensorDataset(labels), 50, sampler=WeightedRandomSampler(weights, 1000))  # type: ignore[arg-type]
    ones = sum(int(batch.sum().item()) for (batch,) in loader)
    assert abs(ones - 500) < 80  # five standard deviations of 15.8


@given(count=st.integers(0, 30), size=st.integers(1, 12), drop_last=st.booleans())
def test_batches_of_places(count: int, size: int, drop_last: bool) -> None:
    sampler = BatchSampler(SequentialSampler(range(count)), size, drop_last)
    batches = list(sampler)
    assert len(batches) == len(sampler)
    wanted = [list(range(i, min(i + size, count))) for i in range(0, count, size)]
    assert batches == [batch for batch in wanted if len(batch) == size or not drop_last]
    assert [list(piece) for piece in sampler.slices()] == batches
    assert list(BatchSampler(range(count), size, drop_last)) == batches


REFUSED: list[tuple[Any, type[Exception]]] = [
    (lambda: RandomSampler([1], replacement=1), TypeError),  # type: ignore[arg-type]
    (lambda: RandomSampler([1], num_samples=0), ValueError),
    (lambda: RandomSampler([1], num_samples=1.5), ValueError),  # type: ignore[arg-type]
    (lambda: list(RandomSampler([], num_samples=3)), ValueError),
    (lambda: WeightedRandomSampler([1.0], 0), ValueError),
    (lambda: WeightedRandomSampler([1.0], True), ValueError),
    (lambda: WeightedRandomSampler([1.0], 1, replacement=1), ValueError),  # type: ignore[arg-type]
    (lambda: WeightedRandomSampler([[1.0]], 1), ValueError),  # type: ignore[list-item]
    (lambda: WeightedRandomSampler([1.0, -1.0], 1), ValueError),
    (lambda: WeightedRandomSampler([0.0], 1), ValueError),
    (lambda: WeightedRandomSampler([float("nan")], 1), ValueError),
    (lambda: WeightedRandomSampler([1.0, 0.0], 2, replacement=False), ValueError),
    (lambda: BatchSampler([1], 0, False), ValueError),
    (lambda: BatchSampler([1], True, False), ValueError),
    (lambda: BatchSampler([1], 1, 0), ValueError),  # type: ignore[arg-type]
    (lambda: iter(data.Sampler()), NotImplementedError),
]


@pytest.mark.parametrize("number", range(len(REFUSED)))
def test_settings_out_of_range(number: int) -> None:
    wrong, kind = REFUSED[number]
    with pytest.raises(kind):
        wrong()


@pytest.mark.peer
def test_lengths_and_batches_are_pytorch_s() -> None:
    peer = pytest.importorskip("torch.utils.data")
    for count in (1, 5, 12):
        for module_settings in (
            {},
            {"num_samples": 7},
            {"replacement": True},
            {"replacement": True, "num_samples": 40},
        ):
            ours, theirs = (m.RandomSampler(range(count), **module_settings) for m in (data, peer))
            assert len(ours) == len(theirs) == len(list(ours)) == len(list(theirs))
            assert ours.num_samples == theirs.num_samples
        for size in (1, 2, 5, 20):
            for drop_last in (True, False):
                ours, theirs = (
                    m.BatchSampler(m.SequentialSampler(range(count)), size, drop_last) for m in (data, peer)
                )
                assert list(ours) == list(theirs) and len(ours) == len(theirs)
