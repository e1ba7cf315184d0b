"""Kullback–Leibler divergences KL(p ‖ q) = E_p[ln p(x) − ln q(x)], in closed form where there is one.

>>> import chainrule
>>> from chainrule.distributions import Normal
>>> kl_divergence(Normal(0.0, 1.0), Normal(1.0, 1.0))
tensor(0.5000)

`registry.py` finds the function for a pair of classes, `same_family.py` and `gaussians.py` have those of two members of
one family, `two_families.py` the others.
"""

from chainrule.distributions.kl import gaussians, same_family, two_families  # noqa: F401 (they register)
from chainrule.distributions.kl.registry import kl_divergence, register_kl

__all__ = ["kl_divergence", "register_kl"]
