"""The figure of docs/initialisation.md: variance through 30 layers under several initialisations.

`python -m docs.make.variance` draws docs/figures/variance.png and prints the numbers of the page.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import chainrule
from chainrule import nn
from chainrule.explain import VarianceReport, variance_report
from chainrule.explain.variance import draw_on

FIGURES = Path(__file__).parents[1] / "figures"
DEPTH, WIDTH, SAMPLES = 30, 256, 256

#: For each activation what fills the weights of a layer.
RULES: dict[str, dict[str, Callable[[Any], Any]]] = {
    "ReLU": {
        "Kaiming": lambda w: nn.init.kaiming_normal_(w, nonlinearity="relu"),
        "Xavier": nn.init.xavier_normal_,
        "too small: σ = 0.01": lambda w: nn.init.normal_(w, std=0.01),
        "too large: σ = 0.2": lambda w: nn.init.normal_(w, std=0.2),
        "PyTorch's default": lambda w: nn.init.kaiming_uniform_(w, a=5**0.5),
    },
    "Tanh": {
        "Xavier with gain 5/3": lambda w: nn.init.xavier_normal_(w, nn.init.calculate_gain("tanh")),
        "Xavier": nn.init.xavier_normal_,
        "too small: σ = 0.01": lambda w: nn.init.normal_(w, std=0.01),
        "too large: σ = 0.2": lambda w: nn.init.normal_(w, std=0.2),
        "PyTorch's default": lambda w: nn.init.kaiming_uniform_(w, a=5**0.5),
    },
}


def report(activation: str, rule: str) -> VarianceReport:
    """After each of the activations of a network of equally wide layers, started by a rule, on normal inputs."""
    chainrule.manual_seed(0)
    model = nn.Sequential()
    for _ in range(DEPTH):
        layer = nn.Linear(WIDTH, WIDTH, bias=False)
        RULES[activation][rule](layer.weight)
        model.append(layer).append(getattr(nn, activation)())
    whole = variance_report(model, chainrule.randn(SAMPLES, WIDTH))
    return VarianceReport(whole.of(activation))


def main() -> None:
    """Draw the figure and print the table."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 8), dpi=120, layout="constrained")
    print("| network | rule | activations, layer 1 → 30 | gradients, layer 30 → 1 |\n| --- | --- | --- | --- |")
    for pair, (activation, rules) in zip(figure.subplots(2, 2), RULES.items(), strict=True):
        reports = {rule: report(activation, rule) for rule in rules}
        draw_on(pair, reports)
        for axes in pair:
            axes.set_title(f"{activation}: {axes.get_title().lower()}")
        for rule, found in reports.items():
            first, last = found.rows[0], found.rows[-1]
            print(
                f"| {activation} | {rule} | {first.variance:.2g} → {last.variance:.2g} | "
                f"{last.gradient_variance:.2g} → {first.gradient_variance:.2g} |"
            )
    FIGURES.mkdir(exist_ok=True)
    figure.savefig(FIGURES / "variance.png")


if __name__ == "__main__":
    main()
