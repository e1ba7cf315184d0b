"""docs/activations.md and its figure: every activation, its derivative, and where it saturates.

`python -m docs.make.activations` makes both. Ranges and saturation are computed from the functions themselves.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import chainrule
from chainrule import nn

DOCS = Path(__file__).parents[1]
SPAN = 6.0
#: How far saturation is looked for: what begins at the edge of the drawing is said in the table too.
REACH = 10.0
#: A slope below this in size counts as saturated: the gradient that goes through is a twentieth or less.
FLAT = 0.05


class Activation(NamedTuple):
    """A row: the module, its formula, and what it is for."""

    source: str
    formula: str
    remark: str


ACTIVATIONS = [
    Activation("Sigmoid()", "σ(x) = 1/(1 + e⁻ˣ)", "probabilities and gates; its slope is at most ¼"),
    Activation("Tanh()", "tanh x = 2σ(2x) − 1", "centred at 0, slope 1 there"),
    Activation("ReLU()", "max(0, x)", "continuous; its derivative jumps at 0 and is 0 below: units can die"),
    Activation("LeakyReLU(0.1)", "x if x > 0, else αx", "no unit dies; α is 0.01 unless given (drawn: 0.1)"),
    Activation("PReLU()", "x if x > 0, else ax", "a is learned, from ¼ on"),
    Activation("RReLU()", "x if x > 0, else ax", "a is random in training; drawn: evaluation"),
    Activation("ELU()", "x if x > 0, else α(eˣ − 1)", "smooth at 0 for α = 1; saturates at −α"),
    Activation("CELU(2.0)", "x if x > 0, else α(e^(x/α) − 1)", "smooth at 0 for every α (drawn: 2)"),
    Activation("SELU()", "λ·ELU(x), α ≈ 1.673, λ ≈ 1.051", "keeps mean 0 and variance 1 through layers"),
    Activation("GELU()", "x·Φ(x)", "transformers; dips below 0"),
    Activation("SiLU()", "x·σ(x)", "swish; dips below 0"),
    Activation("Mish()", "x·tanh(softplus x)", "much like SiLU"),
    Activation("Softplus()", "ln(1 + eˣ)", "ReLU with a soft corner; its slope is σ"),
    Activation("LogSigmoid()", "ln σ(x)", "logarithms of probabilities"),
    Activation("Softsign()", "x/(1 + |x|)", "saturates slowly"),
    Activation("Tanhshrink()", "x − tanh x", "flat at 0"),
    Activation("ReLU6()", "min(max(0, x), 6)", "for arithmetic of few bits"),
    Activation("Hardtanh()", "x cut off at −1 and 1", "tanh in three pieces"),
    Activation("Hardsigmoid()", "x/6 + ½ cut off at 0 and 1", "σ in three pieces"),
    Activation("Hardswish()", "x·hardsigmoid x", "SiLU in pieces"),
    Activation("Hardshrink()", "x if |x| > ½, else 0", "drops small entries"),
    Activation("Softshrink()", "x pulled towards 0 by ½", "one step of the lasso"),
    Activation("Threshold(1.0, 0.0)", "x if x > θ, else v", "drawn: θ = 1, v = 0"),
]

#: Activations that are no function of one number, which is why no curve is drawn of them.
OTHERS = {
    "Softmax": "eˣ/Σeˣ: scores become probabilities that add up to 1",
    "Softmin": "softmax of −x",
    "Softmax2d": "softmax over the channels of each pixel",
    "LogSoftmax": "ln softmax, without going through the probabilities",
    "GLU": "a·σ(b) of the two halves of the input",
    "Maxout": "the largest of several learned affine functions: a learned convex activation",
}


def curve(
    source: str, span: float = SPAN, count: int = 1201
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Places, values and slopes."""
    layer = eval(f"nn.{source}", {"nn": nn}).eval().double()
    x = chainrule.linspace(-span, span, count, dtype="float64").requires_grad_()
    y = layer(x)
    (slope,) = chainrule.autograd.grad(y.sum(), x)
    return x.detach().numpy(), y.detach().numpy(), slope.numpy()


def flat_ranges(source: str) -> list[tuple[float, float]]:
    """The intervals within ±REACH where the slope is below FLAT in size; not single points, such as a kink."""
    x, _, slope = curve(source, REACH, 20_001)
    flat = np.abs(slope) < FLAT
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flat, [0]]).astype(int)))
    spans = [(float(x[a]), float(x[b - 1])) for a, b in zip(edges[::2], edges[1::2], strict=True)]
    return [(a, b) for a, b in spans if b - a >= 0.01]


def words(source: str) -> str:
    """Where it saturates, in words."""
    parts = []
    for low, high in flat_ranges(source):
        if low <= -REACH:
            parts.append(f"x < {high:.2g}")
        elif high >= REACH:
            parts.append(f"x > {low:.2g}")
        else:
            parts.append(f"{low:.2g} < x < {high:.2g}")
    return ", ".join(parts).replace("-", "−") or "nowhere"


