"""Modules: registering, walking, saving, copying, hooks, and the path in records and errors."""

from __future__ import annotations

import copy
import pickle
import threading
from typing import Any

import pytest

import chainrule
from chainrule import models, nn


class Shared(nn.Module):
    """A buffer, an unsaved buffer, a list that is never called, and one module used under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", chainrule.zeros(2))
        self.register_buffer("scratch", chainrule.zeros(1), persistent=False)
        self.layers = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])
        self.again = self.layers[0]
        self.scale = nn.Parameter(chainrule.ones(1))

    def forward(self, x: Any) -> Any:
        for layer in self.layers:
            x = layer(x)
        return self.again(x) * self.scale


def test_names_and_walks() -> None:
    model = Shared()
    assert [n for n, _ in model.named_parameters()] == [
        "scale", "layers.0.weight", "layers.0.bias", "layers.1.weight", "layers.1.bias",
    ]  # fmt: skip
    assert list(model.state_dict()) == [
        "scale", "mean", "layers.0.weight", "layers.0.bias", "layers.1.weight", "layers.1.bias", "again.weight", "again.bias",
    ]  # fmt: skip
    assert [n for n, _ in model.named_modules()] == ["", "layers", "layers.0", "layers.1"]
    assert [n for n, _ in model.named_buffers()] == ["mean", "scratch"]
    assert model.get_submodule("layers.1") is model.layers[1] and model.get_parameter("layers.0.bias").shape == (2,)
    with pytest.raises(AttributeError, match="nonsense"):
        model.get_submodule("layers.nonsense")
    model.mean = chainrule.ones(2)
    assert "mean" in model._buffers and "mean" not in model.__dict__
    del model.again
    assert not hasattr(model, "again")


def test_changing_everything_at_once() -> None:
    model = Shared()
    assert not model.eval().layers[0].training and model.train().layers[0].training
    model.requires_grad_(False)
    assert not any(p.requires_grad for p in model.parameters())
    model.requires_grad_().double()
    assert {p.dtype for p in model.parameters()} == {chainrule.float64} and model.mean.dtype is chainrule.float64
    assert all(p.requires_grad and p.is_leaf for p in model.parameters())
    model(chainrule.ones(1, 2, dtype="float64")).sum().backward()
    model.zero_grad()
    assert all(p.grad is None for p in model.parameters())
    seen: list[str] = []
    model.apply(lambda m: seen.append(type(m).__name__))
    assert seen[-1] == "Shared" and seen.count("Linear") == 3


def test_loading_is_strict_and_all_or_nothing() -> None:
    model, before = nn.Linear(2, 3), nn.Linear(2, 3).state_dict()
    model.load_state_dict(before)
    for wrong, says in [
        ({"weight": before["weight"]}, "missing: bias"),
        ({**before, "extra": before["bias"]}, "unexpected: extra"),
        ({"weight": chainrule.ones(3, 2), "bias": chainrule.ones(4)}, r"bias has shape \(4,\)"),
    ]:
        with pytest.raises(chainrule.CheckpointError, match=says):
            model.load_state_dict(wrong)
        assert model.weight.tolist() == before["weight"].tolist()
    keys = model.load_state_dict({"weight": chainrule.ones(3, 2), "extra": 1}, strict=False)
    assert keys.missing_keys == ["bias"] and keys.unexpected_keys == ["extra"] and model.weight.sum().item() == 6
    assert model.weight.is_leaf and model.weight.requires_grad


def test_copies_are_independent_and_keep_sharing() -> None:
    model = Shared()
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert twin.again is twin.layers[0] and twin.again is not model.again
        x = chainrule.ones(1, 2)
        assert chainrule.equal(twin(x), model(x))
        with chainrule.no_grad():
            twin.scale.zero_()
        assert model.scale.item() == 1 and twin(x).grad_fn.path == ""


def test_hooks() -> None:
    layer, seen = nn.Linear(1, 1), []
    pre = layer.register_forward_pre_hook(lambda m, args: (args[0] * 10,))
    post = layer.register_forward_hook(lambda m, args, y: seen.append(args[0].item()) or y * 0)
    assert layer(chainrule.ones(1)).item() == 0 and seen == [10]
    pre.remove()
    post.remove()
    assert layer(chainrule.ones(1)).item() != 0 or layer.weight.item() + layer.bias.item() == 0


def test_containers() -> None:
    model = nn.Sequential(nn.Linear(1, 2), nn.ReLU())
    model.append(nn.Linear(2, 3)).insert(1, nn.Tanh())
    assert [type(m).__name__ for m in model] == ["Linear", "Tanh", "ReLU", "Linear"]
    assert len(model[1:3]) == 2 and model[-1].out_features == 3
    del model[1]
    model[0] = nn.Linear(1, 2, bias=False)
    assert list(model.state_dict()) == ["0.weight", "2.weight", "2.bias"]
    with pytest.raises(IndexError):
        model[9]
    table = nn.ModuleDict({"a": nn.ReLU()})
    table["b"] = nn.Tanh()
    assert list(table) == ["a", "b"] and "a" in table and len(list(table.items())) == 2


def test_the_path_is_in_records_and_errors() -> None:
    model = nn.Sequential(nn.Sequential(nn.Linear(2, 3), nn.Tanh()), Shared())
    y = model[0](chainrule.ones(1, 2))
    assert y.grad_fn.path == "1", "a part that is called by itself is a root of its own"
    seen = {}
    inner = model[0][0]
    inner.register_forward_hook(lambda m, args, y: seen.update(path=y.grad_fn.path))
    with pytest.raises(chainrule.ShapeError, match=r"^1\.layers\.0 \(Linear\): got \(1, 3\), expects \(…, 2\)"):
        model(chainrule.ones(1, 2))
    assert seen["path"] == "0.0"
    with pytest.raises(chainrule.ShapeError, match=r"^shapes"):
        chainrule.ones(2) + chainrule.ones(3)


def test_paths_belong_to_their_thread() -> None:
    entered, leave, paths = threading.Event(), threading.Event(), []

    class Slow(nn.Module):
        def forward(self, x: Any) -> Any:
            entered.set()
            leave.wait(10)
            return x

    thread = threading.Thread(target=lambda: nn.Sequential(Slow())(chainrule.ones(1)))
    thread.start()
    entered.wait(10)
    paths.append((chainrule.ones(1, requires_grad=True) * 2).grad_fn.path)
    leave.set()
    thread.join()
    assert paths == [""]


def test_misuse() -> None:
    with pytest.raises(chainrule.ChainruleError, match="forward"):
        nn.Module()(1)
    model = nn.Linear(1, 1)
    with pytest.raises(TypeError, match="parameter"):
        model.weight = 3
    with pytest.raises(KeyError, match="dots"):
        model.register_buffer("a.b", None)
    with pytest.raises(ValueError, match="Did you mean lenet5"):
        models.create("lenet")
