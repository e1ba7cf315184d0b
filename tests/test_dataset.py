"""Data sets: combining, dividing, reading in batches, and scaling by the training split."""

from __future__ import annotations

import importlib
import pickle
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import chainrule
from chainrule import data
from chainrule.data import DataLoader, MapDataset, MinMax, Standardise, Subset, TensorDataset
from chainrule.data.dataset import read_batch
from tests import loader_parts as parts


class Pair(NamedTuple):
    image: Any
    label: Any


def table(count: int = 10, start: int = 0) -> TensorDataset:
    numbers = chainrule.arange(start, start + count)
    return TensorDataset(numbers.float().unsqueeze(1) * chainrule.tensor([1.0, 10.0]), numbers)


def plain(thing: Any) -> Any:
    if isinstance(thing, chainrule.Tensor):
        return thing.tolist()
    if isinstance(thing, dict):
        return {key: plain(part) for key, part in thing.items()}
    return [plain(part) for part in thing] if isinstance(thing, (list, tuple)) else thing


class Doubling(data.Dataset):
    """No read_batch: what the others must agree with."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, place: Any) -> Any:
        return self.dataset[place]


def negated(x: Any) -> Any:
    return -x


READ = {
    "tensors": table(),
    "subset": Subset(table(), [3, 3, 9, 0, 1]),
    "subset of array": Subset(table(), np.array([3, 3, 9, 0, 1])),
    "subset of range": Subset(table(), range(9, 1, -2)),
    "subset of subset": Subset(Subset(table(), [5, 6, 7, 8]), [3, 1, 1]),
    "concatenated": data.ConcatDataset([table(3), table(4, 10), table(2, 20)]),
    "concatenated, unlike": data.ConcatDataset([table(3), Doubling(table(4, 10))]),
    "concatenated, other type": data.ConcatDataset(
        [TensorDataset(chainrule.arange(3)), TensorDataset(chainrule.arange(2.0))]
    ),
    "stacked": data.StackDataset(table(4), table(4, 10)),
    "stacked by name": data.StackDataset(a=table(4), b=parts.Numbers(4)),
    "mapped": MapDataset(table(), negated, part=1),
    "mapped in batches": MapDataset(table(), negated, batched=True, part=0),
    "mapped dictionary": MapDataset(data.StackDataset(a=table(4), b=table(4)), len, part="a"),
    "mapped, concatenated": data.ConcatDataset([MapDataset(parts.Numbers(4), list), MapDataset(parts.Numbers(3), list)]),
}  # fmt: skip


@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize(
    "places", [range(1, 3), range(3), [0], [2, 0, 2], np.array([1, 2, 0]), [-1, 0], range(2, 0, -1)], ids=str
)
def test_reading_a_batch_is_collating_its_samples(name: str, places: Any) -> None:
    dataset = READ[name]
    one_by_one = data.default_collate([dataset[int(place)] for place in places])
    batch = read_batch(dataset, places)
    assert plain(batch) == plain(one_by_one) and type(batch) is type(one_by_one)
    kinds = [[x.dtype for x in found if isinstance(x, chainrule.Tensor)] for found in (batch, one_by_one)]
    assert kinds[0] == kinds[1] or isinstance(batch, dict)


@given(seed=st.integers(0, 10**6), sizes=st.lists(st.integers(1, 6), min_size=1, max_size=4))
def test_concatenated_batches(seed: int, sizes: list[int]) -> None:
    rng = np.random.default_rng(seed)
    starts = np.cumsum([0, *sizes])[:-1]
    both = data.ConcatDataset([table(n, int(start)) for n, start in zip(sizes, starts)])
    places = rng.integers(-sum(sizes), sum(sizes), rng.integers(1, 20))
    x, labels = read_batch(both, places)
    assert labels.tolist() == (places % sum(sizes)).tolist() and x[:, 0].tolist() == labels.tolist()


def test_places_outside_are_told() -> None:
    for dataset in (table(), data.ConcatDataset([table(4), table(6)])):
        for places in (range(8, 12), np.array([3, 11]), np.array([-11])):
            with pytest.raises(IndexError, match="10 samples has no sample -?1[01]"):
                read_batch(dataset, places)
        with pytest.raises(IndexError):
            dataset[10]
    with pytest.raises(IndexError):
        data.ConcatDataset([table(2)])[-3]


def test_indexing_a_subset_with_many_is_one_read() -> None:
    part = Subset(table(), [7, 5, 3])
    for index in (
        [0, 2],
        np.array([0, 2]),
        chainrule.tensor([0, 2]),
        slice(None, None, 2),
        np.array([True, False, True]),
    ):
        assert plain(part[index])[1] == [7, 3]
    assert plain(part[1])[1] == plain(part[chainrule.tensor(1)])[1] == 5


def test_combining() -> None:
    assert plain(list(table(1) + table(1, 5))) == [[[0, 0], 0], [[5, 50], 5]]
    chained = parts.Stream(2) + parts.Stream(3)
    assert [number for number, _ in chained] == [0, 1, 0, 1, 2] and len(chained) == 5
    assert MapDataset([Pair(1, 2)], negated, part=1)[0] == Pair(1, -2)
    assert MapDataset([3], negated)[0] == -3 and len(MapDataset([3], negated)) == 1
    assert plain(MapDataset(table(), negated, batched=True, part=1)[4]) == [[4, 40], -4]
    for wrong, kind in (
        (lambda: data.ConcatDataset([]), ValueError),
        (lambda: data.ConcatDataset([parts.Stream(2)]), ValueError),
        (lambda: data.StackDataset(), ValueError),
        (lambda: data.StackDataset([1], a=[1]), ValueError),
        (lambda: data.StackDataset([1], [1, 2]), ValueError),
        (lambda: list(data.ChainDataset([[1]])), TypeError),
        (lambda: MapDataset(parts.Stream(2), negated), ValueError),
        (lambda: data.Dataset()[0], NotImplementedError),
        (lambda: iter(data.IterableDataset()), NotImplementedError),
    ):
        with pytest.raises(kind):
            wrong()
    again = pickle.loads(pickle.dumps(MapDataset(Subset(table(), [1, 2]), negated, part=1)))
    assert plain(again[1])[1] == -2


# ------------------------------------------------------------------------------------------- dividing


@given(count=st.integers(1, 60), weights=st.lists(st.integers(1, 9), min_size=1, max_size=4), seed=st.integers(0, 99))
@pytest.mark.filterwarnings("ignore:random_split")
def test_random_split(count: int, weights: list[int], seed: int) -> None:
    fractions = [weight / sum(weights) for weight in weights]
    split = data.random_split(range(count), fractions, chainrule.Generator(seed))
    again = data.random_split(range(count), fractions, chainrule.Generator(seed))
    assert [part.indices for part in split] == [part.indices for part in again]
    assert sorted(place for part in split for place in part) == list(range(count))
    assert all(abs(len(part) - fraction * count) < 1 + len(weights) for part, fraction in zip(split, fractions))


@pytest.mark.peer
@pytest.mark.parametrize(
    "lengths", [[3, 7], [10], [0.5, 0.5], [0.3, 0.3, 0.4], [1.0], [0.05, 0.95], [0.33, 0.33, 0.34]]
)
@pytest.mark.filterwarnings("ignore")
def test_random_split_has_pytorch_s_lengths(lengths: list[float]) -> None:
    peer = pytest.importorskip("torch.utils.data")
    for count in (10, 11, 17) if lengths[0] < 1 or lengths == [1.0] else (10,):
        ours, theirs = (module.random_split(range(count), lengths) for module in (data, peer))
        assert [len(part) for part in ours] == [len(part) for part in theirs]


def test_random_split_refuses() -> None:
    for lengths in ([3, 3], [0.5, 0.6], [-1, 11], [1.5, -0.5], [2.5, 7.5]):
        with pytest.raises(ValueError, match="random_split"):
            data.random_split(range(10), lengths)
    with pytest.warns(UserWarning, match=r"part 1 of \[10, 0\] has no samples"):
        data.random_split(range(10), [1.0, 0.0])


@given(groups=st.lists(st.integers(0, 8), min_size=1, max_size=60), share=st.floats(0, 1), seed=st.integers(0, 10**9))
def test_grouped_split(groups: list[int], share: float, seed: int) -> None:
    array = np.array(groups)
    split = data.grouped_split(array, (share, 1 - share), seed)
    assert sorted(np.concatenate(split).tolist()) == list(range(len(groups)))
    assert not set(array[split[0]]) & set(array[split[1]])
    assert all(np.array_equal(x, y) for x, y in zip(split, data.grouped_split(array, (share, 1 - share), seed)))
    largest = np.bincount(array).max()
    assert len(split[0]) <= share * len(groups) + largest and len(split[1]) <= (1 - share) * len(groups) + largest


def test_grouped_split_differs_by_seed_and_refuses() -> None:
    writers = np.array([f"w{i // 3}" for i in range(30)])
    assert len({tuple(data.grouped_split(writers, (0.5, 0.5), seed)[0]) for seed in range(20)}) > 15
    assert [len(part) for part in data.grouped_split(writers, (0.8, 0.1, 0.1))] == [24, 3, 3]
    with pytest.raises(chainrule.DataError, match="groups must be one-dimensional, one group"):
        data.grouped_split(np.zeros((2, 2), int), (1.0,))
    with pytest.raises(chainrule.DataError, match="add up to 1"):
        data.grouped_split(writers, (0.5, 0.6))
    with pytest.raises(chainrule.DataError, match="seed"):
        data.grouped_split(writers, (0.5, 0.5), -1)
    labels = chainrule.tensor([0, 1] * 10)
    assert [len(part) for part in data.stratified_split(labels, (0.5, 0.5))] == [10, 10]  # type: ignore[arg-type]
    with pytest.raises(chainrule.DataError, match="seed must be a whole number; got .*What is divided comes first"):
        data.stratified_split([1, 2, 3], (0.5, 0.5), [0, 1, 0])  # type: ignore[arg-type]
    with pytest.raises(chainrule.DataError, match="fractions must be numbers"):
        data.stratified_split([1, 2, 3], ["half", "half"])  # type: ignore[arg-type, list-item]


# ------------------------------------------------------------------------------------------- scaling


@pytest.mark.parametrize(
    "shape, dim", [((2500, 4), 1), ((70, 3, 5, 6), 1), ((70, 3, 5), None), ((2000,), None), ((9, 2, 3), 2)]
)
def test_statistics_are_numpy_s(shape: tuple[int, ...], dim: int | None) -> None:
    x = np.random.default_rng(0).normal(3.0, 2.0, shape).astype(np.float32)
    axes = tuple(axis for axis in range(len(shape)) if axis != dim)
    exact = x.astype(np.float64)
    batches = [x[:7], x[7:8], x[8:]]
    for given_ in (x, chainrule.from_numpy(x), TensorDataset(chainrule.from_numpy(x)), batches, [(b, 0) for b in batches],
                   DataLoader(TensorDataset(chainrule.from_numpy(x)), 13, shuffle=True)):  # fmt: skip
        scaling = Standardise(dim).fit(given_)
        # Sums of some thousand float64 numbers: 1e-12 is a thousand roundings.
        assert np.allclose(scaling.mean.numpy(), exact.mean(axes), rtol=1e-12, atol=0)
        assert np.allclose(scaling.std.numpy(), exact.std(axes), rtol=1e-12, atol=0)
        ranges = MinMax(dim=dim).fit(given_)
        assert np.array_equal(ranges.min.numpy(), exact.min(axes)) and np.array_equal(
            ranges.max.numpy(), exact.max(axes)
        )
    y = scaling.apply(chainrule.from_numpy(x))
    assert y.dtype is chainrule.float32 and np.allclose(y.numpy().mean(axes), 0, atol=1e-4)
    assert np.allclose(scaling.invert(y).numpy(), x, atol=1e-5)
    assert np.allclose(scaling.apply(x[3]), y[3].numpy()), "one sample, and an array"
    assert isinstance(scaling.apply(x), np.ndarray)


def test_a_large_mean_costs_no_digits() -> None:
    x = 1e9 + np.random.default_rng(0).normal(size=(5000, 1))
    scaling = Standardise().fit([x[i : i + 11] for i in range(0, 5000, 11)])
    # x itself is rounded at 1e9: 1.2e-7, against a standard deviation of 1.
    assert abs(scaling.std.item() - (x - 1e9).std()) < 1e-7


@pytest.mark.parametrize("low, high", [(0, 1), (-1, 1), (2.0, 5.0)])
def test_scaling_is_scikit_learn_s(low: float, high: float) -> None:
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    rng = np.random.default_rng(1)
    train, test = rng.normal(5, 3, (300, 4)), rng.normal(5, 3, (50, 4))
    train[:, 2] = 0.1  # does not vary
    test[:, 2] = 0.1
    theirs = preprocessing.MinMaxScaler((low, high)).fit(train)
    ours = MinMax(low, high).fit(train)
    assert np.allclose(ours.apply(test), theirs.transform(test), atol=1e-12)
    assert np.allclose(ours.invert(ours.apply(test)), test, atol=1e-12)
    scaled = ours.apply(train)
    assert np.allclose(scaled[:, [0, 1, 3]].min(0), low) and np.allclose(scaled[:, [0, 1, 3]].max(0), high)
    theirs = preprocessing.StandardScaler().fit(train)
    standard = Standardise().fit(train)
    assert np.allclose(standard.apply(test), theirs.transform(test), atol=1e-12)
    assert standard.std[2].item() == 0 and np.allclose(standard.apply(test)[:, 2], 0, atol=1e-12)


def test_scaling_is_stored_and_refuses() -> None:
    x = chainrule.tensor([[0, 10], [4, 20]], dtype=chainrule.uint8)
    for kind in (Standardise, MinMax):
        scaling, other = kind().fit(x), kind()
        other.load_state_dict(scaling.state_dict())
        assert chainrule.equal(other(x), scaling.apply(x)) and other.apply(x).dtype is chainrule.float32
        with pytest.raises(chainrule.DataError, match="call fit"):
            kind().apply(x)
        with pytest.raises(chainrule.DataError, match="no data"):
            kind().fit([])
        with pytest.raises(chainrule.DataError, match="not finite"):
            kind().fit(chainrule.tensor([[1.0], [float("inf")]]))
        with pytest.raises(chainrule.DataError, match="not finite"):
            kind().fit(chainrule.tensor([[1.0], [float("nan")]]))
        with pytest.raises(chainrule.ShapeError, match="fitted to 2 channels or features, got 3"):
            scaling.apply(chainrule.ones(5, 3))
        with pytest.raises(chainrule.ShapeError, match="with 2 dimensions"):
            scaling.apply(chainrule.ones(5, 2, 2))
        with pytest.raises(chainrule.ShapeError, match="dim=1"):
            kind().fit(chainrule.ones(4))
        with pytest.raises(ValueError, match="lacks"):
            kind().load_state_dict({})
        with pytest.raises(ValueError, match="dim"):
            kind(dim=-1)
    with pytest.raises(ValueError, match="low"):
        MinMax(1, 0)


def test_scaled_data_in_a_loader_with_statistics_of_the_training_split() -> None:
    train, test = data.random_split(table(100), [0.8, 0.2])
    scaling = Standardise().fit(train)
    before = chainrule.get_rng_state().tolist()
    labels = MinMax(-1, 1, dim=None).fit(train, part=1)
    assert chainrule.get_rng_state().tolist() == before, "fitting draws nothing"
    both = MapDataset(MapDataset(train, scaling, batched=True, part=0), labels, batched=True, part=1)
    x, y = next(iter(DataLoader(both, 80, shuffle=True)))
    assert abs(x.mean().item()) < 1e-6 and abs(x.std(correction=0).item() - 1) < 1e-6
    assert y.min().item() == -1 and y.max().item() == 1
    x, _ = next(iter(DataLoader(MapDataset(test, scaling, batched=True, part=0), 20)))
    assert abs(x.mean().item()) > 1e-4, "the test split was not looked at"


def test_kinds_in_brackets_are_bases_and_annotations() -> None:
    """`class Words(Dataset[tuple[Tensor, int]])` as in typed programs for PyTorch; what is in the brackets is for readers."""
    code = """if True:
        from typing import Generic, List, TypeVar
        T = TypeVar("T")
        class Numbers(data.Dataset[T], Generic[T]):
            def __init__(self, numbers): self.numbers = numbers
            def __len__(self): return len(self.numbers)
            def __getitem__(self, place): return self.numbers[place]
        class Whole(Numbers[int]):
            pass
        class Stream(data.IterableDataset[int]):
            def __iter__(self): return iter([1, 2, 3])
        class Backwards(data.Sampler[List[int]]):
            def __init__(self, source: "data.Dataset[int]"): self.source = source
            def __iter__(self): return iter(range(len(self.source))[::-1])
        def batches(loader: data.DataLoader[int], part: data.Subset[int]) -> list:
            return [batch.tolist() for batch in loader]
        numbers = Whole([1, 2, 3])
        found = [
            batches(data.DataLoader(numbers, 2, sampler=Backwards(numbers)), data.Subset[int](numbers, [0])),
            batches(data.DataLoader[int](Stream(), 2), numbers),
            len(Numbers[float]([1.0])),
        ]
    """
    names: dict[str, Any] = {"data": data}
    exec(code, names)
    assert names["found"] == [[[3, 2], [1]], [[1, 2], [3]], 1]
    assert all(isinstance(x, data.Dataset) for x in (names["numbers"], names["Stream"]()))
    kinds: Any = [*(getattr(data, name) for name in data.__all__ if name.endswith(("Dataset", "Sampler", "Subset")))]
    assert len(kinds) > 8 and all(kind[int] for kind in kinds)


@pytest.mark.peer
def test_what_takes_brackets_is_pytorch_s() -> None:
    torch: Any = pytest.importorskip("torch")
    for part in ("utils.data", "nn", "distributions", "optim"):
        ours, theirs = (importlib.import_module(f"{lib.__name__}.{part}") for lib in (chainrule, torch))
        for name, thing in vars(theirs).items():
            if (
                isinstance(thing, type)
                and hasattr(thing, "__class_getitem__")
                and isinstance(getattr(ours, name, None), type)
            ):
                assert hasattr(getattr(ours, name), "__class_getitem__"), name
