"""The files of public names: each name stands there once, in a form that type checkers take as meant for others."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import chainrule
from chainrule.later import Later

FILES = ("chainrule", "chainrule.nn", "chainrule.nn.functional")
#: What the files need themselves.
OWN = {"TYPE_CHECKING", "Later", "places", "public", "teach"}


def imported(module: str) -> list[ast.alias]:
    """Every name that a file imports anywhere at its top, also within `with`."""
    text = Path(importlib.import_module(module).__file__ or "").read_text(encoding="utf-8")
    body = ast.parse(text).body
    blocks = [*body, *(inner for node in body if isinstance(node, ast.With) for inner in node.body)]
    return [alias for node in blocks if isinstance(node, ast.Import | ast.ImportFrom) for alias in node.names]


@pytest.mark.parametrize("module", FILES)
def test_every_name_is_exported_once(module: str) -> None:
    public = [alias for alias in imported(module) if (alias.asname or alias.name)[0] != "_" and alias.name not in OWN]
    assert all(alias.asname for alias in public), "write `name as name`: strict type checkers want it"
    assert [name for name, count in Counter(alias.asname for alias in public).items() if count > 1] == []


@pytest.mark.parametrize("module", FILES)
def test_type_checkers_know_what_there_is(module: str) -> None:
    """All that can be found while running, but files, is imported by name."""
    found = importlib.import_module(module)
    stated = {alias.asname for alias in imported(module)} | OWN | {"newaxis"}
    names = [name for name in dir(found) if name[0] != "_"]
    files = {name for name in names if isinstance(getattr(found, name), type(sys))}
    assert set(names) - stated - files == set()


def test_what_is_loaded_later_is_there() -> None:
    for name in chainrule._later.names:
        assert getattr(chainrule, name) is not None


def test_only_the_imports_of_that_file_wait(tmp_path: Path) -> None:
    names: dict[str, object] = {"__name__": "somewhere"}
    with Later(names) as later:
        exec("from json.tool import main as tool\nfrom nowhere import nothing", names)
        import colorsys

        assert colorsys.rgb_to_hls is not None
    assert "tool" not in names and sorted(later.names) == ["nothing", "tool"]
    assert callable(later.load("tool"))
    with pytest.raises(ModuleNotFoundError):
        later.load("nothing")
    with pytest.raises(ImportError, match="only `from module import name`"), Later(names):
        exec("import json.tool", names)
    import json.tool  # and afterwards all is as before

    assert json.tool.main is later.load("tool")


def test_heavy_parts_are_not_loaded_at_the_start() -> None:
    code = "import sys, chainrule; print(sorted(n for n in sys.modules if n.startswith('chainrule.')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for part in ("nn", "optim", "data", "compiler", "train", "random", "sparse", "autograd", "functions.linalg"):
        assert f"'chainrule.{part}'" not in done.stdout
