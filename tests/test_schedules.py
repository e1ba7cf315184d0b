"""Learning-rate schedules against PyTorch's: sixty steps of rates and momenta, resumed, composed; closed forms; misuse."""

from __future__ import annotations

import copy
import inspect
import math
import pickle
import warnings
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import optim
from chainrule.optim import lr_scheduler
from tests.optimiser_cases import SCHEDULES
from tests.schedule_formulas import RATES

#: What PyTorch refuses or gets wrong: composites in composites.
NESTED = [
    "SequentialLR(o, [ChainedScheduler([ConstantLR(o, 0.5, 9), ExponentialLR(o, 0.9)]), StepLR(o, 5)], [20])",
    "SequentialLR(o, [StepLR(o, 5), ChainedScheduler([ConstantLR(o, 0.5, 9), ExponentialLR(o, 0.9)])], [20])",
    "SequentialLR(o, [StepLR(o, 5), SequentialLR(o, [ConstantLR(o), ExponentialLR(o, 0.9)], [7])], [20])",
    "SequentialLR(o, [SequentialLR(o, [ConstantLR(o), ExponentialLR(o, 0.9)], [7]), StepLR(o, 5)], [20])",
]
RESUMABLE = [source for source in SCHEDULES if not source.startswith(("Sequential", "Chained", "SWALR"))]
PLATEAUS = [
    {}, {"patience": 3}, {"mode": "max", "patience": 2}, {"factor": 0.5, "patience": 0, "cooldown": 4},
    {"threshold": 0.2, "patience": 1}, {"threshold": 0.3, "threshold_mode": "abs", "patience": 2},
    {"mode": "max", "threshold": 0.3, "threshold_mode": "abs", "patience": 1}, {"patience": 1, "min_lr": 0.005},
    {"mode": "max", "threshold": 0.05, "patience": 0}, {"patience": 0, "min_lr": [0.05, 0.001]},
    {"patience": 0, "eps": 0.02},
]  # fmt: skip


def optimiser(framework: Any, name: str = "SGD", rates: tuple[float, float] = (0.1, 0.02), **settings: Any) -> Any:
    """Two groups with rates of their own."""
    groups = [{"params": [framework.ones(1, requires_grad=True)], "lr": rate, **settings} for rate in rates]
    return getattr(framework.optim, name)(groups, **({"momentum": 0.9} if name == "SGD" else {}))


def schedule(framework: Any, source: str, o: Any) -> Any:
    names = {**vars(framework.optim.lr_scheduler), "SWALR": framework.optim.swa_utils.SWALR}
    return eval(source, names, {**names, "o": o}) if "lambda" not in source else eval(source, {**names, "o": o})


def seen(o: Any) -> list[float]:
    """All that a schedule may move: rates, momenta, β₁."""
    settings = [g["lr"] for g in o.param_groups]
    return [float(x) for x in settings + [g["betas"][0] if "betas" in g else g["momentum"] for g in o.param_groups]]


def follow(o: Any, s: Any, steps: int) -> list[list[float]]:
    path = [seen(o)]
    for _ in range(steps):
        o.step()
        s.step()
        assert [float(rate) for rate in s.get_last_lr()] == seen(o)[: len(o.param_groups)]
        path.append(seen(o))
    return path


@pytest.mark.peer
@pytest.mark.parametrize("source", SCHEDULES)
def test_rates_are_pytorch_s(source: str) -> None:
    torch = pytest.importorskip("torch")
    for name in ("SGD", "Adam"):
        paths = []
        for framework in (chainrule, torch):
            o = optimiser(framework, name)
            paths.append(follow(o, schedule(framework, source, o), 60))
        np.testing.assert_allclose(paths[0], paths[1], rtol=1e-11, atol=1e-15)


