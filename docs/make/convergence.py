"""The figures of docs/convergence.md: paths of optimisers, bounds against measured runs, the noise floor, saddles.

`python -m docs.make.convergence` draws docs/figures/convergence-*.png and prints the tables of the page, in
two or three minutes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

import chainrule
from chainrule import optim
from chainrule.data.optdigits import load_digits_arrays
from chainrule.optim import convergence, curvature, landscapes
from chainrule.optim.landscapes import Landscape

FIGURES = Path(__file__).parents[1] / "figures"

#: What is compared, one line each: how it is made from the parameters and a learning rate, and its colour. L-BFGS and
#: Newton have no rate to choose.
OPTIMISERS: dict[str, tuple[Callable[[list[Any], float], Any], str]] = {
    "gradient descent": (lambda p, rate: optim.SGD(p, lr=rate), "#444444"),
    "momentum": (lambda p, rate: optim.SGD(p, lr=rate, momentum=0.9), "#0072b2"),
    "Nesterov": (lambda p, rate: optim.SGD(p, lr=rate, momentum=0.9, nesterov=True), "#56b4e9"),
    "AdaGrad": (lambda p, rate: optim.Adagrad(p, lr=rate), "#e69f00"),
    "RMSProp": (lambda p, rate: optim.RMSprop(p, lr=rate), "#a0522d"),
    "Adam": (lambda p, rate: optim.Adam(p, lr=rate), "#d55e00"),
    "L-BFGS": (
        lambda p, rate: optim.LBFGS(p, max_iter=1, max_eval=25, tolerance_change=1e-16, line_search_fn="strong_wolfe"),
        "#009e73",
    ),
    "Newton": (lambda p, rate: optim.Newton(p), "#cc79a7"),
}
WITHOUT_RATE = {"L-BFGS", "Newton"}

#: The learning rates tried for each optimiser on each function: the best is drawn.
RATES = [round(10**exponent, 5) for exponent in np.arange(-4, 0.76, 0.25)]

#: The functions and for how many steps; and how close to the minimum counts as solved.
MAPS: list[tuple[Landscape, int]] = [
    (landscapes.BOWL, 300),
    (landscapes.RAVINE, 300),
    (landscapes.ROSENBROCK, 3000),
    (landscapes.BEALE, 1000),
    (landscapes.SADDLE._replace(start=(1.2, 1e-3)), 300),  # a little beside the line that leads into the saddle point
    (landscapes.WAVY, 300),
]
SOLVED = 1e-6


class Run(NamedTuple):
    """Where an optimiser went: the points (T + 1, 2), the gaps L − L* there, and the learning rate."""

    path: np.ndarray
    gaps: np.ndarray
    rate: float

    @property
    def steps_to_solve(self) -> float:
        """After how many steps the gap is below `SOLVED` and stays there; infinity if it is not at the end."""
        above = np.flatnonzero(~(self.gaps < SOLVED))
        return math.inf if above[-1] == len(self.gaps) - 1 else float(above[-1] + 1)

    def stays_on(self, box: tuple[float, float, float, float]) -> bool:
        """Whether the path stays on the map, or a twentieth of its size beside it."""
        left, right, bottom, top = box
        low, high = np.array([left, bottom]), np.array([right, top])
        margin = (high - low) / 20
        return bool(((self.path > low - margin) & (self.path < high + margin)).all())


# ------------------------------------------------------------------------------------------------------- running


def run(make: Callable[..., Any], landscape: Landscape, start: Sequence[float], rate: float, steps: int) -> Run:
    """Descend. A run that leaves all bounds ends there."""
    x = chainrule.tensor(list(start), dtype=chainrule.float64, requires_grad=True)
    optimizer = make([x], rate)

    def loss() -> Any:
        return landscape(x)

    def closure() -> Any:
        optimizer.zero_grad()
        value = landscape(x)
        value.backward()
        return value

    path = [x.tolist()]
    for _ in range(steps):
        optimizer.step(loss if isinstance(optimizer, optim.Newton) else closure)
        path.append(x.tolist())
        if not np.abs(path[-1]).max() < 1e3:
            break
    points = np.array(path)
    lowest = landscape.minimum_value if landscape.minima else 0.0
    return Run(points, landscape(chainrule.tensor(points)).numpy() - lowest, rate)


def best_run(name: str, landscape: Landscape, steps: int) -> Run:
    """Of the runs that stay on the map the one that solves it first; if none does, that which ends lowest."""
    make = OPTIMISERS[name][0]
    if name in WITHOUT_RATE:
        return run(make, landscape, landscape.start, 1.0, steps)
    runs = [run(make, landscape, landscape.start, rate, steps) for rate in RATES]
    return min((r for r in runs if r.stays_on(landscape.box)), key=lambda r: (r.steps_to_solve, r.gaps[-1]))


def noisy_runs(
    landscape: Landscape, rate: float, sigma: float, steps: int, runs: int = 200, start: Sequence[float] | None = None
) -> np.ndarray:
    """‖∇L‖² before each step (steps, runs) of runs side by side; normal noise with E‖noise‖² = σ² on each gradient."""
    generator = chainrule.Generator(0)
    x = chainrule.tensor([list(start or landscape.start)] * runs, dtype=chainrule.float64, requires_grad=True)
    optimizer = optim.SGD([x], lr=rate)
    norms = []
    for _ in range(steps):
        optimizer.zero_grad()
        landscape(x).sum().backward()
        norms.append((x.grad**2).sum(-1).numpy())
        noise = chainrule.randn(x.shape, dtype=chainrule.float64, generator=generator)
        x.grad = x.grad + noise * (sigma / x.shape[-1] ** 0.5)
        optimizer.step()
    return np.array(norms)


# ------------------------------------------------------------------------------------------------------- drawing


def new_figure(width: float, height: float) -> Figure:
    """A figure whose parts do not overlap."""
    return Figure(figsize=(width, height), dpi=100, layout="constrained")


def save(figure: Figure, name: str) -> None:
    """As a PNG of the page."""
    FIGURES.mkdir(exist_ok=True)
    figure.savefig(FIGURES / f"convergence-{name}.png", pil_kwargs={"optimize": True})


def draw_map(axes: Axes, landscape: Landscape, start: Sequence[float]) -> None:
    """Contour lines, closer together near the lowest value; stars at the minima, a ring at the start."""
    left, right, bottom, top = landscape.box
    a, b = np.meshgrid(np.linspace(left, right, 240), np.linspace(bottom, top, 240))
    heights = landscape(chainrule.tensor(np.stack([a, b], -1))).numpy()
    shown = np.log10(heights - landscape.minimum_value + 1e-2) if landscape.minima else heights
    axes.contourf(a, b, shown, levels=12, cmap="Greys", alpha=0.35)
    axes.contour(a, b, shown, levels=12, colors="#999999", linewidths=0.4, linestyles="solid")
    for point in landscape.minima:
        axes.plot(*point, marker="*", markersize=13, color="#f0e442", markeredgecolor="black", zorder=5)
    axes.plot(start[0], start[1], marker="o", markersize=7, color="white", markeredgecolor="black", zorder=5)
    axes.set(xlim=(left, right), ylim=(bottom, top), xlabel="x", ylabel="y")


def draw_paths(landscape: Landscape, steps: int) -> dict[str, Run]:
    """One figure: the paths on the map, and how the gap falls."""
    figure = new_figure(9.5, 4.7)
    left, right = figure.subplots(1, 2)
    draw_map(left, landscape, landscape.start)
    runs = {name: best_run(name, landscape, steps) for name in OPTIMISERS}
    for name, found in runs.items():
        colour = OPTIMISERS[name][1]
        left.plot(*found.path.T, color=colour, linewidth=1.4, marker=".", markersize=3, alpha=0.9)
        rate = "" if name in WITHOUT_RATE else f", η = {found.rate:.2g}"
        right.plot(np.maximum(found.gaps, 1e-16), color=colour, linewidth=1.6, label=f"{name}{rate}")
    left.set_title(f"{landscape.name}: {landscape.formula}", fontsize=9)
    right.set(yscale="log", ylim=(1e-12, None), xlabel="step", title="L − L*")
    right.set_xscale("symlog", linthresh=1, linscale=0.3)
    right.set_xlim(0, steps)
    right.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    save(figure, landscape.name.replace(" ", "-").lower())
    return runs


def digits_problem(batch_size: int) -> tuple[Any, list[Any], Any]:
    """Logistic regression of 4 against 9 on the shipped digits: the loss of a batch, the batches, the start."""
    images, labels = load_digits_arrays()
    chosen = (labels == 4) | (labels == 9)
    X = chainrule.tensor(images[chosen].reshape(-1, 64)[:360] / 16.0)
    signs = chainrule.tensor((labels[chosen][:360] == 9) * 2.0 - 1)

    def loss(w: Any, x: Any = X, s: Any = signs) -> Any:
        margins = s * (x @ w)
        return chainrule.logaddexp(-margins, margins * 0).mean()

    batches = list(zip(X.split(batch_size), signs.split(batch_size), strict=True))
    return loss, batches, chainrule.zeros(64, dtype=chainrule.float64)


def digits_run(loss: Any, batches: list[Any], start: Any, rate: float, steps: int, seed: int) -> np.ndarray:
    """‖∇L‖² of the whole data before each step of mini-batch descent."""
    random = np.random.default_rng(seed)
    w = start.clone().requires_grad_()
    optimizer = optim.SGD([w], lr=rate)
    norms = []
    for _ in range(steps):
        norms.append(curvature.gradient_norm(loss, w) ** 2)
        optimizer.zero_grad()
        loss(w, *batches[random.integers(len(batches))]).backward()
        optimizer.step()
    return np.array(norms)


def draw_bound() -> None:
    """The theorem's bound: without noise, with noise, and on real data with measured constants."""
    figure = new_figure(12, 3.9)
    without, noisy, real = figure.subplots(1, 3)
    wavy, many = landscapes.WAVY, np.unique(np.geomspace(1, 1000, 25).astype(int))
    gap = wavy(chainrule.tensor(wavy.start)).item()
    norms = noisy_runs(wavy, convergence.step_size(8.0, gap, 0.0, 1), 0.0, 1000, runs=1)[:, 0]
    without.plot(many, [norms[:T].min() for T in many], color="#0072b2", marker=".", label="smallest ‖∇L‖²")
    without.plot(many, [norms[:T].mean() for T in many], color="#56b4e9", marker=".", label="mean ‖∇L‖²")
    bounds = np.array([convergence.gradient_bound(8.0, gap, 0.0, int(T)) for T in many])
    without.plot(many, bounds, color="#d55e00", label="bound 2βΔ/T")
    without.plot(many, 2 * bounds, color="#d55e00", linestyle=":", label="class notes, 4βΔ/T")
    without.set(title="wavy bowl, no noise, η = 1/β", ylim=(1e-6, None))

    sigma = 2.0
    means, least = [], []
    for T in many:
        found = noisy_runs(wavy, convergence.step_size(8.0, gap, sigma**2, int(T)), sigma, int(T))
        means.append(found.mean())
        least.append(found.min(0).mean())
    noisy.plot(many, least, color="#0072b2", marker=".", label="smallest ‖∇L‖²")
    noisy.plot(many, means, color="#56b4e9", marker=".", label="mean ‖∇L‖²")
    bounds = np.array([convergence.gradient_bound(8.0, gap, sigma**2, int(T)) for T in many])
    noisy.plot(many, bounds, color="#d55e00", label="bound")
    noisy.set(title="wavy bowl, σ = 2, η of the theorem")

    loss, batches, start = digits_problem(20)
    problem = convergence.measure(loss, [start], 0.0, batches)
    print("4 against 9, mini-batches of 20:", {n: round(v, 4) for n, v in problem._asdict().items()})
    few = np.unique(np.geomspace(1, 300, 12).astype(int))
    means, least = [], []
    for T in few:
        rate = convergence.step_size(*problem, steps=int(T))
        runs = np.array([digits_run(loss, batches, start, rate, int(T), seed) for seed in range(5)])
        means.append(runs.mean())
        least.append(runs.min(1).mean())
    real.plot(few, least, color="#0072b2", marker=".", label="smallest ‖∇L‖²")
    real.plot(few, means, color="#56b4e9", marker=".", label="mean ‖∇L‖²")
    real.plot(few, [convergence.gradient_bound(*problem, steps=int(T)) for T in few], color="#d55e00", label="bound")
    real.set(title="digits 4 against 9, mini-batches of 20")
    for axes in (without, noisy, real):
        axes.set(xscale="log", yscale="log", xlabel="steps T")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    save(figure, "bound")


