"""Containers and hooks, beside PyTorch's; what is refused, and what loading takes."""

from __future__ import annotations

import copy
import operator
import pickle
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import nn

OPERATIONS = [
    "n.Sequential(n.Linear(1, 2), n.ReLU()) + n.Sequential(n.Tanh())",
    "n.Sequential(OrderedDict(a=n.Linear(1, 2), b=n.ReLU()))[1:]",
    "n.Sequential(n.Linear(1, 2), n.ReLU(), n.Tanh())[::2]",
    "n.ModuleList([n.Linear(1, 2), n.Linear(1, 2), n.ReLU(), n.Linear(1, 2)])",
    "n.ModuleList([n.Sequential(n.ReLU(), n.Tanh()) for _ in range(2)])",
    "n.ModuleList([n.ReLU()]) + [n.Tanh()]",
    "n.ModuleList([])",
    "n.ModuleDict([('a', n.Linear(1, 2)), ('b', n.ModuleDict({'c': n.ReLU()}))])",
    "after(n.Sequential(n.Linear(1, 2), n.ReLU(), n.Linear(2, 1)), 'pop', 0)",
    "after(n.Sequential(n.Linear(1, 2), n.ReLU()), 'insert', 1, n.Linear(2, 2))",
    "after(n.Sequential(n.ReLU()), 'extend', n.Sequential(n.Tanh(), n.ReLU()))",
    "after(n.ModuleList([n.ReLU(), n.Linear(1, 2)]), '__delitem__', 0)",
    "after(n.ModuleList([n.ReLU()]), 'insert', 0, n.Tanh())",
    "after(n.ModuleDict({'a': n.ReLU(), 'b': n.Linear(1, 1)}), 'pop', 'a')",
    "after(n.ModuleDict({'a': n.ReLU(), 'b': n.Linear(1, 1)}), 'clear')",
    "after(n.ModuleDict({'a': n.ReLU()}), 'update', [('b', n.Tanh()), ('a', n.Linear(1, 1))])",
    "after(n.ModuleList([n.ReLU(), n.Tanh()]), '__setitem__', -1, n.Linear(1, 1))",
    "after(n.ModuleList([n.ReLU(), n.Tanh(), n.Linear(1, 1)]), '__delitem__', slice(0, 2))",
    "after(n.ModuleList([n.ReLU(), n.Tanh(), n.Linear(1, 1)]), 'pop', slice(0, 2))",
    "after(n.Sequential(n.ReLU()), '__iadd__', n.Sequential(n.Tanh()))",
    "n.Sequential(n.Linear(1, 2), n.ReLU()) * 2",
    "2 * n.Sequential(n.Linear(1, 2), n.ReLU())",
    "after(n.Sequential(n.Linear(1, 2), n.ReLU()), '__imul__', 3)",
]


def after(module: Any, method: str, *args: Any) -> Any:
    """The module after a method was called on it."""
    getattr(module, method)(*args)
    return module


@pytest.mark.peer
@pytest.mark.parametrize("source", OPERATIONS)
def test_containers_are_pytorch_s(source: str) -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = (eval(source, {"n": f.nn, "after": after, "OrderedDict": OrderedDict}) for f in (chainrule, torch))
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert [name for name, _ in ours.named_modules()] == [name for name, _ in theirs.named_modules()]


@pytest.mark.peer
def test_a_part_in_two_places_is_one_child_and_has_two_names_in_the_state() -> None:
    torch = pytest.importorskip("torch")
    found = []
    for library in (chainrule, torch):
        shared = library.nn.Linear(2, 2)
        model = library.nn.Sequential(shared, library.nn.ReLU(), shared)
        calls: list[str] = []
        model.apply(lambda module, calls=calls: calls.append(type(module).__name__))
        children = [name for name, _ in model.named_children()]
        found.append((children, len(list(model.children())), calls, list(model.state_dict()), len(model)))
        assert not model.load_state_dict(model.state_dict()).missing_keys
    assert found[0] == found[1] == (["0", "1"], 2, ["Linear", "ReLU", "Sequential"], list(model.state_dict()), 3)


def test_a_missing_module_is_named() -> None:
    with pytest.raises(KeyError, match="no module 'c'; there are 'a', 'b'"):
        nn.ModuleDict({"a": nn.ReLU(), "b": nn.ReLU()}).pop("c")


def test_parameter_lists_register_and_travel() -> None:
    weights = nn.ParameterList([chainrule.ones(2), nn.Parameter(chainrule.zeros(3))]).append(chainrule.ones(1))
    for twin in (weights, copy.deepcopy(weights), pickle.loads(pickle.dumps(weights))):
        assert [tuple(p.shape) for p in twin.parameters()] == [(2,), (3,), (1,)] and len(twin[1:]) == 2
        assert all(isinstance(p, nn.Parameter) for p in twin) and list(twin.state_dict()) == ["0", "1", "2"]
    weights += [chainrule.ones(4)]
    weights[0], weights[-1] = chainrule.zeros(5), chainrule.zeros(6)
    assert [tuple(p.shape) for p in weights.parameters()] == [(5,), (3,), (1,), (6,)]
    for wrong in (chainrule.ones(2), 3):
        with pytest.raises(TypeError, match="append adds one"):
            weights.extend(wrong)  # type: ignore[arg-type]
    with pytest.raises(IndexError, match="no entry 4"):
        weights[4]


