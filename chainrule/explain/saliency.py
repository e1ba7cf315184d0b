"""Which entries of the input a result hangs on: gradients, gradients along a path, what covering a part takes away.

f is one number for each sample, such as a class's score. To first order f(x + δ) ≈ f(x) + δ·∇f(x), so the gradient says
what a small change of each entry would do, and x⊙∇f(x) what the entry itself has done, if f were linear. Along the
straight path from a baseline x₀ no "if" is left: integrated gradients sum up to f(x) − f(x₀) exactly.
Sources: Simonyan, Vedaldi and Zisserman, "Deep inside convolutional networks", 2013; Sundararajan, Taly and Yan,
"Axiomatic attribution for deep networks", 2017; Zeiler and Fergus, "Visualizing and understanding convolutional
networks", 2014; Selvaraju et al., "Grad-CAM", 2017.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from chainrule.autodiff.mode import enable_grad, no_grad
from chainrule.autograd.gradient import grad
from chainrule.errors import ShapeError
from chainrule.functions.creation import zeros
from chainrule.nn import functional as F
from chainrule.nn.evaluation import evaluation_mode
from chainrule.nn.module import Module
from chainrule.tensor import Tensor

#: A class for all samples, one for each, or a function from the model's output to a number for each sample.
Target = int | Tensor | Callable[[Any], Tensor] | None
#: Samples that go through the model together where many are needed.
TOGETHER = 64


def score(output: Any, target: Target, what: str = "saliency") -> Tensor:
    """One number for each sample, (N,): a class's score.

    target: a class; a class for each sample (N,); a function of the output; or None for each sample's best class, or
    the output itself where it is one number.

    >>> import chainrule
    >>> score(chainrule.tensor([[1.0, 3.0], [5.0, 4.0]]), None)
    tensor([3., 5.])
    """
    if callable(target) and not isinstance(target, Tensor):
        found = target(output)
    else:
        if not isinstance(output, Tensor) or output.ndim not in (1, 2):
            raise ShapeError(
                f"{what}: without a function as target the model gives scores (N, classes), got "
                f"{tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__}."
            )
        rows = output.unsqueeze(1) if output.ndim == 1 else output
        if target is None:
            found = rows.gather(1, rows.detach().argmax(1, keepdim=True)).squeeze(1)
        elif isinstance(target, Tensor):
            found = rows.gather(1, target.long().reshape(-1, 1)).squeeze(1)
        else:
            found = rows[:, target]
    if found.ndim != 1:
        raise ShapeError(f"{what}: a target gives one number for each sample, (N,), got {tuple(found.shape)}.")
    return found


def _settled(model: Module, x: Tensor, target: Target) -> Target:
    """The best class of each sample is settled once, by the sample itself."""
    if target is not None:
        return target
    with no_grad():
        output = model(x)
    score(output, None)
    return output.argmax(1) if output.ndim == 2 else None


def gradient_map(model: Module, x: Tensor, target: Target = None) -> Tensor:
    """∇f(x): what a small change of each entry does to each sample's score. x: (N, …); the same shape.

    The model is in evaluation meanwhile. Targets as in `score`. Raises ShapeError for other outputs.

    >>> import chainrule
    >>> from chainrule import nn
    >>> model = nn.Linear(2, 1, bias=False)
    >>> with chainrule.no_grad(): _ = model.weight.copy_(chainrule.tensor([[2.0, -1.0]]))
    >>> gradient_map(model, chainrule.tensor([[1.0, 3.0]]))
    tensor([[ 2., -1.]])
    """
    with evaluation_mode(model), enable_grad():
        x = x.detach_copy().requires_grad_()
        (found,) = grad(score(model(x), target, "gradient_map").sum(), [x])
    return found.detach()


def gradient_times_input(model: Module, x: Tensor, target: Target = None) -> Tensor:
    """x⊙∇f(x): what each entry contributes, to first order. For a linear f without bias they sum up to f(x).

    >>> import chainrule
    >>> from chainrule import nn
    >>> model = nn.Linear(2, 1, bias=False)
    >>> with chainrule.no_grad(): _ = model.weight.copy_(chainrule.tensor([[2.0, -1.0]]))
    >>> gradient_times_input(model, chainrule.tensor([[1.0, 3.0]]))
    tensor([[ 2., -3.]])
    """
    return x.detach() * gradient_map(model, x, target)


class IntegratedGradients(NamedTuple):
    """Contributions of the input's entries, and what they should sum up to.

    Attributes:
        attributions: of the input's shape.
        change: f(x) − f(x₀) for each sample, (N,).
        error: for each sample the sum of its attributions minus that: what the sum over steps leaves of the integral.
    """

    attributions: Tensor
    change: Tensor
    error: Tensor


def integrated_gradients(
    model: Module, x: Tensor, target: Target = None, *, baseline: Tensor | None = None, steps: int = 64
) -> IntegratedGradients:
    """(x − x₀)⊙∫₀¹ ∇f(x₀ + t·(x − x₀)) dt: contributions that sum up to f(x) − f(x₀) (completeness).

    The integral is taken by Gauss and Legendre's rule, exact for polynomials up to degree 2·steps − 1; a piecewise
    linear f leaves an error of about 1/steps of its kinks.

    Args:
        baseline: x₀, broadcasts to x; zeros unless given. It should be an input that says nothing.
        steps: how many gradients are taken for each sample.

    >>> import chainrule
    >>> from chainrule import nn
    >>> model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    >>> found = integrated_gradients(model, chainrule.tensor([[1.0, 2.0, 3.0]]), 0)
    >>> bool(found.error.abs().max() < 1e-5)
    True
    """
    if steps < 1:
        raise ValueError(f"integrated_gradients: at least one step, got {steps}.")
    x = x.detach()
    x0 = (x.new_zeros(x.shape) if baseline is None else baseline.detach()).expand(x.shape)
    places, weights = np.polynomial.legendre.leggauss(steps)
    with evaluation_mode(model):
        target = _settled(model, x, target)
        total = x.new_zeros(x.shape)
        for t, weight in zip((places + 1) / 2, weights / 2, strict=True):
            total = total + gradient_map(model, x0 + float(t) * (x - x0), target) * float(weight)
        attributions = (x - x0) * total
        with no_grad():
            change = score(model(x), target) - score(model(x0), target)
    summed = attributions.reshape(attributions.shape[0], -1).sum(1)
    return IntegratedGradients(attributions, change, summed - change)


def occlusion(
    model: Module, x: Tensor, target: Target = None, *, window: int = 4, stride: int | None = None, fill: float = 0.0
) -> Tensor:
    """How much of f(x) is gone when a square is covered: (N, H, W), for each pixel the mean over squares on it.

    Args:
        x: images (N, C, H, W).
        window: the square's side in pixels.
        stride: from one square to the next; the window's side unless given. What is left at an edge gets a square too.
        fill: the number that covers.

    >>> import chainrule
    >>> from chainrule import nn
    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(16, 1, bias=False))
    >>> with chainrule.no_grad(): _ = model[1].weight.fill_(1.0)
    >>> occlusion(model, chainrule.tensor([[[[1.0, 0, 0, 0]] * 4]]), window=2)[0, 0]
    tensor([2., 2., 0., 0.])
    """
    if x.ndim != 4:
        raise ShapeError(f"occlusion: images are (N, C, H, W), got {tuple(x.shape)}.")
    height, width = x.shape[2:]
    if not 1 <= window <= min(height, width):
        raise ValueError(f"occlusion: a window fits into {height}×{width} pixels, got {window}.")
    corners = [(i, j) for i in _starts(height, window, stride) for j in _starts(width, window, stride)]
    totals, counts = zeros(x.shape[0], height, width, dtype=x.dtype), zeros(height, width, dtype=x.dtype)
    with evaluation_mode(model), no_grad():
        target = _settled(model, x, target)
        whole = score(model(x), target)
        for i, j in corners:
            covered = x.detach_copy()
            covered[:, :, i : i + window, j : j + window] = fill
            lost = whole - score(model(covered), target)
            totals[:, i : i + window, j : j + window] += lost.reshape(-1, 1, 1)
            counts[i : i + window, j : j + window] += 1.0
    return totals / counts.clamp(min=1)


def _starts(length: int, window: int, stride: int | None) -> list[int]:
    starts = list(range(0, length - window + 1, stride or window))
    return starts if starts[-1] + window == length else [*starts, length - window]


def grad_cam(model: Module, x: Tensor, layer: str, target: Target = None) -> Tensor:
    """Where in the image a layer's features speak for a class: ReLU(Σ_k α_k·A_k), enlarged to the image, (N, H, W).

    A_k is feature map k of the layer and α_k the mean of ∂f/∂A_k over its places. For a network that ends in the mean
    over all places and one linear layer this is the class activation map of Zhou et al., 2016.

    Args:
        x: images (N, C, H, W).
        layer: the path of a layer with feature maps, usually the last convolution.

    >>> from chainrule import nn, ones
    >>> model = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(32, 3))
    >>> grad_cam(model, ones(5, 1, 4, 4), "1").shape
    Size([5, 4, 4])
    """
    maps: list[Tensor] = []
    handle = model.get_submodule(layer).register_forward_hook(lambda _, __, output: maps.append(output))
    try:
        with evaluation_mode(model), enable_grad():
            output = model(x.detach_copy().requires_grad_())
            if not maps or maps[0].ndim != 4:
                got = f"{tuple(maps[0].shape)}" if maps else "nothing: it did not run"
                raise ShapeError(f"grad_cam: layer {layer!r} gives feature maps (N, C, H, W), got {got}.")
            (found,) = grad(score(output, target, "grad_cam").sum(), [maps[0]])
    finally:
        handle.remove()
    weights = found.detach().mean((2, 3), keepdim=True)
    small = (weights * maps[0].detach()).sum(1, keepdim=True).relu()
    return F.interpolate(small, size=tuple(x.shape[2:]), mode="bilinear", align_corners=False).squeeze(1)
