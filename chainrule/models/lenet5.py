"""LeNet-5: the network that read handwritten digits on cheques.

What was new: convolutions that are learned, with pooling between them, from the pixels to the answer.

    image 1×32×32
      │ C1: convolution 5×5                      6 × 28 × 28
      │ S2: halved by pooling                    6 × 14 × 14
      │ C3: convolution 5×5                     16 × 10 × 10
      │ S4: halved by pooling                   16 × 5 × 5
      │ C5: convolution 5×5, or linear           120
      │ F6: linear                                84
      ▼ output                                    10

There are three of it. The modern one, as it is taught: 61,706 parameters. One whose C3 sees only some of the channels,
by the paper's table: 60,806. And the paper's own, with pooling that learns, a stretched tanh, and outputs that are
distances to small drawings of the digits: 60,000.

Source: LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", 1998.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule import nn
from chainrule.errors import ShapeError
from chainrule.functions.creation import from_numpy, zeros
from chainrule.functions.pieces import cat
from chainrule.models.images import check_images
from chainrule.models.registry import register
from chainrule.nn import functional as F
from chainrule.tensor import Parameter, Tensor

ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}
POOLINGS = {"max": nn.MaxPool2d, "avg": nn.AvgPool2d}

#: Which channels of S2 each of C3's 16 maps sees: the paper's Table I, column by column.
C3_TABLE = (
    (0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5),
    (0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5),
    (0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5), (0, 1, 2, 3, 4, 5),
)  # fmt: skip


class PartialConv2d(nn.Module):
    """A convolution in which each output sees only some of the input's channels, by a table.

    Input (N, C, H, W), output (N, len(table), H − k + 1, W − k + 1). Only the weights that the table names exist: 60
    kernels for C3 instead of 96, so 1,516 parameters and not 2,416.

    >>> layer = PartialConv2d(6, C3_TABLE, 5)
    >>> sum(p.numel() for p in layer.parameters())
    1516
    """

    places: Tensor

    def __init__(self, in_channels: int, table: tuple[tuple[int, ...], ...], kernel_size: int) -> None:
        super().__init__()
        kernels = sum(map(len, table))
        self.weight = Parameter(zeros(kernels, kernel_size, kernel_size))
        self.bias = Parameter(zeros(len(table)))
        places = np.full((len(table), in_channels), kernels)  # behind the last kernel there is one of zeros
        fans = np.repeat([len(row) for row in table], [len(row) for row in table]) * kernel_size**2
        for i, (row, column) in enumerate((row, column) for row, seen in enumerate(table) for column in seen):
            places[row, column] = i
        self.register_buffer("places", from_numpy(places), persistent=False)
        for i, fan in enumerate(fans):
            nn.init.uniform_(self.weight[i], -1 / math.sqrt(fan), 1 / math.sqrt(fan))
        for row, seen in enumerate(table):
            bound = 1 / math.sqrt(len(seen) * kernel_size**2)
            nn.init.uniform_(self.bias[row], -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        kernels = cat([self.weight, self.weight.new_zeros(1, *self.weight.shape[1:])])
        return F.conv2d(x, kernels[self.places], self.bias)


class LeNet5(nn.Module):
    """(convolution, activation, pooling)², then three linear layers. 61,706 parameters for one input channel.

    Input (N, in_channels, image_size, image_size), output (N, num_classes) scores (logits).

    Args:
        num_classes: how many scores come out.
        in_channels: 1 for grey images, 3 for colour.
        image_size: 32, or 28, where the first convolution pads by 2 so that the rest is the same.
        activation: "relu", "tanh" as in the paper, or "sigmoid".
        pooling: "max", or "avg", near the paper's subsampling.
        partial: whether C3 sees only the channels of the paper's table: 60,806 parameters.

    Source: LeCun et al. 1998, in the form that is taught today: plain pooling, a linear output.

    >>> import chainrule
    >>> model = LeNet5()
    >>> model(chainrule.zeros(2, 1, 32, 32)).shape, sum(p.numel() for p in model.parameters())
    (Size([2, 10]), 61706)
    """

    def __init__(
        self,
        num_classes: int = 10,
        in_channels: int = 1,
        image_size: int = 32,
        activation: str = "relu",
        pooling: str = "max",
        partial: bool = False,
    ) -> None:
        super().__init__()
        _check_size(image_size)
        self.in_channels, self.image_size = in_channels, image_size
        if activation not in ACTIVATIONS or pooling not in POOLINGS:
            raise ValueError(
                f"activation is one of {', '.join(ACTIVATIONS)} and pooling one of {', '.join(POOLINGS)}, "
                f"got {activation!r} and {pooling!r}."
            )
        act, pool = ACTIVATIONS[activation], POOLINGS[pooling]
        third = PartialConv2d(6, C3_TABLE, 5) if partial else nn.Conv2d(6, 16, 5)
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, 6, 5, padding=(32 - image_size) // 2), act(), pool(2), third, act(), pool(2)
        )
        self.classifier = nn.Sequential(
            nn.Flatten(), nn.Linear(400, 120), act(), nn.Linear(120, 84), act(), nn.Linear(84, num_classes)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) to scores (N, num_classes)."""
        check_images(x, self.in_channels, exactly=self.image_size)
        return self.classifier(self.features(x))


