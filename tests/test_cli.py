"""The command `chainrule`, as a user meets it."""

from __future__ import annotations

import csv
import json
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
    assert code == 0 and not err and "test accuracy" in out and " 2/2 " in out
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
    files = {"config.json", "metrics.csv", "curves.png", "weights.safetensors", "last.safetensors", "summary.json"}
    assert {path.name for path in folder.iterdir()} == files


def test_quiet_says_only_the_result(capsys: Any, tmp_path: Path) -> None:
    folder = tmp_path / "run [bold]"
    code, out, err = call(capsys, "train", "mlp", "--epochs", "1", "--output", str(folder), "--quiet")
    assert code == 0 and not err and out.startswith("Best") and out.count("\n") == 2 and f"Run: {folder}\n" in out


def test_without_a_folder_the_run_is_named_after_time_model_and_data(
    capsys: Any, monkeypatch: Any, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(2):  # perhaps within one second: then the second needs another name
        assert call(capsys, "train", "mlp", "--epochs", "1", "--optimizer", "sgd")[0] == 0
    runs = list((tmp_path / "runs").iterdir())
    assert len(runs) == 2 and all("-mlp-digits" in run.name for run in runs)


def test_a_diverging_run_says_what_to_try_and_where_it_is(capsys: Any, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    code, out, err = call(capsys, "train", "mlp", "--lr", "1e25", "--output", str(folder))
    assert code == 1 and "Try a smaller learning rate" in err and err.count("\n") == 1 and f"Run: {folder}" in out
    assert json.loads((folder / "summary.json").read_text())["status"] == "diverged"


def test_a_folder_that_cannot_be_made_is_wrong_input(capsys: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for output in (tmp_path / "file", tmp_path / "file" / "run"):
        code, _, err = call(capsys, "train", "mlp", "--output", str(output))
        assert code == 2 and "--output" in err and "file" in err and err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ["train", "lenet6"],
            "no model 'lenet6'; there are convnet, lenet5, mlp, resnet10, resnet18, unet. Did you mean lenet5?",
        ),
        (["train", "lenet5", "--data", "digit"], "Did you mean digits?"),
        (["train", "lenet5", "--epochs", "0"], "--epochs"),
        (["train", "lenet5", "--epochs", "many"], "--epochs"),
        (["train", "lenet5", "--lr", "-1"], "above 0"),
        (["train", "lenet5", "--lr", "nan"], "above 0"),
        (["train", "lenet5", "--momentum", "2"], "--momentum"),
        (["train", "lenet5", "--optimizer", "adamm"], "adam"),
        (["train", "lenet5", "--nonsense", "1"], "--nonsense"),
        (["train", "lenet5", "--epoch", "1"], "--epochs"),
        (["train", "lenet5", "--output"], "--output"),
        (["--nonsense"], "--nonsense"),
        (["train", "lenet5", "mlp"], "mlp"),
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
    assert call(capsys, "--version") == (0, f"chainrule {chainrule.__version__}\n", "")
    for arguments in ([], ["--help"], ["train", "-h"]):
        _, out, err = call(capsys, *arguments)
        assert not err and "train" in out
    assert "Examples" in out and "weights.safetensors" in out and "--learning-rate" in out


def test_a_process_of_its_own_answers_in_one_line(tmp_path: Path) -> None:
    done = subprocess.run(command("train", "lenet6"), capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2 and not done.stdout and done.stderr.count("\n") == 1
    done = subprocess.run(command("--version"), capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"chainrule {chainrule.__version__}\n", "")


def test_importing_data_and_training_leaves_heavy_libraries_alone() -> None:
    heavy = "{'typer', 'rich', 'matplotlib', 'safetensors', 'PIL'}"
    program = f"import sys, chainrule.data, chainrule.train; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


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


def test_interrupting_the_first_epoch_keeps_the_weights_so_far(tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    shown, shift = 0, data.random_shift

    def interrupt_at_the_third_batch(images: chainrule.Tensor, pixels: int) -> chainrule.Tensor:
        nonlocal shown
        shown += 1
        if shown == 3:
            signal.raise_signal(signal.SIGINT)
        return shift(images, pixels)

    monkeypatch.setattr(data, "random_shift", interrupt_at_the_third_batch)
    code, out, err = call(capsys, "train", "mlp", "--output", str(tmp_path / "run"))
    assert code == 130 and not err and "Interrupted after 0 of 30 epochs" in out and shown == 3
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["status"] == "interrupted"
    train.load_weights(models.MLP([64, 128, 10]), tmp_path / "run" / "last.safetensors")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler, "and Python handles Ctrl-C again"


def test_a_wish_to_stop_does_not_cut_the_writing_short(tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    record = train.Run.record

    def interrupt_before_recording(self: train.Run, *arguments: Any) -> bool:
        signal.raise_signal(signal.SIGTERM)
        return record(self, *arguments)

    monkeypatch.setattr(train.Run, "record", interrupt_before_recording)
    code, out, _ = call(capsys, "train", "mlp", "--output", str(tmp_path / "run"))
    assert code == 130 and "Interrupted after 1 of 30 epochs" in out
    assert len((tmp_path / "run" / "metrics.csv").read_text().splitlines()) == 2
