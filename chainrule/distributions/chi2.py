"""The χ² distribution."""

from __future__ import annotations

from typing import Any

from chainrule.distributions import constraints
from chainrule.distributions.gamma import Gamma
from chainrule.distributions.utils import broadcast_all
from chainrule.tensor import Tensor

__all__ = ["Chi2"]


class Chi2(Gamma):
    """The sum of `df` squares of standard normal numbers: a gamma distribution with concentration df/2 and rate ½.

    >>> import chainrule
    >>> Chi2(3.0).mean
    tensor(3.)
    """

    arg_constraints = {"df": constraints.positive}

    def __init__(self, df: Any, validate_args: bool | None = None) -> None:
        (df,) = broadcast_all(df)
        super().__init__(0.5 * df, 0.5, validate_args=validate_args)

    def _expand_into(self, new: Any, batch_shape: Any) -> None:
        new.concentration, new.rate = (x.expand(*batch_shape) for x in (self.concentration, self.rate))

    @property
    def df(self) -> Tensor:
        """Degrees of freedom."""
        return 2 * self.concentration

    def __repr__(self) -> str:
        return f"Chi2(df: {self.df if self.df.numel() == 1 else tuple(self.df.shape)})"