@pytest.mark.parametrize("source", SCHEDULES + NESTED)
def test_saved_in_the_middle(source: str) -> None:
    """A fresh optimiser and schedule with the saved states go on as if nothing had happened; so does a copy."""
    o = optimiser(chainrule)
    s = schedule(chainrule, source, o)
    follow(o, s, 25)
    states = copy.deepcopy((o.state_dict(), s.state_dict()))
    fresh = optimiser(chainrule, rates=(7.0, 9.0))
    loaded = schedule(chainrule, source, fresh)
    fresh.load_state_dict(states[0])
    loaded.load_state_dict(states[1])
    twin, copied = copy.deepcopy((o, s))
    path = follow(o, s, 30)
    assert follow(fresh, loaded, 30) == path and follow(twin, copied, 30) == path
    if "lambda" not in source:
        assert pickle.loads(pickle.dumps(s)).get_last_lr() == s.get_last_lr()


@pytest.mark.peer
@pytest.mark.parametrize("source", SCHEDULES)
def test_pytorch_s_states_load(source: str) -> None:
    torch = pytest.importorskip("torch")
    o = optimiser(torch)
    s = schedule(torch, source, o)
    follow(o, s, 25)
    ours = optimiser(chainrule, rates=(7.0, 9.0))
    loaded = schedule(chainrule, source, ours)
    ours.load_state_dict(o.state_dict())
    loaded.load_state_dict(s.state_dict())
    np.testing.assert_allclose(follow(ours, loaded, 30), follow(o, s, 30), rtol=1e-11, atol=1e-15)


@pytest.mark.peer
@pytest.mark.parametrize("source", RESUMABLE)
def test_going_on_from_an_epoch_is_pytorch_s(source: str) -> None:
    """`last_epoch=11` with groups that say where they started."""
    torch = pytest.importorskip("torch")
    paths = []
    for framework in (chainrule, torch):
        o = optimiser(framework, "Adam")
        follow(o, schedule(framework, source, o), 11)
        for again in range(2):
            s = schedule(framework, source[:-1] + f", last_epoch={11 + again})", o)
            paths.append(follow(o, s, 20))
    if "T_mult" in source:  # PyTorch takes the round for the second one, whichever it is
        whole = optimiser(chainrule, "Adam")
        np.testing.assert_allclose(paths[0], follow(whole, schedule(chainrule, source, whole), 32)[12:], rtol=1e-11)
        return
    np.testing.assert_allclose(paths[0], paths[2], rtol=1e-11, atol=1e-15)
    np.testing.assert_allclose(paths[1], paths[3], rtol=1e-11, atol=1e-15)


def test_there_is_a_formula_for_every_schedule() -> None:
    assert set(RESUMABLE) < set(RATES)


@pytest.mark.parametrize("source", RATES)
def test_rates_are_those_of_the_closed_form(source: str) -> None:
    """Of the formula in `tests/schedule_formulas.py`, and of the schedule's own where it has one."""
    o = optimiser(chainrule)
    s = schedule(chainrule, source, o)
    has_one = type(s).closed_form is not lr_scheduler.LRScheduler.closed_form
    assert has_one is not source.startswith(("Lambda", "Multiplicative", "CosineAnnealingWarm", "Cyclic", "OneCycle"))
    for n in range(60):
        wanted = [RATES[source](n, base, group) for group, base in enumerate((0.1, 0.02))]
        np.testing.assert_allclose(s.get_last_lr(), wanted, rtol=1e-9, atol=1e-14)
        if has_one:
            np.testing.assert_allclose(s.closed_form(), wanted, rtol=1e-9, atol=1e-14)
        o.step()
        if n < 59:
            s.step()


