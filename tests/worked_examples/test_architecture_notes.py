"""What chapter I V says about architectures, shown on the library's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import data, models, nn
from chainrule.models.cost import count_flops, traced


def share_with_gradient(pooling: str) -> float:
    """Of the entries before the first pooling of LeNet-5, those that a change of the output can move."""
    model = models.LeNet5(activation="tanh", pooling=pooling)
    kept: list[Any] = []
    model.features[1].register_forward_hook(lambda module, args, output: kept.append(output))
    model(chainrule.randn(4, 1, 32, 32)).sum()
    pooled = model.features[2](kept[0])
    gradient = chainrule.autograd.grad(pooled.sum(), kept[0])[0]
    return (gradient != 0).float().mean().item()


def test_i_v_11_average_pooling_gives_every_entry_a_gradient() -> None:
    """I V.11, 1a: of max-pooling's inputs a quarter has one."""
    assert share_with_gradient("avg") == 1.0
    assert share_with_gradient("max") == pytest.approx(0.25, abs=1e-6)


def test_i_v_1_lenet_with_average_pooling_and_sigmoid() -> None:
    """I V.1: the first form. Its first layer's gradient is far smaller than with ReLU: why it is not common now."""

    def norm(activation: str, pooling: str) -> float:
        chainrule.manual_seed(0)
        model = models.LeNet5(activation=activation, pooling=pooling)
        x, y = chainrule.randn(32, 1, 32, 32), chainrule.arange(32) % 10
        nn.functional.cross_entropy(model(x), y).backward()
        return model.features[0].weight.grad.norm().item()

    assert norm("sigmoid", "avg") < norm("relu", "max") / 20


def test_i_v_11_what_11_by_11_costs() -> None:
    """I V.11, 1b: five 3×3 convolutions see the same 11×11 pixels with 45 weights for each pair of channels, not 121."""
    large = nn.Conv2d(16, 16, 11, padding=5, bias=False)
    small = nn.Sequential(*(nn.Conv2d(16, 16, 3, padding=1, bias=False) for _ in range(5)))
    counts = [sum(p.numel() for p in part.parameters()) for part in (large, small)]
    assert [count / 16**2 for count in counts] == [121, 45]
    flops = [count_flops(part, (1, 16, 20, 20)) for part in (large, small)]
    assert flops[0] / flops[1] == pytest.approx(121 / 45)
    x = chainrule.zeros(1, 16, 31, 31).requires_grad_()
    for part in (large, small):
        seen = chainrule.autograd.grad(part(x)[0, :, 15, 15].sum(), x)[0].abs().sum((0, 1)).numpy()
        rows, columns = np.nonzero(seen)
        assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (11, 11)


def test_i_v_8_a_fully_convolutional_network_takes_twice_the_resolution() -> None:
    """I V.8: unchanged; one with linear layers on the flattened map does not."""
    for name in ("fcn_8s", "unet", "nin", "resnet20_cifar"):
        options = {"width": 4, "hidden": 8} if name.startswith("fcn") else {}
        model = models.create(name, **options).eval()
        for side in (32, 64):
            assert traced(model, (1, 3, side, side))[1][0] == 1
    with pytest.raises(chainrule.ShapeError):
        models.LeNet5()(chainrule.zeros(1, 1, 64, 64))


def test_i_v_8_but_performs_worse_there() -> None:
    """I III.5, V.8: convolutions know no scale. What was learned at 16×16 is of little use for the same digits at 32×32."""
    chainrule.manual_seed(0)
    model = models.CifarResNet(8, in_channels=1, width=8)
    optimizer = chainrule.optim.Adam(model.parameters(), lr=5e-3)
    trainer = chainrule.train.Trainer(model, nn.CrossEntropyLoss(), optimizer, metrics=["accuracy"])
    small, large = data.digits(size=16), data.digits(size=32)
    trainer.fit(data.DataLoader(small.train, 32, shuffle=True), epochs=4)
    there, here = (trainer.evaluate(data.DataLoader(part.test, 256))["accuracy"] for part in (large, small))
    assert here > 0.7 and there < here - 0.3


def reconstruct(model: Any, images: Any, steps: int = 150) -> float:
    """The squared error of making the images again, after some training."""
    optimizer = chainrule.optim.Adam(model.parameters(), lr=5e-3)

    @chainrule.compile
    def step(x: Any) -> Any:
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x), x)
        loss.backward()
        optimizer.step()
        return loss

    for i in range(steps):
        step(images[(i * 32) % 960 : (i * 32) % 960 + 32])
    with chainrule.no_grad():
        return nn.functional.mse_loss(model.eval()(images[960:]), images[960:]).item()


def test_i_v_9_v_12_shortcuts_make_reconstruction_trivial() -> None:
    """I V.9, V.12, 4e: a U-Net copies; nothing is left to learn for what is far down. An autoencoder must compress."""
    chainrule.manual_seed(0)
    images = data.digits(size=16).train[:][0]
    unet = models.UNet(1, 1, base=8, depth=2, norm=False)
    autoencoder = models.ConvAutoencoder(1, 16, channels=[8, 16], code=16)
    copied, compressed = reconstruct(unet, images), reconstruct(autoencoder, images)
    assert copied < compressed
    with chainrule.no_grad():
        for parameter in unet.bottom.parameters():
            parameter.zero_()
        without_the_bottom = nn.functional.mse_loss(unet(images[960:]), images[960:]).item()
        autoencoder.encoder[5].weight.zero_()
        without_the_code = nn.functional.mse_loss(autoencoder(images[960:]), images[960:]).item()
    assert without_the_bottom < compressed  # its copy goes past the bottom
    assert without_the_code > 0.5  # saying the mean would cost 1
