"""What a compiled step itself puts into a tensor is the same in every run; what it finds there is not.

Each step runs several times, compiled and eager, and somebody changes the tensors outside in between.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

import chainrule
from chainrule import nn
from chainrule.errors import TraceError

Step = Callable[["Outside", Any], Any]


class Outside:
    """What the steps find outside: two tensors, a parameter with a gradient, and room for more."""

    def __init__(self) -> None:
        self.a, self.b = chainrule.full((3,), 5.0), chainrule.full((3,), 7.0)
        self.p = nn.Parameter(chainrule.tensor([1.0, 2.0, 3.0]))
        self.p.grad = chainrule.ones(3)
        self.kept: Any = None

    def changed(self) -> None:
        """Between two runs."""
        self.a.add_(1)
        self.b.mul_(2)

    def numbers(self) -> list[Any]:
        """All that they hold."""
        kept = [] if self.kept is None else [self.kept.tolist()]
        return [*[t.tolist() for t in (self.a, self.b, self.p, self.p.grad)], *kept]


def a_part_of_a_filled_argument(at: Outside, x: Any) -> Any:
    x.fill_(0.75)[1].sin_()
    return x


def a_filled_argument_that_is_read_between(at: Outside, x: Any) -> Any:
    x.zero_()
    first = x + 1
    x.fill_(2.0)
    second = x + 1
    x[1].add_(1)
    return first, second


def a_filled_tensor_from_outside(at: Outside, x: Any) -> Any:
    at.a.fill_(0.75)
    at.a.mul_(x)
    return at.a + at.a


def a_filled_tensor_that_is_only_read(at: Outside, x: Any) -> Any:
    at.a.fill_(2.0)
    return at.a * x


def a_tensor_that_is_read_then_filled(at: Outside, x: Any) -> Any:
    before = at.a * 2
    at.a.fill_(2.0)
    at.a.add_(at.a * x)
    return before


def a_filled_base_of_a_view(at: Outside, x: Any) -> Any:
    part = at.a[1:]
    at.a.fill_(3.0)
    part.mul_(2)
    seen = part + 1
    at.a.zero_()
    return seen, part * 1


def a_new_tensor_that_is_written_and_returned(at: Outside, x: Any) -> Any:
    out = chainrule.zeros(3)
    before = out + 1
    out[:2] += x[:2]
    return out, before


def a_new_tensor_as_it_is(at: Outside, x: Any) -> Any:
    return chainrule.zeros(3), chainrule.arange(3) + x


def a_view_of_a_new_tensor(at: Outside, x: Any) -> Any:
    out = chainrule.Tensor([1, 2, 3])
    out.add_(x)
    return out[1:]


def a_new_leaf(at: Outside, x: Any) -> Any:
    w = chainrule.ones(3, requires_grad=True)
    ((w + x) ** 2).sum().backward()
    return w, w.grad


def a_new_parameter_and_buffer(at: Outside, x: Any) -> Any:
    w, total = nn.Parameter(at.a), nn.Buffer(at.b)
    (w * w * x).sum().backward()
    total.add_(w.grad)
    return total, w.grad


def a_tensor_made_at_the_first_call(at: Outside, x: Any) -> Any:
    if at.kept is None:
        at.kept = chainrule.zeros(3)
    at.kept.add_(x)
    return at.kept * 2


def a_table_made_at_the_first_call(at: Outside, x: Any) -> Any:
    if at.kept is None:
        at.kept = chainrule.ones(3)
    return at.kept + x


def another_tensors_data(at: Outside, x: Any) -> Any:
    at.a.data = at.b
    at.a.add_(x)
    return at.a * 2


def a_deep_copy(at: Outside, x: Any) -> Any:
    twin = copy.deepcopy(at.p)
    (twin * twin * x).sum().backward()
    with chainrule.no_grad():
        at.p.sub_(twin.grad, alpha=0.1)
    return twin, twin.grad


def a_detached_copy(at: Outside, x: Any) -> Any:
    w = at.a.detach().requires_grad_()
    (w * w * x).sum().backward()
    return w.grad


def a_detached_view_that_is_filled(at: Outside, x: Any) -> Any:
    w = at.a.detach()
    before = w * x
    w.fill_(2.0)
    return before, w + x


def a_leaf_for_a_while(at: Outside, x: Any) -> Any:
    at.a.requires_grad_()
    (at.a * at.a * x).sum().backward()
    gradient = at.a.grad * 1
    at.a.grad = None
    at.a.requires_grad_(False)
    return gradient


def gradients_of_zeros(at: Outside, x: Any) -> Any:
    chainrule.optim.SGD([at.p], lr=0.1).zero_grad(set_to_none=False)
    (at.p * at.p * x).sum().backward()


def a_filled_gradient(at: Outside, x: Any) -> Any:
    at.p.grad.fill_(2.0)
    at.p.grad.mul_(x)
    (at.p * at.p * x).sum().backward()


def a_new_gradient(at: Outside, x: Any) -> Any:
    at.p.grad = chainrule.ones(3)
    (at.p * at.p * x).sum().backward()


def numbers_of_a_filled_tensor(at: Outside, x: Any) -> Any:
    at.a.fill_(2.0)
    scaled = at.a * x
    return scaled * at.a.tolist()[0]


STEPS: list[Step] = [
    a_part_of_a_filled_argument, a_filled_argument_that_is_read_between, a_filled_tensor_from_outside,
    a_filled_tensor_that_is_only_read, a_tensor_that_is_read_then_filled, a_filled_base_of_a_view,
    a_new_tensor_that_is_written_and_returned, a_new_tensor_as_it_is, a_view_of_a_new_tensor, a_new_leaf,
    a_new_parameter_and_buffer, a_tensor_made_at_the_first_call, a_table_made_at_the_first_call,
    a_deep_copy, a_detached_copy, a_detached_view_that_is_filled, a_leaf_for_a_while, gradients_of_zeros, a_filled_gradient,
    a_new_gradient, numbers_of_a_filled_tensor,
]  # fmt: skip


def outcomes(step: Step, change: Callable[[Any], Any]) -> list[Any]:
    at = Outside()
    run = change(lambda x: step(at, x))
    found = []
    for call in range(4):
        x = chainrule.tensor([1.0, 2.0, 4.0]) * (call + 1)
        results = run(x)
        listed = results if isinstance(results, tuple) else () if results is None else (results,)
        found.append([[t.tolist() for t in (*listed, x)], at.numbers()])
        at.changed()
    return found


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.__name__)
def test_every_run_is_as_the_eager_one(step: Step) -> None:
    assert outcomes(step, chainrule.compile) == outcomes(step, lambda function: function)


def test_what_a_step_makes_is_not_kept_by_its_program() -> None:
    at, x = Outside(), chainrule.ones(3)
    run = chainrule.compile(lambda x: a_new_tensor_that_is_written_and_returned(at, x))
    run(x)
    assert len(run.program.step.inputs) == 1
    assert not run.program.states


def test_an_argument_that_is_a_view_is_changed_in_its_base() -> None:
    base = chainrule.zeros(2, 3)
    run = chainrule.compile(lambda x: x.add_(1.0))
    run(base[1])
    run(base[:, 0])
    assert base.tolist() == [[1, 0, 0], [2, 1, 1]]


def test_what_is_changed_and_used_twice_is_one_tensor() -> None:
    def outcome(change: Callable[[Any], Any]) -> list[Any]:
        p = chainrule.ones(3)
        both = change(lambda x, y: x.add_(1) * y)
        found = [both(p, p).tolist(), both(p[:2], p[1:]).tolist(), change(lambda x: x.add_(1) * p)(p).tolist()]
        return [*found, p.tolist()]

    assert outcome(chainrule.compile) == outcome(lambda function: function)


def test_memory_of_two_tensors_from_outside_is_not_made_one() -> None:
    at = Outside()
    before = at.numbers()
    with pytest.raises(TraceError, match="share memory from now on"):
        chainrule.compile(lambda x: another_tensors_data(at, x))(chainrule.ones(3))
    assert at.numbers() == before


def test_one_tensor_may_be_given_twice() -> None:
    p = chainrule.ones(3)
    assert chainrule.compile(lambda x, y: x * y + p)(p, p).tolist() == [2, 2, 2]
