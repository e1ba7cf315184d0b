"""A trainer with a sum of losses, and with optimisers that compute the loss themselves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import nn, optim
from chainrule.train import Callback, Checkpoints, Trainer


class Ridge(nn.Module):
    """A loss with a penalty on the outputs, as a module."""

    def __init__(self) -> None:
        super().__init__()
        self.total = nn.WeightedSum(size=0.1)

    def forward(self, output: Any, target: Any) -> Any:
        return self.total(fit=(output - target).square().mean(), size=output.abs().mean())


def as_function() -> Any:
    total = nn.WeightedSum(size=0.1)
    return lambda output, target: total(fit=(output - target).square().mean(), size=output.abs().mean())


def batches(count: int = 3) -> list[tuple[Any, Any]]:
    generator = chainrule.Generator().manual_seed(1)
    sizes = [8] * (count - 1) + [5]
    return [(x := chainrule.randn(n, 3, generator=generator), x.sum(1, keepdim=True)) for n in sizes]


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("make", [Ridge, as_function])
def test_the_parts_of_a_sum_of_losses_are_in_the_history(compiled, make):
    chainrule.manual_seed(0)
    model = nn.Linear(3, 1)
    start = {name: value.detach_copy() for name, value in model.state_dict().items()}
    t = Trainer(model, make(), optim.SGD(model.parameters(), lr=0.1), compile=compiled)
    history = t.fit(batches(), batches(2), epochs=2)
    model.load_state_dict(start)
    optimizer, wanted = optim.SGD(model.parameters(), lr=0.1), []
    for _ in range(2):  # the same by hand
        sums = np.zeros(2)
        for x, y in batches():
            optimizer.zero_grad()
            fit, size = (model(x) - y).square().mean(), model(x).abs().mean()
            (fit + 0.1 * size).backward()
            sums += np.array([fit.item(), size.item()]) * len(x)
            optimizer.step()
        wanted.append(sums / 21)
    for row, (fit, size) in zip(history, wanted):
        assert row["train_loss_fit"] == pytest.approx(fit, rel=1e-4)
        assert row["train_loss_size"] == pytest.approx(size, rel=1e-4)
        assert row["train_loss"] == pytest.approx(fit + 0.1 * size, rel=1e-4)
        assert row["validation_loss"] == pytest.approx(
            row["validation_loss_fit"] + 0.1 * row["validation_loss_size"], rel=1e-4
        )


def test_the_parts_go_on_after_resuming():
    class Stop(Callback):
        def on_batch_end(self, trainer: Any, batch: Any) -> None:
            if trainer.steps == 4:
                saved.append(trainer.state_dict())
                raise KeyboardInterrupt

    def fresh(*callbacks: Callback) -> Trainer:
        chainrule.manual_seed(0)
        model = nn.Linear(3, 1)
        return Trainer(model, Ridge(), optim.Adam(model.parameters(), lr=0.1), callbacks=callbacks, compile=False)

    saved: list[Any] = []
    whole = fresh().fit(batches(), epochs=2)
    with pytest.raises(KeyboardInterrupt):
        fresh(Stop()).fit(batches(), epochs=2)
    again = fresh()
    again.load_state_dict(saved[0])
    history = again.fit(batches(), epochs=2)
    assert [row["train_loss_fit"] for row in history] == [row["train_loss_fit"] for row in whole]
    with pytest.raises(chainrule.CheckpointError, match="loss_parts"):
        again.load_state_dict({**saved[0], "loss_parts": {"fit": [1.0]}})


def test_parts_of_a_compiled_step_are_those_of_the_last_call():
    total = nn.WeightedSum()
    step = chainrule.compile(lambda x: total(a=x.sum(), b=x.mean()))
    for factor in (1.0, 2.0, 3.0):
        assert step(chainrule.ones(4) * factor).item() == 5 * factor
        assert {name: part.item() for name, part in total.parts.items()} == {"a": 4 * factor, "b": factor}


# -------------------------------------------------------------------------- optimisers with a closure

KINDS = {
    "LBFGS": lambda p: optim.LBFGS(p, max_iter=5, line_search_fn="strong_wolfe"),
    "Newton": lambda p: optim.Newton(p),
    "PerturbedGradientDescent": lambda p: optim.PerturbedGradientDescent(p, lr=0.1),
}


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("name", sorted(KINDS))
def test_optimisers_that_compute_the_loss_work_in_the_trainer(name, compiled):
    """One batch in each epoch: the trainer's steps are those by hand."""
    ((x, y),) = batches(1)
    results = []
    for by_hand in (True, False):
        chainrule.manual_seed(0)
        model, loss_function = nn.Linear(3, 1), nn.MSELoss()
        optimizer = KINDS[name](model.parameters())
        losses = []
        if by_hand:
            for _ in range(4):

                def closure(model=model, optimizer=optimizer, loss_function=loss_function):
                    optimizer.zero_grad()
                    loss = loss_function(model(x), y)
                    if name != "Newton":
                        loss.backward()
                    return loss

                losses.append(optimizer.step(closure).item())
        else:
            t = Trainer(model, loss_function, optimizer, compile=compiled, gradient_norm=True, metrics=["mae"])
            losses = [row["train_loss"] for row in t.fit([(x, y)], [(x, y)], epochs=4)]
        results.append((losses, model.weight.detach().numpy().tolist()))
    assert results[0] == results[1] and results[1][0][-1] < results[1][0][0]


def test_they_are_saved_and_resumed(tmp_path):
    for name, kind in KINDS.items():

        def fresh(kind=kind, name=name) -> Trainer:
            chainrule.manual_seed(0)
            model = nn.Linear(3, 1)
            return Trainer(
                model, nn.MSELoss(), kind(model.parameters()), callbacks=[Checkpoints(tmp_path / name)], compile=False
            )

        whole = fresh()
        whole.fit(batches(), epochs=4)
        for path in (tmp_path / name).iterdir():
            path.unlink()
        fresh().fit(batches(), epochs=2)
        again = fresh()
        Checkpoints(tmp_path / name).resume(again)
        again.fit(batches(), epochs=4)
        assert (again.model.weight == whole.model.weight).all(), name


@pytest.mark.parametrize(
    "settings", [{"clip_norm": 1.0}, {"clip_value": 1.0}, {"accumulate": 2}, {"precision": "bfloat16"}]
)
def test_what_makes_no_sense_with_them_is_one_clear_line(settings):
    model = nn.Linear(3, 1)
    (name,) = settings
    with pytest.raises(ValueError, match=f"LBFGS computes loss and gradients itself.*{name} cannot be set"):
        Trainer(model, nn.MSELoss(), optim.LBFGS(model.parameters()), **settings)
