"""Samples that Hypothesis makes up: for each primitive that takes any shape, how its inputs and settings are drawn.

The tables in `samples.py` hold what we know to be difficult; these look for what we did not think of.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from chainrule.primitives.indexing import ARRAY, Index, Range
from chainrule.primitives.window import MaxPool, Windows
from tests.samples import SAMPLES, Sample, numbers

shapes = st.lists(st.integers(0, 4), max_size=4).map(tuple)
#: What keeps a function's inputs inside of its domain.
OPTIONS: dict[str, dict[str, Any]] = {
    "Arcsin": {"low": 0.1, "high": 0.9},
    "Erfinv": {"low": 0.1, "high": 0.9},
    "NormalQuantile": {"low": 0.1, "high": 0.9, "signs": False},
    **{name: {"signs": False} for name in ("Log", "Log1p", "Sqrt", "Rsqrt", "Power")},
}


def laid_out(draw: Any, x: Any) -> Any:
    """The same entries in another place: some axes run backwards, with gaps, and in another order in memory."""
    order = draw(st.permutations(range(x.ndim)))
    steps = tuple(draw(st.sampled_from([1, 2, -1, -2])) for _ in range(x.ndim))
    room = np.zeros([n * abs(step) for n, step in zip([x.shape[axis] for axis in order], steps, strict=True)], x.dtype)
    place = room[(*[slice(None, None, step) for step in steps], ...)].transpose(np.argsort(order))
    place[...] = x
    return place


def _axes(draw: Any, x: Any) -> tuple[int, ...]:
    return tuple(axis for axis in range(x.ndim) if draw(st.booleans()))


def _unary(name: str, draw: Any) -> Sample:
    return Sample((numbers(*draw(shapes), **OPTIONS.get(name, {})),))


def _binary(name: str, draw: Any) -> Sample:
    shape, options = draw(shapes), OPTIONS.get(name, {})
    x, y = numbers(*shape, **options), numbers(*shape, seed=1, **options)
    return Sample((x, np.where(np.abs(x - y) < 0.05, y + 0.1, y)))


def _where(name: str, draw: Any) -> Sample:
    x, y = _binary(name, draw).inputs
    return Sample((x > 0, x, y))


def _reduction(name: str, draw: Any) -> Sample:
    x = numbers(*draw(shapes))
    axes = tuple(axis for axis in _axes(draw, x) if x.shape[axis] or name != "Amax")
    return Sample((x,), {"axes": axes})


def _along(name: str, draw: Any) -> Sample:
    x = numbers(*draw(st.lists(st.integers(1 if name == "Argmax" else 0, 4), min_size=1, max_size=3)))
    settings: dict[str, Any] = {"axis": draw(st.integers(0, x.ndim - 1))}
    return Sample((x,), {**settings, **({"descending": draw(st.booleans())} if name == "Sort" else {})})


def _broadcast(name: str, draw: Any) -> Sample:
    to = draw(shapes)
    kept = [1 if draw(st.booleans()) else extent for extent in to][draw(st.integers(0, len(to))) :]
    return Sample((numbers(*kept),), {"to": to})


def _reshape(name: str, draw: Any) -> Sample:
    shape = draw(shapes)
    return Sample((numbers(*shape),), {"to": tuple(draw(st.permutations(shape)))})


def _permute(name: str, draw: Any) -> Sample:
    x = numbers(*draw(shapes))
    return Sample((x,), {"order": tuple(draw(st.permutations(range(x.ndim))))})


def _flip(name: str, draw: Any) -> Sample:
    x = numbers(*draw(shapes))
    return Sample((x,), {"axes": _axes(draw, x)})


def _pad(name: str, draw: Any) -> Sample:
    shape = draw(shapes)
    before = tuple(draw(st.integers(-5, 3)) for _ in shape)
    after = tuple(
        draw(st.integers(-(n + b), 3)) if n + b >= 0 else -(n + b) for n, b in zip(shape, before, strict=True)
    )
    return Sample((numbers(*shape),), {"before": before, "after": after, "constant": draw(st.sampled_from([0, 1.5]))})


def _concatenate(name: str, draw: Any) -> Sample:
    shape = draw(st.lists(st.integers(0, 3), min_size=1, max_size=3))
    axis = draw(st.integers(0, len(shape) - 1))
    parts = [
        [*shape[:axis], extent, *shape[axis + 1 :]]
        for extent in draw(st.lists(st.integers(0, 3), min_size=1, max_size=4))
    ]
    return Sample(tuple(numbers(*part, seed=i) for i, part in enumerate(parts)), {"axis": axis})


def _matmul(name: str, draw: Any) -> Sample:
    batch, (n, k, m) = draw(st.lists(st.integers(0, 3), max_size=2)), [draw(st.integers(0, 4)) for _ in range(3)]
    return Sample((numbers(*batch, n, k), numbers(*batch, k, m, seed=1)))


def _convolution(name: str, draw: Any) -> Sample:
    dims, groups = draw(st.integers(1, 2)), draw(st.integers(1, 2))

    def each(low: int, high: int) -> tuple[int, ...]:
        return tuple(draw(st.integers(low, high)) for _ in range(dims))

    kernel, stride, padding, dilation = each(1, 3), each(1, 3), each(0, 2), each(1, 2)
    reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    size = tuple(max(r - 2 * p, 1) + extra for r, p, extra in zip(reach, padding, each(0, 3), strict=True))
    out = tuple((n + 2 * p - r) // s + 1 for n, p, r, s in zip(size, padding, reach, stride, strict=True))
    n, inner, outer = draw(st.integers(0, 2)), draw(st.integers(0, 2)), groups * draw(st.integers(0, 2))
    x, w = numbers(n, groups * inner, *size), numbers(outer, inner, *kernel, seed=1)
    y = numbers(n, outer, *out, seed=2)
    settings: dict[str, Any] = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    if name == "Convolution":
        return Sample((x, w), settings)
    if name == "ConvolutionTranspose":
        return Sample((y, w), {**settings, "size": size})
    return Sample((x, y), {**settings, "kernel": kernel})


def _windows(name: str, draw: Any) -> Sample:
    dims = draw(st.integers(1, 2))
    kernel, stride, dilation = (tuple(draw(st.integers(1, 3)) for _ in range(dims)) for _ in range(3))
    size = [d * (k - 1) + 1 + draw(st.integers(0, 3)) for k, d in zip(kernel, dilation, strict=True)]
    x = numbers(draw(st.integers(0, 2)), draw(st.integers(0, 2)), *size)
    settings: dict[str, Any] = {"kernel": kernel, "stride": stride, "dilation": dilation}
    if name == "MaxPoolGradient":
        values, indices = MaxPool.evaluate(x, **settings)
        return Sample((numbers(*values.shape, seed=1), indices), {**settings, "size": tuple(size)})
    if name == "Fold":
        return Sample((numbers(*Windows.shape(x, **settings)[0]),), {**settings, "size": tuple(size)})
    return Sample((x,), settings)


def _places(name: str, draw: Any) -> Sample:
    shape = draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    found = draw(st.lists(st.integers(0, 3), max_size=2))  # the shape that all integer arrays of one key share
    key: list[Any] = []
    arrays: list[Any] = []
    for extent in shape[: draw(st.integers(0, len(shape)))]:
        kind = draw(st.sampled_from(["place", "range", "array"]))
        if kind == "place":
            key.append(draw(st.integers(-extent, extent - 1)))
        elif kind == "range":
            key.append(Range(draw(st.integers(0, extent)), draw(st.integers(-extent, extent)), draw(st.integers(1, 2))))
        else:
            key.append(ARRAY)
            size = int(np.prod(found))
            entries = st.integers(-extent, extent - 1)
            arrays.append(np.array(draw(st.lists(entries, min_size=size, max_size=size)), np.int64).reshape(found))
    x = numbers(*shape)
    if name == "Index":
        return Sample((x, *arrays), {"key": tuple(key)})
    y = numbers(*Index.shape(x, *arrays, key=tuple(key))[0], seed=1)
    return Sample((x, y, *arrays), {"key": tuple(key)})


_makers: dict[Callable[[str, Any], Sample], tuple[str, ...]] = {
    _unary: (
        "Negate", "Exp", "Expm1", "Log", "Log1p", "Sqrt", "Rsqrt", "Sin", "Cos", "Arcsin", "Arctan", "Tanh", "Erf",
        "Absolute", "Sign", "Erfc", "Lgamma", "Erfinv", "NormalQuantile",
    ),
    _binary: (
        "Add", "Subtract", "Multiply", "Divide", "Power", "Maximum", "Minimum", "Arctan2", "Equal", "Less", "LessEqual"
    ),
    _where: ("Where",), _reduction: ("Sum", "Product", "Amax"), _along: ("Argmax", "CumulativeSum", "Sort"),
    _broadcast: ("Broadcast",), _reshape: ("Reshape",), _permute: ("Permute",), _flip: ("Flip",), _pad: ("Pad",),
    _concatenate: ("Concatenate",), _matmul: ("MatMul",), _places: ("Index", "IndexAdd"),
    _convolution: ("Convolution", "ConvolutionTranspose", "ConvolutionWeight"),
    _windows: ("Windows", "WindowSum", "MaxPool", "MaxPoolGradient", "Fold"),
}  # fmt: skip
MAKERS = {name: maker for maker, names in _makers.items() for name in names}
assert set(MAKERS) <= set(SAMPLES)


@st.composite
def generated(draw: Any, name: str) -> Sample:
    """A sample for the primitive of this name, each input lying in memory in any way."""
    sample = MAKERS[name](name, draw)
    return Sample(tuple(laid_out(draw, np.asarray(x)) for x in sample.inputs), sample.settings)
