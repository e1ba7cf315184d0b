"""Functions of functions, `func` and `autograd`: the same lines in chainrule and in PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule

pytestmark = pytest.mark.peer
torch = pytest.importorskip("torch")

CASES = [
    "f.grad(lambda t: (t ** 3).sum())(x)",
    "f.grad(lambda t: 0 * t.detach().sum() + t.sum() * 0)(x)",
    "f.grad(f.grad(lambda t: t ** 3))(x[0])",
    "f.grad(lambda a: (a * f.grad(lambda b: (a * b ** 2).sum())(x)).sum())(y)",  # the inner one's value depends on a
    "f.grad(lambda a: f.grad(lambda b: a * b ** 2)(x[0]) ** 2)(y[1])",
    "f.grad(lambda a, b: (a * b).sum(), argnums=(0, 1))(x, y)",
    "f.grad(lambda a, b: (a * b).sum(), argnums=1)(x, b=y) if 0 else f.grad(lambda a, b: (a * b).sum(), argnums=1)(x, y)",
    "f.grad(lambda p: (p['w'] * x + p['b'][0]).pow(2).sum())({'w': y, 'b': [x, y]})",
    "f.grad(lambda t: ((t ** 2).sum(), t * 2), has_aux=True)(x)",
    "f.grad_and_value(lambda t: (t ** 2).sum())(x)",
    "f.grad_and_value(lambda t: ((t ** 2).sum(), {'a': t}), has_aux=True)(x)",
    "f.vjp(lambda t: t ** 2, x)[0], f.vjp(lambda t: t ** 2, x)[1](y)",
    "f.vjp(lambda a, b: a * b, x, y)[1](y)",
    "f.vjp(lambda a, b: (a * b, {'s': b.sum()}), x, y)[1]((x, {'s': x[0]}))",
    "f.vjp(lambda a: (a * 2, a + 1), x, has_aux=True)[2]",
    "f.vjp(lambda p: p['a'] * p['b'], {'a': x, 'b': y})[1](x)",
    "f.jvp(lambda t: t.sin(), (x,), (y,))",
    "f.jvp(lambda a, b: a * b, (x, y), (y, x))",
    "f.jvp(lambda t: (t.sin(), t.sum()), (x,), (y,))",
    "f.jvp(lambda t: (t.sin(), t * 2), (x,), (y,), has_aux=True)",
    "f.jacrev(lambda t: t ** 2)(x)",
    "f.jacfwd(lambda t: t ** 2)(x)",
    "f.jacrev(lambda a, b: a.sum() * b, argnums=(0, 1))(x, y)",
    "f.jacfwd(lambda a, b: a.sum() * b, argnums=(0, 1))(x, y)",
    "f.jacfwd(lambda a: (a.sum(), a.outer(a)))(x)",
    "f.jacrev(lambda a: (a.sum(), a.outer(a)))(x)",
    "f.jacrev(lambda a: (a ** 2, a + 1), has_aux=True)(x)",
    "f.jacrev(f.jacrev(lambda t: (t ** 3).sum()))(x)",
    "f.jacfwd(f.jacrev(lambda t: (t ** 3).sum()))(x)",
    "f.hessian(lambda t: (t ** 3).prod())(x)",
    "f.grad(lambda a: f.jacrev(lambda b: a * b ** 2)(x).sum())(y)",
    "f.grad(lambda a: f.jvp(lambda b: a * b ** 2, (x,), (y,))[1].sum())(y)",
    "f.grad(lambda a: f.vjp(lambda b: a * b ** 2, x)[1](y)[0].sum())(y)",
    "f.vmap(lambda a: a * 2)(m)",
    "f.vmap(lambda a, b: (a * b).sum())(m, m)",
    "f.vmap(lambda a, b: a * b, in_dims=(0, None))(m, x)",
    "f.vmap(lambda a: a, in_dims=1)(m)",
    "f.vmap(lambda a: (a, a.sum()), in_dims=1, out_dims=(1, 0))(m)",
    "f.vmap(lambda a: {'s': a.sum(), 'p': [a, a * 2]})(m)",
    "f.vmap(lambda p, b: p['w'] * b, in_dims=({'w': 1}, 0))({'w': m}, m.T)",
    "f.vmap(lambda p, b: p['w'] * b, in_dims=(None, 0))({'w': x}, m)",
    "f.vmap(f.vmap(lambda a, b: a * b), in_dims=(None, 0))(x, m)",
    "f.vmap(f.grad(lambda w, a: (w * a).sum() ** 2), in_dims=(None, 0))(x, m)",
    "f.vmap(lambda a: a * 2, chunk_size=1)(m)",
    "lib.vmap(lambda a: a.dot(x))(m)",
    "f.functional_call(layer, ({'weight': m}, {'bias': x[:2]}), (x,))",
    "f.functional_call(layer, {'weight': m}, x)",
    "f.stack_module_state([layer, layer])[0]['weight']",
    "sorted(f.stack_module_state([lib.nn.BatchNorm1d(2), lib.nn.BatchNorm1d(2)])[1])",
    "[tuple(b.shape) for b in f.stack_module_state([lib.nn.BatchNorm1d(2)] * 3)[1].values()]",
    "f.grad(lambda p: f.functional_call(layer, p, (x,)).pow(2).sum())({k: v.detach() for k, v in layer.named_parameters()})",
]  # fmt: skip


def evaluated(lib: Any, line: str) -> Any:
    x, y = (lib.tensor(v, dtype=lib.float64) for v in ([0.5, -1.0, 2.0], [1.5, 0.25, -0.5]))
    layer = lib.nn.Linear(3, 2, dtype=lib.float64)
    lib.nn.init.constant_(layer.weight, 0.25)
    lib.nn.init.constant_(layer.bias, -1.0)
    m = lib.arange(6, dtype=lib.float64).reshape(2, 3) / 4
    return eval(line, {"lib": lib, "f": lib.func, "x": x, "y": y, "m": m, "layer": layer})


def same(ours: Any, theirs: Any) -> None:
    """Nests of the same kind, with the same numbers."""
    if isinstance(theirs, torch.Tensor):
        assert isinstance(ours, chainrule.Tensor)
        np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol=1e-12, atol=1e-12)
        assert ours.shape == tuple(theirs.shape)
    elif isinstance(theirs, dict):
        assert list(ours) == list(theirs)
        for name in theirs:
            same(ours[name], theirs[name])
    elif isinstance(theirs, (list, tuple)):
        assert type(ours) is type(theirs) and len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            same(a, b)
    else:
        assert ours == theirs


@pytest.mark.parametrize("line", CASES)
def test_a_line(line: str) -> None:
    same(evaluated(chainrule, line), evaluated(torch, line))


def test_a_gradient_by_the_surroundings_of_the_function() -> None:
    """Where grad is used within code that records, the record goes on through it, as for every other function."""
    w = chainrule.tensor(3.0, requires_grad=True)
    x = chainrule.tensor(2.0, requires_grad=True)
    chainrule.func.grad(lambda t: w * t**2)(x).backward()  # 2·w·x
    assert (w.grad.item(), x.grad.item()) == (4.0, 6.0)


def test_vmap_says_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="2 and 3"):
        chainrule.vmap(lambda a, b: a)(chainrule.ones(2), chainrule.ones(3))
    with pytest.raises(ValueError, match="in_dims"):
        chainrule.vmap(lambda a, b: a, in_dims=(0,))(chainrule.ones(2), chainrule.ones(2))
    with pytest.raises(ValueError, match="no argument"):
        chainrule.vmap(lambda a: a, in_dims=None)(chainrule.ones(2))


def functions(lib: Any) -> tuple[Any, Any, Any]:
    """Hand-written functions in the forms that PyTorch has for them."""

    class Exp(lib.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            y = x.exp()
            ctx.save_for_backward(y)
            return y

        @staticmethod
        @lib.autograd.function.once_differentiable
        def backward(ctx: Any, g: Any) -> Any:
            (y,) = ctx.saved_tensors
            return g * y

    class Both(lib.autograd.Function):
        @staticmethod
        def forward(x: Any, y: Any, k: int) -> Any:
            return x * y * k, x > y

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            x, y, ctx.k = inputs
            ctx.save_for_backward(x, y)
            ctx.mark_non_differentiable(output[1])

        @staticmethod
        def backward(ctx: Any, g: Any, _: Any) -> Any:
            x, y = ctx.saved_tensors
            return g * y * ctx.k, g * x * ctx.k, None

    class Two(lib.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.set_materialize_grads(False)
            return x * 1, x * 2

        @staticmethod
        def backward(ctx: Any, g: Any, h: Any) -> Any:
            assert h is None
            return g

    return Exp, Both, Two


def test_functions_by_hand() -> None:
    for lib in (chainrule, torch):
        once, both, two = functions(lib)
        x = lib.tensor([1.0, 2.0], requires_grad=True)
        once.apply(x).sum().backward()
        np.testing.assert_allclose(x.grad.numpy(), np.exp([1, 2]), rtol=1e-6)
        (g,) = lib.autograd.grad(once.apply(x).sum(), x)
        assert not g.requires_grad
        (g,) = lib.autograd.grad((once.apply(x) * x).sum(), x, create_graph=True)
        with pytest.raises(RuntimeError, match="once_differentiable"):
            g.sum().backward()
        product, more = both.apply(x, x.detach() + 1, 3)
        assert not more.requires_grad and more.tolist() == [False, False]
        (g,) = lib.autograd.grad(product.sum(), x)
        assert g.tolist() == [6.0, 9.0]
        assert lib.autograd.grad(two.apply(x)[0].sum(), x)[0].tolist() == [1.0, 1.0]


@pytest.mark.parametrize("lib", [chainrule, torch], ids=["chainrule", "torch"])
def test_names_of_autograd(lib: Any) -> None:
    x = lib.autograd.Variable(lib.ones(2), requires_grad=True)
    assert x.requires_grad and isinstance(x, lib.Tensor)
    assert not lib.autograd.Variable(lib.ones(2)).requires_grad
    with pytest.warns(UserWarning, match="no_grad"):
        assert not lib.autograd.Variable(lib.ones(2), volatile=True).requires_grad
    y, z = x * 2, x.sum()
    lib.autograd.backward([y, z], [lib.ones(2), None])
    assert x.grad.tolist() == [3.0, 3.0]
    x.grad = None
    lib.autograd.backward(x.sum(), retain_graph=True)
    assert x.grad.tolist() == [1.0, 1.0]
    with lib.autograd.set_detect_anomaly(False):
        (x * 1e38 * 1e38).sum()
    assert lib.nn.parameter.Parameter is lib.nn.Parameter and lib.nn.parameter.Buffer is lib.nn.Buffer


def test_anomaly_detection_can_be_switched() -> None:
    x = chainrule.ones(1)
    with chainrule.autograd.set_detect_anomaly(True), pytest.raises(chainrule.autograd.AnomalyError):
        (x - 2).log()
    (x - 2).log()
    chainrule.autograd.set_detect_anomaly(True)
    with pytest.raises(chainrule.autograd.AnomalyError):
        (x - 2).log()
    with chainrule.autograd.set_detect_anomaly(False):
        (x - 2).log()
    chainrule.autograd.set_detect_anomaly(False)
    (x - 2).log()


def test_vmap_of_a_backward_pass_through_one_graph_that_was_made_outside() -> None:
    x = chainrule.randn(3, requires_grad=True)
    y = x**2
    rows = chainrule.vmap(lambda v: chainrule.autograd.grad(y, x, v)[0])(chainrule.eye(3))
    np.testing.assert_allclose(rows.numpy(), 2 * np.diag(x.detach().numpy()), rtol=1e-6)
    with pytest.raises(chainrule.GradientError, match="a second time"):  # the last sample was the graph's last use
        y.sum().backward()


def test_linearize_is_the_derivative_along_any_direction_and_runs_the_function_once() -> None:
    """Nests on both sides, several arguments; as jvp has it, and itself differentiable."""
    runs = []

    def f(x: Any, y: Any) -> Any:
        runs.append(1)
        return (x * y).sin().sum(1), {"z": x.exp() @ y}

    x, y = chainrule.randn(3, 4, dtype=chainrule.float64), chainrule.randn(4, dtype=chainrule.float64)
    outputs, push = chainrule.func.linearize(f, x, y)
    directions = [(chainrule.randn_like(x), chainrule.randn_like(y)) for _ in range(2)]
    found = [push(*v) for v in directions]
    assert len(runs) == 1
    for v, (first, second) in zip(directions, found, strict=True):
        values, (wanted, other) = chainrule.func.jvp(f, (x, y), v)
        np.testing.assert_allclose(outputs[0].numpy(), values[0].numpy(), rtol=1e-12)
        np.testing.assert_allclose(first.numpy(), wanted.numpy(), rtol=1e-12)
        np.testing.assert_allclose(second["z"].numpy(), other["z"].numpy(), rtol=1e-12)
    one, two = chainrule.tensor(1.0), chainrule.tensor(2.0)
    slope = chainrule.func.grad(lambda t: chainrule.func.linearize(lambda x: t * x**3, two)[1](one))
    assert slope(chainrule.tensor(5.0)) == 12  # d/dt of 3·t·x²
