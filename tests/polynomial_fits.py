"""Where the polynomials of `chainrule.backends.native.language.vector_math` come from: Remez's algorithm in decimal arithmetic.

`python -m tests.polynomial_fits` prints the tables. Every number is a decimal of 50 digits, so that they are the same
on every machine.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal, localcontext
from typing import Any, NamedTuple

PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459230781640628620899")
DIGITS = 50
#: So many points stand for an interval.
POINTS = 300
#: Differences below this do not count any more.
NEGLIGIBLE = Decimal(10) ** -(DIGITS - 2)

Function = Callable[[Decimal], Decimal]


def fifty_digits(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, computed with 50 digits."""

    @functools.wraps(function)
    def precise(*arguments: Any) -> Any:
        with localcontext(prec=DIGITS):
            return function(*arguments)

    return precise


@fifty_digits
def erf(x: Decimal) -> Decimal:
    """2/√π·e^(−x²)·Σ 2ⁿx²ⁿ⁺¹/(2n + 1)!!, a series of positive terms, for x ≥ 0."""
    term = total = x
    for n in itertools.count(1):
        term *= 2 * x * x / (2 * n + 1)
        total += term
        if term <= total * NEGLIGIBLE:
            return 2 / PI.sqrt() * (-x * x).exp() * total
    raise AssertionError("a count has no end")


@fifty_digits
def tanh(x: Decimal) -> Decimal:
    """1 − 2/(e²ˣ + 1)."""
    return 1 - 2 / ((2 * x).exp() + 1)


class Fit(NamedTuple):
    """A polynomial to find: the one whose largest weight·|polynomial − function| on an interval is smallest."""

    function: Function
    weight: Function
    degree: int
    low: Decimal
    high: Decimal


def tanh_near(degree: int, high: str) -> Fit:
    """P with tanh x ≈ x + x·z·P(z), z = x², for |x| ≤ high."""
    return Fit(lambda z: (tanh(z.sqrt()) / z.sqrt() - 1) / z, lambda z: z, degree, Decimal(0), Decimal(high) ** 2)


def erf_near(degree: int, high: str) -> Fit:
    """P with erf x ≈ x + x·P(x²) for |x| ≤ high."""
    return Fit(lambda z: erf(z.sqrt()) / z.sqrt() - 1, lambda z: Decimal(1), degree, Decimal(0), Decimal(high) ** 2)


def erf_far(degree: int, low: str, high: str) -> Fit:
    """P with erf x ≈ 1 − P(x)⁸ for low ≤ x ≤ high."""

    def root(x: Decimal) -> Decimal:
        return (1 - erf(x)).sqrt().sqrt().sqrt()

    return Fit(root, lambda x: 8 * root(x) ** 7, degree, Decimal(low), Decimal(high))


#: The tables of the compiler by name, for float and double.
FITS = {
    "_TANH_NEAR": {"float": tanh_near(4, "0.55"), "double": tanh_near(9, "0.55")},
    "_ERF_NEAR": {"float": erf_near(6, "1.125"), "double": erf_near(13, "1.25")},
    "_ERF_FAR": {"float": erf_far(6, "1.125", "4"), "double": erf_far(16, "1.25", "6")},
}


def polynomial(coefficients: Sequence[Decimal], x: Decimal) -> Decimal:
    """Horner's rule, highest power first."""
    return functools.reduce(lambda value, c: value * x + c, coefficients, Decimal(0))


def solved(rows: list[list[Decimal]]) -> list[Decimal]:
    """The solution of linear equations [A | b] by Gauss's elimination with row exchanges."""
    rows, n = [list(row) for row in rows], len(rows)
    for i in range(n):
        pivot = max(range(i, n), key=lambda k: abs(rows[k][i]))
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [a / rows[i][i] for a in rows[i]]
        for k in range(n):
            if k != i:
                rows[k] = [a - rows[k][i] * b for a, b in zip(rows[k], rows[i])]
    return [row[n] for row in rows]


def extremes(errors: Sequence[Decimal]) -> list[int]:
    """The place of the largest error in each run of one sign."""
    runs: Iterator[Any] = itertools.groupby(range(len(errors)), lambda i: errors[i] > 0)
    return [max(run, key=lambda i: abs(errors[i])) for _, run in runs]


@fifty_digits
def fitted(fit: Fit) -> tuple[list[Decimal], Decimal]:
    """Coefficients, highest power first, and the largest weighted error: Remez's exchange on a grid."""
    steps = [Decimal(2 * i + 1) / (2 * POINTS) for i in range(POINTS)]
    grid = [fit.low + (fit.high - fit.low) * t * t * (3 - 2 * t) for t in steps]  # denser at the ends
    values, weights = [fit.function(x) for x in grid], [fit.weight(x) for x in grid]
    count = fit.degree + 2
    chosen = [(2 * i + 1) * POINTS // (2 * count) for i in range(count)]
    for _ in range(20):
        powers = [[grid[i] ** k for k in reversed(range(count - 1))] for i in chosen]
        signs = [(-1) ** j / weights[i] for j, i in enumerate(chosen)]
        *coefficients, level = solved([[*p, s, values[i]] for p, s, i in zip(powers, signs, chosen)])
        errors = [w * (polynomial(coefficients, x) - v) for x, v, w in zip(grid, values, weights)]
        worst = max(map(abs, errors))
        if worst <= abs(level) * (1 + NEGLIGIBLE.sqrt()):
            return coefficients, worst
        chosen = extremes(errors)
        while len(chosen) > count:
            del chosen[0 if abs(errors[chosen[0]]) < abs(errors[chosen[-1]]) else -1]
    raise ArithmeticError("Remez's exchange did not come to rest")


if __name__ == "__main__":
    for name, kinds in FITS.items():
        print(f"{name} = {{")
        for element, fit in kinds.items():
            found, error = fitted(fit)
            print(f'    "{element}": (  # error 2^{float(error.log10() / Decimal(2).log10()):.1f}')
            for c in found:
                print(f"        {float(c)!r},")
            print("    ),")
        print("}")
