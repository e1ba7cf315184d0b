"""ResNet and U-Net: sizes, the names of their weights, what they refuse, and PyTorch twins with the same weights."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import models, nn
from chainrule.models.resnet import BasicBlock, Bottleneck, ResNet
from chainrule.models.unet import DoubleConv, UNet
from chainrule.nn.init import skip_filling
from tests.parameter_counts import count

NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def images(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


# ------------------------------------------------------------------------------------- ResNet


def test_resnets_have_the_published_numbers_of_parameters() -> None:
    with skip_filling():
        assert count(models.resnet18()) == 11_689_512
        assert count(ResNet(BasicBlock, [3, 4, 6, 3])) == 21_797_672  # ResNet-34
        assert count(ResNet(Bottleneck, [3, 4, 6, 3])) == 25_557_032  # ResNet-50
        assert count(models.resnet18(num_classes=10, stem="cifar")) == 11_173_962
        assert count(models.create("resnet18", num_classes=10, in_channels=1, stem="cifar")) == 11_173_962 - 2 * 64 * 9


def names_by_rule(convolutions: int, expansion: int, layers: list[int]) -> Iterator[str]:
    """The names that torchvision publishes: convᵢ and bnᵢ in each block, and a downsample where the shape changes."""
    yield "conv1.weight"
    yield from (f"bn1.{entry}" for entry in NORM)
    for stage, blocks in enumerate(layers, 1):
        for i in range(blocks):
            block = f"layer{stage}.{i}"
            for part in range(1, convolutions + 1):
                yield f"{block}.conv{part}.weight"
                yield from (f"{block}.bn{part}.{entry}" for entry in NORM)
            if i == 0 and (stage > 1 or expansion > 1):
                yield f"{block}.downsample.0.weight"
                yield from (f"{block}.downsample.1.{entry}" for entry in NORM)
    yield from ("fc.weight", "fc.bias")


@pytest.mark.parametrize("stem", ["imagenet", "cifar"])
@pytest.mark.parametrize(("block", "convolutions"), [(BasicBlock, 2), (Bottleneck, 3)])
def test_resnet_s_weights_have_torchvision_s_names(block: Any, convolutions: int, stem: str) -> None:
    layers = [2, 1, 2, 1]
    with skip_filling():
        model = ResNet(block, layers, num_classes=3, stem=stem)
    assert list(model.state_dict()) == list(names_by_rule(convolutions, block.expansion, layers))


def test_a_resnet_taken_apart_is_the_network() -> None:
    """Public programs put all children but the last into a Sequential: the activation and the pooling must be there."""
    chainrule.manual_seed(0)
    for make in (models.resnet18, models.resnet50):
        model = make(num_classes=3).eval()
        assert [name for name, _ in model.named_children()] == [
            "conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4", "avgpool", "fc",
        ]  # fmt: skip
        x = chainrule.randn(2, 3, 40, 40)
        features = nn.Sequential(*list(model.children())[:-1])(x).flatten(1)
        assert chainrule.allclose(model.fc(features), model(x))
    with skip_filling():
        small, large = models.resnet18(), models.resnet50()
    assert [name for name, _ in small.layer2[0].named_children()] == [
        "conv1", "bn1", "relu", "conv2", "bn2", "downsample",
    ]  # fmt: skip
    assert [name for name, _ in large.layer1[0].named_children()] == [
        "conv1", "bn1", "conv2", "bn2", "conv3", "bn3", "relu", "downsample",
    ]  # fmt: skip


def test_resnet_18_has_the_122_entries_that_are_published() -> None:
    with skip_filling():
        model = models.resnet18()
    assert len(model.state_dict()) == len(list(names_by_rule(2, 1, [2, 2, 2, 2]))) == 122


@pytest.mark.parametrize("block", [BasicBlock, Bottleneck])
@pytest.mark.parametrize("size", [(8, 8), (9, 11), (1, 1)])
def test_blocks_halve_sizes_upwards(block: Any, size: tuple[int, int]) -> None:
    x = chainrule.tensor(images(2, 8, *size))
    for stride in (1, 2):
        halved = [-(-extent // stride) for extent in size]
        model = block(8, 6, stride).double().eval()
        assert model(x).shape == (2, 6 * block.expansion, *halved)


def test_a_block_that_keeps_the_shape_has_a_plain_shortcut() -> None:
    assert BasicBlock(8, 8).downsample is None
    assert Bottleneck(32, 8).downsample is None
    assert BasicBlock(8, 8, stride=2).downsample is not None
    assert Bottleneck(8, 8).downsample is not None


def test_resnets_take_batches_of_any_size_and_shape() -> None:
    model = ResNet(BasicBlock, [1, 1, 1, 1], num_classes=5, in_channels=2).eval()
    for shape in [(1, 2, 32, 32), (3, 2, 45, 33), (0, 2, 32, 32), (1, 2, 1, 1)]:
        assert model(chainrule.zeros(*shape)).shape == (shape[0], 5)


def test_what_resnet_refuses() -> None:
    model = ResNet(BasicBlock, [1, 1, 1, 1], num_classes=2)
    with pytest.raises(chainrule.ShapeError, match=r"\(N, 3, H, W\), got \(1, 1, 32, 32\)"):
        model(chainrule.zeros(1, 1, 32, 32))
    with pytest.raises(chainrule.ShapeError, match=r"\(N, 3, H, W\), got \(3, 32, 32\)"):
        model(chainrule.zeros(3, 32, 32))
    with pytest.raises(chainrule.ShapeError, match=r"conv1 \(Conv2d\): .*does not fit"):
        model(chainrule.zeros(1, 3, 0, 32))
    with pytest.raises(ValueError, match="'mnist'"):
        models.resnet18(stem="mnist")


def test_convolutions_start_with_he_s_numbers_for_the_fan_out() -> None:
    model = models.resnet18(num_classes=10)
    convolutions = {name: module for name, module in model.named_modules() if isinstance(module, nn.Conv2d)}
    assert len(convolutions) == 20
    for name, module in convolutions.items():
        weight = module.weight.detach().numpy()
        fan_out = weight.shape[0] * weight.shape[2] * weight.shape[3]
        # The standard deviation of a sample of n normal numbers is right to 1/√2n; five times that.
        np.testing.assert_allclose(weight.std(), np.sqrt(2 / fan_out), rtol=5 / np.sqrt(2 * weight.size), err_msg=name)


@pytest.mark.parametrize(("block", "last"), [(BasicBlock, "bn2"), (Bottleneck, "bn3")])
def test_blocks_begin_as_identities_if_asked(block: Any, last: str) -> None:
    model = ResNet(block, [2, 1, 1, 1], num_classes=2, zero_init_residual=True)
    assert all(not p.any() for name, p in model.named_parameters() if name.endswith(f"{last}.weight"))
    kept = model.layer1[1]
    x = chainrule.tensor(images(2, 64 * block.expansion, 5, 5).astype(np.float32)).relu()
    np.testing.assert_array_equal(kept(x).detach().numpy(), x.numpy())


# ------------------------------------------------------------------------------------- U-Net


def parameters_of_unet(in_channels: int, classes: int, base: int, depth: int) -> int:
    """By the formula: 3×3 convolutions without bias and normalisations in pairs, 2×2 transposed ones, a 1×1 head."""

    def pair(before: int, channels: int) -> int:
        return 9 * (before + channels) * channels + 4 * channels

    widths = [base * 2**level for level in range(depth + 1)]
    down = sum(pair(a, b) for a, b in itertools.pairwise([in_channels, *widths]))
    grow = sum(4 * 2 * c * c + c for c in widths[:-1])
    up = sum(pair(2 * c, c) for c in widths[:-1])
    return down + grow + up + base * classes + classes


@pytest.mark.parametrize(("base", "depth"), [(4, 1), (4, 2), (6, 3), (2, 5)])
def test_unet_s_sizes(base: int, depth: int) -> None:
    model = UNet(2, 3, base, depth).eval()
    assert count(model) == parameters_of_unet(2, 3, base, depth)
    step = 2**depth
    for height, width in [(step, step), (2 * step, 3 * step)]:
        assert model(chainrule.zeros(2, 2, height, width)).shape == (2, 3, height, width)
    assert model(chainrule.zeros(0, 2, step, step)).shape == (0, 3, step, step)


def test_unet_s_defaults_and_its_name() -> None:
    assert count(models.create("unet")) == parameters_of_unet(3, 2, 16, 3) == count(UNet())


@pytest.mark.parametrize("shape", [(1, 3, 3, 8), (1, 3, 8, 2), (1, 1, 8, 8), (3, 8, 8), (8, 8)])
def test_unet_says_which_sizes_it_takes(shape: tuple[int, ...]) -> None:
    got = str(shape).replace("(", r"\(").replace(")", r"\)")
    with pytest.raises(chainrule.ShapeError, match=rf"\(N, 3, H, W\) of at least 4×4 pixels, got {got}"):
        UNet(3, 2, base=2, depth=2)(chainrule.zeros(*shape))


def test_unet_sees_the_fine_levels_on_the_way_up() -> None:
    """Without what comes from below, a pixel's score still depends on the pixels around it, and on no others."""
    model = UNet(1, 1, base=16, depth=2).double().eval()  # so many channels that some ReLU is alive
    with chainrule.no_grad():
        for grow in model.grow:
            grow.weight *= 0
    x = chainrule.tensor(images(1, 1, 16, 16)).requires_grad_()
    model(x)[0, 0, 8, 8].backward()
    rows, columns = np.nonzero(x.grad.numpy()[0, 0])
    assert len(rows)
    assert max(np.abs(rows - 8).max(), np.abs(columns - 8).max()) <= 4  # four 3×3 convolutions


