"""Draws by rejection: propose a number, accept it with some probability, and try again where it was refused.

How many tries a draw takes is not known beforehand, but where each try finds its random words is: attempt k of a draw
reads the blocks that begin k spans after the counter, and each draw reserves ATTEMPTS spans. A counter of 128 bits can
afford that, and so the state after a draw does not depend on the numbers drawn.

All draws are computed in float64. Sources: G. Marsaglia and W. W. Tsang, "A simple method for generating gamma
variables", ACM TOMS 26 (2000); W. Hörmann, "The transformed rejection method for generating Poisson random variables",
Insurance: Mathematics and Economics 12 (1993), and "The generation of binomial random variates", J. Statistical
Computation and Simulation 46 (1993); D. J. Best and N. I. Fisher, "Efficient simulation of the von Mises
distribution", Applied Statistics 28 (1979).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from chainrule.primitives import philox
from chainrule.primitives.gamma import log_gamma
from chainrule.primitives.value import Array

#: More than any draw needs: the methods below accept at least half of what they propose.
ATTEMPTS: Final = 1024

#: Below this mean, counts are found one by one; from it on, the transformed rejection method works.
_SMALL_MEAN: Final = 10.0


def span(count: int) -> int:
    """How many blocks an attempt at `count` numbers may read: two words pairs (two float64 numbers) for each."""
    return 2 * philox.blocks_used("uniform", count, np.float64)


def blocks_reserved(count: int) -> int:
    """How far a draw of `count` numbers by rejection moves the counter."""
    return (ATTEMPTS + 1) * span(count)


def _uniform_pair(counter: int, key: int, count: int) -> tuple[Array, Array]:
    """Two uniform numbers in [0, 1) for each entry: an attempt's whole span."""
    second = counter + span(count) // 2
    return philox.uniform(counter, key, count, np.float64), philox.uniform(second, key, count, np.float64)


def _until_accepted(attempt: Callable[..., tuple[Array, Array]], counter: int, key: int, *parameters: Array) -> Array:
    """Ask `attempt(counter, key, *parameters)` for (numbers, accepted) until every entry has a number.

    From the second attempt on only the entries that were refused take part.
    """
    result = np.empty(parameters[0].size)
    waiting, step = np.arange(parameters[0].size), span(parameters[0].size)
    for _ in range(ATTEMPTS):
        if not waiting.size:
            return result
        numbers, accepted = attempt(counter, key, *[p[waiting] for p in parameters])
        result[waiting[accepted]] = numbers[accepted]
        waiting, counter = waiting[~accepted], counter + step
    raise ArithmeticError(f"{attempt.__name__}: {ATTEMPTS} attempts were refused for {parameters[0][waiting[0]]}.")


def _where_possible(possible: Array, draw: Callable[..., Array], *parameters: Array) -> Array:
    """NaN where parameters are impossible; what `draw` makes of the others."""
    result = np.full(possible.shape, np.nan)
    result[possible] = draw(*[p[possible] for p in parameters])
    return result


# Gamma -----------------------------------------------------------------------------------------------


def log_gamma_draws(counter: int, key: int, concentration: Array) -> Array:
    """ln X for X from the gamma distribution with these concentrations a and rate 1: x^(a−1)·e^(−x)/Γ(a).

    As a logarithm, because for a small a most numbers are smaller than the smallest float: X = Y·U^(1/a) where Y has
    the concentration a + 1 and U is uniform. NaN where a is not a positive number.
    """

    def draw(a: Array) -> Array:
        boosted = _until_accepted(_gamma_attempt, counter + span(a.size), key, a + (a < 1))
        small = philox.uniform(counter, key, a.size, np.float64)
        return boosted + np.where(a < 1, np.log1p(-small) / a, 0.0)

    return _where_possible((concentration > 0) & (concentration < np.inf), draw, concentration)


