"""The variance of activations and gradients after each layer: what an initialisation makes of a signal."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from chainrule.autodiff.mode import enable_grad
from chainrule.errors import ChainruleError
from chainrule.explain.tables import as_text
from chainrule.figures import new_figure, write_figure
from chainrule.nn.module import Module
from chainrule.random import Generator, randn
from chainrule.tensor import Tensor, tensors_in

if TYPE_CHECKING:
    from rich.table import Table


class LayerVariance(NamedTuple):
    """One call of one layer.

    Attributes:
        path: the module's dotted path; "" if the model is a single layer.
        layer: the name of its class.
        shape: the shape of its output.
        mean: the mean of all entries of its output, the activations.
        variance: their variance.
        gradient_variance: the variance of all entries of the loss's gradient in this output; NaN if there is none.
    """

    path: str
    layer: str
    shape: tuple[int, ...]
    mean: float
    variance: float
    gradient_variance: float

    @property
    def second_moment(self) -> float:
        """E[h²] = variance + mean²: what Kaiming's rule keeps through ReLU layers."""
        return self.variance + self.mean**2


@dataclass
class VarianceReport:
    """The rows of a report, in the order in which the layers ran. Printing it shows a table.

    >>> import chainrule
    >>> from chainrule import nn
    >>> report = variance_report(nn.Sequential(nn.Linear(100, 100), nn.Tanh()), chainrule.randn(50, 100))
    >>> [row.layer for row in report]
    ['Linear', 'Tanh']
    """

    rows: list[LayerVariance]

    def __iter__(self) -> Iterator[LayerVariance]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def of(self, layer: str) -> list[LayerVariance]:
        """The rows of one class of layers, by its name: of("ReLU")."""
        return [row for row in self.rows if row.layer == layer]

    def table(self) -> Table:
        """A table for rich's console."""
        from rich.table import Table

        table = Table("layer", "", "output", title="Variance through depth")
        for column in ("mean", "variance", "gradient variance"):
            table.add_column(column, justify="right")
        for row in self.rows:
            numbers = (f"{x:.3g}" for x in (row.mean, row.variance, row.gradient_variance))
            table.add_row(row.path, row.layer, "×".join(map(str, row.shape)), *numbers)
        return table

    def __str__(self) -> str:
        return as_text(self.table(), width=120)

    def draw(self, path: str | Path) -> None:
        """Both variances by layer, as a PNG."""
        draw_variances({"": self}, path)


def variance_report(
    model: Module, x: Tensor | tuple[Any, ...], loss: Callable[[Any], Tensor] | None = None
) -> VarianceReport:
    """Variance of the activations and of the loss's gradient after each layer of a model, in one pass forth and back.

    The pass is done by a copy of the model in the mode it is in, so nothing in it changes. A layer is a module without
    parts; one that runs several times has several rows. Of several results the first floating-point tensor counts.

    Args:
        model: any module.
        x: its input, or a tuple of its inputs.
        loss: computes a single number from the model's output. Without it the gradient that comes in at the end is
            standard normal numbers, so that its variance starts from 1.

    Raises ChainruleError if no layer gave a floating-point tensor.

    >>> import chainrule
    >>> from chainrule import nn
    >>> model = nn.Sequential(*[nn.Linear(200, 200, bias=False) for _ in range(3)])
    >>> for layer in model:
    ...     _ = nn.init.orthogonal_(layer.weight)
    >>> report = variance_report(model, chainrule.randn(100, 200))
    >>> [round(row.variance / report.rows[0].variance, 3) for row in report]
    [1.0, 1.0, 1.0]
    """
    model = copy.deepcopy(model)
    found: list[_Layer] = []
    for path, module in model.named_modules():
        if not any(True for _ in module.children()):
            module.register_forward_hook(_watch(path, found))
    inputs = x if isinstance(x, tuple) else (x,)
    inputs = tuple(_leaf(given) for given in inputs)
    with enable_grad():
        output = model(*inputs)
        if not found:
            raise ChainruleError(f"variance_report: no layer of {type(model).__name__} gave floating-point numbers.")
        result = _first_floating(output) if loss is None else loss(output)
        if result is not None and result.requires_grad:
            result.backward(_noise_like(result) if loss is None else None)
    return VarianceReport([layer.row() for layer in found])


@dataclass
class _Layer:
    """What is seen of one call of a layer."""

    path: str
    name: str
    output: Tensor
    gradient: Tensor | None = None

    def row(self) -> LayerVariance:
        mean, variance = _moments(self.output)
        of_gradient = math.nan if self.gradient is None else _moments(self.gradient)[1]
        return LayerVariance(self.path, self.name, tuple(self.output.shape), mean, variance, of_gradient)


def _watch(path: str, found: list[_Layer]) -> Callable[[Module, Any, Any], None]:
    def look(module: Module, args: Any, output: Any) -> None:
        first = _first_floating(output)
        if first is None:
            return
        seen = _Layer(path, type(module).__name__, first.detach_copy())  # now: it may be written to later

        def keep(gradient: Tensor) -> None:
            seen.gradient = gradient.detach()

        if first.requires_grad:
            first.register_hook(keep)
        found.append(seen)

    return look


def _first_floating(output: Any) -> Tensor | None:
    return next((t for t in tensors_in(output) if t.dtype.is_floating_point), None)


def _noise_like(output: Tensor) -> Tensor:
    return randn(tuple(output.shape), generator=Generator(0)).to(output.dtype)


def _leaf(given: Any) -> Any:
    """The input as a tensor of its own that wants a gradient, if it can have one: so that all layers get theirs."""
    if isinstance(given, Tensor) and given.dtype.is_floating_point:
        return given.detach_copy().requires_grad_()
    return given


def _moments(x: Tensor) -> tuple[float, float]:
    """Mean and variance of all entries, in float64."""
    x = x.detach().double()
    return x.mean().item(), x.var(correction=0).item()


def draw_variances(reports: Mapping[str, VarianceReport], path: str | Path) -> None:
    """The variances of several models by layer, activations left and gradients right, as a PNG.

    The names are the legend. Axes of variance are logarithmic; what is 0 or infinite is left out.
    """
    figure = new_figure(11, 4.2, 120)
    draw_on(figure.subplots(1, 2), reports)
    write_figure(path, figure)


def draw_on(both: Any, reports: Mapping[str, VarianceReport]) -> None:
    """The same onto two axes of matplotlib."""
    for axes, field, title in zip(
        both,
        ("variance", "gradient_variance"),
        ("Variance of the activations", "Variance of the gradients"),
        strict=True,
    ):
        for name, report in reports.items():
            heights = [getattr(row, field) for row in report]
            heights = [y if 0 < y < math.inf else math.nan for y in heights]
            axes.plot(range(1, len(heights) + 1), heights, marker=".", label=name or None)
        axes.set(title=title, xlabel="layer, from the input", yscale="log")
        axes.grid(alpha=0.3)
        if any(reports):
            axes.legend()
