"""The figures of docs/regularisation.md, and its numbers: `python -m docs.make.regularisation`."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import chainrule
from chainrule import models, nn, optim
from chainrule.data import DataLoader, digits
from chainrule.nn import penalty
from chainrule.train import EarlyStopping

FIGURES = Path(__file__).parents[1] / "figures"
F = nn.functional


# ------------------------------------------------------------------------------------- sparse and small


def paths(strengths: Any) -> dict[str, np.ndarray]:
    """The weights of lasso and ridge by strength, (strengths, 10), where only three of ten inputs matter."""
    generator = chainrule.Generator(1)
    X = chainrule.randn(60, 10, generator=generator) + chainrule.randn(60, 1, generator=generator)
    truth = chainrule.tensor([2.0, -1.5, 1.0, 0, 0, 0, 0, 0, 0, 0])
    Y = X @ truth + chainrule.randn(60, generator=generator)
    found: dict[str, list[Any]] = {"L1 (lasso)": [], "L2 (ridge)": []}
    for strength in strengths:
        found["L1 (lasso)"].append(models.lasso(X, Y, strength).weight[0].tolist())
        found["L2 (ridge)"].append(models.ridge(X, Y, strength * 60).weight[0].tolist())
    return {name: np.array(rows) for name, rows in found.items()}


def first_weights() -> dict[str, np.ndarray]:
    """The weights of the first layer of a small network after 60 epochs on the digits, under each penalty."""
    data = digits(size=8)
    found = {}
    for name, term in {
        "no penalty": None,
        "L2, λ = 0.01": penalty.L2Penalty(1e-2),
        "L1, λ = 0.001": penalty.L1Penalty(1e-3),
    }.items():
        chainrule.manual_seed(0)
        model = models.MLP([64, 32, 10])
        optimizer = optim.Adam(model.parameters(), lr=3e-3)
        for epoch in range(60):
            for group in optimizer.param_groups:  # to the end smaller steps, so that zeros are quiet
                group["lr"] = 3e-3 * (1 - epoch / 60)
            for x, labels in DataLoader(data.train, batch_size=128, shuffle=True):
                optimizer.zero_grad()
                loss = F.cross_entropy(model(x), labels)
                (loss if term is None else loss + term(model)).backward()
                optimizer.step()
        layer: Any = model.layers[1]
        found[name] = np.abs(layer.weight.detach().numpy()).reshape(-1)
    return found


def draw_penalties() -> None:
    """docs/figures/penalties.png: paths of lasso and ridge, the shapes of the penalties, and weights of a network."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 8), dpi=100, layout="constrained")
    (left, right), (shapes, weights) = figure.subplots(2, 2)
    strengths = np.geomspace(0.005, 5, 40)
    for axes, (name, rows) in zip((left, right), paths(strengths.tolist()).items(), strict=True):
        for j in range(rows.shape[1]):
            axes.plot(strengths, rows[:, j], color=f"C{j}" if j < 3 else "0.6", linewidth=2 if j < 3 else 1)
        axes.set(title=f"{name}: ten weights, of which three matter", xlabel="strength λ", xscale="log", ylim=(-2, 2.5))
        axes.grid(alpha=0.3)
    _draw_shapes(shapes)
    for i, (name, sizes) in enumerate(first_weights().items()):
        weights.plot(np.sort(sizes), np.arange(1, sizes.size + 1) / sizes.size, label=name, color=f"C{i}", lw=2)
        share = (sizes < 1e-3).mean()
        print(f"| {name} | {share:.0%} | {np.median(sizes):.2g} | {sizes.max():.2g} |")
    weights.set(title="First layer of a network on the digits", xlabel="x", ylabel="share of weights with |w| < x")
    weights.set(xscale="log", xlim=(1e-4, 1), ylim=(0, 1))
    weights.legend()
    weights.grid(alpha=0.3)
    figure.savefig(FIGURES / "penalties.png")


def _draw_shapes(axes: Any) -> None:
    """Where the ellipses of a loss first touch the sets on which a penalty is constant."""
    a, b = np.meshgrid(np.linspace(-1.5, 3.5, 501), np.linspace(-1.5, 3.5, 501))
    loss = (a - 0.9) ** 2 + 2 * (b - 1.9) ** 2 + 0.7 * (a - 0.9) * (b - 1.9)
    for name, size, colour in (("|w₁| + |w₂|", np.abs(a) + np.abs(b), "C3"), ("w₁² + w₂²", np.hypot(a, b), "C0")):
        inside = np.where(size <= 1 + 1e-9, loss, np.inf)
        best = np.unravel_index(inside.argmin(), loss.shape)
        axes.contour(a, b, loss, levels=[loss[best]], colors=colour, linewidths=1, linestyles=":")
        axes.contour(a, b, size, levels=[1.0], colors=colour, linewidths=2)
        axes.plot(a[best], b[best], "o", color=colour, label=f"least loss with {name} ≤ 1")
    axes.plot(0.9, 1.9, "k+", label="least loss")
    axes.set(title="Corners make zeros", xlabel="w₁", ylabel="w₂", aspect="equal", xlim=(-3.2, 5), ylim=(-3, 3.4))
    axes.axhline(0, color="0.5", lw=0.5)
    axes.axvline(0, color="0.5", lw=0.5)
    axes.legend(loc="lower right")


# ------------------------------------------------------------------------------ coupled and decoupled decay

DECAY, SCALES = 0.3, (1.0, 0.01)


