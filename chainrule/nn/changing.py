"""What changes a module and all below it at once: training or evaluation, gradients, the data type."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Self

from chainrule.changes import fields_of, note_change
from chainrule.errors import ChainruleError, DTypeError
from chainrule.functions.creation import zeros_like
from chainrule.methods.conversions import wishes
from chainrule.primitives.value import Value
from chainrule.tensor import Parameter, Tensor


class ChangingMethods:
    """The part of `Module` that walks over all parts and changes each."""

    children: Callable[[], Iterator[Any]]
    parameters: Callable[..., Iterator[Parameter]]
    buffers: Callable[..., Iterator[Tensor]]
    stays_in_evaluation: bool

    def apply(self, fn: Callable[[Any], Any]) -> Self:
        """Call `fn` on every module below and on this one, parts first."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def train(self, mode: bool = True) -> Self:
        """Switch to training mode (dropout drops, batch norm uses the batch), here and below."""
        if not isinstance(mode, bool):
            raise ValueError(f"train(mode) takes True or False, got {mode!r}.")
        fields, wanted = fields_of(self), mode and not self.stays_in_evaluation
        if fields.get("training") is not wanted:
            note_change(self, "training")
            fields["training"] = wanted
        for module in self.children():
            module.train(mode)  # which its class may say in its own way, to keep some layers frozen
        return self

    def eval(self) -> Self:
        """Switch to evaluation mode, here and below."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Want gradients for all parameters (or freeze them)."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters (or fill them with zeros)."""
        for parameter in self.parameters():
            clear_gradient(parameter, set_to_none)

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Take parameters, their gradients and buffers to a device or a data type (or both), in place.

        Integers keep their type. The parameters stay the same objects, so an optimiser that has them follows. Raises
        DTypeError for a type that is no floating point, and DeviceError for a device that is not there.

        >>> import chainrule
        >>> chainrule.nn.Linear(2, 1).to(chainrule.float64).weight.dtype
        chainrule.float64
        """
        wanted = wishes(*args, **kwargs)
        if wanted.dtype is not None and not wanted.dtype.is_floating_point:
            raise DTypeError(f"parameters are floating-point numbers; a module cannot be converted to {wanted.dtype}.")
        return self._apply(
            lambda x: x.to(dtype=wanted.dtype if x.dtype.is_floating_point else None, device=wanted.device)
        )

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Put what `fn` makes of each parameter, gradient and buffer in its place, parts first.

        A class that keeps other tensors converts them in a method of this name, beside calling this one.
        """
        for module in self.children() if recurse else ():
            module._apply(fn)
        for tensor in (*self.parameters(recurse=False), *self.buffers(recurse=False)):
            old, gradient = tensor.detach(), tensor.kept_grad
            new = fn(old)
            if new is not old:
                tensor.data = new
            if gradient is not None:
                tensor.grad = fn(gradient)
        return self

    def float(self) -> Self:
        """To float32."""
        return self.to("float32")

    def double(self) -> Self:
        """To float64."""
        return self.to("float64")

    def half(self) -> Self:
        """To float16."""
        return self.to("float16")

    def bfloat16(self) -> Self:
        """To bfloat16."""
        return self.to("bfloat16")

    def type(self, dst_type: Any) -> Self:
        """To a data type, as `to`."""
        return self.to(dst_type)

    def to_empty(self, *, device: Any, recurse: bool = True) -> Self:
        """The module on a device, as `to`: its entries are kept there."""
        return self.to(device)

    def cpu(self) -> Self:
        """To the CPU."""
        return self.to("cpu")

    def cuda(self, device: Any = None) -> Self:
        """To a GPU. Raises DeviceError where there is none."""
        return self.to("cuda" if device is None else device)

    def share_memory(self) -> Self:
        """Raises ChainruleError: tensors are never shared with other processes, which would train copies."""
        raise ChainruleError(
            "share_memory: a process gets copies of tensors, so what it learns would not be seen here. Train in one "
            "process (compiled steps use all cores), or send results back through a multiprocessing.Queue."
        )


def clear_gradient(parameter: Tensor, set_to_none: bool) -> None:
    """Forget a gradient, or fill it with zeros."""
    nothing = zeros_like(parameter) if not set_to_none else None
    if nothing is None:
        parameter.grad = None
    elif parameter._leaf is not None and parameter._leaf.spent:
        parameter.grad = nothing
    elif parameter.grad is not None:
        parameter.grad.put_value(Value(nothing.value.array))
