"""Gradients that are returned and not collected: `autograd.grad`."""

from __future__ import annotations

from typing import Any

from chainrule.autodiff.backward import Tensors, as_tuple, upstream_of
from chainrule.errors import GradientError
from chainrule.functions.pieces import stack
from chainrule.tape import backpropagate


def grad(
    outputs: Tensors,
    inputs: Tensors,
    grad_outputs: Tensors | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Any, ...]:
    """∂(Σ outputs · grad_outputs)/∂inputs, returned and not collected.

    Args:
        outputs: tensors; single numbers need no `grad_outputs`.
        inputs: the tensors to differentiate by, leaves or computed ones.
        grad_outputs: the upstream gradient of each output.
        retain_graph: keep the graph for another pass (default: as `create_graph`).
        create_graph: make the results differentiable again.
        only_inputs: taken as PyTorch has it; gradients are never collected here.
        allow_unused: give None for an input that the outputs do not depend on, instead of an error.
        is_grads_batched: `grad_outputs` have a first dimension more; one gradient for each entry of it is computed.
        materialize_grads: give zeros for an input that the outputs do not depend on, instead of an error.

    Raises:
        GradientError: for an input that requires no gradient or is unused.

    >>> import chainrule
    >>> x = chainrule.tensor(3.0, requires_grad=True)
    >>> chainrule.autograd.grad(x ** 2, x)
    (tensor(6.),)
    """
    outs, ins = as_tuple(outputs), as_tuple(inputs)
    given = [None] * len(outs) if grad_outputs is None else list(as_tuple(grad_outputs))
    sources = [tensor.value.source for tensor in ins]
    for i, source in enumerate(sources):
        if source is None:
            raise GradientError(f"grad: input {i} does not require a gradient; call requires_grad_() before computing.")
    if is_grads_batched:
        return _batched(outs, ins, given, create_graph, allow_unused, materialize_grads)
    roots = [upstream_of(output, gradient, "grad") for output, gradient in zip(outs, given, strict=True)]
    keep = create_graph if retain_graph is None else retain_graph
    gradients = backpropagate(roots, sources, keep_graph=keep, differentiable=create_graph)
    if materialize_grads:
        filled = [x.detach() * 0 if g is None else g for x, g in zip(ins, gradients, strict=True)]
        return tuple(filled)
    for i, gradient in enumerate(gradients):
        if gradient is None and not allow_unused:
            raise GradientError(f"grad: the outputs do not depend on input {i}; pass allow_unused=True to get None.")
    return tuple(gradients)


def _batched(
    outs: tuple[Any, ...], ins: tuple[Any, ...], given: list[Any], create_graph: bool, unused: bool | None, fill: bool
) -> tuple[Any, ...]:
    """The gradients for each entry along the first dimension of what comes in, stacked."""
    rows = [
        grad(outs, ins, row, True, create_graph, allow_unused=unused, materialize_grads=fill)
        for row in zip(*given, strict=True)
    ]
    return tuple(None if column[0] is None else stack(list(column)) for column in zip(*rows, strict=True))
