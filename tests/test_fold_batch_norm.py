"""Batch norm folded into the layer before it: the same outputs in evaluation, and nothing folded that may not be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import nn


def used(model: Any, *shape: int) -> Any:
    """The model after some batches: running statistics and parameters are no longer 0 and 1."""
    for _ in range(3):
        model(chainrule.randn(*shape) * 2 + 1)
    with chainrule.no_grad():
        for p in model.parameters():
            p += chainrule.randn(*p.shape) * 0.3
    return model.eval()


def norms(model: Any) -> int:
    return sum("BatchNorm" in type(m).__name__ for m in model.modules())


MODELS = {
    "Linear": (lambda: nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.ReLU()), (6, 5)),
    "no bias": (lambda: nn.Sequential(nn.Linear(5, 4, bias=False), nn.BatchNorm1d(4)), (6, 5)),
    "no affine": (lambda: nn.Sequential(nn.Conv1d(3, 4, 2), nn.BatchNorm1d(4, affine=False)), (6, 3, 5)),
    "Conv2d": (lambda: nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.BatchNorm2d(4), nn.Tanh()), (4, 3, 6, 6)),
    "groups": (lambda: nn.Sequential(nn.Conv2d(4, 8, 3, groups=4), nn.BatchNorm2d(8)), (4, 4, 6, 6)),
    "Conv3d": (lambda: nn.Sequential(nn.Conv3d(1, 2, 2), nn.BatchNorm3d(2)), (3, 1, 3, 3, 3)),
    "transposed": (lambda: nn.Sequential(nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2), nn.BatchNorm2d(6)), (3, 4, 3, 3)),
    "nested": (
        lambda: nn.Sequential(nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)), nn.ReLU(),
                              nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)), (4, 1, 7, 7)),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_e_4_5_2_the_same_outputs_in_evaluation(name: str) -> None:
    """E 4.5.2: to 1e-5."""
    build, shape = MODELS[name]
    model = used(build(), *shape)
    folded, x = nn.fold_batch_norm(model), chainrule.randn(*shape)
    assert norms(folded) == 0 and norms(model) > 0, "the model itself is as it was"
    np.testing.assert_allclose(folded(x).detach().numpy(), model(x).detach().numpy(), rtol=1e-5, atol=1e-5)


class Residual(nn.Module):
    """conv → bn → relu → conv → bn, plus the input by a 1×1 convolution with its own bn."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.bn2, self.conv2 = nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3, padding=1)
        self.short, self.bn3 = nn.Conv2d(2, 4, 1), nn.BatchNorm2d(4)

    def forward(self, x: Any) -> Any:
        return (self.bn2(self.conv2(self.bn1(self.conv1(x)).relu())) + self.bn3(self.short(x))).relu()


def test_an_example_shows_which_layer_feeds_which_norm() -> None:
    model = used(Residual(), 4, 2, 5, 5)
    x = chainrule.randn(3, 2, 5, 5)
    assert norms(nn.fold_batch_norm(model)) == 3, "without an example nobody can know"
    before = {name: t.tolist() for name, t in model.state_dict().items()}
    folded = nn.fold_batch_norm(model, x)
    assert norms(folded) == 0 and all(isinstance(getattr(folded, f"bn{i}"), nn.Identity) for i in (1, 2, 3))
    np.testing.assert_allclose(folded(x).detach().numpy(), model(x).detach().numpy(), rtol=1e-4, atol=1e-5)
    assert {name: t.tolist() for name, t in model.state_dict().items()} == before


class Shared(nn.Module):
    """What must not be folded: the convolution's result is used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv1d(2, 2, 1), nn.BatchNorm1d(2)

    def forward(self, x: Any) -> Any:
        y = self.conv(x)
        return self.bn(y) + y


class Twice(nn.Module):
    """What must not be folded: one convolution, two norms."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.a, self.b = nn.Conv1d(2, 2, 1), nn.BatchNorm1d(2), nn.BatchNorm1d(2)

    def forward(self, x: Any) -> Any:
        return self.b(self.conv(self.a(self.conv(x))))


@pytest.mark.parametrize("kind", [Shared, Twice])
def test_what_is_used_elsewhere_is_left_alone(kind: Any) -> None:
    model = used(kind(), 6, 2, 5)
    x = chainrule.randn(3, 2, 5)
    folded = nn.fold_batch_norm(model, x)
    assert norms(folded) == norms(model)
    np.testing.assert_array_equal(folded(x).detach().numpy(), model(x).detach().numpy())


def test_a_layer_that_stands_in_two_places_is_left_alone() -> None:
    conv = nn.Conv1d(2, 2, 1)
    model = used(nn.Sequential(conv, nn.BatchNorm1d(2), conv, nn.BatchNorm1d(2)), 6, 2, 5)
    assert norms(nn.fold_batch_norm(model)) == 2


def test_training_is_refused() -> None:
    with pytest.raises(ValueError, match=r"eval\(\)"):
        nn.fold_batch_norm(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)))
    with pytest.raises(ValueError, match=r"eval\(\)"):
        nn.utils.fuse_linear_bn_eval(nn.Linear(2, 2), nn.BatchNorm1d(2).eval())
    with pytest.raises(ValueError, match="track_running_stats"):
        nn.utils.fuse_linear_bn_eval(nn.Linear(2, 2).eval(), nn.BatchNorm1d(2, track_running_stats=False).eval())


@pytest.mark.peer
def test_fused_weights_are_pytorch_s() -> None:
    torch = pytest.importorskip("torch")
    random = np.random.default_rng(0)
    w, bias, mean, gamma, beta = (random.standard_normal(s) for s in [(4, 3, 2, 2), 4, 4, 4, 4])
    found = []
    for f in (chainrule, torch):
        utils, t = f.nn.utils, f.tensor
        rest = [t(mean), t(mean**2 + 0.1), 1e-3, t(gamma), t(beta)]
        turned = t(np.ascontiguousarray(w.swapaxes(0, 1)))
        found.append([
            *utils.fuse_conv_bn_weights(t(w), t(bias), *rest), *utils.fuse_conv_bn_weights(t(w), None, *rest),
            *utils.fuse_conv_bn_weights(turned, t(bias), *rest, transpose=True),
            *utils.fuse_linear_bn_weights(t(w[:, :, 0, 0]), t(bias), *rest),
        ])  # fmt: skip
    for ours, theirs in zip(*found, strict=True):
        assert isinstance(ours, nn.Parameter) and ours.requires_grad == theirs.requires_grad
        np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol=1e-12)
