"""The doctor finds each fault that is built in, with its place and numbers, is silent otherwise, and changes nothing.

With CHAINRULE_NIGHTLY the runs in which all is well are as long as those of users.
"""

from __future__ import annotations

import io
import math
import random
import re
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import chainrule
from chainrule import generative, nn, optim
from chainrule.data import DataLoader
from chainrule.data.transforms import RandomCrop
from chainrule.train import Checkpoints, Doctor, Finding, Trainer, mode_collapse, overfit_one_batch
from chainrule.train.doctor.conditions import RULES
from chainrule.train.doctor.finding import SEVERITIES
from tests.doctor_cases import (
    HEALTHY,
    INPUTS,
    LABELS,
    SPLITS,
    SquareRoot,
    filled,
    loop,
    network,
    pairs,
    perceptron,
    scaled,
    silenced,
    train,
)
from tests.doctor_faults import FAULTS, Fault, some_wrong


def told(findings: list[Finding]) -> list[tuple[str, str, tuple[str, ...]]]:
    """What matters in an assertion that fails."""
    return [(finding.condition, finding.evidence, finding.paths) for finding in findings]


# ------------------------------------------------------------------------------------- all is well


@pytest.mark.parametrize("kind", HEALTHY)
def test_silent_when_all_is_well(kind: str) -> None:
    chainrule.manual_seed(0)
    assert told(HEALTHY[kind]()) == []


def test_a_sound_loop_of_ones_own() -> None:
    chainrule.manual_seed(0)
    assert told(loop(network(True, 0.5))) == []


def test_nothing_is_printed_when_all_is_well() -> None:
    chainrule.manual_seed(0)
    console = Console(file=io.StringIO())
    train(perceptron(64, 32, 10), epochs=6, doctor=Doctor(5, console=console))
    assert console.file.getvalue() == ""  # type: ignore[attr-defined]


# ------------------------------------------------------------------------------------- faults


@pytest.mark.filterwarnings("ignore::chainrule.errors.EvaluationWarning")
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.condition)
def test_finds_the_fault(fault: Fault) -> None:
    chainrule.manual_seed(0)
    findings = fault.build()
    found = [finding for finding in findings if finding.condition == fault.condition]
    assert len(found) == 1, told(findings)
    assert re.search(fault.evidence, found[0].evidence, re.IGNORECASE), told(found)
    assert found[0].paths == fault.paths if fault.paths is not None else found[0].paths[0] == "1.weight", told(found)
    besides = {finding.condition for finding in findings} - {fault.condition}
    assert besides <= set(fault.besides), told(findings)


def test_every_condition_is_provoked() -> None:
    assert {fault.condition for fault in FAULTS} == {rule.condition for rule in RULES}


