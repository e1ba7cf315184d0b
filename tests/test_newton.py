"""Newton's method, damped and pure, and Newton and Raphson's for roots."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from scipy import optimize

import chainrule
from chainrule import float64, nn, optim
from chainrule.data.optdigits import load_digits_arrays

# ---------------------------------------------------------------------------------------------- Newton's method


def gradient_norm(loss: Any, parameters: list[Any]) -> float:
    return float(chainrule.cat([g.reshape(-1) for g in chainrule.autograd.grad(loss, parameters)]).norm())


@pytest.mark.parametrize("adaptive", [True, False])
def test_newton_solves_a_bowl_in_one_step(adaptive: bool) -> None:
    """In any dimension and however badly it is conditioned; the unused parameter's zero curvature is damped."""
    generator = np.random.default_rng(1)
    Q, _ = np.linalg.qr(generator.standard_normal((6, 6)))
    A, b = chainrule.tensor(Q @ np.diag(10.0 ** np.arange(6)) @ Q.T), chainrule.tensor(generator.standard_normal(6))
    x = chainrule.zeros(2, 3, dtype=float64, requires_grad=True)
    optim.Newton([x], adaptive=adaptive).step(lambda: 0.5 * x.reshape(-1) @ A @ x.reshape(-1) - b @ x.reshape(-1))
    np.testing.assert_allclose(x.detach().numpy().ravel(), np.linalg.solve(A.numpy(), b.numpy()), rtol=1e-8)


def test_newton_fits_logistic_regression_to_the_last_digits() -> None:
    """4 against 9 on the shipped digits, with ½·10⁻³·‖w‖²: at SciPy's optimum, gradient below 1e-10 after nine steps."""
    images, labels = load_digits_arrays()
    chosen = (labels == 4) | (labels == 9)
    X, signs = (
        chainrule.tensor(images[chosen].reshape(-1, 64) / 16.0),
        chainrule.tensor((labels[chosen] == 9) * 2.0 - 1),
    )
    model = nn.Linear(64, 1).double()
    nn.init.zeros_(model.weight), nn.init.zeros_(model.bias)

    def loss() -> Any:
        margins = signs * model(X)[:, 0]
        return chainrule.logaddexp(-margins, margins * 0).mean() + 0.5e-3 * (model.weight**2).sum()

    optimizer = optim.Newton(model.parameters())
    losses = [optimizer.step(loss).item() for _ in range(9)]
    assert all(after < before for before, after in itertools.pairwise(losses))
    assert gradient_norm(loss(), list(model.parameters())) < 1e-10

    def theirs(w: np.ndarray) -> float:
        return float(np.logaddexp(0, -signs.numpy() * (X.numpy() @ w[:64] + w[64])).mean() + 0.5e-3 * w[:64] @ w[:64])

    found = optimize.minimize(
        theirs, np.zeros(65), method="L-BFGS-B", options={"ftol": 1e-14, "gtol": 1e-8, "maxfun": 10**6}
    )
    assert loss().item() == pytest.approx(found.fun, abs=1e-7) and loss().item() <= found.fun + 1e-12


