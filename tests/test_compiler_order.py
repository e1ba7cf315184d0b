"""Running sums, sorting, writing at places: compiled they give the eager bits, and none of it is NumPy's."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule.backends.native import builder
from chainrule.backends.native.language.elementary import is_computed
from chainrule.backends.native.language.halves import is_half
from chainrule.backends.native.run.machine import vector_bits
from chainrule.primitives.indexing import ARRAY, IndexAdd, IndexUpdate, Range, indexed_shape
from chainrule.primitives.primitive import registry
from chainrule.primitives.whole_numbers import LeftShift, RightShift
from chainrule.primitives.window import Fold, Windows
from tests.samples import SAMPLES
from tests.test_registry import as_list

F = chainrule.nn.functional
DTYPES = ["float32", "float64", "int64", "int32", "int16", "int8", "bool"]
SHAPES = [(3, 5), (40, 33), (1, 7), (7, 1), (6, 300)]


def entries(shape: tuple[int, ...], dtype: str, seed: int = 0) -> Any:
    """Numbers with many equal ones; of floats both zeros, infinities, and NaN of both signs."""
    array = np.round(np.random.default_rng(seed).standard_normal(shape) * 3)
    if np.dtype(dtype).kind == "f":
        flat = array.reshape(-1)
        for start, value in ((1, -0.0), (2, np.inf), (3, -np.inf), (4, np.nan), (5, -np.nan)):
            flat[start::11] = value
    return array.astype(dtype)


def bits_of(tensor: Any) -> bytes:
    """All bits but the sign of a NaN: what ∞ − ∞ gets differs between a processor's own instructions."""
    array = tensor.numpy()
    return (np.where(np.isnan(array), np.abs(array), array) if array.dtype.kind == "f" else array).tobytes()


def assert_same_bits(function: Any, *arrays: Any) -> None:
    """Compiled is eager to the last bit, and native."""
    tensors = [chainrule.tensor(array) for array in arrays]
    compiled = chainrule.compile(function)
    for i, (have, want) in enumerate(zip(compiled(*tensors), function(*tensors), strict=True)):
        assert have.dtype == want.dtype and have.shape == want.shape
        assert bits_of(have) == bits_of(want), f"result {i} of {[a.shape for a in arrays]}"
    assert "in NumPy" not in compiled.explain()


@pytest.mark.parametrize("bits", [128, 512])
@pytest.mark.parametrize("dtype", DTYPES)
def test_running_values(dtype: str, bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builder, "vector_bits", lambda: min(bits, vector_bits()))

    def run(*tensors: Any) -> list[Any]:
        return [
            result
            for x in tensors
            for result in (
                x.cumsum(0), x.cumsum(1), x.mT.cumsum(1), x.flip(0).cumsum(0).flip(0), *x.cummax(0), *x.cummin(1),
                x.expand(2, *x.shape).cumsum(0),
            )
        ]  # fmt: skip

    assert_same_bits(run, *[entries(shape, dtype) for shape in SHAPES])


def test_gradients_of_running_values() -> None:
    def gradients(x: Any) -> list[Any]:
        x = x.detach().requires_grad_()
        loss = (x.cumsum(1) * x).sum() + (x.cummax(0).values * x).sum()
        return list(chainrule.autograd.grad(loss, [x]))

    array = np.random.default_rng(0).standard_normal((9, 20))
    compiled = chainrule.compile(gradients)
    have, want = compiled(chainrule.tensor(array)), gradients(chainrule.tensor(array))
    np.testing.assert_allclose(have[0].numpy(), want[0].numpy(), rtol=1e-12)
    assert "in NumPy" not in compiled.explain()


@pytest.mark.parametrize("dtype", DTYPES)
def test_sorting(dtype: str) -> None:
    def order(*tensors: Any) -> list[Any]:
        found = []
        for x in tensors:
            found += [*x.sort(0), *x.sort(1, descending=True), *x.mT.sort(0), x.argsort(0, descending=True)]
            found += [*x.topk(min(2, x.shape[1])), *x.kthvalue(1, 0)]
        return found

    assert_same_bits(order, *[entries(shape, dtype) for shape in SHAPES])


