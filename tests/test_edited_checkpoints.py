"""Checkpoints that were edited, or belong to something else: one CheckpointError, and nothing is half loaded."""

from __future__ import annotations

import copy
import functools
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import nn, optim
from chainrule.data import DataLoader, TensorDataset
from chainrule.errors import CheckpointError
from chainrule.train import Callback, EarlyStopping, Trainer

CLOSURES = {"LBFGS", "Newton", "PerturbedGradientDescent"}
KINDS = {
    name: kind
    for name, kind in vars(optim).items()
    if isinstance(kind, type) and issubclass(kind, optim.Optimizer) and kind is not optim.Optimizer
}


def parameters() -> list[Any]:
    generator = chainrule.Generator().manual_seed(3)
    return [chainrule.randn(2, 3, generator=generator).requires_grad_(), chainrule.randn(4, 3).requires_grad_()]


def stepped(name: str, steps: int = 2) -> optim.Optimizer:
    """An optimiser after some steps; with momentum where it has some."""
    options = {"momentum": 0.9} if name in ("SGD", "RMSprop") else {}
    own = parameters()
    optimizer = KINDS[name](own, lr=0.01, **options) if name != "Newton" else KINDS[name](own)

    def closure():
        optimizer.zero_grad()
        loss = sum((p**2).sum() for p in own)
        if name != "Newton":
            loss.backward()
        return loss

    for _ in range(steps):
        if name in CLOSURES:
            optimizer.step(closure)
        else:
            closure()
            optimizer.step()
    return optimizer


@functools.cache
def state_of(name: str) -> dict[str, Any]:
    """The state after two steps."""
    return copy.deepcopy(stepped(name).state_dict())


def plain(thing: Any) -> Any:
    """With arrays as lists, so that it can be compared."""
    if isinstance(thing, dict):
        return {key: plain(value) for key, value in thing.items()}
    if isinstance(thing, list | tuple):
        return [plain(value) for value in thing]
    return thing.tolist() if hasattr(thing, "tolist") else thing


@pytest.mark.parametrize("name", sorted(KINDS))
def test_the_state_of_another_optimiser_is_refused_at_loading(name):
    optimizer = stepped(name, steps=1)
    before = plain(optimizer.state_dict())
    for other in sorted(set(KINDS) - {name}):
        with pytest.raises(CheckpointError):
            optimizer.load_state_dict(copy.deepcopy(state_of(other)))
        assert plain(optimizer.state_dict()) == before, other
    optimizer.load_state_dict(copy.deepcopy(state_of(name)))
    assert plain(optimizer.state_dict()) == plain(state_of(name))


@pytest.mark.peer
@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "NAdam", "RAdam", "Adamax", "ASGD"])
def test_pytorchs_states_are_told_apart_too(name):
    torch = pytest.importorskip("torch")
    for other in (
        "SGD",
        "Adam",
        "AdamW",
        "RMSprop",
        "Adagrad",
        "NAdam",
        "RAdam",
        "Adamax",
        "ASGD",
        "Adadelta",
        "Rprop",
    ):
        theirs = [torch.ones(2, 3, requires_grad=True), torch.ones(4, 3, requires_grad=True)]
        optimizer = getattr(torch.optim, other)(theirs, lr=0.1)
        sum((p**2).sum() for p in theirs).backward()
        optimizer.step()
        ours = KINDS[name](parameters(), lr=0.1)
        if other == name:
            ours.load_state_dict(optimizer.state_dict())
        else:
            with pytest.raises(CheckpointError):
                ours.load_state_dict(optimizer.state_dict())


@pytest.mark.parametrize(
    "edit",
    [
        lambda s: s.pop("state"),
        lambda s: s.update(state=[]),
        lambda s: s.update(param_groups=None),
        lambda s: s["param_groups"].append({"params": []}),
        lambda s: s["param_groups"][0].pop("betas"),
        lambda s: s["param_groups"][0].update(lr="fast"),
        lambda s: s["param_groups"][0].update(betas=0.9),
        lambda s: s["param_groups"][0].update(betas=(0.9, "b")),
        lambda s: s["param_groups"][0].update(params=[0, "one"]),
        lambda s: s["param_groups"][0].update(amsgrad=True),
        lambda s: s["state"].update({7: s["state"][0]}),
        lambda s: s["state"].update({"x": s["state"][0]}),
        lambda s: s["state"].update({0: 3}),
        lambda s: s["state"][1].pop("exp_avg"),
        lambda s: s["state"][1].update(exp_avg=chainrule.zeros(5)),
        lambda s: s["state"][1].update(exp_avg="nothing"),
        lambda s: s["state"].update({0: s["state"][1], 1: s["state"][0]}),
    ],
)
def test_an_edited_state_of_an_optimiser_changes_nothing(edit):
    saved = copy.deepcopy(stepped("Adam").state_dict())
    edit(saved)
    optimizer = stepped("Adam", steps=1)
    before = plain(optimizer.state_dict())
    with pytest.raises(CheckpointError):
        optimizer.load_state_dict(saved)
    assert plain(optimizer.state_dict()) == before


