"""Convolutions of few channels: sums bundled along channels and, beside that, along rows or the kernel."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule
from chainrule import nn
from chainrule.backends.native.emitting.values import Values
from chainrule.backends.native.lowering.nest import Axis
from chainrule.compiler.single import in_numpy

F = nn.functional

#: Channels in and out, the image's height and width, the kernel, and the padding.
SHAPES = [
    (1, 6, (12, 20), (5, 5), 2),  # LeNet-5's first layer: rows of the result, columns of the kernel
    (6, 16, (10, 14), (5, 5), 0),  # its second one: the gradient of its image
    (3, 8, (9, 35), (3, 3), 1),
    (2, 5, (7, 16), (3, 4), 1),
    (4, 7, (11, 17), (2, 6), 0),  # no second axis can be shared out
    (5, 4, (6, 6), (3, 3), 2),
    (2, 6, (2, 9), (5, 5), 4),  # whole rows of the result meet only the border
    (1, 4, (1, 20), (3, 3), 1),
]


@pytest.mark.parametrize(("few", "many", "size", "kernel", "padding"), SHAPES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_few_channels_give_the_sums_written_out(
    few: int, many: int, size: tuple[int, int], kernel: tuple[int, int], padding: int, dtype: str
) -> None:
    """Forward and both gradients, against the sum over the window in float64, one product at a time."""
    random = np.random.default_rng(0)
    image = random.standard_normal((3, few, *size))
    weight = random.standard_normal((many, few, *kernel))
    padded = np.pad(image, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel, (2, 3))  # (n, c, y, x, i, j)
    meant = np.einsum("ncyxij,ocij->noyx", windows, weight)
    upstream = random.standard_normal(meant.shape)
    to_weight = np.einsum("ncyxij,noyx->ocij", windows, upstream)
    to_padded = np.zeros_like(padded)
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            part = np.einsum("noyx,oc->ncyx", upstream, weight[:, :, i, j])
            to_padded[:, :, i : i + part.shape[2], j : j + part.shape[3]] += part
    to_image = to_padded[:, :, padding : padding + size[0], padding : padding + size[1]]

    @chainrule.compile
    def step(x: chainrule.Tensor, w: chainrule.Tensor, g: chainrule.Tensor) -> tuple[chainrule.Tensor, ...]:
        x, w = x.detach().requires_grad_(), w.detach().requires_grad_()
        y = F.conv2d(x, w, padding=padding)
        return (y, *chainrule.autograd.grad(y, (x, w), g))

    given = [chainrule.tensor(part.astype(dtype)) for part in (image, weight, upstream)]
    for found, expected in zip(step(*given), (meant, to_image, to_weight), strict=True):
        tolerance = (1e-4 if dtype == "float32" else 1e-12) * np.abs(expected).max()
        np.testing.assert_allclose(found.detach().numpy(), expected, atol=tolerance, rtol=0)


def test_both_axes_of_a_bundle_are_used() -> None:
    """The layers that it is for: else the other tests say nothing of it."""
    weights = chainrule.randn(6, 1, 5, 5)
    layer = chainrule.compile(lambda x: F.conv2d(x, weights, padding=2))
    layer(chainrule.randn(4, 1, 28, 28))
    ((variant,),) = layer.programs.values()
    nests = [group.nest for group in variant.compiled.runnable.lowered().groups if group.nest.reduced]
    (walked,) = [values for nest in nests if (values := Values(nest, "f")).bundle]
    assert (walked.bundle, walked.crossed) == (6, 4)
    assert any(Axis.CROSSED in operand.strides for operand in walked.nest.operands())
    assert Values(nests[0], "f", 256).crossed == 2


def test_the_border_is_zeros_for_infinite_weights_too() -> None:
    """Zeros times an infinity are NaN, compiled as in NumPy: no row of a kernel is left out because it meets only these."""
    weights, images = chainrule.ones(6, 1, 5, 5), chainrule.ones(4, 1, 28, 28)
    weights[0, 0, 4, 1] = float("inf")
    found = chainrule.compile(lambda x, w: F.conv2d(x, w, padding=2))(images, weights).numpy()
    with in_numpy():
        meant = F.conv2d(images, weights, padding=2).numpy()
    assert np.isnan(meant).any() and np.isinf(meant).any()
    np.testing.assert_allclose(found, meant, rtol=1e-6)
