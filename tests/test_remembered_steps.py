"""What eager code remembers of a recurrent layer's step: the same results as noting it anew, and nothing kept alive."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import nn
from chainrule.nn.recurrent import layers
from chainrule.primitives import placed
from chainrule.primitives.control import MOST

KINDS = {
    "RNN": lambda: nn.RNN(3, 4, nonlinearity="relu", bidirectional=True),
    "LSTM": lambda: nn.LSTM(3, 4, num_layers=2),
    "LSTM with a projection": lambda: nn.LSTM(3, 4, proj_size=2),
    "GRU without biases": lambda: nn.GRU(3, 4, bias=False),
}
WEIGHTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def made(*shape: int, seed: int) -> Any:
    return chainrule.randn(*shape, generator=chainrule.Generator().manual_seed(seed))


def results(layer: Any, seed: int) -> list[Any]:
    """Outputs and all gradients."""
    x = made(5, 2, 3, seed=seed).requires_grad_()
    layer.zero_grad()
    outputs = layer(x)[0]
    (outputs * made(*outputs.shape, seed=9)).sum().backward()
    return [outputs.detach().numpy(), x.grad.numpy(), *[p.grad.numpy() for p in layer.parameters() if p.requires_grad]]


def check_anew(layer: Any, seed: int) -> None:
    """The results are those of a step noted anew."""
    ours = results(layer, seed)
    layers._noted.cache_clear()
    for x, y in zip(ours, results(layer, seed), strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("kind", KINDS)
def test_other_weights_and_inputs(kind: str) -> None:
    first, second = KINDS[kind](), KINDS[kind]()
    results(first, 1)
    check_anew(second, 2)
    results(first, 3)
    with chainrule.no_grad():
        for p in first.parameters():
            p.mul_(1.5)
    check_anew(first, 4)


def test_frozen_weights_and_those_that_learn_again() -> None:
    layer = nn.LSTM(3, 4)
    results(layer, 1)
    layer.weight_hh_l0.requires_grad_(False)
    check_anew(layer, 2)
    results(layer, 2)
    layer.weight_hh_l0.requires_grad_(True)
    check_anew(layer, 3)


def test_weights_that_are_one_value_for_a_while() -> None:
    layer = nn.GRU(4, 4)
    x = made(5, 2, 4, seed=1)
    layer.weight_hh_l0.data = layer.weight_ih_l0.data
    layer(x)
    with chainrule.no_grad():
        layer.weight_ih_l0.mul_(2.0)
    ours = layer(x)[0]
    layers._noted.cache_clear()
    np.testing.assert_array_equal(ours.detach().numpy(), layer(x)[0].detach().numpy())


def test_weights_that_are_views() -> None:
    flat = made(48, seed=3)
    layer = nn.RNN(4, 4)
    x = made(5, 2, 4, seed=1)
    for scale in (1.0, 3.0):
        flat.mul_(scale)
        layer.weight_hh_l0.data = flat[:16].reshape(4, 4)
        ours = layer(x)[0].detach().numpy()
        layers._noted.cache_clear()
        np.testing.assert_array_equal(ours, layer(x)[0].detach().numpy())


def test_a_frozen_weight_that_is_a_single_number() -> None:
    layer = nn.RNN(3, 1).requires_grad_(False)
    x = made(5, 2, 3, seed=1)
    ours = [layer(x)[0].numpy() for weight in (0.0, 1.0, -2.0) if layer.weight_hh_l0.fill_(weight) is not None]
    for weight, outputs in zip((0.0, 1.0, -2.0), ours, strict=True):
        h, sums = np.zeros((2, 1), np.float32), layer.input_sums(x, {k: getattr(layer, k + "_l0") for k in WEIGHTS})
        for t in range(5):
            h = np.tanh(sums[t].numpy() + weight * h)
            np.testing.assert_allclose(outputs[t], h, rtol=1e-5)


def test_second_derivatives() -> None:
    layer = nn.LSTM(3, 4)

    def twice() -> Any:
        x = made(5, 2, 3, seed=1).requires_grad_()
        (first,) = chainrule.autograd.grad((layer(x)[0] ** 2).sum(), [x], create_graph=True)
        return [g.numpy() for g in chainrule.autograd.grad((first**2).sum(), [x, layer.weight_hh_l0])]

    results(layer, 1)
    twice()
    ours = twice()
    layers._noted.cache_clear()
    for x, y in zip(ours, twice(), strict=True):
        np.testing.assert_array_equal(x, y)


def test_a_step_of_ones_own_is_noted_each_time() -> None:
    class Scaled(nn.RNN):
        scale = 1.0

        def step(self, input_sums: Any, state: Any, weights: Any) -> Any:
            return (input_sums * self.scale + state[0],)

    layer = Scaled(3, 4)
    x = made(5, 2, 3, seed=1)
    before = layer(x)[0]
    layer.scale = 2.0
    np.testing.assert_allclose(layer(x)[0].detach().numpy(), 2 * before.detach().numpy(), rtol=1e-5)


def test_a_step_of_one_layer_is_not_that_of_others() -> None:
    layer, other = nn.RNN(3, 4), nn.RNN(3, 4)
    x = made(5, 2, 3, seed=1)
    layer.step = lambda input_sums, state, weights: (input_sums * 0 + 7.0,)
    outputs = [each(x)[0].detach().numpy() for each in (other, layer, other)]
    np.testing.assert_array_equal(outputs[1], np.full((5, 2, 4), 7.0, np.float32))
    np.testing.assert_array_equal(outputs[0], outputs[2])


def test_nothing_of_a_call_is_kept_alive_and_few_forms_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placed, "in_use", False)  # nothing is remembered once a test has used a device
    layers._noted.cache_clear()
    layer = nn.LSTM(3, 4)
    weights = [weakref.ref(p.value.array) for p in layer.parameters()]
    for length in range(1, 3 * MOST):
        layer(made(length, 2, 3, seed=1))[0].sum().backward()
    memory = layers._noted(nn.LSTM.step, WEIGHTS, None, False, True, None)
    assert 0 < len(memory) <= MOST
    del layer
    gc.collect()
    assert not any(array() for array in weights)
