"""The format of PyTorch 1.6 and later: a zip file with a pickle in it, and each storage as an entry of its own."""

from __future__ import annotations

import io
import os
import sys
import zipfile
from typing import IO, Any

import numpy as np

from chainrule.errors import CheckpointError
from chainrule.keys import brief
from chainrule.pytorch_files.machine import Machine
from chainrule.pytorch_files.names import find
from chainrule.pytorch_files.storage import Storage, StorageType


def read_archive(file: IO[bytes]) -> Any:
    """What is in a zip file of PyTorch's."""
    with zipfile.ZipFile(file) as opened:
        archive = _Archive(opened, file.seek(0, os.SEEK_END))
        return Machine(find, archive.storage).run(io.BytesIO(archive.read("data.pkl")))


class _Archive:
    """The entries of a zip file, none of which may be packed: so all together cannot be longer than the file."""

    def __init__(self, opened: zipfile.ZipFile, length: int) -> None:
        self.opened = opened
        self.left = length
        names = opened.namelist()
        pickles = [name for name in names if name.split("/")[-1] == "data.pkl"]
        if len(pickles) != 1:
            raise CheckpointError("this zip file is none of PyTorch's: it has no data.pkl. (NumPy reads .npz files.)")
        self.folder = pickles[0].removesuffix("data.pkl")
        self.names = set(names)
        if f"{self.folder}constants.pkl" in self.names:
            raise CheckpointError("this is a TorchScript program; save the module's state_dict() instead.")
        self.order = self.read("byteorder").decode("ascii") if f"{self.folder}byteorder" in self.names else "little"
        if self.order not in ("little", "big"):
            raise CheckpointError(f'its byte order is "{self.order}".')
        self.storages: dict[str, Storage] = {}

    def read(self, name: str) -> bytes:
        """The bytes of an entry; their checksum is compared."""
        entry = self.opened.getinfo(self.folder + name)
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size > self.left:
            raise CheckpointError(f"its entry {name} is packed, or longer than the file; PyTorch writes no such files.")
        self.left -= entry.file_size
        return self.opened.read(entry)

    def storage(self, identity: Any) -> Storage:
        """The storage that a persistent identity names: ("storage", class, key, device, how many entries)."""
        kind, dtype, key, _device, count = identity
        if kind != "storage" or not isinstance(dtype, StorageType) or not isinstance(key, str):
            raise CheckpointError(f"the file refers to {brief(identity)} outside of it.")
        if key not in self.storages:
            memory = np.frombuffer(self.read(f"data/{key}"), np.uint8)
            if len(memory) != count * dtype.dtype.itemsize:
                raise CheckpointError(f"its storage {key} has {len(memory)} bytes, not {count} {dtype.dtype.name}.")
            if self.order != sys.byteorder:
                if dtype.untyped:
                    raise CheckpointError("it comes from a machine of the other byte order, with untyped storages.")
                memory = np.ascontiguousarray(memory.reshape(-1, dtype.dtype.itemsize)[:, ::-1]).reshape(-1)
            self.storages[key] = Storage(dtype.dtype, memory)
        storage = self.storages[key]
        if storage.dtype is not dtype.dtype:  # two tensors of different types on one storage
            return Storage(dtype.dtype, storage.memory)
        return storage
