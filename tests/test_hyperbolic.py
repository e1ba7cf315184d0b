"""Hyperbolic functions, their inverses and what else is made of several steps: right wherever the result is finite."""

import ml_dtypes
import numpy as np
import pytest

import chainrule

DTYPES = {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16, "float32": np.float32}
FUNCTIONS = {
    "sinh": np.sinh, "cosh": np.cosh, "asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh,
    "tan": np.tan, "acos": np.arccos,
}  # fmt: skip


def entries(dtype: type) -> np.ndarray:
    """Numbers of all sizes that the type has, and the largest there are."""
    generator = np.random.default_rng(0)
    most = float(ml_dtypes.finfo(dtype).max)
    sizes = 10 ** generator.uniform(-4, np.log10(most), 400)
    near = [1, 1 + 2**-7, 1 + 2**-20, 11.2, 88.9, 89.3, most, 0.0, -0.0, np.inf]
    return np.concatenate([sizes, -sizes, generator.uniform(-12, 12, 400), near, -np.array(near)]).astype(dtype)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", list(FUNCTIONS))
@pytest.mark.parametrize("dtype", list(DTYPES))
def test_values_are_right_wherever_they_are_finite(dtype: str, name: str, compiled: bool) -> None:
    kind = DTYPES[dtype]
    x = entries(kind)
    function = getattr(chainrule, name)
    if compiled:
        function = chainrule.compile(lambda x: getattr(chainrule, name)(x))
    found = function(chainrule.tensor(x)).numpy().astype(np.float64)
    with np.errstate(all="ignore"):
        exact = FUNCTIONS[name](x.astype(np.float64)).astype(kind).astype(np.float64)
    # Of halves, the middle between two may fall to either side: one unit in the last place.
    unit = float(ml_dtypes.finfo(kind).eps) * (4 if dtype == "float32" else 1)
    np.testing.assert_allclose(found, exact, rtol=unit, atol=float(ml_dtypes.finfo(kind).tiny))


@pytest.mark.parametrize("name", ["sinh", "asinh", "tan"])
def test_odd_functions_keep_the_sign_of_zero(name: str) -> None:
    found = getattr(chainrule, name)(chainrule.tensor([0.0, -0.0]))
    assert found.signbit().tolist() == [False, True]


@pytest.mark.parametrize("name", ["sinh", "cosh"])
def test_gradients_beyond_the_exponentials_range(name: str) -> None:
    x = chainrule.tensor([89.0, -89.0], requires_grad=True)
    getattr(chainrule, name)(x).sum().backward()
    other = {"sinh": np.cosh, "cosh": np.sinh}[name]
    np.testing.assert_allclose(x.grad.numpy(), other(np.array([89.0, -89.0])), rtol=1e-6)


def test_sinc_of_halves_whose_angle_is_beyond_their_range() -> None:
    found = chainrule.sinc(chainrule.tensor([60000.5, 3.25], dtype=chainrule.float16))
    assert found.isfinite().all() and abs(found[0].item()) < 1e-5
