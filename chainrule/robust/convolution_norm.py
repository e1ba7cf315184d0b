"""How much a convolution can stretch its input: its largest singular value, without writing its matrix out.

With circular padding and stride 1 the Fourier transform makes the matrix one small block for each frequency, and the
largest singular value of all blocks is exact. With zeros around, or strides, the matrix is a part of the circular one's
on a larger image; so that one's value bounds it from above, and power iteration comes to it from below.

Sources: Sedghi, Gupta and Long, "The singular values of convolutional layers", 2019; Gouk et al., "Regularisation of
neural networks by enforcing Lipschitz continuity", 2021 (power iteration).
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import numpy as np

from chainrule import nn
from chainrule.autodiff.mode import no_grad
from chainrule.autograd.gradient import grad
from chainrule.errors import ShapeError
from chainrule.random import randn


def convolution_norm(layer: nn.Conv2d, input_shape: Sequence[int], steps: int = 100) -> float:
    """The largest ‖layer(x) − layer(y)‖/‖x − y‖ for images (C, H, W) of this shape.

    Exact with circular padding that keeps the size, and stride 1; else by power iteration, which comes from below.
    After 100 steps it lacks less than a thousandth, but where two singular values are so close that either will do.

    Raises ShapeError for another number of channels.

    >>> layer = nn.Conv2d(1, 1, 1, bias=False)
    >>> with no_grad(): _ = layer.weight.fill_(-3.0)
    >>> convolution_norm(layer, (1, 5, 5))
    3.0
    """
    _need_channels(layer, input_shape)
    if is_circular(layer):
        return torus_norm(layer, input_shape[1:])
    return _by_power_iteration(layer, input_shape, steps)


def convolution_bound(layer: nn.Conv2d, input_shape: Sequence[int]) -> float | None:
    """A number that the norm never exceeds; None where none is known (padding by reflection or repetition).

    It is that of the circular convolution on the image with room for its kernel, of which this one is a part.

    >>> layer = nn.Conv2d(2, 3, 3, padding=1, stride=2)
    >>> convolution_norm(layer, (2, 8, 8)) <= convolution_bound(layer, (2, 8, 8))
    True
    """
    _need_channels(layer, input_shape)
    if is_circular(layer):
        return torus_norm(layer, input_shape[1:])
    if layer.padding_mode != "zeros":
        return None
    reach = [d * (k - 1) for d, k in zip(_two(layer.dilation), _two(layer.kernel_size), strict=True)]
    return torus_norm(layer, [size + 2 * more for size, more in zip(input_shape[1:], reach, strict=True)])


def is_circular(layer: nn.Conv2d) -> bool:
    """Whether it is a circular convolution: stride 1, and as much padding around the edges as keeps the size."""
    if layer.padding_mode != "circular" or _two(layer.stride) != (1, 1):
        return False
    if isinstance(layer.padding, str):
        return layer.padding == "same"
    sizes = zip(_two(layer.padding), _two(layer.dilation), _two(layer.kernel_size), strict=True)
    return all(2 * padding == dilation * (kernel - 1) for padding, dilation, kernel in sizes)


def torus_norm(layer: nn.Conv2d, size: Sequence[int]) -> float:
    """The norm of the layer's kernels as a circular convolution with stride 1 of images of this height and width."""
    weight = layer.weight.detach().double().cpu().numpy()
    (down, right), (height, width) = _two(layer.dilation), weight.shape[2:]
    kernels = np.zeros((*weight.shape[:2], *size))
    for i in range(height):  # what is larger than the image comes around
        for j in range(width):
            kernels[:, :, i * down % size[0], j * right % size[1]] += weight[:, :, i, j]
    norms = []
    for group in np.split(kernels, layer.groups):
        blocks = np.moveaxis(np.fft.fft2(group), (2, 3), (0, 1))
        norms.append(np.linalg.svd(blocks, compute_uv=False).max())
    return float(max(norms))


def _by_power_iteration(layer: nn.Conv2d, input_shape: Sequence[int], steps: int) -> float:
    """‖A·v‖ for v that A'·A has been applied to so often."""
    exact = deepcopy(layer).double()
    for parameter in exact.parameters():
        parameter.requires_grad_(False)
    if exact.bias is not None:
        exact.bias.zero_()
    v = randn(1, *input_shape, device=layer.weight.device).double()
    for _ in range(steps):
        start = (v / v.norm().clamp(min=1e-300)).detach_copy().requires_grad_()
        (v,) = grad(0.5 * exact(start).square().sum(), [start])
    with no_grad():
        return float(exact(v / v.norm().clamp(min=1e-300)).norm().item())


def _need_channels(layer: nn.Conv2d, input_shape: Sequence[int]) -> None:
    if len(input_shape) != 3 or input_shape[0] != layer.in_channels:
        raise ShapeError(f"the convolution takes images ({layer.in_channels}, H, W), got {tuple(input_shape)}.")
    with no_grad():
        layer(layer.weight.new_zeros(1, *input_shape))  # raises where it does not fit


def _two(size: Any) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (size[0], size[1])
