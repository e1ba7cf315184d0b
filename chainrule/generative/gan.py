"""Generative adversarial networks: a generator against a discriminator, each with its own optimiser.

The discriminator D learns to tell real samples from generated ones, G(z) with z ~ N(0, 1); the generator learns to be
taken for real. One round is k steps of D, each on new real samples and new codes, then one step of G. At the optimum of
the original loss D(x) = ln p(x) − ln q(x), and G lowers the Jensen-Shannon divergence of p and q; with a Wasserstein
loss D is a critic, whose slope must be bounded: by clipping its weights, by a gradient penalty, or by spectral
normalisation. `nn.functional.discriminator_loss` has all formulas.

Sources: Goodfellow et al., "Generative adversarial nets", 2014; Arjovsky, Chintala and Bottou, "Wasserstein GAN", 2017;
Gulrajani et al., "Improved training of Wasserstein GANs", 2017; Miyato et al., "Spectral normalization for generative
adversarial networks", 2018; Yazıcı et al., "The unusual effectiveness of averaging in GAN training", 2019; I V.10.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from chainrule import nn
from chainrule.autodiff.mode import no_grad
from chainrule.compiler.function import compile
from chainrule.errors import ShapeError
from chainrule.functions.pieces import stack
from chainrule.nn.losses.generative import KINDS, discriminator_loss, generator_loss, gradient_penalty
from chainrule.optim.optimizer import Optimizer
from chainrule.random import randn
from chainrule.tensor import Tensor

if TYPE_CHECKING:
    from chainrule.train.doctor import Doctor


#: So many samples of each kind are shown to the doctor.
SHOWN = 1000


class Round(NamedTuple):
    """What one round measured: both losses, and the lengths of both gradients before their steps.

    Those of the discriminator are of its last step, the loss without the gradient penalty.
    """

    discriminator_loss: float
    generator_loss: float
    discriminator_gradient: float
    generator_gradient: float


class GAN:
    """Trains a generator against a discriminator; a round is one compiled program.

    Args:
        generator: from codes (N, noise) to samples (N, *shape).
        discriminator: from samples to scores (logits) of any shape.
        generator_optimizer, discriminator_optimizer: over the parameters of one network each.
        noise: how many numbers are in a code.
        loss: "minimax" (the original), "non_saturating", "least_squares" or "wasserstein".
        penalty: λ of the gradient penalty; 0 for none.
        clip: the discriminator's parameters are kept within ±clip after each of its steps; None: not.
        average: the decay of the moving average of the generator's weights; `sample` uses the average. 0: no average.

    Attributes:
        averaged: the generator whose weights are averages (and whose buffers are the generator's); the generator itself
            where average is 0.
        history: a `Round` for each round.

    Raises ValueError for numbers outside of their ranges, or an optimiser that holds a parameter of the other network.

    >>> import chainrule
    >>> from chainrule import generative
    >>> G, D = generative.dense_generator(2, 2, (16,)), generative.dense_discriminator(2, (16,))
    >>> rules = [chainrule.optim.Adam(network.parameters(), lr=1e-3) for network in (G, D)]
    >>> gan = generative.GAN(G, D, *rules, noise=2, loss="wasserstein", penalty=10.0)
    >>> gan.fit(generative.ring().sample, rounds=3, batch=32, discriminator_steps=2)
    >>> len(gan.history), gan.sample(7).shape
    (3, Size([7, 2]))
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        generator_optimizer: Optimizer,
        discriminator_optimizer: Optimizer,
        noise: int,
        *,
        loss: str = "non_saturating",
        penalty: float = 0.0,
        clip: float | None = None,
        average: float = 0.0,
    ) -> None:
        if loss not in KINDS:
            raise ValueError(f"GAN: the loss is one of {', '.join(map(repr, KINDS))}, got {loss!r}.")
        if noise < 1 or not penalty >= 0 or not 0 <= average < 1 or (clip is not None and not clip > 0):
            raise ValueError(
                "GAN: noise is 1 or more, the penalty not negative, the average's decay in [0, 1) and clip greater "
                f"than 0, got {noise}, {penalty}, {average} and {clip}."
            )
        _check_parameters("generator", generator, generator_optimizer)
        _check_parameters("discriminator", discriminator, discriminator_optimizer)
        self.generator, self.discriminator = generator, discriminator
        self.generator_optimizer, self.discriminator_optimizer = generator_optimizer, discriminator_optimizer
        self.noise, self.loss, self.penalty, self.clip, self.average = noise, loss, penalty, clip, average
        self.averaged = deepcopy(generator).eval() if average else generator
        self.history: list[Round] = []
        self._compiled = compile(_Step(self).run)

    def round(self, real: Tensor) -> Round:
        """Train on real samples (k, N, *shape): k steps of the discriminator, then one of the generator.

        The codes are drawn by the generator of random numbers. Raises ShapeError for fewer than three dimensions.
        """
        if real.ndim < 3 or not len(real):
            raise ShapeError(f"GAN.round: real samples are (steps, N, *shape), got {tuple(real.shape)}.")
        measured = Round(*self._compiled(real).tolist())
        self.history.append(measured)
        return measured

    def fit(
        self,
        draw: Callable[[int, int], Tensor],
        rounds: int,
        batch: int = 128,
        discriminator_steps: int = 1,
        *,
        after_round: Callable[[int], None] | None = None,
        doctor: Doctor | None = None,
    ) -> None:
        """Train for some rounds.

        draw: real samples, (k, N, *shape) of k and N. after_round: called with the number of the round, from 1, such
        as to step schedules. doctor: sees the losses and gradients of each round, and at the end generated samples
        beside real ones.
        """
        for number in range(1, rounds + 1):
            measured = self.round(draw(discriminator_steps, batch))
            if doctor is not None:
                doctor.observe_adversaries(self.loss, measured.discriminator_loss, measured.generator_gradient)
            if after_round is not None:
                after_round(number)
        if doctor is not None:
            doctor.observe_generator(self.sample(SHOWN), draw(1, SHOWN)[0])

    def sample(self, count: int) -> Tensor:
        """New samples, (count, *shape), of the averaged generator in evaluation mode."""
        before = self.averaged.training
        try:
            with no_grad():
                made: Tensor = self.averaged.eval()(randn(count, self.noise))
                return made
        finally:
            self.averaged.train(before)


