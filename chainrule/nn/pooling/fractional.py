"""Fractional max pooling: windows at random places, so that the size can shrink by any factor."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from chainrule.errors import ShapeError
from chainrule.functions.creation import arange
from chainrule.functions.pieces import cat
from chainrule.nn.convolution.layers import batched, per_dimension
from chainrule.nn.module import Module
from chainrule.random import rand
from chainrule.tensor import Tensor


def _fractional_max_pool(
    dimensions: int, input: Tensor, kernel_size: Any, output_size: Any, output_ratio: Any, _random_samples: Any
) -> tuple[Tensor, Tensor]:
    name = f"fractional_max_pool{dimensions}d"
    x, alone = batched(input, dimensions, name)
    kernel = per_dimension(kernel_size, dimensions, "kernel_size")
    inside = tuple(x.shape[2:])
    sizes = _output_sizes(inside, kernel, output_size, output_ratio, name)
    n, channels = x.shape[:2]
    samples = (
        rand(n, channels, dimensions, dtype=x.dtype, device=x.device) if _random_samples is None else _random_samples
    )
    if tuple(samples.shape) != (n, channels, dimensions):
        raise ShapeError(
            f"{name}: the random samples have shape {(n, channels, dimensions)}, got {tuple(samples.shape)}."
        )
    # In images the first sample is the width's; in volumes each dimension has its own in order. PyTorch's rule.
    order = range(dimensions) if dimensions == 3 else range(dimensions - 1, -1, -1)
    places = arange(1, device=x.device).reshape((1,) * (2 + 2 * dimensions))
    for i, (axis, extent) in enumerate(zip(order, inside, strict=True)):
        starts = _starts(samples[..., axis].detach(), extent, sizes[i], kernel[i])
        shape = [n, channels, *[1] * (2 * dimensions)]
        shape[2 + i], shape[2 + dimensions + i] = sizes[i], kernel[i]
        along = (starts.unsqueeze(-1) + arange(kernel[i], device=x.device)).reshape(shape)
        places = places * extent + along
    flat = places.reshape(n, channels, math.prod(sizes) * math.prod(kernel))
    windows = x.flatten(2).gather(2, flat).reshape(n, channels, *sizes, math.prod(kernel))
    values, chosen = windows.max(-1)
    indices = flat.reshape(windows.shape).gather(-1, chosen.unsqueeze(-1)).squeeze(-1)
    return (values.squeeze(0), indices.squeeze(0)) if alone else (values, indices)


def _output_sizes(
    inside: tuple[int, ...], kernel: tuple[int, ...], output_size: Any, output_ratio: Any, name: str
) -> tuple[int, ...]:
    if output_size is None and output_ratio is None:
        raise ValueError(f"{name} takes output_size or output_ratio, got neither.")
    if output_size is not None:
        sizes = per_dimension(output_size, len(inside), "output_size")
    else:
        ratios = output_ratio if isinstance(output_ratio, Sequence) else (output_ratio,) * len(inside)
        if len(ratios) != len(inside):
            raise ShapeError(f"{name}: output_ratio is one number or {len(inside)}, got {output_ratio!r}.")
        sizes = tuple(int(n * ratio) for n, ratio in zip(inside, ratios, strict=True))
    if any(out < 1 or out + k - 1 > n for n, out, k in zip(inside, sizes, kernel, strict=True)):
        raise ShapeError(f"{name}: {sizes} windows of {kernel} do not fit into {inside}.")
    return sizes


def _starts(sample: Tensor, size: int, out: int, kernel: int) -> Tensor:
    """Where the windows begin, (N, C, out): ⌊α(i + u)⌋ − ⌊αu⌋, α = (size − kernel)/(out − 1); the last at the end."""
    last = sample.unsqueeze(-1).long() * 0 + (size - kernel)
    if out == 1:
        return last
    alpha = (size - kernel) / (out - 1)
    first = sample.unsqueeze(-1)
    first = first.float() if first.dtype.itemsize < 4 else first  # halves cannot say where in a large image
    inner = ((arange(out - 1, dtype=first.dtype, device=first.device) + first) * alpha).long() - (first * alpha).long()
    return cat([inner, last], -1)


def fractional_max_pool2d(
    input: Tensor,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Any:
    """The largest entries of randomly placed windows of (N, C, H, W) or (C, H, W).

    Window i of a dimension begins at ⌊α(i + u)⌋ − ⌊αu⌋ with α = (n − kernel)/(out − 1) and one u, uniform in [0, 1),
    for each sample and channel: steps of ⌊α⌋ and ⌈α⌉ mixed. The size of the output is `output_size`, or `output_ratio`
    times that of the input. `_random_samples` (N, C, 2) are the u to be used. With `return_indices` also where each
    entry stood in the flattened image.

    Raises ShapeError where the windows do not fit, ValueError for neither size nor ratio.

    Source: Graham, "Fractional max-pooling", 2014.

    >>> import chainrule
    >>> fractional_max_pool2d(chainrule.ones(20, 16, 50, 32), 3, output_ratio=0.7).shape
    Size([20, 16, 35, 22])
    """
    found = _fractional_max_pool(2, input, kernel_size, output_size, output_ratio, _random_samples)
    return found if return_indices else found[0]


def fractional_max_pool3d(
    input: Tensor,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Any:
    """The largest entries of randomly placed windows of (N, C, D, H, W); see `fractional_max_pool2d`.

    >>> import chainrule
    >>> fractional_max_pool3d(chainrule.ones(1, 2, 8, 9, 10), 2, output_size=5).shape
    Size([1, 2, 5, 5, 5])
    """
    found = _fractional_max_pool(3, input, kernel_size, output_size, output_ratio, _random_samples)
    return found if return_indices else found[0]


def fractional_max_pool2d_with_indices(
    input: Tensor,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """As `fractional_max_pool2d`, always with the places."""
    return _fractional_max_pool(2, input, kernel_size, output_size, output_ratio, _random_samples)


def fractional_max_pool3d_with_indices(
    input: Tensor,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """As `fractional_max_pool3d`, always with the places."""
    return _fractional_max_pool(3, input, kernel_size, output_size, output_ratio, _random_samples)


class _FractionalMaxPool(Module):
    """What the fractional pooling layers share."""

    dimensions = 0

    def __init__(
        self,
        kernel_size: Any,
        output_size: Any = None,
        output_ratio: Any = None,
        return_indices: bool = False,
        _random_samples: Tensor | None = None,
    ) -> None:
        super().__init__()
        n = self.dimensions
        if (output_size is None) == (output_ratio is None):
            raise ValueError(f"give output_size or output_ratio, one of them, got {output_size} and {output_ratio}.")
        self.kernel_size = per_dimension(kernel_size, n, "kernel_size")
        self.return_indices = return_indices
        self.register_buffer("_random_samples", _random_samples)
        self.output_size = None if output_size is None else per_dimension(output_size, n, "output_size")
        ratios = tuple(output_ratio) if isinstance(output_ratio, (tuple, list)) else (output_ratio,) * n
        if output_ratio is not None and not all(0 < ratio < 1 for ratio in ratios):
            raise ValueError(f"output_ratio lies between 0 and 1, got {output_ratio}.")
        self.output_ratio = None if output_ratio is None else ratios

    def forward(self, input: Tensor) -> Any:
        """See the class."""
        found = _fractional_max_pool(
            self.dimensions, input, self.kernel_size, self.output_size, self.output_ratio, self._random_samples
        )
        return found if self.return_indices else found[0]


class FractionalMaxPool2d(_FractionalMaxPool):
    """The largest entries of randomly placed windows; arguments as `functional.fractional_max_pool2d`.

    Random in evaluation too, as in PyTorch.

    >>> import chainrule
    >>> FractionalMaxPool2d(3, output_size=(13, 12))(chainrule.ones(20, 16, 50, 32)).shape
    Size([20, 16, 13, 12])
    """

    dimensions = 2


class FractionalMaxPool3d(_FractionalMaxPool):
    """The largest entries of randomly placed windows of volumes; see `functional.fractional_max_pool2d`.

    >>> import chainrule
    >>> FractionalMaxPool3d(2, output_ratio=0.5)(chainrule.ones(1, 2, 8, 8, 8)).shape
    Size([1, 2, 4, 4, 4])
    """

    dimensions = 3
