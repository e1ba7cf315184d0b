"""More programs for PyTorch, for us, and compiled, as in `shared_memory_cases`: arguments and results of steps."""

from __future__ import annotations

from tests.listed import into
from tests.shared_memory_cases import Case, layer, numbers

CASES: list[Case] = []
case = into(CASES)

# ----------------------------------------------------------------------------- arguments of a compiled function


@case
def argument_written_from_outside(T, compiled):
    w = numbers(T)

    def step(a):
        w.add_(1)
        return a * 1

    f = compiled(step)
    return [f(w), f(w), f(w[1:]), f(T.zeros(2)), f(w), w]


@case
def view_of_what_is_written(T, compiled):
    w = T.zeros(2, 3)

    def step(row, other):
        w.mul_(2).add_(1)
        return row + other

    f = compiled(step)
    rows = [f(w[0], w[1]), f(w[1], T.ones(3)), f(T.ones(3), T.ones(3)), f(w[0], w[1])]
    return [*rows, w]


@case
def parameter_as_argument(T, compiled):
    linear, optimizer = layer(T)

    def step(p, x):
        optimizer.zero_grad()
        loss = linear(x).square().mean()
        loss.backward()
        optimizer.step()
        return loss.detach(), p.square().sum().detach()

    f = compiled(step)
    other = T.ones(1, 3)
    return [*f(linear.weight, numbers(T)), *f(other, numbers(T)), *f(linear.weight, numbers(T)), linear.weight]


@case
def argument_is_written_and_used_from_outside(T, compiled):
    w = numbers(T)

    def step(a, b):
        a.add_(1)
        b.mul_(2)
        return w + a + b

    f = compiled(step)
    return [f(w, T.ones(3)), f(T.ones(3), w), f(w, w), f(T.ones(3), T.ones(3)), w]


@case
def one_tensor_twice_written(T, compiled):
    def step(a, b):
        a.add_(1)
        return a * b, a is b

    f = compiled(step)
    x, y = numbers(T), numbers(T)
    return [*f(x, x), *f(x, y), *f(x, x), x, y]


@case
def parts_of_one_tensor_written(T, compiled):
    def step(a, b):
        a.add_(1)
        b.mul_(3)
        return a + b

    f = compiled(step)
    x = T.arange(6.0)
    first = f(x[:3], x[3:])
    second = f(x[:4], x[2:])
    third = f(x[:4], x[2:])
    fourth = f(x[1:5], x[2:])
    fifth = f(x.view(2, 3), x[::2])
    return [first, second, third, fourth, fifth, f(T.ones(2), T.ones(2)), x]


@case
def whole_and_part_written(T, compiled):
    def step(whole, part):
        part.fill_(5)
        whole.mul_(2)
        return whole.sum(), part * 1

    f = compiled(step)
    x = T.arange(6.0).view(2, 3)
    return [*f(x, x[0]), *f(x, x[0]), *f(x, x[1]), *f(x, T.zeros(3)), x]


@case
def detached_leaf_beside_its_tensor(T, compiled):
    def step(x, y):
        x.mul_(2)
        loss = (y * y).sum()
        loss.backward()
        return loss.detach()

    f = compiled(step)
    x = numbers(T)
    y = x.detach().requires_grad_()
    return [f(x, y), f(x, y), x, y, y.grad]


@case
def only_read_in_parts(T, compiled):
    f = compiled(lambda a, b: (a * b).sum())
    text = T.arange(6.0)
    return [f(text[:-1], text[1:]), f(text[:-1], text[:-1]), f(text, text)]


@case
def same_leaf_twice(T, compiled):
    def step(a, b):
        loss = (a * b).sum()
        loss.backward()
        return loss.detach()

    f = compiled(step)
    x = numbers(T).requires_grad_()
    first = f(x, x)
    second = f(x, numbers(T).requires_grad_())
    return [first, second, x.grad]


@case
def leaves_as_arguments_in_turn(T, compiled):
    w, u = T.nn.Parameter(numbers(T)), T.nn.Parameter(2 * numbers(T))

    def step(v):
        (v * v).sum().backward()

    f = compiled(step)
    for v in (w, u, w, T.nn.Parameter(numbers(T))):
        f(v)
    return [w.grad, u.grad]


@case
def gradients_with_respect_to_computed_arguments(T, compiled):
    w = T.nn.Parameter(numbers(T))

    def step(v):
        return T.autograd.grad((v * v * w.detach()).sum(), v)[0]

    f = compiled(step)
    return [f(w * 2), f(w * w), f(w[:]), f(w)]


@case
def results_into_given_tensors(T, compiled):
    z = T.zeros(3)

    def step(x):
        T.add(x, 1, out=z)
        return z * 2, T.mul(z, 2, out=x)

    f = compiled(step)
    x = numbers(T)
    a, b = f(x)
    return [a, b is x, *f(z), x, z]


@case
def argument_is_a_parameter_with_a_gradient(T, compiled):
    linear, _ = layer(T)

    def step(w, x):
        loss = (w * x).sum() + linear(x).sum()
        loss.backward()
        return loss.detach(), w.grad * 1

    f = compiled(step)
    return [*f(linear.weight, numbers(T)), *f(linear.weight, numbers(T)), linear.weight.grad, linear.bias.grad]