def _gamma_attempt(counter: int, key: int, a: Array) -> tuple[Array, Array]:
    """Marsaglia and Tsang: d·v with d = a − ⅓, v = (1 + z/√(9d))³, z normal; a ≥ 1. More than 95% are accepted."""
    z = philox.normal(counter, key, a.size, np.float64)
    u = philox.uniform(counter + span(a.size) // 2, key, a.size, np.float64)
    d = a - 1 / 3
    root = 1 + z / np.sqrt(9 * d)
    log_v = 3 * np.log(np.where(root > 0, root, 1.0))
    accepted = (root > 0) & (np.log1p(-u) < 0.5 * z * z + d * (1 - np.exp(log_v) + log_v))
    return np.log(d) + log_v, accepted


# Counts ----------------------------------------------------------------------------------------------


def poisson_draws(counter: int, key: int, rate: Array) -> Array:
    """Counts from the Poisson distribution λᵏ·e^(−λ)/k!; NaN where λ is negative or no finite number."""

    def draw(rate: Array) -> Array:
        small, large = rate < _SMALL_MEAN, rate >= _SMALL_MEAN
        result = np.empty(rate.size)
        result[small] = _search(counter, key, np.exp(-rate[small]), lambda k: rate[small] / k)
        result[large] = _until_accepted(_poisson_attempt, counter + span(rate.size), key, rate[large])
        return result

    return _where_possible((rate >= 0) & (rate < np.inf), draw, rate)


def binomial_draws(counter: int, key: int, trials: Array, probability: Array) -> Array:
    """How many of n trials succeed; NaN where n is no number from 0 on, or p no probability."""

    def draw(n: Array, p: Array) -> Array:
        rare = np.minimum(p, 1 - p)  # the rarer outcome is counted
        small, large = n * rare < _SMALL_MEAN, n * rare >= _SMALL_MEAN
        result = np.empty(n.size)
        m, q = n[small], rare[small]
        start, odds = np.exp(m * np.log1p(-q)), q / (1 - q)
        result[small] = _search(counter, key, start, lambda k: np.maximum(m - k + 1, 0) / k * odds)
        result[large] = _until_accepted(_binomial_attempt, counter + span(n.size), key, n[large], rare[large])
        return np.where(p > 0.5, n - result, result)

    possible = (trials >= 0) & (trials < np.inf) & (probability >= 0) & (probability <= 1)
    return _where_possible(possible, draw, trials, probability)


def _search(counter: int, key: int, first: Array, ratio: Callable[[int], Array]) -> Array:
    """The smallest k at which P(0) + … + P(k) is above a uniform number; P(k) = P(k − 1)·ratio(k)."""
    u = philox.uniform(counter, key, first.size, np.float64)
    result, chance, k = np.zeros(first.size), first, 0
    left = u - chance
    while (above := (left >= 0) & (chance > 0)).any():
        k += 1
        chance = chance * ratio(k)
        result[above] = k
        left = left - chance
    return result


def _hat(u: Array, a: Array, b: Array, centre: Array) -> tuple[Array, Array]:
    """Hörmann's proposal: a count, and the density of its hat but for the factor; u is in (−½, ½]."""
    room = 0.5 - np.abs(u)
    return np.floor((2 * a / room + b) * u + centre), a / (room * room) + b


def _poisson_attempt(counter: int, key: int, rate: Array) -> tuple[Array, Array]:
    """Transformed rejection (Hörmann 1993, PTRS without its squeeze), for rates from 10 on."""
    u, v = _uniform_pair(counter, key, rate.size)
    b = 0.931 + 2.53 * np.sqrt(rate)
    a = -0.059 + 0.02483 * b
    k, hat = _hat(u - 0.5, a, b, rate + 0.43)
    log_chance = k * np.log(rate) - rate - log_gamma(np.maximum(k, 0) + 1)
    accepted = (k >= 0) & (np.log1p(-v) + np.log(1.1239 + 1.1328 / (b - 3.4)) - np.log(hat) <= log_chance)
    return k, accepted


def _binomial_attempt(counter: int, key: int, n: Array, p: Array) -> tuple[Array, Array]:
    """Transformed rejection (Hörmann 1993, BTRS without its squeeze), for p ≤ ½ and n·p from 10 on."""
    u, v = _uniform_pair(counter, key, n.size)
    deviation = np.sqrt(n * p * (1 - p))
    b = 1.15 + 2.53 * deviation
    a = -0.0873 + 0.0248 * b + 0.01 * p
    k, hat = _hat(u - 0.5, a, b, n * p + 0.5)
    inside, top = np.clip(k, 0, n), np.floor((n + 1) * p)
    log_chance = (  # relative to the most likely count
        log_gamma(top + 1) + log_gamma(n - top + 1) - log_gamma(inside + 1) - log_gamma(n - inside + 1)
        + (inside - top) * np.log(p / (1 - p))
    )  # fmt: skip
    accepted = (k == inside) & (np.log1p(-v) + np.log((2.83 + 5.1 / b) * deviation) - np.log(hat) <= log_chance)
    return k, accepted


# Angles ----------------------------------------------------------------------------------------------


def von_mises_draws(counter: int, key: int, concentration: Array) -> Array:
    """Angles in [−π, π] with a density in proportion to e^(κ·cos θ); NaN where κ is not a positive number."""

    def draw(kappa: Array) -> Array:
        cosine = _until_accepted(_cosine_attempt, counter + span(kappa.size), key, kappa)
        side = philox.uniform(counter, key, kappa.size, np.float64) < 0.5
        return np.where(side, -1, 1) * np.arccos(cosine)

    return _where_possible((concentration > 0) & (concentration < np.inf), draw, concentration)


def _cosine_attempt(counter: int, key: int, kappa: Array) -> tuple[Array, Array]:
    """Best and Fisher: the cosine of a wrapped Cauchy angle."""
    u, v = _uniform_pair(counter, key, kappa.size)
    tau = 1 + np.sqrt(1 + 4 * kappa * kappa)
    # (1 + ρ²)/(2ρ) with ρ = (τ − √(2τ))/(2κ); for a small κ that is 1/κ + κ.
    rho = (tau - np.sqrt(2 * tau)) / (2 * kappa)
    r = np.where(kappa < 1e-5, 1 / kappa + kappa, (1 + rho * rho) / (2 * rho))
    z = np.cos(np.pi * u)
    cosine = np.clip((1 + r * z) / (r + z), -1, 1)
    c = kappa * (r - cosine)
    return cosine, np.log(c) - np.log1p(-v) + 1 - c >= 0
