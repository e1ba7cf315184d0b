"""Slices of the loss: of a linear model they are parabolas by hand; directions, paths and what is left as it was."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import nn
from chainrule.explain import loss_between, loss_surface, path_directions, random_direction, weights_of


def problem() -> tuple[nn.Module, chainrule.Tensor, chainrule.Tensor]:
    model = nn.Linear(3, 2).double()
    return model, chainrule.randn(10, 3, dtype=chainrule.float64), chainrule.randn(10, 2, dtype=chainrule.float64)


@pytest.mark.parametrize("compile", [False, True])
def test_of_a_linear_model_the_plane_is_the_one_by_hand(compile: bool) -> None:
    model, x, y = problem()
    W, b = weights_of(model)
    surface = loss_surface(model, nn.MSELoss(), x, y, points=5, span=[(-1.0, 2.0), (-0.5, 0.5)], compile=compile)
    (d1, zero), (d2, _) = surface.directions
    assert (zero == 0).all() and surface.losses.shape == (5, 5)
    for i, s in enumerate(np.linspace(-1, 2, 5)):
        for j, t in enumerate(np.linspace(-0.5, 0.5, 5)):
            output = x.numpy() @ (W + s * d1 + t * d2).T + b
            assert surface.losses[i, j] == pytest.approx(((output - y.numpy()) ** 2).mean(), rel=1e-12)
    np.testing.assert_array_equal(model.weight.detach().numpy(), W)


def test_directions_have_the_filters_lengths_and_so_the_surface_no_scale() -> None:
    """Li et al.: weights of twice the size before a ReLU and of half behind it are the same network."""
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 2)).double()
    weights = weights_of(model)
    direction = random_direction(weights, seed=4)
    for w, d in zip(weights, direction, strict=True):
        if w.ndim > 1:
            lengths = [np.linalg.norm(a.reshape(len(w), -1), axis=1) for a in (w, d)]
            np.testing.assert_allclose(*lengths, rtol=1e-12)
        else:
            assert (d == 0).all()
    x, y = chainrule.randn(6, 1, 4, 4, dtype=chainrule.float64), chainrule.zeros(6, 2, dtype=chainrule.float64)
    with chainrule.no_grad():
        model[0].bias.zero_()
    one = loss_surface(model, nn.MSELoss(), x, y, points=3, compile=False).losses
    with chainrule.no_grad():
        model[0].weight.mul_(4)
        model[3].weight.mul_(0.25)
    np.testing.assert_allclose(loss_surface(model, nn.MSELoss(), x, y, points=3, compile=False).losses, one, rtol=1e-10)


def test_dropout_is_off_and_statistics_stay() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 1))
    before = {name: value.numpy() for name, value in model.state_dict().items()}
    surface = loss_surface(model, nn.MSELoss(), chainrule.randn(8, 3), chainrule.randn(8, 1), 1, points=3)
    again = loss_surface(model, nn.MSELoss(), chainrule.randn(8, 3) * 0 + 1, chainrule.randn(8, 1), 1, points=3)
    assert surface.losses.shape == again.losses.shape == (3,)
    assert all(np.array_equal(model.state_dict()[name].numpy(), value) for name, value in before.items())
    assert model.training and model[2].training


def test_between_two_solutions() -> None:
    model, x, y = problem()
    one = weights_of(model)
    other = [w + 1 for w in one]
    line = loss_between(model, nn.MSELoss(), x, y, one, other, points=7, beyond=0.5, compile=False)
    for t, loss in zip(np.linspace(-0.5, 1.5, 7), line.losses, strict=True):
        output = x.numpy() @ (one[0] + t).T + one[1] + t
        assert loss == pytest.approx(((output - y.numpy()) ** 2).mean(), rel=1e-12)
    assert line.coordinates(other).tolist() == pytest.approx([1.0])


def test_a_path_lies_on_the_plane_of_its_directions(tmp_path: Any) -> None:
    model, x, y = problem()
    optimizer, path = chainrule.optim.SGD(model.parameters(), lr=0.2, momentum=0.8), []
    for _ in range(12):
        path.append(weights_of(model))
        optimizer.zero_grad()
        nn.functional.mse_loss(model(x), y).backward()
        optimizer.step()
    path.append(weights_of(model))
    first, second, shares = path_directions(path)
    assert 0.9 < sum(shares) <= 1 + 1e-12 and shares[0] >= shares[1]
    flat = [np.concatenate([a.reshape(-1) for a in d]) for d in (first, second)]
    np.testing.assert_allclose([[a @ b for a in flat] for b in flat], np.eye(2), atol=1e-12)
    surface = loss_surface(model, nn.MSELoss(), x, y, [first, second], points=9, span=2.0).with_path(path)
    assert surface.path.shape == (13, 2) and np.abs(surface.path[-1]).max() < 1e-12
    moved = np.concatenate([(a - b).reshape(-1) for a, b in zip(path[0], path[-1], strict=True)])
    np.testing.assert_allclose(surface.path[0], [moved @ a for a in flat], atol=1e-12)
    surface.draw(tmp_path / "plane.png", "a plane")
    loss_surface(model, nn.MSELoss(), x, y, 1, points=5, compile=False).draw(tmp_path / "line.png")
    assert (tmp_path / "plane.png").stat().st_size > 5000 < (tmp_path / "line.png").stat().st_size
    with pytest.raises(chainrule.ShapeError, match="at least 3 points"):
        path_directions(path[:2])
    with pytest.raises(chainrule.ShapeError, match="one or two directions, got 3"):
        loss_surface(model, nn.MSELoss(), x, y, 3)
    with pytest.raises(chainrule.ShapeError, match="an array for each parameter"):
        loss_surface(model, nn.MSELoss(), x, y, [first[:1]])
