"""Borders of zeros around rows, planes and volumes, some of them without width: they are all zeros, and only they."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import nn

F = nn.functional
CONVOLVE: dict[int, Any] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}

#: Sizes of images, and how many zeros go around them along each dimension.
BORDERS = [
    ((9,), (2,)),
    ((5, 7), (1, 2)),
    ((5, 7), (2, 0)),
    ((5, 7), (0, 2)),
    ((1, 6), (1, 1)),
    ((6, 1), (2, 1)),
    ((3, 4, 5), (1, 2, 1)),
    ((3, 4, 5), (1, 0, 2)),
    ((3, 4, 5), (0, 1, 1)),
    ((3, 4, 5), (2, 1, 0)),
    ((3, 4, 5), (0, 0, 1)),
    ((1, 4, 1), (1, 1, 1)),
]


@pytest.mark.parametrize(("size", "padding"), BORDERS, ids=str)
@pytest.mark.parametrize(("channels", "results", "groups"), [(16, 32, 1), (3, 4, 1), (16, 16, 16)])
def test_zeros_around_are_zeros_written_out(
    size: tuple[int, ...], padding: tuple[int, ...], channels: int, results: int, groups: int
) -> None:
    """Forward and both gradients. With debug=True memory that nobody has written is no zero."""
    random, n = np.random.default_rng(0), len(size)
    kernel = tuple(min(3, extent + 2 * p) for extent, p in zip(size, padding, strict=True))
    image = random.standard_normal((2, channels, *size))
    weight = random.standard_normal((results, channels // groups, *kernel))
    wide = np.pad(image, ((0, 0), (0, 0), *((p, p) for p in padding)))
    upstream = random.standard_normal((2, results, *(w - k + 1 for w, k in zip(wide.shape[2:], kernel, strict=True))))

    def step(x: Any, w: Any, g: Any, padding: Any) -> tuple[Any, ...]:
        x, w = x.detach().requires_grad_(), w.detach().requires_grad_()
        y = CONVOLVE[n](x * 1.0, w, padding=padding, groups=groups)
        return (y, *chainrule.autograd.grad(y, (x, w), g))

    given = [chainrule.tensor(a) for a in (image, weight, upstream)]
    found = chainrule.compile(step, debug=True)(*given, padding)
    meant = list(step(chainrule.tensor(wide), *given[1:], 0))
    for d, (extent, p) in enumerate(zip(size, padding, strict=True), 2):
        meant[1] = meant[1].narrow(d, p, extent)
    for a, b in zip(found, meant, strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), atol=1e-12)
