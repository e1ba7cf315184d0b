"""Three labels for each digit: how much does an autoencoder on the unlabelled digits help the classifier?

1,258 digits of 8×8 pixels, of which only thirty have labels. Without pre-training a small network learns from the thirty
alone. With it, the network's first layers have learned before to reconstruct all 1,258, noise taken out. Accuracy is on
359 digits that neither has seen. Everything is done for several seeds, which choose the split, the labels and the
initial weights; one seed alone says little with so few labels.

    python examples/few_labels.py
    python examples/few_labels.py --seeds 10 --labels 5
"""

from __future__ import annotations

import argparse
import statistics

import chainrule
from chainrule import data, nn, transfer

CODE = 64  # numbers that the encoder makes of an image


def make_encoder() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, CODE), nn.ReLU())


def make_decoder() -> nn.Module:
    return nn.Sequential(nn.Linear(CODE, 128), nn.ReLU(), nn.Linear(128, 64), nn.Unflatten(1, (1, 8, 8)))


def choose(labels: chainrule.Tensor, per_class: int) -> chainrule.Tensor:
    """Indices of so many random samples of each class."""
    order = chainrule.randperm(len(labels))
    shuffled = labels[order]
    return chainrule.cat([order[shuffled == digit][:per_class] for digit in range(10)])


def accuracy(model: nn.Module, images: chainrule.Tensor, labels: chainrule.Tensor) -> float:
    with chainrule.no_grad():
        return (model(images).argmax(1) == labels).float().mean().item()


def compare(seed: int, per_class: int, epochs: int) -> tuple[float, float]:
    """Test accuracies without and with pre-training."""
    chainrule.manual_seed(seed)
    splits = data.digits(size=8, seed=seed)
    images, labels = splits.train[:]
    few = choose(labels, per_class)
    test = splits.test[:]

    plain, _ = transfer.classify(
        make_encoder(), images[few], labels[few], 10, epochs=epochs, batch_size=32, lr=2e-3, encoder_rate=1.0
    )
    pretrained = transfer.pretrain_then_classify(
        make_encoder(), make_decoder(), images, images[few], labels[few], 10,
        pretrain_epochs=epochs, epochs=epochs, batch_size=32, lr=2e-3, noise=1.0, encoder_rate=0.3,
    )  # fmt: skip
    return accuracy(plain, *test), accuracy(pretrained.model, *test)


def main() -> None:
    parser = argparse.ArgumentParser(description="Few labels, with and without pre-training.")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--labels", type=int, default=3, help="labels for each digit")
    parser.add_argument("--epochs", type=int, default=60, help="of each step")
    options = parser.parse_args()

    print("seed   without      with   pre-training")
    rows = []
    for seed in range(options.seeds):
        rows.append(compare(seed, options.labels, options.epochs))
        print(f"{seed:4d}   {rows[-1][0]:7.1%}   {rows[-1][1]:7.1%}", flush=True)
    means = [statistics.mean(column) for column in zip(*rows, strict=True)]
    gains = [after - before for before, after in rows]
    print(f"mean   {means[0]:7.1%}   {means[1]:7.1%}")
    print(
        f"{sum(gain > 0 for gain in gains)} of {len(gains)} seeds gain; the mean gain is {statistics.mean(gains):+.1%}."
    )


if __name__ == "__main__":
    main()
