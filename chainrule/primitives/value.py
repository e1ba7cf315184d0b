"""Values: what a computation is about. Immutable once made; a Tensor is a cell that holds one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from chainrule.tape import Source

Array = np.ndarray[Any, np.dtype[Any]]
DataType = np.dtype[Any]
Shape = tuple[int, ...]
#: What a shape rule answers for each result.
Form = tuple[Shape, DataType]


class Room(np.ndarray[Any, Any]):
    """Memory with some to spare behind one array, which alone shows it (as do views of it): as good as its own."""


class Symbol:
    """Stands for an array while a computation is only noted: it has a shape and a data type and no entries.

    Attributes:
        place: where the array is (`placed.py`), None for the CPU.
        number: whether it is a single number of the CPU, maybe spread over a shape.
    """

    __slots__ = ("dtype", "number", "place", "shape")

    def __init__(self, shape: Shape, dtype: DataType) -> None:
        self.shape = shape
        self.dtype = dtype
        self.place: Any = None
        self.number = False

    @property
    def ndim(self) -> int:
        """How many dimensions."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """How many entries."""
        size = 1
        for extent in self.shape:
            size *= extent
        return size

    def __array__(self, *_: Any, **__: Any) -> Array:
        raise TypeError(f"a symbol {self!r} has no entries")

    def __repr__(self) -> str:
        return f"{self.dtype.name}[{','.join(map(str, self.shape))}]"


class Value:
    """An array (or a Symbol while tracing) and where it came from.

    Attributes:
        array: the entries. Nobody writes to it once it is in a Value.
        source: (node, position) on the tape: the record that made it and which of its results it is, or the leaf
            that collects its gradient. None where no gradient is wanted.
    """

    __slots__ = ("array", "source")

    def __init__(self, array: Any, source: Source | None = None) -> None:
        self.array = array
        self.source = source
