"""Padding layers: `functional.pad` with its settings, one class for each kind and number of dimensions."""

from __future__ import annotations

from typing import Any, ClassVar

from chainrule.errors import ShapeError
from chainrule.functions.promotion import need_tensor
from chainrule.nn.module import Module
from chainrule.nn.padding.functions import pad
from chainrule.tensor import Tensor


class _Pad(Module):
    """What the padding layers share. `padding` is a number, or (before, after) from the last dimension on."""

    dimensions: ClassVar[int] = 0
    mode: ClassVar[str] = "constant"
    value: float | None = None

    def __init__(self, padding: Any) -> None:
        super().__init__()
        n = 2 * self.dimensions
        self.padding = tuple(padding) if isinstance(padding, (tuple, list)) else (padding,) * n
        if len(self.padding) != n or not all(isinstance(p, int) for p in self.padding):
            raise ShapeError(f"padding is an integer or {n} of them, got {padding!r}.")

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        x = need_tensor(input, type(self).__name__)
        if x.ndim not in (self.dimensions + 1, self.dimensions + 2) and self.mode != "constant":
            axes = ", ".join("DHW"[3 - self.dimensions :]) if self.dimensions > 1 else "L"
            raise ShapeError(f"takes (N, C, {axes}) or (C, {axes}), got {tuple(x.shape)}.")
        return pad(x, self.padding, self.mode, self.value)

    def extra_repr(self) -> str:
        """The padding."""
        return f"{self.padding}"


class _ConstantPad(_Pad):
    """A constant around; `value` is what stands there."""

    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def extra_repr(self) -> str:
        """The padding and its value."""
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPad):
    """(N, C, L) with a constant around; also without N.

    >>> import chainrule
    >>> ConstantPad1d(1, 7.0)(chainrule.ones(1, 1, 3)).shape
    Size([1, 1, 5])
    """

    dimensions = 1


class ConstantPad2d(_ConstantPad):
    """(N, C, H, W) with a constant around; also without N.

    >>> import chainrule
    >>> ConstantPad2d(1, 7.0)(chainrule.ones(1, 1, 3, 3)).shape
    Size([1, 1, 5, 5])
    """

    dimensions = 2


class ConstantPad3d(_ConstantPad):
    """(N, C, D, H, W) with a constant around; also without N.

    >>> import chainrule
    >>> ConstantPad3d(1, 7.0)(chainrule.ones(1, 1, 3, 3, 3)).shape
    Size([1, 1, 5, 5, 5])
    """

    dimensions = 3


class ZeroPad1d(_Pad):
    """(N, C, L) with zeros around; also without N.

    >>> import chainrule
    >>> ZeroPad1d(1)(chainrule.ones(1, 1, 3)).shape
    Size([1, 1, 5])
    """

    dimensions = 1
    value = 0.0


class ZeroPad2d(_Pad):
    """(N, C, H, W) with zeros around; also without N.

    >>> import chainrule
    >>> ZeroPad2d(1)(chainrule.ones(1, 1, 3, 3)).shape
    Size([1, 1, 5, 5])
    """

    dimensions = 2
    value = 0.0


class ZeroPad3d(_Pad):
    """(N, C, D, H, W) with zeros around; also without N.

    >>> import chainrule
    >>> ZeroPad3d(1)(chainrule.ones(1, 1, 3, 3, 3)).shape
    Size([1, 1, 5, 5, 5])
    """

    dimensions = 3
    value = 0.0


class ReflectionPad1d(_Pad):
    """(N, C, L) with the entries mirrored at the edge, which is not repeated around; also without N.

    >>> import chainrule
    >>> ReflectionPad1d(1)(chainrule.ones(1, 1, 3)).shape
    Size([1, 1, 5])
    """

    dimensions = 1
    mode = "reflect"


class ReflectionPad2d(_Pad):
    """(N, C, H, W) with the entries mirrored at the edge, which is not repeated around; also without N.

    >>> import chainrule
    >>> ReflectionPad2d(1)(chainrule.ones(1, 1, 3, 3)).shape
    Size([1, 1, 5, 5])
    """

    dimensions = 2
    mode = "reflect"


class ReflectionPad3d(_Pad):
    """(N, C, D, H, W) with the entries mirrored at the edge, which is not repeated around; also without N.

    >>> import chainrule
    >>> ReflectionPad3d(1)(chainrule.ones(1, 1, 3, 3, 3)).shape
    Size([1, 1, 5, 5, 5])
    """

    dimensions = 3
    mode = "reflect"


class ReplicationPad1d(_Pad):
    """(N, C, L) with the edge repeated around; also without N.

    >>> import chainrule
    >>> ReplicationPad1d(1)(chainrule.ones(1, 1, 3)).shape
    Size([1, 1, 5])
    """

    dimensions = 1
    mode = "replicate"


class ReplicationPad2d(_Pad):
    """(N, C, H, W) with the edge repeated around; also without N.

    >>> import chainrule
    >>> ReplicationPad2d(1)(chainrule.ones(1, 1, 3, 3)).shape
    Size([1, 1, 5, 5])
    """

    dimensions = 2
    mode = "replicate"


class ReplicationPad3d(_Pad):
    """(N, C, D, H, W) with the edge repeated around; also without N.

    >>> import chainrule
    >>> ReplicationPad3d(1)(chainrule.ones(1, 1, 3, 3, 3)).shape
    Size([1, 1, 5, 5, 5])
    """

    dimensions = 3
    mode = "replicate"


class CircularPad1d(_Pad):
    """(N, C, L) with the entries from the other end around; also without N.

    >>> import chainrule
    >>> CircularPad1d(1)(chainrule.ones(1, 1, 3)).shape
    Size([1, 1, 5])
    """

    dimensions = 1
    mode = "circular"


class CircularPad2d(_Pad):
    """(N, C, H, W) with the entries from the other end around; also without N.

    >>> import chainrule
    >>> CircularPad2d(1)(chainrule.ones(1, 1, 3, 3)).shape
    Size([1, 1, 5, 5])
    """

    dimensions = 2
    mode = "circular"


class CircularPad3d(_Pad):
    """(N, C, D, H, W) with the entries from the other end around; also without N.

    >>> import chainrule
    >>> CircularPad3d(1)(chainrule.ones(1, 1, 3, 3, 3)).shape
    Size([1, 1, 5, 5, 5])
    """

    dimensions = 3
    mode = "circular"


class RandomPad1d(_Pad):
    """(N, C, L) with standard normal numbers, drawn anew for each call, around; also without N.

    >>> import chainrule
    >>> RandomPad1d(1)(chainrule.ones(1, 1, 3)).shape
    Size([1, 1, 5])
    """

    dimensions = 1
    mode = "random"


class RandomPad2d(_Pad):
    """(N, C, H, W) with standard normal numbers, drawn anew for each call, around; also without N.

    >>> import chainrule
    >>> RandomPad2d(1)(chainrule.ones(1, 1, 3, 3)).shape
    Size([1, 1, 5, 5])
    """

    dimensions = 2
    mode = "random"


class RandomPad3d(_Pad):
    """(N, C, D, H, W) with standard normal numbers, drawn anew for each call, around; also without N.

    >>> import chainrule
    >>> RandomPad3d(1)(chainrule.ones(1, 1, 3, 3, 3)).shape
    Size([1, 1, 5, 5, 5])
    """

    dimensions = 3
    mode = "random"
