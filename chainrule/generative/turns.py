"""A round of adversarial training, as one function of tensors that compiles: steps of both networks.

Labels, where there are any, are given to both networks: G(z, y) is to look real among the real samples of class y.
Source: Mirza and Osindero, "Conditional generative adversarial nets", 2014.
"""

from __future__ import annotations

from chainrule import nn
from chainrule.autodiff.mode import no_grad
from chainrule.functions.pieces import stack
from chainrule.nn.device_of import device_of
from chainrule.nn.losses.generative import KINDS, discriminator_loss, generator_loss, gradient_penalty
from chainrule.optim.optimizer import Optimizer
from chainrule.random import randn
from chainrule.tensor import Tensor


class Turns:
    """Two networks with their optimisers, which may be one: a step moves only what has a gradient.

    It reads nothing that changes from round to round in Python. Arguments are those of `GAN`; `averaged` is the network
    whose weights follow the generator's, or the generator itself. Raises ValueError for numbers out of their ranges.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        optimizers: tuple[Optimizer, Optimizer],
        noise: int,
        *,
        loss: str,
        penalty: float,
        clip: float | None,
        average: float,
        averaged: nn.Module,
    ) -> None:
        if loss not in KINDS:
            raise ValueError(f"GAN: the loss is one of {', '.join(map(repr, KINDS))}, got {loss!r}.")
        if noise < 1 or not penalty >= 0 or not 0 <= average < 1 or (clip is not None and not clip > 0):
            raise ValueError(
                "GAN: noise is 1 or more, the penalty not negative, the average's decay in [0, 1) and clip greater "
                f"than 0, got {noise}, {penalty}, {average} and {clip}."
            )
        self.generator, self.discriminator, self.averaged = generator, discriminator, averaged
        self.generator_optimizer, self.discriminator_optimizer = optimizers
        self.noise, self.loss, self.penalty, self.clip, self.average = noise, loss, penalty, clip, average

    def run(self, real: Tensor, labels: Tensor | None = None) -> Tensor:
        """A round on real samples (k, N, *shape), with their labels (k, N) if the networks take them.

        The answer: the loss of the discriminator in its last step and that of the generator, and the lengths of the
        gradients of both.
        """
        for i in range(len(real)):
            told = () if labels is None else (labels[i],)
            judged, slope = self._discriminator_step(real[i], told)
        made, push = self._generator_step(real.shape[1], told)
        if self.averaged is not self.generator:
            self._follow()
        return stack([judged, made, slope, push])

    def losses(self, real: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Those of the discriminator and the generator for real samples (N, *shape), without learning from them."""
        told = () if labels is None else (labels,)
        with no_grad():
            scores = self.discriminator(self.generator(randn(len(real), self.noise, device=real.device), *told), *told)
            judged = discriminator_loss(self.discriminator(real, *told), scores, self.loss)
            return judged, generator_loss(scores, self.loss)

    def _discriminator_step(self, real: Tensor, told: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        made = self.generator(randn(real.shape[0], self.noise, device=real.device), *told).detach()
        self.discriminator_optimizer.zero_grad()
        judged = discriminator_loss(self.discriminator(real, *told), self.discriminator(made, *told), self.loss)
        total = judged
        if self.penalty:
            total = judged + self.penalty * gradient_penalty(lambda x: self.discriminator(x, *told), real, made)
        total.backward()
        slope = _length(self.discriminator)
        self.discriminator_optimizer.step()
        if self.clip is not None:
            with no_grad():
                for parameter in self.discriminator.parameters():
                    parameter.clamp_(-self.clip, self.clip)
        return judged.detach(), slope

    def _generator_step(self, count: int, told: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        self.generator_optimizer.zero_grad()
        made = self.generator(randn(count, self.noise, device=device_of(self.generator)), *told)
        loss = generator_loss(self.discriminator(made, *told), self.loss)
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
