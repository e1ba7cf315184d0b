"""Copies into another order of dimensions, large and small: every entry, moved."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule.backends.native.emitting.values import Values
from chainrule.backends.native.emitting.walk import MANY
from chainrule.compiler.single import in_numpy
from chainrule.nn import functional as F
from tests.shorter_vectors import HIDDEN, run_without

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


#: Images whose channels come last, and their size: whole squares of every vector, rests along one or both axes, few.
IMAGES = [(3, 8, 8, 16), (2, 16, 16, 32), (4, 5, 5, 16), (2, 7, 9, 33), (5, 14, 14, 6), (1, 1, 90, 17), (2, 3, 5, 4)]


@pytest.mark.parametrize("size", IMAGES, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int32", "bfloat16", "float16"])
def test_small_images_are_turned_with_what_is_computed_on_the_way(size: tuple[int, ...], dtype: str) -> None:
    """Channels first and last, where a number for each channel, each pixel and each image comes in between."""
    random = np.random.default_rng(0)
    images, channels, pixels, each = (
        random.integers(-9, 9, shape).astype("f8") for shape in (size, size[3:], size[1:3], (size[0], 1, 1, 1))
    )
    x, c, p, e = (chainrule.tensor(a).to(getattr(chainrule, dtype)) for a in (images, channels, pixels, each))

    @chainrule.compile
    def first(x: Any, c: Any, p: Any, e: Any) -> Any:
        return ((x * c + e).permute(0, 3, 1, 2) - p).contiguous()

    @chainrule.compile
    def last(x: Any, c: Any, p: Any, e: Any) -> Any:
        return ((x - p).permute(0, 2, 3, 1) * c + e).contiguous()

    meant = (images * channels + each).transpose(0, 3, 1, 2) - pixels
    np.testing.assert_array_equal(first(x, c, p, e).double().numpy(), meant)
    meant = (images.transpose(0, 3, 1, 2) - pixels).transpose(0, 2, 3, 1) * channels + each
    np.testing.assert_array_equal(last(x.permute(0, 3, 1, 2).contiguous(), c, p, e).double().numpy(), meant)


def test_which_are_turned_in_registers() -> None:
    """Else the others say nothing of it."""
    turn = chainrule.compile(lambda x: (x * 2).permute(0, 3, 1, 2).contiguous())
    for size in IMAGES:
        turn(chainrule.ones(*size))
    nests = [group.nest for known in turn.programs.values() for group in known[-1].compiled.runnable.lowered().groups]
    *turned, few = [Values(nest, "f", 512).turned for nest in nests]
    assert len(turned) + 1 == len(IMAGES) and all(turned) and few is None


def test_random_numbers_do_not_depend_on_the_order_in_which_they_are_made() -> None:
    """What is counted at each place is counted in the order of the tensor, however it is walked."""
    x = chainrule.randn(6, 9, 11, 18)

    def dropped(x: Any) -> Any:
        return F.dropout(x.permute(0, 3, 1, 2), 0.5).contiguous()

    results = []
    for step in (dropped, chainrule.compile(dropped)):
        chainrule.manual_seed(3)
        results.append(step(x).numpy())
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize("hidden", HIDDEN)
def test_shorter_vectors(hidden: str) -> None:
    """The code that processors without AVX-512, or without AVX2, run."""
    source = """
from tests import test_compiler_turned_copies as t
for size in t.IMAGES:
    for dtype in ("float32", "float64", "bfloat16", "int64"):
        t.test_small_images_are_turned_with_what_is_computed_on_the_way(size, dtype)
"""
    run_without(hidden, source)
