"""Another batch size: functions are known by how their loops are walked, so none is written or compiled again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import models, nn
from chainrule.backends.native import executable
from chainrule.backends.native.emitting import kernels
from chainrule.nn import functional as F
from tests.training_steps import training_step

Make = Callable[[int], tuple[Any, Any]]


def images(channels: int, size: int) -> Make:
    """Images and labels of ten classes."""
    random = np.random.default_rng(0)
    return lambda n: (
        chainrule.tensor(random.standard_normal((n, channels, size, size)).astype("f4")),
        chainrule.tensor(random.integers(0, 10, n)),
    )


def texts(n: int) -> tuple[Any, Any]:
    """Tokens and those that follow."""
    random = np.random.default_rng(0)
    return chainrule.tensor(random.integers(0, 11, (n, 12))), chainrule.tensor(random.integers(0, 11, n * 12))


class Flat(nn.Module):
    """A decoder whose scores are rows."""

    def __init__(self) -> None:
        super().__init__()
        self.decoder = models.DecoderTransformer(11, 2, 16, 2, 12)

    def forward(self, x: Any) -> Any:
        return self.decoder(x).flatten(0, 1)


def normalised() -> Any:
    """Convolutions with normalisation over the batch, one of them depthwise."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(),
        nn.Conv2d(16, 16, 3, padding=1, groups=16), nn.BatchNorm2d(16), nn.GELU(),
        nn.AvgPool2d(2), nn.Flatten(), nn.Linear(16 * 16, 10),
    )  # fmt: skip


MODELS: dict[str, tuple[Callable[[], Any], Make]] = {
    "normalised": (normalised, images(3, 8)),
    "LeNet-5": (lambda: models.LeNet5(image_size=28), images(1, 28)),
    "decoder": (Flat, texts),
}


def training(make: Callable[[], Any]) -> tuple[Any, Any]:
    """A step of training, and the model."""
    chainrule.manual_seed(0)
    model = make()
    optimizer = chainrule.optim.AdamW(model.parameters(), lr=1e-3)

    return training_step(model, optimizer), model


@pytest.fixture
def written_twice(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Each function that is taken because of its structure is written all the same, and must be what was taken."""
    ask, taken = kernels._functions.get, []

    def get(key: Any) -> Any:
        known = ask(key)
        return known and (*known, taken.append(key))[:2]

    written = kernels._written

    def both(emitter: Any, more: Any) -> Any:
        before = len(taken)
        kernel = written(emitter, more)
        if len(taken) > before:
            assert emitter.emit().text() == kernel.code.text()
            assert len(emitter.questions) == len(kernel.numbers)
        return kernel

    monkeypatch.setattr(kernels._functions, "get", get)
    monkeypatch.setattr(kernels, "_written", both)
    yield taken


@pytest.mark.parametrize("name", MODELS)
def test_second_size(name: str, written_twice: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """No function is new for 48 samples after 64, and the results are eager's."""
    make, batch = MODELS[name]
    step, model = training(make)
    compiled = chainrule.compile(step)
    known: list[set[str]] = []
    functions = executable.functions
    monkeypatch.setattr(executable, "functions", lambda texts: (known.append(set(texts.values())), functions(texts))[1])
    for n in (64, 48):
        compiled(*batch(n))
    assert len(known) == 2 and written_twice
    assert not known[1] - known[0]
    for n in (48, 64, 48):
        state = {key: value.clone() for key, value in model.state_dict().items()}
        x, y = batch(n)
        model.load_state_dict(state)
        expected = F.cross_entropy(model(x), y)
        model.load_state_dict(state)
        np.testing.assert_allclose(compiled(x, y).numpy(), expected.detach().numpy(), rtol=2e-5)


def test_counts_are_numbers() -> None:
    """A mean over 48 samples and one over 36 are one function: how many there are is one of its arguments."""
    mean = chainrule.compile(lambda x: (x.mean(0) * 3.7 - 1.3).sum())
    random = np.random.default_rng(1)
    texts = []
    for n in (48, 36):
        x = random.standard_normal((n, 20)).astype("f4")
        expected = (x.astype("f8").mean(0) * 3.7 - 1.3).sum()
        assert abs(float(mean(chainrule.tensor(x))) - expected) < 1e-4
        texts.append(set(mean.program.executable.builder.texts()))
    assert texts[0] == texts[1]


@pytest.mark.parametrize("number", [0.0, -0.0, 3.7, -1e-42, 1e300, float("inf"), float("nan"), 1 / 3])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_constants_keep_their_bits(number: float, dtype: str) -> None:
    """A constant that is an argument is the same number to the last bit."""
    kind = getattr(chainrule, dtype)
    x = chainrule.tensor(np.linspace(-2, 2, 19), dtype=kind)
    compiled = chainrule.compile(lambda x: (x * number, x + number, number - x, x / (number or 1.0)))
    with np.errstate(all="ignore"):
        for a, b in zip(compiled(x), (x * number, x + number, number - x, x / (number or 1.0)), strict=True):
            np.testing.assert_array_equal(
                a.numpy().view(np.uint8)[~np.isnan(a.numpy()).repeat(a.element_size())],
                b.numpy().view(np.uint8)[~np.isnan(b.numpy()).repeat(b.element_size())],
            )
            np.testing.assert_array_equal(np.isnan(a.numpy()), np.isnan(b.numpy()))
