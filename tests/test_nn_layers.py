"""Places of pooling, what layers refuse, and dropout; tests/peer_tables compares the layers with PyTorch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import nn


def build(framework: Any, source: str) -> Any:
    return eval(f"nn.{source}", {"nn": framework.nn})


PLACES = [
    ("MaxPool1d(2, return_indices=True)", (2, 3, 7)), ("MaxPool1d(3, 2, 1, 2, True, True)", (3, 8)),
    ("MaxPool2d(2, return_indices=True)", (2, 3, 7, 8)), ("MaxPool2d(3, 2, 1, return_indices=True)", (2, 3, 7, 8)),
    ("MaxPool2d(2, 1, 0, 2, True)", (2, 3, 7, 8)), ("MaxPool2d(3, 2, 1, 1, True, True)", (3, 7, 8)),
    ("MaxPool2d((2, 3), (3, 1), (1, 0), (1, 2), True, True)", (1, 2, 6, 7)),
    ("MaxPool3d(2, return_indices=True)", (1, 2, 4, 5, 4)), ("MaxPool3d(3, 2, 1, 1, True, True)", (2, 4, 5, 6)),
]  # fmt: skip


@pytest.mark.peer
@pytest.mark.parametrize(("source", "shape"), PLACES)
def test_pooling_places_are_pytorch_s(source: str, shape: tuple[int, ...]) -> None:
    """Also among equals, of which the first counts: with few different numbers there are many."""
    torch = pytest.importorskip("torch")
    x, found = np.random.default_rng(0).integers(0, 5, shape).astype("float32"), []
    for framework in (chainrule, torch):
        t = framework.tensor(x, requires_grad=True)
        values, places = build(framework, source)(t)
        (values * values).sum().backward()
        assert places.dtype is framework.int64
        found.append((values.detach().numpy(), places.numpy(), t.grad.numpy()))
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.peer
@pytest.mark.parametrize("numbers", [[math.nan, 1, 2, 0], [-math.inf] * 4, [math.inf, math.inf, -1, math.nan]])
def test_pooling_of_what_is_not_finite(numbers: list[float]) -> None:
    torch = pytest.importorskip("torch")
    for layer in ("MaxPool2d(2)", "AvgPool2d(2)", "MaxPool2d(3, 1, 1)"):
        found = [build(f, layer)(f.tensor(numbers).reshape(1, 2, 2)).numpy() for f in (chainrule, torch)]
        np.testing.assert_array_equal(*found)


MISUSES = [
    ("Linear(4, 3)", (5, 5)), ("Conv2d(3, 4, 3)", (2, 2, 5, 5)), ("Conv2d(3, 4, 3)", (5, 5)), ("Conv2d(3, 4, 6)", (1, 3, 5, 5)),
    ("ConvTranspose2d(3, 4, 3)", (1, 2, 5, 5)), ("MaxPool2d(6)", (1, 3, 5, 5)), ("MaxPool2d(2, padding=2)", (1, 3, 5, 5)),
    ("AvgPool2d(2)", (5, 5)), ("Conv2d(3, 4, 3, stride=2, padding='same')", (1, 3, 5, 5)),
    ("ConvTranspose2d(3, 4, 3, padding=4)", (1, 3, 3, 3)), ("Conv2d(1, 1, 3, padding=3, padding_mode='reflect')", (1, 1, 3, 3)),
    ("Conv2d(3, 4, 3, stride=0)", (1, 3, 5, 5)), ("Conv2d(3, 4, 3, groups=0)", (1, 3, 5, 5)), ("MaxPool2d(2, stride=-1)", (1, 1, 4, 4)),
    ("ConvTranspose2d(3, 4, 3, output_padding=1)", (1, 3, 5, 5)), ("Conv2d(3, 4, 3, groups=2)", (1, 3, 5, 5)),
    ("Linear(4, 3)", ()), ("Linear(-1, 3)", (2, 3)), ("Flatten()", (3,)), ("Flatten(2, 1)", (2, 3, 4)), ("Unflatten(1, (2, 3))", (2, 5)),
    ("Unflatten(2, (2, 3))", (2, 6)), ("Conv2d(2, 4, (3, 3, 3))", (1, 2, 5, 5)), ("Conv2d(2, 4, 3, padding=-1)", (1, 2, 5, 5)),
    ("Conv2d(2, 4, 3, dilation=0)", (1, 2, 5, 5)), ("Conv2d(2, 4, 0)", (1, 2, 5, 5)), ("Conv1d(2, 4, 3)", (1, 2, 3, 4)),
    ("Conv3d(2, 4, 3)", (1, 2, 2, 4, 4)), ("ConvTranspose2d(2, 4, 3, output_padding=-1)", (1, 2, 5, 5)), ("MaxPool2d(0)", (1, 1, 4, 4)),
    ("MaxPool2d(2, dilation=0)", (1, 1, 4, 4)), ("MaxPool2d(2, padding=-1)", (1, 1, 4, 4)), ("MaxPool2d(2, 1, 2, 3)", (1, 1, 9, 9)),
    ("MaxPool3d(2)", (4, 4, 4)), ("AvgPool2d(5)", (1, 1, 4, 4)), ("AvgPool2d(2, padding=2)", (1, 1, 4, 4)),
    ("AvgPool2d(2, divisor_override=0)", (1, 1, 4, 4)), ("AvgPool1d((2, 2))", (1, 5)), ("Softmax(2)", (2, 3)), ("LogSoftmax(-3)", (2, 3)),
]  # fmt: skip


@pytest.mark.peer
@pytest.mark.filterwarnings("ignore:Initializing zero-element")
@pytest.mark.parametrize(("source", "shape"), MISUSES)
def test_what_pytorch_refuses_is_refused(source: str, shape: tuple[int, ...]) -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises((RuntimeError, ValueError, IndexError)):
        build(torch, source)(torch.ones(shape))
    with pytest.raises((RuntimeError, ValueError, IndexError)) as caught:
        build(chainrule, source)(chainrule.ones(shape))
    assert isinstance(caught.value, chainrule.ChainruleError) and any(c.isdigit() for c in str(caught.value))


FUNCTIONS = [
    ("linear(x, ones(2, 3), ones(3))", (4, 3), r"bias has shape \(3,\)"), ("linear(x, ones(1, 3), ones(3))", (4, 3), "bias"),
    ("conv2d(x, ones(2, 1, 2, 2), ones(1))", (1, 1, 4, 4), "bias"), ("conv2d(x, ones(1, 1, 2, 2), ones(3))", (1, 1, 4, 4), "bias"),
    ("conv1d(x, ones(2, 1, 2), ones(2).double())", (1, 1, 4), "bias is chainrule.float64"),
    ("linear(x, ones(2, 3), ones(2).double())", (4, 3), "bias is chainrule.float64"),
    ("linear(x, ones(2, 3).double())", (4, 3), r"float64 weights.*x\.to"), ("conv1d(x.long(), ones(2, 1, 2))", (1, 1, 4), "int64"),
    ("conv_transpose2d(x, ones(1, 2, 2, 2), ones(4))", (1, 1, 3, 3), "bias"),
    ("conv2d(x, ones(2, 1, 2))", (1, 1, 4, 4), "4 dimensions"), ("conv_transpose2d(x, ones(1, 1, 2))", (1, 1, 4, 4), "4 dimensions"),
]  # fmt: skip


@pytest.mark.peer
@pytest.mark.parametrize(("source", "shape", "says"), FUNCTIONS)
def test_functions_refuse_what_would_broadcast_or_convert(source: str, shape: tuple[int, ...], says: str) -> None:
    torch = pytest.importorskip("torch")
    for framework, kind, match in ((torch, RuntimeError, "."), (chainrule, chainrule.ChainruleError, says)):
        names = {"f": framework.nn.functional, "ones": framework.ones, "x": framework.ones(shape)}
        with pytest.raises(kind, match=match):
            eval(f"f.{source}", names)


@pytest.mark.parametrize(
    "source", ["Linear(2, 2)", "Conv1d(1, 1, 1)", "MaxPool1d(1)", "Flatten()", "Unflatten(0, (1, 1))", "Tanh()"]
)
def test_layers_want_tensors(source: str) -> None:
    with pytest.raises(chainrule.DTypeError, match=r"takes a Tensor, got list.*chainrule\.tensor"):
        build(chainrule, source)([1.0, 2.0])


def test_dropout_drops_and_scales() -> None:
    chainrule.manual_seed(0)
    x = chainrule.ones(100_000, requires_grad=True)
    layer = nn.Dropout(0.3)
    y = layer(x)
    kept = (y != 0).float().mean().item()
    assert abs(kept - 0.7) < 0.01 and abs(y.mean().item() - 1) < 0.01
    y.sum().backward()
    assert chainrule.equal(x.grad, y.detach()), "what was dropped gets no gradient"
    assert chainrule.equal(layer.eval()(x), x) and nn.functional.dropout(x, 1.0).sum().item() == 0
