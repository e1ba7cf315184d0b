"""The functions as methods: `x.exp()` is `chainrule.exp(x)`, by the same definition. And what only methods do."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule import dtypes
from chainrule.cell import TensorCell, ViewStep
from chainrule.devices import CPU, Device, need_cpu
from chainrule.errors import DTypeError, GradientError, NumberRangeError, ShapeError
from chainrule.functions import activation, arithmetic, contraction, elementwise, indexing, logic, reduction, shape
from chainrule.functions.creation import from_sizes_or_data, full_like, read_shape, zeros
from chainrule.functions.promotion import cast
from chainrule.functions.words import teach
from chainrule.primitives.value import Symbol, Value
from chainrule.state import current_state

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


def in_place(function: Callable[..., Any]) -> Callable[..., Any]:
    """The in-place form of a function: its result is put into the tensor's cell."""

    @functools.wraps(function, updated=())
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return self.assign(function(self, *args, **kwargs))

    name = getattr(function, "__name__", "function").strip("_")
    method.__name__ = f"{name}_"
    method.__doc__ = f"`{name}` in place: the result is put into this tensor, which is returned."
    return method


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
    if not isinstance(src, TensorCell):
        raise DTypeError(f"copy_ takes a tensor, got {type(src).__name__}; see fill_ for numbers.")
    new = shape.expand(cast(src, self.value.array.dtype), tuple(self.shape))  # type: ignore[arg-type]
    return logic.where(_everywhere(self), new, self) if self.requires_grad else shape.clone(new)


def _zero(self: Any) -> Any:
    return _fill(self, 0)


