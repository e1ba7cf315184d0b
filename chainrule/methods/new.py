"""New tensors in the data type, and on the device, of one that is there."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from chainrule.functions.creation import from_sizes_or_data, full, read_shape, tensor, zeros
from chainrule.functions.words import teach

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


@functools.partial(teach, out=False)
class NewTensors:
    """`x.new_zeros(…)`, `x.new_tensor(…)` and their like."""

    def new_zeros(self: Any, *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
        """Zeros of the given shape in this tensor's data type."""
        dtype, device = self.dtype if dtype is None else dtype, self.device if device is None else device
        return zeros(*size, dtype=dtype, device=device, requires_grad=requires_grad)

    new_empty = new_zeros

    def new_ones(self: Any, *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
        """Ones of the given shape in this tensor's data type."""
        shape = read_shape(size, "new_ones")
        return self.new_full(shape, 1, dtype=dtype, device=device, requires_grad=requires_grad)

    def new_full(
        self: Any, size: Any, fill_value: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False
    ) -> Tensor:
        """The same number everywhere, of the given shape in this tensor's data type."""
        dtype, device = self.dtype if dtype is None else dtype, self.device if device is None else device
        return full(size, fill_value, dtype=dtype, device=device, requires_grad=requires_grad)

    def new_tensor(self: Any, data: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
        """A tensor of the data in this tensor's data type."""
        dtype, device = self.dtype if dtype is None else dtype, self.device if device is None else device
        return tensor(data, dtype=dtype, device=device, requires_grad=requires_grad)

    def new(self: Any, *data: Any) -> Tensor:
        """The older way: zeros of a shape, or the entries of a list or tensor, in this tensor's data type.

        >>> import chainrule
        >>> chainrule.ones(1).new(2, 1).shape, chainrule.ones(1).new([2])
        (Size([2, 1]), tensor([2.]))
        """
        return from_sizes_or_data(data, self.dtype).to(self.device)