@pytest.mark.parametrize("name", ["ROSENBROCK", "BEALE", "WAVY"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_damped_newton_never_climbs_and_ends_at_the_minimum(name: str, dtype: str) -> None:
    landscape = getattr(optim.landscapes, name)
    x = chainrule.tensor(landscape.start, dtype=dtype, requires_grad=True)
    optimizer = optim.Newton([x])
    losses = [optimizer.step(lambda: landscape(x)).item() for _ in range(40)]
    noise = chainrule.finfo(dtype).eps * 100
    assert all(after <= before + noise * max(before, 1e-6) for before, after in itertools.pairwise(losses))
    np.testing.assert_allclose(x.detach().numpy(), landscape.minima[0], atol=1e-6 if dtype == "float64" else 1e-2)


def test_pure_newton_goes_to_saddles_and_damped_newton_leaves_them() -> None:
    found = []
    for adaptive in (False, True):
        x = chainrule.tensor([0.5, 0.1], dtype=float64, requires_grad=True)
        optimizer = optim.Newton([x], adaptive=adaptive)
        for _ in range(30):
            optimizer.step(lambda x=x: optim.landscapes.SADDLE(x))
        found.append(optim.curvature.classify_stationary_point(optim.landscapes.SADDLE, x).kind)
    assert found == ["saddle", "minimum"]


def test_newton_s_damping_is_levenberg_s() -> None:
    """(H + λI)·step = −∇L, with the rate in front."""
    x = chainrule.tensor([0.3, -0.7], dtype=float64, requires_grad=True)
    landscape = optim.landscapes.ROSENBROCK
    gradient = chainrule.func.grad(landscape)(x).detach().numpy()
    H = np.array(landscape.hessian(x.tolist()))
    before = x.detach().numpy()
    optim.Newton([x], lr=0.5, damping=3.0, adaptive=False).step(lambda: landscape(x))
    np.testing.assert_allclose(
        x.detach().numpy() - before, -0.5 * np.linalg.solve(H + 3 * np.eye(2), gradient), rtol=1e-12, atol=1e-15
    )


def test_newton_stays_where_nothing_helps() -> None:
    x = chainrule.tensor([1.0], requires_grad=True)
    optimizer = optim.Newton([x])
    calls = []

    def closure() -> Any:  # the loss grows with every call, so no trial step succeeds
        calls.append(1)
        return (x * x).sum() + 10.0 * len(calls)

    optimizer.step(closure)
    assert x.item() == 1.0 and len(calls) == 21


# ---------------------------------------------------------------------------------------------- Newton–Raphson


@pytest.mark.parametrize(
    ("function", "derivative", "start"),
    [
        (lambda x: x**3 - 2 * x - 5, lambda x: 3 * x**2 - 2, 2.0),  # Newton's own example
        (lambda x: x.exp() - 3 if hasattr(x, "exp") else np.exp(x) - 3, np.exp, 1.0),
        (lambda x: x * x - 612, lambda x: 2 * x, 10.0),
    ],
)
def test_newton_raphson_finds_scipy_s_root(function: Any, derivative: Any, start: float) -> None:
    root = optim.newton_raphson(function, chainrule.tensor(start, dtype=float64))
    assert root.converged and root.steps < 10
    assert root.x.item() == pytest.approx(optimize.newton(function, start, derivative), rel=1e-14)


def test_newton_raphson_for_systems_and_failure() -> None:
    def system(p: Any) -> Any:
        return chainrule.stack([p[0, 0] * p[0, 1] - 2, p[0, 0] ** 2 + p[0, 1] - 5])

    root = optim.newton_raphson(lambda p: system(p).reshape(1, 2), chainrule.tensor([[1.5, 1.5]], dtype=float64))
    assert root.converged and float(root.value.abs().max()) < 1e-12 and root.x.shape == (1, 2)
    none = optim.newton_raphson(lambda x: x * x + 1, chainrule.tensor(0.7, dtype=float64), max_iterations=20)
    assert not none.converged and none.steps == 20


def test_newton_raphson_doubles_the_digits() -> None:
    """Quadratic convergence: the error after each step is about the square of the one before, over 2√2."""
    errors = [
        abs(
            optim.newton_raphson(lambda x: x * x - 2, chainrule.tensor(1.5, dtype=float64), max_iterations=n).x.item()
            - 2**0.5
        )
        for n in (1, 2)
    ]
    assert errors[1] == pytest.approx(errors[0] ** 2 / (2 * 2**0.5), rel=0.01)


def test_newton_raphson_takes_a_number_and_says_what_else_it_needs() -> None:
    for start in (1.0, 1, chainrule.tensor(1)):
        assert optim.newton_raphson(lambda x: x * x - 2, start).x.item() == pytest.approx(2**0.5, rel=1e-6)
    with pytest.raises(chainrule.DTypeError, match="newton_raphson takes a Tensor, got float"):
        optim.newton_raphson(lambda x: x.item() ** 2 - 2, 1.0)  # type: ignore[arg-type, return-value]
