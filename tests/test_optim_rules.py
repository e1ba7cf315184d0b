"""Rules that PyTorch does not have, and what it means that a step is tensor operations.

Rates that are tensors, steps that are differentiated, programs that stay the same, states that travel.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import autograd, optim
from chainrule.autodiff.block import LARGE
from chainrule.optim.adam import adam
from chainrule.optim.muon import orthogonalised
from chainrule.primitives.trace import Trace, tracing
from tests.optimiser_cases import CASES, OPTIONS
from tests.test_optim import INPUTS, START, TARGETS, train, without_rounding

#: One typical case for each of our optimisers, those of our own included.
TYPICAL: dict[str, dict[str, Any]] = {
    "SGD": {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1}, "ASGD": {"lr": 0.1, "lambd": 0.1, "t0": 1},
    "Rprop": {"lr": 0.1}, "Adagrad": {"lr": 0.1, "lr_decay": 0.1}, "RMSprop": {"centered": True, "momentum": 0.5},
    "Adadelta": {"lr": 1.0}, "Adam": {"lr": 0.1, "weight_decay": 0.1}, "AdamW": {"lr": 0.1}, "AMSGrad": {"lr": 0.1},
    "Adamax": {"lr": 0.1}, "NAdam": {"lr": 0.1}, "RAdam": {"lr": 0.1, "betas": (0.9, 0.8)},
    "Adafactor": {"lr": 0.1, "weight_decay": 0.1}, "Lion": {"lr": 0.1, "weight_decay": 0.1}, "Muon": {"lr": 0.1},
}  # fmt: skip


def test_every_optimiser_has_a_case() -> None:
    classes = {name: getattr(optim, name) for name in optim.__all__ if isinstance(getattr(optim, name), type)}
    ours = {
        name
        for name, kind in classes.items()
        if issubclass(kind, optim.Optimizer) and kind.update is not optim.Optimizer.update
    }
    assert set(TYPICAL) == ours and set(OPTIONS) == ours - {"AMSGrad", "Lion"}


# ------------------------------------------------------------------------------------- rules of our own


def quadratic_path(name: str, settings: dict[str, Any], steps: int = 20) -> tuple[np.ndarray, list[np.ndarray]]:
    """The iterates on ½Σaᵢθᵢ² + cos, with the gradients that were given."""
    p = chainrule.tensor([1.0, -2.0, 0.5], dtype=chainrule.float64, requires_grad=True)
    optimizer = getattr(optim, name)([p], **settings)
    path, gradients = [p.detach().numpy()], []
    for i in range(steps):
        p.grad = chainrule.tensor(np.array([3.0, 0.5, -1.0]) * p.detach().numpy() + np.cos(i))
        gradients.append(p.grad.numpy())
        optimizer.step()
        path.append(p.detach().numpy())
    return np.array(path), gradients


@pytest.mark.parametrize(
    "settings", [{"lr": 0.01}, {"lr": 0.02, "betas": (0.5, 0.8)}, {"lr": 0.01, "weight_decay": 0.3}]
)
def test_lion_is_its_paper_s(settings: dict[str, Any]) -> None:
    path, gradients = quadratic_path("Lion", settings)
    b1, b2 = settings.get("betas", (0.9, 0.99))
    theta, m = path[0], np.zeros(3)
    for g, found in zip(gradients, path[1:], strict=True):
        c = b1 * m + (1 - b1) * g
        theta = theta - settings["lr"] * (np.sign(c) + settings.get("weight_decay", 0) * theta)
        m = b2 * m + (1 - b2) * g
        np.testing.assert_allclose(found, theta, rtol=1e-12)


def test_amsgrad_is_the_notes() -> None:
    """E 3.5.6: no bias correction; PyTorch's, with correction, is Adam(amsgrad=True)."""
    path, gradients = quadratic_path("AMSGrad", {"lr": 0.05})
    theta, m, v, largest = path[0], np.zeros(3), np.zeros(3), np.zeros(3)
    for g, found in zip(gradients, path[1:], strict=True):
        m = 0.9 * m + 0.1 * g
        v = 0.999 * v + 0.001 * g**2
        largest = np.maximum(largest, v)
        theta = theta - 0.05 * m / (np.sqrt(largest) + 1e-8)
        np.testing.assert_allclose(found, theta, rtol=1e-12)


