"""Attention beyond the tables: against slow plain versions, masks, extreme scores, dropout, positions, the cache."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import chainrule
from chainrule import autograd, nn
from chainrule.nn import functional
from chainrule.nn.attention import dot_product
from chainrule.primitives import attention as primitives

float64 = chainrule.float64


def randn(*shape: int, dtype: Any = float64, grad: bool = False) -> Any:
    return chainrule.randn(*shape, dtype=dtype, requires_grad=grad)


def by_hand(q: Any, k: Any, v: Any, allowed: Any = None, scale: float | None = None) -> Any:
    """softmax(q·kᵀ/√E)·v for one sequence, row by row, in Python numbers."""
    rows = []
    for i, query in enumerate(q):
        scores = [float(query @ key) * (1 / math.sqrt(q.shape[1]) if scale is None else scale) for key in k]
        open_ = [j for j in range(len(k)) if allowed is None or allowed[i, j]]
        weights = [math.exp(scores[j] - max(scores[n] for n in open_)) for j in open_]
        mean = sum((w * v[j] for w, j in zip(weights, open_, strict=True)), np.zeros(v.shape[1]))
        rows.append(mean / sum(weights) if open_ else np.zeros(v.shape[1]))
    return np.array(rows)


@pytest.mark.parametrize("kind", ["free", "causal", "mask"])
def test_attention_is_a_weighted_mean_row_by_row(kind: str) -> None:
    q, k, v = randn(5, 4), randn(7, 4), randn(7, 3)
    allowed = {"free": None, "causal": np.tri(5, 7) > 0, "mask": np.random.default_rng(0).random((5, 7)) < 0.5}[kind]
    mask = chainrule.tensor(allowed) if kind == "mask" else None
    ours = functional.scaled_dot_product_attention(q, k, v, mask, is_causal=kind == "causal")
    np.testing.assert_allclose(ours.numpy(), by_hand(q.numpy(), k.numpy(), v.numpy(), allowed), rtol=1e-12)


def gradients(function: Any, *inputs: Any) -> list[Any]:
    """The result and the gradients, with an upstream gradient that is different everywhere."""
    leaves = [x.detach().clone().requires_grad_() for x in inputs]
    y = function(*leaves)
    upstream = np.cos(np.arange(y.numel())).reshape(tuple(y.shape))
    (y * chainrule.tensor(upstream).to(y.dtype)).sum().backward()
    return [np.asarray(t.detach().to(float64)) for t in (y, *[leaf.grad for leaf in leaves])]


def assert_close(ours: list[Any], theirs: list[Any], tolerance: float) -> None:
    """To rounding. Of a gradient that is exactly 0 (where there is one key) it leaves something of the others' size."""
    largest = max(np.abs(wanted).max() for wanted in theirs)
    for found, wanted in zip(ours, theirs, strict=True):
        scale = max(np.abs(wanted).max(), largest / 1000)
        np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance * scale)


@pytest.mark.parametrize("rows", [1, 63, 64, 65, 130])
@pytest.mark.parametrize("keys", [1, 64, 129])
def test_the_causal_path_is_the_explicit_mask(rows: int, keys: int) -> None:
    inputs = randn(2, rows, 3), randn(2, keys, 3), randn(2, keys, 2)
    mask = functional.causal_mask(rows, keys)
    attend = functional.scaled_dot_product_attention
    causal = gradients(lambda q, k, v: attend(q, k, v, is_causal=True), *inputs)
    assert_close(causal, gradients(lambda q, k, v: attend(q, k, v, mask), *inputs), 1e-12)
    triangle = nn.Transformer.generate_square_subsequent_mask(max(rows, keys), dtype=float64)[:rows, :keys]
    assert_close(causal, gradients(lambda q, k, v: attend(q, k, v, triangle), *inputs), 1e-12)


