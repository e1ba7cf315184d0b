"""`chainrule export --format onnx`: a trained run and networks of the registry, run by onnxruntime."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx
import pytest

import chainrule as cr
from chainrule.models import create
from chainrule.tasks import Settings, open_run, train_run
from tests.onnx_running import compare, session
from tests.test_cli import call


def test_a_trained_run_leaves_with_what_it_knows_about_its_data(tmp_path: Path, capsys: Any) -> None:
    folder = tmp_path / "digits"
    train_run(Settings(data="digits", model="mlp", epochs=1), folder)
    code, out, _ = call(capsys, "export", str(folder), "--format", "onnx")
    assert code == 0 and "model.onnx" in out
    running = session(str(folder / "model.onnx"))
    run = open_run(folder)
    compare(running, run.model, (run.task.example_input(5),), 1e-5)
    about = {entry.key: entry.value for entry in onnx.load(folder / "model.onnx").metadata_props}
    assert json.loads(about["facts"]) == run.task.facts and json.loads(about["settings"])["model"] == "mlp"


@pytest.mark.parametrize(
    ("name", "options", "tokens"),
    [
        ("rnn_translator", {"source_vocabulary": 9, "target_vocabulary": 9, "width": 4, "hidden": 4}, [(3, 4), (3, 7)]),
        ("decoder", {"vocabulary": 9, "layers": 1, "width": 8, "heads": 2, "context": 12}, [(4, 5)]),
    ],
)
def test_texts_of_any_length(
    name: str, options: dict[str, Any], tokens: Any, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model = create(name, **options).eval()
    cr.save(model.state_dict(), "w.safetensors")
    chosen = [part for key, value in options.items() for part in ("--set", f"{key}={value}")]
    arguments = ["export", name, "--format", "onnx", "--weights", "w.safetensors", "--size", "12", *chosen]
    assert call(capsys, *arguments)[0] == 0
    compare(session(f"{name}.onnx"), model, tuple(cr.randint(0, 9, shape) for shape in tokens), 1e-5)
