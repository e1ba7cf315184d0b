"""Normalisation: activations shifted and scaled to mean 0 and variance 1, over one set of axes or another.

    x̂ = (x − μ) / √(σ² + ε)        y = γ·x̂ + β

μ and σ² (the mean square of x − μ, not the unbiased estimate) are taken over

    batch norm       all samples and places of a channel: one μ for each channel
    layer norm       the last dimensions of one sample
    instance norm    all places of one channel of one sample
    group norm       all places of a group of channels of one sample

All of them are `standardise`, which has the one hand-derived gradient. RMS norm leaves out μ. Halves are computed in
float32. Variances are of x − μ, so a large mean does no harm.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.autodiff.block import block
from chainrule.autodiff.mode import no_grad
from chainrule.dtypes import FloatLimits
from chainrule.errors import DTypeError, ShapeError
from chainrule.functions import reduction
from chainrule.functions.autocasting import in_type_of_first
from chainrule.functions.promotion import cast, need_tensor
from chainrule.functions.shape import pad
from chainrule.primitives.value import Symbol
from chainrule.state import current_state
from chainrule.tensor import Tensor

Axes = tuple[int, ...]


@block
def standardise(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, axes: Axes, eps: float, wide: bool = False
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """γ·(x − μ)/√(σ² + ε) + β with μ and σ² over `axes`; beside it x − μ, μ and σ².

    weight γ and bias β broadcast against x, or are None; they may lack its first dimensions. With `wide` σ² is float64,
    for squares of numbers from 10¹⁹ on. What is kept for the gradient is x − μ and σ².

    >>> import chainrule
    >>> y, centred, mean, variance = standardise(chainrule.tensor([[1.0, 3.0]]), None, None, (1,), 0.0)
    >>> y, mean, variance
    (tensor([[-1.,  1.]]), tensor([[2.]]), tensor([[1.]]))
    """
    centred, mean, variance = reduction.centred_with_variance(x, axes, wide)
    scale = cast((variance + eps).rsqrt(), x.value.array.dtype)
    if weight is not None and not _varies(_beside(weight, x), axes):
        y = centred * (scale * weight)  # one pass instead of two
    else:
        y = centred * scale if weight is None else centred * scale * weight
    return y if bias is None else y + bias, centred, mean, variance


@standardise.gradient
def _(
    g: tuple[Tensor | None, ...],
    weight: Tensor | None,
    bias: Tensor | None,
    axes: Axes,
    eps: float,
    output: tuple[Tensor, ...],
) -> tuple[Tensor | None, ...]:
    """x̄ = r·(ḡ − mean ḡ − x̂·mean(ḡ·x̂)) with ḡ = γ·g and r = 1/√(σ² + ε); γ̄ = Σ g·x̂, β̄ = Σ g."""
    g_y, g_centred, g_mean, g_variance = g
    _, centred, _, variance = output
    given = [x.shape for x in (weight, bias) if x is not None]
    weight, bias = (None if x is None else _beside(x, centred) for x in (weight, bias))
    scale = cast((variance + eps).rsqrt(), centred.value.array.dtype)
    count = math.prod(centred.shape[axis] for axis in axes)
    to_x = to_weight = to_bias = None
    if g_y is not None:
        if weight is not None and not _varies(weight, axes):
            # γ is constant over the axes, so the sums for γ̄ and β̄ are those that x̄ needs: batch norm.
            total, along = g_y.sum(axes, keepdim=True), (g_y * centred).sum(axes, keepdim=True)
            factor = scale * weight
            to_x = g_y * factor - centred * (factor * scale * scale * along / count) - factor * total / count
            to_weight = _sum_to(along * scale, weight)
            to_bias = None if bias is None else _sum_to(total, bias)
        else:
            # The sum comes first: what a product gives is then in memory, and the walks over its rows are one loop.
            to_bias = None if bias is None else _sum_to(g_y, bias)
            normed = centred * scale
            bent = g_y if weight is None else g_y * weight
            along = reduction.mean_over(bent * normed, axes)
            to_x = (bent - reduction.mean_over(bent, axes) - normed * along) * scale
            to_weight = None if weight is None else _sum_to(g_y * normed, weight)
    # The other results matter when this rule is itself differentiated, or when somebody uses μ and σ².
    if g_centred is not None:
        to_x = _added(to_x, g_centred - g_centred.mean(axes, keepdim=True))
    if g_mean is not None:
        to_x = _added(to_x, (g_mean / count).expand(centred.shape))
    if g_variance is not None:
        to_x = _added(to_x, centred * (g_variance * 2 / count).to(centred.dtype))
    parts = [*[to_weight] * (weight is not None), *[to_bias] * (bias is not None)]
    return tuple([to_x, *[_shaped(part, shape) for part, shape in zip(parts, given, strict=True)]])


def _beside(parameter: Tensor, x: Tensor) -> Tensor:
    """A parameter of the last dimensions with the dimensions of x."""
    if parameter.ndim == x.ndim:
        return parameter
    return parameter.reshape((1,) * (x.ndim - parameter.ndim) + tuple(parameter.shape))


def _shaped(gradient: Tensor | None, shape: Sequence[int]) -> Tensor | None:
    """A gradient in the shape of the parameter."""
    return gradient if gradient is None or gradient.shape == shape else gradient.reshape(shape)


def _varies(weight: Tensor, axes: Axes) -> bool:
    """Whether γ has different entries along the axes of the mean."""
    return any(weight.shape[axis] != 1 for axis in axes)


def _added(total: Tensor | None, more: Tensor) -> Tensor:
    return more if total is None else total + more


def _sum_to(x: Tensor, like: Tensor) -> Tensor:
    """Summed over every axis along which `like` was broadcast."""
    axes = tuple(i for i, (own, other) in enumerate(zip(x.shape, like.shape, strict=True)) if own != other)
    return x.sum(axes, keepdim=True) if axes else x


def _exact(x: Tensor) -> Tensor:
    """Halves as float32: their squares overflow, and long sums of them are coarse."""
    return x.float() if x.dtype.itemsize == 2 else x


def _along(parameter: Tensor | None, x: Tensor, shape: Sequence[int] | None) -> Tensor | None:
    """A parameter in the type of x, in a shape that broadcasts against it; its own if that is None."""
    if parameter is None:
        return None
    parameter = cast(parameter, x.value.array.dtype)
    return parameter if shape is None else parameter.reshape(shape)


def _check_channels(input: Tensor, channels: int, **parameters: Tensor | None) -> None:
    for name, parameter in parameters.items():
        if parameter is not None and tuple(parameter.shape) != (channels,):
            raise ShapeError(
                f"got {tuple(input.shape)}, whose dimension 1 has {channels} channels; {name} has "
                f"{tuple(parameter.shape)} instead of ({channels},)."
            )


def _normalise(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    axes: Axes,
    shape: Sequence[int] | None,
    eps: float,
    wide: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """The normalised input, μ and σ²; `shape` is that of γ and β beside the input, None where it is their own."""
    x = _exact(input)
    y, _, mean, variance = standardise(x, _along(weight, x, shape), _along(bias, x, shape), axes, eps, wide)
    return cast(y, input.value.array.dtype), mean, variance


def _need_floating(input: Any, operation: str, least: int) -> Tensor:
    x = need_tensor(input, operation)
    if not x.dtype.is_floating_point:
        raise DTypeError(f"{operation} takes floating-point numbers, got {x.dtype}; convert them with .float().")
    if x.ndim < least:
        raise ShapeError(f"{operation} takes (N, C, …), got {tuple(x.shape)}.")
    return x


# ------------------------------------------------------------------------------------------------ over the batch


@in_type_of_first
def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Each channel of (N, C, …) normalised over all samples and places; in evaluation by the running statistics.

    In training the running statistics move: r ← (1 − m)·r + m·(that of the batch), the variance there by the unbiased
    estimate n/(n − 1)·σ², while the batch itself is normalised by σ². (What other texts call momentum 0.9 is 0.1 here.)
    Raises ValueError in training for a single value per channel, which would become 0 whatever it is; ShapeError for
    parameters of another size.

    Source: Ioffe and Szegedy, "Batch normalization", 2015; E 4.5.

    >>> import chainrule
    >>> batch_norm(chainrule.tensor([[1.0], [3.0]]), None, None, training=True, eps=0.0)
    tensor([[-1.],
            [ 1.]])
    """
    x = _need_floating(input, "batch_norm", 1)
    if x.ndim == 1:
        if x.numel():
            raise ShapeError(f"batch_norm takes (N, C, …), got {tuple(x.shape)}.")
        return _of_nothing(x, weight, bias, (-1,))
    channels, shape = x.shape[1], (1, -1, *[1] * (x.ndim - 2))
    _check_channels(x, channels, weight=weight, bias=bias, running_mean=running_mean, running_var=running_var)
    if not training:
        if running_mean is None or running_var is None:
            raise ValueError("batch_norm in evaluation needs running_mean and running_var; or set training=True.")
        exact = _exact(x)
        scale = (running_var.to(exact.dtype) + eps).rsqrt()
        scale = scale if weight is None else scale * weight.to(exact.dtype)
        shift = -running_mean.to(exact.dtype) * scale
        shift = shift if bias is None else shift + bias.to(exact.dtype)
        return (exact * scale.reshape(shape) + shift.reshape(shape)).to(x.dtype)
    if not x.numel():
        return _of_nothing(x, weight, bias, shape)
    count = x.numel() // channels
    if count == 1:
        raise ValueError(
            f"batch_norm in training needs more than one value for each channel, got {tuple(x.shape)}: a single one "
            "minus its own mean is 0. Use a larger batch (drop_last=True), or eval()."
        )
    y, mean, variance = _normalise(x, weight, bias, (0, *range(2, x.ndim)), shape, eps)
    follow(running_mean, mean.reshape(-1), momentum)
    follow(running_var, variance.reshape(-1) * (count / (count - 1)), momentum)
    return y


