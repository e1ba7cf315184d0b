"""Every primitive, whatever it is: its shape rule tells the truth, its gradient is the derivative, tracing is eager."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import chainrule
from chainrule import autograd
from chainrule.primitives import linear_algebra, random, registry
from chainrule.primitives.indexing import ARRAY
from chainrule.primitives.primitive import evaluate
from chainrule.primitives.trace import Graph, Trace, tracing
from chainrule.primitives.value import Symbol
from tests.samples import SAMPLES, Sample

CASES = [pytest.param(name, sample, id=f"{name}-{i}") for name in SAMPLES for i, sample in enumerate(SAMPLES[name])]
#: Floating-point arguments without a gradient, and why.
WITHOUT_GRADIENT = {
    "Equal": "a comparison", "Less": "a comparison", "LessEqual": "a comparison", "Argmax": "a place",
    "BitwiseAnd": "integers only", "BitwiseOr": "integers only", "BitwiseXor": "integers only",
    "BitwiseNot": "integers only", "RandomUniform": "the state is integers", "RandomNormal": "the state is integers",
    "RandomIntegers": "the state is integers", "RandomPermutation": "the state is integers",
    "RandomAdvance": "the state is integers",
}  # fmt: skip
#: Matrices of which only the symmetric part counts: moving one entry alone is no admissible change.
SYMMETRIC = ("Cholesky", "Eigh")


def as_list(answer: Any) -> list[Any]:
    return list(answer) if isinstance(answer, list | tuple) else [answer]


def forms_of(primitive: Any, inputs: Any, settings: dict[str, Any]) -> list[Any]:
    forms = primitive.shape(*inputs, **settings)
    return forms if isinstance(forms, list) else [forms]


def test_every_primitive_has_samples() -> None:
    assert linear_algebra and random, "these register their primitives when they are loaded"
    assert set(registry) - {"Scan"} == set(SAMPLES), "Scan has a file of its own: test_scan.py"


@pytest.mark.parametrize("name", sorted(registry))
def test_every_primitive_is_documented_and_its_rules_are_complete(name: str) -> None:
    primitive = registry[name]
    assert primitive.__doc__ and primitive.latex
    if name not in WITHOUT_GRADIENT and name != "Scan":
        floats = {
            primitive.argument_name(i)
            for sample in SAMPLES[name]
            for i, x in enumerate(sample.inputs)
            if np.asarray(x).dtype.kind == "f"
        }
        assert floats <= set(primitive.rules)


@pytest.mark.parametrize(("name", "sample"), CASES)
def test_shape_rule_is_what_evaluation_gives(name: str, sample: Sample) -> None:
    primitive = registry[name]
    before = [np.array(x) for x in sample.inputs]
    forms = forms_of(primitive, sample.inputs, sample.settings)
    results = as_list(primitive.evaluate(*sample.inputs, **sample.settings))
    assert [np.shape(r) for r in results] == [tuple(form[0]) for form in forms]
    assert [np.asarray(r).dtype for r in results] == [form[1] for form in forms]
    for x, copy in zip(sample.inputs, before, strict=True):
        np.testing.assert_array_equal(x, copy, err_msg="an input was changed")
    if not primitive.moves and not (name == "Sign" and sample.inputs[0].dtype.kind == "b"):
        assert not any(np.shares_memory(r, x) for r in results for x in sample.inputs)
    symbols = [Symbol(x.shape, x.dtype) for x in sample.inputs]
    assert forms_of(primitive, symbols, sample.settings) == forms


@pytest.mark.parametrize(("name", "sample"), CASES)
def test_traced_is_eager(name: str, sample: Sample) -> None:
    primitive = registry[name]
    trace = Trace()
    with tracing(trace):
        values = [trace.new_input(x.shape, x.dtype, False) for x in sample.inputs]
        answer = primitive.apply(*[primitive.make_tensor(v) for v in values], **sample.settings)
        outputs = [t.value.array for t in as_list(answer)]
    traced = Graph([v.array for v in values], trace.equations, outputs).compile_steps()(list(sample.inputs))
    forms = primitive.shape(*sample.inputs, **sample.settings)
    for ours, eager in zip(traced, as_list(evaluate(primitive, sample.inputs, sample.settings, forms)), strict=True):
        np.testing.assert_array_equal(ours, eager)


def differentiable(name: str, sample: Sample) -> tuple[Any, tuple[Any, ...]]:
    """A function of the floating-point inputs, made so that every change of them is admissible and gauge-free."""
    primitive = registry[name]
    inputs = [chainrule.tensor(np.array(x), requires_grad=x.dtype.kind == "f") for x in sample.inputs]

    def function(*xs: Any) -> Any:
        if name in SYMMETRIC:
            xs = ((xs[0] + xs[0].mT) / 2, *xs[1:])
        answer = primitive.apply(*xs, **sample.settings)
        if name == "SVD":
            u, s, vh = answer
            return s, u[..., :1] @ vh[..., :1, :]  # u and v alone are known up to a sign
        if name == "Eigh":
            return answer[0], answer[1][..., :1] @ answer[1][..., :1].mT
        return answer

    return function, tuple(inputs)


DIFFERENTIABLE = [case for case in CASES if case.values[0] not in WITHOUT_GRADIENT]


@pytest.mark.parametrize(("name", "sample"), DIFFERENTIABLE)
def test_gradient_is_the_derivative(name: str, sample: Sample) -> None:
    function, inputs = differentiable(name, sample)
    tight = {"atol": 1e-8, "rtol": 1e-6, "eps": 1e-5}
    assert autograd.gradcheck(function, inputs, **tight)


@pytest.mark.parametrize(("name", "sample"), [case for case in DIFFERENTIABLE if case.values[1].second])
def test_gradient_of_the_gradient(name: str, sample: Sample) -> None:
    function, inputs = differentiable(name, sample)
    assert autograd.gradgradcheck(function, inputs, atol=1e-6, rtol=1e-5, eps=1e-5)


TYPES = ["float32", "float16", "bfloat16", "int64", "int32", "uint8", "bool"]
FLOATS_ONLY = {
    "Divide", "Arctan2", "Exp", "Expm1", "Log", "Log1p", "Sqrt", "Rsqrt", "Sin", "Cos", "Arcsin", "Arctan", "Tanh", "Erf",
    "Floor", "Round", "Power", "Convolution", "ConvolutionTranspose", "ConvolutionWeight",
}  # fmt: skip
SINGLE_OR_DOUBLE = {"Solve", "Det", "SlogDet", "Cholesky", "QR", "Eigh", "SVD"}
NO_BOOLEANS = {
    "Subtract",
    "Negate",
    "FloorDivide",
    "Remainder",
    "Absolute",
    "MatMul",
    "Sign",
    "IndexAdd",
    "Fold",
    "WindowSum",
}


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_each_data_type(name: str, dtype: str) -> None:
    wanted = np.dtype(ml_dtypes.bfloat16) if dtype == "bfloat16" else np.dtype(dtype)
    inexact = dtype in ("float32", "float16", "bfloat16")
    if name.startswith("Random") or (name in SINGLE_OR_DOUBLE and dtype != "float32"):
        return
    if (name in FLOATS_ONLY and not inexact) or (name in NO_BOOLEANS and dtype == "bool"):
        return
    if (name.startswith("Bitwise") and inexact) or (name == "Product" and not inexact):
        return
    primitive, tolerance = registry[name], {"float32": 1e-5, "float16": 2e-2, "bfloat16": 1e-1}.get(dtype, 0)
    for sample in SAMPLES[name]:
        inputs = [
            x.astype(wanted) if np.asarray(x).dtype.kind == "f" or name.startswith("Bitwise") else x
            for x in (np.abs(x) + 1 if not inexact and x.dtype.kind == "f" else x for x in sample.inputs)
        ]
        settings = {**sample.settings, **({"dtype": wanted} if name == "Cast" else {})}
        forms = primitive.shape(*inputs, **settings)
        results = as_list(chainrule.primitives.primitive.evaluate(primitive, inputs, settings, forms))
        for result, form in zip(results, forms if isinstance(forms, list) else [forms], strict=True):
            assert result.dtype == form[1] and result.shape == tuple(form[0])
        if inexact and name not in (
            "FloorDivide",
            "Remainder",
            "Floor",
            "Round",
            "Argmax",
            "Sort",
            "QR",
            "SVD",
            "Eigh",
        ):
            exact_inputs = [x.astype(np.float64) if x.dtype == wanted else x for x in inputs]
            exact_settings = {**settings, **({"dtype": np.dtype(np.float64)} if name == "Cast" else {})}
            exact = as_list(primitive.evaluate(*exact_inputs, **exact_settings))[0]
            scale = np.abs(exact).max(initial=1.0)
            assert np.abs(results[0].astype(np.float64) - exact).max(initial=0) <= tolerance * scale


@pytest.mark.parametrize(
    ("name", "shapes", "settings", "says"),
    [
        ("Add", [(2,), (3,)], {}, r"\(2,\).*\(3,\)"),
        ("Where", [(2,), (3,), (3,)], {}, r"\(2,\)"),
        ("MatMul", [(2, 3), (4, 5)], {}, r"\(2, 3\) @ \(4, 5\)"),
        ("Reshape", [(2, 3)], {"to": (4,)}, r"\(2, 3\).*\(4,\)"),
        ("Broadcast", [(2,)], {"to": (3,)}, r"\(2,\) to \(3,\)"),
        ("Permute", [(2, 3)], {"order": (0, 0)}, r"\(0, 0\)"),
        ("Concatenate", [(2, 3), (2, 4)], {"axis": 0}, r"\(2, 3\), \(2, 4\)"),
        ("IndexAdd", [(3,), (2,), (5,)], {"key": (ARRAY,)}, r"\(5,\).*\(2,\)"),
        ("Windows", [(1, 1, 2)], {"kernel": (3,), "stride": (1,), "dilation": (1,)}, r"\(3,\).*\(2,\)"),
        ("Amax", [(0, 2)], {"axes": (0,)}, r"\(0, 2\)"),
        ("Solve", [(2, 3), (2, 1)], {}, r"\(2, 3\)"),
        (
            "Convolution",
            [(1, 3, 4, 4), (2, 5, 3, 3)],
            {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1},
            r"3 channels.*expects 5",
        ),
    ],
)
def test_bad_shapes_are_refused_by_the_rule(name: str, shapes: Any, settings: dict[str, Any], says: str) -> None:
    symbols = [Symbol(shape, np.dtype(np.float64)) for shape in shapes]
    with pytest.raises(chainrule.ShapeError, match=says):
        registry[name].shape(*symbols, **settings)


# ----------------------------------------------------------------------------------- any shape, any layout

extents = st.lists(st.integers(0, 4), max_size=4).map(tuple)


@st.composite
def arrays(draw: Any) -> Any:
    """An array of any small shape that lies in memory in any way."""
    shape = draw(extents)
    x = np.random.default_rng(draw(st.integers(0, 99))).standard_normal([2 * n for n in shape])
    x = x[tuple(draw(st.sampled_from([slice(None, None, 2), slice(None, None, -2)])) for _ in shape)]
    return x.transpose(draw(st.permutations(range(x.ndim))))


@given(arrays())
def test_any_array_through_one_of_each_kind(x: Any) -> None:
    t = chainrule.tensor(x)
    apply = {name: lambda *a, _p=primitive, **k: _p.apply(*a, **k).array for name, primitive in registry.items()}
    np.testing.assert_array_equal(apply["Tanh"](t), np.tanh(x))
    np.testing.assert_array_equal(apply["Multiply"](t, t), x * x)
    np.testing.assert_array_equal(apply["Reshape"](t, to=(x.size,)), x.reshape(-1))
    np.testing.assert_array_equal(apply["Broadcast"](t, to=(2, *x.shape)), np.broadcast_to(x, (2, *x.shape)))
    np.testing.assert_array_equal(apply["Flip"](t, axes=tuple(range(x.ndim))), np.flip(x))
    for axis in range(x.ndim):
        np.testing.assert_allclose(apply["Sum"](t, axes=(axis,)), x.sum(axis), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(apply["CumulativeSum"](t, axis=axis), x.cumsum(axis), rtol=1e-12, atol=1e-12)
        np.testing.assert_array_equal(apply["Concatenate"](t, t, axis=axis), np.concatenate([x, x], axis))
        if x.shape[axis]:
            np.testing.assert_array_equal(apply["Amax"](t, axes=(axis,)), x.max(axis))
