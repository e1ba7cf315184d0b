"""Numbers that depend on the batch or the length: one value for each of several traces of the same model.

A model is traced several times, each time with other sizes of what may vary. A number that is the same in all traces
is a constant of the model; one that is not is a `Size`, which holds its value in each. Arithmetic on sizes is done
for all traces at once, and anything that needs one plain number refuses a size: so no rule can take the number of one
trace for a constant. How a size follows from the inputs is found at the end, from its values (`formulas.py`).

>>> n = Size((5, 6, 8))
>>> n * 2 + 1, n - n
(Size(11, 13, 17), 0)
>>> merged([(5, 3), (6, 3), (8, 3)])
(Size(5, 6, 8), 3)
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule.onnx.errors import OnnxError
from chainrule.primitives.value import Symbol, Value

Number = Any  # an int, or a Size


class Size:
    """A number that is not the same in all traces.

    Attributes:
        values: the number in each trace.
    """

    __slots__ = ("values",)

    def __init__(self, values: Sequence[Any]) -> None:
        self.values = tuple(values)

    def _with(self, other: Any, function: Callable[[Any, Any], Any]) -> Any:
        others = other.values if isinstance(other, Size) else (other,) * len(self.values)
        return size_of([function(a, b) for a, b in zip(self.values, others, strict=True)])

    def __add__(self, other: Any) -> Any:
        return self._with(other, operator.add)

    def __sub__(self, other: Any) -> Any:
        return self._with(other, operator.sub)

    def __mul__(self, other: Any) -> Any:
        return self._with(other, operator.mul)

    def __floordiv__(self, other: Any) -> Any:
        return self._with(other, operator.floordiv)

    def __neg__(self) -> Any:
        return self * -1

    def __rsub__(self, other: Any) -> Any:
        return -self + other

    __radd__, __rmul__ = __add__, __mul__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Size) and self.values == other.values

    def __hash__(self) -> int:
        return hash(self.values)

    def __repr__(self) -> str:
        return f"Size({', '.join(map(str, self.values))})"


def size_of(values: Sequence[Any]) -> Any:
    """One number if all values are the same, else a Size."""
    first = values[0]
    return first if all(value == first for value in values) else Size(values)


def product(sizes: Sequence[Number]) -> Number:
    """All of them multiplied."""
    result: Any = 1
    for size in sizes:
        result = size * result
    return result


class VaryingArray:
    """An array that is not the same in all traces: an order of places, a mask, a number such as 1/length.

    Attributes:
        arrays: the array in each trace.
    """

    def __init__(self, arrays: Sequence[Any]) -> None:
        self.arrays = tuple(arrays)

    @property
    def dtype(self) -> Any:
        """The data type, which is the same in all."""
        return self.arrays[0].dtype

    @property
    def shape(self) -> tuple[Number, ...]:
        """The shape, with a Size where it varies."""
        return merged([array.shape for array in self.arrays])


def merged(things: Sequence[Any]) -> Any:
    """Settings of the traces as one: alike where they are alike, a Size where numbers differ.

    Raises OnnxError where they differ in another way: then the model is another program for other sizes.
    """
    first = things[0]
    if all(thing is first for thing in things):
        return first
    if isinstance(first, Value):
        if isinstance(first.array, Symbol):
            return first  # which symbol it is in the other traces follows from the equations
        return merged([thing.array for thing in things])  # made from outside, in each trace anew
    if isinstance(first, np.ndarray):
        return _merged_arrays(things)
    if isinstance(first, tuple | list):
        if any(len(thing) != len(first) for thing in things):
            raise OnnxError(_another_program(things))
        parts = [merged(parts) for parts in zip(*things, strict=True)]
        return type(first)(*parts) if hasattr(first, "_fields") else type(first)(parts)
    if isinstance(first, dict):
        return {key: merged([thing[key] for thing in things]) for key in first}
    if all(isinstance(thing, int | float | np.number) and not isinstance(thing, bool) for thing in things):
        return first if all(thing == first or thing != thing for thing in things) else Size(things)
    if all(type(thing) is type(first) and thing == first for thing in things):
        return first
    raise OnnxError(_another_program(things))


def _merged_arrays(arrays: Sequence[Any]) -> Any:
    first = arrays[0]
    if any(array.dtype != first.dtype or array.ndim != first.ndim for array in arrays):
        raise OnnxError(_another_program(arrays))
    same = all(array.shape == first.shape and array.tobytes() == first.tobytes() for array in arrays)
    return first if same else VaryingArray(arrays)


def _another_program(things: Sequence[Any]) -> str:
    return (
        f"the model does other things for other sizes ({' or '.join(map(repr, things[:2]))}); fix the size by "
        "leaving it out of `dynamic`, or write the choice with tensors (where)"
    )