@no_grad()
def follow(running: Tensor | None, new: Tensor, momentum: Any) -> None:
    """The running statistic, where there is one, moves towards the new one, in place.

    >>> import chainrule
    >>> follow(running := chainrule.zeros(1), chainrule.ones(1), 0.25); running
    tensor([0.2500])
    """
    if running is not None:
        running.copy_(running * (1 - momentum) + new.to(running.dtype) * momentum)


@in_type_of_first
def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Each channel of each sample of (N, C, …) normalised over its places.

    With running statistics these follow the mean over the batch; with `use_input_stats=False` they are used instead
    of the sample's own. Raises ValueError for a single place, ShapeError for parameters of another size.

    Source: Ulyanov, Vedaldi and Lempitsky, "Instance normalization", 2016; I IV.2.e.

    >>> import chainrule
    >>> instance_norm(chainrule.tensor([[[1.0, 3.0], [10.0, 30.0]]]), eps=0.0)
    tensor([[[-1.,  1.],
             [-1.,  1.]]])
    """
    x = _need_floating(input, "instance_norm", 3)
    channels, shape = x.shape[1], (1, -1, *[1] * (x.ndim - 2))
    if not use_input_stats:
        return batch_norm(x, running_mean, running_var, weight, bias, False, momentum, eps)
    _check_channels(x, channels, weight=weight, bias=bias, running_mean=running_mean, running_var=running_var)
    count = math.prod(x.shape[2:])
    if count == 1:
        raise ValueError(
            f"instance_norm needs more than one place, got {tuple(x.shape)}: a single value minus itself is 0."
        )
    y, mean, variance = _normalise(x, weight, bias, tuple(range(2, x.ndim)), shape, eps)
    if x.numel():
        follow(running_mean, mean.mean(0).reshape(-1), momentum)
        follow(running_var, variance.mean(0).reshape(-1) * (count / (count - 1)), momentum)
    return y


# ------------------------------------------------------------------------------------------------ within a sample


def _last_axes(x: Tensor, normalized_shape: Any, operation: str, **parameters: Tensor | None) -> Axes:
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if not shape or tuple(x.shape[x.ndim - len(shape) :]) != shape or len(shape) > x.ndim:
        ending = ", ".join(map(str, shape)) or "at least one dimension"
        raise ShapeError(f"{operation}: got {tuple(x.shape)}, expects (…, {ending}).")
    for name, parameter in parameters.items():
        if parameter is not None and tuple(parameter.shape) != shape:
            raise ShapeError(f"{operation}: {name} has shape {tuple(parameter.shape)} instead of {shape}.")
    return tuple(range(x.ndim - len(shape), x.ndim))


@in_type_of_first
def layer_norm(
    input: Tensor,
    normalized_shape: Any,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """The last dimensions, which have the shape `normalized_shape`, normalised within each sample.

    weight, bias: of that shape, one γ and β for each entry. Training and evaluation are the same. Raises ShapeError
    where the shapes do not fit. Source: Ba, Kiros and Hinton, "Layer normalization", 2016.

    >>> import chainrule
    >>> layer_norm(chainrule.tensor([[1.0, 3.0], [0.0, 20.0]]), (2,))
    tensor([[-1.0000,  1.0000],
            [-1.0000,  1.0000]])
    """
    x = _need_floating(input, "layer_norm", 0)
    axes = _last_axes(x, normalized_shape, "layer_norm", weight=weight, bias=bias)
    if not x.numel():
        return _of_nothing(x, weight, bias, (*[1] * axes[0], *x.shape[axes[0] :]))
    if current_state().trace is None and not isinstance(x.value.array, Symbol):
        # Where the numbers are known, float64 is only taken where it is needed. A trace notes even known tensors.
        y, _, variance = _normalise(x, weight, bias, axes, None, eps)
        if np.isfinite(variance.read()).all():
            return y
    return _normalise(x, weight, bias, axes, None, eps, wide=True)[0]


def _of_nothing(x: Tensor, weight: Tensor | None, bias: Tensor | None, shape: Sequence[int]) -> Tensor:
    """No samples normalised: nothing, on which γ and β depend all the same, so that their gradients are zeros."""
    y = x * 1
    for parameter in (weight, bias):
        if parameter is not None:
            y = y * parameter.to(x.dtype).reshape(shape)
    return y


@in_type_of_first
def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Groups of channels of (N, C, …) normalised within each sample; γ and β for each channel.

    One group is the layer norm of the whole sample (but for γ and β), as many as channels the instance norm.
    Raises ShapeError if the groups do not divide the channels; ValueError for a single value in each group.

    Source: Wu and He, "Group normalization", 2018.

    >>> import chainrule
    >>> group_norm(chainrule.tensor([[1.0, 3.0, 10.0, 30.0]]), 2)
    tensor([[-1.0000,  1.0000, -1.0000,  1.0000]])
    """
    x = _need_floating(input, "group_norm", 2)
    channels = x.shape[1]
    if num_groups < 1 or channels % num_groups:
        raise ShapeError(f"group_norm: {channels} channels of {tuple(x.shape)} do not make {num_groups} groups.")
    _check_channels(x, channels, weight=weight, bias=bias)
    if not x.numel():
        return _of_nothing(x, weight, bias, (1, -1, *[1] * (x.ndim - 2)))
    each = channels // num_groups
    if x.shape[0] * each * math.prod(x.shape[2:]) == 1:
        raise ValueError(f"group_norm needs more than one value in each group, got {tuple(x.shape)}.")
    grouped = x.reshape(x.shape[0], num_groups, each, math.prod(x.shape[2:]))
    return _normalise(grouped, weight, bias, (2, 3), (1, num_groups, each, 1), eps)[0].reshape(x.shape)


