"""What a step reads of objects by name: attributes of the object itself, of its class, and what computes them."""

from __future__ import annotations

import functools
import types
from typing import Any

import numpy as np

from chainrule.cell import TensorCell
from chainrule.changes import WatchedDict, WatchedList, fields_of
from chainrule.compiler import questions
from chainrule.compiler.facts import MISSING
from chainrule.compiler.numbers import is_a
from chainrule.compiler.places import Place
from chainrule.compiler.sight import ATOMS, Sight, is_followed, is_followed_class


class AttributeReads(Sight):
    """The part of an observer that is told of attributes."""

    def attribute(self, thing: Any, name: str, value: Any) -> Any:
        """The step reads an attribute."""
        from chainrule.nn.module import Module
        from chainrule.optim.optimizer import Optimizer

        if is_a(thing, TensorCell) and is_followed_class(type(thing)):  # a kind of parameter of the user's
            self._note_class_attribute(thing, name, value)
            if name not in vars(thing) and not self.is_made_by_the_step(thing):
                self.note(Place(thing, "answer", questions.lacks_field(name), f"a tensor's {name}"), True)
        if is_a(thing, (TensorCell, *ATOMS)):
            own = is_a(thing, TensorCell) and name in vars(thing) and not self.is_made_by_the_step(thing)
            return self.read(Place(thing, "field", name, f"a tensor's {name}"), value) if own else value
        self.use(thing)
        if is_a(thing, np.ndarray):
            self._note_of_array(thing, name, value)
            return value
        if is_a(thing, types.ModuleType):
            return self._attribute_of_file(thing, name, value)
        if is_a(thing, super):
            kind, of = thing.__thisclass__, thing.__self_class__
            self.note(
                Place(of, "answer", questions.after_class(kind, name), f"super().{name}"),
                questions.after_class(kind, name)(of),
            )
            self.see(value)
            return value
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
            return self._attribute_of_optimiser(thing, name, value)
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
        if name in vars(thing):  # others are computed, or come in when they are asked for
            self.note(Place(thing, "field", name, f"{thing.__name__}.{name}"), value)
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

    def _attribute_of_layer(self, module: Any, name: str, value: Any) -> Any:
        """Modules say when they change, so what their tables hold counts only if the step writes there too.

        An attribute counts by itself: it can be written past the module (`object.__setattr__`).
        """
        self.see(module)
        if self.is_made_by_the_step(module):
            return value
        fields = fields_of(module)
        title = f"{type(module).__name__}.{name}"
        for table in ("_parameters", "_buffers", "_modules"):
            if name in fields.get(table, ()):
                return self.read(Place(fields[table], "entry", name, title), value, counts=False)
        if name in fields:
            return self.read(Place(module, "field", name, title), value)
        if name in questions.slots_of(module):
            return self.read(Place(module, "attribute", name, title), value)
        if not is_a(value, types.MethodType):
            self.mark(value, None)
            self.see(value)
        return value

    def _attribute_of_optimiser(self, thing: Any, name: str, value: Any) -> Any:
        """Optimisers say when they change, as modules do: what the step itself counts there counts all the same."""
        self.see(thing)
        if name not in fields_of(thing) or is_a(value, (WatchedDict, WatchedList)):
            self.mark(value, None)
            return value
        place = self.place_of(thing)
        return self.read(Place(thing, "field", name, f"{type(thing).__name__}.{name}", place), value, counts=False)

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
        if is_a(fields, dict):  # which may be replaced as a whole
            whole = Place(thing, "attribute", "__dict__", f"{title.removesuffix(name)}__dict__", place)
            self.mark(fields, whole)
            self.note(whole, fields)
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

    def asked(self, thing: Any, name: str) -> None:
        """The step is about to read an attribute: a descriptor may read, a `cached_property` keep what it computes."""
        kind = thing if is_a(thing, type) else type(thing)
        if is_a(thing, ATOMS) or not is_followed_class(kind):
            return
        found = questions.of_class(name)(kind)
        if is_followed_class(type(found)) and hasattr(type(found), "__get__"):
            self.mark(found, Place(kind, "answer", questions.of_class(name), f"{kind.__name__}.{name}"))
            self.see(found)
        if id(thing) in self.outside and is_a(found, functools.cached_property):
            fields = questions.fields_of(thing)
            if fields is not None and name not in fields:
                self.ask(questions.lacks_field(name), thing, f".{name}", True)
                self.writing(thing)

    def absent(self, thing: Any, name: str) -> None:
        """The step asked for an attribute that is not there."""
        if id(thing) in self.outside or (is_a(thing, TensorCell) and self.which(thing)[1] is thing):
            self.ask(questions.lacks(name), thing, f".{name}", True)


def runs_its_own(thing: Any, name: str) -> bool:
    """Whether Python finds a followed function under this special name, which reads itself what it needs."""
    return _is_followed_function(getattr(type(thing), name, None))


def _is_followed_function(function: Any) -> bool:
    return is_a(function, types.FunctionType) and is_followed(function.__globals__, function.__code__.co_filename)
