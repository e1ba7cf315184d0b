"""Which functions are followed while a step is traced, and their rewriting for as long as the trace lasts.

The user's functions are followed, and those of ours that stand for a user's (a module with `__observed__` in it). Each
thing that the step gets hold of comes into sight here: if it has functions to follow, these get their rewritten code
(`rewrite.py`) until the trace is over.
"""

from __future__ import annotations

import functools
import inspect
import sys
import types
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.cell import TensorCell
from chainrule.changes import WatchedDict, fields_of
from chainrule.compiler import partials, questions
from chainrule.compiler.facts import MISSING
from chainrule.compiler.numbers import is_a
from chainrule.compiler.places import Place
from chainrule.compiler.rewrite import is_rewritten, rewritten
from chainrule.compiler.unfollowed import refuse_weak
from chainrule.dtypes import DType

#: What has no parts that could change.
ATOMS = (bool, int, float, complex, str, bytes, type(None), type(Ellipsis), DType, np.generic, np.dtype, slice, range)
_LIBRARIES = frozenset({"chainrule", "numpy", "scipy", "matplotlib", "pytest", "_pytest", "torch", "jax", "llvmlite"})
#: Entries of a module's dictionary that are not of the user's making.
INTERNAL = frozenset({"_paths", "_compiled", "_parameters", "_buffers", "_modules", "_not_saved"})
#: Modules whose objects hold what the user puts into them: functions, partials, namespaces, chained dictionaries.
_KEEPERS = frozenset({"builtins", "functools", "types", "collections", "argparse"})
_MADE_BY_PYTHON = 1 << 9  # Py_TPFLAGS_HEAPTYPE
_MACHINERY = frozenset(
    {
        "compiler",
        "autodiff",
        "primitives",
        "state",
        "cell",
        "random",
        "tape",
        "program",
        "backends",
        "forking",
        "changes",
    }
)
#: So many steps from the root a thing is remembered by its place; further on by itself.
LONGEST_WAY = 50
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def is_followed(namespace: dict[str, Any], file: str = "") -> bool:
    """Whether functions of a module with this namespace are followed."""
    if "__observed__" in namespace:
        return True
    root = str(namespace.get("__name__", "")).partition(".")[0]
    return root not in _LIBRARIES and root not in sys.stdlib_module_names and "-packages" not in file


def is_followed_class(kind: type) -> bool:
    """Whether the methods of a class are followed."""
    known = _followed_classes.get(kind)
    if known is None:
        known = _followed_classes[kind] = _is_followed_class(kind)
    return known


_followed_classes: weakref.WeakKeyDictionary[type, bool] = weakref.WeakKeyDictionary()


def _is_followed_class(kind: type) -> bool:
    if kind.__module__.startswith("_cython_"):  # functions made by Cython: NumPy's generators have some
        return False
    if kind.__module__ == "builtins":  # a class that was made where there is no name of a module
        return bool(kind.__flags__ & _MADE_BY_PYTHON)
    module = sys.modules.get(kind.__module__)
    if module is None or kind.__module__ == "__main__":
        return kind.__module__.partition(".")[0] not in sys.stdlib_module_names
    return is_followed(vars(module), str(getattr(module, "__file__", "")))


def is_of_the_user(module: types.ModuleType) -> bool:
    """Whether a Python module is the user's, and so are the things in it."""
    namespace = vars(module)
    return "__observed__" not in namespace and is_followed(namespace, str(namespace.get("__file__", "")))


def is_of_a_library(kind: type) -> bool:
    """Whether objects of a class are a library's own, of Python's too, and not what the user keeps things in."""
    root = kind.__module__.partition(".")[0]
    return not is_followed_class(kind) and root not in _KEEPERS and root != "chainrule"


def _is_a_setting_of_ours(kind: type) -> bool:
    """Whether objects of a class of ours may hold what a step depends on, and do not say when it changes."""
    root = kind.__module__.partition(".")[0]
    return root == "chainrule" and not is_followed_class(kind) and not is_machinery(kind)


