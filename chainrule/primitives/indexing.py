"""Reading and writing at places: one way to say where, three things to do there.

`key` is an index as NumPy takes it (integers, slices, None, …), as a tuple in which each integer array is
represented by :data:`ARRAY` and given as one of the variadic arguments. Boolean masks have been turned into integer
arrays before. Slices are stored as :class:`Range`, since a slice can be no dictionary key.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from chainrule.errors import IndexRangeError, ShapeError
from chainrule.primitives.constants import constant
from chainrule.primitives.ordering import stable_order
from chainrule.primitives.primitive import Primitive
from chainrule.primitives.shape import Broadcast
from chainrule.primitives.value import Array, Form, Shape, Symbol, Value

if TYPE_CHECKING:
    from chainrule.tensor import Tensor

Key = tuple[Any, ...]


class _ArrayMark:
    def __repr__(self) -> str:
        return "array"

    def __reduce__(self) -> str:
        return "ARRAY"  # there is one only


#: Stands in a key where an integer array is.
ARRAY = _ArrayMark()


class Range(NamedTuple):
    """A slice with a positive step."""

    start: int | None
    stop: int | None
    step: int | None


def fill_key(key: Key, arrays: tuple[Array, ...]) -> Key:
    """The key as NumPy takes it, its marks replaced by the arrays."""
    remaining = iter(arrays)
    return tuple(
        [
            next(remaining)
            if part is ARRAY
            else slice(part.start, part.stop, part.step)
            if type(part) is Range
            else part
            for part in key
        ]
    )


def indexed_shape(shape: Shape, key: Key, arrays: tuple[Any, ...]) -> Shape:
    """The shape of x[key], found on an array that takes no memory. Raises IndexRangeError for places outside."""
    axis = len(key) - 1
    if not arrays and (sliced := _sliced_shape(shape, key)) is not None:
        return sliced
    if len(arrays) == 1 and axis < len(shape) and key[-1] is ARRAY and all(k == (None, None, None) for k in key[:-1]):
        return (*shape[:axis], *arrays[0].shape, *shape[axis + 1 :])  # the most usual one, without the detour
    if 1 < len(arrays) == len(key) <= len(shape) and all(part is ARRAY for part in key) and 0 not in shape[: len(key)]:
        with suppress(ValueError):  # then the detour says what is wrong
            return (*np.broadcast_shapes(*[tuple(a.shape) for a in arrays]), *shape[len(key) :])
    # Entries are irrelevant for the shape, so symbols and arrays alike are replaced by zeros. Dimensions behind those
    # that the key names stay, so the model can do without them: what is read from it is a copy, and may be large.
    named = len(shape) if any(part is None or part is Ellipsis for part in key) else len(key)
    places = tuple(np.broadcast_to(np.zeros((), np.int64), a.shape) for a in arrays)
    model = np.broadcast_to(np.zeros((), np.int8), shape[:named])
    try:
        return (*model[fill_key(key, places)].shape, *shape[named:])
    except IndexError as error:
        if any(extent == 0 for extent in shape) and all(0 in a.shape or isinstance(a, Symbol) for a in arrays):
            raise IndexRangeError(f"shape {shape}: {error}.") from None
        raise IndexRangeError(f"cannot index shape {shape} with {key}: {error}.") from None


def flat_places(shape: Shape, key: Key, places: Sequence[Array]) -> Array | None:
    """Where single entries stand in an array that lies row by row; None if the key is not one place for each dimension.

    None also for a place outside, of which NumPy's own indexing knows what to say. One number for each entry is read
    several times as fast as one for each dimension.
    """
    if len(places) < 2 or len(places) != len(shape) or any(part is not ARRAY for part in key):
        return None
    flat: Any = 0
    for extent, at in zip(shape, places, strict=True):
        if not at.size:
            return None
        low, high = int(at.min()), int(at.max())
        if low < -extent or high >= extent:
            return None
        flat = flat * extent + (at.astype(np.int64, copy=False) if low >= 0 else at % extent)
    return np.asarray(flat)


def _sliced_shape(shape: Shape, key: Key) -> Shape | None:
    """The shape of x[key] where the key has single places and ranges only; None for others, and for what is outside."""
    if len(key) > len(shape):
        return None
    left: list[int] = []
    for extent, part in zip(shape, key, strict=False):
        if type(part) is Range:
            start, stop, step = part
            left.append(len(range(*slice(start, stop, step).indices(extent))))
        elif type(part) is not int or not -extent <= part < extent:
            return None
    return (*left, *shape[len(key) :])


class Index(Primitive):
    """z = x[key]."""

    latex = r"x_{i}"
    moves = True

    @staticmethod
    def shape(x: Array, *places: Array, key: Key) -> Form:
        return indexed_shape(x.shape, key, places), x.dtype

    @staticmethod
    def operations(arrays: Sequence[Array], parameters: dict[str, Any], forms: Any) -> int:
        # As in `IndexAdd`: only where there is a place for each entry, as in `gather`.
        x, *places = arrays
        return 8 * math.prod(forms[0]) if len(places) > 1 and len(places) == len(x.shape) == len(forms[0]) else 0

    @staticmethod
    def evaluate(x: Array, *places: Array, key: Key) -> Array:
        try:
            listed = len(places) == 1 and key[-1] is ARRAY and all(part == (None, None, None) for part in key[:-1])
            if listed and x.size and x.flags.c_contiguous:  # else all of it would be copied first
                return np.take(x, places[0], len(key) - 1)  # the same, several times as fast
            flat = flat_places(x.shape, key, places) if x.flags.c_contiguous else None
            if flat is not None:
                return np.take(x.reshape(-1), flat)
            return np.asarray(x[fill_key(key, places)])
        except IndexError as error:
            raise IndexRangeError(f"indexing shape {x.shape}: {error}.") from None

    @staticmethod
    def grad_x(g: Tensor, x_shape: Shape, places: tuple[Tensor, ...], *, key: Key) -> Tensor:
        return IndexAdd.apply(_zeros(x_shape, g), g, *places, key=key)

    @staticmethod
    def write(base: Tensor, new: Tensor, *, key: Key) -> Tensor:
        return IndexUpdate.apply(base, new, key=key)

    @staticmethod
    def overwrite(x: Array, new: Array, *, key: Key) -> None:
        """`write` into the array itself."""
        x[fill_key(key, ())] = new


def _own_copy(x: Array) -> Array:
    """A copy; of one number spread over a shape, zeros most times, in half the time."""
    return np.full(x.shape, x[(0,) * x.ndim], x.dtype) if x.size and not any(x.strides) else x.copy()


def _zeros(shape: Shape, like: Tensor) -> Tensor:
    """Zeros made of a single one, which is a literal while tracing; an array would be an input of the trace."""
    point = Primitive.make_tensor(Value(np.zeros((), like.value.array.dtype)))
    return Broadcast.apply(point, to=shape)


def _check_new(name: str, x: Array, new: Array, key: Key, places: tuple[Array, ...]) -> Form:
    there = indexed_shape(x.shape, key, places)
    if tuple(new.shape) != there:
        raise ShapeError(f"{name}: the place has shape {there}, what shall go there has {tuple(new.shape)}.")
    return x.shape, x.dtype


class IndexAdd(Primitive):
    """z = x with y added at the places; where a place is named several times all are added."""

    latex = r"x + \sum_{i} y_{i} e_{i}"
    accumulates = True

    @staticmethod
    def shape(x: Array, y: Array, *places: Array, key: Key) -> Form:
        return _check_new("index add", x, y, key, places)

    @staticmethod
    def operations(arrays: Sequence[Array], parameters: dict[str, Any], forms: Any) -> int:
        # NumPy takes as long for an entry as for 64 multiplications. Where places are a list, it may have another
        # length each time (a mask's), and each would be a program of its own: only where there is one for each entry.
        x, y, *places = arrays
        listed = len(places) < 2 or not len(places) == len(x.shape) == len(y.shape)
        return 0 if listed else 64 * math.prod(y.shape)

    @staticmethod
    def evaluate(x: Array, y: Array, *places: Array, key: Key) -> Array:
        z = _own_copy(x)
        if not places:
            z[fill_key(key, ())] += y
        elif key[0] is ARRAY and len(places) == 1 and x.ndim > 1 and all(k == (None, None, None) for k in key[1:]):
            _add_rows(z, y, places[0])
        elif (flat := flat_places(x.shape, key, places)) is not None:
            np.add.at(z.reshape(-1), flat.reshape(-1), y.reshape(-1))  # z is a copy in its own order
        else:
            try:
                np.add.at(z, fill_key(key, places), y)
            except IndexError as error:
                raise IndexRangeError(f"adding to shape {x.shape}: {error}.") from None
        return z

    @staticmethod
    def grad_x(g: Tensor) -> Tensor:
        return g

    @staticmethod
    def grad_y(g: Tensor, places: tuple[Tensor, ...], *, key: Key) -> Tensor:
        return Index.apply(g, *places, key=key)


def add_along(x: Tensor, axis: int, places: Tensor, y: Tensor) -> Tensor:
    """x with each entry of y added where its place along one axis says; along the others it stands where it goes.

    For places that an operation has found itself: `scatter_add` looks first whether there are such places.
    """
    return IndexAdd.apply(x, y, *walk(axis, places), key=(ARRAY,) * len(places.shape))


def take_along(x: Tensor, axis: int, places: Tensor) -> Tensor:
    """The entries of x at places along one axis, along the others where they stand: what `gather` gives."""
    return Index.apply(x, *walk(axis, places), key=(ARRAY,) * len(places.shape))


def walk(axis: int, places: Tensor) -> list[Tensor]:
    """An array of indices for each dimension: places along one axis, along the others where they stand."""
    shape = places.shape
    return [
        places if d == axis % len(shape) else constant(_counted(n, len(shape) - d - 1)) for d, n in enumerate(shape)
    ]


def _counted(n: int, behind: int) -> Array:
    """0, 1, … n − 1 along a dimension with so many behind it; what is short is made once."""
    return _counted_once(n, behind) if n <= 2**12 else np.arange(n).reshape((-1,) + (1,) * behind)


@functools.lru_cache(maxsize=256)
def _counted_once(n: int, behind: int) -> Array:
    return np.arange(n).reshape((-1,) + (1,) * behind)


def _add_rows(z: Array, y: Array, places: Array) -> None:
    """Add whole rows at repeated places. `np.add.at` takes far longer, but for rows of one entry.

    Rows are sorted by place, the places by how many rows they get. Then in each round every place that has one more
    takes it; the first so many places are those, so a round is one look-up and one sum. What a few places have beyond
    that is summed up at once.
    """
    if not places.size:
        return
    outside = places[(places < -len(z)) | (places >= len(z))]
    if outside.size:
        raise IndexRangeError(
            f"adding to shape {z.shape}: index {outside.flat[0]} is out of bounds for axis 0 with size {len(z)}."
        )
    flat = places.reshape(-1).astype(np.int64, copy=False) % len(z)
    rows = y.reshape(flat.size, *z.shape[1:])
    if rows.size == flat.size:
        np.add.at(z.reshape(-1), flat, rows.reshape(-1))  # z is a copy in its own order
        return
    order = stable_order(flat)
    ordered = flat[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    counts = np.diff(starts, append=len(flat))
    crowded_first = stable_order(-counts)
    starts, counts = starts[crowded_first], counts[crowded_first]
    rounds = _rounds(counts)
    left = np.searchsorted(-counts, -np.arange(rounds + 1), side="left")  # so many places have more than k rows
    sums = rows.take(order[starts], 0).astype(z.dtype, copy=False)
    for k in range(1, rounds):
        sums[: left[k]] += rows.take(order[starts[: left[k]] + k], 0)
    exact = np.float64 if z.dtype.kind == "f" else z.dtype
    for place in range(left[rounds]):
        first, last = starts[place] + rounds, starts[place] + counts[place]
        sums[place] += rows.take(order[first:last], 0).sum(0, dtype=exact).astype(z.dtype)
    z[ordered[starts]] += sums


#: At most so many rows are added one after the other: it bounds the rounding error, as in `blocked_sum`.
_ONE_BY_ONE = 64


def _rounds(counts: Array) -> int:
    """How many rows of each place are taken in rounds: a round takes about as long as what one place has left."""
    possible = np.arange(1, min(int(counts[0]), _ONE_BY_ONE) + 1)
    left = np.searchsorted(-counts, -possible, side="left")
    return int(possible[np.argmin(possible + left)])


class IndexUpdate(Primitive):
    """z = x with y put at the places. Where a place is named several times, the last one stays."""

    latex = r"x_{i} \leftarrow y_{i}"
    moves = True

    @staticmethod
    def shape(x: Array, y: Array, *places: Array, key: Key) -> Form:
        return _check_new("index update", x, y, key, places)

    @staticmethod
    def evaluate(x: Array, y: Array, *places: Array, key: Key) -> Array:
        z = _own_copy(x)
        try:
            z[fill_key(key, places)] = y
        except IndexError as error:
            raise IndexRangeError(f"writing into shape {x.shape}: {error}.") from None
        return z

    @staticmethod
    def grad_x(g: Tensor, y_shape: Shape, places: tuple[Tensor, ...], *, key: Key) -> Tensor:
        return IndexUpdate.apply(g, _zeros(y_shape, g), *places, key=key)

    @staticmethod
    def grad_y(g: Tensor, places: tuple[Tensor, ...], *, key: Key) -> Tensor:
        return Index.apply(g, *places, key=key)


class IndexReduce(Primitive):
    """z = x with y taken in at the places, one after the other: multiplied ("prod"), or the largest or smallest kept.

    Without a gradient: who uses it says how products and ties share it.
    """

    latex = r"x_{i} \circ y_{i}"

    @staticmethod
    def shape(x: Array, y: Array, *places: Array, key: Key, reduce: str) -> Form:
        return _check_new("index reduce", x, y, key, places)

    @staticmethod
    def evaluate(x: Array, y: Array, *places: Array, key: Key, reduce: str) -> Array:
        z = x.copy()
        function: Any = {"prod": np.multiply, "amax": np.maximum, "amin": np.minimum}[reduce]
        try:
            function.at(z, fill_key(key, places), y)
        except IndexError as error:
            raise IndexRangeError(f"reducing into shape {x.shape}: {error}.") from None
        return z
