"""`chainrule export`: runs of every kind and networks of the registry leave in each format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

import chainrule
from chainrule.data.loader import DataLoader
from chainrule.models import create
from chainrule.nn.evaluation import evaluation_mode
from chainrule.portable.making import export_program
from chainrule.tasks import Settings, load_task, open_run
from tests.small_runs import settings_for_files, untrained
from tests.test_cli import call


@pytest.fixture(scope="module")
def run(tmp_path_factory: Any) -> Path:
    return untrained(tmp_path_factory.mktemp("export") / "digits", data="digits", model="mlp")


IMAGES = {
    "images": {"data": "digits", "model": "mlp"},
    "masks": {"data": "digits", "model": "unet"},
    "pixels": {"data": "digits", "model": "autoencoder_dense"},
}


@pytest.mark.parametrize("kind", [*IMAGES, "table", "labelled texts", "pairs", "text"])
def test_a_run_of_each_kind_leaves_as_a_program(kind: str, tmp_path: Path) -> None:
    task, parts = load_task(Settings(**{**IMAGES, **settings_for_files(tmp_path)}[kind]))
    model = task.build_model()
    program = export_program(model, task.example_input(2), dynamic=True)
    inputs = next(iter(DataLoader(parts.validation, 3)))[0]
    with evaluation_mode(model), chainrule.no_grad():
        want = model(inputs)
    have, want = (x if isinstance(x, chainrule.Tensor) else x[0] for x in (program(inputs), want))
    np.testing.assert_allclose(have.numpy(), want.numpy(), rtol=1e-4, atol=1e-4)


def test_a_run_leaves_with_what_it_knows(run: Path, capsys: Any) -> None:
    code, out, err = call(capsys, "export", str(run))
    assert code == 0 and not err and "model.program" in out
    program = chainrule.load_program(run / "model.program")
    opened = open_run(run)
    x = chainrule.randn(5, *opened.task.facts["shape"])
    with evaluation_mode(opened.model):
        np.testing.assert_allclose(program(x).numpy(), opened.model(x).detach().numpy(), atol=1e-5)
    assert program.about["task"] == "images" and program.about["facts"]["names"] == list("0123456789")


def test_weights_alone(run: Path, capsys: Any, tmp_path: Path) -> None:
    file = tmp_path / "w.safetensors"
    assert call(capsys, "export", str(run), "--format", "safetensors", "--output", str(file))[0] == 0
    state = open_run(run).model.state_dict()
    arrays = load_file(file)
    assert set(arrays) == set(state) and all(np.array_equal(arrays[name], state[name].numpy()) for name in state)


def test_a_network_with_its_weights(capsys: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    model = create("lenet5", num_classes=3)
    chainrule.save(model.state_dict(), "w.safetensors")
    arguments = ("export", "lenet5", "--set", "num_classes=3", "--weights", "w.safetensors", "--batch", "4")
    assert call(capsys, *arguments)[0] == 0
    x = chainrule.randn(4, 1, 32, 32)
    program = chainrule.load_program("lenet5.program")
    np.testing.assert_allclose(program(x).numpy(), model.eval()(x).detach().numpy(), atol=1e-5)
    with pytest.raises(chainrule.errors.ShapeError, match=r"\[4,1,32,32\]"):
        program(x[:2])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("lenet5", "--format", "pickle"), "there are program, safetensors, onnx, c-library"),
        (("lenet6",), "there is no model 'lenet6'"),
        (("decoder",), "needs --set vocabulary="),
        (("RUN", "--size", "1x8x8"), "a run has its own"),
    ],
)
def test_wrong_input_gets_one_line(run: Path, capsys: Any, arguments: tuple[str, ...], said: str) -> None:
    code, _, err = call(capsys, "export", *(str(run) if part == "RUN" else part for part in arguments))
    assert code == 2 and said in err and err.count("\n") == 1
