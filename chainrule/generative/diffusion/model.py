"""What a network that knows the noise is good for: a loss to train it by, and data made out of noise.

From the noise ε̂ that the network sees in x_t follows what it takes for the data, x̂_0 = (x_t − √(1 − ᾱ_t)·ε̂)/√ᾱ_t.
A step from time t to an earlier time s draws

    x_s = √ᾱ_s·x̂_0 + √(1 − ᾱ_s − σ²)·ε̂ + σ·ε,   σ² = η²·(1 − ᾱ_s)/(1 − ᾱ_t)·(1 − ᾱ_t/ᾱ_s).

For η = 1 and s = t − 1 this is the posterior q(x_{t−1}|x_t, x̂_0), so it is DDPM's step; for η = 0 nothing is drawn
(DDIM), few steps do, and the way can be gone back from data to noise.

Sources: Ho, Jain and Abbeel, "Denoising diffusion probabilistic models", 2020; Song, Meng and Ermon, "Denoising
diffusion implicit models", 2021; Ho and Salimans, "Classifier-free diffusion guidance", 2022.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from chainrule import nn
from chainrule.autodiff.mode import no_grad
from chainrule.compiler.function import compile
from chainrule.errors import ShapeError
from chainrule.functions.creation import full
from chainrule.functions.logic import where
from chainrule.generative.diffusion.schedule import Schedule, cosine_schedule, linear_schedule
from chainrule.generative.diffusion.unet import TimeUNet
from chainrule.nn.device_of import device_of
from chainrule.random import rand, randint, randn
from chainrule.tensor import Tensor

_SCHEDULES = {"linear": linear_schedule, "cosine": cosine_schedule}


class Diffusion(nn.Module):
    """A network that finds noise, with its schedule.

    Args:
        network: from (noisy data (N, *shape), times (N,)) to the noise in them; with classes also from labels (N,),
            where the number `classes` stands for "not told".
        schedule: how much noise there is at each time.
        shape: of one sample.
        classes: how many there are; 0 for a network that is told none.
        untold: the share of samples whose class is withheld in training, so that the network learns both.
        limits: where data lie, such as (-1, 1): while sampling x̂_0 is kept within; None: not.

    Train by minimising `model(x).mean()`; the step compiles. Raises ValueError for numbers outside of their ranges.

    >>> import chainrule
    >>> from chainrule import generative
    >>> model = generative.image_diffusion((1, 8, 8), steps=20, base=8)
    >>> model(chainrule.rand(3, 1, 8, 8) * 2 - 1).shape, model.sample(2, steps=5, eta=0.0).shape
    (Size([3]), Size([2, 1, 8, 8]))
    """

    def __init__(
        self,
        network: nn.Module,
        schedule: Schedule,
        shape: Sequence[int],
        classes: int = 0,
        untold: float = 0.1,
        limits: tuple[float, float] | None = None,
    ) -> None:
        super().__init__()
        if classes < 0 or not 0 <= untold <= 1:
            raise ValueError(
                f"Diffusion: classes is not negative and untold a share in [0, 1], got {classes} and {untold}."
            )
        if limits is not None and not limits[0] < limits[1]:
            raise ValueError(f"Diffusion: limits are two numbers, the lesser first, got {limits}.")
        self.network, self.schedule, self.shape = network, schedule, tuple(shape)
        self.classes, self.untold, self.limits = classes, untold, limits
        self._compiled = compile(self.move)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """‖ε − ε̂(x_t, t)‖²/D for each of x, (N,), at a time and with noise that are drawn.

        This is the bound on −ln p(x) with other weights of the times (Ho et al., section 3.4). labels: (N,), where the
        network is told classes.
        """
        if tuple(x.shape[1:]) != self.shape:
            raise ShapeError(f"Diffusion: data (N, {', '.join(map(str, self.shape))}), got {tuple(x.shape)}.")
        times = randint(1, self.schedule.steps + 1, (len(x),), device=x.device)
        noise = randn(*x.shape, device=x.device)
        found = self._noise(self.schedule.mix(x, noise, times), times, self._some_withheld(labels, x))
        return (found - noise).square().flatten(1).mean(1)

    def noise(self, noisy: Tensor, times: Tensor, labels: Tensor | None = None, guidance: float = 0.0) -> Tensor:
        """ε̂, with classes by classifier-free guidance: (1 + w)·ε̂(x_t|label) − w·ε̂(x_t).

        guidance: w; 0 believes the network as it is, more makes samples more typical of their class and less varied.
        labels: (N,) or None for "not told". Raises ValueError for guidance without labels.
        """
        if guidance and labels is None:
            raise ValueError("Diffusion: guidance leads towards a class, so it needs labels.")
        told = self._noise(noisy, times, self._labels(labels, noisy))
        if not guidance:
            return told
        return (1 + guidance) * told - guidance * self._noise(noisy, times, self._labels(None, noisy))

    def sample(
        self,
        count: int,
        labels: Tensor | None = None,
        *,
        steps: int | None = None,
        eta: float = 1.0,
        guidance: float = 0.0,
    ) -> Tensor:
        """New data, (count, *shape).

        Args:
            count: how many.
            labels: (count,), their classes; None for any.
            steps: how many times are visited, evenly; all of them unless given.
            eta: 1 for DDPM's noise in each step, 0 for none (DDIM), which is better with few steps.
            guidance: see `noise`.

        Raises ValueError for numbers outside of their ranges.
        """
        if not 0 <= eta <= 1:
            raise ValueError(f"Diffusion.sample: eta lies between 0 and 1, got {eta}.")
        noise = randn(count, *self.shape, device=device_of(self))
        return self._walk(noise, self._times(steps)[::-1], labels, eta, guidance, self.limits)

    def encode(self, x: Tensor, labels: Tensor | None = None, *, steps: int | None = None) -> Tensor:
        """The noise that `decode` makes x of, as nearly as the steps are small: DDIM's steps the other way."""
        return self._walk(x, self._times(steps), labels, 0.0, 0.0, None)

    def decode(self, noise: Tensor, labels: Tensor | None = None, *, steps: int | None = None) -> Tensor:
        """Data from noise (N, *shape) by DDIM's steps, which draw nothing and keep no limits."""
        return self._walk(noise, self._times(steps)[::-1], labels, 0.0, 0.0, None)

    @no_grad()
    def move(
        self, x: Tensor, now: Tensor, then: Tensor, labels: Tensor | None = None, *, eta: Tensor | float = 0.0,
        guidance: float = 0.0, limits: tuple[float, float] | None = None,
    ) -> Tensor:  # fmt: skip
        """One step: x at times `now` (N,) brought to times `then` (N,), earlier or (for eta 0) later ones.

        At time 0 the network is asked for the noise as if it were time 1. limits: x̂_0 is kept within.
        """
        at = now.clamp(min=1)
        noise = self.noise(x, at, labels, guidance)
        kept, later = self.schedule.kept_beside(x, now), self.schedule.kept_beside(x, then)
        signal, rest = kept.sqrt().to(x.dtype), (1 - kept).sqrt().to(x.dtype)
        data = (x - rest * noise) / signal
        if limits is not None:
            data = data.clamp(*limits)
            noise = (x - signal * data) / rest
        drawn = eta * eta * (1 - later) / (1 - kept).clamp(min=1e-12) * (1 - kept / later)
        share = (1 - later - drawn).clamp(min=0).sqrt().to(x.dtype)
        new = drawn.sqrt().to(x.dtype) * randn(*x.shape, device=x.device).to(x.dtype)
        return later.sqrt().to(x.dtype) * data + share * noise + new

    def _walk(
        self, x: Tensor, times: list[int], labels: Tensor | None, eta: float, guidance: float,
        limits: tuple[float, float] | None,
    ) -> Tensor:  # fmt: skip
        """Along the times; one program does all steps, as the times are tensors."""
        for now, then in pairwise(times):
            beginning, end = (full((len(x),), time, device=x.device) for time in (now, then))
            x = self._compiled(x, beginning, end, labels, eta=eta, guidance=guidance, limits=limits)
        return x

    def _times(self, steps: int | None) -> list[int]:
        """Rising, from 0 to T."""
        count = self.schedule.steps if steps is None else steps
        if not 1 <= count <= self.schedule.steps:
            raise ValueError(f"Diffusion: from 1 to {self.schedule.steps} steps, got {steps}.")
        return [round(i * self.schedule.steps / count) for i in range(count + 1)]

    def _noise(self, noisy: Tensor, times: Tensor, labels: Tensor | None) -> Tensor:
        found: Tensor = self.network(noisy, times, labels) if self.classes else self.network(noisy, times)
        return found

    def _labels(self, labels: Tensor | None, x: Tensor) -> Tensor | None:
        """The classes of x as the network takes them."""
        if not self.classes:
            if labels is not None:
                raise ValueError("Diffusion: labels are given, and this network is told no classes.")
            return None
        if labels is None:
            return full((len(x),), self.classes, device=x.device)
        if tuple(labels.shape) != (len(x),):
            raise ShapeError(f"Diffusion: a label for each of {len(x)} samples, got {tuple(labels.shape)}.")
        return labels

    def _some_withheld(self, labels: Tensor | None, x: Tensor) -> Tensor | None:
        labels = self._labels(labels, x)
        if labels is None or not self.untold:
            return labels
        return where(rand(len(x), device=x.device) < self.untold, self.classes, labels)


def image_diffusion(
    shape: Sequence[int],
    steps: int = 1000,
    base: int = 32,
    widths: Sequence[int] = (1, 2, 2),
    classes: int = 0,
    schedule: str = "linear",
) -> Diffusion:
    """A `TimeUNet` with the "linear" or the "cosine" schedule, for images (C, H, W) scaled to [−1, 1].

    Raises ValueError for another schedule.

    >>> sum(p.numel() for p in image_diffusion((1, 28, 28)).parameters())
    793697
    """
    if schedule not in _SCHEDULES:
        raise ValueError(f"image_diffusion: the schedule is {' or '.join(_SCHEDULES)}, got {schedule!r}.")
    network = TimeUNet(shape[0], base, widths, classes)
    return Diffusion(network, _SCHEDULES[schedule](steps), shape, classes, limits=(-1.0, 1.0))
