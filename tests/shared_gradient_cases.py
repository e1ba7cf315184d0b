"""More programs for PyTorch, for us, and compiled, as in `shared_memory_cases`: gradients, and shapes and types that change."""

from __future__ import annotations

from typing import Any

from tests.listed import into
from tests.shared_memory_cases import Case, layer, numbers

CASES: list[Case] = []
case = into(CASES)

# ------------------------------------------------------------------------------------------------- gradients


def _descend(T: Any, p: Any, rate: float) -> None:
    with T.no_grad():
        p.sub_(rate * p.grad)


@case
def never_cleared(T, compiled):
    linear, _ = layer(T)

    def step(x):
        loss = linear(x).square().mean()
        loss.backward()
        for p in linear.parameters():
            _descend(T, p, 0.01)
        return loss.detach()

    f = compiled(step)
    return [f(numbers(T)), f(numbers(T)), f(numbers(T)), linear.weight, linear.weight.grad, linear.bias.grad]


@case
def optimiser_without_clearing(T, compiled):
    linear, optimizer = layer(T, "Adam")

    def step(x):
        loss = linear(x).square().mean()
        loss.backward()
        optimizer.step()
        return loss.detach()

    f = compiled(step)
    return [f(numbers(T)), f(numbers(T)), f(numbers(T)), linear.weight, linear.weight.grad]


@case
def cleared_every_second_step(T, compiled):
    linear, optimizer = layer(T, lr=0.01)

    def step(x, clear):
        if clear:
            optimizer.zero_grad()
        loss = linear(x).square().mean()
        loss.backward()
        optimizer.step()
        return loss.detach()

    f = compiled(step)
    losses = [f(numbers(T) * i, i % 2 == 0) for i in range(6)]
    return [*losses, linear.weight, linear.weight.grad]


@case
def step_in_every_third_call(T, compiled):
    linear, optimizer = layer(T, "Adam", lr=0.01)

    def step(x, last):
        loss = linear(x).square().mean()
        loss.backward()
        if last:
            T.nn.utils.clip_grad_norm_(linear.parameters(), 0.5)
            optimizer.step()
            optimizer.zero_grad()
        return loss.detach()

    f = compiled(step)
    return [*[f(numbers(T) * i, i % 3 == 2) for i in range(8)], linear.weight, linear.weight.grad]


@case
def gradients_read_outside(T, compiled):
    linear, optimizer = layer(T)

    def step(x):
        optimizer.zero_grad()
        loss = linear(x).square().mean()
        loss.backward()
        optimizer.step()
        return loss.detach()

    f = compiled(step)
    answers = []
    for i in range(3):
        f(numbers(T) * i)
        answers += [linear.weight.grad.clone(), linear.bias.grad]
    return answers


@case
def held_gradients_stay(T, compiled):
    linear, optimizer = layer(T)

    def step(x):
        optimizer.zero_grad()
        linear(x).square().mean().backward()
        optimizer.step()

    f = compiled(step)
    held = []
    for i in range(4):
        f(numbers(T) * i)
        held.append(linear.weight.grad)
    return [*held, held[0] is held[1]]


@case
def backward_compiled_update_outside(T, compiled):
    linear, optimizer = layer(T, "Adam")

    def step(x):
        optimizer.zero_grad()
        loss = linear(x).square().mean()
        loss.backward()
        return loss.detach(), linear.weight.grad.norm()

    f = compiled(step)
    answers = []
    for i in range(3):
        answers += f(numbers(T) + i)
        optimizer.step()
    return [*answers, linear.weight]


@case
def two_compiled_functions(T, compiled):
    linear, optimizer = layer(T)

    def collect(x):
        linear(x).square().mean().backward()

    def update():
        optimizer.step()
        optimizer.zero_grad()

    f, g = compiled(collect), compiled(update)
    for i in range(3):
        f(numbers(T))
        f(numbers(T) * i)
        g()
    f(numbers(T))
    return [linear.weight, linear.weight.grad]


