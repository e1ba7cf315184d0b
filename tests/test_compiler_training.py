"""What a compiled training step depends on of optimisers and their groups, states and hooks; and whole runs."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import nn, optim
from chainrule.data import DataLoader, TensorDataset
from chainrule.nn import functional as F
from chainrule.train import Checkpoints, Trainer
from tests.changes import programs_of

X = chainrule.tensor([1.0, 2.0, 3.0])


# ------------------------------------------------------------------------------------- optimisers


class Descent:
    """A step that descends on w: the loss is w·x, so the gradient is x whatever w is."""

    def __init__(self, make: Callable[[list[Any]], Any]) -> None:
        self.w, self.v = nn.Parameter(chainrule.zeros(3)), nn.Parameter(chainrule.zeros(3))
        self.optimizer = make([self.w])

    def step(self, x: Any) -> Any:
        """One step."""
        self.optimizer.zero_grad()
        loss = ((self.w + self.v) * x).sum()
        loss.backward()
        self.optimizer.step()
        self.v.grad = None
        return loss


def test_another_optimiser() -> None:
    at = Descent(lambda given: optim.SGD(given, lr=1.0))
    run = chainrule.compile(at.step)
    run(X)
    assert at.w.tolist() == [-1, -2, -3]
    at.optimizer = optim.SGD([at.w], lr=0.0)
    run(X)
    assert at.w.tolist() == [-1, -2, -3]
    at.optimizer = optim.SGD([at.w], lr=2.0)
    run(X)
    assert at.w.tolist() == [-3, -6, -9]
    at.optimizer = optim.Adam([at.w], lr=1.0)
    run(X)
    assert at.w.tolist() == pytest.approx([-4, -7, -10], abs=1e-5)


def test_a_group_more_a_group_replaced_a_parameter_less() -> None:
    at = Descent(lambda given: optim.SGD(given, lr=1.0))
    run = chainrule.compile(at.step)
    run(X)
    at.optimizer.add_param_group({"params": [at.v], "lr": 2.0})
    run(X)
    assert at.w.tolist() == [-2, -4, -6] and at.v.tolist() == [-2, -4, -6]
    at.optimizer.param_groups[0] = dict(at.optimizer.param_groups[0], lr=0.0)
    run(X)
    assert at.w.tolist() == [-2, -4, -6] and at.v.tolist() == [-4, -8, -12]
    at.optimizer.param_groups[1]["params"] = []
    run(X)
    assert at.v.tolist() == [-4, -8, -12]
    at.optimizer.param_groups[0].update(lr=1)
    run(X)
    assert at.w.tolist() == [-3, -6, -9]
    at.optimizer.param_groups[0]["lr"] = 0.5
    run(X)
    assert at.w.tolist() == [-3.5, -7, -10.5]


@pytest.mark.parametrize("given", ["from outside", "as argument"])
def test_settings_of_an_optimiser(given: str) -> None:
    at = Descent(lambda params: optim.SGD(params, lr=1.0))
    group = at.optimizer.param_groups[0]

    def step(optimizer: Any, x: Any) -> None:
        optimizer.zero_grad()
        (at.w * x).sum().backward()
        optimizer.step()

    compiled = chainrule.compile(step)
    outside = chainrule.compile(lambda x: step(at.optimizer, x))

    def run() -> list[float]:
        compiled(at.optimizer, X) if given == "as argument" else outside(X)
        return at.w.tolist()

    assert run() == [-1, -2, -3]
    group["weight_decay"] = 1.0
    assert run() == [-1, -2, -3]  # the gradient is x + w = 0
    group["weight_decay"], group["maximize"] = 0.0, True
    assert run() == [0, 0, 0]
    group["maximize"], group["momentum"] = False, 0.5
    assert run() == [-1, -2, -3]
    assert run() == [-2.5, -5, -7.5]  # the velocity is 0.5·x + x


def test_the_state_of_an_optimiser_is_loaded() -> None:
    def outcome(prepare: Callable[[Any], Any]) -> list[float]:
        at = Descent(lambda given: optim.Adam(given, lr=0.1))
        run = prepare(at.step)
        run(X)
        saved = copy.deepcopy(at.optimizer.state_dict())
        for i in range(4):
            run(X * (i - 2))
        saved["param_groups"][0]["lr"] = 0.5
        at.optimizer.load_state_dict(saved)
        run(X)
        run(-X)
        at.optimizer.state.clear()
        run(X)
        return at.w.tolist()

    assert outcome(chainrule.compile) == pytest.approx(outcome(lambda function: function), rel=1e-5)


def test_hooks_of_an_optimiser() -> None:
    at = Descent(lambda given: optim.SGD(given, lr=1.0))
    run = chainrule.compile(at.step)
    run(X)

    def triple(optimizer: Any, args: Any, named: Any) -> None:
        at.w.grad.mul_(3)

    handle = at.optimizer.register_step_pre_hook(triple)
    run(X)
    assert at.w.tolist() == [-4, -8, -12]
    handle.remove()
    run(X)
    assert at.w.tolist() == [-5, -10, -15]


@pytest.mark.parametrize(
    ("made", "name", "values"),
    [
        (lambda given: optim.SGD(given, lr=0.1, momentum=0.5), "momentum", [0.5, 0.6, 0.7, 0.8, 0.9, 0.55]),
        (lambda given: optim.AdamW(given, lr=0.1), "weight_decay", [0.01, 0.02, 0.03, 0.05, 0.04, 0.07]),
        (lambda given: optim.Adam(given, lr=0.1), "betas", [(0.9, 0.99), (0.8, 0.9), (0.5, 0.95), (0.7, 0.8)]),
        (lambda given: optim.RMSprop(given, lr=0.1), "eps", [1e-8, 1e-3, 1e-2, 0.1, 0.5]),
    ],
    ids=["momentum", "weight decay", "betas", "eps"],
)
def test_numbers_in_groups_make_one_more_program_at_most(made: Any, name: str, values: list[Any]) -> None:
    def outcome(prepare: Callable[[Any], Any]) -> tuple[Any, list[float]]:
        at = Descent(made)
        run = prepare(at.step)
        for value in values:
            at.optimizer.param_groups[0][name] = value
            run(X)
        return run, at.w.tolist()

    run, weights = outcome(chainrule.compile)
    assert weights == pytest.approx(outcome(lambda function: function)[1], rel=1e-5)
    assert programs_of(run) <= 2


# ------------------------------------------------------------------------------------- runs


def data() -> DataLoader:
    """Sixteen points on a line, in order."""
    x = chainrule.linspace(-1, 1, 16).reshape(16, 1)
    return DataLoader(TensorDataset(x, x * 2 + 1), 4)


def trainer(compile: bool, folder: Path, kind: str = "Adam") -> Trainer:
    """A trainer that keeps checkpoints."""
    chainrule.manual_seed(0)
    model = nn.Sequential(nn.Linear(1, 4), nn.Tanh(), nn.Linear(4, 1))
    optimizer = getattr(optim, kind)(model.parameters(), lr=0.05)
    return Trainer(model, nn.MSELoss(), optimizer, compile=compile, callbacks=[Checkpoints(folder)])


def weights(of: Trainer) -> np.ndarray:
    """All of them."""
    return np.concatenate([p.detach().numpy().ravel() for p in of.model.parameters()])


def test_fit_resume_and_fit_on_one_trainer(tmp_path: Path) -> None:
    def outcome(compile: bool) -> np.ndarray:
        folder = tmp_path / str(compile)
        run = trainer(compile, folder)
        run.fit(data(), epochs=1)
        saved = copy.deepcopy(run.state_dict())
        run.fit(data(), epochs=3)
        run.load_state_dict(saved)
        assert run.epoch == 1
        run.fit(data(), epochs=3)
        return weights(run)

    straight = trainer(False, tmp_path / "straight")
    straight.fit(data(), epochs=3)
    for compile in (False, True):
        assert np.allclose(outcome(compile), weights(straight), rtol=1e-5, atol=1e-6)


def test_a_range_test_between_two_steps() -> None:
    def outcome(prepare: Callable[[Any], Any]) -> list[float]:
        chainrule.manual_seed(0)
        model = nn.Linear(1, 1)
        optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

        def step(x: Any, y: Any) -> Any:
            optimizer.zero_grad()
            loss = F.mse_loss(model(x), y)
            loss.backward()
            optimizer.step()
            return loss

        run = prepare(step)
        batches = list(data())
        losses = [run(x, y).item() for x, y in batches]
        optim.learning_rate_range_test(model, F.mse_loss, batches, optimizer, low=1e-4, high=1e-1, steps=5)
        return losses + [run(x, y).item() for x, y in batches] + model.weight.tolist()[0]

    assert outcome(chainrule.compile) == pytest.approx(outcome(lambda function: function), rel=1e-4)


def test_another_loss_and_optimiser_of_a_trainer(tmp_path: Path) -> None:
    def outcome(compile: bool) -> np.ndarray:
        run = trainer(compile, tmp_path / f"other {compile}", "SGD")
        run.fit(data(), epochs=1)
        run.loss = nn.L1Loss()
        run.fit(data(), epochs=2)
        run.optimizer.param_groups[0]["momentum"] = 0.5
        run.fit(data(), epochs=3)
        run.model[1] = nn.ReLU()  # type: ignore[index]
        run.fit(data(), epochs=4)
        return weights(run)

    assert np.allclose(outcome(True), outcome(False), rtol=1e-5, atol=1e-6)
