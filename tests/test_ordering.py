"""Where entries stand in order, against NumPy's stable sort: every type, ties, NaN, both zeros, the widest numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from chainrule.primitives.ordering import stable_order

SHAPES = [
    ((50,), 0),
    ((3, 40), 1),
    ((3, 40), 0),
    ((2, 5, 33), -2),
    ((0,), 0),
    ((3, 0), 1),
    ((0, 3), 1),
    ((1,), 0),
    ((4000,), 0),
]


def cases(dtype: Any) -> Iterator[tuple[np.ndarray[Any, Any], int]]:
    random = np.random.default_rng(0)
    for shape, axis in SHAPES:
        few = random.integers(-5, 6, shape)
        yield (few > 0 if dtype.kind == "b" else few.astype(dtype)), axis
        if dtype.kind == "f":
            x = random.standard_normal(shape).astype(dtype)
            yield x, axis
            if x.size > 8:
                x.reshape(-1)[:8] = [-np.inf, np.nan, -0.0, 0.0, np.inf, np.nan, -np.nan, np.finfo(dtype).tiny]
                yield x, axis
        elif dtype.kind in "iu":
            limits = np.iinfo(dtype)
            yield random.integers(limits.min, limits.max, shape, dtype=dtype, endpoint=True), axis


@pytest.mark.parametrize("name", ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?"])
def test_the_order_is_that_of_a_stable_sort(name: str) -> None:
    for x, axis in cases(np.dtype(name)):
        order = stable_order(x, axis)
        assert order.dtype == np.int64
        np.testing.assert_array_equal(order, np.argsort(x, axis=axis, kind="stable"))
