"""DataLoader: batches, workers and what can go wrong with them, and going on from any position."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest

import chainrule
from chainrule import data
from chainrule.data import DataLoader, TensorDataset, default_collate, default_convert
from tests import loader_parts as parts


class Point(NamedTuple):
    x: Any
    y: Any


def plain(thing: Any) -> Any:
    """A batch with its tensors as lists, to be compared by ==."""
    if isinstance(thing, chainrule.Tensor):
        return thing.tolist()
    if isinstance(thing, dict):
        return {key: plain(part) for key, part in thing.items()}
    if isinstance(thing, (list, tuple)):
        return [plain(part) for part in thing]
    return thing


class EvenFirst(data.Sampler):
    """A sampler that draws as it goes, from the default generator."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __iter__(self) -> Iterator[int]:
        left = list(range(self.count))
        while left:
            yield left.pop(int(chainrule.randint(0, len(left), ()).item()))

    def __len__(self) -> int:
        return self.count


def tensors(count: int = 10) -> TensorDataset:
    return TensorDataset(chainrule.arange(count), chainrule.arange(count).float() * 2)


LOADERS = {
    "tensors in order": lambda **more: DataLoader(tensors(), 3, **more),
    "tensors shuffled": lambda **more: DataLoader(tensors(), 3, shuffle=True, **more),
    "own generator": lambda **more: DataLoader(tensors(), 3, True, generator=chainrule.Generator(4), **more),
    "drop last": lambda **more: DataLoader(tensors(), 4, shuffle=True, drop_last=True, **more),
    "subset": lambda **more: DataLoader(data.Subset(tensors(20), range(5, 15)), 3, True, **more),
    "random data": lambda **more: DataLoader(parts.Noisy(10), 3, shuffle=True, **more),
    "no batches": lambda **more: DataLoader(parts.Noisy(6), None, shuffle=True, **more),
    "collating draws": lambda **more: DataLoader(tensors(), 3, True, collate_fn=parts.pairs, **more),
    "weighted": lambda **more: DataLoader(
        parts.Numbers(10), 3, sampler=data.WeightedRandomSampler([1.0] * 10, 10, generator=chainrule.Generator(2)), **more
    ),
    "own sampler": lambda **more: DataLoader(tensors(), 3, sampler=EvenFirst(10), **more),
    "own batches": lambda **more: DataLoader(
        parts.Noisy(9), batch_sampler=data.BatchSampler(data.RandomSampler(range(9)), 4, False), **more
    ),
    "list of batches": lambda **more: DataLoader(tensors(), batch_sampler=[[1, 2], [3], [9, 0, 4]], **more),
    "stream": lambda **more: DataLoader(parts.Stream(10, shared=False), 3, **more),
    "stream of samples": lambda **more: DataLoader(parts.Stream(5), None, **more),
}  # fmt: skip


# ------------------------------------------------------------------------------------------- going on later


@pytest.mark.parametrize("name", LOADERS)
def test_going_on_from_every_position_gives_the_same_batches(name: str) -> None:
    make = LOADERS[name]

    def two_passes() -> list[Any]:
        chainrule.manual_seed(3)
        loader = make()
        batches = []
        for _ in range(2):
            for batch in loader:
                batches.append(plain(batch))
                chainrule.rand(2)  # the training draws too
            batches.append("end")
        return batches

    whole = two_passes()
    assert whole == two_passes(), "the same seed, the same batches"
    length = whole.index("end")
    for stop in range(length + 1):
        chainrule.manual_seed(3)
        loader = make()
        begun = iter(loader)
        for _ in range(stop):
            next(begun)
            chainrule.rand(2)
        state = json.loads(json.dumps(loader.state_dict()))
        chainrule.manual_seed(99)
        later = make()
        later.load_state_dict(state)
        assert later.state_dict() == state
        rest = []
        for _ in range(2):
            for batch in later:
                rest.append(plain(batch))
                chainrule.rand(2)
            rest.append("end")
        assert rest == whole[stop:], f"from batch {stop} on"


