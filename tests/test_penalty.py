"""Penalties: values from NumPy, gradients by formula and by differences, what they see of a model, what they do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import autograd, nn, optim
from chainrule.nn import penalty

RANDOM = np.random.default_rng(0)
ARRAYS = [RANDOM.standard_normal(shape) for shape in ((3, 5), (4, 2), (2, 3, 2, 2))]


def gram_distance(W: np.ndarray) -> float:
    W = W.reshape(len(W), -1)
    gram = W @ W.T if W.shape[0] <= W.shape[1] else W.T @ W
    return float(((gram - np.eye(len(gram))) ** 2).sum())


def spectral(W: np.ndarray) -> float:
    return float(np.linalg.norm(W.reshape(len(W), -1), 2) ** 2)


CASES: list[tuple[str, Any]] = [
    ("l1_penalty(p, 0.3)", lambda: 0.3 * sum(np.abs(a).sum() for a in ARRAYS)),
    ("L1Penalty(0.3)(p)", lambda: 0.3 * sum(np.abs(a).sum() for a in ARRAYS)),
    ("l2_penalty(p, 0.3)", lambda: 0.15 * sum((a**2).sum() for a in ARRAYS)),
    ("L2Penalty(0.3)(p)", lambda: 0.15 * sum((a**2).sum() for a in ARRAYS)),
    ("elastic_net_penalty(p, 0.3, 0.2)", lambda: 0.3 * sum(0.2 * np.abs(a).sum() + 0.4 * (a**2).sum() for a in ARRAYS)),
    ("ElasticNetPenalty(0.3, 0.2)(p)", lambda: 0.3 * sum(0.2 * np.abs(a).sum() + 0.4 * (a**2).sum() for a in ARRAYS)),
    ("orthogonality_penalty(p, 0.3)", lambda: 0.3 * sum(map(gram_distance, ARRAYS))),
    ("OrthogonalityPenalty(0.3)(p)", lambda: 0.3 * sum(map(gram_distance, ARRAYS))),
    ("spectral_norm_penalty(p, 0.3)", lambda: 0.15 * sum(map(spectral, ARRAYS))),
    ("SpectralNormPenalty(0.3)(p)", lambda: 0.15 * sum(map(spectral, ARRAYS))),
]


@pytest.mark.parametrize(("source", "expected"), CASES)
def test_values_and_derivatives(source: str, expected: Any) -> None:
    def compute(*parameters: Any) -> Any:
        return eval(f"penalty.{source}", {"penalty": penalty, "p": list(parameters)})

    parameters = [chainrule.tensor(a, requires_grad=True) for a in ARRAYS]
    value = compute(*parameters)
    assert value.shape == () and value.item() == pytest.approx(expected(), rel=1e-12)
    assert autograd.gradcheck(compute, tuple(parameters)) and autograd.gradgradcheck(compute, tuple(parameters))
    half = compute(*(p.detach().half() for p in parameters))
    assert half.item() == pytest.approx(expected(), rel=1e-2)


def test_gradients_by_formula() -> None:
    W = chainrule.tensor(ARRAYS[0], requires_grad=True)
    for compute, expected in (
        (lambda: penalty.l1_penalty(W, 0.3), 0.3 * np.sign(ARRAYS[0])),
        (lambda: penalty.l2_penalty(W, 0.3), 0.3 * ARRAYS[0]),
        (lambda: penalty.orthogonality_penalty(W), 4 * (ARRAYS[0] @ ARRAYS[0].T - np.eye(3)) @ ARRAYS[0]),
    ):
        (gradient,) = autograd.grad(compute(), W)
        np.testing.assert_allclose(gradient.numpy(), expected, rtol=1e-12, atol=1e-14)
    u, s, vh = np.linalg.svd(ARRAYS[0])
    (gradient,) = autograd.grad(penalty.spectral_norm_penalty(W), W)
    np.testing.assert_allclose(gradient.numpy(), s[0] * np.outer(u[:, 0], vh[0]), rtol=1e-10, atol=1e-12)


def test_both_gram_matrices_have_the_same_gradient() -> None:
    """‖WᵀW − I‖² is larger by (columns − rows) than ‖WWᵀ − I‖² of a wide W."""
    W = chainrule.tensor(ARRAYS[0], requires_grad=True)
    other = (W.T @ W - chainrule.eye(5, dtype=chainrule.float64)).square().sum()
    ours = penalty.orthogonality_penalty(W)
    assert other.item() - ours.item() == pytest.approx(5 - 3)
    assert chainrule.allclose(autograd.grad(ours, W)[0], autograd.grad(other, W)[0], rtol=1e-10)


@pytest.mark.parametrize("array", [np.zeros((3, 2)), np.eye(3), np.diag([2.0, 2.0, 0.0]), np.ones((3, 4))])
def test_gradients_are_finite_at_special_matrices(array: np.ndarray) -> None:
    """Equal and vanishing singular values, as right after eye_ and zeros_."""
    for name in ("l1", "l2", "elastic_net", "orthogonality", "spectral_norm"):
        W = chainrule.tensor(array, requires_grad=True)
        getattr(penalty, f"{name}_penalty")(W).backward()
        assert W.grad.isfinite().all(), name


class Mixed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 3, 3)
        self.norm = TwoDimensionalNorm()
        self.scale = nn.Parameter(chainrule.ones(4))
        self.out = nn.Linear(4, 2)
        self.tied = self.out


class TwoDimensionalNorm(nn.Module):
    """Stands for a layer norm over two dimensions, whose scale is a matrix."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(chainrule.ones(4, 4))


