"""Covariances, distances, and sums that stand for integrals."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from chainrule.autodiff.block import block
from chainrule.errors import ShapeError
from chainrule.functions.arithmetic import logaddexp
from chainrule.functions.autocasting import in_single
from chainrule.functions.diagonals import diag
from chainrule.functions.dimensions import axis_of
from chainrule.functions.norms import norm
from chainrule.functions.pieces import cat
from chainrule.functions.promotion import as_floating, common_shape, expand_to, in_float32, promote, rounded_as
from chainrule.functions.running import cumsum

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


def cov(
    input: Tensor, *, correction: int = 1, fweights: Tensor | None = None, aweights: Tensor | None = None
) -> Tensor:
    """The covariance matrix of variables in rows, observations in columns; of a vector its variance.

    correction: subtracted from the number of observations. fweights: how often each was observed (integers).
    aweights: how much each counts.

    >>> import chainrule
    >>> chainrule.cov(chainrule.tensor([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]]))
    tensor([[ 1., -1.],
            [-1.,  1.]])
    """
    if input.ndim > 2:
        raise ShapeError(f"cov: variables in rows and observations in columns, got shape {tuple(input.shape)}.")
    x = as_floating(input)
    x = x.reshape(1, -1) if x.ndim < 2 else x
    given = [w for w in (fweights, aweights) if w is not None]
    if any(tuple(w.shape) != (x.shape[1],) for w in given):
        raise ShapeError(f"cov: weights are a vector, one number for each of the {x.shape[1]} observations.")
    weights: Any = math.prod(w.to(x.dtype) for w in given) if given else None
    total = x.shape[1] if weights is None else weights.sum()
    mean = x.mean(1, keepdim=True) if weights is None else (x * weights).sum(1, keepdim=True) / total
    centred = x - mean
    lost: Any = correction
    if aweights is not None:
        lost = correction * (weights * aweights).sum() / total
    over = total - lost
    over = max(over, 0) if weights is None else over.clamp(min=0)
    result = (centred if weights is None else centred * weights) @ centred.T / over
    return result.reshape(()) if x.shape[0] == 1 else result  # of one variable its variance


def corrcoef(input: Tensor) -> Tensor:
    """Pearson's correlation of variables in rows: their covariance over the product of their standard deviations.

    >>> import chainrule
    >>> chainrule.corrcoef(chainrule.tensor([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]]))
    tensor([[ 1., -1.],
            [-1.,  1.]])
    """
    covariance = cov(input)
    if covariance.ndim < 2:
        return covariance / covariance
    deviation = diag(covariance).sqrt()
    return (covariance / deviation.unsqueeze(1) / deviation).clamp(-1, 1)


def dist(input: Tensor, other: Tensor, p: float = 2) -> Tensor:
    """The p-norm of the difference of two tensors.

    >>> import chainrule
    >>> chainrule.dist(chainrule.tensor([0.0, 0.0]), chainrule.tensor([3.0, 4.0]))
    tensor(5.)
    """
    return norm(input - other, p)


@in_single
def cdist(x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: str = "use_mm_for_euclid_dist_if_necessary") -> Tensor:
    """The p-norm of the difference of each row of x1 from each row of x2: (…, P, M) and (…, R, M) give (…, P, R).

    Computed from differences, so that small distances keep their digits; `compute_mode` changes nothing.

    >>> import chainrule
    >>> chainrule.cdist(chainrule.tensor([[0.0, 0.0]]), chainrule.tensor([[3.0, 4.0], [0.0, 1.0]]))
    tensor([[5., 1.]])
    """
    if x1.ndim < 2 or x2.ndim < 2 or x1.shape[-1] != x2.shape[-1]:
        raise ShapeError(
            f"cdist: points are rows of matrices of equal width, got {tuple(x1.shape)} and {tuple(x2.shape)}."
        )
    if p < 0:
        raise ShapeError(f"cdist: p is not negative, got {p}.")
    if p != 2:
        return distances(x1.unsqueeze(-2) - x2.unsqueeze(-3), p)
    x1, x2 = promote(x1, x2)  # outside of the block, so that each gets a gradient of its own type
    batch = common_shape([x1.shape[:-2], x2.shape[:-2]])
    return _euclidean(*[expand_to(x, (*batch, *x.shape[-2:])) for x in (x1, x2)])


@block
def _euclidean(x1: Tensor, x2: Tensor) -> Tensor:
    return distances(x1.unsqueeze(-2) - x2.unsqueeze(-3), 2)


@_euclidean.gradient
def _(g: Tensor, x1: Tensor, x2: Tensor, output: Tensor) -> tuple[Tensor, Tensor]:
    # Along the difference; where points coincide it is 0. Each sum has differences of its own: in a program they are
    # never in memory then.
    nothing = output == 0
    weights = (g / output.masked_fill(nothing, 1)).masked_fill(nothing, 0)
    to_x1 = (weights.unsqueeze(-1) * (x1.unsqueeze(-2) - x2.unsqueeze(-3))).sum(-2)
    to_x2 = (weights.mT.unsqueeze(-1) * (x2.unsqueeze(-2) - x1.unsqueeze(-3))).sum(-2)
    return to_x1, to_x2


def distances(differences: Tensor, p: float) -> Tensor:
    """The p-norms along the last dimension; p = 0 counts the entries that differ, and its gradient is 0."""
    return differences.sign().abs().sum(-1) if p == 0 else norm(differences, p, -1)


def _areas(y: Tensor, x: Tensor | None, dx: float, axis: int) -> Tensor:
    extent = y.shape[axis]
    after, before = y.narrow(axis, min(1, extent), max(extent - 1, 0)), y.narrow(axis, 0, max(extent - 1, 0))
    width: Any = dx
    if x is not None:
        along = x if x.ndim > 1 else x.reshape((-1,) + (1,) * (y.ndim - 1 - axis))
        where = axis - y.ndim
        if along.shape[where] != extent:
            raise ShapeError(f"trapezoid: {along.shape[where]} places for {extent} values along the dimension.")
        width = along.narrow(where, min(1, extent), max(extent - 1, 0)) - along.narrow(where, 0, max(extent - 1, 0))
    return (after + before) * width / 2


def _as_values(y: Tensor, x: Tensor | None, integral: Tensor) -> Tensor:
    """What was added up in float32 in the type of the values, where that is a half and the places are not wider."""
    wider = x is not None and x.dtype.is_floating_point and x.dtype != y.dtype
    return integral if wider else rounded_as(y, integral)


def trapezoid(y: Tensor, x: Tensor | None = None, *, dx: float = 1, dim: int = -1) -> Tensor:
    """The integral along `dim` by the trapezoidal rule: Σ (yᵢ + yᵢ₊₁)/2 · (xᵢ₊₁ − xᵢ), with places x or distance dx.

    >>> import chainrule
    >>> chainrule.trapezoid(chainrule.tensor([0.0, 1.0, 2.0]))
    tensor(2.)
    """
    axis = axis_of(dim, y.ndim, "trapezoid")
    return _as_values(y, x, _areas(in_float32(y), x, dx, axis).sum(axis))


trapz = trapezoid


def cumulative_trapezoid(y: Tensor, x: Tensor | None = None, *, dx: float = 1, dim: int = -1) -> Tensor:
    """The integral up to each place but the first; see `trapezoid`.

    >>> import chainrule
    >>> chainrule.cumulative_trapezoid(chainrule.tensor([0.0, 1.0, 2.0]))
    tensor([0.5000, 2.0000])
    """
    axis = axis_of(dim, y.ndim, "cumulative_trapezoid")
    return _as_values(y, x, cumsum(_areas(in_float32(y), x, dx, axis), axis))


def logcumsumexp(input: Tensor, dim: int) -> Tensor:
    """ln of the running sums of eˣ along `dim`, without overflow.

    >>> import chainrule
    >>> chainrule.logcumsumexp(chainrule.tensor([0.0, 0.0, 100.0]), 0)
    tensor([  0.0000,   0.6931, 100.0000])
    """
    axis = axis_of(dim, input.ndim, "logcumsumexp")
    x = input.clone()
    if not x.ndim:
        return x
    # Sums over 1, 2, 4, … neighbours: ⌈log₂ n⌉ steps.
    reach, extent = 1, x.shape[axis]
    while reach < extent:
        rest = extent - reach
        x = cat([x.narrow(axis, 0, reach), logaddexp(x.narrow(axis, reach, rest), x.narrow(axis, 0, rest))], axis)
        reach *= 2
    return x


def renorm(input: Tensor, p: float, dim: int, maxnorm: float) -> Tensor:
    """With each slice along `dim` whose p-norm is larger than maxnorm made as long as that.

    >>> import chainrule
    >>> chainrule.renorm(chainrule.tensor([[3.0, 4.0], [0.3, 0.4]]), 2, 0, 1.0)
    tensor([[0.6000, 0.8000],
            [0.3000, 0.4000]])
    """
    if input.ndim < 2:
        raise ShapeError(f"renorm takes at least 2 dimensions, got shape {tuple(input.shape)}.")
    axis = axis_of(dim, input.ndim, "renorm")
    others = tuple(i for i in range(input.ndim) if i != axis)
    length = norm(input, p, others, keepdim=True)
    scale = (maxnorm / (length + 1e-7)).where(length > maxnorm, 1.0)
    return input * scale
