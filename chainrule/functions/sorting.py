"""Entries in order, and what stands at a given place of that order."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.cell import TensorCell
from chainrule.errors import ShapeError
from chainrule.functions.autocasting import in_single
from chainrule.functions.dimensions import axis_of
from chainrule.functions.extremes import ValuesAndIndices, chosen_at
from chainrule.functions.pieces import stack
from chainrule.functions.promotion import constant
from chainrule.functions.reduction import need_floating, sum
from chainrule.primitives import reduction as primitives
from chainrule.primitives.constants import constant as tensor_of
from chainrule.primitives.indexing import take_along
from chainrule.primitives.ordering import first_places
from chainrule.state import current_state

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


def median(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The middle entry in order, the lower of two (NaN if there is one); along `dim` also where it stands.

    >>> import chainrule
    >>> chainrule.median(chainrule.tensor([3.0, 1.0, 2.0, 4.0]))
    tensor(2.)
    """
    if dim is None:
        if not input.numel():
            need_floating(input, "median of no entries")
            return sum(input) / 0  # NaN
        return median(input.reshape(-1), 0).values
    axis = axis_of(dim, input.ndim, "median")
    if not input.ndim:
        return ValuesAndIndices(input.clone(), constant(0, np.dtype(np.int64)))
    extent = input.shape[axis]
    if not extent:
        raise ShapeError(f"median: nothing to choose from along dimension {dim} of shape {tuple(input.shape)}.")
    _, indices = sort(input, axis)
    middle = indices.narrow(axis, (extent - 1) // 2, 1)
    if input.dtype.is_floating_point:  # NaN is sorted to the end; with one the median is NaN
        last = indices.narrow(axis, extent - 1, 1)
        middle = last.where(input.gather(axis, last).isnan(), middle)
    return chosen_at(input, middle, axis, keepdim)


#: How far from the entry below to the one above, of how far the place lies from it.
_BETWEEN: dict[str, Callable[[float, int], float]] = {
    "linear": lambda part, low: part,
    "lower": lambda part, low: 0.0,
    "higher": lambda part, low: float(part > 0),
    "midpoint": lambda part, low: 0.5 if part else 0.0,
    "nearest": lambda part, low: builtins.round(low + part) - low,  # halves to the even place, as PyTorch does
}


@in_single
def quantile(
    input: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Tensor:
    """The number below which a share q of the entries lies; of several shares, a vector q, along a new first dimension.

    interpolation: what is taken between two entries: "linear", "lower", "higher", "midpoint" or "nearest".

    >>> import chainrule
    >>> chainrule.quantile(chainrule.tensor([0.0, 1.0, 2.0, 3.0]), 0.5)
    tensor(1.5000)
    >>> chainrule.quantile(chainrule.tensor([0.0, 1.0, 2.0, 3.0]), chainrule.tensor([0.5, 1.0]))
    tensor([1.5000, 3.0000])
    """
    need_floating(input, "quantile")
    several = isinstance(q, TensorCell) and q.ndim > 0
    shares = need_shares("quantile", q, interpolation, input)
    slopes: Any = [None] * len(shares)
    if isinstance(q, TensorCell) and q.requires_grad and interpolation == "linear":  # only there it varies with q
        slopes = q.reshape(-1).unbind()  # type: ignore[attr-defined]
    x = input.reshape(-1) if dim is None or not input.ndim else input
    axis = 0 if dim is None else axis_of(dim, input.ndim, "quantile")
    ordered = sort(x, axis).values
    found = [
        _entry_between(ordered, axis, share, interpolation, slope) for share, slope in zip(shares, slopes, strict=True)
    ]
    if dim is None and keepdim:
        found = [value.reshape((1,) * input.ndim) for value in found]
    elif not keepdim or not input.ndim:
        found = [value.squeeze(axis) for value in found]
    return stack(found) if several else found[0]


def need_shares(name: str, q: Any, interpolation: str, input: Tensor) -> list[float]:
    """The shares as a list. Raises for what is no share, for another interpolation, and where there is no entry.

    >>> import chainrule
    >>> need_shares("quantile", 0.5, "linear", chainrule.ones(2))
    [0.5]
    """
    shares: list[float] = q.tolist() if isinstance(q, TensorCell) and q.ndim > 0 else [float(q)]  # type: ignore[attr-defined]
    if not builtins.all(0 <= share <= 1 for share in shares):
        raise ShapeError(f"{name}: q lies in [0, 1], got {shares if len(shares) > 1 else shares[0]}.")
    if interpolation not in _BETWEEN:
        raise ValueError(f"{name}: interpolation is one of {', '.join(_BETWEEN)}, got {interpolation!r}.")
    if not input.numel():
        raise ShapeError(f"{name}: no entries to choose from in shape {tuple(input.shape)}.")
    return shares


def _entry_between(ordered: Tensor, axis: int, share: float, interpolation: str, slope: Any) -> Tensor:
    """What stands at a share of sorted entries; NaN, which is sorted to the end, hides everything."""
    extent = ordered.shape[axis]
    place = share * (extent - 1)
    low = int(place)
    below, above = ordered.narrow(axis, low, 1), ordered.narrow(axis, builtins.min(low + 1, extent - 1), 1)
    part: Any = _BETWEEN[interpolation](place - low, low)
    if slope is not None:
        part = slope * (extent - 1) - low
    if slope is None and part in (0, 1):  # a difference of infinities times 0 would be NaN
        value = above if part else below
    else:
        value = below + (above - below) * part
    last = ordered.narrow(axis, extent - 1, 1)
    return last.where(last.isnan(), value)


def sort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = True) -> ValuesAndIndices:
    """The entries in order along `dim`, and where each came from. Equal ones keep their order always; NaN is largest.

    >>> import chainrule
    >>> chainrule.sort(chainrule.tensor([3, 1, 2]))
    ValuesAndIndices(values=tensor([1, 2, 3]), indices=tensor([1, 2, 0]))
    """
    axis = axis_of(dim, input.ndim, "sort")
    x = input if input.ndim else input.reshape(1)
    values, indices = primitives.Sort.apply(x, axis=axis, descending=descending)
    return ValuesAndIndices(values.reshape(input.shape), indices.reshape(input.shape))


def argsort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """The places that put the entries in order along `dim`.

    >>> import chainrule
    >>> chainrule.argsort(chainrule.tensor([3, 1, 2]), descending=True)
    tensor([0, 2, 1])
    """
    return sort(input, dim, descending).indices


def topk(input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> ValuesAndIndices:
    """The k largest (or smallest) entries along `dim`, in order, and where they stood.

    >>> import chainrule
    >>> chainrule.topk(chainrule.tensor([1.0, 9.0, 4.0]), 2).values
    tensor([9., 4.])
    """
    axis = axis_of(dim, input.ndim, "topk")
    x = input if input.ndim else input.reshape(1)
    if not 0 <= k <= x.shape[axis]:
        raise ShapeError(f"topk: k={k} of {x.shape[axis]} entries along dimension {dim}.")
    found = _first_places(x, k, axis, largest)
    if found is not None:
        return ValuesAndIndices(take_along(x, axis, found), found)
    values, indices = sort(x, axis, descending=largest)
    if not input.ndim:
        return ValuesAndIndices(values.reshape(()), indices.reshape(()))
    return ValuesAndIndices(values.narrow(axis, 0, k), indices.narrow(axis, 0, k))


def _first_places(x: Tensor, k: int, axis: int, descending: bool) -> Tensor | None:
    """Where the first k entries stand, found in eager code by looking at them; None where all are to be sorted."""
    state, array = current_state(), x.value.array
    if state.trace is not None or state.recording is not None or type(array) is not np.ndarray:
        return None
    places = first_places(array, k, axis, descending)
    return None if places is None else tensor_of(places)
