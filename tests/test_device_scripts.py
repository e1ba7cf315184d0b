"""The scripts of tests/scripts on the device "xla" print what they print on the CPU, to rounding.

What changes in them is the name of the device where they choose one; a line at the top makes it the default, for those
that name none. One in the suite, all of these in the nightly run: eager code compiles each operation once.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.test_scripts import NUMBER, rewritten

pytest.importorskip("jax")
pytestmark = pytest.mark.peer

HERE = Path(__file__).parent
#: Scripts that choose a device, and those that make all their tensors by functions of ours, for the default device.
CHOOSING = [
    "dcgan", "deep_q_learning", "nano_gpt", "neural_ode", "transfer_learning", "word_language_model",
]  # fmt: skip
BY_DEFAULT = ["meta_learning", "quantisation_aware", "character_rnn", "super_resolution"]
SCRIPTS = [*BY_DEFAULT, *CHOOSING] if os.environ.get("CHAINRULE_NIGHTLY") else BY_DEFAULT[-1:]


def on_the_device(name: str, source: str) -> str:
    """The script, its tensors on the device."""
    source = re.sub(r"^device = .*$", 'device = torch.device("xla")', source, flags=re.MULTILINE)
    source = source.replace("torch.cuda.is_available()", "True")
    if name in BY_DEFAULT:
        return f'import chainrule\nchainrule.set_default_device("xla")\n{source}'
    return source


def printed(source: str, folder: Path) -> str:
    folder.mkdir()
    (folder / "script.py").write_text(source, encoding="utf-8")
    paths = f"{HERE.parent}{os.pathsep}{HERE / 'stand_in'}"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "script.py"], cwd=folder, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_prints_the_same_on_the_device(name: str, tmp_path: Path) -> None:
    source = rewritten((HERE / "scripts" / f"{name}.py").read_text(encoding="utf-8"))
    here = printed(source, tmp_path / "cpu")
    there = printed(on_the_device(name, source), tmp_path / "xla").replace(", device='xla:0'", "")
    assert re.sub(NUMBER, "#", there.replace("xla:0", "cpu").replace("xla", "cpu")) == re.sub(NUMBER, "#", here)
    numbers = [np.array([float(number) for number in re.findall(NUMBER, text)]) for text in (there, here)]
    assert len(numbers[0]) > 5
    np.testing.assert_allclose(*numbers, rtol=1e-3, atol=1e-4)
