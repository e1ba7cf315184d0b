"""PyTorch's names from before functions that work in place ended in "_"."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
Result = TypeVar("Result")


def older_name(function: Callable[P, Result]) -> Callable[P, Result]:
    """The same function under its name without "_", with a FutureWarning at each call.

    >>> import chainrule, warnings
    >>> zeros = older_name(chainrule.nn.init.zeros_)
    >>> with warnings.catch_warnings(record=True, action="always") as seen:
    ...     zeros(chainrule.ones(2))
    tensor([0., 0.])
    >>> print(seen[0].message)
    zeros is the old name of zeros_.
    """
    name = function.__name__

    @functools.wraps(function)
    def older(*args: P.args, **kwargs: P.kwargs) -> Result:
        warnings.warn(f"{name[:-1]} is the old name of {name}.", FutureWarning, stacklevel=2)
        return function(*args, **kwargs)

    return older
