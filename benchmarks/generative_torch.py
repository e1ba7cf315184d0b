"""PyTorch's side of `benchmarks.generative_steps`: the same networks and losses, as scripts of the field have them.

Each function takes `wrap` (`torch.compile`, or what leaves a function as it is), and answers with the modules in the
order of our parameters and a step: from a batch of images in [0, 1], (N, 1, 28, 28), to the loss.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.generative_steps import RATE

Wrap = Callable[[Any], Any]
Made = tuple[list[nn.Module], Callable[[torch.Tensor], torch.Tensor]]


def learning(network: nn.Module, loss: Callable[[torch.Tensor], torch.Tensor]) -> Made:
    """A network that one optimiser trains."""
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE)

    def step(x: torch.Tensor) -> torch.Tensor:
        optimizer.zero_grad()
        value = loss(x)
        value.backward()
        optimizer.step()
        return value

    return [network], step


def vae(wrap: Wrap) -> Made:
    """784-200-200-50, on black and white pixels."""
    encoder = nn.Sequential(
        nn.Flatten(), nn.Linear(784, 200), nn.Tanh(), nn.Linear(200, 200), nn.Tanh(), nn.Linear(200, 100)
    )
    decoder = nn.Sequential(
        nn.Linear(50, 200), nn.Tanh(), nn.Linear(200, 200), nn.Tanh(), nn.Linear(200, 784), nn.Unflatten(1, (1, 28, 28))
    )

    def loss(x: torch.Tensor) -> torch.Tensor:
        x = torch.bernoulli(x)
        mean, log_variance = encoder(x).chunk(2, 1)
        z = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)
        reconstruction = F.binary_cross_entropy_with_logits(decoder(z), x, reduction="sum")
        divergence = 0.5 * (log_variance.exp() + mean**2 - 1 - log_variance).sum()
        return (reconstruction + divergence) / len(x)

    return learning(nn.ModuleList([encoder, decoder]), wrap(loss))


def generator() -> nn.Module:
    """DCGAN's."""
    return nn.Sequential(
        nn.Linear(64, 64 * 49), nn.Unflatten(1, (64, 7, 7)), nn.BatchNorm2d(64), nn.ReLU(),
        nn.ConvTranspose2d(64, 32, 4, 2, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU(),
        nn.ConvTranspose2d(32, 1, 4, 2, 1), nn.Tanh(),
    )  # fmt: skip


def discriminator(batch_norm: bool) -> nn.Module:
    """DCGAN's."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(32, 64, 4, 2, 1),
        *([nn.BatchNorm2d(64)] if batch_norm else []), nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(64 * 49, 1),
    )  # fmt: skip


def adversaries(D: nn.Module, wrap: Wrap, steps: int, judge: Any, made: Any) -> Made:
    """Steps of D, each on its part of the batch, then one of G; each has its optimiser.

    `judge` answers with D's loss and what is minimised, `made` with G's loss for the scores.
    """
    G = generator()
    g_rule, d_rule = (torch.optim.Adam(network.parameters(), lr=RATE, betas=(0.5, 0.999)) for network in (G, D))
    g, d = wrap(G), wrap(D)

    def step(images: torch.Tensor) -> torch.Tensor:
        for x in (2 * images - 1).chunk(steps):
            fake = g(torch.randn(len(x), 64)).detach()
            d_rule.zero_grad()
            loss, total = judge(d, x, fake)
            total.backward()
            d_rule.step()
        g_rule.zero_grad()
        made(d(g(torch.randn(len(x), 64)))).backward()
        g_rule.step()
        return loss

    return [G, D], step


def dcgan(wrap: Wrap) -> Made:
    """With the non-saturating loss."""

    def judge(d: Any, x: torch.Tensor, fake: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        loss = F.softplus(-d(x)).mean() + F.softplus(d(fake)).mean()
        return loss, loss

    return adversaries(discriminator(True), wrap, 1, judge, lambda scores: F.softplus(-scores).mean())


def wgan_gp(wrap: Wrap) -> Made:
    """Five steps of the critic, with the gradient penalty; `torch.compile` has no second derivatives."""

    def judge(d: Any, x: torch.Tensor, fake: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        share = torch.rand(len(x), 1, 1, 1)
        between = (share * x + (1 - share) * fake).requires_grad_()
        (slope,) = torch.autograd.grad(d(between).sum(), between, create_graph=True)
        penalty = ((slope.flatten(1).norm(dim=1) - 1) ** 2).mean()
        loss = d(fake).mean() - d(x).mean()
        return loss, loss + 10 * penalty

    return adversaries(discriminator(False), wrap, 5, judge, lambda scores: -scores.mean())


class Coupling(nn.Module):
    """x·exp(s) + t where the mask is 0."""

    def __init__(self, mask: torch.Tensor, channels: int, hidden: int = 32) -> None:
        super().__init__()
        last = nn.Conv2d(hidden, 2 * channels, 3, padding=1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.largest = nn.Parameter(torch.ones(1))
        self.network = nn.Sequential(
            nn.Conv2d(channels, hidden, 3, padding=1), nn.ReLU(), nn.Conv2d(hidden, hidden, 1), nn.ReLU(), last
        )
        self.register_buffer("mask", mask)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The result and ln |det|."""
        scale, shift = self.network(self.mask * x).chunk(2, 1)
        scale = (1 - self.mask) * self.largest * scale.tanh()
        return x * scale.exp() + (1 - self.mask) * shift, scale.flatten(1).sum(1)


class RealNVP(nn.Module):
    """Two levels, four couplings of each kind."""

    def __init__(self) -> None:
        super().__init__()

        def board(size: int, i: int) -> torch.Tensor:
            return ((torch.arange(size)[:, None] + torch.arange(size) + i % 2) % 2).float()[None]

        def halves(i: int) -> torch.Tensor:
            return ((torch.arange(4) < 2).float() if i % 2 else (torch.arange(4) >= 2).float())[:, None, None]

        self.first = nn.ModuleList([Coupling(board(28, i), 1) for i in range(4)])
        self.second = nn.ModuleList([Coupling(halves(i), 4) for i in range(4)])
        self.third = nn.ModuleList([Coupling(board(14, i), 2) for i in range(4)])

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Bits per dimension, the mean."""
        x = 0.05 + 0.9 * ((images * 255).round() + torch.rand_like(images)) / 256
        z = x.log() - (-x).log1p()
        total = (math.log(0.9) + F.softplus(z) + F.softplus(-z)).flatten(1).sum(1)
        for part in self.first:
            z, stretch = part(z)
            total = total + stretch
        z = F.pixel_unshuffle(z, 2)
        for part in self.second:
            z, stretch = part(z)
            total = total + stretch
        code, z = z.chunk(2, 1)
        for part in self.third:
            z, stretch = part(z)
            total = total + stretch
        codes = torch.cat([code.flatten(1), z.flatten(1)], 1)
        nats = total - 0.5 * (codes**2 + math.log(2 * math.pi)).sum(1)
        return (8 - nats / (784 * math.log(2))).mean()


def realnvp(wrap: Wrap) -> Made:
    """In bits per dimension."""
    model = RealNVP()
    return learning(model, wrap(model))


class Block(nn.Module):
    """Two convolutions with a shortcut, told the time."""

    def __init__(self, before: int, channels: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(8, before), nn.Conv2d(before, channels, 3, padding=1)
        self.time = nn.Linear(128, channels)
        self.norm2, self.conv2 = nn.GroupNorm(8, channels), nn.Conv2d(channels, channels, 3, padding=1)
        self.shortcut = nn.Identity() if before == channels else nn.Conv2d(before, channels, 1)

    def forward(self, x: torch.Tensor, told: torch.Tensor) -> torch.Tensor:
        """Images and what is told."""
        y = self.conv1(F.silu(self.norm1(x))) + self.time(told)[:, :, None, None]
        return self.shortcut(x) + self.conv2(F.silu(self.norm2(y)))


class UNet(nn.Module):
    """32, 64 and 64 channels, with attention at the bottom."""

    def __init__(self) -> None:
        super().__init__()
        self.time = nn.Sequential(nn.Linear(32, 128), nn.SiLU(), nn.Linear(128, 128))
        self.first = nn.Conv2d(1, 32, 3, padding=1)
        self.down = nn.ModuleList([Block(32, 32), Block(32, 64), Block(64, 64)])
        self.narrow = nn.ModuleList([nn.Conv2d(c, c, 3, stride=2, padding=1) for c in (32, 64)])
        self.bottom = nn.ModuleList([Block(64, 64) for _ in range(2)])
        self.norm, self.project, self.out = nn.GroupNorm(8, 64), nn.Conv2d(64, 192, 1), nn.Conv2d(64, 64, 1)
        self.up = nn.ModuleList([Block(128, 64), Block(128, 64), Block(96, 32)])
        self.widen = nn.ModuleList([nn.Conv2d(64, 64, 3, padding=1) for _ in range(2)])
        self.norm2, self.last = nn.GroupNorm(8, 32), nn.Conv2d(32, 1, 3, padding=1)

    def forward(self, x: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
        """The noise in x."""
        frequencies = torch.exp(torch.arange(16) * (-math.log(10_000) / 16))
        angles = times[:, None].float() * frequencies
        told = F.silu(self.time(torch.cat([angles.cos(), angles.sin()], 1)))
        x = self.first(x)
        beside = []
        for level, block in enumerate(self.down):
            x = block(x, told)
            beside.append(x)
            if level < 2:
                x = self.narrow[level](x)
        x = self.bottom[0](x, told)
        queries, keys, values = self.project(self.norm(x)).flatten(2).transpose(1, 2).chunk(3, 2)
        mixed = F.scaled_dot_product_attention(queries, keys, values)
        x = self.bottom[1](x + self.out(mixed.transpose(1, 2).reshape(x.shape)), told)
        for level, block in enumerate(self.up):
            x = block(torch.cat([x, beside.pop()], 1), told)
            if level < 2:
                x = self.widen[level](F.interpolate(x, scale_factor=2, mode="nearest"))
        return self.last(F.silu(self.norm2(x)))


def ddpm(wrap: Wrap) -> Made:
    """The mean squared error of the noise."""
    network = UNet()
    kept = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000), 0)

    def loss(images: torch.Tensor) -> torch.Tensor:
        x, times = 2 * images - 1, torch.randint(1, 1001, (len(images),))
        noise, share = torch.randn_like(x), kept[times - 1].reshape(-1, 1, 1, 1)
        return ((network(share.sqrt() * x + (1 - share).sqrt() * noise, times) - noise) ** 2).mean()

    return learning(network, wrap(loss))


class Masked(nn.Conv2d):
    """A convolution that sees only places before its own, and ("B") its own."""

    def __init__(self, before: int, channels: int, size: int, kind: str) -> None:
        super().__init__(before, channels, size, padding=size // 2)
        mask = torch.zeros_like(self.weight)
        mask[:, :, : size // 2] = 1
        mask[:, :, size // 2, : size // 2 + (kind == "B")] = 1
        self.register_buffer("mask", mask)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Of the same size."""
        return F.conv2d(x, self.weight * self.mask, self.bias, padding=self.padding)


class PixelBlock(nn.Module):
    """Narrow, look around, wide again."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.Sequential(
            nn.ReLU(), Masked(32, 16, 1, "B"), nn.ReLU(), Masked(16, 16, 3, "B"), nn.ReLU(), Masked(16, 32, 1, "B")
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """With a shortcut."""
        return x + self.parts(x)


def pixelcnn(wrap: Wrap) -> Made:
    """In bits per dimension, with 256 levels."""
    network = nn.Sequential(
        Masked(1, 32, 7, "A"), *[PixelBlock() for _ in range(5)], nn.ReLU(), Masked(32, 32, 1, "B"), nn.ReLU(),
        Masked(32, 256, 1, "B"),
    )  # fmt: skip

    def loss(images: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(network(2 * images - 1), (images[:, 0] * 255).round().long()) / math.log(2)

    return learning(network, wrap(loss))


def pgd(wrap: Wrap) -> Made:
    """Adversarial training with seven steps of PGD for each of the network."""
    network = nn.Sequential(
        nn.Conv2d(1, 32, 4, 2, 1), nn.ReLU(), nn.Conv2d(32, 64, 4, 2, 1), nn.ReLU(), nn.Flatten(),
        nn.Linear(64 * 49, 200), nn.ReLU(), nn.Linear(200, 10),
    )  # fmt: skip
    run = wrap(network)

    def loss(images: torch.Tensor) -> torch.Tensor:
        labels = torch.arange(len(images)) % 10
        moved = (images + 0.6 * torch.rand_like(images) - 0.3).clamp(0, 1)
        for _ in range(7):
            moved.requires_grad_()
            (slope,) = torch.autograd.grad(F.cross_entropy(run(moved), labels, reduction="sum"), moved)
            moved = (images + (moved.detach() + 0.1 * slope.sign() - images).clamp(-0.3, 0.3)).clamp(0, 1)
        return F.cross_entropy(run(moved), labels)

    return learning(network, loss)
