"""A tensor in another form: of another data type, as a NumPy array, as numbers of Python."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule import dtypes
from chainrule.cell import TensorCell
from chainrule.devices import Device, need_cpu
from chainrule.errors import DTypeError, GradientError, ShapeError
from chainrule.functions import logic
from chainrule.functions.promotion import cast
from chainrule.functions.words import teach

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


@functools.partial(teach, out=False)
class Conversions:
    """`x.to(…)`, `x.numpy()`, `x.item()`, and how Python reads a tensor."""

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
