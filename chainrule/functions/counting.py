"""Which entries there are, where, and how often: places that are not zero, labels, counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.dtypes import float32
from chainrule.errors import IndexRangeError, NumberRangeError, ShapeError, TraceError
from chainrule.functions.checking import check_range
from chainrule.functions.creation import arange, make, zeros
from chainrule.functions.dimensions import axis_of
from chainrule.functions.gathering import need_whole_places
from chainrule.functions.promotion import cast
from chainrule.state import current_state

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


def nonzero(input: Tensor, *, as_tuple: bool = False) -> Any:
    """The places of the entries that are not zero: a row for each, or with `as_tuple` a vector for each dimension.

    >>> import chainrule
    >>> chainrule.nonzero(chainrule.tensor([0, 5, 7]))
    tensor([[1],
            [2]])
    """
    places = np.nonzero(input.read()) if input.ndim else np.nonzero(input.read().reshape(1))
    if as_tuple:
        return tuple(make(p, device=input.device) for p in places)
    found = np.stack(places, axis=1) if input.ndim else np.zeros((len(places[0]), 0), np.int64)
    return make(found, device=input.device)


def argwhere(input: Tensor) -> Tensor:
    """The places of the entries that are not zero, a row for each; see `nonzero`."""
    return nonzero(input)


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """Class indices as vectors with a single 1, int64, along a new last dimension.

    >>> import chainrule
    >>> chainrule.functions.counting.one_hot(chainrule.tensor([2, 0]), 3)
    tensor([[0, 0, 1],
            [1, 0, 0]])
    """
    need_whole_places(tensor, "one_hot")
    if num_classes == -1:
        if not tensor.numel():
            raise ShapeError("one_hot: the number of classes cannot be found from no labels; give num_classes.")
        num_classes = int(tensor.read().max()) + 1
    check_range(_labels_fit, tensor, 0, num_classes - 1)
    return cast(tensor.unsqueeze(-1) == arange(num_classes, device=tensor.device), np.dtype(np.int64))


def _labels_fit(labels: Any, low: int, high: int) -> None:
    first, last = (int(labels.min()), int(labels.max())) if labels.size else (low, high)
    if first < low or last > high:
        raise IndexRangeError(f"one_hot: labels from {first} to {last} do not fit {high + 1} classes (0 … {high}).")


def bincount(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each number 0, 1, … stands in a vector (or the sum of its weights).

    >>> import chainrule
    >>> chainrule.bincount(chainrule.tensor([0, 2, 2]))
    tensor([1, 0, 2])
    """
    kind = f"{input.dtype} {tuple(input.shape)}"
    if input.ndim != 1 or input.dtype.kind == 2:
        raise ShapeError(f"bincount counts whole numbers ≥ 0 in a vector, got {kind}.")
    ones = make(np.ones(input.shape, np.int64), device=input.device) if weights is None else weights
    ones = ones if weights is None or ones.dtype == float32 else ones.double()
    if input.dtype.kind:
        check_range(_are_counts, input, 0, 2**63 - 1)
    if minlength and current_state().trace is not None:
        check_range(_fits_minlength, input, -(2**63), minlength - 1)
        count = minlength
    else:
        count = max(minlength, int(input.read().max()) + 1 if input.numel() else 0)
    return zeros(count, dtype=ones.dtype, device=ones.device).index_add(0, input.long(), ones)


def _are_counts(numbers: Any, low: int, high: int) -> None:
    if numbers.size and numbers.min() < low:
        raise NumberRangeError(f"bincount counts whole numbers ≥ 0, got {numbers.min()}.")


def _fits_minlength(numbers: Any, low: int, high: int) -> None:
    if numbers.size and numbers.max() > high:
        raise TraceError(
            f"bincount: the number {numbers.max()} makes the result longer than minlength={high + 1}, but a compiled "
            "step has one size for it: give a minlength that is enough for all runs."
        )


def axis_of_slices(shape: tuple[int, ...], dim: int, operation: str) -> int:
    """The dimension along which slices are compared.

    Raises an IndexRangeError for a single number, a ShapeError for slices without entries.
    """
    if not shape:
        raise IndexRangeError(f"{operation}: a single number has no dimension; leave out dim, or reshape it to (1,).")
    axis = axis_of(dim, len(shape), operation)
    if 0 in shape[:axis] + shape[axis + 1 :]:
        raise ShapeError(f"{operation}: the slices along dimension {dim} of {shape} have no entries to compare.")
    return axis


def unique(
    input: Tensor,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The different entries (along `dim`: slices) in order; with where each went, and how often each stands.

    >>> import chainrule
    >>> chainrule.unique(chainrule.tensor([3, 1, 3]))
    tensor([1, 3])
    """
    array: Any = input.read()
    axis = None if dim is None else axis_of_slices(array.shape, dim, "unique")
    options = {"return_inverse": return_inverse, "return_counts": return_counts}
    found: Any = np.unique(array, axis=axis, **options)  # type: ignore[call-overload]
    if not isinstance(found, tuple):
        return make(found, device=input.device)
    return tuple(make(np.asarray(part), device=input.device) for part in found)
