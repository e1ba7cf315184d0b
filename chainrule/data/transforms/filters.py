"""Images smoothed by a Gaussian, whose width may differ from image to image."""

from __future__ import annotations

from typing import Any

from chainrule.data.transforms.geometry import pad
from chainrule.data.transforms.images import on_floats, per_image
from chainrule.errors import ShapeError
from chainrule.functions.creation import arange
from chainrule.tensor import Tensor


def gaussian_blur(img: Any, kernel_size: Any, sigma: Any = None) -> Any:
    """Smoothed by a Gaussian of standard deviation `sigma`, cut to `kernel_size` pixels; mirrored at the border.

    kernel_size: an odd number, or (along x, along y). sigma: a number, a pair, or for a batch a tensor (N,); unless
    given 0.3·((kernel_size − 1)/2 − 1) + 0.8. The weights exp(−i²/2σ²) are made to add up to 1; the blur is one along
    x and one along y. Raises ValueError for an even kernel or a sigma of 0.

    >>> import chainrule
    >>> gaussian_blur(chainrule.tensor([[[0.0, 0.0, 1.0, 0.0, 0.0]]]), (3, 1), 1.0)
    tensor([[[0.0000, 0.2741, 0.4519, 0.2741, 0.0000]]])
    """
    sizes = (kernel_size, kernel_size) if isinstance(kernel_size, int) else tuple(kernel_size)
    if len(sizes) != 2 or any(not isinstance(k, int) or k < 1 or k % 2 == 0 for k in sizes):
        raise ValueError(f"kernel_size is an odd number of pixels or two of them, got {kernel_size!r}.")
    if sigma is None:
        sigma = tuple(0.3 * ((k - 1) / 2 - 1) + 0.8 for k in sizes)
    sigmas = (sigma, sigma) if isinstance(sigma, (int, float, Tensor)) else tuple(sigma) * (2 // len(sigma))
    if any(not isinstance(s, Tensor) and s <= 0 for s in sigmas):
        raise ValueError(f"sigma is above 0, got {sigma!r}.")

    def blurred(x: Tensor) -> Tensor:
        if sizes[0] // 2 >= x.shape[-1] or sizes[1] // 2 >= x.shape[-2]:
            raise ShapeError(f"gaussian_blur: a kernel of {sizes} is too large for images {tuple(x.shape)}.")
        for axis, size, deviation in ((-1, sizes[0], sigmas[0]), (-2, sizes[1], sigmas[1])):
            x = smooth(x, axis, size, deviation)
        return x

    return on_floats(img, blurred)


def smooth(x: Tensor, axis: int, size: int, sigma: Any) -> Tensor:
    """A Gaussian of `size` pixels along one axis (−1 or −2) of a batch."""
    reach, extent = size // 2, x.shape[axis]
    offsets = arange(-reach, reach + 1).to(x.dtype)
    sigma = per_image(sigma.to(x.dtype), 2) if isinstance(sigma, Tensor) else sigma
    weights = (-0.5 * (offsets / sigma) ** 2).exp()
    weights = (weights / weights.sum(-1, keepdim=True)).reshape(-1, size)  # (N or 1, size)
    x = pad(x, (reach, 0) if axis == -1 else (0, reach), padding_mode="reflect")
    total: Tensor | None = None
    for k in range(size):
        part = x.narrow(axis, k, extent) * weights[:, k].reshape(-1, 1, 1, 1)
        total = part if total is None else total + part
    assert total is not None
    return total


__all__ = ["gaussian_blur"]
