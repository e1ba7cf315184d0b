"""How data become noise: x_t = √(1 − β_t)·x_{t−1} + √β_t·ε for t = 1, …, T, with ε ~ N(0, 1).

Sums of normal variables are normal, so the steps can be skipped: with α_t = 1 − β_t and ᾱ_t = α_1·…·α_t

    q(x_t|x_0)          = N(√ᾱ_t·x_0, 1 − ᾱ_t)
    q(x_{t−1}|x_t, x_0) = N((√ᾱ_{t−1}·β_t·x_0 + √α_t·(1 − ᾱ_{t−1})·x_t)/(1 − ᾱ_t), β_t·(1 − ᾱ_{t−1})/(1 − ᾱ_t)).

Sources: Sohl-Dickstein et al., "Deep unsupervised learning using nonequilibrium thermodynamics", 2015; Ho, Jain and
Abbeel, "Denoising diffusion probabilistic models", 2020 (the linear schedule); Nichol and Dhariwal, "Improved denoising
diffusion probabilistic models", 2021 (the cosine schedule).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule import nn
from chainrule.errors import ShapeError
from chainrule.functions.creation import tensor
from chainrule.tensor import Tensor

Array = np.ndarray[Any, np.dtype[np.float64]]


class Schedule(nn.Module):
    """The noise of each step, and what follows from it.

    Args:
        betas: β_1, …, β_T, each greater than 0 and less than 1.

    Attributes:
        kept: ᾱ_0 = 1, ᾱ_1, …, ᾱ_T, a buffer of float64: the share of the data's variance that is left at each time.

    Times are whole numbers t = 1, …, T, and 0 for the data themselves. Raises ValueError for other betas.

    >>> Schedule([0.5, 0.5]).kept.tolist()
    [1.0, 0.5, 0.25]
    """

    kept: Tensor

    def __init__(self, betas: Any) -> None:
        super().__init__()
        values = np.asarray(betas, np.float64)
        if values.ndim != 1 or not len(values) or not ((values > 0) & (values < 1)).all():
            raise ValueError("Schedule: betas are one number or more, each greater than 0 and less than 1.")
        self.register_buffer("kept", tensor(np.concatenate([[1.0], np.cumprod(1 - values)])))

    @property
    def steps(self) -> int:
        """T."""
        return len(self.kept) - 1

    def marginal(self, x: Tensor, times: Tensor) -> tuple[Tensor, Tensor]:
        """Mean (N, *shape) and variance (N, 1, …) of q(x_t|x_0) for x_0 = x and a time (N,) for each."""
        kept = self.kept_beside(x, times)
        return kept.sqrt().to(x.dtype) * x, (1 - kept).to(x.dtype)

    def mix(self, x: Tensor, noise: Tensor, times: Tensor) -> Tensor:
        """x_t = √ᾱ_t·x + √(1 − ᾱ_t)·noise.

        >>> schedule = Schedule([0.64])
        >>> schedule.mix(tensor([[1.0]]), tensor([[1.0]]), tensor([1]))
        tensor([[1.4000]])
        """
        mean, variance = self.marginal(x, times)
        return mean + variance.sqrt() * noise

    def posterior(self, x: Tensor, noisy: Tensor, times: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of q(x_{t−1}|x_t, x_0) for x_0 = x, x_t = noisy and times from 1 on."""
        kept, before = self.kept_beside(x, times), self.kept_beside(x, times - 1)
        alpha = kept / before
        of_data = before.sqrt() * (1 - alpha) / (1 - kept)
        of_noisy = alpha.sqrt() * (1 - before) / (1 - kept)
        variance = (1 - alpha) * (1 - before) / (1 - kept)
        return of_data.to(x.dtype) * x + of_noisy.to(x.dtype) * noisy, variance.to(x.dtype)

    def figures(self) -> dict[str, Array]:
        """What there is to say of each time from 1 to T, in float64, by name.

        "beta"; "kept", ᾱ; "signal_to_noise", ᾱ/(1 − ᾱ); "posterior_variance", that of q(x_{t−1}|x_t, x_0).

        >>> linear_schedule(1000).figures()["kept"][[0, -1]].round(5).tolist()
        [0.9999, 4e-05]
        """
        kept = self.kept.double().numpy()
        before, now = kept[:-1], kept[1:]
        beta = 1 - now / before
        return {
            "beta": beta,
            "kept": now,
            "signal_to_noise": now / (1 - now),
            "posterior_variance": beta * (1 - before) / (1 - now),
        }

    def kept_beside(self, x: Tensor, times: Tensor) -> Tensor:
        """ᾱ at the times, (N,), in float64 with extents of 1 for the other dimensions of x, (N, …)."""
        if times.ndim != 1 or len(times) != len(x):
            raise ShapeError(f"Schedule: one time for each sample, ({len(x)},), got {tuple(times.shape)}.")
        return self.kept[times].reshape(-1, *[1] * (x.ndim - 1))


def linear_schedule(steps: int = 1000, first: float | None = None, last: float | None = None) -> Schedule:
    """β from first to last in equal steps.

    Unless given they are 0.1/T and 20/T, but at most 0.999: for T = 1,000 those of Ho et al., 0.0001 and 0.02; for
    fewer steps as much noise in all. Raises ValueError for fewer than one step.

    >>> linear_schedule(1000).figures()["beta"][[0, -1]].round(4).tolist()
    [0.0001, 0.02]
    """
    _need_steps(steps)
    first = min(0.1 / steps, 0.999) if first is None else first
    last = min(20 / steps, 0.999) if last is None else last
    return Schedule(np.linspace(first, last, steps))


def cosine_schedule(steps: int = 1000, offset: float = 0.008, largest: float = 0.999) -> Schedule:
    """ᾱ_t = f(t)/f(0) with f(t) = cos²(½π·(t/T + offset)/(1 + offset)), and no β above `largest`.

    Less noise at both ends than the linear one: small images are not lost so early. Raises ValueError for fewer than
    one step.

    >>> cosine_schedule(100).kept[50] > linear_schedule(100).kept[50]
    tensor(True)
    """
    _need_steps(steps)
    kept = [math.cos(math.pi / 2 * (t / steps + offset) / (1 + offset)) ** 2 for t in range(steps + 1)]
    return Schedule(np.minimum(1 - np.array(kept[1:]) / np.array(kept[:-1]), largest))


def _need_steps(steps: int) -> None:
    if steps < 1:
        raise ValueError(f"a schedule has 1 step or more, got {steps}.")