def test_unet_learns_to_copy_a_mask() -> None:
    chainrule.manual_seed(1)
    x = chainrule.tensor(images(4, 1, 8, 8).astype(np.float32))
    mask = (x[:, 0] > 0).long()
    model = UNet(1, 2, base=4, depth=1)
    optimizer = chainrule.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(40):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), mask)
        loss.backward()
        optimizer.step()
    assert (model(x).argmax(1) == mask).double().mean().item() > 0.97


# ------------------------------------------------------------------------------------- PyTorch


def resnet_of(torch: Any, convolutions: int, layers: list[int], classes: int, stem: str, width: int = 64) -> Any:
    """The paper's network in PyTorch, with blocks of two or three convolutions; `width` channels in the first stage."""
    n, F = torch.nn, torch.nn.functional
    expansion = 1 if convolutions == 2 else 4

    class Block(n.Module):  # type: ignore[name-defined]
        def __init__(self, before: int, channels: int, stride: int) -> None:
            super().__init__()
            after = channels * expansion
            kernels = [(before, channels, 3, stride), (channels, channels, 3, 1)]
            if convolutions == 3:
                kernels = [(before, channels, 1, 1), (channels, channels, 3, stride), (channels, after, 1, 1)]
            for i, (a, b, kernel, step) in enumerate(kernels, 1):
                setattr(self, f"conv{i}", n.Conv2d(a, b, kernel, step, kernel // 2, bias=False))
                setattr(self, f"bn{i}", n.BatchNorm2d(b))
            self.downsample = None
            if stride != 1 or before != after:
                self.downsample = n.Sequential(n.Conv2d(before, after, 1, stride, bias=False), n.BatchNorm2d(after))

        def forward(self, x: Any) -> Any:
            kept = x if self.downsample is None else self.downsample(x)
            for i in range(1, convolutions + 1):
                x = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(x))
                x = F.relu(x) if i < convolutions else F.relu(x + kept)
            return x

    class Network(n.Module):  # type: ignore[name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.conv1 = (
                n.Conv2d(3, width, 7, 2, 3, bias=False)
                if stem == "imagenet"
                else n.Conv2d(3, width, 3, 1, 1, bias=False)
            )
            self.bn1 = n.BatchNorm2d(width)
            before = width
            for stage, blocks in enumerate(layers):
                parts = []
                for i in range(blocks):
                    parts.append(Block(before, width * 2**stage, 2 if stage and not i else 1))
                    before = width * 2**stage * expansion
                setattr(self, f"layer{stage + 1}", n.Sequential(*parts))
            self.fc = n.Linear(before, classes)

        def forward(self, x: Any) -> Any:
            x = F.relu(self.bn1(self.conv1(x)))
            x = F.max_pool2d(x, 3, 2, 1) if stem == "imagenet" else x
            for stage in range(1, 5):
                x = getattr(self, f"layer{stage}")(x)
            return self.fc(x.mean((2, 3)))

    return Network()


