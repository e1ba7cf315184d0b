"""What the doctor says of a run afterwards, from its folder; how findings are kept and shown."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import chainrule
from chainrule import nn, optim
from chainrule.data import DataLoader
from chainrule.errors import DataError
from chainrule.train import Checkpoints, CSVLog, Doctor, Finding, Trainer, diagnose, format_findings
from chainrule.train.callbacks import Callback
from chainrule.train.doctor.report import read_findings, write_findings
from tests.doctor_cases import INPUTS, LABELS, SPLITS, filled, pairs, perceptron
from tests.doctor_faults import some_wrong

OVERFITTED = (
    pairs(INPUTS[:200], some_wrong(LABELS[:200], 0.4)),
    pairs(INPUTS[200:400], some_wrong(LABELS[200:400], 0.4)),
)
LOUD = Finding(
    "dying ReLU", "warning", "30 of 32 units of 2 gave 0.", "Large steps.", ("LeakyReLU", "smaller steps"), 2, ("2",)
)
START = Finding("zero initial weights", "fault", "2 of 2.", "Filled.", ("draw",), 0, ("", *map(str, range(9))))


def rows(train: list[float], validation: list[float] | None = None, **others: list[float]) -> list[dict[str, Any]]:
    """A history made of curves."""
    curves = {"train_loss": train, **({"validation_loss": validation} if validation else {}), **others}
    return [{"epoch": i + 1, **{name: curve[i] for name, curve in curves.items()}} for i in range(len(train))]


def names(findings: list[Finding]) -> list[str]:
    return [finding.condition for finding in findings]


def run(folder: Path, model: Any, *callbacks: Any, epochs: int = 6, data: Any = None) -> list[dict[str, Any]]:
    """Train into a folder."""
    chainrule.manual_seed(1)
    train, validation = data or (SPLITS.train, SPLITS.validation)
    trainer = Trainer(
        model, nn.CrossEntropyLoss(), optim.Adam(model.parameters(), lr=3e-3), callbacks=callbacks
    )  # fmt: skip
    return trainer.fit(DataLoader(train, 64, shuffle=True), DataLoader(validation, 256), epochs=epochs)


def test_a_model_in_bfloat16_is_looked_at_in_float32(recwarn: pytest.WarningsRecorder) -> None:
    """The first epoch's validation loss is so far below the mean training loss that the doctor measures that itself."""
    model = perceptron(64, 64, 10)
    doctor = Doctor()
    trainer = Trainer(
        model, nn.CrossEntropyLoss(), optim.Adam(model.parameters(), lr=1e-2), callbacks=[doctor], precision="bfloat16"
    )
    (row,) = trainer.fit(DataLoader(SPLITS.train, 64, shuffle=True), DataLoader(SPLITS.validation, 256))
    assert row["validation_loss"] < 0.6 * row["train_loss"], "or the test shows nothing"
    assert not [str(warning.message) for warning in recwarn if "cannot run" in str(warning.message)]
    assert {p.dtype for p in model.parameters()} == {chainrule.bfloat16}


def test_what_the_optimiser_holds_of_a_model_in_bfloat16_is_known() -> None:
    """Masters stand for their parameters; a parameter without one in the optimiser is still found."""
    for frozen, wanted in ((0, []), (2, ["parameters left out"])):
        model = perceptron(64, 64, 10)
        optimizer = optim.Adam(list(model.parameters())[frozen:], lr=1e-3)
        doctor = Doctor(quiet=True)
        trainer = Trainer(model, nn.CrossEntropyLoss(), optimizer, callbacks=[doctor], precision="bfloat16")
        trainer.fit(DataLoader(SPLITS.train, 256))
        assert names(doctor.findings) == wanted
    assert doctor.findings[0].paths == ("1.weight", "1.bias")


