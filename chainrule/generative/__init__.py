"""Models of data that can be sampled from.

    vae         a variational autoencoder: codes with a distribution, a bound on the likelihood, samples from codes
    gan         a generator against a discriminator: the losses, penalties and averages of adversarial training
    gaussians   narrow normal distributions on a ring or a grid, to count what a generator covers
    flows       normalising flows: an exact likelihood by a change of variables, samples by the inverse
    diffusion   data made out of noise, step by step, by a network that finds noise
    pixels      an image as a sequence of pixels, each drawn after those before it: an exact likelihood
    two_moons   points in the plane whose density and entropy are known, to judge models by

>>> import chainrule
>>> from chainrule import generative
>>> model = generative.dense_vae((8, 8), hidden=(32,), code=4)
>>> x = (chainrule.rand(5, 8, 8) > 0.5).float()
>>> model.elbo(x).total.shape, model.sample(3).shape
(Size([5]), Size([3, 8, 8]))
"""

from chainrule.generative import diffusion as diffusion
from chainrule.generative import flows as flows
from chainrule.generative.diffusion import Diffusion, image_diffusion
from chainrule.generative.gan import GAN, Round, dense_discriminator, dense_generator
from chainrule.generative.gaussians import Gaussians, grid, ring
from chainrule.generative.pixels import PixelCNN
from chainrule.generative.two_moons import TwoMoons
from chainrule.generative.vae import VAE, Elbo, dense_vae

__all__ = [
    "GAN",
    "VAE",
    "Diffusion",
    "Elbo",
    "Gaussians",
    "PixelCNN",
    "Round",
    "TwoMoons",
    "dense_discriminator",
    "dense_generator",
    "dense_vae",
    "diffusion",
    "flows",
    "grid",
    "image_diffusion",
    "ring",
]
