"""What a result hangs on: closed forms for linear models, completeness, class activation maps, a maximum by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import nn
from chainrule.explain import (
    draw_feature_maps,
    feature_map_grid,
    feature_maps,
    filter_grid,
    grad_cam,
    gradient_map,
    gradient_times_input,
    integrated_gradients,
    occlusion,
    optimised_input,
)


def images(*shape: int) -> chainrule.Tensor:
    return chainrule.rand(*shape, dtype=chainrule.float64)


def linear() -> nn.Module:
    """Scores of three classes, linear in images (1, 6, 7), no bias."""
    return nn.Sequential(nn.Flatten(), nn.Linear(42, 3, bias=False)).double()


def network() -> nn.Module:
    """A small convolutional network with dropout, which must be off."""
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(0.5), nn.Linear(48, 8),
        nn.Tanh(), nn.Linear(8, 3)
    ).double()  # fmt: skip


def test_of_a_linear_model_all_say_its_weights() -> None:
    model, x = linear(), images(4, 1, 6, 7)
    weight = model[1].weight.detach().numpy().reshape(3, 1, 6, 7)
    classes = model(x).argmax(1).numpy()
    for target, wanted in (
        (1, np.repeat(weight[1:2], 4, 0)),
        (None, weight[classes]),
        (chainrule.tensor([0, 2, 1, 1]), weight[[0, 2, 1, 1]]),
    ):
        np.testing.assert_allclose(gradient_map(model, x, target).numpy(), wanted, rtol=1e-12)
        product = gradient_times_input(model, x, target)
        np.testing.assert_allclose(product.numpy(), wanted * x.numpy(), rtol=1e-12)
        found = integrated_gradients(model, x, target, steps=1)
        np.testing.assert_allclose(found.attributions.numpy(), product.numpy(), rtol=1e-12)
        covered = occlusion(model, x, target, window=1)
        np.testing.assert_allclose(covered.numpy(), (wanted * x.numpy())[:, 0], atol=1e-12)


def test_the_gradient_is_that_of_differences() -> None:
    model, x = network().eval(), images(1, 2, 6, 8)
    found = gradient_map(model, x, 2).numpy()
    for place in ((0, 0, 0, 0), (0, 1, 3, 4), (0, 1, 5, 7)):
        moved = [x.numpy(), x.numpy()]
        moved[0][place] += 1e-6
        moved[1][place] -= 1e-6
        up, down = (model(chainrule.tensor(m))[0, 2].item() for m in moved)
        assert found[place] == pytest.approx((up - down) / 2e-6, abs=1e-7)


@pytest.mark.parametrize("baseline", [None, 0.5])
def test_integrated_gradients_sum_up_to_the_change(baseline: Any) -> None:
    """Completeness: the attributions' sum is f(x) − f(x₀). Of a smooth f to rounding; each kink leaves about 1/steps."""
    x = images(3, 2, 6, 8)
    start = None if baseline is None else chainrule.full((1, 1, 1, 1), baseline, dtype=chainrule.float64)
    smooth = nn.Sequential(nn.Conv2d(2, 4, 3), nn.Tanh(), nn.Flatten(), nn.Dropout(0.5), nn.Linear(96, 3)).double()
    for model, steps, tolerance in ((smooth, 24, 1e-9), (network(), 300, 1e-2)):
        found = integrated_gradients(model, x, 1, baseline=start, steps=steps)
        assert model.training
        model.eval()
        change = (model(x) - model(x * 0 if baseline is None else x * 0 + baseline))[:, 1].detach().numpy()
        np.testing.assert_allclose(found.change.numpy(), change, rtol=1e-10, atol=1e-12)
        summed, moved = found.attributions.numpy().sum((1, 2, 3)), found.attributions.abs().sum().item()
        np.testing.assert_allclose(summed, change, atol=tolerance * moved)
        np.testing.assert_allclose(found.error.numpy(), summed - change, atol=1e-12)


def test_the_best_class_is_that_of_the_input_all_along_the_path() -> None:
    """At the baseline another class is the best one."""
    model = nn.Linear(2, 2)
    with chainrule.no_grad():
        model.weight.copy_(chainrule.tensor([[4.0, 0.0], [0.0, 1.0]]))
        model.bias.copy_(chainrule.tensor([0.0, 1.0]))
    found = integrated_gradients(model, chainrule.tensor([[1.0, 1.0]]), steps=8)
    np.testing.assert_allclose(found.attributions.numpy(), [[4.0, 0.0]], atol=1e-6)