@pytest.mark.parametrize("tile", [1, 40, 2**17])
@pytest.mark.parametrize("causal", [False, True])
def test_the_size_of_tiles_changes_nothing(tile: int, causal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = randn(2, 3, 13, 4), randn(2, 3, 11, 4), randn(2, 3, 11, 5), randn(2, 1, 13, 11)

    def whole(q: Any, k: Any, v: Any, bias: Any) -> Any:
        added = bias + dot_product.forbid(~functional.causal_mask(13, 11), float64) if causal else bias
        return dot_product.attention_weights.parts(q, k, added.expand(2, 3, 13, 11), 0.5) @ v

    wanted = gradients(whole, *inputs)
    monkeypatch.setattr(primitives, "TILE", tile)
    found = gradients(lambda q, k, v, bias: dot_product.attend(q, k, v, bias, causal=causal, scale=0.5), *inputs)
    assert_close(found, wanted, 1e-12)


def test_weights_have_the_gradient_of_their_parts() -> None:
    q, k, bias = randn(2, 3, 4), randn(2, 5, 4), randn(2, 3, 5)
    block = dot_product.attention_weights
    ours = gradients(lambda q, k, b: block(q, k, b, 0.7), q, k, bias)
    assert_close(ours, gradients(lambda q, k, b: block.parts(q, k, b, 0.7), q, k, bias), 1e-12)
    leaves = [x.detach().clone().requires_grad_() for x in (q[0], k[0])]
    assert autograd.gradgradcheck(lambda q, k: block(q, k, None, 0.7), leaves)


def test_third_derivatives() -> None:
    """The gradient's gradient is written by hand too; its own derivative is checked against differences."""
    q, k, v = (randn(3, 2, grad=True) for _ in range(3))

    def first(*inputs: Any) -> Any:
        with chainrule.enable_grad():
            leaves = [x if x.requires_grad else x.detach().requires_grad_() for x in inputs]
            y = functional.scaled_dot_product_attention(*leaves, is_causal=True)
            return autograd.grad((y**3).sum(), leaves, create_graph=True)

    assert autograd.gradgradcheck(first, (q, k, v))


def test_nothing_of_the_size_of_the_weights_is_kept() -> None:
    q = randn(2, 300, 4, dtype=chainrule.float32, grad=True)
    y = functional.scaled_dot_product_attention(q, q, q, is_causal=True)
    kept = [getattr(x, "array", x) for x in y.grad_fn.saved.values() if not isinstance(x, tuple)]
    assert max(np.size(array) for array in kept) == 2 * 300 * 4


# ------------------------------------------------------------------------------------------ extreme numbers


@pytest.mark.parametrize("size", [1e2, 1e4])
def test_large_scores_lose_no_more_than_rounding_the_inputs_does(size: float) -> None:
    """Scores of ±10⁴ in float32 have errors of 10⁻³: results are compared for scores that float32 holds exactly."""
    random = np.random.default_rng(0)
    q = random.integers(1, 5, (6, 4)) * 1.0
    q[:, 1] = q[:, 0]
    k = random.integers(-4, 3, (9, 4)) * (size / 64)
    # Two different keys with the same score, the largest: the weights are ½ and ½, and gradients are not 0.
    k[:2] = np.array([[4, 3, 4, 4], [3, 4, 4, 4]]) * (size / 64)
    v = random.standard_normal((9, 3))
    found = []
    for dtype in ("float32", "float64"):
        inputs = [chainrule.tensor(x.astype(dtype)) for x in (q, k, v)]
        found.append(gradients(lambda q, k, v: functional.scaled_dot_product_attention(q, k, v, scale=1.0), *inputs))
        assert all(np.isfinite(x).all() for x in found[-1])
    assert_close(*found, 1e-5)


def test_a_score_may_be_infinite_in_a_mask_and_nan_shows() -> None:
    q = chainrule.tensor([[1.0]])
    k = chainrule.tensor([[1.0], [2.0]])
    attend = functional.scaled_dot_product_attention
    assert attend(q, k, k, chainrule.tensor([[0.0, -math.inf]])).tolist() == [[1.0]]
    assert attend(q, k, k, chainrule.tensor([[-math.inf, -math.inf]])).tolist() == [[0.0]]
    assert math.isnan(attend(q * math.nan, k, k).item())


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_halves_are_computed_in_float32(dtype: str) -> None:
    q, k, v = (randn(2, 150, 8).to(dtype) for _ in range(3))
    attend = functional.scaled_dot_product_attention
    ours = gradients(lambda q, k, v: attend(q, k, v, is_causal=True), q, k, v)
    exact = gradients(lambda q, k, v: attend(q, k, v, is_causal=True), *(x.to(float64) for x in (q, k, v)))
    assert_close(ours, exact, 8 * chainrule.finfo(chainrule.float16 if dtype == "float16" else chainrule.bfloat16).eps)


@pytest.mark.parametrize("need_weights", [False, True])
def test_a_query_that_may_read_nothing_gets_the_bias_of_the_last_projection(need_weights: bool) -> None:
    layer = nn.MultiheadAttention(4, 2)
    x, mask = chainrule.randn(3, 1, 4, requires_grad=True), chainrule.tensor([[True] * 3, [False] * 3, [False] * 3])
    y, weights = layer(x, x, x, attn_mask=mask, need_weights=need_weights)
    y.sum().backward()
    assert chainrule.equal(y[0, 0], layer.out_proj.bias) and bool(x.grad.isfinite().all())
    assert weights is None or weights[0, 0].tolist() == [0.0] * 3


# -------------------------------------------------------------------------------------------------- dropout


def test_dropped_weights_are_independent_and_the_others_grow() -> None:
    chainrule.manual_seed(3)
    p, n = 0.3, 200
    eye = chainrule.eye(n, dtype=float64)
    # Equal scores, and values that are unit vectors: the result is the matrix of weights.
    found = functional.scaled_dot_product_attention(eye * 0, eye * 0, eye, dropout_p=p).numpy() * n
    kept = found > 0
    np.testing.assert_allclose(found[kept], 1 / (1 - p), rtol=1e-12)
    assert stats.binomtest(int(kept.sum()), n * n, 1 - p).pvalue > 1e-3
    for axis in (0, 1):  # rows and columns are as uneven as coins make them
        deviations = (kept.sum(axis) - n * (1 - p)) / math.sqrt(n * p * (1 - p))
        assert stats.chi2(n).ppf(1e-3) < (deviations**2).sum() < stats.chi2(n).ppf(0.999)
    chainrule.manual_seed(3)
    again = functional.scaled_dot_product_attention(eye * 0, eye * 0, eye, dropout_p=p).numpy() * n
    np.testing.assert_array_equal(found, again)


def test_dropout_s_expectation_is_no_dropout_and_causality_stays() -> None:
    chainrule.manual_seed(0)
    q, k, v = randn(4, 3), randn(4, 3), randn(4, 2)
    many = [x.expand(20_000, *x.shape) for x in (q, k, v)]
    drawn = functional.scaled_dot_product_attention(*many, dropout_p=0.2, is_causal=True).numpy()
    exact = functional.scaled_dot_product_attention(q, k, v, is_causal=True).numpy()
    error = drawn.std(0) / math.sqrt(len(drawn))
    assert (np.abs(drawn.mean(0) - exact) < 4.5 * error + 1e-12).all()


def test_multi_head_attention_drops_in_training_only() -> None:
    layer, x = nn.MultiheadAttention(4, 2, dropout=0.5), chainrule.randn(20, 3, 4)
    for need_weights in (False, True):
        assert not chainrule.equal(layer(x, x, x, None, need_weights)[0], layer(x, x, x, None, need_weights)[0])
    weights = layer(x, x, x, average_attn_weights=False)[1]
    assert 0.4 < (weights == 0).float().mean().item() < 0.6
    layer.eval()
    assert chainrule.allclose(layer(x, x, x)[0], layer(x, x, x, need_weights=False)[0], atol=1e-6)


# --------------------------------------------------------------------------------------------- multi-head


def test_heads_by_hand() -> None:
    """Each head projects with its own rows of the weights; results stand side by side before the last projection."""
    layer = nn.MultiheadAttention(6, 3).double()
    with chainrule.no_grad():
        layer.in_proj_bias.normal_()
    x, y = randn(4, 6), randn(5, 6)
    found, weights = layer(x, y, y, average_attn_weights=False)
    W, b = (t.detach().numpy().reshape(3, 3, 2, -1) for t in (layer.in_proj_weight, layer.in_proj_bias))
    heads = []
    for h in range(3):
        q, k, v = (z.numpy() @ W[i, h].T + b[i, h].T for i, z in enumerate((x, y, y)))
        heads.append(by_hand(q, k, v))
        scores = np.exp(q @ k.T / math.sqrt(2))
        np.testing.assert_allclose(weights.detach().numpy()[h], scores / scores.sum(1, keepdims=True), rtol=1e-10)
    wanted = np.concatenate(heads, 1) @ layer.out_proj.weight.detach().numpy().T + layer.out_proj.bias.detach().numpy()
    np.testing.assert_allclose(found.detach().numpy(), wanted, rtol=1e-10)


@pytest.mark.parametrize("options", [{}, {"add_bias_kv": True}, {"add_zero_attn": True}, {"dropout": 0.5}])
def test_the_hint_that_a_mask_is_causal_changes_nothing(options: dict[str, Any]) -> None:
    layer, x = nn.MultiheadAttention(4, 2, **options).double(), randn(5, 3, 4)
    mask, padding = ~functional.causal_mask(5), chainrule.tensor([[False, True, False, True, False]] * 3)
    for more in (
        {},
        {"key_padding_mask": padding},
        {"need_weights": False},
        {"need_weights": False, "key_padding_mask": padding},
    ):
        found = []
        for hint in (False, True):
            chainrule.manual_seed(0)
            found.append(layer(x, x, x, attn_mask=mask, is_causal=hint, **more)[0].detach().numpy())
        np.testing.assert_allclose(*found, atol=1e-12)


@given(st.permutations(range(6)))
def test_without_positions_self_attention_is_permutation_equivariant(order: list[int]) -> None:
    chainrule.manual_seed(1)
    x = randn(2, 6, 4)
    layers = [
        nn.MultiheadAttention(4, 2, batch_first=True).double(),
        nn.TransformerEncoderLayer(4, 2, 8, batch_first=True).double().eval(),
    ]
    for layer in layers:
        results = [
            layer(z) if isinstance(layer, nn.TransformerEncoderLayer) else layer(z, z, z)[0] for z in (x, x[:, order])
        ]
        np.testing.assert_allclose(results[1].detach().numpy(), results[0].detach().numpy()[:, order], atol=1e-12)
    placed = nn.SinusoidalPositions(6, 4, dtype=float64)
    results = [layers[0](placed(z), placed(z), placed(z))[0] for z in (x, x[:, order])]
    same = np.allclose(results[1].detach().numpy(), results[0].detach().numpy()[:, order])
    assert same == (list(order) == sorted(order))


def test_initial_values_are_glorot_s_and_biases_zero() -> None:
    chainrule.manual_seed(0)
    layer = nn.MultiheadAttention(64, 4, add_bias_kv=True)
    separate = nn.MultiheadAttention(64, 4, kdim=32, vdim=100)
    bounds = {
        layer.in_proj_weight: math.sqrt(6 / (64 + 3 * 64)),
        layer.out_proj.weight: 1 / math.sqrt(64),
        separate.k_proj_weight: math.sqrt(6 / (64 + 32)),
        separate.v_proj_weight: math.sqrt(6 / (64 + 100)),
    }
    for weight, bound in bounds.items():
        values = weight.detach().numpy().ravel()
        assert stats.kstest(values, stats.uniform(-bound, 2 * bound).cdf).pvalue > 1e-3
    assert not layer.in_proj_bias.any() and not layer.out_proj.bias.any()
    values = layer.bias_k.detach().numpy().ravel()  # (1, 1, 64): one input, 64 outputs, as PyTorch counts
    assert stats.kstest(values, stats.norm(0, math.sqrt(2 / (64 + 64))).cdf).pvalue > 1e-3


def test_initial_values_of_the_transformer() -> None:
    chainrule.manual_seed(0)
    model = nn.Transformer(32, 4, 2, 2, 64)
    for parameter in model.parameters():
        if parameter.ndim == 2:
            bound = math.sqrt(6 / sum(parameter.shape))
            values = parameter.detach().numpy().ravel()
            assert stats.kstest(values, stats.uniform(-bound, 2 * bound).cdf).pvalue > 1e-4
    first, second = (model.encoder.layers[i].linear1.weight for i in range(2))
    assert not chainrule.equal(first, second)
    stack = nn.TransformerEncoder(nn.TransformerEncoderLayer(32, 4, 64), 2)
    first, second = (stack.layers[i].linear1.weight for i in range(2))
    assert chainrule.equal(first, second) and first is not second


def test_a_module_reminds_of_eval_only_if_it_drops() -> None:
    x = chainrule.randn(3, 1, 4)
    with chainrule.no_grad():
        nn.MultiheadAttention(4, 2)(x, x, x)
        with pytest.warns(chainrule.errors.EvaluationWarning, match="MultiheadAttention"):
            nn.MultiheadAttention(4, 2, dropout=0.1)(x, x, x)


# ----------------------------------------------------------------------------------------------- positions


@pytest.mark.parametrize("width", [1, 4, 7])
def test_sinusoidal_positions_are_the_formula(width: int) -> None:
    table = functional.sinusoidal_positions(50, width, dtype=float64).numpy()
    for position in range(50):
        for i in range(width):
            angle = position / 10000 ** (2 * (i // 2) / width)
            assert table[position, i] == pytest.approx(math.cos(angle) if i % 2 else math.sin(angle), abs=1e-12)
    assert functional.sinusoidal_positions(50, width).dtype is chainrule.float32


def test_a_shift_of_positions_is_a_rotation() -> None:
    table = functional.sinusoidal_positions(40, 6, dtype=float64).numpy().reshape(40, 3, 2)
    for i in range(3):
        angle = 5 / 10000 ** (2 * i / 6)
        turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
        np.testing.assert_allclose(table[5:, i], table[:-5, i] @ turn.T, atol=1e-12)


@pytest.mark.parametrize("kind", [nn.SinusoidalPositions, nn.LearnedPositions])
def test_positions_are_added_from_a_start_on(kind: Any) -> None:
    layer, x = kind(10, 4), chainrule.randn(2, 6, 4)
    parts = [layer(x[:, :2]), layer(x[:, 2:5], start=2), layer(x[:, 5:], start=chainrule.tensor(5))]
    assert chainrule.equal(chainrule.cat(parts, 1), layer(x))
    assert repr(layer) == f"{kind.__name__}(10, 4)"
    assert list(layer.state_dict()) == (["weight"] if kind is nn.LearnedPositions else [])
    for start in (5, chainrule.tensor(5), -1):
        with pytest.raises(chainrule.ShapeError, match="10 positions"):
            layer(x, start=start)
    with pytest.raises(chainrule.ShapeError, match=r"\(2, 6, 3\)"):
        layer(x[..., :3])
    if kind is nn.LearnedPositions:
        layer(x).sum().backward()
        assert layer.weight.grad.sum(1).tolist() == [8.0] * 6 + [0.0] * 4
        assert stats.kstest(kind(100, 50).weight.detach().numpy().ravel(), stats.norm(0, 0.02).cdf).pvalue > 1e-3
    else:
        assert layer.half()(x.half()).dtype is chainrule.float16


def test_positions_refuse_sizes() -> None:
    with pytest.raises(chainrule.ShapeError, match="0"):
        functional.sinusoidal_positions(3, 0)


# ---------------------------------------------------------------------------------------------- the cache


def test_causal_self_attention_is_multi_head_attention_with_a_causal_mask() -> None:
    ours = nn.CausalSelfAttention(6, 3)
    theirs = nn.MultiheadAttention(6, 3, batch_first=True)
    theirs.load_state_dict(ours.state_dict())
    x = chainrule.randn(2, 5, 6)
    mask = ~functional.causal_mask(5)
    assert chainrule.allclose(ours(x)[0], theirs(x, x, x, attn_mask=mask)[0], atol=1e-6)
    assert chainrule.allclose(ours(x[0])[0], ours(x)[0][0], atol=1e-6)
    assert not chainrule.allclose(nn.CausalSelfAttention(6, 3, dropout=0.5)(x)[0], ours(x)[0])


@given(st.lists(st.integers(1, 4), min_size=1, max_size=5), st.integers(0, 3))
def test_any_parts_through_the_cache_are_the_whole(parts: list[int], spare: int) -> None:
    chainrule.manual_seed(2)
    layer, length = nn.CausalSelfAttention(4, 2).double(), sum(parts)
    x = randn(2, length, 4)
    cache, found = layer.empty_cache(2, length + spare), []
    for part in x.split(parts, 1):
        y, cache = layer(part, cache)
        found.append(y)
    np.testing.assert_allclose(chainrule.cat(found, 1).detach().numpy(), layer(x)[0].detach().numpy(), atol=1e-12)
    assert cache.length.item() == length and not cache.keys[:, :, length:].any()


def test_the_cache_is_the_carry_of_a_scan() -> None:
    layer, x = nn.CausalSelfAttention(4, 2).double(), randn(2, 5, 4, grad=True)

    def step(cache: Any, token: Any) -> Any:
        y, cache = layer(token.unsqueeze(1), cache)
        return cache, y.squeeze(1)

    last, found = chainrule.scan(step, layer.empty_cache(2, 6), x.transpose(0, 1))
    whole = layer(x)[0].transpose(0, 1)
    assert isinstance(last, nn.KeyValueCache) and last.length.item() == 5
    np.testing.assert_allclose(found.detach().numpy(), whole.detach().numpy(), atol=1e-12)
    ours, theirs = (autograd.grad((y**2).sum(), [x, layer.in_proj_weight]) for y in (found, whole))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-9, atol=1e-12)


def test_the_cache_keeps_to_its_size() -> None:
    layer = nn.CausalSelfAttention(4, 2)
    cache = layer.empty_cache(1, 3)
    before = copy.deepcopy(cache)
    _, full = layer(chainrule.randn(1, 3, 4), cache)
    assert cache.length.item() == 0 and chainrule.equal(cache.keys, before.keys), "a cache never changes"
    with pytest.raises(chainrule.ShapeError, match=r"room for 3 tokens and holds .*3.*; 1 more"):
        layer(chainrule.randn(1, 1, 4), full)
    with pytest.raises(chainrule.ShapeError, match=r"\(2, 2, 1, 2\)"):
        layer(chainrule.randn(2, 1, 4), cache)
    with pytest.raises(chainrule.ShapeError, match=r"\(1, 1, 5\)"):
        layer(chainrule.randn(1, 1, 5))


@pytest.mark.parametrize("embed_dim", [4, 128])  # large ones are a program
def test_projections_that_do_not_fit_are_named(embed_dim: int) -> None:
    E, x = embed_dim, chainrule.ones(200, 1, embed_dim)

    def error(kind: Any, **parts: Any) -> str:
        model = nn.Sequential(nn.Identity(), nn.MultiheadAttention(E, 2))
        for name in ("in_proj_weight", "in_proj_bias"):
            if name in parts:
                setattr(model[1], name, nn.Parameter(parts[name]))
        model.forward = lambda: model[1](parts.get("x", x), *[parts.get("key", parts.get("x", x))] * 2)
        with pytest.raises(kind) as found:
            model()
        return str(found.value)

    start = "1 (MultiheadAttention): "
    weight = error(chainrule.ShapeError, in_proj_weight=chainrule.ones(3 * E - 1, E))
    assert (
        weight.startswith(start) and f"in_proj_weight ({3 * E}, {E})" in weight and f"got ({3 * E - 1}, {E})" in weight
    )
    bias = error(chainrule.ShapeError, in_proj_bias=chainrule.ones(3 * E + 1))
    assert bias.startswith(start) and f"in_proj_bias ({3 * E},)" in bias and f"got ({3 * E + 1},)" in bias
    key = error(chainrule.ShapeError, key=chainrule.ones(200, 1, E + 1))
    assert key.startswith(start) and f"got {E}, {E + 1}, {E + 1}" in key and "kdim" in key
    assert error(chainrule.DTypeError, x=x.double()).startswith(f"{start}got chainrule.float64 input")
    assert error(chainrule.DTypeError, in_proj_bias=chainrule.ones(3 * E).double()).startswith(f"{start}the bias is")


@pytest.mark.peer
def test_no_heads_at_all_give_nothing_as_in_pytorch() -> None:
    torch = pytest.importorskip("torch")
    for heads in (0, 2):
        shapes = (1, 0, 3, 4), (1, heads, 5, 4), (1, heads, 5, 6)
        ours = functional.scaled_dot_product_attention(*map(chainrule.ones, shapes), enable_gqa=True)
        theirs = torch.nn.functional.scaled_dot_product_attention(*map(torch.ones, shapes), enable_gqa=True)
        assert tuple(ours.shape) == tuple(theirs.shape) == (1, 0, 3, 6)
    with pytest.raises(chainrule.ShapeError, match="multiple"):
        functional.scaled_dot_product_attention(
            *map(chainrule.ones, [(1, 2, 3, 4)] + [(1, 0, 5, 4)] * 2), enable_gqa=True
        )


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("dtype", [chainrule.bfloat16, chainrule.float16])
def test_the_query_does_not_matter_where_there_is_one_key(dtype: chainrule.dtype, compiled: bool) -> None:
    """Its weight is 1 whatever the query: in halves, too, what comes back to it is exactly nothing."""
    generator = np.random.default_rng(0)
    q, k, v, w = (
        chainrule.tensor(generator.normal(size=shape)).to(dtype)
        for shape in ((4, 3, 3), (4, 1, 3), (4, 1, 4), (4, 3, 4))
    )

    def gradients(q: chainrule.Tensor, k: chainrule.Tensor) -> tuple[chainrule.Tensor, ...]:
        q, k = q.detach().requires_grad_(), k.detach().requires_grad_()
        (chainrule.nn.functional.scaled_dot_product_attention(q, k, v) * w).sum().backward()
        return q.grad, k.grad

    for gradient in (chainrule.compile(gradients) if compiled else gradients)(q, k):
        assert gradient.dtype == dtype and not gradient.any()
