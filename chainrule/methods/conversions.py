"""A tensor in another form: of another data type, as a NumPy array, as numbers of Python."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from chainrule import dtypes
from chainrule.cell import TensorCell
from chainrule.devices import Device, chosen, default_of_environment
from chainrule.errors import DTypeError, GradientError, ShapeError
from chainrule.functions import logic
from chainrule.functions.promotion import cast
from chainrule.functions.words import teach

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


class Wishes(NamedTuple):
    """What `to` was asked for: None where nothing is to change."""

    dtype: dtypes.DType | None
    device: Device | None
    copy: bool


def wishes(
    *args: Any, dtype: Any = None, device: Any = None, copy: bool = False, other: Any = None, **memory: Any
) -> Wishes:
    """The arguments of `to` in all of PyTorch's forms; words about memory change nothing.

    >>> wishes("cpu", "float64")
    Wishes(dtype=chainrule.float64, device=device(type='cpu'), copy=False)
    """
    truths = False
    for wish in (*args, other):
        if isinstance(wish, TensorCell):
            dtype, device = wish.dtype, wish.device  # type: ignore[attr-defined]
        elif isinstance(wish, bool):  # non_blocking, then copy
            copy, truths = copy or (truths and wish), True
        elif isinstance(wish, (Device, int)) or (isinstance(wish, str) and not dtypes.is_name(wish)):
            device = wish
        elif wish is not None:
            dtype = wish
    return Wishes(None if dtype is None else dtypes.as_dtype(dtype), None if device is None else chosen(device), copy)


@functools.partial(teach, out=False)
class Conversions:
    """`x.to(…)`, `x.numpy()`, `x.item()`, and how Python reads a tensor."""

    def to(
        self: Any, *args: Any, dtype: Any = None, device: Any = None, copy: bool = False, other: Any = None
    ) -> Tensor:
        """The tensor in another data type, on another device, or in both as another tensor; itself where it is so.

        `x.to("xla")`, `x.to(chainrule.float64)`, `x.to("cpu", "float32")`, `x.to(y)`. Gradients come back to where they
        are from. Raises DeviceError for a device that is not there.

        >>> import chainrule
        >>> chainrule.tensor([1, 2]).to(chainrule.float64).dtype
        chainrule.float64
        """
        wanted = wishes(*args, dtype=dtype, device=device, copy=copy, other=other)
        result = self if wanted.device is None else self.moved_to(wanted.device.place)
        result = result if wanted.dtype is None else cast(result, wanted.dtype.numpy)
        return result.clone() if wanted.copy and result is self else result

    def type_as(self: Any, other: Tensor) -> Tensor:
        """The tensor in the data type of another, on its device."""
        return self.to(other)

    def cpu(self: Any) -> Tensor:
        """The tensor on the CPU; itself if it is there."""
        return self.moved_to(None)

    def cuda(self: Any, device: Any = None, non_blocking: bool = False) -> Tensor:
        """The tensor on a GPU. Raises DeviceError where there is none."""
        return self.to("cuda" if device is None else device)

    def get_device(self: Any) -> int:
        """The number of its device; −1 on the CPU, which has none."""
        return -1 if self.device.type == "cpu" else self.device.index

    def pin_memory(self: Any, device: Any = None) -> Tensor:
        """The tensor itself: JAX takes copies to a device from any memory."""
        return self

    def share_memory_(self: Any) -> Tensor:
        """The tensor itself: threads share all memory, and other processes get copies."""
        return self

    # ------------------------------------------------------------------------------- out of tensors

    def numpy(self: Any, *, force: bool = False) -> np.ndarray[Any, Any]:
        """A NumPy array of one's own; `np.asarray(x)` gives a read-only one without copying.

        Raises GradientError if the tensor requires a gradient: NumPy would not record what is done with it; DeviceError
        if it is not on the CPU, unless the environment alone has put it elsewhere (`CHAINRULE_DEVICE`). With `force` it
        is detached and brought there.
        """
        if self.requires_grad and not force:
            raise GradientError("numpy() of a tensor that requires a gradient; use .detach().numpy().")
        return np.array(self.read("numpy()") if force else _array_of(self, "numpy()"))

    def __array__(self: Any, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        if self.requires_grad:
            raise GradientError("NumPy does not record gradients; use .detach() on a tensor that requires them.")
        array = _array_of(self)
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
        array = self.read()
        if array.size != 1:
            raise ShapeError(f"item() reads one number, this tensor has shape {tuple(self.shape)}; use tolist().")
        return array.astype(np.float32).item() if array.dtype.kind == "V" else array.item()

    def tolist(self: Any) -> Any:
        """Nested Python lists of Python numbers.

        >>> import chainrule
        >>> chainrule.tensor([[1, 2], [3, 4]]).tolist()
        [[1, 2], [3, 4]]
        """
        array = self.read()
        return array.astype(np.float32).tolist() if array.dtype.kind == "V" else array.tolist()

    def __bool__(self: Any) -> bool:
        if self.value.array.size != 1:
            raise ShapeError(
                f"a tensor of shape {tuple(self.shape)} is neither true nor false; use .any() or .all(), "
                "and & or | instead of `and` and `or`."
            )
        return bool(self.read().item())

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


def _conversion(dtype: dtypes.DType) -> Callable[[Any], Tensor]:
    def convert(self: Any) -> Tensor:
        return cast(self, dtype.numpy)

    convert.__name__ = dtype.name
    convert.__doc__ = f"The tensor as {dtype!r}."
    return convert


class Types:
    """`x.float()`, `x.long()`, …: the tensor in another data type."""

    double, float, half, bfloat16 = (
        _conversion(d) for d in (dtypes.float64, dtypes.float32, dtypes.float16, dtypes.bfloat16)
    )
    long, int, short, char = (_conversion(d) for d in (dtypes.int64, dtypes.int32, dtypes.int16, dtypes.int8))
    byte, bool = (_conversion(d) for d in (dtypes.uint8, dtypes.bool_))


def _array_of(tensor: Any, purpose: str = "") -> np.ndarray[Any, Any]:
    """The entries for NumPy; a script that does not know where its tensors are need not bring them."""
    unknown = not tensor.is_cpu and default_of_environment() is not None
    found: np.ndarray[Any, Any] = tensor.read(purpose) if unknown else tensor.array_for(purpose)
    return found
