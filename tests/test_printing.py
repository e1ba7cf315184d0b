"""Tests of how tensors print: exact strings first, then agreement with PyTorch on generated arrays."""

import math
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import hypothesis.extra.numpy as array_strategies
import hypothesis.strategies as st
import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from chainrule.printing import PrintOptions, format_tensor, get_printoptions, set_printoptions

Array = np.ndarray[Any, Any]

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
FLOAT_DTYPES = [np.dtype(name) for name in ("float16", "float32", "float64")] + [BFLOAT16]
INTEGER_DTYPES = [np.dtype(f"{sign}int{bits}") for sign in ("", "u") for bits in (8, 16, 32, 64)]
UNMARKED_DTYPES = ("float32", "int64", "bool")

peer_settings = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(autouse=True)
def default_options() -> Iterator[None]:
    set_printoptions(profile="default")
    yield
    set_printoptions(profile="default")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (1.5, "tensor(1.5000)"),
        (3.0, "tensor(3.)"),
        (-0.0, "tensor(-0.)"),
        (math.nan, "tensor(nan)"),
        (1e-10, "tensor(1.0000e-10)"),
        (7, "tensor(7)"),
        (True, "tensor(True)"),
        ([], "tensor([])"),
        ([[], []], "tensor([], size=(2, 0))"),
        ([1.0, 2.0], "tensor([1., 2.])"),
        ([0.0, -0.0], "tensor([0., -0.])"),
        ([-0.0, 0.5], "tensor([-0.0000, 0.5000])"),
        ([1.0, -2.5], "tensor([ 1.0000, -2.5000])"),
        ([1, -200], "tensor([   1, -200])"),
        ([True, False], "tensor([ True, False])"),
        ([math.nan, math.inf, -math.inf], "tensor([nan, inf, -inf])"),
        ([math.inf, -1.5], "tensor([    inf, -1.5000])"),
        ([1.0, 1000.0], "tensor([   1., 1000.])"),
        ([1.0, 1001.0], "tensor([1.0000e+00, 1.0010e+03])"),
        ([1e-5, 0.0], "tensor([1.0000e-05, 0.0000e+00])"),
        ([[1.0, 2.0], [3.0, 4.0]], "tensor([[1., 2.],\n        [3., 4.]])"),
        ([[[1], [2]], [[3], [4]]], "tensor([[[1],\n         [2]],\n\n        [[3],\n         [4]]])"),
    ],
)
def test_small_tensors(values: Any, expected: str) -> None:
    assert format_tensor(np.array(values)) == expected


def test_extreme_integers_keep_every_digit() -> None:
    values = np.array([1, 2**64 - 1], dtype=np.uint64)
    assert format_tensor(values) == "tensor([                   1, 18446744073709551615])"


def test_bfloat16_prints_like_the_same_float32_values() -> None:
    values = np.array([1.5, -2.0, math.nan], dtype=BFLOAT16)
    assert format_tensor(values) == "tensor([ 1.5000, -2.0000,     nan])"


def test_other_kinds_of_entries_are_refused() -> None:
    with pytest.raises(TypeError, match="not complex128"):
        format_tensor(np.array([1j]))


def test_summary_of_a_matrix() -> None:
    assert format_tensor(np.arange(2000).reshape(1000, 2)) == (
        "tensor([[   0,    1],\n"
        "        [   2,    3],\n"
        "        [   4,    5],\n"
        "        ...,\n"
        "        [1994, 1995],\n"
        "        [1996, 1997],\n"
        "        [1998, 1999]])"
    )


def test_the_threshold_itself_is_not_summarised() -> None:
    assert "..." not in format_tensor(np.zeros(1000))
    assert format_tensor(np.zeros(1001)) == "tensor([0., 0., 0.,  ..., 0., 0., 0.])"


def test_hidden_entries_do_not_widen_the_columns() -> None:
    values = np.ones(2000)
    values[1000] = 123456.0
    assert format_tensor(values) == "tensor([1., 1., 1.,  ..., 1., 1., 1.])"


