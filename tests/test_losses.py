"""Losses against PyTorch's: values, gradients, second derivatives, extreme scores, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import autograd, nn
from chainrule.nn import functional

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
    ("NLLLoss(weight=w, ignore_index=1)", "labels"), ("NLLLoss(weight=w, reduction='none')", "pixels"),
    *[("CrossEntropyLoss(weight=w, label_smoothing=0.3)", t) for t in ("one", "pixels", "probabilities", "one soft")],
    *[(f"CrossEntropyLoss(reduction='{r}')", t) for r in ("mean", "sum", "none") for t in ("soft pixels", "one soft", "bytes")],
    *[("CrossEntropyLoss(label_smoothing=0.1, weight=w, reduction='none')", t) for t in ("soft pixels", "pixels")],
    *[(f"{name}(reduction='{r}')", "all ignored") for name in ("CrossEntropyLoss", "NLLLoss") for r in ("mean", "sum", "none")],
    *[(f"{name}(reduction='{r}')", "nothing") for name in ("CrossEntropyLoss", "NLLLoss", "MSELoss") for r in ("mean", "sum")],
    ("CrossEntropyLoss(label_smoothing=1.0)", "labels"), ("CrossEntropyLoss(ignore_index=-1)", "probabilities"),
]  # fmt: skip


@pytest.mark.peer
@pytest.mark.parametrize(("source", "target"), LOSSES)
def test_loss_is_pytorch_s(source: str, target: str) -> None:
    torch = pytest.importorskip("torch")
    random = np.random.default_rng(3)
    pixels, one = (2, 4, 3, 2), (4,)
    shape = {"pixels": pixels, "soft pixels": pixels, "one": one, "one soft": one, "nothing": (0, 4)}.get(
        target, (6, 4)
    )
    x = random.standard_normal(shape)
    targets = {
        "same": random.standard_normal(shape), "labels": random.integers(0, 4, 6), "one": np.array(2),
        "pixels": random.integers(0, 4, (2, 3, 2)), "probabilities": random.dirichlet(np.ones(4), 6),
        "bytes": random.integers(0, 4, 6).astype("uint8"), "one soft": random.dirichlet(np.ones(4)),
        "soft pixels": np.moveaxis(random.dirichlet(np.ones(4), (2, 3, 2)), -1, 1), "all ignored": np.full(6, -100),
        "nothing": np.zeros((0, 4)) if source.startswith("MSE") else np.zeros(0, "int64"),
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


@pytest.mark.peer
def test_gradients_reach_both_sides_and_probabilities() -> None:
    torch = pytest.importorskip("torch")
    x, y = np.random.default_rng(0).standard_normal((2, 3, 4))
    for name in ("mse_loss", "l1_loss", "cross_entropy"):
        found = []
        for framework in (chainrule, torch):
            pair = [framework.tensor(array, requires_grad=True) for array in (x, y)]
            target = pair[1].softmax(1) if name == "cross_entropy" else pair[1]
            (getattr(framework.nn.functional, name)(pair[0], target) ** 2).backward()
            found.append([t.grad.numpy() for t in pair])
        np.testing.assert_allclose(found[0], found[1], rtol=1e-10, atol=1e-14)


X = [[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]]
REFUSED = [
    ("mse_loss(x, ones(2))", "ShapeError", r"\(2, 3\), the target \(2,\); they would broadcast", False),
    ("mse_loss(x, ones(2, 1))", "ShapeError", r"\(2, 1\)", False),
    ("l1_loss(x[:, :1], ones(2))", "ShapeError", r"squeeze\(-1\) on the prediction", False),
    ("l1_loss(x[:, 0], ones(2, 1))", "ShapeError", r"squeeze\(-1\) on the target", False),
    ("cross_entropy(x, tensor([0, 3]))", "IndexRangeError", r"label 3 at \[1\] is none of the 3 classes 0 … 2", True),
    ("cross_entropy(x, tensor([3, 1]))", "IndexRangeError", "Do the labels begin at 1", True),
    ("cross_entropy(x, tensor([0, -1]))", "IndexRangeError", "label -1 at", True),
    ("nll_loss(x, tensor([0, 3]))", "IndexRangeError", "label 3", True),
    ("cross_entropy(x, tensor([0, 7]), ignore_index=0)", "IndexRangeError", "label 7", True),
    ("cross_entropy(x, tensor([0.0, 1.0]))", "DTypeError", r"float32 targets.*\.long\(\)", True),
    ("nll_loss(x, x)", "DTypeError", r"\.long\(\)", True),
    ("cross_entropy(x, tensor([True, False]))", "DTypeError", "bool", True),
    ("cross_entropy(ones(2, 3).long(), tensor([0, 1]))", "DTypeError", r"\.float\(\)", True),
    ("cross_entropy(x, tensor([[0], [1]]))", "ShapeError", r"take labels \(2,\), got \(2, 1\)\. squeeze", True),
    ("cross_entropy(x, ones(2, 3).long())", "ShapeError", "one-hot", True),
    ("cross_entropy(x, tensor([0]))", "ShapeError", r"\(2,\), got \(1,\)", True),
    ("cross_entropy(x, tensor([0, 1]), weight=ones(2))", "ShapeError", r"3 classes, got shape \(2,\)", True),
    ("cross_entropy(x, x.softmax(1), weight=ones(2))", "ShapeError", "3 classes", True),
    ("cross_entropy(x, x.softmax(1), ignore_index=1)", "DTypeError", "ignore_index=1", True),
    ("cross_entropy(x, tensor([0, 1]), label_smoothing=1.5)", "ValueError", "label_smoothing", True),
    ("cross_entropy(x, tensor([0, 1]), reduction='average')", "ValueError", "'average'", True),
    ("mse_loss(x, x, reduction='average')", "ValueError", "'average'", True),
    ("mse_loss([1.0], x)", "DTypeError", "list", True),
]


@pytest.mark.peer
@pytest.mark.filterwarnings("ignore:Using a target size")
@pytest.mark.parametrize(("source", "kind", "says", "by_pytorch_too"), REFUSED)
def test_what_is_refused(source: str, kind: str, says: str, by_pytorch_too: bool) -> None:
    torch = pytest.importorskip("torch")

    def call(framework: Any) -> Any:
        names = {name: getattr(framework, name) for name in ("ones", "tensor")}
        return eval(f"f.{source}", {"f": framework.nn.functional, "x": framework.tensor(X), **names})

    with pytest.raises(getattr(chainrule, kind, ValueError), match=says):
        call(chainrule)
    if by_pytorch_too:
        with pytest.raises((RuntimeError, ValueError, IndexError, TypeError, AttributeError)):
            call(torch)


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


SMOOTH = [
    ("mse_loss(x, y)", "xy"), ("mse_loss(x, y, reduction='none')", "xy"), ("cross_entropy(x, labels)", "x"),
    ("cross_entropy(x, labels, weight=w, label_smoothing=0.1, reduction='none')", "x"),
    ("cross_entropy(x, labels, ignore_index=1)", "x"), ("cross_entropy(x, y.softmax(1), weight=w)", "xy"),
    ("nll_loss(x.log_softmax(1), labels, weight=w)", "x"), ("cross_entropy(x.reshape(1, 4, 3), labels.reshape(1, 3))", "x"),
    ("l1_loss(x, y * 5 + 9)", "xy"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "wanted"), SMOOTH)
def test_second_derivatives_of_losses(source: str, wanted: str) -> None:
    random = np.random.default_rng(0)
    tensors = {name: chainrule.tensor(random.standard_normal((3, 4)), requires_grad=name in wanted) for name in "xy"}
    names = {"labels": chainrule.tensor([1, 3, 0]), "w": chainrule.tensor([1.0, 2.0, 0.5, 3.0], dtype="float64")}

    def function(x: Any, y: Any) -> Any:
        return eval(f"f.{source}", {"f": functional, "x": x, "y": y, **names})

    assert autograd.gradgradcheck(function, (tensors["x"], tensors["y"]))
