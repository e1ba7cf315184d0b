"""Generative models as runs: every entry trains, resumes, measures and draws; attacks on a run; one line for bad input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import chainrule
from chainrule import data, models, nn
from chainrule.cli import main
from chainrule.generative.makers import Adversaries, Maker
from chainrule.metrics.samples import kernel_distance
from chainrule.tasks import Settings, open_run, train_run
from chainrule.tasks.attacking import attack_run

SMALL: dict[str, dict[str, Any]] = {
    "vae": {"hidden": 32, "code": 4},
    "realnvp": {"hidden": 8},
    "pixelcnn": {"width": 8, "depth": 1},
    "ddpm": {"base": 8, "widths": [1, 2], "steps": 20},
    "gan": {"hidden": [32], "noise": 8},
    "dcgan": {"base": 4, "noise": 8},
    "wgan-gp": {"base": 4, "noise": 8, "discriminator_steps": 2},
}


def command(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(list(arguments))
    return int(stopped.value.code or 0)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of each model on a folder of 60 images: grey squares in colour, the same for all."""
    root = tmp_path_factory.mktemp("generation")
    (root / "data").mkdir()
    random = np.random.default_rng(0)
    for i in range(60):
        pixels = np.zeros((8, 8, 3), np.uint8)
        pixels[i % 4 : i % 4 + 4, 2:6] = random.integers(150, 255)
        Image.fromarray(pixels).save(root / "data" / f"{i:02}.png")
    return root


@pytest.mark.parametrize("name", SMALL)
def test_a_run_of_each(runs: Path, name: str) -> None:
    settings = Settings(
        data=str(runs / "data"), model=name, model_options=SMALL[name], epochs=2, batch_size=16, compile=False
    )
    outcome = train_run(settings, runs / name)
    assert outcome.status == "finished" and np.isfinite(outcome.test["loss"])
    page = (runs / name / "report.html").read_text()
    assert "Epoch 1" in page and "Epoch 2" in page and "Real ones" in page
    opened = open_run(runs / name)
    model = opened.model
    assert isinstance(model, Maker) and set(model.parts) == {k[5:] for k in outcome.test if k.startswith("loss_")}
    first, again, other = (opened.task.draw(model, 3, seed=seed).numpy() for seed in (1, 1, 2))
    assert first.shape == (3, 3, 8, 8) and first.min() >= 0 and first.max() <= 1
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0
    assert command("sample", str(runs / name), "--count", "4") == 0
    assert Image.open(runs / name / "samples.png").size[0] > 16


@pytest.fixture
def few_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each part of a set of data the first hundred."""
    whole_data = data.load

    def some(*given: Any, **options: Any) -> Any:
        splits = whole_data(*given, **options)
        return splits._replace(
            **{part: data.TensorDataset(*getattr(splits, part)[:100]) for part in ("train", "validation", "test")}
        )

    monkeypatch.setattr(data, "load", some)


@pytest.mark.usefixtures("few_digits")
@pytest.mark.parametrize("name", ["wgan-gp", "ddpm"])
def test_a_run_goes_on_as_if_it_had_never_stopped(tmp_path: Path, name: str) -> None:
    """Told the classes of some digits; three epochs in one go, and two with the third after a stop at the second."""
    options = {**SMALL[name], "conditional": True}
    settings = Settings(
        data="digits",
        model=name,
        model_options=options,
        epochs=3,
        batch_size=50,
        schedule="constant",
        compile=name == "wgan-gp",
    )
    whole = train_run(settings, tmp_path / "whole")

    class Stop(chainrule.train.Callback):
        def on_epoch_end(self, trainer: Any, row: dict[str, Any]) -> None:
            if trainer.epoch == 2:
                trainer.stop("enough")

    train_run(settings, tmp_path / "parts", [Stop()])
    parts = train_run(None, tmp_path / "parts")
    assert whole.test == parts.test and whole.best_epoch == parts.best_epoch
    opened = open_run(tmp_path / "whole")
    drawn = [opened.task.draw(opened.model, 5, label, seed=1).numpy() for label in (None, 3, 4)]
    assert np.abs(drawn[1] - drawn[2]).max() > 0 and np.abs(drawn[0] - drawn[1]).max() > 0
    with pytest.raises(ValueError, match="classes are 0 to 9, got 10"):
        opened.task.draw(opened.model, 5, 10)


class Spoil(chainrule.train.Callback):
    """After the second step, when the mean has taken it: weights that draw noise of mean 10."""

    last = True

    def on_batch_end(self, trainer: Any, batch: Any) -> None:
        if trainer.steps == 2:
            nn.init.constant_(trainer.model.diffusion.network.last.bias, 10.0)


@pytest.mark.filterwarnings("ignore:precision")  # that it takes longer, said once in a process
@pytest.mark.usefixtures("few_digits")
@pytest.mark.parametrize("average", [None, 0.3])
def test_diffusion_learns_in_bfloat16_and_is_kept_in_float32(tmp_path: Path, average: float | None) -> None:
    """Two steps. The epoch's weights are stored as they were tried, a mean that is better as what it is."""
    settings = Settings(
        data="digits", model="ddpm", model_options=SMALL["ddpm"], epochs=1, batch_size=50, precision="bfloat16",
        average=average, compile=False,
    )  # fmt: skip
    outcome = train_run(settings, tmp_path, [] if average is None else [Spoil()])
    assert outcome.status == "finished" and outcome.test["loss"] < 10
    stored = chainrule.load(tmp_path / "best.safetensors")
    model = open_run(tmp_path).model
    kind = chainrule.bfloat16 if average is None else chainrule.float32
    for name, weight in model.named_parameters():
        assert weight.dtype is chainrule.float32 and stored[name].dtype is kind
        assert chainrule.equal(weight, stored[name].float())
    if average is not None:
        assert any(not chainrule.equal(w, w.bfloat16().float()) for w in model.parameters()), "of the masters"


