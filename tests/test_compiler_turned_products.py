"""Products whose result lies otherwise than its tiles: written as they come, and turned in a pass of their own.

A tile has the columns of the result side by side. Where the result's columns lie far apart, a large one would be written
entry by entry, so it is copied afterwards; a small one is written at once. Both are what NumPy computes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule.backends.native.lowering.lower import LITTLE
from chainrule.nn import functional as F


def drawn(*shape: int) -> Any:
    return chainrule.randn(*shape, dtype=chainrule.float64)


def after_the_product(step: Any) -> list[str]:
    """What the kernels behind the last product do: the lines of `explain()` without stage and module path."""
    lines = step.explain().splitlines()[1:]
    last = max(i for i, line in enumerate(lines) if " product " in line)
    return [line.split(maxsplit=1)[1].split("  ")[0] for line in lines[last + 1 :]]


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_a_matrix_with_a_single_column_is_summed_up_row_by_row(dtype: str) -> None:
    """From either side, alone and in a batch, whatever follows; no tile is filled with one column."""
    tolerance = {"float64": 1e-13, "float32": 1e-5, "float16": 2e-3, "bfloat16": 2e-2}[dtype]

    @chainrule.compile
    def step(x: Any, w: Any, y: Any, v: Any) -> Any:
        return x @ w.T, w @ x.T, (x @ w.T).relu() + 1, y @ v.mT, v @ y.mT

    for rows, depth in ((4, 16), (7, 33), (64, 100), (130, 17)):
        arrays = [np.random.default_rng(rows).standard_normal(s) for s in
                  ((1, depth), (rows, depth), (2, 3, 1, depth), (2, 3, rows, depth))]  # fmt: skip
        given = [chainrule.tensor(a, dtype=getattr(chainrule, dtype)) for a in arrays]
        x, w, y, v = (t.double().numpy() for t in given)
        wanted = [x @ w.T, w @ x.T, np.maximum(x @ w.T, 0) + 1, y @ v.swapaxes(2, 3), v @ y.swapaxes(2, 3)]
        for found, expected in zip(step(*given), wanted, strict=True):
            scale = np.abs(expected).max()
            np.testing.assert_allclose(found.double().numpy(), expected, rtol=0, atol=tolerance * scale)
        assert " product " not in step.explain()


def test_a_matrix_that_one_row_is_multiplied_with_lies_turned_unless_it_lay_otherwise_before() -> None:
    """It is read row by row then; and what other programs see of it is the same."""
    new, old = (chainrule.nn.Parameter(drawn(64, 48)) for _ in range(2))
    x, many = drawn(1, 64), drawn(20, 64)
    products = [chainrule.compile(lambda x, w=w: x @ w) for w in (new, old)]
    with chainrule.no_grad():
        products[1](many)
        found = [product(x) for product in products]
        for y, w, product in zip(found, (new, old), products, strict=True):
            np.testing.assert_allclose(y.numpy(), x.numpy() @ w.detach().numpy(), rtol=1e-12, atol=1e-12)
            np.testing.assert_allclose(product(many).numpy(), many.numpy() @ w.detach().numpy(), rtol=1e-12, atol=1e-12)
        new.mul_(2)
        np.testing.assert_allclose(products[0](x).numpy(), 2 * found[0].numpy(), rtol=1e-12, atol=1e-12)


def convolved(x: Any, w: Any) -> Any:
    """The sum over all entries of a 3×3 kernel, with one row and column of zeros around the image."""
    height, width = x.shape[2:]
    wide = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    parts = [
        np.einsum("nchw,oc->nohw", wide[:, :, i : i + height, j : j + width], w[:, :, i, j])
        for i in range(3)
        for j in range(3)
    ]
    return sum(parts)


@pytest.mark.parametrize("size", [8, 15, 16, 40])
def test_a_convolution_that_is_returned(size: int) -> None:
    """To the caller an image lies with its channels first; a tile has its channels side by side."""
    step = chainrule.compile(lambda x, w: F.conv2d(x, w, padding=1))
    x, w = drawn(2, 16, size, size), drawn(32, 16, 3, 3)
    np.testing.assert_allclose(step(x, w).numpy(), convolved(x.numpy(), w.numpy()), rtol=1e-10, atol=1e-10)
    large = 2 * 32 * size * size >= LITTLE
    assert after_the_product(step) == [f"[2×32×{size}×{size}] copy"] * large


@pytest.mark.parametrize("rows", [20, 200])
def test_a_matrix_that_is_returned(rows: int) -> None:
    """As it lies nothing is to be turned, however large it is; transposed it is."""
    x, w = drawn(rows, 64), drawn(64, 128)
    want = x.numpy() @ w.numpy()
    plain, turned = chainrule.compile(lambda x, w: x @ w), chainrule.compile(lambda x, w: (x @ w).T)
    np.testing.assert_allclose(plain(x, w).numpy(), want, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(turned(x, w).numpy(), want.T, rtol=1e-10, atol=1e-10)
    assert after_the_product(plain) == []
    assert after_the_product(turned) == [f"[128×{rows}] copy"] * (rows * 128 >= LITTLE)


def test_what_is_done_with_each_entry_is_done_before_it_is_turned() -> None:
    """Bias and activation stay in the product's kernel; the pass behind it only moves."""
    step = chainrule.compile(lambda x, w, b: F.conv2d(x, w, b, padding=1).relu())
    x, w, b = drawn(2, 16, 16, 16), drawn(32, 16, 3, 3), drawn(32)
    want = np.maximum(convolved(x.numpy(), w.numpy()) + b.numpy()[:, None, None], 0)
    np.testing.assert_allclose(step(x, w, b).numpy(), want, rtol=1e-10, atol=1e-10)
    assert after_the_product(step) == ["[2×32×16×16] copy"]
    assert any("product" in line and "Maximum" in line for line in step.explain().splitlines())