def test_small_steps_in_bfloat16_are_steps() -> None:
    """Of 1 every step takes 0.001 away, less than bfloat16 can show; measured is what the optimiser did."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.ones_(model.weight)
    seen: list[float] = []

    class Look(Callback):
        def looks_inside(self, trainer: Trainer) -> bool:
            return True

        def on_batch_end(self, trainer: Trainer, batch: Any) -> None:
            seen.append(batch.inside["weight"]["update"])

    optimizer = optim.SGD(model.parameters(), lr=1e-3)
    trainer = Trainer(model, lambda y, _: y.mean(), optimizer, callbacks=[Look()], precision="bfloat16")
    trainer.fit([(chainrule.ones(1, 1), chainrule.zeros(1))] * 3)
    assert seen == pytest.approx([1e-3] * 3, rel=1e-3)


# ------------------------------------------------------------------------------------- curves


FALLING = [2.3, 1.2, 0.8, 0.6, 0.45, 0.36, 0.3, 0.25, 0.21, 0.18]
CURVES: dict[str, tuple[list[dict[str, Any]], list[str]]] = {
    "healthy": (rows(FALLING, [2.0, 1.1, 0.8, 0.65, 0.52, 0.45, 0.4, 0.37, 0.35, 0.34]), []),
    "healthy, noisy validation": (rows(FALLING, [2.0, 1.1, 0.7, 0.72, 0.5, 0.55, 0.42, 0.44, 0.38, 0.41]), []),
    "dropout: validation a little lower": (rows(FALLING, [0.9 * loss for loss in FALLING]), []),
    "healthy, without validation": (rows(FALLING), []),
    "one epoch": (rows([1.0], [1.0]), []),
    "a language model": (rows([2.5, 2.0, 1.8, 1.7, 1.65, 1.6], [2.2, 1.95, 1.8, 1.75, 1.7, 1.68]), []),
    "overfitting": (rows(FALLING, [2.0, 1.2, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7]), ["overfitting"]),
    "the gap grows": (rows(FALLING, [2.0, 1.2, 1.0, 1.01, 1.0, 1.02, 1.01, 1.0, 1.02, 1.01]), ["overfitting"]),
    "nothing is learned": (rows([2.3, 2.29, 2.31, 2.3, 2.29, 2.31]), ["underfitting"]),
    "hardly moves": (rows([2.3, 2.299, 2.298, 2.297, 2.296, 2.295]), ["learning rate too small", "underfitting"]),
    "learned well enough": (rows([0.5, 0.45, 0.4, 0.38, 0.36], train_accuracy=[0.9, 0.91, 0.92, 0.92, 0.93]), []),
    "not learned well": (rows([2.3, 1.9, 1.7, 1.6, 1.5], train_accuracy=[0.2, 0.3, 0.35, 0.4, 0.45]), ["underfitting"]),
    "oscillates": (rows([1.0, 1.6, 0.9, 1.8, 1.1, 1.7, 0.9]), ["learning rate too large", "underfitting"]),
    "NaN": (rows([1.0, 2.0, math.nan]), ["learning rate too large"]),
    "infinite": (rows([1.0, math.inf]), ["learning rate too large"]),
    "validation far below": (rows(FALLING, [0.4 * loss for loss in FALLING]), ["validation easier than training"]),
}


@pytest.mark.parametrize("kind", CURVES)
def test_from_curves_alone(kind: str) -> None:
    history, wanted = CURVES[kind]
    assert names(diagnose(history)) == wanted


@pytest.mark.parametrize("kind", CURVES)
def test_the_file_says_what_the_history_says(kind: str, tmp_path: Path) -> None:
    history, _ = CURVES[kind]

    class Trained:
        pass

    trained: Any = Trained()
    trained.history = history
    CSVLog(tmp_path / "metrics.csv").on_epoch_end(trained, history[-1])
    (tmp_path / "history.json").write_text(json.dumps(history), encoding="utf-8")
    for place in (tmp_path, tmp_path / "metrics.csv", str(tmp_path / "history.json")):
        assert diagnose(place) == diagnose(history)


def test_the_epoch_is_the_one_that_showed_it() -> None:
    history = rows(FALLING, [2.0, 1.2, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7])
    (found,) = diagnose(history)
    assert found.epoch == 6 and found.evidence.startswith(
        "The validation loss was best in epoch 3 with 1; now it is 1.2"
    )
    assert names(diagnose(history[:5])) == []


# ------------------------------------------------------------------------------------- folders


def test_a_watched_run(tmp_path: Path) -> None:
    doctor = Doctor(quiet=True, path=tmp_path / "doctor.json")
    history = run(tmp_path, filled(perceptron(64, 16, 10), 0.0), doctor, CSVLog(tmp_path / "metrics.csv"))
    assert diagnose(tmp_path) == doctor.findings != [] and "zero initial weights" not in names(diagnose(history))


def test_a_watched_run_in_which_all_was_well(tmp_path: Path) -> None:
    (tmp_path / "doctor.json").write_text("[1]", encoding="utf-8")  # left over; the run that begins replaces it
    run(tmp_path, perceptron(64, 32, 10), Doctor(quiet=True, path=tmp_path / "doctor.json"))
    assert read_findings(tmp_path / "doctor.json") == diagnose(tmp_path) == []


def test_only_checkpoints_are_left(tmp_path: Path) -> None:
    """From the trainer's state: the doctor's findings where one watched, else the history."""
    doctor = Doctor(quiet=True)
    run(tmp_path, filled(perceptron(64, 16, 10), 0.0), doctor, Checkpoints(tmp_path / "watched"), epochs=2)
    assert names(diagnose(tmp_path / "watched")) == names(doctor.findings) == ["zero initial weights", "dying ReLU"]
    history = run(tmp_path, perceptron(64, 256, 10), Checkpoints(tmp_path / "alone"), epochs=40, data=OVERFITTED)
    assert names(diagnose(tmp_path / "alone")) == names(diagnose(history)) == ["overfitting"]


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing that could be diagnosed: no doctor.json .* no metrics.csv"):
        diagnose(tmp_path)
    with pytest.raises(DataError, match="does not exist: a run's folder, or its metrics.csv"):
        diagnose(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="the history holds no epoch yet"):
        diagnose([])
    with pytest.raises(DataError, match="no figure named train_loss, only epoch, loss"):
        diagnose([{"epoch": 1, "loss": 2.0}])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("metrics.csv", "epoch,train_loss\n", "metrics.csv holds no epoch yet"),
        ("metrics.csv", "epoch,train_loss\n1,0.5\n2,much\n", "line 3, train_loss: 'much' is no number"),
        ("metrics.csv", "epoch,train_loss\n1,0.5\n2\n", "line 3: the line has not as many cells as the first one, 2"),
        ("metrics.csv", "epoch,train_loss\n1,0.5,7\n", "line 2: the line has not as many cells"),
        ("metrics.csv", "epoch,loss\n1,0.5\n", "no figure named train_loss, only epoch, loss"),
        ("metrics.csv", "epoch,train_loss\nnan,0.5\n", "epoch 1: the epoch's number is nan"),
        ("metrics.csv", b"\xff\xfe\x00\x01", "metrics.csv cannot be read as text"),
        ("history.json", "{", "no JSON file"),
        ("history.json", "{}", "a list of dictionaries"),
        ("history.json", '[{"train_loss": "much"}]', "epoch 1: train_loss is 'much', which is no number"),
        ("doctor.json", "[{", "no file of findings"),
        ("doctor.json", '[{"condition": "leakage"}]', "no file of findings"),
        ("doctor.json", '{"findings": 3}', "no file of findings"),
        ("checkpoint-000000001.safetensors", "short", "no checkpoint of a Trainer"),
    ],
)
def test_damaged_files(name: str, content: str | bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=message) as error:
        diagnose(tmp_path)
    assert str(tmp_path) in str(error.value)


def test_weights_are_no_checkpoint(tmp_path: Path) -> None:
    chainrule.save(nn.Linear(2, 2).state_dict(), tmp_path / "checkpoint-000000001.safetensors")
    with pytest.raises(DataError, match="no checkpoint of a Trainer"):
        diagnose(tmp_path)


def test_text_in_other_columns_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("epoch,note,train_loss\n1,warm-up,0.5\n2,,0.4\n", encoding="utf-8")
    assert diagnose(tmp_path) == []


# ------------------------------------------------------------------------------------- kept and shown


def test_findings_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "new" / "doctor.json"
    write_findings([LOUD, START], path)
    assert read_findings(path) == [LOUD, START]
    assert [file.name for file in path.parent.iterdir()] == ["doctor.json"]


def shown(findings: list[Finding], width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(format_findings(findings))
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_in_the_terminal() -> None:
    text = shown([LOUD, START])
    assert text.index("zero initial weights · fault · at the start") < text.index("dying ReLU · warning · epoch 2")
    for part in ("30 of 32 units of 2 gave 0.", "where  2", "cause  Large steps.", "try    LeakyReLU", "smaller steps"):
        assert part in text
    assert "where  the model itself, 0, 1, 2, 3, 4, 5, 6 and 2 more" in text
    assert max(map(len, shown([LOUD, START], 40).splitlines())) <= 40


def test_nothing_to_show() -> None:
    assert shown([]).strip() == format_findings([], markdown=True) == "Nothing wrong was found."


def test_evidence_is_no_markup() -> None:
    """Shapes and places stand in brackets, which Rich would take for styles."""
    assert "at [6, 0] [red]" in shown([Finding("NaN in the data", "fault", "at [6, 0] [red]", "[b]", ("x",))])


def test_as_markdown() -> None:
    text = format_findings([LOUD], markdown=True)
    assert isinstance(text, str) and "Where: `2`" in text and "- LeakyReLU\n- smaller steps" in text


def test_said_once_and_at_once(tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), width=100)
    doctor = Doctor(every=1, console=console, path=tmp_path / "doctor.json")
    run(tmp_path, filled(perceptron(64, 16, 10), 0.5), doctor, epochs=2)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert text.count("all-equal initial weights · fault · epoch 1") == 1
    assert "1.weight, 3.weight" in text