def unet_of(torch: Any, in_channels: int, classes: int, base: int, depth: int) -> Any:
    """The same U-Net in PyTorch."""
    n = torch.nn

    def double(before: int, channels: int) -> Any:
        return n.Sequential(
            n.Conv2d(before, channels, 3, padding=1, bias=False), n.BatchNorm2d(channels), n.ReLU(),
            n.Conv2d(channels, channels, 3, padding=1, bias=False), n.BatchNorm2d(channels), n.ReLU(),
        )  # fmt: skip

    class Network(n.Module):  # type: ignore[name-defined]
        def __init__(self) -> None:
            super().__init__()
            widths = [base * 2**level for level in range(depth)]
            self.down = n.ModuleList([double(a, b) for a, b in itertools.pairwise([in_channels, *widths])])
            self.bottom = double(widths[-1], 2 * widths[-1])
            self.grow = n.ModuleList([n.ConvTranspose2d(2 * c, c, 2, 2) for c in widths[::-1]])
            self.up = n.ModuleList([double(2 * c, c) for c in widths[::-1]])
            self.head = n.Conv2d(base, classes, 1)

        def forward(self, x: Any) -> Any:
            seen = []
            for down in self.down:
                seen.append(down(x))
                x = n.functional.max_pool2d(seen[-1], 2)
            x = self.bottom(x)
            for grow, up in zip(self.grow, self.up):
                x = up(torch.cat([seen.pop(), grow(x)], 1))
            return self.head(x)

    return Network()


