"""Derivatives of functions: products with Jacobians, whole Jacobians and Hessians. PyTorch's place and names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from chainrule.autodiff.backward import Tensors, as_tuple
from chainrule.autodiff.mode import enable_grad
from chainrule.autograd.gradient import grad
from chainrule.cell import TensorCell
from chainrule.errors import GradientError, ShapeError
from chainrule.functions.creation import ones_like, zeros, zeros_like
from chainrule.functions.pieces import stack

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]


def fresh_leaves(inputs: Tensors, create_graph: bool) -> tuple[Any, ...]:
    """Inputs that require gradients: new leaves, or with `create_graph` connected to the given tensors."""
    ins = as_tuple(inputs)
    if create_graph:
        return tuple(x.clone() if x.requires_grad else x.detach_copy().requires_grad_() for x in ins)
    return tuple(x.detach_copy().requires_grad_() for x in ins)


def _outputs_of(function: Callable[..., Any], inputs: tuple[Any, ...]) -> tuple[bool, tuple[Any, ...]]:
    with enable_grad():
        outputs = function(*inputs)
    return isinstance(outputs, TensorCell), as_tuple(outputs)


def _need_dependence(outputs: tuple[Any, ...], inputs: tuple[Any, ...], operation: str) -> None:
    """What `strict` asks for: every output depends on every input."""
    for i, y in enumerate(outputs):
        found = grad(y.sum(), inputs, retain_graph=True, allow_unused=True) if y.requires_grad else [None] * len(inputs)
        free = next((k for k, x in enumerate(found) if x is None), None)
        if free is not None:
            raise GradientError(
                f"{operation}: output {i} does not depend on input {free}; without strict=True its derivative is 0."
            )


def _like(shown: Any, single: bool) -> Any:
    return shown[0] if single else tuple(shown)


def vjp(
    func: Callable[..., Any],
    inputs: Tensors,
    v: Tensors | None = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """(outputs, vᵀ·J): the vector–Jacobian product, one backward pass. v has the shape of the outputs.

    With `strict` an output that does not depend on an input is a GradientError; else its derivative is 0.

    >>> import chainrule
    >>> x = chainrule.tensor([1.0, 2.0])
    >>> chainrule.autograd.functional.vjp(lambda x: x ** 2, x, chainrule.ones(2))[1]
    tensor([2., 4.])
    """
    fresh = fresh_leaves(inputs, create_graph)
    single, outputs = _outputs_of(func, fresh)
    if strict:
        _need_dependence(outputs, fresh, "vjp")
    gradients = gradients_or_zeros(outputs, fresh, None if v is None else as_tuple(v), create_graph)
    shown = outputs if create_graph else tuple(y.detach() for y in outputs)
    return _like(shown, single), _like(gradients, isinstance(inputs, TensorCell))


def gradients_or_zeros(
    outputs: tuple[Any, ...], inputs: tuple[Any, ...], upstream: tuple[Any, ...] | None, create_graph: bool
) -> list[Any]:
    """Gradients, with zeros where the outputs do not depend on an input."""
    given = upstream or (None,) * len(outputs)
    used = [(y, g) for y, g in zip(outputs, given, strict=True) if y.requires_grad]
    gradients: Sequence[Any] = [None] * len(inputs)
    if used:
        starts = None if upstream is None else tuple(g for _, g in used)
        gradients = grad(
            tuple(y for y, _ in used),
            inputs,
            starts,
            retain_graph=True,
            create_graph=create_graph,
            allow_unused=True,
        )
    return [x.detach() * 0 if g is None else g for x, g in zip(inputs, gradients, strict=True)]


def jvp(
    func: Callable[..., Any],
    inputs: Tensors,
    v: Tensors | None = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """(outputs, J·v): the Jacobian–vector product. v has the shape of the inputs; `strict` as in `vjp`.

    There is one kind of derivative here, the backward pass, and it is linear in what comes in: u ↦ uᵀ·J. So its
    own derivative by u, times v, is J·v (the "double backward trick").

    >>> import chainrule
    >>> x = chainrule.tensor([1.0, 2.0])
    >>> chainrule.autograd.functional.jvp(lambda x: x ** 2, x, chainrule.ones(2))[1]
    tensor([2., 4.])
    """
    fresh = fresh_leaves(inputs, create_graph)
    single, outputs = _outputs_of(func, fresh)
    if strict:
        _need_dependence(outputs, fresh, "jvp")
    if v is None and any(x.numel() != 1 for x in fresh):
        raise GradientError("jvp: give v, a tensor of the shape of each input, unless the inputs are single numbers.")
    directions = tuple(ones_like(x) for x in fresh) if v is None else as_tuple(v)
    for x, direction in zip(fresh, directions, strict=True):
        if x.shape != direction.shape:
            raise ShapeError(f"jvp: the input has shape {tuple(x.shape)}, v has {tuple(direction.shape)}.")
    probes = tuple(zeros_like(y.detach()).requires_grad_() for y in outputs)
    with enable_grad():
        pulled = gradients_or_zeros(outputs, fresh, probes, create_graph=True)
        products = gradients_or_zeros(tuple(pulled), probes, directions, create_graph)
    shown = outputs if create_graph else tuple(y.detach() for y in outputs)
    return _like(shown, single), _like(products, single)


def jacobian(
    func: Callable[..., Any],
    inputs: Tensors,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """J[i, j] = ∂outputᵢ/∂inputⱼ, of shape (output shape + input shape), one backward pass for each output entry.

    For several outputs or inputs a tuple (of tuples) of such blocks. `strict` as in `vjp`; `vectorize` and `strategy`
    are taken and change nothing.

    >>> import chainrule
    >>> W = chainrule.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> chainrule.autograd.functional.jacobian(lambda x: W @ x, chainrule.ones(2))
    tensor([[1., 2.],
            [3., 4.]])
    """
    fresh = fresh_leaves(inputs, create_graph)
    single, outputs = _outputs_of(func, fresh)
    if strict:
        _need_dependence(outputs, fresh, "jacobian")
    blocks = []
    for output in outputs:
        rows = []
        for unit in units(output):
            rows.append(gradients_or_zeros((output,), fresh, (unit,), create_graph))
        shape = tuple(output.shape)
        per_input = [
            stack([row[k] for row in rows]).reshape(*shape, *x.shape)
            if rows
            else x.detach().new_zeros(*shape, *x.shape)
            for k, x in enumerate(fresh)
        ]
        blocks.append(_like(per_input, isinstance(inputs, TensorCell)))
    return _like(blocks, single)


def units(output: Any) -> Any:
    """One tensor after the other with a single 1, as upstream gradients that pick one entry."""
    for i in range(output.numel()):
        unit = zeros(output.numel(), dtype=output.dtype, device=output.device)
        unit[i] = 1
        yield unit.reshape(tuple(output.shape))


def hessian(
    func: Callable[..., Any],
    inputs: Tensors,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """H[i, j] = ∂²f/∂xᵢ∂xⱼ of a scalar function, of shape (input shape + input shape): the Jacobian of the gradient.

    `strict` as in `vjp`, for both derivatives; the other settings are taken and change nothing.

    >>> import chainrule
    >>> chainrule.autograd.functional.hessian(lambda x: (x ** 3).sum(), chainrule.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """

    def gradient(*xs: Any) -> Any:
        value: Any = func(*xs)
        if value.numel() != 1:
            raise GradientError("hessian: the function must give a single number.")
        if strict:
            _need_dependence((value,), xs, "hessian")
        found = gradients_or_zeros((value.reshape(()),), xs, None, create_graph=True)
        return _like(found, isinstance(inputs, TensorCell))

    return jacobian(gradient, inputs, create_graph, strict)


def hvp(
    func: Callable[..., Any],
    inputs: Tensors,
    v: Tensors | None = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """(value, H·v) of a scalar function, without making H: the gradient of (gradient · v). `strict` as in `vjp`.

    >>> import chainrule
    >>> x, v = chainrule.tensor([1.0, 2.0]), chainrule.tensor([1.0, 0.0])
    >>> chainrule.autograd.functional.hvp(lambda x: (x ** 3).sum(), x, v)[1]
    tensor([6., 0.])
    """
    fresh = fresh_leaves(inputs, create_graph)
    _, outputs = _outputs_of(func, fresh)
    if strict:
        _need_dependence(outputs, fresh, "hvp")
    if v is None and any(x.numel() != 1 for x in fresh):
        raise GradientError("hvp: give v, a tensor of the shape of each input, unless the inputs are single numbers.")
    with enable_grad():
        first = gradients_or_zeros(outputs, fresh, None, create_graph=True)
        if strict:
            _need_dependence(tuple(first), fresh, "hvp")
        second = gradients_or_zeros(tuple(first), fresh, None if v is None else as_tuple(v), create_graph)
    return outputs[0] if create_graph else outputs[0].detach(), _like(second, isinstance(inputs, TensorCell))


def vhp(
    func: Callable[..., Any],
    inputs: Tensors,
    v: Tensors | None = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """(value, vᵀ·H): as `hvp`, since the Hessian is symmetric.

    >>> import chainrule
    >>> x, v = chainrule.tensor([1.0, 2.0]), chainrule.tensor([1.0, 0.0])
    >>> chainrule.autograd.functional.vhp(lambda x: (x ** 3).sum(), x, v)[1]
    tensor([6., 0.])
    """
    return hvp(func, inputs, v, create_graph, strict)
