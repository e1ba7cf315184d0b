"""Saving and loading: nested dictionaries, lists and tuples of tensors and plain values, in one file.

What we write is safetensors, whatever the file is called: the tensors under readable names, and in the metadata the
structure around them as JSON, with a checksum of everything. Other programs read the tensors; nothing in the file can
be executed. What we read is that, plain safetensors files, and PyTorch's own files (`chainrule.pytorch_files`).
"""

from __future__ import annotations

import io
import json
import os
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from chainrule.devices import CPU, Device, chosen, default_of_environment
from chainrule.dtypes import as_dtype, bfloat16
from chainrule.errors import CheckpointError, DTypeError
from chainrule.functions.creation import make
from chainrule.pytorch_files.storage import check_truth_values
from chainrule.saved_modules import Classes
from chainrule.structure import PackError, pack, unpack
from chainrule.tensor import Tensor

#: A path, or a file opened in binary mode.
File = str | os.PathLike[str] | IO[bytes]

#: Our entry in the metadata of a safetensors file.
_METADATA_KEY = "chainrule"
_VERSION = 1
#: The safetensors format allows no longer header.
_LONGEST_HEADER = 100_000_000


def save(obj: Any, f: File) -> None:
    """Write tensors, plain values and whole modules, nested in any way, to a file that `load` reads.

    `obj` holds dictionaries (keys: strings, numbers, None, or tuples of these), lists, tuples, sets, tensors, NumPy
    arrays, numbers, strings, bytes, None, data types: so the state of a module, an optimiser, a schedule, or all of
    these together. A module itself is written as the name of its class and what it holds (other modules, tensors,
    plain values, dataclasses, namespaces, our own functions such as `nn.functional.relu`). A tensor that stands in
    several places is stored once. Views are stored with their own entries only.

    `f` is a path or a file opened for writing in binary mode. A path is written atomically: a crash leaves the file
    that was there. The file is safetensors inside, whatever its name ends with.

    Raises CheckpointError, naming the place, for anything else: an optimiser (save its `state_dict()`), a function of
    your own, a module with hooks or of a class that is defined in a function, ….

    >>> import chainrule, io
    >>> file = io.BytesIO()
    >>> chainrule.save({"epoch": 3, "weights": [chainrule.ones(2)]}, file)
    >>> chainrule.load(io.BytesIO(file.getvalue()))
    {'epoch': 3, 'weights': [tensor([1., 1.])]}
    """
    from safetensors.numpy import save as to_bytes

    from chainrule.files import write_atomically  # here, because the package `train` saves too

    structure, arrays = pack(obj)
    record = {"version": _VERSION, "checksum": _checksum(structure, arrays), "object": structure}
    content = to_bytes(arrays, {_METADATA_KEY: json.dumps(record)})
    if isinstance(f, (str, os.PathLike)):
        write_atomically(Path(f), lambda temporary: temporary.write_bytes(content))
    else:
        f.write(content)


def load(
    f: File,
    map_location: Any = None,
    *,
    weights_only: bool = True,
    mmap: bool | None = None,
    classes: Sequence[type] = (),
) -> Any:
    """Read a file that `save`, PyTorch's `torch.save` or another program's safetensors wrote; the content tells which.

    Args:
        f: a path, or a file opened for reading in binary mode, which is read to its end.
        map_location: the device that all tensors come to; the CPU if it is not given, wherever they were: files say
            nothing of devices (where the environment alone names one by `CHAINRULE_DEVICE`, that). Of a dictionary
            counts what it says of "cpu"; a function is not asked.
        weights_only: nothing in a file is ever executed, so False changes nothing; it is taken for PyTorch's sake.
        mmap: taken for PyTorch's sake; safetensors files are mapped in any case.
        classes: classes of whole modules in the file, where the program has not imported them under the names that they
            were saved by. A file imports nothing: what it names must be chainrule's, imported already, or given here.

    Returns what was saved; a dictionary of tensors for plain safetensors files.

    Raises CheckpointError for a file that is damaged, that is in another format, that names a class which the program
    does not have, or that (PyTorch's) holds anything but tensors and plain values; OSError if it cannot be opened;
    ValueError for a device that does not exist.

    >>> import chainrule, tempfile
    >>> path = Path(tempfile.mkdtemp()) / "weights.pt"
    >>> chainrule.save(chainrule.nn.Linear(2, 1).state_dict(), path)
    >>> list(chainrule.load(path))
    ['weight', 'bias']
    >>> chainrule.save(chainrule.nn.Sequential(chainrule.nn.Linear(2, 1), chainrule.nn.ReLU()), path)
    >>> chainrule.load(path)
    Sequential(
      (0): Linear(in_features=2, out_features=1, bias=True)
      (1): ReLU()
    )
    """
    known = Classes([*classes, *(thing for thing in _safe_globals if isinstance(thing, type))])
    if isinstance(f, (str, os.PathLike)):
        with open(f, "rb") as file, _location(map_location):
            return _load(file, str(f), Path(f), known)
    with _location(map_location):
        return _load(io.BytesIO(f.read()), str(getattr(f, "name", "") or "the file"), None, known)


# ----------------------------------------------------------------------------- classes for all files

#: What every file may name, besides what `load` is given.
_safe_globals: list[Any] = []


def add_safe_globals(safe_globals: Sequence[Any]) -> None:
    """PyTorch's way to say `classes=[…]`, for all files from now on. What is no class needs no permission here.

    >>> import chainrule
    >>> add_safe_globals([chainrule.nn.Linear]); get_safe_globals() == [chainrule.nn.Linear]
    True
    >>> clear_safe_globals()
    """
    _safe_globals.extend(safe_globals)


