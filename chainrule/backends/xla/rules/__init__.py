"""The rules of the backend: for each primitive what it is in JAX, one line where possible.

A rule has the arguments of the primitive's own `evaluate` and JAX's arrays in the place of NumPy's. The files are
formula collections, one for each kind. A test compares every rule with NumPy's meaning for all samples of the registry
in all types (`tests/test_xla_registry.py`); a primitive without a rule must stand in `by_numpy.REASONS`.
"""

from chainrule.backends.xla.rules import (
    attention,
    contraction,
    elementwise,
    linear_algebra,
    moves,
    random,
    reduction,
)
from chainrule.backends.xla.rules.by_numpy import REASONS, by_numpy
from chainrule.backends.xla.rules.table import RULES, Run, Wrong, report, running

__all__ = [
    "REASONS", "RULES", "Run", "Wrong", "attention", "by_numpy", "contraction", "elementwise", "linear_algebra",
    "moves", "random", "reduction", "report", "running",
]  # fmt: skip
