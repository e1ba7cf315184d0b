"""Parameters and buffers whose shape is not known yet. A lazy module makes them, its first input gives them a shape."""

from __future__ import annotations

from typing import Any, TypeGuard

from chainrule.functions.creation import zeros
from chainrule.primitives.value import Value
from chainrule.tensor import Buffer, Parameter, Tensor


class _Uninitialized(Tensor):
    """What both share."""

    def materialize(self, shape: Any, device: Any = None, dtype: Any = None) -> None:
        """Become an ordinary one of this shape, filled with zeros. The object stays the same, so optimisers keep it."""
        empty = zeros(tuple(shape), device=device, dtype=dtype or self.dtype)  # `.double()` may have come in between
        self._value = Value(empty.value.array, self._value.source)
        object.__setattr__(self, "__class__", Parameter if isinstance(self, Parameter) else Tensor)

    def detach(self) -> Tensor:
        """Itself: there are no values yet. So a state_dict says that the shape is not known."""
        return self

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


class UninitializedParameter(_Uninitialized, Parameter):
    """A parameter whose shape is not known yet; `materialize(shape)` makes it an ordinary one.

    >>> p = UninitializedParameter()
    >>> p
    <UninitializedParameter>
    >>> p.materialize((2, 3)); p.shape
    Size([2, 3])
    """

    def __init__(self, requires_grad: bool = True, device: Any = None, dtype: Any = None) -> None:
        Parameter.__init__(self, zeros(0, device=device, dtype=dtype), requires_grad)


class UninitializedBuffer(_Uninitialized, Buffer):
    """A buffer whose shape is not known yet; `materialize(shape)` makes it an ordinary one.

    >>> b = UninitializedBuffer()
    >>> b.materialize((2,)); b
    tensor([0., 0.])
    """

    def __init__(
        self, requires_grad: bool = False, device: Any = None, dtype: Any = None, persistent: bool = True
    ) -> None:
        Buffer.__init__(self, zeros(0, device=device, dtype=dtype), persistent=persistent)


def is_uninitialized(thing: Any) -> TypeGuard[_Uninitialized]:
    """Whether it is a parameter or buffer without a shape."""
    return isinstance(thing, _Uninitialized)