def get_safe_globals() -> list[Any]:
    """What `add_safe_globals` was given."""
    return list(_safe_globals)


def clear_safe_globals() -> None:
    """Forget what `add_safe_globals` was given."""
    _safe_globals.clear()


@contextmanager
def safe_globals(safe_globals: Sequence[Any]) -> Iterator[None]:
    """`add_safe_globals` within a block."""
    before = get_safe_globals()
    add_safe_globals(safe_globals)
    try:
        yield
    finally:
        _safe_globals[:] = before


def _load(file: IO[bytes], name: str, path: Path | None, classes: Classes) -> Any:
    start = file.read(9)
    file.seek(0)
    try:
        if start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= _LONGEST_HEADER:
            return _from_safetensors(*_read_safetensors(file, path), classes)
        if start.startswith((b"PK\x03\x04", b"\x80")):
            from chainrule.pytorch_files import read_pytorch

            return read_pytorch(file)
    except CheckpointError as error:
        raise CheckpointError(f"{name}: {error}") from None
    kind = "is empty" if not start else f"begins with {start[:8]!r}"
    raise CheckpointError(f"{name} {kind}: it is neither a safetensors file nor one of PyTorch's, or it is damaged.")


def _location(map_location: Any) -> Device:
    """The device of all that is made while reading, as a context."""
    if callable(map_location):
        return CPU
    if isinstance(map_location, Mapping):
        devices = {str(source): chosen(device) for source, device in map_location.items()}
        return devices.get("cpu", CPU)
    return (default_of_environment() or CPU) if map_location is None else chosen(map_location)


# ------------------------------------------------------------------------------------- safetensors


def _read_safetensors(file: IO[bytes], path: Path | None) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The arrays and the metadata of a safetensors file; one with a path is mapped, not read twice."""
    from safetensors import SafetensorError, deserialize, safe_open

    header = _check_header(file)
    if any(isinstance(entry, dict) and entry.get("dtype") == "BF16" for entry in header.values()):
        _ = bfloat16.numpy  # NumPy knows this type only after it was asked for
    try:
        if path is not None:
            with safe_open(path, framework="np") as opened:
                return {name: opened.get_tensor(name) for name in opened.keys()}, opened.metadata() or {}  # noqa: SIM118
        content = file.read()
        arrays = {name: _array(entry) for name, entry in deserialize(content)}  # refuses what Python's reader might not
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        return arrays, header.get("__metadata__") or {}
    except (SafetensorError, ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
        raise CheckpointError(f"it cannot be read as a safetensors file: {error}.") from None


def _check_header(file: IO[bytes]) -> dict[str, Any]:
    """The header. Raises CheckpointError for a name that it has twice: readers differ in which of the two they take."""
    length = int.from_bytes(file.read(8), "little")
    try:
        header = json.loads(file.read(length), object_pairs_hook=_no_name_twice)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"it cannot be read as a safetensors file: {error}.") from None
    file.seek(0)
    return header if isinstance(header, dict) else {}


def _no_name_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise CheckpointError(f"its header has the name {twice!r:.80} twice.")
    return found


#: The format's names of data types that NumPy calls otherwise than by a letter and a size.
_DTYPE_NAMES = {"BF16": "bfloat16", "BOOL": "bool"}


def _array(entry: dict[str, Any]) -> np.ndarray:
    letter = entry["dtype"]
    name = _DTYPE_NAMES.get(letter) or f"{letter[0].lower()}{int(letter[1:]) // 8}"
    return np.frombuffer(entry["data"], as_dtype(name).numpy).reshape(entry["shape"])


def _from_safetensors(arrays: dict[str, np.ndarray], metadata: dict[str, str], classes: Classes) -> Any:
    for name, array in arrays.items():
        try:
            check_truth_values(array)
        except CheckpointError as error:
            raise CheckpointError(f"{name}: {error}") from None
    if _METADATA_KEY not in metadata:
        return {name: _as_tensor(name, array) for name, array in arrays.items()}
    try:
        record = json.loads(metadata[_METADATA_KEY])
        version, checksum, structure = record["version"], record["checksum"], record["object"]
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise CheckpointError(f"the description of what was saved is damaged: {error}.") from None
    if version != _VERSION:
        raise CheckpointError(f"the file has version {version!r} of chainrule's format; known is {_VERSION}.")
    try:
        if checksum != _checksum(structure, arrays):
            raise CheckpointError("the file is damaged: its entries do not have the checksum that was written with it.")
        return unpack(structure, arrays, classes)
    except (PackError, DTypeError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"the description of what was saved is damaged: {error}.") from None


def _as_tensor(name: str, array: np.ndarray) -> Tensor:
    tensor = make(array)
    try:
        _ = tensor.dtype
    except DTypeError as error:
        raise CheckpointError(f"{name}: {error}") from None
    return tensor


def _checksum(structure: Any, arrays: Mapping[str, np.ndarray]) -> int:
    """CRC-32 of the structure and of every array with its name, type and shape."""
    checksum = zlib.crc32(json.dumps(structure).encode())
    for name in sorted(arrays):
        array = arrays[name]
        checksum = zlib.crc32(f"{name} {array.dtype.name} {array.shape}".encode(), checksum)
        checksum = zlib.crc32(array.reshape(-1).view(np.uint8).data, checksum)
    return checksum
