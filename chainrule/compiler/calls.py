"""Calls in a traced step: what runs the user's code is followed, what reads is answered, what is given counts.

Python's own functions that read for the user (`getattr`, `len`, `sum`, methods of containers) are read here entry by
entry. Of what goes into any other function that is not followed, everything counts.
"""

from __future__ import annotations

import contextvars
import functools
import operator
import os
import types
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.cell import TensorCell
from chainrule.changes import Group, WatchedDict
from chainrule.compiler import partials, questions
from chainrule.compiler.attributes import runs_its_own
from chainrule.compiler.contents import CONTAINERS, FEW
from chainrule.compiler.facts import MISSING
from chainrule.compiler.numbers import PURE, Number, NumberDecidesError, apply, is_a, numbers_in
from chainrule.compiler.observe import Observer
from chainrule.compiler.places import Place
from chainrule.compiler.rewrite import has_source
from chainrule.compiler.sight import ATOMS, is_followed, is_followed_class
from chainrule.compiler.unfollowed import ITERATOR, refuse_unfollowed
from chainrule.errors import TraceError
from chainrule.functions.creation import full
from chainrule.functions.pieces import stack

_MUTATORS = frozenset(
    {"append", "extend", "insert", "remove", "pop", "clear", "sort", "reverse", "update", "setdefault", "popitem",
     "add", "discard", "appendleft", "popleft", "extendleft", "rotate", "difference_update", "intersection_update",
     "symmetric_difference_update", "subtract", "__setitem__", "__delitem__", "__ior__", "__iadd__", "__imul__"}
)  # fmt: skip
#: These move what is in a list, or take it out.
_REARRANGE = frozenset({"reverse", "rotate", "insert", "pop", "popleft", "clear", "__delitem__"})
#: And these compare the entries with each other, or with what is given.
_COMPARE = frozenset({"sort", "remove", "index", "count", "__contains__", "__eq__", "__ne__", "__lt__", "__le__"})
#: What puts something into a list or a dictionary, and asks it nothing.
_KEEPING = frozenset({"append", "extend", "insert", "appendleft", "update"})
#: Operations of tensors, and methods of that name with or without "_", in which a 0-d tensor does what a number does.
_ARITHMETIC = frozenset(
    {"mul", "add", "sub", "div", "multiply", "subtract", "divide", "addcmul", "addcdiv", "lerp", "clamp", "clip",
     "clamp_min", "clamp_max", "fill", "full_like", "masked_fill", "where"}
)  # fmt: skip
_WITH_TENSORS = frozenset(
    {operator.add, operator.sub, operator.mul, operator.truediv, operator.iadd, operator.isub, operator.imul,
     operator.itruediv}
)  # fmt: skip


