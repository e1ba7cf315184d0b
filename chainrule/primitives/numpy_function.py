"""`NumPyFunction`: what a function of arrays answers, where its shape is known beforehand and it has no gradient.

For what is not worth a primitive of its own: a look-up in an ordered sequence, a histogram. A traced program holds it
as an equation and calls the function in each run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.primitives.primitive import Primitive
from chainrule.primitives.value import Array, Form

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


class NumPyFunction(Primitive):
    """z = function(x, …), several results in the forms given; `settings` are pairs of a name and a value."""

    latex = r"f(x)"

    @staticmethod
    def shape(
        *arrays: Array, function: Callable[..., Any], settings: tuple[tuple[str, Any], ...], forms: tuple[Form, ...]
    ) -> list[Form]:
        return list(forms)

    @staticmethod
    def evaluate(
        *arrays: Array, function: Callable[..., Any], settings: tuple[tuple[str, Any], ...], forms: tuple[Form, ...]
    ) -> tuple[Array, ...]:
        results = function(*arrays, **dict(settings))
        return tuple(np.asarray(part) for part in (results if isinstance(results, tuple) else (results,)))


def by_numpy(
    function: Callable[..., Any], *tensors: Tensor, forms: Sequence[tuple[Any, Any]], **settings: Any
) -> tuple[Tensor, ...]:
    """The results of `function(*arrays, **settings)` as tensors, now or in each run of what is traced.

    Args:
        function: a function of a module (not made anew in each call) that answers an array or a tuple of arrays; it may
            raise an error for numbers that it cannot use.
        tensors: whose arrays it gets.
        forms: shape and NumPy data type of each result.
        settings: what else it gets; values that can be keys of a dictionary.
    """
    given = tuple((tuple(shape), np.dtype(dtype)) for shape, dtype in forms)
    return NumPyFunction.apply(*tensors, function=function, settings=tuple(settings.items()), forms=given)
