"""L-BFGS against PyTorch's trajectories and SciPy's minima; steps by hooks; perturbed descent."""

from __future__ import annotations

import copy
import inspect
import os
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import optimize

import chainrule
from chainrule import float64, nn, optim
from chainrule.nn import functional as F
from chainrule.optim.line_search import Trial, cubic_minimum, strong_wolfe

# ------------------------------------------------------------------------------- problems, in either framework

random = np.random.default_rng(0)
INPUTS, TARGETS = random.standard_normal((30, 4)), random.standard_normal((30, 2))
SIGNS = (random.random(30) < 0.5) * 2.0 - 1
WEIGHTS = {"a": random.standard_normal((4, 3)) * 0.5, "b": np.zeros(3), "c": random.standard_normal((3, 2)) * 0.5}


def rosenbrock(lib: Any, x: Any) -> Any:
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def beale(lib: Any, x: Any) -> Any:
    a, b = x[0], x[1]
    return (1.5 - a + a * b) ** 2 + (2.25 - a + a * b**2) ** 2 + (2.625 - a + a * b**3) ** 2


def logistic(lib: Any, w: Any) -> Any:
    margins = lib.tensor(SIGNS) * (lib.tensor(INPUTS) @ w)
    return lib.logaddexp(-margins, lib.zeros(30, dtype=lib.float64)).mean() + 0.01 * (w * w).sum()


def ravine(lib: Any, x: Any) -> Any:
    return 0.5 * (lib.tensor([1.0, 30.0, 1000.0], dtype=lib.float64) * x * x).sum()


def network(lib: Any, a: Any, b: Any, c: Any) -> Any:
    return ((lib.tanh(lib.tensor(INPUTS) @ a + b) @ c - lib.tensor(TARGETS)) ** 2).mean()


#: The function, the start, and settings that lead somewhere without a line search.
PROBLEMS: dict[str, tuple[Callable[..., Any], list[np.ndarray], dict[str, Any]]] = {
    "rosenbrock": (rosenbrock, [np.array([-1.2, 1.0])], {"lr": 0.1}),
    "rosenbrock in 6": (rosenbrock, [np.array([-1.2, 1.0, -0.5, 0.8, 1.1, 2.0])], {"lr": 0.1}),
    "beale": (beale, [np.array([1.0, 1.0])], {"lr": 0.1}),
    "logistic regression": (logistic, [np.zeros(4)], {}),
    "ravine": (ravine, [np.ones(3)], {}),
    "network": (network, list(WEIGHTS.values()), {"lr": 0.5}),
}


def closure_for(
    lib: Any, function: Callable[..., Any], optimizer: Any, parameters: list[Any], losses: list[float]
) -> Any:
    def closure() -> Any:
        optimizer.zero_grad()
        loss = function(lib, *parameters)
        loss.backward()
        losses.append(float(loss.detach()))
        return loss

    return closure


def trajectory(lib: Any, name: str, settings: dict[str, Any], steps: int) -> tuple[np.ndarray, list[float], Any]:
    """The parameters after each step, the losses of all closure calls, and the optimiser."""
    function, start, _ = PROBLEMS[name]
    parameters = [lib.tensor(v.copy(), requires_grad=True) for v in start]
    optimizer = lib.optim.LBFGS(parameters, **settings)
    losses: list[float] = []
    path = []
    for _ in range(steps):
        optimizer.step(closure_for(lib, function, optimizer, parameters, losses))
        path.append(np.concatenate([p.detach().numpy().ravel() for p in parameters]))
    return np.array(path), losses, optimizer


# ------------------------------------------------------------------------------------------- L-BFGS and PyTorch


@pytest.mark.peer
def test_lbfgs_takes_pytorch_s_arguments() -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = (inspect.signature(lib.optim.LBFGS).parameters for lib in (chainrule, torch))
    assert [(n, p.default) for n, p in ours.items()] == [(n, p.default) for n, p in theirs.items()]
    a, b = chainrule.ones(1, requires_grad=True), torch.ones(1, requires_grad=True)
    assert repr(optim.LBFGS([a])) == repr(torch.optim.LBFGS([b]))