# ------------------------------------------------------------------------------------------- trainers


class Counting(Callback):
    """Has a state, and one that fails when it is taken back."""

    def __init__(self) -> None:
        self.count = 0

    def state_dict(self) -> dict[str, Any]:
        return {"count": self.count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.count = state["count"]
        if self.count < 0:
            raise ArithmeticError("a count below zero")


def trainer(seed: int = 0) -> Trainer:
    chainrule.manual_seed(seed)
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    return Trainer(
        model, nn.CrossEntropyLoss(), optimizer, metrics=["accuracy"], compile=False,
        schedule=optim.lr_scheduler.ExponentialLR(optimizer, 0.9), schedule_every="epoch",
        callbacks=[EarlyStopping(3), Counting()],
    )  # fmt: skip


def loader() -> DataLoader:
    x = chainrule.randn(16, 2, generator=chainrule.Generator().manual_seed(1))
    return DataLoader(TensorDataset(x, (x[:, 0] > 0).long()), 4, shuffle=True)


@pytest.fixture(scope="module")
def saved() -> dict[str, Any]:
    first = trainer()
    first.fit(loader(), loader(), epochs=2)
    return copy.deepcopy(first.state_dict())


EDITS: dict[str, Any] = {
    "no epoch": lambda s: s.pop("epoch"),
    "epoch is a text": lambda s: s.update(epoch="two"),
    "epoch is negative": lambda s: s.update(epoch=-1),
    "epoch is another": lambda s: s.update(epoch=7),
    "step is above steps": lambda s: s.update(step=10**6),
    "history is a text": lambda s: s.update(history="long"),
    "history has numbers": lambda s: s.update(history=[1, 2]),
    "loss is one number": lambda s: s.update(loss=[1.0]),
    "loss is a text": lambda s: s.update(loss=["a", "b"]),
    "no generator": lambda s: s.update(generator=None),
    "a generator of another shape": lambda s: s.update(generator=chainrule.zeros(9, dtype="int64")),
    "the model is a list": lambda s: s.update(model=[]),
    "a weight is missing": lambda s: s["model"].pop("2.weight"),
    "a weight has another shape": lambda s: s["model"].update({"2.weight": chainrule.zeros(1)}),
    "an optimiser of another kind": lambda s: s.update(optimizer=optim.SGD(parameters(), lr=1.0).state_dict()),
    "an optimiser's entry of another shape": lambda s: s["optimizer"]["state"][0].update(exp_avg=chainrule.zeros(1)),
    "a gradient of no parameter": lambda s: s.update(gradients={"nobody": chainrule.zeros(1)}),
    "a gradient of another shape": lambda s: s.update(gradients={"0.bias": chainrule.zeros(1)}),
    "a gradient is a text": lambda s: s.update(gradients={"0.bias": "x"}),
    "no schedule": lambda s: s.update(schedule=None),
    "a schedule of another kind": lambda s: s["schedule"].update(step_size=3),
    "a schedule's epoch is a text": lambda s: s["schedule"].update(last_epoch="x"),
    "metrics are too many": lambda s: s["metrics"].append({}),
    "a metric of another kind": lambda s: s.update(metrics=[{"total": 1.0}]),
    "a callback of another kind": lambda s: s["callbacks"].update(EarlyStopping={"best": 1}),
    "a callback waits for a text": lambda s: s["callbacks"]["EarlyStopping"].update(waited="x"),
    "a callback fails": lambda s: s["callbacks"]["Counting"].update(count=-1),
    "callbacks are a list": lambda s: s.update(callbacks=[]),
    "masters of bfloat16": lambda s: s.update(masters={"a": chainrule.zeros(1)}),
    "the loader is a number": lambda s: s.update(loader=3),
}


def everything(of: Trainer) -> Any:
    return plain(of.state_dict()) | {
        "lr": of.optimizer.param_groups[0]["lr"],
        "rng": chainrule.get_rng_state().tolist(),
    }


@pytest.mark.parametrize("name", sorted(EDITS))
def test_an_edited_checkpoint_changes_nothing(name, saved, tmp_path):
    state = copy.deepcopy(saved)
    EDITS[name](state)
    second = trainer(seed=5)
    second.fit(loader(), loader(), epochs=1)
    before = everything(second)
    with pytest.raises(CheckpointError):
        second.load_state_dict(state)
    assert everything(second) == before
    second.fit(loader(), loader(), epochs=2)  # and goes on
    assert second.epoch == 2


def test_the_whole_state_is_loaded(saved):
    second = trainer(seed=5)
    second.load_state_dict(copy.deepcopy(saved))
    assert plain(second.state_dict()) == plain(saved)
    for thing in ([], None, 3, {"epoch": 1}, second.model.state_dict()):
        with pytest.raises(CheckpointError):
            second.load_state_dict(thing)  # type: ignore[arg-type]
    assert plain(second.state_dict()) == plain(saved)
    np.testing.assert_array_equal(second.model[2].bias.detach().numpy(), saved["model"]["2.bias"].numpy())
