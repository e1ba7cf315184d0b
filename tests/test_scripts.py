"""Scripts written for PyTorch run here after their import lines are changed, and print the same numbers.

Each file in tests/scripts is a program in the style of PyTorch's tutorials. It runs as it stands with PyTorch, and
with the import lines rewritten by `RULES` with chainrule, in a process of its own.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.peer
pytest.importorskip("torch")

SCRIPTS = sorted((Path(__file__).parent / "scripts").glob("*.py"))
#: What changes in lines that import: nothing else does.
RULES = [
    (r"^import torch$", "import chainrule as torch"),
    (r"^(import|from) torchvision\b", r"\1 chainrule.vision"),
    (r"^import torch((?:\.\w+)*) as\b", r"import chainrule\1 as"),
    (r"^import torch\.\w[\w.]*$", ""),  # its parts are there without being imported
    (r"^from torch\b", "from chainrule"),
]
#: How far printed numbers may be apart, relative to their size: losses in float32 after some steps.
TOLERANCE = 1e-4
NUMBER = r"[-+]?\d+\.?\d*(?:[eE][-+]?\d+)?"


def rewritten(source: str) -> str:
    """The script with chainrule's import lines."""
    for pattern, replacement in RULES:
        source = re.sub(pattern, replacement, source, flags=re.MULTILINE)
    return source


def printed(source: str, folder: Path) -> str:
    """What a script prints, run in a process of its own in an empty folder."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent), "OMP_NUM_THREADS": "1"}
    script = folder / "script.py"
    script.write_text(source, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True, text=True, cwd=folder, env=environment, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_prints_the_same_after_its_imports_are_changed(script: Path, tmp_path: Path) -> None:
    source = script.read_text(encoding="utf-8")
    changed = [(a, b) for a, b in zip(source.splitlines(), rewritten(source).splitlines()) if a != b]
    assert changed and all(a.startswith(("import torch", "from torch")) for a, _ in changed)
    outputs = []
    for name, text in (("torch", source), ("chainrule", rewritten(source))):
        folder = tmp_path / name
        folder.mkdir()
        outputs.append(printed(text, folder))
    theirs, ours = outputs
    assert re.sub(NUMBER, "#", ours) == re.sub(NUMBER, "#", theirs)
    numbers = [np.array([float(number) for number in re.findall(NUMBER, text)]) for text in (ours, theirs)]
    assert len(numbers[0]) > 10
    np.testing.assert_allclose(*numbers, rtol=TOLERANCE, atol=TOLERANCE)
