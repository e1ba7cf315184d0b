"""Finding entries by their order or their value, and counting them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from chainrule.cell import TensorCell
from chainrule.devices import CPU
from chainrule.errors import DTypeError, ShapeError
from chainrule.functions.counting import axis_of_slices
from chainrule.functions.creation import arange, as_tensor, make, read_shape
from chainrule.functions.dimensions import axis_of
from chainrule.functions.extremes import ValuesAndIndices, argmax
from chainrule.functions.promotion import as_floating, is_tensor
from chainrule.functions.running import cummax
from chainrule.functions.sorting import sort
from chainrule.primitives.numpy_function import by_numpy
from chainrule.primitives.reduction import SearchSorted

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


def searchsorted(
    sorted_sequence: Tensor,
    input: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Tensor | None = None,
) -> Tensor:
    """Before which entry of a sequence in order each value belongs; after its equals with `right` (or side="right").

    sorter: where the entries in order stand in `sorted_sequence` (its argsort), if that is not in order itself.
    sorted_sequence: a vector, or with all but the last dimension equal to those of `input`, a sequence for each row.

    >>> import chainrule
    >>> chainrule.searchsorted(chainrule.tensor([1, 3, 5]), chainrule.tensor([0, 3, 9]))
    tensor([0, 1, 3])
    """
    if side not in (None, "left", "right"):
        raise ValueError(f"searchsorted: side is 'left' or 'right', got {side!r}.")
    if right and side == "left":
        raise ValueError("searchsorted: right=True and side='left' contradict each other; give one of them.")
    right = right or side == "right"
    if sorter is not None:
        sorted_sequence = sorted_sequence.gather(-1, sorter)
    values = input if is_tensor(input) else as_tensor(input, device=sorted_sequence.device)
    dtype = np.int32 if out_int32 else np.int64
    if sorted_sequence.ndim == 1:
        form, side = (tuple(values.shape), dtype), "right" if right else "left"
        return by_numpy(_places_in_order, sorted_sequence, values, forms=[form], side=side)[0]
    if tuple(sorted_sequence.shape[:-1]) != tuple(values.shape[:-1]):
        raise ShapeError(
            f"searchsorted: sequences {tuple(sorted_sequence.shape)} and values {tuple(values.shape)} must agree in "
            "all dimensions but the last; or give one vector for all values."
        )
    return SearchSorted.apply(sorted_sequence.detach(), values.detach(), right=right).to(dtype)


def _places_in_order(sequence: Any, values: Any, side: Any) -> Any:
    return np.searchsorted(sequence, values, side)


def bucketize(input: Any, boundaries: Tensor, *, out_int32: bool = False, right: bool = False) -> Tensor:
    """In which interval between the boundaries each value lies; a value on a boundary is below it, with `right` above.

    >>> import chainrule
    >>> chainrule.bucketize(chainrule.tensor([0.5, 2.0, 9.0]), chainrule.tensor([1.0, 2.0, 3.0]))
    tensor([0, 1, 3])
    """
    if boundaries.ndim != 1:
        raise ShapeError(f"bucketize: the boundaries are a vector, got shape {tuple(boundaries.shape)}.")
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)


def isin(elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False) -> Tensor:
    """Whether each element is one of the test elements (with `invert`: is none of them).

    >>> import chainrule
    >>> chainrule.isin(chainrule.tensor([1, 2, 3]), chainrule.tensor([3, 1]))
    tensor([ True, False,  True])
    """
    device = elements.device if is_tensor(elements) else test_elements.device
    given, among = (x if is_tensor(x) else as_tensor(x, device=device) for x in (elements, test_elements))
    return by_numpy(_are_in, given, among, forms=[(tuple(given.shape), np.bool_)], invert=invert)[0]


def _are_in(elements: Any, among: Any, invert: bool) -> Any:
    return np.isin(elements, among, invert=invert)


def _pick(input: Tensor, places: Tensor, axis: int, keepdim: bool) -> ValuesAndIndices:
    values = input.gather(axis, places)
    return ValuesAndIndices(values, places) if keepdim else ValuesAndIndices(values.squeeze(axis), places.squeeze(axis))


def kthvalue(input: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> ValuesAndIndices:
    """The k-th smallest entry along `dim`, counted from 1, and where it stands.

    >>> import chainrule
    >>> chainrule.kthvalue(chainrule.tensor([9.0, 1.0, 4.0]), 2)
    ValuesAndIndices(values=tensor(4.), indices=tensor(2))
    """
    axis = axis_of(dim, input.ndim, "kthvalue")
    x = input if input.ndim else input.reshape(1)
    if not 1 <= k <= x.shape[axis]:
        raise ShapeError(f"kthvalue: k={k} of {x.shape[axis]} entries along dimension {dim}.")
    return _pick(x, sort(x, axis).indices.narrow(axis, k - 1, 1), axis, keepdim and bool(input.ndim))


def mode(input: Tensor, dim: int = -1, keepdim: bool = False) -> ValuesAndIndices:
    """The most frequent entry along `dim`, the smallest of equally frequent ones, and where it stands last.

    >>> import chainrule
    >>> chainrule.mode(chainrule.tensor([3, 1, 3, 1, 2]))
    ValuesAndIndices(values=tensor(1), indices=tensor(3))
    """
    axis = axis_of(dim, input.ndim, "mode")
    x = input if input.ndim else input.reshape(1)
    extent = x.shape[axis]
    if not extent:
        raise ShapeError(f"mode: nothing to choose from along dimension {dim} of shape {tuple(input.shape)}.")
    ordered, places = sort(x.detach(), axis)
    here = arange(extent, device=x.device).reshape((-1,) + (1,) * (x.ndim - 1 - axis)).expand(tuple(x.shape))
    begins = ordered.narrow(axis, 1, extent - 1) != ordered.narrow(axis, 0, extent - 1)
    begin = here.clone()
    begin.narrow(axis, 1, extent - 1).copy_(here.narrow(axis, 1, extent - 1) * begins)
    run = here - cummax(begin, axis).values  # how many equal ones came before
    longest = argmax(run, axis, keepdim=True)
    return _pick(x, places.gather(axis, longest), axis, keepdim and bool(input.ndim))


def nanmedian(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """As `median`, of the entries that are not NaN.

    >>> import chainrule
    >>> chainrule.nanmedian(chainrule.tensor([3.0, float("nan"), 1.0]))
    tensor(1.)
    """
    if dim is None:
        return nanmedian(input.reshape(-1), 0).values if input.numel() else input.sum() / 0
    axis = axis_of(dim, input.ndim, "nanmedian")
    x = input if input.ndim else input.reshape(1)
    there = (~x.isnan()).sum(axis, keepdim=True)
    middle = sort(x, axis).indices.gather(axis, (there - 1).clamp(min=0) // 2)
    return _pick(x, middle, axis, keepdim and bool(input.ndim))


def msort(input: Tensor) -> Tensor:
    """The entries in order along the first dimension.

    >>> import chainrule
    >>> chainrule.msort(chainrule.tensor([3, 1, 2]))
    tensor([1, 2, 3])
    """
    return sort(input, 0).values


def unique_consecutive(
    input: Tensor, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """Without entries (along `dim`: slices) equal to the one before; optionally which each became, and how many did.

    >>> import chainrule
    >>> chainrule.unique_consecutive(chainrule.tensor([1, 1, 2, 1]), return_counts=True)
    (tensor([1, 2, 1]), tensor([2, 1, 1]))
    """
    x = input.reshape(-1) if dim is None else input
    axis = 0 if dim is None else axis_of_slices(tuple(x.shape), dim, "unique_consecutive")
    slices = np.moveaxis(x.read(), axis, 0).reshape(x.shape[axis], -1 if x.numel() else 0)
    begins = np.ones(len(slices), bool)
    begins[1:] = (slices[1:] != slices[:-1]).any(1)
    starts = np.flatnonzero(begins)
    results = [x.index_select(axis, make(starts, device=CPU))]
    if return_inverse:
        inverse = make(np.cumsum(begins) - 1, device=x.device)
        results.append(inverse.reshape(tuple(input.shape)) if dim is None else inverse)
    if return_counts:
        results.append(make(np.diff(starts, append=len(slices)), device=x.device))
    return tuple(results) if len(results) > 1 else results[0]


def histc(input: Tensor, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    """How many entries lie in each of equally wide bins from min to max (both 0: from the smallest to the largest).

    >>> import chainrule
    >>> chainrule.histc(chainrule.tensor([1.0, 2.0, 2.5]), bins=2, min=0, max=4)
    tensor([1., 2.])
    """
    if not input.dtype.is_floating_point:
        raise DTypeError(f"histc counts floating-point numbers, got {input.dtype}; see bincount.")
    return histogram(input.detach(), bins, range=None if min == max == 0 else (min, max)).hist


class Histogram(NamedTuple):
    """The counts, and the edges of the bins: one more."""

    hist: Tensor
    bin_edges: Tensor


def histogram(
    input: Tensor,
    bins: Any = 100,
    *,
    range: tuple[float, float] | None = None,
    weight: Tensor | None = None,
    density: bool = False,
) -> Histogram:
    """The counts in bins (their number, or a vector of their edges); the last one includes its right edge.

    Without a `range` they reach from the smallest entry to the largest, half a unit to both sides where these are
    equal, and from 0 to 1 where there are none. With `weight` sums of weights; with `density` divided so that the area
    under the histogram is 1.

    >>> import chainrule
    >>> chainrule.histogram(chainrule.tensor([1.0, 2.0, 2.0]), 2, range=(0.0, 4.0)).hist
    tensor([1., 2.])
    """
    x = as_floating(input.detach())
    edges: list[Any] = [bins] if isinstance(bins, TensorCell) else []
    weights = [] if weight is None else [weight.detach()]
    count = edges[0].numel() - 1 if edges else bins
    forms = [((max(count, 0),), x.dtype.numpy), ((max(count, 0) + 1,), x.dtype.numpy)]
    settings = {"bins": None if edges else bins, "range": range and tuple(range), "density": density}
    return Histogram(*by_numpy(_histogram, x, *edges, *weights, forms=forms, **settings))


def _histogram(x: Any, *given: Any, bins: int | None, range: tuple[float, float] | None, density: bool) -> Any:
    array, others = x.reshape(-1), list(given)
    if bins is None:
        edges = others.pop(0)
    else:
        low, high = range or ((float(array.min()), float(array.max())) if array.size else (0.0, 1.0))
        if not (np.isfinite(low) and np.isfinite(high) and low <= high) or bins < 1:
            raise ShapeError(f"histogram: {bins} bins from {low} to {high}; the range must be finite and in order.")
        low, high = (low - 0.5, high + 0.5) if low == high else (low, high)
        edges = np.linspace(low, high, bins + 1)
    return np.histogram(array, edges, weights=others[0].reshape(-1) if others else None, density=density)


def unravel_index(indices: Tensor, shape: Any) -> tuple[Tensor, ...]:
    """The places in a tensor of this shape that places in the flattened tensor are: one tensor for each dimension.

    >>> import chainrule
    >>> chainrule.unravel_index(chainrule.tensor([0, 5]), (2, 3))
    (tensor([0, 1]), tensor([0, 2]))
    """
    extents = read_shape((shape,), "unravel_index")
    forms = [(tuple(indices.shape), np.int64)] * len(extents)
    return by_numpy(_places, indices, forms=forms, extents=extents)


def _places(indices: Any, extents: tuple[int, ...]) -> Any:
    return np.unravel_index(indices, extents)
