"""Copies into another order of dimensions, large enough that a cache does not hold them: every entry, moved."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule.backends.native.emitting.walk import MANY
from chainrule.compiler.single import in_numpy
from chainrule.nn import functional as F

#: Shapes and orders: weights of convolutions there and back, what is no multiple of a vector, few and many dimensions.
ORDERS = {
    "weight to tiles": ((130, 61, 3, 3), (2, 3, 1, 0)),
    "tiles to weight": ((3, 3, 61, 130), (3, 2, 0, 1)),
    "tiles to the other weight": ((3, 3, 61, 130), (2, 3, 0, 1)),
    "one dimension": ((5, 97, 144), (2, 1, 0)),
    "three dimensions": ((2, 3, 3, 40, 101), (4, 3, 0, 1, 2)),
    "a kernel in the middle": ((70, 3, 5, 71), (3, 0, 1, 2)),
    "both ends long": ((300, 241), (1, 0)),
    "short rows": ((9000, 9), (1, 0)),
    "short columns": ((9, 9000), (1, 0)),
    "a few of each": ((15, 15, 15, 23), (3, 2, 1, 0)),
}


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "bool", "bfloat16"])
@pytest.mark.parametrize("name", ORDERS)
def test_every_entry_arrives(name: str, dtype: str) -> None:
    shape, order = ORDERS[name]
    random = np.random.default_rng(0)
    numbers = random.integers(0, 2 if dtype == "bool" else 120, shape).astype("f4")
    assert numbers.size >= MANY
    x = chainrule.tensor(numbers).to(getattr(chainrule, dtype))
    moved = chainrule.compile(lambda x: x.permute(*order).reshape(-1))(x)
    assert moved.dtype == x.dtype
    np.testing.assert_array_equal(moved.float().numpy(), numbers.transpose(order).ravel())


@pytest.mark.parametrize("size", [(130, 60, 3, 3), (72, 200, 5), (33, 250, 3, 3)])
def test_gradients_of_large_weights(size: tuple[int, ...]) -> None:
    """Eager convolutions turn their weights into the order of tiles, and the gradients back."""
    generator = chainrule.Generator().manual_seed(0)
    weight = chainrule.randn(*size, generator=generator, requires_grad=True)
    x = chainrule.randn(4, size[1], *[9] * (len(size) - 2), generator=generator, requires_grad=True)
    convolve: Any = F.conv1d if len(size) == 3 else F.conv2d

    def results() -> list[Any]:
        y = convolve(x, weight, padding=1)
        return [y.detach(), *chainrule.autograd.grad(y.square().sum(), [x, weight])]

    ours = results()
    with in_numpy():
        meant = results()
    for a, b in zip(ours, meant, strict=True):
        assert chainrule.allclose(a, b, rtol=1e-4, atol=1e-4 * b.abs().max().item())
