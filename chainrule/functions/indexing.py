"""Reading and writing entries by their places."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.cell import TensorCell
from chainrule.devices import need_cpu
from chainrule.dtypes import as_dtype
from chainrule.errors import DTypeError, IndexRangeError, NumberRangeError, ShapeError, TraceError
from chainrule.functions.checking import check_numbers, check_range
from chainrule.functions.constant_in import constant_in
from chainrule.functions.creation import arange, make, tensor, zeros
from chainrule.functions.masking import Masked, fits_everywhere, masked, select, write
from chainrule.functions.promotion import cast, constant, expand_to, fitting
from chainrule.functions.reduction import axis_of
from chainrule.functions.shape import broadcast_tensors, view_through
from chainrule.primitives.indexing import ARRAY, Index, IndexAdd, IndexUpdate, Key, Range, indexed_shape
from chainrule.primitives.value import Symbol
from chainrule.state import current_state

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


ALL = Range(None, None, None)


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
            then.append(part)
            position = input.ndim - sum(map(_width, parts[i + 1 :]))
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
    if isinstance(part, (list, np.ndarray, range)):
        array = np.array(part)
        return make(array if array.size or isinstance(part, np.ndarray) else array.astype(np.int64))
    if isinstance(part, (bool, np.bool_)):
        return make(np.asarray(part))
    if isinstance(part, slice):
        return _range_of(part)
    if isinstance(part, TensorCell):
        array = part.shared_array()
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
        mask = index.array_for("indexing with a mask and another index")
        if not index.ndim:
            return [make(np.zeros(int(mask), np.int64))]
        return [make(places) for places in np.nonzero(mask)]
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
    at = _mask_in(input, index)
    if at is not None and not _is_known(at.mask):
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
    at = _mask_in(input, index)
    if at is not None:
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
    input.assign(_updated(IndexUpdate, input, views, places, value))


def _is_place(value: Any, input: Tensor, key: Key) -> bool:
    """Whether a tensor is the view input[key]."""
    steps = value._steps
    return (
        value._base is input and len(steps) == 1 and steps[0].primitive is Index and steps[0].parameters["key"] == key
    )


def _updated(primitive: Any, input: Tensor, key: Key, places: list[Tensor], value: Any) -> Tensor:
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
        return cast(tensor(value), dtype)
    return fitting(value, dtype, "index") if dtype.kind in "iu" else constant(value, dtype)


def index_put(input: Tensor, indices: tuple[Tensor, ...], values: Tensor, accumulate: bool = False) -> Tensor:
    """The tensor with `values` put (or added, with `accumulate`) at the places named by index tensors.

    >>> import chainrule
    >>> chainrule.zeros(3).index_put((chainrule.tensor([0, 0]),), chainrule.ones(2), accumulate=True)
    tensor([2., 0., 0.])
    """
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
    return _updated(IndexAdd if accumulate else IndexUpdate, input, tuple(key), places, values)


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
    _need_places(index, operation, input.shape[axis_of(dim, input.ndim, operation)] if input.ndim else 1)
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
    source = cast(source * alpha, source.value.array.dtype) if alpha != 1 else source
    return IndexAdd.apply(input, source, _vector(input, dim, index, "index_add"), key=_at(input, dim, "index_add"))


def index_copy(input: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """The tensor with the slices of `source` put at the listed places along `dim`."""
    need_same_dtype(input, source, "index_copy")
    if not input.ndim:
        return index_copy(input.reshape(1), dim, index, source.reshape(-1)).reshape(())
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
        listed = index_fill(zeros(input.shape[axis], dtype="bool"), 0, index, True)
        there = listed.reshape([-1 if i == axis else 1 for i in range(input.ndim)]).expand(tuple(input.shape))
        return input.masked_fill(there, value)
    return _updated(
        IndexUpdate, input, _at(input, dim, "index_fill"), [_vector(input, dim, index, "index_fill")], value
    )


def _need_places(index: Tensor, operation: str, extent: int | None = None, from_the_end: bool = False) -> None:
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
        _need_places(index, operation, 1)


def _grid(input: Tensor, dim: int, index: Tensor, operation: str) -> tuple[Key, list[Tensor]]:
    """Places that walk along the index itself in all dimensions but `dim`, where its entries say where to go."""
    axis = axis_of(dim, input.ndim, operation)
    _need_places(index, operation)
    if index.ndim != input.ndim:
        raise ShapeError(
            f"{operation}: the index {tuple(index.shape)} must have as many dimensions as the tensor "
            f"{tuple(input.shape)}."
        )
    _need_places(index, operation, input.shape[axis])
    for i, (have, want) in enumerate(zip(input.shape, index.shape, strict=True)):
        if i != axis and want > have:
            raise ShapeError(
                f"{operation}: the index {tuple(index.shape)} is larger than the tensor {tuple(input.shape)} in "
                f"dimension {i}."
            )
    return _walks(index, axis)


def _walks(index: Tensor, axis: int) -> tuple[Key, list[Tensor]]:
    """The places themselves, once they have been checked."""
    shape = tuple(index.shape)
    walks = [arange(extent).reshape((1,) * i + (-1,) + (1,) * (len(shape) - i - 1)) for i, extent in enumerate(shape)]
    walks[axis] = index
    return (ARRAY,) * len(shape), walks


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
    _need_places(indices, "take_along_dim", own[axis], from_the_end=True)
    key, places = _walks(indices, axis)
    return Index.apply(expand_to(input, tuple(own)), *places, key=key)


def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """The tensor with the entries of `src` added where `gather` with this index would read.

    >>> import chainrule
    >>> chainrule.zeros(3).scatter_add(0, chainrule.tensor([2, 2]), chainrule.ones(2))
    tensor([0., 0., 2.])
    """
    return _scattered(IndexAdd, input, dim, index, src, "scatter_add")


def scatter(
    input: Tensor, dim: int, index: Tensor, src: Any = None, *, value: Any = None, reduce: str | None = None
) -> Tensor:
    """The tensor with the entries of `src` (or one number) put where `gather` with this index would read.

    With `reduce="add"` they are added, as `scatter_add` does. Raises a TypeError unless one of `src` and `value` is
    given.

    >>> import chainrule
    >>> chainrule.zeros(3).scatter(0, chainrule.tensor([2]), 5.0)
    tensor([0., 0., 5.])
    """
    if reduce not in (None, "add"):
        raise ValueError(f"scatter: reduce is None or 'add', got {reduce!r}.")
    if (src is None) is (value is None):
        raise TypeError(f"scatter: give src or value{'' if src is None else ', not both'}.")
    primitive = IndexAdd if reduce else IndexUpdate
    return _scattered(primitive, input, dim, index, value if src is None else src, "scatter")


def _scattered(primitive: Any, input: Tensor, dim: int, index: Tensor, src: Any, operation: str) -> Tensor:
    if not input.ndim:
        axis_of(dim, 0, operation)
        src = src.reshape(-1) if isinstance(src, TensorCell) else src  # type: ignore[attr-defined]
        return _scattered(primitive, input.reshape(1), 0, index.reshape(-1), src, operation).reshape(())
    key, places = _grid(input, dim, index, operation)
    if isinstance(src, TensorCell):
        src = source_for(input, index, src, operation)  # type: ignore[arg-type]
    return _updated(primitive, input, key, places, src)


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


def nonzero(input: Tensor, *, as_tuple: bool = False) -> Any:
    """The places of the entries that are not zero: a row for each, or with `as_tuple` a vector for each dimension.

    >>> import chainrule
    >>> chainrule.nonzero(chainrule.tensor([0, 5, 7]))
    tensor([[1],
            [2]])
    """
    places = np.nonzero(input.array) if input.ndim else np.nonzero(input.array.reshape(1))
    if as_tuple:
        return tuple(make(p) for p in places)
    return make(np.stack(places, axis=1) if input.ndim else np.zeros((len(places[0]), 0), np.int64))


def argwhere(input: Tensor) -> Tensor:
    """The places of the entries that are not zero, a row for each; see `nonzero`."""
    return nonzero(input)


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


def tril(input: Tensor, diagonal: int = 0) -> Tensor:
    """The entries on and below a diagonal, zeros above.

    >>> import chainrule
    >>> chainrule.tril(chainrule.ones(2, 2))
    tensor([[1., 0.],
            [1., 1.]])
    """
    return _triangle(input, lambda i, j: j - i > diagonal)


def triu(input: Tensor, diagonal: int = 0) -> Tensor:
    """The entries on and above a diagonal, zeros below.

    >>> import chainrule
    >>> chainrule.triu(chainrule.ones(2, 2))
    tensor([[1., 1.],
            [0., 1.]])
    """
    return _triangle(input, lambda i, j: j - i < diagonal)


def tril_indices(
    row: int, col: int, offset: int = 0, *, dtype: Any = np.int64, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """The places on and below a diagonal of a row×col matrix: their rows, and their columns.

    >>> import chainrule
    >>> chainrule.tril_indices(2, 2)
    tensor([[0, 1, 1],
            [0, 0, 1]])
    """
    need_cpu(device)
    return make(np.stack(np.tril_indices(row, offset, col)).astype(as_dtype(dtype).numpy), requires_grad)


def triu_indices(
    row: int, col: int, offset: int = 0, *, dtype: Any = np.int64, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """The places on and above a diagonal of a row×col matrix: their rows, and their columns.

    >>> import chainrule
    >>> chainrule.triu_indices(2, 2)
    tensor([[0, 0, 1],
            [0, 1, 1]])
    """
    need_cpu(device)
    return make(np.stack(np.triu_indices(row, offset, col)).astype(as_dtype(dtype).numpy), requires_grad)


def _triangle(input: Tensor, outside: Any) -> Tensor:
    if input.ndim < 2:
        raise ShapeError(f"a triangle is taken of a matrix, got {input.ndim} dimension(s).")
    rows, columns = input.shape[-2:]
    return input.masked_fill(make(np.fromfunction(outside, (rows, columns), dtype=np.int64)), 0)


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """Class indices as vectors with a single 1, int64, along a new last dimension.

    >>> import chainrule
    >>> chainrule.functions.indexing.one_hot(chainrule.tensor([2, 0]), 3)
    tensor([[0, 0, 1],
            [1, 0, 0]])
    """
    _need_places(tensor, "one_hot")
    if num_classes == -1:
        if not tensor.numel():
            raise ShapeError("one_hot: the number of classes cannot be found from no labels; give num_classes.")
        num_classes = int(tensor.array.max()) + 1
    check_range(_labels_fit, tensor, 0, num_classes - 1)
    return cast(tensor.unsqueeze(-1) == arange(num_classes), np.dtype(np.int64))


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
    ones = make(np.ones(input.shape, np.int64)) if weights is None else weights
    ones = ones if weights is None or ones.dtype.is_floating_point else ones.double()
    if input.dtype.kind:
        check_range(_are_counts, input, 0, 2**63 - 1)
    if minlength and current_state().trace is not None:
        check_range(_fits_minlength, input, -(2**63), minlength - 1)
        count = minlength
    else:
        count = max(minlength, int(input.array.max()) + 1 if input.numel() else 0)
    return zeros(count, dtype=ones.dtype).index_add(0, input.long(), ones)


def _are_counts(numbers: Any, low: int, high: int) -> None:
    if numbers.size and numbers.min() < low:
        raise NumberRangeError(f"bincount counts whole numbers ≥ 0, got {numbers.min()}.")


def _fits_minlength(numbers: Any, low: int, high: int) -> None:
    if numbers.size and numbers.max() > high:
        raise TraceError(
            f"bincount: the number {numbers.max()} makes the result longer than minlength={high + 1}, but a compiled "
            "step has one size for it: give a minlength that is enough for all runs."
        )


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
    array: Any = input.array
    options = {"return_inverse": return_inverse, "return_counts": return_counts}
    found: Any = np.unique(array, axis=None if dim is None else axis_of(dim, array.ndim, "unique"), **options)  # type: ignore[call-overload]
    if not isinstance(found, tuple):
        return make(found)
    return tuple(make(np.asarray(part)) for part in found)
