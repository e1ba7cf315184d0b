"""Newton–Raphson: roots of functions by their tangents."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from chainrule.autograd.functional import jacobian
from chainrule.dtypes import FloatLimits, get_default_dtype
from chainrule.errors import ShapeError
from chainrule.functions.creation import as_tensor
from chainrule.functions.linalg import solve
from chainrule.functions.promotion import need_tensor
from chainrule.tensor import Tensor


class Root(NamedTuple):
    """Where the search ended.

    Attributes:
        x: the root found, or the last point.
        value: the function there.
        steps: how many steps were made.
        converged: whether the last step was as small as was asked.
    """

    x: Tensor
    value: Tensor
    steps: int
    converged: bool


def newton_raphson(
    function: Callable[[Tensor], Tensor], x: Tensor | float, tolerance: float | None = None, max_iterations: int = 50
) -> Root:
    """Solve f(x) = 0: x ← x − f(x)/f′(x), and with several unknowns x ← x − J⁻¹·f(x), J the Jacobian.

    Each step goes to where the tangent at x is zero. Near a simple root the number of right digits doubles in every
    step; far away it may go anywhere, and `converged` says so. Newton's method for minima is this, for f = ∇L.

    Args:
        function: takes and gives a tensor of the shape of x: as many equations as unknowns.
        x: where to start, a tensor or a number.
        tolerance: the step, relative to x where that is above 1, at which it ends; by default 100 times the precision
            of x's data type.
        max_iterations: the most steps.

    Raises ShapeError if the function gives another shape than x has, `linalg.LinAlgError` where the slope is 0.
    Source: lecture summary, IV.1.g.

    >>> import chainrule
    >>> newton_raphson(lambda x: x ** 2 - 2, chainrule.tensor(1.0, dtype="float64")).x.item()
    1.414213562373095
    >>> circle_and_line = lambda p: chainrule.stack([p[0] ** 2 + p[1] ** 2 - 25, p[0] + p[1] - 7])
    >>> newton_raphson(circle_and_line, chainrule.tensor([5.0, 1.0])).x
    tensor([4., 3.])
    """
    x = (x if isinstance(x, Tensor) else as_tensor(x)).detach()
    if not x.dtype.is_floating_point:
        x = x.to(get_default_dtype())  # whole numbers have no tangents
    tolerance = 100 * FloatLimits(x.dtype).eps if tolerance is None else tolerance
    for steps in range(1, max_iterations + 1):
        value = need_tensor(function(x), "newton_raphson")
        if value.shape != x.shape:
            raise ShapeError(
                f"newton_raphson: for x of shape {tuple(x.shape)} the function gives {tuple(value.shape)}; "
                "a root needs as many equations as unknowns."
            )
        size = x.numel()
        step = solve(jacobian(function, x).reshape(size, size), value.detach().reshape(size)).reshape(x.shape)
        x = x - step
        if float(step.abs().max()) <= tolerance * max(1.0, float(x.abs().max())):
            return Root(x, function(x).detach(), steps, True)
    return Root(x, function(x).detach(), max_iterations, False)
