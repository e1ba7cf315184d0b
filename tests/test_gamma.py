"""The gamma functions and the inverses of the error function: against SciPy, mpmath's digits, and each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import special as exact

import chainrule

RANDOM = np.random.default_rng(0)
#: Numbers of both signs, close to the poles and far away, very small and very large.
NUMBERS = np.concatenate(
    [RANDOM.uniform(-20, 30, 500), RANDOM.uniform(0, 3, 500), 10 ** RANDOM.uniform(-200, 200, 200)]
)
PROBABILITIES = np.concatenate([RANDOM.uniform(0, 1, 500), 10 ** RANDOM.uniform(-300, 0, 200)])


def evaluated(function: Any, x: Any) -> Any:
    return np.asarray(function(chainrule.tensor(np.asarray(x))))


def test_lgamma() -> None:
    np.testing.assert_allclose(evaluated(chainrule.lgamma, NUMBERS), exact.gammaln(NUMBERS), rtol=2e-14, atol=4e-15)


def test_lgamma_is_exact_beside_its_roots() -> None:
    # ln Γ(1 + z) = −γ·z + π²/12·z² − …, ln Γ(2 + z) = (1 − γ)·z + (π²/12 − ½)·z² − …; SciPy has fewer digits here
    z = np.array([1e-9, -1e-10, 1e-13])
    first, second = (1 + z) - 1, (2 + z) - 2  # what is left of z in numbers so close to 1 and 2
    near_one = -np.euler_gamma * first + np.pi**2 / 12 * first**2
    near_two = (1 - np.euler_gamma) * second + (np.pi**2 / 12 - 0.5) * second**2
    np.testing.assert_allclose(evaluated(chainrule.lgamma, 1 + z), near_one, rtol=1e-14)
    np.testing.assert_allclose(evaluated(chainrule.lgamma, 2 + z), near_two, rtol=1e-14)


@pytest.mark.parametrize("n", range(4))
def test_polygamma(n: int) -> None:
    x = NUMBERS[np.abs(NUMBERS - np.rint(NUMBERS)) > 1e-3]  # at a pole the rounding of x itself is what counts
    wanted = exact.psi(x) if n == 0 else exact.polygamma(n, x)
    np.testing.assert_allclose(evaluated(lambda t: chainrule.polygamma(n, t), x), wanted, rtol=2e-11, atol=1e-13)


def test_at_poles_and_at_infinity() -> None:
    x = [0.0, -0.0, -1.0, -2.0, np.inf, -np.inf, np.nan]
    inf, nan = np.inf, np.nan
    np.testing.assert_array_equal(evaluated(chainrule.lgamma, x), [inf, inf, inf, inf, inf, inf, nan])
    np.testing.assert_array_equal(evaluated(chainrule.digamma, x)[:5], [-inf, inf, nan, nan, inf])
    np.testing.assert_array_equal(evaluated(lambda t: chainrule.polygamma(1, t), x)[:5], [inf, inf, inf, inf, 0])


def test_quantiles_are_exact_in_the_tails() -> None:
    np.testing.assert_allclose(
        evaluated(chainrule.special.ndtri, PROBABILITIES), exact.ndtri(PROBABILITIES), rtol=4e-15
    )
    both = np.concatenate([2 * PROBABILITIES - 1, PROBABILITIES, 1 - PROBABILITIES])
    np.testing.assert_allclose(evaluated(chainrule.erfinv, both), exact.erfinv(both), rtol=4e-15)
    np.testing.assert_array_equal(evaluated(chainrule.erfinv, [1.0, -1.0, 1.5]), [np.inf, -np.inf, np.nan])


def test_erfc_keeps_its_digits_where_it_is_small() -> None:
    x = np.linspace(-8, 26, 1001)
    np.testing.assert_allclose(evaluated(chainrule.erfc, x), exact.erfc(x), rtol=1e-13)
    np.testing.assert_allclose(evaluated(chainrule.special.ndtr, -x), exact.ndtr(-x), rtol=1e-12)
    y = np.concatenate([np.linspace(-60, 9, 2001), [-1e6, -1e20, np.inf]])
    np.testing.assert_allclose(evaluated(chainrule.special.log_ndtr, y), exact.log_ndtr(y), rtol=2e-13)
    single = evaluated(chainrule.special.log_ndtr, y[:-2].astype(np.float32))
    np.testing.assert_allclose(single, exact.log_ndtr(y[:-2].astype(np.float32).astype(float)), rtol=1e-5)
    single = evaluated(chainrule.erfc, x[x < 8].astype(np.float32))
    np.testing.assert_allclose(single, exact.erfc(x[x < 8].astype(np.float32).astype(float)), rtol=1e-6)


@pytest.mark.parametrize(
    "function",
    [
        chainrule.lgamma, chainrule.digamma, chainrule.erfinv, chainrule.special.ndtri, chainrule.special.ndtr,
        chainrule.special.log_ndtr, lambda x: chainrule.special.log_ndtr(-20 * x),
        chainrule.erfc, chainrule.special.entr, lambda x: chainrule.polygamma(2, x),
        lambda x: chainrule.special.multigammaln(x + 2, 3), lambda x: chainrule.special.xlog1py(x, x),
    ],
)  # fmt: skip
def test_derivatives_and_their_derivatives(function: Any) -> None:
    x = chainrule.tensor([0.21, 0.45, 0.83], dtype=chainrule.float64, requires_grad=True)
    assert chainrule.autograd.gradcheck(function, x)
    assert chainrule.autograd.gradgradcheck(function, x)


def test_inside_a_compiled_step() -> None:
    def step(x: Any) -> Any:
        return (chainrule.lgamma(x) * chainrule.erfinv(x / 9)).sum()

    x = chainrule.tensor([0.5, 2.5, 7.25], dtype=chainrule.float64)
    np.testing.assert_allclose(chainrule.compile(step)(x).item(), step(x).item(), rtol=1e-14)


def test_shifts_and_divisors_refuse_fractions() -> None:
    x = chainrule.ones(2)
    for function in (chainrule.bitwise_left_shift, chainrule.bitwise_right_shift, chainrule.gcd, chainrule.lcm):
        with pytest.raises(chainrule.DTypeError, match="works on integers"):
            function(x, 1)
