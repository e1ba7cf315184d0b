"""PyTorch's deprecated words of losses, `size_average` and `reduce`, at the places where they stand there.

The places matter: in `cross_entropy(scores, labels, weights, False)` the fourth argument is `size_average`, not
`ignore_index`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

Thing = TypeVar("Thing", bound=Callable[..., Any])


def reduction_of(size_average: bool | None, reduce: bool | None, reduction: str) -> str:
    """What the two old words say: not reduced, the mean, or the sum. Without them it is `reduction`.

    >>> reduction_of(None, None, "sum"), reduction_of(False, None, "mean"), reduction_of(True, False, "mean")
    ('sum', 'sum', 'none')
    """
    for name, word in (("size_average", size_average), ("reduce", reduce)):
        if isinstance(word, str):
            raise TypeError(f"{name} is True or False, got {word!r}; say reduction={word!r}, by name.")
    if size_average is None and reduce is None:
        return reduction
    if reduce is False:
        return "none"
    return "sum" if size_average is False else "mean"


def with_old_words(thing: Thing, first: str = "reduce") -> Thing:
    """A loss, function or class, that takes `size_average` and `reduce` too (a decorator).

    first: the argument before which `size_average` stands; `reduce` stands before `reduction`.

    >>> @with_old_words
    ... def loss(input, target, reduction="mean"):
    ...     return reduction
    >>> loss(1, 2, False), loss(1, 2, reduce=False)
    ('sum', 'none')
    """
    if isinstance(thing, type):
        thing.__init__ = with_old_words(thing.__init__, first)  # type: ignore[misc]
        return thing
    signature = inspect.signature(thing)
    if "reduce" in signature.parameters:
        return thing  # the constructor that all losses share has them
    parameters = list(signature.parameters.values())
    for name, place in (("reduce", "reduction"), ("size_average", first)):
        i = next(i for i, p in enumerate(parameters) if p.name == place)
        parameters.insert(i, inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=None))
    order = [p.name for p in parameters]

    @functools.wraps(thing)
    def call(*args: Any, **given: Any) -> Any:
        if len(args) > len(order):
            return thing(*args, **given)  # too many: Python says so
        named = dict(zip(order, args))
        twice = named.keys() & given.keys()
        if twice:
            raise TypeError(f"{thing.__name__}() got multiple values for argument {min(twice)!r}")
        named.update(given)
        old = named.pop("size_average", None), named.pop("reduce", None)
        if old != (None, None):
            named["reduction"] = reduction_of(*old, named.get("reduction", "mean"))
        return thing(**named)

    call.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return call  # type: ignore[return-value]
