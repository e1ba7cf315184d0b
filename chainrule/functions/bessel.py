"""The modified Bessel functions of the first kind, orders 0 and 1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainrule.functions.promotion import as_floating, in_float32, need_tensor, rounded_as
from chainrule.primitives.bessel import ScaledBessel

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


def i0e(input: Tensor) -> Tensor:
    """e^(−|x|)·I₀(x), which stays a number where I₀ itself is too large for one.

    >>> import chainrule
    >>> chainrule.special.i0e(chainrule.tensor([0.0, 1.0, 1000.0]))
    tensor([1.0000, 0.4658, 0.0126])
    """
    return ScaledBessel.apply(as_floating(need_tensor(input, "i0e")), order=0)


def i1e(input: Tensor) -> Tensor:
    """e^(−|x|)·I₁(x).

    >>> import chainrule
    >>> chainrule.special.i1e(chainrule.tensor([0.0, 1.0]))
    tensor([0.0000, 0.2079])
    """
    return ScaledBessel.apply(as_floating(need_tensor(input, "i1e")), order=1)


def i0(input: Tensor) -> Tensor:
    """I₀(x) = 1/π·∫ e^(x·cos θ) dθ over [0, π].

    >>> import chainrule
    >>> chainrule.special.i0(chainrule.tensor([0.0, 1.0]))
    tensor([1.0000, 1.2661])
    """
    x = as_floating(input)
    wide = in_float32(x)
    return rounded_as(x, i0e(wide) * wide.abs().exp())


def i1(input: Tensor) -> Tensor:
    """I₁(x), the derivative of I₀.

    >>> import chainrule
    >>> chainrule.special.i1(chainrule.tensor([0.0, 1.0]))
    tensor([0.0000, 0.5652])
    """
    x = as_floating(input)
    wide = in_float32(x)
    return rounded_as(x, i1e(wide) * wide.abs().exp())
