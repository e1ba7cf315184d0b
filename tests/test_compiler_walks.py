"""How loops walk over large arrays: sums of columns side by side, values made again, rows of a product divided."""

from __future__ import annotations

import copy
import math
import re
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule.backends.native import builder
from chainrule.backends.native.emitting import kernels
from chainrule.backends.native.emitting.walk import walk
from chainrule.backends.native.lowering.nest import Nest
from chainrule.compiler.single import in_numpy
from chainrule.nn import functional as F
from tests.together import together

RANDOM = np.random.default_rng(0)


def normal(*shape: int, dtype: Any = np.float32) -> Any:
    """Random numbers as a tensor."""
    return chainrule.tensor(RANDOM.standard_normal(shape).astype(dtype))


def megabytes(compiled: Any) -> float:
    """How much working memory a compiled function says that it takes."""
    found = re.search(r"([\d.]+) MB of working memory", compiled.explain())
    assert found is not None
    return float(found[1])


# ------------------------------------------------------------------------------------- sums of columns

#: Rows and columns: one vector, several, with a rest; short and long columns; columns cut into pieces.
TABLES = [(3, 32), (700, 33), (129, 64), (4099, 96), (4096, 128), (2500, 130)]


@together([(table, kind) for table in TABLES for kind in (np.float32, np.float64)], lambda case: case[1].__name__)
def test_sums_of_columns(case: Any) -> None:
    """One sum, two at once, largest entries and where they are, sums that wait for sums: as NumPy has them."""
    (rows, columns), dtype = case
    x, y = normal(rows, columns, dtype=dtype), normal(rows, columns, dtype=dtype)

    def sums(x: Any, y: Any) -> Any:
        centred = x - x.mean(0, keepdim=True)
        return x.sum(0), (x * y).sum(0), y.sum(0), (centred * centred).mean(0), x.amax(0), x.argmax(0)

    found = chainrule.compile(sums)(x, y)
    a, b = (t.numpy().astype(np.float64) for t in (x, y))
    expected = a.sum(0), (a * b).sum(0), b.sum(0), a.var(0), a.max(0), a.argmax(0)
    room = 8 * rows * np.finfo(dtype).eps
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs, atol=room, rtol=room)


@pytest.mark.parametrize("shape", [(8, 64, 33, 17), (8, 24, 16, 16), (3, 48, 40, 40), (32, 512, 4, 4)])
def test_batch_norm_of_large_images(shape: Any) -> None:
    """Compiled as eager, with its gradients, on any number of threads with the same bits."""
    x, weight, bias, g = normal(*shape), normal(shape[1]), normal(shape[1]), normal(*shape)
    x.requires_grad_(), weight.requires_grad_(), bias.requires_grad_()

    def step(x: Any, weight: Any, bias: Any, g: Any) -> Any:
        y = F.batch_norm(x * 2, None, None, weight, bias, training=True).relu()
        return y, *chainrule.autograd.grad((y * g).sum(), [x, weight, bias])

    before, answers = chainrule.get_num_threads(), []
    try:
        for threads in (1, 3):
            chainrule.set_num_threads(threads)
            answers.append([t.detach().numpy() for t in chainrule.compile(step)(x, weight, bias, g)])
    finally:
        chainrule.set_num_threads(before)
    for one, other, eager in zip(*answers, step(x, weight, bias, g), strict=True):
        assert (one == other).all()
        np.testing.assert_allclose(one, eager.detach().numpy(), atol=2e-4 * max(1.0, float(np.abs(one).max())))


# ------------------------------------------------------------------------------------- made again, not written


def test_what_is_left_of_an_image_is_not_written() -> None:
    """x − μ goes into two sums and a result: each makes it again from x, so there is no memory for it."""
    x = normal(16, 64, 32, 32)

    @chainrule.compile
    def norm(x: Any) -> Any:
        return F.batch_norm(x, None, None, training=True)

    mean = x.numpy().mean((0, 2, 3), keepdims=True)
    centred = x.numpy() - mean
    expected = centred / np.sqrt((centred**2).mean((0, 2, 3), keepdims=True) + 1e-5)
    np.testing.assert_allclose(norm(x).numpy(), expected, atol=1e-5)
    assert megabytes(norm) < x.numel() * 4 / 2**20 * 1.5  # x with channels last, and no more


