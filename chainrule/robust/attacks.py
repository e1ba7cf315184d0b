"""Adversarial examples: inputs near the given ones that a classifier gets wrong.

An attack takes a classifier (a function from inputs (N, …) to scores (N, K)), inputs and labels, and answers changed
inputs. It leaves gradients of parameters alone, and the mode of the model too: call `model.eval()` first, or batch
normalisation takes its statistics from the attacked batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from chainrule.autodiff.mode import no_grad
from chainrule.autograd.gradient import grad
from chainrule.errors import ShapeError
from chainrule.functions.counting import one_hot
from chainrule.functions.creation import arange, tensor
from chainrule.functions.gathering import gather
from chainrule.functions.logic import where
from chainrule.nn.losses.classes import cross_entropy
from chainrule.random import rand, randn
from chainrule.tensor import Tensor

Classifier = Callable[[Tensor], Tensor]
Bounds = tuple[float, float]
#: What `pgd` can climb.
LOSSES = ("cross_entropy", "margin")


def _slope(model: Classifier, x: Tensor, labels: Tensor, loss: str = "cross_entropy") -> Tensor:
    """The gradient of each sample's loss in the sample."""
    start = x.detach_copy().requires_grad_()
    scores = model(start)
    total = -margins(scores, labels).sum() if loss == "margin" else cross_entropy(scores, labels, reduction="sum")
    (slope,) = grad(total, [start])
    return slope


def _need_epsilon(epsilon: float) -> None:
    if not epsilon >= 0:
        raise ValueError(f"epsilon, the largest change, is not negative, got {epsilon}.")


def fgsm(
    model: Classifier, x: Tensor, labels: Tensor, epsilon: float, *, targeted: bool = False, bounds: Bounds = (0.0, 1.0)
) -> Tensor:
    """The fast gradient sign method: x + ε·sign ∂loss/∂x, one step as far as each entry may go.

    Args:
        model: from inputs to scores.
        x: (N, …), entries within `bounds`.
        labels: (N,), the right classes; with `targeted` the classes that shall be answered instead (the step is then
            down the loss).
        epsilon: the largest change of an entry, not negative.
        bounds: where entries of inputs lie; the results are clamped to it.

    Source: Goodfellow, Shlens and Szegedy, "Explaining and harnessing adversarial examples", 2015.
    """
    _need_epsilon(epsilon)
    step = -epsilon if targeted else epsilon
    return (x.detach() + step * _slope(model, x, labels).sign()).clamp(*bounds)


def random_fgsm(
    model: Classifier, x: Tensor, labels: Tensor, epsilon: float, *, size: float = 1.25, bounds: Bounds = (0.0, 1.0)
) -> Tensor:
    """One step of size·ε from a random start, for training: cheap examples that a network does not learn to game.

    Unlike in `pgd` the start may lie beyond `bounds`; only the result is brought back. Where most entries lie at a
    bound, as in black backgrounds, half of the start would else be lost, and training ends in a network that withstands
    this step and no other ("catastrophic overfitting"): measure with `pgd` while training, and keep the best weights.

    Args:
        model, x, labels, epsilon, bounds: as in `fgsm`.
        size: of the step, as a multiple of ε.

    Source: Wong, Rice and Kolter, "Fast is better than free", 2020.
    """
    _need_epsilon(epsilon)
    center = x.detach()
    start = _random_change(center, epsilon, math.inf)
    change = start + size * epsilon * _slope(model, center + start, labels).sign()
    return _inside(center + change.clamp(-epsilon, epsilon), bounds)


