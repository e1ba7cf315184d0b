"""Many entries become one.

`dim` is one dimension, a tuple of them, or None for all; `keepdim` leaves them as size 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.autodiff.block import block
from chainrule.autodiff.composite import composite
from chainrule.dtypes import as_dtype
from chainrule.errors import DTypeError
from chainrule.functions.autocasting import in_single
from chainrule.functions.dimensions import Dimensions, axes_of, kept
from chainrule.functions.extremes import amax
from chainrule.functions.promotion import as_floating, cast, in_float32
from chainrule.primitives import reduction as primitives
from chainrule.primitives.value import Shape

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


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
    return kept(primitives.Sum.apply(input, axes=axes), shape, axes, keepdim)


def mean(input: Tensor, dim: Dimensions = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The mean over `dim`: the sum divided by how many there are. Floating point only; NaN for none.

    >>> import chainrule
    >>> chainrule.mean(chainrule.tensor([1.0, 2.0, 6.0]))
    tensor(3.)
    """
    if dtype is not None:
        input = cast(input, as_dtype(dtype).numpy)
    need_floating(input, "mean")
    shape = input.value.array.shape
    total = sum(in_float32(input), dim, keepdim) / _count(shape, axes_of(dim, len(shape), "mean"))
    return cast(total, input.value.array.dtype)


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


def need_floating(input: Tensor, operation: str) -> None:
    """Raise a DTypeError unless the entries are floating-point numbers."""
    if not input.dtype.is_floating_point:
        raise DTypeError(f"{operation} needs floating-point numbers, got {input.dtype}; convert with .float() first.")


@composite
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
    need_floating(input, "var")
    shape = input.value.array.shape
    axes = axes_of(dim, len(shape), "var")
    lost = (1 if unbiased else 0) if correction is None else correction
    freedom = _count(shape, axes) - lost
    deviation = centred(in_float32(input), axes)[0]
    squares = sum(deviation * deviation, axes or None, keepdim)
    return cast(squares / (freedom if freedom > 0 else 0), input.value.array.dtype)


def mean_over(x: Tensor, axes: Shape) -> Tensor:
    """The mean over the axes, of size 1 along them; over the last two of four dimensions one after the other.

    Such are the places of an image and the channels of a group. Where a compiled network keeps channels last they are
    no run of memory together, and a sum over both at once would read short pieces; over the places alone it adds whole
    runs of channels to each other.

    >>> import chainrule
    >>> mean_over(chainrule.arange(8.0).reshape(1, 2, 2, 2), (2, 3)).flatten()
    tensor([1.5000, 5.5000])
    """
    if axes == (2, 3) and len(x.value.array.shape) == 4:
        return mean(mean(x, 3, keepdim=True), 2, keepdim=True)
    return mean(x, axes or None, keepdim=True)


def centred(x: Tensor, axes: Shape) -> tuple[Tensor, Tensor]:
    """x minus its mean over the axes, and the mean, of size 1 along them.

    The mean is corrected by the mean of what it leaves: a rounded sum over the number is not the entry itself where
    all are equal, and then the rounding error would be taken for a deviation. What it leaves is corrected, not x minus
    the better mean: that is rounded to the type of x too, by far more than deviations that are small beside it.
    """
    rough, left, more = _left_by_mean(x, axes)
    return left - more, rough + more


def centred_with_variance(x: Tensor, axes: Shape, wide: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    """What `centred` gives, and the mean of (x − μ)² over the axes; with `wide` that is float64.

    With d the deviations from a rough mean it is mean d² − (mean d)². The rough mean is wrong by rounding only, so
    little is taken away, and both means are one walk over x.

    >>> import chainrule
    >>> left, mean, variance = centred_with_variance(chainrule.tensor([[1.0, 3.0]]), (1,))
    >>> left, mean, variance
    (tensor([[-1.,  1.]]), tensor([[2.]]), tensor([[1.]]))
    """
    rough, left, more = _left_by_mean(x, axes)
    if wide:
        exact = (left - more).double()
        variance = mean_over(exact * exact, axes)
    else:
        square = mean_over(left * left, axes)
        # Where that overflows, so may the other, and inf − inf is NaN.
        variance = (square - more.masked_fill(square.isinf(), 0.0) ** 2).clamp(min=0)
    return left - more, rough + more, variance


def _left_by_mean(x: Tensor, axes: Shape) -> tuple[Tensor, Tensor, Tensor]:
    """A rough mean, what it leaves of x, and the mean of that."""
    axes = axes or tuple(range(len(x.value.array.shape)))
    rough = mean_over(x.detach_copy(), axes)
    left = x - rough
    return rough, left, mean_over(left, axes)


@composite
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
    return cast(root(squares), input.value.array.dtype)


@block
def root(squares: Tensor) -> Tensor:
    """√x, whose derivative at 0, which does not exist, is 0 by the field's convention."""
    return squares.sqrt()


@root.gradient
def _(g: Tensor, output: Tensor) -> Tensor:
    zero = output == 0
    return (g / (2 * output.masked_fill(zero, 1))).masked_fill(zero, 0)


@in_single
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
    return kept(primitives.Product.apply(input, axes=axes), shape, axes, keepdim)


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


@composite
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
    need_floating(input, "nanmean")
    x = input if dtype is None else cast(input, as_dtype(dtype).numpy)
    wide = in_float32(x)
    return cast(nansum(wide, dim, keepdim) / sum(~wide.isnan(), dim, keepdim), x.value.array.dtype)


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
