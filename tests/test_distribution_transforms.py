"""Transforms and constraints: against PyTorch's, and their logarithms against the Jacobian's determinant."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule
import chainrule.distributions as D

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.peer

REAL, POSITIVE, UNIT = (
    [[0.3, -1.2, 0.8], [-0.4, 0.1, 2.0]],
    [[0.3, 1.2, 0.8], [0.4, 0.1, 2.0]],
    [[0.3, 0.9, 0.5], [0.1, 0.6, 0.2]],
)
MATRIX = [[0.3, -1.2, 0.8], [-0.4, 0.1, 0.5], [1.0, -0.6, 0.2]]
CASES = [
    ("d.ExpTransform()", REAL), ("d.PowerTransform(t(2.5))", POSITIVE), ("d.PowerTransform(-0.5)", POSITIVE),
    ("d.SigmoidTransform()", REAL), ("d.TanhTransform()", REAL), ("d.SoftplusTransform()", REAL),
    ("d.AffineTransform(1.0, -2.0)", REAL), ("d.AffineTransform(t([1.0, 2.0, 3.0]), t([0.5, -2.0, 1.5]), event_dim=1)", REAL),
    ("d.ComposeTransform([d.AffineTransform(1.0, 2.0), d.ExpTransform(), d.PowerTransform(0.5)])", REAL),
    ("d.ComposeTransform([d.ExpTransform(), d.StickBreakingTransform()])", REAL),
    ("d.ComposeTransform([])", REAL), ("d.ExpTransform().inv", POSITIVE),
    ("d.IndependentTransform(d.ExpTransform(), 1)", REAL), ("d.ReshapeTransform((3,), (3, 1))", REAL),
    ("d.StickBreakingTransform()", REAL), ("d.CorrCholeskyTransform()", REAL), ("d.CorrCholeskyTransform()", [[0.3], [-0.4]]),
    ("d.CatTransform([d.ExpTransform(), d.TanhTransform()], dim=-1, lengths=[1, 2])", REAL),
    ("d.StackTransform([d.ExpTransform(), d.TanhTransform(), d.SigmoidTransform()], dim=-1)", REAL),
    ("d.CumulativeDistributionTransform(d.Normal(t(0.5), t(2.0)))", REAL),
    ("d.SoftmaxTransform()", REAL), ("d.AbsTransform()", REAL), ("d.LowerCholeskyTransform()", MATRIX), ("d.PositiveDefiniteTransform()", MATRIX),
]  # fmt: skip
WITHOUT_JACOBIAN = ("Softmax", "Abs", "LowerCholesky", "PositiveDefinite")


def evaluated(source: str, numbers: Any, lib: Any, d: Any) -> tuple[Any, Any]:
    def t(values: Any) -> Any:
        return lib.tensor(values, dtype=lib.float64)

    return eval(source, {"d": d, "t": t}), lib.tensor(numbers, dtype=lib.float64, requires_grad=True)


def numbers(x: Any) -> Any:
    return np.asarray(x.detach().numpy())


@pytest.mark.parametrize(("source", "points"), CASES)
def test_transforms_are_pytorchs(source: str, points: Any) -> None:
    f, x = evaluated(source, points, chainrule, D)
    g, z = evaluated(source, points, torch, torch.distributions)
    y, w = f(x), g(z)
    np.testing.assert_allclose(numbers(y), numbers(w), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(numbers(f.inv(y)), numbers(g.inv(w)), rtol=1e-7, atol=1e-9)
    assert tuple(f.forward_shape(x.shape)) == tuple(g.forward_shape(z.shape)) == tuple(y.shape)
    assert tuple(f.inverse_shape(y.shape)) == tuple(x.shape)
    assert f.bijective == g.bijective
    assert (f.domain.event_dim, f.codomain.event_dim) == (g.domain.event_dim, g.codomain.event_dim)
    assert bool(f.codomain.check(y).all()) and bool(f.domain.check(x).all())
    if any(name in source for name in WITHOUT_JACOBIAN):
        return
    one, two = f.log_abs_det_jacobian(x, y), g.log_abs_det_jacobian(z, w)
    np.testing.assert_allclose(numbers(one), numbers(two), rtol=1e-7, atol=1e-9)
    try:
        sign = g.sign
    except NotImplementedError:
        with pytest.raises(NotImplementedError):
            _ = f.sign
    else:
        np.testing.assert_allclose(np.asarray(f.sign), np.asarray(sign))


@pytest.mark.parametrize(("source", "points"), [c for c in CASES if not any(name in c[0] for name in WITHOUT_JACOBIAN)])
def test_the_logarithm_is_that_of_the_jacobians_determinant(source: str, points: Any) -> None:
    """Of the first row, as a function of its entries; of what is not square, of its free coordinates."""
    f, x = evaluated(source, points, chainrule, D)
    row = x[:1].detach()

    def free(values: Any) -> Any:
        y = f(values)
        if "StickBreaking" in source:
            return y[..., :-1]
        if "Cholesky" in source:
            n = y.shape[-1]
            i, j = np.tril_indices(n, -1)
            return y[..., chainrule.tensor(i), chainrule.tensor(j)]
        return y

    size = row.numel()
    jacobian = chainrule.autograd.functional.jacobian(free, row).reshape(size, size)
    stretched = f.log_abs_det_jacobian(row, f(row)).sum()
    assert stretched.item() == pytest.approx(jacobian.det().abs().log().item(), abs=1e-9)


CHECKS = [
    ("real", [1.0, float("nan")]), ("boolean", [0.0, 1.0, 0.5]), ("positive", [1.0, 0.0, -1.0]), ("nonnegative", [0.0, -1.0]),
    ("nonnegative_integer", [0.0, 1.5, -1.0]), ("positive_integer", [0.0, 1.0]), ("unit_interval", [0.0, 1.0, 1.1]),
    ("integer_interval(1, 3)", [0.0, 2.0, 2.5]), ("greater_than(2.0)", [2.0, 2.1]), ("greater_than_eq(2.0)", [2.0, 1.9]),
    ("less_than(2.0)", [2.0, 1.9]), ("interval(0.0, 2.0)", [2.0, 2.1]), ("half_open_interval(0.0, 2.0)", [2.0, 0.0]),
    ("simplex", [[0.5, 0.5], [0.5, 0.6], [1.5, -0.5]]), ("one_hot", [[1.0, 0.0], [1.0, 1.0]]), ("multinomial(2)", [[1.0, 1.0], [3.0, 0.0]]),
    ("real_vector", [[1.0, 2.0], [1.0, float("nan")]]), ("lower_triangular", [[1.0, 0.0], [2.0, -3.0]]), ("lower_cholesky", [[1.0, 0.0], [2.0, -3.0]]),
    ("corr_cholesky", [[1.0, 0.0], [0.6, 0.8]]), ("square", [[1.0, 0.0], [0.6, 0.8]]), ("symmetric", [[1.0, 0.2], [0.6, 0.8]]),
    ("positive_definite", [[1.0, 0.2], [0.2, 0.8]]), ("positive_definite", [[1.0, 2.0], [2.0, 0.8]]), ("positive_semidefinite", [[1.0, 1.0], [1.0, 1.0]]),
    ("independent(c.positive, 1)", [[1.0, 2.0], [1.0, -2.0]]), ("cat([c.positive, c.real], 0)", [1.0, -1.0]), ("stack([c.positive, c.real], 0)", [1.0, -1.0]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "values"), CHECKS)
def test_constraints_are_pytorchs(name: str, values: Any) -> None:
    mine, theirs = (eval(f"c.{name}", {"c": lib.constraints}) for lib in (D, torch.distributions))
    np.testing.assert_array_equal(
        mine.check(chainrule.tensor(values)).numpy(), theirs.check(torch.tensor(values)).numpy()
    )
    assert (mine.event_dim, mine.is_discrete) == (theirs.event_dim, theirs.is_discrete)


@pytest.mark.parametrize(
    "name",
    ["real", "positive", "greater_than(1.5)", "less_than(-1.0)", "interval(-1.0, 3.0)", "unit_interval", "simplex", "lower_cholesky",
     "positive_definite", "corr_cholesky", "independent(c.positive, 1)"],
)  # fmt: skip
def test_unconstrained_numbers_reach_the_region(name: str) -> None:
    region = eval(f"c.{name}", {"c": D.constraints})
    x = chainrule.randn(4, 3, 3) if region.event_dim == 2 and "corr" not in name else chainrule.randn(4, 3)
    assert bool(region.check(D.transform_to(region)(x)).all())
    if name in ("lower_cholesky", "positive_definite"):  # what is above the diagonal is lost
        with pytest.raises(NotImplementedError, match="no transform leads into"):
            D.biject_to(region)
        return
    f = D.biject_to(region)
    assert bool(region.check(f(x)).all()) and f.bijective
    np.testing.assert_allclose(numbers(f.inv(f(x))), numbers(x), rtol=1e-3, atol=1e-4)


def test_a_cache_gives_back_what_went_in() -> None:
    f = D.TanhTransform(cache_size=1)
    x = chainrule.tensor([30.0, -40.0])  # tanh rounds to ±1, whose inverse is infinite
    assert f.inv(f(x)) is x
    d = D.TransformedDistribution(D.Normal(0.0, 20.0), [D.TanhTransform(cache_size=1)])
    assert bool(chainrule.isfinite(d.log_prob(d.rsample((50,)))).all())


def test_triangles_as_vectors() -> None:
    for diag in (-2, -1, 0, 1):
        ours = D.utils.tril_matrix_to_vec(chainrule.tensor(MATRIX), diag)
        theirs = torch.distributions.utils.tril_matrix_to_vec(torch.tensor(MATRIX), diag)
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
        np.testing.assert_array_equal(D.utils.vec_to_tril_matrix(ours, diag).numpy(), np.tril(np.float32(MATRIX), diag))


def test_errors_teach() -> None:
    one = chainrule.ones(2)
    with pytest.raises(ValueError, match="Bernoulli: give probs or logits, one of the two; got both"):
        D.Bernoulli(0.5, one)
    with pytest.raises(chainrule.ShapeError, match=r"Normal: a value of shape \(3,\) does not fit the batch \(2,\)"):
        D.Normal(one, 1.0).log_prob(chainrule.zeros(3))
    with pytest.raises(TypeError, match="Normal: a value is a Tensor, got float"):
        D.Normal(0.0, 1.0).log_prob(1.0)
    with pytest.raises(NotImplementedError, match="Poisson has no differentiable samples"):
        D.Poisson(one).rsample()
    with pytest.raises(NotImplementedError, match="nothing is registered for VonMises and Normal"):
        D.kl_divergence(D.VonMises(0.0, 1.0), D.Normal(0.0, 1.0))
    with pytest.raises(ValueError, match=r"Uniform: high − low must be greater than 0, got -1"):
        D.Uniform(1.0, 0.0)
    D.Normal(0.0, -1.0, validate_args=False)  # as asked
    D.Distribution.set_default_validate_args(False)
    try:
        D.Normal(0.0, -1.0)
    finally:
        D.Distribution.set_default_validate_args(True)
