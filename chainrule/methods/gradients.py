"""A tensor and the computation that made it: the backward pass, and ways out of the record."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from chainrule.autodiff.backward import backward
from chainrule.cell import ViewStep
from chainrule.functions import shape
from chainrule.functions.words import teach
from chainrule.primitives.value import Value
from chainrule.state import current_state

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


@functools.partial(teach, out=False)
class GradientMethods:
    """`x.backward()`, `x.data`, `x.detach_()`; the gradient itself belongs to the cell."""

    def backward(
        self: Any,
        gradient: Any = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: Any = None,
    ) -> None:
        """Add the gradient of this tensor with respect to every leaf to the leaf's `.grad`.

        Args:
            gradient: the upstream gradient, of this tensor's shape; may be left out for a single number (then 1).
            retain_graph: keep what the operations saved, for another backward pass (default: as `create_graph`).
            create_graph: record the backward pass, so that the gradients can be differentiated again.
            inputs: collect into these tensors only.

        Raises:
            GradientError: if nothing requires a gradient, if this is no single number and `gradient` is missing, or
                if the graph was freed by an earlier backward pass.

        >>> import chainrule
        >>> x = chainrule.tensor([1.0, 2.0, 3.0], requires_grad=True)
        >>> (x ** 2).sum().backward()
        >>> x.grad
        tensor([2., 4., 6.])
        """
        backward(self, None if gradient is None else (gradient,), retain_graph, create_graph, inputs=inputs)

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

    @property
    def retains_grad(self: Any) -> bool:
        """Whether `retain_grad` was called on the result of an operation."""
        source = self.value.source
        return bool(self.grad_fn is not None and source[1] in (source[0].kept or {}))
