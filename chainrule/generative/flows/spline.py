"""The rational-quadratic spline: a rising function in pieces, quotients of parabolas, that is undone in closed form.

Source: Durkan, Bekasov, Murray and Papamakarios, "Neural spline flows", 2019; the pieces are Gregory and Delbourgo's,
"Piecewise rational quadratic interpolation to monotonic data", 1982.
"""

from __future__ import annotations

import math

from chainrule import nn
from chainrule.functions.pieces import cat
from chainrule.generative.flows.coupling import Coupling
from chainrule.nn import functional as F
from chainrule.tensor import Tensor

# A bin has at least this share of what bins of one size would have, a knot at least this slope: no division by nothing.
SMALLEST_SHARE = 0.01
SMALLEST_SLOPE = 1e-3
# softplus of this plus SMALLEST_SLOPE is 1: a network that gives 0 gives the identity.
SLOPE_SHIFT = math.log(math.expm1(1 - SMALLEST_SLOPE))


def knots(logits: Tensor, bound: float) -> Tensor:
    """Where bins begin and end, from −bound to bound: (N, bins + 1, …) for logits (N, bins, …)."""
    shares = SMALLEST_SHARE / logits.shape[1] + (1 - SMALLEST_SHARE) * logits.softmax(1)
    inner = bound * (2 * shares.cumsum(1)[:, :-1] - 1)
    edge = inner[:, :1].detach() * 0
    return cat([edge - bound, inner, edge + bound], 1)


def rational_quadratic_spline(
    x: Tensor, widths: Tensor, heights: Tensor, slopes: Tensor, bound: float, inverse: bool = False
) -> tuple[Tensor, Tensor]:
    """The spline of each number, or its inverse, and the logarithm of its slope; numbers beyond ±bound stay themselves.

    Args:
        x: (N, …).
        widths: (N, bins, …), logits of the bins' shares of the width 2·bound.
        heights: the same of their heights.
        slopes: (N, bins − 1, …): the slopes at the inner knots before softplus; at the ends the slope is 1.
        bound: the spline acts on [−bound, bound] and leads onto it.
        inverse: undo it instead.

    In a bin of slope s = height/width with slopes d₀ and d₁ at its ends, at t in [0, 1] of its width,

        y = y₀ + height·(s·t² + d₀·t·(1 − t))/(s + (d₀ + d₁ − 2·s)·t·(1 − t)).

    >>> import chainrule
    >>> x = chainrule.tensor([-5.0, 0.5, 2.0])
    >>> rational_quadratic_spline(x, *(chainrule.zeros(3, k) for k in (4, 4, 3)), bound=3.0)[0]
    tensor([-5.0000,  0.5000,  2.0000])
    """
    at_x, at_y = knots(widths, bound), knots(heights, bound)
    inner = SMALLEST_SLOPE + F.softplus(slopes + SLOPE_SHIFT)
    one = at_x[:, :1].detach() * 0 + 1
    slopes = cat([one, inner, one], 1)

    inside = x.clamp(-bound, bound)
    edges = at_y if inverse else at_x
    bin_ = (inside.unsqueeze(1) >= edges[:, 1:-1]).long().sum(1, keepdim=True)
    x0, x1, y0, y1, d0, d1 = (
        values.gather(1, bin_ + step).squeeze(1) for values in (at_x, at_y, slopes) for step in (0, 1)
    )
    height = y1 - y0
    s = height / (x1 - x0)
    bend = d0 + d1 - 2 * s
    if inverse:
        t = _undone((inside - y0) / height, s, d0, bend)
        y = x0 + t * (x1 - x0)
    else:
        t = (inside - x0) / (x1 - x0)
        y = y0 + height * (s * t * t + d0 * t * (1 - t)) / (s + bend * t * (1 - t))
    slope = 2 * s.log() + (d1 * t * t + 2 * s * t * (1 - t) + d0 * (1 - t) * (1 - t)).log()
    slope = slope - 2 * (s + bend * t * (1 - t)).log()
    beyond = x.abs() > bound
    return x.where(beyond, y), (slope * 0).where(beyond, -slope if inverse else slope)


def _undone(share: Tensor, s: Tensor, d0: Tensor, bend: Tensor) -> Tensor:
    """t for a share of the bin's height: the root of a parabola a·t² + b·t + c, in the form that loses no digits."""
    a = s - d0 + share * bend
    b = d0 - share * bend
    c = -s * share
    return -2 * c / (b + (b * b - 4 * a * c).clamp(min=0).sqrt())


class SplineCoupling(Coupling):
    """A rational-quadratic spline on the numbers that are not kept; 3·bins − 1 parameters each from the network.

    Between −bound and bound the spline may bend as its bins allow; beyond it is the identity.

    >>> import chainrule
    >>> from chainrule import nn
    >>> coupling = SplineCoupling(chainrule.tensor([1.0, 0.0]), nn.Linear(2, 2 * 23), bins=8, bound=3.0)
    >>> x = chainrule.randn(3, 2)
    >>> z, stretch = coupling(x)
    >>> chainrule.allclose(coupling.inverse(z)[0], x, atol=1e-4)
    True
    """

    def __init__(self, mask: Tensor, network: nn.Module, bins: int = 8, bound: float = 3.0) -> None:
        super().__init__(mask, network)
        if bins < 2 or not bound > 0:
            raise ValueError(f"SplineCoupling: 2 bins or more and a bound above 0, got {bins} and {bound}.")
        self.bins, self.bound, self.parameters_each = bins, bound, 3 * bins - 1

    def elementwise(self, x: Tensor, theta: Tensor, inverse: bool) -> tuple[Tensor, Tensor]:
        k = self.bins
        return rational_quadratic_spline(x, theta[:, :k], theta[:, k : 2 * k], theta[:, 2 * k :], self.bound, inverse)
