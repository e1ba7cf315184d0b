"""What a tensor says of itself: its size, where it is, how it prints; and its transposes."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from chainrule import dtypes
from chainrule.devices import CPU, Device
from chainrule.errors import ShapeError
from chainrule.functions import dimensions, shape
from chainrule.functions.words import teach
from chainrule.primitives.placed import on_host, place_of
from chainrule.primitives.value import Symbol

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


@functools.partial(teach, out=False)
class Facts:
    """`x.size()`, `x.numel()`, `x.device`, `x.T` and their like."""

    is_mps, is_xpu, is_meta = False, False, False
    is_sparse, is_quantized, is_nested = False, False, False

    # ------------------------------------------------------------------------------------- facts

    def size(self: Any, dim: int | None = None) -> Any:
        """The shape, or one of its extents."""
        return self.shape if dim is None else self.shape[dimensions.axis_of(dim, self.ndim, "size")]

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
        """Where the entries are."""
        place = place_of(self.value.array)
        return CPU if place is None else place.device

    @property
    def is_cpu(self: Any) -> bool:
        """Whether the entries are on the CPU."""
        return bool(place_of(self.value.array) is None)

    @property
    def is_cuda(self: Any) -> bool:
        """Whether the entries are on a GPU."""
        return bool(self.device.type == "cuda")

    @property
    def is_xla(self: Any) -> bool:
        """Whether the entries are on JAX's CPU device."""
        return bool(self.device.type == "xla")

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


def describe(tensor: Any) -> str:
    """How a tensor prints: as PyTorch's, with its data type where that is not the usual one, and its record."""
    from chainrule import printing

    array = tensor.value.array
    if isinstance(array, Symbol):
        return f"tensor(traced, {array!r})"
    suffixes = [] if tensor.is_cpu else [f"device='{tensor.device}'"]
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
    return printing.format_tensor(on_host(array), suffixes)