SETTINGS: list[dict[str, Any]] = [
    {"max_iter": 1}, {"max_iter": 3}, {"history_size": 2, "max_iter": 2}, {"max_iter": 8, "max_eval": 3}, {"max_eval": 1},
    {"tolerance_grad": 0.05}, {"tolerance_change": 1e-3, "max_iter": 3}, {"max_iter": 0},
]  # fmt: skip


@pytest.mark.peer
@pytest.mark.parametrize("search", [None, "strong_wolfe"])
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("name", ["ravine", "logistic regression"])
def test_lbfgs_goes_pytorch_s_way(name: str, settings: dict[str, Any], search: str | None) -> None:
    """Fifty steps on well-conditioned problems, where rounding errors do not grow."""
    torch = pytest.importorskip("torch")
    settings = {**settings, "line_search_fn": search}
    (ours, losses, a), (theirs, their_losses, b) = (trajectory(lib, name, settings, 50) for lib in (chainrule, torch))
    np.testing.assert_allclose(losses, their_losses, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)
    for entry in ("func_evals", "n_iter"):
        assert a.state_dict()["state"][0][entry] == b.state_dict()["state"][0][entry]


@pytest.mark.peer
@pytest.mark.parametrize("search", [None, "strong_wolfe"])
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("name", [n for n in PROBLEMS if n not in ("ravine", "logistic regression")])
def test_each_lbfgs_step_is_pytorch_s(name: str, settings: dict[str, Any], search: str | None) -> None:
    """Twenty steps, each from PyTorch's parameters and saved state: in a bent valley rounding errors grow tenfold a step."""
    torch = pytest.importorskip("torch")
    function, start, without_search = PROBLEMS[name]
    settings = {"max_iter": 3, **(without_search if search is None else {}), **settings, "line_search_fn": search}
    theirs = [torch.tensor(v.copy(), requires_grad=True) for v in start]
    b = torch.optim.LBFGS(theirs, **settings)
    for i in range(20):
        ours = [chainrule.tensor(p.detach().numpy(), requires_grad=True) for p in theirs]
        a = optim.LBFGS(ours, **settings)
        if i:
            a.load_state_dict(b.state_dict())
        losses: dict[Any, list[float]] = {chainrule: [], torch: []}
        a.step(closure_for(chainrule, function, a, ours, losses[chainrule]))
        b.step(closure_for(torch, function, b, theirs, losses[torch]))
        np.testing.assert_allclose(losses[chainrule], losses[torch], rtol=1e-7, atol=1e-12)
        for mine, their in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(mine.detach().numpy(), their.detach().numpy(), rtol=1e-7, atol=1e-7)
        if losses[torch][0] < 1e-9:  # from here on the line search decides by rounding errors
            break


@pytest.mark.peer
def test_lbfgs_state_has_pytorch_s_form_and_type() -> None:
    torch = pytest.importorskip("torch")
    states = [trajectory(lib, "network", {"max_iter": 5}, 2)[2].state_dict() for lib in (chainrule, torch)]
    ours, theirs = (state["state"][0] for state in states)
    assert set(theirs) - set(ours) == {"al"}  # scratch space of PyTorch's loop
    assert set(ours) <= set(theirs) and states[0]["param_groups"] == states[1]["param_groups"]
    for name in ("d", "prev_flat_grad", "prev_loss", "t", "H_diag", "ro", "old_dirs", "old_stps"):
        np.testing.assert_allclose(np.asarray(ours[name]), np.asarray(theirs[name]), rtol=1e-6, atol=1e-9)


# --------------------------------------------------------------------------------- L-BFGS: minima, state, misuse


