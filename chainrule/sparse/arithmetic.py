"""What sparse tensors are computed with: operators and functions, as methods of `SparseTensor`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.errors import ShapeError, SparseError
from chainrule.functions.creation import make
from chainrule.functions.pieces import cat
from chainrule.functions.promotion import is_sparse, is_tensor
from chainrule.sparse import products, sums
from chainrule.sparse.places import linear, places_of

if TYPE_CHECKING:
    from chainrule.tensor import Tensor

#: The operators of sparse tensors by the primitive that they are of dense ones: with the sparse one first, and second.
_OPERATORS = {
    "Add": ("__add__", "__radd__"),
    "Subtract": ("__sub__", "__rsub__"),
    "Multiply": ("__mul__", "__rmul__"),
    "Divide": ("__truediv__", None),
}


class Arithmetic:
    """`A @ x`, `A + B`, `A.sum()`, `A.relu()` and their like; entries at one place are added where that matters."""

    def __matmul__(self: Any, other: Any) -> Any:
        return products.mm(self, other)

    def __rmatmul__(self: Any, other: Any) -> Any:
        return products.mm(other, self)

    matmul = mm = mv = spmm = __matmul__

    def __mul__(self: Any, other: Any) -> Any:
        """Multiples by a number; by a dense or sparse tensor of the same shape, entry by entry."""
        if is_sparse(other):
            return self._times_sparse(other)
        if is_tensor(other) and other.ndim:
            if tuple(other.shape) != tuple(self.shape):
                raise ShapeError(f"a sparse {tuple(self.shape)} times {tuple(other.shape)}: the shapes must be equal.")
            there = other.reshape(-1, *self._entries.shape[1:])[linear(self._places, self._listed())]
            return self._with(self._entries * there)
        return self._with(self._entries * other)

    __rmul__ = mul = multiply = __mul__

    def _times_sparse(self: Any, other: Any) -> Any:
        self._need_same(other, "*")
        one, two = self.coalesce(), other.coalesce()
        first, second = (linear(x._places.array, x._listed()) for x in (one, two))
        both, mine, theirs = np.intersect1d(first, second, assume_unique=True, return_indices=True)
        entries = one._entries[make(mine)] * two._entries[make(theirs)]
        return type(self)(make(places_of(both, self._listed())), entries, self.shape, True)

    def __truediv__(self: Any, other: Any) -> Any:
        if is_sparse(other) or (is_tensor(other) and other.ndim):
            raise SparseError("a sparse tensor is divided by numbers only: zero divided by zero has no value.")
        return self._with(self._entries / other)

    div = __truediv__

    def __neg__(self: Any) -> Any:
        return self._with(-self._entries)

    def __add__(self: Any, other: Any) -> Any:
        """The sum with a sparse tensor is sparse, with a dense one dense."""
        if is_sparse(other):
            self._need_same(other, "+")
            places, entries = cat([self._places, other._places], 1), cat([self._entries, other._entries], 0)
            return type(self)(places, entries, self.shape)
        if is_tensor(other):
            return other + self.to_dense()
        raise SparseError(f"a sparse tensor plus {other!r}: every zero would become that number; use to_dense().")

    __radd__ = add = __add__

    def __sub__(self: Any, other: Any) -> Any:
        return self + (-other)

    def __rsub__(self: Any, other: Any) -> Any:
        return (-self) + other

    sub = __sub__

    def _need_same(self: Any, other: Any, what: str) -> None:
        if tuple(self.shape) != tuple(other.shape) or self.sparse_dim() != other.sparse_dim():
            raise ShapeError(
                f"sparse {tuple(self.shape)} {what} sparse {tuple(other.shape)}: the shapes must be equal."
            )

    def __pow__(self: Any, exponent: Any) -> Any:
        if not isinstance(exponent, int | float) or exponent <= 0:
            raise SparseError(f"a sparse tensor to the power {exponent!r}: zeros stay zero for positive numbers only.")
        return self._mapped(lambda entries: entries**exponent)

    pow = __pow__

    def _mapped(self: Any, function: Callable[[Tensor], Tensor]) -> Any:
        """A function that leaves zero at zero, of the values: those of one place are added before."""
        whole = self.coalesce()
        return whole._with(function(whole._entries))

    def sum(self: Any, dim: Any = None, dtype: Any = None) -> Any:
        """See `sparse.sum`."""
        return sums.sum(self, dim, dtype)

    def norm(self: Any, p: Any = 2) -> Tensor:
        """The norm of all entries."""
        return self.coalesce()._entries.reshape(-1).norm(p)

    @staticmethod
    def elementwise(primitive: str, x: Any, y: Any) -> Any:
        """What an elementwise operation of two arguments is where one of them is sparse.

        Raises SparseError unless it adds, subtracts, multiplies or divides a sparse tensor.
        """
        first, second = _OPERATORS.get(primitive, (None, None))
        if is_sparse(x) and first:
            return getattr(x, first)(y)
        if is_sparse(y) and second:
            return getattr(y, second)(x)
        raise SparseError(f"{primitive} is not there for sparse tensors; use to_dense(), or their _values().")


def _mapping(name: str) -> Callable[[Any], Any]:
    def method(self: Any) -> Any:
        return self._mapped(lambda entries: getattr(entries, name)())

    method.__name__, method.__doc__ = name, f"`{name}` of every entry; zero stays zero."
    return method


#: Functions that are zero at zero.
for _name in (
    "abs", "asin", "asinh", "atan", "atanh", "ceil", "erf", "expm1", "floor", "log1p", "relu", "round", "sign", "sin",
    "sinh", "sqrt", "square", "tan", "tanh", "trunc",
):  # fmt: skip
    setattr(Arithmetic, _name, _mapping(_name))


def _converting(name: str) -> Callable[[Any], Any]:
    def method(self: Any) -> Any:
        return self._with(getattr(self._entries, name)())

    method.__name__, method.__doc__ = name, f"With values converted as by `Tensor.{name}`."
    return method


for _name in ("float", "double", "half", "bfloat16", "long", "int", "bool"):
    setattr(Arithmetic, _name, _converting(_name))
