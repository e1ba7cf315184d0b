"""The trainer: the same as a loop of one's own, exact figures, callbacks, and going on bit for bit."""

from __future__ import annotations

import io
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
from chainrule.train import Callback, DivergedError, EarlyStopping, RangeFinder, Recorder, Trainer, WeightAveraging

NIGHTLY = bool(os.environ.get("CHAINRULE_NIGHTLY"))


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


STOPS = (1, 7, 8, 13, 20)


@pytest.mark.parametrize(
    ("batches", "compiled"), [*((at, False) for at in STOPS), *((at, True) for at in (STOPS if NIGHTLY else (7, 13)))]
)
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
        t.fit([(x * 1e3, y) for x, y in DataLoader(data(), 8)], epochs=1)


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


def test_augmentation_is_part_of_the_compiled_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random changes of the inputs are drawn anew in each step, and not applied when measuring."""
    monkeypatch.setenv("CHAINRULE_STRICT", "")  # the traces are counted
    seen = []

    def noise(x: Any) -> Any:
        seen.append(x.shape)
        return x + chainrule.randn(*x.shape)

    t = trainer(transform=noise)
    t.fit(DataLoader(data(), 10), DataLoader(data(1), 10), epochs=2)
    assert len(seen) <= 6  # traced, and looked at again in the calls 2, 4, 8, 16; not called for each of the 20 batches


def test_bfloat16_sums_small_updates_in_float32() -> None:
    model = nn.Linear(1, 1, bias=False)
    nn.init.ones_(model.weight)
    optimizer = chainrule.optim.SGD(model.parameters(), lr=1e-3)
    trainer = Trainer(model, lambda output, _: output.mean(), optimizer, precision="bfloat16")
    batches = [(chainrule.ones(1, 1), chainrule.zeros(1))] * 10
    trainer.fit(batches, epochs=10)
    assert model.weight.dtype is chainrule.bfloat16
    assert model.weight.item() == pytest.approx(0.9, abs=2**-8), "100 steps of 0.001, each below half a unit"
    plain = nn.Linear(1, 1, bias=False).bfloat16()
    nn.init.ones_(plain.weight)
    rule = chainrule.optim.SGD(plain.parameters(), lr=1e-3)
    for _ in range(100):
        plain(chainrule.ones(1, 1).bfloat16()).mean().backward()
        rule.step()
        rule.zero_grad()
    assert plain.weight.item() == 1.0, "without masters nothing moves"


def test_the_mean_of_weights_in_bfloat16_is_that_of_their_masters() -> None:
    """Steps of 0.001 below half a unit of the weight: 1 − 0.001·n, whose fading mean is known."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.ones_(model.weight)
    averaging = WeightAveraging(decay=0.5)
    optimizer = chainrule.optim.SGD(model.parameters(), lr=1e-3)
    trainer = Trainer(model, lambda y, _: y.mean(), optimizer, callbacks=[averaging], precision="bfloat16")
    batches = [(chainrule.ones(1, 1), chainrule.zeros(1))] * 4
    trainer.fit(batches, epochs=1)
    trainer.load_state_dict(trainer.state_dict())
    trainer.fit(batches, epochs=2)
    wanted = 1 - 1e-3
    for n in range(2, 9):
        wanted = (wanted + 1 - 1e-3 * n) / 2
    assert averaging.average is not None
    assert averaging.average.module.weight.dtype is chainrule.float32
    assert averaging.average.module.weight.item() == pytest.approx(wanted, abs=1e-6)


def test_the_mean_follows_what_was_never_bfloat16_too() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Parameter(chainrule.ones(1))
            self.second = nn.Parameter(chainrule.ones(1, dtype=chainrule.float64))

        def forward(self, x: Any) -> Any:
            return x.float() * (self.first.float() + self.second.float())

    model, averaging = Two(), WeightAveraging(decay=0.5)
    optimizer = chainrule.optim.SGD(model.parameters(), lr=0.1)
    trainer = Trainer(model, lambda y, _: y.mean(), optimizer, callbacks=[averaging], precision="bfloat16")
    trainer.fit([(chainrule.ones(1, 1), chainrule.zeros(1))] * 8, epochs=1)
    wanted = 0.9
    for n in range(2, 9):
        wanted = (wanted + 1 - 0.1 * n) / 2
    assert averaging.average is not None
    assert averaging.average.module.first.item() == pytest.approx(wanted, abs=1e-6)
    assert averaging.average.module.second.item() == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("compile", [False, True])
