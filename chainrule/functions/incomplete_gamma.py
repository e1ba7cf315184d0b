"""The incomplete gamma function, and how a gamma-distributed number moves with its parameter.

P(a, x) = 1/Γ(a)·∫₀ˣ tᵃ⁻¹·e⁻ᵗ dt is the probability that a gamma-distributed number with concentration a (and rate 1) is
at most x, and Q = 1 − P. Below x = a + 1 the series

    P = p·(x/a)·S,   S = 1 + x/(a + 1) + x²/((a + 1)(a + 2)) + …

converges quickly (p is the density at x), above it the continued fraction

    Q = p·x·h,       h = 1/(x + 1 − a − 1·(1 − a)/(x + 3 − a − 2·(2 − a)/(x + 5 − a − …)))

does. The *slope* is dx/da at a fixed probability: −(∂P/∂a)/p, for which the derivatives of S and h by a are carried
along. There p has been divided out, so nothing overflows.

Sources: Abramowitz and Stegun, *Handbook of Mathematical Functions* (1964), 6.5.29 and 6.5.31; W. J. Lentz, "Generating
Bessel functions in Mie scattering calculations using continued fractions", Applied Optics 15 (1976); M. Figurnov,
S. Mohamed and A. Mnih, "Implicit reparameterization gradients", 2018.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from chainrule.autodiff.block import block
from chainrule.errors import GradientError
from chainrule.functions.gamma import lgamma
from chainrule.functions.promotion import broadcast, promote
from chainrule.primitives.gamma import log_gamma, poly_gamma
from chainrule.primitives.numpy_function import by_numpy
from chainrule.primitives.value import Array

if TYPE_CHECKING:
    from chainrule.tensor import Tensor

_EPSILON = 1e-16
_TINY = 1e-300


def _series(a: Array, x: Array) -> tuple[Array, Array]:
    """S and dS/da."""
    term, total = np.ones_like(x), np.ones_like(x)
    slope, total_slope = np.zeros_like(x), np.zeros_like(x)  # of the logarithm of the term, and of the sum
    n = 0
    while (np.abs(term) * (1 - slope) > _EPSILON * total).any():
        n += 1
        term = term * (x / (a + n))
        slope = slope - 1 / (a + n)
        total = total + term
        total_slope = total_slope + term * slope
    return total, total_slope


def _fraction(a: Array, x: Array) -> tuple[Array, Array]:
    """h and dh/da, by Lentz's method: h = Π cₙ·dₙ, with the derivative of each factor carried along."""
    b = x + 1 - a
    c, c_slope = 1 / np.full_like(b, _TINY), np.zeros_like(b)
    d, d_slope = 1 / b, 1 / (b * b)
    h, h_slope = d, d_slope
    n, moving = 0, True
    while moving:
        n += 1
        numerator, numerator_slope = -n * (n - a), float(n)
        b = b + 2  # its slope is −1
        d_bottom = numerator * d + b
        d_bottom_slope = numerator_slope * d + numerator * d_slope - 1
        c_slope = (numerator_slope - numerator * c_slope / c) / c - 1
        c = b + numerator / c
        d = 1 / np.where(np.abs(d_bottom) < _TINY, _TINY, d_bottom)
        d_slope = -d_bottom_slope * d * d
        factor, factor_slope = c * d, c_slope * d + c * d_slope
        h_slope = h_slope * factor + h * factor_slope
        h = h * factor
        moved = np.abs(factor - 1) + np.abs(factor_slope) > 1e-15 * (1 + np.abs(h_slope / h))
        moving = bool(moved.any())
        if n > 10_000_000:
            raise ArithmeticError("the continued fraction of the incomplete gamma function does not converge.")
    return h, h_slope


def _parts(a: Array, x: Array) -> tuple[Array, Array, Array, Array]:
    """Flat float64 arrays, and where the series and the fraction are used; elsewhere (0, ∞, NaN) neither is."""
    flat_a, flat_x = (np.asarray(z, np.float64).reshape(-1) for z in (a, x))
    inside = (flat_a > 0) & (flat_a < np.inf) & (flat_x > 0) & (flat_x < np.inf)
    low = inside & (flat_x < flat_a + 1)
    return flat_a, flat_x, low, inside & ~low


