"""The trainer: the same as a loop of one's own, exact figures, callbacks, and going on bit for bit."""

from __future__ import annotations

import math
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import nn
from chainrule.data import DataLoader, TensorDataset
from chainrule.train import Callback, DivergedError, EarlyStopping, Trainer, WeightAveraging


class Right:
    """A metric for these tests: the share of right answers."""

    name = "right"

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin anew."""
        self.right = self.count = 0

    def update(self, output: Any, target: Any) -> None:
        """Count a batch."""
        self.right += int((output.detach().argmax(1) == target).sum().item())
        self.count += len(target)

    def compute(self) -> float:
        """The share."""
        return self.right / self.count

    def state(self) -> list[int]:
        """What it has counted."""
        return [self.right, self.count]

    def load_state(self, state: list[int]) -> None:
        """Go on from there."""
        self.right, self.count = state


def data(seed: int = 0, size: int = 50) -> TensorDataset:
    random = np.random.default_rng(seed)
    x = random.standard_normal((size, 4)).astype("float32")
    return TensorDataset(chainrule.tensor(x), chainrule.tensor((x.sum(1) > 0).astype("int64")))


def network() -> Any:
    # No bias before the normalisation: its gradient is zero but for rounding, which Adam would blow up.
    return nn.Sequential(nn.Linear(4, 16, bias=False), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 2))


def trainer(**options: Any) -> Trainer:
    chainrule.manual_seed(7)
    model = network()
    optimizer = chainrule.optim.AdamW(model.parameters(), lr=0.01)
    schedule = chainrule.optim.lr_scheduler.OneCycleLR(optimizer, 0.05, total_steps=100)
    settings: dict[str, Any] = {"metrics": [Right()], "schedule": schedule, **options}
    return Trainer(model, nn.CrossEntropyLoss(), optimizer, **settings)


def weights(t: Trainer) -> list[Any]:
    return [x.numpy() for x in t.model.state_dict().values()]


@pytest.mark.parametrize("compiled", [False, True])
def test_it_is_the_usual_loop(compiled: bool) -> None:
    one = trainer(compile=compiled)
    one.fit(DataLoader(data(), 8, shuffle=True), epochs=3)
    chainrule.manual_seed(7)
    model = network()
    optimizer = chainrule.optim.AdamW(model.parameters(), lr=0.01)
    schedule = chainrule.optim.lr_scheduler.OneCycleLR(optimizer, 0.05, total_steps=100)
    for _ in range(3):
        for x, y in DataLoader(data(), 8, shuffle=True):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()
            schedule.step()
    for a, b in zip(weights(one), [x.numpy() for x in model.state_dict().values()], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_figures_are_exact_over_uneven_batches() -> None:
    t = trainer()
    t.fit(DataLoader(data(), 8, shuffle=True), epochs=1)
    validation = data(1, 37)
    found = t.evaluate(DataLoader(validation, 10))
    t.model.eval()
    with chainrule.no_grad():
        scores = t.model(validation.tensors[0])
        loss = nn.functional.cross_entropy(scores, validation.tensors[1]).item()
    assert found["loss"] == pytest.approx(loss, rel=1e-5)
    assert found["right"] == (scores.argmax(1) == validation.tensors[1]).double().mean().item()
    assert list(t.predict(DataLoader(validation, 10)).shape) == [37, 2]


def test_evaluating_leaves_the_mode_and_the_figures_of_the_epoch_alone() -> None:
    class Look(Callback):
        def on_batch_end(self, trainer: Any, batch: Any) -> None:
            trainer.evaluate(DataLoader(data(1), 10))
            assert trainer.model.training

    plain, looking = (trainer(callbacks=c).fit(DataLoader(data(), 8)) for c in ([], [Look()]))
    for name in ("train_loss", "train_right", "learning_rate"):
        assert plain[0][name] == looking[0][name]


@pytest.mark.parametrize("compiled", [False, True])
def test_accumulated_gradients_are_those_of_the_large_batch(compiled: bool) -> None:
    results = []
    for size, count in ((24, 1), (8, 3)):
        chainrule.manual_seed(0)
        model = nn.Linear(4, 2).double()
        optimizer = chainrule.optim.SGD(model.parameters(), lr=0.5)
        x, y = data(size=48).tensors
        t = Trainer(
            model, nn.CrossEntropyLoss(), optimizer, accumulate=count, clip_norm=0.3, clip_value=0.2, compile=compiled
        )
        t.fit(DataLoader(TensorDataset(x.double(), y), size), epochs=4)
        results.append(weights(t))
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_the_rest_of_an_iterable_gets_a_step_too() -> None:
    pairs = [(x[None], y[None]) for x, y in zip(*data(size=5).tensors, strict=True)]
    chainrule.manual_seed(0)
    one = nn.Linear(4, 2)
    t = Trainer(one, nn.CrossEntropyLoss(), chainrule.optim.SGD(one.parameters(), lr=0.5), accumulate=2, compile=False)

    class Stream:
        def __iter__(self) -> Any:
            return iter(pairs)

    t.fit(Stream(), epochs=1)
    assert all(p.grad is None for p in one.parameters())
    chainrule.manual_seed(0)
    other = nn.Linear(4, 2)
    optimizer = chainrule.optim.SGD(other.parameters(), lr=0.5)
    for start in (0, 2, 4):
        optimizer.zero_grad()
        for x, y in pairs[start : start + 2]:
            (nn.functional.cross_entropy(other(x), y) / 2).backward()
        optimizer.step()
    assert chainrule.allclose(one.weight, other.weight)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("batches", [1, 7, 8, 13, 20])
def test_a_run_goes_on_bit_for_bit(batches: int, compiled: bool) -> None:
    """Stopped in the middle of an epoch and at its end; new objects, the state through `state_dict`."""

    class Stop(Callback):
        last = True

        def on_batch_end(self, trainer: Any, batch: Any) -> None:
            if trainer.steps == batches:
                saved.append(trainer.state_dict())
                raise KeyboardInterrupt

    def fresh(callback: Callback) -> Trainer:
        return trainer(callbacks=[callback, EarlyStopping(50), WeightAveraging(0.9)], accumulate=2, compile=compiled)

    saved: list[Any] = []
    whole = fresh(Callback())
    whole.fit(DataLoader(data(), 8, shuffle=True), DataLoader(data(1), 16), epochs=3)
    with pytest.raises(KeyboardInterrupt):
        fresh(Stop()).fit(DataLoader(data(), 8, shuffle=True), DataLoader(data(1), 16), epochs=3)
    again = fresh(Callback())
    again.load_state_dict(saved[0])
    again.fit(DataLoader(data(), 8, shuffle=True), DataLoader(data(1), 16), epochs=3)
    for a, b in zip(weights(whole), weights(again), strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(whole.history, again.history, strict=True):
        for name in set(a) - {"seconds", "samples_per_second"}:
            assert a[name] == b[name], name
    first, second = whole.callbacks[2].average, again.callbacks[2].average  # type: ignore[attr-defined]
    for x, y in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        np.testing.assert_array_equal(x.numpy(), y.numpy())


def test_early_stopping_ends_training_and_restores_the_best_weights() -> None:
    t = trainer(callbacks=[EarlyStopping(patience=1, monitor="validation_right", mode="max")], schedule=None)
    history = t.fit(DataLoader(data(), 8, shuffle=True), DataLoader(data(1), 16), epochs=60)
    assert len(history) < 60 and "validation_right has not improved" in t.stopped
    best = max(row["validation_right"] for row in history)
    assert t.evaluate(DataLoader(data(1), 16))["right"] == best


def test_a_schedule_after_each_epoch_and_one_that_waits_for_a_plateau() -> None:
    chainrule.manual_seed(0)
    model = nn.Linear(4, 2)
    optimizer = chainrule.optim.SGD(model.parameters(), lr=1.0)
    schedule = chainrule.optim.lr_scheduler.StepLR(optimizer, 1, 0.1)
    t = Trainer(model, nn.CrossEntropyLoss(), optimizer, schedule=schedule, schedule_every="epoch")
    t.fit(DataLoader(data(), 10), epochs=3)
    assert [row["learning_rate"] for row in t.history] == pytest.approx([1, 0.1, 0.01])
    optimizer = chainrule.optim.SGD(model.parameters(), lr=0.0001)
    plateau = chainrule.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, threshold=10)
    t = Trainer(model, nn.CrossEntropyLoss(), optimizer, schedule=plateau)
    t.fit(DataLoader(data(), 10), DataLoader(data(1), 10), epochs=3)
    assert optimizer.param_groups[0]["lr"] < 0.0001


def test_a_loss_that_is_no_number_stops_with_advice() -> None:
    model = nn.Linear(4, 2)
    t = Trainer(model, nn.CrossEntropyLoss(), chainrule.optim.SGD(model.parameters(), lr=1e38))
    with pytest.raises(DivergedError, match="in batch 2 of epoch 1.*smaller learning rate"):
        t.fit([(x * 1e20, y) for x, y in DataLoader(data(), 8)], epochs=1)


def test_an_interruption_waits_for_the_batch_and_ends_everything() -> None:
    class Ask(Callback):
        ended = False

        def on_batch_end(self, trainer: Any, batch: Any) -> None:
            if trainer.steps == 3:
                os.kill(os.getpid(), signal.SIGINT)

        def on_fit_end(self, trainer: Any) -> None:
            self.ended = True

    ask = Ask()
    t = trainer(callbacks=[ask])
    with pytest.raises(KeyboardInterrupt):
        t.fit(DataLoader(data(), 8), epochs=2)
    assert t.steps == 3 and ask.ended


def test_what_does_not_fit_is_said() -> None:
    with pytest.raises(ValueError, match="schedule_every"):
        trainer(schedule_every="never")
    with pytest.raises(ValueError, match="at least 1 batch"):
        trainer(accumulate=0)
    state = trainer().state_dict()
    with pytest.raises(chainrule.CheckpointError, match="has 1 metrics, the trainer 0"):
        trainer(metrics=[]).load_state_dict(state)
    with pytest.raises(KeyError, match="monitors 'validation_f1'"):
        trainer(callbacks=[EarlyStopping(monitor="validation_f1")]).fit(DataLoader(data(), 8))
    assert math.isfinite(trainer().fit(DataLoader(data(), 8))[0]["train_loss"])


def test_augmentation_is_part_of_the_compiled_step(tmp_path: Path) -> None:
    """Random changes of the inputs are drawn anew in each step, and not applied when measuring."""
    seen = []

    def noise(x: Any) -> Any:
        seen.append(x.shape)
        return x + chainrule.randn(*x.shape)

    t = trainer(transform=noise)
    t.fit(DataLoader(data(), 10), DataLoader(data(1), 10), epochs=2)
    assert len(seen) <= 2  # traced, not called for each of the ten batches