def test_every_rule_is_told_in_full() -> None:
    assert len({rule.condition for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert rule.severity in SEVERITIES and rule.remedies, rule
        for text in (rule.shows, rule.cause):
            assert text[0].isupper() and text.endswith((".", ".)")) and "  " not in text, (rule, text)
        assert rule.source and rule.__doc__, rule


def one(findings: list[Finding], condition: str) -> Finding:
    (found,) = [finding for finding in findings if finding.condition == condition]
    return found


def test_the_first_loss_is_the_first_loss() -> None:
    chainrule.manual_seed(5)
    model = scaled(perceptron(64, 32, 10), 40.0, 3)
    x, y = chainrule.tensor(INPUTS[:64]), chainrule.tensor(LABELS[:64])
    wanted = nn.functional.cross_entropy(model(x), y).item()
    evidence = one(train(model, shuffle=False, epochs=1), "wrong initial loss").evidence
    assert f"The first loss is {wanted:.3g};" in evidence and f"{math.log(10):.3g}" in evidence


def test_units_die_on_the_way() -> None:
    """Units that were alive first: the epoch is when they had been silent for three looks."""
    chainrule.manual_seed(0)
    model = perceptron(64, 32, 10)
    doctor = Doctor(5, quiet=True)
    trainer = Trainer(model, nn.CrossEntropyLoss(), optim.Adam(model.parameters()), callbacks=[doctor])
    loader = DataLoader(SPLITS.train, batch_size=64)
    trainer.fit(loader, epochs=2)
    assert not doctor.findings
    silenced(model, 1, 17)
    trainer.fit(loader, epochs=3)
    found = one(doctor.findings, "dying ReLU")
    assert (found.epoch, found.paths) == (3, ("2",))
    silent, _, _ = found.evidence.partition(" of 32 units")
    assert 17 <= int(silent) <= 20, "the seventeen, and perhaps some that never fired in three batches by themselves"


def test_overfitting_is_told_in_the_epoch_that_shows_it() -> None:
    """The evidence's numbers are those of the history."""
    chainrule.manual_seed(1)
    doctor, model = Doctor(quiet=True), perceptron(64, 256, 10)
    optimizer = optim.Adam(model.parameters(), lr=3e-3)
    trainer = Trainer(model, nn.CrossEntropyLoss(), optimizer, callbacks=[doctor])
    held = DataLoader(pairs(INPUTS[200:400], some_wrong(LABELS[200:400], 0.4)), batch_size=200)
    data = DataLoader(pairs(INPUTS[:200], some_wrong(LABELS[:200], 0.4)), batch_size=64, shuffle=True)
    history = trainer.fit(data, held, epochs=40)
    found = one(doctor.findings, "overfitting")
    seen = history[: found.epoch]
    best = min(seen, key=lambda row: row["validation_loss"])
    assert f"best in epoch {best['epoch']} with {best['validation_loss']:.3g};" in found.evidence
    assert f"from {best['train_loss']:.3g} to {seen[-1]['train_loss']:.3g}." in found.evidence


def test_one_zero_layer_is_a_usual_beginning() -> None:
    chainrule.manual_seed(0)
    model = perceptron(64, 32, 10)
    filled(model[3], 0.0)
    assert told(train(model, epochs=6)) == []


def test_a_weighted_loss_answers_imbalance() -> None:
    chainrule.manual_seed(0)
    kept = np.flatnonzero((LABELS == 0) | (LABELS == 1))
    kept = kept[(LABELS[kept] == 0) | (np.arange(len(kept)) % 12 == 0)]
    weight = chainrule.tensor([1.0, 12.0, *[1.0] * 8])
    conditions = [f.condition for f in train(network(), nn.CrossEntropyLoss(weight), pairs(INPUTS[kept], LABELS[kept]), False)]  # fmt: skip
    assert "class imbalance" not in conditions


def test_steps_that_are_too_large_are_not_taken_for_gradients_that_are_no_numbers() -> None:
    """In both the loss is NaN at once; with a step of 1e25 the weights were numbers until then."""
    assert [f.condition for f in train(perceptron(64, 32, 10), rate=1e25)][-1] == "learning rate too large"


def test_a_gradient_that_is_no_number_in_a_loop_of_ones_own() -> None:
    model, loss_function = nn.Sequential(filled(nn.Linear(5, 1), 0.0), SquareRoot()), nn.MSELoss()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    doctor = Doctor.watch(model, optimizer, quiet=True)  # without the loss: it cannot run the batch again
    for _ in range(2):
        optimizer.zero_grad()
        loss = loss_function(model(chainrule.ones(8, 5)), chainrule.ones(8, 1))
        loss.backward()
        doctor.observe(loss, chainrule.ones(8, 5), chainrule.ones(8, 1))
        optimizer.step()
    assert told(doctor.findings) == [
        (
            "exploding gradients",
            "The loss of batch 1 was 1, but its step made parameters NaN or infinite.",
            ("0.weight", "0.bias"),
        )
    ]


def test_clipped_gradients_do_not_explode() -> None:
    chainrule.manual_seed(0)
    found = train(scaled(perceptron(64, *[64] * 5, 10), 20.0), rate=1e-4, clip_norm=1.0)
    assert "exploding gradients" not in [finding.condition for finding in found]


def test_one_batch_by_heart() -> None:
    chainrule.manual_seed(0)
    x, y = chainrule.tensor(INPUTS[:32]), chainrule.tensor(LABELS[:32])
    model = network(True, 0.5)
    before = {name: value.numpy().copy() for name, value in model.state_dict().items()}
    assert overfit_one_batch(model, nn.CrossEntropyLoss(), x, y) is None
    assert all((value.numpy() == before[name]).all() for name, value in model.state_dict().items()) and model.training
    found = overfit_one_batch(model, nn.CrossEntropyLoss(), chainrule.zeros(32, 1, 8, 8), y, steps=20)
    assert found is not None and found.condition == "unlearnable targets" and "32 samples" in found.evidence
    constant = nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.Softmax(1))  # of which the loss stays above 1.46
    assert overfit_one_batch(constant, nn.CrossEntropyLoss(), x, y) is not None


def test_mode_collapse_wants_enough_samples() -> None:
    with pytest.raises(ValueError, match="at least 8"):
        mode_collapse(chainrule.randn(7, 2), chainrule.randn(100, 2))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("last", "found"), [(0.0, True), (0.1, True), (0.7, False), (1.0, False)], ids=["none", "few", "fewer", "all"]
)
def test_modes_that_are_rare_count_as_lost(seed: int, last: float, found: bool) -> None:
    """25 modes of which 5 have `last` of their share: a few samples do not cover a mode; an uneven share does."""
    draws, data = np.random.default_rng(seed), generative.grid()
    shares = np.where(np.arange(25) < 5, last, 1.0)
    chosen = draws.choice(25, 1000, p=shares / shares.sum())
    noise = draws.normal(size=(1000, 2)) * data.deviation * 1.3
    chainrule.manual_seed(seed)
    finding = mode_collapse(data.centers[chosen] + chainrule.tensor(noise).float(), data.sample(1000))
    assert (finding is not None) == found


