"""Fool a network that reads handwritten digits, then train one that is harder to fool.

Two small convolutional networks are trained on MNIST: one as usual, one on adversarial examples that a single step
makes (fast adversarial training: Wong, Rice and Kolter, "Fast is better than free", 2020). Then both are attacked by
projected gradient descent on the first 1,000 test images, with changes of up to ε per pixel.

Three things make the second one strong: a network that is wide enough, changes while training that are a little larger
than those it shall withstand, and the average of the weights over the last steps in place of the last ones.

    python examples/adversarial_digits.py                # EPOCHS=20 by default; CHAINRULE_DATA says where MNIST is
"""

from __future__ import annotations

import os
import time

import chainrule
from chainrule import Tensor, nn, robust
from chainrule.data.mnist import load_mnist_arrays
from chainrule.nn import functional as F

EPSILON, TRAINED_FOR = 0.3, 0.32
EPOCHS = int(os.environ.get("EPOCHS", "20"))
BATCH, RATE, AVERAGE = 100, 5e-3, 0.999
HELD_OUT, LOOKS = 500, 5  # images by which the best of the last epochs is chosen

attack_step = chainrule.compile(robust.pgd_step)


def network() -> nn.Module:
    """Two convolutions with strides, wide enough to learn against an attack."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 4, stride=2, padding=1), nn.ReLU(), nn.Conv2d(32, 64, 4, stride=2, padding=1), nn.ReLU(),
        nn.Flatten(), nn.Linear(64 * 7 * 7, 200), nn.ReLU(), nn.Linear(200, 10),
    )  # fmt: skip


def attacked(model: nn.Module, x: Tensor, y: Tensor, epsilon: float, steps: int = 40, restarts: int = 1) -> float:
    """The accuracy that PGD leaves, with steps of 0.01."""
    (found,) = robust.accuracy_under_attack(
        model, x, y, [epsilon], steps=steps, step_size=0.01, restarts=restarts, step=attack_step
    )
    return found


def train(images: Tensor, labels: Tensor, adversarial: bool, epochs: int) -> nn.Module:
    """Train on the images, or on what one step from a random start makes of them; the epoch that withstands most."""
    (held, held_labels), images, labels = (images[:HELD_OUT], labels[:HELD_OUT]), images[HELD_OUT:], labels[HELD_OUT:]
    model, averaged = network(), network()
    averaged.load_state_dict(model.state_dict())
    optimizer = chainrule.optim.Adam(model.parameters(), lr=RATE)
    steps = epochs * (len(images) // BATCH)
    rising = 0.4 * steps
    schedule = chainrule.optim.lr_scheduler.LambdaLR(
        optimizer, lambda i: min((i + 1) / rising, (steps - i) / (steps - rising))
    )

    @chainrule.compile
    def step(x: Tensor, y: Tensor) -> Tensor:
        if adversarial:
            x = robust.random_fgsm(model, x, y, TRAINED_FOR)
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        with chainrule.no_grad():
            for mean, parameter in zip(averaged.parameters(), model.parameters(), strict=True):
                mean.lerp_(parameter, 1 - AVERAGE)
        return loss

    best, weights = -1.0, dict(model.state_dict())
    for epoch in range(epochs):
        started, total = time.perf_counter(), 0.0
        order = chainrule.randperm(len(images))
        for i in range(len(images) // BATCH):
            places = order[i * BATCH : (i + 1) * BATCH]
            total += step(images[places], labels[places]).item()
            schedule.step()
        look = adversarial and epoch >= epochs - LOOKS  # a weak attack would choose too early an epoch
        left = attacked(averaged, held, held_labels, EPSILON, steps=50, restarts=4) if look else 0.0
        if left >= best:
            best, weights = left, {name: value.clone() for name, value in averaged.state_dict().items()}
        kept = f"PGD leaves {left:.1%}, " if look else ""
        print(f"epoch {epoch + 1}: loss {total / (i + 1):.4f}, {kept}{time.perf_counter() - started:.0f} s", flush=True)
    model.load_state_dict(weights)
    return model.eval()


def main() -> None:
    """Train both, attack both."""
    chainrule.manual_seed(0)
    (images, labels), (test_images, test_labels) = (
        (chainrule.tensor(x).float().reshape(-1, 1, 28, 28) / 255, chainrule.tensor(y).long())
        for x, y in (load_mnist_arrays(train=True), load_mnist_arrays(train=False))
    )
    for adversarial in (True, False):
        print("adversarial training" if adversarial else "usual training", flush=True)
        started = time.perf_counter()
        model = train(images, labels, adversarial, EPOCHS if adversarial else max(1, EPOCHS // 4))
        seconds = time.perf_counter() - started
        with chainrule.no_grad():
            clean = (model(test_images).argmax(1) == test_labels).float().mean().item()
        few, wanted = test_images[:1000], test_labels[:1000]
        print(f"trained in {seconds:.0f} s, clean accuracy {clean:.2%}", flush=True)
        for epsilon in (0.1, 0.2, 0.3, 0.5):
            print(f"PGD-40, epsilon {epsilon}: {attacked(model, few, wanted, epsilon):.1%}", flush=True)
        if adversarial:  # of the other nothing is left before
            hard = attacked(model, few, wanted, EPSILON, steps=50, restarts=10)
            print(f"PGD-50 with 10 restarts, epsilon {EPSILON}: {hard:.1%}", flush=True)


if __name__ == "__main__":
    main()
