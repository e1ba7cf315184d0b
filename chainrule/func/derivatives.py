"""Derivatives of functions as functions: `func.grad` and its like, of arguments that are tensors or nests of them.

They may stand within each other: `grad(lambda x: grad(lambda y: f(x, y))(z))`. What is inside then stays
differentiable, whether or not its own argument depends on what is outside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from chainrule.autodiff.mode import enable_grad
from chainrule.autograd.functional import fresh_leaves, gradients_or_zeros, jacobian, units
from chainrule.autograd.functional import jvp as products_of
from chainrule.autograd.gradient import grad as gradients_of
from chainrule.cell import TensorCell
from chainrule.errors import GradientError
from chainrule.functions.control import flatten, rebuild
from chainrule.functions.creation import zeros_like
from chainrule.functions.pieces import stack
from chainrule.state import current_state

Places = int | Sequence[int]


@contextmanager
def _differentiating() -> Iterator[None]:
    """While a function runs whose derivatives are taken: operations are recorded."""
    state = current_state()
    state.derivatives += 1
    try:
        with enable_grad():
            yield
    finally:
        state.derivatives -= 1


def _connected(leaves: Sequence[Any]) -> bool:
    """Whether results must be differentiable: by the arguments, or by what a derivative outside is taken of."""
    return current_state().derivatives > 0 or any(x.requires_grad for x in leaves)


def _shown(nest: Any, connected: bool) -> Any:
    """A result as it is given back: without the record, unless that is needed."""
    if connected:
        return nest
    if isinstance(nest, TensorCell):
        return nest.detach()  # type: ignore[attr-defined]
    if isinstance(nest, dict):
        return {name: _shown(part, connected) for name, part in nest.items()}
    return type(nest)(_shown(part, connected) for part in nest) if type(nest) in (list, tuple) else nest


def _numbers_of(places: Places, count: int) -> list[int]:
    """The arguments by which a function is differentiated, counted from 0; a GradientError if there are none."""
    given = [places] if isinstance(places, int) else list(places)
    if count and not given:
        raise GradientError("argnums=() names no argument; name those by which the function is differentiated.")
    wrong = [n for n in given if not -count <= n < count]
    if wrong:
        raise GradientError(
            f"argnums={places}: the function was called with {count} arguments by place, there is no number {wrong[0]}."
        )
    numbers = [n % count for n in given]
    if len(set(numbers)) != len(numbers):
        raise GradientError(f"argnums={places} names an argument twice; name each once.")
    return numbers


def _need_floating(outputs: Sequence[Any], operation: str) -> None:
    """Raise a GradientError for outputs that no derivative is defined of."""
    for y in outputs:
        if not y.dtype.is_floating_point:
            raise GradientError(
                f"{operation}: the function gives a {y.dtype} tensor, which has no derivative; leave it out, give it "
                "beside the outputs with has_aux=True, or convert it with .float()."
            )


class _Chosen:
    """The arguments by which a function is differentiated, and the function of their tensors alone."""

    def __init__(
        self, function: Callable[..., Any], places: Places, args: tuple[Any, ...], kwargs: Any, aux: bool
    ) -> None:
        self.function, self.args, self.kwargs, self.has_aux = function, args, kwargs, aux
        self.numbers = _numbers_of(places, len(args))
        nest = tuple(args[n] for n in self.numbers)
        self.nest = nest[0] if isinstance(places, int) else nest
        self.leaves = tuple(flatten(nest))
        self.connected = _connected(self.leaves)
        self.aux: Any = None

    def __call__(self, *leaves: Any) -> Any:
        """The function's value with these tensors for the chosen arguments."""
        tensors = iter(leaves)
        args = list(self.args)
        for number in self.numbers:
            args[number] = rebuild(self.args[number], tensors)
        with _differentiating():
            value = self.function(*args, **self.kwargs)
        if self.has_aux:
            value, self.aux = value
        self.value = value
        return value

    def flat(self, *leaves: Any) -> tuple[Any, ...]:
        """The tensors of the value. Raises a GradientError if one is of a type that has no derivative."""
        outputs = tuple(flatten(self(*leaves)))
        _need_floating(outputs, "func")
        return outputs

    def with_aux(self, result: Any) -> Any:
        """The result, and what the function gave beside its value."""
        return (result, _shown(self.aux, self.connected)) if self.has_aux else result