def equal(ours: Any, theirs: Any, label: str) -> None:
    """Relative to the largest entry, or to 1e-4: sums of float64 products in another order. Some gradients are 0."""
    want = theirs.detach().numpy()
    np.testing.assert_allclose(
        ours.detach().numpy(), want, rtol=1e-8, atol=1e-8 * np.abs(want).max(initial=1e-4), err_msg=label
    )


def compare(torch: Any, ours: Any, theirs: Any, x: np.ndarray, training: bool) -> None:
    """Outputs, gradients of all weights and of the images, and statistics after a step forward and back."""
    state = {name: value.numpy() for name, value in ours.state_dict().items()}
    random = np.random.default_rng(1)
    for name, value in state.items():  # scales, biases and statistics that are not the plain first ones
        if value.ndim == 1:
            state[name] = random.uniform(0.5, 1.5, value.shape)
    ours.load_state_dict({name: chainrule.tensor(value) for name, value in state.items()})
    theirs.load_state_dict({name: torch.tensor(value) for name, value in state.items()})
    results = []
    for framework, model in ((chainrule, ours), (torch, theirs)):
        model.train(training)
        given = framework.tensor(x).requires_grad_()
        y = model(given)
        weights = framework.tensor(np.random.default_rng(2).standard_normal(tuple(y.shape)))
        (y * weights).sum().backward()
        gradients = {f"gradient of {name}": p.grad for name, p in model.named_parameters()}
        results.append({"output": y, "gradient of the input": given.grad, **gradients, **dict(model.named_buffers())})
    assert results[0].keys() == results[1].keys()
    for name, value in results[0].items():
        equal(value, results[1][name], name)


@pytest.mark.peer
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    ("block", "layers", "stem", "size"),
    [
        (BasicBlock, [2, 1, 1, 1], "imagenet", (33, 40)),
        (BasicBlock, [1, 2, 1, 1], "cifar", (11, 8)),
        (Bottleneck, [2, 1, 1, 1], "imagenet", (40, 33)),
        (Bottleneck, [1, 1, 1, 2], "cifar", (8, 9)),
    ],
)
def test_resnet_is_pytorch_s(block: Any, layers: list[int], stem: str, size: tuple[int, int], training: bool) -> None:
    torch = pytest.importorskip("torch")
    ours = ResNet(block, layers, num_classes=4, stem=stem, width=16).double()
    theirs = resnet_of(torch, 2 if block is BasicBlock else 3, layers, 4, stem, 16).double()
    compare(torch, ours, theirs, images(3, 3, *size), training)


@pytest.mark.peer
@pytest.mark.parametrize("stem", ["imagenet", "cifar"])
def test_resnet_18_is_pytorch_s(stem: str) -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = models.resnet18(10, stem=stem).double(), resnet_of(torch, 2, [2, 2, 2, 2], 10, stem).double()
    compare(torch, ours, theirs, images(2, 3, 16, 16) if stem == "cifar" else images(2, 3, 48, 48), True)


@pytest.mark.peer
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("base", "depth", "size"), [(4, 1, (6, 4)), (5, 2, (8, 12)), (4, 3, (16, 24))])
def test_unet_is_pytorch_s(base: int, depth: int, size: tuple[int, int], training: bool) -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = UNet(2, 3, base, depth).double(), unet_of(torch, 2, 3, base, depth).double()
    compare(torch, ours, theirs, images(2, 2, *size), training)


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (lambda: ResNet(BasicBlock, [1, 1, 1, 1], 3, stem="cifar"), (4, 3, 8, 8)),
        (lambda: UNet(2, 3, base=3, depth=2), (2, 2, 8, 12)),
        (lambda: DoubleConv(2, 3), (2, 2, 5, 4)),
    ],
    ids=["resnet", "unet", "double convolution"],
)
def test_compiled_is_eager(model: Callable[[], Any], shape: tuple[int, ...]) -> None:
    plain = model().double()
    x = chainrule.tensor(images(*shape))
    plain(x)
    plain.eval()
    np.testing.assert_allclose(
        chainrule.compile(plain)(x).detach().numpy(), plain(x).detach().numpy(), rtol=1e-9, atol=1e-9
    )
