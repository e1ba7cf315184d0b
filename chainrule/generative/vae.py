"""The variational autoencoder.

A decoder turns a code z from N(0, 1) into a distribution p(x|z); an encoder guesses the code, q(z|x), a normal
distribution. For every q

    ln p(x)  ≥  E_q[ln p(x|z)] − KL(q(z|x) ‖ p(z))          the evidence lower bound (ELBO),

because the difference is KL(q(z|x) ‖ p(z|x)). Both networks are trained to raise the bound. Its gradient passes through
the sample z = μ(x) + σ(x)·ε (the reparametrisation trick). After training the encoder is only needed to find codes; new
data come from z ~ N(0, 1).

Sources: Kingma and Welling, "Auto-encoding variational Bayes", 2014; Burda, Grosse and Salakhutdinov, "Importance
weighted autoencoders", 2016 (the tighter bound); Higgins et al., "β-VAE", 2017; T 4.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from chainrule import nn
from chainrule.autodiff.mode import no_grad
from chainrule.distributions import Bernoulli, Distribution, Independent, Normal, kl_divergence
from chainrule.errors import ShapeError
from chainrule.functions.creation import ones, zeros
from chainrule.functions.pieces import stack
from chainrule.nn.device_of import device_of
from chainrule.random import randn
from chainrule.tensor import Tensor

LIKELIHOODS = ("bernoulli", "normal")


class Elbo(NamedTuple):
    """The bound and its two parts, one number for each sample, in nats: total = reconstruction − β·divergence."""

    total: Tensor
    reconstruction: Tensor
    divergence: Tensor


class VAE(nn.Module):
    """A variational autoencoder of any encoder and decoder.

    Args:
        encoder: from samples (N, *shape) to (N, 2·code): the codes' means, then the logarithms of their variances.
        decoder: from codes (N, code) to (N, *shape): the logits of pixels that are 0 or 1 ("bernoulli"), or the means
            of numbers ("normal").
        code: how many numbers are in a code.
        likelihood: "bernoulli" or "normal".
        deviation: the standard deviation of "normal".

    Train by minimising `-model.elbo(x).total.mean()`. Raises ShapeError where the encoder or decoder gives another
    shape, NumberRangeError for pixels other than 0 and 1 under "bernoulli" (`bernoulli(x)` or `(x > 0.5).float()` makes
    such of grey ones).
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        code: int,
        likelihood: str = "bernoulli",
        deviation: float = 1.0,
    ) -> None:
        super().__init__()
        if likelihood not in LIKELIHOODS:
            raise ValueError(f"VAE: the likelihood is 'bernoulli' or 'normal', got {likelihood!r}.")
        if not deviation > 0:
            raise ValueError(f"VAE: a standard deviation is greater than 0, got {deviation}.")
        self.encoder, self.decoder, self.code = encoder, decoder, code
        self.kind, self.deviation = likelihood, deviation

    def posterior(self, x: Tensor) -> Independent:
        """q(z|x), over codes (N, code)."""
        both = self.encoder(x)
        if tuple(both.shape[1:]) != (2 * self.code,):
            raise ShapeError(f"VAE: the encoder gives (N, {2 * self.code}), got {tuple(both.shape)}.")
        mean, log_variance = both.chunk(2, 1)
        return Independent(Normal(mean, (0.5 * log_variance).exp()), 1)

    def prior(self) -> Independent:
        """p(z) = N(0, 1)."""
        device = device_of(self)
        return Independent(Normal(zeros(self.code, device=device), ones(self.code, device=device)), 1)

    def likelihood(self, z: Tensor) -> Independent:
        """p(x|z) for codes (…, code), over samples (…, *shape)."""
        flat = self.decoder(z.reshape(-1, self.code))
        shaped = flat.reshape(*z.shape[:-1], *flat.shape[1:])
        pixels: Distribution = Bernoulli(logits=shaped) if self.kind == "bernoulli" else Normal(shaped, self.deviation)
        return Independent(pixels, flat.ndim - 1)

    def elbo(self, x: Tensor, samples: int = 1, beta: float = 1.0) -> Elbo:
        """The bound for each of x, (N, *shape), with the expectation over `samples` codes and the divergence exact.

        beta: the weight of the divergence; the result bounds ln p(x) for 1 (and more).
        """
        q = self.posterior(x)
        reconstruction = self.likelihood(q.rsample((samples,))).log_prob(x).mean(0)
        divergence = kl_divergence(q, self.prior().expand(q.batch_shape))
        return Elbo(reconstruction - beta * divergence, reconstruction, divergence)

    def importance_bound(self, x: Tensor, samples: int, chunk: int = 100) -> Tensor:
        """ln (1/k)·Σᵢ p(x, zᵢ)/q(zᵢ|x) for k = `samples` codes, (N,): in expectation above the ELBO and below ln p(x).

        It rises to ln p(x) as k grows. `chunk` codes are decoded at once.
        """
        if samples < 1 or chunk < 1:
            raise ValueError(f"importance_bound: samples and chunk are 1 or more, got {samples} and {chunk}.")
        q, prior = self.posterior(x), self.prior()
        sums = []
        for start in range(0, samples, chunk):
            z = q.rsample((min(chunk, samples - start),))
            weights = self.likelihood(z).log_prob(x) + prior.log_prob(z) - q.log_prob(z)
            sums.append(weights.logsumexp(0))
        return stack(sums).logsumexp(0) - math.log(samples)

    def forward(self, x: Tensor) -> Tensor:
        """Reconstructions: the mean of p(x|z) at the mean code."""
        return self.likelihood(self.posterior(x).mean).mean

    def sample(self, count: int) -> Tensor:
        """New data: the mean of p(x|z) for codes drawn from N(0, 1), (count, *shape); for pixels, their probabilities.

        Codes come from the prior: the encoder has no part in it.
        """
        with no_grad():
            return self.likelihood(randn(count, self.code, device=device_of(self))).mean

    def interpolate(self, first: Tensor, second: Tensor, steps: int) -> Tensor:
        """Data between two samples (*shape): (steps, *shape), decoded on the line between their mean codes."""
        if steps < 2:
            raise ValueError(f"interpolate: 2 steps or more, the ends among them, got {steps}.")
        with no_grad():
            start, end = self.posterior(stack([first, second])).mean
            return stack([self.likelihood(start + (end - start) * (i / (steps - 1))).mean for i in range(steps)])

    def traverse(self, x: Tensor, number: int, values: Sequence[float]) -> Tensor:
        """What one number of the code stands for: (len(values), *shape), with that number of x's code set to each."""
        if not 0 <= number < self.code:
            raise IndexError(f"traverse: a code has the numbers 0 to {self.code - 1}, got {number}.")
        with no_grad():
            code = self.posterior(x.unsqueeze(0)).mean.repeat(len(values), 1)
            code[:, number] = code.new_tensor(list(values))
            return self.likelihood(code).mean


def dense_vae(
    shape: Sequence[int], hidden: Sequence[int] = (200, 200), code: int = 50, likelihood: str = "bernoulli"
) -> VAE:
    """A VAE of linear layers with tanh between them; the decoder has the encoder's widths the other way round.

    >>> import chainrule
    >>> sum(p.numel() for p in dense_vae((28, 28)).parameters())    # 217,300 and 207,984
    425284
    """
    size = math.prod(shape)
    down, up = [size, *hidden], [code, *reversed(hidden)]
    encoder: list[nn.Module] = [nn.Flatten()]
    decoder: list[nn.Module] = []
    for layers, widths in ((encoder, down), (decoder, up)):
        for n, m in pairwise(widths):
            layers += [nn.Linear(n, m), nn.Tanh()]
    encoder.append(nn.Linear(down[-1], 2 * code))
    decoder += [nn.Linear(up[-1], size), nn.Unflatten(1, tuple(shape))]
    return VAE(nn.Sequential(*encoder), nn.Sequential(*decoder), code, likelihood)