def test_nesterov_s_iterates_are_the_look_ahead_points() -> None:
    """E 3.5.2: v ← μ·v + η·∇L(θ − μ·v), θ ← θ − v; ours are θ − μ·v."""
    a = np.array([3.0, 0.5, -1.0])
    p = chainrule.tensor([1.0, -2.0, 0.5], dtype=chainrule.float64, requires_grad=True)
    optimizer = optim.SGD([p], lr=0.1, momentum=0.9, nesterov=True)
    theta, v = p.detach().numpy(), np.zeros(3)
    for _ in range(10):
        v = 0.9 * v + 0.1 * a * (theta - 0.9 * v)
        theta = theta - v
        p.grad = chainrule.tensor(a * p.detach().numpy())
        optimizer.step()
        np.testing.assert_allclose(p.detach().numpy(), theta - 0.9 * v, rtol=1e-10)


def test_first_steps_have_the_size_that_is_told() -> None:
    """One step from a gradient of any size: Adam η, AMSGrad η(1−β₁)/√(1−β₂), RMSprop η/√(1−α)."""
    for name, wanted in [("Adam", 0.01), ("AMSGrad", 0.01 * 0.1 / 0.001**0.5), ("RMSprop", 0.1), ("Lion", 0.01)]:
        p = chainrule.zeros(2, requires_grad=True)
        p.grad = chainrule.tensor([5.0, -300.0])
        getattr(optim, name)([p], lr=0.01).step()
        np.testing.assert_allclose(p.tolist(), [-wanted, wanted], rtol=1e-5)


def test_orthogonalised() -> None:
    """Singular values near 1, the singular vectors untouched; exactly UVᵀ where the iteration converges."""
    random = np.random.default_rng(0)
    for shape in [(5, 5), (3, 7), (8, 2), (1, 4), (4, 1)]:
        m = random.standard_normal(shape)
        u, _, vt = np.linalg.svd(m, full_matrices=False)
        s = np.linalg.svd(orthogonalised(chainrule.tensor(m)).numpy(), compute_uv=False)
        assert s.min() > 0.4 and s.max() < 1.4
        exact = orthogonalised(chainrule.tensor(m), coefficients=(1.5, -0.5, 0.0), steps=60).numpy()
        np.testing.assert_allclose(exact, u @ vt, atol=1e-9)
    assert orthogonalised(chainrule.zeros(2, 3)).tolist() == [[0] * 3] * 2


@pytest.mark.peer
def test_muon_is_near_pytorch_s_rounded_one() -> None:
    """PyTorch computes the direction in bfloat16, 8 bits: so far apart may two paths of 50 steps of size 0.01 be."""
    torch = pytest.importorskip("torch")
    (ours, _), (theirs, _) = train(chainrule, "Muon", {"lr": 0.01}), train(torch, "Muon", {"lr": 0.01})
    assert 0 < np.abs(ours - theirs).max() < 50 * 0.01 * 2**-6


# ----------------------------------------------------------------------------- steps are tensor operations