@pytest.mark.parametrize("name", ["tensors shuffled", "random data", "own sampler", "collating draws", "no batches"])
@pytest.mark.parametrize("workers", [1, 3])
def test_batches_do_not_depend_on_workers_and_resume_with_them(name: str, workers: int) -> None:
    chainrule.manual_seed(3)
    alone = LOADERS[name]()
    wanted = [plain(batch) for _ in range(2) for batch in alone]
    chainrule.manual_seed(3)
    loader = LOADERS[name](num_workers=workers, persistent_workers=True)
    assert [plain(batch) for _ in range(2) for batch in loader] == wanted
    local = LOADERS[name]()
    for stop in range(len(alone) + 1):
        chainrule.manual_seed(3)
        begun = iter(loader)
        first = [plain(next(begun)) for _ in range(stop)]
        state = loader.state_dict()
        for later in (loader, local):  # batches that were asked for and not taken are thrown away
            chainrule.manual_seed(17)
            later.load_state_dict(state)
            assert first + [plain(batch) for _ in range(2) for batch in later] == wanted, f"from batch {stop} on"


def test_streams_with_workers_take_turns_and_resume() -> None:
    def make() -> DataLoader:
        return DataLoader(parts.Stream(11), 2, num_workers=2, persistent_workers=True)

    chainrule.manual_seed(0)
    loader = make()
    whole = [plain(batch) for batch in loader]
    assert [batch[0] for batch in whole] == [[0, 2], [1, 3], [4, 6], [5, 7], [8, 10], [9]]
    later = make()
    for stop in range(len(whole) + 1):
        chainrule.manual_seed(0)
        begun = iter(loader)
        assert [plain(next(begun)) for _ in range(stop)] == whole[:stop]
        later.load_state_dict(loader.state_dict())
        assert [plain(batch) for batch in later] == whole[stop:]
    with pytest.raises(ValueError, match="num_workers was 2, here it is 0"):
        DataLoader(parts.Stream(11), 2).load_state_dict(loader.state_dict())


def test_a_stream_that_is_not_shared_comes_once_from_each_worker() -> None:
    loader = DataLoader(parts.Stream(3, shared=False), None, num_workers=2)
    assert len(loader) == 3
    assert sorted(number for number, _ in loader) == [0, 0, 1, 1, 2, 2]


def test_the_state_after_a_break_and_of_another_loader() -> None:
    loader = DataLoader(tensors(), 3, shuffle=True)
    for _ in loader:
        break
    state = loader.state_dict()
    assert state["batches"] == 1
    list(loader)
    assert loader.state_dict()["batches"] is None, "no pass is under way"
    with pytest.raises(ValueError, match="batch_size was 3, here it is 4"):
        DataLoader(tensors(), 4, shuffle=True).load_state_dict(state)
    with pytest.raises(ValueError, match="sampler was 'RandomSampler', here it is 'SequentialSampler'"):
        DataLoader(tensors(), 3).load_state_dict(state)
    with pytest.raises(ValueError, match="samples was 10, here it is 8"):
        DataLoader(tensors(8), 3, shuffle=True).load_state_dict(state)
    with pytest.raises(ValueError, match="lacks batches, generators"):
        loader.load_state_dict({"start": [], "made_for": {}})


def test_what_the_data_draws_does_not_move_the_streams_of_the_program() -> None:
    loader = DataLoader(parts.Noisy(6), 2)
    batches = iter(loader)
    before, numpy_before = chainrule.get_rng_state().tolist(), np.random.get_state()[2]
    next(batches)
    assert chainrule.get_rng_state().tolist() == before and np.random.get_state()[2] == numpy_before
    drawn = [plain(batch)[1] for _ in range(2) for batch in loader]
    assert len({str(numbers) for numbers in drawn}) == len(drawn), "every batch of every pass draws its own"


# ------------------------------------------------------------------------------------------- reading in batches


