"""PyTorch's `fx`: here nothing rewrites a module's Python, so `wrap` gives back what it is given.

What it would look at is found otherwise: `chainrule.compile` makes a native program of a function, and
`chainrule.export_program` keeps a model's graph.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from chainrule.absent_names import teller

__all__ = ["wrap"]

__path__: list[str] = []  # to Python it has modules below it, as PyTorch's has: see places.py

Thing = TypeVar("Thing")


def wrap(fn_or_name: Thing) -> Thing:
    """The function, or its name, that is given: PyTorch's tracer would leave its calls as they are.

    >>> @wrap
    ... def double(x):
    ...     return x * 2
    >>> double(3)
    6
    """
    return fn_or_name


if not TYPE_CHECKING:  # for a name that is not here
    __getattr__ = teller("fx", globals())
