"""What the tests of loops share: how results are compared, and which loops a program has."""

from __future__ import annotations

from typing import Any

import numpy as np


def same(a: Any, b: Any) -> None:
    """Two results, tensors in tuples and lists, are built alike and agree, up to the roundings of float64."""
    assert type(a) is type(b)
    if isinstance(a, tuple | list):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            same(x, y)
    else:
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-9, atol=1e-12)


def total(results: Any) -> Any:
    """The sum of the squares of all that was computed: a loss that depends on everything."""
    if isinstance(results, tuple | list):
        return sum(total(x) for x in results)
    return (results * results).sum()


def depths(step: Any) -> list[int]:
    """Within how many loops each loop of a program stands."""
    return [kernel.depth for kernel in step.program.executable.kernels if kernel.loop == "end"]