@case
def cleared_outside(T, compiled):
    linear, optimizer = layer(T)

    def step(x):
        linear(x).square().mean().backward()
        optimizer.step()

    f = compiled(step)
    held = []
    for i in range(4):
        optimizer.zero_grad()
        f(numbers(T) * i)
        held.append(linear.weight.grad)
    return [*held, linear.weight]


@case
def set_to_zero_inside(T, compiled):
    linear, optimizer = layer(T)

    def step(x):
        optimizer.zero_grad(set_to_none=False)
        linear(x).square().mean().backward()
        optimizer.step()

    f = compiled(step)
    f(numbers(T))
    held = linear.weight.grad
    f(numbers(T) * 2)
    f(numbers(T))
    return [held, held is linear.weight.grad, linear.weight]


@case
def gradients_set_outside(T, compiled):
    linear, optimizer = layer(T)

    def step(x):
        loss = linear(x).square().mean()
        loss.backward()
        optimizer.step()
        return loss.detach()

    f = compiled(step)
    answers = []
    for i in range(4):
        linear.weight.grad, linear.bias.grad = T.ones(1, 3) * i, None
        answers += [f(numbers(T)), linear.weight.detach().clone(), linear.weight.grad.clone()]
    return answers


@case
def gradients_in_one_memory_compiled(T, compiled):
    flat = T.zeros(4)
    linear, optimizer = layer(T)
    linear.weight.grad, linear.bias.grad = flat[:3].view(1, 3), flat[3:]

    def step(x):
        linear(x).square().mean().backward()
        flat.mul_(0.5)
        optimizer.step()
        optimizer.zero_grad(set_to_none=False)

    f = compiled(step)
    f(numbers(T))
    flat.fill_(1)
    f(numbers(T))
    answers = [linear.weight.detach().clone(), flat.clone()]
    linear.weight.grad = T.ones(1, 3)
    f(numbers(T))
    return [*answers, linear.weight, linear.bias, flat]


@case
def gradient_given_in_the_step(T, compiled):
    p = T.nn.Parameter(T.zeros(3))
    optimizer = T.optim.SGD([p], lr=1.0)

    def step(g):
        p.grad = g
        optimizer.step()

    f = compiled(step)
    g = numbers(T)
    f(g)
    same = p.grad is g
    f(g * 2)
    return [p, same, p.grad]


@case
def one_gradient_for_two(T, compiled):
    w, v = T.nn.Parameter(T.ones(2)), T.nn.Parameter(T.ones(2) * 2)

    def step():
        w.grad = v.grad = None
        (w * v).sum().backward()
        v.grad = w.grad

    f = compiled(step)
    f()
    v.grad.mul_(2)
    answers = [w.grad.clone(), v.grad is w.grad]
    f()
    return [*answers, w.grad, v.grad is w.grad]


@case
def tied_through_a_transpose(T, compiled):
    w = T.arange(6.0).view(2, 3)
    a, b = T.nn.Parameter(w), T.nn.Parameter(w.T)
    optimizer = T.optim.SGD([a, b], lr=0.1)

    def step(x):
        optimizer.zero_grad()
        loss = (x @ a @ b).square().mean()
        loss.backward()
        optimizer.step()
        return loss.detach()

    f = compiled(step)
    x = T.ones(1, 2) * 0.1
    return [f(x), f(x), a, b, w, a.grad, b.grad]


@case
def a_state_that_is_an_argument(T, compiled):
    def step(x, state):
        state["h"].copy_(state["h"] * 0.5 + x)
        return state["h"], state["h"][0], x + state["h"]

    f = compiled(step)
    h = T.zeros(2)
    a = f(T.ones(2), {"h": h})
    b = f(T.ones(2), {"h": h})
    return [*a, *b, h, a[0] is h]


