"""Two half circles in the plane, with noise: points whose density and entropy are known, to judge models by."""

from __future__ import annotations

import math

from chainrule.dtypes import float64
from chainrule.functions.creation import arange
from chainrule.functions.pieces import cat, stack
from chainrule.random import rand, randint, randn
from chainrule.tensor import Tensor

# Along a moon the integral over the angle is a sum of so many points: 0.008 apart, much less than useful noise.
ANGLES = 400


class TwoMoons:
    """A point on one of two half circles of radius 1, plus normal noise of deviation `noise` (0.05 to 0.5).

    The upper moon is (cos θ, sin θ), the lower (1 − cos θ, ½ − sin θ), θ uniform from 0 to π.

    >>> moons = TwoMoons(0.1)
    >>> moons.sample(5).shape
    Size([5, 2])
    """

    def __init__(self, noise: float = 0.1) -> None:
        if not 0.05 <= noise <= 0.5:
            raise ValueError(f"TwoMoons: noise from 0.05 to 0.5, got {noise}.")
        self.noise = noise

    def sample(self, count: int) -> Tensor:
        """(count, 2)."""
        upper, lower = self._moons(math.pi * rand(count))
        which = randint(0, 2, (count, 1)).float()
        return which * upper + (1 - which) * lower + self.noise * randn(count, 2)

    def log_prob(self, x: Tensor) -> Tensor:
        """ln p(x) of points (N, 2), (N,): the mean of the normal densities around points of the moons, at midpoints."""
        centres = cat(list(self._moons((arange(ANGLES, dtype=x.dtype, device=x.device) + 0.5) * (math.pi / ANGLES))), 0)
        squares = x.square().sum(1)[:, None] - 2 * x @ centres.T + centres.square().sum(1)
        exponents = squares / (-2 * self.noise**2)
        return exponents.logsumexp(1) - math.log(2 * ANGLES * 2 * math.pi * self.noise**2)

    def entropy(self, step: float = 0.04) -> float:
        """−∫ p·ln p in nats: a sum over squares of the width `step`, 6 deviations beyond the moons."""
        edge = 6 * self.noise
        across = arange(-1 - edge, 2 + edge, step, dtype=float64)
        total = 0.0
        for height in arange(-0.5 - edge, 1 + edge, step).tolist():  # a line at once: little memory
            log_p = self.log_prob(stack([across, across * 0 + height], 1))
            total -= (log_p.exp() * log_p).sum().item() * step**2
        return total

    def _moons(self, angle: Tensor) -> tuple[Tensor, Tensor]:
        c, s = angle.cos(), angle.sin()
        return stack([c, s], 1), stack([1 - c, 0.5 - s], 1)
