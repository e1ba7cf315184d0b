"""Reading and writing entries by their places."""

from __future__ import annotations

import functools
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.cell import TensorCell
from chainrule.devices import CPU
from chainrule.errors import DTypeError, IndexRangeError
from chainrule.functions.checking import check_numbers
from chainrule.functions.creation import make, tensor
from chainrule.functions.promotion import cast, constant, expand_to, fitting
from chainrule.functions.shape import broadcast_tensors, view_through
from chainrule.primitives.indexing import ARRAY, Index, IndexAdd, IndexUpdate, Key, Range, indexed_shape
from chainrule.primitives.placed import on_host
from chainrule.primitives.value import Symbol
from chainrule.state import current_state

if TYPE_CHECKING:
    from chainrule.functions.masking import Masked
    from chainrule.tensor import Tensor


ALL = Range(None, None, None)
_BYTES = (
    "uint8 tensors in brackets are masks, as in PyTorch: what is not 0 is taken. Write mask.bool() for that, or "
    "places.long() for places."
)


def _bytes_as_masks(index: Any) -> Any:
    """An index whose uint8 tensors and arrays, PyTorch's masks from before there were booleans, are boolean."""
    if type(index) is not tuple:
        return _bytes_as_masks((index,))[0] if _is_bytes(index) else index
    if not any(map(_is_bytes, index)):
        return index
    warnings.warn(_BYTES, UserWarning, stacklevel=4)
    return tuple(part != 0 if _is_bytes(part) else part for part in index)


_LISTS = (
    "a nested list in brackets is one array of places, as in NumPy; PyTorch reads x[[a, b]] as x[a, b], and says that "
    "it will change. Write x[a, b] or x[tensor([a, b])]."
)


def _list_read(index: Any) -> Any:
    """A list of lists in brackets, of which a warning says what it is; one that no array can hold is a tuple.

    Slices, None, "..." and tensors with dimensions are parts of a tuple, as PyTorch reads them. A list of 32 entries or
    more is an array of places there too.
    """
    if type(index) is not list or len(index) >= 32 or all(map(_is_number, index)):
        return index
    warnings.warn(_LISTS, UserWarning, stacklevel=4)
    return (
        index
        if all(isinstance(part, (list, tuple)) or _is_number(part) or _is_point(part) for part in index)
        else tuple(index)
    )


def _is_number(part: Any) -> bool:
    return isinstance(part, (int, float, np.generic))


def _is_point(part: Any) -> bool:
    return isinstance(part, (TensorCell, np.ndarray)) and not part.ndim


def _is_bytes(part: Any) -> bool:
    array = part.value.array if isinstance(part, TensorCell) else part
    return isinstance(part, (TensorCell, np.ndarray)) and array.dtype == np.uint8


def read_key(input: Tensor, index: Any) -> tuple[Key, Key, list[Tensor]]:
    """An index as it is written in brackets, in two steps: what a view can do, and then the integer arrays.

    So an integer next to an array drops its dimension first, as in PyTorch. (NumPy counts it as an array.)
    """
    parts = [_as_index(part) for part in (index if isinstance(index, tuple) else (index,))]
    views: list[Any] = []
    then: list[Any] = []
    places: list[Tensor] = []
    points: dict[int, Any] = {}
    position = 0
    for i, part in enumerate(parts):
        if part is Ellipsis:
            views.append(part)
            behind = input.ndim - sum(map(_width, parts[i + 1 :]))
            if behind > position:  # where it stands for no dimension, arrays on both sides are neighbours
                then.append(part)
            position = behind
            continue
        if isinstance(part, TensorCell):
            _check_mask(input, part, position)
            if not part.ndim and part.value.array.dtype.kind in "iu" and position < input.ndim:
                points[len(views)] = part, input.shape[position]
            arrays = _places_of(part)
            # A single truth value stands on a new dimension of size 1, which it keeps or empties.
            views.extend([ALL] * _width(part) or [None])
            then.extend([ARRAY] * len(arrays))
            places.extend(arrays)
        else:
            views.append(part)
            then.extend([] if type(part) is int else [ALL])
        position += _width(part)
    if points:
        key = tuple(ARRAY if i in points else part for i, part in enumerate(views))
        tensors, extents = zip(*points.values(), strict=True)
        check_numbers(
            _points_exist, *tensors, wrong=_points_do_not_exist, shape=tuple(input.shape), key=key, extents=extents
        )
    return tuple(views), tuple(then), places


