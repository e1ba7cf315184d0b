"""What a compiled step depends on of our own objects: networks, hooks, generators, settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import chainrule
from chainrule import nn
from chainrule.nn import functional as F
from tests.changes import programs_of

X = chainrule.tensor([1.0, 2.0, 3.0])

pytestmark = pytest.mark.filterwarnings("ignore::chainrule.errors.EvaluationWarning")


@pytest.fixture(autouse=True)
def settings_of_the_library() -> Iterator[None]:
    """What a test sets is put back."""
    yield
    chainrule.set_default_dtype(chainrule.float32)
    chainrule.set_grad_enabled(True)


def identity(factor: float = 1.0) -> nn.Linear:
    """A layer that multiplies by a number."""
    layer = nn.Linear(3, 3)
    layer.weight.data = chainrule.eye(3) * factor
    layer.bias.data.zero_()
    return layer


def as_argument(net: Any) -> Callable[[], list[float]]:
    """A compiled step that gets the network as an argument."""
    step = chainrule.compile(lambda m, x: m(x))
    return lambda: step(net, X).tolist()


def in_the_closure(net: Any) -> Callable[[], list[float]]:
    """A compiled step that finds the network outside."""
    step = chainrule.compile(lambda x: net(x))
    return lambda: step(X).tolist()


def in_a_dictionary(net: Any) -> Callable[[], list[float]]:
    """A compiled step that finds the network in a dictionary in a list."""
    parts = [{"net": net}]
    step = chainrule.compile(lambda x: parts[0]["net"](x))
    return lambda: step(X).tolist()


def as_a_module(net: Any) -> Callable[[], list[float]]:
    """A compiled module."""
    run = chainrule.compile(net)

    def call() -> list[float]:
        with chainrule.no_grad():
            return run(X).tolist()

    return call


FOUND = [as_argument, in_the_closure, in_a_dictionary, as_a_module]
found = pytest.mark.parametrize("prepare", FOUND, ids=lambda prepare: prepare.__name__)


# ------------------------------------------------------------------------------------- networks


@found
def test_layers_appended_replaced_and_deleted(prepare: Any) -> None:
    net = nn.Sequential(identity(-1.0))
    run = prepare(net)
    assert run() == [-1, -2, -3]
    net.append(nn.ReLU())
    assert run() == [0, 0, 0]
    net[0] = identity(2.0)
    assert run() == [2, 4, 6]
    net.insert(0, identity(-1.0))
    assert run() == [0, 0, 0]
    del net[2]
    assert run() == [-2, -4, -6]
    net.add_module("last", identity(0.5))
    assert run() == [-1, -2, -3]


class Lists(nn.Module):
    """A network that walks through containers of layers, registered ones and others."""

    scale = 1.0

    def __init__(self) -> None:
        super().__init__()
        self.listed = nn.ModuleList([identity(2.0)])
        self.named = nn.ModuleDict({"a": identity(1.0)})
        self.loose: Any = (nn.Dropout(0.5).eval(),)
        self.settings: Any = {"shift": 0.0}
        self.numbers: Any = [1.0]
        self.activation: Any = F.relu

    def forward(self, x: Any) -> Any:
        """All one after the other."""
        for layer in (*self.listed, *self.named.values(), *self.loose):
            x = layer(x)
        return self.activation(x) * self.scale * self.numbers[0] + self.settings["shift"]


@found
def test_containers_of_layers_and_plain_attributes(prepare: Any) -> None:
    net = Lists()
    run = prepare(net)
    assert run() == [2, 4, 6]
    net.listed.append(identity(2.0))
    assert run() == [4, 8, 12]
    net.named["b"] = identity(0.5)
    assert run() == [2, 4, 6]
    del net.named["a"], net.listed[0]
    net.named["b"] = identity(3.0)
    assert run() == [6, 12, 18]
    net.settings["shift"] = 1.0
    assert run() == [7, 13, 19]
    net.numbers[0] = 2
    assert run() == [13, 25, 37]
    net.numbers, net.settings = [1.0], {"shift": -1.0}
    assert run() == [5, 11, 17]
    net.activation = chainrule.neg
    assert run() == [-7, -13, -19]
    net.scale = 2.0
    assert run() == [-13, -25, -37]


def test_a_class_attribute_of_a_module() -> None:
    class Scaled(nn.Module):
        scale = 2.0

        def forward(self, x: Any) -> Any:
            return x * self.scale

    run = in_the_closure(Scaled())
    assert run() == [2, 4, 6]
    Scaled.scale = 3.0
    assert run() == [3, 6, 9]


@found
def test_an_attribute_of_a_module_that_comes_and_goes(prepare: Any) -> None:
    class Boosted(nn.Module):
        def forward(self, x: Any) -> Any:
            return x * getattr(self, "boost", 1.0) + hasattr(self, "shift")

    net = Boosted()
    run = prepare(net)
    assert run() == [1, 2, 3]
    net.boost = 3.0
    assert run() == [3, 6, 9]
    net.shift = None
    assert run() == [4, 7, 10]
    del net.boost
    assert run() == [2, 3, 4]


@found
def test_the_mode_of_layers_that_are_not_registered(prepare: Any) -> None:
    net = Lists()
    run = prepare(net)
    assert run() == [2, 4, 6]
    net.loose[0].train()
    net.loose[0].p = 1.0
    assert run() == [0, 0, 0]
    net.loose[0].eval()
    assert run() == [2, 4, 6]
    net.loose = (identity(3.0),)
    assert run() == [6, 12, 18]
    net.loose = frozenset({identity(4.0)})
    assert run() == [8, 16, 24]


@found
def test_training_and_evaluation(prepare: Any) -> None:
    net = nn.Sequential(identity(2.0), nn.Sequential(nn.Dropout(1.0)))
    run = prepare(net)
    for train, expected in ((True, [0, 0, 0]), (False, [2, 4, 6]), (True, [0, 0, 0])):
        net.train(train)
        with chainrule.no_grad():
            assert run() == expected
    net[1][0].eval()
    assert run() == [2, 4, 6]
    net[1][0].training = True
    net[1][0].p = 0.0
    assert run() == [2, 4, 6]


@found
def test_hooks_come_and_go(prepare: Any) -> None:
    net = nn.Sequential(identity(1.0))
    run = prepare(net)
    assert run() == [1, 2, 3]
    double = net[0].register_forward_hook(lambda module, given, result: result * 2)
    assert run() == [2, 4, 6]
    shift = net.register_forward_pre_hook(lambda module, given: (given[0] + 1,))
    assert run() == [4, 6, 8]
    double.remove()
    assert run() == [2, 3, 4]
    shift.remove()
    assert run() == [1, 2, 3]


def test_a_backward_hook_that_comes_and_goes() -> None:
    layer = identity(1.0)

    @chainrule.compile
    def slope(x: Any) -> Any:
        x = x.detach().requires_grad_()
        layer(x).sum().backward()
        layer.zero_grad()
        return x.grad

    assert slope(X).tolist() == [1, 1, 1]
    handle = layer.register_full_backward_hook(lambda module, into, out: (into[0] * 5,))
    assert slope(X).tolist() == [5, 5, 5]
    handle.remove()
    assert slope(X).tolist() == [1, 1, 1]


@found
def test_another_forward_for_the_instance_and_the_class(prepare: Any) -> None:
    class Doubled(nn.Module):
        def forward(self, x: Any) -> Any:
            return x * 2

    class Tripled(nn.Module):
        def forward(self, x: Any) -> Any:
            return x * 3

    net = nn.Sequential(Doubled())
    run = prepare(net)
    assert run() == [2, 4, 6]
    Doubled.forward = lambda self, x: x * 7  # type: ignore[method-assign]
    assert run() == [7, 14, 21]
    net[0].forward = lambda x: x * 9  # type: ignore[method-assign]
    assert run() == [9, 18, 27]
    del net[0].forward
    net[0].__class__ = Tripled  # type: ignore[assignment]
    assert run() == [3, 6, 9]


@found
def test_weights_that_are_replaced_or_loaded(prepare: Any) -> None:
    net = identity(1.0)
    run = prepare(net)
    assert run() == [1, 2, 3]
    net.weight.data = chainrule.eye(3) * 2
    assert run() == [2, 4, 6]
    net.weight.data.mul_(2)
    assert run() == [4, 8, 12]
    net.load_state_dict({"weight": chainrule.eye(3) * 5, "bias": chainrule.ones(3)})
    assert run() == [6, 11, 16]
    net.load_state_dict({"weight": chainrule.eye(3), "bias": chainrule.zeros(3)}, assign=True)
    assert run() == [1, 2, 3]
    net.bias = nn.Parameter(chainrule.ones(3))
    assert run() == [2, 3, 4]
    net.bias = None  # type: ignore[assignment]
    assert run() == [1, 2, 3]


def test_the_type_of_a_network() -> None:
    net = identity(1.0)
    step = chainrule.compile(lambda x: net(x.to(net.weight.dtype)))
    for change, dtype in (
        (net.float, chainrule.float32),
        (net.double, chainrule.float64),
        (net.float, chainrule.float32),
    ):
        change()
        result = step(X)
        assert result.dtype == dtype and result.tolist() == [1, 2, 3]


def test_a_setting_of_batch_norm_is_read() -> None:
    norm = nn.BatchNorm1d(1, momentum=1.0, affine=False)
    rows = chainrule.tensor([[1.0], [3.0]])
    step = chainrule.compile(lambda x: (norm(x), norm.running_mean * 1)[1])
    assert step(rows).tolist() == [2]
    norm.momentum = 0.5
    assert step(rows * 2).tolist() == [3]
    norm.eval()
    assert step(rows * 9).tolist() == [3]


def test_frozen_parameters_are_seen() -> None:
    net = identity(1.0)

    @chainrule.compile
    def slopes(x: Any) -> list[bool]:
        net(x).sum().backward()
        given = [p.grad is not None for p in net.parameters()]
        net.zero_grad()
        return given

    assert slopes(X) == [True, True]
    net.weight.requires_grad_(False)
    assert slopes(X) == [False, True]
    net.weight.requires_grad_(True)
    assert slopes(X) == [True, True]


# ------------------------------------------------------------------------------------- settings of the library


def test_the_default_type() -> None:
    made = chainrule.compile(lambda x: chainrule.zeros(3) + 1)
    divided = chainrule.compile(lambda x: chainrule.tensor([1, 2, 4]) / 2)
    for dtype in (chainrule.float32, chainrule.float64, chainrule.float32):
        chainrule.set_default_dtype(dtype)
        assert made(X).dtype == divided(X).dtype == dtype
    assert programs_of(made) == 2


def test_whether_gradients_are_recorded() -> None:
    w = chainrule.ones(3, requires_grad=True)
    step = chainrule.compile(lambda x: x if (w * x).requires_grad else -x)
    assert step(X).tolist() == [1, 2, 3]
    with chainrule.no_grad():
        assert step(X).tolist() == [-1, -2, -3]
    with chainrule.inference_mode():
        assert step(X).tolist() == [-1, -2, -3]
    assert step(X).tolist() == [1, 2, 3]


def test_the_state_of_the_random_numbers_is_read_and_moved() -> None:
    step = chainrule.compile(lambda: chainrule.rand(3))
    chainrule.manual_seed(1)
    expected = [chainrule.rand(3).tolist() for _ in range(3)]
    chainrule.manual_seed(1)
    assert [step().tolist() for _ in range(2)] == expected[:2]
    assert chainrule.rand(3).tolist() == expected[2]
    chainrule.manual_seed(1)
    assert step().tolist() == expected[0]


def test_another_generator() -> None:
    generator = chainrule.Generator().manual_seed(1)
    step = chainrule.compile(lambda: chainrule.rand(3, generator=generator))
    first = step().tolist()
    generator = chainrule.Generator().manual_seed(1)
    assert step().tolist() == first
    assert step().tolist() != first
    generator.manual_seed(1)
    assert step().tolist() == first


# ------------------------------------------------------------------------------ modules that the step makes


class Positions(nn.Module):
    def __init__(self, count: int, scale: float | None = None) -> None:
        super().__init__()
        self.count = count
        self.scale = 2.0 if scale is None else scale
        self.register_buffer("table", chainrule.arange(float(count)))
        self.note: Any = None

    def forward(self, x: Any) -> Any:
        self.note = x.shape
        return x * self.scale + self.table


class Weighted(nn.Module):
    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.weight = nn.Parameter(chainrule.ones(3) * 2)
        self.calls = 0

    def forward(self, x: Any) -> Any:
        for layer in self.layers:
            x = layer(x)
        self.calls += 1
        return x * self.weight * self.calls


class Focal(nn.CrossEntropyLoss):
    def __init__(self, gamma: float = 2.0) -> None:
        super().__init__(reduction="none")
        self.gamma = gamma

    def forward(self, x: Any, y: Any) -> Any:
        loss = super().forward(x, y)
        return ((1 - (-loss).exp()) ** self.gamma * loss).mean()


class Holder:
    def __init__(self, value: Any) -> None:
        self.value = value


def gradient(x: Any) -> Any:
    model = Weighted(Positions(3), nn.Sequential(Positions(3, 0.5), nn.Tanh()))
    model(x).sum().backward()
    return model.weight.grad


def in_a_dictionary(x: Any) -> Any:
    kept: dict[str, Any] = {}
    kept["value"] = x * 2
    return x + kept["value"]


def in_a_list(x: Any) -> Any:
    kept = [x, x]
    kept[1] = x * 2
    return kept[0] + kept[1]


def in_an_object(x: Any) -> Any:
    holder = Holder(None)
    holder.value = chainrule.arange(3.0)
    return holder.value + Holder(x * 2).value


@pytest.mark.parametrize(
    "step",
    [
        lambda x: Positions(3)(x), lambda x: nn.Sequential(Positions(3), nn.ReLU())(x), lambda x: Weighted(Positions(3))(x),
        lambda x: Focal()(x[None], chainrule.tensor([1])), lambda x: nn.Identity()(x), gradient, in_a_dictionary, in_a_list, in_an_object,
    ],
)  # fmt: skip
def test_what_a_step_makes_is_its_own(step: Callable[[Any], Any]) -> None:
    """Modules, with tensors or without, and objects into which the step puts a tensor last: they are nobody's afterwards."""
    compiled = chainrule.compile(step, strict=True)
    for factor in (1.0, 2.0, 3.0):
        assert chainrule.allclose(compiled(X * factor), step(X * factor))
    assert programs_of(compiled) == 1


def test_code_asks_whether_it_is_being_compiled() -> None:
    """As PyTorch's programs do around checks that read numbers."""

    def checked(x: Any) -> Any:
        if not chainrule.compiler.is_compiling() and (x < 0).any():
            raise ValueError("negative")
        return x.sqrt()

    assert chainrule.allclose(chainrule.compile(checked)(X), X.sqrt())
    with pytest.raises(ValueError, match="negative"):
        checked(-X)
