"""GoogLeNet: all kernel sizes at once, and 1×1 convolutions that make this affordable.

What was new: the Inception block. Which kernel is right, 1×1, 3×3 or 5×5? It takes them all, and a pooling, side by
side, and puts their channels together. Pooling with kernel 3, stride 1 and padding 1 keeps the size, so it can be one
of the branches.

    naive                                     reduced
      x ─┬─ 1×1 ────────────┐                   x ─┬─ 1×1 ───────────────┐
         ├─ 3×3 ────────────┤                      ├─ 1×1 ─ 3×3 ─────────┤
         ├─ 5×5 ────────────┼─ channels            ├─ 1×1 ─ 5×5 ─────────┼─ channels
         └─ pooling ────────┘  together            └─ pooling ─ 1×1 ─────┘  together

The naive block pays twice: the large kernels read all channels, and the pooling's channels are added to the others, so
that every block is wider than the last. The 1×1 convolutions before (or, for pooling, behind) reduce the channels
first. Block 3a, with biases: 387,296 parameters and 416 channels naive, 163,696 and 256 reduced.

Two auxiliary heads on the way give the early layers a gradient of their own in training.

torchvision's network differs from the paper's: batch normalisation and no biases, and 3×3 kernels where the paper has
5×5, by a mistake that its weights have made permanent. `googlenet` is that one, `googlenet_5x5` has the kernels of the
paper.

Source: Szegedy et al., "Going deeper with convolutions", 2015; the 1×1 convolutions are those of Lin, Chen and Yan,
"Network in network", 2014.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from chainrule import nn
from chainrule.functions.pieces import cat, stack
from chainrule.models.images import check_images
from chainrule.models.registry import register
from chainrule.nn import functional as F
from chainrule.tensor import Tensor


class GoogLeNetOutputs(NamedTuple):
    """What comes out in training: the scores, and those of the two auxiliary heads, the later one first."""

    logits: Tensor
    aux_logits2: Tensor | None
    aux_logits1: Tensor | None


class BasicConv2d(nn.Module):
    """A convolution without bias, batch normalisation, ReLU."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, **options: Any) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, bias=False, **options)
        self.bn = nn.BatchNorm2d(out_channels, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return F.relu(self.bn(self.conv(x)))


class BiasedConv2d(nn.Module):
    """A convolution with bias and ReLU, as in the paper."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, **options: Any) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, **options)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return F.relu(self.conv(x))


class Inception(nn.Module):
    """The block with reductions. Output (N, ch1x1 + ch3x3 + ch5x5 + pool_proj, H, W).

    Args:
        in_channels: channels of the input.
        ch1x1: of the 1×1 branch.
        ch3x3red, ch3x3: of the reduction and the 3×3 convolution behind it.
        ch5x5red, ch5x5: the same for the third branch.
        pool_proj: of the 1×1 convolution behind the pooling.
        conv_block: makes a convolution with what follows it: `BasicConv2d` (torchvision's) or `BiasedConv2d`.
        large: the kernel of the third branch: 5 in the paper, 3 in torchvision's network.

    >>> block = Inception(192, 64, 96, 128, 16, 32, 32, BiasedConv2d, large=5)
    >>> block.out_channels, sum(p.numel() for p in block.parameters())
    (256, 163696)
    """

    def __init__(
        self,
        in_channels: int,
        ch1x1: int,
        ch3x3red: int,
        ch3x3: int,
        ch5x5red: int,
        ch5x5: int,
        pool_proj: int,
        conv_block: Callable[..., nn.Module] = BasicConv2d,
        large: int = 3,
    ) -> None:
        super().__init__()
        self.out_channels = ch1x1 + ch3x3 + ch5x5 + pool_proj
        self.branch1 = conv_block(in_channels, ch1x1, 1)
        self.branch2 = nn.Sequential(conv_block(in_channels, ch3x3red, 1), conv_block(ch3x3red, ch3x3, 3, padding=1))
        self.branch3 = nn.Sequential(
            conv_block(in_channels, ch5x5red, 1), conv_block(ch5x5red, ch5x5, large, padding=large // 2)
        )
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, 1, 1, ceil_mode=True), conv_block(in_channels, pool_proj, 1))

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class NaiveInception(nn.Module):
    """The block without reductions. Output (N, ch1x1 + ch3x3 + ch5x5 + in_channels, H, W): pooling keeps its channels.

    >>> block = NaiveInception(192, 64, 128, 32, BiasedConv2d)
    >>> block.out_channels, sum(p.numel() for p in block.parameters())
    (416, 387296)
    """

    def __init__(
        self,
        in_channels: int,
        ch1x1: int,
        ch3x3: int,
        ch5x5: int,
        conv_block: Callable[..., nn.Module] = BasicConv2d,
    ) -> None:
        super().__init__()
        self.out_channels = ch1x1 + ch3x3 + ch5x5 + in_channels
        self.branch1 = conv_block(in_channels, ch1x1, 1)
        self.branch2 = conv_block(in_channels, ch3x3, 3, padding=1)
        self.branch3 = conv_block(in_channels, ch5x5, 5, padding=2)
        self.branch4 = nn.MaxPool2d(3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class InceptionAux(nn.Module):
    """An auxiliary head: the mean over 4×4 fields, a 1×1 convolution, two linear layers. Output (N, num_classes)."""

    def __init__(self, in_channels: int, num_classes: int, dropout: float = 0.7) -> None:
        super().__init__()
        self.conv = BasicConv2d(in_channels, 128, 1)
        self.fc1 = nn.Linear(2048, 1024)
        self.fc2 = nn.Linear(1024, num_classes)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        x = self.conv(F.adaptive_avg_pool2d(x, (4, 4))).flatten(1)
        return self.fc2(self.dropout(F.relu(self.fc1(x))))


#: The blocks: channels of the branches, as `Inception` takes them. After those in CUT the size is halved.
BLOCKS = {
    "3a": (64, 96, 128, 16, 32, 32), "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64), "4b": (160, 112, 224, 24, 64, 64), "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64), "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128), "5b": (384, 192, 384, 48, 128, 128),
}  # fmt: skip
INCEPTIONS = ("torchvision", "5x5", "naive")


class GoogLeNet(nn.Module):
    """A stem, nine Inception blocks, the mean over all pixels, and a linear layer. Names are torchvision's.

    Input (N, in_channels, H, W), output (N, num_classes) scores (logits); in training with auxiliary heads a
    `GoogLeNetOutputs`, whose loss is `AuxiliaryLoss`'s.

    Args:
        num_classes: how many scores come out.
        aux_logits: whether there are auxiliary heads.
        transform_input: bring images that were normalised as ImageNet's usually are to the range −1 … 1 first, as the
            published weights want it.
        init_weights: start with truncated normal numbers of 0.01, as torchvision does unless told otherwise.
        dropout, dropout_aux: before the last linear layers of the network and of the auxiliary heads.
        in_channels: 3 for colour.
        inception: "torchvision", "5x5" or "naive", see above.

    Raises ValueError for another block.

    >>> sum(p.numel() for p in GoogLeNet(aux_logits=False, init_weights=False).parameters())
    6624904
    """

    def __init__(
        self,
        num_classes: int = 1000,
        aux_logits: bool = True,
        transform_input: bool = False,
        init_weights: bool = True,
        dropout: float = 0.2,
        dropout_aux: float = 0.7,
        *,
        in_channels: int = 3,
        inception: str = "torchvision",
    ) -> None:
        super().__init__()
        if inception not in INCEPTIONS:
            raise ValueError(f"the Inception block is one of {', '.join(INCEPTIONS)}, got {inception!r}.")
        self.in_channels, self.transform_input = in_channels, transform_input
        self.conv1 = BasicConv2d(in_channels, 64, 7, stride=2, padding=3)
        self.maxpool1 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv2 = BasicConv2d(64, 64, 1)
        self.conv3 = BasicConv2d(64, 192, 3, padding=1)
        self.maxpool2 = nn.MaxPool2d(3, 2, ceil_mode=True)
        channels, after = 192, {}
        for name, sizes in BLOCKS.items():
            block = _make_block(inception, channels, sizes)
            channels = after[name] = block.out_channels
            setattr(self, f"inception{name}", block)
            if name == "3b":
                self.maxpool3 = nn.MaxPool2d(3, 2, ceil_mode=True)
            if name == "4e":
                self.maxpool4 = nn.MaxPool2d(2, 2, ceil_mode=True)
        self.aux1 = InceptionAux(after["4a"], num_classes, dropout_aux) if aux_logits else None
        self.aux2 = InceptionAux(after["4d"], num_classes, dropout_aux) if aux_logits else None
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(channels, num_classes)
        if init_weights:
            for module in self.modules():
                if isinstance(module, nn.Conv2d | nn.Linear):
                    nn.init.trunc_normal_(module.weight, std=0.01, a=-2, b=2)

    def forward(self, x: Tensor) -> Tensor | GoogLeNetOutputs:
        """Scores for a batch of images; see the class."""
        check_images(x, self.in_channels)
        if self.transform_input:
            x = _from_imagenet(x)
        x = self.maxpool1(self.conv1(x))
        x = self.maxpool2(self.conv3(self.conv2(x)))
        x = self.maxpool3(self.inception3b(self.inception3a(x)))
        first = x = self.inception4a(x)
        second = x = self.inception4d(self.inception4c(self.inception4b(x)))
        x = self.maxpool4(self.inception4e(x))
        x = self.inception5b(self.inception5a(x))
        scores = self.fc(self.dropout(self.avgpool(x).flatten(1)))
        if not self.training or self.aux1 is None or self.aux2 is None:
            return scores
        return GoogLeNetOutputs(scores, self.aux2(second), self.aux1(first))


def _make_block(inception: str, channels: int, sizes: Sequence[int]) -> Inception | NaiveInception:
    one, three_reduced, three, five_reduced, five, pool = sizes
    if inception == "naive":
        return NaiveInception(channels, one, three, five)
    large = 5 if inception == "5x5" else 3
    return Inception(channels, one, three_reduced, three, five_reduced, five, pool, large=large)


def _from_imagenet(x: Tensor) -> Tensor:
    """From channels that were standardised by ImageNet's means and deviations to pixels in −1 … 1."""
    means, deviations = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    channels = [x[:, i] * (deviations[i] / 0.5) + (means[i] - 0.5) / 0.5 for i in range(3)]
    return stack(channels, 1)


class AuxiliaryLoss(nn.Module):
    """loss(scores) + weight·(the losses of the auxiliary heads), where there are some; else loss(scores).

    Args:
        loss: of scores and targets.
        weight: 0.3 in the paper.

    >>> import chainrule
    >>> model = GoogLeNet(num_classes=3, init_weights=False)
    >>> x, y = chainrule.zeros(2, 3, 32, 32), chainrule.tensor([0, 2])
    >>> AuxiliaryLoss(nn.CrossEntropyLoss())(model(x), y).shape
    Size([])
    """

    def __init__(self, loss: nn.Module, weight: float = 0.3) -> None:
        super().__init__()
        self.loss, self.weight = loss, weight

    def forward(self, outputs: Tensor | GoogLeNetOutputs, targets: Tensor) -> Tensor:
        """See the class."""
        if isinstance(outputs, Tensor):
            return self.loss(outputs, targets)
        heads = [head for head in outputs[1:] if head is not None]
        return self.loss(outputs.logits, targets) + self.weight * sum(self.loss(head, targets) for head in heads)


def _fit(shape: Sequence[int], outputs: int) -> dict[str, Any]:
    return {"num_classes": outputs, "in_channels": shape[0], "aux_logits": False}


_ABOUT: dict[str, Any] = {
    "task": "classification", "data": "images", "input": (3, 224, 224), "paper": "Szegedy et al. 2015", "fit": _fit,
}  # fmt: skip


@register("googlenet", **_ABOUT)
def googlenet(**options: Any) -> GoogLeNet:
    """torchvision's GoogLeNet: 13,004,888 parameters with auxiliary heads, 6,624,904 without."""
    return GoogLeNet(**options)


@register("googlenet_5x5", **_ABOUT)
def googlenet_5x5(**options: Any) -> GoogLeNet:
    """With the paper's 5×5 kernels: 13,385,816 parameters with auxiliary heads, 7,005,832 without."""
    return GoogLeNet(**{"inception": "5x5", **options})


@register("googlenet_naive", **_ABOUT)
def googlenet_naive(**options: Any) -> GoogLeNet:
    """With blocks without reductions, to see what they would cost; nobody has trained it."""
    return GoogLeNet(**{"inception": "naive", **options})
