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

import numpy as np
import pytest
from PIL import Image

import chainrule
from chainrule import data, models, train
from chainrule.cli import main
from chainrule.data.optdigits import load_digits_arrays
from chainrule.tasks import Settings, train_run


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
    assert config["settings"]["learning_rate"] == 0.002 and config["settings"]["shift"] == 2
    assert config["versions"]["chainrule"] and config["task"] == "images"
    with open(folder / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert float(rows[1]["train_loss"]) < float(rows[0]["train_loss"])
    model, splits = models.LeNet5(), data.digits()
    train.load_weights(model, folder / "best.safetensors")
    images, labels = splits.test.tensors
    right = (model(images).argmax(1) == labels).float().mean().item()
    assert right == pytest.approx(summary["test"]["accuracy"], abs=1e-6) and f"{right:.4f}" in out
    again = tmp_path / "again"
    call(capsys, "train", "--config", str(folder), "--output", str(again), "--quiet")
    assert json.loads((again / "summary.json").read_text())["test"] == summary["test"], "same settings, same run"
    code, _, err = call(capsys, "train", "lenet5", "--output", str(folder))
    assert code == 2 and "holds a run already" in err
    files = {
        "config.json",
        "facts.json",
        "metrics.csv",
        "best.safetensors",
        "checkpoint-000000080.safetensors",
        "doctor.json",
    }
    assert {path.name for path in folder.iterdir()} == {*files, "summary.json", "report.html"}
    page = (folder / "report.html").read_text()
    assert all(word in page for word in ("Confusion", "Worst examples", "learning rate", "gradient norm", "seed"))
    assert "http" not in page.replace("http-equiv", ""), "the page refers to nothing outside of itself"


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
    assert code == 1 and "Try a smaller learning" in err and err.count("\n") == 1 and f"Run: {folder}" in out
    assert json.loads((folder / "summary.json").read_text())["status"] == "diverged"
    assert "learning rate too large" in out, "the doctor says so"
    assert " of /" not in err, "no line of the library that reads flags is blamed"


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
            "no model 'lenet6'; the nearest",
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
        (["train", "--set", "width"], "NAME=VALUE"),
        (["train", "--set", "width=3"], "lenet5 has no option 'width'"),
        (["train", "--set", "schedule=step"], "cosine, constant, onecycle or steps"),
        (["train", "decoder"], "decoder learns from text"),
        (["train", "--config", "none.toml"], "none.toml cannot be read"),
        (["train", "--resume", "none"], "none holds no run"),
        (["train", "--resume", "none", "--epochs", "3"], "goes on with the settings of none"),
        (["train", "--data", "none.csv"], "there is no file none.csv"),
        (["evaluate", "none"], "none holds no run"),
        (["predict", "none", "x.png"], "none holds no run"),
        (["doctor", "none"], "none"),
        (["train", "mlp", "--set", "hidden=8,abc"], "mlp has numbers as hidden, such as 128, got 'abc'"),
        (["tune"], "--vary"),
        (["tune", "--vary", "lr=1"], "NAME=LOW..HIGH"),
        (["data", "mnits"], "Did you mean mnist?"),
        (
            ["train", "mlp", "--devices", "4", "--hosts", "a,b"],
            "launch --nodes 2 --node-rank 0 --master-addr a -m chainrule",
        ),
        (["launch", "--node-rank", "2", "--nodes", "2", "x.py"], "--node-rank is 0 to 1 with --nodes 2, got 2"),
        (["launch", "none.py"], "there is no script none.py"),
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
    for arguments in ([], ["--help"], ["evaluate", "-h"], ["predict", "-h"], ["tune", "-h"], ["train", "-h"]):
        _, out, err = call(capsys, *arguments)
        assert not err and "train" in out
    assert "Examples" in out and "best.safetensors" in out and "--learning-rate" in out


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


@pytest.mark.timeout(900)  # however busy the machine is
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_interrupting_keeps_everything_and_resuming_goes_on(tmp_path: Path, capsys: Any, stop: signal.Signals) -> None:
    folder = tmp_path / "run"
    process = subprocess.Popen(
        command("train", "mlp", "--epochs", "10000", "--output", str(folder)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + 300
    while not (folder / "metrics.csv").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.3)
    process.send_signal(stop)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 130 and b"Interrupted" in out and b"--resume" in out and b"Traceback" not in err
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["status"] == "interrupted" and summary["epochs"] >= 1 and summary["test"]["accuracy"] > 0.3
    for name in ("best.safetensors", "report.html", "metrics.csv"):
        assert (folder / name).stat().st_size > 0


class Interrupting(train.Callback):
    """Ctrl-C at a certain batch."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def on_batch_end(self, trainer: Any, batch: Any) -> None:
        if trainer.steps == self.steps:
            signal.raise_signal(signal.SIGINT)


def test_a_resumed_run_ends_with_the_same_bits(tmp_path: Path, capsys: Any) -> None:
    settings, handler = Settings(model="mlp", epochs=2), signal.getsignal(signal.SIGINT)
    wanted = train_run(settings, tmp_path / "whole")
    weights = (tmp_path / "whole" / "best.safetensors").read_bytes()
    for steps in (3, 40, 61):
        folder = tmp_path / f"after {steps}"
        broken = train_run(settings, folder, [Interrupting(steps)])
        assert broken.status == "interrupted" and signal.getsignal(signal.SIGINT) is handler
        code, out, err = call(capsys, "train", "--resume", str(folder))
        assert code == 0 and not err and "going on after" in out
        assert json.loads((folder / "summary.json").read_text())["test"] == wanted.test
        assert (folder / "best.safetensors").read_bytes() == weights


def test_evaluating_and_predicting_need_only_the_folder(tmp_path: Path, capsys: Any) -> None:
    run = str(tmp_path / "run")
    assert call(capsys, "train", "--epochs", "3", "--output", run, "--quiet")[0] == 0
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    code, out, _ = call(capsys, "evaluate", run, "--json")
    assert code == 0 and json.loads(out) == pytest.approx(summary["test"], rel=1e-6)
    code, out, _ = call(capsys, "evaluate", run, "--part", "train")
    assert code == 0 and "train accuracy" in out
    pictures, labels = load_digits_arrays()
    (tmp_path / "pictures").mkdir()
    for i in range(20):
        image = Image.fromarray((pictures[i] * 15.9).astype("uint8"))
        image.save(tmp_path / "pictures" / f"{i:02}.png")
    code, out, _ = call(capsys, "predict", run, str(tmp_path / "pictures"))
    rows = list(csv.DictReader(out.splitlines()))
    assert len(rows) == 20 and sum(row["class"] == str(label) for row, label in zip(rows, labels)) >= 17
    target = tmp_path / "said.json"
    assert call(capsys, "predict", run, str(tmp_path / "pictures" / "03.png"), "--output", str(target))[0] == 0
    assert json.loads(target.read_text())[0]["class"] == rows[3]["class"]
    (tmp_path / "broken.png").write_bytes(b"no image")
    code, _, err = call(capsys, "predict", run, str(tmp_path / "broken.png"))
    assert code == 2 and "broken.png" in err
    code, _, err = call(capsys, "predict", run)
    assert code == 2 and "Give files" in err
    page = tmp_path / "run" / "explained.html"
    code, out, _ = call(capsys, "explain", run)
    assert code == 0 and str(page) in out and "operations" in out and page.read_text().startswith("<!doctype html>")
    there = tmp_path / "seen.html"
    picture = str(tmp_path / "pictures" / "03.png")
    assert call(capsys, "explain", run, "--input", picture, "--output", str(there))[0] == 0 and there.is_file()
    code, _, err = call(capsys, "explain", run, "--input", str(tmp_path / "broken.png"))
    assert code == 2 and "broken.png" in err
    code, _, err = call(capsys, "explain", run, "--size", "3x2")
    assert code == 2 and "has its own" in err
    assert "The network on one sample" in (tmp_path / "run" / "report.html").read_text()
    code, _, err = call(capsys, "evaluate", run, "--part", "tset")
    assert code == 2 and "train, validation, test" in err


def test_networks_are_explained(tmp_path: Path, capsys: Any) -> None:
    page = tmp_path / "page.html"
    code, out, _ = call(capsys, "explain", "mlp", "--size", "1x4x4", "--set", "in_features=16", "--output", str(page))
    assert code == 0 and "mlp: " in out and page.read_text().startswith("<!doctype html>")
    np.save(tmp_path / "x.npy", np.zeros((2, 5)))
    code, out, err = call(
        capsys, "explain", "mlp", "--set", "in_features=16", "--input", str(tmp_path / "x.npy"), "--output", str(page)
    )
    assert code == 2 and "the forward pass failed" in err and page.is_file()
    code, _, err = call(capsys, "explain", "mlp", "--input", str(tmp_path / "nothing.npy"))
    assert code == 2 and "there is no file" in err
    (tmp_path / "text.npy").write_text("no numbers")
    code, _, err = call(capsys, "explain", "mlp", "--input", str(tmp_path / "text.npy"))
    assert code == 2 and "numpy.save" in err and "pickle" not in err
    Image.fromarray(np.full((9, 7), 51, np.uint8)).save(tmp_path / "grey.png")
    code, out, _ = call(capsys, "explain", "lenet5", "--input", str(tmp_path / "grey.png"), "--output", str(page))
    assert code == 0 and "0.2" in page.read_text(), "in the network's size, from 0 to 1"
    code, _, err = call(
        capsys, "explain", "mlp", "--set", "in_features=16", "--size", "16", "--input", str(tmp_path / "grey.png")
    )
    assert code == 2 and "which no image gives" in err
    code, _, err = call(capsys, "explain")
    assert code == 2 and "RUN|MODEL" in err
    for ending, start in ((".svg", "<svg"), (".json", "{"), (".dot", "digraph")):
        target = tmp_path / f"seen{ending}"
        assert call(capsys, "explain", "lenet5", "--output", str(target))[0] == 0
        assert target.read_text().startswith(start)
    code, _, err = call(capsys, "explain", "lenet5", "--output", str(tmp_path / "seen.png"))
    assert code == 2 and ".html, .svg, .json, .dot, .onnx, got seen.png" in err
    for command in ("explain", "export"):
        code, _, err = call(capsys, command, str(tmp_path / "run"))
        assert code == 2 and f"there is no folder {tmp_path / 'run'}" in err


def test_a_search_goes_on_and_says_what_mattered(tmp_path: Path, capsys: Any) -> None:
    folder = tmp_path / "search"
    arguments = ("tune", "mlp", "--epochs", "2", "--vary", "lr=1e-4..1e-1:log", "--vary", "hidden=16,32", "--output")
    code, out, _ = call(capsys, *arguments, str(folder), "--trials", "4")
    assert code == 0 and "best of 4 trials" in out and "learning_rate" in out
    best = json.loads((folder / "best.json").read_text())
    assert 1e-4 <= best["settings"]["learning_rate"] <= 1e-1 and best["validation_loss"] < 2.5
    with Image.open(folder / "search.png") as picture:
        picture.verify()
    code, out, _ = call(capsys, *arguments, str(folder), "--trials", "6")
    assert code == 0 and "best of 6 trials" in out, "the earlier four count"


def test_a_search_that_cannot_begin_says_why_once(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "chainrule", "tune", "mlp", "--trials", "2", "--vary", "nosuch=1,2", "--output"]
    done = subprocess.run([*command, str(tmp_path / "search")], capture_output=True, text=True)
    assert done.returncode == 2 and "has no option 'nosuch'" in done.stderr
    assert "Traceback" not in done.stderr and done.stderr.count("nosuch") == 1


def test_the_data_command(capsys: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CHAINRULE_DATA", raising=False)
    code, out, _ = call(capsys, "data")
    assert code == 0 and "digits" in out and "would be downloaded" in out
    code, out, _ = call(capsys, "data", "digits")
    assert code == 0 and "1,258 images" in out and "[1, 32, 32]" in out


def test_the_doctor_command(capsys: Any, tmp_path: Path) -> None:
    run = str(tmp_path / "run")
    call(capsys, "train", "mlp", "--lr", "1e25", "--output", run)
    code, out, _ = call(capsys, "doctor", run)
    assert code == 1 and "learning rate too large" in out
    code, out, _ = call(capsys, "doctor", run, "--json")
    assert code == 1 and json.loads(out)[0]["condition"]