def draw_floor() -> None:
    """The noise floor: runs with several step sizes, and where they settle."""
    figure = new_figure(9.5, 3.9)
    runs, floors = figure.subplots(1, 2)
    bowl, beta, sigma = landscapes.quadratic([4.0, 4.0], start=(-2.0, 1.8)), 4.0, 0.5
    for rate, colour in ((0.25, "#d55e00"), (0.05, "#e69f00"), (0.01, "#009e73"), (0.002, "#0072b2")):
        norms = np.sqrt(noisy_runs(bowl, rate, sigma, 1500).mean(1))
        runs.plot(norms, color=colour, linewidth=1.4, label=f"η = {rate:g}")
        runs.axhline(convergence.noise_floor(beta, sigma**2, rate), color=colour, linestyle=":", linewidth=1.2)
    runs.set(yscale="log", xlabel="step", title="root of E‖∇L‖²; dotted: σ√(ηβ)")
    runs.set_xscale("symlog", linthresh=1, linscale=0.3)
    runs.set_xlim(0, 1500)
    rates = np.geomspace(0.002, 0.25, 10)
    ravine = landscapes.quadratic([0.4, 4.0], start=(-2.0, 1.8))
    cases = [("curvature β everywhere", bowl, "#0072b2"), ("β in one of two directions", ravine, "#a0522d")]
    for label, landscape, colour in cases:
        lengths = [200 + round(6 / (0.4 * rate)) for rate in rates]
        settled = [
            math.sqrt(noisy_runs(landscape, rate, sigma, steps)[-200:].mean())
            for rate, steps in zip(rates, lengths, strict=True)
        ]
        floors.plot(rates, settled, color=colour, marker="o", markersize=4, label=f"measured, {label}")
    line = [convergence.noise_floor(beta, sigma**2, rate) for rate in rates]
    floors.plot(rates, line, color="#d55e00", label="σ√(ηβ)")
    floors.plot(rates, np.array(line) / math.sqrt(2), color="#d55e00", linestyle=":", label="σ√(ηβ/2)")
    floors.set(
        xscale="log", yscale="log", ylim=(0.015, 1), xlabel="step size η", title="where the gradient norm settles"
    )
    floors.yaxis.set_minor_formatter(NullFormatter())
    for axes in (runs, floors):
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    save(figure, "floor")