def test_parameter_lists_hold_lists_and_anything_else() -> None:
    """As PyTorch's: modules within are registered, what is no tensor is kept, other attributes are no entries."""
    weights = nn.ParameterList([nn.ParameterList([chainrule.ones(2), chainrule.ones(3)]), 3, chainrule.ones(1), None])
    weights.scale = nn.Parameter(chainrule.ones(1))
    for twin in (weights, copy.deepcopy(weights)):
        assert len(twin) == 4 and twin[1] == 3 and twin[3] is None and len(list(twin)) == 4
        assert list(twin.state_dict()) == ["2", "scale", "0.0", "0.1"] and len(twin[0]) == 2

    class Blocks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.pairs = nn.ParameterList([nn.ParameterList([chainrule.ones(2), chainrule.zeros(2)]) for _ in range(3)])

        def forward(self, x: Any) -> Any:
            for weight, bias in self.pairs:
                x = x * weight + bias
            return x

    model = Blocks()
    chainrule.compile(lambda: model(chainrule.ones(2)).sum().backward())()
    assert [p.grad.tolist() for p in model.pairs[0]] == [[1, 1], [1, 1]]


@pytest.mark.parametrize(
    ("wrong", "kind", "says"),
    [
        (lambda: nn.Sequential(nn.Linear(1, 1), nn.ReLU), TypeError, r"Sequential\.1 .* class ReLU.*ReLU\("),  # type: ignore[arg-type]
        (lambda: nn.Sequential(chainrule.relu), TypeError, r"a function.*nn\.ReLU\(\)"),
        (lambda: nn.Sequential([nn.ReLU()]), TypeError, r"a list.*\*layers"),
        (lambda: nn.ModuleList([3]), TypeError, "int"),  # type: ignore[list-item]
        (lambda: nn.ReLU().register_parameter("w", chainrule.ones(1)), TypeError, r"nn\.Parameter\(tensor\)"),  # type: ignore[arg-type]
        (lambda: nn.ReLU().register_buffer("w", 3), TypeError, "buffer"),  # type: ignore[arg-type]
        (lambda: nn.Linear(1, 1).register_buffer("weight", chainrule.ones(1)), KeyError, "already"),
        (lambda: nn.ReLU().add_module("forward", nn.ReLU()), KeyError, "already"),
        (lambda: nn.ReLU().train("yes"), ValueError, "True or False"),  # type: ignore[arg-type]
        (lambda: nn.Linear(1, 1).to(chainrule.int64), chainrule.DTypeError, "int64"),
        (lambda: nn.Linear(1, 1).cuda(), ValueError, '"cpu"'),
        (lambda: nn.Linear(1, 1).get_buffer("mean"), AttributeError, "no buffer 'mean'"),
        (lambda: nn.ReLU()(np.ones(2)), chainrule.DTypeError, r"ndarray.*chainrule\.tensor"),
    ],
)
def test_misuse_says_what_to_do(wrong: Any, kind: type[Exception], says: str) -> None:
    with pytest.raises(kind, match=says):
        wrong()


def test_what_is_assigned_takes_the_place_of_what_was_there() -> None:
    model = nn.Sequential(nn.Linear(1, 1))
    model.extra = 3
    model.extra = nn.ReLU()
    assert [name for name, _ in model.named_children()] == ["0", "extra"]
    model.extra = nn.Parameter(chainrule.ones(1))
    assert [name for name, _ in model.named_children()] == ["0"] and "extra" in dict(model.named_parameters())
    model.extra = None
    assert model.extra is None and "extra" not in model.state_dict()


def test_conversion_takes_gradients_and_buffers_along() -> None:
    layer = nn.Linear(2, 1)
    layer.register_buffer("count", chainrule.zeros(1, dtype="int64"))
    layer.register_buffer("mean", chainrule.zeros(1))
    layer(chainrule.ones(1, 2)).sum().backward()
    layer.double()
    assert layer.weight.grad.dtype is layer.mean.dtype is chainrule.float64 and layer.count.dtype is chainrule.int64
    layer(chainrule.ones(1, 2, dtype="float64")).sum().backward()
    assert layer.weight.grad.tolist() == [[2, 2]]


def test_loading_keeps_every_digit_and_takes_arrays() -> None:
    layer = nn.Linear(2, 1).double()
    layer.load_state_dict({"weight": np.full((1, 2), 1 / 3), "bias": np.zeros(1)})
    assert layer.weight.tolist() == [[1 / 3, 1 / 3]]
    with pytest.raises(chainrule.CheckpointError, match="bias"):
        layer.load_state_dict({"weight": np.zeros((1, 2)), "bias": "zero"})
    kept = layer.state_dict(keep_vars=True, prefix="a.")
    assert kept["a.weight"] is layer.weight


