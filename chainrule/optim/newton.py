"""Newton's method: to the minimum of the parabola that fits the loss here, with Levenberg's damping."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from chainrule.autodiff.mode import enable_grad, no_grad
from chainrule.dtypes import FloatLimits
from chainrule.errors import GradientError
from chainrule.functions.linalg import eigh
from chainrule.nn.utils.convert_parameters import parameters_to_vector, vector_to_parameters
from chainrule.optim.curvature import gradient_and_hessian
from chainrule.optim.optimizer import Optimizer, check_not_negative
from chainrule.tensor import Tensor

#: The damping tried after a failure without any, and what an indefinite Hessian is lifted above 0, both as a part of
#: its largest |eigenvalue|; and the part that counts as no damping any more.
FIRST_DAMPING, NO_DAMPING = 1e-3, 1e-8
#: How many dampings are tried, each ten times the last, before the parameters stay where they are.
TRIES = 20


def newton_step(gradient: Tensor, eigenvalues: Tensor, eigenvectors: Tensor, damping: float = 0.0) -> Tensor:
    """−(H + λI)⁻¹·g for H = Q·diag(eigenvalues)·Qᵀ, eigenvectors in the columns of Q.

    In the axes of the ellipse each coordinate of the gradient is divided by its own curvature plus λ. So λ = 0 goes
    to the parabola's minimum; a large λ makes a short gradient step −g/λ.

    >>> import chainrule
    >>> newton_step(chainrule.tensor([2.0, 8.0]), chainrule.tensor([1.0, 3.0]), chainrule.eye(2), damping=1.0)
    tensor([-1., -2.])
    """
    return -(eigenvectors @ ((eigenvectors.T @ gradient) / (eigenvalues + damping)))


class Newton(Optimizer):
    """θ ← θ − η·(H + λI)⁻¹·∇L with the exact Hessian H of all parameters together, and damping λ (Levenberg, 1944).

    `step(closure)` makes one step. Other than for `SGD` the closure only *computes* the loss, without `backward()`: the
    Hessian needs the graph, and trial steps need the loss alone. It must give the same loss for the same parameters,
    so: the whole data set, no dropout.

    Adaptive damping, the default: the parabola predicts by how much the loss should fall. If it falls by less than a
    thousandth of that, the step is taken back and λ becomes ten times larger; below a quarter, λ is ten times larger
    in the next step; above three quarters, ten times smaller. Where the Hessian is not positive definite, λ lies above
    −λ₁, so steps lead down and away from saddle points (unless the gradient has no part at all in that direction).
    Near a minimum λ vanishes, and the number of right digits doubles in every step. With `adaptive=False` λ stays what
    it is; λ = 0 is the pure method, which goes to the next stationary point, be it a saddle point or a maximum.

    The cost is n backward passes and n³ operations for n parameters: for small models. In between stands `LBFGS`.

    Args:
        params: parameters; one group only, because the Hessian is of all of them.
        lr: η in (0, 1], a part of the step; 1 is Newton's.
        damping: λ ≥ 0, at first; `param_groups[0]["damping"]` is the present one.
        adaptive: change λ after how well the parabola predicts.

    Raises ValueError for settings out of their range and for a second group. Sources: lecture summary, IV.1.g; Nocedal
    and Wright, "Numerical Optimization", chapters 3 and 10.

    >>> import chainrule
    >>> x = chainrule.tensor([3.0, -2.0], requires_grad=True)
    >>> optimizer = Newton([x])
    >>> optimizer.step(lambda: x[0] ** 2 + 50 * x[1] ** 2 + x[0] * x[1]), x.detach()
    (tensor(203.), tensor([0., 0.]))
    """

    closure = "loss"

    def __init__(self, params: Any, lr: float = 1.0, damping: float = 0.0, adaptive: bool = True) -> None:
        check_not_negative(lr=lr, damping=damping)
        super().__init__(params, {"lr": lr, "damping": damping, "adaptive": adaptive})

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Take the parameters; a second group is refused with a ValueError."""
        if self.param_groups:
            raise ValueError("Newton's Hessian is of all parameters together, so it takes one group of them.")
        super().add_param_group(param_group)

    @no_grad()
    def take_step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step; the answer is the loss before. Raises TypeError without a closure."""
        if closure is None:
            raise TypeError("Newton's method needs the loss as a function of the parameters: optimizer.step(closure).")
        group = self.param_groups[0]
        try:
            with enable_grad():
                loss = closure()
                gradient, hessian = gradient_and_hessian(loss, group["params"])
        except GradientError as error:
            raise GradientError(
                f"Newton's closure computes the loss from the parameters and leaves out backward(): {error}"
            ) from error
        eigenvalues, eigenvectors = eigh(hessian)
        start = parameters_to_vector(group["params"])
        if not group["adaptive"]:
            step = newton_step(gradient, eigenvalues, eigenvectors, group["damping"]) * group["lr"]
            vector_to_parameters(start + step, group["params"])
            return loss.detach()
        scale = float(eigenvalues.abs().max())
        damping = max(group["damping"], _least_damping(float(eigenvalues[0]), scale))
        for _ in range(TRIES):
            step = newton_step(gradient, eigenvalues, eigenvectors, damping) * group["lr"]
            vector_to_parameters(start + step, group["params"])
            quality = _quality(float(loss), float(closure()), gradient, hessian, step)
            if quality > 1e-3:
                change = 0.1 if quality > 0.75 else 10 if quality < 0.25 else 1
                group["damping"] = damping * change if damping * change > NO_DAMPING * scale else 0.0
                return loss.detach()
            damping = max(10 * damping, FIRST_DAMPING * scale)
        vector_to_parameters(start, group["params"])
        return loss.detach()


def _least_damping(smallest: float, scale: float) -> float:
    """None for a Hessian that is clearly positive definite, else enough to make it so."""
    return 0.0 if smallest > NO_DAMPING * scale else FIRST_DAMPING * scale - smallest


def _quality(before: float, after: float, gradient: Tensor, hessian: Tensor, step: Tensor) -> float:
    """(loss before − loss after) / (what the parabola predicts); 1 where both drown in rounding errors."""
    predicted = -float(gradient.dot(step)) - 0.5 * float(step.dot(hessian @ step))
    rounding = 64 * FloatLimits(gradient.dtype).eps * abs(before)
    if abs(predicted) <= rounding and abs(before - after) <= rounding:
        return 1.0
    return (before - after) / predicted if predicted > 0 and math.isfinite(after) else -1.0
