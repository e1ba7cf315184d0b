"""Storages: the memory that PyTorch's tensors are views of, and the tensors on them."""

from __future__ import annotations

import numpy as np

from chainrule.dtypes import DType, as_dtype
from chainrule.errors import CheckpointError
from chainrule.functions.creation import make
from chainrule.keys import brief
from chainrule.tensor import Tensor

#: PyTorch's classes of storages, by the data types of ours.
STORAGE_TYPES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "UntypedStorage": "uint8",
}


def check_truth_values(array: np.ndarray) -> None:
    """Raise CheckpointError unless every byte of an array of truth values is 0 or 1; others calculate wrongly."""
    if array.dtype == np.bool_ and array.size and array.view(np.uint8).max() > 1:
        raise CheckpointError(f"it has the byte {array.view(np.uint8).max()} as a truth value, which is 0 or 1.")


class StorageType:
    """A class of storages as a file names it. It stands for itself until a storage of it is asked for."""

    def __init__(self, name: str) -> None:
        self.dtype = as_dtype(STORAGE_TYPES[name])
        self.untyped = name == "UntypedStorage"  # bytes, whose tensors say what type they are


class Storage:
    """Memory of one data type; `memory` are its bytes.

    The array is a view of them, so a reader may give out tensors first and fill the bytes afterwards.
    """

    def __init__(self, dtype: DType, memory: np.ndarray) -> None:
        self.dtype = dtype
        self.memory = memory
        self._tensors: dict[str, Tensor] = {}

    def tensor(self, offset: int, size: tuple[int, ...], stride: tuple[int, ...], dtype: DType | None = None) -> Tensor:
        """The tensor with these extents and strides, counted in entries. The same again is the same tensor.

        Raises CheckpointError for one that does not lie inside the storage.
        """
        dtype = dtype or self.dtype
        array = self.memory[: len(self.memory) // dtype.itemsize * dtype.itemsize].view(dtype.numpy)
        numbers = (offset, *size, *stride)
        if len(size) != len(stride) or not all(type(n) is int and n >= 0 for n in numbers):
            raise CheckpointError(
                f"a tensor of size {brief(size)} has strides {brief(stride)} and offset {brief(offset)}."
            )
        last = offset + sum((extent - 1) * step for extent, step in zip(size, stride, strict=True))
        if 0 not in size and last >= len(array):
            raise CheckpointError(
                f"a tensor of size {size} and strides {stride} at {offset} does not lie in its storage of {len(array)}."
            )
        key = f"{offset} {size} {stride} {dtype.name}"  # a text: see chainrule.keys
        if key not in self._tensors:
            start = array[min(offset, len(array)) :]
            steps = tuple(step * dtype.itemsize for step in stride)
            view = np.lib.stride_tricks.as_strided(start, size, steps) if 0 not in size else np.empty(size, array.dtype)
            check_truth_values(view)
            self._tensors[key] = make(view)
        return self._tensors[key]
