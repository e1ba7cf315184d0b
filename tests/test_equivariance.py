"""What shifts and rotations of an image do: against hand-made kernels, and between kinds of pooling."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

import chainrule
from chainrule import nn, robust


def circular(stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(2, 3, 3, stride=stride, padding=1, padding_mode="circular")


def test_convolutions_move_with_the_image_and_do_not_turn_with_it() -> None:
    x = chainrule.rand(2, 2, 8, 8)
    for down, right in ((1, 0), (0, 3), (5, 7)):
        assert robust.shift_equivariance_error(circular(), x, down, right) < 1e-5
    assert robust.shift_equivariance_error(circular(2), x, 2, 4, stride=2) < 1e-5
    assert robust.shift_equivariance_error(nn.Conv2d(2, 3, 3, padding=1), x, 3, 3) > 1e-3, "zeros at the edges"
    layer = circular()
    assert robust.rotation_equivariance_error(layer, x) > 1e-2
    with chainrule.no_grad():  # a kernel that is its own rotation
        layer.weight.copy_(sum(chainrule.rot90(layer.weight, k, (-2, -1)) for k in range(4)))
    assert robust.rotation_equivariance_error(layer, x) < 1e-5


def test_maxima_stay_where_windows_still_see_them() -> None:
    x = chainrule.zeros(1, 1, 8, 8)
    x[0, 0, 2, 2] = 1.0
    pool = nn.MaxPool2d(2)
    assert robust.shift_invariance_error(pool, x, 0, 1) == 0, "the place moves inside of its window"
    assert robust.shift_invariance_error(pool, x, 0, 2) > 1, "and into another one"
    everything = nn.Sequential(circular(), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
    assert robust.shift_invariance_error(everything, chainrule.rand(2, 2, 8, 8), 3, 5) < 1e-5


def test_blurring_is_a_convolution_with_binomial_weights() -> None:
    x = chainrule.rand(1, 2, 9, 9)
    row = np.array([1, 2, 1]) / 4
    wanted = [ndimage.convolve(image, np.outer(row, row), mode="mirror")[::2, ::2] for image in x[0].numpy()]
    np.testing.assert_allclose(robust.BlurPool2d(3, 2)(x)[0].numpy(), wanted, rtol=1e-5)


def test_anti_aliased_pooling_changes_less_when_the_image_moves() -> None:
    """By one place, the stride being 2: on average over random images, by a factor that leaves no doubt."""
    x = chainrule.rand(64, 1, 16, 16)
    plain = nn.MaxPool2d(2)
    blurred = nn.Sequential(nn.MaxPool2d(2, stride=1), robust.BlurPool2d(3, 2))
    assert robust.shift_invariance_error(blurred, x, 0, 1) < 0.8 * robust.shift_invariance_error(plain, x, 0, 1)


def test_errors_teach() -> None:
    with pytest.raises(ValueError, match=r"a shift by \(1, 0\) is no whole shift of an output with stride 2"):
        robust.shift_equivariance_error(circular(2), chainrule.rand(1, 2, 8, 8), 1, stride=2)
    with pytest.raises(chainrule.ShapeError, match=r"images are \(N, C, H, W\), got \(8, 8\)"):
        robust.shift_invariance_error(circular(), chainrule.rand(8, 8))