def range_of(source: str) -> str:
    """The smallest and largest value, far out; ∞ where it grows on."""
    layer = eval(f"nn.{source}", {"nn": nn}).eval().double()
    near = chainrule.linspace(-50.0, 50.0, 100_001, dtype="float64")
    with chainrule.no_grad():
        y = layer(chainrule.cat([near, chainrule.tensor([-1e9, 1e9], dtype="float64")])).numpy()

    def read(end: float) -> str:
        size = "∞" if abs(end) > 1e6 else f"{abs(end):.3g}"
        return "0" if abs(end) < 1e-6 else f"−{size}" if end < 0 else size

    return f"{read(y.min())} … {read(y.max())}"


def page() -> str:
    """The page, in Markdown."""
    lines = [
        "# Activations\n",
        "Without a nonlinearity between them two affine layers are one. Made by `python -m docs.make.activations`;",
        f"ranges and saturation are computed. *Saturated* means a slope below {FLAT} in size: of the gradient that",
        "comes in, a twentieth or less goes on, and through ten such layers nothing does.\n",
        "![Every activation with its derivative](figures/activations.png)\n",
        "Blue is the function, orange its derivative, grey where it is saturated.\n",
        "| `nn.` | formula | range | saturated where | remark |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in ACTIVATIONS:
        name = row.source.split("(")[0]
        saturated = words(row.source)
        formula = row.formula.replace("|", "\\|")
        lines.append(f"| `{name}` | {formula} | {range_of(row.source)} | {saturated} | {row.remark} |")
    lines += ["", "Not functions of one number:\n", "| `nn.` | what it is |", "| --- | --- |"]
    lines += [f"| `{name}` | {text} |" for name, text in OTHERS.items()]
    lines += [
        "",
        "## What to remember\n",
        "- Sigmoid's slope is at most ¼, so ten sigmoids pass at most 4⁻¹⁰ ≈ 10⁻⁶ of a gradient. Tanh's is 1 at 0. The",
        "  initial weights should keep sums near 0, where both live ([initialisation.md](initialisation.md)).",
        "- Outputs of a sigmoid are all positive, so the gradients of one neuron's weights in the next layer have one",
        "  sign for a sample: the steps zigzag. Tanh, which is centred, does not do that.",
        "- ReLU does not saturate above 0, but a unit whose sums are negative for all samples gets no gradient any",
        "  more: it is dead. Leaky ReLU, ELU and their relatives keep a slope.",
        "- max(αx, x) is the leaky ReLU for α ≤ 1 only; in general it is x for x > 0 and αx else.",
        "- Clipping gradients helps against exploding ones. Against vanishing ones, which saturation makes, help other",
        "  activations, normalisation, shortcuts and initialisation.",
        "- Softmax does not change when one number is added to all scores; chainrule subtracts the largest one, so",
        "  that nothing overflows.",
        "",
    ]
    return "\n".join(lines)


def draw() -> None:
    """The figure."""
    from matplotlib.figure import Figure

    columns = 4
    rows = -(-len(ACTIVATIONS) // columns)
    figure = Figure(figsize=(11, 2.15 * rows), dpi=90, layout="constrained")
    axes = figure.subplots(rows, columns, sharex=True).ravel()
    for place, row in zip(axes, ACTIVATIONS, strict=False):
        x, y, slope = curve(row.source)
        place.axhline(0, color="0.7", linewidth=0.7)
        place.axvline(0, color="0.7", linewidth=0.7)
        for low, high in flat_ranges(row.source):
            place.axvspan(low, high, color="0.5", alpha=0.15, linewidth=0)
        place.plot(x, _with_gaps(y), color="tab:blue", linewidth=1.8)
        place.plot(x, _with_gaps(slope), color="tab:orange", linewidth=1.4)
        place.set(title=row.source, xlim=(-SPAN, SPAN), ylim=(-2.2, 4.2))
        place.title.set_fontsize(10)
        place.tick_params(labelsize=8)
    for place in axes[len(ACTIVATIONS) :]:
        place.axis("off")
    names = axes[len(ACTIVATIONS)] if len(axes) > len(ACTIVATIONS) else axes[-1]
    names.plot([], [], color="tab:blue", label="the function")
    names.plot([], [], color="tab:orange", label="its derivative")
    names.fill_between([], [], color="0.5", alpha=0.15, label=f"saturated: |slope| < {FLAT}")
    names.legend(loc="center", fontsize=9, frameon=False)
    figure.savefig(DOCS / "figures" / "activations.png")


def _with_gaps(y: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """No line where the curve jumps."""
    gaps = y.copy()
    gaps[1:][np.abs(np.diff(y)) > 0.2] = np.nan
    return gaps


def main() -> None:
    """Make page and figure."""
    draw()
    (DOCS / "activations.md").write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
