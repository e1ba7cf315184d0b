"""The functions as methods: `x.exp()` is `chainrule.exp(x)`, by the same definition; and operators."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule import dtypes
from chainrule.cell import TensorCell
from chainrule.errors import DTypeError, ShapeError
from chainrule.functions import (
    activation,
    arithmetic,
    contraction,
    counting,
    diagonals,
    elementwise,
    extremes,
    gathering,
    hyperbolic,
    indexing,
    logic,
    norms,
    pieces,
    reduction,
    running,
    scattering,
    shape,
    sorting,
)
from chainrule.functions.creation import full_like
from chainrule.functions.promotion import cast
from chainrule.functions.words import teach
from chainrule.methods.in_place import in_place
from chainrule.primitives.placed import place_of

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


def _is_operand(thing: Any) -> bool:
    """Whether it can be compared entry by entry. Anything else, such as None, is not equal as Python has it."""
    return isinstance(thing, (TensorCell, int, float, np.ndarray, np.generic))


def _fill(self: Any, value: Any) -> Any:
    if isinstance(value, TensorCell) and value.value.array.shape:
        raise ShapeError(
            f"fill_ takes a number or a 0-d tensor, got shape {tuple(value.value.array.shape)}; see copy_."
        )
    if isinstance(value, TensorCell):
        value = cast(value, self.value.array.dtype)  # type: ignore[arg-type]
    if isinstance(value, TensorCell) or self.requires_grad:
        return logic.masked_fill(self, _everywhere(self), value)  # what was there has gradient 0
    return full_like(self, value)


def _everywhere(x: Any) -> Any:
    return full_like(x, True, dtype=dtypes.bool_)


def _copy(self: Any, src: Any) -> Any:
    if isinstance(src, bool | int | float):
        return _fill(self, src)
    if not isinstance(src, TensorCell):
        raise DTypeError(f"copy_ takes a tensor or a number, got {type(src).__name__}.")
    here = cast(src, self.value.array.dtype).moved_to(place_of(self.value.array))  # type: ignore[arg-type]
    new = shape.expand(here, tuple(self.shape))
    return logic.where(_everywhere(self), new, self) if self.requires_grad else shape.clone(new)


def _zero(self: Any) -> Any:
    return _fill(self, 0)


@functools.partial(teach, out=False)
class Operations:
    """What a tensor can be computed with; written out is only what a method does and a function does not."""

    add, sub, mul, div = arithmetic.add, arithmetic.sub, arithmetic.mul, arithmetic.div
    subtract, multiply, divide, true_divide = (
        arithmetic.sub,
        arithmetic.mul,
        arithmetic.div,
        arithmetic.div,
    )
    floor_divide, remainder = arithmetic.floor_divide, arithmetic.remainder
    pow, maximum, minimum, atan2 = (
        arithmetic.pow,
        arithmetic.maximum,
        arithmetic.minimum,
        arithmetic.atan2,
    )
    clamp, clip = arithmetic.clamp, arithmetic.clamp
    neg, negative, abs, absolute = elementwise.neg, elementwise.neg, elementwise.abs, elementwise.abs
    exp, exp2, expm1 = elementwise.exp, elementwise.exp2, elementwise.expm1
    log, log2, log10, log1p = elementwise.log, elementwise.log2, elementwise.log10, elementwise.log1p
    sqrt, rsqrt, square, reciprocal = (
        elementwise.sqrt,
        elementwise.rsqrt,
        elementwise.square,
        elementwise.reciprocal,
    )
    sin, cos, tan, asin, acos = (
        elementwise.sin,
        elementwise.cos,
        elementwise.tan,
        elementwise.asin,
        elementwise.acos,
    )
    atan, sinh, cosh, tanh = elementwise.atan, hyperbolic.sinh, hyperbolic.cosh, elementwise.tanh
    sigmoid, relu, erf, erfc = activation.sigmoid, activation.relu, elementwise.erf, elementwise.erfc
    sign, floor, ceil, trunc = elementwise.sign, elementwise.floor, elementwise.ceil, elementwise.trunc
    frac, round = elementwise.frac, elementwise.round
    eq, ne, lt, le, gt, ge = (
        logic.eq, logic.ne, logic.lt, logic.le, logic.gt, logic.ge,
    )  # fmt: skip
    bitwise_and, bitwise_or = logic.bitwise_and, logic.bitwise_or
    bitwise_xor, bitwise_not = logic.bitwise_xor, logic.bitwise_not
    logical_and, logical_or = logic.logical_and, logic.logical_or
    logical_xor, logical_not = logic.logical_xor, logic.logical_not
    isnan, isinf, isfinite = logic.isnan, logic.isinf, logic.isfinite
    isclose, allclose, equal = logic.isclose, logic.allclose, logic.equal
    masked_fill, nan_to_num, lerp = logic.masked_fill, logic.nan_to_num, arithmetic.lerp
    addcmul, addcdiv = arithmetic.addcmul, arithmetic.addcdiv
    softmax, log_softmax = activation.softmax, activation.log_softmax
    fmod, hypot, logaddexp, xlogy = (
        arithmetic.fmod,
        arithmetic.hypot,
        arithmetic.logaddexp,
        arithmetic.xlogy,
    )
    asinh, acosh, atanh, logit = hyperbolic.asinh, hyperbolic.acosh, hyperbolic.atanh, elementwise.logit
    deg2rad, rad2deg, signbit = elementwise.deg2rad, elementwise.rad2deg, elementwise.signbit

    sum, mean, var, std, prod = reduction.sum, reduction.mean, reduction.var, reduction.std, reduction.prod
    amax, amin, argmax, argmin = extremes.amax, extremes.amin, extremes.argmax, extremes.argmin
    max, min, any, all = extremes.max, extremes.min, reduction.any, reduction.all
    count_nonzero, logsumexp, norm = reduction.count_nonzero, reduction.logsumexp, norms.norm
    cumprod, cummax, cummin, diff = running.cumprod, running.cummax, running.cummin, running.diff
    median, quantile, aminmax = sorting.median, sorting.quantile, extremes.aminmax
    nansum, nanmean = reduction.nansum, reduction.nanmean
    cumsum, sort, argsort, topk = running.cumsum, sorting.sort, sorting.argsort, sorting.topk

    reshape, view, view_as, flatten = shape.reshape, shape.view, shape.view_as, shape.flatten
    unflatten, squeeze, unsqueeze = shape.unflatten, shape.squeeze, shape.unsqueeze
    permute, transpose, swapaxes, t = shape.permute, shape.transpose, shape.transpose, shape.t
    ravel, swapdims, moveaxis = shape.ravel, shape.swapdims, shape.moveaxis
    fliplr, flipud, trace, diag_embed = shape.fliplr, shape.flipud, diagonals.trace, diagonals.diag_embed
    reshape_as = shape.view_as
    movedim, expand, expand_as = shape.movedim, shape.expand, shape.expand_as
    broadcast_to, repeat, tile = shape.broadcast_to, shape.repeat, shape.tile
    repeat_interleave, flip, roll = shape.repeat_interleave, shape.flip, pieces.roll
    narrow, select, split, chunk, unbind = pieces.narrow, pieces.select, pieces.split, pieces.chunk, pieces.unbind
    diagonal, diag, clone, contiguous, detach = (
        diagonals.diagonal, diagonals.diag, shape.clone, shape.contiguous, shape.detach,
    )  # fmt: skip

    index_put, index_select, index_add = indexing.index_put, gathering.index_select, gathering.index_add
    index_copy, index_fill, gather = gathering.index_copy, gathering.index_fill, gathering.gather
    take_along_dim, scatter_add, scatter = gathering.take_along_dim, gathering.scatter_add, scattering.scatter
    take, nonzero, masked_select = gathering.take, counting.nonzero, indexing.masked_select
    tril, triu, bincount, unique = diagonals.tril, diagonals.triu, counting.bincount, counting.unique

    matmul, mm, bmm, mv, dot = (
        contraction.matmul,
        contraction.mm,
        contraction.bmm,
        contraction.mv,
        contraction.dot,
    )
    addmm, outer, inner = contraction.addmm, contraction.outer, contraction.inner
    argwhere = counting.argwhere

    def where(self: Any, condition: Any, other: Any) -> Tensor:
        """This tensor where the condition holds, else `other`."""
        return logic.where(condition, self, other)

    def fill_diagonal_(self: Any, fill_value: Any, wrap: bool = False) -> Tensor:
        """The same number on the diagonal of a matrix, in place; of a tall one with `wrap` again below, after a gap."""
        if self.ndim != 2:
            raise ShapeError(f"fill_diagonal_ takes a matrix, got shape {tuple(self.shape)}.")
        diagonals.diagonal(self).fill_(fill_value)
        if wrap and self.shape[1]:
            below = self.shape[1] + 1
            while below < self.shape[0]:
                diagonals.diagonal(self[below:]).fill_(fill_value)
                below += self.shape[1] + 1
        return self

    # -------------------------------------------------------------------------------- in-place forms

    add_, sub_, mul_, div_ = (in_place(f) for f in (add, sub, mul, div))
    pow_, clamp_, neg_, abs_, exp_, log_ = (in_place(f) for f in (pow, clamp, neg, abs, exp, log))
    sqrt_, rsqrt_, square_, reciprocal_ = (in_place(f) for f in (sqrt, rsqrt, square, reciprocal))
    sin_, cos_, tanh_, sigmoid_, relu_ = (in_place(f) for f in (sin, cos, tanh, sigmoid, relu))
    floor_, ceil_, round_, trunc_, sign_ = (in_place(f) for f in (floor, ceil, round, trunc, sign))
    remainder_, floor_divide_, erf_ = (in_place(f) for f in (remainder, floor_divide, erf))
    lerp_, addcmul_, addcdiv_ = (in_place(f) for f in (lerp, addcmul, addcdiv))
    masked_fill_, index_put_, index_add_ = (in_place(f) for f in (masked_fill, index_put, index_add))
    index_copy_, index_fill_ = (in_place(f) for f in (index_copy, index_fill))
    scatter_add_, scatter_ = (in_place(f) for f in (scatter_add, scatter))
    logical_not_, bitwise_not_, nan_to_num_ = (in_place(f) for f in (logical_not, bitwise_not, nan_to_num))
    tril_, triu_, cumsum_ = (in_place(f) for f in (tril, triu, cumsum))
    asin_, acos_, atan_, atan2_ = (in_place(f) for f in (asin, acos, atan, atan2))
    tan_, sinh_, cosh_ = (in_place(f) for f in (tan, sinh, cosh))
    exp2_, expm1_, log1p_, log2_, log10_ = (in_place(f) for f in (exp2, expm1, log1p, log2, log10))
    fmod_, frac_, addmm_ = (in_place(f) for f in (fmod, frac, addmm))
    logical_and_, logical_or_, logical_xor_ = (in_place(f) for f in (logical_and, logical_or, logical_xor))
    bitwise_and_, bitwise_or_, bitwise_xor_ = (in_place(f) for f in (bitwise_and, bitwise_or, bitwise_xor))
    eq_, ne_, lt_, le_, gt_, ge_ = (in_place(f) for f in (eq, ne, lt, le, gt, ge))
    clip_ = clamp_
    fill_, copy_, zero_ = in_place(_fill), in_place(_copy), in_place(_zero)

    # ------------------------------------------------------------------------------------ operators

    __add__ = __radd__ = arithmetic.add
    __sub__, __rsub__ = arithmetic.sub, arithmetic.rsub
    __mul__ = __rmul__ = arithmetic.mul
    __truediv__, __rtruediv__ = arithmetic.div, arithmetic.rdiv
    __floordiv__, __mod__ = arithmetic.floor_divide, arithmetic.remainder
    __pow__, __rpow__ = arithmetic.pow, arithmetic.rpow
    __matmul__ = contraction.matmul
    __neg__, __pos__, __abs__, __invert__ = (
        elementwise.neg, elementwise.positive, elementwise.abs, logic.bitwise_not,
    )  # fmt: skip
    __and__ = __rand__ = logic.bitwise_and
    __or__ = __ror__ = logic.bitwise_or
    __xor__ = __rxor__ = logic.bitwise_xor
    __lt__, __le__, __gt__, __ge__ = logic.lt, logic.le, logic.gt, logic.ge
    __iadd__, __isub__, __imul__, __itruediv__ = add_, sub_, mul_, div_
    __ipow__, __ifloordiv__, __imod__ = pow_, floor_divide_, remainder_
    __iand__, __ior__, __ixor__ = (
        in_place(logic.bitwise_and), in_place(logic.bitwise_or), in_place(logic.bitwise_xor),
    )  # fmt: skip
    __getitem__, __setitem__ = indexing.getitem, indexing.setitem

    def __eq__(self: Any, other: Any) -> Any:
        return logic.eq(self, other) if _is_operand(other) else NotImplemented

    def __ne__(self: Any, other: Any) -> Any:
        return logic.ne(self, other) if _is_operand(other) else NotImplemented

    def __rfloordiv__(self: Any, other: Any) -> Tensor:
        return arithmetic.floor_divide(other, self)

    def __rmod__(self: Any, other: Any) -> Tensor:
        return arithmetic.remainder(other, self)

    def __hash__(self) -> int:
        return id(self)
