"""LeNet-5 and the multi-layer perceptron: sizes, training as PyTorch's does, and the initial values of layers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

import chainrule
from chainrule import models, nn


def test_parameter_counts() -> None:
    def count(model: nn.Module) -> int:
        return sum(p.numel() for p in model.parameters())

    assert count(models.LeNet5()) == count(models.LeNet5(image_size=28)) == 61_706
    assert count(models.create("mlp", sizes=[64, 32, 10])) == 64 * 32 + 32 + 32 * 10 + 10
    assert models.LeNet5(image_size=28, activation="tanh", pooling="avg")(chainrule.ones(2, 1, 28, 28)).shape == (2, 10)
    with pytest.raises(chainrule.ShapeError, match="31"):
        models.LeNet5(image_size=31)


@pytest.mark.parametrize(
    ("layer", "fan_in"),
    [(nn.Linear(50, 200), 50), (nn.Conv2d(8, 64, 5), 200), (nn.ConvTranspose2d(32, 16, 5), 400)],
)
def test_default_initial_values_are_uniform_within_one_over_root_fan_in(layer: Any, fan_in: int) -> None:
    chainrule.manual_seed(1)
    layer.reset_parameters()
    bound = 1 / np.sqrt(fan_in)
    for parameter in layer.parameters():
        values = parameter.detach().numpy().ravel()
        assert np.abs(values).max() <= bound
        assert stats.kstest(values, stats.uniform(-bound, 2 * bound).cdf).pvalue > 1e-3


@pytest.mark.peer
def test_lenet_learns_as_pytorch_s_does() -> None:
    torch = pytest.importorskip("torch")
    ours = chainrule.models.LeNet5(image_size=28)
    theirs = torch.nn.Sequential(
        torch.nn.Conv2d(1, 6, 5, padding=2), torch.nn.ReLU(), torch.nn.MaxPool2d(2), torch.nn.Conv2d(6, 16, 5), torch.nn.ReLU(),
        torch.nn.MaxPool2d(2), torch.nn.Flatten(), torch.nn.Linear(400, 120), torch.nn.ReLU(), torch.nn.Linear(120, 84),
        torch.nn.ReLU(), torch.nn.Linear(84, 10),
    )  # fmt: skip
    with torch.no_grad():
        for p, q in zip(theirs.parameters(), ours.parameters(), strict=True):
            p.copy_(torch.from_numpy(q.detach().numpy()))
    images = np.random.default_rng(1).standard_normal((20, 16, 1, 28, 28)).astype("float32")
    labels = np.random.default_rng(2).integers(0, 10, (20, 16))
    losses = []
    for framework, model in ((chainrule, ours), (torch, theirs)):
        optimizer = framework.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
        run = []
        for x, y in zip(images, labels, strict=True):
            optimizer.zero_grad()
            loss = framework.nn.CrossEntropyLoss()(model(framework.tensor(x)), framework.tensor(y))
            loss.backward()
            optimizer.step()
            run.append(loss.item())
        losses.append(run)
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)
