"""Worked examples on normalisation layers (E 4.5, I IV): counts, identities, limits, and who sees whom."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule
from chainrule import nn

float64 = chainrule.float64


@pytest.mark.parametrize(("layer", "count", "scale"), [
    ("BatchNorm1d(64)", 128, (64,)), ("BatchNorm2d(32)", 64, (32,)), ("BatchNorm1d(16)", 32, (16,)),
])  # fmt: skip
def test_i_iv_parameters_of_batch_norm(layer: str, count: int, scale: tuple[int, ...]) -> None:
    """I IV.5: 128 for 64 units, 64 for 32 channels; for a layer from 8 to 16 features γ and β have 16 entries."""
    norm = eval(f"nn.{layer}", {"nn": nn})
    assert sum(p.numel() for p in norm.parameters()) == count
    assert norm.weight.shape == norm.bias.shape == scale
    if layer == "BatchNorm1d(16)":
        assert nn.Sequential(nn.Linear(8, 16), norm)(chainrule.randn(5, 8)).shape == (5, 16)


def test_e_4_5_2_batch_norm_can_be_the_identity() -> None:
    """E 4.5.2: with γ = √(σ² + ε), β = μ it gives its input back; γ = σ, as the notes have it, misses by about ε/2σ²."""
    x = chainrule.randn(200, 3, dtype=float64) * chainrule.tensor([0.5, 1.0, 3.0], dtype=float64) + 7
    layer = nn.BatchNorm1d(3, dtype=float64)
    mean, variance = x.mean(0), x.var(0, unbiased=False)
    layer.bias.data.copy_(mean)
    layer.weight.data.copy_((variance + layer.eps).sqrt())
    assert chainrule.allclose(layer(x), x, rtol=1e-12)
    layer.weight.data.copy_(variance.sqrt())
    misses = ((layer(x) - x).abs() / (x - mean).abs()).mean(0)
    np.testing.assert_allclose(misses.detach().numpy(), (layer.eps / 2 / variance).numpy(), rtol=1e-3)
    assert 1e-6 < misses[1].item() < 2e-5, "about 1e-5 for standardised inputs"


def test_i_iv_2_e_the_two_limits_of_group_norm() -> None:
    """I IV.2.e: one group is layer norm over (C, H, W), as many groups as channels is instance norm."""
    x = chainrule.randn(4, 6, 5, 3, dtype=float64) * 2 + 1
    one, all_groups = (nn.GroupNorm(groups, 6, dtype=float64)(x) for groups in (1, 6))
    assert chainrule.allclose(one, nn.LayerNorm((6, 5, 3), dtype=float64)(x), rtol=1e-10, atol=1e-12)
    assert chainrule.allclose(all_groups, nn.InstanceNorm2d(6, dtype=float64)(x), rtol=1e-10, atol=1e-12)
    assert not chainrule.allclose(one, all_groups, rtol=1e-2)


@pytest.mark.parametrize(("layer", "training", "sees_others"), [
    ("BatchNorm2d(6)", True, True), ("BatchNorm2d(6)", False, False), ("LayerNorm((6, 4, 4))", True, False),
    ("InstanceNorm2d(6)", True, False), ("GroupNorm(3, 6)", True, False), ("RMSNorm((6, 4, 4))", True, False),
])  # fmt: skip
def test_i_iv_2_e_one_sample_changed(layer: str, training: bool, sees_others: bool) -> None:
    """I IV.2.e: changing one sample changes the results of others only under batch norm, and only in training."""
    norm = eval(f"nn.{layer}", {"nn": nn}).train(training)
    x = chainrule.randn(5, 6, 4, 4)
    other = x.clone()
    other[2] = 10 * x[2] + 3
    rest = [0, 1, 3, 4]
    assert chainrule.equal(norm(x)[rest], norm(other)[rest]) is not sees_others
    assert not chainrule.allclose(norm(x)[2], norm(other)[2] + 0.1)


def test_e_4_5_4_and_so_its_gradient_depends_on_the_batch() -> None:
    """E 4.5.4: a sample's gradient under batch norm involves the others; a batch of one has none at all."""
    x = chainrule.randn(4, 3, dtype=float64).requires_grad_()
    for layer, alone in ((nn.BatchNorm1d(3, dtype=float64), False), (nn.LayerNorm(3, dtype=float64), True)):
        x.grad = None
        (layer(x)[0] ** 3).sum().backward()
        assert (not x.grad[1:].any()) is alone, layer
    with pytest.raises(ValueError, match="more than one|more than 1"):
        nn.BatchNorm1d(3)(chainrule.ones(1, 3))
