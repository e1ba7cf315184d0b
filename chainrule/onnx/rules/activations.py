"""Activations, whole: each is one operator (or a product with one)."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule import nn
from chainrule.functions import activation
from chainrule.nn.activations import piecewise, smooth
from chainrule.onnx.rules.registry import block, layer


def _one(operator: str, **settings: Any) -> Any:
    def rule(g: Any, call: Any) -> list[str] | None:
        a = call.arguments
        if "dim" in settings.values() and not g.shape(a["input"]):
            return None
        given = {name: a[own] for name, own in settings.items()}
        return [g.emit(operator, [g.of(next(iter(a.values())))], **given)]

    return rule


block(activation.relu)(_one("Relu"))
block(activation.sigmoid)(_one("Sigmoid"))
block(activation._softmax)(_one("Softmax", axis="dim"))
block(activation._log_softmax)(_one("LogSoftmax", axis="dim"))
block(piecewise._leaky)(_one("LeakyRelu", alpha="slope"))
block(smooth._softplus)(_one("Softplus"))
block(smooth._softsign)(_one("Softsign"))


@block(piecewise._cut)
def cut(g: Any, call: Any) -> list[str]:
    """Clip: ReLU6, Hardtanh."""
    a = call.arguments
    dtype = g.dtype(a["x"])
    return [g.emit("Clip", [g.of(a["x"]), *[g.constant(np.array(a[end], dtype)) for end in ("low", "high")]])]


@block(activation._gelu)
def gelu(g: Any, call: Any) -> list[str | None] | None:
    """One operator since version 20."""
    if g.opset < 20:
        return None
    return [g.emit("Gelu", [g.of(call.arguments["input"])], approximate="none"), None]


@block(activation._gelu_by_tanh)
def gelu_by_tanh(g: Any, call: Any) -> list[str] | None:
    """The same with the approximation."""
    if g.opset < 20:
        return None
    return [g.emit("Gelu", [g.of(call.arguments["input"])], approximate="tanh")]


@block(piecewise._hardswish)
def hard_swish(g: Any, call: Any) -> list[str] | None:
    """One operator since version 14."""
    return None if g.opset < 14 else [g.emit("HardSwish", [g.of(call.arguments["x"])])]


@block(smooth._silu)
def silu(g: Any, call: Any) -> list[str]:
    """x·sigmoid(x)."""
    x = g.of(call.arguments["x"])
    return [g.emit("Mul", [x, g.emit("Sigmoid", [x])])]


@block(smooth._mish)
def mish(g: Any, call: Any) -> list[str] | None:
    """One operator since version 18."""
    return None if g.opset < 18 else [g.emit("Mish", [g.of(call.arguments["x"])])]


@block(smooth._exponential_below)
def exponential_below(g: Any, call: Any) -> list[str] | None:
    """ELU, SELU and CELU: scale·x above 0, and scale·α·(e^(rate·x) − 1) below."""
    a = call.arguments
    x, alpha, scale, rate = g.of(a["x"]), a["alpha"], a["scale"], a["rate"]
    if rate == 1 and scale == 1:
        return [g.emit("Elu", [x], alpha=alpha)]
    if rate == 1:
        return [g.emit("Selu", [x], alpha=alpha, gamma=scale)]
    if scale == 1 and abs(alpha * rate - 1) < 1e-9:
        return [g.emit("Celu", [x], alpha=alpha)] if g.dtype(a["x"]) == np.float32 else None
    return None


@layer(nn.Hardsigmoid)
def hard_sigmoid(g: Any, call: Any) -> list[str]:
    """clip(x/6 + 1/2, 0, 1)."""
    return [g.emit("HardSigmoid", [g.of(call.arguments["input"])], alpha=1 / 6, beta=0.5)]


@layer(nn.PReLU)
def prelu(g: Any, call: Any) -> list[str] | None:
    """A slope for each channel, or one."""
    x, module = call.arguments["input"], call.first.thing
    slope = g.of(module.weight.value)
    if not g.shape(x):
        return None
    if module.weight.shape[0] > 1:
        rank = len(g.shape(x))
        slope = g.emit("Reshape", [slope, g.numbers([-1, *[1] * (rank - 2)])])
    return [g.emit("PRelu", [g.of(x), slope])]


@layer(nn.Softplus)
def softplus(g: Any, call: Any) -> list[str] | None:
    """log(1 + eˣ), if there is no other slope and the line begins where both are the same number."""
    module = call.first.thing
    if module.beta != 1 or module.threshold < 17:
        return None
    return [g.emit("Softplus", [g.of(call.arguments["input"])])]
