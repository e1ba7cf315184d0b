"""What leaves the framework: a run's model, or a network of the registry, in one of several formats."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from chainrule.functions.creation import zeros
from chainrule.models.registry import create, find
from chainrule.nn.module import Module
from chainrule.portable.making import Dynamic, export_program
from chainrule.tasks.run import open_run
from chainrule.tensor import Tensor
from chainrule.train.weights import load_weights, save_weights


class Leaving(NamedTuple):
    """What is exported.

    Attributes:
        name: of the run's folder or of the network.
        model: with its weights.
        inputs: an example of what it takes.
        dynamic: which sizes may change; see `export_program`.
        about: what the file says of itself: of a run the kind of task, the settings and the facts.
    """

    name: str
    model: Module
    inputs: tuple[Tensor, ...]
    dynamic: Dynamic
    about: dict[str, Any]


class Format(NamedTuple):
    """A format.

    Attributes:
        what: it is, in a few words.
        ending: of its files' names, or of folders'.
        write: to a path.
        fixed: it is for one size of batches only: one sample, unless told otherwise.
    """

    what: str
    ending: str
    write: Callable[[Leaving, Path], object]
    fixed: bool = False


def _write_program(leaving: Leaving, path: Path) -> None:
    export_program(leaving.model, leaving.inputs, path, dynamic=leaving.dynamic, about=leaving.about)


def _write_weights(leaving: Leaving, path: Path) -> None:
    save_weights(leaving.model, path)


def _write_c_library(leaving: Leaving, path: Path) -> None:
    from chainrule.portable.c_library import write_c_library

    name = re.sub(r"\W", "_", leaving.name, flags=re.ASCII)
    name = name if name[:1].isalpha() else f"model_{name}"
    write_c_library(export_program(leaving.model, leaving.inputs), path, name)


def _write_onnx(leaving: Leaving, path: Path) -> None:
    from chainrule.onnx import export
    from chainrule.onnx.asked import named_tensors

    examples = named_tensors(leaving.model, leaving.inputs, {})
    free = {name: _free_sizes(example) for name, example in examples} if leaving.dynamic else None
    about = {key: value if isinstance(value, str) else json.dumps(value) for key, value in leaving.about.items()}
    export(leaving.model, leaving.inputs, path, dynamic=_told_apart(free), metadata=about)


def _free_sizes(example: Tensor) -> dict[int, str]:
    """Any number of samples; of whole numbers, which stand for pieces of text, any length."""
    return {0: "batch"} if example.dtype.is_floating_point or example.ndim < 2 else {0: "batch", 1: "length"}


def _told_apart(free: dict[str, dict[int, str]] | None) -> dict[str, dict[int, str]] | None:
    """Two texts have two lengths."""
    if free is None or sum(1 in sizes for sizes in free.values()) < 2:
        return free
    return {name: {a: f"{name}_{size}" if a else size for a, size in sizes.items()} for name, sizes in free.items()}


#: All formats by name. A new one is a line here.
FORMATS: dict[str, Format] = {
    "program": Format("graph and weights, for chainrule.load_program", ".program", _write_program),
    "safetensors": Format("the weights alone, for any program", ".safetensors", _write_weights),
    "onnx": Format("a graph of ONNX's operators, for other programs", ".onnx", _write_onnx),
    "c-library": Format("header, static library and example for C", "-c", _write_c_library, fixed=True),
}


def find_format(name: str) -> Format:
    """The format of that name. Raises ValueError, with those that there are.

    >>> find_format("pickle")
    Traceback (most recent call last):
    ValueError: there is no format 'pickle'; there are program, safetensors, onnx, c-library.
    """
    if name not in FORMATS:
        raise ValueError(f"there is no format {name!r}; there are {', '.join(FORMATS)}.")
    return FORMATS[name]


def leaving_run(path: str | Path, batch: int | None = None) -> Leaving:
    """A run's model with the weights of its best epoch; for any number of samples, or for batches of `batch`.

    Raises DataError if there is no such run, ValueError if its model has no forward pass that could be exported.
    """
    run = open_run(path)
    about = {"task": run.task.kind, "settings": run.task.settings.to_json(), "facts": run.task.facts}
    example = run.task.example_input(batch or 2)
    return Leaving(run.path.name, run.model, (example,), batch is None, about)


def leaving_network(
    name: str,
    options: Mapping[str, Any],
    shape: Sequence[int] | None = None,
    batch: int | None = None,
    weights: str | Path | None = None,
) -> Leaving:
    """A network of the registry, with weights from a file or else its first ones; `shape`: of one sample.

    Raises ValueError for an unknown name or option, CheckpointError for weights that are not its own.
    """
    entry = find(name)
    missing = [n for n, default in entry.options.items() if default is inspect.Parameter.empty and n not in options]
    if missing:
        raise ValueError(f"{name} needs {' and '.join(f'--set {option}=…' for option in missing)}.")
    model = create(name, **options)
    if weights is not None:
        load_weights(model, weights)
    dtype = "int64" if entry.reads_tokens else "float32"
    sample = zeros(batch or 2, *(entry.input if shape is None else shape), dtype=dtype)
    inputs = (sample, sample) if "pairs" in entry.data else (sample,)
    return Leaving(name, model, inputs, batch is None, {"network": name, "options": dict(options)})
