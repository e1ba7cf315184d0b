"""Rprop: only the sign of the gradient counts, and each coordinate finds its own step size."""

from __future__ import annotations

from typing import Any, NamedTuple

from chainrule.functions.creation import full_like, zeros_like
from chainrule.functions.logic import where
from chainrule.optim.clock import clock_number, next_step
from chainrule.optim.optimizer import Optimizer, check_not_negative, write
from chainrule.tensor import Tensor


class RpropStep(NamedTuple):
    """The new parameter, the gradient to compare with next time, and the step sizes."""

    parameter: Tensor
    previous: Tensor
    size: Tensor


def rprop(
    parameter: Tensor,
    gradient: Tensor,
    previous: Tensor,
    size: Tensor,
    *,
    etas: tuple[float, float] = (0.5, 1.2),
    step_sizes: tuple[float, float] = (1e-6, 50),
) -> RpropStep:
    """One step as a pure function.

        Δ ← η₊·Δ where g·g′ > 0, η₋·Δ where g·g′ < 0, Δ where it is 0, and then within [Δ_min, Δ_max]
        g ← 0 where g·g′ < 0                        the last step went too far: wait
        θ ← θ − Δ·sign g,  g′ ← g

    g′ is the gradient of the step before. Source: Riedmiller and Braun, "A direct adaptive method for faster
    backpropagation learning: the RPROP algorithm", 1993. Made for whole data sets: on small batches signs change by
    chance.
    """
    shrink, grow = etas
    product = gradient * previous
    size = where(product > 0, size * grow, where(product < 0, size * shrink, size)).clamp(*step_sizes)
    gradient = gradient.masked_fill(product < 0, 0)
    return RpropStep(parameter - gradient.sign() * size, gradient, size)


class Rprop(Optimizer):
    """Resilient backpropagation: steps that grow while the sign stays and shrink when it turns. :func:`rprop`.

    Args:
        params: parameters, or groups of them with settings of their own.
        lr: the first step size of all coordinates.
        etas: (η₋, η₊) with 0 < η₋ < 1 < η₊.
        step_sizes: (Δ_min, Δ_max).
        maximize: climb instead of descending.
        differentiable: record the step, so that what it gives can be differentiated.
        capturable, foreach: taken and ignored; they choose between PyTorch's implementations of one rule.

    Raises ValueError for settings out of their range.

    >>> import chainrule
    >>> w = chainrule.tensor([1.0, 100.0], requires_grad=True)
    >>> optimizer = Rprop([w], lr=0.1)
    >>> (w ** 2).sum().backward(); optimizer.step(); w
    tensor([ 0.9000, 99.9000], requires_grad=True)
    """

    elementwise = True

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_not_negative(lr=lr)
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(f"etas are two factors, 0 < shrink < 1 < grow, got {etas}.")
        settings = {
            "lr": lr, "etas": etas, "step_sizes": step_sizes, "foreach": foreach, "maximize": maximize,
            "differentiable": differentiable, "capturable": capturable,
        }  # fmt: skip
        super().__init__(params, settings)

    def initial_state(self, parameter: Tensor, group: dict[str, Any]) -> dict[str, Tensor]:
        """All step sizes lr, and no gradient before."""
        return {
            "step": clock_number(0.0), "prev": zeros_like(parameter),
            "step_size": full_like(parameter, float(group["lr"])),
        }  # fmt: skip

    def update(self, parameter: Tensor, gradient: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        """Apply the rule to one parameter."""
        next_step(state)
        settings = {name: group[name] for name in ("etas", "step_sizes")}
        result = rprop(parameter, gradient, state["prev"], state["step_size"], **settings)
        write(parameter, result.parameter, state, {"prev": result.previous, "step_size": result.size})
