"""The Lipschitz constant of a network in the Euclidean norm: bounds from above and from below.

From above: the constant of a composition is at most the product of the constants. That of an affine layer is its
largest singular value, for which its matrix is written out; where that is too large, a convolution's is bounded by the
Fourier transform of its kernels (`convolution_norm.py`). So the bound is sound. From below: the largest singular value
of the Jacobian at any point.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from chainrule import nn
from chainrule.autodiff.mode import no_grad
from chainrule.autograd.functional import jacobian
from chainrule.errors import ShapeError
from chainrule.functions.creation import zeros
from chainrule.linalg import svdvals
from chainrule.nn.device_of import device_of
from chainrule.robust.convolution_norm import convolution_bound, is_circular
from chainrule.tensor import Tensor

#: A matrix of more entries is not written out.
LARGEST_MATRIX = 2**24

_AFFINE = (
    nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d,
    nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d,
    nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm, nn.Upsample, nn.ZeroPad2d,
)  # fmt: skip
_AT_MOST_ONE = (
    nn.ReLU,
    nn.Tanh,
    nn.Hardtanh,
    nn.Softplus,
    nn.Softmax,
    nn.Flatten,
    nn.Unflatten,
    nn.Identity,
    nn.Dropout,
)


def upper_bound(model: nn.Module, input_shape: Sequence[int]) -> float:
    """A number that ‖f(x) − f(y)‖/‖x − y‖ never exceeds: the product over the layers of a `Sequential` in evaluation.

    input_shape: of one input, without the batch. Raises NotImplementedError for layers whose constant is not known
    here, ShapeError for affine layers other than Conv2d whose matrix would have more than 2²⁴ entries, ValueError for a
    model in training mode.

    >>> from chainrule import nn
    >>> upper_bound(nn.Sequential(nn.Flatten(), nn.ReLU(), nn.Sigmoid()).eval(), (2, 2))
    0.25
    """
    if model.training:
        raise ValueError("upper_bound: the model is in training mode, where its layers mix samples; call eval() first.")
    bound, x = 1.0, zeros(1, *input_shape, device=device_of(model))
    for name, layer in _layers(model, ""):
        bound *= _constant(layer, x, name)
        with no_grad():
            x = layer(x)
    return bound


def _layers(model: nn.Module, path: str) -> list[tuple[str, nn.Module]]:
    if not isinstance(model, nn.Sequential):
        return [(path, model)]
    return [found for name, child in model._occupied() for found in _layers(child, f"{path}.{name}".lstrip("."))]


def _constant(layer: nn.Module, x: Tensor, path: str) -> float:
    if isinstance(layer, nn.Conv2d) and (is_circular(layer) or _entries(layer, x) > LARGEST_MATRIX):
        bound = convolution_bound(layer, tuple(x.shape[1:]))
        if bound is not None:
            return bound
    if isinstance(layer, _AFFINE):
        return _largest_stretch(layer, x, path)
    if isinstance(layer, nn.Sigmoid):
        return 0.25
    if isinstance(layer, nn.LeakyReLU):
        return max(1.0, abs(layer.negative_slope))
    if isinstance(layer, nn.MaxPool2d) and _pairs(layer.stride) == _pairs(layer.kernel_size):
        return 1.0  # windows that do not overlap
    if isinstance(layer, _AT_MOST_ONE):
        return 1.0
    raise NotImplementedError(
        f"upper_bound: the Lipschitz constant of {path or 'the model'}, a {type(layer).__name__}, is not known here; "
        "lower_bound takes any function."
    )


def _pairs(size: Any) -> tuple[int, ...]:
    return (size, size) if isinstance(size, int) else tuple(size)


def _largest_stretch(function: Callable[[Tensor], Tensor], x: Tensor, path: str) -> float:
    """The largest singular value of the Jacobian at x, (1, …)."""
    entries = _entries(function, x)
    if entries > LARGEST_MATRIX:
        raise ShapeError(
            f"the matrix of {path or 'the model'} at an input of {tuple(x.shape[1:])} has {entries} entries, more than "
            f"{LARGEST_MATRIX}; take a smaller input."
        )
    matrix: Any = jacobian(function, x.detach())
    return float(svdvals(matrix.reshape(-1, x.numel())).max().item())


def _entries(function: Callable[[Tensor], Tensor], x: Tensor) -> int:
    """Of the Jacobian."""
    with no_grad():
        return function(x).numel() * x.numel()


def lower_bound(model: Callable[[Tensor], Tensor], x: Tensor) -> float:
    """The largest stretch ‖f(x + δ) − f(x)‖/‖δ‖ for short δ at any of the inputs x, (N, …).

    No Lipschitz constant is smaller than that. For a linear model it is the constant.

    >>> import chainrule
    >>> lower_bound(lambda x: 3 * x, chainrule.ones(1, 2))
    3.0
    """
    if len(x) == 0:
        raise ShapeError("lower_bound: at least one input is needed.")
    return max(_largest_stretch(model, x[i : i + 1], "") for i in range(len(x)))
