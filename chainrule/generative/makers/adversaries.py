"""A generator and its discriminator as one module, so that a run saves, restores and measures both."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any, Self

from chainrule import nn
from chainrule.autodiff.mode import no_grad
from chainrule.functions.pieces import stack
from chainrule.generative.makers.maker import Maker
from chainrule.generative.turns import Turns
from chainrule.nn.device_of import device_of
from chainrule.optim.optimizer import Optimizer
from chainrule.random import randn
from chainrule.tensor import Tensor


class Adversaries(Maker):
    """Both networks, which take images within [−1, 1], and the generator whose weights are averages.

    Its loss has no meaning by itself; what counts is the squared kernel distance of the averaged generator's images and
    real ones, as pixels (`metrics.samples.kernel_distance`), which is near 0 where both are alike.

    Args:
        shape, classes: see `Maker`.
        generator, discriminator: with classes, they take them as a second argument.
        noise: numbers in a code.
        loss, penalty, clip, average: see `GAN`.
        discriminator_steps: in each round.
    """

    parts = ("kernel_distance", "discriminator", "generator")
    weights = (1.0, 0.0, 0.0)

    def __init__(
        self,
        shape: Sequence[int],
        generator: nn.Module,
        discriminator: nn.Module,
        noise: int,
        *,
        classes: int = 0,
        loss: str = "non_saturating",
        penalty: float = 0.0,
        clip: float | None = None,
        average: float = 0.99,
        discriminator_steps: int = 1,
    ) -> None:
        super().__init__(shape, classes)
        if discriminator_steps < 1:
            raise ValueError(f"a round has 1 step of the discriminator or more, got {discriminator_steps}.")
        self.generator, self.discriminator = generator, discriminator
        self.averaged = deepcopy(generator)
        for parameter in self.averaged.parameters():
            parameter.requires_grad_(False)
        self.noise, self.loss, self.penalty, self.clip, self.average = noise, loss, penalty, clip, average
        self.discriminator_steps = discriminator_steps
        self.turns(None)  # raises for what cannot be

    def train(self, mode: bool = True) -> Self:
        """As of any module, but the averaged generator, which never learns, stays in evaluation mode."""
        super().train(mode)
        self.averaged.eval()
        return self

    def turns(self, optimizer: Optimizer | None) -> Turns:
        """The rounds of these networks; one optimiser holds the parameters of both. None: to measure only."""
        return Turns(
            self.generator, self.discriminator, (optimizer, optimizer), self.noise, loss=self.loss,  # type: ignore[arg-type]
            penalty=self.penalty, clip=self.clip, average=self.average, averaged=self.averaged,
        )  # fmt: skip

    def forward(self, inputs: Any) -> Tensor:
        """See `Maker`; the parts are those of the whole batch, the same for each image."""
        images, labels = self.taken_apart(inputs)
        images = 2 * images - 1
        judged, made = self.turns(None).losses(images, labels)
        return self.measured(images, labels, judged, made)

    def split(self, inputs: Any) -> tuple[Tensor, Tensor | None]:
        """A batch as the real samples (k, N, C, H, W) of a round, within [−1, 1], and labels (k, N)."""
        images, labels = self.taken_apart(inputs)
        steps = min(self.discriminator_steps, len(images))
        each = len(images) // steps
        real = (2 * images[: steps * each] - 1).reshape(steps, each, *self.shape)
        return real, None if labels is None else labels[: steps * each].reshape(steps, each)

    @no_grad()
    def measured(self, images: Tensor, labels: Tensor | None, judged: Tensor, made: Tensor) -> Tensor:
        """The parts for images within [−1, 1], (N, 3), from the losses of both."""
        told = () if labels is None else (labels,)
        drawn = self.averaged(randn(len(images), self.noise, device=images.device), *told)
        distance = _kernel_distance(images.flatten(1), drawn.flatten(1))
        return stack([distance, judged, made]).expand(len(images), 3)

    def draw(self, count: int, labels: Tensor | None = None) -> Tensor:
        """See `Maker`."""
        if bool(self.classes) != (labels is not None):
            raise ValueError("these networks are told a class for each image." if self.classes else "no class is told.")
        told = () if labels is None else (labels,)
        with no_grad():
            return ((self.averaged.eval()(randn(count, self.noise, device=device_of(self)), *told) + 1) / 2).clamp(0, 1)


def _kernel_distance(real: Tensor, made: Tensor) -> Tensor:
    """The unbiased squared distance with the kernel (x·y/d + 1)³, as `metrics.samples.kernel_distance`."""

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        return (x @ y.T / x.shape[1] + 1) ** 3

    def among(x: Tensor) -> Tensor:
        k = kernel(x, x)
        return (k.sum() - k.diagonal().sum()) / max(len(x) * (len(x) - 1), 1)

    return among(real) + among(made) - 2 * kernel(real, made).mean()