def test_rows_break_at_the_line_width() -> None:
    set_printoptions(linewidth=20)
    assert format_tensor(np.arange(12).reshape(3, 4)[1:]) == (
        "tensor([[ 4,  5,  6,\n          7],\n        [ 8,  9, 10,\n         11]])"
    )


def test_suffixes_stay_on_the_line_while_they_fit() -> None:
    text = format_tensor(np.array([1.0, 2.0]), ["dtype=chainrule.float64", "requires_grad=True"])
    assert text == "tensor([1., 2.], dtype=chainrule.float64, requires_grad=True)"


def test_suffixes_move_to_the_next_line_together() -> None:
    text = format_tensor(np.zeros(19), ["dtype=chainrule.float64", "requires_grad=True"])
    row = ", ".join(["0."] * 19)
    assert text == f"tensor([{row}],\n       dtype=chainrule.float64, requires_grad=True)"


def test_size_comes_before_the_given_suffixes() -> None:
    text = format_tensor(np.zeros((0, 3)), ["requires_grad=True"])
    assert text == "tensor([], size=(0, 3), requires_grad=True)"


def test_options_that_are_not_named_keep_their_value() -> None:
    set_printoptions(precision=2)
    set_printoptions(linewidth=100)
    assert get_printoptions() == PrintOptions(precision=2, linewidth=100)


def test_scientific_mode_lasts_until_the_next_call() -> None:
    set_printoptions(sci_mode=True)
    assert format_tensor(np.array([1.0, math.nan])) == "tensor([1.0000e+00,        nan])"
    set_printoptions(precision=1)
    assert format_tensor(np.array([1.5])) == "tensor([1.5])"


def test_profiles() -> None:
    set_printoptions(profile="full")
    assert get_printoptions().threshold == math.inf
    set_printoptions(profile="short", linewidth=60)
    assert get_printoptions() == PrintOptions(precision=2, edgeitems=2, linewidth=60)
    with pytest.raises(ValueError, match="'long'"):
        set_printoptions(profile="long")


@pytest.fixture
def torch() -> Iterator[ModuleType]:
    module: ModuleType = pytest.importorskip("torch")
    module.set_printoptions(profile="default")
    yield module
    module.set_printoptions(profile="default")


def assert_prints_alike(torch: ModuleType, array: Array, suffixes: tuple[str, ...] = ()) -> None:
    """Compare with PyTorch; the dtype suffix is the caller's part, so it is given in PyTorch's words."""
    if array.dtype == BFLOAT16:
        tensor = torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    else:
        tensor = torch.from_numpy(array)
    # PyTorch names the dtype of every empty tensor but a float32 one.
    unmarked = ("float32",) if array.size == 0 else UNMARKED_DTYPES
    dtype_suffix = () if array.dtype.name in unmarked else (f"dtype=torch.{array.dtype.name}",)
    if suffixes == ("requires_grad=True",):
        tensor.requires_grad_()
    assert format_tensor(array, (*dtype_suffix, *suffixes)) == repr(tensor)


