"""Adversaries on narrow normal distributions, whose modes can be counted: losses that cover them, and a collapse.

For each setting and seed a generator learns the ring of 8 or the grid of 25 modes; then 2,500 samples are counted: a
sample is good within 3 deviations of the nearest mode, a mode is covered by 20 good ones. The doctor watches.

    python examples/modes.py        # SEEDS=5 from FIRST=0 on; SETTINGS="ring": only those with that word in their name
"""

from __future__ import annotations

import os
import time
from typing import Any

import chainrule
from chainrule import generative, nn, optim
from chainrule.metrics.samples import mode_coverage
from chainrule.train import Doctor

SEEDS, FIRST = int(os.environ.get("SEEDS", "5")), int(os.environ.get("FIRST", "0"))
ROUNDS = float(os.environ.get("ROUNDS", "1"))  # times the rounds below, to try it out
WANTED = os.environ.get("SETTINGS", "")

SPECTRAL: dict[str, Any] = {"slope": 20.0, "batch": 256, "noise": 4}
SETTINGS: dict[str, dict[str, Any]] = {
    "ring, spectral normalisation": {**SPECTRAL, "data": generative.ring, "rounds": 3600, "batch": 128, "noise": 2},
    "grid, spectral normalisation": {
        **SPECTRAL, "data": generative.grid, "rounds": 16_000, "packing": 2, "begin": nn.init.kaiming_normal_,
    },
    "grid, gradient penalty": {
        "data": generative.grid, "rounds": 10_000, "batch": 256, "noise": 2, "loss": "wasserstein", "penalty": 1.0,
        "betas": (0.5, 0.9), "steps": 5,
    },
    "ring, large steps": {
        "data": generative.ring, "rounds": 800, "batch": 64, "noise": 2, "rate": 0.02, "betas": (0.9, 0.9),
        "hidden": (64, 64), "average": 0.0,
    },
}  # fmt: skip


def begin(generator: nn.Module, draw: Any) -> None:
    """Larger weights than those of `nn.Linear`, of which three layers are nearly linear in the codes."""
    for layer in generator.modules():
        if isinstance(layer, nn.Linear):
            draw(layer.weight)
            nn.init.zeros_(layer.bias)


def train(seed: int, settings: dict[str, Any]) -> tuple[Any, list[str]]:
    """What was covered, and what the doctor found. The second half of the rounds has falling rates."""
    chainrule.manual_seed(seed)
    hidden, rate, rounds = settings.get("hidden", (128,) * 3), settings.get("rate", 1e-3), settings["rounds"]
    rounds = max(1, round(rounds * ROUNDS))
    generator = generative.dense_generator(settings["noise"], 2, hidden)
    if "begin" in settings:
        begin(generator, settings["begin"])
    discriminator = generative.dense_discriminator(2, hidden, settings.get("slope"), settings.get("packing", 1))
    betas = settings.get("betas", (0.5, 0.999))
    rules = [optim.Adam(network.parameters(), lr=rate, betas=betas) for network in (generator, discriminator)]
    gan = generative.GAN(
        generator, discriminator, rules[0], rules[1], settings["noise"], loss=settings.get("loss", "non_saturating"),
        penalty=settings.get("penalty", 0.0), average=settings.get("average", 0.995),
    )  # fmt: skip

    def after_round(number: int) -> None:
        for rule in rules:
            rule.param_groups[0]["lr"] = rate * max(0.02, min(1.0, 2 - 2 * number / rounds))

    doctor, data = Doctor(quiet=True), settings["data"]()
    gan.fit(data.sample, rounds, settings["batch"], settings.get("steps", 1), after_round=after_round, doctor=doctor)
    found = mode_coverage(gan.sample(2500).numpy(), data.centers.numpy(), data.deviation)
    return found, [finding.condition for finding in doctor.findings]


def main() -> None:
    """A line for each setting and seed."""
    for name, settings in SETTINGS.items():
        for seed in range(FIRST, FIRST + SEEDS) if WANTED in name else ():
            start = time.perf_counter()
            found, findings = train(seed, settings)
            print(
                f"{name}, seed {seed}: {found.modes} of {len(found.counts)} modes, {found.good:.1%} good, "
                f"{time.perf_counter() - start:.0f} s, the doctor: {', '.join(findings) or 'nothing'}",
                flush=True,
            )


if __name__ == "__main__":
    main()
