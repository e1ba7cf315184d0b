"""Programs in which tensors share memory, for PyTorch and for us: one memory, without a step.

Each takes the library `T` and answers tensors and plain values that must be the same in both. The programs of
`shared_step_cases` and `shared_gradient_cases` use `compiled` too, which turns a function of tensors into what is to be
tried: the function itself, or what is compiled of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.listed import into

Case = Callable[[Any, Any], list[Any]]
CASES: list[Case] = []

case = into(CASES)


def numbers(T: Any) -> Any:
    return T.tensor([1.0, 2.0, 3.0])


def layer(T: Any, optimizer: str = "SGD", lr: float = 0.1, **settings: Any) -> tuple[Any, Any]:
    """A linear layer with known weights, and an optimiser for it."""
    linear = T.nn.Linear(3, 1)
    with T.no_grad():
        linear.weight.copy_(T.tensor([[0.5, -0.25, 0.125]]))
        linear.bias.fill_(0.5)
    return linear, getattr(T.optim, optimizer)(linear.parameters(), lr=lr, **settings)


@case
def parameter_and_its_tensor(T, compiled):
    x = numbers(T)
    p = T.nn.Parameter(x)
    x[0] = 5
    with T.no_grad():
        p[1] = 7
    (p * 2).sum().backward()
    return [x, p, p.grad, x.requires_grad, p.is_leaf]


@case
def parameter_of_a_view(T, compiled):
    x = numbers(T)
    p, q = T.nn.Parameter(x[1:]), T.nn.Parameter(x[:2])
    with T.no_grad():
        p.mul_(10)
        q.add_(1)
    (p.sum() * 3 + q.sum()).backward()
    return [x, p, q, p.grad, q.grad]


@case
def parameter_of_a_parameter(T, compiled):
    p = T.nn.Parameter(numbers(T))
    q = T.nn.Parameter(p)
    with T.no_grad():
        p.add_(1)
        q.mul_(2)
    (p * q).sum().backward()
    return [p, q, p.grad, q.grad]


@case
def views_taken_before_the_parameter(T, compiled):
    x = numbers(T)
    view = x[1:]
    p = T.nn.Parameter(x)
    view.fill_(4)
    with T.no_grad():
        p[2] = -1
    return [x, view, p, view.requires_grad]


@case
def buffer_and_its_tensor(T, compiled):
    x = numbers(T)
    b = T.nn.Buffer(x)
    x.add_(1)
    b[0] = 9
    return [x, b]


@case
def detached_leaf(T, compiled):
    x = numbers(T)
    y = x.detach().requires_grad_()
    x[0] = 9
    with T.no_grad():
        y[1] = -4
    (y * y).sum().backward()
    return [x, y, y.grad, x.requires_grad]


@case
def detached_leaf_of_a_result(T, compiled):
    w = numbers(T).requires_grad_()
    h = w * 2
    y = h.detach().requires_grad_()
    (y * y).sum().backward()
    h.backward(y.grad)
    return [w.grad, y.grad, h]


@case
def views_of_a_detached_leaf(T, compiled):
    x = numbers(T)
    y = x.detach().requires_grad_()
    v = y.view(3, 1)
    x.mul_(2)
    (v * v).sum().backward()
    return [v, y.grad, y]


@case
def leaf_that_stops(T, compiled):
    x = numbers(T)
    y = x.detach().requires_grad_()
    y.requires_grad_(False)
    y.add_(1)
    x.mul_(2)
    return [x, y, y.requires_grad]


@case
def a_view_becomes_a_leaf(T, compiled):
    x = T.zeros(2, 3)
    row = x[1].requires_grad_()
    with T.no_grad():
        row.add_(2)
    (row * 3).sum().backward()
    return [x, row, row.grad, row.is_leaf]


@case
def writing_a_leaf_is_refused(T, compiled):
    answers = []
    y = numbers(T).detach().requires_grad_()
    for tensor in (y, y.view(3, 1), y[1:]):
        try:
            tensor.add_(1)
        except RuntimeError:
            answers.append("refused")
    return answers


@case
def data_is_exchanged(T, compiled):
    a, b = numbers(T).requires_grad_(), T.zeros(3)
    a.data = b
    b[1] = 4
    with T.no_grad():
        a.add_(1)
    (a * a).sum().backward()
    return [a, b, a.grad, a.requires_grad, b.requires_grad]


@case
def data_of_another_parameter(T, compiled):
    p, q = T.nn.Parameter(numbers(T)), T.nn.Parameter(T.zeros(3))
    p.data = q.data
    with T.no_grad():
        p.add_(1)
        q[0] = 5
    (p * 2 + q * 3).sum().backward()
    return [p, q, p.grad, q.grad]


@case
def data_of_another_shape(T, compiled):
    p = T.nn.Parameter(numbers(T))
    p.data = p.data.repeat(2)
    with T.no_grad():
        p[5] = 0
    (p * p).sum().backward()
    return [p, p.grad]


@case
def data_of_itself(T, compiled):
    p = T.nn.Parameter(T.tensor([[1.0, 2.0], [3.0, 4.0]]))
    p.data = p.data.T
    q = p.data
    q[0, 1] = 9
    p.data = p.data
    return [p, q]


@case
def data_writes_are_not_recorded(T, compiled):
    w = numbers(T).requires_grad_()
    y = w * w
    y.data.mul_(10)
    y.sum().backward()
    return [w.grad, y]


@case
def a_layer_is_converted(T, compiled):
    linear, _ = layer(T)
    linear.double()
    view = linear.weight.detach()
    with T.no_grad():
        linear.weight.add_(1)
    return [view, linear.weight]


@case
def optimiser_moves_a_shared_parameter(T, compiled):
    x = T.zeros(6)
    p, q = T.nn.Parameter(x[:3]), T.nn.Parameter(x[3:].view(3, 1))
    optimizer = T.optim.Adam([p, q], lr=0.1)
    for i in range(3):
        optimizer.zero_grad()
        ((p - 1) ** 2).sum().backward()
        (q * i).sum().backward()
        optimizer.step()
    return [x, p, q]


@case
def gradients_in_one_memory(T, compiled):
    flat = T.zeros(6)
    p, q = T.nn.Parameter(numbers(T)), T.nn.Parameter(numbers(T))
    p.grad, q.grad = flat[:3], flat[3:]
    for _ in range(2):
        (p * p * q).sum().backward()
    before = flat.clone()
    flat.mul_(0.5)
    optimizer = T.optim.SGD([p, q], lr=0.1)
    optimizer.step()
    optimizer.zero_grad(set_to_none=False)
    return [before, p, q, flat, p.grad]


@case
def unfold_is_a_view(T, compiled):
    x = T.arange(8.0)
    u = x.unfold(0, 2, 3)
    u.mul_(10)
    x[1] = -1
    y = T.zeros(3, 4, 2)
    y.unfold(1, 2, 2)[:, :, 1] = 5
    return [x, u, y, y.unfold(0, 2, 1)]


@case
def unfold_has_a_gradient(T, compiled):
    x = T.arange(5.0, requires_grad=True)
    weights = T.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    (x.unfold(0, 3, 2) * weights).sum().backward()
    y = T.zeros(4)
    y.unfold(0, 2, 2)[1] = x[:2] * 3
    (gradient,) = T.autograd.grad((y * T.tensor([1.0, 2.0, 3.0, 4.0])).sum(), x)
    return [x.grad, gradient]


@case
def state_dict_shares(T, compiled):
    linear, _ = layer(T)
    state = linear.state_dict()
    with T.no_grad():
        linear.weight.add_(1)
    state["bias"].fill_(7)
    return [state["weight"], linear.bias]
