"""Imports point one way: every part of chainrule imports from parts that stand below it, also inside of functions."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

PACKAGE = Path(__file__).parents[1] / "chainrule"

#: The parts from the ground up; those of one line do not import each other. `chainrule` is the package's own file of
#: names: what stands above it may write `import chainrule`.
LEVELS = """
    state
    absent_names changes exactness forking later mps printing version
    errors xpu
    devices dtypes files keys layouts multiprocessing places
    accelerator amp figures tape
    primitives
    cell
    autodiff
    functions
    linalg random sparse special
    cuda methods
    tensor
    chainrule
    autograd distributed metrics
    nn
    data distributions func pytorch_files saved_modules
    optim structure
    backends
    compiler serialization
    onnx
    explain fx hub jit portable tune utils
    train
    transfer
    models
    generative robust rl vision
    tasks
    serving
    cli
    __main__
"""
LEVEL = {part: height for height, line in enumerate(LEVELS.split("\n")) for part in line.split()}

#: Parts that are one with another here.
WITHIN = {"program": "primitives"}

#: What does not point down, and why.
ALLOWED = {
    ("absent_names", "places"): "both answer for names that are not where PyTorch has them, and ask each other",
    ("absent_names", "tensor"): "it looks whether a name is a method, when somebody has asked for it in vain",
    ("nn", "explain"): "a notebook shows a module, and asks how",
    ("tensor", "explain"): "a notebook shows a tensor, and asks how",
    ("optim", "compiler"): "a large step of eager code is a program: the compiler is loaded when one is taken",
    ("chainrule", "*"): "the names of parts that are loaded when they are first used",
    ("saved_modules", "models"): "a file may name their classes: they are loaded before names are looked up",
}


#: Folders in which files import each other in a circle, and why.
CIRCLES = {
    "compiler": "what the user's code reads is watched by files that stand side by side",
    "data.readers": "what reads a vocabulary knows all kinds, and one of them stands on what vocabularies are",
    "data.transforms": "an operation on pixels takes pictures, which are converted by operations on pixels",
    "optim": "a saved state is compared with the settings of all optimisers there are",
    "rl": "its files take names from its own `__init__.py`",
}
KNOWN = tuple(f"chainrule.{folder}" for folder in CIRCLES)


class Import(NamedTuple):
    """One import statement: the file with it, the module named, and where."""

    file: str
    module: str
    line: int


def module_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def modules() -> dict[str, Path]:
    return {module_of(path): path for path in PACKAGE.rglob("*.py")}


def imports_in(path: Path) -> Iterator[Import]:
    """All imports of chainrule's own modules; those for type checkers alone do not count."""
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting.extend(node.orelse if not isinstance(node.test, ast.UnaryOp) else node.body)
            continue
        waiting.extend(ast.iter_child_nodes(node))
        named: list[str] = []
        if isinstance(node, ast.Import):
            named = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            whole = [f"{node.module}.{alias.name}" for alias in node.names]
            named = [name if name in modules() else node.module for name in whole]
        for name in named:
            if name.split(".")[0] == "chainrule":
                yield Import(module_of(path), name, getattr(node, "lineno", 0))


def part_of(module: str) -> str:
    """The part of the package: the folder or file below `chainrule`."""
    name = module.split(".")[1] if "." in module else "chainrule"
    return WITHIN.get(name, name)


@cache
def all_imports() -> tuple[Import, ...]:
    return tuple(found for path in modules().values() for found in imports_in(path))


def test_every_part_has_its_level() -> None:
    parts = {part_of(module) for module in modules()}
    assert parts == set(LEVEL), "a new part needs its place in LEVELS"


def test_parts_import_from_below() -> None:
    wrong = []
    for file, module, line in all_imports():
        part, other = part_of(file), part_of(module)
        if part == other or (part, other) in ALLOWED or (part, "*") in ALLOWED:
            continue
        if LEVEL[other] >= LEVEL[part]:
            wrong.append(f"{file}:{line} imports {module}, but {other} does not stand below {part}")
    assert not wrong, "\n".join(wrong)


def test_exceptions_are_needed() -> None:
    found = {(part_of(i.file), part_of(i.module)) for i in all_imports()}
    assert {pair for pair in ALLOWED if pair[1] != "*"} <= found


def test_files_import_each_other_in_no_circle() -> None:
    below: dict[str, set[str]] = {module: set() for module in modules()}
    for file, module, _ in all_imports():
        pair = part_of(file), part_of(module)
        apart = pair not in ALLOWED and (pair[0], "*") not in ALLOWED and file != module
        if apart and not any(file.startswith(folder) and module.startswith(folder) for folder in KNOWN):
            below[file].add(module)
    TopologicalSorter(below).prepare()  # its error names the files


#: Folders of the native backend that must not know others, see docs/architecture.md.
APART = {
    "language": ("lowering", "emitting", "builder", "executable", "run.driver", "run.pool", "run.functions"),
    "lowering": ("emitting", "builder", "executable", "bounds", "profile", "run.driver", "run.pool", "run.functions"),
    "emitting": ("builder", "executable", "bounds", "profile", "run.driver", "run.pool", "run.functions"),
    "run": ("lowering", "emitting", "builder", "executable", "plan"),
}


def test_folders_of_the_native_backend_decide_one_thing_each() -> None:
    native = "chainrule.backends.native."
    for module, path in modules().items():
        folder = module.removeprefix(native).split(".")[0]
        for found in imports_in(path) if module.startswith(native) and folder in APART else ():
            for other in APART[folder]:
                assert not (found.module + ".").startswith(f"{native}{other}."), f"{module}:{found.line} knows {other}"
