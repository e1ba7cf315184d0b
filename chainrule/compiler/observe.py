"""The observer: what the user's code reads and leaves while a step is traced.

The functions that run in the trace are rewritten ones (`sight.py`, `rewrite.py`) and tell the observer of every read
(`readers.py`). What was there before the step, *outside*, is known by the way to it: it was read from a global name, a
variable of an enclosing function, a default, an argument, or from something that was. Reading it makes a fact; locals
and what the step makes itself are nobody's facts.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from chainrule.cell import TensorCell
from chainrule.changes import fields_of
from chainrule.compiler import questions
from chainrule.compiler.attributes import AttributeReads
from chainrule.compiler.befores import Write
from chainrule.compiler.contents import ContentReads
from chainrule.compiler.facts import Fact, Facts, is_looked_into
from chainrule.compiler.guards import Compared
from chainrule.compiler.numbers import Number, NumberDecidesError, is_a
from chainrule.compiler.places import Place
from chainrule.compiler.tables import plain_tables_of, tables_of
from chainrule.compiler.writes import Writes
from chainrule.functions.promotion import cast
from chainrule.primitives.primitive import Primitive
from chainrule.primitives.value import Value
from chainrule.state import current_state


class Observer(AttributeReads, ContentReads, Writes):
    """Notes what a step reads. See the text of this file.

    Args:
        moving: places whose numbers and tensors are inputs.
        deciding: places of numbers that were found to shape the program, by identity.
        crowded: there are many programs already: a number that decides and that the step itself changes is refused.
        full: there are so many that what is asked of numbers makes no more of them.

    Attributes:
        reads: what was read, by the place's identity.
        inputs: what gives the further arguments of the program, each with its stand-in: a Number, an ArrayAt, or the
            place of a tensor within an argument.
        prepared: stand-ins of tensors at moving places, by the place's identity.
        compared: which tensors it compared by `is` (`guards.py`).
        stand_ins: what the step got for numbers and tensors that are inputs, by the place's identity.
        copies: what it got for the lists and dictionaries among its arguments, by identity, with the place of each.
        decisions: what it asked of numbers that are inputs, and each answer: with another it would go another way.
    """

    def __init__(self, moving: dict[Any, Place], deciding: set[Any], crowded: bool = False, full: bool = False) -> None:
        super().__init__(deciding, crowded)
        self.moving, self.full = moving, full
        self.decisions: list[tuple[Number, bool]] = []
        self.inputs: list[tuple[Any, Any]] = []
        self.prepared: dict[Any, Any] = {}
        self.compared: list[Compared] = []
        self.stand_ins: dict[Any, Any] = {}
        self.copies: dict[int, tuple[Any, Place]] = {}
        self._facts: set[Any] = set()
        self._arrays: dict[int, Any] = {}

    @contextmanager
    def watching(self) -> Iterator[None]:
        """The user's functions are rewritten ones within the block, and tell this observer."""
        from chainrule.compiler.readers import observing

        with observing(self):
            try:
                yield
            finally:
                self.close()
                self.written = None  # an object that the step has made, and its tensors, must not outlive it

    def go_blind(self) -> None:
        """Code that is not followed could do anything with a number, so none is an input."""
        super().go_blind()
        if given := self.numbers_given():
            raise NumberDecidesError(given)

    def numbers_given(self) -> list[Place]:
        """The places of numbers for which the step got stand-ins."""
        return [self.reads[i].place for i, thing in self.stand_ins.items() if is_a(thing, Number)]

    def is_made_by_the_step(self, thing: Any) -> bool:
        """Whether the step has made this tensor, or this module."""
        from chainrule.nn.module import Module

        trace = _outermost_trace()
        if trace is None:
            return False
        if not is_a(thing, Module):
            return is_a(thing, TensorCell) and trace.made_here(thing)
        if "_parameters" not in fields_of(thing):  # on its way to super().__init__(): it is being made
            return True
        return trace.has_made(thing) or any(map(trace.made_here, thing.parameters()))

    # --------------------------------------------------------------------------------- reading

    def note(self, place: Place, value: Any) -> None:
        """This lies there: a fact."""
        identity = place.identity
        self.reads.setdefault(identity, Fact(place, value))
        self._facts.add(identity)

    def read(self, place: Place, value: Any, *, fixed: bool = False, counts: bool = True) -> Any:
        """The step reads a place, where this value lies: the answer is what it gets.

        With `fixed` it gets the value itself, whatever else is known of the place. What does not count by itself is
        of an object that says when it changes; it counts if the step writes there too.
        """
        if is_a(value, Number) or self.is_written(place) or self.is_made_by_the_step(value):
            return value
        identity = place.identity
        self.reads.setdefault(identity, Fact(place, value))
        if not fixed and (identity in self.moving or identity in self.stand_ins):
            if identity not in self.stand_ins:
                self.stand_ins[identity] = self._stand_in(identity, place, value)
            if self.stand_ins[identity] is not value:
                return self.stand_ins[identity]
        if is_a(value, TensorCell) and not fixed and place.is_of_an_argument and not value.requires_grad:
            self.stand_ins[identity] = self._new_input(place, value)
            return self.stand_ins[identity]
        if counts:
            self._facts.add(identity)
        self.mark(value, place)
        self.see(value)
        return value

    def is_input(self, place: Place) -> bool:
        """Whether what lies there has been seen to change, and is read anew in every call."""
        return place.identity in self.moving

    def _stand_in(self, identity: Any, place: Place, value: Any) -> Any:
        if type(value) in (int, float) and not self.blind:
            return Number(value, [], place=place)
        if is_a(value, TensorCell):
            return self.prepared.get(identity, value)
        return value

    def ask(self, question: Callable[[Any], Any], thing: Any, title: str, answer: Any) -> None:
        """What a function says of something outside is a fact."""
        self.refuse_grown(thing)
        place = self.place_of(thing)
        self.note(Place(thing, "answer", question, f"{place or questions.title_of(thing)}{title}", place), answer)

    def kept(self, thing: Any) -> Place | None:
        """Where a list, a dictionary, an array or an object lies that was there before; None for all else."""
        known = self.copies.get(id(thing)) or self.outside.get(id(thing))
        if known is None or is_a(thing, (tuple, frozenset, types.ModuleType)) or not is_looked_into(thing):
            return None
        return known[1]

    # --------------------------------------------------------------------------------- which is which

    def which(self, thing: Any) -> tuple[Any, Any]:
        """What a thing of the trace stands for, and what says so: an argument's number, or itself; None of the step."""
        trace = _outermost_trace()
        if trace is None or not is_a(thing, TensorCell):
            return thing, None
        argument = trace.stand_ins.get(id(thing))
        if argument is not None:
            return trace.given[argument.number], argument.number
        return thing, thing if trace.from_outside(thing) else None

    def itself(self, thing: Any) -> Any:
        """Which thing this is counts: the answer is the thing that a stand-in stands for."""
        self.pin(thing)
        real, said = self.which(thing)
        if type(said) is int:
            self.compared.append((said, real, True))
        return real

    def known_as(self, key: Any, keys: Iterable[Any]) -> Any:
        """A tensor as it stands among these: an argument's stand-in is the same thing as the tensor outside."""
        if is_a(key, TensorCell):
            for other in list(keys):
                if is_a(other, TensorCell) and self.same(other, key):
                    return other
        return key

    def same(self, x: Any, y: Any) -> bool:
        """Whether two things are one."""
        self.pin(x)
        self.pin(y)
        (first, a), (second, b) = self.which(x), self.which(y)
        if a is not None and b is not None and (type(a) is int or type(b) is int) and a is not b:
            self.compared.append((a, b, first is second))
        return first is second

    # --------------------------------------------------------------------------------- inputs

    def input_of(self, number: Number, like: Any) -> Any:
        """A number as an input of the program, in the type of the tensor that it meets."""
        dtype = like.value.array.dtype
        if dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
            number.decides()
        known = next((stand_in for source, stand_in in self.inputs if source is number), None)
        if known is None:
            try:
                value = Value(np.array(float(number.value)))
            except OverflowError:
                number.decides()
            known = self._new_input(number, Primitive.make_tensor(value))
        return cast(known, dtype)

    def array_input(self, array: Any) -> Any:
        """A NumPy array from outside as an input of the program; None if it is one that the step has made."""
        if id(array) not in self.outside:
            return None
        self._arrays.pop(id(array), None)
        for source, stand_in in self.inputs:
            if is_a(source, ArrayAt) and source.array is array:
                return stand_in
        source = ArrayAt(array, self.place_of(array))
        return self._new_input(source, Primitive.make_tensor(Value(np.array(array))))

    def decision(self, number: Number) -> bool:
        """Whether a number that changes is true (`if step > 5`): a fact, and the step goes on with the answer."""
        if self.full:
            number.decides()
        answer = bool(number.value)
        self.decisions.append((number, answer))
        return answer

    def passed_on(self, array: Any) -> None:
        """A function of ours gets an array: it will ask for it as an input, or else all that is in it counts."""
        self._arrays.setdefault(id(array), array)

    def _new_input(self, source: Any, tensor: Any) -> Any:
        trace = _outermost_trace()
        assert trace is not None
        stand_in = trace.further_argument(tensor)
        self.inputs.append((source, stand_in))
        return stand_in

    def as_written(self, value: Any) -> Any:
        """A setting that the step itself has written: a number that follows from one that changes is an input."""
        return self.input_of(value, Primitive.make_tensor(Value(np.zeros(())))) if is_a(value, Number) else value

    # --------------------------------------------------------------------------------- the end

    def found(self, written: list[Write], cells: list[Any], settings: Iterable[tuple[int, str]]) -> Facts:
        """The facts of the program.

        `cells` are the tensors from outside that it uses, `settings` those of optimisers that are inputs.
        """
        for array in self._arrays.values():
            self.contents(array)
        skip = self._settings_that_are_inputs(settings)
        places = {place.identity for place, _ in written}
        given = {identity for identity, thing in self.stand_ins.items() if thing is not self.reads[identity].value}
        facts = [
            self._with_way(fact) for identity, fact in self.reads.items()
            if identity not in given and (identity in self._facts or identity in places)
        ]  # fmt: skip
        inputs = set(map(id, cells))
        for place, value, _ in self.reads.values():  # of which perhaps only the shape was looked at
            if is_a(value, TensorCell) and id(value) not in inputs and place.identity not in given:
                form = Place(value, "answer", questions.form_of, f"the form of {place}")
                facts.append(Fact(form, questions.form_of(value)))
        changed_places = [place for place, _ in written if not self.is_unchanged(place)]
        for place in changed_places + [self.reads[i].place for i in given]:
            holder = fields_of(place.holder) if place.how == "field" else place.holder
            skip.setdefault(id(holder), set()).add(place.key)
            while type(place.holder) is tuple and place.parent is not None:  # what is in `group["betas"]` has facts
                place = place.parent
                skip.setdefault(id(place.holder), set()).add(place.key)
        tables = [table for thing in self.watched.values() for table in tables_of(thing, skip)]
        changed = [table for table in tables if self.has_changed(table.holder)]
        for table in changed:  # by a hook that removes itself, say: the next call has another table
            table.take(self.before_the_step(table.holder))
        plain = [table for thing in self.watched.values() for table in plain_tables_of(thing, skip)]
        return Facts(facts, tables, plain, cells, changed)

    def _settings_that_are_inputs(self, settings: Iterable[tuple[int, str]]) -> dict[int, set[Any]]:
        """Their names, by the identity of their group. That one is not 0 counts: with 0 a rule is another one."""
        named: dict[int, set[Any]] = {}
        for thing in self.watched.values():
            for i, group in enumerate(getattr(thing, "param_groups", ())):
                for name in [name for of, name in settings if of == id(group) and group.get(name)]:
                    named.setdefault(id(group), set()).add(name)
                    title = f"{type(thing).__name__}.param_groups[{i}][{name!r}]"
                    self.note(Place(group, "answer", questions.is_zero(name), title), False)
        return named

    def _with_way(self, fact: Fact) -> Fact:
        """A fact, with whether another thing may lie there: if all that was read of it is known by this way to it."""
        place = self.place_of(fact.value)
        only_way = place is not None and place.identity == fact.place.identity and id(fact.value) not in self.pinned
        return fact._replace(looked_into=only_way and is_looked_into(fact.value))


def _outermost_trace() -> Any:
    trace = current_state().trace
    while trace is not None and trace.outer is not None:
        trace = trace.outer
    return trace


class ArrayAt:
    """A NumPy array outside, and where it was found."""

    def __init__(self, array: Any, place: Place | None) -> None:
        self.array, self.place = array, place

    def now(self, call: Any) -> Any:
        """The array in a call with these arguments."""
        return self.array if self.place is None else self.place.now(call)
