"""Places: where something lies that outlives a step, and how to look there again.

A place is a holder and a key: an entry of a dictionary or a list, an attribute, a variable that functions share, a part
of an argument. What a traced step read at a place is a fact about it (`facts.py`); a number or a tensor that is seen to
change there becomes an input, read at the place in every call; what the step left there is put there again.

>>> settings = {"scale": 2.0}
>>> place = Entry(settings, "scale")
>>> place.read(()), str(place)
(2.0, "['scale']")
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from types import CellType
from typing import Any

from chainrule.changes import WatchedDict

_contents = operator.attrgetter("cell_contents")


class Place:
    """Where something lies. Two places are equal if they are the same one.

    Attributes:
        holder: what it lies in; kept, so that its identity stays its own.
        title: how the user's code calls it.
    """

    kind = ""

    def __init__(self, holder: Any, key: Any = None, title: str = "") -> None:
        self.holder, self.key, self.title = holder, key, title

    @property
    def identity(self) -> Any:
        """What tells places apart; hashable."""
        return self.kind, id(self.holder), self.key

    def getter(self) -> tuple[Callable[[Any], Any], Any] | None:
        """A function and its argument that read the place without anything of ours in between, if there are such."""
        return None

    def read(self, arguments: Any) -> Any:
        """What lies there now; LookupError, AttributeError or ValueError if nothing does."""
        getter = self.getter()
        assert getter is not None
        return getter[0](getter[1])

    def write(self, value: Any, arguments: Any) -> None:
        """Put something there."""
        raise NotImplementedError(f"{self} is not written to.")

    def __str__(self) -> str:
        return self.title or f"[{self.key!r}]"


class Entry(Place):
    """An entry of a dictionary: a global variable, an attribute of most objects, an item."""

    kind = "entry"

    def getter(self) -> Any:
        """Look it up."""
        # Not `get`, which would not tell an entry that is missing from one that is None.
        if type(self.holder).__getitem__ is dict.__getitem__:
            return self.holder.__getitem__, self.key
        return functools.partial(dict.__getitem__, self.holder), self.key

    def write(self, value: Any, arguments: Any) -> None:
        """Set it, without noting a change where the dictionary is one of ours: the step is meant to do this."""
        if isinstance(self.holder, WatchedDict) or type(self.holder) is dict:
            dict.__setitem__(self.holder, self.key, value)
        else:
            self.holder[self.key] = value


class Item(Place):
    """An item of a list, or of anything else with square brackets."""

    kind = "item"

    def getter(self) -> Any:
        """Look it up."""
        return self.holder.__getitem__, self.key

    def write(self, value: Any, arguments: Any) -> None:
        """Set it."""
        self.holder[self.key] = value


class Attribute(Place):
    """An attribute that lies in no dictionary: a slot, or one of a class and those it inherits from."""

    kind = "attribute"

    def getter(self) -> Any:
        """Look it up."""
        return functools.partial(getattr, self.holder), self.key

    def write(self, value: Any, arguments: Any) -> None:
        """Set it."""
        setattr(self.holder, self.key, value)


class Variable(Place):
    """A variable of a function around, which lies in a cell that both share."""

    kind = "variable"
    holder: CellType

    def getter(self) -> Any:
        """Look into the cell."""
        return _contents, self.holder

    def write(self, value: Any, arguments: Any) -> None:
        """Set it."""
        self.holder.cell_contents = value


class Answer(Place):
    """What a function says of a thing: its length, whether it holds something, whether it is true."""

    kind = "answer"

    def __init__(self, function: Callable[[Any], Any], argument: Any, title: str = "") -> None:
        super().__init__(function, argument, title)

    @property
    def identity(self) -> Any:
        """The function and what it is asked about."""
        return self.kind, id(self.holder), id(self.key)

    def getter(self) -> Any:
        """Ask again."""
        return self.holder, self.key


class Part(Place):
    """A part of an argument of the step: reached from the arguments of each call by these attributes and items.

    The key is a tuple of pairs ("attribute" or "item", name). Holder is the object it was in when it was found.
    """

    kind = "part"

    @property
    def identity(self) -> Any:
        """The way to it."""
        return self.kind, self.key

    def within(self, how: str, name: Any, holder: Any, title: str) -> Part:
        """A part of this part."""
        return Part(holder, (*self.key, (how, name)), title)

    def read(self, arguments: Any) -> Any:
        """Go the way from the arguments of a call."""
        thing = arguments
        for how, name in self.key:
            if how == "item":
                thing = thing[name]
            elif how == "attribute":
                thing = getattr(thing, name)
            else:  # a question, such as len
                thing = how(thing)
        return thing

    def write(self, value: Any, arguments: Any) -> None:
        """Set it in the arguments of a call."""
        how, name = self.key[-1]
        holder = Part(None, self.key[:-1]).read(arguments)
        if how == "item":
            holder[name] = value
        else:
            setattr(holder, name, value)
