"""Boxes around objects in images: (N, 4) numbers x₁, y₁, x₂, y₂ with x₁ ≤ x₂ and y₁ ≤ y₂, unless another form is named.

All but the choice of boxes (`nms`, `remove_small_boxes`) have gradients, so an overlap can be a loss.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

import chainrule
from chainrule.errors import ShapeError
from chainrule.tensor import Tensor

#: The forms of a box: two corners; a corner and extents; the centre and extents.
FORMS = ("xyxy", "xywh", "cxcywh")


def box_area(boxes: Tensor) -> Tensor:
    """The area of each box.

    >>> box_area(chainrule.tensor([[0.0, 0.0, 2.0, 3.0]]))
    tensor([6.])
    """
    x1, y1, x2, y2 = _sides(boxes, "box_area")
    return (x2 - x1) * (y2 - y1)


def box_convert(boxes: Tensor, in_fmt: str, out_fmt: str) -> Tensor:
    """Boxes in another form: "xyxy" (two corners), "xywh" (a corner, width, height) or "cxcywh" (the centre, …).

    Raises ValueError for another form.

    >>> box_convert(chainrule.tensor([[0.0, 0.0, 2.0, 4.0]]), "xyxy", "cxcywh")
    tensor([[1., 2., 2., 4.]])
    """
    for form in (in_fmt, out_fmt):
        if form not in FORMS:
            raise ValueError(f"box_convert: a form is one of {', '.join(map(repr, FORMS))}, got {form!r}.")
    a, b, c, d = _sides(boxes, "box_convert")
    if in_fmt == out_fmt:
        return boxes.clone()
    if in_fmt == "xywh":
        a, b, c, d = a, b, a + c, b + d
    elif in_fmt == "cxcywh":
        a, b, c, d = a - c / 2, b - d / 2, a + c / 2, b + d / 2
    if out_fmt == "xywh":
        a, b, c, d = a, b, c - a, d - b
    elif out_fmt == "cxcywh":
        a, b, c, d = (a + c) / 2, (b + d) / 2, c - a, d - b
    return chainrule.stack([a, b, c, d], -1)


def box_iou(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """The area that two boxes share over the area that they cover together, (N, M): for all pairs.

    >>> others = chainrule.tensor([[1.0, 0.0, 3.0, 2.0], [2.0, 2.0, 3.0, 3.0]])
    >>> box_iou(chainrule.tensor([[0.0, 0.0, 2.0, 2.0]]), others)
    tensor([[0.3333, 0.0000]])
    """
    shared, covered = _overlaps(boxes1, boxes2)
    return shared / covered


def generalized_box_iou(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """`box_iou` less the share of the smallest box around both that neither covers: below 0 for boxes far apart.

    Source: Rezatofighi et al., "Generalized intersection over union", 2019.

    >>> others = chainrule.tensor([[1.0, 0.0, 2.0, 1.0], [3.0, 0.0, 4.0, 1.0]])
    >>> generalized_box_iou(chainrule.tensor([[0.0, 0.0, 1.0, 1.0]]), others)
    tensor([[ 0.0000, -0.5000]])
    """
    shared, covered = _overlaps(boxes1, boxes2)
    low = chainrule.minimum(boxes1[:, None, :2], boxes2[:, :2])
    high = chainrule.maximum(boxes1[:, None, 2:], boxes2[:, 2:])
    around = (high - low).clamp(min=0).prod(-1)
    return shared / covered - (around - covered) / around


def clip_boxes_to_image(boxes: Tensor, size: Sequence[int]) -> Tensor:
    """Boxes (…, 4) cut off at the border of an image of `size` (height, width).

    >>> clip_boxes_to_image(chainrule.tensor([[-1.0, 2.0, 9.0, 5.0]]), (4, 8))
    tensor([[0., 2., 8., 4.]])
    """
    x1, y1, x2, y2 = _sides(boxes, "clip_boxes_to_image")
    height, width = size
    return chainrule.stack([x1.clamp(0, width), y1.clamp(0, height), x2.clamp(0, width), y2.clamp(0, height)], -1)


def remove_small_boxes(boxes: Tensor, min_size: float) -> Tensor:
    """The places of the boxes whose width and height are at least `min_size`.

    >>> remove_small_boxes(chainrule.tensor([[0.0, 0.0, 1.0, 9.0], [0.0, 0.0, 2.0, 3.0]]), 2)
    tensor([1])
    """
    x1, y1, x2, y2 = _sides(boxes, "remove_small_boxes")
    return ((x2 - x1 >= min_size) & (y2 - y1 >= min_size)).nonzero(as_tuple=True)[0]


def masks_to_boxes(masks: Tensor) -> Tensor:
    """The smallest box around what is not 0 in each mask of (N, H, W); x₂ and y₂ are the last pixels. Zeros for none.

    >>> masks_to_boxes(chainrule.tensor([[[0, 0, 0], [0, 1, 1]]]))
    tensor([[1., 1., 2., 1.]])
    """
    there = masks != 0
    found = []
    for dim in (1, 2):  # along x: whether any row has something there
        line = there.any(dim)
        places = chainrule.arange(line.shape[1], device=masks.device).float()
        last = chainrule.where(line, places, 0.0).amax(1)
        first = chainrule.where(line, places, float(line.shape[1])).amin(1)
        found.append((chainrule.where(line.any(1), first, 0.0), last))
    (x1, x2), (y1, y2) = found
    return chainrule.stack([x1, y1, x2, y2], 1)


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """The places of the boxes that are kept, best first: each that overlaps no better one by more than the threshold.

    Raises ShapeError unless there is a score for each box.

    >>> boxes = chainrule.tensor([[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 2.0, 1.9], [5.0, 5.0, 6.0, 6.0]])
    >>> nms(boxes, chainrule.tensor([0.8, 0.9, 0.1]), 0.5)
    tensor([1, 2])
    """
    if boxes.ndim != 2 or boxes.shape[1] != 4 or tuple(scores.shape) != (boxes.shape[0],):
        raise ShapeError(f"nms takes boxes (N, 4) and scores (N,), got {tuple(boxes.shape)} and {tuple(scores.shape)}.")
    with chainrule.no_grad():
        order = scores.argsort(descending=True).cpu().numpy()
        overlap = box_iou(boxes, boxes).cpu().numpy()
    is_open = np.ones(len(order), bool)
    kept = []
    for place in order:
        if is_open[place]:
            kept.append(place)
            is_open &= ~(overlap[place] > iou_threshold)
    return chainrule.tensor(np.array(kept, np.int64), device=boxes.device)


def batched_nms(boxes: Tensor, scores: Tensor, idxs: Tensor, iou_threshold: float) -> Tensor:
    """`nms` within each class: `idxs` (N,) are the classes, and boxes of different ones never meet.

    >>> boxes = chainrule.tensor([[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 2.0, 1.9]])
    >>> batched_nms(boxes, chainrule.tensor([0.8, 0.9]), chainrule.tensor([0, 1]), 0.5)
    tensor([1, 0])
    """
    if not boxes.numel():
        return chainrule.zeros(0, dtype="int64", device=boxes.device)
    apart = boxes.max() - boxes.min() + 1
    return nms(boxes + (idxs.to(boxes.dtype) * apart)[:, None], scores, iou_threshold)


def _sides(boxes: Tensor, operation: str) -> Sequence[Tensor]:
    if not boxes.ndim or boxes.shape[-1] != 4:
        raise ShapeError(f"{operation} takes boxes (…, 4), got {tuple(boxes.shape)}.")
    return boxes.unbind(-1)


def _overlaps(boxes1: Tensor, boxes2: Tensor) -> tuple[Tensor, Tensor]:
    """For all pairs the area that both have, and the area that either has."""
    low = chainrule.maximum(boxes1[:, None, :2], boxes2[:, :2])
    high = chainrule.minimum(boxes1[:, None, 2:], boxes2[:, 2:])
    shared = (high - low).clamp(min=0).prod(-1)
    return shared, box_area(boxes1)[:, None] + box_area(boxes2) - shared