def test_sorting_on_any_number_of_threads() -> None:
    x = chainrule.tensor(np.random.default_rng(0).standard_normal((999, 700)).astype(np.float32))
    before, compiled = chainrule.get_num_threads(), chainrule.compile(lambda x: tuple(x.sort(1)))
    try:
        for threads in (1, 2, 3):
            chainrule.set_num_threads(threads)
            for have, want in zip(compiled(x), x.sort(1), strict=True):
                np.testing.assert_array_equal(have.numpy(), want.numpy())
    finally:
        chainrule.set_num_threads(before)


EVERY = Range(None, None, None)
PLACES: list[tuple[tuple[int, ...], tuple[Any, ...], list[tuple[int, ...]]]] = [
    ((6, 5), (ARRAY,), [(4,)]), ((6, 5), (EVERY, ARRAY), [(7,)]), ((6, 5, 4), (ARRAY, EVERY, ARRAY), [(3,), (3,)]),
    ((6, 5, 4), (EVERY, ARRAY, ARRAY), [(3, 1), (2,)]), ((6, 5, 4), (Range(1, 5, 2), ARRAY), [(9,)]),
    ((6, 5, 4), (..., ARRAY), [(9,)]), ((6, 5, 4), (None, ARRAY, Range(1, 3, None)), [(2, 3)]),
    ((40, 33), (EVERY, ARRAY), [(100,)]), ((6, 5), (ARRAY, ARRAY), [(20,), (20,)]), ((6,), (ARRAY,), [()]),
    ((5, 6, 17), (Range(0, 3, None), ARRAY, Range(1, 17, 2)), [(4,)]),
]  # fmt: skip


@pytest.mark.parametrize("primitive", [IndexAdd, IndexUpdate])
@pytest.mark.parametrize("dtype", ["float64", "int32", "bool"])
def test_writing_at_places(primitive: Any, dtype: str) -> None:
    """Places named several times: all are added, or the last one stays; one outside is an error and changes nothing."""
    if primitive is IndexAdd and dtype == "bool":
        return
    random = np.random.default_rng(0)
    for shape, key, extents in PLACES:
        named = [n for n, part in zip(shape, [k for k in key if k is not None], strict=False) if part is ARRAY]
        places = [random.integers(-n, n, extent) for n, extent in zip(named or [shape[-1]], extents, strict=True)]
        arrays = [
            (random.standard_normal(s) * 9).astype(dtype) for s in (shape, indexed_shape(shape, key, tuple(places)))
        ]

        def write(x: Any, y: Any, *given: Any, key: Any = key) -> list[Any]:
            return [primitive.apply(x, y, *given, key=key)]

        tensors = [chainrule.tensor(array) for array in (*arrays, *places)]
        compiled = chainrule.compile(write)
        np.testing.assert_allclose(compiled(*tensors)[0].numpy(), write(*tensors)[0].numpy(), rtol=1e-12)
        assert "in NumPy" not in compiled.explain()
        places[-1] = np.full(extents[-1], 99)
        with pytest.raises(IndexError):
            compiled(*tensors[:2], *[chainrule.tensor(place) for place in places])


@pytest.mark.parametrize("reduce", ["sum", "mean", "prod", "amax", "amin"])
@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_reducing_at_places(reduce: str, dtype: str) -> None:
    """`scatter_reduce` and its gradients, several entries to a place, in the order in which they come."""
    x, source = entries((9, 6), dtype), entries((14, 6), dtype, seed=3)
    x, source = (np.nan_to_num(a, posinf=7, neginf=-7).astype(dtype) for a in (x, source))
    places = np.random.default_rng(0).integers(0, 9, (14, 5))

    def results(x: Any, source: Any, places: Any) -> list[Any]:
        floats = x.dtype.is_floating_point
        x, source = ((t.detach().requires_grad_() if floats else t) for t in (x, source))
        found = [x.scatter_reduce(0, places, source, reduce, include_self=own) for own in (True, False)]
        gradients = chainrule.autograd.grad(sum((y * y).sum() for y in found), [x, source]) if floats else []
        return [*(y.detach() for y in found), *gradients]

    given = [chainrule.tensor(array) for array in (x, source, places)]
    compiled = chainrule.compile(results)
    for have, want in zip(compiled(*given), results(*given), strict=True):
        np.testing.assert_allclose(have.numpy(), want.numpy(), rtol=1e-5, atol=1e-6)
    assert "in NumPy" not in compiled.explain()


