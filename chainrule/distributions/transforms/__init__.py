"""Invertible functions of random numbers, with the logarithm of how much they stretch space.

If y = f(x), the density of y is that of x divided by |det ∂y/∂x|: `log_abs_det_jacobian(x, y)` is the logarithm of that
determinant. `TransformedDistribution` uses these, and so do normalising flows.

>>> import chainrule
>>> f = ComposeTransform([AffineTransform(1.0, 2.0), ExpTransform()])
>>> y = f(chainrule.tensor(0.5))
>>> y, f.inv(y), f.log_abs_det_jacobian(chainrule.tensor(0.5), y)      # ln 2 + 2
(tensor(7.3891), tensor(0.5000), tensor(2.6931))
"""

from chainrule.distributions.transforms.combined import (
    CatTransform,
    ComposeTransform,
    IndependentTransform,
    StackTransform,
    identity_transform,
)
from chainrule.distributions.transforms.numbers import (
    AbsTransform,
    AffineTransform,
    CumulativeDistributionTransform,
    ExpTransform,
    PowerTransform,
    SigmoidTransform,
    SoftplusTransform,
    TanhTransform,
)
from chainrule.distributions.transforms.transform import (
    Transform,
)
from chainrule.distributions.transforms.vectors import (
    CorrCholeskyTransform,
    LowerCholeskyTransform,
    PositiveDefiniteTransform,
    ReshapeTransform,
    SoftmaxTransform,
    StickBreakingTransform,
)

__all__ = [
    "AbsTransform",
    "AffineTransform",
    "CatTransform",
    "ComposeTransform",
    "CorrCholeskyTransform",
    "CumulativeDistributionTransform",
    "ExpTransform",
    "IndependentTransform",
    "LowerCholeskyTransform",
    "PositiveDefiniteTransform",
    "PowerTransform",
    "ReshapeTransform",
    "SigmoidTransform",
    "SoftmaxTransform",
    "SoftplusTransform",
    "StackTransform",
    "StickBreakingTransform",
    "TanhTransform",
    "Transform",
    "identity_transform",
]
