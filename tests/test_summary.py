"""The summary of a model: published totals, the compiler's own count, and what gradients reach."""

from __future__ import annotations

import functools
import json
import math
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import models, nn
from chainrule.cli import main as command
from chainrule.explain import summary
from chainrule.models.registry import Entry, entries, find
from chainrule.nn.init import skip_filling
from tests.parameter_counts import count

#: What networks that cannot be made without it are told.
NEEDED: dict[str, dict[str, Any]] = {
    "decoder": {"vocabulary": 65},
    "rnn_classifier": {"vocabulary": 50, "num_classes": 3},
    "rnn_language_model": {"vocabulary": 65},
    "rnn_translator": {"source_vocabulary": 50, "target_vocabulary": 40},
    "transformer": {"source_vocabulary": 50, "target_vocabulary": 40},
}


def of_entry(entry: Entry) -> tuple[nn.Module, Any]:
    with skip_filling():
        model = entry.build(**NEEDED.get(entry.name, {}))
    sizes = [entry.input] * (2 if "pairs" in entry.data else 1)
    return model, summary(model, size=sizes, dtype="int64" if entry.reads_tokens else "float32")


@pytest.mark.parametrize("name", entries())
def test_every_network_has_a_summary_with_all_its_parameters(name: str) -> None:
    model, found = of_entry(find(name))
    assert found.parameters == count(model)
    assert found.trainable == sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert found.parameter_bytes == 4 * count(model)
    called = [row for row in found if row.output is not None]
    assert called and all(row.memory >= 0 and math.prod(row.output) > 0 for row in called)
    assert json.loads(found.json())["flops"] == found.flops


@pytest.mark.parametrize(
    ("name", "billions"),
    [
        ("alexnet", 0.714), ("vgg16", 15.47), ("vgg19", 19.63), ("resnet18", 1.814), ("resnet34", 3.664),
        ("resnet50", 4.089), ("resnet101", 7.801), ("resnet152", 11.51), ("resnext50_32x4d", 4.23),
        ("mobilenet_v2", 0.301), ("googlenet", 1.498), ("vit_b_16", 17.56), ("vit_b_32", 4.41),
    ],
)  # fmt: skip
def test_multiplications_are_the_published_ones(name: str, billions: float) -> None:
    """torchvision's documentation lists them, with each network's weights ("GFLOPS", which are pairs)."""
    assert of_entry(find(name))[1].flops / 2e9 == pytest.approx(billions, rel=2e-3)


CASES: dict[str, tuple[Any, tuple[int, ...], str]] = {
    "convolutions": (
        lambda: nn.Sequential(nn.Conv2d(3, 16, 5), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3)),
        (3, 32, 32),
        "float32",
    ),
    "branches and strides": (lambda: find("resnet20_cifar").build(), (3, 32, 32), "float32"),
    "groups": (lambda: nn.Conv2d(8, 16, 3, groups=2, dilation=2), (8, 12, 12), "float32"),
    "a transposed convolution": (lambda: nn.ConvTranspose2d(3, 4, 2, stride=2), (3, 8, 8), "float32"),
    "attention": (lambda: nn.TransformerEncoderLayer(16, 2, 32, batch_first=True), (12, 16), "float32"),
    "a loop": (lambda: nn.LSTM(8, 16, batch_first=True), (10, 8), "float32"),
    "a decoder": (lambda: find("decoder").build(vocabulary=65), (32,), "int64"),
}


@pytest.mark.parametrize("case", CASES)
def test_operations_are_what_the_compiler_counts(case: str) -> None:
    make, size, dtype = CASES[case]
    model = make().eval()
    x = chainrule.zeros(2, *size, dtype=dtype)

    @functools.partial(chainrule.compile, exact=True)  # convolutions as sums, without Winograd's algorithm
    def forward(x):
        with chainrule.no_grad():
            return model(x)

    counted = sum(row.operations for row in forward.profile(x, runs=1).rows)
    # The summary counts whole products; compiled attention leaves out the half of them that a causal mask forbids: in 4
    # layers two products of 32×32 scores over 128 features, each for 2 samples.
    left_out = 4 * 2 * (2 * 2 * 32 * 32 * 128) // 2 if case == "a decoder" else 0
    assert summary(model, size=size, batch=2, dtype=dtype).flops == counted + left_out > 0


