"""Evaluation, files that are never half written, and weights."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import chainrule
from chainrule import models, nn, train
from chainrule.files import write_atomically


def test_evaluation_restores_modes() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5))
    model[1].eval()
    with train.evaluation_mode(model):
        assert not model.training and not model[0].training
    assert model.training and not model[1].training


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
    with pytest.raises(chainrule.CheckpointError, match=r"w\.safetensors: .*missing"):
        train.load_weights(nn.Linear(2, 2), path)
    path.write_bytes(path.read_bytes()[:1000])
    for damaged in (path, tmp_path / "none"):
        with pytest.raises(chainrule.CheckpointError, match="cannot be read"):
            train.read_weights(damaged)


def test_weights_keep_shapes_types_and_entries_whatever_their_layout(tmp_path: Path) -> None:
    model = nn.Module()
    model.register_buffer("count", chainrule.tensor(3))
    model.register_buffer("turned", chainrule.arange(6).reshape(2, 3).T)
    model.register_buffer("halves", chainrule.randn(4).bfloat16())
    model.register_buffer("mask", chainrule.tensor([True, False]))
    model.register_buffer("nothing", chainrule.zeros(0, 3))
    path, plain = tmp_path / "w.safetensors", tmp_path / "plain"
    train.save_weights(model, path)
    read = train.read_weights(path)
    for name, tensor in model.state_dict().items():
        assert read[name].dtype is tensor.dtype and chainrule.equal(read[name], tensor), name
    plain.write_text("")
    assert os.stat(path).st_mode == os.stat(plain).st_mode, "who may read other files may read this one"


def test_a_damaged_weights_file_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    model, path = nn.Linear(3, 2), tmp_path / "w.safetensors"
    train.save_weights(nn.Linear(3, 2), path)
    content, before = path.read_bytes(), model.weight.tolist()
    huge_header = (2**63).to_bytes(8, "little") + content[8:]
    lying_header = content.replace(b"[0,", b"[1,")
    other_type = content.replace(b'"F32"', b'"U32"')
    for damaged in (b"", content[:7], content[:-1], content + b"x", huge_header, lying_header, other_type):
        assert damaged != content
        path.write_bytes(damaged)
        with pytest.raises(chainrule.CheckpointError, match=r"w\.safetensors"):
            train.load_weights(model, path)
        assert model.weight.tolist() == before


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
