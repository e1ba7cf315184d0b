"""Whether anything of ours has changed: a number that every change of a module, an optimiser or a setting raises.

A compiled step depends on much that is no tensor: modes, hooks, layers, settings of optimisers. Looking at all of it
before every call would cost more than a small step does. So what can change says that it did, and a call compares one
number; only when that has moved is there something to look at (`chainrule/compiler/facts.py`).

>>> before = changes.count
>>> table = WatchedDict(a=1)
>>> changes.count == before
True
>>> table["a"] = 2
>>> changes.count == before
False
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Changes:
    """How many changes there have been, of whatever object. Only whether the number has moved means something."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0


changes = Changes()


def note_change() -> None:
    """Something that a compiled step may depend on is no longer what it was."""
    changes.count += 1


def _watched(method: Callable[..., Any]) -> Any:
    def change(self: Any, *args: Any, **kwargs: Any) -> Any:
        changes.count += 1
        return method(self, *args, **kwargs)

    change.__name__, change.__doc__ = method.__name__, method.__doc__
    return change


class WatchedDict(dict[Any, Any]):
    """A dictionary whose changes are noted."""

    __setitem__ = _watched(dict.__setitem__)
    __delitem__ = _watched(dict.__delitem__)
    __ior__ = _watched(dict.__ior__)
    clear = _watched(dict.clear)
    pop = _watched(dict.pop)
    popitem = _watched(dict.popitem)
    setdefault = _watched(dict.setdefault)
    update = _watched(dict.update)


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

    >>> before = changes.count
    >>> group = Group(lr=0.1, momentum=0.9)
    >>> group["lr"] = 0.01
    >>> changes.count == before
    True
    """

    def __setitem__(self, name: Any, value: Any) -> None:
        if name != "lr" or type(value) is not type(self.get("lr")) or type(value) not in (int, float):
            changes.count += 1
        dict.__setitem__(self, name, value)
