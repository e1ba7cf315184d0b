"""The functions that rewritten code calls: each read of the user's code passes one of them on its way.

While no step is traced in this thread they do what the original code did.
"""

from __future__ import annotations

import builtins
import importlib.util
import operator
import sys
import threading
import types
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from chainrule.cell import TensorCell
from chainrule.changes import WatchedDict
from chainrule.compiler import questions
from chainrule.compiler.attributes import runs_its_own
from chainrule.compiler.calls import called, combined, put_in
from chainrule.compiler.contents import CONTAINERS
from chainrule.compiler.numbers import Asked, Number, apply, is_a, numbers_in
from chainrule.compiler.observe import Observer
from chainrule.compiler.places import Place
from chainrule.compiler.sight import is_of_the_user
from chainrule.errors import TraceError


class _PerThread(threading.local):
    observer: Observer | None = None


_per_thread = _PerThread()


@contextmanager
def observing(observer: Observer) -> Iterator[None]:
    """What this thread reads within the block is told to the observer."""
    before, _per_thread.observer = _per_thread.observer, observer
    try:
        yield
    finally:
        _per_thread.observer = before


def _decided(*things: Any) -> None:
    """A number that changes must not be used like this."""
    for thing in things:
        for number in numbers_in(thing):
            number.decides()


def name(value: Any, name: str) -> Any:
    """A global name is read."""
    o = _per_thread.observer
    if o is None:
        return value
    namespace = sys._getframe(1).f_globals
    if name in namespace:
        return o.read(Place(namespace, "entry", name, name), value)
    o.note(Place(vars(builtins), "entry", name, name), value)
    o.note(Place(namespace, "answer", questions.LacksItem(name), f"the module's own {name}"), True)
    return value


def namespace(names: Any) -> Any:
    """The dictionary of all global names is asked for."""
    o = _per_thread.observer
    if o is not None:
        o.mark(names, None)
    return names


def variable(value: Any, name: str, shown: Any) -> Any:
    """A variable of an enclosing function is read."""
    o = _per_thread.observer
    if o is None or id(shown.__closure__[0]) not in o.cells:
        return value
    return o.read(o.variable(shown.__closure__[0], name), value)


def attribute(thing: Any, name: str) -> Any:
    """An attribute is read."""
    o = _per_thread.observer
    if o is None:
        return getattr(thing, name)
    if is_a(thing, Number):
        thing.decides()
    o.asked(thing, name)
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
    if is_a(thing, type) and not hasattr(type(thing), "__getitem__") and hasattr(thing, "__class_getitem__"):
        return call(thing.__class_getitem__, key)  # `Box[float]`: a method of the class
    _decided(thing if is_a(thing, Number) else None, key)
    contents(key)
    if is_a(key, TensorCell) and is_a(thing, dict):
        key = o.itself(key) if id(thing) in o.outside else o.known_as(key, thing)
    o.looked_up(thing, key)
    try:
        value = thing[key]
    except LookupError:
        o.missing(thing, key)
        raise
    return o.item(thing, key, value)


def key(place: Any, assigned: bool = True) -> Any:
    """What stands in the brackets of something that is written to. Of `x[key] += y`, which reads first, it is read."""
    o = _per_thread.observer
    _decided(place)
    if o is not None and is_a(o.written, dict) and id(o.written) not in o.outside:
        place = o.known_as(place, o.written)
    if o is not None and assigned:
        o.assigned(o.written, place)
    return place


def deleted(place: Any) -> Any:
    """What stands in the brackets of something that is taken out: of a list, whose other entries move then."""
    o = _per_thread.observer
    if o is not None:
        o.rearranges(o.written)
    return key(place)


def keyed(made: Any) -> Any:
    """A dictionary or a set was made: an argument and a tensor from outside may be one key."""
    o = _per_thread.observer
    if o is None:
        return made
    kept: list[Any] = []
    for key in list(made):
        if o.known_as(key, kept) is not key:
            raise TraceError(
                "an argument of the step is also a tensor that it reads from outside, and both are keys of a "
                f"{type(made).__name__} that the step makes. Use one of them only, or pass a clone()."
            )
        if is_a(key, TensorCell):
            kept.append(key)
    return made


