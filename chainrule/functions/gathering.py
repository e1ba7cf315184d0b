"""Entries taken from places, and written to places, along a dimension."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chainrule.cell import TensorCell
from chainrule.errors import DTypeError, IndexRangeError, ShapeError
from chainrule.functions.checking import check_range
from chainrule.functions.constant_in import constant_in
from chainrule.functions.creation import zeros
from chainrule.functions.dimensions import axis_of
from chainrule.functions.indexing import ALL, getitem, updated
from chainrule.functions.promotion import cast, expand_to, whole_factor
from chainrule.primitives.indexing import ARRAY, Index, IndexAdd, IndexUpdate, Key, walk

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """The slices along `dim` that the vector `index` lists.

    >>> import chainrule
    >>> chainrule.index_select(chainrule.tensor([[1, 2], [3, 4]]), 1, chainrule.tensor([1, 1]))
    tensor([[2, 2],
            [4, 4]])
    """
    if index.ndim > 1:
        raise ShapeError(f"index_select takes a vector of places, got shape {tuple(index.shape)}.")
    if not input.ndim:
        return index_select(input.reshape(1), dim, index).reshape(())
    return Index.apply(input, _vector(input, dim, index, "index_select"), key=_at(input, dim, "index_select"))


def _vector(input: Tensor, dim: int, index: Tensor, operation: str) -> Tensor:
    need_whole_places(index, operation, input.shape[axis_of(dim, input.ndim, operation)] if input.ndim else 1)
    return index if index.ndim else index.reshape(1)


def _at(input: Tensor, dim: int, operation: str) -> Key:
    return (*[ALL] * axis_of(dim, input.ndim, operation), ARRAY)


def index_add(input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: float = 1) -> Tensor:
    """The tensor with the slices of `source` added at the listed places along `dim`.

    >>> import chainrule
    >>> chainrule.zeros(3).index_add(0, chainrule.tensor([0, 0]), chainrule.ones(2))
    tensor([2., 0., 0.])
    """
    need_same_dtype(input, source, "index_add")
    if not input.ndim:
        return index_add(input.reshape(1), dim, index, source.reshape(-1), alpha=alpha).reshape(())
    alpha = whole_factor(alpha, source.dtype, "index_add", "alpha")
    source = cast(source * alpha, source.value.array.dtype) if alpha != 1 else source
    return IndexAdd.apply(input, source, _vector(input, dim, index, "index_add"), key=_at(input, dim, "index_add"))


def index_copy(input: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """The tensor with the slices of `source` put at the listed places along `dim`."""
    need_same_dtype(input, source, "index_copy")
    if not input.ndim:
        return index_copy(input.reshape(1), dim, index, source.reshape(-1)).reshape(())
    (source,) = in_line(input, source)
    return IndexUpdate.apply(input, source, _vector(input, dim, index, "index_copy"), key=_at(input, dim, "index_copy"))


def need_same_dtype(input: Tensor, source: Tensor, operation: str) -> None:
    """Raise a DTypeError unless both hold the same data type: what is written must not be converted silently."""
    if input.value.array.dtype != source.value.array.dtype:
        raise DTypeError(
            f"{operation}: a {input.dtype} tensor takes entries of its own type, not {source.dtype}; "
            "convert with .to(…)."
        )


def index_fill(input: Tensor, dim: int, index: Tensor, value: float) -> Tensor:
    """The tensor with one number in the listed slices along `dim`."""
    if not input.ndim:
        return index_fill(input.reshape(1), dim, index, value).reshape(())
    if isinstance(value, TensorCell) and value.requires_grad:  # one gradient for each entry, however often it is listed
        axis = axis_of(dim, input.ndim, "index_fill")
        listed = index_fill(zeros(input.shape[axis], dtype="bool", device=input.device), 0, index, True)
        there = listed.reshape([-1 if i == axis else 1 for i in range(input.ndim)]).expand(tuple(input.shape))
        return input.masked_fill(there, value)
    return updated(IndexUpdate, input, _at(input, dim, "index_fill"), [_vector(input, dim, index, "index_fill")], value)


def need_whole_places(index: Tensor, operation: str, extent: int | None = None, from_the_end: bool = False) -> None:
    """Raise unless the index holds integers; and places below `extent`, if that is given."""
    if index.value.array.dtype.kind not in "iu":
        raise DTypeError(f"{operation}: places are integers, got {index.dtype}; convert with .long().")
    if extent is not None:
        check_range(_places_exist, index, -extent if from_the_end else 0, extent - 1, operation=operation)


def _places_exist(places: Any, low: int, high: int, operation: str) -> None:
    first, last = (int(places.min()), int(places.max())) if places.size else (low, high)
    if first < low or last > high:
        raise IndexRangeError(f"{operation}: the places go from {first} to {last}, possible are {low} … {high}.")


def need_places(input: Tensor, dim: int, index: Tensor, operation: str) -> None:
    """Raise unless each entry of the index is a place along `dim` of the tensor."""
    if input.ndim:
        _grid(input, dim, index, operation)
    else:
        need_whole_places(index, operation, 1)


def _grid(input: Tensor, dim: int, index: Tensor, operation: str) -> tuple[Key, list[Tensor]]:
    """Places that walk along the index itself in all dimensions but `dim`, where its entries say where to go."""
    axis = axis_of(dim, input.ndim, operation)
    need_whole_places(index, operation)
    if index.ndim != input.ndim:
        raise ShapeError(
            f"{operation}: the index {tuple(index.shape)} must have as many dimensions as the tensor "
            f"{tuple(input.shape)}."
        )
    need_whole_places(index, operation, input.shape[axis])
    for i, (have, want) in enumerate(zip(input.shape, index.shape, strict=True)):
        if i != axis and want > have:
            raise ShapeError(
                f"{operation}: the index {tuple(index.shape)} is larger than the tensor {tuple(input.shape)} in "
                f"dimension {i}."
            )
    return walks(index, axis)


def walks(index: Tensor, axis: int) -> tuple[Key, list[Tensor]]:
    """The places themselves, once they have been checked."""
    return (ARRAY,) * index.ndim, walk(axis, index)


def gather(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """z[i][j] = input[index[i][j]][j] for dim 0, input[i][index[i][j]] for dim 1, and so on.

    >>> import chainrule
    >>> chainrule.gather(chainrule.tensor([[1, 2], [3, 4]]), 1, chainrule.tensor([[1], [0]]))
    tensor([[2],
            [3]])
    """
    if not input.ndim:
        axis_of(dim, 0, "gather")
        return gather(input.reshape(1), 0, index.reshape(-1)).reshape(tuple(index.shape))
    if not index.ndim and input.ndim == 1:  # one place, as a tensor without dimensions
        return gather(input, dim, index.reshape(1)).reshape(())
    if not index.numel() and index.ndim != input.ndim:
        nothing = input.new_zeros(tuple(index.shape))
        return constant_in(nothing, input) if input.requires_grad else nothing
    key, places = _grid(input, dim, index, "gather")
    return Index.apply(input, *places, key=key)


def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """As `gather`, with the other dimensions broadcast; without `dim` from the flattened tensor.

    Negative places count from the end.

    Raises:
        ShapeError: if the numbers of dimensions differ, or the other dimensions do not broadcast.
        IndexRangeError: if there is no such dimension, or no such place along it.
        DTypeError: if the indices are no integers.

    >>> import chainrule
    >>> x = chainrule.tensor([[3, 1], [2, 4]])
    >>> chainrule.take_along_dim(x, x.argsort(1), 1)
    tensor([[1, 3],
            [2, 4]])
    """
    if dim is None:
        return take_along_dim(input.reshape(-1), indices.reshape(-1), 0)
    axis = axis_of(dim, input.ndim, "take_along_dim")
    own, wanted = list(input.shape), list(indices.shape)
    if len(own) != len(wanted):
        raise ShapeError(f"take_along_dim: {tuple(own)} and indices {tuple(wanted)} differ in dimensions.")
    if not own:
        return take_along_dim(input.reshape(1), indices.reshape(1), 0).reshape(())
    for i, (a, b) in enumerate(zip(own, wanted, strict=True)):
        if i != axis and a != b:
            if 1 not in (a, b):
                raise ShapeError(f"take_along_dim: {tuple(own)} and indices {tuple(wanted)} do not broadcast.")
            own[i] = wanted[i] = a * b
    indices = expand_to(indices, tuple(wanted))
    need_whole_places(indices, "take_along_dim", own[axis], from_the_end=True)
    key, places = walks(indices, axis)
    return Index.apply(expand_to(input, tuple(own)), *places, key=key)


def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """The tensor with the entries of `src` added where `gather` with this index would read.

    >>> import chainrule
    >>> chainrule.zeros(3).scatter_add(0, chainrule.tensor([2, 2]), chainrule.ones(2))
    tensor([0., 0., 2.])
    """
    return scattered(IndexAdd, input, dim, index, src, "scatter_add")


def scattered(primitive: Any, input: Tensor, dim: int, index: Tensor, src: Any, operation: str) -> Tensor:
    """The tensor with the entries of `src` (or one number) taken in by a primitive at the places of `gather`."""
    if not input.ndim:
        axis_of(dim, 0, operation)
        src = src.reshape(-1) if isinstance(src, TensorCell) else src  # type: ignore[attr-defined]
        return scattered(primitive, input.reshape(1), 0, index.reshape(-1), src, operation).reshape(())
    index, src = in_line(input, index, src)
    key, places = _grid(input, dim, index, operation)
    if isinstance(src, TensorCell):
        src = source_for(input, index, src, operation)  # type: ignore[arg-type]
    return updated(primitive, input, key, places, src)


def in_line(input: Tensor, *parts: Any) -> list[Any]:
    """What goes with a tensor of one dimension: a place or an entry that is a tensor without dimensions counts as one.

    >>> import chainrule
    >>> in_line(chainrule.ones(3), chainrule.tensor(1), 2.0)
    [tensor([1]), 2.0]
    """
    alone = input.ndim == 1
    return [x.reshape(1) if alone and isinstance(x, TensorCell) and not x.ndim else x for x in parts]  # type: ignore[attr-defined]


def source_for(input: Tensor, index: Tensor, src: Tensor, operation: str) -> Tensor:
    """The entries of `src` that go to the places of the index.

    Raises a DTypeError unless they are of the tensor's type, a ShapeError if there are too few.
    """
    need_same_dtype(input, src, operation)
    if src.ndim != index.ndim or any(a < b for a, b in zip(src.shape, index.shape, strict=True)):
        raise ShapeError(f"{operation}: src {tuple(src.shape)} is smaller than the index {tuple(index.shape)}.")
    return src[tuple(slice(0, extent) for extent in index.shape)]


def take(input: Tensor, index: Tensor) -> Tensor:
    """Entries of the flattened tensor.

    >>> import chainrule
    >>> chainrule.take(chainrule.tensor([[1, 2], [3, 4]]), chainrule.tensor([0, 3]))
    tensor([1, 4])
    """
    return getitem(input.reshape(-1), index)