def test_formulas_worked_by_hand() -> None:
    chained = lambda n: 0.1 * (0.5 if n < 9 else 1) * 0.9**n  # noqa: E731
    parts = lambda n: 0.1 / 3 if n < 5 else 0.1 if n < 7 else 0.1 * 0.9 ** (n - 7)  # noqa: E731
    steps = lambda n: 0.1 * 0.1 ** (n // 5)  # noqa: E731
    for source, wanted in [
        (NESTED[0], lambda n: chained(n) if n < 20 else steps(n - 20)),
        (NESTED[1], lambda n: steps(n) if n < 20 else chained(n - 20)),
        (NESTED[2], lambda n: steps(n) if n < 20 else parts(n - 20)),
        (NESTED[3], lambda n: parts(n) if n < 20 else steps(n - 20)),
        ("warmup_cosine(o, 10, 60)", lambda n: 0.1 * (0.01 + 0.99 * n / 10) if n < 10 else
         0.05 * (1 + math.cos(math.pi * (n - 10) / 50))),
        ("warmup_cosine(o, 0, 60, eta_min=0.02)", lambda n: 0.02 + 0.04 * (1 + math.cos(math.pi * n / 60))),
    ]:  # fmt: skip
        o = optimiser(chainrule)
        path = follow(o, schedule(chainrule, source, o), 59)
        np.testing.assert_allclose([rates[0] for rates in path], [wanted(n) for n in range(60)], rtol=1e-9)


@pytest.mark.peer
@pytest.mark.parametrize("settings", PLATEAUS, ids=str)
def test_plateaus_are_pytorch_s(settings: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    numbers = np.concatenate([1 / np.arange(1, 20), np.full(20, 0.06), np.random.default_rng(0).random(30)])
    paths = []
    for framework in (chainrule, torch):
        o = optimiser(framework)
        s = framework.optim.lr_scheduler.ReduceLROnPlateau(o, **settings)
        path = []
        for i, number in enumerate(numbers):
            o.step()
            s.step(framework.tensor(number))
            path.append([*s.get_last_lr(), s.best, s.num_bad_epochs, s.cooldown_counter, s.in_cooldown, s.last_epoch])
            if i == 30:
                state, s = s.state_dict(), framework.optim.lr_scheduler.ReduceLROnPlateau(o)
                s.load_state_dict(state)
        paths.append(path)
    np.testing.assert_allclose(paths[0], paths[1], rtol=1e-12)


def test_a_plateau_follows_new_groups() -> None:
    o = optimiser(chainrule)
    s = lr_scheduler.ReduceLROnPlateau(o, patience=0)
    fixed = lr_scheduler.ReduceLROnPlateau(o, patience=0, min_lr=[0.0, 0.0])
    o.add_param_group({"params": [chainrule.ones(1, requires_grad=True)], "lr": 1.0})
    s.step(1.0)
    s.step(1.0)
    np.testing.assert_allclose(s.get_last_lr(), [0.01, 0.002, 0.1])
    fixed.step(1.0)
    with pytest.raises(RuntimeError, match="2 groups, the optimiser now has 3"):
        fixed.step(1.0)


@pytest.mark.peer
def test_a_rate_that_is_a_tensor_is_filled() -> None:
    """The cell stays, so a compiled step sees the new rate. float32 as PyTorch's."""
    torch = pytest.importorskip("torch")
    for source in SCHEDULES:
        paths = []
        for framework in (chainrule, torch):
            rates = tuple(framework.tensor(rate) for rate in (0.1, 0.02))
            o = optimiser(framework, "SGD", rates)
            s = schedule(framework, source, o)
            paths.append(follow(o, s, 30))
            assert all(g["lr"] is rate for g, rate in zip(o.param_groups, rates, strict=True))
        np.testing.assert_allclose(paths[0], paths[1], rtol=2e-5, atol=1e-7, err_msg=source)


@pytest.mark.peer
def test_arguments_are_pytorch_s() -> None:
    torch = pytest.importorskip("torch")
    names = [n for n in torch.optim.lr_scheduler.__all__ if n != "LRScheduler"]
    for name in names:
        forms = []
        for framework in (chainrule, torch):
            given = inspect.signature(getattr(framework.optim.lr_scheduler, name)).parameters.values()
            forms.append([(p.name, p.default, p.kind) for p in given])
        assert forms[0] == forms[1], name


# --------------------------------------------------------------------------------------- Robbins and Monro


@pytest.mark.parametrize(
    ("source", "diverges", "converge", "says"),
    [
        ("RobbinsMonro(o)", True, True, "1/n"),
        ("RobbinsMonro(o, power=0.75)", True, True, "0.75"),
        ("RobbinsMonro(o, power=0.5)", True, False, "Σα² = ∞"),
        ("RobbinsMonro(o, power=1.5)", False, True, "Σα is finite"),
        ("RobbinsMonro(o, power=0.0)", True, False, "η₀"),
        ("StepLR(o, 7)", False, True, "every 7 epochs"),
        ("StepLR(o, 7, 1.0)", True, False, "γ = 1"),
        ("ExponentialLR(o, 0.9)", False, True, "γ = 0.9"),
        ("ExponentialLR(o, 1.1)", True, False, "γ = 1.1"),
        ("MultiStepLR(o, [3])", True, False, "last milestone"),
        ("MultiStepLR(o, [3], 0.0)", False, True, "0"),
        ("ConstantLR(o)", True, False, "stays"),
        ("LinearLR(o)", True, False, "stays"),
        ("LinearLR(o, end_factor=0.0)", False, True, "0"),
        ("PolynomialLR(o)", False, True, "0"),
        ("CosineAnnealingLR(o, 9)", True, False, "rises again"),
        ("CosineAnnealingWarmRestarts(o, 9)", True, False, "restart"),
        ("CyclicLR(o, 0.1, 0.2)", True, False, "base_lr"),
        ("CyclicLR(o, 0.0, 0.2)", True, False, "max_lr"),
        ("CyclicLR(o, 0.0, 0.2, mode='triangular2')", False, True, "lower"),
        ("CyclicLR(o, 0.0, 0.2, scale_fn=abs)", None, None, "function of yours"),
        ("OneCycleLR(o, 0.2, 50)", False, True, "50 steps"),
        ("ReduceLROnPlateau(o)", True, False, "eps"),
        ("ReduceLROnPlateau(o, min_lr=0.1)", True, False, "min_lr"),
        ("ReduceLROnPlateau(o, eps=0.0)", None, None, "numbers"),
        ("LambdaLR(o, abs)", None, None, "function of yours"),
        ("SequentialLR(o, [ExponentialLR(o, 0.9), RobbinsMonro(o)], [3])", True, True, "1/n"),
        ("SequentialLR(o, [RobbinsMonro(o), ExponentialLR(o, 0.9)], [3])", False, True, "γ"),
        ("ChainedScheduler([RobbinsMonro(o), ConstantLR(o)])", True, True, "1/n"),
        ("ChainedScheduler([RobbinsMonro(o), RobbinsMonro(o, power=0.5)])", False, True, "1/n"),
        ("ChainedScheduler([RobbinsMonro(o), ExponentialLR(o, 0.9)])", False, True, "γ"),
        ("ChainedScheduler([ExponentialLR(o, 1.1), ExponentialLR(o, 0.9)])", None, None, "neither"),
        ("ChainedScheduler([ExponentialLR(o, 0.9), LambdaLR(o, abs), RobbinsMonro(o)])", None, None, "neither"),
        ("ChainedScheduler([ExponentialLR(o, 0.9), PolynomialLR(o)])", False, True, "0"),
        ("SWALR(o, 0.1)", True, False, "swa_lr"),
        ("SWALR(o, 0.0)", False, True, "swa_lr"),
    ],
)
def test_robbins_and_monro(source: str, diverges: bool | None, converge: bool | None, says: str) -> None:
    verdict = schedule(chainrule, source, optimiser(chainrule)).satisfies_robbins_monro()
    assert (verdict.sum_diverges, verdict.squares_converge) == (diverges, converge) and says in verdict.reason
    assert bool(verdict) is (diverges is True and converge is True) and repr(verdict).startswith(str(bool(verdict)))


def test_robbins_and_monro_beside_the_sums() -> None:
    """Sums over blocks [2ᵏ, 2ᵏ⁺¹): for Σ n^−q they stay above ½ if q ≤ 1, and shrink by 2^(1−q) if q > 1."""
    n = np.arange(1, 2**16 + 1, dtype=float)
    for power in (0.5, 0.6, 0.75, 1.0, 1.5):
        s = lr_scheduler.RobbinsMonro(optimiser(chainrule, rates=(1.0, 1.0)), power=power)
        rates = n**-power
        np.testing.assert_allclose(s.share(), 1.0)
        for q, known in (
            (1, s.satisfies_robbins_monro().sum_diverges),
            (2, not s.satisfies_robbins_monro().squares_converge),
        ):
            blocks = [(rates[2**k - 1 : 2 ** (k + 1) - 1] ** q).sum() for k in range(16)]
            assert (blocks[-1] > 0.5) == known == (blocks[-1] >= 0.9 * blocks[-2])


# ---------------------------------------------------------------------------------------------- misuse


def test_order_of_calls() -> None:
    o = optimiser(chainrule)
    s = lr_scheduler.StepLR(o, 3)
    with pytest.warns(UserWarning, match="optimizer.step\\(\\) first"):
        s.step()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        s.step()  # once is enough
        o.step()
        lr_scheduler.StepLR(o, 3).step()
    with pytest.warns(UserWarning, match="get_last_lr"):
        s.get_lr()
    with pytest.warns(UserWarning, match="scheduler.step\\(epoch\\)"):
        s.step(7)
    assert s.last_epoch == 7 and np.allclose(s.get_last_lr(), [0.001, 0.0002])
    with pytest.warns(UserWarning, match="on its way out"):
        lr_scheduler.ReduceLROnPlateau(o).step(1.0, epoch=4)


def test_jumping_to_a_fraction_of_an_epoch() -> None:
    o = optimiser(chainrule)
    s = lr_scheduler.CosineAnnealingWarmRestarts(o, 2, T_mult=2)
    for epoch, place, length in [(0.5, 0.5, 2), (2, 0, 4), (5.5, 3.5, 4), (6, 0, 8), (13.9, 7.9, 8), (14, 0, 16)]:
        s.step(epoch)
        assert (round(s.T_cur, 9), s.T_i) == (place, length)
        assert np.isclose(s.get_last_lr()[0], 0.05 * (1 + math.cos(math.pi * place / length)))


@pytest.mark.parametrize(
    ("source", "kind", "says"),
    [
        ("StepLR(3, 3)", TypeError, "acts on an optimiser, got int"),
        ("StepLR(o, 3, last_epoch=4)", KeyError, "group 0 of the optimiser has no 'initial_lr'"),
        ("LambdaLR(o, [abs])", ValueError, "lr_lambda has 1 values, but the optimiser has 2 groups"),
        ("MultiplicativeLR(o, 3)", TypeError, "function of the epoch, got int"),
        ("ConstantLR(o, 1.5)", ValueError, "1.5"), ("LinearLR(o, 0.0)", ValueError, r"\(0, 1\], got 0"),
        ("LinearLR(o, end_factor=2.0)", ValueError, "got 2"), ("RobbinsMonro(o, b=0)", ValueError, "got 0"),
        ("RobbinsMonro(o, power=-1)", ValueError, "got -1"),
        ("CosineAnnealingWarmRestarts(o, 0)", ValueError, "T_0"),
        ("CosineAnnealingWarmRestarts(o, 3, 1.5)", ValueError, "T_mult"),
        ("CosineAnnealingWarmRestarts(o, 3, eta_min='0')", ValueError, "str"),
        ("CosineAnnealingWarmRestarts(o, 3).step(-1)", ValueError, "got -1"),
        ("CyclicLR(o, 0.1, 0.2, mode='square')", ValueError, "square"),
        ("CyclicLR(r, 0.1, 0.2)", ValueError, "Rprop has neither"),
        ("OneCycleLR(o, 0.1)", ValueError, "total_steps"), ("OneCycleLR(o, 0.1, 0)", ValueError, "got 0"),
        ("OneCycleLR(o, 0.1, epochs=3, steps_per_epoch=1.5)", ValueError, "steps_per_epoch"),
        ("OneCycleLR(o, 0.1, 9, pct_start=2.0)", ValueError, "pct_start"),
        ("OneCycleLR(o, 0.1, 9, anneal_strategy='x')", ValueError, "anneal_strategy"),
        ("OneCycleLR(r, 0.1, 9)", ValueError, "Rprop"),
        ("ReduceLROnPlateau(o, 'least')", ValueError, "least"), ("ReduceLROnPlateau(o, factor=1.0)", ValueError, "1.0"),
        ("ReduceLROnPlateau(o, threshold_mode='x')", ValueError, "threshold_mode"),
        ("ReduceLROnPlateau(o, min_lr=[1])", ValueError, "min_lr"),
        ("SequentialLR(o, [], [])", ValueError, "got none"), ("SequentialLR(o, [3], [])", TypeError, "got int at place 0"),
        ("SequentialLR(o, [StepLR(o, 3)], [2])", ValueError, "0 milestones"),
        ("SequentialLR(o, [StepLR(r, 3)], [])", ValueError, "another optimiser"),
        ("ChainedScheduler([ReduceLROnPlateau(o)])", ValueError, "wants to see a number"),
        ("ChainedScheduler([StepLR(o, 3), StepLR(r, 3)])", ValueError, "place 1"),
        ("warmup_cosine(o, 9, 9)", ValueError, "9 and 9"), ("LRScheduler(o)", NotImplementedError, r"rates\(\)"),
        ("SWALR(o, 0.1, -1)", ValueError, "got -1"), ("SWALR(o, 0.1, 3, 'x')", ValueError, "got 'x'"),
    ],
)  # fmt: skip
def test_what_is_refused(source: str, kind: Any, says: str) -> None:
    names = {**vars(lr_scheduler), "SWALR": optim.swa_utils.SWALR}
    with pytest.raises(kind, match=says):
        eval(source, {**names, "o": optimiser(chainrule), "r": optim.Rprop([chainrule.ones(1, requires_grad=True)])})


def test_one_cycle_ends() -> None:
    o = optimiser(chainrule)
    s = lr_scheduler.OneCycleLR(o, 0.1, total_steps=3)
    follow(o, s, 3)
    with pytest.raises(ValueError, match="step 4 of a cycle of 3"):
        s.step()


def test_objects_as_functions_are_saved() -> None:
    class Falling:
        def __init__(self, rate: float) -> None:
            self.rate = rate

        def __call__(self, n: float) -> float:
            return self.rate**n

    for source in ("LambdaLR(o, f)", "MultiplicativeLR(o, f)", "CyclicLR(o, 0.1, 0.2, scale_fn=f)"):
        o = optimiser(chainrule)
        s = eval(source, {**vars(lr_scheduler), "o": o, "f": Falling(0.5)})
        follow(o, s, 3)
        other = Falling(0.9)
        eval(source, {**vars(lr_scheduler), "o": optimiser(chainrule), "f": other}).load_state_dict(s.state_dict())
        assert other.rate == 0.5


def test_a_schedule_of_one_s_own() -> None:
    """As in PyTorch: say get_lr, and all else is there."""

    class Halving(lr_scheduler.LRScheduler):
        def get_lr(self) -> list[float]:
            return [base / 2**self.last_epoch for base in self.base_lrs]

    o = optimiser(chainrule)
    assert [rates[0] for rates in follow(o, Halving(o), 2)] == [0.1, 0.05, 0.025]
    assert "does not say" in Halving(o).satisfies_robbins_monro().reason


def test_the_page_of_optimisers_is_new() -> None:
    from docs.make import optimisers

    assert optimisers.PAGE.read_text(encoding="utf-8") == optimisers.page(), "python -m docs.make.optimisers"
