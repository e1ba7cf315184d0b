"""Many entries become one.

`dim` is one dimension, a tuple of them, or None for all; `keepdim` leaves them as size 1.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from chainrule.autodiff.block import block
from chainrule.cell import TensorCell
from chainrule.dtypes import as_dtype
from chainrule.errors import DTypeError, IndexRangeError, ShapeError
from chainrule.functions.arithmetic import maximum, minimum
from chainrule.functions.promotion import as_floating, cast, constant
from chainrule.primitives import reduction as primitives
from chainrule.primitives.shape import Concatenate
from chainrule.primitives.value import Shape

if TYPE_CHECKING:
    from chainrule.tensor import Tensor

Dimensions = int | tuple[int, ...] | list[int] | None


class ValuesAndIndices(NamedTuple):
    """What `max`, `min`, `sort` and `topk` along a dimension give: the entries and where they stood."""

    values: Any
    indices: Any


def axis_of(dim: int, rank: int, operation: str = "") -> int:
    """A dimension counted from the front; negative ones count from the back. Raises IndexRangeError outside."""
    limit = rank or 1
    if not -limit <= dim < limit:
        head = f"{operation}: " if operation else ""
        raise IndexRangeError(f"{head}dimension {dim} of a {rank}-d tensor; possible are {-limit} … {limit - 1}.")
    return dim % limit


def axes_of(dim: Dimensions, rank: int, operation: str = "") -> Shape:
    """Sorted dimensions counted from the front; all of them for None or ()."""
    if dim is None or dim == () or dim == []:
        return tuple(range(rank))
    dims = (dim,) if isinstance(dim, int) else tuple(dim)
    axes = sorted({axis_of(d, rank, operation) for d in dims})
    if len(axes) != len(dims):
        raise ShapeError(f"{operation}: a dimension is named twice in {dims}.")
    return tuple(axes) if rank else ()


def _kept(reduced: Tensor, shape: Shape, axes: Shape, keepdim: bool) -> Tensor:
    if not keepdim:
        return reduced
    return reduced.reshape(tuple(1 if axis in axes else extent for axis, extent in enumerate(shape)))


def sum(input: Tensor, dim: Dimensions = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The sum over `dim`. Integers and booleans are added up as int64.

    >>> import chainrule
    >>> chainrule.sum(chainrule.tensor([[1, 2], [3, 4]]), 0)
    tensor([4, 6])
    """
    if dtype is not None:
        wanted = as_dtype(dtype).numpy
        return cast(sum(cast(input, wanted), dim, keepdim), wanted)
    shape = input.value.array.shape
    axes = axes_of(dim, len(shape), "sum")
    if not axes:
        return cast(input, np.dtype(np.int64)) if input.value.array.dtype.kind in "iub" else input.clone()
    return _kept(primitives.Sum.apply(input, axes=axes), shape, axes, keepdim)


