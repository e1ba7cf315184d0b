"""The workloads: their batches, their chainrule models, and how many operations a step cannot do without."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import chainrule
from benchmarks.steps.networks import language_model, mobile, recurrent, vision_transformer
from chainrule import models, nn
from chainrule.nn import functional as F

RATE = 1e-3


class Workload(NamedTuple):
    """A training step.

    Attributes:
        title: what it is.
        batch: makes inputs and labels as arrays.
        model: makes the chainrule model.
        operations: multiplications and additions of all contractions, forward and both gradients (none for the input).
    """

    title: str
    batch: Callable[[np.random.Generator], tuple[Any, Any]]
    model: Callable[[], Any]
    operations: float


class Recurrent(nn.Module):
    """An LSTM and the scores of a word at each step."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(64, 256, batch_first=True)
        self.head = nn.Linear(256, 65)

    def forward(self, x: Any) -> Any:
        """Scores (N, T, 65)."""
        return self.head(self.lstm(x)[0])


def mlp() -> Any:
    """784-512-512-10 with ReLU."""
    return nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10))


def images(n: int, channels: int, size: int, classes: int, pixels: bool = False) -> Any:
    """Makes images and labels (one for each pixel, if wanted)."""

    def batch(random: np.random.Generator) -> tuple[Any, Any]:
        x = random.standard_normal((n, channels, size, size)).astype(np.float32)
        return x, random.integers(0, classes, (n, size, size) if pixels else n)

    return batch


def _mlp_batch(random: np.random.Generator) -> tuple[Any, Any]:
    return random.standard_normal((128, 784)).astype(np.float32), random.integers(0, 10, 128)


def _text(random: np.random.Generator) -> tuple[Any, Any]:
    return random.integers(0, 65, (16, 128)), random.integers(0, 65, (16, 128))


def _sequences(random: np.random.Generator) -> tuple[Any, Any]:
    return random.standard_normal((32, 64, 64)).astype(np.float32), random.integers(0, 65, (32, 64))


def convolution(n: int, size: int, inputs: int, outputs: int, kernel: int, first: bool = False) -> float:
    """Operations of a convolution that gives n·size² pixels: forward, weight gradient, and input gradient."""
    return 2.0 * n * size**2 * inputs * outputs * kernel**2 * (2 if first else 3)


def product(rows: int, inputs: int, outputs: int, first: bool = False) -> float:
    """Operations of a linear layer and its gradients."""
    return 2.0 * rows * inputs * outputs * (2 if first else 3)


def _resnet_operations() -> float:
    total, size, width = convolution(32, 32, 3, 64, 3, first=True), 32, 64
    for stage in range(4):
        channels = 64 * 2**stage
        for block in range(2):
            stride = 2 if stage and not block else 1
            size //= stride
            total += convolution(32, size, width, channels, 3) + convolution(32, size, channels, channels, 3)
            if stride == 2:
                total += convolution(32, size, width, channels, 1)
            width = channels
    return total + product(32, 512, 10)


def _unet_operations() -> float:
    total, size, before = 0.0, 64, 3
    for channels in (16, 32, 64, 128):
        total += convolution(8, size, before, channels, 3, first=before == 3) + convolution(
            8, size, channels, channels, 3
        )
        before, size = channels, size // 2
    size = 8
    for channels in (64, 32, 16):
        total += convolution(8, size, 2 * channels, channels, 2)  # each pixel is spread over four
        size *= 2
        total += convolution(8, size, 2 * channels, channels, 3) + convolution(8, size, channels, channels, 3)
    return total + convolution(8, 64, 16, 2, 1)


def _mobile_operations() -> float:
    total, size = convolution(32, 32, 3, 32, 3, first=True) + product(32, 48, 10), 32
    for before, after, stride in [(32, 32, 1), (32, 48, 2), (48, 48, 1)]:
        total += convolution(32, size, before, 6 * before, 1)
        size //= stride
        total += convolution(32, size, 6 * before, 1, 3) + convolution(32, size, 6 * before, after, 1)
    return total


def _transformer_operations() -> float:
    rows, width = 16 * 128, 128
    block = product(rows, width, 12 * width) + 6 * 2 * 2.0 * 16 * 128 * 128 * width / 2
    return 4 * block + product(rows, width, 65)


def _words(random: np.random.Generator) -> tuple[Any, Any]:
    tokens = random.integers(0, 50257, (4, 65))
    return tokens[:, :-1], tokens[:, 1:].copy()


