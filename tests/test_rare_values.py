"""Values that are seldom met: infinities, halves near their range, small integers, an ellipsis for no dimension."""

import math

import numpy as np
import pytest

import chainrule

inf = math.inf


def test_an_ellipsis_for_no_dimension_leaves_arrays_neighbours() -> None:
    array = np.arange(60.0).reshape(3, 4, 5)
    x = chainrule.tensor(array, requires_grad=True)
    rows, columns = [0, 1, 3], [4, 1, 0]
    found = x[:, rows, ..., columns]
    np.testing.assert_array_equal(found.detach().numpy(), array[:, rows, columns])
    (found * chainrule.arange(9.0).reshape(3, 3)).sum().backward()
    expected = np.zeros_like(array)
    expected[:, rows, columns] = np.arange(9.0).reshape(3, 3)
    np.testing.assert_array_equal(x.grad.numpy(), expected)
    written = chainrule.zeros(3, 4, 5)
    written[:, rows, ..., columns] = chainrule.arange(9.0).reshape(3, 3)
    np.testing.assert_array_equal(written.numpy(), expected)
    between = chainrule.zeros(3, 4, 5, 6)[:, rows, ..., columns]  # here it stands for one
    assert between.shape == (3, 3, 5)


@pytest.mark.parametrize("dtype", [chainrule.int8, chainrule.uint8, chainrule.int16])
@pytest.mark.parametrize("count", [1, 2])
def test_contractions_of_small_integers_keep_their_type(dtype: chainrule.dtype, count: int) -> None:
    x = chainrule.tensor([100] * count, dtype=dtype)
    exact = np.sum(x.numpy() * x.numpy(), dtype=x.numpy().dtype)
    batch = x.reshape(1, 1, count)
    results = [
        chainrule.einsum("i,i->", x, x), chainrule.inner(x, x), chainrule.tensordot(x, x, dims=1),
        chainrule.addbmm(chainrule.zeros(1, 1, dtype=dtype), batch, batch.mT)[0, 0],
    ]  # fmt: skip
    for result in results:
        assert result.dtype == dtype and result.item() == exact


def test_running_products_of_float16_beyond_its_range() -> None:
    found = chainrule.cumprod(chainrule.tensor([300.0, 300.0, 0.001, 0.001], dtype=chainrule.float16), 0)
    assert found.tolist()[:2] == [300, inf] and math.isclose(found[2].item(), 90, rel_tol=2e-3)


@pytest.mark.parametrize("interpolation", ["nearest", "lower", "higher", "linear", "midpoint"])
def test_quantiles_at_the_ends_may_be_infinite(interpolation: str) -> None:
    x = chainrule.tensor([-inf, 1.0, 2.0, inf])
    for function in (chainrule.quantile, chainrule.nanquantile):
        found = function(x, chainrule.tensor([0.0, 1 / 3, 1.0]), interpolation=interpolation)
        assert found[0] == -inf and found[2] == inf
        assert function(chainrule.tensor([1.0, inf]), 0.0, interpolation=interpolation) == 1


def test_halves_whose_steps_are_beyond_their_range() -> None:
    def half(*numbers: float) -> chainrule.Tensor:
        return chainrule.tensor(numbers, dtype=chainrule.float16)

    assert chainrule.lerp(half(-6e4), half(6e4), 0.5).item() == 0
    assert math.isclose(chainrule.addcmul(half(0), half(300), half(300), value=0.5).item(), 45000, rel_tol=1e-3)
    assert math.isclose(chainrule.addcdiv(half(0), half(6e4), half(0.5), value=0.25).item(), 30000, rel_tol=1e-3)
    assert chainrule.trapezoid(half(6e4, 6e4, -6e4, -6e4)).item() == 0
    assert math.isclose(chainrule.special.i0(half(12)).item(), 18948.9, rel_tol=1e-3)


def test_whole_numbers_are_not_rounded_back_to_whole_numbers() -> None:
    start, end = chainrule.tensor([0, 1]), chainrule.tensor([10, 10])
    assert chainrule.lerp(start, end, 0.3).tolist() == pytest.approx([3, 3.7])
    assert chainrule.addcdiv(start, chainrule.tensor([1, 1]), chainrule.tensor([2, 2])).tolist() == [0.5, 1.5]
    assert chainrule.trapezoid(chainrule.tensor([0, 1])).item() == 0.5
    wide = chainrule.lerp(start.half(), end.double(), 0.5)
    assert wide.dtype == chainrule.float64 and wide.tolist() == [5, 5.5]


def test_bessel_functions_of_the_least_integer() -> None:
    assert chainrule.special.i0(chainrule.tensor([-128], dtype=chainrule.int8)).item() == inf
    assert chainrule.special.i1(chainrule.tensor([-(2**31)], dtype=chainrule.int32)).item() == -inf


def test_the_incomplete_gamma_function_of_an_infinite_parameter() -> None:
    a = chainrule.tensor(inf)
    assert chainrule.special.gammainc(a, chainrule.tensor(1.0)).item() == 0
    assert chainrule.special.gammaincc(a, chainrule.tensor(1.0)).item() == 1


def test_truths_are_close_within_a_tolerance() -> None:
    yes, no = chainrule.tensor([True]), chainrule.tensor([False])
    assert chainrule.isclose(yes, no, atol=1.0).item() and not chainrule.isclose(yes, no).item()


def test_fmod_has_the_sign_of_its_first_argument_at_zero_too() -> None:
    found = chainrule.fmod(chainrule.tensor([-0.0, -3.0, 3.0, 0.0]), 1.0)
    assert found.signbit().tolist() == [True, True, False, False]


@pytest.mark.parametrize("kind", ["bfloat16", "float16", "float64", "int32"])
def test_weights_that_are_not_float32_are_counted_in_float64(kind: str) -> None:
    weights = chainrule.ones(2).to(getattr(chainrule, kind))
    assert chainrule.bincount(chainrule.tensor([1, 1]), weights).dtype == chainrule.float64


@pytest.mark.parametrize("rule", [chainrule.optim.ASGD, chainrule.optim.Adafactor, chainrule.optim.Adam])
def test_a_parameter_without_dimensions_has_a_state_of_its_own_type(rule: type) -> None:
    weight = chainrule.nn.Parameter(chainrule.tensor(1.0))
    optimizer = rule([weight])
    for _ in range(2):
        (weight * weight).backward()
        optimizer.step()
    tensors = {name: x for name, x in optimizer.state[weight].items() if name not in ("step", "eta", "mu")}
    assert tensors and all(x.dtype == chainrule.float32 for x in tensors.values())