def pgd(
    model: Classifier,
    x: Tensor,
    labels: Tensor,
    epsilon: float,
    *,
    steps: int = 40,
    step_size: float | None = None,
    norm: float = math.inf,
    random_start: bool = True,
    restarts: int = 1,
    targeted: bool = False,
    bounds: Bounds = (0.0, 1.0),
    loss: str = "cross_entropy",
    falling: bool = False,
    momentum: float = 0.0,
    start: str = "uniform",
    draws: int = 1,
    step: Callable[..., Tensor] | None = None,
) -> Tensor:
    """Projected gradient descent: many small steps up the loss, each followed by a projection into the ball around x.

    One step of size ε without a random start is `fgsm`; one step of 1.25·ε from a random start is what fast adversarial
    training uses (Wong, Rice and Kolter, 2020).

    Args:
        model, x, labels, targeted, bounds: as in `fgsm`.
        epsilon: the radius of the ball.
        steps: how many.
        step_size: how far; 2.5·ε/steps unless given, ε where it falls.
        norm: math.inf (each entry changes by at most ε) or 2 (the whole input moves by at most ε).
        random_start: begin anywhere in the ball, or as `start` says, instead of in its middle.
        restarts: how often; for each sample the try with the smallest margin counts.
        loss: what is climbed: "cross_entropy", or "margin", the best wrong score less the right one.
        falling: each step is shorter than the one before: step i (of 0, 1, …) goes step_size·(1 − i/steps) far. Long
            steps leave the flat places that some defended networks have around each image.
        momentum: the share of each move that repeats the one before it, in [0, 1); 0.25 in Auto-PGD.
        start: "uniform", or "patches" for images (N, C, H, W): entries begin at ±ε, alike within rectangles of random
            extents. An entry whose gradient is 0 stays where it began; there it changes the scores most.
        draws: each try begins, for each sample, with that of so many random starts whose margin is smallest.
        step: what takes a step; `pgd_step` unless given. `compile(pgd_step)` does the same faster.

    Source: Madry et al., "Towards deep learning models resistant to adversarial attacks", 2018; the margin: Carlini and
    Wagner, "Towards evaluating the robustness of neural networks", 2017; momentum: Croce and Hein, "Reliable evaluation
    of adversarial robustness with an ensemble of diverse parameter-free attacks", 2020.
    """
    _need_epsilon(epsilon)
    if loss not in LOSSES:
        raise ValueError(f"pgd: loss is one of {', '.join(LOSSES)}, got {loss!r}.")
    if not 0 <= momentum < 1:
        raise ValueError(f"pgd: momentum is at least 0 and less than 1, got {momentum}.")
    _need_start(start, norm, x)
    if norm not in (2, math.inf):
        raise ValueError(f"pgd: norm is 2 or math.inf, got {norm}.")
    if steps < 1 or restarts < 1 or draws < 1:
        raise ValueError(f"pgd: steps, restarts and draws are 1 or more, got {steps}, {restarts} and {draws}.")
    center = x.detach()
    sizes = _sizes(epsilon, steps, step_size, falling, targeted, center)
    step = pgd_step if step is None else step

    def margin(moved: Tensor) -> Tensor:
        found = margins(model(moved), labels)
        return -found if targeted else found

    def begin() -> Tensor:
        change = _patches(center, epsilon) if start == "patches" else _random_change(center, epsilon, norm)
        return _inside(center + change, bounds)

    def climb() -> Tensor:
        moved = before = _hardest(begin, draws, margin) if random_start else center
        for size in sizes:
            more: dict[str, Any] = {"before": before, "momentum": momentum} if momentum else {}
            following = step(model, moved, center, labels, epsilon, size, norm=norm, bounds=bounds, loss=loss, **more)
            before, moved = moved, following
        return moved

    return _hardest(climb, restarts, margin)


def _hardest(make: Callable[[], Tensor], count: int, margin: Callable[[Tensor], Tensor]) -> Tensor:
    """Made so many times: for each sample the one with the smallest margin."""
    best = make()
    if count == 1:
        return best
    with no_grad():
        smallest = margin(best)
    for _ in range(count - 1):
        tried = make()
        with no_grad():
            found = margin(tried)
            better = found < smallest
            best, smallest = where(_beside(better, best), tried, best), where(better, found, smallest)
    return best


