"""Settings, kinds of data and runs: tables, texts, folders of images, and what their models answer."""

from __future__ import annotations

import csv
import dataclasses
import inspect
import json
import math
import signal
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from PIL import Image
from sklearn import datasets
from sklearn.linear_model import LogisticRegression, Ridge

import chainrule
from chainrule import models
from chainrule.cli.main import main
from chainrule.cli.train import train
from chainrule.errors import DataError
from chainrule.tasks import Settings, load_task, open_run, read_settings, train_run
from chainrule.tasks.run import evaluate_run, prepare
from chainrule.tasks.search import search
from chainrule.tasks.setting import setting_of
from chainrule.tasks.text import Pieces
from chainrule.train import Callback, Trainer
from chainrule.tune import Choice

# --- settings ---


def test_settings_come_from_toml_and_from_runs(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text('data = "mnist"\nbatch-size = 64\nignore = ["a"]\n[model_options]\nhidden = [8]\n')
    settings = read_settings(file)
    assert (settings.data, settings.batch_size, settings.ignore) == ("mnist", 64, ("a",))
    assert settings.model_options == {"hidden": [8]} and settings.epochs is None
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"settings": settings.to_json()}))
    assert read_settings(tmp_path) == settings == read_settings(config)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("epoch = 3", "no setting 'epoch'. Did you mean epochs"),
        ("epochs = 0", "epochs: expected at least 1, got 0"),
        ("epochs = 1.5", "got 1.5"),
        ("learning_rate = inf", "a finite number above 0"),
        ("learning_rate = nan", "a finite number above 0"),
        ('optimizer = "adams"', "adam, adamw"),
        ("flip = 1", "true or false"),
        ("momentum = true", "momentum"),
        ("epochs = ", "holds no settings"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(tmp_path: Path, content: str, says: str) -> None:
    (tmp_path / "run.toml").write_text(content)
    with pytest.raises(ValueError, match=says):
        read_settings(tmp_path / "run.toml")


def test_what_is_no_setting_is_an_option_of_the_model() -> None:
    settings = Settings(model_options={"width": 4}).changed(epochs=2, hidden=[3])
    assert settings.epochs == 2 and settings.model_options == {"width": 4, "hidden": [3]}


def test_the_rate_falls_to_a_tenth_after_half_and_after_three_quarters(tmp_path: Path) -> None:
    settings = Settings(model="mlp", epochs=4, batch_size=300, learning_rate=0.01, schedule="steps")
    train_run(settings, tmp_path / "run")
    with open(tmp_path / "run" / "metrics.csv", encoding="utf-8") as file:
        rates = [float(row["learning_rate"]) for row in csv.DictReader(file)]
    np.testing.assert_allclose(rates, [1e-2, 1e-3, 1e-4, 1e-4])  # after each epoch
    prepared = prepare(settings.changed(warmup=0.25, learning_rate=0.1))
    steps, optimizer, schedule = 4 * len(prepared.train), prepared.trainer.optimizer, prepared.trainer.schedule
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    rise = np.linspace(0.001, 0.1, steps // 4, endpoint=False)
    np.testing.assert_allclose(rates[: steps // 4], rise)
    np.testing.assert_allclose(rates[steps // 4 :: steps // 4], [0.1, 0.01, 0.001])


def test_the_mean_of_the_weights_is_kept_where_it_is_better(tmp_path: Path) -> None:
    """Large steps at a constant rate go to and fro; the mean over 200 of them often lies between."""
    settings = Settings(model="mlp", epochs=10, optimizer="sgd", learning_rate=0.2, schedule="constant", average=0.99)
    found = train_run(settings, tmp_path / "run")
    with open(tmp_path / "run" / "metrics.csv", encoding="utf-8") as file:
        losses = [float(row["validation_loss"]) for row in csv.DictReader(file)]
    assert min(losses) == losses[found.best_epoch - 1]
    assert found.validation["loss"] < min(losses) if found.averaged else found.validation["loss"] == min(losses)
    assert evaluate_run(tmp_path / "run", "validation") == pytest.approx(found.validation, rel=1e-5)
    space = {"average": Choice([0.99, 0.99999])}
    searched = search(settings, space, tmp_path / "search", trials=2, method="grid", pruner="none")
    values = {trial["average"]: trial["value"] for trial in searched.trials()}
    assert values == pytest.approx({0.99: found.validation["loss"], 0.99999: min(losses)}, rel=1e-5)
    worse = train_run(settings.changed(epochs=1, average=0.99999), tmp_path / "worse")  # the first weights, nearly
    assert not worse.averaged
    assert evaluate_run(tmp_path / "worse", "validation") == pytest.approx(worse.validation, rel=1e-5)

    class Stopping(Callback):
        def on_batch_end(self, trainer: Trainer, batch: Any) -> None:
            if trainer.epoch == 9:
                signal.raise_signal(signal.SIGINT)

    stopped = train_run(settings, tmp_path / "stopped", [Stopping()])
    assert stopped.status == "interrupted" and not stopped.averaged, "its best epoch's weights stay for what follows"
    assert train_run(None, tmp_path / "stopped") == found
    with pytest.raises(ValueError, match="mean of the generator"):
        prepare(Settings(model="dcgan", average=0.9))


def test_a_run_in_bfloat16_gives_a_network_in_float32(tmp_path: Path) -> None:
    settings = Settings(model="mlp", epochs=3, batch_size=64, precision="bfloat16")
    mean = train_run(settings.changed(average=0.9), tmp_path / "mean")
    assert evaluate_run(tmp_path / "mean", "validation")["loss"] == pytest.approx(mean.validation["loss"], rel=0.01)
    found = train_run(settings, tmp_path / "run")
    assert found.test["accuracy"] > 0.85
    assert chainrule.load(tmp_path / "run" / "best.safetensors")["layers.1.weight"].dtype is chainrule.bfloat16
    opened = open_run(tmp_path / "run")
    assert {p.dtype for p in opened.model.parameters()} == {chainrule.float32}
    assert evaluate_run(tmp_path / "run") == pytest.approx(found.test, rel=1e-6)
    with pytest.raises(ValueError, match="float32"):
        prepare(Settings(model="gan", precision="bfloat16"))


# --- tables ---


def write_table(path: Path, name: str) -> Any:
    """One of scikit-learn's real tables; classes by their names."""
    found = getattr(datasets, f"load_{name}")(as_frame=True)
    frame = found.frame
    if hasattr(found, "target_names"):
        frame["target"] = [found.target_names[i] for i in frame["target"]]
    frame.to_csv(path, index=False)
    return frame


@pytest.mark.parametrize("name", ["diabetes", "breast_cancer", "wine", "iris"])
def test_tables_are_learned_about_as_well_as_by_a_linear_model(tmp_path: Path, name: str) -> None:
    frame = write_table(tmp_path / "table.csv", name)
    settings = Settings(data=str(tmp_path / "table.csv"), target="target", seed=1)
    task, parts = load_task(settings)
    (x, y), (test_x, test_y) = ([part.numpy() for part in p.tensors] for p in (parts.train, parts.test))
    assert abs(x.mean(0)).max() < 1e-5 and abs(x.std(0) - 1).max() < 1e-4
    linear = (LogisticRegression(max_iter=1000) if task.facts["classes"] else Ridge(1.0)).fit(x, y)
    found = train_run(settings, tmp_path / "run")
    assert found.test.get("accuracy", found.test.get("r2", 0.0)) > linear.score(test_x, test_y) - 0.1
    opened = open_run(tmp_path / "run")
    rows = opened.task.predict(opened.model, [str(tmp_path / "table.csv")])
    assert len(rows) == len(frame)
    if task.facts["classes"]:
        assert np.mean([row["target"] == truth for row, truth in zip(rows, frame["target"], strict=True)]) > 0.9
    else:
        errors = [row["target"] - truth for row, truth in zip(rows, frame["target"], strict=True)]
        assert np.std(errors) < np.std(frame["target"])


def test_new_rows_need_no_target_and_their_categories_keep_their_places(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    coats, weights = rng.choice(["long", "short", "wire"], 200), rng.normal(5, 2, 200)
    prices = 10 * weights + np.where(coats == "long", 30, 0)
    with open(tmp_path / "pets.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["number", "weight", "coat", "price"])
        rows.writerows(zip(range(200), weights, coats, prices, strict=True))
    settings = Settings(data=str(tmp_path / "pets.csv"), target="price", ignore=("number",), epochs=150)
    assert train_run(settings, tmp_path / "run").test["r2"] > 0.97
    (tmp_path / "new.csv").write_text("number,weight,coat\n1,5,wire\n2,5,long\n")
    opened = open_run(tmp_path / "run")
    said = [row["price"] for row in opened.task.predict(opened.model, [str(tmp_path / "new.csv")])]
    assert said == pytest.approx([50, 80], abs=8)
    (tmp_path / "other.csv").write_text("number,weight,coat\n1,5,curly\n")
    with pytest.raises(DataError, match="curly"):
        opened.task.predict(opened.model, [str(tmp_path / "other.csv")])


def test_what_is_wrong_with_a_table_is_said(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("a,b\n" + "\n".join(f"{i},{i % 3}" for i in range(40)) + "\n")
    for settings, says in (
        (Settings(data=str(table)), "Give --target; there are a, b"),
        (Settings(data=str(table), target="c"), "no column 'c'"),
        (Settings(data=str(table), target="a", classify=True), "as classes they are too many"),
        (Settings(data=str(tmp_path / "none.csv"), target="a"), "there is no file"),
        (Settings(data=str(table), target="b", model="lenet5"), "lenet5 learns from images, and .* is a table"),
        (Settings(data=str(table), target="b", model_options={"depth": 3}), "no option 'depth'"),
    ):
        with pytest.raises(ValueError, match=says):
            train_run(settings, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    task, _ = load_task(Settings(data=str(table), target="b", classify=True))
    assert task.facts["classes"] == ["0", "1", "2"]


# --- texts ---


def test_pieces_are_cut_from_everywhere_and_targets_are_one_later() -> None:
    pieces = Pieces(np.arange(1000), 10, moved=True)
    starts = set()
    for _ in range(200):
        inputs, targets = pieces.read_batch(np.asarray([0, len(pieces) - 1]))
        assert chainrule.equal(inputs + 1, targets) and inputs.shape == (2, 10)
        starts.add(int(inputs[0, 0]))
        assert int(targets.max()) < 1000
    assert starts == set(range(10))
    fixed = Pieces(np.arange(1000), 10)
    assert len(fixed) == 99 and fixed[98][0].tolist() == list(range(980, 990))


def test_a_text_is_learned_and_written(tmp_path: Path) -> None:
    (tmp_path / "book.txt").write_text("to be or not to be, that is the question. " * 200)
    options = {"layers": 1, "width": 32, "heads": 2}
    settings = Settings(data=str(tmp_path / "book.txt"), length=32, epochs=25, model_options=options)
    found = train_run(settings, tmp_path / "run")
    assert found.test["loss"] < 0.3 < math.log(16), "its characters follow from those before"
    opened = open_run(tmp_path / "run")
    written = opened.task.predict(opened.model, ["to be or "], length=100, temperature=0.0)[0]["text"]
    assert written.startswith("to be or not to be") and len(written) == 109, "longer than the context"
    with pytest.raises(DataError, match="Z"):
        opened.task.predict(opened.model, ["Z"])
    (tmp_path / "short.txt").write_text("too short")
    with pytest.raises(DataError, match="9 characters"):
        load_task(Settings(data=str(tmp_path / "short.txt")))


# --- folders of images ---


def write_images(folder: Path, count: int = 20) -> None:
    rng = np.random.default_rng(1)
    for name, colour in (("blue", (20, 30, 200)), ("red", (220, 20, 30))):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            pixels = np.clip(np.asarray(colour) + rng.normal(0, 30, (14, 20, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i}.png")


@pytest.mark.parametrize("divided", [False, True])
def test_a_folder_of_images(tmp_path: Path, divided: bool) -> None:
    folder = tmp_path / "pictures"
    for part in ("train", "test") if divided else ("",):
        write_images(folder / part)
    settings = Settings(data=str(folder), model="convnet", size=12, epochs=4)
    task, parts = load_task(settings)
    assert task.facts["shape"] == [3, 12, 12] and task.facts["names"] == ["blue", "red"]
    assert len(parts.test) == (40 if divided else 4)
    found = train_run(settings, tmp_path / "run")
    assert found.test["accuracy"] == 1.0
    opened = open_run(tmp_path / "run")
    row = opened.task.predict(opened.model, [str(next(folder.rglob("red/3.png")))])[0]
    assert row["class"] == "red" and row["probability"] > 0.5


def test_a_run_without_weights_or_files_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no run"):
        open_run(tmp_path)
    train_run(Settings(model="mlp", epochs=1), tmp_path / "run")
    (tmp_path / "run" / "best.safetensors").unlink()
    with pytest.raises(DataError, match="no weights yet"):
        open_run(tmp_path / "run")
    (tmp_path / "run" / "facts.json").write_text("[]")
    with pytest.raises(DataError, match=r"facts\.json"):
        open_run(tmp_path / "run")


@pytest.mark.parametrize("name", ["gpt2", "llama", "rnn_language_model"])
def test_every_language_model_learns_a_text_and_writes(name: str, tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("to be or not to be, that is the question\n" * 40)
    sizes = {"layers": 1, "width": 16, "heads": 2, "key_heads": 1, "hidden": 16}
    if name == "rnn_language_model":
        sizes = {"width": 8, "hidden": 16}
    elif name == "gpt2":
        sizes.pop("key_heads")
    settings = Settings(data=str(path), model=name, length=16, epochs=1, model_options=sizes, compile=False)
    task, parts = load_task(settings)
    model = task.build_model()
    assert model(parts.train[0][0].unsqueeze(0)).shape == (1, 16, len(task.facts["characters"]))
    assert len(task.write(model, "to be", length=40)) == 45  # type: ignore[attr-defined]


def test_a_network_that_no_command_trains_says_so() -> None:
    with pytest.raises(ValueError, match="no command trains bert"):
        load_task(Settings(data="shakespeare", model="bert"))


def test_a_setting_is_written_once() -> None:
    """The command has a flag for each field with a heading, with its bounds, choices and help."""
    flags = inspect.signature(train).parameters
    for field in dataclasses.fields(Settings):
        about = setting_of(Settings, field.name)
        assert about.help and about.rule.expected
        assert (field.name in flags) is bool(about.group), field.name
        if about.group and about.group != "Arguments":
            flag, kind = flags[field.name].default, get_args(flags[field.name].annotation)[0]
            assert flag.help.startswith(about.help) and flag.rich_help_panel == about.group
            assert (flag.min, flag.max) == (about.rule.low, about.rule.high)
            assert not about.rule.options or tuple(kind) == about.rule.options


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--shift", "33"], "'--shift': Input should be less than or equal to 32"), (["--epochs", "0"], "'--epochs'"),
        (["--optimizer", "sdg"], "sgd"), (["--decimal", ";"], "--decimal"), (["--seed", "-1"], "--seed"),
        (["--lr", "0"], "learning_rate: expected a finite number above 0, got 0.0."), (["--set", "shift=40"], "from 0 to 32, got 40"),
    ],
)  # fmt: skip
def test_the_rule_of_a_setting_holds_on_the_command_line(
    flags: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["train", *flags])
    printed = capsys.readouterr()
    assert stopped.value.code == 2 and says in printed.err and printed.err.count("\n") == 1


def test_set_means_the_models_option_where_it_is_named_as_a_setting() -> None:
    """`schedule` of ddpm is the noise's; the learning rate's has a flag."""
    from chainrule.generative.diffusion import cosine_schedule, linear_schedule

    settings = Settings(data="mnist", model="ddpm", schedule="constant")
    for name, schedule in (("cosine", cosine_schedule), ("linear", linear_schedule)):
        told = settings.with_set(schedule=name)
        model = models.create("ddpm", shape=(1, 28, 28), **told.model_options)
        assert told.schedule == "constant"
        assert chainrule.equal(model.diffusion.schedule.kept, schedule(1000).kept)
    assert Settings(data="mnist", model="dcgan").with_set(average=0.5).average is None