def test_occlusion_covers_all_of_the_image() -> None:
    """Squares of 3 on 6×7 pixels, stride 2: by hand, square by square; the last column gets its square too."""
    model, x = linear(), images(2, 1, 6, 7)
    parts = model[1].weight.detach().numpy()[0].reshape(6, 7) * (x.numpy()[:, 0] - 0.25)
    total, count = np.zeros((2, 6, 7)), np.zeros((6, 7))
    for i in (0, 2, 3):
        for j in (0, 2, 4):
            square = np.s_[..., i : i + 3, j : j + 3]
            total[square] += parts[square].sum((1, 2), keepdims=True)
            count[square] += 1
    np.testing.assert_allclose(occlusion(model, x, 0, window=3, stride=2, fill=0.25).numpy(), total / count, atol=1e-12)


def test_grad_cam_is_the_class_activation_map_where_that_is_defined() -> None:
    """Zhou et al., 2016: behind the mean over all places the class's own weights say how much each map counts."""
    model = nn.Sequential(
        nn.Conv2d(1, 5, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 3)
    ).double()
    x = images(2, 1, 8, 8)
    maps = feature_maps(model, x, ["1"])["1"].numpy()
    wanted = np.maximum(np.einsum("c,nchw->nhw", model[4].weight.detach().numpy()[2], maps), 0) / 64
    np.testing.assert_allclose(grad_cam(model, x, "1", 2).numpy(), wanted, rtol=1e-10)
    assert grad_cam(nn.Sequential(nn.MaxPool2d(2), model), x, "1.1", 0).shape == (2, 8, 8)


def test_an_optimised_input_reaches_the_maximum_by_hand() -> None:
    """w·x − λ‖x‖² is largest at x = w/(2λ)."""
    model = linear()
    found = optimised_input(model, chainrule.zeros(2, 1, 6, 7, dtype=chainrule.float64), chainrule.tensor([0, 2]),
                            steps=200, rate=0.1, penalty=1.0)  # fmt: skip
    weight = model[1].weight.detach().numpy().reshape(3, 1, 6, 7)
    np.testing.assert_allclose(found.input.numpy(), weight[[0, 2]] / 2, atol=1e-10)
    assert len(found.scores) == 201 and found.scores[0] == [0.0, 0.0]
    held = optimised_input(model, images(1, 1, 6, 7), 1, steps=30, rate=1e3, project=lambda x: x.clamp(0, 1))
    np.testing.assert_array_equal(held.input.numpy()[0], weight[1] > 0)
    with chainrule.no_grad():
        model[1].weight.fill_(1.0)  # a sum is the same however the image is shifted
    shifted = optimised_input(model, images(1, 1, 6, 7), 1, steps=5, rate=0.5, jitter=3)
    np.testing.assert_allclose(np.diff(np.array(shifted.scores)[:, 0]), 0.5 * 42)


def test_filters_and_feature_maps_are_pictures(tmp_path: Any) -> None:
    conv = nn.Conv2d(1, 4, 3, bias=False)
    with chainrule.no_grad():
        conv.weight.zero_()
        conv.weight[1, 0, 1, 1], conv.weight[2, 0, 0, 0] = 2.0, -1.0
    picture = filter_grid(conv, columns=4).numpy()
    assert picture.shape == (3, 7, 22)
    assert picture[0, 3, 3] == 0.5 and picture[0, 3, 8] == 1.0 and picture[0, 2, 12] == 0.25  # zero, +2, −1
    maps = feature_maps(nn.Sequential(conv, nn.ReLU()), chainrule.ones(2, 1, 6, 6))
    assert list(maps) == ["0", "1"] and (maps["0"].numpy()[:, 2] == -1).all() and (maps["1"].numpy()[:, 2] == 0).all()
    assert feature_map_grid(maps["0"][0]).shape == (3, 8, 26)
    draw_feature_maps(nn.Sequential(conv, nn.ReLU(), nn.Flatten()), chainrule.rand(1, 9, 9), tmp_path / "maps.png")
    assert (tmp_path / "maps.png").stat().st_size > 1000


def test_mistakes_are_explained() -> None:
    x = images(2, 1, 6, 7)
    with pytest.raises(chainrule.ShapeError, match="scores \\(N, classes\\)"):
        gradient_map(nn.Conv2d(1, 1, 3).double(), x)
    with pytest.raises(chainrule.ShapeError, match="one number for each sample"):
        gradient_map(linear(), x, lambda output: output)
    with pytest.raises(chainrule.ShapeError, match="'0' gives feature maps"):
        grad_cam(linear(), x, "0")
    with pytest.raises(ValueError, match="a window fits"):
        occlusion(linear(), x, window=8)
    with pytest.raises(chainrule.ShapeError, match="gave no feature maps"):
        feature_maps(linear(), x, ["1"])
    with pytest.raises(chainrule.ShapeError, match="kernels of a Conv2d"):
        filter_grid(nn.Linear(2, 2))
