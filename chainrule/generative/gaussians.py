"""Mixtures of narrow normal distributions in the plane, whose modes can be counted, to try generators on.

Sources: Metz et al., "Unrolled generative adversarial networks", 2017 (the ring); Lin et
al., "PacGAN", 2018 (the grid).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from chainrule.functions.creation import tensor
from chainrule.random import randint, randn
from chainrule.tensor import Tensor


@dataclass(frozen=True)
class Gaussians:
    """Equally likely normal distributions with one standard deviation.

    Attributes:
        centers: (modes, 2).
        deviation: of each in each direction.
    """

    centers: Tensor
    deviation: float

    def sample(self, *shape: int) -> Tensor:
        """Points drawn by the generator of random numbers, (*shape, 2); compiles."""
        chosen, noise = randint(0, len(self.centers), shape), randn(*shape, 2, device=self.centers.device)
        return self.centers[chosen] + self.deviation * noise


def ring(modes: int = 8, radius: float = 2.0, deviation: float = 0.02) -> Gaussians:
    """Centres on a circle. Raises ValueError for fewer than one.

    >>> ring().sample(5).shape
    Size([5, 2])
    """
    if modes < 1:
        raise ValueError(f"ring: 1 mode or more, got {modes}.")
    angles = [2 * math.pi * i / modes for i in range(modes)]
    return Gaussians(tensor([[radius * math.cos(a), radius * math.sin(a)] for a in angles]), deviation)


def grid(side: int = 5, spacing: float = 2.0, deviation: float = 0.05) -> Gaussians:
    """Centres on a square grid around zero, side·side of them. Raises ValueError for fewer than one.

    >>> grid(2).centers.tolist()
    [[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]]
    """
    if side < 1:
        raise ValueError(f"grid: a side of 1 or more, got {side}.")
    places = [spacing * (i - (side - 1) / 2) for i in range(side)]
    return Gaussians(tensor([[x, y] for x in places for y in places]), deviation)