def test_a_batch_is_one_read_and_a_subclass_is_not_read_past() -> None:
    class Counting(data.Dataset):
        def __init__(self) -> None:
            self.reads: list[Any] = []

        def __len__(self) -> int:
            return 7

        def __getitem__(self, place: int) -> int:
            raise AssertionError("one by one")

        def read_batch(self, places: Any) -> Any:
            self.reads.append(list(places))
            return chainrule.tensor(list(places))

    counting = Counting()
    assert plain(list(DataLoader(counting, 3))) == [[0, 1, 2], [3, 4, 5], [6]]
    assert counting.reads == [[0, 1, 2], [3, 4, 5], [6]]

    class Doubled(TensorDataset):
        def __getitem__(self, place: Any) -> Any:
            return tuple(2 * part for part in super().__getitem__(place))

    assert plain(list(DataLoader(Doubled(chainrule.arange(3)), 2))) == [[[0, 2]], [[4]]]
    assert plain(list(DataLoader(data.Subset(Doubled(chainrule.arange(3)), [2, 1]), 2))) == [[[4, 2]]]

    class Reversed(data.RandomSampler):
        def __iter__(self) -> Iterator[int]:
            return iter([2, 1, 0])

    assert plain(list(DataLoader(tensors(3), 3, sampler=Reversed(range(3)))))[0][0] == [2, 1, 0]


def test_neighbours_are_read_without_copying_and_batches_cannot_be_changed_through() -> None:
    whole = chainrule.arange(8.0)
    batches = list(DataLoader(TensorDataset(whole), 4))
    assert np.shares_memory(np.asarray(batches[1][0]), np.asarray(whole))
    batches[1][0].add_(1)
    assert whole.tolist() == list(range(8))


def test_gradients_reach_tensors_of_a_data_set() -> None:
    weights = chainrule.ones(4, requires_grad=True)
    for shuffle in (False, True):
        for (batch,) in DataLoader(TensorDataset(weights), 2, shuffle=shuffle):
            batch.sum().backward()
    assert weights.grad.tolist() == [2.0] * 4


SETTINGS: list[tuple[dict[str, Any], str]] = [
    ({"num_workers": -1}, "num_workers"),
    ({"timeout": -1}, "timeout"),
    ({"prefetch_factor": 2}, "prefetch_factor"),
    ({"prefetch_factor": 0, "num_workers": 1}, "prefetch_factor"),
    ({"persistent_workers": True}, "persistent_workers"),
    ({"shuffle": True, "sampler": [0]}, "not both"),
    ({"batch_sampler": [[0]], "batch_size": 2}, "batch_sampler stands for"),
    ({"batch_sampler": [[0]], "drop_last": True}, "batch_sampler stands for"),
    ({"batch_size": None, "drop_last": True}, "batch_size=None"),
    ({"batch_size": 0}, "batch_size=0"),
    ({"batch_size": 2.0}, "batch_size=2.0"),
]


