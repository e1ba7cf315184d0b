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
    with pytest.raises(ValueError, match="the nearest are lenet5"):
        models.create("lenet")


def tied(framework: Any) -> Any:
    """Two layers with one weight, buffers of every kind, a parameter that is switched off."""
    n = framework.nn

    class Tied(n.Module):  # type: ignore[name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = n.Linear(2, 2), n.Linear(2, 2)
            self.b.weight = self.a.weight
            self.register_buffer("saved", framework.zeros(2))
            self.register_buffer("scratch", framework.ones(1), persistent=False)
            self.register_buffer("nothing", None)
            self.register_parameter("off", None)
            self.scale = n.Parameter(framework.ones(2))

        def forward(self, x: Any) -> Any:
            return self.b(self.a(x)) * self.scale + self.saved

    return Tied()


QUESTIONS = [
    "names(m.named_parameters())", "names(m.named_parameters(remove_duplicate=False))", "names(m.named_parameters('x', recurse=False))",
    "names(m.named_buffers())", "names(m.named_children())", "names(m.named_modules())", "list(m.state_dict())", "len([*m.parameters()])",
    "names(n.Sequential(m, m).named_parameters())", "names(n.Sequential(m, m).named_modules(remove_duplicate=False))",
    "repr(n.Sequential(m, m))", "'scale' in dir(m)", "m.get_submodule('') is m", "m.get_buffer('saved').tolist()",
    "after(m, 'm.a = None') or (repr(m), list(m.state_dict()))", "after(m, 'm.saved = None') or list(m.state_dict())",
    "after(m, 'm.off = n.Parameter(f.ones(1))') or names(m.named_parameters())", "after(m, 'm.nothing = f.ones(1)') or list(m.state_dict())",
    "after(m, 'del m.scale') or names(m.named_parameters())", "after(m, 'm.saved = n.Parameter(f.ones(2))') or (list(m.state_dict()), names(m.named_buffers()))",
    "after(m, 'del m.scratch; m.register_buffer(\"scratch\", f.ones(1))') or list(m.state_dict())",
    "after(m, 'm.register_parameter(\"scale\", None)') or names(m.named_parameters())", "after(m, 'm.eval()') or (m.training, m.a.training)",
    "after(m, 'm.double()') or (m.a.weight is m.b.weight, m.scratch.dtype is f.float64)", "copy.deepcopy(m).a.weight is m.a.weight",
    "copy.deepcopy(m).b.weight is copy.deepcopy(m).a.weight", "after(m, 'm(f.ones(1, 2)).sum().backward(); m.zero_grad()') or [p.grad for p in m.parameters()]",
    "after(m, 'm(f.ones(1, 2)).sum().backward(); m.zero_grad(set_to_none=False)') or [p.grad.tolist() for p in m.parameters()]",
    "[type(part).__name__ for part in after(m, 'm.apply(lambda part: order.append(part))') or order]",
    "m.requires_grad_(False)(f.ones(1, 2)).requires_grad", "m.a.weight.is_leaf and m.double().scale.is_leaf",
]  # fmt: skip


@pytest.mark.peer
@pytest.mark.parametrize("question", QUESTIONS)
def test_the_same_answers_as_pytorch(question: str) -> None:
    torch = pytest.importorskip("torch")
    answers = []
    for framework in (chainrule, torch):
        names = {"f": framework, "n": framework.nn, "copy": copy, "m": tied(framework), "order": []}
        names["names"] = lambda pairs: [name for name, _ in pairs]
        names["after"] = lambda module, text, names=names: exec(text, names)
        answers.append(eval(question, names))
    assert answers[0] == answers[1]


