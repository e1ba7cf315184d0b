"""Folders of weights: model.safetensors, or several such files with an index that says which weight is in which."""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.errors import CheckpointError

WEIGHTS, TORCH_WEIGHTS = "model.safetensors", "pytorch_model.bin"
_UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9}


def read_folder(folder: Path) -> dict[str, Any]:
    """All weights in a folder by name, from one file or from several with an index.

    Raises CheckpointError if there are none, or some of the files are not there.
    """
    for single in (WEIGHTS, TORCH_WEIGHTS):
        index = folder / f"{single}.index.json"
        if index.exists():
            return _read_shards(folder, index)
        if (folder / single).exists():
            return read_file(folder / single)
    raise CheckpointError(f"{folder} has no weights: there is no {WEIGHTS}, no {WEIGHTS}.index.json in it.")


def _read_shards(folder: Path, index: Path) -> dict[str, Any]:
    places = read_json(index).get("weight_map")
    if not isinstance(places, dict):
        raise CheckpointError(f"{index} does not say which weight is in which file (weight_map).")
    files = sorted(set(map(str, places.values())))
    missing = [name for name in files if Path(name).name != name or not (folder / name).exists()]
    if missing:
        raise CheckpointError(f"{folder}: {len(missing)} of {len(files)} files are missing: {', '.join(missing)}.")
    state = {key: value for name in files for key, value in read_file(folder / name).items()}
    absent = [name for name in places if name not in state]
    if absent:
        raise CheckpointError(f"{folder}: {index.name} names weights that are in none of the files: {absent[0]}, ….")
    return state


def read_file(path: Path) -> dict[str, Any]:
    """The weights in one file by name. Raises CheckpointError if it cannot be read."""
    from chainrule.transfer.pretrained import tensors_in

    try:
        return tensors_in(path)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}.") from None


def write_shards(arrays: Mapping[str, np.ndarray], folder: Path, max_size: int | str = "5GB") -> None:
    """Write arrays as model.safetensors, or as several files of at most `max_size` bytes with an index.

    A single array that is larger gets a file of its own. What an earlier writing has left in the folder goes.
    """
    from chainrule.files import write_atomically

    shards = _divided(arrays, _bytes(max_size))
    names = [WEIGHTS]
    if len(shards) > 1:
        names = [f"model-{number:05}-of-{len(shards):05}.safetensors" for number in range(1, len(shards) + 1)]
    for name, shard in zip(names, shards, strict=True):
        content = {key: np.asarray(value, order="C") for key, value in shard.items()}
        write_atomically(folder / name, functools.partial(_save, content))
    index = folder / f"{WEIGHTS}.index.json"
    if len(shards) > 1:
        places = {key: name for name, shard in zip(names, shards, strict=True) for key in shard}
        total = sum(array.nbytes for array in arrays.values())
        write_json(index, {"metadata": {"total_size": total}, "weight_map": places})
    else:
        index.unlink(missing_ok=True)
    for old in folder.glob("model*.safetensors"):
        if old.name not in names and re.fullmatch(r"model(-\d{5}-of-\d{5})?\.safetensors", old.name):
            old.unlink()


def _save(content: dict[str, np.ndarray], path: Path) -> None:
    from safetensors.numpy import save_file

    save_file(content, path, {"format": "pt"})  # which other programs want to see


def _divided(arrays: Mapping[str, np.ndarray], most: int) -> list[dict[str, np.ndarray]]:
    shards: list[dict[str, np.ndarray]] = [{}]
    room = most
    for name, array in arrays.items():
        if array.nbytes > room and shards[-1]:
            shards.append({})
            room = most
        shards[-1][name] = array
        room -= array.nbytes
    return shards


def _bytes(size: int | str) -> int:
    """The number of bytes in "200MB" and the like. Raises ValueError for what is none."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMG]?B)", str(size).upper()) if isinstance(size, str) else None
    number = math.floor(float(match[1]) * _UNITS[match[2]]) if match else size
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise ValueError(f'a size is a number of bytes or a text such as "200MB", got {size!r}.')
    return number


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file. Raises CheckpointError for anything else."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}.") from None
    if not isinstance(found, dict):
        raise CheckpointError(f"{path} holds no object.")
    return found


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file, atomically."""
    from chainrule.files import write_text

    text = json.dumps(content, indent=2) + "\n"
    write_text(path, text)
