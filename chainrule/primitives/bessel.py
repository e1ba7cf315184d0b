"""The modified Bessel functions of the first kind, which NumPy lacks but for order 0.

Sources: Abramowitz and Stegun, *Handbook of Mathematical Functions* (1964), 9.6.19, 9.6.26 and 9.7.1; the trapezoidal
rule converges faster than any power for a periodic integrand (Trefethen and Weideman, SIAM Review 56, 2014).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from chainrule.primitives.primitive import Primitive
from chainrule.primitives.value import Array, Form

if TYPE_CHECKING:
    from chainrule.tensor import Tensor

#: From here on the asymptotic series has more digits than a float64 (for the low orders that derivatives ask for).
_LARGE = 100.0
_ANGLES = 64


def scaled_bessel(x: Array, order: int) -> Array:
    """e^(−|x|)·Iₙ(x).

    >>> float(scaled_bessel(np.array(0.0), 0)), float(scaled_bessel(np.array(2.0), 1))  # I₁(2) = 1.59064
    (1.0, 0.215269)
    """
    exact = np.asarray(x, np.float64)
    size = np.abs(exact)
    result = np.zeros_like(size)
    # Iₙ(x) = 1/π·∫ e^(x·cos θ)·cos nθ dθ over [0, π], by the mean over points that lie evenly around the circle.
    near = np.minimum(size, _LARGE)
    for angle in (np.arange(_ANGLES) + 0.5) * math.pi / _ANGLES:
        result = result + np.exp(near * (math.cos(angle) - 1)) * math.cos(order * angle)
    result = result / _ANGLES
    far = np.maximum(size, _LARGE)
    term, series = np.ones_like(far), np.ones_like(far)
    for k in range(1, 20):
        term = -term * (4 * order * order - (2 * k - 1) ** 2) / (8 * k * far)
        series = series + term
    result = np.where(size < _LARGE, result, series / np.sqrt(2 * math.pi * far))
    result = np.where(np.isnan(exact), np.nan, result)
    return result * np.sign(exact) if order % 2 else result


class ScaledBessel(Primitive):
    """z = e^(−|x|)·Iₙ(x), n the order."""

    latex = r"e^{-|x|} I_n(x)"

    @staticmethod
    def shape(x: Array, *, order: int) -> Form:
        return x.shape, x.dtype

    @staticmethod
    def evaluate(x: Array, *, order: int) -> Array:
        return scaled_bessel(x, order)

    @staticmethod
    def grad_x(g: Tensor, x: Tensor, output: Tensor, *, order: int) -> Tensor:
        # Iₙ′ = ½·(Iₙ₋₁ + Iₙ₊₁)
        neighbours = ScaledBessel.apply(x, order=abs(order - 1)) + ScaledBessel.apply(x, order=order + 1)
        return g * (neighbours / 2 - x.sign() * output)