def test_weights_are_what_multiplies_inputs() -> None:
    model = Mixed()
    chosen = penalty.weights(model)
    assert [id(p) for p in chosen] == [id(model.conv.weight), id(model.out.weight)], "shared ones once, no scales"
    assert penalty.l2_penalty(model, 2.0).item() == pytest.approx(sum((p**2).sum().item() for p in chosen))
    assert penalty.L1Penalty()(model).item() == pytest.approx(sum(p.abs().sum().item() for p in chosen))
    assert penalty.l1_penalty(model.parameters()).item() > penalty.l1_penalty(model).item() + 19
    decayed, others = penalty.decay_groups(model, 0.1)
    assert decayed["weight_decay"] == 0.1 and others["weight_decay"] == 0.0
    every = {id(p) for p in model.parameters()}
    assert {id(p) for group in (decayed, others) for p in group["params"]} == every
    optim.SGD(penalty.decay_groups(model, 0.1), lr=0.1)  # takes them


def test_nothing_and_wrong_things() -> None:
    assert penalty.l1_penalty([]).item() == 0 and penalty.l2_penalty(nn.ReLU()).item() == 0
    assert penalty.spectral_norm_penalty([chainrule.zeros(0, 3)]).item() == 0
    for name in ("orthogonality", "spectral_norm"):
        with pytest.raises(chainrule.ShapeError, match=rf"{name}_penalty is of matrices, got shape \(4,\)"):
            getattr(penalty, f"{name}_penalty")([chainrule.ones(4)])
    for ratio in (-0.1, 1.1):
        with pytest.raises(ValueError, match="a share in"):
            penalty.elastic_net_penalty([chainrule.ones(2)], 1.0, ratio)
    with pytest.raises(ValueError, match="not negative, got -1"):
        penalty.L1Penalty(-1)
    assert repr(penalty.L1Penalty(0.5)) == "L1Penalty(strength=0.5)"
    assert repr(penalty.ElasticNetPenalty(0.5, 0.1)) == "ElasticNetPenalty(strength=0.5, l1_ratio=0.1)"


def test_the_orthogonality_penalty_makes_weights_orthogonal() -> None:
    chainrule.manual_seed(0)
    layer = nn.Conv2d(2, 4, 3)
    optimizer = optim.SGD([layer.weight], lr=0.05)
    for _ in range(300):
        optimizer.zero_grad()
        penalty.orthogonality_penalty(layer).backward()
        optimizer.step()
    W = layer.weight.detach().flatten(1)
    assert chainrule.allclose(W @ W.T, chainrule.eye(4), atol=1e-4)


# ------------------------------------------------------------------------- penalty against weight decay


def trained(rule: str, loss_decay: float, **settings: Any) -> np.ndarray:
    """A small regression network after 30 steps, with ½λ‖θ‖² in the loss or weight decay in the optimiser."""
    chainrule.manual_seed(4)
    model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 1)).double()
    x, y = chainrule.randn(20, 4, dtype=chainrule.float64), chainrule.randn(20, 1, dtype=chainrule.float64)
    optimizer = getattr(optim, rule)(model.parameters(), **settings)
    for _ in range(30):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x), y)
        if loss_decay:
            loss = loss + penalty.l2_penalty(model.parameters(), loss_decay)
        loss.backward()
        optimizer.step()
    return nn.utils.parameters_to_vector(model.parameters()).detach().numpy()


def test_coupled_decay_is_the_penalty_and_decoupled_decay_is_another_thing_under_adam() -> None:
    """I IV.2.d: equal under SGD, with momentum too; Adam divides the penalty's gradient, AdamW's decay it does not."""
    for momentum in (0.0, 0.9):
        penalised = trained("SGD", 0.1, lr=0.05, momentum=momentum)
        np.testing.assert_allclose(
            trained("SGD", 0.0, lr=0.05, momentum=momentum, weight_decay=0.1), penalised, rtol=1e-9
        )
    penalised = trained("Adam", 0.1, lr=0.05)
    np.testing.assert_allclose(trained("Adam", 0.0, lr=0.05, weight_decay=0.1), penalised, rtol=1e-9)
    decoupled = trained("AdamW", 0.0, lr=0.05, weight_decay=0.1)
    assert np.abs(decoupled - penalised).max() > 0.05


def test_sgd_takes_decay_inside_and_outside_alike() -> None:
    """θ − η(g + λθ) = (1 − ηλ)θ − ηg: without momentum coupled and decoupled decay are one."""
    p, q = (chainrule.tensor([2.0, -3.0], dtype=chainrule.float64, requires_grad=True) for _ in range(2))
    coupled, plain = optim.SGD([p], lr=0.1, weight_decay=0.5), optim.SGD([q], lr=0.1)
    for _ in range(10):
        for parameter, optimizer in ((p, coupled), (q, plain)):
            optimizer.zero_grad()
            ((parameter - 1) ** 2).sum().backward()
            if optimizer is plain:
                with chainrule.no_grad():
                    parameter *= 1 - 0.1 * 0.5
            optimizer.step()
    assert chainrule.allclose(p, q, rtol=1e-12)