def test_bfloat16_learns_and_goes_on_bit_for_bit(compile: bool) -> None:
    def trainer() -> Trainer:
        chainrule.manual_seed(1)
        model = network()
        optimizer = chainrule.optim.Adam(model.parameters(), lr=1e-2)
        return Trainer(model, nn.CrossEntropyLoss(), optimizer, metrics=["accuracy"], precision="bfloat16",
                       clip_norm=1.0, compile=compile)  # fmt: skip

    whole = trainer()
    history = whole.fit(DataLoader(data(), 10, shuffle=True), DataLoader(data(1), 50), epochs=6)
    assert history[-1]["validation_accuracy"] > 0.8
    assert whole.model[1].running_mean.dtype is chainrule.float32
    first = trainer()
    first.fit(DataLoader(data(), 10, shuffle=True), DataLoader(data(1), 50), epochs=3)
    state = first.state_dict()
    second = trainer()
    second.load_state_dict(state)
    second.fit(DataLoader(data(), 10, shuffle=True), DataLoader(data(1), 50), epochs=6)
    for name, value in whole.model.state_dict().items():
        assert chainrule.equal(value, second.model.state_dict()[name]), name
    plain = network()
    other = Trainer(plain, nn.CrossEntropyLoss(), chainrule.optim.Adam(plain.parameters()))
    with pytest.raises(chainrule.CheckpointError, match="bfloat16"):
        other.load_state_dict({**state, "metrics": []})


@pytest.mark.parametrize("at", [1, 5, 7])
def test_a_mean_of_a_model_in_bfloat16_goes_on_bit_for_bit(at: int) -> None:
    """After a step, an epoch of five, and between two parts of a gradient; from a file, with new objects."""

    class Tied(nn.Module):
        """Two layers of one weight, and a bias that does not learn."""

        def __init__(self) -> None:
            super().__init__()
            self.first, self.second, self.last = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)
            self.norm = nn.BatchNorm1d(4)
            self.second.weight = self.first.weight
            self.last.bias.requires_grad_(False)

        def forward(self, x: Any) -> Any:
            return self.last(self.second(self.norm(self.first(x)).relu()))

    class Stop(Callback):
        last = True  # after the mean has been taken

        def on_batch_end(self, trainer: Any, batch: Any) -> None:
            if trainer.steps == at:
                chainrule.save(trainer.state_dict(), file)
                raise KeyboardInterrupt

    def trainer(seed: int, *callbacks: Callback) -> Trainer:
        chainrule.manual_seed(seed)
        model = Tied()
        optimizer = chainrule.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.01)
        return Trainer(
            model, nn.CrossEntropyLoss(), optimizer, callbacks=[WeightAveraging(0.9), *callbacks], accumulate=2,
            clip_norm=1.0, precision="bfloat16", compile=False,
        )  # fmt: skip

    def learn(one: Trainer) -> Trainer:
        one.fit(DataLoader(data(size=40), 8, shuffle=True), DataLoader(data(1), 16), epochs=2)
        return one

    file = io.BytesIO()
    whole, again = learn(trainer(5)), trainer(99)
    with pytest.raises(KeyboardInterrupt):
        learn(trainer(5, Stop()))
    file.seek(0)
    again.load_state_dict(chainrule.load(file))
    learn(again)
    assert whole.halves is not None and again.halves is not None
    pairs = [(whole.model.state_dict(), again.model.state_dict()), (whole.halves.masters, again.halves.masters)]
    pairs.append(tuple(t.callbacks[0].average.state_dict() for t in (whole, again)))
    for ours, theirs in pairs:
        assert list(ours) == list(theirs)
        assert all(chainrule.equal(ours[name], theirs[name]) for name in ours)
    assert [r["validation_loss"] for r in whole.history] == [r["validation_loss"] for r in again.history]


