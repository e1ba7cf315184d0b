"""Differentiation seen from the outside: what backward, grad and their relatives must do."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import chainrule
from chainrule import autograd
from chainrule.autograd import functional

float64 = chainrule.float64


def tensor(*numbers: float) -> Any:
    return chainrule.tensor(list(numbers), dtype=float64, requires_grad=True)


def close(x: Any, y: Any) -> bool:
    return bool(np.allclose(np.asarray(x.detach()), np.asarray(y), rtol=1e-10, atol=1e-12))


# --------------------------------------------------------------------------------------- backward


def test_backward_adds_to_what_is_there() -> None:
    x = tensor(1, 2)
    (x * x).sum().backward()
    (3 * x).sum().backward()
    assert x.grad.tolist() == [5, 7]


def test_backward_with_an_upstream_gradient() -> None:
    x = tensor(1, 2, 3)
    (x * x).backward(chainrule.tensor([1.0, 0.0, 10.0], dtype=float64))
    assert x.grad.tolist() == [2, 0, 60]


def test_upstream_of_the_wrong_shape_is_refused() -> None:
    with pytest.raises(chainrule.ShapeError, match=r"\(3,\).*\(2,\)"):
        (tensor(1, 2, 3) * 2).backward(chainrule.ones(2, dtype=float64))


def test_retain_graph_allows_a_second_pass() -> None:
    x = tensor(2)
    y = (x**3).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [24]
    with pytest.raises(chainrule.GradientError, match="retain_graph=True"):
        y.backward()


def test_create_graph_makes_gradients_differentiable() -> None:
    x = tensor(2)
    (x**4).sum().backward(create_graph=True)
    first = x.grad
    (second,) = autograd.grad(first.sum(), x, create_graph=True)
    (third,) = autograd.grad(second.sum(), x)
    assert (first.item(), second.item(), third.item()) == (32, 48, 48)


def test_inputs_collects_into_these_only() -> None:
    x, y = tensor(2), tensor(3)
    (x * y).sum().backward(inputs=[x])
    assert x.grad.tolist() == [3] and y.grad is None


def test_grad_by_a_computed_tensor_and_unused_inputs() -> None:
    x, unused = tensor(2), tensor(1)
    y = x * 3
    z = (y * y).sum()
    assert autograd.grad(z, y, retain_graph=True)[0].tolist() == [12]
    with pytest.raises(chainrule.GradientError, match="allow_unused"):
        autograd.grad(z, [x, unused], retain_graph=True)
    found = autograd.grad(z, [x, unused], allow_unused=True)
    assert found[0].tolist() == [36] and found[1] is None
    assert x.grad is None, "grad returns and does not collect"


def test_two_outputs_and_shared_paths() -> None:
    x = tensor(3)
    y = x * x
    found = autograd.grad([y, y + x], [x], [chainrule.ones(1, dtype=float64)] * 2)
    assert found[0].tolist() == [2 * 3 + 2 * 3 + 1]


def test_value_used_is_the_value_of_then() -> None:
    x, w = tensor(2), tensor(5)
    y = w * 1
    z = x * y
    y += 100  # z was computed from the old value
    z.sum().backward()
    assert x.grad.tolist() == [5]


# --------------------------------------------------------------------------------------- hooks


def test_hooks_see_and_replace_complete_gradients() -> None:
    x = tensor(1, 2)
    seen = []
    y = x * 2
    y.register_hook(lambda g: seen.append(g.tolist()))
    handle = x.register_hook(lambda g: g * 10)
    (y + y).sum().backward()
    assert seen == [[2, 2]] and x.grad.tolist() == [40, 40]
    handle.remove()
    handle.remove()
    x.grad = None
    (x * 2).sum().backward()
    assert x.grad.tolist() == [2, 2]


def test_post_accumulate_hook_runs_after_the_gradient_is_there() -> None:
    x, seen = tensor(1), []
    handle = x.register_post_accumulate_grad_hook(lambda leaf: seen.append(leaf.grad.item()))
    (x * 7).sum().backward()
    handle.remove()
    (x * 7).sum().backward()
    assert seen == [7]


def test_retain_grad_keeps_the_gradient_of_a_computed_tensor() -> None:
    x = tensor(3)
    y = x * 2
    y.retain_grad()
    (y * y).sum().backward()
    assert y.grad.tolist() == [12]


# --------------------------------------------------------------------------------------- derivatives of functions


def test_jacobian_has_output_shape_then_input_shape() -> None:
    x = chainrule.randn(2, 3, dtype=float64)
    found = functional.jacobian(lambda x: x @ x.T, x)
    assert found.shape == (2, 2, 2, 3)
    expected = np.zeros((2, 2, 2, 3))
    for i, j, k in np.ndindex(2, 2, 2):
        expected[i, j, k] = (i == k) * np.asarray(x)[j] + (j == k) * np.asarray(x)[i]
    assert close(found, expected)


def test_jacobian_of_several_inputs_and_outputs() -> None:
    x, y = tensor(1, 2), tensor(3)
    found = functional.jacobian(lambda x, y: (x * y, y * y), (x, y))
    assert found[0][0].tolist() == [[3, 0], [0, 3]] and found[0][1].tolist() == [[1], [2]]
    assert found[1][0].tolist() == [[0, 0]] and found[1][1].tolist() == [[6]]


matrices = st.integers(0, 2**32 - 1).map(lambda seed: np.random.default_rng(seed).standard_normal((3, 3)))


@given(matrices, matrices)
def test_products_agree_with_the_jacobian(weights: np.ndarray, vectors: np.ndarray) -> None:
    W = chainrule.tensor(weights)
    x, u, v = (chainrule.tensor(row) for row in vectors)

    def f(x: Any) -> Any:
        return (W @ x).tanh() * x

    J = functional.jacobian(f, x)
    assert close(functional.vjp(f, x, u)[1], np.asarray(u) @ np.asarray(J))
    assert close(functional.jvp(f, x, v)[1], np.asarray(J) @ np.asarray(v))
    H = functional.hessian(lambda x: f(x).sum(), x)
    assert close(H, np.asarray(H).T)
    assert close(functional.hvp(lambda x: f(x).sum(), x, v)[1], np.asarray(H) @ np.asarray(v))


def test_functions_of_functions() -> None:
    x = chainrule.tensor(2.0, dtype=float64)
    assert chainrule.func.grad(chainrule.func.grad(chainrule.func.grad(lambda x: x**4)))(x).item() == 48
    value, (gx, gy) = chainrule.func.value_and_grad(lambda x, y: x * x * y, argnums=(0, 1))(x, x * 2)
    assert (value.item(), gx.item(), gy.item()) == (16, 16, 4)
    assert chainrule.func.hessian(lambda x: (x**3).sum())(tensor(1, 2).detach()).tolist() == [[6, 0], [0, 12]]


def test_functional_call_is_the_module_as_a_function_of_its_parameters() -> None:
    model = chainrule.nn.Sequential(chainrule.nn.Linear(2, 3), chainrule.nn.Tanh(), chainrule.nn.Linear(3, 1))
    before = {name: p.tolist() for name, p in model.named_parameters()}
    other = {name: p.detach().clone().requires_grad_() for name, p in model.named_parameters()}
    x = chainrule.randn(5, 2)
    chainrule.func.functional_call(model, other, x).sum().backward()
    model(x).sum().backward()
    for name, p in model.named_parameters():
        assert close(other[name].grad, np.asarray(p.grad)) and p.tolist() == before[name]
    with pytest.raises(KeyError, match="nonsense"):
        chainrule.func.functional_call(model, {**other, "0.nonsense": x}, x, strict=True)


# --------------------------------------------------------------------------------------- checking


class WrongSquare(autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        (x,) = ctx.saved_tensors
        return g * x * chainrule.tensor([2.0, 2.0, 2.5], dtype=float64)


def test_gradcheck_says_which_entry_and_both_numbers() -> None:
    with pytest.raises(chainrule.GradientError, match=r"input 0 .*entry \[2\].*1 of 3") as caught:
        autograd.gradcheck(WrongSquare.apply, tensor(1, 2, 3))
    assert isinstance(caught.value, AssertionError)
    assert not autograd.gradcheck(WrongSquare.apply, tensor(1, 2, 3), raise_exception=False)


def test_gradcheck_refuses_float32() -> None:
    with pytest.raises(chainrule.DTypeError, match="float64"):
        autograd.gradcheck(lambda x: x * x, chainrule.ones(2, requires_grad=True))


def test_gradgradcheck_finds_a_wrong_second_derivative() -> None:
    class OnlyOnce(autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.x = x.detach()
            return x**3

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * 3 * ctx.x**2  # right, and cut off: its derivative is lost

    assert autograd.gradcheck(OnlyOnce.apply, tensor(1, 2))
    with pytest.raises(chainrule.GradientError):
        autograd.gradgradcheck(OnlyOnce.apply, tensor(1, 2))


# --------------------------------------------------------------------------------------- modes and threads


def test_modes_nest_and_decorate() -> None:
    x = tensor(1)
    with chainrule.no_grad():
        assert not (x * 2).requires_grad
        with chainrule.enable_grad():
            assert (x * 2).requires_grad
        assert not chainrule.is_grad_enabled()
    with chainrule.inference_mode():
        assert not (x * 2).requires_grad
    with chainrule.set_grad_enabled(False):
        assert not (x * 2).requires_grad
    assert chainrule.is_grad_enabled()

    @chainrule.no_grad()
    def one(x: Any) -> Any:
        return x * 2

    @chainrule.no_grad
    def two(x: Any) -> Any:
        return x * 2

    assert not one(x).requires_grad and not two(x).requires_grad and chainrule.is_grad_enabled()
    with pytest.raises(ValueError), chainrule.no_grad():
        raise ValueError
    assert chainrule.is_grad_enabled()


@pytest.mark.peer
@pytest.mark.parametrize(
    "mode", ["no_grad()", "no_grad", "inference_mode()", "enable_grad()", "set_grad_enabled(False)"]
)
def test_a_generator_runs_each_of_its_steps_in_the_mode(mode: str) -> None:
    torch = pytest.importorskip("torch")

    def what_happens(library: Any) -> list[Any]:
        seen: list[Any] = []

        def steps(start: int) -> Any:
            try:
                for i in range(start, 10):
                    seen.append(library.is_grad_enabled())
                    try:
                        seen.append((yield i))
                    except KeyError as error:
                        seen.append((repr(error), library.is_grad_enabled()))
                    if seen[-1] == "end":
                        return "returned"
            finally:
                seen.append(("finally", library.is_grad_enabled()))

        decorated = eval(f"library.{mode}", {"library": library})(steps)
        seen.append(library.is_grad_enabled())
        first = decorated(3)
        outside = mode != "enable_grad()"
        with library.set_grad_enabled(outside):
            seen.extend([next(first), library.is_grad_enabled(), first.send("hello"), library.is_grad_enabled()])
            seen.append(first.throw(KeyError("k")))
            with pytest.raises(StopIteration, match="returned"):
                first.send("end")
            second = decorated(0)
            next(second)
            second.close()
            third = decorated(0)
            next(third)
            with pytest.raises(ZeroDivisionError):
                third.throw(ZeroDivisionError)
            seen.extend([*decorated(8), library.is_grad_enabled()])
        return seen

    assert what_happens(chainrule) == what_happens(torch)
    assert chainrule.is_grad_enabled()


def test_modes_belong_to_their_thread() -> None:
    inside, leave, found = threading.Event(), threading.Event(), []

    def without() -> None:
        with chainrule.no_grad():
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=without)
    thread.start()
    inside.wait(10)
    found.append((tensor(1) * 2).requires_grad)
    leave.set()
    thread.join()
    assert found == [True]


def test_threads_train_independently() -> None:
    def train(results: dict[int, list[float]], seed: int) -> None:
        generator = chainrule.Generator(seed)
        w = chainrule.randn(4, 4, generator=generator).requires_grad_()
        for _ in range(30):
            w.grad = None
            (w @ w.T).tanh().sum().backward()
            with chainrule.no_grad():
                w -= 0.1 * w.grad
        results[seed] = w.detach().tolist()

    alone: dict[int, list[float]] = {}
    together: dict[int, list[float]] = {}
    for seed in range(6):
        train(alone, seed)
    threads = [threading.Thread(target=train, args=(together, seed)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert alone == together


# --------------------------------------------------------------------------------------- checkpoint, anomalies


def test_checkpoint_gives_the_same_gradients_weights_and_random_numbers_included() -> None:
    weight = chainrule.randn(3, 3, dtype=float64).requires_grad_()

    def part(x: Any) -> Any:
        return ((x @ weight) * chainrule.rand(3, dtype=float64)).tanh()

    found = []
    for run in (lambda x: part(x), lambda x: chainrule.utils.checkpoint.checkpoint(part, x)):
        chainrule.manual_seed(3)
        x = chainrule.ones(2, 3, dtype=float64, requires_grad=True)
        y = run(x * 2).exp().sum() + chainrule.rand(1, dtype=float64).sum()
        first = autograd.grad(y, [x, weight], create_graph=True)
        second = autograd.grad(first[0].sum() + first[1].sum(), [x, weight])
        found.append([y, *first, *second])
    for plain, checkpointed in zip(*found, strict=True):
        assert close(checkpointed, np.asarray(plain.detach()))


def test_detect_anomaly_names_the_operation_also_in_the_backward_pass() -> None:
    x = tensor(0.0)
    with pytest.raises(FloatingPointError, match=r"Divide made inf"), autograd.detect_anomaly():
        x.sqrt().sum().backward()
    assert (x.sqrt() / 0).isnan().item(), "outside of the block nothing is raised"


def test_an_operation_may_give_back_what_it_changed() -> None:
    class Doubled(autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any, marked: bool = True) -> Any:
            ctx.mark_dirty(x)
            x.mul_(2)
            return x if marked else x + 0

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * 2, None

    def step(w: Any) -> Any:
        x = w * 3
        view = x[1:]
        y = Doubled.apply(x)  # x is 6w now, and so is what was taken of it before
        (gradient,) = autograd.grad((y**2).sum() + view.sum(), w)
        return gradient, x.detach(), view.detach(), y is x

    w = tensor(1.0, 2.0)
    for run in (step, chainrule.compile(step)):
        gradient, x, view, same = run(w)
        assert same and gradient.tolist() == [72, 150] and x.tolist() == [6, 12] and view.tolist() == [12]
    with pytest.raises(chainrule.errors.GradientError, match="leaf"):
        Doubled.apply(w)
    with pytest.raises(chainrule.errors.GradientError, match="mark_dirty, it returns"):
        Doubled.apply(w * 1, False)
