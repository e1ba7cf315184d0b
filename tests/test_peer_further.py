"""Derivatives by differences, quantiles beside NaN, and numbers from other libraries' memory: PyTorch's answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule

LINES = [
    # derivatives by differences
    "lib.gradient(lib.arange(7.0) ** 3)[0]",
    "lib.gradient(lib.arange(7.0) ** 3, edge_order=2)[0]",
    "lib.gradient(lib.arange(12.0).reshape(3, 4) ** 2, spacing=0.5)[1]",
    "lib.gradient(lib.arange(12.0).reshape(3, 4) ** 2, spacing=[0.5, 2.0])[0]",
    "lib.gradient(lib.arange(12.0).reshape(3, 4) ** 2, dim=-1, spacing=3.0, edge_order=2)[0]",
    "lib.gradient(lib.arange(12.0).reshape(3, 4) ** 2, spacing=(lib.tensor([0.0, 1.0, 4.0]), lib.tensor([0.0, 0.5, 2.0, 7.0])))[0]",
    "lib.gradient(lib.arange(12.0).reshape(3, 4) ** 2, spacing=(lib.tensor([0.0, 0.5, 2.0, 7.0]),), dim=1, edge_order=2)[0]",
    "lib.gradient(lib.arange(4.0).reshape(2, 2), dim=(1, 0))[1]",
    "lib.gradient(lib.ones(1))",
    "lib.gradient(lib.ones(2), edge_order=2)",
    "lib.gradient(lib.ones(2, 3), spacing=[1.0])",
    # bytes of other libraries
    "lib.frombuffer(bytes(range(8)), dtype=lib.int16)",
    "lib.frombuffer(bytes(range(8)), dtype=lib.int16, count=2, offset=2)",
    "lib.frombuffer(bytes(range(8)), dtype=lib.float64, requires_grad=True)",
    "lib.frombuffer(bytes(range(7)), dtype=lib.int16)",
    "lib.frombuffer(bytes(range(8)), dtype=lib.int16, count=5)",
    "lib.from_dlpack(np.arange(3.0))",
    # quantiles
    *(
        f"lib.nanquantile(lib.tensor([[3.0, 1.0, float('nan'), 2.0], [float('nan'), float('nan'), 5.0, float('nan')], [float('nan'), float('nan'), float('nan'), float('nan')]]), {q}, 1, interpolation='{kind}')"
        for kind in ("linear", "lower", "higher", "midpoint", "nearest")
        for q in ("0.25", "0.75", "lib.tensor([0.0, 0.5, 1.0])")
    ),
    "lib.nanquantile(lib.tensor([[3.0, float('nan')], [1.0, 2.0]]), 0.3)",
    "lib.nanquantile(lib.tensor([[3.0, float('nan')], [1.0, 2.0]]), 0.3, keepdim=True)",
    "lib.tensor([[3.0, float('nan')], [1.0, 2.0]]).nanquantile(0.3, dim=0, keepdim=True)",
    "lib.tensor([[float('inf'), float('nan')], [float('inf'), 2.0]]).nanquantile(0.5, dim=0)",
    "lib.tensor(3.0).nanquantile(0.5)",
    "lib.nanquantile(lib.ones(2), 1.5)",
    "lib.nanquantile(lib.ones(0), 0.5)",
]  # fmt: skip


@pytest.mark.peer
@pytest.mark.parametrize("line", LINES)
def test_values_and_refusals_are_pytorch_s(line: str) -> None:
    torch = pytest.importorskip("torch")
    try:
        theirs = eval(line, {"lib": torch, "np": np})
    except (RuntimeError, ValueError):
        with pytest.raises((chainrule.ChainruleError, ValueError)):
            eval(line, {"lib": chainrule, "np": np})
        return
    ours = eval(line, {"lib": chainrule, "np": np})
    assert ours.shape == theirs.shape and str(ours.dtype).split(".")[1] == str(theirs.dtype).split(".")[1]
    np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol=1e-5)


@pytest.mark.parametrize("interpolation", ["linear", "lower", "higher", "midpoint", "nearest"])
def test_gradients_are_differences(interpolation: str) -> None:
    nan = float("nan")
    x = chainrule.tensor([[0.3, nan, 1.7, 0.9], [nan, 2.0, nan, -1.0]], dtype="float64", requires_grad=True)
    shares = chainrule.tensor([0.1, 0.6], dtype="float64")

    def known(values: Any) -> Any:
        filled = chainrule.where(x.detach().isnan(), nan, values)
        return chainrule.nanquantile(filled, shares, 1, interpolation=interpolation)

    assert chainrule.autograd.gradcheck(known, x.detach().nan_to_num().requires_grad_())
    q = shares.clone().requires_grad_()
    assert chainrule.autograd.gradcheck(lambda q: chainrule.nanquantile(x.detach(), q, 1, interpolation="linear"), q)
    steps = chainrule.tensor([0.0, 0.5, 2.0], dtype="float64", requires_grad=True)
    values = chainrule.tensor([1.0, 3.0, -2.0], dtype="float64", requires_grad=True)
    for order in (1, 2):
        assert chainrule.autograd.gradcheck(
            lambda v, s, order=order: chainrule.gradient(v, spacing=[s], edge_order=order)[0], (values, steps)
        )


def test_a_parabola_s_derivative_is_exact() -> None:
    x = chainrule.tensor([0.0, 0.25, 1.0, 3.0, 3.5], dtype="float64")
    (slope,) = chainrule.gradient(3 * x * x - x + 2, spacing=(x,), edge_order=2)
    np.testing.assert_allclose(slope.numpy(), (6 * x - 1).numpy(), rtol=1e-12)
