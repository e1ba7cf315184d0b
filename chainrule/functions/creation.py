"""Making tensors: from data, and from a shape and a rule.

Shapes are given as numbers or as one tuple: `zeros(2, 3)` and `zeros((2, 3))` are the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.cell import Size, TensorCell
from chainrule.devices import CPU, chosen, default_of_environment
from chainrule.dtypes import DType, as_dtype, from_numpy_dtype, get_default_dtype, promote_types, scalar_dtype
from chainrule.errors import DTypeError, ShapeError
from chainrule.functions.promotion import cast, expand_to, fitting, need_tensor
from chainrule.primitives.constants import constant
from chainrule.primitives.trace import array_input
from chainrule.primitives.value import Shape, Symbol
from chainrule.state import current_state

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


def make(array: Any, requires_grad: bool = False, device: Any = None) -> Tensor:
    """A tensor that takes over an array which nobody else writes to; on a device, of a copy there."""
    tensor = constant(array)
    if device is not CPU and (place := chosen(device).place) is not None:
        tensor = tensor.moved_to(place)
    return tensor.requires_grad_() if requires_grad else tensor


def tensor(data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor with a copy of the data: numbers, nested lists, NumPy arrays, tensors.

    Python floats become the default floating-point type (float32), Python integers int64, booleans bool; NumPy
    arrays keep their type. A tensor with one entry, whatever its shape, counts in a list as a number, and those with
    more are stacked. Raises ShapeError for ragged lists and DTypeError for entries that are no numbers.

    >>> tensor([[1, 2], [3, 4]]).dtype, tensor([0.5, 1.5]).dtype
    (chainrule.int64, chainrule.float32)
    """
    if isinstance(data, TensorCell):
        if current_state().trace is not None:  # a tensor that is only noted has no numbers yet
            return _copied(data, dtype, requires_grad, data.device if device is None else device)  # type: ignore[attr-defined]
        array = data.read("tensor(x)")
        device = data.device if device is None else device  # type: ignore[attr-defined]
    else:
        if isinstance(data, np.ndarray) and (known := array_input(data)) is not None:
            return _copied(known, dtype, requires_grad, device)
        if dtype is None and _holds_tensors(data):
            dtype = _joint_dtype(data)
        array = _array_of(data)
        if dtype is None and not isinstance(data, (np.ndarray, np.generic)) and array.dtype == np.float64:
            dtype = get_default_dtype() if not _holds_arrays(data) else None
    wanted = from_numpy_dtype(array.dtype) if dtype is None else as_dtype(dtype)
    if wanted.kind == 1 and array.size and not isinstance(data, (np.ndarray, TensorCell)):
        for extreme in (array.min(), array.max()):  # arrays are converted, numbers are what they say
            fitting(extreme.item(), wanted.numpy, "tensor")
    with np.errstate(over="ignore", invalid="ignore"):  # too large for the type is infinite
        return make(np.array(array, dtype=wanted.numpy), requires_grad, device)


def _copied(known: Any, dtype: Any, requires_grad: bool, device: Any) -> Tensor:
    """A copy without history of a tensor, such as a traced step makes of a NumPy array that it reads in every run."""
    copy = known.detach_copy() if dtype is None else known.to(as_dtype(dtype)).detach_copy()
    copy = copy.moved_to(chosen(device).place)
    from_numpy_dtype(copy.value.array.dtype)
    return copy.requires_grad_() if requires_grad else copy


def _array_of(data: Any) -> Any:
    if isinstance(data, (list, tuple)):
        data = _numbers_of(data)
    try:
        array = np.asarray(data)
    except ValueError as error:
        raise ShapeError(f"rows of different lengths do not make a tensor ({error}).") from None
    if array.dtype == object or array.dtype.kind in "USO":
        raise DTypeError(f"a tensor holds numbers, not {type(data).__name__} of {array.dtype}: {data!r:.60}.")
    if array.size == 0 and not isinstance(data, np.ndarray):
        array = array.astype(np.float64)
    return array


