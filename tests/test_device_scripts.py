"""Scripts of tests/scripts on the device "xla" print what they print on the CPU, to rounding.

All run with `CHAINRULE_DEVICE=xla` in the environment. In scripts that name their device (the CPU, where there is no GPU)
that name is changed to "xla"; the others run unchanged. One in the suite, all in the nightly run: eager code compiles
each operation once, which takes up to a minute.
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
#: Those that name the device on which they compute.
CHOOSING = [
    "custom_functions", "dcgan", "deep_q_learning", "fast_gradient_sign", "image_classifier", "neural_ode",
    "proximal_policy", "sequence_to_sequence", "super_resolution", "transfer_learning", "variational_autoencoder",
]  # fmt: skip
#: Sparse tensors are on the CPU only, and say so.
SPARSE = ["graph_attention", "graph_convolution"]
ALL = sorted({path.stem for path in (HERE / "scripts").glob("*.py")} - set(SPARSE))
SCRIPTS = ALL if os.environ.get("CHAINRULE_NIGHTLY") else ["module_methods"]
#: Runs the script, and says how many functions have been compiled for the device: none, if it was not used.
RUN = """
import runpy, sys
runpy.run_path("script.py", run_name="__main__")
place = sys.modules.get("chainrule.backends.xla.place")
print(len(place._known) if place else 0, file=sys.stderr)
"""


def begun(source: str, folder: Path, device: str) -> subprocess.CompletedProcess[str]:
    """A script that has run."""
    folder.mkdir()
    (folder / "script.py").write_text(source, encoding="utf-8")
    paths = f"{HERE.parent}{os.pathsep}{HERE / 'stand_in'}"
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", RUN], cwd=folder, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "CHAINRULE_DEVICE": device},
    )  # fmt: skip


def run(source: str, folder: Path, device: str) -> tuple[str, int]:
    """What a script prints, and how many functions it has compiled for a device."""
    done = begun(source, folder, device)
    assert done.returncode == 0, done.stderr
    return done.stdout, int(done.stderr.split()[-1])


def placed(source: str) -> str:
    """The script with "xla" where it names a device."""
    source = re.sub(r"^device = .*(cuda|cpu).*$", 'device = torch.device("xla")', source, flags=re.MULTILINE)
    return re.sub(r'(\.to\(|device\()"cpu"', r'\1"xla"', source)


def plain(printed: str) -> str:
    """What was printed without its devices, and wherever lines end: a device takes room in them."""
    printed = re.sub(r",\s+device='xla:0'", "", printed)
    return " ".join(printed.replace("xla:0", "cpu").replace("xla", "cpu").split())


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_prints_the_same_on_the_device(name: str, tmp_path: Path) -> None:
    source = rewritten((HERE / "scripts" / f"{name}.py").read_text(encoding="utf-8"))
    there = placed(source) if name in CHOOSING else source
    assert (there != source) == (name in CHOOSING)
    here, none = run(source, tmp_path / "cpu", "")
    found, functions = run(there, tmp_path / "xla", "xla")
    assert none == 0 and functions >= 10
    found, here = plain(found), plain(here)
    assert re.sub(NUMBER, "#", found) == re.sub(NUMBER, "#", here)
    numbers = [np.array([float(number) for number in re.findall(NUMBER, text)]) for text in (found, here)]
    assert len(numbers[0]) > 5
    np.testing.assert_allclose(*numbers, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", SPARSE if len(SCRIPTS) > 1 else SPARSE[1:])
def test_sparse_scripts_are_refused_by_name(name: str, tmp_path: Path) -> None:
    source = rewritten((HERE / "scripts" / f"{name}.py").read_text(encoding="utf-8"))
    done = begun(source, tmp_path / "xla", "xla")
    assert done.returncode and "sparse tensors are on the CPU only" in done.stderr