def _points_exist(*points: Any, shape: Any, key: Key, extents: tuple[int, ...]) -> None:
    """Single numbers in brackets that come as tensors: where they are known, they are integers of the key."""
    remaining = iter(points)
    indexed_shape(shape, tuple(int(next(remaining)) if part is ARRAY else part for part in key), ())


def _points_do_not_exist(*points: Tensor, extents: tuple[int, ...], **_: Any) -> Tensor:
    wrong = [(p.long() < -extent) | (p.long() >= extent) for p, extent in zip(points, extents, strict=True)]
    return functools.reduce(lambda a, b: a | b, wrong)


def _as_index(part: Any) -> Any:
    """One part of an index as an int, a Range, None, … or a tensor."""
    if isinstance(part, (list, tuple, np.ndarray, range)):
        array = np.array(part)
        return make(array if array.size or isinstance(part, np.ndarray) else array.astype(np.int64), device=CPU)
    if isinstance(part, (bool, np.bool_)):
        return make(np.asarray(part), device=CPU)
    if isinstance(part, slice):
        return _range_of(part)
    if isinstance(part, TensorCell):
        array = on_host(part.shared_array())
        is_point = array.dtype.kind in "iu" and not array.shape and isinstance(array, np.ndarray)
        return int(array) if is_point else part
    if part is None or part is Ellipsis:
        return part
    if hasattr(part, "__index__"):
        return part.__index__()
    raise IndexRangeError(f"cannot index with {type(part).__name__} {part!r:.40}; use integers, slices or tensors.")


def _width(part: Any) -> int:
    """How many dimensions a part of an index stands for."""
    if part is None or part is Ellipsis:
        return 0
    return part.ndim if isinstance(part, TensorCell) and part.value.array.dtype.kind == "b" else 1


def _check_mask(input: Tensor, mask: Any, position: int) -> None:
    if mask.value.array.dtype.kind == "b" and tuple(input.shape[position : position + mask.ndim]) != tuple(mask.shape):
        raise IndexRangeError(
            f"indexing: the mask {tuple(mask.shape)} does not fit shape {tuple(input.shape)} at dimension {position}; "
            "each dimension of a mask must equal that of the tensor."
        )


def _range_of(part: slice) -> Range:
    numbers = [None if bound is None else bound.__index__() for bound in (part.start, part.stop, part.step)]
    if numbers[2] is not None and numbers[2] <= 0:
        raise IndexRangeError(f"a slice's step must be positive, got {numbers[2]}; use flip to go backwards.")
    return ALL if part == slice(None) else Range(*numbers)


def _places_of(index: Any) -> list[Tensor]:
    """An integer tensor as it is; a boolean mask as the places where it holds."""
    kind = index.value.array.dtype.kind
    if kind == "b":
        mask = index.read("indexing with a mask and another index")
        if not index.ndim:
            return [make(np.zeros(int(mask), np.int64), device=CPU)]
        return [make(places, device=CPU) for places in np.nonzero(mask)]
    if kind not in "iu":
        raise IndexRangeError(f"tensors used as indices must be integers or booleans, got {index.dtype}.")
    return [index]


def getitem(input: Tensor, index: Any) -> Tensor:
    """input[index]: integers, slices, …, None, integer and boolean arrays. A view unless arrays take part.

    >>> import chainrule
    >>> x = chainrule.arange(6).reshape(2, 3)
    >>> x[1, ::2], x[x > 3]
    (tensor([3, 5]), tensor([4, 5]))
    """
    if type(index) is int and input._base is None:
        return view_through(Index, input, key=(index,))
    index = _bytes_as_masks(_list_read(index))
    at = _mask_in(input, index)
    if at is not None and not _is_known(at.mask):
        from chainrule.functions.masking import select  # here and below: only compiled steps with masks need it

        return select(at)
    views, then, places = read_key(input, index)
    if not places:
        return view_through(Index, input, key=views)
    return Index.apply(_seen_through(input, views), *places, key=then)


def _mask_in(input: Tensor, index: Any) -> Masked | None:
    """In a trace: the part of the input and the mask on it, if the index has a mask and no other tensor."""
    if current_state().trace is None:
        return None
    given = index if isinstance(index, tuple) else (index,)
    if not any(isinstance(part, TensorCell) and part.value.array.dtype.kind == "b" for part in given):
        return None
    parts = [_as_index(part) for part in given]
    tensors = [part for part in parts if isinstance(part, TensorCell)]
    if len(tensors) != 1:
        return None
    from chainrule.functions.masking import masked

    mask: Any = tensors[0]
    views: list[Any] = []
    position, first = 0, None
    dims = 0  # of the part so far
    for part in parts:
        width = input.ndim - sum(map(_width, parts)) if part is Ellipsis else _width(part)
        if part is mask:
            _check_mask(input, mask, position)
            first = dims
            views.extend([ALL] * width or [None])
        else:
            views.append(part)
        position += width
        dims += 0 if type(part) is int else width or 1
        if part is Ellipsis:
            dims += -1 if not width else 0
    return masked(input, tuple(views), mask, first or 0)


