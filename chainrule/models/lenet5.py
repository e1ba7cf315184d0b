"""LeNet-5, the network that read handwritten digits."""

from __future__ import annotations

from typing import Any

from chainrule import nn
from chainrule.errors import ShapeError
from chainrule.models.registry import register
from chainrule.tensor import Tensor


class LeNet5(nn.Module):
    """(convolution, activation, pooling)², then three linear layers. 61,706 parameters for one input channel.

    Input (N, in_channels, image_size, image_size), output (N, num_classes) scores (logits).

    Args:
        num_classes: how many scores come out.
        in_channels: 1 for grey images, 3 for colour.
        image_size: 32, or 28, where the first convolution pads by 2 so that the rest is the same.
        activation: "relu", or "tanh" as in the paper.
        pooling: "max", or "avg", near the paper's subsampling.

    Source: LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", 1998, in
    the form that is taught today: full connections in the third layer, plain pooling, a linear output.

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
    ) -> None:
        super().__init__()
        if image_size not in (28, 32):
            raise ShapeError(f"LeNet-5 reads images of 28×28 or 32×32, got image_size={image_size}; resize them.")
        activations = {"relu": nn.ReLU, "tanh": nn.Tanh}
        poolings = {"max": nn.MaxPool2d, "avg": nn.AvgPool2d}
        if activation not in activations or pooling not in poolings:
            raise ValueError(
                f"activation is one of {', '.join(activations)} and pooling one of {', '.join(poolings)}, "
                f"got {activation!r} and {pooling!r}."
            )
        act, pool = activations[activation], poolings[pooling]
        padding = 2 if image_size == 28 else 0
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, 6, 5, padding=padding), act(), pool(2),
            nn.Conv2d(6, 16, 5), act(), pool(2),
        )  # fmt: skip
        self.classifier = nn.Sequential(
            nn.Flatten(), nn.Linear(400, 120), act(), nn.Linear(120, 84), act(), nn.Linear(84, num_classes)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) to scores (N, num_classes)."""
        return self.classifier(self.features(x))


@register("lenet5", task="classification", data="images", input=(1, 32, 32), paper="LeCun et al. 1998", smallest=28)
def lenet5(**options: Any) -> LeNet5:
    """A `LeNet5` with these options."""
    return LeNet5(**options)
