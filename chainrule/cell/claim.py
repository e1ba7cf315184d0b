"""Who holds a value and its array. Where nobody but a cell does, entries are written into the array itself."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.primitives.value import Room, Value


def is_owned(array: Any) -> bool:
    """Whether the entries are this array's own, not a part of another one's that somebody could hold."""
    return (
        type(array) is np.ndarray and (array.base is None or type(array.base) is Room) and bool(array.flags.writeable)
    )


class Claim(Value):
    """What a cell holds while its array is written to, so that no other thread gets the value in the meantime.

    It has no `array` until it is released: whoever asks for that waits. Nobody asks within a claim, so all get it.

    Attributes:
        _value: what the cell has held, and will be looked at as the cell's is: see `holders`.
        writer: the thread that writes.
    """

    __slots__ = ("_value", "writer")

    def __init__(self, cell: Any) -> None:
        self.writer = threading.get_ident()
        self._value = cell._value
        self.source = self._value.source
        cell._value = self

    @property
    def is_plain(self) -> bool:
        """Whether no other thread's claim came first."""
        return type(self._value) is Value

    def release(self, cell: Any, changed: bool) -> None:
        """Let the cell hold its old value again, or if the entries have changed another one."""
        before = self._value
        self.array = before.array  # of another thread's claim when that is released; which waits for nobody
        if cell._value is self:
            cell._value = Value(self.array, self.source) if changed or not self.is_plain else before

    def __getattr__(self, name: str) -> Any:
        """Called for what is not there: the array. Wait for it."""
        if name != "array":
            raise AttributeError(name)
        waiting = True
        while waiting:
            # A finaliser within the writing thread must not wait for itself, nor a fork for a thread that it has not.
            waiting = self.writer != threading.get_ident() and self.writer in sys._current_frames()
            with contextlib.suppress(AttributeError):
                return _GIVEN_ARRAY(self)
            time.sleep(0)
        return self._value.array.copy()


_GIVEN_ARRAY: Callable[[Value], Any] = vars(Value)["array"].__get__


def holders(cell: Any) -> tuple[int, int]:
    """How many hold a cell's value and its array, with the same additions every time: see `ALONE`."""
    return sys.getrefcount(cell._value), sys.getrefcount(cell._value.array)


def holders_with_view(view: Any, base: Any) -> tuple[int, ...]:
    """The same for a view and its base. NumPy's view of an array holds it too."""
    of_view = holders(view)
    value, array = holders(base)
    return *of_view, value, array - (view._value.array.base is base._value.array)


class _Bare:
    """What is looked at of a cell."""

    _value: Any
    _seen: Any


def _count_alone() -> tuple[Any, Any]:
    """What the counts are when nobody else holds anything, measured: what Python itself adds depends on its version."""
    base, view = _Bare(), _Bare()
    base._value, view._value = Value(np.zeros(2)), Value(np.zeros(()))
    alone = holders(base)
    view._seen = base._value
    return alone, holders_with_view(view, base)


ALONE, ALONE_WITH_VIEW = _count_alone()