def _need_start(start: str, norm: float, x: Tensor) -> None:
    if start not in ("uniform", "patches"):
        raise ValueError(f"pgd: start is uniform or patches, got {start!r}.")
    if start == "patches" and norm != math.inf:
        raise ValueError(f"pgd: patches of ±ε are in the ball of norm math.inf alone, got {norm}.")
    if start == "patches" and x.ndim != 4:
        raise ShapeError(f"pgd begins with patches in images (N, C, H, W), got {tuple(x.shape)}.")


def _sizes(
    epsilon: float, steps: int, step_size: float | None, falling: bool, targeted: bool, like: Tensor
) -> list[float] | list[Tensor]:
    """How far each step goes, less than 0 down the loss; tensors if they differ, so that one program takes all."""
    usual = epsilon if falling else 2.5 * epsilon / steps
    first = usual if step_size is None else step_size
    first = -first if targeted else first
    if not falling:
        return [first] * steps
    return [tensor(first * (1 - i / steps), dtype=like.dtype, device=like.device) for i in range(steps)]


def pgd_step(
    model: Classifier,
    moved: Tensor,
    center: Tensor,
    labels: Tensor,
    epsilon: float,
    size: float | Tensor,
    *,
    norm: float = math.inf,
    bounds: Bounds = (0.0, 1.0),
    loss: str = "cross_entropy",
    before: Tensor | None = None,
    momentum: float = 0.0,
) -> Tensor:
    """One step of `pgd` up the loss (down for a negative size) and back into the ball around the center.

    With the place before the last step, z = P(x + size·direction) becomes P(x + (1 − m)·(z − x) + m·(x − before)).
    """
    slope = _slope(model, moved, labels, loss)
    direction = slope.sign() if norm == math.inf else _unit(slope)
    there = _inside(center + _projected(moved + size * direction - center, epsilon, norm), bounds)
    if before is None:
        return there
    there = moved + (1 - momentum) * (there - moved) + momentum * (moved - before)
    return _inside(center + _projected(there - center, epsilon, norm), bounds)


def _inside(x: Tensor, bounds: Bounds) -> Tensor:
    return x.clamp(*bounds)


def _beside(per_sample: Tensor, x: Tensor) -> Tensor:
    """(N,) with extents of 1 for the other dimensions."""
    return per_sample.reshape(-1, *[1] * (x.ndim - 1))


def _lengths(x: Tensor) -> Tensor:
    return _beside(x.flatten(1).norm(dim=1), x)


def _unit(x: Tensor) -> Tensor:
    """Directions; 0 stays 0."""
    return x / _lengths(x).clamp(min=1e-12)


def _projected(change: Tensor, epsilon: float, norm: float) -> Tensor:
    if norm == math.inf:
        return change.clamp(-epsilon, epsilon)
    return change * (epsilon / _lengths(change).clamp(min=1e-12)).clamp(max=1.0)


def _random_change(x: Tensor, epsilon: float, norm: float) -> Tensor:
    """Uniform in the ball."""
    shape = tuple(x.shape)
    if norm == math.inf:
        return (2 * rand(shape, dtype=x.dtype, device=x.device) - 1) * epsilon
    dimensions = x[:1].numel()
    radius = rand(shape[0], dtype=x.dtype, device=x.device) ** (1 / dimensions) * epsilon
    return _unit(randn(shape, dtype=x.dtype, device=x.device)) * _beside(radius, x)


def _patches(x: Tensor, epsilon: float) -> Tensor:
    """±ε, alike within rectangles; how high and wide those are is drawn for each image, from 2 to the whole."""
    shape = tuple(x.shape)
    change = (rand(shape, device=x.device) < 0.5).to(x.dtype) * (2 * epsilon) - epsilon
    for dim in (2, 3):
        extent = shape[dim]
        size = 2 * (extent / 2) ** rand((shape[0], 1, 1, 1), device=x.device)
        places = arange(extent, device=x.device).reshape([extent if i == dim else 1 for i in range(4)])
        change = gather(change, dim, (places / size).floor().long().expand(*shape))
    return change