@np.errstate(all="ignore")  # infinities and NaN are results here
def incomplete_gamma(a: Array, x: Array, upper: bool) -> Array:
    """P(a, x), or Q(a, x) with `upper`; NaN outside of a > 0, x ≥ 0."""
    flat_a, flat_x, low, high = _parts(a, x)
    # At x = 0 and ∞ the probability is plain; a = 0 has all its mass at 0, a = ∞ at ∞.
    probability = np.where(flat_x == 0, 0.0, np.where(np.isinf(flat_x) & (flat_x > 0), 1.0, np.nan))
    probability = np.where((flat_a == 0) & (flat_x > 0), 1.0, np.where(flat_a >= 0, probability, np.nan))
    probability = np.where(np.isinf(flat_a) & (flat_a > 0) & (flat_x >= 0) & (flat_x < np.inf), 0.0, probability)
    result = 1 - probability if upper else probability
    density = np.exp(flat_a * np.log(flat_x) - flat_x - log_gamma(flat_a))  # times x
    below = (density / flat_a)[low] * _series(flat_a[low], flat_x[low])[0]
    above = density[high] * _fraction(flat_a[high], flat_x[high])[0]
    result[low], result[high] = (1 - below, above) if upper else (below, 1 - above)
    return result.reshape(np.shape(x))


@np.errstate(all="ignore")
def slope_of_quantile(a: Array, x: Array) -> Array:
    """dx/da where P(a, x) stays what it is; 0 at x = 0, NaN outside."""
    flat_a, flat_x, low, high = _parts(a, x)
    result = np.where(flat_x == 0, 0.0, np.full_like(flat_x, np.nan))
    for where, part, first, sign in ((low, _series, 1.0, -1.0), (high, _fraction, 0.0, 1.0)):
        b, y = flat_a[where], flat_x[where]
        value, slope = part(b, y)
        change = value * (np.log(y) - poly_gamma(b + first, 0)) + slope
        result[where] = sign * change * (y / b if first else y)
    return result.reshape(np.shape(x))


@block
def gamma_slope(a: Tensor, x: Tensor) -> Tensor:
    """dx/da of tensors of one shape. It cannot be differentiated again, and says so."""
    return by_numpy(slope_of_quantile, a, x, forms=[(x.value.array.shape, x.value.array.dtype)])[0]


@gamma_slope.gradient
def _(g: Tensor, a: Tensor, x: Tensor) -> Tensor:
    raise GradientError(
        "the second derivative of the incomplete gamma function (or of a gamma, beta or Dirichlet sample) by its "
        "parameter is not there; detach the parameter where only the first one is meant."
    )


@block
def _probability(a: Tensor, x: Tensor, upper: bool) -> Tensor:
    form = (x.value.array.shape, x.value.array.dtype)
    return by_numpy(incomplete_gamma, a, x, forms=[form], upper=upper)[0]


@_probability.gradient
def _(g: Tensor, a: Tensor, x: Tensor, upper: bool) -> tuple[Tensor | None, Tensor]:
    density = ((a - 1) * x.log() - x - lgamma(a)).exp()
    by_x = -g * density if upper else g * density
    return -by_x * gamma_slope(a, x) if a.requires_grad else None, by_x


def gammainc(input: Tensor, other: Tensor) -> Tensor:
    """P(a, x) = 1/Γ(a)·∫₀ˣ tᵃ⁻¹·e⁻ᵗ dt, the regularised lower incomplete gamma function; a = input, x = other.

    Both arguments have a gradient (PyTorch's only has the one in x). NaN for a < 0 or x < 0.

    >>> import chainrule
    >>> chainrule.special.gammainc(chainrule.tensor([1.0, 2.0]), chainrule.tensor([1.0, 1.0]))  # 1 − 1/e, 1 − 2/e
    tensor([0.6321, 0.2642])
    """
    return _incomplete(input, other, upper=False)


def gammaincc(input: Tensor, other: Tensor) -> Tensor:
    """Q(a, x) = 1 − P(a, x), the regularised upper incomplete gamma function, exact where it is small.

    >>> import chainrule
    >>> chainrule.special.gammaincc(chainrule.tensor([1.0, 1.0]), chainrule.tensor([1.0, 40.0]))
    tensor([3.6788e-01, 4.2484e-18])
    """
    return _incomplete(input, other, upper=True)


def _incomplete(input: Tensor, other: Tensor, upper: bool) -> Tensor:
    a, x = broadcast(*promote(input, other, floating=True))
    return _probability(a, x, upper)


#: PyTorch's other names.
igamma, igammac = gammainc, gammaincc
