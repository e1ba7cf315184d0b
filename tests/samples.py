"""Samples for every primitive: arrays and settings with which the registry tests try it.

A new primitive needs an entry here, or the suite fails. Inputs are float64 or integers, away from kinks and
poles, in shapes with extents 0 and 1 and in odd memory layouts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from chainrule.primitives import low_bits  # noqa: F401  (it registers itself)
from chainrule.primitives.indexing import ARRAY, Range
from chainrule.primitives.random import write_state


@dataclass
class Sample:
    """Inputs and settings of one application.

    `second` says whether its gradient has a gradient that can be checked.
    """

    inputs: tuple[Any, ...]
    settings: dict[str, Any] = field(default_factory=dict)
    second: bool = True


def numbers(*shape: int, low: float = 0.3, high: float = 2.0, signs: bool = True, seed: int = 0) -> Any:
    """Numbers with sizes from low to high, all different, of both signs unless told otherwise."""
    random = np.random.default_rng(seed + sum(shape))
    size = int(np.prod(shape))
    values = low + (high - low) * (random.permutation(size) + 0.5) / max(size, 1)
    return (values * (random.choice([-1, 1], size) if signs else 1)).reshape(shape)


def _small(*shape: int) -> Any:
    """All kinds of bytes."""
    return np.random.default_rng(1).integers(-128, 128, shape).astype(np.int8)


def layouts(**options: Any) -> list[Any]:
    """Arrays in all the ways they can lie in memory, and of all the sizes that break things."""
    matrix = numbers(3, 4, **options)
    return [
        numbers(**options), numbers(1, **options), numbers(0, **options), numbers(2, 0, 3, **options),
        matrix, matrix.T, matrix[::-1, ::-2], numbers(6, 8, **options)[::2, 1::3],
        np.broadcast_to(numbers(3, 1, **options), (3, 4)), numbers(1, 2, 1, 3, **options),
    ]  # fmt: skip


def unary(second: bool = True, **options: Any) -> list[Sample]:
    return [Sample((x,), second=second) for x in layouts(**options)]


def binary(second: bool = True, **options: Any) -> list[Sample]:
    pairs = zip(layouts(**options), layouts(seed=7, **options), strict=True)
    return [Sample((x, np.where(np.abs(x - y) < 0.05, y + 0.1, y)), second=second) for x, y in pairs]


def quotients() -> list[Sample]:
    """Pairs whose quotient is far from the whole numbers, where ⌊x / y⌋ jumps."""
    return [Sample((np.round(x * 5) * y + 0.4 * y, y), second=False) for x, y in zip(layouts(), layouts(), strict=True)]


def bits() -> list[Sample]:
    x, y = np.array([[5, 3], [0, 255]]), np.array([[6, 3], [1, 127]])
    return [Sample((x, y)), Sample((x[::-1].T, y)), Sample((x > 4, y > 4)), Sample((x[:0], y[:0]))]


def shifts() -> list[Sample]:
    x, y = np.array([[5, 3], [-7, 100]]), np.array([[0, 3], [1, 5]])
    return [Sample((x, y)), Sample((x[::-1].T, y)), Sample((x[:0], y[:0]))]


def reduced(second: bool = True, empty: bool = True, **options: Any) -> list[Sample]:
    shapes = [
        ((3, 4), (0,)),
        ((3, 4), (1,)),
        ((3, 4), (0, 1)),
        ((2, 3, 4), (0, 2)),
        ((1, 3), (0,)),
        ((5,), (0,)),
        ((0, 3), (1,)),
        ((3, 2), ()),
        ((), ()),
        *([((0, 3), (0,)), ((2, 0), (0, 1))] if empty else []),
    ]
    samples = [Sample((numbers(*shape, **options),), {"axes": axes}, second) for shape, axes in shapes]
    return [*samples, Sample((numbers(4, 3, **options).T[::-1],), {"axes": (1,)}, second)]


def along() -> list[tuple[Any, int]]:
    """Arrays in all layouts without equal entries, and an axis of each."""
    return [(x, axis) for x in layouts() for axis in range(x.ndim) if 0 not in x.strides]


def convolved(kind: str) -> list[Sample]:
    """The three convolution primitives on the same cases: strides, padding, dilation, groups, 1 to 3 dimensions."""
    cases = [
        ((2, 3, 5), (4, 3, 2), (1,), (0,), (1,), 1), ((2, 2, 6, 5), (2, 2, 3, 2), (2, 1), (1, 0), (1, 2), 1),
        ((1, 4, 4, 4), (4, 2, 2, 2), (1, 2), (0, 1), (1, 1), 2), ((2, 2, 3, 3), (4, 1, 1, 1), (1, 1), (0, 0), (1, 1), 2),
        ((1, 1, 3, 3, 3), (2, 1, 2, 2, 2), (1, 1, 1), (0, 1, 0), (1, 1, 1), 1),
        ((0, 2, 4, 4), (3, 2, 3, 3), (1, 1), (1, 1), (1, 1), 1), ((1, 1, 7, 7), (1, 1, 2, 2), (3, 3), (0, 0), (1, 1), 1),
        ((2, 0, 4), (3, 0, 2), (1,), (1,), (1,), 1), ((2, 1, 4), (0, 1, 2), (1,), (0,), (1,), 1),
        ((2, 2, 3), (2, 2, 1), (2,), (1,), (1,), 1),
    ]  # fmt: skip
    samples = []
    for x_shape, w_shape, stride, padding, dilation, groups in cases:
        x, w = numbers(*x_shape), numbers(*w_shape, seed=3)
        sizes = zip(x_shape[2:], w_shape[2:], stride, padding, dilation, strict=True)
        out = tuple((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in sizes)
        y = numbers(x_shape[0], w_shape[0], *out, seed=5)
        settings = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        if kind == "forward":
            samples.append(Sample((x, w), settings))
        elif kind == "transpose":
            samples.append(Sample((y, w), {**settings, "size": x_shape[2:]}))
        else:
            samples.append(Sample((x, y), {**settings, "kernel": w_shape[2:]}))
    return samples


def windows() -> list[tuple[Any, dict[str, Any]]]:
    cases = [
        ((2, 2, 6), (2,), (2,), (1,)), ((1, 2, 5, 6), (2, 3), (1, 2), (2, 1)), ((2, 1, 4, 4), (2, 2), (2, 2), (1, 1)),
        ((0, 2, 4, 4), (2, 2), (2, 2), (1, 1)), ((1, 1, 3, 3, 3), (2, 2, 2), (1, 1, 1), (1, 1, 1)),
        ((1, 0, 3), (1,), (1,), (1,)), ((1, 1, 13, 12), (12, 11), (1, 1), (1, 1)),  # 132 offsets: more than int8 counts
    ]  # fmt: skip
    return [(numbers(*shape), {"kernel": k, "stride": s, "dilation": d}) for shape, k, s, d in cases]


def folded() -> list[Sample]:
    from chainrule.primitives.window import Windows

    return [
        Sample((numbers(*Windows.shape(x, **settings)[0]),), {**settings, "size": x.shape[2:]})
        for x, settings in windows()
    ]


def pooled_back() -> list[Sample]:
    from chainrule.primitives.window import MaxPool

    more = [
        ((1, 2, 7, 5), (3, 3), (2, 2), (1, 1)),
        ((2, 1, 9), (2,), (3,), (1,)),
        ((1, 1, 5, 7), (2, 2), (3, 2), (1, 2)),
    ]
    cases = [*windows(), *[(numbers(*shape), {"kernel": k, "stride": s, "dilation": d}) for shape, k, s, d in more]]
    samples = []
    for x, settings in cases[:-4] + cases[-3:]:  # without the window of 132 offsets: it looks into as many windows
        values, indices = MaxPool.evaluate(x, **settings)
        samples.append(Sample((numbers(*values.shape, seed=1), indices), {**settings, "size": x.shape[2:]}))
    return samples


def attended(kind: str) -> list[Sample]:
    """Attention and its gradient: more or fewer keys than queries, none, causal or not, with and without a bias, and with dropout."""
    cases = [
        ((3, 2), (4, 2), 3, False, False), ((2, 3, 2), (2, 4, 2), 1, True, False), ((4, 2), (2, 2), 2, True, False),
        ((1, 2, 2, 3), (1, 2, 3, 3), 2, False, True), ((3, 2), (3, 2), 2, True, True), ((1, 1), (1, 1), 1, False, False),
        ((0, 3, 2), (0, 2, 2), 2, False, False), ((2, 0, 2), (2, 3, 2), 2, False, False), ((2, 0), (3, 0), 2, True, False),
    ]  # fmt: skip
    dropping = [((5, 2), (4, 2), 3, False, False, 0.5), ((1, 4, 2), (1, 4, 2), 2, True, True, 0.75)]
    samples = []
    for q_shape, k_shape, width, causal, biased, keep in [*((*case, 1.0) for case in cases), *dropping]:
        q, k, v = numbers(*q_shape), numbers(*k_shape, seed=1), numbers(*k_shape[:-1], width, seed=2)
        more = (numbers(*q_shape[:-1], k_shape[-2], seed=3),) if biased else ()
        if keep < 1:
            more = (*more, numbers(*q_shape[:-1], k_shape[-2], seed=8) > -0.5)
        settings = {"scale": 0.7, "causal": causal, "keep": keep}
        if kind == "forward":
            samples.append(Sample((q, k, v, *more), settings))
            continue
        g, rows = numbers(*q_shape[:-1], width, seed=4), q_shape[:-1]
        # Any row sums: the formula is to be right whether or not they belong to the scores.
        given = (g, q, k, v, numbers(*rows, seed=5, signs=False), numbers(*rows, seed=6), numbers(*rows, seed=7))
        samples.append(Sample((*given, *more), settings))
    return samples


_all = Range(None, None, None)
_places = np.array([[2, 0], [1, 2]])
KEYS: list[tuple[tuple[Any, ...], tuple[Any, ...]]] = [
    ((1,), ()), ((Range(0, 2, None), None, -1), ()), ((..., Range(None, None, 2)), ()), ((Range(2, 2, None),), ()),
    ((ARRAY,), (_places,)), ((_all, ARRAY), (np.array([3, 0, 0]),)), ((ARRAY, ARRAY), (np.array([0, 2]), np.array([1, 1]))),
    ((ARRAY, _all), (np.array([0, 0, 2]),)), ((ARRAY,), (np.zeros(0, np.int64),)),
]  # fmt: skip


def indexed(kind: str) -> list[Sample]:
    samples = []
    for key, places in KEYS:
        x = numbers(3, 4)
        if kind == "read":
            samples.append(Sample((x, *places), {"key": key}))
            continue
        from chainrule.primitives.indexing import Index

        y = numbers(*Index.shape(x, *places, key=key)[0], seed=9)
        if kind == "put" and any(len(np.unique(p)) < p.size for p in places) and len(places) == 1:
            continue  # which of several writes to one place stays is nobody's business
        samples.append(Sample((x, y, *places), {"key": key}))
    return samples


def matrices(n: int, m: int, *batch: int, spread: float = 1.0) -> Any:
    """Matrices whose singular values differ clearly."""
    random = np.random.default_rng(n + 10 * m)
    u, _, vh = np.linalg.svd(random.standard_normal((*batch, n, m)), full_matrices=False)
    return (u * (1 + spread * np.arange(min(n, m), 0, -1))) @ vh


def positive(n: int, *batch: int) -> Any:
    x = matrices(n, n, *batch)
    return x @ np.swapaxes(x, -1, -2)


def at_most(x: Any, limit: float) -> None:
    """A rule for `Check`."""
    if (np.asarray(x, np.float64) > limit).any():
        raise ValueError("too large")


def order_of(x: Any) -> Any:
    """A function for `NumPyFunction`."""
    return np.argsort(np.asarray(x, np.float64), axis=-1, kind="stable"), np.asarray(x).shape[-1]


_whole = np.dtype(np.int64)
_state = write_state(5, 7)
_drawn = [{"to": to, "dtype": np.dtype(d)} for to in [(), (0,), (3, 4)] for d in ("f4", "f8", "f2")]

SAMPLES: dict[str, list[Sample]] = {
    **{name: binary() for name in ("Add", "Subtract", "Multiply", "Divide", "Arctan2", "Maximum", "Minimum")},
    **{name: binary() for name in ("Equal", "Less", "LessEqual")},
    **{name: quotients() for name in ("FloorDivide", "Remainder")},
    "Power": binary(signs=False),
    **{name: bits() for name in ("BitwiseAnd", "BitwiseOr", "BitwiseXor")},
    "BitwiseNot": [Sample(sample.inputs[:1]) for sample in bits()],
    **{name: unary() for name in ("Negate", "Exp", "Expm1", "Sin", "Cos", "Arctan", "Tanh", "Erf", "Absolute")},
    **{name: unary() for name in ("Erfc", "Lgamma")},
    "Polygamma": [Sample((x,), {"n": n}) for x in layouts(low=0.6, signs=False) for n in (0, 1, 2)],
    "ScaledBessel": [Sample((x,), {"order": n}) for x in layouts(low=0.3) for n in (0, 1, 2)],
    "Erfinv": unary(low=0.1, high=0.9),
    "NormalQuantile": unary(signs=False, low=0.1, high=0.9),
    **{name: shifts() for name in ("LeftShift", "RightShift")},
    **{name: bits()[:2] + bits()[3:] for name in ("GreatestDivisor", "LeastMultiple")},
    **{name: unary(signs=False) for name in ("Log", "Log1p", "Sqrt", "Rsqrt")},
    "Arcsin": unary(low=0.1, high=0.9),
    **{name: unary() for name in ("Sign", "Floor", "Round")},
    "Where": [Sample((x > 0.1, x, y)) for x, y in zip(layouts(), layouts(seed=7), strict=True)],
    "Cast": [Sample((x,), {"dtype": np.dtype(np.float64)}) for x in layouts()],
    **{name: reduced(empty=name != "Amax") for name in ("Sum", "Product", "Amax")},
    "Argmax": [Sample((x,), {"axis": axis}) for x, axis in along() if x.shape[axis]],
    "CumulativeArgmax": [
        Sample((x,), {"axis": axis, "largest": largest}) for x, axis in along() for largest in (True, False)
    ],
    "CumulativeSum": [Sample((x,), {"axis": axis}) for x, axis in along()],
    "SearchSorted": [
        Sample((np.sort(numbers(*sequence)), numbers(*values, seed=3)), {"right": right})
        for sequence, values in [
            ((4,), (3,)),
            ((2, 5), (2, 3)),
            ((2, 0), (2, 1)),
            ((0, 3), (0, 2)),
            ((2, 3, 4), (2, 3, 1)),
        ]
        for right in (False, True)
    ],
    "Sort": [Sample((x,), {"axis": axis, "descending": d}) for x, axis in along() for d in (False, True)],
    "Broadcast": [
        Sample((numbers(*shape),), {"to": to})
        for shape, to in [((), (2, 3)), ((3,), (2, 3)), ((2, 1), (4, 2, 3)), ((1,), (0,)), ((2, 3), (2, 3))]
    ]
    + [Sample((numbers(4, 1, 2).T,), {"to": (2, 3, 4)})],
    "Reshape": [Sample((x,), {"to": (x.size, 1)}) for x in layouts()],
    "Permute": [
        Sample((numbers(2, 3, 4),), {"order": (2, 0, 1)}),
        Sample((numbers(3, 4)[::-1],), {"order": (1, 0)}),
        Sample((numbers(0, 2, 1),), {"order": (1, 2, 0)}),
        Sample((numbers(),), {"order": ()}),
    ],
    "Flip": [Sample((x,), {"axes": tuple(range(x.ndim))}) for x in layouts()],
    "Pad": [
        Sample((numbers(3, 4),), {"before": before, "after": after, "constant": 2.5})
        for before, after in [
            ((1, 0), (0, 2)),
            ((-1, 1), (2, -3)),
            ((0, 0), (0, 0)),
            ((3, -5), (-5, 6)),
            ((-3, 0), (0, -4)),
        ]
    ]
    + [
        Sample((numbers(0, 2),), {"before": (1, 0), "after": (1, 0), "constant": 0}),
        Sample((numbers(),), {"before": (), "after": (), "constant": 1}),
    ],
    "Concatenate": [
        Sample((numbers(2, 3), numbers(0, 3), numbers(1, 3, seed=4)), {"axis": 0}),
        Sample((numbers(3, 2).T, numbers(2, 1)), {"axis": 1}),
        Sample((numbers(4)[::-2],), {"axis": 0}),
        Sample((np.broadcast_to(numbers(1, 3), (2, 3)), numbers(2, 3)), {"axis": 0}),
    ],
    "Check": [Sample((x > 9, x), {"rule": at_most, "settings": (("limit", 9.0),)}) for x in layouts()],
    "NumPyFunction": [
        Sample((x,), {"function": order_of, "settings": (), "forms": ((x.shape, _whole), ((), _whole))})
        for x in layouts()
        if x.ndim
    ],
    "Index": indexed("read"),
    "IndexAdd": indexed("add"),
    "IndexReduce": [
        Sample(sample.inputs, {**sample.settings, "reduce": reduce})
        for sample in indexed("add")
        for reduce in ("prod", "amax", "amin")
    ],
    "IndexUpdate": indexed("put"),
    "MatMul": [
        Sample((numbers(*a), numbers(*b, seed=2)))
        for a, b in [
            ((2, 3), (3, 4)),
            ((5, 2, 3), (5, 3, 1)),
            ((2, 0), (0, 3)),
            ((0, 2), (2, 3)),
            ((1, 1), (1, 1)),
            ((0, 2, 3), (0, 3, 4)),
            ((2, 1, 2, 3), (2, 1, 3, 2)),
        ]
    ]
    + [
        Sample((numbers(3, 2).T, numbers(4, 3).T[::-1])),
        Sample((np.broadcast_to(numbers(2, 3), (4, 2, 3)), numbers(4, 3, 2)[::-1])),
    ],
    "LowBitsMatMul": [Sample((numbers(n, 6), _small(5, 6), numbers(5, 1, seed=2))) for n in (1, 2, 7, 0)]
    + [Sample((numbers(n, 64), _small(3, 2, 16), numbers(3, 2, 1, seed=2))) for n in (1, 5)],
    "Attention": attended("forward"),
    "AttentionGradient": attended("backward"),
    "Convolution": convolved("forward"),
    "ConvolutionTranspose": convolved("transpose"),
    "ConvolutionWeight": convolved("weight"),
    **{name: [Sample((x,), settings) for x, settings in windows()] for name in ("Windows", "WindowSum", "MaxPool")},
    "Fold": folded(),
    "MaxPoolGradient": pooled_back(),
    "RandomUniform": [Sample((_state,), settings) for settings in _drawn],
    "RandomNormal": [Sample((_state,), settings) for settings in _drawn],
    "RandomIntegers": [Sample((_state,), {"to": (3, 4), "low": -2, "high": 5})],
    "RandomPermutation": [Sample((_state,), {"n": n}) for n in (0, 1, 9)],
    "RandomAdvance": [Sample((_state,), {"blocks": 12})],
    **{
        name: [Sample((_state, x)) for x in layouts(low=0.3, signs=False)]
        for name in ("RandomLogGamma", "RandomVonMises")
    },
    "RandomPoisson": [Sample((_state, scale * x)) for x in layouts(low=0.3, signs=False) for scale in (1, 30)],
    "RandomBinomial": [
        Sample((_state, np.full_like(x, n), x)) for x in layouts(low=0.1, high=0.9, signs=False) for n in (4, 500)
    ],
    "Solve": [Sample((matrices(3, 3), numbers(3, 2))), Sample((matrices(2, 2, 4), numbers(4, 2, 1)))],
    "Det": [Sample((matrices(3, 3),)), Sample((matrices(2, 2, 3),)), Sample((np.zeros((0, 0)),))],
    "SlogDet": [Sample((matrices(3, 3),)), Sample((-matrices(3, 3, 2),))],
    "Cholesky": [Sample((positive(3),)), Sample((positive(2, 3),))],
    "QR": [Sample((matrices(4, 3),)), Sample((matrices(3, 3, 2),))],
    "Eigh": [Sample((positive(3),)), Sample((positive(2, 3),))],
    "SVD": [Sample((matrices(*shape),)) for shape in [(3, 3), (4, 2), (2, 4), (3, 2, 2)]],
}

INTEGERS = ("int64", "int32", "int16", "int8", "uint8")
FLOATS = ("float64", "float32", "float16", "bfloat16")
_only: dict[tuple[str, ...], tuple[str, ...]] = {
    FLOATS: (
        "Divide", "Arctan2", "Power", "Exp", "Expm1", "Log", "Log1p", "Sqrt", "Rsqrt", "Sin", "Cos", "Arcsin", "Arctan",
        "Tanh", "Erf", "Erfc", "Lgamma", "Polygamma", "ScaledBessel", "Erfinv", "NormalQuantile", "Floor", "Round", "Convolution", "ConvolutionTranspose", "ConvolutionWeight",
        "Attention", "AttentionGradient", "RandomLogGamma", "RandomPoisson", "RandomBinomial", "RandomVonMises",
    ),
    FLOATS[:2]: ("LowBitsMatMul", "Solve", "Det", "SlogDet", "Cholesky", "QR", "Eigh", "SVD"),
    FLOATS + INTEGERS: (
        "Subtract", "Negate", "FloorDivide", "Remainder", "Absolute", "MatMul", "IndexAdd", "Fold", "WindowSum",
        "MaxPoolGradient",
    ),
    INTEGERS: ("LeftShift", "RightShift", "GreatestDivisor", "LeastMultiple"),
    (*INTEGERS, "bool"): ("BitwiseAnd", "BitwiseOr", "BitwiseXor", "BitwiseNot"),
    ("int64",): ("RandomUniform", "RandomNormal", "RandomIntegers", "RandomPermutation", "RandomAdvance"),
}  # fmt: skip
#: The data types a primitive is applied to, where these are not all: the functions above it see to the others.
TYPES: dict[str, tuple[str, ...]] = {name: types for types, names in _only.items() for name in names}
ALL_TYPES = (*FLOATS, *INTEGERS, "bool")
