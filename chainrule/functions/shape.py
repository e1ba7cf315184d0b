"""The same entries in another arrangement. Where PyTorch gives a view, so does this: writes go through to the base."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.cell import Size, TensorCell
from chainrule.devices import CPU
from chainrule.dtypes import as_dtype
from chainrule.errors import ShapeError
from chainrule.functions.creation import make, read_shape
from chainrule.functions.dimensions import axes_of, axis_of
from chainrule.functions.promotion import common_shape, fitting
from chainrule.primitives import shape as primitives
from chainrule.primitives.value import Shape, Value

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


def view_through(primitive: Any, input: Tensor, **parameters: Any) -> Tensor:
    """Apply a view primitive: the result follows its base and writes through to it."""
    return primitive.apply(input, **parameters).as_view_of(input, primitive, parameters)


def complete_shape(wanted: tuple[Any, ...], size: int, operation: str) -> Shape:
    """A shape in which one −1 stands for whatever remains."""
    if len(wanted) == 1 and isinstance(wanted[0], (tuple, list)):
        wanted = tuple(wanted[0])
    if -1 not in wanted:
        return read_shape(wanted, operation)
    known = math.prod([extent for extent in wanted if extent != -1])
    if wanted.count(-1) > 1 or known == 0 or size % known:
        raise ShapeError(f"{operation}: {size} entries cannot take the shape {tuple(wanted)}.")
    return read_shape(tuple([size // known if extent == -1 else extent for extent in wanted]), operation)


def reshape(input: Tensor, *shape: Any) -> Tensor:
    """The same entries in row-major order under another shape; one extent may be −1, whatever remains.

    >>> import chainrule
    >>> chainrule.reshape(chainrule.arange(6), 2, -1)
    tensor([[0, 1, 2],
            [3, 4, 5]])
    """
    array = input.value.array
    return view_through(primitives.Reshape, input, to=complete_shape(shape, array.size, "reshape"))


def view(input: Tensor, *shape: Any) -> Tensor:
    """`reshape` (every tensor can be viewed here), or with a data type the same bits read as numbers of that type.

    The bits are a copy and have no gradient. Types of another size change the last extent.

    >>> import chainrule
    >>> chainrule.tensor([[1, 0, 2], [3, 2, 2]]).view(1, 3, -1).shape
    Size([1, 3, 2])
    >>> chainrule.tensor([1.0, -0.0]).view(chainrule.int32)
    tensor([ 1065353216, -2147483648], dtype=chainrule.int32)
    """
    if len(shape) == 1 and not isinstance(shape[0], (int, tuple, list)) and not hasattr(shape[0], "__index__"):
        return _bits(input, shape[0])
    return reshape(input, *shape)


def _bits(input: Tensor, dtype: Any) -> Tensor:
    wanted = as_dtype(dtype).numpy
    array = np.ascontiguousarray(input.read("view(dtype)"))
    size = array.shape[-1] * array.dtype.itemsize if array.ndim else array.dtype.itemsize
    if size % wanted.itemsize or (not array.ndim and array.dtype.itemsize != wanted.itemsize):
        raise ShapeError(f"view: the bits of {tuple(array.shape)} {input.dtype} are no {dtype} numbers.")
    return make(array.view(wanted).copy(), device=input.device)


def view_as(input: Tensor, other: Tensor) -> Tensor:
    """`input` in the shape of `other`."""
    return reshape(input, tuple(other.shape))


def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """The dimensions from start_dim to end_dim (included) made one.

    >>> import chainrule
    >>> chainrule.flatten(chainrule.zeros(2, 3, 4), 1).shape
    Size([2, 12])
    """
    shape = tuple(input.shape) or (1,)
    first, last = axis_of(start_dim, len(shape), "flatten"), axis_of(end_dim, len(shape), "flatten")
    if first > last:
        raise ShapeError(f"flatten: the first dimension {start_dim} comes after the last {end_dim}.")
    return reshape(input, *shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :])


def unflatten(input: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """One dimension split into several, whose product is its extent; one of them may be −1, whatever remains.

    >>> import chainrule
    >>> chainrule.unflatten(chainrule.zeros(2, 12), 1, (3, -1)).shape
    Size([2, 3, 4])
    """
    axis = axis_of(dim, input.ndim, "unflatten")
    shape = tuple(input.shape)
    inner = complete_shape(tuple(sizes), shape[axis], "unflatten")
    if not inner or math.prod(inner) != shape[axis]:
        raise ShapeError(
            f"unflatten: the sizes {tuple(sizes)} must be some whose product is {shape[axis]}, the extent of dimension "
            f"{dim} of {shape}; one may be −1."
        )
    return reshape(input, *shape[:axis], *inner, *shape[axis + 1 :])


def squeeze(input: Tensor, dim: Any = None) -> Tensor:
    """Without dimensions of size 1: all of them, or those in `dim` that are.

    >>> import chainrule
    >>> chainrule.squeeze(chainrule.zeros(1, 3, 1)).shape
    Size([3])
    """
    shape = tuple(input.shape)
    axes = () if dim in ((), []) else axes_of(dim, len(shape), "squeeze") if dim is not None else range(len(shape))
    return reshape(input, tuple(extent for i, extent in enumerate(shape) if extent != 1 or i not in axes))


def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """With a new dimension of size 1 at `dim`.

    >>> import chainrule
    >>> chainrule.unsqueeze(chainrule.zeros(3), 0).shape
    Size([1, 3])
    """
    shape = tuple(input.shape)
    axis = axis_of(dim, len(shape) + 1, "unsqueeze")
    return reshape(input, (*shape[:axis], 1, *shape[axis:]))


def permute(input: Tensor, *dims: Any) -> Tensor:
    """The dimensions in another order: `permute(0, 2, 3, 1)` makes (N, C, H, W) into (N, H, W, C).

    >>> import chainrule
    >>> chainrule.permute(chainrule.zeros(2, 3, 4), (2, 0, 1)).shape
    Size([4, 2, 3])
    """
    if len(dims) == 1 and isinstance(dims[0], (tuple, list)):
        dims = tuple(dims[0])
    order = tuple([axis_of(dim, input.ndim, "permute") for dim in dims])
    return view_through(primitives.Permute, input, order=order)


def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Two dimensions exchanged.

    >>> import chainrule
    >>> chainrule.transpose(chainrule.zeros(2, 3), 0, 1).shape
    Size([3, 2])
    """
    rank = input.ndim
    order = list(range(rank))
    i, j = axis_of(dim0, rank, "transpose"), axis_of(dim1, rank, "transpose")
    if rank:
        order[i], order[j] = order[j], order[i]
    return view_through(primitives.Permute, input, order=tuple(order))


