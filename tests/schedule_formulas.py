"""Every schedule's rate as a formula of the step: written from the definitions, one step without the others.

`RATES[source](n, base, group)` is the rate after n steps of the parameter group with that number and base rate.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

Rate = Callable[[int, float, int], float]


def of_group(value: Any, group: int) -> float:
    """A setting for all groups, or one for each."""
    return value[group] if isinstance(value, list) else value


def share(formula: Callable[[int], float]) -> Rate:
    """The base rate times a number that is the same for all groups."""
    return lambda n, base, group: base * formula(n)


def passed(milestones: list[int], n: int) -> int:
    return sum(milestone <= n for milestone in milestones)


def between(start: float, end: float, steps: int) -> Callable[[int], float]:
    """A straight line from `start`, `end` from then on."""
    return lambda n: start + (end - start) * min(n, steps) / steps


def half_cosine(start: float, end: float, x: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * x)) / 2


def straight(start: float, end: float, x: float) -> float:
    return start + (end - start) * x


def cosine(half_period: int, lowest: float = 0.0) -> Rate:
    return lambda n, base, group: half_cosine(base, lowest, n / half_period)


def restarts(first: int, factor: int = 1, lowest: float = 0.0) -> Rate:
    """A half cosine of `first` steps, then one of `first`·`factor`, and so on."""

    def rate(n: int, base: float, group: int) -> float:
        length = first
        while n >= length:
            n, length = n - length, length * factor
        return half_cosine(base, lowest, n / length)

    return rate


def triangles(low: Any, high: Any, up: int, down: int, height: Callable[[int, int], float]) -> Rate:
    """Up in `up` steps and down in `down`; `height(cycle, n)` scales the triangle, cycles counted from 1."""

    def rate(n: int, base: float, group: int) -> float:
        rounds, place = divmod(n, up + down)
        part = place / up if place <= up else (up + down - place) / down
        bottom, top = of_group(low, group), of_group(high, group)
        return bottom + (top - bottom) * part * height(rounds + 1, n)

    return rate


def one_cycle(
    top: Any, steps: int, warm: float = 0.3, curve: Any = half_cosine, divisor: float = 25.0, last: float = 1e4,
    three: bool = False,
) -> Rate:  # fmt: skip
    """From top/divisor to top, back (in the three-phase form by the same way), and down to top/divisor/last."""

    def rate(n: int, base: float, group: int) -> float:
        highest = of_group(top, group)
        start = highest / divisor
        corners = [(0.0, start), (warm * steps - 1, highest)]
        corners += [(2 * warm * steps - 2, start)] if three else []
        corners += [(steps - 1, start / last)]
        for (a, before), (b, after) in pairwise(corners):
            if n <= b:
                return curve(before, after, (n - a) / (b - a))
        raise AssertionError("past the last step")

    return rate


RATES: dict[str, Rate] = {
    "LambdaLR(o, lambda n: 0.9**n)": share(lambda n: 0.9**n),
    "LambdaLR(o, [lambda n: 1 / (n + 1), lambda n: 0.5 + n])": lambda n, base, group: base * (n + 0.5 if group else 1 / (n + 1)),
    "MultiplicativeLR(o, lambda n: 0.95)": share(lambda n: 0.95**n),
    # ∏ (1 + 1/(k + 1)) = ∏ (k + 2)/(k + 1), k from 1 to n: all but the ends cancel.
    "MultiplicativeLR(o, [lambda n: 0.95, lambda n: 1 + 1 / (n + 1)])":
        lambda n, base, group: base * ((n + 2) / 2 if group else 0.95**n),
    "StepLR(o, 7)": share(lambda n: 0.1 ** (n // 7)),
    "StepLR(o, step_size=1, gamma=0.8)": share(lambda n: 0.8**n),
    "StepLR(o, 100, 0.5)": share(lambda n: 1),
    "MultiStepLR(o, [3, 30, 10])": share(lambda n: 0.1 ** passed([3, 10, 30], n)),
    "MultiStepLR(o, [5, 5, 20], gamma=0.5)": share(lambda n: 0.5 ** passed([5, 5, 20], n)),
    "MultiStepLR(o, [])": share(lambda n: 1),
    "ConstantLR(o)": share(lambda n: 1 / 3 if n < 5 else 1),
    "ConstantLR(o, factor=0.5, total_iters=20)": share(lambda n: 0.5 if n < 20 else 1),
    "ConstantLR(o, 1.0, 4)": share(lambda n: 1),
    "LinearLR(o)": share(between(1 / 3, 1, 5)),
    "LinearLR(o, start_factor=0.1, total_iters=30)": share(between(0.1, 1, 30)),
    "LinearLR(o, 1.0, end_factor=0.0, total_iters=40)": share(between(1, 0, 40)),
    "LinearLR(o, 0.7, 0.2, 11)": share(between(0.7, 0.2, 11)),
    "ExponentialLR(o, 0.9)": share(lambda n: 0.9**n),
    "ExponentialLR(o, gamma=1.02)": share(lambda n: 1.02**n),
    "PolynomialLR(o)": share(between(1, 0, 5)),
    "PolynomialLR(o, total_iters=30, power=2.5)": share(lambda n: between(1, 0, 30)(n) ** 2.5),
    "PolynomialLR(o, 80, 0.5)": share(lambda n: between(1, 0, 80)(n) ** 0.5),
    "CosineAnnealingLR(o, 10)": cosine(10),
    "CosineAnnealingLR(o, T_max=60, eta_min=0.001)": cosine(60, 0.001),
    "CosineAnnealingLR(o, 1)": cosine(1),
    "CosineAnnealingLR(o, 7, 0.05)": cosine(7, 0.05),
    "CosineAnnealingWarmRestarts(o, 10)": restarts(10),
    "CosineAnnealingWarmRestarts(o, 4, T_mult=2)": restarts(4, 2),
    "CosineAnnealingWarmRestarts(o, T_0=3, T_mult=3, eta_min=0.01)": restarts(3, 3, 0.01),
    "CyclicLR(o, 0.01, 0.1, step_size_up=7)": triangles(0.01, 0.1, 7, 7, lambda cycle, n: 1),
    "CyclicLR(o, 0.01, [0.1, 0.5], 5, 9, mode='triangular2')":
        triangles(0.01, [0.1, 0.5], 5, 9, lambda cycle, n: 0.5 ** (cycle - 1)),
    "CyclicLR(o, [0.0, 0.1], 0.5, 6, mode='exp_range', gamma=0.97)":
        triangles([0.0, 0.1], 0.5, 6, 6, lambda cycle, n: 0.97**n),
    "CyclicLR(o, 0.01, 0.1, 6, scale_fn=lambda x: 1 / x, base_momentum=0.5, max_momentum=0.99)":
        triangles(0.01, 0.1, 6, 6, lambda cycle, n: 1 / cycle),
    "CyclicLR(o, 0.01, 0.1, 6, scale_fn=lambda x: 0.99**x, scale_mode='iterations', cycle_momentum=False)":
        triangles(0.01, 0.1, 6, 6, lambda cycle, n: 0.99**n),
    "OneCycleLR(o, 0.5, total_steps=60)": one_cycle(0.5, 60),
    "OneCycleLR(o, [0.5, 0.1], epochs=6, steps_per_epoch=11)": one_cycle([0.5, 0.1], 66),
    "OneCycleLR(o, 0.5, 60, pct_start=0.2, anneal_strategy='linear', div_factor=10.0, final_div_factor=100.0)":
        one_cycle(0.5, 60, 0.2, straight, 10.0, 100.0),
    "OneCycleLR(o, 0.5, 60, three_phase=True)": one_cycle(0.5, 60, three=True),
    "OneCycleLR(o, 0.5, 60, cycle_momentum=False)": one_cycle(0.5, 60),
    "OneCycleLR(o, 0.5, 60, three_phase=True, anneal_strategy='linear', base_momentum=0.6, max_momentum=[0.8, 0.9])":
        one_cycle(0.5, 60, curve=straight, three=True),
    "RobbinsMonro(o)": share(lambda n: 1 / (n + 1)),
    "RobbinsMonro(o, b=5.0, power=0.6)": share(lambda n: (5 / (n + 5)) ** 0.6),
    "RobbinsMonro(o, b=2.0, power=1.0)": share(lambda n: 2 / (n + 2)),
    "RobbinsMonro(o, power=0.75)": share(lambda n: (n + 1) ** -0.75),
}  # fmt: skip
