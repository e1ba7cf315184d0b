"""Memory and gradients of compiled functions: what cannot be followed says so, and errors leave nothing behind."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import nn, optim
from chainrule.compiler.trace import trace_step
from chainrule.errors import GradientError, TraceError
from chainrule.optim import lr_scheduler, swa_utils
from tests.training_steps import summing_step


def numbers() -> Any:
    return chainrule.tensor([1.0, 2.0, 3.0])


def large_layer() -> tuple[Any, Any, Any]:
    """A layer of 90,000 weights, its optimiser and a step for two samples: the gradients are not worth storing."""
    layer = nn.Linear(300, 300)
    optimizer = optim.SGD(layer.parameters(), lr=0.1)
    return layer, optimizer, chainrule.compile(summing_step(layer, optimizer))


# ------------------------------------------------------------------------------- gradients that are not kept


def test_a_gradient_that_is_not_kept_says_so() -> None:
    layer, optimizer, step = large_layer()
    step(chainrule.ones(2, 300))
    with pytest.raises(GradientError, match="was not kept.*return p.grad"):
        _ = layer.weight.grad
    with pytest.raises(GradientError, match="was not kept"):
        optimizer.step()
    with pytest.raises(GradientError, match="was not kept"):
        layer(chainrule.ones(2, 300)).sum().backward()
    weight = layer.weight.detach().clone()
    adding = chainrule.compile(lambda x: layer(x).sum().backward())
    with pytest.raises(GradientError, match="was not kept"):
        adding(chainrule.ones(2, 300))
    assert chainrule.equal(weight, layer.weight)


def test_a_gradient_that_is_not_kept_can_be_cleared() -> None:
    layer, optimizer, step = large_layer()
    step(chainrule.ones(2, 300))
    optimizer.zero_grad()
    assert layer.weight.grad is None
    layer(chainrule.ones(2, 300)).sum().backward()
    np.testing.assert_array_equal(layer.weight.grad.numpy(), np.full((300, 300), 2.0))
    step(chainrule.ones(2, 300))
    optimizer.zero_grad(set_to_none=False)
    np.testing.assert_array_equal(layer.weight.grad.numpy(), np.zeros((300, 300)))
    step(chainrule.ones(2, 300))
    layer.weight.grad = chainrule.ones(300, 300)
    np.testing.assert_array_equal(layer.weight.grad.numpy(), np.ones((300, 300)))
    step(chainrule.ones(2, 300))  # clears first, so it may go on


def test_a_gradient_that_is_not_kept_is_carried_along() -> None:
    layer, _, step = large_layer()
    step(chainrule.ones(2, 300))
    twin = copy.deepcopy(layer)
    with pytest.raises(GradientError, match="was not kept"):
        _ = twin.weight.grad
    assert pickle.loads(pickle.dumps(layer.weight)).grad is None
    layer.double()
    assert layer.weight.dtype is chainrule.float64


@pytest.mark.parametrize("size", [3, 300])
def test_gradients_of_any_size_are_returned_read_and_used_outside(size: int) -> None:
    layer = nn.Linear(size, size)
    optimizer = optim.SGD(layer.parameters(), lr=0.5)
    before = layer.weight.detach().clone()

    @chainrule.compile
    def returning(x: Any) -> Any:
        optimizer.zero_grad()
        layer(x).sum().backward()
        optimizer.step()
        return layer.weight.grad, layer.bias.grad.sum()

    given, total = returning(chainrule.ones(4, size))
    assert given is layer.weight.grad
    np.testing.assert_array_equal(given.numpy(), np.full((size, size), 4.0))
    assert float(total) == 4.0 * size

    @chainrule.compile
    def measuring(x: Any) -> Any:
        optimizer.zero_grad()
        layer(x).sum().backward()
        return nn.utils.get_total_norm([p.grad for p in layer.parameters()])

    measuring(chainrule.ones(1, size))
    optimizer.step()  # outside, with the gradients that the step has left
    np.testing.assert_allclose(layer.weight.detach().numpy(), before.numpy() - 0.5 * 4 - 0.5, rtol=1e-5, atol=1e-5)


def test_a_large_step_that_clears_at_its_end_keeps_nothing() -> None:
    layer = nn.Linear(300, 300)
    optimizer = optim.SGD(layer.parameters(), lr=0.1)

    @chainrule.compile
    def step(x: Any) -> None:
        layer(x).sum().backward()
        optimizer.step()
        optimizer.zero_grad()

    step(chainrule.ones(2, 300))
    step(chainrule.ones(2, 300))
    assert layer.weight.grad is None


# --------------------------------------------------------------------------------------- what is refused


def schedules(optimizer: Any) -> list[Any]:
    """One of each class."""
    step = lr_scheduler.StepLR(optimizer, 1)
    return [
        step,
        lr_scheduler.LambdaLR(optimizer, lambda n: 1.0),
        lr_scheduler.MultiplicativeLR(optimizer, lambda n: 1.0),
        lr_scheduler.MultiStepLR(optimizer, [3]),
        lr_scheduler.ConstantLR(optimizer),
        lr_scheduler.LinearLR(optimizer),
        lr_scheduler.ExponentialLR(optimizer, 0.9),
        lr_scheduler.PolynomialLR(optimizer),
        lr_scheduler.CosineAnnealingLR(optimizer, 5),
        lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 5),
        lr_scheduler.CyclicLR(optimizer, 0.01, 0.1),
        lr_scheduler.OneCycleLR(optimizer, 0.1, 10),
        lr_scheduler.ReduceLROnPlateau(optimizer),
        lr_scheduler.SequentialLR(optimizer, [step, lr_scheduler.ConstantLR(optimizer)], [3]),
        lr_scheduler.ChainedScheduler([step]),
        swa_utils.SWALR(optimizer, 0.1),
    ]


def test_no_schedule_acts_within_a_compiled_step() -> None:
    layer = nn.Linear(3, 1)
    optimizer = optim.SGD(layer.parameters(), lr=0.1, momentum=0.5)

    class Own(lr_scheduler.LRScheduler):
        def step(self, epoch: Any = None) -> None:
            self.optimizer.param_groups[0]["lr"] *= 0.5

    optimizer.step()
    own = Own.__new__(Own)
    own.optimizer = optimizer
    for schedule in [*schedules(optimizer), own]:
        before = optimizer.param_groups[0]["lr"], getattr(schedule, "last_epoch", 0)

        @chainrule.compile
        def step(x: Any, schedule: Any = schedule) -> Any:
            loss = layer(x).sum()
            schedule.step(*([loss] if isinstance(schedule, lr_scheduler.ReduceLROnPlateau) else []))
            return loss

        with pytest.raises(TraceError, match=rf"{type(schedule).__name__}.step\(\).*after the compiled step"):
            step(numbers())
        assert before == (optimizer.param_groups[0]["lr"], getattr(schedule, "last_epoch", 0))


def test_a_rate_that_the_step_itself_changes_is_refused() -> None:
    w = nn.Parameter(numbers())
    optimizer = optim.SGD([w], lr=0.1)

    @chainrule.compile
    def step() -> None:
        optimizer.zero_grad()
        w.sum().backward()
        optimizer.step()
        optimizer.param_groups[0]["lr"] *= 0.5

    with pytest.raises(TraceError, match="'lr'.*after the compiled step"):
        step()
    assert w.tolist() == [1.0, 2.0, 3.0]


def test_a_schedule_after_the_step_is_followed() -> None:
    w = nn.Parameter(chainrule.tensor([0.0]))
    optimizer = optim.SGD([w], lr=1.0)
    schedule = lr_scheduler.StepLR(optimizer, 1, 0.5)

    @chainrule.compile
    def step() -> None:
        optimizer.zero_grad()
        w.sum().backward()
        optimizer.step()

    places = []
    for _ in range(4):
        step()
        places.append(float(w))
        schedule.step()
    assert places == [-1.0, -1.5, -1.75, -1.875]
    assert sum(map(len, step.programs.values())) == 1


def test_data_that_would_be_shared_from_then_on_is_refused() -> None:
    w, other = numbers(), chainrule.zeros(3)

    def take_outside(x: Any) -> None:
        w.data = other

    def take_argument(x: Any) -> None:
        w.data = x[:]

    def give_to_a_view(x: Any) -> None:
        row.data = x * 2

    row = chainrule.zeros(2, 3)[0]
    for step in (take_outside, take_argument, give_to_a_view):
        with pytest.raises(TraceError, match=r"copy_\(y\)"):
            chainrule.compile(step)(numbers())
    assert w.tolist() == [1.0, 2.0, 3.0] and row.tolist() == [0.0, 0.0, 0.0]

    def exchange(x: Any) -> None:
        x.data = x * 2

    with pytest.raises(TraceError, match="a view"):
        chainrule.compile(exchange)(chainrule.zeros(2, 3)[0])


def test_a_gradient_that_is_added_to_cannot_be_an_argument_too() -> None:
    p = nn.Parameter(numbers())
    p.grad = numbers()

    @chainrule.compile
    def step(g: Any) -> Any:
        (p * p).sum().backward()
        return g * 1

    with pytest.raises(TraceError, match="argument 0 is a gradient"):
        step(p.grad)
    assert p.grad.tolist() == [1.0, 2.0, 3.0]
    assert step(p.grad.clone()).tolist() == [1.0, 2.0, 3.0]
    assert p.grad.tolist() == [3.0, 6.0, 9.0]


def test_a_tape_from_outside_is_refused() -> None:
    w = nn.Parameter(numbers())

    @chainrule.compile
    def back(y: Any) -> None:
        (y * y).sum().backward()

    outside = w * 2

    @chainrule.compile
    def back_from_outside() -> None:
        (outside * outside).sum().backward()

    for call in (lambda: back(w * 3), lambda: back(w.view(3, 1)), back_from_outside):
        with pytest.raises(TraceError, match=r"reaches (Multiply|Reshape), which was computed outside.*detach\(\)"):
            call()
    assert w.grad is None
    outside.sum().backward()  # its tape is whole
    assert w.grad.tolist() == [2.0, 2.0, 2.0]


def test_recorded_changes_of_what_was_computed_outside_are_refused() -> None:
    w = nn.Parameter(numbers())
    outside = w * 2

    def change(y: Any) -> None:
        y.mul_(3)

    def change_outside(y: Any) -> None:
        outside.mul_(3)

    def cut_outside(y: Any) -> None:
        outside.detach_()

    for step in (change, change_outside, cut_outside):
        with pytest.raises(TraceError, match=r"computed with a gradient outside.*detach\(\)"):
            chainrule.compile(step)(w * 2)
    outside.sum().backward()
    assert w.grad.tolist() == [2.0, 2.0, 2.0] and outside.tolist() == [2.0, 4.0, 6.0]


def test_changes_that_eager_code_refuses_are_refused_with_its_words() -> None:
    def change(y: Any) -> None:
        touched.add_(1)
        y.mul_(3)

    touched, w = chainrule.zeros(1), nn.Parameter(numbers())
    compiled = chainrule.compile(change)
    compiled(chainrule.ones(2, 3))
    touched.zero_()
    for argument in (w, w.view(3, 1), w[1:], numbers().expand(2, 3), chainrule.arange(5.0).unfold(0, 3, 2)):
        said = []
        for function in (change, compiled):
            with pytest.raises((GradientError, chainrule.ShapeError)) as caught:
                function(argument)
            said.append((type(caught.value), str(caught.value)))
            touched_after = touched.tolist()
            touched.zero_()
        assert said[0] == said[1]
        assert touched_after == [0.0]  # an error changes nothing


def test_what_would_have_to_be_traced_twice_and_cannot_is_refused() -> None:
    w, kept = numbers(), []

    @chainrule.compile
    def step(x: Any) -> Any:
        kept.append(x * 2)
        w.add_(1)
        return x * 1

    with pytest.raises(TraceError, match=r"leaves a tensor behind.*clone\(\)"):
        step(w)
    assert w.tolist() == [1.0, 2.0, 3.0]


# ----------------------------------------------------------------------------- errors leave all as it was


def _write(w: Any, x: Any) -> None:
    w.add_(1)


def _freeze(w: Any, x: Any) -> None:
    w.requires_grad_()


def _backward(w: Any, x: Any) -> None:
    (w.detach().requires_grad_() * x).sum().backward()


def _clear(w: Any, x: Any) -> None:
    x.grad = None
    (x * x).sum().backward()


def _exchange(w: Any, x: Any) -> None:
    w.data = w.repeat(2)


@pytest.mark.parametrize("change", [_write, _freeze, _backward, _clear, _exchange], ids=lambda f: f.__name__)
def test_an_error_while_tracing_changes_nothing(change: Callable[[Any, Any], None]) -> None:
    w, x = numbers(), numbers().requires_grad_()
    x.grad = gradient = numbers()
    view = w[1:]

    def step(x: Any) -> None:
        change(w, x)
        raise KeyError("on purpose")

    with pytest.raises(KeyError):
        chainrule.compile(step)(x)
    assert w.tolist() == [1.0, 2.0, 3.0] and not w.requires_grad and view.tolist() == [2.0, 3.0]
    assert x.grad is gradient and gradient.tolist() == [1.0, 2.0, 3.0] and x.requires_grad
    with chainrule.no_grad():
        w.mul_(2)
    assert view.tolist() == [4.0, 6.0]


def test_an_index_out_of_range_leaves_gradients_as_they_were() -> None:
    w = nn.Parameter(numbers())
    optimizer = optim.SGD([w], lr=0.1)

    @chainrule.compile
    def step(i: Any) -> None:
        optimizer.zero_grad()
        (w[i] * w[i]).sum().backward()
        optimizer.step()

    step(chainrule.tensor([0, 2]))
    held, after = w.grad, w.detach().clone()
    assert held.tolist() == [2.0, 0.0, 6.0]
    with pytest.raises(IndexError):
        step(chainrule.tensor([0, 3]))
    assert w.grad is held and held.tolist() == [2.0, 0.0, 6.0] and w.tolist() == after.tolist()


# ------------------------------------------------------------------------------------------ one program


def test_what_only_reads_parts_of_a_batch_is_one_program() -> None:
    step = chainrule.compile(lambda a, b: (a * b).sum())
    for i in range(5):
        text = chainrule.arange(6.0) + i
        values = np.arange(6.0) + i
        assert float(step(text[:-1], text[1:])) == float((values[:-1] * values[1:]).sum())
    assert sum(map(len, step.programs.values())) == 1


def test_a_trace_does_not_depend_on_when_a_view_was_last_read() -> None:
    x = chainrule.ones(6)
    p, q = nn.Parameter(x[:3]), nn.Parameter(x[3:])
    optimizer = optim.SGD([p, q], lr=0.1, momentum=0.5)  # its state is made while the first trace is suspended

    def step(_: list[Any]) -> list[Any]:
        optimizer.zero_grad()
        (p * q).sum().backward()
        optimizer.step()
        return []

    first = [e.primitive.name for e in trace_step(step, []).equations]
    with chainrule.no_grad():
        x.mul_(2)  # p and q have to look again
    assert [e.primitive.name for e in trace_step(step, []).equations] == first


def test_sharing_in_another_way_is_another_program() -> None:
    @chainrule.compile
    def step(a: Any, b: Any) -> None:
        a.add_(1)
        b.mul_(2)

    x = chainrule.zeros(4)
    step(x[:2], x[2:])
    step(x[:2], x[2:])
    step(x[:3], x[1:])
    assert x.tolist() == [3.0, 6.0, 2.0, 0.0]
    y = chainrule.zeros(4)
    step(y[:3], y[1:])
    assert y.tolist() == [1.0, 2.0, 2.0, 0.0]
    assert sum(map(len, step.programs.values())) == 2


def test_an_argument_that_is_used_from_outside_too_is_one_program() -> None:
    w, p = chainrule.zeros(2), chainrule.zeros(2)

    @chainrule.compile
    def step(a: Any, b: Any) -> None:
        w.add_(1)
        b.add_(a)

    for _ in range(4):
        step(w, p)
    assert w.tolist() == [4.0, 4.0] and p.tolist() == [10.0, 10.0]
    assert sum(map(len, step.programs.values())) == 1


def test_the_usual_step_keeps_its_memory() -> None:
    layer = nn.Linear(3, 2)
    optimizer = optim.Adam(layer.parameters())

    @chainrule.compile
    def step(x: Any) -> None:
        optimizer.zero_grad()
        layer(x).sum().backward()
        optimizer.step()

    step(numbers())
    step(numbers())
    weight, gradient = layer.weight._value.array.ctypes.data, layer.weight.grad._value.array.ctypes.data
    step(numbers())
    assert layer.weight._value.array.ctypes.data == weight
    assert layer.weight.grad._value.array.ctypes.data == gradient


# ------------------------------------------------------------------------------------ eager, beyond PyTorch


def test_windows_that_overlap_are_not_written_to() -> None:
    x = chainrule.arange(5.0)
    with pytest.raises(chainrule.ShapeError, match="overlap"):
        x.unfold(0, 3, 2).add_(1)
    assert x.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_a_parameter_made_of_a_passing_tensor_is_nobodys_view() -> None:
    p = nn.Parameter(chainrule.zeros(3))
    assert p.root is p


def test_saved_parameter_and_its_detached_tensor_stay_one(tmp_path: Any) -> None:
    x = numbers()
    p = nn.Parameter(x)
    chainrule.save({"p": p, "x": x}, tmp_path / "both.safetensors")
    again = chainrule.load(tmp_path / "both.safetensors")
    assert isinstance(again["p"], nn.Parameter) and again["p"].requires_grad and not again["x"].requires_grad
    again["x"][0] = 9
    assert again["p"].tolist() == [9.0, 2.0, 3.0]
