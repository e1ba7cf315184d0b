"""Initialisation: each filler against the distribution it promises, exactly where nothing is random."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import special, stats

import chainrule
from chainrule import nn
from chainrule.nn import init
from chainrule.nn.truncated_normal import normal_quantile, truncated_normal

SHAPE = (60, 20, 3, 3)  # fan_in 180, fan_out 540


def uniform(bound: float) -> Any:
    return stats.uniform(-bound, 2 * bound)


DISTRIBUTIONS: list[tuple[str, Any]] = [
    ("uniform_(w)", stats.uniform(0, 1)),
    ("uniform_(w, -3.0, 1.0)", stats.uniform(-3, 4)),
    ("normal_(w)", stats.norm(0, 1)),
    ("normal_(w, 2.0, 0.5)", stats.norm(2, 0.5)),
    ("trunc_normal_(w)", stats.truncnorm(-2, 2)),
    ("trunc_normal_(w, std=0.02)", stats.norm(0, 0.02)),
    ("trunc_normal_(w, 1.0, 0.5, 0.9, 3.0)", stats.truncnorm(-0.2, 4, 1, 0.5)),
    ("trunc_normal_(w, 0.0, 1.0, 3.0, 4.0)", stats.truncnorm(3, 4)),
    ("trunc_normal_(w, 5.0, 1.0, -2.0, 2.0)", stats.truncnorm(-7, -3, 5, 1)),
    ("trunc_normal_(w, 0.0, 1.0, 6.0, 100.0)", stats.truncnorm(6, 100)),
    ("xavier_uniform_(w)", uniform(math.sqrt(6 / 720))),
    ("xavier_uniform_(w, gain=2.0)", uniform(2 * math.sqrt(6 / 720))),
    ("xavier_normal_(w)", stats.norm(0, math.sqrt(2 / 720))),
    ("xavier_normal_(w, 5 / 3)", stats.norm(0, 5 / 3 * math.sqrt(2 / 720))),
    ("lecun_uniform_(w)", uniform(math.sqrt(3 / 180))),
    ("lecun_uniform_(w, 2.0)", uniform(2 * math.sqrt(3 / 180))),
    ("lecun_normal_(w)", stats.norm(0, math.sqrt(1 / 180))),
    ("lecun_normal_(w, 2.0)", stats.norm(0, 2 * math.sqrt(1 / 180))),
    ("kaiming_uniform_(w)", uniform(math.sqrt(6 / 180))),
    ("kaiming_uniform_(w, a=math.sqrt(5))", uniform(math.sqrt(1 / 180))),
    ("kaiming_uniform_(w, mode='fan_out', nonlinearity='relu')", uniform(math.sqrt(6 / 540))),
    ("kaiming_uniform_(w, nonlinearity='tanh')", uniform(5 / 3 * math.sqrt(3 / 180))),
    ("kaiming_normal_(w)", stats.norm(0, math.sqrt(2 / 180))),
    ("kaiming_normal_(w, 0.1, 'fan_out')", stats.norm(0, math.sqrt(2 / 1.01 / 540))),
    ("kaiming_normal_(w, nonlinearity='selu')", stats.norm(0, 0.75 / math.sqrt(180))),
    ("kaiming_normal_(w, nonlinearity='linear')", stats.norm(0, math.sqrt(1 / 180))),
]


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
@pytest.mark.parametrize(("source", "distribution"), DISTRIBUTIONS)
def test_numbers_come_from_their_distribution(source: str, distribution: Any, dtype: str) -> None:
    chainrule.manual_seed(1)
    w = nn.Parameter(chainrule.empty(SHAPE, dtype=dtype))
    result = eval(f"init.{source}", {"init": init, "w": w, "math": math})
    assert result is w and w.requires_grad and w.is_leaf
    x = w.detach().double().numpy().reshape(-1)
    low, high = distribution.support()
    rounding = {"float16": 2.0**-10, "bfloat16": 2.0**-7}.get(dtype, 1e-6)
    assert x.min() >= low - rounding * abs(low) and x.max() <= high + rounding * abs(high)
    # Five standard errors; that of the variance from the fourth moment.
    mean, variance, kurtosis = (float(m) for m in distribution.stats("mvk"))
    slack = rounding * (abs(mean) + math.sqrt(variance))
    assert abs(x.mean() - mean) < 5 * math.sqrt(variance / x.size) + slack
    assert abs(x.var() / variance - 1) < 5 * math.sqrt((kurtosis + 2) / x.size) + 4 * rounding * (1 + abs(mean))
    if dtype in ("float32", "float64"):
        assert stats.kstest(x, distribution.cdf).pvalue > 1e-3


def test_truncated_normal_deep_in_the_tail() -> None:
    """Beyond 37 standard deviations Φ itself is no longer a number: there the tail is exponential to within 1/d²."""
    for low, high in ((30.0, 31.0), (36.0, 40.0), (40.0, 41.0), (100.0, math.inf), (-50.0, -45.0), (50.0, 50.001)):
        for dtype in ("float32", "float64"):
            x = truncated_normal((40_000,), low, high, dtype, chainrule.Generator(2)).numpy().astype("float64")
            nearest = low if low > 0 else -high
            expected = stats.truncnorm(low, high)
            assert x.min() >= low and x.max() <= high
            distance = abs(x.mean() - expected.mean())
            assert distance < 5 / nearest / math.sqrt(40_000) + 1 / nearest**3, (low, high, dtype)


def test_normal_quantile_is_scipy_s() -> None:
    p = np.concatenate([10.0 ** -np.arange(1, 300, 0.7), np.linspace(1e-6, 1 - 1e-6, 10_001)])
    np.testing.assert_allclose(normal_quantile(chainrule.tensor(p)).numpy(), special.ndtri(p), rtol=2e-15, atol=1e-300)
    p = p[p > 1e-37].astype("float32")
    found = normal_quantile(chainrule.tensor(p))
    assert found.dtype is chainrule.float32
    np.testing.assert_allclose(found.numpy(), special.ndtri(p.astype("float64")), rtol=5e-7, atol=5e-7)


@pytest.mark.parametrize("shape", [(40, 40), (30, 50), (50, 30), (20, 3, 3, 2), (6, 1, 2, 2), (1, 5), (5, 1)])
@pytest.mark.parametrize("gain", [1.0, 1.7])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_orthogonal(shape: tuple[int, ...], gain: float, dtype: str) -> None:
    w = init.orthogonal_(chainrule.empty(shape, dtype=dtype), gain, chainrule.Generator(3)).double().numpy()
    w = w.reshape(shape[0], -1)
    if w.shape[0] > w.shape[1]:
        w = w.T
    close = {"float32": 2e-6, "float64": 1e-14, "float16": 4e-3}[dtype]
    np.testing.assert_allclose(w @ w.T, gain**2 * np.eye(len(w)), atol=close * gain**2)


def test_orthogonal_matrices_are_equally_likely() -> None:
    """Of a random rotation in n dimensions an entry x has (x + 1)/2 ~ Beta((n − 1)/2, (n − 1)/2), wherever it stands."""
    generator = chainrule.Generator(4)
    drawn = np.stack([init.orthogonal_(chainrule.empty(4, 4), generator=generator).numpy() for _ in range(2000)])
    for i in range(4):
        for j in range(4):
            assert stats.kstest((drawn[:, i, j] + 1) / 2, stats.beta(1.5, 1.5).cdf).pvalue > 1e-4
    determinants = np.linalg.det(drawn)
    assert abs((determinants > 0).mean() - 0.5) < 5 * 0.5 / math.sqrt(2000)


@pytest.mark.parametrize(("rows", "sparsity"), [(10, 0.0), (10, 0.3), (10, 0.31), (7, 0.5), (5, 1.0), (0, 0.5)])
def test_sparse(rows: int, sparsity: float) -> None:
    w = init.sparse_(chainrule.empty(rows, 2000), sparsity, std=0.3, generator=chainrule.Generator(5)).numpy()
    zeros = math.ceil(sparsity * rows)
    assert ((w == 0).sum(0) == zeros).all()
    if 0 < zeros < rows:  # every place is as likely
        share = zeros / rows
        assert (abs((w == 0).mean(1) - share) < 5 * math.sqrt(share * (1 - share) / 2000)).all()
    if zeros < rows:
        assert stats.kstest(w[w != 0], stats.norm(0, 0.3).cdf).pvalue > 1e-3


@pytest.mark.peer
@pytest.mark.parametrize(
    "source",
    [
        *[f"eye_(lib.empty({n}, {m}))" for n, m in ((3, 3), (2, 5), (5, 2), (0, 3))],
        *[
            f"dirac_(lib.empty({shape}), {groups})"
            for shape in ((4, 4, 3), (4, 2, 5), (6, 3, 2), (4, 4, 3, 3), (6, 4, 2, 5), (3, 5, 3, 3, 4), (2, 1, 1), (6, 3, 3, 3))
            for groups in (1, 2, 3)
            if shape[0] % groups == 0
        ],
        "constant_(lib.empty(2, 3), 0.3)", "zeros_(lib.ones(3))", "ones_(lib.zeros(2, 0, 1))",
        "constant_(lib.tensor(0.0), 7)",
    ],
)  # fmt: skip
def test_what_is_not_random_is_pytorch_s(source: str) -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = (eval(f"lib.nn.init.{source}", {"lib": framework}) for framework in (chainrule, torch))
    np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    assert str(ours.dtype).split(".")[-1] == str(theirs.dtype).split(".")[-1]


def test_an_identity_layer_passes_its_input_on() -> None:
    x = chainrule.randn(2, 4, 7, 6)
    layer = nn.Conv2d(4, 4, 3, padding=1, groups=2, bias=False)
    init.dirac_(layer.weight, groups=2)
    assert chainrule.equal(layer(x), x)
    dense = nn.Linear(4, 4, bias=False)
    init.eye_(dense.weight)
    assert chainrule.equal(dense(x[..., 0, 0]), x[..., 0, 0])


@pytest.mark.peer
def test_gains_are_pytorch_s() -> None:
    torch = pytest.importorskip("torch")
    names = [
        "linear", "sigmoid", "tanh", "relu", "selu", "leaky_relu",
        *(f"conv{t}{n}d" for t in ("", "_transpose") for n in (1, 2, 3)),
    ]  # fmt: skip
    for name in names:
        assert init.calculate_gain(name) == torch.nn.init.calculate_gain(name)
    for slope in (0, 0.2, -1, 3.5):
        assert init.calculate_gain("leaky_relu", slope) == torch.nn.init.calculate_gain("leaky_relu", slope)


def public(module: Any) -> dict[str, Callable[..., Any]]:
    """The functions of `nn.init` that users call, without those that only warn and call another."""
    names = [name for name in dir(module) if name.endswith("_") and not name.startswith("_")]
    return {name: getattr(module, name) for name in [*names, "calculate_gain"]}


@pytest.mark.peer
def test_every_filler_of_pytorch_is_here_with_its_arguments() -> None:
    torch = pytest.importorskip("torch")
    ours = public(init)
    for name, theirs in public(torch.nn.init).items():
        mine = inspect.signature(ours[name]).parameters
        wanted = inspect.signature(theirs).parameters
        assert [(p.name, p.default) for p in mine.values()] == [(p.name, p.default) for p in wanted.values()], name
    weight = torch.empty(16, 6, 5, 5)
    assert init._calculate_fan_in_and_fan_out(chainrule.empty(16, 6, 5, 5)) == (
        torch.nn.init._calculate_fan_in_and_fan_out(weight)
    )


RANDOM = [
    "uniform_(w, generator=g)", "normal_(w, generator=g)", "trunc_normal_(w, generator=g)", "sparse_(w, 0.3, generator=g)",
    "orthogonal_(w, generator=g)", "xavier_uniform_(w, generator=g)", "xavier_normal_(w, generator=g)",
    "lecun_uniform_(w, generator=g)", "lecun_normal_(w, generator=g)", "kaiming_uniform_(w, generator=g)",
    "kaiming_normal_(w, generator=g)",
]  # fmt: skip


@pytest.mark.parametrize("source", RANDOM)
def test_a_generator_decides_and_the_default_one_stays(source: str) -> None:
    state = chainrule.get_rng_state()
    drawn = []
    for seed in (1, 1, 2):
        w = chainrule.empty(6, 5)
        eval(f"init.{source}", {"init": init, "w": w, "g": chainrule.Generator(seed)})
        drawn.append(w)
    assert chainrule.equal(drawn[0], drawn[1]) and not chainrule.equal(drawn[0], drawn[2])
    assert chainrule.equal(chainrule.get_rng_state(), state)
    before = chainrule.manual_seed(7).get_state()
    eval(f"init.{source}", {"init": init, "w": chainrule.empty(6, 5), "g": None})
    assert not chainrule.equal(chainrule.get_rng_state(), before)


@pytest.mark.parametrize("source", [*RANDOM, "constant_(w, 2.0)", "zeros_(w)", "ones_(w)", "eye_(w)"])
def test_nothing_is_recorded(source: str) -> None:
    """A leaf that requires a gradient may be filled, and a gradient that was there stays."""
    w = nn.Parameter(chainrule.ones(6, 5))
    w.sum().backward()
    eval(f"init.{source}", {"init": init, "w": w, "g": None})
    assert w.is_leaf and w.grad.tolist() == [[1.0] * 5] * 6
    part = chainrule.zeros(8, 5)
    eval(f"init.{source}", {"init": init, "w": part[1:7], "g": None})
    assert (part[0] == 0).all() and (part[7] == 0).all(), "a view is filled, the rest is not"
    assert "zeros" in source or (part[1:7] != 0).any()


@pytest.mark.parametrize("source", [r for r in RANDOM if "sparse" not in r])
def test_empty_tensors(source: str) -> None:
    for shape in ((0, 3), (3, 0), (0, 0)):
        w = eval(f"init.{source}", {"init": init, "w": chainrule.empty(shape), "g": None})
        assert w.shape == shape


WRONG = [
    ("xavier_uniform_(empty(3))", chainrule.ShapeError, r"two dimensions or more, got \(3,\)"),
    ("xavier_normal_(empty(()))", chainrule.ShapeError, r"got \(\)"),
    ("kaiming_normal_(empty(3))", chainrule.ShapeError, "zeros_ or uniform_"),
    ("kaiming_uniform_(empty(3, 3), mode='in')", ValueError, "'fan_in' or 'fan_out', got 'in'"),
    ("kaiming_uniform_(empty(3, 3), nonlinearity='gelu')", ValueError, "no gain is known for 'gelu'; known are"),
    ("calculate_gain('leaky_relu', True)", ValueError, "a number, got True"),
    ("calculate_gain('leaky_relu', '0.1')", ValueError, "a number, got '0.1'"),
    ("orthogonal_(empty(3))", chainrule.ShapeError, r"got shape \(3,\)"),
    ("sparse_(empty(3, 3, 3), 0.5)", chainrule.ShapeError, r"\(3, 3, 3\)"),
    ("sparse_(empty(3, 3), 1.5)", ValueError, r"in \[0, 1\], got 1.5"),
    ("eye_(empty(3))", chainrule.ShapeError, "dirac_ is for convolutions"),
    ("dirac_(empty(3, 3))", chainrule.ShapeError, r"3 to 5 dimensions, got \(3, 3\)"),
    ("dirac_(empty(3, 3, 3), 2)", chainrule.ShapeError, "3 output channels cannot be shared by 2 groups"),
    ("dirac_(empty(3, 3, 3), 0)", chainrule.ShapeError, "0 groups"),
    ("uniform_(empty(3), 1.0, -1.0)", ValueError, "a = 1.0 and b = -1.0"),
    ("normal_(empty(3), 0.0, -1.0)", ValueError, "std = -1.0"),
    ("normal_(empty(3), 0.0, float('nan'))", ValueError, "std = nan"),
    ("trunc_normal_(empty(3), a=2.0, b=-2.0)", ValueError, "a = 2.0, b = -2.0"),
    ("trunc_normal_(empty(3), std=0.0)", ValueError, "std = 0.0"),
    ("uniform_(zeros(3, dtype=int64))", chainrule.DTypeError, "floating-point"),
]


@pytest.mark.parametrize(("source", "kind", "says"), WRONG)
def test_what_is_refused(source: str, kind: type[Exception], says: str) -> None:
    names = {"empty": chainrule.empty, "zeros": chainrule.zeros, "int64": chainrule.int64}
    with pytest.raises(kind, match=says):
        eval(f"init.{source}", {"init": init, **names})


def test_skipping_is_for_the_block_only() -> None:
    w = chainrule.zeros(3, 3)
    with init.skip_filling():
        for source in RANDOM:
            eval(f"init.{source}", {"init": init, "w": w, "g": None})
        assert init.ones_(w) is w and (w == 0).all()
    assert (init.ones_(w) == 1).all()