def test_settings_out_of_range() -> None:
    with pytest.raises(ValueError, match="at least every 1, got 0"):
        Doctor(every=0)


# ------------------------------------------------------------------------------------- nothing changes


def numpy_noise(x: chainrule.Tensor) -> chainrule.Tensor:
    """An augmentation that draws from NumPy's and Python's own streams."""
    return x + float(np.random.normal()) * 0.01 + random.random() * 0.01


def trained(doctor: Doctor | None, **settings: Any) -> tuple[dict[str, Any], list[dict[str, Any]], Any]:
    """Weights, figures and the next random number after three epochs."""
    chainrule.manual_seed(7)
    np.random.seed(7)
    random.seed(7)
    model = network(True, 0.5)
    optimizer = optim.Adam(model.parameters(), lr=1e-2)
    callbacks = [] if doctor is None else [doctor]
    trainer = Trainer(model, nn.CrossEntropyLoss(), optimizer, callbacks=callbacks, metrics=["accuracy"], **settings)
    history = trainer.fit(
        DataLoader(pairs(INPUTS[:400], LABELS[:400]), 64, shuffle=True), DataLoader(SPLITS.validation, 256), epochs=3
    )  # fmt: skip
    timeless = [{k: v for k, v in row.items() if "second" not in k} for row in history]
    draws = chainrule.rand(1).item(), np.random.random(), random.random()
    return {k: v.numpy().copy() for k, v in model.state_dict().items()}, timeless, draws


@pytest.mark.parametrize(
    "settings",
    [
        {}, {"compile": False}, {"transform": RandomCrop(8, padding=1)}, {"transform": numpy_noise, "compile": False},
        {"accumulate": 3, "clip_norm": 0.5},
    ],
    ids=["compiled", "eager", "augmented", "NumPy's stream", "accumulated"],
)  # fmt: skip
def test_training_is_the_same_bit_for_bit(settings: dict[str, Any]) -> None:
    plain, watched = trained(None, **settings), trained(Doctor(every=2, quiet=True), **settings)
    assert plain[1:] == watched[1:]
    assert all((plain[0][name] == watched[0][name]).all() for name in plain[0])


