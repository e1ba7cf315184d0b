"""The gamma function's logarithm and its derivatives, and the inverses of the error function: NumPy lacks them.

Everything is computed in float64 and rounded once to the type of the argument. Sources: Abramowitz and Stegun,
*Handbook of Mathematical Functions* (1964), 6.1, 6.3, 6.4 and 23.2; M. J. Wichura, "Algorithm AS 241" (1988).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.primitives.kinds import Unary
from chainrule.primitives.normal import CENTRE_LIMIT, CENTRE_OFFSET, FAR_TAIL_LIMIT, FLOAT64_NORMAL, TAIL_OFFSET
from chainrule.primitives.primitive import Primitive
from chainrule.primitives.value import Array, Form

if TYPE_CHECKING:
    from chainrule.tensor import Tensor

#: Bernoulli's numbers B₂, B₄, …, in which Stirling's and Euler's series are written.
_BERNOULLI = (
    1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798, -174611 / 330,
)  # fmt: skip

#: From here on these series are exact to the last bits.
_LARGE = 10.0


def _hurwitz(s: int, x: Array) -> Array:
    """ζ(s, x) = Σₖ (x + k)⁻ˢ for x > 0: some terms, then the rest by Euler and Maclaurin's formula."""
    total = np.zeros_like(x)
    for k in range(12):
        total += (x + k) ** -s
    z = x + 12
    total += z ** (1 - s) / (s - 1) + 0.5 * z**-s
    factor = s * z ** (-s - 1)
    for j, b in enumerate(_BERNOULLI, 1):
        total += b / math.factorial(2 * j) * factor
        factor = factor * ((s + 2 * j - 1) * (s + 2 * j)) / (z * z)
    return total


#: (ζ(k) − 1) / k with alternating signs, k = 2, 3, …: the coefficients of ln Γ(2 + z) − (1 − γ)·z in powers of z.
_AROUND_TWO = tuple(float((-1) ** k * _hurwitz(k, np.array(2.0)) / k) for k in range(2, 40))


def _around_two(z: Array) -> Array:
    """ln Γ(2 + z) for |z| ≤ ½; exact near its root at 0 too."""
    return z * ((1 - np.euler_gamma) + z * np.polynomial.polynomial.polyval(z, _AROUND_TWO))


def _log_gamma_of_positive(x: Array) -> Array:
    result = np.full_like(x, np.nan)
    large = x >= _LARGE
    y = x[large]
    series = sum(b / (2 * k * (2 * k - 1)) * y ** (1.0 - 2 * k) for k, b in enumerate(_BERNOULLI[:8], 1))
    stirling = (y - 0.5) * np.log(y) - y + 0.5 * math.log(2 * math.pi) + series
    result[large] = np.where(np.isinf(y), np.inf, stirling)
    small = x < 0.5
    y = x[small]
    result[small] = _around_two(y) - np.log1p(y) - np.log(y)
    near_one = (x >= 0.5) & (x <= 1.5)
    y = x[near_one] - 1
    result[near_one] = _around_two(y) - np.log1p(y)
    middle = (x > 1.5) & ~large
    y, product = x[middle], np.ones(int(middle.sum()))
    while (above := y > 2.5).any():  # Γ(y) = (y − 1)·Γ(y − 1)
        y = np.where(above, y - 1, y)
        product = np.where(above, product * y, product)
    result[middle] = _around_two(y - 2) + np.log(product)
    return result


@np.errstate(all="ignore")  # infinities and NaN are results here
def log_gamma(x: Array) -> Array:
    """ln |Γ(x)|; infinite at 0, −1, −2 and so on.

    >>> float(log_gamma(np.array(5.0)))  # ln 24
    3.1780538303479458
    """
    exact = np.asarray(x, np.float64)
    mirrored = np.where(exact > 0, exact, 1 - exact)
    result = _log_gamma_of_positive(np.atleast_1d(mirrored)).reshape(exact.shape)
    # Γ(x)·Γ(1 − x) = π / sin πx; the distance to the next whole number is exact.
    sine = np.abs(np.sin(np.pi * (exact - np.rint(exact))))
    result = np.where(exact > 0, result, np.log(np.pi / sine) - result)
    return np.where(np.isinf(exact) | ((exact <= 0) & (exact == np.rint(exact))), np.inf, result)