@pytest.mark.peer
@pytest.mark.parametrize("name", [name for name in OPTIONS if name not in ("SGD", "Muon")])
def test_a_rate_may_be_a_tensor(name: str) -> None:
    torch = pytest.importorskip("torch")
    paths = []
    for framework in (chainrule, torch):
        rate = framework.tensor(0.03, dtype=framework.float64)
        path, optimizer = train(framework, name, {"lr": rate}, steps=20)
        paths.append(path)
        assert optimizer.param_groups[0]["lr"] is rate
    np.testing.assert_allclose(paths[0], paths[1], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(paths[0], train(chainrule, name, {"lr": 0.03}, steps=20)[0], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["SGD", "Muon", "Lion", "AMSGrad"])
def test_a_tensor_s_rate_is_read_anew(name: str) -> None:
    rate = chainrule.tensor([0.5], dtype=chainrule.float64)
    p = chainrule.ones(2, 2, dtype=chainrule.float64, requires_grad=True)
    optimizer = getattr(optim, name)([p], lr=rate)
    p.grad = chainrule.ones(2, 2, dtype=chainrule.float64)
    optimizer.step()
    moved = p.detach().clone()
    assert not (moved == 1).any()
    rate.fill_(0.0)
    optimizer.step()
    assert (p == moved).all()
    with pytest.raises(ValueError, match=r"\(2,\)"):
        getattr(optim, name)([p], lr=chainrule.ones(2))


def steps_from(name: str, settings: dict[str, Any], start: Any, count: int = 3) -> Any:
    """Where some recorded steps lead from a start."""
    p = start.clone()
    optimizer = getattr(optim, name)([p], differentiable=True, **settings)
    for _ in range(count):
        p.grad = p**3 + p.sin() * 2
        optimizer.step()
    return p


@pytest.mark.parametrize("name", [name for name in TYPICAL if name not in ("Adafactor", "Muon")])
def test_steps_are_differentiable(name: str) -> None:
    """The derivative of three steps by where they started, and by the rate, against central differences."""
    start = chainrule.tensor([0.7, -1.2, 2.0], dtype=chainrule.float64, requires_grad=True)
    assert autograd.gradcheck(lambda x: steps_from(name, TYPICAL[name], x), [start])
    if name not in ("Rprop", "ASGD"):  # these keep numbers made from the first rate
        rate = chainrule.tensor(0.1, dtype=chainrule.float64, requires_grad=True)
        settings = {key: value for key, value in TYPICAL[name].items() if key != "lr"}
        assert autograd.gradcheck(lambda lr: steps_from(name, {**settings, "lr": lr}, start.detach()), [rate])


@pytest.mark.peer
@pytest.mark.parametrize("name", ["ASGD", "Adagrad", "Adadelta", "Adam", "AdamW", "NAdam", "RAdam"])
def test_derivatives_of_steps_are_pytorch_s(name: str) -> None:
    """Those that PyTorch can differentiate through several steps; it then computes 1 − βᵗ in float32."""
    torch = pytest.importorskip("torch")
    found = []
    for framework in (chainrule, torch):
        start = framework.tensor([0.7, -1.2, 2.0], dtype=framework.float64, requires_grad=True)
        p = start.clone()
        optimizer = getattr(framework.optim, name)([p], differentiable=True, **TYPICAL[name])
        for _ in range(3):
            now = p.clone()  # PyTorch changes p itself
            p.grad = now**3 + now.sin() * 2
            optimizer.step()
        (p**2).sum().backward()
        found.append(start.grad.numpy())
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "settings", [*OPTIONS["Adam"], {"weight_decay": 0.1, "decoupled_weight_decay": True, "amsgrad": True}]
)
@pytest.mark.parametrize("shape", [(3, 507), (3, LARGE // 2 + 7)], ids=["small", "large"])
def test_adam_in_one_pass_is_adam(settings: dict[str, Any], dtype: str, shape: tuple[int, ...]) -> None:
    """Small parameters are updated in few passes, to the bits of the readable rule; large ones by a program."""
    random = np.random.default_rng(0)

    def compare(ours: Any, meant: Any) -> None:
        if shape[1] < LARGE // 2:
            np.testing.assert_array_equal(ours.numpy(), meant.numpy())
        else:
            np.testing.assert_allclose(ours.numpy(), meant.numpy(), 1e-5 if dtype == "float32" else 1e-13, 1e-7)

    for framework_settings in (settings, {**settings, "lr": chainrule.tensor(0.03)}):
        p = chainrule.tensor(random.standard_normal(shape).astype(dtype), requires_grad=True)
        optimizer = optim.Adam([p], **framework_settings)
        group = optimizer.param_groups[0]
        theta, moments = p.detach().clone(), [chainrule.zeros_like(p), chainrule.zeros_like(p)]
        largest = chainrule.zeros_like(p) if group["amsgrad"] else None
        for i in range(3):
            p.grad = chainrule.tensor(random.standard_normal(shape).astype(dtype) * 10.0 ** (-3 * i))
            if i == 2:
                p.grad[0, :3] = chainrule.tensor([float("inf"), float("nan"), 0.0], dtype=p.dtype)
            gradient = -p.grad if group["maximize"] else p.grad
            with chainrule.no_grad():
                result = adam(
                    theta, gradient, *moments, largest, chainrule.tensor(i + 1.0), lr=group["lr"], betas=group["betas"],
                    eps=group["eps"], weight_decay=group["weight_decay"], decoupled=group["decoupled_weight_decay"],
                )  # fmt: skip
            theta, moments, largest = result.parameter, [result.first, result.second], result.largest
            optimizer.step()
            state = optimizer.state[p]
            compare(p.detach(), theta)
            compare(state["exp_avg"], result.first)
            compare(state["exp_avg_sq"], result.second)
            if largest is not None:
                compare(state["max_exp_avg_sq"], largest)


def program(optimizer: Any, p: Any) -> list[tuple[Any, ...]]:
    """What a step computes, as operations with their settings and shapes, without computing it."""
    trace = Trace()
    with chainrule.no_grad(), tracing(trace):
        optimizer.update(p, p.grad, optimizer.state[p], optimizer.param_groups[0])
        trace.take_back_writes()
    return [(e.primitive, str(e.parameters), e.forms) for e in trace.equations]


@pytest.mark.parametrize(("name", "settings"), [*TYPICAL.items(), ("RAdam", {"lr": 0.1}), ("SGD", {"lr": 0.1})])
def test_every_step_is_the_same_program(name: str, settings: dict[str, Any]) -> None:
    """Nothing depends on the numbers, not even on the count of steps."""
    p = chainrule.tensor(START["a"], requires_grad=True)
    optimizer = getattr(optim, name)([p], **settings)
    optimizer.state[p] = optimizer.initial_state(p, optimizer.param_groups[0])
    programs = []
    for i in range(12):
        p.grad = chainrule.tensor(np.cos(INPUTS[i, :4, :3]))
        programs.append(program(optimizer, p))
        before = p.detach().clone()
        optimizer.step()
        assert not (p == before).all()
    assert all(other == programs[0] for other in programs) and programs[0]


@pytest.mark.parametrize("name", TYPICAL)
def test_the_state_is_in_cells_that_stay(name: str) -> None:
    p = chainrule.tensor(START["a"], requires_grad=True)
    optimizer = getattr(optim, name)([p], **TYPICAL[name])
    cells = []
    for _ in range(3):
        (p * p).sum().backward()
        optimizer.step()
        cells.append({key: id(cell) for key, cell in optimizer.state[p].items()})
    assert cells[0] == cells[1] == cells[2] and len(set(cells[0].values())) == len(cells[0])


def test_counts_are_each_parameter_s_own() -> None:
    """A parameter that is left out for some steps corrects its bias by its own count; saved and loaded too."""
    paths = []
    for together in (False, True):
        ps = [chainrule.ones(2, dtype=chainrule.float64, requires_grad=True) for _ in range(2)]
        both = optim.NAdam(ps, lr=0.1)
        apart = [optim.NAdam([p], lr=0.1) for p in ps]
        for i in range(9):
            ps[0].grad = chainrule.ones(2, dtype=chainrule.float64)
            ps[1].grad = None if i % 3 else chainrule.ones(2, dtype=chainrule.float64)
            for optimizer in [both] if together else apart:
                optimizer.step()
            if i == 4:
                both.load_state_dict(both.state_dict())
        if together:
            assert [both.state[p]["step"].item() for p in ps] == [9, 3]
        paths.append([p.tolist() for p in ps])
    assert paths[0] == paths[1]


@pytest.mark.peer
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_other_data_types(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten steps from equal gradients: apart by a few roundings. The states keep the types that PyTorch's have."""
    torch = pytest.importorskip("torch")
    without_rounding(torch, monkeypatch)
    for name in OPTIONS:
        found, types = [], []
        for framework in (chainrule, torch):
            p = framework.tensor(START["a"]).to(getattr(framework, dtype)).requires_grad_()
            optimizer = getattr(framework.optim, name)([p], lr=0.01)
            for i in range(10):
                p.grad = framework.tensor(np.cos(INPUTS[i, :4, :3]) * TARGETS[i, :4, :1]).to(p.dtype)
                optimizer.step()
            found.append(p.detach().double().numpy())
            types.append({key: str(entry.dtype).split(".")[-1] for key, entry in optimizer.state[p].items()})
        assert types[0] == types[1]
        allowed = {"float32": 2e-5, "bfloat16": 0.05}[dtype]
        np.testing.assert_allclose(found[0], found[1], atol=allowed, err_msg=name)


@pytest.mark.peer
@pytest.mark.parametrize(("name", "settings"), [(n, s) for n, s in CASES if s in (OPTIONS[n][1], OPTIONS[n][-1])])
def test_states_go_both_ways(name: str, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty steps in one framework, and the rest in the other: as if nothing had happened."""
    torch = pytest.importorskip("torch")
    without_rounding(torch, monkeypatch)
    whole, _ = train(torch, name, settings)
    for first, second in ((chainrule, torch), (torch, chainrule)):
        _, before = train(first, name, settings, steps=20)
        parameters = {n: second.tensor(v.copy(), requires_grad=True) for n, v in START.items()}
        learned = [p for p in parameters.values() if name != "Muon" or p.ndim == 2]
        optimizer = getattr(second.optim, name)(learned, lr=9.0)
        with second.no_grad():
            for p, q in zip(learned, [p for g in before.param_groups for p in g["params"]], strict=True):
                p.copy_(second.tensor(q.detach().numpy()))
        saved = before.state_dict()
        if second is torch:
            saved["state"] = {
                key: {n: torch.tensor(entry.numpy()) for n, entry in entries.items()}
                for key, entries in saved["state"].items()
            }
        optimizer.load_state_dict(saved)
        for i in range(20, 50):
            optimizer.zero_grad()
            hidden = second.tanh(second.tensor(INPUTS[i]) @ parameters["a"] + parameters["b"])
            ((hidden @ parameters["c"] - second.tensor(TARGETS[i])) ** 2).mean().backward()
            optimizer.step()
        end = np.concatenate([p.detach().numpy().ravel() for p in learned])
        np.testing.assert_allclose(end, whole[-1], rtol=1e-9, atol=1e-9)
