"""Data, the training loop, run folders and the command, as a user meets them."""

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
from chainrule import data, models, nn, optim, train
from chainrule.cli import main
from chainrule.train.files import write_atomically


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", "from chainrule.cli import main; main()", *arguments]


def call(capsys: Any, *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


# --------------------------------------------------------------------------------------------- data


def test_batches_show_every_sample_once_in_a_new_order_each_time() -> None:
    loader = data.DataLoader(data.TensorDataset(chainrule.arange(23)), batch_size=5, shuffle=True)
    passes = [[batch.tolist() for (batch,) in loader] for _ in range(2)]
    assert [len(b) for b in passes[0]] == [5, 5, 5, 5, 3] and len(loader) == 5
    assert sorted(n for batch in passes[0] for n in batch) == list(range(23)) and passes[0] != passes[1]
    short = data.DataLoader(loader.dataset, 5, drop_last=True)
    assert len(short) == len(list(short)) == 4
    orders = [
        [b.tolist() for (b,) in data.DataLoader(loader.dataset, 5, True, generator=chainrule.Generator(3))]
        for _ in range(2)
    ]
    assert orders[0] == orders[1]
    with pytest.raises(ValueError, match="batch_size=0"):
        data.DataLoader(loader.dataset, 0)
    with pytest.raises(chainrule.ShapeError, match="equal length"):
        data.TensorDataset(chainrule.ones(2), chainrule.ones(3))


def test_digits_are_standardised_by_the_training_split() -> None:
    splits = data.digits(size=32)
    images, labels = splits.train.tensors
    assert images.shape == (1258, 1, 32, 32) and labels.dtype is chainrule.int64
    assert abs(images.mean().item()) < 1e-4 and abs(images.std().item() - 1) < 1e-3
    with pytest.raises(chainrule.DataError, match="digits"):
        data.load("digit", size=8)


def test_random_shift_moves_and_keeps_what_stays_inside() -> None:
    images = chainrule.zeros(50, 1, 8, 8)
    images[:, :, 4, 4] = 1
    moved = data.random_shift(images, 2, chainrule.Generator(0))
    places = moved.reshape(50, 64).argmax(1)
    assert moved.sum().item() == 50 and len(set(places.tolist())) > 10
    assert {int(p) // 8 for p in places} == set(range(2, 7)) == {int(p) % 8 for p in places}
    assert chainrule.equal(data.random_shift(images, 0), images)


# ------------------------------------------------------------------------------------- loop and files


def test_evaluation_is_exact_over_uneven_batches_and_restores_modes() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5))
    model[1].eval()
    x, y = chainrule.randn(23, 3), chainrule.randint(0, 4, (23,))
    batches = data.DataLoader(data.TensorDataset(x, y), 5)
    found = train.evaluate(model, batches, nn.CrossEntropyLoss())
    assert model.training and not model[1].training
    scores = model[0](x)
    assert found.loss == pytest.approx(nn.CrossEntropyLoss()(scores, y).item(), rel=1e-5)
    assert found.accuracy == pytest.approx((scores.argmax(1) == y).float().mean().item())


def test_a_diverging_loss_stops_with_advice() -> None:
    model = nn.Linear(2, 2)
    optimizer = optim.SGD(model.parameters(), lr=1e38)
    batches = [(chainrule.randn(4, 2) * 1e20, chainrule.tensor([0, 1, 0, 1]))] * 5
    with pytest.raises(FloatingPointError, match="smaller learning rate"):
        train.train_epoch(model, batches, nn.CrossEntropyLoss(), optimizer)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "file.txt"
    target.write_text("old")

    def fail(path: Path) -> None:
        path.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(target, fail)
    assert target.read_text() == "old" and list(tmp_path.iterdir()) == [target]


def test_weights_files(tmp_path: Path) -> None:
    model, other = models.LeNet5(), models.LeNet5()
    path = tmp_path / "w.safetensors"
    train.save_weights(model, path)
    train.load_weights(other, path)
    assert all(chainrule.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))
    half = nn.Linear(2, 2).bfloat16()
    train.save_weights(half, tmp_path / "h.safetensors")
    assert train.read_weights(tmp_path / "h.safetensors")["weight"].dtype is chainrule.bfloat16
    with pytest.raises(chainrule.CheckpointError, match="missing"):
        train.load_weights(nn.Linear(2, 2), path)
    path.write_bytes(path.read_bytes()[:1000])
    for damaged in (path, tmp_path / "none"):
        with pytest.raises(chainrule.CheckpointError, match="cannot be read"):
            train.read_weights(damaged)


@pytest.mark.peer
def test_pytorch_reads_our_weights_and_we_its(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file, save_file

    ours, theirs = nn.Linear(3, 2), torch.nn.Linear(3, 2)
    train.save_weights(ours, tmp_path / "ours.safetensors")
    theirs.load_state_dict(load_file(tmp_path / "ours.safetensors"))
    np.testing.assert_array_equal(theirs.weight.detach().numpy(), ours.weight.detach().numpy())
    save_file(torch.nn.Linear(3, 2).state_dict(), tmp_path / "theirs.safetensors")
    train.load_weights(ours, tmp_path / "theirs.safetensors")


# --------------------------------------------------------------------------------------------- the command


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
