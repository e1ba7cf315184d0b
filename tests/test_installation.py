"""What an installation without extras takes on the disk, and what it imports."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
#: Bytes of files. The byte code that pip makes of them, which another Python or uv does not, is about a sixth more.
LIMIT = 290e6


def test_with_byte_code_it_takes_less_than_350_mb() -> None:
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
    extras = "matplotlib starlette uvicorn python_multipart onnx onnxruntime jax pandas pyarrow optuna tokenizers sympy gymnasium"
    script = f"""
import sys
import chainrule
from chainrule.cli.main import app
found = set({extras.split()!r}) & {{name.partition(".")[0] for name in sys.modules}}
assert not found, found
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_run_needs_no_matplotlib_and_pictures_say_what_to_install(tmp_path: Path) -> None:
    script = """
import sys
sys.modules["matplotlib"] = None  # as where it is not installed
from chainrule.cli import main
sys.argv = ["chainrule", "train", "mlp", "--data", "digits", "--epochs", "1", "--output", "run", "--quiet", "--gradient-flow", "20"]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
text = open("run/report.html", encoding="utf-8").read()
assert "<svg" in text and "chainrule[figures]" in text
import chainrule
from chainrule import explain, nn
model = nn.Sequential(nn.Linear(3, 3))
try:
    explain.draw_variances({}, "variances.png")
except ImportError as error:
    assert "chainrule[figures]" in str(error)
else:
    raise AssertionError("it drew")
"""
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path)
