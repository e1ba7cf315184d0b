"""PyTorch's words for several devices and processes, with one: distributed, data parallel, multiprocessing, jit."""

from __future__ import annotations

import importlib.util
import os
import warnings
from typing import Any

import pytest

import chainrule
from chainrule import distributed as dist
from chainrule import jit, multiprocessing, nn
from chainrule.distributed import ProcessGroupError
from chainrule.utils.data import DataLoader
from chainrule.utils.data.distributed import DistributedSampler


@pytest.fixture
def group(monkeypatch: pytest.MonkeyPatch) -> Any:
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    dist.init_process_group("gloo", init_method="tcp://127.0.0.1:23456", rank=0, world_size=1)
    yield
    if dist.is_initialized():
        dist.destroy_process_group()


def test_without_a_group_everything_says_so() -> None:
    assert dist.is_available() and not dist.is_initialized()
    for ask in (
        dist.get_rank, dist.get_world_size, dist.barrier, dist.destroy_process_group, lambda: dist.all_reduce(chainrule.ones(1)),
        lambda: DistributedSampler("abc"), lambda: nn.parallel.DistributedDataParallel(nn.Linear(1, 1)),
    ):  # fmt: skip
        with pytest.raises(ProcessGroupError, match="init_process_group"):
            ask()


