"""What shortcuts are for: plain and residual networks of 20 and 56 layers, from the same start and on the same data.

What to see: the paper's question, small. After 8 epochs the plain network of 56 layers does worse than the one of 20 on
the training data too (loss 1.68 against 0.08), so it is not that it learns by heart: it is hard to train. It reads 27%
of the test digits, the one of 20 layers 93.6%. With shortcuts depth does no harm: 97.5% and 98.3%, losses 0.019 and
0.010. What may be behind it: before the first step the first layer's gradient is about 2,000 times as large as
the last one's in the deep plain network, and 1 to 4 times in the others. (One seed.)

The full experiment takes hours (`chainrule train resnet56_cifar --data cifar10 --epochs 160`, and plain56_cifar); this
one takes the shipped digits, as images of 16×16, and networks half as wide.

    python examples/skips.py
    python examples/skips.py --epochs 2 --figure skips.png
"""

from __future__ import annotations

import argparse
from typing import Any

import chainrule
from chainrule import data, nn, optim, train
from chainrule.data import DataLoader
from chainrule.models import CifarResNet


def first_to_last(model: Any, images: Any, labels: Any) -> float:
    """The norm of the first convolution's gradient over that of the last one."""
    nn.functional.cross_entropy(model(images), labels).backward()
    convolutions = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    norms = [convolutions[i].weight.grad.norm().item() for i in (0, -1)]
    model.zero_grad()
    return norms[0] / norms[1]


def draw(path: str, histories: dict[str, Any]) -> None:
    """The training losses of all."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    for name, history in histories.items():
        line, color = "-" if "residual" in name else "--", "#b04030" if "56" in name else "#2060a0"
        losses = [row["train_loss"] for row in history]
        axes.plot(range(1, len(losses) + 1), losses, marker=".", label=name, linestyle=line, color=color)
    axes.set(xlabel="epoch", ylabel="training loss", yscale="log")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path)


def main() -> None:
    """Train the four networks, print their losses and accuracies, and draw."""
    parser = argparse.ArgumentParser(description="Networks with and without shortcuts.")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--figure", help="where to draw the losses")
    options = parser.parse_args()

    splits = data.digits(size=16)
    histories = {}
    print("network               first/last gradient   training loss   test accuracy")
    for depth in (20, 56):
        for name, shortcut in (("plain", "none"), ("residual", "zeros")):
            chainrule.manual_seed(0)
            model = CifarResNet(depth, in_channels=1, shortcut=shortcut, width=8)
            ratio = first_to_last(model, *splits.train[:64])
            batches = DataLoader(splits.train, 32, shuffle=True)
            optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
            trainer = train.Trainer(model, nn.CrossEntropyLoss(), optimizer, metrics=["accuracy"])
            history = histories[f"{name}, {depth} layers"] = trainer.fit(batches, epochs=options.epochs)
            right = trainer.evaluate(DataLoader(splits.test, 256))["accuracy"]
            loss = history[-1]["train_loss"]
            print(f"{name:8} {depth} layers {ratio:20.2f} {loss:15.4f} {right:15.1%}")
    if options.figure:
        draw(options.figure, histories)


if __name__ == "__main__":
    main()
