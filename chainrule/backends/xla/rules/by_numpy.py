"""What XLA has no operation for: NumPy computes it in the middle of the program, on the host.

Few primitives are left to that: see `REASONS`. On an accelerator their inputs and results travel.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from chainrule.backends.xla.rules.table import report
from chainrule.primitives.numpy_function import NumPyFunction
from chainrule.primitives.primitive import Primitive
from chainrule.primitives.random import RandomBinomial, RandomLogGamma, RandomPoisson, RandomVonMises

_REJECTION = "draws by rejection, whose bits rest on NumPy's logarithm, exponential and cosine"

#: Why NumPy computes these.
REASONS: dict[type[Primitive], str] = {
    NumPyFunction: "a function of NumPy's arrays",
    RandomLogGamma: _REJECTION,
    RandomPoisson: _REJECTION,
    RandomBinomial: _REJECTION,
    RandomVonMises: _REJECTION,
}


def by_numpy(primitive: type[Primitive], arrays: Sequence[Any], parameters: dict[str, Any], forms: Any) -> Any:
    """The primitive's results by its meaning in NumPy. An error there is reported as wrong numbers are."""
    listed = forms if type(forms) is list else [forms]

    def compute(*given: Any) -> Any:
        try:
            made = primitive.compute([np.asarray(x) for x in given], parameters, forms)
        except Exception:  # it is raised when the step is done again in NumPy
            return np.True_, *[np.zeros(*form) for form in listed]
        return np.False_, *(made if type(forms) is list else [made])

    kinds = [jax.ShapeDtypeStruct((), bool), *[jax.ShapeDtypeStruct(*form) for form in listed]]
    wrong, *results = jax.pure_callback(compute, tuple(kinds), *arrays)
    report(wrong)
    return results if type(forms) is list else results[0]
