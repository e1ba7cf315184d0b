"""Models of data that can be sampled from.

    vae     a variational autoencoder: codes with a distribution, a bound on the likelihood, samples from codes

>>> import chainrule
>>> from chainrule import generative
>>> model = generative.dense_vae((8, 8), hidden=(32,), code=4)
>>> x = (chainrule.rand(5, 8, 8) > 0.5).float()
>>> model.elbo(x).total.shape, model.sample(3).shape
(Size([5]), Size([3, 8, 8]))
"""

from chainrule.generative.vae import VAE, Elbo, dense_vae

__all__ = ["VAE", "Elbo", "dense_vae"]