@in_type_of_first
def rms_norm(input: Tensor, normalized_shape: Any, weight: Tensor | None = None, eps: float | None = None) -> Tensor:
    """x / √(mean(x²) + ε), times γ, over the last dimensions: layer norm without the mean.

    ε is the data type's smallest step at 1 unless given. Raises ShapeError where the shapes do not fit.
    Source: Zhang and Sennrich, "Root mean square layer normalization", 2019.

    >>> import chainrule
    >>> rms_norm(chainrule.tensor([[3.0, 3.0]]), (2,))
    tensor([[1.0000, 1.0000]])
    """
    x = _need_floating(input, "rms_norm", 0)
    axes = _last_axes(x, normalized_shape, "rms_norm", weight=weight)
    exact = _exact(x)
    y = _divide_by_rms(exact, _along(weight, exact, None), axes, FloatLimits(x.dtype).eps if eps is None else eps)[0]
    return cast(y, x.value.array.dtype)


@block
def _divide_by_rms(x: Tensor, weight: Tensor | None, axes: Axes, eps: float) -> tuple[Tensor, Tensor]:
    scale = ((x * x).mean(axes, keepdim=True) + eps).rsqrt()
    return x * scale if weight is None else x * scale * weight, scale


@_divide_by_rms.gradient
def _(
    g: tuple[Tensor | None, ...], x: Tensor, weight: Tensor | None, axes: Axes, output: tuple[Tensor, Tensor]
) -> tuple[Tensor | None, ...]:
    # x̄ = r·(ḡ − x̂·mean(ḡ·x̂)) with ḡ = γ·g and r = 1/√(mean x² + ε).
    g_y, g_scale = g
    scale = output[1]
    normed = x * scale
    to_x, to_weight = None, None
    if g_y is not None:
        bent = g_y if weight is None else g_y * weight
        to_x = (bent - normed * (bent * normed).mean(axes, keepdim=True)) * scale
        if weight is not None:
            to_weight = _shaped(_sum_to(g_y * normed, _beside(weight, x)), weight.shape)
    if g_scale is not None:
        count = math.prod(x.shape[axis] for axis in axes)
        to_x = _added(to_x, x * (g_scale * scale**3 / -count))
    return (to_x,) if weight is None else (to_x, to_weight)


def local_response_norm(input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Tensor:
    """x / (k + α·mean of x² over `size` neighbouring channels)^β, at each place of (N, C, …).

    Source: Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural networks"
    (AlexNet), 2012; there α stands for α/size. Raises ValueError for a size below 1.

    >>> import chainrule
    >>> local_response_norm(chainrule.ones(1, 2, 1), 1, alpha=1.0, beta=1.0)
    tensor([[[0.5000],
             [0.5000]]])
    """
    x = _need_floating(input, "local_response_norm", 3)
    if size < 1:
        raise ValueError(f"local_response_norm: size is a number of channels ≥ 1, got {size}.")
    exact = _exact(x)
    squares = pad(exact * exact, [0, 0] * (x.ndim - 2) + [size // 2, (size - 1) // 2])
    channels = x.shape[1]
    total = squares.narrow(1, 0, channels)
    for i in range(1, size):
        total = total + squares.narrow(1, i, channels)
    return (exact * (k + alpha / size * total) ** -beta).to(x.dtype)
