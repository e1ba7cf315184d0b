"""Values and slopes where a formula as it stands goes wrong: huge scores, infinities, NaN, equal values, numbers near 0."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule.autograd.gradcheck import gradcheck, gradgradcheck
from chainrule.errors import NumberRangeError
from chainrule.primitives.linear_algebra import LinearAlgebraError

F = chainrule.nn.functional
NAN, INFINITY = math.nan, math.inf
HOW = pytest.mark.parametrize("how", ["eager", "compiled"])


def run(function: Callable[..., Any], how: str, *inputs: Any) -> Any:
    return (chainrule.compile(function) if how == "compiled" else function)(*inputs)


def double(*numbers: float) -> Any:
    return chainrule.tensor(numbers, dtype=chainrule.float64, requires_grad=True)


# ------------------------------------------------------------------------------------------- attention, pooling


@HOW
@pytest.mark.parametrize("size", [-1e4, -1e14, -1e30, float(np.finfo(np.float32).min)])
def test_attention_with_a_row_of_huge_finite_scores(size: float, how: str) -> None:
    """Whatever is added to all scores of a row, its weights and gradients are those without it, here of equal ones."""
    q, k, v = (chainrule.randn(1, 2, 4, 3) for _ in range(3))
    bias = chainrule.zeros(4, 4)
    bias[1] = size

    def step(q: Any, k: Any, v: Any, bias: Any) -> Any:
        q, k, v = (t.detach().requires_grad_() for t in (q, k, v))
        y = F.scaled_dot_product_attention(q, k, v, bias)
        return [y, *chainrule.autograd.grad((y * y).sum(), [q, k, v])]

    found = [np.asarray(t.detach()) for t in run(step, how, q, k, v, bias)]
    q, k, v = (np.asarray(t, np.float64) for t in (q, k, v))
    scores = ((q @ k.swapaxes(2, 3)) / math.sqrt(3)).astype(np.float32) + np.asarray(bias)
    weights = np.exp(scores.astype(np.float64) - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    y = weights @ v
    through = weights * (2 * y @ v.swapaxes(2, 3) - (2 * y * y).sum(-1, keepdims=True))
    wanted = [
        y,
        through @ k / math.sqrt(3),
        through.swapaxes(2, 3) @ q / math.sqrt(3),
        weights.swapaxes(2, 3) @ (2 * y),
    ]
    tolerance = 2e-3 if size == -1e4 else 2e-6  # the scores themselves are rounded to 10⁻³ there
    for mine, right in zip(found, wanted, strict=True):
        np.testing.assert_allclose(mine, right, atol=tolerance)


@HOW
def test_max_pool_of_windows_that_are_all_infinitely_small(how: str) -> None:
    """Padding is −∞ too, but it is never what is chosen: indices and gradients stay within the input."""

    def step(x: Any) -> Any:
        x = x.detach().requires_grad_()
        y, places = F.max_pool2d(x, 3, 2, padding=1, return_indices=True)
        return y, places, chainrule.autograd.grad(y.sum(), x)[0]

    y, places, gradient = run(step, how, chainrule.full((1, 1, 4, 4), -INFINITY))
    assert y.isinf().all() and places.tolist() == [[[[0, 1], [4, 5]]]]
    assert gradient.reshape(-1).nonzero().reshape(-1).tolist() == [0, 1, 4, 5]


# ----------------------------------------------------------------------------------------------- elementwise


@HOW
def test_nothing_hides_nan(how: str) -> None:
    x = chainrule.tensor([NAN, 1.0])
    functions = (
        lambda x: F.threshold(x, 2.0, 7.0), F.hardshrink, F.softshrink, F.hardtanh, F.relu6, F.hardsigmoid, F.hardswish,
        F.leaky_relu, F.elu, F.selu, F.celu, F.softsign, F.tanhshrink, F.mish, F.silu, F.gelu, F.softplus, F.logsigmoid,
    )  # fmt: skip
    for function in functions:
        assert run(function, how, x).isnan().tolist() == [True, False], function


def test_gradient_reaches_nan_through_the_shrinking_functions() -> None:
    for function in (F.softshrink, F.hardshrink, lambda x: F.threshold(x, 2.0, 7.0)):
        x = chainrule.tensor([NAN, 0.1], requires_grad=True)
        function(x).sum().backward()
        assert x.grad is not None and x.grad.tolist() == [1.0, 0.0]


def test_hypot_twice() -> None:
    x, y = double(3.0, -1.0, 0.3, 1e-3, 2.0), double(4.0, 2.0, 1.0, 0.0, 2.0)
    assert gradcheck(chainrule.hypot, (x, y)) and gradgradcheck(chainrule.hypot, (x, y))


def _series(coefficients: Callable[[int], float], x: float, order: int) -> float:
    """Σ cₖ·xᵏ differentiated term by term: exact near 0, and up to |x| = 3 but for a few digits."""
    terms = range(order, 60)
    return math.fsum(coefficients(k) * math.perm(k, order) * x ** (k - order) for k in terms)


@HOW
@pytest.mark.parametrize(
    ("function", "coefficients"),
    [
        (chainrule.sinc, lambda k: 0.0 if k % 2 else (-1) ** (k // 2) * math.pi**k / math.factorial(k + 1)),
        (chainrule.cosh, lambda k: 0.0 if k % 2 else 1 / math.factorial(k)),
        (chainrule.sinh, lambda k: 1 / math.factorial(k) if k % 2 else 0.0),
    ],
    ids=["sinc", "cosh", "sinh"],
)
def test_slopes_near_0(function: Any, coefficients: Any, how: str) -> None:
    """Differences of nearly equal numbers lose all digits of a slope that is small itself."""
    points = [1e-12, 1e-8, 1e-4, -1e-3, 0.01, -0.1, 0.3, 0.33, 0.9, 2.3]

    def slopes(x: Any) -> Any:
        x = x.detach().requires_grad_()
        (first,) = chainrule.autograd.grad(function(x).sum(), x, create_graph=True)
        (second,) = chainrule.autograd.grad(first.sum(), x)
        return first.detach(), second

    for order, found in enumerate(run(slopes, how, double(*points).detach()), 1):
        wanted = [_series(coefficients, x, order) for x in points]
        np.testing.assert_allclose(np.asarray(found), wanted, rtol=1e-11)


@pytest.mark.parametrize("size", [1e-6, 1.0, 30.0])
def test_logaddexp_keeps_small_sums(size: float) -> None:
    x, y = double(0.0, -size, size), double(-size, 0.0, size)
    wanted = np.logaddexp(np.asarray(x.detach()), np.asarray(y.detach()))
    np.testing.assert_allclose(np.asarray(chainrule.logaddexp(x, y).detach()), wanted, rtol=1e-14)
    assert gradcheck(chainrule.logaddexp, (x, y)) and gradgradcheck(chainrule.logaddexp, (x, y))


# --------------------------------------------------------------------------------------- losses and distances


@HOW
def test_binary_cross_entropy_of_infinite_scores(how: str) -> None:
    scores = chainrule.tensor([-INFINITY, INFINITY, -INFINITY, INFINITY, -INFINITY, NAN])
    targets = chainrule.tensor([0.0, 1.0, 1.0, 0.0, 0.9, 0.0])

    def losses(x: Any, t: Any) -> Any:
        plain = F.binary_cross_entropy_with_logits(x, t, reduction="none")
        return plain, F.binary_cross_entropy_with_logits(x, t, reduction="none", pos_weight=t * 0 + 3)

    for found in run(losses, how, scores, targets):
        np.testing.assert_array_equal(np.asarray(found), [0, 0, INFINITY, INFINITY, INFINITY, NAN])


@HOW
def test_cosine_similarity_broadcasts_along_dim(how: str) -> None:
    x, y = np.random.default_rng(1).normal(size=(2, 3, 4)), np.random.default_rng(2).normal(size=(3, 1))
    wide = np.broadcast_to(y, x.shape)
    for dim in (0, 1, 2, -1):
        lengths = np.sqrt((x * x).sum(dim) * (wide * wide).sum(dim))
        found = run(lambda a, b, dim=dim: F.cosine_similarity(a, b, dim), how, chainrule.tensor(x), chainrule.tensor(y))
        np.testing.assert_allclose(np.asarray(found), (x * wide).sum(dim) / lengths, rtol=1e-12)


@HOW
@pytest.mark.parametrize("p", [-0.5, -1, -2, -3])
def test_norms_of_negative_powers_are_0_beside_a_0(p: float, how: str) -> None:
    """(Σ|x|^p)^(1/p) is below the smallest entry; for p = −∞ it is that."""

    def step(x: Any) -> Any:
        x = x.detach().requires_grad_()
        lengths = chainrule.linalg.vector_norm(x, p, 1)
        return lengths.detach(), chainrule.autograd.grad(lengths.sum(), x)[0]

    rows = np.array([[0.0, 1.0, 2.0], [3.0, -4.0, 5.0], [0.0, 0.0, 0.0]])
    lengths, gradient = run(step, how, chainrule.tensor(rows))
    np.testing.assert_allclose(np.asarray(lengths), [0, (np.abs(rows[1]) ** p).sum() ** (1 / p), 0], rtol=1e-12)
    slope = np.sign(rows[1]) * np.abs(rows[1]) ** (p - 1) * lengths[1].item() ** (1 - p)
    np.testing.assert_allclose(np.asarray(gradient), [[0, 0, 0], slope, [0, 0, 0]], rtol=1e-12)


@HOW
def test_distances_that_count_have_slope_0(how: str) -> None:
    def step(x: Any) -> Any:
        x = x.detach().requires_grad_()
        near, far = F.pdist(x, 0), chainrule.cdist(x, x + 1, p=0)
        return near, far, chainrule.autograd.grad(near.sum() + far.sum(), x)[0]

    near, far, gradient = run(step, how, chainrule.tensor([[0.0, 0.0], [0.0, 2.0], [3.0, 2.0]]))
    assert near.tolist() == [1, 2, 1] and far.shape == (3, 3) and not gradient.any()


# ------------------------------------------------------------------------------------------- linear algebra


@pytest.mark.parametrize("shape", [(3, 3), (4, 2), (2, 4), (2, 3, 2)])
def test_pseudo_inverse_where_singular_values_coincide(shape: tuple[int, ...]) -> None:
    identity = np.broadcast_to(np.eye(*shape[-2:]) * 2, shape)
    for array in (identity, np.random.default_rng(5).normal(size=shape)):
        a = chainrule.tensor(array.copy(), requires_grad=True)
        assert gradcheck(chainrule.linalg.pinv, (a,)) and gradgradcheck(chainrule.linalg.pinv, (a,))


@pytest.mark.parametrize("bad", [INFINITY, -INFINITY, NAN])
def test_decompositions_refuse_what_is_not_finite(bad: float) -> None:
    a = chainrule.eye(3, dtype=chainrule.float64)
    a[1, 2] = bad
    decompositions = (chainrule.linalg.svdvals, chainrule.linalg.svd, chainrule.linalg.eigh, chainrule.linalg.pinv)
    for decompose in (*decompositions, lambda a: chainrule.linalg.svd(a[:2])):
        with pytest.raises(LinearAlgebraError, match=r"not finite"):
            decompose(a)


# --------------------------------------------------------------------------------------- settings, and draws


def test_settings_that_mean_nothing_are_refused() -> None:
    x, one = chainrule.zeros(2), chainrule.ones(2)
    attempts: list[tuple[Callable[[], Any], str]] = [
        (lambda: F.binary_cross_entropy(one / 2, one * 1.5), r"targets in \[0, 1\].*1\.5"),
        (lambda: F.binary_cross_entropy(one / 2, -one), r"targets in \[0, 1\]"),
        (lambda: F.binary_cross_entropy(one / 2, one * NAN), r"targets in \[0, 1\]"),
        (lambda: chainrule.normal(0.0, -1.0, (2,)), "not negative, got -1"),
        (lambda: chainrule.normal(x, -one), "not negative"),
        (lambda: x.normal_(0, -1), "not negative"),
        (lambda: x.log_normal_(0, -1), "not negative"),
        (lambda: x.uniform_(2, 1), r"\[low, high\), got 2 and 1"),
        (lambda: x.bernoulli_(1.5), r"\[0, 1\], got 1\.5"),
        (lambda: x.bernoulli_(-0.1), r"\[0, 1\]"),
        (lambda: chainrule.bernoulli(one * 1.5), r"bernoulli: .*\[0, 1\], got 1\.5"),
        (lambda: chainrule.bernoulli(one * NAN), r"\[0, 1\], got nan"),
        (lambda: chainrule.multinomial(-one, 1), "multinomial: weights are finite and not negative, got -1"),
        (lambda: chainrule.multinomial(one * INFINITY, 1), "got inf"),
        (lambda: chainrule.multinomial(one - chainrule.tensor([0, 1]), 2), "2 draws .* only 1 positive weights"),
        (lambda: chainrule.bincount(chainrule.tensor([3, -2])), "bincount counts whole numbers ≥ 0, got -2"),
        (lambda: x.exponential_(-1.0), "above 0, got -1"),
        (lambda: x.cauchy_(0, 0), "above 0, got 0"),
    ]
    for attempt, message in attempts:
        with pytest.raises(NumberRangeError, match=message):
            attempt()
    assert not x.any()  # nothing was written


@pytest.mark.parametrize("bad", [NAN, INFINITY, -1.0])
@pytest.mark.parametrize("replacement", [True, False])
def test_multinomial_refuses_weights_that_are_none(bad: float, replacement: bool) -> None:
    with pytest.raises(ValueError, match="weights"):
        chainrule.multinomial(chainrule.tensor([1.0, bad, 2.0]), 1, replacement)


def test_multinomial_takes_memory_for_weights_and_draws_only() -> None:
    """200,000 draws of 50,000 weights: a table of both would be 10¹⁰ entries. Frequencies are the weights."""
    weights = chainrule.arange(50_000, dtype=chainrule.float64) % 5
    tracemalloc.start()
    found = chainrule.multinomial(weights, 200_000, replacement=True)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50e6
    counts = np.bincount(np.asarray(found) % 5, minlength=5) / 200_000
    np.testing.assert_allclose(counts, np.arange(5) / 10, atol=5e-3)  # four standard deviations


def test_multinomial_of_rows() -> None:
    weights = chainrule.tensor([[0.0, 1.0, 0.0], [2.0, 0.0, 0.0], [1.0, 0.0, 3.0]])
    found = np.asarray(chainrule.multinomial(weights, 20_000, replacement=True))
    assert (found[0] == 1).all() and (found[1] == 0).all()
    np.testing.assert_allclose(np.bincount(found[2], minlength=3) / 20_000, [0.25, 0, 0.75], atol=0.013)


def test_what_does_not_fit_a_type_is_refused() -> None:
    x, half = chainrule.tensor([1, 200], dtype=chainrule.uint8), chainrule.ones(2, dtype=chainrule.float16)
    attempts: list[Callable[[], Any]] = [
        lambda: x.clamp(max=300),
        lambda: x.masked_fill(x > 1, 300),
        lambda: chainrule.where(x > 1, x, 300),
        lambda: x**300,
        lambda: chainrule.full((2,), 300, dtype=chainrule.uint8),
        lambda: chainrule.tensor([300], dtype=chainrule.uint8),
        lambda: chainrule.tensor([NAN], dtype=chainrule.int32),
        lambda: x.index_fill(0, chainrule.tensor([0]), 300),
        lambda: x.scatter(0, chainrule.tensor([0]), 300),
        lambda: x.__setitem__(0, 300),
        lambda: half.masked_fill(half > 0, 1e6),
        lambda: x + 2**70,
        lambda: x.add(1, alpha=300),
        lambda: F.pad(x, (1, 1), value=300),
    ]
    for attempt in attempts:
        with pytest.raises(NumberRangeError):
            attempt()
    assert x.tolist() == [1, 200]
    # What arrives by conversion wraps around, and so does −n in an unsigned type.
    assert chainrule.tensor(np.array([300]), dtype=chainrule.uint8).item() == 44
    assert chainrule.tensor([-1], dtype=chainrule.uint8).item() == 255


@HOW
def test_true_division_of_small_integers(how: str) -> None:
    x = chainrule.tensor([0, 1, 200, 255], dtype=chainrule.uint8)

    def quotients(x: Any) -> Any:
        return x / 256, x / 300, x / -1, x / chainrule.tensor(1000), chainrule.atan2(x, chainrule.tensor(1000))

    exact = np.array([0, 1, 200, 255.0])
    wanted = [exact / 256, exact / 300, -exact, exact / 1000, np.arctan2(exact, 1000)]
    for found, right in zip(run(quotients, how, x), wanted, strict=True):
        np.testing.assert_allclose(np.asarray(found), right, rtol=1e-6)
