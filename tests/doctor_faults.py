"""For each condition that the doctor knows the faults that provoke it, and what is to be said of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import chainrule
from chainrule import nn, optim, rl
from chainrule.train import Doctor, Finding
from tests.doctor_cases import (
    INPUTS,
    LABELS,
    SPLITS,
    Amplifier,
    SquareRoot,
    adversaries_watched,
    agent_watched,
    answers,
    bumps,
    by_squares,
    filled,
    generator_watched,
    loop,
    masked,
    network,
    pairs,
    perceptron,
    regression,
    scaled,
    silenced,
    small_agent,
    train,
)


class Fault(NamedTuple):
    """A run with a fault built in, and what the doctor is to say.

    Attributes:
        condition: which.
        build: makes the run and answers with the findings.
        evidence: a regular expression that the evidence matches.
        paths: the layers named; None where it depends on the draw which.
        besides: other conditions that the fault brings along, and may be found too.
    """

    condition: str
    build: Callable[[], list[Finding]]
    evidence: str
    paths: tuple[str, ...] | None = ()
    besides: tuple[str, ...] = ()


def with_nan(place: tuple[int, ...]) -> Any:
    """The training digits with one pixel that is no number."""
    inputs = INPUTS.copy()
    inputs[place] = np.nan
    return pairs(inputs, LABELS)


def uneven() -> Any:
    """Metres beside millimetres: one feature a thousand times as wide."""
    data = regression(400)
    x, y = (part.numpy() for part in data[:])
    return pairs(x * np.float32([1, 1, 1, 1, 1000]) / 100, y)


def shifted(factor: float, offset: float) -> Any:
    """The validation digits, scaled otherwise."""
    x, y = (part.numpy() for part in SPLITS.validation[:])
    return pairs(x * np.float32(factor) + np.float32(offset), y)


def mixed_up(labels: Any) -> Any:
    """The labels in another order."""
    return np.random.default_rng(3).permutation(labels)


def some_wrong(labels: Any, share: float) -> Any:
    """Labels of which a share is drawn anew."""
    random = np.random.default_rng(4)
    return np.where(random.random(len(labels)) < share, random.integers(0, 10, len(labels)), labels)


def leaking() -> Any:
    """Validation data of which 30 of 210 samples are training samples."""
    x, y = (part.numpy() for part in SPLITS.validation[:180])
    return pairs(np.concatenate([x, INPUTS[40:70]]), np.concatenate([y, LABELS[40:70]]))


def rare(count: int) -> Any:
    """The digits 0 and 1, of the latter only so many."""
    kept = np.concatenate([np.flatnonzero(LABELS == 0)[:100], np.flatnonzero(LABELS == 1)[:count]])
    return INPUTS[kept], LABELS[kept]


def evaluated_in_training_mode() -> list[Finding]:
    """Only with gradients off, without a word to the doctor."""
    model = network(True)
    doctor = Doctor.watch(model, quiet=True)
    with chainrule.no_grad():
        model(SPLITS.validation[:8][0])
    return doctor.findings


FAULTS = [
    # ------------------------------------------------------------------------------ the start
    Fault(
        "all-equal initial weights",
        lambda: train(filled(perceptron(64, 32, 10), 0.05)),
        r"1\.weight = 0\.05, 3\.weight = 0\.05",
        ("1.weight", "3.weight"),
    ),
    Fault(
        "zero initial weights",
        lambda: train(filled(perceptron(64, 32, 10), 0.0)),
        r"2 of 2 weight matrices",
        ("1.weight", "3.weight"),
        ("dying ReLU",),
    ),
    Fault(
        "parameters left out",
        lambda: train(perceptron(64, 32, 10), rule=lambda parameters, lr: optim.Adam(list(parameters)[2:], lr)),
        r"does not hold 2 of 4 parameters",
        ("1.weight", "1.bias"),
    ),
    Fault("wrong initial loss", lambda: train(scaled(perceptron(64, 32, 10), 40.0, 3)), r"−ln\(1/10\) = 2\.3"),
    Fault(
        "wrong initial loss",
        lambda: train(
            scaled(perceptron(64, 32, 1), 60.0, 3), nn.BCEWithLogitsLoss(), pairs(INPUTS, answers(LABELS < 5)), False
        ),
        r"ln 2 = 0\.693",
    ),
    Fault(
        "summed loss",
        lambda: train(perceptron(64, 32, 10), nn.CrossEntropyLoss(reduction="sum"), rate=1e-4),
        r'CrossEntropyLoss has reduction="sum"',
    ),
    Fault(
        "output does not fit the loss",
        lambda: train(perceptron(64, 32, 10, end=(nn.Softmax(1),))),
        r"probabilities, not scores",
    ),
    Fault(
        "output does not fit the loss", lambda: train(perceptron(64, 32, 10), nn.NLLLoss()), r"exponentials sum to \d"
    ),
    Fault(
        "output does not fit the loss",
        lambda: train(
            perceptron(64, 32, 1, end=(nn.Sigmoid(),)),
            nn.BCEWithLogitsLoss(),
            pairs(INPUTS, answers(LABELS < 5)),
            False,
        ),
        r"lie in \[0\.\d+, 0\.\d+\], after a sigmoid",
    ),
    # ------------------------------------------------------------------------------ the data
    Fault(
        "NaN in the data",
        lambda: train(perceptron(64, 32, 10), data=with_nan((70, 0, 3, 5)), shuffle=False),
        r"inputs is nan: batch 2 of the training data, at \[6, 0, 3, 5\] \(sample 6 of it\)",
    ),
    Fault(
        "NaN in the data",
        lambda: train(perceptron(64, 32, 10), validation=with_nan((3, 0, 1, 1))),
        r"batch 1 of the validation data, at \[3, 0, 1, 1\]",
    ),
    Fault(
        "NaN in the data",
        lambda: by_squares(
            nn.Linear(1, 1), pairs(np.ones((8, 1), np.float32), np.full((8, 1), np.inf, np.float32)), False
        ),
        r"targets is inf: batch 1 of the training data, at \[0, 0\]",
    ),
    Fault(
        "inputs not normalised",
        lambda: train(perceptron(64, 32, 10), data=pairs(INPUTS * 255, LABELS), validation=shifted(255, 0)),
        r"mean -?\d\.\d+, standard deviation 25\d, from -207 to 471",
        (),
        ("wrong initial loss", "exploding gradients"),
    ),
    Fault(
        "inputs not normalised",
        lambda: by_squares(perceptron(5, 16, 1), uneven(), False),
        r"feature 4 spreads by [\d.]+, the median feature by 0\.\d+",
    ),
    Fault(
        "distribution mismatch",
        lambda: train(perceptron(64, 32, 10), validation=shifted(1, 0.5)),
        r"channel 0 has mean \S+ in training and 0\.49 in validation, [\d.]+ standard deviations apart \(1 of 1 differ\)",
    ),
    Fault(
        "distribution mismatch",
        lambda: by_squares(
            perceptron(5, 16, 1),
            regression(400),
            pairs(regression(200).tensors[0].numpy() * 3, regression(200).tensors[1].numpy()),
        ),
        r"has mean square",
    ),
    Fault(
        "distribution mismatch",
        lambda: train(perceptron(64, 32, 10), None, pairs(INPUTS[np.argsort(LABELS)][:800], np.sort(LABELS)[:800])),
        r"class [6-9] is 0\.0% of the training and 1\d\.\d% of the validation labels \(\d of 10 classes differ\)",
    ),
    Fault(
        "leakage",
        lambda: train(perceptron(64, 32, 10), validation=leaking()),
        r"30 of 210 validation samples \(14\.3%\) .* number 180",
    ),
    Fault(
        "class imbalance",
        lambda: train(perceptron(64, 32, 10), None, pairs(*rare(6)), False),
        r"class 0 has 100 samples \(94\.3%\), class 1 has 6 \(2 classes\)",
    ),
    Fault(
        "class imbalance",
        lambda: train(perceptron(64, 32, 1), nn.BCEWithLogitsLoss(), pairs(rare(6)[0], answers(rare(6)[1])), False),
        r"class 0 has 100 samples \(94\.3%\), class 1 has 6 ",
    ),
    Fault(
        "unlearnable targets",
        lambda: train(perceptron(64, 64, 10), data=pairs(INPUTS, mixed_up(LABELS)), epochs=8),
        r"best validation loss in 5 epochs is 2\.\d+; always giving the same answer costs 2\.30",
        (),
        ("underfitting",),
    ),
    # ------------------------------------------------------------------------------ on the way
    Fault(
        "vanishing gradients",
        lambda: train(perceptron(64, *[32] * 7, 10, activation=nn.Sigmoid)),
        r"batch 2 the gradient of 1\.weight is .* over 8 layers",
        None,
    ),
    Fault(
        "exploding gradients",
        lambda: train(scaled(perceptron(64, *[64] * 5, 10), 20.0), rate=1e-4),
        r"batch 2 the gradient of \d+\.weight",
        None,
        ("wrong initial loss",),
    ),
    Fault(
        "exploding gradients",
        lambda: train(perceptron(64, 32, 32, 32, 10, activation=Amplifier)),
        r"batch 2 the gradient of 1\.weight is \S+ times as large as its weights, that of the last layers 0\.\d+ times",
        None,  # and of 3.weight, from most first weights
    ),
    Fault(
        "exploding gradients",
        lambda: by_squares(nn.Sequential(filled(nn.Linear(5, 1), 0.0), SquareRoot()), regression(100), False),
        r"in batch 1 the loss is [012]\.\d+, but gradients are NaN or infinite",
        ("0.weight", "0.bias"),
    ),
    Fault(
        "exploding gradients",
        lambda: by_squares(
            nn.Sequential(filled(nn.Linear(5, 1), 0.0), SquareRoot()), regression(100), False, gradient_norm=False
        ),
        r"loss of batch 1 was [012]\.\d+, but its step made parameters NaN or infinite",
        ("0.weight", "0.bias"),
    ),
    Fault(
        "dying ReLU",
        lambda: train(silenced(perceptron(64, 32, 10), 1, 20)),
        r"20 of 32 units of 2 gave 0 for every sample of 3 batches, up to batch 3",
        ("2",),
    ),
    Fault(
        "saturation",
        lambda: train(scaled(perceptron(64, 32, 10, activation=nn.Tanh), 60.0, 1)),
        r"batch 2 beyond the sensitive range: (8|9)\d% of 2",
        ("2",),
    ),
    Fault(
        "saturation",
        lambda: train(scaled(perceptron(64, 32, 10, activation=nn.Sigmoid), 100.0, 1)),
        r"(8|9)\d% of 2",
        ("2",),
    ),
    # ------------------------------------------------------------------------------ the steps
    Fault(
        "learning rate too large",
        lambda: by_squares(perceptron(5, 32, 1), regression(400), False, rule=optim.SGD, rate=30.0, epochs=5),
        r"the loss is no finite number in batch \d+ of all; it was \d",
        (),
        ("exploding gradients",),
    ),
    Fault(
        "learning rate too large",
        lambda: train(perceptron(64, 32, 10), rule=optim.SGD, rate=50.0),
        r"the first loss was 2\.\d+; the median of 20 up to batch \d+ is \d",
        (),
        ("dying ReLU",),
    ),
    Fault(
        "learning rate too small",
        lambda: train(perceptron(64, 32, 10), rule=optim.SGD, rate=1e-6),
        r"went from 2\.\d+ to 2\.\d+ in 3 epochs, and the weights moved by [\d.e-]+ of their size",
    ),
    # ------------------------------------------------------------------------------ the loop
    Fault(
        "forgotten eval()",
        lambda: loop(network(True, 0.5), eval_mode=False),
        r"evaluated with 3 such layers",
        ("1", "5", "8"),
    ),
    Fault("forgotten eval()", evaluated_in_training_mode, r"evaluated with 2 such layers", ("1", "5")),
    Fault(
        "forgotten train()",
        lambda: loop(network(True), train_mode=False),
        r"batch \d+ was learned from in evaluation mode",
        ("1", "5"),
    ),
    Fault(
        "forgotten zero_grad()",
        lambda: loop(perceptron(64, 32, 10), clear=False),
        r"gradients held are [\d.]+ times as long",
        ("1.weight", "1.bias", "3.weight", "3.bias"),
    ),
    # ------------------------------------------------------------------------------ the curves
    Fault(
        "overfitting",
        lambda: train(
            perceptron(64, 256, 10),
            None,
            pairs(INPUTS[:200], some_wrong(LABELS[:200], 0.4)),
            pairs(INPUTS[200:400], some_wrong(LABELS[200:400], 0.4)),
            epochs=40,
            rate=3e-3,
        ),
        r"best in epoch \d+ with \d.*while the training loss went from",
    ),
    Fault(
        "underfitting",
        lambda: train(perceptron(64, 1, 10), epochs=8, rate=1e-2),
        r"after 8 epochs the training loss is 1\.\d+ .*; knowing nothing costs 2\.3",
    ),
    Fault(
        "validation easier than training",
        lambda: train(perceptron(64, 32, 10), None, pairs(INPUTS, some_wrong(LABELS, 0.5)), epochs=12),
        r"in 3 epochs: (\d[\d.]+ against \d[\d.]+(, )?){3}",
        (),
        ("underfitting",),
    ),
    # ------------------------------------------------------------------------------ generators
    Fault(
        "mode collapse",
        lambda: generator_watched(chainrule.ones(64, 4) + 0.01 * chainrule.randn(64, 4), chainrule.randn(64, 4)),
        r"64 generated samples spread by 0\.0",
    ),
    Fault(
        "mode collapse",
        lambda: generator_watched(chainrule.randn(4, 4).repeat(16, 1), chainrule.randn(64, 4)),
        r"nearest other one is typically 0 away",
    ),
    # ------------------------------------------------------------------------------ agents
    *(
        Fault(
            "time limits taken for ends",
            lambda kind=kind: agent_watched(  # type: ignore[misc]
                small_agent(masked(kind), "pendulum" if kind is rl.SAC else "cartpole"), 400
            ),
            r"were cut off; [1-9]\d* were learned from as ended",
        )
        for kind in (rl.DQN, rl.SAC, rl.PPO, rl.A2C, rl.REINFORCE)
    ),
    Fault(
        "dead exploration",
        lambda: agent_watched(
            small_agent(rl.DQN, "mountaincar", 50, epsilon_end=0.0, exploration=0.01, train_every=40), 3000
        ),
        r"exploration is 0 of the full; the latest episodes return -50, the first -50 ± 0",
    ),
    Fault(
        "dead exploration",
        lambda: agent_watched(small_agent(rl.A2C, "mountaincar", 50, entropy=-1.0, learning_rate=0.03), 3000),
        r"exploration is 0\.00|exploration is \d\S*e-",
    ),
    Fault(
        "diverging Q-function",
        lambda: agent_watched(
            small_agent(rl.DQN, "cartpole", target_every=1, learning_rate=0.3, double=False, gamma=0.9), 2000
        ),
        r"q\(s, a\) is \S+ in size; with these rewards no return exceeds 10\.",
    ),
    Fault(
        "mode collapse",
        lambda: generator_watched(bumps(0.0, 0.0), bumps(0.0, 20.0)),
        r"near 50% of 512 real samples generated ones are rare or absent",
    ),
    Fault(
        "winning discriminator",
        lambda: adversaries_watched("non_saturating", (1.2, 1.0), (0.01, 0.5)),
        r"over 200 rounds the discriminator's loss was 0\.1\d*; knowing nothing costs 1\.39",
    ),
    Fault(
        "vanishing generator gradient",
        lambda: adversaries_watched("minimax", (1.2, 1.0), (0.5, 1e-5)),
        r"gradient was 0\.00\d* long; it was 1 once",
    ),
]