@pytest.mark.parametrize("name", PROBLEMS)
def test_lbfgs_finds_scipy_s_minimum(name: str) -> None:
    function, start, _ = PROBLEMS[name]
    if name == "network":  # many minima, some at infinity: a small penalty makes comparing meaningful

        def loss(lib: Any, a: Any, b: Any, c: Any) -> Any:
            return network(lib, a, b, c) + 0.05 * sum((p * p).sum() for p in (a, b, c))
    else:
        loss = function
    parameters = [chainrule.tensor(v.copy(), requires_grad=True) for v in start]
    optimizer = optim.LBFGS(
        parameters, max_iter=500, tolerance_grad=1e-10, tolerance_change=1e-14, line_search_fn="strong_wolfe"
    )
    optimizer.step(closure_for(chainrule, loss, optimizer, parameters, []))
    sizes = np.cumsum([v.size for v in start])[:-1]

    def value_and_gradient(vector: np.ndarray) -> tuple[float, np.ndarray]:
        tensors = [
            chainrule.tensor(part.reshape(v.shape), requires_grad=True)
            for part, v in zip(np.split(vector, sizes), start, strict=True)
        ]
        value = loss(chainrule, *tensors)
        value.backward()
        return value.item(), np.concatenate([t.grad.numpy().ravel() for t in tensors])

    first = np.concatenate([v.ravel() for v in start])
    theirs = optimize.minimize(value_and_gradient, first, jac=True, method="BFGS", options={"gtol": 1e-9})
    ours = np.concatenate([p.detach().numpy().ravel() for p in parameters])
    assert value_and_gradient(ours)[0] == pytest.approx(theirs.fun, abs=1e-9)
    if name == "network":  # its hidden units may have changed places, so minima come in families
        assert np.abs(value_and_gradient(ours)[1]).max() < 1e-6
    else:
        np.testing.assert_allclose(ours, theirs.x, atol=2e-5)


@pytest.mark.parametrize("search", [None, "strong_wolfe"])
def test_lbfgs_state_travels(search: str | None) -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2)).double()
    optimizer = optim.LBFGS(model.parameters(), lr=0.5, max_iter=3, line_search_fn=search)
    x, y = chainrule.tensor(INPUTS), chainrule.tensor(TARGETS)

    def step(model: Any, optimizer: Any) -> float:
        def closure() -> Any:
            optimizer.zero_grad()
            loss = F.mse_loss(model(x), y)
            loss.backward()
            return loss

        return optimizer.step(closure).item()

    for _ in range(4):
        step(model, optimizer)
    twins = [copy.deepcopy((model, optimizer)), pickle.loads(pickle.dumps((model, optimizer)))]
    loaded = copy.deepcopy(model)
    other = optim.LBFGS(loaded.parameters())
    other.load_state_dict(optimizer.state_dict())
    step(model, optimizer)
    for pair in [*twins, (loaded, other)]:
        step(*pair)
        assert pair[0][0].weight.tolist() == model[0].weight.tolist()


def test_lbfgs_loads_into_another_type() -> None:
    _, _, old = trajectory(chainrule, "rosenbrock", {"max_iter": 4}, 2)
    x = chainrule.zeros(2, requires_grad=True)
    new = optim.LBFGS([x])
    new.load_state_dict(old.state_dict())
    entries = new.state[x]
    assert {t.dtype for t in [entries["d"], *entries["old_stps"], *entries["old_dirs"]]} == {chainrule.float32}
    assert entries["old_stps"] is not old.state_dict()["state"][0]["old_stps"]


def test_lbfgs_handles_unused_parameters_and_single_precision() -> None:
    x, unused = chainrule.tensor([-1.2, 1.0], requires_grad=True), chainrule.ones(3, requires_grad=True)
    optimizer = optim.LBFGS([unused, x], max_iter=200, line_search_fn="strong_wolfe")
    optimizer.step(closure_for(chainrule, rosenbrock, optimizer, [x], []))
    assert chainrule.allclose(x.detach(), chainrule.ones(2), atol=1e-3) and unused.tolist() == [1, 1, 1]


def test_the_line_search_comes_back_from_where_the_loss_is_not_defined() -> None:
    """x − log x has its minimum at 1; from 5 the first steps lead below 0, where the logarithm is NaN."""
    x = chainrule.tensor([0.05, 5.0], dtype=float64, requires_grad=True)
    optimizer = optim.LBFGS([x], lr=20, max_iter=100, line_search_fn="strong_wolfe")
    optimizer.step(closure_for(chainrule, lambda lib, x: (x - x.log()).sum(), optimizer, [x], []))
    assert chainrule.allclose(x.detach(), chainrule.ones(2, dtype=float64), atol=1e-5)


