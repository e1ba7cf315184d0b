"""Whole flows, built of the parts beside this file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from chainrule import nn
from chainrule.autodiff.mode import no_grad
from chainrule.functions.creation import arange
from chainrule.generative.flows.bijection import Bijection, Chain
from chainrule.generative.flows.coupling import AffineCoupling
from chainrule.generative.flows.flow import Flow
from chainrule.generative.flows.images import LogitScale, MultiScale, Squeeze, channel_mask, checkerboard_mask
from chainrule.generative.flows.planar import Planar
from chainrule.generative.flows.spline import SplineCoupling
from chainrule.tensor import Tensor


def _from_nothing(last: nn.Linear | nn.Conv2d) -> nn.Module:
    """The layer with weights of zero: a coupling begins as the identity."""
    with no_grad():
        for parameter in last.parameters():
            parameter.zero_()
    return last


def _dense(features: int, hidden: Sequence[int], each: int) -> nn.Sequential:
    """Linear layers with tanh between them, `each` parameters for each feature."""
    layers: list[nn.Module] = []
    for n, m in pairwise([features, *hidden]):
        layers += [nn.Linear(n, m), nn.Tanh()]
    return nn.Sequential(*layers, _from_nothing(nn.Linear([features, *hidden][-1], each * features)))


def _convolutional(channels: int, hidden: int, each: int) -> nn.Sequential:
    """Three convolutions that keep the size."""
    return nn.Sequential(
        nn.Conv2d(channels, hidden, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(hidden, hidden, 1),
        nn.ReLU(),
        _from_nothing(nn.Conv2d(hidden, each * channels, 3, padding=1)),
    )


def _every_second(features: int, first: int) -> Tensor:
    """Which features a coupling keeps: every second one, the first where `first` is 1."""
    if features < 2:
        raise ValueError(f"A coupling keeps some features and transforms others: 2 features or more, got {features}.")
    return ((arange(features) + first) % 2).float()


def planar_flow(features: int, layers: int = 16) -> Flow:
    """Planar parts on vectors (N, features)."""
    return Flow(Chain(*(Planar(features) for _ in range(layers))), (features,))


def realnvp(features: int, layers: int = 6, hidden: Sequence[int] = (64, 64)) -> Flow:
    """Affine couplings on vectors (N, features) with two features or more; they keep every second one, in turn.

    >>> import chainrule
    >>> realnvp(2).log_prob(chainrule.zeros(1, 2)).detach()    # before training: N(0, 1), −ln 2π
    tensor([-1.8379])
    """
    return Flow(
        Chain(*(AffineCoupling(_every_second(features, i % 2), _dense(features, hidden, 2)) for i in range(layers))),
        (features,),
    )


def spline_flow(
    features: int, layers: int = 4, hidden: Sequence[int] = (64, 64), bins: int = 8, bound: float = 3.0
) -> Flow:
    """Rational-quadratic spline couplings on vectors (N, features): data should lie within ±bound, nearly all."""
    each = 3 * bins - 1
    return Flow(
        Chain(
            *(
                SplineCoupling(_every_second(features, i % 2), _dense(features, hidden, each), bins, bound)
                for i in range(layers)
            )
        ),
        (features,),
    )


def image_realnvp(
    shape: Sequence[int], levels: int = 2, couplings: int = 4, hidden: int = 32, alpha: float = 0.05
) -> Flow:
    """RealNVP of several scales for images (N, *shape) in [0, 1], shape (C, H, W): `dequantise` makes such of pixels.

    A level has checkerboard couplings, then, but for the last, a squeeze, channel couplings, and half of the channels
    leave. H and W are multiples of 2^(levels − 1). `alpha`: see LogitScale.

    >>> import chainrule
    >>> flow = image_realnvp((1, 8, 8), hidden=8)
    >>> flow.log_prob(chainrule.rand(3, 1, 8, 8)).shape, flow.sample(2).shape
    (Size([3]), Size([2, 1, 8, 8]))
    """
    channels, height, width = shape
    parts, shapes = [], []
    for level in range(levels):
        part: list[Bijection] = [LogitScale(alpha)] if level == 0 else []
        part += [
            AffineCoupling(checkerboard_mask(height, width, i % 2), _convolutional(channels, hidden, 2))
            for i in range(couplings)
        ]
        if level < levels - 1:
            channels, height, width = 4 * channels, height // 2, width // 2
            part.append(Squeeze())
            part += [
                AffineCoupling(channel_mask(channels, i % 2), _convolutional(channels, hidden, 2))
                for i in range(couplings)
            ]
        parts.append(Chain(*part))
        shapes.append((channels, height, width))
        channels //= 2
    return Flow(MultiScale(parts, shapes), (math.prod(shape),))
