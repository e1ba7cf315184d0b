"""In-place forms: a new value is computed as by the function, and put into the tensor's cell."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any


def in_place(function: Callable[..., Any]) -> Callable[..., Any]:
    """The in-place form of a function: its result is put into the tensor's cell."""

    @functools.wraps(function, updated=())
    def method(input: Any, *args: Any, **kwargs: Any) -> Any:
        return input.assign(function(input, *args, **kwargs))

    name = getattr(function, "__name__", "function").strip("_")
    method.__name__ = f"{name}_"
    method.__doc__ = f"`{name}` in place: the result is put into this tensor, which is returned."
    return method