@case
def statistics_as_an_argument(T, compiled):
    norm = T.nn.BatchNorm1d(2)
    f = compiled(lambda x, mean: (norm(x).detach(), mean * 1))
    x = T.arange(6.0).view(3, 2)
    return [*f(x, norm.running_mean), *f(x, norm.running_mean), *f(x, T.zeros(2)), norm.running_mean]


@case
def frozen_within_the_step(T, compiled):
    linear, optimizer = layer(T)

    def step(x):
        linear.bias.requires_grad_(False)
        optimizer.zero_grad()
        linear(x).square().mean().backward()
        optimizer.step()

    f = compiled(step)
    f(numbers(T))
    f(numbers(T))
    return [linear.weight, linear.bias, linear.bias.requires_grad]


@case
def frozen_for_a_while(T, compiled):
    linear, optimizer = layer(T)

    def step(x):
        linear.weight.requires_grad_(False)
        optimizer.zero_grad()
        linear(x).square().mean().backward()
        linear.weight.requires_grad_(True)
        linear(2 * x).sum().backward()
        optimizer.step()

    f = compiled(step)
    f(numbers(T))
    f(numbers(T))
    return [linear.weight, linear.bias, linear.weight.requires_grad, linear.weight.grad]


@case
def argument_made_a_leaf(T, compiled):
    def step(x):
        x.requires_grad_()
        (x * x).sum().backward()
        return x.grad * 2

    f = compiled(step)
    x, y = numbers(T), T.ones(3)
    return [f(x), x.grad, x.requires_grad, f(x), x.grad, f(y), y.grad]


@case
def outside_tensor_made_a_leaf(T, compiled):
    w = numbers(T)

    def step(x):
        w.requires_grad_()
        (w * x).sum().backward()

    f = compiled(step)
    f(T.ones(3))
    first = w.grad.clone()
    f(numbers(T))
    f(numbers(T))
    return [first, w.grad, w.requires_grad]


# ------------------------------------------------------------------------------- shapes and data types that change


@case
def data_changed_in_the_step(T, compiled):
    linear, _ = layer(T)

    def step(x):
        linear.zero_grad()
        linear(x).square().mean().backward()
        for p in linear.parameters():
            p.data = p.data - 0.1 * p.grad
        return linear.weight.detach() * 1

    f = compiled(step)
    return [f(numbers(T)), f(numbers(T)), linear.weight]


@case
def data_grows_in_the_step(T, compiled):
    w = T.ones(1)

    def step(x):
        w.data = T.cat([w.data, x])
        return w.sum()

    f = compiled(step)
    return [f(T.ones(2)), f(numbers(T)), f(T.ones(2)), w]


@case
def argument_changes_its_shape(T, compiled):
    def step(x):
        x.data = x.repeat(2)
        return x.sum()

    f = compiled(step)
    x, y = numbers(T), T.ones(3)
    return [f(x), x.clone(), f(x), f(y), x, y]


@case
def converted_in_the_step(T, compiled):
    linear, _ = layer(T)

    def step(x):
        linear.double()
        return linear(x.double()).detach()

    f = compiled(step)
    return [f(numbers(T)), f(numbers(T)), linear.weight]


@case
def written_to_what_was_exchanged(T, compiled):
    w = numbers(T)

    def step(x):
        y = x * 2
        w.data = y
        y.add_(1)
        return w * 1

    f = compiled(step)
    return [f(T.ones(3)), f(numbers(T)), w]


@case
def checkpoint_with_parameters(T, compiled):
    linear, optimizer = layer(T, lr=0.01)
    scale = T.tensor(0.25)

    def step(x):
        optimizer.zero_grad()
        inner = x * scale
        part = lambda y: linear(y * inner).tanh()  # noqa: E731
        loss = T.utils.checkpoint.checkpoint(part, x, use_reentrant=False).square().mean()
        loss.backward()
        optimizer.step()
        return loss.detach()

    f = compiled(step)
    return [*[f(numbers(T)) for _ in range(5)], linear.weight]