def margins(scores: Tensor, labels: Tensor) -> Tensor:
    """The score of the right class less the best other one, (N,): negative where the answer is wrong.

    >>> import chainrule
    >>> margins(chainrule.tensor([[2.0, 0.5], [1.0, 4.0]]), chainrule.tensor([0, 0]))
    tensor([ 1.5000, -3.0000])
    """
    if scores.ndim != 2 or scores.shape[1] < 2:
        raise ShapeError(f"scores are (N, K) with two classes or more, got {tuple(scores.shape)}.")
    right = one_hot(labels, scores.shape[1]).bool()
    others = scores.masked_fill(right, -math.inf).amax(1)
    return gather(scores, 1, labels.long().unsqueeze(1)).squeeze(1) - others


def deep_fool(
    model: Classifier,
    x: Tensor,
    *,
    steps: int = 50,
    overshoot: float = 0.02,
    bounds: Bounds = (0.0, 1.0),
) -> Tensor:
    """A change as short as possible (in the Euclidean norm) that changes the model's answer.

    In each step the classifier is taken as linear: the nearest of its boundaries is at |f_k − f_c|/‖∇f_k − ∇f_c‖, and
    the input goes there, and a little further; entries that lie at a bound move only inwards.
    The length of the change bounds the distance to the boundary from above;
    for a linear classifier it is that distance, but for the overshoot.
    Source: Moosavi-Dezfooli, Fawzi and Frossard, "DeepFool", 2016.
    """
    with no_grad():
        classes = model(x).argmax(1)
    center, change = x.detach(), x.detach() * 0
    count = 0
    for _ in range(steps):
        start = (center + (1 + overshoot) * change).clamp(*bounds).detach_copy().requires_grad_()
        scores = model(start)
        count = int(scores.shape[1])
        same = scores.detach().argmax(1) == classes
        if not bool(same.any()):
            break
        own = gather(scores, 1, classes.unsqueeze(1))
        nearest, towards = None, change
        for k in range(count):
            gap = (scores[:, k : k + 1] - own).squeeze(1)
            (slope,) = grad(gap.sum(), [start], retain_graph=True)
            slope = _free(slope, start.detach(), bounds)
            length = slope.flatten(1).norm(dim=1).clamp(min=1e-12)
            distance = where(classes == k, math.inf, gap.detach().abs() / length)
            step = _beside(distance / length, x) * slope
            if nearest is None:
                nearest, towards = distance, step
            else:
                closer = distance < nearest
                towards, nearest = where(_beside(closer, x), step, towards), where(closer, distance, nearest)
        change = _inside(center + change + where(_beside(same, x), towards, 0.0), bounds) - center
    return (center + (1 + overshoot) * change).clamp(*bounds)


def _free(slope: Tensor, x: Tensor, bounds: Bounds) -> Tensor:
    """0 where an entry of x lies at a bound and going up the slope would leave it."""
    low, high = bounds
    return where(((x <= low) & (slope < 0)) | ((x >= high) & (slope > 0)), 0.0, slope)


def accuracy_under_attack(
    model: Classifier,
    x: Tensor,
    labels: Tensor,
    epsilons: Sequence[float],
    attack: Callable[..., Tensor] = pgd,
    batch_size: int = 256,
    **settings: object,
) -> list[float]:
    """The share of samples that the model still gets right after `attack(model, x, labels, epsilon, **settings)`.

    One number for each ε. Samples that are wrong without an attack count as wrong for every ε.
    """
    accuracies = []
    for epsilon in epsilons:
        right = 0
        for start in range(0, len(x), batch_size):
            part, wanted = x[start : start + batch_size], labels[start : start + batch_size]
            changed = attack(model, part, wanted, epsilon, **settings)
            with no_grad():
                both = (model(part).argmax(1) == wanted) & (model(changed).argmax(1) == wanted)
            right += int(both.sum().item())
        accuracies.append(right / len(x))
    return accuracies