@pytest.mark.parametrize("scheduled", [False, True])
def test_the_range_finder_sets_a_rate_that_learns(scheduled: bool) -> None:
    model = nn.Linear(4, 2)  # without noise: where that is larger than what is learned, no test finds a rate
    optimizer = chainrule.optim.SGD(model.parameters(), lr=1e-8)
    schedule = chainrule.optim.lr_scheduler.warmup_cosine(optimizer, 5, 50) if scheduled else None
    before = {name: value.clone() for name, value in model.state_dict().items()}
    finder, losses = RangeFinder(steps=60), []

    class Look(Callback):
        def on_fit_start(self, trainer: Any) -> None:
            assert all(chainrule.equal(before[n], v) for n, v in trainer.model.state_dict().items()), "put back"

        def on_batch_end(self, trainer: Any, batch: Any) -> None:
            losses.append(float(optimizer.param_groups[0]["lr"]))

    trainer = Trainer(model, nn.CrossEntropyLoss(), optimizer, schedule=schedule, callbacks=[finder, Look()])
    history = trainer.fit(DataLoader(data(), 50), epochs=50)
    assert finder.found is not None and finder.found.suggestion is not None
    assert max(losses) == pytest.approx(finder.found.suggestion) and history[-1]["train_loss"] < 0.5
    if scheduled:
        assert losses[0] < max(losses) > losses[-1]
    cycle = chainrule.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=10)
    with pytest.raises(ValueError, match="OneCycleLR has rates of its own"):
        Trainer(model, nn.CrossEntropyLoss(), optimizer, schedule=cycle, callbacks=[RangeFinder()]).fit([])


def test_the_recorder_keeps_few_points(monkeypatch: Any) -> None:
    from chainrule.train.callbacks import recorder

    monkeypatch.setattr(recorder, "MOST", 20)
    model, recorded = nn.Linear(2, 1), Recorder()
    optimizer = chainrule.optim.SGD(model.parameters(), lr=0.1)
    trainer = Trainer(model, nn.MSELoss(), optimizer, callbacks=[recorded], gradient_norm=True, compile=False)
    x, y = chainrule.randn(4, 2), chainrule.randn(4, 1)
    model(x).sub(y).square().mean().backward()
    norm = sum(float(p.grad.square().sum()) for p in model.parameters()) ** 0.5
    optimizer.zero_grad()
    trainer.fit([(x, y)] * 100)
    places, values = recorded.series["gradient norm"]
    assert len(places) <= 20 and places == list(range(places[0], 101, places[0]))
    first = Recorder()
    Trainer(model, nn.MSELoss(), optimizer, callbacks=[first], gradient_norm=True).fit([(x, y)])
    assert first.series["gradient norm"][1][0] < norm and values[0] < norm, "it fell while it learned"


def test_no_batches_are_an_error() -> None:
    batches = list(DataLoader(data(), 10))
    once = (batch for batch in batches)
    t = trainer(schedule=None)
    with pytest.raises(chainrule.DataError, match="epoch 2 has no batches: this generator gives its batches once"):
        t.fit(once, epochs=2)
    assert t.epoch == 1 and len(t.history) == 1
    assert len(t.fit(batches, epochs=2)) == 2, "with other data it goes on"
    for empty, says in (
        ([], "this list is empty"),
        (DataLoader(data(size=5), 10, drop_last=True), "smaller batch_size"),
    ):
        with pytest.raises(chainrule.DataError, match=says):
            trainer(schedule=None).fit(empty)
        with pytest.raises(chainrule.DataError, match=f"evaluate: there is nothing to measure on: .*{says}"):
            trainer().evaluate(empty)


def test_an_optimiser_of_another_model_is_refused() -> None:
    model, other = network(), network()
    optimizer = chainrule.optim.SGD(other.parameters(), lr=0.1)
    with pytest.raises(ValueError, match="SGD holds none of the parameters of this Sequential"):
        Trainer(model, nn.CrossEntropyLoss(), optimizer)
    Trainer(model.requires_grad_(False), nn.CrossEntropyLoss(), optimizer)  # nothing is to be learned
