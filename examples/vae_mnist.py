"""A variational autoencoder on black and white digits, with a likelihood that can be compared with papers.

MNIST's pixels are drawn once as black or white, each white with its grey value as probability (seed 0; the test images
too). A dense VAE, 784-200-200-50 and back, is trained on the evidence lower bound. Then the bound is measured on the
test images, and the tighter importance-weighted one with 5,000 codes for each image.

    python examples/vae_mnist.py   # EPOCHS=100 (the docs: 300), IMAGES=10000 of the tight bound; FIGURE=a.png draws
"""

from __future__ import annotations

import math
import os
import time

import chainrule
from chainrule import Tensor, generative, optim
from chainrule.data.mnist import load_mnist_arrays
from chainrule.generative import VAE

EPOCHS = int(os.environ.get("EPOCHS", "100"))
IMAGES = int(os.environ.get("IMAGES", "10000"))
FIGURE = os.environ.get("FIGURE", "")
BATCH, RATE, CODES = 100, 1e-3, 5000


def binary(train: bool) -> Tensor:
    """Images (N, 28, 28) of 0 and 1, the same in every run."""
    chainrule.manual_seed(0 if train else 1)
    return chainrule.bernoulli(chainrule.tensor(load_mnist_arrays(train=train)[0]).float() / 255)


def train(model: VAE, images: Tensor) -> None:
    """With a rate that falls along half a cosine."""
    optimizer = optim.Adam(model.parameters(), lr=RATE)

    @chainrule.compile
    def step(x: Tensor) -> Tensor:
        optimizer.zero_grad()
        bound = model.elbo(x)
        (-bound.total.mean()).backward()
        optimizer.step()
        return chainrule.stack([bound.reconstruction.mean(), bound.divergence.mean()]).detach()

    steps = len(images) // BATCH
    for epoch in range(EPOCHS):
        start, sums = time.perf_counter(), chainrule.zeros(2)
        order = chainrule.randperm(len(images))
        for i in range(steps):
            share = (epoch + i / steps) / EPOCHS
            optimizer.param_groups[0]["lr"] = RATE * 0.5 * (1 + math.cos(math.pi * share))
            sums += step(images[order[i * BATCH : (i + 1) * BATCH]])
        fit, divergence = (sums / steps).tolist()
        seconds = time.perf_counter() - start
        print(f"epoch {epoch + 1}: {fit - divergence:.2f} = {fit:.2f} - {divergence:.2f}, {seconds:.1f} s", flush=True)


def main() -> None:
    """Train, then measure."""
    images, test = binary(True), binary(False)
    chainrule.manual_seed(2)
    model = generative.dense_vae((28, 28), hidden=(200, 200), code=50)
    start = time.perf_counter()
    train(model, images)
    print(f"trained in {time.perf_counter() - start:.0f} s")
    with chainrule.no_grad():
        bounds = [model.elbo(test[i : i + 1000], samples=10).total.mean().item() for i in range(0, len(test), 1000)]
        print(f"test: ELBO {sum(bounds) / len(bounds):.2f} nats", flush=True)
        tight, total = chainrule.compile(lambda x: model.importance_bound(x, CODES // 10, chunk=CODES // 10)), 0.0
        for i in range(0, IMAGES, 20):
            parts = [tight(test[i : i + 20]) for _ in range(10)]
            total += (chainrule.stack(parts).logsumexp(0) - math.log(10)).sum().item()
            if (i + 20) % 500 == 0:
                print(f"{i + 20} images: {total / (i + 20):.2f} nats with {CODES} codes", flush=True)
    if FIGURE:
        draw(model, test)


def draw(model: VAE, test: Tensor) -> None:
    """Images, their reconstructions, samples, and a way from one image to another."""
    from chainrule.vision.utils import save_image

    with chainrule.no_grad():
        rows = [
            test[:10],
            model(test[:10]),
            model.sample(10),
            model.sample(10),
            model.interpolate(test[0], test[1], 10),
        ]
    save_image(chainrule.cat(rows).unsqueeze(1), FIGURE, nrow=10, pad_value=0.5)


if __name__ == "__main__":
    main()
