"""Places: where something lies that outlives a step, and how to look there again.

A place is a holder and a key: an entry of a dictionary or a list, an attribute, a variable that functions share. Its
holder was found at a place too, and so on up to a root: a global name, a variable of an enclosing function, an
argument.
So a place can be looked at in two ways: in the holder that there was, which is quick, or all the way from the root,
which finds what is there now even if the holder has been replaced.

What a traced step read at a place is a fact about it (`facts.py`); a number or a tensor that is seen to change there
becomes an input, read at the place in every call; what the step left there is put there again.

>>> options = {"scale": 2.0}
>>> settings = {"options": options}
>>> place = Place(options, "entry", "scale", parent=Place(settings, "entry", "options"))
>>> settings["options"] = {"scale": 3.0}
>>> place.getter()[0]("scale"), place.now(())
(2.0, 3.0)
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any

from chainrule.changes import WatchedDict, fields_of

_contents = operator.attrgetter("cell_contents")
#: What one gets who looks where nothing is.
GONE = (LookupError, AttributeError, ValueError, TypeError)


def _getter_of(holder: dict[Any, Any]) -> Callable[[Any], Any]:
    """What looks an entry of a dictionary up, and makes none where none is (as a `defaultdict` does)."""
    kind = type(holder)
    if hasattr(kind, "__missing__"):
        return functools.partial(_present, holder)
    return holder.__getitem__ if kind.__getitem__ is dict.__getitem__ else functools.partial(dict.__getitem__, holder)


def _present(holder: dict[Any, Any], key: Any) -> Any:
    if not dict.__contains__(holder, key):
        raise KeyError(key)
    return dict.__getitem__(holder, key)


def parts_of(thing: functools.partial[Any]) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
    """What a partial is made of: arguments of a step are taken apart so too, and put together (`structure.py`)."""
    return thing.func, thing.args, thing.keywords


class Place:
    """Where something lies.

    Attributes:
        holder: what it lies in; kept, so that its identity stays its own.
        how: "entry" of a dictionary, "item" (square brackets), "attribute", "field" (an attribute in the object's own
            dictionary), "variable" (of an enclosing function; the holder is its cell), "answer" (what the function
            `key` says of the holder), or "argument" (of the step; the key is the way to it, a tuple of keys).
        key: which one.
        title: how the user's code calls it.
        parent: where the holder was found; None if it is a root.
        depth: how long the way from the root is.
    """

    __slots__ = ("depth", "holder", "how", "key", "parent", "title")

    def __init__(self, holder: Any, how: str, key: Any, title: str = "", parent: Place | None = None) -> None:
        self.holder, self.how, self.key, self.parent = holder, how, key, parent
        self.depth: int = 0 if parent is None else parent.depth + 1
        self.title = title or f"[{key!r}]"

    @property
    def identity(self) -> Any:
        """What tells places apart, whatever lies there: the way from the root. Hashable."""
        key = self.key if self.how == "answer" else (type(self.key), self.key)
        how = "item" if self.how == "entry" else self.how  # a dictionary may take a list's place
        if self.parent is not None:
            return self.parent.identity, how, key
        return (how, key) if how == "argument" else (how, id(self.holder), key)

    @property
    def is_of_an_argument(self) -> bool:
        """Whether the way to it begins at an argument of the step: then each call has another holder."""
        return self.how == "argument" if self.parent is None else self.parent.is_of_an_argument

    def getter(self) -> tuple[Callable[[Any], Any], Any]:
        """A function and its argument that look into the holder, with nothing of ours in between."""
        holder, key = self.holder, self.key
        if self.how == "field":
            return fields_of(holder).__getitem__, key
        if self.how == "entry":
            return _getter_of(holder), key
        if self.how == "item":
            return holder.__getitem__, key
        if self.how == "attribute":
            return functools.partial(getattr, holder), key
        if self.how == "variable":
            return _contents, holder
        return key, holder

    def now(self, call: Any) -> Any:
        """What lies there now, in a call with these arguments. Raises one of `GONE` if nothing does."""
        if self.how == "argument":
            for key in self.key:
                call = parts_of(call)[key] if type(call) is functools.partial else call[key]
            return call
        if self.parent is None:
            get, key = self.getter()
            return get(key)
        holder = self.parent.now(call)
        if self.how in ("entry", "item"):
            return _getter_of(holder)(self.key) if isinstance(holder, dict) else holder[self.key]
        if self.how == "answer":
            return self.key(holder)
        return fields_of(holder)[self.key] if self.how == "field" else getattr(holder, self.key)

    def moved(self, call: Any) -> Place:
        """The place in the holder that is there now."""
        if self.parent is None:
            return self
        return Place(self.parent.now(call), self.how, self.key, self.title, self.parent.moved(call))

    def write(self, value: Any, call: Any) -> None:
        """Put something there. Where one of our own dictionaries holds it, no change is noted: the step means it."""
        holder = self.holder if self.parent is None else self.parent.now(call)
        if self.how == "variable":
            holder.cell_contents = value
        elif self.how == "field":
            fields_of(holder)[self.key] = value
        elif self.how == "attribute":
            setattr(holder, self.key, value)
        elif isinstance(holder, WatchedDict):
            dict.__setitem__(holder, self.key, value)
        else:
            holder[self.key] = value

    def __str__(self) -> str:
        return self.title