def _is_known(mask: Any) -> bool:
    """Whether the trace knows the numbers of a mask: the step made it of constants, or it is the same in every run."""
    trace = current_state().trace
    return trace is not None and not isinstance(trace.numbers_of(mask), Symbol)


def _seen_through(input: Tensor, views: Key) -> Tensor:
    if all(part is ALL or part is Ellipsis for part in views):
        return input
    return view_through(Index, input, key=views)


def setitem(input: Tensor, index: Any, value: Any) -> None:
    """input[index] = value, broadcast to the place and converted to the tensor's type."""
    index = _bytes_as_masks(_list_read(index))
    at = _mask_in(input, index)
    if at is not None:
        from chainrule.functions.masking import fits_everywhere, write

        new: Any = value if isinstance(value, TensorCell) else _new_values(value, input.value.array.dtype)
        if fits_everywhere(at, new) or not _is_known(at.mask):
            write(at, new)
            return
    views, then, places = read_key(input, index)
    if places:
        input, views = _seen_through(input, views), then
    elif isinstance(value, TensorCell) and _is_place(value, input, views):
        return  # x[i] += 1 has written through the view x[i]; now the view is put where it is
    elif input.overwrite(Index, {"key": views}, _fitting(input, views, [], value)):
        return
    input.assign(updated(IndexUpdate, input, views, places, value))


def _is_place(value: Any, input: Tensor, key: Key) -> bool:
    """Whether a tensor is the view input[key]."""
    steps = value._steps
    return (
        value._base is input and len(steps) == 1 and steps[0].primitive is Index and steps[0].parameters["key"] == key
    )


def updated(primitive: Any, input: Tensor, key: Key, places: list[Tensor], value: Any) -> Tensor:
    """The input with a value written, or added, where the key says."""
    return primitive.apply(input, _fitting(input, key, places, value), *places, key=key)


def _fitting(input: Tensor, key: Key, places: list[Tensor], value: Any) -> Tensor:
    """The value in the type and shape of the place that it will be put to."""
    array = input.value.array
    new = cast(value, array.dtype) if isinstance(value, TensorCell) else _new_values(value, array.dtype)  # type: ignore[arg-type]
    there = indexed_shape(array.shape, key, tuple(p.value.array for p in places))
    extra = new.ndim - len(there)
    if extra > 0 and all(extent == 1 for extent in new.shape[:extra]):
        new = new.reshape(tuple(new.shape[extra:]))
    return expand_to(new, there)


def _new_values(value: Any, dtype: Any) -> Tensor:
    if not isinstance(value, (bool, int, float)):
        return cast(tensor(value, device=CPU), dtype)
    return fitting(value, dtype, "index") if dtype.kind in "iu" else constant(value, dtype)


def index_put(input: Tensor, indices: tuple[Tensor, ...], values: Tensor, accumulate: bool = False) -> Tensor:
    """The tensor with `values` put (or added, with `accumulate`) at the places named by index tensors.

    >>> import chainrule
    >>> chainrule.zeros(3).index_put((chainrule.tensor([0, 0]),), chainrule.ones(2), accumulate=True)
    tensor([2., 0., 0.])
    """
    indices = _bytes_as_masks(tuple(indices))
    if not accumulate and len(indices) == 1 and _mask_in(input, tuple(indices)) is not None:
        written = input.clone()
        setitem(written, tuple(indices), values)
        return written
    key: list[Any] = []
    places: list[Tensor] = []
    for index in indices:
        arrays = [] if index is None else _places_of(index)
        key.extend([ARRAY] * len(arrays) or [ALL])
        places.extend(arrays)
    return updated(IndexAdd if accumulate else IndexUpdate, input, tuple(key), places, values)


def masked_select(input: Tensor, mask: Tensor) -> Tensor:
    """The entries where the mask holds, as a vector.

    >>> import chainrule
    >>> chainrule.masked_select(chainrule.tensor([1, 2, 3]), chainrule.tensor([True, False, True]))
    tensor([1, 3])
    """
    if mask.value.array.dtype != np.bool_:
        raise DTypeError(f"masked_select: the mask must be boolean, got {mask.dtype}; compare first, as in x > 0.")
    x, where = broadcast_tensors(input, mask)
    return getitem(x, where)
