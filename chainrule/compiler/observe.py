"""The observer: what the user's code reads and leaves while a step is traced.

The functions that run in the trace are rewritten (`rewrite.py`) as soon as they come into sight, for as long as the
trace lasts, and call the readers at the end of this file. What was there before the step, *outside*, is known by the
way to it: it was read from a global name, a variable of an enclosing function, a default, an argument, or from
something that was. Reading it makes a fact; locals and what the step makes itself are nobody's facts.
"""

from __future__ import annotations

import functools
import operator
import sys
import threading
import types
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from chainrule.cell import TensorCell
from chainrule.changes import Group, WatchedDict, WatchedList
from chainrule.compiler.facts import MISSING, Fact, Facts, Table, alike
from chainrule.compiler.numbers import PURE, Number, NumberDecidesError, apply, numbers_in
from chainrule.compiler.places import Answer, Attribute, Entry, Item, Part, Place, Variable
from chainrule.compiler.rewrite import rewritten
from chainrule.compiler.unfollowed import refuse_unfollowed
from chainrule.dtypes import DType
from chainrule.errors import TraceError
from chainrule.functions.promotion import cast
from chainrule.primitives.primitive import Primitive
from chainrule.primitives.value import Value
from chainrule.state import current_state

_ATOMS = (bool, int, float, complex, str, bytes, type(None), type(Ellipsis), DType, np.generic, np.dtype, slice, range)
_CONTAINERS = (list, tuple, dict, set, frozenset, deque)
#: Containers of at most so many entries are read entry by entry, so that numbers among them can become inputs.
_FEW = 64
#: Not deeper than this, and not more than so many things, when code that is not followed is given something.
_DEEP, _MANY = 6, 5000
_LIBRARIES = frozenset({"chainrule", "numpy", "scipy", "matplotlib", "pytest", "_pytest", "torch", "jax", "llvmlite"})
_INTERNAL = frozenset({"_paths", "_compiled", "_parameters", "_buffers", "_modules", "_not_saved"})
_TABLES = ("_parameters", "_buffers", "_modules", "_forward_hooks", "_forward_pre_hooks", "_backward_hooks",
           "_backward_pre_hooks")  # fmt: skip
_REDUCERS = frozenset({list, tuple, set, frozenset, sum, min, max, any, all, sorted, enumerate, zip, map, filter, reversed})


class _PerThread(threading.local):
    observer: Observer | None = None


_per_thread = _PerThread()


def is_followed(namespace: dict[str, Any], file: str = "") -> bool:
    """Whether functions of a module with this namespace are followed: the user's, and ours that say so."""
    if "__observed__" in namespace:
        return True
    root = str(namespace.get("__name__", "")).partition(".")[0]
    return root not in _LIBRARIES and root not in sys.stdlib_module_names and "-packages" not in file


def _is_followed_class(kind: type) -> bool:
    module = sys.modules.get(kind.__module__)
    if module is None:
        return kind.__module__ not in sys.stdlib_module_names
    return is_followed(vars(module), str(getattr(module, "__file__", "")))


