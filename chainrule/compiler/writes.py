"""What a step writes in Python, to things that were there before: the program puts it there again in every call."""

from __future__ import annotations

import types
from collections import deque
from typing import Any

import numpy as np

from chainrule.cell import TensorCell
from chainrule.changes import fields_of
from chainrule.compiler import questions
from chainrule.compiler.befores import Before, SlotsBefore, VariableBefore, Write
from chainrule.compiler.facts import MISSING, Fact, alike
from chainrule.compiler.numbers import is_a
from chainrule.compiler.places import GONE, Place
from chainrule.compiler.sight import Sight
from chainrule.errors import TraceError


class Writes(Sight):
    """The part of an observer that knows what things were before the step wrote to them.

    Attributes:
        reads: what was read, by the place's identity.
        deciding: places of numbers that were found to shape the program, by identity.
        crowded: there are many programs already: a number that decides and that the step itself changes is refused.
        written: what the step is about to write to.
    """

    def __init__(self, deciding: set[Any], crowded: bool) -> None:
        super().__init__()
        self.deciding, self.crowded = deciding, crowded
        self.reads: dict[Any, Fact] = {}
        self.written: Any = None
        self._befores: dict[Any, Before] = {}
        self._insured: dict[int, Before] = {}

    def writing(self, thing: Any) -> None:
        """The step is about to change something: remember what it was."""
        from chainrule.nn.module import Module

        if id(thing) in self._befores or is_a(thing, TensorCell):
            return
        if is_a(thing, Module):
            self.see(thing)
            if self.is_made_by_the_step(thing):
                return
            for part in thing.modules() if self.blind else (thing,):
                title = type(part).__name__
                self._remember(fields_of(part), None, title, part)
                self._remember(part._buffers, None, title)
                self._remember(part._parameters, None, title)
                if (slots := questions.slots_of(part)) and id(part) not in self._befores:
                    self._befores[id(part)] = SlotsBefore(part, None, title, slots)
            return
        if id(thing) not in self.outside and not is_a(thing, type | types.ModuleType):
            return
        self.use(thing)
        place = self.place_of(thing)
        title = str(place) if place is not None else questions.title_of(thing)
        if is_a(thing, list | dict | set | deque | np.ndarray):
            self._remember(thing, place, title)
            return
        fields = questions.fields_of(thing)
        if is_a(fields, dict):
            self._remember(fields, place, title, thing)
        names = questions.attributes_of_class(thing) if is_a(thing, type) else questions.slots_of(thing)
        self._befores[id(thing)] = SlotsBefore(thing, place, title, names)

    def insure(self, holder: Any, owner: Any = None) -> None:
        """If the step fails, this is made again what it is now; if not, what has been put there stays, in Python.

        For what code of ours writes, which is not followed: an optimiser's memory when it begins, a new buffer.
        """
        if id(holder) not in self._insured:
            self._insured[id(holder)] = Before(holder, None, questions.title_of(holder), owner)

    def _remember(self, holder: Any, place: Place | None, title: str, owner: Any = None) -> None:
        if id(holder) not in self._befores:
            self._befores[id(holder)] = Before(holder, place, title, owner)

    def has_written(self, holder: Any, key: Any) -> bool:
        """Whether the step has put something else into a dictionary."""
        before = self._befores.get(id(holder))
        return before is not None and before.wrote(key)

    def refuse_grown(self, thing: Any) -> None:
        """What the step itself has put into a list would be another in every call."""
        before = self._befores.get(id(thing))
        if before is not None and is_a(thing, list | set | deque) and before.has_grown():
            raise TraceError(
                f"{before.title}: the step puts something into a {type(thing).__name__} and reads it again, which "
                "would hold more in every call; a compiled step does the first in Python, once. Make the list in the "
                "step, keep a number or a tensor, or do it outside of the compiled function."
            )

    def assigned(self, thing: Any, key: Any, *, is_attribute: bool = False) -> None:
        """The step puts something there, be it what is there already."""
        if is_attribute and is_a(thing, TensorCell):
            self._attach(thing, key)
            return
        if is_a(key, slice):
            self.rearranges(thing)
        holders = [questions.fields_of(thing), thing] if is_attribute else [thing]
        for before in [self._befores[id(holder)] for holder in holders if id(holder) in self._befores]:
            if type(key) is int and is_a(before.holder, list):
                key %= max(len(before.holder), 1)
            if not is_a(key, TensorCell | slice | list):
                before.assigned.add(key)

    def _attach(self, tensor: Any, name: str) -> None:
        """The user's own attribute of a tensor from outside, such as `weight.seen = 3`: each run leaves it there."""
        if hasattr(type(tensor), name) or self.which(tensor)[1] is not tensor:
            return
        if id(tensor) not in self._befores:
            place = self.place_of(tensor)
            self._befores[id(tensor)] = SlotsBefore(tensor, place, str(place or questions.title_of(tensor)), [])
        before = self._befores[id(tensor)]
        before.copy.setdefault(name, fields_of(tensor).get(name, MISSING))
        before.assigned.add(name)

    def rearranges(self, thing: Any) -> None:
        """The step moves what is in a list, or takes it out: what is where then follows from all that was there."""
        before = self._befores.get(id(thing))
        if before is not None and is_a(thing, list | deque) and not before.is_read:
            before.is_read = True
            self.contents(thing)

    def has_written_to(self, thing: Any) -> bool:
        """Whether the step has changed what is in a container."""
        before = self._befores.get(id(thing))
        return before is not None and before.changed()

    def assigns(self, place: Place) -> None:
        """The step may assign a global variable or one of an enclosing function."""
        self._befores.setdefault((id(place.holder), place.key), VariableBefore(place))

    def is_written(self, place: Place) -> bool:
        """Whether the step has put something else at a place."""
        if not self._befores:
            return False
        holder = fields_of(place.holder) if place.how == "field" else place.holder
        before = self._befores.get(id(holder)) or self._befores.get((id(holder), place.key))
        return before is not None and place.how != "answer" and before.wrote(place.key)

    def is_unchanged(self, place: Place) -> bool:
        """Whether the step has put something where it was already."""
        holder = fields_of(place.holder) if place.how == "field" else place.holder
        before = self._befores.get(id(holder))
        return before is not None and not before.differs(place.key)

    def writes(self) -> list[Write]:
        """What lies elsewhere than before: places and what the step has left there."""
        from chainrule.tensor import Parameter

        left = [write for before in self._befores.values() for write in before.writes()]
        for before in self._befores.values():
            if isinstance(before, VariableBefore) and not is_a(before.copy, TensorCell) and before.copy is not MISSING:
                self.note(before.variable, before.copy)  # perhaps it was assigned what it was
        if self.blind:
            self._refuse_unseen_writes({place.identity for place, _ in left})
        for place, value in left:
            if is_a(value, Parameter) and self.which(value)[1] is None:
                raise TraceError(
                    f"{place} becomes a Parameter that the step itself makes; each call would leave another, which no "
                    "optimiser knows. Make it once, outside of the compiled function, and write into it (copy_)."
                )
            known = self.reads.get(place.identity)
            decides = self.crowded and place.identity in self.deciding
            if decides and known is not None and not alike(value, known.value):
                raise TraceError(
                    f"{place} is changed by the step itself in Python, and decides what it computes, so every call "
                    "would be another program. Count outside of the compiled function, or in a tensor."
                )
        return left

    def _refuse_unseen_writes(self, seen: set[Any]) -> None:
        """A function without source took part. If it has changed something, nobody knows what it would change next."""
        for identity, (place, value, _) in self.reads.items():
            if identity in seen or is_a(value, TensorCell) or place.how == "argument":
                continue
            if place.key == "__code__" and place.how in ("attribute", "field"):
                continue  # the trace itself runs a rewritten copy in its place
            get, key = place.getter()
            try:
                now = get(key)
            except GONE:
                now = MISSING
            if not alike(now, value):
                raise TraceError(
                    f"{place} is changed by a function without source, which cannot be followed: a compiled step would "
                    "change it once. Write the function in a file or a notebook cell, or make the change outside."
                )

    def rewind(self) -> None:
        """Put back what the program will put there again, as it was for the trace. What has grown stays so."""
        for before in self._befores.values():
            if not before.has_grown():
                before.restore()

    def roll_back(self) -> None:
        """Put back what was there before the step."""
        self.restore_tables()
        for before in [*self._befores.values(), *self._insured.values()]:
            before.restore()
