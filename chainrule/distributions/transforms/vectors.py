"""Transforms of vectors and matrices: other shapes, probabilities, triangles, positive definite matrices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from chainrule.cell import Size
from chainrule.distributions import constraints
from chainrule.distributions.transforms.transform import Transform
from chainrule.distributions.utils import tril_matrix_to_vec, vec_to_tril_matrix
from chainrule.dtypes import FloatLimits
from chainrule.errors import ShapeError
from chainrule.functions.creation import arange
from chainrule.functions.shape import pad
from chainrule.linalg import cholesky
from chainrule.nn.activations.smooth import softplus
from chainrule.tensor import Tensor


class ReshapeTransform(Transform):
    """Events of one shape written in another; nothing is stretched."""

    bijective = True

    def __init__(self, in_shape: Sequence[int], out_shape: Sequence[int], cache_size: int = 0) -> None:
        self.in_shape, self.out_shape = Size(in_shape), Size(out_shape)
        if self.in_shape.numel() != self.out_shape.numel():
            raise ShapeError(
                f"ReshapeTransform: {tuple(in_shape)} and {tuple(out_shape)} hold different numbers of entries."
            )
        super().__init__(cache_size=cache_size)

    @constraints.dependent_property
    def domain(self) -> Any:
        return constraints.independent(constraints.real, len(self.in_shape))

    @constraints.dependent_property
    def codomain(self) -> Any:
        return constraints.independent(constraints.real, len(self.out_shape))

    def _call(self, x: Tensor) -> Tensor:
        return x.reshape(self.forward_shape(x.shape))

    def _inverse(self, y: Tensor) -> Tensor:
        return y.reshape(self.inverse_shape(y.shape))

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return x.new_zeros(x.shape[: x.ndim - len(self.in_shape)])

    def forward_shape(self, shape: Sequence[int]) -> Size:
        return _with_end(shape, self.in_shape, self.out_shape)

    def inverse_shape(self, shape: Sequence[int]) -> Size:
        return _with_end(shape, self.out_shape, self.in_shape)


def _with_end(shape: Sequence[int], end: Size, wanted: Size) -> Size:
    cut = len(shape) - len(end)
    if cut < 0 or tuple(shape[cut:]) != tuple(end):
        raise ShapeError(f"ReshapeTransform: a shape must end with {tuple(end)}, got {tuple(shape)}.")
    return Size((*shape[:cut], *wanted))


class SoftmaxTransform(Transform):
    """y = softmax(x) along the last dimension; not bijective: x is known up to a constant."""

    domain = constraints.real_vector
    codomain = constraints.simplex

    def __eq__(self, other: Any) -> Any:
        return isinstance(other, SoftmaxTransform)

    __hash__ = object.__hash__

    def _call(self, x: Tensor) -> Tensor:
        return x.softmax(-1)

    def _inverse(self, y: Tensor) -> Tensor:
        return y.log()

    def forward_shape(self, shape: Sequence[int]) -> Size:
        return _need_dims(shape, 1)

    def inverse_shape(self, shape: Sequence[int]) -> Size:
        return _need_dims(shape, 1)


def _need_dims(shape: Sequence[int], dims: int) -> Size:
    if len(shape) < dims:
        raise ShapeError(f"this transform needs {dims} dimension{'s' * (dims > 1)} or more, got {tuple(shape)}.")
    return Size(shape)


class StickBreakingTransform(Transform):
    """K numbers to K + 1 probabilities: each says which share of what is left of a stick is broken off.

    The share is σ(xₖ − ln(number of pieces to come)), so x = 0 gives equal probabilities.
    """

    domain = constraints.real_vector
    codomain = constraints.simplex
    bijective = True

    def __eq__(self, other: Any) -> Any:
        return isinstance(other, StickBreakingTransform)

    __hash__ = object.__hash__

    def _call(self, x: Tensor) -> Tensor:
        share = (x - _pieces_to_come(x)).sigmoid()
        limits = FloatLimits(share.dtype)
        share = share.clamp(limits.tiny, 1 - limits.eps)
        left = (1 - share).cumprod(-1)
        return pad(share, (0, 1), value=1.0) * pad(left, (1, 0), value=1.0)

    def _inverse(self, y: Tensor) -> Tensor:
        broken = y[..., :-1]
        left = (1 - broken.cumsum(-1)).clamp(min=FloatLimits(y.dtype).tiny)
        return broken.log() - left.log() + _pieces_to_come(broken)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        shifted = x - _pieces_to_come(x)
        return (-shifted + -softplus(-shifted) + y[..., :-1].log()).sum(-1)

    def forward_shape(self, shape: Sequence[int]) -> Size:
        _need_dims(shape, 1)
        return Size((*shape[:-1], shape[-1] + 1))

    def inverse_shape(self, shape: Sequence[int]) -> Size:
        _need_dims(shape, 1)
        return Size((*shape[:-1], shape[-1] - 1))


def _pieces_to_come(x: Tensor) -> Tensor:
    """ln(K), ln(K − 1), …, ln 1."""
    return arange(x.shape[-1], 0, -1, dtype=x.dtype, device=x.device).log()


class LowerCholeskyTransform(Transform):
    """Square matrices to lower triangles with a positive diagonal: exp of the diagonal, nothing above it."""

    domain = constraints.independent(constraints.real, 2)
    codomain = constraints.lower_cholesky

    def __eq__(self, other: Any) -> Any:
        return isinstance(other, LowerCholeskyTransform)

    __hash__ = object.__hash__

    def _call(self, x: Tensor) -> Tensor:
        return x.tril(-1) + x.diagonal(dim1=-2, dim2=-1).exp().diag_embed()

    def _inverse(self, y: Tensor) -> Tensor:
        return y.tril(-1) + y.diagonal(dim1=-2, dim2=-1).log().diag_embed()


class PositiveDefiniteTransform(Transform):
    """Square matrices to positive definite ones, L·Lᵀ with L from `LowerCholeskyTransform`."""

    domain = constraints.independent(constraints.real, 2)
    codomain = constraints.positive_definite

    def __eq__(self, other: Any) -> Any:
        return isinstance(other, PositiveDefiniteTransform)

    __hash__ = object.__hash__

    def _call(self, x: Tensor) -> Tensor:
        lower = LowerCholeskyTransform()(x)
        return lower @ lower.mT

    def _inverse(self, y: Tensor) -> Tensor:
        return LowerCholeskyTransform().inv(cholesky(y))


class CorrCholeskyTransform(Transform):
    """D·(D − 1)/2 numbers to the Cholesky factor of a correlation matrix of size D: each row has length 1.

    tanh x is the partial correlation: entry j of a row is zⱼ times what the entries before have left of the row's
    length, √(Π(1 − zᵢ²)). Source: Lewandowski, Kurowicka and Joe, "Generating random correlation matrices", 2009.
    """

    domain = constraints.real_vector
    codomain = constraints.corr_cholesky
    bijective = True

    def _call(self, x: Tensor) -> Tensor:
        eps = FloatLimits(x.dtype).eps
        z = vec_to_tril_matrix(x.tanh().clamp(-1 + eps, 1 - eps), diag=-1)
        left = (1 - z * z).sqrt().cumprod(-1)
        z = z + z.new_ones(z.shape[-1]).diag()
        return z * pad(left[..., :-1], (1, 0), value=1.0)

    def _inverse(self, y: Tensor) -> Tensor:
        left = (1 - (y * y).cumsum(-1)).clamp(min=FloatLimits(y.dtype).tiny)
        shifted = pad(left[..., :-1], (1, 0), value=1.0)
        return (tril_matrix_to_vec(y, diag=-1) / tril_matrix_to_vec(shifted, diag=-1).sqrt()).atanh()

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor, intermediates: object = None) -> Tensor:
        # ∂y/∂z is triangular: its diagonal is what was left before each entry; and dz/dx = 1 − tanh²x.
        left = tril_matrix_to_vec(1 - (y * y).cumsum(-1), diag=-2) if y.shape[-1] > 2 else None
        stretch = 0.0 if left is None else 0.5 * left.clamp(min=FloatLimits(y.dtype).tiny).log().sum(-1)
        return stretch - 2 * (x + softplus(-2 * x) - math.log(2.0)).sum(-1)

    def forward_shape(self, shape: Sequence[int]) -> Size:
        _need_dims(shape, 1)
        n = round((0.25 + 2 * shape[-1]) ** 0.5 + 0.5)
        if n * (n - 1) // 2 != shape[-1]:
            raise ShapeError(f"CorrCholeskyTransform: {shape[-1]} numbers do not fill a triangle below the diagonal.")
        return Size((*shape[:-1], n, n))

    def inverse_shape(self, shape: Sequence[int]) -> Size:
        _need_dims(shape, 2)
        if shape[-2] != shape[-1]:
            raise ShapeError(f"CorrCholeskyTransform: needs square matrices, got {tuple(shape)}.")
        return Size((*shape[:-2], shape[-1] * (shape[-1] - 1) // 2))