REFUSED = [
    ("m.scale = f.ones(2)", "parameter"), ("m.a = 3", "module"), ("m.saved = 3", "buffer"), ("del m.zz", "zz"), ("m.zz", "zz"),
    ("m.register_buffer('a', f.ones(1))", "already"), ("m.register_parameter('saved', None)", "already"), ("m.add_module('scale', m.a)", "already"),
    ("m.add_module('', m.a)", "empty"), ("m.register_parameter(3, None)", "string"), ("m.get_submodule('a.x')", "no part 'x'"),
    ("m.get_parameter('saved')", "no parameter 'saved'"), ("m.get_parameter('a.zz')", "it has weight, bias"), ("m.train('x')", "True or False"),
    ("m()", "missing"), ("m(f.ones(1, 2), 3)", "positional"), ("m(f.ones(1, 3))", r"^a \(Linear\): got \(1, 3\)"),
    ("make('self.x = m.a')()", r"super\(\).__init__"), ("make('self.x = m.scale')()", r"super\(\).__init__"),
    ("make('self.register_buffer(\"x\", m.saved)')()", r"super\(\).__init__"), ("make('self.k = 1')()(3)", r"super\(\).__init__"),
    ("list(make('self.k = 1')().parameters())", r"super\(\).__init__"), ("repr(make('self.k = 1')())", r"super\(\).__init__"),
]  # fmt: skip


@pytest.mark.peer
@pytest.mark.parametrize(("source", "says"), REFUSED)
def test_the_same_is_refused_as_by_pytorch(source: str, says: str) -> None:
    torch = pytest.importorskip("torch")
    for framework, match in ((torch, None), (chainrule, says)):
        names: dict[str, Any] = {"f": framework, "m": tied(framework)}

        def make(text: str, framework: Any = framework, names: dict[str, Any] = names) -> Any:
            return type("Made", (framework.nn.Module,), {"__init__": lambda self: exec(text, {**names, "self": self})})

        kinds = (RuntimeError, TypeError, KeyError, AttributeError, ValueError, chainrule.ChainruleError)
        with pytest.raises(kinds, match=match):
            exec(source, {**names, "make": make})


LOADED = [
    ("d.pop('saved')", True, "missing: saved"), ("d.update(z=1, y=2)", True, "unexpected: z, y"),
    ("d.update(scratch=f.zeros(1))", True, "unexpected: scratch"), ("d.update(saved=f.zeros(3))", False, r"saved has shape \(3,\), .* \(2,\)"),
    ("d.update(scale=f.zeros(()))", False, r"shape \(\)"), ("d['b.bias'] = d.pop('a.bias')[:1]; d.pop('saved')", True, r"b\.bias.*; missing: saved"),
    ("d.pop('saved'); d.update(z=1)", False, ""), ("d.update(scale=f.zeros(2, dtype=f.int64))", True, ""), ("d.clear()", False, ""),
]  # fmt: skip


@pytest.mark.peer
@pytest.mark.parametrize(("change", "strict", "says"), LOADED)
def test_loading_as_pytorch_does_or_not_at_all(change: str, strict: bool, says: str) -> None:
    torch = pytest.importorskip("torch")
    found = []
    for framework in (chainrule, torch):
        model = tied(framework)
        before = [p.tolist() for p in model.parameters()]
        state = {name: value * 0 + 5 for name, value in model.state_dict().items()}
        exec(change, {"d": state, "f": framework})
        if says:
            with pytest.raises(RuntimeError) as caught:
                model.load_state_dict(state, strict=strict)
            if framework is chainrule:
                assert isinstance(caught.value, chainrule.CheckpointError) and "do not fit Tied" in str(caught.value)
                assert caught.match(says) and before == [p.tolist() for p in model.parameters()]
            continue
        keys = model.load_state_dict(state, strict=strict)
        if not strict and "clear" in change:
            assert before == [p.tolist() for p in model.parameters()]
            continue
        found.append((keys.missing_keys, keys.unexpected_keys, [p.tolist() for p in model.parameters()]))
    assert not found or found[0] == found[1]


