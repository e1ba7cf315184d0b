"""The primitives in JavaScript mean what they mean in Python: every sample of the registry, in float64 and float32."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import chainrule
from chainrule.explain.page.programs import runnable
from chainrule.explain.page.settings import plain
from chainrule.explain.page.sources import INTERPRETER, scripts
from chainrule.nn import functional as F
from chainrule.primitives import attention, bessel, control, gamma, linear_algebra, low_bits, registry, whole_numbers
from chainrule.primitives import random as draws
from chainrule.primitives.indexing import ARRAY, Range
from tests.samples import SAMPLES, TYPES, Sample

assert attention and bessel and control and gamma and linear_algebra and low_bits and draws and whole_numbers, (
    "registered when loaded"
)
pytestmark = pytest.mark.browser

#: What float64 and float32 runs agree to, relative to the larger of 1 and the number.
CLOSE = {"float64": 1e-9, "float32": 1e-5}
#: Primitives that the page may leave locked: 15 % of the registry.
SHARE_LOCKED = 0.15
nan, inf = math.nan, math.inf


def pooled(x: Any, padding: tuple[int, ...]) -> Sample:
    return Sample((np.array(x)[None, None],), {"kernel": (2,), "stride": (1,), "dilation": (1,), "padding": padding})


#: What the samples keep away from: ties, jumps, NaN, infinities, narrow types.
EDGES: dict[str, list[Sample]] = {
    "Round": [Sample((np.array([0.5, 1.5, 2.5, -0.5, -1.5, 2.4999, nan, inf]),))],
    "Sign": [Sample((np.array([0.0, -0.0, nan, -inf]),))],
    "Maximum": [Sample((np.array([nan, 1.0, 2.0]), np.array([0.0, nan, 2.0])))],
    "Amax": [Sample((np.array([[nan, 1.0], [2.0, 2.0]]),), {"axes": (1,)})],
    "Argmax": [Sample((np.array([[1.0, nan, nan], [2.0, 2.0, 1.0]]),), {"axis": 1})],
    "CumulativeArgmax": [Sample((np.array([1.0, 3.0, 3.0, nan, 2.0, nan]),), {"axis": 0, "largest": largest}) for largest in (True, False)],
    "Sort": [Sample((np.array([2.0, nan, 1.0, 2.0, -inf, inf]),), {"axis": 0, "descending": down}) for down in (True, False)],
    "SearchSorted": [Sample((np.array([1.0, 2.0, 2.0, 5.0, nan]), np.array([2.0, nan, 0.0, inf])), {"right": right}) for right in (True, False)],
    "FloorDivide": [
        Sample((np.array([7.0, -7.0, 7.0, -7.0, 1.0, 0.3]), np.array([2.0, 2.0, -2.0, -2.0, inf, 0.1]))),
        Sample((np.array([7, -7, 7, -7]), np.array([2, 2, -2, -2]))),
    ],
    "Remainder": [Sample((np.array([7.0, -7.0, 7.0, -7.0, 0.3]), np.array([2.0, 2.0, -2.0, -2.0, 0.1])))],
    "Power": [Sample((np.array([0.0, 1.0, -2.0, -8.0, nan]), np.array([0.0, nan, 3.0, 0.5, 0.0])))],
    "Arctan2": [Sample((np.array([0.0, -0.0, 1.0, -1.0]), np.array([-1.0, -1.0, 0.0, -0.0])))],
    "Cast": [
        Sample((np.array([1.9, -1.9, nan, inf, 3e10]),), {"dtype": np.dtype(name)}) for name in ("i4", "i8", "u1", "i1", "?")
    ] + [
        Sample((np.array([1.0009765, 65519.0, 65520.0, 1e-7, -3e-8, 1 / 3, 1e39]),), {"dtype": np.dtype(name)}) for name in ("f2", ml_dtypes.bfloat16)
    ],
    "Add": [Sample((np.array([127, -128], np.int8), np.array([1, -1], np.int8))), Sample((np.array([True, False]), np.array([True, True])))],
    "Multiply": [Sample((np.array([200, 3], np.uint8), np.array([2, 5], np.uint8)))],
    "LeftShift": [Sample((np.array([1, -3], np.int32), np.array([31, 40], np.int32)))],
    "RightShift": [Sample((np.array([-5, 9], np.int32), np.array([40, -1], np.int32)))],
    "MaxPool": [pooled([-inf, -inf, nan, 1.0, 1.0], (0,)), pooled([-inf, -inf, -inf, 4.0], (1,))],
    "Erf": [Sample((np.array([0.0, 1e-12, 2.4999, 2.5001, 30.0, -inf, nan]),))],
    "Erfc": [Sample((np.array([-30.0, 0.0, 2.4999, 2.5001, 6.0, 26.0, inf, nan]),))],
    "Erfinv": [Sample((np.array([0.0, 1e-9, 0.4, 0.999, 1.0, -1.0, 1.5, 1 - 1e-15]),))],
    "NormalQuantile": [Sample((np.array([0.0, 1e-300, 1e-12, 0.3, 0.5, 0.9999, 1.0, 2.0]),))],
    "Lgamma": [Sample((np.array([0.0, -1.0, -2.5, 1.0, 2.0, 1 + 1e-7, 170.0, 1e10, inf, nan]),))],
    "Polygamma": [Sample((np.array([-2.5, 0.1, 1.0, 50.0, 1e6, -3.0]),), {"n": n}) for n in (0, 1, 3)],
    "ScaledBessel": [Sample((np.array([0.0, -5.0, 99.0, 101.0, 1e6]),), {"order": n}) for n in (0, 1, 2)],
    "Pad": [Sample((np.array([1.0, 2.0]),), {"before": (1,), "after": (0,), "constant": -inf})],
    "Index": [
        Sample((np.arange(24.0).reshape(2, 3, 4), *places), {"key": key}) for key, places in [
            ((0, Range(None, None, None), ARRAY), (np.array([3, -1]),)),  # a dimension between: the joint one goes in front
            ((ARRAY, None, ARRAY), (np.array([[0], [1]]), np.array([2, 0]))),
            ((Range(None, None, None), ARRAY, ARRAY), (np.array([0, 2]), np.array([[1], [3]]))),
            ((..., -1), ()), ((Range(-5, 99, 2), ..., None), ()), ((1, ARRAY), (np.array([], np.int64),)),
        ]
    ],
    "IndexUpdate": [Sample((np.zeros(3), np.array([1.0, 2.0]), np.array([1, 1])), {"key": (ARRAY,)})],
}  # fmt: skip


def as_list(answer: Any) -> list[Any]:
    return list(answer) if isinstance(answer, list | tuple) else [answer]


def told(x: Any) -> dict[str, Any]:
    return {"shape": list(x.shape), "type": x.dtype.name, "numbers": plain(x.reshape(-1).tolist())}


def read(numbers: list[str]) -> np.ndarray[Any, Any]:
    return np.array([float(x.replace("Infinity", "inf")) for x in numbers])


def loops() -> list[Sample]:
    """Loops as they are made: with a carry and rows, backwards, in one another, with the loop of their gradient."""
    w = chainrule.tensor([[0.3, -0.2], [0.1, 0.4]], dtype=chainrule.float64, requires_grad=True)
    x = chainrule.tensor(np.linspace(-1, 1, 6).reshape(3, 2))

    def cell(h: Any, row: Any) -> tuple[Any, Any]:
        new = (h @ w + row).tanh()
        return new, new * 2 - chainrule.tensor([0.5, 1.0], dtype=chainrule.float64)

    def outer(total: Any, row: Any) -> tuple[Any, Any]:
        inner, ys = chainrule.scan(lambda c, r: (c * r, c + r), total.sum(), row)
        return total + inner, ys

    start = chainrule.zeros(2, dtype=chainrule.float64)

    def step(x: Any) -> Any:
        last, ys = chainrule.scan(cell, start, x)
        back, _ = chainrule.scan(cell, start, ys, reverse=True)
        deep, zs = chainrule.scan(outer, start, x)
        loss = (last * back).sum() + deep.sum() + zs.sum()
        loss.backward()
        return loss

    found = chainrule.explain(step, x)
    assert found.failure is None
    return [
        Sample(tuple(found.arrays[s] for s in e.inputs), e.parameters)
        for e in found.equations
        if e.primitive.name == "Scan"
    ]


def cases_of(name: str) -> list[tuple[str, Sample]]:
    """The samples as they are, and with float32 in the place of float64."""
    cases = []
    if name == "Scan":  # the body is a program for one precision
        return [("float64", sample) for sample in loops()]
    for sample in [*SAMPLES.get(name, []), *EDGES.get(name, [])]:
        inputs = tuple(np.asarray(x) for x in sample.inputs)
        cases.append(("float64", Sample(inputs, sample.settings)))
        if any(x.dtype == np.float64 for x in inputs) and "float32" in TYPES.get(name, ("float32",)):
            with np.errstate(over="ignore"):
                singles = tuple(x.astype(np.float32) if x.dtype == np.float64 else x for x in inputs)
            cases.append(("float32", Sample(singles, sample.settings)))
    return cases


RUN = """cases => cases.map(({ operation, inputs, settings, forms }) =>
  apply(operation, inputs.map(x => makeArray(x.shape, x.type, readNumbers(x.numbers))), settings, forms).map(x => Array.from(x.data, String)))"""


@pytest.fixture(scope="module")
def interpreter(chromium: Any) -> Any:
    """A page that has nothing but the interpreter."""
    page = chromium.new_page()
    page.set_content(f"<script>{scripts(*INTERPRETER)}</script>")
    yield page
    page.close()


@pytest.fixture(scope="module")
def known(interpreter: Any) -> tuple[set[str], dict[str, str]]:
    return set(interpreter.evaluate("Object.keys(meanings)")), interpreter.evaluate("locked")


def test_every_primitive_is_known_or_locked_with_a_reason(known: tuple[set[str], dict[str, str]]) -> None:
    meanings, locked = known
    assert meanings | set(locked) == set(registry)
    assert not meanings & set(locked)
    assert all(locked.values()) and len(locked) <= SHARE_LOCKED * len(registry)


@pytest.mark.parametrize("name", sorted(registry))
def test_values_are_the_librarys(name: str, interpreter: Any, known: tuple[set[str], dict[str, str]]) -> None:
    if name in known[1]:
        with pytest.raises(Exception, match=re.escape(known[1][name])):
            interpreter.evaluate(RUN, [{"operation": name, "inputs": [], "settings": {}, "forms": []}])
        return
    cases = cases_of(name)
    assert cases
    expected, asked = [], []
    for _, sample in cases:
        forms = registry[name].shape(*sample.inputs, **sample.settings)
        expected.append(as_list(registry[name].compute(sample.inputs, sample.settings, forms)))
        told_forms = [
            {"shape": list(shape), "type": dtype.name} for shape, dtype in (forms if type(forms) is list else [forms])
        ]
        inputs = [told(x) for x in sample.inputs]
        asked.append({"operation": name, "inputs": inputs, "settings": runnable(sample.settings), "forms": told_forms})
    for (precision, sample), results, found in zip(cases, expected, interpreter.evaluate(RUN, asked), strict=True):
        for result, numbers in zip(results, found, strict=True):
            wanted = result.astype(np.float64).reshape(-1)
            coarse = result.dtype.itemsize == 2 and result.dtype.kind in "fV"  # halves: rounded once more
            near = 1e-3 if coarse else CLOSE[precision]
            np.testing.assert_allclose(read(numbers), wanted, rtol=near, atol=near, err_msg=f"{sample}")


def test_values_far_from_1_are_right_to_their_last_digits(interpreter: Any) -> None:
    # Where the bar above would let everything pass: tails of probabilities.
    x = np.array([3.0, 8.0, 20.0, 26.0])
    asked = {"operation": "Erfc", "inputs": [told(x)], "settings": {}, "forms": [{"shape": [4], "type": "float64"}]}
    (found,) = interpreter.evaluate(RUN, [asked])
    np.testing.assert_allclose(read(found[0]), [math.erfc(v) for v in x], rtol=1e-9)


def test_a_check_says_what_is_wrong(interpreter: Any) -> None:
    asked = {"operation": "Check", "settings": {}, "forms": [{"shape": [], "type": "bool"}]}
    with pytest.raises(Exception, match="outside of what the operation is defined for"):
        interpreter.evaluate(RUN, [{**asked, "inputs": [told(np.array([False, True]))]}])


# ------------------------------------------------------------------------------------------------ whole graphs


def random_function(seed: int, dtype: Any) -> tuple[Callable[..., Any], list[Any]]:
    """A function of two matrices, a line of operations and blocks; its result is one number."""
    chance = random.Random(seed)
    index = chainrule.tensor([2, 0, 0])
    unary: list[Callable[[Any], Any]] = [
        chainrule.tanh, chainrule.sigmoid, F.gelu, F.silu, lambda x: F.softmax(x, 1), lambda x: F.layer_norm(x, (4,)),
        lambda x: x.cumsum(0), lambda x: x.sort(1)[0], lambda x: x[index], lambda x: x.flip(0), lambda x: (x * x + 1).log(),
        lambda x: F.max_pool2d(x[None, None], 2, 1, padding=1)[0, 0, :3, :4], lambda x: x.logsumexp(1, keepdim=True).expand(3, 4),
        lambda x: F.avg_pool1d(x[None], 3, 1, padding=1)[0], lambda x: x - x.mean(), lambda x: x / (x.norm() + 1),
        lambda x: chainrule.where(x > 0.1, x, x * 0.1), lambda x: x.clamp(-0.5, 0.8), lambda x: x.roll(1, 0), lambda x: x.T.reshape(3, 4),
        lambda x: chainrule.scan(lambda h, row: ((h * 0.7 + row).tanh(), h * row), x[0] * 0, x)[1],
    ]  # fmt: skip
    binary: list[Callable[[Any, Any], Any]] = [
        lambda x, y: x * y, lambda x, y: x + y, chainrule.maximum, lambda x, y: (x @ y.T) @ y, lambda x, y: chainrule.cat([x, y])[1:4],
        lambda x, y: F.conv1d(x[None], y[:, None, :3].expand(3, 3, 3), padding=1)[0], lambda x, y: F.scaled_dot_product_attention(x[None], y[None], x[None])[0],
    ]  # fmt: skip
    chosen = [(chance.choice(unary), chance.choice(binary), chance.random() < 0.5) for _ in range(5)]

    def function(x: Any, y: Any) -> Any:
        values = [x, y]
        for one, two, first in chosen:
            values.append(one(two(values[-1], values[-2 if first else 0])))
        return (values[-1] * values[-2]).mean()

    numbers = np.random.default_rng(seed)
    return function, [chainrule.tensor(numbers.normal(0, 0.7, (3, 4)).astype(dtype)) for _ in range(2)]


@pytest.mark.parametrize("precision", CLOSE)
def test_changed_numbers_give_the_librarys_values_and_gradients(precision: str, chromium: Any) -> None:
    page = chromium.new_page()
    compared = 0
    for seed in range(10):
        function, inputs = random_function(seed, precision)
        before = chainrule.explain(function, *inputs)
        page.set_content(before.html())
        page.wait_for_selector("html[data-ready]")
        moved = inputs[1].array.copy()
        moved[1, 2] += 0.25
        page.evaluate("number => microscope.change(1, 6, number)", float(moved[1, 2]))
        after = chainrule.explain(function, inputs[0], chainrule.tensor(moved))
        assert [e.primitive for e in after.equations] == [e.primitive for e in before.equations]
        assert after.walk is not None
        shown = page.evaluate(
            "microscope.data.values.map((_, i) => [microscope.entriesOf(i), microscope.gradientOf(i)].map(x => x && x.map(String)))"
        )
        for symbol, (entries, gradient) in zip(after.symbols, shown, strict=True):
            for numbers, wanted in ((entries, after.arrays[symbol]), (gradient, after.walk.gradients.get(symbol))):
                if wanted is not None and numbers is not None:
                    compared += 1
                    exact = np.asarray(wanted, np.float64).reshape(-1)
                    scale = np.abs(exact[np.isfinite(exact)]).max(initial=1)
                    np.testing.assert_allclose(
                        read(numbers), exact, rtol=0, atol=CLOSE[precision] * scale, err_msg=f"seed {seed}"
                    )
                assert wanted is None or numbers is not None or numbers is gradient, "a value is not known"
        assert shown[0][1] is not None and shown[1][1] is not None, "the inputs have gradients"
    assert compared > 300
    page.close()