def mean(input: Tensor, dim: Dimensions = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The mean over `dim`: the sum divided by how many there are. Floating point only; NaN for none.

    >>> import chainrule
    >>> chainrule.mean(chainrule.tensor([1.0, 2.0, 6.0]))
    tensor(3.)
    """
    if dtype is not None:
        input = cast(input, as_dtype(dtype).numpy)
    _need_floating(input, "mean")
    shape = input.value.array.shape
    total = sum(in_float32(input), dim, keepdim) / _count(shape, axes_of(dim, len(shape), "mean"))
    return cast(total, input.value.array.dtype)


def in_float32(x: Tensor) -> Tensor:
    """Halves in float32, other numbers as they are: sums of halves, and counts beyond 65504, would be infinite."""
    return cast(x, np.dtype(np.float32)) if x.value.array.dtype.itemsize == 2 and x.dtype.is_floating_point else x


def ratio_of_sums(over: Tensor, under: Tensor) -> Tensor:
    """Σ over / Σ under of all entries, in the type of the first: a weighted mean.

    >>> import chainrule
    >>> ratio_of_sums(chainrule.tensor([2.0, 4.0]), chainrule.tensor([1.0, 1.0]))
    tensor(3.)
    """
    return cast(sum(in_float32(over)) / sum(in_float32(under)), over.value.array.dtype)


def _count(shape: Shape, axes: Shape) -> int:
    count = 1
    for axis in axes:
        count *= shape[axis]
    return count


def _need_floating(input: Tensor, operation: str) -> None:
    if not input.dtype.is_floating_point:
        raise DTypeError(f"{operation} needs floating-point numbers, got {input.dtype}; convert with .float() first.")


def var(
    input: Tensor,
    dim: Dimensions = None,
    unbiased: bool = True,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Tensor:
    """The variance over `dim`: Σ(x − mean)² / (n − correction); correction 1 is the unbiased estimate.

    >>> import chainrule
    >>> chainrule.var(chainrule.tensor([1.0, 2.0, 3.0])), chainrule.var(chainrule.tensor([1.0, 2.0, 3.0]), correction=0)
    (tensor(1.), tensor(0.6667))
    """
    if isinstance(dim, bool):  # var(x, unbiased)
        unbiased = dim
        dim = None
    _need_floating(input, "var")
    shape = input.value.array.shape
    axes = axes_of(dim, len(shape), "var")
    lost = (1 if unbiased else 0) if correction is None else correction
    freedom = _count(shape, axes) - lost
    deviation = centred(in_float32(input), axes)[0]
    squares = sum(deviation * deviation, axes or None, keepdim)
    return cast(squares / (freedom if freedom > 0 else 0), input.value.array.dtype)


def centred(x: Tensor, axes: Shape) -> tuple[Tensor, Tensor]:
    """x minus its mean over the axes, and the mean, of size 1 along them.

    The mean is corrected by the mean of what it leaves: a rounded sum over the number is not the entry itself where
    all are equal, and then the rounding error would be taken for a deviation. What it leaves is corrected, not x minus
    the better mean: that is rounded to the type of x too, by far more than deviations that are small beside it.
    """
    shape = x.value.array.shape
    axes = axes or tuple(range(len(shape)))
    rough = mean(x.detach_copy(), axes or None, keepdim=True)
    left = x - rough
    more = mean(left, axes or None, keepdim=True)
    return left - more, rough + more


def std(
    input: Tensor,
    dim: Dimensions = None,
    unbiased: bool = True,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Tensor:
    """The standard deviation over `dim`, the root of `var`.

    >>> import chainrule
    >>> chainrule.std(chainrule.tensor([1.0, 2.0, 3.0]))
    tensor(1.)
    """
    squares = var(in_float32(input), dim, unbiased, keepdim, correction=correction)
    return cast(_root(squares), input.value.array.dtype)


@block
def _root(squares: Tensor) -> Tensor:
    """√x, whose derivative at 0, which does not exist, is 0 by the field's convention."""
    return squares.sqrt()


@_root.gradient
def _(g: Tensor, output: Tensor) -> Tensor:
    zero = output == 0
    return (g / (2 * output.masked_fill(zero, 1))).masked_fill(zero, 0)


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
    return _kept(primitives.Amax.apply(input, axes=axes), shape, axes, keepdim)


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
    return _kept(primitives.Argmax.apply(input, axis=axis), shape, (axis,), keepdim)


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
    return _chosen(input, argmax(input, dim, keepdim=True), dim, keepdim)


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
    return _chosen(input, argmin(input, dim, keepdim=True), dim, keepdim)


def _chosen(input: Tensor, places: Tensor, dim: int, keepdim: bool) -> ValuesAndIndices:
    if not input.ndim:
        return ValuesAndIndices(input.clone(), places.reshape(()))
    values = input.gather(dim, places)
    if keepdim:
        return ValuesAndIndices(values, places)
    return ValuesAndIndices(values.squeeze(dim), places.squeeze(dim))


def prod(input: Tensor, dim: int | None = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The product over `dim`. Integers are multiplied as int64.

    >>> import chainrule
    >>> chainrule.prod(chainrule.tensor([2.0, 3.0, 4.0]))
    tensor(24.)
    """
    if dtype is not None:
        wanted = as_dtype(dtype).numpy
        return cast(prod(cast(input, wanted), dim, keepdim), wanted)
    shape = input.value.array.shape
    axes = axes_of(dim, len(shape), "prod")
    if not axes:
        return cast(input, np.dtype(np.int64)) if input.value.array.dtype.kind in "iub" else input.clone()
    return _kept(primitives.Product.apply(input, axes=axes), shape, axes, keepdim)


def any(input: Tensor, dim: Dimensions = None, keepdim: bool = False) -> Tensor:
    """Whether any entry over `dim` is not zero.

    >>> import chainrule
    >>> chainrule.any(chainrule.tensor([False, True]))
    tensor(True)
    """
    truth = input.bool()
    axes = axes_of(dim, truth.ndim, "any")
    if _count(truth.value.array.shape, axes) == 0:
        return sum(truth, dim, keepdim).bool()
    return amax(truth, dim, keepdim)


def all(input: Tensor, dim: Dimensions = None, keepdim: bool = False) -> Tensor:
    """Whether every entry over `dim` is not zero.

    >>> import chainrule
    >>> chainrule.all(chainrule.tensor([False, True]))
    tensor(False)
    """
    return ~any(~input.bool(), dim, keepdim)


def count_nonzero(input: Tensor, dim: Dimensions = None) -> Tensor:
    """How many entries over `dim` are not zero.

    >>> import chainrule
    >>> chainrule.count_nonzero(chainrule.tensor([0.0, 2.0, 3.0]))
    tensor(2)
    """
    return sum(input.bool(), dim)


def logsumexp(input: Tensor, dim: Dimensions = None, keepdim: bool = False) -> Tensor:
    """ln Σ eˣ over `dim`, shifted by the maximum so that nothing overflows.

    >>> import chainrule
    >>> chainrule.logsumexp(chainrule.tensor([100.0, 100.0]), 0)
    tensor(100.6931)
    """
    x = as_floating(input)
    if x.dtype.itemsize == 2:
        return cast(logsumexp(x.float(), dim, keepdim), x.value.array.dtype)
    shape = x.value.array.shape
    axes = axes_of(dim, len(shape), "logsumexp")
    if not axes:
        return x.clone()
    if _count(shape, axes) == 0:
        return sum(x, axes, keepdim).log()
    top = amax(x.detach(), axes, keepdim=True)
    shift = top.masked_fill(top.isinf(), 0)  # −∞ − (−∞) would be NaN
    total = sum((x - shift).exp(), axes, keepdim=True).log() + shift
    return total if keepdim else total.squeeze(axes)


def norm(
    input: Tensor, p: float | str | None = 2, dim: Dimensions = None, keepdim: bool = False, dtype: Any = None
) -> Tensor:
    """The p-norm over `dim`, (Σ|x|^p)^(1/p); ∞ gives the largest |x|, 0 counts the entries that are not 0.

    "fro" is 2; "nuc", of matrices or of two dimensions `dim`, is the sum of the singular values.
    dtype: a floating-point type that the entries are converted to first.

    >>> import chainrule
    >>> chainrule.norm(chainrule.tensor([3.0, 4.0]))
    tensor(5.)
    """
    if dtype is not None:
        input = cast(input, as_dtype(dtype).numpy)
    _need_floating(input, "norm")
    if p is None:
        p = 2
    if input.dtype.itemsize == 2:  # the powers of halves overflow where their norm does not
        return norm(input.float(), p, dim, keepdim).to(input.dtype)
    if p in ("fro", 2):
        return _euclidean(input, dim, keepdim)
    if p == "nuc":
        from chainrule.functions.linalg import matrix_norm

        return matrix_norm(input, "nuc", (-2, -1) if dim is None else tuple(dim), keepdim)  # type: ignore[arg-type]
    if isinstance(p, str):
        raise DTypeError(f"norm: p is a number, 'fro' or 'nuc', got {p!r}; other matrix norms are in linalg.")
    size = input.abs()
    if p == float("inf"):
        return amax(size, dim, keepdim)
    if p == float("-inf"):
        return amin(size, dim, keepdim)
    if p == 0:
        return sum(_counted(input), dim, keepdim)
    if p == 1:
        return sum(size, dim, keepdim)
    nothing = input == 0  # where the power has no derivative for p < 1
    total = sum((size.masked_fill(nothing, 1) ** p).masked_fill(nothing, 0), dim, keepdim)
    # A negative power of 0 is ∞, and the norm then 0, whatever the others are.
    zero = any(nothing, dim, keepdim) if p < 0 else total == 0
    return (total.masked_fill(zero, 1) ** (1 / p)).masked_fill(zero, 0)


@block
def _counted(input: Tensor) -> Tensor:
    """1 where an entry is not 0. It can be differentiated, but nothing comes back, as in PyTorch."""
    return (input != 0).to(input.dtype)


@_counted.gradient
def _(g: Tensor) -> None:
    return None


def _euclidean(input: Tensor, dim: Dimensions, keepdim: bool) -> Tensor:
    """The root of the sum of squares; in float64 where squares leave the range of float32."""
    squares = sum(input * input, dim, keepdim)
    if input.dtype.itemsize == 4:
        array = squares.value.array
        if not isinstance(array, np.ndarray) or not ((array > 1e-30) & (array < np.inf)).all():
            wide = input.double()
            return cast(_root(sum(wide * wide, dim, keepdim)), input.value.array.dtype)
    return _root(squares)


def cumsum(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """Running sums along `dim`. Integers and booleans are added up as int64.

    >>> import chainrule
    >>> chainrule.cumsum(chainrule.tensor([1, 2, 3]), 0)
    tensor([1, 3, 6])
    """
    if dtype is not None:
        wanted = as_dtype(dtype).numpy
        return cast(cumsum(cast(input, wanted), dim), wanted)
    axis = axis_of(dim, input.ndim, "cumsum")
    if not input.ndim:
        return sum(input)
    return primitives.CumulativeSum.apply(input, axis=axis)


def cumprod(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """Running products along `dim`. Integers and booleans are multiplied as int64.

    >>> import chainrule
    >>> chainrule.cumprod(chainrule.tensor([1, 2, 3]), 0)
    tensor([1, 2, 6])
    """
    if dtype is not None:
        wanted = as_dtype(dtype).numpy
        return cast(cumprod(cast(input, wanted), dim), wanted)
    axis = axis_of(dim, input.ndim, "cumprod")
    if not input.ndim:
        return prod(input)
    x = cast(input, np.dtype(np.int64)) if input.value.array.dtype.kind in "iub" else input.clone()
    # Products of 1, 2, 4, … neighbours: ⌈log₂ n⌉ steps, whose gradients are right where an entry is 0.
    reach, extent = 1, x.shape[axis]
    while reach < extent:
        start = x.narrow(axis, 0, reach)
        x = Concatenate.apply(
            start, x.narrow(axis, reach, extent - reach) * x.narrow(axis, 0, extent - reach), axis=axis
        )
        reach *= 2
    return x


def cummax(input: Tensor, dim: int) -> ValuesAndIndices:
    """The largest entry so far along `dim`, and where it stands (the last of equals).

    >>> import chainrule
    >>> chainrule.cummax(chainrule.tensor([1, 3, 2]), 0).values
    tensor([1, 3, 3])
    """
    return _running(input, dim, True, "cummax")


def cummin(input: Tensor, dim: int) -> ValuesAndIndices:
    """The smallest entry so far along `dim`, and where it stands (the last of equals).

    >>> import chainrule
    >>> chainrule.cummin(chainrule.tensor([2, 1, 3]), 0).values
    tensor([2, 1, 1])
    """
    return _running(input, dim, False, "cummin")


def _running(input: Tensor, dim: int, largest: bool, operation: str) -> ValuesAndIndices:
    axis = axis_of(dim, input.ndim, operation)
    if not input.ndim:
        return ValuesAndIndices(input.clone(), constant(0, np.dtype(np.int64)))
    indices = primitives.CumulativeArgmax.apply(input, axis=axis, largest=largest)
    return ValuesAndIndices(input.gather(axis, indices), indices)


def diff(
    input: Tensor, n: int = 1, dim: int = -1, prepend: Tensor | None = None, append: Tensor | None = None
) -> Tensor:
    """Each entry minus the one before it along `dim`, n times over; `prepend` and `append` are joined to it first.

    >>> import chainrule
    >>> chainrule.diff(chainrule.tensor([1, 4, 9]))
    tensor([3, 5])
    """
    if not input.ndim:
        raise ShapeError("diff: a 0-d tensor has no neighbours; it needs at least one dimension.")
    axis = axis_of(dim, input.ndim, "diff")
    parts = [part for part in (prepend, input, append) if part is not None]
    if len(parts) > 1:
        from chainrule.functions.shape import cat

        input = cat(parts, axis)
    for _ in range(n):
        count = builtins.max(input.shape[axis] - 1, 0)
        after, before = (
            input.narrow(axis, builtins.min(1, input.shape[axis]), count),
            input.narrow(axis, 0, count),
        )
        input = after ^ before if input.value.array.dtype == np.bool_ else after - before
    return input


def median(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The middle entry in order, the lower of two (NaN if there is one); along `dim` also where it stands.

    >>> import chainrule
    >>> chainrule.median(chainrule.tensor([3.0, 1.0, 2.0, 4.0]))
    tensor(2.)
    """
    if dim is None:
        if not input.numel():
            _need_floating(input, "median of no entries")
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
    return _chosen(input, middle, axis, keepdim)


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
    from chainrule.functions.shape import stack

    _need_floating(input, "quantile")
    several = isinstance(q, TensorCell) and q.ndim > 0
    shares = q.tolist() if several else [float(q)]
    slopes: Any = [None] * len(shares)
    if isinstance(q, TensorCell) and q.requires_grad and interpolation == "linear":  # only there it varies with q
        slopes = q.reshape(-1).unbind()  # type: ignore[attr-defined]
    if not builtins.all(0 <= share <= 1 for share in shares):
        raise ShapeError(f"quantile: q lies in [0, 1], got {shares if several else shares[0]}.")
    if interpolation not in _BETWEEN:
        raise ValueError(f"quantile: interpolation is one of {', '.join(_BETWEEN)}, got {interpolation!r}.")
    if not input.numel():
        raise ShapeError(f"quantile: no entries to choose from in shape {tuple(input.shape)}.")
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


#: How far from the entry below to the one above, of how far the place lies from it.
_BETWEEN: dict[str, Callable[[float, int], float]] = {
    "linear": lambda part, low: part,
    "lower": lambda part, low: 0.0,
    "higher": lambda part, low: float(part > 0),
    "midpoint": lambda part, low: 0.5 if part else 0.0,
    "nearest": lambda part, low: builtins.round(low + part) - low,  # halves to the even place, as PyTorch does
}


def _entry_between(ordered: Tensor, axis: int, share: float, interpolation: str, slope: Any) -> Tensor:
    """What stands at a share of sorted entries; NaN, which is sorted to the end, hides everything."""
    extent = ordered.shape[axis]
    place = share * (extent - 1)
    low = int(place)
    below, above = ordered.narrow(axis, low, 1), ordered.narrow(axis, builtins.min(low + 1, extent - 1), 1)
    part: Any = _BETWEEN[interpolation](place - low, low)
    if slope is not None:
        part = slope * (extent - 1) - low
    value = below + (above - below) * part
    last = ordered.narrow(axis, extent - 1, 1)
    return last.where(last.isnan(), value)


def nansum(input: Tensor, dim: Dimensions = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The sum over `dim`, NaN counted as 0.

    >>> import chainrule
    >>> chainrule.nansum(chainrule.tensor([1.0, float("nan")]))
    tensor(1.)
    """
    return sum(input.masked_fill(input.isnan(), 0), dim, keepdim, dtype=dtype)


def nanmean(input: Tensor, dim: Dimensions = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The mean over `dim` of the entries that are not NaN.

    >>> import chainrule
    >>> chainrule.nanmean(chainrule.tensor([1.0, 3.0, float("nan")]))
    tensor(2.)
    """
    _need_floating(input, "nanmean")
    x = input if dtype is None else cast(input, as_dtype(dtype).numpy)
    wide = in_float32(x)
    return cast(nansum(wide, dim, keepdim) / sum(~wide.isnan(), dim, keepdim), x.value.array.dtype)


def aminmax(input: Tensor, *, dim: int | None = None, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    """The smallest and the largest entry.

    >>> import chainrule
    >>> chainrule.aminmax(chainrule.tensor([3, 1, 2]))
    (tensor(1), tensor(3))
    """
    return amin(input, dim, keepdim), amax(input, dim, keepdim)


def var_mean(
    input: Tensor,
    dim: Dimensions = None,
    unbiased: bool = True,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> tuple[Tensor, Tensor]:
    """`var` and `mean` at once."""
    squares = var(input, dim, unbiased, keepdim, correction=correction)
    return squares, mean(input, None if isinstance(dim, bool) else dim, keepdim)


def std_mean(
    input: Tensor,
    dim: Dimensions = None,
    unbiased: bool = True,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> tuple[Tensor, Tensor]:
    """`std` and `mean` at once."""
    middle = mean(input, None if isinstance(dim, bool) else dim, keepdim)
    return std(input, dim, unbiased, keepdim, correction=correction), middle


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
    values, indices = sort(x, axis, descending=largest)
    if not input.ndim:
        return ValuesAndIndices(values.reshape(()), indices.reshape(()))
    return ValuesAndIndices(values.narrow(axis, 0, k), indices.narrow(axis, 0, k))
