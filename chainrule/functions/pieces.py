"""Tensors taken apart and put together along a dimension."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from chainrule.autodiff.block import is_unobserved
from chainrule.cell import TensorCell
from chainrule.errors import DTypeError, IndexRangeError, ShapeError
from chainrule.functions.constant_in import constant_in
from chainrule.functions.dimensions import axis_of
from chainrule.functions.promotion import cast, promote
from chainrule.functions.shape import clone, reshape, view_through
from chainrule.primitives import shape as primitives
from chainrule.primitives.indexing import Index, Range
from chainrule.primitives.primitive import zeros_of
from chainrule.primitives.value import Value
from chainrule.state import current_state
from chainrule.tape import Record

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


def roll(input: Tensor, shifts: Any, dims: Any = None) -> Tensor:
    """The entries shifted along the dimensions; what falls off comes back at the other end.

    >>> import chainrule
    >>> chainrule.roll(chainrule.arange(4), 1)
    tensor([3, 0, 1, 2])
    """
    if dims is None:
        return reshape(roll(reshape(input, -1), shifts, 0), tuple(input.shape))
    shifts, dims = [(x,) if isinstance(x, int) else tuple(x) for x in (shifts, dims)]
    if len(shifts) != len(dims):
        raise ShapeError(f"roll: {len(shifts)} shifts {shifts} for {len(dims)} dimensions {dims}; give one for each.")
    if not input.numel():
        return clone(input)
    pairs = list(zip(shifts, dims))
    for shift, dim in pairs:
        axis = axis_of(dim, input.ndim, "roll")
        extent = input.shape[axis]
        cut = (-shift) % extent if extent else 0
        input = cat([narrow(input, axis, cut, extent - cut), narrow(input, axis, 0, cut)], axis)
    return input


def _dimension(input: Tensor, dim: int, operation: str) -> int:
    """A dimension that there is: a 0-d tensor has none to take a part of."""
    rank = input.ndim
    if not rank:
        raise IndexRangeError(f"{operation}: a 0-d tensor has no slices to take; reshape(1) gives it a dimension.")
    return axis_of(dim, rank, operation)


_ALL = Range(None, None, None)


def narrow(input: Tensor, dim: int, start: int, length: int) -> Tensor:
    """`length` slices along `dim` from `start` on.

    >>> import chainrule
    >>> chainrule.narrow(chainrule.arange(5), 0, 1, 3)
    tensor([1, 2, 3])
    """
    axis = _dimension(input, dim, "narrow")
    extent = input.value.array.shape[axis]
    start = start + extent if start < 0 else start
    if not (0 <= start <= extent and 0 <= length <= extent - start):
        raise ShapeError(f"narrow: {length} from {start} on of {extent} along dimension {dim}.")
    key = (*[_ALL] * axis, Range(start, start + length, None))
    return view_through(Index, input, key=key)


def select(input: Tensor, dim: int, index: int) -> Tensor:
    """One slice along `dim`, that dimension dropped.

    >>> import chainrule
    >>> chainrule.select(chainrule.tensor([[1, 2], [3, 4]]), 1, 0)
    tensor([1, 3])
    """
    axis = _dimension(input, dim, "select")
    return view_through(Index, input, key=(*[Range(None, None, None)] * axis, int(index)))


def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """The tensors one after the other along `dim`; all other extents agree.

    >>> import chainrule
    >>> chainrule.cat([chainrule.tensor([1, 2]), chainrule.tensor([3])])
    tensor([1, 2, 3])
    """
    parts = _same_type(tensors, "cat")
    # PyTorch lets an empty vector join anything; torchvision-style loops that start with one rely on it.
    joined = [x for x in parts if x.value.array.shape != (0,)]
    if joined:
        result = primitives.Concatenate.apply(*joined, axis=axis_of(dim, joined[0].ndim, "cat"))
    else:
        result = clone(parts[0])
    for x in parts:
        if x.value.array.shape == (0,) and x.requires_grad:
            result = constant_in(result, x)
    return result


concat = concatenate = cat


def _same_type(tensors: Sequence[Any], operation: str) -> list[Tensor]:
    if isinstance(tensors, TensorCell) or not all(isinstance(x, TensorCell) for x in tensors):
        raise DTypeError(f"{operation} takes a list or tuple of tensors.")
    if not tensors:
        raise ShapeError(f"{operation} needs at least one tensor.")
    first = tensors[0].value.array.dtype
    if all([x.value.array.dtype is first for x in tensors]):
        return list(tensors)
    dtype = promote(*tensors)[0].value.array.dtype
    return [cast(x, dtype) for x in tensors]


def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """The tensors, all of one shape, along a new dimension.

    >>> import chainrule
    >>> chainrule.stack([chainrule.tensor([1, 2]), chainrule.tensor([3, 4])]).shape
    Size([2, 2])
    """
    parts = _same_type(tensors, "stack")
    shape = parts[0].value.array.shape
    if any([x.value.array.shape != shape for x in parts]):
        raise ShapeError(f"stack: the tensors differ in shape: {', '.join(str(tuple(x.shape)) for x in parts)}.")
    axis = axis_of(dim, len(shape) + 1, "stack")
    long = (*shape[:axis], 1, *shape[axis:])
    return primitives.Concatenate.apply(*[primitives.Reshape.apply(x, to=long) for x in parts], axis=axis)


def hstack(tensors: Sequence[Tensor]) -> Tensor:
    """Side by side: vectors in a row, others along dimension 1."""
    parts = [x if x.ndim else reshape(x, 1) for x in tensors]
    return cat(parts, 0 if parts[0].ndim == 1 else 1)


def vstack(tensors: Sequence[Tensor]) -> Tensor:
    """One below the other: vectors become rows."""
    return cat([x if x.ndim > 1 else reshape(x, 1, -1) for x in tensors], 0)


def split(tensor: Tensor, split_size_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Pieces along `dim`: of one size (the last may be smaller), or of the listed sizes.

    >>> import chainrule
    >>> chainrule.split(chainrule.arange(5), 2)
    (tensor([0, 1]), tensor([2, 3]), tensor([4]))
    """
    axis = axis_of(dim, tensor.ndim, "split")
    extent = tensor.shape[axis]
    if isinstance(split_size_or_sections, int):
        size = split_size_or_sections
        if size < 0 or (size == 0 and extent):
            raise ShapeError(f"split: the size of a piece must be positive, got {size}.")
        sizes = [min(size, extent - start) for start in range(0, extent, size or 1)] or [0]
    else:
        sizes = [int(size) for size in split_size_or_sections]
        if sum(sizes) != extent:
            raise ShapeError(f"split: the sizes {sizes} do not add up to {extent}, the extent of dimension {dim}.")
    ends = itertools.accumulate(sizes)
    pieces = [narrow(tensor, axis, end - size, size) for end, size in zip(ends, sizes, strict=True)]
    return _with_one_gradient(tensor, axis, pieces, cat)


