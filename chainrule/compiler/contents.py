"""What a step reads of things as wholes: entries, contents, all that can be reached from something."""

from __future__ import annotations

import functools
import types
from collections import deque
from typing import Any

import numpy as np

from chainrule.cell import TensorCell
from chainrule.changes import WatchedDict, WatchedList
from chainrule.compiler import partials, questions
from chainrule.compiler.attributes import runs_its_own
from chainrule.compiler.facts import MISSING
from chainrule.compiler.numbers import NumberDecidesError, is_a
from chainrule.compiler.places import Place
from chainrule.compiler.sight import ATOMS, Sight, is_followed_class, is_machinery, is_of_a_library, is_of_the_user
from chainrule.compiler.unfollowed import ITERATOR
from chainrule.errors import TraceError

CONTAINERS = (list, tuple, dict, set, frozenset, deque)
#: Containers of at most so many entries are read entry by entry, so that numbers among them can become inputs.
FEW = 64


class ContentReads(Sight):
    """The part of an observer that is told of entries and contents."""

    def item(self, thing: Any, key: Any, value: Any) -> Any:
        """The step reads an item."""
        if id(thing) not in self.outside or is_a(thing, TensorCell):
            return value
        self.use(thing)
        if type(thing) in (list, tuple) and is_a(key, slice) and len(value) <= FEW:
            self.ask(len, thing, ": its length", len(thing))
            return type(thing)([self.item(thing, i, thing[i]) for i in range(*key.indices(len(thing)))])
        if is_a(thing, np.ndarray) or (is_a(thing, list | tuple) and is_a(key, slice)):
            self.contents(thing)
            return value
        if is_followed_class(type(thing)) and runs_its_own(thing, "__getitem__"):
            return value  # its own method has read
        try:
            hash(key)
        except TypeError:
            self.contents(thing)
            return value
        if is_a(thing, dict) and not dict.__contains__(thing, key):  # as a Counter gives 0
            self.missing(thing, key)
            return value
        return self.read(self._entry(thing, key), value)

    def _entry(self, thing: Any, key: Any) -> Place:
        place = self.place_of(thing)
        how = "entry" if is_a(thing, dict) else "item"
        shown = f"a {type(key).__name__} of shape {tuple(key.shape)}" if is_a(key, TensorCell) else repr(key)
        return Place(thing, how, key, f"{place or questions.title_of(thing)}[{shown}]", place)

    def missing(self, thing: Any, key: Any) -> None:
        """The step asked for an item that is not there."""
        if id(thing) not in self.outside:
            return
        if is_a(thing, dict):
            self.ask(questions.LacksItem(key), thing, f"[{key!r}]", True)
        elif is_a(thing, list | tuple | deque):
            self.ask(len, thing, ": its length", len(thing))

    def sought(self, thing: Any, key: Any) -> None:
        """The step asks whether a key is there: an entry that it may write to, so of any dictionary that is a fact."""
        if is_a(thing, WatchedDict) and id(thing) in self.outside:
            self.ask(questions.LacksItem(key), thing, f"[{key!r}]", key not in thing)

    def looked_up(self, thing: Any, key: Any) -> None:
        """The step is about to look a key up: a `defaultdict` makes an entry where none is."""
        if is_a(thing, dict) and not is_a(thing, WatchedDict) and not dict.__contains__(thing, key):
            self.missing(thing, key)
            if id(thing) in self.outside and hasattr(type(thing), "__missing__"):
                self.insure(thing)

    def contents(self, thing: Any) -> list[Any]:
        """Everything in a container or an array counts, however deep. The answer is all that was found inside."""
        waiting, known, found = [thing], set(), []
        while waiting:
            thing = waiting.pop()
            if id(thing) in known or id(thing) not in self.outside:
                continue
            known.add(id(thing))
            for key, value in self._entries(thing):
                if not is_a(value, ATOMS):
                    self.mark(value, self._entry(thing, key) if is_a(thing, list | tuple | dict | deque) else None)
                    self.see(value)
                    waiting.append(value)
                    found.append(value)
        return found

    def compare(self, thing: Any) -> None:
        """Something is compared or shown: of a container all that is in it, of an object what Python compares."""
        by_others = []
        for part in [thing, *self._inside(thing)]:
            self.use(part)
            if id(part) in self.outside and not is_a(part, (*CONTAINERS, np.ndarray)):
                if _is_compared_by_identity(type(part)):
                    self.pin(part)
                if _is_compared_by_others(type(part)):
                    by_others.append(part)
        self.everything(*by_others)

    def _inside(self, thing: Any) -> list[Any]:
        """What is in a container, however deep; it counts if it was there before."""
        if not is_a(thing, (*CONTAINERS, np.ndarray)):
            return []
        if id(thing) in self.outside or is_a(thing, np.ndarray):
            return self.contents(thing)
        parts = [part for part in (thing.values() if is_a(thing, dict) else thing) if not is_a(part, ATOMS)]
        return [inner for part in parts for inner in (part, *self._inside(part))]

    def _entries(self, thing: Any) -> list[tuple[Any, Any]]:
        """The entries of a container, which count now; none of what says itself when it changes or is written to."""
        if is_a(thing, WatchedDict):
            self._note_numbers(thing)
        question = questions.of_contents(thing)
        self.refuse_grown(thing)
        if question is None or self.has_written_to(thing):
            return []
        if not is_a(thing, frozenset):
            self.ask(question, thing, "", question(thing))
        if is_a(thing, (*questions.ROWS_OF_BYTES, np.ndarray)):
            return []
        return list(thing.items() if is_a(thing, dict) else enumerate(question(thing)))

    def _note_numbers(self, thing: WatchedDict) -> None:
        """Plain data in a dictionary of ours, which says when it changes, but not when the step itself changes it."""
        for key, value in list(thing.items()):
            if is_a(value, ATOMS):
                place = self._entry(thing, key)
                if self.is_input(place):
                    raise NumberDecidesError([place])
                self.read(place, value, fixed=True)

    def everything(self, *things: Any) -> None:
        """Code that is not followed gets these: all that it can reach through the user's things from them counts.

        An object of a library counts with its own attributes, and not with what these hold (a logger has them all).
        """
        waiting, known = list(things), set()
        while waiting:
            thing = waiting.pop()
            self.use(thing)
            self.see(thing)
            if id(thing) not in known and not is_a(thing, ATOMS):
                known.add(id(thing))
                waiting += reversed(self._parts(thing))

    def _parts(self, thing: Any) -> list[Any]:
        """What can be reached in one step from something that counts."""
        from chainrule.compiler.function import CompiledFunction
        from chainrule.nn.module import Module
        from chainrule.optim.optimizer import Optimizer

        if is_a(thing, CompiledFunction):
            return [thing.function]
        if is_a(thing, (TensorCell, Module, Optimizer)):  # which say themselves when they change; not so their classes
            return list(dict.fromkeys(map(type, thing.modules()))) if self.blind and is_a(thing, Module) else []
        if is_a(thing, (*questions.ROWS_OF_BYTES, np.ndarray)):
            self.contents(thing)
            return []
        if is_a(thing, (*CONTAINERS, *questions.VIEWS)):
            self.contents(thing)
            return list(thing.values() if is_a(thing, (dict, types.MappingProxyType)) else thing)
        if is_a(thing, type):
            return self._parts_of_class(thing)
        if is_a(thing, functools.partial) and id(thing) in self.outside:
            self.ask(partials.content_of, thing, "", partials.content_of(thing))
            return [*thing.args, *thing.keywords.values()]
        if id(thing) not in self.outside or is_a(thing, types.BuiltinFunctionType):
            return []
        if is_a(thing, types.ModuleType) and not is_of_the_user(thing):
            return []
        return self._parts_of_object(thing)

    def _parts_of_class(self, kind: type) -> list[Any]:
        parts = []
        for base in kind.__mro__ if is_followed_class(kind) else ():
            if is_followed_class(base):
                for name, value in list(vars(base).items()):
                    self._note_in_class(base, name, value)
                    parts.append(value)
        return parts

    def _parts_of_object(self, thing: Any) -> list[Any]:
        if is_machinery(type(thing)):
            return []
        parts, fields = [], questions.fields_of(thing) or {}
        if not is_a(thing, types.ModuleType | types.FunctionType):
            count = questions.how_many_attributes if questions.slots_of(thing) else questions.how_many_fields
            self.ask(count, thing, ": how many attributes it has", count(thing))
        for name in questions.attributes_of(thing):
            value = fields[name] if name in fields else getattr(thing, name, MISSING)
            if value is not MISSING:
                how = "field" if name in fields else "attribute"
                title = f"{self.place_of(thing) or questions.title_of(thing)}.{name}"
                self.read(Place(thing, how, name, title, self.place_of(thing)), value, fixed=True)
                parts.append(value)
        if is_of_a_library(type(thing)):
            return [part for part in parts if is_a(part, np.ndarray)]
        return parts if is_a(thing, types.ModuleType | types.FunctionType) else [*parts, type(thing)]

    def each(self, thing: Any) -> Any:
        """The step walks through something."""
        if id(thing) not in self.outside or is_a(thing, TensorCell):
            return thing
        self.use(thing)
        if is_a(thing, WatchedList | WatchedDict):
            for part in list(thing):
                self.mark(part, None)
                self.see(part)
            return thing
        if type(thing) in (list, tuple) and len(thing) <= FEW:
            self.ask(len, thing, ": its length", len(thing))
            return [self.item(thing, i, value) for i, value in enumerate(thing)]
        if is_a(thing, dict):
            self.ask(tuple, thing, ": its keys", tuple(thing))
        elif is_a(thing, (*CONTAINERS, *questions.VIEWS, *questions.ROWS_OF_BYTES, np.ndarray)):
            self.contents(thing)
        elif hasattr(type(thing), "__next__"):
            raise TraceError(ITERATOR.format(type(thing).__name__))
        elif not (runs_its_own(thing, "__iter__") or runs_its_own(thing, "__getitem__")):
            self.everything(thing)
        return thing

    def spread(self, thing: dict[Any, Any]) -> dict[Any, Any]:
        """The step takes a dictionary apart."""
        if id(thing) not in self.outside or len(thing) > FEW:
            return thing if id(thing) not in self.outside else self._all_of(thing)
        self.ask(tuple, thing, ": its keys", tuple(thing))
        return {key: self.item(thing, key, value) for key, value in thing.items()}

    def _all_of(self, thing: dict[Any, Any]) -> dict[Any, Any]:
        self.contents(thing)
        return thing

    def _note_in_class(self, kind: type, name: str, value: Any) -> None:
        if not (name.startswith("__") and name.endswith("__")) or is_a(value, types.FunctionType):
            place = Place(kind, "answer", questions.of_class(name), f"{kind.__name__}.{name}")
            self.note(place, value)
            self.mark(value, place)


def _is_compared_by_identity(kind: type) -> bool:
    return not any("__eq__" in vars(base) for base in kind.__mro__[:-1])


def _is_compared_by_others(kind: type) -> bool:
    """Whether what compares and shows such objects is no code that is followed."""
    return hasattr(kind, "__dataclass_fields__") or not is_followed_class(kind)
