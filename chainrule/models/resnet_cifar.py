"""Residual networks for images of 32×32, and the plain networks that they were compared with.

The paper's experiment on CIFAR-10: the same network with and without shortcuts, ever deeper. Plain networks become
worse from 20 to 56 layers, also on the training data; residual ones become better.

    image 3×32×32
      │ convolution 3×3, batch normalisation, ReLU      16 × 32 × 32
      │ n blocks of two 3×3 convolutions                16 × 32 × 32
      │ n blocks, the first halves                      32 × 16 × 16
      │ n blocks, the first halves                      64 × 8 × 8
      ▼ mean over all pixels, linear                    10                 6n + 2 layers

Where a block halves, its input has half as many channels as its output. The paper's choice here (A) is every second
pixel, with zeros for the missing channels, which adds no parameter; (B) is a 1×1 convolution.

Layer names are those of the version in common use (conv1, bn1, layer1.0.conv1, …, shortcut, linear). Source: He, Zhang,
Ren and Sun, "Deep residual learning for image recognition", 2016, section 4.2.
"""

from __future__ import annotations

from chainrule import nn
from chainrule.models.images import check_images
from chainrule.models.registry import register
from chainrule.nn import functional as F
from chainrule.tensor import Tensor

SHORTCUTS = ("zeros", "convolution", "none")


class ZeroPadShortcut(nn.Module):
    """Every second pixel, and zeros for the channels that are missing, half of them before and half behind.

    Input (N, C, H, W), output (N, channels, ⌈H/2⌉, ⌈W/2⌉).

    >>> import chainrule
    >>> ZeroPadShortcut(4)(chainrule.ones(1, 2, 2, 2)).flatten()
    tensor([0., 1., 1., 0.])
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        missing = self.channels - x.shape[1]
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, missing // 2, missing - missing // 2))


class Block(nn.Module):
    """y = relu(x′ + bn(conv(relu(bn(conv(x)))))); without the x′ where there is no shortcut."""

    def __init__(self, in_channels: int, channels: int, stride: int, shortcut: str) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.residual = shortcut != "none"
        self.shortcut: nn.Module = nn.Sequential()
        if stride > 1 and shortcut == "zeros":
            self.shortcut = ZeroPadShortcut(channels)
        elif stride > 1 and shortcut == "convolution":
            convolution = nn.Conv2d(in_channels, channels, 1, stride=stride, bias=False)
            self.shortcut = nn.Sequential(convolution, nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return F.relu(out + self.shortcut(x) if self.residual else out)


class CifarResNet(nn.Module):
    """A stem, three stages of blocks, the mean over all pixels, and a linear layer.

    Input (N, in_channels, H, W), output (N, num_classes) scores (logits).

    Args:
        depth: layers with weights, 6n + 2: 20, 32, 44, 56, 110, ….
        num_classes: how many scores come out.
        in_channels: 3 for colour.
        shortcut: "zeros" (the paper's A), "convolution" (B), or "none": the plain network.
        width: channels of the first stage.

    Weights start with He's normal numbers. Source: He et al. 2016.

    Raises ValueError for another depth or shortcut.

    >>> import chainrule
    >>> CifarResNet(8, width=4)(chainrule.zeros(2, 3, 32, 32)).shape
    Size([2, 10])
    """

    def __init__(
        self, depth: int = 20, num_classes: int = 10, in_channels: int = 3, shortcut: str = "zeros", width: int = 16
    ) -> None:
        super().__init__()
        if shortcut not in SHORTCUTS:
            raise ValueError(f"the shortcut is one of {', '.join(SHORTCUTS)}, got {shortcut!r}.")
        if depth < 8 or (depth - 2) % 6:
            raise ValueError(f"the depth is 6n + 2 (20, 32, 44, 56, 110, …), got {depth}.")
        self.in_channels = in_channels
        self.conv1 = nn.Conv2d(in_channels, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        blocks, before = (depth - 2) // 6, width
        for stage in range(3):
            channels, parts = width * 2**stage, []
            for i in range(blocks):
                parts.append(Block(before, channels, 2 if stage and not i else 1, shortcut))
                before = channels
            setattr(self, f"layer{stage + 1}", nn.Sequential(*parts))
        self.linear = nn.Linear(before, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Scores for a batch of images."""
        check_images(x, self.in_channels)
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(x.mean((2, 3)))


def _declare(depth: int, plain: bool) -> None:
    """Declare the network of a depth: resnet20_cifar and so on, or its plain counterpart, plain20_cifar.

    >>> from chainrule import models
    >>> [sum(p.numel() for p in models.create("resnet20_cifar", shortcut=s).parameters()) for s in SHORTCUTS]
    [269722, 272474, 269722]
    """

    def build(
        num_classes: int = 10, in_channels: int = 3, shortcut: str = "none" if plain else "zeros", width: int = 16
    ) -> CifarResNet:
        return CifarResNet(depth, num_classes, in_channels, shortcut, width)

    kind = "plain" if plain else "resnet"
    name = f"{kind}{depth}_cifar"
    build.__name__ = build.__qualname__ = name
    build.__doc__ = f"The {'plain' if plain else 'residual'} network with {depth} layers; see `CifarResNet`."
    register(name, task="classification", data="images", input=(3, 32, 32), paper="He et al. 2016")(build)


for _depth in (20, 32, 44, 56, 110):
    _declare(_depth, plain=False)
    _declare(_depth, plain=True)