def test_made_again_from_what_is_written_over() -> None:
    """A parameter that moves is read for what is made of it before it has moved."""
    p, scale = normal(512, 256), normal(256)
    start = p.numpy()

    @chainrule.compile
    def move() -> Any:
        scaled = p * scale
        total, square = scaled.sum(), (scaled * scaled).sum(0)
        p.copy_(p - square)
        return total, square, scaled.sum(1)

    total, square, rows = move()
    product = start.astype(np.float64) * scale.numpy()
    np.testing.assert_allclose(total.item(), product.sum(), atol=2e-2)
    np.testing.assert_allclose(square.numpy(), (product**2).sum(0), rtol=1e-4)
    np.testing.assert_allclose(rows.numpy(), product.sum(1), atol=1e-4)
    np.testing.assert_allclose(p.numpy(), start - (product**2).sum(0), rtol=1e-4, atol=1e-3)


# ------------------------------------------------------------------------------------- rows of a product

LAYERS = [
    ((3, 5), 8, 16), ((16, 32), 64, 48), ((2, 3, 7), 16, 33), ((1, 9), 8, 16), ((4, 1), 8, 16), ((40, 64), 17, 128),
    ((7,), 8, 16), ((5, 6), 32, 1),
]  # fmt: skip


@together([(layer, kind) for layer in LAYERS for kind in ("float32", "bfloat16")], lambda case: case[1])
def test_what_follows_a_linear_layer_on_sequences(case: Any) -> None:
    """Bias, activation, residual sum, a softmax behind, and all gradients: as eager code has them."""
    (shape, k, n), kind = case
    dtype, half = getattr(chainrule, kind), kind == "bfloat16"
    x, w, b, r = (t.to(dtype).requires_grad_() for t in (normal(*shape, k), normal(n, k) / 4, normal(n), normal(n)))

    def layer(x: Any, w: Any, b: Any, r: Any) -> Any:
        y = F.gelu(F.linear(x, w, b)) + r
        z = y.float().softmax(-1)
        return y, z, *chainrule.autograd.grad((z * z).sum() + y.float().sum(), [x, w, b, r])

    for ours, theirs in zip(chainrule.compile(layer)(x, w, b, r), layer(x, w, b, r), strict=True):
        ours, theirs = ours.detach().float().numpy(), theirs.detach().float().numpy()
        room = (4e-2 if half else 1e-4) * max(1.0, float(np.abs(theirs).max()))
        np.testing.assert_allclose(ours, theirs, atol=room)


def test_a_product_that_is_needed_twice() -> None:
    """The rows of a result that something else reads as it is are not divided."""
    x, w = normal(12, 8), normal(8, 16)

    def both(x: Any, w: Any) -> Any:
        z = x @ w
        return z + 1, z.reshape(3, 4, 16) * 2, z.reshape(2, 6, 16).sum(1)

    for ours, theirs in zip(chainrule.compile(both)(x, w), both(x, w), strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), atol=1e-5)


@pytest.mark.parametrize("first", ["sum", "argmax"])
def test_positions_beside_a_sum_that_is_cut(first: str) -> None:
    """A long sum is added up in pieces; where the largest entry is counts from the beginning all the same."""
    x = normal(4096, 64)

    def both(x: Any) -> Any:
        y = x * 2
        names = (first, *{"sum", "argmax"} - {first})
        return {name: getattr(y, name)(0) for name in names}

    found = chainrule.compile(both)(x)
    doubled = 2 * x.numpy().astype(np.float64)
    assert (found["argmax"].numpy() == doubled.argmax(0)).all()
    np.testing.assert_allclose(found["sum"].numpy(), doubled.sum(0), atol=1e-2)


# ------------------------------------------------------------------------------------- gradients of parts


def test_gradients_of_parts_are_not_written_one_by_one() -> None:
    """Three parts of one projection: their gradients are put side by side in one walk, without arrays of zeros."""
    x, w, g = normal(64, 96), normal(96, 3 * 64), normal(64, 64)

    def step(x: Any, w: Any, g: Any) -> Any:
        def loss(w: Any) -> Any:
            q, k, v = (x @ w).chunk(3, 1)
            return (q * k * v.tanh() * g).sum()

        return chainrule.func.grad(loss)(w)

    compiled = chainrule.compile(step)
    np.testing.assert_allclose(compiled(x, w, g).numpy(), step(x, w, g).numpy(), atol=2e-3)
    assert "  [64×192] copy" not in compiled.explain()


