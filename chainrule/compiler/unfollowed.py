"""What a traced step must not do in Python, because a compiled one would not do it in every run: draw, ask for time.

Nor may it read through weak references, to which a program makes a difference. Each refusal names what it refuses and
says what to write.
"""

from __future__ import annotations

import random
import threading
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.errors import TraceError

_CLOCKS = frozenset({"time", "time_ns", "perf_counter", "perf_counter_ns", "monotonic", "process_time", "now", "today",
                     "utcnow"})  # fmt: skip


ITERATOR = (
    "a compiled step takes from an iterator that was there before ({0}): it would take once, when it is traced. Take "
    "outside of the compiled function and pass what was taken as an argument."
)


#: What shows things without keeping them alive, beside `weakref.ref`.
_WEAK: tuple[type, ...] = (
    weakref.ProxyType,
    weakref.CallableProxyType,
    weakref.WeakValueDictionary,
    weakref.WeakKeyDictionary,
    weakref.WeakSet,
)


def refuse_weak(thing: Any) -> None:
    """Raise a TraceError if something from outside, which the step uses, keeps nothing alive and shows what is left.

    What a step has read lives as long as its programs: it would be there still where eager code finds it gone. A
    `weakref.ref` that is dead stays dead, so its answer None is one like others.
    """
    kind = type(thing)
    if issubclass(kind, _WEAK) or (issubclass(kind, weakref.ref) and weakref.ref.__call__(thing) is not None):
        raise TraceError(
            f"a compiled step reads through a weak reference ({kind.__name__}): what a step has read lives as long as "
            "its programs, so this would go on showing what is gone elsewhere. Keep the object under an ordinary name, "
            "in an attribute or a dictionary, or look the reference up outside and pass the object as an argument."
        )


def refuse_unfollowed(function: Any, is_outside: Callable[[Any], bool]) -> None:
    """Raise a TraceError if this function answers something else in every call.

    >>> refuse_unfollowed(random.random, lambda thing: False)
    Traceback (most recent call last):
        ...
    chainrule.errors.TraceError: random() draws once, when the step is traced, and every run would use that number. ...
    """
    owner = getattr(function, "__self__", None)
    name = getattr(function, "__name__", "")
    if _draws(owner, is_outside):
        raise TraceError(
            f"{name}() draws once, when the step is traced, and every run would use that number. Draw with chainrule "
            "(rand, randn, randint, dropout: they follow its generators), or outside, and pass it as an argument."
        )
    if name in _CLOCKS and (getattr(owner, "__module__", "") == "datetime" or function.__module__ == "time"):
        raise TraceError(
            f"{name}() is read once, when the step is traced, and every run would use that time. Read the clock "
            "outside of the compiled function."
        )
    if (name == "start" and isinstance(owner, threading.Thread)) or (name in ("submit", "map") and _is_a_pool(owner)):
        raise TraceError(
            f"{name}() lets another thread or process run, which cannot be followed while the step is traced. Start it "
            "outside of the compiled function, or do the work in the step itself."
        )
    if name == "input" and function.__module__ == "builtins":
        raise TraceError("input() asks once, when the step is traced. Ask outside of the compiled function.")


def _draws(owner: Any, is_outside: Callable[[Any], bool]) -> bool:
    if isinstance(owner, random.Random):
        return owner is _OF_PYTHON or is_outside(owner)
    if isinstance(owner, np.random.RandomState):
        return owner is _OF_NUMPY or is_outside(owner)
    return isinstance(owner, np.random.Generator) and is_outside(owner)


def _is_a_pool(owner: Any) -> bool:
    return (type(owner).__module__ or "").startswith(("concurrent.futures", "multiprocessing.pool"))


_OF_PYTHON = random.random.__self__  # type: ignore[attr-defined]
_OF_NUMPY = np.random.rand.__self__  # type: ignore[attr-defined]
