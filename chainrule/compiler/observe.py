"""The observer: what the user's code reads and leaves while a step is traced.

The functions that run in the trace are rewritten ones (`sight.py`, `rewrite.py`) and tell the observer of every read
(`readers.py`). What was there before the step, *outside*, is known by the way to it: it was read from a global name, a
variable of an enclosing function, a default, an argument, or from something that was. Reading it makes a fact; locals
and what the step makes itself are nobody's facts.
"""

from __future__ import annotations

import functools
import types
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from chainrule.cell import TensorCell
from chainrule.changes import WatchedDict, WatchedList
from chainrule.compiler import questions
from chainrule.compiler.befores import Before, SlotsBefore, VariableBefore, Write
from chainrule.compiler.facts import MISSING, Fact, Facts, alike, is_looked_into
from chainrule.compiler.guards import Compared
from chainrule.compiler.numbers import Number, NumberDecidesError, is_a
from chainrule.compiler.places import GONE, Place
from chainrule.compiler.sight import (
    ATOMS,
    Sight,
    is_followed,
    is_followed_class,
    is_machinery,
    is_of_a_library,
    is_of_the_user,
)
from chainrule.compiler.tables import plain_tables_of, tables_of
from chainrule.compiler.unfollowed import ITERATOR
from chainrule.errors import TraceError
from chainrule.functions.promotion import cast
from chainrule.primitives.primitive import Primitive
from chainrule.primitives.value import Value
from chainrule.state import current_state

CONTAINERS = (list, tuple, dict, set, frozenset, deque)
#: Containers of at most so many entries are read entry by entry, so that numbers among them can become inputs.
FEW = 64