def test_a_generator_that_the_augmentation_knows() -> None:
    def run(doctor: Doctor | None) -> Any:
        generator = chainrule.Generator(3)

        def transform(x: chainrule.Tensor) -> chainrule.Tensor:
            return x + 0.1 * chainrule.randn(*x.shape, generator=generator)

        return trained(doctor, transform=transform)

    plain, watched = run(None), run(Doctor(every=1, quiet=True))
    assert plain[1:] == watched[1:]
    assert all((plain[0][name] == watched[0][name]).all() for name in plain[0])


def test_a_loop_of_ones_own_is_the_same() -> None:
    def run(watched: bool) -> Any:
        chainrule.manual_seed(2)
        model = network(True, 0.5)
        optimizer, loss_function = optim.SGD(model.parameters(), lr=0.05), nn.CrossEntropyLoss()
        doctor = Doctor.watch(model, optimizer, loss_function, every=1, quiet=True) if watched else None
        for x, y in DataLoader(SPLITS.train, batch_size=256, shuffle=True):
            optimizer.zero_grad()
            loss = loss_function(model(x), y)
            loss.backward()
            if doctor is not None:
                doctor.observe(loss, x, y)
            optimizer.step()
        return [value.numpy() for value in model.state_dict().values()]

    assert all((plain == watched).all() for plain, watched in zip(run(False), run(True), strict=True))


def test_hooks_of_the_user_are_not_called() -> None:
    calls = []
    model = perceptron(64, 16, 10)
    model[1].register_forward_hook(lambda *_: calls.append(1))
    doctor = Doctor(every=1, quiet=True)
    trainer = Trainer(
        model, nn.CrossEntropyLoss(), optim.SGD(model.parameters()), callbacks=[doctor], compile=False
    )  # fmt: skip
    trainer.fit([(chainrule.tensor(INPUTS[:8]), chainrule.tensor(LABELS[:8]))] * 3)
    assert len(calls) == 3


def test_goes_on_after_an_interruption(tmp_path: Path) -> None:
    """What was found is not found again, and what is remembered goes on: the same findings as without a break."""

    def trainer(folder: str, doctor: Doctor) -> Trainer:
        chainrule.manual_seed(3)
        model = silenced(perceptron(64, 256, 10), 1, 140)
        optimizer = optim.Adam(model.parameters(), lr=3e-3)
        return Trainer(model, nn.CrossEntropyLoss(), optimizer, callbacks=[doctor, Checkpoints(tmp_path / folder)])

    def loaders() -> tuple[DataLoader[Any], DataLoader[Any]]:
        return (
            DataLoader(pairs(INPUTS[:200], some_wrong(LABELS[:200], 0.4)), batch_size=64, shuffle=True),
            DataLoader(pairs(INPUTS[200:400], some_wrong(LABELS[200:400], 0.4)), batch_size=200),
        )

    whole, first, second = (Doctor(5, quiet=True) for _ in range(3))
    trainer("whole", whole).fit(*loaders(), epochs=40)
    trainer("parts", first).fit(*loaders(), epochs=4)
    resumed = trainer("parts", second)
    assert Checkpoints(tmp_path / "parts").resume(resumed)
    assert told(second.findings) == told(first.findings) != []
    resumed.fit(*loaders(), epochs=40)
    assert second.findings == whole.findings
    assert [finding.condition for finding in whole.findings] == ["dying ReLU", "overfitting"]


class Uncopiable(nn.Module):
    """A model with a part that cannot be copied."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.lock = nn.Linear(64, 10), threading.Lock()

    def forward(self, x: chainrule.Tensor) -> chainrule.Tensor:
        return self.layer(x.flatten(1))


def test_training_goes_on_if_the_doctor_cannot_look() -> None:
    with pytest.warns(UserWarning, match="cannot run a copy of Uncopiable .*lock") as warned:
        found = train(filled(Uncopiable(), 0.5), data=pairs(INPUTS[:200], LABELS[:200]), epochs=2)
    assert len(warned) == 1 and [finding.condition for finding in found] == ["all-equal initial weights"]
