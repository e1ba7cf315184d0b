"""The figures and numbers of docs/reinforcement.md: `python -m docs.make.reinforcement`, a few seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from chainrule import rl

FIGURES = Path(__file__).parents[1] / "figures"


def grid_figure() -> None:
    """The notes' grid: a random walk's values, the best ones, and a slippery grid with a wall."""
    figure = Figure(figsize=(12, 4.2), dpi=100, layout="constrained")
    axes = figure.subplots(1, 3)
    grid = rl.Gridworld()
    rl.draw_grid(grid, rl.policy_values(grid), axes=axes[0], digits=1, title="uniform policy, γ = 1")
    best = rl.value_iteration(grid)
    rl.draw_grid(grid, best.v, best.q, axes=axes[1], digits=0, title="best policies, γ = 1")
    slippery = rl.Gridworld(walls=[(2, 1), (2, 2), (2, 3)], terminals=[(4, 2)], slip=0.3, gamma=0.95)
    solved = rl.value_iteration(slippery)
    rl.draw_grid(slippery, solved.v, solved.q, axes=axes[2], digits=1, title="walls, slip = 0.3, γ = 0.95")
    figure.savefig(FIGURES / "reinforcement-grid.png")


def sweeps_figure() -> None:
    """Value iteration from 0, as frames beside each other and as a film."""
    grid = rl.Gridworld()
    sweeps = rl.value_iteration(grid).sweeps
    figure = Figure(figsize=(12, 2.8), dpi=100, layout="constrained")
    for i, axes in enumerate(figure.subplots(1, 5)):
        rl.draw_grid(grid, sweeps[i], axes=axes, digits=0, title=f"v{'₀₁₂₃₄'[i]}", limits=(-4.0, 0.0))
    figure.savefig(FIGURES / "reinforcement-sweeps.png")
    rl.save_gif(rl.sweep_frames(grid, sweeps), FIGURES / "reinforcement-sweeps.gif", frames_per_second=1)


def cliff_figure() -> list[float]:
    """Returns while learning along the cliff, means of 20 seeds over 10 episodes; the last 100 of each."""
    world = rl.cliff_walking()
    figure = Figure(figsize=(7, 3.2), dpi=100, layout="constrained")
    axes = figure.subplots()
    last = []
    for name, method, colour in (("SARSA", rl.sarsa, "#0072b2"), ("Q-learning", rl.q_learning, "#d55e00")):
        runs = [
            method(world.environment(max_steps=1000), episodes=400, step_size=0.5, seed=seed).returns
            for seed in range(20)
        ]
        means = np.mean(runs, axis=0)
        axes.plot(np.arange(0, 400, 10), means.reshape(-1, 10).mean(1), color=colour, label=name)
        last.append(float(means[-100:].mean()))
    axes.axhline(-13, color="gray", linewidth=1, linestyle="--", label="shortest way, no exploring")
    axes.set(xlabel="episode", ylabel="return while exploring, ε = 0.1", ylim=(-120, 0))
    axes.legend()
    figure.savefig(FIGURES / "reinforcement-cliff.png")
    return last


def main() -> None:
    """All figures; the numbers are printed."""
    grid_figure()
    sweeps_figure()
    for name, mean in zip(("SARSA", "Q-learning"), cliff_figure(), strict=True):
        print(f"| {name} | {mean:.0f} |")
    grid = rl.Gridworld()
    v = rl.policy_values(grid)
    print("uniform policy:", ", ".join(f"{cell} {v[grid.state(*cell)]:.3f}" for cell in ((0, 1), (2, 2), (0, 4))))


if __name__ == "__main__":
    main()
