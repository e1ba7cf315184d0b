"""Averaged weights against PyTorch's, batch normalisation's statistics anew, and the learning-rate range test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import nn, optim
from chainrule.generative.diffusion.schedule import cosine_schedule
from chainrule.optim.swa_utils import (
    AveragedModel,
    get_ema_avg_fn,
    get_ema_multi_avg_fn,
    update_bn,
)
from chainrule.tasks.run import figures_of_mean, prepare
from chainrule.tasks.settings import Settings

MODEL = "n.Sequential(n.Linear(3, 4), n.BatchNorm1d(4), n.Tanh(), n.Linear(4, 2))"
INPUTS = np.random.default_rng(0).standard_normal((6, 8, 3))


def models(torch: Any) -> tuple[Any, Any]:
    theirs = eval(MODEL, {"n": torch.nn}).double()
    ours = eval(MODEL, {"n": nn}).double()
    ours.load_state_dict({name: chainrule.tensor(t.numpy()) for name, t in theirs.state_dict().items()})
    return ours, theirs


def trained(framework: Any, model: Any, averaged: Any, average: bool = True) -> Any:
    optimizer = framework.optim.SGD(model.parameters(), lr=0.1)
    for x in INPUTS:
        optimizer.zero_grad()
        (model(framework.tensor(x)) ** 2).mean().backward()
        optimizer.step()
        if average:
            averaged.update_parameters(model)
    return averaged


@pytest.mark.peer
@pytest.mark.parametrize(
    "source",
    ["", "avg_fn=s.get_ema_avg_fn(0.8)", "multi_avg_fn=s.get_ema_multi_avg_fn(0.8)", "avg_fn=s.get_swa_avg_fn()",
     "multi_avg_fn=s.get_swa_multi_avg_fn()", "use_buffers=True", "use_buffers=True, avg_fn=s.get_ema_avg_fn(0.8)",
     "use_buffers=True, multi_avg_fn=s.get_ema_multi_avg_fn()", "device='cpu', avg_fn=lambda a, p, n: (a * n + p) / (n + 1)"],
)  # fmt: skip
def test_averages_are_pytorch_s(source: str) -> None:
    torch = pytest.importorskip("torch")
    states = []
    for framework, model in zip((chainrule, torch), models(torch), strict=True):
        s = framework.optim.swa_utils
        averaged = eval(f"s.AveragedModel(model, {source})", {"s": s, "model": model})
        trained(framework, model, averaged)
        states.append({name: t.numpy().copy() for name, t in averaged.state_dict().items()})
        assert averaged(framework.tensor(INPUTS[0])).shape == (8, 2)
    assert list(states[0]) == list(states[1])
    for name, wanted in states[1].items():
        if "num_batches" not in name or "use_buffers" not in source:  # PyTorch averages counts, and cuts them off
            # PyTorch's weight 1/(n + 1) is a float32.
            np.testing.assert_allclose(states[0][name], wanted, rtol=1e-6, atol=1e-8, err_msg=name)
        assert states[0][name].dtype == wanted.dtype
    assert states[0]["module.1.num_batches_tracked"] == 6 == states[0]["n_averaged"]


@pytest.mark.peer
def test_statistics_anew_are_pytorch_s() -> None:
    torch = pytest.importorskip("torch")
    states = []
    for framework, model in zip((chainrule, torch), models(torch), strict=True):
        averaged = trained(framework, model, framework.optim.swa_utils.AveragedModel(model))
        averaged.eval()
        batches = [framework.tensor(x) for x in INPUTS]
        framework.optim.swa_utils.update_bn([(x, 0) for x in batches[:3]] + batches[3:], averaged, device="cpu")
        assert not averaged.training and averaged.module[1].momentum == 0.1
        states.append({name: t.numpy() for name, t in averaged.state_dict().items()})
    for name, wanted in states[1].items():
        np.testing.assert_allclose(states[0][name], wanted, rtol=1e-11, err_msg=name)


def test_statistics_of_a_failing_pass_leave_the_settings() -> None:
    model = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout()).eval()
    model[1].train()
    with pytest.raises(chainrule.ChainruleError):
        update_bn([chainrule.ones(2, 4)], model)
    assert model[0].momentum == 0.1 and not model.training and not model[0].training and model[1].training
    update_bn([chainrule.ones(2, 4)], nn.Linear(3, 3))  # nothing to do: not even looked at


def test_averages_refuse() -> None:
    model = nn.Linear(1, 1)
    with pytest.raises(ValueError, match="not both"):
        AveragedModel(model, avg_fn=get_ema_avg_fn(), multi_avg_fn=get_ema_multi_avg_fn())
    for make in (get_ema_avg_fn, get_ema_multi_avg_fn):
        with pytest.raises(ValueError, match="got 1.5"):
            make(1.5)


# ------------------------------------------------------------------------------------------ range test


def quadratic(curvature: float) -> tuple[Any, Any, Any]:
    """A model of one weight with loss ½·c·(w − 0.12)² + a constant: gradient descent diverges beyond η = 2/c."""
    model = nn.Linear(1, 1, bias=False, dtype=chainrule.float64)
    with chainrule.no_grad():
        model.weight.fill_(1.12)
    batch = [chainrule.tensor(x, dtype=chainrule.float64) for x in ([[1.0], [0.5]], [[0.3], [-0.3]])]
    return model, lambda y, t: curvature / 2.5 * (y - t) ** 2, [tuple(batch)]


def run(model: Any, loss: Any, batches: Any, optimizer: Any, **settings: Any) -> Any:
    return optim.learning_rate_range_test(model, lambda y, t: loss(y, t).sum(), batches, optimizer, **settings)


@pytest.mark.parametrize("curvature", [0.1, 1.0, 10.0])
def test_the_range_test_finds_the_scale(curvature: float) -> None:
    """The suggestion is below 2/c, where descent diverges, and the best constant rate 1/c is near it."""
    model, loss, batches = quadratic(curvature)
    optimizer = optim.SGD(model.parameters(), lr=0.123)
    found = run(model, loss, batches, optimizer, low=1e-2 / curvature, high=1e2 / curvature, steps=40, smoothing=0.0)
    assert 0.02 / curvature < found.suggestion < 1 / curvature
    assert found.rates[-1] > 2 / curvature and found.losses[-1] > 4 * min(found.losses) and len(found.rates) < 40
    np.testing.assert_allclose(np.diff(np.log(found.rates)), np.log(1e4) / 39)
    np.testing.assert_allclose(found.losses, found.smoothed)
    distance, constant = 1.0, found.losses[0] - curvature / 2
    for rate, loss_there in zip(found.rates[:25], found.losses):
        np.testing.assert_allclose(loss_there, curvature / 2 * distance**2 + constant, rtol=1e-4)
        distance -= rate * curvature * distance


def test_the_range_test_leaves_no_trace() -> None:
    chainrule.manual_seed(3)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(), nn.Linear(4, 2))
    model[2].eval()
    optimizer = optim.Adam(model.parameters(), lr=chainrule.tensor(0.1))
    batches = [(chainrule.randn(8, 3), chainrule.randn(8, 2)) for _ in range(3)]

    def step() -> Any:
        loss = nn.functional.mse_loss(model(batches[0][0]), batches[0][1])
        loss.backward()
        return loss

    step()
    optimizer.step()

    def everything() -> Any:
        return (
            [t.tolist() for t in (*model.parameters(), *model.buffers())], [p.grad.tolist() for p in model.parameters()],
            [{n: t.tolist() for n, t in entries.items()} for entries in optimizer.state.values()],
            optimizer.param_groups[0]["lr"].item(), [m.training for m in model.modules()],
            chainrule.get_rng_state().tolist(), optimizer.stepped,
        )  # fmt: skip

    before, cells = everything(), [id(p.grad) for p in model.parameters()]
    found = optim.learning_rate_range_test(
        model, nn.functional.mse_loss, batches, optimizer, steps=10, low=1e-3, high=1.0
    )
    assert everything() == before and cells == [id(p.grad) for p in model.parameters()] and len(found.losses) == 10

    def failing(y: Any, t: Any) -> Any:
        raise RuntimeError("no loss")

    with pytest.raises(RuntimeError, match="no loss"):
        optim.learning_rate_range_test(model, failing, batches, optimizer)
    assert everything() == before


def test_the_range_test_stops_and_refuses(tmp_path: Path) -> None:
    model, loss, batches = quadratic(1.0)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    found = run(model, loss, batches, optimizer, low=1.0e3, high=1e4)
    assert len(found.losses) == 2 and found.suggestion is None
    found.draw(tmp_path / "range.png")
    run(model, loss, batches, optimizer).draw(tmp_path / "with a suggestion.png")
    assert {path.name for path in tmp_path.iterdir()} == {"range.png", "with a suggestion.png"}
    for settings, says in [
        ({"low": 0.0}, "low"), ({"low": 2.0, "high": 1.0}, "got 2.0 and 1.0"), ({"steps": 1}, "got 1"),
        ({"smoothing": 1.0}, "smoothing"),
    ]:  # fmt: skip
        with pytest.raises(ValueError, match=says):
            run(model, loss, batches, optimizer, **settings)
    with pytest.raises(ValueError, match="no batches"):
        run(model, loss, [], optimizer)
    with pytest.raises(ValueError, match="only once"):
        run(model, loss, iter(batches), optimizer)
    assert optimizer.param_groups[0]["lr"] == 0.1 and round(model.weight.item(), 6) == 1.12


@pytest.mark.parametrize("seed", range(8))
def test_the_noise_of_batches_does_not_decide_the_rate(seed: int) -> None:
    """Batches whose loss is noise until the rate matters, which is from 1e-2 on: the loss is 3·p², and p begins at 1."""
    generator = chainrule.Generator().manual_seed(seed)
    p = chainrule.tensor([1.0], requires_grad=True)
    model = nn.Module()
    model.register_parameter("p", nn.Parameter(p))
    model.forward = lambda x: x + 3 * model.p**2  # type: ignore[method-assign]
    noise = 0.4 * chainrule.randn(100, generator=generator)
    batches = [(noise[i : i + 1], chainrule.zeros(1)) for i in range(100)]
    found = optim.learning_rate_range_test(
        model, lambda y, _: y.sum(), batches, optim.SGD(model.parameters(), lr=1.0), low=1e-6, high=1.0
    )
    assert found.suggestion is not None and 1e-3 < found.suggestion < 1


def test_a_diffusion_that_learned_in_bfloat16_keeps_its_schedule_and_is_judged_by_the_same_noise() -> None:
    """The schedule is float64 and stays so; the mean is compared with the best epoch's weights by the same draws."""
    options: dict[str, Any] = {"base": 4, "steps": 1000, "schedule": "cosine", "widths": (1, 2)}
    settings = Settings(
        data="digits", model="ddpm", model_options=options, epochs=1, batch_size=256, precision="bfloat16", average=0.3,
    )  # fmt: skip
    run = prepare(settings)
    run.trainer.fit(run.train, run.validation, epochs=1)
    before = chainrule.get_rng_state()
    figures = [figures_of_mean(run) for _ in range(2)]
    assert figures[0] == figures[1] is not None
    assert chainrule.equal(chainrule.get_rng_state(), before)
    schedule: Any = run.model.state_dict()["diffusion.schedule.kept"]
    assert schedule.dtype is chainrule.float64 and chainrule.equal(schedule, cosine_schedule(1000).kept)
    assert all(p.dtype is chainrule.float32 for p in run.model.parameters())
