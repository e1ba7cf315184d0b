"""DataLoader: batches, workers and what can go wrong with them, and going on from any position."""

from __future__ import annotations

import copy
import gc
import inspect
import json
import multiprocessing
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest

import chainrule
from chainrule import data
from chainrule.data import DataLoader, TensorDataset, default_collate, default_convert
from chainrule.data.starting import WorkerError
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


# ------------------------------------------------------------------------------------------- workers


WAYS = [method for method in ("fork", "spawn", "forkserver") if method in multiprocessing.get_all_start_methods()]


@pytest.mark.parametrize("way", WAYS)
def test_workers_know_themselves(way: str) -> None:
    loader = DataLoader(
        parts.WhoAmI(6), 1, num_workers=2, worker_init_fn=parts.mark, persistent_workers=True,
        multiprocessing_context=way,
    )  # fmt: skip
    rows = [[part.item() for part in batch] for batch in loader]
    assert [row[0] for row in rows] == [0, 1] * 3 and {row[1] for row in rows} == {2}
    assert len({row[2] for row in rows}) == 2 and {row[3] for row in rows} == {6}
    assert [row[4] for row in rows] == [10, 11] * 3
    again = [[part.item() for part in batch] for batch in loader]
    assert [row[5] for row in again] == [row[5] for row in rows], "the workers were kept"
    assert not {row[2] for row in again} & {row[2] for row in rows}, "another seed in every pass"
    assert data.get_worker_info() is None
    context = multiprocessing.get_context(way)
    other = DataLoader(parts.Numbers(3), 2, num_workers=1, multiprocessing_context=context, prefetch_factor=1)
    assert plain(list(other)) == [[[0, 1], ["n0", "n1"]], [[2], ["n2"]]]


def test_large_batches_arrive_whole() -> None:
    loader = DataLoader(parts.Large(8), 4, num_workers=2)
    for number, batch in enumerate(loader):
        labels = batch["label"].tolist()
        assert labels == list(range(4 * number, 4 * number + 4))
        assert batch["image"].shape == (4, 3, 64, 64) and batch["image"][:, 1, 2, 3].tolist() == labels


@pytest.mark.parametrize("kind", [KeyError, ValueError, chainrule.DataError, StopIteration, parts.picky])
def test_an_exception_in_a_worker_reaches_the_caller(kind: Any) -> None:
    loader = DataLoader(parts.Trouble(8, kind), 2, num_workers=2)
    batches = iter(loader)
    assert plain([next(batches), next(batches)]) == [[0, 1], [2, 3]]
    known = RuntimeError if kind in (StopIteration, parts.picky) else kind
    with pytest.raises(known) as caught:
        next(batches)
    text = str(caught.value)
    assert "in worker 0 of the DataLoader" in text and "sample 5 is broken" in text
    assert "loader_parts.py" in text and "raise self.trouble" in text, "the worker's traceback"
    assert plain(list(batches)) == [[6, 7]], "behind the broken batch it goes on"


def test_exceptions_without_workers_are_as_they_are() -> None:
    batches = iter(DataLoader(parts.Trouble(8, KeyError), 2))
    assert plain([next(batches), next(batches)]) == [[0, 1], [2, 3]]
    with pytest.raises(KeyError, match="sample 5 is broken"):
        next(batches)
    assert plain(list(batches)) == [[6, 7]]
    with pytest.raises(RuntimeError, match="raised StopIteration"):
        list(DataLoader(parts.Trouble(8, StopIteration), 2))


@pytest.mark.parametrize("trouble, text", [(parts.KILL, "killed by SIGKILL"), ("exit", "exit code 3")])
def test_a_worker_that_dies_is_an_error_and_no_hang(trouble: Any, text: str) -> None:
    loader = DataLoader(parts.Trouble(40, trouble), 2, num_workers=2, persistent_workers=True)
    for _ in range(2):  # afterwards the loader starts new workers
        batches = iter(loader)
        with pytest.raises(WorkerError, match=text) as caught:
            list(batches)
        assert "worker 0 of the DataLoader" in str(caught.value) and isinstance(caught.value, RuntimeError)
        with pytest.raises(WorkerError, match="gone"):
            next(batches)
    assert not multiprocessing.active_children()


def test_a_worker_killed_from_outside_while_it_waits() -> None:
    loader = DataLoader(parts.Numbers(100), 1, num_workers=1, prefetch_factor=1, persistent_workers=True)
    batches = iter(loader)
    next(batches)
    (child,) = multiprocessing.active_children()
    child.kill()
    with pytest.raises(WorkerError, match="killed by SIGKILL"):
        list(batches)


def test_a_worker_that_takes_too_long() -> None:
    begun = time.monotonic()
    loader = DataLoader(parts.Trouble(8, "hang"), 2, num_workers=1, timeout=5)
    with pytest.raises(WorkerError, match=r"within 5 seconds \(timeout=\)"):
        list(loader)
    assert time.monotonic() - begun < 40 and not multiprocessing.active_children()


