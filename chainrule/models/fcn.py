"""Fully convolutional networks: a classifier that says for every pixel what is there.

What was new: a linear layer on a flattened image is a convolution with a kernel as large as the image. Written so, a
classifier takes images of any size and gives a map of scores; made as large as the image again, that is a segmentation.
Maps of earlier layers, which are finer, are added on the way up: none (32s), one (16s), two (8s).

    image ── VGG-16's convolutions ──┬────────────────┬─────────────────┐
                                   pool3            pool4             pool5 ── fc6 7×7 ── fc7 1×1
                                  1/8 │           1/16 │                1/32 │
                                  1×1 ▼            1×1 ▼                 1×1 ▼
                             8s: scores ◀── ×2 ── 16s: + ◀───── ×2 ───── scores
                                   ▼ ×8

The larger sizes are made by transposed convolutions that start as bilinear interpolation.

Such a network takes twice the resolution unchanged, but it was not made for it: what it has learned is the look of
things at one scale.

Source: Long, Shelhamer and Darrell, "Fully convolutional networks for semantic segmentation", 2015.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule import nn
from chainrule.autodiff.mode import no_grad
from chainrule.functions.creation import from_numpy
from chainrule.models.images import check_images
from chainrule.models.registry import register
from chainrule.models.vgg import STAGES, make_features
from chainrule.nn import functional as F
from chainrule.tensor import Tensor


class Enlarge(nn.ConvTranspose2d):
    """Each channel enlarged `factor` times; it starts as bilinear interpolation and learns from there.

    Input (N, channels, H, W), output (N, channels, factor·H, factor·W).

    >>> import chainrule
    >>> Enlarge(1, 2)(chainrule.ones(1, 1, 3, 3))[0, 0, 2]
    tensor([0.7500, 1.0000, 1.0000, 1.0000, 1.0000, 0.7500], grad_fn=<...>)
    """

    def __init__(self, channels: int, factor: int) -> None:
        super().__init__(channels, channels, 2 * factor, stride=factor, padding=factor // 2, bias=False)
        slope = 1 - np.abs((np.arange(2 * factor) - factor + 0.5) / factor)
        kernel = np.eye(channels)[:, :, None, None] * np.outer(slope, slope)
        with no_grad():
            self.weight.copy_(from_numpy(kernel.astype(np.float32)))


class FCN(nn.Module):
    """VGG-16's convolutions, two more in place of its linear layers, and the way up.

    Input (N, in_channels, H, W), output (N, num_classes, H, W) scores (logits) for every pixel. Any size: images are
    padded with zeros to a multiple of 32, and the scores cut.

    Args:
        num_classes: scores for each pixel; 21 for Pascal's.
        stride: 32, 16 or 8: how coarse the finest map is that is used.
        in_channels: 3 for colour.
        width: channels of the first stage; VGG-16 has 64.
        hidden: channels of fc6 and fc7.
        dropout: after these two.

    `features` has the names of torchvision's VGG-16, so its weights fit. What gives scores starts at 0, as in the
    paper. Raises ValueError for another stride. Source: Long, Shelhamer and Darrell 2015.

    >>> import chainrule
    >>> FCN(5, width=4, hidden=8)(chainrule.zeros(1, 3, 40, 70)).shape
    Size([1, 5, 40, 70])
    """

    def __init__(
        self,
        num_classes: int = 21,
        stride: int = 8,
        in_channels: int = 3,
        width: int = 64,
        hidden: int = 4096,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        if stride not in (8, 16, 32):
            raise ValueError(f"the finest map has a stride of 8, 16 or 32, got {stride}.")
        self.in_channels, self.stride = in_channels, stride
        stages = [[channels * width // 64 for channels in stage] for stage in STAGES[16]]
        self.features = make_features(stages, in_channels=in_channels)
        self.fc6 = nn.Conv2d(8 * width, hidden, 7, padding=3)
        self.fc7 = nn.Conv2d(hidden, hidden, 1)
        self.dropout = nn.Dropout2d(dropout)
        self.score = nn.Conv2d(hidden, num_classes, 1)
        self.score_pool4 = nn.Conv2d(8 * width, num_classes, 1) if stride <= 16 else None
        self.score_pool3 = nn.Conv2d(4 * width, num_classes, 1) if stride == 8 else None
        self.up_to_pool4 = Enlarge(num_classes, 2) if stride <= 16 else None
        self.up_to_pool3 = Enlarge(num_classes, 2) if stride == 8 else None
        self.up = Enlarge(num_classes, stride)
        for layer in (self.score, self.score_pool4, self.score_pool3):
            if layer is not None:
                nn.init.zeros_(layer.weight)
                nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Scores for every pixel."""
        check_images(x, self.in_channels)
        height, width = x.shape[2:]
        x = F.pad(x, (0, -width % 32, 0, -height % 32))
        pooled = []
        for layer in self.features:
            x = layer(x)
            if isinstance(layer, nn.MaxPool2d):
                pooled.append(x)
        x = self.dropout(F.relu(self.fc6(x)))
        x = self.score(self.dropout(F.relu(self.fc7(x))))
        if self.up_to_pool4 is not None and self.score_pool4 is not None:
            x = self.up_to_pool4(x) + self.score_pool4(pooled[3])
        if self.up_to_pool3 is not None and self.score_pool3 is not None:
            x = self.up_to_pool3(x) + self.score_pool3(pooled[2])
        return self.up(x)[:, :, :height, :width]


_ABOUT: dict[str, Any] = {
    "task": "segmentation", "data": "masks", "input": (3, 224, 224), "paper": "Long, Shelhamer and Darrell 2015",
}  # fmt: skip


@register("fcn_8s", **_ABOUT)
def fcn_8s(**options: Any) -> FCN:
    """An `FCN` that uses the third and the fourth pooling's maps too."""
    return FCN(**{"stride": 8, **options})


@register("fcn_16s", **_ABOUT)
def fcn_16s(**options: Any) -> FCN:
    """An `FCN` that uses the fourth pooling's map too."""
    return FCN(**{"stride": 16, **options})


@register("fcn_32s", **_ABOUT)
def fcn_32s(**options: Any) -> FCN:
    """An `FCN` that uses the last map only."""
    return FCN(**{"stride": 32, **options})
