"""Small blocks of eager code, which are noted at the second call and then repeated: always the bits of the block opened."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import nn
from chainrule.autodiff import repeating
from chainrule.autodiff.block import LARGE
from chainrule.nn import functional as F


def made(*shape: int, seed: int = 0, dtype: Any = chainrule.float32) -> Any:
    generator = chainrule.Generator().manual_seed(seed + sum(shape))
    return chainrule.randn(*shape, generator=generator).to(dtype)


labels = chainrule.arange(6) % 4

#: Functions of tensors that are blocks or use some, and the tensors' shapes.
BLOCKS: dict[str, tuple[Callable[..., Any], list[tuple[int, ...]]]] = {
    "softmax": (lambda x: x.softmax(1), [(6, 4)]),
    "log_softmax over rows": (lambda x: x.log_softmax(0), [(70, 3)]),
    "layer_norm": (lambda x, w, b: F.layer_norm(x, (5,), w, b), [(6, 4, 5), (5,), (5,)]),
    "layer_norm of everything": (lambda x, w: F.layer_norm(x, (4, 5), w), [(4, 5), (4, 5)]),
    "rms_norm": (lambda x, w: F.rms_norm(x, (5,), w), [(6, 4, 5), (5,)]),
    "batch_norm": (lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True), [(6, 3, 4, 4), (3,), (3,)]),
    "group_norm": (lambda x, w, b: F.group_norm(x, 2, w, b), [(6, 4, 3, 3), (4,), (4,)]),
    "gelu": (F.gelu, [(6, 4)]),
    "silu": (F.silu, [(6, 4)]),
    "sigmoid of one number": (chainrule.sigmoid, [()]),
    "relu": (F.relu, [(6, 4)]),
    "cube": (lambda x: x**3, [(6, 4)]),
    "mse_loss": (F.mse_loss, [(6, 4), (6, 4)]),
    "cross_entropy": (lambda x: F.cross_entropy(x, labels, label_smoothing=0.1), [(6, 4)]),
    "binary cross-entropy": (lambda x, y: F.binary_cross_entropy_with_logits(x, y.sigmoid()), [(6, 4), (6, 4)]),
    "linear": (F.linear, [(6, 4), (3, 4), (3,)]),
    "linear of one row": (F.linear, [(4,), (3, 4), (3,)]),
    "linear, a large product of small matrices": (F.linear, [(2, 64, 64), (64, 64), (64,)]),
    "attention": (lambda x: nn.MultiheadAttention(8, 2).to(x.dtype)(x, x, x, need_weights=False)[0], [(5, 3, 8)]),
    "what is within is large": (lambda x, w: F.linear(x, w), [(150, 2), (150, 2)]),
    "no rows": (lambda x, w: F.linear(x, w).softmax(1), [(0, 4), (3, 4)]),
}


def bits(name: str, dtype: Any) -> list[bytes]:
    """The result and the gradients, entry by entry."""
    function, shapes = BLOCKS[name]
    chainrule.manual_seed(0)
    tensors = [made(*shape, seed=i, dtype=dtype).requires_grad_() for i, shape in enumerate(shapes)]
    y = function(*tensors)
    y.backward(made(*y.shape, seed=9, dtype=dtype))
    return [x.detach().numpy().tobytes() for x in (y, *[x.grad for x in tensors])]


@pytest.mark.parametrize("dtype", [chainrule.float32, chainrule.float64, chainrule.float16, chainrule.bfloat16])
@pytest.mark.parametrize("name", BLOCKS)
def test_the_first_call_and_all_later_ones_give_the_same_bits(
    name: str, dtype: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repeating, "_seen", {})
    calls = [bits(name, dtype) for _ in range(3)]
    assert calls[0] == calls[1] == calls[2]


def test_a_block_is_noted_at_its_second_call_and_not_again(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[Any, Any] = {}
    monkeypatch.setattr(repeating, "_seen", seen)
    x = made(6, 4)
    states = []
    for _ in range(3):
        F.gelu(x)
        states.append([type(known) for known in seen.values()])
    assert states[0] == [type(None)] and states[1] == states[2] == [repeating.Repetition]


def test_numpy_does_not_warn_and_nan_passes() -> None:
    for _ in range(3):
        y = chainrule.tensor([[1.0, float("nan")], [float("inf"), 0.0], [1e38, -1e38]]).softmax(1)
        assert np.isnan(y.numpy()).tolist() == [[True, True], [True, True], [False, False]]


def test_what_wants_a_gradient_is_part_of_the_form() -> None:
    """A rule may leave out what nobody wants; the target of a loss is such, in small and in large."""
    for n in (4, LARGE // 64):
        for wanted in (False, True, False, True, True):
            x, y = made(n, 80).requires_grad_(), made(n, 80, seed=1).requires_grad_(wanted)
            F.mse_loss(x, y).backward()
            assert (y.grad is not None) == wanted
            if wanted:
                assert chainrule.equal(y.grad, -x.grad)


def test_a_frozen_weight_gets_no_gradient_and_its_input_does() -> None:
    x, w, b = made(6, 4).requires_grad_(), made(3, 4), made(3).requires_grad_()
    for _ in range(3):
        F.linear(x, w, b).sum().backward()
    assert w.grad is None and b.grad.tolist() == [18.0] * 3 and chainrule.allclose(x.grad, 3 * w.sum(0).expand(6, 4))


def test_a_linear_layer_without_outputs_or_inputs() -> None:
    for outputs, inputs in ((0, 4), (3, 0)):
        x, w = chainrule.ones(6, inputs, requires_grad=True), chainrule.ones(outputs, inputs, requires_grad=True)
        y = F.linear(x, w)
        y.sum().backward()
        assert y.shape == (6, outputs) and x.grad.shape == x.shape and w.grad.shape == w.shape


def test_second_derivatives_go_through_the_operations() -> None:
    for _ in range(3):
        x = chainrule.tensor([[0.5, -1.0]], dtype=chainrule.float64, requires_grad=True)
        (slope,) = chainrule.autograd.grad(F.gelu(x).sum(), x, create_graph=True)
        (bend,) = chainrule.autograd.grad(slope.sum(), x)
        density = chainrule.exp(-(x.detach() ** 2) / 2) / (2 * np.pi) ** 0.5
        assert chainrule.allclose(bend, density * (2 - x.detach() ** 2))


def test_a_kept_dimension_is_nobodys_view() -> None:
    x = chainrule.ones(2, 3)
    y = x.sum(1, keepdim=True)
    y += 1
    assert y.tolist() == [[4.0], [4.0]] and x.tolist() == [[1.0] * 3] * 2


def test_shapes_that_do_not_fit_are_an_error_with_and_without_gradients() -> None:
    for wanted in (False, True):
        x = chainrule.ones(3, 1, requires_grad=wanted)
        for shape in ((2, 2), (4, 5)):
            with pytest.raises(chainrule.errors.ShapeError, match="cannot expand"):
                x.expand(*shape)
        with pytest.raises(chainrule.errors.ShapeError, match="do not broadcast"):
            x + chainrule.ones(2, 2)