@pytest.mark.parametrize("first", [1e-3, 0.1, 1.0, 10.0, 1e3])
@pytest.mark.parametrize("case", [0, 1, 2])
def test_the_line_search_meets_the_wolfe_conditions(first: float, case: int) -> None:
    """On the functions of Moré and Thuente's first two examples, and a parabola."""
    beta = 2.0
    phi, slope = [
        (lambda t: -t / (t * t + beta), lambda t: (t * t - beta) / (t * t + beta) ** 2),
        (lambda t: (t + 0.004) ** 5 - 2 * (t + 0.004) ** 4, lambda t: 5 * (t + 0.004) ** 4 - 8 * (t + 0.004) ** 3),
        (lambda t: (t - 7) ** 2, lambda t: 2 * (t - 7)),
    ][case]
    seen = []

    def at(t: float) -> Trial:
        seen.append(t)
        return Trial(t, phi(t), chainrule.tensor([slope(t)]), slope(t))

    start = at(0.0)
    best, evaluations = strong_wolfe(at, start, first, size=1.0, max_iterations=50)
    assert best.loss <= start.loss + 1e-4 * best.t * start.slope and abs(best.slope) <= 0.9 * abs(start.slope)
    assert evaluations == len(seen) - 1


def test_the_cubic_is_exact_for_cubics() -> None:
    for c in (-2.0, 0.5):
        a, b = (Trial(t, t**3 + c * t**2 - 4 * t, chainrule.zeros(1), 3 * t**2 + 2 * c * t - 4) for t in (-0.5, 4.0))
        expected = (-c + (c * c + 12) ** 0.5) / 3
        assert cubic_minimum(a, b, -10, 10) == pytest.approx(expected)
        assert cubic_minimum(b, a, -10, 10) == pytest.approx(expected)
        assert cubic_minimum(a, b, 3.0, 4.0) == 3.0
    line = [Trial(t, -t, chainrule.zeros(1), -1.0) for t in (0.0, 1.0)]
    assert cubic_minimum(*line, 1.01, 10) == 10
    lost = Trial(1.0, float("nan"), chainrule.zeros(1), float("nan"))
    assert cubic_minimum(line[0], lost, 0, 1) == 0.5 and cubic_minimum(line[0], line[0], 0, 1) == 0


def test_misuse_of_second_order_methods() -> None:
    p, q = chainrule.ones(1, requires_grad=True), chainrule.ones(1, requires_grad=True)
    for wrong, kind, says in [
        (lambda: optim.LBFGS([p], lr=-1), ValueError, "lr"), (lambda: optim.LBFGS([p], history_size=0), ValueError, "history_size"),
        (lambda: optim.LBFGS([p], line_search_fn="wolfe"), ValueError, "strong_wolfe"),
        (lambda: optim.LBFGS([{"params": [p]}, {"params": [q]}]), ValueError, "one group"),
        (lambda: optim.LBFGS([p]).add_param_group({"params": [q]}), ValueError, "one group"),
        (lambda: optim.LBFGS([p]).step(), TypeError, "closure"), (lambda: optim.Newton([p]).step(), TypeError, "closure"),
        (lambda: optim.Newton([p], damping=-1), ValueError, "damping"),
        (lambda: optim.Newton([{"params": [p]}, {"params": [q]}]), ValueError, "one group"),
        (lambda: optim.PerturbedGradientDescent([p], interval=0), ValueError, "interval"),
        (lambda: optim.PerturbedGradientDescent([p], radius=-1), ValueError, "radius"),
        (lambda: optim.PerturbedGradientDescent([{"params": [p]}, {"params": [q]}]), ValueError, "one group"),
        (lambda: optim.newton_raphson(lambda x: x[:1], chainrule.ones(2)), chainrule.ShapeError, r"\(2,\).*\(1,\)"),
        (lambda: optim.newton_raphson(lambda x: x * 0 + 1, chainrule.ones(2)), chainrule.linalg.LinAlgError, "solve"),
    ]:  # fmt: skip
        with pytest.raises(kind, match=says):
            wrong()


def test_newton_s_closure_only_computes() -> None:
    p = chainrule.ones(2, requires_grad=True)

    def closure() -> Any:
        loss = (p * p).sum()
        loss.backward()
        return loss

    with pytest.raises(chainrule.GradientError, match=r"leaves out backward\(\)"):
        optim.Newton([p]).step(closure)
    with pytest.raises(chainrule.GradientError):
        optim.Newton([p]).step(lambda: chainrule.ones(2).sum())


