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
from chainrule.functions.activation import relu
from chainrule.nn import functional as F
from chainrule.state import current_state

float64 = chainrule.float64


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
    monkeypatch.setattr(repeating, "_seen", repeating.Seen())
    calls = [bits(name, dtype) for _ in range(3)]
    assert calls[0] == calls[1] == calls[2]


def test_a_block_is_noted_at_its_second_call_and_not_again(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: Any = repeating.Seen()
    monkeypatch.setattr(repeating, "_seen", seen)
    x = made(6, 4)
    states = []
    for _ in range(3):
        F.gelu(x)
        states.append([type(known) for known in seen.known.values()])
    assert states == [[bool], [tuple], [tuple]]


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


#: Composites: what eager code computes as one, with the gradient of its operations.
COMPOSITES: dict[str, tuple[Callable[..., Any], list[tuple[int, ...]]]] = {
    "glu": (lambda x: F.glu(x, 1), [(6, 4)]),
    "large glu": (F.glu, [(130, 256)]),
    "logsumexp": (lambda x: x.logsumexp(1), [(6, 4)]),
    "logsumexp of everything": (lambda x: x.logsumexp((0, 1), keepdim=True), [(6, 4)]),
    "large logsumexp": (lambda x: x.logsumexp(0), [(200, 100)]),
    "variance": (lambda x: x.var(1), [(6, 4)]),
    "large variance": (lambda x: x.var((0, 2)), [(20, 10, 100)]),
    "deviation": (lambda x: x.std(), [(6, 4)]),
    "cross": (lambda x, y: chainrule.linalg.cross(x, y), [(6, 3), (6, 3)]),
    "cross of one with itself": (lambda x: chainrule.linalg.cross(x, x * x), [(6, 3)]),
    "cosine": (F.cosine_similarity, [(6, 4), (6, 4)]),
    "norm": (lambda x: x.norm(dim=1), [(6, 4)]),
    "attention": (
        lambda x, y, w, b, v: F.multi_head_attention_forward(
            x, y, y, 8, 2, w, b, None, None, False, 0.0, v, None, need_weights=False
        )[0],
        [(5, 3, 8), (4, 3, 8), (24, 8), (24,), (8, 8)],
    ),
    "large attention with itself": (
        lambda x, w, b, v: F.multi_head_attention_forward(
            x, x, x, 32, 4, w, b, None, None, False, 0.0, v, None, need_weights=False
        )[0],
        [(20, 30, 32), (96, 32), (96,), (32, 32)],
    ),
}


def looked_into(function: Callable[..., Any], tensors: list[Any]) -> list[Any]:
    """The result and the gradients, operation by operation: somebody looks on."""
    state = current_state()
    state.observer = lambda *seen: None
    try:
        return gradients(function, tensors)
    finally:
        state.observer = None


def gradients(function: Callable[..., Any], tensors: list[Any]) -> list[Any]:
    """The result and the gradients."""
    for x in tensors:
        x.grad = None
    y = function(*tensors)
    y.backward(made(*y.shape, seed=9, dtype=y.dtype))
    return [x.detach().clone() for x in (y, *[x.grad for x in tensors])]


@pytest.mark.parametrize("name", COMPOSITES)
def test_a_composite_is_its_operations(name: str) -> None:
    function, shapes = COMPOSITES[name]
    tensors = [made(*shape, seed=i, dtype=float64).requires_grad_() for i, shape in enumerate(shapes)]
    meant = looked_into(function, tensors)
    calls = [gradients(function, tensors) for _ in range(3)]
    for found in calls:
        assert all(chainrule.allclose(x, y, rtol=1e-10, atol=1e-10) for x, y in zip(found, meant, strict=True))
        assert [x.numpy().tobytes() for x in found] == [x.numpy().tobytes() for x in calls[0]]
    with chainrule.no_grad():
        for _ in range(3):
            assert function(*tensors).numpy().tobytes() == calls[0][0].numpy().tobytes()


@pytest.mark.parametrize("name", [name for name in COMPOSITES if "large" not in name])
def test_composites_are_differentiable_twice(name: str) -> None:
    function, shapes = COMPOSITES[name]
    tensors = [made(*shape, seed=i, dtype=float64).requires_grad_() for i, shape in enumerate(shapes)]
    assert chainrule.autograd.gradgradcheck(function, tuple(tensors))


def test_a_composite_gives_only_what_is_asked_for() -> None:
    x, y = made(6, 3).requires_grad_(), made(6, 3, seed=1).requires_grad_()
    z = chainrule.linalg.cross(x, y)
    assert z.grad_fn.name() == "cross"
    (only,) = chainrule.autograd.grad(z.sum(), y, retain_graph=True)
    z.sum().backward()
    assert chainrule.equal(only, y.grad) and x.grad is not None
    frozen = made(6, 3)
    chainrule.linalg.cross(x, frozen).sum().backward()
    assert frozen.grad is None
    same = made(6, 3).requires_grad_()
    chainrule.linalg.cross(same, same).sum().backward()
    assert same.grad.abs().max() < 1e-6


def test_what_a_composite_was_given_may_change_before_the_way_back() -> None:
    x = made(6, 3)
    y = made(6, 3, seed=1).requires_grad_()
    z = chainrule.linalg.cross(x, y)
    expected = chainrule.autograd.grad(z.sum(), y, retain_graph=True)[0]
    x.zero_()
    assert chainrule.equal(chainrule.autograd.grad(z.sum(), y)[0], expected)


def test_lengths_beyond_the_range_of_squares() -> None:
    for size in (1e-30, 1e30):
        for _ in range(2):
            x = chainrule.tensor([[3 * size, 4 * size], [0.0, 0.0]], requires_grad=True)
            y = x.norm(dim=1)
            y.sum().backward()
            assert np.allclose(y.detach().numpy() / size, [5, 0]) and np.allclose(x.grad.numpy(), [[0.6, 0.8], [0, 0]])


def test_an_explanation_of_a_result_knows_what_a_composite_was_given() -> None:
    x = made(3, 4).requires_grad_()
    told = str(chainrule.explain(F.glu(x).sum()))
    assert "glu(v0)" in told and f"{x.max().item():.3g}"[:4] in told


@pytest.mark.parametrize("dtype", [chainrule.float32, float64, chainrule.float16, chainrule.int64])
def test_relu_on_small_arrays_is_its_operations_to_the_bit(dtype: Any) -> None:
    numbers = [1.5, -2.0, 0.0, -0.0, *([float("nan"), float("inf"), -float("inf")] if dtype.is_floating_point else [])]
    for x in (
        chainrule.tensor(numbers).to(dtype),
        chainrule.tensor(numbers[1]).to(dtype),
        chainrule.zeros(0, 3, dtype=dtype),
    ):
        opened = relu.parts(x)
        assert F.relu(x).numpy().tobytes() == opened.numpy().tobytes() and F.relu(x).dtype is dtype
        if dtype.is_floating_point:
            g = chainrule.full_like(x, -3.0)
            leaf = x.clone().requires_grad_()
            F.relu(leaf).backward(g)
            assert leaf.grad.numpy().tobytes() == (g * (opened > 0).to(dtype)).numpy().tobytes()
