"""Bringing arguments together: Python numbers become tensors, data types are promoted, shapes are broadcast."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from chainrule.cell import TensorCell
from chainrule.dtypes import DType, FloatLimits, from_numpy_dtype, get_default_dtype, result_dtype, scalar_dtype
from chainrule.errors import DTypeError, GradientError, NumberRangeError, ShapeError
from chainrule.primitives.elementwise import Cast, Divide, FloorDivide, Multiply
from chainrule.primitives.primitive import Primitive
from chainrule.primitives.shape import Broadcast
from chainrule.primitives.trace import array_input
from chainrule.primitives.value import Shape, Value
from chainrule.state import current_state

if TYPE_CHECKING:
    from chainrule.primitives.value import DataType
    from chainrule.tensor import Tensor

Number = bool | int | float
Operand = Any  # a Tensor, a NumPy array or a Python number


def is_tensor(obj: Any) -> TypeGuard[Tensor]:
    """Whether it is a Tensor."""
    return isinstance(obj, TensorCell)


def is_sparse(thing: Any) -> bool:
    """Whether it is a sparse tensor, which is no Tensor."""
    return getattr(thing, "is_sparse", False)


def is_floating_point(input: Tensor) -> bool:
    """Whether the entries are floating-point numbers."""
    return input.dtype.is_floating_point


def numel(input: Tensor) -> int:
    """How many entries."""
    return int(input.value.array.size)


def cast(x: Tensor, dtype: DataType) -> Tensor:
    """x in another NumPy data type; x itself where nothing has to change."""
    if x.value.array.dtype == dtype:
        return x
    if dtype.kind in "iub" and x.value.source is not None:
        x = x.detach_copy()  # no gradient comes back through whole numbers
    return Cast.apply(x, dtype=dtype)


def constant(number: Any, dtype: DataType) -> Tensor:
    """A 0-d tensor of a number. Integers too large for the type wrap around, as in PyTorch; see `fitting`.

    Raises NumberRangeError for integers that not even int64 holds.
    """
    if type(number) is int and not -(2**63) <= number < 2**63 and dtype.kind in "iub":
        raise NumberRangeError(f"the integer {number} needs more than the 64 bits of an int64.")
    with np.errstate(over="ignore", invalid="ignore"):
        return Primitive.make_tensor(Value(np.array(number).astype(dtype)))


def fitting(number: Any, dtype: DataType, operation: str) -> Tensor:
    """A 0-d tensor of a number which the type can hold; a NumberRangeError if it cannot.

    For what stores a number as it stands (`masked_fill`, `full`, the bounds of `clamp`). As in PyTorch, an unsigned
    type takes the whole number −n for its complement as long as it holds n, and fractions are cut off.
    """
    if not _fits(number, dtype):
        raise NumberRangeError(f"{operation}: the number {number} does not fit into {from_numpy_dtype(dtype).name}.")
    return constant(number, dtype)


def _fits(number: Any, dtype: DataType) -> bool:
    if dtype.kind == "b":
        return True
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        least = limits.min if limits.min or isinstance(number, float) else -int(limits.max)
        return bool(least <= number <= limits.max)  # False for NaN
    return not math.isfinite(number) or abs(number) <= FloatLimits(from_numpy_dtype(dtype)).max


def whole_factor(number: Any, dtype: DType, operation: str, name: str) -> Any:
    """A factor by which a tensor is multiplied that keeps its type: beside whole numbers a whole number.

    Raises a DTypeError for a fraction there. The whole number 2.0 counts as 2.

    >>> import chainrule
    >>> whole_factor(2.0, chainrule.int64, "addmm", "alpha"), whole_factor(0.5, chainrule.float32, "addmm", "alpha")
    (2, 0.5)
    """
    if dtype.kind == 2 or not isinstance(number, float):
        return number
    if not number.is_integer():
        raise DTypeError(
            f"{operation}: {name}={number} would make {dtype} tensors fractions; give a whole number, or convert them "
            "with .float()."
        )
    return int(number)


def common_shape(shapes: Sequence[Shape]) -> Shape:
    """The shape that all broadcast to; a ShapeError if there is none.

    >>> common_shape([(3, 1), (4,)])
    (3, 4)
    """
    first = shapes[0]
    if len(shapes) == 2:  # the usual cases, quickly
        second = shapes[1]
        longer, shorter = (first, second) if len(first) >= len(second) else (second, first)
        if not shorter or longer[len(longer) - len(shorter) :] == shorter:
            return tuple(longer)
    rank = max(len(shape) for shape in shapes)
    columns = zip(*[(1,) * (rank - len(shape)) + tuple(shape) for shape in shapes], strict=True)
    result = []
    for column in columns:
        sizes = {extent for extent in column if extent != 1}
        if len(sizes) > 1:
            given = " and ".join(str(tuple(shape)) for shape in shapes)
            raise ShapeError(
                f"shapes {given} do not broadcast: from the right, each dimension must be equal or 1. "
                "If they should line up otherwise, use unsqueeze or reshape."
            )
        result.append(sizes.pop() if sizes else 1)
    return tuple(result)


def expand_to(x: Tensor, shape: Shape) -> Tensor:
    """x broadcast to a shape; x itself where nothing has to change."""
    value = x.value
    array = value.array
    if array.shape == shape:
        return x
    state = current_state()
    recording = state.recording
    # A recording has to know whose entries these are; one number that it has not seen is as good as a new one.
    known = recording is not None and (bool(array.shape) or recording.knows(array))
    if value.source is not None or known or state.trace or state.observer or type(array) is not np.ndarray:
        return Broadcast.apply(x, to=shape)
    # Nothing to note: the same in a fifth of the time that the primitive takes.
    Broadcast.shape(array, to=shape)
    return Primitive.make_tensor(Value(Broadcast.evaluate(array, to=shape)))


def promote(*arguments: Any, floating: bool = False) -> list[Tensor]:
    """Tensors of one data type from tensors, arrays and Python numbers, by PyTorch's rules.

    With `floating` whole numbers become the default floating-point type, each at once: 1000 beside a tensor of uint8
    stays 1000, which it would not by way of uint8.
    """
    dims: list[DType] = []
    points: list[DType] = []
    scalars: list[DType] = []
    things: list[Any] = [_as_operand(argument) for argument in arguments]
    for thing in things:
        if isinstance(thing, TensorCell):
            array = thing.value.array
            (dims if array.shape else points).append(from_numpy_dtype(array.dtype))
        else:
            scalars.append(scalar_dtype(thing))
    joint = result_dtype(dims, points, scalars)
    return _converted(things, (get_default_dtype() if floating and joint.kind < 2 else joint).numpy)


def _converted(things: Sequence[Any], dtype: DataType) -> list[Tensor]:
    return [cast(thing, dtype) if is_tensor(thing) else constant(thing, dtype) for thing in things]


def result_type(tensor1: Any, tensor2: Any) -> DType:
    """The data type that an operation on these two, tensors or Python numbers, gives.

    >>> import chainrule
    >>> result_type(chainrule.tensor([1]), 2.5)
    chainrule.float32
    """
    return promote(tensor1, tensor2)[0].dtype


def _as_operand(argument: Any) -> Any:
    if isinstance(argument, (TensorCell, bool, int, float)):
        return argument
    if isinstance(argument, np.generic):
        return argument.item()
    if isinstance(argument, np.ndarray):
        from_numpy_dtype(argument.dtype)
        known = array_input(argument)
        return Primitive.make_tensor(Value(argument.copy())) if known is None else known
    raise DTypeError(f"expected a tensor or a number, got {type(argument).__name__}: {argument!r:.60}.")


def binary(primitive: Any, x: Any, y: Any) -> Any:
    """Apply an elementwise primitive of two arguments after promotion and broadcasting."""
    if isinstance(x, TensorCell):
        if isinstance(y, TensorCell):
            a, b = x.value.array, y.value.array
            if a.dtype is b.dtype or a.dtype == b.dtype:
                return primitive.apply(*broadcast(x, y))
        elif type(y) in (float, int) and x.value.array.dtype in _PLAIN:
            return primitive.apply(x, filled(y, x.value.array))
    elif type(x) in (float, int) and isinstance(y, TensorCell) and y.value.array.dtype in _PLAIN:
        return primitive.apply(filled(x, y.value.array), y)
    if is_sparse(x) or is_sparse(y):
        return (x if is_sparse(x) else y).elementwise(primitive.__name__, x, y)  # a sparse tensor knows its operators
    pair = promote(x, y)
    if pair[0].dtype.itemsize == 2 and primitive in _KEPT:
        single = in_single(primitive, x, y)
        if single is not None:
            return cast(primitive.apply(*broadcast(*single)), pair[0].value.array.dtype)
    return primitive.apply(*broadcast(*pair))


#: Types in which a Python number stands beside a tensor as it is.
_PLAIN = (np.dtype(np.float32), np.dtype(np.float64))
_NUMBER = (int, float)
#: Which operands of products and quotients of halves, by their place, keep their digits if they are single numbers, as
#: in PyTorch: so x / 10⁶ in float16 is not x / ∞.
_KEPT: dict[Any, tuple[Any, Any]] = {
    Multiply: (_NUMBER, (TensorCell, *_NUMBER)),
    Divide: (_NUMBER, (TensorCell, *_NUMBER)),
    FloorDivide: ((), (TensorCell, *_NUMBER)),
}


def in_single(primitive: Any, x: Operand, y: Operand) -> list[Tensor] | None:
    """Two operands whose common type is a half in float32, if one is a single number that the half would round."""
    pair, single = promote(x, y), np.dtype(np.float32)
    if pair[0].value.array.dtype.kind not in "fV":
        return None
    exact = [
        _unrounded(operand, half.value.array.dtype) if isinstance(operand, kinds) else None
        for operand, half, kinds in zip((x, y), pair, _KEPT[primitive], strict=True)
    ]
    if exact == [None, None]:
        return None
    return [cast(half, single) if e is None else e for half, e in zip(pair, exact, strict=True)]


def _unrounded(operand: Any, dtype: DataType) -> Tensor | None:
    """A single number in float32, if a half rounds it; else None."""
    single = np.dtype(np.float32)
    if isinstance(operand, TensorCell):
        array = operand.value.array
        return None if array.shape or array.dtype == dtype else cast(operand, single)  # type: ignore[arg-type]
    number = float(operand)
    with np.errstate(over="ignore"):
        rounded = float(np.asarray(number).astype(dtype))
    return None if rounded == number or math.isnan(number) else constant(number, single)


def in_float32(x: Tensor) -> Tensor:
    """Halves in float32, other numbers as they are: what is computed in several steps is then rounded once."""
    return cast(x, np.dtype(np.float32)) if _is_of_halves(x) else x


def rounded_as(like: Tensor, x: Tensor) -> Tensor:
    """What was computed in float32, in the type of a tensor of halves. Beside any other tensor it stays as it is."""
    return cast(x, like.value.array.dtype) if _is_of_halves(like) else x


def _is_of_halves(x: Tensor) -> bool:
    return x.value.array.dtype.itemsize == 2 and x.dtype.is_floating_point


def written(result: Any, out: Any) -> Any:
    """What a function with `out=` gives: its result, put into the tensor `out` if there is one."""
    if out is None:
        return result
    if current_state().gradients and (result.requires_grad or out.requires_grad):
        raise GradientError("out= records no gradient: use what the function returns, or write under no_grad.")
    return out.assign(result)


def broadcast(x: Any, y: Any) -> Any:
    """Both expanded to their common shape."""
    a, b = x.value.array.shape, y.value.array.shape
    if a == b:
        return x, y
    shape = common_shape([a, b])
    return expand_to(x, shape), expand_to(y, shape)


def filled(number: float, like: Any) -> Tensor:
    """A number in the type and shape of an array, taking no memory: the usual partner of a tensor in a formula."""
    if current_state().trace is not None:
        return expand_to(Primitive.make_tensor(Value(np.array(number, like.dtype))), like.shape)
    # 0.0 and −0.0 are one key, so zeros are made anew.
    make = _filled_value if number else _filled_value.__wrapped__
    return Primitive.make_tensor(make(number, like.dtype, like.shape))


@functools.lru_cache(maxsize=512)
def _filled_value(number: float, dtype: DataType, shape: Shape) -> Value:
    with np.errstate(over="ignore"):  # too large for the type is infinite
        return Value(np.ndarray(shape, dtype, np.array(number, dtype), 0, (0,) * len(shape)))


def as_floating(x: Tensor) -> Tensor:
    """x, with integers and booleans in the default floating-point type."""
    if x.value.array.dtype.kind in "iub":
        return cast(x, get_default_dtype().numpy)
    return x


def need_tensor(x: Any, operation: str) -> Tensor:
    """x if it is a Tensor, else a DTypeError that says what to do."""
    if isinstance(x, TensorCell):
        return x  # type: ignore[return-value]
    if is_sparse(x):
        raise DTypeError(f"{operation} takes a dense Tensor; of a sparse one use its methods, or to_dense().")
    raise DTypeError(f"{operation} takes a Tensor, got {type(x).__name__}; make one with chainrule.tensor(…).")