class Observer:
    """Notes what a step reads. See the text of this file.

    Args:
        moving: places whose numbers and tensors are inputs.
        deciding: places of numbers that were found to shape the program, by identity.

    Attributes:
        reads: what was read, by the place's identity.
        inputs: what gives the further arguments of the program, each with its stand-in: a Number, or the place of a
            tensor or of a NumPy array.
    """

    def __init__(self, moving: dict[Any, Place], deciding: set[Any]) -> None:
        self.moving, self.deciding = moving, deciding
        self.reads: dict[Any, Fact] = {}
        self.facts: set[Any] = set()
        self.inputs: list[tuple[Any, Any]] = []
        self.stand_ins: dict[Any, Any] = {}
        self.prepared: dict[Any, Any] = {}
        self.outside: dict[int, tuple[Any, Place | None]] = {}
        self.cells: dict[int, Any] = {}
        self.seen: dict[int, Any] = {}
        self.watched: dict[int, Any] = {}
        self.befores: dict[int, _Before] = {}
        self.swapped: list[tuple[types.FunctionType, types.CodeType]] = []
        self.arrays: dict[int, Any] = {}

    @contextmanager
    def watching(self) -> Iterator[None]:
        """The user's functions are rewritten ones within the block."""
        before, _per_thread.observer = _per_thread.observer, self
        try:
            yield
        finally:
            _per_thread.observer = before
            for function, code in reversed(self.swapped):
                function.__code__ = code
            self.swapped.clear()

    def enter(self, function: Any) -> None:
        """Begin with the step itself."""
        if isinstance(function, types.MethodType):
            self.mark(function.__self__, None)
        elif isinstance(function, functools.partial):
            for thing in (*function.args, *function.keywords.values()):
                self.mark(thing, None)
        elif not isinstance(function, types.FunctionType):
            self.mark(function, None)
        self.see(function)

    # --------------------------------------------------------------------------------- coming into sight

    def mark(self, thing: Any, place: Place | None) -> None:
        """It was there before the step, at this place."""
        if not isinstance(thing, _ATOMS) and id(thing) not in self.outside:
            self.outside[id(thing)] = thing, place

    def see(self, thing: Any) -> None:
        """Something that the step may call, or call methods of: follow its functions."""
        if isinstance(thing, TensorCell):  # not kept: what the step has made would outlive it
            self._see_hooks(thing)
        elif isinstance(thing, types.MethodType):
            self.see(thing.__func__)
            self.see(thing.__self__)
        if isinstance(thing, (TensorCell, types.MethodType, *_ATOMS, *_CONTAINERS)) or id(thing) in self.seen:
            return
        self.seen[id(thing)] = thing
        if isinstance(thing, types.FunctionType):
            self._see_function(thing)
        elif isinstance(thing, type):
            self._see_class(thing)
        elif isinstance(thing, functools.partial):
            for part in (thing.func, *thing.args, *thing.keywords.values()):
                self.mark(part, None)
                self.see(part)
        elif isinstance(thing, staticmethod | classmethod):
            self.see(thing.__func__)
        elif isinstance(thing, property):
            for part in (thing.fget, thing.fset):
                self.see(part)
        elif isinstance(thing, functools.cached_property):
            self.see(thing.func)
        elif not isinstance(thing, types.ModuleType | types.BuiltinFunctionType | np.ndarray):
            self._see_object(thing)

    def _see_function(self, function: types.FunctionType) -> None:
        if hasattr(function, "__wrapped__"):
            self.see(function.__wrapped__)
        if not is_followed(function.__globals__, function.__code__.co_filename):
            for cell in function.__closure__ or ():
                if isinstance(_content(cell), types.FunctionType | functools.partial | types.MethodType):
                    self.see(cell.cell_contents)
            return
        for cell in function.__closure__ or ():
            self.cells[id(cell)] = cell
        for name, given in (("__defaults__", function.__defaults__), ("__kwdefaults__", function.__kwdefaults__)):
            if given:
                self.note(Attribute(function, name, f"{function.__name__}.{name}"), given)
                for part in given.values() if isinstance(given, dict) else given:
                    self.mark(part, None)
                    self.see(part)
                if isinstance(given, dict):
                    self.contents(given)
        code = rewritten(function, READERS)
        if code is None:
            self._see_unreadable(function)
        else:
            self.swapped.append((function, function.__code__))
            function.__code__ = code

    def _see_unreadable(self, function: types.FunctionType) -> None:
        """A function without source: all that it names counts, with all that is in there."""
        for name in _names_in(function.__code__):
            if name in function.__globals__:
                value = function.__globals__[name]
                self.everything(self.read(Entry(function.__globals__, name, name), value, fixed=True))
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            if (value := _content(cell)) is not MISSING:
                self.everything(self.read(Variable(cell, title=name), value, fixed=True))

    def _see_class(self, kind: type) -> None:
        for base in kind.__mro__:
            if _is_followed_class(base) and (base is kind or id(base) not in self.seen):
                self.seen[id(base)] = base
                for value in list(vars(base).values()):
                    if isinstance(value, types.FunctionType | staticmethod | classmethod | property):
                        self.see(value)
                    elif isinstance(value, functools.cached_property):
                        self.see(value)
                    elif hasattr(type(value), "__get__") and not isinstance(value, type):
                        self.see(type(value))  # a descriptor of the user's

    def _see_object(self, thing: Any) -> None:
        from chainrule.compiler.function import CompiledFunction
        from chainrule.nn.module import Module
        from chainrule.optim.optimizer import Optimizer

        self._see_class(type(thing))
        if isinstance(thing, Module):
            self.watched[id(thing)] = thing
            for part in thing.modules():
                self._see_part(part)
        elif isinstance(thing, Optimizer):
            self.watched[id(thing)] = thing
            for table in thing._hooks.values():
                self._see_hook_table(table)
        elif isinstance(thing, CompiledFunction):
            self.enter(thing.function)
        elif hasattr(thing, "__wrapped__"):
            self.see(thing.__wrapped__)
        elif type(thing).__module__.partition(".")[0] == "chainrule" and not _is_followed_class(type(thing)):
            self.mark(thing, None)
            self.everything(thing)

    def _see_part(self, module: Any) -> None:
        self.seen[id(module)] = module
        self._see_class(type(module))
        self.note(Attribute(type(module), "forward", f"{type(module).__name__}.forward"), type(module).forward)
        for name, value in module.__dict__.items():
            if name not in _INTERNAL and not isinstance(value, (*_ATOMS, WatchedDict)):
                self.mark(value, Entry(module.__dict__, name, name))
                self.see(value)
        for name in _TABLES[3:]:
            self._see_hook_table(module.__dict__.get(name, {}))
        for parameter in module._parameters.values():
            if parameter is not None:
                self._see_hooks(parameter)

    def _see_hook_table(self, table: Any) -> None:
        for hook in table.values():
            self.see(getattr(hook, "function", hook))

    def _see_hooks(self, tensor: Any) -> None:
        leaf = tensor._leaf
        if leaf is not None:
            for table in (leaf.hooks or {}).values():
                self._see_hook_table(table)
            for call in leaf.after or ():
                self.see(call)

    # --------------------------------------------------------------------------------- reading

    def note(self, place: Place, value: Any) -> None:
        """This lies there: a fact."""
        identity = place.identity
        if identity not in self.reads:
            self.reads[identity] = Fact(place, value)
        self.facts.add(identity)

    def read(self, place: Place, value: Any, *, fixed: bool = False, counts: bool = True) -> Any:
        """The step reads a place, where this value lies: the answer is what it gets.

        With `fixed` it gets the value itself, whatever else is known of the place. What does not count by itself is
        of an object that says when it changes; it counts if the step writes there too.
        """
        identity = place.identity
        if isinstance(value, Number) or self._is_written(place):
            return value
        self.reads.setdefault(identity, Fact(place, value))
        if not fixed and identity in self.moving:
            if identity not in self.stand_ins:
                self.stand_ins[identity] = self._stand_in(identity, place, value)
            if self.stand_ins[identity] is not value:
                return self.stand_ins[identity]
        if counts:
            self.facts.add(identity)
        self.mark(value, place)
        self.see(value)
        return value

    def _stand_in(self, identity: Any, place: Place, value: Any) -> Any:
        if type(value) in (int, float):
            return Number(value, [], place=place)
        if identity in self.prepared and isinstance(value, TensorCell):
            return self.prepared[identity]
        return value

    def attribute(self, thing: Any, name: str, value: Any) -> Any:
        """The step reads an attribute."""
        from chainrule.nn.module import Module
        from chainrule.optim.optimizer import Optimizer

        if isinstance(thing, (TensorCell, np.ndarray, *_ATOMS)):
            return value
        if isinstance(thing, types.ModuleType):
            return self._attribute_of_module_file(thing, name, value)
        if isinstance(thing, type):
            if _is_followed_class(thing):
                return self.read(Attribute(thing, name, f"{thing.__name__}.{name}"), value)
            self.see(value)
            return value
        self._note_class_attribute(thing, name)
        if isinstance(thing, Module):
            return self._attribute_of_layer(thing, name, value)
        known = self.outside.get(id(thing))
        if known is None:
            return value
        if isinstance(thing, Optimizer):
            self.see(thing)
            self.mark(value, None)
            return value
        return self._attribute_outside(thing, known[1], name, value)

    def _attribute_of_module_file(self, thing: types.ModuleType, name: str, value: Any) -> Any:
        if is_followed(vars(thing), str(getattr(thing, "__file__", ""))):
            return self.read(Entry(vars(thing), name, f"{thing.__name__}.{name}"), value)
        if not isinstance(value, types.ModuleType):
            self.see(value)
        if thing.__name__ == "os" and name == "environ":
            self.mark(value, None)
        return value

    def _note_class_attribute(self, thing: Any, name: str) -> None:
        """What the class gives for a name is a fact too: a method, a property, a value for all."""
        kind = type(thing)
        if not _is_followed_class(kind) and not any(map(_is_followed_class, kind.__mro__[:-1])):
            return
        found = next((vars(base)[name] for base in kind.__mro__ if name in vars(base)), MISSING)
        if found is MISSING or isinstance(found, types.MemberDescriptorType | types.GetSetDescriptorType):
            return
        if isinstance(found, types.FunctionType) or not hasattr(type(found), "__get__"):
            self.note(Attribute(kind, name, f"{kind.__name__}.{name}"), found)  # the quicker way
        else:
            self.note(Answer(_class_lookup(kind, name), None, f"{kind.__name__}.{name}"), found)

    def _attribute_of_layer(self, module: Any, name: str, value: Any) -> Any:
        """Modules say when they change, so what is read of one counts only if the step writes there too."""
        self.see(module)
        for table in ("_parameters", "_buffers", "_modules"):
            if name in module.__dict__.get(table, ()):
                return self.read(Entry(module.__dict__[table], name, f"{_title(module)}.{name}"), value, counts=False)
        if name in module.__dict__:
            return self.read(Entry(module.__dict__, name, f"{_title(module)}.{name}"), value, counts=False)
        if not isinstance(value, types.MethodType):
            self.mark(value, None)
            self.see(value)
        return value

    def _attribute_outside(self, thing: Any, place: Place | None, name: str, value: Any) -> Any:
        fields = getattr(thing, "__dict__", None)
        title = f"{place or _title(thing)}.{name}"
        from_class = next((vars(base)[name] for base in type(thing).__mro__ if name in vars(base)), MISSING)
        if name == "__dict__":
            self.mark(value, place.within("attribute", "__dict__", thing, title) if isinstance(place, Part) else None)
            return value
        if isinstance(from_class, types.MemberDescriptorType):
            return self.read(self._place(thing, place, "attribute", name, title), value)
        if hasattr(type(from_class), "__set__"):  # a property: what its function reads are the facts
            self.mark(value, None)
            self.see(value)
            return value
        if isinstance(fields, dict) and name in fields:
            return self.read(self._place(thing, place, "attribute", name, title), value)
        if isinstance(fields, dict) and not isinstance(place, Part):
            self.note(Answer(_absence(name), fields, title), True)
        if from_class is MISSING and type(thing).__module__ != "builtins":
            return self.read(self._place(thing, place, "attribute", name, title, dynamic=True), value)
        if not isinstance(value, types.MethodType | types.BuiltinMethodType):
            self.mark(value, None)
            self.see(value)
        return value

    def _place(
        self, thing: Any, place: Place | None, how: str, name: Any, title: str, dynamic: bool = False
    ) -> Place:
        """The place of an attribute or item of something outside."""
        if isinstance(place, Part):
            return place.within(how, name, thing, title)
        if how == "item":
            return Entry(thing, name, title) if isinstance(thing, dict) else Item(thing, name, title)
        fields = getattr(thing, "__dict__", None)
        if isinstance(fields, dict) and name in fields and not dynamic:
            return Entry(fields, name, title)
        return Attribute(thing, name, title)

    def absent(self, thing: Any, name: str) -> None:
        """The step asked for an attribute that is not there."""
        known = self.outside.get(id(thing))
        fields = getattr(thing, "__dict__", None)
        if known is not None and isinstance(fields, dict):
            if isinstance(known[1], Part):
                self.note(known[1].within(_lacks(name), None, thing, f"{known[1]}.{name}"), True)
            else:
                self.note(Answer(_absence(name), fields, f"{_title(thing)}.{name}"), True)

    def item(self, thing: Any, key: Any, value: Any) -> Any:
        """The step reads an item."""
        known = self.outside.get(id(thing))
        if known is None or isinstance(thing, TensorCell):
            return value
        if isinstance(thing, np.ndarray) or (isinstance(thing, list) and isinstance(key, slice)):
            self.contents(thing)
            return value
        title = f"{known[1] or _title(thing)}[{key!r}]"
        if isinstance(thing, tuple):
            self.mark(value, self._place(thing, known[1], "item", key, title) if type(key) is int else None)
            self.see(value)
            return value
        if isinstance(thing, list | dict) or hasattr(type(thing), "__getitem__"):
            if _is_followed_class(type(thing)) and not isinstance(thing, list | dict):
                return value  # its own method has read
            try:
                hash(key)
            except TypeError:
                self.contents(thing)
                return value
            return self.read(self._place(thing, known[1], "item", key, title), value)
        return value

    def missing(self, thing: Any, key: Any) -> None:
        """The step asked for an item that is not there."""
        if id(thing) in self.outside and isinstance(thing, dict):
            self._ask(_lacks_item(key), thing, f"[{key!r}]", True)

    def _ask(self, question: Callable[[Any], Any], thing: Any, title: str, answer: Any) -> None:
        place = self.outside[id(thing)][1]
        name = f"{place or _title(thing)}{title}"
        if isinstance(place, Part):
            self.note(place.within(question, None, thing, name), answer)  # type: ignore[arg-type]
        else:
            self.note(Answer(question, thing, name), answer)

    def contents(self, thing: Any, depth: int = 0) -> None:
        """Everything in a container or an array counts."""
        if id(thing) not in self.outside or depth > _DEEP or len(self.reads) > _MANY:
            return
        before = self.befores.get(id(thing))
        if before is not None and before.changed():
            return
        place = self.outside[id(thing)][1]
        question = _question(thing)
        if question is None:
            return
        if not isinstance(thing, tuple | frozenset):
            self._ask(question, thing, "", question(thing))
        if isinstance(thing, np.ndarray):
            return
        pairs = thing.items() if isinstance(thing, dict) else enumerate(thing)
        for key, value in list(pairs):
            if not isinstance(value, _ATOMS):
                title = f"{place or _title(thing)}[{key!r}]"
                self.mark(value, self._place(thing, place, "item", key, title) if hasattr(thing, "__getitem__") else None)
                self.see(value)
                self.contents(value, depth + 1)

    def everything(self, thing: Any, depth: int = 0) -> None:
        """Code that is not followed gets this: all that can be reached from it counts."""
        from chainrule.nn.module import Module
        from chainrule.optim.optimizer import Optimizer

        self.see(thing)
        if depth > _DEEP or len(self.reads) > _MANY or isinstance(thing, (*_ATOMS, TensorCell, Module, Optimizer, type)):
            return
        if isinstance(thing, (*_CONTAINERS, np.ndarray)):
            self.contents(thing)
            if not isinstance(thing, np.ndarray):
                for part in list(thing.values() if isinstance(thing, dict) else thing):
                    self.everything(part, depth + 1)
        elif id(thing) in self.outside and not isinstance(thing, types.ModuleType | types.FunctionType):
            for name in _attributes_of(thing):
                value = getattr(thing, name, MISSING)
                if value is not MISSING:
                    self.everything(self._attribute_outside(thing, self.outside[id(thing)][1], name, value), depth + 1)

    def each(self, thing: Any) -> Any:
        """The step walks through something."""
        known = self.outside.get(id(thing))
        if known is None or isinstance(thing, TensorCell):
            return thing
        if isinstance(thing, WatchedList | WatchedDict):
            for i, part in enumerate(thing):
                self.mark(part, None)
                self.see(part)
            return thing
        if type(thing) in (list, tuple) and len(thing) <= _FEW:
            if type(thing) is list:
                self._ask(len, thing, ": its length", len(thing))
            return [self.item(thing, i, value) for i, value in enumerate(thing)]
        if isinstance(thing, dict):
            self._ask(tuple, thing, ": its keys", tuple(thing))
        elif isinstance(thing, (*_CONTAINERS, np.ndarray)):
            self.contents(thing)
        elif hasattr(type(thing), "__next__"):
            raise TraceError(_ITERATOR.format(type(thing).__name__))
        return thing

    # --------------------------------------------------------------------------------- calling

    def call(self, function: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """The step calls something."""
        try:
            special = _SPECIAL.get(function)
        except TypeError:
            special = None
        if special is not None:
            return special(self, function, args, kwargs)
        self.see(function)
        if _is_python(function):
            return function(*args, **kwargs)
        if numbers_in([args, kwargs]):
            return self._call_with_numbers(function, args, kwargs)
        refuse_unfollowed(function, lambda thing: id(thing) in self.outside)
        owner = getattr(function, "__self__", None)
        if isinstance(owner, _CONTAINERS) and id(owner) in self.outside:
            return self._call_container(owner, function, args, kwargs)
        ours = _is_ours(function)
        if owner is not None and not isinstance(owner, types.ModuleType) and id(owner) in self.outside:
            self.everything(owner)
        for part in (*args, *kwargs.values()):
            if ours and isinstance(part, np.ndarray):
                self.arrays.setdefault(id(part), part)
            else:
                self.everything(part)
        answer = function(*args, **kwargs)
        if callable(answer):
            self.see(answer)
        return answer

    def _call_container(self, owner: Any, function: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """A method of a list, dictionary or set from outside."""
        name = function.__name__
        if isinstance(owner, dict) and not isinstance(owner, WatchedDict):
            if name == "get" and args:
                found = owner.get(args[0], MISSING)
                if found is MISSING:
                    self.missing(owner, args[0])
                    return function(*args, **kwargs)
                return self.item(owner, args[0], found)
            if name in ("items", "values") and len(owner) <= _FEW:
                self._ask(tuple, owner, ": its keys", tuple(owner))
                values = [(key, self.item(owner, key, value)) for key, value in owner.items()]
                return values if name == "items" else [value for _, value in values]
            if name == "keys":
                self._ask(tuple, owner, ": its keys", tuple(owner))
                return function(*args, **kwargs)
        if name in _MUTATORS:
            self.writing(owner)
        else:
            self.contents(owner)
        return function(*args, **kwargs)

    def _call_with_numbers(self, function: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """A function of numbers, or an operation of a tensor and a number, some of which change."""
        if function in PURE and not kwargs and not any(isinstance(a, (list, tuple, dict)) for a in args):
            return apply(function, *args)
        owner = getattr(function, "__self__", None)
        if isinstance(owner, TensorCell) and function.__name__ in _ARITHMETIC and len(args) == 1 and not kwargs:
            return function(self.input_of(args[0], owner))
        raise NumberDecidesError([p for n in numbers_in([args, kwargs]) for p in n.places])

    def combine(self, function: Any, x: Any, y: Any) -> Any:
        """An operator between two things, one of which is a number that changes."""
        tensor = x if isinstance(x, TensorCell) else y if isinstance(y, TensorCell) else None
        if tensor is None:
            if not all(isinstance(z, (int, float, Number)) for z in (x, y)):
                raise NumberDecidesError([p for n in numbers_in([x, y]) for p in n.places])
            return apply(function, x, y)
        if function not in _WITH_TENSORS:
            raise NumberDecidesError([p for n in numbers_in([x, y]) for p in n.places])
        return function(*[self.input_of(z, tensor) if isinstance(z, Number) else z for z in (x, y)])

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
        known = self.outside.get(id(array))
        if known is None:
            return None
        self.arrays.pop(id(array), None)
        for source, stand_in in self.inputs:
            if isinstance(source, ArrayAt) and source.array is array:
                return stand_in
        return self._new_input(ArrayAt(array, known[1]), Primitive.make_tensor(Value(np.array(array))))

    def _new_input(self, source: Any, tensor: Any) -> Any:
        trace = current_state().trace
        while trace is not None and trace.outer is not None:
            trace = trace.outer
        assert trace is not None
        stand_in = trace.further_argument(tensor)
        self.inputs.append((source, stand_in))
        return stand_in

    # --------------------------------------------------------------------------------- writing

    def writing(self, thing: Any) -> None:
        """The step is about to change something: remember what it was."""
        from chainrule.nn.module import Module

        if id(thing) in self.befores or isinstance(thing, TensorCell):
            return
        known = self.outside.get(id(thing))
        if isinstance(thing, Module):
            self.see(thing)
            for table in (thing.__dict__, thing._buffers, thing._parameters):
                self._remember(table, None, f"{_title(thing)}")
            self.befores[id(thing)] = _Before([], None, "")
        elif isinstance(thing, type | types.ModuleType) or known is not None:
            place = None if known is None else known[1]
            title = str(place) if place is not None else _title(thing)
            if isinstance(thing, list | dict | set | deque | np.ndarray):
                self._remember(thing, place, title)
                return
            fields = getattr(thing, "__dict__", None)
            if isinstance(fields, dict):
                inner = place.within("attribute", "__dict__", thing, title) if isinstance(place, Part) else None
                self._remember(fields, inner, title)
            slots = [n for n in _attributes_of(thing) if not (isinstance(fields, dict) and n in fields)]
            self.befores[id(thing)] = _Slots(thing, place, title, slots)

    def _remember(self, holder: Any, place: Place | None, title: str) -> None:
        self.befores.setdefault(id(holder), _Before(holder, place, title))

    def assigns(self, place: Place) -> None:
        """The step may assign a global variable or one of an enclosing function."""
        if isinstance(place, Variable) and id(place.holder) not in self.cells:
            return
        self.befores.setdefault((id(place.holder), place.key), _OneBefore(place))  # type: ignore[arg-type]

    def _is_written(self, place: Place) -> bool:
        if not self.befores:
            return False
        before = self.befores.get(id(place.holder)) or self.befores.get((id(place.holder), place.key))  # type: ignore[call-overload]
        if before is None and isinstance(place, Part) and place.key[-1][0] == "attribute":
            fields = getattr(place.holder, "__dict__", None)
            before = self.befores.get(id(fields)) if fields is not None else None
        return before is not None and before.wrote(place.key if not isinstance(place, Part) else place.key[-1][1])

    def writes(self) -> list[tuple[Place, Any]]:
        """What lies elsewhere than before: places and what the step has left there."""
        left = [write for before in self.befores.values() for write in before.writes()]
        for place, value in left:
            known = self.reads.get(place.identity)
            if place.identity in self.deciding and known is not None and not alike(value, known.value):
                raise TraceError(
                    f"{place} is changed by the step itself in Python, and decides what it computes, so every call would "
                    "be another program. Count outside of the compiled function, or in a tensor."
                )
        return left

    def rewind(self) -> None:
        """Put back what the program will put there again, as it was for the trace. What has grown stays so."""
        for before in self.befores.values():
            if not before.has_grown():
                before.restore()

    def roll_back(self) -> None:
        """Put back what was there before the step."""
        for before in self.befores.values():
            before.restore()

    # --------------------------------------------------------------------------------- the end

    def found(self, written: list[tuple[Place, Any]], cells: list[Any], settings: Iterable[tuple[int, str]]) -> Facts:
        """The facts of the program.

        `cells` are the tensors from outside that it uses, `settings` those of optimisers that are inputs.
        """
        for array in self.arrays.values():
            self.contents(array)
        places = {place.identity for place, _ in written}
        given = {identity for identity, thing in self.stand_ins.items() if thing is not self.reads[identity].value}
        facts = [
            fact for identity, fact in self.reads.items()
            if identity not in given and (identity in self.facts or identity in places)
        ]  # fmt: skip
        skip: dict[int, set[Any]] = {}
        for place in [place for place, _ in written] + [self.reads[i].place for i in given]:
            skip.setdefault(id(place.holder), set()).add(place.key)
        for group, name in settings:
            skip.setdefault(group, set()).add(name)
        tables = [table for thing in self.watched.values() for table in _tables_of(thing, skip)]
        plain = [table for thing in self.watched.values() for table in _plain_tables_of(thing, skip)]
        return Facts(facts, tables, plain, cells)


class ArrayAt:
    """A NumPy array outside: the one object, or what an argument has at a place."""

    def __init__(self, array: Any, place: Place | None) -> None:
        self.array, self.place = array, place if isinstance(place, Part) else None

    def read(self, call: Any) -> Any:
        """The array in a call with these arguments."""
        return self.array if self.place is None else self.place.read(call)


class _Before:
    """What a list, dictionary, set or array was before the step wrote to it."""

    def __init__(self, holder: Any, place: Place | None, title: str) -> None:
        self.holder, self.place, self.title = holder, place, title
        self.copy = holder.copy()

    def _get(self, key: Any) -> tuple[Any, Any]:
        if isinstance(self.holder, dict):
            return self.copy.get(key, MISSING), self.holder.get(key, MISSING)
        if isinstance(self.holder, list) and type(key) is int:
            return tuple(x[key] if -len(x) <= key < len(x) else MISSING for x in (self.copy, self.holder))  # type: ignore[return-value]
        return None, None if not self.changed() else MISSING

    def wrote(self, key: Any) -> bool:
        """Whether the step has put something else there."""
        before, now = self._get(key)
        return before is not now

    def changed(self) -> bool:
        """Whether anything is not as it was."""
        if isinstance(self.holder, np.ndarray):
            return not np.array_equal(self.holder, self.copy, equal_nan=self.holder.dtype.kind == "f")
        if len(self.holder) != len(self.copy):
            return True
        if isinstance(self.holder, dict):
            return any(self.copy.get(k, MISSING) is not v for k, v in self.holder.items())
        if isinstance(self.holder, set):
            return bool(self.holder != self.copy)
        return any(a is not b for a, b in zip(self.holder, self.copy, strict=True))

    def has_grown(self) -> bool:
        """Whether it is a list or a set with more or fewer entries than before."""
        return not isinstance(self.holder, dict) and len(self.holder) != len(self.copy)

    def writes(self) -> list[tuple[Place, Any]]:
        """The places that hold something else. A list that has grown is left as it is."""
        if isinstance(self.holder, np.ndarray) and self.changed():
            raise TraceError(
                "a compiled step writes to a NumPy array, which would happen in its first call only. Write to a tensor "
                "(`chainrule.from_numpy`), or do it outside of the compiled function."
            )
        if isinstance(self.holder, dict):
            keys: Any = list(self.holder)
        elif isinstance(self.holder, list) and len(self.holder) == len(self.copy):
            keys = range(len(self.holder))
        else:
            return []
        return [(self._at(key), self.holder[key]) for key in keys if self.wrote(key)]

    def _at(self, key: Any) -> Place:
        title = f"{self.title}[{key!r}]"
        if isinstance(self.place, Part):
            if self.place.key[-1] == ("attribute", "__dict__"):  # of an argument: by its name
                outer = Part(self.place.holder, self.place.key[:-1])
                return outer.within("attribute", key, self.place.holder, f"{self.title}.{key}")
            return self.place.within("item", key, self.holder, title)
        return Entry(self.holder, key, title) if isinstance(self.holder, dict) else Item(self.holder, key, title)

    def restore(self) -> None:
        """Make it what it was."""
        if not self.changed():
            return
        if isinstance(self.holder, np.ndarray):
            self.holder[...] = self.copy
        elif isinstance(self.holder, dict):
            for key in [k for k in self.holder if k not in self.copy]:
                del self.holder[key]
            for key, value in self.copy.items():
                if self.holder.get(key, MISSING) is not value:
                    self.holder[key] = value
        elif isinstance(self.holder, set):
            self.holder.clear()
            self.holder.update(self.copy)
        else:
            self.holder.clear()
            self.holder.extend(self.copy)


class _Slots(_Before):
    """What the slots of an object held."""

    def __init__(self, thing: Any, place: Place | None, title: str, names: list[str]) -> None:
        self.holder, self.place, self.title = thing, place, title
        self.copy = {name: getattr(thing, name, MISSING) for name in names}

    def _get(self, key: Any) -> tuple[Any, Any]:
        if key not in self.copy:
            return None, None
        return self.copy[key], getattr(self.holder, key, MISSING)

    def has_grown(self) -> bool:
        """Slots are always the same."""
        return False

    def changed(self) -> bool:
        """Whether any slot holds something else."""
        return any(map(self.wrote, self.copy))

    def writes(self) -> list[tuple[Place, Any]]:
        """The slots that hold something else."""
        names = [name for name in self.copy if self.wrote(name)]
        return [(self._at(name), getattr(self.holder, name)) for name in names if hasattr(self.holder, name)]

    def _at(self, key: Any) -> Place:
        title = f"{self.title}.{key}"
        if isinstance(self.place, Part):
            return self.place.within("attribute", key, self.holder, title)
        return Attribute(self.holder, key, title)

    def restore(self) -> None:
        """Put back what they held."""
        for name, value in self.copy.items():
            if self.wrote(name):
                delattr(self.holder, name) if value is MISSING else setattr(self.holder, name, value)


class _OneBefore(_Before):
    """What a global variable, or one of an enclosing function, held."""

    def __init__(self, place: Place) -> None:
        self.place: Place = place
        self.holder, self.title = place.holder, place.title
        self.copy = self._now()

    def _now(self) -> Any:
        try:
            return self.place.read(())
        except (LookupError, ValueError):
            return MISSING

    def _get(self, key: Any) -> tuple[Any, Any]:
        return (self.copy, self._now()) if key == self.place.key else (None, None)

    def has_grown(self) -> bool:
        """It is one thing."""
        return False

    def changed(self) -> bool:
        """Whether it holds something else."""
        return self._now() is not self.copy

    def writes(self) -> list[tuple[Place, Any]]:
        """The variable, if it holds something else."""
        return [(self.place, self._now())] if self.changed() and self._now() is not MISSING else []

    def restore(self) -> None:
        """Put back what it held."""
        if self.changed() and self.copy is not MISSING:
            self.place.write(self.copy, ())


# ------------------------------------------------------------------------------------------- small questions


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return MISSING


def _names_in(code: types.CodeType) -> set[str]:
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= _names_in(constant)
    return names


def _title(thing: Any) -> str:
    return getattr(thing, "__name__", None) or f"a {type(thing).__name__}"


def _attributes_of(thing: Any) -> list[str]:
    names = list(getattr(thing, "__dict__", {}))
    for base in type(thing).__mro__:
        slots = vars(base).get("__slots__", ())
        names += [slots] if isinstance(slots, str) else list(slots)
    return [name for name in names if isinstance(name, str) and name not in ("__dict__", "__weakref__")]


@functools.lru_cache(maxsize=4096)
def _class_lookup(kind: type, name: str) -> Callable[[Any], Any]:
    def look_up(_: Any) -> Any:
        for base in kind.__mro__:
            if name in base.__dict__:
                return base.__dict__[name]
        return MISSING

    return look_up


@functools.lru_cache(maxsize=4096)
def _absence(name: str) -> Callable[[Any], bool]:
    return lambda fields: name not in fields


@functools.lru_cache(maxsize=4096)
def _lacks(name: str) -> Callable[[Any], bool]:
    return lambda thing: not hasattr(thing, name)


@functools.lru_cache(maxsize=4096)
def _lacks_item(key: Any) -> Callable[[Any], bool]:
    return lambda thing: key not in thing


def _pairs(thing: Any) -> tuple[Any, ...]:
    return tuple(thing.items())


def _bits(array: Any) -> Any:
    return array.shape, array.dtype.str, array.tobytes()


def _question(thing: Any) -> Callable[[Any], Any] | None:
    if isinstance(thing, WatchedDict | WatchedList):
        return None
    if isinstance(thing, dict):
        return _pairs
    if isinstance(thing, list | tuple | deque):
        return tuple
    if isinstance(thing, set | frozenset):
        return frozenset
    return _bits if isinstance(thing, np.ndarray) else None


def _is_python(function: Any) -> bool:
    """Whether calling it runs Python code that is followed."""
    if isinstance(function, types.MethodType):
        function = function.__func__
    if isinstance(function, types.FunctionType):
        return is_followed(function.__globals__, function.__code__.co_filename)
    if isinstance(function, type):
        return _is_followed_class(function)
    from chainrule.compiler.function import CompiledFunction

    if isinstance(function, functools.partial):
        return _is_python(function.func)
    return isinstance(function, CompiledFunction) or (
        _is_followed_class(type(function)) and hasattr(type(function), "__call__")
    )


def _is_ours(function: Any) -> bool:
    home = getattr(function, "__module__", None) or type(getattr(function, "__self__", None)).__module__ or ""
    return str(home).partition(".")[0] == "chainrule"


def _tables_of(thing: Any, skip: dict[int, set[Any]]) -> list[Table]:
    """What is looked at when one of our objects has changed."""
    from chainrule.nn.module import Module

    def table(holder: Any, title: str, *names: Any) -> Table:
        return Table(holder, title, frozenset({*names, *skip.get(id(holder), ())}))

    if isinstance(thing, Module):
        found = []
        for name, part in thing.named_modules():
            title = f"{type(thing).__name__}.{name}" if name else type(thing).__name__
            found.append(Table(part, f"the class of {title}"))
            found.append(table(part.__dict__, title + ".{}", *_INTERNAL))
            found += [table(part.__dict__[t], title + ".{}") for t in _TABLES[:3] if t in part.__dict__]
            found += [table(part.__dict__[t], f"{title}{t} {{}}") for t in _TABLES[3:] if t in part.__dict__]
            for parameter in part._parameters.values():
                if parameter is not None and parameter._leaf is not None and parameter._leaf.hooks:
                    found += [table(hooks, title + ": hook {}") for hooks in parameter._leaf.hooks.values()]
        return found
    title = type(thing).__name__
    found = [table(thing.__dict__, title + ".{}", "stepped"), table(thing.param_groups, title + ".param_groups[{}]")]
    for i, group in enumerate(thing.param_groups):
        of_group = f"{title}.param_groups[{i}]"
        found.append(table(group, of_group + "[{}]", *_rate_of(group)))
        found.append(table(group["params"], of_group + ": parameter {}"))
    found += [table(hooks, f"{title}: {kind} hook {{}}") for kind, hooks in thing._hooks.items()]
    found.append(table(thing.state, title + ".state"))
    found += [table(entries, title + ".state: {}") for entries in thing.state.values()]
    return found


def _rate_of(group: Any) -> set[str]:
    """The learning rate is read anew in every call, if it is a number."""
    return {"lr"} if type(group.get("lr")) in (int, float) else set()


def _plain_tables_of(thing: Any, skip: dict[int, set[Any]]) -> list[Table]:
    """Dictionaries and lists that somebody has put among ours, which do not say when they change."""
    found = []
    for i, group in enumerate(getattr(thing, "param_groups", ())):
        title = f"{type(thing).__name__}.param_groups[{i}]"
        if not isinstance(group, Group):
            found.append(Table(group, title + "[{}]", frozenset(_rate_of(group) | skip.get(id(group), set()))))
        if not isinstance(group["params"], WatchedList) and isinstance(group["params"], list):
            found.append(Table(group["params"], title + ": parameter {}"))
    return found


# ------------------------------------------------------------------------------------------- built-ins that read


def _special_getattr(o: Observer, function: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    thing, name, *default = (*args,)
    if isinstance(thing, Number):
        thing.decides()
    value = getattr(thing, name, MISSING)
    if value is MISSING:
        o.absent(thing, name)
        return default[0] if default else getattr(thing, name)
    return o.attribute(thing, name, value)


def _special_hasattr(o: Observer, function: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    there = hasattr(*args)
    if there:
        o.attribute(args[0], args[1], getattr(*args))
    else:
        o.absent(*args)
    return there


def _special_setattr(o: Observer, function: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    o.writing(args[0])
    return function(*args, **kwargs)


def _special_len(o: Observer, function: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    if numbers_in(args, 0):
        args[0].decides()
    length = function(*args, **kwargs)
    thing = args[0]
    if id(thing) in o.outside and isinstance(thing, (*_CONTAINERS, np.ndarray)):
        o._ask(len, thing, ": its length", length)
    return length


def _special_isinstance(o: Observer, function: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    thing = args[0].value if isinstance(args[0], Number) else args[0]
    return function(thing, *args[1:], **kwargs)


def _special_vars(o: Observer, function: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    return o.attribute(args[0], "__dict__", function(*args, **kwargs))


def _special_next(o: Observer, function: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    if id(args[0]) in o.outside:
        raise TraceError(_ITERATOR.format(type(args[0]).__name__))
    return function(*args, **kwargs)


def _special_walk(o: Observer, function: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    for part in (*args, *kwargs.values()):
        if callable(part):
            o.see(part)
    walked = [part if isinstance(part, str | bytes | Number) else o.each(part) for part in args]
    if function in PURE and numbers_in(walked, 0) and not kwargs:
        return o._call_with_numbers(function, walked, kwargs)
    if function is sum and numbers_in(walked, 1) and not kwargs:
        total = walked[1] if len(walked) > 1 else 0
        for part in walked[0]:
            total = binary(operator.add, total, part)
        return total
    if function not in (list, tuple, zip, enumerate, reversed, map, filter) and numbers_in(walked, 1):
        raise NumberDecidesError([p for n in numbers_in(walked, 1) for p in n.places])
    return function(*walked, **kwargs)


def _special_print(o: Observer, function: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    shown = [part.value if isinstance(part, Number) else part for part in args]
    return function(*shown, **kwargs)


_ITERATOR = (
    "a compiled step takes from an iterator that was there before ({0}): it would take once, when it is traced. Take "
    "outside of the compiled function and pass what was taken as an argument."
)
_SPECIAL: dict[Any, Callable[..., Any]] = {
    getattr: _special_getattr, hasattr: _special_hasattr, setattr: _special_setattr, delattr: _special_setattr,
    len: _special_len, isinstance: _special_isinstance, vars: _special_vars, next: _special_next, print: _special_print,
    type: _special_isinstance, **dict.fromkeys(_REDUCERS, _special_walk),
}  # fmt: skip
_MUTATORS = frozenset(
    {"append", "extend", "insert", "remove", "pop", "clear", "sort", "reverse", "update", "setdefault", "popitem", "add",
     "discard", "appendleft", "popleft", "extendleft", "rotate", "difference_update", "intersection_update",
     "symmetric_difference_update", "__setitem__", "__delitem__"}
)  # fmt: skip
_ARITHMETIC = frozenset({"mul", "add", "sub", "div", "mul_", "add_", "sub_", "div_", "multiply", "subtract", "divide"})
_WITH_TENSORS = frozenset(
    {operator.add, operator.sub, operator.mul, operator.truediv, operator.iadd, operator.isub, operator.imul,
     operator.itruediv}
)  # fmt: skip


# ------------------------------------------------------------------------------------------- what rewritten code calls


def name(value: Any, name: str) -> Any:
    """A global name is read."""
    o = _per_thread.observer
    if o is None:
        return value
    namespace = sys._getframe(1).f_globals
    return o.read(Entry(namespace, name, name), value) if name in namespace else value


def variable(value: Any, name: str, shown: Any) -> Any:
    """A variable of an enclosing function is read."""
    o = _per_thread.observer
    if o is None or id(shown.__closure__[0]) not in o.cells:
        return value
    return o.read(Variable(shown.__closure__[0], title=name), value)


def attribute(thing: Any, name: str) -> Any:
    """An attribute is read."""
    o = _per_thread.observer
    if o is None:
        return getattr(thing, name)
    if isinstance(thing, Number):
        thing.decides()
    try:
        value = getattr(thing, name)
    except AttributeError:
        o.absent(thing, name)
        raise
    return o.attribute(thing, name, value)


def item(thing: Any, key: Any) -> Any:
    """An item is read."""
    o = _per_thread.observer
    if o is None:
        return thing[key]
    if isinstance(thing, Number):
        thing.decides()
    for number in numbers_in(key):
        number.decides()
    if not isinstance(thing, TensorCell):
        o.contents(key)
    try:
        value = thing[key]
    except LookupError:
        o.missing(thing, key)
        raise
    return o.item(thing, key, value)


def key(place: Any) -> Any:
    """What stands in the brackets of something that is written to."""
    for number in numbers_in(place):
        number.decides()
    return place


def call(function: Any, /, *args: Any, **kwargs: Any) -> Any:
    """Something is called."""
    o = _per_thread.observer
    return function(*args, **kwargs) if o is None else o.call(function, list(args), kwargs)


def contents(thing: Any) -> Any:
    """Something is compared, shown or calculated with: of a container all that is in it counts."""
    o = _per_thread.observer
    if isinstance(thing, Number):
        thing.decides()
    if o is not None and isinstance(thing, (*_CONTAINERS, np.ndarray)):
        o.contents(thing)
    return thing


def everything(thing: Any) -> Any:
    """Something is taken apart by a `match`."""
    o = _per_thread.observer
    if isinstance(thing, Number):
        thing.decides()
    if o is not None:
        o.everything(thing)
    return thing


def truth(thing: Any) -> Any:
    """Something is asked whether it is true."""
    o = _per_thread.observer
    if isinstance(thing, Number):
        thing.decides()
    if o is not None and id(thing) in o.outside:
        if isinstance(thing, (*_CONTAINERS,)):
            o._ask(bool, thing, ": whether it is empty", bool(thing))
        elif isinstance(thing, np.ndarray):
            o.contents(thing)
    return thing


def binary(function: Any, x: Any, y: Any) -> Any:
    """An operator with two sides."""
    o = _per_thread.observer
    if o is None:
        return function(x, y)
    if isinstance(x, Number) or isinstance(y, Number):
        return o.combine(function, x, y)
    if not isinstance(x, TensorCell) and not isinstance(y, TensorCell):
        contents(x)
        contents(y)
    return function(x, y)


def in_place(function: Any, x: Any, y: Any) -> Any:
    """`x += y` and the like."""
    o = _per_thread.observer
    if o is not None and isinstance(x, (list, dict, set, deque, np.ndarray)):
        o.writing(x)
        contents(y)
        return function(x, y)
    return binary(function, x, y)


def each(thing: Any) -> Any:
    """Something is walked through."""
    o = _per_thread.observer
    if isinstance(thing, Number):
        thing.decides()
    return thing if o is None else o.each(thing)


def writing(thing: Any) -> Any:
    """An attribute or an item is about to be written."""
    o = _per_thread.observer
    if o is not None:
        o.writing(thing)
    return thing


def assigns(name: str, shown: Any) -> None:
    """A function that declares a variable global or nonlocal begins."""
    o = _per_thread.observer
    if o is not None:
        here = Entry(sys._getframe(1).f_globals, name, name)
        o.assigns(here if shown is None else Variable(shown.__closure__[0], title=name))


def imported(value: Any, module: str, name: str) -> None:
    """A name was imported from a module within a function."""
    o = _per_thread.observer
    if o is not None and module in sys.modules:
        o.attribute(sys.modules[module], name, value)


READERS: dict[str, Callable[..., Any]] = {
    f.__name__: f
    for f in (name, variable, attribute, item, key, call, contents, everything, truth, binary, in_place, each, writing,
              assigns, imported)
}  # fmt: skip
