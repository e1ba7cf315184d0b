"""What `autocast` changes: for each kind of operation, the data type in which it computes.

PyTorch's lists for the CPU, as decorators of the functions concerned. Outside of `autocast` they do nothing. Within
such a function autocasting is off: what it calls computes in the types it gets.

    in_half           products, convolutions, attention, PReLU: float32 and halves become the half that was asked for
    in_single         losses, linear algebra, some pooling and padding: halves become float32
    in_own_type       products with vectors, which stay as they are
    in_type_of_first  normalisation: computed in float32, the result has the type of the input

float64 and whole numbers are left alone. Everything else takes what comes, by the ordinary rules of promotion.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np

from chainrule.cell import TensorCell
from chainrule.dtypes import DType
from chainrule.functions.promotion import cast
from chainrule.primitives.value import DataType
from chainrule.state import current_state

F = TypeVar("F", bound=Callable[..., Any])
_SINGLE = np.dtype(np.float32)
_said: list[str] = []


@contextmanager
def autocasting(dtype: DType | None) -> Iterator[None]:
    """Within, operations that can compute in this half do; None: all compute in the types that they get."""
    state = current_state()
    before, state.autocast = state.autocast, dtype
    try:
        yield
    finally:
        state.autocast = before


def _is_floating(dtype: DataType) -> bool:
    """Whether entries are float32 or halves."""
    return dtype == _SINGLE or (dtype.itemsize == 2 and dtype.kind in "fV")


def converted(x: Any, dtype: DataType) -> Any:
    """Tensors of float32 and halves in this type, within tuples and lists too; everything else as it is."""
    if isinstance(x, TensorCell):
        return cast(x, dtype) if _is_floating(x.value.array.dtype) else x  # type: ignore[arg-type]
    if isinstance(x, tuple | list):
        parts = [converted(part, dtype) for part in x]
        return type(x)(*parts) if hasattr(x, "_fields") else type(x)(parts)
    return x


def say_slow(what: str) -> None:
    """Once: eager code gains nothing."""
    if not _said:
        _said.append("said")
        warnings.warn(
            f"{what}: eager code rounds to 16 bits and then computes in float32, which takes longer than float32 "
            "alone. Compiled code (chainrule.compile) reads 16 bits, and multiplies bfloat16 where the processor can.",
            stacklevel=4,
        )


def _within(function: F, run: Callable[..., Any]) -> F:
    """The function, done by `run(half, args, kwargs)` within autocast."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        half = current_state().autocast
        if half is None:
            return function(*args, **kwargs)
        with autocasting(None):
            return run(half, args, kwargs)

    return wrapper  # type: ignore[return-value]


def _in_type(function: F, dtype_of: Callable[[DType], DataType]) -> F:
    def run(half: DType, args: Any, kwargs: Any) -> Any:
        dtype = dtype_of(half)
        args = [converted(x, dtype) for x in args]
        return function(*args, **{name: converted(x, dtype) for name, x in kwargs.items()})

    return _within(function, run)


def in_half(function: F) -> F:
    """Within autocast: computed in the half that was asked for."""

    return _in_type(function, _told)


def half_for(x: Any) -> DataType | None:
    """Within autocast, for a tensor of float32 or halves: the half that was asked for. None for all others."""
    half = current_state().autocast
    return None if half is None or not _is_floating(x.value.array.dtype) else _told(half)


def _told(half: DType) -> DataType:
    """The half as NumPy calls it; eager code is told that it gains nothing."""
    if current_state().trace is None:
        say_slow("autocast")
    return half.numpy


def in_single(function: F) -> F:
    """Within autocast: computed in float32."""
    return _in_type(function, lambda half: _SINGLE)


def single(x: Any) -> Any:
    """Within autocast: a tensor of halves as float32."""
    return x if current_state().autocast is None else converted(x, _SINGLE)


def in_own_type(function: F) -> F:
    """Within autocast: computed in the types that it gets."""
    return _within(function, lambda half, args, kwargs: function(*args, **kwargs))


def in_type_of_first(function: F) -> F:
    """Within autocast: computed in float32, and the result has the type of the first argument."""

    def run(half: DType, args: Any, kwargs: Any) -> Any:
        given = args[0] if args else next(iter(kwargs.values()))
        if not isinstance(given, TensorCell) or not _is_floating(given.value.array.dtype):
            return function(*args, **kwargs)
        args = [converted(x, _SINGLE) for x in args]
        answer = function(*args, **{name: converted(x, _SINGLE) for name, x in kwargs.items()})
        return cast(answer, given.value.array.dtype)

    return _within(function, run)
