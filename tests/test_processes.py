"""Several processes: what they exchange, the same step in all, one that dies, two hosts, the launcher."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule.distributed.coordinator import free_port

pytest.importorskip("jax")
pytestmark = pytest.mark.timeout(900)  # processes start slowly beside other work

HERE = Path(__file__).parent / "processes"
LONG = bool(os.environ.get("CHAINRULE_NIGHTLY"))


class Ended:
    """How a launcher has ended: `code`, and what it and its processes have said, `out` and `err`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.out, self.err = process.communicate(timeout=240)
        self.code = process.returncode

    def __repr__(self) -> str:
        return f"exit code {self.code}\n{self.out}\n{self.err}"


def start(*words: Any) -> subprocess.Popen[str]:
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT", "LOCAL_WORLD_SIZE")
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1])}
    for name in names:
        environment.pop(name, None)
    command = [sys.executable, "-m", "chainrule", "launch", *map(str, words)]
    return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def launched(*words: Any) -> Ended:
    return Ended(start(*words))


def on_two_hosts(*words: Any) -> list[Ended]:
    """By an IPv6 address, where there is one."""
    host = "::1" if socket.has_dualstack_ipv6() else "127.0.0.1"
    port = free_port(host)
    both = [
        start("--nodes", 2, "--node-rank", node, "--master-addr", host, "--master-port", port, *words)
        for node in (1, 0)
    ]
    return [Ended(process) for process in both][::-1]


def weights(folder: Path, form: str, kind: str, size: int, rank: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = chainrule.load(folder / f"{form}-{kind}-{size}-{rank}.safetensors")
    return found


def answers_in(ended: Ended) -> list[dict[str, Any]]:
    """What the processes of `exchanges.py` have found."""
    line = next(line for line in ended.out.splitlines() if line.startswith("[0] [{"))
    found: list[dict[str, Any]] = json.loads(line.removeprefix("[0] "))
    return found


def furthest(a: dict[str, Any], b: dict[str, Any]) -> float:
    assert a.keys() == b.keys() and len(a) == 4
    return max(float((a[name] - b[name]).abs().max()) for name in a)


def alone(script: str, target: Path, *words: str) -> None:
    """The same training by one process, with whole batches; what it prints is in the file `said`."""
    command = [sys.executable, str(HERE / script), str(target), *words]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1]), "WORLD_SIZE": "1", "RANK": "0"}
    said = subprocess.run(command, env=environment, check=True, timeout=240, text=True, stdout=subprocess.PIPE).stdout
    (target if target.is_dir() else target.parent).joinpath("said").write_text(said)


def test_processes_exchange_what_is_said_here() -> None:
    """With ranks 0 and 1: numbers that follow from what each function promises."""
    ended = launched("-n", 2, HERE / "exchanges.py", "chainrule")
    assert ended.code == 0, ended
    for rank, found in enumerate(answers_in(ended)):
        for kind in ("float32", "int64"):  # of [1, 3, 2] and [2, 2, 2]
            ways = {"SUM": [3, 5, 4], "PRODUCT": [2, 6, 4], "MIN": [1, 2, 2], "MAX": [2, 3, 2]}
            assert {way: found[f"all_reduce {kind} {way}"] for way in ways} == ways
        assert [found[f"all_reduce int64 {way}"] for way in ("BAND", "BOR", "BXOR")] == [
            [0, 2, 2],
            [3, 3, 2],
            [3, 1, 0],
        ]
        assert found["all_reduce bfloat16"] == [2.0, 2.0] and found["broadcast float16"] == [1.25]
        assert [found["broadcast 0"], found["broadcast 1"]] == ["[[0.0, -0.0, inf]]", "[[1.0, -0.0, inf]]"]
        assert found["reduce"] == (None, [3.0, 3.0])[rank]
        assert found["all_gather"] == [[0, 0], [1, 10]] and found["all_gather_into_tensor"] == [0, 0, 1, 10]
        assert found["gather"] == ([[0, 0], [1, 10]], [[0, 0], [0, 0]])[rank]
        assert found["scatter"] == [rank] * 2 and found["reduce_scatter"] == [2 * rank + 1] * 2
        assert found["all_to_all"] == [[rank] * 2, [10 + rank] * 2] and found["all_to_all_single"] == [rank, 10 + rank]
        assert found["all_gather_object"] == [{"rank": 0, "text": "x"}, {"rank": 1, "text": "xx"}]
        assert found["broadcast_object_list"] == [{"from": 1}, 1] and found["scatter_object_list"] == [f"for {rank}"]
        assert found["gather_object"] == ([0, 2], [None, None])[rank] and found["all_reduce in a group"] == [1]
        assert found["ring"] == ([1.0, 10.0], [0.0, 0.0])[rank] and found["batch"] == [1.5 - rank] * 2
        assert found.get("sent") == ([True, True], None)[rank] and found.get("recv") == (None, [1, 2])[rank]
        assert [found.get(f"recv of tag {tag}") for tag in (1, 2)] == ([None, None], [1.0, 2.0])[rank]
        assert found["different"] == (
            "processes do different things: rank 0 asks for 3 numbers of float32 from rank 0 to rank 1, tag 9, rank 1 "
            "for 2 numbers of float32 from rank 0 to rank 1, tag 9."
        )


