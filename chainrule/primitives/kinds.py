"""Kinds of elementwise primitives: of one argument, of two, comparisons."""

from __future__ import annotations

import numpy as np

from chainrule.primitives.primitive import Primitive, same_shape
from chainrule.primitives.value import Array, Form

_boolean = np.dtype(np.bool_)


class Unary(Primitive, abstract=True):
    """One argument, a result of the same shape and data type."""

    @staticmethod
    def shape(x: Array) -> Form:
        return x.shape, x.dtype


class Binary(Primitive, abstract=True):
    """Two arguments of one shape and data type, and so is the result."""

    @classmethod
    def shape(cls, x: Array, y: Array) -> Form:
        if x.shape != y.shape:
            same_shape(cls.name, x, y)
        return x.shape, x.dtype


class Comparison(Primitive, abstract=True):
    """Two arguments of one shape and data type; a boolean result, which has no gradient."""

    @classmethod
    def shape(cls, x: Array, y: Array) -> Form:
        same_shape(cls.name, x, y)
        return x.shape, _boolean
