"""The less common functions as methods, and what only such methods do. Tensor has them beside `Operations`."""

from __future__ import annotations

import functools
import importlib
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from chainrule.errors import ShapeError
from chainrule.functions import (
    arithmetic,
    elementwise,
    floating_point,
    hyperbolic,
    joining,
    logic,
    pieces,
    products,
    running,
    scattering,
    searching,
    second_names,
    statistics,
    strides,
    whole_numbers,
)
from chainrule.functions.creation import read_shape
from chainrule.functions.promotion import common_shape
from chainrule.functions.words import public, teach
from chainrule.layouts import strided
from chainrule.methods.in_place import in_place

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


def _later(name: str, place: str = "linalg") -> Callable[..., Any]:
    """A function of a part that is loaded when it is first used, as a method."""

    def method(input: Any, *args: Any, **kwargs: Any) -> Any:
        part = importlib.import_module(f"chainrule.functions.{place}")
        return public(getattr(part, name))(input, *args, **kwargs)

    method.__name__, method.__doc__ = name, f"See `chainrule.functions.{place}.{name}`."
    return method


@functools.partial(teach, out=False)
class FurtherMethods:
    """What scripts use now and then."""

    tensor_split, hsplit, vsplit, dsplit = joining.tensor_split, joining.hsplit, joining.vsplit, joining.dsplit
    split_with_sizes, rot90, diagflat, unfold = pieces.split, joining.rot90, joining.diagflat, joining.unfold
    kthvalue, mode, nanmedian, msort = searching.kthvalue, searching.mode, searching.nanmedian, searching.msort
    unique_consecutive, histc, histogram = searching.unique_consecutive, searching.histc, searching.histogram
    cov, corrcoef, dist, renorm = statistics.cov, statistics.corrcoef, statistics.dist, statistics.renorm
    logcumsumexp = statistics.logcumsumexp
    addmv, addr, baddbmm, addbmm = products.addmv, products.addr, products.baddbmm, products.addbmm
    kron = products.kron
    as_strided, as_strided_scatter = strides.as_strided, strides.as_strided_scatter
    select_scatter, slice_scatter = scattering.select_scatter, scattering.slice_scatter
    diagonal_scatter, masked_scatter = scattering.diagonal_scatter, scattering.masked_scatter
    scatter_reduce = scattering.scatter_reduce
    det, slogdet, logdet, inverse = _later("det"), _later("slogdet"), _later("logdet"), _later("inv")
    matrix_exp, cross = _later("matrix_exp"), _later("cross")
    cholesky, matrix_power = _later("cholesky"), _later("matrix_power")
    qr, svd, pinverse = (_later(name, "older_names") for name in ("qr", "svd", "pinverse"))
    lu, lu_solve, triangular_solve = (_later(name, "older_names") for name in ("lu", "lu_solve", "triangular_solve"))
    cholesky_solve, cholesky_inverse = (_later(f"cholesky_{name}", "older_names") for name in ("solve", "inverse"))
    lgamma, digamma, erfinv = (_later(name, "gamma") for name in ("lgamma", "digamma", "erfinv"))
    mvlgamma = _later("multigammaln", "gamma")
    igamma, igammac = (_later(name, "incomplete_gamma") for name in ("igamma", "igammac"))
    i0, nanquantile = _later("i0", "bessel"), _later("nanquantile", "nan_quantile")
    frexp, ldexp, nextafter = floating_point.frexp, floating_point.ldexp, floating_point.nextafter
    igamma_, igammac_, i0_ = in_place(igamma), in_place(igammac), in_place(i0)
    nextafter_ = in_place(nextafter)
    lgamma_, digamma_, erfinv_ = in_place(lgamma), in_place(digamma), in_place(erfinv)
    bitwise_left_shift, bitwise_right_shift = whole_numbers.bitwise_left_shift, whole_numbers.bitwise_right_shift
    bitwise_left_shift_, bitwise_right_shift_ = in_place(bitwise_left_shift), in_place(bitwise_right_shift)
    gcd, lcm = whole_numbers.gcd, whole_numbers.lcm
    gcd_, lcm_ = in_place(gcd), in_place(lcm)
    __lshift__, __rshift__, __ilshift__, __irshift__ = (
        bitwise_left_shift, bitwise_right_shift, bitwise_left_shift_, bitwise_right_shift_,
    )  # fmt: skip

    def __rlshift__(self: Any, other: Any) -> Tensor:
        return whole_numbers.bitwise_left_shift(other, self)

    def __rrshift__(self: Any, other: Any) -> Tensor:
        return whole_numbers.bitwise_right_shift(other, self)

    def polygamma(self: Any, n: int) -> Tensor:
        """The n-th derivative of `digamma`; see `chainrule.polygamma`."""
        from chainrule.functions.gamma import polygamma

        return polygamma(n, self)

    @property
    def layout(self: Any) -> Any:
        """`chainrule.strided`: tensors are dense."""
        return strided

    clamp_min, clamp_max, fmax, fmin = arithmetic.clamp_min, arithmetic.clamp_max, arithmetic.fmax, arithmetic.fmin
    copysign, heaviside = arithmetic.copysign, arithmetic.heaviside
    logaddexp2, float_power = arithmetic.logaddexp2, arithmetic.float_power
    sinc, positive = elementwise.sinc, elementwise.positive
    isposinf, isneginf, isreal = logic.isposinf, logic.isneginf, second_names.isreal
    arcsin, arccos, arctan = elementwise.asin, elementwise.acos, elementwise.atan
    arcsinh, arccosh, arctanh = hyperbolic.asinh, hyperbolic.acosh, hyperbolic.atanh
    arctan2, fix, sgn = arithmetic.atan2, elementwise.trunc, elementwise.sign
    greater, greater_equal, less, less_equal = logic.gt, logic.ge, logic.lt, logic.le
    not_equal, ger, vdot = logic.ne, second_names.ger, second_names.vdot
    adjoint, is_complex, is_signed = second_names.adjoint, second_names.is_complex, second_names.is_signed
    is_nonzero, is_same_size = second_names.is_nonzero, second_names.is_same_size
    conj, conj_physical = second_names.conj, second_names.conj_physical
    resolve_conj, resolve_neg = second_names.resolve_conj, second_names.resolve_neg

    arcsin_, arccos_, arctan_, arctan2_ = (in_place(f) for f in (arcsin, arccos, arctan, arctan2))
    asinh_, acosh_, atanh_ = (in_place(f) for f in (hyperbolic.asinh, hyperbolic.acosh, hyperbolic.atanh))
    arcsinh_, arccosh_, arctanh_ = asinh_, acosh_, atanh_
    clamp_min_, clamp_max_, copysign_ = (in_place(f) for f in (clamp_min, clamp_max, copysign))
    heaviside_, ldexp_, float_power_ = (in_place(f) for f in (heaviside, ldexp, float_power))
    fix_, sgn_, sinc_ = (in_place(f) for f in (fix, sgn, sinc))
    greater_, greater_equal_, less_, less_equal_ = (in_place(f) for f in (greater, greater_equal, less, less_equal))
    not_equal_, addmv_, addr_ = (in_place(f) for f in (not_equal, addmv, addr))
    baddbmm_, addbmm_, renorm_ = (in_place(f) for f in (baddbmm, addbmm, renorm))
    masked_scatter_, scatter_reduce_ = (in_place(f) for f in (masked_scatter, scatter_reduce))
    absolute_, negative_, erfc_ = (in_place(f) for f in (elementwise.abs, elementwise.neg, elementwise.erfc))
    deg2rad_, rad2deg_, logit_ = (in_place(f) for f in (elementwise.deg2rad, elementwise.rad2deg, elementwise.logit))
    divide_, multiply_, subtract_, true_divide_ = (
        in_place(f) for f in (arithmetic.div, arithmetic.mul, arithmetic.sub, arithmetic.div)
    )
    hypot_, xlogy_, cumprod_ = (in_place(f) for f in (arithmetic.hypot, arithmetic.xlogy, running.cumprod))

    def put_(self: Any, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
        """Write to places of the flattened tensor, in place."""
        flat = self.reshape(-1)
        flat.index_put_((index.reshape(-1),), source.reshape(-1), accumulate)
        return self

    def type(self: Any, dtype: Any = None) -> Any:
        """The tensor in another data type; without one the name of its type, "chainrule.FloatTensor".

        dtype: a data type, or one of the older names (`LongTensor`, "chainrule.LongTensor").
        """
        from chainrule.functions import typed_constructors as types

        if dtype is None:
            return next(f"chainrule.{kind.__name__}" for kind in types.ALL if kind.dtype is self.dtype)
        if isinstance(dtype, str) and dtype.endswith("Tensor"):
            dtype = getattr(types, dtype.rpartition(".")[2])
        return self.to(dtype.dtype if isinstance(dtype, types.TensorType) else dtype)

    def prelu(self: Any, weight: Tensor) -> Tensor:
        """`nn.functional.prelu(self, weight)`."""
        result: Tensor = importlib.import_module("chainrule.nn.functional").prelu(self, weight)
        return result

    def hardshrink(self: Any, lambd: float = 0.5) -> Tensor:
        """`nn.functional.hardshrink(self, lambd)`."""
        result: Tensor = importlib.import_module("chainrule.nn.functional").hardshrink(self, lambd)
        return result

    def sum_to_size(self: Any, *size: Any) -> Tensor:
        """Summed over what broadcasting would repeat, to a shape that broadcasts to this one's.

        >>> import chainrule
        >>> chainrule.ones(3, 2).sum_to_size(1, 2)
        tensor([[3., 3.]])
        """
        wanted = read_shape(size, "sum_to_size")
        if common_shape([wanted, tuple(self.shape)]) != tuple(self.shape):
            raise ShapeError(f"sum_to_size: {wanted} does not broadcast to {tuple(self.shape)}.")
        new = self.ndim - len(wanted)
        axes = [i for i in range(self.ndim) if i < new or (wanted[i - new] == 1 and self.shape[i] != 1)]
        return (self.sum(axes) if axes else self).reshape(tuple(wanted))

    def stride(self: Any, dim: int | None = None) -> Any:
        """How far apart neighbours along each dimension are, in entries: row by row, whatever memory looks like."""
        steps = tuple(math.prod(max(extent, 1) for extent in self.shape[i + 1 :]) for i in range(self.ndim))
        return steps if dim is None else steps[dim]

    def storage_offset(self: Any) -> int:
        """The number of the first entry in the tensor that this is a view of; 0 if it is no view.

        Raises ShapeError for a view whose entries do not lie there one after another, as those of `x.t()`: it has no
        strides to go with the number.
        """
        return strides.first_place(self)

    def ndimension(self: Any) -> int:
        """How many dimensions."""
        return int(self.ndim)

    def is_inference(self: Any) -> bool:
        """False: tensors made under `inference_mode` are like others."""
        return False

    def is_pinned(self: Any, device: Any = None) -> bool:
        """False: memory need not be held in place."""
        return False

    def is_shared(self: Any) -> bool:
        """False: other processes get copies."""
        return False

    @property
    def real(self: Any) -> Tensor:
        """The tensor itself: tensors hold real numbers."""
        return self

    @property
    def H(self: Any) -> Tensor:
        """A matrix transposed."""
        if self.ndim not in (0, 2):
            mend = "use mH for a batch of them" if self.ndim > 2 else "a row is x.unsqueeze(0)"
            raise ShapeError(f"H transposes a matrix, got shape {tuple(self.shape)}; {mend}.")
        return self.t()

    @property
    def mH(self: Any) -> Tensor:
        """Each matrix transposed."""
        return self.mT
