"""Grouped and depthwise convolutions are native: forward and both gradients, of every shape, the eager ones' numbers."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import numpy as np
import pytest

import chainrule
from chainrule import nn
from chainrule.backends.native import builder
from chainrule.backends.native.run.machine import vector_bits

F = nn.functional
CASES = 60 if os.environ.get("CHAINRULE_NIGHTLY") else 8


class Case(NamedTuple):
    """A convolution: its input (N, C, …), its weight (C_out, C/groups, …), and how it is done."""

    image: tuple[int, ...]
    weight: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int


def random_case(random: np.random.Generator) -> Case:
    """One to three dimensions, odd sizes, few channels or many, one or several to a group."""
    dimensions = int(random.choice([1, 2, 2, 3]))
    groups = int(random.choice([2, 3, 5, 12, 16, 17, 33]))
    inputs, outputs = 1, int(random.choice([1, 1, 1, 2, 3]))
    if random.random() < 0.4:
        groups = int(random.choice([2, 3, 5]))
        inputs, outputs = (int(n) for n in random.choice([1, 2, 3, 16, 17], 2))
    elif random.random() < 0.5:  # as many results as channels: a vector holds several groups
        inputs = outputs = int(random.choice([2, 3, 4, 5, 6, 7, 8, 9]))
        groups = int(random.choice([2, 4, 5, 9]))
    kernel, stride, dilation = (random.integers(1, high, dimensions) for high in (5, 4, 4))
    padding = random.integers(0, 3, dimensions)
    least = np.maximum((kernel - 1) * dilation + 1 - 2 * padding, 1)
    size = least + random.integers(0, 4 if dimensions == 3 else 10, dimensions)
    whole = [tuple(int(n) for n in part) for part in (size, kernel, stride, padding, dilation)]
    image = (int(random.integers(1, 4)), groups * inputs, *whole[0])
    return Case(image, (groups * outputs, inputs, *whole[1]), *whole[2:], groups)


#: What random cases seldom meet: a window larger than what is written out, a single result, a kernel of one entry,
#: phases that no entry of the kernel meets, the channels of real networks.
SPECIAL = [
    Case((1, 16, 70), (16, 1, 65), (1,), (3,), (1,), 16),
    Case((3, 16, 2), (16, 1, 4), (3,), (1,), (1,), 16),
    Case((2, 64, 5, 3), (64, 1, 1, 1), (2, 1), (0, 0), (1, 1), 64),
    Case((2, 24, 9, 9), (24, 1, 2, 2), (4, 4), (0, 1), (1, 1), 24),
    Case((2, 24, 9, 9), (24, 1, 3, 3), (2, 2), (2, 2), (2, 2), 24),
    Case((2, 64, 14, 14), (64, 1, 7, 7), (1, 1), (3, 3), (1, 1), 64),
    Case((2, 32, 7, 7), (32, 4, 3, 3), (2, 2), (1, 1), (1, 1), 8),
    Case((1, 48, 1, 40), (48, 1, 1, 5), (1, 2), (0, 2), (1, 1), 48),
    Case((2, 48, 9, 9), (48, 3, 3, 3), (1, 1), (1, 1), (1, 1), 16),
    Case((2, 30, 8, 9), (30, 5, 3, 3), (2, 1), (1, 1), (1, 2), 6),
    Case((2, 96, 7), (96, 6, 4), (3,), (2,), (1,), 16),
    Case((2, 64, 6, 6), (64, 8, 3, 3), (1, 1), (1, 1), (1, 1), 8),
    Case((2, 40, 5, 5), (40, 4, 1, 1), (1, 1), (0, 0), (1, 1), 10),
    Case((1, 321, 4, 5), (321, 3, 5, 5), (1, 1), (2, 2), (1, 1), 107),
]


def forward_and_gradients(case: Case, x: Any, w: Any, b: Any) -> list[Any]:
    """The result behind a bias and an activation, and the gradients of all three."""
    convolve = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}[len(case.stride)]
    x, w, b = (t.detach().requires_grad_() for t in (x, w, b))
    y = convolve(x, w, b, case.stride, case.padding, case.dilation, case.groups).relu()
    return [y.detach(), *chainrule.autograd.grad((y * y.detach().cos()).sum(), [x, w, b])]


def compare(cases: list[Case], dtype: str, rtol: float, atol: float) -> Any:
    """Compiled is eager for all cases, in one program; answers the compiled function."""
    random = np.random.default_rng(1)
    given = [
        [chainrule.tensor(random.standard_normal(shape).astype(dtype)) for shape in (c.image, c.weight, c.weight[:1])]
        for c in cases
    ]

    def both(given: Any) -> list[Any]:
        return [forward_and_gradients(case, *tensors) for case, tensors in zip(cases, given, strict=True)]

    compiled = chainrule.compile(both)
    for case, wanted, found in zip(cases, both(given), compiled(given), strict=True):
        for name, want, have in zip(("result", "input", "weight", "bias"), wanted, found, strict=True):
            scale = max(float(np.abs(want.numpy()).max()), 1e-3)
            np.testing.assert_allclose(have.numpy(), want.numpy(), rtol, scale * atol, err_msg=f"{name}: {case}")
    assert "in NumPy" not in compiled.explain()
    return compiled


@pytest.mark.parametrize("bits", [128, 256, 512])
def test_random_shapes(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builder, "vector_bits", lambda: min(bits, vector_bits()))
    random = np.random.default_rng(bits)
    cases = [random_case(random) for _ in range(CASES)]
    compare(cases, "float64", 1e-9, 1e-11)
    compare(cases[: CASES // 2], "float32", 1e-4, 2e-5)


def test_special_shapes() -> None:
    compare(SPECIAL, "float64", 1e-9, 1e-11)
    compare(SPECIAL, "float32", 1e-4, 2e-5)


@pytest.mark.parametrize("groups", [2, 12])
def test_transposed_convolutions(groups: int) -> None:
    random = np.random.default_rng(0)
    layer = nn.ConvTranspose2d(24, 24, 3, stride=2, padding=1, output_padding=1, groups=groups, dtype=chainrule.float64)
    x = chainrule.tensor(random.standard_normal((2, 24, 5, 4)))
    compiled = chainrule.compile(lambda x: layer(x).detach())
    np.testing.assert_allclose(compiled(x).numpy(), layer(x).detach().numpy(), rtol=1e-10, atol=1e-12)
    assert "in NumPy" not in compiled.explain()


def test_what_follows_is_done_at_once() -> None:
    """Bias, normalisation by known numbers and activation are in the kernel of the convolution."""
    layers = nn.Sequential(nn.Conv2d(32, 32, 3, padding=1, groups=32), nn.BatchNorm2d(32), nn.ReLU6()).eval()
    step = chainrule.compile(layers)
    with chainrule.no_grad():
        x = chainrule.ones(2, 32, 9, 9)
        np.testing.assert_allclose(step(x).numpy(), layers(x).numpy(), rtol=1e-4, atol=1e-6)
    (kernel,) = [line for line in step.explain().splitlines() if "3×3] over" in line]
    assert "Multiply Sum Add" in kernel


def test_any_number_of_threads_gives_the_same_bits() -> None:
    """A step with groups of all kinds, on one, two and three threads."""
    random = np.random.default_rng(0)
    x = chainrule.tensor(random.standard_normal((6, 32, 20, 20)).astype(np.float32))

    def trained(threads: int) -> list[Any]:
        chainrule.set_num_threads(threads)
        chainrule.manual_seed(0)
        model = nn.Sequential(
            nn.Conv2d(32, 32, 3, padding=1, groups=32), nn.BatchNorm2d(32), nn.ReLU6(),
            nn.Conv2d(32, 48, 3, stride=2, padding=1, groups=2), nn.ReLU(), nn.Conv2d(48, 48, 5, groups=48),
        )  # fmt: skip
        optimizer = chainrule.optim.SGD(model.parameters(), lr=0.1)

        @chainrule.compile
        def step(x: Any) -> Any:
            optimizer.zero_grad()
            loss = (model(x) ** 2).mean()
            loss.backward()
            optimizer.step()
            return loss

        step(x), step(x)
        return [p.detach().numpy() for p in model.parameters()]

    before = chainrule.get_num_threads()
    try:
        one, two, three = (trained(threads) for threads in (1, 2, 3))
    finally:
        chainrule.set_num_threads(before)
    for a, b, c in zip(one, two, three, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)
