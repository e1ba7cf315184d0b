"""Three normalising flows on two moons: what a density takes more than the entropy, and what it looks like.

The points' density is known, and so is their entropy: no model takes fewer nats for a point on average. What a flow
takes more is its divergence from the truth, KL(p ‖ model).

1. Planar parts bend the plane along lines; a few of them cannot tear one hill into two moons.
2. Affine couplings (RealNVP) come closer, splines closest: each number passes through a curve of eight pieces.
3. A flow is continuous with a continuous inverse, and the normal density is one piece: a thin bridge between the moons
   is left.

    python examples/two_moons.py
    python examples/two_moons.py --steps 1500 --figure two_moons.png
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import chainrule
from chainrule import optim
from chainrule.generative import TwoMoons, flows


def fit(flow: flows.Flow, moons: TwoMoons, steps: int, batch: int = 256) -> flows.Flow:
    """The flow, trained by maximum likelihood; every step sees new points."""
    optimizer = optim.Adam(flow.parameters(), lr=5e-3)
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)

    @chainrule.compile
    def step(x: Any) -> Any:
        optimizer.zero_grad()
        loss = -flow.log_prob(x).mean()
        loss.backward()
        optimizer.step()
        return loss

    for _ in range(steps):
        step(moons.sample(batch))
        schedule.step()
    return flow


def draw(path: str, densities: dict[str, Callable[[Any], Any]], samples: dict[str, Any]) -> None:
    """A density above, samples below, for each name."""
    from matplotlib.figure import Figure

    across, up = chainrule.linspace(-1.6, 2.6, 211), chainrule.linspace(-1.1, 1.6, 136)
    grid = chainrule.cartesian_prod(up, across).flip(1)
    figure = Figure(figsize=(3 * len(densities), 4.2), dpi=110, layout="constrained")
    for (above, below), name in zip(figure.subplots(2, len(densities)).T, densities, strict=True):
        density = densities[name](grid).exp().reshape(len(up), len(across))
        above.imshow(density.numpy(), extent=(-1.6, 2.6, -1.1, 1.6), origin="lower", vmin=0, vmax=0.75)
        below.scatter(*samples[name].T.numpy(), s=1, alpha=0.5)
        below.set(xlim=(-1.6, 2.6), ylim=(-1.1, 1.6), aspect="equal")
        above.set_title(name, fontsize=9)
    figure.savefig(path)


def main() -> None:
    """Train the three, print what they take, draw them."""
    parser = argparse.ArgumentParser(description="Normalising flows on two moons.")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--noise", type=float, default=0.1)
    parser.add_argument("--figure", help="where to draw")
    options = parser.parse_args()

    moons = TwoMoons(options.noise)
    entropy = moons.entropy()
    print(f"the points' entropy: {entropy:.3f} nats")
    makers: dict[str, Callable[[], flows.Flow]] = {
        "planar": lambda: flows.planar_flow(2, layers=16),
        "RealNVP": lambda: flows.realnvp(2, layers=8),
        "spline": lambda: flows.spline_flow(2),
    }
    densities: dict[str, Callable[[Any], Any]] = {"the truth": moons.log_prob}
    samples = {"the truth": moons.sample(2000)}
    test = moons.sample(20000)
    for name, make in makers.items():
        chainrule.manual_seed(0)
        flow = fit(make(), moons, options.steps)
        with chainrule.no_grad():
            taken = -flow.log_prob(test).mean().item()
        print(f"{name:8} {taken:.3f} nats for a point, {taken - entropy:+.3f}")
        densities[name] = chainrule.no_grad()(flow.log_prob)
        samples[name] = flow.sample(2000)
    if options.figure:
        draw(options.figure, densities, samples)


if __name__ == "__main__":
    main()
