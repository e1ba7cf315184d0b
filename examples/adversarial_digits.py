"""Fool a network that reads handwritten digits, then train one that is harder to fool.

Two small convolutional networks are trained on MNIST: one as usual, one on adversarial examples that a single step
makes (fast adversarial training: Wong, Rice and Kolter, "Fast is better than free", 2020). Then both are attacked by
projected gradient descent on the first 1,000 test images, with changes of up to ε per pixel.

    python examples/adversarial_digits.py                # EPOCHS=5 by default; CHAINRULE_DATA says where MNIST is
"""

from __future__ import annotations

import os
import time

import chainrule
from chainrule import nn, robust
from chainrule.data.mnist import load_mnist_arrays
from chainrule.nn import functional as F

EPSILON = 0.3
EPOCHS = int(os.environ.get("EPOCHS", "5"))
BATCH = 128


def network() -> nn.Module:
    """Two convolutions with strides, wide enough to learn against an attack."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 4, stride=2, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 4, stride=2, padding=1), nn.ReLU(),
        nn.Flatten(), nn.Linear(32 * 7 * 7, 100), nn.ReLU(), nn.Linear(100, 10),
    )  # fmt: skip


def train(images: chainrule.Tensor, labels: chainrule.Tensor, adversarial: bool) -> nn.Module:
    """Train on the images, or on what one step of PGD from a random start makes of them."""
    model = network()
    optimizer = chainrule.optim.Adam(model.parameters(), lr=5e-3)
    steps = EPOCHS * (len(images) // BATCH)
    schedule = chainrule.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=5e-3, total_steps=steps)

    @chainrule.compile
    def step(x: chainrule.Tensor, y: chainrule.Tensor) -> chainrule.Tensor:
        if adversarial:
            x = robust.pgd(model, x, y, EPSILON, steps=1, step_size=1.25 * EPSILON)
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    for epoch in range(EPOCHS):
        started, total = time.perf_counter(), 0.0
        order = chainrule.randperm(len(images))
        for i in range(len(images) // BATCH):
            places = order[i * BATCH : (i + 1) * BATCH]
            total += step(images[places], labels[places]).item()
            schedule.step()
        print(f"epoch {epoch + 1}: loss {total / (i + 1):.4f}, {time.perf_counter() - started:.0f} s", flush=True)
    return model.eval()


def main() -> None:
    """Train both, attack both."""
    chainrule.manual_seed(0)
    (images, labels), (test_images, test_labels) = (
        (chainrule.tensor(x).float().reshape(-1, 1, 28, 28) / 255, chainrule.tensor(y).long())
        for x, y in (load_mnist_arrays(train=True), load_mnist_arrays(train=False))
    )
    for adversarial in (False, True):
        print("adversarial training" if adversarial else "usual training")
        model = train(images, labels, adversarial)
        with chainrule.no_grad():
            clean = (model(test_images).argmax(1) == test_labels).float().mean().item()
        few, wanted = test_images[:1000], test_labels[:1000]
        curve = robust.accuracy_under_attack(model, few, wanted, [0.1, 0.2, 0.3, 0.5], steps=40, step_size=0.01)
        hard = robust.accuracy_under_attack(model, few, wanted, [0.3], steps=50, step_size=0.01, restarts=10)
        print(
            f"clean {clean:.2%}; PGD-40 at ε = 0.1, 0.2, 0.3, 0.5: {curve}; PGD-50 with 10 restarts at 0.3: {hard[0]}"
        )


if __name__ == "__main__":
    main()
