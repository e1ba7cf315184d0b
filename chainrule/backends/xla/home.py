"""Where a cell lives that XLA's programs change: an array of JAX's, and the value that shows it.

A program takes the array, donates it, and leaves another one. The value shows whatever is there: its entries come to
NumPy when somebody reads them, and not before. Whoever still holds an old value when a program is about to change the
cell keeps it: then the cell moves to an array of its own, as in `backends/home.py`.
"""

from __future__ import annotations

import sys
from typing import Any

import jax
import numpy as np

from chainrule.primitives.placed import Placed
from chainrule.primitives.value import Array, DataType, Form, Shape, Value


def on_device(array: Any, sharding: Any = None) -> Any:
    """A copy of the entries as an array of JAX's, in their own type; on several devices as `sharding` says.

    It is sent, not computed: JAX would compile a function for each shape, which takes longer than small steps do.
    """
    with jax.enable_x64(True):
        return jax.device_put(array if isinstance(array, jax.Array) else np.array(array), sharding, may_alias=False)


class DeviceValue(Value):
    """A value whose entries are an array of JAX's; `array` brings them to NumPy (on a CPU without copying).

    Attributes:
        entries: JAX's array.
    """

    __slots__ = ("_seen", "entries")

    def __init__(self, entries: Any, source: Any = None) -> None:
        self.source = source
        self.entries = entries
        self._seen: Array | None = None

    @property
    def array(self) -> Array:
        """The entries, not to be written to."""
        if self._seen is None:
            self._seen = np.asarray(self.entries)
        return self._seen

    def replace(self, entries: Any) -> None:
        """Show other entries: nobody else looks."""
        self.entries, self._seen = entries, None


class PlacedValue(DeviceValue):
    """The same for a cell that is on a device: its `array` is a `Placed`, and nothing travels.

    Attributes:
        form: shape and data type.
        place: where it is.
    """

    __slots__ = ("form", "place")

    def __init__(self, entries: Any, form: Form, place: Any, source: Any = None) -> None:
        super().__init__(entries, source)
        self.form, self.place = form, place

    @property
    def array(self) -> Any:
        """The array on the device."""
        if self._seen is None:
            self._seen = Placed(self.entries, self.form, self.place)  # type: ignore[assignment]
        return self._seen


class DeviceHome:
    """The home of a cell. See :class:`~chainrule.backends.home.Home`, whose part it plays.

    Attributes:
        shape, dtype: of the cell.
        order: row by row, as far as NumPy sees it.
        sharding: which device has which part, if there are several.
        value: the value that shows it, or None.
    """

    __slots__ = ("__weakref__", "_entries", "dtype", "order", "shape", "sharding", "value")

    def __init__(self, shape: Shape, dtype: DataType, sharding: Any = None) -> None:
        self.sharding = sharding
        self.shape, self.dtype, self.order = tuple(shape), dtype, tuple(range(len(shape)))
        self.value: DeviceValue | None
        self.renew()

    def fits(self, shape: Shape, dtype: DataType) -> bool:
        """Whether the home is for cells of this form."""
        return self.shape == tuple(shape) and self.dtype == dtype

    def renew(self) -> None:
        """Leave the old array to those who look at it."""
        self._entries, self.value = None, None

    @property
    def entries(self) -> Any:
        """JAX's array: zeros if nothing has been put there, which most homes never hold."""
        if self._entries is None:
            self._entries = on_device(np.zeros(self.shape, self.dtype), self.sharding)
        return self._entries

    def fill(self, array: Any) -> None:
        """Take in entries. A value that shows the home shows these."""
        self.take(on_device(array, self.sharding))

    def take(self, entries: Any) -> None:
        """Hold what a program has left."""
        self._entries = entries
        if self.value is not None:
            self.value.replace(entries)

    def show(self, source: Any = None) -> DeviceValue:
        """A new value that shows the home."""
        self.value = DeviceValue(self.entries, source)
        return self.value

    @property
    def array(self) -> Array:
        """The entries in NumPy."""
        return np.asarray(self.entries)

    def is_unseen(self, holders: int) -> bool:
        """Whether nobody else looks: so many hold the value, the count included. JAX itself keeps NumPy's views."""
        return sys.getrefcount(self.value) <= holders


class PlacedHome(DeviceHome):
    """The home of a cell that is on a device.

    Attributes:
        place: where it is.
    """

    __slots__ = ("place",)

    def __init__(self, shape: Shape, dtype: DataType, place: Any) -> None:
        self.place = place
        super().__init__(shape, dtype, place.where)

    def fill(self, array: Any) -> None:
        """Take in entries: those of a `Placed` are copied where they are."""
        self.take(on_device(array.entries if type(array) is Placed else array, self.sharding))

    def show(self, source: Any = None) -> DeviceValue:
        """A new value that shows the home."""
        self.value = PlacedValue(self.entries, (self.shape, self.dtype), self.place, source)
        return self.value

    def is_unseen(self, holders: int) -> bool:
        """Whether nobody else looks, at the value or at the array that it has shown."""
        shown = None if self.value is None else self.value._seen
        # The array is held by the value, `shown` and the count itself.
        return super().is_unseen(holders) and (shown is None or sys.getrefcount(shown) <= 3)
