"""Scripts written for PyTorch run here after their import lines are changed, and print the same numbers.

Each file in tests/scripts is a program in the style of PyTorch's tutorials. It runs as it stands with PyTorch, and
with the import lines rewritten by `RULES` with chainrule, in a process of its own. `tests/stand_in` is torchvision for
the run with PyTorch where that is not installed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.script_server import Server

pytestmark = pytest.mark.peer
pytest.importorskip("torch")

SCRIPTS = sorted((Path(__file__).parent / "scripts").glob("*.py"))
#: What changes in lines that import: nothing else does.
RULES = [
    (r"^import torch$", "import chainrule as torch"),
    (r"^import torchvision$", "import chainrule.vision as torchvision"),
    (r"^import torchvision((?:\.\w+)+) as\b", r"import chainrule.vision\1 as"),
    (r"^from torchvision\b", "from chainrule.vision"),
    (r"^import torch((?:\.\w+)*) as\b", r"import chainrule\1 as"),
    (r"^import torch\.\w[\w.]*$", ""),  # its parts are there without being imported
    (r"^from torch\b", "from chainrule"),
]
#: Those that start processes, which look for the file that Python was started with.
ALONE = ("one_process", "workers_without_guard")
#: How far printed numbers may be apart, relative to their size: losses in float32 after some steps.
TOLERANCE = 1e-4
NUMBER = r"[-+]?\d+\.?\d*(?:[eE][-+]?\d+)?"


def rewritten(source: str) -> str:
    """The script with chainrule's import lines."""
    for pattern, replacement in RULES:
        source = re.sub(pattern, replacement, source, flags=re.MULTILINE)
    return source


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, Server]]:
    both = {framework: Server(framework) for framework in ("torch", "chainrule")}
    yield both
    for server in both.values():
        server.close()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_prints_the_same_after_its_imports_are_changed(
    script: Path, servers: dict[str, Server], tmp_path: Path
) -> None:
    source = script.read_text(encoding="utf-8")
    changed = [(a, b) for a, b in zip(source.splitlines(), rewritten(source).splitlines()) if a != b]
    assert changed and all(a.startswith(("import torch", "from torch")) for a, _ in changed)
    outputs = []
    for name, text in (("torch", source), ("chainrule", rewritten(source))):
        (tmp_path / name).mkdir()
        done = servers[name].run(text, tmp_path / name, script.stem in ALONE)
        assert done.status == 0, done.errors
        outputs.append(done.printed.replace(f"{name}.", ""))  # `torch.Size([2])`
    theirs, ours = outputs
    assert re.sub(NUMBER, "#", ours) == re.sub(NUMBER, "#", theirs)
    numbers = [np.array([float(number) for number in re.findall(NUMBER, text)]) for text in (ours, theirs)]
    assert len(numbers[0]) > 10
    np.testing.assert_allclose(*numbers, rtol=TOLERANCE, atol=TOLERANCE)
