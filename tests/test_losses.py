"""Losses against PyTorch's: values, gradients, second derivatives, extreme scores, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule
from chainrule import autograd, nn

LOSSES: list[tuple[str, str]] = [
    *[(f"MSELoss(reduction='{r}')", "same") for r in ("mean", "sum", "none")],
    *[(f"L1Loss(reduction='{r}')", "same") for r in ("mean", "sum", "none")],
    *[(f"CrossEntropyLoss(reduction='{r}')", t) for r in ("mean", "sum", "none") for t in ("labels", "pixels", "one")],
    *[(f"CrossEntropyLoss(reduction='{r}')", "probabilities") for r in ("mean", "sum", "none")],
    *[(f"CrossEntropyLoss(weight=w, reduction='{r}')", t) for r in ("mean", "none") for t in ("labels", "probabilities")],
    *[(f"CrossEntropyLoss(label_smoothing=0.1, reduction='{r}')", t) for r in ("mean", "sum", "none")
      for t in ("labels", "pixels", "probabilities")],
    ("CrossEntropyLoss(weight=w, label_smoothing=0.2)", "labels"), ("CrossEntropyLoss(ignore_index=2)", "labels"),
    ("CrossEntropyLoss(weight=w, ignore_index=1, label_smoothing=0.1)", "pixels"),
    ("CrossEntropyLoss(weight=w)", "pixels"), ("CrossEntropyLoss(reduction='sum', ignore_index=0)", "pixels"),
    *[(f"NLLLoss(reduction='{r}')", t) for r in ("mean", "sum", "none") for t in ("labels", "pixels", "one")],
    ("NLLLoss(weight=w, ignore_index=1)", "labels"),
]  # fmt: skip


@pytest.mark.peer
@pytest.mark.parametrize(("source", "target"), LOSSES)
def test_loss_is_pytorch_s(source: str, target: str) -> None:
    torch = pytest.importorskip("torch")
    random = np.random.default_rng(3)
    shape = {"pixels": (2, 4, 3, 2), "one": (4,)}.get(target, (6, 4))
    x = random.standard_normal(shape)
    targets = {
        "same": random.standard_normal(shape), "labels": random.integers(0, 4, 6), "one": np.array(2),
        "pixels": random.integers(0, 4, (2, 3, 2)), "probabilities": random.dirichlet(np.ones(4), 6),
    }  # fmt: skip
    found = []
    for framework in (chainrule, torch):
        weight = framework.tensor(np.array([1.0, 2.0, 0.5, 3.0]))
        loss = eval(f"nn.{source}", {"nn": framework.nn, "w": weight})
        t = framework.tensor(x, requires_grad=True)
        value = loss(t, framework.tensor(targets[target]))
        (value * value).sum().backward()
        found.append((value.detach().numpy(), t.grad.numpy()))
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-13)


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


def test_losses_refuse_to_broadcast_and_show_the_mend() -> None:
    for loss in (nn.MSELoss(), nn.L1Loss()):
        with pytest.raises(chainrule.ShapeError, match=r"\(4, 1\).*\(4,\).*squeeze\(-1\)"):
            loss(chainrule.ones(4, 1), chainrule.ones(4))


def test_second_derivatives_of_losses() -> None:
    x = chainrule.randn(3, 4, dtype="float64").requires_grad_()
    y = chainrule.randn(3, 4, dtype="float64").requires_grad_()
    labels = chainrule.tensor([1, 3, 0])
    assert autograd.gradgradcheck(nn.functional.mse_loss, (x, y))
    assert autograd.gradgradcheck(lambda x: nn.functional.cross_entropy(x, labels), x)
    assert autograd.gradgradcheck(lambda x: nn.functional.cross_entropy(x, y.softmax(1)), x)
