"""The largest and the smallest entries, and where they stand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from chainrule.cell import TensorCell
from chainrule.functions.arithmetic import maximum, minimum
from chainrule.functions.dimensions import Dimensions, axes_of, axis_of, kept
from chainrule.primitives import reduction as primitives

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


class ValuesAndIndices(NamedTuple):
    """What `max`, `min`, `sort` and `topk` along a dimension give: the entries and where they stood."""

    values: Any
    indices: Any


def amax(input: Tensor, dim: Dimensions = None, keepdim: bool = False) -> Tensor:
    """The largest entry over `dim`; equal ones share the gradient evenly.

    >>> import chainrule
    >>> chainrule.amax(chainrule.tensor([[1, 5], [7, 2]]), 1)
    tensor([5, 7])
    """
    shape = input.value.array.shape
    axes = axes_of(dim, len(shape), "amax")
    if not axes:
        return input.clone()
    return kept(primitives.Amax.apply(input, axes=axes), shape, axes, keepdim)


def amin(input: Tensor, dim: Dimensions = None, keepdim: bool = False) -> Tensor:
    """The smallest entry over `dim`; equal ones share the gradient evenly.

    >>> import chainrule
    >>> chainrule.amin(chainrule.tensor([[1, 5], [7, 2]]), 1)
    tensor([1, 2])
    """
    return _reversed_order(amax(_reversed_order(input), dim, keepdim))


def _reversed_order(x: Tensor) -> Tensor:
    """A number with the opposite order: −x, or ¬x where −x would overflow (unsigned, most negative, booleans)."""
    return -x if x.dtype.is_floating_point else ~x


def argmax(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Where the largest entry stands: along `dim`, or in the flattened tensor. The first of equals.

    >>> import chainrule
    >>> chainrule.argmax(chainrule.tensor([[1, 5], [7, 2]]), 1)
    tensor([1, 0])
    """
    shape = input.value.array.shape
    if dim is None:
        result = primitives.Argmax.apply(input.reshape(-1), axis=0)
        return result.reshape((1,) * len(shape)) if keepdim else result
    axis = axis_of(dim, len(shape), "argmax")
    if not shape:
        return primitives.Argmax.apply(input.reshape(1), axis=0)
    return kept(primitives.Argmax.apply(input, axis=axis), shape, (axis,), keepdim)


def argmin(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Where the smallest entry stands: along `dim`, or in the flattened tensor. The first of equals.

    >>> import chainrule
    >>> chainrule.argmin(chainrule.tensor([4, 1, 1]))
    tensor(1)
    """
    return argmax(_reversed_order(input), dim, keepdim)


def max(input: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """The largest entry of all; along one `dim` also where it stands; with a tensor, `maximum`.

    >>> import chainrule
    >>> chainrule.max(chainrule.tensor([[1, 5], [7, 2]]), 1)
    ValuesAndIndices(values=tensor([5, 7]), indices=tensor([1, 0]))
    """
    if isinstance(dim, TensorCell):
        return maximum(input, dim)
    if dim is None:
        return amax(input)
    return chosen_at(input, argmax(input, dim, keepdim=True), dim, keepdim)


def min(input: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """The smallest entry of all; along one `dim` also where it stands; with a tensor, `minimum`.

    >>> import chainrule
    >>> chainrule.min(chainrule.tensor([3.0, 0.5, 2.0]))
    tensor(0.5000)
    """
    if isinstance(dim, TensorCell):
        return minimum(input, dim)
    if dim is None:
        return amin(input)
    return chosen_at(input, argmin(input, dim, keepdim=True), dim, keepdim)


def chosen_at(input: Tensor, places: Tensor, dim: int, keepdim: bool) -> ValuesAndIndices:
    """The entries at these places along a dimension, one for each row, and the places."""
    if not input.ndim:
        return ValuesAndIndices(input.clone(), places.reshape(()))
    values = input.gather(dim, places)
    if keepdim:
        return ValuesAndIndices(values, places)
    return ValuesAndIndices(values.squeeze(dim), places.squeeze(dim))


def aminmax(input: Tensor, *, dim: int | None = None, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    """The smallest and the largest entry.

    >>> import chainrule
    >>> chainrule.aminmax(chainrule.tensor([3, 1, 2]))
    (tensor(1), tensor(3))
    """
    return amin(input, dim, keepdim), amax(input, dim, keepdim)