def decayed(rule: str, coupled: bool, steps: int = 4000) -> np.ndarray:
    """θ by step, (steps, 2): both coordinates want to be 1, but one has gradients a hundred times smaller.

    The gradient is s·(θ − 1 + noise) with s from SCALES; λ is DECAY, in the loss if coupled, else in the update.
    """
    generator = chainrule.Generator(0)
    scale = chainrule.tensor(SCALES, dtype=chainrule.float64)
    theta = nn.Parameter(chainrule.zeros(2, dtype=chainrule.float64))
    lr = 0.01
    optimizer: Any = {"SGD": optim.SGD, "Adam": optim.Adam}[rule]([theta], lr=lr)

    @chainrule.compile
    def step() -> None:
        optimizer.zero_grad()
        target = 1 + chainrule.randn(1, dtype=chainrule.float64, generator=generator)
        loss = (0.5 * scale * (theta - target) ** 2).sum()
        if coupled:
            loss = loss + penalty.l2_penalty(theta, DECAY)
        loss.backward()
        if not coupled:
            with chainrule.no_grad():
                theta.mul_(1 - lr * DECAY)
        optimizer.step()

    seen = []
    for _ in range(steps):
        step()
        seen.append(theta.tolist())
    return np.array(seen)


def draw_decay() -> None:
    """docs/figures/decay.png: weight decay inside the gradient and beside it, under SGD and under Adam."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4), dpi=100, layout="constrained")
    for axes, rule in zip(figure.subplots(1, 2, sharey=True), ("SGD", "Adam"), strict=True):
        for coupled, style in ((True, {"lw": 4, "alpha": 0.35}), (False, {"lw": 1})):
            path = decayed(rule, coupled)
            for j, scale in enumerate(SCALES):
                name = f"{'in the loss' if coupled else 'decoupled'}, gradients × {scale:g}"
                axes.plot(path[:, j], color=f"C{2 * j}" if coupled else f"C{2 * j + 1}", label=name, **style)
            means = path[len(path) // 2 :].mean(0)
            print(f"| {rule} | {'in the loss' if coupled else 'decoupled'} | {means[0]:.2f} | {means[1]:.2f} |")
        axes.set(title=f"{rule}, λ = {DECAY}", xlabel="step")
        axes.axhline(1, color="0.5", lw=0.8)
        axes.grid(alpha=0.3)
        axes.legend(loc="center right")
    figure.axes[0].set_ylabel("θ; without decay it goes to 1")
    figure.savefig(FIGURES / "decay.png")


# ------------------------------------------------------------------------------------------- early stopping


@cache
def overfitted(epochs: int = 800) -> tuple[list[float], list[float], int, int, float]:
    """Losses for training and validation by epoch, the best epoch, the one that stops, and the loss restored."""
    chainrule.manual_seed(2)
    x = chainrule.rand(60, 1) * 2 - 1
    y = (3 * x).sin() + 0.3 * chainrule.randn(60, 1)
    train, validation = (x[:20], y[:20]), (x[20:], y[20:])
    model = models.MLP([1, 64, 64, 1], activation="tanh")
    optimizer, stopping, stopped = optim.Adam(model.parameters(), lr=5e-3), EarlyStopping(patience=100), 0
    losses: tuple[list[float], list[float]] = ([], [])
    for epoch in range(1, epochs + 1):
        optimizer.zero_grad()
        loss = F.mse_loss(model(train[0]), train[1])
        loss.backward()
        optimizer.step()
        with chainrule.no_grad():
            held_out = F.mse_loss(model(validation[0]), validation[1]).item()
        losses[0].append(loss.item())
        losses[1].append(held_out)
        if not stopped and stopping(held_out, model):
            stopped = epoch
    stopping.restore(model)
    with chainrule.no_grad():
        restored = F.mse_loss(model(validation[0]), validation[1]).item()
    return losses[0], losses[1], stopping.best_epoch, stopped, restored


def draw_early_stopping() -> None:
    """docs/figures/early_stopping.png: where training stops, and what it goes back to."""
    from matplotlib.figure import Figure

    train, validation, best, stopped, restored = overfitted()
    figure = Figure(figsize=(8, 4), dpi=100, layout="constrained")
    axes = figure.subplots()
    axes.plot(range(1, len(train) + 1), train, label="training")
    axes.plot(range(1, len(train) + 1), validation, label="validation")
    axes.axvline(best, color="C2", label=f"best, epoch {best}: these weights are restored")
    axes.axvline(stopped, color="C3", linestyle="--", label=f"stop, epoch {stopped}: 101 without a better one")
    axes.set(title="Early stopping", xlabel="epoch", ylabel="mean squared error", yscale="log")
    axes.legend()
    axes.grid(alpha=0.3)
    print(f"best epoch {best}, stopped after {stopped}, restored {restored:.3f}, at the end {validation[-1]:.3f}")
    figure.savefig(FIGURES / "early_stopping.png")


def main() -> None:
    """Draw all three and print their numbers."""
    FIGURES.mkdir(exist_ok=True)
    print("| penalty | |w| < 0.001 | median |w| | largest |w| |\n| --- | --- | --- | --- |")
    draw_penalties()
    low, high = SCALES[1], SCALES[0]
    print(f"\n| optimiser | decay | θ, gradients × {high:g} | θ, gradients × {low:g} |\n| --- | --- | --- | --- |")
    draw_decay()
    print(f"the penalised minimum is s/(s + λ): {high / (high + DECAY):.3f} and {low / (low + DECAY):.3f}\n")
    draw_early_stopping()


if __name__ == "__main__":
    main()
