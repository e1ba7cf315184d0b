"""Adafactor: a second moment for a whole matrix, kept as one row and one column."""

from __future__ import annotations

from typing import Any, NamedTuple

from chainrule.dtypes import FloatLimits
from chainrule.functions.creation import zeros, zeros_like
from chainrule.optim.clock import clock_number, next_step
from chainrule.optim.optimizer import Optimizer, check_not_negative, is_on, write
from chainrule.tensor import Tensor


class AdafactorStep(NamedTuple):
    """The new parameter; the mean squares of rows and of columns, or of all entries."""

    parameter: Tensor
    row: Tensor | None
    column: Tensor | None
    variance: Tensor | None


def adafactor(
    parameter: Tensor,
    gradient: Tensor,
    row: Tensor | None,
    column: Tensor | None,
    variance: Tensor | None,
    step: Tensor,
    *,
    lr: float | Tensor,
    beta2_decay: float = -0.8,
    eps: tuple[float | None, float] = (None, 1e-3),
    d: float = 1.0,
    weight_decay: float = 0.0,
) -> AdafactorStep:
    """Step t = 1, 2, … as a pure function; for a matrix (or a stack of them) with `row` and `column`.

        αₜ = max(ε₂, RMS(θ))·min(η, 1/√t)            RMS(x) = ‖x‖/√n: steps relative to the parameter
        θ ← θ − η·λ·θ
        R ← R + t^γ·(mean of g² over each row − R)    likewise C over each column; γ < 0
        v̂ = R·C/mean(R)                               a matrix of rank one; for vectors v ← v + t^γ·(g² − v), v̂ = v
        u = g/√max(v̂, ε₁²)
        θ ← θ − αₜ·u/max(1, RMS(u)/d)                 no step larger than d

    Source: Shazeer and Stern, "Adafactor: adaptive learning rates with sublinear memory cost", 2018. As in PyTorch,
    ε₁ bounds √v̂ from below where the paper adds it to g².
    """
    t = step.double()
    smallest, least = FloatLimits(parameter.dtype).eps if eps[0] is None else eps[0], eps[1]
    share = t**beta2_decay
    rate = _root_mean_square(parameter).clamp(min=least) * (1 / t.sqrt()).clamp(max=lr)
    if is_on(weight_decay):
        parameter = parameter * (1 - lr * weight_decay)
    square = gradient * gradient
    if row is not None and column is not None:
        row = row + (square.mean(-1, keepdim=True) - row) * share
        column = column + (square.mean(-2, keepdim=True) - column) * share
        estimate = row @ column / row.mean(-2, keepdim=True).clamp(min=smallest)
    else:
        variance = estimate = variance + (square - variance) * share
    update = gradient * estimate.clamp(min=smallest * smallest).rsqrt()
    scale = rate / (_root_mean_square(update) / d).clamp(min=1.0)
    return AdafactorStep(parameter - update * scale, row, column, variance)


def _root_mean_square(x: Tensor) -> Tensor:
    return (x * x).mean().sqrt()


class Adafactor(Optimizer):
    """Adafactor: Adam's idea with the memory of plain gradient descent. The rule is :func:`adafactor`.

    Args:
        params: parameters, or groups of them with settings of their own.
        lr: η, the largest rate relative to the parameter's size.
        beta2_decay: γ < 0: the mean square forgets with t^γ.
        eps: ε₁, the least root mean square (None: the data type's precision), and ε₂, the least size of a parameter.
        d: the largest size of a step before the rate, at least 1.
        weight_decay: λ, decoupled.
        maximize: climb instead of descending.
        foreach: taken and ignored; it chooses between PyTorch's implementations of one rule.

    Raises ValueError for settings out of their range.

    >>> import chainrule
    >>> w = chainrule.ones(2, 2, requires_grad=True)
    >>> optimizer = Adafactor([w], lr=0.1)
    >>> (w ** 2).sum().backward(); optimizer.step(); w
    tensor([[0.9000, 0.9000],
            [0.9000, 0.9000]], requires_grad=True)
    """

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        check_not_negative(lr=lr, weight_decay=weight_decay, eps_1=eps[0] or 0.0, eps_2=eps[1])
        if beta2_decay > 0:
            raise ValueError(f"beta2_decay is not above 0, got {beta2_decay}.")
        if not d >= 1.0:
            raise ValueError(f"d, the largest size of a step, is at least 1, got {d}.")
        settings = {
            "lr": lr, "beta2_decay": beta2_decay, "eps": eps, "d": d, "weight_decay": weight_decay,
            "foreach": foreach, "maximize": maximize,
        }  # fmt: skip
        super().__init__(params, settings)

    def initial_state(self, parameter: Tensor, group: dict[str, Any]) -> dict[str, Tensor]:
        """Mean squares 0: one for each row and one for each column, or for each entry of a vector."""
        if parameter.ndim < 2:
            return {"step": clock_number(0.0), "variance": zeros_like(parameter)}
        *stack, rows, columns = parameter.shape
        return {
            "step": clock_number(0.0),
            "row_var": zeros(*stack, rows, 1, dtype=parameter.dtype, device=parameter.device),
            "col_var": zeros(*stack, 1, columns, dtype=parameter.dtype, device=parameter.device),
        }

    def update(self, parameter: Tensor, gradient: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        """Apply the rule to one parameter."""
        settings = {name: group[name] for name in ("lr", "beta2_decay", "eps", "d", "weight_decay")}
        moments = state.get("row_var"), state.get("col_var"), state.get("variance")
        result = adafactor(parameter, gradient, *moments, next_step(state), **settings)
        entries = {"row_var": result.row, "col_var": result.column, "variance": result.variance}
        write(parameter, result.parameter, state, entries)
