"""The format before PyTorch 1.6: pickles one after the other, and then the storages.

A magic number, a protocol version, a description of the machine, the object, the keys of its storages in order; then
for each its length (eight bytes) and its bytes. So tensors are made first, on memory that is filled at the end.
"""

from __future__ import annotations

import os
import sys
from typing import IO, Any

import numpy as np

from chainrule.errors import CheckpointError
from chainrule.keys import brief
from chainrule.pytorch_files.machine import Machine
from chainrule.pytorch_files.names import find
from chainrule.pytorch_files.storage import Storage, StorageType, check_truth_values

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001


def read_legacy(file: IO[bytes]) -> Any:
    """What is in a file of the old format."""
    memory = _Memory(file)
    if _plain(file) != _MAGIC:
        raise CheckpointError(
            "this is a pickle, but none of PyTorch's. It is not read, since that would run code that the file chooses."
        )
    if _plain(file) != _PROTOCOL:
        raise CheckpointError("it has an unknown version of PyTorch's old format.")
    machine = _plain(file)
    result = Machine(find, memory.storage).run(file)
    memory.fill(_plain(file), "little" if machine["little_endian"] else "big")
    return result


def _plain(file: IO[bytes]) -> Any:
    """The next pickle, which holds nothing but plain values."""

    def refuse(*anything: Any) -> Any:
        raise CheckpointError("the header of this file holds more than plain values; it is none of PyTorch's.")

    return Machine(refuse, refuse).run(file)


class _Memory:
    """The storages that the object refers to. All together they cannot be longer than the file."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.left = file.seek(0, os.SEEK_END)
        file.seek(0)
        self.storages: dict[str, Storage] = {}

    def storage(self, identity: Any) -> Storage:
        """The storage of ("storage", class, key, device, entries, part); a part is (key, offset, entries) or None."""
        kind, dtype, key, _device, count, part = identity
        if kind != "storage" or not isinstance(dtype, StorageType) or not isinstance(key, str):
            raise CheckpointError(f"the file refers to {brief(identity)} outside of it.")
        itemsize = dtype.dtype.itemsize
        if key not in self.storages:
            if not 0 <= count * itemsize <= self.left:
                raise CheckpointError(f"its storage {key} of {count} {dtype.dtype.name} is longer than the file.")
            self.left -= count * itemsize
            self.storages[key] = Storage(dtype.dtype, np.zeros(count * itemsize, np.uint8))
        whole = self.storages[key]
        if part is None:
            return whole
        _, offset, length = part
        if not 0 <= offset <= offset + length <= len(whole.memory) // itemsize:
            raise CheckpointError(f"a part of its storage {key} does not lie inside of it.")
        return Storage(whole.dtype, whole.memory[offset * itemsize : (offset + length) * itemsize])

    def fill(self, keys: Any, order: str) -> None:
        """Read the bytes of all storages, which come in the order of these keys."""
        known = isinstance(keys, list) and all(type(key) is str for key in keys)
        if not known or set(keys) != set(self.storages) or len(keys) != len(self.storages):
            raise CheckpointError("the list of its storages does not fit the object that uses them.")
        for key in keys:
            storage = self.storages[key]
            length = int.from_bytes(self.file.read(8), "little" if order == "little" else "big")
            content = self.file.read(len(storage.memory))
            if length * storage.dtype.itemsize != len(storage.memory) or len(content) != len(storage.memory):
                raise CheckpointError(f"its storage {key} is cut off, or not as long as its tensors say.")
            entries = np.frombuffer(content, np.uint8).reshape(-1, storage.dtype.itemsize)
            storage.memory[:] = (entries if order == sys.byteorder else entries[:, ::-1]).reshape(-1)
            check_truth_values(storage.memory.view(storage.dtype.numpy))
