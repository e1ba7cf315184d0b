"""What an installation without extras takes on the disk, and what it imports."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
#: Bytes of files, without the byte code that pip makes of them on this machine.
LIMIT = 350e6


def test_it_takes_less_than_350_mb() -> None:
    requirements = pytest.importorskip("packaging.requirements")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    waiting, known = [requirements.Requirement(line) for line in project["dependencies"]], set()
    size = sum(file.stat().st_size for file in (ROOT / "chainrule").rglob("*") if file.suffix not in ("", ".pyc"))
    while waiting:
        wanted = waiting.pop()
        if wanted.name in known or (wanted.marker and not wanted.marker.evaluate({"extra": ""})):
            continue
        known.add(wanted.name)
        found = importlib.metadata.distribution(wanted.name)
        files = [Path(str(file.locate())) for file in found.files or () if file.suffix != ".pyc"]
        size += sum(file.stat().st_size for file in files if file.exists())
        waiting += [requirements.Requirement(line) for line in found.requires or ()]
    assert 100e6 < size < LIMIT, f"{size / 1e6:.0f} MB, of {sorted(known)}"


def test_it_imports_nothing_of_the_extras() -> None:
    extras = "starlette uvicorn python_multipart onnx onnxruntime jax pandas pyarrow optuna tokenizers sympy gymnasium"
    script = f"""
import sys
import chainrule
from chainrule.cli.main import app
found = set({extras.split()!r}) & {{name.partition(".")[0] for name in sys.modules}}
assert not found, found
"""
    subprocess.run([sys.executable, "-c", script], check=True)
