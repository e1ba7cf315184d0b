"""Models with a likelihood, or a bound on it, on pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from chainrule.functions.pieces import stack
from chainrule.generative.diffusion import image_diffusion
from chainrule.generative.flows import dequantise, image_realnvp
from chainrule.generative.makers.maker import Maker
from chainrule.generative.pixels import PixelCNN
from chainrule.generative.vae import dense_vae
from chainrule.random import bernoulli
from chainrule.tensor import Tensor


class VAEMaker(Maker):
    """A `dense_vae` on black and white pixels: a grey one is white with its own probability, drawn anew each time.

    The loss is β·divergence + reconstruction in nats; for β = 1 it bounds −ln p from above.
    """

    parts = ("reconstruction", "divergence")
    weights = (1.0, 1.0)

    def __init__(self, shape: Sequence[int], hidden: Sequence[int], code: int, beta: float) -> None:
        super().__init__(shape)
        if not beta >= 0:
            raise ValueError(f"beta, the weight of the divergence, is not negative, got {beta}.")
        self.vae = dense_vae(self.shape, [hidden] if isinstance(hidden, int) else hidden, code)
        self.weights = (1.0, beta)

    def forward(self, inputs: Any) -> Tensor:
        """See `Maker`."""
        images, _ = self.taken_apart(inputs)
        bound = self.vae.elbo(bernoulli(images.clamp(0, 1)))
        return stack([-bound.reconstruction, bound.divergence], 1)

    def draw(self, count: int, labels: Tensor | None = None) -> Tensor:
        """The probabilities of white."""
        self.refuse_labels(labels)
        return self.vae.sample(count)


class FlowMaker(Maker):
    """An `image_realnvp`; the loss is in bits per dimension. Pixels become counts of `levels`, and get noise."""

    parts = ("bits_per_dimension",)
    weights = (1.0,)

    def __init__(self, shape: Sequence[int], levels: int, hidden: int) -> None:
        super().__init__(shape)
        _need_levels(levels)
        self.levels = levels
        self.flow = image_realnvp(self.shape, hidden=hidden)

    def forward(self, inputs: Any) -> Tensor:
        """See `Maker`."""
        images, _ = self.taken_apart(inputs)
        nats = self.flow.log_prob(dequantise((images * (self.levels - 1)).round(), self.levels))
        return (math.log2(self.levels) - nats / (math.prod(self.shape) * math.log(2))).unsqueeze(1)

    def draw(self, count: int, labels: Tensor | None = None, *, temperature: float = 1.0) -> Tensor:
        """temperature: the standard deviation of the codes."""
        self.refuse_labels(labels)
        return self.flow.sample(count, temperature).clamp(0, 1)


class PixelMaker(Maker):
    """A `PixelCNN` on pixels of `levels` values; the loss is in bits per dimension."""

    parts = ("bits_per_dimension",)
    weights = (1.0,)
    grid = 16

    def __init__(self, shape: Sequence[int], levels: int, width: int, depth: int) -> None:
        super().__init__(shape)
        _need_levels(levels)
        self.model = PixelCNN(self.shape, levels, width, depth)

    def forward(self, inputs: Any) -> Tensor:
        """See `Maker`."""
        images, _ = self.taken_apart(inputs)
        counts = (images * (self.model.levels - 1)).round().long()
        return (self.model.log_prob(counts) / (-math.prod(self.shape) * math.log(2))).unsqueeze(1)

    def draw(self, count: int, labels: Tensor | None = None) -> Tensor:
        """See `Maker`."""
        self.refuse_labels(labels)
        return self.model.sample(count).float() / (self.model.levels - 1)


class DiffusionMaker(Maker):
    """An `image_diffusion`; the loss is the mean squared error of the noise."""

    parts = ("noise_error",)
    weights = (1.0,)

    def __init__(
        self, shape: Sequence[int], steps: int, base: int, widths: Sequence[int], classes: int, schedule: str
    ) -> None:
        super().__init__(shape, classes)
        self.diffusion = image_diffusion(
            self.shape, steps, base, [widths] if isinstance(widths, int) else widths, classes, schedule
        )

    def forward(self, inputs: Any) -> Tensor:
        """See `Maker`."""
        images, labels = self.taken_apart(inputs)
        return self.diffusion(2 * images.float() - 1, labels).unsqueeze(1)

    def draw(
        self, count: int, labels: Tensor | None = None, *, steps: int = 50, eta: float = 0.0, guidance: float = 0.0
    ) -> Tensor:
        """steps, eta, guidance: see `Diffusion.sample`; by default 50 steps of DDIM."""
        steps = min(steps, self.diffusion.schedule.steps)
        found = self.diffusion.sample(count, labels, steps=steps, eta=eta, guidance=guidance)
        return ((found + 1) / 2).clamp(0, 1)


def _need_levels(levels: int) -> None:
    if levels < 2:
        raise ValueError(f"pixels have 2 levels or more, got {levels}.")
