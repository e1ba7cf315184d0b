"""From some classes to others: a network that has learned five classes of CIFAR-10 learns five others from few images.

What to see: whether what is learned for aeroplanes, cars, birds, cats and deer is of use for dogs, frogs, horses, ships
and lorries. A narrow residual network sees 2,000 images of each of the first five and tells 74% of their test images
apart. With 50 images of each new class three ways stand side by side: the network from scratch gets 62.2% of the new
test images right, a new head on the frozen network 64.9%, and a new head with later layers that learn too, at a lower
rate, 69.3%. (One seed each.)

    CHAINRULE_DATA=folder python examples/transfer.py         # the folder has cifar10, or it is downloaded
    python examples/transfer.py --epochs 2 --images 500
"""

from __future__ import annotations

import argparse
import copy
from typing import Any

import chainrule
from chainrule import data, models, nn, optim, train, transfer
from chainrule.data import DataLoader, TensorDataset
from chainrule.data.transforms import Compose, RandomCrop, RandomHorizontalFlip


def half(part: Any, second: bool, per_class: int | None = None) -> TensorDataset:
    """The images of five classes, labels 0 to 4; of each class at most so many."""
    images, labels = part[:]
    chosen = []
    for label in range(5, 10) if second else range(5):
        chosen.append((labels == label).nonzero().flatten()[:per_class])
    rows = chainrule.cat(chosen)
    return TensorDataset(images[rows], labels[rows] % 5)


def fit(model: nn.Module, groups: Any, samples: TensorDataset, epochs: int) -> train.Trainer:
    """Train with shifted and mirrored images."""
    batches = DataLoader(samples, 64, shuffle=True)
    optimizer = optim.AdamW(groups, lr=2e-3)
    schedule = optim.lr_scheduler.warmup_cosine(optimizer, 10, epochs * len(batches))
    moved = Compose([RandomCrop(32, padding=4), RandomHorizontalFlip()])
    trainer = train.Trainer(
        model, nn.CrossEntropyLoss(), optimizer, metrics=["accuracy"], schedule=schedule, transform=moved
    )
    trainer.fit(batches, epochs=epochs)
    return trainer


def main() -> None:
    """Learn the first half, then the second from few images in three ways."""
    parser = argparse.ArgumentParser(description="Transfer between the halves of CIFAR-10.")
    parser.add_argument("--epochs", type=int, default=5, help="on the first half")
    parser.add_argument("--images", type=int, default=2000, help="of each class of the first half")
    parser.add_argument("--few", type=int, default=50, help="images of each new class")
    options = parser.parse_args()

    splits = data.load("cifar10")
    test = DataLoader(half(splits.test, True), 256)
    chainrule.manual_seed(0)
    # Half as wide as usual: some minutes on two cores.
    old = models.resnet10(num_classes=5, width=16)
    trainer = fit(old, old.parameters(), half(splits.train, False, options.images), options.epochs)
    known = trainer.evaluate(DataLoader(half(splits.test, False), 256))["accuracy"]
    print(f"five old classes: {known:.1%} of the test images")
    few = half(splits.train, True, options.few)
    for name in ("from scratch", "new head, the rest frozen", "new head, later layers slowly"):
        chainrule.manual_seed(1)
        model = models.resnet10(num_classes=5, width=16) if name == "from scratch" else copy.deepcopy(old)
        groups: Any = model.parameters()
        if name != "from scratch":
            head = transfer.replace_head(model, 5)
            transfer.freeze(model)
            transfer.unfreeze(model, names="fc")
            groups = [{"params": list(head.parameters())}]
        if name == "new head, later layers slowly":
            transfer.unfreeze(model, names="layer4")
            groups.append({"params": list(model.layer4.parameters()), "lr": 2e-4})
        accuracy = fit(model, groups, few, 40).evaluate(test)["accuracy"]
        print(f"{name:32} {accuracy:.1%} with {options.few} images of each new class")


if __name__ == "__main__":
    main()
