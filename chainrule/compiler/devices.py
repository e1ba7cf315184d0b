"""Steps whose tensors are on a device: they run there as one program for XLA, and only what is asked for travels."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from chainrule.backends import build
from chainrule.compiler.origins import Cell, Gradient, Step
from chainrule.errors import DeviceError
from chainrule.primitives.placed import Placed, place_of
from chainrule.primitives.value import Symbol, Value


class Where(NamedTuple):
    """Where a step is computed, and what of it is there.

    Attributes:
        place: of the device; None: the CPU, as far as tensors are concerned.
        cells: the numbers of the cells that are there.
    """

    place: Any
    cells: frozenset[int]

    def build(self, backend: Any, program: Any, homes: Sequence[Any], debug: bool) -> Any:
        """The runnable program. Without a device that is the backend's business; on one there is XLA.

        Raises DeviceError for a backend that computes on the CPU, or that spreads a program over devices itself.
        """
        if self.place is None:
            return build(backend)(program, homes, debug)
        if backend not in ("native", "xla"):
            named = backend if isinstance(backend, str) else "xla with several devices"
            raise DeviceError(
                f"a step with tensors on {self.place.device} runs there: compile it without backend={named!r}, or move "
                "its tensors to the CPU."
            )
        xla = importlib.import_module("chainrule.backends.xla")
        return xla.XLA().build(program, homes, debug, xla.At(self.place, self.cells))


def where_of(step: Step, cells: Sequence[Cell | Gradient]) -> Where:
    """Where a step is to be computed. Raises DeviceError if its tensors are on several devices."""
    made = {id(leaf): x for leaf, x in step.gradients}
    written = {id(origin.leaf): x for origin, x in step.writes if isinstance(origin, Gradient)}
    places = [_place_of_cell(origin, {**written, **made}) for origin in cells]
    others = [place_of(symbol) for symbol, _ in step.inputs]
    found = {place for place in (*places, *others, *step.places) if place is not None}
    if len(found) > 1:
        named = " and ".join(sorted(str(place.device) for place in found))
        raise DeviceError(f"a compiled step is computed on one device; this one has tensors on {named}.")
    return Where(next(iter(found), None), frozenset(i for i, place in enumerate(places) if place is not None))


def _place_of_cell(origin: Cell | Gradient, made: dict[int, Any]) -> Any:
    if isinstance(origin, Cell):
        return place_of(origin.tensor._value.array)
    gradient = origin.leaf.gradient
    new = made.get(id(origin.leaf))
    return place_of(new) if isinstance(new, Symbol) else None if gradient is None else place_of(gradient.value.array)


def given(array: Any) -> Any:
    """An argument as a program on a device takes it."""
    return array.entries if type(array) is Placed else array


def delivered(x: Any, place: Any) -> Value:
    """A result of a program on a device (JAX's array) as a value: there, or brought to the CPU."""
    return Value(np.array(x) if place is None else Placed(x, (x.shape, x.dtype), place))