@pytest.mark.peer
def test_functional_call_replaces_shared_parameters_everywhere() -> None:
    torch = pytest.importorskip("torch")
    found = []
    for framework in (chainrule, torch):
        model = tied(framework)
        weights = {
            "a.weight": framework.ones(2, 2), "a.bias": framework.zeros(2), "b.bias": framework.zeros(2), "saved": framework.ones(2),
        }  # fmt: skip
        weights["a.weight"].requires_grad_()
        y = framework.func.functional_call(model, weights, (framework.tensor([[1.0, 2.0]]),))
        (y * y).sum().backward()
        assert model.a.weight is model.b.weight and model.a.weight.grad is None and model.saved.tolist() == [0, 0]
        found.append((y.tolist(), weights["a.weight"].grad.tolist()))
    assert found[0] == found[1]


def test_functional_call_puts_everything_back_after_an_error() -> None:
    model = tied(chainrule)
    before = model.a.weight
    for weights, x, kind in [
        ({"a.weight": chainrule.ones(2, 2)}, chainrule.ones(1, 3), chainrule.ShapeError),
        ({"a.weight": chainrule.ones(2, 2), "training": chainrule.ones(2)}, chainrule.ones(1, 2), KeyError),
        ({"zz.weight": chainrule.ones(2, 2)}, chainrule.ones(1, 2), AttributeError),
    ]:
        with pytest.raises(kind):
            chainrule.func.functional_call(model, weights, x)
        assert model.a.weight is before and model.b.weight is before
    y = chainrule.func.functional_call(model, {"a.bias": chainrule.ones(2)}, (), {"x": chainrule.ones(1, 2)})
    assert y.shape == (1, 2)


def test_paths_through_lists_dictionaries_and_sharing() -> None:
    class Branches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            shared = nn.Linear(2, 2)
            self.first = nn.ModuleList([nn.Sequential(shared, nn.Tanh()), shared])
            nested = nn.Sequential(nn.Sequential(nn.Linear(2, 2)))
            self.table = nn.ModuleDict({"left": nn.Linear(2, 2), "right": nested})
            self.again = shared

        def forward(self, x: Any) -> list[Any]:
            left = self.table["left"](x)
            return [self.first[0](x), self.first[1](x), left, self.table["right"](x), self.again(x), left * 2]

    model = Branches()
    paths = ["first.0.1", "first.0.0", "table.left", "table.right.0.0", "first.0.0", ""]
    for _ in range(2):
        assert [y.grad_fn.path for y in model(chainrule.ones(1, 2))] == paths
    deeper = nn.Sequential(model)
    assert [y.grad_fn.path for y in deeper(chainrule.ones(1, 2))] == [f"0.{path}".strip(".") for path in paths]
    model.table["left"] = nn.Sequential(nn.Linear(2, 2))  # a change is seen at once
    assert model(chainrule.ones(1, 2))[2].grad_fn.path == "table.left.0"
    twin = copy.deepcopy(model)
    assert [y.grad_fn.path for y in twin(chainrule.ones(1, 2))][:2] == paths[:2]