def _numbers_of(data: Any) -> Any:
    """Nested lists with the tensors in them replaced by their entries; a tensor with one entry is that number."""
    if isinstance(data, TensorCell):
        array = data.read()
        return array.reshape(()) if array.size == 1 else array
    if isinstance(data, (list, tuple)):
        if len(data) and isinstance(data[0], (list, tuple, TensorCell)):
            return [_numbers_of(part) for part in data]
        if any(isinstance(part, TensorCell) for part in data):
            return [_numbers_of(part) for part in data]
    return data


def _holds_tensors(data: Any) -> bool:
    return isinstance(data, TensorCell) or (isinstance(data, (list, tuple)) and any(map(_holds_tensors, data)))


def _joint_dtype(data: Any) -> DType:
    """The type that holds all of a nested list with tensors in it; a Python float counts as the default type."""
    if isinstance(data, (list, tuple)):
        dtype = _joint_dtype(data[0]) if data else get_default_dtype()
        for part in data[1:]:
            dtype = promote_types(dtype, _joint_dtype(part))
        return dtype
    if isinstance(data, (np.ndarray, np.generic)):
        return from_numpy_dtype(data.dtype)
    return data.dtype if isinstance(data, TensorCell) else scalar_dtype(data)


def _holds_arrays(data: Any) -> bool:
    while isinstance(data, (list, tuple)) and data:
        data = data[0]
    return isinstance(data, (np.ndarray, np.generic, TensorCell))


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """`tensor(data)`, or the tensor itself if it is one of that type already.

    >>> x = tensor([1.0])
    >>> as_tensor(x) is x
    True
    """
    if isinstance(data, TensorCell):
        data = data if device is None else data.moved_to(chosen(device).place)
        return data if dtype is None else data.to(as_dtype(dtype))
    return tensor(data, dtype=dtype, device=device)


asarray = as_tensor


def from_sizes_or_data(data: tuple[Any, ...], dtype: Any) -> Tensor:
    """PyTorch's older constructors: whole numbers (or a Size) are a shape, to be filled; anything else is data.

    >>> from_sizes_or_data((2, 3), "float32").shape, from_sizes_or_data(([2, 3],), "float32")
    (Size([2, 3]), tensor([2., 3.]))
    """
    if len(data) == 1 and not isinstance(data[0], (int, np.integer, Size)):
        return tensor(data[0], dtype=dtype)
    return zeros(*(data or (0,)), dtype=dtype)


def from_numpy(array: np.ndarray[Any, Any]) -> Tensor:
    """A tensor with a copy of a NumPy array.

    PyTorch shares the memory; our values never change, so we copy. It is on the CPU whatever the default device is, as
    in PyTorch; but where the environment alone names that (`CHAINRULE_DEVICE`), it is there.

    >>> from_numpy(np.arange(3))
    tensor([0, 1, 2])
    """
    if not isinstance(array, np.ndarray):
        raise DTypeError(f"from_numpy takes a NumPy array, got {type(array).__name__}; use chainrule.tensor(…).")
    from_numpy_dtype(array.dtype)
    known, device = array_input(array), default_of_environment() or CPU
    return make(np.array(array), device=device) if known is None else _copied(known, None, False, device)


def frombuffer(buffer: Any, *, dtype: Any, count: int = -1, offset: int = 0, requires_grad: bool = False) -> Tensor:
    """A tensor with a copy of numbers that lie in memory one after another, as in bytes read from a file.

    buffer: bytes and their like. count: how many numbers, -1 for all. offset: bytes that come before the first.

    Raises ValueError where the bytes are too few or no whole number of entries.

    >>> frombuffer(bytes([1, 2, 3, 0]), dtype="uint8", count=2, offset=1)
    tensor([2, 3], dtype=chainrule.uint8)
    """
    return make(np.frombuffer(buffer, as_dtype(dtype).numpy, count, offset).copy(), requires_grad)


