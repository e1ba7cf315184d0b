"""Views of what lies in a program's memory: parts of images with a border of zeros, and repeated look-ups."""

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


#: What looks up rows at one place only, or at one place along a dimension, and repeats them.
LOOK_UPS: dict[str, tuple[tuple[int, ...], Callable[[Any, Any], Any]]] = {
    "one entry": ((1,), lambda x, i: x[0].index_select(0, i).expand(2, 16)),
    "one row": ((1,), lambda x, i: x.index_select(0, i).expand(5, 16)),
    "one column": ((1,), lambda x, i: x[:, i].expand(8, 16)),
    "one row for each": ((3, 1), lambda x, i: x[i].expand(3, 16, 16)),
    "gathered": ((8, 1), lambda x, i: x.gather(1, i).expand(8, 16)),
    "embedded": ((1, 2), lambda x, i: F.embedding(i, x).expand(4, 2, 16)),
    "two indices": ((1, 3), lambda x, i: x[i, i].expand(16, 3)),
}


@pytest.mark.parametrize("name", LOOK_UPS)
def test_a_repeated_look_up(name: str) -> None:
    shape, look_up = LOOK_UPS[name]
    x, index = numbers(8, 16), chainrule.tensor(np.random.default_rng(1).integers(0, 8, shape))

    def step(x: Any, i: Any) -> Any:
        x = x.detach().requires_grad_()
        v = look_up(x, i)
        rows, columns = v.softmax(-1), v.log_softmax(0)
        (rows * columns + v.sum(0) + v.amax(-1, keepdim=True) + v.argmax(-1, keepdim=True)).sum().backward()
        return rows, columns, v.sum(), v.argmax(-1), v.argmax(0), v.prod(-1), v @ v.mT, v.cos(), x.grad

    for have, want in zip(chainrule.compile(step)(x, index), step(x, index), strict=True):
        np.testing.assert_allclose(have.detach().numpy(), want.detach().numpy(), rtol=1e-10, atol=1e-10)


def test_rows_that_are_kept_apart_in_memory_are_joined_again() -> None:
    """A sum over shapes whose rows the compiler would lie apart, walked through as one long row."""

    def places(top: Any, left: Any) -> Any:
        count, channels, side, size = 4, 3, 40, 32
        corner = ((chainrule.arange(count) * (channels * side) + top) * side + left).reshape(-1, 1)
        lines = (chainrule.arange(channels).reshape(-1, 1, 1) * side + chainrule.arange(size).reshape(-1, 1)) * side
        return (corner + (lines + chainrule.arange(size)).reshape(-1)).reshape(-1)

    top, left = chainrule.randint(0, 9, (4,)), chainrule.randint(0, 9, (4,))
    assert chainrule.equal(chainrule.compile(places)(top, left), places(top, left))


@pytest.mark.parametrize(
    "look_up",
    [
        lambda x, i, j: x[i, :, j],
        lambda x, i, j: x[:, i, :, j],
        lambda x, i, j: x[i, 1:, :, j],
        lambda x, i, j: x[i, None, j],
        lambda x, i, j: x[i, ..., j].exp(),
    ],
)
def test_arrays_of_indices_with_something_between_them(look_up: Any) -> None:
    x = chainrule.randn(4, 5, 4, 4, requires_grad=True)
    i, j = chainrule.tensor([0, 3, 2]), chainrule.tensor([1, 1, 3])

    def step(x: Any, i: Any, j: Any) -> Any:
        found = look_up(x, i, j)
        return found, chainrule.autograd.grad(found.square().sum(), x)[0]

    compiled = chainrule.compile(step)
    for ours, wanted in zip(compiled(x, i, j), step(x, i, j), strict=True):
        assert chainrule.allclose(ours, wanted, rtol=1e-6)
    assert "Index in NumPy" not in compiled.explain()


@pytest.mark.parametrize("outside", [False, True])
def test_what_is_written_into_a_detached_tensor_has_its_gradient(outside: bool) -> None:
    """d[i] = 0, then a·p added to it again and again: Σd² has the gradient 2·d·a in p. The memory is x's."""
    x, p = chainrule.zeros(3), chainrule.ones(3, requires_grad=True)
    kept = x.detach()

    def step(a: chainrule.Tensor) -> chainrule.Tensor:
        d = kept if outside else x.data
        d += p * a
        (d[1:] * d[1:]).sum().backward()
        return d.detach()

    compiled, total = chainrule.compile(step), 0.0
    for a in (2.0, 3.0, 5.0):
        p.grad, total = None, total + a
        result = compiled(chainrule.tensor(a))
        assert result.tolist() == x.tolist() == kept.tolist() == [total] * 3
        assert p.grad is not None and p.grad.tolist() == [0.0, 2 * total * a, 2 * total * a]
        assert not x.requires_grad and not kept.requires_grad, "what a compiled step writes has no gradient outside"


def test_a_tensor_of_the_step_that_held_a_constant_may_be_written_to() -> None:
    def step(x: chainrule.Tensor) -> chainrule.Tensor:
        y = x * 1.0
        y.detach().fill_(-2.0)  # y's numbers, a constant; its history stays
        y[0] = 3.0
        (y * y).sum().backward()
        return y.detach()

    compiled = chainrule.compile(step)
    for _ in range(2):
        x = chainrule.ones(3, requires_grad=True)
        assert compiled(x).tolist() == [3.0, -2.0, -2.0]
        assert x.grad is not None and x.grad.tolist() == [0.0, -4.0, -4.0]
