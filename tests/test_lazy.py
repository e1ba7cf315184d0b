"""Lazy layers before and after their first input; buffers and dictionaries of parameters; random padding."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import nn, optim


def lazy_model() -> Any:
    return nn.Sequential(nn.LazyConv2d(3, 3), nn.LazyBatchNorm2d(), nn.ReLU(), nn.Flatten(), nn.LazyLinear(4))


def test_the_first_input_makes_ordinary_layers() -> None:
    model = lazy_model()
    assert repr(model[4]) == "LazyLinear(in_features=0, out_features=4, bias=True)"
    assert all(isinstance(p, nn.UninitializedParameter) for p in model.parameters())
    optimizer = optim.Adam(model.parameters(), lr=0.1)  # may be made before
    y = model(chainrule.randn(5, 2, 6, 6))
    assert [type(m) for m in model] == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.Flatten, nn.Linear]
    assert model[0].weight.shape == (3, 2, 3, 3) and model[4].in_features == 48
    assert all(type(p) is nn.Parameter and p.requires_grad for p in model.parameters())
    assert model[0].weight.std() > 0.1, "drawn, not zeros"
    before = model[4].weight.tolist()
    (y**2).sum().backward()
    optimizer.step()
    assert model[4].weight.tolist() != before, "the optimiser knows the same parameters"
    twin = copy.deepcopy(model)
    np.testing.assert_array_equal(*(m.eval()(chainrule.ones(1, 2, 6, 6)).detach().numpy() for m in (twin, model)))


def test_a_saved_state_gives_the_shapes_and_stays() -> None:
    trained, fresh, x = lazy_model(), lazy_model(), chainrule.randn(5, 2, 6, 6)
    trained(x)
    fresh.load_state_dict(trained.state_dict())
    assert fresh[4].weight.shape == (4, 48) and type(fresh[4]) is nn.LazyLinear
    np.testing.assert_array_equal(*(m.eval()(x).detach().numpy() for m in (fresh, trained)))
    assert type(fresh[4]) is nn.Linear and fresh[4].in_features == 48


def test_a_state_without_shapes_leaves_the_layers_lazy() -> None:
    state, fresh, x = lazy_model().state_dict(), lazy_model(), chainrule.randn(5, 2, 6, 6)
    assert isinstance(state["4.weight"], nn.UninitializedParameter)
    fresh.load_state_dict(state)
    assert isinstance(fresh[4].weight, nn.UninitializedParameter)
    assert fresh(x).shape == (5, 4) and fresh[4].weight.std() > 0, "shaped and drawn by the first input, as ever"
    with pytest.raises(chainrule.CheckpointError, match=r"weight has no shape yet .*\(3, 4\)"):
        nn.Linear(4, 3).load_state_dict(nn.LazyLinear(3).state_dict())


def test_weights_that_are_refused_leave_a_lazy_layer_as_it_was() -> None:
    layer = nn.LazyLinear(3)
    with pytest.raises(chainrule.CheckpointError, match="missing: bias"):
        layer.load_state_dict({"weight": chainrule.ones(3, 4)})
    assert layer.has_uninitialized_params() and layer(chainrule.ones(2, 7)).shape == (2, 3)


def test_lazy_layers_in_another_type() -> None:
    layer = nn.LazyLinear(3, dtype=chainrule.float64)
    assert layer(chainrule.ones(2, 5, dtype=chainrule.float64)).dtype is chainrule.float64
    layers = nn.Sequential(nn.LazyLinear(3), nn.LazyBatchNorm1d()).double()
    assert layers(chainrule.ones(2, 5, dtype=chainrule.float64)).dtype is chainrule.float64


def test_a_buffer_is_registered_by_assignment() -> None:
    module = nn.Identity()
    module.kept, module.left_out = nn.Buffer(chainrule.ones(2)), nn.Buffer(chainrule.zeros(3), persistent=False)
    assert list(module.state_dict()) == ["kept"] and [n for n, _ in module.named_buffers()] == ["kept", "left_out"]
    assert not list(module.parameters()) and module.double().kept.dtype is chainrule.float64
    module.kept = chainrule.ones(4)
    assert module.kept.shape == (4,) and nn.Buffer().shape == (0,)


@pytest.mark.peer
def test_a_dictionary_of_parameters_is_pytorch_s() -> None:
    torch = pytest.importorskip("torch")
    seen = []
    for framework in (chainrule, torch):
        weights = framework.nn.ParameterDict({"a": framework.ones(2), "b": framework.zeros(1)})
        weights["c"] = framework.nn.Parameter(framework.ones(3))
        weights.update([("d", framework.zeros(4))])
        popped, last = weights.pop("a"), weights.popitem()
        both = weights | framework.nn.ParameterDict({"e": framework.ones(5)})
        weights |= framework.nn.ParameterDict({"f": framework.ones(6)})
        seen.append([
            list(weights), list(both), list(reversed(weights)), len(both), "b" in weights, "a" in weights,
            tuple(popped.shape), last[0], list(weights.state_dict()), [n for n, _ in both.named_parameters()],
            all(p.requires_grad for p in both.values()), weights.get("z"), weights.setdefault("b") is weights["b"],
            list(weights.copy().keys()), [k for k, _ in weights.items()],
        ])  # fmt: skip
        weights.clear()
        seen[-1].append(len(weights))
    assert seen[0] == seen[1]
    with pytest.raises(KeyError, match="'z'.*'x'"):
        nn.ParameterDict({"x": chainrule.ones(1)})["z"]


def test_random_padding() -> None:
    x = chainrule.zeros(3, 4, 50, 50, requires_grad=True)
    y = nn.RandomPad2d(5)(x)
    inside = y[:, :, 5:55, 5:55]
    assert not inside.any()
    around = y.detach().numpy()[:, :, :5].ravel()
    assert abs(around.mean()) < 0.05 and abs(around.std() - 1) < 0.05
    assert not chainrule.equal(y, nn.RandomPad2d(5)(x)), "drawn anew for each call"
    y.sum().backward()
    assert bool((x.grad == 1).all())
    assert nn.functional.pad(chainrule.ones(1, 3), (1, 1), "random").shape == (1, 5)


def test_rrelu_draws_its_slopes_in_training() -> None:
    x = -chainrule.ones(20_000, requires_grad=True)
    y = nn.RReLU(0.2, 0.6)(x)
    slopes = -y.detach().numpy()
    assert slopes.min() >= 0.2 and slopes.max() < 0.6 and abs(slopes.mean() - 0.4) < 0.01
    assert abs(slopes.var() - 0.4**2 / 12) < 1e-3
    positive = chainrule.ones(5)
    assert chainrule.equal(nn.RReLU()(positive), positive)


def test_gumbel_softmax_chooses_with_the_probabilities() -> None:
    logits = chainrule.tensor([0.5, 0.3, 0.2]).log().expand(20_000, 3).detach().requires_grad_()
    hard = nn.functional.gumbel_softmax(logits, tau=0.5, hard=True)
    assert set(np.unique(hard.detach().numpy().round(6))) == {0.0, 1.0}
    np.testing.assert_allclose(hard.detach().mean(0).numpy(), [0.5, 0.3, 0.2], atol=0.02)
    (hard * chainrule.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert logits.grad.abs().sum() > 0, "the gradient is that of the soft choice"
    soft = nn.functional.gumbel_softmax(logits.detach(), tau=5.0)
    np.testing.assert_allclose(soft.sum(1).numpy(), 1, rtol=1e-5)
    assert soft.max() < 0.95


def test_maxout_is_the_largest_of_its_pieces() -> None:
    layer, x = nn.Maxout(3, 2, pieces=4), chainrule.randn(5, 3)
    W, b = layer.linear.weight.reshape(2, 4, 3), layer.linear.bias.reshape(2, 4)
    wanted = np.max(np.einsum("nd,okd->nok", x.numpy(), W.detach().numpy()) + b.detach().numpy(), 2)
    np.testing.assert_allclose(layer(x).detach().numpy(), wanted, rtol=1e-5)
    assert sum(p.numel() for p in layer.parameters()) == 4 * (2 * 3 + 2)
    with pytest.raises(ValueError, match="at least one"):
        nn.Maxout(3, 2, 0)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("name", [
    "elu", "celu", "selu", "gelu", "gelu_by_tanh", "silu", "mish", "softplus", "logsigmoid", "softsign", "tanhshrink", "hardswish", "leaky_relu", "sigmoid", "tanh",
])  # fmt: skip
def test_activations_are_finite_with_finite_gradients_everywhere(name: str, dtype: str) -> None:
    edges = [-6e4, -1e4, -300.0, -100.0, -20.0, -1e-3, 0.0, 1e-3, 20.0, 100.0, 300.0, 1e4, 6e4]
    x = chainrule.tensor(edges, dtype=dtype, requires_grad=True)
    by_tanh = name == "gelu_by_tanh"
    y = nn.functional.gelu(x, approximate="tanh") if by_tanh else getattr(nn.functional, name)(x)
    (slope,) = chainrule.autograd.grad(y.sum(), x, create_graph=True)
    bend = chainrule.autograd.grad(slope.sum(), x)[0] if slope.requires_grad else None
    assert y.isfinite().all() and slope.isfinite().all() and (bend is None or bend.isfinite().all())
    assert (
        abs(slope[-1].item() - (0 if name in ("logsigmoid", "softsign", "sigmoid", "tanh") else slope[-2].item()))
        < 0.06
    )
