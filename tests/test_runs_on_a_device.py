"""Runs on a device: `--device xla` gives the figures of the CPU, and what a run leaves knows nothing of devices."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import nn, optim
from chainrule.autodiff.anomaly import AnomalyError
from chainrule.cli import main
from chainrule.data import DataLoader, TensorDataset
from chainrule.tasks import Settings, load_task, open_run
from chainrule.tasks.run import train_run
from chainrule.train import Callback, Doctor, Trainer
from chainrule.train.batches import batches_for
from chainrule.train.doctor.look import look_at
from tests.small_runs import settings_for_files

pytest.importorskip("jax")

NIGHTLY = bool(os.environ.get("CHAINRULE_NIGHTLY"))
pytestmark = pytest.mark.timeout(1200 if NIGHTLY else 300)  # XLA compiles each operation of eager code once


def call(capsys: Any, *arguments: Any) -> tuple[int, str]:
    """The exit code, and what was written to both streams."""
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    said = capsys.readouterr()
    return end.value.code, said.out + said.err  # type: ignore[return-value]


def figures(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "summary.json").read_text())["test"]
    return found


class Stop(Callback):
    """Ends training after so many batches, in the middle of an epoch, as Ctrl-C does."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def on_batch_end(self, trainer: Any, batch: Any) -> None:
        if trainer.steps == self.steps:
            raise KeyboardInterrupt


# ------------------------------------------------------------------------------------------ the command


