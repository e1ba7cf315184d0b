"""The loss around a network's weights: along a line, on a plane, between two solutions, with a path drawn on it.

A network has thousands of weights; what can be drawn is the loss on θ + a·d₁ + b·d₂. Random directions d say something
only if they are of the weights' own size, filter by filter: a network with weights of twice the size, whose next layer
has half of it, computes the same, and its surface must look the same.
Source: Li, Xu, Taylor, Studer and Goldstein, "Visualizing the loss landscape of neural nets", 2018 (arXiv:1712.09913).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.autodiff.mode import no_grad
from chainrule.errors import ShapeError
from chainrule.figures import new_figure, write_figure
from chainrule.functions.creation import from_numpy
from chainrule.nn.evaluation import evaluation_mode
from chainrule.nn.module import Module
from chainrule.tensor import Tensor

Array = np.ndarray[Any, np.dtype[Any]]
#: One array for each parameter of a model, in order.
Weights = list[Array]


def weights_of(model: Module) -> Weights:
    """Copies of all parameters: a point in the space of weights, to be kept while a model trains.

    >>> from chainrule import nn
    >>> [w.shape for w in weights_of(nn.Linear(3, 2))]
    [(2, 3), (2,)]
    """
    return [np.array(p.detach().numpy(), float) for p in model.parameters()]


def random_direction(weights: Weights, seed: int = 0) -> Weights:
    """A random direction, normalised filter by filter: each filter's part has the length of the filter's weights.

    A filter is what leads to one unit: a row of a matrix, the kernel of one output channel. Biases and the weights of
    normalisations, which have one dimension, stay where they are, as in the paper.

    >>> direction = random_direction([np.array([[3.0, 4.0], [0.0, 1.0]]), np.ones(2)])
    >>> np.linalg.norm(direction[0], axis=1).round(6).tolist(), direction[1].tolist()
    ([5.0, 1.0], [0.0, 0.0])
    """
    draws = np.random.default_rng(seed)
    found = []
    for w in weights:
        if w.ndim < 2:
            found.append(np.zeros_like(w))
            continue
        rows = draws.standard_normal((len(w), w.size // max(len(w), 1)))
        wanted, drawn = (np.sqrt(np.square(a).sum(1, keepdims=True)) for a in (w.reshape(rows.shape), rows))
        found.append((rows / np.maximum(drawn, 1e-30) * wanted).reshape(w.shape))
    return found


def path_directions(path: Sequence[Weights]) -> tuple[Weights, Weights, tuple[float, float]]:
    """The two directions in which a path moves most, from its last point; and the shares of its variation they hold.

    They are the first two principal components of θ_t − θ_T. Random directions are nearly at right angles to any path
    in so many dimensions, so that on their plane it would not seem to move at all. Raises ShapeError for less than 3
    points.
    """
    if len(path) < 3:
        raise ShapeError(f"path_directions: a path of at least 3 points, got {len(path)}.")
    moved = np.stack([_flat(w) - _flat(path[-1]) for w in path[:-1]])
    _, sizes, components = np.linalg.svd(moved, full_matrices=False)
    shares = sizes**2 / max((sizes**2).sum(), 1e-300)
    first, second = (_shaped(c, path[-1]) for c in components[:2])
    return first, second, (float(shares[0]), float(shares[1]))


@dataclass(frozen=True)
class LossSurface:
    """The loss on a line or a plane through a point in the space of weights.

    Attributes:
        centre: the weights at (0, 0).
        directions: one or two.
        axes: for each direction the places along it.
        losses: (n,) or (n, m): losses[i, j] is that at centre + axes[0][i]·d₁ + axes[1][j]·d₂.
        path: points of a path as (a, b), if one was given.
    """

    centre: Weights
    directions: tuple[Weights, ...]
    axes: tuple[Array, ...]
    losses: Array
    path: Array = field(default_factory=lambda: np.zeros((0, 2)))

    def coordinates(self, weights: Weights) -> Array:
        """Where a point lies on the line or plane: of the nearest point there the (a, b).

        >>> surface = LossSurface([np.zeros(3)], ([np.array([2.0, 0, 0])],), (np.array([0.0]),), np.zeros(1))
        >>> surface.coordinates([np.array([3.0, 5.0, 0.0])]).tolist()
        [1.5]
        """
        basis = np.stack([_flat(d) for d in self.directions], 1)
        answer: Array = np.linalg.lstsq(basis, _flat(weights) - _flat(self.centre), rcond=None)[0]
        return answer

    def with_path(self, path: Sequence[Weights]) -> LossSurface:
        """The same with a path on it, each point where it is nearest to."""
        return LossSurface(
            self.centre, self.directions, self.axes, self.losses, np.stack([self.coordinates(w) for w in path])
        )

    def draw(self, path: str | Path, title: str = "") -> None:
        """A curve, or contours of the logarithm with the path on it, as a PNG."""
        figure = new_figure(6.2, 4.8, 110)
        axes = figure.subplots()
        if len(self.axes) == 1:
            axes.plot(self.axes[0], self.losses, color="#0b62b8")
            axes.set(xlabel="along the direction", ylabel="loss")
            axes.grid(alpha=0.3)
        else:
            self._contours(figure, axes)
        axes.set_title(title)
        write_figure(path, figure)

    def _contours(self, figure: Any, axes: Any) -> None:
        finite = self.losses[np.isfinite(self.losses)]
        low, high = float(finite.min()), float(finite.max())
        levels = low + np.geomspace(1e-3, 1, 25) * max(high - low, 1e-12)
        shown = axes.contourf(*self.axes, self.losses.T, levels=[low - 1e-12, *levels], cmap="viridis", norm="log")
        axes.contour(*self.axes, self.losses.T, levels=levels, colors="black", linewidths=0.3)
        figure.colorbar(shown, ax=axes, label="loss", format="%.3g")
        if len(self.path):
            axes.plot(*self.path.T, color="white", linewidth=2.4)
            axes.plot(*self.path.T, color="#d55e00", linewidth=1.4, marker=".", markersize=4)
        axes.plot(0, 0, marker="*", color="white", markeredgecolor="black", markersize=11)
        axes.set(xlabel="a", ylabel="b")


def loss_surface(
    model: Module,
    loss: Callable[[Any, Any], Tensor],
    inputs: Any,
    targets: Any,
    directions: Sequence[Weights] | int = 2,
    *,
    span: float | Sequence[tuple[float, float]] = 1.0,
    points: int = 21,
    seed: int = 0,
    compile: bool = True,
) -> LossSurface:
    """The loss of a batch on a line or plane through the model's weights. The model is as before afterwards.

    The model is in evaluation meanwhile: no dropout, normalisation by the statistics that it has gathered.

    Args:
        model: its weights are the centre.
        loss: `loss(output, targets)`.
        inputs, targets: one batch; the more samples, the smoother.
        directions: one or two, such as those of `path_directions`; or how many random ones, normalised by filter.
        span: how far to go both ways, in lengths of the directions; or (from, to) for each.
        points: places along each direction.
        seed: of random directions.
        compile: run the loss as a native program; worth it for more than some dozen points.

    >>> import chainrule
    >>> from chainrule import nn
    >>> x, y = chainrule.randn(16, 3), chainrule.randn(16, 2)
    >>> surface = loss_surface(nn.Linear(3, 2), nn.MSELoss(), x, y, points=5)
    >>> surface.losses.shape, bool(surface.losses[2, 2] == surface.losses[2, 2])
    ((5, 5), True)
    """
    centre = weights_of(model)
    chosen = (
        [random_direction(centre, seed + i) for i in range(directions)] if isinstance(directions, int) else directions
    )
    if len(chosen) not in (1, 2):
        raise ShapeError(f"loss_surface: one or two directions, got {len(chosen)}.")
    if any([d.shape for d in direction] != [w.shape for w in centre] for direction in chosen):
        raise ShapeError("loss_surface: a direction has an array for each parameter, of its shape.")
    ends = [(-span, span)] * len(chosen) if isinstance(span, int | float) else list(span)
    axes = tuple(np.linspace(low, high, points) for low, high in ends)
    places = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, len(chosen))
    along = (
        [w + sum(s * d[k] for s, d in zip(place, chosen, strict=True)) for k, w in enumerate(centre)]
        for place in places
    )
    losses = np.array(_losses(model, loss, inputs, targets, along, compile)).reshape([len(a) for a in axes])
    return LossSurface(centre, tuple(chosen), axes, losses)


def loss_between(
    model: Module,
    loss: Callable[[Any, Any], Tensor],
    inputs: Any,
    targets: Any,
    one: Weights,
    other: Weights,
    *,
    points: int = 51,
    beyond: float = 0.25,
    compile: bool = True,
) -> LossSurface:
    """The loss along the straight line from one solution (0) to another (1), and a share `beyond` both.

    A hill in between says that the solutions lie in valleys of their own. Normalisation uses the statistics that the
    model has now. Source: Goodfellow, Vinyals and Saxe, "Qualitatively characterizing neural network optimization
    problems", 2015.
    """
    difference = [b - a for a, b in zip(one, other, strict=True)]
    places = np.linspace(-beyond, 1 + beyond, points)
    along = ([a + t * d for a, d in zip(one, difference, strict=True)] for t in places)
    losses = np.array(_losses(model, loss, inputs, targets, along, compile))
    return LossSurface(one, (difference,), (places,), losses)


def _losses(model: Module, loss: Any, inputs: Any, targets: Any, along: Any, compile: bool) -> list[float]:
    """The loss at each of some points."""

    def measured() -> Tensor:
        with no_grad():
            found: Tensor = loss(model(inputs), targets)
            return found

    run = measured
    if compile:
        from chainrule.compiler.function import compile as compiled

        run = compiled(measured)
    parameters = list(model.parameters())
    before = [p.detach().clone() for p in parameters]
    found = []
    try:
        with evaluation_mode(model), no_grad():
            for weights in along:
                for p, w in zip(parameters, weights, strict=True):
                    p.copy_(from_numpy(np.ascontiguousarray(w)).to(p.dtype))
                found.append(float(run().item()))
    finally:
        with no_grad():
            for p, value in zip(parameters, before, strict=True):
                p.copy_(value)
    return found


def _flat(weights: Weights) -> Array:
    return np.concatenate([w.reshape(-1) for w in weights])


def _shaped(flat: Array, like: Weights) -> Weights:
    ends = np.cumsum([w.size for w in like])[:-1]
    return [part.reshape(w.shape) for part, w in zip(np.split(flat, ends), like, strict=True)]
