"""Every function of tensors against PyTorch: the same values, data types, shapes, gradients and refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from peer_comparison import DTYPES, FLOATS, INTEGERS, Given, check, entries, lines, numpy_dtype

pytestmark = pytest.mark.peer

SHAPES = [(), (0,), (1,), (5,), (3, 4), (2, 3, 4), (2, 0, 3)]
# A gradient at NaN is nobody's promise (docs/differences.md), so NaN comes without one.
SPECIAL = [float("inf"), -float("inf"), 0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, 1e-8, 100.0, -100.0, 3.0]


def one(low: float = -3.0, high: float = 3.0, special: bool = True, dtypes: Any = DTYPES) -> list[list[Given]]:
    """Single inputs: every data type, sizes 0 and 1, every layout, and the special values."""
    cases = [[Given(entries(shape, "float64", "x", low, high))] for shape in SHAPES]
    cases += [[Given(entries((3, 4), dtype, "x", low, high))] for dtype in dtypes]
    cases += [
        [Given(entries((4, 3), d, layout, low, high), layout)]
        for layout in ("transposed", "strided", "expanded", "offset")
        for d in ("float64", "int32")
    ]
    if special:
        cases += [[Given(np.array(SPECIAL).astype(numpy_dtype(dtype)))] for dtype in FLOATS]
        cases += [
            [Given(np.array([float("nan"), 1.0]).astype(numpy_dtype(dtype)), requires_grad=False)] for dtype in FLOATS
        ]
        cases += [[Given(np.array([np.iinfo(d).min, np.iinfo(d).max, 0, 1], d))] for d in INTEGERS]
    return cases


ELEMENTWISE = """
x.neg()
-x
+x
abs(x)
lib.abs(x)
lib.exp(x)
lib.exp2(x)
lib.expm1(x)
lib.log(x)
lib.log2(x)
lib.log10(x)
lib.log1p(x)
lib.sqrt(x)
lib.rsqrt(x)
lib.square(x)
lib.reciprocal(x)
lib.sin(x)
lib.cos(x)
lib.tan(x)
lib.asin(x)
lib.acos(x)
lib.atan(x)
lib.sinh(x)
lib.cosh(x)
lib.tanh(x)
lib.sigmoid(x)
lib.relu(x)
lib.erf(x)
lib.erfc(x)
lib.lgamma(x)
lib.erfinv(x)
lib.erfinv(x / 4)
lib.special.ndtri(x / 8 + 0.5)
lib.special.ndtr(x)
lib.special.entr(x)
lib.special.xlog1py(x, x.abs())
lib.special.expit(x)
lib.special.gammaln(x)
lib.special.multigammaln(x + 4, 2)
x.mvlgamma(1)
lib.sign(x.nan_to_num())
lib.floor(x)
lib.ceil(x)
lib.trunc(x)
lib.frac(x)
lib.round(x)
x.round(decimals=1)
x.round(decimals=-1)
lib.isnan(x)
lib.isinf(x)
lib.isfinite(x)
lib.logical_not(x)
~x
lib.nan_to_num(x)
lib.nan_to_num(x, nan=2.0, posinf=5.0, neginf=-5.0)
x.clamp(-1, 1)
x.clamp(min=0)
x.clamp(max=0.5)
x.clamp(1, -1)
x.clamp(lib.tensor(-1.0), lib.tensor(1.0))
x.clip(0, 2)
x ** 2
x ** 3
x ** 0
x ** 1
x.double() ** 0.5
x ** -1
abs(x) ** -0.5
x ** 2.5
x ** -2
2 ** x
2.5 ** x
x.pow(2.0)
x + 1
x + 1.5
1 + x
x + True
x - 1
1 - x
x - 1.5
1.5 - x
x * 2
2.5 * x
x / 2
x / 0
2 / x
x // 2
x // 2.0
2 // x
x % 2
x % 2.5
x % -2
5 % x
x.fmod(2)
x.fmod(-2.5)
x.div(2, rounding_mode='floor')
x.div(2, rounding_mode='trunc')
x.div(-2.5, rounding_mode='trunc')
x.add(1, alpha=2)
x.add(x, alpha=2)
x.sub(x, alpha=3)
x.add(x, alpha=0.5)
x == 1
x != 1
x < 0
x <= 0
x > 0.5
x >= 1
1 < x
0.5 >= x
x == x
lib.eq(x, 1.0)
x & 1
x | 2
x ^ 3
1 & x
x & True
lib.logical_and(x, x)
lib.logical_or(x, x)
lib.logical_xor(x, x)
lib.maximum(x, -x)
lib.minimum(x, -x)
lib.maximum(x, x)
lib.atan2(x, x)
lib.where(x > 0, x, 0)
lib.where(x > 0, x, 1.5)
lib.where(x > 0, 1, x)
lib.where(x > 0, x, -x)
lib.where(x > 0, 1.0, 0.0)
lib.where(x > 0, 1, 0)
x.where(x > 0, 0)
x.masked_fill(x > 0, 1)
x.masked_fill(x > 0, 1.5)
x.masked_fill(x > 0, lib.tensor(2))
x.lerp(x + 1, 0.25)
x.lerp(x + 1, x.detach().clamp(-3, 3))
lib.addcmul(x, x, x, value=2)
lib.addcdiv(x, x, x.detach().clamp(-5, 5) ** 2 + 1, value=0.5)
lib.isclose(x, x + 1e-9)
lib.isclose(x, x, equal_nan=True)
lib.allclose(x, x)
lib.equal(x, x)
lib.equal(x, x + 1)
lib.softmax(x, -1)
lib.softmax(x, 0)
lib.log_softmax(x, -1)
lib.log_softmax(x, 0)
lib.softmax(x, 0, dtype=lib.float64)
x.softmax(-1)
lib.asinh(x)
lib.acosh(x.detach())
lib.acosh(x * x + 1.5)
lib.atanh(x)
lib.hypot(x, x)
lib.logaddexp(x.detach(), -x.detach())
lib.signbit(x.nan_to_num())
lib.deg2rad(x)
lib.rad2deg(x)
lib.logit(x, eps=0.01)
lib.true_divide(x, 2)
lib.multiply(x, 2)
lib.subtract(x, 1)
lib.negative(x)
lib.absolute(x)
lib.bitwise_not(x)
x.double()
x.float()
x.half()
x.bfloat16()
x.to(lib.float64)
x.to(lib.float32, copy=True)
x.type_as(lib.zeros(1))
x.to(lib.zeros(1, dtype=lib.float64))
x.is_floating_point()
x.numel()
x.size()
x.dim()
x.shape
x.dtype
x.element_size()
x.requires_grad
x.is_leaf
x.tolist()
x.sigmoid().log()
x.exp().sum()
(x * x).mean() if x.is_floating_point() else x
"""

# Not with special values: NaN or too large a number as an integer is what C leaves undefined.
UNDEFINED_CONVERSIONS = """
x.long()
x.int()
x.short()
x.char()
x.byte()
x.bool()
x.to(lib.int64)
"""


@pytest.mark.parametrize("text", lines(ELEMENTWISE))
def test_elementwise(text: str) -> None:
    check(text, one())


@pytest.mark.parametrize("text", lines(UNDEFINED_CONVERSIONS))
def test_conversions_to_integers(text: str) -> None:
    check(text, one(special=False))


PAIR_SHAPES = [
    ((3, 4), (3, 4)),
    ((3, 4), (4,)),
    ((3, 1), (1, 4)),
    ((), (3,)),
    ((2, 3, 4), (3, 1)),
    ((0,), (1,)),
    ((3, 0), (1, 1)),
    ((1,), ()),
    ((), ()),
]
MISFITS = [((3,), (4,)), ((2, 3), (3, 2)), ((0,), (2,))]


def two(low: float = -3.0, high: float = 3.0) -> list[list[Given]]:
    """Pairs of inputs that broadcast, some that do not, layouts, data types, and special values."""
    cases = [
        [Given(entries(a, "float64", "x", low, high)), Given(entries(b, "float64", "y", low, high))]
        for a, b in PAIR_SHAPES + MISFITS
    ]
    cases += [
        [
            Given(entries((3, 4), d, "x", low, high)),
            Given(entries((3, 4) if d in FLOATS else (4,), d, "y", low, high)),
        ]
        for d in DTYPES
    ]
    cases += [
        [
            Given(entries((4, 3), "float64", "x", low, high), "transposed"),
            Given(entries((4,), "float32", "y", low, high), "expanded", False),
        ],
        [
            Given(entries((4, 3), "int32", "x", low, high), "strided"),
            Given(entries((3,), "float32", "y", low, high)),
        ],
    ]
    grid = np.array([float("nan"), float("inf"), -float("inf"), 0.0, 1.0, -2.0, 0.5])
    cases += [
        [
            Given(grid[:, None].astype(numpy_dtype(d)), "plain", False),
            Given(grid.astype(numpy_dtype(d)), "plain", False),
        ]
        for d in ("float64", "float32")
    ]
    cases += [[Given(grid[3:, None]), Given(grid[3:])]]
    return cases


BINARY = """
x + y
x - y
x * y
x / y
x // y
x % y
x ** y
lib.fmod(x, y)
lib.div(x, y * y + 1, rounding_mode='trunc')
lib.div(x, y * y + 1, rounding_mode='floor')
x == y
x != y
x < y
x <= y
x > y
x >= y
x & y
x | y
x ^ y
lib.maximum(x, y)
lib.minimum(x, y)
lib.max(x, y)
x.min(y)
lib.atan2(x, y)
lib.where(x > y, x, y)
lib.logical_and(x, y)
lib.logical_or(x, y)
lib.logical_xor(x, y)
lib.isclose(x, y)
lib.isclose(x, y, rtol=0.5, atol=0.1, equal_nan=True)
lib.lerp(x, y, 0.3)
lib.addcmul(x, x, y, value=2)
lib.addcdiv(x, x, y)
x.masked_fill(y > 0, 2)
x.clamp(min=y)
x.clamp(max=y)
x.clamp(y, y + 1)
x.add(y, alpha=2)
x.sub(y, alpha=2)
lib.hypot(x, y)
lib.logaddexp(x, y)
lib.xlogy(x, y)
lib.floor_divide(x, y)
lib.remainder(x, y)
x.equal(y)
"""


@pytest.mark.parametrize("text", lines(BINARY))
def test_binary(text: str) -> None:
    check(text, two())


REDUCTION_SHAPES = [(), (1,), (5,), (3, 4), (2, 3, 4), (0,), (2, 0, 3), (600, 3)]


def many(dtypes: Any = DTYPES) -> list[list[Given]]:
    """Inputs for reductions: sizes 0 and 1, long and short, ties, layouts, and NaN and infinities in rows."""
    cases = [[Given(entries(shape, "float64", "x"))] for shape in REDUCTION_SHAPES]
    cases += [[Given(entries((3, 4), dtype, "x"))] for dtype in dtypes]
    cases += [[Given(np.round(entries((3, 5), "float64", "ties", -1, 1)))], [Given(np.zeros((2, 3)))]]
    cases += [[Given(entries((4, 3), "float32", layout), layout)] for layout in ("transposed", "strided", "expanded")]
    nan, inf = float("nan"), float("inf")
    rows = np.array([[1.0, nan, 2.0], [inf, -inf, 0.0], [inf, inf, 1.0], [-inf, -inf, -inf], [nan, nan, inf]])
    return [*cases, [Given(rows, "plain", False)], [Given(rows.astype(np.float32), "plain", False)]]


REDUCTIONS = """
x.sum()
x.sum(0)
x.sum(-1, keepdim=True)
x.sum(dim=(0, -1))
lib.sum(x, (0, 1))
lib.sum(x, [0, 2], keepdim=True)
x.sum(dim=None)
x.sum(dim=())
x.sum(0, dtype=lib.float64)
x.sum(dtype=lib.int64) if not x.isnan().any() and not x.isinf().any() else x
x.mean()
x.mean(0)
x.mean(-1, keepdim=True)
x.mean((0, 1))
x.mean(dtype=lib.float64)
x.var()
x.var(0)
x.var(0, unbiased=False)
x.var(unbiased=False)
x.var(-1, correction=0)
x.detach().var(-1, correction=2)
x.var((0, 1), keepdim=True)
x.var(dim=0, correction=0, keepdim=True)
x.std()
x.std(0)
x.std(0, unbiased=False)
x.std(-1, correction=0, keepdim=True)
lib.std(x, (0, 1))
x.prod()
x.prod(0)
x.prod(-1, keepdim=True)
x.prod(0, dtype=lib.float64)
x.max()
x.max(0)
x.max(-1, keepdim=True)
x.max(dim=1)
x.max(0).values
x.max(0)[0]
x.min()
x.min(0)
x.min(-1, keepdim=True)
x.amax()
x.amax(0)
x.amax((0, 1))
x.amax(-1, keepdim=True)
x.amin()
x.amin(0)
x.amin((0, -1), keepdim=True)
lib.aminmax(x)
lib.aminmax(x, dim=0)
x.argmax()
x.argmax(0)
x.argmax(-1, keepdim=True)
x.argmax(keepdim=True)
x.argmin()
x.argmin(0)
x.argmin(-1, keepdim=True)
x.double().any()
x.bool().any()
x.double().any(0)
x.bool().any(0)
x.double().any(-1, keepdim=True)
x.bool().any(-1, keepdim=True)
x.double().any((0, 1))
x.bool().any((0, 1))
x.double().all()
x.bool().all()
x.double().all(0)
x.bool().all(0)
x.double().all(-1, keepdim=True)
x.bool().all(-1, keepdim=True)
x.count_nonzero()
x.count_nonzero(0)
x.count_nonzero((0, 1))
x.logsumexp(0)
x.logsumexp(-1, keepdim=True)
x.logsumexp((0, 1))
x.norm()
x.norm(1)
x.norm(2, 0)
x.norm(p=3, dim=-1)
x.norm(p=3)
x.norm(p=0.5, dim=0)
x.norm(float('inf'))
x.norm(-float('inf'), 0)
x.detach().norm(0)
x.norm(p='fro')
x.norm(p=2, dim=(0, 1), keepdim=True)
x.norm(1, -1, keepdim=True)
x.cumsum(0)
x.cumsum(-1)
x.cumsum(0, dtype=lib.float64)
x.cumprod(0)
x.cumprod(-1)
x.cummax(0)
x.cummin(-1)
x.diff()
x.diff(dim=0)
x.diff(n=2)
x.detach().contiguous().median()
x.detach().contiguous().median(0)[0]
x.detach().contiguous().median(-1, keepdim=True)[0]
x.nansum()
x.nansum(0)
x.nanmean(0)
lib.var_mean(x, 0)
lib.std_mean(x, 0)
x.quantile(0.3)
x.quantile(0.5, dim=0)
x.sum(5)
x.sum(-7)
x.sum((0, 0))
x.mean(1, 2, 3, 4)
x.max(7)
x.sort()[0]
x.sort(0)[0]
x.sort(-1, descending=True)[0]
x.sort(stable=True)
x.sort(dim=0, descending=True, stable=True)
x.argsort(stable=True)
x.argsort(dim=0, descending=True, stable=True)
x.detach().topk(1)[0]
x.detach().topk(2)[0]
x.detach().topk(2, 0)[0]
x.detach().topk(1, dim=-1, largest=False)[0]
x.detach().topk(9)[0]
x.detach().topk(0)
"""


@pytest.mark.parametrize("text", lines(REDUCTIONS))
def test_reductions(text: str) -> None:
    check(text, many())
