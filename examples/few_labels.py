"""How much an autoencoder on all digits helps a classifier that has labels for few of them.

1,258 digits of 8×8 pixels, of which only some have labels. Without pre-training a small network learns from these
alone. With it, the network's first layers have learned before to reconstruct all 1,258, noise taken out. Accuracy is on
359 digits that neither has seen. A seed chooses the split, the labels and the initial weights; one alone says little
with so few labels, so there are several.

    python examples/few_labels.py
    python examples/few_labels.py --seeds 3 --labels 1 10 --figure few_labels.png
"""

from __future__ import annotations

import argparse
import copy
import statistics

import chainrule
from chainrule import data, nn, transfer

CODE = 64  # numbers that the encoder makes of an image
STEPS = 600  # of the classifier, however many labels there are


def make_encoder() -> nn.Module:
    """Two layers, from an image to its code."""
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, CODE), nn.ReLU())


def make_decoder() -> nn.Module:
    """Two layers, from a code to an image."""
    return nn.Sequential(nn.Linear(CODE, 128), nn.ReLU(), nn.Linear(128, 64), nn.Unflatten(1, (1, 8, 8)))


def choose(labels: chainrule.Tensor, per_class: int) -> chainrule.Tensor:
    """Indices of so many random samples of each class."""
    order = chainrule.randperm(len(labels))
    shuffled = labels[order]
    return chainrule.cat([order[shuffled == digit][:per_class] for digit in range(10)])


def accuracy(model: nn.Module, images: chainrule.Tensor, labels: chainrule.Tensor) -> float:
    """The share of images whose label is found."""
    with chainrule.no_grad():
        return (model(images).argmax(1) == labels).float().mean().item()


def compare(seed: int, numbers: list[int], epochs: int) -> list[tuple[float, float]]:
    """For each number of labels per digit the test accuracies without and with pre-training."""
    chainrule.manual_seed(seed)
    splits = data.digits(size=8, seed=seed)
    images, labels = splits.train[:]
    test = splits.test[:]

    fresh, pretrained = make_encoder(), make_encoder()
    transfer.pretrain(pretrained, make_decoder(), images, epochs=epochs, batch_size=32, lr=2e-3, noise=1.0)
    results = []
    for per_class in numbers:
        few = choose(labels, per_class)
        rounds = STEPS // -(-len(few) // 32)
        row = []
        for encoder, rate in ((fresh, 1.0), (pretrained, 0.3)):
            model, _ = transfer.classify(
                copy.deepcopy(encoder), images[few], labels[few], 10,
                epochs=rounds, batch_size=32, lr=2e-3, encoder_rate=rate,
            )  # fmt: skip
            row.append(accuracy(model, *test))
        results.append((row[0], row[1]))
    return results


def draw(path: str, numbers: list[int], rows: list[list[tuple[float, float]]]) -> None:
    """Accuracy against the number of labels: a dot for each seed, a line through the means."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    for which, (name, colour) in enumerate((("labels alone", "#b04030"), ("pre-trained on all images", "#2060a0"))):
        columns = [[100 * row[i][which] for row in rows] for i in range(len(numbers))]
        axes.plot(numbers, [statistics.mean(column) for column in columns], color=colour, label=name)
        for number, column in zip(numbers, columns, strict=True):
            axes.plot([number] * len(column), column, "o", color=colour, markersize=3, alpha=0.6)
    axes.set(xscale="log", xlabel="labels for each digit", ylabel="accuracy on the test split (%)")
    axes.set_xticks(numbers, [str(number) for number in numbers], minor=False)
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    figure.savefig(path)


def main() -> None:
    """Print a table, and draw it if wished."""
    parser = argparse.ArgumentParser(description="Few labels, with and without pre-training.")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--labels", type=int, nargs="+", default=[1, 3, 10, 30, 100], help="labels for each digit")
    parser.add_argument("--epochs", type=int, default=60, help="of the autoencoder")
    parser.add_argument("--figure", help="where to draw the accuracies")
    options = parser.parse_args()

    rows = [compare(seed, options.labels, options.epochs) for seed in range(options.seeds)]
    print("| labels for each digit | without | with pre-training | gain | seeds that gain |")
    print("| ---: | ---: | ---: | ---: | ---: |")
    for i, number in enumerate(options.labels):
        without, with_it = ([row[i][which] for row in rows] for which in (0, 1))
        gains = [after - before for before, after in zip(without, with_it, strict=True)]
        means = " | ".join(f"{statistics.mean(column):.1%}" for column in (without, with_it))
        better = sum(gain > 0 for gain in gains)
        print(f"| {number} | {means} | {statistics.mean(gains):+.1%} | {better} of {len(gains)} |")
    if options.figure:
        draw(options.figure, options.labels, rows)


if __name__ == "__main__":
    main()