class Observer(Sight):
    """Notes what a step reads. See the text of this file.

    Args:
        moving: places whose numbers and tensors are inputs.
        deciding: places of numbers that were found to shape the program, by identity.
        crowded: there are many programs already: a number that decides and that the step itself changes is refused.

    Attributes:
        reads: what was read, by the place's identity.
        inputs: what gives the further arguments of the program, each with its stand-in: a Number, an ArrayAt, or the
            place of a tensor within an argument.
        prepared: stand-ins of tensors at moving places, by the place's identity.
        compared: which tensors it compared by `is` (`guards.py`).
        stand_ins: what the step got for numbers and tensors that are inputs, by the place's identity.
    """

    def __init__(self, moving: dict[Any, Place], deciding: set[Any], crowded: bool = False) -> None:
        super().__init__()
        self.moving, self.deciding, self.crowded = moving, deciding, crowded
        self.reads: dict[Any, Fact] = {}
        self.inputs: list[tuple[Any, Any]] = []
        self.prepared: dict[Any, Any] = {}
        self.compared: list[Compared] = []
        self.stand_ins: dict[Any, Any] = {}
        self._facts: set[Any] = set()
        self._befores: dict[Any, Before] = {}
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
        tensors = thing.parameters() if is_a(thing, Module) else [thing] if is_a(thing, TensorCell) else ()
        return any(map(trace.made_here, tensors))

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
        if is_a(value, Number) or self._is_written(place) or self.is_made_by_the_step(value):
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

    def _stand_in(self, identity: Any, place: Place, value: Any) -> Any:
        if type(value) in (int, float) and not self.blind:
            return Number(value, [], place=place)
        if is_a(value, TensorCell):
            return self.prepared.get(identity, value)
        return value

    def attribute(self, thing: Any, name: str, value: Any) -> Any:
        """The step reads an attribute."""
        from chainrule.nn.module import Module
        from chainrule.optim.optimizer import Optimizer

        if is_a(thing, (TensorCell, *ATOMS)):
            own = is_a(thing, TensorCell) and name in vars(thing) and not self.is_made_by_the_step(thing)
            return self.read(Place(thing, "field", name, f"a tensor's {name}"), value) if own else value
        if is_a(thing, np.ndarray):
            self._note_of_array(thing, name, value)
            return value
        if is_a(thing, types.ModuleType):
            return self._attribute_of_file(thing, name, value)
        if is_a(thing, type):
            if is_followed_class(thing):
                title = f"{thing.__name__}.{name}"
                return self.read(Place(thing, "attribute", name, title, self.place_of(thing)), value)
            self.see(value)
            return value
        self._note_class_attribute(thing, name, value)
        if is_a(thing, Module):
            return self._attribute_of_layer(thing, name, value)
        if id(thing) not in self.outside:
            return value
        if is_a(thing, Optimizer):
            self.see(thing)
            self.mark(value, None)
            return value
        return self._attribute_outside(thing, name, value)

    def _note_of_array(self, array: Any, name: str, value: Any) -> None:
        """What is asked of a NumPy array is its form, or the numbers in another one."""
        if id(array) not in self.outside:
            return
        if type(value) in (int, tuple, np.dtype):
            self.ask(questions.of_array(name), array, f".{name}", value)
        elif not callable(value):
            self.contents(array)

    def _attribute_of_file(self, thing: types.ModuleType, name: str, value: Any) -> Any:
        """An attribute of a Python module: the user's is configuration, or has functions to follow."""
        if is_followed(vars(thing), str(getattr(thing, "__file__", ""))):
            title = f"{thing.__name__}.{name}"
            return self.read(Place(thing, "field", name, title, self.place_of(thing)), value)
        if not is_a(value, types.ModuleType):
            self.see(value)
        if thing.__name__ == "os" and name == "environ":
            self.mark(value, None)
        return value

    def _note_class_attribute(self, thing: Any, name: str, value: Any) -> None:
        """What the class gives for a name is a fact too: a method, a property, a value for all."""
        kind = type(thing)
        found = questions.of_class(name)(kind)
        if found is MISSING or is_a(found, types.MemberDescriptorType | types.GetSetDescriptorType):
            return
        if not any(is_followed_class(base) for base in kind.__mro__):
            return
        title = f"{kind.__name__}.{name}"
        if id(thing) in self.outside:
            self.ask(type, thing, ": its class", kind)
        if is_a(found, types.FunctionType) or not hasattr(type(found), "__get__"):
            self.note(Place(kind, "attribute", name, title), found)
            if found is value:
                self.mark(value, Place(kind, "attribute", name, title))
        else:
            self.note(Place(kind, "answer", questions.of_class(name), title), found)

    def _note_in_class(self, kind: type, name: str, value: Any) -> None:
        if not (name.startswith("__") and name.endswith("__")) or is_a(value, types.FunctionType):
            place = Place(kind, "answer", questions.of_class(name), f"{kind.__name__}.{name}")
            self.note(place, value)
            self.mark(value, place)

    def _attribute_of_layer(self, module: Any, name: str, value: Any) -> Any:
        """Modules say when they change, so what is read of one counts only if the step writes there too."""
        self.see(module)
        title = f"{type(module).__name__}.{name}"
        for table in ("_parameters", "_buffers", "_modules"):
            if name in module.__dict__.get(table, ()):
                return self.read(Place(module.__dict__[table], "entry", name, title), value, counts=False)
        if name in module.__dict__:
            return self.read(Place(module, "field", name, title), value, counts=False)
        if not is_a(value, types.MethodType):
            self.mark(value, None)
            self.see(value)
        return value

    def _attribute_outside(self, thing: Any, name: str, value: Any) -> Any:
        place = self.place_of(thing)
        title = f"{place or questions.title_of(thing)}.{name}"
        of_class = questions.of_class(name)(type(thing))
        fields = questions.fields_of(thing)
        if any("__getattribute__" in vars(base) for base in type(thing).__mro__[:-1]) and is_followed_class(
            type(thing)
        ):
            return self.read(Place(thing, "attribute", name, title, place), value)
        if name == "__dict__":
            self.mark(value, Place(thing, "attribute", name, title, place))
            return value
        if is_a(of_class, types.MemberDescriptorType):  # a slot
            return self.read(Place(thing, "attribute", name, title, place), value)
        if hasattr(type(of_class), "__set__"):
            getter = getattr(of_class, "fget", None)
            if is_a(of_class, property) and not _is_followed_function(getter):
                return self.read(Place(thing, "attribute", name, title, place), value)
            self.mark(value, None)  # what the property's function reads are the facts
            self.see(value)
            return value
        if is_a(fields, dict) and name in fields:
            return self.read(Place(thing, "field", name, title, place), value)
        if is_a(fields, dict):
            self.note(Place(thing, "answer", questions.lacks_field(name), title, place), True)
        if of_class is MISSING and type(thing).__module__ != "builtins":  # `__getattr__`
            return self.read(Place(thing, "attribute", name, title, place), value)
        if not is_a(value, types.MethodType | types.BuiltinMethodType):
            self.mark(value, None)
            self.see(value)
        return value

    def absent(self, thing: Any, name: str) -> None:
        """The step asked for an attribute that is not there."""
        if id(thing) in self.outside and questions.fields_of(thing) is not None:
            self.ask(questions.lacks(name), thing, f".{name}", True)

    def item(self, thing: Any, key: Any, value: Any) -> Any:
        """The step reads an item."""
        if id(thing) not in self.outside or is_a(thing, TensorCell):
            return value
        if type(thing) in (list, tuple) and is_a(key, slice) and len(value) <= FEW:
            self.ask(len, thing, ": its length", len(thing))
            return type(thing)([self.item(thing, i, thing[i]) for i in range(*key.indices(len(thing)))])
        if is_a(thing, np.ndarray) or (is_a(thing, list | tuple) and is_a(key, slice)):
            self.contents(thing)
            return value
        if is_followed_class(type(thing)) and is_a(type(thing).__getitem__, types.FunctionType):
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
        return Place(thing, how, key, f"{place or questions.title_of(thing)}[{key!r}]", place)

    def missing(self, thing: Any, key: Any) -> None:
        """The step asked for an item that is not there."""
        if id(thing) in self.outside and is_a(thing, dict):
            self.ask(questions.LacksItem(key), thing, f"[{key!r}]", True)

    def ask(self, question: Callable[[Any], Any], thing: Any, title: str, answer: Any) -> None:
        """What a function says of something outside is a fact."""
        place = self.place_of(thing)
        self.note(Place(thing, "answer", question, f"{place or questions.title_of(thing)}{title}", place), answer)

    def contents(self, thing: Any) -> None:
        """Everything in a container or an array counts, however deep."""
        waiting, known = [thing], set()
        while waiting:
            thing = waiting.pop()
            if id(thing) in known or id(thing) not in self.outside:
                continue
            known.add(id(thing))
            for key, value in self._entries(thing):
                if not is_a(value, ATOMS):
                    self.mark(value, self._entry(thing, key) if hasattr(thing, "__getitem__") else None)
                    self.see(value)
                    waiting.append(value)

    def _entries(self, thing: Any) -> list[tuple[Any, Any]]:
        """The entries of a container, which count now; none of what says itself when it changes or is written to."""
        before = self._befores.get(id(thing))
        question = questions.of_contents(thing)
        if question is None or (before is not None and before.changed()):
            return []
        if not is_a(thing, frozenset):
            self.ask(question, thing, "", question(thing))
        if is_a(thing, np.ndarray):
            return []
        return list(thing.items() if is_a(thing, dict) else enumerate(thing))

    def everything(self, thing: Any) -> None:
        """Code that is not followed gets this: all that it can reach through the user's things from it counts.

        An object of a library counts with its own attributes, and not with what these hold (a logger has them all).
        """
        waiting, known = [thing], set()
        while waiting:
            thing = waiting.pop()
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
        if is_a(thing, (*CONTAINERS, np.ndarray)):
            self.contents(thing)
            return [] if is_a(thing, np.ndarray) else list(thing.values() if is_a(thing, dict) else thing)
        if is_a(thing, type):
            return self._parts_of_class(thing)
        if is_a(thing, functools.partial) and id(thing) in self.outside:
            self.ask(questions.of_partial, thing, "", questions.of_partial(thing))
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
        elif is_a(thing, (*CONTAINERS, np.ndarray)):
            self.contents(thing)
        elif hasattr(type(thing), "__next__"):
            raise TraceError(ITERATOR.format(type(thing).__name__))
        return thing

    def spread(self, thing: dict[Any, Any]) -> dict[Any, Any]:
        """The step takes a dictionary apart."""
        if id(thing) not in self.outside or len(thing) > FEW or is_a(thing, WatchedDict):
            return thing if id(thing) not in self.outside else self._all_of(thing)
        self.ask(tuple, thing, ": its keys", tuple(thing))
        return {key: self.item(thing, key, value) for key, value in thing.items()}

    def _all_of(self, thing: dict[Any, Any]) -> dict[Any, Any]:
        self.contents(thing)
        return thing

    # --------------------------------------------------------------------------------- which is which

    def _which(self, thing: Any) -> tuple[Any, Any]:
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
        real, said = self._which(thing)
        if type(said) is int:
            self.compared.append((said, real, True))
        return real

    def same(self, x: Any, y: Any) -> bool:
        """Whether two things are one."""
        self.pin(x)
        self.pin(y)
        (first, a), (second, b) = self._which(x), self._which(y)
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

    def passed_on(self, array: Any) -> None:
        """A function of ours gets an array: it will ask for it as an input, or else all that is in it counts."""
        self._arrays.setdefault(id(array), array)

    def _new_input(self, source: Any, tensor: Any) -> Any:
        trace = _outermost_trace()
        assert trace is not None
        stand_in = trace.further_argument(tensor)
        self.inputs.append((source, stand_in))
        return stand_in

    # --------------------------------------------------------------------------------- writing

    def writing(self, thing: Any) -> None:
        """The step is about to change something: remember what it was."""
        from chainrule.nn.module import Module

        if id(thing) in self._befores or is_a(thing, TensorCell):
            return
        if is_a(thing, Module):
            self.see(thing)
            for part in thing.modules() if self.blind else (thing,):
                title = type(part).__name__
                self._remember(part.__dict__, None, title, part)
                self._remember(part._buffers, None, title)
                self._remember(part._parameters, None, title)
            return
        if id(thing) not in self.outside and not is_a(thing, type | types.ModuleType):
            return
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

    def _remember(self, holder: Any, place: Place | None, title: str, owner: Any = None) -> None:
        if id(holder) not in self._befores:
            self._befores[id(holder)] = Before(holder, place, title, owner)

    def assigns(self, place: Place) -> None:
        """The step may assign a global variable or one of an enclosing function."""
        self._befores.setdefault((id(place.holder), place.key), VariableBefore(place))

    def _is_written(self, place: Place) -> bool:
        if not self._befores:
            return False
        holder = vars(place.holder) if place.how == "field" else place.holder
        before = self._befores.get(id(holder)) or self._befores.get((id(holder), place.key))
        return before is not None and place.how != "answer" and before.wrote(place.key)

    def writes(self) -> list[Write]:
        """What lies elsewhere than before: places and what the step has left there."""
        left = [write for before in self._befores.values() for write in before.writes()]
        if self.blind:
            self._refuse_unseen_writes({place.identity for place, _ in left})
        for place, value in left:
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
        for before in self._befores.values():
            before.restore()

    # --------------------------------------------------------------------------------- the end

    def found(self, written: list[Write], cells: list[Any], settings: Iterable[tuple[int, str]]) -> Facts:
        """The facts of the program.

        `cells` are the tensors from outside that it uses, `settings` those of optimisers that are inputs.
        """
        for array in self._arrays.values():
            self.contents(array)
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
        skip: dict[int, set[Any]] = {}
        for place in [place for place, _ in written] + [self.reads[i].place for i in given]:
            holder = vars(place.holder) if place.how == "field" else place.holder
            skip.setdefault(id(holder), set()).add(place.key)
        for group, name in settings:
            skip.setdefault(group, set()).add(name)
        tables = [table for thing in self.watched.values() for table in tables_of(thing, skip)]
        plain = [table for thing in self.watched.values() for table in plain_tables_of(thing, skip)]
        return Facts(facts, tables, plain, cells)

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


def _is_followed_function(function: Any) -> bool:
    return is_a(function, types.FunctionType) and is_followed(function.__globals__, function.__code__.co_filename)


class ArrayAt:
    """A NumPy array outside, and where it was found."""

    def __init__(self, array: Any, place: Place | None) -> None:
        self.array, self.place = array, place

    def now(self, call: Any) -> Any:
        """The array in a call with these arguments."""
        return self.array if self.place is None else self.place.now(call)