@pytest.mark.parametrize("form", ["eager", "compiled"])
def test_uneven_shares_of_a_batch_are_normalised_as_one(form: str) -> None:
    """Outputs, the gradients of inputs and parameters, and the running statistics; the whole batch is `BatchNorm1d`'s."""
    ends = [launched("-n", size, HERE / "synchronised.py", form) for size in (1, 2)]
    assert all(ended.code == 0 for ended in ends), ends
    found = [json.loads(re.search(r"\[0\] (\[\[.*)", ended.out).group(1)) for ended in ends]  # type: ignore[union-attr]
    for whole, shares in zip(found[0][0] + found[0][1], found[1][0] + found[1][1], strict=True):
        np.testing.assert_allclose(shares, whole, rtol=1e-12, atol=1e-14)


def test_gradients_go_through_exchanges() -> None:
    """What comes back to a number is what comes to its copies in all processes."""
    ended = launched("-n", 2, HERE / "gradients.py", "chainrule")
    assert ended.code == 0, ended
    one, other = answers_in(ended)
    assert one["sum"][0] == other["sum"][0] == [[5, 13, 25, 41]] and other["sum"][1][0] == 5 * 2 * 5 * 2 * 2
    assert one["one"][1] == [0] * 4 and one["compiled"] == [1, 2] and other["compiled"] == [2, 5]


@pytest.mark.peer
def test_gradients_through_exchanges_are_pytorch_s() -> None:
    pytest.importorskip("torch")
    ours, theirs = (answers_in(launched("-n", 2, HERE / "gradients.py", name)) for name in ("chainrule", "torch"))
    for mine, other in zip(ours, theirs, strict=True):
        for name, numbers in other.items():
            for a, b in zip(mine[name], numbers, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-12)


