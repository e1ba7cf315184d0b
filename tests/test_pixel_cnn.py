"""Autoregressive pixels: what each output may depend on, likelihoods that sum to 1, samples that follow them."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import nn
from chainrule.generative import PixelCNN
from chainrule.generative.pixels import MaskedConv2d
from chainrule.metrics.samples import bits_per_dimension


@pytest.mark.parametrize("shape", [(1, 5, 6), (3, 4, 4)])
def test_no_pixel_sees_itself_or_later_ones(shape: tuple[int, int, int]) -> None:
    """The Jacobian of the scores in the pixels, by gradients: colours of a pixel in turn, pixels in reading order."""
    chainrule.manual_seed(0)
    channels, height, width = shape
    model = PixelCNN(shape, levels=3, width=6, depth=2)
    x = chainrule.rand(1, *shape).requires_grad_()
    order = np.arange(height * width).reshape(height, width) * channels
    order = order[None] + np.arange(channels)[:, None, None]
    seen = 0
    for c, i, j in itertools.product(*map(range, shape)):
        x.grad = None
        (model(x)[0, :, c, i, j] * chainrule.tensor([1.0, -0.7, 0.4])).sum().backward()
        depends = np.zeros(shape, bool) if x.grad is None else x.grad[0].numpy() != 0
        assert not depends[order >= order[c, i, j]].any(), (c, i, j)
        seen += depends.sum()
        if j and c == 0:
            assert depends[0, i, j - 1], "the neighbour on the left is seen"
        if c:
            assert depends[c - 1, i, j], "and the colour before"
    assert seen > 0.5 * order.size * (order.size - 1) / 2, "most of what comes before is seen"


def test_the_probabilities_of_all_images_sum_to_one() -> None:
    model = PixelCNN((1, 3, 3), levels=2, width=8, depth=1)
    every = chainrule.tensor(list(itertools.product([0, 1], repeat=9))).reshape(-1, 1, 3, 3)
    assert model.log_prob(every).exp().sum().item() == pytest.approx(1, abs=1e-4)
    colour = PixelCNN((2, 1, 3), levels=3, width=4, depth=1)
    every = chainrule.tensor(list(itertools.product([0, 1, 2], repeat=6))).reshape(-1, 2, 1, 3)
    assert colour.log_prob(every).exp().sum().item() == pytest.approx(1, abs=1e-4)


def test_samples_follow_the_probabilities() -> None:
    """χ² of 8,000 images of four black and white pixels, 15 degrees of freedom: 50 is beyond one in 100,000."""
    chainrule.manual_seed(2)
    model = PixelCNN((1, 2, 2), levels=2, width=8, depth=1)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.6)
    every = chainrule.tensor(list(itertools.product([0, 1], repeat=4))).reshape(-1, 1, 2, 2)
    expected = 8000 * model.log_prob(every).exp().detach().numpy()
    found = model.sample(8000).flatten(1).numpy() @ np.array([8, 4, 2, 1])
    counts = np.bincount(found, minlength=16)
    assert ((counts - expected) ** 2 / expected).sum() < 50
    assert expected.max() > 2 * expected.min(), "the images are not equally likely"


def test_a_compiled_step_learns_what_there_is_to_know() -> None:
    """Stripes of two kinds, with the first pixel drawn and all others following: ln 2 nats in all."""
    chainrule.manual_seed(0)
    model = PixelCNN((1, 4, 4), levels=2, width=16, depth=2)
    optimizer = chainrule.optim.Adam(model.parameters(), lr=0.01)
    stripes = (chainrule.arange(16).reshape(4, 4) + chainrule.arange(2).reshape(2, 1, 1, 1)) % 2

    @chainrule.compile
    def step(x: Any) -> Any:
        optimizer.zero_grad()
        loss = -model.log_prob(x).mean()
        loss.backward()
        optimizer.step()
        return loss

    images = stripes.repeat(8, 1, 1, 1)
    first = step(images).item()
    for _ in range(120):
        last = step(images).item()
    assert first > 5 and np.log(2) - 1e-3 < last < np.log(2) + 0.1
    assert bits_per_dimension(-last, 16) == pytest.approx(1 / 16, rel=0.2)
    made = model.sample(20).numpy()
    right = [any((image == stripe).all() for stripe in stripes.numpy()) for image in made]
    assert np.mean(right) > 0.7
    finished = model.sample(10, images[:10], rows=1).numpy()
    np.testing.assert_array_equal(finished[:, :, :1], images[:10, :, :1].numpy())
    assert (finished == images[:10].numpy()).mean() > 0.9


def test_errors_teach() -> None:
    model = PixelCNN((1, 4, 4), width=4, depth=1)
    for call, message in (
        (lambda: MaskedConv2d(1, 1, 4, "A"), "kernel_size odd, got 'A' and 4"),
        (lambda: MaskedConv2d(1, 1, 3, "C"), "'A' or 'B'"),
        (lambda: MaskedConv2d(4, 6, 3, "A", 3), "multiples of 3 colours, got 4 and 6"),
        (lambda: PixelCNN((4, 4)), r"\(C, H, W\), got \(4, 4\)"),
        (lambda: PixelCNN((1, 4, 4), levels=1), "2 levels or more"),
        (lambda: model.log_prob(chainrule.zeros(2, 1, 5, 4)), r"images \(N, 1, 4, 4\), got \(2, 1, 5, 4\)"),
        (lambda: model.sample(2, rows=1), "rows of given images"),
        (lambda: model.sample(2, chainrule.zeros(1, 1, 4, 4), rows=1), r"given are \(2, 1, 4, 4\)"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises((IndexError, ValueError), match="2"):
        model.log_prob(chainrule.full((1, 1, 4, 4), 2))