class Asks(nn.Module):
    """It looks at its numbers, so it cannot be noted on symbols."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(3, 4), nn.Linear(3, 5)

    def forward(self, x):
        return self.two(x) if x.sum().item() > 0 else self.one(x)


def test_a_model_that_asks_for_numbers_is_run() -> None:
    model = Asks()
    found = summary(model, chainrule.ones(2, 3))
    assert [(row.path, row.output, row.parameters, row.flops) for row in found] == [
        ("two", (2, 5), 20, 60), ("one", None, 16, None)
    ]  # fmt: skip
    assert [row.path for row in summary(model, size=(3,))] == ["one", "two"]


def test_nothing_is_left_behind_in_the_model() -> None:
    """A lazy layer stays lazy, and what the forward pass writes or draws is taken back."""
    lazy = nn.Sequential(nn.LazyLinear(3), nn.ReLU())
    assert summary(lazy, size=(5,)).parameters == 18
    assert type(lazy[0]) is nn.LazyLinear and lazy(chainrule.ones(1, 4)).shape == (1, 3)

    class Counts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("calls", chainrule.zeros(1))

        def forward(self, x):
            self.calls += 1
            return x + chainrule.rand(1) + self.calls

    model = Counts()
    for inputs in ({"size": (2,)}, {}):
        chainrule.manual_seed(5)
        wanted = chainrule.rand(1).item()
        chainrule.manual_seed(5)
        summary(model, *([] if inputs else [chainrule.ones(1, 2)]), **inputs)
        assert chainrule.rand(1).item() == wanted and model.calls.tolist() == [0.0]
    assert summary(nn.Linear(2, 3).double(), size=(2,)).memory == 24


def test_rows_hold_what_is_their_own() -> None:
    """A part that is used twice counts its parameters once; what a module does itself is its own row."""

    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(chainrule.ones(4))
            self.layer, self.frozen = nn.Linear(4, 4, bias=False), nn.Linear(4, 2).requires_grad_(False)

        def forward(self, x):
            x = self.layer(self.layer(x)) * self.scale
            return self.frozen(x) + (x @ x.mT).sum()

    model = Twice()
    model.frozen.eval()
    found = summary(model, chainrule.ones(3, 4))
    assert [(r.path, r.parameters, r.trainable, r.flops) for r in found] == [
        ("", 4, 4, 2 * 3 * 3 * 4), ("layer", 16, 16, 96), ("layer", 0, 0, 96), ("frozen", 10, 0, 48)
    ]  # fmt: skip
    assert found.memory == 4 * (12 + 12 + 6 + 6)
    assert model.training and not model.frozen.training and not model.layer._forward_hooks


def test_fields_on_the_way_are_those_of_the_recursion_and_stop_where_nothing_is_known() -> None:
    model = models.resnet18()
    rows = summary(model, size=(3, 64, 64)).rows
    wanted = nn.receptive_field(model)
    assert [row.receptive_field for row in rows] == [field.size for field in wanted]
    fields = [row.receptive_field for row in summary(find("unet").build(), size=(3, 64, 64))]
    assert fields[0] == 3 and fields[-1] is None
    assert all(row.receptive_field is None for row in summary(nn.Linear(3, 2), size=(3,)))


def test_it_is_shown_as_text_as_html_and_in_the_terminal(capsys: Any) -> None:
    found = summary(models.LeNet5(), size=(1, 32, 32))
    text, html = str(found), found._repr_html_()
    for shown in ("features.3", "1×16×10×10", "61,706", "833 k", "trainable"):
        assert shown in text and shown in html
    assert html.count("<tr>") == len(found.rows) + 2 and "<script" not in html

    with pytest.raises(SystemExit) as stop:
        command(["summary", "lenet5", "--size", "1x32x32", "--batch", "4"])
    assert stop.value.code == 0 and "4×16×10×10" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        command(["summary", "decoder", "--set", "vocabulary=65", "--json"])
    assert json.loads(capsys.readouterr().out)["parameters"] == of_entry(find("decoder"))[1].parameters
    for wrong, message in ((["lenet5", "--size", "1xa"], "whole numbers"), (["decoder"], "--set vocabulary=")):
        with pytest.raises(SystemExit) as stop:
            command(["summary", *wrong])
        assert stop.value.code == 2 and message in capsys.readouterr().err


def test_mistakes_are_explained() -> None:
    with pytest.raises(ValueError, match="is a shape; inputs are tensors"):
        summary(nn.Linear(2, 1), (1, 2))
    with pytest.raises(ValueError, match="give inputs, or the size of one sample"):
        summary(nn.Linear(2, 2))
    with pytest.raises(chainrule.ShapeError, match="3"):
        summary(nn.Linear(2, 2), size=(3,))
    assert np.isfinite(summary(nn.Linear(2, 2), size=(2,)).flops)
