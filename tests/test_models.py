"""LeNet-5 and the multi-layer perceptron: sizes, training as PyTorch's does, and the initial values of layers."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np
import pytest
from scipy import stats

import chainrule
from chainrule import models, nn
from tests.parameter_counts import count


def test_parameter_counts() -> None:
    assert count(models.LeNet5()) == count(models.LeNet5(image_size=28)) == 61_706
    assert count(models.create("mlp", sizes=[64, 32, 10])) == 64 * 32 + 32 + 32 * 10 + 10
    assert models.LeNet5(image_size=28, activation="tanh", pooling="avg")(chainrule.ones(2, 1, 28, 28)).shape == (2, 10)
    with pytest.raises(chainrule.ShapeError, match="31"):
        models.LeNet5(image_size=31)


@pytest.mark.parametrize(
    ("layer", "fan_in"),
    [
        (nn.Linear(50, 200), 50),
        (nn.Conv2d(8, 64, 5), 200),
        (nn.ConvTranspose2d(32, 16, 5), 400),
        (nn.Conv1d(16, 128, 3, groups=4), 12),
        (nn.Conv3d(4, 32, 3), 108),
        (nn.ConvTranspose1d(16, 128, 3, groups=4), 96),
    ],
)
def test_default_initial_values_are_uniform_within_one_over_root_fan_in(layer: Any, fan_in: int) -> None:
    chainrule.manual_seed(1)
    layer.reset_parameters()
    bound = 1 / np.sqrt(fan_in)
    for parameter in layer.parameters():
        values = parameter.detach().numpy().ravel()
        assert np.abs(values).max() <= bound
        assert stats.kstest(values, stats.uniform(-bound, 2 * bound).cdf).pvalue > 1e-3


def test_initial_values_follow_the_seed_and_nothing_else() -> None:
    def drawn(seed: int) -> list[Any]:
        chainrule.manual_seed(seed)
        return [p.tolist() for p in models.LeNet5().parameters()]

    assert drawn(3) == drawn(3) != drawn(4)


def test_options_and_what_is_refused() -> None:
    x = chainrule.ones(2, 3, 32, 32)
    for activation in ("relu", "tanh", "sigmoid"):
        for pooling in ("max", "avg"):
            model = models.LeNet5(num_classes=7, in_channels=3, activation=activation, pooling=pooling)
            assert model(x).shape == (2, 7)
    for activation in ("relu", "tanh", "sigmoid"):
        assert models.MLP((12, 5, 5, 3), activation)(chainrule.ones(4, 3, 4)).shape == (4, 3)
    for wrong, kind, says in [
        (lambda: models.MLP([3]), chainrule.ShapeError, r"\[3\]"),
        (lambda: models.MLP([3, 0, 2]), chainrule.ShapeError, "positive"),
        (lambda: models.MLP([3, 2], "cubic"), ValueError, "'cubic'"),
        (lambda: models.LeNet5(activation="gelu"), ValueError, "'gelu'"),
        (lambda: models.LeNet5(pooling="mean"), ValueError, "'mean'"),
        (
            lambda: models.LeNet5()(chainrule.ones(1, 3, 32, 32)),
            chainrule.ShapeError,
            r"images \(N, 1, 32, 32\), got \(1, 3, 32, 32\); a network for colour images is made with in_channels=3",
        ),
        (
            lambda: models.LeNet5()(chainrule.ones(1, 1, 28, 28)),
            chainrule.ShapeError,
            r"images \(N, 1, 32, 32\), got \(1, 1, 28, 28\); resize them, or make the network with another image_size",
        ),
        (lambda: models.MLP([4, 2])(chainrule.ones(2, 5)), chainrule.ShapeError, r"^layers\.1 \(Linear\): "),
    ]:
        with pytest.raises(kind, match=says):
            wrong()


def lenet_of(torch: Any, activation: Any, pool: Any) -> Any:
    """The same network in PyTorch, under the same names."""
    n = torch.nn
    parts = {
        "features": n.Sequential(n.Conv2d(1, 6, 5, padding=2), activation(), pool(2), n.Conv2d(6, 16, 5), activation(), pool(2)),
        "classifier": n.Sequential(
            n.Flatten(), n.Linear(400, 120), activation(), n.Linear(120, 84), activation(), n.Linear(84, 10)
        ),
    }  # fmt: skip
    return n.Sequential(OrderedDict(parts))


@pytest.mark.peer
@pytest.mark.parametrize(
    ("activation", "pooling", "rule", "settings"),
    [
        ("relu", "max", "Adam", {"lr": 1e-3}),
        ("tanh", "avg", "AdamW", {"lr": 1e-3, "weight_decay": 0.1}),
        ("relu", "max", "SGD", {"lr": 0.01, "momentum": 0.9, "nesterov": True}),
    ],
)
def test_lenet_learns_as_pytorch_s_does(activation: str, pooling: str, rule: str, settings: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    chainrule.manual_seed(0)
    ours = models.LeNet5(image_size=28, activation=activation, pooling=pooling)
    theirs = lenet_of(
        torch, {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh}[activation],
        {"max": torch.nn.MaxPool2d, "avg": torch.nn.AvgPool2d}[pooling],
    )  # fmt: skip
    theirs.load_state_dict({name: torch.tensor(value.numpy()) for name, value in ours.state_dict().items()})
    images = np.random.default_rng(1).standard_normal((20, 16, 1, 28, 28)).astype("float32")
    labels = np.random.default_rng(2).integers(0, 10, (20, 16))
    losses = []
    for framework, model in ((chainrule, ours), (torch, theirs)):
        optimizer = getattr(framework.optim, rule)(model.parameters(), **settings)
        run = []
        for x, y in zip(images, labels, strict=True):
            optimizer.zero_grad()
            loss = framework.nn.CrossEntropyLoss()(model(framework.tensor(x)), framework.tensor(y))
            loss.backward()
            optimizer.step()
            run.append(loss.item())
        losses.append(run)
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)
