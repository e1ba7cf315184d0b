"""Optimisers against PyTorch's: fifty steps of every option, state that travels, and misuse."""

from __future__ import annotations

import copy
import inspect
import pickle
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import nn, optim
from tests.optimiser_cases import CASES, OPTIONS

random = np.random.default_rng(0)
START = {name: random.standard_normal(shape) * 0.5 for name, shape in [("a", (4, 3)), ("b", (3,)), ("c", (3, 2))]}
INPUTS, TARGETS = random.standard_normal((50, 8, 4)), random.standard_normal((50, 8, 2))


def train(framework: Any, name: str, settings: dict[str, Any], steps: int = 50) -> tuple[np.ndarray, Any]:
    """All parameters after each step, on a small network with a new batch in every step; and the optimiser."""
    parameters = {n: framework.tensor(v.copy(), requires_grad=True) for n, v in START.items()}
    learned = [p for p in parameters.values() if name != "Muon" or p.ndim == 2]
    optimizer = getattr(framework.optim, name)(learned, **settings)
    path = []
    for x, y in zip(INPUTS[:steps], TARGETS[:steps], strict=True):
        optimizer.zero_grad()
        hidden = framework.tanh(framework.tensor(x) @ parameters["a"] + parameters["b"])
        ((hidden @ parameters["c"] - framework.tensor(y)) ** 2).mean().backward()
        optimizer.step()
        path.append(np.concatenate([p.detach().numpy().ravel() for p in learned]))
    return np.array(path), optimizer


