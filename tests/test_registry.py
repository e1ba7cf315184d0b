"""Every primitive, whatever it is: its shape rule tells the truth, its gradient is the derivative, tracing is eager."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import chainrule
from chainrule import autograd
from chainrule.functions.creation import make
from chainrule.primitives import attention, bessel, control, gamma, linear_algebra, random, registry, whole_numbers
from chainrule.primitives.trace import Trace, tracing
from chainrule.primitives.value import Symbol
from chainrule.program.graph import Graph
from chainrule.tape import backpropagate
from tests.generated_samples import MAKERS, generated
from tests.refused_shapes import ANY_SHAPE, REFUSED
from tests.samples import ALL_TYPES, FLOATS, SAMPLES, TYPES, Sample
from tests.test_peer_tables import assert_second_derivatives
from tests.together import together


class Case(NamedTuple):
    """One of the samples of a primitive."""

    name: str
    number: int

    @property
    def sample(self) -> Sample:
        return SAMPLES[self.name][self.number]


CASES = [Case(name, number) for name in SAMPLES for number in range(len(SAMPLES[name]))]
#: Floating-point arguments without a gradient, and why.
WITHOUT_GRADIENT = {
    "Equal": "a comparison", "Less": "a comparison", "LessEqual": "a comparison", "Argmax": "a place", "CumulativeArgmax": "a place",
    "SearchSorted": "a place", "LeftShift": "integers only", "RightShift": "integers only",
    "GreatestDivisor": "integers only", "LeastMultiple": "integers only",
    "BitwiseAnd": "integers only", "BitwiseOr": "integers only", "BitwiseXor": "integers only",
    "BitwiseNot": "integers only", "RandomUniform": "the state is integers", "RandomNormal": "the state is integers",
    "RandomIntegers": "the state is integers", "RandomPermutation": "the state is integers",
    "RandomLogGamma": "implicit: test_distribution_samples.py", "RandomPoisson": "a count", "RandomBinomial": "a count",
    "RandomVonMises": "not reparametrised",
    "RandomAdvance": "the state is integers", "Check": "computes nothing", "NumPyFunction": "says so",
    "IndexReduce": "says so",
}  # fmt: skip
#: The primitives that may answer with their input's memory: they move entries and compute nothing.
MOVES = {
    "Where", "Broadcast", "Reshape", "Permute", "Flip", "Pad", "Concatenate", "Windows", "Index", "IndexUpdate",
}  # fmt: skip
#: Matrices of which only the symmetric part counts: moving one entry alone is no admissible change.
SYMMETRIC = ("Cholesky", "Eigh")
#: Known only up to signs that another data type or memory layout may choose otherwise.
UP_TO_SIGN = ("QR", "SVD", "Eigh")
DIFFERENTIABLE = [case for case in CASES if case.name not in WITHOUT_GRADIENT]


def of_each(cases: list[Case]) -> Any:
    """A test for each primitive."""
    return together(cases, lambda case: case.name)


def as_list(answer: Any) -> list[Any]:
    return list(answer) if isinstance(answer, list | tuple) else [answer]


def numpy_type(name: str) -> np.dtype[Any]:
    return np.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else name)


def is_float(x: Any) -> bool:
    return x.dtype.kind in "fV"  # V: NumPy does not know bfloat16 as a floating-point type


def forms_of(primitive: Any, inputs: Any, settings: dict[str, Any]) -> list[Any]:
    forms = primitive.shape(*inputs, **settings)
    return forms if isinstance(forms, list) else [forms]


def results_of(primitive: Any, inputs: Any, settings: dict[str, Any]) -> list[Any]:
    return as_list(primitive.compute(inputs, settings, primitive.shape(*inputs, **settings)))


def upstream_for(results: list[Any]) -> list[Any]:
    """A gradient to start from for each result, different everywhere; None for results that are integers."""
    random = np.random.default_rng(0)
    return [np.asarray(random.uniform(0.5, 1.5, y.shape), y.dtype) if is_float(y) else None for y in results]


def gradients_of(name: str, inputs: Any, settings: dict[str, Any], upstream: list[Any]) -> list[Any]:
    """The gradients of the floating-point inputs as arrays. Nothing is copied, so layouts arrive as they are."""
    tensors = [make(x, requires_grad=is_float(x)) for x in inputs]
    outputs = as_list(registry[name].apply(*tensors, **settings))
    roots = [(y.value.source, make(g)) for y, g in zip(outputs, upstream, strict=True) if g is not None]
    found = backpropagate(roots, [t.value.source for t in tensors if t.requires_grad])
    return [None if g is None else g.array for g in found]


# ------------------------------------------------------------------------------------------- completeness


def test_every_primitive_has_samples() -> None:
    assert attention and bessel and control and gamma and linear_algebra and random and whole_numbers, (
        "these register their primitives when they are loaded"
    )
    assert set(registry) - {"Scan"} == set(SAMPLES), "Scan has a file of its own: test_scan.py"
    refused = {name for name, *_ in REFUSED}
    assert not refused & ANY_SHAPE
    assert refused | ANY_SHAPE == set(SAMPLES), "shapes that do not fit, in refused_shapes.py"
    assert {name for name, primitive in registry.items() if primitive.moves} - {"Scan"} == MOVES


@together(sorted(registry), lambda name: "all")
def test_every_primitive_is_documented_and_its_rules_are_complete(name: str) -> None:
    primitive = registry[name]
    assert primitive.__doc__ and primitive.latex
    if name != "Scan":  # its gradient is a loop of its own, not a table of rules
        samples = SAMPLES[name]
        floats = {
            primitive.argument_name(i) for s in samples for i, x in enumerate(s.inputs) if is_float(np.asarray(x))
        }
        assert floats - set(primitive.rules) == (floats if name in WITHOUT_GRADIENT else set())


# -------------------------------------------------------------------------------- shapes, memory and tracing


def check_shape_rule(name: str, sample: Sample) -> None:
    primitive = registry[name]
    before = [np.array(x) for x in sample.inputs]
    forms = forms_of(primitive, sample.inputs, sample.settings)
    results = as_list(primitive.evaluate(*sample.inputs, **sample.settings))
    assert [np.shape(r) for r in results] == [tuple(form[0]) for form in forms]
    assert [np.asarray(r).dtype for r in results] == [form[1] for form in forms]
    for x, copy in zip(sample.inputs, before, strict=True):
        np.testing.assert_array_equal(x, copy, err_msg="an input was changed")
    if name not in MOVES:
        assert not any(np.shares_memory(r, x) for r in results for x in sample.inputs)
    symbols = [Symbol(x.shape, x.dtype) for x in sample.inputs]
    assert forms_of(primitive, symbols, sample.settings) == forms


@of_each(CASES)
def test_shape_rule_is_what_evaluation_gives(case: Case) -> None:
    check_shape_rule(case.name, case.sample)


@of_each(CASES)
def test_traced_is_eager_and_so_is_its_gradient(case: Case) -> None:
    name, sample = case.name, case.sample
    primitive = registry[name]
    eager = results_of(primitive, sample.inputs, sample.settings)
    upstream = upstream_for(eager) if primitive.rules else [None] * len(eager)
    starts = [g for g in upstream if g is not None]
    if starts:
        eager += [g for g in gradients_of(name, sample.inputs, sample.settings, upstream) if g is not None]
    trace = Trace()
    with tracing(trace):
        values = [trace.new_input(x.shape, x.dtype, bool(starts) and is_float(x)) for x in sample.inputs]
        seeds = [trace.new_input(g.shape, g.dtype, False) for g in starts]
        outputs = as_list(primitive.apply(*[primitive.make_tensor(v) for v in values], **sample.settings))
        if starts:
            ends = [y.value.source for y, g in zip(outputs, upstream, strict=True) if g is not None]
            roots = [(source, primitive.make_tensor(seed)) for source, seed in zip(ends, seeds, strict=True)]
            found = backpropagate(roots, [v.source for v in values if v.source is not None])
            outputs += [g for g in found if g is not None]
        symbols = [t.value.array for t in outputs]
    captures = list(trace.captures.values())  # constants that gradient rules made, such as an identity matrix
    graph = Graph([v.array for v in (*values, *seeds, *[c for _, c in captures])], trace.equations, symbols)
    graph = pickle.loads(pickle.dumps(graph.check()))  # it is data: nothing in it belongs to this process
    traced = graph.run([*sample.inputs, *starts, *[outside.array for outside, _ in captures]])
    for ours, theirs in zip(traced, eager, strict=True):
        assert (ours.dtype, ours.shape, ours.tobytes()) == (theirs.dtype, theirs.shape, theirs.tobytes())


def layouts_of(x: Any) -> Iterator[Any]:
    """The same entries elsewhere in memory: by columns, backwards, with gaps."""
    yield np.asarray(x, order="F")
    backwards = (slice(None, None, -1),) * x.ndim
    yield np.asarray(x[(*backwards, ...)].copy()[(*backwards, ...)])
    gaps = np.repeat(x, 2, axis=-1) if x.ndim else x
    yield gaps[..., ::2] if x.ndim else gaps


def check_layouts(name: str, sample: Sample, inputs: Any) -> None:
    """Results and gradients do not depend on the layout; no array is written to, not even by gradient rules."""
    primitive = registry[name]
    plain = [np.array(x, order="C") for x in sample.inputs]
    results = results_of(primitive, plain, sample.settings)
    upstream = upstream_for(results)
    inputs = [x.view() for x in inputs]
    for x in inputs:
        x.flags.writeable = False
    for ours, theirs in zip(results_of(primitive, inputs, sample.settings), results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-13)
    if name in WITHOUT_GRADIENT:
        return
    starts = [None if g is None else np.asarray(g[..., ::-1], order="F")[..., ::-1] if g.ndim else g for g in upstream]
    for g in starts:
        if g is not None:
            g.flags.writeable = False
    expected = gradients_of(name, plain, sample.settings, upstream)
    for ours, theirs in zip(gradients_of(name, inputs, sample.settings, starts), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-11)


@of_each([case for case in CASES if case.name not in UP_TO_SIGN])
def test_the_layout_in_memory_does_not_matter(case: Case) -> None:
    for inputs in zip(*[layouts_of(np.asarray(x)) for x in case.sample.inputs], strict=True):
        check_layouts(case.name, case.sample, inputs)


# ------------------------------------------------------------------------------------------------ gradients


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


@of_each(DIFFERENTIABLE)
def test_gradient_is_the_derivative(case: Case) -> None:
    function, inputs = differentiable(case.name, case.sample)
    tight = {"atol": 1e-8, "rtol": 1e-6, "eps": 1e-5}
    assert autograd.gradcheck(function, inputs, **tight)


@of_each([case for case in DIFFERENTIABLE if case.sample.second])
def test_gradient_of_the_gradient(case: Case) -> None:
    """By day along one random direction, by night along every axis."""
    function, inputs = differentiable(case.name, case.sample)
    if os.environ.get("CHAINRULE_NIGHTLY"):
        assert autograd.gradgradcheck(function, inputs, atol=1e-6, rtol=1e-5, eps=1e-5)
        return
    moving = [i for i, x in enumerate(inputs) if x.requires_grad]

    def of_floats(*xs: Any) -> list[Any]:
        given = dict(zip(moving, xs, strict=True))
        return as_list(function(*[given.get(i, x) for i, x in enumerate(inputs)]))

    assert_second_derivatives(of_floats, [inputs[i] for i in moving])


# ----------------------------------------------------------------------------------------------- data types


def with_type(name: str, sample: Sample, dtype: np.dtype[Any]) -> tuple[list[Any], dict[str, Any]]:
    """The sample in another data type. Whole numbers are made of the sizes: none is 0, and none negative."""
    inputs = []
    for x in map(np.asarray, sample.inputs):
        if is_float(x):
            inputs.append((x if dtype.kind in "fV" else np.abs(x) + 1).astype(dtype))
        else:
            inputs.append(x.astype(dtype) if name.startswith("Bitwise") else x)
    return inputs, {**sample.settings, **({"dtype": dtype} if name == "Cast" else {})}


SUPPORTED = [(name, dtype) for name in sorted(SAMPLES) for dtype in TYPES.get(name, ALL_TYPES)]


@together(SUPPORTED, lambda case: case[0])
def test_each_data_type(case: tuple[str, str]) -> None:
    name, dtype = case
    primitive, wanted = registry[name], numpy_type(dtype)
    for sample in SAMPLES[name]:
        inputs, settings = with_type(name, sample, wanted)
        forms = forms_of(primitive, inputs, settings)
        symbols = [Symbol(x.shape, x.dtype) for x in inputs]
        assert forms_of(primitive, symbols, settings) == forms
        raw = as_list(primitive.evaluate(*inputs, **settings))
        assert [np.shape(r) for r in raw] == [tuple(form[0]) for form in forms]
        if name not in MOVES:
            assert not any(np.shares_memory(r, x) for r in raw for x in inputs)
        results = results_of(primitive, inputs, settings)
        assert [(r.shape, r.dtype) for r in results] == [(tuple(form[0]), form[1]) for form in forms]
        if name.startswith("Random") or name in UP_TO_SIGN:
            continue
        larger = np.dtype(np.float64 if wanted.kind in "fV" else np.int64)
        if wanted.kind != "b":
            inputs = [x.astype(larger) if x.dtype == wanted else x for x in inputs]
        exact = results_of(primitive, inputs, {**settings, **({"dtype": larger} if name == "Cast" else {})})
        for ours, theirs in zip(results, exact, strict=True):
            check_rounding(name, ours, theirs)


def check_rounding(name: str, ours: Any, exact: Any) -> None:
    """Each entry is the exact one, rounded: to an ulp or two, and sums relative to their largest part."""
    if not is_float(ours):
        np.testing.assert_array_equal(ours, exact.astype(ours.dtype))
        return
    epsilon = float(ml_dtypes.finfo(ours.dtype).eps)
    sums = 2e-6 if ours.dtype.itemsize < 8 else 1e-14  # sums of halves are added in float32
    allowed = 2 * epsilon * np.abs(exact) + sums * np.abs(exact).max(initial=1.0)
    assert (np.abs(ours.astype(np.float64) - exact) <= allowed).all()


WITH_GRADIENT = [
    (name, dtype)
    for name, dtype in SUPPORTED
    if dtype in FLOATS[1:] and name not in WITHOUT_GRADIENT and name not in UP_TO_SIGN
]


@together(WITH_GRADIENT, lambda case: case[0])
def test_gradients_have_the_type_of_their_inputs(case: tuple[str, str]) -> None:
    name, dtype = case
    wanted = numpy_type(dtype)
    for sample in SAMPLES[name]:
        inputs, settings = with_type(name, sample, wanted)
        upstream = upstream_for(results_of(registry[name], inputs, settings))
        gradients = gradients_of(name, inputs, settings, upstream)
        double = [x.astype(np.float64) if is_float(x) else x for x in inputs]
        starts = [None if g is None else g.astype(np.float64) for g in upstream]
        settings |= {"dtype": np.dtype(np.float64)} if name == "Cast" else {}
        exact = gradients_of(name, double, settings, starts)
        for ours, theirs, x in zip(gradients, exact, [x for x in inputs if is_float(x)], strict=True):
            assert (ours.dtype, ours.shape) == (wanted, x.shape)
            scale = np.abs(theirs).max(initial=1.0)
            error = np.abs(ours.astype(np.float64) - theirs).max(initial=0)
            assert error <= 16 * float(ml_dtypes.finfo(wanted).eps) * scale


# ------------------------------------------------------------------------------------------- what is refused


@together(REFUSED, lambda case: "all")
def test_bad_shapes_are_refused_by_the_rule(case: tuple[str, Any, dict[str, Any], str]) -> None:
    name, shapes, settings, says = case
    dtype = np.dtype(np.int64 if name.startswith("Bitwise") else np.float64)
    wrong_place = name == "Index"  # an index outside of the shape is an IndexError, as everywhere in Python
    with pytest.raises(chainrule.errors.IndexRangeError if wrong_place else chainrule.ShapeError, match=says):
        registry[name].shape(*[Symbol(shape, dtype) for shape in shapes], **settings)


# ----------------------------------------------------------------------------------- any shape, any layout


@pytest.mark.parametrize("name", sorted(MAKERS))
@given(data=st.data())
def test_any_shape_in_any_layout(name: str, data: Any) -> None:
    sample = data.draw(generated(name))
    check_shape_rule(name, sample)
    check_layouts(name, sample, sample.inputs)
    if name not in WITHOUT_GRADIENT:
        check_gradient_in_one_direction(name, sample)


def check_gradient_in_one_direction(name: str, sample: Sample) -> None:
    """All inputs move at once, in a random direction: one difference quotient for all entries of the gradient."""
    primitive, step = registry[name], 1e-5
    plain = [np.array(x, order="C") for x in sample.inputs]
    upstream = upstream_for(results_of(primitive, plain, sample.settings))
    gradients = gradients_of(name, plain, sample.settings, upstream)
    random = np.random.default_rng(1)
    directions = [random.uniform(0.5, 1.5, x.shape) if is_float(x) else None for x in plain]

    def weighted(distance: float) -> float:
        moved = [x if v is None else x + distance * v for x, v in zip(plain, directions, strict=True)]
        results = results_of(primitive, moved, sample.settings)
        return sum(float((y * g).sum()) for y, g in zip(results, upstream, strict=True) if g is not None)

    parts = [g * v for g, v in zip(gradients, [v for v in directions if v is not None], strict=True)]
    quotient = (weighted(step) - weighted(-step)) / (2 * step)
    scale = sum(float(np.abs(part).sum()) for part in parts) + 1e-2  # below that the quotient's own rounding counts
    assert abs(sum(float(part.sum()) for part in parts) - quotient) <= 1e-6 * scale
