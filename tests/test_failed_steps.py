"""A compiled step that fails, or is only explained, leaves all that it keeps in Python as it was: eager code says how."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import nn, optim
from chainrule.nn import functional as F
from chainrule.train import DivergedError, Trainer


class Momentum(optim.Optimizer):
    """A rule of a user's: its memory begins as the gradient."""

    def __init__(self, params: Any) -> None:
        super().__init__(params, {"lr": 0.1})

    def update(self, parameter: Any, gradient: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        if "velocity" not in state:
            state["velocity"] = gradient.clone()
        else:
            state["velocity"].mul_(0.9).add_(gradient)
        parameter.assign(parameter - state["velocity"] * group["lr"])


class Stepping(optim.Optimizer):
    """Another one, which says the whole step."""

    def __init__(self, params: Any) -> None:
        super().__init__(params, {"lr": 0.1})

    def step(self, closure: Any = None) -> None:
        with chainrule.no_grad():
            for group in self.param_groups:
                for p in group["params"]:
                    state = self.state[p]
                    if "velocity" not in state:
                        state["velocity"] = p.grad.clone()
                    else:
                        state["velocity"].mul_(0.9).add_(p.grad)
                    p.sub_(state["velocity"], alpha=group["lr"])


Make = Callable[[Any], optim.Optimizer]
OPTIMISERS: dict[str, Make] = {
    "SGD": lambda params: optim.SGD(params, lr=0.1, momentum=0.9, dampening=0.5),
    "Adam": lambda params: optim.Adam(params, lr=0.1),
    "a user's rule": Momentum,
    "a user's step": Stepping,
}
by_each = pytest.mark.parametrize("make", OPTIMISERS.values(), ids=OPTIMISERS)
X, BAD, GOOD = chainrule.eye(3)[:2].double(), chainrule.tensor([0, 3]), chainrule.tensor([0, 2])


def learner(make: Make) -> tuple[Any, optim.Optimizer, Callable[[Any, Any], Any]]:
    chainrule.manual_seed(0)
    model = nn.Linear(3, 3).double()
    optimizer = make(model.parameters())

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return model, optimizer, step


def trained(make: Make) -> Any:
    """The weights after three eager steps."""
    model, _, step = learner(make)
    for _ in range(3):
        step(X, GOOD)
    return model.weight.detach().numpy()


@by_each
def test_a_failed_trace_leaves_no_memory(make: Make) -> None:
    model, optimizer, step = learner(make)

    @chainrule.compile
    def asking(x: Any, y: Any) -> Any:
        if step(x, y) > 0:
            return None

    with pytest.raises(chainrule.TraceError, match="branch"):
        asking(X, GOOD)
    assert len(optimizer.state) == 0 and not optimizer.stepped
    for _ in range(3):
        step(X, GOOD)
    np.testing.assert_array_equal(model.weight.detach().numpy(), trained(make))


@by_each
def test_a_failed_run_leaves_no_memory(make: Make) -> None:
    model, optimizer, step = learner(make)
    run = chainrule.compile(step)
    for _ in range(4):  # as often as one likes
        with pytest.raises(IndexError, match="label 3"):
            run(X, BAD)
        assert len(optimizer.state) == 0
    for _ in range(3):
        run(X, GOOD)
    np.testing.assert_allclose(model.weight.detach().numpy(), trained(make), rtol=1e-9)


@by_each
@pytest.mark.parametrize("form", [lambda f: f, chainrule.compile], ids=["eager", "compiled"])
def test_an_explained_step_leaves_no_memory(make: Make, form: Any) -> None:
    model, optimizer, step = learner(make)
    run = form(step)
    for _ in range(2):
        chainrule.explain(run, X, GOOD)
        assert len(optimizer.state) == 0
    for _ in range(3):
        run(X, GOOD)
    np.testing.assert_allclose(model.weight.detach().numpy(), trained(make), rtol=1e-9)


def test_what_is_made_while_it_is_explained_is_whole() -> None:
    made: list[Any] = []

    def function(x: Any) -> Any:
        made.append(nn.BatchNorm1d(3))
        return made[0](x)

    chainrule.explain(function, chainrule.ones(2, 3))
    assert sorted(made[0].state_dict()) == ["bias", "num_batches_tracked", "running_mean", "running_var", "weight"]


class Registering(nn.Module):
    """Changes itself by methods of ours, which no observer follows."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x: Any) -> Any:
        self.register_buffer("seen", x * 2, persistent=False)
        self.register_parameter("scale", nn.Parameter(chainrule.ones(3)))
        self.layer.eval()
        return self.layer(x) * self.scale


def test_a_failed_step_registers_nothing() -> None:
    model = Registering()

    @chainrule.compile
    def trace(x: Any) -> Any:
        if model(x).sum() > 0:
            return None

    @chainrule.compile
    def run(x: Any, y: Any) -> Any:
        return F.cross_entropy(model(x), y)

    before = sorted(model.state_dict())
    with pytest.raises(chainrule.TraceError, match="branch"):
        trace(chainrule.ones(2, 3))
    with pytest.raises(IndexError, match="label 3"):
        run(chainrule.ones(2, 3), BAD)
    assert sorted(model.state_dict()) == before and dict(model.named_buffers()) == {}
    assert model.layer.training and model._not_saved == set()


def test_a_failed_step_makes_no_entries() -> None:
    lists: defaultdict[str, list[Any]] = defaultdict(list)
    tables: defaultdict[str, dict[str, Any]] = defaultdict(dict, old={"x": 1})

    @chainrule.compile
    def step(x: Any) -> Any:
        lists["losses"].append(x * 2)
        tables["new"]["x"] = x * 3
        tables["old"]["x"] = x * 3
        if x.sum() > 0:
            return None

    with pytest.raises(chainrule.TraceError, match="branch"):
        step(chainrule.ones(2))
    assert lists == {} and tables == {"old": {"x": 1}}


def test_a_mode_that_a_failed_step_has_set_is_the_old_one_for_later_calls() -> None:
    """The program of the failed call is there; it must not be taken for that of a layer in training."""
    model = nn.Sequential(nn.Dropout(0.9), nn.Linear(3, 3))

    def forward(x: Any, y: Any) -> Any:
        loss = F.cross_entropy(model(x), y)
        model.eval()
        return loss

    step = chainrule.compile(forward)
    with pytest.raises(IndexError, match="label 3"):
        step(X.float(), BAD)
    assert model.training
    chainrule.manual_seed(1)
    found = step(X.float(), GOOD)
    model.train()
    chainrule.manual_seed(1)
    np.testing.assert_allclose(found.item(), forward(X.float(), GOOD).item(), rtol=1e-6)


# ------------------------------------------------------------------------------------------- trainers that diverge


class Replacing(nn.Module):
    """Keeps a mean by putting another tensor into its buffer, and counts batches in a buffer that comes later."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", chainrule.zeros(3))
        self.layers = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 3))

    def forward(self, x: Any) -> Any:
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * x.detach().mean(0)
        return self.layers(x - self.mean)


