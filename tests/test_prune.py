"""Pruning against PyTorch: the same masks, names and numbers."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import nn
from chainrule.nn.utils import prune


def layers(framework: Any) -> Any:
    """Two layers with the same weights in each framework."""
    model = framework.nn.Sequential(framework.nn.Conv2d(2, 4, 3), framework.nn.Linear(3, 5))
    random = np.random.default_rng(0)
    for parameter in model.parameters():
        parameter.data = framework.tensor(random.standard_normal(tuple(parameter.shape)))
    return model


#: What is done to the model m; p is the module `prune` of the framework, lib the framework.
PROGRAMMES = [
    "p.l1_unstructured(m[0], 'weight', amount=0.3)",
    "p.l1_unstructured(m[0], 'weight', 7), p.l1_unstructured(m[0], 'weight', 0.5)",
    "p.ln_structured(m[0], 'weight', amount=2, n=2, dim=0)",
    "p.ln_structured(m[0], 'weight', 0.5, n=float('inf'), dim=1), p.l1_unstructured(m[0], 'weight', 0.25)",
    "p.l1_unstructured(m[1], 'weight', 3), p.ln_structured(m[1], 'weight', 1, n=1, dim=0)",
    "p.ln_structured(m[1], 'weight', 1, n=1, dim=0), p.ln_structured(m[1], 'weight', 0.5, n=2, dim=0)",
    "p.global_unstructured([(m[0], 'weight'), (m[1], 'weight'), (m[1], 'bias')], p.L1Unstructured, amount=0.4)",
    "p.l1_unstructured(m[0], 'bias', 1), p.global_unstructured([(m[0], 'bias'), (m[1], 'bias')], p.L1Unstructured, amount=3)",
    "p.custom_from_mask(m[1], 'bias', lib.tensor([1, 0, 1, 0, 1]))",
    "p.identity(m[0], 'bias')",
    "p.l1_unstructured(m[1], 'weight', 4, importance_scores=-m[1].weight.detach().abs())",
    "p.remove(p.l1_unstructured(m[1], 'weight', amount=0.5), 'weight')",
]


@pytest.mark.peer
@pytest.mark.parametrize("programme", PROGRAMMES)
def test_the_same_is_pruned(programme: str) -> None:
    torch = pytest.importorskip("torch")
    import torch.nn.utils.prune as theirs

    seen: list[Any] = []
    for framework, module in ((chainrule, prune), (torch, theirs)):
        model = layers(framework)
        eval(programme, {"p": module, "m": model, "lib": framework})
        x = framework.ones(1, 2, 5, 5, dtype=framework.float64)
        model(x).sum().backward()
        state = {name: np.asarray(entry.detach()) for name, entry in model.state_dict().items()}
        grads = {f"grad {name}": np.asarray(entry.grad) for name, entry in model.named_parameters()}
        seen.append(({**state, **grads}, list(state), module.is_pruned(model)))
    assert seen[0][1:] == seen[1][1:]
    for name, ours in seen[0][0].items():
        np.testing.assert_allclose(ours, seen[1][0][name], rtol=1e-12, err_msg=name)


@pytest.mark.parametrize("amount", [0.25, 4])
def test_random_pruning_takes_so_many_and_what_is_pruned_stays_so(amount: float) -> None:
    layer = prune.random_unstructured(nn.Linear(4, 4), "weight", amount=amount)
    assert int((layer.weight == 0).sum()) == 4
    before = layer.weight_mask.clone()
    prune.random_unstructured(layer, "weight", amount=2)
    assert int((layer.weight_mask == 0).sum()) == 6 and bool((layer.weight_mask <= before).all())
    columns = prune.random_structured(nn.Linear(4, 4), "weight", amount=1, dim=1)
    assert sorted((columns.weight == 0).sum(0).tolist()) == [0, 0, 0, 4]


def test_training_leaves_zeros_where_they_are() -> None:
    layer = prune.l1_unstructured(nn.Linear(6, 1), "weight", amount=0.5)
    optimizer = chainrule.optim.SGD(layer.parameters(), lr=0.1)
    zeros = layer.weight == 0
    for _ in range(3):
        optimizer.zero_grad()
        layer(chainrule.ones(2, 6)).sum().backward()
        optimizer.step()
    layer(chainrule.ones(2, 6))
    assert chainrule.equal(layer.weight == 0, zeros)
    twin = nn.Linear(6, 1)
    prune.identity(twin, "weight")
    twin.load_state_dict(copy.copy(layer.state_dict()))
    assert chainrule.equal(twin(chainrule.ones(1, 6)), layer(chainrule.ones(1, 6)))


@pytest.mark.parametrize("how", ["deepcopy", "pickle"])
def test_copies_are_their_own(how: str) -> None:
    layer = prune.l1_unstructured(nn.Linear(3, 2), "weight", amount=2)
    x = chainrule.ones(1, 3)
    twin, second = (copy.deepcopy(layer) if how == "deepcopy" else pickle.loads(pickle.dumps(layer)) for _ in "ab")
    prune.l1_unstructured(second, "weight", amount=1)
    prune.remove(twin, "weight")
    assert prune.is_pruned(layer) and prune.is_pruned(second) and not prune.is_pruned(twin)
    assert list(twin.state_dict()) == ["bias", "weight"] and not twin._forward_pre_hooks
    assert [int((each.weight_mask == 0).sum()) for each in (layer, second)] == [2, 3]
    for each in (layer, second):
        each.weight_orig.data = chainrule.full((2, 3), 5.0)
        each(x)
        assert chainrule.equal(each.weight, 5 * each.weight_mask), "the weight is made anew"
    twin.weight.data = chainrule.full((2, 3), 5.0)
    np.testing.assert_allclose(twin(x).detach(), 15 + twin.bias.detach()[None])


@pytest.mark.parametrize("rule", [prune.L1Unstructured(3), prune.RandomUnstructured(3), prune.LnStructured(1, 2, 1)])
def test_a_tensor_in_another_order_is_pruned_as_well(rule: prune.BasePruningMethod) -> None:
    turned = chainrule.from_numpy(np.arange(1, 7.0).reshape(2, 3).T)
    assert int((rule.prune(turned) == 0).sum()) == 3


class Negative(prune.BasePruningMethod):
    """A rule of one's own, which has no settings."""

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        return default_mask * (t >= 0)