def magnitudes(draw: st.DrawFn, size: int) -> Array:
    """Draw values whose spread varies from none to far past the switch to scientific notation."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    lowest = draw(st.integers(-12, 12))
    values = generator.standard_normal(size) * 10.0 ** generator.uniform(lowest, lowest + draw(st.integers(0, 6)), size)
    if draw(st.booleans()):
        values = np.round(values)
    specials = draw(st.lists(st.sampled_from([math.nan, math.inf, -math.inf, 0.0, -0.0]), max_size=3))
    values[generator.random(size) < 0.3 * len(specials)] = draw(st.sampled_from([*specials, 1.0]))
    values[: len(specials)] = specials[:size]
    return values


@st.composite
def arrays(draw: st.DrawFn, dtypes: list[np.dtype[Any]], max_side: int = 5) -> Array:
    """Draw arrays of 0 to 4 axes, sides of 0 and 1 included."""
    shape = draw(array_strategies.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=max_side))
    dtype = draw(st.sampled_from(dtypes))
    size = math.prod(shape)
    if dtype.kind in "iub":
        generator = np.random.default_rng(draw(st.integers(0, 2**32)))
        bits = 8 * dtype.itemsize if dtype.kind != "b" else 1
        kept_bits = draw(st.integers(1, bits))
        raw = generator.integers(0, 2**64, size, dtype=np.uint64) >> np.uint64(64 - kept_bits)
        signs = generator.choice([1, -1], size) if dtype.kind == "i" else np.ones(size, dtype=np.int64)
        return np.asarray((raw.astype(np.int64) * signs).astype(dtype).reshape(shape))
    with np.errstate(over="ignore"):
        return magnitudes(draw, size).astype(dtype).reshape(shape)


@pytest.mark.peer
@peer_settings
@given(array=arrays(FLOAT_DTYPES))
def test_floats_print_like_pytorch(torch: ModuleType, array: Array) -> None:
    assert_prints_alike(torch, array)


@pytest.mark.peer
@peer_settings
@given(array=arrays([*INTEGER_DTYPES, np.dtype(bool)]))
def test_integers_and_booleans_print_like_pytorch(torch: ModuleType, array: Array) -> None:
    assert_prints_alike(torch, array)


@pytest.mark.peer
@peer_settings
@given(
    array=array_strategies.arrays(np.float32, st.tuples(st.integers(0, 4)))
    | array_strategies.arrays(np.float64, st.tuples(st.integers(0, 4)))
)
def test_arbitrary_bit_patterns_print_like_pytorch(torch: ModuleType, array: Array) -> None:
    assert_prints_alike(torch, array)


@pytest.mark.peer
@pytest.mark.parametrize("dtype", [*FLOAT_DTYPES, *INTEGER_DTYPES, np.dtype(bool)], ids=str)
@pytest.mark.parametrize("shape", [(1001,), (7, 200), (200, 7), (6, 300), (2, 3, 400), (9, 9, 9, 9), (1, 1200, 1)])
def test_summaries_print_like_pytorch(torch: ModuleType, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).uniform(0, 100, shape)
    assert_prints_alike(torch, values.astype(dtype))


@pytest.mark.peer
@peer_settings
@given(array=arrays(FLOAT_DTYPES, max_side=12))
def test_requires_grad_wraps_like_pytorch(torch: ModuleType, array: Array) -> None:
    assert_prints_alike(torch, array, ("requires_grad=True",))


@pytest.mark.peer
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scale", [1, 10, 1.5])
def test_grad_fn_wraps_like_pytorch(torch: ModuleType, dtype: str, scale: float) -> None:
    for length in range(40):
        array = np.full(length, scale, dtype=dtype)
        tensor = torch.from_numpy(array).requires_grad_() * 1
        dtype_suffix = () if dtype == "float32" else ("dtype=torch.float64",)
        assert format_tensor(array, (*dtype_suffix, "grad_fn=<MulBackward0>")) == repr(tensor)


option_choices = st.fixed_dictionaries(
    {},
    optional={
        "precision": st.integers(0, 8),
        "threshold": st.integers(0, 50) | st.just(math.inf),
        "edgeitems": st.integers(0, 4),
        "linewidth": st.integers(1, 120),
        "profile": st.sampled_from(["default", "short", "full"]),
        "sci_mode": st.sampled_from([None, True, False]),
    },
)


@pytest.mark.peer
@peer_settings
@given(
    array=arrays([*FLOAT_DTYPES, np.dtype("int64"), np.dtype(bool)], max_side=9),
    calls=st.lists(option_choices, min_size=1, max_size=3),
)
def test_options_act_like_those_of_pytorch(torch: ModuleType, array: Array, calls: list[dict[str, Any]]) -> None:
    for set_options in (torch.set_printoptions, set_printoptions):
        set_options(profile="default")
        for options in calls:
            set_options(**options)
    assert_prints_alike(torch, array)