@pytest.mark.parametrize("how", ["argument", "address", "environment"])
def test_more_processes_without_jax_are_refused_in_one_line(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    there = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "jax" else there(name))
    given: dict[str, Any] = {}
    if how == "argument":
        given = {"world_size": 4, "rank": 0}
    elif how == "address":
        given = {"init_method": "tcp://localhost:1?world_size=4&rank=1"}
    else:
        monkeypatch.setenv("WORLD_SIZE", "4")
        monkeypatch.setenv("RANK", "2")
    with pytest.raises(ValueError, match=r"^4 processes.*chainrule\[xla\]") as caught:
        dist.init_process_group("gloo", **given)
    assert "\n" not in str(caught.value) and not dist.is_initialized()


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"world_size": 0}, "at least 1, got 0"),
        ({"init_method": "tcp://localhost:9?world_size=two"}, "world_size in the address is a whole number, got 'two'"),
        ({"world_size": 2}, "rank is 0 to 1, got -1"),
        ({"world_size": 2, "rank": 2}, "rank is 0 to 1, got 2"),
        ({"world_size": 2, "rank": 0}, "MASTER_PORT"),
        ({"world_size": 2, "rank": 0, "init_method": "file:///tmp/store"}, "tcp://host:port"),
        ({"world_size": 2, "rank": 0, "backend": "mpi"}, "gloo or nccl"),
        ({"world_size": 2, "rank": 1, "init_method": "tcp://localhost:9", "timeout": 0.2}, "nobody answers"),
        ({"world_size": 2, "rank": 0, "init_method": "tcp://localhost:0", "timeout": 0.2}, "nobody answers|in time"),
    ],
)
def test_a_group_that_cannot_begin_says_why(given: Any, error: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("jax")
    for name in ("RANK", "WORLD_SIZE", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("jax._src.xla_bridge.backends_are_initialized", lambda: False)
    with pytest.raises(ProcessGroupError, match=error):
        dist.init_process_group(**given)
    assert not dist.is_initialized()


def test_a_launcher_of_one_process_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "1")
    monkeypatch.setenv("RANK", "0")
    dist.init_process_group("nccl")
    assert (dist.get_rank(), dist.get_world_size(), dist.get_backend()) == (0, 1, "nccl")
    with pytest.raises(ProcessGroupError, match="already"):
        dist.init_process_group("nccl")
    dist.destroy_process_group()
    with pytest.raises(ProcessGroupError, match="rank is 0, got 3"):
        dist.init_process_group(world_size=1, rank=3)


def test_numbers_of_a_launcher_are_read_or_named(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    from chainrule.cli import main

    for variable, ask in {"WORLD_SIZE": dist.init_process_group, "LOCAL_RANK": dist.get_node_local_rank}.items():
        monkeypatch.setenv(variable, "two")
        with pytest.raises(ProcessGroupError, match=f"{variable} in the environment is a whole number, got 'two'"):
            ask()
    monkeypatch.setenv("LOCAL_RANK", "")
    assert dist.get_node_local_rank() == 0 and dist.get_node_local_rank(3) == 3
    with pytest.raises(SystemExit, match="2"):
        main(["train", "--epochs", "1"])
    assert capsys.readouterr().err == "chainrule: WORLD_SIZE in the environment is a whole number, got 'two'.\n"


def exchanges(lib: Any) -> list[Any]:
    """What a group of one makes of tensors, with every function that exchanges some."""
    d, found = lib.distributed, []
    for op in ("SUM", "PRODUCT", "MIN", "MAX"):
        x = lib.tensor([1.0, -2.0])
        found.append((d.all_reduce(x, op=getattr(d.ReduceOp, op)), x.tolist()))
    x, y = lib.tensor([3.0, 4.0]), lib.zeros(2)
    d.all_reduce(x, async_op=True).wait()
    d.broadcast(x, src=0)
    d.reduce(x, dst=0)
    d.barrier()
    listed = [lib.zeros(2)]
    d.all_gather(listed, x)
    d.all_gather_into_tensor(y, x)
    found += [x.tolist(), listed[0].tolist(), y.tolist()]
    gathered, scattered, out = [lib.zeros(2)], lib.zeros(2), lib.zeros(2)
    d.gather(x, gathered, dst=0)
    d.scatter(scattered, [x * 2], src=0)
    d.reduce_scatter(out, [x * 3])
    found += [gathered[0].tolist(), scattered.tolist(), out.tolist()]
    things: list[Any] = [None]
    d.all_gather_object(things, {"a": 1})
    d.broadcast_object_list(things, src=0)
    return [*found, things, d.get_rank(), d.get_world_size(), d.get_process_group_ranks(None), d.is_initialized()]


@pytest.mark.peer
def test_a_group_of_one_exchanges_as_pytorchs(group: None, tmp_path: Any) -> None:
    torch = pytest.importorskip("torch")
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        assert exchanges(chainrule) == exchanges(torch)
    finally:
        torch.distributed.destroy_process_group()


def test_other_ranks_are_not_there(group: None) -> None:
    with pytest.raises(ProcessGroupError, match="rank 1"):
        dist.broadcast(chainrule.ones(1), src=1)
    with pytest.raises(ProcessGroupError, match="no other one"):
        dist.send(chainrule.ones(1), dst=1)
    with pytest.raises(ProcessGroupError, match=r"\[0, 1\]"):
        dist.new_group([0, 1])
    with pytest.raises(ProcessGroupError, match="got 2"):
        dist.all_gather([chainrule.zeros(1), chainrule.zeros(1)], chainrule.ones(1))
    assert dist.get_world_size(dist.new_group([0])) == 1 and dist.get_rank(dist.new_group([])) == -1


@pytest.mark.peer
@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("count", [1, 5, 8, 9])
def test_shares_of_a_data_set_are_pytorchs(count: int, drop_last: bool) -> None:
    torch = pytest.importorskip("torch")
    for replicas in (1, 2, 3, 7):
        for rank in range(replicas):
            ours = DistributedSampler(range(count), replicas, rank, shuffle=False, drop_last=drop_last)
            theirs = torch.utils.data.DistributedSampler(
                range(count), replicas, rank, shuffle=False, drop_last=drop_last
            )
            assert list(ours) == list(theirs) and len(ours) == len(theirs)
    with pytest.raises(ValueError, match="rank is 0 to 1"):
        DistributedSampler(range(3), 2, 2)


def test_shuffled_shares_make_the_whole_and_change_with_the_epoch(group: None) -> None:
    shares = [DistributedSampler(range(10), 2, rank) for rank in (0, 1)]
    assert sorted([*shares[0], *shares[1]]) == list(range(10))
    first = list(shares[0])
    assert list(shares[0]) == first
    shares[0].set_epoch(1)
    assert list(shares[0]) != first
    data = chainrule.utils.data.TensorDataset(chainrule.arange(10))
    loader = DataLoader(data, 3, sampler=DistributedSampler(data))
    assert sorted(int(x) for (batch,) in loader for x in batch) == list(range(10))


@pytest.mark.parametrize("wrapper", [nn.DataParallel, nn.parallel.DistributedDataParallel])
def test_parallel_models_are_the_model(wrapper: Any, group: None) -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    wrapped, x = wrapper(model), chainrule.randn(5, 3)
    assert wrapped.module is model and list(wrapped.state_dict()) == [f"module.{name}" for name in model.state_dict()]
    wrapped.eval()
    assert chainrule.equal(wrapped(x), model(x)) and not model.training
    wrapped(x).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    with pytest.raises(chainrule.DeviceError):
        wrapper(model, device_ids=[0])


def work(index: int, folder: str, fail: bool) -> None:
    if fail and index == 1:
        raise ValueError("process one is broken")
    dist.init_process_group("gloo", world_size=1, rank=0)
    with open(os.path.join(folder, str(index)), "w") as file:
        file.write(str(chainrule.ones(index + 1).sum().item()))


def leave(index: int) -> None:
    os._exit(7)


def test_processes_are_spawned(tmp_path: Any) -> None:
    multiprocessing.spawn(work, args=(str(tmp_path), False), nprocs=2)
    assert [(tmp_path / str(i)).read_text() for i in (0, 1)] == ["1.0", "2.0"]
    with pytest.raises(multiprocessing.ProcessRaisedException, match=r"(?s)process 1 raised.*process one is broken"):
        multiprocessing.spawn(work, args=(str(tmp_path), True), nprocs=2, start_method="fork")
    with pytest.raises(multiprocessing.ProcessExitedException, match="exit code 7"):
        multiprocessing.spawn(leave, nprocs=1, start_method="fork")


def test_tensors_go_through_queues() -> None:
    queue = multiprocessing.get_context("fork").Queue()
    queue.put({"x": chainrule.arange(3), "p": nn.Parameter(chainrule.ones(1))})
    back = queue.get(timeout=30)
    assert back["x"].tolist() == [0, 1, 2] and isinstance(back["p"], nn.Parameter)
    with pytest.raises(chainrule.ChainruleError, match="Queue"):
        nn.Linear(1, 1).share_memory()


def test_script_and_trace_give_back_what_they_are_given(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jit, "_noted", False)
    model = nn.Linear(2, 1)
    with pytest.warns(UserWarning, match=r"chainrule\.compile"):
        assert jit.script(model) is model
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # said once
        assert jit.trace(model, chainrule.ones(1, 2)) is model

        @jit.script
        def double(x: Any) -> Any:
            return x * 2

        @jit.ignore(drop=True)
        def half(x: Any) -> Any:
            return x / 2

    assert double(3) == 6 and half(3) == 1.5 and not jit.is_scripting()
    assert jit.wait(jit.fork(double, 2)) == 4 and jit.isinstance([1], list[int])
    with pytest.raises(ValueError, match="eval"):
        jit.freeze(model)
