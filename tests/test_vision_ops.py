"""`vision.ops` against what its definitions say: areas counted pixel by pixel, a choice of boxes one by one."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import nn
from chainrule.vision import ops


def some_boxes(count: int, seed: int, size: int = 12) -> np.ndarray:
    """Boxes with whole corners, none of them empty."""
    random = np.random.default_rng(seed)
    low = random.integers(0, size - 2, (count, 2))
    return np.concatenate([low, low + random.integers(1, size // 2, (count, 2))], 1).astype(np.float64)


def pixels(box: np.ndarray, size: int = 24) -> np.ndarray:
    x1, y1, x2, y2 = box.astype(int)
    found = np.zeros((size, size), bool)
    found[y1:y2, x1:x2] = True
    return found


def test_overlaps_are_counted_pixels() -> None:
    one, two = some_boxes(7, 0), some_boxes(5, 1)
    iou, general = (f(chainrule.tensor(one), chainrule.tensor(two)) for f in (ops.box_iou, ops.generalized_box_iou))
    for i, j in itertools.product(range(7), range(5)):
        a, b = pixels(one[i]), pixels(two[j])
        around = pixels(np.concatenate([np.minimum(one[i], two[j])[:2], np.maximum(one[i], two[j])[2:]]))
        wanted = (a & b).sum() / (a | b).sum()
        np.testing.assert_allclose(iou[i, j].item(), wanted, rtol=1e-12)
        rest = (around.sum() - (a | b).sum()) / around.sum()
        np.testing.assert_allclose(general[i, j].item(), wanted - rest, rtol=1e-12, atol=1e-14)
    assert ops.box_area(chainrule.tensor(one)).tolist() == [pixels(box).sum() for box in one]
    assert ops.box_iou(chainrule.tensor(one).long(), chainrule.tensor(two).long()).dtype is chainrule.float32


def test_an_overlap_has_a_gradient() -> None:
    one, two = (chainrule.tensor(some_boxes(3, seed) + 0.1 * seed, requires_grad=True) for seed in (2, 3))
    assert chainrule.autograd.gradcheck(lambda a, b: ops.generalized_box_iou(a, b), (one, two))


@pytest.mark.parametrize(("first", "second"), list(itertools.product(("xyxy", "xywh", "cxcywh"), repeat=2)))
def test_forms_of_boxes_go_there_and_back(first: str, second: str) -> None:
    corners = chainrule.tensor(some_boxes(4, 4))
    given = ops.box_convert(corners, "xyxy", first)
    other = ops.box_convert(given, first, second)
    assert chainrule.allclose(ops.box_convert(other, second, "xyxy"), corners)
    x1, y1, x2, y2 = corners.unbind(-1)
    wanted = {
        "xyxy": [x1, y1, x2, y2],
        "xywh": [x1, y1, x2 - x1, y2 - y1],
        "cxcywh": [(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1],
    }
    assert chainrule.allclose(other, chainrule.stack(wanted[second], -1))


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.7])
def test_the_best_boxes_are_kept_one_by_one(threshold: float) -> None:
    boxes, random = some_boxes(30, 5), np.random.default_rng(6)
    scores, classes = random.permutation(30) / 30, random.integers(0, 3, 30)

    def chosen(apart: bool) -> list[int]:
        kept: list[int] = []
        for i in np.argsort(-scores):
            rivals = [j for j in kept if not apart or classes[i] == classes[j]]
            overlaps = [
                (pixels(boxes[i]) & pixels(boxes[j])).sum() / (pixels(boxes[i]) | pixels(boxes[j])).sum()
                for j in rivals
            ]
            if all(overlap <= threshold for overlap in overlaps):
                kept.append(int(i))
        return kept

    given = chainrule.tensor(boxes), chainrule.tensor(scores)
    assert ops.nms(*given, threshold).tolist() == chosen(False)
    assert ops.batched_nms(*given, chainrule.tensor(classes), threshold).tolist() == chosen(True)
    nothing = chainrule.zeros(0, 4), chainrule.zeros(0)
    assert ops.nms(*nothing, 0.5).tolist() == ops.batched_nms(*nothing, chainrule.zeros(0).long(), 0.5).tolist() == []


def test_boxes_of_masks_and_images() -> None:
    masks = chainrule.zeros(3, 5, 6)
    masks[0, 1:3, 2:5], masks[1, 4, 0] = 2.0, 1.0
    assert ops.masks_to_boxes(masks).tolist() == [[2, 1, 4, 2], [0, 4, 0, 4], [0, 0, 0, 0]]
    boxes = chainrule.tensor([[-2.0, -1, 3, 4], [1, 2, 9, 9]])
    assert ops.clip_boxes_to_image(boxes, (5, 6)).tolist() == [[0, 0, 3, 4], [1, 2, 6, 5]]
    assert ops.remove_small_boxes(boxes, 6).tolist() == [1]


@pytest.mark.parametrize("alpha", [0.25, -1])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_the_focal_loss_is_its_formula(alpha: float, reduction: str) -> None:
    random = np.random.default_rng(7)
    x, y = random.normal(size=(4, 3)) * 3, random.integers(0, 2, (4, 3)).astype(float)
    p = np.where(y == 1, 1 / (1 + np.exp(-x)), 1 / (1 + np.exp(x)))
    wanted = -((1 - p) ** 3) * np.log(p) * (np.where(y == 1, alpha, 1 - alpha) if alpha >= 0 else 1)
    found = ops.sigmoid_focal_loss(chainrule.tensor(x), chainrule.tensor(y), alpha, 3, reduction)
    np.testing.assert_allclose(found.numpy(), getattr(np, reduction, lambda x: x)(wanted), rtol=1e-12)


def test_frozen_statistics_are_those_of_evaluation() -> None:
    layer, x = nn.BatchNorm2d(3).double(), chainrule.randn(4, 3, 2, 2).double()
    for _ in range(3):
        layer(x * 2 + 1)
    with chainrule.no_grad():
        layer.weight.copy_(chainrule.rand(3))
    frozen = ops.FrozenBatchNorm2d(3).double()
    assert not frozen.load_state_dict(layer.state_dict(), strict=False).missing_keys
    assert chainrule.allclose(frozen.train()(x), layer.eval()(x)) and not list(frozen.parameters())


def test_stochastic_depth_leaves_out_branches_and_keeps_the_mean() -> None:
    x = chainrule.ones(4000, 2, 2)
    rows = ops.stochastic_depth(x, 0.25, "row")
    assert sorted({round(v, 4) for v in rows.unique().tolist()}) == [0, 1.3333] and abs(rows.mean().item() - 1) < 0.05
    assert (rows == rows[:, :1, :1]).all()
    assert all(ops.StochasticDepth(0.5, "batch")(x).unique().numel() == 1 for _ in range(5))
    assert ops.stochastic_depth(x, 1.0, "row").sum() == 0 and ops.StochasticDepth(0.5, "row").eval()(x) is x


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda: ops.box_convert(chainrule.ones(1, 4), "xyxy", "yxyx"), "'cxcywh', got 'yxyx'"),
        (lambda: ops.box_area(chainrule.ones(2, 3)), r"boxes \(…, 4\), got \(2, 3\)"),
        (lambda: ops.nms(chainrule.ones(2, 4), chainrule.ones(3), 0.5), r"scores \(N,\), got \(2, 4\) and \(3,\)"),
        (lambda: ops.sigmoid_focal_loss(chainrule.ones(2), chainrule.ones(2), reduction="all"), "got 'all'"),
        (lambda: ops.stochastic_depth(chainrule.ones(2), 0.5, "rows"), "'batch' or 'row'"),
        (lambda: ops.stochastic_depth(chainrule.ones(2), 2, "row"), "probability"),
    ],
)
def test_what_does_not_fit_is_refused(wrong: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        wrong()
