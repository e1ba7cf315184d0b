"""Normal numbers between two bounds, by the inverse of the distribution function: one draw each, none refused."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from chainrule.functions.arithmetic import minimum
from chainrule.functions.logic import where
from chainrule.primitives.normal import (
    CENTRE_LIMIT,
    CENTRE_OFFSET,
    FAR_TAIL_LIMIT,
    FLOAT64_NORMAL,
    TAIL_OFFSET,
)
from chainrule.random import Generator, rand, randn
from chainrule.tensor import Tensor

#: Beyond this many standard deviations lies less than float64 can tell from nothing beside 1.
NEVER = 8.3
#: Below this Φ needs more range than float32 has; below the second it is no longer a normal float64.
DEEP, DEEPEST = -4.0, -37.5


def truncated_normal(
    shape: tuple[int, ...],
    low: float,
    high: float,
    dtype: str,
    generator: Generator | None = None,
    device: Any = None,
) -> Tensor:
    """Standard normal numbers given that they lie in [low, high]: x = Φ⁻¹(Φ(low) + u·(Φ(high) − Φ(low))), u uniform.

    Where both bounds are positive the mirror image is drawn, because Φ is exact to many digits near 0 and not near 1.
    dtype: "float32" or "float64"; deep in the tails the result is float64 whatever was asked.

    >>> x = truncated_normal((1000,), 3.0, 4.0, "float64")
    >>> bool(((x >= 3) & (x <= 4)).all())
    True
    """
    if low <= -NEVER and high >= NEVER:
        return randn(shape, dtype=dtype, device=device, generator=generator)
    if low > 0:
        return -truncated_normal(shape, -high, -low, dtype, generator, device)
    if high < DEEPEST:
        return _exponential_tail(shape, low, high, dtype, generator, device)
    if high < DEEP:
        dtype = "float64"
    first, last = _below(low), _below(high)
    u = rand(shape, dtype=dtype, device=device, generator=generator)
    return normal_quantile(u * (last - first) + first).clamp(low, high)


def _below(x: float) -> float:
    """Φ(x), exact to many digits for negative x too."""
    return math.erfc(-x / math.sqrt(2)) / 2


def _exponential_tail(
    shape: tuple[int, ...], low: float, high: float, dtype: str, generator: Generator | None, device: Any
) -> Tensor:
    """Deep in the tail the density falls from `high` like exp(−|high|·distance): its error there is below 1/high²."""
    u = rand(shape, dtype=dtype, device=device, generator=generator)
    share = -math.expm1(high * (high - low))  # of the exponential distribution, how much lies above `low`
    return ((-u * share).log1p() / -high + high).clamp(low, high)


def normal_quantile(p: Tensor) -> Tensor:
    """Φ⁻¹(p): below which x a standard normal number lies with probability p in (0, 1).

    Source: Wichura, "Algorithm AS 241: the percentage points of the normal distribution", 1988. Relative error about
    1e-16 in float64, for p from 1e-300; float32 to its own precision.

    >>> import chainrule
    >>> normal_quantile(chainrule.tensor([0.025, 0.5, 0.975]))
    tensor([-1.9600,  0.0000,  1.9600])
    """
    recipe = FLOAT64_NORMAL
    tiny, rounding = (1e-300, 1e-16) if p.dtype.itemsize == 8 else (1e-37, 6e-8)
    p = p.clamp(tiny, 1 - rounding)
    middle = p - 0.5
    centre = middle * _ratio(recipe.centre, CENTRE_OFFSET - middle * middle)
    root = (-minimum(p, 1 - p).log()).sqrt()
    tail = _ratio(recipe.tail, root - TAIL_OFFSET)
    if recipe.far_tail is not None:
        tail = where(root > FAR_TAIL_LIMIT, _ratio(recipe.far_tail, root - FAR_TAIL_LIMIT), tail)
    return where(middle.abs() <= CENTRE_LIMIT, centre, tail * middle.sign())


def _ratio(coefficients: tuple[tuple[float, ...], tuple[float, ...]], x: Tensor) -> Tensor:
    """One polynomial over another, constant terms first, by Horner's rule."""
    numerator, denominator = (_polynomial(row, x) for row in coefficients)
    return numerator / denominator


def _polynomial(coefficients: Sequence[float], x: Tensor) -> Tensor:
    result = x * coefficients[-1]
    for coefficient in coefficients[-2:0:-1]:
        result = (result + coefficient) * x
    return result + coefficients[0]
