"""Adversaries for images: networks of convolutions (DCGAN), and networks that are told a class.

Sources: Radford, Metz and Chintala, "Unsupervised representation learning with deep convolutional generative
adversarial networks", 2016; Mirza and Osindero, "Conditional generative adversarial nets", 2014.
"""

from __future__ import annotations

from collections.abc import Sequence

from chainrule import nn
from chainrule.errors import ShapeError
from chainrule.functions.counting import one_hot
from chainrule.functions.pieces import cat
from chainrule.tensor import Tensor


def dcgan_generator(noise: int, shape: Sequence[int], base: int = 32) -> nn.Sequential:
    """From codes (N, noise) to images (N, C, H, W) within [−1, 1]: a quarter of the size, doubled twice.

    base: channels before the last convolution; H and W are multiples of 4. Transposed convolutions, batch normalisation
    and ReLU; weights begin with a standard deviation of 0.02, as in the paper. Raises ShapeError for other sizes.

    >>> import chainrule
    >>> dcgan_generator(10, (1, 28, 28), base=4)(chainrule.randn(2, 10)).shape
    Size([2, 1, 28, 28])
    """
    channels, height, width = _quarters(shape)
    return _started(
        nn.Sequential(
            nn.Linear(noise, 2 * base * height * width),
            nn.Unflatten(1, (2 * base, height, width)),
            nn.BatchNorm2d(2 * base),
            nn.ReLU(),
            nn.ConvTranspose2d(2 * base, base, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(base),
            nn.ReLU(),
            nn.ConvTranspose2d(base, channels, 4, stride=2, padding=1),
            nn.Tanh(),
        )
    )


def dcgan_discriminator(shape: Sequence[int], base: int = 32, normalisation: str = "batch") -> nn.Sequential:
    """From images (N, C, H, W) to scores (N, 1): two convolutions of stride 2 with leaky ReLU, then a linear layer.

    normalisation: "batch"; "spectral" (each weight divided by its largest singular value); "none", as a gradient
    penalty needs it, which is about each sample alone. Raises ShapeError for sizes that are no multiples of 4.

    >>> import chainrule
    >>> dcgan_discriminator((1, 28, 28), base=4)(chainrule.zeros(2, 1, 28, 28)).shape
    Size([2, 1])
    """
    if normalisation not in ("batch", "spectral", "none"):
        raise ValueError(f"dcgan_discriminator: normalisation is 'batch', 'spectral' or 'none', got {normalisation!r}.")
    channels, height, width = _quarters(shape)
    network = _started(
        nn.Sequential(
            nn.Conv2d(channels, base, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(base, 2 * base, 4, stride=2, padding=1),
            *([nn.BatchNorm2d(2 * base)] if normalisation == "batch" else []),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
            nn.Linear(2 * base * height * width, 1),
        )
    )
    if normalisation == "spectral":
        for layer in network:
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.utils.parametrizations.spectral_norm(layer)
    return network


class ToldGenerator(nn.Module):
    """A generator that is told a class: G(z, y) is the network at (z, one-hot y).

    Args:
        network: from (N, noise + classes).
        classes: how many there are.

    >>> import chainrule
    >>> G = ToldGenerator(nn.Linear(5 + 3, 2), 3)
    >>> G(chainrule.randn(4, 5), chainrule.tensor([0, 1, 2, 0])).shape
    Size([4, 2])
    """

    def __init__(self, network: nn.Module, classes: int) -> None:
        super().__init__()
        self.network, self.classes = network, classes

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """Codes (N, noise) and classes (N,) to samples."""
        return self.network(cat([z, one_hot(labels, self.classes).to(z.dtype)], 1))


class ToldDiscriminator(nn.Module):
    """A discriminator that is told a class: the network sees it as further features, or as channels of an image.

    Args:
        network: from (N, D + classes), or (N, C + classes, H, W).
        classes: how many there are.
    """

    def __init__(self, network: nn.Module, classes: int) -> None:
        super().__init__()
        self.network, self.classes = network, classes

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """Samples and classes (N,) to scores."""
        told = one_hot(labels, self.classes).to(x.dtype)
        told = told.reshape(*told.shape, *[1] * (x.ndim - 2)).expand(*told.shape, *x.shape[2:])
        return self.network(cat([x, told], 1))


def _quarters(shape: Sequence[int]) -> tuple[int, int, int]:
    channels, height, width = shape
    if height % 4 or width % 4:
        raise ShapeError(f"DCGAN: images (C, H, W) of a height and width that are multiples of 4, got {tuple(shape)}.")
    return channels, height // 4, width // 4


def _started(network: nn.Sequential) -> nn.Sequential:
    for layer in network:
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(layer.weight, std=0.02)
    return network
