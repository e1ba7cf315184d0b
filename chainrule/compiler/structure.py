"""Structures of tensors: lists, tuples and dictionaries taken apart into a form and tensors, and put together again.

>>> import chainrule
>>> leaves = []
>>> form = take_apart({"x": chainrule.ones(2), "n": 3}, leaves)
>>> put_together(form, leaves)
{'x': tensor([1., 1.]), 'n': 3}
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from chainrule.cell import TensorCell


class _Place:
    """Stands in a structure where a tensor is."""

    def __repr__(self) -> str:
        return "tensor"


_PLACE = _Place()


def take_apart(thing: Any, leaves: list[Any]) -> Any:
    """A structure with its tensors taken out: hashable, so that equal forms are found again."""
    if isinstance(thing, TensorCell):
        leaves.append(thing)
        return _PLACE
    if isinstance(thing, tuple | list):
        return type(thing), tuple(take_apart(x, leaves) for x in thing)
    if isinstance(thing, dict):
        return dict, tuple((name, take_apart(x, leaves)) for name, x in thing.items())
    return None, thing


def put_together(form: Any, leaves: Iterable[Any]) -> Any:
    """The structure with tensors in it again."""
    remaining = iter(leaves)
    if form is _PLACE:
        return next(remaining)
    kind, content = form
    if kind is None:
        return content
    if kind is dict:
        return {name: put_together(x, remaining) for name, x in content}
    parts = [put_together(x, remaining) for x in content]
    return kind(*parts) if hasattr(kind, "_fields") else kind(parts)