def without_rounding(torch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch's Muon rounds to bfloat16 inside; ours does not, so for comparing neither does."""
    monkeypatch.setattr(torch.Tensor, "bfloat16", lambda tensor: tensor.clone())


def plain(thing: Any) -> Any:
    """A state as numbers, lists and arrays, of either framework."""
    if isinstance(thing, dict):
        return {key: plain(entry) for key, entry in thing.items()}
    if isinstance(thing, (list, tuple)):
        return [plain(entry) for entry in thing]
    return thing.detach().numpy() if hasattr(thing, "detach") else thing


def assert_same_state(found: Any, wanted: Any, where: str = "") -> None:
    """Same names, shapes, types; values to rounding."""
    assert type(found) is type(wanted), where
    if isinstance(wanted, dict):
        assert set(found) == set(wanted), where
        for key in wanted:
            assert_same_state(found[key], wanted[key], f"{where}.{key}")
    elif isinstance(wanted, list):
        assert len(found) == len(wanted), where
        for i, pair in enumerate(zip(found, wanted, strict=True)):
            assert_same_state(*pair, f"{where}.{i}")
    elif isinstance(wanted, np.ndarray):
        assert (found.shape, found.dtype) == (wanted.shape, wanted.dtype), where
        np.testing.assert_allclose(found, wanted, rtol=1e-9 if wanted.dtype == np.float64 else 1e-6, atol=1e-9)
    else:
        assert found == wanted, where


@pytest.mark.peer
@pytest.mark.parametrize(("name", "settings"), CASES)
def test_trajectory_is_pytorch_s(name: str, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifty steps, and afterwards the whole state_dict: names, settings, shapes, types, values."""
    torch = pytest.importorskip("torch")
    without_rounding(torch, monkeypatch)
    (ours, mine), (theirs, other) = train(chainrule, name, settings), train(torch, name, settings)
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)
    assert_same_state(plain(mine.state_dict()), plain(other.state_dict()))


@pytest.mark.peer
@pytest.mark.parametrize("name", OPTIONS)
def test_arguments_are_pytorch_s(name: str) -> None:
    torch = pytest.importorskip("torch")
    forms = []
    for framework in (chainrule, torch):
        given = inspect.signature(getattr(framework.optim, name)).parameters.values()
        forms.append([(p.name, p.default, p.kind) for p in given])
    assert forms[0] == forms[1]


@pytest.mark.peer
@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_a_model_in_groups_follows_pytorch_s(name: str) -> None:
    """A multi-layer perceptron, groups with settings of their own, one frozen layer, a learning rate that falls."""
    torch = pytest.importorskip("torch")
    source = "n.Sequential(n.Linear(4, 6), n.Tanh(), n.Linear(6, 5), n.Sigmoid(), n.Linear(5, 2))"
    theirs = eval(source, {"n": torch.nn}).double()
    ours = eval(source, {"n": nn}).double()
    ours.load_state_dict({name: value.numpy() for name, value in theirs.state_dict().items()})
    own = {"lr": 0.02, "momentum": 0.5} if name == "SGD" else {"lr": 0.02, "betas": (0.5, 0.9), "amsgrad": True}
    found = []
    for framework, model in ((chainrule, ours), (torch, theirs)):
        model[2].requires_grad_(False)
        groups = [{"params": model[0].parameters()}, {"params": [*model[2:].parameters()], "weight_decay": 0.1, **own}]
        optimizer = getattr(framework.optim, name)(groups, lr=0.1)
        path = []
        for x, y in zip(INPUTS, TARGETS, strict=True):
            optimizer.zero_grad()
            framework.nn.functional.mse_loss(model(framework.tensor(x)), framework.tensor(y)).backward()
            optimizer.step()
            optimizer.param_groups[0]["lr"] *= 0.95
            path.append(np.concatenate([p.detach().numpy().ravel() for p in model.parameters()]))
        found.append(path)
    np.testing.assert_allclose(found[0], found[1], rtol=1e-9, atol=1e-9)


@pytest.mark.peer
@pytest.mark.parametrize("shape", [(), (0,), (1, 1)])
def test_parameters_of_any_shape(shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    without_rounding(torch, monkeypatch)
    for name in OPTIONS:
        if (name == "Muon" and len(shape) != 2) or (name == "Adafactor" and shape == (0,)):
            continue  # Muon takes matrices; PyTorch's Adafactor divides by the number of entries
        found = []
        for framework in (chainrule, torch):
            p = framework.ones(shape, dtype=framework.float64).requires_grad_()
            optimizer = getattr(framework.optim, name)([p], lr=0.1)
            for _ in range(3):
                optimizer.zero_grad()
                (p * p).sum().backward()
                optimizer.step()
            found.append(p.detach().numpy())
        assert found[0].shape == found[1].shape == shape
        np.testing.assert_allclose(found[0], found[1], rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "settings"),
    [("SGD", {"lr": 0.02, "dampening": 0.5, "momentum": 0.9}), ("Lion", {"lr": 0.1}), ("AMSGrad", {})]
    + [(name, settings) for name, cases in OPTIONS.items() for settings in cases[:4] if name != "Muon"],
)
def test_state_travels(name: str, settings: dict[str, Any]) -> None:
    model = nn.Linear(3, 2)
    optimizer = getattr(optim, name)(model.parameters(), **settings)

    def step(model: Any, optimizer: Any, x: Any) -> None:
        optimizer.zero_grad()
        (model(x) ** 2).sum().backward()
        optimizer.step()

    for i in range(3):
        step(model, optimizer, chainrule.ones(1, 3) * i)
    twins = [copy.deepcopy((model, optimizer)), pickle.loads(pickle.dumps((model, optimizer)))]
    loaded = nn.Linear(3, 2)
    loaded.load_state_dict(model.state_dict())
    other = getattr(optim, name)(loaded.parameters(), lr=9.0)
    other.load_state_dict(optimizer.state_dict())
    for pair in [(model, optimizer), *twins, (loaded, other)]:
        step(*pair, chainrule.ones(1, 3))
        assert pair[0].weight.tolist() == model.weight.tolist()


@pytest.mark.peer
def test_state_dict_has_pytorch_s_form() -> None:
    torch = pytest.importorskip("torch")
    states = []
    for framework in (chainrule, torch):
        p = framework.ones(2, requires_grad=True)
        optimizer = framework.optim.Adam([p], amsgrad=True)
        (p * p).sum().backward()
        optimizer.step()
        states.append(optimizer.state_dict())
    assert set(states[0]["state"][0]) == set(states[1]["state"][0])
    assert set(states[0]["param_groups"][0]) <= set(states[1]["param_groups"][0])


def test_groups_have_settings_of_their_own() -> None:
    a, b = chainrule.ones(1, requires_grad=True), chainrule.ones(1, requires_grad=True)
    optimizer = optim.SGD([{"params": [a]}, {"params": b, "lr": 0.5}], lr=0.1)
    (a + b).sum().backward()
    optimizer.param_groups[0]["lr"] = 0.25
    optimizer.step()
    assert (a.item(), b.item()) == (0.75, 0.5)


def test_zero_grad_closure_and_parameters_without_gradient() -> None:
    p, unused = chainrule.ones(2, requires_grad=True), chainrule.ones(2, requires_grad=True)
    optimizer = optim.Adam([p, unused], lr=0.1)

    def closure() -> Any:
        optimizer.zero_grad(set_to_none=False)
        loss = (p * p).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 2 and unused.tolist() == [1, 1]
    optimizer.zero_grad(set_to_none=False)
    assert p.grad.tolist() == [0, 0]
    optimizer.zero_grad()
    assert p.grad is None


@pytest.mark.peer
@pytest.mark.parametrize("clearing", [None, False, True])
@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_what_is_remembered_is_nobody_else_s(name: str, clearing: bool | None) -> None:
    """Gradients that are kept, added to or filled with zeros do not change the momentum."""
    torch = pytest.importorskip("torch")
    found = []
    for framework in (chainrule, torch):
        p = framework.ones(2, requires_grad=True)
        optimizer = getattr(framework.optim, name)(
            [p], lr=0.1, **({"momentum": 0.9} if name == "SGD" else {"amsgrad": True})
        )
        for _ in range(4):
            if clearing is not None:
                optimizer.zero_grad(set_to_none=clearing)
            (p * p * p).sum().backward()
            optimizer.step()
        found.append(p.tolist())
    np.testing.assert_allclose(found[0], found[1], rtol=1e-6)


def test_state_is_in_cells_that_stay() -> None:
    p = chainrule.ones(2, requires_grad=True)
    optimizer = optim.Adam([p])
    cells = []
    for _ in range(2):
        (p * p).sum().backward()
        optimizer.step()
        cells.append([id(optimizer.state[p][name]) for name in ("exp_avg", "exp_avg_sq")])
    assert cells[0] == cells[1]


def test_zeroed_gradients_are_zero_whatever_they_were() -> None:
    p = chainrule.ones(1, requires_grad=True)
    p.grad = chainrule.tensor([float("nan")])
    optim.SGD([p], lr=0.1).zero_grad(set_to_none=False)
    assert p.grad.tolist() == [0]


def test_loaded_state_takes_the_parameter_s_type() -> None:
    p, q = chainrule.ones(1, requires_grad=True), chainrule.ones(1, dtype="float64", requires_grad=True)
    first, second = optim.Adam([p]), optim.Adam([q])
    (p * p).sum().backward()
    first.step()
    second.load_state_dict(first.state_dict())
    (q * q).sum().backward()
    second.step()
    assert second.state[q]["exp_avg"].dtype is q.dtype is chainrule.float64
    with pytest.raises(chainrule.CheckpointError, match="Is it a model's"):
        second.load_state_dict(nn.Linear(1, 1).state_dict())


def test_misuse() -> None:
    p = chainrule.ones(1, requires_grad=True)
    for wrong, kind in [
        (lambda: optim.SGD([], lr=0.1), ValueError),
        (lambda: optim.SGD([p, p], lr=0.1), ValueError),
        (lambda: optim.SGD([p], lr=-1), ValueError),
        (lambda: optim.SGD([p], lr=0.1, nesterov=True), ValueError),
        (lambda: optim.Adam([p], betas=(1.0, 0.9)), ValueError),
        (lambda: optim.SGD([p * 2], lr=0.1), chainrule.GradientError),
        (lambda: optim.SGD(p, lr=0.1), TypeError),
        (lambda: optim.SGD(["p"], lr=0.1), TypeError),
        (lambda: optim.SGD([{"parameters": [p]}], lr=0.1), ValueError),
        (lambda: optim.Adam([p], betas=(0.9, 0.9, 0.9)), ValueError),
        (lambda: optim.SGD([{"params": {p}}]), TypeError),
        (lambda: optim.Adam([p], fused=True, foreach=True), RuntimeError),
        (lambda: optim.SGD([p], fused=True, differentiable=True), RuntimeError),
        (lambda: optim.Adadelta([p], rho=1.5), ValueError),
        (lambda: optim.Rprop([p], etas=(1.5, 2.0)), ValueError),
        (lambda: optim.RMSprop([p], alpha=-1), ValueError),
        (lambda: optim.Adagrad([p], lr_decay=-1), ValueError),
        (lambda: optim.NAdam([p], momentum_decay=-1), ValueError),
        (lambda: optim.Adafactor([p], d=0.5), ValueError),
        (lambda: optim.Adafactor([p], beta2_decay=0.1), ValueError),
        (lambda: optim.Muon([p]), chainrule.ShapeError),
        (lambda: optim.Adafactor([p], eps=(None, -1.0)), ValueError),
        (lambda: optim.Lion([p], lr=-1), ValueError),
        (lambda: optim.Muon([chainrule.eye(2)], adjust_lr_fn="x"), ValueError),
        (lambda: optim.Muon([chainrule.eye(2)], ns_steps=100), ValueError),
    ]:
        with pytest.raises(kind):
            wrong()
    saved = optim.SGD([p], lr=0.1).state_dict()
    with pytest.raises(chainrule.CheckpointError, match=r"\[2\].*\[1\]"):
        optim.SGD([p, chainrule.ones(1, requires_grad=True)], lr=0.1).load_state_dict(saved)


def test_a_state_that_does_not_fit_changes_nothing() -> None:
    p = chainrule.ones(1, requires_grad=True)
    optimizer = optim.SGD([p], lr=0.1, momentum=0.9)
    (p * p).sum().backward()
    optimizer.step()
    good = optimizer.state_dict()
    for wrong, says in [
        ({**good, "state": {**good["state"], 7: {}}}, "parameter 7"),
        ({**good, "param_groups": []}, r"\[1\].*\[\]"),
        ({}, "param_groups"),
    ]:
        with pytest.raises(chainrule.CheckpointError, match=says):
            optimizer.load_state_dict(wrong)
        assert optimizer.state_dict() == good and optimizer.state[p]["momentum_buffer"].item() == 2


def test_groups_are_added_later_and_checked() -> None:
    p, q = chainrule.ones(1, requires_grad=True), chainrule.ones(1, requires_grad=True)
    optimizer = optim.Adam([p], lr=0.1)
    optimizer.add_param_group({"params": q, "lr": 0.5})
    (p + q).sum().backward()
    optimizer.step()
    assert (round(p.item(), 6), round(q.item(), 6)) == (0.9, 0.5)
    for wrong, kind, says in [
        ({"params": [q]}, ValueError, "more than one group"), ({"params": [q * 2]}, chainrule.GradientError, "leaves"),
        ([q], TypeError, "dictionary"), ({"lr": 1.0}, ValueError, "params"), ({"params": [3]}, TypeError, "int"),
    ]:  # fmt: skip
        with pytest.raises(kind, match=says):
            optimizer.add_param_group(wrong)
        assert len(optimizer.param_groups) == 2


def test_the_closure_has_gradients_even_where_they_are_off() -> None:
    p = chainrule.ones(1, requires_grad=True)
    optimizer = optim.SGD([p], lr=0.25)

    def closure() -> Any:
        loss = (p * p).sum()
        loss.backward()
        return loss

    with chainrule.no_grad():
        assert optimizer.step(closure).item() == 1 and p.item() == 0.5
    assert optimizer.step() is None and optimizer.step(lambda: 5) == 5
    assert p.is_leaf and p.requires_grad and p.grad.is_leaf


def test_hooks_see_and_change_steps_and_states() -> None:
    p = chainrule.ones(1, requires_grad=True)
    optimizer = optim.SGD([p], lr=0.5, momentum=0.5)
    seen: list[Any] = []
    handles = [
        optimizer.register_step_pre_hook(lambda o, args, kwargs: seen.append(("before", len(args), kwargs))),
        optimizer.register_step_post_hook(lambda o, args, kwargs: seen.append(("after", o is optimizer))),
        optimizer.register_state_dict_pre_hook(lambda o: seen.append("saving")),
        optimizer.register_state_dict_post_hook(lambda o, saved: {**saved, "extra": 1}),
        optimizer.register_load_state_dict_pre_hook(lambda o, saved: {k: v for k, v in saved.items() if k != "extra"}),
        optimizer.register_load_state_dict_post_hook(lambda o: seen.append("loaded")),
    ]
    p.grad = chainrule.ones(1)
    optimizer.step()
    assert optimizer.step(lambda: 7) == 7
    saved = optimizer.state_dict()
    assert saved["extra"] == 1
    optimizer.load_state_dict(saved)
    assert seen == [("before", 1, {}), ("after", True), ("before", 2, {}), ("after", True), "saving", "loaded"]
    assert copy.deepcopy(optimizer).state_dict().keys() == {"state", "param_groups"}
    for handle in handles:
        handle.remove()
    optimizer.step()
    assert len(seen) == 6
    optimizer.register_step_pre_hook(lambda o, args, kwargs: ((o, lambda: 8), {}))
    assert optimizer.step() == 8
    optimizer.register_step_pre_hook(lambda o, args, kwargs: 3)
    with pytest.raises(RuntimeError, match="got 3"):
        optimizer.step()


def test_hooks_are_called_once_around_a_step_of_the_users_own() -> None:
    class Noisy(optim.SGD):
        def step(self, closure: Any = None) -> Any:
            answer = super().step(closure)
            for p in self.param_groups[0]["params"]:
                p.data.add_(1)
            return answer

    p = chainrule.ones(1, requires_grad=True)
    optimizer, seen = Noisy([p], lr=0.5), []
    p.grad = chainrule.ones(1)
    assert optimizer.step(lambda: 7) == 7 and p.item() == 1.5  # before there are hooks
    optimizer.register_step_pre_hook(lambda o, args, kwargs: seen.append(p.item()))
    optimizer.register_step_post_hook(lambda o, args, kwargs: seen.append(p.item()))
    optimizer.step()
    assert seen == [1.5, 2.0]
    plain = optim.SGD([p], lr=0.5)
    plain.step()
    assert len(seen) == 2


@pytest.mark.peer
def test_names_of_parameters_are_kept() -> None:
    torch = pytest.importorskip("torch")
    states = []
    for framework in (chainrule, torch):
        model = framework.nn.Linear(2, 2)
        optimizer = framework.optim.SGD(model.named_parameters(), lr=0.1)
        extra = framework.ones(1, requires_grad=True)
        for wrong in ({"params": [extra]}, {"params": [("x", extra), framework.ones(1, requires_grad=True)]}):
            with pytest.raises(ValueError, match="with"):
                optimizer.add_param_group(wrong)
        optimizer.add_param_group({"params": [("extra", extra)], "lr": 0.5})
        states.append(optimizer.state_dict())
        other = framework.optim.SGD([("a", model.weight), ("b", model.bias)], lr=0.3)
        other.load_state_dict({"state": {}, "param_groups": states[-1]["param_groups"][:1]})
        assert other.param_groups[0]["param_names"] == ["weight", "bias"]
    assert states[0] == states[1] and states[0]["param_groups"][1]["param_names"] == ["extra"]


def test_old_states_with_counts_that_are_numbers() -> None:
    p = chainrule.ones(1, requires_grad=True)
    optimizer = optim.Adam([p])
    p.grad = chainrule.ones(1)
    optimizer.step()
    saved = optimizer.state_dict()
    saved["state"][0] = {**saved["state"][0], "step": 4}
    optimizer.load_state_dict(saved)
    optimizer.step()
    assert optimizer.state[p]["step"].item() == 5 and optimizer.state[p]["step"].dtype is chainrule.float32


def test_printing_names_the_settings() -> None:
    text = repr(optim.Adam([chainrule.ones(1, requires_grad=True)], lr=0.1))
    assert (
        text.startswith("Adam (\nParameter Group 0\n    amsgrad: False\n    betas: (0.9, 0.999)\n")
        and "lr: 0.1" in text
    )
