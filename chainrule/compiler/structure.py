"""Structures of tensors: lists, tuples and dictionaries taken apart into a form and tensors, and put together again.

>>> import chainrule
>>> leaves = []
>>> form = take_apart({"x": chainrule.ones(2), "n": 3}, leaves)
>>> put_together(form, leaves)
{'x': tensor([1., 1.]), 'n': 3}

Arguments are taken apart further: numbers, arrays and objects go into a list of their own, with the way to each, since
a program may hold for others too.
"""

from __future__ import annotations

import enum
import functools
import types
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from chainrule.cell import TensorCell
from chainrule.cell.cell import OWN_ATTRIBUTES
from chainrule.compiler import questions
from chainrule.compiler.numbers import Number, is_a, numbers_in
from chainrule.compiler.places import Place, parts_of
from chainrule.dtypes import DType
from chainrule.errors import TraceError

_VALUES = (bool, str, bytes, complex, type(None), type(Ellipsis), DType, np.dtype, range, enum.Enum)


Kept = Callable[[Any], Place | None]


class _Place:
    """Stands in a structure where a tensor is."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


_PLACE = _Place("tensor")


class _Same:
    """A thing as part of a key: the same one or another."""

    __slots__ = ("thing",)

    def __init__(self, thing: Any) -> None:
        self.thing = thing

    def __hash__(self) -> int:
        return id(self.thing)

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, _Same) and other.thing is self.thing


class _Unequal:
    """A thing that is handed through and does not count in a key: what does stands beside it."""

    __slots__ = ("thing",)

    def __init__(self, thing: Any) -> None:
        self.thing = thing

    def __hash__(self) -> int:
        return 0

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, _Unequal)


def take_apart(
    thing: Any, leaves: list[Any], others: list[Any] | None = None, way: tuple[Any, ...] = (), kept: Kept | None = None
) -> Any:
    """A structure with its tensors taken out.

    Args:
        leaves: gets the tensors.
        others: for arguments: gets (thing, way to it) of what is no plain value. The form is hashable then, so that
            equal forms are found again, and tells apart what Python takes for equal (1, 1.0 and True).
        way: how this structure is reached.
        kept: for results: says where something lies that was there before the step; it is looked up there again.
    """
    if isinstance(thing, TensorCell):
        leaves.append(thing)
        return _PLACE
    if kept is not None and (place := kept(thing)) is not None:
        return "kept", place
    kind = type(thing)
    if kind in (list, tuple) or (isinstance(thing, tuple) and hasattr(thing, "_fields")):
        parts: list[Any] = []
        for i, x in enumerate(thing):
            if isinstance(x, TensorCell):  # without another call: most parts of most arguments are tensors
                leaves.append(x)
                parts.append(_PLACE)
            else:
                parts.append(take_apart(x, leaves, others, (*way, i), kept))
        return kind, tuple(parts)
    if kind in (dict, OrderedDict, defaultdict):
        parts = [(_plain(k), take_apart(x, leaves, others, (*way, k), kept)) for k, x in thing.items()]
        return (kind, _Same(thing.default_factory)) if kind is defaultdict else kind, tuple(parts)
    if others is None:
        if is_a(thing, types.GeneratorType):
            raise TraceError(
                "a compiled step gives a generator, which would go on when the step is over: return the list of what "
                "it gives (list(…)), or compile what is called in each round."
            )
        _refuse_numbers_in(thing)
        return None, thing
    if kind is functools.partial:
        parts = [take_apart(x, leaves, others, (*way, i)) for i, x in enumerate(parts_of(thing))]
        return functools.partial, tuple(parts)
    if isinstance(thing, _VALUES):
        return None, _plain(thing)
    if isinstance(thing, np.generic):
        return None, (kind, thing.tobytes(), _Same(thing.dtype), _Unequal(thing))
    if kind is slice:
        return "slice", tuple([take_apart(x, leaves, others, way) for x in (thing.start, thing.stop, thing.step)])
    if kind in (set, frozenset) and all(isinstance(x, (*_VALUES, int, float)) for x in thing):
        return kind, frozenset(map(_plain, thing))
    others.append((thing, way))
    if kind in (int, float):
        return "other", kind
    if kind is types.FunctionType:
        return "other", _Same(thing.__code__)
    return "other", kind if isinstance(thing, np.ndarray) or _is_an_object(thing) else _Same(thing)


def _refuse_numbers_in(thing: Any, depth: int = 3) -> None:
    """An object that outlives the step and holds a number that changes: no later call would put another there."""
    fields = None if is_a(thing, (Number, type, types.ModuleType, types.FunctionType)) else questions.fields_of(thing)
    for value in list((fields or {}).values()) if depth else ():
        for number in numbers_in(value):
            number.decides()
        for part in value if is_a(value, (list, tuple)) else value.values() if is_a(value, dict) else (value,):
            _refuse_numbers_in(part, depth - 1)


def given_attributes(tensor: Any) -> dict[str, Any] | None:
    """What the user has attached to a tensor (`x.length = 3`); None if nothing."""
    fields = tensor.__dict__
    return None if fields.keys() <= OWN_ATTRIBUTES else {k: x for k, x in fields.items() if k not in OWN_ATTRIBUTES}


def attributes_in_key(tensor: Any) -> Any:
    """The same as part of a key."""
    given = given_attributes(tensor)
    if given is None:
        return None
    return tuple([(k, _plain(x) if isinstance(x, (*_VALUES, int, float)) else _Same(x)) for k, x in given.items()])


def _plain(x: Any) -> Any:
    """A plain value with what tells it from others that are equal to it."""
    return type(x), repr(x) if type(x) in (float, complex) else x, x


def _is_an_object(thing: Any) -> bool:
    """Whether another one with the same contents would do as well: no function, no class, nothing of ours."""
    home = type(thing).__module__.partition(".")[0]
    if isinstance(thing, types.ModuleType):
        return True
    if callable(thing) or home in ("chainrule", "numpy"):
        return False
    return isinstance(thing, list | dict | set) or hasattr(thing, "__dict__") or hasattr(type(thing), "__slots__")


class Contents:
    """What the lists, dictionaries and sets of the arguments hold, to tell whether a step has changed one of them.

    Args:
        args, kwargs: the arguments.
    """

    def __init__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        named = [
            *((f"argument {i}", x) for i, x in enumerate(args)),
            *((f"argument {n}", x) for n, x in kwargs.items()),
        ]
        self._kept = [(title, part, part.copy()) for name, x in named for title, part in _containers(name, x)]

    def changed(self) -> str:
        """In words, the first one that no longer holds the same things; "" if all do."""
        for title, now, before in self._kept:
            if not _holds(now, before):
                return f"{title}, a {type(now).__name__}"
        return ""


def _holds(now: Any, before: Any) -> bool:
    if isinstance(now, set):
        return bool(now == before)
    if isinstance(now, defaultdict):  # which adds what it is asked for
        return all(key in now and now[key] is x for key, x in before.items())
    pairs = zip(now.items(), before.items(), strict=False) if isinstance(now, dict) else [(now, before)]
    return len(now) == len(before) and all(a is b for x, y in pairs for a, b in zip(x, y, strict=True))


def _containers(title: str, thing: Any) -> Iterator[tuple[str, Any]]:
    if type(thing) is set:
        yield title, thing
    elif type(thing) in (list, dict, OrderedDict, defaultdict):
        yield title, thing
        for key, part in thing.items() if isinstance(thing, dict) else enumerate(thing):
            yield from _containers(f"{title}[{key!r}]", part)
    elif isinstance(thing, tuple):
        for i, part in enumerate(thing):
            yield from _containers(f"{title}[{i}]", part)


def containers_in(thing: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """The lists and dictionaries in a structure, each with the way to it."""
    if type(thing) in (list, dict, OrderedDict, defaultdict):
        yield thing, way
    if type(thing) in (list, tuple, dict, OrderedDict, defaultdict):
        for key, part in thing.items() if isinstance(thing, dict) else enumerate(thing):
            yield from containers_in(part, (*way, key))


def put_together(form: Any, leaves: Iterable[Any], others: Iterable[Any] = (), call: Any = ()) -> Any:
    """The structure with tensors in it again; numbers that Python computes are computed for this call."""
    return _put(form, iter(leaves), iter(others), call)


def _put(form: Any, leaves: Iterator[Any], others: Iterator[Any], call: Any) -> Any:
    if form is _PLACE:
        return next(leaves)
    kind, content = form
    if kind is None:
        if isinstance(content, Number):
            return content.compute(call)
        plain = content[-1] if type(content) is tuple and content and isinstance(content[0], type) else content
        return plain.thing if isinstance(plain, _Unequal) else plain
    if kind == "other":
        return next(others)
    if kind == "kept":
        return content.now(call)
    if kind == "slice":
        return slice(*[_put(x, leaves, others, call) for x in content])
    if kind in (set, frozenset):
        return kind([x[-1] for x in content])
    if kind in (dict, OrderedDict):
        return kind((name[-1], _put(x, leaves, others, call)) for name, x in content)
    if type(kind) is tuple:  # a dictionary with defaults
        return defaultdict(kind[1].thing, [(name[-1], _put(x, leaves, others, call)) for name, x in content])
    parts = [_put(x, leaves, others, call) for x in content]
    if kind is functools.partial:
        return functools.partial(parts[0], *parts[1], **parts[2])
    return kind(*parts) if hasattr(kind, "_fields") else kind(parts)