def test_two_hosts_take_the_steps_of_one_process_and_refuse_different_ones(tmp_path: Path) -> None:
    forms, kinds = "eager,compiled,nosync", "float32,float64" if LONG else "float64"
    alone("parallel.py", tmp_path, forms, kinds)
    size = 4 if LONG else 2
    ends = on_two_hosts("-n", size // 2, HERE / "parallel.py", tmp_path, f"{forms},different", kinds)
    for form in forms.split(","):
        for kind in kinds.split(","):
            one = weights(tmp_path, form, kind, 1)
            all_of_them = [weights(tmp_path, form, kind, size, rank) for rank in range(size)]
            assert furthest(one, all_of_them[0]) <= (1e-9 if kind == "float64" else 1e-5), (form, kind)
            assert all(furthest(all_of_them[0], other) == 0 for other in all_of_them), (form, kind)
    error = "ProcessGroupError: processes do different things: rank 0 asks for a step compiled to program"
    for node, end in enumerate(ends):
        assert end.code != 0, end
        for rank in (0, 1) if LONG else (0,):
            rank += node * size // 2
            assert f"[{rank}] unchanged True" in end.out and re.search(rf"\[{rank}\] .*{error}", end.err), end


def test_trainers_take_the_steps_of_one_that_has_whole_batches(tmp_path: Path) -> None:
    """Twenty-one samples in batches of 8: the last one does not divide by two, and all compute it."""
    alone("trained.py", tmp_path / "one")
    end = launched("-n", 2, HERE / "trained.py", tmp_path / "two")
    assert end.code == 0, end
    assert furthest(chainrule.load(tmp_path / "one"), chainrule.load(tmp_path / "two")) <= 1e-9
    one, two = json.loads((tmp_path / "said").read_text()), json.loads(re.findall(r"\[0\] (\[.*\])", end.out)[0])
    for mine, other in zip(one, two, strict=True):
        assert mine == pytest.approx(other, abs=1e-9) and "train_accuracy" in mine


def survive(folder: Path, size: int, step: int, victim: int, delay: int, form: str, kind: str) -> None:
    """Kill one of `size`, look what is said, and start again."""
    (folder / "checkpoint.safetensors").unlink(missing_ok=True)
    end = launched("-n", size, HERE / "parallel.py", folder, form, kind, step, victim, delay)
    assert end.code == 128 + signal.SIGKILL, end
    assert re.search(rf"chainrule launch: rank {victim} \(process \d+ on .*\) was killed by SIGKILL", end.err), end
    for rank in set(range(size)) - {victim}:
        assert re.search(
            rf"\[{rank}\] .*ProcessGroupError: .*rank {victim} \(process \d+ on .*\) has ended", end.err
        ), end
    again = launched("-n", size, HERE / "parallel.py", folder, form, kind, 99, 0, 0)
    assert again.code == 0, again
    if step > 5:
        assert len(re.findall("going on after", again.out)) == size, again


def test_a_process_dies_and_the_run_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    victim = random.randrange(2)
    alone("parallel.py", tmp_path, "eager", "float64")
    survive(tmp_path, 2, 8, victim, 0, "eager", "float64")
    assert furthest(weights(tmp_path, "eager", "float64", 1), weights(tmp_path, "eager", "float64", 2)) <= 1e-9


if LONG:

    def test_a_run_of_the_command_is_shared_and_goes_on_after_a_death(tmp_path: Path) -> None:
        """`chainrule train`: the same as by one process; killed, and gone on with, it is what it would have been."""
        words = ["-m", "chainrule", "train", "mlp", "--data", "digits", "--epochs", "3", "--shift", "0"]
        for size in (1, 2):
            end = launched("-n", size, *words, "--output", tmp_path / str(size))
            assert end.code == 0, end
        one, two = (chainrule.load(tmp_path / str(size) / "best.safetensors") for size in (1, 2))
        assert max(float((one[name] - two[name]).abs().max()) for name in one) <= 1e-5
        process = start("-n", 2, *words, "--output", tmp_path / "killed")
        while not list((tmp_path / "killed").glob("checkpoint-*")):
            assert process.poll() is None
            time.sleep(0.05)
        victims = subprocess.run(
            ["pgrep", "-f", "-P", str(process.pid), "chainrule train"], text=True, stdout=subprocess.PIPE
        ).stdout.split()
        os.kill(int(victims[random.randrange(2)]), signal.SIGKILL)
        end = Ended(process)
        assert end.code == 128 + signal.SIGKILL and "was killed by SIGKILL" in end.err, end
        again = launched("-n", 2, "-m", "chainrule", "train", "--resume", tmp_path / "killed")
        assert again.code == 0, again
        whole, resumed = (chainrule.load(tmp_path / name / "best.safetensors") for name in ("2", "killed"))
        assert max(float((whole[name] - resumed[name]).abs().max()) for name in whole) == 0

    @pytest.mark.peer
    def test_processes_exchange_what_pytorchs_do() -> None:
        pytest.importorskip("torch")
        ours, theirs = (answers_in(launched("-n", 3, HERE / "exchanges.py", name)) for name in ("chainrule", "torch"))
        for mine, other in zip(ours, theirs, strict=True):
            mine.pop("different", None)  # what does not fit is not said there
            assert mine == other

    @pytest.mark.parametrize(
        ("what", "error"),
        [
            pytest.param("form", r"rank 0 asks for all_reduce \(sum\) of float32 \(2,\), rank 1 .*\(3,\)", id="form"),
            pytest.param("error", r"\[0\] .*a barrier: rank 1 \(process \d+ on .*\) has ended", id="error"),
            pytest.param("uneven", "", id="uneven"),
            pytest.param("unused", "", id="unused"),
            pytest.param(
                "refused", "asks for gradients of 4 parameters(?s:.*)find_unused_parameters=True", id="refused"
            ),
        ],
    )
    def test_what_processes_do_differently_is_said(what: str, error: str) -> None:
        end = launched("-n", 2, HERE / "different.py", what)
        if error:
            assert end.code != 0 and re.search(error, end.err), end
        else:
            assert end.code == 0 and len(set(re.findall("(?:weight|gradients).*", end.out))) == 1, end
            assert what != "unused" or "gradients [[2.0], [2.0]] True" in end.out, end  # the mean of 4 and 0

    @pytest.mark.parametrize("number", range(20))
    def test_any_process_dies_at_any_moment(number: int, tmp_path: Path) -> None:
        """Twenty times, the first process at least five times of them: the parameters bit for bit."""
        form = ("eager", "compiled", "nosync")[number % 3]
        whole = launched("-n", 4, HERE / "parallel.py", tmp_path, form, "float32")
        assert whole.code == 0, whole
        uninterrupted = weights(tmp_path, form, "float32", 4)
        victim = 0 if number < 5 else random.randrange(4)
        survive(tmp_path, 4, random.randrange(19), victim, random.randrange(20), form, "float32")
        assert furthest(uninterrupted, weights(tmp_path, form, "float32", 4)) == 0
