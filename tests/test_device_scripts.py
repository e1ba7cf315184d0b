"""Scripts of tests/scripts on the device "xla" print what they print on the CPU, to rounding.

All run with `CHAINRULE_DEVICE=xla` in the environment. In scripts that ask for CUDA, and else name the CPU, one line is
changed, the one that chooses: `device("xla")`; the others run unchanged. One in the suite, all in the nightly run: eager code
compiles each operation once.
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
CHOOSING = ["dcgan", "deep_q_learning", "neural_ode", "sequence_to_sequence", "transfer_learning"]
UNCHANGED = ["word_language_model", "character_rnn", "meta_learning", "module_methods", "quantisation_aware"]
#: What these compute with comes from NumPy, and some of it goes back there.
WITH_NUMPY = ["custom_optimisers", "knowledge_distillation", "policy_gradient", "siamese", "time_series_lstm"]
SCRIPTS = [*CHOOSING, *UNCHANGED, *WITH_NUMPY] if os.environ.get("CHAINRULE_NIGHTLY") else ["module_methods"]
#: Runs the script, and says how many functions have been compiled for the device: none, if it was not used.
RUN = """
import runpy, sys
runpy.run_path("script.py", run_name="__main__")
place = sys.modules.get("chainrule.backends.xla.place")
print(len(place._known) if place else 0, file=sys.stderr)
"""


def run(source: str, folder: Path, device: str) -> tuple[str, int]:
    """What a script prints, and how many functions it has compiled for a device."""
    folder.mkdir()
    (folder / "script.py").write_text(source, encoding="utf-8")
    paths = f"{HERE.parent}{os.pathsep}{HERE / 'stand_in'}"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", RUN], cwd=folder, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "CHAINRULE_DEVICE": device},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout, int(done.stderr.split()[-1])


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_prints_the_same_on_the_device(name: str, tmp_path: Path) -> None:
    source = rewritten((HERE / "scripts" / f"{name}.py").read_text(encoding="utf-8"))
    there, changed = re.subn(r"^device = .*cuda.*$", 'device = torch.device("xla")', source, flags=re.MULTILINE)
    assert changed == (name in CHOOSING)
    here, none = run(source, tmp_path / "cpu", "")
    found, functions = run(there, tmp_path / "xla", "xla")
    assert none == 0 and functions >= 10
    found = found.replace(", device='xla:0'", "").replace("xla:0", "cpu").replace("xla", "cpu")
    assert re.sub(NUMBER, "#", found) == re.sub(NUMBER, "#", here)
    numbers = [np.array([float(number) for number in re.findall(NUMBER, text)]) for text in (found, here)]
    assert len(numbers[0]) > 5
    np.testing.assert_allclose(*numbers, rtol=1e-3, atol=1e-4)
