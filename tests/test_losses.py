"""The first losses, what tables cannot say: extreme scores, where an error comes from, weights as buffers."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import autograd, nn


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scale", [1e4, -1e4])
def test_cross_entropy_is_finite_and_right_at_extreme_scores(dtype: str, scale: float) -> None:
    x = chainrule.tensor([[scale, 0.0, -scale]], dtype=dtype, requires_grad=True)
    for label in range(3):
        x.grad = None
        loss = nn.functional.cross_entropy(x, chainrule.tensor([label]))
        loss.backward()
        assert loss.item() == pytest.approx(abs(scale) - [scale, 0, -scale][label])
        largest = 0 if scale > 0 else 2
        assert x.grad.tolist() == [[float(i == largest) - float(i == label) for i in range(3)]]


@pytest.mark.parametrize("loss", [nn.MSELoss, nn.L1Loss, nn.NLLLoss, nn.CrossEntropyLoss])
def test_modules_say_where_and_check_at_once(loss: Any) -> None:
    with pytest.raises(ValueError, match="'average'"):
        loss(reduction="average")
    with pytest.raises(chainrule.ChainruleError, match=rf"^{loss.__name__}: "):
        loss()(chainrule.ones(2, 3), chainrule.ones(4))


def test_class_weights_are_saved_and_converted() -> None:
    loss = nn.CrossEntropyLoss(weight=chainrule.tensor([1.0, 2.0])).double()
    assert list(loss.state_dict()) == ["weight"] and loss.weight.dtype is chainrule.float64
    assert not list(loss.parameters()) and not nn.CrossEntropyLoss().state_dict()


@pytest.mark.peer
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_path_is_right_at_extreme_scores(dtype: str) -> None:
    torch = pytest.importorskip("torch")
    x = np.array([[1e4, 0, -1e4], [-1e4, 1e4, 1e4], [-1e4, -1e4, -1e4]])
    soft = np.array([[0.2, 0.3, 0.5], [1, 0, 0], [0, 0.5, 0.5]], dtype)
    for settings, target in [
        ({}, [2, 0, 1]), ({"label_smoothing": 0.1}, [0, 1, 2]), ({"reduction": "sum"}, [1, 2, 0]), ({}, soft),
        ({"ignore_index": 0}, [0, 1, 2]), ({"label_smoothing": 0.1, "reduction": "none"}, soft),
    ]:  # fmt: skip
        found = []
        for framework in (chainrule, torch):
            t = framework.tensor(x.astype(dtype), requires_grad=True)
            value = framework.nn.functional.cross_entropy(t, framework.tensor(np.array(target)), **settings)
            value.sum().backward()
            found.append((value.detach().numpy(), t.grad.numpy()))
        for ours, theirs in zip(*found, strict=True):
            assert np.isfinite(ours).all()
            np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 1), (64, 10), (5000, 3), (7, 1000)])
def test_few_scores_have_the_bits_of_the_single_operations(dtype: str, shape: tuple[int, int]) -> None:
    """Cross-entropy of a small batch is a few calls of NumPy; whoever looks on sees operations, and the same numbers."""
    generator = chainrule.Generator().manual_seed(sum(shape))
    for scale in (1.0, 60.0):
        x = (chainrule.randn(*shape, generator=generator) * scale).to(getattr(chainrule, dtype)).requires_grad_()
        labels = chainrule.randint(0, shape[1], (shape[0],), generator=generator)
        found = []
        for look in (nullcontext, autograd.detect_anomaly):
            with look():
                loss = nn.functional.cross_entropy(x, labels)
                (gradient,) = autograd.grad(loss * 3, x)
            found.append((loss.detach().numpy(), gradient.numpy()))
        for plain, watched in zip(*found, strict=True):
            assert plain.dtype == watched.dtype == dtype and plain.shape == watched.shape
            assert plain.tobytes() == watched.tobytes()