def called(o: Observer, function: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """The step calls something: the answer."""
    try:
        special = _SPECIAL.get(function)
    except TypeError:
        special = None
    if special is not None:
        return special(o, function, args, kwargs)
    o.use(function)
    o.see(function)
    if type(function) is functools.partial:
        return _call_partial(o, function, args, kwargs)
    if type(function) in _GETTERS:
        return _get(o, function, args[0])
    if runs_followed_code(function):
        return function(*args, **kwargs)
    if function is bool and len(args) == 1 and is_a(args[0], Number):
        return o.decision(args[0])
    if function is dict and len(args) == 1 and is_a(args[0], dict):
        return dict(o.spread(args[0]), **kwargs)
    ours = _is_ours(function)
    if ours:  # what is in a list or a tuple may be inputs
        args = [_walked(o, part) for part in args]
    if numbers_in([args, kwargs]):
        return _with_numbers(o, function, args, kwargs)
    refuse_unfollowed(function, lambda thing: id(thing) in o.outside)
    owner = getattr(function, "__self__", None)
    if is_a(owner, CONTAINERS) and id(owner) in o.outside:
        return _method_of_container(o, owner, function, args, kwargs)
    if owner is not None and not is_a(owner, types.ModuleType) and id(owner) in o.outside:
        o.everything(owner)
    for part in (*args, *kwargs.values()):
        o.passed_on(part) if ours and is_a(part, np.ndarray) else o.everything(part)
    if isinstance(owner, dict) and args and function.__name__ in ("get", "pop", "setdefault", "__getitem__"):
        args[0] = o.known_as(args[0], owner)
    answer = function(*args, **kwargs)
    if owner is os.environ or function is os.getenv:
        return o.read(_answer_to(function, args, kwargs, f"{function.__name__}{tuple(args)}"), answer)
    if is_a(owner, contextvars.ContextVar) and not args:
        title = f"what a {type(owner).__name__} refers to"
        return o.read(Place(owner, "answer", contextvars.ContextVar.get, title, o.place_of(owner)), answer)
    if isinstance(function, functools._lru_cache_wrapper):  # whose answers are those of before, and the user's
        return o.read(
            _answer_to(function, args, kwargs, f"{questions.title_of(function)}(…)", o.place_of(function)), answer
        )
    if callable(answer):
        o.see(answer)
    return _setting_of_ours(o, function, answer) if ours and not args and not kwargs else answer


def _setting_of_ours(o: Observer, function: Any, answer: Any) -> Any:
    """What a function of ours says of the whole program (`get_num_threads()`): asked again in every call."""
    asks = is_a(function, types.FunctionType) and function.__name__.startswith(("get_", "is_", "are_", "initial_seed"))
    if asks and is_a(answer, ATOMS):
        o.ask(operator.call, function, "()", answer)
    return answer


def _answer_to(function: Any, args: Any, kwargs: Any, title: str, parent: Place | None = None) -> Place:
    """The place of what a function answers, which is asked again in every call."""
    return Place(function, "answer", functools.partial(_asked_again, args, kwargs), title, parent)


def _asked_again(args: list[Any], kwargs: dict[str, Any], function: Any) -> Any:
    return function(*args, **kwargs)


def _get(o: Observer, getter: Any, thing: Any) -> Any:
    """What `operator.attrgetter`, `itemgetter` and `methodcaller` do, read as others are."""
    kind, names = getter.__reduce__()
    if is_a(getter, operator.methodcaller):
        named = kind.keywords if is_a(kind, functools.partial) else {}
        method = o.attribute(thing, names[0], getattr(thing, names[0]))
        return called(o, method, list(names[1:]), dict(named))
    found = []
    for name in names:
        value = thing
        if is_a(getter, operator.itemgetter):
            value = o.item(value, name, value[name])
        else:
            for part in name.split("."):
                value = o.attribute(value, part, getattr(value, part))
        found.append(value)
    return found[0] if len(found) == 1 else tuple(found)


_GETTERS = (operator.attrgetter, operator.itemgetter, operator.methodcaller)


def _call_partial(o: Observer, function: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """What a partial calls, with the arguments it has read like others."""
    first, named = list(function.args), dict(function.keywords)
    if id(function) in o.outside:
        read = [o.read(place, part) for place, part in partials.places_in(function, o.place_of(function))]
        first, named = read[: len(first)], dict(zip(named, read[len(first) :], strict=True))
    return called(o, function.func, [*first, *args], {**named, **kwargs})


def runs_followed_code(function: Any) -> bool:
    """Whether calling it runs Python code that is followed."""
    from chainrule.compiler.function import CompiledFunction

    if is_a(function, types.MethodType):
        function = function.__func__
    if is_a(function, types.FunctionType):
        return is_followed(function.__globals__, function.__code__.co_filename) and has_source(function)
    if is_a(function, type):
        return is_followed_class(function)
    if is_a(function, functools.partial):
        return runs_followed_code(function.func)
    return is_a(function, CompiledFunction) or is_followed_class(type(function))


def _walked(o: Observer, part: Any) -> Any:
    return type(part)(o.each(part)) if type(part) in (list, tuple) and id(part) in o.outside else part


def _is_ours(function: Any) -> bool:
    home = getattr(function, "__module__", None) or type(getattr(function, "__self__", None)).__module__ or ""
    return str(home).partition(".")[0] == "chainrule"


def _method_of_container(o: Observer, owner: Any, function: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """A method of a list, dictionary or set from outside."""
    name = function.__name__
    if name in ("get", "__contains__", "__getitem__", "index", "count"):
        args = [o.itself(part) for part in args[:1]] + args[1:]
    for part in args:  # which are compared with its entries
        o.pin(part)
    if name in ("get", "setdefault", "__contains__", "pop") and args:
        o.sought(owner, args[0])
    if is_a(owner, dict):
        if name == "get" and args:
            found = owner.get(args[0], MISSING)
            if found is not MISSING:
                return o.item(owner, args[0], found)
            o.missing(owner, args[0])
            return function(*args, **kwargs)
        if name in ("items", "values") and len(owner) <= FEW:
            o.ask(tuple, owner, ": its keys", tuple(owner))
            read = [(key, o.item(owner, key, value)) for key, value in owner.items()]
            return read if name == "items" else [value for _, value in read]
        if name == "copy" and type(owner) in (dict, WatchedDict, Group):
            return dict(o.spread(owner))
        if name == "keys":
            o.ask(tuple, owner, ": its keys", tuple(owner))
            return function(*args, **kwargs)
        if name == "setdefault" and args and args[0] in owner:
            return o.item(owner, args[0], owner[args[0]])
        if name == "setdefault" and args:
            o.missing(owner, args[0])
    if is_a(owner, set) and name in ("add", "discard") and args:
        o.ask(questions.LacksItem(args[0]), owner, f": whether {args[0]!r:.40} is missing", args[0] not in owner)
    if name in _COMPARE or is_a(owner, set | frozenset):
        o.compare([owner, *args])
    elif name not in _MUTATORS or is_a(owner, Counter):  # which adds to what is there
        o.contents(owner)
    if name in _MUTATORS:
        o.writing(owner)
        if name in _REARRANGE:
            o.rearranges(owner)
        if name == "__setitem__":
            o.assigned(owner, args[0])
        elif name in ("update", "__ior__"):
            args = [put_in(o, owner, part) for part in args]
            put_in(o, owner, kwargs)
    return function(*args, **kwargs)


def put_in(o: Observer, owner: Any, part: Any) -> Any:
    """What `update` and `|=` put into a dictionary, pairs as well: walked through only once."""
    if not is_a(owner, dict) or is_a(owner, Counter):
        return part
    pairs = part if is_a(part, dict) else dict(part)
    for key in pairs:
        o.assigned(owner, key)
    return pairs


# ------------------------------------------------------------------------------------------- numbers that change


def _with_numbers(o: Observer, function: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """A function of numbers, or an operation of a tensor and a number, some of which change."""
    if function in PURE and not kwargs and not any(is_a(a, (list, tuple, dict)) for a in args):
        return apply(function, *args)
    owner, name = getattr(function, "__self__", None), str(getattr(function, "__name__", "")).removesuffix("_")
    if type(owner) in (list, dict, deque) and id(owner) not in o.outside and name in _KEEPING:
        return function(*args, **kwargs)
    if name == "is_tensor" and _is_ours(function):
        return False
    if name in ("full", "tensor") and _is_ours(function):
        return _filled(o, name, args, kwargs)
    tensors = [part for part in (owner, *args, *kwargs.values()) if is_a(part, TensorCell)]
    if not tensors or name not in _ARITHMETIC or not _is_ours(function):
        raise _decide(args, kwargs)
    fractions = [tensor for tensor in tensors if tensor.dtype.is_floating_point]
    like = max(fractions or tensors, key=lambda tensor: tensor.dtype.itemsize)  # 0-d, it widens none of the others
    parts = [o.input_of(part, like) if is_a(part, Number) else part for part in args]
    named = {word: o.input_of(part, like) if is_a(part, Number) else part for word, part in kwargs.items()}
    if numbers_in([parts, named]):
        raise _decide(args, kwargs)
    return function(*parts, **named)


def _filled(o: Observer, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """`full(shape, number)`, `tensor(number)` and `tensor([number, …])` of some that change: floating-point ones."""
    words = ("data",) if name == "tensor" else ("size", "fill_value")
    given = {**dict(zip(words, args, strict=False)), **kwargs}
    numbers, dtype = given.pop(words[-1], None), given.pop("dtype", None)
    listed = numbers if name == "tensor" and is_a(numbers, (list, tuple)) else [numbers]
    values = [part.value if is_a(part, Number) else part for part in listed]
    if len(args) > len(words) or numbers_in([given]) or not all(type(value) in (int, float) for value in values):
        raise _decide(args, kwargs)
    if dtype is None and not any(type(value) is float for value in values):
        raise _decide(args, kwargs)  # a tensor of whole numbers
    like = full((), 0.0, dtype=dtype)
    made = [
        full(given.get("size", ()), o.input_of(part, like) if is_a(part, Number) else part, dtype=like.dtype)
        for part in listed
    ]
    result = stack(made) if listed is numbers else made[0]
    if given.get("device") is not None:
        result = result.to(given["device"])
    return result.requires_grad_(bool(given.get("requires_grad")))


def _decide(*things: Any) -> NumberDecidesError:
    return NumberDecidesError([place for number in numbers_in(list(things), 4) for place in number.places])


def combined(o: Observer, function: Any, x: Any, y: Any) -> Any:
    """An operator between two things, one of which is a number that changes."""
    tensor = x if is_a(x, TensorCell) else y if is_a(y, TensorCell) else None
    if tensor is None:
        if not all(is_a(z, (int, float, Number)) for z in (x, y)):
            raise _decide(x, y)
        return apply(function, x, y)
    if function not in _WITH_TENSORS:
        raise _decide(x, y)
    return function(*[o.input_of(z, tensor) if is_a(z, Number) else z for z in (x, y)])


# ------------------------------------------------------------------------------------------- Python's own functions


def _getattr(o: Observer, function: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    thing, name, *default = args
    if is_a(thing, Number):
        thing.decides()
    o.asked(thing, name)
    value = getattr(thing, name, MISSING)
    if value is not MISSING:
        return o.attribute(thing, name, value)
    o.absent(thing, name)
    return default[0] if default else getattr(thing, name)


def _hasattr(o: Observer, function: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    return _getattr(o, getattr, [*args, MISSING], {}) is not MISSING


def _setattr(o: Observer, function: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    o.writing(args[0])
    if len(args) > 1 and is_a(args[1], str):
        o.assigned(args[0], args[1], is_attribute=True)
    return function(*args, **kwargs)


def _len(o: Observer, function: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    thing = args[0]
    if is_a(thing, Number):
        thing.decides()
    length = function(*args, **kwargs)
    o.use(thing)
    if id(thing) in o.outside and is_a(thing, (*CONTAINERS, np.ndarray)):
        o.ask(len, thing, ": its length", length)
    elif id(thing) in o.outside and not runs_its_own(thing, "__len__"):  # a ChainMap counts what is in its parts
        o.everything(thing)
    return length


def _type(o: Observer, function: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    thing = args[0].value if is_a(args[0], Number) else args[0]
    return function(thing, *args[1:], **kwargs)


def _isinstance(o: Observer, function: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    thing, kinds = args
    if is_a(thing, Number):
        return function(thing.value, kinds)
    if is_a(kinds, tuple):
        o.contents(kinds)
    else:
        o.see(kinds)  # a class of the user's may answer itself
    answer = function(thing, kinds)
    if id(thing) in o.outside and not is_a(thing, TensorCell):
        o.ask(questions.is_one_of(function, kinds), thing, f": {function.__name__}", answer)
    return answer


def _getitem(o: Observer, function: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    thing, key = args
    for number in numbers_in([thing, key]):
        number.decides()
    return o.item(thing, key, thing[key])


def _id(o: Observer, function: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    thing = o.itself(args[0])
    if function is hash:
        o.everything(args[0])
    return function(thing)


def _is(o: Observer, function: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    for number in numbers_in(args):
        number.decides()
    return o.same(*args) is (function is operator.is_)


def _vars(o: Observer, function: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    return o.attribute(args[0], "__dict__", function(*args, **kwargs))


def _next(o: Observer, function: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    if id(args[0]) in o.outside:
        raise TraceError(ITERATOR.format(type(args[0]).__name__))
    return function(*args, **kwargs)


def _walk(o: Observer, function: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """Functions that walk through what they are given."""
    callables = [part for part in (*args, *kwargs.values()) if callable(part)]
    for part in callables:
        o.everything(part) if is_a(part, functools.partial) else o.see(part)
    walked = [part if is_a(part, str | bytes | Number) else o.each(part) for part in args]
    others = not all(map(runs_followed_code, callables))  # then it is C that looks at what is walked through
    if others or (function in _COMPARING and not callables):
        parts = [entry for part in walked if is_a(part, (*CONTAINERS, *questions.VIEWS)) for entry in part]
        o.everything(*parts) if others else o.compare(parts)
    numbers = numbers_in(walked, 1)
    if not numbers or function in (list, tuple, zip, enumerate, reversed, map, filter, iter):
        return function(*walked, **kwargs)
    if function in PURE and not kwargs and not any(is_a(part, list) for part in walked):
        return apply(function, *walked)
    if function is sum and not kwargs:
        total = walked[1] if len(walked) > 1 else 0
        for part in walked[0]:
            several = is_a(total, Number) or is_a(part, Number)
            total = combined(o, operator.add, total, part) if several else operator.add(total, part)
        return total
    raise _decide(walked)


def _print(o: Observer, function: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    return function(*[part.value if is_a(part, Number) else part for part in args], **kwargs)


#: Of these C looks at what the parts are made of.
_COMPARING = frozenset({set, frozenset, sum, min, max, any, all, sorted})
_WALKERS = (list, tuple, set, frozenset, sum, min, max, any, all, sorted, enumerate, zip, map, filter, reversed, iter)
_SPECIAL: dict[Any, Callable[..., Any]] = {
    operator.is_: _is, operator.is_not: _is,
    getattr: _getattr, hasattr: _hasattr, setattr: _setattr, delattr: _setattr, len: _len, isinstance: _isinstance,
    issubclass: _isinstance, type: _type, id: _id, hash: _id, vars: _vars, operator.getitem: _getitem, next: _next,
    print: _print,
    **dict.fromkeys(_WALKERS, _walk),
}  # fmt: skip