def test_trouble_at_the_start() -> None:
    with pytest.raises(OSError, match=r"(?s)in worker 0 of.*no disk for 0"):
        list(DataLoader(tensors(), 2, num_workers=1, worker_init_fn=parts.fail_to_begin))
    with pytest.raises(TypeError, match="cannot send its data set to a worker.*lambda"):
        list(DataLoader(tensors(), 2, num_workers=1, collate_fn=lambda batch: batch, multiprocessing_context="spawn"))
    with pytest.raises(TypeError, match="in worker 0"):  # a batch that cannot be pickled
        list(DataLoader(tensors(), 2, num_workers=1, collate_fn=parts.unsendable))
    assert not multiprocessing.active_children()


def run_script(tmp_path: Any, text: str) -> subprocess.CompletedProcess[str]:
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(text))
    return subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=100)


@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux only")
def test_a_script_without_a_guard_works(tmp_path: Any) -> None:
    done = run_script(
        tmp_path,
        """
        import threading
        import chainrule
        from chainrule.utils.data import DataLoader, Dataset
        print("once")
        model = chainrule.compile(chainrule.nn.Linear(64, 64))  # with threads of ours
        model(chainrule.ones(64, 64))
        bar = threading.Thread(target=threading.Event().wait, daemon=True)  # as a progress bar has one
        bar.start()
        square = lambda x: x * x
        def local():
            class Squares(Dataset):
                def __len__(self):
                    return 6
                def __getitem__(self, i):
                    return square(i), model(chainrule.ones(2, 64)).shape[0]
            return Squares()
        for epoch in range(2):
            for batch, rows in DataLoader(local(), 2, num_workers=2, collate_fn=lambda b: tuple(zip(*b))):
                print(epoch, batch, rows)
        """,
    )
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert done.stdout.splitlines() == [
        "once", *(f"{epoch} {pair} (2, 2)" for epoch in (0, 1) for pair in ("(0, 1)", "(4, 9)", "(16, 25)")),
    ]  # fmt: skip


@pytest.mark.parametrize("why", ["told to spawn", "a thread", "set_start_method"])
def test_a_script_that_would_run_again_is_told_so_once(tmp_path: Any, why: str) -> None:
    given = ", multiprocessing_context='spawn'" if why == "told to spawn" else ""
    done = run_script(
        tmp_path,
        f"""
        import multiprocessing, threading
        import chainrule
        from chainrule.data import *
        print("once", flush=True)
        go_on = threading.Event()
        if {why == "a thread"}:
            threading.Thread(target=go_on.wait).start()
        if {why == "set_start_method"}:
            multiprocessing.set_start_method("spawn")
        data = TensorDataset(chainrule.arange(4))
        try:
            print(list(DataLoader(data, 2, num_workers=2{given})))
        finally:
            go_on.set()
        """,
    )
    assert done.returncode == 1 and done.stdout == "once\n"
    assert done.stderr.count("Traceback") == 1 and 'if __name__ == "__main__":' in done.stderr.splitlines()[-1]


def test_a_loader_outside_of_the_guard_is_told_so_once(tmp_path: Any) -> None:
    done = run_script(
        tmp_path,
        """
        import chainrule
        from chainrule.data import *
        print(list(DataLoader(TensorDataset(chainrule.arange(4)), 2, num_workers=1, multiprocessing_context="spawn")))
        if __name__ == "__main__":
            print("here")
        """,
    )
    assert done.returncode == 1 and done.stderr.count("Traceback") == 1
    assert 'if __name__ == "__main__":' in done.stderr.splitlines()[-1]


def test_forked_workers_end_when_the_program_is_killed(tmp_path: Any) -> None:
    """No worker keeps another's pipe open: one that is killed leaves nothing behind."""
    text = """
        import multiprocessing, os, signal
        import chainrule
        from chainrule.data import *
        loaders = [DataLoader(TensorDataset(chainrule.arange(40)), 1, num_workers=3, persistent_workers=True) for _ in "ab"]
        passes = [iter(loader) for loader in loaders]
        [next(each) for each in passes]
        print(*(child.pid for child in multiprocessing.active_children()), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
        """
    done = run_script(tmp_path, text)
    left = [int(pid) for pid in done.stdout.split()]
    assert len(left) == 6
    deadline = time.monotonic() + 60
    while any(alive(pid) for pid in left) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(alive(pid) for pid in left)


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended but was not asked for its exit code does not."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_workers_end_with_their_pass() -> None:
    loader = DataLoader(parts.Numbers(50), 1, num_workers=2)
    for _ in loader:
        break
    gc.collect()
    assert not multiprocessing.active_children()
    list(loader)
    assert not multiprocessing.active_children()
    kept = DataLoader(parts.Numbers(4), 1, num_workers=1, persistent_workers=True)
    list(kept)
    assert len(multiprocessing.active_children()) == 1
    assert len(copy.deepcopy(kept)) == 4, "a copy has no workers"
    del kept
    gc.collect()
    assert not multiprocessing.active_children()


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
