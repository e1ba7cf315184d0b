"""Attention that drops weights: one kernel too. What was dropped is seen where the values are an identity matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import autograd, nn
from chainrule.backends.native import builder
from chainrule.nn import functional
from tests.test_attention_kernel import case, check, formula, leaves

P = 0.3


def attended(q: Any, k: Any, v: Any, mask: Any, causal: bool) -> Any:
    return functional.scaled_dot_product_attention(q, k, v, mask, P, causal)


def kept_of(q: Any, k: Any, seed: int) -> Any:
    """Which weights are kept after this seed: with equal scores all weights are 1/S, and the values show them."""
    keys = k.shape[-2]
    eye = chainrule.eye(keys, dtype=chainrule.float64).expand(*q.shape[:-2], keys, keys)
    zeros = [chainrule.zeros(x.shape, dtype=chainrule.float64) for x in (q, k)]
    chainrule.manual_seed(seed)
    return attended(*zeros, eye, None, False).numpy() > 0


def compiled(bias: Any, causal: bool) -> Any:
    mask = None if bias is None else chainrule.tensor(bias)

    @chainrule.compile
    def run(q: Any, k: Any, v: Any, g: Any) -> Any:
        output = attended(q, k, v, mask, causal)
        return (output, *autograd.grad(output, (q, k, v), g))

    return run


SIZES = [
    (2, 3, 97, 97, 32, 32),
    (1, 2, 17, 33, 20, 7),
    (2, 1, 40, 5, 64, 65),
    (1, 1, 2, 70, 32, 32),
    (1, 1, 50, 1100, 8, 8),
]


@pytest.mark.parametrize("mask", ["free", "causal", "each", "keys"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_left_is_the_formula(mask: str, dtype: Any) -> None:
    for seed, shape in enumerate(SIZES[dtype == np.float64 :: 2]):
        arrays, bias = case(shape, dtype, mask)
        kept, causal = kept_of(*arrays[:2], seed), mask == "causal"
        assert 0 < kept.mean() < 1 or kept.size < 50
        run = compiled(bias, causal)
        chainrule.manual_seed(seed)
        check(run(*leaves(arrays)), formula(*arrays, bias, causal, kept / (1 - P)), dtype)
        assert ", dropout" in run.explain()
        given = leaves(arrays)
        chainrule.manual_seed(seed)
        output = attended(*given[:3], None if bias is None else chainrule.tensor(bias), causal)
        check(
            (output, *autograd.grad(output, given[:3], given[3])), formula(*arrays, bias, causal, kept / (1 - P)), dtype
        )


@pytest.mark.parametrize("bits", [128, 256])
def test_narrower_vectors_give_the_same_numbers(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builder, "vector_bits", lambda: bits)
    arrays, bias = case((2, 2, 45, 45, 24, 9), np.float32, "each")
    kept, run = kept_of(*arrays[:2], 5), compiled(bias, False)
    chainrule.manual_seed(5)
    check(run(*leaves(arrays)), formula(*arrays, bias, False, kept / (1 - P)), np.float32)


def test_numbers_are_the_same_for_any_number_of_threads() -> None:
    arrays, _ = case((1, 3, 200, 300, 16, 16), np.float32, "causal")
    threads, found = chainrule.get_num_threads(), []
    try:
        for count in (1, 2, 3):
            chainrule.set_num_threads(count)
            chainrule.manual_seed(1)
            found.append([x.detach().numpy().tobytes() for x in compiled(None, True)(*leaves(arrays))])
    finally:
        chainrule.set_num_threads(threads)
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("dtype", [chainrule.float16, chainrule.bfloat16])
def test_halves_are_computed_in_float32(dtype: Any) -> None:
    q, k, v = (chainrule.randn(1, 2, 9, 8, dtype=dtype) for _ in range(3))
    chainrule.manual_seed(2)
    halves = attended(q, k, v, None, True)
    chainrule.manual_seed(2)
    single = attended(q.float(), k.float(), v.float(), None, True)
    assert halves.dtype == dtype
    assert chainrule.equal(halves, single.to(dtype))


def test_every_weight_may_be_dropped() -> None:
    q = chainrule.randn(1, 4, 3, requires_grad=True)
    output = functional.scaled_dot_product_attention(q, q, q, dropout_p=1.0)
    output.sum().backward()
    assert not output.detach().numpy().any()
    assert not q.grad.numpy().any()


@pytest.mark.parametrize("p", [np.float32(0.25), np.float64(0.25), np.array(0.25), chainrule.tensor(0.25)])
def test_the_probability_may_be_a_number_of_another_kind(p: Any) -> None:
    q = chainrule.randn(2, 5, 4)
    chainrule.manual_seed(4)
    found = functional.scaled_dot_product_attention(q, q, q, dropout_p=p)
    chainrule.manual_seed(4)
    assert chainrule.equal(found, functional.scaled_dot_product_attention(q, q, q, dropout_p=0.25))


def test_derivatives_of_the_gradient_and_of_the_bias() -> None:
    """By differences, with the same weights dropped each time."""
    q, k, v = (chainrule.randn(1, 3, 2, dtype=chainrule.float64, requires_grad=True) for _ in range(3))
    bias = chainrule.randn(1, 3, 3, dtype=chainrule.float64, requires_grad=True)

    def function(*given: Any) -> Any:
        chainrule.manual_seed(3)
        return functional.scaled_dot_product_attention(*given, dropout_p=P)

    assert autograd.gradcheck(function, (q, k, v, bias))
    assert autograd.gradgradcheck(function, (q, k, v, bias))


def test_a_layer_learns_alike_eager_and_compiled() -> None:
    x = chainrule.randn(4, 10, 16)

    def losses(wrap: Any) -> list[float]:
        chainrule.manual_seed(0)
        layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.2, batch_first=True)
        optimizer = chainrule.optim.SGD(layer.parameters(), lr=0.1)

        def step(x: Any) -> Any:
            optimizer.zero_grad()
            loss = layer(x).square().mean()
            loss.backward()
            optimizer.step()
            return loss

        run = wrap(step)
        return [run(x).item() for _ in range(4)]

    np.testing.assert_allclose(losses(chainrule.compile), losses(lambda step: step), rtol=1e-5)