def call(function: Any, /, *args: Any, **kwargs: Any) -> Any:
    """Something is called."""
    o = _per_thread.observer
    return function(*args, **kwargs) if o is None else called(o, function, list(args), kwargs)


def contents(thing: Any) -> Any:
    """Something is compared or shown: of a container all that is in it counts."""
    o = _per_thread.observer
    if is_a(thing, Number):
        thing.decides()
    if o is not None:
        o.compare(thing)
    return thing


def comparand(thing: Any) -> Any:
    """One side of `<`, `==` and the like: what is said of a number that changes is another such."""
    return thing if is_a(thing, Number) else contents(thing)


def same(x: Any, y: Any) -> bool:
    """`x is y`."""
    o = _per_thread.observer
    if o is not None:  # what is said of a number is True or False
        x, y = (o.decision(z) if is_a(z, Number) and type(z.value) is bool else z for z in (x, y))
    _decided(x, y)
    return x is y if o is None else o.same(x, y)


def within(part: Any, whole: Any) -> bool:
    """`part in whole`."""
    o = _per_thread.observer
    contents(part)
    if not is_a(whole, WatchedDict):  # of which only the key is asked for: see `sought`
        contents(whole)
    if o is not None and is_a(part, TensorCell):
        if id(whole) in o.outside:
            part = o.itself(part)
        elif is_a(whole, CONTAINERS):
            part = o.known_as(part, whole)
    if o is not None:
        o.sought(whole, part)
    return part in whole


def without(part: Any, whole: Any) -> bool:
    """`part not in whole`."""
    return not within(part, whole)


def other(x: Any, y: Any) -> bool:
    """`x is not y`."""
    return not same(x, y)


def compared(functions: tuple[Any, ...], first: Any, *others: Callable[..., Any]) -> Any:
    """`a is b == c`: comparisons in a chain, up to the first that is not true."""
    left, answer = first, True
    for i, (function, another) in enumerate(zip(functions, others, strict=True)):
        right = another()
        if function not in (same, other, within, without, operator.is_, operator.is_not):
            comparand(left)
            comparand(right)
        answer = function(left, right)
        if i + 1 < len(functions) and not truth(answer):
            break
        left = right
    return answer


def everything(thing: Any) -> Any:
    """Something is taken apart by a `match`."""
    o = _per_thread.observer
    _decided(thing)
    if o is not None:
        o.everything(thing)
    return thing


def truth(thing: Any) -> Any:
    """Something is asked whether it is true."""
    o = _per_thread.observer
    if is_a(thing, Number):
        return thing.decides() if o is None else o.decision(thing)
    if o is not None and id(thing) in o.outside:
        o.use(thing)
        if is_a(thing, CONTAINERS):
            o.ask(bool, thing, ": whether it is empty", bool(thing))
        elif is_a(thing, np.ndarray):
            o.contents(thing)
        elif hasattr(type(thing), "__len__") and not (
            runs_its_own(thing, "__bool__") or runs_its_own(thing, "__len__")
        ):
            o.everything(thing)
    return thing


def operand(thing: Any) -> Any:
    """What stands before `and` or `or` is asked whether it is true, and may be the answer itself."""
    o = _per_thread.observer
    if o is None or not is_a(thing, Number):
        return truth(thing)
    answer = o.decision(thing)
    return answer if type(thing.value) is bool else Asked(thing, answer)


def unary(function: Any, x: Any) -> Any:
    """An operator with one side."""
    if is_a(x, Number):
        return apply(function, x)
    return function(contents(x))


