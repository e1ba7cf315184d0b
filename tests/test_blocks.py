"""Blocks and Functions: composites with a name and a gradient written by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import autograd, nn
from chainrule.autodiff.block import Block
from chainrule.functions import activation, arithmetic
from chainrule.nn.losses.classes import _mean_cross_entropy

float64 = chainrule.float64


@chainrule.block
def scaled_swish(x: Any, scale: float = 2.0) -> Any:
    return x * chainrule.sigmoid(x) * scale


@chainrule.block
def cube(x: Any) -> Any:
    return x * x * x


@cube.gradient
def _(g: Any, x: Any) -> Any:
    return g * 3 * x * x


def test_a_block_without_a_gradient_is_recorded_by_its_parts_under_its_name() -> None:
    y = scaled_swish(chainrule.ones(2, requires_grad=True), scale=3.0)
    assert y.grad_fn.operation.name == "Multiply" and y.grad_fn.path == "/scaled_swish"


def test_a_block_with_a_gradient_is_one_record() -> None:
    x = chainrule.tensor([2.0], requires_grad=True)
    y = cube(x)
    assert y.grad_fn.operation.name == "cube" and list(y.grad_fn.saved) == ["x"]
    y.sum().backward()
    assert x.grad.tolist() == [12]
    assert autograd.gradgradcheck(cube, chainrule.tensor([2.0], dtype=float64, requires_grad=True))


def test_an_integer_input_leaves_no_record() -> None:
    assert cube(chainrule.tensor([2])).grad_fn is None


ours = {
    "sigmoid": (activation.sigmoid, ()),
    "relu": (activation.relu, ()),
    "softmax": (activation._softmax, (1,)),
    "log_softmax": (activation._log_softmax, (1,)),
    "power": (arithmetic._power_by_number, (3,)),
    "cross_entropy": (_mean_cross_entropy, (chainrule.tensor([2, 0, 1]),)),
}


@pytest.mark.parametrize("name", ours)
def test_the_hand_derived_gradient_is_that_of_the_parts(name: str) -> None:
    block, settings = ours[name]
    assert isinstance(block, Block) and block.rule is not None
    gradients = []
    for compute in (block, block.parts):
        x = chainrule.tensor(np.random.default_rng(0).standard_normal((3, 4)), requires_grad=True)
        y = compute(x, *settings)
        weights = chainrule.tensor(np.random.default_rng(1).standard_normal(tuple(y.shape)))
        (y * weights).sum().backward()
        gradients.append(np.asarray(x.grad))
    np.testing.assert_allclose(*gradients, rtol=1e-12, atol=1e-14)


def test_a_gradient_that_names_nothing_known_is_refused_at_once() -> None:
    @chainrule.block
    def identity(x: Any) -> Any:
        return x * 1

    with pytest.raises(TypeError, match="nonsense"):
        identity.gradient(lambda g, nonsense: g)


def test_records_carry_the_path_of_module_and_block() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])

        def forward(self, x: Any) -> Any:
            for layer in self.layers:
                x = scaled_swish(layer(x))
            return x

    y = Model()(chainrule.ones(1, 2))
    assert y.grad_fn.path == "/scaled_swish"
    node, paths = y.grad_fn, set()
    while node is not None:
        paths.add(node.path)
        node = next((s[0] for s in node.sources if s is not None and hasattr(s[0], "sources")), None)
    assert {"layers.0", "layers.1"} <= paths


# --------------------------------------------------------------------------------------- Function


class Hypotenuse(autograd.Function):
    """Two inputs, a setting, and an output that is kept."""

    @staticmethod
    def forward(ctx: Any, x: Any, y: Any, scale: float) -> Any:
        z = (x * x + y * y).sqrt() * scale
        ctx.save_for_backward(x, y, z)
        ctx.scale = scale
        return z

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        x, y, z = ctx.saved_tensors
        return g * x / z * ctx.scale**2, g * y / z * ctx.scale**2, None


def test_function_first_and_second_derivatives() -> None:
    x = chainrule.tensor([3.0, 1.0], dtype=float64, requires_grad=True)
    y = chainrule.tensor([4.0, 2.0], dtype=float64, requires_grad=True)
    assert autograd.gradcheck(lambda x, y: Hypotenuse.apply(x, y, 2.0), (x, y))
    assert autograd.gradgradcheck(lambda x, y: Hypotenuse.apply(x, y, 2.0), (x, y))


def test_function_with_several_outputs_one_without_gradient() -> None:
    class Split(autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            positive, sign = x.abs(), x.sign()
            ctx.mark_non_differentiable(sign)
            ctx.save_for_backward(sign)
            return positive, sign

        @staticmethod
        def backward(ctx: Any, g_positive: Any, g_sign: Any) -> Any:
            (sign,) = ctx.saved_tensors
            return g_positive * sign

    x = chainrule.tensor([-2.0, 3.0], requires_grad=True)
    positive, sign = Split.apply(x)
    assert not sign.requires_grad
    positive.sum().backward()
    assert x.grad.tolist() == [-1, 1]


def test_function_with_the_wrong_number_of_gradients() -> None:
    class Forgetful(autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any, y: Any) -> Any:
            return x + y

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g

    x = chainrule.ones(1, requires_grad=True)
    with pytest.raises(chainrule.GradientError, match="1 gradients; forward takes 2"):
        Forgetful.apply(x, x).sum().backward()


def test_function_with_gradients_for_inputs_that_there_are_not() -> None:
    class Generous(autograd.Function):
        extra: Any = (None, None)

        @staticmethod
        def forward(ctx: Any, x: Any, factor: float = 3.0) -> Any:
            return x * factor

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * 3.0, *Generous.extra

    x = chainrule.ones(2, requires_grad=True)
    Generous.apply(x).sum().backward()  # as PyTorch, which takes None for arguments that were left out
    assert x.grad.tolist() == [3.0, 3.0]
    Generous.extra = (None, chainrule.ones(2))
    with pytest.raises(chainrule.GradientError, match="3 gradients; forward takes 1"):
        Generous.apply(x).sum().backward()


@chainrule.block
def polar(r: Any, angle: Any) -> Any:
    return r * angle.cos(), r * angle.sin()


@polar.gradient
def _(g: Any, angle: Any, output: Any) -> Any:
    x, y = output
    g_x, g_y = (chainrule.zeros_like(x) if part is None else part for part in g)
    return g_x * angle.cos() + g_y * angle.sin(), g_y * x - g_x * y


@pytest.mark.parametrize("used", [(0,), (1,), (0, 1)])
def test_a_block_may_have_several_results(used: tuple[int, ...]) -> None:
    r, angle = (chainrule.tensor([a, 1.5], dtype=float64, requires_grad=True) for a in (2.0, 0.3))
    x, y = polar(r, angle)
    assert x.grad_fn is y.grad_fn and list(x.grad_fn.saved) == ["angle", "output"]

    def function(r: Any, angle: Any) -> Any:
        return tuple(polar(r, angle)[i] for i in used)

    assert autograd.gradcheck(function, (r, angle)) and autograd.gradgradcheck(function, (r, angle))
    parts = chainrule.autograd.grad(sum(y.sum() for y in polar.parts(r, angle)), [r, angle])
    whole = chainrule.autograd.grad(sum(y.sum() for y in polar(r, angle)), [r, angle])
    for a, b in zip(parts, whole, strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-14)
