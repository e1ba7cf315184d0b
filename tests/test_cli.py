"""The command `chainrule`, as a user meets it."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import chainrule
from chainrule import data, models, nn, train
from chainrule.cli import main

def command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", "from chainrule.cli import main; main()", *arguments]


def call(capsys: Any, *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


def test_a_short_run_leaves_everything(capsys: Any, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    code, out, err = call(capsys, "train", "lenet5", "--epochs", "2", "--output", str(folder), "--seed", "4")
    assert code == 0 and not err and "test accuracy" in out and "epoch 2/2" in out
    config, summary = (json.loads((folder / f"{name}.json").read_text()) for name in ("config", "summary"))
    assert config["learning_rate"] == 0.002 and config["shift"] == 2 and config["versions"]["chainrule"]
    with open(folder / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert float(rows[1]["train_loss"]) < float(rows[0]["train_loss"])
    with Image.open(folder / "curves.png") as picture:
        picture.verify()
    model, splits = models.LeNet5(), data.digits()
    train.load_weights(model, folder / "weights.safetensors")
    test = train.evaluate(model, data.DataLoader(splits.test, 100), nn.CrossEntropyLoss())
    assert test.accuracy == pytest.approx(summary["test_accuracy"]) and f"{test.accuracy:.4f}" in out
    again = tmp_path / "again"
    call(capsys, "train", "lenet5", "--epochs", "2", "--output", str(again), "--seed", "4", "--quiet")
    assert json.loads((again / "summary.json").read_text())["test_loss"] == summary["test_loss"], "same seed, same run"
    code, _, err = call(capsys, "train", "lenet5", "--output", str(folder))
    assert code == 2 and "holds a run already" in err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["train", "lenet6"], "no model 'lenet6'; there are lenet5, mlp. Did you mean lenet5?"),
        (["train", "lenet5", "--data", "digit"], "Did you mean digits?"),
        (["train", "lenet5", "--epochs", "0"], "--epochs"),
        (["train", "lenet5", "--epochs", "many"], "--epochs"),
        (["train", "lenet5", "--lr", "-1"], "above 0"),
        (["train", "lenet5", "--lr", "nan"], "above 0"),
        (["train", "lenet5", "--momentum", "2"], "--momentum"),
        (["train", "lenet5", "--optimizer", "adamm"], "adam"),
        (["train", "lenet5", "--nonsense", "1"], "--nonsense"),
        (["train"], "model"),
        (["trian"], "Did you mean 'train'?"),
    ],
)
def test_wrong_input_gets_one_line_and_exit_code_2(
    capsys: Any, monkeypatch: Any, tmp_path: Path, arguments: list[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = call(capsys, *arguments)
    assert code == 2 and says in err and err.count("\n") == 1 and not out
    assert not list(tmp_path.iterdir()), "nothing is left behind"


def test_help_and_version(capsys: Any) -> None:
    assert call(capsys, "--version")[1].strip() == f"chainrule {chainrule.__version__}"
    for arguments in ([], ["--help"], ["train", "-h"]):
        _, out, err = call(capsys, *arguments)
        assert "Traceback" not in out + err and "train" in out
    assert "Examples" in out and "weights.safetensors" in out and "--learning-rate" in out


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_interrupting_keeps_what_was_learned(tmp_path: Path, stop: signal.Signals) -> None:
    folder = tmp_path / "run"
    process = subprocess.Popen(
        command("train", "mlp", "--epochs", "10000", "--output", str(folder)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + 60
    while not (folder / "metrics.csv").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.3)
    process.send_signal(stop)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and b"Interrupted" in out and b"Traceback" not in err
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["status"] == "interrupted" and summary["epochs"] >= 1 and summary["test_accuracy"] > 0.3
    for name in ("weights.safetensors", "last.safetensors", "curves.png", "metrics.csv"):
        assert (folder / name).stat().st_size > 0