def from_dlpack(ext_tensor: Any, *, device: Any = None, copy: bool | None = None) -> Tensor:
    """A tensor with a copy of another library's, which hands it out by DLPack (`__dlpack__`).

    Raises ValueError for `copy=False`: values never change here, so no memory is shared.

    >>> from_dlpack(np.arange(2))
    tensor([0, 1])
    """
    if copy is False:
        raise ValueError("from_dlpack always copies: values never change here, so no memory is shared.")
    return make(np.array(np.from_dlpack(ext_tensor)), device=device)


def read_shape(size: tuple[Any, ...], what: str) -> Shape:
    """A shape given as numbers or as one sequence, checked."""
    if len(size) == 1 and isinstance(size[0], (tuple, list)):
        size = tuple(size[0])
    try:
        shape = tuple([extent if type(extent) is int else int(extent.__index__()) for extent in size])
    except (AttributeError, TypeError):
        raise ShapeError(f"{what}: a shape consists of integers, got {size}.") from None
    if shape and min(shape) < 0:
        raise ShapeError(f"{what}: a shape has no negative extents, got {shape}.")
    return shape


def _numpy_dtype(dtype: Any) -> Any:
    return (get_default_dtype() if dtype is None else as_dtype(dtype)).numpy


def zeros(*shape: Any, size: Any = None, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of zeros.

    >>> zeros(2, 3).shape
    Size([2, 3])
    """
    return make(
        np.zeros(read_shape(shape if size is None else (size,), "zeros"), _numpy_dtype(dtype)), requires_grad, device
    )


def ones(*shape: Any, size: Any = None, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of ones.

    >>> ones(2)
    tensor([1., 1.])
    """
    return make(
        np.ones(read_shape(shape if size is None else (size,), "ones"), _numpy_dtype(dtype)), requires_grad, device
    )


def empty(*shape: Any, size: Any = None, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor that will be filled later. Its entries are zeros here, so that no run depends on old memory.

    >>> empty(2, 0).shape
    Size([2, 0])
    """
    return zeros(*shape, size=size, dtype=dtype, device=device, requires_grad=requires_grad)


def full(size: Any, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor with the same number everywhere; its type follows the number unless it is given.

    >>> full((2,), 7), full((2,), 0.5)
    (tensor([7, 7]), tensor([0.5000, 0.5000]))
    """
    shape = read_shape(tuple(size) if isinstance(size, (tuple, list)) else (size,), "full")
    if isinstance(fill_value, TensorCell) and isinstance(fill_value.value.array, Symbol):  # in a trace: any number
        number = fill_value.detach_copy()
        number = number if dtype is None else cast(number, _numpy_dtype(dtype))
        return expand_to(number, shape).requires_grad_(requires_grad)
    number = fill_value.item() if isinstance(fill_value, TensorCell) else fill_value  # type: ignore[attr-defined]
    wanted = tensor(number).dtype if dtype is None else dtype
    filling = fitting(number, _numpy_dtype(wanted), "full").value.array
    return make(np.full(shape, filling, filling.dtype), requires_grad, device)


def arange(
    start: Any = None,
    end: Any = None,
    step: Any = 1,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """The numbers start, start + step, … below end; `arange(n)` counts 0 … n − 1. int64 if all are integers.

    Fractions are cut off for int64. Smaller types of whole numbers have as many numbers as there would be with the
    fractions, and start and step cut off, as in PyTorch.

    >>> arange(4), arange(1, 2, 0.5)
    (tensor([0, 1, 2, 3]), tensor([1.0000, 1.5000]))
    """
    start, end = (0, start) if end is None else (0 if start is None else start, end)
    start, end, step = (n.item() if isinstance(n, TensorCell) else n for n in (start, end, step))  # type: ignore[attr-defined]
    if step == 0 or (end - start) * step < 0:
        raise ShapeError(f"arange from {start} to {end} never arrives with step {step}.")
    whole = all(isinstance(number, (int, np.integer)) for number in (start, end, step))
    wanted = as_dtype(dtype) if dtype is not None else as_dtype(int) if whole else get_default_dtype()
    if wanted.kind == 1 and wanted.itemsize == 8 and not whole:
        if not int(step):
            raise ShapeError(f"arange: the step {step} is 0 in {wanted}; give a whole step, or another dtype.")
        start, end, step, whole = int(start), int(end), int(step), True
    if whole:
        return make(np.arange(start, end, step).astype(wanted.numpy), requires_grad, device)
    count = int(np.ceil((end - start) / step))
    if wanted.kind == 1:
        return make((int(start) + np.arange(count) * int(step)).astype(wanted.numpy), requires_grad, device)
    return make((start + np.arange(count) * np.float64(step)).astype(wanted.numpy), requires_grad, device)


def linspace(
    start: float,
    end: float,
    steps: int,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """`steps` numbers at equal distances from start to end, both included.

    >>> linspace(0, 1, 5)
    tensor([0.0000, 0.2500, 0.5000, 0.7500, 1.0000])
    """
    if steps < 0:
        raise ShapeError(f"linspace: the number of steps cannot be negative, got {steps}.")
    wanted = _numpy_dtype(dtype)
    if wanted.kind in "iu":  # whole ends, and between them what is cut off to whole numbers
        start, end = int(fitting(start, wanted, "linspace").item()), int(fitting(end, wanted, "linspace").item())
    return make(np.linspace(start, end, steps).astype(wanted), requires_grad, device)


def logspace(
    start: float,
    end: float,
    steps: int,
    base: float = 10.0,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """`steps` powers of a base, whose exponents go at equal distances from start to end.

    >>> logspace(0, 2, 3)
    tensor([  1.,  10., 100.])
    """
    exponents = linspace(start, end, steps, dtype="float64", device=CPU).array
    return make(np.power(np.float64(base), exponents).astype(_numpy_dtype(dtype)), requires_grad, device)


def scalar_tensor(s: float, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A 0-d tensor of a number, in the default floating-point type.

    >>> scalar_tensor(3)
    tensor(3.)
    """
    return full(
        (), s, dtype=get_default_dtype() if dtype is None else dtype, device=device, requires_grad=requires_grad
    )


def eye(n: int, m: int | None = None, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """The identity matrix n×n, or its n×m piece.

    >>> eye(2)
    tensor([[1., 0.],
            [0., 1.]])
    """
    if n < 0 or (m or 0) < 0:
        raise ShapeError(f"eye: a matrix has no negative extents, got {n} and {m}.")
    return make(np.eye(n, m, dtype=_numpy_dtype(dtype)), requires_grad, device)


def _like(input: Any, dtype: Any, device: Any, name: str) -> tuple[Any, Any, Any]:
    """The shape, and the type and the device unless they are given."""
    value = need_tensor(input, name).value.array
    kind = from_numpy_dtype(value.dtype) if dtype is None else dtype
    return tuple(value.shape), kind, input.device if device is None else device


def zeros_like(input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros in the shape and type of another tensor.

    >>> zeros_like(tensor([1, 2]))
    tensor([0, 0])
    """
    shape, dtype, device = _like(input, dtype, device, "zeros_like")
    return zeros(shape, dtype=dtype, device=device, requires_grad=requires_grad)


def ones_like(input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones in the shape and type of another tensor.

    >>> ones_like(tensor([0.5, 2.0]))
    tensor([1., 1.])
    """
    shape, dtype, device = _like(input, dtype, device, "ones_like")
    return ones(shape, dtype=dtype, device=device, requires_grad=requires_grad)


def empty_like(input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """As `zeros_like`; see `empty`.

    >>> empty_like(tensor([0.5])).shape
    Size([1])
    """
    return zeros_like(input, dtype=dtype, device=device, requires_grad=requires_grad)


def full_like(
    input: Tensor, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """The same number everywhere, in the shape and type of another tensor.

    >>> full_like(tensor([0.5, 1.0]), 3)
    tensor([3., 3.])
    """
    shape, dtype, device = _like(input, dtype, device, "full_like")
    return full(shape, fill_value, dtype=dtype, device=device, requires_grad=requires_grad)
