"""Gradient clipping: between `loss.backward()` and `optimizer.step()`, gradients that are too large are made smaller.

It is what keeps recurrent networks from exploding. It does nothing against gradients that vanish. Nothing here asks a
tensor for its number, so all of it can be traced.
"""

from __future__ import annotations

import types
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np

from chainrule.autodiff.block import Block
from chainrule.autodiff.mode import no_grad
from chainrule.errors import GradientError
from chainrule.functions.checking import check_numbers
from chainrule.functions.creation import tensor
from chainrule.functions.pieces import stack
from chainrule.functions.promotion import in_float32
from chainrule.nn.older_names import older_name
from chainrule.tensor import Tensor

Tensors = Tensor | Iterable[Tensor]

#: Added to the norm, so that gradients that are all zero are divided by something.
EPSILON = 1e-6


@no_grad()
def get_total_norm(
    tensors: Tensors,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The p-norm of all entries of all tensors, as if they were one vector: a 0-d tensor, 0 for no tensors.

    `norm_type` is p; infinity gives the largest size. `foreach` is taken and ignored: it chooses between PyTorch's
    implementations. Raises GradientError for a norm that is infinite or NaN, if `error_if_nonfinite`.

    >>> import chainrule
    >>> get_total_norm([chainrule.tensor([3.0]), chainrule.tensor([[4.0]])])
    tensor(5.)
    """
    tensors, p = [t for t in _as_list(tensors) if t.numel()], float(norm_type)
    if not tensors:
        return tensor(0.0)
    total, norms = Block.computed(_norms, (p, *tensors))
    if error_if_nonfinite:
        shapes = tuple(tuple(t.shape) for t in tensors)
        check_numbers(_is_finite, total, norms, wrong=_is_not_finite, shapes=shapes)
    return total


def _norms(p: float, *tensors: Tensor) -> tuple[Tensor, Tensor]:
    """The norm of all, and those of each."""
    norms = stack([t.norm(p) for t in tensors])
    return _joint(norms, p), norms


def _is_finite(total: Any, norms: Any, shapes: tuple[tuple[int, ...], ...]) -> None:
    if not np.isfinite(total):
        bad = [f"number {i} of shape {shapes[i]}" for i, n in enumerate(norms) if not np.isfinite(n)]
        raise GradientError(
            f"the total norm is {total.item()}, so clipping would make every gradient zero or NaN. Not finite by "
            f"themselves: {', '.join(bad[:3]) or 'none'}. `with chainrule.autograd.detect_anomaly():` names "
            "the first operation that made it."
        )


def _is_not_finite(total: Tensor, norms: Tensor, **_: Any) -> Tensor:
    return ~total.isfinite()


def _joint(norms: Tensor, p: float) -> Tensor:
    """The p-norm of p-norms. Squares beyond float32's range are infinite, as in PyTorch: such gradients are no step."""
    if p == 2:
        wide = in_float32(norms)
        return (wide * wide).sum().sqrt().to(norms.dtype)
    return norms.norm(p) if p else norms.sum()  # the 0-norm counts entries, so it adds up


@no_grad()
def clip_grads_with_norm_(
    parameters: Tensors, max_norm: float, total_norm: Tensor, foreach: bool | None = None
) -> None:
    """Multiply all gradients by min(1, max_norm/(total_norm + 10⁻⁶)), in place.

    For a norm that is known already, or is over more than these parameters; else see `clip_grad_norm_`.

    >>> import chainrule
    >>> w = chainrule.tensor([1.0], requires_grad=True)
    >>> (8 * w).backward()
    >>> clip_grads_with_norm_([w], max_norm=1.0, total_norm=chainrule.tensor(16.0)); w.grad
    tensor([0.5000])
    """
    factor = (float(max_norm) / (total_norm + EPSILON)).clamp(max=1.0)
    gradients = _gradients(_as_list(parameters))
    for gradient, scaled in zip(gradients, Block.computed(_products, (factor, *gradients)), strict=True):
        gradient.assign(scaled)


def _products(factor: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
    return tuple([t * factor for t in tensors])


def clip_grad_norm_(
    parameters: Tensors,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Make the norm of all gradients together at most `max_norm`, in place; the answer is what it was before.

    All are multiplied by one number, so their direction stays. Arguments as `get_total_norm`, of the gradients of
    `parameters`; those that have none count for nothing. Raises GradientError as it does.

    Source: Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural networks", 2013.

    >>> import chainrule
    >>> w = chainrule.tensor([1.0, 1.0], requires_grad=True)
    >>> (w * chainrule.tensor([30.0, 40.0])).sum().backward()
    >>> clip_grad_norm_([w], max_norm=1.0), w.grad
    (tensor(50.), tensor([0.6000, 0.8000]))
    """
    used_up = isinstance(parameters, types.GeneratorType)
    parameters = _as_list(parameters)
    if used_up and not parameters:
        warnings.warn(
            "no gradient was clipped: the generator of parameters was empty. Has it been run through before? Call "
            "model.parameters() anew each time.",
            stacklevel=2,
        )
    total = get_total_norm(_gradients(parameters), norm_type, error_if_nonfinite)
    clip_grads_with_norm_(parameters, max_norm, total)
    return total


@no_grad()
def clip_grad_value_(parameters: Tensors, clip_value: float, foreach: bool | None = None) -> None:
    """Bring every entry of every gradient into [−clip_value, clip_value], in place. This may turn the direction.

    `foreach` is taken and ignored.

    >>> import chainrule
    >>> w = chainrule.tensor([1.0, 1.0], requires_grad=True)
    >>> (w * chainrule.tensor([-30.0, 0.5])).sum().backward()
    >>> clip_grad_value_([w], 1.0); w.grad
    tensor([-1.0000,  0.5000])
    """
    bound = float(clip_value)
    for gradient in _gradients(_as_list(parameters)):
        gradient.clamp_(-bound, bound)


def _as_list(tensors: Tensors) -> list[Tensor]:
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)


def _gradients(parameters: list[Tensor]) -> list[Tensor]:
    return [p.grad for p in parameters if p.grad is not None]


clip_grad_norm = older_name(clip_grad_norm_)
