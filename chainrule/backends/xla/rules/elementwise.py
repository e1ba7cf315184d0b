"""Entry by entry: arithmetic, comparisons, truths, bits, and the functions of one number."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from chainrule.backends.xla.rules.table import enter, rule
from chainrule.primitives import elementwise as e
from chainrule.primitives import logic, whole_numbers
from chainrule.primitives.bessel import ScaledBessel
from chainrule.primitives.gamma import Erfinv, Lgamma, NormalQuantile, Polygamma

enter({
    # z = …                          of x and y
    e.Add: jnp.add,
    e.Subtract: jnp.subtract,
    e.Multiply: jnp.multiply,
    e.Divide: lax.div,
    e.Power: jnp.power,
    e.Maximum: jnp.maximum,
    e.Minimum: jnp.minimum,
    e.Arctan2: jnp.arctan2,
    # of x alone
    e.Negate: jnp.negative,
    e.Exp: jnp.exp,
    e.Expm1: jnp.expm1,
    e.Log: jnp.log,
    e.Log1p: jnp.log1p,
    e.Sqrt: jnp.sqrt,
    e.Rsqrt: lambda x: 1 / jnp.sqrt(x),
    e.Sin: jnp.sin,
    e.Cos: jnp.cos,
    e.Arcsin: jnp.arcsin,
    e.Arctan: jnp.arctan,
    e.Tanh: jnp.tanh,
    e.Erf: lax.erf,
    e.Erfc: lax.erfc,
    e.Absolute: jnp.abs,
    # steps
    e.Sign: lambda x: x if _whole(x) and x.dtype == bool else jnp.sign(x),
    e.Floor: lambda x: x if _whole(x) else jnp.floor(x),
    e.Round: lambda x: x if _whole(x) else jnp.rint(x),
    # truths and bits
    logic.Equal: jnp.equal,
    logic.Less: jnp.less,
    logic.LessEqual: jnp.less_equal,
    logic.BitwiseAnd: jnp.bitwise_and,
    logic.BitwiseOr: jnp.bitwise_or,
    logic.BitwiseXor: jnp.bitwise_xor,
    logic.BitwiseNot: jnp.invert,
    logic.Where: jnp.where,
    whole_numbers.LeftShift: jnp.left_shift,
    whole_numbers.RightShift: jnp.right_shift,
    whole_numbers.GreatestDivisor: jnp.gcd,
    whole_numbers.LeastMultiple: jnp.lcm,
    # functions that NumPy lacks, in float64 as there
    Lgamma: lambda x: lax.lgamma(x.astype(np.float64)),
    Erfinv: lambda x: lax.erf_inv(x.astype(np.float64)),
})  # fmt: skip


def _whole(x: Any) -> bool:
    return bool(x.dtype.kind in "iub")


@rule(e.FloorDivide)
def floor_divide(x: Any, y: Any) -> Any:
    """⌊x / y⌋; in NumPy a whole number divided by 0 gives 0, and any other x/0."""
    return jnp.where(y == 0, 0 if _whole(x) else x / y, jnp.floor_divide(x, jnp.where(y == 0, 1, y)))


@rule(e.Remainder)
def remainder(x: Any, y: Any) -> Any:
    """x − y·⌊x / y⌋."""
    return jnp.where(y == 0, 0, jnp.remainder(x, jnp.where(y == 0, 1, y))) if _whole(x) else jnp.remainder(x, y)


@rule(e.Cast)
def cast(x: Any, *, dtype: Any) -> Any:
    """Another type; what is too large for an integer is what `Cast` says, not the nearest that fits."""
    if dtype.kind not in "iu" or _whole(x):
        return x.astype(dtype)
    wide = dtype if dtype.itemsize >= 4 else np.dtype(np.int64)
    limit = 2.0 ** (8 * wide.itemsize - 1)
    x = x.astype(np.float32) if x.dtype.itemsize < 4 else x
    inside = (x >= -limit) & (x < limit)
    return jnp.where(inside, jnp.where(inside, x, 0).astype(wide), -int(limit)).astype(dtype)


@rule(Polygamma)
def polygamma(x: Any, *, n: int) -> Any:
    """ψ⁽ⁿ⁾(x); to the left of 0 by reflection, for which XLA has no rule of its own but for n = 0."""
    x = x.astype(np.float64)
    poles = (x <= 0) & (x == jnp.round(x))
    if n == 0:
        return jnp.where(poles, jnp.where(x == 0, -jnp.copysign(jnp.inf, x), jnp.nan), lax.digamma(x))
    # (−1)ⁿ·ψ⁽ⁿ⁾(1 − x) − π·dⁿ/dxⁿ cot πx, a polynomial in c = cot πx: c′ = −π·(1 + c²).
    polynomial = np.polynomial.Polynomial([0.0, 1.0])
    for _ in range(n):
        polynomial = polynomial.deriv() * np.polynomial.Polynomial([-np.pi, 0.0, -np.pi])
    mirrored = jnp.where(x > 0, x, 1 - x)
    result = (-1) ** (n + 1) * math.factorial(n) * lax.zeta(jnp.full_like(x, n + 1.0), mirrored)
    cotangent = 1 / jnp.tan(np.pi * (x - jnp.round(x)))
    left = (-1) ** n * result - np.pi * jnp.polyval(jnp.asarray(polynomial.coef[::-1]), cotangent)
    return jnp.where(poles, (-1) ** (n + 1) * jnp.inf, jnp.where(x > 0, result, left))


@rule(NormalQuantile)
def normal_quantile(x: Any) -> Any:
    """Φ⁻¹(x)."""
    from jax.scipy.special import ndtri

    return ndtri(x.astype(np.float64))


@rule(ScaledBessel)
def scaled_bessel(x: Any, *, order: int) -> Any:
    """e^(−|x|)·Iₙ(x): the mean over points around the circle, and the asymptotic series from 100 on."""
    exact = x.astype(np.float64)
    size = jnp.abs(exact)
    angles = (np.arange(64) + 0.5) * math.pi / 64
    near = jnp.minimum(size, 100.0)[..., None]
    result = (jnp.exp(near * (np.cos(angles) - 1)) * np.cos(order * angles)).mean(-1)
    factors = [-(4 * order * order - (2 * k - 1) ** 2) / (8 * k) for k in range(1, 20)]
    far = jnp.maximum(size, 100.0)
    series = (np.cumprod([1.0, *factors]) * far[..., None] ** -np.arange(20.0)).sum(-1)
    result = jnp.where(size < 100.0, result, series / jnp.sqrt(2 * math.pi * far))
    result = jnp.where(jnp.isnan(exact), jnp.nan, result)
    return result * jnp.sign(exact) if order % 2 else result
