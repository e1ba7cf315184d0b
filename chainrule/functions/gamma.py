"""The gamma function's logarithm and derivatives, and the inverse of the error function."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from chainrule.functions.promotion import as_floating, need_tensor
from chainrule.primitives import gamma as primitives

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


def lgamma(input: Tensor) -> Tensor:
    """ln |Γ(x)|: for whole numbers ln (x − 1)!; infinite at 0, −1, −2 and so on.

    >>> import chainrule
    >>> chainrule.lgamma(chainrule.tensor([1.0, 5.0, 0.5]))
    tensor([0.0000, 3.1781, 0.5724])
    """
    return primitives.Lgamma.apply(as_floating(need_tensor(input, "lgamma")))


def digamma(input: Tensor) -> Tensor:
    """ψ(x), the derivative of `lgamma`.

    >>> import chainrule
    >>> chainrule.digamma(chainrule.tensor([1.0, 0.5]))
    tensor([-0.5772, -1.9635])
    """
    return primitives.Polygamma.apply(as_floating(need_tensor(input, "digamma")), n=0)


def polygamma(n: int, input: Tensor) -> Tensor:
    """ψ⁽ⁿ⁾(x), the n-th derivative of `digamma`, n ≥ 0. Raises ValueError for another n.

    >>> import chainrule
    >>> chainrule.polygamma(1, chainrule.tensor([1.0, 0.5]))
    tensor([1.6449, 4.9348])
    """
    if n < 0:
        raise ValueError(f"polygamma: n counts derivatives, 0 or more, got {n}.")
    return primitives.Polygamma.apply(as_floating(need_tensor(input, "polygamma")), n=int(n))


def multigammaln(input: Tensor, p: int) -> Tensor:
    """ln of the multivariate gamma function of dimension p: p·(p − 1)/4·ln π + Σⱼ ln Γ(x + (1 − j)/2), j = 1 … p.

    Raises ValueError if p < 1.

    >>> import chainrule
    >>> chainrule.special.multigammaln(chainrule.tensor([3.0]), 2)
    tensor([1.5501])
    """
    if p < 1:
        raise ValueError(f"multigammaln: the dimension is at least 1, got {p}.")
    total: Any = sum(lgamma(input - 0.5 * j) for j in range(p))
    return total + p * (p - 1) / 4 * math.log(math.pi)


def erfinv(input: Tensor) -> Tensor:
    """x with erf(x) = input: ±∞ at ±1, NaN outside of [−1, 1].

    >>> import chainrule
    >>> chainrule.erfinv(chainrule.tensor([0.0, 0.5, -1.0]))
    tensor([0.0000, 0.4769,   -inf])
    """
    return primitives.Erfinv.apply(as_floating(need_tensor(input, "erfinv")))


def ndtri(input: Tensor) -> Tensor:
    """The number that a standard normal one stays below with this probability.

    >>> import chainrule
    >>> chainrule.special.ndtri(chainrule.tensor([0.5, 0.975]))
    tensor([0.0000, 1.9600])
    """
    return primitives.NormalQuantile.apply(as_floating(need_tensor(input, "ndtri")))