def everything_in(trainer: Trainer) -> dict[str, Any]:
    """What a model and its optimiser hold, by name."""
    found = {name: x.numpy() for name, x in trainer.model.state_dict().items()}
    for number, entries in trainer.optimizer.state_dict()["state"].items():
        found |= {f"{number}.{name}": x for name, x in _flat(entries).items()}
    return found


def _flat(entries: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, x in entries.items():
        parts = enumerate(x) if isinstance(x, list) else [("", x)]
        flat |= {f"{name}{i}": p.detach().numpy() if isinstance(p, chainrule.Tensor) else p for i, p in parts}
    return flat


TRAINED: dict[str, Make] = {**OPTIMISERS, "RMSprop": lambda params: optim.RMSprop(params, lr=0.01, momentum=0.9)}
BATCH = chainrule.eye(4)[:, :3], chainrule.tensor([0, 1, 2, 0])


@pytest.mark.parametrize("steps", [0, 2])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"compile": False},
        {"accumulate": 2},
        {"gradient_norm": False},
        {"debug": True},
        {"debug": True, "compile": False},
    ],
    ids=str,
)
@pytest.mark.parametrize("make", TRAINED.values(), ids=TRAINED)
def test_a_batch_that_diverges_leaves_everything_as_it_was(make: Make, settings: Any, steps: int) -> None:
    chainrule.manual_seed(0)
    model = Replacing()
    trainer = Trainer(model, nn.CrossEntropyLoss(), make(model.parameters()), **settings)
    if steps:
        trainer.fit([BATCH] * steps, epochs=1)
    before = everything_in(trainer)
    bad = chainrule.full((4, 3), float("nan")), BATCH[1]
    with pytest.raises(DivergedError):
        trainer.fit([bad, bad], epochs=2)
    after = everything_in(trainer)
    assert before.keys() == after.keys()
    for name, x in before.items():
        np.testing.assert_array_equal(after[name], x, err_msg=name)
    assert np.isfinite(trainer.evaluate([BATCH])["loss"])


@pytest.mark.parametrize("compiled", [True, False])
def test_lazy_layers_have_sizes_and_no_statistics_after_a_first_batch_that_diverges(compiled: bool) -> None:
    model = nn.Sequential(nn.LazyLinear(4), nn.LazyBatchNorm1d(), nn.Linear(4, 3))
    trainer = Trainer(model, nn.CrossEntropyLoss(), optim.Adam(model.parameters()), compile=compiled)
    with pytest.raises(DivergedError):
        trainer.fit([(BATCH[0] * float("inf"), BATCH[1])], epochs=1)
    assert model[1].running_mean.tolist() == [0] * 4 and model[1].running_var.tolist() == [1] * 4
    assert np.isfinite(trainer.fit([BATCH], epochs=1)[-1]["train_loss"])


@pytest.mark.parametrize("compiled", [True, False])
def test_training_goes_on_after_a_batch_that_diverges(compiled: bool) -> None:
    losses = []
    for diverges in (False, True):
        chainrule.manual_seed(0)
        model = Replacing()
        trainer = Trainer(model, nn.CrossEntropyLoss(), optim.Adam(model.parameters()), compile=compiled)
        if diverges:
            with pytest.raises(DivergedError):
                trainer.fit([(BATCH[0] * float("inf"), BATCH[1])], epochs=1)
        losses.append([row["train_loss"] for row in trainer.fit([BATCH] * 2, epochs=3)])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-6)


def test_an_optimiser_with_a_closure_remembers_nothing_of_a_batch_that_diverges() -> None:
    chainrule.manual_seed(0)
    model = Replacing()
    trainer = Trainer(model, nn.CrossEntropyLoss(), optim.LBFGS(model.parameters(), lr=0.1, max_iter=3))
    trainer.fit([BATCH] * 2, epochs=1)
    before = everything_in(trainer)
    with pytest.raises(DivergedError):
        trainer.fit([(BATCH[0] * float("inf"), BATCH[1])], epochs=2)
    after = everything_in(trainer)
    assert before.keys() == after.keys()
    for name, x in before.items():
        np.testing.assert_array_equal(after[name], x, err_msg=name)
