"""What `utils.tensorboard` writes, read back from its file."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule as cr

pytest.importorskip("tensorboardX")


def values(folder: Path) -> dict[tuple[str, str, int], Any]:
    """All figures by folder, tag and step: a file is records of length, checksum, event, checksum."""
    from tensorboardX.proto.event_pb2 import Event

    found = {}
    for file in sorted(folder.rglob("events*")):
        content = file.read_bytes()
        while content:
            (length,) = struct.unpack("<Q", content[:8])
            event = Event()
            event.ParseFromString(content[12 : 12 + length])
            content = content[16 + length :]
            found.update({(file.parent.name, value.tag, event.step): value for value in event.summary.value})
    return found


def test_tensors_are_taken_everywhere(tmp_path: Path) -> None:
    from chainrule.utils.tensorboard import SummaryWriter

    model = cr.nn.Linear(2, 3)
    with SummaryWriter(str(tmp_path)) as writer:
        writer.add_scalar("loss/train", model(cr.ones(2)).sum() * 0 + 0.25, 7)
        writer.add_scalars("both", {"a": cr.tensor(1.5), "b": 2.0}, global_step=1)
        writer.add_histogram("weight", model.weight, 2)
        writer.add_image("picture", cr.rand(3, 4, 5))
        writer.add_images("pictures", cr.rand(2, 3, 4, 5), 1)
        writer.add_pr_curve("curve", cr.tensor([1, 0, 1]), cr.tensor([0.9, 0.2, 0.4]))
        writer.add_text("note", "words")
        writer.add_graph(model, cr.ones(1, 2))
    everything = values(tmp_path)
    lines = {key: value.simple_value for key, value in everything.items() if key[0] != tmp_path.name}
    assert sorted(lines.values()) == [1.5, 2.0]
    found = {(tag, step): value for (place, tag, step), value in everything.items() if place == tmp_path.name}
    assert found["loss/train", 7].simple_value == 0.25
    assert found["weight", 2].histo.num == 6
    assert (found["picture", 0].image.height, found["picture", 0].image.width) == (4, 5)
    text = [value.tensor.string_val[0].decode() for (tag, _), value in found.items() if tag.startswith("graph")]
    assert text and "Linear(in_features=2" in text[0]
    assert np.isclose(found["weight", 2].histo.sum, model.weight.sum().item())


def test_without_tensorboardx_the_error_names_the_extra() -> None:
    code = "import sys; sys.modules['tensorboardX'] = None; from chainrule.utils.tensorboard import SummaryWriter"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "ImportError: utils.tensorboard needs tensorboardX: pip install 'chainrule[tensorboard]'" in done.stderr
