"""PyTorch's `jit`: here Python itself runs, so `script` and `trace` give back what they are given.

The numbers are the same; nothing is faster. What compiles is `chainrule.compile`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Final, TypeVar

from chainrule.absent_names import teller
from chainrule.nn.module import Module

__all__ = [
    "Attribute", "Final", "Future", "ScriptFunction", "ScriptModule", "annotate", "export", "fork", "freeze", "ignore",
    "is_scripting", "is_tracing", "isinstance", "load", "optimize_for_inference", "save", "script", "script_method",
    "trace", "trace_module", "unused", "wait",
]  # fmt: skip

__path__: list[str] = []  # to Python it has modules below it, as PyTorch's has: see places.py

Thing = TypeVar("Thing")

#: A module that was scripted is a module, a function that was is a function.
ScriptModule = Module
ScriptFunction = type(lambda: None)

_noted = False


def _note(name: str) -> None:
    """Say once in a program that nothing is compiled."""
    global _noted
    if not _noted:
        _noted = True
        warnings.warn(
            f"jit.{name} gives back what it is given, and Python runs it: the numbers are the same. "
            "chainrule.compile(…) makes a native program.",
            stacklevel=3,
        )


def script(
    obj: Thing,
    optimize: Any = None,
    _frames_up: int = 0,
    _rcb: Any = None,
    example_inputs: Any = None,
) -> Thing:
    """The function, class or module that is given. A UserWarning says so once.

    >>> import warnings
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")
    ...     @script
    ...     def double(x):
    ...         return x * 2
    >>> double(3)
    6
    """
    _note("script")
    return obj


def trace(func: Thing, example_inputs: Any = None, *args: Any, **kwargs: Any) -> Thing:
    """The function or module that is given. A UserWarning says so once.

    PyTorch's follows the example's branches for ever; this one decides anew with each input.

    >>> import warnings
    >>> import chainrule
    >>> layer = chainrule.nn.Linear(3, 2)
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")
    ...     traced = trace(layer, chainrule.ones(1, 3))
    >>> traced is layer
    True
    """
    _note("trace")
    return func


def trace_module(mod: Thing, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Thing:
    """The module that is given."""
    _note("trace_module")
    return mod


def script_method(fn: Thing) -> Thing:
    """The method that is given."""
    return fn


def export(fn: Thing) -> Thing:
    """The method that is given."""
    return fn


def unused(fn: Thing) -> Thing:
    """The method that is given."""
    return fn


def ignore(drop: Any = False, **kwargs: Any) -> Any:
    """The function that is given, as `@ignore` or `@ignore(drop=…)`."""
    return drop if callable(drop) else lambda fn: fn


def freeze(mod: Module, preserved_attrs: Iterable[str] | None = None, optimize_numerics: bool = True) -> Module:
    """The module that is given. Raises ValueError if it is in training mode, as PyTorch's."""
    if mod.training:
        raise ValueError("jit.freeze takes a module in evaluation mode; call eval() first.")
    return mod


def optimize_for_inference(mod: Module, other_methods: Iterable[str] | None = None) -> Module:
    """The module that is given, in evaluation mode."""
    return mod.eval()


def is_scripting() -> bool:
    """False: Python runs."""
    return False


def is_tracing() -> bool:
    """False: nothing is written down."""
    return False


def annotate(the_type: Any, the_value: Thing) -> Thing:
    """The value."""
    return the_value


def Attribute(value: Thing, type: Any) -> Thing:
    """The value."""
    return value


def isinstance(obj: Any, target_type: Any) -> bool:
    """Python's `isinstance`, which also takes `list[int]` and the like by their containers."""
    import builtins
    from typing import get_origin

    targets: Any = target_type if builtins.isinstance(target_type, tuple) else (target_type,)
    return builtins.isinstance(obj, tuple(get_origin(each) or each for each in targets))


def fork(func: Callable[..., Any], *args: Any, **kwargs: Any) -> Future[Any]:
    """Call a function now; `wait` gives its answer."""
    future: Future[Any] = Future()
    future.set_result(func(*args, **kwargs))
    return future


def wait(future: Future[Any]) -> Any:
    """The answer of what was forked.

    >>> wait(fork(max, 1, 2))
    2
    """
    return future.result()


def save(m: Any, f: Any, _extra_files: Any = None) -> None:
    """`chainrule.save` of the whole module."""
    from chainrule.serialization import save as save_anything

    save_anything(m, f)


def load(f: Any, map_location: Any = None, _extra_files: Any = None, _restore_shapes: bool = False) -> Any:
    """`chainrule.load`: what `save` wrote. PyTorch's own scripted files hold programs and are refused there."""
    from chainrule.serialization import load as load_anything

    return load_anything(f, map_location)


if not TYPE_CHECKING:  # for a name that is not here
    __getattr__ = teller("jit", globals())