swapaxes = transpose


swapdims = transpose


def ravel(input: Tensor) -> Tensor:
    """All entries in a row; see `flatten`."""
    return reshape(input, -1)


def t(input: Tensor) -> Tensor:
    """A matrix transposed; vectors stay.

    >>> import chainrule
    >>> chainrule.t(chainrule.zeros(2, 3)).shape
    Size([3, 2])
    """
    if input.ndim > 2:
        raise ShapeError(f"t transposes matrices, got {input.ndim} dimensions; use mT or transpose.")
    return permute(input, tuple(reversed(range(input.ndim))))


def movedim(input: Tensor, source: Any, destination: Any) -> Tensor:
    """Dimensions moved to other places, the others in their order.

    >>> import chainrule
    >>> chainrule.movedim(chainrule.zeros(2, 3, 4), 0, -1).shape
    Size([3, 4, 2])
    """
    rank = input.ndim
    sources = [axis_of(d, rank, "movedim") for d in ([source] if isinstance(source, int) else source)]
    places = [axis_of(d, rank, "movedim") for d in ([destination] if isinstance(destination, int) else destination)]
    order = [axis for axis in range(rank) if axis not in sources]
    if len(set(sources)) != len(sources) or len(set(places)) != len(places) or len(sources) != len(places):
        raise ShapeError(f"movedim: {source} to {destination}: each dimension and each place once, as many of both.")
    if rank:  # a single number may be said to have one dimension, and it has none
        for place, axis in sorted(zip(places, sources)):
            order.insert(place, axis)
    return permute(input, tuple(order))


moveaxis = movedim