def test_a_run_on_a_device_is_a_run_as_any_other(capsys: Any, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    random = np.random.default_rng(0)
    rows = [f"{a:.3f},{b:.3f},{'high' if a + b > 0 else 'low'}" for a, b in random.standard_normal((120, 2))]
    table.write_text("\n".join(["a,b,class", *rows]) + "\n")
    here, there = tmp_path / "cpu", tmp_path / "xla"
    common = ["--data", table, "--target", "class", "--epochs", 2, "--average", 0.9]
    assert call(capsys, "train", *common, "--output", here)[0] == 0
    code, said = call(capsys, "train", *common, "--device", "xla", "--output", there)
    assert code == 0 and "device xla" in said
    for name, value in figures(here).items():
        assert figures(there)[name] == pytest.approx(value, rel=1e-4)
    assert (there / "doctor.json").read_text() == (here / "doctor.json").read_text() == "[]\n"
    for place in ([], ["--device", "cpu"]):
        measured = json.loads(call(capsys, "evaluate", there, "--json", *place)[1])
        assert measured == pytest.approx(figures(there), rel=1e-4)
    rows = [call(capsys, "predict", run, table)[1].splitlines() for run in (here, there)]
    assert len(rows[0]) == 121 and [row.split(",")[:3] for row in rows[0]] == [row.split(",")[:3] for row in rows[1]]
    assert next(open_run(there).model.parameters()).is_cpu
    config = json.loads((there / "config.json").read_text())
    config["settings"]["device"] = "cuda:7"  # as if the run came from another machine
    (there / "config.json").write_text(json.dumps(config))
    code, said = call(capsys, "evaluate", there)
    assert code == 2 and "cuda" in said
    assert call(capsys, "evaluate", there, "--device", "cpu")[0] == call(capsys, "predict", there, table)[0] == 0


def test_the_environment_chooses_the_device_and_wrong_ones_are_told(
    capsys: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "expected cpu, xla, cuda or tpu" in call(capsys, "train", "mlp", "--device", "abacus")[1]
    code, said = call(capsys, "train", "dqn", "--device", "xla")
    assert code == 2 and "--device is not for agents" in said
    monkeypatch.setenv("CHAINRULE_DEVICE", "xla:99")
    code, said = call(capsys, "train", "mlp", "--epochs", "1", "--output", tmp_path / "run")
    assert code == 2 and "no device xla:99" in said and not (tmp_path / "run" / "config.json").exists()


def test_an_interrupted_run_goes_on_to_the_same_bits_there_and_as_well_elsewhere(tmp_path: Path) -> None:
    settings = Settings(model="mlp", epochs=2, device="xla", model_options={"hidden": [8]}, average=0.9)
    settings = settings.changed(batch_size=128)  # 10 steps in each of 2 epochs
    wanted = train_run(settings, tmp_path / "whole")
    for folder, device in (("there", None), ("here", "cpu"))[: 2 if NIGHTLY else 1]:
        run = tmp_path / folder
        assert train_run(settings, run, [Stop(13)]).status == "interrupted"
        found = train_run(None, run, device=device)
        if device is None:
            assert found.test == wanted.test  # bit for bit
        assert found.test == pytest.approx(wanted.test, rel=1e-4)


@pytest.mark.parametrize("kind", ["text", "pairs", "labelled texts", "table"] if NIGHTLY else ["table"])
def test_all_kinds_of_files_are_learned_there(kind: str, tmp_path: Path) -> None:
    settings = Settings(**settings_for_files(tmp_path)[kind], epochs=1, compile=kind != "table")
    found = [
        train_run(settings.changed(device=device), tmp_path / str(device), doctor=Doctor(quiet=True)).test
        for device in (None, "xla")
    ]
    assert found[0] == pytest.approx(found[1], rel=1e-3)


@pytest.mark.parametrize("model", ["vae", "dcgan", "pixelcnn", "realnvp", "ddpm"] if NIGHTLY else ["vae"])
def test_what_draws_draws_there(model: str) -> None:
    task, _ = load_task(Settings(model=model))
    chainrule.manual_seed(0)
    maker = task.build_model()
    options = {"steps": 2} if model == "ddpm" else {}
    here = task.draw(maker, 2, **options)
    there = task.draw(maker.to("xla"), 2, **options)
    assert not there.is_cpu
    np.testing.assert_allclose(there.cpu().numpy(), here.numpy(), atol=1e-3)


# ------------------------------------------------------------------------------------------ its parts


def test_who_looks_at_operations_gets_numpy_s_arrays() -> None:
    x = chainrule.tensor([2.0, -1.0], device="xla")
    with pytest.raises(AnomalyError, match="Log made nan in 1 of 2 entries"), chainrule.autograd.detect_anomaly():
        x.log()
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2), nn.Sigmoid())
    batch = chainrule.randn(5, 2), chainrule.tensor([0, 1, 1, 0, 1])
    here = look_at(model, nn.CrossEntropyLoss(), *batch)
    there = look_at(model.to("xla"), nn.CrossEntropyLoss(), *[x.to("xla") for x in batch])
    assert there.fired["1"].tolist() == here.fired["1"].tolist() and there.saturated == here.saturated
    assert [layer.path for layer in there.layers] == ["0.weight", "2.weight"]
    assert there.loss == pytest.approx(here.loss, rel=1e-5)


def test_a_trainer_takes_a_loss_with_weights_along() -> None:
    model, loss = nn.Linear(2, 2), nn.CrossEntropyLoss(weight=chainrule.tensor([1.0, 2.0]))
    trainer = Trainer(model, loss, optim.SGD(model.parameters(), lr=0.1), device="xla")
    trainer.fit([(chainrule.ones(3, 2), chainrule.tensor([0, 1, 1]))])
    assert not loss.weight.is_cpu and not model.weight.is_cpu


def test_batches_for_a_model_on_a_device_are_there_one_step_ahead() -> None:
    data = TensorDataset(chainrule.arange(6.0), chainrule.arange(6))
    model = nn.Linear(1, 1).to("xla")
    for loader in (DataLoader(data, 2), list(DataLoader(data, 2))):
        batches = list(batches_for(model, loader))
        assert all(not x.is_cpu and not y.is_cpu for x, y in batches)
        assert [x.tolist() for x, _ in batches] == [[0, 1], [2, 3], [4, 5]]
