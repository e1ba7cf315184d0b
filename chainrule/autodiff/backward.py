"""The backward pass from given tensors: where it starts, and what is collected in the leaves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.cell import TensorCell
from chainrule.errors import GradientError, ShapeError
from chainrule.primitives.constants import constant
from chainrule.primitives.placed import place_of
from chainrule.state import current_state
from chainrule.tape import Source, backpropagate

if TYPE_CHECKING:
    from chainrule.tensor import Tensor

Tensors = Any  # a Tensor, or a tuple or list of Tensors


def upstream_of(output: Any, gradient: Any, operation: str) -> tuple[Source, Tensor]:
    """Where a backward pass starts: the source of an output and the gradient that comes in there."""
    source = output.value.source
    if source is None:
        raise GradientError(
            f"{operation}: this tensor does not depend on anything that requires a gradient. Was it computed under "
            "no_grad, from detached or integer tensors, or are all parameters frozen?"
        )
    if gradient is None:
        if output.numel() != 1:
            raise GradientError(
                f"{operation}: only a single number has a gradient by itself, this tensor has shape "
                f"{tuple(output.shape)}. Reduce it first (loss.mean() or loss.sum()), or give the upstream gradient."
            )
        return source, constant(np.ones(output.shape, output.dtype.numpy)).moved_to(place_of(output.value.array))
    if not isinstance(gradient, TensorCell) or gradient.shape != output.shape:
        shape = tuple(gradient.shape) if isinstance(gradient, TensorCell) else type(gradient).__name__
        raise ShapeError(f"{operation}: the output has shape {tuple(output.shape)}, its upstream gradient {shape}.")
    return source, gradient  # type: ignore[return-value]


def as_tuple(things: Tensors) -> tuple[Any, ...]:
    """The tensors, as a tuple also if it is one."""
    return (things,) if isinstance(things, TensorCell) else tuple(things)


def backward(
    tensors: Tensors,
    grad_tensors: Tensors | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    grad_variables: Tensors | None = None,
    inputs: Tensors | None = None,
) -> None:
    """Add the gradient of Σ tensors · grad_tensors to the `grad` of every leaf (or of `inputs`): one backward pass.

    A single number needs no entry of `grad_tensors` (an older word: `grad_variables`), which is None there. Raises
    GradientError for tensors that require no gradient.

    >>> import chainrule
    >>> x = chainrule.ones(2, requires_grad=True)
    >>> chainrule.autograd.backward([x * 2, x.sum()], [chainrule.ones(2), None]); x.grad
    tensor([3., 3.])
    """
    outs = as_tuple(tensors)
    grad_tensors = grad_variables if grad_tensors is None else grad_tensors
    given = [None] * len(outs) if grad_tensors is None else list(as_tuple(grad_tensors))
    roots = [upstream_of(output, gradient, "backward") for output, gradient in zip(outs, given, strict=True)]
    keep = create_graph if retain_graph is None else retain_graph
    with _ending():
        _collect(roots, inputs, keep, create_graph)


@contextmanager
def _ending() -> Iterator[None]:
    """Afterwards what asked for it meanwhile is called; where one pass is within another, after the outer one."""
    state = current_state()
    if state.ending is not None:
        yield
        return
    state.ending = {}
    try:
        yield
        calls = list(state.ending.values())
    finally:
        state.ending = None
    for call in calls:
        call()


def _collect(roots: list[Any], inputs: Tensors | None, keep: bool, create_graph: bool) -> None:
    if inputs is None:
        backpropagate(roots, keep_graph=keep, differentiable=create_graph)
        return
    wanted = as_tuple(inputs)
    sources = [tensor.value.source for tensor in wanted]
    if any(source is None for source in sources):
        raise GradientError("backward: every tensor in `inputs` must require a gradient.")
    gradients = backpropagate(roots, sources, keep_graph=keep, differentiable=create_graph)
    for tensor, found in zip(wanted, gradients, strict=True):
        if found is not None and tensor._leaf is not None:
            tensor._leaf.collect(found, create_graph)
