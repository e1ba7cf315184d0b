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
from typing import TYPE_CHECKING, Any, NamedTuple

from chainrule import nn
from chainrule.autodiff.mode import no_grad
from chainrule.compiler.function import compile
from chainrule.errors import ShapeError
from chainrule.generative.turns import Turns
from chainrule.nn.device_of import device_of
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
        _check_parameters("generator", generator, generator_optimizer)
        _check_parameters("discriminator", discriminator, discriminator_optimizer)
        self.generator, self.discriminator = generator, discriminator
        self.generator_optimizer, self.discriminator_optimizer = generator_optimizer, discriminator_optimizer
        self.noise, self.loss, self.penalty, self.clip, self.average = noise, loss, penalty, clip, average
        self.averaged = deepcopy(generator).eval() if average else generator
        self.history: list[Round] = []
        turns = Turns(
            generator, discriminator, (generator_optimizer, discriminator_optimizer), noise,
            loss=loss, penalty=penalty, clip=clip, average=average, averaged=self.averaged,
        )  # fmt: skip
        self._compiled = compile(turns.run)

    def round(self, real: Tensor, labels: Tensor | None = None) -> Round:
        """Train on real samples (k, N, *shape): k steps of the discriminator, then one of the generator.

        labels: (k, N), given to both networks as a second argument, where they take one. The codes are drawn by
        the generator of random numbers. Raises ShapeError for fewer than three dimensions.
        """
        if real.ndim < 3 or not len(real):
            raise ShapeError(f"GAN.round: real samples are (steps, N, *shape), got {tuple(real.shape)}.")
        if labels is not None and tuple(labels.shape) != tuple(real.shape[:2]):
            raise ShapeError(f"GAN.round: labels are {tuple(real.shape[:2])}, got {tuple(labels.shape)}.")
        measured = Round(*self._compiled(real, labels).tolist())
        self.history.append(measured)
        return measured

    def fit(
        self,
        draw: Callable[[int, int], Any],
        rounds: int,
        batch: int = 128,
        discriminator_steps: int = 1,
        *,
        after_round: Callable[[int], None] | None = None,
        doctor: Doctor | None = None,
    ) -> None:
        """Train for some rounds.

        draw: real samples, (k, N, *shape) of k and N, or a pair of them and their labels (k, N).
        after_round: called with the number of the round, from 1, such as to step schedules.
        doctor: sees the losses and gradients of each round, and at the end generated samples beside real ones.
        """
        for number in range(1, rounds + 1):
            measured = self.round(*_pair(draw(discriminator_steps, batch)))
            if doctor is not None:
                doctor.observe_adversaries(self.loss, measured.discriminator_loss, measured.generator_gradient)
            if after_round is not None:
                after_round(number)
        if doctor is not None:
            real, labels = _pair(draw(1, SHOWN))
            doctor.observe_generator(self.sample(SHOWN, None if labels is None else labels[0]), real[0])

    def sample(self, count: int, labels: Tensor | None = None) -> Tensor:
        """New samples, (count, *shape), of the averaged generator in evaluation mode; labels: (count,)."""
        before = self.averaged.training
        told = () if labels is None else (labels,)
        try:
            with no_grad():
                made: Tensor = self.averaged.eval()(randn(count, self.noise, device=device_of(self.averaged)), *told)
                return made
        finally:
            self.averaged.train(before)


def _pair(drawn: Any) -> tuple[Tensor, Tensor | None]:
    """Samples and labels of what was drawn."""
    return (drawn[0], drawn[1]) if isinstance(drawn, tuple | list) else (drawn, None)


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
    size: int, hidden: tuple[int, ...] = (128, 128, 128), slope: float | None = None, packing: int = 1
) -> nn.Sequential:
    """Linear layers with leaky ReLU between them, from samples (N, size) to scores (N / packing, 1).

    packing: so many samples are judged at once, as real or generated together. Where the generator repeats itself, two
    of its samples are alike more often than two real ones, which none of them shows alone. Batches are multiples of
    it, else a ShapeError is raised. Source: Lin, Khetan, Fanti and Oh, "PacGAN", 2018.

    slope: each weight is divided by its largest singular value, and the scores are multiplied by this, so that the
    score changes at most by `slope` for each unit of distance; None: no bound. With 1, modes that are narrower than a
    unit are hardly told apart: the narrower the data, the larger it must be.

    With a slope the weights begin orthogonal, the biases at 0. Divided by its largest singular value, a random matrix
    shrinks most directions to a half or less, and a few layers of them pass on hardly anything of the slope that is
    allowed; of an orthogonal one all singular values are 1. Source: Brock, Donahue and Simonyan, "Large scale GAN
    training", 2019.

    Raises ValueError for a slope that is not positive or a packing below 1.

    >>> import chainrule
    >>> D, x = dense_discriminator(2, (16,), slope=20.0).eval(), chainrule.randn(100, 2)
    >>> bool(((D(x) - D(x + 0.01)).abs() <= 1.05 * 20 * 0.01 * 2**0.5).all())      # σ is known to some percent
    True
    """
    if packing < 1:
        raise ValueError(f"dense_discriminator: packing is 1 or more, got {packing}.")
    network = _dense((packing * size, *hidden, 1), lambda: nn.LeakyReLU(0.2))
    if packing > 1:
        network.insert(0, _Pack(packing))
    if slope is None:
        return network
    if not slope > 0:
        raise ValueError(f"dense_discriminator: the slope is greater than 0, got {slope}.")
    for layer in network:
        if isinstance(layer, nn.Linear):
            nn.init.orthogonal_(layer.weight)
            nn.init.zeros_(layer.bias)
            nn.utils.parametrizations.spectral_norm(layer)
    return network.append(_Times(slope))


class _Pack(nn.Module):
    """Samples (N, size) side by side, (N / count, count * size)."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def forward(self, x: Tensor) -> Tensor:
        """Those that follow each other are put together."""
        if len(x) % self.count:
            raise ShapeError(f"A discriminator of {self.count} samples at once takes a multiple of them, got {len(x)}.")
        return x.reshape(len(x) // self.count, -1)

    def extra_repr(self) -> str:
        """The number."""
        return f"count={self.count}"


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