def _blocks(count: int, n: int, length: int, width: int, causal: bool) -> float:
    """Blocks of a Transformer; of causal attention half is left out."""
    scores = 6 * 2 * 2.0 * n * length * length * width / (2 if causal else 1)
    return count * (product(n * length, width, 12 * width) + scores)


WORKLOADS: dict[str, Workload] = {
    "mlp": Workload(
        "MLP 784-512-512-10, batch 128", _mlp_batch, mlp,
        product(128, 784, 512, first=True) + product(128, 512, 512) + product(128, 512, 10),
    ),
    "lenet": Workload(
        "LeNet-5, 28×28, batch 64", images(64, 1, 28, 10), lambda: models.LeNet5(image_size=28),
        convolution(64, 28, 1, 6, 5, first=True) + convolution(64, 10, 6, 16, 5)
        + product(64, 400, 120) + product(64, 120, 84) + product(64, 84, 10),
    ),
    "resnet18": Workload(
        "ResNet-18 (CIFAR stem), 32×32, batch 32", images(32, 3, 32, 10),
        lambda: models.resnet18(num_classes=10, stem="cifar"), _resnet_operations(),
    ),
    "unet": Workload(
        "U-Net, base 16, depth 3, 64×64, batch 8", images(8, 3, 64, 2, pixels=True), lambda: models.UNet(3, 2, 16, 3),
        _unet_operations(),
    ),
    "mobilenet": Workload(
        "three MobileNet blocks (1×1, depthwise 3×3, batch norm, ReLU6), 32×32, batch 32", images(32, 3, 32, 10),
        lambda: mobile(nn), _mobile_operations(),
    ),
    "transformer": Workload(
        "decoder Transformer, 4 layers, d 128, T 128, batch 16", _text,
        lambda: models.DecoderTransformer(65, 4, 128, 4, 128), _transformer_operations(),
    ),
    "lstm": Workload(
        "LSTM 64→256, T 64, batch 32, softmax over 65", _sequences, Recurrent,
        product(2048, 64, 1024, first=True) + product(2048, 256, 1024) + product(2048, 256, 65),
    ),
    "gru": Workload(
        "GRU 64→256, T 64, batch 32, softmax over 65", _sequences, lambda: recurrent(nn, "GRU"),
        product(2048, 64, 768, first=True) + product(2048, 256, 768) + product(2048, 256, 65),
    ),
    "vit": Workload(
        "ViT, patches of 4×4, d 192, 6 layers, 32×32, batch 32", images(32, 3, 32, 10),
        lambda: vision_transformer(nn, F),
        product(2048, 48, 192, first=True) + _blocks(6, 32, 64, 192, False) + product(32, 192, 10),
    ),
    "gpt2": Workload(
        "GPT-2's size (124 million), T 64, batch 4", _words, lambda: language_model(nn, F),
        _blocks(12, 4, 64, 768, True) + product(256, 768, 50257),
    ),
}  # fmt: skip
#: Those that take gigabytes in each framework: measured only where they are named.
LARGE = frozenset({"gpt2"})


def start_of(name: str) -> tuple[dict[str, Any], Any, Any]:
    """The weights that all frameworks start from, and the batch."""
    chainrule.manual_seed(0)
    weights = {key: t.numpy() for key, t in WORKLOADS[name].model().state_dict().items()}
    return weights, *WORKLOADS[name].batch(np.random.default_rng(0))


def cross_entropy(scores: Any, labels: Any, chain: Any = F) -> Any:
    """The mean over all decisions, whatever dimensions they are arranged in: classes are dimension 1, or the last."""
    if scores.ndim == 3:
        scores, labels = scores.flatten(0, 1), labels.flatten()
    return chain.cross_entropy(scores, labels)


def chainrule_step(
    name: str, weights: dict[str, Any], compiled: bool, device: str = "cpu", half: bool = False
) -> Callable[[Any, Any], float]:
    """One training step of ours, on a device; with `half` its products and convolutions are in bfloat16."""
    model = WORKLOADS[name].model()
    model.load_state_dict({key: chainrule.tensor(array) for key, array in weights.items()})
    model.to(device)
    optimizer = chainrule.optim.Adam(model.parameters(), lr=RATE)

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        with chainrule.autocast("cpu", dtype=chainrule.bfloat16, enabled=half):
            loss = cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    run = chainrule.compile(step) if compiled else step
    held: dict[int, Any] = {}

    def call(x: Any, y: Any) -> float:
        for a in (x, y):
            if id(a) not in held:
                held[id(a)] = chainrule.tensor(a, device=device)
        return float(run(held[id(x)], held[id(y)]).item())

    return call
