"""L-BFGS against PyTorch's trajectories and SciPy's minima; Newton's method against the optimum; perturbed descent."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import optimize

import chainrule
from chainrule import float64, nn, optim
from chainrule.data.optdigits import load_digits_arrays
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


def in_chainrule(thing: Any) -> Any:
    """A state of PyTorch's with our tensors."""
    if isinstance(thing, dict):
        return {name: in_chainrule(entry) for name, entry in thing.items()}
    if isinstance(thing, list):
        return [in_chainrule(entry) for entry in thing]
    return chainrule.tensor(thing.detach().numpy()) if hasattr(thing, "detach") else thing


@pytest.mark.peer
@pytest.mark.parametrize("search", [None, "strong_wolfe"])
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("name", [n for n in PROBLEMS if n not in ("ravine", "logistic regression")])
def test_each_lbfgs_step_is_pytorch_s(name: str, settings: dict[str, Any], search: str | None) -> None:
    """Fifty steps, each from PyTorch's parameters and saved state: in a bent valley rounding errors grow tenfold a step."""
    torch = pytest.importorskip("torch")
    function, start, without_search = PROBLEMS[name]
    settings = {"max_iter": 3, **(without_search if search is None else {}), **settings, "line_search_fn": search}
    theirs = [torch.tensor(v.copy(), requires_grad=True) for v in start]
    b = torch.optim.LBFGS(theirs, **settings)
    for i in range(50):
        ours = [chainrule.tensor(p.detach().numpy(), requires_grad=True) for p in theirs]
        a = optim.LBFGS(ours, **settings)
        if i:
            a.load_state_dict(in_chainrule(b.state_dict()))
        losses: dict[Any, list[float]] = {chainrule: [], torch: []}
        a.step(closure_for(chainrule, function, a, ours, losses[chainrule]))
        b.step(closure_for(torch, function, b, theirs, losses[torch]))
        np.testing.assert_allclose(losses[chainrule], losses[torch], rtol=1e-7, atol=1e-12)
        for mine, their in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(mine.detach().numpy(), their.detach().numpy(), rtol=1e-7, atol=1e-7)
        if losses[torch][0] < 1e-9:  # from here on the line search decides by rounding errors
            break
