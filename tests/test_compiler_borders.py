"""An image in a program's memory has zeros around it; a part of it, or another view of it, has its own border."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule.nn import functional as F

#: Views of images (2, C, 6, 6) that are convolved again, and the kernel's extents.
VIEWS: dict[str, tuple[Callable[[Any], Any], tuple[int, ...]]] = {
    "all": (lambda v: v, (3, 3)),
    "one image": (lambda v: v[1:], (3, 3)),
    "images backwards": (lambda v: v.flip(0), (3, 3)),
    "channels backwards": (lambda v: v.flip(1), (3, 3)),
    "without the first row": (lambda v: v[:, :, 1:], (3, 3)),
    "without the last columns": (lambda v: v[..., :-2], (3, 3)),
    "the first rows": (lambda v: v[:, :, :3], (3, 3)),
    "every second row": (lambda v: v[:, :, ::2], (3, 3)),
    "rows backwards": (lambda v: v.flip(2), (3, 3)),
    "turned": (lambda v: v.mT, (3, 1)),
    "one row": (lambda v: v[:, :, 0], (3,)),
    "one column": (lambda v: v[..., 2], (3,)),
    "one row in all places": (lambda v: v[:, :, :1].expand(2, v.shape[1], 6, 6), (3, 3)),
    "one image for all": (lambda v: v[:1].expand(3, v.shape[1], 6, 6), (3, 3)),
    "in one line": (lambda v: v.reshape(2, v.shape[1], 36), (3,)),
    "another size": (lambda v: v.reshape(2, v.shape[1], 4, 9), (3, 3)),
    "images of rows": (lambda v: v.transpose(1, 2), (3, 3)),
}


def numbers(*shape: int) -> Any:
    return chainrule.tensor(np.random.default_rng(0).standard_normal(shape))


@pytest.mark.parametrize("channels", [3, 16])
@pytest.mark.parametrize("padding", [(1, 1), (1, 0), (2, 2)])
@pytest.mark.parametrize("name", VIEWS)
def test_a_view_of_a_convolved_image_is_convolved(name: str, padding: tuple[int, int], channels: int) -> None:
    view, kernel = VIEWS[name]
    x = numbers(2, channels, 6, 6)
    seen = view(x)
    weights = numbers(13, channels, 3, 3), numbers(13, seen.shape[1], *kernel)
    convolve = F.conv2d if len(kernel) == 2 else F.conv1d
    border = tuple(k // 2 for k in kernel)

    def step(x: Any) -> Any:
        v = x.tanh()
        w, u = (weight.detach().requires_grad_() for weight in weights)
        y, z = F.conv2d(v, w, padding=padding), convolve(view(v), u, padding=border)
        (y.square().sum() + z.square().sum()).backward()
        return y, z, w.grad, u.grad

    for have, want in zip(chainrule.compile(step)(x), step(x), strict=True):
        np.testing.assert_allclose(have.detach().numpy(), want.detach().numpy(), rtol=1e-10, atol=1e-10)
