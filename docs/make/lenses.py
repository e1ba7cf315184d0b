"""The pictures of docs/lenses.md, from real runs: `python -m docs.make.lenses` draws docs/figures/lens-*.png.

The photograph is a picture of CIFAR-10 (`--photograph FILE` takes another); the page of optimisers is opened in
Chromium (Debian: `apt install chromium`). It takes a minute or two.
"""

from __future__ import annotations

import io
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

import chainrule
from chainrule import nn, optim
from chainrule.data import DataLoader, digits
from chainrule.explain import (
    attention_maps,
    descent_page,
    draw_attention,
    draw_feature_maps,
    grad_cam,
    gradient_map,
    gradient_times_input,
    integrated_gradients,
    loss_surface,
    occlusion,
    optimised_input,
    path_directions,
    receptive_fields,
    symbolic_growth,
    ways_to_a_gradient,
    weights_of,
)
from chainrule.models import LeNet5
from chainrule.nn import kernels
from chainrule.train import GradientFlow, Trainer
from docs.make.pictures import photograph

FIGURES = Path(__file__).parents[1] / "figures"


def save(name: str, draw: Callable[[Path], None], colours: int = 96) -> None:
    """A picture in few colours, so that it is small."""
    with tempfile.TemporaryDirectory() as folder:
        draw(Path(folder) / "picture.png")
        picture = Image.open(Path(folder) / "picture.png").convert("RGB")
    picture.quantize(colours).save(FIGURES / f"lens-{name}.png", optimize=True)


def save_figure(name: str, figure: Figure, colours: int = 96) -> None:
    """A figure of Matplotlib."""
    save(name, lambda path: figure.savefig(path, format="png"), colours)


def trained() -> tuple[nn.Module, Any, GradientFlow, list[Any]]:
    """LeNet-5 on the digits, with the flow of its gradients and its weights on the way."""
    chainrule.manual_seed(0)
    data, model, flow = digits(size=32), LeNet5(), GradientFlow(every=10)
    trainer = Trainer(model, nn.CrossEntropyLoss(), optim.Adam(model.parameters(), lr=1e-3), callbacks=[flow])
    path = [weights_of(model)]
    for epoch in range(8):
        trainer.fit(DataLoader(data.train, 32, shuffle=True), epochs=epoch + 1)
        path.append(weights_of(model))
    return model, data, flow, path


def draw_handmade(picture: Any) -> None:
    """Kernels made by hand on a photograph, (3, H, W)."""
    grey = kernels.grey()(picture.unsqueeze(0))
    layers = [
        kernels.gaussian_blur(5),
        kernels.difference("x"),
        kernels.sobel("x"),
        kernels.sobel("y"),
        kernels.laplacian(4),
    ]
    shown = [("the picture", picture.numpy().transpose(1, 2, 0)), ("grey", grey[0, 0].numpy())]
    shown += [(layer.name, layer(grey)[0, 0].detach().numpy()) for layer in layers]
    figure = Figure(figsize=(11, 1.9), dpi=100, layout="constrained")
    for axes, (title, values) in zip(figure.subplots(1, len(shown)), shown, strict=True):
        axes.imshow(values, cmap="gray", interpolation="nearest")
        axes.set_title(title, fontsize=8)
        axes.axis("off")
    save_figure("kernels", figure)


def draw_saliency(model: nn.Module, images: Any, labels: Any) -> None:
    """Five ways to ask what the decision hangs on."""
    background = images.min().reshape(1, 1, 1, 1)
    integrated = integrated_gradients(model, images, labels, baseline=background)
    ways = {
        "gradient": gradient_map(model, images, labels)[:, 0],
        "gradient × input": gradient_times_input(model, images, labels)[:, 0],
        "integrated gradients": integrated.attributions[:, 0],
        "occlusion, 6×6": occlusion(model, images, labels, window=6, stride=2, fill=float(background.item())),
        "Grad-CAM, features.3": grad_cam(model, images, "features.3", labels),
    }
    print("integrated gradients: f(x) − f(x₀)", integrated.change.tolist(), "errors", integrated.error.tolist())
    figure = Figure(figsize=(10.5, 1.9 * len(images)), dpi=100, layout="constrained")
    grid = figure.subplots(len(images), len(ways) + 1, squeeze=False)
    for row, image, label, *maps in zip(grid, images, labels.tolist(), *ways.values(), strict=True):
        row[0].imshow(image[0].numpy(), cmap="gray")
        row[0].set_title(f"a {label}", fontsize=8)
        for axes, name, found in zip(row[1:], ways, maps, strict=True):
            largest = float(found.abs().max())
            axes.imshow(image[0].numpy(), cmap="gray", alpha=0.25)
            axes.imshow(found.numpy(), cmap="RdBu_r", vmin=-largest, vmax=largest, alpha=0.85)
            axes.set_title(name, fontsize=8)
        for axes in row:
            axes.axis("off")
    save_figure("saliency", figure)


