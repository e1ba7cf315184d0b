"""Functions on which optimisers are compared: each with its minima, its Hessian and a usual start.

All take a tensor whose last dimension holds the coordinates, x: (…, d), and give (…), so that the same function draws a
contour map and is descended on.

>>> import chainrule
>>> ROSENBROCK(chainrule.tensor([1.0, 1.0]))
tensor(0.)
>>> ROSENBROCK(chainrule.zeros(30, 40, 2)).shape
Size([30, 40])
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from chainrule.functions.creation import tensor
from chainrule.tensor import Tensor

Point = tuple[float, ...]


class Landscape(NamedTuple):
    """A function with what is known about it. Calling it computes the function.

    Attributes:
        name: what it is called.
        formula: as text.
        function: x: (…, d) → (…).
        hessian: the second derivatives at a point, worked out by hand: rows of numbers.
        minima: all of its minima; none if it has no bound below.
        minimum_value: the value there, −∞ if there is no bound below.
        start: a usual place to start from.
        box: (left, right, bottom, top) of the part worth looking at.
    """

    name: str
    formula: str
    function: Callable[[Tensor], Tensor]
    hessian: Callable[[Sequence[float]], list[list[float]]]
    minima: tuple[Point, ...]
    minimum_value: float
    start: Point
    box: tuple[float, float, float, float]

    def __call__(self, x: Tensor) -> Tensor:
        """The value at x: (…, d)."""
        return self.function(x)


def quadratic(curvatures: Sequence[float], name: str = "quadratic", start: Point | None = None) -> Landscape:
    """½·Σᵢ λᵢ·xᵢ²: a bowl with these curvatures along the axes, which are the eigenvalues of its Hessian.

    The largest is its smoothness β, the smallest its Polyak–Łojasiewicz constant μ, and β/μ the condition number, by
    which plain descent is slow.

    >>> quadratic([1.0, 4.0]).hessian((0.0, 0.0))
    [[1.0, 0.0], [0.0, 4.0]]
    """
    values = [float(value) for value in curvatures]
    d = len(values)

    def function(x: Tensor) -> Tensor:
        return (x * x * tensor(values, dtype=x.dtype, device=x.device)).sum(-1) * 0.5

    return Landscape(
        name=name,
        formula=" + ".join(f"½·{value:g}·x{i}²" for i, value in enumerate(values, 1)),
        function=function,
        hessian=lambda x: [[values[i] if i == j else 0.0 for j in range(d)] for i in range(d)],
        minima=((0.0,) * d,),
        minimum_value=0.0,
        start=start or (1.0,) * d,
        box=(-2.5, 2.5, -2.5, 2.5),
    )


def _rosenbrock(x: Tensor) -> Tensor:
    a, b = x[..., 0], x[..., 1]
    return (1 - a) ** 2 + 100 * (b - a**2) ** 2


def _rosenbrock_hessian(x: Sequence[float]) -> list[list[float]]:
    a, b = x
    return [[2 - 400 * (b - 3 * a**2), -400 * a], [-400 * a, 200.0]]


def _beale(x: Tensor) -> Tensor:
    a, b = x[..., 0], x[..., 1]
    return (1.5 - a + a * b) ** 2 + (2.25 - a + a * b**2) ** 2 + (2.625 - a + a * b**3) ** 2


def _beale_hessian(x: Sequence[float]) -> list[list[float]]:
    """The sum over rᵢ = cᵢ − a·(1 − bⁱ) of 2·(∇rᵢ·∇rᵢᵀ + rᵢ·∇²rᵢ)."""
    a, b = x
    H = [[0.0, 0.0], [0.0, 0.0]]
    for i, c in enumerate((1.5, 2.25, 2.625), 1):
        r, by_a, by_b = c - a * (1 - b**i), b**i - 1, i * a * b ** (i - 1)
        by_ab, by_bb = i * b ** (i - 1), i * (i - 1) * a * b ** (i - 2) if i > 1 else 0.0
        H[0][0] += 2 * by_a**2
        H[0][1] += 2 * (by_a * by_b + r * by_ab)
        H[1][1] += 2 * (by_b**2 + r * by_bb)
    H[1][0] = H[0][1]
    return H


def _saddle(x: Tensor) -> Tensor:
    a, b = x[..., 0], x[..., 1]
    return a**2 / 2 - b**2 / 2 + b**4 / 4


def _monkey_saddle(x: Tensor) -> Tensor:
    a, b = x[..., 0], x[..., 1]
    return a**3 - 3 * a * b**2


def _monkey_saddle_hessian(x: Sequence[float]) -> list[list[float]]:
    a, b = x
    return [[6 * a, -6 * b], [-6 * b, -6 * a]]


def _wavy(x: Tensor) -> Tensor:
    return (x * x + 3 * x.sin() ** 2).sum(-1)


def _wavy_hessian(x: Sequence[float]) -> list[list[float]]:
    curvatures = [2 + 6 * math.cos(2 * t) for t in x]
    return [[c if i == j else 0.0 for j in range(len(x))] for i, c in enumerate(curvatures)]


#: A round bowl: the easy case. β = 2, condition number 2.
BOWL = quadratic([1.0, 2.0], "quadratic bowl", start=(-2.0, 1.8))._replace(formula="½·x² + y²")

#: A long, narrow valley along the first axis: condition number 50. Plain descent swings across it.
RAVINE = quadratic([1.0, 50.0], "ravine", start=(-2.2, 0.8))._replace(
    formula="½·x² + 25·y²", box=(-2.5, 1.0, -1.0, 1.0)
)

#: A bent valley with a nearly flat floor (Rosenbrock, 1960): condition number 2508 at the minimum.
ROSENBROCK = Landscape(
    name="Rosenbrock",
    formula="(1 − x)² + 100·(y − x²)²",
    function=_rosenbrock,
    hessian=_rosenbrock_hessian,
    minima=((1.0, 1.0),),
    minimum_value=0.0,
    start=(-1.2, 1.0),
    box=(-1.8, 1.8, -0.8, 2.2),
)

#: Flat plains and steep walls (Beale, 1958).
BEALE = Landscape(
    name="Beale",
    formula="(1.5 − x + x·y)² + (2.25 − x + x·y²)² + (2.625 − x + x·y³)²",
    function=_beale,
    hessian=_beale_hessian,
    minima=((3.0, 0.5),),
    minimum_value=0.0,
    start=(1.0, 1.5),
    box=(-0.5, 4.2, -1.4, 1.9),
)

#: A saddle point at 0 between two minima at (0, ±1). From y = 0 plain descent runs into it and stays.
SADDLE = Landscape(
    name="saddle",
    formula="½·x² − ½·y² + ¼·y⁴",
    function=_saddle,
    hessian=lambda x: [[1.0, 0.0], [0.0, 3 * x[1] ** 2 - 1]],
    minima=((0.0, 1.0), (0.0, -1.0)),
    minimum_value=-0.25,
    start=(1.2, 0.0),
    box=(-1.5, 1.5, -1.6, 1.6),
)

#: Three ways down (two legs and a tail), with a Hessian of zeros at 0: second derivatives do not see the saddle.
MONKEY_SADDLE = Landscape(
    name="monkey saddle",
    formula="x³ − 3·x·y²",
    function=_monkey_saddle,
    hessian=_monkey_saddle_hessian,
    minima=(),
    minimum_value=float("-inf"),
    start=(0.9, 0.0),
    box=(-1.5, 1.5, -1.5, 1.5),
)

#: Not convex (its curvature is −4 at x = π/2), but with no stationary point except the minimum: it meets the
#: Polyak–Łojasiewicz condition with μ = 1/32, and is smooth with β = 8 (Karimi, Nutini and Schmidt, 2016).
WAVY = Landscape(
    name="wavy bowl",
    formula="x² + 3·sin²x + y² + 3·sin²y",
    function=_wavy,
    hessian=_wavy_hessian,
    minima=((0.0, 0.0),),
    minimum_value=0.0,
    start=(-3.4, 2.9),
    box=(-4.0, 4.0, -4.0, 4.0),
)

#: All of the above.
ALL = (BOWL, RAVINE, ROSENBROCK, BEALE, SADDLE, MONKEY_SADDLE, WAVY)
