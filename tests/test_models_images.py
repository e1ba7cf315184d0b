"""Every family of networks for images: parameters, names of the weights, shapes, and PyTorch's numbers from the same weights."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import models, nn
from chainrule.models import (
    fcn,
    googlenet,
    lenet5,
    resnet,
    vgg,
)
from chainrule.models.cost import traced
from chainrule.models.resnet_cifar import CifarResNet
from chainrule.nn.init import skip_filling
from tests import torch_networks
from tests.parameter_counts import count
from tests.test_models_convolutional import images, names_by_rule

NIGHTLY = bool(os.environ.get("CHAINRULE_NIGHTLY"))


def shape_of(name: str, *size: int, **options: Any) -> tuple[int, ...]:
    """The shape of what a network of the registry gives, by its shape rules alone."""
    with skip_filling():
        model = models.create(name, **options).eval()
    return traced(model, size)[1]


# ------------------------------------------------------------------------------------- sizes

COUNTS = {
    "lenet5": 61_706, "lenet5_c3": 60_806, "lenet5_lecun": 60_000,
    "alexnet": 61_100_840, "alexnet_two_towers": 60_965_224,
    "vgg11": 132_863_336, "vgg13": 133_047_848, "vgg16": 138_357_544, "vgg19": 143_667_240,
    "vgg11_bn": 132_868_840, "vgg13_bn": 133_053_736, "vgg16_bn": 138_365_992, "vgg19_bn": 143_678_248,
    "resnet18": 11_689_512, "resnet34": 21_797_672, "resnet50": 25_557_032, "resnet101": 44_549_160,
    "resnet152": 60_192_808, "resnext50_32x4d": 25_028_904,
    "resnet20_cifar": 269_722, "resnet32_cifar": 464_154, "resnet44_cifar": 658_586, "resnet56_cifar": 853_018,
    "resnet110_cifar": 1_727_962, "plain20_cifar": 269_722, "plain56_cifar": 853_018,
    "googlenet": 13_004_888, "googlenet_5x5": 13_385_816,
    "mobilenet_v1": 4_231_976, "mobilenet_v2": 3_504_872, "nin": 966_986,
}  # fmt: skip


@pytest.mark.parametrize("name", COUNTS)
def test_networks_have_the_published_numbers_of_parameters(name: str) -> None:
    with skip_filling():
        assert count(models.create(name)) == COUNTS[name]


def test_options_change_the_numbers_as_published() -> None:
    with skip_filling():
        assert count(models.create("googlenet", aux_logits=False)) == 6_624_904
        assert count(models.create("googlenet_5x5", aux_logits=False)) == 7_005_832
        for depth in (20, 32, 44, 56, 110):
            one, two = (models.create(f"resnet{depth}_cifar", shortcut=s) for s in ("zeros", "convolution"))
            assert count(two) - count(one) == 2_752
        assert count(models.create("unet", in_channels=1, num_classes=2, base=64, depth=4, norm=False)) == 31_030_658
    assert sum(p.numel() for p in models.create("lenet5_lecun").s2.parameters()) == 12
    assert sum(p.numel() for p in models.create("lenet5_lecun").s4.parameters()) == 32


def test_the_first_linear_layer_of_alexnet() -> None:
    with skip_filling():
        model = models.create("alexnet")
    assert count(model.classifier[1]) == 37_752_832 and model.classifier[1].in_features == 9216
    for size in (224, 240):
        assert shape_of("alexnet", 1, 3, size, size) == (1, 1000)
        assert traced(model.features, (1, 3, size, size))[1] == (1, 256, 6, 6)


@pytest.mark.parametrize("name", models.names("classification"))
def test_scores_for_usual_and_odd_sizes(name: str) -> None:
    entry = models.find(name)
    if len(entry.input) < 3:
        assert shape_of(name, 5, *entry.input)[0] == 5
        return
    channels, side, _ = entry.input
    classes = entry.options.get("num_classes", 10)
    assert shape_of(name, 2, channels, side, side) == (2, classes)
    if name.startswith(("lenet", "mlp", "convnet", "maxout", "vit", "logistic")):
        return  # one size each
    small = max(33, entry.smallest)
    for height, width in [(small, small), (small + 3, small + 14)]:
        assert shape_of(name, 1, channels, height, width) == (1, classes)
    assert shape_of(name, 0, channels, small, small) == (0, classes)
    if "in_channels" in entry.options:
        assert shape_of(name, 1, 5, small, small, in_channels=5, num_classes=3) == (1, 3)


@pytest.mark.parametrize("size", [(32, 32), (33, 32), (37, 53), (64, 96), (8, 8)])
@pytest.mark.parametrize("join", ["concatenate", "add"])
def test_unet_takes_any_size(size: tuple[int, int], join: str) -> None:
    for depth in (1, 2, 3):
        assert shape_of("unet", 1, 3, *size, base=2, depth=depth, join=join) == (1, 2, *size)


@pytest.mark.parametrize("name", ["fcn_8s", "fcn_16s", "fcn_32s"])
def test_fcn_takes_any_size_and_twice_the_resolution(name: str) -> None:
    for size in [(32, 32), (45, 70), (90, 140), (1, 1)]:
        assert shape_of(name, 1, 3, *size, width=4, hidden=8) == (1, 21, *size)


# ------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("make", "size", "says"),
    [
        (lambda: models.create("alexnet", num_classes=2), (1, 3, 62, 80), r"at least 63×63 pixels, got \(1, 3, 62, 80\)"),
        (lambda: models.create("alexnet", num_classes=2), (1, 1, 80, 80), r"takes images \(N, 3, H, W\)"),
        (lambda: models.create("alexnet_two_towers", num_classes=2), (1, 3, 66, 66), "at least 67×67"),
        (lambda: models.create("vgg11", num_classes=2), (1, 3, 31, 32), "at least 32×32"),
        (lambda: models.create("resnet20_cifar"), (3, 32, 32), r"takes images \(N, 3, H, W\), got \(3, 32, 32\); one image .*x\[None\]"),
        (lambda: models.create("googlenet"), (1, 4, 32, 32), r"takes images \(N, 3, H, W\)"),
        (lambda: models.create("mobilenet_v2"), (1, 3, 32), r"takes images \(N, 3, H, W\)"),
        (lambda: models.create("unet", depth=3), (1, 3, 7, 9), "at least 8×8"),
        (lambda: models.create("lenet5_lecun"), (1, 1, 28, 28), r"images \(N, 1, 32, 32\).*another image_size"),
        (lambda: models.create("keypoints"), (1, 1, 31, 32), r"images \(N, 1, 32, 32\), got \(1, 1, 31, 32\); resize them"),
        (lambda: models.create("convnet", image_size=9), (1, 1, 8, 9), r"images \(N, 1, 9, 9\), got \(1, 1, 8, 9\); resize them"),
        (lambda: models.create("maxout"), (1, 3, 28, 28), r"images \(N, 3, 32, 32\).*another image_size"),
        (lambda: models.create("resnet20_cifar"), (1, 32, 32, 3), r"channels come second: x\.permute\(0, 3, 1, 2\)"),
        (lambda: models.create("mobilenet_v2"), (1, 1, 32, 32), "a network for grey images is made with in_channels=1"),
        (lambda: models.create("autoencoder_dense"), (1, 1, 8, 8), r"takes samples \(N, 1, 28, 28\)"),
        (lambda: models.create("autoencoder_conv"), (1, 1, 8, 8), "at least 32×32"),
    ],
)  # fmt: skip
def test_images_of_a_wrong_shape(make: Callable[[], Any], size: tuple[int, ...], says: str) -> None:
    with skip_filling():
        model = make()
    with pytest.raises(chainrule.ShapeError, match=says):
        model(chainrule.zeros(*size))


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("resnet20_cifar", {"shortcut": "bridge"}, "zeros, convolution, none"),
        ("unet", {"join": "glue"}, "'concatenate' or 'add'"),
        ("unet", {"depth": 0}, "at least 1"),
        ("fcn_8s", {"stride": 4}, "8, 16 or 32"),
        ("lenet5", {"activation": "gelu"}, "'gelu'"),
        ("lenet5_c3", {"image_size": 31}, "31"),
        ("googlenet", {"inception": "v3"}, "torchvision, 5x5, naive"),
        ("autoencoder_conv", {"image_size": 30}, "30×30 cannot be halved 2 times"),
        ("autoencoder_dense", {"activation": "step"}, "'step'"),
        ("autoencoder_dense", {"noise": -1.0}, "at least 0"),
        ("keypoints", {"image_size": 4}, "cannot be halved"),
        ("maxout", {"image_size": 7}, "7×7 cannot be halved 3 times"),
        ("resnet18", {"groups": 4}, "for Bottleneck"),
        ("resnet50", {"replace_stride_with_dilation": [True]}, "four stages"),
        ("logistic_regression", {"num_classes": 1}, "at least two classes"),
        ("resnet19", {}, "no model 'resnet19'; the nearest are resnet1"),
        ("walrus", {}, "chainrule models"),
    ],
)  # fmt: skip
def test_options_that_are_none(name: str, options: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says), skip_filling():
        models.create(name, **options)


def test_cifar_networks_have_6n_plus_2_layers() -> None:
    with pytest.raises(ValueError, match="6n"):
        CifarResNet(21)
    assert sum(isinstance(m, nn.Conv2d | nn.Linear) for m in models.create("resnet56_cifar").modules()) == 56


# ------------------------------------------------------------------------------------- names


def test_resnets_have_torchvision_s_names() -> None:
    layers = {"resnet34": (2, 1, [3, 4, 6, 3]), "resnet50": (3, 4, [3, 4, 6, 3]), "resnet101": (3, 4, [3, 4, 23, 3])}
    layers |= {"resnet152": (3, 4, [3, 8, 36, 3]), "resnext50_32x4d": layers["resnet50"]}
    for name, rule in layers.items():
        with skip_filling():
            assert list(models.create(name).state_dict()) == list(names_by_rule(*rule)), name


# ------------------------------------------------------------------------------------- PyTorch


def shrunken(model: Any) -> Any:
    """AlexNet or VGG with few units in its linear layers, and without dropout."""
    linear = [i for i, layer in enumerate(model.classifier) if isinstance(layer, nn.Linear)]
    before = model.classifier[linear[0]].in_features
    for place, after in zip(linear, (6, 5, 4), strict=True):
        model.classifier[place] = nn.Linear(before, after)
        before = after
    return without_dropout(model)


def without_dropout(model: Any) -> Any:
    for module in model.modules():
        if isinstance(module, nn.Dropout | nn.Dropout2d):
            module.p = 0.0
    return model


def small_alexnet(two: bool) -> Any:
    with skip_filling():
        model = models.create("alexnet_two_towers" if two else "alexnet")
    model = shrunken(model)
    for module in model.features:
        if isinstance(module, nn.Conv2d):
            module.reset_parameters()
    return model


def small_vgg(layers: int, batch_norm: bool) -> Any:
    stages = [[2] * len(stage) for stage in vgg.STAGES[layers]]
    stages[-1][-1] = 512
    with skip_filling():
        model = vgg.VGG(vgg.make_features(stages, batch_norm), num_classes=4)
    for module in model.features:
        if isinstance(module, nn.Conv2d):
            module.reset_parameters()
    return shrunken(model)


def small_googlenet(large: int) -> Any:
    return without_dropout(
        models.create("googlenet" if large == 3 else "googlenet_5x5", num_classes=4, init_weights=False)
    )


Twin = Callable[[torch_networks.Layers, Any], Any]

#: A small network, PyTorch's twin, and the shape of the images.
FAMILIES: dict[str, tuple[Callable[[], Any], Twin, tuple[int, ...]]] = {
    "alexnet": (lambda: small_alexnet(False), torch_networks.alexnet, (2, 3, 63, 70)),
    "two towers": (lambda: small_alexnet(True), torch_networks.two_towers, (2, 3, 67, 71)),
    "vgg13": (lambda: small_vgg(13, False), functools.partial(torch_networks.vgg, stages=(2, 2, 2, 2, 2), batch_norm=False), (2, 3, 35, 32)),
    "vgg16_bn": (lambda: small_vgg(16, True), functools.partial(torch_networks.vgg, stages=(2, 2, 3, 3, 3), batch_norm=True), (3, 3, 64, 64)),
    "resnet": (
        lambda: resnet.ResNet(resnet.BasicBlock, [1, 2, 1, 1], 4, width=8),
        functools.partial(torch_networks.residual, layers=[1, 2, 1, 1], bottleneck=False), (2, 3, 40, 33),
    ),
    "resnext": (
        lambda: resnet.ResNet(resnet.Bottleneck, [1, 2, 1, 1], 4, groups=4, width_per_group=8, width=16),
        functools.partial(torch_networks.residual, layers=[1, 2, 1, 1], bottleneck=True, groups=4),
        (2, 3, 40, 33),
    ),
    "cifar, zeros": (
        lambda: CifarResNet(14, width=4), functools.partial(torch_networks.residual_cifar, blocks=2, shortcut="zeros"), (3, 3, 13, 16),
    ),
    "cifar, convolution": (
        lambda: CifarResNet(8, width=4, shortcut="convolution"),
        functools.partial(torch_networks.residual_cifar, blocks=1, shortcut="convolution"), (3, 3, 16, 15),
    ),
    "cifar, plain": (
        lambda: CifarResNet(14, width=4, shortcut="none"),
        functools.partial(torch_networks.residual_cifar, blocks=2, shortcut="none"), (3, 3, 16, 16),
    ),
    "googlenet": (lambda: small_googlenet(3), functools.partial(torch_networks.googlenet, large=3, heads=True), (2, 3, 70, 65)),
    "inception, 5×5": (
        lambda: googlenet.Inception(7, 4, 3, 5, 2, 3, 2, googlenet.BiasedConv2d, large=5),
        functools.partial(torch_networks.inception, naive=False), (2, 7, 6, 9),
    ),
    "inception, naive": (
        lambda: googlenet.NaiveInception(7, 4, 5, 3, googlenet.BiasedConv2d),
        functools.partial(torch_networks.inception, naive=True), (2, 7, 6, 9),
    ),
    "mobilenet_v1": (lambda: models.create("mobilenet_v1", num_classes=4, width_mult=0.25), torch_networks.mobilenet_v1, (3, 3, 40, 64)),
    "mobilenet_v2": (
        lambda: models.create("mobilenet_v2", num_classes=4, width_mult=0.25, dropout=0.0), torch_networks.mobilenet_v2, (3, 3, 64, 40),
    ),
    "lenet": (lambda: models.create("lenet5"), functools.partial(torch_networks.lenet, activation="relu", pooling="max"), (3, 1, 32, 32)),
    "lenet, sigmoid": (
        lambda: models.create("lenet5", image_size=28, activation="sigmoid", pooling="avg"),
        functools.partial(torch_networks.lenet, activation="sigmoid", pooling="avg"), (3, 1, 28, 28),
    ),
    "lenet, partial": (
        lambda: models.create("lenet5_c3", activation="tanh"),
        functools.partial(torch_networks.lenet, activation="tanh", pooling="max", table=lenet5.C3_TABLE), (3, 1, 32, 32),
    ),
    "lenet, LeCun's": (
        lambda: models.create("lenet5_lecun"),
        lambda n, x: torch_networks.lenet_lecun(n, x, lenet5.C3_TABLE, n.torch.tensor(lenet5.drawn_digits()).double()), (3, 1, 32, 32),
    ),
    "unet, odd": (
        lambda: models.create("unet", base=4, depth=2), functools.partial(torch_networks.unet, depth=2, norm=True, add=False), (2, 3, 11, 14),
    ),
    "unet, added": (
        lambda: models.create("unet", base=4, depth=3, norm=False, join="add"),
        functools.partial(torch_networks.unet, depth=3, norm=False, add=True), (2, 3, 17, 8),
    ),
    **{
        f"fcn, {stride}": (
            lambda stride=stride: fcn.FCN(4, stride, width=4, hidden=6, dropout=0.0),
            functools.partial(torch_networks.fcn, stride=stride), (2, 3, 40, 33),
        )
        for stride in (8, 16, 32)
    },
    "nin": (lambda: models.create("nin", num_classes=4, dropout=0.0), torch_networks.network_in_network, (2, 3, 10, 13)),
    "maxout": (lambda: models.create("maxout", channels=[4, 5, 6], hidden=7, image_size=16, dropout=0.0), torch_networks.maxout, (2, 3, 16, 16)),
    "autoencoder, dense": (
        lambda: models.create("autoencoder_dense", shape=(1, 6, 7), hidden=[9], code=3), torch_networks.autoencoder_dense, (3, 1, 6, 7),
    ),
    "autoencoder, convolutional": (
        lambda: models.create("autoencoder_conv", image_size=16, channels=[3, 4], code=5), torch_networks.autoencoder_conv, (3, 1, 16, 16),
    ),
    "convnet": (
        lambda: models.create("convnet", image_size=13, channels=[3, 4], hidden=[6], activation="tanh", pooling="avg"),
        torch_networks.convnet, (3, 1, 13, 13),
    ),
    "perceptron": (lambda: models.create("mlp", sizes=[42, 9, 8, 4], activation="sigmoid"), torch_networks.perceptron, (3, 1, 6, 7)),
    "linear regression": (lambda: models.create("linear_regression", in_features=42, num_classes=3), torch_networks.affine, (3, 1, 6, 7)),
    "logistic regression": (lambda: models.create("logistic_regression", in_features=42), torch_networks.logistic, (3, 1, 6, 7)),
    "softmax regression": (
        lambda: models.create("logistic_regression", in_features=42, num_classes=3), torch_networks.affine, (3, 1, 6, 7),
    ),
    "keypoints": (lambda: models.create("keypoints", points=3, channels=[4, 5], hidden=6, image_size=12), torch_networks.keypoints, (3, 1, 12, 12)),
}  # fmt: skip


def randomised(model: Any) -> Any:
    """Scales, biases and statistics that are not the plain first ones; what starts at 0 does not."""
    random = np.random.default_rng(1)
    for value in model.state_dict().values():
        if value.ndim == 1 or (value.ndim > 1 and not value.any()):
            fresh = (
                random.uniform(0.5, 1.5, tuple(value.shape))
                if value.ndim == 1
                else random.standard_normal(tuple(value.shape))
            )
            with chainrule.no_grad():
                value.copy_(chainrule.tensor(fresh))
    return model


def gathered(outputs: Any) -> list[Any]:
    return list(outputs) if isinstance(outputs, tuple) else [outputs]


def weighted(framework: Any, outputs: Any) -> Any:
    """One number from all outputs, in which none is lost."""
    random = np.random.default_rng(2)
    parts = [(y * framework.tensor(random.standard_normal(tuple(y.shape)))).sum() for y in gathered(outputs)]
    return sum(parts)


def close(ours: Any, theirs: Any, label: str, tolerance: float = 1e-8) -> None:
    """Relative to the largest entry: sums of float64 products in another order. Some gradients are 0 but for that."""
    want = np.asarray(theirs)
    np.testing.assert_allclose(
        np.asarray(ours), want, rtol=tolerance, atol=tolerance * np.abs(want).max(initial=1e-6), err_msg=label
    )


@pytest.mark.peer
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("name", FAMILIES)
def test_values_gradients_and_names_are_pytorch_s(name: str, training: bool) -> None:
    torch = pytest.importorskip("torch")
    build, twin, shape = FAMILIES[name]
    ours = randomised(build().double()).train(training)
    weights = {key: torch.tensor(value.numpy()) for key, value in ours.state_dict().items()}
    learned = {key for key, _ in ours.named_parameters()}
    for key in learned:
        weights[key].requires_grad_()
    x = images(*shape)
    theirs_in, ours_in = torch.tensor(x, requires_grad=True), chainrule.tensor(x, requires_grad=True)
    layers = torch_networks.Layers(torch, weights, training)
    theirs, got = twin(layers, theirs_in), ours(ours_in)
    unused = {key for key in weights if key.startswith("aux")} if not training else set()
    assert layers.used == set(weights) - unused, "the names"
    for ours_y, theirs_y in zip(gathered(got), gathered(theirs), strict=True):
        close(ours_y.detach().numpy(), theirs_y.detach().numpy(), "outputs")
    weighted(chainrule, got).backward()
    weighted(torch, theirs).backward()
    close(ours_in.grad.numpy(), theirs_in.grad.numpy(), "the gradient of the images", 1e-7)
    for key, parameter in ours.named_parameters():
        if key not in unused:
            close(parameter.grad.numpy(), weights[key].grad.numpy(), f"the gradient of {key}", 1e-7)
    for key, buffer in ours.named_buffers():
        if key in weights and "tracked" not in key:
            close(buffer.numpy(), weights[key].numpy(), key)


TRAINED = [name for name in FAMILIES if name not in ("googlenet", "cifar, convolution", "fcn, 16", "fcn, 32")]
#: By day others stand for these: each kind of layer, connection and shape is in one that stays.
AT_NIGHT = [
    "two towers", "vgg13", "cifar, plain", "lenet", "lenet, sigmoid", "unet, added", "inception, 5×5", "mobilenet_v1",
    "autoencoder, dense", "perceptron", "softmax regression",
]  # fmt: skip
#: Those that compute in evaluation something else than in training (batch norm); at night all do, without a gradient.
EVALUATED = ["resnet", "mobilenet_v2", "unet, odd"]


@pytest.mark.parametrize(
    ("name", "training"),
    [
        *((name, True) for name in TRAINED if NIGHTLY or name not in AT_NIGHT),
        *((name, False) for name in (TRAINED if NIGHTLY else EVALUATED)),
    ],
)
def test_compiled_is_eager(name: str, training: bool) -> None:
    build, _, shape = FAMILIES[name]
    results = []
    x = chainrule.tensor(images(*shape))
    state = randomised(build().double()).state_dict()
    for compiled in (False, True):
        with skip_filling():
            model = build().double()
        model.load_state_dict(state)
        model.train(training)
        optimizer = chainrule.optim.SGD(model.parameters(), lr=1e-3)

        def step(x: Any, model: Any = model, optimizer: Any = optimizer) -> Any:
            optimizer.zero_grad()
            loss = weighted(chainrule, model(x))
            if training:
                loss.backward()
                optimizer.step()
            return loss

        run = chainrule.compile(step) if compiled else step
        losses = [run(x).item() for _ in range(2)]
        results.append((losses, {key: value.numpy() for key, value in model.state_dict().items()}))
    close(results[1][0], results[0][0], "losses", 1e-7)
    for key, value in results[0][1].items():
        close(results[1][1][key], value, key, 1e-7)