def draw_optimised(model: nn.Module, data: Any) -> None:
    """An image for each class, climbed to from grey."""
    lowest, highest = (float(getattr(data.train[0][0], name)()) for name in ("min", "max"))
    start = 0.05 * chainrule.randn(10, 1, 32, 32)
    found = optimised_input(
        model, start, chainrule.arange(10), steps=150, rate=0.5, penalty=0.002, jitter=2,
        project=lambda x: x.clamp(lowest, highest),
    )  # fmt: skip
    figure = Figure(figsize=(10.5, 1.3), dpi=100, layout="constrained")
    for axes, image, label in zip(figure.subplots(1, 10), found.input, range(10), strict=True):
        axes.imshow(image[0].numpy(), cmap="gray")
        axes.set_title(str(label), fontsize=8)
        axes.axis("off")
    save_figure("optimised", figure, 32)


class Reverser(nn.Module):
    """Answers a sequence of digits backwards: one layer of attention over tokens with learned positions."""

    def __init__(self, length: int = 8) -> None:
        super().__init__()
        self.tokens, self.positions = nn.Embedding(10, 32), nn.Parameter(0.1 * chainrule.randn(length, 32))
        self.attention, self.head = nn.MultiheadAttention(32, 2, batch_first=True), nn.Linear(32, 10)

    def forward(self, x: Any) -> Any:
        """Scores (N, L, 10)."""
        x = self.tokens(x) + self.positions
        return self.head(self.attention(x, x, x, need_weights=False)[0])


def draw_attention_of_a_reverser() -> None:
    """What its heads read, after a thousand steps."""
    chainrule.manual_seed(0)
    model = Reverser()
    optimizer = optim.Adam(model.parameters(), lr=3e-3)

    @chainrule.compile
    def step(x: Any) -> Any:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x).flatten(0, 1), x.flip(1).flatten())
        loss.backward()
        optimizer.step()
        return loss

    for _ in range(1000):
        loss = step(chainrule.randint(0, 10, (128, 8)))
    print(f"reversing eight digits: loss {loss.item():.3f} after 1,000 steps")
    digits_shown = chainrule.tensor([[3, 1, 4, 1, 5, 9, 2, 6]])
    tokens = [str(t) for t in digits_shown[0].tolist()]
    save("attention", lambda path: draw_attention(attention_maps(model, digits_shown), path, tokens))


def draw_surface(model: nn.Module, data: Any, path: list[Any]) -> None:
    """The loss on the plane in which the weights moved most, with the path on it."""
    x, y = next(iter(DataLoader(data.train, 512)))
    first, second, shares = path_directions(path)
    line = loss_surface(model, nn.CrossEntropyLoss(), x, y, [first, second], points=1, compile=False)
    lengths = 1.5 * np.abs([line.coordinates(weights) for weights in path]).max(0)
    span = [(-float(length), float(length)) for length in lengths]
    surface = loss_surface(model, nn.CrossEntropyLoss(), x, y, [first, second], span=span, points=31).with_path(path)
    print(f"the plane holds {sum(shares):.1%} of the path's variation")
    save("surface", lambda file: surface.draw(file, "LeNet-5 on the digits, epoch by epoch"))


def draw_matrix() -> None:
    """The matrix of a 3×3 convolution on 5×5 pixels, and its transpose's product with an image."""
    weight = chainrule.arange(1.0, 10.0).reshape(1, 1, 3, 3)
    figure = Figure(figsize=(9, 3.2), dpi=100, layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[1, 2.2])
    one = nn.convolution_matrix(chainrule.tensor([[[1.0, 2.0, 3.0]]]), 6).numpy()
    two = nn.convolution_matrix(weight, 5).numpy()
    for axes, matrix, title in (
        (left, one, "3 weights on 6 entries: 4×6"),
        (right, two, "3×3 weights on 5×5 pixels: 9×25"),
    ):
        axes.imshow(np.ma.masked_equal(matrix, 0), cmap="viridis")
        axes.set_title(title, fontsize=9)
        axes.set(xticks=[], yticks=[])
    save_figure("matrix", figure)