def expand(input: Tensor, *size: Any) -> Tensor:
    """Dimensions of size 1 stretched and new ones put in front, without copying; −1 keeps an extent.

    >>> import chainrule
    >>> chainrule.tensor([[1], [2]]).expand(2, 3)
    tensor([[1, 1, 1],
            [2, 2, 2]])
    """
    if len(size) == 1 and isinstance(size[0], (tuple, list)):
        size = tuple(size[0])
    own = tuple(input.shape)
    new = len(size) - len(own)
    if new < 0 or any(extent == -1 for extent in size[:new]):
        raise ShapeError(f"expand: shape {own} cannot become {size}; −1 can only keep a dimension that exists.")
    to = tuple(own[i - new] if extent == -1 else extent for i, extent in enumerate(size))
    return view_through(primitives.Broadcast, input, to=read_shape(to, "expand"))


def expand_as(input: Tensor, other: Tensor) -> Tensor:
    """`input` expanded to the shape of `other`."""
    return expand(input, tuple(other.shape))


def broadcast_to(input: Tensor, size: Sequence[int]) -> Tensor:
    """`input` expanded to a shape."""
    return expand(input, tuple(size))


def broadcast_tensors(*tensors: Tensor) -> tuple[Tensor, ...]:
    """All tensors expanded to their common shape.

    >>> import chainrule
    >>> [x.shape for x in chainrule.broadcast_tensors(chainrule.zeros(3, 1), chainrule.zeros(4))]
    [Size([3, 4]), Size([3, 4])]
    """
    shape = common_shape([tuple(x.shape) for x in tensors])
    return tuple(expand(x, shape) for x in tensors)


def broadcast_shapes(*shapes: Any) -> Size:
    """The shape that tensors of these shapes have together.

    >>> import chainrule
    >>> chainrule.broadcast_shapes((3, 1), (4,))
    Size([3, 4])
    """
    return Size(common_shape([(shape,) if isinstance(shape, int) else tuple(shape) for shape in shapes]))


def repeat(input: Tensor, *repeats: Any) -> Tensor:
    """The tensor copied that many times along each dimension.

    >>> import chainrule
    >>> chainrule.tensor([1, 2]).repeat(2, 2)
    tensor([[1, 2, 1, 2],
            [1, 2, 1, 2]])
    """
    times = read_shape(repeats, "repeat")
    own = (1,) * (len(times) - input.ndim) + tuple(input.shape)
    if len(own) != len(times):
        raise ShapeError(f"repeat: {times} has fewer numbers than shape {tuple(input.shape)} has dimensions.")
    between = reshape(input, tuple(e for extent in own for e in (1, extent)))
    stretched = expand(between, tuple(e for n, extent in zip(times, own, strict=True) for e in (n, extent)))
    return reshape(stretched, tuple(n * extent for n, extent in zip(times, own, strict=True))).clone()


def tile(input: Tensor, *dims: Any) -> Tensor:
    """As `repeat`, with 1 for dimensions that are not named."""
    times = read_shape(dims, "tile")
    return repeat(input, (1,) * (input.ndim - len(times)) + times)


def repeat_interleave(input: Tensor, repeats: Any, dim: int | None = None, *, output_size: int | None = None) -> Tensor:
    """Each entry (or each slice along `dim`) repeated in place, all equally often or as a vector of integers says.

    output_size: how many there are then; PyTorch saves counting by it. Raises ShapeError if there are not so many.

    >>> import chainrule
    >>> chainrule.repeat_interleave(chainrule.tensor([1, 2]), 2)
    tensor([1, 1, 2, 2])
    """
    x, axis = (reshape(input, -1), 0) if dim is None else (input, axis_of(dim, input.ndim, "repeat_interleave"))
    shape = tuple(x.shape)
    if output_size is not None:
        result = repeat_interleave(x, repeats, axis)
        if result.shape[axis] != output_size:
            raise ShapeError(f"repeat_interleave: {result.shape[axis]} slices come out, output_size is {output_size}.")
        return result
    if isinstance(repeats, TensorCell) and not repeats.ndim:
        repeats = reshape(repeats, 1)  # type: ignore[arg-type]
    if isinstance(repeats, TensorCell):
        if repeats.ndim != 1 or repeats.shape[0] not in (1, shape[axis]):
            raise ShapeError(f"repeat_interleave: repeats {tuple(repeats.shape)} for {shape[axis]} slices of {shape}.")
        times = np.broadcast_to(repeats.read(), (shape[axis],))
        _need_size(int(times.sum()), output_size)
        return x.index_select(axis, make(np.repeat(np.arange(shape[axis]), times), device=CPU))
    _need_size(shape[axis] * repeats, output_size)
    stretched = expand(unsqueeze(x, axis + 1), *shape[: axis + 1], repeats, *shape[axis + 1 :])
    return reshape(stretched, *shape[:axis], shape[axis] * repeats, *shape[axis + 1 :]).clone()


