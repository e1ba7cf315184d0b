"""Autoencoders: an encoder to few numbers, a decoder back, and nothing but the data to learn from.

    x ── encoder ── code ── decoder ── x′        loss: the difference of x′ and x

A code that is too small blurs, one that is too large copies. Without nonlinearities the best autoencoder is the
projection on the principal components (`chainrule.models.pca`, whose `autoencoder()` is one to start from); groups in
the codes are found by `chainrule.models.kmeans`. A denoising autoencoder gets a noisy image and is to give the clean
one: copying is of no use then. For few labels the decoder is thrown away and a classifier put on the encoder
(`chainrule.transfer.pretrain_then_classify`).

Sources: Hinton and Salakhutdinov, "Reducing the dimensionality of data with neural networks", 2006; Vincent et al.,
"Extracting and composing robust features with denoising autoencoders", 2008.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

from chainrule import nn
from chainrule.autodiff.mode import no_grad
from chainrule.errors import ShapeError
from chainrule.functions.creation import linspace
from chainrule.models.images import check_images
from chainrule.models.registry import register
from chainrule.random import randn_like
from chainrule.tensor import Tensor

ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "none": nn.Identity}


class Autoencoder(nn.Module):
    """An encoder and a decoder, one after the other.

    Args:
        encoder: from samples (N, …) to codes (N, code).
        decoder: from codes to samples.
        noise: the standard deviation of what is added to the input in training; the loss takes the clean one.

    >>> import chainrule
    >>> model = Autoencoder(nn.Linear(8, 2), nn.Linear(2, 8))
    >>> model(chainrule.zeros(3, 8)).shape, model.encode(chainrule.zeros(3, 8)).shape
    (Size([3, 8]), Size([3, 2]))
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module, noise: float = 0.0) -> None:
        super().__init__()
        if not noise >= 0:
            raise ValueError(f"the noise has a standard deviation of at least 0, got {noise}.")
        self.encoder, self.decoder, self.noise = encoder, decoder, noise
        self.differs_in_training = noise > 0

    def encode(self, x: Tensor) -> Tensor:
        """The codes of samples."""
        return self.encoder(x)

    def decode(self, code: Tensor) -> Tensor:
        """Samples from codes."""
        return self.decoder(code)

    def forward(self, x: Tensor) -> Tensor:
        """The samples again."""
        if self.training and self.noise:
            x = x + self.noise * randn_like(x)
        return self.decode(self.encode(x))


class DenseAutoencoder(Autoencoder):
    """Linear layers down to the code and up again; the samples are flattened and get their shape back.

    Input and output (N, *shape).

    Args:
        shape: of one sample.
        hidden: units of the layers before the code; the decoder has them the other way round.
        code: numbers in a code.
        activation: "relu", "tanh", "sigmoid"; with "none" it can do no more than principal components.
        noise: see `Autoencoder`.

    >>> import chainrule
    >>> model = DenseAutoencoder((1, 8, 8), hidden=[32], code=4)
    >>> model(chainrule.zeros(2, 1, 8, 8)).shape
    Size([2, 1, 8, 8])
    """

    def __init__(
        self,
        shape: Sequence[int] = (1, 28, 28),
        hidden: int | Sequence[int] = (128,),
        code: int = 32,
        activation: str = "relu",
        noise: float = 0.0,
    ) -> None:
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation is one of {', '.join(ACTIVATIONS)}, got {activation!r}.")
        sizes = [math.prod(shape), *([hidden] if isinstance(hidden, int) else hidden), code]
        act = ACTIVATIONS[activation]
        down, up = _linear(sizes, act), _linear(sizes[::-1], act)
        super().__init__(nn.Sequential(nn.Flatten(), *down), nn.Sequential(*up, nn.Unflatten(1, tuple(shape))), noise)
        self.shape = tuple(shape)

    def encode(self, x: Tensor) -> Tensor:
        """The codes (N, code) of samples (N, *shape)."""
        if tuple(x.shape[1:]) != self.shape:
            raise ShapeError(f"takes samples (N, {', '.join(map(str, self.shape))}), got {tuple(x.shape)}.")
        return super().encode(x)