class _Step:
    """What is compiled: a round. It reads nothing that changes from round to round in Python, as the history does."""

    def __init__(self, gan: GAN) -> None:
        self.generator, self.discriminator, self.averaged = gan.generator, gan.discriminator, gan.averaged
        self.generator_optimizer, self.discriminator_optimizer = gan.generator_optimizer, gan.discriminator_optimizer
        self.noise, self.loss, self.penalty, self.clip, self.average = (
            gan.noise, gan.loss, gan.penalty, gan.clip, gan.average
        )  # fmt: skip

    def run(self, real: Tensor) -> Tensor:
        """Losses and lengths of gradients, in the order of `Round`."""
        for i in range(len(real)):
            judged, slope = self._discriminator_step(real[i])
        made, push = self._generator_step(real.shape[1])
        if self.average:
            self._follow()
        return stack([judged, made, slope, push])

    def _discriminator_step(self, real: Tensor) -> tuple[Tensor, Tensor]:
        with no_grad():
            made = self.generator(randn(real.shape[0], self.noise))
        self.discriminator_optimizer.zero_grad()
        judged = discriminator_loss(self.discriminator(real), self.discriminator(made), self.loss)
        total = judged
        if self.penalty:
            total = judged + self.penalty * gradient_penalty(self.discriminator, real, made)
        total.backward()
        slope = _length(self.discriminator)
        self.discriminator_optimizer.step()
        if self.clip is not None:
            with no_grad():
                for parameter in self.discriminator.parameters():
                    parameter.clamp_(-self.clip, self.clip)
        return judged.detach(), slope

    def _generator_step(self, count: int) -> tuple[Tensor, Tensor]:
        self.generator_optimizer.zero_grad()
        loss = generator_loss(self.discriminator(self.generator(randn(count, self.noise))), self.loss)
        loss.backward(inputs=list(self.generator.parameters()))  # none for the discriminator
        push = _length(self.generator)
        self.generator_optimizer.step()
        return loss.detach(), push

    @no_grad()
    def _follow(self) -> None:
        for mean, parameter in zip(self.averaged.parameters(), self.generator.parameters(), strict=True):
            mean.lerp_(parameter, 1 - self.average)
        for copy, buffer in zip(self.averaged.buffers(), self.generator.buffers(), strict=True):
            copy.copy_(buffer)


def _length(network: nn.Module) -> Tensor:
    """The Euclidean length of all gradients together."""
    squares = [p.grad.detach().float().square().sum() for p in network.parameters() if p.grad is not None]
    return stack(squares).sum().sqrt()


def _check_parameters(name: str, network: nn.Module, optimizer: Optimizer) -> None:
    own = {id(p) for p in network.parameters()}
    if any(id(p) not in own for group in optimizer.param_groups for p in group["params"]):
        raise ValueError(
            f"GAN: the {name}'s optimiser holds a parameter that is not the {name}'s; give it "
            f"{name}.parameters() alone, else a step of one network moves the other."
        )


def dense_generator(noise: int, size: int, hidden: tuple[int, ...] = (128, 128, 128)) -> nn.Sequential:
    """Linear layers with ReLU between them, from codes (N, noise) to samples (N, size)."""
    return _dense((noise, *hidden, size), nn.ReLU)


def dense_discriminator(
    size: int, hidden: tuple[int, ...] = (128, 128, 128), slope: float | None = None
) -> nn.Sequential:
    """Linear layers with leaky ReLU between them, from samples (N, size) to scores (N, 1).

    slope: each weight is divided by its largest singular value, and the scores are multiplied by this, so that the
    score changes at most by `slope` for each unit of distance; None: no bound. With 1, modes that are narrower than a
    unit are hardly told apart: the narrower the data, the larger it must be. Raises ValueError unless it is positive.

    >>> import chainrule
    >>> D, x = dense_discriminator(2, (16,), slope=20.0).eval(), chainrule.randn(100, 2)
    >>> bool(((D(x) - D(x + 0.01)).abs() <= 1.05 * 20 * 0.01 * 2**0.5).all())      # σ is known to some percent
    True
    """
    network = _dense((size, *hidden, 1), lambda: nn.LeakyReLU(0.2))
    if slope is None:
        return network
    if not slope > 0:
        raise ValueError(f"dense_discriminator: the slope is greater than 0, got {slope}.")
    for layer in network:
        if isinstance(layer, nn.Linear):
            nn.utils.parametrizations.spectral_norm(layer)
    return network.append(_Times(slope))


class _Times(nn.Module):
    """Its input times a number."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """Of any shape."""
        return x * self.factor

    def extra_repr(self) -> str:
        """The number."""
        return f"factor={self.factor}"


def _dense(widths: tuple[int, ...], activation: Callable[[], nn.Module]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for n, m in pairwise(widths):
        layers += [nn.Linear(n, m), activation()]
    return nn.Sequential(*layers[:-1])
