"""What a traced step depended on without its being a tensor: what its code read, and what it read that from.

Every fact is a place and what lay there (`places.py`); before a call all are looked at again. Modules, optimisers and
settings of ours say themselves when they change (`chainrule/changes.py`), so of them a call looks only at what has.
"""

from __future__ import annotations

import argparse
import enum
import functools
import itertools
import operator
import types
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from chainrule.cell import TensorCell
from chainrule.changes import Watch, fields_of
from chainrule.compiler import partials
from chainrule.compiler.places import GONE, Place

#: Containers of which only what was read counts, as of objects of the user's.
_LOOKED_INTO = frozenset(
    {list, tuple, dict, set, OrderedDict, defaultdict, types.SimpleNamespace, argparse.Namespace, np.ndarray}
)
_PLAIN = (bool, int, float, complex, str, bytes, type(None))
#: What is missing where a place was read.
MISSING = object()


def alike(now: Any, value: Any) -> bool:
    """Whether a step would go the same way with both: the same object, or plain data of one type and the same bits.

    >>> alike(1, 1.0), alike(0.0, -0.0), alike((1, "a"), (1, "a")), alike([1], [1])
    (False, False, True, False)
    """
    if now is value:
        return True
    kind = type(value)
    if type(now) is not kind:
        return False
    if kind in (float, complex):
        return repr(now) == repr(value)
    if kind in _PLAIN:
        return bool(now == value)
    if isinstance(value, tuple):
        if len(now) != len(value):
            return False
        return all(map(operator.is_, now, value)) or all(map(alike, now, value))  # quick, and almost always so
    if kind is frozenset:
        return bool(now == value) and {(type(x), repr(x)) for x in now} == {(type(x), repr(x)) for x in value}
    if isinstance(value, np.generic):
        return bool(now.dtype == value.dtype and now.tobytes() == value.tobytes())
    if kind is slice:
        return alike((now.start, now.stop, now.step), (value.start, value.stop, value.step))
    if kind in (range, np.dtype, types.GenericAlias):
        return bool(now == value)
    if kind in (types.MethodType, types.BuiltinMethodType, types.MethodWrapperType):
        return now.__self__ is value.__self__ and now.__name__ == value.__name__ and bool(now == value)
    if kind is functools.partial:
        return alike(partials.content_of(now), partials.content_of(value))
    return False


class Fact(NamedTuple):
    """What lay at a place.

    Attributes:
        looked_into: another thing of its type may lie there too: what was read of it has facts of its own.
    """

    place: Place
    value: Any
    looked_into: bool = False