def binary(function: Any, x: Any, y: Any) -> Any:
    """An operator with two sides."""
    o = _per_thread.observer
    if o is None:
        return function(x, y)
    if is_a(x, Number) or is_a(y, Number):
        return combined(o, function, x, y)
    o.use(x)
    o.use(y)
    if not is_a(x, TensorCell) and not is_a(y, TensorCell):
        contents(x)
        contents(y)
    return function(x, y)


def in_place(function: Any, x: Any, y: Any) -> Any:
    """`x += y` and the like."""
    o = _per_thread.observer
    if o is not None and is_a(x, (list, dict, set, deque, np.ndarray)):
        o.writing(x)
        contents(y)
        return function(x, put_in(o, x, y) if function is operator.ior else y)
    return binary(function, x, y)


def each(thing: Any) -> Any:
    """Something is walked through."""
    o = _per_thread.observer
    if is_a(thing, Number):
        thing.decides()
    return thing if o is None else o.each(thing)


def spread(thing: Any) -> Any:
    """A dictionary is spread out: `**settings`."""
    o = _per_thread.observer
    if o is not None:
        o.use(thing)
    if o is None or not is_a(thing, dict):
        return each(thing)
    return o.spread(thing)


def unpacked(thing: Any, shape: tuple[Any, Any]) -> Any:
    """Something is taken apart: `a, (b, c) = thing`. `shape` says what of it is taken apart further."""
    walked = each(thing)
    if not is_a(walked, (list, tuple)):
        return walked
    first, last = shape
    parts = list(walked)
    for i, inner in [*enumerate(first), *((i - len(last), inner) for i, inner in enumerate(last))]:
        if inner is not None and -len(parts) <= i < len(parts):
            parts[i] = unpacked(parts[i], inner)
    return parts


def each_unpacked(thing: Any, shape: tuple[Any, Any]) -> Any:
    """Something is walked through and its parts are taken apart: `for a, b in thing`."""
    if _per_thread.observer is None:
        return thing
    return (unpacked(part, shape) for part in each(thing))


def writing(thing: Any, attribute: str | None = None) -> Any:
    """An attribute, or an item, whose key comes next, is about to be written."""
    o = _per_thread.observer
    if o is not None:
        o.writing(thing)
        o.written = thing
        if attribute is not None:
            o.assigned(thing, attribute, is_attribute=True)
    return thing


def assigns(name: str, shown: Any) -> None:
    """A function that declares a variable global or nonlocal begins."""
    o = _per_thread.observer
    if o is None:
        return
    if shown is None:
        o.assigns(Place(sys._getframe(1).f_globals, "entry", name, name))
    elif id(shown.__closure__[0]) in o.cells:
        o.assigns(o.variable(shown.__closure__[0], name))


def evaluated(source: Any) -> Any:
    """A text is run as code (`eval`, `exec`), which is not followed: all that it names counts."""
    o = _per_thread.observer
    if o is None or not is_a(source, str | bytes | types.CodeType):
        return source
    try:
        code = source if is_a(source, types.CodeType) else compile(source.strip(), "<text>", "exec")
    except SyntaxError:  # which it will raise itself
        return source
    o.see_named(code, sys._getframe(1).f_globals)
    return source


def imported(value: Any, module: str, name: str) -> None:
    """A name was imported from a module within a function."""
    o = _per_thread.observer
    if o is None:
        return
    if module.startswith("."):
        module = importlib.util.resolve_name(module, sys._getframe(1).f_globals["__package__"])
    if module in sys.modules:
        if is_of_the_user(sys.modules[module]):
            o.note(Place(sys.modules, "entry", module, f"the module {module}"), sys.modules[module])
        o.attribute(sys.modules[module], name, value)


READERS: dict[str, Callable[..., Any]] = {
    f.__name__: f
    for f in (name, namespace, variable, attribute, item, key, deleted, keyed, call, contents, comparand, same,
              other, within, without, compared, everything, truth, operand, unary, binary, in_place, each, unpacked,
              each_unpacked, spread, writing, assigns, evaluated, imported)
}  # fmt: skip
