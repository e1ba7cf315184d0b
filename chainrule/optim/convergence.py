"""What theory promises about gradient descent: step sizes, bounds, iterations, floors.

Throughout, for the loss L and steps θ ← θ − η·g with noisy gradients g, E[g] = ∇L(θ):

    smoothness  β    ‖∇L(θ) − ∇L(θ′)‖ ≤ β·‖θ − θ′‖: the gradient changes no faster
    gap         Δ    L(θ₀) − L*: how far above the lowest value it starts
    variance    σ²   E‖g − ∇L‖² ≤ σ²: the noise of the gradients; 0 for the whole data set
    steps       T    how many gradients are taken

L need not be convex. `measure` finds β, Δ and σ² of a problem. The formulas are those of the class notes, 3.4, with the
constants that the proof gives:

    L falls, on average, in each step by η·(1 − ηβ/2)·‖∇L‖² − ½·η²βσ²        (L is below its parabola of curvature β)
    with η ≤ 1/β the first part is at least ½·η·‖∇L‖²; all falls together are at most Δ, so

    min over t < T of E‖∇L(θ_t)‖²  ≤  mean over t  ≤  2Δ/(ηT) + ηβσ²

The first term is the way that must be gone, the second the noise that never stops. The best η balances them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from chainrule.autodiff.mode import no_grad
from chainrule.optim.curvature import gradient_noise
from chainrule.optim.curvature import smoothness as measure_smoothness
from chainrule.tensor import Tensor


def step_size(smoothness: float, gap: float, variance: float, steps: int) -> float:
    """The theorem's step size, η = min(1/β, √(2Δ/(Tβσ²))).

    Without noise it is 1/β, however many steps there are; with noise it falls as 1/√T.

    >>> step_size(smoothness=4.0, gap=1.0, variance=0.0, steps=100)
    0.25
    >>> step_size(smoothness=4.0, gap=2.0, variance=1.0, steps=100)
    0.1
    """
    _check(smoothness, gap, variance, steps)
    longest = 1 / smoothness
    return min(longest, math.sqrt(2 * gap / (steps * smoothness * variance))) if variance else longest


def gradient_bound(smoothness: float, gap: float, variance: float, steps: int, rate: float | None = None) -> float:
    """What the expected smallest ‖∇L‖² of T steps cannot exceed.

    With the theorem's step size 2βΔ/T + √(8βΔσ²/T); with another `rate` η ≤ 1/β, 2Δ/(ηT) + ηβσ². The class notes have
    4βΔ/T in the first, which is true but twice what the proof gives. Raises ValueError for η > 1/β, where the theorem
    says nothing.

    >>> gradient_bound(smoothness=4.0, gap=1.0, variance=0.0, steps=100)
    0.08
    >>> gradient_bound(smoothness=4.0, gap=1.0, variance=0.5, steps=100, rate=0.1)
    0.4
    """
    _check(smoothness, gap, variance, steps)
    if rate is None:
        return 2 * smoothness * gap / steps + math.sqrt(8 * smoothness * gap * variance / steps)
    if not 0 < rate <= 1 / smoothness * (1 + 1e-12):
        raise ValueError(f"the bound holds for step sizes in (0, 1/β] = (0, {1 / smoothness:.4g}], got {rate}.")
    return 2 * gap / (rate * steps) + rate * smoothness * variance


def iterations(smoothness: float, gap: float, variance: float, accuracy: float) -> int:
    """How many steps T are enough for an expected smallest gradient norm of at most ε, by the theorem's bound.

    The T at which 2βΔ/T + √(8βΔσ²/T) = ε². Without noise that is 2βΔ/ε²; with noise it approaches 8βΔσ²/ε⁴ as ε becomes
    small: ten times the accuracy, ten thousand times the steps.

    >>> iterations(smoothness=4.0, gap=1.0, variance=0.0, accuracy=0.1)
    800
    >>> iterations(smoothness=4.0, gap=1.0, variance=1.0, accuracy=0.1)
    321599
    """
    _check(smoothness, gap, variance, 1)
    if not accuracy > 0:
        raise ValueError(f"the accuracy ε is above 0, got {accuracy}.")
    a, b, c = 2 * smoothness * gap, math.sqrt(8 * smoothness * gap * variance), accuracy**2
    root = (b + math.sqrt(b * b + 4 * a * c)) / (2 * c)  # √T, the positive root of c·T − b·√T − a = 0
    return max(1, math.ceil(root**2 * (1 - 1e-12)))


def noise_floor(smoothness: float, variance: float, rate: float) -> float:
    """σ·√(ηβ): with a fixed step size the gradient norm does not fall below about this, however long one goes on.

    On a bowl of curvature β in all directions the squared norm settles at ηβσ²/(2 − ηβ), so between half of the squared
    floor and all of it; directions with less curvature add less. The class notes print √(ηβσ); σ belongs outside of the
    root.

    >>> noise_floor(smoothness=4.0, variance=0.25, rate=0.01)
    0.1
    """
    _check(smoothness, 0.0, variance, 1)
    return math.sqrt(variance * rate * smoothness)


def polyak_lojasiewicz_bound(
    constant: float, smoothness: float, gap: float, variance: float, steps: int, rate: float | None = None
) -> float:
    """What the expected L(θ_T) − L* cannot exceed, if ½‖∇L‖² ≥ μ·(L − L*) everywhere (`constant` is μ).

    (1 − ημ)^T·Δ + ηβσ²/(2μ) for η ≤ 1/β, which is the rate if none is given: linear convergence, each step takes off a
    part of the gap, down to a floor that the noise sets. Source: Karimi, Nutini and Schmidt, 2016, theorems 1 and 4.

    >>> polyak_lojasiewicz_bound(constant=1.0, smoothness=2.0, gap=8.0, variance=0.0, steps=3)
    1.0
    """
    _check(smoothness, gap, variance, steps)
    rate = 1 / smoothness if rate is None else rate
    if not 0 < constant <= smoothness:
        raise ValueError(f"the constant μ is in (0, β] = (0, {smoothness}], got {constant}.")
    if not 0 < rate <= 1 / smoothness * (1 + 1e-12):
        raise ValueError(f"the bound holds for step sizes in (0, 1/β] = (0, {1 / smoothness:.4g}], got {rate}.")
    return (1 - rate * constant) ** steps * gap + rate * smoothness * variance / (2 * constant)


def global_lower_bound(steps: int, dimension: int) -> float:
    """t^(−2/d): up to a constant, how far from the *global* minimum any method can be left by some smooth function.

    A method that has looked at t points of the unit cube in d dimensions has left a ball of radius about t^(−1/d)
    unseen; a β-smooth function can hide a dent of depth of the order β·t^(−2/d) in it. The class notes have t^(−1/d),
    which is the bound for functions that are only Lipschitz. For 90% less error ten times as many steps are enough in
    two dimensions, 10⁵⁰ times as many in a hundred: hence the interest in stationary points and local minima.

    >>> global_lower_bound(steps=100, dimension=2)
    0.01
    """
    return float(steps) ** (-2 / dimension)


def perturbation_settings(
    smoothness: float, hessian_lipschitz: float, gap: float, dimension: int, accuracy: float,
    probability: float = 0.1, c: float = 1.0,
) -> dict[str, Any]:  # fmt: skip
    """The settings of `PerturbedGradientDescent` with which its theorem holds.

    With probability 1 − δ it ends where ‖∇L‖ ≤ ε and λ₁(H) ≥ −√(ρε), after O(βΔ/ε²·log⁴(dβΔ/(ε²δ))) steps. With
    χ = 3·max(log(dβΔ/(c·ε²δ)), 4):

        η = c/β,  radius √c·ε/(χ²β),  threshold √c·ε/χ²,  interval χ·β/(c²·√(ρε)),  decrease c/χ³·√(ε³/ρ)

    Args:
        smoothness: β.
        hessian_lipschitz: ρ, how fast the Hessian changes: ‖H(θ) − H(θ′)‖₂ ≤ ρ·‖θ − θ′‖.
        gap: Δ.
        dimension: d.
        accuracy: ε.
        probability: δ of failing.
        c: a constant, of which the paper says only that it is small enough; 1 works in practice.

    Source: Jin et al., 2017, algorithm 2 and theorem 3.

    >>> settings = perturbation_settings(1.0, 1.0, gap=1.0, dimension=2, accuracy=0.01)
    >>> settings["lr"], settings["interval"]
    (1.0, 367)
    """
    _check(smoothness, gap, 0.0, 1)
    logarithm = math.log(dimension * smoothness * gap / (c * accuracy**2 * probability)) if gap else 0.0
    chi = 3 * max(logarithm, 4.0)
    return {
        "lr": c / smoothness,
        "radius": math.sqrt(c) * accuracy / (chi**2 * smoothness),
        "threshold": math.sqrt(c) * accuracy / chi**2,
        "interval": math.ceil(chi * smoothness / (c**2 * math.sqrt(hessian_lipschitz * accuracy))),
        "decrease": c / chi**3 * math.sqrt(accuracy**3 / hessian_lipschitz),
    }


class Problem(NamedTuple):
    """What the formulas need: `step_size(*problem, steps=100)`."""

    smoothness: float
    gap: float
    variance: float


def measure(
    function: Callable[..., Tensor],
    points: Sequence[Tensor],
    minimum_value: float = 0.0,
    batches: Iterable[Sequence[Any]] = (),
) -> Problem:
    """β, Δ and σ² of a problem, measured at some points, the start first.

    β is the largest curvature at the points, σ² the largest noise; points along a run give those of the run. They are
    lower estimates of those of the whole space.

    Args:
        function: `function(x, *batch)`, or `function(x)` if there are no batches.
        points: tensors; the first is the start.
        minimum_value: L*; 0 is safe for losses that cannot be negative, but makes Δ too large.
        batches: equally large parts of the data, one pass over it.

    >>> import chainrule
    >>> data = [(chainrule.tensor([t, 0.0]),) for t in (-1.0, 1.0)]
    >>> measure(lambda x, t: ((x - t) ** 2).sum(), [chainrule.tensor([3.0, 0.0])], 1.0, data)
    Problem(smoothness=2.0, gap=9.0, variance=4.0)
    """
    batches = list(batches)

    def whole(x: Tensor) -> Tensor:
        if not batches:
            return function(x)
        losses = [function(x, *batch) for batch in batches]
        return sum(losses[1:], losses[0]) / len(losses)

    with no_grad():
        gap = float(whole(points[0])) - minimum_value
    variance = max(gradient_noise(function, x, batches) for x in points) if batches else 0.0
    return Problem(measure_smoothness(whole, points), gap, variance)


def _check(smoothness: float, gap: float, variance: float, steps: int) -> None:
    if not smoothness > 0:
        raise ValueError(f"the smoothness β is above 0, got {smoothness}.")
    if not (gap >= 0 and variance >= 0 and steps >= 1):
        raise ValueError(f"gap ≥ 0, variance ≥ 0 and steps ≥ 1, got {gap}, {variance} and {steps}.")
