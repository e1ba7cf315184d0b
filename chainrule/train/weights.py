"""Weights in files: safetensors, which holds arrays and their names and nothing that could be executed."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from chainrule.errors import CheckpointError
from chainrule.functions.creation import make
from chainrule.nn.module import Module
from chainrule.tensor import Tensor
from chainrule.train.files import write_atomically


def save_weights(module: Module, path: str | Path) -> None:
    """Write a module's `state_dict()` to a safetensors file, atomically.

    >>> import chainrule, tempfile
    >>> path = Path(tempfile.mkdtemp()) / "weights.safetensors"
    >>> save_weights(chainrule.nn.Linear(2, 1), path)
    >>> load_weights(chainrule.nn.Linear(2, 1), path)
    """
    from safetensors.numpy import save_file

    arrays = {name: np.ascontiguousarray(tensor.array) for name, tensor in module.state_dict().items()}
    write_atomically(path, lambda temporary: save_file(arrays, temporary))


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """The tensors in a safetensors file by name. Raises CheckpointError for a file that is missing or damaged."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return {name: make(array) for name, array in load_file(path).items()}
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path} cannot be read as a safetensors file: {error}.") from None


def load_weights(module: Module, path: str | Path, strict: bool = True) -> None:
    """Put the weights of a file into a module; see `Module.load_state_dict` for `strict` and the errors."""
    module.load_state_dict(read_weights(path), strict)
