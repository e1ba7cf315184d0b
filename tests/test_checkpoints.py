"""Checkpoints: whole at every moment, few, and a run goes on from them as if it had never stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import nn
from chainrule.train import Checkpoints, Trainer, WeightAveraging, read_weights

ROOT = Path(__file__).parents[1]
NIGHTLY = bool(os.environ.get("CHAINRULE_NIGHTLY"))


def run(folder: Path, *kill_at: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.interrupted_run", str(folder), *map(str, kill_at)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.timeout(1200 if NIGHTLY else 300)
def test_a_run_that_is_killed_again_and_again_ends_as_one_that_was_not(tmp_path: Path) -> None:
    """Killed without warning at random moments; nothing is left half written, and the weights are the same bits."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    touches = int(run(whole).stdout)
    random, kills = np.random.default_rng(0), 0
    while kills < (100 if NIGHTLY else 10):
        # Ten kills are sure to fall within one run: each comes in the first twelfth of what a whole run does.
        done = run(killed, 1 + int(random.integers(touches // 12)))
        if done.returncode == 0:  # it came to its end: once more from the beginning
            assert kills >= 10
            for path in killed.iterdir():
                path.unlink()
            continue
        assert done.returncode == -signal.SIGKILL, done.stderr
        kills += 1
        for path in killed.glob("checkpoint-*.safetensors"):
            chainrule.load(path)  # every one is whole
    ended = run(killed)
    assert ended.returncode == 0, ended.stderr
    one, two = (read_weights(folder / "done.safetensors") for folder in (whole, killed))
    assert one.keys() == two.keys()
    for name in one:
        np.testing.assert_array_equal(one[name].numpy(), two[name].numpy())
    rows = [(folder / "metrics.csv").read_text().splitlines() for folder in (whole, killed)]
    assert len(rows[0]) == len(rows[1]) == 9


def small(folder: Path, **options: Any) -> tuple[Trainer, Checkpoints]:
    chainrule.manual_seed(0)
    model = nn.Linear(3, 2)
    checkpoints = Checkpoints(folder, **options)
    optimizer = chainrule.optim.Adam(model.parameters(), lr=0.05)
    return Trainer(model, nn.CrossEntropyLoss(), optimizer, callbacks=[checkpoints], compile=False), checkpoints


def pairs(count: int = 4) -> list[tuple[Any, Any]]:
    random = np.random.default_rng(0)
    return [
        (chainrule.tensor(random.standard_normal((5, 3)).astype("f4")), chainrule.tensor(random.integers(0, 2, 5)))
        for _ in range(count)
    ]


def test_only_the_latest_are_kept_and_the_best_weights(tmp_path: Path) -> None:
    trainer, checkpoints = small(tmp_path, keep=2, every_batches=3)
    trainer.fit(pairs(), epochs=5)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["best.safetensors", "checkpoint-000000018.safetensors", "checkpoint-000000020.safetensors"]
    assert checkpoints.best == min(row["train_loss"] for row in trainer.history)
    best = read_weights(tmp_path / "best.safetensors")["weight"]
    with chainrule.no_grad():
        trainer.model.weight.zero_()
    checkpoints.load_best(trainer)
    assert chainrule.equal(trainer.model.weight, best)


@pytest.mark.parametrize("batches", [3, 4])
def test_resuming_from_a_file(tmp_path: Path, batches: int) -> None:
    """From a list of batches too, which cannot tell where it is."""
    whole, _ = small(tmp_path / "whole")
    whole.fit(pairs(), epochs=3)
    first, _ = small(tmp_path / "part", every_batches=batches)
    first.fit(pairs(), epochs=1)
    second, checkpoints = small(tmp_path / "part")
    second.resume(sorted((tmp_path / "part").glob("checkpoint-*"))[0])
    assert second.steps == batches
    second.fit(pairs(), epochs=3)
    assert chainrule.equal(second.model.weight, whole.model.weight)
    assert checkpoints.best == whole.callbacks[0].best  # type: ignore[attr-defined]


def test_a_checkpoint_of_another_trainer_or_a_damaged_one_is_refused(tmp_path: Path) -> None:
    trainer, checkpoints = small(tmp_path)
    assert not checkpoints.resume(trainer)
    trainer.fit(pairs())
    other, _ = small(tmp_path)
    other.metrics.append(chainrule.metrics.get("mae"))
    with pytest.raises(chainrule.CheckpointError, match="has 0 metrics, the trainer 1"):
        checkpoints.resume(other)
    other.metrics.clear()
    other.callbacks = [WeightAveraging(), *other.callbacks, WeightAveraging()]
    assert checkpoints.resume(other) and other.steps == trainer.steps, "callbacks may come and go"
    (path,) = tmp_path.glob("checkpoint-*")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(chainrule.CheckpointError):
        checkpoints.resume(small(tmp_path)[0])
    with pytest.raises(ValueError, match="at least one checkpoint"):
        Checkpoints(tmp_path, keep=0)
