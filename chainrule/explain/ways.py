"""The ways to a gradient side by side: by hand, by differences, by formulas, and automatically.

    by hand       exact and fast, but somebody must work it out, and may err
    numerical     (f(x + h) − f(x − h))/2h: for any f, but n entries cost 2n evaluations, and no h is right: a large one
                  leaves the error of the formula, which falls as h² (as h for (f(x + h) − f(x))/h), a small one the
                  error of rounding, which grows as 1/h
    symbolic      a formula for the derivative: exact, but the formula of a long computation grows faster than it
    automatic     the chain rule on numbers: exact, all entries for a few times the cost of f

Source: E 2.3.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from chainrule.autodiff.mode import no_grad
from chainrule.autograd.gradient import grad
from chainrule.errors import ShapeError
from chainrule.explain.symbols import as_formula, size, sympy
from chainrule.explain.tables import Tabular, TextTable
from chainrule.figures import new_figure, write_figure
from chainrule.functions.creation import tensor
from chainrule.primitives.primitive import Primitive
from chainrule.primitives.trace import Trace, tracing
from chainrule.tensor import Tensor

Function = Callable[[Tensor], Tensor]
#: The h that are tried: 1, 0.1, … 10⁻¹⁴.
STEPS = tuple(10.0**-k for k in range(15))


class Way(NamedTuple):
    """One way to the gradient.

    Attributes:
        name: "automatic", "by hand", "forward differences", "central differences" or "symbolic".
        gradient: what it gave, (n,).
        error: the largest difference from the automatic one, relative to the largest entry; as it is where all are 0.
        evaluations: how often f was computed; None where it was not.
        note: the step h of differences, the size of formulas.
    """

    name: str
    gradient: tuple[float, ...]
    error: float
    evaluations: int | None
    note: str = ""


@dataclass(frozen=True)
class GradientWays(Tabular):
    """All ways for one function at one place. Printing it shows a table.

    Attributes:
        value: f(x).
        ways: a row for each.
        steps: the h that were tried for differences.
        errors: for "forward" and "central" the error at each of these.
        formula, derivatives: f and its derivatives as SymPy writes them; "" and () without the symbolic way.
    """

    value: float
    ways: tuple[Way, ...]
    steps: tuple[float, ...]
    errors: dict[str, tuple[float, ...]]
    formula: str = ""
    derivatives: tuple[str, ...] = ()

    def of(self, name: str) -> Way:
        """One way by its name. Raises KeyError where it was not gone."""
        return {way.name: way for way in self.ways}[name]

    def table(self) -> TextTable:
        """For the terminal."""
        rows = []
        for way in self.ways:
            shown = ", ".join(f"{g:.6g}" for g in way.gradient[:4]) + (", …" if len(way.gradient) > 4 else "")
            evaluations = "" if way.evaluations is None else str(way.evaluations)
            rows.append([way.name, shown, way.note, f"{way.error:.1e}", evaluations])
        return TextTable(
            f"f(x) = {self.value:.6g}", ["way", "gradient", "", "relative error", "evaluations of f"], rows, words=3
        )

    def draw(self, path: str | Path) -> None:
        """The error of both difference quotients against h, as a PNG."""
        figure = new_figure(6.2, 4.4, 110)
        axes = figure.subplots()
        for name, colour in (("forward", "#d55e00"), ("central", "#0072b2")):
            axes.loglog(self.steps, np.maximum(self.errors[name], 1e-17), marker=".", label=name, color=colour)
        h = np.array(self.steps)
        for label, line, at in (("∝ h", h, 1e-11), ("∝ h²", h**2, 1e-6), ("∝ 1/h: rounding", 2.0**-53 / h, 1e-3)):
            axes.loglog(h, line, color="grey", linewidth=0.8, linestyle=":")
            height = float(np.interp(math.log10(at), np.log10(h[::-1]), np.log10(line[::-1])))
            axes.annotate(label, (at, 10**height), fontsize=8, color="grey", textcoords="offset points", xytext=(6, 2))
        axes.set(xlabel="h", ylabel="relative error of the gradient", ylim=(1e-14, 10), title="Differences against h")
        axes.grid(alpha=0.3)
        axes.legend()
        write_figure(path, figure)


def ways_to_a_gradient(
    function: Function,
    x: Tensor | Sequence[float],
    by_hand: Callable[[Tensor], Any] | None = None,
    *,
    symbolic: bool = True,
    steps: Sequence[float] = STEPS,
) -> GradientWays:
    """The gradient of a function of a tensor (n,), or of a single number (), to one number, by every way there is.

    Computed in float64.

    Args:
        function: f. For the symbolic way it is made of operations with a formula (`explain.symbols`).
        x: the place, (n,) or ().
        by_hand: answers the gradient (n,) that somebody worked out.
        symbolic: go that way too, by SymPy (`pip install 'chainrule[symbolic]'`).
        steps: the h that are tried for differences; the table has the best of each kind.

    Raises ShapeError for other shapes, SymbolicError for an operation without a formula.

    >>> found = ways_to_a_gradient(lambda x: x[0] ** 2 * x[1].sin(), [3.0, 0.5], symbolic=False)
    >>> [round(g, 4) for g in found.of("automatic").gradient]
    [2.8766, 7.8982]
    >>> found.of("central differences").error < 1e-9
    True
    """
    place = tensor(np.asarray(x.detach().numpy() if isinstance(x, Tensor) else x, float), requires_grad=True)
    if place.ndim == 0:  # a number is the entry of a tensor (1,)
        of_number, hand_of_number = function, by_hand
        by_hand = None if hand_of_number is None else lambda x: np.reshape(hand_of_number(x[0]), 1)
        return ways_to_a_gradient(
            lambda x: of_number(x[0]), place.detach().reshape(1), by_hand, symbolic=symbolic, steps=steps
        )
    value = function(place) if place.ndim == 1 else None
    if value is None or value.numel() != 1:
        got = "" if value is None else f" and gives {tuple(value.shape)}"
        raise ShapeError(
            f"ways_to_a_gradient: f takes a tensor (n,) or () to one number; x is {tuple(place.shape)}{got}."
        )
    (found,) = grad(value.sum(), [place])
    exact, n = found.numpy(), place.numel()
    ways = [_way("automatic", exact, exact, 1)]
    if by_hand is not None:
        answer = by_hand(place.detach())
        given = answer.detach().numpy() if isinstance(answer, Tensor) else answer
        ways.append(_way("by hand", np.asarray(given, float), exact, None))
    errors: dict[str, tuple[float, ...]] = {}
    for name, count in (("forward", n + 1), ("central", 2 * n)):
        tried = [_differences(function, place.detach().numpy(), h, name == "central") for h in steps]
        errors[name] = tuple(_error(g, exact) for g in tried)
        best = int(np.argmin(np.nan_to_num(errors[name], nan=np.inf)))  # a large h may lead out of where f is defined
        ways.append(_way(f"{name} differences", tried[best], exact, count, f"h = {steps[best]:.0e}"))
    formula: str = ""
    derivatives: tuple[str, ...] = ()
    if symbolic:
        way, formula, derivatives = _symbolic(function, place.detach().numpy(), exact)
        ways.append(way)
    return GradientWays(float(value.item()), tuple(ways), tuple(steps), errors, formula, derivatives)


def _error(found: Any, exact: Any) -> float:
    largest = np.abs(exact).max()
    return float(np.abs(found - exact).max() / (largest if largest > 0 else 1.0))


def _way(name: str, found: Any, exact: Any, evaluations: int | None, note: str = "") -> Way:
    return Way(name, tuple(map(float, found)), _error(found, exact), evaluations, note)


def _differences(function: Function, x: Any, h: float, central: bool) -> Any:
    """One difference quotient for each entry."""

    def f(moved: Any) -> float:
        with no_grad():
            return float(function(tensor(moved)).item())

    here = None if central else f(x)
    quotients = []
    for unit in np.eye(len(x)):
        up = f(x + h * unit)
        quotients.append((up - f(x - h * unit)) / (2 * h) if here is None else (up - here) / h)
    return np.array(quotients)


def _symbolic(function: Function, x: Any, exact: Any) -> tuple[Way, str, tuple[str, ...]]:
    library = sympy()
    variables = [library.Symbol(f"x{i}", real=True) for i in range(len(x))]
    formula = as_formula(function, variables).reshape(-1)[0]
    derivatives = [library.diff(formula, v) for v in variables]
    numbers = dict(zip(variables, map(float, x), strict=True))
    found = np.array([float(library.N(d.subs(numbers))) for d in derivatives])
    note = f"{size(formula)} nodes, its derivatives {sum(map(size, derivatives))}"
    return _way("symbolic", found, exact, None, note), str(formula), tuple(map(str, derivatives))


class Growth(NamedTuple):
    """How long both kinds of derivative are for a step done so many times.

    Attributes:
        depth: how many times.
        formula: nodes of the formula's tree.
        derivative: nodes of its derivative's tree, not simplified.
        automatic: operations of the computation and its backward pass.
    """

    depth: int
    formula: int
    derivative: int
    automatic: int


def symbolic_growth(step: Function, depth: int = 6) -> list[Growth]:
    """The size of the derivative of step(step(… step(x))): as a formula, and as a computation.

    step: from a tensor (1,) to a tensor (1,). Formulas name nothing, so what a step uses twice is written out twice:
    they grow exponentially. The computation grows by the same number of operations with each step.

    >>> [row.automatic for row in symbolic_growth(lambda x: 4 * x * (1 - x), depth=3)]
    [12, 22, 32]
    """
    x = sympy().Symbol("x")
    formula, rows = np.array([x], object), []
    for d in range(1, depth + 1):
        formula = np.array([as_formula(step, [formula[0]]).reshape(-1)[0]], object)
        derivative = sympy().diff(formula[0], x)
        rows.append(Growth(d, size(formula[0]), size(derivative), _operations(step, d)))
    return rows


def _operations(step: Function, depth: int) -> int:
    """How many operations a value and its gradient take."""
    trace = Trace()
    with tracing(trace):
        x = Primitive.make_tensor(trace.new_input((1,), np.dtype(np.float64), True))
        value = x
        for _ in range(depth):
            value = step(value)
        grad(value.sum(), [x])
    return len(trace.equations)
