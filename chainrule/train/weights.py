"""Weights in files: safetensors, which holds arrays and their names and nothing that could be executed."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from chainrule.errors import CheckpointError, DTypeError
from chainrule.functions.creation import from_numpy
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
    from safetensors.numpy import save

    arrays = {name: np.asarray(tensor.array, order="C") for name, tensor in module.state_dict().items()}
    content = save(arrays)  # not `save_file`, whose files only their owner may read
    write_atomically(path, lambda temporary: temporary.write_bytes(content))


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """The tensors in a safetensors file by name. Raises CheckpointError for a file that is missing or damaged.

    Every type that tensors have comes back as it was saved, bfloat16 too.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return {name: from_numpy(array) for name, array in load_file(path).items()}
    except (OSError, SafetensorError, DTypeError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path} cannot be read as a safetensors file: {error}.") from None


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
