"""The families of networks for images once more, in PyTorch: functions of an image and of weights by name.

Each is written from the paper's table, layer by layer, and says `layer("name", …)` for what has weights; so it also says
which names there are. `Layers` looks the weights up. There is no dropout: networks are compared without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class Layers:
    """Layers by name, from a dictionary of weights. `used` has the names that were asked for."""

    def __init__(self, torch: Any, weights: dict[str, Any], training: bool) -> None:
        self.F, self.torch, self.weights, self.training = torch.nn.functional, torch, weights, training
        self.used: set[str] = set()

    def _get(self, name: str) -> Any:
        self.used.add(name)
        return self.weights[name]

    def conv(self, x: Any, name: str, bias: bool = False, **options: Any) -> Any:
        return self.F.conv2d(x, self._get(f"{name}.weight"), self._get(f"{name}.bias") if bias else None, **options)

    def linear(self, x: Any, name: str) -> Any:
        return self.F.linear(x, self._get(f"{name}.weight"), self._get(f"{name}.bias"))

    def norm(self, x: Any, name: str, eps: float = 1e-5) -> Any:
        self.used.add(f"{name}.num_batches_tracked")
        values = [self._get(f"{name}.{part}") for part in ("running_mean", "running_var", "weight", "bias")]
        return self.F.batch_norm(x, *values, training=self.training, eps=eps)


def alexnet(n: Layers, x: Any) -> Any:
    F = n.F
    x = F.max_pool2d(F.relu(n.conv(x, "features.0", True, stride=4, padding=2)), 3, 2)
    x = F.max_pool2d(F.relu(n.conv(x, "features.3", True, padding=2)), 3, 2)
    for place in (6, 8, 10):
        x = F.relu(n.conv(x, f"features.{place}", True, padding=1))
    x = F.adaptive_avg_pool2d(F.max_pool2d(x, 3, 2), 6).flatten(1)
    x = F.relu(n.linear(F.relu(n.linear(x, "classifier.1")), "classifier.4"))
    return n.linear(x, "classifier.6")


def two_towers(n: Layers, x: Any) -> Any:
    """Written as two towers: each has its own half of the channels."""
    F, torch = n.F, n.torch

    def halves(x: Any, name: str) -> Any:
        weight, bias = n._get(f"{name}.weight").chunk(2), n._get(f"{name}.bias").chunk(2)
        parts = [F.conv2d(half, w, b, padding=w.shape[2] // 2) for half, w, b in zip(x.chunk(2, 1), weight, bias)]
        return torch.cat(parts, 1)

    def normalised(x: Any) -> Any:
        """b = a / (2 + 10⁻⁴·Σ a²)^0.75, the sum over the channel itself and two on each side."""
        squares = F.pad(x.square(), (0, 0, 0, 0, 2, 2))
        return x / (2 + 1e-4 * sum(squares[:, i : i + x.shape[1]] for i in range(5))) ** 0.75

    x = F.max_pool2d(normalised(F.relu(n.conv(x, "features.0", True, stride=4))), 3, 2)
    x = F.max_pool2d(normalised(F.relu(halves(x, "features.4"))), 3, 2)
    x = F.relu(n.conv(x, "features.8", True, padding=1))
    x = F.max_pool2d(F.relu(halves(F.relu(halves(x, "features.10")), "features.12")), 3, 2)
    x = F.adaptive_avg_pool2d(x, 6).flatten(1)
    x = F.relu(n.linear(F.relu(n.linear(x, "classifier.0")), "classifier.3"))
    return n.linear(x, "classifier.6")


def vgg(n: Layers, x: Any, stages: Sequence[int], batch_norm: bool) -> Any:
    """`stages`: convolutions in each of the five."""
    F, place = n.F, 0
    for count in stages:
        for _ in range(count):
            x = n.conv(x, f"features.{place}", True, padding=1)
            x = F.relu(n.norm(x, f"features.{place + 1}") if batch_norm else x)
            place += 3 if batch_norm else 2
        x = F.max_pool2d(x, 2)
        place += 1
    x = F.adaptive_avg_pool2d(x, 7).flatten(1)
    x = F.relu(n.linear(F.relu(n.linear(x, "classifier.0")), "classifier.3"))
    return n.linear(x, "classifier.6")


def residual(n: Layers, x: Any, layers: Sequence[int], bottleneck: bool, groups: int = 1) -> Any:
    """ResNets and ResNeXts: 7×7, then stages of blocks."""
    F = n.F
    x = F.max_pool2d(F.relu(n.norm(n.conv(x, "conv1", stride=2, padding=3), "bn1")), 3, 2, 1)
    for stage, count in enumerate(layers, 1):
        for i in range(count):
            block, stride = f"layer{stage}.{i}", 2 if stage > 1 and i == 0 else 1
            kept = x
            if i == 0 and (stage > 1 or bottleneck):
                kept = n.norm(n.conv(x, f"{block}.downsample.0", stride=stride), f"{block}.downsample.1")
            if bottleneck:
                x = F.relu(n.norm(n.conv(x, f"{block}.conv1"), f"{block}.bn1"))
                x = n.norm(n.conv(x, f"{block}.conv2", stride=stride, padding=1, groups=groups), f"{block}.bn2")
                x = n.norm(n.conv(F.relu(x), f"{block}.conv3"), f"{block}.bn3")
            else:
                x = F.relu(n.norm(n.conv(x, f"{block}.conv1", stride=stride, padding=1), f"{block}.bn1"))
                x = n.norm(n.conv(x, f"{block}.conv2", padding=1), f"{block}.bn2")
            x = F.relu(x + kept)
    return n.linear(x.mean((2, 3)), "fc")


def residual_cifar(n: Layers, x: Any, blocks: int, shortcut: str) -> Any:
    F = n.F
    x = F.relu(n.norm(n.conv(x, "conv1", padding=1), "bn1"))
    for stage in (1, 2, 3):
        for i in range(blocks):
            block, stride, kept = f"layer{stage}.{i}", 2 if stage > 1 and i == 0 else 1, x
            if stride == 2 and shortcut == "convolution":
                kept = n.norm(n.conv(x, f"{block}.shortcut.0", stride=2), f"{block}.shortcut.1")
            elif stride == 2 and shortcut == "zeros":
                half = x[:, :, ::2, ::2]
                nothing = half.new_zeros(half.shape[0], half.shape[1] // 2, *half.shape[2:])
                kept = n.torch.cat([nothing, half, nothing], 1)
            x = F.relu(n.norm(n.conv(x, f"{block}.conv1", stride=stride, padding=1), f"{block}.bn1"))
            x = n.norm(n.conv(x, f"{block}.conv2", padding=1), f"{block}.bn2")
            x = F.relu(x if shortcut == "none" else x + kept)
    return n.linear(x.mean((2, 3)), "linear")


def googlenet(n: Layers, x: Any, large: int, heads: bool) -> Any:
    """The scores, and in training with heads those of the second and of the first too."""
    F = n.F

    def conv(x: Any, name: str, **options: Any) -> Any:
        return F.relu(n.norm(n.conv(x, f"{name}.conv", **options), f"{name}.bn", eps=1e-3))

    def inception(x: Any, name: str) -> Any:
        one = conv(x, f"{name}.branch1")
        three = conv(conv(x, f"{name}.branch2.0"), f"{name}.branch2.1", padding=1)
        five = conv(conv(x, f"{name}.branch3.0"), f"{name}.branch3.1", padding=large // 2)
        pool = conv(F.max_pool2d(x, 3, 1, 1), f"{name}.branch4.1")
        return n.torch.cat([one, three, five, pool], 1)

    def head(x: Any, name: str) -> Any:
        x = conv(F.adaptive_avg_pool2d(x, 4), f"{name}.conv").flatten(1)
        return n.linear(F.relu(n.linear(x, f"{name}.fc1")), f"{name}.fc2")

    x = F.max_pool2d(conv(x, "conv1", stride=2, padding=3), 3, 2, ceil_mode=True)
    x = F.max_pool2d(conv(conv(x, "conv2"), "conv3", padding=1), 3, 2, ceil_mode=True)
    x = inception(inception(x, "inception3a"), "inception3b")
    first = x = inception(F.max_pool2d(x, 3, 2, ceil_mode=True), "inception4a")
    for letter in "bcd":
        x = inception(x, f"inception4{letter}")
    second = x
    x = F.max_pool2d(inception(x, "inception4e"), 2, 2, ceil_mode=True)
    scores = n.linear(inception(inception(x, "inception5a"), "inception5b").mean((2, 3)), "fc")
    return (scores, head(second, "aux2"), head(first, "aux1")) if heads and n.training else scores


def mobilenet_v1(n: Layers, x: Any) -> Any:
    F = n.F
    x = F.relu(n.norm(n.conv(x, "features.0.0", stride=2, padding=1), "features.0.1"))
    for i in range(1, 14):
        stride = 2 if i in (2, 4, 6, 12) else 1
        depthwise = n.conv(x, f"features.{i}.0.0", stride=stride, padding=1, groups=x.shape[1])
        x = F.relu(n.norm(depthwise, f"features.{i}.0.1"))
        x = F.relu(n.norm(n.conv(x, f"features.{i}.1.0"), f"features.{i}.1.1"))
    return n.linear(x.mean((2, 3)), "classifier")


def mobilenet_v2(n: Layers, x: Any) -> Any:
    F, place = n.F, 1
    x = F.relu6(n.norm(n.conv(x, "features.0.0", stride=2, padding=1), "features.0.1"))
    for stage, (blocks, stride) in enumerate([(1, 1), (2, 2), (3, 2), (4, 2), (3, 1), (3, 2), (1, 1)]):
        for i in range(blocks):
            name, kept = f"features.{place}.conv", x
            if stage:  # the first block is not wider inside
                x = F.relu6(n.norm(n.conv(x, f"{name}.0.0"), f"{name}.0.1"))
            inner, last = (f"{name}.1", 2) if stage else (f"{name}.0", 1)
            step = stride if i == 0 else 1
            x = F.relu6(n.norm(n.conv(x, f"{inner}.0", stride=step, padding=1, groups=x.shape[1]), f"{inner}.1"))
            x = n.norm(n.conv(x, f"{name}.{last}"), f"{name}.{last + 1}")
            x = x + kept if step == 1 and x.shape == kept.shape else x
            place += 1
    x = F.relu6(n.norm(n.conv(x, "features.18.0"), "features.18.1"))
    return n.linear(x.mean((2, 3)), "classifier.1")


def by_table(n: Layers, x: Any, name: str, table: Sequence[Sequence[int]]) -> Any:
    """A convolution for each row of the table, of the channels that the row names."""
    kernels, first, maps = n._get(f"{name}.weight"), 0, []
    for row, seen in enumerate(table):
        kernel = kernels[first : first + len(seen)][None]
        maps.append(n.F.conv2d(x[:, list(seen)], kernel, n._get(f"{name}.bias")[row : row + 1]))
        first += len(seen)
    return n.torch.cat(maps, 1)


def lenet(n: Layers, x: Any, activation: str, pooling: str, table: Any = None) -> Any:
    """The one that is taught; with a table its second convolution sees only some of the channels."""
    act = getattr(n.torch, activation)
    pool = {"max": n.F.max_pool2d, "avg": n.F.avg_pool2d}[pooling]
    x = pool(act(n.conv(x, "features.0", True, padding=(32 - x.shape[2]) // 2)), 2)
    third = n.conv(x, "features.3", True) if table is None else by_table(n, x, "features.3", table)
    x = pool(act(third), 2).flatten(1)
    return n.linear(act(n.linear(act(n.linear(x, "classifier.1")), "classifier.3")), "classifier.5")


def lenet_lecun(n: Layers, x: Any, table: Sequence[Sequence[int]], drawings: Any) -> Any:
    """C3 as sixteen convolutions, each of its own channels."""
    torch = n.torch

    def squash(x: Any) -> Any:
        return 1.7159 * torch.tanh(2 / 3 * x)

    def subsample(x: Any, name: str) -> Any:
        total = x[:, :, ::2, ::2] + x[:, :, 1::2, ::2] + x[:, :, ::2, 1::2] + x[:, :, 1::2, 1::2]
        return total * n._get(f"{name}.weight")[:, None, None] + n._get(f"{name}.bias")[:, None, None]

    x = squash(subsample(squash(n.conv(x, "c1", True)), "s2"))
    x = squash(subsample(squash(by_table(n, x, "c3", table)), "s4"))
    x = squash(n.linear(squash(n.conv(x, "c5", True)).flatten(1), "f6"))
    return -(torch.cdist(x, drawings.to(x.dtype)) ** 2)


def convnet(n: Layers, x: Any) -> Any:
    """(3×3 convolution, tanh, pooling)², (linear, tanh)¹, linear."""
    for place in (0, 3):
        x = n.F.avg_pool2d(n.torch.tanh(n.conv(x, f"features.{place}", True, padding=1)), 2)
    return n.linear(n.torch.tanh(n.linear(x.flatten(1), "classifier.1")), "classifier.3")


def perceptron(n: Layers, x: Any) -> Any:
    x = n.torch.sigmoid(n.linear(x.flatten(1), "layers.1"))
    return n.linear(n.torch.sigmoid(n.linear(x, "layers.3")), "layers.5")


def affine(n: Layers, x: Any) -> Any:
    return n.linear(x.flatten(1), "linear")


def logistic(n: Layers, x: Any) -> Any:
    """The scores of two classes whose softmax is the logistic function of one number."""
    score = n.linear(x.flatten(1), "linear")
    return n.torch.cat([0 * score, score], 1)


def inception(n: Layers, x: Any, naive: bool) -> Any:
    """The block as the paper has it: biases, 5×5 kernels, no batch normalisation."""

    def conv(x: Any, name: str, **options: Any) -> Any:
        return n.F.relu(n.conv(x, f"{name}.conv", True, **options))

    three, five = (x, x) if naive else (conv(x, "branch2.0"), conv(x, "branch3.0"))
    behind = "" if naive else ".1"
    three, five = conv(three, f"branch2{behind}", padding=1), conv(five, f"branch3{behind}", padding=2)
    pooled = n.F.max_pool2d(x, 3, 1, 1)
    return n.torch.cat([conv(x, "branch1"), three, five, pooled if naive else conv(pooled, "branch4.1")], 1)


def unet(n: Layers, x: Any, depth: int, norm: bool, add: bool) -> Any:
    F = n.F

    def double(x: Any, name: str) -> Any:
        for i in range(2):
            place = f"{name}.{i * (3 if norm else 2)}"
            x = n.conv(x, place, not norm, padding=1)
            x = F.relu(n.norm(x, f"{name}.{i * 3 + 1}") if norm else x)
        return x

    seen = []
    for level in range(depth):
        x = double(x, f"down.{level}")
        seen.append(x)
        x = F.max_pool2d(x, 2)
    x = double(x, "bottom")
    for level in range(depth):
        fine = seen.pop()
        x = F.conv_transpose2d(x, n._get(f"grow.{level}.weight"), n._get(f"grow.{level}.bias"), stride=2)
        rows, columns = fine.shape[2] - x.shape[2], fine.shape[3] - x.shape[3]
        more = F.pad(x, (0, columns, 0, rows))
        if rows or columns:  # beyond the last pixel there is the bias alone
            inside = F.pad(n.torch.ones_like(x), (0, columns, 0, rows))
            more = more + (1 - inside) * n._get(f"grow.{level}.bias")[:, None, None]
        x = double(fine + more if add else n.torch.cat([fine, more], 1), f"up.{level}")
    return n.conv(x, "head", True)


def fcn(n: Layers, x: Any, stride: int) -> Any:
    F, place, pooled = n.F, 0, []
    height, width = x.shape[2:]
    x = F.pad(x, (0, -width % 32, 0, -height % 32))
    for count in (2, 2, 3, 3, 3):
        for _ in range(count):
            x = F.relu(n.conv(x, f"features.{place}", True, padding=1))
            place += 2
        x = F.max_pool2d(x, 2)
        pooled.append(x)
        place += 1
    x = n.conv(F.relu(n.conv(F.relu(n.conv(x, "fc6", True, padding=3)), "fc7", True)), "score", True)

    def enlarge(x: Any, name: str, factor: int) -> Any:
        return F.conv_transpose2d(x, n._get(f"{name}.weight"), stride=factor, padding=factor // 2)

    if stride <= 16:
        x = enlarge(x, "up_to_pool4", 2) + n.conv(pooled[3], "score_pool4", True)
    if stride == 8:
        x = enlarge(x, "up_to_pool3", 2) + n.conv(pooled[2], "score_pool3", True)
    return enlarge(x, "up", stride)[:, :, :height, :width]


def network_in_network(n: Layers, x: Any) -> Any:
    F = n.F
    for stage, first in enumerate((0, 8, 16)):
        for i in range(3):
            kernel = (5, 5, 3)[stage] if i == 0 else 1
            x = n.conv(x, f"features.{first + 2 * i}", True, padding=kernel // 2)
            x = x if (stage, i) == (2, 2) else F.relu(x)
        x = F.max_pool2d(x, 3, 2, 1) if stage == 0 else F.avg_pool2d(x, 3, 2, 1) if stage == 1 else x
    return x.mean((2, 3))


def maxout(n: Layers, x: Any) -> Any:
    for place in (1, 4, 7):
        y = n.conv(x, f"features.{place}.conv", True, padding=1)
        x = n.F.max_pool2d(n.torch.maximum(y[:, ::2], y[:, 1::2]), 2)
    y = n.linear(x.flatten(1), "classifier.2.linear")
    return n.linear(n.torch.maximum(y[:, ::2], y[:, 1::2]), "classifier.4")


def autoencoder_dense(n: Layers, x: Any) -> Any:
    y = n.linear(n.F.relu(n.linear(x.flatten(1), "encoder.1")), "encoder.3")
    return n.linear(n.F.relu(n.linear(y, "decoder.0")), "decoder.2").reshape(x.shape)


def autoencoder_conv(n: Layers, x: Any) -> Any:
    F = n.F
    y = x
    for place in (0, 2):
        y = F.relu(n.conv(y, f"encoder.{place}", True, stride=2, padding=1))
    code = n.linear(y.flatten(1), "encoder.5")
    y = n.linear(code, "decoder.0").reshape(y.shape)
    for place in (3, 5):
        y = F.conv_transpose2d(
            F.relu(y), n._get(f"decoder.{place}.weight"), n._get(f"decoder.{place}.bias"), stride=2, padding=1
        )
    return y


def keypoints(n: Layers, x: Any) -> Any:
    F = n.F
    for place in (0, 4):
        x = F.max_pool2d(F.relu(n.norm(n.conv(x, f"features.{place}", padding=1), f"features.{place + 1}")), 2)
    x = n.linear(F.relu(n.linear(x.flatten(1), "regressor.1")), "regressor.3")
    return x.reshape(len(x), -1, 2)