def test_the_place_is_restored_after_every_kind_of_exception() -> None:
    class Failing(nn.Module):
        def __init__(self, error: BaseException) -> None:
            super().__init__()
            self.error = error

        def forward(self, x: Any) -> Any:
            raise self.error

    state = chainrule.state.current_state()
    for error in (ZeroDivisionError("x"), KeyboardInterrupt(), chainrule.ShapeError("shapes")):
        with pytest.raises(type(error)):
            nn.Sequential(nn.Sequential(Failing(error)))(chainrule.ones(1))
        assert (state.path, state.module, state.paths, state.gradients) == ("", "", None, True)
    layer = nn.ReLU()
    for register in (layer.register_forward_pre_hook, layer.register_forward_hook):
        handle = register(lambda *args: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            nn.Sequential(layer)(chainrule.ones(1))
        handle.remove()
        assert (state.path, state.module, state.paths) == ("", "", None)
    assert layer(chainrule.ones(1)).item() == 1


def test_threads_do_not_see_each_other_s_paths() -> None:
    model = nn.Sequential(*[nn.Linear(2, 2) for _ in range(4)])
    seen: list[set[str]] = []

    def work(start: int) -> None:
        own = nn.Sequential(nn.Identity(), model[start:])
        paths = {own(chainrule.ones(1, 2)).grad_fn.path for _ in range(50)}
        seen.append(paths - {f"1.{name}" for name, _ in own[1].named_children()})

    threads = [threading.Thread(target=work, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [set()] * 4


@pytest.mark.peer
def test_backward_pre_hooks_are_pytorch_s() -> None:
    torch = pytest.importorskip("torch")
    found = []
    for framework in (chainrule, torch):
        model = framework.nn.Sequential(framework.nn.Tanh(), framework.nn.Identity())
        seen: list[Any] = []
        model[0].register_full_backward_pre_hook(lambda m, g, seen=seen: seen.append(g[0].tolist()))
        last = model[0].register_full_backward_pre_hook(lambda m, g: (g[0] * 2,))
        model[0].register_full_backward_pre_hook(lambda m, g: (g[0] + 1,), prepend=True)
        model[0].register_full_backward_hook(lambda m, gi, go, seen=seen: seen.append((gi[0].tolist(), go[0].tolist())))
        for _ in range(2):
            x = framework.tensor([0.5, -1.0], dtype=framework.float64, requires_grad=True)
            (model(x) * framework.tensor([1.0, 3.0], dtype=framework.float64)).sum().backward()
            seen.append(x.grad.tolist())
            last.remove()
        found.append(seen)
    assert len(found[0]) == len(found[1]) == 6
    for ours, theirs in zip(*found, strict=True):
        assert str(ours) == str(theirs) or ours == pytest.approx(theirs)


def test_a_part_can_be_put_anywhere() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.ModuleDict({"a": nn.ReLU()}))
    model.set_submodule("1.a", nn.Tanh())
    model.set_submodule("1.b", nn.Sigmoid())
    assert repr(model[1]["a"]) == "Tanh()" and repr(model[1]["b"]) == "Sigmoid()"
    with pytest.raises(AttributeError, match="no part 'c'"):
        model.set_submodule("1.c", nn.Tanh(), strict=True)
    with pytest.raises(AttributeError, match="no part '7'"):
        model.set_submodule("7.c", nn.Tanh())
    with pytest.raises(ValueError, match="path"):
        model.set_submodule("", nn.Tanh())
    assert model.type(chainrule.float64)[0].weight.dtype is chainrule.float64 and model.to_empty(device="cpu") is model


@pytest.mark.peer
@pytest.mark.parametrize("used", [(0,), (1,), (0, 1)])
def test_a_backward_hook_sees_none_for_a_result_that_was_not_used(used: tuple[int, ...]) -> None:
    torch = pytest.importorskip("torch")
    seen: list[list[Any]] = []
    for framework in (chainrule, torch):

        class Two(framework.nn.Module):  # type: ignore[name-defined]
            def forward(self, x: Any, y: Any) -> Any:
                return x * y, x - y

        module, told = Two(), []
        module.register_full_backward_hook(
            lambda m, gi, go, told=told: told.append([None if g is None else g.tolist() for g in (*gi, *go)])
        )
        module.register_full_backward_pre_hook(lambda m, go, told=told: told.append([g is None for g in go]))
        x, y = (framework.tensor([v, v + 1], requires_grad=True) for v in (1.0, 3.0))
        results = module(x, y)
        sum(results[k].sum() for k in used).backward()
        seen.append([told, x.grad.tolist(), y.grad.tolist()])
    assert seen[0] == seen[1]


def test_a_wrapper_may_pass_on_what_it_has_not() -> None:
    class Wrapped(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner
            self.scale = nn.Parameter(chainrule.ones(1))

        def __getattr__(self, name: str) -> Any:
            try:
                return super().__getattr__(name)
            except AttributeError:
                return getattr(self.inner, name)

    wrapped = Wrapped(nn.Linear(2, 3))
    assert wrapped.in_features == 2 and list(wrapped.state_dict()) == ["scale", "inner.weight", "inner.bias"]