PARTS: list[Any] = [
    (slice(1, 3),), (slice(None), slice(2, None)), (..., slice(0, 1)), (slice(None, None, 2),), (slice(1, 2), ..., 3),
    (slice(2, 2),), (..., slice(-3, -1)), (slice(0, 4), slice(1, 2), slice(0, 1)),
]  # fmt: skip


@together(enumerate(PARTS), lambda case: "parts")
def test_gradient_of_a_part(case: Any) -> None:
    """Zeros around what is a block of neighbours, and in between otherwise; alone, in a sum, and read by a product."""
    _, key = case
    x, w = normal(4, 5, 6), normal(6, 3)

    def gradient(x: Any, w: Any) -> Any:
        def loss(x: Any) -> Any:
            return x[key].exp().sum() + (x * x).sum()

        to_x = chainrule.func.grad(loss)(x)
        return to_x, chainrule.func.grad(lambda x: x[key].exp().sum())(x) @ w

    for ours, theirs in zip(chainrule.compile(gradient)(x, w), gradient(x, w), strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), atol=1e-5)


# ------------------------------------------------------------------------------------- vectors of channels


@pytest.fixture
def vectors(monkeypatch: Any) -> list[tuple[int, bool]]:
    """Of each large loop that is compiled: how many entries follow each other in it, and whether all lie so."""
    found: list[tuple[int, bool]] = []

    def kernel_for(nest: Nest, *more: Any) -> Any:
        if math.prod(nest.extents) >= 2**15:
            shape = walk(copy.copy(nest))
            steps = {operand.strides.get(shape.vector, 0) for operand in nest.operands()}
            found.append((shape.extents.get(shape.vector, 1), steps <= {0, 1}))
        return kernels.kernel_for(nest, *more)

    monkeypatch.setattr(builder, "kernel_for", kernel_for)
    return found


@pytest.mark.parametrize("channels", [16, 32, 96, 100])
def test_a_norm_of_few_channels_each_takes_all_channels_at_once(channels: int, vectors: Any) -> None:
    """Behind a convolution channels lie last. A mean of four of them does not cut a vector after four."""
    groups, places = 4 if channels == 100 else 8, 32 * 32
    weight = normal(channels, channels, 1, 1) / channels**0.5
    scale, shift = normal(channels), normal(channels)
    x = normal(4, channels, 32, 32)
    parameters = [x, weight, scale, shift]

    def normed(x: Any, weight: Any, scale: Any, shift: Any) -> Any:
        y = F.group_norm(F.conv2d(x, weight), groups, scale, shift)
        return (F.conv2d(y.relu(), weight) ** 2).sum() / places

    step = chainrule.compile(chainrule.func.grad_and_value(normed, argnums=(0, 1, 2, 3)))
    gradients, value = step(*parameters)
    with in_numpy():
        expected, wanted = chainrule.func.grad_and_value(normed, argnums=(0, 1, 2, 3))(
            *(p.double() for p in parameters)
        )
    assert float(value) == pytest.approx(float(wanted), rel=1e-5)
    for ours, theirs in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=0, atol=2e-5 * float(theirs.abs().max()))
    together = [count for count, alike in vectors if alike]
    assert len(together) >= 4 and min(together) >= min(channels, 16), vectors


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_larger_images_are_walked_as_the_smaller_ones_lie(mode: str, vectors: Any) -> None:
    """What is looked up (every second row of the gradient) is read channel after channel, not picked together."""
    weight = normal(32, 32, 1, 1) / 32**0.5
    x, g = normal(4, 32, 20, 20), normal(4, 32, 40, 40)

    def widened(x: Any, weight: Any) -> Any:
        wide = F.interpolate(F.conv2d(x, weight), scale_factor=2, mode=mode)
        return (F.conv2d(wide, weight) * g).sum()

    step = chainrule.compile(chainrule.func.grad(widened, argnums=(0, 1)))
    gradients = step(x, weight)
    with in_numpy():
        expected = chainrule.func.grad(lambda x, w: widened(x, w), argnums=(0, 1))(x.double(), weight.double())
    for ours, theirs in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=0, atol=2e-5 * float(theirs.abs().max()))
    across = [count for count, alike in vectors if not alike]
    assert len(across) <= 3, vectors  # two come in, one is returned: they lie as the caller has them