def test_a_model_by_the_command_learns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = str(tmp_path / "run")
    assert (
        command(
            "train",
            "vae",
            "--data",
            "digits",
            "--epochs",
            "12",
            "--lr",
            "0.003",
            "--set",
            "hidden=64",
            "--output",
            run,
            "-q",
        )
        == 0
    )
    assert command("evaluate", run, "--json") == 0
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert figures["loss"] < 30, "64 pixels that are drawn by their own means take 31 nats"
    assert figures["loss"] == pytest.approx(figures["loss_reconstruction"] + figures["loss_divergence"], rel=1e-4)


def test_the_distance_of_adversaries_is_that_of_the_metric() -> None:
    model = models.create("dcgan", shape=(1, 8, 8), base=4, noise=8)
    assert isinstance(model, Adversaries)
    images = chainrule.rand(40, 1, 8, 8)
    chainrule.manual_seed(3)
    found = model.eval()(images)[0, 0].item()
    chainrule.manual_seed(3)
    chainrule.randn(40, 8)  # the codes of the losses
    drawn = model.draw(40)
    real, made = ((2 * x - 1).flatten(1).numpy() for x in (images, drawn))
    assert found == pytest.approx(kernel_distance(real, made), rel=1e-3, abs=1e-5)


def test_attacks_on_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    train_run(Settings(data="digits", model="mlp", model_options={"hidden": [32]}, epochs=10), run)
    clean, rows = attack_run(run, epsilons=[0.0, 0.1, 0.3], steps=10, count=200, picture=tmp_path / "fooled.png")
    assert clean > 0.85 and rows[0].accuracy == clean and rows[0].change == pytest.approx(0, abs=1e-5)
    assert clean > rows[1].accuracy > rows[2].accuracy and rows[2].accuracy < 0.1
    assert rows[2].change <= 0.3 * 8 + 1e-3, "each of 64 pixels by at most 0.3"
    assert Image.open(tmp_path / "fooled.png").size[0] > 0
    one = attack_run(run, "fgsm", [0.1], count=200)[1][0]
    assert one.accuracy >= rows[1].accuracy - 0.02, "one step does no better than ten"
    searched = attack_run(run, "square", [0.0, 0.3], steps=100, count=200)[1]
    assert searched[0].accuracy == clean and searched[1].accuracy < clean - 0.2, "without gradients"
    few, many = (attack_run(run, "square", [0.1], steps=steps, count=50)[1][0] for steps in (40, None))
    assert many.accuracy < few.accuracy, "40 tries are steps enough for the others, and none for a search"
    least = attack_run(run, "deep_fool", count=200)[1][0]
    assert np.isnan(least.epsilon) and least.accuracy < 0.1 and least.change < rows[2].change
    assert command("attack", str(run), "--epsilon", "0.3", "--count", "50", "--json") == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert said["attacked"][0]["accuracy"] < 0.1 < said["clean"]


def test_bad_input_is_answered_by_one_line(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if not (runs / "vae" / "best.safetensors").exists():
        settings = Settings(data=str(runs / "data"), model="vae", model_options=SMALL["vae"], epochs=1, compile=False)
        train_run(settings, runs / "vae")
    run, folder = str(runs / "vae"), str(runs / "data")
    for arguments, message in (
        (("sample", str(tmp_path)), "holds no run"),
        (("sample", run, "--label", "3"), "knows no classes"),
        (("sample", run, "--set", "steps=3"), "draws with no options, not 'steps'"),
        (("sample", run, "--output", "x.jpg"), "a .png file"),
        (("attack", run), "classifies no images"),
        (("attack", run, "--method", "magic"), "the attacks are fgsm, pgd, square, deep_fool"),
        (("attack", run, "--epsilon", "7"), "at most 1, got 7"),
        (("attack", run, "--norm", "1"), "inf or 2"),
        (("predict", run, "x.png"), "predicts nothing, it draws"),
        (("train", "dcgan", "--data", folder, "--set", "conditional=true"), "has no classes"),
        (("train", "vae", "--data", folder, "--shift", "2"), "make other data"),
        (("train", "gan", "--data", folder, "--clip-norm", "1"), "take turns"),
        (("train", "gan", "--data", folder, "--gradient-flow", "10"), "adversaries have one each"),
        (("train", "ddpm", "--data", "shakespeare"), "learns from images"),
        (("train", "vae", "--data", "digits", "--set", "beta=-1"), "beta"),
        (("train", "gan", "--data", "digits", "--set", "loss=hinge"), "hinge"),
        *(
            (("train", name, "--data", folder, "--precision", "bfloat16"), f"{name} learns in float32; of what")
            for name in ("vae", "realnvp", "pixelcnn")
        ),
    ):
        assert command(*arguments) == 2, arguments
        said = capsys.readouterr().err.strip()
        assert message in said and "\n" not in said, (arguments, said)
