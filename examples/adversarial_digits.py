"""Fool a network that reads handwritten digits, then train one that is harder to fool.

Two small convolutional networks are trained on MNIST: one as usual, one on adversarial examples. Then both are attacked
by projected gradient descent on the first 1,000 test images, with changes of up to ε per pixel.

In the first half of the epochs a single step makes the examples (fast adversarial training: Wong, Rice and Kolter,
"Fast is better than free", 2020), in the second half four steps that become shorter. A network that learned from single
steps alone hides its gradients, and withstands less than it seems to.

Three more things make it strong: a network that is wide enough, changes while training that are a little larger than
those it shall withstand, and the average of the weights over the last steps in place of the last ones.

    python examples/adversarial_digits.py                # EPOCHS=16 by default; CHAINRULE_DATA says where MNIST is
"""

from __future__ import annotations

import os
import time

import chainrule
from chainrule import Tensor, nn, robust
from chainrule.data.mnist import load_mnist_arrays
from chainrule.nn import functional as F

EPSILON, TRAINED_FOR = 0.3, 0.32
EPOCHS = int(os.environ.get("EPOCHS", "16"))
BATCH, RATE, AVERAGE = 100, 5e-3, 0.999
STEPS = 4  # of the attack in the second half of the epochs; one in the first

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


def changed(model: nn.Module, x: Tensor, y: Tensor, steps: int) -> Tensor:
    """Images to learn from: one step from a random start, or some that become shorter."""
    if steps == 1:
        return robust.random_fgsm(model, x, y, TRAINED_FOR)
    return robust.pgd(model, x, y, TRAINED_FOR, steps=steps, falling=True)


def train(images: Tensor, labels: Tensor, adversarial: bool, epochs: int) -> nn.Module:
    """Train on the images, or on what attacks make of them; the average of the weights."""
    model, averaged = network(), network()
    averaged.load_state_dict(model.state_dict())
    optimizer = chainrule.optim.Adam(model.parameters(), lr=RATE)
    count = len(images) // BATCH
    total, rising = epochs * count, 0.4 * epochs * count
    schedule = chainrule.optim.lr_scheduler.LambdaLR(
        optimizer, lambda i: min((i + 1) / rising, (total - i) / (total - rising))
    )

    @chainrule.compile
    def step(x: Tensor, y: Tensor, steps: int) -> Tensor:
        if adversarial:
            x = changed(model, x, y, steps)
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        with chainrule.no_grad():
            for mean, parameter in zip(averaged.parameters(), model.parameters(), strict=True):
                mean.lerp_(parameter, 1 - AVERAGE)
        return loss

    for epoch in range(epochs):
        started, losses = time.perf_counter(), 0.0
        steps = STEPS if adversarial and epoch >= epochs // 2 else 1
        order = chainrule.randperm(len(images))
        for i in range(count):
            places = order[i * BATCH : (i + 1) * BATCH]
            losses += step(images[places], labels[places], steps).item()
            schedule.step()
        print(f"epoch {epoch + 1}: loss {losses / count:.4f}, {time.perf_counter() - started:.0f} s", flush=True)
    return averaged.eval()


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