@functools.partial(teach, out=False)
class Methods:
    """Everything that a tensor can do besides holding its value; mixed into Tensor."""

    # Filled in below from the functions; written out here is only what a method does and a function does not.

    def to(
        self: Any, *args: Any, dtype: Any = None, device: Any = None, copy: bool = False, other: Any = None
    ) -> Tensor:
        """The tensor in another data type (or that of another tensor). The only device is "cpu".

        >>> import chainrule
        >>> chainrule.tensor([1, 2]).to(chainrule.float64).dtype
        chainrule.float64
        """
        need_cpu(device)
        truths = False
        for wish in (*args, other):
            if isinstance(wish, TensorCell):
                dtype = wish.dtype
            elif wish is None or isinstance(wish, Device):
                continue
            elif isinstance(wish, bool):  # non_blocking, then copy
                copy, truths = copy or (truths and wish), True
            elif isinstance(wish, str) and not dtypes.is_name(wish):
                need_cpu(wish)
            else:
                dtype = wish
        result = self if dtype is None else cast(self, dtypes.as_dtype(dtype).numpy)
        return result.clone() if copy and result is self else result

    def type_as(self: Any, other: Tensor) -> Tensor:
        """The tensor in the data type of another."""
        return self.to(other.dtype)

    def cpu(self: Any) -> Tensor:
        """The tensor itself: everything is on the CPU."""
        return self

    def cuda(self: Any, device: Any = None, non_blocking: bool = False) -> Tensor:
        """Raises DeviceError: there is no other device than the CPU."""
        return self.to("cuda" if device is None else device)

    def get_device(self: Any) -> int:
        """−1: the number of the device, which the CPU does not have."""
        return -1

    def pin_memory(self: Any, device: Any = None) -> Tensor:
        """The tensor itself: memory need not be held in place for copies to another device."""
        return self

    def share_memory_(self: Any) -> Tensor:
        """The tensor itself: threads share all memory, and other processes get copies."""
        return self

    is_cpu, is_cuda, is_mps, is_xpu, is_meta = True, False, False, False, False
    is_sparse, is_quantized, is_nested = False, False, False

    # ------------------------------------------------------------------------------- out of tensors

    def numpy(self: Any, *, force: bool = False) -> np.ndarray[Any, Any]:
        """A NumPy array of one's own; `np.asarray(x)` gives a read-only one without copying.

        Raises GradientError if the tensor requires a gradient: NumPy would not record what is done with it.
        """
        if self.requires_grad and not force:
            raise GradientError("numpy() of a tensor that requires a gradient; use .detach().numpy().")
        return np.array(self.array)

    def __array__(self: Any, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        if self.requires_grad:
            raise GradientError("NumPy does not record gradients; use .detach() on a tensor that requires them.")
        array = self.array
        if copy or (dtype is not None and np.dtype(dtype) != array.dtype):
            return np.array(array, dtype=dtype)
        view = array.view()
        view.flags.writeable = False
        return view

    def item(self: Any) -> Any:
        """The number in a tensor of one entry, as a Python number.

        >>> import chainrule
        >>> chainrule.tensor([[2.5]]).item()
        2.5
        """
        array = self.array
        if array.size != 1:
            raise ShapeError(f"item() reads one number, this tensor has shape {tuple(self.shape)}; use tolist().")
        return array.astype(np.float32).item() if array.dtype.kind == "V" else array.item()

    def tolist(self: Any) -> Any:
        """Nested Python lists of Python numbers.

        >>> import chainrule
        >>> chainrule.tensor([[1, 2], [3, 4]]).tolist()
        [[1, 2], [3, 4]]
        """
        array = self.array
        return array.astype(np.float32).tolist() if array.dtype.kind == "V" else array.tolist()

    def __bool__(self: Any) -> bool:
        if self.value.array.size != 1:
            raise ShapeError(
                f"a tensor of shape {tuple(self.shape)} is neither true nor false; use .any() or .all(), "
                "and & or | instead of `and` and `or`."
            )
        return bool(self.array.item())

    def __float__(self: Any) -> float:
        return float(self.item())

    def __int__(self: Any) -> int:
        return int(self.item())

    def __index__(self: Any) -> int:
        if self.dtype.is_floating_point:
            raise DTypeError(f"only integers can be indices, got {self.dtype}; use int(x).")
        return int(self.item())

    def __len__(self: Any) -> int:
        if not self.ndim:
            raise TypeError("a 0-d tensor has no length.")
        return int(self.shape[0])

    def __contains__(self: Any, thing: Any) -> bool:
        return bool(logic.eq(self, thing).any())

    def __format__(self: Any, spec: str) -> str:
        if self.ndim == 0 or (spec and self.numel() == 1):
            return format(self.item(), spec)
        return format(repr(self), spec)

    # ------------------------------------------------------------------------------------- facts

    def size(self: Any, dim: int | None = None) -> Any:
        """The shape, or one of its extents."""
        return self.shape if dim is None else self.shape[reduction.axis_of(dim, self.ndim, "size")]

    def dim(self: Any) -> int:
        """How many dimensions."""
        return int(self.ndim)

    def numel(self: Any) -> int:
        """How many entries."""
        return int(self.value.array.size)

    nelement = numel

    def element_size(self: Any) -> int:
        """Bytes of one entry."""
        return int(self.dtype.itemsize)

    @property
    def itemsize(self: Any) -> int:
        """Bytes of one entry."""
        return int(self.dtype.itemsize)

    @property
    def nbytes(self: Any) -> int:
        """Bytes of all entries."""
        return int(self.numel() * self.dtype.itemsize)

    def is_floating_point(self: Any) -> bool:
        """Whether the entries are floating-point numbers."""
        return bool(self.dtype.is_floating_point)

    def is_contiguous(self: Any, memory_format: Any = None) -> bool:
        """True, for every memory format: how entries lie in memory is nobody's concern here."""
        return True

    @property
    def device(self: Any) -> Device:
        """Where the entries are: on the CPU."""
        return CPU

    @property
    def T(self: Any) -> Tensor:
        """The dimensions in reverse order; of a matrix its transpose."""
        return shape.permute(self, tuple(reversed(range(self.ndim))))

    @property
    def mT(self: Any) -> Tensor:
        """The last two dimensions exchanged: each matrix transposed."""
        if self.ndim == 1:
            raise ShapeError(f"mT transposes matrices, got shape {tuple(self.shape)}.")
        if not self.ndim:
            return shape.permute(self, ())
        return shape.transpose(self, -2, -1)

    @property
    def data(self: Any) -> Tensor:
        """The tensor without its gradient: writes go to the tensor and are not recorded."""
        return shape.detach(self)

    @data.setter
    def data(self: Any, new: Any) -> None:
        if new is self or (new._base is self and all(step.primitive is None for step in new._steps)):
            return
        source, trace = self.value.source, current_state().trace
        if trace is not None and not trace.made_here(self):
            trace.check_exchange(self, new)
            self.set_value(Value(new.shared_array(), source))
            if new._base is None:
                new.as_view_of(self, None, {})
            return
        if not self.is_leaf:
            self.set_value(Value(new.shared_array(), source))  # its history is that of another value: a copy
            return
        self.share(new)
        if self._base is None:
            self._value = Value(self._value.array, source)
        elif source is not None:
            self._own, self._value = True, Value(self.value.array, source)

    def detach_(self: Any) -> Tensor:
        """Cut this tensor off from the computation that made it, in place. A view goes on as a detached view."""
        if self._base is None:
            self.set_value(Value(self.shared_array()))
        elif self.is_leaf:
            self.requires_grad_(False)
        else:
            self._steps = (*self._steps, ViewStep(None, {}, False))
            self._value = Value(self.shared_array())
        return self

    # ----------------------------------------------------------------------------- new from old

    def new_zeros(self: Any, *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
        """Zeros of the given shape in this tensor's data type."""
        return zeros(*size, dtype=self.dtype if dtype is None else dtype, device=device, requires_grad=requires_grad)

    new_empty = new_zeros

    def new_ones(self: Any, *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
        """Ones of the given shape in this tensor's data type."""
        shape = read_shape(size, "new_ones")
        return self.new_full(shape, 1, dtype=dtype, device=device, requires_grad=requires_grad)

    def new_full(
        self: Any, size: Any, fill_value: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False
    ) -> Tensor:
        """The same number everywhere, of the given shape in this tensor's data type."""
        from chainrule.functions.creation import full

        dtype = self.dtype if dtype is None else dtype
        return full(size, fill_value, dtype=dtype, device=device, requires_grad=requires_grad)

    def new_tensor(self: Any, data: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
        """A tensor of the data in this tensor's data type."""
        from chainrule.functions.creation import tensor

        dtype = self.dtype if dtype is None else dtype
        return tensor(data, dtype=dtype, device=device, requires_grad=requires_grad)

    def new(self: Any, *data: Any) -> Tensor:
        """The older way: zeros of a shape, or the entries of a list or tensor, in this tensor's data type.

        >>> import chainrule
        >>> chainrule.ones(1).new(2, 1).shape, chainrule.ones(1).new([2])
        (Size([2, 1]), tensor([2.]))
        """
        return from_sizes_or_data(data, self.dtype)

    # ----------------------------------------------------------------------- random, in place

    def uniform_(self: Any, low: float = 0.0, high: float = 1.0, *, generator: Any = None) -> Tensor:
        """Fill with numbers uniform in [low, high), in place. Raises NumberRangeError if low > high."""
        from chainrule.random import rand_like

        if not low <= high:
            raise NumberRangeError(f"uniform_ draws from [low, high), got {low} and {high}.")
        return self.assign(rand_like(self, generator=generator) * (high - low) + low)

    def normal_(self: Any, mean: float = 0.0, std: float = 1.0, *, generator: Any = None) -> Tensor:
        """Fill with normal numbers of this mean and standard deviation, in place; NumberRangeError if negative."""
        from chainrule.random import need_deviation, randn_like

        need_deviation(std, "normal_")
        return self.assign(randn_like(self, generator=generator) * std + mean)

    def bernoulli_(self: Any, p: float = 0.5, *, generator: Any = None) -> Tensor:
        """Fill with 1 (probability p) and 0, in place."""
        from chainrule.random import bernoulli

        return self.assign(bernoulli(self, p, generator=generator))

    def random_(self: Any, low: int = 0, high: int | None = None, *, generator: Any = None) -> Tensor:
        """Fill with integers uniform in [low, high), in place; `random_(high)` starts at 0."""
        from chainrule.random import randint

        low, high = (0, low) if high is None else (low, high)
        return self.assign(randint(low, high, tuple(self.shape), generator=generator).to(self.dtype))

    # -------------------------------------------------------------------------- the functions as methods

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
    atan, sinh, cosh, tanh = elementwise.atan, elementwise.sinh, elementwise.cosh, elementwise.tanh
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
    asinh, acosh, atanh, logit = elementwise.asinh, elementwise.acosh, elementwise.atanh, elementwise.logit
    deg2rad, rad2deg, signbit = elementwise.deg2rad, elementwise.rad2deg, elementwise.signbit

    sum, mean, var, std, prod = reduction.sum, reduction.mean, reduction.var, reduction.std, reduction.prod
    amax, amin, argmax, argmin = reduction.amax, reduction.amin, reduction.argmax, reduction.argmin
    max, min, any, all = reduction.max, reduction.min, reduction.any, reduction.all
    count_nonzero, logsumexp, norm = reduction.count_nonzero, reduction.logsumexp, reduction.norm
    cumprod, cummax, cummin, diff = reduction.cumprod, reduction.cummax, reduction.cummin, reduction.diff
    median, quantile, aminmax = reduction.median, reduction.quantile, reduction.aminmax
    nansum, nanmean = reduction.nansum, reduction.nanmean
    cumsum, sort, argsort, topk = reduction.cumsum, reduction.sort, reduction.argsort, reduction.topk

    reshape, view, view_as, flatten = shape.reshape, shape.view, shape.view_as, shape.flatten
    unflatten, squeeze, unsqueeze = shape.unflatten, shape.squeeze, shape.unsqueeze
    permute, transpose, swapaxes, t = shape.permute, shape.transpose, shape.transpose, shape.t
    ravel, swapdims, moveaxis = shape.ravel, shape.swapdims, shape.moveaxis
    fliplr, flipud, trace, diag_embed = shape.fliplr, shape.flipud, shape.trace, shape.diag_embed
    reshape_as = shape.view_as
    movedim, expand, expand_as = shape.movedim, shape.expand, shape.expand_as
    broadcast_to, repeat, tile = shape.broadcast_to, shape.repeat, shape.tile
    repeat_interleave, flip, roll = shape.repeat_interleave, shape.flip, shape.roll
    narrow, select, split, chunk, unbind = shape.narrow, shape.select, shape.split, shape.chunk, shape.unbind
    diagonal, diag, clone, contiguous, detach = (
        shape.diagonal, shape.diag, shape.clone, shape.contiguous, shape.detach,
    )  # fmt: skip

    index_put, index_select, index_add = indexing.index_put, indexing.index_select, indexing.index_add
    index_copy, index_fill, gather = indexing.index_copy, indexing.index_fill, indexing.gather
    take_along_dim, scatter_add, scatter = indexing.take_along_dim, indexing.scatter_add, indexing.scatter
    take, nonzero, masked_select = indexing.take, indexing.nonzero, indexing.masked_select
    tril, triu, bincount, unique = indexing.tril, indexing.triu, indexing.bincount, indexing.unique

    matmul, mm, bmm, mv, dot = (
        contraction.matmul,
        contraction.mm,
        contraction.bmm,
        contraction.mv,
        contraction.dot,
    )
    addmm, outer, inner = contraction.addmm, contraction.outer, contraction.inner
    argwhere = indexing.argwhere

    def where(self: Any, condition: Any, other: Any) -> Tensor:
        """This tensor where the condition holds, else `other`."""
        return logic.where(condition, self, other)

    def fill_diagonal_(self: Any, fill_value: Any, wrap: bool = False) -> Tensor:
        """The same number on the diagonal of a matrix, in place; of a tall one with `wrap` again below, after a gap."""
        if self.ndim != 2:
            raise ShapeError(f"fill_diagonal_ takes a matrix, got shape {tuple(self.shape)}.")
        shape.diagonal(self).fill_(fill_value)
        if wrap and self.shape[1]:
            below = self.shape[1] + 1
            while below < self.shape[0]:
                shape.diagonal(self[below:]).fill_(fill_value)
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


def _conversion(dtype: dtypes.DType) -> Callable[[Any], Tensor]:
    def convert(self: Any) -> Tensor:
        return cast(self, dtype.numpy)

    convert.__name__ = dtype.name
    convert.__doc__ = f"The tensor as {dtype!r}."
    return convert


class Conversions:
    """`x.float()`, `x.long()`, …: the tensor in another data type."""

    double, float, half, bfloat16 = (
        _conversion(d) for d in (dtypes.float64, dtypes.float32, dtypes.float16, dtypes.bfloat16)
    )
    long, int, short, char = (_conversion(d) for d in (dtypes.int64, dtypes.int32, dtypes.int16, dtypes.int8))
    byte, bool = (_conversion(d) for d in (dtypes.uint8, dtypes.bool_))


def describe(tensor: Any) -> str:
    """How a tensor prints: as PyTorch's, with its data type where that is not the usual one, and its record."""
    from chainrule import printing

    array = tensor.value.array
    if isinstance(array, Symbol):
        return f"tensor(traced, {array!r})"
    suffixes = []
    usual = (
        (dtypes.get_default_dtype(),) if not array.size else (dtypes.get_default_dtype(), dtypes.int64, dtypes.bool_)
    )
    if tensor.dtype not in usual:
        suffixes.append(f"dtype={tensor.dtype!r}")
    record = tensor.grad_fn
    if record is not None:
        suffixes.append(f"grad_fn=<{record.operation.name}>")
    elif tensor.requires_grad:
        suffixes.append("requires_grad=True")
    return printing.format_tensor(array, suffixes)
