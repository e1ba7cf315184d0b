"""PyTorch-vision's `ops`: boxes around objects, the focal loss, and layers that networks for images share."""

from chainrule.vision.ops.boxes import (
    batched_nms,
    box_area,
    box_convert,
    box_iou,
    clip_boxes_to_image,
    generalized_box_iou,
    masks_to_boxes,
    nms,
    remove_small_boxes,
)
from chainrule.vision.ops.focal_loss import sigmoid_focal_loss
from chainrule.vision.ops.misc import FrozenBatchNorm2d
from chainrule.vision.ops.stochastic_depth import StochasticDepth, stochastic_depth

__all__ = [
    "FrozenBatchNorm2d", "StochasticDepth", "batched_nms", "box_area", "box_convert", "box_iou", "clip_boxes_to_image",
    "generalized_box_iou", "masks_to_boxes", "nms", "remove_small_boxes", "sigmoid_focal_loss", "stochastic_depth",
]  # fmt: skip