def draw_saddle() -> None:
    """Plain descent, pure Newton and perturbed descent from the line that leads into a saddle point."""
    figure = new_figure(12, 4.3)
    paths, losses, monkey = figure.subplots(1, 3)
    saddle = landscapes.SADDLE
    draw_map(paths, saddle, saddle.start)

    def perturbed(p: Any, rate: float) -> Any:
        return optim.PerturbedGradientDescent(p, lr=rate, radius=0.05, generator=chainrule.Generator(1))

    for name, make, colour, style, end in (
        ("perturbed descent", perturbed, "#009e73", "-", None),
        ("Newton, undamped", lambda p, rate: optim.Newton(p, adaptive=False), "#cc79a7", "-", "P"),
        ("gradient descent", OPTIMISERS["gradient descent"][0], "#444444", "--", "X"),
    ):
        found = run(make, saddle, saddle.start, 0.1, 160)
        paths.plot(*found.path.T, color=colour, linewidth=1.4, linestyle=style, marker=".", markersize=4)
        if end:
            paths.plot(*found.path[-1], color=colour, marker=end, markersize=11 if end == "P" else 7, zorder=6)
        losses.plot(found.gaps - 0.25, color=colour, linewidth=1.8, linestyle=style, label=name)
        last = curvature.classify_stationary_point(saddle, chainrule.tensor(found.path[-1]), gradient_tolerance=1e-2)
        print(f"| {name} | ({found.path[-1][0]:.3f}, {found.path[-1][1]:.3f}) | {last.smallest:.2f} | {last.kind} |")
    paths.set_title(f"{saddle.name}: {saddle.formula}", fontsize=9)
    losses.set(xlabel="step", ylabel="loss")
    losses.set_title("0 at the saddle point, −¼ at the minima", fontsize=9)
    losses.legend(fontsize=8)
    losses.grid(alpha=0.3)
    draw_map(monkey, landscapes.MONKEY_SADDLE, (0.0, 0.0))
    for seed in range(12):
        path = run(
            lambda p, rate, seed=seed: kicked(p, rate, seed), landscapes.MONKEY_SADDLE, (0.0, 0.0), 0.1, 400
        ).path
        monkey.plot(*path.T, linewidth=1.2, marker=".", markersize=3)
    monkey.set_title("monkey saddle: twelve kicks of radius 0.3", fontsize=9)
    save(figure, "saddles")


