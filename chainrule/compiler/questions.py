"""What a traced step asks of things in passing: functions whose answers are facts, and how things are called."""

from __future__ import annotations

import array
import functools
import operator
import types
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule import changes
from chainrule.cell import TensorCell
from chainrule.changes import WatchedDict, WatchedList
from chainrule.compiler.facts import MISSING

#: What shows a dictionary that is kept elsewhere.
VIEWS: tuple[type, ...] = (types.MappingProxyType, type({}.keys()), type({}.values()), type({}.items()))
#: Numbers in memory, as NumPy's arrays are.
ROWS_OF_BYTES = (bytearray, memoryview, array.array)


@functools.lru_cache(maxsize=4096)
def of_class(name: str) -> Callable[[Any], Any]:
    """What a class has under a name, itself or from those it inherits from, as it is written there."""

    def look_up(kind: Any) -> Any:
        return next((base.__dict__[name] for base in kind.__mro__ if name in base.__dict__), MISSING)

    return look_up


@functools.lru_cache(maxsize=4096)
def lacks_field(name: str) -> Callable[[Any], bool]:
    """Whether an object has no attribute of its own of that name."""
    return lambda thing: name not in changes.fields_of(thing)


@functools.lru_cache(maxsize=4096)
def lacks(name: str) -> Callable[[Any], bool]:
    """Whether an object has no attribute of that name."""
    return lambda thing: not hasattr(thing, name)


@functools.lru_cache(maxsize=4096)
def is_one_of(check: Callable[[Any, Any], bool], kinds: Any) -> Callable[[Any], bool]:
    """What `isinstance` or `issubclass` says of a thing: classes can be registered with others, and get other bases."""
    return lambda thing: check(thing, kinds)


class LacksItem:
    """Whether a container has no such key. Two that ask for the same key are equal."""

    def __init__(self, key: Any) -> None:
        self.key = key

    def __call__(self, thing: Any) -> bool:
        """The answer for a container."""
        return self.key not in thing

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: Any) -> bool:
        if not isinstance(other, LacksItem) or type(self.key) is not type(other.key):
            return False
        return self.key is other.key or (not isinstance(self.key, TensorCell) and bool(self.key == other.key))


@functools.lru_cache(maxsize=64)
def of_array(name: str) -> Callable[[Any], Any]:
    """A NumPy array's shape, type, size, ..."""
    return operator.attrgetter(name)


def of_contents(thing: Any) -> Callable[[Any], Any] | None:
    """What says all that is in a container or an array; None for what says itself when it changes."""
    if isinstance(thing, WatchedDict | WatchedList):
        return None
    if isinstance(thing, dict):
        return _pairs
    if isinstance(thing, list | tuple | deque):
        return tuple
    if isinstance(thing, set | frozenset):
        return frozenset
    if isinstance(thing, VIEWS):
        return of_view
    if isinstance(thing, ROWS_OF_BYTES):
        return _bytes
    return _bits if isinstance(thing, np.ndarray) else None


def _pairs(thing: Any) -> tuple[Any, ...]:
    return *thing, *thing.values()  # not in pairs, which would be other tuples each time


def of_registry(function: Any) -> tuple[Any, ...]:
    """What a function that chooses by its argument's class (`functools.singledispatch`) chooses from."""
    return tuple(function.registry.items())


def of_view(view: Any) -> tuple[Any, ...]:
    """What a view of a dictionary shows."""
    return tuple(view.items() if isinstance(view, types.MappingProxyType) else view)


def after_class(kind: type, name: str) -> Callable[[Any], Any]:
    """What the classes behind one in the order of inheritance have under a name: what `super()` finds."""
    return functools.partial(_behind, kind, name)


def _behind(kind: type, name: str, of: type) -> Any:
    order = of.__mro__[of.__mro__.index(kind) + 1 :] if kind in of.__mro__ else ()
    return next((base.__dict__[name] for base in order if name in base.__dict__), MISSING)


@functools.lru_cache(maxsize=4096)
def is_zero(name: str) -> Callable[[Any], bool]:
    """Whether a setting is 0, with which rules leave something out."""
    return lambda group: not group[name]


def _bits(array: Any) -> tuple[Any, ...]:
    return array.shape, array.dtype.str, array.tobytes()


def _bytes(thing: Any) -> tuple[Any, ...]:
    return memoryview(thing).format, bytes(thing)


def form_of(tensor: Any) -> tuple[Any, ...]:
    """What a trace knows of a tensor without its numbers."""
    return tuple(tensor.shape), tensor.dtype, tensor.requires_grad


def slots_of(thing: Any) -> list[str]:
    """The names of an object's attributes that lie in no dictionary."""
    kind = type(thing)
    known = _slots.get(kind)
    if known is None:
        names: list[Any] = []
        for base in kind.__mro__:
            slots = vars(base).get("__slots__", ())
            names += [slots] if isinstance(slots, str) else list(slots)
        known = _slots[kind] = [name for name in names if name not in ("__dict__", "__weakref__")]
    return known


_slots: weakref.WeakKeyDictionary[type, list[str]] = weakref.WeakKeyDictionary()


def attributes_of(thing: Any) -> list[str]:
    """The names of an object's own attributes."""
    fields = fields_of(thing)
    own = [name for name in fields if isinstance(name, str)] if isinstance(fields, dict) else []
    return [*own, *slots_of(thing)]


def how_many_attributes(thing: Any) -> int:
    """How many attributes of its own an object has: with those that were read still there, whether there are more."""
    return len(fields_of(thing) or ()) + sum(hasattr(thing, name) for name in slots_of(thing))


def how_many_fields(thing: Any) -> int:
    """The same of an object without slots, where very many are asked."""
    try:
        return len(object.__getattribute__(thing, "__dict__"))
    except AttributeError:
        return 0


def fields_of(thing: Any) -> Any:
    """An object's own dictionary, without asking the object (which may have a `__getattribute__`); None without one."""
    if issubclass(type(thing), changes.Tells):
        return changes.fields_of(thing)
    try:
        fields = object.__getattribute__(thing, "__dict__")
    except AttributeError:
        return None
    return fields if type(fields) is dict else None


def attributes_of_class(kind: type) -> list[str]:
    """The names that a class gives a value, which is no method and nothing of Python's own."""
    return [
        name for name, value in vars(kind).items()
        if not hasattr(type(value), "__get__") and not (name.startswith("__") and name.endswith("__"))
    ]  # fmt: skip


def title_of(thing: Any) -> str:
    """How to call something that has no place."""
    return getattr(thing, "__name__", None) or f"a {type(thing).__name__}"