@np.errstate(all="ignore")
def poly_gamma(x: Array, n: int) -> Array:
    """ψ⁽ⁿ⁾(x), the n-th derivative of ψ = (ln Γ)′.

    >>> float(poly_gamma(np.array(1.0), 1))  # π² / 6
    1.6449340668482264
    """
    exact = np.asarray(x, np.float64)
    positive = exact > 0
    mirrored = np.where(positive, exact, 1 - exact)
    if n == 0:
        result = _digamma_of_positive(mirrored)
    else:
        result = (-1) ** (n + 1) * math.factorial(n) * _hurwitz(n + 1, mirrored)
    if not positive.all():
        # ψ⁽ⁿ⁾(x) = (−1)ⁿ·ψ⁽ⁿ⁾(1 − x) − π·dⁿ/dxⁿ cot πx, a polynomial in c = cot πx: c′ = −π·(1 + c²).
        polynomial = np.polynomial.Polynomial([0.0, 1.0])
        for _ in range(n):
            polynomial = polynomial.deriv() * np.polynomial.Polynomial([-np.pi, 0.0, -np.pi])
        cotangent = 1 / np.tan(np.pi * (exact - np.rint(exact)))
        result = np.where(positive, result, (-1) ** n * result - np.pi * polynomial(cotangent))
    poles = (exact <= 0) & (exact == np.rint(exact))
    at_poles = np.where(exact == 0, -np.copysign(np.inf, exact), np.nan) if n == 0 else (-1) ** (n + 1) * np.inf
    return np.where(poles, at_poles, result)


def _digamma_of_positive(x: Array) -> Array:
    shift, y = np.zeros_like(x), x
    while (below := y < _LARGE).any():  # ψ(y) = ψ(y + 1) − 1/y
        shift = np.where(below, shift - 1 / y, shift)
        y = np.where(below, y + 1, y)
    series = sum(b / (2 * k) * y ** (-2.0 * k) for k, b in enumerate(_BERNOULLI[:8], 1))
    return np.log(y) - 0.5 / y - series + shift


def _normal_quantile(distance: Array, tail: Array) -> Array:
    """x with P(X < x) = ½ + distance, X standard normal; `tail` is ½ − |distance|, without its rounding."""

    def ratio(which: Any, z: Array) -> Array:
        above, below = (np.polynomial.polynomial.polyval(z, coefficients) for coefficients in which)
        return np.asarray(above / below)

    recipe = FLOAT64_NORMAL
    centre = distance * ratio(recipe.centre, CENTRE_OFFSET - distance * distance)
    root = np.sqrt(-np.log(tail))
    far = np.where(np.isinf(root), np.inf, ratio(recipe.far_tail, root - FAR_TAIL_LIMIT))
    outer = np.where(root <= FAR_TAIL_LIMIT, ratio(recipe.tail, root - TAIL_OFFSET), far)
    return np.where(np.abs(distance) <= CENTRE_LIMIT, centre, np.copysign(outer, distance))


class Lgamma(Unary):
    """z = ln |Γ(x)|."""

    latex = r"\ln |\Gamma(x)|"

    @staticmethod
    def evaluate(x: Array) -> Array:
        return log_gamma(x)

    @staticmethod
    def grad_x(g: Tensor, x: Tensor) -> Tensor:
        return g * Polygamma.apply(x, n=0)


class Polygamma(Primitive):
    """z = ψ⁽ⁿ⁾(x), the derivatives of ln Γ; n = 0 is the digamma function."""

    latex = r"\psi^{(n)}(x)"

    @staticmethod
    def shape(x: Array, *, n: int) -> Form:
        return x.shape, x.dtype

    @staticmethod
    def evaluate(x: Array, *, n: int) -> Array:
        return poly_gamma(x, n)

    @staticmethod
    def grad_x(g: Tensor, x: Tensor, *, n: int) -> Tensor:
        return g * Polygamma.apply(x, n=n + 1)


class Erfinv(Unary):
    """z with erf z = x: ±∞ at ±1, NaN outside."""

    latex = r"\operatorname{erf}^{-1} x"

    @staticmethod
    def evaluate(x: Array) -> Array:
        exact = np.asarray(x, np.float64)
        return _normal_quantile(exact / 2, (1 - np.abs(exact)) / 2) / math.sqrt(2)

    @staticmethod
    def grad_x(g: Tensor, output: Tensor) -> Tensor:
        return g * (output * output).exp() * (math.sqrt(math.pi) / 2)


class NormalQuantile(Unary):
    """z with P(X < z) = x for a standard normal X: −∞ at 0, ∞ at 1, NaN outside."""

    latex = r"\Phi^{-1}(x)"

    @staticmethod
    def evaluate(x: Array) -> Array:
        exact = np.asarray(x, np.float64)
        return _normal_quantile(exact - 0.5, np.minimum(exact, 1 - exact))

    @staticmethod
    def grad_x(g: Tensor, output: Tensor) -> Tensor:
        return g * (output * output / 2).exp() * math.sqrt(2 * math.pi)