class Table:
    """A dictionary or list of ours, or the class of a module, as it was.

    `title` says in words what an entry is, with {} for its key; `owner` says when it changes, if not the holder does.
    """

    def __init__(self, holder: Any, title: str, skip: frozenset[Any] = frozenset(), owner: Any = None) -> None:
        self.holder, self.title, self.skip = holder, title, skip
        self.owner = holder if owner is None else owner
        self._set(self._now(), len(holder) if isinstance(holder, dict | list) else 0)

    def take(self, entries: dict[Any, Any]) -> None:
        """It held these."""
        self._set([pair for pair in entries.items() if pair[0] not in self.skip], len(entries))

    def _set(self, entries: list[tuple[Any, Any]], size: int) -> None:
        self.entries, self._size = entries, size
        self._keys = [key for key, _ in self.entries]
        self._values = [value for _, value in self.entries]
        self._attributes = dict(self.entries) if self.holds_attributes else {}

    @property
    def holds_attributes(self) -> bool:
        """Whether it is the dictionary of an object's attributes, which says itself which of them has changed."""
        return self.owner is not self.holder

    def _now(self) -> list[tuple[Any, Any]]:
        if isinstance(self.holder, dict):
            return [pair for pair in self.holder.items() if pair[0] not in self.skip]
        if isinstance(self.holder, list):
            return list(enumerate(self.holder))
        return [("class", type(self.holder))]

    def unchanged(self) -> bool:
        """Whether all is as it was."""
        if self.holds_attributes and fields_of(self.owner) is not self.holder:
            return False
        return self._is_untouched() or self._is_alike()

    def is_unchanged_at(self, name: str) -> bool:
        """Whether an attribute is as it was."""
        now, before = self.holder.get(name, MISSING), self._attributes.get(name, MISSING)
        return now is before or name in self.skip or alike(now, before)

    def _is_untouched(self) -> bool:
        """Whether the very same things lie there: quick, and almost always so."""
        holder = self.holder
        if isinstance(holder, dict) and not self.skip:  # with their order, in which layers run
            return (
                len(holder) == self._size
                and all(map(operator.is_, holder.values(), self._values))
                and all(map(operator.is_, holder, self._keys))
            )
        if isinstance(holder, dict):
            now = map(holder.get, self._keys, itertools.repeat(MISSING))
            return len(holder) == self._size and all(map(operator.is_, now, self._values))
        if isinstance(holder, list):
            return len(holder) == self._size and all(map(operator.is_, holder, self._values))
        return type(holder) is self._values[0]

    def _is_alike(self) -> bool:
        # Keys are names, numbers or, in an optimiser's state, tensors, which are told apart by identity.
        now = self._now()
        return len(now) == len(self.entries) and all(
            (a[0] is b[0] or alike(a[0], b[0])) and (a[1] is b[1] or alike(a[1], b[1]))
            for a, b in zip(now, self.entries, strict=True)
        )

    def changes(self) -> list[tuple[str, Any, Any, Any]]:
        """What is not as it was: where in words, the key, what it was and what it is."""
        before, now = dict(self.entries), dict(self._now())
        return [
            (
                self.title.format(key if isinstance(key, str) else repr(key)),
                key,
                before.get(key, MISSING),
                now.get(key, MISSING),
            )
            for key in dict.fromkeys(itertools.chain(before, now))
            if not alike(now.get(key, MISSING), before.get(key, MISSING))
        ]


class Change(NamedTuple):
    """A fact that holds no longer."""

    title: str
    place: Place | None
    before: Any
    now: Any

    def __str__(self) -> str:
        before, now = (_described(x) for x in (self.before, self.now))
        return f"{self.title} was {before} and is {now}" if before != now else f"{self.title} is another {before}"


def _described(x: Any) -> str:
    if x is MISSING:
        return "missing"
    return f"{x!r:.60}" if isinstance(x, (*_PLAIN, tuple, np.generic)) else f"a {type(x).__name__}"