def _with_one_gradient(
    whole: Tensor, axis: int, pieces: list[Tensor], join: Callable[..., Tensor]
) -> tuple[Tensor, ...]:
    """The pieces of a tensor, whose gradients eager code joins: one by one each would be added to zeros all around."""
    state, source = current_state(), whole.value.source
    if state.gradients and source is not None and len(pieces) > 1 and is_unobserved(state, (whole,)):
        forms = [(x.value.array.shape, x.value.array.dtype) for x in pieces]
        record = Record(_Pieces(join), {"axis": axis}, (source,), {}, forms)
        for i, piece in enumerate(pieces):
            piece._value = Value(piece._value.array, (record, i))
    return tuple(pieces)


class _Pieces:
    """Taking all of a tensor apart along an axis, as its record names it; `join` is the opposite."""

    name = "pieces"

    def __init__(self, join: Callable[..., Tensor]) -> None:
        self.join = join

    def pull_back(self, record: Record, upstream: list[Tensor | None], wanted: list[bool]) -> list[Tensor]:
        """The gradient of the whole: those of the pieces, zeros where there is none."""
        gradients = zip(upstream, record.forms, strict=True)
        return [self.join([zeros_of(form) if g is None else g for g, form in gradients], record.parameters["axis"])]


def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most that many pieces of equal size along `dim` (the last may be smaller).

    >>> import chainrule
    >>> chainrule.chunk(chainrule.arange(5), 2)
    (tensor([0, 1, 2]), tensor([3, 4]))
    """
    if chunks < 1:
        raise ShapeError(f"chunk: at least one piece, got {chunks}.")
    extent = input.shape[axis_of(dim, input.ndim, "chunk")]
    if not extent:
        return split(input, [0] * chunks, dim)
    return split(input, -(-extent // chunks), dim)


def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """The slices along `dim`, that dimension dropped.

    >>> import chainrule
    >>> chainrule.unbind(chainrule.tensor([[1, 2], [3, 4]]))
    (tensor([1, 2]), tensor([3, 4]))
    """
    if not input.ndim:
        raise ShapeError("a 0-d tensor has no entries to go through; use item().")
    axis = axis_of(dim, input.ndim, "unbind")
    return _with_one_gradient(input, axis, [select(input, axis, i) for i in range(input.shape[axis])], stack)