def is_machinery(kind: type) -> bool:
    """Whether objects of a class of ours compute and keep nothing of the user's."""
    root, _, part = kind.__module__.partition(".")
    return root == "chainrule" and part.partition(".")[0] in _MACHINERY


def content_of(cell: Any) -> Any:
    """What a variable of an enclosing function holds; MISSING if nothing yet."""
    try:
        return cell.cell_contents
    except ValueError:
        return MISSING


class Sight:
    """The part of an observer that knows what has come into sight.

    Attributes:
        outside: what was there before the step, by identity, with where it was found.
        pinned: what of this counts as this very thing: it was found in several places, or compared by identity.
        cells: variables of enclosing functions that were there before.
        watched: modules and optimisers, which say themselves when they change.
        blind: whether a function without source takes part: then numbers are no inputs.
    """

    def __init__(self) -> None:
        self.outside: dict[int, tuple[Any, Place | None]] = {}
        self.pinned: set[int] = set()
        self.cells: dict[int, tuple[Any, Place | None]] = {}
        self.watched: dict[int, Any] = {}
        self.blind = False
        self._seen: dict[int, Any] = {}
        self._classes: dict[int, type] = {}
        self._tables: dict[int, tuple[Any, dict[Any, Any]]] = {}
        self._swapped: list[tuple[types.FunctionType, types.CodeType]] = []

    # What an observer adds.

    def note(self, place: Place, value: Any) -> None:
        """This lies there: a fact."""
        raise NotImplementedError

    def read(self, place: Place, value: Any, *, fixed: bool = False, counts: bool = True) -> Any:
        """The step reads a place."""
        raise NotImplementedError

    def is_input(self, place: Place) -> bool:
        """Whether what lies there has been seen to change, and is read anew in every call."""
        raise NotImplementedError

    def ask(self, question: Callable[[Any], Any], thing: Any, title: str, answer: Any) -> None:
        """What a function says of something outside is a fact."""
        raise NotImplementedError

    def which(self, thing: Any) -> tuple[Any, Any]:
        """What a thing of the trace stands for, and what says so."""
        raise NotImplementedError

    def contents(self, thing: Any) -> list[Any]:
        """Everything in a container or an array counts; the answer is what is in it."""
        raise NotImplementedError

    def everything(self, *things: Any) -> None:
        """All that can be reached from here counts."""
        raise NotImplementedError

    def refuse_grown(self, thing: Any) -> None:
        """What the step itself has put into a list is not read."""
        raise NotImplementedError

    def has_written_to(self, thing: Any) -> bool:
        """Whether the step has changed what is in a container."""
        raise NotImplementedError

    def is_made_by_the_step(self, thing: Any) -> bool:
        """Whether the step has made this tensor, or this module."""
        raise NotImplementedError

    def writing(self, thing: Any) -> None:
        """The step may be about to change something."""
        raise NotImplementedError

    def insure(self, holder: Any, owner: Any = None) -> None:
        """If the step fails, this is made again what it is now."""
        raise NotImplementedError

    def go_blind(self) -> None:
        """A function without source takes part, which may change whatever it likes."""
        self.blind = True
        for thing in list(self.watched.values()):
            self.writing(thing)

    def mark(self, thing: Any, place: Place | None) -> None:
        """It was there before the step, at this place. At the end of a very long way it counts as this very thing."""
        if is_a(thing, ATOMS) or (is_a(thing, TensorCell) and self.is_made_by_the_step(thing)):
            return
        if place is not None and place.depth > LONGEST_WAY:
            place = None
        if id(thing) in self.outside:
            before = self.outside[id(thing)][1]
            if before is not place and (before is None or place is None or before.identity != place.identity):
                self.pinned.add(id(thing))
            return
        self.outside[id(thing)] = thing, place
        if is_a(thing, types.MethodType):
            self.mark(thing.__self__, Place(thing, "attribute", "__self__", str(place or thing.__name__), place))

    def pin(self, thing: Any) -> None:
        """That it is this very thing counts: another one with the same contents would not do."""
        if id(thing) in self.outside:
            self.pinned.add(id(thing))

    def use(self, thing: Any) -> None:
        """The step uses something: not through a weak reference that was there before."""
        if id(thing) in self.outside:
            refuse_weak(thing)

    def place_of(self, thing: Any) -> Place | None:
        """Where something outside was found; None if it is not outside, or a root without a place."""
        known = self.outside.get(id(thing))
        return None if known is None else known[1]

    def close(self) -> None:
        """Give all functions their own code back."""
        for function, code in reversed(self._swapped):
            function.__code__ = code
        self._swapped.clear()

    # --------------------------------------------------------------------------------- coming into sight

    def enter(self, function: Any) -> None:
        """Begin with the step itself."""
        owner = function.__self__ if is_a(function, types.MethodType) else function
        self.mark(owner, None)
        self.see(function)
        if self.blind:
            self.everything(owner)

    def see(self, thing: Any) -> None:
        """Something that the step may call, or call methods of: follow its functions."""
        if is_a(thing, TensorCell):  # not kept: what the step has made would outlive it
            self._see_hooks(thing)
        elif is_a(thing, types.MethodType):
            self.see(thing.__func__)
            self.see(thing.__self__)
        if is_a(thing, (TensorCell, types.MethodType, list, tuple, dict, set, frozenset, *ATOMS)):
            if is_followed_class(type(thing)):  # a dictionary with methods of the user's, say
                self._see_class(type(thing))
            return
        if self._has_seen(thing) or is_a(thing, types.ModuleType | types.BuiltinFunctionType | np.ndarray):
            return
        if is_rewritten(thing) or self.is_made_by_the_step(thing):
            self._see_class(type(thing))  # not kept either
            return
        if is_a(thing, functools.partial) and id(thing) not in self.outside:
            self._see_partial(thing)  # as a method of a tensor can be: nor this
            return
        if id(thing) in self.outside or not self._is_the_steps_own(thing):
            # What a function of ours has made for the step (`vjp`'s second result) may hold tensors of the step.
            is_lent = is_a(thing, types.FunctionType) and thing.__closure__ and id(thing) not in self.outside
            self._seen[id(thing)] = weakref.ref(thing) if is_lent else thing
        if is_a(thing, types.FunctionType):
            self._see_function(thing)
        elif is_a(thing, type):
            self._see_class(thing)
            self._see_class(type(thing))  # whose methods are what `len(…)`, `…[k]` and `isinstance` ask a class
        elif is_a(thing, functools.partial):
            self._see_partial(thing)
        elif is_a(thing, property):
            self.see(thing.fget)
            self.see(thing.fset)
        elif is_a(thing, staticmethod | classmethod):
            self.see(thing.__func__)
        elif is_a(thing, functools.cached_property):
            self.see(thing.func)
        else:
            self._see_object(thing)

    def _has_seen(self, thing: Any) -> bool:
        known = self._seen.get(id(thing))
        return known is not None and (known is thing or (type(known) is weakref.ref and known() is thing))

    @staticmethod
    def _is_the_steps_own(thing: Any) -> bool:
        """Whether it is an object that the step has made, as far as one can tell: it may hold tensors of the step."""
        from chainrule.nn.module import Module
        from chainrule.optim.optimizer import Optimizer

        return not is_a(thing, (type, types.FunctionType, Module, Optimizer))

    def _see_partial(self, thing: Any) -> None:
        """A function with some of its arguments: these are parts of it."""
        place = self.place_of(thing)
        self.see(thing.func)
        if id(thing) not in self.outside:
            for part in (*thing.args, *thing.keywords.values()):
                self.see(part)
            return
        self.mark(thing.func, partials.place_of_function(thing, place))
        names = partials.place_of_names(thing, place)
        self.note(Place(thing.keywords, "answer", tuple, f"the names of {names}", names), tuple(thing.keywords))
        for given, part in partials.places_in(thing, place):
            self.mark(part, given)
            self.see(part)

    def _see_function(self, function: types.FunctionType) -> None:
        self.see(getattr(function, "__wrapped__", None))
        choices = getattr(function, "registry", None)
        if isinstance(choices, types.MappingProxyType):  # `functools.singledispatch`
            title = f"the functions that {function.__name__} chooses from"
            answer = questions.of_registry(function)
            self.note(Place(function, "answer", questions.of_registry, title, self.place_of(function)), answer)
            for choice in choices.values():
                self.see(choice)
        contents = [content_of(cell) for cell in function.__closure__ or ()]
        if not is_followed(function.__globals__, function.__code__.co_filename):
            for content in contents:  # a decorator of a library's
                if is_a(content, types.FunctionType | functools.partial | types.MethodType):
                    self.see(content)
            return
        place = self.place_of(function)
        inside = None if place is None or not place.is_of_an_argument else place
        for i, cell in enumerate(function.__closure__ or ()):
            cells = inside and Place(function, "attribute", "__closure__", parent=inside)
            self.cells[id(cell)] = cell, cells and Place(function.__closure__, "item", i, parent=cells)
        self.note(
            Place(function, "attribute", "__code__", f"the code of {function.__name__}", inside), function.__code__
        )
        code = rewritten(function)
        if code is None:
            self._see_unreadable(function)
        else:
            self._swapped.append((function, function.__code__))
            function.__code__ = code
        self._see_defaults(function, inside)

    def _see_defaults(self, function: types.FunctionType, parent: Place | None) -> None:
        for name in ("__defaults__", "__kwdefaults__"):
            given = getattr(function, name)
            if not given:
                continue
            place = Place(function, "attribute", name, f"{function.__name__}.{name}", parent)
            self.note(place, given)
            pairs = given.items() if is_a(given, dict) else enumerate(given)
            for key, part in list(pairs):
                title = key if is_a(key, str) else f"default {key} of {function.__name__}"
                inner = Place(given, "item", key, title, place)
                if is_a(given, dict):
                    self.read(inner, part, fixed=True)
                self.mark(part, inner)
                self.everything(part) if self.blind else self.see(part)

    def variable(self, cell: Any, name: str) -> Place:
        """The place of a variable of an enclosing function."""
        place = self.cells[id(cell)][1]
        return Place(
            cell, "variable" if place is None else "attribute", "cell_contents" if place else None, name, place
        )

    def _see_unreadable(self, function: types.FunctionType) -> None:
        """A function without source: all that it names counts, with all that is in there."""
        if function.__name__.startswith("__") and function.__code__.co_filename == "<string>":
            for cell in function.__closure__ or ():  # made by a library, as the `__init__` of a dataclass is
                self.see(content_of(cell))
            return
        self.see_named(function.__code__, function.__globals__)
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            if (value := content_of(cell)) is not MISSING:
                self.everything(self.read(self.variable(cell, name), value, fixed=True))

    def see_named(self, code: types.CodeType, namespace: dict[str, Any]) -> None:
        """Code that is not followed runs: what it names in a module counts, with all that is in there."""
        self.go_blind()
        names = _names_in(code)
        for name in sorted(namespace.keys() & (namespace if "globals" in names else names)):
            value = namespace[name]
            self.everything(self.read(Place(namespace, "entry", name, name), value, fixed=True))

    def _see_class(self, kind: type) -> None:
        for base in kind.__mro__:
            if is_followed_class(base) and id(base) not in self._classes:
                self._classes[id(base)] = base
                self._note_special_methods(base)
                for value in list(vars(base).values()):
                    functions = (types.FunctionType, staticmethod, classmethod, property, functools.cached_property)
                    if is_a(value, functions):
                        self.see(value)
                    elif hasattr(type(value), "__get__") and not is_a(value, type):
                        self.see(type(value))  # a descriptor of the user's

    def _note_special_methods(self, kind: type) -> None:
        """Python itself asks a class for these, past all readers: what they are, and that there are no more names."""
        names = vars(kind)
        self.note(Place(names, "answer", len, f"how many names {kind.__name__} has"), len(names))
        for name, value in list(names.items()):
            if name.startswith("__") and name.endswith("__") and is_a(value, types.FunctionType):
                self.note(Place(names, "item", name, f"{kind.__name__}.{name}"), value)

    def _see_object(self, thing: Any) -> None:
        from chainrule.compiler.function import CompiledFunction
        from chainrule.nn.module import Module
        from chainrule.optim.optimizer import Optimizer

        self._see_class(type(thing))
        if is_a(thing, Module):
            self.watched[id(thing)] = thing
            if self.blind:
                self.writing(thing)
            for part in thing.modules():
                self._see_layer(part)
        elif is_a(thing, Optimizer):
            self.watched[id(thing)] = thing
            self.insure(fields_of(thing), thing)
            for memory in (thing.state, *thing.state.values()):
                if is_a(memory, dict):
                    self.insure(memory)
            for table in thing._hooks.values():
                self._see_hook_table(table)
        elif is_a(thing, CompiledFunction):
            self.enter(thing.function)
        elif (wrapped := inspect.getattr_static(thing, "__wrapped__", None)) is not None:  # past a `__getattr__`
            self.see(wrapped)
        elif _is_a_setting_of_ours(type(thing)) and id(thing) in self.outside:
            self.everything(thing)

    def _see_layer(self, module: Any) -> None:
        from chainrule.nn.lazy import LazyModule
        from chainrule.nn.utils.before_forward import WeightRule

        self._seen[id(module)] = module
        kind = type(module)
        self._see_class(kind)
        self._keep(module._modules)
        if not is_a(module, LazyModule):  # which gets its sizes before the step, and keeps them
            self.insure(fields_of(module), module)
        for table in (module._parameters, module._buffers, module._not_saved):
            self.insure(table)
        self.note(Place(kind, "attribute", "forward", f"{kind.__name__}.forward"), kind.forward)
        for name, value in fields_of(module).items():
            if name not in INTERNAL and not is_a(value, (WatchedDict, *ATOMS)):
                self.mark(value, Place(module, "field", name, f"{kind.__name__}.{name}"))
                self.see(value)
        for name in HOOKS:
            self._see_hook_table(fields_of(module).get(name, {}))
        if any(is_a(getattr(hook, "function", hook), WeightRule) for hook in module._forward_pre_hooks.values()):
            self.writing(module)  # a hook of ours, which is not followed, puts the weight there
        for parameter in module._parameters.values():
            if parameter is not None:
                self._see_hooks(parameter)

    def _keep(self, table: Any) -> None:
        """Remember what a table of ours holds: the step may change it by its methods."""
        if type(table) is WatchedDict:
            self._tables.setdefault(id(table), (table, dict(table)))

    def has_changed(self, table: Any) -> bool:
        """Whether the step has added hooks or layers to a table, or taken some out."""
        return id(table) in self._tables and list(table.items()) != list(self._tables[id(table)][1].items())

    def before_the_step(self, table: Any) -> dict[Any, Any]:
        """What a table held."""
        return self._tables[id(table)][1]

    def restore_tables(self) -> None:
        """Give changed tables back what they held."""
        for table, entries in self._tables.values():
            if self.has_changed(table):
                table.clear()
                table.update(entries)

    def _see_hook_table(self, table: Any) -> None:
        self._keep(table)
        for hook in table.values():
            self._see_hook(getattr(hook, "function", hook))

    def _see_hook(self, call: Any) -> None:
        self.mark(call, None)
        self.see(call)

    def _see_hooks(self, tensor: Any) -> None:
        leaf = tensor._leaf
        if leaf is not None:
            for table in (leaf.hooks or {}).values():
                self._see_hook_table(table)
            for call in leaf.after or ():
                self._see_hook(call)


def _names_in(code: types.CodeType) -> set[str]:
    names = set(code.co_names)
    for constant in code.co_consts:
        if is_a(constant, types.CodeType):
            names |= _names_in(constant)
    return names
