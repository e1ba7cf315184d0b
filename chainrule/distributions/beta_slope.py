"""How a beta-distributed number moves with its first parameter while its probability stays what it is.

With the distribution function I(x; a, b) and the density p, dx/da = −(∂I/∂a)/p. Below x = (a + 1)/(a + b + 2)

    I = p·x·(1 − x)/a · F(a, b, x),   F a continued fraction,

and above it I(x; a, b) = 1 − I(1 − x; b, a). The derivative of F is carried along with its value.

Sources: Abramowitz and Stegun, *Handbook of Mathematical Functions* (1964), 26.5.8; M. Jankowiak and F. Obermeyer,
"Pathwise derivatives beyond the reparameterization trick", 2018 (the gradient of a Dirichlet sample from that of its
marginals, which are beta-distributed).
"""

from __future__ import annotations

import numpy as np

from chainrule.autodiff.block import block
from chainrule.errors import GradientError
from chainrule.primitives.gamma import poly_gamma
from chainrule.primitives.numpy_function import by_numpy
from chainrule.primitives.value import Array
from chainrule.tensor import Tensor


def _fraction(a: Array, b: Array, x: Array, by_first: bool) -> tuple[Array, Array]:
    """F(a, b, x) and its derivative by a, or by b; by Lentz's method."""
    zero = np.zeros_like(x)
    c, c_slope = np.ones_like(x), zero
    bottom = 1 - (a + b) * x / (a + 1)
    bottom_slope = (-x / (a + 1) + (a + b) * x / (a + 1) ** 2) if by_first else -x / (a + 1)
    d, d_slope = 1 / bottom, -bottom_slope / bottom**2
    value, slope = d, d_slope
    m, moving = 0, True
    while moving:
        m += 1
        even = m * (b - m) * x / ((a - 1 + 2 * m) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 1 + 2 * m))
        if by_first:
            even_slope = -even * (1 / (a - 1 + 2 * m) + 1 / (a + 2 * m))
            odd_slope = odd * (1 / (a + m) + 1 / (a + b + m) - 1 / (a + 2 * m) - 1 / (a + 1 + 2 * m))
        else:
            even_slope = m * x / ((a - 1 + 2 * m) * (a + 2 * m))
            odd_slope = odd / (a + b + m)
        moving = False
        for numerator, numerator_slope in ((even, even_slope), (odd, odd_slope)):
            d_slope = numerator_slope * d + numerator * d_slope
            d = 1 / (1 + numerator * d)
            d_slope = -d_slope * d * d
            c_slope = (numerator_slope - numerator * c_slope / c) / c
            c = 1 + numerator / c
            factor, factor_slope = c * d, c_slope * d + c * d_slope
            slope = slope * factor + value * factor_slope
            value = value * factor
            moved = np.abs(factor - 1) + np.abs(factor_slope) > 1e-15 * (1 + np.abs(slope / value))
            moving = moving or bool(moved.any())
        if m > 1_000_000:
            raise ArithmeticError("the continued fraction of the incomplete beta function does not converge.")
    return value, slope


@np.errstate(all="ignore")  # infinities and NaN are results here
def slope_of_quantile(x: Array, concentration: Array, total: Array) -> Array:
    """(dx/da)/(1 − x) for x beta-distributed with a = concentration and b = total − a, b held fast.

    All of one shape. An entry xᵢ of a Dirichlet sample is such a number, and ∂xₖ/∂aᵢ = slopeᵢ·(δᵢₖ − xₖ).
    """
    y, a, s = (np.asarray(z, np.float64).reshape(-1) for z in (x, concentration, total))
    b = s - a
    result = np.where(y == 0, 0.0, np.full_like(y, np.nan))
    inside = (a > 0) & (b > 0) & (y > 0) & (y < 1)
    low = inside & (y < (a + 1) / (s + 2))
    high = inside & ~low
    pull = np.log(y) - poly_gamma(a, 0) + poly_gamma(s, 0)
    value, slope = _fraction(a[low], b[low], y[low], by_first=True)
    result[low] = -(y / a)[low] * (value * (pull - 1 / a)[low] + slope)
    value, slope = _fraction(b[high], a[high], 1 - y[high], by_first=False)
    result[high] = (y / b)[high] * (value * pull[high] + slope)
    return result.reshape(np.shape(x))


@block
def dirichlet_slope(x: Tensor, concentration: Tensor, total: Tensor) -> Tensor:
    """The slope of tensors of one shape. It cannot be differentiated again, and says so."""
    form = (x.value.array.shape, x.value.array.dtype)
    return by_numpy(slope_of_quantile, x, concentration, total, forms=[form])[0]


@dirichlet_slope.gradient
def _(g: Tensor, x: Tensor, concentration: Tensor, total: Tensor) -> Tensor:
    raise GradientError(
        "the second derivative of a beta or Dirichlet sample by its parameters is not there; detach the sample where "
        "only the first one is meant."
    )
