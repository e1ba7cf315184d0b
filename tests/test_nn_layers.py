"""Layers against PyTorch's: outputs, gradients, names, printing, and what is refused."""

from __future__ import annotations

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
    ("Softmax(dim=1)", (3, 4)), ("Softmax(dim=-2)", (2, 3, 4)), ("LogSoftmax(dim=1)", (3, 4)), ("Softmax(1)", (0, 4)),
]  # fmt: skip


def build(framework: Any, source: str) -> Any:
    return eval(f"nn.{source}", {"nn": framework.nn})


def run(framework: Any, layer: Any, x: np.ndarray, dtype: str) -> list[np.ndarray]:
    """Output, input gradient and parameter gradients."""
    t = framework.tensor(x.astype(dtype), requires_grad=True)
    y = layer(t * 1)  # times 1: an in-place layer may not change a leaf
    weights = np.cos(np.arange(y.detach().numpy().size)).reshape(tuple(y.shape)).astype(dtype)
    (y * framework.tensor(weights)).sum().backward()
    return [
        y.detach().numpy(),
        t.grad.numpy(),
        *[p.grad.numpy() for p in layer.parameters() if p.grad is not None],
    ]


@pytest.mark.peer
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
        strided = np.moveaxis(np.moveaxis(x, 0, -1).copy(), -1, 0)
        for array in (x, strided):
            for p in [*ours.parameters(), *theirs.parameters()]:
                p.grad = None
            for a, b in zip(run(chainrule, ours, array, dtype), run(torch, theirs, array, dtype), strict=True):
                assert a.dtype == b.dtype and a.shape == b.shape
                np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.peer
@pytest.mark.parametrize("settings", [(2,), (3, 2, 1), (2, 1, 0, 2), (3, 2, 1, 1, True)])
def test_pooling_places_are_pytorch_s(settings: tuple[Any, ...]) -> None:
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).integers(0, 5, (2, 3, 7, 8)).astype("float32")
    kernel, stride, padding, dilation, ceil = [*settings, *(None, None, 0, 1, False)[len(settings) :]]
    found = [
        f.nn.functional.max_pool2d(f.tensor(x), kernel, stride, padding, dilation, ceil_mode=ceil, return_indices=True)
        for f in (chainrule, torch)
    ]
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


MISUSES = [
    ("Linear(4, 3)", (5, 5)), ("Conv2d(3, 4, 3)", (2, 2, 5, 5)), ("Conv2d(3, 4, 3)", (5, 5)), ("Conv2d(3, 4, 6)", (1, 3, 5, 5)),
    ("ConvTranspose2d(3, 4, 3)", (1, 2, 5, 5)), ("MaxPool2d(6)", (1, 3, 5, 5)), ("MaxPool2d(2, padding=2)", (1, 3, 5, 5)),
    ("AvgPool2d(2)", (5, 5)), ("Conv2d(3, 4, 3, stride=2, padding='same')", (1, 3, 5, 5)),
    ("ConvTranspose2d(3, 4, 3, padding=4)", (1, 3, 3, 3)), ("Conv2d(1, 1, 3, padding=3, padding_mode='reflect')", (1, 1, 3, 3)),
    ("Conv2d(3, 4, 3, stride=0)", (1, 3, 5, 5)), ("Conv2d(3, 4, 3, groups=0)", (1, 3, 5, 5)), ("MaxPool2d(2, stride=-1)", (1, 1, 4, 4)),
    ("ConvTranspose2d(3, 4, 3, output_padding=1)", (1, 3, 5, 5)), ("Conv2d(3, 4, 3, groups=2)", (1, 3, 5, 5)),
]  # fmt: skip


@pytest.mark.peer
@pytest.mark.parametrize(("source", "shape"), MISUSES)
def test_what_pytorch_refuses_is_refused(source: str, shape: tuple[int, ...]) -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises((RuntimeError, ValueError, IndexError)):
        build(torch, source)(torch.ones(shape))
    with pytest.raises((RuntimeError, ValueError)) as caught:
        build(chainrule, source)(chainrule.ones(shape))
    assert isinstance(caught.value, chainrule.ChainruleError) and any(c.isdigit() for c in str(caught.value))


SMOOTH = [
    ("Linear(3, 2)", (2, 3)), ("Conv1d(2, 2, 2)", (1, 2, 4)), ("Conv2d(1, 2, 2, stride=2, padding=1)", (1, 1, 3, 3)),
    ("ConvTranspose2d(1, 2, 2, stride=2)", (1, 1, 2, 2)), ("AvgPool2d(2)", (1, 1, 4, 4)), ("Tanh()", (3,)),
    ("Sigmoid()", (3,)), ("Softmax(dim=1)", (2, 3)), ("LogSoftmax(dim=1)", (2, 3)), ("MaxPool2d(2)", (1, 1, 4, 4)),
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
