"""The error function, which NumPy lacks.

Rational approximations on three ranges of |x|: W. J. Cody, "Rational Chebyshev approximations for the error
function", Mathematics of Computation 23 (1969), relative error below 6e-19 before rounding.
"""

from __future__ import annotations

import numpy as np

from chainrule.primitives.value import Array

_SMALL = (  # |x| ≤ 0.46875: erf x = x·P(x²)/Q(x²), highest power first
    (
        1.85777706184603153e-1,
        3.16112374387056560e0,
        1.13864154151050156e2,
        3.77485237685302021e2,
        3.20937758913846947e3,
    ),
    (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3),
)
_MIDDLE = (  # 0.46875 < |x| ≤ 4: erfc x = e^(−x²)·P(x)/Q(x)
    (
        2.15311535474403846e-8,
        5.64188496988670089e-1,
        8.88314979438837594e0,
        6.61191906371416295e1,
        2.98635138197400131e2,
        8.81952221241769090e2,
        1.71204761263407058e3,
        2.05107837782607147e3,
        1.23033935479799725e3,
    ),
    (
        1.0,
        1.57449261107098347e1,
        1.17693950891312499e2,
        5.37181101862009858e2,
        1.62138957456669019e3,
        3.29079923573345963e3,
        4.36261909014324716e3,
        3.43936767414372164e3,
        1.23033935480374942e3,
    ),
)
_LARGE = (  # |x| > 4: erfc x = e^(−x²)/x·(1/√π − P(1/x²)/(x²·Q(1/x²)))
    (
        1.63153871373020978e-2,
        3.05326634961232344e-1,
        3.60344899949804439e-1,
        1.25781726111229246e-1,
        1.60837851487422766e-2,
        6.58749161529837803e-4,
    ),
    (
        1.0,
        2.56852019228982242e0,
        1.87295284992346725e0,
        5.27905102951428412e-1,
        6.05183413124413191e-2,
        2.33520497626869185e-3,
    ),
)


#: In float32 erf x ≈ x + x·P(x²) for |x| ≤ BORDER, highest power first; the error is 2^-27.4 of x, before rounding.
#: Found by Remez's algorithm, as the next: tests/polynomial_fits.py. Compiled functions use both too.
SINGLE_NEAR = (
    7.070640186251445e-05,
    -0.0007767186477980483,
    0.0051601830813223625,
    -0.026838887922669277,
    0.11283230844657974,
    -0.3761259547975646,
    0.12837916159857163,
)

#: In float32 erf x ≈ 1 − P(x)⁸ from BORDER to END, to 2^-27.2; beyond it erf is 1 to the last bit.
SINGLE_FAR = (
    0.00016262299038762807,
    -0.0026077708427258988,
    0.01353401010687202,
    -0.012772471339007004,
    -0.05965308790807897,
    -0.14623595006681891,
    1.001153243556798,
)
SINGLE_BORDER, SINGLE_END = 1.125, 4.0

_NEAR, _FAR = (tuple(np.float32(c) for c in coefficients) for coefficients in (SINGLE_NEAR, SINGLE_FAR))

#: So many entries at a time: what is computed on the way stays in the cache.
_CHUNK = 32768


def erf(x: Array) -> Array:
    """erf x in the type of x, to the last bits.

    >>> float(erf(np.array(0.5)))
    0.5204998778130465
    """
    if x.dtype.itemsize <= 4:
        return _erf_in_single(x)
    exact = np.asarray(x, dtype=np.float64)
    size = np.abs(exact)
    result = np.array(np.sign(exact))  # right to the last bit beyond 6, and NaN stays NaN
    small = size <= 0.46875
    result[small] = exact[small] * _ratio(_SMALL, exact[small] ** 2)
    middle = (size > 0.46875) & (size <= 4.0)
    y = size[middle]
    result[middle] *= 1.0 - np.exp(-y * y) * _ratio(_MIDDLE, y)
    large = (size > 4.0) & (size < 6.0)
    y = size[large]
    tail = (1.0 / np.sqrt(np.pi) - _ratio(_LARGE, 1.0 / (y * y)) / (y * y)) / y
    result[large] *= 1.0 - np.exp(-y * y) * tail
    return result.astype(x.dtype)


def erfc(x: Array) -> Array:
    """1 − erf x in the type of x; small, not 0, where x is large.

    >>> float(erfc(np.array(10.0)))
    2.088487583762545e-45
    """
    exact = np.asarray(x, dtype=np.float64)
    size = np.abs(exact)
    result = np.array(size)  # NaN stays NaN
    small = size <= 0.46875
    result[small] = 1.0 - size[small] * _ratio(_SMALL, size[small] ** 2)
    middle = (size > 0.46875) & (size <= 4.0)
    y = size[middle]
    result[middle] = _exp_minus_square(y) * _ratio(_MIDDLE, y)
    large = size > 4.0
    y = np.minimum(size[large], 30.0)  # beyond it nothing is left, in double precision
    tail = (1.0 / np.sqrt(np.pi) - _ratio(_LARGE, 1.0 / (y * y)) / (y * y)) / y
    result[large] = _exp_minus_square(y) * tail
    return np.where(exact < 0, 2.0 - result, result).astype(x.dtype)


def _exp_minus_square(y: Array) -> Array:
    """e^(−y²): the square in two parts, so that its rounding is not multiplied by y²."""
    coarse = np.trunc(y * 16.0) / 16.0
    return np.exp(-coarse * coarse) * np.exp(-(y - coarse) * (y + coarse))


def _erf_in_single(x: Array) -> Array:
    flat = np.ascontiguousarray(x, dtype=np.float32).reshape(-1)
    result = np.empty_like(flat)
    for i in range(0, flat.size, _CHUNK):
        _erf_of_chunk(flat[i : i + _CHUNK], result[i : i + _CHUNK])
    return result.reshape(x.shape).astype(x.dtype, copy=False)


def _erf_of_chunk(x: Array, y: Array) -> None:
    """Write erf x to y."""
    _polynomial(_NEAR, x * x, y)
    y *= x
    y += x
    size = np.abs(x)
    far = np.flatnonzero(size > SINGLE_BORDER)
    if far.size:
        size = np.minimum(size.take(far), np.float32(SINGLE_END))
        root = _polynomial(_FAR, size, np.empty_like(size))
        for _ in range(3):
            root *= root
        y[far] = np.copysign(1 - root, x.take(far))


def _polynomial(coefficients: tuple[np.float32, ...], x: Array, out: Array) -> Array:
    np.multiply(x, coefficients[0], out=out)
    for coefficient in coefficients[1:-1]:
        out += coefficient
        out *= x
    out += coefficients[-1]
    return out


def _ratio(polynomials: tuple[tuple[float, ...], tuple[float, ...]], x: Array) -> Array:
    above, below = (np.polyval(coefficients, x) for coefficients in polynomials)
    return np.asarray(above / below)
