"""What people put into training steps compiles: clipping, schedules, averages, constrained weights, closures."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import nn
from chainrule.nn import functional as F
from chainrule.nn.utils import clip_grad_norm_, clip_grad_value_, parametrizations


def batch() -> tuple[Any, Any]:
    random = np.random.default_rng(0)
    return chainrule.tensor(random.standard_normal((12, 6))), chainrule.tensor(random.integers(0, 4, 12))


def network(change: Callable[[Any], Any] = lambda layer: layer) -> Any:
    chainrule.manual_seed(5)
    return nn.Sequential(change(nn.Linear(6, 8).double()), nn.Tanh(), nn.Linear(8, 4).double())


def trained(make: Callable[[], tuple[Any, Callable[[Any, Any], Any], Callable[[], Any]]], compiled: bool) -> list[Any]:
    """Losses and final numbers after six steps; `make` gives the model, the step, and what follows each step."""
    model, step, after = make()
    run: Any = chainrule.compile(step) if compiled else step
    x, y = batch()
    losses = []
    for _ in range(6):
        losses.append(run(x, y).item())
        after()
    return [losses, *(t.numpy() for t in model.state_dict().values())]


def descent(model: Any, optimizer: Any, between: Callable[[], Any] = lambda: None) -> Callable[[Any, Any], Any]:
    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        between()
        optimizer.step()
        return loss

    return step


def clipped_by_norm() -> Any:
    model = network()
    optimizer = chainrule.optim.SGD(model.parameters(), lr=0.5)
    return model, descent(model, optimizer, lambda: clip_grad_norm_(model.parameters(), 0.1)), lambda: None


def clipped_by_value() -> Any:
    model = network()
    optimizer = chainrule.optim.Adam(model.parameters(), lr=0.05)
    return model, descent(model, optimizer, lambda: clip_grad_value_(model.parameters(), 0.01)), lambda: None


def scheduled() -> Any:
    model = network()
    optimizer = chainrule.optim.AdamW(model.parameters(), lr=0.05)
    schedule = chainrule.optim.lr_scheduler.CosineAnnealingLR(optimizer, 6)
    return model, descent(model, optimizer), schedule.step


def averaged() -> Any:
    model = network()
    optimizer = chainrule.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
    average = chainrule.optim.swa_utils.AveragedModel(
        model, multi_avg_fn=chainrule.optim.swa_utils.get_ema_multi_avg_fn(0.8)
    )
    return average, descent(model, optimizer), lambda: average.update_parameters(model)


def with_unit_spectral_norm() -> Any:
    model = network(parametrizations.spectral_norm)
    return model, descent(model, chainrule.optim.SGD(model.parameters(), lr=0.5)), lambda: None


def with_weight_norm() -> Any:
    model = network(parametrizations.weight_norm)
    return model, descent(model, chainrule.optim.Adam(model.parameters(), lr=0.05)), lambda: None


def penalised() -> Any:
    model = network()
    optimizer = chainrule.optim.RMSprop(model.parameters(), lr=0.01)

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y, label_smoothing=0.1) + 0.01 * sum(p.abs().sum() for p in model.parameters())
        loss.backward()
        optimizer.step()
        return loss

    return model, step, lambda: None


@pytest.mark.parametrize(
    "make",
    [clipped_by_norm, clipped_by_value, scheduled, averaged, with_unit_spectral_norm, with_weight_norm, penalised],
)
def test_a_step_is_the_eager_one(make: Any) -> None:
    for a, b in zip(trained(make, False), trained(make, True), strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-9, atol=1e-12)


def test_two_losses_and_two_optimisers_in_one_step() -> None:
    """As in adversarial training: the second optimiser sees what the first has changed."""
    results = []
    for compiled in (False, True):
        one, two = network(), network()
        first, second = (chainrule.optim.SGD(m.parameters(), lr=0.1) for m in (one, two))

        def step(x: Any, y: Any, one: Any = one, two: Any = two, first: Any = first, second: Any = second) -> Any:
            descent(one, first)(x, y)
            second.zero_grad()
            loss = F.kl_div(two(x).log_softmax(1), one(x).detach().softmax(1), reduction="batchmean")
            loss.backward()
            second.step()
            return loss

        run: Any = chainrule.compile(step) if compiled else step
        results.append([run(*batch()).item() for _ in range(5)])
    np.testing.assert_allclose(*results, rtol=1e-9)


@pytest.mark.parametrize("name", ["LBFGS", "Newton"])
def test_closures_of_second_order_methods(name: str) -> None:
    """Their steps branch on values, so they stay in Python; what they call is compiled."""
    results = []
    for compiled in (False, True):
        model = network()
        x, y = batch()

        def loss_and_gradients(x: Any, y: Any, model: Any = model) -> Any:
            loss = F.cross_entropy(model(x), y)
            return loss, chainrule.autograd.grad(loss, list(model.parameters()))

        run: Any = chainrule.compile(loss_and_gradients) if compiled else loss_and_gradients
        if name == "Newton":
            loss, gradients = run(x, y)
            results.append([loss.item(), *(g.numpy() for g in gradients)])
            continue
        optimizer = chainrule.optim.LBFGS(model.parameters(), lr=0.5, max_iter=8)

        def closure(run: Any = run, model: Any = model, x: Any = x, y: Any = y) -> Any:
            loss, gradients = run(x, y)
            for p, g in zip(model.parameters(), gradients, strict=True):
                p.grad = g.detach()
            return loss

        results.append([optimizer.step(closure).item(), closure().item()])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-9, atol=1e-12)


def test_evaluation_folds_batch_normalisation() -> None:
    """One kernel walks over the images for each convolution: scale, shift, sum and ReLU are done on its block."""
    model = chainrule.models.resnet18(num_classes=3, stem="cifar").eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-1, 1)
            module.running_var.uniform_(0.5, 2)
    x = chainrule.randn(2, 3, 16, 16)
    compiled = chainrule.compile(model)
    with chainrule.no_grad():
        np.testing.assert_allclose(compiled(x).numpy(), model(x).numpy(), rtol=2e-4, atol=2e-4)
    lines = compiled.explain().splitlines()
    products = [line for line in lines if ("product" in line or "winograd" in line) and "fc" not in line]
    convolutions = sum(isinstance(module, nn.Conv2d) for module in model.modules())
    assert len(products) == convolutions
    assert all("Multiply Add" in line for line in products)
    assert not any("bn" in line and line.count("×") == 3 for line in compiled.explain().splitlines())


def test_a_compiled_module_learns_as_the_module_does_and_evaluates_natively() -> None:
    models = [nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2)) for _ in range(2)]
    models[1].load_state_dict(models[0].state_dict())
    compiled = chainrule.compile(models[1], mode="reduce-overhead", fullgraph=True)
    x, y = chainrule.randn(6, 3), chainrule.randint(0, 2, (6,))
    for model in (models[0], compiled):
        optimizer = chainrule.optim.Adam(model.parameters(), lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()
    compiled.eval()
    assert not models[1].training
    models[0].eval()
    with chainrule.no_grad():
        np.testing.assert_allclose(compiled(x).numpy(), models[0](x).numpy(), rtol=1e-5, atol=1e-6)
    assert "product" in compiled.explain()
    assert next(name for name, _ in compiled.named_parameters()) == "_orig_mod.0.weight"
    assert compiled._orig_mod is models[1] and chainrule.compile(models[0], disable=True) is models[0]
    twin = copy.deepcopy(compiled)
    with chainrule.no_grad():
        twin._orig_mod[0].weight.zero_()
        assert compiled._orig_mod[0].weight.abs().sum() > 0
        twin(x)


def test_lazy_layers_become_ordinary_ones_in_the_first_compiled_step() -> None:
    def trained(change: Callable[[Any], Any]) -> list[Any]:
        chainrule.manual_seed(3)
        model = nn.Sequential(nn.LazyLinear(5), nn.LazyBatchNorm1d(), nn.Tanh(), nn.LazyLinear(4)).double()
        optimizer = chainrule.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        step = change(descent(model, optimizer))
        losses = [step(*batch()).item() for _ in range(4)]
        return [losses, *(t.numpy() for t in model.state_dict().values())]

    for have, want in zip(trained(chainrule.compile), trained(lambda step: step), strict=True):
        np.testing.assert_allclose(have, want, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("average", ["mean", "fading", "own"])
def test_weights_are_averaged_within_a_compiled_step(average: str) -> None:
    swa = chainrule.optim.swa_utils
    settings: dict[str, dict[str, Any]] = {
        "mean": {}, "fading": {"multi_avg_fn": swa.get_ema_multi_avg_fn(0.8)},
        "own": {"avg_fn": lambda old, new, n: (old * n + new) / (n + 1)},
    }  # fmt: skip

    def trained(change: Callable[[Any], Any]) -> list[Any]:
        model = network()
        averaged = swa.AveragedModel(model, **settings[average])
        optimizer = chainrule.optim.SGD(model.parameters(), lr=0.5)
        train = descent(model, optimizer)

        def both(x: Any, y: Any) -> Any:
            loss = train(x, y)
            averaged.update_parameters(model)
            return loss

        step = change(both)
        losses = [step(*batch()).item() for _ in range(5)]
        assert all(len(programs) == 1 for programs in getattr(step, "programs", {}).values())
        return [losses, *(t.numpy() for t in averaged.state_dict().values())]

    for have, want in zip(trained(chainrule.compile), trained(lambda step: step), strict=True):
        np.testing.assert_allclose(have, want, rtol=1e-10, atol=1e-12)
