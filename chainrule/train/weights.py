"""Weights in files: a module's `state_dict()`, saved and loaded by `chainrule.save` and `chainrule.load`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from chainrule.errors import CheckpointError
from chainrule.nn.module import Module
from chainrule.serialization import load, save


def save_weights(module: Module, path: str | Path) -> None:
    """Write a module's `state_dict()` to a safetensors file, atomically.

    >>> import chainrule, tempfile
    >>> path = Path(tempfile.mkdtemp()) / "weights.safetensors"
    >>> save_weights(chainrule.nn.Linear(2, 1), path)
    >>> load_weights(chainrule.nn.Linear(2, 1), path)
    """
    save(module.state_dict(), path)


def read_weights(path: str | Path) -> dict[str, Any]:
    """The weights in a file by name: one of ours, of another program's safetensors, or of PyTorch's.

    Raises CheckpointError for a file that is missing or damaged, or that holds no dictionary.
    """
    try:
        weights = load(path)
    except (OSError, CheckpointError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from None
    if not isinstance(weights, dict):
        raise CheckpointError(f"{path} holds no weights by name, but a {type(weights).__name__}.")
    return weights


def load_weights(module: Module, path: str | Path, strict: bool = True) -> None:
    """Put the weights of a file into a module, all or nothing.

    Raises CheckpointError for a file that is missing or damaged, for weights of other shapes than the module's, and
    (if `strict`) for missing and unexpected names.
    """
    weights = read_weights(path)
    try:
        module.load_state_dict(weights, strict)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
