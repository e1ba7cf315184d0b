"""float16 and bfloat16 are native: computed in float32 and rounded where the eager rules say, to the same bits."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import chainrule
from chainrule import nn
from chainrule.backends.native.language.halves import can_convert
from chainrule.functions.creation import make
from chainrule.primitives.primitive import registry
from tests.samples import SAMPLES
from tests.test_compiler_order import stays_in_numpy
from tests.test_registry import SUPPORTED, as_list, numpy_type, with_type

HALVES = [name for name in ("float16", "bfloat16") if can_convert(name)]
#: What stays in NumPy whatever its data type, and draws of halves.
ELSEWHERE = stays_in_numpy() | {"RandomNormal", "RandomUniform"}


def steps_apart(x: Any, y: Any) -> Any:
    """How many halves lie between two, entry by entry; two NaN are equal."""
    places = []
    for array in (x, y):
        bits = array.view(np.int16).astype(np.int32)
        places.append(np.where(bits < 0, -(bits & 0x7FFF), bits))
    nan = np.isnan(x.astype(np.float32)) & np.isnan(y.astype(np.float32))
    return np.where(nan, 0, np.abs(places[0] - places[1]))


def _has_entries(name: str, inputs: Any, settings: dict[str, Any]) -> bool:
    tensors = [make(np.array(x)) for x in inputs]
    return all(x.numel() for x in (*tensors, *as_list(registry[name].apply(*tensors, **settings))))


@pytest.mark.parametrize("dtype", HALVES)
def test_every_primitive(dtype: str) -> None:
    """At most one step from the eager result: the exponential and its like, and sums in another order, may round so."""
    cases = [
        (name, *with_type(name, sample, numpy_type(dtype)))
        for name, samples in SAMPLES.items()
        if (name, dtype) in SUPPORTED and name not in ELSEWHERE
        for sample in samples
    ]
    cases = [case for case in cases if _has_entries(*case)]
    tensors = [[make(np.array(x)) for x in inputs] for _, inputs, _ in cases]

    def everything(given: Any) -> list[Any]:
        return [
            as_list(registry[name].apply(*inputs, **settings))
            for (name, _, settings), inputs in zip(cases, given, strict=True)
        ]

    compiled = chainrule.compile(everything)
    for (name, _, settings), have, want in zip(cases, compiled(tensors), everything(tensors), strict=True):
        for x, y in zip(have, want, strict=True):
            assert x.dtype == y.dtype
            a, b = x.numpy(), y.numpy()
            if a.dtype.itemsize == 2 and a.dtype != np.int16:
                assert steps_apart(a, b).max(initial=0) <= 1, (name, settings, a, b)
            elif a.dtype == np.float32:  # attention's sums, a loss in float32
                np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6, err_msg=name)
            else:
                np.testing.assert_array_equal(a, b, err_msg=name)
    in_numpy = {line.split()[1] for line in compiled.explain().splitlines() if " in NumPy" in line}
    assert not in_numpy


@pytest.mark.parametrize("dtype", HALVES)
def test_arithmetic_has_the_same_bits(dtype: str) -> None:
    """Also where a result is subnormal, infinite, or not a number."""
    random = np.random.default_rng(0)
    kind = np.float16 if dtype == "float16" else ml_dtypes.bfloat16
    x, y = (random.integers(-(2**15), 2**15, 4000).astype(np.int16).view(kind) for _ in range(2))
    tensors = [make(x), make(y)]

    def compute(x: Any, y: Any) -> list[Any]:
        return [x + y, x - y, x * y, x / y, (x * y + x) / 3, x.abs().sqrt(), x.maximum(y), -x, x < y, x.float() * 1.001]

    compiled = chainrule.compile(compute)
    for i, (have, want) in enumerate(zip(compiled(*tensors), compute(*tensors), strict=True)):
        a, b = have.numpy(), want.numpy()
        if a.dtype.itemsize == 2:
            assert not steps_apart(a, b).any(), i
        else:
            np.testing.assert_array_equal(a, b)
    assert "in NumPy" not in compiled.explain()


@pytest.mark.parametrize("dtype", HALVES)
def test_casts_round_once(dtype: str) -> None:
    """Just beside the middle between two halves; whole numbers; what is too large: compiled as eager."""
    random = np.random.default_rng(0)
    wanted = chainrule.float16 if dtype == "float16" else chainrule.bfloat16
    low = random.integers(0, 0x7BFF, 3000).astype(np.int16)
    kind = np.float16 if dtype == "float16" else ml_dtypes.bfloat16
    half, following = low.view(kind).astype(np.float64), (low + np.int16(1)).view(kind).astype(np.float64)
    middle, even = (half + following) / 2, np.where(low % 2, following, half)
    sides = np.concatenate([middle, np.nextafter(middle, np.inf), np.nextafter(middle, -np.inf)])
    meant = np.concatenate([even, following, half])
    doubles = np.concatenate([sides, -sides, [np.nan, np.inf, -np.inf, 1e300, 1e-300, 65519.9, 65520.0]])
    whole = random.integers(-(10**6), 10**6, 500)
    cast = chainrule.compile(lambda *given: [x.to(wanted) for x in given])
    with np.errstate(over="ignore"):
        singles = doubles.astype(np.float32)
    given = [chainrule.tensor(x) for x in (doubles, singles, whole, whole > 0)]
    for have, source in zip(cast(*given), given, strict=True):
        assert not steps_apart(have.numpy(), source.to(wanted).numpy()).any()
    for found in (cast(*given)[0], given[0].to(wanted)):
        np.testing.assert_array_equal(found.double().numpy()[: 2 * len(sides)], np.concatenate([meant, -meant]))
    assert "in NumPy" not in cast.explain()


@pytest.mark.parametrize("kind", [np.int32, np.int64])
def test_large_whole_numbers_round_once(kind: Any) -> None:
    """Beside the middle between two of bfloat16's 8 digits, with more digits than a float32 or a float64 has."""
    numbers, meant = [], []
    for exponent in range(20, 31 if kind is np.int32 else 63):
        for low in range(2**7, 2**8, 5):
            step = 2 ** (exponent - 7)
            middle = low * step + step // 2
            for number, rounded in ((middle - 1, low), (middle, low + low % 2), (middle + 1, low + 1)):
                numbers += [number, -number]
                meant += [float(rounded * step), -float(rounded * step)]
    x = chainrule.tensor(np.array(numbers, kind))
    for found in (x.bfloat16(), chainrule.compile(lambda x: x.bfloat16())(x)):
        np.testing.assert_array_equal(found.double().numpy(), meant)


@pytest.mark.parametrize("dtype", HALVES)
def test_a_training_step_is_native(dtype: str) -> None:
    wanted = chainrule.float16 if dtype == "float16" else chainrule.bfloat16
    random = np.random.default_rng(0)
    x = chainrule.tensor(random.standard_normal((8, 3, 12, 12))).to(wanted)
    y = chainrule.tensor(random.integers(0, 5, 8))

    def losses(compiled: bool) -> tuple[list[float], Any]:
        chainrule.manual_seed(0)
        model = nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 16, 3, padding=1, groups=16), nn.GELU(), nn.Flatten(), nn.LayerNorm(576), nn.Linear(576, 5),
        ).to(wanted)  # fmt: skip
        optimizer = chainrule.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)

        def step(x: Any, y: Any) -> Any:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            return loss

        run: Any = chainrule.compile(step) if compiled else step
        return [run(x, y).item() for _ in range(4)], run

    (have, step), (want, _) = losses(True), losses(False)
    np.testing.assert_allclose(have, want, rtol=5e-2)
    assert "in NumPy" not in step.explain()