@pytest.mark.parametrize("settings, text", SETTINGS)
def test_settings_out_of_range(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        DataLoader(tensors(), **settings)


def test_settings_of_streams_and_fixed_ones() -> None:
    for settings in ({"shuffle": True}, {"sampler": [0]}, {"batch_sampler": [[0]]}):
        with pytest.raises(ValueError, match="own order"):
            DataLoader(parts.Stream(3), **settings)
    with pytest.raises(ValueError, match="batch_size cannot be changed"):
        DataLoader(tensors()).batch_size = 4
    assert len(DataLoader(parts.Stream(7), 2)) == 4 and len(DataLoader(parts.Stream(7), 2, drop_last=True)) == 3
    assert plain(list(DataLoader(parts.Stream(5), 2, drop_last=True)))[-1][0] == [2, 3]


# ------------------------------------------------------------------------------------------- collating


SAMPLES: list[Any] = [
    [1, 2], [1.5, 2.5], [True, False], ["a", "b"], [b"a", b"b"],
    [np.float32(1), np.float32(2)], [np.int8(1), np.int8(2)],
    [np.arange(3), np.arange(3)], [np.zeros((2, 2), np.float32)] * 3, [np.array(1.5), np.array(2.5)],
    [(1, "a"), (2, "b")], [[1, 2.0], [3, 4.0]], [((1, 2), [3]), ((4, 5), [6])],
    [{"x": 1, "y": {"z": "s"}}, {"x": 2, "y": {"z": "t"}}],
    [Point(1, 2.0), Point(3, 4.0)], [Point(np.ones(2), {"k": (1,)}), Point(np.ones(2), {"k": (2,)})],
    [(), ()], [range(2), range(2)],
]  # fmt: skip


def structure(thing: Any) -> Any:
    """What a batch is made of: kinds, types of tensors, values."""
    if hasattr(thing, "dtype") and hasattr(thing, "tolist"):
        return str(thing.dtype).split(".")[-1], tuple(thing.shape), thing.tolist()
    if isinstance(thing, dict):
        return {key: structure(part) for key, part in thing.items()}
    if isinstance(thing, (list, tuple)):
        return type(thing).__name__, [structure(part) for part in thing]
    return thing


@pytest.mark.peer
@pytest.mark.parametrize("samples", SAMPLES, ids=str)
def test_collating_and_converting_are_pytorch_s(samples: Any) -> None:
    peer = pytest.importorskip("torch.utils.data")
    assert structure(default_collate(samples)) == structure(peer.default_collate(samples))
    assert structure(default_convert(samples)) == structure(peer.default_convert(samples))


def test_collating_tensors() -> None:
    batch = default_collate([{"x": chainrule.ones(2)}, {"x": chainrule.zeros(2)}])
    assert plain(batch) == {"x": [[1, 1], [0, 0]]}
    x = chainrule.ones(2, requires_grad=True)
    default_collate([x, 2 * x]).sum().backward()
    assert x.grad.tolist() == [3, 3]
    for samples, kind, text in (
        ([chainrule.ones(2), chainrule.ones(3)], chainrule.ShapeError, r"sample 0 has \(2,\) and sample 1 has \(3,\)"),
        ([(1, 2), (1,)], chainrule.ShapeError, "sample 0 has 2 and sample 1 has 1"),
        ([object()], chainrule.DTypeError, "got object"),
        ([np.array(["a"])], chainrule.DTypeError, "numbers"),
        ([], chainrule.ShapeError, "at least one"),
    ):
        with pytest.raises(kind, match=text):
            default_collate(samples)


# ------------------------------------------------------------------------------------------- PyTorch


@pytest.mark.peer
def test_signatures_are_pytorch_s() -> None:
    peer = pytest.importorskip("torch.utils.data")
    import chainrule.utils.data as ours

    for name in ours.__all__:
        mine, theirs = getattr(ours, name), getattr(peer, name)
        for one, other in zip(*[inspect.signature(x).parameters.values() for x in (mine, theirs)], strict=True):
            assert (one.name, one.kind) == (other.name, other.kind), name
            default = None if name == "random_split" and one.name == "generator" else other.default
            assert one.default == default, (name, one.name)


@pytest.mark.peer
@pytest.mark.parametrize("settings", [
    {}, {"batch_size": 3}, {"batch_size": 3, "drop_last": True}, {"batch_size": None}, {"batch_size": 20},
    {"sampler": [4, 1, 1]}, {"batch_size": 2, "sampler": range(5)}, {"batch_sampler": [[0, 1], [5]]},
    {"batch_size": 3, "collate_fn": list}, {"batch_size": None, "collate_fn": str},
])  # fmt: skip
@pytest.mark.parametrize("kind", ["numbers", "large", "list"])
def test_batches_are_pytorch_s(settings: dict[str, Any], kind: str) -> None:
    peer = pytest.importorskip("torch.utils.data")
    set_: Any = {"numbers": parts.Numbers(8), "large": parts.Large(7), "list": [(i, float(i)) for i in range(6)]}[kind]
    ours, theirs = DataLoader(set_, **settings), peer.DataLoader(set_, **settings)
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert structure(one) == structure(other)