@case
def a_parameter_made_of_the_argument(T, compiled):
    def step(x):
        p = T.nn.Parameter(x)
        (p * p).sum().backward()
        with T.no_grad():
            p.sub_(0.25 * p.grad)
        return p.grad

    f = compiled(step)
    x = numbers(T)
    return [f(x), f(x), x]


@case
def a_detached_leaf_in_the_step(T, compiled):
    w = numbers(T)

    def step(x):
        y = w.detach().requires_grad_()
        (y * x).sum().backward()
        with T.no_grad():
            y.sub_(y.grad)
        return y.grad, w.sum()

    f = compiled(step)
    return [*f(T.ones(3)), *f(numbers(T)), w]


@case
def shared_parameters_trained(T, compiled):
    x = T.ones(6)
    p, q = T.nn.Parameter(x[:3]), T.nn.Parameter(x[3:])
    optimizer = T.optim.SGD([p, q], lr=0.1, momentum=0.5)

    def step(target):
        optimizer.zero_grad()
        loss = ((p - target) ** 2).sum() + (p * q).sum()
        loss.backward()
        optimizer.step()
        return loss.detach()

    f = compiled(step)
    answers = [f(numbers(T)), f(numbers(T))]
    x[0] = 10
    answers.append(f(numbers(T)))
    return [*answers, x, p, q]


@case
def what_a_tensor_is_a_view_of_changes(T, compiled):
    x, y = numbers(T), T.zeros(3)
    p = T.nn.Parameter(x[:])

    def step():
        with T.no_grad():
            p.add_(1)
        return p.detach() * 2

    f = compiled(step)
    answers = [f(), x.clone()]
    p.data = y
    answers += [f(), f(), x.clone(), y.clone()]
    q = T.nn.Parameter(y)
    with T.no_grad():
        q.mul_(10)
    return [*answers, f(), q, y]


@case
def a_tensor_becomes_a_view(T, compiled):
    w = numbers(T)

    def step():
        w.add_(1)
        return w * 2

    f = compiled(step)
    answers = [f()]
    p = T.nn.Parameter(w)
    answers += [f(), p.detach().clone()]
    with T.no_grad():
        p.mul_(0)
    return [*answers, f(), w, p]


# -------------------------------------------------------------------------------- results of a compiled function


@case
def argument_returned(T, compiled):
    f = compiled(lambda x: (x, x * 1, x))
    x, y = numbers(T), T.zeros(3)
    a, b, c = f(x)
    a.add_(1)
    d, _, _ = f(y)
    return [a, b, x, a is x, c is x, d is y]


@case
def view_of_an_argument_returned(T, compiled):
    f = compiled(lambda x: (x[1:], x.view(3, 1).T, x.detach()))
    x = numbers(T)
    a, b, c = f(x)
    a.mul_(10)
    x[0] = -1
    whole = T.zeros(2, 3)
    d = f(whole[1])[0]
    d.add_(5)
    return [a, b, c, x, whole]


@case
def written_argument_returned(T, compiled):
    def step(x):
        x.mul_(2)
        return x, x[0]

    f = compiled(step)
    x = numbers(T)
    a, b = f(x)
    x.add_(1)
    return [a, b, a is x, *f(x)]


@case
def outside_tensor_returned(T, compiled):
    table = numbers(T)
    f = compiled(lambda x: (table, table[:2], x * table))
    a, b, c = f(T.ones(3))
    table.add_(1)
    b[0] = -5
    return [a, b, c, a is table, f(T.ones(3))[2]]


@case
def parameter_returned(T, compiled):
    linear, optimizer = layer(T)

    def step(x):
        optimizer.zero_grad()
        linear(x).sum().backward()
        optimizer.step()
        return linear.weight, linear.weight.detach()

    f = compiled(step)
    a, b = f(numbers(T))
    first = a.detach().clone()
    f(numbers(T))
    return [first, a.detach(), b, a is linear.weight, a.requires_grad]


@case
def gradient_returned(T, compiled):
    linear, optimizer = layer(T)

    def step(x):
        optimizer.zero_grad()
        linear(x).sum().backward()
        return linear.weight.grad

    f = compiled(step)
    a = f(numbers(T))
    same = a is linear.weight.grad
    linear.weight.grad.mul_(3)
    b = f(2 * numbers(T))
    return [a, b, same, a is b, linear.weight.grad]


@case
def one_result_twice(T, compiled):
    def step(x):
        y = x * 2
        return y, y, {"again": y, "part": y[1:]}

    f = compiled(step)
    a, b, more = f(numbers(T))
    a[2] = 100
    more["part"][0] = -1
    return [a, b, more["again"], more["part"], a is b, a is more["again"]]


@case
def parts_of_one_result(T, compiled):
    def step(x):
        y = x * 2
        return y[:2], y[1:]

    f = compiled(step)
    a, b = f(numbers(T))
    a[1] = 50
    c, d = f(numbers(T))
    return [a, b, c, d]


@case
def results_are_of_each_call(T, compiled):
    f = compiled(lambda x: (x * 2).view(3, 1))
    a = f(numbers(T))
    b = f(numbers(T))
    a.zero_()
    return [a, b]
