"""Layers against PyTorch's: outputs, gradients, names, printing, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import autograd, nn

LAYERS: list[tuple[str, tuple[int, ...]]] = [
    ("Linear(4, 3)", (5, 4)), ("Linear(4, 3, bias=False)", (2, 5, 4)), ("Linear(4, 3)", (4,)), ("Linear(4, 3)", (0, 4)),
    ("Flatten()", (2, 3, 4)), ("Flatten(0, 1)", (2, 3, 4)), ("Unflatten(1, (2, -1))", (3, 6)), ("Identity()", (2, 3)),
    ("Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))", (5, 3)),
    ("Conv1d(3, 4, 3)", (2, 3, 7)), ("Conv1d(4, 6, 3, stride=2, padding=1, groups=2)", (2, 4, 8)),
    ("Conv1d(3, 4, 4, padding='same')", (2, 3, 7)), ("Conv1d(3, 4, 3)", (3, 7)),
    ("Conv2d(2, 4, 3)", (2, 2, 5, 6)), ("Conv2d(2, 4, (3, 2), stride=(2, 1), padding=(1, 0))", (2, 2, 7, 5)),
    ("Conv2d(2, 4, 3, dilation=2, bias=False)", (1, 2, 7, 9)), ("Conv2d(4, 4, 3, groups=4, padding=1)", (2, 4, 5, 5)),
    ("Conv2d(2, 3, 3, padding='same', dilation=2)", (2, 2, 6, 6)), ("Conv2d(2, 3, 3, padding='valid')", (2, 2, 6, 6)),
    ("Conv2d(2, 3, 1)", (2, 2, 4, 4)), ("Conv2d(2, 3, 3)", (2, 5, 5)), ("Conv2d(2, 3, 3)", (0, 2, 5, 5)),
    ("Conv3d(2, 3, 2, stride=2, padding=1)", (2, 2, 4, 5, 3)),
    ("Conv1d(2, 3, 3, padding=2, padding_mode='reflect')", (2, 2, 5)),
    ("Conv2d(2, 3, 3, padding=(1, 2), padding_mode='circular')", (2, 2, 4, 5)),
    ("Conv2d(2, 3, 4, padding='same', padding_mode='replicate')", (2, 5, 4)),
    ("Conv3d(1, 2, 3, padding=1, stride=2, padding_mode='reflect')", (1, 1, 3, 4, 3)),
    ("Conv2d(2, 3, 2, padding='valid', padding_mode='reflect')", (1, 2, 3, 3)),
    ("ConvTranspose1d(2, 3, 3, stride=1, dilation=3, padding=2, output_padding=2)", (2, 2, 4)),
    ("ConvTranspose2d(2, 3, 2, stride=(3, 1), dilation=(1, 2), output_padding=(2, 1))", (0, 2, 3, 4)),
    ("ConvTranspose1d(3, 2, 3, stride=2, padding=1, output_padding=1)", (2, 3, 5)),
    ("ConvTranspose2d(4, 6, 3, stride=2, groups=2)", (2, 4, 3, 4)), ("ConvTranspose2d(2, 3, 2, dilation=2)", (2, 3, 4)),
    ("ConvTranspose2d(2, 3, 3, stride=3, padding=1, output_padding=(1, 2))", (1, 2, 3, 4)),
    ("ConvTranspose3d(2, 3, 2, bias=False)", (1, 2, 2, 3, 2)),
    ("MaxPool1d(2)", (2, 3, 7)), ("MaxPool2d(2)", (2, 3, 6, 7)), ("MaxPool2d(3, stride=2, padding=1)", (2, 3, 7, 8)),
    ("MaxPool2d((2, 3), stride=(1, 2), dilation=(2, 1))", (2, 3, 7, 8)), ("MaxPool2d(2, ceil_mode=True)", (2, 3, 7, 5)),
    ("MaxPool2d(3, 2, 1, ceil_mode=True)", (1, 1, 6, 8)), ("MaxPool2d(2)", (3, 6, 6)), ("MaxPool3d(2)", (1, 2, 4, 4, 5)),
    ("AvgPool1d(2)", (2, 3, 7)), ("AvgPool2d(2)", (2, 3, 6, 7)), ("AvgPool2d(3, stride=2, padding=1)", (2, 3, 7, 8)),
    ("AvgPool2d(3, 2, 1, count_include_pad=False)", (2, 3, 7, 8)), ("AvgPool2d(2, ceil_mode=True)", (2, 3, 7, 5)),
    ("AvgPool2d(3, 2, 1, ceil_mode=True)", (1, 2, 6, 8)),
    ("AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False)", (1, 2, 6, 8)),
    ("AvgPool2d(2, divisor_override=3)", (2, 3, 6, 6)), ("AvgPool3d(2)", (1, 2, 4, 4, 5)), ("AvgPool2d(2)", (3, 6, 6)),
    ("ReLU()", (3, 4)), ("ReLU(inplace=True)", (3, 4)), ("Tanh()", (3, 4)), ("Sigmoid()", (3, 4)),
    ("Linear(4, 1)", (2, 0, 4)), ("Linear(0, 3)", (2, 0)), ("Linear(1, 1)", (1,)), ("Flatten()", (0, 3, 4)), ("Flatten(0)", ()),
    ("Flatten(-2)", (2, 3, 4)), ("Flatten(1, 2)", (2, 3, 4, 2)), ("Unflatten(-1, (2, 3))", (6,)), ("Unflatten(0, (2, 0))", (0, 3)),
    ("Sequential()", (2, 3)), ("Sequential(nn.Conv2d(1, 2, 3), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8, 2))", (3, 1, 6, 7)),
    ("Conv1d(3, 4, 3, padding='same', dilation=3)", (2, 3, 8)), ("Conv1d(2, 2, 5, stride=4, padding=3)", (0, 2, 6)),
    ("Conv1d(1, 1, 7)", (2, 1, 7)), ("Conv2d(2, 4, 3, stride=2, padding=1, dilation=2, groups=2)", (3, 2, 9, 8)),
    ("Conv2d(2, 3, (2, 4), padding='same', dilation=(3, 1))", (2, 5, 6)), ("Conv2d(2, 3, 2, stride=3)", (1, 2, 6, 7)),
    ("Conv3d(2, 4, (2, 1, 3), padding='same', groups=2)", (1, 2, 3, 4, 3)), ("Conv3d(1, 2, 2, dilation=2)", (1, 4, 3, 5)),
    ("Conv3d(1, 2, 2)", (0, 1, 3, 3, 3)), ("ConvTranspose1d(2, 3, 3)", (2, 5)), ("ConvTranspose1d(2, 3, 2, stride=4)", (0, 2, 3)),
    ("ConvTranspose1d(4, 2, 3, stride=3, dilation=2, groups=2, output_padding=1, padding=2)", (2, 4, 5)),
    ("ConvTranspose2d(1, 2, 1)", (1, 1, 3, 3)), ("ConvTranspose2d(4, 4, (1, 3), groups=4, bias=False)", (2, 4, 3, 4)),
    ("ConvTranspose3d(4, 2, 2, stride=2, padding=1, output_padding=1, groups=2)", (1, 4, 3, 2, 3)),
    ("ConvTranspose3d(2, 1, (1, 2, 3), dilation=(2, 1, 2))", (2, 2, 3, 2)),
    ("MaxPool1d(3, 2, 1, ceil_mode=True)", (2, 3, 8)), ("MaxPool1d(2, dilation=3)", (3, 7)), ("MaxPool1d(2)", (0, 3, 7)),
    ("MaxPool2d(3, 1, 1, dilation=2)", (1, 2, 7, 6)), ("MaxPool2d(2)", (0, 3, 6, 7)), ("MaxPool2d((1, 3))", (2, 5, 7)),
    ("MaxPool3d(3, 2, 1, ceil_mode=True)", (1, 2, 4, 5, 6)), ("MaxPool3d((1, 2, 2), dilation=(1, 2, 1))", (2, 3, 4, 4)),
    ("AvgPool1d(3, 2, 1, ceil_mode=True)", (2, 3, 8)), ("AvgPool1d(3, 1, 1, count_include_pad=False)", (3, 7)),
    ("AvgPool2d((3, 2), (1, 2), (1, 0), divisor_override=-2)", (2, 2, 5, 5)), ("AvgPool2d(2)", (0, 3, 6, 7)),
    ("AvgPool2d(3, 2, 1, ceil_mode=True, divisor_override=5)", (1, 1, 6, 8)),
    ("AvgPool3d(3, 2, 1, ceil_mode=True)", (1, 2, 4, 5, 6)), ("AvgPool3d(2, 1, 1, count_include_pad=False)", (2, 3, 4, 2)),
    ("AvgPool3d(2, divisor_override=3)", (1, 1, 5, 4, 3)),
    ("ReLU()", ()), ("Tanh()", (0,)), ("Sigmoid()", (2, 0)), ("LogSoftmax(-1)", (2, 3, 4)), ("Softmax(0)", ()), ("LogSoftmax(0)", (0, 3)),
    ("Softmax(dim=1)", (3, 4)), ("Softmax(dim=-2)", (2, 3, 4)), ("LogSoftmax(dim=1)", (3, 4)), ("Softmax(1)", (0, 4)),
]  # fmt: skip


def build(framework: Any, source: str) -> Any:
    return eval(f"nn.{source}", {"nn": framework.nn})


def run(framework: Any, layer: Any, x: np.ndarray, dtype: str, strided: bool) -> list[np.ndarray]:
    """Output, input gradient and parameter gradients; if `strided`, of an input that does not lie in order."""
    order = tuple(range(x.ndim))[::-1]
    t = framework.tensor((x.T if strided else x).astype(dtype), requires_grad=True)
    given = t * 1  # times 1: an in-place layer may not change a leaf
    y = layer(given.permute(order) if strided else given)
    weights = np.cos(np.arange(y.detach().numpy().size)).reshape(tuple(y.shape)).astype(dtype)
    (y * framework.tensor(weights)).sum().backward()
    return [
        y.detach().numpy(),
        t.grad.numpy(),
        *[p.grad.numpy() for p in layer.parameters() if p.grad is not None],
    ]


@pytest.mark.peer
@pytest.mark.filterwarnings("ignore:Initializing zero-element", "ignore:Using padding='same'")
@pytest.mark.parametrize(("source", "shape"), LAYERS)
def test_layer_is_pytorch_s(source: str, shape: tuple[int, ...]) -> None:
    torch = pytest.importorskip("torch")
    theirs, ours = build(torch, source), build(chainrule, source)
    state = {name: chainrule.tensor(value.numpy()) for name, value in theirs.state_dict().items()}
    assert {n: tuple(t.shape) for n, t in ours.state_dict().items()} == {n: tuple(t.shape) for n, t in state.items()}
    ours.load_state_dict(state)
    assert repr(ours) == repr(theirs)
    random = np.random.default_rng(0)
    for dtype, tolerance in (("float32", 2e-5), ("float64", 1e-11)):
        ours, theirs = ours.to(dtype), theirs.to(getattr(torch, dtype))
        x = random.standard_normal(shape)
        for strided in (False, True):
            ours.zero_grad()
            theirs.zero_grad()
            pair = run(chainrule, ours, x, dtype, strided), run(torch, theirs, x, dtype, strided)
            for a, b in zip(*pair, strict=True):
                assert a.dtype == b.dtype and a.shape == b.shape
                np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


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


@pytest.mark.parametrize("source", ["Linear(2, 2)", "Conv1d(1, 1, 1)", "MaxPool1d(1)", "Flatten()", "Unflatten(0, (1, 1))", "Tanh()"])
def test_layers_want_tensors(source: str) -> None:
    with pytest.raises(chainrule.DTypeError, match=r"takes a Tensor, got list.*chainrule\.tensor"):
        build(chainrule, source)([1.0, 2.0])


SMOOTH = [
    ("Linear(3, 2)", (2, 3)), ("Conv1d(2, 2, 2)", (1, 2, 4)), ("Conv2d(1, 2, 2, stride=2, padding=1)", (1, 1, 3, 3)),
    ("ConvTranspose2d(1, 2, 2, stride=2)", (1, 1, 2, 2)), ("AvgPool2d(2)", (1, 1, 4, 4)), ("Tanh()", (3,)),
    ("Sigmoid()", (3,)), ("Softmax(dim=1)", (2, 3)), ("LogSoftmax(dim=1)", (2, 3)), ("MaxPool2d(2)", (1, 1, 4, 4)),
    ("Conv1d(2, 4, 3, padding='same', dilation=2, groups=2)", (2, 4)), ("Conv3d(1, 1, 2, stride=2, padding=1)", (1, 1, 2, 3, 2)),
    ("ConvTranspose1d(2, 2, 3, stride=2, padding=1, output_padding=1, groups=2, dilation=2)", (1, 2, 2)),
    ("ConvTranspose3d(1, 1, 2)", (1, 1, 1, 2, 1)), ("AvgPool1d(3, 2, 1, ceil_mode=True)", (1, 4)),
    ("AvgPool2d(3, 2, 1, count_include_pad=False)", (1, 3, 4)), ("MaxPool1d(3, 2, 1, dilation=2, ceil_mode=True)", (1, 6)),
    ("Sequential(nn.Flatten(), nn.Linear(4, 2), nn.Tanh(), nn.Linear(2, 2), nn.Sigmoid())", (2, 2, 2)), ("Softmax(dim=0)", (3, 2)),
]  # fmt: skip


@pytest.mark.parametrize(("source", "shape"), SMOOTH)
def test_second_derivatives_of_layers(source: str, shape: tuple[int, ...]) -> None:
    layer = build(chainrule, source).double()
    x = chainrule.tensor(np.random.default_rng(0).standard_normal(shape), requires_grad=True)
    names = [name for name, _ in layer.named_parameters()]

    def function(x: Any, *parameters: Any) -> Any:
        return chainrule.func.functional_call(layer, dict(zip(names, parameters, strict=True)), x)

    assert autograd.gradgradcheck(function, (x, *layer.parameters()), atol=1e-5)


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
