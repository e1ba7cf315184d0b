"""Generative models as `chainrule train` knows them: pixels in, losses and pixels out. Their entries in the registry.

maker          what all have in common
likelihoods    a VAE, a flow, a PixelCNN and a diffusion model on pixels
adversaries    a generator and its discriminator in one module
entries        vae, realnvp, pixelcnn, ddpm, gan, dcgan, wgan-gp
"""

from chainrule.generative.makers.adversaries import Adversaries
from chainrule.generative.makers.likelihoods import DiffusionMaker, FlowMaker, PixelMaker, VAEMaker
from chainrule.generative.makers.maker import Maker

__all__ = ["Adversaries", "DiffusionMaker", "FlowMaker", "Maker", "PixelMaker", "VAEMaker"]