@pytest.mark.parametrize("name", ["LBFGS", "Newton", "PerturbedGradientDescent"])
def test_hooks_run_around_a_step(name: str) -> None:
    x = chainrule.ones(2, requires_grad=True)
    optimizer = getattr(optim, name)([x])
    calls = []
    optimizer.register_step_pre_hook(lambda *_: calls.append("before"))
    optimizer.register_step_post_hook(lambda *_: calls.append("after"))

    def closure() -> Any:
        calls.append("loss")
        loss = (x * x).sum()
        if name != "Newton":
            optimizer.zero_grad()
            loss.backward()
        return loss

    assert optimizer.step(closure).item() == 2 and optimizer.stepped
    assert calls[0] == "before" and calls[-1] == "after" and "loss" in calls


# ------------------------------------------------------------------------------------ perturbed gradient descent


def descend(optimizer: Any, loss: Callable[[], Any], steps: int) -> None:
    def closure() -> Any:
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value

    for _ in range(steps):
        optimizer.step(closure)


@pytest.mark.parametrize("seed", range(5 if os.environ.get("CHAINRULE_NIGHTLY") else 2))
def test_perturbed_descent_leaves_the_saddle_where_plain_descent_stays(seed: int) -> None:
    saddle = optim.landscapes.SADDLE
    x, y = (chainrule.tensor(saddle.start, dtype=float64, requires_grad=True) for _ in range(2))
    plain = optim.SGD([x], lr=0.1)
    perturbed = optim.PerturbedGradientDescent([y], lr=0.1, generator=chainrule.Generator(seed))
    descend(plain, lambda: saddle(x), 1000)
    descend(perturbed, lambda: saddle(y), 1000)
    assert optim.curvature.classify_stationary_point(saddle, x).kind == "saddle" and x.tolist()[1] == 0.0
    assert optim.curvature.classify_stationary_point(saddle, y, gradient_tolerance=2e-3).kind == "minimum"
    assert perturbed.finished and saddle(y).item() == pytest.approx(-0.25, abs=1e-5)


def test_perturbed_descent_is_plain_descent_far_from_stationary_points() -> None:
    a, b = (chainrule.tensor([3.0, 1.0], dtype=float64, requires_grad=True) for _ in range(2))
    unused = chainrule.ones(2, requires_grad=True)
    descend(optim.SGD([a], lr=0.05), lambda: optim.landscapes.BOWL(a), 20)
    descend(optim.PerturbedGradientDescent([b, unused], lr=0.05), lambda: optim.landscapes.BOWL(b), 20)
    np.testing.assert_allclose(a.tolist(), b.tolist(), rtol=1e-15)
    assert unused.tolist() == [1, 1]


def test_perturbed_descent_without_a_closure_kicks_on_and_its_state_travels() -> None:
    x = chainrule.zeros(2, requires_grad=True)
    optimizer = optim.PerturbedGradientDescent(
        [x], lr=0.1, interval=5, radius=0.1, threshold=1.0, generator=chainrule.Generator(3)
    )
    places = []
    for _ in range(13):
        optimizer.zero_grad()
        optim.landscapes.BOWL(x).backward()
        optimizer.step()
        places.append(float(x.detach().norm()))
    kicks = [i for i in range(1, 13) if places[i] > places[i - 1]]
    assert 0 < places[0] <= 0.1 and kicks == [6, 12] and not optimizer.finished
    y = chainrule.zeros(2, requires_grad=True)
    other = optim.PerturbedGradientDescent([y])
    other.load_state_dict(optimizer.state_dict())
    assert other.state[y]["since_kick"] == optimizer.state[x]["since_kick"] and other.param_groups[0]["interval"] == 5


def test_kicks_are_uniform_in_the_ball() -> None:
    """Radii of n-dimensional balls: P(‖ξ‖ ≤ r·t) = tⁿ; directions have mean 0."""
    from scipy import stats

    from chainrule.optim.perturbed import uniform_in_ball

    generator = chainrule.Generator(0)
    points = np.array([uniform_in_ball(3, 2.0, dtype=float64, generator=generator).tolist() for _ in range(2000)])
    radii = np.linalg.norm(points, axis=1) / 2
    assert stats.kstest(radii**3, "uniform").pvalue > 1e-3
    assert np.abs(points.mean(0)).max() < 4 * 2 * (1 / 5 / 2000) ** 0.5
