"""Data types and PyTorch's rules for mixing them.

A :class:`DType` is a name for a NumPy data type. Three kinds are ordered, bool < integer < float, and a result
takes the highest kind that takes part. Tensors with dimensions decide first; a 0-d tensor, and after it a Python
number, only counts where it is of a higher kind: `int8_tensor * 2.5` is float32, but `float16_tensor * 2.5` stays
float16 and `int64_matrix + float32_vector` is float32.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NoReturn

import numpy as np

from chainrule.errors import DTypeError


class DType:
    """A data type, such as `chainrule.float32`.

    Attributes:
        name: "float32", "int64", "bool", …
        kind: 0 for bool, 1 for integers, 2 for floating point.
        itemsize: bytes of one entry.

    >>> import chainrule
    >>> chainrule.zeros(2).dtype
    chainrule.float32
    >>> chainrule.bfloat16.is_floating_point, chainrule.bfloat16.itemsize
    (True, 2)
    """

    def __init__(self, name: str, kind: int, itemsize: int) -> None:
        self.name = name
        self.kind = kind
        self.itemsize = itemsize

    @property
    def numpy(self) -> np.dtype[Any]:
        """The NumPy data type (bfloat16 comes from the package ml_dtypes)."""
        return _to_numpy(self)

    @property
    def is_floating_point(self) -> bool:
        """Whether it is a floating-point type; only these can require gradients."""
        return self.kind == 2

    @property
    def is_complex(self) -> bool:
        """Whether it is one of the complex types, which can be named and no tensor holds."""
        return self.kind == 3

    @property
    def is_signed(self) -> bool:
        """Whether it holds numbers below 0."""
        return self.kind > 0 and not self.name.startswith("uint")

    def __repr__(self) -> str:
        return f"chainrule.{self.name}"

    def __reduce__(self) -> tuple[Any, ...]:
        return as_dtype, (self.name,)


class AbsentDType(DType):
    """A data type of PyTorch's that no tensor holds here: it can be named and compared (`x.dtype == complex64`).

    Whatever would make a tensor of it raises a DTypeError.

    >>> import chainrule
    >>> chainrule.ones(1).dtype == chainrule.complex64
    False
    """

    def __init__(self, name: str, kind: int, itemsize: int, instead: str) -> None:
        super().__init__(name, kind, itemsize)
        self.instead = instead

    @property
    def numpy(self) -> NoReturn:
        """None: raises a DTypeError."""
        raise DTypeError(f"tensors cannot hold {self.name}: {self.instead}.")

    def __reduce__(self) -> tuple[Any, ...]:
        return _absent, (self.name,)


def _absent(name: str) -> AbsentDType:
    found: AbsentDType = globals()[name]
    return found


float64 = double = DType("float64", 2, 8)
float32 = DType("float32", 2, 4)
float16 = half = DType("float16", 2, 2)
bfloat16 = DType("bfloat16", 2, 2)
int64 = long = DType("int64", 1, 8)
int32 = DType("int32", 1, 4)
int16 = short = DType("int16", 1, 2)
int8 = DType("int8", 1, 1)
uint8 = DType("uint8", 1, 1)
bool_ = DType("bool", 0, 1)

_REAL = "they hold real numbers; keep real and imaginary parts along a dimension of size 2"
_SIGNED = "they hold int8 to int64 and uint8; take the next larger of these"
complex128 = cdouble = AbsentDType("complex128", 3, 16, _REAL)
complex64 = cfloat = AbsentDType("complex64", 3, 8, _REAL)
complex32 = chalf = AbsentDType("complex32", 3, 4, _REAL)
uint64 = AbsentDType("uint64", 1, 8, _SIGNED)
uint32 = AbsentDType("uint32", 1, 4, _SIGNED)
uint16 = AbsentDType("uint16", 1, 2, _SIGNED)

_ALL = (float64, float32, float16, bfloat16, int64, int32, int16, int8, uint8, bool_)
_BY_NAME = {dtype.name: dtype for dtype in _ALL}
_FROM_PYTHON: dict[Any, DType] = {float: float64, int: int64, bool: bool_}


@cache
def _to_numpy(dtype: DType) -> np.dtype[Any]:
    if dtype is bfloat16:
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(dtype.name)


@cache
def from_numpy_dtype(dtype: np.dtype[Any]) -> DType:
    """The DType of a NumPy data type. Raises DTypeError for those that tensors cannot hold (complex, objects, …)."""
    found = _BY_NAME.get(np.dtype(dtype).name)
    if found is None:
        known = ", ".join(_BY_NAME)
        raise DTypeError(
            f"tensors cannot hold NumPy's {np.dtype(dtype).name}; they hold {known}. Convert with .astype(…)."
        )
    return found


def as_dtype(dtype: Any) -> DType:
    """A DType from a DType, a name, a NumPy data type or one of Python's `float`, `int`, `bool`.

    >>> as_dtype("float64"), as_dtype(int), as_dtype(np.uint8)
    (chainrule.float64, chainrule.int64, chainrule.uint8)
    """
    if isinstance(dtype, DType):
        return dtype
    if dtype in _FROM_PYTHON:
        return _FROM_PYTHON[dtype]
    if isinstance(dtype, str) and dtype in _BY_NAME:
        return _BY_NAME[dtype]
    try:
        return from_numpy_dtype(np.dtype(dtype))
    except TypeError as error:
        if isinstance(error, DTypeError):
            raise
        raise DTypeError(f"{dtype!r} is not a data type; use one of {', '.join(map(repr, _ALL))}.") from None


def is_name(name: str) -> bool:
    """Whether this names a data type: "float32", and NumPy's "single".

    >>> is_name("float64"), is_name("cpu")
    (True, False)
    """
    try:
        as_dtype(name)
    except DTypeError:
        return False
    return True


_default = float32


def get_default_dtype() -> DType:
    """The floating-point type of new tensors and of Python floats among integers; float32 at first."""
    return _default


def set_default_dtype(dtype: Any) -> None:
    """Change the floating-point type that new tensors get. Raises DTypeError unless it is a floating-point type."""
    global _default
    new = as_dtype(dtype)
    if not new.is_floating_point:
        raise DTypeError(f"the default must be a floating-point type, got {new!r}.")
    _default = new


@cache
def promote_types(first: DType, second: DType) -> DType:
    """The type that holds both, as between two tensors with dimensions.

    >>> promote_types(int64, float16), promote_types(uint8, int8), promote_types(float16, bfloat16)
    (chainrule.float16, chainrule.int16, chainrule.float32)
    """
    if first is second:
        return first
    if first.kind != second.kind:
        return first if first.kind > second.kind else second
    if {first, second} == {float16, bfloat16}:
        return float32
    if first.kind == 2:
        return first if first.itemsize > second.itemsize else second
    return from_numpy_dtype(np.promote_types(first.numpy, second.numpy))


def result_dtype(with_dimensions: list[DType], without: list[DType], scalars: list[DType]) -> DType:
    """PyTorch's promotion: tensors with dimensions first, then 0-d tensors, then Python numbers.

    A later group only counts where its kind is higher than all groups before it.
    """
    result: DType | None = None
    for group in (with_dimensions, without, scalars):
        if not group:
            continue
        joint = group[0]
        for dtype in group[1:]:
            joint = promote_types(joint, dtype)
        if result is None or joint.kind > result.kind:
            result = joint
    if result is None:
        raise DTypeError("nothing to take a data type from.")
    return result


def scalar_dtype(number: bool | int | float) -> DType:
    """The type a Python number counts as: bool, int64 or the default floating-point type."""
    if isinstance(number, bool):
        return bool_
    if isinstance(number, int):
        return int64
    return get_default_dtype()


def can_cast(from_: Any, to: Any) -> bool:
    """Whether a result of one type may be put into a tensor of another: not into a lower kind.

    >>> can_cast(float64, float16), can_cast(float32, int64)
    (True, False)
    """
    return as_dtype(from_).kind <= as_dtype(to).kind


class FloatLimits:
    """Limits of a floating-point type: `eps`, `max`, `min` (= −max), `tiny` (smallest normal), `bits`.

    >>> FloatLimits(float32).eps
    1.1920928955078125e-07
    """

    def __init__(self, dtype: Any = None) -> None:
        wanted = get_default_dtype() if dtype is None else as_dtype(dtype)
        if not wanted.is_floating_point:
            raise DTypeError(f"finfo needs a floating-point type, got {wanted!r}; use iinfo for integers.")
        if wanted is bfloat16:
            import ml_dtypes

            limits: Any = ml_dtypes.finfo(wanted.numpy)
        else:
            limits = np.finfo(wanted.numpy)
        self.dtype = wanted
        self.bits = wanted.itemsize * 8
        self.eps = float(limits.eps)
        self.max = float(limits.max)
        self.min = -self.max
        self.tiny = self.smallest_normal = float(limits.smallest_normal)


class IntegerLimits:
    """Limits of an integer type: `min`, `max`, `bits`.

    >>> IntegerLimits(int8).max
    127
    """

    def __init__(self, dtype: Any) -> None:
        wanted = as_dtype(dtype)
        if wanted.kind != 1:
            raise DTypeError(f"iinfo needs an integer type, got {wanted!r}.")
        limits = np.iinfo(wanted.numpy)
        self.dtype = wanted
        self.bits = wanted.itemsize * 8
        self.min, self.max = int(limits.min), int(limits.max)