def test_a_rule_of_ones_own() -> None:
    layer = nn.Linear(4, 4)
    negative = int((layer.weight < 0).sum())
    Negative.apply(layer, "weight")
    assert int((layer.weight_mask == 0).sum()) == negative
    prune.l1_unstructured(layer, "weight", amount=1)
    assert int((layer.weight_mask == 0).sum()) == negative + 1
    with pytest.raises(NotImplementedError, match=r"Rule must define compute_mask\(t, default_mask\)"):
        type("Rule", (prune.BasePruningMethod,), {}).apply(layer, "bias")


def test_what_fails_leaves_nothing() -> None:
    layer = nn.Linear(2, 2, bias=False)
    before = set(vars(layer))
    with pytest.raises(ValueError, match="'weight' of Linear has no pruning"):
        prune.remove(layer, "weight")
    with pytest.raises(ValueError, match="has no pruning"):
        prune.Identity.apply(nn.Linear(2, 2), "weight").remove(layer)
    for name in ("bias", "wieght"):
        with pytest.raises(ValueError, match=f"no parameter '{name}'; it has weight\\."):
            prune.identity(layer, name)
    with pytest.raises(ValueError, match="it has none"):
        prune.identity(nn.ReLU(), "weight")
    with pytest.raises(ValueError, match="cannot be pruned of 4"):
        prune.l1_unstructured(layer, "weight", 5)
    assert set(vars(layer)) == before and list(layer.state_dict()) == ["weight"]


@pytest.mark.parametrize("amount", [True, -1, -0.5, 1.5, float("nan"), "2", None])
def test_amounts_that_are_none(amount: Any) -> None:
    for rule in (prune.L1Unstructured, prune.RandomUnstructured, prune.RandomStructured):
        with pytest.raises(ValueError, match=r"share in \[0, 1\]"):
            rule(amount)


def test_errors() -> None:
    layer = nn.Linear(2, 2)
    with pytest.raises(ValueError, match="no parameter 'wieght'; it has weight, bias"):
        prune.l1_unstructured(layer, "wieght", 1)
    with pytest.raises(ValueError, match=r"share in \[0, 1\]"):
        prune.l1_unstructured(layer, "weight", 1.5)
    with pytest.raises(ValueError, match="5 cannot be pruned of 4"):
        prune.l1_unstructured(layer, "weight", 5)
    with pytest.raises(ValueError, match="two dimensions or more"):
        prune.ln_structured(layer, "bias", 1, n=2, dim=0)
    with pytest.raises(ValueError, match=r"the mask has shape \(3,\)"):
        prune.custom_from_mask(layer, "bias", chainrule.ones(3))
    assert list(nn.Linear(2, 2).state_dict()) == ["weight", "bias"]
