"""Who wants to know that something of ours has changed: modules, optimisers and tensors say so themselves.

A compiled step depends on much that is no tensor: modes, hooks, layers, settings of optimisers. Looking at all of it
before every call would cost more than a small step does. So what can change says that it did, and is remembered by
those who watch it; a call sees whether there is anything, and looks only at that (`chainrule/compiler/facts.py`). What
nobody watches, another model for instance, costs nobody anything.

>>> table, other = WatchedDict(a=1), WatchedDict(a=1)
>>> watch = Watch([table])
>>> other["a"] = 2
>>> watch.moved
set()
>>> table["a"] = 2
>>> watch.moved == {(id(table), None)}
True

Where an object says which of its attributes has changed, only that one has to be looked at: a network that has been in
evaluation and is back has told as many changes as it has layers.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Self

from chainrule.state import current_state

#: Settings of the whole process that compiled steps depend on, by name, where they are not what they are at first.
SETTINGS: dict[str, Any] = {}


class Watch:
    """Some things, and which of them have changed since somebody looked.

    Attributes:
        moved: pairs of an identity and the attribute that has changed, None if it may be any. Who has looked at one
            takes it out.
    """

    def __init__(self, things: Iterable[Any]) -> None:
        self._things = {id(thing): thing for thing in things}  # kept, so that an identity stays its thing's
        self.moved: set[tuple[int, str | None]] = set()
        _register(self, self._things)


#: Who watches a thing, by its identity. The tuples are replaced as a whole: another thread may be walking through one.
_watches: dict[int, tuple[weakref.ref[Watch], ...]] = {}
_registering = threading.Lock()
#: From so many entries on those that nobody watches any more are taken out.
_full = [1024]


def _register(watch: Watch, keys: Iterable[int]) -> None:
    reference = weakref.ref(watch)
    with _registering:
        for key in keys:
            _watches[key] = (*(other for other in _watches.get(key, ()) if other() is not None), reference)
        if len(_watches) > _full[0]:
            for key in [key for key, watches in _watches.items() if all(other() is None for other in watches)]:
                del _watches[key]
            _full[0] = max(1024, 2 * len(_watches))


def note_change(thing: Any, name: str | None = None) -> None:
    """Something that a compiled step may depend on is no longer what it was; with a name, this attribute alone."""
    for reference in _watches.get(id(thing), ()):
        watch = reference()
        if watch is not None:
            watch.moved.add((id(thing), name))


class _WithFields:
    """Has attributes, as objects do: Python's own way to their dictionary is taken from here."""


class Tells(_WithFields):
    """A base of what says itself when its attributes change.

    Who asks for the dictionary of these (`x.__dict__`, `vars(x)`) may write to it past `__setattr__`, so that counts as
    a change: the next call of a compiled step looks closer. Code of ours that only reads it asks `fields_of`.

    >>> class Layer(Tells):
    ...     pass
    >>> layer = Layer()
    >>> watch = Watch([layer])
    >>> fields_of(layer), watch.moved
    ({}, set())
    >>> vars(layer)["rate"] = 0.5
    >>> layer.rate, watch.moved == {(id(layer), None)}
    (0.5, True)
    """

    if not TYPE_CHECKING:

        @property
        def __dict__(self) -> dict[str, Any]:
            note_change(self)
            return _own_fields.__get__(self)

        @__dict__.setter
        def __dict__(self, fields: dict[str, Any]) -> None:
            note_change(self)
            _own_fields.__set__(self, fields)


_own_fields: Any = vars(_WithFields)["__dict__"]


def fields_of(thing: Any) -> dict[str, Any]:
    """The dictionary of an object's own attributes, to read: taking it counts as no change."""
    return _own_fields.__get__(thing) if issubclass(type(thing), Tells) else vars(thing)


def _watched(method: Callable[..., Any]) -> Any:
    def change(self: Any, *args: Any, **kwargs: Any) -> Any:
        note_change(self)
        recording = current_state().recording
        if recording is not None:
            recording.note_table(self)
        return method(self, *args, **kwargs)

    change.__name__, change.__doc__ = method.__name__, method.__doc__
    return change


class WatchedDict(dict[Any, Any]):
    """A dictionary whose changes are noted."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Tell a recording that it need not take back what is put into this one: copies and pickles come here too."""
        table = super().__new__(cls)
        recording = current_state().recording
        if recording is not None:
            recording.note_new_table(table)
        return table

    __setitem__ = _watched(dict.__setitem__)
    __delitem__ = _watched(dict.__delitem__)
    __ior__ = _watched(dict.__ior__)
    clear = _watched(dict.clear)
    pop = _watched(dict.pop)
    popitem = _watched(dict.popitem)
    setdefault = _watched(dict.setdefault)
    update = _watched(dict.update)


def put_back(table: dict[Any, Any], entries: dict[Any, Any]) -> None:
    """Let a table hold these entries and no others."""
    table.clear()
    table.update(entries)


class State(WatchedDict):
    """What an optimiser remembers of each parameter: a dictionary for each, which is there when it is asked for."""

    def __missing__(self, parameter: Any) -> WatchedDict:
        entries = self[parameter] = WatchedDict()
        return entries


class WatchedList(list[Any]):
    """A list whose changes are noted."""

    __setitem__ = _watched(list.__setitem__)
    __delitem__ = _watched(list.__delitem__)
    __iadd__ = _watched(list.__iadd__)
    __imul__ = _watched(list.__imul__)
    append = _watched(list.append)
    clear = _watched(list.clear)
    extend = _watched(list.extend)
    insert = _watched(list.insert)
    pop = _watched(list.pop)
    remove = _watched(list.remove)
    reverse = _watched(list.reverse)
    sort = _watched(list.sort)


class Group(WatchedDict):
    """A parameter group of an optimiser. A new learning rate is no change: compiled steps read it in every call.

    >>> group = Group(lr=0.1, momentum=0.9)
    >>> watch = Watch([group])
    >>> group["lr"] = 0.01
    >>> watch.moved
    set()
    """

    def __setitem__(self, name: Any, value: Any) -> None:
        if name != "lr" or type(value) is not type(self.get("lr")) or type(value) not in (int, float):
            note_change(self)
        dict.__setitem__(self, name, value)