def kicked(p: list[Any], rate: float, seed: int) -> Any:
    """For the monkey saddle, which is so flat that a kick must be large and patient."""
    settings = {"radius": 0.3, "interval": 1000}
    return optim.PerturbedGradientDescent(p, lr=rate, **settings, generator=chainrule.Generator(seed))


def draw_polyak() -> None:
    """A function that is not convex and still easy: its cut, and linear convergence below the bound."""
    figure = new_figure(9.5, 3.7)
    cut, falls = figure.subplots(1, 2)
    t = np.linspace(-5, 5, 500)
    cut.plot(t, t**2 + 3 * np.sin(t) ** 2, color="#0072b2", label="f(x) = x² + 3·sin²x")
    cut.plot(t, t**2, color="#999999", linestyle=":", label="x²")
    bent = np.where(2 + 6 * np.cos(2 * t) < 0, t**2 + 3 * np.sin(t) ** 2, np.nan)
    cut.plot(t, bent, color="#d55e00", linewidth=3, label="f″ < 0")
    cut.set(xlabel="x", title="not convex, but no other stationary point")
    wavy = landscapes.WAVY
    for landscape, beta, constant, colour in (
        (wavy, 8.0, 1 / 32, "#0072b2"),
        (landscapes.RAVINE, 50.0, 1.0, "#a0522d"),
    ):
        found = run(OPTIMISERS["gradient descent"][0], landscape, landscape.start, 1 / beta, 300)
        points = [chainrule.tensor(p) for p in found.path if np.abs(p).max() > 1e-6]
        seen = curvature.polyak_lojasiewicz_constant(landscape, points, 0.0)
        print(f"Polyak–Łojasiewicz constant, {landscape.name}: guaranteed {constant:.3f}, along the run {seen:.3f}")
        falls.plot(np.maximum(found.gaps, 1e-18), color=colour, label=f"{landscape.name}, η = 1/β")
        bounds = [convergence.polyak_lojasiewicz_bound(constant, beta, found.gaps[0], 0.0, T) for T in range(1, 301)]
        falls.plot(range(1, 301), bounds, color=colour, linestyle=":", label=f"its bound, μ = {constant:.3g}")
    falls.set(yscale="log", ylim=(1e-9, 100), xlabel="step", title="L − L*")
    for axes in (cut, falls):
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    save(figure, "polyak-lojasiewicz")


def main() -> None:
    """All figures and tables."""
    rows: dict[str, list[str]] = {name: [] for name in OPTIMISERS}
    for landscape, length in MAPS:
        for name, found in draw_paths(landscape, length).items():
            steps = found.steps_to_solve
            rows[name].append(f"{steps:.0f}" if steps < math.inf else f"— ({found.gaps[-1]:.0e})")
    print("| | " + " | ".join(landscape.name for landscape, _ in MAPS) + " |")
    print("| --- |" + " --- |" * len(MAPS))
    for name, cells in rows.items():
        print(f"| {name} | " + " | ".join(cells) + " |")
    draw_saddle()
    draw_bound()
    draw_floor()
    draw_polyak()


if __name__ == "__main__":
    main()