def test_windows_laid_back() -> None:
    for kernel, stride, dilation in [((3, 3), (2, 2), (1, 1)), ((3, 2), (1, 1), (1, 2)), ((2, 2), (2, 2), (1, 1))]:
        settings: dict[str, Any] = {"kernel": kernel, "stride": stride, "dilation": dilation}
        shape = Windows.shape(np.zeros((2, 13, 9, 9), np.float32), **settings)[0]
        x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
        assert_same_bits(lambda x, s=settings: [Fold.apply(x, size=(9, 9), **s)], x)


def test_shifted_bits() -> None:
    for dtype in ("int64", "int32", "int16", "int8"):
        x = np.random.default_rng(0).integers(-100, 100, 60).astype(dtype)
        y = np.random.default_rng(1).integers(-3, 70, 60).astype(dtype)
        assert_same_bits(lambda x, y: [LeftShift.apply(x, y), RightShift.apply(x, y)], x, y)


def stays_in_numpy() -> set[str]:
    """The primitives that the page names."""
    page = (Path(__file__).parents[1] / "docs" / "architecture.md").read_text(encoding="utf-8")
    (section,) = re.findall(r"### What stays in NumPy\n(.*?)\n#", page, re.DOTALL)
    return set(re.findall(r"`([A-Z]\w+)`", section))


def test_what_stays_in_numpy_is_listed() -> None:
    """The primitives that are not native for some sample are those of the page; halves and no entries aside."""
    chosen = []
    for name, samples in SAMPLES.items():
        for sample in samples:
            inputs = [chainrule.tensor(np.asarray(x)) for x in sample.inputs]
            results = as_list(registry[name].apply(*inputs, **sample.settings))
            dtypes = [x.dtype.numpy for x in (*inputs, *results)]
            if all(is_computed(d) and not is_half(d) for d in dtypes) and all(x.numel() for x in (*inputs, *results)):
                chosen.append((registry[name], sample.settings, inputs))

    def everything(given: list[Any]) -> list[Any]:
        applied = zip(chosen, given, strict=True)
        return [as_list(primitive.apply(*inputs, **settings)) for (primitive, settings, _), inputs in applied]

    compiled = chainrule.compile(everything)
    compiled([inputs for _, _, inputs in chosen])
    lines = compiled.explain().splitlines()
    assert {line.split()[1] for line in lines if " in NumPy" in line} == stays_in_numpy()


def test_place_of_the_largest_of_equal_ones() -> None:
    """Along a dimension of one entry it is 0 everywhere, and so is what is found in that."""
    x = chainrule.tensor(np.random.default_rng(0).standard_normal((11, 1, 13)))
    compiled = chainrule.compile(lambda x: [places := x.argmax(1), places.argmax(1), places.argmax(0), places + 1])
    for have, want in zip(compiled(x), [x.argmax(1)] * 2, strict=False):
        assert have.dtype == want.dtype and not have.any()
    assert compiled(x)[1].shape == (11,) and compiled(x)[2].shape == (13,)
    assert compiled(x)[3].tolist() == np.ones((11, 13), int).tolist()


@pytest.mark.parametrize("dims", [1, 2])
def test_places_in_windows_of_one_entry(dims: int) -> None:
    """Pooling over one entry at a time finds every entry where it is."""
    pool = [F.max_pool1d, F.max_pool2d][dims - 1]
    x = chainrule.tensor(np.random.default_rng(0).standard_normal((2, 3, *[5] * dims)))
    for have, want in zip(
        chainrule.compile(lambda x: pool(x, 1, 1, return_indices=True))(x), pool(x, 1, 1, return_indices=True),
        strict=True,
    ):  # fmt: skip
        assert have.tolist() == want.tolist()
