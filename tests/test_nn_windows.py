"""Convolution, pooling and padding against PyTorch on generated sizes, strides, paddings and dilations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chainrule


@st.composite
def windows(draw: Any) -> dict[str, Any]:
    """An input (N, C, …) of one to three spatial dimensions, and how windows slide over it."""
    n = draw(st.integers(1, 3))

    def each(low: int, high: int) -> tuple[int, ...]:
        return tuple(draw(st.lists(st.integers(low, high), min_size=n, max_size=n)))

    return {
        "size": (draw(st.integers(1, 2)), draw(st.sampled_from([2, 4])), *each(1, 7)), "kernel": each(1, 4),
        "stride": each(1, 3), "padding": each(0, 2), "dilation": each(1, 3), "groups": draw(st.sampled_from([1, 2])),
        "output_padding": each(0, 2), "ceil": draw(st.booleans()), "count": draw(st.booleans()),
        "seed": draw(st.integers(0, 99)),
    }  # fmt: skip


def outcome(framework: Any, kind: str, case: dict[str, Any]) -> list[np.ndarray] | Exception:
    """Result and gradients, or the error."""
    random, n, functional = np.random.default_rng(case["seed"]), len(case["kernel"]), framework.nn.functional
    x = framework.tensor(random.standard_normal(case["size"]), requires_grad=True)
    rows = (4, case["size"][1] // case["groups"]) if kind == "conv" else (case["size"][1], 3)
    w = framework.tensor(random.standard_normal((*rows, *case["kernel"])), requires_grad=True)
    slide = (case["kernel"], case["stride"], case["padding"])
    try:
        if kind == "conv":
            rest = (*slide[1:], case["dilation"], case["groups"])
            y = getattr(functional, f"conv{n}d")(x, w, None, *rest)
        elif kind == "conv_transpose":
            rest = (*slide[1:], case["output_padding"], case["groups"], case["dilation"])
            y = getattr(functional, f"conv_transpose{n}d")(x, w, None, *rest)
        elif kind == "max_pool":
            y = getattr(functional, f"max_pool{n}d")(x, *slide, case["dilation"], ceil_mode=case["ceil"])
        else:
            y = getattr(functional, f"avg_pool{n}d")(x, *slide, case["ceil"], case["count"])
        upstream = framework.tensor(np.cos(np.arange(y.numel())).reshape(tuple(y.shape)))
        (y * upstream).sum().backward()
    except Exception as error:
        return error
    return [t.detach().numpy() for t in (y, x.grad, w.grad) if t is not None]


def touches_the_input(case: dict[str, Any]) -> bool:
    """Whether every window of a max-pooling surely meets an entry; PyTorch writes outside of its memory otherwise."""
    sizes = zip(case["size"][2:], case["kernel"], case["padding"], case["dilation"], strict=True)
    return all(p == 0 or (d == 1 and size > 2 * p) for size, _, p, d in sizes)


@pytest.mark.peer
@pytest.mark.parametrize("kind", ["conv", "conv_transpose", "max_pool", "avg_pool"])
def test_windows_are_pytorch_s(kind: str) -> None:
    torch = pytest.importorskip("torch")

    @settings(max_examples=150)
    @given(windows())
    def check(case: dict[str, Any]) -> None:
        if kind == "max_pool" and not touches_the_input(case):
            return
        ours, theirs = outcome(chainrule, kind, case), outcome(torch, kind, case)
        if isinstance(theirs, Exception):
            # avg_pool3d of PyTorch refuses inputs smaller than the kernel even where padding makes up for it.
            lenient = kind == "avg_pool" and "smaller than kernel size" in str(theirs)
            assert isinstance(ours, chainrule.ChainruleError) or lenient, (theirs, ours)
            return
        assert not isinstance(ours, Exception), ours
        for a, b in zip(ours, theirs, strict=True):
            assert a.shape == b.shape
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)

    check()


PADDINGS = [
    ((1, 2), (2, 3, 5)), ((2, 1, 1, 2), (2, 3, 4, 5)), ((0, 2, 0, 0), (1, 2, 3, 4)), ((1, 1, 1, 1, 2, 2), (1, 2, 3, 3, 3)),
]  # fmt: skip


@pytest.mark.peer
@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
@pytest.mark.parametrize(("pairs", "shape"), PADDINGS)
def test_padding_is_pytorch_s(mode: str, pairs: tuple[int, ...], shape: tuple[int, ...]) -> None:
    torch = pytest.importorskip("torch")
    x, found = np.random.default_rng(0).standard_normal(shape), []
    for framework in (chainrule, torch):
        t = framework.tensor(x, requires_grad=True)
        y = framework.nn.functional.pad(t, pairs, mode)
        (y * y * y).sum().backward()
        found.append((y.detach().numpy(), t.grad.numpy()))
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_padding_says_what_is_too_much() -> None:
    x = chainrule.ones(1, 1, 3)
    with pytest.raises(chainrule.ShapeError, match="reflect adds at most 2 to dimension 2 of 3"):
        chainrule.nn.functional.pad(x, (3, 0), "reflect")
    with pytest.raises(chainrule.ShapeError, match="circular adds at most 3"):
        chainrule.nn.functional.pad(x, (4, 0), "circular")
    with pytest.raises(ValueError, match="'mirror'"):
        chainrule.nn.functional.pad(x, (1, 0), "mirror")


@pytest.mark.peer
def test_the_size_that_is_wanted_of_a_transposed_convolution() -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = chainrule.nn.ConvTranspose2d(2, 1, 3, stride=3, padding=1), torch.nn.ConvTranspose2d(2, 1, 3, 3, 1)
    ours.load_state_dict(theirs.state_dict())
    for size in ((7, 9), (8, 8), (1, 2, 9, 7)):
        a = ours(chainrule.ones(1, 2, 3, 3), output_size=size[:2] if len(size) == 2 else (1, 1, *size[2:]))
        b = theirs(torch.ones(1, 2, 3, 3), output_size=size[:2] if len(size) == 2 else (1, 1, *size[2:]))
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-5, atol=1e-6)
    with pytest.raises(chainrule.ShapeError, match=r"between \(7, 7\) and \(9, 9\)"):
        ours(chainrule.ones(1, 2, 3, 3), output_size=(10, 7))
