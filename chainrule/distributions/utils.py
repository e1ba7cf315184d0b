"""Helpers with PyTorch's names: parameters brought together, logits and probabilities, triangles as vectors."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.autodiff.mode import enable_grad
from chainrule.dtypes import FloatLimits, get_default_dtype
from chainrule.errors import DTypeError
from chainrule.functions.activation import sigmoid, softmax
from chainrule.functions.creation import tensor, zeros
from chainrule.functions.promotion import is_tensor
from chainrule.functions.shape import broadcast_tensors
from chainrule.tensor import Tensor

__all__ = [
    "broadcast_all",
    "clamp_probs",
    "euler_constant",
    "lazy_property",
    "logits_to_probs",
    "probs_to_logits",
    "tril_matrix_to_vec",
    "vec_to_tril_matrix",
]

euler_constant = float(np.euler_gamma)


def broadcast_all(*values: Any) -> tuple[Tensor, ...]:
    """Tensors and numbers, expanded to their common shape.

    Numbers take the type of the first floating tensor, and the device of the first tensor.

    Raises DTypeError for anything else.

    >>> import chainrule
    >>> [tuple(x.shape) for x in broadcast_all(chainrule.zeros(3), 1.0)]
    [(3,), (3,)]
    """
    for value in values:
        if not (is_tensor(value) or isinstance(value, int | float | np.number)):
            raise DTypeError(f"parameters are tensors or numbers, got {type(value).__name__}.")
    floating = [value.dtype for value in values if is_tensor(value) and value.dtype.is_floating_point]
    dtype = floating[0] if floating else get_default_dtype()
    device = next((value.device for value in values if is_tensor(value)), None)
    tensors = [value if is_tensor(value) else tensor(value, dtype=dtype, device=device) for value in values]
    return tuple(broadcast_tensors(*tensors))


def sum_rightmost(value: Tensor, dim: int) -> Tensor:
    """The sum over the last `dim` dimensions."""
    return value if dim == 0 else value.reshape(*value.shape[:-dim], -1).sum(-1)


def logits_to_probs(logits: Tensor, is_binary: bool = False) -> Tensor:
    """Probabilities: the logistic function of the logits, or their softmax along the last dimension."""
    return sigmoid(logits) if is_binary else softmax(logits, -1)


def clamp_probs(probs: Tensor) -> Tensor:
    """Probabilities moved into [ε, 1 − ε], so that their logarithms are finite; ε is the type's spacing at 1."""
    eps = FloatLimits(probs.dtype).eps
    return probs.clamp(eps, 1 - eps)


def probs_to_logits(probs: Tensor, is_binary: bool = False) -> Tensor:
    """Logits: ln(p/(1 − p)), or ln p along the last dimension; 0 and 1 are moved a little inside."""
    inside = clamp_probs(probs)
    return inside.log() - (-inside).log1p() if is_binary else inside.log()


class lazy_property:  # noqa: N801 (PyTorch's name)
    """A property that is computed when it is first asked for, with its gradient, and then kept."""

    def __init__(self, wrapped: Callable[[Any], Any]) -> None:
        self.wrapped = wrapped
        self.__doc__ = wrapped.__doc__

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return property(self.wrapped)
        with enable_grad():
            value = self.wrapped(instance)
        setattr(instance, self.wrapped.__name__, value)
        return value


def tril_matrix_to_vec(mat: Tensor, diag: int = 0) -> Tensor:
    """The entries of matrices (…, D, D) on and below a diagonal, row by row, as vectors.

    >>> import chainrule
    >>> tril_matrix_to_vec(chainrule.tensor([[1.0, 0.0], [2.0, 3.0]]))
    tensor([1., 2., 3.])
    """
    n = mat.shape[-1]
    if not -n <= diag < n:
        raise ValueError(f"tril_matrix_to_vec: diag is from {-n} to {n - 1} for {n} columns, got {diag}.")
    rows, columns = np.tril_indices(n, diag)
    return mat[..., tensor(rows), tensor(columns)]


def vec_to_tril_matrix(vec: Tensor, diag: int = 0) -> Tensor:
    """The matrices of which `tril_matrix_to_vec` makes these vectors, zero above the diagonal.

    >>> import chainrule
    >>> vec_to_tril_matrix(chainrule.tensor([1.0, 2.0, 3.0]))
    tensor([[1., 0.],
            [2., 3.]])
    """
    length = vec.shape[-1]
    n = next(n for n in itertools.count(max(0, -diag)) if len(np.tril_indices(n, diag)[0]) >= length)
    rows, columns = np.tril_indices(n, diag)
    if len(rows) != length:
        raise ValueError(f"vec_to_tril_matrix: {length} entries do not fill a triangle.")
    result = zeros(*vec.shape[:-1], n, n, dtype=vec.dtype, device=vec.device)
    result[..., tensor(rows), tensor(columns)] = vec
    return result