def _need_size(count: int, output_size: int | None) -> None:
    if output_size is not None and output_size != count:
        raise ShapeError(f"repeat_interleave: output_size is {output_size}, the repeats add up to {count}.")


def flip(input: Tensor, *dims: Any) -> Tensor:
    """The entries in reverse order along the dimensions (a copy, as in PyTorch).

    >>> import chainrule
    >>> chainrule.flip(chainrule.arange(3), 0)
    tensor([2, 1, 0])
    """
    if len(dims) == 1 and isinstance(dims[0], (tuple, list)):
        dims = tuple(dims[0])
    return primitives.Flip.apply(input, axes=axes_of(tuple(dims), input.ndim, "flip") if dims else ())


def fliplr(input: Tensor) -> Tensor:
    """A matrix with its columns in reverse order."""
    if input.ndim < 2:
        raise ShapeError(f"fliplr needs at least 2 dimensions, got shape {tuple(input.shape)}.")
    return flip(input, 1)


def flipud(input: Tensor) -> Tensor:
    """A matrix with its rows in reverse order."""
    if not input.ndim:
        raise ShapeError("flipud needs at least 1 dimension, got a 0-d tensor.")
    return flip(input, 0)


def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """Entries added around: `pad` lists (before, after) for the last dimension, then the one before it, and so on.

    Negative numbers cut off. Only the mode "constant" so far.

    >>> import chainrule
    >>> chainrule.functions.shape.pad(chainrule.ones(2), (1, 2))
    tensor([0., 1., 1., 0., 0.])
    """
    if mode != "constant":
        raise ValueError(f"pad: the mode {mode!r} is not known; known is 'constant'.")
    if len(pad) % 2 or len(pad) // 2 > input.ndim:
        raise ShapeError(f"pad: {tuple(pad)} must hold a pair for each of at most {input.ndim} dimensions.")
    pairs = [(pad[i], pad[i + 1]) for i in range(0, len(pad), 2)]
    pairs = [(0, 0)] * (input.ndim - len(pairs)) + pairs[::-1]
    before, after = zip(*pairs, strict=True) if pairs else ((), ())
    if value:
        fitting(value, input.value.array.dtype, "pad")
    return primitives.Pad.apply(input, before=before, after=after, constant=value or 0)


def clone(input: Tensor) -> Tensor:
    """A tensor of its own with the same value; gradients flow through.

    >>> import chainrule
    >>> chainrule.clone(chainrule.tensor([1, 2]))
    tensor([1, 2])
    """
    return primitives.Reshape.apply(input, to=tuple(input.shape))


def contiguous(input: Tensor) -> Tensor:
    """The tensor itself: how its entries lie in memory is not the user's concern here."""
    return input


def detach(input: Tensor) -> Tensor:
    """The same value cut off from the computation: no gradient flows. Writing to it writes to the original.

    >>> import chainrule
    >>> chainrule.detach(chainrule.ones(1, requires_grad=True)).requires_grad
    False
    """
    result = primitives.Reshape.make_tensor(Value(input.shared_array()))
    return result.as_view_of(input, None, {})


def meshgrid(*tensors: Tensor, indexing: str = "ij") -> tuple[Tensor, ...]:
    """Vectors as the coordinates of a grid; "ij": first dimension first, "xy": the first two exchanged.

    >>> import chainrule
    >>> chainrule.meshgrid(chainrule.arange(2), chainrule.arange(3))[0]
    tensor([[0, 0, 0],
            [1, 1, 1]])
    """
    if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)):
        tensors = tuple(tensors[0])
    shape = tuple(x.numel() for x in tensors)
    rank = len(shape)
    grids = [expand(reshape(x, (1,) * i + (-1,) + (1,) * (rank - i - 1)), shape) for i, x in enumerate(tensors)]
    if indexing == "xy" and rank > 1:
        grids = [transpose(grid, 0, 1) for grid in grids]
    return tuple(grids)