@pytest.mark.peer
def test_weights_travel_from_pytorch_as_they_are() -> None:
    torch = pytest.importorskip("torch")
    theirs, ours = torch.nn.Conv2d(2, 3, 3), nn.Conv2d(2, 3, 3)
    ours.load_state_dict(theirs.state_dict())
    assert np.array_equal(ours.weight.detach().numpy(), theirs.weight.detach().numpy())


# ------------------------------------------------------------------------------------------------- hooks


def test_forward_hooks_in_order_with_keywords() -> None:
    class Scale(nn.Module):
        def forward(self, x: Any, by: float = 1.0) -> Any:
            return x * by

    layer, seen = Scale(), []
    layer.register_forward_hook(lambda m, args, y: seen.append("second"))
    layer.register_forward_hook(lambda m, args, kwargs, y: seen.append(kwargs), prepend=True, with_kwargs=True)
    pre = layer.register_forward_pre_hook(lambda m, args, kwargs: (args, {"by": 5.0}), with_kwargs=True)
    assert layer(chainrule.ones(1), by=2.0).item() == 5 and seen == [{"by": 5.0}, "second"]
    pre.remove()
    layer.register_forward_pre_hook(lambda m, args: args[0] * 7)
    pre.remove()  # a handle takes off its own hook only, however often
    assert layer(chainrule.ones(1), by=2.0).item() == 14


@pytest.mark.peer
@pytest.mark.parametrize("wanted", [True, False])
def test_backward_hooks_see_and_replace_what_pytorch_s_do(wanted: bool) -> None:
    torch = pytest.importorskip("torch")
    found = []
    for framework in (chainrule, torch):

        class Two(framework.nn.Module):  # type: ignore[name-defined]
            def forward(self, x: Any, y: Any) -> Any:
                return x * y, x + y

        seen: list[Any] = []
        module = Two()

        def hook(module: Any, grad_input: Any, grad_output: Any, seen: list[Any] = seen) -> Any:
            seen.append([None if g is None else g.tolist() for g in (*grad_input, *grad_output)])
            return tuple(None if g is None else g * 10 for g in grad_input)

        handle = module.register_full_backward_hook(hook)
        x = framework.tensor([1.0, 2.0], requires_grad=True)
        y = framework.tensor([3.0, 4.0], requires_grad=wanted)
        product, total = module(x, y)
        (product.sum() + (total * total).sum()).backward()
        handle.remove()
        module(x, y)[0].sum().backward()
        found.append((seen, x.grad.tolist(), y.grad.tolist() if wanted else None))
    assert found[0] == found[1]


def test_backward_hooks_where_no_input_wants_a_gradient() -> None:
    layer, seen = nn.Linear(2, 1), []
    layer.register_full_backward_hook(lambda m, gi, go: seen.append((gi, go[0].tolist())))
    layer(chainrule.ones(3, 2)).sum().backward()
    assert seen == [((None,), [[1.0], [1.0], [1.0]])] and layer.weight.grad.tolist() == [[3, 3]]
    with chainrule.no_grad():
        layer(chainrule.ones(3, 2))
    assert len(seen) == 1


def test_the_path_is_restored_after_errors_and_through_hooks() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(3, 1))
    model[0].register_full_backward_hook(lambda m, gi, go: None)
    with pytest.raises(chainrule.ShapeError, match=r"^1 \(Linear\): got \(1, 2\)"):
        model(chainrule.ones(1, 2))
    with pytest.raises(chainrule.ShapeError, match=r"^shapes"):
        chainrule.ones(2) + chainrule.ones(3)


@pytest.mark.peer
def test_copies_of_parameters_leave_the_gradient_behind() -> None:
    torch = pytest.importorskip("torch")
    for library in (chainrule, torch):
        layer = library.nn.Linear(2, 1)
        layer(library.ones(1, 2)).sum().backward()
        twin = copy.deepcopy(layer)
        assert twin.weight.grad is None and layer.weight.grad is not None and twin.weight.requires_grad
        leaf = library.ones(2, requires_grad=True)
        leaf.sum().backward()
        assert copy.deepcopy(leaf).grad.tolist() == [1, 1]  # a tensor that is no parameter keeps it


@pytest.mark.peer
def test_shapes_that_are_joined_are_shapes() -> None:
    torch = pytest.importorskip("torch")
    for source in ("s + s", "s + (1,)", "(1,) + s", "s * 2", "2 * s", "(s + s).numel()"):
        found = [str(eval(source, {"s": library.ones(2, 3).shape})) for library in (chainrule, torch)]
        assert found[0] == found[1].replace("torch.", ""), source
    with pytest.raises(TypeError):
        operator.add(chainrule.ones(2).shape, [1])
    np.testing.assert_array_equal(chainrule.ones(2, 3).shape + np.array([1, 2]), [3, 5])


def test_a_module_without_forward_says_so_as_pytorch_s_does() -> None:
    with pytest.raises(NotImplementedError, match="Module does not define forward"):
        nn.Module()(1)