def _linear(sizes: Sequence[int], activation: type[nn.Module]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for i, (before, after) in enumerate(itertools.pairwise(sizes)):
        layers += [activation()] if i else []
        layers.append(nn.Linear(before, after))
    return layers


class ConvAutoencoder(Autoencoder):
    """Convolutions of stride 2 down to a small map, a linear layer to the code, and the same way back.

    Input and output (N, in_channels, image_size, image_size).

    Args:
        in_channels: 1 for grey images, 3 for colour.
        image_size: a multiple of 2 to the number of convolutions.
        channels: of the convolutions.
        code: numbers in a code.
        noise: see `Autoencoder`.

    Raises ShapeError for a size that cannot be halved so often.

    >>> import chainrule
    >>> model = ConvAutoencoder(1, 16, channels=[4, 8], code=5)
    >>> model(chainrule.zeros(2, 1, 16, 16)).shape, model.encode(chainrule.zeros(2, 1, 16, 16)).shape
    (Size([2, 1, 16, 16]), Size([2, 5]))
    """

    def __init__(
        self,
        in_channels: int = 1,
        image_size: int = 32,
        channels: Sequence[int] = (16, 32),
        code: int = 32,
        noise: float = 0.0,
    ) -> None:
        side, left = image_size // 2 ** len(channels), image_size % 2 ** len(channels)
        if left or not side:
            raise ShapeError(
                f"images of {image_size}×{image_size} cannot be halved {len(channels)} times; resize them."
            )
        down: list[nn.Module] = []
        up: list[nn.Module] = []
        for before, after in zip([in_channels, *channels], channels):
            down += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.ReLU()]
            up = [nn.ReLU(), nn.ConvTranspose2d(after, before, 4, stride=2, padding=1), *up]
        flat = channels[-1] * side**2
        super().__init__(
            nn.Sequential(*down, nn.Flatten(), nn.Linear(flat, code)),
            nn.Sequential(nn.Linear(code, flat), nn.Unflatten(1, (channels[-1], side, side)), *up),
            noise,
        )
        self.in_channels, self.image_size = in_channels, image_size

    def encode(self, x: Tensor) -> Tensor:
        """The codes (N, code) of images."""
        check_images(x, self.in_channels, self.image_size)
        return super().encode(x)


@no_grad()
def interpolate_codes(model: Autoencoder, first: Tensor, second: Tensor, steps: int = 8) -> Tensor:
    """What the decoder makes of the codes on the way from one sample to another: (steps, …), both ends included.

    first, second: samples without the batch dimension.

    >>> import chainrule
    >>> model = DenseAutoencoder((4,), hidden=[3], code=2)
    >>> interpolate_codes(model, chainrule.zeros(4), chainrule.ones(4), steps=5).shape
    Size([5, 4])
    """
    training = model.training
    model.eval()
    try:
        start, end = model.encode(first.unsqueeze(0)), model.encode(second.unsqueeze(0))
        share = linspace(0.0, 1.0, steps, dtype=start.dtype, device=start.device).unsqueeze(1)
        return model.decode(start + share * (end - start))
    finally:
        model.train(training)


def _fit_dense(shape: Sequence[int], outputs: int) -> dict[str, Any]:
    return {"shape": list(shape)}


_ABOUT: dict[str, Any] = {"task": "reconstruction", "data": "images"}
_HINTON, _VINCENT = "Hinton and Salakhutdinov 2006", "Vincent et al. 2008"


@register("autoencoder_dense", input=(1, 28, 28), paper=_HINTON, fit=_fit_dense, **_ABOUT)
def autoencoder_dense(**options: Any) -> DenseAutoencoder:
    """A `DenseAutoencoder` with these options."""
    return DenseAutoencoder(**options)


@register("autoencoder_conv", input=(1, 32, 32), paper=_HINTON, **_ABOUT)
def autoencoder_conv(**options: Any) -> ConvAutoencoder:
    """A `ConvAutoencoder` with these options."""
    return ConvAutoencoder(**options)


@register("autoencoder_denoising", input=(1, 32, 32), paper=_VINCENT, **_ABOUT)
def autoencoder_denoising(**options: Any) -> ConvAutoencoder:
    """A `ConvAutoencoder` that gets noise of standard deviation 1 in training."""
    return ConvAutoencoder(**{"noise": 1.0, **options})
