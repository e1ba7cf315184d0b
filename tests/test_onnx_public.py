"""Files of public networks, as PyTorch's exporters write them: ResNet, MobileNet, SqueezeNet, GPT-2 and BERT.

The networks are built as their papers say, smaller; GPT-2 and BERT are those of transformers. One file in the suite; in
the nightly run all, in versions 11 to 20, by the exporter of TorchScript and by the newer one where onnxscript is.
"""

from __future__ import annotations

import io
import os
import warnings
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from tests.onnx_running import loaded

pytestmark = [pytest.mark.peer, pytest.mark.timeout(600)]
torch: Any = pytest.importorskip("torch")
LONG = bool(os.environ.get("CHAINRULE_NIGHTLY"))
WAYS = ["script", *(["dynamo"] if find_spec("onnxscript") else [])] if LONG else ["script"]


class Sum(torch.nn.Module):  # type: ignore[misc]
    """x + f(x), with a shortcut where the shapes differ; `gate`: what f gives is weighted channel by channel."""

    def __init__(self, inside: Any, shortcut: Any = None, gate: Any = None) -> None:
        super().__init__()
        self.inside, self.shortcut, self.gate = inside, shortcut or torch.nn.Identity(), gate

    def forward(self, x: Any) -> Any:
        y = self.inside(x)
        if self.gate is not None:
            y = y * self.gate(y)
        return self.shortcut(x) + y


class Beside(torch.nn.Module):  # type: ignore[misc]
    """Two layers of one input, their channels one after the other: SqueezeNet's fire."""

    def __init__(self, a: Any, b: Any) -> None:
        super().__init__()
        self.a, self.b = a, b

    def forward(self, x: Any) -> Any:
        return torch.cat([self.a(x).relu(), self.b(x).relu()], 1)


def conv(before: int, after: int, kernel: int, stride: int = 1, act: Any = None, groups: int = 1) -> Any:
    n = torch.nn
    layers = [n.Conv2d(before, after, kernel, stride, kernel // 2, groups=groups, bias=False), n.BatchNorm2d(after)]
    return n.Sequential(*layers, *([act()] if act else []))


def gate(channels: int) -> Any:
    n = torch.nn
    pair = n.Conv2d(channels, 4, 1), n.ReLU(), n.Conv2d(4, channels, 1)
    return n.Sequential(n.AdaptiveAvgPool2d(1), *pair, n.Hardsigmoid())


def images(name: str) -> Any:
    n = torch.nn
    end = [n.AdaptiveAvgPool2d(1), n.Flatten(1)]
    if name == "resnet":
        blocks = [
            Sum(n.Sequential(conv(a, b, 3, s, n.ReLU), conv(b, b, 3)), conv(a, b, 1, s) if s > 1 else None)
            for a, b, s in [(8, 8, 1), (8, 16, 2)]
        ]
        parts = [
            conv(3, 8, 7, 2, n.ReLU),
            n.MaxPool2d(3, 2, 1),
            blocks[0],
            n.ReLU(),
            blocks[1],
            n.ReLU(),
            *end,
            n.Linear(16, 5),
        ]
    elif name == "squeezenet":
        fires = [
            n.Sequential(n.Conv2d(a, 4, 1), n.ReLU(), Beside(n.Conv2d(4, 6, 1), n.Conv2d(4, 6, 3, padding=1)))
            for a in (8, 12)
        ]
        pools = [n.MaxPool2d(3, 2, ceil_mode=True) for _ in range(2)]
        parts = [
            n.Conv2d(3, 8, 7, 2),
            n.ReLU(),
            pools[0],
            fires[0],
            pools[1],
            fires[1],
            n.Dropout(),
            n.Conv2d(12, 5, 1),
            *end,
        ]
    else:
        act = n.ReLU6 if name == "mobilenet_v2" else n.Hardswish
        inside = [
            n.Sequential(conv(a, 4 * a, 1, 1, act), conv(4 * a, 4 * a, 3, 1, act, 4 * a), conv(4 * a, b, 1))
            for a, b in [(8, 8), (8, 12)]
        ]
        first = Sum(inside[0], gate=gate(8) if act is n.Hardswish else None)
        parts = [
            conv(3, 8, 3, 2, act),
            first,
            inside[1],
            *end,
            n.Linear(12, 16),
            act(),
            n.Dropout(0.2),
            n.Linear(16, 5),
        ]
    return n.Sequential(*parts)


class Words(torch.nn.Module):  # type: ignore[misc]
    """A network of transformers with tensors in and out."""

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.net = net

    def forward(self, tokens: Any) -> Any:
        return self.net(input_ids=tokens, attention_mask=torch.ones_like(tokens))[0]


def words(name: str) -> Any:
    transformers = pytest.importorskip("transformers")
    if name == "gpt2":
        config = transformers.GPT2Config(
            vocab_size=50, n_positions=32, n_embd=16, n_layer=2, n_head=2, use_cache=False, attn_implementation="eager"
        )
        return Words(transformers.GPT2LMHeadModel(config))
    config = transformers.BertConfig(
        vocab_size=50, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24,
        max_position_embeddings=32, attn_implementation="eager",
    )  # fmt: skip
    return Words(transformers.BertModel(config))


NAMES = ["resnet", "mobilenet_v2", "mobilenet_v3", "squeezenet", "gpt2", "bert"]
CASES = [
    (name, way, opset)
    for name in NAMES
    for way in WAYS
    for opset in (range(11, 21) if way == "script" else range(18, 21))  # the newer exporter begins with 18
] if LONG else [("squeezenet", "script", 13), ("mobilenet_v3", "script", 17)]  # fmt: skip


@pytest.mark.parametrize(("name", "way", "opset"), CASES)
def test_a_file_of_a_public_network(name: str, way: str, opset: int) -> None:
    torch.manual_seed(0)
    text = name in ("gpt2", "bert")
    net = (words(name) if text else images(name)).eval()

    def given(n: int) -> Any:
        return torch.randint(0, 50, (n, n + 4)) if text else torch.randn(n, 3, 40, 40)

    sizes = {0: "batch", 1: "length"} if text else {0: "batch"}
    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        if way == "script":
            torch.onnx.export(
                net,
                (given(2),),
                buffer,
                dynamo=False,
                opset_version=opset,
                input_names=["x"],
                dynamic_axes={"x": sizes},
            )
        else:
            auto = dict.fromkeys(sizes, torch.export.Dim.AUTO)
            torch.onnx.export(
                net, (given(2),), buffer, dynamo=True, opset_version=opset, dynamic_shapes=(auto,), verbose=False
            )
    model = loaded(buffer.getvalue())
    for n in (2, 3):
        x = given(n)
        with torch.no_grad():
            expected = net(x).numpy()
        found = model(cr.tensor(x.numpy())).detach().numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())