def draw_zigzag() -> None:
    """One neuron of two weights, taught sample by sample behind sigmoids and behind tanh."""
    figure = Figure(figsize=(8, 3.6), dpi=100, layout="constrained")
    for axes, activation in zip(figure.subplots(1, 2, sharex=True, sharey=True), ("sigmoid", "tanh"), strict=True):
        chainrule.manual_seed(2)
        hidden = getattr(2 * chainrule.randn(150, 2), activation)()
        truth = chainrule.tensor([[1.5], [-1.5]])
        weight = chainrule.zeros(2, 1, requires_grad=True)
        optimizer, path = optim.SGD([weight], lr=0.12), [weight.detach().flatten().tolist()]
        for row in hidden:
            optimizer.zero_grad()
            ((row @ weight - row @ truth) ** 2).sum().backward()
            optimizer.step()
            path.append(weight.detach().flatten().tolist())
        axes.plot(*np.array(path).T, marker=".", markersize=4, linewidth=1, color="#d55e00")
        axes.plot(1.5, -1.5, marker="*", color="black", markersize=11)
        axes.set(title=f"behind {activation}", xlabel="first weight", ylabel="second weight")
        axes.grid(alpha=0.3)
    save_figure("zigzag", figure, 48)


def draw_ways() -> None:
    """The error of differences against h, and how formulas grow."""
    found = ways_to_a_gradient(lambda x: x[0].exp() * x[1].sin() / (1 + x[2] ** 2), [0.3, 1.1, -0.7])
    print(found)
    save("ways", found.draw)
    for row in symbolic_growth(lambda x: 4 * x * (1 - x)):
        print(row)


def main() -> None:
    """All of them."""
    FIGURES.mkdir(exist_ok=True)
    source = Path(sys.argv[sys.argv.index("--photograph") + 1]) if "--photograph" in sys.argv else None
    picture = from_cifar() if source is None else np.asarray(Image.open(source).convert("RGB")) / 255
    draw_handmade(chainrule.tensor(picture.transpose(2, 0, 1), dtype="float32"))
    model, data, flow, path = trained()
    save("flow", lambda file: Image.open(io.BytesIO(flow.draw())).save(file), 255)
    labels = chainrule.tensor([6, 2])
    images = chainrule.stack([next(x for x, y in data.test if int(y) == label) for label in labels.tolist()])
    draw_saliency(model, images, labels)
    draw_optimised(model, data)
    save("fields", lambda file: receptive_fields(model, (1, 32, 32)).draw(file, digit(images[0])))
    layers = ["features.0", "features.2", "features.3", "features.5"]
    save("features", lambda file: draw_feature_maps(model, images[0], file, layers))
    draw_surface(model, data, path)
    draw_attention_of_a_reverser()
    draw_matrix()
    draw_zigzag()
    draw_ways()
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "descent.html"
        text = descent_page()
        steps = "for (const [rule, rate] of [['gradient descent', 0.0013], ['momentum', 0.001], ['Adam', 0.1]]) {\n"
        steps += "  at('rule').value = rule; chooseRule(); setRate(rate); begin(); advance(200);\n"
        steps += "  if (rule !== 'Adam') { state.kept.push(paths().pop()); }\n}\n"
        page.write_text(text.replace("</script>", f"{steps}</script>"), encoding="utf-8")
        photograph(page, FIGURES / "lens-descent.png", 1100, 930)


def digit(image: Any) -> Any:
    """An image of a digit with entries in [0, 1]."""
    return ((image - image.min()) / (image.max() - image.min()))[0]


def from_cifar() -> Any:
    """A picture of CIFAR-10's test images, (32, 32, 3)."""
    from chainrule.data.known import load

    data = load("cifar10")
    return np.asarray((data.test[12][0] * data.std + data.mean).clamp(0, 1)).transpose(1, 2, 0)


if __name__ == "__main__":
    main()
