"""Arrays on a device: what stands in a value there, and which operands of an operation go together.

A :class:`Placed` has a shape and a data type as an array has, and gives its entries to nobody but its place: whatever
would hand it to NumPy raises a DeviceError. So no function computes on the CPU what it should compute elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.errors import DeviceError
from chainrule.primitives.value import Array, DataType, Form, Shape, Symbol
from chainrule.state import current_state

#: Whether there has been an array on a device. While there is none, nobody asks where arrays are.
in_use = False


class Placed:
    """An array on a device.

    Attributes:
        entries: the array, as the place keeps it (JAX's).
        shape, dtype: its form.
        place: where it is (`backends/xla/place.py`).
    """

    __slots__ = ("dtype", "entries", "place", "shape")

    shape: Shape
    dtype: DataType

    def __init__(self, entries: Any, form: Form, place: Any) -> None:
        global in_use
        in_use = True
        self.entries, self.place = entries, place
        self.shape, self.dtype = tuple(form[0]), form[1]

    @property
    def ndim(self) -> int:
        """How many dimensions."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """How many entries."""
        return math.prod(self.shape)

    def on_host(self) -> Array:
        """The entries as a NumPy array that must not be written to."""
        array: Array = self.place.fetch(self.entries)
        return array

    def __array__(self, *_: Any, **__: Any) -> Array:
        raise self.refusal("reading it")

    def __array_ufunc__(self, function: Any, *_: Any, **__: Any) -> Any:
        raise self.refusal(f"NumPy's {function.__name__}")

    def __array_function__(self, function: Any, *_: Any) -> Any:
        raise self.refusal(f"NumPy's {function.__name__}")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise self.refusal(f"`{name}` of the array")

    def __getitem__(self, key: Any) -> Any:
        raise self.refusal("reading entries")

    def __len__(self) -> int:
        raise self.refusal("reading entries")

    def __bool__(self) -> bool:
        raise self.refusal("asking whether it is true")

    def __repr__(self) -> str:
        return f"{self.dtype.name}[{','.join(map(str, self.shape))}] on {self.place.device}"

    def refusal(self, what: str) -> DeviceError:
        """The error of what only NumPy could do."""
        return DeviceError(
            f"{what} needs the numbers on the CPU, this tensor is on {self.place.device}. Write "
            "x.cpu() before, and .to(device) behind."
        )


def place_of(array: Any) -> Any:
    """Where an array (or what a symbol stands for) is; None for the CPU."""
    return None if type(array) is np.ndarray else getattr(array, "place", None)  # an array is asked at every call


def on_host(array: Any) -> Any:
    """The entries for NumPy, wherever they are."""
    return array.on_host() if type(array) is Placed else array


def all_on_host(arrays: Sequence[Any], result: Any) -> tuple[list[Any], Any]:
    """What went into an operation on a device and what came out, for whoever looks on with NumPy."""
    several = isinstance(result, list | tuple)
    return [on_host(x) for x in arrays], [on_host(x) for x in result] if several else on_host(result)


def symbol_for(array: Any) -> Symbol:
    """A symbol that stands for an array where it is."""
    symbol = Symbol(array.shape, array.dtype)
    symbol.place = place_of(array)
    symbol.number = symbol.place is None and is_number(array)
    return symbol


def is_number(array: Any) -> bool:
    """Whether an array of the CPU is a single number, maybe spread over a shape: it goes with tensors on any device."""
    if isinstance(array, Symbol):
        return array.number or not array.shape
    return not any(array.strides)


def together(
    primitive: Any, tensors: Sequence[Any], arrays: Sequence[Any], parameters: dict[str, Any]
) -> tuple[Any, list[Any] | None]:
    """Where an operation is done, and its operands if some had to be taken there (else None).

    Raises DeviceError for operands on different devices. Numbers of the CPU go with all, and so do places that are read
    or written. In a trace they need not be taken anywhere.
    """
    place = next((found for array in arrays if (found := place_of(array)) is not None), None)
    if place is None:
        return None, None
    state = current_state()
    if state.recording is not None:
        raise on_a_device()
    strangers, first_guest = False, primitive.first_guest(len(arrays), parameters)
    for i, array in enumerate(arrays):
        here = place_of(array)
        if here is not place:
            if here is not None or not (i >= first_guest or is_number(array)):
                raise mixed(primitive.name, arrays)
            strangers = state.trace is None
    return place, [tensor.moved_to(place) for tensor in tensors] if strangers else None


def on_a_device() -> DeviceError:
    """The error of explaining what is computed on a device."""
    return DeviceError("explain shows computations on the CPU: move the model and its inputs there with .cpu().")


def mixed(name: str, arrays: Sequence[Any]) -> DeviceError:
    """The error of operands on different devices."""
    devices = ["cpu" if (place := place_of(array)) is None else str(place.device) for array in arrays]
    forms = " and ".join(f"{tuple(a.shape)} on {device}" for a, device in zip(arrays, devices, strict=True))
    wanted = next(device for device in devices if device != "cpu")
    return DeviceError(f"{name}: tensors on different devices, {forms}; write x.to({wanted!r}).")


def like_upstream(upstream: Sequence[Any], gradients: Sequence[Any]) -> list[Any]:
    """Gradients that a rule may have made of numbers alone, where the upstream gradients are."""
    places = (place_of(g.value.array) for g in upstream if g is not None)
    place = next((found for found in places if found is not None), None)
    return [g if g is None or place is None else g.moved_to(place) for g in gradients]
