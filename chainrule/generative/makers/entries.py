"""Generative models in the registry: `chainrule train vae --data digits`; `chainrule models vae` says its options."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from chainrule import nn
from chainrule.generative.convolutional import ToldDiscriminator, ToldGenerator, dcgan_discriminator, dcgan_generator
from chainrule.generative.gan import dense_discriminator, dense_generator
from chainrule.generative.makers.adversaries import Adversaries
from chainrule.generative.makers.likelihoods import DiffusionMaker, FlowMaker, PixelMaker, VAEMaker
from chainrule.models.registry import register

IMAGE = (1, 28, 28)


def _fit(shape: Sequence[int], outputs: int) -> dict[str, Any]:
    return {"shape": list(shape)}


def _fit_classes(shape: Sequence[int], outputs: int) -> dict[str, Any]:
    return {"shape": list(shape), "num_classes": outputs}


def _fit_levels(shape: Sequence[int], outputs: int) -> dict[str, Any]:
    return {"shape": list(shape), "levels": outputs}


_ABOUT: dict[str, Any] = {"task": "generation", "data": "images", "input": IMAGE}


@register("vae", paper="Kingma and Welling 2014", fit=_fit, **_ABOUT)
def vae(shape: Sequence[int] = IMAGE, hidden: Any = (200, 200), code: int = 50, beta: float = 1.0) -> VAEMaker:
    """A variational autoencoder of linear layers, on black and white pixels."""
    return VAEMaker(shape, hidden, code, beta)


@register("realnvp", paper="Dinh, Sohl-Dickstein and Bengio 2017", fit=_fit_levels, **_ABOUT)
def realnvp(shape: Sequence[int] = IMAGE, levels: int = 256, hidden: int = 32) -> FlowMaker:
    """A normalising flow of several scales."""
    return FlowMaker(shape, levels, hidden)


@register("pixelcnn", paper="van den Oord, Kalchbrenner and Kavukcuoglu 2016", fit=_fit_levels, **_ABOUT)
def pixelcnn(shape: Sequence[int] = IMAGE, levels: int = 256, width: int = 32, depth: int = 5) -> PixelMaker:
    """Pixels one after the other; fewer `levels` than the data's are less to learn, and other bits per dimension."""
    return PixelMaker(shape, levels, width, depth)


@register("ddpm", paper="Ho, Jain and Abbeel 2020", fit=_fit_classes, **_ABOUT)
def ddpm(
    shape: Sequence[int] = IMAGE,
    steps: int = 1000,
    base: int = 32,
    widths: Any = (1, 2, 2),
    schedule: str = "linear",
    conditional: bool = False,
    num_classes: int = 10,
) -> DiffusionMaker:
    """A diffusion model; `conditional` makes it learn classes; the schedule is "linear" or "cosine"."""
    return DiffusionMaker(shape, steps, base, widths, num_classes if conditional else 0, schedule)


def _told(told: int, generator: nn.Module, discriminator: nn.Module) -> tuple[nn.Module, nn.Module]:
    """Both networks, which are told one of so many classes beside; 0: as they are."""
    if not told:
        return generator, discriminator
    return ToldGenerator(generator, told), ToldDiscriminator(discriminator, told)


def _convolutional(
    shape: Sequence[int], noise: int, base: int, normalisation: str, told: int
) -> tuple[nn.Module, nn.Module]:
    """DCGAN's two networks; `told` as in `_told`, and `normalisation` of the discriminator."""
    discriminator = dcgan_discriminator((shape[0] + told, *shape[1:]), base, normalisation)
    return _told(told, dcgan_generator(noise + told, shape, base), discriminator)


@register("gan", paper="Goodfellow et al. 2014", fit=_fit_classes, **_ABOUT)
def gan(
    shape: Sequence[int] = IMAGE,
    noise: int = 64,
    hidden: Any = (256, 256),
    loss: str = "non_saturating",
    average: float = 0.99,
    conditional: bool = False,
    num_classes: int = 10,
) -> Adversaries:
    """Linear layers against linear layers; loss "minimax", "non_saturating" or "least_squares"."""
    size, told = math.prod(shape), num_classes if conditional else 0
    hidden = (hidden,) if isinstance(hidden, int) else tuple(hidden)
    generator = nn.Sequential(dense_generator(noise + told, size, hidden), nn.Tanh())
    discriminator = dense_discriminator(size + told, hidden)
    flat = _told(told, generator, discriminator)
    return Adversaries(shape, _Shaped(flat[0], shape), _Flat(flat[1]), noise, classes=told, loss=loss, average=average)


@register("dcgan", paper="Radford, Metz and Chintala 2016", fit=_fit_classes, **_ABOUT)
def dcgan(
    shape: Sequence[int] = IMAGE,
    noise: int = 64,
    base: int = 32,
    loss: str = "non_saturating",
    normalisation: str = "batch",
    average: float = 0.99,
    conditional: bool = False,
    num_classes: int = 10,
) -> Adversaries:
    """Convolutions against convolutions; normalisation of the discriminator "batch", "spectral" or "none"."""
    told = num_classes if conditional else 0
    networks = _convolutional(shape, noise, base, normalisation, told)
    return Adversaries(shape, *networks, noise, classes=told, loss=loss, average=average)


@register("wgan-gp", paper="Gulrajani et al. 2017", fit=_fit_classes, **_ABOUT)
def wgan_gp(
    shape: Sequence[int] = IMAGE,
    noise: int = 64,
    base: int = 32,
    penalty: float = 10.0,
    discriminator_steps: int = 5,
    average: float = 0.99,
    conditional: bool = False,
    num_classes: int = 10,
) -> Adversaries:
    """DCGAN's networks with a Wasserstein loss and a gradient penalty; a batch is divided among the critic's steps."""
    told = num_classes if conditional else 0
    networks = _convolutional(shape, noise, base, "none", told)
    return Adversaries(
        shape, *networks, noise, classes=told, loss="wasserstein", penalty=penalty, average=average,
        discriminator_steps=discriminator_steps,
    )  # fmt: skip


class _Shaped(nn.Module):
    """A generator of vectors as one of images."""

    def __init__(self, network: nn.Module, shape: Sequence[int]) -> None:
        super().__init__()
        self.network, self.shape = network, tuple(shape)

    def forward(self, *inputs: Any) -> Any:
        """Codes, and classes if it is told any."""
        return self.network(*inputs).reshape(-1, *self.shape)


class _Flat(nn.Module):
    """A discriminator of vectors as one of images."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Any, *told: Any) -> Any:
        """Images, and classes if it is told any."""
        return self.network(x.flatten(1), *told)
