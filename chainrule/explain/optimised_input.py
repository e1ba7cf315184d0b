"""An input made for an output: the model stays as it is, and the input climbs along the gradient of a score."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from chainrule.autodiff.mode import enable_grad
from chainrule.autograd.gradient import grad
from chainrule.explain.saliency import Target, score
from chainrule.functions.pieces import roll
from chainrule.nn.evaluation import evaluation_mode
from chainrule.nn.module import Module
from chainrule.random import Generator, randint
from chainrule.tensor import Tensor


class OptimisedInput(NamedTuple):
    """The input that was found, and each sample's score before every step and at the end, (steps + 1, N) as lists."""

    input: Tensor
    scores: list[list[float]]


def optimised_input(
    model: Module,
    start: Tensor,
    target: Target,
    *,
    steps: int = 100,
    rate: float = 0.1,
    penalty: float = 0.0,
    jitter: int = 0,
    project: Callable[[Tensor], Tensor] | None = None,
    seed: int = 0,
) -> OptimisedInput:
    """max over x of f(x) − penalty·‖x‖², by gradient ascent from a start; each sample by itself.

    Args:
        start: (N, …), where to begin: noise, zeros, or an image.
        target: what to raise: a class, a class for each sample, or a function, as in `explain.saliency.score`.
        rate: the length of a step, x ← x + rate·∇.
        penalty: keeps entries small that the score does not need.
        jitter: for images: in each step the image is shifted around its edges by up to so many pixels, so that what is
            found does not hang on single pixels.
        project: applied after each step, for example `lambda x: x.clamp(0, 1)`.
        seed: of the shifts.

    Source: Simonyan, Vedaldi and Zisserman, "Deep inside convolutional networks", 2013, chapter 2.

    >>> from chainrule import nn, zeros
    >>> model = nn.Linear(2, 1)
    >>> found = optimised_input(model, zeros(1, 2), 0, penalty=0.5, rate=0.2)  # the maximum is at x = w
    >>> bool((found.input - model.weight).abs().max() < 1e-4)
    True
    """
    generator = Generator(seed)
    x, scores = start.detach_copy(), []
    with evaluation_mode(model), enable_grad():
        for _ in range(steps):
            x.requires_grad_()
            shift = randint(-jitter, jitter + 1, (2,), generator=generator).tolist() if jitter else [0, 0]
            shown = roll(x, shift, (-2, -1)) if jitter else x
            values = score(model(shown), target, "optimised_input")
            scores.append(values.detach().tolist())
            (slope,) = grad(values.sum() - penalty * (x * x).sum(), [x])
            x = (x + rate * slope).detach()
            x = x if project is None else project(x)
        scores.append(score(model(x), target, "optimised_input").detach().tolist())
    return OptimisedInput(x.detach(), scores)