def value_and_grad(func: Callable[..., Any], argnums: Places = 0, has_aux: bool = False) -> Callable[..., Any]:
    """A function that gives (value, gradient) of a scalar function by its arguments `argnums`.

    An argument is a tensor or a nest of tensors (dictionary, list, tuple); its gradient is of the same form. With
    `has_aux` the function gives (value, anything), and ((value, anything), gradient) comes back.

    >>> import chainrule
    >>> chainrule.func.value_and_grad(lambda x: x ** 3)(chainrule.tensor(2.0))
    (tensor(8.), tensor(12.))
    """

    def both(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        chosen = _Chosen(func, argnums, args, kwargs, has_aux)
        fresh = fresh_leaves(chosen.leaves, chosen.connected)
        value = chosen(*fresh)
        if not isinstance(value, TensorCell):
            raise GradientError(
                f"grad: the function must give a single number as a tensor, got {type(value).__name__}."
            )
        shape = value.value.array.shape
        if shape:
            raise GradientError(
                f"grad: the function must give a single number, got shape {shape}; reduce it (sum, mean, of one "
                "entry reshape(())), or use jacrev or vjp."
            )
        found: Sequence[Any] = [None] * len(fresh)
        if value.requires_grad:
            found = gradients_of(value, fresh, create_graph=chosen.connected, allow_unused=True)
        filled = [x.new_zeros(x.shape) if g is None else g for x, g in zip(chosen.leaves, found, strict=True)]
        gradient = rebuild(chosen.nest, iter(filled))
        return chosen.with_aux(_shown(value, chosen.connected)), gradient

    return both


def grad_and_value(func: Callable[..., Any], argnums: Places = 0, has_aux: bool = False) -> Callable[..., Any]:
    """A function that gives (gradient, value): `value_and_grad` in PyTorch's order.

    >>> import chainrule
    >>> chainrule.func.grad_and_value(lambda x: x ** 3)(chainrule.tensor(2.0))
    (tensor(12.), tensor(8.))
    """
    both = value_and_grad(func, argnums, has_aux)
    return lambda *args, **kwargs: both(*args, **kwargs)[::-1]


def grad(func: Callable[..., Any], argnums: Places = 0, has_aux: bool = False) -> Callable[..., Any]:
    """A function that gives the gradient of a scalar function; applied twice, the second derivative.

    Arguments as `value_and_grad`. With `has_aux` it gives (gradient, what the function gave beside its value).

    >>> import chainrule
    >>> chainrule.func.grad(chainrule.func.grad(lambda x: x ** 3))(chainrule.tensor(2.0))
    tensor(12.)
    """
    both = value_and_grad(func, argnums, has_aux)

    def gradient(*args: Any, **kwargs: Any) -> Any:
        value, found = both(*args, **kwargs)
        return (found, value[1]) if has_aux else found

    return gradient


def vjp(func: Callable[..., Any], *primals: Any, has_aux: bool = False) -> tuple[Any, ...]:
    """(outputs, pull_back): `pull_back(v)` gives vᵀ·J, one entry for each of `primals`. v has the form of the outputs.

    With `has_aux` the function gives (outputs, anything), and (outputs, pull_back, anything) comes back.

    >>> import chainrule
    >>> y, pull_back = chainrule.func.vjp(lambda x: x ** 2, chainrule.tensor([1.0, 2.0]))
    >>> pull_back(chainrule.ones(2))
    (tensor([2., 4.]),)
    """
    chosen = _Chosen(func, range(len(primals)), primals, {}, has_aux)
    fresh = fresh_leaves(chosen.leaves, chosen.connected)
    outputs = chosen(*fresh)
    _need_floating(flatten(outputs), "vjp")

    def pull_back(cotangents: Any) -> tuple[Any, ...]:
        upstream = tuple(flatten(cotangents))
        count = len(flatten(outputs))
        if len(upstream) != count:
            raise GradientError(
                f"vjp: the function gives {count} tensors, what is pulled back has {len(upstream)}; give one for each."
            )
        connected = chosen.connected or _connected(upstream)
        found = gradients_or_zeros(tuple(flatten(outputs)), fresh, upstream, create_graph=connected)
        return rebuild(primals, iter(found))

    aux = (_shown(chosen.aux, chosen.connected),) if has_aux else ()
    return (_shown(outputs, chosen.connected), pull_back, *aux)


def jvp(
    func: Callable[..., Any], primals: tuple[Any, ...], tangents: tuple[Any, ...], *, strict: bool = False,
    has_aux: bool = False,
) -> tuple[Any, ...]:  # fmt: skip
    """(outputs, J·v) where `tangents`, v, have the form of `primals`. `strict` changes nothing.

    With `has_aux` the function gives (outputs, anything), and (outputs, J·v, anything) comes back.

    >>> import chainrule
    >>> x, v = chainrule.tensor([1.0, 2.0]), chainrule.tensor([1.0, 0.0])
    >>> chainrule.func.jvp(lambda x: x ** 2, (x,), (v,))
    (tensor([1., 4.]), tensor([2., 0.]))
    """
    chosen = _Chosen(func, range(len(primals)), primals, {}, has_aux)
    directions = tuple(flatten(tangents))
    chosen.connected = chosen.connected or _connected(directions)
    outputs, products = products_of(chosen.flat, chosen.leaves, directions, create_graph=chosen.connected)
    aux = (_shown(chosen.aux, chosen.connected),) if has_aux else ()
    return (rebuild(chosen.value, iter(outputs)), rebuild(chosen.value, iter(products)), *aux)


def linearize(func: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
    """(outputs, push): `push(*tangents)` gives J·v for tangents of the form of `primals`, as often as wanted.

    The function runs once, here. vᵀ·J is linear in v, so J·v is the gradient of that in v.

    >>> import chainrule
    >>> y, push = chainrule.func.linearize(lambda x: x ** 2, chainrule.tensor([1.0, 2.0]))
    >>> push(chainrule.tensor([1.0, 0.0]))
    tensor([2., 0.])
    """
    outputs, pull_back = vjp(func, *primals)
    nothing = rebuild(outputs, iter([zeros_like(y) for y in flatten(outputs)]))

    def push(*tangents: Any) -> Any:
        return vjp(pull_back, nothing)[1](tangents)[0]

    return outputs, push


def jacrev(
    func: Callable[..., Any], argnums: Places = 0, *, has_aux: bool = False, chunk_size: int | None = None
) -> Callable[..., Any]:
    """A function that gives the Jacobian by some arguments: one backward pass for each entry of the outputs.

    A block has the shape (output's shape + input's shape); blocks have the form of the outputs, and within that of the
    arguments. `chunk_size` is taken and changes nothing.

    >>> import chainrule
    >>> chainrule.func.jacrev(lambda x: x ** 2)(chainrule.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """

    def at(*args: Any, **kwargs: Any) -> Any:
        chosen = _Chosen(func, argnums, args, kwargs, has_aux)
        blocks = jacobian(chosen.flat, chosen.leaves, create_graph=chosen.connected)
        return chosen.with_aux(_arranged(chosen, blocks))

    return at


def jacfwd(
    func: Callable[..., Any], argnums: Places = 0, has_aux: bool = False, *, randomness: str = "error"
) -> Callable[..., Any]:
    """The same Jacobian as `jacrev`, by one pass for each entry of the inputs: for few inputs and many outputs.

    `randomness` is taken and changes nothing: the function is evaluated once.

    >>> import chainrule
    >>> chainrule.func.jacfwd(lambda x: x.sum() * chainrule.ones(3))(chainrule.tensor([1.0, 2.0]))
    tensor([[1., 1.],
            [1., 1.],
            [1., 1.]])
    """

    def at(*args: Any, **kwargs: Any) -> Any:
        chosen = _Chosen(func, argnums, args, kwargs, has_aux)
        columns = _columns(chosen)
        return chosen.with_aux(_arranged(chosen, columns))

    return at


def _columns(chosen: _Chosen) -> list[list[Any]]:
    """The blocks of the Jacobian column by column: how the backward pass depends on what comes in is J itself."""
    fresh = fresh_leaves(chosen.leaves, chosen.connected)
    outputs = chosen.flat(*fresh)
    probes = tuple(y.detach().new_zeros(y.shape).requires_grad_() for y in outputs)
    with _differentiating():
        pulled = gradients_or_zeros(outputs, fresh, probes, create_graph=True)
        blocks: list[list[Any]] = [[] for _ in outputs]
        for x, back in zip(fresh, pulled, strict=True):
            found = [gradients_or_zeros((back,), probes, (unit,), chosen.connected) for unit in units(x)]
            for i, (block, y) in enumerate(zip(blocks, outputs, strict=True)):
                shape = (*y.shape, *x.shape)
                block.append(stack([f[i] for f in found], -1).reshape(shape) if found else y.new_zeros(shape))
    return blocks


def _arranged(chosen: _Chosen, blocks: Sequence[Sequence[Any]]) -> Any:
    """Blocks [output][input] in the form of the outputs, and within that of the arguments."""
    return rebuild(chosen.value, (rebuild(chosen.nest, iter(block)) for block in blocks))


def hessian(func: Callable[..., Any], argnums: Places = 0) -> Callable[..., Any]:
    """A function that gives the Hessian of a scalar function by some arguments, the Jacobian of its gradient.

    >>> import chainrule
    >>> chainrule.func.hessian(lambda x: (x ** 3).sum())(chainrule.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    return jacrev(jacrev(func, argnums), argnums)