def _check_size(image_size: int) -> None:
    if image_size not in (28, 32):
        raise ShapeError(f"LeNet-5 reads images of 28×28 or 32×32, got image_size={image_size}; resize them.")


# ------------------------------------------------------------------------------------------- LeCun's own


class StretchedTanh(nn.Module):
    """1.7159·tanh(⅔·x): ±1 at ±1, where its curvature is largest. Source: LeCun et al. 1998, appendix A."""

    def forward(self, x: Tensor) -> Tensor:
        """Entry by entry."""
        return (x * (2 / 3)).tanh() * 1.7159


class Subsampling(nn.Module):
    """The sum of each 2×2 field times a coefficient, plus a bias: two numbers that learn for each channel.

    Input (N, channels, H, W), output (N, channels, H/2, W/2). The coefficients start at ¼, the mean.

    >>> import chainrule
    >>> Subsampling(1)(chainrule.tensor([[[[1.0, 2.0], [3.0, 6.0]]]])).item()
    3.0
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = Parameter(zeros(channels))
        self.bias = Parameter(zeros(channels))
        nn.init.constant_(self.weight, 0.25)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        total = F.avg_pool2d(x, 2) * 4
        return total * self.weight.reshape(1, -1, 1, 1) + self.bias.reshape(1, -1, 1, 1)


#: The digits as drawings of 7×12 pixels, row by row. The paper's own are in its Figure 3; these are ours, in its style.
DRAWINGS = {
    0: "..###.. .#...#. #.....# #.....# #.....# #.....# #.....# #.....# #.....# .#...#. ..###.. .......",
    1: "...#... ..##... .#.#... ...#... ...#... ...#... ...#... ...#... ...#... ...#... .#####. .......",
    2: ".#####. #.....# ......# ......# .....#. ....#.. ...#... ..#.... .#..... #...... ####### .......",
    3: ".#####. #.....# ......# ......# .....#. ..###.. .....#. ......# ......# #.....# .#####. .......",
    4: ".....#. ....##. ...#.#. ..#..#. .#...#. #....#. #....#. ####### .....#. .....#. .....#. .......",
    5: "####### #...... #...... #...... ######. ......# ......# ......# ......# #.....# .#####. .......",
    6: "..####. .#..... #...... #...... #.####. ##....# #.....# #.....# #.....# .#...#. ..###.. .......",
    7: "####### ......# .....#. .....#. ....#.. ....#.. ...#... ...#... ..#.... ..#.... ..#.... .......",
    8: ".#####. #.....# #.....# #.....# .#...#. ..###.. .#...#. #.....# #.....# #.....# .#####. .......",
    9: "..###.. .#...#. #.....# #.....# #.....# #....## .####.# ......# ......# .....#. .####.. .......",
}  # fmt: skip


def drawn_digits() -> np.ndarray:
    """The drawings as ±1, (10, 84) float32: ink is +1.

    >>> drawn_digits().shape
    (10, 84)
    """
    rows = [[1.0 if pixel == "#" else -1.0 for pixel in DRAWINGS[digit].replace(" ", "")] for digit in range(10)]
    return np.asarray(rows, np.float32)


class DistanceOutput(nn.Module):
    """Radial basis functions: scores −‖x − w_c‖², w_c the drawing of digit c. Nothing here learns.

    Input (N, 84), output (N, 10). The paper's outputs are the distances, the least of which is the answer; with the
    other sign the largest is, and cross-entropy of them is the paper's loss (9) without its constant j.

    >>> import chainrule
    >>> DistanceOutput()(chainrule.tensor(drawn_digits())).argmax(1)
    tensor([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    """

    drawings: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("drawings", from_numpy(drawn_digits()), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return -(x[:, None, :] - self.drawings).square().sum(2)


class LeCunLeNet5(nn.Module):
    """LeNet-5 as in the paper: 60,000 parameters that learn.

    Input (N, 1, image_size, image_size), output (N, 10) scores: the negative distances to the drawings. Ten classes,
    because there are ten drawings.

    Args:
        image_size: 32, or 28, where the first convolution pads by 2.

    Weights start uniform in ±2.4/fan_in, as the paper says. Source: LeCun et al. 1998, II.B.

    >>> import chainrule
    >>> model = LeCunLeNet5()
    >>> model(chainrule.zeros(2, 1, 32, 32)).shape, sum(p.numel() for p in model.parameters())
    (Size([2, 10]), 60000)
    """

    def __init__(self, image_size: int = 32) -> None:
        super().__init__()
        _check_size(image_size)
        self.image_size = image_size
        self.c1 = nn.Conv2d(1, 6, 5, padding=(32 - image_size) // 2)
        self.s2 = Subsampling(6)
        self.c3 = PartialConv2d(6, C3_TABLE, 5)
        self.s4 = Subsampling(16)
        self.c5 = nn.Conv2d(16, 120, 5)
        self.f6 = nn.Linear(120, 84)
        self.output = DistanceOutput()
        self.squash = StretchedTanh()
        self._start()

    def _start(self) -> None:
        for layer in (self.c1, self.c5, self.f6):
            bound = 2.4 / nn.init.fan_in_and_out(layer.weight)[0]
            nn.init.uniform_(layer.weight, -bound, bound)
            nn.init.uniform_(layer.bias, -bound, bound)
        first = 0
        for row, seen in enumerate(C3_TABLE):
            bound = 2.4 / (25 * len(seen))
            for i in range(first, first + len(seen)):
                nn.init.uniform_(self.c3.weight[i], -bound, bound)
            nn.init.uniform_(self.c3.bias[row], -bound, bound)
            first += len(seen)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, 1, H, W) to scores (N, 10)."""
        check_images(x, 1, exactly=self.image_size)
        x = self.squash(self.s2(self.squash(self.c1(x))))
        x = self.squash(self.s4(self.squash(self.c3(x))))
        x = self.squash(self.f6(self.squash(self.c5(x)).flatten(1)))
        return self.output(x)


_ABOUT: dict[str, Any] = {
    "task": "classification", "data": "images", "input": (1, 32, 32), "paper": "LeCun et al. 1998", "smallest": 28,
}  # fmt: skip


@register("lenet5", **_ABOUT)
def lenet5(**options: Any) -> LeNet5:
    """A modern `LeNet5` with these options."""
    return LeNet5(**options)


@register("lenet5_c3", **_ABOUT)
def lenet5_c3(**options: Any) -> LeNet5:
    """A `LeNet5` with the paper's partial C3: 60,806 parameters."""
    return LeNet5(**{"partial": True, **options})


@register("lenet5_lecun", **_ABOUT)
def lenet5_lecun(image_size: int = 32) -> LeCunLeNet5:
    """LeCun's own, `LeCunLeNet5`: 60,000 parameters, ten classes, grey images."""
    return LeCunLeNet5(image_size)
