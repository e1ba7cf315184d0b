"""Training steps of generative models, and of adversarial training: `python -m benchmarks.generative_steps`.

Images of MNIST's size, float32, Adam; networks as `chainrule train` has them. Ours is compiled; PyTorch's side
(`benchmarks/generative_torch.py`) is the usual script: eager, with channels last, and by `torch.compile` (which has no
second derivatives, so none for WGAN-GP). All begin with the same weights, and their first losses must agree but for
what they draw. Each competitor is in a process of its own; they take turns. `--only WORD,WORD` measures the
rows that contain one, `--json FILE` keeps the figures, `--profile NAME` says where our time goes instead.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.measure import Apart, chosen, print_rows, row_options, same_loss, serve_many

#: Images in a batch; WGAN-GP divides its batch among five steps.
BATCHES = {"vae": 100, "dcgan": 64, "wgan_gp": 320, "realnvp": 32, "ddpm": 32, "pixelcnn": 16, "pgd": 100}
RATE = 1e-3


def images(name: str) -> np.ndarray:
    """Half of the pixels are 0; the others are uniform."""
    random = np.random.default_rng(0)
    shape = (BATCHES[name], 1, 28, 28)
    pixels = np.where(random.random(shape) < 0.5, 0, random.integers(0, 256, shape)) / 255
    return pixels.astype(np.float32)


def likelihoods(name: str) -> tuple[Any, Callable[[Any], Any]]:
    """Our model and its loss for a batch."""
    import chainrule
    from chainrule import generative, robust
    from chainrule.generative.makers import entries
    from chainrule.nn import functional as F
    from examples.adversarial_digits import network

    if name == "vae":
        vae = generative.dense_vae((1, 28, 28))
        return vae, lambda x: -vae.elbo(chainrule.bernoulli(x)).total.mean()
    if name == "ddpm":
        diffusion = generative.image_diffusion((1, 28, 28))
        return diffusion, lambda x: diffusion(2 * x - 1).mean()
    if name == "pgd":
        classifier, labels = network(), chainrule.arange(BATCHES[name]) % 10

        def attacked(x: Any) -> Any:
            return F.cross_entropy(classifier(robust.pgd(classifier, x, labels, 0.3, steps=7, step_size=0.1)), labels)

        return classifier, attacked
    maker = {"realnvp": entries.realnvp, "pixelcnn": entries.pixelcnn}[name]()
    return maker, lambda x: maker(x).mean()


def ours(name: str) -> tuple[list[Any], Any, tuple[Any, ...]]:
    """The parameters, a compiled step, and what it takes; what it answers begins with the loss."""
    import chainrule
    from chainrule import optim
    from chainrule.generative import GAN
    from chainrule.generative.convolutional import dcgan_discriminator, dcgan_generator

    chainrule.manual_seed(0)
    x = chainrule.tensor(images(name))
    if name in ("dcgan", "wgan_gp"):
        penalised = name == "wgan_gp"
        G = dcgan_generator(64, (1, 28, 28))
        D = dcgan_discriminator((1, 28, 28), normalisation="none" if penalised else "batch")
        rules = [optim.Adam(network.parameters(), lr=RATE, betas=(0.5, 0.999)) for network in (G, D)]
        kind: dict[str, Any] = {"loss": "wasserstein", "penalty": 10.0} if penalised else {}
        gan = GAN(G, D, *rules, noise=64, **kind)
        real = (2 * x - 1).reshape(5 if penalised else 1, -1, 1, 28, 28)
        return [*G.parameters(), *D.parameters()], gan._compiled, (real, None)
    model, loss_of = likelihoods(name)
    optimizer = optim.Adam(model.parameters(), lr=RATE)

    @chainrule.compile
    def step(x: Any) -> Any:
        optimizer.zero_grad()
        loss = loss_of(x)
        loss.backward()
        optimizer.step()
        return loss

    return list(model.parameters()), step, (x,)


def theirs(name: str, kind: str) -> Callable[[], Any]:
    """PyTorch's step, "eager", "channels last" or "compiled", with our weights."""
    import torch

    from benchmarks import generative_torch

    torch.set_num_threads(2)
    torch.manual_seed(0)
    modules, step = getattr(generative_torch, name)(torch.compile if kind == "compiled" else lambda f: f)
    parameters = [p for module in modules for p in module.parameters()]
    for mine, other in zip(ours(name)[0], parameters, strict=True):
        other.data.copy_(torch.tensor(mine.detach().numpy()))
    x = torch.tensor(images(name))
    if kind == "channels last":
        x = x.to(memory_format=torch.channels_last)
        for module in modules:
            module.to(memory_format=torch.channels_last)
    return lambda: step(x)


def made(side: str, name: str) -> Callable[[], float]:
    """A step that ends when all is computed, with its loss."""
    if side == "chainrule":
        _, step, arguments = ours(name)
        return lambda: step(*arguments).reshape(-1)[0].item()
    run = theirs(name, side)
    return lambda: run().item()


SIDES = ("chainrule", "eager", "channels last", "compiled")


def agree(name: str) -> None:
    """Both sides' first losses, from the same weights; what differs is what they draw. Raises where they do not."""
    same_loss(name, made(SIDES[0], name)(), made(SIDES[1], name)(), 0.05)


def main() -> None:
    """Measure, and print a row for each step."""
    parser = row_options(__doc__, SIDES)
    parser.add_argument("--profile", choices=BATCHES, help="where our time goes")
    options = parser.parse_args()
    if options.side:
        serve_many(lambda name: made(options.side, name))
        return
    if options.profile:
        _, step, arguments = ours(options.profile)
        print(step.profile(*arguments))
        return
    rows = {}
    for name in chosen(BATCHES, options.only):
        agree(name)
        rows[name] = [side for side in SIDES if (name, side) != ("wgan_gp", "compiled")]
    competitors = {side: Apart("benchmarks.generative_steps", "--side", side) for side in SIDES}
    print_rows(competitors, rows, options.rounds, options.json)


if __name__ == "__main__":
    main()