class Facts:
    """All facts of a program.

    Args:
        facts: what was read.
        tables: what our own objects hold, looked at when one of them says that it has changed.
        plain: tables that cannot say so, looked at in every call.
        wanted: tensors, of which it counts whether they want a gradient and who is told of it.
        changed: tables that the step itself has changed: they are to be looked at in the next call.
    """

    def __init__(
        self,
        facts: Iterable[Fact],
        tables: Iterable[Table],
        plain: Iterable[Table],
        wanted: Iterable[Any],
        changed: Iterable[Table] = (),
    ) -> None:
        self.facts = list(facts)
        self._look_here()
        self.tables, self.plain = list(tables), list(plain)
        self.wanted = [(tensor, tensor.requires_grad, hooks_of(tensor)) for tensor in wanted]
        self._by_owner: dict[int, list[Callable[[], bool]]] = defaultdict(list)
        for table in self.tables:
            self._by_owner[id(table.owner)].append(table.unchanged)
        told = [(thing, entry) for entry in self.wanted for thing in _who_tells(entry[0])]
        for thing, entry in told:
            self._by_owner[id(thing)].append(functools.partial(_is_wanted_as_before, *entry))
        self._attributes = {id(table.owner): table for table in self.tables if table.holds_attributes}
        self.watch = Watch([*(table.owner for table in self.tables), *(thing for thing, _ in told)])
        self.watch.moved.update((id(table.owner), None) for table in changed)

    def _look_here(self) -> None:
        """From now on look into the holders that the places have."""
        self.of_arguments = [fact for fact in self.facts if fact.place.is_of_an_argument]
        outside = [fact for fact in self.facts if not fact.place.is_of_an_argument]
        self.getters = [(*fact.place.getter(), fact.value) for fact in outside]

    def hold(self, call: Any) -> bool:
        """Whether all is as it was, for a call with these arguments."""
        if not self._hold_here() and not self._hold_all_the_way(call):
            return False
        if self.of_arguments and not all(self._holds(fact, call) for fact in self.of_arguments):
            return False
        if self.plain and not all(table.unchanged() for table in self.plain):
            return False
        return not self.watch.moved or self._hold_closely()

    def _hold_here(self) -> bool:
        try:
            for get, key, value in self.getters:
                now = get(key)
                if now is not value and not alike(now, value):
                    return False
        except GONE:
            return False
        return True

    def _hold_all_the_way(self, call: Any) -> bool:
        """Whether all is as it was although containers or objects have been replaced by others.

        Of these only what was read counts, and that has facts of its own; the new ones are looked into from now on.
        """
        if not all(self._holds(fact, call) for fact in self.facts if not fact.place.is_of_an_argument):
            return False
        self.facts = [Fact(place.moved(call), place.now(call), looked_into) for place, _, looked_into in self.facts]
        self._look_here()
        return True

    @staticmethod
    def _holds(fact: Fact, call: Any) -> bool:
        now = read(fact.place, call)
        return alike(now, fact.value) or (fact.looked_into and type(now) is type(fact.value))

    def _hold_closely(self) -> bool:
        """Look at what has said that it changed; what is as it was all the same need not be looked at again."""
        moved = self.watch.moved
        while moved:
            thing, name = change = moved.pop()  # before looking: it may say so again meanwhile
            table = self._attributes.get(thing)
            if name is not None and table is not None:
                unchanged = table.is_unchanged_at(name)
            else:
                unchanged = all(unchanged() for unchanged in self._by_owner[thing])
            if not unchanged:
                moved.add(change)
                return False
        return True

    def changes(self, call: Any) -> list[Change]:
        """What is no longer as it was."""
        found = []
        for fact in self.facts:
            if not self._holds(fact, call):
                found.append(Change(str(fact.place), fact.place, fact.value, read(fact.place, call)))
        for table in (*self.plain, *self.tables):
            for title, key, before, now in table.changes():
                place = Place(table.holder, "entry", key, title) if isinstance(table.holder, dict) else None
                found.append(Change(title, place, before, now))
        for tensor, wanted, hooks in self.wanted:
            if tensor.requires_grad is not wanted:
                found.append(Change("requires_grad of a tensor", None, wanted, not wanted))
            elif not alike(hooks_of(tensor), hooks):
                found.append(Change("the hooks of a tensor", None, hooks, hooks_of(tensor)))
        return found


def _is_wanted_as_before(tensor: Any, wanted: bool, hooks: Any) -> bool:
    """Whether a tensor wants a gradient, and tells the same hooks of it, as it did."""
    return tensor.requires_grad is wanted and alike(hooks_of(tensor), hooks)


def _who_tells(tensor: Any) -> list[Any]:
    """What says that a tensor wants a gradient now, or that its hooks are others."""
    leaf = tensor._leaf
    if leaf is None:
        return [tensor]
    return [tensor, leaf, *(leaf.hooks or {}).values(), *(() if leaf.after is None else (leaf.after,))]


def hooks_of(tensor: Any) -> tuple[Any, ...]:
    """What is called with a leaf's gradient, and after it has been added to."""
    leaf = tensor._leaf
    if leaf is None:
        return ()
    of_gradient = [hook for hooks in (leaf.hooks or {}).values() for hook in hooks.values()]
    return *of_gradient, None, *(leaf.after or ())


def read(place: Place, call: Any) -> Any:
    """What lies at a place now, all the way from its root; MISSING if nothing does."""
    try:
        return place.now(call)
    except GONE:
        return MISSING


def is_looked_into(thing: Any) -> bool:
    """Whether only what was read of it counts: a container, or an object of the user's that is no function."""
    from chainrule.compiler.sight import is_followed_class
    from chainrule.optim.optimizer import Optimizer

    kind = type(thing)
    if kind in _LOOKED_INTO:
        return True
    if isinstance(thing, types.ModuleType):
        return True
    fixed = (TensorCell, Optimizer, tuple, frozenset, enum.Enum)
    return is_followed_class(kind) and not callable(thing) and not isinstance(thing, fixed)
