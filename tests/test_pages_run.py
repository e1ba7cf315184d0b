"""The code on every page runs as it stands: each page in an empty folder, its blocks one after the other."""

from __future__ import annotations

import re
import shlex
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from PIL import Image

from chainrule.cli.main import app
from chainrule.errors import ChainruleError
from chainrule.tasks.settings import read_settings
from tests.script_server import Server

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
#: Known data that are not shipped: their commands are only taken apart.
NOT_SHIPPED = {"mnist", "fashion-mnist", "cifar10", "cifar100", "shakespeare"}
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> list[tuple[str, str, int]]:
    """Language, text and first line of each fenced block."""
    text = page.read_text(encoding="utf-8")
    return [(found[1], found[2], text[: found.start()].count("\n") + 2) for found in _BLOCK.finditer(text)]


def with_code(language: str) -> list[Any]:
    return [pytest.param(page, id=page.stem) for page in PAGES if any(kind == language for kind, _, _ in blocks(page))]


def run_page(page: Path) -> None:
    """Run the Python on a page, in the current folder. A block that an error's text follows must raise it, or warn so."""
    namespace: dict[str, Any] = {"__name__": "__page__"}
    found = blocks(page)
    for (language, code, line), after in zip(found, [*found[1:], ("", "", 0)]):
        if language != "python":
            continue
        program = compile("\n" * (line - 1) + code, str(page), "exec")
        if after[0] == "" and re.match(r"\w+(Error|Warning): ", after[1]):
            assert _outcome(program, namespace) == after[1].strip()
        else:
            exec(program, namespace)


def _outcome(program: Any, namespace: dict[str, Any]) -> str:
    """The error or warning of a program, as Python prints it."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            exec(program, namespace)
        except (ChainruleError, ValueError, Warning) as error:
            return f"{type(error).__name__}: {error}"
    return "nothing"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Processes of their own: pages define primitives and change modes."""
    started = Server("pages")
    yield started
    started.close()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", with_code("python"))
def test_the_python_on_a_page_runs(page: Path, server: Server, tmp_path: Path) -> None:
    program = f"from pathlib import Path; from tests.test_pages_run import run_page; run_page(Path({str(page)!r}))"
    done = server.run(program, tmp_path)
    assert done.status == 0, done.errors


@pytest.mark.parametrize("page", with_code("toml"))
def test_the_settings_on_a_page_are_settings(page: Path, tmp_path: Path) -> None:
    for language, text, _ in blocks(page):
        if language == "toml":
            (tmp_path / "run.toml").write_text(text)
            assert read_settings(tmp_path / "run.toml").data


def commands(page: Path) -> list[list[str]]:
    """The `chainrule …` commands in the blocks of a page that are in no language."""
    lines = [line for kind, text, _ in blocks(page) if kind in ("", "sh") for line in text.splitlines()]
    parts = [part for line in lines for part in line.partition("  #")[0].split(";")]
    return [shlex.split(part)[1:] for part in parts if part.strip().startswith("chainrule ")]


WITH_COMMANDS = [pytest.param(page, id=page.stem) for page in PAGES if commands(page)]


@pytest.mark.parametrize("page", WITH_COMMANDS)
def test_the_commands_on_a_page_have_such_options(page: Path) -> None:
    root = typer.main.get_command(app)
    for name, *arguments in commands(page):
        command = root.commands[name]  # type: ignore[attr-defined]
        command.make_context(name, list(arguments), resilient_parsing=False)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", WITH_COMMANDS)
def test_the_commands_on_a_page_run(page: Path, server: Server, tmp_path: Path) -> None:
    """Those that need nothing but what is shipped, a table of houses and a photo, in their order."""
    draw = np.random.default_rng(0)
    rows = draw.integers(30, 200, (60, 2))
    (tmp_path / "houses.csv").write_text("area,age,price\n" + "".join(f"{a},{b},{3 * a - b}\n" for a, b in rows))
    Image.fromarray(draw.integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(tmp_path / "photo.png")
    for arguments in commands(page):
        if NOT_SHIPPED & set(arguments) or "--config" in arguments:
            continue
        program = f"import sys; from chainrule.cli import main; sys.argv = {['chainrule', *arguments]!r}; main()"
        done = server.run(program, tmp_path)
        # The doctor answers 1 if it found something.
        assert done.status == 0 or (arguments[0] == "doctor" and done.status == 1), (arguments, done.errors)
